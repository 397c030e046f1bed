# S6: a schema change that breaks old nodes, while every health page says 200, is caught by a guard before
# the second node is taken, and rolling back, by a person or by itself, brings the service back.
use strict;
use warnings FATAL => 'all';

use FakeZdu;
use IO::Socket::INET;
use Test::More;
use ZduTest qw(slurp wait_until);

my $zdu = ZduTest->new;

# The nodes' pages, /CLUSTER/NODE/health and /CLUSTER/NODE/orders.  A version knows the schema of its day:
# 1.0.0 gives no orders from the new one, which is there while the cluster is prepared.
my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or BAIL_OUT("listen: $!");
my $base = 'http://127.0.0.1:' . $listen->sockport;
my $server = fork // BAIL_OUT("fork: $!");

sub answer
{
	my ($cluster, $node, $page) = @_;
	my %is = slurp("$zdu->{nodes}/$cluster/$node/state") =~ /(\w+)=(\S+)/g;
	my %tasks = slurp("$zdu->{nodes}/$cluster/tasks/state") =~ /(\w+)=(\S+)/g;

	return (503, '{"status": "DOWN"}') if $is{running} ne 'true';
	return (500, '{"error_text": "column orders.total does not exist"}')
		if $page eq 'orders' && $is{version} eq '1.0.0' && $tasks{running} eq 'true';
	return (200, qq({"status": "UP", "version": "$is{version}"}));
}

if ($server == 0)
{
	$SIG{TERM} = 'DEFAULT';
	$SIG{PIPE} = 'IGNORE';
	while (1)
	{
		my $client = $listen->accept or next;
		my ($cluster, $node, $page) = (<$client> // '') =~ m{^GET /(\w+)/(\w+)/(\w+)} or next;

		while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/; }
		my ($code, $body) = answer($cluster, $node, $page);

		print $client "HTTP/1.1 $code\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
		close $client;
	}
}
close $listen;
END { if ($server) { my $status = $?; kill 'TERM', $server; waitpid $server, 0; $? = $status; } }

# Returns the status codes of a page at app1 to app4.
sub pages
{
	my ($cluster, $page) = @_;

	return join ' ', map { (answer($cluster, $_, $page))[0] } map { "app$_" } 1 .. 4;
}

my %guarded = (
	observe => { http => "$base/{cluster}/{node}/health", version => '$.version', active => '$.status == "UP"', every => '1s' },
	before => [ { name => 'schema', exec => 'sim', until => '$.running == true', undo => { exec => 'sim', until => '$.running == false' } } ],
	guard => [ { http => "$base/{cluster}/{node}/orders", until => '$.http_code == 200', every => '1s', failures => 2 } ]);
for my $cluster (qw(person itself))
{
	$zdu->cluster($cluster, nodes => 4, runbook => \%guarded, policy => { on_failure => $cluster eq 'itself' ? 'rollback' : 'hold' });
	# Long enough that the guard has its looks while the first node is at work.
	$zdu->order($cluster, 'app1', 'delay', undef, '1');
}
my $worker = $zdu->start;
$zdu->wait_seen(qw(person itself));

# --- a person rolls back ---

is(pages('person', 'orders'), '200 200 200 200', 'S6: before the upgrade every node gives orders');
$zdu->sql(q{SELECT zdu_begin('person', '1.1.0')});
ok($zdu->wait_status('person', 'run', 'held'), 'S6: a schema that breaks old nodes holds the upgrade');
like($zdu->sql(q{SELECT held_rule || ' ' || held_reason FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = 'person'}),
	qr/^S6 guard 0 failed at app[2-4]$/, 'S6: guard and old node are named');
is($zdu->said('person', 'app2', 'begin', 'isolate'), 0, 'S6: before the second node is taken');
ok(wait_until(sub { pages('person', 'health') eq '200 200 200 200' }), 'S6: while every health page says 200');
is(pages('person', 'orders') =~ s/^\S+ //r, '500 500 500', 'S6: and no old node gives an order');
like($zdu->sql(q{SELECT observed FROM zdu_why('person') WHERE subject ~ '^app. guard 0'}), qr/"http_code": 500/, 'S6: zdu_why shows what the guard saw');
$zdu->sql(q{SELECT zdu_rollback('person', reason => 'the schema breaks old nodes')});
ok($zdu->wait_sql(q{SELECT run = 'rolled_back' FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = 'person'}), 'L23: it is rolled back');
is(pages('person', 'orders'), '200 200 200 200', 'S6: which brings the service back');
like(slurp("$zdu->{nodes}/person/app1/state"), qr/in=true .*version=1\.0\.0/, 'L23: the first node serves at its old version');
is($zdu->said('person', "app$_", 'begin', 'isolate'), 0, "L23: app$_ was never touched") for 2 .. 4;

# --- nobody has to ---

$zdu->sql(q{SELECT zdu_begin('itself', '1.1.0')});
ok($zdu->wait_sql(q{SELECT coalesce(max(run), '') = 'rolled_back' FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id) WHERE name = 'itself'}),
	'L23: with on_failure = rollback nobody has to be called');
like($zdu->sql(q{SELECT reason FROM zdu.event WHERE cluster = 'itself' AND new = 'rolling_back'}), qr/^guard 0 failed at app[2-4]$/, 'L23: the event says why');
is(pages('itself', 'orders'), '200 200 200 200', 'S6: and the service is back');
is($zdu->said('itself', "app$_", 'begin', 'isolate'), 0, "L23: app$_ was never touched") for 2 .. 4;
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
