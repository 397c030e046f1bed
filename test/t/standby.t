# A hot standby answers whatever changes nothing - status, why, plan, simulate - and says as of when.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION zdu;
SELECT zdu_set_runbook('mine', '{"zdu_runbook": 1, "node": {
	"upgrade": {"exec": "unit", "until": "$.done == true", "expect": "50s"},
	"verify": {"exec": "unit", "only": "probe", "until": "$.version == $version"}}}');
SELECT zdu_set_cluster('shop', runbook => 'mine');
SELECT zdu_set_node('shop', 'app' || n, zone => 'z' || n % 2) FROM generate_series(1, 4) n;
SELECT zdu_join('shop', 'app' || n, '1.0.0', 'p'), zdu_heartbeat('shop', 'app' || n, 'p', 'ACTIVE') FROM generate_series(1, 4) n;
SELECT zdu_set_budget('shop', 'zone', '{"zone": "z1"}', max_unavailable => '1');
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

sub standby { return $standby->safe_psql('postgres', $_[0]) }

# Until it has replayed a transaction it is as its backup was.
is(standby(q{SELECT waits_for FROM zdu.status}), 'as of the backup', 'L22: a standby that has replayed nothing says so');
like(standby(q{SELECT * FROM zdu_why('shop')}), qr/^info\|\|standby\|.*replayed nothing yet/, 'L22: in zdu_why too');
$primary->safe_psql('postgres', q{SELECT zdu_set_node('shop', 'app1', '10.0.0.11')});

# What both say, once the standby has caught up.
sub both
{
	my ($sql) = @_;
	my $said = $primary->safe_psql('postgres', $sql);
	$primary->wait_for_catchup($standby);
	return ($standby->safe_psql('postgres', $sql), $said);
}

my ($there, $here) = both(q{SELECT * FROM zdu_plan('shop', '1.1.0')});
is($there, $here, 'N14: a standby makes the same plan');
like($there, qr/^0\|1\|app1\|.*00:00:00\|00:01:00$/m, 'N14: with times and all');
($there, $here) = both(q{SELECT makespan, lower_bound, hash FROM zdu_plan_summary('shop', '1.1.0')});
is($there, $here, 'N14: of the same hash');
($there, $here) = both(q{SELECT * FROM zdu_simulate('shop', '1.1.0', runs => 20, failure_rate => 0.1)});
is($there, $here, 'N14: and plays it as the primary does');

my $hash = (split /\|/, standby(q{SELECT makespan, hash FROM zdu_plan_summary('shop', '1.1.0')}))[1];
is(standby(q{SELECT as_of IS NOT NULL AND as_of <= now() FROM zdu_plan_summary('shop', '1.1.0')}), 't', 'N14: the summary says as of when');
is($primary->safe_psql('postgres', q{SELECT as_of IS NULL FROM zdu_plan_summary('shop', '1.1.0')}), 't', 'N14: the primary has no need to');
like(standby(q{SELECT verdict, subject, since IS NOT NULL, hint FROM zdu_why('shop', target => '1.1.0')}),
	qr/^info\|standby\|t\|connect to the primary/, 'L22: so does zdu_why before begin');
like(standby(q{SELECT waits_for FROM zdu.status}), qr/^as of \d{4}-/, 'L22: and zdu.status');
my ($code, undef, $error) = $standby->psql('postgres', q{SELECT zdu_begin('shop', '1.1.0')});
isnt($code, 0, 'L22: nothing is begun on a standby');
like($error, qr/read-only|recovery/, 'L22: and it says why');

# The plan that was made there holds here.
is($primary->psql('postgres', qq{SELECT zdu_begin('shop', '1.1.0', plan => '$hash')}), 0, 'N14: a plan made on the standby is agreed to on the primary');
$primary->wait_for_catchup($standby);
like(standby(q{SELECT run || ' ' || (waits_for ~ '^as of .*: W4: no worker has ever asked') FROM zdu.status}), qr/^running true$/, 'L22: the standby tells what the upgrade waits for');
is(standby(q{SELECT string_agg(node, ' ' ORDER BY ord) FROM zdu_plan('shop')}), 'app1 app2 app3 app4', 'N14: and what is left of it');
is(standby(q{SELECT eta FROM zdu.status}), '00:04:00', 'L22: and how long that takes');

# Promoted it follows nobody; it directs only when somebody says so.
$standby->promote;
is(standby(q{SELECT waits_for LIKE 'as of %' FROM zdu.status}), 'f', 'L22: once promoted it is as of now');
like(standby(q{SELECT string_agg(observed, ' ') FROM zdu_why('shop')}), qr/restored, cloned or promoted/, 'N4: and nothing is granted before zdu_adopt');

done_testing();
