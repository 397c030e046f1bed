# Workers see nodes that cannot report, and take them out of rotation and back by hand.
use strict;
use warnings FATAL => 'all';

use Test::More;
use ZduTest qw(slurp spew wait_until);

my $zdu = ZduTest->new;
# The lease is short because in quiet times a quarter of it goes by between two looks.
$zdu->cluster('shop', policy => { lease => '1s', max_unavailable => '2' }, runbook => { observe =>
	{ exec => 'sim', version => '$.version', active => '$.running == true', every => '100ms' } });
my $worker = $zdu->start;

sub state_of
{
	return slurp("$zdu->{nodes}/shop/$_[0]/state");
}

sub node_is
{
	my ($node, $condition) = @_;

	return $zdu->wait_sql("SELECT $condition FROM zdu.node WHERE name = '$node'");
}

ok($zdu->wait_seen('shop'), 'N18: nodes that never report are seen to be ACTIVE');
is($zdu->sql(q{SELECT state || ' ' || coalesce(run, 'no upgrade') FROM zdu.status}), 'STABLE no upgrade', 'N18: in STABLE');
is($zdu->sql(q{SELECT count(*) FROM zdu.node WHERE version = '1.0.0' AND NOT reports}), 3, 'N18: with their version');
my $as_it_was = state_of('app3');
spew("$zdu->{nodes}/shop/app3/state", $as_it_was =~ s/running=true/running=false/r);
ok(node_is('app3', q{state = 'OFFLINE' AND confirmed}), 'N18: one that goes down by itself is seen to be OFFLINE, confirmed');
spew("$zdu->{nodes}/shop/app3/state", $as_it_was);
ok(node_is('app3', q{state = 'ACTIVE'}), 'N18: and seen again when it is back');

is($zdu->sql(q{SELECT zdu_detach('shop', 'app2', 'too many users')}), 'detached', 'N6: a node can be detached at any time');
ok(node_is('app2', 'NOT in_rotation'), 'N6: a worker carries it out');
# It counts as out once it is isolated; draining comes after that.
ok(wait_until(sub { state_of('app2') =~ /in=false requests=0 running=true/ }), 'N6: it is isolated and drained, and goes on running');
is($zdu->sql(q{SELECT serving FROM zdu.status}), '2/3', 'N6: it does not count as serving');
is($zdu->sql(q{SELECT zdu_detach('shop', 'app1')}), 'detached', 'D13: another one fits into the budget');
my ($code, $out, $error) = $zdu->pg->psql('postgres', q{\set VERBOSITY verbose
	SELECT zdu_detach('shop', 'app3')});
like($error, qr/ZD002.*D1[04]:/s, 'D13: a third one does not');
ok(wait_until(sub { state_of('app1') =~ /in=false requests=0/ }), 'N6: the second one is drained, too');
is($zdu->sql(q{SELECT zdu_attach('shop', 'app1')}), 'attached', 'N6: a node can be attached again');
ok(node_is('app1', 'in_rotation'), 'N6: a worker carries that out, too');
like(state_of('app1'), qr/in=true/, 'N6: it is in rotation');

$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});
ok($zdu->wait_ready('shop'), 'N6: with a detached node an upgrade goes its way');
like(state_of('app2'), qr/in=false .*version=1\.1\.0/, 'N6: the detached node is upgraded and stays out');
is($zdu->sql(q{SELECT zdu_attach('shop', 'app2')}), 'attached', 'N6: it can be attached in upgrade mode');
ok(node_is('app2', 'in_rotation'), 'N6: and is integrated');
like(state_of('app2'), qr/in=true/, 'N6: in truth');
is($zdu->sql(q{SELECT zdu_finalize('shop')}), 'STABLE', 'L13: that is the end of it');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
