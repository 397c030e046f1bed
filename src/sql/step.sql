-- What is done to nodes, step by step.  What a step is to do is written once; what moves stands in a narrow row of its own.

CREATE TABLE zdu.step_plan
(
	plan_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	upgrade_id bigint,
	node_id bigint,
	node text,
	round integer NOT NULL DEFAULT 1,
	direction text NOT NULL,
	vars jsonb NOT NULL DEFAULT '{}',
	phase text[] NOT NULL,
	task text[],
	act jsonb[] NOT NULL,
	look jsonb[] NOT NULL,
	force jsonb[] NOT NULL,
	until text[] NOT NULL,
	fail text[],
	programs text[] NOT NULL,
	retries bigint[] NOT NULL,
	retry_delay double precision[] NOT NULL,
	hold_for double precision[] NOT NULL,
	timeout double precision[] NOT NULL,
	expect double precision[] NOT NULL,
	CONSTRAINT step_plan_pkey PRIMARY KEY (plan_id),
	CONSTRAINT step_plan_upgrade_fkey FOREIGN KEY (upgrade_id) REFERENCES zdu.upgrade ON DELETE CASCADE,
	CONSTRAINT step_plan_node_fkey FOREIGN KEY (node_id) REFERENCES zdu.node ON DELETE CASCADE,
	-- Through one of them it goes when its cluster goes.
	CONSTRAINT step_plan_owner_check CHECK (upgrade_id IS NOT NULL OR node_id IS NOT NULL),
	CONSTRAINT step_plan_phase_check CHECK (phase <@ '{before,check,isolate,drain,stop,upgrade,start,verify,integrate,soak,after,undo}'),
	CONSTRAINT step_plan_direction_check CHECK (direction IN ('forward', 'back'))
) WITH (toast_tuple_target = 8160);
CREATE INDEX step_plan_node_idx ON zdu.step_plan (node_id, plan_id);
CREATE INDEX step_plan_upgrade_idx ON zdu.step_plan (upgrade_id, node_id);
COMMENT ON TABLE zdu.step_plan IS 'What steps that are made together, for one node or for the cluster, are to do: written once, each array has an element a step';
COMMENT ON COLUMN zdu.step_plan.plan_id IS 'key';
COMMENT ON COLUMN zdu.step_plan.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.step_plan.upgrade_id IS 'the upgrade; NULL: zdu_attach or zdu_detach';
COMMENT ON COLUMN zdu.step_plan.node_id IS 'the node; NULL: a step of the cluster';
COMMENT ON COLUMN zdu.step_plan.node IS 'its name, which never changes';
COMMENT ON COLUMN zdu.step_plan.round IS 'how often the node was taken in this upgrade, this time included';
COMMENT ON COLUMN zdu.step_plan.direction IS 'forward to the target, back to the original';
COMMENT ON COLUMN zdu.step_plan.vars IS 'variables of until';
COMMENT ON COLUMN zdu.step_plan.phase IS 'phase of the runbook';
COMMENT ON COLUMN zdu.step_plan.task IS 'of steps of the cluster: the task''s name, or which of several it is; NULL: the only one, or steps of a node';
COMMENT ON COLUMN zdu.step_plan.act IS 'args of verb act, see doc/protocol.md; NULL: only waits';
COMMENT ON COLUMN zdu.step_plan.look IS 'args of verb probe; NULL: a timer';
COMMENT ON COLUMN zdu.step_plan.force IS 'args of the forced action after the last attempt; NULL: none';
COMMENT ON COLUMN zdu.step_plan.until IS 'jsonpath predicate over the evidence';
COMMENT ON COLUMN zdu.step_plan.fail IS 'jsonpath predicate over the evidence that says that it has failed; NULL: none, or of none of them';
COMMENT ON COLUMN zdu.step_plan.programs IS 'programs that a worker must have; NULL: none';
COMMENT ON COLUMN zdu.step_plan.retries IS 'further attempts that zdu_retry allows each time';
COMMENT ON COLUMN zdu.step_plan.retry_delay IS 'seconds before the next attempt';
COMMENT ON COLUMN zdu.step_plan.hold_for IS 'seconds that until must hold without a break';
COMMENT ON COLUMN zdu.step_plan.timeout IS 'seconds that an attempt may take';
COMMENT ON COLUMN zdu.step_plan.expect IS 'seconds it usually takes, as the runbook says; NULL: not said';

-- A grant changes no column that is in an index, or in the condition of one: it is a HOT update.  Of open steps
-- there are few, so tokens are sought among them; those of settled steps, which a repeated report may name, by key.
-- A foreign key to the plan would be checked for every row: the trigger of the plan sees to it that they go together.
CREATE TABLE zdu.step_state
(
	step_id bigint NOT NULL,
	plan_id bigint NOT NULL,
	place integer NOT NULL,
	cluster_id bigint NOT NULL,
	node_id bigint,
	state text NOT NULL DEFAULT 'pending',
	settled boolean NOT NULL GENERATED ALWAYS AS (state IN ('succeeded', 'skipped', 'cancelled')) STORED,
	stage text NOT NULL DEFAULT 'look',
	forced boolean NOT NULL DEFAULT false,
	attempt integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL DEFAULT 1,
	epoch integer NOT NULL DEFAULT 0,
	number bigint NOT NULL DEFAULT 0,
	settled_number bigint GENERATED ALWAYS AS (CASE WHEN state IN ('succeeded', 'skipped', 'cancelled') THEN nullif(number, 0) END) STORED,
	worker text,
	incarnation text,
	deadline double precision,
	not_before double precision,
	holds_since double precision,
	act_ok boolean,
	evidence jsonb,
	log text,
	started_at timestamptz,
	ended_at timestamptz,
	CONSTRAINT step_state_pkey PRIMARY KEY (step_id),
	CONSTRAINT step_state_place_check CHECK (place BETWEEN 1 AND 999 AND step_id = plan_id * 1000 + place),
	CONSTRAINT step_state_check CHECK (state IN ('pending', 'running', 'unknown', 'succeeded', 'failed', 'skipped', 'cancelled')),
	CONSTRAINT step_state_stage_check CHECK (stage IN ('look', 'act', 'verify', 'end'))
) WITH (fillfactor = 50);
CREATE INDEX step_state_open_idx ON zdu.step_state (cluster_id, node_id, step_id) WHERE NOT settled;
CREATE UNIQUE INDEX step_state_number_key ON zdu.step_state (settled_number) WHERE settled_number IS NOT NULL;
COMMENT ON TABLE zdu.step_state IS 'How steps are: what moves, a narrow row a step';
COMMENT ON COLUMN zdu.step_state.step_id IS 'key, in the order of the steps of a node, or of the cluster: a thousand times the plan, and the place';
COMMENT ON COLUMN zdu.step_state.plan_id IS 'what it is to do: zdu.step_plan';
COMMENT ON COLUMN zdu.step_state.place IS 'its element in the arrays of the plan, from 1';
COMMENT ON COLUMN zdu.step_state.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.step_state.node_id IS 'the node; NULL: a step of the cluster';
COMMENT ON COLUMN zdu.step_state.state IS 'state of zdu_transitions(), machine step';
COMMENT ON COLUMN zdu.step_state.settled IS 'succeeded, skipped or cancelled: one that failed stands in the way of those behind it';
COMMENT ON COLUMN zdu.step_state.stage IS 'look, act, verify; end: what runs is to be ended';
COMMENT ON COLUMN zdu.step_state.forced IS 'in the forced attempt';
COMMENT ON COLUMN zdu.step_state.attempt IS 'which attempt, from 1; 0: none yet';
COMMENT ON COLUMN zdu.step_state.attempts IS 'attempts allowed';
COMMENT ON COLUMN zdu.step_state.epoch IS 'first half of the fencing token: grows at every adoption';
COMMENT ON COLUMN zdu.step_state.number IS 'second half of the fencing token';
COMMENT ON COLUMN zdu.step_state.settled_number IS 'the same of a settled step, to find it by';
COMMENT ON COLUMN zdu.step_state.worker IS 'who holds it';
COMMENT ON COLUMN zdu.step_state.incarnation IS 'which process of that worker';
COMMENT ON COLUMN zdu.step_state.deadline IS 'end of the attempt, in seconds of zdu.cluster.listened';
COMMENT ON COLUMN zdu.step_state.not_before IS 'not to be granted before, in seconds of zdu.cluster.listened; NULL: at once';
COMMENT ON COLUMN zdu.step_state.holds_since IS 'until holds since, in seconds of zdu.cluster.listened; NULL: it does not';
COMMENT ON COLUMN zdu.step_state.act_ok IS 'the action said that it ended well; NULL: not acted in this attempt';
COMMENT ON COLUMN zdu.step_state.evidence IS 'what was seen last';
COMMENT ON COLUMN zdu.step_state.log IS 'end of what the action printed; zdu_log shows it';
COMMENT ON COLUMN zdu.step_state.started_at IS 'first granted';
COMMENT ON COLUMN zdu.step_state.ended_at IS 'succeeded, failed, skipped or cancelled';

CREATE VIEW zdu.step AS
SELECT
	s.step_id, s.cluster_id, p.upgrade_id, s.node_id, p.round, s.step_id AS ord, p.phase[s.place] AS phase, p.direction,
	s.state, s.settled, s.stage, s.attempt, s.attempts, p.retries[s.place] AS retries, p.retry_delay[s.place] AS retry_delay,
	CASE WHEN s.forced THEN p.force[s.place] ELSE p.act[s.place] END AS act, p.look[s.place] AS look,
	CASE WHEN s.forced THEN p.act[s.place] ELSE p.force[s.place] END AS force,
	p.until[s.place] AS until, p.fail[s.place] AS fail, p.vars, string_to_array(p.programs[s.place], ' ') AS programs, p.hold_for[s.place] AS hold_for,
	p.timeout[s.place] AS timeout, p.expect[s.place] AS expect, s.epoch, s.number, s.worker, s.incarnation, s.deadline,
	s.not_before, s.holds_since, s.act_ok, s.evidence, s.log, s.started_at, s.ended_at,
	p.phase[s.place] || coalesce(' ' || p.task[s.place], '') AS title
FROM zdu.step_state s
-- Twice the same, so that the steps of a plan are found as well as the plan of a step.
JOIN zdu.step_plan p ON p.plan_id = s.plan_id AND s.step_id BETWEEN p.plan_id * 1000 AND p.plan_id * 1000 + 999;
COMMENT ON VIEW zdu.step IS 'One phase on one node, or on the cluster (node_id NULL); made when the node is taken';
COMMENT ON COLUMN zdu.step.ord IS 'order of the steps of a node, or of the cluster';
COMMENT ON COLUMN zdu.step.title IS 'the phase and, of a task, its name';
COMMENT ON COLUMN zdu.step.act IS 'args of verb act, in the forced attempt those of the forced action; NULL: only waits';
COMMENT ON COLUMN zdu.step.force IS 'args of the forced action after the last attempt, in that attempt those of the usual one; NULL: none';
