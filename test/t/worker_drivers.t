# The worker's drivers look and act by HTTP, HAProxy and SQL, and it follows an upgrade.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use FakeZdu qw(wait_for alive);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(_exit);
use Programs qw(free_port);
use Test::More;

my $zdu = FakeZdu->new;
my $dir = $zdu->{runbooks};
my $number = 0;

# Looks (or acts) at one target and returns the report.
sub one
{
	my ($verb, $target, %args) = @_;
	my $token = '1.' . ++$number;

	$zdu->react($token, $verb, $_, 'gone') for 'done', 'failed';
	$zdu->hold(token => $token, verb => $verb, args => { env => { ZDU_TOKEN => $token }, targets => [$target], %args });
	my ($report) = $zdu->reports("report->>'token' = '$token'");
	return $report;
}

# Answers requests for ever by telling what was asked.
sub serve
{
	my ($server) = @_;

	while (my $client = $server->accept)
	{
		my ($request, $length, $body) = ('', 0, '');

		while (defined(my $line = <$client>))
		{
			$request .= $line;
			$length = $1 if $line =~ /^Content-Length: (\d+)/i;
			last if $line =~ /^\r?\n$/;
		}
		read $client, $body, $length if $length;
		my ($method, $path) = $request =~ /^(\S+) (\S+)/ or next;
		my $answer = $path eq '/big' ? 'x' x 100_000 : $path eq '/text' ? 'hello' : encode_json(
			{ status => 'UP', version => '1.1.0', method => $method, path => $path, body => $body,
				special => $request =~ /^X-Special: (.*?)\r?$/m ? "$1" : undef,
				authorization => $request =~ /^Authorization: (.*?)\r?$/m ? "$1" : undef });
		my $code = $path eq '/fail' ? '503 No' : $path eq '/move' ? "302 Moved\r\nLocation: /text" : '200 OK';

		sleep 60 if $path eq '/hang';
		print $client "HTTP/1.1 $code\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
		close $client;
	}
}

# Starts a node in a process of its own; returns its id.
sub start_node
{
	my ($port) = @_;
	my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 50, ReuseAddr => 1)
		or die "port $port: $!";
	my $pid = fork() // die "fork: $!";

	return $pid if $pid != 0;

	# What this process would do at its end is not to be done twice.
	local $SIG{PIPE} = 'IGNORE';
	eval { serve($server) };
	_exit(0);
}

my $port = free_port();
my $node = start_node($port);
my $url = "http://127.0.0.1:$port";

# Who the worker is at a web server, and a file that a form may bring along.
for my $file ([ '.netrc', "machine 127.0.0.1 login worker password hush\n" ], [ 'module.jar', 'PK-of-a-module' ])
{
	open(my $out, '>', "$dir/$file->[0]") or die $!;
	print $out $file->[1];
	close $out;
	chmod 0600, "$dir/$file->[0]";
}
local $ENV{HOME} = $dir;
my $worker = $zdu->start('--allow-host', '127.0.0.*', '--allow-host', 'db?.example');

# --- http ------------------------------------------------------------------

my $report = one('probe', { http => "$url/health", method => 'POST', body => 'x', headers => { 'X-Special' => 'yes' } });
is("$report->{state} @{$report->{evidence}}{qw(http_code version method special)}", 'done 200 1.1.0 GET yes',
	'W3: a look by HTTP is a GET, its evidence the object that came back');
is($report->{evidence}{body}, '', 'W3: without a body');
$report = one('act', { http => "$url/do", method => 'PUT', body => { go => JSON::PP::true } });
is("$report->{evidence}{method} $report->{evidence}{body}", 'PUT {"go":true}', 'W2: an action by HTTP is the request as told');
is($report->{evidence}{authorization}, 'Basic d29ya2VyOmh1c2g=', 'W1: who the worker is there stands in its ~/.netrc');
$report = one('act', { http => "$url/do", method => 'POST', form => { start => 'true', bundle => '@module.jar' } });
like($report->{evidence}{body}, qr/^--\S+\r\n.*name="start"\r\n\r\ntrue\r\n.*name="bundle"; filename="module\.jar"\r\n.*\r\n\r\nPK-of-a-module\r\n--/s,
	'W2: a form is sent in parts, a file of the runbook directory among them');
for my $file ('@/etc/passwd', '@../module.jar', '@.netrc', '@nothing.jar')
{
	$report = one('act', { http => "$url/do", method => 'POST', form => { bundle => $file } });
	like($report->{evidence}{error}, qr/no file of the runbook directory/, "W1: no other file is sent: $file");
}
$report = one('probe', { http => "$url/text" });
is("$report->{evidence}{http_code} $report->{evidence}{body}", '200 hello', 'W3: what is no object is told as body');
$report = one('probe', { http => "$url/fail" });
is("$report->{state} $report->{evidence}{http_code}", 'done 503', 'W6: an error page is evidence');
$report = one('act', { http => "$url/fail", method => 'POST' });
is("$report->{state} $report->{evidence}{http_code}", 'failed 503', 'W6: and the end of an action that went wrong');
$report = one('probe', { http => "$url/move" });
is($report->{evidence}{http_code}, 302, 'W6: a redirect is not followed');
$report = one('probe', { http => "$url/big" });
is("$report->{state} $report->{evidence}{error}", 'failed output too large', 'W6: more than 64 KiB is an error');
$report = one('probe', { http => "$url/hang" }, timeout => 0.5);
is("$report->{state} $report->{evidence}{error}", 'failed timeout', 'W6: a look by HTTP ends at its timeout');
kill 'KILL', $node;
waitpid $node, 0;
$report = one('probe', { http => "$url/health" });
is("$report->{evidence}{http_code} $report->{evidence}{refused}", '0 1', 'N18: a refused connection is told as such');
$report = one('probe', { http => 'http://evil.example/' });
is($report->{evidence}{error}, 'host not allowed', 'W1: a host that the worker does not allow is not asked');
$report = one('probe', { http => "http://127.0.0.1\@evil.example/" });
is($report->{evidence}{error}, 'host not allowed', 'W1: whatever stands before an @');
$report = one('probe', { http => 'file:///etc/passwd' });
is($report->{state}, 'failed', 'W1: nor is a file read');

# --- haproxy ---------------------------------------------------------------

SKIP:
{
	skip 'no haproxy here', 9 if system('PATH=$PATH:/usr/sbin command -v haproxy >/dev/null') != 0;
	my ($front, $admin) = (free_port(), free_port());

	open(my $conf, '>', "$dir/haproxy.cfg") or die $!;
	print $conf <<"CONF";
global
	stats socket $dir/haproxy.sock level admin
	stats socket ipv4\@127.0.0.1:$admin level admin
defaults
	mode http
	timeout connect 1s
	timeout client 5s
	timeout server 5s
frontend web
	bind 127.0.0.1:$front
	default_backend shop
backend shop
	server app1 127.0.0.1:$port
	server app2 127.0.0.1:$port disabled
CONF
	close $conf;
	system("PATH=\$PATH:/usr/sbin haproxy -D -p $dir/haproxy.pid -f $dir/haproxy.cfg") == 0 or die 'haproxy does not start';
	my %server = (haproxy => "$dir/haproxy.sock", server => 'shop/app1');

	$report = one('probe', { %server });
	is("$report->{state} @{$report->{evidence}}{qw(admin svname scur)}", 'done ready app1 0',
		'W2: a look by HAProxy is the row of show stat, with the administrative state');
	$report = one('probe', { %server, server => 'shop/app2' });
	is($report->{evidence}{admin}, 'maint', 'W2: maint is told as such');
	$report = one('act', { %server, state => 'drain' });
	is($report->{state}, 'done', 'W2: HAProxy takes a server out');
	$report = one('probe', { %server, haproxy => "127.0.0.1:$admin" });
	is($report->{evidence}{admin}, 'drain', 'W2: and tells it, over TCP too');
	$report = one('act', { %server, haproxy => "localhost:$admin", state => 'ready' });
	is($report->{state}, 'done', 'W2: and puts it back');
	is(one('probe', { %server })->{evidence}{admin}, 'ready', 'W2: which it tells');
	$report = one('act', { %server, server => 'shop/app9', state => 'drain' });
	is($report->{state}, 'failed', 'W2: a server that it does not know cannot be taken out');
	$report = one('probe', { %server, server => 'shop/app9' });
	is($report->{evidence}{error}, 'no such server', 'W2: nor looked at');
	$report = one('act', { %server, server => "shop/app1; disable server shop/app1", state => 'ready' });
	like($report->{evidence}{error}, qr/not a server/, 'W1: a name cannot bring a command of its own');
	open(my $file, '<', "$dir/haproxy.pid") or die $!;
	kill 'TERM', map { chomp; $_ } <$file>;
}
$report = one('probe', { haproxy => "127.0.0.1:$port", server => 'shop/app1' });
is($report->{evidence}{error}, 'connection refused', 'W2: a HAProxy that is not there is an error');

# --- sql -------------------------------------------------------------------

my $conninfo = $zdu->pg->connstr('postgres');
my %sql = (conninfo => $conninfo);

$report = one('probe', { %sql, sql => q{SELECT $1::int AS n, $2 AS t, true AS b, null AS x, '{"a": 1}'::jsonb AS j, 1.5 AS f,
	current_setting('zdu.token') AS token, current_setting('application_name') AS app}, params => [ 7, "it's" ] });
is(join(' ', map { $_ // 'null' } @{ $report->{evidence} }{qw(n t b x f token app row_count)}),
	"7 it's 1 null 1.5 1.$number zdu_worker 1", 'W5: the first row is the evidence, and the transaction knows its token');
is($report->{evidence}{j}{a}, 1, 'W3: jsonb stays JSON');
$report = one('probe', { %sql, sql => 'SELECT 1 AS a WHERE false' });
is("$report->{state} $report->{evidence}{row_count}", 'done 0', 'W3: no row is evidence too');
$report = one('probe', { %sql, sql => 'CREATE TABLE looked ()' });
is($report->{evidence}{sqlstate}, '25006', 'W3: a look cannot write');
$report = one('probe', { %sql, sql => 'COMMIT; CREATE TABLE looked ()' });
is($report->{evidence}{sqlstate}, '42601', 'W3: nor get out of its transaction');
$report = one('act', { %sql, sql => 'CREATE TABLE acted (); CREATE TABLE acted (a int)' });
is("$report->{state} $report->{evidence}{sqlstate}", 'failed 42P07', 'S3: a script that fails tells its SQLSTATE');
is($zdu->sql(q{SELECT to_regclass('acted') IS NULL}), 't', 'S3: and leaves nothing behind');
$report = one('act', { %sql, sql => 'CREATE TABLE acted (); CREATE TABLE acted2 ()' });
is("$report->{state} " . $zdu->sql(q{SELECT to_regclass('acted2') IS NOT NULL}), 'done t', 'S3: one that succeeds is committed');
$report = one('act', { %sql, sql => 'SELECT pg_sleep(60)', statement_timeout => '200ms' });
is($report->{evidence}{sqlstate}, '57014', 'S3: statement_timeout ends a script');
$report = one('act', { %sql, sql => 'SELECT pg_sleep(60)', statement_timeout => '1h' }, timeout => 0.5);
is($report->{evidence}{error}, 'timeout', 'S3: so does the timeout of the step');
ok(wait_for(sub { $zdu->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()}) == 0 }),
	'S3: and then nothing of it runs in the server any more');
$report = one('act', { %sql, sql => 'CREATE INDEX CONCURRENTLY ON acted2 ((1))' });
is($report->{evidence}{sqlstate}, '25001', 'S3: what cannot be in a transaction fails');
$report = one('act', { %sql, sql => 'CREATE INDEX CONCURRENTLY ON acted2 ((1))', transaction => JSON::PP::false });
is($report->{state}, 'done', 'S3: and is done where the runbook asks for none');
$report = one('probe', { %sql, sql => q{SELECT $1::int AS n, current_setting('zdu.token', true) AS token}, params => [7], transaction => JSON::PP::false });
is("$report->{evidence}{n} " . ($report->{evidence}{token} // 'none'), '7 none', 'S3: such a statement stands alone');
$report = one('act', { %sql, sql => 'COPY pg_class TO STDOUT' });
is($report->{state}, 'failed', 'S3: COPY, which nobody would read, is an error');
for my $bad ("$conninfo password=secret", "$conninfo passfile=/etc/passwd", 'service=shop host=evil.example',
	'service=shop hostaddr=10.0.0.1', 'postgresql://u:p@h/d')
{
	$report = one('probe', { conninfo => $bad, sql => 'SELECT 1' });
	like($report->{evidence}{error}, qr/must not/, "W1: a connection string is refused: $bad");
}
$report = one('probe', { conninfo => 'host=/nowhere', sql => 'SELECT 1' });
is($report->{state}, 'failed', 'W3: a database that is not there is an error');
is($zdu->stop($worker), 0, 'W4: the worker leaves well');

# --- follow ----------------------------------------------------------------

$zdu->sql(<<'SQL');
CREATE TABLE zdu.upgrade (upgrade_id bigint, cluster_id int, run text, ended_at timestamptz);
CREATE VIEW zdu.status AS SELECT 'shop'::text AS cluster, 'MIXED'::text AS state, u.run, '1.0.0'::text AS original,
	'1.1.0'::text AS target, '1/2'::text AS done, '2/2'::text AS serving, interval '61.5 s' AS eta, 'app1 drain'::text AS waits_for
	FROM (VALUES (1)) v LEFT JOIN zdu.upgrade u ON u.ended_at IS NULL;
SQL
my @follow = ($conninfo, '--follow', 'shop');
my ($code, $out, $err) = $zdu->run($conninfo, '--follow', 'nothing');
is($code, 5, 'L22: following a cluster that is not there is refused');
($code, $out, $err) = $zdu->run(@follow);
is($code, 5, 'L22: so is following one that has no upgrade');
like($err, qr/no upgrade to follow/, 'L22: and it says why');
my %codes = (completed => 0, held => 2, rolled_back => 3, cancelled => 3);
for my $run (sort keys %codes)
{
	$zdu->sql("TRUNCATE zdu.upgrade; INSERT INTO zdu.upgrade VALUES (1, 1, '$run', " . ($run eq 'held' ? 'NULL' : 'now()') . ')');
	($code, $out, $err) = $zdu->run(@follow);
	is($code, $codes{$run}, "L21: --follow ends with $codes{$run} when the upgrade is $run");
}
$zdu->sql("TRUNCATE zdu.upgrade; INSERT INTO zdu.upgrade VALUES (1, 1, 'running', NULL)");
($code, $out, $err) = $zdu->run(@follow, '--timeout', '1');
is($code, 4, 'L21: --follow ends with 4 after its timeout');
my @lines = split /\n/, $out;
is(scalar(@lines), 1, 'L21: where there is no terminal it prints a line only when something changes');
like($lines[0], qr/done=1\/2 serving=2\/2 waits_for="app1 drain" eta=00:01:01/, 'L21: which says how far it is');
my $follower = $zdu->start('--follow', 'shop');
wait_for(sub { $zdu->printed($follower, 'out') =~ /running/ });
$zdu->sql("INSERT INTO zdu.upgrade VALUES (2, 1, 'running', NULL); UPDATE zdu.upgrade SET run = 'completed', ended_at = now() WHERE upgrade_id = 1");
is($zdu->ended($follower, 5), 0, 'L21: it follows the upgrade it saw first, not a later one');

done_testing();
