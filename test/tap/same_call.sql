-- What a call reports counts against the budget in the same call.
BEGIN;
SELECT plan(4);

SELECT zdu_set_runbook('ops', '{"zdu_runbook": 1, "observe": {"http": "http://{node}/", "version": "$.version", "active": "$.up"},
	"node": {"stop": {"exec": "svc", "until": "$.up == false"}}}');
SELECT zdu_set_cluster('shop', runbook => 'ops');
SELECT zdu_set_node('shop', n) FROM unnest('{app1,app2,app3}'::text[]) n;

CREATE FUNCTION work(reports json, slots integer) RETURNS bigint LANGUAGE sql AS
	$$ SELECT count(*) FROM zdu_work('w1', 'i1', 'shop', reports, slots, programs => '{svc}') WHERE verb = 'probe' AND token IS NOT NULL $$;
CREATE FUNCTION seen(node text, seen text) RETURNS json LANGUAGE sql AS
	$$ SELECT json_build_array(json_build_object('node', node, 'seen', seen::json)) $$;

SELECT work(seen(n, '{"up": true, "version": "1.0"}'), 0) FROM unnest('{app1,app2,app3}'::text[]) n;
SELECT zdu_begin('shop', '1.1');

SELECT is(work(seen('app3', '{"up": false, "version": "1.0"}'), 5), 1::bigint, 'D12: a call that reports one node in ERROR may take that node, which is away already');
SELECT results_eq($$ SELECT name FROM zdu.node WHERE taken $$, $$ VALUES ('app3') $$, 'D12: it is the one in ERROR that is taken, and no other besides');
SELECT is((SELECT unavailable FROM zdu.cluster_facts WHERE name = 'shop'), 1, 'D11: the budget of one is not overdrawn');
SELECT is(work('[]', 5), 1::bigint, 'D11: and the next call takes no other either');

SELECT * FROM finish();
ROLLBACK;
