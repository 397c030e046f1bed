/*
 * budget.c
 *	  Budgets as they are stored.
 */
#include "store/budget.h"

#include "catalog/pg_type.h"
#include "store/count.h"
#include "store/facts.h"
#include "zdu.h"

/* What a selector says of a node; a key that it has not says nothing. */
#define MATCHES \
	"(b.node_group IS NULL OR n.node_group = b.node_group) AND (b.zone IS NULL OR n.zone = b.zone) " \
	"AND (b.role IS NULL OR n.role = b.role) AND (b.label IS NULL OR n.labels @> b.label) "

/* Of a node, but for its signature. */
#define COUNTED(n) n "version, " n "state, " n "confirmed, " n "in_rotation, " n "attached, " n "taken, "

/*
 * What every node falls under stands in no signature.  The freezes that do are
 * noted by the statement that writes all of these: it sees neither more nor less.
 */
#define SETTLE(nodes, noted) \
	"WITH freezes AS MATERIALIZED (SELECT z.freeze_id, z.selector FROM zdu.calendar z WHERE z.cluster_id = $1 AND z.of_nodes), " \
	"selecting AS MATERIALIZED (SELECT s.id, s.selector->>'group' AS node_group, s.selector->>'zone' AS zone, s.selector->>'role' AS role, " \
	"    s.selector->'label' AS label FROM (SELECT budget_id AS id, selector FROM zdu.budget WHERE cluster_id = $1 AND selector <> '{}' " \
	"    UNION ALL SELECT freeze_id, selector FROM freezes) s), " \
	noted \
	"changed AS MATERIALIZED (SELECT n.node_id, " COUNTED("n.") "n.budgets AS had, w.budgets FROM zdu.node n CROSS JOIN LATERAL " \
	"    (SELECT ARRAY(SELECT b.id FROM selecting b WHERE " MATCHES "ORDER BY b.id) AS budgets OFFSET 0) w " \
	"  WHERE " nodes " AND w.budgets <> n.budgets), " \
	"written AS (UPDATE zdu.node n SET budgets = c.budgets FROM changed c WHERE n.node_id = c.node_id), " \
	"moved AS MATERIALIZED (SELECT " COUNTED("c.") "c.had, c.budgets, count(*) AS n FROM changed c GROUP BY " COUNTED("c.") "c.had, c.budgets), " \
	"delta AS (SELECT " COUNTED("x.") "x.budgets, sum(x.d) AS d FROM (SELECT " COUNTED("m.") "m.had AS budgets, -m.n AS d FROM moved m " \
	"    UNION ALL SELECT " COUNTED("m.") "m.budgets, m.n FROM moved m) x GROUP BY " COUNTED("x.") "x.budgets HAVING sum(x.d) <> 0) " \
	ZDU_COUNT_STORE

static ZduQuery settle_all = {
	.text = SETTLE("n.cluster_id = $1",
	"noted AS (UPDATE zdu.cluster c SET freezes = t.ids FROM (SELECT ARRAY(SELECT freeze_id FROM freezes ORDER BY freeze_id) AS ids) t "
	"  WHERE c.cluster_id = $1 AND c.freezes <> t.ids), "),
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery settle_one = {
	.text = SETTLE("n.node_id = $2", ""),
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery budgets_of_cluster = {
	.text =
	"SELECT budget_id, name, everywhere, place, max_unavailable, max_begun, per_interval, coalesce(max_failures, -1), total, unavailable, unheard, "
	"unheard_node, begun, next_place, failures FROM zdu.budget_facts WHERE cluster_id = $1 ORDER BY budget_id",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery store_begun = {
	.text =
	"WITH over AS (DELETE FROM zdu.budget_begun g USING zdu.budget b WHERE b.cluster_id = $1 AND g.budget_id = b.budget_id "
	"  AND g.listened <= $3 - extract(epoch FROM b.per_interval)) "
	"INSERT INTO zdu.budget_begun (budget_id, listened, node, at) SELECT b.budget_id, $3, n.name, $4 "
	"FROM zdu.node n JOIN zdu.budget b ON b.cluster_id = $1 AND (b.selector = '{}' OR b.budget_id = ANY (n.budgets)) AND b.max_begun IS NOT NULL "
	"WHERE n.node_id = ANY ($2) "
	"ORDER BY n.node_id, b.budget_id",
	.nargs = 4, .argtypes = {INT8OID, INT8ARRAYOID, FLOAT8OID, TIMESTAMPTZOID}
};

static ZduQuery failed_under = {
	.text = "SELECT budget_id, failures FROM zdu.budget_facts WHERE cluster_id = $1 AND max_failures IS NOT NULL ORDER BY budget_id",
	.nargs = 1, .argtypes = {INT8OID}
};

void
zdu_budgets_settle(const ZduFacts *f, int64 node_id)
{
	zdu_run(node_id == 0 ? &settle_all : &settle_one, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)});
}

void
zdu_budgets_load(ZduFacts *f, int n)
{
	ZduReader	r;

	zdu_run(&budgets_of_cluster, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	while (f->nbudgets <= n && zdu_next_row(&r))
	{
		ZduBudget  *b = &f->budgets[f->nbudgets++];

		b->id = zdu_read_int8(&r);
		b->name = zdu_read_text(&r);
		b->everywhere = zdu_read_bool(&r);
		b->where = zdu_read_text(&r);
		b->max_unavailable = zdu_read_text(&r);
		b->max_begun = zdu_read_int4(&r);
		b->per_interval = zdu_read_float8(&r, 0);
		b->max_failures = zdu_read_int4(&r);
		b->total = zdu_read_int4(&r);
		b->unavailable = zdu_read_int4(&r);
		b->unheard = zdu_read_int4(&r);
		b->unheard_node = zdu_read_text(&r);
		b->begun = zdu_read_int4(&r);
		b->next_place = zdu_read_float8(&r, 0);
		b->failures = zdu_read_int4(&r);
	}
}

/*
 * The seconds listened by now: what the next sweep will add counts already, or
 * an interval would begin when somebody asked last.  With a node in flight it
 * adds two seconds at most.
 */
static double
listened_by_now(const ZduFacts *f)
{
	double		since = (double) (zdu_now() - f->swept_at) / USECS_PER_SEC;

	return f->listened + Max(Min(since, 2 * Min(zdu_sweep_interval(f), 1.0)), 0);
}

void
zdu_budgets_begun(const ZduFacts *f, const ZduNode *nodes, int n)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int			k = 0;
	bool		any_rate = false;

	for (int i = 0; i < f->nbudgets; i++)
		any_rate |= f->budgets[i].max_begun > 0;
	for (int i = 0; i < n && any_rate; i++)
		if (nodes[i].begun)
			ids[k++] = nodes[i].id;
	if (k > 0)
		zdu_run(&store_begun, (ZduArg[]) {
			zdu_int8(f->cluster_id), zdu_int8_array(ids, k), zdu_float8(listened_by_now(f)), zdu_time(zdu_now())
		});
}

const ZduBudget *
zdu_budgets_spent(ZduFacts *f)
{
	ZduReader	r;

	if (f->nbudgets > 1)
	{
		zdu_run(&failed_under, (ZduArg[]) {zdu_int8(f->cluster_id)});
		r = zdu_reader();
		while (zdu_next_row(&r))
		{
			int64		id = zdu_read_int8(&r);
			int			failures = zdu_read_int4(&r);

			for (int i = 1; i < f->nbudgets; i++)
				if (f->budgets[i].id == id)
					f->budgets[i].failures = failures;
		}
	}
	for (int i = 0; i < f->nbudgets; i++)
		if (!zdu_budget_bears(&f->budgets[i]))
			return &f->budgets[i];
	return NULL;
}
