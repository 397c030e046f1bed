-- Promise: finalization tasks run once each, in order, by one worker at a time, and after a failure only zdu_retry goes on.
BEGIN;
SELECT plan(20);
\ir sim.psql

SELECT sim.make('shop', 2, '{}', '{"after": [
    {"exec": "svc", "args": ["prepare"], "until": "$.prepared == true"},
    {"exec": "svc", "args": ["task"], "until": "$.task == true"}]}');
SELECT sim.break('shop', '', 'task');
SELECT zdu_begin('shop', '1.1.0');
SELECT sim.drive_until('shop', $$ sim.state('shop') = 'READY_TO_RUN_UPGRADE_TASKS' AND NOT EXISTS (SELECT FROM zdu.node WHERE taken) $$);
SELECT is(sim.acts('shop', ''), NULL, 'L13: no task runs before zdu_finalize');
SELECT is(zdu_finalize('shop'), 'RUNNING_UPGRADE_TASKS', 'L13: with tasks zdu_finalize leads to RUNNING_UPGRADE_TASKS');
SELECT is((SELECT display FROM zdu.status), 'Active; Finalizing; 1.1.0', 'L21: and the display says so');

SELECT sim.ask('shop', w) FROM unnest('{w1,w2}'::text[]) AS w;
SELECT is((SELECT count(*) FROM sim.answer WHERE token IS NOT NULL), 1::bigint, 'L14: a task is granted to one worker at a time');
SELECT is(sim.drive('shop', 'held'), 'held', 'L15: a task that fails holds the upgrade');
SELECT is(sim.state('shop'), 'UPGRADE_TASKS_FAILED', 'L15: and gives UPGRADE_TASKS_FAILED');
SELECT is((SELECT waits_for FROM zdu.status), 'L15: after task 2 failed, attempt 1; SELECT * FROM zdu_why(''shop'')', 'L22: which of them is told, by its place where it has no name');
SELECT is((SELECT string_agg(DISTINCT step, ', ') FROM zdu_log('shop') WHERE node IS NULL), 'after task 1, after task 2', 'L22: by zdu_log as well');
SELECT matches(sim.refused('SELECT ' || call), '^ZD00[12] [A-Z]', format('L15: %s is refused then', call))
FROM unnest(ARRAY['zdu_begin(''shop'', ''1.2.0'')', 'zdu_pause(''shop'')', 'zdu_resume(''shop'')', 'zdu_cancel(''shop'')',
                  'zdu_rollback(''shop'')', 'zdu_finalize(''shop'')']) AS call;
SELECT is(sim.state('shop') || ' ' || sim.run('shop'), 'UPGRADE_TASKS_FAILED held', 'L15: and nothing has changed');
SELECT sim.mend('shop');
SELECT is(zdu_retry('shop'), 1, 'L15: zdu_retry is legal');
SELECT is(sim.state('shop'), 'RUNNING_UPGRADE_TASKS', 'L15: and runs the tasks again');
SELECT is(sim.drive('shop', 'completed') || ' ' || sim.state('shop'), 'completed STABLE', 'L15: to the end');
SELECT is(sim.acts('shop', ''), 'prepare task task', 'L14, L15: what was done is not done again');
SELECT is((SELECT version::text FROM zdu.cluster), '1.1.0', 'L13: the cluster is at the new version');

SELECT * FROM finish();
ROLLBACK;
