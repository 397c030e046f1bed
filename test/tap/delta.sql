-- Promise: what is written to a table protected by delta is recorded row by row, and can be taken back unless it was changed since.
BEGIN;
\ir sim.psql
SELECT plan(47);

CREATE SCHEMA app;
SET LOCAL search_path = app, public, pg_catalog;
CREATE TABLE config (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE part (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_1 (v text, gone int, at date NOT NULL, id int NOT NULL);
ALTER TABLE part_1 DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
CREATE TABLE everything (
    dropped int, "the id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n numeric, f float8, r real, t timestamptz, ts timestamp, i interval, b bytea,
    j json, jb jsonb, a int[], a2 text[], rg tstzrange, m mood, p pair, d short, ip inet, u uuid, c char(5), bo boolean,
    twice numeric GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE everything DROP COLUMN dropped;
INSERT INTO config VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO part VALUES (1, '2026-01-10', 'x');
SELECT sim.make_manual('shop', 2, '{"config_lock": "delta"}');
SELECT zdu_protect('shop', t) FROM unnest('{config,part,everything}'::regclass[]) t;
INSERT INTO config VALUES (4, 'd');
SELECT is_empty('TABLE zdu.delta', 'M5: outside upgrade mode nothing is recorded');
SELECT zdu_begin('shop', '1.1.0');

-- Recorded
INSERT INTO config VALUES (5, 'e'), (6, 'f');
UPDATE config SET name = name || name WHERE id IN (1, 5);
UPDATE config SET id = 60 WHERE id = 6;
DELETE FROM config WHERE id = 2;
UPDATE config SET name = name;
INSERT INTO config VALUES (1, 'zz') ON CONFLICT DO NOTHING;
INSERT INTO config VALUES (1, 'zz') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
SELECT results_eq('SELECT action, key, old, new FROM zdu.delta', $$ VALUES
    ('INSERT', '{"id": 5}'::jsonb, NULL::jsonb, '{"id": 5, "name": "e"}'::jsonb), ('INSERT', '{"id": 6}', NULL, '{"id": 6, "name": "f"}'),
    ('UPDATE', '{"id": 1}', '{"id": 1, "name": "a"}', '{"id": 1, "name": "aa"}'), ('UPDATE', '{"id": 5}', '{"id": 5, "name": "e"}', '{"id": 5, "name": "ee"}'),
    ('UPDATE', '{"id": 60}', '{"id": 6, "name": "f"}', '{"id": 60, "name": "f"}'), ('DELETE', '{"id": 2}', '{"id": 2, "name": "b"}', NULL),
    ('UPDATE', '{"id": 1}', '{"id": 1, "name": "aa"}', '{"id": 1, "name": "zz"}') $$,
    'M5: every row that was changed is recorded, with what it was and what it is');
SELECT ok(bool_and(cluster = 'shop' AND caller = current_user AND session_role = session_user AND relation = 'config'::regclass AND reverted_at IS NULL
    AND upgrade_id = (SELECT upgrade_id FROM zdu.upgrade WHERE ended_at IS NULL)), 'M5: by whom, where and in which upgrade') FROM zdu.delta;
SELECT is(sim.refused('TRUNCATE config'), 'ZD002 M5', 'M5: TRUNCATE, which has no rows to record, is refused');
SELECT is(sim.refused('TRUNCATE part_2'), 'ZD002 M5', 'M5: that of a partition too');
SELECT is((SELECT count(*) FROM config), 5::bigint, 'M5: the writes are in the table');

-- Taken back
SELECT is(zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta ORDER BY random()), 'it was a test'), 7, 'M5: all of it is taken back, newest first');
SELECT results_eq('SELECT * FROM config ORDER BY id', $$ VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd') $$, 'M5: the table is as it was');
SELECT is((SELECT count(*) FROM zdu.delta WHERE reverted_at IS NOT NULL AND reverted_by = current_user), 7::bigint, 'M5: the list says so');
SELECT is((SELECT count(*) FROM zdu.event WHERE what = 'delta' AND rule = 'M5' AND reason LIKE '%: it was a test'), 7::bigint, 'M5: and the log, with the reason');
SELECT is((SELECT count(*) FROM zdu.delta WHERE reverted_at IS NULL), 7::bigint, 'M5: the way back is recorded too');
SELECT is(zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta WHERE reverted_at IS NULL)), 7, 'M5: and can be taken back itself');
SELECT results_eq('SELECT * FROM config ORDER BY id', $$ VALUES (1, 'zz'), (3, 'c'), (4, 'd'), (5, 'ee'), (60, 'f') $$, 'M5: then everything is done again');
SELECT is(zdu_revert('shop', '{}'), 0, 'M5: taking back nothing is no error');

-- Conflicts: all or nothing
CREATE FUNCTION pg_temp.last(action text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(delta) FROM zdu.delta d WHERE d.action = $1 $$;
INSERT INTO config VALUES (7, 'g');
SELECT pg_temp.last('INSERT') AS g \gset
UPDATE config SET name = 'gg' WHERE id = 7;
SELECT pg_temp.last('UPDATE') AS gg \gset
DELETE FROM config WHERE id = 3;
SELECT pg_temp.last('DELETE') AS c \gset
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :g)), 'ZD002 M5', 'M5: what was changed since is not taken back');
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s, %s])', :c, :g)), 'ZD002 M5', 'M5: nor is anything else of the same call');
SELECT is((SELECT count(*) FROM config WHERE id = 3), 0::bigint, 'M5: which changed nothing');
SELECT is(zdu_revert('shop', ARRAY[:g, :gg]), 2, 'M5: together with the later change it is');
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :g)), 'ZD002 M5', 'M5: once');
INSERT INTO config VALUES (3, 'new');
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :c)), 'ZD002 M5', 'M5: a deleted row whose key is taken does not come back');
DELETE FROM config WHERE id = 3;
INSERT INTO config VALUES (8, 'c');
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :c)), 'ZD002 M5', 'M5: nor one that breaks another constraint by now');
SELECT is(sim.refused(statement), expected, 'M5: ' || statement) FROM (VALUES
    ($$ SELECT zdu_revert('shop', '{-1}') $$, '42704 M5'), ($$ SELECT zdu_revert('shop', NULL) $$, '22004 M5'), ($$ SELECT zdu_revert('nowhere', '{1}') $$, '42704 N11'),
    ($$ SELECT zdu_revert('shop', '{NULL}') $$, '42704 M5')) AS t (statement, expected);
SELECT sim.make_manual('bank', 2);
SELECT is(sim.refused(format('SELECT zdu_revert(''bank'', ARRAY[%s])', :c)), '42704 M5', 'M5: nor is a delta of another cluster');

-- Partitions: the partitioned table is what is written back to
UPDATE part SET v = 'y';
INSERT INTO part_2 VALUES (2, '2026-02-03', 'z');
UPDATE part SET at = '2026-02-10' WHERE id = 1;
SELECT results_eq($$ SELECT DISTINCT relation::text FROM zdu.delta WHERE relation::text LIKE 'part%' $$, $$ VALUES ('part') $$, 'M5: partitions are recorded as their table');
SELECT is(zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta WHERE relation = 'part'::regclass)), 4, 'M5: a row that moved was deleted here and inserted there');
SELECT results_eq('SELECT tableoid::regclass::text, * FROM part', $$ VALUES ('part_1', 1, '2026-01-10'::date, 'x') $$, 'M5: it is back where it was');

-- Every type comes back as it was, whatever the session likes to see
INSERT INTO everything (n, f, r, t, ts, i, b, j, jb, a, a2, rg, m, p, d, ip, u, c, bo) VALUES
    (12345678901234567890.123456789, 0.1::float8 + 0.2, 1.1, '2026-03-04 05:06:07.123456+02', '2026-03-04 05:06:07', '-1 mon +2 days -03:04:05', '\x00ff27',
     '{"a": "x\"y", "b": 1}', '[1, null, "ü"]', '{1,NULL,3}', '{"a,b",NULL,"\"q\"",""}', '[2026-03-04 00:00+00, 2026-05-06 00:00+00)', 'glad', '(1,"a b")', 'short',
     '10.0.0.1/24', '00000000-0000-0000-0000-0000000000ff', 'ab', true),
    ('NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', NULL, NULL, NULL, NULL, '{}', '{{a,b},{c,d}}', 'empty', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TEMP TABLE was AS SELECT e::text AS row FROM everything e;
SET LOCAL datestyle = 'German';
SET LOCAL intervalstyle = 'sql_standard';
SET LOCAL extra_float_digits = -5;
SET LOCAL bytea_output = 'escape';
SET LOCAL timezone = 'Asia/Kolkata';
DELETE FROM everything;
SELECT zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta WHERE relation = 'everything'::regclass AND action = 'DELETE'));
UPDATE everything SET n = -1, f = 1, t = now(), i = '1 s', b = 'x', j = '{}', a = '{9}', m = 'sad', p = NULL, rg = NULL, ts = 'epoch';
SELECT zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta WHERE relation = 'everything'::regclass AND action = 'UPDATE'));
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;
RESET bytea_output;
RESET timezone;
SELECT results_eq('SELECT e::text FROM everything e ORDER BY 1', 'SELECT row FROM was ORDER BY 1', 'M5: every type comes back as it was');

-- A key that needs quotes
CREATE TABLE quoted (id text PRIMARY KEY);
SELECT zdu_protect('shop', 'quoted');
INSERT INTO quoted VALUES ('it''s');
SELECT max(delta) AS quoted FROM zdu.delta \gset
DELETE FROM quoted;
CREATE FUNCTION pg_temp.hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
    RETURN NULL;
EXCEPTION WHEN SQLSTATE 'ZD002' THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN hint;
END $$;
SELECT results_eq('SELECT action FROM (' || pg_temp.hint(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :quoted)) || ') d',
                  $$ VALUES ('INSERT'), ('DELETE') $$, 'L22: the hint shows what was written to that row, whatever its key');

-- Tables that changed
ALTER TABLE everything ADD COLUMN later int;
SELECT is(sim.refused($$ SELECT zdu_revert('shop', ARRAY[(SELECT max(delta) FROM zdu.delta WHERE relation = 'everything'::regclass AND reverted_at IS NULL AND action = 'UPDATE')]) $$),
          'ZD002 M5', 'M5: in a table that was altered a row is not as it was left');
ALTER TABLE everything DROP COLUMN "the id" CASCADE;
SELECT is(sim.refused('DELETE FROM everything'), 'ZD002 M5', 'M5: without a key nothing is written that could not be taken back');
DROP TABLE part;
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', (SELECT max(delta) FROM zdu.delta d WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = d.relation)))),
          'ZD002 M5', 'M5: nothing is taken back in a table that is gone');

-- Who may: an operator needs rights of his own on the table, to look and to write
CREATE ROLE person;
SELECT zdu_grant('person', 'operator'), zdu_set_cluster('shop', owner => 'person');
GRANT USAGE ON SCHEMA app, sim TO person;
SELECT max(delta) AS e FROM zdu.delta WHERE key = '{"id": 8}' \gset
SET ROLE person;
SELECT is((SELECT count(*) FROM zdu.delta WHERE key IS NOT NULL OR old IS NOT NULL OR new IS NOT NULL), 0::bigint, 'M5: who may not read the table does not see what was in it');
SELECT cmp_ok((SELECT count(*) FROM zdu.delta), '>', 20::bigint, 'M5: but that it was written to');
SELECT is(sim.refused(format('SELECT zdu_revert(''shop'', ARRAY[%s])', :e)), '42501 no rule: permission denied for table config without a hint', 'M5: who may not write to it takes nothing back');
SELECT throws_ok('TABLE zdu.delta_row', '42501', NULL, 'M5: the table behind the view is nobody''s');
RESET ROLE;
GRANT SELECT, DELETE ON config TO person;
SET ROLE person;
SELECT is((SELECT key FROM zdu.delta WHERE delta = :e), '{"id": 8}', 'M5: who may read the table does');
SELECT is(zdu_revert('shop', ARRAY[:e]::bigint[]), 1, 'M5: who may write to it, takes back');
RESET ROLE;
SELECT is((SELECT caller || ' ' || action FROM zdu.delta ORDER BY delta DESC LIMIT 1), 'person DELETE', 'M5: by his own name');
ALTER TABLE config ENABLE ROW LEVEL SECURITY;
CREATE POLICY none ON config TO person USING (false);
SET ROLE person;
SELECT is((SELECT key FROM zdu.delta WHERE delta = :e), NULL, 'M5: nor does who may read only some of its rows');
RESET ROLE;

-- Code of others gets no more rights than its caller
CREATE TABLE owned (id int PRIMARY KEY, v text);
CREATE TABLE seen (who text, super boolean);
GRANT INSERT ON seen TO person;
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.seen SELECT current_user, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user; RETURN coalesce(NEW, OLD); END $$;
GRANT ALL ON owned TO person;
SELECT zdu_protect('shop', 'owned', 'delta');
INSERT INTO owned VALUES (1, 'a');
CREATE TRIGGER spy BEFORE DELETE OR INSERT OR UPDATE ON owned FOR EACH ROW EXECUTE FUNCTION spy();
UPDATE owned SET v = 'b';
TRUNCATE seen;
SELECT max(delta) AS o FROM zdu.delta WHERE relation = 'owned'::regclass \gset
SET ROLE person;
SELECT is(zdu_revert('shop', ARRAY[:o]::bigint[]), 1, 'M5: a table with triggers');
RESET ROLE;
SELECT results_eq('TABLE seen', $$ VALUES ('person', false) $$, 'M5: they run with the rights of who takes back');

-- After the upgrade
SELECT zdu_cancel('shop');
UPDATE owned SET v = 'z';
SELECT is((SELECT max(delta) FROM zdu.delta WHERE relation = 'owned'::regclass AND reverted_at IS NULL), (SELECT max(delta) FROM zdu.delta), 'M5: when the upgrade has ended nothing is recorded');
UPDATE owned SET v = 'a';
SELECT is(zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta WHERE relation = 'owned'::regclass AND action = 'INSERT')), 1, 'M5: what was recorded can still be taken back');
SET zdu.clock_offset = '100 d';
SELECT zdu_prune('1 d');
SELECT is_empty($$ SELECT FROM zdu.delta WHERE cluster = 'shop' $$, 'M5: it is pruned with its upgrade');

SELECT * FROM finish();
ROLLBACK;
