-- Plans: what would be done, in which order and how long it takes; nothing is stored.

CREATE FUNCTION zdu_plan(
	cluster text,
	target text DEFAULT NULL,
	node_group text DEFAULT NULL,
	canary integer DEFAULT NULL,
	OUT wave integer,
	OUT ord integer,
	OUT node text,
	OUT why text,
	OUT waits_for text,
	OUT starts interval,
	OUT ends interval
)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 100
AS 'MODULE_PATHNAME', 'zdu_plan';
COMMENT ON FUNCTION zdu_plan(text,text,text,integer) IS 'In which order zdu_begin would have the nodes taken, a row each: the wave (0: before any gate), why it stands there, what it waits for, and when it starts and ends from now on (NULL: nobody knows how long nodes take). A node that can never be taken comes last, without times. While an upgrade is active: what is left of it. Arguments as in zdu_begin; target NULL: the newest release. Changes nothing. Errors: 42704 unknown cluster or group, 22P02 bad version, 22023.';

CREATE FUNCTION zdu_plan_summary(
	cluster text,
	target text DEFAULT NULL,
	node_group text DEFAULT NULL,
	canary integer DEFAULT NULL,
	OUT nodes integer,
	OUT at_once integer,
	OUT waves integer,
	OUT makespan interval,
	OUT lower_bound interval,
	OUT unknown integer,
	OUT never integer,
	OUT hash text,
	OUT as_of timestamptz
)
RETURNS record
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_plan_summary';
COMMENT ON FUNCTION zdu_plan_summary(text,text,text,integer) IS 'The plan in one row: nodes; at_once: the policy''s limit, resolved (D10); waves; makespan, and a lower_bound that no order can beat (NULL: nobody knows how long nodes take); unknown: nodes of which that is not known; never: nodes that no place or copy ever lets go; hash: over versions, nodes and their groups, zones, roles, labels and variables, policy, budgets, gates, runbook and releases, for zdu_begin(plan => hash) - not over load, heartbeats or where copies are; as_of: on a standby, what it had replayed. Errors as zdu_plan.';

CREATE FUNCTION zdu_simulate(
	cluster text,
	target text DEFAULT NULL,
	runs integer DEFAULT 200,
	seed bigint DEFAULT 1,
	failure_rate double precision DEFAULT 0,
	durations text DEFAULT NULL,
	assume interval DEFAULT NULL,
	node_group text DEFAULT NULL,
	canary integer DEFAULT NULL,
	OUT played integer,
	OUT nodes integer,
	OUT makespan_p50 interval,
	OUT makespan_p90 interval,
	OUT lowest integer,
	OUT availability text,
	OUT held double precision,
	OUT basis text
)
RETURNS record
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'zdu_simulate';
COMMENT ON FUNCTION zdu_simulate(text,text,integer,bigint,double precision,text,interval,text,integer) IS 'The plan played many times with chance: the makespan that half (nine of ten) of the runs that came to their end did not exceed, the fewest nodes that ever served (of all: availability), and the share of runs that were held. durations: historical, drawn from what the nodes took last, or assumed, around assume or else what the runbook expects (NULL: historical where there is history); failure_rate: the share of nodes that fail for good, whatever their retries; a failed one keeps its place. The same seed gives the same answer. Changes nothing. Errors as zdu_plan, and 22023: nothing is known of durations, or more than 5,000,000 nodes would be played in all.';
