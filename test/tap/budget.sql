-- Promise: never more nodes are unavailable than the policy allows, each counted once, and the last one that serves is not touched.
BEGIN;
SELECT plan(52);
\ir sim.psql

CREATE FUNCTION pg_temp.unavailable(c text) RETURNS int LANGUAGE sql AS $$ SELECT unavailable FROM zdu.cluster_facts WHERE name = c $$;
CREATE FUNCTION pg_temp.taken(c text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(n.name, ' ' ORDER BY n.name), 'none') FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND taken $$;
CREATE FUNCTION pg_temp.exchange(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;

SELECT is(zdu_limit(share, total), n, format('D10: %s of %s is %s', share, total, n))
FROM (VALUES ('1', 5, 1), ('3', 5, 3), ('5', 5, 4), ('9', 5, 4), ('33%', 3, 1), ('33%', 2, 1), ('33%', 7, 2), ('50%', 5, 2),
             ('100%', 4, 3), ('1%', 10, 1), ('1', 1, 1), ('100%', 1, 1)) AS t (share, total, n);
SELECT throws_ok(format('SELECT zdu_set_policy(''senseless'', settings => %L)', jsonb_build_object('max_unavailable', bad)), '23514', NULL,
                 format('D10: max_unavailable %s is refused', bad))
FROM unnest('{0,0%,101%,-1,1.5,all}'::text[]) AS bad;

-- As many at a time as the policy says, by whatever number of workers.
SELECT sim.make(c, n, jsonb_build_object('max_unavailable', share, 'finalize', 'auto')), zdu_begin(c, '1.1.0')
FROM (VALUES ('two', 5, '2'), ('third', 7, '33%'), ('all', 4, '100%')) AS t (c, n, share);
SELECT sim.ask('two', 'w1', 1), sim.ask('two', 'w2', 9);
SELECT is(pg_temp.taken('two'), 'app1 app2', 'D10: two at a time, whichever worker takes them');
SELECT is(sim.drive(c, 'completed'), 'completed', format('D10: cluster %s is rolled', c)) FROM unnest('{two,third,all}'::text[]) AS c WHERE c <> 'two';
SELECT is(serving, n, format('D10: in cluster %s %s nodes served at the least', cluster, n))
FROM sim.lowest JOIN (VALUES ('third', 5), ('all', 1)) AS t (cluster, n) USING (cluster) ORDER BY 1;
SELECT sim.ask('two', 'w2', 0), sim.tick(1.1), sim.ask('two', 'w1', 0) FROM generate_series(1, 60);
SELECT ok((SELECT serving FROM sim.lowest WHERE cluster = 'two') >= 3, 'D10: nor do two workers overdraw it');

-- N2: a node is begun only after the last one is ACTIVE again.
SELECT sim.make('slow', 3), sim.break('slow', 'app1', 'start', 'sticks'), zdu_begin('slow', '1.1.0');
SELECT sim.drive_until('slow', $$ sim.node('slow', 'app1') LIKE 'STARTING%' $$), pg_temp.exchange('slow', 20);
SELECT is(sim.node('slow', 'app1') || ', ' || pg_temp.taken('slow'), 'STARTING 1.0.0 out taken, app1', 'N2: STARTING does not count as ACTIVE');

-- D12: each counts once.
SELECT is(pg_temp.unavailable('slow'), 1, 'D12: a node that is STARTING, out of rotation and taken counts once');

-- D12: confirmed down costs nothing, and goes first.
CREATE FUNCTION pg_temp.one_down(c text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 4);
    UPDATE sim.world SET running = false WHERE cluster = c AND node = 'app3';
    FOR i IN 1..20 LOOP PERFORM sim.ask(c), sim.tick(5); END LOOP;
END $$;
SELECT pg_temp.one_down('down');
SELECT is(sim.node('down', 'app3'), 'OFFLINE 1.0.0 confirmed', 'L10: a refused connection is a confirmed OFFLINE');
SELECT zdu_begin('down', '1.1.0'), sim.ask('down');
SELECT is(pg_temp.taken('down'), 'app3', 'D12: with the budget full, a node that is confirmed down is taken, and no other');
SELECT sim.drive_until('down', $$ pg_temp.taken('down') = 'app1' $$);
SELECT is(sim.node('down', 'app3') || ', ' || pg_temp.taken('down'), 'ACTIVE 1.1.0, app1', 'D12: the next one when it is back');

-- D12: merely unheard costs a place.
SELECT sim.make('quiet', 4), sim.break('quiet', 'app3', 'health', 'sticks');
SELECT sim.ask('quiet'), sim.tick(5) FROM generate_series(1, 20);
SELECT is(sim.node('quiet', 'app3'), 'OFFLINE 1.0.0', 'N4: a node that nobody can see is OFFLINE, not confirmed');
SELECT zdu_begin('quiet', '1.1.0'), pg_temp.exchange('quiet', 3);
SELECT is(pg_temp.taken('quiet'), 'none', 'D12: one that is merely unheard waits for a free place, and so do the others');
SELECT is((SELECT rule || ' ' || left(hint, 33) FROM zdu_why('quiet') WHERE verdict = 'no'), 'D12 SELECT zdu_declare_down(''quiet'', ',
          'D12: zdu_why says so, and how it goes on');
SELECT zdu_declare_down('quiet', 'app3', 'looked at it'), sim.ask('quiet');
SELECT is(pg_temp.taken('quiet'), 'app3', 'D12: declared down it is taken');

-- D13, N6: by hand from the same budget.
SELECT sim.make('hand', 4);
SELECT is(zdu_detach('hand', 'app2', 'to look at it'), 'detached', 'N6: a node can be taken out of rotation by hand');
SELECT is(zdu_detach('hand', 'app2'), 'unchanged', 'N6: once');
SELECT is(sim.refused($$ SELECT zdu_detach('hand', 'app3') $$), 'ZD002 D10', 'D13: at the price of the same budget');
SELECT is((SELECT running || ' ' || rotation FROM sim.world WHERE cluster = 'hand' AND node = 'app2'), 'true in', 'N6: it is a wish at first');
SELECT pg_temp.exchange('hand', 10);
SELECT is(sim.node('hand', 'app2'), 'ACTIVE 1.0.0 out', 'N6: workers carry it out');
SELECT zdu_begin('hand', '1.1.0'), sim.ask('hand');
SELECT is(pg_temp.taken('hand'), 'app2', 'D13: the upgrade takes what is detached already, and no other');
SELECT sim.drive_until('hand', $$ pg_temp.taken('hand') = 'none' $$), pg_temp.exchange('hand', 5);
SELECT is(sim.node('hand', 'app2') || ', ' || pg_temp.taken('hand'), 'ACTIVE 1.1.0 out, none', 'N6: upgraded, it stays out, and the upgrade waits for its place');
SELECT is(zdu_attach('hand', 'app2'), 'attached', 'N6: it can be put back at any time');
SELECT sim.drive_until('hand', $$ pg_temp.taken('hand') <> 'none' $$);
SELECT is(sim.node('hand', 'app2') || ', ' || pg_temp.taken('hand'), 'ACTIVE 1.1.0, app1', 'D13: and the upgrade goes on');
SELECT is(sim.refused($$ SELECT zdu_detach('hand', 'app4') $$), 'ZD002 D10', 'D13: while a node is in flight no other is detached');

-- N6: said again, somebody looks; what is in rotation is left alone.
SELECT sim.make('again', 3);
SELECT is(zdu_attach('again', 'app2'), 'unchanged', 'N6: that it is to be in rotation was known');
SELECT pg_temp.exchange('again', 10);
SELECT is(coalesce(sim.acts('again', 'app2'), 'untouched'), 'untouched', 'N6: where it is, nothing is done');
UPDATE sim.world SET rotation = 'out' WHERE cluster = 'again' AND node = 'app2';
SELECT zdu_attach('again', 'app2'), pg_temp.exchange('again', 10);
SELECT is((SELECT rotation FROM sim.world WHERE cluster = 'again' AND node = 'app2'), 'in', 'N6: where the load balancer forgot it, it is put back');
-- N6: a wish that comes while its node is in flight.
SELECT sim.make('late', 3), zdu_detach('late', 'app1');
SELECT pg_temp.exchange('late', 10), zdu_begin('late', '1.1.0'), sim.ask('late');
SELECT zdu_attach('late', 'app1'), sim.drive_until('late', $$ pg_temp.taken('late') <> 'app1' $$), pg_temp.exchange('late', 10);
SELECT is(sim.node('late', 'app1') || ', ' || (SELECT rotation FROM sim.world WHERE cluster = 'late' AND node = 'app1'), 'ACTIVE 1.1.0, in',
          'N6: taken while detached and attached meanwhile, it is put back at the end of its way');

-- D14
SELECT sim.make('last', 1);
SELECT is(sim.refused($$ SELECT zdu_detach('last', 'app1') $$), 'ZD002 D14', 'D14: the last node that serves is not detached');
SELECT sim.make('left', 2), zdu_begin('left', '1.1.0');
SELECT zdu_remove_node('left', 'app2'), pg_temp.exchange('left', 5);
SELECT is((SELECT rule || ' ' || hint FROM zdu_why('left') WHERE subject = 'keeps_last_node'), $$D14 SELECT zdu_waive('left', 'D10', 'reason')$$, 'D14: where the others were removed zdu_why says how the last one can be taken');
SELECT sim.make_manual('pair', 2), zdu_begin('pair'), zdu_heartbeat('pair', 'app2', state => 'ERROR');
SELECT is(sim.refused($$ SELECT zdu_remove_node('pair', 'app1') $$), 'ZD002 D14', 'D14: nor removed');
SELECT sim.make('dark', 2, '{"max_unavailable": "2"}');
UPDATE sim.world SET running = false WHERE cluster = 'dark' AND node = 'app2';
SELECT sim.ask('dark'), sim.tick(5) FROM generate_series(1, 10);
SELECT sim.break('dark', 'app2', 'start', 'sticks'), zdu_begin('dark', '1.1.0'), pg_temp.exchange('dark', 20);
SELECT is(pg_temp.taken('dark') || ', ' || coalesce(sim.acts('dark', 'app1'), 'untouched'), 'app2, untouched', 'D14: nor taken while nobody else serves');
SELECT is((SELECT min(serving) FROM sim.lowest WHERE cluster NOT IN ('last', 'left')), 1, 'D14: in every roll above at least one node served at every moment');

SELECT * FROM finish();
ROLLBACK;
