-- Promise: a foreign joiner is told to retry as long as an overdue heartbeat is not past its ttl, and only then refused.
BEGIN;
\ir sim.psql
SELECT plan(16);

SELECT zdu_set_policy('short', settings => '{"heartbeat_ttl": "30 s"}');
SELECT zdu_set_cluster('shop', policy => 'short');
SELECT sim.start('shop', 'app' || i, '1.0') FROM generate_series(1, 3) AS i;
CREATE FUNCTION pg_temp.ask(v text, n text DEFAULT 'app9') RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', verdict, rule) FROM zdu_join('shop', n, v) $$;
-- Time passes; those who live say so.
CREATE FUNCTION pg_temp.pass(seconds int, living text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..seconds LOOP
        PERFORM sim.tick(1);
        PERFORM zdu_heartbeat('shop', node) FROM unnest(living) AS node;
    END LOOP;
END $$;

SELECT is(pg_temp.ask('2.0'), 'refused N7', 'N9: while every heartbeat is fresh there is nothing to wait for');
SELECT pg_temp.pass(20, '{app1,app2}');
SELECT is(pg_temp.ask('2.0'), 'retry N9', 'N9: app3 is overdue, but not past its ttl: come again');
SELECT cmp_ok((SELECT retry_after FROM zdu_join('shop', 'app9', '2.0')), '<=', '30 s', 'N9: not later than a ttl from now');
SELECT cmp_ok((SELECT retry_after FROM zdu_join('shop', 'app9', '2.0')), '>', '0 s', 'N9: and not at once');
SELECT is((SELECT upgrade_state FROM zdu_join('shop', 'app9', '2.0')), NULL, 'N9: it is not admitted meanwhile');
SELECT is(pg_temp.ask('0.9'), 'refused N8', 'N8: below the version of the cluster no waiting helps');
SELECT is(pg_temp.ask('1.0'), 'admitted', 'N9: one of the cluster''s version is admitted all the while');
SELECT is((SELECT new FROM zdu.event WHERE node = 'app9' AND what = 'join' AND rule = 'N9' ORDER BY event_id DESC LIMIT 1), 'retry', 'N9: the log knows');
SELECT zdu_heartbeat('shop', 'app9', state => 'ACTIVE');
SELECT pg_temp.pass(20, '{app1,app2,app9}');
SELECT is(sim.node('shop', 'app3'), 'OFFLINE 1.0', 'N9: once it is past its ttl app3 is OFFLINE');
SELECT is(pg_temp.ask('2.0', 'app8'), 'refused N7', 'N9: and only then the joiner is refused');

-- Nobody is left to let time pass but who asks.
SELECT sim.tick(16), pg_temp.ask('2.0', 'app8');
SELECT is(pg_temp.ask('2.0', 'app8'), 'retry N9', 'N9: with all nodes gone at once it is told to retry');
CREATE FUNCTION pg_temp.ask_on() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..40 LOOP
        IF pg_temp.ask('2.0', 'app8') = 'refused N7' THEN
            RETURN i;
        END IF;
        PERFORM sim.tick(5);
    END LOOP;
END $$;
SELECT cmp_ok(pg_temp.ask_on(), '>', 1, 'N9: asking on is enough for the last beat to pass its ttl');
SELECT is((SELECT count(*)::int FROM zdu.node WHERE state = 'OFFLINE'), 4, 'N9: by then all are known to be unheard');

-- In upgrade mode
SELECT sim.start('shop', 'app' || i, '1.0') FROM generate_series(1, 3) AS i;
SELECT zdu_declare_down('shop', 'app9', 'gone');
SELECT zdu_begin('shop', '1.1', kind => 'manual');
SELECT is(pg_temp.ask('1.2', 'app8'), 'refused N7', 'N9: in upgrade mode a third version is refused while all beats are fresh');
SELECT pg_temp.pass(20, '{app1,app2}');
SELECT is(pg_temp.ask('1.2', 'app8'), 'retry N9', 'N9: and told to retry while one is overdue');
SELECT is(pg_temp.ask('1.1', 'app1'), 'admitted', 'N7: the target joins all the while');
SELECT * FROM finish();
ROLLBACK;
