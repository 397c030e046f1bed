# The Camunda document from top to bottom: zdu keeps its rules, and drives it (the engine is simulated, its database is real).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use File::Path qw(make_path);
use Scenario qw(get refused_by);
use Test::More;
use ZduTest qw(spew wait_until);

my $zdu = Scenario->new(versions => [qw(7.5.0 7.5.3 7.6.2)]);
my $port = Programs::free_port();
my @nodes = qw(engine1 engine2 engine3);
my %address = map { ($_ => '127.0.5.' . s/engine//r) } @nodes;

# The shared database.  Its log of versions is in the order of no text.
$zdu->sql('CREATE DATABASE camunda');
my $database = $zdu->pg->connstr('camunda') =~ s/'//gr;
sub store { return $zdu->pg->safe_psql('camunda', $_[0]); }
store(q{CREATE TABLE act_ge_schema_log (id_ text PRIMARY KEY, timestamp_ timestamp, version_ text); CREATE TABLE act_re_procdef (id_ text); CREATE TABLE act_ru_execution (id_ text);
	INSERT INTO act_ge_schema_log VALUES ('0', now(), '7.4.0'), ('9', now(), '7.4.10'), ('10', now(), '7.5.0'), ('2', now(), '7.4.9')});
make_path("$zdu->{work}/camunda-sql");
spew("$zdu->{work}/camunda-sql/postgres_engine_7.5_to_7.6.sql", "INSERT INTO act_ge_schema_log VALUES ('11', now(), '7.6.0');\nALTER TABLE act_re_procdef ADD COLUMN since_7_6 integer;\nALTER TABLE act_ru_execution ADD COLUMN since_7_6 integer;\n");
for my $node (@nodes)
{
	$zdu->machine(address => $address{$node}, unit => 'camunda', version => '7.5.0', run => [ 'camunda-simulated', $node, $address{$node}, $port, 'VERSION', $database ]);
	$zdu->unit($address{$node}, 'start') == 0 or BAIL_OUT("$node does not start");
}
my $front = $zdu->balance('camunda', '/engine-rest/version', map { ($_ => "$address{$_}:$port") } @nodes);
$zdu->sql(qq{SELECT zdu_set_runbook('engine', document || jsonb_build_object('observe', document->'observe' || '{"every": "1s"}',
	'schema', document->'schema' || '{"every": "1s"}', 'requires_facts', '[{"fact": "rehearsal", "until": "\$.target == \$target || \$.patch == true"}]'::jsonb)) FROM zdu.runbook WHERE name = 'camunda' AND shipped;
	SELECT zdu_set_policy('engine', 'camunda', '{"min_healthy_time": "0s", "lease": "2s", "heartbeat_ttl": "3s", "max_block": "1s"}');
	SELECT zdu_set_cluster('engine', policy => 'engine', runbook => 'engine', product => 'camunda', vars => jsonb_build_object('haproxy', '$zdu->{work}/haproxy.sock',
		'backend', 'camunda', 'unit', 'camunda', 'url', 'http://{address}:$port', 'service', 'http://127.0.0.1:$front', 'database', '$database'))});
$zdu->sql("SELECT zdu_set_node('engine', '$_', '$address{$_}')") for @nodes;
my $worker = $zdu->start('--name', 'one');
$zdu->wait_seen('engine');

# Returns the verdict and rule on a step from a version to another, under the shipped policy.
sub step
{
	my ($from, $to) = @_;
	my $name = "from-$from";

	$zdu->sql(qq{SELECT zdu_set_cluster('$name', policy => 'camunda', product => 'steps'); SELECT zdu_join('$name', n, '$from') FROM unnest('{a,b,c}'::text[]) n;
		SELECT zdu_heartbeat('$name', n, state => 'ACTIVE') FROM unnest('{a,b,c}'::text[]) n});
	return $zdu->sql(qq{SELECT CASE WHEN bool_or(verdict = 'no') THEN 'no ' || min(rule) FILTER (WHERE verdict = 'no') ELSE 'yes' END FROM zdu_why('$name', target => '$to')});
}
sub versions { return $zdu->sql(q{SELECT string_agg(version, ' ' ORDER BY node) FROM zdu.node_status WHERE cluster = 'engine'}); }
sub finish_upgrade
{
	$zdu->wait_ready('engine');
	$zdu->sql(q{SELECT zdu_finalize('engine')});
	return $zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL AND serving = '3/3' FROM zdu.status WHERE cluster = 'engine'});
}

# --- Limits for rolling updates; one minor release only; required version ---

is(step('7.5.3', '7.6.2'), 'yes', 'V2: from 7.5.3 to 7.6.2 in a rolling fashion');
is(step('7.5.3', '7.7.2'), 'no V2', 'V2: but not from 7.5.3 to 7.7.2 in one go');
is(step('7.4.2', '7.5.0'), 'no V2', 'V2: not prior to version 7.5');
is(step('7.9.0', '7.10.0'), 'yes', 'V1, V2: the next minor of 7.9 is 7.10');

# --- Prerequisite: the latest patch of the current minor version, on all nodes ---

$zdu->sql(q{SELECT zdu_set_release('camunda', v) FROM unnest('{7.5.0,7.5.3,7.6.2}'::text[]) v});
like(refused_by($zdu, q{SELECT zdu_begin('engine', '7.6.2')}), qr/^ZD002 V3: .*7\.5\.3/, 'V3: the latest patch of the current minor comes first');
is($zdu->sql(q{SELECT string_agg(to_version, ' ' ORDER BY step) FROM zdu_path('engine', '7.6.2')}), '7.5.3 7.6.2', 'V8: that is the way');
my $load = $zdu->load('/work');
$zdu->sql(q{SELECT zdu_record('engine', 'rehearsal', '{"patch": true}')});
$zdu->sql(q{SELECT zdu_begin('engine', '7.5.3')});
ok(finish_upgrade(), 'V3: "to do so the rolling update process can be used"');
is(versions(), '7.5.3 7.5.3 7.5.3', 'W6: every node runs the latest patch');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE cluster = 'engine' AND new = 'before act'}), 0, 'S1: a patch changes no schema');

# --- Step 1: update the database schema ---

$zdu->sql(q{SELECT zdu_set_feature('engine', 'new-bpmn-symbol', '7.6.2')});
is(store(q{SELECT max(id_) || ' ' || (SELECT version_ FROM act_ge_schema_log WHERE id_ = (SELECT max(id_) FROM act_ge_schema_log)) FROM act_ge_schema_log}), '9 7.4.10',
	'S2: by the order of its ids the schema would be another');
is($zdu->sql(q{SELECT schema_version FROM zdu.cluster WHERE name = 'engine'}), '7.5.0', 'S2: by the order of versions it is what it is');
like(refused_by($zdu, q{SELECT zdu_begin('engine', '7.6.2')}), qr/^ZD002 V3: the schema is at 7\.5\.0/, 'V3: the database is to be at the latest patch version too');
store(q{INSERT INTO act_ge_schema_log VALUES ('3', now(), '7.5.3')});
ok($zdu->wait_sql(q{SELECT schema_version = '7.5.3' FROM zdu.cluster WHERE name = 'engine'}), 'S2: its patch script was applied, which is seen');
$zdu->sql(q{SELECT zdu_record('engine', 'rehearsal', '{"target": "7.6.0"}')});
like(refused_by($zdu, q{SELECT zdu_begin('engine', '7.6.2')}), qr/^ZD002 S5: "rehearsal"/, 'S5: the script is to be tested first, in a staging environment, and for this version');
$zdu->sql(q{SELECT zdu_record('engine', 'rehearsal', '{"target": "7.6.2", "where": "staging", "load": "as in production"}')});
my $blocker = $zdu->pg->background_psql('camunda');
$blocker->query_safe('BEGIN; SELECT count(*) FROM act_ru_execution');
$zdu->sql(q{SELECT zdu_begin('engine', '7.6.2')});
ok($zdu->wait_status('engine', 'run', 'held'), 'S3: the script cannot be applied while a transaction is in its way: held');
is(store(q{SELECT count(*) FROM act_ge_schema_log WHERE version_ = '7.6.0'}), 0, 'S3: the schema is unchanged');
is(versions() . ' ' . $zdu->sql(q{SELECT serving FROM zdu.status WHERE cluster = 'engine'}), '7.5.3 7.5.3 7.5.3 3/3', 'S1: and no node was touched');
is(get("http://127.0.0.1:$front/engine-rest/process-definition/count")->{status}, 200, 'S3: requests are not blocked');
$blocker->query_safe('COMMIT');
$blocker->quit;
$zdu->tell_machine($address{engine1}, 'upgrade');
$zdu->sql(q{SELECT zdu_retry('engine')});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE cluster = 'engine' AND node = 'engine1' AND new = 'upgrade failed' ORDER BY event_id DESC LIMIT 1)}), 'S1: then the schema comes first, and the nodes follow');
is(store(q{SELECT count(*) FROM act_ge_schema_log WHERE version_ = '7.6.0'}) . ' ' . (versions() =~ s/.* //r), '1 7.5.3', 'S1: "the schema is at 7.Y while the library is still 7.X"');
is(join(' ', map { get("http://$address{$_}:$port/engine-rest/process-definition/count")->{status} } qw(engine2 engine3)), '200 200', 'S1: which works, the schema is backwards compatible');

# --- Usage of new features ---

is($zdu->sql(q{SELECT zdu_feature('engine', 'new-bpmn-symbol')}), 'f', 'S4: during the update new features are not permitted');

# --- Step 2: update the nodes, one by one or in groups ---

is(join(' ', map { $zdu->sql("SELECT zdu_limit('33%', $_)") } 2, 3, 4, 9), '1 1 1 2', 'D10: 33% of the nodes in parallel, rounded down; one at least goes, one stays');
is($zdu->sql(q{SELECT serving FROM zdu.status WHERE cluster = 'engine'}), '2/3', 'D14: 66% are available');
$zdu->untell_machine($address{engine1}, 'upgrade');
$zdu->sql(q{SELECT zdu_retry('engine')});
ok(finish_upgrade(), 'W1: steps 2.1 isolation, 2.2 update and 2.3 integration for each node');
is(versions(), '7.6.2 7.6.2 7.6.2', 'W6: every node runs the new libraries');
is($zdu->sql(q{SELECT string_agg(DISTINCT s, '; ') FROM (SELECT string_agg(split_part(new, ' ', 1), ' ' ORDER BY event_id) AS s FROM zdu.event
	WHERE cluster = 'engine' AND node IN ('engine2', 'engine3') AND new LIKE '% succeeded' AND what = 'step' GROUP BY node) x}),
	join(' ', ('isolate drain stop upgrade start verify integrate') x 2), 'D1: isolated, drained, and only then taken down; integrated at the end, both times');
my ($requests, $failed) = $zdu->end_load($load);
cmp_ok($requests, '>', 10, "D14: requests were made all the while: $requests, of half a second each");
is($failed, 0, 'D1, D14: every open request was finished, none failed');
is($zdu->sql(q{SELECT zdu_feature('engine', 'new-bpmn-symbol')}), 't', 'S4: now that the last old node is gone new features may be used');
is($zdu->stop($worker), 0, 'W4: the worker ends well');
$zdu->finish;
done_testing();
