-- Promise: whatever is in flight when an upgrade is cancelled or rolled back, the node ends at the original version and in service.
BEGIN;
SELECT plan(52);
\ir sim.psql

-- What the node really is, whatever zdu believes.
CREATE FUNCTION pg_temp.truth(c text, n text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', CASE WHEN running THEN 'runs ' || version ELSE 'stopped' END, installed, rotation) FROM sim.world w WHERE w.cluster = c AND w.node = n $$;
CREATE FUNCTION pg_temp.verbs(c text, w text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(verb, ' ') FROM sim.answer a WHERE a.cluster = c AND a.worker = w AND token IS NOT NULL $$;

-- c is in the middle of app1's action, which has no end of its own.
CREATE FUNCTION pg_temp.amid(c text, what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 3), sim.break(c, 'app1', what, 'sticks'), zdu_begin(c, '1.1.0');
    IF NOT sim.drive_until(c, format($c$ sim.step(%L, 'app1') LIKE '%% act 1' AND sim.acts(%1$L, 'app1') LIKE '%%%s' $c$, c, what)) THEN
        RETURN false;
    END IF;
    PERFORM sim.mend(c);
    RETURN true;
END $$;

-- L5: cancel amid each action; the version is not known to be new before verify.
SELECT ok(pg_temp.amid('c_' || what, what) AND zdu_cancel('c_' || what) = 'READY_TO_UPGRADE', 'L5: zdu_cancel is legal amid ' || what)
FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what;
SELECT sim.ask('c_' || what) FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what;
SELECT is(pg_temp.verbs('c_' || what, 'w1'), 'end', 'L5: the worker is told to end ' || what)
FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what;
SELECT is(sim.drive(c, 'cancelled') || ' ' || sim.state(c), 'cancelled STABLE', format('L5: amid %s: it ends cancelled', what))
FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what, concat('c_', what) AS c;
SELECT is(pg_temp.truth(c, 'app1') || ', ' || sim.node(c, 'app1'), 'runs 1.0.0 1.0.0 in, ACTIVE 1.0.0', format('L5: amid %s: the node serves at the original version', what))
FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what, concat('c_', what) AS c;
SELECT is(coalesce(sim.acts('c_' || what, 'app2'), 'untouched'), 'untouched', format('L5: amid %s: the other nodes are not touched', what))
FROM unnest('{isolate,stop,upgrade,start}'::text[]) AS what;

-- L23: rollback amid each action.
SELECT ok(pg_temp.amid('r_' || what, what), 'L23: amid ' || what) FROM unnest('{isolate,stop,upgrade,start,integrate}'::text[]) AS what;
SELECT is(zdu_rollback('r_' || what), 1, format('L23: amid %s: one node is affected', what)) FROM unnest('{isolate,stop,upgrade,start,integrate}'::text[]) AS what;
SELECT is(sim.drive(c, 'rolled_back') || ' ' || pg_temp.truth(c, 'app1') || ' ' || sim.node(c, 'app1'),
          'rolled_back runs 1.0.0 1.0.0 in ACTIVE 1.0.0', format('L23: amid %s: the node serves at the original version', what))
FROM unnest('{isolate,stop,upgrade,start,integrate}'::text[]) AS what, concat('r_', what) AS c;

-- L23: out of a wedged state: the worker that acted is dead, nobody knows what it did.
SELECT pg_temp.amid('dead', 'upgrade');
SELECT sim.drive_until('dead', $$ sim.step('dead', 'app1') LIKE 'upgrade unknown%' $$, 'w2');
UPDATE sim.world SET installed = '1.1.0' WHERE cluster = 'dead' AND node = 'app1';
SELECT is(zdu_cancel('dead'), 'READY_TO_UPGRADE', 'L5: zdu_cancel is legal with a step unknown');
SELECT sim.ask('dead', 'w2'), sim.tick(1.1) FROM generate_series(1, 20);
SELECT is(sim.acts('dead', 'app1'), 'isolate stop upgrade', 'L5: nothing is brought back while the lost action may still run');
SELECT is(sim.drive('dead', 'cancelled', 'w2', rounds => 500), 'cancelled', 'L5: after its own timeout another worker unwinds it');
SELECT is(pg_temp.truth('dead', 'app1'), 'runs 1.0.0 1.0.0 in', 'L5: also what the dead worker had installed');

-- Out of held and paused.
SELECT sim.make('held', 3), sim.break('held', 'app1', 'start'), zdu_begin('held', '1.1.0'), sim.drive('held', 'held'), sim.mend('held');
SELECT is(zdu_cancel('held') || ' ' || sim.run('held'), 'READY_TO_UPGRADE cancelling', 'L5, L6: a held upgrade with a node in ERROR can be cancelled');
SELECT is(sim.drive('held', 'cancelled') || ' ' || pg_temp.truth('held', 'app1'), 'cancelled runs 1.0.0 1.0.0 in', 'L5: and brings the node back');
SELECT sim.make('paused', 3), zdu_begin('paused', '1.1.0'), sim.drive_until('paused', $$ sim.node('paused', 'app1') = 'ACTIVE 1.1.0' $$), zdu_pause('paused');
SELECT ok(zdu_rollback('paused') > 0, 'L23: a paused upgrade can be rolled back');
SELECT is(sim.drive('paused', 'rolled_back') || ' ' || pg_temp.truth('paused', 'app1'), 'rolled_back runs 1.0.0 1.0.0 in', 'L23: to the end');

-- L8 with workers: the only new node goes back, and zdu_cancel works.
SELECT sim.make('alone', 3), zdu_begin('alone', '1.1.0'), sim.drive_until('alone', $$ sim.node('alone', 'app1') = 'ACTIVE 1.1.0' $$), zdu_pause('alone');
SELECT is(sim.refused($$ SELECT zdu_cancel('alone') $$), 'ZD001 L5', 'L5: in MIXED zdu_cancel is refused');
SELECT zdu_resume('alone');
SELECT is(zdu_rollback('alone', n), 1, 'L23: ' || n || ' alone is rolled back') FROM unnest('{app2,app3,app1}'::text[]) AS n;
SELECT ok(sim.drive_until('alone', $$ sim.state('alone') = 'READY_TO_UPGRADE' AND sim.node('alone', 'app1') = 'ACTIVE 1.0.0' $$), 'L8: the last new node gone back, it is READY_TO_UPGRADE');
SELECT is(sim.refused($$ SELECT zdu_cancel('alone') $$), 'not refused', 'L8: and zdu_cancel works');

-- L23: rolled back once more on its way back, it is not there yet.
SELECT sim.make('twice', 3), zdu_begin('twice', '1.1.0'), sim.drive_until('twice', $$ sim.node('twice', 'app1') = 'ACTIVE 1.1.0' $$), zdu_rollback('twice');
SELECT ok(sim.drive_until('twice', $$ sim.step('twice', 'app1') LIKE 'drain running%' $$), 'L23: a node is taken to go back');
SELECT is((SELECT string_agg(hint, ' ') FROM zdu_why('twice') WHERE hint LIKE '%zdu_retry%'), NULL, 'L22: on the way back zdu_why does not say that a node is given up');
SELECT zdu_rollback('twice', node => 'app1');
SELECT is(sim.drive('twice', 'rolled_back') || ' ' || pg_temp.truth('twice', 'app1') || ', ' || sim.node('twice', 'app1'),
          'rolled_back runs 1.0.0 1.0.0 in, ACTIVE 1.0.0', 'L23: told so again it goes the whole way');

SELECT * FROM finish();
ROLLBACK;
