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

CREATE VIEW zdu.resource_facts AS
SELECT
	r.cluster_id,
	r.name,
	r.lowest,
	r.highest,
	a.placed,
	a.active,
	a.present,
	a.primaries,
	w.wanted,
	CASE WHEN w.wanted <= 2 THEN 1 ELSE w.wanted / 2 + 1 END AS quorum
FROM zdu.resource r
CROSS JOIN LATERAL (
	SELECT
		count(*)::integer AS placed,
		count(*) FILTER (WHERE p.state IN ('active', 'moving'))::integer AS active,
		count(*) FILTER (WHERE p.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING') AND NOT n.taken)::integer AS present,
		count(*) FILTER (WHERE p.kind = 'primary' AND p.state IN ('active', 'moving') AND n.state IN ('ACTIVE', 'DRAINING'))::integer AS primaries
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
COMMENT ON COLUMN zdu.resource_facts.primaries IS 'active primaries on nodes that are up';
COMMENT ON COLUMN zdu.resource_facts.wanted IS 'copies that are to be there: as many as are placed, within the bounds';
COMMENT ON COLUMN zdu.resource_facts.quorum IS 'how many of them a write needs: 1 of 1, 1 of 2, then the majority';

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
