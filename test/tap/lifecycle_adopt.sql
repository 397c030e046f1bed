-- Promise: a database that is not the one it was grants nothing until it is adopted, and tokens from before are void.
BEGIN;
SELECT plan(22);
\ir sim.psql

CREATE FUNCTION pg_temp.mark(pattern text, replacement text) RETURNS void LANGUAGE sql AS
$$ UPDATE zdu.instance SET mark = regexp_replace(mark, pattern, replacement) $$;
CREATE FUNCTION pg_temp.looked(token text) RETURNS json LANGUAGE sql AS
$$ SELECT json_build_object('token', token, 'verb', 'probe', 'state', 'done', 'evidence', '{"rotation": "out"}'::json) $$;
CREATE FUNCTION pg_temp.report(c text, token text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(min(sqlstate), 'taken') FROM zdu_work('w1', 'w1-1', c, json_build_array(pg_temp.looked(token))) $$;
CREATE FUNCTION pg_temp.grants(c text) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM zdu.step s JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND s.state = 'running' $$;

SELECT sim.make('shop', 3), sim.make('other', 2);
SELECT zdu_begin('shop', '1.1.0');
SELECT is((SELECT max(epoch) FROM zdu.instance), 1, 'W5: the first upgrade records which database this is');
SELECT sim.ask('shop');
SELECT token AS old FROM sim.answer WHERE cluster = 'shop' AND token IS NOT NULL \gset
SELECT matches(:'old'::text, '^1[.]', 'W5: a token begins with the epoch');

-- What a restore elsewhere, a clone or a copy of the data directory amounts to.
SELECT pg_temp.mark('machine=\w*', 'machine=another');
SELECT is(pg_temp.report('shop', :'old'::text), 'ZD004', 'W5: no report is taken any more');
SELECT is(sim.step('shop', 'app1'), 'isolate running look 1', 'W5: nothing has changed by it');
SELECT is(sim.refused($$ SELECT zdu_begin('other', '1.1.0') $$), 'ZD004 N4', 'W5: no upgrade begins');
SELECT is((SELECT verdict || ' ' || rule FROM zdu_why('shop') WHERE subject = 'adopted'), 'no N4', 'L22: zdu_why says why');
SELECT matches((SELECT hint FROM zdu_why('shop') WHERE subject = 'adopted'), 'zdu_adopt', 'L22: and what helps');
UPDATE sim.world SET rotation = 'out' WHERE cluster = 'shop' AND node = 'app1';
SELECT sim.ask('shop', 'w2'), sim.tick(1.1) FROM generate_series(1, 120);
SELECT is((SELECT count(*) FROM sim.answer WHERE worker = 'w2' AND token IS NOT NULL), 0::bigint, 'W5: nothing is granted, however often a worker asks');
SELECT is(sim.acts('shop', 'app1'), NULL, 'W5: nothing is done');

SELECT is(zdu_adopt('the other one is gone'), 2, 'W5: zdu_adopt begins the next epoch');
SELECT is((SELECT reason FROM zdu.event WHERE what = 'adopt' ORDER BY event_id DESC LIMIT 1), 'the other one is gone', 'W5: and is recorded with its reason');
SELECT is(pg_temp.grants('shop'), 0::bigint, 'W5: what was granted before is not any more');
SELECT sim.ask('shop', 'w2');
SELECT matches((SELECT token FROM sim.answer WHERE worker = 'w2' AND token IS NOT NULL), '^2[.]', 'W5: then it is granted again, under a token of the new epoch');
SELECT is((SELECT verb FROM sim.answer WHERE worker = 'w2' AND token IS NOT NULL), 'probe', 'W4: which begins with a look');
SELECT is(pg_temp.report('shop', :'old'::text), 'ZD003', 'W5: the old token is stale');
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$, 'w2'), 'W4: the roll goes on to its end');
SELECT is(sim.acts('shop', 'app1'), 'stop upgrade start integrate', 'W4: and does not repeat what was done meanwhile');
SELECT is((zdu_begin('other', '1.1.0') IS NOT NULL), true, 'W5: and upgrades begin again');

-- auto_adopt: a promoted standby is the same database on a later timeline, whatever the machine.
SELECT sim.make('sync', 2, '{"auto_adopt": true}'), sim.make('plain', 2);
SELECT pg_temp.mark('inode=\d+', 'inode=0');
SELECT is(sim.refused($$ SELECT zdu_begin('sync', '1.1.0') $$), 'ZD004 N4', 'W5: auto_adopt does not cover a copy of the data directory');
SELECT pg_temp.mark('timeline=\d+', 'timeline=0');
SELECT is(sim.refused($$ SELECT zdu_begin('plain', '1.1.0') $$), 'ZD004 N4', 'W5: a promotion wants zdu_adopt as well');
SELECT is(sim.refused($$ SELECT zdu_begin('sync', '1.1.0') $$), 'not refused', 'W5: with auto_adopt a promotion goes on by itself');
SELECT pg_temp.mark('system=\d+', 'system=1');
SELECT is(sim.refused($$ SELECT zdu_begin('sync', '1.1.0') $$), 'ZD004 N4', 'W5: but not another database that was restored');

SELECT * FROM finish();
ROLLBACK;
