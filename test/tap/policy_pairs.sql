-- Promise: whatever two settings of a policy are put together, they are either refused as senseless or an upgrade begins, rolls and ends under them.
BEGIN;
\ir sim.psql

-- The settings that change how a roll goes, with all their values.
CREATE TEMP TABLE value AS
SELECT f.ord, f.setting, v.value FROM (VALUES
    (1, 'early_end', '["deny", "force"]'::jsonb), (2, 'second_person', '[false, true]'), (3, 'cancel', '["until_first_upgrade", "never"]'),
    (4, 'rollback', '["allow", "never"]'), (5, 'repeat_begin', '["error", "noop"]'), (6, 'offline_at_end', '["drop", "fence"]'),
    (7, 'version_step', '["next_minor", "patch", "same_major", "listed", "any"]'), (8, 'require_latest_patch', '[false, true]'),
    (9, 'max_versions', '[2, null]'), (10, 'config_lock', '["off", "refuse", "delta"]'), (11, 'max_unavailable', '["1", "2", "50%"]'),
    (12, 'min_availability', '["none", "primaries", "full"]'), (13, 'drain_on_timeout', '["abort", "force"]'), (14, 'reallocate', '[true, false]'),
    (15, 'order_by', '[["role", "name"], ["group"], ["zone"], ["least_busy"], ["name"]]'), (16, 'finalize', '["approve", "auto"]'),
    (17, 'on_failure', '["hold", "rollback"]'), (18, 'schema_phase', '["none", "pre", "post"]'), (19, 'max_failures', '[0, 2]')) AS f(ord, setting, vals)
CROSS JOIN LATERAL jsonb_array_elements(f.vals) AS v(value);

CREATE FUNCTION pg_temp.is_refused(settings jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM zdu_set_policy('trial', settings => settings);
    DELETE FROM zdu.policy WHERE name = 'trial';
    RETURN false;
EXCEPTION WHEN check_violation THEN
    RETURN true;
END $$;

-- All pairs of values of two settings; those that a CHECK refuses are not to be covered.
CREATE TEMP TABLE pair AS
SELECT a.setting AS s1, a.value AS v1, b.setting AS s2, b.value AS v2,
    pg_temp.is_refused(jsonb_build_object(a.setting, a.value, b.setting, b.value)
                       -- what takes more than these two to make sense
                       || CASE WHEN 'reallocate' IN (a.setting, b.setting) AND 'min_availability' NOT IN (a.setting, b.setting)
                               THEN '{"min_availability": "primaries"}' ELSE '{}' END::jsonb) AS refused,
    false AS covered
FROM value a JOIN value b ON a.ord < b.ord;
UPDATE pair p SET refused = true FROM pair q
WHERE p.s1 = 'rollback' AND p.v1 = '"never"' AND p.s2 = 'on_failure' AND p.v2 = '"rollback"' AND NOT p.refused;

-- A row of settings, one of which is chosen after the other, each so that the most pairs not yet covered get covered.
CREATE FUNCTION pg_temp.next_row() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    row jsonb;
    v record;
    best record;
    seed record;
BEGIN
    SELECT * INTO seed FROM pair WHERE NOT covered AND NOT refused ORDER BY s1, s2, v1, v2 LIMIT 1;
    IF seed IS NULL THEN
        RETURN NULL;
    END IF;
    row := jsonb_build_object(seed.s1, seed.v1, seed.s2, seed.v2);
    FOR v IN SELECT DISTINCT ord, setting FROM value WHERE setting NOT IN (seed.s1, seed.s2) ORDER BY ord LOOP
        SELECT c.value, count(*) FILTER (WHERE NOT p.covered AND NOT p.refused) AS gain INTO best
        FROM value c
        JOIN pair p ON (p.s1 = c.setting AND p.v1 = c.value AND row->p.s2 = p.v2) OR (p.s2 = c.setting AND p.v2 = c.value AND row->p.s1 = p.v1)
        WHERE c.setting = v.setting
        GROUP BY c.value HAVING NOT bool_or(p.refused) ORDER BY gain DESC, c.value LIMIT 1;
        IF best.value IS NOT NULL THEN
            row := row || jsonb_build_object(v.setting, best.value);
        END IF;
    END LOOP;
    UPDATE pair SET covered = true WHERE row->s1 = v1 AND row->s2 = v2;
    RETURN row;
END $$;

CREATE FUNCTION pg_temp.all_rows() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    row jsonb;
BEGIN
    LOOP
        row := pg_temp.next_row();
        EXIT WHEN row IS NULL;
        RETURN NEXT row;
    END LOOP;
END $$;
CREATE TEMP TABLE trial AS SELECT 'pairs' || row_number() OVER () AS cluster, r AS settings FROM pg_temp.all_rows() AS r;

CREATE ROLE second SUPERUSER;
-- Begins, rolls and finalizes one; says how it ended.
CREATE FUNCTION pg_temp.roll(c text, settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 4, settings);
    PERFORM zdu_set_node(c, 'app' || i, role => CASE i WHEN 3 THEN 'processing' ELSE 'web' END, zone => 'z' || i % 2) FROM generate_series(1, 4) AS i;
    PERFORM zdu_begin(c, '1.0.1', acknowledge => true);
    PERFORM sim.drive_until(c, format($q$ sim.run(%1$L) = 'completed' OR (sim.state(%1$L) = 'READY_TO_RUN_UPGRADE_TASKS'
        AND NOT EXISTS (SELECT FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = %1$L AND n.taken)) $q$, c), rounds => 200);
    IF sim.run(c) <> 'completed' THEN
        -- second_person: another login than the one that began
        SET SESSION AUTHORIZATION second;
        PERFORM zdu_finalize(c);
        RESET SESSION AUTHORIZATION;
    END IF;
    RETURN concat_ws(' ', sim.state(c), sim.run(c), (SELECT string_agg(DISTINCT version, ',') FROM sim.world w WHERE w.cluster = c AND node <> ''));
END $$;

SELECT plan(3 + (SELECT count(*)::int FROM trial));
SELECT is((SELECT count(*)::int FROM pair WHERE NOT covered AND NOT refused), 0,
          format('L1: %s rows cover all %s pairs of settings that make sense', (SELECT count(*) FROM trial), (SELECT count(*) FROM pair WHERE NOT refused)));
SELECT results_eq($$ SELECT s1, v1 #>> '{}', s2, v2 #>> '{}' FROM pair WHERE refused ORDER BY 1, 3, 2, 4 $$, $$ VALUES
    ('min_availability', 'full', 'drain_on_timeout', 'force'), ('min_availability', 'none', 'reallocate', 'false'),
    ('rollback', 'never', 'on_failure', 'rollback'), ('second_person', 'true', 'finalize', 'auto'),
    ('version_step', 'any', 'require_latest_patch', 'true'), ('version_step', 'patch', 'require_latest_patch', 'true') $$,
    'L1: senseless pairs, and only those, are refused');
SELECT is(pg_temp.roll(cluster, settings), 'STABLE completed 1.0.1', format('L1: an upgrade begins, rolls and ends with %s', settings - 'order_by')) FROM trial ORDER BY cluster;
SELECT is_empty($$ SELECT l.cluster, l.serving FROM sim.lowest l JOIN trial USING (cluster) WHERE l.serving < CASE settings->>'max_unavailable' WHEN '1' THEN 3 ELSE 2 END $$,
                'D10: under none of them more nodes are away than may be');
SELECT * FROM finish();
ROLLBACK;
