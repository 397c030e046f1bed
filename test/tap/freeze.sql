-- Promise: in a freeze, and outside of the windows, nothing new is begun; what is in flight is finished and rolling back goes on; the way through is audited.
BEGIN;
SELECT plan(41);
\ir sim.psql

CREATE FUNCTION pg_temp.at(seconds int) RETURNS timestamptz LANGUAGE sql AS $$ SELECT zdu_clock() + make_interval(secs => seconds) $$;
CREATE FUNCTION pg_temp.rounds(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;
CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT node, ' ' ORDER BY node) FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.why(c text, s text) RETURNS text LANGUAGE sql AS
$$ SELECT rule || ' ' || observed FROM zdu_why(c) WHERE verdict = 'no' AND subject = s $$;

-- ---- a freeze ----
SELECT sim.make('shop', 4), zdu_begin('shop', '1.1.0');
SELECT sim.drive_until('shop', $$ sim.step('shop', 'app1') LIKE 'start%' $$);
SELECT is(zdu_set_freeze('shop', 'sale', 'freeze', tstzrange(pg_temp.at(-10), pg_temp.at(300)), owner => 'sales', reason => 'the summer sale'), 'created', 'L22: zdu_set_freeze makes a freeze');
SELECT is(zdu_set_freeze('shop', 'sale'), 'unchanged', 'L22: says when nothing changed');
SELECT is(zdu_set_freeze('shop', 'sale', reason => 'the long summer sale'), 'changed', 'L22: NULL keeps what is there');
SELECT pg_temp.rounds('shop', 30);
SELECT is(sim.node('shop', 'app1'), 'ACTIVE 1.1.0', 'L22: what was in flight is finished');
SELECT is(pg_temp.touched('shop'), 'app1', 'L22: nothing new is begun in a freeze');
SELECT matches(pg_temp.why('shop', 'not_frozen'), '^L22 freeze "sale" until .*: the long summer sale \(sales\)$', 'L22: zdu_why says until when, why, and whom to ask');
SELECT isnt((SELECT since FROM zdu_why('shop') WHERE subject = 'not_frozen'), NULL, 'L22: and since when');
SELECT matches((SELECT waits_for FROM zdu.status WHERE cluster = 'shop'), '^L22: freeze "sale" until', 'L22: zdu.status says it in one line');
SELECT is(sim.run('shop'), 'running', 'L22: waiting for a freeze is still running');
SELECT sim.tick(280);
SELECT ok(sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L22: it is over when its time is');

SELECT sim.make('waived', 3), zdu_set_freeze('waived', 'sale2', 'freeze', tstzrange(NULL, NULL), reason => 'for good'), zdu_begin('waived', '1.1.0');
SELECT pg_temp.rounds('waived', 5);
SELECT matches(pg_temp.why('waived', 'not_frozen'), 'freeze "sale2" without end: for good', 'L22: a freeze may be without end');
SELECT is((SELECT hint FROM zdu_why('waived') WHERE subject = 'not_frozen'), $$SELECT zdu_waive('waived', 'freeze:sale2', 'reason')$$, 'L22: the hint is the break-glass');
SELECT is(sim.refused($$ SELECT zdu_waive('shop', 'freeze:sale2', 'x') $$), '42704 L22', 'L22: a freeze of another cluster is no business of this one');
SELECT is(zdu_waive('waived', 'freeze:sale2', 'a hole that is exploited'), 'waived', 'L22: a freeze can be waived by name');
SELECT ok(sim.drive_until('waived', $$ (SELECT done = 3 FROM zdu.cluster_facts WHERE name = 'waived') $$), 'L22: then the upgrade goes on');
SELECT is((SELECT reason FROM zdu.event WHERE cluster = 'waived' AND what = 'waive'), 'a hole that is exploited', 'L22: on the record');
SELECT zdu_finalize('waived');
SELECT zdu_begin('waived', '1.2.0'), pg_temp.rounds('waived', 5);
SELECT is((SELECT done FROM zdu.status WHERE cluster = 'waived'), '0/3', 'L22: the waiver was for one upgrade');

-- Preparation and rollback.
SELECT sim.make('prep', 3, '{}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true"}]}');
SELECT zdu_set_freeze('prep', 'weekend', 'freeze', tstzrange(NULL, pg_temp.at(100)), reason => 'rest'), zdu_begin('prep', '1.1.0'), pg_temp.rounds('prep', 10);
SELECT is(sim.acts('prep', ''), NULL, 'D8: in a freeze the preparation is not begun either');
SELECT sim.tick(100);
SELECT ok(sim.drive_until('prep', $$ sim.node('prep', 'app1') = 'ACTIVE 1.1.0' $$), 'D8: it is when the freeze is over');
SELECT zdu_set_freeze('prep', 'weekend', during => tstzrange(NULL, NULL));
SELECT pg_temp.rounds('prep', 20);
SELECT is(sim.node('prep', 'app3'), 'ACTIVE 1.0.0', 'L22: a freeze that begins in the middle stops the next node');
SELECT zdu_rollback('prep');
SELECT is(sim.drive('prep', 'rolled_back') || ' ' || sim.node('prep', 'app1'), 'rolled_back ACTIVE 1.0.0', 'L23: a freeze does not stand in the way back');

-- ---- of all clusters, or some ----
SELECT sim.make('a', 2), sim.make('b', 2), zdu_set_cluster('b', product => 'bee');
SELECT zdu_set_freeze(NULL, 'bees', 'freeze', tstzrange(NULL, NULL), '{"product": "bee"}', reason => 'winter');
SELECT zdu_begin('a', '1.1.0'), zdu_begin('b', '1.1.0'), pg_temp.rounds('a', 5), pg_temp.rounds('b', 5);
SELECT is(pg_temp.touched('a') || coalesce(pg_temp.touched('b'), ''), 'app1', 'L22: a freeze by product concerns the clusters of that product');
SELECT is(zdu_drop_freeze('bees', 'spring'), 'dropped', 'L22: zdu_drop_freeze forgets it');
SELECT pg_temp.rounds('b', 10);
SELECT is(pg_temp.touched('b'), 'app1', 'L22: then they go on');

-- ---- windows ----
SELECT sim.make('win', 3), zdu_set_freeze('win', 'monday', 'window', tstzrange(pg_temp.at(1000), pg_temp.at(1100)), reason => 'agreed'), zdu_begin('win', '1.1.0');
SELECT pg_temp.rounds('win', 5);
SELECT is(pg_temp.touched('win'), NULL, 'L22: outside of the windows nothing is begun');
SELECT matches((SELECT observed || ' / ' || allowed FROM zdu_why('win') WHERE subject = 'in_window'), '^outside of every window / from .* on$', 'L22: zdu_why says when the next one opens');
SELECT sim.tick(1000), pg_temp.rounds('win', 3);
SELECT is(pg_temp.touched('win'), 'app1', 'L22: in a window they are');
SELECT sim.tick(200), pg_temp.rounds('win', 20);
SELECT is(pg_temp.touched('win') || ' ' || sim.node('win', 'app1'), 'app1 ACTIVE 1.1.0', 'L22: and when it is over no more, but what was begun is finished');
SELECT is((SELECT allowed FROM zdu_why('win') WHERE subject = 'in_window'), 'in a window, and none is to come', 'L22: a window that is past opens nothing');
SELECT zdu_waive('win', 'freeze:monday', 'only two are left');
SELECT ok(sim.drive_until('win', $$ sim.state('win') = 'READY_TO_RUN_UPGRADE_TASKS' $$), 'L22: a window can be waived too');

SELECT zdu_prune('1 min');
SELECT set_eq($$ SELECT name FROM zdu.freeze $$, '{sale2,weekend,monday}'::text[], 'L22: zdu_prune forgets freezes that are over, and no window');

-- ---- who may, and what is refused ----
CREATE ROLE op; CREATE ROLE owners ROLE op;
SELECT zdu_grant('op', 'operator'), zdu_set_cluster('a', owner => 'owners');
SET LOCAL ROLE op;
SELECT zdu_set_freeze('a', 'mine', 'freeze', tstzrange(NULL, NULL), reason => 'x') AS mine \gset
RESET ROLE;
SELECT is(:'mine'::text, 'created', 'L22: an operator freezes what is his');
CREATE FUNCTION pg_temp.as_op(statement text) RETURNS text LANGUAGE plpgsql AS
$$ DECLARE said text; BEGIN SET LOCAL ROLE op; EXECUTE statement; RESET ROLE; RETURN 'not refused';
   EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL; RETURN SQLSTATE || ' ' || split_part(said, ':', 1); END $$;
SELECT is(pg_temp.as_op(statement), '42501 L22', 'L22: an operator may not ' || claim) FROM (VALUES
    ($$ SELECT zdu_set_freeze('b', 'his', 'freeze', tstzrange(NULL, NULL), reason => 'x') $$, 'freeze what is not his'),
    ($$ SELECT zdu_set_freeze(NULL, 'all', 'freeze', tstzrange(NULL, NULL), reason => 'x') $$, 'freeze all clusters'),
    ($$ SELECT zdu_drop_freeze('weekend') $$, 'end a freeze of somebody else')) AS t (statement, claim);
SELECT is(sim.refused(format('SELECT zdu_set_freeze(%s)', args)), code, 'L22: refused: ' || claim) FROM (VALUES
    ($$ 'a', 'n', 'freeze', reason => 'x' $$, '22023 L22', 'a freeze without a time'),
    ($$ 'a', 'n', 'thaw', tstzrange(NULL, NULL), reason => 'x' $$, '23514 L22', 'a kind that is none'),
    ($$ 'a', 'n', 'freeze', 'empty', reason => 'x' $$, '23514 L22', 'an empty time'),
    ($$ NULL, 'n', 'freeze', tstzrange(NULL, NULL), '{"planet": "x"}', reason => 'x' $$, '23514 L22', 'a selector that selects by nothing known'),
    ($$ NULL, 'n', 'freeze', tstzrange(NULL, NULL), '{"product": ["shop"]}', reason => 'x' $$, '23514 L22', 'a selector that can never be true'),
    ($$ 'b', 'mine', 'freeze', tstzrange(NULL, NULL), reason => 'x' $$, '22023 L22', 'a name that is another cluster''s')) AS t (args, code, claim);

SELECT * FROM finish();
ROLLBACK;
