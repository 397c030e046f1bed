-- Cluster c of :nodes nodes, :away of them away at a time, at the beginning of an upgrade; with :budgets (true or
-- false) every node is in one of four zones with a budget each, and all of them are under a fifth one.
-- zdu_set_node a hundred thousand times would take minutes: all but one of the rows are made
-- as it and zdu_join would have left them.

CREATE EXTENSION zdu;
SELECT zdu_set_policy('bench', settings => jsonb_build_object(
	'max_unavailable', :'away', 'min_healthy_time', '0 s', 'heartbeat_ttl', '1 h', 'lease', '1 min'));
SELECT zdu_set_runbook('bench', jsonb_build_object('zdu_runbook', 1, 'node', jsonb_object_agg(
	phase, '{"exec": "look", "only": "probe", "until": "$.version == $version"}'::jsonb)))
FROM unnest('{isolate,drain,stop,upgrade,start,verify,integrate}'::text[]) AS phase;
SELECT zdu_set_cluster('c', policy => 'bench', runbook => 'bench');

INSERT INTO zdu.node (cluster_id, name, zone, state, version, reports)
SELECT c.cluster_id, 'app' || i, 'z' || i % 4, 'ACTIVE', '1.0.0', true
FROM zdu.cluster c, generate_series(1, :nodes - 1) AS i;
INSERT INTO zdu.node_count (cluster_id, version, state, confirmed, in_rotation, taken, n)
SELECT cluster_id, '1.0.0', 'ACTIVE', false, true, false, :nodes - 1 FROM zdu.cluster;
INSERT INTO zdu.node_heard (node_id, cluster_id, heard)
SELECT node_id, cluster_id, zdu_clock() FROM zdu.node;
SELECT zdu_join('c', 'app0', '1.0.0');
SELECT zdu_heartbeat('c', 'app0', state => 'ACTIVE');
\if :budgets
SELECT zdu_set_node('c', 'app0', zone => 'z0');
SELECT zdu_set_budget('c', 'zone-' || i, selector => jsonb_build_object('zone', 'z' || i), max_unavailable => :'away')
FROM generate_series(0, 3) AS i;
SELECT zdu_set_budget('c', 'rate', max_begun => 1000000, per_interval => '1 hour');
\endif
VACUUM ANALYZE zdu.node, zdu.node_heard;

SELECT zdu_begin('c', '1.1.0');
