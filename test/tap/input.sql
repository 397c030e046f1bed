-- Promise: bad input is refused as a whole with SQLSTATE, detail and hint; of the reports of a call only the bad one is.
BEGIN;
SELECT plan(135);
SET client_min_messages = warning;

-- The refusal of a statement, taken back; NULL if it is carried out.
CREATE TYPE pg_temp.refusal AS (sqlstate text, message text, detail text, hint text);
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS pg_temp.refusal LANGUAGE plpgsql
AS $$
DECLARE
	r pg_temp.refusal;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION SQLSTATE 'TT000';
EXCEPTION
	WHEN SQLSTATE 'TT000' THEN
		RETURN NULL;
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS r.sqlstate = RETURNED_SQLSTATE, r.message = MESSAGE_TEXT, r.detail = PG_EXCEPTION_DETAIL, r.hint = PG_EXCEPTION_HINT;
		RETURN r;
END $$;
SELECT zdu_set_runbook('mine', '{"zdu_runbook": 1, "requires": ["unit"],
    "observe": {"http": "http://{address}/", "version": "$.version", "active": "$.up == true"},
    "node": {"stop": {"exec": "service", "args": ["stop", "{unit}"], "until": "$.running == false"}}}');
SELECT zdu_set_policy('quick', settings => '{"min_healthy_time": "0 s", "max_unavailable": "2"}');
SELECT zdu_set_cluster('shop', 'quick', 'mine', '{"unit": "shop"}');
SELECT zdu_set_node('shop', 'app' || n, '10.0.0.1' || n) FROM generate_series(1, 4) n;
SELECT zdu_set_cluster('bare', runbook => 'mine');
SELECT zdu_set_node('bare', 'app1'), zdu_set_node('bare', 'app2');
SELECT zdu_force_state('bare', n, 'ACTIVE', 'to have something') FROM unnest('{app1,app2}'::text[]) n;
SELECT zdu_join('bare', n, '1.0', 'p'), zdu_heartbeat('bare', n, 'p', 'ACTIVE') FROM unnest('{app1,app2}'::text[]) n;

-- Statements

CREATE TEMP TABLE bad (rule text, sqlstate text, message text, statement text);
INSERT INTO bad
SELECT 'N11', '42704', 'cluster "nowhere" does not exist', s
FROM unnest(ARRAY['zdu_set_node(''nowhere'', ''a'')', 'zdu_remove_node(''nowhere'', ''a'')', 'zdu_set_group(''nowhere'', ''g'')',
	'zdu_drop_group(''nowhere'', ''g'')', 'zdu_begin(''nowhere'')', 'zdu_pause(''nowhere'')', 'zdu_resume(''nowhere'')', 'zdu_cancel(''nowhere'')',
	'zdu_finalize(''nowhere'')', 'zdu_retry(''nowhere'')', 'zdu_rollback(''nowhere'')', 'zdu_attach(''nowhere'', ''a'')', 'zdu_detach(''nowhere'', ''a'')',
	'zdu_declare_down(''nowhere'', ''a'', ''x'')', 'zdu_force_state(''nowhere'', ''a'', ''ERROR'', ''x'')', 'zdu_waive(''nowhere'', ''D10'', ''x'')',
	'zdu_join(''nowhere'', ''a'', ''1'')', 'zdu_heartbeat(''nowhere'', ''a''::text)', 'zdu_work(''w'', ''1'', ''nowhere'')', 'zdu_why(''nowhere'')', 'zdu_log(''nowhere'')']) s;
INSERT INTO bad
SELECT 'N5', '42704', 'node "nobody" of cluster "shop" does not exist', s
FROM unnest(ARRAY['zdu_remove_node(''shop'', ''nobody'')', 'zdu_attach(''shop'', ''nobody'')', 'zdu_detach(''shop'', ''nobody'')',
	'zdu_declare_down(''shop'', ''nobody'', ''x'')', 'zdu_force_state(''shop'', ''nobody'', ''ERROR'', ''x'')', 'zdu_heartbeat(''shop'', ''nobody''::text)',
	'zdu_set_group(''shop'', ''g'', ''{nobody}'')', 'zdu_why(''shop'', ''nobody'')', 'zdu_log(''shop'', ''nobody'')']) s;
INSERT INTO bad VALUES
	('W1', '42704', 'runbook "none" does not exist', $$zdu_set_cluster('new', runbook => 'none')$$),
	('W1', '42704', 'policy "none" does not exist', $$zdu_set_cluster('new', policy => 'none')$$),
	('W1', '42704', 'policy "none" does not exist', $$zdu_set_policy('new', based_on => 'none')$$),
	('L22', '42704', 'role "none" does not exist', $$zdu_set_cluster('new', owner => 'none')$$),
	('L22', '42704', 'role "none" does not exist', $$zdu_set_node('shop', 'new', login => 'none')$$),
	('W1', '22023', 'policy "new" has no setting "colour"', $$zdu_set_policy('new', settings => '{"colour": 1}')$$),
	('W1', '22023', 'the settings of policy "new" are not a JSON object', $$zdu_set_policy('new', settings => '[]')$$),
	('W1', '55000', 'policy "default" is a shipped one and cannot be changed', $$zdu_set_policy('default', settings => '{"max_unavailable": "2"}')$$),
	('W1', '55000', 'runbook "local" is a shipped one and cannot be changed', $$zdu_set_runbook('local', '{}')$$),
	('L22', '22023', '"L9" cannot be waived', $$zdu_waive('shop', 'L9', 'x')$$),
	('N1', '22023', 'cannot force a cluster into "MIXED"', $$zdu_force_state('shop', NULL, 'MIXED', 'x')$$),
	('M6', '22023', 'protocol 99 is not served', $$zdu_work('w', '1', 'shop', protocol => 99)$$),
	('W1', 'ZD002', 'cannot begin the upgrade of cluster "bare" to 1.1', $$zdu_begin('bare', '1.1')$$),
	('L22', '22004', 'name must not be NULL', $$zdu_set_cluster(NULL)$$),
	('L22', '22004', 'cluster must not be NULL', $$zdu_work('w', '1', NULL)$$),
	('L22', '22004', 'document must not be NULL', $$zdu_set_runbook('mine', NULL)$$);
-- Variables, of a cluster and of a node
INSERT INTO bad
SELECT 'W1', '22023', format(message, t.what), format(t.call, vars)
FROM (VALUES ('cluster "shop"', $$zdu_set_cluster('shop', vars => %L)$$), ('node "app1"', $$zdu_set_node('shop', 'app1', vars => %L)$$)) AS t (what, call)
CROSS JOIN (VALUES
	('variable "db" of %s holds a password, or a service with a host', '{"db": "host=h password=secret"}'),
	('variable "db" of %s holds a password, or a service with a host', '{"db": ["a", "host=h PassWord = secret"]}'),
	('variable "db" of %s holds a password, or a service with a host', '{"db": "postgresql://me:secret@h/db"}'),
	('variable "db" of %s holds a password, or a service with a host', '{"db": "postgresql://h/db?password=secret"}'),
	('variable "db" of %s holds a password, or a service with a host', '{"db": "service=shop host=elsewhere"}'),
	('variable "x" of %s has a character that is not allowed', '{"x": "$(reboot)"}'),
	('variable "x" of %s has a character that is not allowed', '{"x": "two\nlines"}'),
	('variable "x" of %s has a brace that is no variable', '{"x": "a}b"}'),
	('variable "x" of %s is neither text nor a number nor a list of them', '{"x": {"y": 1}}'),
	('variable "x" of %s is neither text nor a number nor a list of them', '{"x": null}'),
	('"version" cannot be the name of a variable of %s', '{"version": "9"}'),
	('the variables of %s are not a JSON object', '["x"]')) AS v (message, vars);

-- Runbooks: one key of a good one is replaced; the detail names the place.
CREATE TEMP TABLE runbook (detail text, path text[], value jsonb);
INSERT INTO runbook VALUES
	('W1: the document has the unknown key "colour".', '{colour}', '1'),
	('W1: node has the unknown key "reboot".', '{node,reboot}', '{}'),
	('W1: node.stop has the unknown key "tiemout".', '{node,stop,tiemout}', '"1s"'),
	('W1: node.stop.timeout is not a duration such as 500ms, 30s, 10min, 2h or 1d.', '{node,stop,timeout}', '"soon"'),
	('W1: node.stop.timeout is not a duration such as 500ms, 30s, 10min, 2h or 1d.', '{node,stop,timeout}', '"-1s"'),
	('W1: node.stop.timeout is not a text.', '{node,stop,timeout}', '30'),
	('W1: node.stop.every is not a duration such as 500ms, 30s, 10min, 2h or 1d.', '{node,stop,every}', '"1 fortnight"'),
	('W1: node.stop.until is not a jsonpath: syntax error%', '{node,stop,until}', '"$.running =="'),
	('W1: node.stop.until uses the variable "$unti", which "requires" does not name.', '{node,stop,until}', '"$.x == $unti"'),
	('W1: node.stop.args uses the variable "unti", which "requires" does not name.', '{node,stop,args}', '["{unti}"]'),
	('W1: node.stop.args has a brace that is no variable.', '{node,stop,args}', '["{ unit }"]'),
	('W1: node.stop.args is not a list.', '{node,stop,args}', '"stop"'),
	('W1: node.stop.exec is not the name of a program in the worker''s runbook directory.', '{node,stop,exec}', '"/bin/sh"'),
	('W1: node.stop.exec is not the name of a program in the worker''s runbook directory.', '{node,stop,exec}', '"../sh"'),
	('W1: node.stop has both "exec" and "http".', '{node,stop,http}', '"http://h/"'),
	('W1: node.stop.form has a part that is not a text.', '{node,stop}', '{"http": "http://h/", "method": "POST", "form": {"start": true}, "until": "$.x == 1"}'),
	('W1: node.stop.form is not an object.', '{node,stop}', '{"http": "http://h/", "method": "POST", "form": "start", "until": "$.x == 1"}'),
	('W1: node.stop.form uses the variable "bundle", which "requires" does not name.', '{node,stop}', '{"http": "http://h/", "method": "POST", "form": {"b": "@{bundle}"}, "until": "$.x == 1"}'),
	('W1: node.stop has both "form" and "body".', '{node,stop}', '{"http": "http://h/", "method": "POST", "form": {}, "body": "", "until": "$.x == 1"}'),
	('W1: node.stop has "form", which belongs to "http".', '{node,stop,form}', '{}'),
	('W1: node.stop has "transaction", which belongs to "sql".', '{node,stop,transaction}', 'false'),
	('W1: node.stop has none of exec, http, haproxy, sql.', '{node,stop}', '{}'),
	('W1: node.stop acts, but neither "until" nor "probe" says how its effect is seen.', '{node,stop}', '{"exec": "service"}'),
	('W1: node.stop.retries is not a whole number from 0 to 1000.', '{node,stop,retries}', '1.5'),
	('W1: node.stop is not an object.', '{node,stop}', '"x"'),
	('W1: node.start has "force", which is for stop only.', '{node,start}', '{"exec": "a", "until": "$.x == 1", "force": {"exec": "b"}}'),
	('W1: before[0].conninfo holds a password, or a service with a host.', '{before}', '[{"sql": "x", "until": "$.a == 1", "conninfo": "host=h password=secret"}]'),
	('W1: before[0].conninfo holds a password, or a service with a host.', '{before}', '[{"sql": "x", "until": "$.a == 1", "conninfo": "host=h password\t=secret"}]'),
	('W1: before[0].conninfo holds a password, or a service with a host.', '{before}', '[{"sql": "x", "until": "$.a == 1", "conninfo": "postgres://me:secret@h"}]'),
	('W1: before[0] has no "conninfo".', '{before}', '[{"sql": "x", "until": "$.a == 1"}]'),
	('W1: guard[0] has no "until".', '{guard}', '[{"http": "http://h/"}]'),
	('W1: requires names "node", which zdu gives by itself.', '{requires}', '["unit", "node"]'),
	('W1: requires is not a list of texts.', '{requires}', '["unit", 1]'),
	('W1: observe needs both "version" and "active".', '{observe}', '{"http": "http://h/"}'),
	('W1: zdu_runbook is not a whole number from 1 to 1.', '{zdu_runbook}', '2'),
	('W1: node.verify.until does not compare with $version: nobody would see which version runs.', '{node}',
	 '{"upgrade": {"exec": "a", "until": "$.x == 1"}, "verify": {"http": "http://h/", "until": "$.x == 1"}}');


SELECT is(concat_ws(' | ', r.sqlstate, r.message, split_part(r.detail, ': ', 1), r.hint <> ''),
          concat_ws(' | ', b.sqlstate, b.message, b.rule, true), format('%s: %s: %s', b.rule, b.sqlstate, b.statement))
FROM bad b CROSS JOIN LATERAL pg_temp.refusal('SELECT ' || b.statement) r;
SELECT is((r.sqlstate, r.message, r.detail LIKE b.detail, r.hint <> '')::text, ('22023', 'runbook "mine" is not valid', true, true)::text,
          b.detail || ' ' || b.value)
FROM runbook b JOIN zdu.runbook g ON g.name = 'mine'
CROSS JOIN LATERAL pg_temp.refusal(format('SELECT zdu_set_runbook(''mine'', %L)', jsonb_set(g.document, b.path, b.value))) r;

-- Reports

CREATE TEMP TABLE answer (token text, node text, verb text, sqlstate text, message text, ord serial);
CREATE FUNCTION pg_temp.work(reports text, worker text DEFAULT 'w', slots int DEFAULT 0) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
	DELETE FROM answer;
	INSERT INTO answer SELECT token, node, verb, sqlstate, message FROM zdu_work(worker, '1', 'shop', reports::json, slots, programs => '{service}');
END $$;
SELECT pg_temp.work((SELECT json_agg(json_build_object('node', 'app' || n, 'seen', '{"version": "1.0", "up": true}'::json)) FROM generate_series(1, 4) n)::text);
SELECT zdu_begin('shop', '1.0.1');
SELECT pg_temp.work('[]', slots => 2);
CREATE TEMP TABLE held AS SELECT node, token FROM answer WHERE token IS NOT NULL;
SELECT results_eq('SELECT node, verb FROM answer WHERE token IS NOT NULL ORDER BY node', $$VALUES ('app1', 'probe'), ('app2', 'probe')$$,
                  'W4: a worker holds two steps');

SELECT pg_temp.work(format('[{"token": "%s", "verb": "probe", "state": "done", "evidence": {"running": false}}]', token), 'thief') FROM held WHERE node = 'app1';
SELECT results_eq('SELECT token, verb, sqlstate, message FROM answer WHERE verb = $$error$$',
                  $$SELECT token, 'error', 'ZD003', 'report 1: W5: the token is stale, the step is somebody else''s by now' FROM held WHERE node = 'app1'$$,
                  'W5: a report for another worker''s step is refused');
SELECT pg_temp.work('[]');
SELECT results_eq('SELECT node, verb FROM answer WHERE token IS NOT NULL ORDER BY node', $$VALUES ('app1', 'probe'), ('app2', 'probe')$$,
                  'W5: it has not moved the step');

CREATE TEMP TABLE report (ord serial, sqlstate text, message text, report text);
INSERT INTO report (sqlstate, message, report)
SELECT sqlstate, message, replace(report, '$T', (SELECT token FROM held WHERE node = 'app1'))
FROM (VALUES
	('22023', 'a report is not an object', '"done"'),
	('22023', 'a report is not an object', 'null'),
	('22023', 'a report is not an object', '[{"token": "$T", "verb": "probe", "state": "done", "evidence": {}}]'),
	('22023', 'a report wants a token, a node or a watch', '{}'),
	('ZD003', '%stale%', '{"token": "7.77", "verb": "probe", "state": "done", "evidence": {}}'),
	('ZD003', '%stale%', '{"token": "99999999999999999999.1", "verb": "probe", "state": "done", "evidence": {}}'),
	('ZD003', '%stale%', '{"token": "x", "verb": "probe", "state": "done", "evidence": {}}'),
	('22023', '%wants a verb%', '{"token": "$T", "verb": "dance", "state": "done", "evidence": {}}'),
	('22023', '%wants a verb%', '{"token": "$T", "verb": "probe", "state": "well", "evidence": {}}'),
	('22023', 'evidence is not an object%', '{"token": "$T", "verb": "probe", "state": "done"}'),
	('22023', 'evidence is not an object%', '{"token": "$T", "verb": "probe", "state": "done", "evidence": "running = false"}'),
	('22P05', 'unsupported Unicode escape sequence', '{"token": "$T", "verb": "probe", "state": "done", "evidence": {"running": false, "x": "\u0000"}}'),
	('22P05', 'unsupported Unicode escape sequence', '{"token": "$T", "verb": "act", "state": "done", "log": "\u0000"}'),
	('54000', 'a report has more than 64 kB', '{"token": "$T", "verb": "probe", "state": "done", "evidence": {"running": false, "x": "' || repeat('x', 1024 * 1024) || '"}}'),
	('42704', 'there is no such node', '{"node": "nobody", "seen": {"up": false}}'),
	('22023', 'seen is not an object', '{"node": "app3", "seen": "up"}'),
	('22023', 'seen is not an object', '{"node": "app3"}')) AS t (sqlstate, message, report);
-- Good ones at both ends and in the middle.
SELECT pg_temp.work(format('[%s, {"token": "%s", "verb": "probe", "state": "done", "evidence": {"running": true}}, %s, %s]',
	'{"node": "app3", "seen": {"version": "1.0.9", "up": true}}', (SELECT token FROM held WHERE node = 'app2'),
	(SELECT string_agg(report, ', ' ORDER BY ord) FROM report), '{"node": "app4", "seen": {"refused": true}}'));
SELECT is((SELECT a.sqlstate || ' ' || (a.message LIKE 'report ' || r.ord + 2 || ': ' || r.message) FROM answer a WHERE a.message LIKE 'report ' || r.ord + 2 || ':%'),
          r.sqlstate || ' true', format('W5: %s, %s: %s', r.sqlstate, r.message, left(r.report, 90)))
FROM report r ORDER BY r.ord;
SELECT is((SELECT count(*) FROM answer WHERE verb = 'error'), (SELECT count(*) FROM report), 'W5: none of the good ones is refused');
SELECT results_eq('SELECT node, verb FROM answer WHERE token IS NOT NULL AND verb <> $$error$$ ORDER BY node', $$VALUES ('app1', 'probe'), ('app2', 'act')$$,
                  'W5: the step with bad reports stands where it was, its neighbour has moved');
SELECT results_eq($$SELECT node, state, version FROM zdu.node_status WHERE node IN ('app3', 'app4') ORDER BY node$$,
                  $$VALUES ('app3', 'ACTIVE', '1.0.9'), ('app4', 'OFFLINE', '1.0')$$, 'W5: the observations at both ends were taken');
SELECT ok(evidence IS NULL AND log IS NULL, 'W5: nothing of a bad report is kept') FROM zdu.step WHERE node_id = (SELECT node_id FROM zdu.node n JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'shop' AND n.name = 'app1');
SELECT is((pg_temp.refusal(format('SELECT zdu_work(''w'', ''1'', ''shop'', %L)', reports))).sqlstate, sqlstate, 'W5: what is no array of reports at all is refused as a whole: ' || reports)
FROM (VALUES ('22P02', '[{"token": "1.1", "verb": "probe", "state": "done", "evidence": {running}}]'), ('22P02', ''), ('22023', '{}'), ('22023', ' 7')) AS t (sqlstate, reports);

SELECT * FROM finish();
ROLLBACK;
