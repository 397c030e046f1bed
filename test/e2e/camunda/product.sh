# Camunda 7: a process engine with a REST interface, whose nodes share one PostgreSQL.  Sourced.
#
# The schema's scripts are those in the engine's own archive; org.camunda.bpm.distro:camunda-sql-scripts,
# which has the same, cannot be had of these versions.
#
# The engine does not look whether the schema is its own: zdu has to.  All nodes run with
# schema-update=false and the same history level, and with prepareThreshold=0: statements that
# PostgreSQL keeps prepared fail with "cached plan must not change result type" when the schema's
# step gives their tables another column.

product=camunda
old=7.22.0
new=7.23.0
programs="mvn javac jar"
health=/engine-rest/version
policy=camunda-quick
runbook=$top/runbooks/camunda.json
altered=act_ru_execution
killed_in=soak
least=1000

# Prints how node $1 on port $2 is started.
make_node()
{
	cat <<-END
		. "\$HOME/camunda.env"
		export SPRING_DATASOURCE_URL="\$SPRING_DATASOURCE_URL&ApplicationName=$1"
		export SERVER_ADDRESS=127.0.0.1 SERVER_PORT=$2 SPRING_DATASOURCE_HIKARI_POOL_NAME=$1
		exec java -Djava.io.tmpdir=. -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "current/app:current/lib/*" zdu.Node
	END
}

write_settings()
{
	(umask 077 && cat >"$HOME/camunda.env") <<-END
		export SPRING_DATASOURCE_URL="jdbc:postgresql://127.0.0.1:$store_port/camunda?prepareThreshold=0"
		export SPRING_DATASOURCE_USERNAME=postgres SPRING_DATASOURCE_PASSWORD=$secret
		export CAMUNDA_BPM_DATABASE_SCHEMA_UPDATE=false CAMUNDA_BPM_HISTORY_LEVEL=full
		export CAMUNDA_BPM_AUTO_DEPLOYMENT_ENABLED=false
		export SERVER_SHUTDOWN=graceful SPRING_LIFECYCLE_TIMEOUT_PER_SHUTDOWN_PHASE=60s
		export SPRING_MAIN_BANNER_MODE=off LOGGING_LEVEL_ROOT=warn
	END
}

# The schema of a new site; later ones are steps of the runbook, with the product's scripts.
migrate()
{
	write_settings
	ln -s "$HOME/releases/camunda/$new/db/upgrade" "$HOME/camunda-sql"
	for part in engine history identity case.engine case.history decision.engine decision.history; do
		in_store -f "$HOME/releases/camunda/$1/db/create/activiti.postgres.create.$part.sql" >"$here/migrate.log"
	done
	age_schema_log "$1"
}

# Gives the schema's log the rows of a database that began with 7.10, out of the product's own
# scripts: among their ids, which are text, the highest version's is not the highest.
age_schema_log()
{
	in_store -c "DELETE FROM act_ge_schema_log"
	for script in $(ls "$HOME/releases/camunda/$1/db/upgrade/" | grep -x 'postgres_engine_7\.[0-9]*_to_7\.[0-9]*\.sql' | sort -V); do
		sed -n '/^ *insert into ACT_GE_SCHEMA_LOG/I,/;/p' "$HOME/releases/camunda/$1/db/upgrade/$script"
	done | in_store
	say "  the schema: $(in_store -c "SELECT format('%s by the order of versions, %s by that of the log''s ids',
		(SELECT version_ FROM act_ge_schema_log ORDER BY string_to_array(version_, '.')::integer[] DESC LIMIT 1),
		(SELECT version_ FROM act_ge_schema_log ORDER BY id_ DESC LIMIT 1))")"
}

# Prints what a change of the schema would change: it is made whole, or not at all.
schema()
{
	in_store -c "SELECT md5(string_agg(format('%s %s %s', table_name, column_name, data_type), ',' ORDER BY table_name, column_name))
		FROM information_schema.columns WHERE table_schema = 'public'" \
		-c "SELECT count(*) FROM act_ge_schema_log"
}

prepare_site()
{
	curl -sf -o "$here/prepare.log" -F deployment-name=order -F "order.bpmn=@$top/test/e2e/camunda/order.bpmn" \
		"$url/engine-rest/deployment/create" || die "cannot deploy the process: $(cat "$here/prepare.log")"
}

# The shipped policy, but that nobody has to wait long to see it give up.
set_policy()
{
	sql "SELECT zdu_set_policy('$policy', 'camunda', '{\"lease\": \"10s\", \"max_block\": \"2s\"}')"
}

# Prints how many of the orders that users were told are placed were not carried out: run to
# their end, with each of its steps done once and none that failed.
check_made()
{
	wait_until test_idle
	in_store -c 'CREATE TEMP TABLE made (business_key text)' -c "\\copy made FROM PROGRAM 'cat $here/made.*'" -c "
		SELECT count(*)
		FROM made m
		WHERE 1 <> (
			SELECT count(*) FROM act_hi_procinst p
			WHERE p.business_key_ = m.business_key AND p.state_ = 'COMPLETED'
			AND (SELECT array_agg(a.act_id_::text ORDER BY a.act_id_) FROM act_hi_actinst a WHERE a.proc_inst_id_ = p.id_)
				= '{approve,ordered,pack,send,sent}'
			AND NOT EXISTS (SELECT FROM act_hi_job_log j WHERE j.process_instance_id_ = p.id_ AND j.job_state_ = 1))"
}

# Whether no process runs any more
test_idle()
{
	test "$(in_store -c 'SELECT count(*) FROM act_ru_execution')" = 0
}

# Jobs that a node had taken when it was told to stop were done by it.
check_drained()
{
	drained=$(cat "$HOME"/nodes/camunda?/log | sed -n 's/^drained \([0-9]*\) jobs: done$/\1/p' | awk '{ n += $1 } END { print n + 0 }')
	must "D1: camunda: job executors do what they have taken before their nodes stop" \
		test "$(cat "$HOME"/nodes/camunda?/log | grep -c 'NOT DONE')" = 0
	must "D1: camunda: that was something" test "$drained" -gt 0
	say "  job executors of nodes that stopped had $drained jobs in hand, and did them"
}

accounts()
{
	echo "$(cat "$here"/made.* | wc -l) orders placed so far, all of them carried out, each step once"
}
