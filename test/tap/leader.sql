-- Promise: in upgrade mode exactly one node may run what only one may, and it is another one before that node is taken.
BEGIN;
\ir sim.psql
SELECT plan(30);

-- The nodes that may run.
CREATE FUNCTION pg_temp.may(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(n.name, ' ' ORDER BY n.name) FILTER (WHERE zdu_may_run(c, n.name, 'mail')) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
CREATE FUNCTION pg_temp.handed(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws('>', coalesce(old, '-'), coalesce(new, '-')), ' ' ORDER BY event_id) FROM zdu.event WHERE cluster = c AND what = 'leader' $$;

-- Driven: looked at after each exchange
SELECT sim.make('shop', 4);
SELECT is(pg_temp.may('shop'), 'app1 app2 app3 app4', 'M7: outside upgrade mode every node may');
SELECT zdu_begin('shop', '1.1.0');
SELECT is(pg_temp.may('shop'), 'app4', 'M7: from begin on only one, the one that will be taken last');
CREATE TEMP TABLE look (n int, leaders bigint, fit boolean);
DO $$ BEGIN
    FOR i IN 1..150 LOOP
        EXIT WHEN sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' AND NOT EXISTS (SELECT FROM zdu.node WHERE taken);
        PERFORM sim.ask('shop'), sim.tick(1.1);
        INSERT INTO look SELECT i, count(*) FILTER (WHERE zdu_may_run('shop', n.name, 'mail')),
            bool_and(n.state = 'ACTIVE' AND NOT n.taken AND n.attached) FILTER (WHERE zdu_may_run('shop', n.name, 'mail'))
        FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'shop';
    END LOOP;
END $$;
SELECT is(sim.state('shop'), 'READY_TO_RUN_UPGRADE_TASKS', 'M7: the roll goes on');
SELECT cmp_ok((SELECT count(*) FROM look), '>', 20::bigint, 'M7: it was looked at many times');
SELECT is_empty('SELECT * FROM look WHERE leaders <> 1', 'M7: at every moment exactly one may run');
SELECT is_empty('SELECT * FROM look WHERE NOT fit', 'M7: and that one is ACTIVE, attached and not taken');
SELECT is(pg_temp.handed('shop'), '->app4 app4>app1', 'M7: one hand-over is enough: to a node that is updated');
SELECT cmp_ok((SELECT event_id FROM zdu.event WHERE cluster = 'shop' AND what = 'leader' AND old = 'app4'), '<',
              (SELECT min(event_id) FROM zdu.event WHERE cluster = 'shop' AND node = 'app4' AND what <> 'set' AND event_id >
                  (SELECT event_id FROM zdu.event WHERE cluster = 'shop' AND what = 'upgrade' AND new = 'running')),
              'M7: the leadership is handed over before anything is done to its node');
SELECT zdu_finalize('shop');
SELECT is(pg_temp.may('shop'), 'app1 app2 app3 app4', 'M7: after the upgrade every node may again');
SELECT is((SELECT leader FROM zdu.cluster WHERE name = 'shop'), NULL, 'M7: and there is no leader');

-- Back again: the way back hands over as well
SELECT zdu_begin('shop', '1.2.0');
SELECT sim.drive_until('shop', $$ (SELECT count(*) = 2 FROM zdu.node WHERE version = '1.2.0' AND NOT taken) $$);
SELECT zdu_rollback('shop');
SELECT is(sim.drive('shop', 'rolled_back'), 'rolled_back', 'M7: a rollback');
SELECT is(pg_temp.may('shop'), 'app1 app2 app3 app4', 'M7: ends with every node running');
SELECT is((SELECT count(*) FROM zdu.event WHERE cluster = 'shop' AND what = 'leader' AND new IS NULL), 2::bigint, 'M7: each upgrade has ended its leadership once');

-- By hand: whatever happens to the leader
SELECT sim.make_manual('hand', 4, '{"early_end": "force", "offline_at_end": "fence", "max_unavailable": "3"}');
SELECT zdu_begin('hand', '1.1.0');
SELECT is(pg_temp.may('hand'), 'app1', 'M7: where nothing has an order, the first by name');
SELECT zdu_heartbeat('hand', 'app2', state => 'DRAINING'), zdu_heartbeat('hand', 'app2', state => 'ACTIVE');
SELECT is(pg_temp.may('hand'), 'app1', 'M7: what happens to others does not matter');
SELECT sim.stop('hand', 'app3'), sim.start('hand', 'app3', '1.1.0');
SELECT is(pg_temp.may('hand'), 'app1', 'M7: a leader that is fit stays, also when there is an updated node');
SELECT zdu_heartbeat('hand', 'app1', state => 'TERMINATING');
SELECT is(pg_temp.may('hand'), 'app3', 'M7: one that stops hands over, to an updated node');
SELECT zdu_heartbeat('hand', 'app1', state => 'OFFLINE'), sim.start('hand', 'app1', '1.1.0');
SELECT is(pg_temp.may('hand'), 'app3', 'M7: and does not get it back');
SELECT zdu_detach('hand', 'app3');
SELECT is(pg_temp.may('hand'), 'app1', 'M7: a detached leader hands over');
SELECT zdu_heartbeat('hand', 'app1', state => 'ERROR');
SELECT is(pg_temp.may('hand'), 'app2', 'M7: one in ERROR, to the only updated one that is left, or else to an old one');
SELECT zdu_attach('hand', 'app3'), zdu_declare_down('hand', 'app2', 'unplugged');
SELECT is(pg_temp.may('hand'), 'app3', 'M7: one that was declared down');
SELECT zdu_remove_node('hand', 'app3');
SELECT is(pg_temp.may('hand'), 'app4', 'M7: one that was removed');
SELECT sim.tick(31), zdu_heartbeat('hand', 'app1'), sim.tick(31), zdu_heartbeat('hand', 'app1'), sim.tick(31), zdu_heartbeat('hand', 'app1');
SELECT is(coalesce(pg_temp.may('hand'), 'none'), 'none', 'M7: one that is unheard; with nobody left that is ACTIVE nobody may');
SELECT zdu_heartbeat('hand', 'app4', state => 'ACTIVE');
SELECT is(pg_temp.may('hand'), 'app4', 'M7: until one is');
SELECT is(pg_temp.handed('hand'), '->app1 app1>app3 app3>app1 app1>app2 app2>app3 app3>app4 app4>- ->app4', 'M7: the log has every hand-over');

-- The same world, the same leader
SELECT sim.make(c, 5), zdu_begin(c, '1.1.0') FROM unnest('{one,two}'::text[]) c;
SELECT sim.drive_until(c, format($$ (SELECT count(*) = 3 FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = %L AND n.version = '1.1.0' AND NOT taken) $$, c)) FROM unnest('{one,two}'::text[]) c;
SELECT is(pg_temp.may('one'), pg_temp.may('two'), 'M7: the choice is deterministic');

-- Who was left behind runs nothing
SELECT sim.make_manual('early', 2, '{"early_end": "force", "offline_at_end": "fence"}');
SELECT zdu_begin('early', '1.1.0');
SELECT sim.stop('early', 'app2'), sim.start('early', 'app2', '1.1.0');
SELECT zdu_finalize('early', force => true, reason => 'x');
SELECT is(pg_temp.may('early'), 'app2', 'M7: a fenced node that still runs may run nothing');

-- A cluster of one
SELECT sim.make('alone', 1);
SELECT zdu_waive('alone', 'D10', 'at night');
SELECT zdu_begin('alone', '1.1.0');
SELECT is(pg_temp.may('alone'), 'app1', 'M7: a cluster of one');
SELECT sim.drive_until('alone', $$ (SELECT taken FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'alone') $$);
SELECT is(coalesce(pg_temp.may('alone'), 'none'), 'none', 'M7: has nobody to hand over to while its node is upgraded');
SELECT sim.drive_until('alone', $$ sim.state('alone') = 'READY_TO_RUN_UPGRADE_TASKS' AND (SELECT NOT taken FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'alone') $$);
SELECT is(pg_temp.may('alone'), 'app1', 'M7: and gets it back');

SELECT * FROM finish();
ROLLBACK;
