-- Promise: what old nodes insert into a registered table waits until the upgrade is over, and is inserted once, in order, as it was.
BEGIN;
\ir sim.psql
SELECT plan(60);

CREATE SCHEMA app;
SET LOCAL search_path = app, public, pg_catalog;
CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, node text NOT NULL DEFAULT session_user, what text, at timestamptz DEFAULT '2026-11-20 12:00+02', len int GENERATED ALWAYS AS (length(what)) STORED);
CREATE TABLE part (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE part_1 (what text, at date);
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE detail (audit bigint REFERENCES audit, note text CHECK (note <> 'bad'));
CREATE TABLE other (what text);
CREATE ROLE login1;
CREATE ROLE login2;
CREATE ROLE login3;
CREATE ROLE shared;
CREATE ROLE person;
GRANT USAGE ON SCHEMA app, sim TO login1, login2, login3, person;
GRANT ALL ON ALL TABLES IN SCHEMA app TO login1, login2, login3, person;
GRANT shared TO login1;
GRANT USAGE ON SCHEMA app TO shared;
GRANT INSERT ON audit TO shared;
SELECT zdu_grant(r, 'node') FROM unnest('{login1,login2,login3}'::text[]) r;
SELECT sim.make_manual('shop', 3, '{"early_end": "force", "offline_at_end": "fence"}');
SELECT zdu_set_node('shop', 'app' || n, login => 'login' || n) FROM generate_series(1, 3) n;
SELECT is(zdu_protect('shop', t, 'spool'), 'protected', 'M3: a table is registered: ' || t::text) FROM unnest('{audit,part,detail}'::regclass[]) t;

-- Who is fired before a row is spooled would be fired again when it is replayed
CREATE TABLE noisy (what text);
CREATE TABLE noisy_part (what text) PARTITION BY LIST (what);
CREATE TABLE noisy_part_a PARTITION OF noisy_part FOR VALUES IN ('a');
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "A shout" BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER "A shout" BEFORE INSERT ON noisy_part_a FOR EACH ROW EXECUTE FUNCTION shout();
SELECT is(sim.refused(format($$ SELECT zdu_protect('shop', %L, 'spool') $$, t)), '0A000 M3', 'M3: refused: a trigger that comes first: ' || t) FROM unnest('{noisy,noisy_part}'::text[]) t;
SELECT lives_ok($$ SELECT zdu_protect('shop', 'noisy', 'refuse'), zdu_unprotect('shop', 'noisy') $$, 'M3: where a refusal takes it back it may');
ALTER TRIGGER "A shout" ON noisy RENAME TO "b_A shout";
CREATE TRIGGER "A late" AFTER INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER "A change" BEFORE UPDATE ON noisy FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER "A statement" BEFORE INSERT ON noisy FOR EACH STATEMENT EXECUTE FUNCTION shout();
SELECT is(zdu_protect('shop', 'noisy', 'spool'), 'protected', 'M3: one that comes later, or is of something else, may be there');
SELECT is(zdu_unprotect('shop', 'noisy'), 'unprotected', 'M3: and the protection goes again');

-- Outside upgrade mode everybody writes
SET SESSION AUTHORIZATION login1;
INSERT INTO audit (what) VALUES ('before');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM audit), 1::bigint, 'M3: outside upgrade mode everybody writes');
SELECT is_empty('TABLE zdu.spool', 'M3: and nothing is spooled');

-- In upgrade mode
SELECT zdu_begin('shop', '1.1.0'), sim.start('shop', 'app3', '1.1.0');
SET SESSION AUTHORIZATION login1;
SET LOCAL datestyle = 'German';
INSERT INTO audit (what) VALUES ('old 1'), ('old 2');
INSERT INTO part VALUES ('2026-01-05', 'a');
INSERT INTO part_1 VALUES ('b', '2026-01-06');
INSERT INTO other VALUES ('free');
SET ROLE shared;
INSERT INTO audit (node, what) VALUES ('x', 'as shared') ON CONFLICT DO NOTHING;
RESET SESSION AUTHORIZATION;
RESET datestyle;
SET SESSION AUTHORIZATION login2;
INSERT INTO audit (what) VALUES ('old of app2');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION login3;
INSERT INTO audit (what) VALUES ('new 1');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION person;
INSERT INTO audit (what) VALUES ('a person');
RESET SESSION AUTHORIZATION;
SELECT results_eq('SELECT what FROM audit ORDER BY id', $$ VALUES ('before'), ('new 1'), ('a person') $$, 'M3: new nodes and people write, old nodes do not');
SELECT is_empty('TABLE part', 'M3: nor into partitions');
SELECT is((SELECT count(*) FROM other), 1::bigint, 'M3: other tables are not touched');
SELECT results_eq('SELECT node, relation::text, role, state, content FROM zdu.spool', $$ VALUES
    ('app1', 'audit', 'login1', 'waiting', '{"id": 2, "node": "login1", "what": "old 1", "at": "2026-11-20T10:00:00+00:00", "len": null}'::jsonb),
    ('app1', 'audit', 'login1', 'waiting', '{"id": 3, "node": "login1", "what": "old 2", "at": "2026-11-20T10:00:00+00:00", "len": null}'),
    ('app1', 'part', 'login1', 'waiting', '{"at": "2026-01-05", "what": "a"}'), ('app1', 'part', 'login1', 'waiting', '{"at": "2026-01-06", "what": "b"}'),
    ('app1', 'audit', 'shared', 'waiting', '{"id": 4, "node": "x", "what": "as shared", "at": "2026-11-20T10:00:00+00:00", "len": null}'),
    ('app2', 'audit', 'login2', 'waiting', '{"id": 5, "node": "login2", "what": "old of app2", "at": "2026-11-20T10:00:00+00:00", "len": null}') $$,
    'M3: what old nodes inserted waits in the spool, with defaults filled in, in order');
SELECT is(sim.refused($$ SELECT zdu_replay('shop') $$), 'ZD001 M3', 'M3: nothing is replayed in upgrade mode');
SELECT ok(NOT has_table_privilege('login1', 'zdu.spool_row', 'SELECT, INSERT, UPDATE, DELETE') AND NOT has_table_privilege('login1', 'zdu.spool', 'SELECT')
    AND NOT has_table_privilege('login1', 'zdu.cluster', 'SELECT'), 'M3: a node''s login needs no right on any table of zdu');
SELECT sim.start('shop', 'app1', '1.1.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO audit (what) VALUES ('after the upgrade of app1');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM audit WHERE what = 'after the upgrade of app1'), 1::bigint, 'M3: once upgraded a node writes directly');

-- Replay
SELECT sim.start('shop', 'app2', '1.1.0'), zdu_finalize('shop');
SELECT is((SELECT count(*) FROM zdu.spool), 6::bigint, 'M3: finalizing does not wait for it');
CREATE TABLE seen (n serial, what text, who text);
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.seen (what, who) VALUES (NEW.what, current_user); RETURN NEW; END $$;
GRANT ALL ON seen, seen_n_seq TO login1, login2, shared;
CREATE TRIGGER spy AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION spy();
SELECT results_eq($$ SELECT * FROM zdu_replay('shop', at_most => 2) $$, $$ VALUES (2, 0, true) $$, 'M3: a batch at a time');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (4, 0, false) $$, 'M3: until nothing waits');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (0, 0, false) $$, 'M3: once');
SELECT results_eq($$ SELECT id, node, what, at, len FROM audit WHERE id BETWEEN 2 AND 5 ORDER BY id $$, $$ VALUES
    (2::bigint, 'login1', 'old 1', '2026-11-20 12:00+02'::timestamptz, 5), (3, 'login1', 'old 2', '2026-11-20 12:00+02', 5), (4, 'x', 'as shared', '2026-11-20 12:00+02', 9),
    (5, 'login2', 'old of app2', '2026-11-20 12:00+02', 11) $$, 'M3: every row is as the old node wrote it');
SELECT results_eq('SELECT tableoid::regclass::text, what FROM part ORDER BY what', $$ VALUES ('part_1', 'a'), ('part_1', 'b') $$, 'M3: also in a partition');
SELECT results_eq('SELECT what, who FROM seen ORDER BY n', $$ VALUES ('old 1', 'login1'), ('old 2', 'login1'), ('as shared', 'shared'), ('old of app2', 'login2') $$,
                  'M3: in the order of writing for each node, with the rights of the role that wrote');
SELECT results_eq($$ SELECT new, rule FROM zdu.event WHERE cluster = 'shop' AND what = 'spool' ORDER BY event_id $$, $$ VALUES ('2 rows replayed', 'M3'), ('4 rows replayed', 'M3') $$,
                  'M3: the log has it');
DROP TRIGGER spy ON audit;

-- What cannot be replayed is kept, and its neighbours are not
SELECT zdu_begin('shop', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO audit (what) SELECT 'row ' || i FROM generate_series(1, 40) i;
INSERT INTO detail SELECT id, 'about 1' FROM audit WHERE what = 'before';
INSERT INTO detail VALUES (-1, 'of nothing'), (1, 'good'), (1, 'bad');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM zdu.spool), 44::bigint, 'M3: constraints are not checked before the row is inserted');
SELECT content->>'id' AS taken FROM zdu.spool WHERE content->>'what' = 'row 17' \gset
INSERT INTO audit (id, what) OVERRIDING SYSTEM VALUE VALUES (:taken, 'somebody else''s');
SELECT zdu_cancel('shop');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (41, 3, false) $$, 'M3: what can be inserted is');
SELECT results_eq($$ SELECT node, relation::text, state, substring(reason FROM 'SQLSTATE .....') FROM zdu.spool $$,
                  $$ VALUES ('app1', 'audit', 'kept', 'SQLSTATE 23505'), ('app1', 'detail', 'kept', 'SQLSTATE 23503'), ('app1', 'detail', 'kept', 'SQLSTATE 23514') $$,
                  'M3: what cannot is kept, with the reason');
SELECT results_eq($$ SELECT what FROM audit WHERE what LIKE 'row %' ORDER BY id $$, $$ SELECT 'row ' || i FROM generate_series(1, 40) i WHERE i <> 17 $$, 'M3: the others keep their order');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (0, 0, false) $$, 'M3: kept rows are not tried again by themselves');
SELECT results_eq($$ SELECT verdict, rule, observed, hint FROM zdu_why('shop') WHERE rule = 'M3' $$,
    $$ VALUES ('no', 'M3', '3 rows of the spool cannot be replayed: duplicate key value violates unique constraint "audit_pkey" (SQLSTATE 23505)',
               'SELECT * FROM zdu.spool WHERE cluster = ''shop'' AND state = ''kept''') $$, 'M3: zdu_why says so, and where to look');
DELETE FROM audit WHERE id = :taken;
SELECT results_eq($$ SELECT * FROM zdu_replay('shop', again => true) $$, $$ VALUES (1, 2, false) $$, 'M3: when the cause is gone they can be');
SELECT is(zdu_discard('shop', ARRAY(SELECT spooled FROM zdu.spool), 'never mind'), 2, 'M3: or be thrown away');
SELECT is((SELECT reason FROM zdu.event WHERE cluster = 'shop' AND what = 'spool' ORDER BY event_id DESC LIMIT 1), 'never mind', 'M3: which the log remembers');

-- Only if the table's shape has not changed
SELECT zdu_begin('shop', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO audit (what) VALUES ('of the old shape');
INSERT INTO part VALUES ('2026-01-07', 'c');
INSERT INTO detail VALUES (NULL, 'gone');
RESET SESSION AUTHORIZATION;
ALTER TABLE audit ADD COLUMN level int, DROP COLUMN node;
ALTER TABLE part ALTER what TYPE varchar(10);
DROP TABLE detail;
SELECT zdu_cancel('shop');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (0, 3, false) $$, 'M3: nothing is inserted into a table of another shape');
SELECT results_eq('SELECT reason FROM zdu.spool', $$ VALUES ('the table has another shape by now: column node is gone, column level is new'),
                  ('the table has another shape by now: types have changed'), ('the table was dropped') $$, 'M3: it is kept, and says in what it differs');
SELECT zdu_discard('shop', ARRAY(SELECT spooled FROM zdu.spool), 'x');
SELECT is_empty('TABLE zdu.spool', 'M3: all of it is thrown away');

-- Row-level security and privileges decide as they did, or would have
ALTER TABLE part ALTER what TYPE text;
ALTER TABLE part ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON part USING (true) WITH CHECK (what LIKE current_user || '%');
CREATE ROLE leaver;
GRANT USAGE ON SCHEMA app TO leaver;
GRANT ALL ON audit TO leaver;
GRANT leaver TO login1;
SELECT zdu_begin('shop', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO part VALUES ('2026-01-08', 'login1 says'), ('2026-01-08', 'login2 says');
SET ROLE leaver;
INSERT INTO audit (what) VALUES ('my last word');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION login2;
INSERT INTO audit (what) VALUES ('no longer mine');
RESET SESSION AUTHORIZATION;
DROP OWNED BY leaver;
DROP ROLE leaver;
REVOKE ALL ON audit FROM login2;
SELECT zdu_cancel('shop');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (1, 3, false) $$, 'M3: who may not insert a row does not by way of the spool');
SELECT results_eq('SELECT reason FROM zdu.spool', $$ VALUES ('new row violates row-level security policy for table "part" (SQLSTATE 42501)'),
                  ('role "leaver" does not exist any more'), ('permission denied for table audit (SQLSTATE 42501)') $$, 'M3: row-level security, a role that is gone, a right that was taken away');
SELECT zdu_discard('shop', ARRAY(SELECT spooled FROM zdu.spool), 'x');
GRANT ALL ON audit TO login2;

-- Hostile content: values stay values, names are quoted, casts of others run as the writer
CREATE TABLE "a ""table""; DROP TABLE app.other; --" ("a ""col" text, content text, ord int, u int, r text, t int);
GRANT ALL ON "a ""table""; DROP TABLE app.other; --" TO login1;
SELECT zdu_protect('shop', '"a ""table""; DROP TABLE app.other; --"', 'spool');
SELECT zdu_begin('shop', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO "a ""table""; DROP TABLE app.other; --" VALUES ($$'); DROP TABLE app.other; --$$, '{"x": 1}', 3, 4, 'r', 5);
RESET SESSION AUTHORIZATION;
SELECT zdu_cancel('shop');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (1, 0, false) $$, 'M3: whatever names and values are like');
SELECT results_eq('TABLE "a ""table""; DROP TABLE app.other; --"', $$ VALUES ($x$'); DROP TABLE app.other; --$x$, '{"x": 1}', 3, 4, 'r', 5) $$, 'M3: they are names and values');
SELECT has_table('app', 'other', 'M3: and nothing else');
CREATE TYPE odd AS ENUM ('x');
CREATE TABLE odds (o odd);
CREATE TABLE cast_seen (who text);
GRANT ALL ON odds, cast_seen TO login1;
CREATE FUNCTION odd_json(odd) RETURNS json LANGUAGE sql AS $$ INSERT INTO app.cast_seen VALUES (current_user); SELECT '"x"'::json $$;
CREATE CAST (odd AS json) WITH FUNCTION odd_json(odd);
SELECT zdu_protect('shop', 'odds', 'spool'), zdu_begin('shop', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO odds VALUES ('x');
RESET SESSION AUTHORIZATION;
SELECT zdu_cancel('shop'), zdu_replay('shop');
SELECT set_eq('TABLE cast_seen', $$ VALUES ('login1') $$, 'M3: casts of others run with the rights of the writer, not of zdu');

-- L18: who was left behind goes on being spooled, until it stops
SELECT zdu_begin('shop', '1.2.0'), sim.start('shop', 'app3', '1.2.0');
SELECT zdu_finalize('shop', force => true, reason => 'the fair');
SET SESSION AUTHORIZATION login1;
INSERT INTO audit (what) VALUES ('left behind');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM zdu.spool), 1::bigint, 'M3: a fenced node that still runs is spooled too');
SELECT results_eq($$ SELECT * FROM zdu_replay('shop') $$, $$ VALUES (1, 0, false) $$, 'M3: and replayed when there is time');
SELECT is((SELECT count(*) FROM audit WHERE what = 'left behind'), 1::bigint, 'M3: into the table');

-- Workers do it by themselves
SELECT sim.make('work', 2, '{"finalize": "auto"}');
SELECT zdu_set_node('work', 'app' || n, login => 'login' || n) FROM generate_series(1, 2) n;
CREATE TABLE log (n serial, what text);
GRANT ALL ON log, log_n_seq TO login1, login2;
SELECT zdu_protect('work', 'log', 'spool'), zdu_begin('work', '1.1.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO log (what) SELECT 'row ' || i FROM generate_series(1, 1200) i;
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM log), 0::bigint, 'M3: an old node of a driven cluster');
SELECT sim.drive('work', 'completed');
SELECT is((SELECT count(*) FROM log), 0::bigint, 'M3: the exchange that ends the upgrade replays nothing under the lock');
SELECT sim.ask('work'), sim.ask('work');
SELECT cmp_ok((SELECT count(*) FROM log), '>', 0::bigint, 'M3: one that has nothing else to do does');
SELECT sim.ask('work') FROM generate_series(1, 10);
SELECT results_eq('SELECT what FROM log ORDER BY n', $$ SELECT 'row ' || i FROM generate_series(1, 1200) i $$, 'M3: in batches, until all is there, in order');
SELECT is_empty($$ SELECT FROM zdu.spool WHERE cluster = 'work' $$, 'M3: nothing waits any more');

-- A trigger of the application takes its time: the worker's lease must not run out meanwhile.
SELECT zdu_set_policy('work', settings => '{"lease": "1 s"}');
SELECT sim.ask('work'), zdu_begin('work', '1.2.0');
SET SESSION AUTHORIZATION login1;
INSERT INTO log (what) SELECT 'slow ' || i FROM generate_series(1, 10) i;
RESET SESSION AUTHORIZATION;
SELECT is(sim.drive('work', 'completed'), 'completed', 'M3: the next upgrade');
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
CREATE TRIGGER b_slow AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION be_slow();
-- Of the first calls one may have had its time to sweep.
CREATE FUNCTION pg_temp.first_batch() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..10 LOOP
        PERFORM sim.ask('work');
        EXIT WHEN EXISTS (SELECT FROM log WHERE what LIKE 'slow%');
    END LOOP;
    RETURN (SELECT count(*) FROM log WHERE what LIKE 'slow%');
END $$;
SELECT cmp_ok(pg_temp.first_batch(), '<=', 4::bigint, 'M3: an exchange replays for a quarter of the lease, a tenth of a second a row');
SELECT is((SELECT more FROM zdu_replay('work')), false, 'M3: a person who asks for it waits until all is there');
SELECT results_eq($$ SELECT what FROM log WHERE what LIKE 'slow%' ORDER BY n $$, $$ SELECT 'slow ' || i FROM generate_series(1, 10) i $$, 'M3: in order all the same');
DROP TRIGGER b_slow ON log;

-- Bad calls, who may
SELECT is(sim.refused(statement), expected, 'M3: ' || statement) FROM (VALUES
    ($$ SELECT zdu_replay('nowhere') $$, '42704 N11'), ($$ SELECT zdu_discard('shop', NULL, 'x') $$, '22004 M3'), ($$ SELECT zdu_discard('shop', '{1}', NULL) $$, '22004 L22')) AS t (statement, expected);
SELECT is(zdu_discard('shop', '{-1}', 'x'), 0, 'M3: what is not there need not be thrown away');
SELECT zdu_grant('person', 'operator');
SET ROLE person;
SELECT is(sim.refused($$ SELECT zdu_replay('shop') $$), '42501 L22', 'M3: only who has the cluster''s owner may');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
