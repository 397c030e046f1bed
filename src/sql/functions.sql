-- The functions; what they take, give and refuse stands in their comments.

CREATE FUNCTION zdu_clock()
RETURNS timestamptz
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_clock';
COMMENT ON FUNCTION zdu_clock() IS 'The time that zdu goes by: clock_timestamp(), moved by the superuser-only setting zdu.clock_offset in tests.';

CREATE FUNCTION zdu_expected(
	cluster text
)
RETURNS interval
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'zdu_expected';
COMMENT ON FUNCTION zdu_expected(text) IS 'How long one node of a cluster takes, from being taken to being done: the mean of the last ones (zdu.cluster.pace), else what the runbook expects of its phases; NULL: neither is known.';

CREATE FUNCTION zdu_eta(
	cluster text
)
RETURNS interval
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'zdu_eta';
COMMENT ON FUNCTION zdu_eta(text) IS 'How long the upgrade of a cluster will still take, for zdu.status: the rounds (or the rate) that the fullest budget still needs, at zdu_expected each, after what is in flight, wave by wave where gates are shut, and their soaks. It reads counts, not nodes; zdu_plan is exact. NULL: nobody knows, it does not run, or nothing is left but what people do.';

CREATE FUNCTION zdu_limit(
	max_unavailable text,
	total integer
)
RETURNS integer
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_limit';
COMMENT ON FUNCTION zdu_limit(text,integer) IS 'How many of total nodes may be unavailable at once: a share rounds down, at least 1 moves and at least 1 stays (D10).';

CREATE FUNCTION zdu_set_cluster(
	name text,
	policy text DEFAULT NULL,
	runbook text DEFAULT NULL,
	vars jsonb DEFAULT NULL,
	product text DEFAULT NULL,
	owner text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_cluster';
COMMENT ON FUNCTION zdu_set_cluster(text,text,text,jsonb,text,text) IS 'Make a cluster, or change what is given; NULL keeps what is there (new: policy default, product = name, owner = you). Returns created, changed or unchanged. Errors: 42704 unknown policy, runbook or role; 22023 bad variable, or one that the runbook requires is missing.';

CREATE FUNCTION zdu_set_node(
	cluster text,
	name text,
	address text DEFAULT NULL,
	node_group text DEFAULT NULL,
	zone text DEFAULT NULL,
	role text DEFAULT NULL,
	labels jsonb DEFAULT NULL,
	vars jsonb DEFAULT NULL,
	login text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_node';
COMMENT ON FUNCTION zdu_set_node(text,text,text,text,text,text,jsonb,jsonb,text) IS 'Make a node, or change what is given; NULL keeps what is there (new: node_group default). Returns created, changed or unchanged. Errors: 42704 unknown cluster, group or login; 22023 bad variable; 55000 a group change in upgrade mode (N12).';

CREATE FUNCTION zdu_remove_node(
	cluster text,
	node text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_remove_node';
COMMENT ON FUNCTION zdu_remove_node(text,text,text) IS 'Forget a node. Refused while a step is in flight on it, and for the last node that serves (D14). Returns removed.';

CREATE FUNCTION zdu_set_runbook(
	name text,
	document jsonb
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_runbook';
COMMENT ON FUNCTION zdu_set_runbook(text,jsonb) IS 'Store a runbook as a new revision and return its number; the same document again is the same revision. The whole document is checked, see doc/protocol.md. Errors: 22023 naming the place; 55000 for a shipped one.';

CREATE FUNCTION zdu_set_policy(
	name text,
	based_on text DEFAULT NULL,
	settings jsonb DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_policy';
COMMENT ON FUNCTION zdu_set_policy(text,text,jsonb) IS 'Make a policy out of another (new: default) or change settings of one: an object of columns of zdu.policy. Returns created, changed or unchanged. Errors: 42704 unknown policy; 22023 unknown setting; 22P02 a bad value; 23514 settings that make no sense together; 55000 for a shipped one.';

CREATE FUNCTION zdu_begin(
	cluster text DEFAULT NULL,
	target text DEFAULT NULL,
	node_group text DEFAULT NULL,
	canary integer DEFAULT NULL,
	plan text DEFAULT NULL,
	acknowledge boolean DEFAULT false,
	kind text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS bigint
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_begin';
COMMENT ON FUNCTION zdu_begin(text,text,text,integer,text,boolean,text,text) IS 'Begin an upgrade and return its id. cluster NULL: the only one there is; target NULL: the newest known release that is not blocked; node_group: only its nodes (N15); canary: so many nodes first, and alone; plan: the hash that zdu_plan_summary gave, refused if what it rests on changed; kind NULL: driven where there is a runbook, else manual (then the target may stay unknown until the first new node shows it). acknowledge: yes, it cannot be cancelled (L24). Errors: ZD001 wrong state (L2, L3, L19), ZD002 not allowed by a rule (V2-V7, D10), 42704.';

CREATE FUNCTION zdu_pause(
	cluster text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_pause';
COMMENT ON FUNCTION zdu_pause(text,text) IS 'Take no further node; what is in flight is finished. Returns the run. Errors: ZD001 wrong state, 42704.';

CREATE FUNCTION zdu_resume(
	cluster text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_resume';
COMMENT ON FUNCTION zdu_resume(text,text) IS 'Go on after zdu_pause. Returns the run. Errors: ZD001 wrong state, 42704.';

CREATE FUNCTION zdu_cancel(
	cluster text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_cancel';
COMMENT ON FUNCTION zdu_cancel(text,text) IS 'Give the upgrade up while no node was upgraded; what is in flight is first brought back (L5, L6). Returns the state of the cluster. Errors: ZD001 wrong state, 42704.';

CREATE FUNCTION zdu_finalize(
	cluster text,
	force boolean DEFAULT false,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_finalize';
COMMENT ON FUNCTION zdu_finalize(text,boolean,text) IS 'End the upgrade when every node is at the new version (L9, L11-L13, L16-L18, L20). force: also with outdated nodes, where the policy and your grants allow it. Returns the state of the cluster. Errors: ZD001 wrong state, ZD002 not allowed by a rule.';

CREATE FUNCTION zdu_retry(
	cluster text,
	node text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_retry';
COMMENT ON FUNCTION zdu_retry(text,text,text) IS 'Try again what failed, was given up or was rolled back: one node, or all (NULL), and let a held upgrade go on. Returns the number of nodes affected.';

CREATE FUNCTION zdu_rollback(
	cluster text,
	node text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_rollback';
COMMENT ON FUNCTION zdu_rollback(text,text,text) IS 'Bring one node, or the whole upgrade (NULL), back to the original version, with the same budgets and checks, until zdu_finalize (L23). Returns the number of nodes affected.';

CREATE FUNCTION zdu_attach(
	cluster text,
	node text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_attach';
COMMENT ON FUNCTION zdu_attach(text,text,text) IS 'Wish a node into rotation; workers carry it out (N6). Returns attached, or unchanged.';

CREATE FUNCTION zdu_detach(
	cluster text,
	node text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_detach';
COMMENT ON FUNCTION zdu_detach(text,text,text) IS 'Wish a node out of rotation, at the price of the same budgets (N6, D13). Returns detached, or unchanged. Errors: ZD002 no place in the budget (D10, D14).';

CREATE FUNCTION zdu_declare_down(
	cluster text,
	node text,
	reason text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_declare_down';
COMMENT ON FUNCTION zdu_declare_down(text,text,text) IS 'Say that a node is down: it is OFFLINE and confirmed, without having been asked (L11). Returns its state. It is your word: if it runs after all, its next beat brings it back.';

CREATE FUNCTION zdu_force_state(
	cluster text,
	node text,
	state text,
	reason text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_force_state';
COMMENT ON FUNCTION zdu_force_state(text,text,text,text) IS 'The audited way out: put a node, or the cluster (node NULL), into a state whatever the tables say. STABLE ends the upgrade where it stands. Takes the grant force. Returns the state.';

CREATE FUNCTION zdu_adopt(
	reason text
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_adopt';
COMMENT ON FUNCTION zdu_adopt(text) IS 'Take this database for the one that directs, after a restore, clone or promotion: old tokens are void from now on. Be sure that the other one is gone. Returns the epoch.';

CREATE FUNCTION zdu_waive(
	cluster text,
	rule text,
	reason text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_waive';
COMMENT ON FUNCTION zdu_waive(text,text,text) IS 'Set something aside by name for this upgrade, or the next one: D10 (a cluster of one), gate:NAME, fact:NAME, freeze:NAME (a freeze, or being outside of a window). Takes the grant waive, is recorded with the reason, and is over with the upgrade. Returns waived. Errors: 22023 what cannot be waived; 42704 nothing of that name.';

CREATE FUNCTION zdu_grant(
	role text,
	grant_as text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_grant';
COMMENT ON FUNCTION zdu_grant(text,text) IS 'Let a role be viewer, operator, approver, worker, node or admin, or give it force or waive. Returns granted, or unchanged.';

CREATE FUNCTION zdu_revoke(
	role text,
	grant_as text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_revoke';
COMMENT ON FUNCTION zdu_revoke(text,text) IS 'Take it back. Returns revoked, or unchanged.';

CREATE FUNCTION zdu_prune(
	older_than interval
)
RETURNS bigint
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_prune';
COMMENT ON FUNCTION zdu_prune(interval) IS 'Remove events, ended upgrades with their steps, and freezes that were over, older than that. Returns the number of rows.';

CREATE FUNCTION zdu_join(
	cluster text,
	node text,
	version text,
	incarnation text DEFAULT NULL,
	OUT verdict text,
	OUT retry_after interval,
	OUT upgrade_state integer,
	OUT beat_every interval,
	OUT rule text,
	OUT reason text
)
RETURNS record
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_join';
COMMENT ON FUNCTION zdu_join(text,text,text,text) IS 'A node asks whether it may start: verdict admitted, retry (after retry_after: a heartbeat is overdue, N9, or the schema is not there yet, S1) or refused (rule and reason say why) - rows, not errors. upgrade_state: 0 not in upgrade, 1 old node, 2 new node (N10). A node not yet known is registered. Errors: 42704 unknown cluster, 22P02 bad version, 42501 another nodes login.';

CREATE FUNCTION zdu_heartbeat(
	cluster text,
	node text,
	incarnation text DEFAULT NULL,
	state text DEFAULT NULL,
	tasks integer DEFAULT NULL,
	users integer DEFAULT NULL,
	OUT command text,
	OUT mode integer,
	OUT features text[]
)
RETURNS record
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_heartbeat';
COMMENT ON FUNCTION zdu_heartbeat(text,text,text,text,integer,integer) IS 'A node says that it lives. state: STARTING, ACTIVE, DRAINING, TERMINATING, ERROR or OFFLINE (a graceful leave); NULL: as before. command: serve, drain or stop; mode as upgrade_state of zdu_join; features: those that are on (S4); all NULL for a late beat of an older incarnation, which changes nothing (N16). Errors: 42704, 42501, 22023 unknown state, ZD001 illegal transition (N1).';

CREATE FUNCTION zdu_heartbeat(
	cluster text,
	nodes text[],
	incarnations text[] DEFAULT NULL,
	states text[] DEFAULT NULL,
	tasks integer[] DEFAULT NULL,
	users integer[] DEFAULT NULL,
	OUT node text,
	OUT command text,
	OUT mode integer,
	OUT features text[],
	OUT sqlstate text,
	OUT message text
)
RETURNS SETOF record
LANGUAGE C VOLATILE ROWS 100
AS 'MODULE_PATHNAME', 'zdu_heartbeat_many';
COMMENT ON FUNCTION zdu_heartbeat(text,text[],text[],text[],integer[],integer[]) IS 'The same for many nodes at once; a row each, with sqlstate and message for one that was refused. The arrays are of one length, or NULL.';

CREATE FUNCTION zdu_work(
	worker text,
	incarnation text,
	cluster text,
	reports json DEFAULT '[]',
	slots integer DEFAULT 0,
	node text DEFAULT NULL,
	programs text[] DEFAULT NULL,
	protocol integer DEFAULT 2,
	leaving boolean DEFAULT false,
	OUT token text,
	OUT node text,
	OUT phase text,
	OUT attempt integer,
	OUT verb text,
	OUT args jsonb,
	OUT deadline double precision,
	OUT lease double precision,
	OUT sqlstate text,
	OUT message text
)
RETURNS SETOF record
LANGUAGE C VOLATILE ROWS 20
AS 'MODULE_PATHNAME', 'zdu_work';
COMMENT ON FUNCTION zdu_work(text,text,text,json,integer,text,text[],integer,boolean) IS 'The exchange, for workers: reports in, all that the worker holds out, see doc/protocol.md. Errors: 42704 unknown cluster, 42501, 22P02 reports are not JSON, 22023 protocol not served.';

CREATE FUNCTION zdu_why(
	cluster text,
	node text DEFAULT NULL,
	target text DEFAULT NULL,
	every boolean DEFAULT false,
	node_group text DEFAULT NULL,
	canary integer DEFAULT NULL,
	plan text DEFAULT NULL,
	kind text DEFAULT NULL,
	OUT verdict text,
	OUT rule text,
	OUT subject text,
	OUT observed text,
	OUT allowed text,
	OUT since timestamptz,
	OUT hint text
)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 10
AS 'MODULE_PATHNAME', 'zdu_why';
COMMENT ON FUNCTION zdu_why(text,text,text,boolean,text,integer,text,text) IS 'What it waits for and what to type next. node: about this node; every: also what is fulfilled. target, node_group, canary, plan, kind: preflight, may an upgrade begin, as zdu_begin would be asked with the same; what zdu_begin refuses is refused here. verdict: no, yes, info or act (hint is a command that helps). Changes nothing.';

CREATE FUNCTION zdu_waits_for(
	cluster text
)
RETURNS text
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_waits_for';
COMMENT ON FUNCTION zdu_waits_for(text) IS 'One line of zdu_why, for zdu.status: what the upgrade waits for; NULL: nothing. On a standby it begins with as of when.';

CREATE FUNCTION zdu_log(
	cluster text,
	node text DEFAULT NULL,
	lines integer DEFAULT 100,
	OUT at timestamptz,
	OUT node text,
	OUT step text,
	OUT attempt integer,
	OUT line text
)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 100
AS 'MODULE_PATHNAME', 'zdu_log';
COMMENT ON FUNCTION zdu_log(text,text,integer) IS 'The last lines (NULL: all) that actions printed, and the evidence of steps that failed, oldest first. node NULL: all nodes.';

CREATE FUNCTION zdu_transitions(
	OUT machine text,
	OUT from_state text,
	OUT event text,
	OUT to_state text,
	OUT rule text,
	OUT meaning text
)
RETURNS SETOF record
LANGUAGE C IMMUTABLE ROWS 70
AS 'MODULE_PATHNAME', 'zdu_transitions';
COMMENT ON FUNCTION zdu_transitions() IS 'The state machines: machine (cluster, node, upgrade, step), from_state (NULL: at first), event, to_state, rule, meaning.';

CREATE FUNCTION zdu_refuse_update()
RETURNS trigger
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_refuse_update';
COMMENT ON FUNCTION zdu_refuse_update() IS 'Refuses a plain UPDATE or DELETE of what zdu observes, with a hint.';

CREATE FUNCTION zdu_forget_steps()
RETURNS trigger
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_forget_steps';
COMMENT ON FUNCTION zdu_forget_steps() IS 'Deletes the steps of a plan that goes.';
CREATE TRIGGER step_plan_forget_steps
	AFTER DELETE ON zdu.step_plan FOR EACH ROW EXECUTE FUNCTION zdu_forget_steps();

-- For each statement: a trigger for each row would lock every row before it is written, once more.
CREATE TRIGGER cluster_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.cluster FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER node_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.node FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER upgrade_refuse_update
	BEFORE UPDATE ON zdu.upgrade FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER step_refuse_update
	INSTEAD OF UPDATE OR DELETE ON zdu.step FOR EACH ROW EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER step_plan_refuse_update
	BEFORE UPDATE ON zdu.step_plan FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER flight_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.flight FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER step_past_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.step_past FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER node_count_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.node_count FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER policy_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.policy FOR EACH ROW WHEN (OLD.shipped) EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER runbook_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.runbook FOR EACH ROW EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER event_refuse_update
	INSTEAD OF UPDATE OR DELETE ON zdu.event FOR EACH ROW EXECUTE FUNCTION zdu_refuse_update();
CREATE TRIGGER event_log_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.event_log FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();
