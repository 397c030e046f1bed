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
	CONSTRAINT budget_selector_check CHECK (jsonb_typeof(selector) = 'object' AND selector - '{group,zone,role,label}'::text[] = '{}'),
	CONSTRAINT budget_max_unavailable_check CHECK (max_unavailable ~ '^([1-9][0-9]{0,5}|[1-9][0-9]?%|100%)$'),
	CONSTRAINT budget_rate_check CHECK ((max_begun IS NULL) = (per_interval IS NULL) AND max_begun > 0 AND per_interval > '0'),
	CONSTRAINT budget_max_failures_check CHECK (max_failures >= 0),
	CONSTRAINT budget_limit_check CHECK (num_nonnulls(max_unavailable, max_begun, max_failures) > 0),
	CONSTRAINT budget_name_check CHECK (zdu_is_name(name))
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

CREATE TRIGGER budget_refuse_update
	BEFORE UPDATE OR DELETE ON zdu.budget FOR EACH STATEMENT EXECUTE FUNCTION zdu_refuse_update();

CREATE VIEW zdu.budget_facts AS
SELECT
	b.cluster_id,
	b.budget_id,
	b.name,
	b.selector = '{}' AS everywhere,
	concat(' in group ' || (b.selector->>'group'), ' in zone ' || (b.selector->>'zone'), ' with role ' || (b.selector->>'role'),
		   ' with label ' || (b.selector->>'label')) AS place,
	b.max_unavailable,
	b.max_begun,
	extract(epoch FROM b.per_interval)::double precision AS per_interval,
	b.max_failures,
	coalesce(k.total, 0)::integer AS total,
	coalesce(k.unavailable, 0)::integer AS unavailable,
	coalesce(k.unheard, 0)::integer AS unheard,
	CASE WHEN k.unheard > 0 THEN
		(SELECT min(n.name) FROM zdu.node n WHERE n.cluster_id = b.cluster_id AND n.away AND n.state = 'OFFLINE' AND NOT n.confirmed
			AND (b.selector = '{}' OR b.budget_id = ANY (n.budgets))) END AS unheard_node,
	coalesce(g.begun, 0)::integer AS begun,
	coalesce(g.next_place, 0) AS next_place,
	CASE WHEN b.max_failures IS NULL THEN 0 ELSE
		(SELECT count(DISTINCT s.node_id) FROM zdu.flight s JOIN zdu.node n ON n.node_id = s.node_id
		 WHERE s.cluster_id = b.cluster_id AND s.state = 'failed' AND (b.selector = '{}' OR b.budget_id = ANY (n.budgets))) END::integer AS failures
FROM zdu.budget b
JOIN zdu.cluster c ON c.cluster_id = b.cluster_id
LEFT JOIN (
	SELECT
		nc.cluster_id,
		e.budget_id,
		sum(nc.n) AS total,
		sum(nc.n) FILTER (WHERE nc.state <> 'ACTIVE' OR NOT nc.in_rotation OR NOT nc.attached OR nc.taken) AS unavailable,
		sum(nc.n) FILTER (WHERE nc.state = 'OFFLINE' AND NOT nc.confirmed) AS unheard
	FROM zdu.node_count nc
	CROSS JOIN LATERAL (
		SELECT unnest(nc.budgets)
		UNION ALL
		-- What every node falls under stands in no signature.
		SELECT a.budget_id FROM zdu.budget a WHERE a.cluster_id = nc.cluster_id AND a.selector = '{}'
	) AS e (budget_id)
	WHERE nc.n > 0
	GROUP BY nc.cluster_id, e.budget_id
) k ON k.cluster_id = b.cluster_id AND k.budget_id = b.budget_id
LEFT JOIN LATERAL (
	-- The next place is there when so many are over that one less than allowed is left.
	SELECT
		count(*) AS begun,
		CASE WHEN count(*) >= b.max_begun THEN
			(array_agg(r.listened ORDER BY r.listened))[count(*) - b.max_begun + 1] + extract(epoch FROM b.per_interval)::double precision - c.listened
		END AS next_place
	FROM zdu.budget_begun r
	WHERE r.budget_id = b.budget_id AND r.listened > c.listened - extract(epoch FROM b.per_interval)::double precision
) g ON b.max_begun IS NOT NULL;
COMMENT ON VIEW zdu.budget_facts IS 'zdu.budget and how things stand under it; durations in seconds';
COMMENT ON COLUMN zdu.budget_facts.cluster_id IS 'the cluster';
COMMENT ON COLUMN zdu.budget_facts.budget_id IS 'zdu.budget.budget_id';
COMMENT ON COLUMN zdu.budget_facts.name IS 'its name';
COMMENT ON COLUMN zdu.budget_facts.everywhere IS 'every node falls under it';
COMMENT ON COLUMN zdu.budget_facts.place IS 'its selector in words';
COMMENT ON COLUMN zdu.budget_facts.max_unavailable IS 'zdu.budget.max_unavailable';
COMMENT ON COLUMN zdu.budget_facts.max_begun IS 'zdu.budget.max_begun';
COMMENT ON COLUMN zdu.budget_facts.per_interval IS 'zdu.budget.per_interval in seconds';
COMMENT ON COLUMN zdu.budget_facts.max_failures IS 'zdu.budget.max_failures';
COMMENT ON COLUMN zdu.budget_facts.total IS 'nodes that fall under it';
COMMENT ON COLUMN zdu.budget_facts.unavailable IS 'of them: not serving, or taken (D12)';
COMMENT ON COLUMN zdu.budget_facts.unheard IS 'of them: OFFLINE, not confirmed';
COMMENT ON COLUMN zdu.budget_facts.unheard_node IS 'the name of one of those';
COMMENT ON COLUMN zdu.budget_facts.begun IS 'begun within the last per_interval';
COMMENT ON COLUMN zdu.budget_facts.next_place IS 'seconds until its rate has a place again; 0: it has one';
COMMENT ON COLUMN zdu.budget_facts.failures IS 'of them: failed, in the direction that the upgrade goes';

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
