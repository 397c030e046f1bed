-- Promise: a node pays every budget that means it, all at once or none; no budget is overdrawn, and a full one keeps nobody else waiting.
BEGIN;
SELECT plan(65);
\ir sim.psql

-- A cluster of six: app1 to app3 in zone a, the others in b; odd ones in rack 1; app1 and app4 are processing.
CREATE FUNCTION pg_temp.six(c text, policy jsonb) RETURNS void LANGUAGE sql AS $$
	SELECT sim.make(c, 6, policy);
	SELECT zdu_set_node(c, 'app' || i, zone => CASE WHEN i <= 3 THEN 'a' ELSE 'b' END, labels => jsonb_build_object('rack', i % 2, 'disk', 'ssd'),
	                    role => CASE WHEN i IN (1, 4) THEN 'processing' END) FROM generate_series(1, 6) AS i;
$$;
CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(n.name, ' ' ORDER BY n.name), 'none') FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken $$;
CREATE FUNCTION pg_temp.why(c text, n text DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' | ', rule, subject, observed, allowed, hint), E'\n') FROM zdu_why(c, n) WHERE verdict = 'no' AND subject <> 'worker' $$;
CREATE FUNCTION pg_temp.under(c text) RETURNS TABLE (budget text, nodes text) LANGUAGE sql AS $$
	SELECT b.name, (SELECT string_agg(right(n.name, 1), '' ORDER BY n.name) FROM zdu.node n WHERE n.cluster_id = b.cluster_id AND (b.selector = '{}' OR b.budget_id = ANY (n.budgets)))
	FROM zdu.budget b JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;

-- What may be said

SELECT is(sim.refused(format('SELECT zdu_set_budget(''six'', ''x'', %s)', said)), '22023 D11', 'D11: a budget that makes no sense is refused: ' || said)
FROM (SELECT pg_temp.six('six', '{}')) AS made, unnest(ARRAY[$$'{"zine": "a"}', '1'$$, $$'{"zone": 1}', '1'$$, $$'[]', '1'$$, $$'{"label": "a"}', '1'$$,
	$$'{}'$$, $$'{}', '0'$$, $$'{}', '101%'$$, $$max_begun => 1$$, $$max_begun => 0, per_interval => '1 h'$$, $$max_begun => 1, per_interval => '0'$$,
	$$max_failures => -1$$]) AS said;
SELECT is(sim.refused($$SELECT zdu_set_budget('six', 'a b', max_unavailable => '1')$$), '22023 N11', 'D11: its name needs no quoting');
SELECT is(sim.refused($$SELECT zdu_drop_budget('six', 'x')$$), '42704 D11', 'D11: what is not there cannot be dropped');
SELECT results_eq($$SELECT zdu_set_budget('six', 'a', '{"zone": "a"}', '1') UNION ALL SELECT zdu_set_budget('six', 'a', max_unavailable => '1')
	UNION ALL SELECT zdu_set_budget('six', 'a', max_unavailable => '2')$$, $$VALUES ('created'), ('unchanged'), ('changed')$$, 'D11: budgets converge, NULL keeps what is there');

-- Which nodes

SELECT zdu_set_budget('six', 'all', max_failures => 3), zdu_set_budget('six', 'proc', '{"role": "processing"}', '1'),
	zdu_set_budget('six', 'rack', '{"label": {"rack": 1}}', '50%'), zdu_set_budget('six', 'both', '{"zone": "b", "label": {"rack": 0, "disk": "ssd"}}', '1'),
	zdu_set_budget('six', 'blue', '{"group": "blue"}', '1'), zdu_set_budget('six', 'none', '{"zone": "c"}', '1');
CREATE FUNCTION pg_temp.counted() RETURNS TABLE (state text, budgets bigint[], n bigint) LANGUAGE sql AS
$$ SELECT k.state, k.budgets, sum(k.n)::bigint FROM zdu.node_count k WHERE k.n <> 0 GROUP BY 1, 2 $$;
SELECT set_eq('SELECT * FROM pg_temp.under(''six'')', $$VALUES ('a', '123'), ('all', '123456'), ('proc', '14'), ('rack', '135'), ('both', '46'), ('blue', NULL), ('none', NULL)$$,
              'D11: a selector means the nodes of which all its keys are true');
-- Only nodes that come under a budget, or leave it, are written; and none where every node falls under it.
CREATE TABLE pg_temp.written AS SELECT node_id, ctid AS at FROM zdu.node;
CREATE FUNCTION pg_temp.wrote(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	names text;
BEGIN
	TRUNCATE pg_temp.written;
	INSERT INTO pg_temp.written SELECT node_id, ctid FROM zdu.node;
	EXECUTE change;
	SELECT string_agg(right(n.name, 1), '' ORDER BY n.name) INTO names FROM zdu.node n JOIN pg_temp.written w USING (node_id) WHERE n.ctid <> w.at;
	RETURN coalesce(names, 'none');
END $$;
SELECT is(pg_temp.wrote(change), nodes, 'D11: nodes written by ' || change) FROM (VALUES
	($$SELECT zdu_set_budget('six', 'a', max_unavailable => '1')$$, 'none'),
	($$SELECT zdu_set_budget('six', 'all2', max_begun => 2, per_interval => '1 h')$$, 'none'),
	($$SELECT zdu_set_budget('six', 'narrow', '{"zone": "a", "role": "processing"}', '1')$$, '1'),
	($$SELECT zdu_set_budget('six', 'narrow', '{"zone": "a"}')$$, '23'),
	($$SELECT zdu_drop_budget('six', 'all2'), zdu_drop_budget('six', 'narrow'), zdu_set_budget('six', 'a', max_unavailable => '2')$$, '123')) AS v(change, nodes);
SELECT zdu_set_budget('six', 'rate', max_begun => 2, per_interval => '1 h');
SELECT zdu_set_budget('six', 'rate', max_begun => 3);
SELECT is((SELECT begun FROM zdu.budget_status WHERE cluster = 'six' AND budget = 'rate'), '0 of 3 in 01:00:00', 'D11: a rate keeps its interval where only the number is given');
SELECT zdu_drop_budget('six', 'rate');
SELECT zdu_set_group('six', 'blue', '{app1,app2}'), zdu_set_node('six', 'app6', zone => 'c', labels => '{"rack": 1}'), zdu_join('six', 'app7', '1.0.0');
SELECT set_eq('SELECT * FROM pg_temp.under(''six'')', $$VALUES ('a', '123'), ('all', '1234567'), ('proc', '14'), ('rack', '1356'), ('both', '4'), ('blue', '12'), ('none', '6')$$,
              'D11: it follows groups, zones, labels and new nodes');
SELECT set_eq('SELECT * FROM pg_temp.counted()', 'SELECT state, budgets, count(*) FROM zdu.node GROUP BY 1, 2', 'D11: and so do the counts that decisions read');
SELECT zdu_drop_group('six', 'blue'), zdu_drop_budget('six', 'rack'), zdu_remove_node('six', 'app7');
SELECT set_eq('SELECT * FROM pg_temp.under(''six'')', $$VALUES ('a', '123'), ('all', '123456'), ('proc', '14'), ('both', '4'), ('blue', NULL), ('none', '6')$$,
              'D11: also when a group or a budget is dropped');
SELECT set_eq('SELECT * FROM pg_temp.counted()', 'SELECT state, budgets, count(*) FROM zdu.node GROUP BY 1, 2', 'D11: and again the counts');
SELECT is(sim.refused('UPDATE zdu.budget SET max_unavailable = 9'), '55000 N1', 'D11: a budget does not change behind the signatures'' back');

-- At once

SELECT pg_temp.six('zones', '{"max_unavailable": "4"}'), zdu_set_budget('zones', 'a', '{"zone": "a"}', '1'), zdu_set_budget('zones', 'b', '{"zone": "b"}', '2'),
	zdu_set_budget('zones', 'rack1', '{"label": {"rack": 1}}', '2'), zdu_begin('zones', '1.1.0'), sim.ask('zones', slots => 100);
SELECT is(pg_temp.taken('zones'), 'app1 app4 app5', 'D11: each zone has places of its own: one in a, two in b');
SELECT is(pg_temp.why('zones'), $$D11 | budget | 1 of 3 in zone a unavailable | 1 | SELECT * FROM zdu.budget_status WHERE cluster = 'zones'
D11 | budget | 2 of 3 in zone b unavailable | 2 | SELECT * FROM zdu.budget_status WHERE cluster = 'zones'$$, 'L22: zdu_why names the budget that says no, for each zone');
SELECT is(pg_temp.why('zones', 'app6'), $$D11 | budget | 2 of 3 in zone b unavailable | 2 | SELECT * FROM zdu.budget_status WHERE cluster = 'zones'$$, 'L22: and of one node what stands in its way');
SELECT results_eq($$SELECT budget, nodes_meant, nodes, unavailable, allowed FROM zdu.budget_status WHERE cluster = 'zones'$$,
	$$VALUES ('(policy)', 'every node', 6, 3, 4), ('a', 'in zone a', 3, 1, 1), ('b', 'in zone b', 3, 2, 2), ('rack1', 'with label {"rack": 1}', 3, 2, 2)$$,
	'D12: a node counts once in every budget that means it');
SELECT zdu_set_budget('zones', 'a', max_unavailable => '2'), sim.ask('zones', slots => 100);
SELECT is(pg_temp.taken('zones'), 'app1 app2 app4 app5', 'D11: a wider budget takes effect at once; app3 would overdraw its rack');
SELECT is(pg_temp.why('zones', 'app3'), $$D10 | budget | 4 of 6 unavailable | 4 | SELECT * FROM zdu.node_status WHERE cluster = 'zones' AND state <> 'ACTIVE'$$,
	'D10: the policy''s own budget is asked first');
SELECT is(sim.refused($$SELECT zdu_detach('zones', 'app3')$$), 'ZD002 D10', 'D13: a detach by hand pays the same');
SELECT is(sim.drive('zones', 'none', slots => 100, rounds => 60) || ', ' || pg_temp.taken('zones'), 'running, none', 'D11: all are rolled');
SELECT is(zdu_finalize('zones'), 'STABLE', 'D11: to the end');
SELECT is(sim.refused($$SELECT zdu_detach('zones', 'app1'), zdu_detach('zones', 'app2'), zdu_detach('zones', 'app3')$$), 'ZD002 D11', 'D13: outside an upgrade too');
SELECT zdu_detach('zones', 'app1');
SELECT is((SELECT unavailable FROM zdu.budget_status WHERE cluster = 'zones' AND budget = 'a'), 1, 'D13: a wish to be out costs its place at once');

-- Unheard, and down

SELECT pg_temp.six('gone', '{"max_unavailable": "5"}'), zdu_set_budget('gone', 'a', '{"zone": "a"}', '1');
SELECT zdu_join('gone', 'app2', '1.0.0'), zdu_heartbeat('gone', 'app2', state => 'ACTIVE'), sim.break('gone', 'app2', 'health', 'sticks');
SELECT sim.ask('gone'), sim.tick(5) FROM generate_series(1, 9);
SELECT is(sim.node('gone', 'app2'), 'OFFLINE 1.0.0', 'D12: app2 is unheard');
SELECT zdu_begin('gone', '1.1.0'), sim.ask('gone', slots => 100);
SELECT is(pg_temp.taken('gone'), 'app4 app5 app6', 'D12: merely unheard, it needs a free place in its zone besides');
SELECT is(pg_temp.why('gone', 'app1'), $$D12 | budget | 1 of 3 in zone a unavailable | 1 | SELECT zdu_declare_down('gone', 'app2', 'reason')$$, 'D12: and keeps the others of its zone waiting');
SELECT zdu_declare_down('gone', 'app2', 'seen'), sim.ask('gone', slots => 100);
SELECT is(pg_temp.taken('gone'), 'app2 app4 app5 app6', 'D12: confirmed down it adds nothing');

-- Per interval

SELECT pg_temp.six('rate', '{"max_unavailable": "3"}'), zdu_set_budget('rate', 'slow', max_begun => 2, per_interval => '10 min'), zdu_begin('rate', '1.1.0'), sim.ask('rate', slots => 100);
SELECT is(pg_temp.taken('rate'), 'app1 app4', 'D11: two in ten minutes');
SELECT matches(pg_temp.why('rate'), '^D11 \| rate \| 2 begun in 10 min \| 2; the next in 10 min \| ', 'L22: zdu_why says when the next place is there');
SELECT is(sim.refused($$SELECT zdu_detach('rate', 'app2')$$), 'ZD002 D11', 'D13: a detach by hand pays the rate too');
SELECT sim.ask('rate'), sim.tick(1.1) FROM generate_series(1, 20);
SELECT is(pg_temp.taken('rate') || ', ' || (SELECT done FROM zdu.status WHERE cluster = 'rate'), 'none, 2/6', 'D11: when they are done the ten minutes are not over');
SELECT is((SELECT begun FROM zdu.budget_status WHERE cluster = 'rate' AND budget = 'slow'), '2 of 2 in 00:10:00', 'D11: zdu.budget_status shows the rate');
SELECT zdu_declare_down('rate', 'app2', 'down'), sim.ask('rate');
SELECT is(pg_temp.taken('rate'), 'none', 'D12: the rate is debited for one that is down, too');
SELECT sim.ask('rate'), sim.tick(14) FROM generate_series(1, 50);
SELECT isnt(pg_temp.taken('rate') || ', ' || (SELECT done FROM zdu.status WHERE cluster = 'rate'), 'none, 2/6', 'D11: when it is over the next two are begun');
SELECT cmp_ok((SELECT count(*) FROM zdu.budget_begun g JOIN zdu.budget b USING (budget_id) WHERE b.name = 'slow'), '<=', 2::bigint, 'D11: what counts no more is forgotten');

-- How many seconds after the first node the second is begun.
CREATE FUNCTION pg_temp.tempo() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	seconds int := 0;
BEGIN
	WHILE (SELECT count(*) FROM zdu.event WHERE cluster = 'tempo' AND what = 'taken') < 2 AND seconds < 60 LOOP
		PERFORM sim.tick(1), sim.ask('tempo', slots => 100);
		seconds := seconds + 1;
	END LOOP;
	RETURN seconds;
END $$;
SELECT pg_temp.six('tempo', '{"max_unavailable": "3"}'), zdu_set_budget('tempo', 'slow', max_begun => 1, per_interval => '10 s'),
	sim.ask('tempo'), sim.tick(6), zdu_begin('tempo', '1.1.0'), sim.ask('tempo', slots => 100);
SELECT cmp_ok(pg_temp.tempo(), '>=', 10, 'D11: an interval begins when a node is begun, not when somebody asked last');

-- Failures

CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', u.run, u.held_rule, u.held_reason) FROM zdu.upgrade u JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
SELECT pg_temp.six('fail', '{"max_unavailable": "3", "max_failures": 3}'), zdu_set_budget('fail', 'a', '{"zone": "a"}', max_failures => 1),
	sim.break('fail', 'app1', 'start'), sim.break('fail', 'app4', 'start'), zdu_begin('fail', '1.1.0');
SELECT ok(sim.drive_until('fail', $$ (SELECT failures FROM zdu.upgrade u JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'fail') = 2 $$), 'D11: one has failed in each zone');
SELECT is(pg_temp.held('fail'), 'running', 'D11: one in zone a is borne, and two in all');
SELECT sim.break('fail', 'app3', 'start'), sim.drive('fail', 'held');
SELECT is(pg_temp.held('fail'), 'held D11 app3 start failed, attempt 1; 2 in zone a failed, budget a allows 1', 'D11: a second one in zone a holds the upgrade');
SELECT is((SELECT failed FROM zdu.budget_status WHERE cluster = 'fail' AND budget = 'a'), '2 of 1', 'D11: zdu.budget_status shows it');
SELECT sim.break('fail', 'app1', 'nothing'), zdu_retry('fail', 'app1');
SELECT is(sim.run('fail'), 'running', 'D11: a retry of one lets it go on');
SELECT is(sim.drive('fail', 'held'), 'held', 'D11: until it fails again');
SELECT zdu_rollback('fail'), sim.mend('fail');
SELECT is((SELECT failed FROM zdu.budget_status WHERE cluster = 'fail' AND budget = 'a'), '0 of 1', 'L23: a rollback counts its failures anew');
SELECT is(sim.drive('fail', 'rolled_back'), 'rolled_back', 'L23: and is not held by those spent');

-- All budgets at once, after every exchange, whichever worker asks

CREATE FUNCTION pg_temp.overdrawn(c text) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM zdu.budget_status WHERE cluster = c AND unavailable > allowed $$;
CREATE FUNCTION pg_temp.roll(c text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	overdrawn bigint := 0;
BEGIN
	FOR i IN 1 .. 200 LOOP
		EXIT WHEN (SELECT done = '6/6' FROM zdu.status WHERE cluster = c);
		PERFORM sim.ask(c, 'w' || i % 3, 1 + i % 4), sim.tick(1.1);
		overdrawn := overdrawn + pg_temp.overdrawn(c);
	END LOOP;
	RETURN overdrawn;
END $$;
SELECT pg_temp.six('many', '{"max_unavailable": "50%"}'), zdu_set_budget('many', 'a', '{"zone": "a"}', '1'), zdu_set_budget('many', 'b', '{"zone": "b"}', '2'),
	zdu_set_budget('many', 'r0', '{"label": {"rack": 0}}', '33%'), zdu_set_budget('many', 'r1', '{"label": {"rack": 1}}', '2'),
	zdu_set_budget('many', 'p', '{"role": "processing"}', '1'), zdu_begin('many', '1.1.0');
SELECT is(pg_temp.roll('many'), 0::bigint, 'D11: six budgets, none is overdrawn after any exchange');
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'many'), '6/6', 'D11: and every node gets there');
SELECT cmp_ok((SELECT serving FROM sim.lowest WHERE cluster = 'many'), '>=', 3, 'D14: half of them served all the while');

-- Attached while what takes it out is under way: it may be out any moment, and is in only when that was seen.
SELECT sim.make('back', 3);
SELECT zdu_detach('back', 'app1');
SELECT sim.ask('back'), sim.ask('back');
SELECT is(sim.step('back', 'app1'), 'isolate running act 1', 'D13: what takes app1 out is at work');
SELECT zdu_attach('back', 'app1');
SELECT is(sim.refused($$SELECT zdu_detach('back', 'app2')$$), 'ZD002 D10', 'D13: though it is wished to be in again, it keeps its place');
SELECT ok(sim.drive_until('back', $$sim.node('back', 'app1') = 'ACTIVE 1.0.0'$$), 'N6: it is seen in');
SELECT is(zdu_detach('back', 'app2'), 'detached', 'D13: and then the place is free');

SELECT * FROM finish();
ROLLBACK;
