# The program apache-balancer takes a node out of a real Apache and puts it back.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use File::Temp qw(tempdir);
use Programs qw(act probe free_port wait_until);
use Test::More;

my $apache = '/usr/sbin/apache2';
my $modules = '/usr/lib/apache2/modules';
plan skip_all => 'no apache2 here' if !-x $apache || !-e "$modules/mod_proxy_balancer.so";

my $dir = tempdir(CLEANUP => 1);
my ($front, $one, $two) = (free_port(), free_port(), free_port());
my $load = join '', map { "LoadModule ${_}_module $modules/mod_$_.so\n" }
	grep { -e "$modules/mod_$_.so" }
	qw(mpm_event authz_core authz_host alias rewrite proxy proxy_http proxy_balancer slotmem_shm
	lbmethod_byrequests env ratelimit);

# Returns which nodes answered $count requests.
sub nodes
{
	my ($count) = @_;
	my %seen;

	$seen{ `curl -s http://127.0.0.1:$front/node` } = 1 for 1 .. $count;
	return join ' ', sort keys %seen;
}

for my $node ('one', 'two')
{
	mkdir "$dir/$node";
	open(my $file, '>', "$dir/$node/node") or die $!;
	print $file $node;
	close $file;
	open($file, '>', "$dir/$node/slow") or die $!;
	print $file 'x' x 40_000;
	close $file;
}
open(my $conf, '>', "$dir/apache.conf") or die $!;
print $conf <<"CONF";
$load
ServerName localhost
ServerRoot $dir
PidFile $dir/apache.pid
DefaultRuntimeDir $dir
ErrorLog $dir/error.log
Listen 127.0.0.1:$front
Listen 127.0.0.1:$one
Listen 127.0.0.1:$two
<Proxy balancer://shop>
	BalancerMember http://127.0.0.1:$one
	BalancerMember http://127.0.0.1:$two
</Proxy>
<Proxy balancer://other>
	BalancerMember http://127.0.0.1:$one
</Proxy>
<VirtualHost 127.0.0.1:$front>
	<Location /balancer-manager>
		SetHandler balancer-manager
		Require local
	</Location>
	ProxyPass /balancer-manager !
	ProxyPass /other balancer://other/
	ProxyPass / balancer://shop/
</VirtualHost>
<VirtualHost 127.0.0.1:$one>
	DocumentRoot $dir/one
	<Location /slow>
		SetOutputFilter RATE_LIMIT
		SetEnv rate-limit 20
	</Location>
</VirtualHost>
<VirtualHost 127.0.0.1:$two>
	DocumentRoot $dir/two
	<Location /slow>
		SetOutputFilter RATE_LIMIT
		SetEnv rate-limit 20
	</Location>
</VirtualHost>
CONF
close $conf;
if (system("$apache -f $dir/apache.conf -k start >$dir/start.log 2>&1") != 0)
{
	diag(`cat $dir/start.log`);
	BAIL_OUT('apache2 does not start');
}
wait_until(sub { nodes(1) =~ /^(one|two)$/ });

my @program = ('apache-balancer', "http://127.0.0.1:$front/balancer-manager", 'shop');
my $first = "http://127.0.0.1:$one";

is(nodes(20), 'one two', 'W2: both nodes behind Apache are asked at first');
my $seen = probe(@program, $first, 'drain');
is("$seen->{present} $seen->{state}", '1 ready', 'W2: the probe sees a node that Apache asks');

# Requests that are under way when the node is taken out: one goes to each.
my @slow;
for (1 .. 2)
{
	open(my $pipe, '-|', "curl -s http://127.0.0.1:$front/slow | wc -c") or die "curl: $!";
	push @slow, $pipe;
}
ok(wait_until(sub { probe(@program, $first, 'drain')->{busy} == 1 }), 'D1: a request under way is seen');

is(act(@program, $first, 'drain'), 0, 'W2: taking a node out of an Apache balancer succeeds');
is(nodes(20), 'two', 'W2: Apache asks only the other node then');
is(probe(@program, $first, 'drain')->{state}, 'drain', 'W2: the probe sees that it is out');
is(probe('apache-balancer', $program[1], 'other', $first, 'drain')->{state}, 'ready',
	'W2: the same node in another balancer is not touched');
is(0 + readline($_), 40_000, 'D1: a request under way is finished') for @slow;
ok(wait_until(sub { probe(@program, $first, 'drain')->{busy} == 0 }), 'D1: then the node is drained');

is(act(@program, $first, 'drain'), 0, 'W2: taking it out again changes nothing');
is(nodes(10), 'two', 'W2: and it stays out');
is(act(@program, $first, 'ready'), 0, 'W2: putting it back succeeds');
is(nodes(20), 'one two', 'W2: both are asked again');
is(probe(@program, $first, 'ready')->{state}, 'ready', 'W2: the probe sees it');
is(probe(@program, 'http://127.0.0.1:1', 'drain')->{present}, JSON::PP::false,
	'W2: a node that is no member is not present');

system("$apache -f $dir/apache.conf -k stop >$dir/start.log 2>&1");
wait_until(sub { !-e "$dir/apache.pid" });
done_testing();
