-- Promise: PUBLIC has nothing, a grant gives exactly what zdu.privilege says, and what zdu does as its owner cannot be bent.
BEGIN;
SELECT plan(62);
SET client_min_messages = warning;

CREATE TEMP VIEW member AS
SELECT classid::regclass::text AS catalog, objid, pg_describe_object(classid, objid, 0) AS what
FROM pg_depend WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'zdu') AND deptype = 'e';

-- PUBLIC

CREATE TEMP VIEW acl AS
SELECT what, a.* FROM member m
CROSS JOIN LATERAL (
	SELECT coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE m.catalog = 'pg_proc' AND oid = objid
	UNION ALL SELECT coalesce(typacl, acldefault('T', typowner)) FROM pg_type WHERE m.catalog = 'pg_type' AND oid = objid
	UNION ALL SELECT coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE m.catalog = 'pg_namespace' AND oid = objid
	UNION ALL SELECT coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)) FROM pg_class WHERE m.catalog = 'pg_class' AND oid = objid
) x (acl)
CROSS JOIN LATERAL aclexplode(x.acl) a;
SELECT cmp_ok((SELECT count(DISTINCT what) FROM acl), '>', 80::bigint, 'L22: the privileges of all objects are looked at');
SELECT is_empty('SELECT what, privilege_type FROM acl WHERE grantee = 0', 'L22: PUBLIC has no privilege on any object of zdu');
SELECT is_empty('SELECT what, grantee::regrole, privilege_type FROM acl WHERE grantee <> grantor', 'L22: nor has any role but the owner');
SELECT is_empty($$SELECT FROM member m JOIN pg_proc p ON m.catalog = 'pg_proc' AND p.oid = m.objid WHERE p.prosecdef$$,
                'L22: no function is SECURITY DEFINER, which would hide who called');

-- Grants: one role each, and what zdu.privilege lets it do

CREATE TEMP TABLE granted AS
SELECT g AS grant_as, 'has_' || g AS role FROM unnest('{viewer,operator,approver,worker,node,admin,force,waive}'::text[]) g;
DO $$ DECLARE r text; BEGIN FOR r IN SELECT role FROM granted LOOP EXECUTE format('CREATE ROLE %I', r); END LOOP; END $$;
CREATE ROLE nobody;
CREATE ROLE owners;
SELECT is(zdu_grant(role, grant_as), 'granted', 'L22: a role can be made ' || grant_as) FROM granted;
SELECT is(zdu_grant('has_viewer', 'viewer'), 'unchanged', 'L22: once');

CREATE TEMP VIEW expected AS
SELECT g.grant_as, p.name, p.oid, EXISTS (
	SELECT FROM zdu.privilege v WHERE g.grant_as = ANY (v.grants)
	AND (v.name = p.name OR (v.name = 'zdu_version' AND (starts_with(p.name, 'zdu_version_') OR p.name IN ('min', 'max'))))) AS may
FROM granted g
CROSS JOIN (SELECT p.oid, p.proname::text AS name FROM member m JOIN pg_proc p ON m.catalog = 'pg_proc' AND p.oid = m.objid) p;
SELECT is_empty(format($$SELECT oid::regprocedure, may FROM expected
	WHERE grant_as = %L AND has_function_privilege(%L, oid, 'EXECUTE') <> may$$, grant_as, role),
	'L22: may call exactly the functions that are listed for it: ' || grant_as) FROM granted;
SELECT is_empty(format($$SELECT c.relname FROM member m JOIN pg_class c ON m.catalog = 'pg_class' AND c.oid = m.objid
	WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(%2$L, c.oid, 'USAGE, SELECT, UPDATE')
	ELSE has_table_privilege(%2$L, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		OR has_any_column_privilege(%2$L, c.oid, 'INSERT, UPDATE, REFERENCES')
		OR has_any_column_privilege(%2$L, c.oid, 'SELECT') <> EXISTS (
			SELECT FROM zdu.privilege v WHERE v.name = 'zdu.' || c.relname AND %1$L = ANY (v.grants)) END$$, grant_as, role),
	'L22: may read exactly the views and tables that are listed for it, and write none: ' || grant_as) FROM granted;
SELECT is_empty($$SELECT FROM granted WHERE has_schema_privilege(role, 'zdu', 'CREATE') OR NOT has_schema_privilege(role, 'zdu', 'USAGE')$$,
                'L22: may look into the schema zdu and make nothing in it');
SELECT is_empty($$
	SELECT what FROM member m JOIN pg_proc p ON m.catalog = 'pg_proc' AND p.oid = m.objid WHERE has_function_privilege('nobody', p.oid, 'EXECUTE')$$,
	'L22: a role without a grant may call nothing');

SELECT ok(has_table_privilege('has_operator', relation, 'SELECT'), 'L22: an operator may read what hints tell him to: ' || relation)
FROM unnest('{zdu.status,zdu.node_status,zdu.help,zdu.cluster,zdu.current_policy,zdu.release,zdu.runbook,zdu.node_group,zdu.watch,zdu.grant}'::text[]) relation;

-- Calls: the privilege to execute is not all, each function looks at zdu.grant itself

SELECT zdu_set_policy('quick', settings => '{"version_step": "any"}');
SELECT zdu_set_cluster('shop', 'quick', owner => 'owners');
SELECT zdu_join('shop', 'app' || n, '1.0'), zdu_heartbeat('shop', 'app' || n, state => 'ACTIVE') FROM generate_series(1, 3) n;
GRANT owners TO has_operator, has_force;

-- Runs a statement as a role and takes it back; returns "may", or SQLSTATE, message and hint.
CREATE FUNCTION pg_temp.run(role text, statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	message text;
	hint text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement;
	RAISE EXCEPTION SQLSTATE 'TT000';
EXCEPTION
	WHEN SQLSTATE 'TT000' THEN
		RETURN 'may';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		RETURN concat_ws(' | ', SQLSTATE, message, nullif(hint, ''));
END $$;

CREATE TEMP TABLE call (name text, statement text);
INSERT INTO call VALUES
    ('zdu_begin', $$SELECT zdu_begin('shop', '2.0')$$), ('zdu_detach', $$SELECT zdu_detach('shop', 'app1')$$),
    ('zdu_set_node', $$SELECT zdu_set_node('shop', 'app9')$$), ('zdu_set_release', $$SELECT zdu_set_release('shop', '2.0')$$),
    ('zdu_heartbeat', $$SELECT zdu_heartbeat('shop', 'app1')$$), ('zdu_work', $$SELECT zdu_work('w', '1', 'shop')$$),
    ('zdu_why', $$SELECT zdu_why('shop')$$), ('zdu_log', $$SELECT zdu_log('shop')$$), ('zdu_prune', $$SELECT zdu_prune('1 day')$$),
    ('zdu_force_state', $$SELECT zdu_force_state('shop', 'app1', 'ERROR', 'x')$$), ('zdu.status', 'SELECT FROM zdu.status WHERE waits_for IS NULL'),
    ('zdu.timeline', 'TABLE zdu.timeline'), ('zdu.help', 'TABLE zdu.help');
SELECT is_empty($$
	SELECT c.statement, g.grant_as, r.result FROM call c JOIN zdu.privilege v USING (name) CROSS JOIN granted g
	CROSS JOIN LATERAL pg_temp.run(g.role, c.statement) AS r (result)
	WHERE (g.grant_as = ANY (v.grants) AND (NOT v.owned OR g.role IN ('has_operator', 'has_force'))) <> (r.result = 'may')
	OR r.result <> 'may' AND r.result NOT LIKE '42501 |%'$$,
	'L22: real calls are carried out for exactly those who may');
GRANT EXECUTE ON FUNCTION zdu_pause TO nobody;
SELECT is(pg_temp.run('nobody', $$SELECT zdu_pause('shop')$$),
	$$42501 | permission denied for function zdu_pause | Whoever has the grant admin may: SELECT zdu_grant('nobody', '...')$$,
	'L22: who got hold of EXECUTE is refused by the function itself, with what helps');
SELECT is(pg_temp.run('has_admin', $$SELECT zdu_pause('shop')$$),
	'42501 | permission denied for cluster "shop" | A member may grant it: GRANT owners TO has_admin',
	'L22: a role that has not the owner''s is refused, even an admin');
SELECT is(pg_temp.run('has_operator', $$SELECT zdu_pause('shop')$$),
	$$ZD001 | cannot pause the upgrade of cluster "shop" | SELECT zdu_begin('shop', ...)$$,
	'L22: an operator who has it is not');
CREATE ROLE deputy IN ROLE has_operator;
SELECT alike(pg_temp.run('deputy', $$SELECT zdu_pause('shop')$$), 'ZD001%', 'L22: members of a role have what it has');
CREATE ROLE guest NOINHERIT IN ROLE has_operator;
SELECT alike(pg_temp.run('guest', $$SELECT zdu_pause('shop')$$), '42501%', 'L22: unless they do not inherit');
SELECT throws_ok($$SELECT zdu_grant('no such role', 'viewer')$$, '42704', 'role "no such role" does not exist', 'L22: only a role can be granted something');
SELECT throws_ok($$SELECT zdu_grant('nobody', 'king')$$, '22023', '"king" is no grant', 'L22: and only what there is');
SELECT alike(pg_temp.run('has_operator', $$SELECT zdu_grant('has_operator', 'admin')$$), '42501%', 'L22: nobody makes himself an admin');
SELECT is(pg_temp.run('has_admin', $$SELECT zdu_grant('nobody', 'viewer')$$), 'may', 'L22: an admin grants without being the owner of zdu');

-- The owner, for the time of a call

CREATE TABLE seen (who text, path text, temp_table text);
CREATE FUNCTION look_around() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
	made text := 'made';
BEGIN
	BEGIN
		CREATE TEMP TABLE left_behind ();
	EXCEPTION WHEN insufficient_privilege THEN
		made := SQLERRM;
	END;
	INSERT INTO public.seen VALUES (current_user, current_setting('search_path'), made);
	RETURN NULL;
END $$;
CREATE TRIGGER look_around AFTER INSERT ON zdu.event_log FOR EACH STATEMENT EXECUTE FUNCTION look_around();
SET ROLE has_admin;
SELECT zdu_set_cluster('bank');
SELECT is(current_user::text, 'has_admin', 'L22: after a call the caller is who he was');
RESET ROLE;
SELECT results_eq('TABLE seen', format($$VALUES (%L, 'pg_catalog, pg_temp', 'cannot create temporary table within security-restricted operation')$$, session_user),
                  'L22: inside he is the owner, with a search_path of its own, in a restricted context');
DROP TRIGGER look_around ON zdu.event_log;
SELECT results_eq($$SELECT caller, session_role, new FROM zdu.timeline WHERE cluster = 'bank'$$,
                  format($$VALUES ('has_admin', %L, 'created')$$, session_user), 'L22: SET ROLE counts, and the log keeps both names');
SELECT is((SELECT owner FROM zdu.cluster WHERE name = 'bank'), 'has_admin', 'L22: a cluster belongs to who made it');
SET search_path = public, pg_temp;
SET ROLE has_operator;
DO $$ BEGIN PERFORM zdu_pause('shop'); EXCEPTION WHEN SQLSTATE 'ZD001' THEN NULL; END $$;
SELECT is(current_user || ' ' || current_setting('search_path'), 'has_operator public, pg_temp', 'L22: so is he after an error that he caught');
RESET ROLE;

-- Taken away

SELECT is(zdu_revoke('has_viewer', 'viewer'), 'revoked', 'L22: a grant can be taken away');
SELECT is(zdu_revoke('has_viewer', 'viewer'), 'unchanged', 'L22: once');
SELECT is_empty($$SELECT what FROM acl WHERE grantee = 'has_viewer'::regrole$$, 'L22: and nothing of it is left');
SELECT zdu_grant('has_operator', 'viewer'), zdu_revoke('has_operator', 'operator');
SELECT is_empty($$SELECT e.oid::regprocedure FROM expected e WHERE e.grant_as = 'viewer'
                  AND has_function_privilege('has_operator', e.oid, 'EXECUTE') <> e.may$$, 'L22: what another grant gives is kept');
SELECT alike(pg_temp.run('deputy', $$SELECT zdu_pause('shop')$$), '42501%', 'L22: members of the role have lost it too');
SELECT throws_ok($$SELECT zdu_revoke('has_viewer', 'king')$$, '22023', '"king" is no grant', 'L22: only what there is can be taken away');

SELECT * FROM finish();
ROLLBACK;
