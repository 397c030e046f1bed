# A node that is out stays out, though the load balancer forgets it: upgraded or detached.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use Test::More;
use ZduTest qw(site wait_until);

my $build = $ENV{ZDU_BUILD} // '.';
my $zdu = ZduTest->new;
my $work = tempdir(CLEANUP => 1);

sub haproxy
{
	my ($command) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => "$work/site/haproxy.sock") or BAIL_OUT("HAProxy is not there: $!");

	$socket->print("$command\n");
	return join('', $socket->getlines);
}

# Returns whether HAProxy is told to send the node nothing; field 7 is the administrative state.
sub is_out
{
	my ($node) = @_;
	my ($line) = grep { /\b$node\b/ } split /\n/, haproxy('show servers state shop');

	return defined $line && (split / /, $line)[6] != 0;
}

# What a restart without a state file does to what was set at run time.
sub forget
{
	my ($node) = @_;

	haproxy("set server shop/$node state ready");
	return !is_out($node);
}

my $url = site($work, 'make_site && start_site >&2 && echo $url');
END { site($work, 'for node in $nodes; do do_node $node stop 1.0.0; done; kill $(cat $site/haproxy.pid)') if defined $url; }
my %address = map { split /=/ } split / /, site($work, 'addresses');

# A start that is not seen to be done keeps the node out, and its step held.
$zdu->sql(qq{
	SELECT zdu_set_policy('quick', 'default', '{"heartbeat_ttl": "2s", "min_healthy_time": "0s"}');
	SELECT zdu_set_runbook('slow', jsonb_set(document, '{node,start,probe}', '{"http": "http://{address}/nowhere"}')) FROM zdu.runbook WHERE name = 'local';
	SELECT zdu_set_cluster('shop', policy => 'quick', runbook => 'slow', vars => jsonb_build_object('haproxy', jsonb_build_array('$work/site/haproxy.sock'),
		'backend', 'shop', 'root', '$work/site/nodes', 'health', 'http://{address}/health'))});
$zdu->sql("SELECT zdu_set_node('shop', '$_', '$address{$_}')") for sort keys %address;
$zdu->start('--runbooks', "$build/runbooks");
$zdu->wait_seen('shop');

$zdu->sql(q{SELECT zdu_detach('shop', 'app5', 'too many users')});
ok(wait_until(sub { is_out('app5') }), 'N6: a detached node is taken out of rotation');
ok(forget('app5'), 'W2: the balancer forgets it');
ok(wait_until(sub { is_out('app5') }), 'W2: a detached node is taken out again');
$zdu->sql(q{SELECT zdu_attach('shop', 'app5')});
ok(wait_until(sub { !is_out('app5') }), 'N6: and put back when it is attached');

$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.step WHERE phase = 'start' AND stage = 'verify')}), 'W1: a node is held while it starts');
ok(is_out('app1'), 'D1: it is out of rotation');
ok(forget('app1'), 'W2: the balancer forgets it');
ok(wait_until(sub { is_out('app1') }), 'W2: the state is re-asserted while the node is out');

done_testing();
