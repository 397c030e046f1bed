# Simulated: what the simulated products share.
#
# A simulated product stands in for one that cannot be had.  Each of its nodes is a
# process of its own; they share a directory, as real ones share a database or a file
# server, whose name is in $SIMULATED:
#
#   state.json    what the nodes agree about
#   calls         what they were sent, a line each: NODE METHOD PATH CODE BODY
#   orders/NAME   made by a test: behave badly, see told()
package Simulated;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Fcntl qw(:flock);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(_exit WNOHANG);
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(append change look ready record serve slurp told);

my $json = JSON::PP->new->canonical;

sub shared { return $ENV{SIMULATED} // die "SIMULATED is not set\n"; }

sub slurp
{
	my ($path) = @_;

	open(my $file, '<', $path) or return undef;
	local $/;
	return scalar(<$file>) // '';
}

sub append
{
	my ($path, $line) = @_;

	open(my $file, '>>', $path) or die "$path: $!";
	$file->autoflush;
	print $file "$line\n";
}

# Returns whether a test has told the product to do this.
sub told { return -e shared() . "/orders/$_[0]" ? 1 : 0; }

# What a node was sent, and what it answered.
sub record { append(shared() . '/calls', join(' ', @_)); }

# Calls back with the state, alone with it, and stores what becomes of it.
sub change
{
	my ($callback) = @_;
	my $path = shared() . '/state.json';

	open(my $lock, '>', "$path.lock") or die "$path.lock: $!";
	flock($lock, LOCK_EX) or die "flock: $!";
	my $text = slurp($path);
	my $state = defined $text ? $json->decode($text) : {};
	my @result = $callback->($state);

	open(my $file, '>', "$path.$$") or die "$path: $!";
	print $file $json->encode($state);
	close $file;
	rename("$path.$$", $path) or die "$path: $!";
	return wantarray ? @result : $result[0];
}

# Returns the state as it is.
sub look { return $json->decode(slurp(shared() . '/state.json') // '{}'); }

# As a unit of type notify: from now on it is started.
sub ready { append($ENV{READY}, $$) if defined $ENV{READY}; }

# Returns a request as a hash: method, path, query, headers, body, form; undef: none came.
sub read_request
{
	my ($client) = @_;
	my $line = <$client> // return undef;
	my %request = (headers => {}, query => {}, form => {}, body => '');

	my ($method, $target) = $line =~ m{^([A-Z]+) (\S+) HTTP/1\.[01]\r?\n} or return undef;
	$request{method} = $method;
	($request{path}, my $query) = split /\?/, $target, 2;
	%{ $request{query} } = ($query // '') =~ /([^=&]+)=([^&]*)/g;
	while (defined($line = <$client>))
	{
		last if $line =~ /^\r?\n$/;
		$request{headers}{ lc $1 } = $2 if $line =~ /^([^:]+):\s*(.*?)\r?\n$/;
	}
	my $length = $request{headers}{'content-length'} // 0;
	read($client, $request{body}, $length) if $length > 0;
	if (($request{headers}{'content-type'} // '') =~ /^multipart\/form-data;.*boundary=(\S+)/)
	{
		for my $part (split /--\Q$1\E(?:--)?\r\n/, $request{body})
		{
			my ($name, $file, $text) = $part =~ /name="([^"]*)"(?:; filename="([^"]*)")?.*?\r\n\r\n(.*)\r\n/s or next;

			$request{form}{$name} = defined $file ? { file => $file, content => $text } : $text;
		}
	}
	elsif ($length > 0)
	{
		%{ $request{form} } = $request{body} =~ /([^=&]+)=([^&]*)/g;
	}
	return \%request;
}

sub answer
{
	my ($client, $code, $content) = @_;
	my $body = ref $content ? $json->encode($content) : $content;
	my $type = ref $content ? 'application/json' : 'text/plain';
	my %reasons = (200 => 'OK', 201 => 'Created', 400 => 'Bad Request', 401 => 'Unauthorized', 404 => 'Not Found',
		409 => 'Conflict', 500 => 'Internal Server Error', 503 => 'Service Unavailable');

	print $client "HTTP/1.1 $code $reasons{$code}\r\nContent-Type: $type\r\nContent-Length: ", length($body), "\r\nConnection: close\r\n\r\n$body";
}

# Answers requests, each in a process of its own, until it is told to end: then it takes
# no more, finishes those under way, calls $stopping and returns.
sub serve
{
	my ($node, $address, $port, $handler, $stopping) = @_;
	my $server = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 100, ReuseAddr => 1)
		or die "$address:$port: $!\n";
	my $waiting = IO::Select->new($server);
	my $ending = 0;

	local $SIG{TERM} = sub { $ending = 1; };
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = sub { };
	ready();
	until ($ending)
	{
		my $client = $waiting->can_read(0.1) ? $server->accept : undef;

		1 while waitpid(-1, WNOHANG) > 0;
		next unless $client;
		my $pid = fork() // die "fork: $!";
		next if $pid != 0;

		# A child: what goes wrong here is an answer too.
		$SIG{TERM} = 'DEFAULT';
		my $request = read_request($client) // _exit(0);
		my ($code, $content) = eval { $handler->($request) };
		($code, $content) = (500, "$@") if !defined $code;
		record($node, $request->{method}, $request->{path}, $code, $request->{body} =~ tr/\r\n/  /r);
		answer($client, $code, $content);
		close $client;
		_exit(0);
	}
	close $server;
	$stopping->() if $stopping;
	1 while wait() > 0;
}

1;
