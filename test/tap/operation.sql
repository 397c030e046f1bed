-- Promise: named operations are refused in upgrade mode, one that runs refuses begin, and one that is not renewed does not for ever.
BEGIN;
\ir sim.psql
SELECT plan(37);

SELECT sim.make_manual('shop', 2, '{"version_step": "any"}');
SELECT sim.make_manual('bank', 2);
CREATE FUNCTION pg_temp.begin(c text, version text) RETURNS text LANGUAGE sql AS $$ SELECT sim.refused(format('SELECT zdu_begin(%L, %L)', c, version)) $$;

-- One that runs refuses begin
SELECT zdu_operation_begin('shop', 'backup', reason => 'nightly') AS token \gset
SELECT is(pg_temp.begin('shop', '1.1.0'), 'ZD002 M2', 'M2: while a backup runs no upgrade begins');
SELECT is((SELECT count(*) FROM zdu.upgrade), 0::bigint, 'M2: and nothing of one is left');
SELECT results_eq($$ SELECT rule, hint FROM zdu_why('shop', target => '1.1.0') WHERE verdict = 'no' $$,
                  format($$ VALUES ('M2', 'SELECT zdu_operation_end(''shop'', %s) -- if it is over') $$, :token), 'M2: zdu_why says so, and what helps');
SELECT results_eq($$ SELECT operation, state, caller = current_user, reason FROM zdu.operation_status WHERE cluster = 'shop' $$,
                  $$ VALUES ('backup', 'running', true, 'nightly') $$, 'M2: it is listed');
SELECT is(sim.refused($$ SELECT zdu_operation_begin('shop', 'backup') $$), 'ZD002 M2', 'M2: one of a name runs at a time');
SELECT zdu_operation_begin('shop', 'module-deploy') AS deploy \gset
SELECT is((SELECT string_agg(operation, ' ' ORDER BY operation) FROM zdu.operation_status WHERE cluster = 'shop' AND state = 'running'), 'backup module-deploy', 'M2: operations of different names do not mind each other');
SELECT is(pg_temp.begin('bank', '1.1.0'), 'not refused', 'M2: another cluster is not concerned');
SELECT is(zdu_operation_end('shop', :token), 'ended', 'M2: it ends');
SELECT is(pg_temp.begin('shop', '1.1.0'), 'ZD002 M2', 'M2: one of two is enough to refuse');
SELECT is(zdu_operation_end('shop', :deploy, 'done'), 'ended', 'M2: the other ends too');
SELECT is(sim.refused(format('SELECT zdu_operation_end(''shop'', %s)', :token)), 'ZD003 M2', 'M2: once');
SELECT is(pg_temp.begin('shop', '1.1.0'), 'not refused', 'M2: now the upgrade begins');

-- Refused in upgrade mode
SELECT is(sim.refused(format('SELECT zdu_operation_begin(''shop'', %L)', operation)), 'ZD002 M2', 'M2: refused in upgrade mode: ' || operation)
FROM unnest('{backup,restore,module-deploy}'::text[]) operation;
SELECT sim.start('shop', 'app1', '1.1.0');
SELECT is(sim.refused($$ SELECT zdu_operation_begin('shop', 'backup') $$), 'ZD002 M2', 'M2: in MIXED too');
SELECT sim.start('shop', 'app2', '1.1.0');
SELECT is(sim.refused($$ SELECT zdu_operation_begin('shop', 'backup') $$), 'ZD002 M2', 'M2: and when every node is new');
SELECT zdu_finalize('shop');
SELECT zdu_operation_begin('shop', 'backup', '10 s') AS token \gset
SELECT cmp_ok(:token, '>', 0, 'M2: after the upgrade it may begin');

-- Leases
SELECT sim.tick(9);
SELECT is(pg_temp.begin('shop', '1.2.0'), 'ZD002 M2', 'M2: its lease keeps upgrades away');
SELECT is(date_trunc('second', zdu_operation_renew('shop', :token)), date_trunc('second', zdu_clock() + interval '10 s'), 'M2: it can be renewed');
SELECT sim.tick(9);
SELECT is(pg_temp.begin('shop', '1.2.0'), 'ZD002 M2', 'M2: and goes on keeping them away');
SELECT sim.tick(2);
SELECT results_eq($$ SELECT state FROM zdu.operation_status WHERE ended_at IS NULL $$, $$ VALUES ('not renewed') $$, 'M2: when the lease is over the list says so');
SELECT is(date_trunc('second', zdu_operation_renew('shop', :token, '1 h')), date_trunc('second', zdu_clock() + interval '1 h'), 'M2: as long as nothing has begun it may still be renewed');
SELECT is(pg_temp.begin('shop', '1.2.0'), 'ZD002 M2', 'M2: and counts again');
SELECT zdu_operation_renew('shop', :token, '5 s'), sim.tick(6);
SELECT is(pg_temp.begin('shop', '1.2.0'), 'not refused', 'M2: one that is not renewed does not keep upgrades away for ever');
SELECT is(sim.refused(format('SELECT zdu_operation_renew(''shop'', %s)', :token)), 'ZD003 M2', 'M2: it is told when it comes too late');
SELECT is(sim.refused(format('SELECT zdu_operation_end(''shop'', %s)', :token)), 'ZD003 M2', 'M2: also when it thinks that it is done');
SELECT results_eq($$ SELECT old, new, rule FROM zdu.timeline WHERE what = 'operation' AND cluster = 'shop' ORDER BY at DESC LIMIT 1 $$,
                  format($$ VALUES ('backup %s', 'expired', 'M2') $$, :token), 'M2: the log tells');
SELECT zdu_cancel('shop');
SELECT zdu_operation_begin('shop', 'backup', '1 s') AS old \gset
SELECT sim.tick(2);
SELECT isnt(zdu_operation_begin('shop', 'backup'), :old::bigint, 'M2: nor does it keep the next one of its name away');
SELECT is(sim.refused(format('SELECT zdu_operation_renew(''shop'', %s)', :old)), 'ZD003 M2', 'M2: the token of the first is void');

-- Bad calls
SELECT is(sim.refused(statement), expected, 'M2: ' || statement) FROM (VALUES
    ($$ SELECT zdu_operation_begin('nowhere', 'backup') $$, '42704 N11'), ($$ SELECT zdu_operation_begin('shop', '') $$, '22023 M2'),
    ($$ SELECT zdu_operation_begin('shop', NULL) $$, '22004 L22'), ($$ SELECT zdu_operation_begin('shop', 'restore', '-1 s') $$, '22023 M2'),
    ($$ SELECT zdu_operation_end('shop', -1) $$, '42704 M2'), ($$ SELECT zdu_operation_renew('bank', 1) $$, '42704 M2')) AS t (statement, expected);
SELECT sim.tick(100), zdu_prune('1 s');
SELECT set_eq($$ SELECT state FROM zdu.operation_status $$, $$ VALUES ('running') $$, 'M2: old ones are pruned, those that run are not');

SELECT * FROM finish();
ROLLBACK;
