# site.sh: a product's site: three nodes behind HAProxy, their database, and its users.  Sourced.
#
#   start_database     a PostgreSQL for the products, in $work/store, on $store_port
#   make_site   start_site   stop_site       the nodes of $product and their HAProxy
#   begin_load LABEL   end_load              users, and what they saw: $requests, $failed
#
# A node is a directory as programs/ssh-systemd and programs/ssh-package, which stand in for
# those that reach other machines, want it:
#
#   $HOME/releases/PRODUCT/VERSION/   a release, unpacked
#   $HOME/nodes/NODE/run              starts it in the foreground
#   $HOME/nodes/NODE/current          -> ../../releases/PRODUCT/VERSION
#
# Uses $top and $work of test/cluster.sh, what PRODUCT/product.sh defines, and the product's own
# directories: $here, and $site in it.

# Passwords are for this run only; zdu never sees them.
start_database()
{
	store_port=$(free_ports 1)
	secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && printf '127.0.0.1:%s:*:postgres:%s\n' "$store_port" "$secret" >"$HOME/.pgpass" &&
		printf '%s\n' "$secret" >"$work/secret")
	initdb -D "$work/store" -U postgres --auth=scram-sha-256 --pwfile="$work/secret" -E UTF8 --no-locale -N \
		>"$work/store.initdb.log" 2>&1 || die "initdb failed: $(cat "$work/store.initdb.log")"
	cat >>"$work/store/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		port = $store_port
		fsync = off
		max_connections = 200
		log_line_prefix = '%m [%p] %a %q'
	END
	pg_ctl -D "$work/store" -l "$work/store.log" -w start >/dev/null ||
		die "the products' PostgreSQL does not start: $(tail -n 5 "$work/store.log")"
	store="host=127.0.0.1 port=$store_port user=postgres"
}

# Runs SQL in the product's database, and prints its bare result.
in_store()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$store dbname=$product" "$@" 2>"$here/store.sql.log" ||
		die "$*: $(cat "$here/store.sql.log")"
}

# What one would run in production, but for "retries 0": a failure is to be seen.
make_balancer()
{
	cat <<-END
		global
			stats socket $site/haproxy.sock mode 600 level admin
			pidfile $site/haproxy.pid
			maxconn 500
		defaults
			mode http
			retries 0
			timeout connect 2s
			timeout client 60s
			timeout server 60s
		frontend www
			bind 127.0.0.1:$balancer_port
			default_backend $product
		backend $product
			balance roundrobin
			option httpchk GET $health
			http-check expect status 200
			default-server check inter 500ms fall 2 rise 2
	END
	for node in $nodes; do
		printf '\tserver %s 127.0.0.1:%s\n' "$node" "$(port "$node")"
	done
}

port()
{
	cat "$HOME/nodes/$1/port"
}

make_site()
{
	nodes="${product}1 ${product}2 ${product}3"
	rm -rf "$site"
	mkdir -p "$site"
	# shellcheck disable=SC2046
	set -- $(free_ports 4)
	test $# -eq 4 || die "no free ports"
	balancer_port=$1
	url=http://127.0.0.1:$balancer_port
	for node in $nodes; do
		shift
		mkdir -p "$HOME/nodes/$node"
		echo "$1" >"$HOME/nodes/$node/port"
		ln -s "../../releases/$product/$old" "$HOME/nodes/$node/current"
		make_node "$node" "$1" >"$HOME/nodes/$node/run"
	done
	make_balancer >"$site/haproxy.cfg"
}

# Does "start" or "stop" to node $1.
do_node()
{
	ZDU_VERB=act "$top/test/e2e/programs/ssh-systemd" 127.0.0.1 "$2" "$1" ||
		die "$2 of $1 failed: $(tail -n 5 "$HOME/nodes/$1/log")"
}

# Waits up to two minutes for a command to succeed.
wait_until()
{
	tries=600
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		test "$tries" -gt 0 || complain "waited in vain for: $*"
		sleep 0.2
	done
}

# One after another: what a product does at its first start, it does once.
start_site()
{
	for node in $nodes; do
		do_node "$node" start
		wait_until curl -sf "http://127.0.0.1:$(port "$node")$health"
	done
	(cd "$site" && haproxy -D -f haproxy.cfg >haproxy.log 2>&1) || die "HAProxy: $(cat "$site/haproxy.log")"
	wait_until curl -sf "$url$health"
}

stop_site()
{
	kill "$(cat "$site/haproxy.pid")"
	for node in $nodes; do
		do_node "$node" stop
	done
}

begin_load()
{
	perl -I"$top/test/e2e" "$top/test/e2e/$product/traffic" "$url" "$here/made" \
		>"$here/load.$1" 2>"$here/load.$1.log" &
	users=$!
	load=$1
	sleep 1						# a second of plain service first, and last
}

end_load()
{
	sleep 1
	kill "$users"
	wait "$users" || complain "the load broke off: $(tail -n 3 "$here/load.$load.log")"
	requests=$(sed -n 's/.*\<requests=\([0-9]*\).*/\1/p' "$here/load.$load")
	failed=$(sed -n 's/.*\<failed=\([0-9]*\).*/\1/p' "$here/load.$load")
}
