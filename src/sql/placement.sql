-- Copies of data: what there is, where its copies are, and how they are.

CREATE TABLE zdu.resource
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	replicas text NOT NULL,
	lowest integer NOT NULL GENERATED ALWAYS AS (1 + split_part(replicas, '-', 1)::integer) STORED,
	highest integer NOT NULL GENERATED ALWAYS AS (1 + CASE split_part(replicas, '-', 2)
		WHEN '' THEN split_part(replicas, '-', 1)::integer WHEN 'all' THEN 1000000 ELSE split_part(replicas, '-', 2)::integer END) STORED,
	health text NOT NULL DEFAULT 'green',
	since timestamptz NOT NULL DEFAULT clock_timestamp(),
	since_listened double precision NOT NULL DEFAULT 0,
	CONSTRAINT resource_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT resource_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT resource_replicas_check CHECK (replicas ~ '^[0-9]{1,3}(-([0-9]{1,3}|all))?$'),
	CONSTRAINT resource_health_check CHECK (health IN ('green', 'yellow', 'red'))
);
CREATE INDEX resource_health_idx ON zdu.resource (cluster_id) WHERE health <> 'green';
COMMENT ON TABLE zdu.resource IS 'What there are copies of, such as shards';
COMMENT ON COLUMN zdu.resource.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.resource.name IS 'its name';
COMMENT ON COLUMN zdu.resource.replicas IS 'copies besides the primary: a number, or a range such as 0-1 or 0-all (D3)';
COMMENT ON COLUMN zdu.resource.lowest IS 'copies that it is to have at least, the primary included';
COMMENT ON COLUMN zdu.resource.highest IS 'and at most';
COMMENT ON COLUMN zdu.resource.health IS 'green: every copy is active; yellow: the primary is; red: it is not (D7)';
COMMENT ON COLUMN zdu.resource.since IS 'since when it has this health';
COMMENT ON COLUMN zdu.resource.since_listened IS 'the same in seconds of zdu.cluster.listened';

CREATE TABLE zdu.placement
(
	cluster_id bigint NOT NULL,
	resource text NOT NULL,
	node_id bigint NOT NULL,
	kind text NOT NULL,
	state text NOT NULL DEFAULT 'active',
	CONSTRAINT placement_pkey PRIMARY KEY (cluster_id, resource, node_id),
	CONSTRAINT placement_resource_fkey FOREIGN KEY (cluster_id, resource) REFERENCES zdu.resource ON DELETE CASCADE,
	CONSTRAINT placement_node_fkey FOREIGN KEY (node_id) REFERENCES zdu.node ON DELETE CASCADE,
	CONSTRAINT placement_kind_check CHECK (kind IN ('primary', 'replica')),
	CONSTRAINT placement_state_check CHECK (state IN ('active', 'moving', 'building', 'failed'))
);
CREATE INDEX placement_node_idx ON zdu.placement (node_id);
COMMENT ON TABLE zdu.placement IS 'Which node has a copy of what';
COMMENT ON COLUMN zdu.placement.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.placement.resource IS 'zdu.resource.name';
COMMENT ON COLUMN zdu.placement.node_id IS 'the node that has this copy';
COMMENT ON COLUMN zdu.placement.kind IS 'primary or replica';
COMMENT ON COLUMN zdu.placement.state IS 'active; moving: it still serves, and is on its way to another node; building: it does not serve yet; failed';

CREATE TABLE zdu.placement_load
(
	cluster_id bigint NOT NULL,
	loaded timestamptz,
	wrong text,
	health text NOT NULL DEFAULT 'green',
	since timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT placement_load_pkey PRIMARY KEY (cluster_id),
	CONSTRAINT placement_load_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT placement_load_health_check CHECK (health IN ('green', 'yellow', 'red'))
) WITH (fillfactor = 50);
COMMENT ON TABLE zdu.placement_load IS 'Clusters of whose copies something is known: how they are as a whole, and when a worker last saw them';
COMMENT ON COLUMN zdu.placement_load.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.placement_load.loaded IS 'when the runbook''s placements were last seen; NULL: never';
COMMENT ON COLUMN zdu.placement_load.wrong IS 'what was wrong with what was seen last; NULL: nothing';
COMMENT ON COLUMN zdu.placement_load.health IS 'the worst zdu.resource.health (D7)';
COMMENT ON COLUMN zdu.placement_load.since IS 'since when';

CREATE VIEW zdu.resource_facts AS
SELECT
	r.cluster_id,
	r.name,
	r.lowest,
	r.highest,
	a.placed,
	a.active,
	a.present,
	a.up,
	a.primaries,
	a.primaries_up,
	w.wanted,
	CASE WHEN w.wanted <= 2 THEN 1 ELSE w.wanted / 2 + 1 END AS quorum,
	-- Where nobody says which copy is the primary, one that is up is enough.
	CASE WHEN a.up = 0 OR (a.primaries > 0 AND a.primaries_up = 0) THEN 'red' WHEN a.up < w.wanted THEN 'yellow' ELSE 'green' END AS health
FROM zdu.resource r
CROSS JOIN LATERAL (
	SELECT
		count(*)::integer AS placed,
		count(*) FILTER (WHERE p.state IN ('active', 'moving'))::integer AS active,
		count(*) FILTER (WHERE p.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING') AND NOT n.taken)::integer AS present,
		count(*) FILTER (WHERE p.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING'))::integer AS up,
		count(*) FILTER (WHERE p.kind = 'primary')::integer AS primaries,
		count(*) FILTER (WHERE p.kind = 'primary' AND p.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING'))::integer AS primaries_up
	FROM zdu.placement p
	JOIN zdu.node n ON n.node_id = p.node_id
	WHERE p.cluster_id = r.cluster_id AND p.resource = r.name
) a
CROSS JOIN LATERAL (
	SELECT greatest(r.lowest, least(a.placed, r.highest)) AS wanted
) w;
COMMENT ON VIEW zdu.resource_facts IS 'zdu.resource and how its copies are (D4)';
COMMENT ON COLUMN zdu.resource_facts.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.resource_facts.name IS 'its name';
COMMENT ON COLUMN zdu.resource_facts.lowest IS 'zdu.resource.lowest';
COMMENT ON COLUMN zdu.resource_facts.highest IS 'zdu.resource.highest';
COMMENT ON COLUMN zdu.resource_facts.placed IS 'nodes that have a copy, in whatever state';
COMMENT ON COLUMN zdu.resource_facts.active IS 'of them: that serve, or would if their node did';
COMMENT ON COLUMN zdu.resource_facts.present IS 'of those: on nodes that are up and not taken';
COMMENT ON COLUMN zdu.resource_facts.up IS 'of those: on nodes that are up, taken or not';
COMMENT ON COLUMN zdu.resource_facts.primaries IS 'copies said to be the primary';
COMMENT ON COLUMN zdu.resource_facts.primaries_up IS 'of them: active, on nodes that are up';
COMMENT ON COLUMN zdu.resource_facts.wanted IS 'copies that are to be there: as many as are placed, within the bounds';
COMMENT ON COLUMN zdu.resource_facts.quorum IS 'how many of them a write needs: 1 of 1, 1 of 2, then the majority';
COMMENT ON COLUMN zdu.resource_facts.health IS 'its health as it is now; zdu.resource.health follows at the next sweep (D7)';

CREATE VIEW zdu.remaining_facts AS
SELECT
	p.cluster_id,
	p.node_id,
	p.resource,
	p.kind,
	p.state,
	o.elsewhere,
	f.quorum
FROM zdu.placement p
JOIN zdu.cluster c ON c.cluster_id = p.cluster_id
JOIN zdu.current_policy y ON y.name = c.policy AND y.min_availability <> 'none'
JOIN zdu.resource_facts f ON f.cluster_id = p.cluster_id AND f.name = p.resource
CROSS JOIN LATERAL (
	SELECT count(*)::integer AS elsewhere
	FROM zdu.placement q
	JOIN zdu.node n ON n.node_id = q.node_id
	WHERE q.cluster_id = p.cluster_id AND q.resource = p.resource AND q.node_id <> p.node_id
	  AND q.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING') AND NOT n.taken
) o
WHERE y.min_availability = 'full' OR (p.state IN ('active', 'moving') AND o.elsewhere < f.quorum AND o.elsewhere + 1 >= f.quorum);
COMMENT ON VIEW zdu.remaining_facts IS 'copies that must leave a node before it may leave, by the policy''s min_availability';
COMMENT ON COLUMN zdu.remaining_facts.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.remaining_facts.node_id IS 'the node';
COMMENT ON COLUMN zdu.remaining_facts.resource IS 'zdu.resource.name';
COMMENT ON COLUMN zdu.remaining_facts.kind IS 'primary or replica';
COMMENT ON COLUMN zdu.remaining_facts.state IS 'zdu.placement.state';
COMMENT ON COLUMN zdu.remaining_facts.elsewhere IS 'active copies on nodes that stay';
COMMENT ON COLUMN zdu.remaining_facts.quorum IS 'how many a write needs';

CREATE VIEW zdu.remaining AS
SELECT
	c.name AS cluster,
	n.name AS node,
	m.resource,
	m.kind,
	m.state,
	m.elsewhere,
	m.quorum AS needed
FROM zdu.node n
JOIN zdu.cluster c ON c.cluster_id = n.cluster_id
JOIN zdu.remaining_facts m ON m.node_id = n.node_id
WHERE n.away AND (n.state = 'DRAINING' OR EXISTS (
	SELECT FROM zdu.step s
	WHERE s.cluster_id = n.cluster_id AND s.node_id = n.node_id AND NOT s.settled AND s.phase = 'drain' AND s.state IN ('running', 'unknown')))
ORDER BY c.name, n.name, m.resource;
COMMENT ON VIEW zdu.remaining IS 'What must still leave the nodes that drain, row by row, by the policy''s min_availability: none: nothing; primaries: copies without which a write quorum would be lost; full: every copy (D9)';
COMMENT ON COLUMN zdu.remaining.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.remaining.node IS 'the node that drains';
COMMENT ON COLUMN zdu.remaining.resource IS 'of what it has a copy';
COMMENT ON COLUMN zdu.remaining.kind IS 'primary or replica';
COMMENT ON COLUMN zdu.remaining.state IS 'active, moving, building or failed';
COMMENT ON COLUMN zdu.remaining.elsewhere IS 'active copies on nodes that stay';
COMMENT ON COLUMN zdu.remaining.needed IS 'how many of them a write needs';

CREATE VIEW zdu.health AS
SELECT
	c.name AS cluster,
	h.resource,
	h.health,
	h.since,
	h.copies,
	h.wrong
FROM (
	SELECT l.cluster_id, NULL::text AS resource, l.health, l.since,
		(SELECT count(*) FROM zdu.resource r WHERE r.cluster_id = l.cluster_id AND r.health <> 'green') || ' of '
			|| (SELECT count(*) FROM zdu.resource r WHERE r.cluster_id = l.cluster_id) || ' not green' AS copies,
		l.wrong
	FROM zdu.placement_load l
	UNION ALL
	SELECT r.cluster_id, r.name, f.health, CASE WHEN f.health = r.health THEN r.since END, f.up || ' of ' || f.wanted || ' up', NULL
	FROM zdu.resource r
	JOIN zdu.resource_facts f ON f.cluster_id = r.cluster_id AND f.name = r.name
) h
JOIN zdu.cluster c ON c.cluster_id = h.cluster_id
ORDER BY c.name, h.resource NULLS FIRST;
COMMENT ON VIEW zdu.health IS 'How the copies of data are: a row a cluster, where something is known of them, and a row a resource (D7)';
COMMENT ON COLUMN zdu.health.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.health.resource IS 'the resource; NULL: the cluster as a whole, as its worst resource';
COMMENT ON COLUMN zdu.health.health IS 'green: every copy is up; yellow: the primary is; red: it is not';
COMMENT ON COLUMN zdu.health.since IS 'since when; NULL: since a moment ago';
COMMENT ON COLUMN zdu.health.copies IS 'copies that are up, of how many; of the cluster: resources that are not green';
COMMENT ON COLUMN zdu.health.wrong IS 'what was wrong with what the runbook''s placements last showed; NULL: nothing';

CREATE FUNCTION zdu_set_resource(
	cluster text,
	name text,
	replicas text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_resource';
COMMENT ON FUNCTION zdu_set_resource(text,text,text) IS 'Say what there are copies of, and how many replicas it is to have: a number, or a range such as 0-1 or 0-all; NULL keeps what is there (new: 0). Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22023 no such number of replicas.';

CREATE FUNCTION zdu_drop_resource(
	cluster text,
	name text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_resource';
COMMENT ON FUNCTION zdu_drop_resource(text,text) IS 'Forget a resource and where its copies are. Returns dropped. Errors: 42704 unknown cluster or resource.';

CREATE FUNCTION zdu_set_placement(
	cluster text,
	resource text,
	node text,
	kind text DEFAULT NULL,
	state text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_placement';
COMMENT ON FUNCTION zdu_set_placement(text,text,text,text,text) IS 'Say that a node has a copy: kind primary or replica, state active, moving, building or failed; NULL keeps what is there (new: replica, active). Returns created, changed or unchanged. Errors: 42704 unknown cluster, resource or node; 22023 no such kind or state.';

CREATE FUNCTION zdu_drop_placement(
	cluster text,
	resource text,
	node text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_placement';
COMMENT ON FUNCTION zdu_drop_placement(text,text,text) IS 'Say that a node has no copy any more. Returns dropped. Errors: 42704 unknown cluster, node or copy.';

CREATE FUNCTION zdu_load_placements(
	cluster text,
	copies jsonb
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_load_placements';
COMMENT ON FUNCTION zdu_load_placements(text,jsonb) IS 'Say where all copies are, at once: an array of {"resource": ..., "replicas": ..., "node": ..., "kind": ..., "state": ...}. What is not in it is forgotten; only what differs is written. replicas may be left out (as many as are named, less the primary), kind (replica) and state (active) too. Copies on nodes that the cluster does not have count as absent. Returns the number of rows written. Errors: 42704 unknown cluster; 22023 naming the element that makes no sense.';
