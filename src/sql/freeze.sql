-- When nothing new may be begun: freezes, and windows outside of which nothing is.

CREATE TABLE zdu.freeze
(
	freeze_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	name text NOT NULL,
	cluster_id bigint,
	selector jsonb NOT NULL DEFAULT '{}',
	kind text NOT NULL,
	during tstzrange NOT NULL,
	owner text NOT NULL DEFAULT session_user,
	reason text NOT NULL,
	set_at timestamptz NOT NULL,
	of_nodes boolean NOT NULL GENERATED ALWAYS AS (selector ?| '{group,zone,role,label}') STORED,
	CONSTRAINT freeze_pkey PRIMARY KEY (name),
	CONSTRAINT freeze_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT freeze_kind_check CHECK (kind IN ('freeze', 'window')),
	CONSTRAINT freeze_during_check CHECK (NOT isempty(during)),
	CONSTRAINT freeze_selector_check CHECK (jsonb_typeof(selector) = 'object' AND selector - '{product,owner,group,zone,role,label}'::text[] = '{}'
		AND NOT selector @? '$.keyvalue() ? (@.key != "label" && @.value.type() != "string" || @.key == "label" && @.value.type() != "object")'),
	CONSTRAINT freeze_cluster_check CHECK (cluster_id IS NULL OR NOT selector ?| '{product,owner}'),
	CONSTRAINT freeze_id_key UNIQUE (freeze_id),
	CONSTRAINT freeze_name_check CHECK (zdu_is_name(name))
);
CREATE INDEX freeze_cluster_idx ON zdu.freeze (cluster_id);
COMMENT ON TABLE zdu.freeze IS 'Freezes (nothing new is begun in their time) and windows (only in one of them it is); zdu_set_freeze';
COMMENT ON COLUMN zdu.freeze.freeze_id IS 'key; another one with every change of the selector';
COMMENT ON COLUMN zdu.freeze.name IS 'its name';
COMMENT ON COLUMN zdu.freeze.cluster_id IS 'the cluster it concerns; NULL: all that the selector names';
COMMENT ON COLUMN zdu.freeze.selector IS 'product and owner of the clusters it concerns, and which of their nodes: any of group, zone, role and label (an object), all of which must match; {}: every cluster, every node';
COMMENT ON COLUMN zdu.freeze.kind IS 'freeze or window';
COMMENT ON COLUMN zdu.freeze.during IS 'its time; a freeze is over when that is, a window that is over opens nothing any more';
COMMENT ON COLUMN zdu.freeze.owner IS 'whom to ask: session_user who set it, or who was named';
COMMENT ON COLUMN zdu.freeze.reason IS 'why';
COMMENT ON COLUMN zdu.freeze.set_at IS 'when it was set';
COMMENT ON COLUMN zdu.freeze.of_nodes IS 'the selector chooses among the nodes of a cluster';

CREATE TRIGGER freeze_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.freeze FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();

CREATE VIEW zdu.calendar AS
SELECT
	c.cluster_id,
	z.freeze_id,
	z.kind, z.name,
	z.selector,
	z.of_nodes,
	concat(' in group ' || (z.selector->>'group'), ' in zone ' || (z.selector->>'zone'), ' with role ' || (z.selector->>'role'),
		   ' with label ' || (z.selector->>'label')) AS place,
	lower(z.during) AS since,
	upper(z.during) AS expires,
	format('%s (%s)', z.reason, z.owner) AS reason,
	z.during @> zdu_clock() AS in_force,
	lower(z.during) > zdu_clock() AS to_come,
	EXISTS (SELECT FROM zdu.waiver w WHERE w.cluster_id = c.cluster_id AND w.rule = 'freeze:' || z.name) AS waived,
	c.freezes @> ARRAY[z.freeze_id] AS settled
FROM zdu.freeze z
JOIN zdu.cluster c ON (z.cluster_id = c.cluster_id OR z.cluster_id IS NULL)
	AND coalesce(z.selector->>'product' = c.product, true) AND coalesce(z.selector->>'owner' = c.owner, true);
COMMENT ON VIEW zdu.calendar IS 'what a decision asks of freezes and windows: a row for each that concerns a cluster';
COMMENT ON COLUMN zdu.calendar.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.calendar.freeze_id IS 'zdu.freeze.freeze_id';
COMMENT ON COLUMN zdu.calendar.kind IS 'freeze or window';
COMMENT ON COLUMN zdu.calendar.name IS 'its name';
COMMENT ON COLUMN zdu.calendar.selector IS 'zdu.freeze.selector';
COMMENT ON COLUMN zdu.calendar.of_nodes IS 'it concerns some nodes only';
COMMENT ON COLUMN zdu.calendar.place IS 'which, in words';
COMMENT ON COLUMN zdu.calendar.since IS 'when it begins; NULL: it always was';
COMMENT ON COLUMN zdu.calendar.expires IS 'when it ends; NULL: never';
COMMENT ON COLUMN zdu.calendar.reason IS 'why, and whom to ask';
COMMENT ON COLUMN zdu.calendar.in_force IS 'now is in its time';
COMMENT ON COLUMN zdu.calendar.to_come IS 'its time is to come';
COMMENT ON COLUMN zdu.calendar.waived IS 'zdu_waive has set it aside for this upgrade';
COMMENT ON COLUMN zdu.calendar.settled IS 'it stands in the signatures of the nodes that it means';

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
COMMENT ON FUNCTION zdu_set_freeze(text,text,text,tstzrange,jsonb,text,text) IS 'Make a freeze (nothing new is begun during it; what is in flight is finished, rolling back goes on) or a window (new nodes are taken only in one), or change what is given; NULL keeps what is there. cluster NULL: all, or those of the selector''s product and owner; that takes the grant admin. selector: group, zone, role, label of the nodes that it stops, all of which must match, as in zdu_set_budget; the others go on. Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22023 what is missing; 23514 settings that make no sense.';

CREATE FUNCTION zdu_drop_freeze(
	name text,
	reason text DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_freeze';
COMMENT ON FUNCTION zdu_drop_freeze(text,text) IS 'Forget a freeze or a window. Returns dropped. Errors: 42704.';
