-- Promise: what must still leave a draining node is told row by row, and counted by the availability that the policy asks for.
BEGIN;
SELECT plan(8);
\ir sim.psql

CREATE FUNCTION pg_temp.left_on(c text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(concat_ws(' ', node, resource, kind, state, elsewhere || '/' || needed), ', '), 'nothing') FROM zdu.remaining WHERE cluster = c $$;
-- app1 has the only copy of one, the primary of two and three, and a copy of four that is being built.
CREATE FUNCTION pg_temp.make(c text, level text) RETURNS void LANGUAGE sql AS $$
	SELECT sim.make(c, 6, jsonb_build_object('min_availability', level, 'max_unavailable', '1'));
	SELECT zdu_load_placements(c, '[{"resource": "one", "node": "app1", "kind": "primary"},
		{"resource": "two", "node": "app1", "kind": "primary"}, {"resource": "two", "node": "app2"},
		{"resource": "three", "node": "app1", "kind": "primary"}, {"resource": "three", "node": "app3"}, {"resource": "three", "node": "app4"},
		{"resource": "four", "node": "app1", "state": "building"}, {"resource": "four", "node": "app3", "kind": "primary"}]');
	SELECT zdu_begin(c, '1.1.0');
	SELECT sim.drive_until(c, format('sim.step(%L, ''app1'') LIKE ''drain running%%'' ', c), slots => 1);
$$;
SELECT pg_temp.make(level, level) FROM unnest('{none,primaries,full}'::text[]) AS level;
SELECT sim.ask(level, slots => 1) FROM unnest('{none,primaries,full}'::text[]) AS level;
SELECT is(pg_temp.left_on('none'), 'nothing', 'D9: under none nothing counts');
SELECT is(pg_temp.left_on('primaries'), 'app1 one primary active 0/1', 'D9: under primaries what would lose its write quorum');
SELECT is(pg_temp.left_on('full'), 'app1 four replica building 1/1, app1 one primary active 0/1, app1 three primary active 2/2, app1 two primary active 1/1', 'D9: under full every copy');
SELECT zdu_declare_down('primaries', 'app2', 'dead');
SELECT is(pg_temp.left_on('primaries'), 'app1 one primary active 0/1, app1 two primary active 0/1', 'D9: a copy elsewhere that goes away meanwhile makes one more');
SELECT zdu_declare_down('primaries', 'app3', 'dead');
SELECT is(pg_temp.left_on('primaries'), 'app1 one primary active 0/1, app1 three primary active 1/2, app1 two primary active 0/1', 'D9: of three two must stay');
SELECT zdu_declare_down('primaries', 'app4', 'dead');
SELECT is(pg_temp.left_on('primaries'), 'app1 one primary active 0/1, app1 two primary active 0/1', 'D4: a write quorum that it had not before cannot be lost');
SELECT is((SELECT string_agg(concat_ws(' | ', subject, observed), ', ') FROM zdu_why('full') WHERE rule = 'D9'), 'app1 drain | 4 copies must leave first, that of four among them', 'D9: zdu_why tells how many');
SELECT sim.make('quiet', 3, '{"min_availability": "full"}'), zdu_set_resource('quiet', 's', '0'), zdu_set_placement('quiet', 's', 'app1', 'primary');
SELECT is(pg_temp.left_on('quiet'), 'nothing', 'D9: of nodes that do not drain nothing must leave');

SELECT * FROM finish();
ROLLBACK;
