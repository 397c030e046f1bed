-- Whoever is unheard for a heartbeat_ttl is noticed by the next sweep, however the beats of the others fall.

BEGIN;
\ir sim.psql
SELECT plan(5);

-- Nodes that a sweep should have noticed: by reading all of them.
CREATE FUNCTION pg_temp.missed(cluster bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM zdu.node n JOIN zdu.node_heard h USING (node_id) JOIN zdu.cluster c ON c.cluster_id = n.cluster_id
	WHERE n.cluster_id = cluster AND n.state <> 'OFFLINE' AND NOT n.taken AND h.heard IS NOT NULL AND h.listened < c.listened - 30 $$;
-- As if by dice.
CREATE FUNCTION pg_temp.dice(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT ((a * 7919::bigint + b * 104729) * (a * 31 + b + 1) / 97 % 1009)::int $$;

-- For 600 moments, some seconds apart: each node beats now and then, one more often than another, some fall silent for long, and come back.
SELECT sim.make_manual('some', 9, '{"heartbeat_ttl": "30 s"}');
SELECT sim.make_manual('others', 3, '{"heartbeat_ttl": "30 s"}');
CREATE TABLE pg_temp.seen (moment int, missed bigint, silent bigint, swept boolean, skipped boolean);
CREATE FUNCTION pg_temp.live() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	before float8;
	since float8;
BEGIN
	FOR m IN 1..600 LOOP
		PERFORM sim.tick(1 + pg_temp.dice(m, 0) % 5);
		SELECT listened, heard_from INTO before, since FROM zdu.cluster WHERE name = 'some';
		PERFORM zdu_heartbeat('some', 'app' || i, state => 'ACTIVE') FROM generate_series(1, 9) AS i
		WHERE pg_temp.dice(m, i) % (1 + i) = 0 AND NOT (m / 40 % 9 = i AND m % 40 < 25);
		PERFORM zdu_heartbeat('others', 'app' || i, state => 'ACTIVE') FROM generate_series(1, 3) AS i WHERE m < 300;
		PERFORM FROM zdu_work('w', 'w-1', 'some');
		INSERT INTO pg_temp.seen SELECT m, pg_temp.missed(c.cluster_id), (SELECT count(*) FROM zdu.node n WHERE n.cluster_id = c.cluster_id AND n.state = 'OFFLINE'),
			c.listened > before, c.heard_from = since FROM zdu.cluster c WHERE c.name = 'some';
	END LOOP;
END $$;
SELECT pg_temp.live();
SELECT is((SELECT sum(missed) FROM pg_temp.seen WHERE swept), 0::numeric, 'N4: no sweep misses who was not heard');
SELECT ok((SELECT count(DISTINCT silent) > 2 AND min(silent) = 0 FROM pg_temp.seen), 'N4: now one, now several are silent, now none');
SELECT ok((SELECT count(*) FILTER (WHERE swept AND skipped) > 5 AND count(*) FILTER (WHERE swept AND NOT skipped) > 5 FROM pg_temp.seen), 'N4: some sweeps need not look');
SELECT is((SELECT count(*) FROM zdu.event WHERE cluster = 'others' AND new = 'OFFLINE'), 0::bigint, 'N4: nobody is missed where nobody listens');
SELECT sim.tick(8), zdu_heartbeat('others', 'app1', state => 'ACTIVE') FROM generate_series(1, 12);
SELECT is((SELECT string_agg(n.name, ' ' ORDER BY n.name) FROM zdu.node n JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'others' AND n.state = 'OFFLINE'), 'app2 app3', 'N4: nor is anybody taken for silent because of another cluster');

SELECT * FROM finish();
ROLLBACK;
