/*
 * queue.c
 *	  Whose turn it is.
 */
#include "store/queue.h"

#include "catalog/pg_type.h"

/* Two ordered look-ups instead of one sort over all that wait. */
static ZduQuery nodes_next = {
	.text =
	"SELECT " ZDU_NODE_COLUMNS("c.") " "
	"FROM ((SELECT 0 AS class, * FROM zdu.node "
	"       WHERE cluster_id = $1 AND turn IS NOT NULL AND NOT taken AND away "
	"         AND ($2::text IS NULL OR name = $2) ORDER BY turn LIMIT $3) "
	"      UNION ALL "
	"      (SELECT 1 AS class, * FROM zdu.node "
	"       WHERE cluster_id = $1 AND turn IS NOT NULL AND NOT taken AND NOT away "
	"         AND ($2::text IS NULL OR name = $2) ORDER BY turn LIMIT $3)) c "
	"ORDER BY class, turn LIMIT $3",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, INT4OID}
};

static ZduQuery nodes_to_order = {
	.text = "SELECT n.node_id, n.name, n.role, n.node_group, n.zone, "
	"CASE WHEN h.users IS NULL AND h.tasks IS NULL THEN -1 ELSE least(coalesce(h.users, 0)::bigint + coalesce(h.tasks, 0), 2147483647) END::integer "
	"FROM zdu.node n LEFT JOIN zdu.node_heard h ON h.node_id = n.node_id WHERE n.cluster_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery order_keys = {
	.text = "SELECT k.key FROM zdu.current_policy p, unnest(p.order_by) WITH ORDINALITY AS k(key, ord) WHERE p.name = $1 ORDER BY k.ord",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery queue_nodes = {
	.text =
	"UPDATE zdu.node n SET turn = t.ord + (SELECT coalesce(max(turn), 0) FROM zdu.node WHERE cluster_id = $1 AND turn IS NOT NULL AND NOT taken), "
	"heading = $3 FROM unnest($2) WITH ORDINALITY AS t(node_id, ord) WHERE n.node_id = t.node_id",
	.nargs = 3, .argtypes = {INT8OID, INT8ARRAYOID, TEXTOID}
};

static ZduQuery dequeue_node = {
	.text =
	"UPDATE zdu.node SET turn = NULL, heading = CASE WHEN $2 THEN heading END "
	"WHERE node_id = $1 AND (turn IS NOT NULL OR (heading IS NOT NULL AND NOT $2))",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

static ZduQuery dequeue_all = {
	.text =
	"UPDATE zdu.node SET turn = NULL, heading = CASE WHEN $2 THEN heading END "
	"WHERE cluster_id = $1 AND (turn IS NOT NULL OR (heading IS NOT NULL AND NOT $2))",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

static ZduQuery any_queued = {
	.text = "SELECT 1 FROM zdu.node WHERE cluster_id = $1 AND turn IS NOT NULL AND NOT taken LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

ZduNode *
zdu_nodes_next(int64 cluster_id, const char *only, int limit, int *n)
{
	return zdu_nodes_read(zdu_run(&nodes_next, (ZduArg[]) {zdu_int8(cluster_id), zdu_text(only), zdu_int4(limit)}), n);
}

ZduPlanNode *
zdu_nodes_to_order(int64 cluster_id, int *n)
{
	uint64		rows = zdu_run(&nodes_to_order, (ZduArg[]) {zdu_int8(cluster_id)});
	ZduReader	r = zdu_reader();
	ZduPlanNode *nodes = palloc0(sizeof(ZduPlanNode) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		nodes[*n].id = zdu_read_int8(&r);
		nodes[*n].name = zdu_read_text(&r);
		nodes[*n].role = zdu_read_text(&r);
		nodes[*n].group = zdu_read_text(&r);
		nodes[*n].zone = zdu_read_text(&r);
		nodes[*n].busy = zdu_read_int4(&r);
	}
	return nodes;
}

ZduOrder
zdu_order_load(const char *policy)
{
	ZduOrder	order = {0};
	ZduReader	r;

	zdu_run(&order_keys, (ZduArg[]) {zdu_text(policy)});
	r = zdu_reader();
	while (order.nkeys < ORDER_KEYS && zdu_next_row(&r))
		order.keys[order.nkeys++] = zdu_order_key_of(zdu_read_text(&r));
	return order;
}

void
zdu_nodes_queue(const ZduFacts *f, const int64 *ids, int n, bool back)
{
	zdu_run(&queue_nodes, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8_array(ids, n), zdu_text(back ? "back" : "forward")});
}

void
zdu_nodes_dequeue(const ZduFacts *f, int64 id, bool keep_heading)
{
	zdu_run(id == 0 ? &dequeue_all : &dequeue_node, (ZduArg[]) {zdu_int8(id == 0 ? f->cluster_id : id), zdu_bool(keep_heading)});
}

bool
zdu_nodes_queued(const ZduFacts *f)
{
	return zdu_run(&any_queued, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0;
}

