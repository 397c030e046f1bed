-- Promise: a feature of the new version is off until the last old node is gone and the upgrade is final, then on for all.
BEGIN;
\ir sim.psql
SELECT plan(46);

-- What zdu_feature says, what the view says it waits for.
CREATE FUNCTION pg_temp.tell(c text, f text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(': ', CASE WHEN zdu_feature(c, f) THEN 'on' ELSE 'off' END, waits_for) FROM zdu.feature_status WHERE cluster = c AND feature = f $$;
-- The features that every node of a cluster is told of, by single beats and by one array.
CREATE FUNCTION pg_temp.told(c text) RETURNS text[] LANGUAGE sql AS $$
SELECT array_agg(DISTINCT b.features::text) FROM (
    SELECT (zdu_heartbeat(c, n.name)).features FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c
    UNION ALL
    SELECT (zdu_heartbeat(c, array_agg(n.name ORDER BY n.name))).features FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c) b $$;

-- A whole upgrade
SELECT sim.make_manual('shop', 3, '{"offline_at_end": "fence"}');
SELECT is(zdu_set_feature('shop', 'search', '1.1.0'), 'created', 'S4: a feature of a version to come');
SELECT is(zdu_set_feature('shop', 'search', '1.1.0'), 'unchanged', 'S4: once');
SELECT zdu_set_feature('shop', 'basket', '1.1');
SELECT is(zdu_set_feature('shop', 'prices', '1.0.0'), 'created', 'S4: a feature that every node knows');
SELECT is(pg_temp.tell('shop', 'prices'), 'on', 'S4: is on at once');
SELECT is(pg_temp.tell('shop', 'search'), 'off: an upgrade to 1.1.0', 'S4: one of a later version is off');
SELECT ok(NOT zdu_feature('shop', 'nothing'), 'S4: one that nobody knows is off, and no error');
SELECT is(pg_temp.told('shop'), '{"{prices}"}', 'S4: nodes are told in every beat which are on');
SELECT zdu_begin('shop', '1.1.0');
SELECT is(pg_temp.tell('shop', 'search'), 'off: the end of the upgrade', 'S4: begin switches nothing on');
SELECT is(pg_temp.tell('shop', 'prices'), 'on', 'S4: nor off');
SELECT sim.stop('shop', n), sim.start('shop', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) n;
SELECT is(pg_temp.tell('shop', 'search'), 'off: the end of the upgrade', 'S4: off while the cluster is mixed');
SELECT is((zdu_heartbeat('shop', 'app1')).features, '{prices}', 'S4: for new nodes too');
SELECT sim.stop('shop', 'app3'), sim.start('shop', 'app3', '1.1.0');
SELECT is(sim.state('shop') || ' ' || pg_temp.tell('shop', 'search'), 'READY_TO_RUN_UPGRADE_TASKS off: the end of the upgrade',
          'S4: off when every node is new, for the upgrade may still be rolled back');
SELECT is(zdu_finalize('shop'), 'STABLE', 'S4: finalize');
SELECT is(pg_temp.tell('shop', f), 'on', 'S4: has switched it on: ' || f) FROM unnest('{search,basket}'::text[]) f;
SELECT is(pg_temp.told('shop'), '{"{basket,prices,search}"}', 'S4: and every node hears of all of them');
SELECT results_eq($$ SELECT count(*), count(DISTINCT at), bool_and(rule = 'S4') FROM zdu.event WHERE cluster = 'shop' AND what = 'feature' AND new IN ('search on', 'basket on') $$,
                  $$ VALUES (2::bigint, 1::bigint, true) $$, 'S4: the log has it, as one moment');
SELECT is(zdu_set_feature('shop', 'export', '1.2'), 'created', 'S4: the next upgrade');
SELECT zdu_begin('shop', '1.2.0');
SELECT is(pg_temp.tell('shop', 'search'), 'on', 'S4: what is on stays on, old nodes know it too');
SELECT sim.stop('shop', 'app1'), sim.start('shop', 'app1', '1.2.0');
SELECT zdu_rollback('shop');
SELECT sim.stop('shop', 'app1'), sim.start('shop', 'app1', '1.1.0');
SELECT is(sim.run('shop') || ' ' || pg_temp.tell('shop', 'export'), 'rolled_back off: an upgrade to 1.2', 'S4: a rollback switches nothing on');
SELECT is(pg_temp.tell('shop', 'search'), 'on', 'S4: nor off');

-- Definitions
SELECT is(zdu_set_feature('shop', 'search', '2.0'), 'changed', 'S4: a feature that was announced too early');
SELECT is(pg_temp.tell('shop', 'search'), 'off: an upgrade to 2.0', 'S4: is off until its version');
SELECT is(zdu_drop_feature('shop', 'basket'), 'dropped', 'S4: a feature that is no longer asked for');
SELECT ok(NOT zdu_feature('shop', 'basket') AND NOT 'basket' = ANY ((zdu_heartbeat('shop', 'app1')).features), 'S4: is off, and told nobody');
SELECT is(sim.refused(statement), expected, 'S4: ' || statement) FROM (VALUES
    ($$ SELECT zdu_feature('nowhere', 'search') $$, '42704 N11'), ($$ SELECT zdu_set_feature('nowhere', 'search', '1.0') $$, '42704 N11'),
    ($$ SELECT zdu_drop_feature('shop', 'basket') $$, '42704 S4'), ($$ SELECT zdu_set_feature('shop', 'a b', '1.0') $$, '22023 N11'),
    ($$ SELECT zdu_feature('shop', NULL) $$, '22004 L22'), ($$ SELECT zdu_set_feature('shop', 'search', NULL) $$, '22004 L22')) AS t (statement, expected);
SELECT throws_ok($$ SELECT zdu_set_feature('shop', 'search', 'v2') $$, '22P02', NULL, 'S4: since is a version');

-- L18: an upgrade that was ended early leaves old nodes running
SELECT sim.make_manual('early', 4, '{"early_end": "force", "offline_at_end": "fence"}');
SELECT zdu_set_feature('early', 'search', '1.1.0');
SELECT zdu_begin('early', '1.1.0');
SELECT sim.stop('early', 'app1'), sim.start('early', 'app1', '1.1.0');
SELECT zdu_finalize('early', force => true, reason => 'the fair begins');
SELECT is(sim.state('early') || ' ' || pg_temp.tell('early', 'search'), 'STABLE off: app2 is ACTIVE at 1.0.0', 'S4, L18: features wait for the old nodes that still run');
SELECT is((zdu_heartbeat('early', 'app2')).command, 'stop', 'L18: which are told to stop');
SELECT sim.stop('early', 'app2');
SELECT is(pg_temp.tell('early', 'search'), 'off: app3 is ACTIVE at 1.0.0', 'S4, L18: for each of them');
SELECT zdu_heartbeat('early', ARRAY['app3', 'app4'], NULL, '{TERMINATING,TERMINATING}');
SELECT zdu_heartbeat('early', 'app3', state => 'OFFLINE');
SELECT is(pg_temp.tell('early', 'search'), 'off: app4 is TERMINATING at 1.0.0', 'S4, L18: one that is about to stop may still write');
SELECT sim.tick(31), zdu_heartbeat('early', 'app1'), sim.tick(31), zdu_heartbeat('early', 'app1'), sim.tick(31), zdu_heartbeat('early', 'app1');
SELECT is(sim.node('early', 'app4') || ', ' || pg_temp.tell('early', 'search'), 'OFFLINE 1.0.0 fenced, off: app4 is OFFLINE, not confirmed, at 1.0.0',
          'S4, L18: so may one that is merely unheard');
SELECT zdu_declare_down('early', 'app4', 'unplugged');
SELECT is(pg_temp.tell('early', 'search'), 'on', 'S4, L18: when the last one is confirmed OFFLINE, it is on');
SELECT is((zdu_heartbeat('early', 'app1')).features, '{search}', 'S4: and the nodes hear of it');
SELECT is(sim.start('early', 'app2', '1.0.0'), 'refused L16', 'S4: no old node comes back');

-- A node that is removed, or comes back new, is waited for no more
SELECT sim.make_manual('gone', 3, '{"early_end": "force"}');
SELECT zdu_set_feature('gone', 'search', '1.1.0');
SELECT zdu_begin('gone', '1.1.0');
SELECT sim.stop('gone', 'app1'), sim.start('gone', 'app1', '1.1.0');
SELECT zdu_finalize('gone', force => true, reason => 'x');
SELECT sim.start('gone', 'app2', '1.1.0');
SELECT is(pg_temp.tell('gone', 'search'), 'off: app3 is ACTIVE at 1.0.0', 'S4: a fenced node that was upgraded is waited for no more');
SELECT zdu_remove_node('gone', 'app3');
SELECT is(pg_temp.tell('gone', 'search'), 'on', 'S4: nor is one that was removed');

-- Driven, with tasks at the end
SELECT sim.make('tasks', 2, '{"finalize": "auto"}', '{"after": [{"exec": "svc", "args": ["task"], "until": "$.task == true"}]}');
SELECT zdu_set_feature('tasks', 'search', '1.1.0');
SELECT zdu_begin('tasks', '1.1.0');
SELECT sim.drive_until('tasks', $$ sim.state('tasks') = 'RUNNING_UPGRADE_TASKS' $$);
SELECT ok(zdu_feature('tasks', 'search'), 'S4: an upgrade that ended by itself switches it on in the moment in which it became final');
SELECT is((SELECT count(*) FROM zdu.event WHERE cluster = 'tasks' AND what = 'feature'), 1::bigint, 'S4: once');

-- Who may
CREATE ROLE app;
SELECT zdu_grant('app', 'node');
SET ROLE app;
SELECT ok(zdu_feature('shop', 'prices'), 'S4: a node''s login may ask');
SELECT throws_ok($$ SELECT zdu_set_feature('shop', 'prices', '3.0') $$, '42501', NULL, 'S4: and change nothing');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
