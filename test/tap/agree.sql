-- The exchange takes the nodes in the order that zdu_plan showed before, whatever policy, budgets, copies and gates say.

BEGIN;
\ir sim.psql
SELECT plan(20);

-- What is set in each case, before begin: policy, then statements about cluster %1$s.
CREATE TEMP TABLE scenario (name text, about text, rule text, policy jsonb, setup text);
INSERT INTO scenario VALUES
('names', 'one by one by name', 'N14', '{"order_by": ["name"]}', NULL),
('three', 'three at once by name', 'D10', '{"order_by": ["name"], "max_unavailable": "3"}', NULL),
('share', 'a share', 'D10', '{"order_by": ["name"], "max_unavailable": "33%"}', NULL),
('roles', 'the processing role first', 'N14', '{"order_by": ["role", "name"], "max_unavailable": "2"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, role => CASE i %% 3 WHEN 0 THEN 'processing' WHEN 1 THEN 'browsing' END) FROM generate_series(1, 9) AS i$$),
('zones', 'zone by zone', 'N14', '{"order_by": ["zone", "name"], "max_unavailable": "2"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, zone => 'z' || i %% 4) FROM generate_series(1, 9) AS i$$),
('groups', 'group by group', 'N14', '{"order_by": ["group"], "max_unavailable": "4"}', $$SELECT zdu_set_group(%1$L, 'blue', '{app1,app5,app9}')$$),
('busy', 'the least busy first', 'N14', '{"order_by": ["least_busy"], "max_unavailable": "2"}',
    $$UPDATE zdu.node_heard h SET users = 100 - right(n.name, 1)::int, tasks = 0 FROM zdu.node n JOIN zdu.cluster k USING (cluster_id)
      WHERE k.name = %1$L AND h.node_id = n.node_id AND n.name <> 'app9'$$),
('budget', 'a budget of a zone beside that of all', 'D11', '{"order_by": ["name"], "max_unavailable": "3"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, zone => CASE WHEN i <= 5 THEN 'a' ELSE 'b' END) FROM generate_series(1, 9) AS i;
      SELECT zdu_set_budget(%1$L, 'a', '{"zone": "a"}', max_unavailable => '1')$$),
('choice', 'three budgets and a list that leaves the order open', 'D11', '{"order_by": [], "max_unavailable": "4"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, zone => 'z' || i %% 2, role => CASE WHEN i <= 4 THEN 'r' END, labels => jsonb_build_object('rack', (i / 4)::text)) FROM generate_series(1, 9) AS i;
      SELECT zdu_set_budget(%1$L, 'z1', '{"zone": "z1"}', max_unavailable => '2'), zdu_set_budget(%1$L, 'r', '{"role": "r"}', max_unavailable => '1'),
             zdu_set_budget(%1$L, 'rack', '{"label": {"rack": "1"}}', max_unavailable => '1')$$),
('copies', 'copies of data', 'D4', '{"order_by": ["name"], "max_unavailable": "4", "min_availability": "primaries"}',
    $$SELECT zdu_set_resource(%1$L, 's' || r, '2') FROM generate_series(1, 4) AS r;
      SELECT zdu_set_placement(%1$L, 's' || r, 'app' || (r + d), CASE d WHEN 0 THEN 'primary' ELSE 'replica' END) FROM generate_series(1, 4) AS r, generate_series(0, 2) AS d$$),
('crowd', 'copies and budgets', 'D4', '{"order_by": ["zone"], "max_unavailable": "50%", "min_availability": "primaries"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, zone => 'z' || i %% 3) FROM generate_series(1, 9) AS i;
      SELECT zdu_set_budget(%1$L, 'z0', '{"zone": "z0"}', max_unavailable => '2'), zdu_set_budget(%1$L, 'z2', '{"zone": "z2"}', max_unavailable => '1');
      SELECT zdu_set_resource(%1$L, 's' || r, '2') FROM generate_series(1, 3) AS r;
      SELECT zdu_set_placement(%1$L, 's' || r, 'app' || (3 * r - d), CASE d WHEN 0 THEN 'primary' ELSE 'replica' END) FROM generate_series(1, 3) AS r, generate_series(0, 2) AS d$$),
('gates', 'a gate in the middle', 'D11', '{"order_by": ["name"], "max_unavailable": "2"}', $$SELECT zdu_set_gate(%1$L, 'half', after => '50%%', soak => '20 s')$$),
('frozen', 'a freeze of a zone, and a window of a role', 'L22', '{"order_by": ["name"], "max_unavailable": "2"}',
    $$SELECT zdu_set_node(%1$L, 'app' || i, zone => CASE WHEN i <= 4 THEN 'a' ELSE 'b' END, role => CASE i WHEN 6 THEN 'batch' END) FROM generate_series(1, 9) AS i;
      SELECT zdu_set_freeze(%1$L, 'frozen-a', 'freeze', tstzrange(NULL, zdu_clock() + interval '150 s'), '{"zone": "a"}', reason => 'x');
      SELECT zdu_set_freeze(%1$L, 'frozen-batch', 'window', tstzrange(zdu_clock() + interval '250 s', NULL), '{"role": "batch"}', reason => 'x')$$),
('thawed', 'a freeze of all clusters that is waived', 'L22', '{"order_by": ["name"], "max_unavailable": "2"}',
    $$SELECT zdu_set_freeze(NULL, 'thawed', 'freeze', tstzrange(NULL, NULL), '{"product": "thawed"}', reason => 'x'); SELECT zdu_waive(%1$L, 'freeze:thawed', 'x')$$),
('down', 'one that is down goes first and costs nothing', 'D12', '{"order_by": ["name"], "max_unavailable": "2"}',
    $$UPDATE sim.world SET running = false WHERE cluster = %1$L AND node = 'app7';
      SELECT sim.tick(20), sim.ask(%1$L), sim.ask(%1$L), sim.tick(20), sim.ask(%1$L), sim.ask(%1$L)$$);

CREATE FUNCTION pg_temp.planned(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(p.node, ' ' ORDER BY p.ord) FROM zdu_plan(c, '1.1.0') p $$;
CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t.node, ' ' ORDER BY t.ord) FROM
   (SELECT t.*, row_number() OVER () AS ord FROM (SELECT * FROM zdu.timeline WHERE cluster = c) t) t WHERE t.what = 'taken' AND t.new = 'yes' $$;

-- Plans, begins and carries it out; returns whether the orders are the same, and both if not.
CREATE FUNCTION pg_temp.agrees(s scenario) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    planned text;
    taken text;
    statement text;
BEGIN
    PERFORM sim.make(s.name, 9, s.policy);
    FOREACH statement IN ARRAY coalesce(string_to_array(format(s.setup, s.name), ';'), '{}') LOOP
        EXECUTE statement;
    END LOOP;
    planned := pg_temp.planned(s.name);
    PERFORM zdu_begin(s.name, '1.1.0');
    IF NOT sim.drive_until(s.name, format('(SELECT done = ''9/9'' FROM zdu.status WHERE cluster = %L)', s.name), rounds => 400) THEN
        RETURN 'it did not come to its end';
    END IF;
    taken := pg_temp.taken(s.name);
    RETURN CASE WHEN planned = taken THEN 'agrees' ELSE 'planned ' || planned || ', taken ' || coalesce(taken, 'nobody') END;
END $$;

SELECT is(pg_temp.agrees(s), 'agrees', s.rule || ': the exchange takes the nodes as the plan says: ' || s.about) FROM scenario s;

-- The orders differ from each other where they should: the cases say something.
SELECT isnt(pg_temp.taken('budget'), pg_temp.taken('three'), 'D11: a budget of a zone changes the order');
SELECT is(pg_temp.taken('frozen'), 'app5 app7 app8 app9 app1 app2 app3 app4 app6', 'L22: and freezes');
SELECT isnt(pg_temp.taken('copies'), pg_temp.taken('three'), 'D4: so do copies');
SELECT is(left(pg_temp.taken('down'), 4), 'app7', 'D12: and a node that is down');
SELECT is(left(pg_temp.taken('busy'), 9), 'app8 app7', 'N14: and load');

SELECT * FROM finish();
ROLLBACK;
