-- Promise: a failure is retried as the runbook says, then held; zdu_retry, zdu_rollback(node) and zdu_rollback() each lead out of it.
BEGIN;
SELECT plan(55);
\ir sim.psql

CREATE FUNCTION pg_temp.why(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', verdict, rule, subject, observed, hint), E'\n') FROM zdu_why(c) $$;

-- c is held because app2 does not start; app1 is done, app3 and app4 untouched.
CREATE FUNCTION pg_temp.held(c text, policy jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 4, policy, '{"node": {"start": {"exec": "svc", "args": ["start"], "until": "$.running == true", "retries": 1}}}');
    PERFORM sim.break(c, 'app2', 'start');
    PERFORM zdu_begin(c, '1.1.0');
    RETURN sim.drive(c, 'held');
END $$;

SELECT is(pg_temp.held('shop'), 'held', 'D11: a node that does not start holds the upgrade');
SELECT is(sim.acts('shop', 'app2'), 'isolate stop upgrade start start', 'W1: after as many retries as its runbook says');
SELECT is(sim.step('shop', 'app2'), 'start failed look 2', 'W1: the step has failed at its last attempt');
SELECT is(sim.node('shop', 'app2'), 'ERROR 1.0.0 out taken', 'N1: the node is in ERROR');
SELECT is((SELECT failures FROM zdu.upgrade WHERE ended_at IS NULL), 1, 'D11: it counts as one failure');
SELECT is((SELECT serving FROM zdu.status WHERE cluster = 'shop'), '3/4', 'D14: the others go on serving');
SELECT sim.drive('shop', 'running', rounds => 30);
SELECT is(coalesce(sim.acts('shop', 'app3'), 'untouched'), 'untouched', 'D11: held is sticky, no further node is taken');
SELECT matches(pg_temp.why('shop'), w, 'L22: zdu_why tells ' || w)
FROM unnest('{app2,start,zdu_retry,zdu_rollback,zdu_log}'::text[]) AS w;
SELECT is(sim.refused($$ SELECT zdu_resume('shop') $$), 'ZD001 L22', 'L22: zdu_resume is not the way out of held');
SELECT is(sim.refused($$ SELECT zdu_finalize('shop') $$), 'ZD001 L11', 'L11: nor is zdu_finalize');
SELECT ok(EXISTS (SELECT FROM zdu_log('shop', 'app2') WHERE line = 'start of app2'), 'L22: zdu_log shows what the action printed');

-- Out by zdu_retry
SELECT is(zdu_retry('shop'), 1, 'L22: zdu_retry affects the node that failed');
SELECT is(sim.drive('shop', 'held'), 'held', 'D11: unmended it is held again');
SELECT is(sim.acts('shop', 'app2'), 'isolate stop upgrade start start start start', 'L22: after another round of attempts at the failed step only');
SELECT sim.mend('shop'), zdu_retry('shop', 'app2', reason => 'disk replaced');
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L22: mended, zdu_retry(node) lets it go on to the end');
SELECT sim.drive_until('shop', $$ sim.refused('SELECT zdu_finalize(''shop'')') = 'not refused' $$);
SELECT is(sim.state('shop'), 'STABLE', 'L13: and it is finalized');

-- Out by zdu_rollback(node): the others go on, the node is given up until zdu_retry.
SELECT pg_temp.held('node');
SELECT sim.mend('node');
SELECT is(zdu_rollback('node', 'app2'), 1, 'L23: one node is rolled back');
SELECT is(sim.run('node'), 'running', 'L23: the others go on at once');
SELECT ok(sim.drive_until('node', $$ sim.node('node', 'app4') = 'ACTIVE 1.1.0' $$), 'L23: to the last of them');
SELECT is(sim.node('node', 'app2'), 'ACTIVE 1.0.0', 'L23: the node itself is back at the original version, and serves');
SELECT sim.drive('node', 'completed', rounds => 30);
SELECT is(sim.state('node'), 'MIXED', 'L9: the node that was given up holds the cluster in MIXED');
SELECT is(zdu_retry('node', 'app2'), 1, 'L23: zdu_retry takes it up again');
SELECT ok(sim.drive_until('node', $$ sim.state('node') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L23: and brings it to the target');

-- Out by zdu_rollback()
SELECT pg_temp.held('all');
SELECT sim.mend('all');
SELECT is(zdu_rollback('all', reason => 'not today'), 2, 'L23: zdu_rollback affects the nodes that were touched');
SELECT is(sim.run('all') || ' ' || (SELECT failures FROM zdu.upgrade JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'all'),
          'rolling_back 0', 'L23: with a failure count of its own');
SELECT is(sim.drive('all', 'rolled_back') || ' ' || sim.state('all'), 'rolled_back STABLE', 'L23: it ends rolled back');
SELECT is(sim.node('all', n), 'ACTIVE 1.0.0', format('L23: %s is at the original version and serves', n)) FROM unnest('{app1,app2,app3,app4}'::text[]) AS n;
SELECT is(coalesce(sim.acts('all', 'app3'), '') || coalesce(sim.acts('all', 'app4'), ''), '', 'L23: untouched nodes are not touched');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE cluster = 'all' AND action = 'integrate'), 'app1 app2 app1', 'L23: the healthy new node goes last');
SELECT is((SELECT serving FROM sim.lowest WHERE cluster = 'all'), 3, 'L23: within the same budget');
SELECT is(sim.refused($$ SELECT zdu_rollback('all') $$), 'ZD001 L4', 'L23: what has ended cannot be rolled back');

-- A rollback that fails is held, and goes on as a rollback.
SELECT pg_temp.held('twice'), zdu_rollback('twice');
SELECT is(sim.drive('twice', 'held'), 'held', 'L23: a node that cannot be brought back holds the rollback');
SELECT sim.mend('twice'), zdu_retry('twice');
SELECT is(sim.run('twice'), 'rolling_back', 'L23: zdu_retry goes on rolling back');
SELECT is(sim.drive('twice', 'rolled_back'), 'rolled_back', 'L23: to the end');

-- on_failure = rollback
SELECT is(pg_temp.held('auto', '{"on_failure": "rollback"}'), 'held', 'L23: on_failure = rollback: the rollback begins by itself, and is held by the same broken start');
SELECT is(sim.story('auto', 'upgrade'), 'running rolling_back held', 'L23: without a person''s doing');
SELECT sim.mend('auto'), zdu_retry('auto');
SELECT is(sim.drive('auto', 'rolled_back'), 'rolled_back', 'L23: mended, it is rolled back');

-- max_failures
SELECT is(pg_temp.held('lenient', '{"max_failures": 1, "max_unavailable": "2"}'), 'running', 'D11: within max_failures the upgrade goes on');
SELECT is(sim.node('lenient', 'app4'), 'ACTIVE 1.1.0', 'D11: with the other nodes');
SELECT is(sim.state('lenient'), 'MIXED', 'L9: but an ERROR node keeps it from being finished');
SELECT is(sim.refused($$ SELECT zdu_remove_node('lenient', 'app2') $$), '55000 L16', 'L11: it cannot be removed with steps in flight');
SELECT sim.mend('lenient'), zdu_rollback('lenient', 'app2');
SELECT ok(sim.drive_until('lenient', $$ sim.node('lenient', 'app2') = 'ACTIVE 1.0.0' $$), 'L23: it is brought back');
SELECT zdu_remove_node('lenient', 'app2', 'bought a new one');
SELECT is(sim.state('lenient'), 'READY_TO_RUN_UPGRADE_TASKS', 'L9: with the outdated node removed the others are all updated');

-- L11: gone for good
SELECT pg_temp.held('gone', '{"max_failures": 1, "max_unavailable": "2"}');
SELECT zdu_declare_down('gone', 'app2', 'it burnt down');
SELECT is(sim.node('gone', 'app2'), 'OFFLINE 1.0.0 out confirmed', 'L11: a node on which the upgrade has failed is let go when it is declared down');
SELECT is(sim.state('gone'), 'READY_TO_RUN_UPGRADE_TASKS', 'L10: and holds nothing back');
SELECT is(zdu_finalize('gone'), 'STABLE', 'L11: the upgrade is finalized without it');
SELECT pg_temp.held('woken', '{"max_failures": 1, "max_unavailable": "2"}');
SELECT zdu_declare_down('woken', 'app2', 'it looks dead');
UPDATE sim.world SET running = true, version = installed WHERE cluster = 'woken' AND node = 'app2';
SELECT ok(sim.drive_until('woken', $$ sim.node('woken', 'app2') = 'ACTIVE 1.1.0' $$), 'N6: one that comes up all the same goes back into rotation, for nobody detached it');
SELECT sim.make('busy', 3), sim.break('busy', 'app1', 'start', 'sticks'), zdu_begin('busy', '1.1.0');
SELECT sim.drive_until('busy', $$ sim.step('busy', 'app1') LIKE 'start running%' $$), zdu_declare_down('busy', 'app1', 'it looks dead');
SELECT matches(sim.node('busy', 'app1'), 'taken', 'L11: while a worker is at it, it is not let go');

SELECT * FROM finish();
ROLLBACK;
