# A roll behind HAProxy fails no request, though a worker is killed in it; a small demo.
use strict;
use warnings FATAL => 'all';

use FakeZdu qw(alive);
use File::Temp qw(tempdir);
use IPC::Run;
use Test::More;
use ZduTest qw(site slurp wait_until);

my $build = $ENV{ZDU_BUILD} // '.';
my $zdu = ZduTest->new;
my $work = tempdir(CLEANUP => 1);

# Starts one of the demo's programs, which prints its result when it is told to end.
sub watch
{
	my ($program, @arguments) = @_;
	my $watch = { out => File::Temp->new };

	$watch->{run} = IPC::Run::start([ "$work/$program", @arguments ], '<', '/dev/null', '>', $watch->{out}->filename, '2>', "$work/$program.log");
	return $watch;
}

# Ends it and returns its result as a hash.
sub result
{
	my ($watch) = @_;

	$watch->{run}->signal('TERM');
	$watch->{run}->finish;
	return { slurp($watch->{out}->filename) =~ /(\w+)=(\d+)/g };
}

my $url = site($work, 'make_site && start_site >&2 && echo $url');
END { site($work, 'for node in $nodes; do do_node $node stop 1.0.0; done; kill $(cat $site/haproxy.pid)') if defined $url; }
my %address = map { split /=/ } split / /, site($work, 'addresses');

$zdu->sql(qq{
	SELECT zdu_set_policy('shop', 'default', '{"max_unavailable": 2, "min_healthy_time": "500ms", "lease": "1s"}');
	SELECT zdu_set_runbook('quick', jsonb_set(document, '{node}', (SELECT jsonb_object_agg(key, value || '{"timeout": "20s"}') FROM jsonb_each(document->'node'))))
	FROM zdu.runbook WHERE name = 'local';
	SELECT zdu_set_cluster('shop', policy => 'shop', runbook => 'quick', vars => jsonb_build_object('haproxy', jsonb_build_array('$work/site/haproxy.sock'),
		'backend', 'shop', 'root', '$work/site/nodes', 'health', 'http://{address}/health'))});
$zdu->sql("SELECT zdu_set_node('shop', '$_', '$address{$_}')") for sort keys %address;
my @workers = map { $zdu->start('--name', $_, '--runbooks', "$build/runbooks") } qw(one two);
$zdu->wait_seen('shop');

my $load = watch('load', $url, 200, 1000, "$work/site/releases/1.0.0", "$work/site/releases/1.1.0");
my $sample = watch('sample', "$work/site/haproxy.sock", 'shop', map { "$_=$address{$_}" } sort keys %address);
$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});

# Whoever drains app3 dies of it.  If it has an action under way by then, that is waited for until its timeout: so it is short.
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE node = 'app3' AND new = 'drain running')}), 'W2: HAProxy is told to drain a node');
my $holder = $zdu->sql(q{SELECT s.worker FROM zdu.step s JOIN zdu.node n USING (node_id) WHERE n.name = 'app3' AND s.phase = 'drain'});
my ($killed, $left) = $holder eq 'one' ? @workers : reverse @workers;
kill 'KILL', $killed->{pid};
wait_until(sub { !alive($killed->{pid}) });

ok($zdu->wait_ready('shop'), 'W4: a worker is killed in the middle, the other one finishes the roll');
is($zdu->sql(q{SELECT zdu_finalize('shop')}), 'STABLE', 'L13: it is finalized under load');
my ($requests, $serving) = (result($load), result($sample));
cmp_ok($requests->{requests}, '>=', 1000, "W2: clients had their requests: $requests->{requests}");
is($requests->{failed}, 0, 'D14: none of them failed') or diag(slurp("$work/load.log"));
cmp_ok($serving->{min_serving}, '>=', 3, 'D14: three of five nodes served at every moment, as seen from outside');
is(scalar(grep { slurp("$work/site/nodes/$_/current/health") =~ /"1\.1\.0"/ } keys %address), 5, 'W6: every node serves the new release');
is($zdu->sql(q{SELECT count(*) FROM (
		SELECT node, min(event_id) FILTER (WHERE new = 'isolate succeeded') AS isolated, min(event_id) FILTER (WHERE new = 'drain succeeded') AS drained,
			min(event_id) FILTER (WHERE new = 'stop running') AS stopping
		FROM zdu.event WHERE what = 'step' GROUP BY node) o WHERE isolated < drained AND drained < stopping}), 5, 'D1: each was isolated, then drained, then stopped');
is($zdu->sql(q{SELECT bool_and(e->>'admin' = 'drain' AND (e->>'scur')::int = 0) FROM zdu.step, jsonb_array_elements(evidence) e WHERE phase = 'drain'}), 't',
	'D1: HAProxy said that no request was left on it');
is($zdu->sql(q{SELECT bool_and(e->>'admin' = 'ready' AND e->>'status' LIKE 'UP%') FROM zdu.step, jsonb_array_elements(evidence) e WHERE phase = 'integrate'}), 't',
	'W2: and that it is ready again, and UP');
is($zdu->stop($left), 0, 'W4: the worker ends well');

done_testing();
