
# Programs: runs the programs that ship with zdu as the worker would.
package Programs;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(act probe free_port wait_until);

my $runbooks = abs_path(dirname(__FILE__) . '/../../runbooks');

sub run_program
{
	my ($verb, $name, @arguments) = @_;
	my ($out, $err) = ('', '');
	my $done = IPC::Run::run([ "$runbooks/$name", @arguments ], '<', \'', '>', \$out, '2>', \$err,
		init => sub { %ENV = (PATH => $ENV{PATH}, HOME => $ENV{HOME}, ZDU_VERB => $verb); });

	return ($? >> 8, $out, $err);
}

# Returns the exit code of an action.
sub act
{
	my ($code, $out, $err) = run_program('act', @_);

	Test::More::note("@_: $out$err") if $code != 0;
	return $code;
}

# Returns what a look found, or {}.
sub probe
{
	my ($code, $out, $err) = run_program('probe', @_);

	Test::More::note("@_: $err") if $code != 0;
	return eval { decode_json($out) } // {};
}

# Returns a port of 127.0.0.1 that nobody listens on.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no port: $!";

	return $socket->sockport;
}

# Waits up to 10 s for a condition; returns whether it came.
sub wait_until
{
	my ($condition) = @_;
	my $until = time() + 10;

	while (time() < $until)
	{
		return 1 if $condition->();
		sleep 0.02;
	}
	return 0;
}

1;
