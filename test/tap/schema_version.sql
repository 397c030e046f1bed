-- Promise: no node starts a library that is newer than the schema, whose version is the highest that is there by the order of versions.
BEGIN;
\ir sim.psql
SELECT plan(25);

CREATE FUNCTION pg_temp.runbook() RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"schema": {"exec": "svc", "args": ["schema"], "version": "$.schema[*]"},
         "before": [{"name": "migrate", "schema": true, "exec": "svc", "args": ["migrate"], "until": "$.schema[*] == $version"}]}'::jsonb $$;
CREATE FUNCTION pg_temp.schema(c text) RETURNS text LANGUAGE sql AS $$ SELECT schema_version::text FROM zdu.cluster WHERE name = c $$;
-- The first act of a phase of this kind, by its place among all.
CREATE FUNCTION pg_temp.first(c text, what text) RETURNS int LANGUAGE sql AS $$ SELECT min(ord) FROM sim.act WHERE cluster = c AND action = what $$;

-- S2: which version it is
SELECT sim.make('pre', 3, '{"schema_phase": "pre"}', pg_temp.runbook());
UPDATE sim.world SET schema = '{7.9.0,7.10.0,7.2.0,none}' WHERE cluster = 'pre' AND node = '';
SELECT sim.tick(11), sim.ask('pre'), sim.ask('pre');
SELECT is(pg_temp.schema('pre'), '7.10.0', 'S2: 7.10 is higher than 7.9: by version order, not by text, and what is no version does not count');
SELECT is((SELECT count(*)::int FROM zdu.event WHERE what = 'schema' AND rule = 'S2'), 2, 'S2: a change of the version is an event');
UPDATE sim.world SET schema = '{1.0.0}' WHERE cluster = 'pre' AND node = '';
SELECT sim.tick(11), sim.ask('pre'), sim.ask('pre');
SELECT is(pg_temp.schema('pre'), '1.0.0', 'S2: it is looked at in STABLE too');

-- S1: pre
SELECT zdu_begin('pre', '1.1.0');
SELECT sim.drive('pre', 'completed', rounds => 120);
SELECT ok(pg_temp.first('pre', 'migrate') < pg_temp.first('pre', 'isolate'), 'S1: with schema_phase pre the schema step comes before any node step');
SELECT is(sim.state('pre'), 'READY_TO_RUN_UPGRADE_TASKS', 'S1: and the roll goes on after it');
SELECT is(pg_temp.schema('pre'), '1.1.0', 'S1: which is seen by a look');

-- A node that somebody starts by hand
SELECT sim.make('hasty', 3, '{"schema_phase": "pre"}', pg_temp.runbook());
UPDATE sim.world SET schema = '{1.0.0}' WHERE cluster = 'hasty' AND node = '';
SELECT sim.tick(11), sim.ask('hasty'), sim.ask('hasty');
SELECT zdu_begin('hasty', '1.1.0');
SELECT results_eq($$ SELECT verdict, retry_after, rule, reason FROM zdu_join('hasty', 'early', '1.1.0') $$,
                  $$ VALUES ('retry', interval '5 s', 'S1', '1.1.0 is newer than the schema, which is at 1.0.0') $$,
                  'S1: a node whose library is newer than the schema is told to come again');
SELECT is((SELECT count(*)::int FROM zdu.node WHERE name = 'early'), 0, 'S1: and is not registered');
SELECT is((SELECT verdict FROM zdu_join('hasty', 'old', '1.0.0')), 'admitted', 'S1: one with the old library joins');
UPDATE sim.world SET schema = '{1.0.0,1.1.0}' WHERE cluster = 'hasty' AND node = '';
SELECT sim.tick(11), sim.ask('hasty'), sim.ask('hasty');
SELECT is((SELECT verdict FROM zdu_join('hasty', 'early', '1.1.0')), 'admitted', 'S1: once the schema is there the new one does too');

-- A migration that says that it is done but has done nothing
SELECT sim.make('stale', 3, '{"schema_phase": "pre"}', jsonb_set(pg_temp.runbook(), '{before,0,until}', '"$.running == true"'));
SELECT sim.tick(11), sim.ask('stale'), sim.ask('stale');
SELECT zdu_begin('stale', '1.1.0');
SELECT sim.drive('stale', 'completed', rounds => 30);
SELECT is((SELECT count(*)::int FROM sim.act WHERE cluster = 'stale' AND node <> ''), 0, 'S1: no node is touched while the schema is older than the target''s library');
SELECT results_eq($$ SELECT rule, observed, allowed FROM zdu_why('stale') WHERE subject = 'schema_ready' $$,
                  $$ VALUES ('S1', 'the schema is at 1.0.0', 'at least that of 1.1.0') $$, 'S1: zdu_why says so');
SELECT is((SELECT waits_for FROM zdu.status WHERE cluster = 'stale'), 'S1: the schema is at 1.0.0', 'S1: and zdu.status');
UPDATE sim.world SET schema = '{1.0.0,1.1.0}' WHERE cluster = 'stale' AND node = '';
SELECT sim.drive_until('stale', $$ sim.state('stale') = 'READY_TO_RUN_UPGRADE_TASKS' $$);
SELECT is(sim.state('stale'), 'READY_TO_RUN_UPGRADE_TASKS', 'S1: once it is there, the nodes go');
SELECT zdu_rollback('stale');
SELECT is(sim.drive('stale', 'rolled_back'), 'rolled_back', 'S1: a schema newer than the library is fine: the way back is open');
SELECT is(pg_temp.schema('stale'), '1.1.0', 'S1: the schema stays new');

-- a patch of the library
SELECT sim.make('patch', 3, '{"schema_phase": "pre"}', pg_temp.runbook() - 'before');
SELECT sim.tick(11), sim.ask('patch'), sim.ask('patch');
SELECT zdu_begin('patch', '1.0.7');
SELECT sim.drive_until('patch', $$ sim.state('patch') = 'READY_TO_RUN_UPGRADE_TASKS' $$);
SELECT is(sim.state('patch'), 'READY_TO_RUN_UPGRADE_TASKS', 'S1: a patch of the library needs no newer schema');

-- post, none
SELECT sim.make('post', 3, '{"schema_phase": "post"}', pg_temp.runbook());
SELECT zdu_begin('post', '1.1.0');
SELECT sim.drive('post', 'completed', rounds => 60);
SELECT is(sim.state('post'), 'READY_TO_RUN_UPGRADE_TASKS', 'S1: with schema_phase post the nodes do not wait for the schema');
SELECT is(pg_temp.first('post', 'migrate'), NULL, 'S1: whose step has not run yet');
SELECT is(zdu_finalize('post'), 'RUNNING_UPGRADE_TASKS', 'S1: it is a task at the end');
SELECT is(sim.drive('post', 'completed'), 'completed', 'S1: and is carried out there');
SELECT ok(pg_temp.first('post', 'migrate') > pg_temp.first('post', 'start'), 'S1: after the nodes');
SELECT sim.make('none', 3, '{"schema_phase": "none"}', pg_temp.runbook() - 'schema');
SELECT zdu_begin('none', '1.1.0');
SELECT sim.drive_until('none', $$ sim.state('none') = 'READY_TO_RUN_UPGRADE_TASKS' $$);
SELECT ok(pg_temp.first('none', 'migrate') < pg_temp.first('none', 'isolate'), 'S1: with schema_phase none a task runs where it stands');

-- V3: the schema, too, has to be at the latest patch
SELECT sim.make('behind', 3, '{"schema_phase": "pre", "require_latest_patch": true}', pg_temp.runbook() - 'before');
UPDATE sim.world SET schema = '{0.9.9}' WHERE cluster = 'behind' AND node = '';
SELECT sim.tick(11), sim.ask('behind'), sim.ask('behind');
SELECT is(sim.refused($$ SELECT zdu_begin('behind', '1.1.0') $$), 'not refused', 'V3: a schema of another minor is not asked for patches');
SELECT zdu_cancel('behind');
SELECT sim.drive('behind', 'cancelled');
-- The nodes are patched, the schema is left behind.
UPDATE sim.world SET schema = '{1.0.1}' WHERE cluster = 'behind' AND node = '';
SELECT sim.tick(11), sim.ask('behind'), sim.ask('behind');
SELECT zdu_begin('behind', '1.0.3');
SELECT sim.drive('behind', 'completed', rounds => 60);
SELECT zdu_finalize('behind');
SELECT is(sim.refused($$ SELECT zdu_begin('behind', '1.1.0') $$), 'ZD002 V3', 'V3: a minor step is refused while the schema is below the latest patch');
SELECT * FROM finish();
ROLLBACK;
