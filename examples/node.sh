#!/bin/sh
# Runs a program as a node of a cluster, and speaks to zdu for it with psql:
# zdu_join before it starts, a beat every few seconds, a graceful leave.
#
#   node.sh CLUSTER NODE VERSION PROGRAM [ARGUMENT...]
#
# The database is that of PGSERVICE, PGHOST and so on.  What zdu commands reaches the
# program as a signal: USR1 drain (take no new work), USR2 serve again, TERM stop.
# Ends with the program's status, or 78 if the node is refused.

test $# -ge 4 || { echo "usage: $0 CLUSTER NODE VERSION PROGRAM [ARGUMENT...]" >&2; exit 64; }
cluster=$1
node=$2
version=$3
shift 3
# A new one for every process, so that a late beat of the last one changes nothing.
incarnation=$(cat /proc/sys/kernel/random/uuid)
command=serve
# What to say of ourselves: only what has changed.  Nothing is "as before", also when zdu knows more than we do.
state=ACTIVE

# Runs one statement, whose values are psql's variables; prints its row, columns apart by |.
ask()
{
	printf '%s\n' "$1" | psql -X -q -A -t -v ON_ERROR_STOP=1 -v cluster="$cluster" -v node="$node" \
		-v version="$version" -v incarnation="$incarnation" -v state="$state"
}

beat()
{
	ask "SELECT command, array_to_string(features, ' ') FROM zdu_heartbeat(:'cluster', :'node', :'incarnation', nullif(:'state', ''))"
}

# The gate: admitted, refused, or retry; no answer at all is a reason to try again too.
while :; do
	answer=$(ask "SELECT verdict, coalesce(extract(epoch FROM retry_after), 5), extract(epoch FROM beat_every), concat_ws(': ', rule, reason)
		FROM zdu_join(:'cluster', :'node', :'version', :'incarnation')") || answer=
	case $answer in
		admitted*) break ;;
		refused*) echo "$node is refused: ${answer##*|}" >&2; exit 78 ;;
	esac
	seconds=$(echo "$answer" | cut -d '|' -f 2)
	sleep "${seconds:-5}"
done
every=$(echo "$answer" | cut -d '|' -f 3)

# From here on a signal is for the program, and its end is told.
"$@" &
program=$!
leave()
{
	state=TERMINATING
	every=0.5
	beat >/dev/null
	kill -s TERM "$program" 2>/dev/null
}
trap leave TERM INT
while kill -s 0 "$program" 2>/dev/null; do
	# A database that is away is no reason to stop serving.
	if answer=$(beat); then
		said=${answer%%|*}
		case $command-$said in
			serve-drain) kill -s USR1 "$program" ;;
			drain-serve) kill -s USR2 "$program" ;;
			*-stop|*-) leave ;;		# none: a newer process has our name
		esac
		command=${said:-$command}
		test "$state" != ACTIVE || state=
	fi
	sleep "$every" &
	pause=$!
	wait "$pause"
	kill "$pause" 2>/dev/null
done
wait "$program"
status=$?
state=OFFLINE
beat >/dev/null
exit "$status"
