-- Promise: the folder of a node's version: the base for new ones, UpgradeFrom<original> beside it for old ones while two versions run.
BEGIN;
\ir sim.psql
SELECT plan(23);

CREATE FUNCTION pg_temp.assets(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(zdu_asset(c, n.name), ' ' ORDER BY n.name) FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;

SELECT sim.make_manual('shop', 3, '{"early_end": "force", "offline_at_end": "fence"}');
SELECT is(pg_temp.assets('shop'), 'Web Web Web', 'M4: outside upgrade mode there is one folder');
SELECT zdu_set_cluster('shop', vars => '{"assets": "//share/eft/Web"}');
SELECT is(zdu_asset('shop', 'app1'), '//share/eft/Web', 'M4: the variable assets tells which');
SELECT zdu_begin('shop', '1.1.0');
SELECT is(pg_temp.assets('shop'), '//share/eft/UpgradeFrom1.0.0 //share/eft/UpgradeFrom1.0.0 //share/eft/UpgradeFrom1.0.0', 'M4: in upgrade mode old nodes use the copy beside it');
SELECT sim.stop('shop', 'app2'), sim.start('shop', 'app2', '1.1.0');
SELECT is(pg_temp.assets('shop'), '//share/eft/UpgradeFrom1.0.0 //share/eft/Web //share/eft/UpgradeFrom1.0.0', 'M4: the first updated node uses the new one');
SELECT sim.start('shop', 'app2', '1.0.0');
SELECT is(zdu_asset('shop', 'app2'), '//share/eft/UpgradeFrom1.0.0', 'M4: when it goes back, the old one again');
SELECT sim.start('shop', 'app2', '1.1.0'), sim.stop('shop', 'app1');
SELECT zdu_finalize('shop', force => true, reason => 'x');
SELECT is(pg_temp.assets('shop'), '//share/eft/UpgradeFrom1.0.0 //share/eft/Web //share/eft/UpgradeFrom1.0.0', 'M4: who is left behind goes on with its own');
SELECT sim.stop('shop', 'app3'), sim.start('shop', 'app3', '1.1.0');
SELECT is(zdu_asset('shop', 'app3'), '//share/eft/Web', 'M4: until it is upgraded');

SELECT sim.make_manual('bank', 2);
SELECT zdu_begin('bank', '1.1.0');
CREATE FUNCTION pg_temp.beside(base text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN PERFORM zdu_set_cluster('bank', vars => jsonb_build_object('assets', base)); RETURN zdu_asset('bank', 'app1'); END $$;
SELECT is(pg_temp.beside(base), expected, format('M4: beside "%s" is %s', base, expected))
FROM (VALUES ('Web', 'UpgradeFrom1.0.0'), ('/srv/Web/', '/srv/UpgradeFrom1.0.0'), ('/Web', '/UpgradeFrom1.0.0'), ('', 'UpgradeFrom1.0.0'),
             ('https://cdn/x/Web', 'https://cdn/x/UpgradeFrom1.0.0')) AS t (base, expected);
SELECT zdu_set_node('bank', 'app2', vars => '{"assets": "/local/pages"}');
SELECT is(zdu_asset('bank', 'app2'), '/local/UpgradeFrom1.0.0', 'M4: a node may have its own');
SELECT zdu_cancel('bank');
SELECT is(zdu_asset('bank', 'app2'), '/local/pages', 'M4: when the upgrade is over everything is as before');

-- Bad calls, who may
SELECT is(sim.refused(statement), expected, rule || ': ' || statement) FROM (VALUES
    ('M4', $$ SELECT zdu_asset('nowhere', 'app1') $$, '42704 N11'), ('M4', $$ SELECT zdu_asset('bank', 'nobody') $$, '42704 M4'), ('M4', $$ SELECT zdu_asset('bank', NULL) $$, '22004 L22'),
    ('M7', $$ SELECT zdu_may_run('nowhere', 'app1', 'mail') $$, '42704 N11'), ('M7', $$ SELECT zdu_may_run('bank', 'nobody', 'mail') $$, '42704 M7'),
    ('M7', $$ SELECT zdu_may_run('bank', 'app1', NULL) $$, '22004 L22')) AS t (rule, statement, expected);
CREATE ROLE app;
SELECT zdu_grant('app', 'node');
GRANT USAGE ON SCHEMA sim TO app;
SET ROLE app;
SELECT is(zdu_asset('bank', 'app1'), 'https://cdn/x/Web', 'M4: a node''s login may ask');
SELECT ok(zdu_may_run('bank', 'app1', 'mail'), 'M7: a node''s login may ask');
RESET ROLE;
CREATE ROLE nobody;
SET ROLE nobody;
SELECT throws_ok($$ SELECT zdu_asset('bank', 'app1') $$, '42501', NULL, 'M4: nobody else may');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
