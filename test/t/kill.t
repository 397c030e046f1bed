# Whichever phase a worker is killed in, another one finishes the roll, and does nothing twice.
use strict;
use warnings FATAL => 'all';

use FakeZdu qw(alive);
use Test::More;
use ZduTest qw(@phases wait_until);

my $zdu = ZduTest->new;

# What an action's death leaves undone is waited for until its own timeout.
my %short = map { $_ => { timeout => '4s' } } @phases[ 0 .. 6 ];
my @scenes = map { my $phase = $_; map { { phase => $phase, fate => $_, cluster => "$phase-$_" } } 'dies', 'outlives' } @phases;

for my $scene (@scenes)
{
	my %phases = map { $_ => { %{ $short{$_} }, $scene->{fate} eq 'outlives' ? (may_outlive => JSON::PP::true) : () } } keys %short;

	$zdu->cluster($scene->{cluster}, policy => { lease => '2s', min_healthy_time => '200ms' }, phases => \%phases);
	$scene->{first} = $zdu->start('--name', 'first', '--cluster', $scene->{cluster});
}
$zdu->wait_seen(map { $_->{cluster} } @scenes);

# Each is killed in the very moment in which app2 is in the phase.
for my $scene (@scenes)
{
	$zdu->order($scene->{cluster}, 'app2', $scene->{phase}, 'hang');
	$zdu->sql("SELECT zdu_begin('$scene->{cluster}', '1.1.0')");
}
for my $scene (@scenes)
{
	ok(wait_until(sub { $zdu->said($scene->{cluster}, "app2", "hang", $scene->{phase}) }), "W1: app2 of $scene->{cluster} is in $scene->{phase}");
	kill 'KILL', $scene->{first}{pid};
	wait_until(sub { !alive($scene->{first}{pid}) });
	$zdu->undo_order($scene->{cluster}, 'app2', $scene->{phase}, 'hang');
}

my $second = $zdu->start('--name', 'second');

for my $scene (@scenes)
{
	my ($phase, $cluster) = @$scene{ 'phase', 'cluster' };
	my $acts = $phase ne 'verify' && $phase ne 'soak';
	my $begun = $acts && $scene->{fate} eq 'dies' ? 2 : $acts;
	my %count;

	ok($zdu->wait_ready($cluster), "W4: killed in $phase, and its action $scene->{fate}: another worker finishes the roll");
	for my $node (qw(app1 app2 app3))
	{
		$count{"$_->[0] $_->[1]"}++ for $zdu->log_of($cluster, $node);
	}
	is(scalar(grep { /^already / } keys %count), 0, "W4: $cluster: nothing is done that a look says is done");
	is_deeply([ map { $count{"end $_"} } @phases[ 0 .. 5 ] ], [ (3) x 6 ], "W4: $cluster: everything is done once on each node");
	is($zdu->said($cluster, 'app2', 'begin', $phase), $begun + 0, "W4: $cluster: app2 is told to $phase $begun times") if $acts;
	is($zdu->sql(qq{SELECT string_agg(coalesce(new, ''), ', ' ORDER BY event_id) FROM zdu.event WHERE cluster = '$cluster' AND node = 'app2'
		AND (what = 'lease' OR (what = 'step' AND (new = '$phase running' OR new = '$phase unknown' OR new = '$phase succeeded')))}),
		"$phase running, lost, $phase unknown, $phase running, $phase succeeded", "W4: $cluster: the log tells of the lost lease and the new grant");
	like($zdu->sql(qq{SELECT reason FROM zdu.event WHERE cluster = '$cluster' AND node = 'app2' AND new = '$phase running' ORDER BY event_id DESC LIMIT 1}),
		qr/second/, "W4: $cluster: and of the worker that it goes to");
}
is($zdu->stop($second), 0, 'W4: the other worker ends well');

done_testing();
