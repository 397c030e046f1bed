-- More than one cluster: which comes after which, and all of them at one look.

CREATE TABLE zdu.dependency
(
	cluster_id bigint NOT NULL,
	after_id bigint NOT NULL,
	version text,
	CONSTRAINT dependency_pkey PRIMARY KEY (cluster_id, after_id),
	CONSTRAINT dependency_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT dependency_after_fkey FOREIGN KEY (after_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT dependency_self_check CHECK (cluster_id <> after_id)
);
CREATE INDEX dependency_after_idx ON zdu.dependency (after_id);
COMMENT ON TABLE zdu.dependency IS 'Clusters that are upgraded after others; zdu_set_dependency';
COMMENT ON COLUMN zdu.dependency.cluster_id IS 'the cluster that waits';
COMMENT ON COLUMN zdu.dependency.after_id IS 'for this one';
COMMENT ON COLUMN zdu.dependency.version IS 'to be final at this version or a later one; target: that of its own upgrade; NULL: at any';

CREATE FUNCTION zdu_set_dependency(
	cluster text,
	after_cluster text,
	version text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_dependency';
COMMENT ON FUNCTION zdu_set_dependency(text,text,text) IS 'Upgrade a cluster only after another one is final: STABLE, with no upgrade, at this version or a later one (target: that which the cluster goes to itself; NULL: any). zdu_begin begins, and waits at the gate after:OTHER. While nodes are being taken, the other one refuses zdu_begin (M8). Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22P02 bad version; 22023 a circle.';

CREATE FUNCTION zdu_drop_dependency(
	cluster text,
	after_cluster text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_dependency';
COMMENT ON FUNCTION zdu_drop_dependency(text,text) IS 'Forget it; a running upgrade keeps its gate (zdu_waive opens it). Returns dropped. Errors: 42704.';

CREATE VIEW zdu.fleet AS
WITH RECURSIVE placed (cluster_id, stage) AS (
	SELECT c.cluster_id, 1 FROM zdu.cluster c
	UNION
	-- Two that were set at once by callers with old snapshots may make a circle: it ends somewhere.
	SELECT d.cluster_id, p.stage + 1 FROM placed p JOIN zdu.dependency d ON d.after_id = p.cluster_id
	WHERE p.stage < (SELECT count(*) FROM zdu.cluster)
)
SELECT
	(SELECT max(p.stage) FROM placed p WHERE p.cluster_id = c.cluster_id) AS stage,
	s.cluster,
	coalesce(c.version::text, s.original) AS version,
	s.state, s.run, s.target, s.done, s.serving,
	(SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM zdu.dependency d JOIN zdu.cluster o ON o.cluster_id = d.after_id WHERE d.cluster_id = c.cluster_id) AS after,
	s.waits_for
FROM zdu.status s
JOIN zdu.cluster c ON c.name = s.cluster
ORDER BY s.run IS DISTINCT FROM 'held', 1, s.cluster;
COMMENT ON VIEW zdu.fleet IS 'All clusters at one look: held ones first, then by stage';
COMMENT ON COLUMN zdu.fleet.stage IS '1: after no other; else one more than the last of those it comes after';
COMMENT ON COLUMN zdu.fleet.cluster IS 'the cluster';
COMMENT ON COLUMN zdu.fleet.version IS 'its version, in upgrade mode the original one';
COMMENT ON COLUMN zdu.fleet.state IS 'its state, see zdu_transitions()';
COMMENT ON COLUMN zdu.fleet.run IS 'what its upgrade does; NULL: none';
COMMENT ON COLUMN zdu.fleet.target IS 'version it goes to';
COMMENT ON COLUMN zdu.fleet.done IS 'nodes at the target and soaked, of all';
COMMENT ON COLUMN zdu.fleet.serving IS 'nodes ACTIVE and in rotation, of all';
COMMENT ON COLUMN zdu.fleet.after IS 'the clusters it comes after';
COMMENT ON COLUMN zdu.fleet.waits_for IS 'what it waits for, or why it is held';
