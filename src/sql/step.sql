-- What is done to nodes, step by step.  What steps are to do is written once; where a plan is, is one row that moves;
-- what is past is written once too.

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
	next integer[] NOT NULL,
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
CREATE INDEX step_plan_node_idx ON zdu.step_plan (node_id);
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
COMMENT ON COLUMN zdu.step_plan.next IS 'which step follows on this one; 0: none, or it is skipped itself';
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

-- A report and a grant are a HOT update each: neither changes a column that is in an index.  Pages are left three
-- quarters empty, since both versions that a batch writes are still wanted when it writes the second.  Tokens are sought
-- among the rows of a cluster, which are few.  A foreign key to the plan would be checked for every row: the trigger of
-- the plan sees to it that they go together.
CREATE TABLE zdu.flight
(
	plan_id bigint NOT NULL,
	cluster_id bigint NOT NULL,
	number bigint NOT NULL DEFAULT 0,
	place integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL DEFAULT 1,
	epoch integer NOT NULL DEFAULT 0,
	forced boolean NOT NULL DEFAULT false,
	cut boolean NOT NULL DEFAULT false,
	state text NOT NULL DEFAULT 'pending',
	stage text NOT NULL DEFAULT 'look',
	node_id bigint,
	barred integer,
	deadline double precision,
	not_before double precision,
	holds_since double precision,
	act_ok boolean,
	worker text,
	incarnation text,
	started_at timestamptz,
	ended_at timestamptz,
	evidence jsonb,
	log text,
	CONSTRAINT flight_pkey PRIMARY KEY (plan_id),
	CONSTRAINT flight_place_check CHECK (place BETWEEN 1 AND 999),
	CONSTRAINT flight_state_check CHECK (state IN ('pending', 'running', 'unknown', 'failed')),
	CONSTRAINT flight_stage_check CHECK (stage IN ('look', 'act', 'verify', 'end'))
) WITH (fillfactor = 25);
CREATE INDEX flight_node_idx ON zdu.flight (cluster_id, node_id);
COMMENT ON TABLE zdu.flight IS 'Where plans are that are not over: the step that each is at, which is all that moves';
COMMENT ON COLUMN zdu.flight.plan_id IS 'what is to be done: zdu.step_plan; those of a node follow on each other';
COMMENT ON COLUMN zdu.flight.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.flight.number IS 'second half of the fencing token; 0: none yet';
COMMENT ON COLUMN zdu.flight.place IS 'the step that it is at: its element in the arrays of the plan, from 1';
COMMENT ON COLUMN zdu.flight.attempt IS 'which attempt, from 1; 0: none yet';
COMMENT ON COLUMN zdu.flight.attempts IS 'attempts allowed';
COMMENT ON COLUMN zdu.flight.epoch IS 'first half of the fencing token: grows at every adoption';
COMMENT ON COLUMN zdu.flight.forced IS 'in the forced attempt';
COMMENT ON COLUMN zdu.flight.cut IS 'nothing follows on this step any more: what was behind it is cancelled';
COMMENT ON COLUMN zdu.flight.state IS 'state of zdu_transitions(), machine step: one that failed stands in the way of those behind it';
COMMENT ON COLUMN zdu.flight.stage IS 'look, act, verify; end: what runs is to be ended';
COMMENT ON COLUMN zdu.flight.node_id IS 'the node; NULL: a step of the cluster';
COMMENT ON COLUMN zdu.flight.barred IS 'the step that is not granted before it is let go; NULL: none';
COMMENT ON COLUMN zdu.flight.deadline IS 'end of the attempt, in seconds of zdu.cluster.listened';
COMMENT ON COLUMN zdu.flight.not_before IS 'not to be granted before, in seconds of zdu.cluster.listened; NULL: at once';
COMMENT ON COLUMN zdu.flight.holds_since IS 'until holds since, in seconds of zdu.cluster.listened; NULL: it does not';
COMMENT ON COLUMN zdu.flight.act_ok IS 'the action said that it ended well; NULL: not acted in this attempt';
COMMENT ON COLUMN zdu.flight.worker IS 'who holds it';
COMMENT ON COLUMN zdu.flight.incarnation IS 'which process of that worker';
COMMENT ON COLUMN zdu.flight.started_at IS 'first granted';
COMMENT ON COLUMN zdu.flight.ended_at IS 'when it failed; NULL: it has not';
COMMENT ON COLUMN zdu.flight.evidence IS 'what was seen last';
COMMENT ON COLUMN zdu.flight.log IS 'end of what the action printed; zdu_log shows it';

-- The token of one that is over may be named by a repeated report.
CREATE TABLE zdu.step_past
(
	step_id bigint NOT NULL,
	number bigint,
	place integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL,
	epoch integer NOT NULL DEFAULT 0,
	forced boolean NOT NULL DEFAULT false,
	act_ok boolean,
	state text NOT NULL,
	stage text NOT NULL DEFAULT 'look',
	worker text,
	incarnation text,
	started_at timestamptz,
	ended_at timestamptz,
	evidence jsonb,
	log text,
	CONSTRAINT step_past_pkey PRIMARY KEY (step_id),
	CONSTRAINT step_past_number_key UNIQUE (number),
	CONSTRAINT step_past_place_check CHECK (place BETWEEN 1 AND 999 AND step_id % 1000 = place),
	CONSTRAINT step_past_state_check CHECK (state IN ('succeeded', 'skipped', 'cancelled'))
);
COMMENT ON TABLE zdu.step_past IS 'Steps that are over, written once when they end';
COMMENT ON COLUMN zdu.step_past.step_id IS 'key: a thousand times its plan, see zdu.step_plan, and its place in that';
COMMENT ON COLUMN zdu.step_past.number IS 'second half of the last fencing token; NULL: it was never granted';
COMMENT ON COLUMN zdu.step_past.place IS 'its element in the arrays of the plan, from 1';
COMMENT ON COLUMN zdu.step_past.attempt IS 'the last attempt; 0: none';
COMMENT ON COLUMN zdu.step_past.attempts IS 'attempts that were allowed';
COMMENT ON COLUMN zdu.step_past.epoch IS 'first half of that token';
COMMENT ON COLUMN zdu.step_past.forced IS 'in the forced attempt';
COMMENT ON COLUMN zdu.step_past.act_ok IS 'the action said that it ended well; NULL: not acted in the last attempt';
COMMENT ON COLUMN zdu.step_past.state IS 'succeeded, skipped or cancelled';
COMMENT ON COLUMN zdu.step_past.stage IS 'in which stage it ended';
COMMENT ON COLUMN zdu.step_past.worker IS 'who held it last';
COMMENT ON COLUMN zdu.step_past.incarnation IS 'which process of that worker';
COMMENT ON COLUMN zdu.step_past.started_at IS 'first granted';
COMMENT ON COLUMN zdu.step_past.ended_at IS 'when it ended; NULL: skipped from the beginning';
COMMENT ON COLUMN zdu.step_past.evidence IS 'what was seen last';
COMMENT ON COLUMN zdu.step_past.log IS 'end of what the action printed; zdu_log shows it';

CREATE VIEW zdu.step AS
SELECT
	s.step_id, p.cluster_id, p.upgrade_id, p.node_id, p.round, s.step_id AS ord,
	p.phase[s.place] AS phase, p.direction, s.state, true AS settled, s.stage, s.attempt, s.attempts,
	p.retries[s.place] AS retries, p.retry_delay[s.place] AS retry_delay,
	CASE WHEN s.forced THEN p.force[s.place] ELSE p.act[s.place] END AS act, p.look[s.place] AS look,
	CASE WHEN s.forced THEN p.act[s.place] ELSE p.force[s.place] END AS force,
	p.until[s.place] AS until, p.fail[s.place] AS fail, p.vars, string_to_array(p.programs[s.place], ' ') AS programs, p.hold_for[s.place] AS hold_for,
	p.timeout[s.place] AS timeout, p.expect[s.place] AS expect, s.epoch, coalesce(s.number, 0) AS number, s.worker, s.incarnation,
	NULL::double precision AS deadline, NULL::double precision AS not_before, NULL::double precision AS holds_since,
	s.act_ok, s.evidence, s.log, s.started_at, s.ended_at,
	p.phase[s.place] || coalesce(' ' || p.task[s.place], '') AS title
FROM zdu.step_past s
-- Twice the same, so that the steps of a plan are found as well as the plan of a step.
JOIN zdu.step_plan p ON p.plan_id = s.step_id / 1000 AND s.step_id BETWEEN p.plan_id * 1000 AND p.plan_id * 1000 + 999
UNION ALL
-- The step that a plan is at (m), and those behind it.
SELECT
	f.plan_id * 1000 + t.place, f.cluster_id, p.upgrade_id, f.node_id, p.round, f.plan_id * 1000 + t.place,
	p.phase[t.place], p.direction, coalesce(m.state, 'pending'), false, coalesce(m.stage, 'look'), coalesce(m.attempt, 0),
	coalesce(m.attempts, p.retries[t.place]::integer + 1),
	p.retries[t.place], p.retry_delay[t.place],
	CASE WHEN m.forced THEN p.force[t.place] ELSE p.act[t.place] END, p.look[t.place],
	CASE WHEN m.forced THEN p.act[t.place] ELSE p.force[t.place] END,
	p.until[t.place], p.fail[t.place], p.vars, string_to_array(p.programs[t.place], ' '), p.hold_for[t.place],
	p.timeout[t.place], p.expect[t.place], coalesce(m.epoch, 0), coalesce(m.number, 0), m.worker, m.incarnation,
	m.deadline, CASE WHEN t.place = f.barred THEN 'infinity' ELSE m.not_before END, m.holds_since,
	m.act_ok, m.evidence, m.log, m.started_at, m.ended_at,
	p.phase[t.place] || coalesce(' ' || p.task[t.place], '')
FROM zdu.flight f
JOIN zdu.step_plan p ON p.plan_id = f.plan_id
CROSS JOIN LATERAL unnest(f.place || CASE WHEN NOT f.cut THEN p.next[f.place:] END) AS t (place)
LEFT JOIN zdu.flight m ON m.plan_id = f.plan_id AND m.place = t.place
WHERE t.place > 0;
COMMENT ON VIEW zdu.step IS 'One phase on one node, or on the cluster (node_id NULL); made when the node is taken';
COMMENT ON COLUMN zdu.step.step_id IS 'key, in the order of the steps of a node, or of the cluster: a thousand times the plan, and the place';
COMMENT ON COLUMN zdu.step.settled IS 'succeeded, skipped or cancelled: one that failed stands in the way of those behind it';
COMMENT ON COLUMN zdu.step.ord IS 'order of the steps of a node, or of the cluster';
COMMENT ON COLUMN zdu.step.title IS 'the phase and, of a task, its name';
COMMENT ON COLUMN zdu.step.act IS 'args of verb act, in the forced attempt those of the forced action; NULL: only waits';
COMMENT ON COLUMN zdu.step.force IS 'args of the forced action after the last attempt, in that attempt those of the usual one; NULL: none';
