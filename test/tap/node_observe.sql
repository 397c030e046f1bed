-- Promise: nodes that cannot report are seen through workers, and what is known of a node stands in one line.
BEGIN;
SELECT plan(36);
SET client_min_messages = warning;

SELECT zdu_set_runbook('looks', '{"zdu_runbook": 1,
    "observe": {"http": "http://{address}/", "version": "$.version", "active": "$.up == true", "every": "1s"},
    "node": {"stop": {"exec": "unit", "args": ["stop"], "until": "$.running == false"}}}');
SELECT zdu_set_policy('quick', settings => '{"min_healthy_time": "0 s"}');
SELECT zdu_set_cluster('shop', 'quick', 'looks');
SELECT zdu_set_node('shop', 'app' || n, '10.0.0.1' || n) FROM generate_series(1, 3) n;

-- Asks for work, with reports; keeps the answer.
CREATE TEMP TABLE answer (token text, node text, phase text, verb text, args jsonb, sqlstate text);
CREATE FUNCTION pg_temp.work(reports text DEFAULT '[]', slots int DEFAULT 0) RETURNS void LANGUAGE sql
AS $$
	TRUNCATE answer;
	INSERT INTO answer SELECT token, node, phase, verb, args, sqlstate
	FROM zdu_work('w', '1', 'shop', $1::json, $2, programs => '{unit}');
$$;
-- Reports what the step that the worker holds looks like.
CREATE FUNCTION pg_temp.look(evidence json) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
	held text := (SELECT token FROM answer WHERE token IS NOT NULL);
BEGIN
	PERFORM pg_temp.work(json_build_array(json_build_object('token', held, 'verb', 'probe', 'state', 'done', 'evidence', evidence))::text);
END $$;
-- The line of a node, without its times.
CREATE FUNCTION pg_temp.line(node text) RETURNS text LANGUAGE sql
AS $$ SELECT concat_ws(' ', state, version, users, tasks, step) FROM zdu.node_status WHERE node = $1 $$;

SELECT pg_temp.work();
SELECT results_eq($$SELECT node, phase, verb, token, args->'targets'->0->>'http' FROM answer ORDER BY node$$,
    $$VALUES ('app1', 'observe', 'probe', NULL, 'http://10.0.0.11/'), ('app2', 'observe', 'probe', NULL, 'http://10.0.0.12/'),
             ('app3', 'observe', 'probe', NULL, 'http://10.0.0.13/')$$,
    'N18: in STABLE a worker is asked to look at every node, at its own address');
SELECT pg_temp.work();
SELECT is_empty('TABLE answer', 'N18: not again before it is due');
SELECT pg_temp.work('[{"node": "app1", "seen": {"version": "1.0", "up": true}}, {"node": "app2", "seen": {"version": "1.0", "up": false}},
                      {"node": "app3", "seen": {"error": "timeout"}}]');
SELECT is(pg_temp.line('app1'), 'ACTIVE 1.0', 'N18: what is up is ACTIVE, at the version that was seen');
SELECT is(pg_temp.line('app2'), 'STARTING 1.0', 'N18: what answers but is not up yet is STARTING');
SELECT is(pg_temp.line('app3'), 'OFFLINE (unheard)', 'N18: a look that could not be made says nothing about the node');
SELECT is((SELECT version::text FROM zdu.cluster), '1.0', 'N18: the first node seen up shows the version of the cluster');
SELECT ok((SELECT heard IS NOT NULL FROM zdu.node_status WHERE node = 'app1'), 'N18: a node that was seen was heard');
SELECT ok((SELECT heard IS NULL FROM zdu.node_status WHERE node = 'app3'), 'N18: one that was not seen was not');
SELECT pg_temp.work('[{"node": "app2", "seen": {"refused": true, "http_code": 0, "error": "refused"}}, {"node": "app3", "seen": {"version": "1.0", "up": true}}]');
SELECT is(pg_temp.line('app2'), 'OFFLINE 1.0', 'N18: a refused connection is a confirmed OFFLINE');
SELECT pg_temp.work('[{"node": "app1", "seen": {"version": "1.0", "up": false}}]');
SELECT is(pg_temp.line('app1'), 'ERROR 1.0', 'N18: what was up and answers that it is not is in ERROR');
SELECT pg_temp.work('[{"node": "app1", "seen": {"version": "1.0", "up": true}}, {"node": "app2", "seen": {"version": "1.0", "up": true}}]');
SELECT pg_temp.work('[{"node": "app3", "seen": {"version": "1.0.1", "up": true}}]');
SELECT is(pg_temp.line('app3'), 'ACTIVE 1.0.1', 'N18: that somebody upgraded a node by hand is seen');
SELECT pg_temp.work('[{"node": "app3", "seen": {"version": "no version", "up": true}}]');
SELECT is(pg_temp.line('app3'), 'ACTIVE 1.0.1', 'N18: what is no version is none');
SELECT pg_temp.work('[{"node": "app3", "seen": {"version": "1.0", "up": true}}]');
SET zdu.clock_offset = '100s';
SELECT pg_temp.work();
SELECT results_eq('SELECT node FROM answer ORDER BY node', $$VALUES ('app1'), ('app2'), ('app3')$$, 'N18: when it is due the looks come again');
SELECT is((SELECT count(*) FROM zdu_work('agent', '1', 'shop', node => 'app2')), 0::bigint,
          'N18: a second worker need not look as well');

-- A worker stands still with what it saw, and the node changes meanwhile.
CREATE FUNCTION pg_temp.late(asked timestamptz, seen text) RETURNS text LANGUAGE sql
AS $$
	SELECT pg_temp.work(json_build_array(json_build_object('node', 'app3', 'seen', seen::json,
		'asked', (extract(epoch FROM asked - '2000-01-01 00:00:00+00') * 1000000)::bigint))::text);
	SELECT pg_temp.line('app3');
$$;
SELECT ok((SELECT bool_and((args->>'asked')::bigint = (extract(epoch FROM h.asked - '2000-01-01 00:00:00+00') * 1000000)::bigint) FROM answer a
	JOIN zdu.node n ON n.name = a.node JOIN zdu.node_heard h USING (node_id)), 'N18: a worker is told when it was asked to look');
SELECT is(pg_temp.late(since - interval '1 us', '{"refused": true}'), 'ACTIVE 1.0', 'N18: what was seen of a node before it came into its state says nothing')
FROM zdu.node WHERE name = 'app3';
SELECT is(pg_temp.late(since, '{"refused": true}'), 'OFFLINE 1.0', 'N18: what was seen since then does')
FROM zdu.node WHERE name = 'app3';
SET zdu.clock_offset = '0s';
SELECT is(pg_temp.late(since - interval '1 us', '{"version": "1.0", "up": true}'), 'ACTIVE 1.0', 'N18: and after the clock was set back too')
FROM zdu.node WHERE name = 'app3';
SET zdu.clock_offset = '100s';

-- N5: the step that a node is in
SELECT is(pg_temp.line('app1'), 'ACTIVE 1.0', 'N5: a node that nobody works on is in no step');
SELECT zdu_begin('shop', '1.0.1');
SELECT pg_temp.work(slots => 1);
SELECT is(pg_temp.line('app1'), 'ACTIVE 1.0 stop', 'N5: the status names the step that is carried out on a node');
SELECT ok((SELECT since = (SELECT started_at FROM zdu.step WHERE state = 'running') FROM zdu.node_status WHERE node = 'app1'), 'N5: and since when');
SELECT pg_temp.look('{"running": true}');
SELECT is(pg_temp.line('app1'), 'TERMINATING 1.0 stop', 'N5: the state follows what is done to it');
SELECT pg_temp.work('[{"node": "app1", "seen": {"refused": true}}]');
SELECT is(pg_temp.line('app1'), 'TERMINATING 1.0 stop', 'N18: looks do not interfere with a node that is worked on');
SELECT zdu_force_state('shop', NULL, 'STABLE', 'enough of it');

-- N17, with nodes that report how many users they have
SELECT zdu_set_cluster('busy');
SELECT zdu_join('busy', n, '1.0'), zdu_heartbeat('busy', n, state => 'ACTIVE') FROM unnest('{a,b,c}'::text[]) n;
SELECT zdu_begin('busy', '1.1');
SELECT zdu_join('busy', 'c', '1.1'), zdu_heartbeat('busy', 'c', state => 'ACTIVE');
CREATE FUNCTION pg_temp.hints(users int[]) RETURNS text[] LANGUAGE sql
AS $$
	SELECT zdu_heartbeat('busy', '{a,b,c}'::text[], users => $1);
	SELECT array_agg(node || ': ' || hint) FROM zdu.node_status WHERE hint IS NOT NULL;
$$;
SELECT is(pg_temp.hints(users), hints, 'N17: users ' || users::text || ': ' || meaning)
FROM (VALUES ('{20,20,40}'::int[], NULL::text[], 'twice its peers is not yet far more'),
             ('{20,20,41}', ARRAY['c: SELECT zdu_detach(''busy'', ''c'')'], 'a new node that draws more is shown, with what helps'),
             ('{10,NULL,61}', ARRAY['c: SELECT zdu_detach(''busy'', ''c'')'], 'what was not said keeps its last value'),
             ('{2,2,20}', NULL, 'a handful of users is nothing to act on'),
             ('{200,20,20}', NULL, 'an old node is not meant')) AS t (users, hints, meaning);
SELECT zdu_heartbeat('busy', '{a,b,c}'::text[], states => '{ACTIVE,OFFLINE,ACTIVE}', users => '{10,500,30}');
SELECT is((SELECT hint FROM zdu.node_status WHERE node = 'c'), 'SELECT zdu_detach(''busy'', ''c'')', 'N17: its peers are those that are ACTIVE');

-- A node that says more of itself when it is looked at.
SELECT zdu_set_runbook('tells', '{"zdu_runbook": 1,
    "observe": {"http": "http://{address}/", "version": "$.version", "active": "$.state == \"ACTIVE\"", "node_state": "$.state", "tasks": "$.work.tasks", "users": "$.users"},
    "node": {"stop": {"exec": "unit", "args": ["stop"], "until": "$.running == false"}}}');
SELECT zdu_set_cluster('tells', 'quick', 'tells');
SELECT zdu_set_node('tells', 'told', '10.0.0.9');
CREATE FUNCTION pg_temp.told(seen text) RETURNS text LANGUAGE sql
AS $$
	SELECT zdu_work('w', '1', 'tells', json_build_array(json_build_object('node', 'told', 'seen', seen::json)));
	SELECT pg_temp.line('told');
$$;
SELECT is(pg_temp.told(seen), line, format('%s: %s', rule, meaning))
FROM (VALUES ('{"version": "1.0", "state": "STARTING", "work": {"tasks": 3}}', 'STARTING 1.0 3', 'N18', 'a node that says so is STARTING'),
             ('{"version": "1.0", "state": "ACTIVE", "work": {"tasks": 0}, "users": 14}', 'ACTIVE 1.0 14 0', 'N5', 'its users and tasks are known'),
             ('{"version": "1.0", "state": "ACTIVE", "work": {"tasks": "many"}}', 'ACTIVE 1.0 14 0', 'N5', 'what is no number is not said'),
             ('{"version": "1.0", "state": "TERMINATING"}', 'TERMINATING 1.0 14 0', 'N3', 'one that is leaving is not in ERROR'),
             ('{"version": "1.0", "state": "OFFLINE"}', 'OFFLINE 1.0 14 0', 'N3', 'and then OFFLINE, confirmed'),
             ('{"version": "1.0", "state": "ACTIVE"}', 'ACTIVE 1.0 14 0', 'N18', 'it is back'),
             ('{"version": "1.0", "state": "WONKY"}', 'ERROR 1.0 14 0', 'N18', 'with a word that nobody knows it is not ACTIVE')) AS t (seen, line, rule, meaning);

SELECT * FROM finish();
ROLLBACK;
