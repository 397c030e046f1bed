#!/bin/sh
# Rolls under a clock of their own, with faults: what must never happen does not, and all come to an end.
#
#   SEED   the seed of the first roll, 1; each has one higher than the one before
#   ROLLS  how many, 200
#   NODES  the most nodes of a cluster, 10
#   AGREE  zdu_why is compared with the exchange every so many steps, 25
#
# Prints TAP.  What went wrong is printed with the shortest roll that shows it, see
# test/sim/README.md.  Wants a server, by libpq's environment, where zdu is installed.

here=$(cd "$(dirname "$0")" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/sim.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
seed=${SEED:-1}
rolls=${ROLLS:-200}
nodes=${NODES:-10}
agree=${AGREE:-25}
run=0
failed=0

#   verdict STATUS RULE: CLAIM
verdict()
{
	run=$((run + 1))
	if test "$1" -eq 0; then
		echo "ok $run - $2"
	else
		failed=$((failed + 1))
		echo "not ok $run - $2"
	fi
}

# Plays in a database of its own: play NAME FIRST_SEED ROLLS [OPTION...]
play()
{
	database=sim_$1_$$
	file=$work/$1
	first=$2
	count=$3
	shift 3
	createdb "$database" && psql -q -X -d "$database" -c 'CREATE EXTENSION zdu' &&
		PGDATABASE=$database "$work/sim" -s "$first" -n "$count" -m "$nodes" -b 3 "$@" >"$file" 2>&1
	status=$?
	test "$status" -lt 2 || echo "  W1: the player stopped with status $status" >>"$file"
	dropdb -f "$database"
}

# True if no roll failed by that rule.
kept()
{
	! grep -q "^  $1:" "$work"/*.played
}

if ! "$here/compile" "$work/sim"; then
	echo "Bail out!  the player does not compile"
	exit 1
fi

half=$((rolls / 2))
play one.played "$seed" "$half" -q -a "$agree" &
play two.played $((seed + half)) $((rolls - half)) -q -a "$agree" &
wait
# The same roll twice, the second time after others.
play once "$seed" 4
play again $((seed + 1)) 3

sed 's/^/# /' "$work"/*.played
steps=$(awk '/ rolls, / { s += $5 } END { print s + 0 }' "$work"/*.played)
compared=$(awk '/ verdicts compared/ { sub(/.*minute; /, ""); s += $1 } END { print s + 0 }' "$work"/*.played)
waited=$(awk '/ overlapped, / { sub(/.*overlapped, /, ""); s += $1 } END { print s + 0 }' "$work"/*.played)
with="in $rolls rolls from seed $seed, $steps steps"

test "$waited" -gt 0 && kept D11; verdict $? "D11: no budget is overdrawn $with, $waited of them begun while another was open, and made to wait for it"
kept D14; verdict $? "D14: never the last node, neither by the tables nor in truth, $with"
kept D4; verdict $? "D4: no resource loses the write quorum that it has, $with"
kept W5; verdict $? "W5: every token is higher than all before, and only its holder moves a step on, $with"
kept W4; verdict $? "W4: no act without a look, and none beside another, $with"
kept N1; verdict $? "N1: no transition but those of zdu_transitions(), $with"
kept L5; verdict $? "L5: no node is left stopped or out of rotation $with"
kept D8; verdict $? "D8: what was prepared is undone $with"
kept L9; verdict $? "L9: at the end all run one version $with"
kept L14; verdict $? "L14: the task is done $with"
kept W1; verdict $? "W1: every roll ends once nothing goes wrong any more $with"
test "$compared" -gt 0 && kept L22; verdict $? "L22: zdu_why says what helps, refusals say why, and for $compared candidates its verdict is what the exchange does, $with"
# Prints seed and hash of the rolls but the first.
hashes()
{
	sed -n 's/^[A-Za-z]* seed \([0-9]*\):.* hash \([0-9a-f]*\).*/\1 \2/p' "$work/$1" | grep -v "^$seed "
}
test "$(hashes once | wc -l)" -eq 3 && test "$(hashes once)" = "$(hashes again)"
verdict $? "W4: a seed repeats a roll exactly"
stale=$(cd "$here/../.." && . test/planted.sh && for patch in test/sim/faults/*.patch; do
	test -z "$(why_stale "$patch" Rule Breaks)" || echo "$patch"
done)
test -z "$stale"; verdict $? "W4: every fault of test/sim/faults can be planted still${stale:+, but not $stale}"
echo "1..$run"
test "$failed" -eq 0
