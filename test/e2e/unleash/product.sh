# Unleash: a server of feature flags, on Node.js, whose nodes share one PostgreSQL.  Sourced.
#
# What clients ask for is /api/client/features; /health says 200 also when that fails.

product=unleash
old=5.12.8
new=6.10.1
programs="node npm"
health=/health
policy=unleash
runbook=$top/test/e2e/unleash/runbook.json
altered=feature_lifecycles
killed_in=start
least=1000

# Prints how node $1 on port $2 is started.
make_node()
{
	cat <<-END
		. "\$HOME/unleash.env"
		export HTTP_HOST=127.0.0.1 HTTP_PORT=$2 DATABASE_APPLICATION_NAME=$1
		exec node current/node_modules/unleash-server/dist/server.js
	END
}

# The tokens' form is unleash's: project, environment, secret.
write_settings()
{
	(umask 077 && cat >"$HOME/unleash.env") <<-END
		export DATABASE_URL=postgres://postgres:$secret@127.0.0.1:$store_port/unleash
		export DATABASE_SSL=false DATABASE_DISABLE_MIGRATION=true
		export CHECK_VERSION=false SEND_TELEMETRY=false LOG_LEVEL=warn
		export INIT_ADMIN_API_TOKENS=*:*.$secret
		export INIT_CLIENT_API_TOKENS=default:development.$secret
	END
}

# The schema of a new site; later ones are steps of the runbook.
migrate()
{
	write_settings
	ZDU_VERB=act "$top/test/e2e/programs/unleash-schema" "$store dbname=unleash" "$1" >"$here/migrate.log" 2>&1 ||
		die "cannot make the schema: $(tail -n 5 "$here/migrate.log")"
}

# A flag that all clients are to see
prepare_site()
{
	UNLEASH_SECRET=$secret
	export UNLEASH_SECRET
	for call in "POST /features {\"name\":\"zdu\",\"type\":\"release\"}" \
		"POST /features/zdu/environments/development/strategies {\"name\":\"default\"}" \
		"POST /features/zdu/environments/development/on {}"; do
		set -- $call
		curl -sf -o "$here/prepare.log" -X "$1" -H "Authorization: *:*.$secret" -H 'Content-Type: application/json' \
			-d "$3" "$url/api/admin/projects/default$2" || die "$call: $(cat "$here/prepare.log")"
	done
	show_wrong_order
}

# Shows what the schema's step before the first node is for: a node of the new version on the
# old schema is well by its own health page, and fails its clients.
show_wrong_order()
{
	early=$HOME/nodes/early
	mkdir -p "$early"
	ln -s "../../releases/unleash/$new" "$early/current"
	early_port=$(free_ports 1)
	echo "$early_port" >"$early/port"
	make_node early "$early_port" >"$early/run"
	do_node early start
	wait_until curl -sf "http://127.0.0.1:$early_port/health"
	seen=$(ZDU_VERB=probe "$top/test/e2e/programs/unleash-look" "http://127.0.0.1:$early_port")
	do_node early stop
	say "  $new on the schema of $old: $seen"
	case $seen in
		*'"client_code": 500, "health_code": 200'*) ;;
		*) complain "$new on the schema of $old was to fail its clients, with a good health page" ;;
	esac
}

set_policy()
{
	sql "SELECT zdu_set_policy('unleash', 'default',
		'{\"version_step\": \"any\", \"schema_phase\": \"pre\", \"min_healthy_time\": \"2s\", \"lease\": \"10s\", \"max_block\": \"1s\"}')"
}

# Prints what a change of the schema would change.  Of some fifty migrations each is made whole,
# or not at all; that of the table in question is one of them.
schema()
{
	in_store -c "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$altered'::regclass AND attnum > 0"
}

# Flags have nothing that goes on behind the scenes.
check_drained()
{
	:
}

# Prints how many of the flags that users were told are made are not in the database.
check_made()
{
	in_store -c 'CREATE TEMP TABLE made (name text)' -c "\\copy made FROM PROGRAM 'cat $here/made.*'" \
		-c 'SELECT count(*) FROM made WHERE name NOT IN (SELECT name FROM features)'
}

accounts()
{
	echo "$(cat "$here"/made.* | wc -l) flags made so far, all of them there"
}
