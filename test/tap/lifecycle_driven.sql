-- Promise: a driven upgrade takes every node through the phases in order, keeps nodes serving, and undoes its preparation once in every ending.
BEGIN;
SELECT plan(52);
\ir sim.psql

-- A whole roll.
SELECT sim.make('shop', 4);
SELECT zdu_begin('shop', '1.1.0');
SELECT is(sim.state('shop'), 'READY_TO_UPGRADE', 'L1: begun, not yet touched');
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' AND NOT EXISTS (SELECT FROM zdu.node WHERE taken) $$),
          'W1: workers bring every node to the target');
SELECT is(sim.acts('shop', 'app' || i), 'isolate stop upgrade start integrate', format('W1: the phases of app%s are in order, each action once', i))
FROM generate_series(1, 4) AS i;
SELECT is((SELECT string_agg(phase, ' ' ORDER BY ord) FROM zdu.step s JOIN zdu.node n USING (node_id) WHERE n.name = 'app1'),
          'isolate drain stop upgrade start verify integrate', 'W1: and so are its steps, soak left out at min_healthy_time 0');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE action = 'stop'), 'app1 app2 app3 app4', 'N2: with max_unavailable 1 one node follows the other');
SELECT is_empty($$ SELECT * FROM sim.act a JOIN sim.act b ON b.node > a.node AND b.ord < a.ord $$,
                'N2: no node was begun before the one before it was integrated');
SELECT is((SELECT serving FROM sim.lowest), 3, 'D14: never fewer than three of four nodes served');
SELECT is(sim.story('shop', 'cluster'), 'READY_TO_UPGRADE MIXED READY_TO_RUN_UPGRADE_TASKS', 'L7, L9: the states came in order');
SELECT is((SELECT display FROM zdu.status), 'Active; Updated; 1.1.0', 'L21: and the display says Updated');
SELECT is(sim.run('shop'), 'running', 'L13: finalize = approve waits for somebody');
SELECT is(zdu_finalize('shop') || ' ' || sim.run('shop'), 'STABLE completed', 'L13: with nothing left to run it is completed at once');

SELECT sim.make('one', 1), zdu_waive('one', 'D10', 'an outage is agreed'), zdu_begin('one', '1.1.0');
SELECT sim.drive_until('one', $$ sim.state('one') = 'READY_TO_RUN_UPGRADE_TASKS' $$);
SELECT is(sim.story('one', 'cluster'), 'READY_TO_UPGRADE READY_TO_RUN_UPGRADE_TASKS', 'L7: a cluster of one goes straight to READY_TO_RUN_UPGRADE_TASKS');

-- min_healthy_time: the soak of a node.  Of three, so that it is not the last one that keeps the next in service.
SELECT sim.make('soak', 3, '{"min_healthy_time": "30 s", "finalize": "auto"}'), zdu_begin('soak', '1.1.0');
SELECT ok(sim.drive_until('soak', $$ sim.step('soak', 'app1') = 'soak running verify 1' $$),
          'W1: with min_healthy_time a node soaks after it is integrated');
SELECT is(sim.acts('soak', 'app2'), NULL, 'N2: a node that soaks still fills its place in the budget');
SELECT is(sim.drive('soak', 'completed'), 'completed', 'L13: finalize = auto ends the upgrade with the last node');
SELECT is((SELECT count(*) FROM zdu.step s JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'soak' AND phase = 'soak' AND ended_at - started_at >= '30 s'), 3::bigint,
          'W1: every node was healthy for that long');

-- Phases that the runbook leaves out.
SELECT sim.make('short', 2, '{"finalize": "auto"}', '{"node": {"isolate": null, "drain": null, "verify": null, "integrate": null}}');
SELECT zdu_begin('short', '1.1.0'), sim.drive('short', 'completed');
SELECT is(sim.acts('short', 'app1'), 'stop upgrade start', 'W1: phases that the runbook leaves out are left out');
SELECT is((SELECT string_agg(phase || ' ' || (look->'targets'->0->'args'->>0), ', ' ORDER BY ord)
           FROM zdu.step s JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'short' AND node_id = (SELECT min(node_id) FROM zdu.node WHERE cluster_id = c.cluster_id)),
          'stop stop, upgrade upgrade, start start, verify health', 'W6: without a verify of its own, a node is verified by what observe tells');

-- order_by
SELECT sim.make('order', 3, '{"order_by": ["role", "zone"], "finalize": "auto"}');
SELECT zdu_set_node('order', 'app1', zone => 'b'), zdu_set_node('order', 'app2', zone => 'a'), zdu_set_node('order', 'app3', role => 'processing', zone => 'c');
SELECT zdu_begin('order', '1.1.0'), sim.drive('order', 'completed');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE cluster = 'order' AND action = 'stop'), 'app3 app2 app1', 'W1: order_by decides the order');

-- pause and resume
SELECT sim.make('pause', 3, '{"finalize": "auto"}'), zdu_begin('pause', '1.1.0'), sim.ask('pause');
SELECT is(zdu_pause('pause'), 'paused', 'L22: a person pauses');
SELECT sim.drive('pause', 'completed', rounds => 40);
SELECT is(sim.node('pause', 'app1') || ', ' || sim.node('pause', 'app2'), 'ACTIVE 1.1.0, ACTIVE 1.0.0', 'L22: while paused what is in flight is finished, and nothing more is taken');
SELECT is(sim.refused($$ SELECT zdu_pause('pause') $$), 'ZD001 L22', 'L22: pausing twice is refused');
SELECT is(zdu_resume('pause'), 'running', 'L22: zdu_resume goes on');
SELECT is(sim.drive('pause', 'completed'), 'completed', 'L22: to the end');

-- D8, L13: the preparation is undone in each ending, tasks run before STABLE.
CREATE FUNCTION pg_temp.prepared(c text, policy jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
SELECT sim.make(c, 3, policy, '{
    "before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true",
                "undo": {"exec": "svc", "args": ["unprepare"], "until": "$.prepared == false"}}],
    "after": [{"exec": "svc", "args": ["task"], "until": "$.task == true"}]}'),
    zdu_begin(c, '1.1.0')
$$;

SELECT pg_temp.prepared('done', '{"finalize": "auto"}');
SELECT sim.ask('done'), sim.ask('done');
SELECT is(sim.acts('done', '') || coalesce(sim.acts('done', 'app1'), ''), 'prepare', 'D8: no node is touched before the preparation is done');
SELECT ok(sim.drive_until('done', $$ sim.state('done') = 'RUNNING_UPGRADE_TASKS' $$), 'L13: with a finalization task the cluster is RUNNING_UPGRADE_TASKS');
SELECT is((SELECT concat_ws(' ', version, original) FROM zdu.cluster WHERE name = 'done'), '1.1.0', 'L13: upgrade mode is over');
SELECT is((SELECT concat_ws(' ', verdict, rule) FROM zdu_join('done', 'late', '1.0.0')), 'refused L13', 'L13: joins are held to the new version');
SELECT is(sim.refused($$ SELECT zdu_rollback('done') $$), 'ZD001 L23', 'L23: after zdu_finalize there is no way back');
SELECT is(sim.refused($$ SELECT zdu_begin('done', '1.2.0') $$), 'ZD001 L3', 'M8: and no other upgrade before its end');
SELECT is(sim.drive('done', 'completed') || ' ' || sim.state('done'), 'completed STABLE', 'L13: once the tasks are done it is STABLE');
SELECT is(sim.acts('done', ''), 'prepare task unprepare', 'D8: on success the preparation is undone once');

SELECT pg_temp.prepared('cancel');
SELECT ok(sim.drive_until('cancel', $$ sim.acts('cancel', 'app1') = 'isolate stop' $$), 'L5: a node is stopped, none is upgraded');
SELECT is(zdu_cancel('cancel'), 'READY_TO_UPGRADE', 'L5: zdu_cancel first unwinds what is in flight');
SELECT is(sim.run('cancel'), 'cancelling', 'L5: the upgrade is cancelling meanwhile');
SELECT is(sim.drive('cancel', 'cancelled') || ' ' || sim.state('cancel'), 'cancelled STABLE', 'L5: then it is cancelled');
SELECT is(sim.node('cancel', 'app1'), 'ACTIVE 1.0.0', 'L5: nothing that a worker stopped is left stopped or out of rotation');
SELECT is(sim.acts('cancel', 'app1'), 'isolate stop start integrate', 'L5: it was started and integrated again, not upgraded');
SELECT is(sim.acts('cancel', ''), 'prepare unprepare', 'D8: on cancel the preparation is undone once');

SELECT pg_temp.prepared('back');
SELECT sim.drive_until('back', $$ sim.node('back', 'app2') = 'ACTIVE 1.1.0' $$);
SELECT zdu_rollback('back');
SELECT is(sim.drive('back', 'rolled_back') || ' ' || sim.state('back'), 'rolled_back STABLE', 'L23: everything goes back to the original version');
SELECT is(sim.acts('back', ''), 'prepare unprepare', 'D8: on rollback the preparation is undone once');

SELECT pg_temp.prepared('never');
SELECT zdu_cancel('never');
SELECT is(sim.run('never') || coalesce(sim.acts('never', ''), ''), 'cancelled', 'D8: a preparation that was not begun is not undone');

SELECT pg_temp.prepared('crash', '{"finalize": "auto"}');
SELECT sim.drive_until('crash', $$ sim.node('crash', 'app1') = 'ACTIVE 1.1.0' $$);
-- From here on another worker: the first one is never heard again.
SELECT is(sim.drive('crash', 'completed', 'w2'), 'completed', 'W4: another worker finishes the roll');
SELECT is(sim.acts('crash', ''), 'prepare task unprepare', 'D8: after the crash of a worker the preparation is undone once');
SELECT is_empty($$ SELECT node, action FROM sim.act WHERE cluster = 'crash' GROUP BY 1, 2 HAVING count(*) > 1 $$, 'W4: and no action was done twice');

-- An undo that does not say how its effect is seen is done when the preparation is not seen any more.
SELECT sim.make('plain', 2, '{}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true",
                                                "undo": {"exec": "svc", "args": ["unprepare"]}}]}');
SELECT zdu_begin('plain', '1.1.0'), sim.drive_until('plain', $$ sim.step('plain', '') IS NULL $$), zdu_cancel('plain');
SELECT is(sim.drive('plain', 'cancelled') || ' ' || sim.acts('plain', ''), 'cancelled prepare unprepare', 'D8: an undo without a look of its own is carried out too');
SELECT is((SELECT until FROM zdu.step JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'plain' AND phase = 'undo'), '!($.prepared == true)',
          'W6: and seen by the look of what it undoes');

-- A preparation that fails holds the upgrade before the first node.
SELECT sim.break('broken', '', 'prepare'), pg_temp.prepared('broken');
SELECT is(sim.drive('broken', 'held') || coalesce(sim.acts('broken', 'app1'), ''), 'held', 'D8: without its preparation no node is touched, the upgrade is held');
SELECT sim.mend('broken'), zdu_retry('broken');
SELECT ok(sim.drive_until('broken', $$ sim.node('broken', 'app1') = 'ACTIVE 1.1.0' $$), 'D8: zdu_retry tries the preparation again');

SELECT * FROM finish();
ROLLBACK;
