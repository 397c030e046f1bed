# The program nginx-upstream takes a node out of a real NGINX and puts it back.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use File::Temp qw(tempdir);
use Programs qw(act probe free_port wait_until);
use Test::More;

$ENV{PATH} .= ':/usr/sbin:/sbin';
plan skip_all => 'no nginx here' if system('command -v nginx >/dev/null') != 0;

my $dir = tempdir(CLEANUP => 1);
my ($front, $one, $two) = (free_port(), free_port(), free_port());
my @options = ('-p', $dir, '-c', 'nginx.conf', '-e', "$dir/error.log");
my @nodes = ('-p', $dir, '-c', 'nodes.conf', '-e', "$dir/error.log");
my $upstream = "$dir/shop.upstream";

sub spew
{
	my ($path, $text) = @_;

	open(my $file, '>', $path) or die "$path: $!";
	print $file $text;
	close $file;
}

sub slurp
{
	open(my $file, '<', $_[0]) or die "$_[0]: $!";
	local $/;
	return scalar <$file>;
}

# Returns which nodes answered $count requests.
sub nodes
{
	my ($count) = @_;
	my %seen;

	$seen{ `curl -s http://127.0.0.1:$front/` } = 1 for 1 .. $count;
	return join ' ', sort keys %seen;
}

mkdir "$dir/tmp";
spew($upstream, "# the nodes\nserver 127.0.0.1:$one weight=1;\n  server 127.0.0.1:$two;\n");
spew("$dir/nginx.conf", <<"CONF");
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
	uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
	upstream shop { include $upstream; }
	server { listen 127.0.0.1:$front; location / { proxy_pass http://shop; } }
}
CONF

# (Not 20k: NGINX 1.22 was seen to drop, at a reload, a proxied response that
# pauses after just filling its buffers of 4 KiB.)
spew("$dir/nodes.conf", <<"CONF");
pid nodes.pid;
events {}
http {
	access_log off;
	client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
	uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
	server { listen 127.0.0.1:$one; location / { return 200 one; }
		location /slow { root $dir; limit_rate 19000; } }
	server { listen 127.0.0.1:$two; location / { return 200 two; }
		location /slow { root $dir; limit_rate 19000; } }
}
CONF
spew("$dir/slow", 'x' x 40_000);
system('nginx', $_->@*) == 0 or BAIL_OUT('nginx does not start') for \@nodes, \@options;
wait_until(sub { nodes(1) ne '' });

my @program = ('nginx-upstream', $upstream, "127.0.0.1:$one");

is(nodes(20), 'one two', 'W2: both nodes behind NGINX are asked at first');
is(probe(@program, 'drain', @options)->{state}, 'ready', 'W2: the probe sees a node that NGINX asks');

# A request that is under way when the node is taken out.
open(my $slow, '-|', "curl -s http://127.0.0.1:$front/slow | wc -c") or die "curl: $!";
select undef, undef, undef, 0.3;

is(act(@program, 'drain', @options), 0, 'W2: taking a node out of an NGINX upstream succeeds');
is(nodes(20), 'two', 'W2: NGINX asks only the other node then');
my $seen = probe(@program, 'drain', @options);
is("$seen->{state} $seen->{loaded}", 'drain 1', 'W2: the probe sees that it is out, and that NGINX knows');
is($seen->{draining}, 1, 'D1: a request under way is seen as not drained');
is(0 + <$slow>, 40_000, 'D1: and it is finished');
close $slow;
ok(wait_until(sub { probe(@program, 'drain', @options)->{draining} == 0 }), 'D1: then the node is drained');

is(act(@program, 'drain', @options), 0, 'W2: taking it out again changes nothing');
is(nodes(10), 'two', 'W2: and it stays out');

# What a worker leaves that dies between the change and the reload.
spew($upstream, slurp($upstream) . "# changed\n");
is(probe(@program, 'drain', @options)->{loaded}, JSON::PP::false, 'W2: a change that NGINX does not know yet is seen as such');

is(act(@program, 'ready', @options), 0, 'W2: putting it back succeeds');
is(nodes(20), 'one two', 'W2: both are asked again');
is(probe(@program, 'ready', @options)->{state}, 'ready', 'W2: the probe sees it');
is(probe('nginx-upstream', $upstream, '10.9.8.7:1', 'drain', @options)->{present}, JSON::PP::false,
	'W2: a server that is not in the file is not present');

my $before = slurp($upstream);
is(act('nginx-upstream', $upstream, '10.9.8.7:1', 'drain', @options), 65, 'W2: and cannot be taken out');
is(act('nginx-upstream', $upstream, '1; evil', 'drain', @options), 64, 'W2: nor can what is no server');
is(slurp($upstream), $before, 'W2: which leaves the file as it was');

system('nginx', $_->@*, '-s', 'stop') for \@options, \@nodes;
wait_until(sub { !-e "$dir/nginx.pid" && !-e "$dir/nodes.pid" });
done_testing();
