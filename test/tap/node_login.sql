-- Promise: who logs in as a node speaks for that node only, and ends an upgrade only when the node is updated.
BEGIN;
SELECT plan(24);
SET client_min_messages = warning;

CREATE ROLE login1;
CREATE ROLE login2;
CREATE ROLE anybody;
CREATE ROLE person;
CREATE ROLE stranger;
SELECT zdu_grant(role, 'node') FROM unnest('{login1,login2,anybody}'::text[]) role;
SELECT zdu_grant(role, 'operator') FROM unnest('{person,stranger}'::text[]) role;
CREATE ROLE owners ROLE person;
SELECT zdu_set_cluster('shop', owner => 'owners');
SELECT zdu_set_node('shop', 'app' || n, login => 'login' || n) FROM generate_series(1, 2) n;
SELECT zdu_set_node('shop', 'app3');

-- Runs a statement as a role; returns its value, or SQLSTATE and rule of the refusal.
CREATE FUNCTION pg_temp.run(role text, statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	value text;
	detail text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement INTO value;
	RESET ROLE;
	RETURN value;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || split_part(detail, ':', 1);
END $$;

SELECT is(pg_temp.run(role, statement), expected, format('L22: %s: %s is %s', role, statement, expected))
FROM (VALUES
    ('login1', $$SELECT verdict FROM zdu_join('shop', 'app1', '1.0', 'p')$$, 'admitted'),
    ('login1', $$SELECT verdict FROM zdu_join('shop', 'app2', '1.0', 'p')$$, '42501 L22'),
    ('login2', $$SELECT verdict FROM zdu_join('shop', 'app2', '1.0', 'p')$$, 'admitted'),
    ('login1', $$SELECT verdict FROM zdu_join('shop', 'app9', '1.0', 'p')$$, '42501 L22'),
    ('anybody', $$SELECT verdict FROM zdu_join('shop', 'app1', '1.0', 'p')$$, '42501 L22'),
    ('anybody', $$SELECT verdict FROM zdu_join('shop', 'app3', '1.0', 'p')$$, 'admitted'),
    ('anybody', $$SELECT verdict FROM zdu_join('shop', 'app4', '1.0', 'p')$$, 'admitted'),
    ('login1', $$SELECT command FROM zdu_heartbeat('shop', 'app1', 'p', 'ACTIVE')$$, 'serve'),
    ('login1', $$SELECT command FROM zdu_heartbeat('shop', 'app2', 'p', 'ERROR')$$, '42501 L22'),
    ('login1', $$SELECT array_agg(coalesce(command, sqlstate)) FROM zdu_heartbeat('shop', ARRAY['app1', 'app2'], NULL, ARRAY['ACTIVE', 'ERROR'])$$, '{serve,42501}'),
    ('login2', $$SELECT command FROM zdu_heartbeat('shop', 'app2', 'p', 'ACTIVE')$$, 'serve'),
    ('person', $$SELECT command FROM zdu_heartbeat('shop', 'app1', 'p', 'ERROR')$$, '42501 ')) AS t (role, statement, expected);
SELECT results_eq('SELECT name, state FROM zdu.node ORDER BY name',
                  $$VALUES ('app1', 'ACTIVE'), ('app2', 'ACTIVE'), ('app3', 'STARTING'), ('app4', 'STARTING')$$,
                  'L22: what was said of somebody else''s node changed nothing');
SELECT zdu_remove_node('shop', 'app3'), zdu_remove_node('shop', 'app4');

-- L20
SELECT zdu_begin('shop', '1.1');
SELECT zdu_join('shop', 'app1', '1.1', 'q'), zdu_heartbeat('shop', 'app1', 'q', 'ACTIVE');
SELECT is(pg_temp.run('login2', $$SELECT zdu_finalize('shop')$$), 'ZD002 L20', 'L20: the login of an outdated node may not end the upgrade');
SELECT is(pg_temp.run('login1', $$SELECT zdu_finalize('shop')$$), 'ZD001 L9', 'L20: that of an updated node may, but not before its time');
SELECT is(pg_temp.run('anybody', $$SELECT zdu_finalize('shop')$$), '42501 L22', 'L20: who is no node''s login and no person either may not');
SELECT is(pg_temp.run('stranger', $$SELECT zdu_finalize('shop')$$), '42501 L22', 'L20: nor a person whose cluster it is not');
SELECT is(pg_temp.run('person', $$SELECT zdu_finalize('shop')$$), 'ZD001 L9', 'L20: a person may, but not before its time');
SELECT zdu_heartbeat('shop', 'app2', 'p', 'OFFLINE');
SELECT is(pg_temp.run('login2', $$SELECT zdu_finalize('shop')$$), 'ZD002 L20', 'L20: the outdated node may not even when nothing else stands in the way');
SELECT is((SELECT state FROM zdu.cluster), 'READY_TO_RUN_UPGRADE_TASKS', 'L20: which it does not');
SAVEPOINT before;
SELECT is(pg_temp.run('person', $$SELECT zdu_finalize('shop')$$), 'STABLE', 'L20: now the person ends it');
ROLLBACK TO before;
SELECT is(pg_temp.run('login1', $$SELECT zdu_finalize('shop')$$), 'STABLE', 'L20: or the updated node');
SELECT results_eq($$SELECT caller, new FROM zdu.event WHERE what = 'upgrade' ORDER BY event_id DESC LIMIT 1$$,
                  $$VALUES ('login1', 'completed')$$, 'L20: the log says who did');
SELECT ok((SELECT bool_and(session_role = session_user) FROM zdu.event), 'L20: and in whose session');

SELECT * FROM finish();
ROLLBACK;
