# Traffic.pm: the users of a product: processes that ask, one request after another, until
# SIGTERM.  Each finishes what it is at; the sum of what they saw is printed at the end:
#
#   requests=N failed=N
#
# Nothing is asked twice: HTTP::Tiny repeats a request on a connection that was closed
# under it, which would hide just what we look for.
package Traffic;

use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Time::HiRes qw(sleep time);

use parent -norequire => 'Traffic::Once';

my $told = 0;

# Traffic->run(URL, [COUNT, PAUSE, SUB], ...): COUNT users who call SUB with a Traffic, and
# their number, again and again, with a PAUSE of so many seconds between.
sub run
{
	my ($class, $url, @kinds) = @_;
	my ($number, %users) = (0);

	$SIG{TERM} = 'IGNORE';
	$| = 1;
	for my $kind (@kinds)
	{
		my ($count, $pause, $use) = @$kind;

		for (1 .. $count)
		{
			pipe(my $in, my $out) or die "pipe: $!";
			my $pid = fork() // die "fork: $!";

			$number++;
			if ($pid == 0)
			{
				my $user = $class->new(timeout => 60, keep_alive => 1, no_proxy => ['127.0.0.1']);

				@$user{qw(url requests failed)} = ($url, 0, 0);
				$user->serve($number, $pause, $use);
				print $out "$user->{requests} $user->{failed}\n";
				close $out;
				exit 0;
			}
			$users{$pid} = $in;
		}
	}
	local $SIG{TERM} = sub { kill TERM => keys %users };

	my ($requests, $failed) = (0, 0);

	for my $pid (keys %users)
	{
		my $in = $users{$pid};
		my $line;

		# A signal interrupts reading.
		$line = <$in> until defined $line || eof($in);
		die "a user broke off\n" unless defined $line;
		my @seen = split ' ', $line;

		$requests += $seen[0];
		$failed += $seen[1];
		waitpid $pid, 0;
	}
	print "requests=$requests failed=$failed\n";
}

sub serve
{
	my ($self, $number, $pause, $use) = @_;
	my $leaving = 0;

	local $SIG{TERM} = sub { $leaving = 1 };
	until ($leaving)
	{
		$use->($self, $number);
		sleep $pause;
	}
}

# Asks, counts, and returns the decoded body, or undef if the status was not the one wanted.
sub ask
{
	my ($self, $method, $path, $wanted, $headers, $body) = @_;
	my %options = (headers => { %{ $headers // {} } });

	if (defined $body)
	{
		$options{headers}{'Content-Type'} = 'application/json';
		$options{content} = encode_json($body);
	}
	my $answer = $self->request($method, $self->{url} . $path, \%options);

	$self->{requests}++;
	return $self->fail("$method $path", "status $answer->{status}: " . substr($answer->{content} // '', 0, 300))
		if $answer->{status} != $wanted;
	return {} if ($answer->{content} // '') eq '' || ($answer->{headers}{'content-type'} // '') !~ /json/;
	return eval { decode_json($answer->{content}) } // $self->fail("$method $path", "not JSON: $@");
}

# Counts a failure; the first of them are told.
sub fail
{
	my ($self, $what, $seen) = @_;
	my @now = localtime;

	$self->{failed}++;
	printf STDERR "%02d:%02d:%02d %s: %s\n", @now[2, 1, 0], $what, $seen if $told++ < 20;
	return undef;
}

package Traffic::Once;

use parent -norequire => 'HTTP::Tiny';

# With another beginning of the message HTTP::Tiny takes the failure for a final one.
sub _request
{
	my ($self, @arguments) = @_;
	my $answer = eval { $self->SUPER::_request(@arguments) };

	return $answer if defined $answer;
	die ref $@ ? $@ : "once: $@";
}

1;
