# What says that it has done its work, and has not, is noticed.
use strict;
use warnings FATAL => 'all';

use Test::More;
use ZduTest;

my $zdu = ZduTest->new;

symlink('/bin/true', "$zdu->{runbooks}/true") or die "true: $!";
$zdu->cluster('shop', phases => { start => { exec => 'true', probe => { exec => 'sim' }, timeout => '1s' } });
my $worker = $zdu->start;
$zdu->wait_seen('shop');
$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});

ok($zdu->wait_status('shop', 'run', 'held'), 'W6: /bin/true does not start a server: the upgrade is held');
like($zdu->printed($worker, 'log'), qr/event=acted .* phase=start .*exit\\":0/, 'W6: although the action said that it ended well');
like($zdu->sql(q{SELECT observed FROM zdu_why('shop') WHERE subject = 'app1 start'}), qr/"running": false/, 'W6: zdu_why says what was seen instead');
is($zdu->sql(q{SELECT state || ' ' || version FROM zdu.node WHERE name = 'app1'}), 'ERROR 1.0.0', 'W6: the node is in ERROR, and not taken for upgraded');
is($zdu->sql(q{SELECT state FROM zdu.status}), 'READY_TO_UPGRADE', 'L7: nor is the cluster MIXED');

# The other way round counts as little: what says that it failed, and has worked.
$zdu->program('sim-false', "$zdu->{runbooks}/sim \"\$@\"; test \$ZDU_VERB = probe");
$zdu->cluster('false', phases => { start => { exec => 'sim-false' } });
$zdu->wait_seen('false');
$zdu->sql(q{SELECT zdu_begin('false', '1.1.0')});
ok($zdu->wait_ready('false'), 'W6: what says that it failed has not, when the look sees the effect');
is($zdu->sql(q{SELECT bool_or(act_ok) OR bool_or(s.state <> 'succeeded') FROM zdu.step s JOIN zdu.cluster USING (cluster_id) WHERE name = 'false' AND phase = 'start'}), 'f',
	'W6: each action said that it failed, each step succeeded');

# Nor does it matter that an action never ends, once it has had its effect.
$zdu->program('sim-hangs', "$zdu->{runbooks}/sim \"\$@\" && test \$ZDU_VERB = probe || exec sleep 600");
$zdu->cluster('hangs', nodes => 2, phases => { start => { exec => 'sim-hangs', timeout => '1s' } });
$zdu->wait_seen('hangs');
$zdu->sql(q{SELECT zdu_begin('hangs', '1.1.0')});
ok($zdu->wait_ready('hangs'), 'W6: an action that is ended at its timeout has worked, when the look sees the effect');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
