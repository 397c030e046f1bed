-- Promise: nodes that fall silent or get stuck are told from those that left, and an outage of the control plane takes nobody down.
BEGIN;
SELECT plan(27);
\ir sim.psql

-- Beats of some nodes, n times, s seconds apart.
CREATE FUNCTION pg_temp.beat(c text, nodes text[], n int, s float8 DEFAULT 2) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        PERFORM sim.tick(s);
        PERFORM zdu_heartbeat(c, nodes);
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.states(c text, n text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(new, ' ' ORDER BY event_id) FROM zdu.event e WHERE e.cluster = c AND e.node = n AND e.what = 'node' $$;
CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', run, held_rule) FROM zdu.upgrade JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND ended_at IS NULL $$;

-- N3
SELECT sim.make_manual('shop', 3), zdu_begin('shop');
SELECT sim.stop('shop', 'app3');
SELECT is(pg_temp.states('shop', 'app3'), 'ACTIVE TERMINATING OFFLINE', 'N3: a graceful stop goes TERMINATING, OFFLINE, never through ERROR');
SELECT is(sim.node('shop', 'app3'), 'OFFLINE 1.0.0 confirmed', 'N3: and is confirmed');
SELECT is(pg_temp.held('shop'), 'running', 'N3: it does not hold the upgrade');
SELECT pg_temp.beat('shop', '{app1}', 10);
SELECT is(sim.node('shop', 'app2'), 'ACTIVE 1.0.0', 'N4: a node unheard for less than heartbeat_ttl is not missed');
SELECT pg_temp.beat('shop', '{app1}', 30);
SELECT is(sim.node('shop', 'app2'), 'OFFLINE 1.0.0', 'N4: unheard for longer it is OFFLINE, not confirmed');
SELECT is((SELECT state FROM zdu.node_status WHERE cluster = 'shop' AND node = 'app2'), 'OFFLINE (unheard)', 'N4: and shown as unheard');
SELECT is(pg_temp.held('shop'), 'held N3', 'N3: one that vanished without a word holds the upgrade');
SELECT is(sim.node('shop', 'app1'), 'ACTIVE 1.0.0', 'N4: those that are heard stay');
SELECT zdu_heartbeat('shop', 'app2');
SELECT is(sim.node('shop', 'app2'), 'ACTIVE 1.0.0', 'N4: heard again it is back');
SELECT is(pg_temp.held('shop'), 'held N3', 'D11: but held is sticky');
SELECT zdu_retry('shop');
SELECT is(pg_temp.held('shop'), 'running', 'D11: until zdu_retry');

-- N4: the ttl runs only while somebody listens.
SELECT sim.make_manual('outage', 3);
SELECT pg_temp.beat('outage', '{app1,app2,app3}', 3);
SELECT sim.tick(86400), zdu_heartbeat('outage', 'app1');
SELECT is(sim.node('outage', 'app2'), 'ACTIVE 1.0.0', 'N4: after a day without a listener the first beat takes nobody down');
SELECT pg_temp.beat('outage', '{app1}', 5);
SELECT is(sim.node('outage', 'app2'), 'ACTIVE 1.0.0', 'N4: nor do the next few');
SELECT pg_temp.beat('outage', '{app1}', 20);
SELECT is(sim.node('outage', 'app2'), 'OFFLINE 1.0.0', 'N4: one that stays silent while others are heard is OFFLINE in the end');

-- heartbeat_ttl is the policy's.
SELECT sim.make_manual('quick', 2, '{"heartbeat_ttl": "4 s", "lease": "4 s"}'), sim.make_manual('patient', 2, '{"heartbeat_ttl": "10 min"}');
SELECT pg_temp.beat(c, '{app1}', 10, 1) FROM unnest('{quick,patient}'::text[]) AS c;
SELECT is(sim.node(c, 'app2'), s, format('N4: with its heartbeat_ttl, after ten seconds app2 of cluster %s is %s', c, s))
FROM (VALUES ('quick', 'OFFLINE 1.0.0'), ('patient', 'ACTIVE 1.0.0')) AS t (c, s);

-- N4: stuck
SELECT sim.make_manual(c, 3, '{"start_timeout": "1 min", "stop_timeout": "1 min"}'), zdu_begin(c) FROM unnest('{start,stop}'::text[]) AS c;
SELECT verdict FROM zdu_join('start', 'app2', '1.1.0', 'p2');
SELECT zdu_heartbeat('stop', 'app2', state => 'TERMINATING');
SELECT pg_temp.beat(c, '{app1,app2,app3}', 10) FROM unnest('{start,stop}'::text[]) AS c;
SELECT is(sim.node('start', 'app2'), 'STARTING 1.1.0', 'N4: a node may be STARTING for a while');
SELECT is(sim.node('stop', 'app2'), 'TERMINATING 1.0.0', 'N4: and TERMINATING');
SELECT pg_temp.beat(c, '{app1,app2,app3}', 50) FROM unnest('{start,stop}'::text[]) AS c;
SELECT is(sim.node('start', 'app2'), 'STARTING 1.1.0 stuck', 'N4: STARTING for longer than start_timeout it is stuck');
SELECT is(sim.node('stop', 'app2'), 'TERMINATING 1.0.0 stuck', 'N4: TERMINATING for longer than stop_timeout as well');
SELECT is(pg_temp.held(c), 'held N4', format('N4: a node that is stuck holds the upgrade (%s)', c)) FROM unnest('{start,stop}'::text[]) AS c;
SELECT is((SELECT state FROM zdu.node_status WHERE cluster = 'start' AND node = 'app2'), 'STARTING (stuck)', 'N4: and is shown as stuck');
SELECT zdu_heartbeat('start', 'app2', state => 'ACTIVE');
SELECT is(sim.node('start', 'app2'), 'ACTIVE 1.1.0', 'N4: once it has come up it is not stuck any more');

-- A node that zdu itself has stopped is not missed.
SELECT sim.make('driven', 2), zdu_begin('driven', '1.1.0'), sim.break('driven', 'app1', 'start', 'sticks');
SELECT sim.drive_until('driven', $$ sim.node('driven', 'app1') LIKE 'STARTING%' $$);
SELECT sim.ask('driven'), sim.tick(1.1) FROM generate_series(1, 60);
SELECT is(sim.node('driven', 'app1') || ', ' || pg_temp.held('driven'), 'STARTING 1.0.0 out taken, running', 'N4: a node that is worked on is not taken for lost');

-- N18, N3: a driven node that dies untouched.
SELECT sim.make('dies', 3), zdu_begin('dies', '1.1.0'), zdu_pause('dies');
UPDATE sim.world SET running = false WHERE cluster = 'dies' AND node = 'app3';
SELECT sim.ask('dies'), sim.tick(5) FROM generate_series(1, 8);
SELECT is(sim.node('dies', 'app3'), 'OFFLINE 1.0.0 confirmed', 'N18: a worker sees that nobody listens there');
SELECT sim.break('dies', 'app2', 'health', 'sticks');
SELECT sim.ask('dies'), sim.tick(5) FROM generate_series(1, 14);
SELECT is(sim.node('dies', 'app2') || ', ' || pg_temp.held('dies'), 'OFFLINE 1.0.0, held N3', 'N3: one that nobody can see any more holds the upgrade');

SELECT * FROM finish();
ROLLBACK;
