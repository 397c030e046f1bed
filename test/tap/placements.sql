-- Promise: no resource loses by a node's leaving the write quorum that it had; what must move moves first, or its node is refused at once.
BEGIN;
SELECT plan(51);
\ir sim.psql

CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(n.name, ' ' ORDER BY n.name), 'none') FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken $$;
CREATE FUNCTION pg_temp.why(c text, n text DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' | ', rule, subject, observed, allowed), E'\n') FROM zdu_why(c, n) WHERE verdict = 'no' AND subject <> 'worker' $$;
-- Copies on app1, app2, ...: put('c', 's1', '1', '{1,2}'), the first is the primary.
CREATE FUNCTION pg_temp.put(c text, r text, replicas text, nodes int[]) RETURNS void LANGUAGE sql AS $$
	SELECT zdu_set_resource(c, r, replicas);
	SELECT zdu_set_placement(c, r, 'app' || n, CASE ord WHEN 1 THEN 'primary' ELSE 'replica' END) FROM unnest(nodes) WITH ORDINALITY AS u(n, ord) ORDER BY ord;
$$;
CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', u.run, u.held_rule, u.held_reason) FROM zdu.upgrade u JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;

-- What may be said

SELECT sim.make('said', 3);
SELECT is(sim.refused(statement), refusal, 'D3: refused: ' || statement) FROM (VALUES
	($$SELECT zdu_set_resource('said', 's1', '0-x')$$, '22023 D3'), ($$SELECT zdu_set_resource('said', '', '1')$$, '22023 D3'),
	($$SELECT zdu_set_placement('said', 's9', 'app1')$$, '42704 D3'), ($$SELECT zdu_drop_resource('said', 's9')$$, '42704 D3'),
	($$SELECT zdu_set_resource('said', 's1'), zdu_set_placement('said', 's1', 'app1', 'first')$$, '22023 D3'),
	($$SELECT zdu_set_resource('said', 's1'), zdu_set_placement('said', 's1', 'app1', state => 'fine')$$, '22023 D3'),
	($$SELECT zdu_set_resource('said', 's1'), zdu_drop_placement('said', 's1', 'app1')$$, '42704 D3'),
	($$SELECT zdu_load_placements('said', '{}')$$, '22023 D3'), ($$SELECT zdu_load_placements('said', '[{"node": "app1"}]')$$, '22023 D3'),
	($$SELECT zdu_load_placements('said', '[{"resource": "a", "node": "app1", "kind": "x"}]')$$, '22023 D3')) AS t (statement, refusal);
SELECT is(zdu_load_placements('said', '[{"resource": "a", "node": "app1", "kind": "primary"}, {"resource": "a", "node": "app2"},
	{"resource": "b", "replicas": "0-1", "node": "app1", "kind": "primary", "state": "moving"}, {"resource": "b", "node": "elsewhere"}]'), 5, 'D3: copies are loaded as a set');
SELECT is(zdu_load_placements('said', '[{"resource": "a", "node": "app2"}, {"resource": "a", "node": "app1", "kind": "primary"},
	{"resource": "b", "replicas": "0-1", "node": "app1", "kind": "primary", "state": "moving"}]'), 0, 'D3: and only what differs is written');
SELECT is(zdu_load_placements('said', '[{"resource": "a", "node": "app1", "kind": "primary"}]'), 2, 'D3: what is not in it is forgotten');
SELECT results_eq($$SELECT f.name, replicas, placed, wanted FROM zdu.resource JOIN zdu.resource_facts f USING (cluster_id, name)
	JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'said'$$, $$VALUES ('a', '1', 1, 2)$$, 'D4: how many there are to be stays when one is missing');

-- The table of quorums

SELECT sim.make('table', 6);
SELECT pg_temp.put('table', 's' || n, (n - 1)::text, ARRAY(SELECT generate_series(1, n))) FROM generate_series(1, 6) AS n;
SELECT pg_temp.put('table', 'range', '0-2', '{1,2}'), pg_temp.put('table', 'all', '0-all', '{1,2,3,4,5,6}');
SELECT results_eq($$SELECT f.name, wanted, quorum FROM zdu.resource_facts f JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'table' ORDER BY f.name$$,
	$$VALUES ('all', 6, 4), ('range', 2, 1), ('s1', 1, 1), ('s2', 2, 1), ('s3', 3, 2), ('s4', 4, 3), ('s5', 5, 3), ('s6', 6, 4)$$,
	'D4: 1 of 1, 1 of 2, 2 of 3, 3 of 4, 3 of 5, then the majority');

-- Under primaries: who shares a copy with somebody away waits, others do not

SELECT sim.make('prim', 6, '{"max_unavailable": "100%", "min_availability": "primaries"}'), pg_temp.put('prim', 's2', '1', '{1,2}'),
	pg_temp.put('prim', 's3', '2', '{2,3,4}'), pg_temp.put('prim', 's4', '3', '{3,4,5,6}'), zdu_begin('prim', '1.1.0'), sim.ask('prim', slots => 100);
SELECT is(pg_temp.taken('prim'), 'app1 app3', 'D4: app2 shares two copies with app1, app4 three with app3, app5 and app6 four');
SELECT is(pg_temp.why('prim', 'app2'), 'D4 | keeps_copies | without app2 0 of 2 copies of s2 would be there | at least 1', 'L22: zdu_why names the resource: of two');
SELECT is(pg_temp.why('prim', 'app4'), 'D4 | keeps_copies | without app4 1 of 3 copies of s3 would be there | at least 2', 'L22: of three');
SELECT is(pg_temp.why('prim', 'app6'), 'D4 | keeps_copies | without app6 2 of 4 copies of s4 would be there | at least 3', 'L22: of four');
CREATE FUNCTION pg_temp.roll(c text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	lost bigint := 0;
BEGIN
	FOR i IN 1 .. 200 LOOP
		EXIT WHEN (SELECT done = total::text || '/' || total FROM zdu.status JOIN (SELECT count(*) AS total FROM sim.world w WHERE w.cluster = c AND w.node <> '') t ON true WHERE cluster = c);
		PERFORM sim.ask(c, 'w' || i % 2, 1 + i % 3), sim.tick(1.1);
		lost := lost + (SELECT count(*) FROM zdu.resource_facts f JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND f.quorum >
			(SELECT count(*) FROM zdu.placement p JOIN zdu.node n USING (node_id) JOIN sim.world w ON w.cluster = c AND w.node = n.name
			 WHERE p.cluster_id = f.cluster_id AND p.resource = f.name AND w.running));
	END LOOP;
	RETURN lost;
END $$;
SELECT is(pg_temp.roll('prim'), 0::bigint, 'D4: no resource is ever below its write quorum');
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'prim'), '6/6', 'D4: and every node gets there');

SELECT sim.make('hide', 8, '{"max_unavailable": "3", "min_availability": "primaries"}'), zdu_begin('hide', '1.1.0');
SELECT pg_temp.put('hide', 'r' || n, '1', ARRAY[1, n]) FROM generate_series(2, 6) AS n;
SELECT sim.ask('hide', slots => 100);
SELECT is(pg_temp.taken('hide'), 'app1 app7 app8', 'D4: five that wait for app1 do not hide those behind them');
SELECT sim.make('hide2', 8, '{"max_unavailable": "3", "min_availability": "primaries"}'), zdu_begin('hide2', '1.1.0');
SELECT pg_temp.put('hide2', 'r' || n, '1', ARRAY[1, n]) FROM generate_series(2, 6) AS n;
SELECT sim.ask('hide2', slots => 1), sim.ask('hide2', 'w2', 1);
SELECT is(pg_temp.taken('hide2'), 'app1 app7', 'D4: nor when each is decided about in an exchange of its own');

-- A node that is down has nothing to lose; one in rotation or not, its copies count

SELECT sim.make('out', 4, '{"max_unavailable": "3", "min_availability": "primaries"}'), pg_temp.put('out', 's', '1', '{1,2}'), zdu_declare_down('out', 'app1', 'dead'),
	zdu_begin('out', '1.1.0'), sim.ask('out', slots => 100);
SELECT is(pg_temp.taken('out'), 'app1 app3 app4', 'D4: app1 is down and may be taken; app2 has the last copy that is up');

-- What must move

SELECT sim.make('still', 3, '{"min_availability": "primaries", "reallocate": false}'), pg_temp.put('still', 'two', '1', '{1,2}'), pg_temp.put('still', 'one', '0', '{2}');
SELECT is(sim.refused($$SELECT zdu_begin('still', '1.1.0')$$), 'ZD002 D5', 'D5: without reallocation an upgrade that a copy stands in the way of does not begin');
SELECT is((SELECT observed FROM zdu_why('still', target => '1.1.0') WHERE rule = 'D5'), 'app2 would have to move its copy of one; reallocate is false', 'D5: the preflight says which');
SELECT zdu_drop_resource('still', 'one'), zdu_begin('still', '1.1.0'), pg_temp.put('still', 'late', '0', '{1}'), sim.ask('still', slots => 100);
SELECT is(pg_temp.taken('still'), 'app2', 'D5: one that turns up later refuses its node at once, and no other');
SELECT is(pg_temp.why('still', 'app1'), E'D10 | budget | 1 of 3 unavailable | 1\nD5 | keeps_copies | app1 would have to move its copy of late, of which there are 1 | none: reallocate is false', 'D5: zdu_why says so');

SELECT sim.make('move', 3, '{"min_availability": "primaries", "drain_timeout": "60 s"}'), pg_temp.put('move', 'one', '0', '{1}'), pg_temp.put('move', 'two', '1', '{1,2}'),
	zdu_begin('move', '1.1.0');
SELECT ok(sim.drive_until('move', $$ sim.step('move', 'app1') LIKE 'drain running%' $$), 'D5: with reallocation it is taken');
SELECT sim.ask('move'), sim.tick(1.1) FROM generate_series(1, 10);
SELECT is(sim.step('move', 'app1') || ', ' || (SELECT string_agg(concat_ws(' ', node, resource, kind, state, elsewhere, needed), ', ') FROM zdu.remaining WHERE cluster = 'move'),
	'drain running verify 1, app1 one primary active 0 1', 'D5: its drain waits until its copy has moved, though the probe says that it is over');
SELECT is((SELECT concat_ws(' | ', rule, subject, observed) FROM zdu_why('move') WHERE rule = 'D9'), 'D9 | app1 drain | its copy of one must leave first', 'D9: zdu_why says what it waits for');
SELECT zdu_set_placement('move', 'one', 'app3', 'replica', 'building');
SELECT sim.ask('move'), sim.tick(1.1) FROM generate_series(1, 3);
SELECT is(sim.step('move', 'app1'), 'drain running verify 1', 'D5: one that is being built does not serve yet');
SELECT zdu_set_placement('move', 'one', 'app3', 'primary', 'active'), zdu_drop_placement('move', 'one', 'app1');
SELECT ok(sim.drive_until('move', $$ sim.step('move', 'app1') LIKE 'upgrade%' $$, rounds => 8), 'D5: when it has moved the node is stopped');
SELECT zdu_set_placement('move', 'one', 'app2', 'primary'), zdu_drop_placement('move', 'one', 'app3');
SELECT is(sim.drive('move', 'held'), 'held', 'D2: copies that do not move hold the upgrade');
SELECT is(pg_temp.held('move') || ', ' || sim.node('move', 'app2'), 'held D2 app2 drain failed, attempt 1, DRAINING 1.0.0 out taken', 'D2: at the drain''s timeout');
SELECT ok(sim.drive_until('move', $$ sim.node('move', 'app2') = 'ACTIVE 1.0.0' $$), 'D2: and the node goes back into service');

-- Under full

CREATE FUNCTION pg_temp.full(c text, n int, at_once text, replicas text, copies int[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.make(c, n, jsonb_build_object('min_availability', 'full', 'max_unavailable', at_once)), pg_temp.put(c, 's', replicas, copies);
	RETURN sim.refused(format('SELECT zdu_begin(%L, ''1.1.0'')', c));
END $$;
SELECT is(pg_temp.full('f' || n || '_' || at_once || '_' || replicas, n, at_once, replicas, copies), result,
          format('D3: full with %s nodes, %s at once, %s replicas: %s', n, at_once, replicas, result))
FROM (VALUES (4, '1', '3', '{1,2,3,4}'::int[], 'ZD002 D3'), (2, '1', '0-1', '{1}', 'ZD002 D3'), (5, '1', '3', '{1,2,3,4}', 'not refused'),
             (5, '2', '3', '{1,2,3,4}', 'ZD002 D3'), (6, '2', '3', '{1,2,3,4}', 'not refused'), (3, '1', '0-all', '{1}', 'ZD002 D3')) AS t (n, at_once, replicas, copies, result);
SELECT sim.ask('f5_1_3', slots => 100);
SELECT ok(sim.drive_until('f5_1_3', $$ sim.step('f5_1_3', 'app1') LIKE 'drain running%' $$), 'D3: under full a node is taken');
SELECT sim.ask('f5_1_3'), sim.tick(1.1) FROM generate_series(1, 5);
SELECT is((SELECT string_agg(node || ' ' || resource, ', ') FROM zdu.remaining WHERE cluster = 'f5_1_3'), 'app1 s', 'D9: and every copy on it must leave first');
SELECT zdu_set_placement('f5_1_3', 's', 'app5', 'primary'), zdu_drop_placement('f5_1_3', 's', 'app1');
SELECT ok(sim.drive_until('f5_1_3', $$ sim.node('f5_1_3', 'app1') = 'ACTIVE 1.1.0' $$), 'D3: then it is upgraded');
SELECT zdu_declare_down('f5_1_3', 'app1', 'dead'), sim.ask('f5_1_3');
SELECT is(pg_temp.why('f5_1_3', 'app3'), E'D10 | budget | 2 of 5 unavailable | 1\nD3 | keeps_copies | without app3 2 nodes would be there for 4 copies of s | at least 4',
          'D3: with too few left for the copies no other is taken');

-- Seen by a worker

SELECT sim.make('seen', 3, '{"min_availability": "primaries"}', '{"placements": {"exec": "svc", "args": ["copies"], "copies": "$.copies[*]", "every": "5s"}}');
SELECT is(sim.refused($$SELECT zdu_begin('seen', '1.1.0')$$), 'ZD002 D3', 'D3: what the runbook would show was not seen yet: not known is no');
CREATE FUNCTION pg_temp.tell(seen jsonb) RETURNS void LANGUAGE sql AS $$
	SELECT count(*) FROM zdu_work('w1', 'w1-1', 'seen', json_build_array(json_build_object('watch', (SELECT watch_id FROM zdu.watch WHERE kind = 'placements'), 'seen', seen)),
		programs => '{svc}') $$;
SELECT pg_temp.tell('{"copies": [{"resource": "s", "node": "app1", "kind": "primary"}, {"resource": "s", "node": "app2"}], "exit": 0}');
SELECT is((SELECT string_agg(concat_ws(' ', resource, health, copies), ', ') FROM zdu.health WHERE cluster = 'seen'), 'green 0 of 1 not green, s green 2 of 2 up', 'D3: a look loads them');
SELECT pg_temp.tell('{"error": "timeout"}'), pg_temp.tell('{"copies": []}'), pg_temp.tell('{"copies": [{"resource": 1}]}');
SELECT is((SELECT string_agg(coalesce(resource || ' ' || copies, wrong), ', ') FROM zdu.health WHERE cluster = 'seen'), 'element 1: resource is not a text of 1 to 500 characters, s 2 of 2 up',
          'D3: one that went wrong changes nothing, and is told');
SELECT is((SELECT string_agg(reason, ', ' ORDER BY event_id) FROM zdu.event WHERE what = 'placements'),
          'it showed no copies at all, timeout, it showed no copies at all, element 1: resource is not a text of 1 to 500 characters', 'D3: in the timeline too');
SELECT zdu_begin('seen', '1.1.0'), sim.tick(40), zdu_pause('seen');
SELECT matches(pg_temp.why('seen', 'app1'), 'D4 \| keeps_copies \| where the copies are was not seen lately \| known', 'D4: stale is not known, and so no');

SELECT * FROM finish();
ROLLBACK;
