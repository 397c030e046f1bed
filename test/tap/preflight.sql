-- Before begin zdu_why lists everything that would refuse or be in the way, a line each with what helps.

BEGIN;
\ir sim.psql
SELECT plan(46);

CREATE FUNCTION pg_temp.preflight(c text, v text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', w.verdict, w.rule, w.subject), '|' ORDER BY w.ord) FROM
   (SELECT *, row_number() OVER () AS ord FROM zdu_why(c, target => v)) w $$;

SELECT sim.make('shop', 3);
SELECT is(pg_temp.preflight('shop', '1.1.0'), 'yes may begin', 'L22: where nothing is wrong there is one line');
SELECT is((SELECT concat_ws(' ', observed, hint) FROM zdu_why('shop', target => '1.1.0')), $$1.0.0 -> 1.1.0: 3 nodes, 1 at a time SELECT zdu_begin('shop', '1.1.0')$$,
          'L22: it says what would be done and how to begin; of time nothing is known, so nothing is said');

-- A blocked release, two minors on, a missing variable, a node in ERROR.
SELECT zdu_set_release('shop', '1.3.0', 'eats carts');
SELECT zdu_set_runbook('shop', sim.runbook() || '{"requires": ["color"]}');
SELECT zdu_force_state('shop', 'app2', 'ERROR', 'test');
SELECT is(pg_temp.preflight('shop', '1.3.0'), 'no L2 may begin|no V6 may begin|no W1 may begin', 'L22: every refusal is told, not the first one only');
SELECT is((SELECT count(*)::int FROM zdu_why('shop', target => '1.3.0') WHERE hint LIKE 'SELECT %'), 3, 'L22: each with the next command');
SELECT is(sim.refused($$SELECT zdu_begin('shop', '1.3.0')$$), 'ZD001 L2', 'L22: zdu_begin refuses with the first of them');
SELECT is(pg_temp.preflight('shop', '1.2.0'), 'no L2 may begin|no V2 may begin|no W1 may begin', 'V2: steps are judged even while something else is wrong');
SELECT is(sim.refused($$SELECT * FROM zdu_why('shop', target => '1..2')$$), '22P02 V1', 'V1: what is no version cannot be asked about');

-- Nobody listens; a program is missing.
SELECT sim.make('idle', 3);
SELECT sim.tick(100);
SELECT ok(pg_temp.preflight('idle', '1.1.0') LIKE 'no W4 worker|%', 'W4: no worker listens: that comes first');
SELECT sim.ask('idle'), sim.ask('idle');
SELECT zdu_set_runbook('idle', jsonb_set(sim.runbook(), '{node,stop,exec}', '"no-such-program"'));
SELECT is(pg_temp.preflight('idle', '1.1.0'), 'no W4 programs|yes may begin', 'W4: a program that no worker has is named before it is missed');

-- Who had the program and is gone does not count; a gate's program is missed too.
SELECT zdu_set_runbook('idle', sim.runbook());
SELECT sim.tick(40), zdu_work('other', 'other-1', 'idle', programs => '{look}');
SELECT alike(pg_temp.preflight('idle', '1.1.0'), 'no W4 programs|%', 'W4: a program that only a worker had who is gone is missed');
SELECT sim.ask('idle');
SELECT unalike(pg_temp.preflight('idle', '1.1.0'), '%programs%', 'W4: it is there when that worker is back');
SELECT zdu_set_gate('idle', 'errors', '1', probe => '{"exec": "count-errors"}', until => '$.n < 5');
SELECT is((SELECT observed FROM zdu_why('idle', target => '1.1.0') WHERE subject = 'programs'), 'no worker has the program count-errors', 'W4: so is one that a gate looks with');

-- A node that nobody sees any more, though it is not down.
SELECT sim.make('blind', 3);
SELECT sim.break('blind', 'app3', 'health', 'sticks');
SELECT sim.ask('blind'), sim.tick(20), sim.ask('blind'), sim.ask('blind'), sim.tick(20), sim.ask('blind'), sim.ask('blind');
SELECT is((SELECT concat_ws(' ', rule, substring(observed FROM '^.*for ')) FROM zdu_why('blind', target => '1.1.0') WHERE verdict = 'no'), 'N18 app3 is ACTIVE and was not seen for ',
          'N18: a node that is not seen is told');

-- Copies that may not move and of which none may leave.
SELECT sim.make('data', 3, '{"min_availability": "primaries", "reallocate": false}');
SELECT zdu_set_resource('data', 'shard1', '0');
SELECT zdu_set_placement('data', 'shard1', 'app2', 'primary');
SELECT is(pg_temp.preflight('data', '1.1.0'), 'no D5 may begin', 'D5: a node that would have to move copies that may not move is told once');
SELECT is((SELECT concat_ws(' ', node, waits_for, starts) FROM zdu_plan('data', '1.1.0') ORDER BY ord DESC LIMIT 1), 'app2 never: copies of shard1', 'D5: the plan puts it last, without a time');
SELECT is((SELECT concat_ws(' ', nodes, never) FROM zdu_plan_summary('data', '1.1.0')), '3 1', 'D5: and counts it');

-- Who is away takes the only place.
SELECT sim.make('away', 3);
SELECT zdu_force_state('away', 'app2', 'OFFLINE', 'test');
SELECT zdu_set_policy('away', settings => '{"order_by": ["name"]}');
SELECT zdu_set_node('away', 'app1', zone => 'a'), zdu_set_node('away', 'app3', zone => 'a');
SELECT zdu_set_budget('away', 'zone-a', '{"zone": "a"}', max_unavailable => '1');
SELECT zdu_set_policy('away', settings => '{"max_unavailable": "2"}');
SELECT is(pg_temp.preflight('away', '1.1.0'), 'yes may begin', 'D11: one that is down and is upgraded gives its place back');
SELECT zdu_set_group('away', 'rest', '{app1,app3}');
SELECT zdu_detach('away', 'app2'), zdu_set_policy('away', settings => '{"max_unavailable": "1"}');
SELECT is((SELECT string_agg(concat_ws(' ', node, waits_for), '|' ORDER BY ord) FROM zdu_plan('away', '1.1.0', node_group => 'rest')),
          'app1 never: 1 at once|app3 never: 1 at once', 'D11: one that is no part of it does not');

-- What it says of a wish is what zdu_begin then does with the same, whatever the wish and the state.
CREATE FUNCTION pg_temp.said(c text, args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    EXECUTE format('SELECT string_agg(CASE verdict WHEN ''no'' THEN rule ELSE substring(observed FROM ''\d+ nodes'') END, '' '' ORDER BY ord) FROM '
        '(SELECT *, row_number() OVER () AS ord FROM zdu_why(%L, %s) WHERE subject = ''may begin'' LIMIT 1) w', c, args) INTO said;
    RETURN said;
END $$;
-- Refused by which rule, or how many nodes got a turn; undone at once.
CREATE FUNCTION pg_temp.done(c text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE call;
    RAISE EXCEPTION USING ERRCODE = 'XX123', DETAIL = (SELECT count(*) FROM zdu.node JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND turn IS NOT NULL) || ' nodes';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN split_part(detail, ':', 1);
END $$;
CREATE FUNCTION pg_temp.hint(c text, args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    command text;
BEGIN
    EXECUTE format('SELECT hint FROM zdu_why(%L, %s) WHERE verdict = ''yes'' AND subject = ''may begin''', c, args) INTO command;
    RETURN command;
END $$;
SELECT sim.make('wish', 6, '{"max_unavailable": "2"}');
SELECT zdu_set_group('wish', 'blue', '{app1,app2}'), zdu_set_release('wish', '1.1.0'), zdu_set_release('wish', '1.1.9', 'eats carts');
SELECT hash AS hash FROM zdu_plan_summary('wish', '1.1.0', node_group => 'blue', canary => 1) \gset
CREATE TEMP TABLE wish AS SELECT args || coalesce(more, '') AS args, want FROM (VALUES
    ($$target => '1.1.0'$$, NULL, '6 nodes'),
    ($$target => '1.1.0', canary => 2$$, NULL, '6 nodes'),
    ($$target => '1.1.0', canary => 6$$, NULL, 'D10'),
    ($$target => '1.1.0', canary => -1$$, NULL, 'D10'),
    ($$target => '1.1.0', node_group => 'blue'$$, NULL, '2 nodes'),
    ($$target => '1.1.0', node_group => 'blue', canary => 1$$, NULL, '2 nodes'),
    ($$node_group => 'blue'$$, NULL, '2 nodes'),
    ($$target => '1.1.0', node_group => 'green'$$, NULL, 'N11'),
    ($$target => '1.1.9', node_group => 'blue'$$, NULL, 'V6'),
    ($$target => '1.1.0', node_group => 'blue', canary => 1, plan => $$, quote_literal(:'hash'), '2 nodes'),
    ($$target => '1.1.0', node_group => 'blue', plan => $$, quote_literal(:'hash'), 'N14'),
    ($$target => '1.1.0', kind => 'manual'$$, NULL, '6 nodes')) AS t (args, more, want);
SELECT is(pg_temp.said('wish', args), want, 'L22: the preflight takes what zdu_begin does: ' || left(args, 60)) FROM wish;
SELECT is(pg_temp.done('wish', format('SELECT zdu_begin(%L, %s)', 'wish', args)), CASE WHEN args LIKE '%manual%' THEN '0 nodes' ELSE want END, 'L22: and says the same as it: ' || left(args, 60)) FROM wish;
SELECT is((SELECT count(*) FROM wish WHERE want LIKE '% nodes' AND args NOT LIKE '%manual%' AND pg_temp.done('wish', pg_temp.hint('wish', args)) IS DISTINCT FROM want), 0::bigint, 'L22: and its hint is the call that does it');
SELECT sim.make('never', 3, '{"cancel": "never"}');
SELECT is(pg_temp.done('never', pg_temp.hint('never', $$target => '1.1.0'$$)), '3 nodes', 'L24: the hint acknowledges where that is asked for');
SELECT is((SELECT hint FROM zdu_why('away', target => '1.1.0', node_group => 'rest') WHERE subject = 'in its way'), $$SELECT * FROM zdu_plan('away', '1.1.0', node_group => 'rest') WHERE waits_for LIKE 'never%'$$,
          'D11: what can never be taken of a group is told of that group');
SELECT zdu_set_group('blind', 'rest', '{app1,app2}');
SELECT is_empty($$SELECT * FROM zdu_why('blind', target => '1.1.0', node_group => 'rest') WHERE subject = 'in its way'$$, 'N18: a node of another group is not in its way');

SELECT * FROM finish();
ROLLBACK;
