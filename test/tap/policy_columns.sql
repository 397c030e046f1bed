-- Promise: every column of a policy does what its comment says, in each of its values; the shipped policies are rows, one a document.
BEGIN;
\ir sim.psql
SELECT no_plan();

-- What is tried with a cluster of four nodes whose policy has one column changed.
CREATE TABLE trial (ord serial, setting text, value text, rule text, tries text, expected text, more jsonb DEFAULT '{}');
CREATE FUNCTION pg_temp.c(t trial) RETURNS text LANGUAGE sql AS $$ SELECT 'p' || t.ord $$;

CREATE FUNCTION pg_temp.begin(c text, v text DEFAULT '1.0.1') RETURNS text LANGUAGE sql AS $$ SELECT sim.refused(format('SELECT zdu_begin(%L, %L)', c, v)) $$;
-- Until that many nodes are done, or all there is to do is.
CREATE FUNCTION pg_temp.until(c text, done text) RETURNS void LANGUAGE sql AS $$
    SELECT sim.drive_until(c, format($q$ EXISTS (SELECT FROM zdu.status WHERE cluster = %L AND (done = %L OR run IS NULL OR run = 'held')) $q$, c, done)) $$;
CREATE FUNCTION pg_temp.away(c text) RETURNS text LANGUAGE sql AS $$
    SELECT count(*)::text FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken $$;
-- The order in which nodes were stopped.
CREATE FUNCTION pg_temp.stopped(c text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(node, ' ' ORDER BY ord) FROM sim.act WHERE cluster = c AND action = 'stop' $$;

CREATE FUNCTION pg_temp.try(c text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    CASE what
    WHEN 'force an early end' THEN
        PERFORM pg_temp.begin(c), pg_temp.until(c, '1/4'), zdu_pause(c), sim.drive_until(c, format('pg_temp.away(%L) = %L', c, '0'));
        result := sim.refused(format('SELECT zdu_finalize(%L, force => true)', c));
    WHEN 'finalize' THEN
        PERFORM pg_temp.begin(c), pg_temp.until(c, '4/4');
        result := sim.refused(format('SELECT zdu_finalize(%L)', c));
    WHEN 'begin and cancel' THEN
        result := pg_temp.begin(c);
        IF result = 'not refused' THEN
            result := sim.refused(format('SELECT zdu_cancel(%L)', c));
        END IF;
    WHEN 'roll back' THEN
        PERFORM pg_temp.begin(c), pg_temp.until(c, '1/4');
        result := sim.refused(format('SELECT zdu_rollback(%L)', c));
    WHEN 'begin twice' THEN
        PERFORM pg_temp.begin(c);
        result := pg_temp.begin(c);
    WHEN 'end with one node down' THEN
        PERFORM pg_temp.begin(c), pg_temp.until(c, '3/4');
        UPDATE sim.world SET running = false WHERE cluster = c AND node = 'app4';
        PERFORM zdu_pause(c), zdu_rollback(c, 'app4'), zdu_declare_down(c, 'app4', 'broken'), zdu_resume(c);
        PERFORM sim.drive_until(c, format('sim.state(%L) = %L', c, 'READY_TO_RUN_UPGRADE_TASKS'), rounds => 20), zdu_finalize(c);
        result := coalesce(sim.node(c, 'app4'), 'dropped');
    WHEN 'steps' THEN
        result := (SELECT string_agg(v, ' ') FROM unnest('{1.0.1,1.1.0,1.2.0,2.0.0,3.0.0}'::text[]) AS v
                   WHERE EXISTS (SELECT FROM zdu_why(c, target => v) WHERE subject = 'may begin' AND verdict = 'yes'));
    WHEN 'latest patch' THEN
        PERFORM zdu_set_release(c, '1.0.9');
        result := pg_temp.begin(c, '1.1.0');
    WHEN 'join in between' THEN
        PERFORM zdu_begin(c, '1.2.0');
        result := sim.start(c, 'app9', '1.1.0');
    WHEN 'write' THEN
        EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY)', c);
        PERFORM zdu_protect(c, c::regclass), pg_temp.begin(c);
        result := sim.refused(format('INSERT INTO %I VALUES (1)', c));
        result := concat_ws(', ', result, (SELECT count(*) || ' delta' FROM zdu.delta d WHERE d.cluster = c));
    WHEN 'away at once' THEN
        PERFORM pg_temp.begin(c), sim.ask(c, slots => 20);
        result := pg_temp.away(c);
    WHEN 'away at once with copies' THEN
        PERFORM zdu_set_resource(c, 'r', '2'), zdu_set_placement(c, 'r', 'app' || i, CASE i WHEN 1 THEN 'primary' ELSE 'replica' END) FROM generate_series(1, 3) AS i;
        result := pg_temp.begin(c);
        IF result = 'not refused' THEN
            PERFORM sim.ask(c, slots => 20), sim.ask(c, slots => 20);
            result := (SELECT string_agg(n.name, ' ' ORDER BY n.name) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken);
        END IF;
    WHEN 'a sole copy' THEN
        PERFORM zdu_set_resource(c, 'r', '0'), zdu_set_placement(c, 'r', 'app1', 'primary');
        result := pg_temp.begin(c);
        IF result = 'not refused' THEN
            PERFORM sim.ask(c), sim.ask(c);
            result := (SELECT string_agg(n.name, ' ') FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken);
        END IF;
    WHEN 'never drained' THEN
        UPDATE sim.world SET requests = 1 WHERE cluster = c AND node = 'app1';
        PERFORM pg_temp.begin(c), sim.drive_until(c, format($q$ sim.run(%1$L) = 'held' OR position('stop' IN sim.acts(%1$L, 'app1')) > 0 $q$, c), rounds => 60);
        result := concat_ws(' ', sim.run(c), CASE WHEN sim.acts(c, 'app1') LIKE '%stop%' THEN 'stopped' ELSE 'not stopped' END);
    WHEN 'order' THEN
        PERFORM zdu_set_node(c, 'app' || i, node_group => 'default', zone => 'z' || (5 - i) / 2, role => CASE i WHEN 4 THEN 'processing' END) FROM generate_series(1, 4) AS i;
        PERFORM zdu_set_group(c, 'a', '{app3}');
        PERFORM zdu_heartbeat(c, 'app' || i, state => 'ACTIVE', users => 10 - i) FROM generate_series(1, 4) AS i;
        PERFORM pg_temp.begin(c);
        result := (SELECT string_agg(n.name, ' ' ORDER BY turn) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c);
    WHEN 'all done' THEN
        PERFORM pg_temp.begin(c), pg_temp.until(c, '4/4'), sim.ask(c), sim.tick(2), sim.ask(c);
        result := sim.state(c);
    WHEN 'a node fails' THEN
        PERFORM sim.break(c, 'app2', 'start'), pg_temp.begin(c);
        PERFORM sim.drive_until(c, format($q$ sim.run(%1$L) IN ('held', 'rolled_back') OR sim.acts(%1$L, 'app4') LIKE '%%integrate%%' $q$, c));
        result := sim.story(c, 'upgrade');
    WHEN 'when the schema changes' THEN
        PERFORM zdu_set_runbook(c, (SELECT document || '{"before": [{"name": "m", "schema": true, "exec": "svc", "args": ["migrate"], "until": "$.schema[*] == $version"}]}'
                                    FROM zdu.runbook WHERE name = c ORDER BY revision DESC LIMIT 1));
        PERFORM pg_temp.begin(c), pg_temp.until(c, '1/4');
        result := coalesce(sim.acts(c, ''), 'not yet');
    WHEN 'soak' THEN
        PERFORM pg_temp.begin(c), sim.drive_until(c, format($q$ EXISTS (SELECT FROM zdu.node n JOIN zdu.cluster k USING (cluster_id)
            WHERE k.name = %1$L AND n.name = 'app1' AND n.version = '1.0.1' AND n.in_rotation AND n.state = 'ACTIVE') $q$, c)), sim.ask(c);
        result := coalesce(sim.step(c, 'app1'), 'none');
    WHEN 'deadline' THEN
        -- what a step of this kind may take, in seconds
        PERFORM pg_temp.begin(c), pg_temp.until(c, '1/4');
        result := (SELECT string_agg(DISTINCT s.phase || ' ' || s.timeout, ', ' ORDER BY s.phase || ' ' || s.timeout) FROM zdu.step s JOIN zdu.cluster k USING (cluster_id)
                   WHERE k.name = c AND s.phase IN ('drain', 'stop', 'start', 'verify'));
    WHEN 'lost' THEN
        PERFORM pg_temp.begin(c), sim.ask(c);
        FOR i IN 1..8 LOOP
            PERFORM sim.tick(1), sim.ask(c, 'other', 0);
        END LOOP;
        result := (SELECT string_agg(DISTINCT s.state, ' ') FROM zdu.step s JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND s.attempt > 0);
    WHEN 'unheard' THEN
        PERFORM zdu_join(c, 'app9', '1.0.0'), zdu_heartbeat(c, 'app9', state => 'ACTIVE');
        FOR i IN 1..10 LOOP
            PERFORM sim.tick(1), sim.ask(c);
        END LOOP;
        result := sim.node(c, 'app9');
    END CASE;
    RETURN result;
END $$;

INSERT INTO trial (setting, value, rule, tries, expected, more) VALUES
    ('early_end', '"deny"', 'L18', 'force an early end', 'ZD001 L18', '{}'),
    ('early_end', '"force"', 'L18', 'force an early end', 'not refused', '{}'),
    ('second_person', 'false', 'L22', 'finalize', 'not refused', '{}'),
    ('second_person', 'true', 'L22', 'finalize', 'ZD002 L22', '{}'),
    ('cancel', '"until_first_upgrade"', 'L5', 'begin and cancel', 'not refused', '{}'),
    ('cancel', '"never"', 'L24', 'begin and cancel', 'ZD002 L24', '{}'),
    ('rollback', '"allow"', 'L23', 'roll back', 'not refused', '{}'),
    ('rollback', '"never"', 'L23', 'roll back', 'ZD002 L23', '{}'),
    ('repeat_begin', '"error"', 'L3', 'begin twice', 'ZD001 L3', '{}'),
    ('repeat_begin', '"noop"', 'L3', 'begin twice', 'not refused', '{}'),
    ('offline_at_end', '"drop"', 'L16', 'end with one node down', 'dropped', '{}'),
    ('offline_at_end', '"fence"', 'L16', 'end with one node down', 'OFFLINE 1.0.0 confirmed fenced', '{}'),
    ('version_step', '"patch"', 'V5', 'steps', '1.0.1', '{}'),
    ('version_step', '"next_minor"', 'V2', 'steps', '1.0.1 1.1.0', '{}'),
    ('version_step', '"same_major"', 'V2', 'steps', '1.0.1 1.1.0 1.2.0', '{}'),
    ('version_step', '"any"', 'V2', 'steps', '1.0.1 1.1.0 1.2.0 2.0.0', '{}'),
    ('version_step', '"listed"', 'V4', 'steps', '1.0.1', '{}'),
    ('min_version', 'null', 'V2', 'steps', '1.0.1 1.1.0', '{}'),
    ('min_version', '"1.0.1"', 'V2', 'steps', '1.0.1', '{}'),
    ('require_latest_patch', 'false', 'V3', 'latest patch', 'not refused', '{}'),
    ('require_latest_patch', 'true', 'V3', 'latest patch', 'ZD002 V3', '{}'),
    ('max_versions', '2', 'N7', 'join in between', 'refused N7', '{"version_step": "any"}'),
    ('max_versions', 'null', 'N7', 'join in between', 'admitted', '{"version_step": "any"}'),
    ('config_lock', '"off"', 'M1', 'write', 'not refused, 0 delta', '{}'),
    ('config_lock', '"refuse"', 'M1', 'write', 'ZD002 M1, 0 delta', '{}'),
    ('config_lock', '"delta"', 'M5', 'write', 'not refused, 1 delta', '{}'),
    ('max_unavailable', '"1"', 'D10', 'away at once', '1', '{}'),
    ('max_unavailable', '"2"', 'D10', 'away at once', '2', '{}'),
    ('max_unavailable', '"75%"', 'D10', 'away at once', '3', '{}'),
    ('min_availability', '"none"', 'D3', 'away at once with copies', 'app1 app2', '{"max_unavailable": "2"}'),
    ('min_availability', '"primaries"', 'D4', 'away at once with copies', 'app1 app4', '{"max_unavailable": "2"}'),
    ('min_availability', '"full"', 'D3', 'away at once with copies', 'ZD002 D3', '{"max_unavailable": "2"}'),
    ('drain_on_timeout', '"abort"', 'D2', 'never drained', 'held not stopped', '{"drain_timeout": "5 s"}'),
    ('drain_on_timeout', '"force"', 'D2', 'never drained', 'running stopped', '{"drain_timeout": "5 s"}'),
    ('reallocate', 'true', 'D5', 'a sole copy', 'app1', '{"min_availability": "primaries"}'),
    ('reallocate', 'false', 'D5', 'a sole copy', 'ZD002 D5', '{"min_availability": "primaries"}'),
    ('order_by', '["role"]', 'N14', 'order', 'app4 app1 app2 app3', '{}'),
    ('order_by', '["group"]', 'N14', 'order', 'app3 app1 app2 app4', '{}'),
    ('order_by', '["zone"]', 'N14', 'order', 'app4 app2 app3 app1', '{}'),
    ('order_by', '["least_busy"]', 'N14', 'order', 'app4 app3 app2 app1', '{}'),
    ('order_by', '["name"]', 'N14', 'order', 'app1 app2 app3 app4', '{}'),
    ('finalize', '"approve"', 'L13', 'all done', 'READY_TO_RUN_UPGRADE_TASKS', '{}'),
    ('finalize', '"auto"', 'L13', 'all done', 'STABLE', '{}'),
    ('on_failure', '"hold"', 'D11', 'a node fails', 'running held', '{}'),
    ('on_failure', '"rollback"', 'L23', 'a node fails', 'running rolling_back held', '{}'),
    ('max_failures', '0', 'D11', 'a node fails', 'running held', '{}'),
    ('max_failures', '1', 'D11', 'a node fails', 'running', '{"max_unavailable": "2"}'),
    ('schema_phase', '"none"', 'S1', 'when the schema changes', 'migrate', '{}'),
    ('schema_phase', '"pre"', 'S1', 'when the schema changes', 'migrate', '{}'),
    ('schema_phase', '"post"', 'S1', 'when the schema changes', 'not yet', '{}'),
    ('min_healthy_time', '"0 s"', 'D12', 'soak', 'none', '{}'),
    ('min_healthy_time', '"1 min"', 'D12', 'soak', 'soak running verify 1', '{}'),
    ('drain_timeout', '"11 s"', 'D2', 'deadline', 'drain 11, start 600, stop 300, verify 600', '{}'),
    ('stop_timeout', '"12 s"', 'N4', 'deadline', 'drain 600, start 600, stop 12, verify 600', '{}'),
    ('start_timeout', '"13 s"', 'N4', 'deadline', 'drain 600, start 13, stop 300, verify 13', '{}'),
    ('lease', '"2 s"', 'W4', 'lost', 'unknown', '{}'),
    ('lease', '"60 s"', 'W4', 'lost', 'running', '{}'),
    ('heartbeat_ttl', '"4 s"', 'N4', 'unheard', 'OFFLINE 1.0.0', '{}'),
    ('heartbeat_ttl', '"60 s"', 'N4', 'unheard', 'ACTIVE 1.0.0', '{}');
SELECT sim.make(pg_temp.c(t), 4, jsonb_build_object(setting, value::jsonb) || more) FROM trial t ORDER BY ord;
SELECT is(pg_temp.try(pg_temp.c(t), tries), expected, format('%s: %s = %s: %s gives %s', rule, setting, value, tries, expected)) FROM trial t ORDER BY ord;

-- max_block is in before_version.sql, auto_adopt in lifecycle_adopt.sql; there is no other column.
SELECT is((SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'zdu.policy'::regclass AND attnum > 0 AND NOT attisdropped
                     AND attname NOT IN (SELECT setting FROM trial)),
          'auto_adopt max_block name shipped', 'L22: no column of the policy is without effect');

-- The documents' policies
SELECT results_eq($$ SELECT name::text FROM zdu.policy WHERE shipped ORDER BY name $$, $$ VALUES ('camunda'), ('confluence'), ('crate'), ('default'), ('eft'), ('jahia'), ('jahia-two-groups') $$,
                  'L22: the documents'' policies are shipped, as rows');
SELECT is((SELECT (early_end, cancel, rollback, offline_at_end, config_lock)::text FROM zdu.policy WHERE name = 'eft'), '(force,never,never,fence,delta)',
          'L18: eft ends early and fences, cannot be undone, records changes as deltas');
SELECT is((SELECT (version_step, min_version::text, require_latest_patch, max_unavailable, schema_phase)::text FROM zdu.policy WHERE name = 'camunda'), '(next_minor,7.5,t,33%,pre)',
          'V2: camunda goes from minor to minor, from 7.5 on, by the latest patch, the schema first');
SELECT is((SELECT (version_step, min_availability, reallocate)::text FROM zdu.policy WHERE name = 'crate'), '(listed,primaries,t)', 'D3: crate keeps primaries and takes listed steps');
SELECT is((SELECT (offline_at_end, cancel)::text FROM zdu.policy WHERE name = 'confluence'), '(drop,until_first_upgrade)', 'L16: confluence drops nodes that are OFFLINE at the end');
SELECT is((SELECT (order_by, max_unavailable)::text FROM zdu.policy WHERE name = 'jahia'), '("{role,group}",1)', 'N14: jahia takes the processing node first, and one node at a time');
SELECT is((SELECT (order_by, max_unavailable)::text FROM zdu.policy WHERE name = 'jahia-two-groups'), '("{role,group}",50%)', 'M9: jahia-two-groups takes half of them together');
SELECT * FROM finish();
ROLLBACK;
