-- Promise: zdu uses nothing that a caller puts in its way: no operator, function, table or cast of his schemas.
BEGIN;
SELECT plan(12);
SET client_min_messages = warning;

CREATE ROLE attacker;
SELECT zdu_grant('attacker', g) FROM unnest('{admin,worker,node,force,waive}'::text[]) g;

-- Traps under the names that zdu's queries use, for exactly the types they use.
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION pg_temp.set_trap(signature text, returns text) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION evil.%s RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION $_$trapped$_$; END''', signature, returns);
END $$;
DO $$
DECLARE
	type text;
	sign text;
BEGIN
	FOREACH type IN ARRAY '{text,bigint,integer,boolean,"double precision",timestamptz,jsonb,zdu_version,oid,name}'::text[] LOOP
		PERFORM pg_temp.set_trap(format('trap(%s, %1$s)', type), 'boolean');
		FOREACH sign IN ARRAY '{=,<>,<,>,<=,>=,||,+,-,->,->>}'::text[] LOOP
			EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.trap, LEFTARG = %s, RIGHTARG = %2$s)', sign, type);
		END LOOP;
	END LOOP;
	PERFORM pg_temp.set_trap(f, 'text') FROM unnest(ARRAY['hashtext(text)', 'to_jsonb(anyelement)', 'count(anyelement)', 'min(text)',
		'jsonb_object_keys(jsonb)', 'jsonb_array_elements(jsonb)', 'jsonb_typeof(jsonb)', 'encode(bytea, text)', 'sha256(bytea)',
		'format(text, text, text)', 'starts_with(text, text)', 'split_part(text, text, integer)', 'zdu_waits_for(text)', 'zdu_limit(text, integer)',
		'zdu_clock()', 'now()', 'clock_timestamp()', 'zdu_version_cmp(zdu_version, zdu_version)', 'array_to_string(text[], text)']) AS f;
END $$;
CREATE DOMAIN evil.zdu_version AS text CHECK (false);
CREATE TABLE evil.pg_proc (trapped int);
CREATE TEMP TABLE pg_class (trapped int);
CREATE TEMP TABLE pg_proc (trapped int);
CREATE TEMP TABLE pg_extension (trapped int);
CREATE TEMP TABLE cluster AS SELECT 'trapped'::text AS name;
GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC;
GRANT ALL ON pg_temp.cluster TO PUBLIC;

CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	result text;
BEGIN
	SET LOCAL search_path = evil, pg_temp, pg_catalog;
	EXECUTE statement INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$ SET search_path FROM CURRENT;
SELECT is(pg_temp.try($$SELECT 'a'::text = 'a'::text$$), 'trapped', 'L22: the traps work');
SELECT is(pg_temp.try('SELECT zdu_clock()'), 'trapped', 'L22: also those for functions');

SET ROLE attacker;
SELECT is(pg_temp.try(statement), result, 'L22: not trapped: ' || split_part(split_part(statement, '(', 1), ' ', -1))
FROM (VALUES
    ($$SELECT zdu_set_cluster('shop', vars => '{"a": "b"}')$$, 'created'),
    ($$SELECT verdict FROM zdu_join('shop', 'app1', '1.0', 'p')$$, 'admitted'),
    ($$SELECT verdict FROM zdu_join('shop', 'app2', '1.0', 'p')$$, 'admitted'),
    ($$SELECT array_agg(command) FROM zdu_heartbeat('shop', '{app1,app2}'::text[], NULL, '{ACTIVE,ACTIVE}')$$, '{serve,serve}'),
    ($$SELECT zdu_set_policy('mine', settings => '{"max_unavailable": "50%"}')$$, 'created'),
    ($$SELECT zdu_set_runbook('mine', '{"zdu_runbook": 1, "node": {"verify": {"http": "http://{address}/", "until": "$.v == $version"}}}')$$, '1'),
    ($$SELECT zdu_begin('shop', '1.1', kind => 'manual') IS NOT NULL$$, 'true'),
    ($$SELECT count(*) OPERATOR(pg_catalog.>) 0 FROM zdu_why('shop')$$, 'true'),
    ($$SELECT count(*) OPERATOR(pg_catalog.=) 0 FROM zdu_work('w', '1', 'shop', '[{"node": "app1", "seen": {}}]', 1)$$, 'true'),
    ($$SELECT zdu_grant('attacker', 'viewer')$$, 'granted')) AS t (statement, result);
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
