# site.sh: the demo's shop: five NGINX nodes behind HAProxy, and its users.  Sourced.
#
#   make_site      releases, nodes and HAProxy's configuration, under $site
#   start_site     all of it, until every node serves
#   reset_site     the nodes back to release 1.0.0, until every node serves
#   begin_load NAME   end_load LEAST   users and the sampler, and what they saw
#
# Layout, as runbooks/local-service wants it:
#
#   $site/releases/VERSION/   pages, among them health, which tells the version
#   $site/nodes/NODE/         nginx.conf, current -> ../../releases/VERSION, nginx.pid
#   $site/haproxy.sock        HAProxy's runtime socket
#
# Uses $top and $work of test/cluster.sh.

site=$work/site
backend=shop
nodes="app1 app2 app3 app4 app5"
rate=700						# requests a second

# The pages of release $1.
make_release()
{
	mkdir -p "$site/releases/$1"
	(
		cd "$site/releases/$1" || exit 1
		printf '{"status":"UP","version":"%s"}\n' "$1" >health
		make_page "$1" 40 >index.html
		make_page "$1" 200 >catalog.html
		make_page "$1" 120 >style.css
		make_page "$1" 2000 >download
	)
}

# $2 lines, no two of them alike, so that a body cut or mixed up is seen.
make_page()
{
	awk -v version="$1" -v lines="$2" 'BEGIN {
		for (i = 1; i <= lines; i++)
			printf "shop %s line %d of %d\n", version, i, lines
	}'
}

# The files of node $1, which listens on port $2 and runs release 1.0.0.
make_node()
{
	mkdir -p "$site/nodes/$1/tmp"
	ln -s ../../releases/1.0.0 "$site/nodes/$1/current"
	cat >"$site/nodes/$1/nginx.conf" <<-END
		worker_processes 1;
		pid nginx.pid;
		error_log error.log;
		events {
			worker_connections 512;
		}
		http {
			access_log off;
			client_body_temp_path tmp/body;
			proxy_temp_path tmp/proxy;
			fastcgi_temp_path tmp/fastcgi;
			uwsgi_temp_path tmp/uwsgi;
			scgi_temp_path tmp/scgi;
			server {
				listen 127.0.0.1:$2;
				root current;
				location = /health {
					default_type application/json;
				}
				# about a second, so that requests are in flight at all times
				location = /download {
					limit_rate $(($(wc -c <"$site/releases/1.0.0/download") * 7 / 10));
				}
			}
		}
	END
}

# What one would run in production, but for "retries 0": a failure is to be seen.
make_balancer()
{
	cat <<-END
		global
			stats socket $site/haproxy.sock mode 600 level admin
			pidfile $site/haproxy.pid
			maxconn 2000
		defaults
			mode http
			retries 0
			timeout connect 2s
			timeout client 20s
			timeout server 20s
		frontend www
			bind 127.0.0.1:$1
			default_backend $backend
		backend $backend
			balance roundrobin
			option httpchk GET /health
			http-check expect status 200
			default-server check inter 500ms fall 2 rise 2
	END
	for node in $nodes; do
		printf '\tserver %s %s\n' "$node" "$(address "$node")"
	done
}

# address:port of node $1, and NODE=address:port of all of them
address()
{
	sed -n 's/^[[:blank:]]*listen \(.*\);/\1/p' "$site/nodes/$1/nginx.conf"
}

addresses()
{
	for node in $nodes; do
		printf '%s=%s ' "$node" "$(address "$node")"
	done
}

make_site()
{
	for version in 1.0.0 1.1.0 1.2.0; do
		make_release "$version"
	done
	# shellcheck disable=SC2046
	set -- $(free_ports 6)
	test $# -eq 6 || die "no free ports"
	url=http://127.0.0.1:$1
	balancer_port=$1
	for node in $nodes; do
		shift
		make_node "$node" "$1"
	done
	make_balancer "$balancer_port" >"$site/haproxy.cfg"
	for program in load sample; do
		gcc -std=gnu99 -O2 -Wall -o "$work/$program" "$top/demo/$program.c" -lcurl || die "cannot build $program"
	done
}

# Does phase $2 (stop, upgrade or start) on node $1, to version $3.
do_node()
{
	ZDU_VERB=act ZDU_NODE=$1 ZDU_PHASE=$2 ZDU_VERSION=$3 \
		"$top/runbooks/local-service" "$site/nodes" "$1" "$2" "$3" >>"$work/naive.log" 2>&1 ||
		die "$2 of $1 failed: $(tail -n 5 "$work/naive.log")"
}

wait_site()
{
	# shellcheck disable=SC2046
	"$work/sample" --wait "$site/haproxy.sock" "$backend" $(addresses) ||
		die "the nodes do not serve: $(tail -n 3 "$site"/nodes/*/error.log)"
}

start_site()
{
	for node in $nodes; do
		do_node "$node" start 1.0.0
	done
	(cd "$site" && haproxy -D -f haproxy.cfg >haproxy.log 2>&1) || die "HAProxy: $(cat "$site/haproxy.log")"
	wait_site
}

reset_site()
{
	for node in $nodes; do
		do_node "$node" stop 1.0.0
		do_node "$node" upgrade 1.0.0
		do_node "$node" start 1.0.0
	done
	wait_site
}

# Starts the users, who ask $2 times at least, and the sampler, both for way $1.
begin_load()
{
	# shellcheck disable=SC2046
	"$work/sample" "$site/haproxy.sock" "$backend" $(addresses) >"$work/sample.$1" &
	sampler=$!
	"$work/load" "$url" "$rate" "$2" "$site/releases/1.0.0" "$site/releases/1.1.0" >"$work/load.$1" 2>"$work/load.$1.log" &
	users=$!
	sleep 1						# a second of plain service first, and last
}

# Ends both, and leaves what they saw of way $1 in $requests, $failed, $min_serving.
end_load()
{
	sleep 1
	kill "$users"
	wait "$users" || die "the load broke off: $(tail -n 3 "$work/load.$1.log")"
	kill "$sampler"
	wait "$sampler" || die "the sampler broke off"
	requests=$(field requests "$work/load.$1")
	failed=$(field failed "$work/load.$1")
	min_serving=$(field min_serving "$work/sample.$1")
}

# The number after NAME= in a file
field()
{
	sed -n "s/.*\<$1=\([0-9]*\).*/\1/p" "$2"
}
