# cluster.sh: a PostgreSQL of one's own, for test/run and demo/run.  Sourced.
#
# Both have two stages.  The first runs as whoever called: it installs packages, makes
# one temporary directory, copies the checkout there and, when everything is over,
# ends every process that was started in that directory and removes it.  The second
# runs there as an unprivileged user and needs no clean-up of its own.
#
#   first stage:   need_packages SECTION...   open_work   enter SCRIPT [ARG...]   keep_work
#   second stage:  build_zdu   start_cluster
#
# The caller sets $top, the directory that holds the checkout or its copy.  The second
# stage has $work, the temporary directory, in its environment.

PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$0" "$*" >&2
	exit 1
}

# ---------------------------------------------------------------- first stage

# Installs what is missing of the named sections of test/packages.
need_packages()
{
	wanted=$(for section in "$@"; do sed -n "s/^$section: *//p" "$top/test/packages"; done)
	there=$(dpkg-query -W -f='${Package}=${db:Status-Status}\n' $wanted 2>/dev/null)
	missing=
	for package in $wanted; do
		case " $there $missing " in
			*[[:space:]]"$package=installed"[[:space:]]*) ;;
			*" $package "*) ;;
			*) missing="$missing $package" ;;
		esac
	done
	test -n "$missing" || return 0

	sudo=
	if test "$(id -u)" -ne 0; then
		command -v sudo >/dev/null || die "these packages are missing, and there is no sudo to install them:$missing"
		sudo=sudo
	fi
	say "installing Debian packages:$missing"
	$sudo true || die "only root can do that"
	# The servers among them are not to start: port 80 and 5432 are not ours to take.
	policy=/usr/sbin/policy-rc.d
	if test -e "$policy"; then
		policy=
	else
		trap '$sudo rm -f "$policy"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
	fi
	log=$(mktemp "${TMPDIR:-/tmp}/zdu.XXXXXX")
	apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300"
	$apt update >"$log" 2>&1 && $apt install --no-install-recommends $missing >>"$log" 2>&1
	status=$?
	if test "$status" -ne 0; then
		tail -n 20 "$log" >&2
	fi
	rm -f "$log"
	if test -n "$policy"; then
		$sudo rm -f "$policy"
		trap - EXIT INT TERM HUP
	fi
	test "$status" -eq 0 || die "apt-get failed, see above"
}

# Makes $work with a copy of the checkout in $work/src.  From here on whatever ends
# this script, a signal too, ends everything in $work and removes it.
open_work()
{
	inside=
	keep=
	as_user=
	# PostgreSQL refuses to run as root.
	if test "$(id -u)" -eq 0; then
		as_user="setpriv --reuid=postgres --regid=postgres --init-groups"
	fi
	# Canonical, for processes() compares it with what /proc says.
	work=$(mktemp -d "$(cd "${TMPDIR:-/tmp}" && pwd -P)/zdu.XXXXXX") || die "cannot make a temporary directory"
	trap close_work EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if test -n "$as_user"; then
		chown postgres:postgres "$work"
	fi
	$as_user mkdir "$work/src" "$work/tmp" "$work/home"
	tar -C "$top" -cf - --exclude=./.git --exclude=./tmp_check --exclude=./results --exclude='*.o' --exclude='*.so' \
		--exclude='*.bc' --exclude='zdu--*.sql' --exclude=./src/worker/zdu_worker . |
		(cd "$work/src" && $as_user tar -xf -) || die "cannot copy $top to $work/src"
}

# Runs SCRIPT of the copy as the unprivileged user, in a session of its own and with
# nothing of the caller's environment but what is named here.  Returns its status.
enter()
{
	script=$1
	shift
	# In a directory that the user may be in; the shell itself stays where it was.
	(cd "$work/src" && exec setsid $as_user env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
		HOME="$work/home" TMPDIR="$work/tmp" LANG=C.UTF-8 TERM="${TERM:-dumb}" PG_CONFIG="$PG_CONFIG" \
		work="$work" KEEP="${KEEP:-}" ONLY="${ONLY:-}" SEED="${SEED:-}" ROLLS="${ROLLS:-}" NODES="${NODES:-}" DEEP="${DEEP:-}" \
		sh "$work/src/$script" "$@") &
	inside=$!
	wait "$inside"
}

# Leaves everything as it is when the script ends.
keep_work()
{
	keep=yes
}

# Prints the processes that were started in $work: they have their working directory
# there.  So may have the shell of whoever looked around there and called us.
processes()
{
	callers=' '
	caller=$$
	while test "${caller:-0}" -gt 1; do
		callers="$callers$caller "
		caller=$(awk '$1 == "PPid:" { print $2 }' "/proc/$caller/status" 2>/dev/null)
	done
	for process in /proc/[0-9]*; do
		case $(readlink "$process/cwd" 2>/dev/null) in
			"$work"|"$work"/*)
				case $callers in
					*" ${process#/proc/} "*) ;;
					*) printf '%s\n' "${process#/proc/}" ;;
				esac ;;
		esac
	done
}

# Waits up to $1 tenths of a second for the processes to be gone.
processes_gone()
{
	tenths=$1
	while test -n "$(processes)"; do
		test "$tenths" -gt 0 || return 1
		tenths=$((tenths - 1))
		sleep 0.1
	done
}

# Ends them: first the scripts and clients, then the servers, an immediate shutdown for
# PostgreSQL, which would wait for its clients on TERM, and KILL for what is deaf.
end_processes()
{
	ours=" $(processes | tr '\n' ' ')"
	if test -n "$inside"; then
		kill -s TERM -- "-$inside" 2>/dev/null
	fi
	for file in $(find "$work" -name postmaster.pid 2>/dev/null); do
		server=$(head -n 1 "$file" 2>/dev/null)
		if processes | grep -qx "$server"; then
			kill -s QUIT "$server" 2>/dev/null
		fi
	done
	for signal in TERM KILL; do
		kill -s "$signal" $(processes) 2>/dev/null
		processes_gone 80 && break
	done
	# An initdb that was ended leaves its shared memory behind.
	ipcs -m -p | while read -r segment owner creator last; do
		case $ours in
			*" $creator "*) ipcrm -m "$segment" ;;
		esac
	done
}

close_work()
{
	trap '' INT TERM HUP
	test -z "$keep" || return 0
	end_processes
	rm -rf "$work"
}

# --------------------------------------------------------------- second stage

# Copies PostgreSQL's bin, lib and share to $work/pg, where they find each other,
# builds the copy of the checkout and installs it there.  Puts that bin first in PATH.
build_zdu()
{
	for directory in $("$PG_CONFIG" --bindir --pkglibdir --sharedir); do
		mkdir -p "$work/pg$directory" && cp -R "$directory/." "$work/pg$directory" ||
			die "cannot copy $directory"
	done
	# Bitcode would double the time, and serves only jit.
	(cd "$top" && make -j "$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no &&
		make install PG_CONFIG="$PG_CONFIG" with_llvm=no DESTDIR="$work/pg") >"$work/build.log" 2>&1 ||
	{
		grep -E '(error|warning): |\*\*\* ' "$work/build.log" | head -n 20 >&2
		die "the build failed"
	}
	PATH=$work/pg$("$PG_CONFIG" --bindir):$PATH
	export PATH
}

# Starts a cluster in $work/data, reachable through the socket in $work only, and sets
# PGHOST, PGPORT and PGUSER for it.
start_cluster()
{
	PGHOST=$work
	PGPORT=$(free_ports 1)
	PGUSER=postgres
	PGDATABASE=postgres
	export PGHOST PGPORT PGUSER PGDATABASE
	initdb -D "$work/data" -U "$PGUSER" -A trust -E UTF8 --no-locale -N >"$work/initdb.log" 2>&1 ||
		die "initdb failed: $(cat "$work/initdb.log")"
	cat >>"$work/data/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$work'
		port = $PGPORT
		fsync = off
		log_line_prefix = '%m [%p] %q%a '
	END
	pg_ctl -D "$work/data" -l "$work/postgresql.log" -w start >/dev/null ||
		die "PostgreSQL does not start: $(tail -n 5 "$work/postgresql.log")"
}

# Prints $1 ports of 127.0.0.1 that are free.  They are below the range from which the
# system takes those of outgoing connections, so that a server finds its own port free
# when it comes back.
free_ports()
{
	perl -MIO::Socket::INET -e '
		my ($count, @held) = shift;
		open(my $range, "<", "/proc/sys/net/ipv4/ip_local_port_range") or die $!;
		my ($above) = split(" ", <$range>);
		$above = 32768 if $above < 12000;
		for (my $try = 0; @held < $count && $try < 10000; $try++)
		{
			my $port = 10240 + int(rand($above - 10240));
			my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 1);
			push(@held, $socket) if $socket;
		}
		print(join(" ", map { $_->sockport } @held), "\n");' "$1"
}
