-- What was recorded: that a backup was taken, that the migration was rehearsed.

CREATE TABLE zdu.fact
(
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	evidence jsonb NOT NULL,
	caller text NOT NULL,
	session_role text NOT NULL DEFAULT session_user,
	at timestamptz NOT NULL,
	CONSTRAINT fact_pkey PRIMARY KEY (cluster_id, name),
	CONSTRAINT fact_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT fact_evidence_check CHECK (jsonb_typeof(evidence) = 'object'),
	CONSTRAINT fact_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.fact IS 'Facts that somebody vouches for, such as backup; zdu_record; a runbook says which ones an upgrade wants (S5)';
COMMENT ON COLUMN zdu.fact.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.fact.name IS 'what: backup, rehearsal, ...';
COMMENT ON COLUMN zdu.fact.evidence IS 'what tells it, such as where the backup is';
COMMENT ON COLUMN zdu.fact.caller IS 'the role that recorded it last';
COMMENT ON COLUMN zdu.fact.session_role IS 'the session_user';
COMMENT ON COLUMN zdu.fact.at IS 'when; older ones are in zdu.event';

CREATE FUNCTION zdu_record(
	cluster text,
	fact text,
	evidence jsonb
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_record';
COMMENT ON FUNCTION zdu_record(text,text,jsonb) IS 'Record a fact, such as backup, with what tells it (a JSON object). A runbook''s requires_facts says which facts zdu_begin wants, how old they may be and what must stand in them (S5). Returns recorded. Errors: 42704, 22023.';
