-- Promise: what zdu observed is changed by its functions, not by a plain UPDATE or DELETE; an INSERT is for a restore.
BEGIN;
SELECT plan(36);
SET client_min_messages = warning;

SELECT zdu_set_cluster('shop', runbook => 'local', vars => '{"root": "/", "haproxy": "a:1", "backend": "b", "health": "http://{address}/"}');
SELECT zdu_join('shop', 'app' || n, '1.0'), zdu_heartbeat('shop', 'app' || n, state => 'ACTIVE') FROM generate_series(1, 3) n;
SELECT zdu_set_node('shop', 'app' || n, '127.0.0.1') FROM generate_series(1, 3) n;
SELECT zdu_begin('shop', '1.1');
SELECT count(*) FROM zdu_work('w', '1', 'shop', '[]', 1, programs => '{local-service}');
SELECT isnt_empty('SELECT FROM zdu.step', 'N1: there is a row of every kind to try it with');

CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'carried out';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, detail, hint);
END $$;

SELECT is(pg_temp.refusal(format('%s zdu.%s %s', verb, relation, CASE verb WHEN 'UPDATE' THEN 'SET ' || col || ' = ' || col END)),
          format('55000 | rows of zdu.%s cannot be %s by hand | N1: what zdu observed is changed by its functions, which lock the cluster first. | '
                 'SELECT name, usage FROM zdu.help; the audited way out is zdu_force_state()', relation, CASE verb WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END),
          format('N1: refused, with a hint: %s zdu.%s', verb, relation))
FROM (VALUES ('cluster', 'state'), ('node', 'state'), ('upgrade', 'run'), ('step', 'state'), ('flight', 'state'), ('step_past', 'state'), ('step_plan', 'round'), ('node_count', 'n'), ('event', 'new'), ('event_log', 'new'),
             ('runbook', 'document'), ('policy', 'max_unavailable')) AS t (relation, col)
CROSS JOIN (VALUES ('UPDATE'), ('DELETE FROM')) AS v (verb)
WHERE (relation, verb) NOT IN (('upgrade', 'DELETE FROM'), ('step_plan', 'DELETE FROM'));

-- Not after the functions have written, either: not in the same statement, and not after an error inside.
SELECT alike(pg_temp.refusal($$UPDATE zdu.node SET state = 'ERROR' WHERE name = 'app1' AND zdu_set_node('shop', 'app2', zone => 'z') = 'changed'$$), '55000%',
             'N1: refused while zdu''s own functions run in the same statement');
DO $$ BEGIN PERFORM zdu_set_node('shop', 'not a name'); EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT alike(pg_temp.refusal($$UPDATE zdu.node SET state = 'ERROR'$$), '55000%', 'N1: refused after a write of zdu''s own has failed');
SELECT set_eq('SELECT DISTINCT state FROM zdu.node', '{ACTIVE}'::text[], 'N1: nothing of all that has changed a node');
SELECT alike(pg_temp.refusal($$UPDATE zdu.node SET state = 'ERROR' WHERE false$$), '55000%', 'N1: refused before anybody looks which rows it is about');
SELECT is(pg_temp.refusal($$UPDATE zdu.policy SET max_unavailable = '1' WHERE name = 'mine'$$), 'carried out', 'N1: of policies only the shipped rows are');

-- The audited way out
SELECT is(zdu_force_state('shop', 'app3', 'ERROR', 'seen with my own eyes'), 'ERROR', 'N1: zdu_force_state is the way out');
SELECT results_eq($$SELECT old, new, rule, reason FROM zdu.timeline WHERE node = 'app3' ORDER BY at DESC LIMIT 1$$,
                  $$VALUES ('ACTIVE', 'ERROR', 'L22', 'seen with my own eyes')$$, 'N1: the log has the reason');
SELECT throws_ok($$SELECT zdu_force_state('shop', 'app3', 'ERROR', NULL)$$, '22004', NULL, 'N1: which has to be given');

-- What belongs together goes together.
DELETE FROM zdu.upgrade;
SELECT is_empty('SELECT FROM zdu.flight UNION ALL SELECT FROM zdu.step_past', 'N1: steps go with their plan, and that with its upgrade');

-- A restore loads with the triggers on.
SELECT lives_ok($$INSERT INTO zdu.node (cluster_id, name, state, version) SELECT cluster_id, 'app4', 'TERMINATING', '1.0' FROM zdu.cluster$$,
                'N1: an INSERT takes any legal state');
SELECT throws_ok($$INSERT INTO zdu.node (cluster_id, name, state) SELECT cluster_id, 'app5', 'HAPPY' FROM zdu.cluster$$, '23514', NULL,
                 'N1: and no other');
SELECT throws_ok($$INSERT INTO zdu.node (cluster_id, name, state, confirmed) SELECT cluster_id, 'app5', 'ACTIVE', true FROM zdu.cluster$$, '23514', NULL,
                 'L10: only OFFLINE can be confirmed');
SELECT lives_ok($$UPDATE zdu.policy SET max_unavailable = '2' WHERE name = 'mine'$$, 'N1: policies of one''s own are nobody''s observation');

SELECT * FROM finish();
ROLLBACK;
