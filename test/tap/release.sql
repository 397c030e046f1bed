-- Promise: only a step that is known to be safe is begun, and where one is not, zdu_path says by which releases to go.
BEGIN;
\ir sim.psql
SELECT plan(38);

SELECT zdu_set_policy('listed', based_on => 'crate', settings => '{"min_availability": "none"}');
SELECT zdu_set_policy('latest', based_on => 'camunda', settings => '{"min_version": null, "schema_phase": "none"}');
-- A cluster whose nodes, one excepted, were last seen at this version.
CREATE FUNCTION pg_temp.make(c text, with_policy text, at_version text, left_behind text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM zdu_set_cluster(c, policy => with_policy, product => c || '-product');
    PERFORM sim.start(c, 'app' || i, at_version) FROM generate_series(1, 3) AS i;
    IF left_behind IS NOT NULL THEN
        PERFORM sim.stop(c, 'app3');
        PERFORM zdu_force_state(c, 'app3', 'OFFLINE', 'test');
        SET LOCAL session_replication_role = replica;
        UPDATE zdu.node n SET version = left_behind::zdu_version FROM zdu.cluster k WHERE k.cluster_id = n.cluster_id AND k.name = c AND n.name = 'app3';
        UPDATE zdu.node_count x SET version = left_behind::zdu_version FROM zdu.cluster k WHERE k.cluster_id = x.cluster_id AND k.name = c AND x.state = 'OFFLINE';
        SET LOCAL session_replication_role = origin;
    END IF;
END $$;
CREATE FUNCTION pg_temp.begin(c text, to_version text) RETURNS text LANGUAGE sql AS
$$ SELECT sim.refused(format('SELECT zdu_begin(%L, %L)', c, to_version)) $$;

-- V4: what is listed
SELECT pg_temp.make('crate', 'listed', '0.48.1');
SELECT is(pg_temp.begin('crate', '0.49.0'), 'ZD002 V4', 'V4: without an edge no minor step is safe');
SELECT is(zdu_set_path('crate-product', '0.48.2', '0.48', '0.49.0', '0.49'), 'created', 'V4: an edge is made');
SELECT is(zdu_set_path('crate-product', '0.48.2', '0.48', '0.49.0', '0.49'), 'unchanged', 'V4: the same again changes nothing');
SELECT is(pg_temp.begin('crate', '0.49.0'), 'ZD002 V4', 'V4: from below its minimum patch it does not lead');
SELECT is(zdu_set_path('crate-product', '0.48.1', '0.48', '0.49.0', '0.49', 'restart', 'the index format changes'), 'created', 'V4: an edge may say that it takes a restart');
SELECT is(zdu_set_path('crate-product', '0.48.1', '0.48', '0.49.0', '0.49'), 'unchanged', 'V4: what is not said of it stays');
SELECT throws_like($$ SELECT zdu_begin('crate', '0.49.0') $$, 'cannot begin%', 'V4: which is refused as a rolling step');
SELECT is((SELECT observed FROM zdu_why('crate', target => '0.49.0') WHERE rule = 'V4'), '0.48.1 to 0.49.0 takes a restart of the whole cluster: the index format changes',
          'V4: and says why');
SELECT is(zdu_drop_path('crate-product', '0.48.1', '0.48', '0.49.0', '0.49'), 'dropped', 'V4: an edge can be dropped');
SELECT is(sim.refused($$ SELECT zdu_drop_path('crate-product', '0.48.1', '0.48', '0.49.0', '0.49') $$), '42704 V4', 'V4: but not twice');
SELECT is(sim.refused($$ SELECT zdu_set_path('p', '1.0', '1.0', '1.1', '1.1', 'somehow') $$), '23514 no rule: new row for relation "release_path" violates check constraint "release_path_how_check" without a hint',
          'V4: an edge is rolling or takes a restart');
SELECT is(pg_temp.begin('crate', '0.48.3'), 'not refused', 'V5: a patch inside one minor needs no edge');
SELECT is(zdu_cancel('crate'), 'STABLE', 'V5: (given up again)');
SELECT zdu_set_release('crate-product', '0.48.3', 'loses shards');
SELECT is(pg_temp.begin('crate', '0.48.3'), 'ZD002 V6', 'V6: but not to a blocked release');
SELECT is((SELECT observed FROM zdu_why('crate', target => '0.48.3') WHERE rule = 'V6'), '0.48.3 is blocked: loses shards', 'V6: with its reason');
SELECT is(zdu_set_release('crate-product', '0.48.3', compatible => true), 'unchanged', 'V6: what is not said stays');
SELECT is(zdu_set_release('crate-product', '0.48.3', ''), 'changed', 'V6: an empty reason unblocks');

-- V3: the latest patch first
SELECT pg_temp.make('camunda', 'latest', '7.5.3');
SELECT zdu_set_release('camunda-product', v) FROM unnest('{7.5.9,7.6.0,7.6.2,7.7.1}'::text[]) AS v;
SELECT is(pg_temp.begin('camunda', '7.6.2'), 'ZD002 V3', 'V3: a minor step from below the latest patch is refused');
SELECT is(pg_temp.begin('camunda', '7.5.9'), 'not refused', 'V3: the patch step is not');
SELECT is(zdu_cancel('camunda'), 'STABLE', 'V3: (given up again)');
SELECT zdu_set_release('camunda-product', '7.5.9', 'broken');
SELECT is(pg_temp.begin('camunda', '7.6.2'), 'not refused', 'V3: a blocked patch is not asked for');
SELECT zdu_set_release('camunda-product', '7.5.9', '');
SELECT pg_temp.make('behind', 'latest', '7.5.9', '7.5.3');
SELECT zdu_set_release('behind-product', '7.5.9');
SELECT is(pg_temp.begin('behind', '7.6.0'), 'ZD002 V3', 'V3: nor may one node be below it');

-- V8: the way
SELECT results_eq($$ SELECT step, from_version, to_version FROM zdu_path('camunda', '7.7.1') $$,
                  $$ VALUES (1, '7.5.3', '7.5.9'), (2, '7.5.9', '7.6.2'), (3, '7.6.2', '7.7.1') $$,
                  'V8: where one step is not legal, the shortest chain of releases is: by the latest patches');
SELECT is((SELECT hint FROM zdu_path('camunda', '7.7.1') WHERE step = 1), $$SELECT zdu_begin('camunda', '7.5.9')$$, 'V8: with the command that begins it');
SELECT is(sim.refused($$ SELECT zdu_path('camunda', '9.0.0') $$), 'ZD002 V8', 'V8: no chain is an error');
SELECT is(sim.refused($$ SELECT zdu_path('camunda', '7.4.0') $$), 'ZD002 V8', 'V7: none leads down');
SELECT is(sim.refused($$ SELECT zdu_path('nobody', '7.4.0') $$), '42704 N11', 'V8: of a cluster that there is');
SELECT is((SELECT count(*)::int FROM zdu.timeline WHERE cluster = 'camunda' AND what = 'path'), 0, 'V8: looking changes nothing');
SELECT is((SELECT hint FROM zdu_why('behind', target => '7.8.0') WHERE rule = 'V2'), $$SELECT * FROM zdu_path('behind', target => '7.8.0')$$, 'V2: a refusal names the way to find it');

-- V9: what a release needs, and what it breaks
SELECT pg_temp.make('shop', 'confluence', '1.0');
SELECT zdu_set_release('shop-product', '1.1', requires => '{"elasticsearch": {"min": "7.10", "max": "8"}}');
SELECT is(pg_temp.begin('shop', '1.1'), 'ZD002 V9', 'V9: a release that needs a product of which no version is known is refused');
SELECT zdu_set_cluster('shop', vars => '{"elasticsearch_version": "7.9.3"}');
SELECT is(pg_temp.begin('shop', '1.1'), 'ZD002 V9', 'V9: with a version that is too old as well');
SELECT zdu_set_cluster('shop', vars => '{"elasticsearch_version": "8.4.1"}');
SELECT is(pg_temp.begin('shop', '1.1'), 'not refused', 'V9: 8.4.1 is within 7.10 to 8');
SELECT zdu_cancel('shop');
SELECT zdu_set_cluster('shop', vars => '{}');
SELECT pg_temp.make('search', 'confluence', '7.11.0');
SELECT zdu_set_cluster('search', product => 'elasticsearch');
SELECT is(pg_temp.begin('shop', '1.1'), 'not refused', 'V9: where no variable says it, what the clusters of that product run counts');
SELECT zdu_cancel('shop');
SELECT zdu_set_release('shop-product', '1.2', compatible => false);
SELECT is(pg_temp.begin('shop', '1.2'), 'ZD002 V9', 'V9: definitions that are not backward compatible are no rolling step');
SELECT is(pg_temp.begin('shop', '1.3'), 'ZD002 V9', 'V9: nor is what leads over them');
SELECT is(sim.refused($$ SELECT zdu_set_release('p', '1.0', requires => '{"q": "7"}') $$), '22023 V9', 'V9: what a release needs is a range');
SELECT is(sim.refused($$ SELECT zdu_set_release('p', '1.0', requires => '[]') $$), '22023 V9', 'V9: by product');
SELECT is(substr(sim.refused($$ SELECT zdu_set_release('p', '1.0', requires => '{"q": {"min": "seven"}}') $$), 1, 5), '22P02', 'V9: of versions');
SELECT * FROM finish();
ROLLBACK;
