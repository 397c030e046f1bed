-- Promise: green, yellow and red follow the copies; a short red while a node exits is no harm, a lasting one holds the upgrade.
BEGIN;
SELECT plan(22);
\ir sim.psql

CREATE FUNCTION pg_temp.colours(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(coalesce(resource || ' ', '') || health, ', ' ORDER BY resource NULLS FIRST) FROM zdu.health WHERE cluster = c $$;
CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', u.run, u.held_rule, u.held_reason) FROM zdu.upgrade u JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c ORDER BY upgrade_id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.wait(c text, n int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;

SELECT sim.make('c', 4, '{"min_availability": "primaries", "stop_timeout": "30 s"}');
SELECT is(pg_temp.colours('c'), NULL, 'D7: of what nothing is known nothing is told');
SELECT zdu_set_resource('c', 's', '1');
SELECT is(pg_temp.colours('c'), 'red, s red', 'D7: with no copy at all it is red');
SELECT zdu_set_placement('c', 's', 'app1', 'primary', 'building');
SELECT is(pg_temp.colours('c'), 'red, s red', 'D7: one that is being built does not serve');
SELECT zdu_set_placement('c', 's', 'app1', state => 'active');
SELECT is(pg_temp.colours('c'), 'yellow, s yellow', 'D7: the primary alone is yellow');
SELECT zdu_set_placement('c', 's', 'app2');
SELECT is(pg_temp.colours('c'), 'green, s green', 'D7: all copies are green');
SELECT zdu_set_placement('c', 's', 'app2', state => 'moving');
SELECT is(pg_temp.colours('c'), 'green, s green', 'D7: one on its way still serves');
SELECT zdu_set_resource('c', 'r', '0-1'), zdu_set_placement('c', 'r', 'app3', 'primary');
SELECT is(pg_temp.colours('c'), 'green, r green, s green', 'D7: of a range it is enough that those are up that are there');
SELECT zdu_declare_down('c', 'app2', 'dead'), sim.tick(9), sim.ask('c');
SELECT is(pg_temp.colours('c'), 'yellow, r green, s yellow', 'D7: a copy on a node that is down does not count');
SELECT zdu_declare_down('c', 'app1', 'dead'), sim.tick(9), sim.ask('c', slots => 0);
SELECT is(pg_temp.colours('c'), 'red, r green, s red', 'D7: nor does a primary: the cluster is as its worst resource');
SELECT is((SELECT count(*) FROM zdu.health WHERE cluster = 'c' AND health = 'red' AND since > (SELECT max(since) FROM zdu.health WHERE cluster = 'c' AND health = 'green')), 2::bigint,
          'D7: since when is the time of the change');
SELECT is((SELECT string_agg(concat_ws(' ', old, '->', new), ', ' ORDER BY event_id) FROM zdu.event WHERE cluster = 'c' AND what = 'health'),
          '-> red, red -> yellow, yellow -> green, green -> red, red -> green, green -> yellow, yellow -> red', 'D7: changes are in the timeline');
SELECT sim.ask('c'), sim.tick(9), sim.ask('c'), sim.tick(9), sim.ask('c');
SELECT is(pg_temp.colours('c'), 'green, r green, s green', 'D7: nodes that are seen again bring it back');

-- In an upgrade: its primary exits with app1, and another copy is promoted when somebody says so.
SELECT zdu_begin('c', '1.1.0'), sim.break('c', 'app1', 'start', 'sticks');
SELECT ok(sim.drive_until('c', $$ sim.node('c', 'app1') LIKE 'STARTING%' $$), 'D7: app1 is away');
SELECT is(pg_temp.colours('c'), 'red, r green, s red', 'D7: its primary went with it');
SELECT pg_temp.wait('c', 5);
SELECT is(pg_temp.held('c'), 'running', 'D7: a short red does not end the rollout');
SELECT pg_temp.wait('c', 30);
SELECT matches(pg_temp.held('c'), '^held D7 s is red for 3[0-9] s$', 'D7: one that lasts longer than a stop may take holds it');
SELECT zdu_set_placement('c', 's', 'app2', 'primary'), zdu_set_placement('c', 's', 'app1', 'replica'), zdu_retry('c');
SELECT is(pg_temp.colours('c'), 'yellow, r green, s yellow', 'D7: promoted, it is yellow');
SELECT pg_temp.wait('c', 40);
SELECT is(pg_temp.held('c'), 'running', 'D7: yellow holds nothing');

-- What was so before, and where nobody asked for availability.
SELECT sim.make('before', 3, '{"min_availability": "primaries", "stop_timeout": "10 s"}'), zdu_set_resource('before', 'old', '0');
SELECT zdu_begin('before', '1.1.0'), sim.break('before', 'app1', 'start', 'sticks'), pg_temp.wait('before', 30);
SELECT is(pg_temp.colours('before') || ', ' || pg_temp.held('before'), 'red, old red, running', 'D7: what was red before the upgrade does not count');
SELECT sim.make('none', 3, '{"stop_timeout": "10 s"}'), zdu_set_resource('none', 's', '0'), zdu_set_placement('none', 's', 'app1', 'primary');
SELECT zdu_begin('none', '1.1.0'), sim.break('none', 'app1', 'start', 'sticks'), pg_temp.wait('none', 30);
SELECT is(pg_temp.colours('none') || ', ' || pg_temp.held('none'), 'red, s red, running', 'D7: with min_availability none nothing is held');
SELECT sim.mend('none');

-- On the way back too
SELECT sim.make('back', 3, '{"min_availability": "primaries", "stop_timeout": "10 s"}'), zdu_set_resource('back', 's', '1'),
	zdu_set_placement('back', 's', 'app1', 'primary'), zdu_set_placement('back', 's', 'app2');
SELECT zdu_begin('back', '1.1.0');
SELECT ok(sim.drive_until('back', $$ sim.node('back', 'app1') = 'ACTIVE 1.1.0' $$), 'L23: app1 is upgraded');
SELECT zdu_rollback('back'), sim.break('back', 'app1', 'start', 'sticks'), sim.drive('back', 'held', rounds => 60);
SELECT matches(pg_temp.held('back'), '^held D7 s is red', 'L23: health is watched during a rollback too');

SELECT * FROM finish();
ROLLBACK;
