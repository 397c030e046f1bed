-- Gates: what has to be so before the nodes behind a barrier are taken.

CREATE TABLE zdu.gate
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	after text NOT NULL,
	soak interval NOT NULL DEFAULT '0',
	probe jsonb,
	until text,
	every interval NOT NULL DEFAULT '10 s',
	timeout interval NOT NULL DEFAULT '30 s',
	max_age interval NOT NULL DEFAULT '1 min',
	approval boolean NOT NULL DEFAULT false,
	on_fail text NOT NULL DEFAULT 'wait',
	CONSTRAINT gate_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT gate_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	-- zdu_begin(canary => n) makes a gate of that name where there is none.
	CONSTRAINT gate_canary_check CHECK (name <> 'canary' OR after = 'canary'),
	CONSTRAINT gate_after_name_check CHECK (NOT starts_with(name, 'after:')),
	CONSTRAINT gate_after_check CHECK (after ~ '^(begin|canary|end|[1-9][0-9]{0,5}|[1-9][0-9]?%)$'),
	CONSTRAINT gate_until_check CHECK ((probe IS NULL) = (until IS NULL)),
	CONSTRAINT gate_durations_check CHECK (soak >= '0' AND every >= '1 s' AND timeout > '0' AND max_age >= every),
	CONSTRAINT gate_on_fail_check CHECK (on_fail IN ('wait', 'hold', 'rollback')),
	CONSTRAINT gate_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.gate IS 'Gates of clusters: every driven upgrade that begins stands before them; zdu_set_gate';
COMMENT ON COLUMN zdu.gate.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.gate.name IS 'its name';
COMMENT ON COLUMN zdu.gate.after IS 'behind which nodes of the order it stands: a number, a share such as 25% (rounded as in D10), canary (those of zdu_begin), begin (before the first), end (behind the last, before zdu_finalize)';
COMMENT ON COLUMN zdu.gate.soak IS 'how long the nodes before it must have been done and well; counts only while somebody listens';
COMMENT ON COLUMN zdu.gate.probe IS 'what a worker looks with, as in a runbook; NULL: nothing is looked at';
COMMENT ON COLUMN zdu.gate.until IS 'jsonpath predicate over the evidence: true passes, false fails, anything else is inconclusive';
COMMENT ON COLUMN zdu.gate.every IS 'how often is looked until it passes';
COMMENT ON COLUMN zdu.gate.timeout IS 'how long a look may take; of a query it is the statement_timeout too';
COMMENT ON COLUMN zdu.gate.max_age IS 'a look that is older is worth nothing';
COMMENT ON COLUMN zdu.gate.approval IS 'somebody has to say yes besides: zdu_approve';
COMMENT ON COLUMN zdu.gate.on_fail IS 'what a look that fails does: wait, hold the upgrade, or rollback';

CREATE TABLE zdu.upgrade_gate
(
	upgrade_id bigint NOT NULL,
	name text NOT NULL,
	after text NOT NULL,
	place integer NOT NULL,
	soak double precision NOT NULL DEFAULT 0,
	look jsonb,
	until text,
	vars jsonb,
	every double precision NOT NULL DEFAULT 10,
	max_age double precision NOT NULL DEFAULT 60,
	approval boolean NOT NULL DEFAULT false,
	on_fail text NOT NULL DEFAULT 'wait',
	needs bigint,
	needs_version zdu_version,
	reached double precision,
	reached_at timestamptz,
	opened_at timestamptz,
	CONSTRAINT upgrade_gate_pkey PRIMARY KEY (upgrade_id, name),
	CONSTRAINT upgrade_gate_upgrade_fkey FOREIGN KEY (upgrade_id) REFERENCES zdu.upgrade ON DELETE CASCADE,
	CONSTRAINT upgrade_gate_needs_fkey FOREIGN KEY (needs) REFERENCES zdu.cluster ON DELETE CASCADE
);
CREATE INDEX upgrade_gate_closed_idx ON zdu.upgrade_gate (upgrade_id, place, name) WHERE opened_at IS NULL;
CREATE INDEX upgrade_gate_needs_idx ON zdu.upgrade_gate (needs) WHERE needs IS NOT NULL;
COMMENT ON TABLE zdu.upgrade_gate IS 'The gates that an upgrade began with: a change of zdu.gate concerns the next one';
COMMENT ON COLUMN zdu.upgrade_gate.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.upgrade_gate.name IS 'zdu.gate.name; canary where zdu_begin made it; after:CLUSTER for a dependency';
COMMENT ON COLUMN zdu.upgrade_gate.after IS 'as it was given';
COMMENT ON COLUMN zdu.upgrade_gate.place IS 'nodes whose place is higher wait; 0: all do';
COMMENT ON COLUMN zdu.upgrade_gate.soak IS 'seconds';
COMMENT ON COLUMN zdu.upgrade_gate.look IS 'args of verb probe; NULL: nothing is looked at';
COMMENT ON COLUMN zdu.upgrade_gate.until IS 'jsonpath predicate over the evidence';
COMMENT ON COLUMN zdu.upgrade_gate.vars IS 'variables of until';
COMMENT ON COLUMN zdu.upgrade_gate.every IS 'seconds between looks';
COMMENT ON COLUMN zdu.upgrade_gate.max_age IS 'seconds after which a look is worth nothing';
COMMENT ON COLUMN zdu.upgrade_gate.approval IS 'it wants zdu_approve';
COMMENT ON COLUMN zdu.upgrade_gate.on_fail IS 'wait, hold or rollback';
COMMENT ON COLUMN zdu.upgrade_gate.needs IS 'another cluster that must be final; NULL: none';
COMMENT ON COLUMN zdu.upgrade_gate.needs_version IS 'at this version or a later one; NULL: at any';
COMMENT ON COLUMN zdu.upgrade_gate.reached IS 'since when the nodes before it are done and well, in seconds of zdu.cluster.listened; NULL: they are not';
COMMENT ON COLUMN zdu.upgrade_gate.reached_at IS 'the same by the clock';
COMMENT ON COLUMN zdu.upgrade_gate.opened_at IS 'when it opened, for good; NULL: it is closed';

CREATE TABLE zdu.approval
(
	upgrade_id bigint NOT NULL,
	gate text NOT NULL,
	caller text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	reason text NOT NULL,
	at timestamptz NOT NULL,
	CONSTRAINT approval_pkey PRIMARY KEY (upgrade_id, gate),
	CONSTRAINT approval_gate_fkey FOREIGN KEY (upgrade_id, gate) REFERENCES zdu.upgrade_gate ON DELETE CASCADE
);
COMMENT ON TABLE zdu.approval IS 'Who said yes to a gate; zdu_approve';
COMMENT ON COLUMN zdu.approval.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.approval.gate IS 'the gate';
COMMENT ON COLUMN zdu.approval.caller IS 'the role that called';
COMMENT ON COLUMN zdu.approval.session_role IS 'the session_user';
COMMENT ON COLUMN zdu.approval.reason IS 'why';
COMMENT ON COLUMN zdu.approval.at IS 'when';

CREATE VIEW zdu.closed_gate AS
SELECT
	g.upgrade_id, g.place, g.name, g.needs,
	EXISTS (SELECT FROM zdu.waiver v WHERE v.cluster_id = u.cluster_id AND v.rule = 'gate:' || g.name) AS waived,
	g.reached_at,
	coalesce(
		(SELECT n.name || ' is ' || n.state || coalesce(' at ' || n.version::text, '')
			|| CASE WHEN n.taken THEN ', in flight' WHEN n.turn IS NULL THEN ', given up' ELSE '' END
		 FROM zdu.node n WHERE n.cluster_id = u.cluster_id AND n.heading IS NOT NULL AND n.place <= g.place ORDER BY n.place LIMIT 1),
		-- What was done and is not well any more; out of rotation by somebody's wish is well.
		(SELECT n.name || ' is ' || n.state || coalesce(' at ' || n.version::text, '') || CASE WHEN n.in_rotation THEN '' ELSE ', out of rotation' END
		 FROM zdu.node n WHERE n.cluster_id = u.cluster_id AND n.away AND n.place <= g.place
			AND (n.state <> 'ACTIVE' OR n.attached) ORDER BY n.place LIMIT 1)) AS waits_for,
	g.soak,
	CASE WHEN g.reached IS NULL THEN g.soak ELSE g.reached + g.soak - c.listened END AS soak_left,
	g.reached IS NOT NULL AS is_reached,
	g.look, g.until, g.vars, g.every, g.on_fail,
	-- A query that gave no row has not passed, whatever until makes of nothing.
	CASE WHEN NOT jsonb_path_exists(w.evidence, '$.row_count ? (@ == 0)') THEN w.holds END AS holds,
	w.watch_id,
	left(w.evidence::text, 120) AS seen,
	extract(epoch FROM zdu_clock() - w.seen_at)::double precision AS age,
	g.max_age,
	g.approval,
	EXISTS (SELECT FROM zdu.approval a WHERE a.upgrade_id = g.upgrade_id AND a.gate = g.name) AS approved,
	o.name AS needs_cluster,
	o.name || ' is ' || o.state || coalesce(' at ' || o.version::text, '') AS needs_is,
	'final' || coalesce(' at ' || g.needs_version::text || ' or later', '') AS needs_wanted,
	coalesce(o.state = 'STABLE' AND (g.needs_version IS NULL OR o.version >= g.needs_version)
			 AND NOT EXISTS (SELECT FROM zdu.upgrade x WHERE x.cluster_id = o.cluster_id AND x.ended_at IS NULL), false) AS needs_met
FROM zdu.upgrade_gate g
JOIN zdu.upgrade u ON u.upgrade_id = g.upgrade_id
JOIN zdu.cluster c ON c.cluster_id = u.cluster_id
LEFT JOIN zdu.watch w ON w.cluster_id = u.cluster_id AND w.upgrade_id = g.upgrade_id AND w.kind = 'gate' AND w.name = g.name
LEFT JOIN zdu.cluster o ON o.cluster_id = g.needs
WHERE g.opened_at IS NULL;
COMMENT ON VIEW zdu.closed_gate IS 'what a decision asks of the gates that are not open';
COMMENT ON COLUMN zdu.closed_gate.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.closed_gate.place IS 'zdu.upgrade_gate.place';
COMMENT ON COLUMN zdu.closed_gate.name IS 'the gate';
COMMENT ON COLUMN zdu.closed_gate.needs IS 'zdu.upgrade_gate.needs';
COMMENT ON COLUMN zdu.closed_gate.waived IS 'zdu_waive has opened it';
COMMENT ON COLUMN zdu.closed_gate.reached_at IS 'since when the nodes before it are done and well; NULL: they were not when last decided';
COMMENT ON COLUMN zdu.closed_gate.waits_for IS 'a node before it that is not done, or not well; NULL: none';
COMMENT ON COLUMN zdu.closed_gate.soak IS 'seconds';
COMMENT ON COLUMN zdu.closed_gate.soak_left IS 'seconds; 0 or less: over';
COMMENT ON COLUMN zdu.closed_gate.is_reached IS 'the soak has begun';
COMMENT ON COLUMN zdu.closed_gate.look IS 'zdu.upgrade_gate.look';
COMMENT ON COLUMN zdu.closed_gate.until IS 'zdu.upgrade_gate.until';
COMMENT ON COLUMN zdu.closed_gate.vars IS 'zdu.upgrade_gate.vars';
COMMENT ON COLUMN zdu.closed_gate.every IS 'zdu.upgrade_gate.every';
COMMENT ON COLUMN zdu.closed_gate.on_fail IS 'zdu.upgrade_gate.on_fail';
COMMENT ON COLUMN zdu.closed_gate.holds IS 'what the last look came to; NULL: inconclusive, or none';
COMMENT ON COLUMN zdu.closed_gate.watch_id IS 'what workers look at; NULL: nothing is looked at just now';
COMMENT ON COLUMN zdu.closed_gate.seen IS 'the evidence of the last look, shortened';
COMMENT ON COLUMN zdu.closed_gate.age IS 'of the last look, seconds';
COMMENT ON COLUMN zdu.closed_gate.max_age IS 'seconds after which a look is worth nothing';
COMMENT ON COLUMN zdu.closed_gate.approval IS 'it wants an approval';
COMMENT ON COLUMN zdu.closed_gate.approved IS 'it has one';
COMMENT ON COLUMN zdu.closed_gate.needs_cluster IS 'the cluster that must be final';
COMMENT ON COLUMN zdu.closed_gate.needs_is IS 'what that cluster is';
COMMENT ON COLUMN zdu.closed_gate.needs_wanted IS 'what it must be';
COMMENT ON COLUMN zdu.closed_gate.needs_met IS 'and whether it is';

CREATE VIEW zdu.gate_status AS
SELECT
	c.name AS cluster,
	g.name AS gate,
	g.after,
	nullif(g.place, 2147483647) AS place,
	CASE
		WHEN g.opened_at IS NOT NULL THEN 'open'
		WHEN k.waits_for IS NOT NULL OR NOT k.is_reached THEN 'ahead'
		WHEN k.soak_left > 0 THEN 'soaking'
		ELSE 'closed'
	END AS state,
	coalesce(g.opened_at, g.reached_at) AS since,
	CASE WHEN k.soak_left > 0 AND k.is_reached THEN make_interval(secs => ceil(k.soak_left)) END AS soak_left,
	CASE
		WHEN g.look IS NULL OR g.opened_at IS NOT NULL OR k.seen IS NULL THEN NULL
		WHEN k.age > k.max_age THEN 'stale'
		WHEN k.holds THEN 'pass'
		WHEN NOT k.holds THEN 'fail'
		ELSE 'inconclusive'
	END AS verdict,
	k.seen,
	g.until,
	coalesce(a.session_role, CASE WHEN g.approval AND g.opened_at IS NULL THEN '(wanted)' END) AS approved_by,
	coalesce(k.waits_for, CASE WHEN NOT k.needs_met THEN k.needs_is END) AS waits_for
FROM zdu.upgrade u
JOIN zdu.cluster c ON c.cluster_id = u.cluster_id
JOIN zdu.upgrade_gate g ON g.upgrade_id = u.upgrade_id
LEFT JOIN zdu.closed_gate k ON k.upgrade_id = g.upgrade_id AND k.name = g.name
LEFT JOIN zdu.approval a ON a.upgrade_id = g.upgrade_id AND a.gate = g.name
WHERE u.ended_at IS NULL
ORDER BY c.name, g.place, g.name;
COMMENT ON VIEW zdu.gate_status IS 'The gates of the running upgrades, in their order';
COMMENT ON COLUMN zdu.gate_status.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.gate_status.gate IS 'the gate';
COMMENT ON COLUMN zdu.gate_status.after IS 'behind which nodes it stands, as given';
COMMENT ON COLUMN zdu.gate_status.place IS 'how many nodes of the order stand before it; NULL: all';
COMMENT ON COLUMN zdu.gate_status.state IS 'ahead (nodes before it are not done, or not well), soaking, closed (its condition does not hold yet), open';
COMMENT ON COLUMN zdu.gate_status.since IS 'since when it is open, or reached';
COMMENT ON COLUMN zdu.gate_status.soak_left IS 'how much longer it soaks; counts only while somebody listens';
COMMENT ON COLUMN zdu.gate_status.verdict IS 'what the last look came to: pass, fail, inconclusive, stale; NULL: none yet';
COMMENT ON COLUMN zdu.gate_status.seen IS 'what was seen last';
COMMENT ON COLUMN zdu.gate_status.until IS 'what must be seen';
COMMENT ON COLUMN zdu.gate_status.approved_by IS 'session_user who approved it; (wanted): nobody yet; NULL: it wants nobody';
COMMENT ON COLUMN zdu.gate_status.waits_for IS 'a node before it, or another cluster, that is not yet where it must be';

CREATE FUNCTION zdu_set_gate(
	cluster text,
	name text,
	after text DEFAULT NULL,
	soak interval DEFAULT NULL,
	service text DEFAULT NULL,
	query text DEFAULT NULL,
	params text[] DEFAULT NULL,
	probe jsonb DEFAULT NULL,
	until text DEFAULT NULL,
	every interval DEFAULT NULL,
	timeout interval DEFAULT NULL,
	max_age interval DEFAULT NULL,
	approval boolean DEFAULT NULL,
	on_fail text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_gate';
COMMENT ON FUNCTION zdu_set_gate(text,text,text,interval,text,text,text[],jsonb,text,interval,interval,interval,boolean,text) IS 'Make a gate, or change what is given; NULL keeps what is there. after: begin, canary, end, a number or a share of the nodes. It opens when every node before it is done and well for soak, and its condition passes: a query run read-only by a worker through a libpq service of the worker''s machine (its boolean column pass, or until over its row; {variables} in params), or a probe as in a runbook, and an approval. Running upgrades keep the gates they began with. Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22023 bad probe, until or service; 23514 settings that make no sense.';

CREATE FUNCTION zdu_drop_gate(
	cluster text,
	name text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_gate';
COMMENT ON FUNCTION zdu_drop_gate(text,text) IS 'Forget a gate; a running upgrade keeps it (zdu_waive opens it there). Returns dropped. Errors: 42704.';

CREATE FUNCTION zdu_approve(
	cluster text,
	gate text,
	reason text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_approve';
COMMENT ON FUNCTION zdu_approve(text,text,text) IS 'Say yes to a gate that wants an approval, once the nodes before it are done. With second_person another session_user than the one who began the upgrade, and nobody through a pooled login. Returns approved, or unchanged. Errors: ZD001 no such gate waits, ZD002 second person (L22).';
