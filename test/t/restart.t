# A restart of PostgreSQL in the middle of a roll costs nothing but its time.
use strict;
use warnings FATAL => 'all';

use FakeZdu qw(alive);
use Test::More;
use Time::HiRes qw(sleep);
use ZduTest qw(@phases wait_until);

my $ttl = 2;
my $zdu = ZduTest->new;

# The nodes of one cluster are observed, those of the other report themselves.
$zdu->cluster($_, nodes => 4, policy => { heartbeat_ttl => "${ttl}s" }) for qw(seen beats);
$zdu->sql(q{SELECT (zdu_join('beats', 'app' || n, '1.0.0')).verdict, zdu_heartbeat('beats', 'app' || n, state => 'ACTIVE') FROM generate_series(1, 4) n});

# A beat of every node that runs, for ever; nobody answers while the database is away.
my $connstr = $zdu->pg->connstr('postgres');
my $beater = IPC::Run::start([ 'sh', '-c', <<"SH" ], '>', '/dev/null', '2>', '/dev/null');
cd $zdu->{nodes}/beats
while :; do
	psql -X -d "$connstr" -c "SELECT zdu_heartbeat('beats', '{\$(grep -l running=true app*/state | cut -d / -f 1 | paste -s -d ,)}'::text[])"
	sleep 0.1
done
SH
my @workers = map { $zdu->start('--name', $_) } 'one', 'two';

$zdu->wait_seen('seen', 'beats');
for my $cluster (qw(seen beats))
{
	$zdu->order($cluster, 'app2', 'start', 'hang');
	$zdu->sql("SELECT zdu_begin('$cluster', '1.1.0')");
	ok(wait_until(sub { $zdu->said($cluster, 'app2', 'hang', 'start') }), "W1: $cluster is in the middle of its roll");
}

$zdu->pg->stop('immediate');
# What is tested is an outage longer than a node may be unheard.
sleep $ttl + 1;
$zdu->pg->start;
$zdu->undo_order($_, 'app2', 'start', 'hang') for qw(seen beats);

for my $cluster (qw(seen beats))
{
	ok($zdu->wait_ready($cluster), "W4: the workers connect again, and the roll of $cluster is finished");
	is($zdu->sql(qq{SELECT string_agg(node || ' ' || reason, ', ') FROM zdu.event WHERE cluster = '$cluster' AND (rule = 'N4' OR new = 'held')}), '',
		"N4: no node of $cluster is taken for dead");
	my %count;
	for my $node (map { "app$_" } 1 .. 4)
	{
		$count{"$_->[0] $_->[1]"}++ for $zdu->log_of($cluster, $node);
	}
	is_deeply([ map { $count{"begin $_"} } @phases[ 0 .. 5 ] ], [ (4) x 6 ], "W4: in $cluster everything is begun once on each node");
	is($zdu->sql(qq{SELECT count(*) FROM zdu.event WHERE cluster = '$cluster' AND what = 'lease'}), 0, "W5: no lease is lost in $cluster");
}
is($zdu->sql(q{SELECT count(*) FROM zdu.node JOIN zdu.cluster USING (cluster_id) WHERE cluster.name = 'beats' AND reports}), 4, 'N4: of those that report themselves, too');
for my $worker (@workers)
{
	ok(alive($worker->{pid}), 'W4: a worker lives through it');
	is(() = $zdu->printed($worker, 'log') =~ /event=connected/g, 2, 'W4: it has connected twice');
	is($zdu->stop($worker), 0, 'W4: and ends well');
}
$beater->kill_kill;

done_testing();
