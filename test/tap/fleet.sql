-- Promise: a cluster that comes after others takes no node before they are final at the version it needs, and they begin nothing while it relies on them; zdu.fleet shows them all.
BEGIN;
SELECT plan(33);
\ir sim.psql

CREATE FUNCTION pg_temp.rounds(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;
CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT node, ' ' ORDER BY node) FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.why(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' / ', rule, observed, allowed, hint) FROM zdu_why(c) WHERE verdict = 'no' AND subject = 'dependency' $$;

SELECT sim.make('shop-db', 2, '{"finalize": "auto"}'), sim.make('shop-app', 3, '{}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true"}]}'), sim.make('shop-web', 2);
SELECT is(zdu_set_dependency('shop-app', 'shop-db', 'target'), 'created', 'M8: zdu_set_dependency: shop-app comes after shop-db');
SELECT is(zdu_set_dependency('shop-app', 'shop-db', 'target'), 'unchanged', 'M8: says when nothing changed');
SELECT is(zdu_set_dependency('shop-web', 'shop-app'), 'created', 'M8: and shop-web after shop-app');
SELECT is(sim.refused($$ SELECT zdu_set_dependency('shop-db', 'shop-web') $$), '22023 M8', 'M8: a circle is refused');
SELECT is(sim.refused($$ SELECT zdu_set_dependency('shop-db', 'shop-db') $$), '22023 M8', 'M8: the shortest one too');
SELECT is(sim.refused($$ SELECT zdu_set_dependency('shop-db', 'nowhere') $$), '42704 N11', 'M8: a cluster that is not there is refused');
SELECT is(sim.refused($$ SELECT zdu_set_dependency('shop-web', 'shop-db', 'soon') $$), '22P02 V1', 'M8: so is a version that is none');
SELECT is((SELECT string_agg(stage || ' ' || cluster || coalesce(' after ' || after, ''), ', ') FROM zdu.fleet), '1 shop-db, 2 shop-app after shop-db, 3 shop-web after shop-app', 'M8: zdu.fleet shows them by stage');

-- ---- it waits ----
SELECT zdu_begin('shop-app', '1.1.0'), zdu_begin('shop-web', '1.1.0');
SELECT pg_temp.rounds('shop-app', 5), pg_temp.rounds('shop-web', 5);
SELECT is(concat(pg_temp.touched('shop-app'), sim.acts('shop-app', '')), '', 'M8: begun before the other one is there, it waits, its preparation too');
SELECT is(pg_temp.why('shop-app'), $$M8 / shop-db is STABLE at 1.0.0 / final at 1.1.0 or later / SELECT * FROM zdu_why('shop-db')$$, 'M8: zdu_why says for what');
SELECT matches(pg_temp.why('shop-web'), '^M8 / shop-app is READY_TO_UPGRADE', 'M8: one that is being upgraded is not final');
SELECT is((SELECT gate || ' ' || state || ': ' || waits_for FROM zdu.gate_status WHERE cluster = 'shop-app'), 'after:shop-db closed: shop-db is STABLE at 1.0.0', 'M8: so does zdu.gate_status');
SELECT matches((SELECT waits_for FROM zdu.fleet WHERE cluster = 'shop-app'), '^M8: shop-db is STABLE', 'M8: and zdu.fleet');

-- ---- who is waited for may begin ----
SELECT lives_ok($$ SELECT zdu_begin('shop-db', '1.1.0') $$, 'M8: a cluster that others wait for may begin');
SELECT sim.drive_until('shop-db', $$ sim.node('shop-db', 'app1') = 'ACTIVE 1.1.0' $$), pg_temp.rounds('shop-app', 2);
SELECT is(pg_temp.touched('shop-app'), NULL, 'M8: while it rolls they wait on');
SELECT matches(pg_temp.why('shop-app'), '^M8 / shop-db is (MIXED|READY)', 'M8: and see it roll');
SELECT is(sim.drive('shop-db', 'completed'), 'completed', 'M8: it is final');
SELECT ok(sim.drive_until('shop-app', $$ sim.node('shop-app', 'app1') = 'ACTIVE 1.1.0' $$), 'M8: then the next one goes');
SELECT is((SELECT reason FROM zdu.event WHERE cluster = 'shop-app' AND new = 'after:shop-db open'), 'shop-db is STABLE at 1.1.0', 'M8: the event says what it saw');
SELECT pg_temp.rounds('shop-web', 2);
SELECT is(pg_temp.touched('shop-web'), NULL, 'M8: and the one after that waits');

-- ---- nobody moves what is relied upon ----
SELECT is(sim.refused($$ SELECT zdu_begin('shop-db', '1.2.0') $$), 'ZD001 M8', 'M8: a cluster on which one relies that is being upgraded refuses zdu_begin');
SELECT is((SELECT observed FROM zdu_why('shop-db', target => '1.2.0') WHERE rule = 'M8'), 'cluster "shop-app", which comes after it, is being upgraded', 'M8: the preflight names it');
SELECT sim.break('shop-app', 'app2', 'start'), sim.drive('shop-app', 'held');
SELECT is((SELECT string_agg(cluster, ' ' ORDER BY n) FROM (SELECT cluster, row_number() OVER () AS n FROM zdu.fleet) f), 'shop-app shop-db shop-web', 'M8: zdu.fleet shows held ones first');
SELECT sim.mend('shop-app'), zdu_retry('shop-app'), sim.drive_until('shop-app', $$ (SELECT done = 3 FROM zdu.cluster_facts WHERE name = 'shop-app') $$), zdu_finalize('shop-app');
SELECT ok(sim.drive_until('shop-web', $$ (SELECT done = 2 FROM zdu.cluster_facts WHERE name = 'shop-web') $$), 'M8: wave by wave to the last');
SELECT lives_ok($$ SELECT zdu_begin('shop-db', '1.2.0') $$, 'M8: when nobody relies on it any more it may begin again');

-- ---- break-glass, and back ----
SELECT zdu_finalize('shop-web'), zdu_begin('shop-app', '1.2.0');
SELECT is(zdu_waive('shop-app', 'gate:after:shop-db', 'the two do not talk to each other'), 'waived', 'M8: a dependency can be waived by name');
SELECT ok(sim.drive_until('shop-app', $$ sim.node('shop-app', 'app1') = 'ACTIVE 1.2.0' $$), 'M8: then it does not wait');
SELECT zdu_rollback('shop-db'), sim.drive('shop-db', 'rolled_back');
SELECT lives_ok($$ SELECT zdu_begin('shop-db', '1.2.0') $$, 'M8: and keeps nobody waiting in turn: what was waived is not relied upon');
SELECT zdu_rollback('shop-app');
SELECT is(sim.drive('shop-app', 'rolled_back'), 'rolled_back', 'L23: no other cluster stands in the way back');

-- ---- two to wait for: a barrier over a wave of clusters ----
SELECT zdu_rollback('shop-db'), sim.drive('shop-db', 'rolled_back');
SELECT zdu_set_dependency('shop-web', 'shop-db', '1.3.0'), zdu_begin('shop-web', '1.2.0'), pg_temp.rounds('shop-web', 3);
SELECT is((SELECT string_agg(gate || ' ' || state, ', ' ORDER BY gate) FROM zdu.gate_status WHERE cluster = 'shop-web'), 'after:shop-app open, after:shop-db closed', 'M8: it waits until all that it comes after are there');
SELECT is(zdu_drop_dependency('shop-web', 'shop-db'), 'dropped', 'M8: zdu_drop_dependency forgets it');
SELECT is(sim.refused($$ SELECT zdu_drop_dependency('shop-web', 'shop-db') $$), '42704 M8', 'M8: once');

-- ---- a circle that could not be refused ends ----
INSERT INTO zdu.dependency (cluster_id, after_id) SELECT a.cluster_id, b.cluster_id FROM zdu.cluster a, zdu.cluster b WHERE a.name <> b.name ON CONFLICT DO NOTHING;
SET LOCAL statement_timeout = '20 s';
SELECT is((SELECT count(*) FROM zdu.fleet), (SELECT count(*) FROM zdu.cluster), 'M8: zdu.fleet shows clusters in a circle too');

SELECT * FROM finish();
ROLLBACK;
