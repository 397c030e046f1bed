-- What is given (clusters, runbooks, groups, nodes) and what was observed of it.

CREATE SEQUENCE zdu.id_seq;
COMMENT ON SEQUENCE zdu.id_seq IS 'ids of clusters, nodes, upgrades, steps and events';
CREATE SEQUENCE zdu.token_seq;
COMMENT ON SEQUENCE zdu.token_seq IS 'second half of a fencing token: higher for every grant';

CREATE TABLE zdu.runbook
(
	name text NOT NULL,
	revision integer NOT NULL,
	shipped boolean NOT NULL DEFAULT false,
	document jsonb NOT NULL,
	hash text NOT NULL,
	set_by text NOT NULL DEFAULT session_user,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT runbook_pkey PRIMARY KEY (name, shipped, revision),
	CONSTRAINT runbook_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.runbook IS 'How to take a node through an upgrade: immutable revisions of a JSON document, see doc/protocol.md';
COMMENT ON COLUMN zdu.runbook.name IS 'its name; a runbook of your own wins over one shipped later under the same name';
COMMENT ON COLUMN zdu.runbook.revision IS 'an upgrade keeps the revision it began with';
COMMENT ON COLUMN zdu.runbook.shipped IS 'comes with zdu: immutable, copy it to change it';
COMMENT ON COLUMN zdu.runbook.document IS 'the JSON document';
COMMENT ON COLUMN zdu.runbook.hash IS 'sha256 over the document';
COMMENT ON COLUMN zdu.runbook.set_by IS 'session_user who set it';
COMMENT ON COLUMN zdu.runbook.set_at IS 'when';

CREATE TABLE zdu.cluster
(
	cluster_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	name text NOT NULL,
	product text NOT NULL,
	owner text NOT NULL,
	policy text NOT NULL DEFAULT 'default',
	runbook text,
	vars jsonb NOT NULL DEFAULT '{}',
	version zdu_version,
	state text NOT NULL DEFAULT 'STABLE',
	state_since timestamptz NOT NULL DEFAULT clock_timestamp(),
	original zdu_version,
	target zdu_version,
	schema_version zdu_version,
	serial bigint NOT NULL DEFAULT 0,
	listened double precision NOT NULL DEFAULT 0,
	swept_at timestamptz NOT NULL DEFAULT 'epoch',
	beats_sweep_at timestamptz NOT NULL DEFAULT 'epoch',
	heard_from double precision NOT NULL DEFAULT 0,
	work_waits boolean NOT NULL DEFAULT false,
	features text[] NOT NULL DEFAULT '{}',
	leader text,
	pace double precision,
	paced integer NOT NULL DEFAULT 0,
	freezes bigint[] NOT NULL DEFAULT '{}',
	CONSTRAINT cluster_pkey PRIMARY KEY (cluster_id),
	CONSTRAINT cluster_name_key UNIQUE (name),
	CONSTRAINT cluster_vars_check CHECK (jsonb_typeof(vars) = 'object'),
	CONSTRAINT cluster_state_check CHECK (state IN ('STABLE', 'READY_TO_UPGRADE', 'MIXED', 'READY_TO_RUN_UPGRADE_TASKS',
													'RUNNING_UPGRADE_TASKS', 'UPGRADE_TASKS_FAILED')),
	CONSTRAINT cluster_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.cluster IS 'Clusters; the row is the lock under which everything about the cluster is decided';
COMMENT ON COLUMN zdu.cluster.cluster_id IS 'key';
COMMENT ON COLUMN zdu.cluster.name IS 'its name';
COMMENT ON COLUMN zdu.cluster.product IS 'what it runs; releases are known by product';
COMMENT ON COLUMN zdu.cluster.owner IS 'role whose members may act on it, by name';
COMMENT ON COLUMN zdu.cluster.policy IS 'zdu.policy.name';
COMMENT ON COLUMN zdu.cluster.runbook IS 'zdu.runbook.name; NULL: people upgrade the nodes, zdu watches and refuses';
COMMENT ON COLUMN zdu.cluster.vars IS 'values of the runbook''s variables: text, number or a list of them; no passwords';
COMMENT ON COLUMN zdu.cluster.version IS 'the version outside upgrade mode; NULL: not yet seen';
COMMENT ON COLUMN zdu.cluster.state IS 'state of zdu_transitions(), machine cluster';
COMMENT ON COLUMN zdu.cluster.state_since IS 'when it came into this state';
COMMENT ON COLUMN zdu.cluster.original IS 'version at zdu_begin, never recomputed (L17); NULL outside upgrade mode';
COMMENT ON COLUMN zdu.cluster.target IS 'where the upgrade goes; NULL outside upgrade mode, or not yet known (manual)';
COMMENT ON COLUMN zdu.cluster.schema_version IS 'version of the schema as the runbook''s schema look saw it, the highest that is there (S2); NULL: not seen';
COMMENT ON COLUMN zdu.cluster.serial IS 'bumped by every decision: a REPEATABLE READ caller gets 40001';
COMMENT ON COLUMN zdu.cluster.listened IS 'seconds that somebody listened: deadlines count in these, so that an outage of the control plane ends nothing (N4)';
COMMENT ON COLUMN zdu.cluster.swept_at IS 'when listened was last added to';
COMMENT ON COLUMN zdu.cluster.beats_sweep_at IS 'from when on a heartbeat adds to it, if no worker has';
COMMENT ON COLUMN zdu.cluster.heard_from IS 'in seconds of listened, no node that was ever heard was heard last before that: so nobody falls silent before a heartbeat_ttl is over since';
COMMENT ON COLUMN zdu.cluster.work_waits IS 'a step could be granted to a worker with free slots';
COMMENT ON COLUMN zdu.cluster.features IS 'the features that are on, by name (S4); all of them stand in zdu.feature';
COMMENT ON COLUMN zdu.cluster.leader IS 'in upgrade mode the node that zdu_may_run allows; NULL: none is fit, or no upgrade (M7)';
COMMENT ON COLUMN zdu.cluster.pace IS 'seconds that a node took lately, from being taken to being done: a moving mean; NULL: none was done yet';
COMMENT ON COLUMN zdu.cluster.freezes IS 'what of zdu.freeze selects nodes here and stands in their signatures, in order';
COMMENT ON COLUMN zdu.cluster.paced IS 'how many nodes are in it, at most 20';

CREATE TABLE zdu.node_group
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	CONSTRAINT node_group_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT node_group_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT node_group_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.node_group IS 'Groups of nodes; every node is in exactly one (N11)';
COMMENT ON COLUMN zdu.node_group.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.node_group.name IS 'its name; default always exists';

CREATE TABLE zdu.node
(
	node_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	address text,
	node_group text NOT NULL DEFAULT 'default',
	zone text,
	role text,
	labels jsonb NOT NULL DEFAULT '{}',
	vars jsonb NOT NULL DEFAULT '{}',
	login text,
	state text NOT NULL DEFAULT 'OFFLINE',
	confirmed boolean NOT NULL DEFAULT false,
	version zdu_version,
	incarnation text,
	in_rotation boolean NOT NULL DEFAULT true,
	attached boolean NOT NULL DEFAULT true,
	taken boolean NOT NULL DEFAULT false,
	reports boolean NOT NULL DEFAULT false,
	fenced boolean NOT NULL DEFAULT false,
	stuck boolean NOT NULL DEFAULT false,
	since timestamptz NOT NULL DEFAULT clock_timestamp(),
	since_listened double precision NOT NULL DEFAULT 0,
	turn integer,
	begun_at timestamptz,
	took double precision,
	heading text,
	place integer,
	away boolean NOT NULL GENERATED ALWAYS AS (state <> 'ACTIVE' OR NOT in_rotation OR NOT attached OR taken) STORED,
	budgets bigint[] NOT NULL DEFAULT '{}',
	CONSTRAINT node_pkey PRIMARY KEY (node_id),
	CONSTRAINT node_name_key UNIQUE (cluster_id, name),
	CONSTRAINT node_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT node_group_fkey FOREIGN KEY (cluster_id, node_group) REFERENCES zdu.node_group,
	CONSTRAINT node_labels_check CHECK (jsonb_typeof(labels) = 'object'),
	CONSTRAINT node_vars_check CHECK (jsonb_typeof(vars) = 'object'),
	CONSTRAINT node_state_check CHECK (state IN ('STARTING', 'ACTIVE', 'DRAINING', 'TERMINATING', 'OFFLINE', 'ERROR')),
	CONSTRAINT node_confirmed_check CHECK (NOT confirmed OR state = 'OFFLINE'),
	CONSTRAINT node_heading_check CHECK (heading IN ('forward', 'back')),
	CONSTRAINT node_name_check CHECK (zdu_is_name(name))
) WITH (fillfactor = 80);
CREATE INDEX node_turn_idx ON zdu.node (cluster_id, turn) WHERE turn IS NOT NULL AND NOT taken;
CREATE INDEX node_signature_idx ON zdu.node (cluster_id, budgets, turn) WHERE turn IS NOT NULL AND NOT taken;
-- The columns that change with every step are in no index and in no condition of one: so such an update is HOT.
CREATE INDEX node_away_idx ON zdu.node (cluster_id) WHERE away;
-- Those that are down and wait for their turn: few, and first to be taken.
CREATE INDEX node_down_idx ON zdu.node (cluster_id, turn) WHERE away AND turn IS NOT NULL AND NOT taken;
CREATE INDEX node_given_up_idx ON zdu.node (cluster_id) WHERE heading IS NOT NULL AND turn IS NULL AND NOT taken;
CREATE INDEX node_unfinished_idx ON zdu.node (cluster_id, place) WHERE heading IS NOT NULL;
CREATE INDEX node_detached_idx ON zdu.node (cluster_id) WHERE NOT attached;
-- Those that workers look at.
CREATE INDEX node_observed_idx ON zdu.node (cluster_id) WHERE NOT reports;
CREATE INDEX node_group_idx ON zdu.node (cluster_id, node_group);
COMMENT ON TABLE zdu.node IS 'Nodes: what was given (up to login) and what was observed; change them through zdu_set_node, zdu_join, zdu_heartbeat and the like';
COMMENT ON COLUMN zdu.node.node_id IS 'key';
COMMENT ON COLUMN zdu.node.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.node.name IS 'its name, unique in the cluster';
COMMENT ON COLUMN zdu.node.address IS 'host or address, for {address} in runbooks';
COMMENT ON COLUMN zdu.node.node_group IS 'its group (N11)';
COMMENT ON COLUMN zdu.node.zone IS 'failure domain';
COMMENT ON COLUMN zdu.node.role IS 'what it does, such as processing';
COMMENT ON COLUMN zdu.node.labels IS 'anything else to select by';
COMMENT ON COLUMN zdu.node.vars IS 'values of variables, over those of the cluster';
COMMENT ON COLUMN zdu.node.login IS 'role that reports for this node and for no other; NULL: any role with the grant node';
COMMENT ON COLUMN zdu.node.state IS 'state of zdu_transitions(), machine node (N1)';
COMMENT ON COLUMN zdu.node.confirmed IS 'OFFLINE is known (graceful leave, probe, declared down), not merely unheard (L10)';
COMMENT ON COLUMN zdu.node.version IS 'version last seen running; NULL: never seen';
COMMENT ON COLUMN zdu.node.incarnation IS 'which process of that name (N16)';
COMMENT ON COLUMN zdu.node.in_rotation IS 'the load balancer sends it requests, as far as zdu saw';
COMMENT ON COLUMN zdu.node.attached IS 'it is wished to be in rotation (zdu_attach, zdu_detach)';
COMMENT ON COLUMN zdu.node.taken IS 'steps of the upgrade are in flight on it';
COMMENT ON COLUMN zdu.node.reports IS 'it reports itself (zdu_join, zdu_heartbeat)';
COMMENT ON COLUMN zdu.node.fenced IS 'left behind by a finished upgrade: refused until it is upgraded (L16)';
COMMENT ON COLUMN zdu.node.stuck IS 'too long STARTING or TERMINATING (N4)';
COMMENT ON COLUMN zdu.node.since IS 'when it came into this state';
COMMENT ON COLUMN zdu.node.since_listened IS 'the same in seconds of zdu.cluster.listened';
COMMENT ON COLUMN zdu.node.turn IS 'place in the order of the running upgrade; NULL: nothing to do';
COMMENT ON COLUMN zdu.node.away IS 'not serving, or taken';
COMMENT ON COLUMN zdu.node.heading IS 'where it goes when its turn comes: forward to the target, back to the original; back without a turn: given up, it stays behind until zdu_retry';
COMMENT ON COLUMN zdu.node.place IS 'place in the order that the upgrade began with, by which gates count; kept until it ends; 2147483647: turned up later';
COMMENT ON COLUMN zdu.node.begun_at IS 'when it was last taken';
COMMENT ON COLUMN zdu.node.took IS 'seconds from then until it was done, the last time that went without a second attempt; NULL: never';
COMMENT ON COLUMN zdu.node.budgets IS 'its signature: the zdu.budget rows, and the zdu.freeze rows, whose selector means it though not every node, in order';

CREATE TABLE zdu.node_heard
(
	node_id bigint NOT NULL,
	cluster_id bigint NOT NULL,
	heard timestamptz,
	listened double precision NOT NULL DEFAULT 0,
	asked timestamptz,
	tasks integer,
	users integer,
	CONSTRAINT node_heard_pkey PRIMARY KEY (node_id),
	CONSTRAINT node_heard_node_fkey FOREIGN KEY (node_id) REFERENCES zdu.node ON DELETE CASCADE
) WITH (fillfactor = 50);
-- A beat changes nothing of it.
CREATE INDEX node_heard_cluster_idx ON zdu.node_heard (cluster_id);
COMMENT ON TABLE zdu.node_heard IS 'When a node was last heard: narrow, written by every beat, left out of a dump';
COMMENT ON COLUMN zdu.node_heard.node_id IS 'the node';
COMMENT ON COLUMN zdu.node_heard.cluster_id IS 'its cluster, so that who was not heard is found without reading the nodes';
COMMENT ON COLUMN zdu.node_heard.heard IS 'when it was last heard or seen; NULL: never';
COMMENT ON COLUMN zdu.node_heard.listened IS 'the same in seconds of zdu.cluster.listened';
COMMENT ON COLUMN zdu.node_heard.asked IS 'when a worker was last asked to observe it';
COMMENT ON COLUMN zdu.node_heard.tasks IS 'running tasks, as the node says; NULL: not said';
COMMENT ON COLUMN zdu.node_heard.users IS 'active users, as the node says; NULL: not said';

CREATE TABLE zdu.join_answer
(
	cluster_id bigint NOT NULL,
	node text NOT NULL,
	verdict text NOT NULL,
	rule text NOT NULL,
	reason text NOT NULL,
	at timestamptz NOT NULL,
	CONSTRAINT join_answer_pkey PRIMARY KEY (cluster_id, node),
	CONSTRAINT join_answer_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT join_answer_verdict_check CHECK (verdict IN ('retry', 'refused'))
);
COMMENT ON TABLE zdu.join_answer IS 'How zdu_join last sent a node away, so that the log tells it once, however often the node asks; gone when it is admitted; left out of a dump';
COMMENT ON COLUMN zdu.join_answer.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.join_answer.node IS 'the name it gave';
COMMENT ON COLUMN zdu.join_answer.verdict IS 'retry or refused';
COMMENT ON COLUMN zdu.join_answer.rule IS 'the rule';
COMMENT ON COLUMN zdu.join_answer.reason IS 'what was seen';
COMMENT ON COLUMN zdu.join_answer.at IS 'since when it is told this';

CREATE TABLE zdu.node_count
(
	cluster_id bigint NOT NULL,
	version zdu_version,
	state text NOT NULL,
	confirmed boolean NOT NULL,
	in_rotation boolean NOT NULL,
	attached boolean NOT NULL DEFAULT true,
	taken boolean NOT NULL,
	budgets bigint[] NOT NULL DEFAULT '{}',
	n bigint NOT NULL,
	CONSTRAINT node_count_key UNIQUE NULLS NOT DISTINCT (cluster_id, version, state, confirmed, in_rotation, attached, taken, budgets),
	CONSTRAINT node_count_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE
);
COMMENT ON TABLE zdu.node_count IS 'Nodes by what a decision asks for, kept under the cluster''s lock, so that no decision scans the nodes';
COMMENT ON COLUMN zdu.node_count.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.node_count.version IS 'zdu.node.version';
COMMENT ON COLUMN zdu.node_count.state IS 'zdu.node.state';
COMMENT ON COLUMN zdu.node_count.confirmed IS 'zdu.node.confirmed';
COMMENT ON COLUMN zdu.node_count.in_rotation IS 'zdu.node.in_rotation';
COMMENT ON COLUMN zdu.node_count.attached IS 'zdu.node.attached';
COMMENT ON COLUMN zdu.node_count.taken IS 'zdu.node.taken';
COMMENT ON COLUMN zdu.node_count.budgets IS 'zdu.node.budgets';
COMMENT ON COLUMN zdu.node_count.n IS 'how many';
