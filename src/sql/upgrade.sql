-- What is being done: upgrades, their steps, who works on them, what happened.

CREATE TABLE zdu.upgrade
(
	upgrade_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	kind text NOT NULL,
	run text NOT NULL DEFAULT 'running',
	resume_to text NOT NULL DEFAULT 'running',
	original zdu_version,
	target zdu_version,
	runbook text,
	revision integer,
	runbook_shipped boolean,
	failures integer NOT NULL DEFAULT 0,
	held_rule text,
	held_reason text,
	run_since timestamptz NOT NULL DEFAULT clock_timestamp(),
	session_role text NOT NULL DEFAULT session_user,
	reason text,
	node_group text,
	together boolean NOT NULL DEFAULT false,
	canary integer,
	plan text,
	began_at timestamptz NOT NULL,
	ended_at timestamptz,
	CONSTRAINT upgrade_pkey PRIMARY KEY (upgrade_id),
	CONSTRAINT upgrade_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT upgrade_canary_check CHECK (canary > 0),
	CONSTRAINT upgrade_kind_check CHECK (kind IN ('driven', 'manual')),
	CONSTRAINT upgrade_run_check CHECK (run IN ('running', 'paused', 'held', 'cancelling', 'rolling_back', 'finalizing',
												'completed', 'cancelled', 'rolled_back')),
	CONSTRAINT upgrade_resume_to_check CHECK (resume_to IN ('running', 'cancelling', 'rolling_back', 'finalizing')),
	CONSTRAINT upgrade_ended_check CHECK ((run IN ('completed', 'cancelled', 'rolled_back')) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX upgrade_active_key ON zdu.upgrade (cluster_id) WHERE ended_at IS NULL;
COMMENT ON TABLE zdu.upgrade IS 'Upgrades, at most one active in a cluster';
COMMENT ON COLUMN zdu.upgrade.upgrade_id IS 'key';
COMMENT ON COLUMN zdu.upgrade.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.upgrade.kind IS 'driven: workers carry it out; manual: people do, zdu watches and refuses';
COMMENT ON COLUMN zdu.upgrade.run IS 'state of zdu_transitions(), machine upgrade';
COMMENT ON COLUMN zdu.upgrade.resume_to IS 'the run that pause or hold interrupted';
COMMENT ON COLUMN zdu.upgrade.original IS 'version at begin';
COMMENT ON COLUMN zdu.upgrade.target IS 'version it goes to; NULL: manual, not yet known';
COMMENT ON COLUMN zdu.upgrade.runbook IS 'the runbook it began with';
COMMENT ON COLUMN zdu.upgrade.revision IS 'and its revision';
COMMENT ON COLUMN zdu.upgrade.runbook_shipped IS 'and whether it is a shipped one';
COMMENT ON COLUMN zdu.upgrade.failures IS 'failed nodes not yet retried or given up, in the direction it goes (D11, L23)';
COMMENT ON COLUMN zdu.upgrade.held_rule IS 'the rule that holds it';
COMMENT ON COLUMN zdu.upgrade.held_reason IS 'what was seen';
COMMENT ON COLUMN zdu.upgrade.run_since IS 'when run was last changed';
COMMENT ON COLUMN zdu.upgrade.session_role IS 'session_user who began it';
COMMENT ON COLUMN zdu.upgrade.reason IS 'why, as given';
COMMENT ON COLUMN zdu.upgrade.node_group IS 'the group it is being deployed to; NULL: all nodes (N15)';
COMMENT ON COLUMN zdu.upgrade.together IS 'the nodes of the group go back into rotation together, when every one is verified (M9)';
COMMENT ON COLUMN zdu.upgrade.canary IS 'so many nodes go first, and alone; NULL: none';
COMMENT ON COLUMN zdu.upgrade.plan IS 'hash of the plan that was agreed on; NULL: none';
COMMENT ON COLUMN zdu.upgrade.began_at IS 'when it began';
COMMENT ON COLUMN zdu.upgrade.ended_at IS 'when it ended; NULL: active';

CREATE TABLE zdu.watch
(
	watch_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	kind text NOT NULL,
	name text NOT NULL,
	upgrade_id bigint,
	node_id bigint,
	look jsonb NOT NULL,
	until text,
	vars jsonb NOT NULL DEFAULT '{}',
	every double precision NOT NULL,
	failures integer NOT NULL DEFAULT 1,
	failed integer NOT NULL DEFAULT 0,
	holds boolean,
	armed boolean NOT NULL DEFAULT false,
	baseline boolean NOT NULL DEFAULT false,
	asked timestamptz,
	asked_of text,
	seen_at timestamptz,
	evidence jsonb,
	CONSTRAINT watch_pkey PRIMARY KEY (watch_id),
	CONSTRAINT watch_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT watch_upgrade_fkey FOREIGN KEY (upgrade_id) REFERENCES zdu.upgrade ON DELETE CASCADE,
	CONSTRAINT watch_node_fkey FOREIGN KEY (node_id) REFERENCES zdu.node ON DELETE CASCADE,
	CONSTRAINT watch_kind_check CHECK (kind IN ('guard', 'schema', 'gate', 'placements'))
);
CREATE INDEX watch_cluster_idx ON zdu.watch (cluster_id, upgrade_id);
CREATE INDEX watch_node_idx ON zdu.watch (node_id) WHERE node_id IS NOT NULL;
COMMENT ON TABLE zdu.watch IS 'Probes that are repeated: guards all through an upgrade, the schema''s version in STABLE too';
COMMENT ON COLUMN zdu.watch.watch_id IS 'key; a worker''s report names it';
COMMENT ON COLUMN zdu.watch.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.watch.kind IS 'what it is for: guard, schema, gate';
COMMENT ON COLUMN zdu.watch.name IS 'its name for people';
COMMENT ON COLUMN zdu.watch.upgrade_id IS 'the upgrade with which it ends; NULL: it stays';
COMMENT ON COLUMN zdu.watch.node_id IS 'the node it is about; NULL: the cluster';
COMMENT ON COLUMN zdu.watch.look IS 'args of verb probe';
COMMENT ON COLUMN zdu.watch.until IS 'jsonpath predicate over the evidence: true is well; NULL: the evidence itself is wanted';
COMMENT ON COLUMN zdu.watch.vars IS 'variables of until';
COMMENT ON COLUMN zdu.watch.every IS 'seconds between looks';
COMMENT ON COLUMN zdu.watch.failures IS 'looks that must fail in a row until it has failed';
COMMENT ON COLUMN zdu.watch.failed IS 'looks that failed in a row';
COMMENT ON COLUMN zdu.watch.holds IS 'whether until held at the last look; NULL: cannot tell, or not yet looked';
COMMENT ON COLUMN zdu.watch.armed IS 'until held at some look: a guard counts only from then on, so that what was not well before the upgrade does not hold it';
COMMENT ON COLUMN zdu.watch.baseline IS 'the upgrade waits for the first look';
COMMENT ON COLUMN zdu.watch.asked IS 'when a worker was last asked to look';
COMMENT ON COLUMN zdu.watch.asked_of IS 'that worker, and its incarnation: of nobody else a look is taken; NULL: what is looked at has changed since';
COMMENT ON COLUMN zdu.watch.seen_at IS 'when it was last seen';
COMMENT ON COLUMN zdu.watch.evidence IS 'what was seen last';

CREATE TABLE zdu.worker
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	incarnation text NOT NULL,
	replaced text,
	protocol integer NOT NULL,
	programs text[],
	node text,
	asked timestamptz NOT NULL,
	listened double precision NOT NULL,
	CONSTRAINT worker_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT worker_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE
) WITH (fillfactor = 50);
COMMENT ON TABLE zdu.worker IS 'Who asked last for work: one lease for all that a worker holds in a cluster; left out of a dump';
COMMENT ON COLUMN zdu.worker.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.worker.name IS 'the worker';
COMMENT ON COLUMN zdu.worker.incarnation IS 'which process';
COMMENT ON COLUMN zdu.worker.replaced IS 'the process that had the name before: should it still ask, it is told so';
COMMENT ON COLUMN zdu.worker.protocol IS 'what it understands';
COMMENT ON COLUMN zdu.worker.programs IS 'programs in its runbook directory, and protocol/N for every protocol beyond the first that it speaks';
COMMENT ON COLUMN zdu.worker.node IS 'the one node it is the agent of; NULL: all';
COMMENT ON COLUMN zdu.worker.asked IS 'when it asked, written at most every quarter of a lease';
COMMENT ON COLUMN zdu.worker.listened IS 'the same in seconds of zdu.cluster.listened';

-- A row for each of them would be half of what a decision writes.
CREATE TABLE zdu.event_log
(
	log_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	at timestamptz NOT NULL,
	cluster text NOT NULL,
	upgrade_id bigint,
	node text[] NOT NULL,
	what text[] NOT NULL,
	old text[] NOT NULL,
	new text[] NOT NULL,
	rule text[] NOT NULL,
	reason text[] NOT NULL,
	caller text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	CONSTRAINT event_log_pkey PRIMARY KEY (cluster, log_id)
) WITH (toast_tuple_target = 8160);
COMMENT ON TABLE zdu.event_log IS 'What decisions changed, append-only, a row a decision (more for many events); each array has an element an event; zdu_prune removes old rows';
COMMENT ON COLUMN zdu.event_log.log_id IS 'key, in order of happening within a cluster';
COMMENT ON COLUMN zdu.event_log.at IS 'when';
COMMENT ON COLUMN zdu.event_log.cluster IS 'the cluster''s name; empty: all';
COMMENT ON COLUMN zdu.event_log.upgrade_id IS 'the upgrade; NULL: none';
COMMENT ON COLUMN zdu.event_log.node IS 'the node''s name; NULL: the cluster';
COMMENT ON COLUMN zdu.event_log.what IS 'what changed: cluster, node, rotation, upgrade, step, lease, set, grant, ...';
COMMENT ON COLUMN zdu.event_log.old IS 'before';
COMMENT ON COLUMN zdu.event_log.new IS 'after';
COMMENT ON COLUMN zdu.event_log.rule IS 'the rule it comes from';
COMMENT ON COLUMN zdu.event_log.reason IS 'what was seen, or the reason given';
COMMENT ON COLUMN zdu.event_log.caller IS 'the role that called';
COMMENT ON COLUMN zdu.event_log.session_role IS 'the session_user';

CREATE VIEW zdu.event AS
SELECT l.log_id * 1000 + e.ord AS event_id, l.at, l.cluster, e.node, l.upgrade_id, e.what, e.old, e.new, e.rule, e.reason, l.caller, l.session_role
FROM zdu.event_log l
CROSS JOIN LATERAL unnest(l.node, l.what, l.old, l.new, l.rule, l.reason) WITH ORDINALITY AS e(node, what, old, new, rule, reason, ord);
COMMENT ON VIEW zdu.event IS 'What happened';
COMMENT ON COLUMN zdu.event.event_id IS 'key, in order of happening within a cluster';

CREATE TABLE zdu.grant
(
	role text NOT NULL,
	grant_as text NOT NULL,
	CONSTRAINT grant_pkey PRIMARY KEY (role, grant_as),
	CONSTRAINT grant_as_check CHECK (grant_as IN ('viewer', 'operator', 'approver', 'worker', 'node', 'admin', 'force', 'waive'))
);
COMMENT ON TABLE zdu.grant IS 'Who may do what; zdu_grant and zdu_revoke';
COMMENT ON COLUMN zdu.grant.role IS 'a role, by name; its members have it too';
COMMENT ON COLUMN zdu.grant.grant_as IS 'viewer, operator, approver, worker, node, admin, force, waive';

CREATE TABLE zdu.waiver
(
	cluster_id bigint NOT NULL,
	rule text NOT NULL,
	reason text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	at timestamptz NOT NULL,
	CONSTRAINT waiver_pkey PRIMARY KEY (cluster_id, rule),
	CONSTRAINT waiver_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE
);
COMMENT ON TABLE zdu.waiver IS 'Rules waived by name for the next upgrade of a cluster; gone when it ends';
COMMENT ON COLUMN zdu.waiver.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.waiver.rule IS 'the rule''s id';
COMMENT ON COLUMN zdu.waiver.reason IS 'why';
COMMENT ON COLUMN zdu.waiver.session_role IS 'session_user who waived it';
COMMENT ON COLUMN zdu.waiver.at IS 'when';

CREATE TABLE zdu.instance
(
	epoch integer NOT NULL,
	mark text NOT NULL,
	at timestamptz NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	reason text,
	CONSTRAINT instance_pkey PRIMARY KEY (epoch)
);
COMMENT ON TABLE zdu.instance IS 'Which database this is: after a restore, clone or promotion the mark differs, and nothing is granted until zdu_adopt';
COMMENT ON COLUMN zdu.instance.epoch IS 'first half of every fencing token';
COMMENT ON COLUMN zdu.instance.mark IS 'system identifier, timeline, database, machine and data directory';
COMMENT ON COLUMN zdu.instance.at IS 'when it was adopted';
COMMENT ON COLUMN zdu.instance.session_role IS 'session_user who adopted it';
COMMENT ON COLUMN zdu.instance.reason IS 'why';
