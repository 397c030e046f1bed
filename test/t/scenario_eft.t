# The EFT document from top to bottom: zdu keeps its rules, and drives it (EFT is simulated).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use Programs qw(probe);
use Scenario qw(get refused_by);
use Test::More;
use ZduTest qw(slurp spew wait_until);

my ($old, $new) = qw(8.1.0.1 8.1.0.5);
my $zdu = Scenario->new(versions => []);
my $port = Programs::free_port();
my @nodes = qw(eft1 eft2 eft3);
my %address = map { ($_ => '127.0.4.' . s/eft//r) } @nodes;

for my $node (@nodes)
{
	$zdu->machine(address => $address{$node}, unit => 'eft', version => $old, run => [ 'eft-simulated', $node, $address{$node}, $port, 'VERSION' ]);
	$zdu->unit($address{$node}, 'start') == 0 or BAIL_OUT("$node does not start");
}
my $front = $zdu->balance('eft', '/web', map { ($_ => "$address{$_}:$port") } @nodes);
spew("$zdu->{work}/.netrc", join('', map { "machine $_ login admin password alaska\n" } values %address));
chmod 0600, "$zdu->{work}/.netrc";

# Calls a node's REST interface as an administrator; returns [code, answer].
sub rest
{
	my ($node, $method, $path, $content) = @_;
	my $answer = HTTP::Tiny->new(default_headers => { Authorization => "EFTAdminAuthToken token-of-$node" })
		->request($method, "http://$address{$node}:$port/admin/v2$path", { content => $content // '' });

	return ($answer->{status}, $answer->{content});
}
sub end_state { return (rest($_[0], 'POST', '/server/ha/upgrade', qq({"data": {"attributes": {"state": "$_[1]"}}})))[0]; }
sub product { return probe('eft-upgrade', "http://$address{$_[0]}:$port/admin"); }
sub display { return $zdu->sql(q{SELECT display FROM zdu.status WHERE cluster = 'eft'}); }
sub as { my ($role, $sql) = @_; return ($zdu->pg->psql('postgres', $sql, extra_params => [ '-U', $role ]))[1]; }
sub upload { return HTTP::Tiny->new->post("http://$address{$_[0]}:$port/upload", { content => $_[1] })->{status}; }

# The cluster, whose nodes have logins of their own, and two tables of an application.
$zdu->sql(qq{SELECT zdu_set_policy('eft-quick', 'eft', '{"min_healthy_time": "0s", "lease": "2s", "heartbeat_ttl": "3s"}');
	SELECT zdu_set_cluster('eft', policy => 'eft-quick', runbook => 'eft', vars => jsonb_build_object('haproxy', '$zdu->{work}/haproxy.sock', 'backend', 'eft',
		'rest', 'http://{address}:$port/admin', 'control', 'http://$address{eft1}:$port/admin', 'windows_service', 'EFT Server', 'installer', 'C:/install/eft-{version}.exe'))});
for my $node (@nodes)
{
	$zdu->sql("CREATE ROLE $node LOGIN; SELECT zdu_grant('$node', 'node'), zdu_set_node('eft', '$node', '$address{$node}', login => '$node')");
}
$zdu->sql(q{CREATE TABLE setting (name text PRIMARY KEY, value text); CREATE TABLE audit (id serial PRIMARY KEY, line text); CREATE TABLE other (a int);
	INSERT INTO setting VALUES ('banner', 'hello'); CREATE TABLE site_config (name text PRIMARY KEY, value text);
	GRANT ALL ON setting, audit, other, site_config, audit_id_seq TO eft1, eft2, eft3;
	SELECT zdu_protect('eft', 'setting'), zdu_protect('eft', 'site_config', 'refuse'), zdu_protect('eft', 'audit', 'spool')});
my $worker = $zdu->start('--name', 'one');
$zdu->wait_seen('eft');

# --- Normal state to Upgrade state ---

is(display() . ', ' . product('eft1')->{display}, 'Not Active, Not Active', 'L21: in the Normal state the Upgrade state displays "Not Active"');
like(refused_by($zdu, q{SELECT zdu_finalize('eft')}), qr/^ZD001 L4: /, 'L4: there is an error for ending what was not begun');
is(end_state('eft1', 'normal'), 409, 'L4: as the product has one');
like(refused_by($zdu, qq{SELECT zdu_begin('eft', '$new')}), qr/^ZD00\d L24: /, 'L24: a warning that the transition cannot be undone');
like(($zdu->pg->psql('postgres', qq{SELECT zdu_begin('eft', '$new')}))[2], qr/^HINT:.*acknowledge/m, 'L24: which tells how to go on');
my $backup = $zdu->sql(q{SELECT zdu_operation_begin('eft', 'backup', '1 min')});
like(refused_by($zdu, qq{SELECT zdu_begin('eft', '$new', acknowledge => true)}), qr/^ZD00\d M2: .*backup/, 'M2: while a backup runs the upgrade cannot begin');
$zdu->sql("SELECT zdu_operation_end('eft', $backup)");
$zdu->sql(qq{SELECT zdu_begin('eft', '$new', acknowledge => true)});
ok($zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE cluster = 'eft' AND node = 'eft1' AND new = 'isolate running')}), 'L1: the cluster is put into the Upgrade state, node by node follows');
$zdu->sql(q{SELECT zdu_pause('eft')});
is(end_state('eft2', 'upgrade'), 409, 'L3: enabling it again is an error in the product');
like(refused_by($zdu, qq{SELECT zdu_begin('eft', '$new', acknowledge => true)}), qr/^ZD001 L3: /, 'L3: and in zdu');
ok($zdu->wait_sql(q{SELECT done = '1/3' AND serving = '3/3' FROM zdu.status WHERE cluster = 'eft'}), 'W1: one node is upgraded, the others are not yet');
is(join(' ', map { product($_)->{upgrade} } @nodes), '1 1 1', 'L1: once set at any node, all nodes report the same state');

# --- Upgrade state: its limitations ---

is(display(), "Active; Mixed; 1/3 at $new", 'L21: the honest in-between');
is(join(' ', map { product($_)->{node_state} } @nodes), '2 1 1', 'N10: HAUpgradeNodeState of the nodes: NewNode, OldNode, OldNode');
$zdu->sql(qq{SELECT zdu_set_cluster('own', policy => 'eft'); SELECT zdu_join('own', n, '$old') FROM unnest('{n1,n2,n3}'::text[]) n;
	SELECT zdu_heartbeat('own', n, state => 'ACTIVE') FROM unnest('{n1,n2,n3}'::text[]) n});
is($zdu->sql(q{SELECT string_agg(j.mode::text, ' ') FROM unnest('{n1,n2,n3}'::text[]) n, zdu_heartbeat('own', n) j}), '0 0 0', 'N10: NotInUpgrade = 0, for nodes that report to zdu themselves');
$zdu->sql(qq{SELECT zdu_begin('own', '$new', acknowledge => true); SELECT zdu_heartbeat('own', 'n1', state => 'TERMINATING'); SELECT zdu_heartbeat('own', 'n1', state => 'OFFLINE')});
is($zdu->sql(qq{SELECT upgrade_state FROM zdu_join('own', 'n1', '$new', 'second')}) . ' ' . $zdu->sql(q{SELECT string_agg(j.mode::text, ' ') FROM unnest('{n2,n3}'::text[]) n, zdu_heartbeat('own', n) j}),
	'2 1 1', 'N10: NewNode = 2, OldNode = 1');
is((rest('eft2', 'POST', '/server/backup'))[0], 409, 'M2: backup and restore are prohibited in the product');
like(refused_by($zdu, q{SELECT zdu_operation_begin('eft', 'restore', '1 min')}), qr/^ZD002 M2: /, 'M2: and in zdu');
like((rest('eft3', 'PATCH', '/server'))[1], qr/Cluster is in upgrade mode/, 'M1: the product refuses configuration changes with "Cluster is in upgrade mode"');
like(($zdu->pg->psql('postgres', q{UPDATE site_config SET value = 'x'; INSERT INTO site_config VALUES ('port', '21')}))[2], qr/cluster .*is in upgrade mode/, 'M1: so do tables that are protected for it');
is(as('eft3', 'SELECT count(*) FROM site_config'), '0', 'M1: administrators of outdated nodes read on');
$zdu->sql(q{UPDATE setting SET value = 'maintenance' WHERE name = 'banner'; INSERT INTO other VALUES (1)});
is($zdu->sql(q{SELECT count(*) FROM zdu.delta WHERE cluster = 'eft' AND relation = 'setting'::regclass}), 1, 'M5: configuration changes are written as deltas');
is($zdu->sql('SELECT count(*) FROM other'), 1, 'M1: other tables are untouched');
is(join(' ', map { upload($_, 'report.pdf') } qw(eft2 eft3 eft1)), '200 200 200', 'D14: client connections are processed without any restriction');
is(join(' ', map { (-e "$ENV{SIMULATED}/$_.sql" ? slurp("$ENV{SIMULATED}/$_.sql") : '-') =~ s/\s+\z//r } @nodes), "- eft2 $old report.pdf eft3 $old report.pdf",
	'M3: outdated nodes of the product write audit data to local files only');
as($_, "INSERT INTO audit (line) VALUES ('$_ first'), ('$_ second')") for qw(eft3 eft2 eft1);
is($zdu->sql(q{SELECT string_agg(line, ', ' ORDER BY id) FROM audit}), 'eft1 first, eft1 second', 'M3: in zdu only the updated node writes into the table');
is($zdu->sql(q{SELECT string_agg(node || ' ' || (content->>'line'), ', ' ORDER BY spooled) FROM zdu.spool}), 'eft3 eft3 first, eft3 eft3 second, eft2 eft2 first, eft2 eft2 second',
	'M3: what outdated nodes insert is spooled');
is(join(' ', map { get("http://$address{$_}:$port/web")->{content} =~ s/\s+\z//r } @nodes), "pages of $new pages of $old pages of $old", 'M4: each node of the product uses the Web folder of its version');
is(join(' ', map { $zdu->sql("SELECT zdu_asset('eft', '$_')") } @nodes), "Web UpgradeFrom$old UpgradeFrom$old", 'M4: and zdu tells which: Web, and UpgradeFrom and the older version');
is(join(' ', sort map { $zdu->sql("SELECT zdu_may_run('eft', '$_', 'event rule')") } @nodes), 'f f t', 'M7: all rules are processed with one node only');
like(refused_by($zdu, q{SELECT zdu_finalize('eft')}, extra_params => [ '-U', 'eft2' ]), qr/^\w{5} L20: /, 'L20: on an outdated node nobody moves the cluster to the Normal state');
is(end_state('eft2', 'normal'), 409, 'L20: nor in the product');
like(refused_by($zdu, q{SELECT zdu_finalize('eft')}), qr/^ZD00\d L(18|9): /, 'L18: with outdated nodes the transition to Normal is refused');
like(refused_by($zdu, q{SELECT zdu_cancel('eft')}), qr/^ZD00\d L5: /, 'L5: it cannot be undone');
like(refused_by($zdu, q{SELECT zdu_rollback('eft')}), qr/^ZD00\d L23: /, 'L23: not by rolling back either');

# --- All nodes but one are updated; that one is left behind ---

$zdu->tell_machine($address{eft3}, 'upgrade');
$zdu->sql(q{SELECT zdu_resume('eft')});
ok($zdu->wait_status('eft', 'run', 'held'), 'D11: the installer fails on the last node');
is($zdu->sql(q{SELECT bool_and(node <> (SELECT l.new FROM zdu.event l WHERE l.cluster = 'eft' AND l.what = 'leader' AND l.event_id < e.event_id ORDER BY l.event_id DESC LIMIT 1))
	FROM zdu.event e WHERE cluster = 'eft' AND new = 'isolate running'}), 't', 'M7: the leadership is handed over before the leader is taken');
$zdu->sql(q{SELECT zdu_declare_down('eft', 'eft3', 'to be upgraded later')});
ok($zdu->wait_sql(q{SELECT state = 'READY_TO_RUN_UPGRADE_TASKS' FROM zdu.status WHERE cluster = 'eft'}), 'L9: the nodes that run are updated');
is(display() . ', ' . product('eft2')->{display}, "Active; Updated; $new, Active; Updated; $new", 'L21: "Active; Updated; x.x.x.x", in both');

# --- Upgrade state to Normal state ---

is(as('eft1', q{SELECT zdu_finalize('eft')}), 'RUNNING_UPGRADE_TASKS', 'L20: an updated node may move the cluster to the Normal state');
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'eft'}), 'L13: which it is in then');
is(join(' ', display(), map { product($_)->{display} } qw(eft1 eft2)), 'Not Active Not Active Not Active', 'L21: all nodes report the same state');
is(join(' ', map { /POST \/admin\/v2\/server\/ha\/upgrade 200 .*"state": "(\w+)"/ ? $1 : () } $zdu->calls('ha/upgrade 200')), 'upgrade normal', 'L14: the product was told once each');
is(slurp("$ENV{SIMULATED}/arm"), "eft1 $new report.pdf\neft2 $old report.pdf\neft3 $old report.pdf\n", 'M3: the product migrates the audit data of old nodes');
ok($zdu->wait_sql(q{SELECT count(*) = 6 FROM audit}), 'M3: and zdu replays what was spooled');
is($zdu->sql(q{SELECT string_agg(line, ', ' ORDER BY id) FROM audit WHERE line LIKE 'eft2%'}) . '; ' . $zdu->sql('SELECT count(*) FROM zdu.spool'), 'eft2 first, eft2 second; 0', 'M3: once, in order');
is($zdu->sql(q{INSERT INTO site_config VALUES ('port', '21') RETURNING value}), '21', 'M1: configuration may be changed again');
is($zdu->sql(q{SELECT zdu_revert('eft', array_agg(delta), 'not wanted') FROM zdu.delta WHERE cluster = 'eft'}) . ' ' . $zdu->sql(q{SELECT value FROM setting}), '1 hello', 'M5: deltas can be taken back');

# --- Nodes that were not upgraded ---

isnt($zdu->unit($address{eft3}, 'start'), 0, 'L16: an outdated node of the product fails to start in the Normal state');
like($zdu->sql(qq{SELECT verdict || ' ' || rule FROM zdu_join('eft', 'eft3', '$old')}), qr/^refused (L16|N7|N8)$/, 'L16, N7: zdu refuses it as well');
like(refused_by($zdu, qq{SELECT zdu_begin('eft', '$new', acknowledge => true)}), qr/^ZD00\d L19: /, 'L19: the Upgrade state is not for a node that was forgotten');
$zdu->untell_machine($address{eft3}, 'upgrade');
spew("$zdu->{work}/machines/$address{eft3}/package", "$new\n");
is($zdu->unit($address{eft3}, 'start'), 0, 'L16: upgraded later, it starts');
$zdu->sql(q{SELECT zdu_attach('eft', 'eft3', 'upgraded by hand')});
ok($zdu->wait_sql(q{SELECT serving = '3/3' FROM zdu.status WHERE cluster = 'eft'}), 'L16: is visible, and continues to work in the cluster');
is($zdu->stop($worker), 0, 'W4: the worker ends well');
$zdu->finish;
done_testing();
