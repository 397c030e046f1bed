-- Promise: in upgrade mode protected tables refuse writes, all of them and by everybody; reads and other tables go on.
BEGIN;
\ir sim.psql
SELECT plan(86);

CREATE SCHEMA app;
SET LOCAL search_path = app, public, pg_catalog;
CREATE TABLE config (id int PRIMARY KEY, parent int REFERENCES config ON DELETE CASCADE, name text);
CREATE TABLE "Odd name" ("a key" int PRIMARY KEY);
CREATE TABLE part (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_old PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2026-06-01') PARTITION BY RANGE (at);
CREATE TABLE part_january PARTITION OF part_old FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES other ON DELETE CASCADE);
CREATE TABLE by_policy (id int PRIMARY KEY);
CREATE FUNCTION tidy() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ UPDATE app.config SET name = 'tidy' $$;
INSERT INTO config VALUES (1, NULL, 'a'), (2, 1, 'b');
INSERT INTO part VALUES (1, '2026-01-15');
INSERT INTO other VALUES (1), (2);
INSERT INTO child VALUES (1);

-- Registering
SELECT sim.make_manual('shop', 2, '{"config_lock": "off"}');
SELECT sim.make_manual('bank', 2, '{"config_lock": "refuse"}');
SELECT is(zdu_protect('shop', t, 'refuse'), 'protected', 'M1: a table is protected: ' || t::text)
FROM unnest('{config,"\"Odd name\"",part,child}'::regclass[]) t;
SELECT is(zdu_protect('shop', 'by_policy'), 'protected', 'M1: a table is protected as the policy says');
SELECT is(zdu_protect('shop', 'config', 'refuse'), 'unchanged', 'M1: the same again is no change');
SELECT is(zdu_protect('shop', 'config', 'delta') || ' ' || zdu_protect('shop', 'config', 'refuse'), 'changed changed', 'M1: another way is one');
SELECT results_eq($$ SELECT relation::text, how, in_force FROM zdu.protected_table WHERE cluster = 'shop' ORDER BY 1 $$,
                  $$ VALUES ('"Odd name"', 'refuse', true), ('by_policy', NULL, true), ('child', 'refuse', true), ('config', 'refuse', true), ('part', 'refuse', true) $$,
                  'M1: zdu.protected_table lists them, a partitioned table once');
CREATE TABLE part_may PARTITION OF part FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
SELECT lives_ok($$ INSERT INTO config VALUES (3, NULL, 'c') $$, 'M1: outside upgrade mode everybody writes');
SELECT lives_ok('TRUNCATE part_may', 'M1: and truncates');

-- Upgrade mode
SELECT zdu_begin('shop', '1.1.0');
CREATE TABLE part_july PARTITION OF part FOR VALUES FROM ('2026-07-01') TO ('2026-08-01');
SELECT is(sim.refused(statement), 'ZD002 M1', 'M1: refused: ' || statement) FROM unnest(ARRAY[
    $$ INSERT INTO config VALUES (4, NULL, 'd') $$, $$ UPDATE config SET name = 'z' $$, $$ DELETE FROM config WHERE id = 2 $$, 'TRUNCATE config',
    $$ INSERT INTO config VALUES (1, NULL, 'd') ON CONFLICT DO NOTHING $$,
    $$ INSERT INTO config VALUES (1, NULL, 'd') ON CONFLICT (id) DO UPDATE SET name = 'e' $$,
    $$ MERGE INTO config c USING (VALUES (1)) v (id) ON c.id = v.id WHEN MATCHED THEN DELETE $$,
    $$ WITH w AS (DELETE FROM config RETURNING 1) SELECT count(*) FROM w $$,
    'SELECT tidy()', $$ INSERT INTO "Odd name" VALUES (1) $$,
    $$ INSERT INTO part VALUES (2, '2026-01-16') $$, $$ INSERT INTO part_january VALUES (2, '2026-01-16') $$, $$ INSERT INTO part_old VALUES (2, '2026-01-16') $$,
    $$ INSERT INTO part_july VALUES (2, '2026-07-16') $$, $$ UPDATE part SET id = 3 $$, $$ DELETE FROM part_january $$,
    'TRUNCATE part', 'TRUNCATE part_old', 'TRUNCATE part_january', 'TRUNCATE part_may',
    'DELETE FROM other WHERE id = 1', 'TRUNCATE other, child']) statement;
SELECT throws_ok($$ INSERT INTO config VALUES (4, NULL, 'd') $$, 'ZD002', 'cluster is in upgrade mode', 'M1: the message');
SELECT is(sim.refused(statement), 'not refused', 'M1: goes on: ' || statement) FROM unnest(ARRAY[
    'SELECT * FROM config', 'SELECT * FROM config FOR UPDATE', 'SELECT * FROM part', 'UPDATE config SET name = name WHERE false',
    'INSERT INTO other VALUES (3)', 'DELETE FROM other WHERE id = 2', 'INSERT INTO by_policy VALUES (1)',
    'SELECT zdu_pause(''shop''), zdu_resume(''shop'')', 'SELECT zdu_set_node(''shop'', ''app1'', zone => ''z'')']) statement;
SELECT results_eq('SELECT id, name FROM config ORDER BY 1', $$ VALUES (1, 'a'), (2, 'b'), (3, 'c') $$, 'M1: nothing was changed');

-- In words
CREATE FUNCTION pg_temp.words(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text; hint text; tab text;
BEGIN
    EXECUTE statement;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, tab = TABLE_NAME;
    RETURN concat_ws(' | ', detail, hint, tab);
END $$;
SELECT is(pg_temp.words('INSERT INTO "Odd name" VALUES (1)'),
          'M1: table app."Odd name" is protected while cluster "shop" goes from 1.0.0 to 1.1.0. | It can be read; write to it again when the upgrade has ended. | Odd name',
          'M1: what was refused and what helps');
SELECT is(pg_temp.words($$ INSERT INTO part_january VALUES (1, '2026-01-02') $$),
          'M1: table app.part_january is protected while cluster "shop" goes from 1.0.0 to 1.1.0. | It can be read; write to it again when the upgrade has ended. | part_january',
          'M1: a partition is named');

-- The policy decides where nothing was said, and says the same all through an upgrade
SELECT zdu_set_policy('strict', based_on => 'shop', settings => '{"config_lock": "refuse"}');
SELECT is(sim.refused(statement), 'ZD001 M1', 'M1: not during an upgrade, its writers were not waited for: ' || statement) FROM unnest(ARRAY[
    $$ SELECT zdu_set_policy('shop', settings => '{"config_lock": "refuse"}') $$, $$ SELECT zdu_set_policy('shop', settings => '{"config_lock": "delta", "max_failures": 1}') $$,
    $$ SELECT zdu_set_cluster('shop', policy => 'strict') $$]) statement;
SELECT is(sim.refused(statement), 'not refused', 'M1: what changes nothing of that goes on: ' || statement) FROM unnest(ARRAY[
    $$ SELECT zdu_set_policy('shop', settings => '{"max_failures": 1}') $$, $$ SELECT zdu_set_policy('strict', settings => '{"config_lock": "delta"}') $$,
    $$ SELECT zdu_set_policy('bank', settings => '{"config_lock": "off"}'), zdu_set_policy('bank', settings => '{"config_lock": "refuse"}') $$,
    $$ SELECT zdu_set_policy('loose', based_on => 'shop', settings => '{"max_failures": 2}'), zdu_set_cluster('shop', policy => 'loose'), zdu_set_cluster('shop', policy => 'shop') $$]) statement;
SELECT is(pg_temp.words($$ SELECT zdu_set_cluster('shop', policy => 'strict') $$),
          $$M1: table app.by_policy is protected as policy "shop" says, and whoever writes to it now was not waited for. | SELECT zdu_protect('shop', 'app.by_policy', 'refuse') | $$,
          'M1: the way out is to say it of the table, which waits for them');
SELECT zdu_cancel('shop'), zdu_set_policy('shop', settings => '{"config_lock": "refuse"}'), zdu_begin('shop', '1.1.0');
SELECT is(sim.refused('INSERT INTO by_policy VALUES (2)'), 'ZD002 M1', 'M1: config_lock = refuse refuses');
SELECT is(sim.refused('TRUNCATE by_policy'), 'ZD002 M1', 'M1: TRUNCATE too');
SELECT zdu_cancel('shop');
SELECT is(zdu_set_policy('shop', settings => '{"config_lock": "delta"}'), 'changed', 'M1: outside of upgrades the policy is changed at will');
SELECT zdu_begin('shop', '1.1.0');
SELECT is(sim.refused('INSERT INTO by_policy VALUES (2)'), 'not refused', 'M5: config_lock = delta does not');
SELECT is((SELECT count(*) FROM zdu.delta WHERE relation = 'by_policy'::regclass), 1::bigint, 'M5: it records');
SELECT is(sim.refused('INSERT INTO config VALUES (4)'), 'ZD002 M1', 'M1: what was said of a table counts more');

-- Ways out
SELECT is(zdu_unprotect('shop', '"Odd name"', 'a migration needs it'), 'unprotected', 'M1: the owner may take the protection away');
SELECT lives_ok('INSERT INTO "Odd name" VALUES (1)', 'M1: then it is a table like any other');
SELECT results_eq($$ SELECT old, new, reason FROM zdu.event WHERE cluster = 'shop' AND what = 'protect' ORDER BY event_id DESC LIMIT 1 $$,
                  $$ VALUES ('refuse', NULL::text, 'app."Odd name": a migration needs it') $$, 'M1: the log tells why');
SELECT is(zdu_cancel('shop'), 'STABLE', 'M1: ending the upgrade works');
SELECT lives_ok($$ INSERT INTO config VALUES (4, NULL, 'd') $$, 'M1: after it everybody writes');
SELECT lives_ok('TRUNCATE part', 'M1: and truncates');
SELECT zdu_begin('shop', '1.1.0'), sim.start('shop', 'app1', '1.1.0'), sim.start('shop', 'app2', '1.1.0');
SELECT is(sim.refused('DELETE FROM config'), 'ZD002 M1', 'M1: also when every node is new');
SELECT is(zdu_finalize('shop'), 'STABLE', 'M1: finalizing works');
SELECT lives_ok('DELETE FROM config WHERE id = 4', 'M1: and lets them write');
SELECT zdu_begin('bank', '1.1.0');
SELECT lives_ok('DELETE FROM config WHERE id = 3', 'M1: another cluster''s upgrade does not matter');

-- What cannot be protected
CREATE VIEW a_view AS SELECT 1 AS one;
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE heir () INHERITS (parent);
CREATE TABLE no_key (id int);
CREATE ROLE person;
SELECT zdu_grant('person', 'operator');
SELECT is(sim.refused(statement), expected, 'M1: ' || statement) FROM (VALUES
    ($$ SELECT zdu_protect('shop', 'a_view') $$, '42809 M1'), ($$ SELECT zdu_protect('shop', 'pg_class') $$, '42809 M1'),
    ($$ SELECT zdu_protect('shop', 'zdu.cluster') $$, '42809 M1'), ($$ SELECT zdu_protect('shop', 'parent') $$, '0A000 M1'),
    ($$ SELECT zdu_protect('bank', 'config', 'refuse') $$, '42710 M1'), ($$ SELECT zdu_protect('shop', 'part_january', 'refuse') $$, '42710 M1'),
    ($$ SELECT zdu_protect('shop', 'no_key', 'delta') $$, '22023 M5'), ($$ SELECT zdu_protect('shop', 'config', 'hide') $$, '22023 M1'),
    ($$ SELECT zdu_protect('nowhere', 'config') $$, '42704 N11'), ($$ SELECT zdu_protect('shop', NULL) $$, '22004 L22'),
    ($$ SELECT zdu_protect('shop', 1::oid::regclass) $$, '42P01 M1'), ($$ SELECT zdu_unprotect('shop', 'other') $$, '42704 M1'),
    ($$ SELECT zdu_unprotect('bank', 'config') $$, '42710 M1')) AS t (statement, expected);
CREATE TABLE "it's" (id int PRIMARY KEY);
SELECT zdu_protect('shop', '"it''s"', 'refuse');
SELECT is(split_part(pg_temp.words($$ SELECT zdu_protect('bank', '"it''s"') $$), ' | ', 2), $$SELECT zdu_unprotect('shop', 'app."it''s"')$$, 'L22: a hint is quoted so that it can be run');
GRANT ALL ON SCHEMA app TO person;
GRANT ALL ON ALL TABLES IN SCHEMA app TO person;
SELECT zdu_set_cluster('shop', owner => 'person');
GRANT USAGE ON SCHEMA sim TO person;
SET ROLE person;
SELECT is(sim.refused(statement), '42501 L22', 'M1: only who owns the table may: ' || statement)
FROM unnest(ARRAY[$$ SELECT zdu_protect('shop', 'other') $$, $$ SELECT zdu_unprotect('shop', 'config') $$]) statement;
CREATE TABLE mine (id int PRIMARY KEY);
SELECT is(zdu_protect('shop', 'mine', 'refuse'), 'protected', 'M1: who does owns it may, without being the owner of zdu');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
