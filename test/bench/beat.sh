# Heartbeats of 32 nodes, one a call, each written: beat_DURABILITY_CLIENTS.
#
# A beat may be lost in a crash, for the next one tells the same: a node's role would have
# synchronous_commit = off.  beat_sync_* is with what the peer always has, on.

cases()
{
	for clients in 1 8 32; do
		echo "beat_async_$clients least 1.2 update"
		echo "beat_sync_$clients least 0.7 update"
	done
}

prepare()
{
	database beat
	sql beat "CREATE EXTENSION zdu"
	sql beat "SELECT zdu_set_cluster('c')"
	sql beat "SELECT zdu_join('c', 'app' || i, '1.0.0') FROM generate_series(1, 32) AS i"
	sql beat "SELECT zdu_heartbeat('c', 'app' || i, state => 'ACTIVE') FROM generate_series(1, 32) AS i"
	sql beat "VACUUM ANALYZE"
}

# Calls for each client, so many that its first one, which loads and plans, counts little: amount CASE
amount()
{
	echo "$((${1##*_} == 1 ? 1000 : 1500))"
}

rate()
{
	case $1 in
		*_async_*) PGOPTIONS='-c synchronous_commit=off' ;;
		*) PGOPTIONS='-c synchronous_commit=on' ;;
	esac
	export PGOPTIONS
	per_second beat -c "${1##*_}" -j 2 -t "$(amount "$1")" <<-'END'
		\set n 1 + :client_id
		SELECT command, mode FROM zdu_heartbeat('c', 'app' || :n)
	END
}
