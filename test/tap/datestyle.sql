-- The caller's settings do not change what zdu says.
BEGIN;
SELECT plan(1);

SELECT zdu_set_cluster('shop');
SELECT zdu_set_node('shop', n), zdu_join('shop', n, '1.0'), zdu_heartbeat('shop', n, state => 'ACTIVE') FROM unnest('{app1,app2}'::text[]) n;
SELECT zdu_begin('shop', '1.1');
SELECT zdu_declare_down('shop', 'app1', 'a test');

-- IST is India's time here, and Israel's to whoever reads it again.
SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL timezone = 'Asia/Kolkata';
SELECT is((SELECT count(*) FROM zdu_why('shop', every => true) WHERE since NOT BETWEEN now() - interval '1 minute' AND clock_timestamp()), 0::bigint,
	'L22: since is the same time in every DateStyle');

SELECT * FROM finish();
ROLLBACK;
