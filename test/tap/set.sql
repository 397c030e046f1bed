-- Promise: what is set is convergent: created, then unchanged; changed when something differs; NULL keeps what is there.
BEGIN;
SELECT plan(48);
SET client_min_messages = warning;
SELECT zdu_set_cluster('other');

CREATE TEMP TABLE call (ord serial, statement text, result text);
INSERT INTO call (statement, result) VALUES
    ($$zdu_set_runbook('mine', '{"zdu_runbook": 1, "node": {}, "observe": {"http": "http://a/", "version": "$.v", "active": "$.up"}}')$$, '1'),
    ($$zdu_set_runbook('mine', '{"observe": {"active": "$.up", "version": "$.v", "http": "http://a/"}, "node": {}, "zdu_runbook": 1}')$$, '1'),
    ($$zdu_set_runbook('mine', '{"zdu_runbook": 1, "node": {}, "observe": {"http": "http://b/", "version": "$.v", "active": "$.up"}}')$$, '2'),
    ($$zdu_set_runbook('mine', '{"zdu_runbook": 1, "node": {}, "observe": {"http": "http://a/", "version": "$.v", "active": "$.up"}}')$$, '3'),
    ($$zdu_set_policy('mine')$$, 'created'),
    ($$zdu_set_policy('mine')$$, 'unchanged'),
    ($$zdu_set_policy('mine', settings => '{"max_unavailable": "33%", "lease": "60 s"}')$$, 'changed'),
    ($$zdu_set_policy('mine', settings => '{"lease": "1 min", "max_unavailable": "33%"}')$$, 'unchanged'),
    ($$zdu_set_policy('mine', settings => '{"max_failures": 1}')$$, 'changed'),
    ($$zdu_set_policy('mine', settings => '{"lease": "60 s"}')$$, 'unchanged'),
    ($$zdu_set_policy('theirs', based_on => 'mine')$$, 'created'),
    ($$zdu_set_policy('theirs', settings => '{"max_failures": 1, "lease": "60 s"}')$$, 'unchanged'),
    ($$zdu_set_release('shop', '1.0')$$, 'created'),
    ($$zdu_set_release('shop', '1.0')$$, 'unchanged'),
    ($$zdu_set_release('shop', '1.0.0')$$, 'unchanged'),
    ($$zdu_set_release('shop', '1.0', 'bad')$$, 'changed'),
    ($$zdu_set_release('shop', '1.0', 'bad')$$, 'unchanged'),
    ($$zdu_set_cluster('shop')$$, 'created'),
    ($$zdu_set_cluster('shop')$$, 'unchanged'),
    ($$zdu_set_cluster('shop', policy => 'default', product => 'shop')$$, 'unchanged'),
    ($$zdu_set_cluster('shop', policy => 'mine')$$, 'changed'),
    ($$zdu_set_cluster('shop', runbook => 'mine', vars => '{"a": 1, "b": [1, 2]}')$$, 'changed'),
    ($$zdu_set_cluster('shop', 'mine', 'mine', '{"b": [1, 2], "a": 1}')$$, 'unchanged'),
    ($$zdu_set_cluster('shop', vars => '{"a": 1}')$$, 'changed'),
    ($$zdu_set_node('shop', 'app1')$$, 'created'),
    ($$zdu_set_node('shop', 'app1')$$, 'unchanged'),
    ($$zdu_set_node('shop', 'app1', '10.0.0.1', zone => 'a', role => 'processing', labels => '{"k": "v"}', vars => '{"a": "b"}')$$, 'changed'),
    ($$zdu_set_node('shop', 'app1', '10.0.0.1', 'default', 'a', 'processing', '{"k": "v"}', '{"a": "b"}')$$, 'unchanged'),
    ($$zdu_set_node('shop', 'app1', '10.0.0.2')$$, 'changed'),
    ($$zdu_set_node('shop', 'app1', zone => 'a')$$, 'unchanged'),
    ($$zdu_set_group('shop', 'blue')$$, 'created'),
    ($$zdu_set_group('shop', 'blue')$$, 'unchanged'),
    ($$zdu_set_group('shop', 'blue', '{app1}')$$, 'changed'),
    ($$zdu_set_group('shop', 'blue', '{app1}')$$, 'unchanged'),
    ($$zdu_waive('shop', 'D10', 'agreed')$$, 'waived'),
    ($$zdu_waive('shop', 'D10', 'agreed again')$$, 'waived'),
    ($$zdu_attach('shop', 'app1')$$, 'unchanged'),
    ($$zdu_detach('other', 'none')$$, '42704');

-- Runs a statement; returns its value, or its SQLSTATE.
CREATE FUNCTION pg_temp.run(statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	value text;
BEGIN
	EXECUTE 'SELECT ' || statement INTO value;
	RETURN value;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE TEMP TABLE ran (LIKE call, value text, events bigint);
DO $$
DECLARE
	c call;
	before bigint;
	value text;
BEGIN
	FOR c IN SELECT * FROM call ORDER BY ord LOOP
		SELECT count(*) INTO before FROM zdu.event;
		value := pg_temp.run(c.statement);
		INSERT INTO ran SELECT c.*, value, count(*) - before FROM zdu.event;
	END LOOP;
END $$;
SELECT is(value, result, format('W1: %s: %s', statement, result)) FROM ran ORDER BY ord;
SELECT is_empty($$SELECT statement, events FROM ran WHERE result IN ('created', 'changed') AND events = 0$$, 'L22: what was created or changed is in the log');
SELECT is_empty($$SELECT statement, events FROM ran WHERE result = 'unchanged' AND events <> 0$$, 'L22: what was not is not');
SELECT results_eq('SELECT DISTINCT max_unavailable, lease, max_failures FROM zdu.policy WHERE NOT shipped', $$VALUES ('33%', '1 min'::interval, 1)$$,
                  'W1: settings that are not given keep their values, in what is based on it too');
SELECT results_eq($$SELECT address, zone, role, node_group FROM zdu.node$$, $$VALUES ('10.0.0.2', 'a', 'processing', 'blue')$$,
                  'W1: so do a node''s');
SELECT results_eq($$SELECT policy, runbook, product, vars::text FROM zdu.cluster WHERE name = 'shop'$$, $$VALUES ('mine', 'mine', 'shop', '{"a": 1}')$$,
                  'W1: and a cluster''s; vars are replaced as a whole');
SELECT results_eq($$SELECT count(*), count(DISTINCT hash) FROM zdu.runbook WHERE name = 'mine'$$, $$VALUES (3::bigint, 2::bigint)$$,
                  'W1: revisions of a runbook stay, the same document has the same hash');
SELECT throws_ok(format('SELECT zdu_set_policy(''x'', settings => %L)', settings), '23514', NULL, 'W1: settings that make no sense together are refused: ' || settings)
FROM (VALUES ('{"drain_on_timeout": "force", "min_availability": "full"}'), ('{"on_failure": "rollback", "rollback": "never"}'),
             ('{"second_person": true, "finalize": "auto"}'), ('{"max_unavailable": "0"}')) AS t (settings);

SELECT * FROM finish();
ROLLBACK;
