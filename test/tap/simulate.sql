-- A simulation plays the plan many times with chance for durations and failures, and a seed repeats it.

BEGIN;
\ir sim.psql
SELECT plan(21);

SELECT sim.make('shop', 6, '{"max_unavailable": "2", "order_by": ["name"], "min_healthy_time": "10 s"}');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0')$$), '22023 N14', 'N14: of what nobody knows there is no simulation');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', durations => 'historical')$$), '22023 N14', 'N14: nor from a history that is not there');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', durations => 'guessed')$$), '22023 N14', 'N14: nor from anything else');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', durations => 'historical', assume => '1 min')$$), '22023 N14', 'N14: nor from both');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', assume => '-1 min')$$), '22023 N14', 'N14: no duration is below none');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', runs => 0)$$), '22023 N14', 'N14: no runs are no simulation');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', failure_rate => 1.5)$$), '22023 N14', 'N14: more than all cannot fail');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.1.0', failure_rate => 'NaN')$$), '22023 N14', 'N14: and a share is a number');
SELECT is(sim.refused($$SELECT * FROM zdu_simulate('nothing')$$), '42704 N11', 'N14: a cluster that is not there is not simulated');

-- Assumed: six nodes, two at a time, about a minute each: three rounds.
CREATE TEMP TABLE s AS SELECT * FROM zdu_simulate('shop', '1.1.0', runs => 500, assume => '1 min');
SELECT is((SELECT concat_ws(' ', played, nodes, lowest, availability, held, basis) FROM s), '500 6 4 4/6 0 assumed: about 60 s', 'N14: what was played, and the fewest that served');
SELECT ok((SELECT makespan_p50 BETWEEN '3 min' AND '4 min' FROM s), 'N14: half of the runs take three rounds and a little');
SELECT ok((SELECT makespan_p90 > makespan_p50 AND makespan_p90 < '5 min' FROM s), 'N14: nine of ten not much longer');
SELECT results_eq($$SELECT * FROM zdu_simulate('shop', '1.1.0', runs => 500, assume => '1 min')$$, $$SELECT * FROM s$$, 'N14: the same seed gives the same answer');
SELECT isnt((SELECT makespan_p50 FROM zdu_simulate('shop', '1.1.0', runs => 20, seed => 2, assume => '1 min')),
            (SELECT makespan_p50 FROM zdu_simulate('shop', '1.1.0', runs => 20, seed => 3, assume => '1 min')), 'N14: another seed another one');

-- Failures: with none allowed, a run is held with probability 1 - 0.9^6 = 0.469.
SELECT ok((SELECT held BETWEEN 0.40 AND 0.54 FROM zdu_simulate('shop', '1.1.0', runs => 1000, failure_rate => 0.1, assume => '1 min')), 'D11: the share of runs that are held follows from the rate');
SELECT zdu_set_policy('shop', settings => '{"max_failures": 1}');
-- One may fail: 1 - 0.9^6 - 6 * 0.1 * 0.9^5 = 0.114; it keeps its place.
SELECT ok((SELECT held BETWEEN 0.08 AND 0.15 FROM zdu_simulate('shop', '1.1.0', runs => 1000, failure_rate => 0.1, assume => '1 min')), 'D11: and from how many failures are borne');
SELECT is((SELECT concat_ws(' ', makespan_p50, held, availability) FROM zdu_simulate('shop', '1.1.0', failure_rate => 1, assume => '1 min')), '1 4/6', 'D11: where every node fails every run is held, and the budget still keeps the others');
SELECT zdu_set_gate('shop', 'wait', after => 'canary', soak => '8 min');
SELECT ok((SELECT makespan_p50 BETWEEN '11 min' AND '13 min' FROM zdu_simulate('shop', '1.1.0', assume => '1 min', canary => 1)), 'D11: the soak behind a canary is part of the time');
SELECT zdu_drop_gate('shop', 'wait');

-- Historical: durations are drawn from what was seen.
SELECT zdu_begin('shop', '1.1.0');
SELECT sim.drive_until('shop', $$(SELECT done = '6/6' FROM zdu.status WHERE cluster = 'shop')$$);
SELECT zdu_finalize('shop');
SET LOCAL session_replication_role = replica;
UPDATE zdu.node n SET took = 100 FROM zdu.cluster k WHERE n.cluster_id = k.cluster_id AND k.name = 'shop';
SET LOCAL session_replication_role = origin;
SELECT is((SELECT concat_ws(' ', makespan_p50, makespan_p90, basis) FROM zdu_simulate('shop', '1.2.0')), '00:05:00 00:05:00 historical: 6 nodes', 'N14: where all took the same every run takes the same');
SELECT is((SELECT makespan_p50 FROM zdu_simulate('shop', '1.2.0')), (SELECT makespan FROM zdu_plan_summary('shop', '1.2.0')), 'N14: which is what the plan says');
SELECT is((SELECT string_agg(message, '') FROM (SELECT substring(sim.refused($$SELECT * FROM zdu_simulate('shop', '1.2.0', runs => 10001)$$), 1, 5) AS message) m), '22023', 'N14: what would take minutes is refused');

SELECT * FROM finish();
ROLLBACK;
