# A node that does not start holds the upgrade, and there are three ways out of it.
use strict;
use warnings FATAL => 'all';

use Test::More;
use ZduTest;

my $zdu = ZduTest->new;
my @clusters = qw(mend node all);

for my $cluster (@clusters)
{
	$zdu->cluster($cluster, nodes => 4, phases => { start => { retries => 1, retry_delay => '100ms', timeout => '5s' } });
	$zdu->order($cluster, 'app3', 'start', 'fail', '1.1.0');
}
my $worker = $zdu->start;
$zdu->wait_seen(@clusters);
$zdu->sql("SELECT zdu_begin('$_', '1.1.0')") for @clusters;

# Returns the column of zdu_why's rows for which a condition holds, one a line.
sub why
{
	my ($cluster, $column, $condition) = @_;

	return $zdu->sql("SELECT $column FROM zdu_why('$cluster') WHERE $condition");
}

# Returns "app1 1.1.0 ACTIVE" and so on, as zdu sees it.
sub nodes
{
	my ($cluster) = @_;

	return $zdu->sql("SELECT string_agg(node || ' ' || version || ' ' || state, ', ' ORDER BY node) FROM zdu.node_status WHERE cluster = '$cluster'");
}

for my $cluster (@clusters)
{
	ok($zdu->wait_status($cluster, 'run', 'held'), "D11: $cluster is held when a node does not start");
	is($zdu->said($cluster, 'app3', 'begin', 'start'), 2, "W1: $cluster: after as many attempts as the runbook says");
	is($zdu->said($cluster, 'app4', 'begin', 'isolate'), 0, "D11: $cluster: no further node is taken");
	is($zdu->sql("SELECT serving FROM zdu.status WHERE cluster = '$cluster'"), '3/4', "D14: $cluster: the others go on serving");
}
like($zdu->sql(q{SELECT waits_for FROM zdu.status WHERE cluster = 'mend'}), qr/D11: app3 start failed, attempt 2/, 'L22: zdu.status names the node');
like(why('mend', 'observed', q{subject = 'app3 start'}), qr/attempt 2: .*"running": false.*OutOfMemoryError in 1\.1\.0/, 'L22: zdu_why shows what was seen, and said');
is(why('mend', 'observed', q{subject = 'service'}), '3/4 serve: 2 at 1.1.0, 1 at 1.0.0', 'L22: and who serves');
is(why('mend', 'hint', q{verdict = 'act'}), join("\n", q{SELECT zdu_retry('mend')}, q{SELECT zdu_rollback('mend', node => 'app3')}, q{SELECT zdu_rollback('mend')}),
	'L22: and the three ways out');
is($zdu->sql(q{SELECT state FROM zdu.node_status WHERE cluster = 'mend' AND node = 'app3'}), 'ERROR', 'N1: the node is in ERROR');

# --- mended, and tried again -------------------------------------------------

$zdu->undo_order('mend', 'app3', 'start', 'fail');
is($zdu->sql(why('mend', 'hint', q{verdict = 'act' AND subject = 'mend'})), 1, 'L22: zdu_retry, as hinted, tries app3 again');
ok($zdu->wait_ready('mend'), 'D11: the held upgrade goes on');
is($zdu->said('mend', 'app3', 'begin', 'stop'), 1, 'W4: from where it was: app3 is not stopped again');
is($zdu->sql(q{SELECT zdu_finalize('mend')}), 'STABLE', 'L13: and ends');

# --- the one node given up ---------------------------------------------------

is($zdu->sql(why('node', 'hint', q{subject = 'give up app3'})), 1, 'L23: zdu_rollback, as hinted, brings one node back');
ok($zdu->wait_sql(q{SELECT done = '3/4' AND serving = '4/4' FROM zdu.status WHERE cluster = 'node'}), 'L23: the others go on to the target');
is(nodes('node'), 'app1 1.1.0 ACTIVE, app2 1.1.0 ACTIVE, app3 1.0.0 ACTIVE, app4 1.1.0 ACTIVE', 'L23: app3 runs the original version again');
is($zdu->said('node', 'app2', 'begin', 'stop'), 1, 'L23: a node that is well is left alone');
is(why('node', 'hint', q{subject = 'app3'}), q{SELECT zdu_retry('node', node => 'app3')}, 'L22: what was given up is told, and how to take it up');
$zdu->undo_order('node', 'app3', 'start', 'fail');
is($zdu->sql(why('node', 'hint', q{subject = 'app3'})), 1, 'L22: which works');
ok($zdu->wait_ready('node'), 'L9: so every node comes to the target');

# --- all of it given up ------------------------------------------------------

is($zdu->sql(why('all', 'hint', q{subject = 'give up all'})), 3, 'L23: zdu_rollback, as hinted, brings all three touched nodes back');
ok($zdu->wait_status('all', 'state', 'STABLE'), 'L23: the whole upgrade is rolled back');
is($zdu->sql(q{SELECT run FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = 'all'}), 'rolled_back', 'L23: and says so');
is(nodes('all'), join(', ', map { "app$_ 1.0.0 ACTIVE" } 1 .. 4), 'L23: every node runs the original version');
is($zdu->said('all', 'app4', 'begin', 'isolate'), 0, 'L23: an untouched node is not touched');
is($zdu->sql(q{SELECT string_agg(node, ' ' ORDER BY event_id) FROM zdu.event WHERE cluster = 'all' AND what = 'step' AND new = 'integrate succeeded' AND event_id >
	(SELECT max(event_id) FROM zdu.event WHERE cluster = 'all' AND what = 'upgrade' AND new = 'rolling_back')}), 'app3 app1 app2', 'L23: healthy new nodes go last');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
