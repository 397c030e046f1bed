-- Promise: the preparation works towards the target, and its undo and the tasks after it know where the cluster is.
BEGIN;
SELECT plan(3);

SELECT zdu_set_runbook('prepared', '{"zdu_runbook": 1,
	"before": [{"name": "schema", "exec": "schema", "args": ["{original}", "{version}"], "until": "$.schema == $version"}],
	"node": {"stop": {"exec": "stop", "until": "$.up == false"}, "verify": {"exec": "look", "only": "probe", "until": "$.version == $version"}}}');
SELECT zdu_set_cluster('shop', runbook => 'prepared');
SELECT zdu_join('shop', n, '1.0.0', n || '-1'), zdu_heartbeat('shop', n, n || '-1', 'ACTIVE') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_begin('shop', '1.1.0');

SELECT is((SELECT act->'targets'->0->'args' FROM zdu.step WHERE phase = 'before'), '["1.0.0", "1.1.0"]',
		  'S1: the schema step is told the version that it goes to');
SELECT is((SELECT vars->>'version' FROM zdu.step WHERE phase = 'before'), '1.1.0', 'S1: and is done when that is seen');
SELECT is((SELECT string_agg(phase, ' ') FROM zdu_work('w', 'w-1', 'shop', slots => 5, programs => '{schema,stop,look}') WHERE token IS NOT NULL), 'before',
		  'S1: no node step comes before it');

SELECT * FROM finish();
ROLLBACK;
