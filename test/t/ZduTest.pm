
# ZduTest: PostgreSQL with zdu, real workers, and simulated nodes.
#
# A simulated node is a directory, NODES/CLUSTER/NODE, with what it is in the file
# `state`.  The worker changes and looks at it through the program `sim`, which
# keeps a log of its own of all that it was told to do:
#
#   begin PHASE TOKEN    the action begins
#   end PHASE TOKEN      it is over, and has changed something
#   already PHASE TOKEN  it is over, and found that it was not needed
#   hang PHASE TOKEN     it waits to be let go
#
# Files beside `state` tell it to behave badly, see order().
package ZduTest;

use strict;
use warnings FATAL => 'all';

use parent 'FakeZdu';

use Exporter 'import';
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(@phases wait_until site slurp spew);

# In the order of their happening; the last two only look.
our @phases = qw(isolate drain stop upgrade start integrate verify soak);

my $program = <<'SH';
cd NODES/$ZDU_CLUSTER/${ZDU_NODE:-tasks} || exit 64
phase=$ZDU_PHASE
. ./state

hang()
{
	test -e $phase.hang || return 0
	echo hang $phase $ZDU_TOKEN >>log
	while test -e $phase.hang; do sleep 0.02; done
}

show()
{
	printf 'in=%s requests=%s running=%s installed=%s version=%s\n' $in $requests $running $installed $version
}

if test $ZDU_VERB = probe; then
	case $phase in verify|soak) hang; . ./state ;; esac
	test $running = true && offline=false || offline=true
	printf '{"in": %s, "requests": %s, "running": %s, "installed": "%s", "version": "%s", "offline": %s}\n' \
		$in $requests $running $installed $version $offline
	exit
fi

echo begin $phase $ZDU_TOKEN >>log
hang
test ! -e delay || read -r seconds <delay && sleep ${seconds:-0}
test ! -e $phase.nothing || exit 0
if test -e $phase.fail && grep -qx "$ZDU_VERSION" $phase.fail; then
	echo "OutOfMemoryError in $ZDU_VERSION" >&2
	exit 1
fi
before=$(show)
case $phase in
isolate) in=false ;;
drain) requests=0 ;;
stop) running=false ;;
upgrade) installed=$ZDU_VERSION ;;
start) running=true version=$installed ;;
integrate) in=true requests=1 ;;
before) running=true ;;
undo) running=false ;;
after) installed=$ZDU_VERSION ;;
esac
show >state.$$
mv state.$$ state
test "$(show)" = "$before" && word=already || word=end
echo $word $phase $ZDU_TOKEN >>log
SH

my %until = (
	isolate => '$.in == false',
	drain => '$.requests == 0',
	stop => '$.running == false',
	upgrade => '$.installed == $version',
	start => '$.running == true',
	verify => '$.running == true && $.version == $version',
	integrate => '$.in == true',
);

sub new
{
	my ($class) = @_;
	my $pg = PostgreSQL::Test::Cluster->new('zdu');
	my $self = bless {
		pg => $pg,
		runbooks => tempdir(CLEANUP => 1),
		nodes => tempdir(CLEANUP => 1),
		workers => [],
	}, $class;

	$pg->init;
	$pg->append_conf('postgresql.conf', 'log_statement = none');
	$pg->start;
	$self->sql('CREATE EXTENSION zdu');
	$self->program('sim', $program =~ s/NODES/$self->{nodes}/r);
	return $self;
}

# Returns a runbook for simulated nodes: %$phases is laid over its phases, %$rest over the whole.
sub runbook
{
	my ($self, $phases, $rest) = @_;
	my %node = map { $_ => { exec => 'sim', until => $until{$_}, every => '100ms', %{ $phases->{$_} // {} } } } keys %until;

	$node{verify}{only} = 'probe';
	return {
		zdu_runbook => 1,
		observe => { exec => 'sim', version => '$.version', active => '$.running == true', every => '1min' },
		node => \%node,
		%{ $rest // {} },
	};
}

sub quote
{
	my ($value) = @_;

	return '$json$' . JSON::PP->new->canonical->encode($value) . '$json$';
}

# Makes a cluster of simulated nodes app1, app2, ... that run 1.0.0.
#   nodes => 3, policy => {...}, phases => {...}, runbook => {...}
sub cluster
{
	my ($self, $name, %how) = @_;
	my $count = $how{nodes} // 3;
	my $policy = quote({ min_healthy_time => '0s', %{ $how{policy} // {} } });
	my $document = quote($self->runbook($how{phases}, $how{runbook}));

	for my $node ('tasks', map { "app$_" } 1 .. $count)
	{
		my $running = $node eq 'tasks' ? 'false' : 'true';

		make_path("$self->{nodes}/$name/$node");
		spew("$self->{nodes}/$name/$node/state", "in=true requests=1 running=$running installed=1.0.0 version=1.0.0\n");
	}
	$self->sql(qq{
		SELECT zdu_set_runbook('$name', $document);
		SELECT zdu_set_policy('$name', 'default', $policy);
		SELECT zdu_set_cluster('$name', policy => '$name', runbook => '$name');
		SELECT zdu_set_node('$name', 'app' || n) FROM generate_series(1, $count) n});
}

# Tells a node how to behave in a phase from now on:
#   hang     wait until it is told otherwise
#   fail     the action ends badly, for the version $text
#   nothing  the action says that it ended well and does nothing
# and, with the phase 'delay', how many seconds every action takes.
sub order
{
	my ($self, $cluster, $node, $phase, $how, $text) = @_;

	spew("$self->{nodes}/$cluster/$node/" . join('.', grep { defined } $phase, $how), ($text // '') . "\n");
}

# Takes such an order back.
sub undo_order
{
	my ($self, $cluster, $node, $phase, $how) = @_;

	unlink("$self->{nodes}/$cluster/$node/$phase.$how") or die "$cluster $node $phase $how: $!";
}

# Returns a node's log as a list of [word, phase, token].
sub log_of
{
	my ($self, $cluster, $node) = @_;
	my $path = "$self->{nodes}/$cluster/$node/log";

	return -e $path ? map { [ split / / ] } split(/\n/, slurp($path)) : ();
}

# Returns how often a node's log says this.
sub said
{
	my ($self, $cluster, $node, $word, $phase) = @_;

	return scalar grep { $_->[0] eq $word && $_->[1] eq $phase } $self->log_of($cluster, $node);
}

# Waits until every node of these clusters is seen to be ACTIVE, as a worker comes to see it.
sub wait_seen
{
	my ($self, @clusters) = @_;

	$self->wait_sql("SELECT count(*) = 0 FROM zdu.node n JOIN zdu.cluster c USING (cluster_id)
		WHERE (n.state <> 'ACTIVE' OR n.version IS NULL) AND c.name IN (" . join(', ', map { "'$_'" } @clusters) . ')');
}

# Waits until a column of the cluster's zdu.status has this value.
sub wait_status
{
	my ($self, $cluster, $column, $value) = @_;

	return $self->wait_sql("SELECT $column IS NOT DISTINCT FROM '$value' FROM zdu.status WHERE cluster = '$cluster'");
}

# Waits until nothing but zdu_finalize is left to do.
sub wait_ready
{
	my ($self, $cluster) = @_;

	return $self->wait_sql("SELECT state = 'READY_TO_RUN_UPGRADE_TASKS' AND taken = 0 FROM zdu.cluster_facts WHERE name = '$cluster'");
}

# Waits for a statement to give true; tells how things are if it never does.
sub wait_sql
{
	my ($self, $statement) = @_;

	return 1 if wait_until(sub { return ($self->{pg}->psql('postgres', $statement))[1] eq 't'; });
	Test::More::diag("waited in vain for: $statement");
	Test::More::diag($self->sql('TABLE zdu.status; SELECT cluster, node, what, old, new, reason FROM zdu.timeline OFFSET greatest(0, (SELECT count(*) FROM zdu.timeline) - 20)'));
	Test::More::diag(substr($self->printed($_, 'log'), -2000)) for @{ $self->{workers} };
	return 0;
}

# Waits up to a minute for a condition; returns whether it came.
sub wait_until
{
	my ($condition) = @_;
	my $until = time() + 60;

	until ($condition->())
	{
		return 0 if time() > $until;
		sleep 0.03;
	}
	return 1;
}

# Runs commands with the functions of demo/site.sh, in a directory of theirs; returns what they print.
sub site
{
	my ($work, $commands) = @_;
	my $build = $ENV{ZDU_BUILD} // '.';
	my ($out, $error) = ('', '');
	my $good = IPC::Run::run([ 'sh', '-c', ". '$build/test/cluster.sh'; . '$build/demo/site.sh'; $commands" ], '<', \'', '>', \$out, '2>', \$error,
		init => sub { $ENV{top} = $build; $ENV{work} = $work; });

	$good or Test::More::BAIL_OUT("$commands: $out$error");
	chomp $out;
	return $out;
}

sub slurp
{
	my ($path) = @_;

	open(my $file, '<', $path) or die "$path: $!";
	local $/;
	return scalar <$file> // '';
}

# Whoever reads the file sees it whole, before or after.
sub spew
{
	my ($path, $text) = @_;

	open(my $file, '>', "$path.new") or die "$path: $!";
	print $file $text;
	close $file;
	rename("$path.new", $path) or die "$path: $!";
}

1;
