-- Promise: an upgrade begins where it may, once, from a version that stays fixed, and is refused with reason and remedy elsewhere.
BEGIN;
SELECT plan(40);
\ir sim.psql

CREATE FUNCTION pg_temp.set_state(c text, n text, s text) RETURNS text LANGUAGE sql AS
$$ SELECT command FROM zdu_heartbeat(c, n, state => s) $$;

SELECT is(sim.refused($$ SELECT zdu_finalize('nobody') $$), '42704 N11', 'L22: an unknown cluster is refused as such');
SELECT is(sim.refused($$ SELECT zdu_begin() $$), '22004 L1', 'L1: with no cluster at all it must be named');

SELECT sim.make_manual('shop', 3);
SELECT is(sim.state('shop'), 'STABLE', 'L1: a new cluster is STABLE');
SELECT is((SELECT version::text FROM zdu.cluster WHERE name = 'shop'), '1.0.0', 'L17: the first node that joins shows the version');

-- What is legal only in an upgrade.
SELECT is(sim.refused(format('SELECT %s', call)), 'ZD001 L4', format('L4: %s on a STABLE cluster is a distinct error', call))
FROM unnest(ARRAY['zdu_finalize(''shop'')', 'zdu_cancel(''shop'')', 'zdu_retry(''shop'')', 'zdu_rollback(''shop'')',
                  'zdu_pause(''shop'')', 'zdu_resume(''shop'')']) AS call;

-- L2: an ERROR node stands in the way until it is mended or removed.
SELECT pg_temp.set_state('shop', 'app3', 'ERROR');
SELECT is(sim.refused($$ SELECT zdu_begin('shop', '1.1.0') $$), 'ZD001 L2', 'L2: an ERROR node refuses zdu_begin');
SELECT is(sim.state('shop'), 'STABLE', 'L2: and nothing has changed');
SELECT pg_temp.set_state('shop', 'app3', 'ACTIVE');
SELECT lives_ok($$ SELECT zdu_begin('shop', '1.1.0') $$, 'L2: mending the node unblocks it');
SELECT zdu_cancel('shop');
SELECT pg_temp.set_state('shop', 'app3', 'ERROR');
SELECT zdu_remove_node('shop', 'app3');
SELECT lives_ok($$ SELECT zdu_begin('shop', '1.1.0') $$, 'L2: so does removing it');

SELECT is(sim.state('shop'), 'READY_TO_UPGRADE', 'L1: zdu_begin takes a STABLE cluster to READY_TO_UPGRADE');
SELECT is((SELECT display FROM zdu.status WHERE cluster = 'shop'), 'Active; Outdated; 1.0.0', 'L21: and the display says so');
SELECT is(sim.refused($$ SELECT zdu_begin('shop', '1.1.0') $$), 'ZD001 L3', 'L3: zdu_begin in upgrade mode is a distinct error');
SELECT is(sim.refused($$ SELECT zdu_begin(target => '1.1.0') $$), 'ZD001 L3', 'L1: the only cluster need not be named');
SELECT is(sim.refused($$ SELECT zdu_set_group('shop', 'green', '{app1}') $$), '55000 N12', 'M8: a group change is refused while an upgrade runs');
SELECT is(sim.refused($$ SELECT zdu_finalize('shop') $$), 'ZD001 L9', 'L9: finalizing with no node upgraded is refused');

-- L17: whatever the nodes do, the original stays what it was.
SELECT sim.start('shop', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT is((SELECT original::text FROM zdu.cluster WHERE name = 'shop'), '1.0.0', 'L17: the original is not recomputed when every node is new');
SELECT zdu_finalize('shop');
SELECT is((SELECT concat_ws(' ', state, version, original, target) FROM zdu.cluster WHERE name = 'shop'), 'STABLE 1.1.0',
          'L13: with no finalization task the cluster is STABLE at the new version at once');

-- L19: one forgotten node of the last upgrade is no reason for upgrade mode.
SELECT is(sim.refused($$ SELECT zdu_begin('shop', '1.1.0') $$), 'ZD002 L19', 'L19: begin is refused when every node is at the target');
SELECT zdu_set_node('shop', 'forgotten');
SELECT is(sim.refused($$ SELECT zdu_begin('shop', '1.1.0') $$), 'ZD002 L19', 'L19: begin is refused when a forgotten node is all there is to do');
SELECT is(sim.start('shop', 'forgotten', '1.1.0'), 'admitted', 'L19: it joins without upgrade mode once it is upgraded');

-- repeat_begin = noop
SELECT sim.make_manual('calm', 2, '{"repeat_begin": "noop"}');
SELECT zdu_begin('calm', '1.1.0') AS first \gset
SELECT is(zdu_begin('calm', '1.1.0'), :first::bigint, 'L3: with repeat_begin = noop the same begin gives the same upgrade');
SELECT is(sim.refused($$ SELECT zdu_begin('calm', '1.0.1') $$), 'ZD001 L3', 'L3: with another target it is an error all the same');

-- cancel = never
SELECT sim.make_manual('final', 2, '{"cancel": "never"}');
SELECT is(sim.refused($$ SELECT zdu_begin('final', '1.1.0') $$), 'ZD002 L24', 'L24: where begin cannot be undone it is refused without acknowledge');
SELECT lives_ok($$ SELECT zdu_begin('final', '1.1.0', acknowledge => true) $$, 'L24: with acknowledge => true it begins');
SELECT is(sim.refused($$ SELECT zdu_cancel('final') $$), 'ZD002 L5', 'L5: cancel = never refuses zdu_cancel even before the first node');
SELECT is(sim.state('final'), 'READY_TO_UPGRADE', 'L5: and nothing has changed');

-- rollback = never
SELECT sim.make_manual('forward', 2, '{"rollback": "never"}');
SELECT zdu_begin('forward', '1.1.0');
SELECT is(sim.refused($$ SELECT zdu_rollback('forward') $$), 'ZD002 L23', 'L23: rollback = never refuses zdu_rollback');

-- Which steps: version_step, min_version.
SELECT sim.make_manual('v' || i, 2, policy::jsonb)
FROM (VALUES (1, '{"version_step": "patch"}'), (2, '{"version_step": "same_major"}'), (3, '{"min_version": "1.0.1"}')) AS t (i, policy);
SELECT is(sim.refused($$ SELECT zdu_begin('v1', '1.1.0') $$), 'ZD002 V2', 'V2: version_step = patch refuses a minor step');
SELECT is(sim.refused($$ SELECT zdu_begin('v2', '2.0.0') $$), 'ZD002 V2', 'V2: version_step = same_major refuses a major step');
SELECT is(sim.refused($$ SELECT zdu_begin('v3', '1.1.0') $$), 'ZD002 V2', 'V2: below min_version nothing rolls');
SELECT lives_ok($$ SELECT zdu_begin('v2', '1.7.0') $$, 'V2: version_step = same_major takes several minor versions at once');

-- The oldest need: somebody must go on serving.
SELECT sim.make_manual('one', 1);
SELECT is(sim.refused($$ SELECT zdu_begin('one', '1.1.0') $$), 'ZD002 D10', 'D10: a cluster of one is refused');
SELECT zdu_waive('one', 'D10', 'an outage is agreed');
SELECT lives_ok($$ SELECT zdu_begin('one', '1.1.0') $$, 'D10: unless waived by name');
SELECT zdu_set_cluster('none');
SELECT is(sim.refused($$ SELECT zdu_begin('none', '1.1.0') $$), 'ZD002 D14', 'D14: a cluster without nodes is refused');
SELECT sim.make_manual('dark', 2);
SELECT sim.stop('dark', n) FROM unnest('{app1,app2}'::text[]) AS n;
SELECT is(sim.refused($$ SELECT zdu_begin('dark', '1.1.0') $$), 'ZD002 D14', 'D14: so is one where nobody serves');

SELECT * FROM finish();
ROLLBACK;
