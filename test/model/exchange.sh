#!/bin/sh
# Spin searches every order of events in exchange.pml, and finds what a part left out breaks.
#
#   DEEP=1 test/model/exchange.sh    more faults at once: minutes, and some 8 GB
#
# Prints TAP.  What spin said of a search that went wrong is printed with it; for the
# events that lead there: spin -t -p -g [-D...] exchange.pml, where its trail lies.

model=$(cd "$(dirname "$0")" && pwd -P)/exchange.pml
work=$(mktemp -d "${TMPDIR:-/tmp}/model.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
run=0
failed=0

# Searches with these -D; the verdict is a line of $work/NAME: held, broken, or nothing if it
# did not come to an end.
#   search NAME safety|liveness DEFINES
search()
{
	mkdir "$work/$1.d"
	(
		cd "$work/$1.d" || exit
		if test "$2" = safety; then
			compile="-DSAFETY -DNOCLAIM"
			options=
		else
			# What is enabled all the time happens in the end.
			compile="-DNFAIR=3"
			options="-a -f"
		fi
		# What is soon found is not worth compiling well.
		case $3 in
			*-DNO_*) level=-O0 ;;
			*) level=-O2 ;;
		esac
		spin -a $3 "$model" >said 2>&1 && gcc $level -DCOLLAPSE $compile -o pan pan.c >>said 2>&1 &&
			./pan -n -m1000000 $options >>said 2>&1
		if grep -q 'Search not completed' said && ! grep -q 'assertion violated\|acceptance cycle\|invalid end state' said; then
			exit
		fi
		sed -n 's/.*errors: 0$/held/p; s/.*errors: [1-9][0-9]*$/broken/p' said >"$work/$1"
	)
}

#   verdict NAME held|broken RULE: CLAIM
verdict()
{
	run=$((run + 1))
	if test "$(cat "$work/$1" 2>/dev/null)" = "$2"; then
		echo "ok $run - $3"
	else
		failed=$((failed + 1))
		echo "not ok $run - $3"
		grep -v '^ltl\|^Depth' "$work/$1.d/said" | head -n 30 | sed 's/^/# /'
	fi
}

faults=2
promoted=1
if test -n "${DEEP:-}"; then
	faults=3
	promoted=2
fi

# Two at a time.
{
	search faults safety "-DPROMOTIONS=0 -DFAULTS=$faults"
	search no_look safety "-DNO_LOOK -DCLAIM=1 -DPROMOTIONS=0 -DFAULTS=0"
	search no_compare safety "-DNO_COMPARE -DCLAIM=6 -DPROMOTIONS=0 -DFAULTS=1"
	search no_number safety "-DNO_NUMBER -DCLAIM=2 -DPROMOTIONS=0 -DFAULTS=1"
	search no_wait safety "-DNO_WAIT -DCLAIM=3 -DPROMOTIONS=0 -DFAULTS=1"
	search no_refuse safety "-DNO_REFUSE -DCLAIM=5 -DPROMOTIONS=0 -DFAULTS=2"
} &
{
	search promoted safety "-DFAULTS=$promoted"
	search ends liveness "-DPROMOTIONS=0 -DFAULTS=$promoted"
	search ends_promoted liveness "-DFAULTS=$((promoted - 1))"
	search no_epoch safety "-DNO_EPOCH -DCLAIM=2 -DFAULTS=1"
	search no_void safety "-DNO_VOID -DCLAIM=1 -DFAULTS=0"
	search no_reclaim liveness "-DNO_RECLAIM -DPROMOTIONS=0 -DFAULTS=1"
} &
wait

for search in faults promoted; do
	if test "$search" = faults; then
		with="$faults faults"
	else
		with="a promotion and $promoted fault"
	fi
	verdict "$search" held "W4: never an act without a look after unknown, with $with"
	verdict "$search" held "W5: never two holders of a current token, with $with"
	verdict "$search" held "W5: nobody but its holder tells of a step, with $with"
	verdict "$search" held "W4: a lost action is waited out before another acts, with $with"
	verdict "$search" held "W5: a node that refuses lower tokens is left as the roll left it, with $with"
done
verdict ends held "W4: every roll ends, with $promoted fault"
verdict ends_promoted held "W4: every roll ends after a promotion"
verdict no_look broken "W4: without the look an act is not looked for first, and spin finds it"
verdict no_compare broken "W5: without the token's comparison under the lock somebody else's report is taken, and spin finds it"
verdict no_number broken "W5: without a new number two hold the same token, and spin finds it"
verdict no_epoch broken "W5: without the epoch two hold the same token after a promotion, and spin finds it"
verdict no_void broken "W5: when zdu_adopt leaves tokens good an act comes without a look, and spin finds it"
verdict no_wait broken "W4: without the wait two act at once, and spin finds it"
verdict no_refuse broken "W5: a node that does not refuse is changed by a late action, and spin finds it"
verdict no_reclaim broken "W4: when no lost lease is taken back a roll does not end, and spin finds it"
echo "1..$run"
test "$failed" -eq 0
