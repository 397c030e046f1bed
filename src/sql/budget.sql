-- Budgets: how many nodes may be away, be begun, or have failed, among those that a selector means.

CREATE TABLE zdu.budget
(
	budget_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	cluster_id bigint NOT NULL,
	name text NOT NULL,
	selector jsonb NOT NULL DEFAULT '{}',
	max_unavailable text,
	max_begun integer,
	per_interval interval,
	max_failures integer,
	CONSTRAINT budget_pkey PRIMARY KEY (budget_id),
	CONSTRAINT budget_name_key UNIQUE (cluster_id, name),
	CONSTRAINT budget_cluster_fkey FOREIGN KEY (cluster_id) REFERENCES zdu.cluster ON DELETE CASCADE,
	CONSTRAINT budget_name_check CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$'),
	CONSTRAINT budget_selector_check CHECK (jsonb_typeof(selector) = 'object' AND selector - '{group,zone,role,label}'::text[] = '{}'),
	CONSTRAINT budget_max_unavailable_check CHECK (max_unavailable ~ '^([1-9][0-9]{0,5}|[1-9][0-9]?%|100%)$'),
	CONSTRAINT budget_rate_check CHECK ((max_begun IS NULL) = (per_interval IS NULL) AND max_begun > 0 AND per_interval > '0'),
	CONSTRAINT budget_max_failures_check CHECK (max_failures >= 0),
	CONSTRAINT budget_limit_check CHECK (num_nonnulls(max_unavailable, max_begun, max_failures) > 0)
);
COMMENT ON TABLE zdu.budget IS 'Limits on the nodes that a selector means, beside the policy''s own over all nodes (D11, D12)';
COMMENT ON COLUMN zdu.budget.budget_id IS 'key';
COMMENT ON COLUMN zdu.budget.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.budget.name IS 'its name, unique in the cluster';
COMMENT ON COLUMN zdu.budget.selector IS 'which nodes: any of group, zone, role and label (an object), all of which must match; {} is every node';
COMMENT ON COLUMN zdu.budget.max_unavailable IS 'how many of them may be unavailable at once: a number, or a share such as 33% (D10); NULL: no limit';
COMMENT ON COLUMN zdu.budget.max_begun IS 'how many of them may be begun within per_interval; NULL: no limit';
COMMENT ON COLUMN zdu.budget.per_interval IS 'the interval of max_begun, in seconds that somebody listened';
COMMENT ON COLUMN zdu.budget.max_failures IS 'failed ones among them that an upgrade goes on with; one more holds it; NULL: no limit';

CREATE TABLE zdu.budget_begun
(
	begun_id bigint NOT NULL DEFAULT nextval('zdu.id_seq'),
	budget_id bigint NOT NULL,
	listened double precision NOT NULL,
	node text NOT NULL,
	at timestamptz NOT NULL,
	CONSTRAINT budget_begun_pkey PRIMARY KEY (begun_id),
	CONSTRAINT budget_begun_budget_fkey FOREIGN KEY (budget_id) REFERENCES zdu.budget ON DELETE CASCADE
);
CREATE INDEX budget_begun_idx ON zdu.budget_begun (budget_id, listened);
COMMENT ON TABLE zdu.budget_begun IS 'What was begun under budgets with a rate, as long as it counts';
COMMENT ON COLUMN zdu.budget_begun.begun_id IS 'key';
COMMENT ON COLUMN zdu.budget_begun.budget_id IS 'the budget';
COMMENT ON COLUMN zdu.budget_begun.listened IS 'when, in seconds of zdu.cluster.listened';
COMMENT ON COLUMN zdu.budget_begun.node IS 'the node''s name';
COMMENT ON COLUMN zdu.budget_begun.at IS 'when';

CREATE FUNCTION zdu_set_budget(
	cluster text,
	name text,
	selector jsonb DEFAULT NULL,
	max_unavailable text DEFAULT NULL,
	max_begun integer DEFAULT NULL,
	per_interval interval DEFAULT NULL,
	max_failures integer DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_budget';
COMMENT ON FUNCTION zdu_set_budget(text,text,jsonb,text,integer,interval,integer) IS 'Make a budget, or change what is given; NULL keeps what is there (new: every node, no limit). selector: {"group": ..., "zone": ..., "role": ..., "label": {...}}, all of which must match. max_unavailable: at once, a number or a share; max_begun within per_interval; max_failures: in one upgrade. Returns created, changed or unchanged. Errors: 42704 unknown cluster; 22023 a selector or limits that make no sense (D11).';

CREATE FUNCTION zdu_drop_budget(
	cluster text,
	name text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_budget';
COMMENT ON FUNCTION zdu_drop_budget(text,text) IS 'Drop a budget. Returns dropped. Errors: 42704 unknown cluster or budget.';
