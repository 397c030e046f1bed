# The programs that ship with zdu look before they act, and do what their headers say.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use File::Temp qw(tempdir);
use Programs qw(act probe free_port wait_until);
use Test::More;

my $dir = tempdir(CLEANUP => 1);

sub spew
{
	my ($path, $text, $mode) = @_;

	open(my $file, '>', $path) or die "$path: $!";
	print $file $text;
	close $file;
	chmod $mode, $path if defined $mode;
}

sub slurp
{
	open(my $file, '<', $_[0]) or return '';
	local $/;
	return scalar <$file> // '';
}

# --- local-service ---------------------------------------------------------

SKIP:
{
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin:/sbin";
	skip 'no nginx here', 12 if system('command -v nginx >/dev/null') != 0;
	my $port = free_port();
	my @node = ('local-service', "$dir/nodes", 'app1');

	mkdir "$dir/$_" for 'nodes', 'nodes/app1', 'nodes/app1/tmp', 'releases', 'releases/1.0.0', 'releases/1.1.0';
	spew("$dir/releases/$_/health", qq({"status":"UP","version":"$_"})) for '1.0.0', '1.1.0';
	spew("$dir/nodes/app1/nginx.conf", <<"CONF");
pid nginx.pid;
error_log error.log;
events {}
http {
	access_log off;
	client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
	uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
	server { listen 127.0.0.1:$port; root current; }
}
CONF
	is(probe(@node, 'start')->{installed}, undef, 'W4: local-service sees that nothing is installed');
	is(act(@node, 'upgrade', '1.0.0'), 0, 'W1: it installs a release');
	is(act(@node, 'start'), 0, 'W1: it starts a node');
	my $seen = probe(@node, 'start');
	is("$seen->{running} $seen->{installed}", '1 1.0.0', 'W6: and sees it running');
	ok(wait_until(sub { `curl -s http://127.0.0.1:$port/health` =~ /1\.0\.0/ }), 'W6: which it is');
	is(act(@node, 'start'), 0, 'W4: starting what runs does nothing');
	is(act(@node, 'stop'), 0, 'W1: it stops a node');
	is(probe(@node, 'stop')->{running}, JSON::PP::false, 'W6: and sees it stopped');
	spew("$dir/nodes/app1/nginx.pid", "$$\n");
	is(probe(@node, 'stop')->{running}, JSON::PP::false, 'W6: a number left over is not taken for a node');
	unlink "$dir/nodes/app1/nginx.pid";
	isnt(act(@node, 'upgrade', '../..'), 0, 'W1: a version cannot lead out of the releases');
	isnt(act(@node, 'upgrade', '9.9.9'), 0, 'W1: a release that is not there is not installed');
	is(probe(@node, 'upgrade', '1.1.0')->{installed}, '1.0.0', 'W6: and what was there stays');
}

# --- ssh-systemd, ssh-package ----------------------------------------------

# A far machine: ssh runs what it is told here, after a shell has read it, as
# there. What it would change is a file.
mkdir "$dir/$_" for 'bin', 'far';
spew("$dir/bin/ssh", <<'SH', 0755);
#!/bin/sh
echo "$*" >>"$(dirname "$0")/../far/ssh"
while test "$1" != --; do shift; done
shift 2
eval "$*"
SH
spew("$dir/bin/systemctl", <<'SH', 0755);
#!/bin/sh
far=$(dirname "$0")/../far
case "$1 $3" in
'show ActiveState') cat "$far/state" ;;
'show SubState') echo sub ;;
'stop shop') echo inactive >"$far/state" ;;
'start shop') echo active >"$far/state" ;;
*) exit 1 ;;
esac
SH
spew("$dir/bin/dpkg-query", <<'SH', 0755);
#!/bin/sh
cat "$(dirname "$0")/../far/package"
SH
spew("$dir/bin/apt-cache", <<'SH', 0755);
#!/bin/sh
printf ' shop | 1:2.4.0-2 | http://d main\n shop | 1:2.3.1-1 | http://d main\n'
SH
spew("$dir/bin/apt-get", <<'SH', 0755);
#!/bin/sh
for last; do :; done
test "$1" = update || echo "installed ${last#shop=}" >"$(dirname "$0")/../far/package"
SH
spew("$dir/bin/sudo", <<'SH', 0755);
#!/bin/sh
test "$1" = -n || exit 1
shift
exec "$@"
SH
spew("$dir/far/state", "active\n");
spew("$dir/far/package", 'installed 1:2.3.1-1');
{
	local $ENV{PATH} = "$dir/bin:$ENV{PATH}";

	is(probe('ssh-systemd', '10.0.0.11', 'stop', 'shop')->{unit}, 'active', 'W4: ssh-systemd looks at the unit');
	like(slurp("$dir/far/ssh"), qr/^-o BatchMode=yes/, 'W1: over an ssh that asks nobody');
	is(act('ssh-systemd', '10.0.0.11', 'stop', 'shop'), 0, 'W1: it stops the unit');
	is(probe('ssh-systemd', '10.0.0.11', 'stop', 'shop')->{unit}, 'inactive', 'W6: and sees it stopped');
	is(act('ssh-systemd', '10.0.0.11', 'start', 'shop'), 0, 'W1: it starts the unit');
	is(slurp("$dir/far/state"), "active\n", 'W6: which then runs');
	spew("$dir/far/ssh", '');
	is(act('ssh-systemd', '10.0.0.11', 'stop', "shop;touch $dir/evil"), 64, 'W1: what would be more than a name is refused');
	is(act('ssh-systemd', '-oProxyCommand=evil', 'stop', 'shop'), 64, 'W1: so is what would be an option');
	is(act('ssh-systemd', '10.0.0.11', 'mask', 'shop'), 64, 'W1: and an unknown action');
	is(slurp("$dir/far/ssh"), '', 'W1: before anybody is asked');

	is(probe('ssh-package', '10.0.0.11', 'shop', '2.4.0')->{installed}, '2.3.1', 'W4: ssh-package looks at the version');
	is(act('ssh-package', '10.0.0.11', 'shop', '2.4.0'), 0, 'W1: it installs the version');
	is(slurp("$dir/far/package"), "installed 1:2.4.0-2\n", 'W1: as the package archive calls it');
	is(probe('ssh-package', '10.0.0.11', 'shop', '2.4.0')->{installed}, '2.4.0', 'W6: and sees it installed');
	is(probe('ssh-package', '10.0.0.11', 'shop', '1:2.4.0-2')->{installed}, '1:2.4.0-2', 'W6: under its whole name too');
	is(act('ssh-package', '10.0.0.11', 'shop', '9.9'), 65, 'W6: a version that is not to be had is an error');
	is(act('ssh-package', '10.0.0.11', 'shop', '2.4.0 $(touch x)'), 64, 'W1: what would be more than a version is refused');
	ok(!-e "$dir/evil", 'W1: and nothing of that was done');
}

# --- programs of products: what they will not do ---

# What they do is shown by the scenario tests, against simulated products.
for my $bad (
	[ 'an address that is an option', 'crate-stop', '-oProxyCommand=evil', 'crate', 'USR2', 'dbname=x', 'n1' ],
	[ 'a unit with a command in it', 'crate-stop', '10.0.0.1', 'crate;reboot', 'USR2', 'dbname=x', 'n1' ],
	[ 'a node with a quote in it', 'crate-stop', '10.0.0.1', 'crate', 'decommission', 'dbname=x', q{n1'; DROP TABLE t; --} ],
	[ 'another way to stop', 'crate-stop', '10.0.0.1', 'crate', 'KILL', 'dbname=x', 'n1' ],
	[ 'what is no URL', 'jahia-module', 'file:///etc/passwd', 'modulea' ],
	[ 'a module with a command in it', 'jahia-module', 'http://10.0.0.1', 'modulea;x' ],
	[ 'a bundle elsewhere', 'jahia-default', 'http://10.0.0.1', '../modulea', '2.0' ],
	[ 'what is no URL', 'jahia-default', '-K/etc/passwd', 'modulea', '2.0' ],
	[ 'what is no URL', 'eft-upgrade', 'ftp://10.0.0.1', 'upgrade' ],
	[ 'another state', 'eft-upgrade', 'http://10.0.0.1', 'sideways' ],
	[ 'an address that is an option', 'ssh-windows', '-oProxyCommand=evil', 'stop', 'EFT' ],
	[ 'a service with a quote in it', 'ssh-windows', '10.0.0.1', 'stop', q{EFT'; Remove-Item C:/ #} ],
	[ 'an installer with a quote in it', 'ssh-windows', '10.0.0.1', 'upgrade', 'EFT', q{C:/a.exe'; x}, '8.1' ],
	[ 'an unknown action', 'ssh-windows', '10.0.0.1', 'reboot', 'EFT' ])
{
	my ($what, $program, @arguments) = @$bad;

	is(act($program, @arguments), 64, "W1: $program refuses $what");
}

done_testing();
