-- Two versions side by side: what nodes and applications ask while old and new run together.

CREATE TABLE zdu.feature
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	since zdu_version NOT NULL,
	CONSTRAINT feature_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT feature_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT feature_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.feature IS 'Features that only a version and later ones know: off until no older node is left and the upgrade is final (S4)';
COMMENT ON COLUMN zdu.feature.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.feature.name IS 'its name';
COMMENT ON COLUMN zdu.feature.since IS 'the first version that knows it';

CREATE VIEW zdu.feature_status AS
SELECT
	c.name AS cluster,
	f.name AS feature,
	f.since::text AS since,
	f.name = ANY (c.features) AS is_on,
	CASE
		WHEN f.name = ANY (c.features) THEN NULL
		WHEN c.version IS NULL OR f.since > c.version THEN
			CASE WHEN c.original IS NULL THEN 'an upgrade to ' || f.since::text ELSE 'the end of the upgrade' END
		ELSE (
			SELECT n.name || ' is ' || n.state || CASE WHEN n.state = 'OFFLINE' THEN ', not confirmed,' ELSE '' END || ' at ' || coalesce(n.version::text, 'a version not seen')
			FROM zdu.node n
			WHERE n.cluster_id = c.cluster_id AND NOT n.confirmed AND (n.version < f.since OR (n.version IS NULL AND n.state <> 'OFFLINE'))
			ORDER BY n.state = 'OFFLINE', n.name
			LIMIT 1)
	END AS waits_for
FROM zdu.feature f
JOIN zdu.cluster c ON c.cluster_id = f.cluster_id
ORDER BY c.name, f.name;
COMMENT ON VIEW zdu.feature_status IS 'Which features are on, and what the others wait for (S4)';
COMMENT ON COLUMN zdu.feature_status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.feature_status.feature IS 'the feature';
COMMENT ON COLUMN zdu.feature_status.since IS 'the first version that knows it';
COMMENT ON COLUMN zdu.feature_status.is_on IS 'what zdu_feature says';
COMMENT ON COLUMN zdu.feature_status.waits_for IS 'why it is off; NULL: it is on';

CREATE FUNCTION zdu_set_feature(
	cluster text,
	name text,
	since text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_feature';
COMMENT ON FUNCTION zdu_set_feature(text,text,text) IS 'Make a feature known: only nodes from version since on know it. It is off until the cluster is at that version and no older node runs, then on for all at once, and stays on (S4). Returns created, changed or unchanged. Errors: 42704, 22023 bad name, 22P02 bad version.';

CREATE FUNCTION zdu_drop_feature(
	cluster text,
	name text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_feature';
COMMENT ON FUNCTION zdu_drop_feature(text,text) IS 'Forget a feature that no program asks for any more; it is off from now on. Returns dropped. Errors: 42704.';

CREATE FUNCTION zdu_feature(
	cluster text,
	name text
)
RETURNS boolean
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_feature';
COMMENT ON FUNCTION zdu_feature(text,text) IS 'Is the feature on (S4)? The same for every node; one row is read by key. One that is not known is off. A node that beats gets all that are on as features of zdu_heartbeat. Errors: 42704 unknown cluster.';

CREATE FUNCTION zdu_protect_write()
RETURNS trigger
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_protect_write';
COMMENT ON FUNCTION zdu_protect_write() IS 'The trigger of protected tables, made by zdu_protect: arguments are the cluster and the way (empty: as the policy says).';

CREATE VIEW zdu.protected_table AS
SELECT DISTINCT
	a.args[1] AS cluster,
	t.tgrelid::regclass AS relation,
	nullif(a.args[2], '') AS how,
	t.tgenabled IN ('O', 'A') AS in_force
FROM pg_trigger t
CROSS JOIN LATERAL (SELECT string_to_array(encode(t.tgargs, 'escape'), '\000')) AS a (args)
-- Partitions have the trigger of their parent.
WHERE t.tgfoid = 'pg_catalog.zdu_protect_write'::regproc AND t.tgparentid = 0 AND t.tgtype & 1 = 1;
COMMENT ON VIEW zdu.protected_table IS 'Tables of applications that zdu_protect has put triggers on; their triggers are the record (M1, M3, M5)';
COMMENT ON COLUMN zdu.protected_table.cluster IS 'the cluster whose upgrades matter';
COMMENT ON COLUMN zdu.protected_table.relation IS 'the table, with its partitions';
COMMENT ON COLUMN zdu.protected_table.how IS 'what becomes of writes in upgrade mode: refuse, delta or spool; NULL: as the policy''s config_lock says';
COMMENT ON COLUMN zdu.protected_table.in_force IS 'false: somebody has disabled the trigger';

CREATE FUNCTION zdu_protect(
	cluster text,
	relation regclass,
	how text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_protect';
COMMENT ON FUNCTION zdu_protect(text,regclass,text) IS 'Protect a table, with its partitions, while the cluster is in upgrade mode. how: refuse (writes fail with "cluster is in upgrade mode", M1), delta (they are recorded in zdu.delta and can be taken back, M5), spool (what the login of an old node inserts goes to zdu.spool and is inserted when the cluster is STABLE; everybody else writes, M3); NULL: as the config_lock of the policy says. Reads go on. You must own the table. Waits for open writers, at most lock_timeout, or the policy''s max_block. Returns protected, changed or unchanged. Errors: 42704, 42501, 42809 not a table, 42710 protected for another cluster, 22023 unknown way or no primary key, ZD002 a writer stays.';

CREATE FUNCTION zdu_unprotect(
	cluster text,
	relation regclass,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_unprotect';
COMMENT ON FUNCTION zdu_unprotect(text,regclass,text) IS 'Take a table''s protection away, also in upgrade mode; the log keeps who did and why. You must own the table. Waits for whoever uses it, readers too, as long as zdu_protect does. Returns unprotected. Errors: 42704 it is not protected, 42501, ZD002 somebody uses it.';

CREATE TABLE zdu.delta_row
(
	delta_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	upgrade_id bigint,
	relation regclass NOT NULL,
	at timestamptz NOT NULL,
	caller text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	action text NOT NULL,
	key jsonb NOT NULL,
	old jsonb,
	new jsonb,
	reverted_at timestamptz,
	reverted_by text,
	CONSTRAINT delta_row_pkey PRIMARY KEY (delta_id),
	CONSTRAINT delta_row_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT delta_row_upgrade_fkey FOREIGN KEY (upgrade_id) REFERENCES zdu.upgrade ON DELETE CASCADE,
	CONSTRAINT delta_row_action_check CHECK (action IN ('INSERT', 'UPDATE', 'DELETE'))
);
-- By cluster only people read them, and most are of one: no index, which every write to a protected table would pay for.
CREATE INDEX delta_row_upgrade_idx ON zdu.delta_row (upgrade_id);
COMMENT ON TABLE zdu.delta_row IS 'Writes to protected tables in upgrade mode (M5); read them in zdu.delta. Pruned with their upgrade';
COMMENT ON COLUMN zdu.delta_row.delta_id IS 'key, in order of writing for one row of a table';
COMMENT ON COLUMN zdu.delta_row.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.delta_row.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.delta_row.relation IS 'the table; for a partition the partitioned table';
COMMENT ON COLUMN zdu.delta_row.at IS 'when it was written';
COMMENT ON COLUMN zdu.delta_row.caller IS 'the role that wrote';
COMMENT ON COLUMN zdu.delta_row.session_role IS 'the session_user';
COMMENT ON COLUMN zdu.delta_row.action IS 'INSERT, UPDATE or DELETE';
COMMENT ON COLUMN zdu.delta_row.key IS 'the primary key: the new one, of a row deleted the old one';
COMMENT ON COLUMN zdu.delta_row.old IS 'the row before; NULL: inserted';
COMMENT ON COLUMN zdu.delta_row.new IS 'the row after; NULL: deleted';
COMMENT ON COLUMN zdu.delta_row.reverted_at IS 'when it was taken back; NULL: it was not';
COMMENT ON COLUMN zdu.delta_row.reverted_by IS 'by which role';

-- What is in a table is for those who may read the table.
CREATE VIEW zdu.delta AS
SELECT
	d.delta_id AS delta, c.name AS cluster, d.upgrade_id, d.relation, d.at, d.caller, d.session_role, d.action,
	CASE WHEN m.may THEN d.key END AS key, CASE WHEN m.may THEN d.old END AS old, CASE WHEN m.may THEN d.new END AS new,
	d.reverted_at, d.reverted_by
FROM zdu.delta_row d
JOIN zdu.cluster c ON c.cluster_id = d.cluster_id
CROSS JOIN LATERAL (SELECT has_table_privilege(d.relation, 'SELECT') AND NOT row_security_active(d.relation)) AS m (may)
ORDER BY d.delta_id;
COMMENT ON VIEW zdu.delta IS 'What was written to protected tables in upgrade mode, oldest first (M5); key, old and new show to those who may read the table. zdu_revert takes it back';
COMMENT ON COLUMN zdu.delta.delta IS 'what zdu_revert takes';
COMMENT ON COLUMN zdu.delta.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.delta.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.delta.relation IS 'the table; for a partition the partitioned table';
COMMENT ON COLUMN zdu.delta.at IS 'when it was written';
COMMENT ON COLUMN zdu.delta.caller IS 'the role that wrote';
COMMENT ON COLUMN zdu.delta.session_role IS 'the session_user';
COMMENT ON COLUMN zdu.delta.action IS 'INSERT, UPDATE or DELETE';
COMMENT ON COLUMN zdu.delta.key IS 'the primary key';
COMMENT ON COLUMN zdu.delta.old IS 'the row before; NULL: inserted';
COMMENT ON COLUMN zdu.delta.new IS 'the row after; NULL: deleted';
COMMENT ON COLUMN zdu.delta.reverted_at IS 'when it was taken back; NULL: it was not';
COMMENT ON COLUMN zdu.delta.reverted_by IS 'by which role';

CREATE FUNCTION zdu_revert(
	cluster text,
	deltas bigint[],
	reason text DEFAULT NULL
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_revert';
COMMENT ON FUNCTION zdu_revert(text,bigint[],text) IS 'Take back what was written to protected tables (zdu.delta), newest first, with your own rights on them: all of it, or nothing when a row is no longer as it was left. In upgrade mode the way back is recorded as a delta itself. Returns how many. Errors: 42704 unknown delta, ZD002 changed since, 42501.';

CREATE TABLE zdu.operation
(
	operation_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	lease interval NOT NULL,
	began_at timestamptz NOT NULL,
	lease_ends timestamptz NOT NULL,
	ended_at timestamptz,
	outcome text,
	reason text,
	caller text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	CONSTRAINT operation_pkey PRIMARY KEY (operation_id),
	CONSTRAINT operation_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT operation_outcome_check CHECK (outcome IN ('ended', 'expired') AND ended_at IS NOT NULL OR outcome IS NULL AND ended_at IS NULL)
);
CREATE UNIQUE INDEX operation_running_key ON zdu.operation (cluster_id, name) WHERE ended_at IS NULL;
COMMENT ON TABLE zdu.operation IS 'Named operations that must not meet an upgrade (M2); zdu_prune removes old ones';
COMMENT ON COLUMN zdu.operation.operation_id IS 'key, and the token of whoever runs it';
COMMENT ON COLUMN zdu.operation.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.operation.name IS 'backup, restore, module-deploy, ...: one of a name at a time';
COMMENT ON COLUMN zdu.operation.lease IS 'how long it keeps upgrades away without being renewed';
COMMENT ON COLUMN zdu.operation.began_at IS 'when it began';
COMMENT ON COLUMN zdu.operation.lease_ends IS 'until when it keeps upgrades away';
COMMENT ON COLUMN zdu.operation.ended_at IS 'when it ended; NULL: it runs, or has not said that it does not';
COMMENT ON COLUMN zdu.operation.outcome IS 'ended: by whoever ran it; expired: its lease was over when something else began';
COMMENT ON COLUMN zdu.operation.reason IS 'why, as given';
COMMENT ON COLUMN zdu.operation.caller IS 'the role that began it';
COMMENT ON COLUMN zdu.operation.session_role IS 'the session_user';

CREATE VIEW zdu.operation_status AS
SELECT
	c.name AS cluster, o.name AS operation, o.operation_id AS token,
	coalesce(o.outcome, CASE WHEN o.lease_ends > zdu_clock() THEN 'running' ELSE 'not renewed' END) AS state,
	o.began_at, o.lease_ends, o.ended_at, o.caller, o.session_role, o.reason
FROM zdu.operation o
JOIN zdu.cluster c ON c.cluster_id = o.cluster_id
ORDER BY o.ended_at DESC NULLS FIRST, o.operation_id DESC;
COMMENT ON VIEW zdu.operation_status IS 'Named operations, those that run first (M2)';
COMMENT ON COLUMN zdu.operation_status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.operation_status.operation IS 'its name';
COMMENT ON COLUMN zdu.operation_status.token IS 'what zdu_operation_renew and zdu_operation_end take';
COMMENT ON COLUMN zdu.operation_status.state IS 'running (begin is refused), not renewed (it is not), ended, expired';
COMMENT ON COLUMN zdu.operation_status.began_at IS 'when it began';
COMMENT ON COLUMN zdu.operation_status.lease_ends IS 'until when it keeps upgrades away';
COMMENT ON COLUMN zdu.operation_status.ended_at IS 'when it ended';
COMMENT ON COLUMN zdu.operation_status.caller IS 'the role that began it';
COMMENT ON COLUMN zdu.operation_status.session_role IS 'the session_user';
COMMENT ON COLUMN zdu.operation_status.reason IS 'why, as given';

CREATE FUNCTION zdu_operation_begin(
	cluster text,
	name text,
	lease interval DEFAULT '10 min',
	reason text DEFAULT NULL
)
RETURNS bigint
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_operation_begin';
COMMENT ON FUNCTION zdu_operation_begin(text,text,interval,text) IS 'Begin an operation that must not meet an upgrade, such as backup, restore or module-deploy: refused in upgrade mode, and zdu_begin is refused while it runs (M2). Returns a token; renew it well before the lease is over. Errors: ZD002 upgrade mode, or one of that name runs; 22023, 42704.';

CREATE FUNCTION zdu_operation_renew(
	cluster text,
	token bigint,
	lease interval DEFAULT NULL
)
RETURNS timestamptz
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_operation_renew';
COMMENT ON FUNCTION zdu_operation_renew(text,bigint,interval) IS 'Say that an operation still runs; lease NULL: as before. Returns until when it keeps upgrades away. Errors: ZD003 it lost its lease to something else, stop it; 42704.';

CREATE FUNCTION zdu_operation_end(
	cluster text,
	token bigint,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_operation_end';
COMMENT ON FUNCTION zdu_operation_end(text,bigint,text) IS 'Say that an operation is over. Returns ended. Errors: ZD003 it had lost its lease before, an upgrade may have begun meanwhile; 42704.';

CREATE FUNCTION zdu_asset(
	cluster text,
	node text
)
RETURNS text
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_asset';
COMMENT ON FUNCTION zdu_asset(text,text) IS 'The folder of what belongs to the version of a node, such as web pages (M4): the variable assets of node or cluster (default Web); for an old node in upgrade mode UpgradeFrom<original> beside it. Errors: 42704.';

CREATE FUNCTION zdu_may_run(
	cluster text,
	node text,
	task text
)
RETURNS boolean
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_may_run';
COMMENT ON FUNCTION zdu_may_run(text,text,text) IS 'May this node run a task that only one node may run while two versions are side by side (M7)? In upgrade mode the leader (zdu.cluster.leader) may, whatever the task; else every node that is not fenced. Ask before each run: the leadership is handed over before its node is taken. Errors: 42704.';

CREATE TABLE zdu.spool_row
(
	spool_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	node text NOT NULL,
	relation regclass NOT NULL,
	role text NOT NULL,
	shape text NOT NULL,
	content jsonb NOT NULL,
	at timestamptz NOT NULL,
	state text NOT NULL DEFAULT 'waiting',
	reason text,
	tried_at timestamptz,
	CONSTRAINT spool_row_pkey PRIMARY KEY (spool_id),
	CONSTRAINT spool_row_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT spool_row_state_check CHECK (state IN ('waiting', 'kept'))
);
CREATE INDEX spool_row_waiting_idx ON zdu.spool_row (cluster_id, node, spool_id) WHERE state = 'waiting';
CREATE INDEX spool_row_kept_idx ON zdu.spool_row (cluster_id) WHERE state = 'kept';
COMMENT ON TABLE zdu.spool_row IS 'Rows that old nodes inserted into registered tables, until they are replayed (M3); read them in zdu.spool';
COMMENT ON COLUMN zdu.spool_row.spool_id IS 'key, in order of writing';
COMMENT ON COLUMN zdu.spool_row.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.spool_row.node IS 'the node whose login inserted it';
COMMENT ON COLUMN zdu.spool_row.relation IS 'the table it belongs to; for a partition the partitioned table';
COMMENT ON COLUMN zdu.spool_row.role IS 'the role that inserted it, with whose rights it is replayed';
COMMENT ON COLUMN zdu.spool_row.shape IS 'a fingerprint of the table''s columns at that time';
COMMENT ON COLUMN zdu.spool_row.content IS 'the row, with defaults filled in';
COMMENT ON COLUMN zdu.spool_row.at IS 'when it was inserted';
COMMENT ON COLUMN zdu.spool_row.state IS 'waiting, or kept: it could not be replayed';
COMMENT ON COLUMN zdu.spool_row.reason IS 'why it is kept';
COMMENT ON COLUMN zdu.spool_row.tried_at IS 'when that was found';

-- A trigger looks for the node of a login.
CREATE INDEX node_login_idx ON zdu.node (cluster_id, login) WHERE login IS NOT NULL;

CREATE VIEW zdu.spool AS
SELECT
	s.spool_id AS spooled, c.name AS cluster, s.node, s.relation, s.role, s.at, s.state, s.reason,
	CASE WHEN has_table_privilege(s.relation, 'SELECT') AND NOT row_security_active(s.relation) THEN s.content END AS content
FROM zdu.spool_row s
JOIN zdu.cluster c ON c.cluster_id = s.cluster_id
ORDER BY s.spool_id;
COMMENT ON VIEW zdu.spool IS 'Rows that wait to be replayed, and those that could not be, with the reason (M3); content shows to those who may read the table';
COMMENT ON COLUMN zdu.spool.spooled IS 'what zdu_discard takes';
COMMENT ON COLUMN zdu.spool.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.spool.node IS 'the node whose login inserted it';
COMMENT ON COLUMN zdu.spool.relation IS 'the table it belongs to';
COMMENT ON COLUMN zdu.spool.role IS 'the role that inserted it';
COMMENT ON COLUMN zdu.spool.at IS 'when it was inserted';
COMMENT ON COLUMN zdu.spool.state IS 'waiting, or kept: it could not be replayed';
COMMENT ON COLUMN zdu.spool.reason IS 'why it is kept';
COMMENT ON COLUMN zdu.spool.content IS 'the row';

CREATE FUNCTION zdu_replay(
	cluster text,
	again boolean DEFAULT false,
	at_most integer DEFAULT 1000,
	OUT replayed integer,
	OUT kept integer,
	OUT more boolean
)
RETURNS record
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_replay';
COMMENT ON FUNCTION zdu_replay(text,boolean,integer) IS 'Insert a batch of what old nodes'' inserts left in the spool, when the cluster is STABLE (M3): each row once, in order for each node, with the rights of the role that wrote it, if its table has the same shape. What cannot be inserted is kept in zdu.spool with the reason; again: try those too. Workers call it by themselves when they have nothing else to do. more: rows still wait. Errors: ZD001 not STABLE, 42704.';

CREATE FUNCTION zdu_discard(
	cluster text,
	spooled bigint[],
	reason text
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_discard';
COMMENT ON FUNCTION zdu_discard(text,bigint[],text) IS 'Throw away rows of zdu.spool that could not be replayed. Returns how many.';

CREATE VIEW zdu.beside AS
SELECT c.cluster_id, x.ord, x.verdict, x.rule, x.subject, x.observed, x.since, x.hint
FROM zdu.cluster c
CROSS JOIN LATERAL (
	SELECT 1 AS ord, 'no' AS verdict, 'S4' AS rule, 'feature ' || f.feature AS subject, f.waits_for AS observed, NULL::timestamptz AS since,
		format('SELECT * FROM zdu.node_status WHERE cluster = %L', c.name) AS hint
	FROM zdu.feature_status f
	WHERE f.cluster = c.name AND c.original IS NULL AND f.since::zdu_version <= c.version AND NOT f.is_on
	UNION ALL
	SELECT 2, 'no', 'M3', 'spool', k.n || ' rows of the spool cannot be replayed: ' || r.reason, r.tried_at,
		format('SELECT * FROM zdu.spool WHERE cluster = %L AND state = ''kept''', c.name)
	FROM (SELECT count(*) AS n FROM zdu.spool_row s WHERE s.cluster_id = c.cluster_id AND s.state = 'kept') k
	CROSS JOIN LATERAL (SELECT s.reason, s.tried_at FROM zdu.spool_row s WHERE s.cluster_id = c.cluster_id AND s.state = 'kept' ORDER BY s.spool_id LIMIT 1) r
	UNION ALL
	SELECT 3, 'info', 'M3', 'spool', w.n || ' rows that old nodes inserted wait' || CASE WHEN c.state = 'STABLE' THEN '' ELSE ' for the end of the upgrade' END, w.since,
		CASE WHEN c.state = 'STABLE' THEN format('SELECT * FROM zdu_replay(%L)', c.name) END
	FROM (SELECT count(*) AS n, min(s.at) AS since FROM zdu.spool_row s WHERE s.cluster_id = c.cluster_id AND s.state = 'waiting') w
	WHERE w.n > 0
	UNION ALL
	SELECT 4, CASE WHEN t.in_force THEN 'info' ELSE 'no' END, CASE coalesce(t.how, p.config_lock) WHEN 'delta' THEN 'M5' ELSE 'M1' END,
		'table ' || t.relation::text,
		CASE WHEN NOT t.in_force THEN 'its trigger is disabled: it is not protected' WHEN coalesce(t.how, p.config_lock) = 'delta' THEN 'what is written is recorded' ELSE 'writes are refused' END,
		NULL, CASE WHEN coalesce(t.how, p.config_lock) = 'delta' THEN format('SELECT * FROM zdu.delta WHERE cluster = %L', c.name)
			ELSE format('SELECT * FROM zdu.protected_table WHERE cluster = %L', c.name) END
	FROM zdu.protected_table t
	JOIN zdu.current_policy p ON p.name = c.policy
	WHERE t.cluster = c.name AND c.original IS NOT NULL AND coalesce(t.how, p.config_lock) IN ('refuse', 'delta')
	UNION ALL
	SELECT 5, 'info', 'M2', 'operation ' || o.operation, format('of role %s, keeps upgrades away until %s', o.caller, date_trunc('second', o.lease_ends)), o.began_at,
		format('SELECT zdu_operation_end(%L, %s) -- if it is over', c.name, o.token)
	FROM zdu.operation_status o
	WHERE o.cluster = c.name AND o.state = 'running'
	UNION ALL
	SELECT 6, 'yes', 'M7', 'leader', c.leader || ' runs what only one node may', NULL, NULL
	WHERE c.leader IS NOT NULL
) x;
COMMENT ON VIEW zdu.beside IS 'What zdu_why tells about two versions side by side';
COMMENT ON COLUMN zdu.beside.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.beside.ord IS 'the order of its lines';
COMMENT ON COLUMN zdu.beside.verdict IS 'as of zdu_why';
COMMENT ON COLUMN zdu.beside.rule IS 'the rule';
COMMENT ON COLUMN zdu.beside.subject IS 'what it is about';
COMMENT ON COLUMN zdu.beside.observed IS 'what was seen';
COMMENT ON COLUMN zdu.beside.since IS 'since when';
COMMENT ON COLUMN zdu.beside.hint IS 'what helps';
