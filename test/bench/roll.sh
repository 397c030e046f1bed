# Rolls 40 local nodes through seven steps of 0.2 s, 10 at a time, by one worker.

cases()
{
	echo roll_40 most 1.10 ideal
}

prepare()
{
	database roll
	sql roll "CREATE EXTENSION zdu"
	sql roll "SELECT zdu_set_policy('bench', settings => '{\"max_unavailable\": 10, \"min_healthy_time\": \"0 s\",
		\"finalize\": \"auto\", \"heartbeat_ttl\": \"1 h\"}')"
	sql roll "SELECT zdu_set_runbook('bench', jsonb_build_object('zdu_runbook', 1, 'node', jsonb_object_agg(
		phase, '{\"exec\": \"bench-step\", \"until\": \"\$.version == \$version\"}'::jsonb)))
		FROM unnest('{isolate,drain,stop,upgrade,start,verify,integrate}'::text[]) AS phase"
	sql roll "SELECT zdu_set_cluster('c', policy => 'bench', runbook => 'bench')"
	sql roll "SELECT zdu_join('c', 'app' || i, '1.0.0') FROM generate_series(1, 40) AS i"
	sql roll "SELECT zdu_heartbeat('c', 'app' || i, state => 'ACTIVE') FROM generate_series(1, 40) AS i"
	zdu_worker "dbname=roll" --runbooks "$here/programs" >"$work/worker.log" 2>&1 &
}

# Rolls from where it is to the next minor version.
rate()
{
	sql roll "SELECT zdu_begin('c', format('1.%s.0', 1 + zdu_version_minor(version))) FROM zdu.cluster" >/dev/null 2>&1
	zdu_worker "dbname=roll" --follow c --timeout 60 >"$work/follow.log" 2>&1 ||
		die "the roll did not end: $(tail -n 3 "$work/follow.log" "$work/worker.log")"
	sql roll "SELECT 40 / extract(epoch FROM ended_at - began_at) FROM zdu.upgrade ORDER BY upgrade_id DESC LIMIT 1"
}
