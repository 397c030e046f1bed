-- Promise: what follows on a step is granted in the call that ends it, to whoever may carry it out and has a slot, and with a token of its own.
BEGIN;
SELECT plan(15);

SELECT zdu_set_runbook('ops', '{"zdu_runbook": 1, "node": {
	"stop": {"exec": "svc", "only": "probe", "until": "$.up == false"},
	"upgrade": {"exec": "svc", "only": "probe", "until": "$.up == false"},
	"start": {"exec": "other", "only": "probe", "until": "$.up == true"},
	"verify": {"exec": "svc", "only": "probe", "until": "$.version == $version"}}}');
SELECT zdu_set_policy('wide', settings => '{"max_unavailable": "2", "min_healthy_time": "0 s"}');
SELECT zdu_set_cluster('shop', policy => 'wide', runbook => 'ops');
SELECT zdu_join('shop', n, '1.0'), zdu_heartbeat('shop', n, state => 'ACTIVE') FROM unnest('{app1,app2,app3,app4}'::text[]) n;
SELECT zdu_begin('shop', '1.1');

CREATE TABLE held (node text, phase text, token text, args jsonb);
-- One call: what is held afterwards.
CREATE FUNCTION call(worker text, reports json, slots integer, programs text[] DEFAULT '{svc}') RETURNS text LANGUAGE sql AS $$
	DELETE FROM held;
	INSERT INTO held SELECT node, phase, token, args FROM zdu_work(worker, 'i1', 'shop', reports, slots, programs => programs) WHERE token IS NOT NULL;
	SELECT coalesce(string_agg(node || ' ' || phase, ', ' ORDER BY node), 'nothing') FROM held $$;
CREATE FUNCTION done(up boolean) RETURNS json LANGUAGE sql AS
	$$ SELECT json_agg(json_build_object('token', token, 'verb', 'probe', 'state', 'done', 'evidence', json_build_object('up', up, 'version', '1.1'))) FROM held $$;
CREATE FUNCTION steps() RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(concat_ws(' ', d.name, s.phase, s.state), ', ' ORDER BY d.name) FROM zdu.step s JOIN zdu.node d USING (node_id) WHERE s.number > 0 AND NOT s.settled OR s.state = 'running' $$;

SELECT is(call('w', '[]', 2, '{svc,other}'), 'app1 stop, app2 stop', 'W4: two nodes begin');
CREATE TEMP TABLE before AS SELECT * FROM held;
SELECT is(call('w', done(false), 2), 'app1 upgrade, app2 upgrade', 'W4: in the call that ends a step the next one is granted');
SELECT ok(NOT EXISTS (SELECT FROM held h JOIN before b USING (token)) AND (SELECT min(split_part(token, '.', 2)::bigint) FROM held) > (SELECT max(split_part(token, '.', 2)::bigint) FROM before),
		  'W5: with tokens that are new, and higher');
SELECT is((SELECT string_agg(args->'env'->>'ZDU_PHASE' || (args->'env'->>'ZDU_TOKEN' = token)::text || (args->'env'->>'ZDU_NODE' = node)::text, ' ') FROM held), 'upgradetruetrue upgradetruetrue',
		  'W4: whoever runs it is told its phase, token and node');
SELECT is((SELECT count(*) FROM zdu.event WHERE new = 'upgrade running' AND rule = 'W4' AND reason = 'granted to w, attempt 1'), 2::bigint, 'W4: and that is in the log like any grant');
SELECT is(call('w', done(false), 2), 'nothing', 'W4: what asks for a program that the worker has not is not granted to it');
SELECT is(call('x', '[]', 1, '{other}'), 'app1 start', 'W4: but to one that has it, as far as its slots go');
SELECT is(call('x', done(true), 1, '{other,svc}'), 'app1 verify', 'W4: where the step of another node waits too, the node that is further goes on');
SELECT is(steps(), 'app1 verify running', 'W5: and the other is nobody''s until somebody has a slot');
SELECT is(call('x', done(true), 0, '{other,svc}'), 'nothing', 'W4: with no slot nothing follows');
SELECT is(call('y', '[]', 5, '{other,svc}'), 'app2 start, app3 stop', 'W4: nothing of it is lost');

-- A node that was only taken out, and is detached besides: nothing is left to bring back.
SELECT zdu_set_runbook('out', '{"zdu_runbook": 1, "node": {
	"isolate": {"exec": "svc", "only": "probe", "until": "$.up == false"}, "drain": {"exec": "svc", "only": "probe", "until": "$.up == false"},
	"stop": {"exec": "svc", "only": "probe", "until": "$.up == false"},
	"verify": {"exec": "svc", "only": "probe", "until": "$.version == $version"}, "integrate": {"exec": "svc", "only": "probe", "until": "$.up == true"}}}');
SELECT zdu_set_cluster('shop2', policy => 'wide', runbook => 'out');
SELECT zdu_join('shop2', n, '1.0'), zdu_heartbeat('shop2', n, state => 'ACTIVE') FROM unnest('{app1,app2,app3,app4}'::text[]) n;
SELECT zdu_begin('shop2', '1.1');
CREATE FUNCTION call2(reports json, slots integer) RETURNS bigint LANGUAGE sql AS $$
	DELETE FROM held;
	INSERT INTO held SELECT node, phase, token, args FROM zdu_work('w', 'i1', 'shop2', reports, slots, programs => '{svc}') WHERE token IS NOT NULL;
	SELECT count(*) FROM held $$;
SELECT call2('[]', 1), zdu_detach('shop2', 'app1');
SELECT call2(done(false), 0);
SELECT zdu_cancel('shop2');
SELECT is((SELECT count(*) FROM zdu.node JOIN zdu.cluster USING (cluster_id) WHERE cluster.name = 'shop2' AND taken), 0::bigint,
		  'L23: a detached node that was only taken out is let go at once');
SELECT is((SELECT count(*) FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = 'shop2' AND ended_at IS NULL), 0::bigint, 'L5: and the upgrade is over');

-- Somebody else takes nodes out of the load balancer.
SELECT lives_ok($$ SELECT zdu_set_runbook('others', '{"zdu_runbook": 1, "node": {
	"isolate": {"haproxy": "/run/haproxy.sock", "server": "be/{node}", "state": "drain", "only": "probe"},
	"stop": {"exec": "svc", "until": "$.up == false"}, "verify": {"exec": "svc", "only": "probe", "until": "$.version == $version"}}}'),
	zdu_set_cluster('shop3', policy => 'wide', runbook => 'others'),
	zdu_join('shop3', 'app1', '1.0'), zdu_join('shop3', 'app2', '1.0'), zdu_join('shop3', 'app3', '1.0') $$, 'W2: isolate may only look');
SELECT zdu_heartbeat('shop3', n, state => 'ACTIVE') FROM unnest('{app1,app2,app3}'::text[]) n;
SELECT zdu_begin('shop3', '1.1');
SELECT is((SELECT string_agg(node || ' ' || phase || ' ' || verb || coalesce(' ' || (args->>'keep'), ''), ', ' ORDER BY node)
		   FROM zdu_work('w', 'i1', 'shop3', '[]', 1, programs => '{svc}') WHERE token IS NOT NULL), 'app1 isolate probe', 'W2: then the worker asserts nothing');

SELECT * FROM finish();
ROLLBACK;
