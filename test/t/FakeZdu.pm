
# FakeZdu: a real worker and a database that only pretends to be zdu.
#
# Its zdu_work() writes down each report and answers with the rows of fake.held.
# How the rows change is scripted: fake.reaction says, by token, verb and state,
# what a report turns its row into.  So each test sees exactly what the worker
# makes of an answer.
package FakeZdu;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Temp qw(tempdir);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_for alive);

my $schema = <<'SQL';
CREATE SCHEMA zdu;
CREATE TABLE zdu.cluster (cluster_id int, name text, runbook text);
CREATE SCHEMA fake;
CREATE TABLE fake.held (token text, node text, phase text, attempt int DEFAULT 1,
	verb text, args jsonb, deadline float DEFAULT 60, lease float DEFAULT 30);
CREATE TABLE fake.reaction (id serial, token text, verb text, state text, becomes text, args jsonb);
CREATE TABLE fake.report (id serial, at timestamptz DEFAULT clock_timestamp(), cluster text,
	report jsonb, call int);
CREATE TABLE fake.call (id serial, at timestamptz DEFAULT clock_timestamp(), worker text,
	incarnation text, cluster text, slots int, node text, programs text[], leaving boolean);
CREATE FUNCTION zdu_work(worker text, incarnation text, cluster text, reports json DEFAULT '[]',
	slots int DEFAULT 0, for_node text DEFAULT NULL, programs text[] DEFAULT NULL, protocol int DEFAULT 1,
	leaving boolean DEFAULT false)
RETURNS TABLE (token text, node text, phase text, attempt int, verb text, args jsonb,
	deadline double precision, lease double precision, sqlstate text, message text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	one jsonb;
	call_id int;
	reaction fake.reaction;
BEGIN
	INSERT INTO fake.call (worker, incarnation, cluster, slots, node, programs, leaving)
	VALUES ($1, $2, $3, $5, $6, $7, $9) RETURNING id INTO call_id;
	FOR one IN SELECT value::jsonb FROM json_array_elements(reports)
	LOOP
		INSERT INTO fake.report (cluster, report, call) VALUES ($3, one, call_id);
		IF one->>'state' = 'released' THEN
			DELETE FROM fake.held h WHERE h.token = one->>'token';
		END IF;
		IF one->>'token' IS NULL THEN
			DELETE FROM fake.held h WHERE h.token IS NULL AND h.node = one->>'node';
		END IF;
		DELETE FROM fake.reaction r WHERE r.id = (
			SELECT min(x.id) FROM fake.reaction x
			WHERE x.token = one->>'token' AND x.verb = one->>'verb' AND x.state = one->>'state')
		RETURNING * INTO reaction;
		IF reaction.becomes = 'stale' THEN
			RETURN QUERY SELECT one->>'token', NULL, NULL, NULL::int, 'error', NULL::jsonb,
				NULL::float, NULL::float, 'ZD003', 'stale token';
		ELSIF reaction.becomes = 'gone' THEN
			DELETE FROM fake.held h WHERE h.token = one->>'token';
		ELSIF reaction.becomes IS NOT NULL THEN
			UPDATE fake.held h SET verb = reaction.becomes, args = coalesce(reaction.args, h.args)
			WHERE h.token = one->>'token';
		END IF;
	END LOOP;
	RETURN QUERY SELECT h.token, h.node, h.phase, h.attempt, h.verb, h.args, h.deadline, h.lease,
		NULL, NULL FROM fake.held h;
END $$;
INSERT INTO zdu.cluster VALUES (1, 'shop', 'fake'), (2, 'bare', NULL);
SQL

sub new
{
	my ($class) = @_;
	my $pg = PostgreSQL::Test::Cluster->new('zdu');

	$pg->init;
	$pg->start;
	$pg->safe_psql('postgres', $schema);
	return bless {
		pg => $pg,
		runbooks => tempdir(CLEANUP => 1),
		workers => [],
	}, $class;
}

sub pg { return $_[0]->{pg}; }
sub sql { my ($self, $sql) = @_; return $self->{pg}->safe_psql('postgres', $sql); }

# Puts a program into the runbook directory.
sub program
{
	my ($self, $name, $text) = @_;
	my $path = "$self->{runbooks}/$name";

	open(my $file, '>', $path) or die "$path: $!";
	print $file "#!/bin/sh\n$text\n";
	close $file;
	chmod 0755, $path;
}

sub binary
{
	my $build = $ENV{ZDU_BUILD} // '.';
	return -x "$build/zdu_worker" ? "$build/zdu_worker" : "$build/src/worker/zdu_worker";
}

# Starts a worker.
sub start
{
	my ($self, @options) = @_;

	return $self->start_as('zdu_worker', @options);
}

# Starts one whose session goes by that application_name.
sub start_as
{
	my ($self, $application, @options) = @_;
	my $worker = {};

	# Files, not pipes: nobody reads while a test waits.
	$worker->{$_} = File::Temp->new for 'out', 'log';
	$worker->{run} = IPC::Run::start(
		[ binary(), $self->{pg}->connstr('postgres') . " application_name=$application", '--runbooks', $self->{runbooks}, @options ],
		'<', '/dev/null', '>', $worker->{out}->filename, '2>', $worker->{log}->filename);
	$worker->{pid} = $worker->{run}->{KIDS}[0]{PID};
	push @{ $self->{workers} }, $worker;
	return $worker;
}

# Returns what a worker has printed so far: 'out', or 'log'.
sub printed
{
	my ($self, $worker, $what) = @_;

	open(my $file, '<', $worker->{$what}->filename) or die $!;
	local $/;
	return scalar <$file> // '';
}

# Runs a worker to its end and returns (exit code, stdout, stderr).
sub run
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ binary(), @arguments ], '<', \'', '>', \$out, '2>', \$err,
		IPC::Run::timeout(30));
	return ($? >> 8, $out, $err);
}

# Waits for a worker to end; returns its exit code, or undef after $seconds.
sub ended
{
	my ($self, $worker, $seconds) = @_;
	my $until = time() + $seconds;

	while (alive($worker->{pid}))
	{
		return undef if time() > $until;
		sleep 0.02;
	}
	$worker->{run}->finish;
	@{ $self->{workers} } = grep { $_ != $worker } @{ $self->{workers} };
	return $worker->{run}->full_result(0) & 127 ? 'signal' : $worker->{run}->full_result(0) >> 8;
}

sub stop
{
	my ($self, $worker) = @_;

	kill 'TERM', $worker->{pid};
	return $self->ended($worker, 10);
}

# The worker holds this step from now on.
sub hold
{
	my ($self, %row) = @_;
	my $args = encode_json({ list => JSON::PP::false, every => 0.2, timeout => 30, %{ $row{args} } });

	$self->sql(sprintf q{INSERT INTO fake.held (token, node, phase, verb, args, deadline, lease)
		VALUES (%s, '%s', '%s', '%s', $j$%s$j$, %s, %s); NOTIFY zdu},
		defined $row{token} ? "'$row{token}'" : 'NULL', $row{node} // 'app1', $row{phase} // 'stop',
		$row{verb} // 'probe', $args, $row{deadline} // 60, $row{lease} // 30);
}

# A report of this token, verb and state makes its row something else.
sub react
{
	my ($self, $token, $verb, $state, $becomes, $args) = @_;

	$self->sql(sprintf q{INSERT INTO fake.reaction (token, verb, state, becomes, args)
		VALUES ('%s', '%s', '%s', '%s', %s)}, $token, $verb, $state, $becomes,
		$args ? '$j$' . encode_json({ list => JSON::PP::false, every => 0.2, timeout => 30, %$args }) . '$j$' : 'NULL');
}

# Returns the reports whose SQL condition holds, once there are at least $count of them.
sub reports
{
	my ($self, $condition, $count) = @_;
	my @found;

	wait_for(sub {
		@found = split /\n/, $self->sql("SELECT report FROM fake.report WHERE $condition ORDER BY id");
		return @found >= ($count // 1);
	});
	return map { JSON::PP->new->decode($_) } @found;
}

sub clear
{
	my ($self) = @_;

	$self->sql('TRUNCATE fake.held, fake.reaction, fake.report, fake.call; NOTIFY zdu');
}

# Waits up to 15 s for a condition; returns whether it came.
sub wait_for
{
	my ($condition) = @_;
	my $until = time() + 15;

	while (time() < $until)
	{
		return 1 if $condition->();
		sleep 0.03;
	}
	return 0;
}

# Returns whether a process lives (and is no zombie).
sub alive
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $line = <$file> // '';
	return $line =~ /\) Z / ? 0 : $line ne '';
}

sub DESTROY
{
	my ($self) = @_;

	kill 'KILL', $_->{pid} for @{ $self->{workers} };
}

1;
