# Two versions side by side, beyond one transaction: over a crash, a dump and a restore, a prepared transaction, DROP EXTENSION, with a real worker.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;
use ZduTest qw(wait_until);

my $zdu = ZduTest->new;
my $pg = $zdu->pg;

$pg->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$pg->restart;
$zdu->sql(<<'SQL');
CREATE ROLE login1 LOGIN;
CREATE ROLE login2 LOGIN;
CREATE TABLE config (id int PRIMARY KEY, name text);
CREATE TABLE locked (id int PRIMARY KEY);
CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
CREATE TABLE part (id int, v text) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO config VALUES (1, 'a'), (2, 'b');
GRANT ALL ON config, locked, audit, part TO login1, login2;
SELECT zdu_grant(r, 'node') FROM unnest('{login1,login2}'::text[]) r;
SQL
$zdu->cluster('shop', nodes => 2);
$zdu->sql(q{SELECT zdu_set_node('shop', 'app' || n, login => 'login' || n) FROM generate_series(1, 2) n});
$zdu->sql(q{SELECT zdu_protect('shop', 'config', 'delta'), zdu_protect('shop', 'locked', 'refuse'), zdu_protect('shop', 'audit', 'spool'), zdu_protect('shop', 'part', 'refuse')});
my $worker = $zdu->start('--name', 'one');
$zdu->wait_seen('shop');

# --- M1: a prepared transaction that wrote has no process, and is in the way all the same ---

$zdu->sql(q{BEGIN; INSERT INTO locked VALUES (7); PREPARE TRANSACTION 'forgotten'});
my (undef, undef, $error) = $pg->psql('postgres', q{SET lock_timeout = '100ms'; SELECT zdu_begin('shop', '1.1.0')});
like($error, qr/cannot begin the upgrade.*M1: protected table "locked" was being written to by a prepared transaction; waited 0\.1 s/s, 'M1: a prepared transaction refuses begin, which says so');
like($error, qr/HINT:  SELECT \* FROM pg_prepared_xacts/, 'M1: and where to look');
is($zdu->sql(q{SELECT state FROM zdu.status}), 'STABLE', 'M1: nothing has begun');
$zdu->sql(q{COMMIT PREPARED 'forgotten'});

# --- in the middle of an upgrade ---

$zdu->order('shop', 'app2', 'isolate', 'hang');
$zdu->sql(q{SELECT zdu_begin('shop', '1.1.0')});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.node WHERE version = '1.1.0' AND NOT taken)}), 'M3: one node is updated, the other one waits');
is($zdu->sql(q{SELECT string_agg(d.name, ' ') FROM zdu.node d WHERE zdu_may_run('shop', d.name, 'mail')}), 'app1', 'M7: the leader is the updated one');
my $old = $zdu->sql(q{SELECT login FROM zdu.node WHERE version = '1.0.0'});
$zdu->sql(q{UPDATE config SET name = 'z' WHERE id = 1; DELETE FROM config WHERE id = 2});
is($pg->psql('postgres', q{INSERT INTO audit (what) SELECT 'old ' || i FROM generate_series(1, 600) i}, connstr => $pg->connstr('postgres') . " user=$old"), 0, 'M3: an old node writes into the audit table');
is($pg->psql('postgres', q{INSERT INTO audit (what) VALUES ('new')}, connstr => $pg->connstr('postgres') . ' user=login1'), 0, 'M3: so does a new one');
is($zdu->sql('SELECT string_agg(what, $$,$$) FROM audit') . ' ' . $zdu->sql('SELECT count(*) FROM zdu.spool'), 'new 600', 'M3: one of them into the spool');

# --- a crash ---

$zdu->stop($worker);
$pg->stop('immediate');
$pg->start;
is($zdu->sql(q{SELECT string_agg(action || key, ' ' ORDER BY delta) FROM zdu.delta}), 'UPDATE{"id": 1} DELETE{"id": 2}', 'M5: deltas survive a crash');
is($zdu->sql(q{SELECT count(*) FROM zdu.spool}), 600, 'M3: so does the spool');
is($pg->psql('postgres', 'INSERT INTO locked VALUES (8)'), 3, 'M1: after it the tables are still protected');

# --- a dump ---

my $dump = $pg->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-f', $dump, '-d', $pg->connstr('postgres') ], 'M1: a dump in the middle of it');
$pg->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $pg->connstr('copy') ], 'M1: can be restored');
for my $view ('protected_table ORDER BY relation::text', 'delta', 'spool', 'feature_status', 'operation_status')
{
	is($pg->safe_psql('copy', "SELECT * FROM zdu.$view"), $zdu->sql("SELECT * FROM zdu.$view"), "M1: with the same zdu.$view");
}
my $refused = 'cluster is in upgrade mode';
for my $statement ('INSERT INTO locked VALUES (9)', 'TRUNCATE locked', 'TRUNCATE part_1', q{INSERT INTO part VALUES (1, 'x')})
{
	(undef, undef, $error) = $pg->psql('copy', $statement);
	like($error, qr/$refused/, "M1: the copy refuses too: $statement");
}
is($pg->safe_psql('copy', q{SELECT zdu_revert('shop', ARRAY(SELECT delta FROM zdu.delta)); SELECT string_agg(id || name, ' ' ORDER BY id) FROM config}), "2\n1a 2b", 'M5: deltas can be taken back in the copy');

# --- the extension is dropped ---

(undef, undef, $error) = $pg->psql('copy', 'DROP EXTENSION zdu');
like($error, qr/trigger _zdu_protect on table locked depends on function zdu_protect_write/, 'M1: DROP EXTENSION does not take the protection away in silence');
is($pg->psql('copy', 'SET client_min_messages = error; DROP EXTENSION zdu CASCADE'), 0, 'M1: with CASCADE it does');
is($pg->safe_psql('copy', 'INSERT INTO locked VALUES (9); SELECT count(*) FROM locked'), 2, 'M1: and leaves the tables to their owner');
is($pg->safe_psql('copy', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\_zdu%'}), 0, 'M1: without a trace');

# --- to the end ---

$zdu->undo_order('shop', 'app2', 'isolate', 'hang');
$worker = $zdu->start('--name', 'one');
ok($zdu->wait_ready('shop'), 'M3: the roll goes on');
is($zdu->sql('SELECT count(*) FROM zdu.spool'), 600, 'M3: nothing is replayed before its end');
is($zdu->sql(q{SELECT zdu_finalize('shop')}), 'STABLE', 'M1: ending the upgrade works');
ok($zdu->wait_sql('SELECT count(*) = 0 FROM zdu.spool'), 'M3: the worker replays the spool by itself');
is($zdu->sql(q{SELECT count(*) || ' ' || bool_and(what = 'old ' || r) FROM (SELECT what, row_number() OVER (ORDER BY n) AS r FROM audit WHERE what LIKE 'old %') x}), '600 true',
	'M3: every row once, in order');
is($zdu->sql('INSERT INTO locked VALUES (10); SELECT count(*) FROM locked'), 2, 'M1: everybody writes again');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
