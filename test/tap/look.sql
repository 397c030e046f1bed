-- Promise: a look at a watch counts only if it comes from the worker that was asked last, and is as old as when that one was asked.
BEGIN;
SELECT plan(13);
\ir sim.psql

SELECT sim.make('shop', 3, '{"min_availability": "primaries", "schema_phase": "pre"}',
    '{"schema": {"exec": "svc", "args": ["schema"], "version": "$.version", "timeout": "4s"},
      "placements": {"exec": "svc", "args": ["copies"], "copies": "$.copies[*]", "timeout": "4s"}}');
CREATE TEMP TABLE looks AS SELECT kind, watch_id FROM zdu.watch;
CREATE FUNCTION pg_temp.asked(w text, k text) RETURNS boolean LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM sim.answer a WHERE a.worker = w AND a.phase = k) $$;
-- What a worker saw, said by whomever; sim.ask() would answer by itself.
CREATE FUNCTION pg_temp.ask(w text, reports json DEFAULT '[]') RETURNS void LANGUAGE sql AS
$$ DELETE FROM sim.answer a WHERE a.worker = w;
   INSERT INTO sim.answer SELECT 'shop', w, z.* FROM zdu_work(w, w || '-1', 'shop', reports, 0, programs => '{svc}') AS z $$;
CREATE FUNCTION pg_temp.saw(k text, seen text) RETURNS json LANGUAGE sql AS
$$ SELECT json_build_array(json_build_object('watch', watch_id, 'seen', seen::json)) FROM looks WHERE kind = k $$;
CREATE FUNCTION pg_temp.schema() RETURNS text LANGUAGE sql AS $$ SELECT schema_version::text FROM zdu.cluster $$;
CREATE FUNCTION pg_temp.copy(node text) RETURNS text LANGUAGE sql AS $$ SELECT '{"copies": [{"resource": "s1", "node": "' || node || '", "kind": "primary"}]}' $$;
CREATE FUNCTION pg_temp.where_is() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(n.name, ' ') FROM zdu.placement JOIN zdu.node n USING (node_id) $$;

SELECT sim.tick(60), pg_temp.ask('w1');
SELECT ok(pg_temp.asked('w1', 'schema') AND pg_temp.asked('w1', 'placements'), 'S2: a worker is asked to look');
SELECT sim.tick(3), pg_temp.ask('w2');
SELECT ok(NOT pg_temp.asked('w2', 'schema'), 'S2: nobody else is, as long as that one may still answer');
-- w1 hangs; w2 is asked, answers, and the schema is migrated.
SELECT sim.tick(60), pg_temp.ask('w2');
SELECT ok(pg_temp.asked('w2', 'schema'), 'S2: who hangs is not waited for');
SELECT pg_temp.ask('w2', pg_temp.saw('schema', '{"version": "1.1.0"}')), pg_temp.ask('w2', pg_temp.saw('placements', pg_temp.copy('app2')));
SELECT is(pg_temp.schema() || ' ' || pg_temp.where_is(), '1.1.0 app2', 'S2: what he saw who was asked last is taken');
SELECT pg_temp.ask('w1', pg_temp.saw('schema', '{"version": "1.0.0"}')), pg_temp.ask('w1', pg_temp.saw('placements', pg_temp.copy('app1')));
SELECT is(pg_temp.schema() || ' ' || pg_temp.where_is(), '1.1.0 app2', 'W5: what he saw who hung, and reports late, is not');
SELECT ok(NOT EXISTS (SELECT FROM sim.answer a WHERE a.worker = 'w1' AND a.verb = 'error'), 'W5: that is no error of his');
SELECT is((SELECT evidence->>'version' FROM zdu.watch WHERE kind = 'schema'), '1.1.0', 'W5: nor does it stand as what was seen');

-- The same name, another process.
SELECT sim.tick(60), zdu_work('w2', 'w2-1', 'shop', programs => '{svc}');
SELECT zdu_work('w2', 'w2-2', 'shop', pg_temp.saw('schema', '{"version": "1.2.0"}'), programs => '{svc}');
SELECT is(pg_temp.schema(), '1.1.0', 'W5: another process under the same name was not asked');

-- How old a look is.
SELECT sim.tick(60), pg_temp.ask('w3');
SELECT pg_temp.ask('w3', pg_temp.saw('placements', pg_temp.copy('app3')));
SELECT is((SELECT loaded FROM zdu.placement_load), (SELECT seen_at FROM zdu.watch WHERE kind = 'placements'), 'D3: copies are known as of when they were looked at');
SELECT sim.tick(60), pg_temp.ask('w3');
CREATE TEMP TABLE asked AS SELECT asked FROM zdu.watch WHERE kind = 'placements';
SELECT sim.tick(1000), pg_temp.ask('w3', pg_temp.saw('placements', pg_temp.copy('app1')));
SELECT is((SELECT loaded - (SELECT asked FROM asked) FROM zdu.placement_load), '4 s', 'D3: one that is reported after a long silence is as old as it can be');
SELECT ok((SELECT NOT copies_known FROM (SELECT loaded > zdu_clock() - interval '60 s' AS copies_known FROM zdu.placement_load) l), 'D3: so that nobody relies on it');

-- A look at something else.
SELECT sim.tick(60), pg_temp.ask('w3');
SELECT zdu_set_runbook('shop', (SELECT document || '{"schema": {"exec": "svc", "args": ["other"], "version": "$.version"}}' FROM zdu.runbook WHERE name = 'shop' ORDER BY revision DESC LIMIT 1));
SELECT sim.tick(8), zdu_work('w4', 'w4-1', 'shop', programs => '{nothing}');
SELECT is((SELECT asked_of FROM zdu.watch WHERE kind = 'schema'), NULL, 'W5: with another runbook something else is looked at');
SELECT pg_temp.ask('w3', pg_temp.saw('schema', '{"version": "9.9.9"}'));
SELECT is(pg_temp.schema(), '1.1.0', 'W5: what was seen of the old one is nothing');

SELECT * FROM finish();
ROLLBACK;
