-- Promise: nodes behind a gate are taken only when those before it are done, well and soaked and its condition passes; zdu_why says which, and what opened stays open.
BEGIN;
SELECT plan(83);
\ir sim.psql

CREATE FUNCTION pg_temp.touched(c text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT node, ' ' ORDER BY node) FROM sim.act WHERE cluster = c AND node <> '' $$;
CREATE FUNCTION pg_temp.gate(c text, g text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', state, verdict) FROM zdu.gate_status WHERE cluster = c AND gate = g $$;
-- What zdu_why refuses by.
CREATE FUNCTION pg_temp.why(c text, s text) RETURNS text LANGUAGE sql AS
$$ SELECT rule || ' ' || subject || ': ' || observed FROM zdu_why(c) WHERE verdict = 'no' AND subject = s $$;
CREATE FUNCTION pg_temp.rounds(c text, n int) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN FOR i IN 1..n LOOP PERFORM sim.ask(c), sim.tick(1.1); END LOOP; END $$;
CREATE FUNCTION pg_temp.done(c text, n int) RETURNS boolean LANGUAGE sql AS
$$ SELECT sim.drive_until(c, format('(SELECT done >= %s FROM zdu.cluster_facts WHERE name = %L)', n, c)) $$;

-- ---- waves ----
SELECT sim.make('canary', 6, '{"max_unavailable": "5"}');
SELECT zdu_begin('canary', '1.1.0', canary => 2);
SELECT sim.drive_until('canary', $$ sim.node('canary', 'app1') LIKE 'ACTIVE 1.1.0' $$);
SELECT is(pg_temp.touched('canary'), 'app1 app2', 'L22: canary => 2: the first two of the order go alone, although five may be away');
SELECT ok(pg_temp.done('canary', 6), 'L22: when both are done all the others go');
SELECT is((SELECT string_agg(new, ', ' ORDER BY event_id) FROM zdu.event WHERE cluster = 'canary' AND what = 'gate'), 'canary reached, canary open', 'L22: the gate was reached and opened, once');
SELECT ok((SELECT bool_and(e.event_id > g.event_id) FROM zdu.event e, zdu.event g WHERE e.cluster = 'canary' AND e.what = 'taken' AND e.new = 'yes' AND e.node IN ('app3', 'app4', 'app5', 'app6')
           AND g.cluster = 'canary' AND g.new = 'canary open'), 'L22: no node behind it was taken before that');

SELECT sim.make('wait', 4, '{"max_unavailable": "3"}');
SELECT sim.break('wait', 'app1', 'start', 'sticks');
SELECT zdu_begin('wait', '1.1.0', canary => 1);
SELECT pg_temp.rounds('wait', 12);
SELECT is(pg_temp.touched('wait'), 'app1', 'L22: a canary that does not come up keeps all others back');
SELECT matches(pg_temp.why('wait', 'wave_open'), '^L22 wave_open: gate "canary": app1 is STARTING at 1.0.0, in flight$', 'L22: zdu_why names the node that they wait for');
SELECT matches((SELECT hint FROM zdu_why('wait') WHERE subject = 'wave_open'), '^SELECT', 'L22: with the next command');
SELECT is((SELECT place || ' ' || state FROM zdu.gate_status WHERE cluster = 'wait'), '1 ahead', 'L22: zdu.gate_status says how far it is');
SELECT zdu_declare_down('wait', 'app4', 'test');
SELECT pg_temp.rounds('wait', 5);
SELECT is(pg_temp.touched('wait'), 'app1', 'D12: a node that is down and costs nothing waits behind the gate all the same');

SELECT sim.make('shares', 10, '{"max_unavailable": "9"}');
SELECT is(sim.refused($$ SELECT zdu_begin('shares', '1.1.0', canary => -1) $$), '22023 D10', 'D10: a canary of less than one node is refused');
SELECT zdu_set_gate('shares', 'first', '1'), zdu_set_gate('shares', 'quarter', '25%'), zdu_set_gate('shares', 'most', '99%'), zdu_set_gate('shares', 'many', '700'),
       zdu_set_gate('shares', 'open', 'begin'), zdu_set_gate('shares', 'last', 'end');
SELECT zdu_begin('shares', '1.1.0');
SELECT is((SELECT string_agg(gate || ' ' || coalesce(place::text, 'all'), ', ' ORDER BY place, gate) FROM zdu.gate_status WHERE cluster = 'shares'),
          'open 0, first 1, quarter 2, many 9, most 9, last all', 'D10: shares round down, at least 1 goes and at least 1 stays');
SELECT sim.drive_until('shares', $$ pg_temp.touched('shares') LIKE '% %' $$);
SELECT is(pg_temp.touched('shares'), 'app1 app2', 'L22: the second wave is what lies between two gates');
SELECT ok(pg_temp.done('shares', 10), 'L22: and so on to the end');
SELECT is((SELECT count(*) FROM zdu.gate_status WHERE cluster = 'shares' AND state <> 'open'), 0::bigint, 'L22: every gate opened, that of the end too');

-- A gate behind the canary where zdu_begin names none: one node is the canary.
SELECT sim.make('named', 3);
SELECT zdu_set_gate('named', 'look', 'canary', soak => '1 h'), zdu_begin('named', '1.1.0');
SELECT is((SELECT gate || ' ' || place FROM zdu.gate_status WHERE cluster = 'named'), 'look 1', 'L22: a gate behind the canary makes one node the canary where none is named');

-- ---- soak ----
SELECT sim.make('soak', 3, '{"max_unavailable": "2"}', '{"observe": {"exec": "svc", "args": ["health"], "version": "$.version", "active": "$.running == true", "every": "1s"}}');
SELECT zdu_set_gate('soak', 'calm', '1', soak => '60 s'), zdu_begin('soak', '1.1.0');
SELECT ok(sim.drive_until('soak', $$ pg_temp.gate('soak', 'calm') = 'soaking' $$), 'L22: when the nodes before it are done the gate soaks');
SELECT matches(pg_temp.why('soak', 'wave_open'), '^L22 wave_open: gate "calm": soaks, [0-9]+ s left$', 'L22: zdu_why says how much longer');
SELECT sim.tick(100000), sim.ask('soak');
SELECT isnt(pg_temp.gate('soak', 'calm'), 'open', 'N4: a soak counts only while somebody listens, not by the clock');
UPDATE sim.world SET running = false WHERE cluster = 'soak' AND node = 'app1';
SELECT sim.drive_until('soak', $$ sim.node('soak', 'app1') LIKE 'OFFLINE%' $$);
SELECT is(pg_temp.gate('soak', 'calm'), 'ahead', 'L22: a node that falls ill in the soak ends it');
UPDATE sim.world SET running = true WHERE cluster = 'soak' AND node = 'app1';
SELECT sim.drive_until('soak', $$ pg_temp.gate('soak', 'calm') = 'soaking' $$);
SELECT cmp_ok((SELECT soak_left FROM zdu.gate_status WHERE cluster = 'soak'), '>=', '58 s'::interval, 'L22: well again it soaks anew');
SELECT is(pg_temp.touched('soak'), 'app1', 'L22: nothing was taken meanwhile');
SELECT ok(pg_temp.done('soak', 3), 'L22: then the others go');

-- ---- conditions ----
SELECT sim.make('sql', 3);
SELECT is(zdu_set_gate('sql', 'orders', '1', service => 'orders', query => 'SELECT ok AS pass', params => '{"{target}", "7"}', every => '5 s', max_age => '20 s'), 'created', 'L22: zdu_set_gate makes a gate');
SELECT is(zdu_set_gate('sql', 'orders', '1', every => '5 s'), 'unchanged', 'L22: says when nothing changed');
SELECT is(zdu_set_gate('sql', 'orders', soak => '1 s'), 'changed', 'L22: NULL keeps what is there');
SELECT zdu_begin('sql', '1.1.0'), sim.gauge('sql', 'SELECT ok AS pass', NULL);
SELECT is((SELECT look->'targets'->0 FROM zdu.upgrade_gate WHERE name = 'orders'), '{"sql": "SELECT ok AS pass", "params": ["1.1.0", "7"], "conninfo": "service=orders"}',
          'L22: a query runs through a service of the worker, values as parameters');
SELECT is((SELECT count(*) FROM zdu.watch), 0::bigint, 'L22: nobody looks before the gate is reached');
SELECT ok(sim.drive_until('sql', $$ EXISTS (SELECT FROM zdu.watch WHERE asked IS NOT NULL) $$), 'L22: then workers look');
SELECT matches(pg_temp.why('sql', 'gate_passed'), 'gate "orders": no worker has looked yet$', 'L22: not yet looked at is not passed');
CREATE FUNCTION pg_temp.sees(c text, s json, v text) RETURNS boolean LANGUAGE sql AS
$$ SELECT sim.gauge(c, 'SELECT ok AS pass', s); SELECT sim.drive_until(c, format('pg_temp.gate(%L, ''orders'') = %L', c, v), rounds => 30) $$;
SELECT ok(pg_temp.sees('sql', seen, 'closed ' || verdict), format('L22: %s is %s', what, verdict)) FROM (VALUES
    ('false', '{"pass": false, "row_count": 1}'::json, 'fail'),
    ('no row', '{"row_count": 0}', 'inconclusive'),
    ('NULL', '{"pass": null, "row_count": 1}', 'inconclusive'),
    ('an error', '{"error": "no such service"}', 'inconclusive'),
    ('true of no row', '{"pass": true, "row_count": 0}', 'inconclusive')) AS t (what, seen, verdict);
SELECT is(pg_temp.touched('sql') || ' ' || sim.run('sql'), 'app1 running', 'L22: none of these opens it, and none holds the upgrade');
SELECT matches((SELECT observed || ' / ' || allowed FROM zdu_why('sql') WHERE subject = 'gate_passed'), '^gate "orders": inconclusive, .*row_count.* / \$\.pass$', 'L22: zdu_why shows what was seen and what is wanted');
SELECT isnt((SELECT since FROM zdu_why('sql') WHERE subject = 'gate_passed'), NULL, 'L22: and since when it waits');
SELECT sim.gauge('sql', 'SELECT ok AS pass', NULL), sim.tick(30), sim.ask('sql');
SELECT is(pg_temp.gate('sql', 'orders'), 'closed stale', 'L22: an old look is stale');
SELECT matches(pg_temp.why('sql', 'gate_passed'), 'nothing older than 20 s counts$', 'L22: and counts for nothing');
SELECT zdu_pause('sql');
SELECT ok(pg_temp.sees('sql', '{"pass": true, "row_count": 1}', 'closed pass'), 'L22: a paused upgrade opens no gate');
SELECT sim.gauge('sql', 'SELECT ok AS pass', NULL), sim.tick(30), zdu_resume('sql'), sim.ask('sql');
SELECT is(pg_temp.gate('sql', 'orders'), 'closed stale', 'L22: nor does a look that passed too long ago, once it goes on');
SELECT sim.gauge('sql', 'SELECT ok AS pass', '{"pass": true, "row_count": 1}');
SELECT ok(pg_temp.done('sql', 3), 'L22: asked again it passes, and the upgrade goes on');
SELECT is((SELECT count(*) FROM zdu.watch), 0::bigint, 'L22: of an open gate nobody looks at anything');
SELECT matches((SELECT reason FROM zdu.event WHERE cluster = 'sql' AND new = 'orders open'), '"pass": true', 'L22: the event keeps the evidence');

SELECT sim.make('away', 3), sim.gauge('away', 'fine', NULL), zdu_set_gate('away', 'fine', '1', probe => '{"exec": "svc", "args": ["fine"]}', until => '$.n == 1'), zdu_begin('away', '1.1.0');
SELECT sim.drive_until('away', $$ EXISTS (SELECT FROM zdu.watch JOIN zdu.cluster k USING (cluster_id) WHERE k.name = 'away' AND kind = 'gate' AND asked IS NOT NULL) $$);
SELECT sim.gauge('away', 'fine', '{"n": 1}'), sim.tick(15), sim.ask('away'), sim.tick(600), sim.ask('away');
SELECT is(pg_temp.gate('away', 'fine'), 'closed stale', 'L22: what is reported long after the look is as old as the look');
SELECT ok(pg_temp.done('away', 3), 'L22: asked again it opens');

CREATE FUNCTION pg_temp.failing(c text, how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sim.make(c, 3), zdu_set_gate(c, 'err', '1', probe => '{"exec": "svc", "args": ["errors"]}', until => '$.n < 5', on_fail => how),
            sim.gauge(c, 'errors', '{"n": 9}'), zdu_begin(c, '1.1.0');
    PERFORM sim.drive_until(c, format('sim.run(%L) <> ''running''', c), rounds => 60);
    RETURN concat_ws(' ', sim.run(c), (SELECT held_rule FROM zdu.cluster_facts WHERE name = c));
END $$;
SELECT is(pg_temp.failing('waits', 'wait'), 'running', 'L22: a failing gate waits');
SELECT is(pg_temp.failing('holds', 'hold'), 'held L22', 'L22: on_fail = hold holds the upgrade');
SELECT is(pg_temp.failing('rolls', 'rollback'), 'rolling_back', 'L23: on_fail = rollback rolls back');
SELECT sim.make('silent', 3), zdu_set_gate('silent', 'err', '1', probe => '{"exec": "svc", "args": ["errors"]}', until => 'exists($.n)', on_fail => 'rollback'),
       sim.gauge('silent', 'errors', '{"row_count": 0}'), zdu_begin('silent', '1.1.0');
SELECT ok(sim.drive_until('silent', $$ pg_temp.gate('silent', 'err') = 'closed inconclusive' $$), 'L22: no row does not fail either');
SELECT is(sim.run('silent'), 'running', 'L22: and what did not fail rolls nothing back');
SELECT is(sim.drive('rolls', 'rolled_back') || ' ' || sim.node('rolls', 'app1'), 'rolled_back ACTIVE 1.0.0', 'L23: and no gate stands in the way back');
SELECT zdu_rollback('waits');
SELECT is(sim.drive('waits', 'rolled_back'), 'rolled_back', 'L23: nor when a person rolls back from before a closed gate');
SELECT sim.gauge('holds', 'errors', '{"n": 1}'), zdu_retry('holds');
SELECT ok(pg_temp.done('holds', 3), 'L22: after zdu_retry it is looked at again');

-- ---- begin and end ----
SELECT sim.make('ends', 2, '{"finalize": "auto"}', '{"before": [{"exec": "svc", "args": ["prepare"], "until": "$.prepared == true"}]}');
SELECT zdu_set_gate('ends', 'before', 'begin', probe => '{"exec": "svc", "args": ["may"]}', until => '$.may == true'),
       zdu_set_gate('ends', 'final', 'end', probe => '{"exec": "svc", "args": ["may not"]}', until => '$.may == true');
SELECT zdu_begin('ends', '1.1.0'), pg_temp.rounds('ends', 20);
SELECT is(sim.acts('ends', ''), NULL, 'D8: behind a gate at the beginning the preparation waits too');
SELECT sim.gauge('ends', 'may', '{"may": true}');
SELECT ok(pg_temp.done('ends', 2), 'D8: it opens, and all is done');
SELECT pg_temp.rounds('ends', 20);
SELECT is(sim.run('ends') || ' ' || sim.state('ends'), 'running READY_TO_RUN_UPGRADE_TASKS', 'L13: finalize = auto waits for the gate at the end');
SELECT is(sim.refused($$ SELECT zdu_finalize('ends') $$), 'ZD001 L22', 'L13: and so must whoever calls zdu_finalize');
SELECT sim.make('behind', 2), zdu_set_gate('behind', 'go', 'end', approval => true), zdu_begin('behind', '1.1.0'), pg_temp.rounds('behind', 90);
SELECT alike((SELECT hint FROM zdu_why('behind') WHERE subject = 'finalize'), '%zdu_approve(''behind'', ''go''%', 'L22: zdu_why says what opens a gate behind the last node');
SELECT sim.gauge('ends', 'may not', '{"may": true}');
SELECT is(sim.drive('ends', 'completed'), 'completed', 'L13: it opens, and the upgrade ends by itself');

-- ---- what passed stays passed; what was given up does not ----
SELECT sim.make('given', 4, '{"max_unavailable": "3"}');
SELECT sim.break('given', 'app1', 'start'), zdu_begin('given', '1.1.0', canary => 1), sim.drive('given', 'held');
SELECT zdu_rollback('given', node => 'app1'), sim.mend('given');
SELECT sim.drive_until('given', $$ sim.node('given', 'app1') = 'ACTIVE 1.0.0' $$), pg_temp.rounds('given', 5);
SELECT is(pg_temp.touched('given'), 'app1', 'L22: a canary that was given up opens nothing');
SELECT matches(pg_temp.why('given', 'wave_open'), 'app1 is ACTIVE at 1.0.0, given up$', 'L22: zdu_why says so');
SELECT zdu_retry('given', node => 'app1');
SELECT ok(pg_temp.done('given', 1), 'L22: tried again, it goes first');
SELECT is(pg_temp.touched('given'), 'app1', 'L22: and alone');
SELECT sim.drive_until('given', $$ pg_temp.touched('given') LIKE '%app2%' $$);
SELECT zdu_rollback('given', node => 'app1');
SELECT ok(pg_temp.done('given', 3), 'L22: rolling back a node of a wave that has passed closes no gate');

SELECT sim.make('late', 2), zdu_begin('late', '1.1.0', canary => 1);
SELECT zdu_set_node('late', 'app9');
INSERT INTO sim.world (cluster, node) VALUES ('late', 'app9');
SELECT ok(pg_temp.done('late', 3), 'L9: a node that turns up late is upgraded too');
SELECT is((SELECT node FROM sim.act WHERE cluster = 'late' AND action = 'isolate' ORDER BY ord DESC LIMIT 1), 'app9', 'L9: behind all the others');

-- ---- break-glass ----
SELECT sim.make('glass', 3), zdu_set_gate('glass', 'never', '1', probe => '{"exec": "svc", "args": ["never"]}', until => '$.may == true'), zdu_begin('glass', '1.1.0');
SELECT is(sim.refused($$ SELECT zdu_waive('glass', 'gate:nobody', 'test') $$), '42704 L22', 'L22: what is not there cannot be waived');
SELECT is(sim.refused($$ SELECT zdu_waive('glass', 'D14', 'test') $$), '22023 L22', 'L22: nor can what must not be');
SELECT sim.drive_until('glass', $$ pg_temp.gate('glass', 'never') = 'closed' $$);
SELECT is(zdu_waive('glass', 'gate:never', 'the dashboard is down'), 'waived', 'L22: a gate can be waived by name');
SELECT ok(pg_temp.done('glass', 3), 'L22: then it is open');
SELECT results_eq($$ SELECT what, new, reason FROM zdu.event WHERE cluster = 'glass' AND what = 'waive' OR (cluster = 'glass' AND new = 'never open') ORDER BY event_id $$,
                  $$ VALUES ('waive', 'gate:never', 'the dashboard is down'), ('gate', 'never open', 'waived') $$, 'L22: and the record says who opened it and why');
SELECT zdu_finalize('glass');
SELECT is_empty($$ SELECT FROM zdu.waiver $$, 'L22: with the upgrade the waiver is gone');

-- ---- refusals ----
SELECT is(sim.refused(format('SELECT zdu_set_gate(''glass'', %s)', args)), code, 'L22: refused: ' || claim) FROM (VALUES
    ('''x''', '22023 L22', 'a new gate without a place'),
    ('''x'', ''half''', '23514 L22', 'a place that is none'),
    ('''canary'', ''3''', '23514 L22', 'the name canary elsewhere'),
    ('''x'', ''1'', query => ''SELECT 1''', '22023 L22', 'a query without a service'),
    ('''x'', ''1'', until => ''$.a''', '22023 L22', 'until without a probe'),
    ('''x'', ''1'', probe => ''{"exec": "../sh"}''', '22023 W1', 'a program outside of the runbook directory'),
    ('''x'', ''1'', probe => ''{"http": "http://{nowhere}/"}''', '22023 W1', 'a variable that the cluster lacks'),
    ('''x'', ''1'', service => ''a b'', query => ''SELECT 1''', '22023 N11', 'a service that is no name'),
    ('''x'', ''1'', max_age => ''1 s''', '23514 L22', 'an age that no look can keep')) AS t (args, code, claim);
SELECT is(zdu_drop_gate('glass', 'never') || ' ' || sim.refused($$ SELECT zdu_drop_gate('glass', 'never') $$), 'dropped 42704 L22', 'L22: zdu_drop_gate forgets it');

SELECT * FROM finish();
ROLLBACK;
