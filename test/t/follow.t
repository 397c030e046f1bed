# The ways to run a worker: followed, once, as a node's agent; and told to leave in the middle.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Test::More;
use ZduTest qw(wait_until);

my $zdu = ZduTest->new;
my $connstr = $zdu->pg->connstr('postgres');

# Returns the exit code of --follow, and what it printed.
sub follow
{
	my (@options) = @_;
	my ($code, $out, $error) = $zdu->run($connstr, '--follow', @options);

	note("$out$error");
	return wantarray ? ($code, $out) : $code;
}

# --- --once, and the codes of --follow ---

my @once = ($connstr, '--once', '--runbooks', $zdu->{runbooks});

$zdu->cluster($_) for qw(good held);
is(scalar follow('nobody'), 5, 'L22: --follow: there is no such cluster');
is(scalar follow('good'), 5, 'L22: --follow: there is no upgrade');
is(($zdu->run(@once))[0], 0, 'W4: --once leaves when there is nothing to do');
is($zdu->sql(q{SELECT count(*) FROM zdu.node WHERE state = 'ACTIVE' AND version = '1.0.0'}), 6, 'N18: having looked at every node');

$zdu->order('held', 'app2', 'start', 'fail', '1.1.0');
$zdu->sql("SELECT zdu_begin('$_', '1.1.0')") for qw(good held);
is(scalar follow('good', '--timeout', '0.5'), 4, 'L22: --follow: nobody works, it takes too long');
is(($zdu->run(@once))[0], 0, 'W4: --once does what there is to do');
is($zdu->sql(q{SELECT string_agg(state || ' ' || run, ', ' ORDER BY cluster) FROM zdu.status}), 'READY_TO_RUN_UPGRADE_TASKS running, MIXED held', 'W4: all of it');
is(scalar follow('good', '--ready'), 0, 'L22: --follow --ready: only zdu_finalize is left');
my ($code, $out) = follow('held');
is($code, 2, 'L22: --follow: it is held');
like($out, qr/run=held .*done=1\/3 serving=2\/3 waits_for="D11: app2 start failed/, 'L22: and says by what');

$zdu->sql(q{SELECT zdu_rollback('held')});
my $follower = IPC::Run::start([ FakeZdu::binary(), $connstr, '--follow', 'good' ], '>', '/dev/null', '2>', '/dev/null');
my $worker = $zdu->start;
is(scalar follow('held'), 3, 'L23: --follow: it is rolled back');
$zdu->sql(q{SELECT zdu_finalize('good')});
$follower->finish;
is($follower->result(0), 0, 'L13: --follow: it is completed');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

# --- a node's own agent ---

$zdu->cluster('agents', nodes => 2);
my @agents = map { $zdu->start('--node', $_, '--name', "agent-$_", '--cluster', 'agents') } qw(app1 app2);
$zdu->wait_seen('agents');
$zdu->sql(q{SELECT zdu_begin('agents', '1.1.0')});
ok($zdu->wait_ready('agents'), 'W1: the agents of the nodes do a roll by themselves');
is($zdu->sql(q{SELECT string_agg(DISTINCT n.name || ' ' || s.worker, ', ') FROM zdu.step s JOIN zdu.node n USING (node_id) WHERE s.worker LIKE 'agent%'}),
	'app1 agent-app1, app2 agent-app2', 'W1: each has only the steps of its own node');
is($zdu->stop($_), 0, 'W4: an agent ends well') for @agents;

# --- leaving in the middle of an action ---

$zdu->cluster('leave');
my $first = $zdu->start('--name', 'first', '--cluster', 'leave');
$zdu->wait_seen('leave');
$zdu->order('leave', 'app2', 'stop', 'hang');
$zdu->sql(q{SELECT zdu_begin('leave', '1.1.0')});
ok(wait_until(sub { $zdu->said('leave', 'app2', 'hang', 'stop') }), 'W4: a worker is about to stop app2');
is($zdu->stop($first), 0, 'W4: SIGTERM ends it well');
is($zdu->sql(q{SELECT s.state || ' ' || s.stage FROM zdu.step s JOIN zdu.node n USING (node_id) WHERE n.name = 'app2' AND phase = 'stop' AND s.state NOT IN ('succeeded', 'pending')}), 'unknown look', 'W4: the step is handed back');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE cluster = 'leave' AND new = 'stop unknown' AND reason = 'handed back'}), 1, 'W4: as the log tells');
$zdu->undo_order('leave', 'app2', 'stop', 'hang');
my $second = $zdu->start('--name', 'second');
# Its timeout is five minutes: that it goes on now shows that nobody waits for that.
ok($zdu->wait_ready('leave'), 'W4: another worker takes it up at once');
is($zdu->said('leave', 'app2', 'begin', 'stop') . $zdu->said('leave', 'app2', 'end', 'stop'), '21', 'W4: the action was ended, and done by the other one');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE cluster = 'leave' AND what = 'lease'}), 0, 'W4: no lease was lost');
is($zdu->stop($second), 0, 'W4: the other worker ends well');

done_testing();
