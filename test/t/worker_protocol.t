# The worker, alone, does with each answer what the protocol says.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use FakeZdu qw(wait_for alive);
use Test::More;
use Time::HiRes qw(sleep time);

my $zdu = FakeZdu->new;
my ($worker, @reports);

sub slurp
{
	open(my $file, '<', $_[0]) or return '';
	local $/;
	return scalar <$file> // '';
}

sub touch
{
	open(my $file, '>', $_[0]) or die "$_[0]: $!";
	close $file;
}

# Waits for a file that a program writes its process id to; returns the id.
sub pid_in
{
	my ($path) = @_;

	wait_for(sub { slurp($path) =~ /^\d+\n/ });
	return 0 + slurp($path);
}

my $dir = $zdu->{runbooks};

$zdu->program('step', <<"SH");
echo "\$ZDU_VERB" >>$dir/verbs
case \$ZDU_VERB in
probe) test -e $dir/done && echo '{"unit": "active"}' || echo '{"unit": "dead"}' ;;
act) echo "starting \$1 for \$ZDU_NODE"; echo oops >&2; touch $dir/done ;;
esac
SH
$zdu->program('sleeper', <<"SH");
test "\$ZDU_VERB" = act || { echo '{}'; exit; }
sleep 600 & echo \$! >$dir/\$1.child
echo \$\$ >$dir/\$1
wait
SH
$zdu->program('stubborn', <<"SH");
trap '' TERM
echo \$\$ >$dir/stubborn.pid
while :; do sleep 1; done
SH
$zdu->program('outlive', <<"SH");
echo \$\$ >$dir/outlive.pid
while ! test -e $dir/outlive.go; do echo still here; sleep 0.1; done
echo over >$dir/outlive.over
SH

# --- look, act, look -------------------------------------------------------

my $step = { targets => [ { exec => 'step', args => ['a; touch /tmp/never', '$(id)'] } ],
	env => { ZDU_NODE => 'app1', ZDU_TOKEN => '1.1', LD_PRELOAD => '/nowhere' } };
$zdu->hold(token => '1.1', args => $step);
$zdu->react('1.1', 'probe', 'done', 'act');
$zdu->react('1.1', 'act', 'done', 'probe');
$zdu->react('1.1', 'probe', 'done', 'gone');
$worker = $zdu->start('--name', 'seat');
@reports = $zdu->reports("report->>'token' = '1.1'", 3);
is(join(' ', map { "$_->{verb}" } @reports), 'probe act probe', 'W4: a step is a look, the action, a look');
is($zdu->sql('SELECT count(DISTINCT call) FROM fake.report'), 2,
	'W4: what is seen right after the action is told together with it, in one call');
is($reports[0]{evidence}{unit}, 'dead', 'W4: the first look says what is there before anything is done');
is($reports[2]{evidence}{unit}, 'active', 'W6: the last look says what the action brought about');
like($reports[1]{log}, qr/^starting a; touch \/tmp\/never for app1$/m, 'W1: arguments reach the program as they are');
like($reports[1]{log}, qr/^oops$/m, 'W1: the log holds what went to standard error too');
is($reports[1]{evidence}{exit}, 0, 'W1: the action\'s evidence has its exit code');
is($zdu->sql("SELECT DISTINCT worker || ' ' || (incarnation <> '') || ' ' || cluster FROM fake.call"),
	'seat true shop', 'W4: the worker asks under its name, and only about clusters that have a runbook');
like($zdu->sql("SELECT programs FROM fake.call LIMIT 1"), qr/\bsleeper,step\b/, 'W1: it says which programs it has');
is($zdu->sql('SELECT max(slots) FROM fake.call'), 64, 'W1: it says how much room it has');
ok(wait_for(sub { $zdu->sql('SELECT slots FROM fake.call ORDER BY id DESC LIMIT 1') == 64 }),
	'W1: a step that is over takes no room');

# The time from the end of a look to the next question is what a roll pays for
# each of its steps.
cmp_ok($zdu->sql(q{SELECT extract(epoch FROM max(at) - min(at)) FROM fake.report}), '<', 0.5,
	'W1: what is over is reported at once, not at the next poll');

$zdu->clear;
unlink "$dir/verbs";
$zdu->hold(token => '1.2', verb => 'act', args => $step);
$zdu->reports("report->>'token' = '1.2'");
my $calls = $zdu->sql('SELECT count(*) FROM fake.call');
wait_for(sub { $zdu->sql('SELECT count(*) FROM fake.call') >= $calls + 2 });
is(slurp("$dir/verbs"), "act\n", 'W5: one token is acted for once, however often the answer repeats it');

# --- M6: what it does not know -------------------------------------------

# A verb, a driver and an argument of a later protocol, beside a step that it knows.
$zdu->clear;
unlink "$dir/verbs";
$zdu->hold(token => '1.4', verb => 'dance', args => $step);
$zdu->hold(token => '1.5', args => { targets => [ { telepathy => 'app1' } ] });
$zdu->hold(token => '1.6', args => { %$step, music => 'loud' });
@reports = $zdu->reports("report->>'token' = '1.6'", 2);
is($reports[0]{evidence}{unit}, 'active', 'M6: an argument that the worker does not know does not keep it from its step');
is($zdu->sql(q{SELECT count(*) FROM fake.report WHERE report->>'token' = '1.4'}), 0, 'M6: a verb that it does not know it leaves alone');
like($zdu->sql(q{SELECT DISTINCT report->>'state' || ' ' || (report->'evidence' ? 'error')::text FROM fake.report WHERE report->>'token' = '1.5'}),
	qr/^failed true$/, 'M6: a driver that it does not know has seen nothing, so it says');
unlike(slurp("$dir/verbs"), qr/act/, 'M6: nothing was done for any of them');
is($zdu->sql(q{SELECT count(DISTINCT incarnation) FROM fake.call}), 1, 'M6: and the worker goes on');

# --- looking again ---------------------------------------------------------

$zdu->clear;
my $asked = time();
$zdu->hold(token => '1.3', args => $step);
@reports = $zdu->reports("report->>'token' = '1.3'", 8);
my @gaps = split /\n/, $zdu->sql(q{SELECT round(extract(epoch FROM at - lag(at) OVER (ORDER BY id)) * 1000)
	FROM fake.report WHERE report->>'token' = '1.3' ORDER BY id OFFSET 1 LIMIT 7});
cmp_ok($gaps[0], '<', 150, 'W3: the second look follows the first within 0.05 s and a little');
cmp_ok($gaps[6], '>=', 190, 'W3: looks get rarer, up to args.every');
cmp_ok($gaps[6], '<', 400, 'W3: but not rarer than args.every');

# --- end, timeout, kill ----------------------------------------------------

$zdu->clear;
$zdu->hold(token => '2.1', verb => 'act', args => { targets => [ { exec => 'sleeper', args => ['a'] } ] });
my ($leader, $child) = (pid_in("$dir/a"), pid_in("$dir/a.child"));
ok(alive($leader) && alive($child), 'W1: the action runs, in processes of its own');
$zdu->sql(q{UPDATE fake.held SET verb = 'end'});
@reports = $zdu->reports("report->>'token' = '2.1'");
is("$reports[0]{state} $reports[0]{evidence}{ended}", 'released 1', 'W1: told to end, it hands the step back as ended');
ok(!alive($leader) && !alive($child), 'W1: the whole process group is gone by then');

$zdu->clear;
$zdu->hold(token => '2.2', verb => 'act',
	args => { timeout => 0.5, targets => [ { exec => 'sleeper', args => ['b'] } ] });
@reports = $zdu->reports("report->>'token' = '2.2'");
is("$reports[0]{state} $reports[0]{evidence}{error}", 'failed timeout', 'W1: an action is ended at its timeout');
ok(!alive(pid_in("$dir/b.child")), 'W1: with all that it started');

$zdu->clear;
$zdu->hold(token => '2.3', verb => 'act', deadline => 0.5, args => { targets => [ { exec => 'stubborn' } ] });
my $began = time();
@reports = $zdu->reports("report->>'token' = '2.3'");
is($reports[0]{evidence}{error}, 'timeout', 'W1: the deadline ends it too');
is($reports[0]{evidence}{signal}, 9, 'W1: what ignores SIGTERM is killed');
cmp_ok(time() - $began, '<', 5, 'W1: two seconds later');

# --- tokens ----------------------------------------------------------------

$zdu->clear;
$zdu->hold(token => '3.1', verb => 'act', args => { targets => [ { exec => 'sleeper', args => ['c'] } ] });
$leader = pid_in("$dir/c");
$zdu->sql(q{UPDATE fake.held SET token = '3.2', verb = 'probe'});
ok(wait_for(sub { !alive($leader) }), 'W5: a token that is in the answer no more is dropped, its child ended');
is($zdu->sql(q{SELECT count(*) FROM fake.report WHERE report->>'token' = '3.1'}), 0, 'W5: and not reported');

$zdu->clear;
$zdu->react('3.3', 'probe', 'done', 'stale');
$zdu->hold(token => '3.3', args => $step);
$zdu->hold(token => '3.4', node => 'app2', args => $step);
$zdu->reports("report->>'token' = '3.4'", 3);
$zdu->clear;
ok(wait_for(sub { $zdu->printed($worker, 'log') =~ /event=refused cluster=shop token=3\.3 sqlstate=ZD003/ }),
	'W5: a token refused as stale is logged, and its neighbour goes on');

# --- evidence --------------------------------------------------------------

$zdu->program('odd', q{printf '\\000a\\377\\033[1mb\\303\\244'; });
$zdu->program('nul', q{printf '{"a": "\\\\u0000"}'});
$zdu->program('big', q{head -c 1000000 /dev/zero | tr '\\0' x});
$zdu->program('list', q{echo '[1]'});
$zdu->program('dies', q{kill -9 $$});
$zdu->program('bad', q{echo no; exit 3});
my %look = (
	odd => [ 'done', "\x{FFFD}a\x{FFFD}\x{FFFD}[1mb\x{E4}", 'output', 'bytes that are no text are replaced' ],
	nul => [ 'done', '{"a": "\u0000"}', 'output', 'an object that jsonb cannot hold is text' ],
	big => [ 'failed', 'output too large', 'error', 'more than 64 KiB is an error' ],
	list => [ 'done', '[1]', 'output', 'what is no object is text' ],
	dies => [ 'failed', 9, 'signal', 'a signal is told' ],
	bad => [ 'done', 3, 'exit', 'an exit code is evidence, whatever it is' ],
	'../step' => [ 'failed', 'program not found', 'error', 'a name with a slash is no program' ],
	nothing => [ 'failed', 'program not found', 'error', 'nor is one that is not there' ],
);
$zdu->clear;
my $number = 0;
for my $name (sort keys %look)
{
	my ($state, $value, $key, $what) = @{ $look{$name} };
	my $token = '4.' . ++$number;

	$zdu->react($token, 'probe', $state, 'gone');
	$zdu->hold(token => $token, args => { targets => [ { exec => $name } ] });
	@reports = $zdu->reports("report->>'token' = '$token'");
	utf8::decode($reports[0]{evidence}{$key}) if $name eq 'odd';
	is("$reports[0]{state} $reports[0]{evidence}{$key}", "$state $value", "W6: $what");
}
$zdu->program('flood', q{i=0; while test $i -lt 3000; do echo "line \\"$i\\""; i=$((i+1)); done; head -c 20000 /dev/urandom; echo the end});
$zdu->react('4.99', 'act', 'done', 'gone');
$zdu->hold(token => '4.99', verb => 'act', args => { targets => [ { exec => 'flood' } ] });
@reports = $zdu->reports("report->>'token' = '4.99'");
like($reports[0]{log}, qr/the end\n$/, 'W6: of a long log the end is kept');
cmp_ok($zdu->sql(q{SELECT octet_length(report->>'log') FROM fake.report WHERE report->>'token' = '4.99'}), '<=', 16384,
	'W6: 16 KiB of it');
cmp_ok($zdu->sql(q{SELECT max(octet_length(report::text)) FROM fake.report}), '<=', 65536,
	'W6: no report is larger than may be');

$zdu->clear;
$zdu->react('4.100', 'probe', 'failed', 'gone');
$zdu->hold(token => '4.100', args => { list => JSON::PP::true, targets => [ { exec => 'step' }, { exec => 'nothing' } ] });
@reports = $zdu->reports("report->>'token' = '4.100'");
is("$reports[0]{evidence}[0]{exit} $reports[0]{evidence}[1]{error}", '0 program not found',
	'W6: each target of a list has its evidence, in order');

# --- observations and guards -----------------------------------------------

$zdu->clear;
$zdu->hold(node => 'app7', phase => 'observe', args => $step);
$zdu->hold(node => 'app8', phase => 'guard', args => { %$step, watch => 1 });
@reports = $zdu->reports("report ? 'seen'", 2);
my ($observed) = grep { $_->{node} eq 'app7' } @reports;
my ($guarded) = grep { $_->{node} eq 'app8' } @reports;
is($observed->{seen}{unit}, 'active', 'N18: an observation is looked at and reported as seen');
is($guarded->{watch}, 1, 'N18: a watch says which one it is');
$calls = $zdu->sql('SELECT count(*) FROM fake.call');
wait_for(sub { $zdu->sql('SELECT count(*) FROM fake.call') >= $calls + 2 });
is($zdu->sql(q{SELECT count(*) FROM fake.report WHERE report->>'node' = 'app7'}), 1, 'N18: once each time it is asked for');

# --- the database goes away ------------------------------------------------

$zdu->clear;
$zdu->program('slow', "sleep 1; echo '{\"looked\": true}'");
$zdu->hold(token => '5.1', verb => 'act', args => { targets => [ { exec => 'slow' } ] });
$zdu->hold(token => '5.2', verb => 'act', lease => 3, args => { targets => [ { exec => 'sleeper', args => ['d'] } ] });
$zdu->hold(token => '5.3', verb => 'act', lease => 3,
	args => { may_outlive => JSON::PP::true, targets => [ { exec => 'outlive' } ] });
$leader = pid_in("$dir/d");
my $outliving = pid_in("$dir/outlive.pid");
$zdu->pg->stop('immediate');
ok(wait_for(sub { !alive($leader) }), 'W5: a worker that cannot ask ends its children before the lease is over');
ok(alive($outliving), 'W1: save one that may outlive');
$zdu->pg->start;
@reports = $zdu->reports("report->>'token' = '5.1'");
is("$reports[0]{state} $reports[0]{evidence}{looked}", 'done 1', 'W4: evidence is kept while the database is away, and reported after');
@reports = $zdu->reports("report->>'token' = '5.2'");
is("$reports[0]{state} $reports[0]{evidence}{ended}", 'released 1', 'W5: what the lease has ended is handed back');
touch("$dir/outlive.go");
@reports = $zdu->reports("report->>'token' = '5.3'");
is($reports[0]{state}, 'done', 'W1: what may outlive ends well and is reported');
like($reports[0]{log}, qr/still here/, 'W1: with its log');
unlink "$dir/outlive.go", "$dir/outlive.pid", "$dir/outlive.over";

# --- leaving ---------------------------------------------------------------

$zdu->clear;
$zdu->hold(token => '6.1', verb => 'act', args => { targets => [ { exec => 'sleeper', args => ['e'] } ] });
$zdu->hold(token => '6.2', verb => 'act',
	args => { may_outlive => JSON::PP::true, targets => [ { exec => 'outlive' } ] });
$zdu->hold(token => '6.3', args => { every => 60, targets => [ { exec => 'slow' } ] });
($leader, $child, $outliving) = (pid_in("$dir/e"), pid_in("$dir/e.child"), pid_in("$dir/outlive.pid"));
$began = time();
is($zdu->stop($worker), 0, 'W4: SIGTERM ends the worker well');
cmp_ok(time() - $began, '<', 5, 'W4: within 5 s');
ok(!alive($leader) && !alive($child), 'W4: what it ran is ended');
ok(alive($outliving), 'W4: save what may outlive');
is($zdu->sql(q{SELECT string_agg(report->>'token' || ' ' || (report->'evidence'->>'ended'), ', ' ORDER BY report->>'token')
	FROM fake.report WHERE report->>'state' = 'released'}), '6.1 true, 6.2 false, 6.3 true',
	'W4: all of it is handed back, saying whether it runs still');
is($zdu->sql('SELECT leaving AND slots = 0 FROM fake.call ORDER BY id DESC LIMIT 1'), 't', 'W4: its last words are that it leaves');
touch("$dir/outlive.go");
ok(wait_for(sub { slurp("$dir/outlive.over") eq "over\n" }), 'W4: what may outlive goes on to its end without a worker');
unlink "$dir/outlive.go", "$dir/outlive.pid", "$dir/outlive.over", "$dir/e";

$zdu->clear;
$zdu->hold(token => '6.4', verb => 'act', args => { targets => [ { exec => 'sleeper', args => ['f'] } ] });
$zdu->hold(token => '6.5', verb => 'act',
	args => { may_outlive => JSON::PP::true, targets => [ { exec => 'outlive' } ] });
$worker = $zdu->start;
($leader, $outliving) = (pid_in("$dir/f"), pid_in("$dir/outlive.pid"));
kill 'KILL', $worker->{pid};
$zdu->ended($worker, 5);
ok(wait_for(sub { !alive($leader) }), 'W4: a worker that is killed takes its action with it');
ok(alive($outliving), 'W4: save what may outlive');
touch("$dir/outlive.go");
ok(wait_for(sub { slurp("$dir/outlive.over") eq "over\n" }), 'W4: which goes on to its end');
kill 'KILL', pid_in("$dir/f.child");

$zdu->clear;
$zdu->hold(token => '6.6', verb => 'act', args => { targets => [ { exec => 'stubborn' } ] });
unlink "$dir/stubborn.pid";
$worker = $zdu->start;
$leader = pid_in("$dir/stubborn.pid");
kill 'TERM', $worker->{pid};
ok(wait_for(sub { $zdu->printed($worker, 'log') =~ /event=leaving/ }), 'W4: the first SIGTERM begins to leave');
kill 'TERM', $worker->{pid};
$began = time();
is($zdu->ended($worker, 2), 0, 'W4: a second SIGTERM ends it at once');
ok(wait_for(sub { !alive($leader) }), 'W4: with what it ran');

# --- the command line ------------------------------------------------------

$zdu->clear;
my ($code, $out, $err) = $zdu->run($zdu->pg->connstr('postgres'), '--once', '--cluster', 'shop');
is($code, 0, 'W4: --once leaves when there is nothing to do');
$zdu->hold(token => '7.1', args => $step);
$zdu->react('7.1', 'probe', 'done', 'gone');
($code, $out, $err) = $zdu->run($zdu->pg->connstr('postgres'), '--once', '--runbooks', $dir);
is("$code " . $zdu->sql(q{SELECT count(*) FROM fake.report}), '0 1', 'W4: but not before it has done what there is');
($code, $out, $err) = $zdu->run('host=/nowhere', '--once');
is($code, 3, 'W4: --once says by its exit code that there is no database');
($code, $out, $err) = $zdu->run('--bogus', 'x');
is($code, 1, 'W4: an option that does not exist is refused');
($code, $out, $err) = $zdu->run('--slots', '0', 'x');
is($code, 1, 'W4: so is a bad number');
($code, $out, $err) = $zdu->run('bogus=1');
is($code, 1, 'W4: so is a bad connection string');
($code, $out, $err) = $zdu->run('--help');
like($out, qr/--follow CLUSTER.*Exit status:/s, 'W4: --help tells the options and the exit codes');

done_testing();
