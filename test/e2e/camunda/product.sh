# Camunda 7: a process engine with a REST interface, whose nodes share one PostgreSQL.  Sourced.
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
policy=camunda
runbook=$top/runbooks/camunda.json
altered=act_ru_execution
killed_in=soak
least=1000

# Prints how node $1 on port $2 is started.
make_node()
{
	cat <<-END
		. "\$HOME/camunda.env"
		export SERVER_ADDRESS=127.0.0.1 SERVER_PORT=$2 SPRING_DATASOURCE_HIKARI_POOL_NAME=$1
		exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "current/app:current/lib/*" zdu.Node
	END
}

write_settings()
{
	(umask 077 && cat >"$HOME/camunda.env") <<-END
		export SPRING_DATASOURCE_URL=jdbc:postgresql://127.0.0.1:$store_port/camunda?prepareThreshold=0
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
		in_store -f "$HOME/releases/camunda/$1/db/create/activiti.postgres.create.$part.sql" >"$work/migrate.log"
	done
}

prepare_site()
{
	curl -sf -o "$work/prepare.log" -F deployment-name=order -F "order.bpmn=@$top/test/e2e/camunda/order.bpmn" \
		"$url/engine-rest/deployment/create" || die "cannot deploy the process: $(cat "$work/prepare.log")"
}

# The policy is a shipped one.
set_policy()
{
	:
}

# Prints how many of the orders that users were told are placed were not carried out: run to
# their end, with each of its steps done once and none that failed.
check_made()
{
	wait_until test_idle
	in_store -c 'CREATE TEMP TABLE made (business_key text)' -c "\\copy made FROM PROGRAM 'cat $work/camunda.made.*'" -c "
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

accounts()
{
	echo "$(cat "$work"/camunda.made.* | wc -l) orders placed so far, all of them carried out, each step once"
}
