-- Promise: the steps of a node are seen as one, in zdu.step, whether they are over, under way or still to be done; each ends once.
BEGIN;
SELECT plan(21);
\ir sim.psql

-- What zdu.step shows of a node in an upgrade, a letter for each state: s succeeded, k skipped, c cancelled, p pending, r running, f failed.
CREATE FUNCTION pg_temp.states(c text, n text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(CASE s.state WHEN 'skipped' THEN 'k' ELSE left(s.state, 1) END, '' ORDER BY s.ord)
   FROM zdu.step s JOIN zdu.node d USING (node_id) JOIN zdu.cluster k ON k.cluster_id = d.cluster_id WHERE k.name = c AND d.name = n AND s.upgrade_id IS NOT NULL $$;
CREATE FUNCTION pg_temp.flying(c text) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM zdu.flight f JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
CREATE FUNCTION pg_temp.step(c text, n text, p text) RETURNS zdu.step LANGUAGE sql AS
$$ SELECT s FROM zdu.step s JOIN zdu.node d USING (node_id) JOIN zdu.cluster k ON k.cluster_id = d.cluster_id
   WHERE k.name = c AND d.name = n AND s.phase = p ORDER BY s.ord DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.report(c text, token text, seen json) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(sqlstate, ' ') FILTER (WHERE verb = 'error'), 'taken')
   FROM zdu_work('w1', 'w1-1', c, json_build_array(json_build_object('token', token, 'verb', 'probe', 'state', 'done', 'evidence', seen)), 0, programs => '{svc}') $$;

-- The whole way.
SELECT sim.make('way', 2, '{"min_healthy_time": "0 s"}'), zdu_begin('way', '1.1.0'), sim.ask('way');
SELECT is(pg_temp.states('way', 'app1'), 'rpppppp', 'W1: all steps of a node are there when it is taken');
SELECT sim.drive_until('way', $$ sim.step('way', 'app1') LIKE 'start running act%' $$);
SELECT is(pg_temp.states('way', 'app1'), 'ssssrpp', 'W1: and follow on each other');
SELECT is(pg_temp.flying('way'), 1::bigint, 'W1: a node in flight is one row');
SELECT is((s).attempts || ' ' || (s).attempt || ' ' || (s).number || coalesce((s).worker, ' nobody'), '1 0 0 nobody', 'W1: one that has not begun shows nothing of the one before it')
FROM pg_temp.step('way', 'app1', 'verify') s;
SELECT is((s).settled || ' ' || (s).worker || ' ' || ((s).evidence->>'running'), 'true w1 false', 'W6: one that is over shows by whom, and what was seen') FROM pg_temp.step('way', 'app1', 'stop') s;
SELECT is(pg_temp.report('way', (s).epoch || '.' || (s).number, '{"running": false}'), 'taken', 'W5: the report that ended a step gets the same answer again') FROM pg_temp.step('way', 'app1', 'stop') s;
SELECT is(pg_temp.states('way', 'app1'), 'ssssrpp', 'W5: and ends no other');
SELECT sim.drive_until('way', $$ sim.node('way', 'app1') = 'ACTIVE 1.1.0' AND sim.node('way', 'app2') = 'ACTIVE 1.1.0' $$);
SELECT is(pg_temp.states('way', 'app1') || ' ' || pg_temp.flying('way'), 'sssssss 0', 'W1: when all are over nothing is in flight');

-- What is not wanted is passed over.
SELECT sim.make('out', 3, '{"min_healthy_time": "10 s"}'), zdu_detach('out', 'app1');
SELECT sim.drive_until('out', $$ pg_temp.flying('out') = 0 $$);
SELECT zdu_begin('out', '1.1.0');
SELECT sim.drive_until('out', $$ sim.step('out', 'app1') LIKE 'verify%' $$);
SELECT is(pg_temp.states('out', 'app1'), 'sssssrkp', 'N6: a detached node is not integrated');
SELECT sim.drive_until('out', $$ sim.node('out', 'app1') = 'ACTIVE 1.1.0 out' $$);
SELECT is(pg_temp.states('out', 'app1'), 'ssssssks', 'N6: but goes on with what comes after that');

-- One that failed stands in the way until it is tried again.
SELECT sim.make('fail', 2, '{"min_healthy_time": "0 s"}'), sim.break('fail', 'app1', 'start'), zdu_begin('fail', '1.1.0');
SELECT sim.drive_until('fail', $$ sim.step('fail', 'app1') LIKE 'start failed%' $$);
SELECT is(pg_temp.states('fail', 'app1'), 'ssssfpp', 'W1: behind one that failed the others wait');
SELECT throws_ok($$ SELECT zdu_remove_node('fail', 'app1') $$, '55000', NULL, 'L16: so its node is in flight still');
SELECT sim.mend('fail'), zdu_retry('fail');
SELECT is(pg_temp.states('fail', 'app1'), 'ssssppp', 'L22: tried again it has its turn again');

-- Brought back: what has not begun is cancelled at once, what runs when it has ended.
SELECT sim.make('back', 2, '{"min_healthy_time": "0 s"}'), zdu_begin('back', '1.1.0');
SELECT sim.drive_until('back', $$ sim.step('back', 'app1') LIKE 'stop running act%' $$);
SELECT zdu_rollback('back', node => 'app1');
SELECT is(pg_temp.states('back', 'app1'), 'ssrcccc', 'L23: what has not begun is cancelled at once');
SELECT ok((s).settled AND (s).ended_at IS NOT NULL AND (s).started_at IS NULL, 'L23: and when, is known') FROM pg_temp.step('back', 'app1', 'start') s;
SELECT is((s).stage, 'end', 'L23: what runs is ended') FROM pg_temp.step('back', 'app1', 'stop') s;
SELECT sim.drive_until('back', $$ sim.node('back', 'app1') = 'ACTIVE 1.0.0' $$);
SELECT matches(pg_temp.states('back', 'app1'), '^ss[cs]cccc(s+)$', 'L23: and then the way back follows');
SELECT is(zdu_force_state('back', NULL, 'STABLE', 'enough') || ' ' || pg_temp.flying('back'), 'STABLE 0', 'L22: forced, nothing is in flight');

-- Forced in the middle.
SELECT sim.make('force', 2, '{"min_healthy_time": "0 s"}'), zdu_begin('force', '1.1.0');
SELECT sim.drive_until('force', $$ sim.step('force', 'app1') LIKE 'stop running act%' $$);
SELECT zdu_force_state('force', NULL, 'STABLE', 'enough');
SELECT is(pg_temp.states('force', 'app1') || ' ' || pg_temp.flying('force'), 'ssccccc 0', 'L22: what runs is cancelled too');
SELECT is(pg_temp.report('force', (s).epoch || '.' || (s).number, '{"running": false}'), 'taken', 'W5: who still reports it is not told that somebody else has it') FROM pg_temp.step('force', 'app1', 'stop') s;
SELECT is_empty($$ SELECT step_id FROM zdu.step GROUP BY step_id HAVING count(*) > 1 $$, 'W1: no step is shown twice');

SELECT * FROM finish();
ROLLBACK;
