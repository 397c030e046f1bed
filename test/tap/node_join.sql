-- Promise: the gate lets in the versions that belong to the cluster at this moment, and answers in rows, not in errors.
BEGIN;
SELECT plan(44);
SET client_min_messages = warning;

-- The answer to a node that asks to join, in one line.
CREATE FUNCTION pg_temp.ask(cluster text, node text, version text) RETURNS text LANGUAGE sql
AS $$ SELECT concat_ws(' ', j.verdict, j.upgrade_state, j.rule) FROM zdu_join($1, $2, $3, 'p1') j $$;

-- A cluster whose two nodes run this version.
CREATE FUNCTION pg_temp.make(cluster text, version text, policy text DEFAULT NULL) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM zdu_set_cluster(cluster, policy => policy);
	FOR n IN 1 .. 2 LOOP
		PERFORM zdu_join(cluster, 'app' || n, version, 'p1'), zdu_heartbeat(cluster, 'app' || n, 'p1', 'ACTIVE');
	END LOOP;
END $$;

SELECT zdu_set_cluster('shop');
SELECT is(pg_temp.ask('shop', 'app1', '2.3.1'), 'admitted 0', 'N7: the first node shows the version of the cluster');
SELECT is((SELECT version::text FROM zdu.cluster), '2.3.1', 'N7: which is then the one that all have to have');
SELECT results_eq($$SELECT state, version, in_rotation FROM zdu.node_status$$, $$VALUES ('STARTING', '2.3.1', true)$$,
                  'N7: a node that registers itself is STARTING');
SELECT results_eq($$SELECT retry_after, beat_every, reason FROM zdu_join('shop', 'app2', '2.3.1', 'p1')$$,
                  $$VALUES (NULL::interval, '10 s'::interval, NULL)$$, 'N7: who is admitted is told how often to beat');
SELECT zdu_heartbeat('shop', ARRAY['app1', 'app2'], NULL, '{ACTIVE,ACTIVE}');

-- STABLE
SELECT is(pg_temp.ask('shop', 'app3', version), answer, format('%s: in STABLE at 2.3.1 a node at %s is %s', rule, version, answer))
FROM (VALUES ('N7', '2.3.1', 'admitted 0'), ('N7', '2.3.1+build.7', 'admitted 0'), ('N7', '2.3.2', 'refused N7'),
             ('N7', '2.4.0', 'refused N7'), ('N8', '2.3.0', 'refused N8'), ('N8', '2.3.1-rc.1', 'refused N8')) AS t (rule, version, answer);
SELECT is((SELECT reason FROM zdu_join('shop', 'app4', '2.4.0')), 'the cluster is at 2.3.1, not at 2.4.0, and not in upgrade mode',
          'N7: the refusal says what was seen');
SELECT is_empty($$SELECT FROM zdu.node WHERE name = 'app4'$$, 'N7: who is refused is not registered');
SELECT results_eq($$SELECT what, new, rule FROM zdu.event WHERE node = 'app4'$$, $$VALUES ('join', 'refused', 'N7')$$,
                  'N7: but the log knows that it asked');
SELECT is(pg_temp.ask('shop', 'app1', '2.4.0'), 'refused N7', 'N7: a node that is known is refused at a foreign version');
SELECT results_eq($$SELECT state, version FROM zdu.node_status WHERE node = 'app1'$$, $$VALUES ('ACTIVE', '2.3.1')$$,
                  'N7: what was refused changes nothing of the node');
SELECT lives_ok($$SELECT zdu_join('shop', 'app9', '9.9')$$, 'N9: a refusal is a row, the transaction of the application goes on');

-- Asked again and again, as by a unit that is started every five seconds: the log is told what is new.
CREATE FUNCTION pg_temp.told(node text) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(concat_ws(' ', e.new, e.rule), ', ' ORDER BY e.event_id) FROM zdu.event e WHERE e.node = $1 AND e.what = 'join' $$;
SELECT pg_temp.ask('shop', 'app8', version) FROM unnest('{2.4.0,2.4.0,2.3.0,2.3.0,2.3.0,2.4.0}'::text[]) AS version;
SELECT is(pg_temp.told('app8'), 'refused N7, refused N8, refused N7', 'N9: the log is told when the answer differs from the last one of that node');
SELECT pg_temp.ask('shop', 'app8', '2.3.1'), pg_temp.ask('shop', 'app8', '2.4.0');
SELECT is(pg_temp.told('app8'), 'refused N7, refused N8, refused N7, refused N7', 'N9: and when it was admitted in between');
SELECT zdu_prune('0 s');
SELECT pg_temp.ask('shop', 'app8', '2.4.0');
SELECT is(pg_temp.told('app8'), 'refused N7', 'N9: what was pruned is news again');
SELECT is((SELECT count(*) FROM generate_series(1, 20) CROSS JOIN LATERAL zdu_join('shop', 'app8', '2.4.0') WHERE verdict = 'refused'), 20::bigint,
          'N9: every question is answered all the same');
SELECT zdu_remove_node('shop', 'app8', 'only tried');

-- Upgrade mode
SELECT zdu_begin('shop', '2.4.0');
SELECT is(pg_temp.ask('shop', 'app3', version), answer, format('%s: on the way from 2.3.1 to 2.4.0 a node at %s is %s', rule, version, answer))
FROM (VALUES ('N10', '2.3.1', 'admitted 1'), ('N10', '2.4.0', 'admitted 2'), ('N7', '2.3.2', 'refused N7'), ('N7', '2.4.1', 'refused N7'),
             ('N8', '2.3.0', 'refused N8')) AS t (rule, version, answer);
SELECT is((zdu_heartbeat('shop', 'app1', 'p1')).mode, 1, 'N10: a beat of an old node is answered with 1');
SELECT is((zdu_heartbeat('shop', 'app3', 'p1')).mode, 2, 'N10: and one of a new node with 2');
SELECT results_eq($$SELECT node, mode FROM zdu_heartbeat('shop', ARRAY['app1', 'app3'])$$,
                  $$VALUES ('app1', 1), ('app3', 2)$$, 'N10: so are beats in an array');
SELECT is((SELECT upgrade_state FROM zdu_join('shop', 'app9', '9.9')), NULL, 'N10: who is refused has no upgrade state');

-- A range
SELECT zdu_set_policy('range', settings => '{"max_versions": null, "version_step": "any"}');
SELECT pg_temp.make('wide', '2.3.1', 'range');
SELECT zdu_begin('wide', '2.6.0');
SELECT is(pg_temp.ask('wide', 'app3', version), answer,
          format('%s: with max_versions NULL, from 2.3.1 to 2.6.0, a node at %s is %s', rule, version, answer))
FROM (VALUES ('N7', '2.3.1', 'admitted 1'), ('N7', '2.4.0', 'admitted 2'), ('N7', '2.6.0', 'admitted 2'), ('N7', '2.6.1', 'refused N7'),
             ('N8', '2.3.0', 'refused N8')) AS t (rule, version, answer);

-- A manual upgrade whose target shows itself
SELECT pg_temp.make('hand', '2.3.1');
SELECT zdu_begin('hand', kind => 'manual');
SELECT is(pg_temp.ask('hand', 'app1', version), answer, format('%s: while the target is unknown, at 2.3.1, a node at %s is %s', rule, version, answer))
FROM (VALUES ('N8', '2.2.9', 'refused N8'), ('V2', '2.5.0', 'refused V2'), ('N7', '2.4.0', 'admitted 2'),
             ('N7', '2.4.1', 'refused N7')) AS t (rule, version, answer);
SELECT is((SELECT target::text FROM zdu.cluster WHERE name = 'hand'), '2.4.0', 'N7: the first new node has shown the target');

-- Bad questions are errors
SELECT throws_ok($$SELECT zdu_join('nowhere', 'app1', '1.0')$$, '42704', 'cluster "nowhere" does not exist',
                 'N9: only what cannot be asked is an error: an unknown cluster');
SELECT throws_ok($$SELECT zdu_join('shop', 'app1', 'v1')$$, '22P02', NULL, 'N9: and what is no version');
SELECT throws_ok(format('SELECT zdu_join(%s)', arguments), '22004', NULL, 'N9: and NULL: ' || arguments)
FROM (VALUES ('NULL, ''app1'', ''1.0'''), ('''shop'', NULL, ''1.0'''), ('''shop'', ''app1'', NULL')) AS a (arguments);

SELECT * FROM finish();
ROLLBACK;
