-- Two versions side by side: what nodes and applications ask while old and new run together.

CREATE TABLE zdu.feature
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	since zdu_version NOT NULL,
	CONSTRAINT feature_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT feature_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT feature_name_check CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$')
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
