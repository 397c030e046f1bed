-- Promise: rolling back works out of whatever state an upgrade got into, whole or one node, and is a roll itself: budgets, health, a count of failures of its own.
BEGIN;
SELECT plan(37);
\ir sim.psql

CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT node, ' ' ORDER BY node) FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.rounds(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;
CREATE FUNCTION pg_temp.world(c text, n text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', CASE WHEN running THEN version ELSE 'down' END, installed, rotation) FROM sim.world WHERE cluster = c AND node = n $$;
CREATE FUNCTION pg_temp.back(c text) RETURNS text LANGUAGE sql AS
$$ SELECT sim.drive(c, 'rolled_back') || ' ' || sim.state(c) || ' ' || (SELECT string_agg(DISTINCT pg_temp.world(c, node), ', ') FROM sim.world WHERE cluster = c AND node <> '') $$;

-- ---- one node, out of a hold ----
SELECT sim.make('held', 4), zdu_begin('held', '1.1.0');
SELECT sim.drive_until('held', $$ sim.node('held', 'app1') = 'ACTIVE 1.1.0' $$), sim.break('held', 'app2', 'start'), sim.drive('held', 'held');
SELECT is(zdu_rollback('held', node => 'app1'), 1, 'L23: while the upgrade is held a node that is done can be given up');
SELECT pg_temp.rounds('held', 5);
SELECT is(sim.node('held', 'app1') || ', ' || sim.run('held'), 'ACTIVE 1.1.0, held', 'L23: with the same budgets: while another one is away it waits');
SELECT matches((SELECT observed FROM zdu_why('held', node => 'app1') WHERE verdict = 'no'), '^1 of 4', 'L23: which zdu_why says');
SELECT sim.mend('held'), zdu_rollback('held', node => 'app2'), sim.break('held', 'app3', 'start') ;
SELECT ok(sim.drive_until('held', $$ sim.node('held', 'app2') = 'ACTIVE 1.0.0' AND sim.node('held', 'app1') LIKE 'ACTIVE 1.0.0%' $$), 'L23: then both go back');
SELECT is((SELECT string_agg(DISTINCT node, ' ') FROM sim.act WHERE cluster = 'held' AND node NOT IN ('app1', 'app2') AND ord < (SELECT max(ord) FROM sim.act WHERE node = 'app1')), NULL,
          'L23: before the others go forward');
SELECT sim.make('wait', 3, '{"max_unavailable": "2"}'), zdu_begin('wait', '1.1.0', canary => 1);
SELECT sim.drive_until('wait', $$ sim.node('wait', 'app1') = 'ACTIVE 1.1.0' $$), sim.break('wait', 'app2', 'start'), sim.break('wait', 'app3', 'start'), sim.drive('wait', 'held');
SELECT zdu_rollback('wait', node => 'app2') ;
SELECT sim.mend('wait'), zdu_rollback('wait', node => 'app1');
SELECT ok(sim.drive_until('wait', $$ sim.node('wait', 'app1') = 'ACTIVE 1.0.0' AND sim.node('wait', 'app2') = 'ACTIVE 1.0.0' $$), 'L23: nor does a hold for another node keep it');

SELECT sim.make('paused', 3), zdu_begin('paused', '1.1.0'), sim.drive_until('paused', $$ sim.node('paused', 'app1') = 'ACTIVE 1.1.0' $$), zdu_pause('paused');
SELECT sim.drive_until('paused', $$ NOT EXISTS (SELECT FROM zdu.node JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'paused' AND taken) $$), zdu_rollback('paused', node => 'app1');
SELECT ok(sim.drive_until('paused', $$ sim.node('paused', 'app1') = 'ACTIVE 1.0.0' $$), 'L23: nor does a pause');
SELECT is(sim.run('paused') || ' ' || sim.node('paused', 'app3'), 'paused ACTIVE 1.0.0', 'L22: which otherwise goes on');

-- ---- one node among many ----
SELECT sim.make('first', 5), zdu_begin('first', '1.1.0'), sim.drive_until('first', $$ sim.node('first', 'app1') = 'ACTIVE 1.1.0' $$);
SELECT zdu_rollback('first', node => 'app1');
SELECT ok(sim.drive_until('first', $$ sim.node('first', 'app1') = 'ACTIVE 1.0.0' $$), 'L23: one node goes back while the upgrade runs');
SELECT cmp_ok((SELECT count(*) FROM sim.world WHERE cluster = 'first' AND version = '1.1.0'), '<', 3::bigint, 'L23: it does not wait for the others');
SELECT ok(sim.drive_until('first', $$ (SELECT done = 4 FROM zdu.cluster_facts WHERE name = 'first') $$), 'L23: which go on without it');

-- ---- the whole, out of every mess ----
CREATE FUNCTION pg_temp.mess(c text, n text, what text, kind text, policy jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 4, policy), sim.break(c, n, what, kind), zdu_begin(c, '1.1.0');
    PERFORM sim.drive_until(c, format('EXISTS (SELECT FROM sim.act WHERE cluster = %L AND node = %L AND action = %L)', c, n, what));
    PERFORM sim.ask(c), sim.ask(c);
END $$;
SELECT pg_temp.mess('error', 'app2', 'start', 'fails'), sim.drive('error', 'held');
SELECT is(sim.node('error', 'app2'), 'ERROR 1.0.0 out taken', 'L23: a node is in ERROR, the upgrade is held');
SELECT sim.mend('error'), zdu_rollback('error');
SELECT is(pg_temp.back('error'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: it is rolled back');
SELECT is(pg_temp.touched('error'), 'app1 app2', 'L23: untouched nodes are not touched');

SELECT pg_temp.mess('lost', 'app2', 'stop', 'sticks', '{"lease": "5 s", "stop_timeout": "60 s"}');
SELECT sim.tick(2), sim.ask('lost', 'w2'), sim.tick(2), sim.ask('lost', 'w2') FROM generate_series(1, 6);
SELECT is(sim.step('lost', 'app2'), 'stop unknown act 1', 'L23: of a step nobody knows how it ended');
SELECT sim.mend('lost'), zdu_rollback('lost');
SELECT is(sim.drive('lost', 'rolled_back', 'w2', rounds => 300) || ' ' || pg_temp.world('lost', 'app1') || ' ' || pg_temp.world('lost', 'app2'),
          'rolled_back 1.0.0 1.0.0 in 1.0.0 1.0.0 in', 'L23: it is rolled back, once the lost action is over');

SELECT pg_temp.mess('down', 'app2', 'start', 'fails'), sim.drive('down', 'held');
UPDATE sim.world SET running = false WHERE cluster = 'down' AND node = 'app2';
SELECT zdu_declare_down('down', 'app2', 'its disk is gone');
SELECT is(sim.node('down', 'app2') || ' ' || pg_temp.world('down', 'app2'), 'OFFLINE 1.0.0 out confirmed down 1.1.0 out', 'L23: a node was let go with the new version on its disk');
SELECT sim.mend('down'), zdu_rollback('down');
SELECT is(pg_temp.back('down'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: it goes back too, although it was last seen at the old version');

SELECT sim.make('hangs', 3, '{"start_timeout": "20 s"}'), zdu_begin('hangs', '1.1.0'), sim.drive_until('hangs', $$ sim.node('hangs', 'app1') = 'ACTIVE 1.1.0' $$), zdu_pause('hangs');
SELECT pg_temp.rounds('hangs', 20);
DO $$ BEGIN FOR i IN 1..30 LOOP PERFORM zdu_heartbeat('hangs', 'app1', 'restarted', 'STARTING'), sim.ask('hangs'), sim.tick(1.1); END LOOP; END $$;
SELECT is(sim.node('hangs', 'app1'), 'STARTING 1.1.0 stuck', 'L23: a new node hangs between two states');
SELECT sim.mend('hangs'), zdu_rollback('hangs');
DO $$ BEGIN FOR i IN 1..60 LOOP EXIT WHEN sim.run('hangs') = 'rolled_back'; PERFORM zdu_heartbeat('hangs', 'app1', 'restarted'), sim.ask('hangs'), sim.tick(1.1); END LOOP; END $$;
SELECT is(pg_temp.back('hangs'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: it is brought back from there');

-- ---- a roll like any other ----
SELECT sim.make('order', 5, '{"max_unavailable": "1"}'), zdu_begin('order', '1.1.0');
SELECT sim.drive_until('order', $$ (SELECT done = 4 FROM zdu.cluster_facts WHERE name = 'order') $$), zdu_pause('order'), pg_temp.rounds('order', 15);
UPDATE sim.world SET running = false WHERE cluster = 'order' AND node = 'app3';
SELECT sim.drive_until('order', $$ sim.node('order', 'app3') LIKE 'OFFLINE%' $$);
UPDATE sim.lowest SET serving = 4 WHERE cluster = 'order';
SELECT zdu_rollback('order');
SELECT is(pg_temp.back('order'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: all go back');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE cluster = 'order' AND action = 'start' AND ord > (SELECT max(ord) FROM sim.act WHERE cluster = 'order' AND action = 'upgrade' AND node = 'app4' AND attempt = 1) - 100
           AND token IN (SELECT epoch || '.' || number FROM zdu.step WHERE direction = 'back')), 'app3 app1 app2 app4 app5', 'L23: healthy new nodes last');
SELECT cmp_ok((SELECT serving FROM sim.lowest WHERE cluster = 'order'), '>=', 3, 'L23: with the same budgets');

-- ---- failures of its own ----
SELECT sim.make('own', 4, '{"max_failures": 1}'), zdu_begin('own', '1.1.0');
SELECT sim.break('own', 'app1', 'start'), sim.break('own', 'app2', 'start'), sim.drive('own', 'held');
SELECT sim.mend('own'), zdu_rollback('own');
SELECT is((SELECT failures FROM zdu.cluster_facts WHERE name = 'own'), 0, 'L23: spent failures do not count on the way back');
SELECT is(pg_temp.back('own'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: nor hold it');
SELECT sim.make('stops', 3), zdu_begin('stops', '1.1.0'), sim.drive_until('stops', $$ sim.node('stops', 'app2') LIKE 'ACTIVE 1.1.0%' $$), sim.break('stops', 'app1', 'start'), zdu_rollback('stops');
SELECT sim.drive('stops', 'held');
SELECT is((SELECT concat_ws(' ', run, held_rule, held_reason) FROM zdu.cluster_facts WHERE name = 'stops'), 'held L23 app1 start failed, attempt 1', 'L23: a step that fails on the way back holds');
SELECT is((SELECT string_agg(hint, '; ' ORDER BY hint) FROM zdu_why('stops') WHERE verdict = 'act' AND subject IN ('mend', 'give up all')),
          $$SELECT zdu_retry('stops'); SELECT zdu_rollback('stops')$$, 'L22: zdu_why says how to go on');
SELECT sim.mend('stops'), zdu_retry('stops');
SELECT is(pg_temp.back('stops'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: mended and tried again it gets there');
SELECT sim.make('again', 3), zdu_begin('again', '1.1.0'), sim.drive_until('again', $$ sim.node('again', 'app2') LIKE 'ACTIVE 1.1.0%' $$), sim.break('again', 'app1', 'start'), zdu_rollback('again'), sim.drive('again', 'held');
SELECT is(zdu_rollback('again') > 0, true, 'L23: a rollback that is held can be begun anew');
SELECT sim.mend('again');
SELECT is(pg_temp.back('again'), 'rolled_back STABLE 1.0.0 1.0.0 in', 'L23: with the same end');

-- ---- by itself, from the preparation on ----
SELECT sim.make('prep', 3, '{"on_failure": "rollback"}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true",
    "undo": {"exec": "svc", "args": ["unprepare"], "until": "$.prepared == false"}}, {"exec": "svc", "args": ["task"], "until": "$.task == true"}]}');
SELECT sim.break('prep', '', 'task'), zdu_begin('prep', '1.1.0');
SELECT is(sim.drive('prep', 'rolled_back') || ' ' || sim.acts('prep', ''), 'rolled_back prepare task unprepare', 'L23: on_failure = rollback: a preparation that fails is undone');
SELECT is(pg_temp.touched('prep'), NULL, 'L23: and no node is touched');
SELECT sim.make('early', 3, '{}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true",
    "undo": {"exec": "svc", "args": ["unprepare"], "until": "$.prepared == false"}}, {"exec": "svc", "args": ["task"], "until": "$.task == true"}]}');
SELECT zdu_begin('early', '1.1.0'), sim.drive_until('early', $$ sim.acts('early', '') = 'prepare' $$), zdu_rollback('early');
SELECT is(sim.drive('early', 'rolled_back') || ' ' || sim.acts('early', ''), 'rolled_back prepare unprepare', 'L23: rolled back while it prepares, it prepares no further');

-- ---- refusals ----
SELECT is(sim.refused($$ SELECT zdu_rollback('early') $$), 'ZD001 L4', 'L23: without an upgrade there is nothing to roll back');
SELECT sim.make('never', 2, '{"rollback": "never"}'), zdu_begin('never', '1.1.0');
SELECT is(sim.refused($$ SELECT zdu_rollback('never') $$), 'ZD002 L23', 'L23: rollback = never refuses the whole');
SELECT is(sim.refused($$ SELECT zdu_rollback('never', node => 'app1') $$), 'ZD002 L23', 'L23: and one node');
SELECT is(zdu_rollback('held') > 0 AND zdu_rollback('held') = 0, true, 'L23: rolling back twice is once');

SELECT * FROM finish();
ROLLBACK;
