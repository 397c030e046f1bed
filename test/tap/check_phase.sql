-- Promise: what a runbook's check finds wrong refuses the drain before it begins: the node is not touched, the upgrade is held, a retry looks again.
BEGIN;
SELECT plan(14);
\ir sim.psql

CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', u.run, u.held_rule, u.held_reason) FROM zdu.upgrade u JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;
-- The others have room when none of their requests is left.
CREATE FUNCTION pg_temp.make(c text, policy jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
	SELECT sim.make(c, 2, policy, '{"node": {"check": {"exec": "svc", "args": ["room"], "only": "probe", "until": "$.requests == 0", "timeout": "5s"}}}') $$;

SELECT throws_like($$SELECT sim.make('acts', 2, runbook => '{"node": {"check": {"exec": "svc", "until": "true"}}}')$$, '%not valid%', 'D6: a check that acts is refused');
SELECT pg_temp.make('room'), zdu_begin('room', '1.1.0');
SELECT ok(sim.drive_until('room', $$ sim.step('room', 'app1') LIKE 'check running%' $$), 'D6: the check comes first');
SELECT is(sim.drive('room', 'none', rounds => 80), 'running', 'D6: and lets pass');
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'room') || ' ' || (SELECT count(*) FROM sim.act WHERE cluster = 'room' AND action = 'room'), '2/2 0', 'D6: it acts on nothing');

SELECT pg_temp.make('full'), zdu_begin('full', '1.1.0');
UPDATE sim.world SET requests = 3 WHERE cluster = 'full' AND node = 'app1';
SELECT is(sim.drive('full', 'held'), 'held', 'D6: lack of room holds the upgrade');
SELECT is(pg_temp.held('full'), 'held D6 app1 check failed, attempt 1', 'D6: and says which check');
SELECT is(sim.node('full', 'app1') || ', ' || coalesce(sim.acts('full', 'app1'), 'nothing was done'), 'ACTIVE 1.0.0, nothing was done', 'D6: the node was not touched');
SELECT is(sim.node('full', 'app2'), 'ACTIVE 1.0.0', 'D6: nor was another one');
SELECT is((SELECT unavailable FROM zdu.budget_status WHERE cluster = 'full'), 0, 'D6: and no place is taken any more');
SELECT is((SELECT hint FROM zdu_why('full') WHERE verdict = 'no' AND rule = 'D6'), $$SELECT zdu_retry('full')$$, 'L22: zdu_why says what helps');
SELECT zdu_retry('full'), sim.drive('full', 'held');
SELECT is(pg_temp.held('full'), 'held D6 app1 check failed, attempt 1', 'D6: a retry looks again');
UPDATE sim.world SET requests = 0 WHERE cluster = 'full';
SELECT zdu_retry('full'), sim.drive('full', 'none', rounds => 80);
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'full'), '2/2', 'D6: with room again it goes on to the end');
UPDATE sim.world SET requests = 3 WHERE cluster = 'full' AND node = 'app1';
SELECT zdu_rollback('full'), sim.drive('full', 'held');
SELECT is(pg_temp.held('full'), 'held L23 app1 check failed, attempt 1', 'L23: the same check on the way back');
UPDATE sim.world SET requests = 0 WHERE cluster = 'full';
SELECT zdu_retry('full');
SELECT is(sim.drive('full', 'rolled_back'), 'rolled_back', 'L23: which a retry ends');

SELECT * FROM finish();
ROLLBACK;
