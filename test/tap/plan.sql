-- A plan shows the order, its reasons, what waits for what, and how long it takes; zdu_begin can be held to it.

BEGIN;
\ir sim.psql
SELECT plan(62);

-- The order that a plan shows, as names; the nodes as they have their turns; the nodes as they were taken.
CREATE FUNCTION pg_temp.planned(c text, v text DEFAULT '1.1.0', n int DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(p.node, ' ' ORDER BY p.ord) FROM zdu_plan(c, v, canary => n) p $$;
CREATE FUNCTION pg_temp.turns(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(n.name, ' ' ORDER BY n.turn) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND n.turn IS NOT NULL $$;
CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t.node, ' ' ORDER BY t.cluster, t.at, t.ord) FROM
   (SELECT t.*, row_number() OVER () AS ord FROM zdu.timeline t WHERE t.cluster = c AND t.what = 'taken' AND t.new = 'yes') t $$;
CREATE FUNCTION pg_temp.line(c text, n text, v text DEFAULT '1.1.0') RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws('; ', p.wave, p.ord, p.why, p.waits_for, p.starts, p.ends) FROM zdu_plan(c, v) p WHERE p.node = n $$;
CREATE FUNCTION pg_temp.busy(c text, n text, users int) RETURNS void LANGUAGE sql AS
$$ UPDATE zdu.node_heard h SET users = busy.users, tasks = 0 FROM zdu.node d JOIN zdu.cluster k USING (cluster_id)
   WHERE h.node_id = d.node_id AND k.name = c AND d.name = n $$;
-- A runbook that says how long things take: 50 s and the 10 s of min_healthy_time.
CREATE FUNCTION pg_temp.slow() RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('node', jsonb_build_object('start', sim.runbook()->'node'->'start' || '{"expect": "50s"}')) $$;

-- --- order --------------------------------------------------------------------

SELECT sim.make('order', 6, '{"max_unavailable": "2", "order_by": ["role", "name"], "min_healthy_time": "10 s"}');
SELECT zdu_set_node('order', 'app5', role => 'processing'), zdu_set_node('order', 'app3', role => 'browsing');
SELECT is(pg_temp.planned('order'), 'app5 app3 app1 app2 app4 app6', 'N14: the processing role goes first, the others by role and name');
SELECT is((SELECT why FROM zdu_plan('order', '1.1.0') WHERE node = 'app5'), 'role processing, by name', 'N14: the plan says why a node goes first');
SELECT is((SELECT why FROM zdu_plan('order', '1.1.0') WHERE node = 'app6'), 'no role, by name', 'N14: and why one goes last');
SELECT zdu_set_policy('order', settings => '{"order_by": ["name"]}');
SELECT is(pg_temp.planned('order'), 'app1 app2 app3 app4 app5 app6', 'N14: by name only');
SELECT is((SELECT string_agg(DISTINCT why, '|') FROM zdu_plan('order', '1.1.0')), 'by name', 'N14: what tells no two nodes apart is not mentioned');
SELECT zdu_set_policy('order', settings => '{"order_by": ["least_busy", "name"]}');
SELECT pg_temp.busy('order', 'app1', 9), pg_temp.busy('order', 'app4', 2), pg_temp.busy('order', 'app6', 2);
SELECT is(pg_temp.planned('order'), 'app4 app6 app1 app2 app3 app5', 'N14: the least busy goes first, of whom nothing is known comes last');
SELECT is((SELECT string_agg(why, '|' ORDER BY ord) FROM zdu_plan('order', '1.1.0') WHERE ord IN (2, 3, 4)),
          '2 users and tasks, by name|9 users and tasks, by name|load not known, by name', 'N14: the plan shows the load that it went by');
SELECT zdu_set_policy('order', settings => '{"order_by": ["role"]}');
SELECT is(pg_temp.planned('order'), 'app5 app3 app1 app2 app4 app6', 'N14: where the list says nothing equals go by name');

-- --- what waits for what, and when -----------------------------------------------

SELECT is(pg_temp.line('order', 'app1'), '0; 3; no role, by name; app5, 2 at once', 'N14: without history and expectation no time is told');
SELECT is((SELECT concat_ws(' ', nodes, at_once, waves, makespan, lower_bound, unknown, never) FROM zdu_plan_summary('order', '1.1.0')), '6 2 1 6 0',
          'D10: the plan in one row shows the resolved number, and that nothing is known of the time');
SELECT sim.make('time', 5, '{"max_unavailable": "2", "min_healthy_time": "10 s", "order_by": ["name"]}', pg_temp.slow());
SELECT is(pg_temp.line('time', 'app1'), '0; 1; by name; 00:00:00; 00:01:00', 'N14: what the runbook expects and the soak of a node make its time');
SELECT is(pg_temp.line('time', 'app4'), '0; 4; by name; app2, 2 at once; 00:01:00; 00:02:00', 'N14: the next one starts when a place is free, whoever it was that left it');
SELECT is((SELECT concat_ws(' ', makespan, lower_bound, unknown) FROM zdu_plan_summary('time', '1.1.0')), '00:03:00 00:03:00 0', 'N14: makespan and lower bound');
SELECT is((SELECT observed FROM zdu_why('time', target => '1.1.0')), '1.0.0 -> 1.1.0: 5 nodes, 2 at a time, about 3 min', 'L22: the preflight says how long');
SELECT zdu_set_policy('time', settings => '{"max_unavailable": "33%"}');
SELECT is((SELECT concat_ws(' ', at_once, makespan) FROM zdu_plan_summary('time', '1.1.0')), '1 00:05:00', 'D10: 33 % of 5 is 1');
SELECT is((SELECT string_agg(concat_ws(' ', wave, node, waits_for), '|' ORDER BY ord) FROM zdu_plan('time', '1.1.0', canary => 2) WHERE ord IN (1, 2, 3)),
          '0 app1|0 app2 app1, 1 at once|1 app3 app2, gate canary', 'N14: the canary is a wave of its own, the others wait for its last node');

SELECT sim.make('gated', 4, '{"max_unavailable": "2", "min_healthy_time": "10 s", "order_by": ["name"]}', pg_temp.slow());
SELECT zdu_set_gate('gated', 'watch', after => '25%', soak => '10 min'), zdu_set_gate('gated', 'start', after => 'begin', approval => true),
       zdu_set_gate('gated', 'report', after => 'end', approval => true);
SELECT is((SELECT string_agg(concat_ws(' ', wave, node, waits_for, starts), '|' ORDER BY ord) FROM zdu_plan('gated', '1.1.0')),
          '0 app1 gate start 00:00:00|1 app2 app1, gate watch 00:11:00|1 app3 app1, gate watch 00:11:00|1 app4 app2, 2 at once 00:12:00',
          'D11: a gate makes a wave, which begins after its soak; one before the first node is told');
SELECT is((SELECT concat_ws(' ', waves, makespan, lower_bound) FROM zdu_plan_summary('gated', '1.1.0')), '2 00:13:00 00:13:00', 'D11: soaks are part of the makespan and of the bound');
SELECT zdu_begin('gated', '1.1.0');
SELECT is((SELECT string_agg(concat_ws(' ', wave, node, waits_for, starts), '|' ORDER BY ord) FROM zdu_plan('gated')),
          '0 app1 gate start 00:00:00|1 app2 app1, gate watch 00:11:00|1 app3 app1, gate watch 00:11:00|1 app4 app2, 2 at once 00:12:00',
          'D11: the plan of an upgrade that runs tells the gates that are still shut');
SELECT zdu_approve('gated', 'start', 'go');
SELECT sim.drive_until('gated', $$(SELECT done = '1/4' FROM zdu.status WHERE cluster = 'gated')$$);
SELECT sim.ask('gated'), sim.tick(8), sim.ask('gated'), sim.tick(8), sim.ask('gated');
SELECT is((SELECT concat_ws(' ', count(*), min(wave), min(starts) BETWEEN '9 min 30 s' AND '9 min 59.9 s') FROM zdu_plan('gated')), '3 1 t', 'D11: and how much of a soak is left');
SELECT ok((SELECT eta > '9 min 30 s' FROM zdu.status WHERE cluster = 'gated'), 'L22: which is part of the time left');

-- --- budgets ----------------------------------------------------------------------

SELECT zdu_set_policy('time', settings => '{"max_unavailable": "4"}');
SELECT zdu_set_node('time', 'app' || i, zone => CASE WHEN i <= 3 THEN 'a' ELSE 'b' END) FROM generate_series(1, 5) AS i;
SELECT zdu_set_budget('time', 'zone-a', '{"zone": "a"}', max_unavailable => '1');
SELECT is(pg_temp.planned('time'), 'app1 app4 app5 app2 app3', 'D11: a full zone does not keep the others waiting');
SELECT is((SELECT concat_ws(' ', waits_for, starts) FROM zdu_plan('time', '1.1.0') WHERE node = 'app3'), 'app2, budget zone-a: 1 at once 00:02:00', 'D11: the plan names the budget that says no');
SELECT is((SELECT concat_ws(' ', makespan, lower_bound) FROM zdu_plan_summary('time', '1.1.0')), '00:03:00 00:03:00', 'D11: three rounds for the three of zone a');
SELECT zdu_set_budget('time', 'slow', '{}', max_begun => 2, per_interval => '5 min');
SELECT is((SELECT concat_ws(' ', waits_for, starts) FROM zdu_plan('time', '1.1.0') WHERE node = 'app5'), 'budget slow: 2 in 300 s 00:05:00', 'D11: so does a rate');
SELECT is((SELECT concat_ws(' ', makespan, lower_bound) FROM zdu_plan_summary('time', '1.1.0')), '00:11:00 00:11:00', 'D11: and the lower bound knows it');
SELECT zdu_drop_budget('time', 'slow');
SELECT zdu_set_policy('time', settings => '{"order_by": []}');
SELECT is(pg_temp.planned('time'), 'app1 app4 app5 app2 app3', 'N14: with nothing in the list equals go as it packs best');

-- --- a plan can be held to -----------------------------------------------------------

SELECT hash AS hash FROM zdu_plan_summary('time', '1.1.0') \gset
SELECT pg_temp.busy('time', 'app1', 5);
SELECT sim.ask('time');
SELECT is((SELECT hash FROM zdu_plan_summary('time', '1.1.0')), :'hash', 'N14: the hash does not rest on load or on who was heard');
SELECT isnt((SELECT hash FROM zdu_plan_summary('time', '1.2.0')), :'hash', 'N14: but on the target');

CREATE FUNCTION pg_temp.held_to(hash text, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    EXECUTE change;
    PERFORM zdu_begin('time', '1.1.0', plan => hash);
    RAISE EXCEPTION 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || coalesce(nullif(said, ''), SQLERRM);
END $$;
SELECT is(pg_temp.held_to(:'hash', change), 'ZD002 N14: the plan no longer holds; changed since: ' || what || '.', 'N14: a plan does not hold when what it rests on changed: ' || what)
FROM (VALUES
    ($$SELECT zdu_set_node('time', 'app6')$$, 'nodes'),
    ($$SELECT zdu_set_node('time', 'app5', zone => 'a')$$, 'nodes'),
    ($$SELECT zdu_set_node('time', 'app5', labels => '{"rack": "9"}')$$, 'nodes'),
    ($$SELECT zdu_detach('time', 'app5')$$, 'nodes'),
    ($$SELECT zdu_set_policy('time', settings => '{"min_healthy_time": "1 min"}')$$, 'policy'),
    ($$SELECT zdu_set_budget('time', 'zone-a', max_unavailable => '2')$$, 'budgets'),
    ($$SELECT zdu_set_gate('time', 'qa', after => '2', approval => true)$$, 'gates'),
    ($$SELECT zdu_set_runbook('time', sim.runbook())$$, 'runbook'),
    ($$SELECT zdu_set_cluster('time', vars => '{"x": "1"}')$$, 'runbook'),
    ($$SELECT zdu_set_freeze('time', 'feast', 'freeze', '[2041-01-01, 2041-01-02)', reason => 'x')$$, 'freezes'),
    ($$SELECT zdu_set_freeze(NULL, 'feast', 'freeze', '[2041-01-01, 2041-01-02)', '{"product": "time"}', reason => 'x')$$, 'freezes'),
    ($$SELECT zdu_set_path('time', '1.0.0', '1.0', '1.1.0', '1.1')$$, 'releases'),
    ($$SELECT zdu_set_release('time', '1.0.7')$$, 'releases'),
    ($$SELECT zdu_set_node('time', 'app5', role => 'r'), zdu_drop_budget('time', 'zone-a')$$, 'nodes, budgets')) AS v(change, what);
SELECT is(sim.refused($$SELECT zdu_begin('time', '1.1.0', plan => 'fine')$$), '22023 N14', 'N14: what is no hash is refused');
SELECT is(sim.refused($$SELECT zdu_begin('time', '1.1.0', canary => 1, plan => '$$ || :'hash' || $$')$$), 'ZD002 N14', 'N14: so is another canary than was planned');
SELECT is(sim.refused($$SELECT zdu_begin('time', '1.1.0', plan => '$$ || :'hash' || $$-')$$), '22023 N14', 'N14: and a hash with more behind it');
SELECT is(sim.refused($$SELECT * FROM zdu_plan('nothing')$$), '42704 N11', 'N14: no plan of a cluster that is not there');
SELECT is(sim.refused($$SELECT * FROM zdu_plan('time', '1.1.0', node_group => 'red')$$), '42704 N11', 'N15: nor of a group that is not there');
SELECT is(sim.refused($$SELECT * FROM zdu_plan_summary('time', '1.1.0', canary => -1)$$), '22023 D10', 'D10: nor with fewer canaries than none');
SELECT lives_ok(format($$SELECT zdu_begin('time', '1.1.0', plan => %L)$$, :'hash'), 'N14: a plan that still holds begins');
SELECT is((SELECT plan FROM zdu.upgrade ORDER BY upgrade_id DESC LIMIT 1), :'hash', 'N14: and is recorded');

-- --- while it runs: what is left ----------------------------------------------------------

SELECT sim.ask('time');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM zdu_plan('time') WHERE why = 'in flight'), 'app1 app4 app5', 'N14: while it runs the plan begins with what is in flight');
SELECT is((SELECT string_agg(node, ' ' ORDER BY ord) FROM zdu_plan('time') WHERE why <> 'in flight'), 'app2 app3', 'N14: and goes on with what has still to go');
SELECT ok((SELECT eta BETWEEN '2 min 55 s' AND '3 min' FROM zdu.status WHERE cluster = 'time'), 'L22: the time left is told by the fullest budget, two rounds after what is in flight');
SELECT ok(sim.drive_until('time', $$(SELECT done = '5/5' FROM zdu.status WHERE cluster = 'time')$$), 'N14: it comes to its end');
SELECT is(pg_temp.taken('time'), 'app1 app4 app5 app2 app3', 'N14: the exchange takes the nodes in the order of the plan');

-- --- history ------------------------------------------------------------------------------

SELECT sim.make('known', 4, '{"max_unavailable": "2", "order_by": []}');
SELECT zdu_begin('known', '1.1.0');
SELECT sim.drive_until('known', $$(SELECT done = '4/4' FROM zdu.status WHERE cluster = 'known')$$);
SELECT zdu_finalize('known');
SELECT ok((SELECT bool_and(took > 5) FROM zdu.node JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'known'), 'N14: each node remembers how long it took');
SELECT ok((SELECT abs(k.pace - avg(n.took)) < 0.001 FROM zdu.cluster k JOIN zdu.node n USING (cluster_id) WHERE k.name = 'known' GROUP BY k.cluster_id),
          'N14: and the cluster the mean of the last ones');
SELECT is((SELECT zdu_expected('known') = make_interval(secs => round(pace::numeric, 1)::float8) FROM zdu.cluster WHERE name = 'known'), true, 'N14: which is what a node is expected to take');
CREATE FUNCTION pg_temp.took(seconds int[]) RETURNS void LANGUAGE sql AS
$$ UPDATE zdu.node n SET took = v.took FROM unnest(seconds) WITH ORDINALITY AS v(took, i), zdu.cluster k
   WHERE n.name = 'app' || v.i AND n.cluster_id = k.cluster_id AND k.name = 'known' $$;
SET LOCAL session_replication_role = replica;
SELECT pg_temp.took('{30, 20, 60, 50}');
SELECT is((SELECT string_agg(concat_ws(' ', node, why, starts, ends), '|' ORDER BY ord) FROM zdu_plan('known', '1.2.0')),
          'app1 by name 00:00:00 00:00:30|app2 by name 00:00:00 00:00:20|app3 by name 00:00:20 00:01:20|app4 by name 00:00:30 00:01:20',
          'N14: nodes that the list leaves equal go by name where the longest first would not be done earlier');
SELECT pg_temp.took('{20, 30, 50, 60}');
SET LOCAL session_replication_role = origin;
SELECT is((SELECT string_agg(concat_ws(' ', node, why, starts, ends), '|' ORDER BY ord) FROM zdu_plan('known', '1.2.0')),
          'app4 longest first 00:00:00 00:01:00|app3 longest first 00:00:00 00:00:50|app2 longest first 00:00:50 00:01:20|app1 longest first 00:01:00 00:01:20',
          'N14: and the longest first where it would');
SELECT zdu_set_policy('known', settings => '{"order_by": ["name"]}');
SELECT is(pg_temp.planned('known', '1.2.0'), 'app1 app2 app3 app4', 'N14: but never against the list');

SELECT * FROM finish();
ROLLBACK;
