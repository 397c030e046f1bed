-- Promise: a gate that wants an approval opens by nobody else's word; where the policy wants a second person, that is another login, and one that tells who it is.
BEGIN;
SELECT plan(30);
\ir sim.psql

CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol; CREATE ROLE pool; CREATE ROLE owners ROLE alice, bob, carol;
GRANT bob TO pool; GRANT alice TO pool; GRANT owners TO pool;
SELECT zdu_grant(r, 'operator'), zdu_grant(r, 'approver') FROM unnest('{alice,bob}'::text[]) r;
SELECT zdu_grant('carol', 'operator');

-- Runs a statement of somebody who logged in (and took a role); returns its value, or SQLSTATE and rule of the refusal.
CREATE FUNCTION pg_temp.run(login text, role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    value text; detail text; hint text;
BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', login);
    IF role IS NOT NULL THEN EXECUTE format('SET LOCAL ROLE %I', role); END IF;
    EXECUTE statement INTO value;
    RESET ROLE;
    RESET SESSION AUTHORIZATION;
    RETURN value;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', SQLSTATE, split_part(detail, ':', 1), CASE WHEN hint = '' THEN 'without a hint' END);
END $$;
CREATE FUNCTION pg_temp.begun(c text, policy jsonb, login text DEFAULT 'alice') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 3, policy), zdu_set_cluster(c, owner => 'owners'), zdu_set_gate(c, 'go', '1', approval => true);
    PERFORM pg_temp.run(login, NULL, format('SELECT zdu_begin(%L, ''1.1.0'')', c));
END $$;
CREATE FUNCTION pg_temp.reached(c text) RETURNS boolean LANGUAGE sql AS
$$ SELECT sim.drive_until(c, format('(SELECT state = ''closed'' FROM zdu.gate_status WHERE cluster = %L)', c)) $$;
CREATE FUNCTION pg_temp.approve(c text) RETURNS text LANGUAGE sql AS $$ SELECT format('SELECT zdu_approve(%L, ''go'', ''the graphs look good'')', c) $$;

-- One person is enough.
SELECT pg_temp.begun('plain', '{}');
SELECT is(pg_temp.run('alice', NULL, pg_temp.approve('plain')), 'ZD001 L22', 'L22: what is not yet done is approved by nobody');
SELECT ok(pg_temp.reached('plain'), 'L22: the node before the gate is done, the gate stays closed');
SELECT is((SELECT observed || ' / ' || hint FROM zdu_why('plain') WHERE subject = 'gate_passed'),
          $$gate "go": nobody has approved it / SELECT zdu_approve('plain', 'go', 'reason')$$, 'L22: zdu_why says that it wants an approval, and how');
SELECT is((SELECT approved_by FROM zdu.gate_status WHERE cluster = 'plain'), '(wanted)', 'L22: so does zdu.gate_status');
SELECT matches(pg_temp.run('carol', NULL, pg_temp.approve('plain')), '^42501', 'L22: an operator who is no approver may not');
SELECT is(pg_temp.run('alice', NULL, $$ SELECT zdu_approve('plain', 'nothing', 'x') $$), 'ZD001 L22', 'L22: a gate that is not there is refused');
SELECT is(pg_temp.run('alice', NULL, $$ SELECT zdu_approve('plain', 'go', NULL) $$), '22004 L22', 'L22: so is an approval without a reason');
SELECT is(pg_temp.run('alice', NULL, pg_temp.approve('plain')), 'approved', 'L22: without second_person the one who began may approve');
SELECT is((SELECT state || ' ' || approved_by FROM zdu.gate_status WHERE cluster = 'plain'), 'open alice', 'L22: it opens at once');
SELECT is(pg_temp.run('bob', NULL, pg_temp.approve('plain')), 'unchanged', 'L22: a second approval changes nothing');
SELECT results_eq($$ SELECT what, new, reason, caller, session_role FROM zdu.event WHERE cluster = 'plain' AND (what = 'approve' OR new = 'go open') ORDER BY event_id $$,
                  $$ VALUES ('approve', 'go', 'the graphs look good', 'alice', 'alice'), ('gate', 'go open', 'approved', 'alice', 'alice') $$, 'L22: the record says who and why');
SELECT ok(sim.drive_until('plain', $$ sim.state('plain') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L22: the others go');

-- Two are wanted.
SELECT pg_temp.begun('two', '{"second_person": true}');
SELECT pg_temp.reached('two');
SELECT is(pg_temp.run('alice', NULL, pg_temp.approve('two')), 'ZD002 L22', 'L22: with second_person the one who began may not approve');
SELECT is(pg_temp.run('pool', 'bob', pg_temp.approve('two')), 'ZD002 L22', 'L22: nor may anybody through a pooled login');
SELECT matches(pg_temp.run('alice', 'owners', pg_temp.approve('two')), '^42501', 'L22: nor by a role that is no approver');
SELECT is((SELECT state FROM zdu.gate_status WHERE cluster = 'two'), 'closed', 'L22: it stays closed');
SELECT is(pg_temp.run('bob', NULL, pg_temp.approve('two')), 'approved', 'L22: another person may');
SELECT sim.drive_until('two', $$ (SELECT done = 3 FROM zdu.cluster_facts WHERE name = 'two') $$);
SELECT is(pg_temp.run('alice', NULL, $$ SELECT zdu_finalize('two') $$), 'ZD002 L22', 'L22: with second_person the one who began does not finalize');
SELECT is(pg_temp.run('pool', 'bob', $$ SELECT zdu_finalize('two') $$), 'ZD002 L22', 'L22: nor anybody through a pooled login');
SELECT is((SELECT verdict FROM zdu_why('two') WHERE subject = 'finalize'), 'act', 'L22: everything else is ready');
SELECT is(pg_temp.run('carol', NULL, $$ SELECT zdu_finalize('two') $$), 'STABLE', 'L22: another person does');

-- Who began through a pooled login could be anybody, so nobody could be the second.
SELECT sim.make('pooled', 2, '{"second_person": true}'), zdu_set_cluster('pooled', owner => 'owners');
SELECT is(pg_temp.run('pool', 'alice', $$ SELECT zdu_begin('pooled', '1.1.0') $$), 'ZD002 L22', 'L22: with second_person nobody begins through a pooled login');
SELECT matches(pg_temp.run('alice', NULL, $$ SELECT zdu_begin('pooled', '1.1.0') $$), '^[0-9]+$', 'L22: a person does');
SELECT pg_temp.begun('onepool', '{}', 'alice');
SELECT sim.make('any', 2), zdu_set_cluster('any', owner => 'owners');
SELECT matches(pg_temp.run('pool', 'alice', $$ SELECT zdu_begin('any', '1.1.0') $$), '^[0-9]+$', 'L22: without second_person a pooled login may begin');

-- An approval is of one upgrade.
SELECT pg_temp.reached('onepool'), pg_temp.run('bob', NULL, pg_temp.approve('onepool'));
SELECT zdu_rollback('onepool');
SELECT is(sim.drive('onepool', 'rolled_back'), 'rolled_back', 'L23: an approved upgrade is rolled back');
SELECT pg_temp.run('alice', NULL, $$ SELECT zdu_begin('onepool', '1.1.0') $$);
SELECT ok(pg_temp.reached('onepool'), 'L22: the next one wants an approval of its own');

-- An approval and a query: both.
SELECT sim.make('query', 3), zdu_set_gate('query', 'go', '1', probe => '{"exec": "svc", "args": ["look"]}', until => '$.n == 0', approval => true),
       sim.gauge('query', 'look', '{"n": 0}'), zdu_begin('query', '1.1.0');
SELECT ok(sim.drive_until('query', $$ (SELECT verdict = 'pass' FROM zdu.gate_status WHERE cluster = 'query') $$), 'L22: the look passes');
SELECT is((SELECT state FROM zdu.gate_status WHERE cluster = 'query'), 'closed', 'L22: which is not enough without the approval');
SELECT sim.gauge('query', 'look', '{"n": 1}'), sim.drive_until('query', $$ (SELECT verdict = 'fail' FROM zdu.gate_status WHERE cluster = 'query') $$);
SELECT zdu_approve('query', 'go', 'looked at it');
SELECT is((SELECT state FROM zdu.gate_status WHERE cluster = 'query'), 'closed', 'L22: nor is the approval where the look fails by then');
SELECT sim.gauge('query', 'look', '{"n": 0}');
SELECT ok(sim.drive_until('query', $$ (SELECT state = 'open' FROM zdu.gate_status WHERE cluster = 'query') $$), 'L22: both open it');

SELECT * FROM finish();
ROLLBACK;
