# What an upgrade does once for the cluster: preparation and its undo, tasks at the end, guards all the while.
use strict;
use warnings FATAL => 'all';

use FakeZdu qw(alive);
use Test::More;
use ZduTest qw(@phases slurp spew wait_until);

my $zdu = ZduTest->new;
my %prepared = (before => [ { name => 'prepare', exec => 'sim', until => '$.running == true', timeout => '2s', undo => { exec => 'sim', until => '$.running == false' } } ]);

# Waits until the upgrade of a cluster has ended; returns how.
sub ended
{
	my ($cluster) = @_;

	$zdu->wait_sql("SELECT bool_and(ended_at IS NOT NULL) FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = '$cluster'");
	return $zdu->sql("SELECT run FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = '$cluster'");
}

# --- D8: prepared once, undone once, however it ends ---

$zdu->cluster($_, policy => { lease => '1s' }, runbook => \%prepared) for qw(succeeds cancelled rolled crashed);
# One of the workers dies in the preparation; it serves that cluster only.
my $first = $zdu->start('--name', 'first', '--cluster', 'crashed');
$zdu->order('crashed', 'tasks', 'before', 'hang');
$zdu->wait_seen('crashed');
$zdu->sql(q{SELECT zdu_begin('crashed', '1.1.0')});
ok(wait_until(sub { $zdu->said('crashed', 'tasks', 'hang', 'before') }), 'D8: a worker is preparing');
is($zdu->said('crashed', 'app1', 'begin', 'isolate'), 0, 'D8: no node is taken before that is done');
kill 'KILL', $first->{pid};
wait_until(sub { !alive($first->{pid}) });
$zdu->undo_order('crashed', 'tasks', 'before', 'hang');

my @workers = map { $zdu->start('--name', $_) } qw(second third);
my @others = qw(succeeds cancelled rolled);
$zdu->wait_seen(@others);
$zdu->order($_, 'app1', 'drain', 'hang') for @others;
$zdu->sql("SELECT zdu_begin('$_', '1.1.0')") for @others;
ok(wait_until(sub { $zdu->said($_, 'app1', 'hang', 'drain') }), "D8: $_ is prepared, and rolls") for @others;
$zdu->sql(q{SELECT zdu_cancel('cancelled'); SELECT zdu_rollback('rolled')});
$zdu->undo_order($_, 'app1', 'drain', 'hang') for @others;
for my $cluster (qw(succeeds crashed))
{
	ok($zdu->wait_ready($cluster), "D8: $cluster comes to its end");
	$zdu->sql("SELECT zdu_finalize('$cluster')");
}
my %ending = (succeeds => 'completed', crashed => 'completed', cancelled => 'cancelled', rolled => 'rolled_back');
for my $cluster (sort keys %ending)
{
	is(ended($cluster), $ending{$cluster}, "D8: $cluster ends as $ending{$cluster}");
	is(join(' ', map { "$_->[0] $_->[1]" } grep { $_->[0] ne 'begin' && $_->[0] ne 'hang' } $zdu->log_of($cluster, 'tasks')), 'end before end undo',
		"D8: in $cluster the preparation was made once and undone once");
	like(slurp("$zdu->{nodes}/$cluster/app1/state"), qr/in=true .*running=true/, "L5: $cluster leaves nothing stopped");
}

# --- L13 to L15: tasks of the end ---

my $done = "$zdu->{nodes}/first-task";
$zdu->program('once', "if test \$ZDU_VERB = act; then echo done >>$done; fi\ntest -e $done && echo '{\"done\": true}' || echo '{\"done\": false}'");
$zdu->cluster('tasks', runbook => { after => [ { name => 'first', exec => 'once', until => '$.done == true' },
	{ name => 'second', exec => 'sim', until => '$.installed == $version' } ] });
$zdu->order('tasks', 'tasks', 'after', 'fail', '1.1.0');
$zdu->wait_seen('tasks');
$zdu->sql(q{SELECT zdu_begin('tasks', '1.1.0')});
ok($zdu->wait_ready('tasks'), 'L13: a roll with two tasks at its end');
is($zdu->sql(q{SELECT zdu_finalize('tasks')}), 'RUNNING_UPGRADE_TASKS', 'L13: finalizing lets them run');
is($zdu->sql(q{SELECT version || coalesce(original::text, '') FROM zdu.cluster WHERE name = 'tasks'}), '1.1.0', 'L13: upgrade mode is over by then');
ok($zdu->wait_status('tasks', 'state', 'UPGRADE_TASKS_FAILED'), 'L15: one of them fails');
for my $call (qw(zdu_begin zdu_cancel zdu_finalize zdu_rollback))
{
	my ($code) = $zdu->pg->psql('postgres', "SELECT $call('tasks')");

	isnt($code, 0, "L15: $call is refused then");
}
$zdu->undo_order('tasks', 'tasks', 'after', 'fail');
is($zdu->sql(q{SELECT zdu_retry('tasks')}), 1, 'L15: zdu_retry tries that one again');
ok($zdu->wait_status('tasks', 'state', 'STABLE'), 'L13: then all is done');
is(ended('tasks'), 'completed', 'L13: and the upgrade completed');
is(slurp($done), "done\n", 'L15: a task that was done is not run again');
is($zdu->sql(q{SELECT string_agg(attempt::text, ' ' ORDER BY ord) FROM zdu.step JOIN zdu.cluster USING (cluster_id) WHERE name = 'tasks' AND phase = 'after'}), '1 2',
	'L15: nor even begun again');
is(scalar(grep { $_->[0] eq 'end' } $zdu->log_of('tasks', 'tasks')), 1, 'L14: and each is done by one worker, once');

# --- S6: guards ---

$zdu->cluster('guarded', policy => { lease => '1s' }, runbook => { guard => [ { exec => 'sim', until => '$.in == true', every => '100ms', failures => 2 } ] });
$zdu->wait_seen('guarded');
$zdu->order('guarded', 'app2', 'start', 'hang');
$zdu->sql(q{SELECT zdu_begin('guarded', '1.1.0')});
ok(wait_until(sub { $zdu->said('guarded', 'app2', 'hang', 'start') }), 'S6: a roll goes on while its guard is content');
my $well = slurp("$zdu->{nodes}/guarded/tasks/state");
spew("$zdu->{nodes}/guarded/tasks/state", $well =~ s/in=true/in=false/r);
ok($zdu->wait_status('guarded', 'run', 'held'), 'S6: a guard that fails holds the upgrade');
like($zdu->sql(q{SELECT waits_for FROM zdu.status WHERE cluster = 'guarded'}), qr/^S6: guard 0 failed/, 'S6: and is named');
$zdu->undo_order('guarded', 'app2', 'start', 'hang');
ok($zdu->wait_sql(q{SELECT done = '2/3' AND serving = '3/3' FROM zdu.status WHERE cluster = 'guarded'}), 'S6: what is in flight is finished');
is($zdu->said('guarded', 'app3', 'begin', 'isolate'), 0, 'S6: nothing more is taken');
spew("$zdu->{nodes}/guarded/tasks/state", $well);
$zdu->wait_sql(q{SELECT failed = 0 FROM zdu.watch});
$zdu->sql(q{SELECT zdu_retry('guarded')});
ok($zdu->wait_ready('guarded'), 'S6: mended, it goes on with zdu_retry');
is($zdu->stop($_), 0, 'W4: a worker ends well') for @workers;

done_testing();
