-- Who may what: one row a function or view, read by zdu_grant, by the check in every function, and by zdu.help.

CREATE TABLE zdu.privilege
(
	name text NOT NULL,
	grants text[] NOT NULL,
	owned boolean NOT NULL,
	CONSTRAINT privilege_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE zdu.privilege IS 'Which grants a function or view takes; fixed';
COMMENT ON COLUMN zdu.privilege.name IS 'the function (zdu_*) or view';
COMMENT ON COLUMN zdu.privilege.grants IS 'any one of these';
COMMENT ON COLUMN zdu.privilege.owned IS 'the caller must also have the role that owns the cluster';

INSERT INTO zdu.privilege (name, grants, owned) VALUES
	('zdu_set_cluster', '{admin}', false),
	('zdu_set_node', '{admin}', false),
	('zdu_remove_node', '{admin,operator}', true),
	('zdu_set_group', '{admin,operator}', true),
	('zdu_drop_group', '{admin,operator}', true),
	('zdu_group_per_node', '{admin,operator}', true),
	('zdu_drop_groups', '{admin,operator}', true),
	('zdu_deploy', '{admin,operator}', true),
	('zdu_set_runbook', '{admin}', false),
	('zdu_set_policy', '{admin}', false),
	('zdu_set_release', '{admin,operator}', false),
	('zdu_set_budget', '{admin,operator}', true),
	('zdu_drop_budget', '{admin,operator}', true),
	('zdu_set_resource', '{admin,operator}', true),
	('zdu_drop_resource', '{admin,operator}', true),
	('zdu_set_placement', '{admin,operator}', true),
	('zdu_drop_placement', '{admin,operator}', true),
	('zdu_load_placements', '{admin,operator}', true),
	('zdu_set_path', '{admin,operator}', false),
	('zdu_drop_path', '{admin,operator}', false),
	('zdu_path', '{viewer,operator,approver,admin}', false),
	('zdu_begin', '{admin,operator}', true),
	('zdu_pause', '{admin,operator}', true),
	('zdu_resume', '{admin,operator}', true),
	('zdu_cancel', '{admin,operator}', true),
	('zdu_finalize', '{admin,operator,node}', false),
	('zdu_retry', '{admin,operator}', true),
	('zdu_rollback', '{admin,operator}', true),
	('zdu_attach', '{admin,operator}', true),
	('zdu_detach', '{admin,operator}', true),
	('zdu_set_gate', '{admin}', false),
	('zdu_drop_gate', '{admin}', false),
	('zdu_approve', '{approver}', true),
	('zdu_record', '{admin,operator}', true),
	('zdu_set_dependency', '{admin}', false),
	('zdu_drop_dependency', '{admin}', false),
	('zdu_set_freeze', '{admin,operator}', true),
	('zdu_drop_freeze', '{admin,operator}', true),
	('zdu_declare_down', '{admin,operator}', true),
	('zdu_force_state', '{force}', true),
	('zdu_waive', '{waive}', true),
	('zdu_adopt', '{admin}', false),
	('zdu_set_feature', '{admin,operator}', true),
	('zdu_drop_feature', '{admin,operator}', true),
	('zdu_feature', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu_protect', '{admin,operator}', true),
	('zdu_unprotect', '{admin,operator}', true),
	('zdu_revert', '{admin,operator}', true),
	('zdu_operation_begin', '{admin,operator}', true),
	('zdu_operation_renew', '{admin,operator}', true),
	('zdu_operation_end', '{admin,operator}', true),
	('zdu_asset', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu_may_run', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu_replay', '{admin,operator}', true),
	('zdu_discard', '{admin,operator}', true),
	('zdu_grant', '{admin}', false),
	('zdu_revoke', '{admin}', false),
	('zdu_prune', '{admin}', false),
	('zdu_join', '{node,worker}', false),
	('zdu_heartbeat', '{node,worker}', false),
	('zdu_work', '{worker}', false),
	('zdu_why', '{viewer,operator,approver,admin,worker}', false),
	('zdu_waits_for', '{viewer,operator,approver,admin,worker}', false),
	('zdu_log', '{viewer,operator,approver,admin}', false),
	('zdu_transitions', '{viewer,operator,approver,admin}', false),
	('zdu_clock', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu_is_name', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu_expected', '{viewer,operator,approver,admin,worker}', false),
	('zdu_eta', '{viewer,operator,approver,admin,worker}', false),
	('zdu_plan', '{viewer,operator,approver,admin}', false),
	('zdu_simulate', '{viewer,operator,approver,admin}', false),
	('zdu_plan_summary', '{viewer,operator,approver,admin}', false),
	('zdu_limit', '{viewer,operator,approver,admin,worker}', false),
	('zdu_version', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu.status', '{viewer,operator,approver,admin,worker}', false),
	('zdu.node_status', '{viewer,operator,approver,admin,worker}', false),
	('zdu.fact', '{viewer,operator,approver,admin}', false),
	('zdu.fleet', '{viewer,operator,approver,admin,worker}', false),
	('zdu.gate_status', '{viewer,operator,approver,admin,worker}', false),
	('zdu.gate', '{viewer,operator,approver,admin}', false),
	('zdu.freeze', '{viewer,operator,approver,admin}', false),
	('zdu.watch', '{viewer,operator,approver,admin}', false),
	('zdu.grant', '{viewer,operator,approver,admin}', false),
	('zdu.timeline', '{viewer,operator,approver,admin}', false),
	('zdu.help', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu.current_policy', '{viewer,operator,approver,admin}', false),
	('zdu.cluster', '{viewer,operator,approver,admin,worker}', false),
	('zdu.deployment', '{viewer,operator,approver,admin,worker}', false),
	('zdu.upgrade', '{viewer,operator,approver,admin,worker}', false),
	('zdu.release', '{viewer,operator,approver,admin}', false),
	('zdu.release_path', '{viewer,operator,approver,admin}', false),
	('zdu.runbook', '{viewer,operator,approver,admin}', false),
	('zdu.health', '{viewer,operator,approver,admin,worker}', false),
	('zdu.remaining', '{viewer,operator,approver,admin,worker}', false),
	('zdu.budget_status', '{viewer,operator,approver,admin,worker}', false),
	('zdu.budget', '{viewer,operator,approver,admin}', false),
	('zdu.feature_status', '{viewer,operator,approver,admin,worker,node}', false),
	('zdu.protected_table', '{viewer,operator,approver,admin}', false),
	('zdu.delta', '{operator,admin}', false),
	('zdu.operation_status', '{viewer,operator,approver,admin}', false),
	('zdu.spool', '{admin,operator}', false),
	('zdu.node_group', '{viewer,operator,approver,admin}', false);

CREATE VIEW zdu.help AS
SELECT
	p.proname::text AS name,
	format('SELECT %s%s(%s)', CASE WHEN p.proretset OR p.proargmodes IS NOT NULL THEN '* FROM ' END, p.proname,
		   pg_get_function_arguments(p.oid)) AS usage,
	obj_description(p.oid, 'pg_proc') AS "when",
	v.grants
FROM zdu.privilege v
JOIN pg_proc p ON p.proname = v.name AND p.pronamespace = 'pg_catalog'::regnamespace
ORDER BY p.proname, p.oid;
COMMENT ON VIEW zdu.help IS 'What there is to call';
COMMENT ON COLUMN zdu.help.name IS 'the function';
COMMENT ON COLUMN zdu.help.usage IS 'how to call it';
COMMENT ON COLUMN zdu.help."when" IS 'what it is for, what it returns and refuses';
COMMENT ON COLUMN zdu.help.grants IS 'who may: a role with any one of these grants';

-- PUBLIC has nothing, not even what every new function is born with.
DO $$
DECLARE
	member regprocedure;
BEGIN
	FOR member IN
		SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
		WHERE e.extname = 'zdu' AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	LOOP
		EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', member);
	END LOOP;
END
$$;
REVOKE ALL ON TYPE zdu_version FROM PUBLIC;
