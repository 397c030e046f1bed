-- Promise: an upgrade begins only when its step is safe; an unsafe one is refused with the rule and a hint, and nothing has begun.
BEGIN;
SELECT plan(48);
SET client_min_messages = warning;

CREATE TABLE pg_temp.refused (sqlstate text, message text, detail text, hint text);
-- Runs a statement and takes it back; returns begun, or the rule of the refusal, which is kept.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
	r pg_temp.refused;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION SQLSTATE 'TT000';
EXCEPTION
	WHEN SQLSTATE 'TT000' THEN
		RETURN 'begun';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS r.sqlstate = RETURNED_SQLSTATE, r.message = MESSAGE_TEXT, r.detail = PG_EXCEPTION_DETAIL, r.hint = PG_EXCEPTION_HINT;
		TRUNCATE refused;
		INSERT INTO refused SELECT r.*;
		RETURN split_part(r.detail, ':', 1);
END $$;

-- Two nodes of a cluster of its own run this version.
CREATE FUNCTION pg_temp.make(cluster text, version text, policy text DEFAULT 'default') RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
	IF zdu_set_cluster(cluster, policy, product => 'shop') = 'created' THEN
		FOR n IN 1 .. 2 LOOP
			PERFORM zdu_join(cluster, 'app' || n, version, 'p'), zdu_heartbeat(cluster, 'app' || n, 'p', 'ACTIVE');
		END LOOP;
	END IF;
END $$;

SELECT zdu_set_policy(p, settings => s) FROM (VALUES
    ('patch', '{"version_step": "patch"}'::jsonb), ('major', '{"version_step": "same_major"}'), ('any', '{"version_step": "any"}'),
    ('listed', '{"version_step": "listed"}'), ('since', '{"min_version": "7.5"}')) AS t (p, s);

CREATE TEMP TABLE steps AS
SELECT row_number() OVER () AS n, *, 'c' || policy || version AS cluster FROM (VALUES
    ('default', '7.5.3', '7.6.2', 'V2', true), ('default', '7.5.3', '7.7.2', 'V2', false), ('default', '7.9', '7.10', 'V2', true),
    ('default', '7.9', '8.0', 'V2', false), ('any', '7.9', '8.0', 'V2', true), ('any', '7.5.3', '7.7.2', 'V2', true),
    ('any', '7.9', '9.0', 'V2', false), ('major', '7.5.3', '7.9.0', 'V2', true), ('major', '7.5.3', '8.0', 'V2', false),
    ('patch', '7.5.3', '7.6.0', 'V2', false), ('since', '7.4', '7.5', 'V2', false), ('since', '7.5', '7.6', 'V2', true),
    ('since', '7.4', '7.4.9', 'V5', true), ('listed', '0.48.1', '0.49.0', 'V4', false),
    ('default', '0.48.1', '0.48.3', 'V5', true), ('patch', '7.5.3', '7.5.4', 'V5', true), ('listed', '0.48.1', '0.48.3', 'V5', true),
    ('default', '7.5.3', '7.5.3.1', 'V5', true), ('default', '7.5.3', '7.5.4-rc.1', 'V5', true),
    ('default', '7.5.3', '7.5.2', 'V7', false), ('any', '7.9', '7.8', 'V7', false), ('any', '8.0', '7.9', 'V7', false),
    ('default', '7.5.3', '7.5.3-rc.1', 'V7', false)) AS t (policy, version, target, rule, safe);
SELECT pg_temp.make(cluster, version, policy) FROM steps ORDER BY n;

SELECT is(pg_temp.try(format('SELECT zdu_begin(%L, %L)', cluster, target)), CASE WHEN safe THEN 'begun' ELSE rule END,
          format('%s: %s to %s with policy %s is %s', rule, version, target, policy, CASE WHEN safe THEN 'safe' ELSE 'refused' END))
FROM steps ORDER BY n;
SELECT is_empty($$
	SELECT s.policy, s.version, s.target, w.verdict FROM steps s CROSS JOIN LATERAL zdu_why(s.cluster, target => s.target) w
	WHERE w.subject = 'may begin' AND (w.verdict = 'yes') <> s.safe OR (NOT s.safe AND w.rule <> s.rule)
	$$, 'V2: preflight says the same of all of them as begin');

SELECT pg_temp.try($$SELECT zdu_begin('cdefault7.5.3', '7.7.2')$$);
SELECT row_eq('TABLE refused', ROW('ZD002', 'cannot begin the upgrade of cluster "cdefault7.5.3" to 7.7.2',
    'V2: 7.5.3 to 7.7.2 skips 7.6; version_step is next_minor.', $$SELECT * FROM zdu_path('cdefault7.5.3', target => '7.7.2')$$)::pg_temp.refused,
    'V2: the refusal says what was asked, what is allowed and what helps');
SELECT pg_temp.try($$SELECT zdu_begin('cany7.9', '7.8')$$);
SELECT is(detail, 'V7: 7.9 to 7.8 is a downgrade; only as a rollback.', 'V7: the refusal says that it is a downgrade') FROM refused;
SELECT is_empty('SELECT FROM zdu.upgrade', 'V2: what was refused has begun nothing');
SELECT throws_ok($$SELECT zdu_begin('cany7.9', 'v8')$$, '22P02', NULL, 'V2: a target has to be a version');

-- Releases
SELECT is(zdu_set_release('shop', '7.6.0'), 'created', 'V6: a release is made known');
SELECT is(zdu_set_release('shop', '7.6.0'), 'unchanged', 'V6: once');
SELECT is(zdu_set_release('shop', '7.6.1', 'loses mails'), 'created', 'V6: or blocked from the beginning');
SELECT is(pg_temp.try($$SELECT zdu_begin('cdefault7.5.3', '7.6.1')$$), 'V6', 'V6: a blocked release is refused as a target');
SELECT alike(detail, 'V6: 7.6.1 is blocked: loses mails%', 'V6: with its reason') FROM refused;
SELECT is(zdu_set_release('shop', '7.5.9', 'bad'), 'created', 'V6: a patch can be blocked too');
SELECT is(pg_temp.try($$SELECT zdu_begin('cdefault7.5.3', '7.5.9')$$), 'V6', 'V5: a patch step is safe unless the release is blocked');
SELECT is(pg_temp.try($$SELECT zdu_begin('cdefault7.5.3', '7.6.1+build.2')$$), 'V6', 'V6: a build of a blocked release is that release');
SELECT zdu_begin('cdefault7.5.3');
SELECT is((SELECT target::text FROM zdu.cluster WHERE name = 'cdefault7.5.3'), '7.6.0', 'V6: without a target the newest release that is not blocked is taken');
SELECT zdu_cancel('cdefault7.5.3');
SELECT is(zdu_set_release('shop', '7.6.1', 'loses mail'), 'changed', 'V6: the reason can be changed');
SELECT is(zdu_set_release('shop', '7.6.1'), 'unchanged', 'V6: NULL keeps it');
SELECT is(zdu_set_release('shop', '7.6.1', ''), 'changed', 'V6: an empty reason unblocks');
SELECT is(pg_temp.try($$SELECT zdu_begin('cdefault7.5.3', '7.6.1')$$), 'begun', 'V6: then it is a target like any other');

-- A forgotten old node
SELECT zdu_set_policy('fence', settings => '{"offline_at_end": "fence"}');
SELECT pg_temp.make('eft', '1.0', 'fence');
SELECT zdu_join('eft', 'app3', '1.0', 'p'), zdu_heartbeat('eft', 'app3', 'p', 'OFFLINE');
SELECT zdu_begin('eft', '1.1');
SELECT zdu_join('eft', n, '1.1', 'q'), zdu_heartbeat('eft', n, 'q', 'ACTIVE') FROM unnest('{app1,app2}'::text[]) n;
SELECT is(zdu_finalize('eft'), 'STABLE', 'L16: an upgrade ends with an old node that is OFFLINE');
SELECT is(pg_temp.try($$SELECT zdu_begin('eft', '1.1')$$), 'L19', 'L19: for the one that was forgotten no upgrade begins');
SELECT is(detail, 'L19: the cluster is at 1.1; only app3 is OFFLINE at 1.0: it is upgraded and joins without upgrade mode.',
          'L19: the refusal names it and what to do') FROM refused;
SELECT is((zdu_join('eft', 'app3', '1.0', 'p2')).rule, 'L16', 'L16: it does not join at its old version');
SELECT is((zdu_join('eft', 'app3', '1.1', 'p3')).verdict, 'admitted', 'L19: upgraded, it joins without upgrade mode');
SELECT is((SELECT state FROM zdu.cluster WHERE name = 'eft'), 'STABLE', 'L19: which leaves the cluster STABLE');
SELECT zdu_heartbeat('eft', 'app3', 'p3', 'ACTIVE');
SELECT is(pg_temp.try($$SELECT zdu_begin('eft', '1.1')$$), 'L19', 'L19: with nothing at all to do it is refused as well');

SELECT * FROM finish();
ROLLBACK;
