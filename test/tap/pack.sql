-- With the order that ships nodes go by name where that costs no time, and else so that the plan is within 5 % of what no order can beat; the exchange keeps to it.

BEGIN;
\ir sim.psql

-- A node takes 60 s: so do all of them, and the plan is made of rounds.
CREATE FUNCTION pg_temp.slow() RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('node', jsonb_build_object('start', sim.runbook()->'node'->'start' || '{"expect": "60s"}')) $$;
-- As if by dice, and the same everywhere.
CREATE FUNCTION pg_temp.dice(i int, seed int) RETURNS int LANGUAGE sql AS
$$ SELECT ((i::bigint * 7919 + seed * 104729) * (i * 31 + seed) / 97 % 1009)::int $$;

-- The nodes as they are planned; as they were taken; how often some were.
CREATE FUNCTION pg_temp.planned(c text, n int DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(p.node, ' ' ORDER BY p.ord) FROM zdu_plan(c, '1.1.0', canary => n) p $$;
CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(e.node, ' ' ORDER BY e.event_id) FROM zdu.event e WHERE e.cluster = c AND e.what = 'taken' AND e.new = 'yes' $$;
CREATE FUNCTION pg_temp.rounds(c text) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(DISTINCT e.at) FROM zdu.event e WHERE e.cluster = c AND e.what = 'taken' AND e.new = 'yes' $$;
CREATE FUNCTION pg_temp.whys(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT p.why, '|') FROM zdu_plan(c, '1.1.0') p $$;

-- zones, groups: so many, each with a budget; by_name: the rounds that going by name needs; driven: rolled to its end;
-- canary: so many first; soak: of a gate behind half of the nodes.
CREATE TABLE pg_temp.world (name text, seed int, nodes int, share text, zones int, zone_limit text, groups int, group_limit text, by_name int, driven boolean, canary int, soak interval NOT NULL DEFAULT '0');
INSERT INTO pg_temp.world VALUES
    ('plain', 0, 7, '2', 0, NULL, 0, NULL, 4, true),
    ('striped', 0, 12, '4', 2, '2', 0, NULL, 3, true),
    -- Whoever goes first by name leaves the narrow zone, which takes longest, to the end.
    ('tail', 0, 8, '2', 0, NULL, 0, NULL, 6, true),
    ('dice1', 1, 30, '40%', 3, '34%', 4, '50%', 5, true),
    ('dice12', 12, 30, '40%', 3, '34%', 4, '50%', 4, true);
INSERT INTO pg_temp.world SELECT 'dice' || s, s, 30, '40%', 3, '34%', 4, '50%', NULL, false FROM generate_series(2, 11) AS s;
INSERT INTO pg_temp.world VALUES ('waves', 1, 30, '40%', 3, '34%', 4, '50%', NULL, true, 2, '20 s'), ('lone', 0, 6, '2', 2, '1', 0, NULL, NULL, true, 1, '0');
SELECT plan(2 + (SELECT count(*) + 2 * count(by_name) + 5 * count(*) FILTER (WHERE driven) FROM pg_temp.world)::int + 4);

SELECT is((SELECT order_by::text FROM zdu.policy WHERE name = 'default' AND shipped), '{role}', 'N14: the policy that ships leaves nodes of one role equal');
SELECT sim.make(w.name, w.nodes, jsonb_build_object('max_unavailable', w.share), pg_temp.slow()) FROM pg_temp.world w;
SELECT is((SELECT count(*) FROM zdu.policy p JOIN pg_temp.world w ON w.name = p.name WHERE p.order_by = '{role}'), (SELECT count(*) FROM pg_temp.world), 'N14: and so do those based on it');
SELECT zdu_set_node(w.name, 'app' || i, zone => 'z' || CASE w.seed WHEN 0 THEN i ELSE pg_temp.dice(i, w.seed) END % w.zones)
FROM pg_temp.world w, generate_series(1, w.nodes) AS i WHERE w.zones > 0;
SELECT zdu_set_group(w.name, 'g' || g.g, g.members)
FROM pg_temp.world w, LATERAL (SELECT pg_temp.dice(i, w.seed + 50) % w.groups AS g, array_agg('app' || i) AS members FROM generate_series(1, w.nodes) AS i GROUP BY 1) g WHERE w.groups > 0;
SELECT zdu_set_budget(w.name, 'zone-' || z, jsonb_build_object('zone', 'z' || z), max_unavailable => w.zone_limit) FROM pg_temp.world w, generate_series(0, w.zones - 1) AS z;
SELECT zdu_set_budget(w.name, 'group-' || g, jsonb_build_object('group', 'g' || g), max_unavailable => w.group_limit) FROM pg_temp.world w, generate_series(0, w.groups - 1) AS g;
SELECT zdu_set_gate(w.name, 'half', after => '50%', soak => w.soak) FROM pg_temp.world w WHERE w.soak > '0';
SELECT zdu_set_node('tail', 'app' || i, zone => 'narrow') FROM generate_series(5, 8) AS i;
SELECT zdu_set_budget('tail', 'narrow', '{"zone": "narrow"}', max_unavailable => '1');

-- --- planned ----------------------------------------------------------------------

SELECT ok(s.makespan <= s.lower_bound * 1.05, format('N14: %s: %s nodes in %s, no order can beat %s (at most 1.05 times)', w.name, w.nodes, s.makespan, s.lower_bound))
FROM pg_temp.world w, zdu_plan_summary(w.name, '1.1.0', canary => w.canary) AS s;
CREATE TABLE pg_temp.plan AS SELECT w.name, pg_temp.planned(w.name, w.canary), pg_temp.whys(w.name), s.makespan FROM pg_temp.world w, zdu_plan_summary(w.name, '1.1.0', canary => w.canary) AS s;
SELECT is(pg_temp.planned('plain'), 'app1 app2 app3 app4 app5 app6 app7', 'N14: who has no budgets goes by name');
SELECT is(pg_temp.planned('tail'), 'app5 app1 app6 app2 app7 app3 app8 app4', 'N14: the zone that takes longest goes first where the others would else leave it alone at the end');

-- Strictly by name.
SELECT zdu_set_policy(w.name, settings => '{"order_by": ["name"]}') FROM pg_temp.world w;
SELECT is(s.makespan, w.by_name * interval '1 min', format('N14: %s: by name it takes %s rounds', w.name, w.by_name))
FROM pg_temp.world w, zdu_plan_summary(w.name, '1.1.0') AS s WHERE w.by_name IS NOT NULL;
SELECT is(p.whys, CASE WHEN p.makespan < w.by_name * interval '1 min' THEN 'fullest budget first' ELSE 'by name' END, format('N14: %s: equals go by name where that costs no time, and only there', w.name))
FROM pg_temp.world w JOIN pg_temp.plan p USING (name) WHERE w.by_name IS NOT NULL;
SELECT zdu_set_policy(w.name, settings => '{"order_by": ["role"]}') FROM pg_temp.world w;

-- --- and carried out ----------------------------------------------------------------

-- By chance, where chance has nothing to choose.
SET LOCAL session_replication_role = replica;
UPDATE zdu.node SET took = 60;
SET LOCAL session_replication_role = origin;
SELECT is(z.makespan_p50, p.makespan, format('N14: %s: played, it takes as long as planned', w.name))
FROM pg_temp.world w JOIN pg_temp.plan p USING (name), zdu_simulate(w.name, '1.1.0', runs => 5, canary => w.canary) AS z WHERE w.driven;

SELECT zdu_begin(w.name, '1.1.0', canary => w.canary) FROM pg_temp.world w WHERE w.driven;
-- Counts do not know which nodes of a zone are in which wave: that may be a round.
SELECT ok(s.eta BETWEEN p.makespan - CASE WHEN w.soak > '0' THEN interval '1 min' ELSE '0' END AND p.makespan, format('N14: %s: status says %s, planned are %s', w.name, s.eta, p.makespan))
FROM pg_temp.world w JOIN pg_temp.plan p USING (name) JOIN zdu.status s ON s.cluster = w.name WHERE w.driven;
SELECT ok(sim.drive_until(w.name, format('(SELECT done = %L FROM zdu.status WHERE cluster = %L)', w.nodes || '/' || w.nodes, w.name), slots => 50),
          format('N14: %s: it is rolled', w.name)) FROM pg_temp.world w WHERE w.driven;
SELECT is(pg_temp.taken(w.name), p.planned, format('N14: %s: the exchange takes the nodes as planned', w.name)) FROM pg_temp.world w JOIN pg_temp.plan p USING (name) WHERE w.driven;
SELECT is(pg_temp.rounds(w.name) * interval '1 min' + w.soak, p.makespan, format('N14: %s: in as many rounds as planned', w.name)) FROM pg_temp.world w JOIN pg_temp.plan p USING (name) WHERE w.driven;

-- --- and back -----------------------------------------------------------------------

SET LOCAL session_replication_role = replica;
UPDATE zdu.node SET took = 60;
SET LOCAL session_replication_role = origin;
SELECT zdu_rollback('tail');
SELECT is(sim.drive('tail', 'rolled_back', slots => 50), 'rolled_back', 'L23: it is rolled back');
SELECT is((SELECT count(DISTINCT e.at) FROM zdu.event e WHERE e.cluster = 'tail' AND e.what = 'taken' AND e.new = 'yes' AND e.reason = 'back'), 4::bigint,
          'L23: on the way back too the zone that takes longest goes first where the others would else leave it alone at the end');

SELECT * FROM finish();
ROLLBACK;
