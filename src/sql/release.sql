-- Releases of products, and which steps between them are safe.

CREATE TABLE zdu.release
(
	product text NOT NULL,
	version zdu_version NOT NULL,
	blocked text,
	requires jsonb NOT NULL DEFAULT '{}',
	compatible boolean NOT NULL DEFAULT true,
	CONSTRAINT release_pkey PRIMARY KEY (product, version),
	CONSTRAINT release_requires_check CHECK (jsonb_typeof(requires) = 'object')
);
COMMENT ON TABLE zdu.release IS 'Known releases of a product';
COMMENT ON COLUMN zdu.release.product IS 'zdu.cluster.product';
COMMENT ON COLUMN zdu.release.version IS 'the version';
COMMENT ON COLUMN zdu.release.blocked IS 'why nobody may upgrade to it; NULL: they may (V6)';
COMMENT ON COLUMN zdu.release.requires IS 'other products that it needs: {"elasticsearch": {"min": "7.10", "max": "8"}}; the maximum counts with all that begins with it (V9)';
COMMENT ON COLUMN zdu.release.compatible IS 'false: its definitions break nodes of earlier versions, no rolling step leads to it or over it (V9)';

CREATE TABLE zdu.release_path
(
	product text NOT NULL,
	from_low zdu_version NOT NULL,
	from_high zdu_version NOT NULL,
	to_low zdu_version NOT NULL,
	to_high zdu_version NOT NULL,
	how text NOT NULL,
	reason text,
	CONSTRAINT release_path_pkey PRIMARY KEY (product, from_low, from_high, to_low, to_high),
	CONSTRAINT release_path_how_check CHECK (how IN ('rolling', 'restart')),
	CONSTRAINT release_path_up_check CHECK (from_low < to_high)
);
COMMENT ON TABLE zdu.release_path IS 'Which steps are safe and which take a restart, beside what a policy''s version_step says (V4)';
COMMENT ON COLUMN zdu.release_path.product IS 'zdu.cluster.product';
COMMENT ON COLUMN zdu.release_path.from_low IS 'first version that the step starts from: the minimum patch';
COMMENT ON COLUMN zdu.release_path.from_high IS 'last one, with all that begins with it: 0.48 covers 0.48.3';
COMMENT ON COLUMN zdu.release_path.to_low IS 'first version that it leads to';
COMMENT ON COLUMN zdu.release_path.to_high IS 'last one, with all that begins with it';
COMMENT ON COLUMN zdu.release_path.how IS 'rolling, or restart: all nodes must be stopped for it';
COMMENT ON COLUMN zdu.release_path.reason IS 'why, for the refusal';

CREATE FUNCTION zdu_set_release(
	product text,
	version text,
	blocked text DEFAULT NULL,
	requires jsonb DEFAULT NULL,
	compatible boolean DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_release';
COMMENT ON FUNCTION zdu_set_release(text,text,text,jsonb,boolean) IS 'Make a release known, or say more of it; NULL keeps what is there. blocked: why nobody may upgrade to it, an empty text unblocks it (V6). requires: versions of other products, {"elasticsearch": {"min": "7.10", "max": "8"}}: those of the cluster''s variable elasticsearch_version, or else of the clusters of that product; compatible: false if it breaks nodes of earlier versions (V9). Returns created, changed or unchanged. Errors: 22P02 bad version, 22023 bad requires.';

CREATE FUNCTION zdu_set_path(
	product text,
	from_low text,
	from_high text,
	to_low text,
	to_high text,
	how text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_path';
COMMENT ON FUNCTION zdu_set_path(text,text,text,text,text,text,text) IS 'Say that steps from one range of versions to another are safe (rolling), or take a restart of the whole cluster (V4); NULL keeps what is there (new: rolling). High bounds count with all that begins with them: 0.48 covers 0.48.3. Returns created, changed or unchanged. Errors: 22P02 bad version, 23514 not rolling or restart, or not upward.';

CREATE FUNCTION zdu_drop_path(
	product text,
	from_low text,
	from_high text,
	to_low text,
	to_high text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_path';
COMMENT ON FUNCTION zdu_drop_path(text,text,text,text,text) IS 'Forget what zdu_set_path said. Returns dropped. Errors: 42704 it said nothing.';

CREATE FUNCTION zdu_path(
	cluster text,
	target text,
	OUT step integer,
	OUT from_version text,
	OUT to_version text,
	OUT hint text
)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 5
AS 'MODULE_PATHNAME', 'zdu_path';
COMMENT ON FUNCTION zdu_path(text,text) IS 'The shortest chain of known releases, each step legal under the cluster''s policy, from its version to the target (V8); hint: how to begin the first. Changes nothing. Errors: 42704 unknown cluster, 22P02 bad version, ZD002 there is no such chain.';
