-- Promise: an old worker or node never gets an instruction that its protocol does not know; that is no error, a new worker gets it.
BEGIN;
\ir sim.psql
SELECT plan(30);

-- What a worker of a protocol is told, without carrying it out.
CREATE FUNCTION pg_temp.told(c text, w text, p int, reports json DEFAULT '[]') RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(concat_ws(' ', verb, phase, node, sqlstate), ', ' ORDER BY phase, node), 'nothing') FROM zdu_work(w, w, c, reports, 10, programs => '{svc}', protocol => p) $$;

-- Steps: `sessions` came with protocol 2
SELECT sim.make('shop', 2, runbook => '{"node": {"stop": {"exec": "svc", "args": ["stop"], "sessions": "service=x", "until": "$.running == false"}}}');
SELECT count(*) FROM zdu_work('w1', 'w1-1', 'shop', leaving => true, programs => '{svc}');
SELECT zdu_begin('shop', '1.1.0');
SELECT is(pg_temp.told('shop', 'old', 1), 'nothing', 'M6: a worker that does not know all of a node''s steps does not take it');
SELECT is(pg_temp.told('shop', 'old', 1), 'nothing', 'M6: however often it asks, and that is no error');
SELECT is((SELECT count(*) FROM zdu.node WHERE taken), 0::bigint, 'M6: the node is not taken');
SELECT results_eq($$ SELECT verdict, rule, observed FROM zdu_why('shop') WHERE subject = 'programs' $$,
                  $$ VALUES ('no', 'M6', 'no worker speaks protocol/2, which runbook "shop" needs') $$, 'M6: zdu_why says why nothing happens');
SELECT is(pg_temp.told('shop', 'new', 2), 'probe isolate app1', 'M6: a new worker gets it');
SELECT is_empty($$ SELECT FROM zdu_why('shop') WHERE rule = 'M6' $$, 'M6: and zdu_why is content');

-- A node that a new worker has taken may be gone on with by an old one, as far as it knows how
CREATE FUNCTION pg_temp.report(state text, evidence text) RETURNS json LANGUAGE sql AS
$$ SELECT json_build_array(json_build_object('token', epoch || '.' || number, 'verb', CASE stage WHEN 'act' THEN 'act' ELSE 'probe' END, 'state', $1, 'evidence', $2::json))
   FROM zdu.step WHERE state = 'running' AND cluster_id = (SELECT cluster_id FROM zdu.cluster WHERE name = 'shop') $$;
SELECT count(*) FROM zdu_work('new', 'new', 'shop', pg_temp.report('released', '{"ended": true}'), leaving => true, programs => '{svc}');
SELECT sim.tick(2);
SELECT is(pg_temp.told('shop', 'old', 1), 'probe isolate app1', 'M6: an old worker goes on with a step that it knows');
SELECT pg_temp.told('shop', 'old', 1, pg_temp.report('done', '{"rotation": "out"}'));
SELECT is(sim.step('shop', 'app1'), 'drain running look 1', 'M6: and with the next one');
SELECT is(pg_temp.told('shop', 'old', 1, pg_temp.report('done', '{"requests": 0}')), 'nothing', 'M6: but is not given the one that it does not know');
SELECT alike(sim.step('shop', 'app1'), 'stop pending look%', 'M6: which waits');
SELECT is(pg_temp.told('shop', 'new', 2), 'probe stop app1', 'M6: for a new one');

-- Watches, and looks at nodes
SELECT sim.make('guarded', 2, runbook => '{"guard": [{"exec": "svc", "args": ["guard"], "until": "$.ok == true", "every": "1s"}]}');
SELECT zdu_begin('guarded', '1.1.0');
SELECT sim.tick(2);
SELECT unalike(pg_temp.told('guarded', 'old', 1), '%guard%', 'M6: a watch is not for a worker that could not say which one it looked at');
SELECT sim.tick(2);
SELECT alike(pg_temp.told('guarded', 'new', 2), '%guard%', 'M6: it is for a new one');
SELECT sim.make('seen', 2, runbook => '{"observe": {"exec": "svc", "args": ["health"], "sessions": "service=x", "version": "$.version", "active": "$.running == true"}}');
SELECT sim.tick(60);
SELECT is(pg_temp.told('seen', 'old', 1), 'nothing', 'M6: nodes that an old worker does not know how to look at are not shown to it');
SELECT is(pg_temp.told('seen', 'new', 2), 'probe observe app1, probe observe app2', 'M6: but to a new one');

-- A runbook that says nothing new
SELECT sim.make('plain', 2);
SELECT zdu_begin('plain', '1.1.0');
SELECT is(pg_temp.told('plain', 'old', 1), 'probe isolate app1', 'M6: the previous protocol is served in full otherwise');

-- Numbers that are not served
SELECT is(sim.refused(format('SELECT zdu_work(''w'', ''1'', ''shop'', protocol => %s)', p)), '22023 M6', format('M6: protocol %s is not served', p))
FROM unnest('{0,3,"NULL"}'::text[]) p;

-- Nodes: whatever happens, there are three commands
SELECT sim.make_manual('nodes', 3, '{"early_end": "force", "max_unavailable": "2", "offline_at_end": "fence"}');
CREATE TEMP TABLE heard (command text);
CREATE FUNCTION pg_temp.beat(n text, s text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    SELECT command INTO said FROM zdu_heartbeat('nodes', n, state => s);
    INSERT INTO heard VALUES (said);
    INSERT INTO heard SELECT b.command FROM zdu_heartbeat('nodes', '{app1,app2,app3}'::text[]) b;
    RETURN said;
END $$;
SELECT is(pg_temp.beat('app1', s), command, format('M6: a node that says %s is told to %s', s, command))
FROM (VALUES ('ACTIVE', 'serve'), ('ERROR', 'serve'), ('ACTIVE', 'serve'), ('DRAINING', 'drain'), ('TERMINATING', 'drain'), ('OFFLINE', 'serve'), ('STARTING', 'serve'), ('ACTIVE', 'serve')) AS t (s, command);
SELECT zdu_detach('nodes', 'app1');
SELECT is(pg_temp.beat('app1', NULL), 'drain', 'M6: a detached one, to drain');
SELECT zdu_attach('nodes', 'app1'), zdu_begin('nodes', '1.1.0'), sim.start('nodes', 'app2', '1.1.0');
SELECT pg_temp.beat('app1', NULL);
SELECT zdu_finalize('nodes', force => true, reason => 'x');
SELECT is(pg_temp.beat('app1', NULL), 'stop', 'M6: one that is left behind, to stop');
SELECT set_eq('SELECT DISTINCT command FROM heard', '{serve,drain,stop}'::text[], 'M6: there is no other command, which an old node would not know');

SELECT * FROM finish();
ROLLBACK;
