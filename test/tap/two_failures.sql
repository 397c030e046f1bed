-- Two nodes that fail in one call are one reason to roll back, and no reason to hold the rollback.
BEGIN;
SELECT plan(5);

SELECT zdu_set_runbook('ops', '{"zdu_runbook": 1, "observe": {"http": "http://{node}/", "version": "$.version", "active": "$.up"},
	"node": {"stop": {"exec": "svc", "until": "$.up == false"}, "start": {"exec": "svc", "until": "$.up == true"}}}');
SELECT zdu_set_policy('own', settings => '{"max_unavailable": "2", "on_failure": "rollback"}');
SELECT zdu_set_cluster('shop', runbook => 'ops', policy => 'own');
SELECT zdu_set_node('shop', n) FROM unnest('{app1,app2,app3}'::text[]) n;

CREATE FUNCTION work(reports json, slots integer DEFAULT 9) RETURNS SETOF text LANGUAGE sql AS
	$$ SELECT format('%s %s %s', node, phase, verb) FROM zdu_work('w1', 'i1', 'shop', reports, slots, programs => '{svc}') WHERE token IS NOT NULL ORDER BY 1 $$;
CREATE FUNCTION all_say(text, text, json) RETURNS json LANGUAGE sql AS
	$$ SELECT json_agg(json_build_object('token', epoch || '.' || number, 'verb', $1, 'state', $2, 'evidence', $3))
	   FROM zdu.step WHERE state = 'running' $$;

SELECT work((SELECT json_agg(json_build_object('node', n, 'seen', '{"up": true, "version": "1.0"}'::json)) FROM unnest('{app1,app2,app3}'::text[]) n), 0);
SELECT zdu_begin('shop', '1.1');
SELECT set_eq($$ SELECT work('[]') $$, '{app1 stop probe,app2 stop probe}'::text[], 'D11: two nodes are taken');
SELECT work(all_say('probe', 'done', '{"up": true}'));
SELECT work(all_say('act', 'failed', '{}'));
SELECT set_eq($$ SELECT work(all_say('probe', 'done', '{"up": true}')) $$, '{app1 start probe,app2 start probe}'::text[],
	'L23: both failed in the same call, and both are started again at once');
SELECT is((SELECT run FROM zdu.upgrade), 'rolling_back', 'L23: the second failure does not hold the rollback that the first one began');
SELECT is((SELECT failures FROM zdu.upgrade), 0, 'L23: the way back has a failure count of its own');
SELECT is((SELECT count(*) FROM zdu.event WHERE what = 'upgrade' AND new = 'rolling_back'), 1::bigint, 'L23: it is rolled back once');

SELECT * FROM finish();
ROLLBACK;
