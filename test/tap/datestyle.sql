-- The caller's settings do not change what zdu says.
BEGIN;
SELECT plan(2);

SELECT zdu_set_runbook('ops', '{"zdu_runbook": 1, "observe": {"http": "http://{node}/", "version": "$.version", "active": "$.up"},
	"node": {"stop": {"exec": "svc", "until": "$.up == false"}}}');
SELECT zdu_set_cluster('shop', runbook => 'ops');
SELECT zdu_set_node('shop', n) FROM unnest('{app1,app2}'::text[]) n;
SELECT count(*) FROM zdu_work('w1', 'i1', 'shop', (SELECT json_agg(json_build_object('node', n, 'seen', '{"up": true, "version": "1.0"}'::json))
	FROM unnest('{app1,app2}'::text[]) n));
SELECT zdu_begin('shop', '1.1');
SELECT count(*) FROM zdu_work('w1', 'i1', 'shop', slots => 1, programs => '{svc}');

-- IST is India's time here, and Israel's to whoever reads it again.
SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL timezone = 'Asia/Kolkata';
SELECT isnt_empty($$ SELECT FROM zdu_why('shop', every => true) WHERE since IS NOT NULL $$, 'L22: zdu_why says since when');
SELECT is((SELECT count(*) FROM zdu_why('shop', every => true) WHERE since NOT BETWEEN now() - interval '1 minute' AND clock_timestamp()), 0::bigint,
	'L22: since is the same time in every DateStyle');

SELECT * FROM finish();
ROLLBACK;
