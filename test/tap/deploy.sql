-- Promise: a rollout by groups goes group by group, each group's traffic is switched together, and its groups stay until it is through.
BEGIN;
\ir sim.psql
SELECT plan(49);

-- The cluster of the document: four nodes, the first of them the processing node.
CREATE FUNCTION pg_temp.make(c text) RETURNS void LANGUAGE sql AS $$
    SELECT sim.make(c, 4, '{"max_unavailable": "50%", "version_step": "any"}');
    SELECT zdu_set_node(c, 'app' || i, '192.168.0.' || i || '0:7860', role => CASE i WHEN 1 THEN 'processing' ELSE 'browsing' END) FROM generate_series(1, 4) AS i;
$$;
CREATE FUNCTION pg_temp.groups(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(n.node_group, ' ' ORDER BY n.name) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
CREATE FUNCTION pg_temp.versions(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(n.version::text, ' ' ORDER BY n.name) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
CREATE FUNCTION pg_temp.done(c text, g text) RETURNS boolean LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM zdu.deployment d JOIN zdu.upgrade u USING (upgrade_id) JOIN zdu.cluster k USING (cluster_id)
                  WHERE k.name = c AND d.node_group = g AND d.done_at IS NOT NULL) $$;
CREATE FUNCTION pg_temp.drive(c text, g text) RETURNS boolean LANGUAGE sql AS
$$ SELECT sim.drive_until(c, format('pg_temp.done(%L, %L)', c, g), rounds => 60) $$;

-- Two groups
SELECT pg_temp.make('site');
SELECT zdu_set_group('site', 'deployment', '{app1,app2}');
SELECT is(pg_temp.groups('site'), 'deployment deployment default default', 'N12: the members leave the group they were in');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', '2.0.0', 'deployment', through => 'app3') $$), 'ZD002 N15', 'N15: one that is sent through a node outside the group is refused');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', '2.0.0', 'nowhere') $$), '42704 N11', 'N15: it goes to a group that there is');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', '2.0.0', 'deployment', through => 'app9') $$), '42704 N5', 'N15: through a node that there is');
SELECT ok(zdu_deploy('site', '2.0.0', 'deployment', through => 'app1') > 0, 'N15: through one inside it is begun');
SELECT results_eq($$ SELECT d.node_group, d.through, d.done_at IS NULL FROM zdu.deployment d JOIN zdu.upgrade u USING (upgrade_id) JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'site' $$,
                  $$ VALUES ('deployment', 'app1', true) $$, 'N15: which is recorded');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', '2.0.0') $$), 'ZD001 M8', 'M8: the next deployment waits until this one is done');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', '3.0.0', 'deployment') $$), 'ZD001 M8', 'M8: another rollout is refused');
SELECT is(sim.refused($$ SELECT zdu_begin('site', '3.0.0') $$), 'ZD001 L3', 'M8: however it is asked for');
SELECT is(sim.refused($$ SELECT zdu_drop_group('site', 'deployment') $$), '55000 N12', 'N12: the groups are the rollout''s');
SELECT is(sim.refused($$ SELECT zdu_drop_groups('site') $$), 'ZD002 N13', 'N13: nor can all be dropped before the deployment to default');

-- M9: one node is slow to start
SELECT sim.break('site', 'app2', 'start', 'lies');
SELECT sim.drive_until('site', $$ sim.node('site', 'app1') = 'ACTIVE 2.0.0 out taken' $$, rounds => 40);
SELECT sim.ask('site'), sim.ask('site'), sim.ask('site');
SELECT is(sim.node('site', 'app1'), 'ACTIVE 2.0.0 out taken', 'M9: a node that is verified gets no traffic');
SELECT alike(sim.step('site', 'app1'), 'integrate pending%', 'M9: while another one of its group is not');
SELECT is((SELECT count(*)::int FROM zdu_why('site') WHERE rule = 'M9'), 1, 'M9: zdu_why says what it waits for');
SELECT is((SELECT serving FROM zdu.status WHERE cluster = 'site'), '2/4', 'M9: the others serve');
SELECT sim.mend('site');
UPDATE sim.world SET running = true, version = installed WHERE cluster = 'site' AND node = 'app2';
SELECT ok(pg_temp.drive('site', 'deployment'), 'M9: when every node is verified the group gets its traffic');
SELECT ok((SELECT min(ord) FROM sim.act WHERE cluster = 'site' AND action = 'integrate') > (SELECT max(ord) FROM sim.act WHERE cluster = 'site' AND action = 'start' AND node IN ('app1', 'app2')),
          'M9: not one node before');
SELECT is(pg_temp.versions('site'), '2.0.0 2.0.0 1.0.0 1.0.0', 'N15: only the group is upgraded');
SELECT is(sim.state('site'), 'MIXED', 'N15: the cluster is MIXED meanwhile');
SELECT is((SELECT hint FROM zdu_why('site') WHERE subject = 'next group'), $$SELECT zdu_deploy('site')$$, 'N15: zdu_why says what comes next');
SELECT is((SELECT split_part(new, ' ', 1) FROM zdu.event WHERE cluster = 'site' AND what = 'deployment' AND rule = 'M9' ORDER BY event_id LIMIT 1), 'traffic', 'M9: the switch is an event');
SELECT is(sim.refused($$ SELECT zdu_deploy('site', node_group => 'nowhere') $$), '42704 N11', 'N15: the next one too goes to a group that there is');
SELECT ok(zdu_deploy('site') > 0, 'N15: without a target group it goes to default, the version is that of the rollout');
SELECT ok(pg_temp.drive('site', 'default'), 'N15: and is carried out');
SELECT is(pg_temp.versions('site'), '2.0.0 2.0.0 2.0.0 2.0.0', 'N15: now all nodes are upgraded');
SELECT cmp_ok((SELECT serving FROM sim.lowest WHERE cluster = 'site'), '>=', 2, 'D14: two of four served all the while');
SELECT is(zdu_drop_groups('site'), 1, 'N13: after the deployment to default the groups can be dropped');
SELECT is(pg_temp.groups('site'), 'default default default default', 'N13: their nodes go back to default');
SELECT is(zdu_finalize('site'), 'STABLE', 'N15: and the rollout be finalized');

-- A group per node
SELECT pg_temp.make('each');
SELECT is(zdu_group_per_node('each'), 4, 'N13: one call makes a group for every node');
SELECT is(pg_temp.groups('each'), 'group-192-168-0-10-7860 group-192-168-0-20-7860 group-192-168-0-30-7860 group-192-168-0-40-7860', 'N13: named by its address');
SELECT is(zdu_group_per_node('each'), 0, 'N13: the same call again changes nothing');
SELECT is((SELECT bool_and(zdu_deploy('each', '2.0.0', g) > 0 AND pg_temp.drive('each', g)) FROM
           (SELECT n.node_group AS g FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'each' ORDER BY n.name) x), true,
          'N13: each group is deployed to, one after another');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE cluster = 'each' AND action = 'stop'), 'app1 app2 app3 app4', 'N14: the processing node first');
SELECT is(sim.refused($$ SELECT zdu_drop_groups('each') $$), 'ZD002 N13', 'N13: dropping them is refused until the deployment to default is done');
SELECT ok(zdu_deploy('each') > 0, 'N15: which has nothing to do');
SELECT ok(pg_temp.done('each', 'default'), 'N15: and is done at once');
SELECT is(zdu_drop_groups('each'), 4, 'N13: then one call drops them all');
SELECT is(zdu_finalize('each'), 'STABLE', 'N13: (finalized)');
SELECT is((SELECT count(*)::int FROM zdu.node_group g JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'each'), 1, 'N11: default stays');

-- Begun by zdu_begin, nodes leave by the budgets, in the groups that come later too
SELECT pg_temp.make('single');
SELECT zdu_set_group('single', 'one', '{app1}');
SELECT zdu_begin('single', '2.0.0', node_group => 'one');
SELECT ok(pg_temp.drive('single', 'one'), 'N15: the group that it was begun with is through');
SELECT lives_ok($$ SELECT zdu_deploy('single') $$, 'D10: the next one is begun though its nodes could not leave together');
SELECT ok(pg_temp.drive('single', 'default'), 'N15: and is through, too');

-- What does not fit
SELECT pg_temp.make('tight');
SELECT zdu_set_group('tight', 'three', '{app1,app2,app3}');
SELECT is(sim.refused($$ SELECT zdu_deploy('tight', '2.0.0', 'three') $$), 'ZD002 D10', 'D10: more nodes than may be unavailable do not leave together');
SELECT zdu_set_group('tight', 'three', '{app1,app2}');
SELECT zdu_set_budget('tight', 'few', '{"group": "three"}', max_unavailable => '1');
SELECT is(sim.refused($$ SELECT zdu_deploy('tight', '2.0.0', 'three') $$), 'ZD002 D10', 'D11: nor do more than any budget has room for');
SELECT is(zdu_drop_groups('tight'), 1, 'N13: with no rollout they can be dropped at any time');
SELECT zdu_set_node('tight', 'app2', '192.168.0.10.7860');
SELECT is(sim.refused($$ SELECT zdu_group_per_node('tight') $$), '22023 N13', 'N13: two addresses that give one name are refused');
SELECT zdu_begin('tight', '2.0.0');
SELECT is(sim.refused($$ SELECT zdu_deploy('tight', '2.0.0') $$), 'ZD001 M8', 'M8: a rollout that does not go by groups takes no deployment');
SELECT is(sim.refused($$ SELECT zdu_group_per_node('tight') $$), '55000 N12', 'N12: and no new groups');
SELECT * FROM finish();
ROLLBACK;
