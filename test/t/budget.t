# Two workers never take more nodes than the budget allows, whatever the actions' durations.
use strict;
use warnings FATAL => 'all';

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(sleep);
use ZduTest qw(slurp);

use constant { NODES => 50, LIMIT => 3, RUNS => 20 };

my $zdu = ZduTest->new;
my $seed = $ENV{ZDU_SEED} // time();

note("ZDU_SEED=$seed");
srand($seed);

# As few phases as show a node unavailable in every way there is.
my %phases = map { $_ => { every => '50ms' } } qw(isolate stop start verify integrate);
my $runbook = $zdu->runbook(\%phases);
delete @{ $runbook->{node} }{qw(drain upgrade)};
$zdu->cluster('shop', nodes => NODES, policy => { max_unavailable => '' . LIMIT }, runbook => { node => $runbook->{node} });
# Without an upgrade phase the new version is there already.
$zdu->program('sim', slurp("$zdu->{runbooks}/sim") =~ s/version=\$installed/version=\$ZDU_VERSION/r);

# A session that looks all the time, at what everybody else can see.
$zdu->sql(q{
	CREATE TABLE sampled (looks bigint, most bigint);
	INSERT INTO sampled VALUES (0, 0);
	CREATE PROCEDURE sample() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM sampled) LOOP
			UPDATE sampled SET looks = looks + 1, most = greatest(most,
				(SELECT count(*) FROM zdu.node WHERE state <> 'ACTIVE' OR NOT in_rotation OR taken));
			COMMIT;
			PERFORM pg_sleep(0.005);
		END LOOP;
	END $$});
my @workers = map { $zdu->start('--name', $_) } 'one', 'two';
$zdu->wait_seen('shop');
my $sampler = IPC::Run::start([ 'psql', '-X', '-q', '-d', $zdu->pg->connstr('postgres'), '-c', 'CALL sample()' ]);

# Returns how many nodes do not serve in truth: down, or out of rotation.
sub away
{
	return scalar grep { slurp($_) !~ /in=true .* running=true/ } glob("$zdu->{nodes}/shop/app*/state");
}

my $finished = 0;
my $most_away = 0;
for my $run (1 .. RUNS)
{
	$zdu->order('shop', "app$_", 'delay', undef, sprintf('%.3f', rand(0.02))) for 1 .. NODES;
	$zdu->sql("SELECT zdu_begin('shop', '1.0.$run')");
	my $done;
	for (1 .. 1000)
	{
		$most_away = max($most_away, map { away() } 1 .. 5);
		$done = $zdu->sql("SELECT state = 'READY_TO_RUN_UPGRADE_TASKS' AND taken = 0 FROM zdu.cluster_facts WHERE name = 'shop'");
		last if $done eq 't';
	}
	last if $done ne 't';
	$zdu->sql("SELECT zdu_finalize('shop')");
	$finished++;
}
is($finished, RUNS, 'W1: every run finishes');
cmp_ok($most_away, '<=', LIMIT, 'D10: of the nodes themselves never more than 3 are away at once');
cmp_ok($most_away, '>', 1, 'D10: the budget is made use of');
cmp_ok($zdu->sql('SELECT looks FROM sampled'), '>', 100, 'D10: a session looks again and again');
is($zdu->sql('SELECT most FROM sampled'), LIMIT, 'D10: it sees 3 nodes unavailable at most');
$zdu->sql('DELETE FROM sampled');
$sampler->finish;

# The same from what was written down: state, rotation and being taken after each transaction.
my (%of, %unavailable);
my ($most, $least_serving, $transaction) = (0, NODES, '');
my @events = map { [ split /\|/ ] } split /\n/, $zdu->sql(q{SELECT l.xmin, e.node, e.what, e.new FROM zdu.event e
	JOIN zdu.event_log l ON l.cluster = e.cluster AND l.log_id = e.event_id / 1000
	WHERE e.what IN ('node', 'rotation', 'taken') AND e.upgrade_id IS NOT NULL ORDER BY e.event_id});
for my $event (@events, [ 'end' ])
{
	my ($xmin, $node, $what, $new) = @$event;

	if ($xmin ne $transaction)
	{
		$most = max($most, scalar keys %unavailable);
		$least_serving = min($least_serving, NODES - keys %unavailable);
		$transaction = $xmin;
	}
	last if $xmin eq 'end';
	$of{$node} //= { node => 'ACTIVE', rotation => 'in', taken => 'no' };
	$of{$node}{$what} = $new;
	delete $unavailable{$node};
	$unavailable{$node} = 1 if "@{ $of{$node} }{qw(node rotation taken)}" ne 'ACTIVE in no';
}
cmp_ok(scalar(@events), '>=', RUNS * NODES * 4, 'D12: the event log has all that happened to the nodes');
is($most, LIMIT, 'D12: by the event log, too, 3 nodes are unavailable at most');
is(scalar keys %unavailable, 0, 'D12: and none at the end');
cmp_ok($least_serving, '>=', NODES - LIMIT, 'D14: so 47 of 50 serve at every moment');
is($zdu->sql(q{SELECT count(DISTINCT s.worker) FROM zdu.step s}), 2, 'D11: both workers had their share');
is($zdu->sql(q{SELECT count(*) FROM (SELECT node_id, upgrade_id FROM zdu.step WHERE phase = 'stop' GROUP BY 1, 2 HAVING count(*) > 1) twice}), 0,
	'W5: no node is stopped twice in a run');
is(scalar(grep { $_->[0] eq 'already' } map { $zdu->log_of('shop', "app$_") } 1 .. NODES), 0, 'W4: nothing is done that was done already');
is($zdu->stop($_), 0, 'W4: a worker ends well') for @workers;

done_testing();
