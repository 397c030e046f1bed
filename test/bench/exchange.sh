# An exchange for which nothing is due: what a worker asks every few seconds.

cases()
{
	echo exchange_idle most 4 key
}

prepare()
{
	database exchange
	sql exchange "CREATE EXTENSION zdu"
	sql exchange "SELECT zdu_set_cluster('c', runbook => 'local', vars => '{\"root\": \"/r\", \"haproxy\": \"/h\", \"backend\": \"b\", \"health\": \"http://h\"}')"
	sql exchange "SELECT zdu_join('c', 'app' || i, '1.0.0') FROM generate_series(1, 10) AS i"
	sql exchange "SELECT zdu_heartbeat('c', 'app' || i, state => 'ACTIVE') FROM generate_series(1, 10) AS i"
	sql exchange "VACUUM ANALYZE"
}

rate()
{
	per_second exchange -t 2000 <<-'END'
		SELECT token, node, phase, attempt, verb, args, deadline, lease, sqlstate, message
		FROM zdu_work('w', 'w1', 'c', slots => 64)
	END
}
