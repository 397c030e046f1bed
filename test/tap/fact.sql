-- Promise: what a runbook requires to be recorded is recorded, fresh and fit before an upgrade begins, or waived by name.
BEGIN;
SELECT plan(20);
\ir sim.psql

SELECT sim.make('shop', 3, '{}', '{"requires_facts": [{"fact": "backup", "max_age": "24h"}, {"fact": "rehearsal", "until": "$.target == $target"}]}');
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text; tip text;
BEGIN EXECUTE statement; RETURN 'none';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL, tip = PG_EXCEPTION_HINT; RETURN concat_ws(' | ', SQLSTATE, said, tip); END $$;
CREATE FUNCTION pg_temp.begin() RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.refusal($b$ SELECT zdu_begin('shop', '1.1.0') $b$) $$;

SELECT is(pg_temp.begin(), $$ZD002 | S5: "backup" was not recorded. | SELECT zdu_record('shop', 'backup', '{"where": "..."}')$$, 'S5: without a backup on record no upgrade begins');
SELECT is((SELECT count(*) FROM zdu_why('shop', target => '1.1.0') WHERE rule = 'S5' AND verdict = 'no'), 1::bigint, 'S5: the preflight says so too');
SELECT is(zdu_record('shop', 'backup', '{"where": "/backup/shop"}'), 'recorded', 'S5: zdu_record records it');
SELECT is(pg_temp.begin(), $$ZD002 | S5: "rehearsal" was not recorded. | SELECT zdu_record('shop', 'rehearsal', '{"where": "..."}')$$, 'S5: every fact that is required is asked for');
SELECT zdu_record('shop', 'rehearsal', '{"target": "1.0.5"}');
SELECT is(split_part(pg_temp.begin(), ' | ', 2), 'S5: "rehearsal" says {"target": "1.0.5"}, and must be: $.target == $target.', 'S5: one that is about something else does not do');
SELECT zdu_record('shop', 'rehearsal', '{"target": "1.1.0"}');
SELECT sim.tick(25 * 3600);
SELECT is(split_part(pg_temp.begin(), ' | ', 2), 'S5: "backup" was recorded 1500 min ago, 1440 min are allowed.', 'S5: one that is too old does not do');
SELECT zdu_record('shop', 'backup', '{"where": "/backup/shop", "size": 7}');
SELECT is(pg_temp.begin(), 'none', 'S5: with all of them it begins');
SELECT results_eq($$ SELECT new, rule, reason FROM zdu.event WHERE cluster = 'shop' AND what = 'fact' ORDER BY event_id $$,
                  $$ VALUES ('backup', 'S5', '{"where": "/backup/shop"}'), ('rehearsal', 'S5', '{"target": "1.0.5"}'), ('rehearsal', 'S5', '{"target": "1.1.0"}'),
                     ('backup', 'S5', '{"size": 7, "where": "/backup/shop"}') $$, 'S5: the log keeps every record');
SELECT zdu_cancel('shop');

-- ---- waived by name ----
SELECT sim.make('waive', 2, '{}', '{"requires_facts": [{"fact": "backup"}]}');
SELECT is(sim.refused($$ SELECT zdu_waive('waive', 'fact:lunch', 'x') $$), '42704 S5', 'S5: only what is required can be waived');
SELECT is(sim.refused($$ SELECT zdu_waive('waive', 'fact', 'x') $$), '22023 L22', 'S5: and only by name');
SELECT is(zdu_waive('waive', 'fact:backup', 'it holds nothing'), 'waived', 'S5: a fact can be waived by name');
SELECT lives_ok($$ SELECT zdu_begin('waive', '1.1.0') $$, 'S5: then the upgrade begins');
SELECT zdu_cancel('waive');
SELECT is(sim.refused($$ SELECT zdu_begin('waive', '1.1.0') $$), 'ZD002 S5', 'S5: and the next one asks again');

-- ---- a probe instead ----
SELECT sim.make('probe', 2, '{}', '{"before": [{"exec": "svc", "args": ["backed up"], "only": "probe", "until": "$.prepared == true", "timeout": "3s"}]}');
SELECT zdu_begin('probe', '1.1.0'), sim.drive('probe', 'held');
SELECT is((SELECT held_rule || ' ' || coalesce(sim.acts('probe', 'app1'), 'untouched') FROM zdu.cluster_facts WHERE name = 'probe'), 'D8 untouched', 'S5: a probe that finds no backup holds the upgrade before the first node');
UPDATE sim.world SET prepared = true WHERE cluster = 'probe' AND node = '';
SELECT zdu_retry('probe');
SELECT ok(sim.drive_until('probe', $$ sim.node('probe', 'app1') = 'ACTIVE 1.1.0' $$), 'S5: once it finds one the upgrade goes on');

-- ---- refusals ----
SELECT is(sim.refused(statement), code, 'S5: refused: ' || claim) FROM (VALUES
    ($$ SELECT zdu_record('shop', 'backup', '[]') $$, '22023 S5', 'evidence that is no object'),
    ($$ SELECT zdu_record('shop', 'backup', NULL) $$, '22004 L22', 'no evidence'),
    ($$ SELECT zdu_record('shop', 'a b', '{}') $$, '22023 N11', 'a name that needs quotes'),
    ($$ SELECT zdu_set_runbook('x', sim.runbook() || '{"requires_facts": [{"max_age": "1h"}]}') $$, '22023 W1', 'a runbook that requires nothing in particular'),
    ($$ SELECT zdu_set_runbook('x', sim.runbook() || '{"requires_facts": [{"fact": "backup", "max_age": "soon"}]}') $$, '22023 W1', 'a runbook with an age that is none')) AS t (statement, code, claim);

SELECT * FROM finish();
ROLLBACK;
