-- Promise: the first upgrade is six statements, and what is refused says why and what to type next.

-- A world of five machines, and a worker that acts on it and looks at it, two seconds a round.
CREATE SCHEMA fake;
CREATE TABLE fake.machine AS
SELECT 'app' || n AS node, 'ready' AS admin, 'active' AS unit, '2.3.1' AS installed, false AS broken FROM generate_series(1, 5) n;
CREATE SEQUENCE fake.clock;
CREATE FUNCTION fake.look(of_node text, looks int) RETURNS json LANGUAGE sql
AS $$
	SELECT CASE WHEN looks IS NULL THEN (json_agg(e)->0) ELSE json_agg(e) END
	FROM fake.machine m
	CROSS JOIN LATERAL (SELECT m.admin, 0 AS scur, 0 AS qcur, m.unit, m.installed, m.installed AS version,
		CASE m.unit WHEN 'active' THEN 'UP' ELSE 'DOWN' END AS status, m.unit <> 'active' AS refused) e
	CROSS JOIN generate_series(1, coalesce(looks, 1))
	WHERE m.node = of_node;
$$;
CREATE FUNCTION fake.act(of_node text, phase text, version text) RETURNS void LANGUAGE sql
AS $$
	UPDATE fake.machine SET
		admin = CASE phase WHEN 'isolate' THEN 'drain' WHEN 'integrate' THEN 'ready' ELSE admin END,
		unit = CASE WHEN phase = 'stop' THEN 'inactive' WHEN phase <> 'start' THEN unit WHEN broken THEN 'failed' ELSE 'active' END,
		installed = CASE phase WHEN 'upgrade' THEN version ELSE installed END
	WHERE node = of_node;
$$;
-- Works until the condition holds.
CREATE PROCEDURE fake.work(until text) LANGUAGE plpgsql
AS $$
DECLARE
	reports json := '[]';
	answer record;
	over boolean := false;
BEGIN
	FOR round IN 1 .. 2000 LOOP
		PERFORM set_config('zdu.clock_offset', 2 * nextval('fake.clock') || 's', false);
		CREATE TEMP TABLE answers ON COMMIT DROP AS
		SELECT * FROM zdu_work('lb1:17', '1', 'shop', reports, 5, programs => '{ssh-systemd,ssh-package}');
		PERFORM fake.act(node, phase, args->'env'->>'ZDU_VERSION') FROM answers WHERE verb = 'act';
		SELECT coalesce(json_agg(CASE WHEN token IS NULL THEN json_build_object('node', node, 'seen', fake.look(node, NULL))
			ELSE json_build_object('token', token, 'verb', verb, 'state', 'done',
				'evidence', fake.look(node, CASE WHEN args->'list' = 'true' THEN jsonb_array_length(args->'targets') END)) END), '[]')
		INTO reports FROM answers WHERE verb IN ('probe', 'act');
		COMMIT;
		EXECUTE 'SELECT ' || until INTO over;
		EXIT WHEN over;
	END LOOP;
	IF NOT over THEN
		RAISE EXCEPTION 'never: %', until;
	END IF;
END $$;

-- The first upgrade.
SELECT zdu_set_cluster('shop', runbook => 'haproxy-systemd-ssh',
  vars => '{"haproxy": ["lb1:9999", "lb2:9999"], "backend": "shop", "unit": "shop",
            "health": "http://{address}:8080/health"}');
SELECT zdu_set_node('shop', 'app' || n, '10.0.0.1' || n) FROM generate_series(1, 5) n;
SELECT verdict, rule, subject, observed, hint FROM zdu_why('shop', target => '2.4.0');
CALL fake.work($$count(*) = 5 FROM zdu.node_status WHERE state = 'ACTIVE'$$);
SELECT node, state, version, in_rotation FROM zdu.node_status;
SELECT verdict, rule, subject, observed, hint FROM zdu_why('shop', target => '2.4.0');
SELECT zdu_begin('shop', '2.4.0') IS NOT NULL AS begun;
SELECT cluster, state, run, original, target, done, serving, waits_for, display FROM zdu.status;
CALL fake.work($$done = '1/5' FROM zdu.status$$);
SELECT cluster, state, run, original, target, done, serving, display FROM zdu.status;

-- What cannot be done now says so.
SELECT zdu_begin('shop', '2.4.1');
SELECT zdu_cancel('shop');
SELECT zdu_finalize('shop');
SELECT zdu_resume('shop');
SELECT zdu_remove_node('shop', 'app9');
SELECT verdict, reason, rule FROM zdu_join('shop', 'app6', '2.5.0');

-- Three in the morning: app3 does not start.
UPDATE fake.machine SET broken = true WHERE node = 'app3';
CALL fake.work($$run = 'held' FROM zdu.status$$);
SELECT cluster, state, run, original, target, done, serving, waits_for FROM zdu.status;
SELECT verdict, rule, subject, observed, allowed, hint FROM zdu_why('shop');
UPDATE fake.machine SET broken = false WHERE node = 'app3';
SELECT zdu_retry('shop');
CALL fake.work($$done = '5/5' FROM zdu.status$$);
SELECT cluster, state, run, original, target, done, serving, waits_for, display FROM zdu.status;
TABLE fake.machine ORDER BY node;
SELECT zdu_finalize('shop');
SELECT cluster, state, run, original, target, done, serving, display FROM zdu.status;

-- Nothing left to do, too far, back, and a release that somebody blocked.
SELECT zdu_finalize('shop');
SELECT zdu_begin('shop', '2.4.0');
SELECT zdu_begin('shop', '2.6.0');
SELECT zdu_begin('shop', '2.3.1');
SELECT zdu_set_release('shop', '2.5.0', 'loses mails');
SELECT zdu_begin('shop', '2.5.0');
SELECT zdu_begin('shop');
UPDATE zdu.node SET state = 'ACTIVE';

SET client_min_messages = warning;
DROP SCHEMA fake CASCADE;
