# A gate's query is run by a worker, through a libpq service of the worker's machine, read-only and within its timeout.
use strict;
use warnings FATAL => 'all';

use FakeZdu;
use File::Temp qw(tempdir);
use Test::More;
use ZduTest qw(spew);

my $zdu = ZduTest->new;
my $services = tempdir(CLEANUP => 1) . '/services';
my ($host, $port) = ($zdu->{pg}->host, $zdu->{pg}->port);

$zdu->sql(q{CREATE DATABASE orders});
$zdu->{pg}->safe_psql('orders', 'CREATE TABLE error (at text); CREATE TABLE seen (version text)');
spew($services, "[orders]\nhost=$host\nport=$port\ndbname=orders\n");
$ENV{PGSERVICEFILE} = $services;

# Waits for a gate to say this: state and verdict.
sub gate_says
{
	my ($cluster, $what) = @_;

	return $zdu->wait_sql("SELECT concat_ws(' ', state, verdict) = '$what' FROM zdu.gate_status WHERE cluster = '$cluster'");
}

my %query = (
	writes => q{INSERT INTO seen VALUES ('x') RETURNING true AS pass},
	sleeps => q{SELECT pg_sleep(60) IS NOT NULL AS pass},
	nothing => q{SELECT true AS pass WHERE false},
	errors => q{SELECT count(*) < $1::int AS pass, $2 AS version FROM error});
for my $cluster (sort keys %query)
{
	$zdu->cluster($cluster, nodes => 2);
	$zdu->sql("SELECT zdu_set_gate('$cluster', 'go', '1', service => 'orders', query => \$q\$$query{$cluster}\$q\$, every => '1s', timeout => '2s'"
		. ($cluster eq 'errors' ? q{, params => '{"1", "{target}"}'} : '') . ')');
}
$zdu->cluster('nowhere', nodes => 2);
$zdu->sql(q{SELECT zdu_set_gate('nowhere', 'go', '1', service => 'not_there', query => 'SELECT true AS pass', every => '1s')});
$zdu->{pg}->safe_psql('orders', q{INSERT INTO error VALUES ('now')});

my $worker = $zdu->start;
$zdu->wait_seen(keys %query, 'nowhere');
$zdu->sql("SELECT zdu_begin('$_', '1.1.0')") for keys %query, 'nowhere';

ok(gate_says('errors', 'closed fail'), 'L22: a query that says no keeps the gate closed');
like($zdu->sql(q{SELECT seen FROM zdu.gate_status WHERE cluster = 'errors'}), qr/"version": "1\.1\.0"/, 'L22: its values came as parameters');
ok(gate_says('writes', 'closed inconclusive'), 'L22: a query that writes does not pass');
like($zdu->sql(q{SELECT observed FROM zdu_why('writes') WHERE subject = 'gate_passed'}), qr/read-only transaction/, 'L22: because it is run read-only');
is($zdu->{pg}->safe_psql('orders', 'SELECT count(*) FROM seen'), 0, 'L22: and it has written nothing');
ok(gate_says('sleeps', 'closed inconclusive'), 'L22: one that takes too long does not pass');
like($zdu->sql(q{SELECT observed FROM zdu_why('sleeps') WHERE subject = 'gate_passed'}), qr/timeout/, 'L22: because its time is over');
ok(gate_says('nothing', 'closed inconclusive'), 'L22: one that gives no row does not pass');
ok(gate_says('nowhere', 'closed inconclusive'), 'L22: nor one whose service the worker does not know');
like($zdu->sql(q{SELECT observed FROM zdu_why('nowhere') WHERE subject = 'gate_passed'}), qr/not_there/, 'L22: which zdu_why names');
is($zdu->sql(q{SELECT string_agg(done, ' ') FROM zdu.status}), '1/2 1/2 1/2 1/2 1/2', 'L22: none of them lets the second node be taken');

$zdu->{pg}->safe_psql('orders', 'DELETE FROM error');
ok($zdu->wait_ready('errors'), 'L22: once the query says yes the others go');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

done_testing();
