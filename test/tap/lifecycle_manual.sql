-- Promise: with people upgrading the nodes, the cluster's state follows from what joined, beat and left, and from nothing else.
BEGIN;
SELECT plan(64);
\ir sim.psql

CREATE FUNCTION pg_temp.display(c text) RETURNS text LANGUAGE sql AS $$ SELECT display FROM zdu.status WHERE cluster = c $$;
CREATE FUNCTION pg_temp.ready(c text, n int, policy jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make_manual(c, n, policy);
    PERFORM zdu_begin(c);
END $$;

-- L5, L7, L8: there and back.
SELECT sim.make_manual('shop', 5);
SELECT is(pg_temp.display('shop'), 'Not Active', 'L21: outside upgrade mode the display is "Not Active"');
SELECT zdu_begin('shop');
SELECT is((SELECT target::text FROM zdu.cluster WHERE name = 'shop'), NULL, 'N7: the target of a manual upgrade may be unknown at first');
SELECT is(sim.start('shop', 'app1', '0.9.0'), 'refused N8', 'N8: a version below the original never joins');
SELECT is(sim.start('shop', 'app1', '3.0.0'), 'refused V2', 'V2: the version that shows the target must be a legal step');
SELECT is(sim.start('shop', 'app1', '1.1.0'), 'admitted', 'N7: the first new node is admitted');
SELECT is((SELECT target::text FROM zdu.cluster WHERE name = 'shop'), '1.1.0', 'N7: and shows the target');
SELECT is(sim.state('shop'), 'MIXED', 'L7: the first node online at another version takes the cluster to MIXED');
SELECT is(pg_temp.display('shop'), 'Active; Mixed; 1/5 at 1.1.0', 'L21: in MIXED the display counts');
SELECT is(sim.start('shop', 'app2', '1.1.1'), 'refused N7', 'N7: max_versions = 2 admits the original and the target only');
SELECT is(sim.refused($$ SELECT zdu_cancel('shop') $$), 'ZD001 L5', 'L5: zdu_cancel is refused in MIXED');
SELECT is(sim.state('shop') || ' ' || sim.run('shop'), 'MIXED running', 'L5: and nothing changes');
SELECT is(sim.refused($$ SELECT zdu_finalize('shop') $$), 'ZD001 L9', 'L9: zdu_finalize is refused in MIXED');
SELECT is(sim.refused($$ SELECT zdu_finalize('shop', force => true) $$), 'ZD001 L18', 'L18: force too, with early_end = deny');
SELECT sim.stop('shop', 'app1');
SELECT is(sim.state('shop'), 'MIXED', 'L8: an upgraded node that is only OFFLINE still holds the cluster in MIXED');
SELECT is(sim.start('shop', 'app1', '1.0.0'), 'admitted', 'N7: the original joins in upgrade mode');
SELECT is(sim.state('shop'), 'READY_TO_UPGRADE', 'L8: gone back to the original, the cluster is READY_TO_UPGRADE again');
SELECT sim.start('shop', 'app1', '1.1.0'), zdu_remove_node('shop', 'app1');
SELECT is(sim.state('shop'), 'READY_TO_UPGRADE', 'L8: the same when every upgraded node has been removed');
SELECT is(zdu_cancel('shop'), 'STABLE', 'L8: and zdu_cancel works');
SELECT is((SELECT concat_ws(' ', version, original, target) FROM zdu.cluster WHERE name = 'shop'), '1.0.0',
          'L5: after zdu_cancel the cluster is at its original version');
SELECT is(sim.start('shop', 'app2', '1.1.0'), 'refused N7', 'N7: outside upgrade mode only the version of the cluster joins');

-- L6
SELECT pg_temp.ready('sick', 2);
SELECT zdu_heartbeat('sick', 'app2', state => 'ERROR');
SELECT is(zdu_cancel('sick'), 'STABLE', 'L6: an ERROR node does not forbid zdu_cancel in READY_TO_UPGRADE');

-- L9
SELECT pg_temp.ready('wide', 2, '{"max_versions": null}');
SELECT zdu_cancel('wide'), zdu_begin('wide', '1.1.1');
SELECT is(sim.start('wide', 'app1', '1.1.0'), 'admitted', 'N7: max_versions NULL admits what is between original and target');
SELECT is(sim.start('wide', 'app2', '1.1.2'), 'refused N7', 'N7: but nothing above the target');
SELECT sim.start('wide', 'app2', '1.1.1');
SELECT is(sim.state('wide'), 'MIXED', 'L9: two new versions that differ in the bug-fix part only stay MIXED');
SELECT sim.start('wide', 'app1', '1.1.1');
SELECT is(sim.state('wide'), 'READY_TO_RUN_UPGRADE_TASKS', 'L9: all nodes at one new version: READY_TO_RUN_UPGRADE_TASKS');
SELECT is(pg_temp.display('wide'), 'Active; Updated; 1.1.1', 'L21: then the display is "Active; Updated; x.x.x"');
SELECT verdict FROM zdu_join('wide', 'app1', '1.1.1', 'p1'), zdu_join('wide', 'app2', '1.1.1', 'p1') AS o (v);
SELECT is(sim.state('wide'), 'MIXED', 'L9: with none of them ACTIVE it is not');
SELECT zdu_heartbeat('wide', 'app1', state => 'ACTIVE');
SELECT is(sim.state('wide'), 'READY_TO_RUN_UPGRADE_TASKS', 'L9: one that is ACTIVE is enough');

-- L10, L17, L16: old nodes that are away
SELECT pg_temp.ready('away', 3);
SELECT sim.start('away', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT is(sim.state('away'), 'MIXED', 'L10: an old node that runs holds READY_TO_RUN_UPGRADE_TASKS back');
SELECT sim.stop('away', 'app3');
SELECT is(sim.state('away'), 'READY_TO_RUN_UPGRADE_TASKS', 'L10: confirmed OFFLINE it does not');
SELECT sim.start('away', 'app3', '1.0.0');
SELECT is(sim.state('away'), 'MIXED', 'L10: it counts again when it comes back');
SELECT sim.drive_until('away', $$ (SELECT state = 'OFFLINE' FROM zdu.node WHERE name = 'app3' AND NOT confirmed AND cluster_id =
    (SELECT cluster_id FROM zdu.cluster WHERE name = 'away')) FROM (SELECT sim.tick(7), zdu_heartbeat('away', '{app1,app2}'::text[])) AS beats $$);
SELECT is(sim.node('away', 'app3'), 'OFFLINE 1.0.0', 'N4: an unheard node is OFFLINE, not confirmed');
SELECT is(sim.state('away'), 'MIXED', 'L10: one that is merely unheard holds it back');
SELECT is(zdu_declare_down('away', 'app3', 'it was scrapped'), 'OFFLINE', 'L10: declared down by name, with a reason');
SELECT is(sim.state('away'), 'READY_TO_RUN_UPGRADE_TASKS', 'L10: it does not any more');
SELECT is((SELECT original::text FROM zdu.cluster WHERE name = 'away'), '1.0.0', 'L17: the original is still that of begin');
SELECT is(zdu_finalize('away'), 'STABLE', 'L13: zdu_finalize ends upgrade mode in its own transaction');
SELECT is(sim.node('away', 'app3'), NULL, 'L16: offline_at_end = drop forgets the node that was OFFLINE');
SELECT is(sim.start('away', 'app3', '1.0.0'), 'refused N8', 'L16: a dropped node does not join at the old version');
SELECT is(sim.start('away', 'app3', '1.1.0'), 'admitted', 'L16: a dropped node joins again at the version of the cluster');

SELECT pg_temp.ready('fence', 3, '{"offline_at_end": "fence"}');
SELECT sim.start('fence', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT sim.stop('fence', 'app3'), zdu_finalize('fence');
SELECT is(sim.node('fence', 'app3'), 'OFFLINE 1.0.0 confirmed fenced', 'L16: offline_at_end = fence keeps the node, fenced');
SELECT is(sim.start('fence', 'app3', '1.0.0'), 'refused L16', 'L16: a fenced node is refused at join');
SELECT is(sim.refused($$ SELECT zdu_begin('fence', '1.1.0') $$), 'ZD002 L19', 'L19: it is no reason for upgrade mode');
SELECT is(sim.start('fence', 'app3', '1.1.0'), 'admitted', 'L16: once upgraded it is welcome without a new begin');
SELECT is(sim.node('fence', 'app3'), 'ACTIVE 1.1.0', 'L16: and no longer fenced');

-- L11
SELECT pg_temp.ready('error', 2);
SELECT sim.start('error', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_heartbeat('error', 'app2', state => 'ERROR');
SELECT is(sim.refused($$ SELECT zdu_finalize('error') $$), 'ZD001 L11', 'L11: an ERROR node blocks zdu_finalize although all versions match');
SELECT zdu_declare_down('error', 'app2', 'it cannot be stopped');
SELECT is(zdu_finalize('error'), 'STABLE', 'L11: OFFLINE it no longer does');

-- L12
SELECT pg_temp.ready('dark', 2);
SELECT sim.stop('dark', n) FROM unnest('{app1,app2}'::text[]) AS n;
SELECT is(sim.refused($$ SELECT zdu_cancel('dark') $$), 'ZD001 L12', 'L12: with all nodes OFFLINE zdu_cancel is refused');
SELECT sim.start('dark', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_declare_down('dark', n, 'power cut') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT is(sim.state('dark'), 'READY_TO_RUN_UPGRADE_TASKS', 'L12: with nobody online the state stays what it was');
SELECT is(sim.refused($$ SELECT zdu_finalize('dark') $$), 'ZD001 L12', 'L12: and zdu_finalize is refused');
SELECT is((SELECT count(*) FROM zdu.node n JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'dark'), 2::bigint, 'L12: no node was dropped');

-- L18
SELECT pg_temp.ready('early', 3, '{"early_end": "force", "offline_at_end": "fence"}');
SELECT is(sim.refused($$ SELECT zdu_finalize('early', force => true) $$), 'ZD001 L9', 'L18: force ends nothing before the first new node');
SELECT sim.start('early', 'app1', '1.1.0'), sim.stop('early', 'app2');
SELECT is(sim.refused($$ SELECT zdu_finalize('early') $$), 'ZD001 L9', 'L18: early_end = force alone ends nothing early');
SELECT is(zdu_finalize('early', force => true, reason => 'the fair begins'), 'STABLE', 'L18: with force => true it does');
SELECT is(sim.node('early', n), s, format('L18: %s is %s', n, s))
FROM (VALUES ('app1', 'ACTIVE 1.1.0'), ('app2', 'OFFLINE 1.0.0 confirmed fenced'), ('app3', 'ACTIVE 1.0.0 fenced')) AS t (n, s);
SELECT is((zdu_heartbeat('early', 'app3')).command, 'stop', 'L18: an old node that still runs is told to stop');
SELECT is((zdu_heartbeat('early', 'app1')).command, 'serve', 'L18: the others serve');

-- finalize = auto
SELECT pg_temp.ready('auto', 2, '{"finalize": "auto"}');
SELECT sim.start('auto', 'app1', '1.1.0');
SELECT is(sim.state('auto'), 'MIXED', 'L13: finalize = auto ends nothing while an old node runs');
SELECT sim.start('auto', 'app2', '1.1.0');
SELECT is(sim.state('auto') || ' ' || sim.run('auto'), 'STABLE completed', 'L13: finalize = auto ends the upgrade with the last node');

-- L23: people bring the nodes back
SELECT pg_temp.ready('back', 3, '{"finalize": "auto"}');
SELECT sim.start('back', n, '1.1.0') FROM unnest('{app1,app2}'::text[]) AS n;
SELECT zdu_rollback('back', 'app2');
SELECT sim.start('back', n, v) FROM (VALUES ('app2', '1.0.0'), ('app1', '1.0.0'), ('app1', '1.1.0'), ('app2', '1.1.0')) AS t (n, v);
SELECT is(sim.state('back'), 'MIXED', 'L23: one node of a manual upgrade went back and forth again');
SELECT zdu_rollback('back');
SELECT sim.start('back', 'app1', '1.0.0');
SELECT is(sim.run('back'), 'rolling_back', 'L23: a manual rollback goes on while a new node runs');
SELECT sim.start('back', 'app2', '1.0.0');
SELECT is(sim.state('back') || ' ' || sim.run('back'), 'STABLE rolled_back', 'L23: and ends when the last one is back');

SELECT * FROM finish();
ROLLBACK;
