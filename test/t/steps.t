# A step is over when its effect is seen, by whoever holds its token, and in its order.
use strict;
use warnings FATAL => 'all';

use Test::More;
use ZduTest qw(@phases slurp wait_until);

my $zdu = ZduTest->new;

# --- D1, W3: the command is accepted at once, its effect comes later, and another one tells ---

$zdu->program('async', "test \$ZDU_VERB = act || { echo closing; exit 1; }\n(sleep 0.3; exec $zdu->{runbooks}/sim) >/dev/null 2>&1 &");
$zdu->program('witness', <<"SH");
cd $zdu->{nodes}/\$ZDU_CLUSTER/\$1 && . ./state
echo "saw \$requests \$ZDU_TOKEN" >>log
echo '{"by": "witness", "requests": '\$requests'}'
SH
$zdu->cluster('shop', phases => { drain => { exec => 'async', probe => { exec => 'witness', args => ['{node}'] } } });
my $one = $zdu->start('--name', 'one');
$zdu->wait_seen('shop');
$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});
ok($zdu->wait_ready('shop'), 'W3: a roll whose drain takes a while after it was accepted');
for my $node (qw(app1 app2 app3))
{
	my $log = join(' ', map { "$_->[0] $_->[1]" } $zdu->log_of('shop', $node));

	like($log, qr/end isolate (saw 1 ){2,}begin drain (saw 1 )*((saw 0 )+end drain|end drain saw 0) (saw 0 )*begin stop/, "W3: $node: an accepted command is not completion, what another one sees is");
	like($log, qr/^(?=.*end isolate.*begin drain)(?=.*end drain.*begin stop)(?=.*end stop.*begin upgrade)(?=.*end start.*begin integrate)/,
		"D1: $node: isolated, then drained, then stopped; back in rotation at the end");
}
is($zdu->sql(q{SELECT DISTINCT evidence->>'by' FROM zdu.step WHERE phase = 'drain'}), 'witness', 'W3: the evidence is that of the other one');
is($zdu->sql(q{SELECT zdu_finalize('shop')}), 'STABLE', 'L13: that is the end of it');
is($zdu->stop($one), 0, 'W4: the worker ends well');

# --- W5: a worker that was away has nothing to say any more ---

$zdu->cluster('stale', policy => { lease => '1s' }, phases => { map { $_ => { timeout => '8s' } } @phases[ 0 .. 6 ] });
$one = $zdu->start('--name', 'one', '--cluster', 'stale');
$zdu->wait_seen('stale');
$zdu->order('stale', 'app1', 'stop', 'hang');
$zdu->sql(q{SELECT zdu_begin('stale', '1.1.0')});
ok(wait_until(sub { $zdu->said('stale', 'app1', 'hang', 'stop') }), 'W5: a worker stops app1');
kill 'STOP', $one->{pid};

my $two = $zdu->start('--name', 'two', '--cluster', 'stale');
ok(wait_until(sub { $zdu->said('stale', 'app1', 'hang', 'stop') == 2 }), 'W5: it is not heard of, and another one goes on');
my ($first, $second) = map { $_->[2] } grep { $_->[0] eq 'begin' && $_->[1] eq 'stop' } $zdu->log_of('stale', 'app1');
cmp_ok((split /\./, $second)[1], '>', (split /\./, $first)[1], 'W5: the action is told a higher token');

my $incarnation = $zdu->printed($one, 'log') =~ /incarnation=(\S+)/ ? $1 : '';
is($zdu->sql(qq{SELECT verb || ' ' || sqlstate FROM zdu_work('one', '$incarnation', 'stale', '[{"token": "$first", "verb": "act", "state": "done", "evidence": {}}]')}),
	'error ZD003', 'W5: a report with the first token is refused');
kill 'CONT', $one->{pid};
ok(wait_until(sub { $zdu->printed($one, 'log') =~ /event=lease_over cluster=stale.*event=(dropped|release) \S+ token=\Q$first\E/s }), 'W5: the first one, when it wakes, ends what it has begun');
is($zdu->sql(q{SELECT worker || ' ' || epoch || '.' || number || ' ' || state || ' ' || stage FROM zdu.step WHERE state = 'running'}), "two $second running act",
	'W5: and the step is as it was');
$zdu->undo_order('stale', 'app1', 'stop', 'hang');
ok($zdu->wait_ready('stale'), 'W5: the roll is finished by who may');
is($zdu->said('stale', 'app1', 'end', 'stop'), 1, 'W5: the action of the first was ended, it stopped nothing');
is($zdu->stop($_), 0, 'W4: a worker ends well') for $one, $two;

done_testing();
