-- Promise: what a decision counts is what there is, whatever happened to the nodes: every count equals that of the nodes themselves.
BEGIN;
SELECT plan(10);
\ir sim.psql

CREATE FUNCTION pg_temp.wrong() RETURNS TABLE (cluster_id bigint, version zdu_version, state text, flags text, budgets bigint[], n bigint) LANGUAGE sql AS $$
	SELECT cluster_id, version, state, concat_ws(' ', confirmed, in_rotation, attached, taken), budgets, sum(d)::bigint FROM (
		SELECT cluster_id, version, state, confirmed, in_rotation, attached, taken, budgets, n AS d FROM zdu.node_count
		UNION ALL SELECT cluster_id, version, state, confirmed, in_rotation, attached, taken, budgets, -1 FROM zdu.node) x
	GROUP BY cluster_id, version, state, confirmed, in_rotation, attached, taken, budgets HAVING sum(d) <> 0 $$;

SELECT sim.make('c', 6, '{"max_unavailable": "3", "max_failures": 9}'), sim.make_manual('m', 4);
SELECT zdu_set_node('c', 'app' || i, zone => chr(96 + i % 2)) FROM generate_series(1, 6) AS i;
SELECT zdu_set_budget('c', 'a', '{"zone": "a"}', '2'), zdu_set_budget('c', 'all', max_failures => 9);
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'D12: nodes that were seen and joined are counted');

SELECT zdu_begin('c', '1.1.0'), sim.ask('c'), sim.ask('c');
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'D12: and those that are taken');
SELECT is((SELECT sum(n) FROM zdu.node_count k WHERE taken), 3::numeric, 'D12: three are');
SELECT sim.break('c', 'app6', 'start'), sim.drive_until('c', $$ (SELECT state = 'ERROR' FROM zdu.node WHERE name = 'app6' AND cluster_id = (SELECT cluster_id FROM zdu.cluster WHERE name = 'c')) $$);
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'D12: and those that failed, and are done');
SELECT sim.mend('c'), zdu_retry('c', 'app6'), sim.drive_until('c', $$ (SELECT done >= 5 FROM zdu.cluster_facts WHERE name = 'c') $$), zdu_detach('c', 'app1'), sim.ask('c'), sim.ask('c');
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'D13: and those that somebody detached');
SELECT zdu_rollback('c'), sim.ask('c'), sim.ask('c'), sim.drive('c', NULL);
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'L23: and those that went back');
SELECT is((SELECT max(n) FROM zdu.node_count JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'c' AND taken), NULL, 'L23: after which nothing is in flight');

SELECT zdu_begin('m', '1.1'), sim.stop('m', 'app1'), sim.start('m', 'app1', '1.1'), sim.stop('m', 'app2'), sim.start('m', 'app2', '1.1.0');
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'V1: two texts of one version are counted as one');
SELECT is((SELECT sum(n) FROM zdu.node_count WHERE version = '1.1' AND state = 'ACTIVE' GROUP BY cluster_id), 2::numeric, 'V1: of two nodes');
SELECT sim.tick(600), zdu_heartbeat('m', 'app1'), zdu_declare_down('m', 'app3', 'its disk is gone');
SELECT is_empty('SELECT * FROM pg_temp.wrong()', 'L11: and those that are unheard, or declared down');

SELECT * FROM finish();
ROLLBACK;
