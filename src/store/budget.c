/*
 * budget.c
 *	  Budgets as they are stored.
 */
#include "store/budget.h"

#include "catalog/pg_type.h"
#include "store/count.h"

/* What a selector says of a node; a key that it has not says nothing. */
#define MATCHES \
	"(b.selector->>'group' IS NULL OR n.node_group = b.selector->>'group') " \
	"AND (b.selector->>'zone' IS NULL OR n.zone = b.selector->>'zone') " \
	"AND (b.selector->>'role' IS NULL OR n.role = b.selector->>'role') " \
	"AND (b.selector->'label' IS NULL OR n.labels @> (b.selector->'label')) "

#define SETTLE(nodes) \
	"WITH wanted AS (SELECT n.node_id, n.budgets AS had, " \
	"    ARRAY(SELECT b.budget_id FROM zdu.budget b WHERE b.cluster_id = $1 AND " MATCHES "ORDER BY b.budget_id) AS budgets " \
	"  FROM zdu.node n WHERE " nodes "), " \
	"changed AS MATERIALIZED (SELECT node_id, budgets FROM wanted WHERE budgets <> had), " \
	"old AS (SELECT " ZDU_COUNTED("n.") " FROM zdu.node n JOIN changed c ON c.node_id = n.node_id), " \
	"written AS (UPDATE zdu.node n SET budgets = c.budgets FROM changed c WHERE n.node_id = c.node_id " \
	"  RETURNING " ZDU_COUNTED("n.") "), " \
	ZDU_COUNT_DELTA

static ZduQuery settle_all = {
	.text = SETTLE("n.cluster_id = $1"),
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery settle_one = {
	.text = SETTLE("n.node_id = $2"),
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

void
zdu_budgets_settle(const ZduFacts *f, int64 node_id)
{
	zdu_run(node_id == 0 ? &settle_all : &settle_one, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)});
}
