-- Promise: a plan shows what waits for freezes and windows, how long, and what they never let go; it is what an upgrade then meets.
BEGIN;
SELECT plan(17);
\ir sim.psql

-- Nodes take 100 s each, as history says.
CREATE FUNCTION pg_temp.make(c text) RETURNS void LANGUAGE sql AS $$
    SELECT sim.make(c, 4, '{"order_by": ["name"]}');
    SELECT zdu_set_node(c, 'app' || i, zone => CASE WHEN i <= 2 THEN 'a' ELSE 'b' END) FROM generate_series(1, 4) AS i;
$$;
CREATE FUNCTION pg_temp.paced() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    ALTER TABLE zdu.node DISABLE TRIGGER USER; UPDATE zdu.node SET took = 100; ALTER TABLE zdu.node ENABLE TRIGGER USER; END $$;
CREATE FUNCTION pg_temp.at(seconds int) RETURNS timestamptz LANGUAGE sql AS $$ SELECT zdu_clock() + make_interval(secs => seconds) $$;
-- Orders, and starts in whole seconds: "app3@0 app4@100".
CREATE FUNCTION pg_temp.planned(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(p.node || coalesce('@' || round(extract(epoch FROM p.starts)), ' never'), ' ' ORDER BY p.ord) FROM zdu_plan(c, '1.1.0') p $$;
CREATE FUNCTION pg_temp.waits(c text, n text) RETURNS text LANGUAGE sql AS $$ SELECT waits_for FROM zdu_plan(c, '1.1.0') p WHERE p.node = n $$;
CREATE FUNCTION pg_temp.summary(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', round(extract(epoch FROM makespan)), round(extract(epoch FROM lower_bound)), never) FROM zdu_plan_summary(c, '1.1.0') $$;

SELECT pg_temp.make(c) FROM unnest('{now,later,for-good,windows,all,back}'::text[]) c;
SELECT pg_temp.paced();
SELECT zdu_set_freeze('now', 'now', 'freeze', tstzrange(NULL, pg_temp.at(1000)), '{"zone": "a"}', reason => 'x');
SELECT is(pg_temp.planned('now'), 'app3@0 app4@100 app1@1000 app2@1100', 'L22: who is frozen comes when the freeze is over, the others go on');
SELECT is(pg_temp.waits('now', 'app1'), 'freeze "now" in zone a until ' || (SELECT upper(during) FROM zdu.freeze WHERE name = 'now'), 'L22: zdu_plan names the freeze');
SELECT is(pg_temp.waits('now', 'app2'), 'app1, 1 at once', 'L22: and who then waits for a place');
SELECT is(pg_temp.summary('now'), '1200 1100 0', 'L22: the makespan has it in it, and so has the lower bound');

SELECT zdu_set_freeze('later', 'later', 'freeze', tstzrange(pg_temp.at(150), pg_temp.at(1000)), '{"zone": "a"}', reason => 'x');
SELECT is(pg_temp.planned('later'), 'app1@0 app2@100 app3@200 app4@300', 'L22: who is done before a freeze does not wait for it');
SELECT zdu_set_freeze('later', 'later', during => tstzrange(pg_temp.at(50), pg_temp.at(1000)));
SELECT is(pg_temp.planned('later'), 'app1@0 app3@100 app4@200 app2@1000', 'L22: a freeze that is to come keeps those that are not begun by then');

SELECT zdu_set_freeze('for-good', 'for-good', 'freeze', tstzrange(NULL, NULL), '{"zone": "a"}', reason => 'x');
SELECT is(pg_temp.planned('for-good'), 'app3@0 app4@100 app1 never app2 never', 'L22: without end it lets them never go');
SELECT is(pg_temp.waits('for-good', 'app1') || ' ' || (SELECT never FROM zdu_plan_summary('for-good', '1.1.0')), 'never: freeze "for-good" in zone a, without end 2', 'L22: and the plan says so');
SELECT is((SELECT rule || ' ' || observed FROM zdu_why('for-good', target => '1.1.0') WHERE subject = 'in its way'), 'L22 2 nodes, such as app1, can never be taken: freeze "for-good" in zone a, without end', 'L22: the preflight too');
SELECT zdu_waive('for-good', 'freeze:for-good', 'x');
SELECT is(pg_temp.planned('for-good'), 'app1@0 app2@100 app3@200 app4@300', 'L22: what is waived keeps nobody');

SELECT zdu_set_freeze('windows', 'mon', 'window', tstzrange(pg_temp.at(500), pg_temp.at(560)), reason => 'x'), zdu_set_freeze('windows', 'tue', 'window', tstzrange(pg_temp.at(1000), pg_temp.at(1060)), '{"zone": "a"}', reason => 'x');
SELECT is(pg_temp.planned('windows'), 'app1@500 app2@1000 app3 never app4 never', 'L22: in windows only: of every node, or of some, the first that has room');
SELECT is(pg_temp.waits('windows', 'app2') || ', ' || pg_temp.waits('windows', 'app3'), 'outside of every window until ' || (SELECT lower(during) FROM zdu.freeze WHERE name = 'tue') || ', never: outside of every window, without end', 'L22: and the plan names what opens them');

SELECT zdu_set_freeze(NULL, 'fleet', 'freeze', tstzrange(NULL, pg_temp.at(300)), '{"product": "all", "zone": "b"}', reason => 'x');
SELECT is(pg_temp.planned('all'), 'app1@0 app2@100 app3@300 app4@400', 'L22: one of all clusters is planned for before an upgrade as well');
SELECT is(pg_temp.planned('now'), 'app3@0 app4@100 app1@1000 app2@1100', 'L22: where it means the cluster');
SELECT matches((SELECT observed FROM zdu_why('all', target => '1.1.0') WHERE verdict = 'yes' AND subject = 'may begin'), '4 nodes, 1 at a time, about 8 min', 'L22: the preflight counts the wait');

-- What is left of one that runs; what goes back waits for none.
SELECT zdu_begin('back', '1.1.0'), sim.drive_until('back', $$ sim.node('back', 'app1') = 'ACTIVE 1.1.0' $$);
SELECT pg_temp.paced();
SELECT zdu_set_freeze('back', 'back', 'freeze', tstzrange(NULL, pg_temp.at(5000)), '{"zone": "b"}', reason => 'x');
SELECT is((SELECT string_agg(node || ' ' || coalesce(waits_for, ''), ', ' ORDER BY ord) FILTER (WHERE node IN ('app3')) FROM zdu_plan('back')), 'app3 freeze "back" in zone b until ' || (SELECT upper(during) FROM zdu.freeze WHERE name = 'back'),
          'L22: so is what is left of an upgrade');
SELECT zdu_set_freeze('back', 'back', selector => '{}'), zdu_rollback('back');
SELECT is((SELECT count(*) FROM zdu_plan('back') WHERE waits_for LIKE 'freeze%'), 0::bigint, 'L23: no freeze stands in the plan of the way back');

SELECT * FROM finish();
ROLLBACK;
