
# A database in the middle of an upgrade is dumped and restored: the same rows, and after zdu_adopt the roll goes on.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg = PostgreSQL::Test::Cluster->new('zdu');
$pg->init;
$pg->start;

# A worker in SQL: an action is believed done once it was asked for, and each look says so.
my $worker = <<'SQL';
CREATE SCHEMA fake;
CREATE TABLE fake.acted (node text, phase text);
CREATE FUNCTION fake.evidence(of_node text, of_phase text) RETURNS json LANGUAGE sql
AS $$
	SELECT json_build_object('done', EXISTS (SELECT FROM fake.acted WHERE (node, phase) = (of_node, of_phase)),
		'version', CASE WHEN EXISTS (SELECT FROM fake.acted WHERE (node, phase) = (of_node, 'upgrade')) THEN '1.1' ELSE '1.0' END);
$$;
-- Asks every `pace` seconds, and answers what it held, until it is asked to act so, or all nodes are done; returns what was refused.
CREATE FUNCTION fake.work(pace int, last text DEFAULT NULL) RETURNS text[] LANGUAGE plpgsql
AS $$
DECLARE
	reports json := '[]';
	refused text[] := '{}';
	answers jsonb;
BEGIN
	FOR i IN 0 .. 200 LOOP
		PERFORM set_config('zdu.clock_offset', pace * i || 's', false);
		SELECT coalesce(jsonb_agg(to_jsonb(w)), '[]') INTO answers FROM zdu_work('w', '1', 'shop', reports, 1, programs => '{unit}') w;
		refused := refused || ARRAY(SELECT e->>'sqlstate' FROM jsonb_array_elements(answers) e WHERE e->>'verb' = 'error');
		INSERT INTO fake.acted SELECT e->>'node', e->>'phase' FROM jsonb_array_elements(answers) e WHERE e->>'verb' = 'act';
		SELECT coalesce(json_agg(json_build_object('token', e->>'token', 'verb', e->>'verb', 'state', 'done',
			'evidence', fake.evidence(e->>'node', e->>'phase'))), '[]') INTO reports
		FROM jsonb_array_elements(answers) e WHERE e->>'verb' IN ('probe', 'act');
		EXIT WHEN EXISTS (SELECT FROM fake.acted WHERE node || ' ' || phase = last)
			OR EXISTS (SELECT FROM zdu.status WHERE cluster = 'shop' AND done = '3/3');
	END LOOP;
	RETURN refused;
END $$;
SQL

my $setup = <<'SQL';
CREATE ROLE viewer;
SELECT zdu_grant('viewer', 'viewer');
SELECT zdu_set_runbook('mine', '{"zdu_runbook": 1, "requires": ["unit"], "node": {
	"stop": {"exec": "unit", "args": ["{unit}"], "timeout": "20s", "until": "$.done == true"},
	"upgrade": {"exec": "unit", "until": "$.done == true"},
	"verify": {"exec": "unit", "only": "probe", "until": "$.version == $version"}}}');
SELECT zdu_set_policy('quick', settings => '{"min_healthy_time": "0 s"}');
SELECT zdu_set_cluster('shop', 'quick', 'mine', '{"unit": "shop"}');
SELECT zdu_set_group('shop', 'blue');
SELECT zdu_set_node('shop', 'app' || n, '10.0.0.1', CASE n WHEN 2 THEN 'blue' END) FROM generate_series(1, 3) n;
SELECT zdu_force_state('shop', 'app' || n, 'ACTIVE', 'up') FROM generate_series(1, 3) n;
SELECT zdu_join('shop', 'app' || n, '1.0', 'p'), zdu_heartbeat('shop', 'app' || n, 'p', 'ACTIVE', 1, 2) FROM generate_series(1, 3) n;
SELECT zdu_set_release('shop', '1.1'), zdu_set_release('shop', '1.2', 'bad');
SELECT zdu_set_budget('shop', 'blue', '{"group": "blue"}', '1', 1, '1 h');
SELECT zdu_set_resource('shop', 's1', '0-1'), zdu_set_placement('shop', 's1', 'app1', 'primary');
SELECT zdu_set_feature('shop', 'search', '1.1');
CREATE TABLE config (id int PRIMARY KEY);
CREATE TABLE audit (what text);
SELECT zdu_set_node('shop', 'app3', login => session_user), zdu_protect('shop', 'config', 'delta'), zdu_protect('shop', 'audit', 'spool');
SELECT zdu_set_cluster('other');
SELECT zdu_operation_begin('other', 'backup');
SELECT zdu_waive('other', 'D10', 'alone');
SELECT zdu_set_path('shop', '1.2', '1.2', '2.0', '2.0', 'restart', 'the index format changes');
-- A rollout by groups, that waits for an approval and out a freeze.
SELECT zdu_set_cluster('groups', 'quick', 'mine', '{"unit": "shop"}'), zdu_set_node('groups', 'a1'), zdu_set_node('groups', 'a2');
SELECT zdu_force_state('groups', 'a' || n, 'ACTIVE', 'up') FROM generate_series(1, 2) n;
SELECT zdu_join('groups', 'a' || n, '1.0', 'p'), zdu_heartbeat('groups', 'a' || n, 'p', 'ACTIVE') FROM generate_series(1, 2) n;
SELECT zdu_set_group('groups', 'first', '{a1}'), zdu_set_gate('groups', 'go', after => 'begin', approval => true);
SELECT zdu_set_freeze('groups', 'feast', 'freeze', '[2020-01-01,2100-01-01)', '{"group": "first"}', reason => 'nobody is there');
SELECT zdu_deploy('groups', '1.1', 'first');
SELECT zdu_approve('groups', 'go', 'looks well');
SELECT zdu_record('groups', 'backup', '{"where": "there"}'), zdu_set_dependency('groups', 'other', '1.0');
SELECT zdu_begin('shop', '1.1', reason => 'it is time');
INSERT INTO config VALUES (1);
INSERT INTO audit VALUES ('of an old node');
SQL

# Each table's rows, as text, by name, but those that come with the extension.
sub rows
{
	my ($database) = @_;
	my %rows;

	foreach my $table (split /\n/, $pg->safe_psql($database, "SELECT relname FROM pg_class WHERE relnamespace = 'zdu'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1"))
	{
		$rows{$table} = $pg->safe_psql($database, $table =~ /_seq$/ ?
			"SELECT last_value, is_called FROM zdu.$table" :
			"SELECT * FROM zdu.$table t WHERE to_jsonb(t)->>'shipped' IS DISTINCT FROM 'true' ORDER BY t::text");
	}
	return \%rows;
}

sub dump_and_restore
{
	my ($from, $to) = @_;
	my $file = $pg->basedir . "/$from.sql";

	command_ok([ 'pg_dump', '-f', $file, '-d', $pg->connstr($from) ], "L1: $from can be dumped");
	$pg->safe_psql('postgres', "CREATE DATABASE $to");
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $pg->connstr($to) ], "L1: and restored as $to");
}

$pg->safe_psql('postgres', 'CREATE DATABASE before');
$pg->safe_psql('before', "CREATE EXTENSION zdu; $worker");
$pg->safe_psql('before', $setup);
$pg->safe_psql('before', "SELECT fake.work(0, 'app2 stop')");
is($pg->safe_psql('before', "SELECT state, run FROM zdu.status WHERE cluster = 'shop'"), 'MIXED|running', 'L1: the upgrade is in the middle');
is($pg->safe_psql('before', "SELECT phase, stage FROM zdu.step WHERE state = 'running'"), 'stop|act', 'L1: with an action in flight');

dump_and_restore('before', 'after');

my ($before, $after) = (rows('before'), rows('after'));
foreach my $table (sort keys %$before)
{
	next if $table =~ /^(node_heard|join_answer|worker)$/;
	isnt($before->{$table}, '', "L1: there are rows to be restored: $table") unless $table eq 'watch';
	is($after->{$table}, $before->{$table}, "L1: the same rows after the restore: $table");
}
is($after->{$_}, '', "L1: who was heard is left out: $_") foreach qw(node_heard join_answer worker);
is($pg->safe_psql('after', 'SELECT cluster, state, run, original, target, done, serving, display FROM zdu.status'),
	$pg->safe_psql('before', 'SELECT cluster, state, run, original, target, done, serving, display FROM zdu.status'), 'L1: the same states');
is($pg->safe_psql('after', 'SET ROLE viewer; SELECT count(*) FROM zdu.status'), 3, 'L22: who was granted something still may');

# Nobody knows yet whether the other one is still at work.
my $token = $pg->safe_psql('after', "SELECT epoch || '.' || number FROM zdu.step WHERE state = 'running'");
my $report = qq([{"token": "$token", "verb": "probe", "state": "done", "evidence": {"done": true}}]);
my $late = "SELECT token, sqlstate FROM zdu_work('w', '1', 'shop', '$report') WHERE verb = 'error'";
is($pg->safe_psql('after', $late), '|ZD004', 'W5: before zdu_adopt no report is taken');
is($pg->safe_psql('after', "SELECT verb FROM zdu_work('w', '1', 'shop', '[]', 5)"), 'error', 'W5: nothing is granted, and nothing held any more');
like($pg->safe_psql('after', "SELECT hint FROM zdu_why('shop') WHERE verdict = 'no'"), qr/zdu_adopt/, 'L22: zdu_why says what helps');
is($pg->safe_psql('after', "SELECT zdu_adopt('the other one is gone')"), 2, 'W5: an adoption is a new epoch');
is($pg->safe_psql('after', $late), "$token|ZD003", 'W5: tokens of before are void');
is($pg->safe_psql('after', 'SELECT fake.work(2)'), '{}', 'L1: the roll goes on');
is($pg->safe_psql('after', "SELECT state, done FROM zdu.status WHERE cluster = 'shop'"), 'READY_TO_RUN_UPGRADE_TASKS|3/3', 'L1: to its end');
is($pg->safe_psql('after', 'SELECT string_agg(DISTINCT count::text, $$,$$) FROM (SELECT count(*) FROM fake.acted GROUP BY node, phase) c'), 1,
	'W4: what had been done before was not done again');
is($pg->safe_psql('after', "SELECT zdu_finalize('shop')"), 'STABLE', 'L13: and can be finalized');
is($pg->safe_psql('before', "SELECT state, run FROM zdu.status WHERE cluster = 'shop'"), 'MIXED|running', 'L1: the first database has seen nothing of it');
is($pg->safe_psql('before', "SELECT count(*) FROM zdu_work('w', '1', 'shop') WHERE token = '$token'"), 1, 'W5: there its worker still holds its step');

# What is created can be dropped, and leaves nothing behind.
$pg->safe_psql('before', 'DROP SCHEMA fake CASCADE; DROP TABLE config, audit; DROP EXTENSION zdu');
is($pg->safe_psql('before', "SELECT count(*) FROM pg_proc WHERE proname ~ '^zdu_'"), 0, 'L1: DROP EXTENSION takes the functions');
is($pg->safe_psql('before', "SELECT count(*) FROM pg_namespace WHERE nspname = 'zdu'"), 0, 'L1: and the schema with all that is in it');
is($pg->safe_psql('before', "CREATE EXTENSION zdu; SELECT zdu_set_cluster('shop')"), 'created', 'L1: and it can be made anew');
isnt($pg->psql('before', 'CREATE EXTENSION zdu SCHEMA public'), 0, 'L1: it lives in pg_catalog only');

done_testing();
