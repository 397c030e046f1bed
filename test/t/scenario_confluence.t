# The Confluence document from top to bottom: zdu keeps its rules, and drives it (Confluence is simulated).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use Scenario qw(get refused_by);
use Test::More;
use ZduTest qw(spew wait_until);

my $zdu = Scenario->new(versions => [qw(7.13.0 7.14.0 7.14.1)]);
my $port = Programs::free_port();
my @nodes = qw(wiki1 wiki2 wiki3);
my %address = map { ($_ => '127.0.3.' . s/wiki//r) } @nodes;
my $api = 'rest/zdu/cluster/zdu';

for my $node (@nodes)
{
	$zdu->machine(address => $address{$node}, unit => 'confluence', version => '7.13.0', run => [ 'confluence-simulated', $node, $address{$node}, $port, 'VERSION' ]);
	$zdu->unit($address{$node}, 'start') == 0 or BAIL_OUT("$node does not start");
}
my $front = $zdu->balance('wiki', '/status', map { ($_ => "$address{$_}:$port") } @nodes);
my $url = "http://127.0.0.1:$front";
spew("$zdu->{work}/.netrc", join('', map { "machine $_ login admin password admin\n" } '127.0.0.1', values %address));
chmod 0600, "$zdu->{work}/.netrc";

# Calls the product as the document has it; returns "CODE" and its answer.
sub call
{
	my ($method, $path) = @_;
	my $answer = HTTP::Tiny->new(default_headers => { Authorization => 'Basic YWRtaW46YWRtaW4=' })->request($method, "$url/$api/$path");

	return ($answer->{status}, eval { decode_json($answer->{content}) } // {});
}
sub product { return (call('GET', 'state'))[1]{state}; }
sub posts { return join(' ', map { /POST \/\Q$api\E\/(\w+) (\d+)/ ? "$1:$2" : () } $zdu->calls('POST')); }
sub show { return $zdu->sql("SELECT $_[0] FROM zdu.status WHERE cluster = 'wiki'"); }
sub node { return $zdu->sql("SELECT concat_ws(' ', state, version) FROM zdu.node_status WHERE cluster = 'wiki' AND node = '$_[0]'"); }

# The shipped runbook, less patient with what does not come.
$zdu->sql(qq{SELECT zdu_set_runbook('wiki', jsonb_set(document, '{after,0,timeout}', '"2s"')) FROM zdu.runbook WHERE name = 'confluence' AND shipped;
	SELECT zdu_set_policy('wiki', 'confluence', '{"min_healthy_time": "0s", "lease": "2s", "heartbeat_ttl": "3s", "start_timeout": "4s"}');
	SELECT zdu_set_cluster('wiki', policy => 'wiki', runbook => 'wiki', vars => jsonb_build_object('haproxy', '$zdu->{work}/haproxy.sock', 'backend', 'wiki',
		'unit', 'confluence', 'url', 'http://{address}:$port', 'id', '{node}', 'service', '$url', 'api', '$api'))});
$zdu->sql("SELECT zdu_set_node('wiki', '$_', '$address{$_}')") for @nodes;
my $worker = $zdu->start('--name', 'one');
$zdu->wait_seen('wiki');

# --- Enable and disable upgrade mode ---

is(product() . ' ' . show('state'), 'STABLE STABLE', 'L1: STABLE, "you can turn on upgrade mode now"');
$zdu->tell('wiki3.error');
$zdu->wait_sql(q{SELECT state = 'ERROR' FROM zdu.node WHERE name = 'wiki3'});
like(refused_by($zdu, q{SELECT zdu_begin('wiki', '7.14.0')}), qr/^ZD001 L2: .*wiki3/, 'L2: with a node in an error state upgrade mode cannot be enabled');
is((call('POST', 'start'))[0], 409, 'L2: nor does the product do it');
$zdu->untell('wiki3.error');
ok($zdu->wait_sql(q{SELECT state = 'ACTIVE' FROM zdu.node WHERE name = 'wiki3'}), 'L2: the problem is fixed');

$zdu->tell('wiki1.tasks');
$zdu->sql(q{SELECT zdu_begin('wiki', '7.14.0')});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE node = 'wiki1' AND new = 'drain running')}), 'L1: upgrade mode is enabled');
is(product() . ' ' . show('state'), 'READY_TO_UPGRADE READY_TO_UPGRADE', 'L1: READY_TO_UPGRADE, "no nodes have been upgraded yet"');
is($zdu->sql(q{SELECT zdu_cancel('wiki')}), 'READY_TO_UPGRADE', 'L5: it can be disabled as long as no node was upgraded');
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL AND serving = '3/3' FROM zdu.status WHERE cluster = 'wiki'}), 'L5: and every node is back');
is(product() . ' ' . posts(), 'STABLE start:409 start:200 cancel:200', 'D8: the product was told to begin, and to give up, once each');

# --- Upgrading each node individually; node statuses; cluster statuses ---

my $load = $zdu->load('/');
$zdu->sql(q{SELECT zdu_begin('wiki', '7.14.0')});
ok($zdu->wait_sql(q{SELECT step = 'drain' AND tasks = 2 AND users = 10 FROM zdu.node_status WHERE node = 'wiki1'}), 'N5: the overview of a node tells its running tasks and active users');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE node = 'wiki1' AND new = 'stop running'}), 0, 'D1: a node that has tasks is not stopped');
$zdu->tell('wiki2.hangs');
$zdu->untell('wiki1.tasks');
ok($zdu->wait_sql(q{SELECT state = 'MIXED' FROM zdu.status WHERE cluster = 'wiki'}), 'L7: the first node comes back at the new version');
is(product(), 'MIXED', 'L7: MIXED, "your cluster has nodes running different Confluence versions"');
like(refused_by($zdu, q{SELECT zdu_cancel('wiki')}), qr/^ZD001 L5: /, 'L5: in MIXED upgrade mode cannot be disabled');
is((call('POST', 'cancel'))[0], 409, 'L5: nor in the product');

# --- "wait for it to transition to an Active status first"; "Node won't start up" ---

ok($zdu->wait_sql(q{SELECT state LIKE 'STARTING%' AND step LIKE 'verify%' FROM zdu.node_status WHERE node = 'wiki2'}), 'N1: STARTING, "still loading, and should transition to Active once finished"');
is((call('GET', 'nodes/wiki2'))[1]{state} // '', 'STARTING', 'N1: as the product says');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE node = 'wiki3' AND new = 'isolate running'}), 0, 'N2: the next node is not begun before that');
$zdu->tell('wiki1.users');
ok($zdu->wait_sql(q{SELECT hint = 'SELECT zdu_detach(''wiki'', ''wiki1'')' FROM zdu.node_status WHERE node = 'wiki1'}),
	'N17: a disproportionate number of users on the newly-upgraded node is shown, with what helps');
ok($zdu->wait_status('wiki', 'run', 'held'), 'N4: STARTING for too long holds the upgrade');
like(show('waits_for'), qr/wiki2 verify failed/, 'N4: and the status says which node to look at');
$zdu->untell('wiki2.hangs');
$zdu->untell('wiki1.users');
$zdu->tell('wiki3.breaks');
$zdu->sql(q{SELECT zdu_retry('wiki')});
ok($zdu->wait_sql(q{SELECT run = 'held' AND waits_for LIKE '%wiki3%' FROM zdu.status WHERE cluster = 'wiki'}), 'N2: wiki2 has become ACTIVE, wiki3 was begun');

# --- Troubleshooting: node errors during rolling upgrade ---

like(node('wiki3'), qr/^ERROR/, 'L11: a node that goes wrong during the upgrade is in ERROR');
like(refused_by($zdu, q{SELECT zdu_finalize('wiki')}), qr/^ZD001 L(9|11): .*wiki3/, 'L11: you cannot finish the upgrade if any node has an error status');
is((call('POST', 'approve'))[0], 409, 'L11: nor does the product');
is(join(' ', sort { $a cmp $b } keys %{ { map { (get("$url/")->{content} =~ s/:.*//r => 1) } 1 .. 12 } }), 'wiki1 wiki2', 'N6: it is out of the load balancer\'s rotation');
my ($requests, $failed) = $zdu->end_load($load);
is($failed, 0, "D14: users noticed nothing, in $requests requests");
$zdu->unit($address{wiki3}, 'stop');
ok(wait_until(sub { ((call('GET', 'nodes/wiki3'))[1]{state} // '') eq 'OFFLINE' }), 'N3: TERMINATING, then OFFLINE: a graceful shutdown disconnects the node');
is($zdu->sql(q{SELECT zdu_declare_down('wiki', 'wiki3', 'shut down by hand, to be looked at')}), 'OFFLINE', 'L11: or it is shut down altogether, which a person says');

# --- READY_TO_RUN_UPGRADE_TASKS, finalize ---

ok($zdu->wait_sql(q{SELECT state = 'READY_TO_RUN_UPGRADE_TASKS' FROM zdu.status WHERE cluster = 'wiki'}), 'L9, L10: all active nodes are upgraded with no nodes in ERROR');
is(product(), 'READY_TO_RUN_UPGRADE_TASKS', 'L9: "you can now finalize the rolling upgrade"');
is(show('display'), 'Active; Updated; 7.14.0', 'L21: and the status says so in a line');
$zdu->tell('finalize');
is($zdu->sql(q{SELECT zdu_finalize('wiki')}), 'RUNNING_UPGRADE_TASKS', 'L13: finalizing disables upgrade mode, and its tasks run');
ok($zdu->wait_status('wiki', 'state', 'UPGRADE_TASKS_FAILED'), 'L15: one fails');
is(product(), 'UPGRADE_TASKS_FAILED', 'L15: as in the product');
is(join(' ', map { refused_by($zdu, "SELECT $_") =~ /^(ZD001) L/ ? $1 : $_ } "zdu_begin('wiki', '7.14.1')", "zdu_cancel('wiki')", "zdu_finalize('wiki')", "zdu_rollback('wiki')"),
	'ZD001 ZD001 ZD001 ZD001', 'L15: only zdu_retry is legal then');
$zdu->untell('finalize');
$zdu->sql(q{SELECT zdu_retry('wiki')});
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'wiki'}), 'L15: tried again, it is done');
is(product() . ' ' . posts(), 'STABLE start:409 start:200 cancel:200 start:200 cancel:409 approve:409 approve:200 approve:200', 'D8: the product is STABLE, and nothing was cancelled at the end');

# --- "This node will be removed from the cluster completely if it is still offline"; re-connect it later ---

is($zdu->sql(q{SELECT string_agg(node, ' ' ORDER BY node) FROM zdu.node_status WHERE cluster = 'wiki'}), 'wiki1 wiki2', 'L16: a node that was still offline is removed');
is((call('GET', 'nodes/wiki3'))[0], 404, 'L16: also by the product');
is($zdu->sql(q{SELECT verdict || ' ' || rule FROM zdu_join('wiki', 'wiki3', '7.13.0')}), 'refused N8', 'L16, N8: with the old version it does not come back');
$zdu->untell('wiki3.breaks');
is($zdu->unit($address{wiki3}, 'start'), 0, 'L16: once mended, at the new version,');
$zdu->sql("SELECT zdu_set_node('wiki', 'wiki3', '$address{wiki3}')");
ok($zdu->wait_sql(q{SELECT serving = '3/3' FROM zdu.status WHERE cluster = 'wiki'}), 'L16: it is re-connected');
is(node('wiki3'), 'ACTIVE 7.14.0', 'L16: and ACTIVE');
is($zdu->sql(q{SELECT zdu_attach('wiki', 'wiki3', 'it is back')}), 'unchanged', 'N6: that it is to be in rotation was known,');
ok(wait_until(sub { server('wiki3') eq 'UP' }), 'N6: and said again it is carried out');

# --- Disconnecting a node through the load balancer (HAProxy) ---

sub server { return (grep { /^wiki,$_[0],/ } split /\n/, `printf 'show stat\n' | perl -MIO::Socket::UNIX -e '\$s = IO::Socket::UNIX->new(Peer => shift); print \$s <STDIN>; print <\$s>' $zdu->{work}/haproxy.sock`)[0] =~ /,(UP|DRAIN|MAINT|DOWN)/ ? $1 : ''; }
is($zdu->sql(q{SELECT zdu_detach('wiki', 'wiki1', 'overloaded')}), 'detached', 'N6: a node can be disconnected at any time');
ok(wait_until(sub { server('wiki1') eq 'DRAIN' }), 'W2: HAProxy sends it no new users');
is(join(' ', sort { $a cmp $b } keys %{ { map { (get("$url/")->{content} =~ s/:.*//r => 1) } 1 .. 12 } }), 'wiki2 wiki3', 'N6: which re-distributes them between all other available nodes');
is($zdu->sql(q{SELECT zdu_attach('wiki', 'wiki1', 'quiet again')}), 'attached', 'N6: afterwards it is added again');
ok(wait_until(sub { server('wiki1') eq 'UP' }), 'W2: HAProxy asks it again');
is($zdu->stop($worker), 0, 'W4: the worker ends well');
$zdu->finish;
done_testing();
