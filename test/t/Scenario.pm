# Scenario: what the scenario tests share, one test a document.
#
# A scenario walks a document from its first sentence to its last.  The server, zdu, the
# worker, the shipped runbooks and programs and HAProxy are real; the product and its
# machines are simulated, see test/simulated.
package Scenario;

use strict;
use warnings FATAL => 'all';

use parent 'ZduTest';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(_exit);
use Programs;
use Test::More ();
use Time::HiRes qw(sleep time);
use ZduTest qw(slurp spew wait_until);

our @EXPORT_OK = qw(get refused_by);

my @living;
my $simulated = abs_path(dirname(__FILE__) . '/../simulated');
my $build = abs_path($ENV{ZDU_BUILD} // '.');

# Scenario->new(versions => [...]): the versions that the machines' package archive has.
sub new
{
	my ($class, %how) = @_;
	my $self = $class->SUPER::new;
	my $work = $self->{work} = tempdir(CLEANUP => 1);

	make_path("$work/$_") for qw(bin machines shared/orders);
	# A program that the worker runs has PATH and HOME only.
	$ENV{SIMULATED} = "$work/shared";
	$ENV{MACHINES} = "$work/machines";
	$ENV{HOME} = $work;
	$ENV{PATH} = "$work/bin:$ENV{PATH}:/usr/sbin:/sbin";
	for my $command (qw(ssh sudo systemctl dpkg-query apt-cache apt-get))
	{
		spew("$work/bin/$command", "#!/bin/sh\nexport MACHINES='$ENV{MACHINES}' SIMULATED='$ENV{SIMULATED}'\nexec '$simulated/machine-simulated' $command \"\$@\"\n");
		chmod 0755, "$work/bin/$command";
	}
	spew("$work/machines/versions", join('', map { "$_\n" } @{ $how{versions} }));
	for my $program (grep { -x } glob("$build/runbooks/*"))
	{
		copy($program, $self->{runbooks}) or die "$program: $!";
		chmod 0755, "$self->{runbooks}/" . ($program =~ s/.*\///r);
	}
	$self->{loads} = [];
	push @living, $self;
	return $self;
}

# Makes a machine with a unit, whose command may say VERSION for the installed one.
#   address, unit, version, run => [...], dir of simulated programs is put before the first
sub machine
{
	my ($self, %how) = @_;
	my $dir = "$self->{work}/machines/$how{address}";
	my ($program, @arguments) = @{ $how{run} };

	make_path("$dir/$how{unit}", "$dir/orders");
	spew("$dir/package", "$how{version}\n");
	spew("$dir/$how{unit}/run", "exec '$simulated/$program' " .
		join(' ', map { $_ eq 'VERSION' ? '"$(cat ../package)"' : "'$_'" } @arguments) . "\n");
	$self->{units}{ $how{address} } = $how{unit};
}

# Does start or stop on a machine by hand.
sub unit
{
	my ($self, $address, $action) = @_;

	local $ENV{ZDU_VERB} = 'act';
	return system("$build/runbooks/ssh-systemd", $address, $action, $self->{units}{$address}) >> 8;
}

# Tells the simulated product to behave badly, or not any more.
sub tell { spew("$_[0]{work}/shared/orders/$_[1]", ''); }
sub untell { unlink("$_[0]{work}/shared/orders/$_[1]") or die "$_[1]: $!"; }

# The same for a machine: upgrade, start.
sub tell_machine { spew("$_[0]{work}/machines/$_[1]/orders/$_[2]", ''); }
sub untell_machine { unlink("$_[0]{work}/machines/$_[1]/orders/$_[2]") or die "$_[2]: $!"; }

# Returns what the product was sent: those of its lines that match.
sub calls
{
	my ($self, $pattern) = @_;
	my $path = "$self->{work}/shared/calls";

	return -e $path ? grep { /$pattern/ } split(/\n/, slurp($path)) : ();
}

# Returns the product's shared state.
sub state { return JSON::PP->new->decode(slurp("$_[0]{work}/shared/state.json")); }

# Starts HAProxy: balances node => address:port, asks $path of them; clients come to $port.
sub balance
{
	my ($self, $backend, $path, %nodes) = @_;
	my $dir = $self->{work};
	my $port = $self->{front} = Programs::free_port();

	spew("$dir/haproxy.cfg", <<"CONF" . join('', map { "\tserver $_ $nodes{$_}\n" } sort keys %nodes));
global
	stats socket $dir/haproxy.sock mode 600 level admin
defaults
	mode http
	retries 0
	timeout connect 2s
	timeout client 10s
	timeout server 10s
frontend www
	bind 127.0.0.1:$port
	default_backend $backend
backend $backend
	balance roundrobin
	option httpchk GET $path
	http-check expect status 200
	default-server check inter 200ms fall 2 rise 1
CONF
	system("haproxy -D -p $dir/haproxy.pid -f $dir/haproxy.cfg >$dir/haproxy.log 2>&1") == 0
		or Test::More::BAIL_OUT('HAProxy: ' . slurp("$dir/haproxy.log"));
	wait_until(sub { get("http://127.0.0.1:$port$path")->{status} == 200 });
	return $port;
}

# Starts clients who ask $path again and again; end_load() tells [requests, failed].
sub load
{
	my ($self, $path) = @_;

	pipe(my $in, my $out) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		my ($requests, $failed, $ending) = (0, 0, 0);

		local $SIG{TERM} = sub { $ending = 1; };
		until ($ending)
		{
			my $answer = get("http://127.0.0.1:$self->{front}$path");

			$requests++;
			if ($answer->{status} != 200)
			{
				$failed++;
				print STDERR "client: $answer->{status} $answer->{content}\n";
			}
			sleep 0.02;
		}
		syswrite($out, "$requests $failed\n");
		_exit(0);
	}
	close $out;
	push @{ $self->{loads} }, $pid;
	return { pid => $pid, in => $in };
}

sub end_load
{
	my ($self, $load) = @_;

	kill 'TERM', $load->{pid};
	my $line = readline($load->{in}) // '';
	waitpid $load->{pid}, 0;
	@{ $self->{loads} } = grep { $_ != $load->{pid} } @{ $self->{loads} };
	return split ' ', $line;
}

# Returns what an HTTP server answers.
sub get { return HTTP::Tiny->new(timeout => 10, keep_alive => 0)->get($_[0]); }

# Returns the SQLSTATE and detail by which a statement is refused, or 'not refused: ...'.
sub refused_by
{
	my ($self, $sql, @options) = @_;
	my ($code, $out, $err) = $self->{pg}->psql('postgres', "\\set VERBOSITY verbose\n$sql", @options);
	my ($state) = $err =~ /ERROR:  (\w{5}):/ or return "not refused: $out$err";

	return $err =~ /^DETAIL:  (.*)$/m ? "$state $1" : "$state $err";
}

# Returns one column of zdu_why that matches.
sub why
{
	my ($self, $cluster, $column, $condition) = @_;

	return $self->sql("SELECT $column FROM zdu_why('$cluster') WHERE $condition");
}

# Ends what was started, but for workers and servers, which end by themselves.
sub finish
{
	my ($self) = @_;

	kill 'TERM', @{ $self->{loads} };
	if (-e "$self->{work}/haproxy.pid")
	{
		kill 'TERM', split(/\n/, slurp("$self->{work}/haproxy.pid"));
		unlink "$self->{work}/haproxy.pid";
	}
	$self->unit($_, 'stop') for sort keys %{ $self->{units} };
	$self->{units} = {};
}

# Before the directories go that tell where everything is.
END
{
	local $?;
	eval { $_->finish; } for @living;
}

1;
