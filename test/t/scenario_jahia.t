# The Jahia document from top to bottom: zdu keeps its rules, and drives it (Jahia is simulated).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Scenario qw(get refused_by);
use Test::More;
use ZduTest qw(spew wait_until);

my $zdu = Scenario->new(versions => []);
my $port = Programs::free_port();
my @nodes = map { "jahia$_" } qw(10 20 30 40);
my %address = map { ($_ => '127.0.2.' . s/jahia//r) } @nodes;
my %url = map { ($_ => "http://$address{$_}:$port") } @nodes;

# A bundle lies in the worker's runbook directory, who the worker is in its ~/.netrc.
spew("$zdu->{runbooks}/modulea-$_.jar", "Bundle-SymbolicName: modulea\nBundle-Version: $_\n") for '1.0', '2.0', '3.0';
spew("$zdu->{work}/.netrc", join('', map { "machine $_ login root password root1234\n" } values %address));
chmod 0600, "$zdu->{work}/.netrc";
for my $node (@nodes)
{
	$zdu->machine(address => $address{$node}, unit => 'jahia', version => '8', run => [ 'jahia-simulated', $node, $address{$node}, $port, "$address{$node}:7860" ]);
	$zdu->unit($address{$node}, 'start') == 0 or BAIL_OUT("$node does not start");
}

# Calls as the document has them, with curl.
sub curl
{
	my ($node, $path, @options) = @_;

	open(my $curl, '-|', 'curl', '-s', '-g', '--user', 'root:root1234', @options, "$url{$node}$path") or die "curl: $!";
	local $/;
	return scalar(<$curl>) // '';
}

curl('jahia10', '/modules/api/bundles', '--form', "bundle=\@$zdu->{runbooks}/modulea-1.0.jar", '--form', 'start=true');
my $front = $zdu->balance('jahia', '/', map { ($_ => "$address{$_}:$port") } @nodes);

# Makes a cluster of zdu for the four nodes; jahia10 is the processing node.
sub make_cluster
{
	my ($name, $runbook, $policy, $vars) = @_;

	$zdu->sql(qq{SELECT zdu_set_policy('$name', '$runbook', '$policy');
		SELECT zdu_set_cluster('$name', policy => '$name', runbook => '$runbook', product => 'modulea', vars => jsonb_build_object(
			'haproxy', '$zdu->{work}/haproxy.sock', 'backend', 'jahia', 'module', 'modulea', 'control', '$url{jahia40}') || '$vars')});
	$zdu->sql("SELECT zdu_set_node('$name', '$_', '$address{$_}:7860', role => '" . ($_ eq 'jahia10' ? 'processing' : 'web') . "', vars => '{\"url\": \"$url{$_}\"}')")
		for reverse @nodes;
}

# Returns the groups as Jahia has them: "default: a b; deployment: c".
sub groups
{
	my $groups = $zdu->state->{groups};

	return join('; ', map { "$_: " . join(' ', map { s/:.*//r } sort @{ $groups->{$_} }) } sort keys %$groups);
}

# Returns which version of the module users get from each node.
sub served { return join(' ', map { (get($url{$_})->{content} =~ /modulea (\S+)$/)[0] // '-' } @nodes); }
my $all = 'default: ' . join(' ', map { $address{$_} } @nodes);

is(served(), '1.0 1.0 1.0 1.0', 'M9: version 1.0 of the module runs on every node of the simulated Jahia');

# --- 1. Introduction, 2. Prerequisites, 3. Idea ---

make_cluster('site', 'jahia', '{"min_healthy_time": "0s", "lease": "2s", "start_timeout": "20s"}', '{"jahia_version": "7.2.1.0", "dx_version": "7.2.1.0"}');
my $worker = $zdu->start('--name', 'one', '--cluster', 'site');
$zdu->wait_seen('site');
is($zdu->sql(q{SELECT string_agg(version, ' ' ORDER BY node) FROM zdu.node_status WHERE cluster = 'site'}), '1.0 1.0 1.0 1.0', 'N18: zdu sees which version of the module runs where');
$zdu->sql(q{SELECT zdu_set_release('modulea', '1.5', compatible => false), zdu_set_release('modulea', '2.0', requires => '{"dx": {"min": "7.2.2.1"}}')});
like(refused_by($zdu, q{SELECT zdu_begin('site', '1.5')}), qr/^ZD002 V9: /, 'V9: the definitions of a newer version must be backward compatible');
$zdu->sql(q{SELECT zdu_set_release('modulea', '1.5', compatible => true)});
like(refused_by($zdu, q{SELECT zdu_begin('site', '2.0')}), qr/^ZD002 V9: .*7\.2\.2\.1/, 'V9: the procedure works from DX 7.2.2.1 on, not with 7.2.1.0');
$zdu->sql(q{SELECT zdu_set_cluster('site', vars => (SELECT vars || '{"dx_version": "7.2.2.1"}' FROM zdu.cluster WHERE name = 'site'))});
is($zdu->sql(q{SELECT verdict FROM zdu_why('site', target => '2.0') WHERE subject = 'may begin'}), 'yes', 'V9: with 7.2.2.1 it may begin');
is($zdu->sql(q{SELECT DISTINCT node_group FROM zdu.node JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = 'site'}), 'default', 'N11: by default all nodes are part of the group default');
like(refused_by($zdu, q{SELECT zdu_set_group('site', 'default', '{jahia10}')}), qr/^\w{5} N11: /, 'N11: which is reserved');

# --- 5. Deployment using a group per node ---

my @own = map { "group-$address{$_}-7860" =~ tr/./-/r } @nodes;
is($zdu->sql(q{SELECT zdu_group_per_node('site')}), 4, 'N13: step 1, one call makes a group for every node');
is($zdu->sql(q{SELECT string_agg(zdu.node.name || ' ' || node_group, ', ' ORDER BY zdu.node.name) FROM zdu.node JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = 'site'}),
	join(', ', map { "$nodes[$_] $own[$_]" } 0 .. 3), 'N13: named as Jahia names them');
my $load = $zdu->load('/');
$zdu->tell("$address{jahia20}:7860.slow");
like(refused_by($zdu, "SELECT zdu_deploy('site', '2.0', '$own[0]', through => 'jahia20')"), qr/^ZD002 N15: /, 'N15: a deployment is not sent through a node that is not part of its target group');
for my $i (0 .. 3)
{
	$zdu->sql("SELECT zdu_deploy('site', '2.0', '$own[$i]', through => '$nodes[$i]')");
	if ($i == 1)
	{
		$zdu->wait_sql(q{SELECT EXISTS (SELECT FROM zdu.event WHERE cluster = 'site' AND node = 'jahia20' AND new = 'upgrade act')});
		is(groups(), join('; ', 'default: ', map { "$own[$_]: $address{$nodes[$_]}" } 0 .. 3), 'N13: step 1, one call makes the groups in Jahia, and every node leaves the default group');
		like(refused_by($zdu, "SELECT zdu_deploy('site', '2.0', '$own[2]')"), qr/^ZD00\d M8: /, 'M8: any other deployment is refused while this one runs');
		like(refused_by($zdu, q{SELECT zdu_begin('site', '3.0')}), qr/^ZD001 (L3|M8): /, 'M8: so is another rollout');
		like(refused_by($zdu, q{SELECT zdu_operation_begin('site', 'module-deploy', '1 min')}), qr/^ZD002 M2: /, 'M8, M2: and any other module management action');
	}
	ok($zdu->wait_sql("SELECT done = '" . ($i + 1) . "/4' FROM zdu.status WHERE cluster = 'site'"), "W1: steps 3 to 7: $nodes[$i]");
}
like(refused_by($zdu, q{SELECT zdu_drop_groups('site')}), qr/^\w{5} N1[23]: /, 'N13: the groups stay until the default group was deployed to');
ok($zdu->sql(q{SELECT zdu_deploy('site')}) > 0, 'N15: step 8, without a target it goes to the default group');
ok($zdu->wait_ready('site'), 'N13: which is done');
$zdu->untell("$address{jahia20}:7860.slow");
my ($requests, $failed) = $zdu->end_load($load);
cmp_ok($requests, '>', 50, "D14: users asked for pages all the while: $requests");
is($failed, 0, 'D14: and the module, which is unavailable while it starts, was available to all of them');
is($zdu->sql(q{SELECT string_agg(node, ' ' ORDER BY event_id) FROM zdu.event WHERE cluster = 'site' AND new = 'isolate succeeded'}), 'jahia10 jahia20 jahia30 jahia40',
	'N14: the processing node goes first');
is(join(' ', map { /^(jahia\d+) POST \S+ 200 .*name="target"\s+(group-\S+)/ ? "$1=$2" : () } $zdu->calls('POST /modules/api/bundles ')), join(' ', map { "$nodes[$_]=$own[$_]" } 0 .. 3),
	'N15: each deployment names its target group, and goes to a node that is part of it');
is($zdu->sql(q{SELECT bool_and(started < integrated) FROM (SELECT node, max(event_id) FILTER (WHERE new = 'verify succeeded') AS started,
	min(event_id) FILTER (WHERE new = 'integrate running') AS integrated FROM zdu.event WHERE cluster = 'site' GROUP BY node) o WHERE node IS NOT NULL}), 't',
	'M9: steps 5 and 6, a node takes requests again after the module was verified as started');
is(served(), '2.0 2.0 2.0 2.0', 'W6: the new version runs on every node');
my $late = curl('jahia10', '/modules/api/bundles', '--form', "bundle=\@$zdu->{runbooks}/modulea-2.0.jar", '--form', 'start=true', '--form', "target=$own[1]");
like($late, qr/not part of the group/, 'N15: Jahia refuses a deployment through a node that is not part of the target group, as zdu does');
$zdu->sql(q{SELECT zdu_finalize('site')});
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'site'}), 'L13: the deployment is finalized');
is(scalar($zdu->calls('^jahia40 POST /modules/api/bundles 200 (?!.*name="target")')), 1, 'L14: step 8, the default group, which is the default target, was given the module once');
is($zdu->sql(q{SELECT zdu_drop_groups('site')}), 4, 'N13: step 9, one call drops them all');
is(groups(), $all, 'D8: step 9, in Jahia too the groups are removed, all nodes are back in the default group');
wait_until(sub { served() eq '2.0 2.0 2.0 2.0' });
is(served(), '2.0 2.0 2.0 2.0', 'L14: and keep the new version there');
is($zdu->stop($worker), 0, 'W4: the worker ends well');

# --- 4. Deployment using two groups ---

# As shipped, with its patience of minutes; the policy takes half of the nodes at once.
make_cluster('two', 'jahia-two-groups', '{"min_healthy_time": "0s", "lease": "2s"}', qq({"members": "$address{jahia10}:7860,$address{jahia20}:7860"}));
is($zdu->sql(q{SELECT zdu_set_group('two', 'deployment', '{jahia10,jahia20}')}), 'created', 'N12: a group of the processing node and a browsing node, which quit their old one');
$worker = $zdu->start('--name', 'two', '--cluster', 'two');
$zdu->wait_seen('two');
$zdu->tell("$address{jahia20}:7860.broken");
$load = $zdu->load('/');
$zdu->sql(q{SELECT zdu_deploy('two', '3.0', 'deployment')});
ok($zdu->wait_status('two', 'run', 'held'), 'M9: on one node of the group the module does not start');
like(curl('jahia10', '/modules/api/bundles/modulea/3.0/_info?target=deployment', '-i'), qr/^HTTP\/1\.1 200 OK.*"cause":/s, 'M9: which Jahia tells as 200 OK with an error inside');
like($zdu->sql(q{SELECT string_agg(DISTINCT reason, ' / ') FROM zdu.event WHERE cluster = 'two' AND new = 'upgrade failed'}), qr/^seen to have failed; saw .*BundleException/, 'M9: and zdu knows at once, not at the timeout');
is(groups(), "default: $address{jahia30} $address{jahia40}; deployment: $address{jahia10} $address{jahia20}", 'N12: step 2, the group was made in Jahia');
is($zdu->sql(q{SELECT count(*) FROM zdu.event WHERE cluster = 'two' AND new LIKE 'integrate%' AND node IN ('jahia10', 'jahia20')}), 0,
	'M9: no node of the group takes requests, also the one on which it started');
my %serving = map { (get("http://127.0.0.1:$front/")->{content} => 1) } 1 .. 20;
is(join(', ', sort keys %serving), 'jahia30: modulea 2.0, jahia40: modulea 2.0',
	'D14: step 1, all requests go to the nodes that are not deployed to');
$zdu->untell("$address{jahia20}:7860.broken");
$zdu->sql(q{SELECT zdu_retry('two')});
ok($zdu->wait_sql(q{SELECT done = '2/4' AND serving = '4/4' FROM zdu.status WHERE cluster = 'two'}), 'M9: mended, the group is done');
is($zdu->sql(q{SELECT string_agg((SELECT count(*) FROM jsonb_each(evidence) m WHERE m.value->>'moduleState' = 'STARTED')::text, ' ') FROM zdu.step JOIN zdu.cluster USING (cluster_id)
	WHERE name = 'two' AND phase = 'verify' AND zdu.step.state = 'succeeded'}), '2 2', 'M9: steps 5 and 6, either took requests after both were seen to have it started');
is(served(), '3.0 3.0 2.0 2.0', 'M9: the new version runs on both, and on no other node');
like(refused_by($zdu, q{SELECT zdu_deploy('two', through => 'jahia10')}), qr/^ZD002 N15: /, 'N15: step 7, the default group is not deployed to through a node of the other one');
$zdu->sql(q{SELECT zdu_deploy('two', through => 'jahia30')});
ok($zdu->wait_ready('two'), 'N15: step 7, the remaining nodes');
is(served(), '3.0 3.0 3.0 3.0', 'M9: step 8, verified on the nodes of the default group');
$zdu->sql(q{SELECT zdu_finalize('two')});
ok($zdu->wait_sql(q{SELECT state = 'STABLE' AND run IS NULL FROM zdu.status WHERE cluster = 'two'}), 'L13: the deployment is finalized');
is(groups(), $all, 'D8: step 9, the temporary group is removed in Jahia');
is($zdu->sql(q{SELECT zdu_drop_group('two', 'deployment')}), 'dropped', 'N12: step 10, all nodes join back the default group');
is($zdu->sql(q{SELECT DISTINCT node_group FROM zdu.node JOIN zdu.cluster USING (cluster_id) WHERE zdu.cluster.name = 'two'}), 'default', 'N12: in zdu too');
($requests, $failed) = $zdu->end_load($load);
is($failed, 0, 'D14: users noticed nothing');
is($zdu->stop($worker), 0, 'W4: the worker ends well');
$zdu->finish;
done_testing();
