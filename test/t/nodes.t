# The node's side, with what ships for it: zdu_worker --join, and the examples in C and in shell, each under its own login.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Test::More;
use ZduTest qw(slurp spew wait_until);

my $zdu = ZduTest->new;
my $pg = $zdu->pg;
my $connstr = $pg->connstr('postgres');
my $examples = ($ENV{ZDU_BUILD} // '.') . '/examples';
my $files = $zdu->{nodes};

# Returns the exit code of --join, and what it logged.
sub join_node
{
	my ($conninfo, @arguments) = @_;
	my ($code, undef, $log) = $zdu->run($conninfo, '--join', @arguments);

	note($log);
	return ($code, $log);
}

# --- zdu_worker --join ---

$zdu->sql(q{SELECT zdu_set_cluster('gate')});
my ($code, $log) = join_node($connstr, 'gate', 'app1', '1.0.0', '--incarnation', 'p1');
is($code, 0, 'N7: --join: admitted is 0');
like($log, qr/event=admitted cluster=gate node=app1 version=1\.0\.0 upgrade_state=0 beat_every=00:00:10/, 'N10: and says what there is to know');
is($zdu->sql(q{SELECT state || ' ' || incarnation FROM zdu.node}), 'STARTING p1', 'N16: the node is registered, with its incarnation');
$zdu->sql(q{SELECT zdu_heartbeat('gate', 'app1', 'p1', 'ACTIVE')});
($code, $log) = join_node($connstr, 'gate', 'app2', '0.9.0');
is($code, 78, 'N8: --join: refused is 78');
like($log, qr/event=refused .* rule=N8 reason="the cluster is at 1\.0\.0, not at 0\.9\.0/, 'N8: with rule and reason');
($code, $log) = join_node($connstr, 'nowhere', 'app1', '1.0.0');
is($code, 78, 'N9: --join: an unknown cluster is 78');
like($log, qr/event=error .*sqlstate=42704/, 'N9: and says so');
$zdu->sql('CREATE ROLE stranger LOGIN');
is((join_node("$connstr user=stranger", 'gate', 'app1', '1.0.0'))[0], 78, 'L22: --join: so is who may not ask');
is((join_node("$connstr dbname=nothing", 'gate', 'app1', '1.0.0'))[0], 75, 'N9: --join: a database that cannot be reached is 75');
is((join_node('host=/nowhere', 'gate', 'app1', '1.0.0', '--timeout', '0.5'))[0], 75, 'N9: --join: also when it went on asking');
is(($zdu->run($connstr, '--join', 'gate', @$_))[0], 1, "L22: --join: a bad command line: @$_")
	for ['app1'], [ 'app1', '1.0.0', 'more' ], [ 'app1', '1.0.0', '--follow', 'gate' ], [ 'app1', '1.0.0', '--ready' ];
is(($zdu->run($connstr, '--incarnation', 'x'))[0], 1, 'L22: an option of --join without it');

# The unit's command, as systemd runs it: RestartPreventExitStatus heeds the exit status of no other.
my ($unit) = slurp("$examples/node.service") =~ m{^ExecStart=/bin/sh -c '(.*)' %H$}m;
$unit =~ s/\$\$/\$/g;
$unit =~ s{/usr/bin/zdu_worker service=zdu --join shop}{"\$BINARY" "\$CONNINFO" --join gate};
$unit =~ s{/usr/bin/shop}{/bin/echo runs};

# Returns the exit code of the unit's main process, and what the program printed.
sub start_unit
{
	my ($version) = @_;
	my ($out, $err) = ('', '');

	local @ENV{qw(BINARY CONNINFO VERSION INVOCATION_ID)} = (FakeZdu::binary(), $connstr, $version, 'i1');
	IPC::Run::run([ '/bin/sh', '-c', $unit, 'app1' ], '>', \$out, '2>', \$err);
	return ($? >> 8) . " $out";
}
is(start_unit('0.9.0'), '78 ', 'N8: the main process of the unit ends with 78 if the node is refused');
is(start_unit('1.0.0'), "0 runs --incarnation i1\n", 'N7: and becomes the program if it is admitted');

$pg->stop;
my $waiting = IPC::Run::start([ FakeZdu::binary(), $connstr, '--join', 'gate', 'app1', '1.0.0', '--timeout', '60' ], '>', '/dev/null', '2>', "$files/join.log");
ok(wait_until(sub { slurp("$files/join.log") =~ /unreachable/ }), 'N9: --join --timeout: the database is away');
$pg->start;
$waiting->finish;
is($waiting->result(0), 0, 'N9: --join --timeout: it goes on asking until it is there');

# --- a node in C, under a login of its own ---

my @compile = ('gcc', '-std=gnu99', '-Wall', '-Wextra', '-Werror', '-I' . `$ENV{PG_CONFIG} --includedir`, '-o', "$files/node", "$examples/node.c", '-lpq');
chomp @compile;
ok(IPC::Run::run(\@compile), 'N5: the example in C compiles');

$zdu->sql(q{SELECT zdu_set_policy('apps', settings => '{"heartbeat_ttl": "3 s", "max_unavailable": "2", "early_end": "force", "offline_at_end": "fence"}'), zdu_set_cluster('apps', policy => 'apps')});
for my $n (1 .. 3)
{
	$zdu->sql("CREATE ROLE login$n LOGIN; ALTER ROLE login$n SET synchronous_commit = off; SELECT zdu_grant('login$n', 'node'), zdu_set_node('apps', 'app$n', login => 'login$n')");
}

# Starts node $n at a version; returns its process.
sub start_node
{
	my ($n, $version) = @_;
	my $process = IPC::Run::start([ "$files/node", "$connstr user=login$n", 'apps', "app$n", $version ], '<', '/dev/null', '>>', "$files/app$n.out", '2>>', "$files/app$n.err");

	return $process;
}

# Starts a program as node $n by the example in shell.
sub start_shell
{
	my ($n, $version) = @_;

	spew("$files/program", "#!/bin/sh\ntrap 'echo drain >>$files/signals' USR1\ntrap 'echo serve >>$files/signals' USR2\n" .
		"trap 'echo stop >>$files/signals; exit 7' TERM\necho up >>$files/signals\nwhile :; do sleep 0.05; done\n");
	chmod 0755, "$files/program";
	return IPC::Run::start([ "$examples/node.sh", 'apps', "app$n", $version, "$files/program" ], '<', '/dev/null', '>>', "$files/app$n.out", '2>>', "$files/app$n.err",
		init => sub { @ENV{qw(PGHOST PGPORT PGDATABASE PGUSER)} = ($pg->host, $pg->port, 'postgres', "login$n"); });
}

sub node { return $zdu->sql("SELECT concat_ws(' ', d.state, d.version, CASE WHEN confirmed THEN 'confirmed' END) FROM zdu.node d JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'apps' AND d.name = 'app$_[0]'"); }
sub wait_node { my ($n, $is) = @_; return wait_until(sub { node($n) eq $is }) || (diag(node($n), slurp("$files/app$n.err")), 0)[1]; }
sub said { my ($n, $what) = @_; return wait_until(sub { (split /\n/, slurp("$files/app$n.out"))[-1] =~ $what }) || (diag(slurp("$files/app$n.out"), slurp("$files/app$n.err")), 0)[1]; }
sub signals { return -e "$files/signals" ? join(' ', split(/\n/, slurp("$files/signals"))) : ''; }

my %process = (1 => start_node(1, '1.0.0'), 2 => start_node(2, '1.0.0'));
ok(wait_node($_, 'ACTIVE 1.0.0'), "N5: app$_ joins and is ACTIVE") for 1, 2;
ok(said(1, qr/^serve, features \{\}, mail yes$/), 'N5: it is told to serve');
$zdu->sql(q{SELECT zdu_detach('apps', 'app1')});
ok(said(1, qr/^drain/), 'N6: detached, it is told to drain');
$zdu->sql(q{SELECT zdu_attach('apps', 'app1')});
ok(said(1, qr/^serve/), 'N6: attached, to serve again');
$zdu->sql(q{SELECT zdu_set_feature('apps', 'old', '1.0.0'), zdu_set_feature('apps', 'new', '1.1.0')});
ok(said(2, qr/features \{old\}/), 'S4: it hears which features are on');

# --- a node in shell ---

$process{3} = start_shell(3, '1.0.0');
ok(wait_node(3, 'ACTIVE 1.0.0'), 'N5: a program under node.sh is ACTIVE');
ok(wait_until(sub { signals() eq 'up' }), 'N5: it runs');
$zdu->sql(q{SELECT zdu_detach('apps', 'app3')});
ok(wait_until(sub { signals() eq 'up drain' }), 'N6: it is told to drain by a signal');
$zdu->sql(q{SELECT zdu_attach('apps', 'app3')});
ok(wait_until(sub { signals() eq 'up drain serve' }), 'N6: and to serve again');

# --- an upgrade by hand, with what the nodes hear of it ---

$zdu->sql(q{SELECT zdu_begin('apps', '1.1.0')});
my $foreign = IPC::Run::start([ "$files/node", "$connstr user=login3", 'apps', 'app3', '1.2.0' ], '>', '/dev/null', '2>', "$files/foreign");
$foreign->finish;
is($foreign->result(0), 78, 'N7: the example in C ends with 78 when it is refused');
like(slurp("$files/foreign"), qr/app3 is refused: N7: 1\.2\.0 is neither the original 1\.0\.0 nor the target 1\.1\.0/, 'N7: and says why');
is($zdu->sql(q{SELECT leader FROM zdu.cluster WHERE name = 'apps'}), 'app1', 'M7: app1 leads');
$process{1}->signal('TERM');
$process{1}->finish;
is($process{1}->result(0), 0, 'N3: SIGTERM ends the node gracefully');
is(node(1), 'OFFLINE 1.0.0 confirmed', 'N3: by way of TERMINATING, to a confirmed OFFLINE');
is($zdu->sql(q{SELECT string_agg(new, ' ' ORDER BY event_id) FROM (SELECT event_id, new FROM zdu.event WHERE node = 'app1' AND cluster = 'apps' ORDER BY event_id DESC LIMIT 2) e}),
	'TERMINATING OFFLINE', 'N3: as the log tells');
is($zdu->sql(q{SELECT leader FROM zdu.cluster WHERE name = 'apps'}), 'app2', 'M7: it has handed the leadership over');
$process{1} = start_node(1, '1.1.0');
ok(wait_node(1, 'ACTIVE 1.1.0'), 'N10: upgraded, it joins again');
ok(said(1, qr/^serve, features \{old\}, mail no$/), 'M7: only the leader may run the mail, and no feature is on yet');
is($zdu->sql(q{SELECT zdu_finalize('apps', force => true, reason => 'the fair begins')}), 'STABLE', 'L18: the upgrade is ended early');
$process{2}->finish;
is($process{2}->result(0), 0, 'L18: the old node in C is told to stop, and does');
like(slurp("$files/app2.out"), qr/^stop, /m, 'L18: it has heard it');
$process{3}->finish;
is($process{3}->result(0), 7, 'L18: the one in shell too, with its program\'s own status');
is(signals(), 'up drain serve stop', 'L18: the program was told');
is(node($_), 'OFFLINE 1.0.0 confirmed', "L18: app$_ is confirmed OFFLINE") for 2, 3;
ok(said(1, qr/features \{new,old\}/), 'S4: now that no old node runs the feature is on');
$process{3} = start_shell(3, '1.0.0');
$process{3}->finish;
is($process{3}->result(0), 78, 'L16: the old version is refused from now on, by node.sh with 78');
like(slurp("$files/app3.err"), qr/app3 is refused: L16: /, 'L16: which says why');

# --- the database is away, and another process takes the name ---

$pg->restart;
ok(wait_until(sub { node(1) eq 'ACTIVE 1.1.0' && $zdu->sql(q{SELECT heard > pg_postmaster_start_time() FROM zdu.node_status WHERE cluster = 'apps' AND node = 'app1'}) eq 't' }),
	'N4: a node outlives a restart of the database');
my $second = start_node(1, '1.1.0');
$process{1}->finish;
is($process{1}->result(0), 0, 'N16: a process whose name another one has taken stops');
ok(wait_node(1, 'ACTIVE 1.1.0'), 'N16: and its last word changes nothing for the new one');
$second->signal('TERM');
$second->finish;

done_testing();
