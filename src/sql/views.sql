-- What is read: facts for the decisions, and the views for people.

CREATE VIEW zdu.cluster_settings AS
SELECT
	c.cluster_id, c.name, c.product, c.owner, c.policy, c.runbook, c.vars,
	c.version, c.state, c.state_since, c.original, c.target, c.schema_version, c.serial, c.listened, c.swept_at, c.work_waits,
	p.early_end, p.second_person, p.cancel, p.rollback, p.repeat_begin, p.offline_at_end, p.schema_phase, p.version_step, p.min_version,
	p.require_latest_patch, p.max_versions, p.max_unavailable, p.min_availability, p.reallocate, p.drain_on_timeout, p.order_by, p.finalize, p.on_failure,
	extract(epoch FROM p.heartbeat_ttl)::double precision AS heartbeat_ttl,
	extract(epoch FROM p.start_timeout)::double precision AS start_timeout,
	extract(epoch FROM p.stop_timeout)::double precision AS stop_timeout,
	extract(epoch FROM p.drain_timeout)::double precision AS drain_timeout,
	extract(epoch FROM p.min_healthy_time)::double precision AS min_healthy_time,
	extract(epoch FROM p.lease)::double precision AS lease,
	p.max_failures, p.auto_adopt, extract(epoch FROM p.max_block)::double precision AS max_block,
	u.upgrade_id, u.kind, u.run, u.resume_to, u.runbook AS pinned, u.revision, u.runbook_shipped, u.node_group, u.together, u.failures,
	u.held_rule, u.held_reason, u.run_since, u.session_role AS began_by, u.began_at, c.leader, c.freezes <> '{}' AS freezes_nodes
FROM zdu.cluster c
LEFT JOIN zdu.current_policy p ON p.name = c.policy
LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL;
COMMENT ON VIEW zdu.cluster_settings IS 'a cluster with its policy and its upgrade, a row a cluster; durations in seconds: what can be told without counting';

CREATE VIEW zdu.cluster_facts AS
SELECT
	c.*,
	(SELECT count(*) FROM zdu.budget b WHERE b.cluster_id = c.cluster_id)::integer AS own_budgets,
	a.copies_every,
	EXISTS (SELECT FROM zdu.placement_load l WHERE l.cluster_id = c.cluster_id) AS has_copies,
	(SELECT l.loaded FROM zdu.placement_load l WHERE l.cluster_id = c.cluster_id) AS copies_loaded,
	EXISTS (SELECT FROM zdu.waiver w WHERE w.cluster_id = c.cluster_id AND w.rule = 'D10') AS one_waived,
	EXISTS (SELECT FROM zdu.node d WHERE d.cluster_id = c.cluster_id AND d.name = c.leader
		AND d.state = 'ACTIVE' AND d.attached AND NOT d.taken) AS leader_fit,
	(SELECT i.mark FROM zdu.instance i ORDER BY i.epoch DESC LIMIT 1) AS mark,
	a.schema_watched,
	EXISTS (SELECT FROM zdu.flight o WHERE o.cluster_id = c.cluster_id AND o.state <> 'failed') AS steps_open,
	EXISTS (SELECT FROM zdu.watch w WHERE w.cluster_id = c.cluster_id AND w.upgrade_id = c.upgrade_id) AS watched,
	EXISTS (SELECT FROM zdu.watch w WHERE w.cluster_id = c.cluster_id AND w.upgrade_id = c.upgrade_id AND w.baseline) AS unlooked,
	EXISTS (SELECT FROM zdu.upgrade_gate g WHERE g.upgrade_id = c.upgrade_id AND g.opened_at IS NULL) AS gated,
	c.upgrade_id IS NOT NULL AND EXISTS (SELECT FROM zdu.freeze) AS has_calendar,
	t.*,
	n.*
FROM zdu.cluster_settings c
CROSS JOIN LATERAL (
	SELECT
		min(w.every) FILTER (WHERE w.kind = 'placements') AS copies_every,
		coalesce(bool_or(w.kind = 'schema'), false) AS schema_watched
	FROM zdu.watch w
	WHERE w.cluster_id = c.cluster_id AND w.upgrade_id IS NULL
) a
CROSS JOIN LATERAL (
	-- The steps of one plan of the cluster are of one phase: the one that it is at, and those behind it.
	SELECT
		coalesce(sum(s.steps) FILTER (WHERE s.phase = 'before'), 0)::integer AS before_open,
		coalesce(sum(s.steps - s.failed) FILTER (WHERE s.phase = 'after'), 0)::integer AS tasks_open,
		coalesce(sum(s.failed) FILTER (WHERE s.phase = 'after'), 0)::integer AS tasks_failed,
		coalesce(sum(s.steps) FILTER (WHERE s.phase = 'undo'), 0)::integer AS undo_open
	FROM (
		SELECT
			p.phase[f.place] AS phase,
			CASE WHEN f.cut THEN 1 ELSE cardinality(p.phase) - f.place + 1 END AS steps,
			(f.state = 'failed')::integer AS failed
		FROM zdu.flight f
		JOIN zdu.step_plan p ON p.plan_id = f.plan_id
		WHERE f.cluster_id = c.cluster_id AND f.node_id IS NULL
	) s
) t
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(k.n), 0)::integer AS total,
		coalesce(sum(k.n) FILTER (WHERE k.online), 0)::integer AS online,
		coalesce(sum(k.n) FILTER (WHERE k.state = 'ACTIVE'), 0)::integer AS active,
		coalesce(sum(k.n) FILTER (WHERE k.serving), 0)::integer AS serving,
		coalesce(sum(k.n) FILTER (WHERE k.serving AND NOT k.taken), 0)::integer AS staying,
		coalesce(sum(k.n) FILTER (WHERE NOT k.serving OR k.taken), 0)::integer AS unavailable,
		coalesce(sum(k.n) FILTER (WHERE k.state IN ('ACTIVE', 'DRAINING') AND NOT k.taken), 0)::integer AS present,
		coalesce(sum(k.n) FILTER (WHERE k.state = 'ERROR'), 0)::integer AS in_error,
		coalesce(sum(k.n) FILTER (WHERE k.state = 'OFFLINE' AND NOT k.confirmed), 0)::integer AS unheard,
		-- Who it is need not be sought where there is none.
		CASE WHEN sum(k.n) FILTER (WHERE k.state = 'OFFLINE' AND NOT k.confirmed) > 0 THEN
			(SELECT min(o.name) FROM zdu.node o WHERE o.cluster_id = c.cluster_id AND o.away AND o.state = 'OFFLINE' AND NOT o.confirmed) END AS unheard_node,
		coalesce(sum(k.n) FILTER (WHERE k.taken), 0)::integer AS taken,
		coalesce(sum(k.n) FILTER (WHERE k.version = c.target), 0)::integer AS at_target,
		coalesce(sum(k.n) FILTER (WHERE k.version = coalesce(c.target, CASE WHEN c.run IS NOT NULL THEN c.version END) AND NOT k.taken), 0)::integer AS done,
		coalesce(sum(k.n) FILTER (WHERE k.version <> c.original), 0)::integer AS upgraded,
		coalesce(sum(k.n) FILTER (WHERE k.version <> c.original AND k.online), 0)::integer AS upgraded_online,
		count(DISTINCT k.version) FILTER (WHERE k.online)::integer AS versions_online,
		max(k.version) FILTER (WHERE k.online) AS highest_online,
		count(DISTINCT k.version)::integer AS versions_known,
		min(k.version) AS lowest_known
	FROM (
		-- A node that zdu itself has stopped comes back: it counts as online.
		-- D13: a wish to be out of rotation costs its place before a worker has carried it out.
		SELECT nc.version, nc.state, nc.in_rotation, nc.confirmed, nc.taken, nc.n, nc.state <> 'OFFLINE' OR NOT nc.confirmed OR nc.taken AS online,
			nc.state = 'ACTIVE' AND nc.in_rotation AND nc.attached AS serving
		FROM zdu.node_count nc
		WHERE nc.cluster_id = c.cluster_id AND nc.n > 0
	) k
) n;
COMMENT ON VIEW zdu.cluster_facts IS 'everything that a decision about a cluster asks for but its nodes, a row a cluster; durations in seconds';

CREATE VIEW zdu.node_vars AS
SELECT
	n.node_id, n.cluster_id, n.name,
	c.vars || n.vars || jsonb_build_object(
		'cluster', c.name, 'node', n.name, 'address', n.address, 'node_group', n.node_group, 'zone', n.zone, 'role', n.role,
		'original', coalesce(c.original, c.version)::text, 'target', coalesce(c.target, c.version)::text,
		'version', c.version::text) AS vars
FROM zdu.node n
JOIN zdu.cluster c ON c.cluster_id = n.cluster_id;
COMMENT ON VIEW zdu.node_vars IS 'the variables of a node: its cluster''s, over them its own, over them what zdu knows';

CREATE VIEW zdu.status AS
SELECT
	f.name AS cluster,
	f.state,
	f.run,
	f.original::text AS original,
	f.target::text AS target,
	CASE WHEN f.run IS NOT NULL THEN f.done || '/' || f.total END AS done,
	f.serving || '/' || f.total AS serving,
	e.eta,
	zdu_waits_for(f.name) AS waits_for,
	CASE
		WHEN f.run IS NULL THEN 'Not Active'
		WHEN f.state = 'READY_TO_RUN_UPGRADE_TASKS' THEN 'Active; Updated; ' || f.highest_online::text
		WHEN f.state = 'MIXED' THEN 'Active; Mixed; ' || f.upgraded || '/' || f.total || coalesce(' at ' || f.target::text, '')
		WHEN f.state IN ('RUNNING_UPGRADE_TASKS', 'UPGRADE_TASKS_FAILED') THEN 'Active; Finalizing; ' || f.version::text
		ELSE 'Active; Outdated; ' || f.original::text
	END AS display
FROM zdu.cluster_facts f
LEFT JOIN LATERAL (
	SELECT zdu_eta(f.name) AS eta
	WHERE f.run IN ('running', 'rolling_back') AND f.kind = 'driven'
) e ON true
ORDER BY f.run IS DISTINCT FROM 'held', f.run IS NULL, f.name;
COMMENT ON VIEW zdu.status IS 'How the clusters are, held ones first: state, run, versions, done and serving of all nodes, eta (NULL: no history yet), what it waits for';
COMMENT ON COLUMN zdu.status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.status.state IS 'its state, see zdu_transitions()';
COMMENT ON COLUMN zdu.status.run IS 'running, paused, held, cancelling, rolling_back or finalizing; NULL: no upgrade';
COMMENT ON COLUMN zdu.status.original IS 'version at begin';
COMMENT ON COLUMN zdu.status.target IS 'version it goes to';
COMMENT ON COLUMN zdu.status.done IS 'nodes at the target and soaked, of all';
COMMENT ON COLUMN zdu.status.serving IS 'nodes ACTIVE and in rotation, of all';
COMMENT ON COLUMN zdu.status.eta IS 'time left, by zdu_eta; NULL: not known';
COMMENT ON COLUMN zdu.status.waits_for IS 'what it waits for, or why it is held';
COMMENT ON COLUMN zdu.status.display IS 'the state in one line (L21)';

CREATE VIEW zdu.node_status AS
SELECT
	c.name AS cluster,
	n.name AS node,
	n.state || CASE WHEN n.state = 'OFFLINE' AND NOT n.confirmed THEN ' (unheard)' WHEN n.stuck THEN ' (stuck)' WHEN n.fenced THEN ' (fenced)' ELSE '' END AS state,
	n.version::text AS version,
	n.in_rotation,
	h.users,
	h.tasks,
	h.heard,
	s.phase || CASE s.state WHEN 'running' THEN '' ELSE ' (' || s.state || ')' END AS step,
	coalesce(s.started_at, n.since) AS since,
	CASE WHEN h.users > 20 AND h.users > 2 * avg(h.users) FILTER (WHERE n.state = 'ACTIVE') OVER
			 (PARTITION BY n.cluster_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)
		 AND c.target IS NOT NULL AND n.version = c.target
		 THEN format('SELECT zdu_detach(%L, %L)', c.name, n.name) END AS hint
FROM zdu.node n
JOIN zdu.cluster c ON c.cluster_id = n.cluster_id
LEFT JOIN zdu.node_heard h ON h.node_id = n.node_id
LEFT JOIN LATERAL (
	SELECT p.phase[f.place] AS phase, f.state, f.started_at
	FROM zdu.flight f
	JOIN zdu.step_plan p ON p.plan_id = f.plan_id
	WHERE f.cluster_id = n.cluster_id AND f.node_id = n.node_id AND f.state <> 'pending'
	ORDER BY f.state = 'failed', f.plan_id DESC
	LIMIT 1
) s ON true
ORDER BY c.name, n.name;
COMMENT ON VIEW zdu.node_status IS 'How the nodes are (N5)';
COMMENT ON COLUMN zdu.node_status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.node_status.node IS 'the node';
COMMENT ON COLUMN zdu.node_status.state IS 'its state, with (unheard), (stuck) or (fenced)';
COMMENT ON COLUMN zdu.node_status.version IS 'version last seen running; NULL: never seen';
COMMENT ON COLUMN zdu.node_status.in_rotation IS 'the load balancer sends it requests';
COMMENT ON COLUMN zdu.node_status.users IS 'active users, as the node says';
COMMENT ON COLUMN zdu.node_status.tasks IS 'running tasks, as the node says';
COMMENT ON COLUMN zdu.node_status.heard IS 'when it was last heard or seen';
COMMENT ON COLUMN zdu.node_status.step IS 'the step it is in';
COMMENT ON COLUMN zdu.node_status.since IS 'since when it is in this step, or else in this state';
COMMENT ON COLUMN zdu.node_status.hint IS 'what helps: a new node that draws more than twice the users of its peers can be detached for a while (N17)';

CREATE VIEW zdu.budget_status AS
SELECT
	c.name AS cluster,
	b.name AS budget,
	coalesce(nullif(btrim(b.place), ''), 'every node') AS nodes_meant,
	b.total AS nodes,
	b.unavailable,
	zdu_limit(b.max_unavailable, b.total) AS allowed,
	CASE WHEN b.max_begun IS NOT NULL THEN b.begun || ' of ' || b.max_begun || ' in ' || make_interval(secs => b.per_interval) END AS begun,
	CASE WHEN b.max_failures IS NOT NULL THEN b.failures || ' of ' || b.max_failures END AS failed
FROM (
	SELECT f.cluster_id, '(policy)' AS name, '' AS place, f.max_unavailable, f.total, f.unavailable, NULL::integer AS max_begun, 0 AS begun,
		NULL::double precision AS per_interval, CASE WHEN f.upgrade_id IS NOT NULL THEN f.max_failures END AS max_failures, f.failures
	FROM zdu.cluster_facts f
	UNION ALL
	SELECT o.cluster_id, o.name, o.place, o.max_unavailable, o.total, o.unavailable, o.max_begun, o.begun, o.per_interval, o.max_failures, o.failures
	FROM zdu.budget_facts o
) b
JOIN zdu.cluster c ON c.cluster_id = b.cluster_id
ORDER BY c.name, b.name;
COMMENT ON VIEW zdu.budget_status IS 'How things stand under each budget, the policy''s own first (D11)';
COMMENT ON COLUMN zdu.budget_status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.budget_status.budget IS 'the budget; (policy): max_unavailable and max_failures of the policy';
COMMENT ON COLUMN zdu.budget_status.nodes_meant IS 'which nodes fall under it';
COMMENT ON COLUMN zdu.budget_status.nodes IS 'how many';
COMMENT ON COLUMN zdu.budget_status.unavailable IS 'of them: not serving, or taken; each counts once (D12)';
COMMENT ON COLUMN zdu.budget_status.allowed IS 'how many may be, resolved (D10); NULL: no limit';
COMMENT ON COLUMN zdu.budget_status.begun IS 'begun, of how many in which time; NULL: no limit';
COMMENT ON COLUMN zdu.budget_status.failed IS 'failed, of how many with which the upgrade goes on; NULL: no limit';

CREATE VIEW zdu.timeline AS
SELECT e.at, nullif(e.cluster, '') AS cluster, e.node, e.what, e.old, e.new, e.rule, e.reason, e.caller, e.session_role
FROM zdu.event e
ORDER BY e.event_id;
COMMENT ON VIEW zdu.timeline IS 'What happened, oldest first';
COMMENT ON COLUMN zdu.timeline.at IS 'when';
COMMENT ON COLUMN zdu.timeline.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.timeline.node IS 'the node; NULL: the cluster';
COMMENT ON COLUMN zdu.timeline.what IS 'what changed';
COMMENT ON COLUMN zdu.timeline.old IS 'before';
COMMENT ON COLUMN zdu.timeline.new IS 'after';
COMMENT ON COLUMN zdu.timeline.rule IS 'the rule it comes from';
COMMENT ON COLUMN zdu.timeline.reason IS 'what was seen, or the reason given';
COMMENT ON COLUMN zdu.timeline.caller IS 'the role that called';
COMMENT ON COLUMN zdu.timeline.session_role IS 'the session_user';

-- The views that zdu itself reads show columns of its tables: what those say holds here.
COMMENT ON COLUMN zdu.node_vars.vars IS 'name and value';
DO $$
DECLARE
	col record;
BEGIN
	FOR col IN
		SELECT DISTINCT ON (v.view, a.attname) v.view, a.attname, col_description(b.attrelid, b.attnum) AS meaning
		FROM (VALUES ('zdu.cluster_settings'::regclass, '{zdu.cluster,zdu.policy,zdu.upgrade}'::regclass[]),
					 ('zdu.cluster_facts', '{zdu.cluster,zdu.policy,zdu.upgrade}'),
					 ('zdu.current_policy', '{zdu.policy}'),
					 ('zdu.node_vars', '{zdu.node}'),
					 ('zdu.step', '{zdu.flight,zdu.step_past,zdu.step_plan}'),
					 ('zdu.event', '{zdu.event_log}')) AS v (view, tables)
		JOIN pg_attribute a ON a.attrelid = v.view AND col_description(a.attrelid, a.attnum) IS NULL
		CROSS JOIN LATERAL unnest(v.tables) WITH ORDINALITY AS t (relation, ord)
		JOIN pg_attribute b ON b.attrelid = t.relation AND b.attname = a.attname AND b.attnum > 0
		ORDER BY v.view, a.attname, t.ord
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', col.view, col.attname, col.meaning);
	END LOOP;
END
$$;
COMMENT ON COLUMN zdu.cluster_settings.pinned IS 'the runbook that the upgrade began with';
COMMENT ON COLUMN zdu.cluster_settings.freezes_nodes IS 'some of zdu.freeze stand in the signatures of its nodes';
COMMENT ON COLUMN zdu.cluster_settings.began_by IS 'session_user who began the upgrade';
COMMENT ON COLUMN zdu.cluster_facts.pinned IS 'the runbook that the upgrade began with';
COMMENT ON COLUMN zdu.cluster_facts.began_by IS 'session_user who began the upgrade';
COMMENT ON COLUMN zdu.cluster_facts.own_budgets IS 'how many rows of zdu.budget it has';
COMMENT ON COLUMN zdu.cluster_facts.copies_every IS 'seconds between looks at where copies are; NULL: nobody looks';
COMMENT ON COLUMN zdu.cluster_facts.has_copies IS 'something is known of copies';
COMMENT ON COLUMN zdu.cluster_facts.copies_loaded IS 'when they were last seen; NULL: never';
COMMENT ON COLUMN zdu.cluster_facts.one_waived IS 'a cluster of one is waived (D10)';
COMMENT ON COLUMN zdu.cluster_facts.schema_watched IS 'the runbook says how the schema''s version is seen';
COMMENT ON COLUMN zdu.cluster_facts.leader_fit IS 'the leader is ACTIVE, attached and not taken (M7)';
COMMENT ON COLUMN zdu.cluster_facts.mark IS 'which database was adopted last; NULL: none yet';
COMMENT ON COLUMN zdu.cluster_facts.steps_open IS 'something is in flight, or waits to be';
COMMENT ON COLUMN zdu.cluster_facts.watched IS 'something is looked at again and again while the upgrade runs';
COMMENT ON COLUMN zdu.cluster_facts.unlooked IS 'a guard has not yet been looked at: how it was before is not known';
COMMENT ON COLUMN zdu.cluster_facts.gated IS 'the upgrade has a gate that is not open';
COMMENT ON COLUMN zdu.cluster_facts.has_calendar IS 'there are freezes or windows to be asked for';
COMMENT ON COLUMN zdu.cluster_facts.freezes_nodes IS 'some of zdu.freeze stand in the signatures of its nodes';
COMMENT ON COLUMN zdu.cluster_facts.before_open IS 'steps of the preparation that are not done';
COMMENT ON COLUMN zdu.cluster_facts.tasks_open IS 'finalization tasks that are not done';
COMMENT ON COLUMN zdu.cluster_facts.tasks_failed IS 'finalization tasks that failed';
COMMENT ON COLUMN zdu.cluster_facts.undo_open IS 'steps that undo the preparation and are not done';
COMMENT ON COLUMN zdu.cluster_facts.total IS 'nodes: all';
COMMENT ON COLUMN zdu.cluster_facts.online IS 'nodes: not confirmed OFFLINE, or stopped by zdu itself';
COMMENT ON COLUMN zdu.cluster_facts.active IS 'nodes: ACTIVE';
COMMENT ON COLUMN zdu.cluster_facts.serving IS 'nodes: ACTIVE and in rotation';
COMMENT ON COLUMN zdu.cluster_facts.staying IS 'nodes: serving, and not taken';
COMMENT ON COLUMN zdu.cluster_facts.present IS 'nodes: up and not taken, so that copies on them can be read and written';
COMMENT ON COLUMN zdu.cluster_facts.unavailable IS 'nodes: not serving, or taken (D12)';
COMMENT ON COLUMN zdu.cluster_facts.in_error IS 'nodes: in ERROR';
COMMENT ON COLUMN zdu.cluster_facts.unheard IS 'nodes: OFFLINE, not confirmed';
COMMENT ON COLUMN zdu.cluster_facts.unheard_node IS 'the name of one of them';
COMMENT ON COLUMN zdu.cluster_facts.taken IS 'nodes: with steps of the upgrade in flight';
COMMENT ON COLUMN zdu.cluster_facts.at_target IS 'nodes: at the target';
COMMENT ON COLUMN zdu.cluster_facts.done IS 'nodes: at the target, with nothing in flight';
COMMENT ON COLUMN zdu.cluster_facts.upgraded IS 'nodes: at another version than the original';
COMMENT ON COLUMN zdu.cluster_facts.upgraded_online IS 'nodes: at another version than the original, and online';
COMMENT ON COLUMN zdu.cluster_facts.versions_online IS 'how many versions the online nodes run';
COMMENT ON COLUMN zdu.cluster_facts.highest_online IS 'the highest version among the online nodes';
COMMENT ON COLUMN zdu.cluster_facts.versions_known IS 'how many versions all nodes were last seen at';
COMMENT ON COLUMN zdu.cluster_facts.lowest_known IS 'the lowest of them';
