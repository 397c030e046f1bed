-- Promise: a beat tells that a node lives and is answered; a late or a bad one changes nothing, its neighbours count.
BEGIN;
SELECT plan(34);
SET client_min_messages = warning;

SELECT zdu_set_cluster('shop');
SELECT zdu_set_node('shop', 'app' || n) FROM generate_series(1, 3) n;
SELECT zdu_join('shop', 'app' || n, '1.0', 'p' || n) FROM generate_series(1, 3) n;

-- One beat of app1, with the answer as text.
CREATE FUNCTION pg_temp.beat(incarnation text, state text DEFAULT NULL, tasks int DEFAULT NULL, users int DEFAULT NULL)
RETURNS text LANGUAGE sql
AS $$ SELECT zdu_heartbeat('shop', 'app1', $1, $2, $3, $4)::text $$;

-- What is stored of app1, to be compared.
CREATE FUNCTION pg_temp.stored() RETURNS text LANGUAGE sql
AS $$ SELECT (n.*, h.*)::text FROM zdu.node n JOIN zdu.node_heard h USING (node_id) WHERE n.name = 'app1' $$;

SELECT is(pg_temp.beat('p1', 'ACTIVE', 3, 14), '(serve,0,{})', 'N5: a beat is answered with what the node should do');
SELECT results_eq($$SELECT state, version, tasks, users FROM zdu.node_status WHERE node = 'app1'$$,
                  $$VALUES ('ACTIVE', '1.0', 3, 14)$$, 'N5: what a node says of itself is in its status');
SELECT is(pg_temp.beat('p1'), '(serve,0,{})', 'N5: NULL is as before, for the state');
SELECT results_eq($$SELECT state, tasks, users FROM zdu.node_status WHERE node = 'app1'$$,
                  $$VALUES ('ACTIVE', 3, 14)$$, 'N5: and for tasks and users');
SELECT pg_temp.beat('p1', NULL, 0, 0);
SELECT results_eq($$SELECT tasks, users FROM zdu.node_status WHERE node = 'app1'$$,
                  $$VALUES (0, 0)$$, 'N5: none is a number too');
SET zdu.clock_offset = '5s';
SELECT pg_temp.beat('p1');
SELECT cmp_ok((SELECT heard FROM zdu.node_status WHERE node = 'app1'), '>', clock_timestamp(),
              'N5: the time of the last beat is kept, by the clock of zdu');
SELECT cmp_ok((SELECT since FROM zdu.node_status WHERE node = 'app1'), '<', clock_timestamp(),
              'N5: since tells when the state began, not the last beat');
SELECT is((SELECT zdu_heartbeat('shop', 'app1')::text), '(serve,0,{})', 'N5: a node may leave its incarnation unsaid');

CREATE TEMP TABLE before AS SELECT pg_temp.stored() AS row, (SELECT count(*) FROM zdu.event) AS events;
SET zdu.clock_offset = '6s';
SELECT is(pg_temp.beat('p0', 'OFFLINE', 7, 7), '(,,)', 'N16: a late beat of another incarnation gets no answer');
SELECT is(pg_temp.beat('p0', 'ACTIVE', 7, 7), '(,,)', 'N16: nor does one that says what is stored');
SELECT is(pg_temp.stored(), row, 'N16: it changes nothing, not even when the node was heard') FROM before;
SELECT is((SELECT count(*) FROM zdu.event), events, 'N16: it is no event') FROM before;
SELECT zdu_join('shop', 'app1', '1.0', 'p4');
SELECT is((SELECT state FROM zdu.node WHERE name = 'app1'), 'STARTING', 'N16: a new incarnation joins and is STARTING');
SELECT is(pg_temp.beat('p1', 'ACTIVE'), '(,,)', 'N16: from then on the old one is late');
SELECT is(pg_temp.beat('p4', 'ACTIVE'), '(serve,0,{})', 'N16: and the new one is heard');

-- Commands.
SELECT is(pg_temp.beat('p4', 'DRAINING'), '(drain,0,{})', 'N5: a draining node goes on draining');
SELECT pg_temp.beat('p4', 'ACTIVE');
SELECT zdu_heartbeat('shop', 'app2', 'p2', 'ACTIVE'), zdu_heartbeat('shop', 'app3', 'p3', 'ACTIVE');
SELECT zdu_detach('shop', 'app1');
SELECT is(pg_temp.beat('p4'), '(drain,0,{})', 'N6: a detached node is told to drain');
SELECT zdu_attach('shop', 'app1');
SELECT is(pg_temp.beat('p4'), '(serve,0,{})', 'N6: and to serve when it is attached again');

-- Arrays.
SELECT results_eq($$
	SELECT node, command, mode, sqlstate, message IS NOT NULL FROM zdu_heartbeat('shop',
		ARRAY['app1', 'nobody', 'app2', 'app3', NULL], ARRAY['p4', 'x', 'late', 'p3', 'y'],
		ARRAY['ACTIVE', 'ACTIVE', 'ERROR', 'HAPPY', 'ACTIVE'], ARRAY[1, 2, 3, 4, 5], ARRAY[10, 20, 30, 40, 50])
	$$, $$VALUES ('app1', 'serve', 0, NULL, false), ('nobody', NULL, NULL, '42704', true), ('app2', NULL, NULL, NULL, false),
		('app3', NULL, NULL, '22023', true), (NULL, NULL, NULL, '42704', true)$$,
	'N5: many nodes beat at once, each is answered in its row, errors are rows');
SELECT results_eq($$SELECT node, tasks, users FROM zdu.node_status ORDER BY node$$,
                  $$VALUES ('app1', 1, 10), ('app2', NULL, NULL), ('app3', NULL, NULL)$$,
                  'N5: bad and late beats change nothing, their neighbours count');
SELECT results_eq($$SELECT node, command, sqlstate FROM zdu_heartbeat('shop', ARRAY['app1', 'app2'])$$,
                  $$VALUES ('app1', 'serve', NULL), ('app2', 'serve', NULL::text)$$, 'N5: arrays that are NULL say nothing about any node');
SELECT zdu_heartbeat('shop', 'app2', 'p2', 'TERMINATING');
SELECT results_eq($$SELECT node, sqlstate FROM zdu_heartbeat('shop', ARRAY['app1', 'app2'], NULL, '{DRAINING,ACTIVE}')$$,
                  $$VALUES ('app1', NULL), ('app2', 'ZD001')$$, 'N1: an illegal transition is an error in its row only');
SELECT results_eq($$SELECT name, state FROM zdu.node WHERE name <> 'app3' ORDER BY name$$,
                  $$VALUES ('app1', 'DRAINING'), ('app2', 'TERMINATING')$$, 'N1: it leaves its node as it was, the other has moved');
SELECT is_empty($$SELECT zdu_heartbeat('shop', '{}'::text[])$$, 'N5: no nodes, no rows');
SELECT throws_ok(format('SELECT zdu_heartbeat(''shop'', ARRAY[''app1'', ''app2''], %s)', arguments), '2202E', NULL,
                 'N5: an array of another length is refused as a whole: ' || arguments)
FROM (VALUES ('''{p4}'''), ('NULL, ''{ACTIVE,ACTIVE,ACTIVE}'''), ('tasks => ''{1}'''), ('users => ''{}''')) AS a (arguments);
SELECT throws_ok($$SELECT zdu_heartbeat('shop', NULL::text[])$$, '22004', NULL, 'N5: the nodes cannot be NULL');
SELECT throws_ok($$SELECT zdu_heartbeat('shop', NULL::text)$$, '22004', NULL, 'N5: nor can one node');
SELECT throws_ok($$SELECT zdu_heartbeat('nowhere', 'app1')$$, '42704', 'cluster "nowhere" does not exist',
                 'N5: a beat for an unknown cluster is an error');
SELECT throws_ok($$SELECT zdu_heartbeat('shop', 'nobody')$$, '42704', 'node "nobody" of cluster "shop" does not exist',
                 'N5: so is one of an unknown node');

SELECT is((SELECT count(*) FROM zdu.node_count WHERE n < 0), 0::bigint, 'N5: the counts never go below nothing');
SELECT set_eq($$SELECT version::text, state, confirmed, in_rotation, taken, n FROM zdu.node_count WHERE n > 0$$,
              $$SELECT version::text, state, confirmed, in_rotation, taken, count(*) FROM zdu.node GROUP BY 1, 2, 3, 4, 5$$,
              'N5: after all these beats the counts agree with the nodes');

SELECT * FROM finish();
ROLLBACK;
