-- Promise: what a look shows to have failed for good fails at once, not at the timeout; what was so before the action does not count.
BEGIN;
SELECT plan(15);
\ir sim.psql

-- `prepared` of a node stands for the mark of a failure here.
CREATE FUNCTION pg_temp.mark(c text, n text, failed boolean) RETURNS void LANGUAGE sql AS
$$ UPDATE sim.world SET prepared = failed WHERE cluster = c AND node = n $$;
CREATE FUNCTION pg_temp.failed(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', n.name, s.phase, s.attempt), ', ' ORDER BY s.step_id) FROM zdu.step s JOIN zdu.node n USING (node_id) JOIN zdu.cluster k ON k.cluster_id = s.cluster_id
   WHERE k.name = c AND s.state = 'failed' $$;
CREATE FUNCTION pg_temp.phase(extra jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('node', jsonb_build_object('upgrade', '{"exec": "svc", "args": ["upgrade"], "until": "$.installed == $version", "fail": "$.prepared == true"}'::jsonb || extra)) $$;

SELECT sim.make('shop', 3, '{}', pg_temp.phase()), zdu_begin('shop', '1.1.0');
SELECT pg_temp.mark('shop', 'app1', true);
SELECT is(sim.drive('shop', 'held', rounds => 30), 'held', 'M9: a step that is seen to have failed holds the upgrade, long before its timeout of 5 min');
SELECT is(pg_temp.failed('shop'), 'app1 upgrade 1', 'M9: it has failed, although until holds');
SELECT is(sim.acts('shop', 'app1'), 'isolate stop upgrade', 'W4: what was so before the action kept nobody from acting');
SELECT is((SELECT fail FROM zdu.step WHERE state = 'failed'), '$.prepared == true', 'M9: zdu.step says by what');
SELECT matches((SELECT reason FROM zdu.event WHERE cluster = 'shop' AND new = 'upgrade failed'), 'seen to have failed', 'L22: the log says why');
SELECT is((SELECT rule || ' ' || (observed ~ '"prepared": true')::text FROM zdu_why('shop') WHERE subject = 'app1 upgrade'), 'W6 true', 'L22: zdu_why shows what was seen');
SELECT zdu_retry('shop');
SELECT is(sim.drive('shop', 'running') || ' ' || sim.drive('shop', 'held', rounds => 30) || ' ' || pg_temp.failed('shop'), 'running held app1 upgrade 2', 'M9: and the same again when it is tried again as it is');
SELECT pg_temp.mark('shop', 'app1', NULL), zdu_retry('shop');
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'M9: mended and tried again it goes on');

SELECT sim.make('again', 3, '{}', pg_temp.phase('{"retries": 1}')), zdu_begin('again', '1.1.0'), pg_temp.mark('again', 'app1', true), sim.drive('again', 'held', rounds => 40);
SELECT is(sim.acts('again', 'app1') || ', ' || pg_temp.failed('again'), 'isolate stop upgrade upgrade, app1 upgrade 2', 'W1: another attempt acts again');

SELECT sim.make('waits', 3, '{}', '{"node": {"verify": {"exec": "svc", "args": ["verify"], "only": "probe", "until": "$.running == true && $.version == $version", "fail": "$.prepared == true"}}}');
SELECT zdu_begin('waits', '1.1.0'), pg_temp.mark('waits', 'app1', true), sim.drive('waits', 'held', rounds => 40);
SELECT is(pg_temp.failed('waits'), 'app1 verify 1', 'M9: a phase that only waits fails at its first look');

-- Of several targets one is enough; a look that went wrong says nothing good, but may say that.
CREATE FUNCTION pg_temp.say(evidence text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    step text := (SELECT epoch || '.' || number FROM zdu.step s JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'many' AND s.state = 'running' AND s.phase = 'upgrade');
BEGIN
    PERFORM zdu_work('w1', 'w1-1', 'many', json_build_array(json_build_object('token', step, 'verb', 'probe', 'state', 'done', 'evidence', evidence::json)), 10, programs => '{svc}');
    RETURN coalesce(pg_temp.failed('many'), 'no');
END $$;
SELECT sim.make('many', 3, '{}', pg_temp.phase()), zdu_begin('many', '1.1.0');
SELECT sim.break('many', 'app1', 'upgrade', 'lies'), sim.drive_until('many', $$ sim.step('many', 'app1') = 'upgrade running verify 1' $$);
SELECT is(pg_temp.say('[{"installed": "1.1.0"}, {"installed": "1.0.0"}]'), 'no', 'M9: one that is not done yet has not failed');
SELECT is(pg_temp.say('[{"installed": "1.1.0"}, {"prepared": true}]'), 'app1 upgrade 1', 'M9: of several targets one is enough');

SELECT is(sim.refused('SELECT zdu_set_runbook(''bad'', ' || quote_literal(sim.runbook() || jsonb_build_object('node', sim.runbook()->'node' || (pg_temp.phase(extra)->'node'))) || ')'), '22023 W1', 'W1: refused: ' || claim) FROM (VALUES
    ('{"fail": "$.x =="}'::jsonb, 'what is no jsonpath'), ('{"fail": "$.x == $nothing"}', 'a variable that nobody gives'), ('{"fail": true}', 'what is no text')) AS t (extra, claim);

SELECT * FROM finish();
ROLLBACK;
