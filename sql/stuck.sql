-- Promise: in every state in which a roll can be stuck, zdu_why says what it waits for and what to type next.
--
-- Each scene brings a cluster of four into one such state and prints what a person sees: the line in zdu.status, and
-- zdu_why.  The world is that of test/tap/sim.psql; times are masked.
\set VERBOSITY terse
\pset format unaligned
\pset fieldsep ' | '
\pset footer off
BEGIN;
\i test/tap/sim.psql
SET client_min_messages = warning;

CREATE FUNCTION sim.mask(t text) RETURNS text LANGUAGE sql AS
$$ SELECT regexp_replace(regexp_replace(t, '\m[0-9.]+ (s|min|h)\M', 'N \1', 'g'), '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.+]+', 'TIME', 'g') $$;
CREATE FUNCTION sim.why(c text, OUT verdict text, OUT rule text, OUT subject text, OUT observed text, OUT allowed text, OUT hint text) RETURNS SETOF record LANGUAGE sql AS
$$ SELECT w.verdict, w.rule, w.subject, sim.mask(w.observed), sim.mask(w.allowed), sim.mask(w.hint) FROM zdu_why(c) w $$;
CREATE FUNCTION sim.line(c text) RETURNS text LANGUAGE sql AS
$$ SELECT concat_ws(' ', state, run, 'done', done, 'serving', serving || ';', sim.mask(waits_for)) FROM zdu.status WHERE cluster = c $$;
-- Exchanges until a condition holds; a scene that does not come about fails here.
CREATE PROCEDURE sim.until(c text, condition text) LANGUAGE plpgsql AS $$
BEGIN
    IF NOT coalesce(sim.drive_until(c, condition), false) THEN
        RAISE EXCEPTION '%: never %', c, condition;
    END IF;
END $$;
CREATE FUNCTION sim.held(c text) RETURNS boolean LANGUAGE sql AS $$ SELECT sim.run(c) = 'held' $$;
CREATE FUNCTION sim.done(c text, n int) RETURNS boolean LANGUAGE sql AS $$ SELECT split_part(done, '/', 1)::int = n FROM zdu.status WHERE cluster = c $$;
CREATE FUNCTION sim.flight(c text) RETURNS int LANGUAGE sql AS
$$ SELECT count(*)::int FROM zdu.node n JOIN zdu.cluster k USING (cluster_id) WHERE k.name = c AND n.taken $$;
-- Nobody asks meanwhile but a worker that does nothing.
CREATE PROCEDURE sim.pass(c text, seconds int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..seconds LOOP
        PERFORM sim.tick(1), zdu_work('idle', 'idle-1', c, programs => '{svc}');
    END LOOP;
END $$;

\echo === 1. no worker has ever asked
SELECT zdu_set_runbook('s1', sim.runbook()), zdu_set_cluster('s1', runbook => 's1'), count(zdu_set_node('s1', 'app' || i)) FROM generate_series(1, 4) AS i GROUP BY 1, 2 \g /dev/null
SELECT count(zdu_force_state('s1', 'app' || i, 'ACTIVE', 'seen')) FROM generate_series(1, 4) AS i \g /dev/null
SELECT zdu_join('s1', 'app1', '1.0.0') \g /dev/null
SELECT zdu_heartbeat('s1', 'app1', state => 'ACTIVE') \g /dev/null
SELECT zdu_begin('s1', '1.1.0') > 0 AS begun;
SELECT sim.line('s1');
SELECT * FROM sim.why('s1');

\echo === 2. the worker has gone silent
SELECT sim.make('s2', 4) \g /dev/null
SELECT zdu_begin('s2', '1.1.0') \g /dev/null
CALL sim.until('s2', $$ sim.done('s2', 1) $$);
SELECT sim.tick(90) \g /dev/null
SELECT sim.line('s2');
SELECT * FROM sim.why('s2');

\echo === 3. no worker has the program
SELECT sim.make('s3', 4) \g /dev/null
SELECT zdu_set_runbook('s3', jsonb_set(document, '{node,upgrade,exec}', '"installer"')) FROM zdu.runbook WHERE name = 's3' \g /dev/null
SELECT zdu_begin('s3', '1.1.0') \g /dev/null
SELECT sim.ask('s3'), sim.ask('s3') \g /dev/null
SELECT sim.line('s3');
SELECT * FROM sim.why('s3');

\echo === 4. paused by a person
SELECT sim.make('s4', 4) \g /dev/null
SELECT zdu_begin('s4', '1.1.0') \g /dev/null
CALL sim.until('s4', $$ sim.done('s4', 1) $$);
SELECT zdu_pause('s4', 'lunch') \g /dev/null
CALL sim.until('s4', $$ sim.flight('s4') = 0 $$);
SELECT sim.line('s4');
SELECT * FROM sim.why('s4');

\echo === 5. a node does not come up
SELECT sim.make('s5', 4), sim.break('s5', 'app2', 'start') \g /dev/null
SELECT zdu_begin('s5', '1.1.0') \g /dev/null
CALL sim.until('s5', $$ sim.held('s5') $$);
SELECT sim.line('s5');
SELECT * FROM sim.why('s5');

\echo === 6. a node says that it has started, and is not seen to run
SELECT sim.make('s6', 4, '{"start_timeout": "20 s"}'), sim.break('s6', 'app2', 'start', 'lies') \g /dev/null
SELECT zdu_begin('s6', '1.1.0') \g /dev/null
CALL sim.until('s6', $$ sim.held('s6') $$);
SELECT sim.line('s6');
SELECT * FROM sim.why('s6');

\echo === 7. a node does not drain
SELECT sim.make('s7', 4, '{"drain_timeout": "20 s"}') \g /dev/null
UPDATE sim.world SET requests = 3 WHERE cluster = 's7' AND node = 'app2';
SELECT zdu_begin('s7', '1.1.0') \g /dev/null
CALL sim.until('s7', $$ sim.held('s7') AND sim.flight('s7') = 0 $$);
SELECT sim.line('s7');
SELECT * FROM sim.why('s7');

\echo === 8. a node vanished
SELECT sim.make('s8', 4), sim.start('s8', 'app9', '1.0.0') \g /dev/null
SELECT zdu_begin('s8', '1.1.0') \g /dev/null
CALL sim.until('s8', $$ sim.held('s8') AND sim.flight('s8') = 0 $$);
SELECT sim.line('s8');
SELECT * FROM sim.why('s8');

\echo === 9. an unheard node has the only place
SELECT zdu_retry('s8') \g /dev/null
CALL sim.until('s8', $$ sim.flight('s8') = 0 $$);
SELECT sim.line('s8');
SELECT * FROM sim.why('s8');

\echo === 10. a zone has no place left
SELECT sim.make('s10', 4, '{"max_unavailable": "2"}') \g /dev/null
SELECT count(zdu_set_node('s10', 'app' || i, zone => 'a')) FROM generate_series(1, 4) AS i \g /dev/null
SELECT zdu_set_budget('s10', 'zone-a', '{"zone": "a"}', max_unavailable => '1'), zdu_detach('s10', 'app4') \g /dev/null
CALL sim.until('s10', $$ sim.node('s10', 'app4') LIKE '%out' $$);
SELECT zdu_begin('s10', '1.1.0') \g /dev/null
CALL sim.until('s10', $$ sim.done('s10', 1) AND sim.flight('s10') = 0 $$);
SELECT sim.line('s10');
SELECT * FROM sim.why('s10');

\echo === 11. the rate is used up
SELECT sim.make('s11', 4), zdu_set_budget('s11', 'slowly', '{}', max_begun => 1, per_interval => '1 h') \g /dev/null
SELECT zdu_begin('s11', '1.1.0') \g /dev/null
CALL sim.until('s11', $$ sim.done('s11', 1) AND sim.flight('s11') = 0 $$);
SELECT sim.line('s11');
SELECT * FROM sim.why('s11');

\echo === 12. too many failures under a budget
SELECT sim.make('s12', 4, '{"max_failures": 3}'), zdu_set_budget('s12', 'none-may-fail', '{}', max_failures => 0), sim.break('s12', 'app1', 'start') \g /dev/null
SELECT zdu_begin('s12', '1.1.0') \g /dev/null
CALL sim.until('s12', $$ sim.held('s12') $$);
SELECT sim.line('s12');
SELECT * FROM sim.why('s12');

\echo === 13. a copy of the data is needed
SELECT sim.make('s13', 4, '{"min_availability": "primaries"}') \g /dev/null
SELECT zdu_set_resource('s13', 'orders' || i, '1') FROM generate_series(1, 4) AS i \g /dev/null
SELECT zdu_set_placement('s13', 'orders' || i, 'app' || i, 'primary'), zdu_set_placement('s13', 'orders' || i, 'app' || i % 4 + 1, 'replica') FROM generate_series(1, 4) AS i \g /dev/null
UPDATE sim.world SET running = false WHERE cluster = 's13' AND node = 'app4';
SELECT zdu_declare_down('s13', 'app4', 'disk') \g /dev/null
SELECT zdu_set_policy('s13', settings => '{"max_unavailable": "2", "max_failures": 1}'), sim.break('s13', 'app4', 'start') \g /dev/null
SELECT zdu_begin('s13', '1.1.0') \g /dev/null
CALL sim.until('s13', $$ sim.step('s13', 'app4') LIKE 'start failed%' AND sim.done('s13', 1) $$);
SELECT sim.line('s13');
SELECT * FROM sim.why('s13');

\echo === 14. the preparation failed
SELECT sim.make('s14', 4, '{}', '{"before": [{"name": "allocation", "exec": "svc", "args": ["prepare"], "until": "$.prepared == true", "undo": {"exec": "svc", "args": ["unprepare"]}}]}'), sim.break('s14', '', 'prepare') \g /dev/null
SELECT zdu_begin('s14', '1.1.0') \g /dev/null
CALL sim.until('s14', $$ sim.held('s14') $$);
SELECT sim.line('s14');
SELECT * FROM sim.why('s14');

\echo === 15. the schema is too old
SELECT sim.make('s15', 4, '{"schema_phase": "pre"}', '{"schema": {"exec": "svc", "args": ["schema"], "version": "$.schema[*]"}}') \g /dev/null
SELECT sim.tick(11), sim.ask('s15'), sim.ask('s15') \g /dev/null
SELECT zdu_begin('s15', '1.1.0') \g /dev/null
SELECT sim.ask('s15'), sim.ask('s15') \g /dev/null
SELECT sim.line('s15');
SELECT * FROM sim.why('s15');

\echo === 16. a guard fails
SELECT sim.make('s16', 4, '{}', '{"guard": [{"exec": "svc", "args": ["guard"], "until": "$.prepared == false", "every": "1s", "failures": 2}]}') \g /dev/null
SELECT zdu_begin('s16', '1.1.0') \g /dev/null
CALL sim.until('s16', $$ sim.done('s16', 1) $$);
UPDATE sim.world SET prepared = true WHERE cluster = 's16' AND node = '';
CALL sim.until('s16', $$ sim.held('s16') AND sim.flight('s16') = 0 $$);
SELECT sim.line('s16');
SELECT * FROM sim.why('s16');

\echo === 17. nobody knows what became of a step
SELECT sim.make('s17', 4, '{"lease": "5 s"}'), sim.break('s17', 'app1', 'start', 'sticks') \g /dev/null
SELECT zdu_begin('s17', '1.1.0') \g /dev/null
CALL sim.until('s17', $$ sim.step('s17', 'app1') LIKE 'start running act%' $$);
CALL sim.pass('s17', 12);
SELECT sim.line('s17');
SELECT * FROM sim.why('s17');

\echo === 18. the database is a copy
SELECT sim.make('s18', 4) \g /dev/null
SELECT zdu_begin('s18', '1.1.0') \g /dev/null
CALL sim.until('s18', $$ sim.done('s18', 1) $$);
CREATE TABLE sim.kept AS SELECT * FROM zdu.instance;
UPDATE zdu.instance SET mark = 'another one' WHERE epoch = (SELECT max(epoch) FROM zdu.instance);
SELECT sim.line('s18');
SELECT * FROM sim.why('s18');
UPDATE zdu.instance i SET mark = k.mark FROM sim.kept k WHERE k.epoch = i.epoch;

\echo === 19. one node was given up
SELECT sim.make('s19', 4), sim.break('s19', 'app2', 'start') \g /dev/null
SELECT zdu_begin('s19', '1.1.0') \g /dev/null
CALL sim.until('s19', $$ sim.held('s19') $$);
SELECT sim.mend('s19'), zdu_rollback('s19', node => 'app2') \g /dev/null
CALL sim.until('s19', $$ sim.done('s19', 3) AND sim.flight('s19') = 0 $$);
SELECT sim.line('s19');
SELECT * FROM sim.why('s19');

\echo === 20. a node in ERROR stands in the way of the end
SELECT sim.make('s20', 4) \g /dev/null
SELECT zdu_begin('s20', '1.1.0') \g /dev/null
CALL sim.until('s20', $$ sim.done('s20', 4) AND sim.flight('s20') = 0 $$);
SELECT zdu_force_state('s20', 'app3', 'ERROR', 'disk') \g /dev/null
SELECT sim.line('s20');
SELECT * FROM sim.why('s20');

\echo === 21. it waits for somebody to finalize
SELECT zdu_force_state('s20', 'app3', 'ACTIVE', 'mended') \g /dev/null
SELECT sim.line('s20');
SELECT * FROM sim.why('s20');

\echo === 22. a task at the end failed
SELECT sim.make('s22', 4, '{}', '{"after": [{"name": "reindex", "exec": "svc", "args": ["task"], "until": "$.task == true"}]}'), sim.break('s22', '', 'task') \g /dev/null
SELECT zdu_begin('s22', '1.1.0') \g /dev/null
CALL sim.until('s22', $$ sim.done('s22', 4) AND sim.flight('s22') = 0 $$);
SELECT zdu_finalize('s22') \g /dev/null
CALL sim.until('s22', $$ sim.held('s22') $$);
SELECT sim.line('s22');
SELECT * FROM sim.why('s22');

\echo === 23. the way back is stuck as well
SELECT sim.make('s23', 4), sim.break('s23', 'app2', 'start') \g /dev/null
SELECT zdu_begin('s23', '1.1.0') \g /dev/null
CALL sim.until('s23', $$ sim.held('s23') $$);
SELECT zdu_rollback('s23') \g /dev/null
CALL sim.until('s23', $$ sim.held('s23') $$);
SELECT sim.line('s23');
SELECT * FROM sim.why('s23');

\echo === 24. another group is to be deployed to
SELECT sim.make('s24', 4, '{"max_unavailable": "50%"}'), zdu_set_group('s24', 'first', '{app1,app2}') \g /dev/null
SELECT zdu_deploy('s24', '1.1.0', 'first') \g /dev/null
CALL sim.until('s24', $$ sim.done('s24', 2) AND sim.flight('s24') = 0 $$);
SELECT sim.line('s24');
SELECT * FROM sim.why('s24');

\echo === 25. a node is too long STARTING
SELECT sim.make_manual('s25', 4, '{"start_timeout": "5 s"}'), zdu_begin('s25', '1.1.0') \g /dev/null
SELECT sim.stop('s25', 'app1'), zdu_join('s25', 'app1', '1.1.0') \g /dev/null
CREATE PROCEDURE sim.beat(c text, seconds int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..seconds LOOP
        PERFORM sim.tick(1);
        PERFORM zdu_heartbeat(c, 'app' || n, state => CASE n WHEN 1 THEN 'STARTING' ELSE 'ACTIVE' END) FROM generate_series(1, 4) AS n;
    END LOOP;
END $$;
CALL sim.beat('s25', 30);
SELECT sim.line('s25');
SELECT * FROM sim.why('s25');

\echo === 26. a gate does not open
SELECT sim.make('s26', 4), zdu_set_gate('s26', 'errors', after => 'begin', probe => '{"exec": "svc", "args": ["guard"]}', until => '$.prepared == true', every => '1 s') \g /dev/null
SELECT zdu_begin('s26', '1.1.0') \g /dev/null
SELECT sim.ask('s26'), sim.tick(2), sim.ask('s26'), sim.ask('s26') \g /dev/null
SELECT sim.line('s26');
SELECT * FROM sim.why('s26');

\echo === 27. somebody has to approve
SELECT sim.make('s27', 4), zdu_set_gate('s27', 'go', after => 'canary', approval => true) \g /dev/null
SELECT zdu_begin('s27', '1.1.0', canary => 1) \g /dev/null
CALL sim.until('s27', $$ sim.done('s27', 1) AND sim.flight('s27') = 0 $$);
SELECT sim.line('s27');
SELECT * FROM sim.why('s27');

\echo === 28. frozen
SELECT sim.make('s28', 4), zdu_set_freeze('s28', 'quarter-end', 'freeze', '[2020-01-01,2100-01-01)', reason => 'the books are closed') \g /dev/null
SELECT zdu_begin('s28', '1.1.0') \g /dev/null
SELECT sim.ask('s28'), sim.ask('s28') \g /dev/null
SELECT sim.line('s28');
SELECT * FROM sim.why('s28');

\echo === 29. outside the window
SELECT sim.make('s29', 4), zdu_set_freeze('s29', 'nights', 'window', '[2100-01-01,2100-01-02)', reason => 'at night') \g /dev/null
SELECT zdu_begin('s29', '1.1.0') \g /dev/null
SELECT sim.ask('s29'), sim.ask('s29') \g /dev/null
SELECT sim.line('s29');
SELECT * FROM sim.why('s29');

\echo === 30. there is no room for what the node would have to move away
SELECT sim.make('s30', 4, '{}', '{"node": {"check": {"exec": "svc", "args": ["room"], "only": "probe", "until": "$.requests == 0", "timeout": "5s"}}}') \g /dev/null
UPDATE sim.world SET requests = 9 WHERE cluster = 's30' AND node = 'app1';
SELECT zdu_begin('s30', '1.1.0') \g /dev/null
CALL sim.until('s30', $$ sim.held('s30') $$);
SELECT sim.line('s30');
SELECT * FROM sim.why('s30');

\echo === every hint is a command that is there
SELECT DISTINCT substring(hint FROM 'zdu_[a-z_]+') AS unknown FROM zdu.status s CROSS JOIN LATERAL zdu_why(s.cluster) w
WHERE hint LIKE 'SELECT%' AND substring(hint FROM 'zdu_[a-z_]+') IS NOT NULL
AND NOT EXISTS (SELECT FROM zdu.help h WHERE h.name = substring(hint FROM 'zdu_[a-z_]+'));

ROLLBACK;
