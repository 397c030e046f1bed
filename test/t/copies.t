# Where thousands of copies of data are is seen by one look; one that shows too much is told, names the way out, and changes nothing.
use strict;
use warnings FATAL => 'all';

use Test::More;
use ZduTest;

my $zdu = ZduTest->new;

# Prints copies as table `wanted` says: so many, of resources whose names are padded to that length, over three nodes.
$zdu->sql('CREATE TABLE wanted AS SELECT 6000 AS copies, 1 AS pad');
my $conninfo = $zdu->pg->connstr('postgres');
$zdu->program('copies', <<"SH");
psql -X -A -t -d "$conninfo" -c "SELECT json_build_object('copies', json_agg(json_build_object('resource', repeat('t', pad) || i, 'node', 'app' || i % 3 + 1,
	'kind', 'primary', 'state', 'active', 'replicas', '0'))) FROM wanted, generate_series(1, copies) AS i"
SH
$zdu->cluster('exec', policy => { min_availability => 'primaries' },
	runbook => { placements => { exec => 'copies', copies => '$.copies[*]', every => '1s' } });
$zdu->cluster('sql', policy => { min_availability => 'primaries' },
	runbook => { placements => { sql => q{SELECT json_agg(json_build_object('resource', repeat('t', pad) || i, 'node', 'app' || i % 3 + 1, 'kind', 'primary'))
		AS copies FROM wanted, generate_series(1, copies) AS i}, conninfo => $conninfo, copies => '$.copies[*]', every => '1s' } });
my $worker = $zdu->start;

sub placed
{
	my ($cluster) = @_;

	return "(SELECT count(*) FROM zdu.placement JOIN zdu.cluster USING (cluster_id) WHERE name = '$cluster')";
}

for my $driver (qw(exec sql))
{
	ok($zdu->wait_sql("SELECT @{[placed($driver)]} = 6000"), "D3: $driver: 6,000 copies go through one look");
	is($zdu->sql("SELECT count(*) FROM zdu.resource_facts JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = '$driver' AND placed = 1 AND present = 1"), 6000,
		"D4: $driver: each is known for what it is");
	ok($zdu->sql("SELECT octet_length(evidence::text) FROM zdu.watch JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = '$driver' AND kind = 'placements'") > 64 * 1024,
		"D3: $driver: that is more than any other look may show");
}

# More than 4 MiB.
$zdu->sql('UPDATE wanted SET pad = 400, copies = 12000');
for my $driver (qw(exec sql))
{
	my $wrong = "SELECT wrong FROM zdu.placement_load JOIN zdu.cluster USING (cluster_id) WHERE name = '$driver'";

	ok($zdu->wait_sql("SELECT ($wrong) IS NOT NULL"), "D3: $driver: a look that shows more than 4 MiB is none");
	is($zdu->sql($wrong), 'it showed more than 4 MiB: a program of yours may load them by zdu_load_placements()', "L22: $driver: what is wrong, and the way out");
	is($zdu->sql("SELECT @{[placed($driver)]}"), 6000, "D3: $driver: what was known of copies stays");
	is($zdu->sql("SELECT zdu_load_placements('$driver', jsonb_agg(jsonb_build_object('resource', repeat('t', pad) || i, 'node', 'app1'))) > 0 FROM wanted, generate_series(1, copies) i"), 't',
		"D3: $driver: zdu_load_placements takes that many");
}

# A report of anything else is as small as ever.
$zdu->program('big', 'printf \'{"x": "%070000d"}\' 1');
$zdu->cluster('big', runbook => { schema => { exec => 'big', version => '$.version', every => '1s' } });
ok($zdu->wait_sql(q{SELECT evidence->>'error' = 'output too large' FROM zdu.watch JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = 'big' AND kind = 'schema'}),
	'D3: other looks may show 64 KiB, as before');
is(join(' ', map { $_->[5] // '' } grep { $_->[4] eq 'error' } map { [ split /\|/ ] } split /\n/, $zdu->sql(
	q{SELECT coalesce(token, ''), '', '', '', verb, message FROM zdu_work('by-hand', '1', 'big', json_build_array(json_build_object('node', 'app1', 'seen', json_build_object('x', repeat('y', 70000)))))})),
	'report 1: a report has more than 64 kB', 'W5: and reports of anything else likewise');
is($zdu->stop($worker), 0, "W4: the worker ends well");
done_testing();
