# A whole roll makes the worker neither touch memory that is not its own, nor lose any, nor grow.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;
use ZduTest qw(slurp wait_until);

my $build = $ENV{ZDU_BUILD} // '.';
my $zdu = ZduTest->new;

# Returns the resident memory of a process, in kB.
sub resident
{
	my ($pid) = @_;

	return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0;
}

# --- it does not grow with the number of nodes it has worked on ---

$zdu->cluster('many', nodes => 40, policy => { max_unavailable => '4' });
my $worker = $zdu->start;
$zdu->wait_seen('many');
$zdu->sql(q{SELECT zdu_begin('many', '1.1.0')});
ok($zdu->wait_sql(q{SELECT split_part(done, '/', 1)::int >= 10 FROM zdu.status}), 'W1: a quarter of 40 nodes is done');
my $early = resident($worker->{pid});
ok($zdu->wait_ready('many'), 'W1: all of them are');
cmp_ok(resident($worker->{pid}), '<', 1.5 * $early, "W1: the worker has not grown by half since (it was $early kB)");
is($zdu->stop($worker), 0, 'W4: it ends well');

# --- the same worker, built so that it watches itself ---

my $dir = tempdir(CLEANUP => 1);
my $log = `cc -std=gnu99 -g -O1 -fsanitize=address,undefined -fno-omit-frame-pointer -DZDU_VERSION='"asan"' -DZDU_RUNBOOKS_DIR='"/nowhere"' \\
	-I$build/src -o $dir/zdu_worker $build/src/client/*.c $build/src/worker/*.c \$(pkg-config --cflags --libs libpq libuv libcurl jansson) -lm 2>&1`;
is($?, 0, 'W1: the worker builds with sanitizers') or diag($log);
$ENV{ZDU_BUILD} = $dir;
$ENV{ASAN_OPTIONS} = 'detect_leaks=1';
$ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';

# Every driver has its part, and every way in which an action may end.
my $conninfo = join(' ', grep { !/dbname/ } split(/ /, $zdu->pg->connstr('postgres'))) . ' dbname=postgres';
$zdu->cluster('shop', policy => { max_unavailable => '2', min_healthy_time => '200ms' },
	phases => { upgrade => { timeout => '2s', retries => 1, retry_delay => '100ms' }, start => { retries => 1, retry_delay => '100ms' } },
	runbook => {
		before => [ { sql => 'CREATE TABLE prepared ()', conninfo => $conninfo,
			probe => { sql => q{SELECT FROM pg_class WHERE relname = 'prepared'}, conninfo => $conninfo }, until => '$.row_count > 0' } ],
		guard => [ map { { %$_, every => '100ms' } }
			{ http => 'http://127.0.0.1:1/', until => '$.refused == true' },
			{ haproxy => "$dir/nobody", server => 'shop/app1', until => 'exists($.error)' } ] });
my @workers = map { $zdu->start('--name', $_) } qw(one two);
$zdu->wait_seen('shop');
$zdu->order('shop', 'app1', 'upgrade', 'hang');
$zdu->order('shop', 'app2', 'start', 'fail', '1.1.0');
$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});
ok(wait_until(sub { $zdu->said('shop', 'app1', 'hang', 'upgrade') == 2 }), 'W1: one of its actions runs into its timeout');
$zdu->undo_order('shop', 'app1', 'upgrade', 'hang');
ok($zdu->wait_status('shop', 'run', 'held'), 'W1: another one fails');
$zdu->undo_order('shop', 'app2', 'start', 'fail');
$zdu->sql(q{SELECT zdu_retry('shop')});
ok($zdu->wait_ready('shop'), 'W1: the roll is finished all the same');
$zdu->order('shop', 'app1', 'isolate', 'hang');
$zdu->sql(q{SELECT zdu_detach('shop', 'app1')});
ok(wait_until(sub { $zdu->said('shop', 'app1', 'hang', 'isolate') }), 'W1: they leave in the middle of an action');
for my $worker (@workers)
{
	my ($code, $said) = ($zdu->stop($worker), $zdu->printed($worker, 'log'));

	is($code, 0, 'W4: a worker ends well');
	unlike($said, qr/Sanitizer|runtime error/, 'W1: no error in its memory, no leak, nothing undefined');
	like($said, qr/event=leaving/, 'W1: which it was there to see');
}

done_testing();
