-- When nothing new may be begun: freezes, and windows outside of which nothing is.

CREATE TABLE zdu.freeze
(
	name text NOT NULL,
	cluster_id bigint,
	selector jsonb NOT NULL DEFAULT '{}',
	kind text NOT NULL,
	during tstzrange NOT NULL,
	owner text NOT NULL DEFAULT session_user,
	reason text NOT NULL,
	set_at timestamptz NOT NULL,
	CONSTRAINT freeze_pkey PRIMARY KEY (name),
	CONSTRAINT freeze_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT freeze_name_check CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$'),
	CONSTRAINT freeze_kind_check CHECK (kind IN ('freeze', 'window')),
	CONSTRAINT freeze_during_check CHECK (NOT isempty(during)),
	CONSTRAINT freeze_selector_check CHECK (jsonb_typeof(selector) = 'object' AND selector - '{product,owner}'::text[] = '{}'
		AND coalesce(jsonb_typeof(selector->'product'), 'string') = 'string' AND coalesce(jsonb_typeof(selector->'owner'), 'string') = 'string')
);
CREATE INDEX freeze_cluster_idx ON zdu.freeze (cluster_id);
COMMENT ON TABLE zdu.freeze IS 'Freezes (nothing new is begun in their time) and windows (only in one of them it is); zdu_set_freeze';
COMMENT ON COLUMN zdu.freeze.name IS 'its name';
COMMENT ON COLUMN zdu.freeze.cluster_id IS 'the cluster it concerns; NULL: all that the selector names';
COMMENT ON COLUMN zdu.freeze.selector IS 'product and owner of the clusters it concerns; {}: every cluster';
COMMENT ON COLUMN zdu.freeze.kind IS 'freeze or window';
COMMENT ON COLUMN zdu.freeze.during IS 'its time; a freeze is over when that is, a window that is over opens nothing any more';
COMMENT ON COLUMN zdu.freeze.owner IS 'whom to ask: session_user who set it, or who was named';
COMMENT ON COLUMN zdu.freeze.reason IS 'why';
COMMENT ON COLUMN zdu.freeze.set_at IS 'when it was set';

CREATE VIEW zdu.calendar AS
SELECT
	c.cluster_id,
	z.kind, z.name,
	lower(z.during) AS since,
	upper(z.during) AS expires,
	format('%s (%s)', z.reason, z.owner) AS reason,
	z.during @> zdu_clock() AS in_force,
	lower(z.during) > zdu_clock() AS to_come,
	EXISTS (SELECT FROM zdu.waiver w WHERE w.cluster_id = c.cluster_id AND w.rule = 'freeze:' || z.name) AS waived
FROM zdu.freeze z
JOIN zdu.cluster c ON (z.cluster_id = c.cluster_id OR z.cluster_id IS NULL)
	AND coalesce(z.selector->>'product' = c.product, true) AND coalesce(z.selector->>'owner' = c.owner, true);
COMMENT ON VIEW zdu.calendar IS 'what a decision asks of freezes and windows: a row for each that concerns a cluster';
COMMENT ON COLUMN zdu.calendar.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.calendar.kind IS 'freeze or window';
COMMENT ON COLUMN zdu.calendar.name IS 'its name';
COMMENT ON COLUMN zdu.calendar.since IS 'when it begins; NULL: it always was';
COMMENT ON COLUMN zdu.calendar.expires IS 'when it ends; NULL: never';
COMMENT ON COLUMN zdu.calendar.reason IS 'why, and whom to ask';
COMMENT ON COLUMN zdu.calendar.in_force IS 'now is in its time';
COMMENT ON COLUMN zdu.calendar.to_come IS 'its time is to come';
COMMENT ON COLUMN zdu.calendar.waived IS 'zdu_waive has set it aside for this upgrade';

CREATE FUNCTION zdu_set_freeze(
	cluster text,
	name text,
	kind text DEFAULT NULL,
	during tstzrange DEFAULT NULL,
	selector jsonb DEFAULT NULL,
	owner text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_freeze';
COMMENT ON FUNCTION zdu_set_freeze(text,text,text,tstzrange,jsonb,text,text) IS 'Make a freeze (nothing new is begun during it; what is in flight is finished, rolling back goes on) or a window (new nodes are taken only in one), or change what is given; NULL keeps what is there. cluster NULL: all, or those of the selector: {"product": ..., "owner": ...}; that takes the grant admin. Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22023 what is missing; 23514 settings that make no sense.';

CREATE FUNCTION zdu_drop_freeze(
	name text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_freeze';
COMMENT ON FUNCTION zdu_drop_freeze(text,text) IS 'Forget a freeze or a window. Returns dropped. Errors: 42704.';
