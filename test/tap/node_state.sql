-- Promise: a node is in one of six states and goes only where the table lets it, whichever way the word comes.
BEGIN;
SELECT plan(47);
SET client_min_messages = warning;

CREATE TEMP TABLE legal AS
SELECT m.from_state, t.to_state
FROM (VALUES ('STARTING', 'ACTIVE ERROR OFFLINE'),
             ('ACTIVE', 'DRAINING TERMINATING STARTING ERROR OFFLINE'),
             ('DRAINING', 'ACTIVE TERMINATING ERROR OFFLINE'),
             ('TERMINATING', 'OFFLINE ERROR'),
             ('OFFLINE', 'STARTING ACTIVE'),
             ('ERROR', 'STARTING ACTIVE TERMINATING OFFLINE')) AS m (from_state, to_states)
CROSS JOIN LATERAL string_to_table(to_states, ' ') AS t (to_state);

SELECT set_eq($$SELECT from_state, to_state FROM zdu_transitions() WHERE machine = 'node' AND from_state IS NOT NULL$$,
              'TABLE legal', 'N1: zdu_transitions() publishes exactly the transitions of the design');
SELECT set_eq($$SELECT to_state FROM zdu_transitions() WHERE machine = 'node' AND from_state IS NULL$$,
              '{OFFLINE,STARTING}'::text[], 'N1: a node begins OFFLINE (registered) or STARTING (it joined)');

SELECT zdu_set_runbook('looks', '{"zdu_runbook": 1, "node": {},
    "observe": {"http": "http://{address}/", "version": "$.version", "active": "$.up == true"}}');
SELECT zdu_set_cluster('shop', runbook => 'looks');
SELECT zdu_set_node('shop', 'app1', '127.0.0.1');

CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql
AS $$ SELECT state FROM zdu.node WHERE name = 'app1' $$;

-- Puts the node into a state, runs a statement, and tells the state it is in then, or the SQLSTATE.
CREATE FUNCTION pg_temp.then(from_state text, statement text) RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM zdu_force_state('shop', 'app1', from_state, 'the test');
	EXECUTE statement;
	RETURN pg_temp.state();
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

SELECT is(pg_temp.then(f.state, format('SELECT zdu_heartbeat(''shop'', ''app1'', ''p1'', %L)', t.state)),
          CASE WHEN f.state = t.state OR l.to_state IS NOT NULL THEN t.state ELSE 'ZD001' END,
          format('N1: a beat from %s to %s is %s', f.state, t.state,
                 CASE WHEN f.state = t.state THEN 'no news' WHEN l.to_state IS NOT NULL THEN 'legal' ELSE 'refused' END))
FROM (SELECT DISTINCT from_state FROM legal) AS f (state)
CROSS JOIN (SELECT DISTINCT from_state FROM legal) AS t (state)
LEFT JOIN legal l ON (l.from_state, l.to_state) = (f.state, t.state)
ORDER BY f.state, t.state;

SELECT is(pg_temp.then('OFFLINE', $$SELECT zdu_heartbeat('shop', 'app1', 'p1')$$), 'ACTIVE',
          'N1: a node that beats without a word about its state runs');
SELECT is(pg_temp.then('ACTIVE', $$SELECT zdu_heartbeat('shop', 'app1', 'p1', 'HAPPY')$$), '22023',
          'N1: there is no seventh state');
SELECT throws_ok($$SELECT zdu_force_state('shop', 'app1', 'HAPPY', 'the test')$$, '22023', NULL,
          'N1: not by force either');

SELECT is_empty($$
	SELECT from_state FROM (SELECT DISTINCT from_state FROM legal) f
	WHERE pg_temp.then(from_state, format('SELECT zdu_join(''shop'', ''app1'', ''1.0'', %L)', 'p' || from_state)) <> 'STARTING'
	$$, 'N16: from every state the node is STARTING when a new process joins');
SELECT is_empty($$
	SELECT f.from_state, s.seen, a.state FROM (SELECT DISTINCT from_state FROM legal) f
	CROSS JOIN unnest(ARRAY['{"up": true}', '{"up": false}', '{"refused": true}', '{"error": "timeout"}']) AS s (seen)
	CROSS JOIN LATERAL pg_temp.then(f.from_state, format('SELECT zdu_work(''w'', ''1'', ''shop'', %L)',
		format('[{"node": "app1", "seen": %s}]', s.seen))) AS a (state)
	WHERE a.state <> f.from_state AND (f.from_state, a.state) NOT IN (TABLE legal)
	$$, 'N1: what a worker saw moves a node only along the table');
SELECT is_empty($$
	SELECT from_state FROM (SELECT DISTINCT from_state FROM legal) f
	WHERE pg_temp.then(from_state, $_$SELECT zdu_declare_down('shop', 'app1', 'the test')$_$) <> 'OFFLINE'
	$$, 'L11: a node can be declared down from every state');
SELECT is_empty($$
	SELECT old, new, rule, reason FROM zdu.event
	WHERE what = 'node' AND old <> new AND rule <> 'L22' AND (old, new) NOT IN (TABLE legal)
	$$, 'N1: the log holds no other transition, save those that somebody forced by name');

SELECT is(pg_temp.then('TERMINATING', $$SELECT zdu_heartbeat('shop', 'app1', NULL, 'OFFLINE')$$), 'OFFLINE',
          'N3: a graceful stop goes from TERMINATING to OFFLINE');
SELECT ok((SELECT confirmed FROM zdu.node WHERE name = 'app1'), 'L10: who says that it leaves is OFFLINE and confirmed');

SELECT * FROM finish();
ROLLBACK;
