# What an action does in a database keeps nobody waiting longer than max_block.
use strict;
use warnings FATAL => 'all';

use FakeZdu qw(wait_for);
use IPC::Run;
use Test::More;

my $zdu = FakeZdu->new;
my $conninfo = $zdu->pg->connstr('postgres');
my $number = 0;

# Begins an action that may block others for $limit; returns its token.
sub begin
{
	my ($limit, $target) = @_;
	my $token = '1.' . ++$number;
	my %env = (ZDU_TOKEN => $token, $limit ? (ZDU_MAX_BLOCK => $limit) : ());

	$zdu->react($token, 'act', $_, 'gone') for 'done', 'failed';
	$zdu->hold(token => $token, phase => 'before', verb => 'act', args => { env => \%env, targets => [$target] });
	return $token;
}

sub report
{
	my ($token) = @_;
	my ($report) = $zdu->reports("report->>'token' = '$token'");

	return $report // { state => 'none', evidence => {} };
}

# A user of the database, whose session is called $name, and does one statement after another.
sub user
{
	my ($name) = @_;
	my $user = { in => '', out => '' };

	$user->{run} = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', "$conninfo application_name=$name" ],
		'<', \$user->{in}, '>', \$user->{out}, '2>&1');
	return $user;
}

sub say_to
{
	my ($user, $sql) = @_;

	$user->{in} .= "$sql;\n";
	$user->{run}->pump while length $user->{in};
}

# Lets a user end what is under way; returns what it was told.
sub dismiss
{
	my ($user) = @_;

	$user->{run}->finish;
	return $user->{out};
}

# Waits until the session of that name waits for a lock.
sub wait_waiting
{
	my ($name) = @_;

	return wait_for(sub {
		$zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type = 'Lock'") == 1 });
}

# Waits until the session of that name has a transaction open, and nothing to do.
sub wait_idle
{
	my ($name) = @_;

	return wait_for(sub {
		$zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = '$name' AND state = 'idle in transaction'") == 1 });
}

sub columns
{
	my ($table) = @_;

	return $zdu->sql("SELECT count(*) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped");
}

$zdu->sql('CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)');
$zdu->program('alter', <<'SH');
test "$ZDU_VERB" = act || exit 0
PGAPPNAME="zdu $ZDU_TOKEN" exec psql -X -q -v ON_ERROR_STOP=1 -d "$1" -c "BEGIN; ALTER TABLE orders ADD $2 int; SELECT pg_sleep($3); COMMIT"
SH
my $worker = $zdu->start();
my $slow = sub {
	my ($column, $seconds) = @_;
	return { conninfo => $conninfo, sql => "ALTER TABLE orders ADD $column int; SELECT pg_sleep($seconds)" };
};
my $program = sub { return { exec => 'alter', args => [ $conninfo, map { "$_" } @_ ], sessions => $conninfo } };

# --- it holds what others wait for ---

my %how = (sql => $slow->('a', 60), exec => $program->('a', 60));
for my $driver (sort keys %how)
{
	my $token = begin('400ms', $how{$driver});
	ok(wait_for(sub { $zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zdu $token' AND wait_event = 'PgSleep'") == 1 }),
		"S3: $driver: the sessions of an action are known by its token");
	my $reader = user('reader');
	say_to($reader, 'SELECT count(*) FROM orders');
	my $report = report($token);
	is($report->{state}, 'failed', "S3: $driver: an action that blocks others too long fails");
	like($report->{evidence}{error}, qr/^it blocked others longer than 400ms: reader \(pid \d+\) waited 0\.\d s for orders$/,
		"S3: $driver: and says whom, how long, and where");
	is(dismiss($reader), "1\n", "S3: $driver: who waited goes on");
	is(columns('orders'), 1, "S3: $driver: the schema is as it was");
	$report->{evidence}{sqlstate} //= 'none';
	is($report->{evidence}{sqlstate}, $driver eq 'sql' ? '57014' : 'none', "S3: $driver: the statement was cancelled");
}

# --- it waits itself, in front of others ---

my $holder = user('holder');
say_to($holder, 'BEGIN; SELECT FROM orders');
wait_idle('holder');
my $token = begin('400ms', { %{ $slow->('a', 0) }, lock_timeout => '1h' });
ok(wait_waiting("zdu $token"), 'S3: an action waits for an open transaction');
my $reader = user('reader');
say_to($reader, 'SELECT count(*) FROM orders');
like(report($token)->{evidence}{error}, qr/^it blocked others longer than 400ms: reader /, 'S3: whoever queues behind it is not kept waiting either');
is(dismiss($reader), "1\n", 'S3: and goes on, though the transaction is still open');

# Nobody waits behind it: then lock_timeout ends it, which is max_block where nothing else is said.
$token = begin('400ms', $slow->('a', 0));
is(report($token)->{evidence}{sqlstate}, '55P03', 'S3: it waits for a lock no longer than max_block itself');
say_to($holder, 'ROLLBACK');
dismiss($holder);

# --- rows ---

$holder = user('holder');
$token = begin('400ms', { conninfo => $conninfo, sql => 'UPDATE orders SET id = 2; SELECT pg_sleep(60)' });
wait_for(sub { $zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zdu $token' AND wait_event = 'PgSleep'") == 1 });
say_to($holder, 'UPDATE orders SET id = 3');
like(report($token)->{evidence}{error}, qr/holder \(pid \d+\) waited 0\.\d s for transactionid/, 'S3: rows that it has changed count like tables');
dismiss($holder);
is($zdu->sql('SELECT id FROM orders'), 3, 'S3: and it has not changed them');

# --- whoever does not block may take long ---

for my $driver (sort keys %how)
{
	my $column = "long_$driver";

	$token = begin('200ms', $driver eq 'sql' ? $slow->($column, 1) : $program->($column, 1));
	is(report($token)->{state}, 'done', "S3: $driver: an action for which nobody waits takes as long as it takes");
}
is(columns('orders'), 3, 'S3: and has changed the schema');

# Its own sessions may wait for each other.
$zdu->program('pair', <<'SH');
PGAPPNAME="zdu $ZDU_TOKEN"; export PGAPPNAME
psql -X -q -d "$1" -c 'BEGIN; LOCK TABLE orders; SELECT pg_sleep(1); COMMIT' &
until psql -X -A -t -d "$1" -c "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND granted" | grep -qx 1; do sleep 0.05; done
psql -X -q -v ON_ERROR_STOP=1 -d "$1" -c 'SELECT FROM orders'
wait
SH
$token = begin('200ms', { exec => 'pair', args => [$conninfo], sessions => $conninfo });
is(report($token)->{state}, 'done', 'S3: two sessions of one action may wait for each other');

# --- nothing is done unwatched ---

for my $driver (sort keys %how)
{
	$token = begin('400ms', $driver eq 'sql' ? $slow->('b', 60) : $program->('b', 60));
	wait_for(sub { $zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zdu $token' AND wait_event = 'PgSleep'") == 1 });
	$zdu->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zdu_worker lookout'");
	my $report = report($token);
	like("$report->{state} $report->{evidence}{error}", qr/^failed nobody watches whom it blocks: /, "S3: $driver: an action that nobody watches any more is ended");
	ok(wait_for(sub { $zdu->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('zdu $token', 'zdu_worker lookout')") <= ($driver eq 'sql' ? 0 : 1) }),
		"S3: $driver: and leaves no watch behind");
	$zdu->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zdu $token'");
}
my %wrong = ('host=/nowhere' => qr/^nobody watches whom it blocks: /, "$conninfo password=x" => qr/must not bring a password/);
for my $where (sort keys %wrong)
{
	$zdu->program('touch', "touch $zdu->{runbooks}/touched");
	$token = begin('400ms', { exec => 'touch', args => [], sessions => $where });
	like(report($token)->{evidence}{error}, $wrong{$where}, "S3: a program that cannot be watched is not started: $where");
	ok(!-e "$zdu->{runbooks}/touched", 'S3: indeed');
}
$token = begin(undef, { exec => 'touch', args => [], watch => 'host=/nowhere' });
is(report($token)->{state}, 'done', 'S3: where nothing is said of blocking, nobody watches');
is($zdu->stop($worker), 0, 'W4: the worker leaves well');

done_testing();
