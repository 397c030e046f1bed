-- Promise: a step looks before it acts, believes only what is observed, and answers to one token at a time.
BEGIN;
SELECT plan(54);
\ir sim.psql

-- The verb that a worker is given for a phase of a node, and the token.
CREATE FUNCTION pg_temp.verb(c text, w text, p text) RETURNS text LANGUAGE sql AS
$$ SELECT verb FROM sim.answer a WHERE a.cluster = c AND a.worker = w AND a.phase = p AND token IS NOT NULL $$;
CREATE FUNCTION pg_temp.token(c text, w text) RETURNS text LANGUAGE sql AS
$$ SELECT token FROM sim.answer a WHERE a.cluster = c AND a.worker = w AND token IS NOT NULL ORDER BY node LIMIT 1 $$;
-- What becomes of one report: the SQLSTATE of its error row, or 'taken'.
CREATE FUNCTION pg_temp.report(c text, w text, report json) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(sqlstate, ' ') FILTER (WHERE verb = 'error'), 'taken')
   FROM zdu_work(w, w || '-1', c, json_build_array(report), 0, programs => '{svc}') $$;
CREATE FUNCTION pg_temp.reason(c text, n text, wanted text) RETURNS text LANGUAGE sql AS
$$ SELECT reason FROM zdu.event e WHERE e.cluster = c AND e.node = n AND e.new = wanted ORDER BY event_id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.held(c text) RETURNS text LANGUAGE sql AS
$$ SELECT run || ' ' || held_rule FROM zdu.upgrade JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c $$;

-- Timeouts and lease are the policy's.
SELECT sim.make('shop', 2, '{"lease": "20 s", "drain_timeout": "2 min", "stop_timeout": "3 min", "start_timeout": "4 min", "min_healthy_time": "5 s"}');
SELECT zdu_begin('shop', '1.1.0'), sim.ask('shop');
SELECT results_eq($$ SELECT phase, timeout FROM zdu.step s JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'shop' ORDER BY ord $$,
                  $$ VALUES ('isolate', 300::float8), ('drain', 120), ('stop', 180), ('upgrade', 300), ('start', 240), ('verify', 240), ('integrate', 300), ('soak', 245) $$,
                  'W1: a phase''s timeout is that of the policy where the runbook says none');
SELECT is((SELECT lease FROM sim.answer WHERE token IS NOT NULL), 20::float8, 'W4: and so is the lease');
SELECT is((SELECT deadline FROM sim.answer WHERE token IS NOT NULL), 300::float8, 'W1: whoever is given a step is told how long it may take');

-- W4: look, act, look.
SELECT is(pg_temp.verb('shop', 'w1', 'isolate'), 'probe', 'W4: a step begins with a look');
SELECT sim.ask('shop');
SELECT is(pg_temp.verb('shop', 'w1', 'isolate'), 'act', 'W4: what the look does not find is done');
SELECT ok((SELECT deadline > 200 AND deadline <= 300 FROM sim.answer WHERE verb = 'act'), 'W1: and then how long is left');
SELECT is((SELECT args->'env'->>'ZDU_TOKEN' FROM sim.answer WHERE verb = 'act'), pg_temp.token('shop', 'w1'), 'W5: the token is handed to the action');
SELECT is((SELECT args->'env'->>'ZDU_VERSION' FROM sim.answer WHERE verb = 'act'), '1.1.0', 'W1: and so is the version, the target going forward');
SELECT is(sim.node('shop', 'app1'), 'DRAINING 1.0.0 taken', 'W3: told to isolate, the node is not isolated yet');
SELECT sim.ask('shop');
SELECT is(pg_temp.verb('shop', 'w1', 'isolate'), 'probe', 'W6: after the action the look decides');
SELECT is(sim.node('shop', 'app1'), 'DRAINING 1.0.0 taken', 'W3: an accepted command is not completion');
SELECT sim.ask('shop');
SELECT is(sim.node('shop', 'app1'), 'DRAINING 1.0.0 out taken', 'W6: once observed it is isolated');
SELECT is(pg_temp.verb('shop', 'w1', 'drain'), 'probe', 'W1: the next step comes in the same answer');
SELECT sim.drive_until('shop', $$ sim.node('shop', 'app1') = 'ACTIVE 1.1.0' $$);
SELECT set_eq($$ SELECT DISTINCT count(*)::int FROM sim.act WHERE cluster = 'shop' GROUP BY token $$, '{1}'::int[], 'W5: a token is acted for once');
SELECT ok(bool_and(n > before), 'W5: a later grant has a higher token')
FROM (SELECT split_part(token, '.', 2)::bigint AS n, lag(split_part(token, '.', 2)::bigint, 1, 0::bigint) OVER (ORDER BY ord) AS before FROM sim.act) AS t;

-- W4: what is there already is not done again.
SELECT sim.make('there', 2), zdu_begin('there', '1.1.0');
SELECT sim.drive_until('there', $$ sim.step('there', 'app1') LIKE 'drain%' $$);
UPDATE sim.world SET running = false, installed = '1.1.0' WHERE cluster = 'there' AND node = 'app1';
SELECT sim.drive_until('there', $$ sim.node('there', 'app1') = 'ACTIVE 1.1.0' $$);
SELECT is(sim.acts('there', 'app1'), 'isolate start integrate', 'W4: what the first look finds done is not done again');
SELECT is(pg_temp.reason('there', 'app1', 'stop succeeded'), 'seen before anything was done', 'W4: and the event says so');

-- W4, W5: a worker dies while it acts.
CREATE FUNCTION pg_temp.dies(c text, effect boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 2, '{"stop_timeout": "1 min"}'), sim.break(c, 'app1', 'stop', 'sticks'), zdu_begin(c, '1.1.0');
    PERFORM sim.drive_until(c, format($c$ sim.acts(%L, 'app1') = 'isolate stop' $c$, c));
    UPDATE sim.world SET running = NOT effect WHERE cluster = c AND node = 'app1';
    PERFORM sim.mend(c);
END $$;

SELECT pg_temp.dies('dead', true);
SELECT pg_temp.token('dead', 'w1') AS old \gset
SELECT is(sim.step('dead', 'app1'), 'stop running act 1', 'W4: a worker is in the middle of an action');
SELECT sim.drive_until('dead', $$ sim.step('dead', 'app1') LIKE 'stop unknown%' $$, 'w2');
SELECT matches(sim.step('dead', 'app1'), '^stop unknown', 'W4: its lease lost, what it did is unknown');
SELECT sim.ask('dead', 'w2');
SELECT is(pg_temp.token('dead', 'w2'), NULL, 'W4: nobody else is told to act while the action may still run');
SELECT is(pg_temp.report('dead', 'w1', json_build_object('token', :'old', 'verb', 'act', 'state', 'running')), 'taken',
          'W5: its token is good until somebody takes over');
SELECT ok(sim.drive_until('dead', $$ pg_temp.verb('dead', 'w2', 'stop') = 'probe' $$, 'w2'), 'W4: after the action''s own timeout another worker looks first');
SELECT is(pg_temp.report('dead', 'w1', json_build_object('token', :'old', 'verb', 'act', 'state', 'done', 'evidence', '{}'::json)), 'ZD003',
          'W5: from then on the old token is stale');
SELECT sim.drive_until('dead', $$ sim.node('dead', 'app1') = 'ACTIVE 1.1.0' $$, 'w2');
SELECT is(sim.acts('dead', 'app1'), 'isolate stop upgrade start integrate', 'W4: what the dead worker had done is not done again');

SELECT pg_temp.dies('undone', false);
SELECT sim.drive_until('undone', $$ sim.node('undone', 'app1') = 'ACTIVE 1.1.0' $$, 'w2', rounds => 250);
SELECT is(sim.acts('undone', 'app1'), 'isolate stop stop upgrade start integrate', 'W4: what it had not done is');
SELECT is((SELECT max(attempt) FROM sim.act WHERE cluster = 'undone' AND action = 'stop'), 1, 'W4: taking over is not another attempt');

-- With the word that nothing of it runs, nobody waits.
SELECT pg_temp.dies('word', false);
SELECT is(pg_temp.report('word', 'w1', json_build_object('token', pg_temp.token('word', 'w1'), 'state', 'released', 'evidence', '{"ended": true}'::json)),
          'taken', 'W4: a worker hands its step back');
SELECT sim.ask('word', 'w2');
SELECT is(pg_temp.verb('word', 'w2', 'stop'), 'probe', 'W4: with its word that the action has ended another one goes on at once');

-- W5: whose token, and what a bad report does to its neighbours.
SELECT sim.make('bad', 3, '{"max_unavailable": "2"}'), zdu_begin('bad', '1.1.0'), sim.ask('bad');
SELECT pg_temp.token('bad', 'w1') AS mine \gset
SELECT is(pg_temp.report('bad', w, r::json), s, 'W5: ' || what)
FROM (VALUES
    ('w2', format('{"token": "%s", "verb": "probe", "state": "done", "evidence": {"rotation": "out"}}', :'mine'), 'ZD003', 'another worker''s token is refused'),
    ('w1', '{"token": "9.1", "verb": "probe", "state": "done", "evidence": {}}', 'ZD003', 'an unknown token is refused'),
    ('w1', '{"token": "x", "verb": "probe", "state": "done", "evidence": {}}', 'ZD003', 'so is one that is no token'),
    ('w1', format('{"token": "%s", "verb": "dance", "state": "done"}', :'mine'), '22023', 'a verb that does not exist is refused'),
    ('w1', format('{"token": "%s", "verb": "probe", "state": "done", "evidence": "fine"}', :'mine'), '22023', 'evidence that is no object is refused'),
    ('w1', '[1]', '22023', 'a report that is no object is refused'),
    ('w1', '{"node": "nobody", "seen": {}}', '42704', 'an unknown node is refused')
) AS t (w, r, s, what);
SELECT is(sim.step('bad', 'app1'), 'isolate running look 1', 'W5: none of these has changed the step');
SELECT is((SELECT string_agg(sqlstate, ' ') FROM zdu_work('w1', 'w1-1', 'bad', json_build_array(
               '{"token": "9.1", "verb": "probe", "state": "done", "evidence": {}}'::json,
               json_build_object('token', :'mine', 'verb', 'probe', 'state', 'done', 'evidence', '{"rotation": "in"}'::json)))),
          'ZD003', 'W5: a bad report gets its error row');
SELECT is(sim.step('bad', 'app1'), 'isolate running act 1', 'W5: and its neighbour is carried out');
SELECT is(pg_temp.report('bad', 'w1', json_build_object('token', :'mine', 'verb', 'act', 'state', 'done', 'evidence', '{}'::json)) ||
          pg_temp.report('bad', 'w1', json_build_object('token', :'mine', 'verb', 'act', 'state', 'done', 'evidence', '{}'::json)),
          'takentaken', 'W5: the same report twice is the same once');
SELECT is((SELECT count(*) FROM zdu_work('w3', 'w3-1', 'bad', slots => 5) WHERE token IS NOT NULL), 0::bigint, 'W1: a worker without the program gets no step that wants it');

-- W6: the action says done and does nothing.
SELECT sim.make('lie', 2, '{"start_timeout": "20 s"}'), sim.break('lie', 'app1', 'start', 'lies'), zdu_begin('lie', '1.1.0');
SELECT is(sim.drive('lie', 'held'), 'held', 'W6: an action that reports success and does nothing is noticed');
SELECT is(sim.node('lie', 'app1'), 'ERROR 1.0.0 out taken', 'W6: the node is not taken for started');
SELECT matches((SELECT string_agg(observed, ' ') FROM zdu_why('lie')), 'app1 start failed.*"running": false', 'W6: zdu_why tells what was seen instead');
-- and the other way round: it says failed, but the effect is there.
SELECT sim.make('modest', 2), zdu_begin('modest', '1.1.0');
SELECT sim.drive_until('modest', $$ pg_temp.verb('modest', 'w1', 'stop') = 'act' $$);
UPDATE sim.outbox SET report = jsonb_set(report::jsonb, '{state}', '"failed"')::json WHERE cluster = 'modest' AND report->>'verb' = 'act';
SELECT sim.ask('modest'), sim.ask('modest');
SELECT matches(sim.step('modest', 'app1'), '^upgrade', 'W6: an action that reports failure but had its effect has succeeded');

-- W1: a forced stop after a failed graceful one.
CREATE FUNCTION pg_temp.stubborn(c text, policy jsonb) RETURNS void LANGUAGE sql AS $$
SELECT sim.make(c, 2, policy, '{"node": {"stop": {"exec": "svc", "args": ["stop"], "until": "$.running == false", "retries": 1,
                                                  "force": {"exec": "svc", "args": ["kill"]}}}}'),
       sim.break(c, 'app1', 'stop'), zdu_begin(c, '1.1.0') $$;
SELECT pg_temp.stubborn('gentle', '{}');
SELECT is(sim.drive('gentle', 'held') || ', ' || sim.acts('gentle', 'app1'), 'held, isolate stop stop', 'W1: with drain_on_timeout = abort nothing is forced');
SELECT pg_temp.stubborn('rough', '{"drain_on_timeout": "force"}');
SELECT sim.drive_until('rough', $$ sim.node('rough', 'app1') = 'ACTIVE 1.1.0' $$);
SELECT is(sim.acts('rough', 'app1'), 'isolate stop stop kill upgrade start integrate', 'W1: with force, after every graceful attempt has failed');

-- D2: a drain that does not end.
CREATE FUNCTION pg_temp.busy(c text, policy jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 2, '{"drain_timeout": "20 s"}' || policy);
    UPDATE sim.world SET requests = 1 WHERE cluster = c AND node = 'app1';
    PERFORM zdu_begin(c, '1.1.0');
END $$;
SELECT pg_temp.busy('abort', '{}');
SELECT is(sim.drive('abort', 'held') || ' ' || pg_temp.held('abort'), 'held held D2', 'D2: a drain that runs out of time holds the upgrade');
SELECT sim.drive_until('abort', $$ sim.node('abort', 'app1') = 'ACTIVE 1.0.0' $$);
SELECT is(sim.acts('abort', 'app1') || ', ' || sim.node('abort', 'app1'), 'isolate integrate, ACTIVE 1.0.0', 'D2: and the node goes back into service');
SELECT is((SELECT failures FROM zdu.upgrade JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'abort'), 0, 'D2: nothing has failed by that');
UPDATE sim.world SET requests = 0;
SELECT zdu_retry('abort');
SELECT ok(sim.drive_until('abort', $$ sim.node('abort', 'app1') = 'ACTIVE 1.1.0' $$), 'D2: zdu_retry drains it again');
SELECT pg_temp.busy('force', '{"drain_on_timeout": "force"}');
SELECT ok(sim.drive_until('force', $$ sim.node('force', 'app1') = 'ACTIVE 1.1.0' $$), 'D2: drain_on_timeout = force goes on all the same');
SELECT matches(pg_temp.reason('force', 'app1', 'drain skipped'), '^D2: .*data or requests may be lost', 'D2: and the event says what that may cost');

CREATE ROLE sim_operator;
SELECT zdu_grant('sim_operator', 'operator'), sim.make('mine', 2, '{"drain_on_timeout": "force"}'), zdu_set_cluster('mine', owner => 'sim_operator');
GRANT USAGE ON SCHEMA sim TO sim_operator;
SET LOCAL ROLE sim_operator;
SELECT is(sim.refused($$ SELECT zdu_begin('mine', '1.1.0') $$), '42501 D2', 'D2: force takes a grant of its own');
RESET ROLE;
SELECT zdu_grant('sim_operator', 'force');
SET LOCAL ROLE sim_operator;
SELECT is(sim.refused($$ SELECT zdu_begin('mine', '1.1.0') $$), 'not refused', 'D2: with it the operator may begin');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
