-- Promise: the preparation works towards the target, and its undo and the tasks after it know where the cluster is.
BEGIN;
SELECT plan(6);

SELECT zdu_set_runbook('prepared', '{"zdu_runbook": 1,
	"before": [{"name": "schema", "exec": "schema", "args": ["{original}", "{version}"], "until": "$.schema == $version"}],
	"node": {"stop": {"exec": "stop", "until": "$.up == false"}, "verify": {"exec": "look", "only": "probe", "until": "$.version == $version"}}}');
SELECT zdu_set_cluster('shop', runbook => 'prepared');
SELECT zdu_join('shop', n, '1.0.0', n || '-1'), zdu_heartbeat('shop', n, n || '-1', 'ACTIVE') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_begin('shop', '1.1.0');

SELECT is((SELECT act->'targets'->0->'args' FROM zdu.step WHERE phase = 'before'), '["1.0.0", "1.1.0"]',
		  'S1: the schema step is told the version that it goes to');
SELECT is((SELECT vars->>'version' FROM zdu.step WHERE phase = 'before'), '1.1.0', 'S1: and is done when that is seen');
SELECT is((SELECT act->'env'->>'ZDU_MAX_BLOCK' FROM zdu.step WHERE phase = 'before'), '5000ms', 'S3: and for how long it may block others, as the policy says');
SELECT is((SELECT string_agg(phase, ' ') FROM zdu_work('w', 'w-1', 'shop', slots => 5, programs => '{schema,stop,look}') WHERE token IS NOT NULL), 'before',
		  'S1: no node step comes before it');

SELECT zdu_set_policy('gentle', settings => '{"max_block": "250 ms"}');
SELECT zdu_set_cluster('mild', policy => 'gentle', runbook => 'prepared');
SELECT zdu_join('mild', n, '1.0.0', n || '-1'), zdu_heartbeat('mild', n, n || '-1', 'ACTIVE') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_begin('mild', '1.1.0');
SELECT is((SELECT act->'env'->>'ZDU_MAX_BLOCK' FROM zdu.step JOIN zdu.cluster USING (cluster_id) WHERE phase = 'before' AND name = 'mild'), '250ms',
		  'S3: which may be less than a second');
SELECT zdu_work('w', 'w-1', 'shop', json_build_array(json_build_object('token', t.token, 'verb', 'probe', 'state', 'done',
				'evidence', json_build_object('schema', '1.1.0'))), 5, programs => '{schema,stop,look}')
FROM zdu_work('w', 'w-1', 'shop', slots => 5, programs => '{schema,stop,look}') AS t;
SELECT results_eq($$ SELECT coalesce(act->'env' ? 'ZDU_MAX_BLOCK', false) FROM zdu.step WHERE phase = 'stop' $$, ARRAY[false],
				  'S3: a step of a node has nothing to do with that');

SELECT * FROM finish();
ROLLBACK;
