-- Promise: what gets worse while an upgrade runs, at the service or at an old node, holds it or rolls it back; what was bad before does not.
BEGIN;
SELECT plan(30);
\ir sim.psql

-- The service is asked by "shop", an old node by "old"; each node has a dial of its own.
CREATE FUNCTION pg_temp.made(c text, n int, policy jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
SELECT sim.make(c, n, policy, '{
    "before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true",
                "undo": {"exec": "svc", "args": ["unprepare"], "until": "$.prepared == false"}}],
    "guard": [{"exec": "svc", "args": ["shop"], "until": "$.ok == true", "every": "1s", "failures": 2},
              {"exec": "svc", "args": ["old {node}"], "until": "$.ok == true && $.version == $original", "every": "1s", "failures": 2}]}');
SELECT sim.gauge(c, 'shop', '{"ok": true}'), sim.gauge(c, 'old app' || i, '{"ok": true, "version": "1.0.0"}') FROM generate_series(1, n) i
$$;
CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT node, ' ' ORDER BY node) FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.rounds(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;
CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', run, held_rule, held_reason) FROM zdu.cluster_facts WHERE name = c $$;

-- ---- before anything is begun ----
SELECT pg_temp.made('shop', 4);
SELECT sim.gauge('shop', 'old app3', NULL), zdu_begin('shop', '1.1.0'), pg_temp.rounds('shop', 4);
SELECT is(sim.acts('shop', ''), NULL, 'S6: before every guard was looked at not even the preparation is begun');
SELECT matches((SELECT observed FROM zdu_why('shop') WHERE verdict = 'no' AND subject = 'guards_known'), '^a guard has not been looked at yet$', 'S6: zdu_why says so');
SELECT is((SELECT count(*) FROM zdu.watch WHERE node_id IS NOT NULL), 4::bigint, 'S6: a guard that names a variable of nodes looks at nodes not yet touched');
SELECT sim.gauge('shop', 'old app3', '{"ok": true, "version": "1.0.0"}');
SELECT ok(sim.drive_until('shop', $$ sim.step('shop', 'app1') LIKE 'stop%' $$), 'S6: once it is known how it was, the roll goes on');
SELECT is((SELECT string_agg(n.name, ' ' ORDER BY n.name) FROM zdu.watch w JOIN zdu.node n USING (node_id)), 'app2 app3 app4', 'S6: a node that was taken is looked at no more');
SELECT sim.gauge('shop', 'old app1', '{"ok": false}'), pg_temp.rounds('shop', 2);
SELECT is(pg_temp.held('shop'), 'running', 'S6: a node that was taken is no old node any more');

-- ---- an old node falls ill ----
SELECT sim.gauge('shop', 'old app4', '{"ok": false}');
SELECT is(sim.drive('shop', 'held'), 'held', 'S6: an old node whose guard fails holds the upgrade although every new node is healthy');
SELECT is(pg_temp.held('shop'), 'held S6 guard 1 failed at app4', 'S6: guard and node are named');
SELECT results_eq($$ SELECT verdict, subject, observed FROM zdu_why('shop') WHERE rule = 'S6' ORDER BY subject $$,
                  $$ VALUES ('info', 'app4 guard 1', '2 looks in a row: {"ok": false}'), ('no', 'not_held', 'guard 1 failed at app4') $$, 'S6: zdu_why shows what was seen');
SELECT zdu_retry('shop');
SELECT is(sim.drive('shop', 'held', rounds => 5), 'held', 'S6: trying again while it is ill holds it again');
SELECT sim.gauge('shop', 'old app4', '{"ok": true, "version": "1.0.0"}'), pg_temp.rounds('shop', 3), zdu_retry('shop');
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'S6: well again it goes on');

-- ---- what was ill before ----
SELECT pg_temp.made('ill', 3);
SELECT sim.gauge('ill', 'shop', '{"ok": false}'), zdu_begin('ill', '1.1.0');
SELECT ok(sim.drive_until('ill', $$ sim.node('ill', 'app1') = 'ACTIVE 1.1.0' $$), 'S6: what was not well before does not hold the upgrade');
SELECT matches((SELECT observed FROM zdu_why('ill') WHERE subject = 'guard 0'), '^not well before, it counts once it has been:', 'S6: zdu_why says that it does not count');
SELECT sim.gauge('ill', 'shop', '{"ok": true}'), pg_temp.rounds('ill', 2), sim.gauge('ill', 'shop', '{"ok": false}');
SELECT is(sim.drive('ill', 'held') || ', ' || pg_temp.held('ill'), 'held, held S6 guard 0 failed', 'S6: once it was well it counts');

-- ---- an error is no health, one failure is no failure ----
SELECT pg_temp.made('once', 3), zdu_begin('once', '1.1.0'), pg_temp.rounds('once', 3);
SELECT sim.gauge('once', 'shop', '{"ok": false}'), sim.ask('once'), sim.ask('once'), sim.gauge('once', 'shop', '{"ok": true}'), pg_temp.rounds('once', 3);
SELECT is(sim.run('once'), 'running', 'S6: fewer failures in a row than it takes do nothing');
SELECT sim.gauge('once', 'shop', '{"error": "timeout"}');
SELECT is(sim.drive('once', 'held'), 'held', 'S6: a guard that cannot tell is not well');

-- ---- who is down is told by its state ----
SELECT pg_temp.made('down', 3), zdu_begin('down', '1.1.0'), pg_temp.rounds('down', 3);
SELECT zdu_declare_down('down', 'app3', 'fetched for repair'), sim.gauge('down', 'old app3', '{"ok": false}'), pg_temp.rounds('down', 5);
SELECT is(sim.run('down'), 'running', 'S6: that a node is down is no news of its guard');

-- ---- rolled back by itself ----
SELECT pg_temp.made('auto', 4, '{"on_failure": "rollback"}'), zdu_begin('auto', '1.1.0');
SELECT sim.drive_until('auto', $$ sim.node('auto', 'app1') LIKE 'ACTIVE 1.1.0%' $$);
SELECT sim.gauge('auto', 'old app4', '{"ok": false}');
SELECT is(sim.drive('auto', 'rolling_back'), 'rolling_back', 'L23: with on_failure = rollback a guard that fails rolls back');
SELECT is((SELECT reason FROM zdu.event WHERE cluster = 'auto' AND new = 'rolling_back'), 'guard 1 failed at app4', 'L23: and is the reason');
SELECT is(sim.drive('auto', 'rolled_back') || ' ' || sim.node('auto', 'app1'), 'rolled_back ACTIVE 1.0.0', 'L23: what it rolled back for does not hold the way back');
SELECT is(sim.acts('auto', ''), 'prepare unprepare', 'D8: and the preparation is undone');
SELECT is(pg_temp.touched('auto') LIKE '%app4%', false, 'L23: untouched nodes are not touched');

-- ---- and watched on the way back ----
SELECT pg_temp.made('back', 4, '{"max_unavailable": "1"}'), zdu_begin('back', '1.1.0');
SELECT sim.drive_until('back', $$ (SELECT done = 3 FROM zdu.cluster_facts WHERE name = 'back') $$), zdu_rollback('back'), pg_temp.rounds('back', 2);
SELECT sim.gauge('back', 'shop', '{"ok": false}');
SELECT is(sim.drive('back', 'held') || ', ' || pg_temp.held('back'), 'held, held S6 guard 0 failed', 'L23: health is watched while it rolls back too');
SELECT zdu_retry('back');
SELECT is(sim.drive('back', 'rolled_back'), 'rolled_back', 'L23: who tries again gets all the way back, though it is not well');

-- ---- bounded, whatever the size ----
SELECT pg_temp.made('large', 40, '{"max_unavailable": "3"}');
SELECT zdu_set_node('large', 'app' || i, zone => 'z' || i) FROM generate_series(1, 4) i;
SELECT zdu_begin('large', '1.1.0');
SELECT is((SELECT count(*) FROM zdu.watch w JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'large' AND node_id IS NOT NULL), 10::bigint, 'S6: of forty nodes ten are looked at');
SELECT is((SELECT count(*) FROM zdu.watch w JOIN zdu.node n USING (node_id) WHERE n.zone IS NOT NULL), 4::bigint, 'S6: one of every zone among them');
SELECT ok(sim.drive_until('large', $$ (SELECT done >= 5 FROM zdu.cluster_facts WHERE name = 'large') $$), 'S6: while it rolls on');
SELECT is((SELECT count(*) FROM zdu.watch w JOIN zdu.node n USING (node_id) JOIN zdu.cluster c ON c.cluster_id = n.cluster_id WHERE c.name = 'large' AND NOT n.taken AND n.version = '1.0.0'), 10::bigint,
          'S6: those that were taken are replaced by others not yet touched');

-- ---- a variable of until ----
SELECT is((SELECT count(*) FROM zdu.watch WHERE vars->>'original' IS NULL), 0::bigint, 'S6: until may use the variables that its probe does');
SELECT is((SELECT count(*) FROM zdu.watch w JOIN zdu.upgrade u USING (upgrade_id) WHERE u.ended_at IS NOT NULL AND w.asked > u.ended_at), 0::bigint, 'S6: of an upgrade that has ended nothing is looked at');

SELECT * FROM finish();
ROLLBACK;
