# The CrateDB document from top to bottom: zdu keeps its rules, and drives it (CrateDB is simulated).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Scenario qw(refused_by);
use Test::More;
use ZduTest qw(slurp wait_until);

my $zdu = Scenario->new(versions => [qw(0.48.1 0.48.3 0.49.0)]);
my $port = Programs::free_port();
my %address = map { ("crate$_" => "127.0.1.$_") } 1 .. 4;

# The tables of a simulated CrateDB, and its four nodes.
$zdu->sql('CREATE DATABASE crate');
my $store = $zdu->pg->connstr('crate');
system('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $store, '-f', "$FindBin::RealBin/../simulated/crate-simulated.sql") == 0 or BAIL_OUT('no tables');
sub crate { return $zdu->pg->safe_psql('crate', $_[0]); }
crate(q{SELECT sim.create_table('doc', 'orders', '1'), sim.create_table('doc', 'notes', '0'), sim.create_table('blob', 'pictures', '0-1');
	INSERT INTO sim.shard (schema_name, table_name, id, "primary", home)
	SELECT 'doc', 'orders', n, copy = 0, 'crate' || (1 + (n + copy) % 4) FROM generate_series(0, 3) n, generate_series(0, 1) copy
	UNION ALL SELECT 'doc', 'notes', n, true, 'crate' || (1 + n % 4) FROM generate_series(0, 3) n
	UNION ALL SELECT 'blob', 'pictures', n, copy = 0, 'crate' || (1 + (n + copy) % 4) FROM generate_series(0, 3) n, generate_series(0, 1) copy});
for my $node (sort keys %address)
{
	$zdu->machine(address => $address{$node}, unit => 'crate', version => '0.48.1',
		run => [ 'crate-simulated', $node, $address{$node}, $port, 'VERSION', $store ]);
	$zdu->unit($address{$node}, 'start') == 0 or BAIL_OUT("$node does not start");
}
my $database = 'host=' . join(',', map { $address{$_} } sort keys %address) . " port=$port dbname=crate user=postgres";

# The shipped runbook, which only looks more often.
$zdu->sql(qq{SELECT zdu_set_runbook('crate-quick', jsonb_set(jsonb_set(document, '{guard,0,every}', '"200ms"'), '{placements,every}', '"400ms"')) FROM zdu.runbook WHERE name = 'crate' AND shipped;
	SELECT zdu_set_policy('crate-quick', 'crate', '{"min_healthy_time": "0s", "drain_timeout": "4s", "lease": "2s"}');
	SELECT zdu_set_cluster('crate', policy => 'crate-quick', runbook => 'crate-quick', vars => jsonb_build_object('unit', 'crate', 'database', '$database',
		'availability', 'primaries', 'patience', '2s', 'graceful', 'USR2'))});
$zdu->sql("SELECT zdu_set_node('crate', '$_', '$address{$_}')") for sort keys %address;
my $worker = $zdu->start('--name', 'one');
$zdu->wait_seen('crate');

# Returns what a node wrote to its log.
sub log_of_node { return -e "$ENV{SIMULATED}/$_[0].log" ? slurp("$ENV{SIMULATED}/$_[0].log") : ''; }

# Asks a node of CrateDB as a client would; undef: it does not answer.
sub client
{
	my ($node, $sql) = @_;

	open(my $psql, '-|', "psql -X -q -A -t -d 'host=$address{$node} port=$port dbname=crate user=postgres' -c \"$sql\" 2>/dev/null") or die;
	my $answer = join('', <$psql>);
	return close($psql) ? $answer =~ s/\n\z//r : undef;
}

# The statements of the document, told word for word by the nodes' own port.
sub settings { return join(' ', map { /SQL (SET GLOBAL TRANSIENT cluster\.routing\.allocation\.enable = '\w+')/ ? $1 : () } $zdu->calls('SET GLOBAL')); }

# --- "Feature or major versions are often not compatible ... hotfix updates are always safe" ---

like(refused_by($zdu, q{SELECT zdu_begin('crate', '0.49.0')}), qr/^ZD002 V4: /, 'V4: no note that the feature version is safe: it counts as unsafe');
for my $hotfix (qw(0.48.2 0.48.3))
{
	is($zdu->sql("SELECT string_agg(DISTINCT rule, ' ') FROM zdu_why('crate', target => '$hotfix') WHERE verdict = 'no'"), 'S5', "V5: updating from 0.48.1 to $hotfix is safe, even directly; only a backup is asked for");
}

# --- "So make sure you have your data backed up!" ---

like(refused_by($zdu, q{SELECT zdu_begin('crate', '0.48.3')}), qr/^ZD002 S5: "backup" was not recorded/, 'S5: nothing begins before the data is backed up');
$zdu->sql(q{SELECT zdu_record('crate', 'backup', '{"snapshot": "nightly.2026_11_20"}')});

# --- Step 1: disable re-allocations; Step 2: graceful stop ---

$zdu->tell('crate1.slow');
$zdu->sql(q{SELECT zdu_begin('crate', '0.48.3')});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE cluster = 'crate' AND new = 'drain act')}), 'D8: the preparation is done before a node is stopped');
is(settings(), q{SET GLOBAL TRANSIENT cluster.routing.allocation.enable = 'new_primaries'}, 'D8: re-allocation is disabled once, by the statement of the document');
is(crate(q{SELECT settings['cluster']['graceful_stop']['min_availability'] FROM sys.cluster}), '"primaries"', 'D3: the minimum availability is set as the runbook says');
ok(wait_until(sub { log_of_node('crate1') =~ /^graceful stop$/m }), 'W1: the USR2 signal reaches the node that is to stop');
ok(wait_until(sub { !defined client('crate1', 'SELECT 1') }), 'D1: from then on it rejects new requests');
is(client('crate2', 'SELECT 1'), 1, 'D14: the others answer');
is(crate(q{SELECT count(*) as remaining_shards from sys.shards
	where _node['name'] = 'crate1'}), 5, 'D9: the query of the document counts the shards that remain');
is(crate(q{SELECT schema_name as schema, table_name as "table", id, "primary", state
	FROM sys.shards
	WHERE _node['name'] = 'crate1' AND schema_name IN ('blob', 'doc')
	ORDER BY schema, "table", id, "primary", state LIMIT 1}), 'blob|pictures|0|t|STARTED', 'D9: the next one shows them row by row');
is(crate(q{SELECT schema_name as schema, table_name as "table"
	FROM (SELECT table_schema AS schema_name, * FROM information_schema.tables) t
	WHERE number_of_replicas = 0 and schema_name in ('blob', 'doc')
	ORDER BY schema, "table"}), 'doc|notes', 'D9: and the last one the tables whose primaries move');

# --- "In case of an error or a timeout, the node will stay up, signaling the error in its log" ---

ok(wait_until(sub { log_of_node('crate1') =~ /^ERROR graceful stop aborted: timeout/m }), 'D2: the shards do not leave in time: the product aborts and says so');
ok($zdu->wait_status('crate', 'run', 'held'), 'D2: and the upgrade is held');
ok($zdu->wait_sql(q{SELECT serving = '4/4' FROM zdu.status WHERE cluster = 'crate'}), 'D2: the node is back in service');
like($zdu->sql(q{SELECT waits_for FROM zdu.status WHERE cluster = 'crate'}), qr/^D2: crate1 drain failed/, 'D2: the status says which node, and why');
is(client('crate1', 'SELECT 1'), 1, 'D2: it answers again');
is($zdu->sql(q{SELECT string_agg(DISTINCT version, ' ') FROM zdu.node_status WHERE cluster = 'crate'}), '0.48.1', 'D2: nothing was upgraded');

# --- "if there is not enough disk space on other nodes ... the graceful stop procedure will fail" ---

$zdu->untell('crate1.slow');
# Another table of that name, in another schema, has its copies elsewhere: it need not move.
crate(q{SELECT sim.create_table('blob', 'notes', '1');
	INSERT INTO sim.shard (schema_name, table_name, id, "primary", node, home) VALUES ('blob', 'notes', 0, true, 'crate1', 'crate1');
	UPDATE sim.node SET disk = 50});
$zdu->sql(q{SELECT zdu_retry('crate')});
ok($zdu->wait_sql(q{SELECT evidence->>'needed' = '10' AND evidence->>'free' = '0' FROM zdu.step WHERE phase = 'check' AND state = 'running'}),
	'D6: a probe sees that the others have no room for what must move');
is(join('', map { log_of_node($_) } qw(crate2 crate3 crate4)), '', 'D6: the drain is not even begun');
crate(q{DELETE FROM sim.shard WHERE (schema_name, table_name) = ('blob', 'notes'); DELETE FROM sim.relation WHERE (table_schema, table_name) = ('blob', 'notes'); DROP TABLE blob.notes;
	UPDATE sim.node SET disk = 1000});

# --- Steps 3 to 5: upgrade, start, repeat for all other nodes ---

ok($zdu->wait_ready('crate'), 'W1: stopped, upgraded and started, node by node');
is(crate(q{SELECT string_agg(version['number'], ' ' ORDER BY name) FROM sys.nodes}), '0.48.3 0.48.3 0.48.3 0.48.3', 'W6: every node runs the new version, as the product itself tells');
is($zdu->sql(q{SELECT max(away) FROM (SELECT sum(CASE new WHEN 'drain running' THEN 1 WHEN 'integrate succeeded' THEN -1 ELSE 0 END) OVER (ORDER BY event_id) AS away
	FROM zdu.event WHERE cluster = 'crate' AND what = 'step') a}), 1, 'N2: one node at a time');
is(join(' ', map { scalar(() = log_of_node($_) =~ /^graceful stop\nstopped$/mg) } sort keys %address), '1 1 1 1', 'D1: each stopped gracefully, once');
is(crate(q{SELECT string_agg(table_name || id, ' ' ORDER BY table_name, id) FROM sim.shard WHERE moved > 0}), 'notes0 notes1 notes2 notes3',
	'D9: under primaries only shards of tables without replicas have moved');
is(settings(), q{SET GLOBAL TRANSIENT cluster.routing.allocation.enable = 'new_primaries'}, 'D8: re-allocation is off until the end');

# --- Step 6: enable reallocations ---

$zdu->sql(q{SELECT zdu_finalize('crate')});
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'crate'}), 'L13: the upgrade is finalized');
is(settings(), q{SET GLOBAL TRANSIENT cluster.routing.allocation.enable = 'new_primaries' SET GLOBAL TRANSIENT cluster.routing.allocation.enable = 'all'},
	'D8: last but not least re-allocation is enabled again, once');

# --- Observing the reallocation, by zdu ---

is($zdu->sql(q{SELECT count(*) FROM zdu.placement p JOIN zdu.cluster c USING (cluster_id) WHERE c.name = 'crate'}), crate('SELECT count(*) FROM sys.shards'),
	'D9: zdu knows each shard and replica, and where it is');

# --- Requirements: full minimum data availability ---

sub policy { $zdu->sql(qq{SELECT zdu_set_policy('crate-quick', settings => '$_[0]')}); }
sub seen { $zdu->wait_sql("SELECT count(*) = (SELECT $_[1] FROM zdu.placement) FROM zdu.placement WHERE resource LIKE 'doc.$_[0] %'") }
crate(q{SELECT sim.create_table('doc', 'wide', '3');
	INSERT INTO sim.shard (schema_name, table_name, id, "primary", node, home) SELECT 'doc', 'wide', 0, n = 1, 'crate' || n, 'crate' || n FROM generate_series(1, 4) n});
$zdu->wait_sql(q{SELECT count(*) = 4 FROM zdu.placement WHERE resource LIKE 'doc.wide%'});
$zdu->sql(q{SELECT zdu_set_path('crate', '0.48', '0.48', '0.49', '0.49', 'restart', 'the binary serialization format has changed')});
like(refused_by($zdu, q{SELECT zdu_begin('crate', '0.49.0')}), qr/^ZD002 V4: .*serialization/, 'V4: a feature version that requires a full cluster restart is refused, and says why');
$zdu->sql(q{SELECT zdu_set_path('crate', '0.48', '0.48', '0.49', '0.49', 'rolling', 'the changelog says that it is safe')});
policy('{"min_availability": "full", "drain_timeout": "25s"}');
like(refused_by($zdu, q{SELECT zdu_begin('crate', '0.49.0')}), qr/^ZD002 D3: 4 nodes.*3 replicas/, 'D3: under full, 4 nodes and 3 replicas are not enough nodes');
crate(q{DELETE FROM sim.shard WHERE table_name = 'wide'; DELETE FROM sim.relation WHERE table_name = 'wide'});
$zdu->wait_sql(q{SELECT count(*) = 0 FROM zdu.placement WHERE resource LIKE 'doc.wide%'});
policy('{"reallocate": false}');
like(refused_by($zdu, q{SELECT zdu_begin('crate', '0.49.0')}), qr/^ZD002 D5: /, 'D5: with reallocate set to false a node that would need to move shards is refused at once');
policy('{"reallocate": true}');

# --- full: all shards move away, the cluster stays green; step 1 may be omitted; CrateDB 4 knows DECOMMISSION only ---

$zdu->sql(q{SELECT zdu_set_cluster('crate', vars => (SELECT vars || '{"availability": "full", "graceful": "decommission", "patience": "20s"}' FROM zdu.cluster WHERE name = 'crate'))});
my $set = settings();
$zdu->tell('crate1.slow');
$zdu->sql(q{SELECT zdu_begin('crate', '0.49.0')});
ok(wait_until(sub { log_of_node('crate1') =~ /^graceful stop\n\z/m }), 'W1: ALTER CLUSTER DECOMMISSION reaches the node, too');
is($zdu->sql(q{SELECT count(*) FROM zdu.remaining WHERE cluster = 'crate' AND node = 'crate1'}), crate(q{SELECT count(*) FROM sys.shards WHERE node['name'] = 'crate1'}),
	'D9: zdu.remaining shows what has to leave, under full every copy');
sub red { crate("UPDATE sim.shard SET node = " . ($_[0] ? 'NULL' : 'home') . " WHERE table_name = 'notes' AND id = 1"); }
red(1);
$zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.watch WHERE kind = 'guard' AND failed > 0)});
red(0);
$zdu->wait_sql(q{SELECT NOT EXISTS (SELECT FROM zdu.watch WHERE kind = 'guard' AND failed > 0)});
is($zdu->sql(q{SELECT run FROM zdu.status WHERE cluster = 'crate'}), 'running', 'D7: turning red for a small instant does not end the rollout');
red(1);
ok($zdu->wait_status('crate', 'run', 'held'), 'D7: red that lasts holds it');
ok($zdu->wait_sql(q{SELECT health = 'red' FROM zdu.health WHERE cluster = 'crate' AND resource IS NULL}), 'D7: and zdu.health shows the colour');
red(0);
$zdu->wait_sql(q{SELECT health = 'green' FROM zdu.health WHERE cluster = 'crate' AND resource IS NULL});
$zdu->sql(q{SELECT zdu_retry('crate')});
$zdu->untell('crate1.slow');
my $worst = 'GREEN';
ok(wait_until(sub
{
	my $now = crate(q{SELECT health FROM sys.health ORDER BY severity DESC LIMIT 1});

	$worst = $now if $now ne 'GREEN';
	return $zdu->sql(q{SELECT state = 'READY_TO_RUN_UPGRADE_TASKS' AND taken = 0 FROM zdu.cluster_facts WHERE name = 'crate'}) eq 't';
}), 'W1: all nodes are upgraded');
is($worst, 'GREEN', 'D3, D7: under full the cluster stays green the whole time');
is(settings(), $set, 'D8: under full re-allocation is not disabled');
$zdu->sql(q{SELECT zdu_finalize('crate')});
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'crate'}), 'L13: the upgrade is finalized');
is(settings(), $set, 'D8: nor enabled');
is(crate(q{SELECT count(*) FROM sys.shards}) . ' ' . crate(q{SELECT min(version['number']) || max(version['number']) FROM sys.nodes}), '20 0.49.00.49.0', 'D3: no shard was lost');

is($zdu->stop($worker), 0, 'W4: the worker ends well');
$zdu->finish;
done_testing();
