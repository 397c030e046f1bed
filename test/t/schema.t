# The schema changes before any node is touched; where that cannot be, nothing is touched at all.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Test::More;
use ZduTest qw(wait_until);

my $zdu = ZduTest->new;
my $conninfo = $zdu->pg->connstr('postgres');

# The change takes as long as the table pause says, once it has its locks.
$zdu->sql('CREATE TABLE orders (id int); CREATE TABLE pause (seconds int); INSERT INTO pause VALUES (0)');
$zdu->program('schema', <<"SH");
database="$conninfo"
if test "\$ZDU_VERB" = act; then
	PGAPPNAME="zdu \$ZDU_TOKEN" exec psql -X -q -v ON_ERROR_STOP=1 -d "\$database" -c "ALTER TABLE orders ADD \$1 int; SELECT pg_sleep(seconds) FROM pause"
fi
psql -X -A -t -d "\$database" -c "SELECT json_build_object('ready', count(*) = 1) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = '\$1'"
SH
my %task = (
	sql => { sql => 'ALTER TABLE orders ADD by_sql int; SELECT pg_sleep(seconds) FROM pause', conninfo => $conninfo,
		probe => { sql => q{SELECT count(*) = 1 AS ready FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'by_sql'}, conninfo => $conninfo } },
	exec => { exec => 'schema', args => ['by_exec'], sessions => $conninfo },
);
my $worker = $zdu->start;

sub start_psql
{
	my ($name, $sql) = @_;
	my %session;

	@session{qw(in out)} = ("$sql;\n", '');
	$session{run} = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', "$conninfo application_name=$name" ],
		'<', \$session{in}, '>', \$session{out}, '2>&1');
	$session{run}->pump while length $session{in};
	return \%session;
}

sub columns { return $zdu->sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped}); }

sub session_is
{
	my ($condition) = @_;

	return $zdu->wait_sql("SELECT count(*) = 1 FROM pg_stat_activity WHERE $condition");
}

# What zdu says of the last attempt.
sub seen
{
	my ($cluster) = @_;

	return $zdu->sql("SELECT observed FROM zdu_why('$cluster') WHERE subject = 'before schema'");
}

for my $driver (sort keys %task)
{
	my $columns = columns();

	$zdu->cluster($driver, policy => { schema_phase => 'pre', max_block => '300ms' },
		runbook => { before => [ { name => 'schema', until => '$.ready == true', timeout => '1min', %{ $task{$driver} } } ] });
	$zdu->wait_seen($driver);

	# It takes long, and somebody waits for it.
	$zdu->sql('UPDATE pause SET seconds = 60');
	$zdu->sql("SELECT zdu_begin('$driver', '1.1.0')");
	session_is(q{application_name LIKE 'zdu %.%' AND wait_event = 'PgSleep'});
	my $user = start_psql('user', 'SELECT count(*) FROM orders');
	ok($zdu->wait_status($driver, 'run', 'held'), "S3: $driver: a change of the schema that blocks its users holds the upgrade");
	$user->{run}->finish;
	is($user->{out}, "0\n", "S3: $driver: they go on");
	is(columns(), $columns, "S3: $driver: the schema is as it was");
	is($zdu->said($driver, $_, 'begin', 'isolate'), 0, "S1: $driver: $_ is not touched") for qw(app1 app2 app3);
	like(seen($driver), qr/it blocked others longer than 300ms: user \(pid \d+\) waited .* for orders/, "S3: $driver: zdu_why says whom it blocked");

	# It waits for an open transaction.
	$zdu->sql('UPDATE pause SET seconds = 0');
	my $open = start_psql('open', 'BEGIN; SELECT FROM orders');
	session_is(q{application_name = 'open' AND state = 'idle in transaction'});
	$zdu->sql("SELECT zdu_retry('$driver')");
	session_is(q{application_name LIKE 'zdu %.%' AND wait_event_type = 'Lock'});
	$user = start_psql('user', 'SELECT count(*) FROM orders');
	ok($zdu->wait_status($driver, 'run', 'held'), "S3: $driver: an open transaction in its way holds the upgrade");
	$user->{run}->finish;
	is($user->{out}, "0\n", "S3: $driver: nobody is kept waiting behind it");
	is(columns(), $columns, "S3: $driver: the schema is as it was then, too");
	$open->{in} .= "ROLLBACK;\n";
	$open->{run}->finish;

	$zdu->sql("SELECT zdu_retry('$driver')");
	ok($zdu->wait_ready($driver), "S3: $driver: tried again when the way is free, the upgrade goes on");
	is(columns(), $columns + 1, "S1: $driver: with the schema changed once");
	is($zdu->sql("SELECT count(*) FROM zdu.event WHERE cluster = '$driver' AND what = 'step' AND new = 'before succeeded'
		AND event_id < (SELECT min(event_id) FROM zdu.event WHERE cluster = '$driver' AND node IS NOT NULL AND what = 'step')"), 1,
		"S1: $driver: before the first node");
	$zdu->sql("SELECT zdu_finalize('$driver')");
}
is($zdu->stop($worker), 0, 'W4: the worker leaves well');

done_testing();
