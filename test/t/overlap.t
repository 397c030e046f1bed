# Four workers share 200 nodes under seven budgets that overlap, and are killed, stopped and woken at random moments: nothing is overdrawn.
#
# The nodes are *simulated*: programs that write down what they are told.  The workers, the exchange and the server are real.
# Every run deals zones, roles, racks, groups and limits anew, lets some nodes fail and takes some out by hand.
#
#   ROLLS  how many runs, 1
#   SEED   of the first; each has one higher than the one before.  Chance is repeated, not the moments of processes
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use List::Util qw(max min shuffle);
use Test::More;
use Time::HiRes qw(sleep time);
use ZduTest qw(slurp spew);

use constant { NODES => 200, WORKERS => 4, FAULTS => 8, LEASE => 2, RATE_INTERVAL => 4, LATEST => 300 };

my $runs = $ENV{ROLLS} || 1;
my $first_seed = $ENV{SEED} || time() % 1_000_000;
my @names = map { "app$_" } 1 .. NODES;
my $zdu = ZduTest->new;
my $journal = "$zdu->{nodes}/journal";

# A node is a file of what was done to it; all of them append to one journal besides, before it is done.  So who looks and
# finds it done finds it in the journal: from `begin isolate` to `end integrate` a node is away, by its own word.
$zdu->program('node', <<"SH" . <<'SH');
cd $zdu->{nodes} || exit 64
SH
in=true running=true version=1.0.0 highest=0
while read -r done number to; do
	case $done in
		isolate) in=false ;;
		stop) running=false ;;
		start) running=true version=$to ;;
		integrate) in=true ;;
	esac
	test $number -le $highest || highest=$number
done <$ZDU_NODE
if test $ZDU_VERB = probe; then
	test $running = true && offline=false || offline=true
	echo "{\"in\": $in, \"running\": $running, \"version\": \"$version\", \"offline\": $offline}"
	exit
fi
number=${ZDU_TOKEN#*.}
# The target refuses a token that is lower than one it has seen.
if test $number -lt $highest; then
	echo "$ZDU_NODE $ZDU_PHASE $number stale" >>journal
	exit 75
fi
echo "$ZDU_NODE $ZDU_PHASE $number begin" >>journal
if test $ZDU_PHASE = start && test -e $ZDU_NODE.fails; then
	echo "it does not start"
	exit 1
fi
sleep 0.0$((number % 10))
case $ZDU_PHASE.$in.$running in
	isolate.false.*|stop.*.false|start.*.true|integrate.true.*) word=already ;;
	*) word=end ;;
esac
echo "$ZDU_NODE $ZDU_PHASE $number $word" >>journal
echo "$ZDU_PHASE $number $ZDU_VERSION" >>$ZDU_NODE
SH
spew($journal, '');
spew("$zdu->{nodes}/$_", '') for @names;

my %until = (isolate => '$.in == false', stop => '$.running == false', start => '$.running == true && $.version == $version', integrate => '$.in == true');
my $runbook = {
	zdu_runbook => 1,
	observe => { exec => 'node', version => '$.version', active => '$.running == true', every => '15s' },
	node => { map { $_ => { exec => 'node', until => $until{$_}, every => '200ms', timeout => '4s', retries => 1, retry_delay => '100ms' } } keys %until },
};
# Of a worker that is killed these go on, the others die with it.
$runbook->{node}{$_}{may_outlive} = JSON::PP::true for qw(stop integrate);

$zdu->sql(sprintf(q{SELECT zdu_set_runbook('shop', $json$%s$json$); SELECT zdu_set_cluster('shop', runbook => 'shop');
	SELECT zdu_set_node('shop', 'app' || i) FROM generate_series(1, %d) i}, encode_json($runbook), NODES));

# ------------------------------------------------------------ who looks on

# Limits as the test knows them; what is over one is written down by a session that looks all the time and counts the nodes
# themselves, and every move of a step by the name of the process that made it.
$zdu->sql(q{
	CREATE TABLE bound (name text, zone text, role text, rack text, node_group text, at_once int, max_begun int);
	CREATE TABLE looked (looks bigint, least_serving bigint);
	CREATE TABLE most (name text PRIMARY KEY, away bigint, begun bigint);
	CREATE VIEW now AS
		SELECT b.name, b.at_once, b.max_begun,
			count(*) FILTER (WHERE n.state <> 'ACTIVE' OR NOT n.in_rotation OR NOT n.attached OR n.taken) AS away,
			count(*) FILTER (WHERE n.begun_at > clock_timestamp() - make_interval(secs => } . (RATE_INTERVAL - LEASE / 2) . q{) AND n.begun_at > u.began_at) AS begun
		FROM (SELECT max(began_at) AS began_at FROM zdu.upgrade) u CROSS JOIN bound b JOIN zdu.node n ON (b.zone IS NULL OR n.zone = b.zone) AND (b.role IS NULL OR n.role = b.role)
			AND (b.rack IS NULL OR n.labels->>'rack' = b.rack) AND (b.node_group IS NULL OR n.node_group = b.node_group)
		GROUP BY b.name, b.at_once, b.max_begun;
	CREATE PROCEDURE look_on() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM looked) LOOP
			UPDATE looked SET looks = looks + 1, least_serving = least(least_serving,
				(SELECT count(*) FROM zdu.node WHERE state = 'ACTIVE' AND in_rotation AND attached AND NOT taken));
			INSERT INTO most AS m SELECT name, away, begun FROM now ON CONFLICT (name) DO UPDATE
				SET away = greatest(m.away, excluded.away), begun = greatest(m.begun, excluded.begun);
			COMMIT;
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	CREATE TABLE moved (ord bigserial, process text, step_id bigint, phase text, old_number bigint, number bigint, old_state text, state text,
		old_stage text, stage text, worker text, incarnation text);
	CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.moved (process, step_id, phase, old_number, number, old_state, state, old_stage, stage, worker, incarnation)
		SELECT current_setting('application_name'), NEW.plan_id * 1000 + NEW.place, p.phase[NEW.place], OLD.number, NEW.number, OLD.state, NEW.state, OLD.stage, NEW.stage,
			OLD.worker, OLD.incarnation FROM zdu.step_plan p WHERE p.plan_id = NEW.plan_id;
		RETURN NULL;
	END $$;
	CREATE TRIGGER move AFTER UPDATE ON zdu.flight FOR EACH ROW
		WHEN (OLD.place = NEW.place AND (OLD.number <> NEW.number OR OLD.state <> NEW.state OR OLD.stage <> NEW.stage)) EXECUTE FUNCTION move();
	CREATE FUNCTION be_past() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.moved (process, step_id, phase, old_number, number, old_state, state, stage, worker, incarnation)
		SELECT current_setting('application_name'), NEW.step_id, p.phase[NEW.place], NEW.number, NEW.number, 'running', NEW.state, NEW.stage,
			NEW.worker, NEW.incarnation FROM zdu.step_plan p WHERE p.plan_id = NEW.step_id / 1000;
		RETURN NULL;
	END $$;
	CREATE TRIGGER be_past AFTER INSERT ON zdu.step_past FOR EACH ROW WHEN (NEW.number > 0) EXECUTE FUNCTION be_past()});

# ------------------------------------------------------------ the workers

my @seat;
my $processes = 0;

sub start_worker
{
	my ($seat, $name) = @_;

	$seat->{name} = $name;
	$seat->{woken} = undef;
	$seat->{worker} = $zdu->start_as('p' . ++$processes, '--name', $name, '--cluster', 'shop', '--slots', '24');
}

# What happens to a worker: after how many seconds it is there again, and under which name.
my @fates = (
	{ word => 'killed, at once there again by its name', away => sub { 0 }, same => 1 },
	{ word => 'killed, at once there again by another name', away => sub { 0 }, same => 0 },
	{ word => 'killed, back after a while by its name', away => sub { rand(2 * LEASE) }, same => 1 },
	{ word => 'killed, back after a while by another name', away => sub { rand(2 * LEASE) }, same => 0 },
	{ word => 'stopped, woken before its lease is over', stop => 1, away => sub { rand(LEASE / 2) } },
	{ word => 'stopped, woken after that', stop => 1, away => sub { LEASE + rand(2 * LEASE) } },
);

sub strike
{
	my ($seat, $fate) = @_;
	my $pid = $seat->{worker}{pid};

	kill($fate->{stop} ? 'STOP' : 'KILL', $pid);
	unless ($fate->{stop})
	{
		$zdu->ended($seat->{worker}, 10);
		$seat->{worker} = undef;
	}
	$seat->{name} .= "'" unless $fate->{stop} || $fate->{same};
	$seat->{woken} = time() + $fate->{away}->();
	return $fate->{word};
}

sub wake
{
	my ($seat) = @_;

	return start_worker($seat, $seat->{name}) unless $seat->{worker};
	kill 'CONT', $seat->{worker}{pid};
	$seat->{woken} = undef;
}

# ------------------------------------------------------------ one run

# Deals what the nodes are, and the limits; returns the budgets as the test knows them.
sub deal
{
	my %is = map { $_ => { zone => ('a' .. 'd')[rand 4], role => rand() < 0.3 ? 'batch' : 'web', rack => int(rand 10), node_group => rand() < 0.2 ? 'blue' : 'default' } } @names;
	my @budgets = (
		{ name => 'all', at_once => 20 + int(rand 10), max_failures => 6 },
		{ name => 'zone', zone => 'a', at_once => 4 + int(rand 5) },
		{ name => 'role', role => 'batch', share => 8 + int(rand 5) },
		{ name => 'label', rack => int(rand 10), at_once => 2 + int(rand 2) },
		{ name => 'group', node_group => 'blue', at_once => 3 + int(rand 3) },
		{ name => 'rate', zone => 'b', max_begun => 12 + int(rand 8) },
		{ name => 'failures', role => 'web', max_failures => 1 },
	);
	my $rows = sub { return join(', ', map { my $row = $_; '(' . join(', ', map { defined $row->{$_} ? "'$row->{$_}'" : 'NULL' } @_) . ')' } @{ shift @_ }) };

	$is{$_}{name} = $_ for @names;
	for my $b (@budgets)
	{
		$b->{member} = { map { $_ => 1 } grep { my $n = $is{$_}; !grep { defined $b->{$_} && $b->{$_} ne $n->{$_} } qw(zone role rack node_group) } @names };
		# D10: shares round down.
		$b->{at_once} = max(1, int($b->{share} * keys(%{ $b->{member} }) / 100)) if $b->{share};
		$b->{selector} = encode_json({ (map { $_ => $b->{$_} } grep { defined $b->{$_} } qw(zone role)),
			defined $b->{rack} ? (label => { rack => "$b->{rack}" }) : (), defined $b->{node_group} ? (group => $b->{node_group}) : () });
		$b->{given} = $b->{share} ? "$b->{share}%" : $b->{at_once};
		$b->{per_interval} = $b->{max_begun} ? RATE_INTERVAL . ' s' : undef;
	}
	$zdu->sql(sprintf(q{
		SELECT zdu_set_policy('shop', settings => '{"max_unavailable": "%d", "max_failures": %d, "lease": "%d s", "heartbeat_ttl": "10 min", "min_healthy_time": "0 s"}');
		SELECT zdu_set_cluster('shop', policy => 'shop');
		SELECT zdu_set_node('shop', name, zone => zone, role => role, labels => jsonb_build_object('rack', rack)) FROM (VALUES %s) n (name, zone, role, rack);
		SELECT zdu_drop_group('shop', 'blue') FROM zdu.node_group WHERE name = 'blue';
		SELECT zdu_set_group('shop', 'blue', ARRAY(SELECT unnest('{%s}'::text[])));
		SELECT zdu_drop_budget('shop', name) FROM zdu.budget;
		SELECT zdu_set_budget('shop', name, selector => selector::jsonb, max_unavailable => given, max_begun => max_begun::int, per_interval => per_interval::interval,
			max_failures => max_failures::int) FROM (VALUES %s) b (name, selector, given, max_begun, per_interval, max_failures);
		TRUNCATE bound, most, looked, moved;
		INSERT INTO bound SELECT name, zone, role, rack, node_group, at_once::int, max_begun::int FROM (VALUES %s) b (name, zone, role, rack, node_group, at_once, max_begun);
		INSERT INTO looked VALUES (0, %d)},
		$budgets[0]{at_once}, $budgets[0]{max_failures}, LEASE,
		$rows->([ values %is ], qw(name zone role rack)), join(',', grep { $is{$_}{node_group} eq 'blue' } @names),
		$rows->([ @budgets[ 1 .. $#budgets ] ], qw(name selector given max_begun per_interval max_failures)),
		$rows->(\@budgets, qw(name zone role rack node_group at_once max_begun)), NODES));
	return @budgets;
}

# Returns what zdu says: whether all is done, how it runs, how many failed.
sub standing
{
	return split(/\|/, $zdu->sql(q{SELECT f.state = 'READY_TO_RUN_UPGRADE_TASKS' AND f.taken = 0 AND NOT EXISTS (SELECT FROM zdu.node WHERE NOT attached OR NOT in_rotation), u.run,
		(SELECT count(*) FROM zdu.flight WHERE state = 'failed')
		FROM zdu.cluster_facts f JOIN zdu.upgrade u ON u.cluster_id = f.cluster_id AND u.ended_at IS NULL WHERE f.name = 'shop'}));
}

# Rolls all nodes to a version, with faults; returns how often what happened, and whether it came to its end.
sub roll
{
	my ($version) = @_;
	my %did = (done => 0, 'zdu_retry' => 0, detached => 0, 'detach refused' => 0);
	my $began = time();
	my @strikes = sort { $a <=> $b } map { $began + 0.3 + rand(8) } 1 .. FAULTS;
	# Each fate once at least.
	my @dealt = shuffle(@fates, map { $fates[rand @fates] } @fates + 1 .. FAULTS);
	my @sick = (shuffle(@names))[ 0 .. 5 ];
	my @out;

	spew("$zdu->{nodes}/$_.fails", '') for @sick;
	$zdu->sql("SELECT zdu_begin('shop', '$version')");
	while (time() < $began + LATEST)
	{
		my ($done, $run, $failed) = standing();

		for my $seat (grep { defined $_->{woken} && $_->{woken} <= time() } @seat)
		{
			wake($seat);
		}
		last if $done eq 't' && !@strikes && !grep { defined $_->{woken} } @seat;
		if (@strikes && $strikes[0] <= time())
		{
			my ($seat) = shuffle(grep { !defined $_->{woken} } @seat);

			if ($seat)
			{
				shift @strikes;
				$did{ strike($seat, shift @dealt) }++;
			}
		}
		# Somebody mends what failed, as soon as it is held and otherwise some time.
		if ($run eq 'held' || ($failed && rand() < 0.05))
		{
			unlink(map { "$zdu->{nodes}/$_.fails" } @sick) if $did{zdu_retry} > 0 || rand() < 0.5;
			$zdu->{pg}->psql('postgres', "SELECT zdu_retry('shop')");
			$did{zdu_retry}++;
		}
		# And takes nodes out by hand, at the price of the same budgets (D13).
		if (@strikes && rand() < 0.1)
		{
			my $node = $names[rand @names];
			my ($code) = $zdu->{pg}->psql('postgres', "SELECT zdu_detach('shop', '$node', 'a look at it')", on_error_stop => 1);

			push @out, $node if $code == 0;
			$did{ $code == 0 ? 'detached' : 'detach refused' }++;
		}
		elsif (@out && (!@strikes || rand() < 0.05))
		{
			$zdu->sql(sprintf(q{SELECT zdu_attach('shop', '%s', 'it is well')}, shift @out));
		}
		sleep 0.05;
	}
	unlink map { "$zdu->{nodes}/$_.fails" } @sick;
	$did{seconds} = time() - $began;
	($did{done}) = standing();
	return \%did;
}

# ------------------------------------------------------------ who counts afterwards

# How many of a budget's nodes are in a set.
sub among { my ($budget, $set) = @_; return scalar grep { $budget->{member}{$_} } keys %$set; }

# Notes the most that was ever seen of a budget, and what is over its limit.
sub note_most
{
	my ($seen, $budget, $kind, $count, $limit) = @_;

	$seen->{most}{"$kind $budget->{name}"} = max($seen->{most}{"$kind $budget->{name}"} // 0, $count);
	push @{ $seen->{over} }, "$count of $limit $kind, budget $budget->{name}" if $count > $limit;
}

# From what was written down: who is unavailable, begun and failed after each transaction of the run.
sub replay
{
	my ($budgets) = @_;
	my %seen = (over => [], most => {}, least => NODES, events => 0);
	my (%of, %away, %failed, %begun, @taken);
	my $transaction = '';
	my @events = map { [ split(/\|/, $_, -1) ] } split(/\n/, $zdu->sql(q{
		SELECT l.xmin, e.node, e.what, e.old, e.new, extract(epoch FROM e.at) FROM zdu.event e JOIN zdu.event_log l ON l.cluster = e.cluster AND l.log_id = e.event_id / 1000
		WHERE e.upgrade_id = (SELECT max(upgrade_id) FROM zdu.upgrade) AND e.node IS NOT NULL AND e.what IN ('node', 'rotation', 'taken', 'wish', 'step') ORDER BY e.event_id}));

	for my $event (@events, [ 'end' ])
	{
		my ($xmin, $node, $what, $old, $new, $at) = @$event;

		if ($xmin ne $transaction)
		{
			for my $budget (@$budgets)
			{
				note_most(\%seen, $budget, 'away', among($budget, \%away), $budget->{at_once}) if defined $budget->{at_once};
				# What fails may overdraw it, but nobody is taken then.
				note_most(\%seen, $budget, 'failed before one is taken', among($budget, \%failed), $budget->{max_failures})
					if defined $budget->{max_failures} && grep { $budget->{member}{$_} } @taken;
			}
			$seen{least} = min($seen{least}, NODES - keys %away);
			$transaction = $xmin;
			@taken = ();
		}
		last if $xmin eq 'end';
		$seen{events}++;
		if ($what eq 'step')
		{
			$failed{$node} = 1 if $new =~ / failed$/;
			delete $failed{$node} if $old eq 'failed';
			next;
		}
		if ($what eq 'taken' && $new eq 'yes')
		{
			push @taken, $node unless $failed{$node};
			for my $budget (grep { defined $_->{max_begun} && $_->{member}{$node} } @$budgets)
			{
				my $window = $begun{ $budget->{name} } //= [];

				push @$window, $at;
				# Seconds that somebody listened go on by steps of half a lease at most.
				shift @$window while $window->[0] <= $at - (RATE_INTERVAL - LEASE / 2);
				note_most(\%seen, $budget, 'begun', scalar @$window, $budget->{max_begun});
			}
		}
		$of{$node} //= { node => 'ACTIVE', rotation => 'in', taken => 'no', wish => 'attached' };
		$of{$node}{$what} = $new;
		delete $away{$node};
		$away{$node} = 1 if "@{ $of{$node} }{qw(node rotation taken wish)}" ne 'ACTIVE in no attached';
	}
	$seen{left} = keys %away;
	return \%seen;
}

# From the nodes' own word: who is away, and what was done to whom.
sub read_journal
{
	my ($budgets, $from) = @_;
	my %seen = (over => [], most => {}, least => NODES, stale => 0, begun => 0, twice => [], beside => [], again => []);
	my (%away, %running, %times, %highest);

	for (split(/\n/, substr(slurp($journal), $from)))
	{
		my ($node, $phase, $number, $word) = split / /;

		$seen{stale}++ if $word eq 'stale';
		if ($word eq 'begin')
		{
			$seen{begun}++;
			push @{ $seen{beside} }, "$node $phase $number after $highest{$node}" if $number < ($highest{$node} // 0);
			$highest{$node} = $number;
			$away{$node} = 1 if $phase eq 'isolate';
			push @{ $seen{over} }, "$node is told to $phase and not away" unless $away{$node};
			for my $budget (grep { defined $_->{at_once} } @$budgets)
			{
				note_most(\%seen, $budget, 'away', among($budget, \%away), $budget->{at_once});
			}
			$seen{least} = min($seen{least}, NODES - keys %away);
		}
		next unless $word eq 'end' || $word eq 'already';
		push @{ $seen{twice} }, "$node $phase $number" if $word eq 'already';
		# What goes on when another was begun ran beside it.
		push @{ $seen{beside} }, "$node $phase $number beside $highest{$node}" if $number < $highest{$node};
		$times{"$node $phase"}++;
		delete $away{$node} if $phase eq 'integrate';
	}
	$seen{again} = [ grep { $times{$_} != 1 && /(stop|start)$/ } keys %times ];
	$seen{left} = keys %away;
	return \%seen;
}

# Returns texts about moves of steps that their holder did not make, or by a token that is not the highest.
sub moved_by_others
{
	return $zdu->sql(q{
		SELECT 'step ' || step_id || ' of ' || worker || ' moved by ' || string_agg(DISTINCT process, ' and ') FROM
			(SELECT *, min(process) OVER (PARTITION BY incarnation) <> max(process) OVER (PARTITION BY incarnation) AS foreign FROM moved
			 WHERE phase <> 'soak' AND old_state = 'running' AND state IN ('running', 'pending', 'succeeded', 'failed') AND (old_stage <> stage OR old_state <> state)) m
		WHERE m.foreign GROUP BY step_id, worker
		UNION ALL SELECT 'step ' || step_id || ': ' || number || ' after ' || highest FROM
			(SELECT *, max(number) OVER (ORDER BY ord ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest FROM moved WHERE number <> old_number) g WHERE number < highest});
}

# ------------------------------------------------------------ the runs

my (%total, %most);

for my $i (1 .. WORKERS)
{
	push @seat, {};
	start_worker($seat[-1], "w$i");
}
$zdu->wait_seen('shop');
for my $run (1 .. $runs)
{
	my $seed = $first_seed + $run - 1;

	note("SEED=$seed");
	srand($seed);
	my @budgets = deal();
	my $from = -s $journal;
	my $onlooker = IPC::Run::start([ 'psql', '-X', '-q', '-d', $zdu->{pg}->connstr('postgres'), '-c', 'CALL look_on()' ]);
	my $did = roll("1.0.$run");
	my ($looks, $least_serving) = split(/\|/, $zdu->sql('DELETE FROM looked RETURNING looks, least_serving'));
	$onlooker->finish;
	my $said = replay(\@budgets);
	my $truth = read_journal(\@budgets, $from);
	my $by_tables = $zdu->sql(q{SELECT string_agg(m.away || ' away and ' || m.begun || ' begun, budget ' || b.name, ', ') FROM most m JOIN bound b USING (name)
		WHERE m.away > b.at_once OR m.begun > b.max_begun});
	my $with = "seed $seed";

	is($did->{done}, 't', "W1: all nodes come to the target, $with");
	is($by_tables, '', "D11: a session that looks $looks times finds no budget overdrawn, $with");
	is(join(', ', @{ $said->{over} }), '', "D11: nor does the log of $said->{events} events after any transaction, $with");
	is(join(', ', @{ $truth->{over} }), '', "D12: nor do the nodes themselves, told $truth->{begun} times to do something, $with");
	cmp_ok($looks, '>', 50, "D11: the session looks all the time, $with");
	cmp_ok(min($least_serving, $said->{least}, $truth->{least}), '>=', NODES - $budgets[0]{at_once}, "D14: so all but $budgets[0]{at_once} serve at every moment, $with");
	cmp_ok($truth->{most}{'away all'}, '>', $budgets[0]{at_once} / 2, "D10: and the budget is made use of, $with");
	is($said->{left} + $truth->{left}, 0, "D12: none is away at the end, $with");
	is(moved_by_others(), '', "W5: no step is moved on but by the process that holds it, and tokens rise, $with");
	is(join(', ', @{ $truth->{beside} }), '', "W4: no action runs beside another one on its node, $with");
	is(join(', ', @{ $truth->{twice} }, @{ $truth->{again} }), '', "W4: nothing is done twice, $with");
	cmp_ok($zdu->sql(q{SELECT count(DISTINCT process) FROM moved}), '>=', WORKERS, "D11: all workers had their share, $with");
	$total{$_} += $did->{$_} for grep { $_ ne 'done' } keys %$did;
	$total{stale} += $truth->{stale};
	$total{looks} += $looks;
	$total{events} += $said->{events};
	$total{begun} += $truth->{begun};
	$most{$_} = max($most{$_} // 0, $truth->{most}{$_}) for keys %{ $truth->{most} };
	last if $did->{done} ne 't';
	$zdu->sql(q{SELECT zdu_finalize('shop')});
}
note(sprintf('%d runs: %s', $runs, join(', ', map { sprintf('%s %.0f', $_, $total{$_}) } sort keys %total)));
note(join(', ', map { "$_ at most $most{$_}" } sort keys %most));
is($zdu->stop($_->{worker}), 0, 'W4: a worker ends well') for @seat;

done_testing();
