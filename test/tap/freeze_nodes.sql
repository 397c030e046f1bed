-- Promise: a freeze or a window with a selector of nodes keeps those waiting that match, hides none of the others, and is told, waived, changed and dropped like any other.
BEGIN;
SELECT plan(39);
\ir sim.psql

CREATE FUNCTION pg_temp.at(seconds int) RETURNS timestamptz LANGUAGE sql AS $$ SELECT zdu_clock() + make_interval(secs => seconds) $$;
CREATE FUNCTION pg_temp.rounds(c text, n int, slots int DEFAULT 10) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c, slots => slots), sim.tick(1.1); END LOOP; END $$;
-- Somebody listens all the while.
CREATE FUNCTION pg_temp.passes(c text, seconds int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..seconds / 5 LOOP PERFORM sim.ask(c), sim.tick(5); END LOOP; END $$;
CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(DISTINCT node, ' ' ORDER BY node), 'none') FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.why(c text, n text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(rule || ' ' || observed, '; ') FROM zdu_why(c, n) WHERE verdict = 'no' $$;

-- ---- what it stops, and what goes on ----
SELECT sim.make('shop', 6, '{"max_unavailable": "2"}');
SELECT zdu_set_node('shop', 'app' || i, zone => CASE WHEN i <= 4 THEN 'a' ELSE 'b' END, role => CASE WHEN i = 6 THEN 'batch' END, labels => jsonb_build_object('rack', i % 2)) FROM generate_series(1, 6) i;
SELECT is(zdu_set_freeze('shop', 'move', 'freeze', tstzrange(NULL, pg_temp.at(500)), '{"zone": "a"}', 'netops', 'zone a moves'), 'created', 'L22: zdu_set_freeze takes a selector of nodes');
SELECT zdu_begin('shop', '1.1.0'), pg_temp.rounds('shop', 30, 1);
SELECT is(pg_temp.touched('shop'), 'app5 app6', 'L22: with one slot, and all that is frozen first in order, the others go on');
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'shop'), '2/6', 'L22: and are done');
SELECT matches(pg_temp.why('shop', 'app3'), '^L22 freeze "move" in zone a until .*: zone a moves \(netops\)$', 'L22: zdu_why names the freeze for the node, and which nodes it means');
SELECT matches((SELECT waits_for FROM zdu.status WHERE cluster = 'shop'), '^L22: freeze "move" in zone a until', 'L22: zdu.status says it when nothing else can be taken');
SELECT is(sim.run('shop'), 'running', 'L22: that is no hold');
SELECT is((SELECT hint FROM zdu_why('shop', 'app3') WHERE subject = 'not_frozen'), $$SELECT zdu_waive('shop', 'freeze:move', 'reason')$$, 'L22: the break-glass is the same');

-- Changed in the middle: another selector, another node.
SELECT is(zdu_set_freeze('shop', 'move', selector => '{"zone": "a", "label": {"rack": 1}}'), 'changed', 'L22: its selector can be changed');
SELECT pg_temp.rounds('shop', 15);
SELECT is(pg_temp.touched('shop'), 'app2 app4 app5 app6', 'L22: then it stops those that match all of it');
SELECT zdu_set_node('shop', 'app3', zone => 'b'), pg_temp.rounds('shop', 12);
SELECT is(pg_temp.touched('shop'), 'app2 app3 app4 app5 app6', 'L22: a node that is moved out of its reach goes');
SELECT zdu_rollback('shop', node => 'app4'), zdu_set_freeze('shop', 'all4', 'freeze', tstzrange(NULL, NULL), '{"label": {"rack": 0}}', reason => 'x'), pg_temp.rounds('shop', 25);
SELECT is(sim.node('shop', 'app4'), 'ACTIVE 1.0.0', 'L23: a frozen node is brought back all the same');
SELECT zdu_retry('shop', node => 'app4'), pg_temp.rounds('shop', 12);
SELECT is(sim.node('shop', 'app4'), 'ACTIVE 1.0.0', 'L22: but does not go forward again');
SELECT zdu_waive('shop', 'freeze:all4', 'it must'), pg_temp.rounds('shop', 25);
SELECT is(sim.node('shop', 'app4') || ' ' || sim.node('shop', 'app1'), 'ACTIVE 1.1.0 ACTIVE 1.0.0', 'L22: one waiver sets one freeze aside');
SELECT pg_temp.passes('shop', 500);
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L22: when its time is over it stops nobody');

SELECT sim.make('back', 3), zdu_begin('back', '1.1.0');
SELECT sim.drive_until('back', $$ sim.node('back', 'app2') = 'ACTIVE 1.1.0' $$);
SELECT zdu_set_freeze('back', 'names', 'freeze', tstzrange(NULL, NULL), '{"group": "default"}', reason => 'x'), zdu_rollback('back');
SELECT is(sim.drive('back', 'rolled_back'), 'rolled_back', 'L23: nor does it stand in the way of the whole way back');

-- Each key, and budgets beside it: both stand in the same signature.
CREATE FUNCTION pg_temp.stopped(c text, selector jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 4, '{"max_unavailable": "3"}');
    PERFORM zdu_set_group(c, 'blue', '{app1}');
    PERFORM zdu_set_node(c, 'app2', zone => 'a'), zdu_set_node(c, 'app3', role => 'batch'), zdu_set_node(c, 'app4', labels => '{"rack": "r1", "os": "12"}');
    PERFORM zdu_set_budget(c, 'all', '{}', max_unavailable => '2');
    PERFORM zdu_set_freeze(c, c, 'freeze', tstzrange(NULL, NULL), selector, reason => 'x');
    PERFORM zdu_set_budget(c, 'default', '{"group": "default"}', max_unavailable => '1');
    PERFORM zdu_begin(c, '1.1.0'), pg_temp.rounds(c, 60);
    RETURN (SELECT string_agg(node, ' ' ORDER BY node) FROM zdu.node_status WHERE cluster = c AND version = '1.0.0');
END $$;
SELECT is(pg_temp.stopped(c, selector), stops, 'L22: a freeze by ' || claim) FROM (VALUES
    ('k1', '{"group": "blue"}'::jsonb, 'app1', 'group'),
    ('k2', '{"zone": "a"}', 'app2', 'zone'),
    ('k3', '{"role": "batch"}', 'app3', 'role'),
    ('k4', '{"label": {"rack": "r1"}}', 'app4', 'label'),
    ('k5', '{"zone": "a", "role": "batch"}', NULL, 'two keys means nodes that match both, here none')) AS t (c, selector, stops, claim);

-- ---- windows ----
SELECT sim.make('win', 3);
SELECT zdu_set_node('win', 'app1', zone => 'a');
SELECT zdu_set_freeze('win', 'monday', 'window', tstzrange(pg_temp.at(600), pg_temp.at(700)), '{"zone": "a"}', reason => 'agreed'),
       zdu_set_freeze('win', 'tuesday', 'window', tstzrange(pg_temp.at(900), pg_temp.at(1000)), '{"zone": "a"}', reason => 'agreed'), zdu_begin('win', '1.1.0');
SELECT pg_temp.rounds('win', 40);
SELECT is(pg_temp.touched('win'), 'app2 app3', 'L22: a window of some nodes shuts out those only');
SELECT matches((SELECT observed || ' / ' || allowed FROM zdu_why('win', 'app1') WHERE subject = 'in_window'),
               '^outside of every window / from ' || replace((SELECT lower(during)::text FROM zdu.freeze WHERE name = 'monday'), '+', '\+') || ' on$', 'L22: and zdu_why says when the first of them opens');
SELECT pg_temp.passes('win', 560), pg_temp.rounds('win', 25);
SELECT is(sim.node('win', 'app1'), 'ACTIVE 1.1.0', 'L22: in it they are taken');

-- ---- of all clusters ----
SELECT sim.make('a', 2), sim.make('b', 2), zdu_set_cluster('b', product => 'bee');
SELECT zdu_set_node(c, 'app1', zone => 'z') FROM unnest('{a,b}'::text[]) c;
SELECT zdu_begin('a', '1.1.0'), zdu_begin('b', '1.1.0');
SELECT zdu_set_freeze(NULL, 'bees', 'freeze', tstzrange(NULL, NULL), '{"product": "bee", "zone": "z"}', reason => 'winter');
SELECT pg_temp.rounds(c, 30) FROM unnest('{a,b}'::text[]) c;
SELECT is(pg_temp.touched('a') || ', ' || pg_temp.touched('b'), 'app1 app2, app2', 'L22: product and zone together: the nodes of that zone in the clusters of that product');
SELECT sim.make('c', 2), zdu_set_node('c', 'app1', zone => 'z');
SELECT zdu_set_cluster('c', product => 'bee');
SELECT zdu_begin('c', '1.1.0');
SELECT pg_temp.rounds('c', 30);
SELECT is(pg_temp.touched('c'), 'app2', 'L22: a cluster that becomes of that product later is meant too');

-- Nobody has to wait for a sweep: the clock stands still from here to the answer.
SELECT sim.ask(c), sim.ask(c) FROM unnest('{b,c}'::text[]) c;
SELECT is((SELECT array_agg(work_waits ORDER BY name) FROM zdu.cluster WHERE name IN ('b', 'c')), '{f,f}', 'L22: while a freeze keeps everybody waiting nothing is asked for');
CREATE TEMP TABLE serials AS SELECT name, serial FROM zdu.cluster;
SELECT is(zdu_drop_freeze('bees', 'spring'), 'dropped', 'L22: a freeze of all clusters is dropped');
SELECT is((SELECT string_agg(c.name, ' ' ORDER BY c.name) FROM zdu.cluster c JOIN serials s USING (name) WHERE c.serial > s.serial), 'b c', 'L22: every upgrade that it meant is decided about anew, and no other');
SELECT sim.ask(c) FROM unnest('{b,c}'::text[]) c;
SELECT is((SELECT string_agg(cluster, ' ' ORDER BY cluster) FROM sim.answer WHERE node = 'app1' AND token IS NOT NULL AND cluster IN ('b', 'c')), 'b c', 'L22: and the next exchange takes the node, without a sweep');
SELECT is((SELECT count(*) FROM zdu.event WHERE what = 'freeze' AND old = 'bees'), 1::bigint, 'L22: it is on the record once');
SELECT zdu_set_freeze(NULL, 'ended', 'freeze', tstzrange(NULL, NULL), '{"product": "bee"}', reason => 'x'), sim.make('d', 2), zdu_set_cluster('d', product => 'bee');
SELECT zdu_begin('d', '1.1.0');
SELECT sim.ask('d'), sim.ask('d'), zdu_set_freeze(NULL, 'ended', during => tstzrange(NULL, pg_temp.at(-1)));
SELECT sim.ask('d');
SELECT is((SELECT count(*) FROM sim.answer WHERE cluster = 'd' AND token IS NOT NULL), 1::bigint, 'L22: the same of one that is ended by its time');

SELECT zdu_set_freeze('d', 'some-day', 'window', tstzrange('infinity', NULL), '{"zone": "z"}', reason => 'x');
SELECT sim.ask('d');
SELECT is(sim.refused($$ SELECT * FROM zdu_plan('d') $$), 'not refused', 'L22: a window that never opens is no error');
SELECT zdu_drop_freeze('some-day');

-- ---- signatures ----
SELECT is((SELECT count(*) FROM (SELECT budgets, count(*) AS n FROM zdu.node GROUP BY cluster_id, budgets EXCEPT SELECT budgets, sum(n) FROM zdu.node_count GROUP BY cluster_id, budgets) x), 0::bigint,
          'L22: nodes are counted under the signatures that they have');
SELECT zdu_set_freeze('d', 'none', 'freeze', tstzrange(NULL, NULL), '{"zone": "nowhere"}', reason => 'x');
SELECT is((SELECT freezes FROM zdu.cluster WHERE name = 'd'), (SELECT array_agg(freeze_id) FROM zdu.freeze WHERE name = 'none'), 'L22: a cluster knows what stands in its signatures');
SELECT zdu_drop_freeze('none');
SELECT is((SELECT freezes FROM zdu.cluster WHERE name = 'd'), '{}', 'L22: and what does no more');

SELECT is(sim.refused(format('SELECT zdu_set_freeze(%s, reason => %L)', args, 'x')), code, 'L22: refused: ' || claim) FROM (VALUES
    ($$ 'a', 'n', 'freeze', tstzrange(NULL, NULL), '{"product": "a"}' $$, '23514 L22', 'a product where the cluster is named'),
    ($$ 'a', 'n', 'freeze', tstzrange(NULL, NULL), '{"zone": 1}' $$, '23514 L22', 'a zone that is no text'),
    ($$ 'a', 'n', 'freeze', tstzrange(NULL, NULL), '{"label": "x"}' $$, '23514 L22', 'a label that is no object')) AS t (args, code, claim);
SELECT throws_like($$ UPDATE zdu.freeze SET reason = 'y' $$, '%', 'L22: a freeze is not changed behind zdu''s back');

SELECT * FROM finish();
ROLLBACK;
