/*
 * queue.c
 *	  Whose turn it is.
 */
#include "store/queue.h"

#include "catalog/pg_type.h"
#include "store/calendar.h"

/*
 * Nodes that wait are grouped by their signature: the budgets and freezes
 * they fall under.  What is true of the first of them as to these is true of
 * all, so each signature gives as many as it has places for, and a zone that is
 * full, or frozen, keeps nobody else waiting.  What lies behind a closed gate
 * has a later turn than all before it, what goes back an earlier one: reach is
 * the last turn that is asked for.  Nodes that are down and wait are few: they are
 * read together.  Class 0 costs no place, class 1 are the merely unheard.  What
 * must stay for its copies' sake is passed over among them too: those behind it
 * may be taken.
 *
 * That signatures are equal is said by two bounds: so only the index by
 * signature has the order that is asked for, and nobody walks through the turns
 * of a zone that is full to find the first of another.
 */
#define NEXT_NODES(also, down, unless) \
	"WITH open AS MATERIALIZED (SELECT s.signature::bigint[] AS budgets, s.free, s.places, s.reach " \
	"    FROM unnest($2, $3, $4, $5) AS s(signature, free, places, reach)), " \
	also \
	"down AS MATERIALIZED (SELECT g.*, row_number() OVER (PARTITION BY g.budgets, g.class ORDER BY g.turn) AS nth FROM ( " \
	"    SELECT CASE WHEN n.state = 'OFFLINE' AND NOT n.confirmed THEN 1 ELSE 0 END AS class, n.* FROM zdu.node n " \
	"    WHERE n.cluster_id = $1 AND n.away AND n.turn IS NOT NULL AND NOT n.taken " down \
	"      AND (n.state NOT IN ('ACTIVE', 'DRAINING') OR (true " unless "))) g) " \
	"SELECT " ZDU_NODE_COLUMNS("c.") " FROM ( " \
	"  SELECT d.class, " ZDU_NODE_ROW("d.") " FROM open o JOIN down d ON d.budgets = o.budgets " \
	"    AND d.turn <= o.reach AND d.nth <= CASE d.class WHEN 0 THEN o.free ELSE o.places END " \
	"  UNION ALL " \
	"  SELECT 2, " ZDU_NODE_ROW("u.") " FROM open o CROSS JOIN LATERAL ( " \
	"    SELECT n.* FROM zdu.node n WHERE n.cluster_id = $1 AND n.budgets >= o.budgets AND n.budgets <= o.budgets AND n.turn <= o.reach " \
	"      AND NOT n.taken AND NOT n.away " \
	unless \
	"    ORDER BY n.budgets, n.turn LIMIT o.places) u) c " \
	"ORDER BY c.class, c.turn"

static ZduQuery nodes_heads = {
	.text = NEXT_NODES("", "", ""),
	.nargs = 5, .argtypes = {INT8OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
};

/* Those between two states keep nobody waiting either. */
#define NOT_BETWEEN "AND (n.state NOT IN ('STARTING', 'TERMINATING') OR (n.stuck AND n.heading = 'back')) "

static ZduQuery nodes_next = {
	.text = NEXT_NODES("", NOT_BETWEEN, ""),
	.nargs = 5, .argtypes = {INT8OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
};

/*
 * The same under min_availability = primaries (D4, D5): passes over nodes that
 * have a copy of what is short of copies, as long as others are away.
 */
static ZduQuery nodes_next_primaries = {
	.text = NEXT_NODES(
	"short AS MATERIALIZED (SELECT DISTINCT q.node_id FROM (SELECT DISTINCT p.resource FROM zdu.node a JOIN zdu.placement p ON p.node_id = a.node_id "
	"      WHERE a.cluster_id = $1 AND a.away AND (a.taken OR a.state NOT IN ('ACTIVE', 'DRAINING')) AND p.state IN ('active', 'moving')) t "
	"    JOIN zdu.resource_facts f ON f.cluster_id = $1 AND f.name = t.resource AND f.present = f.quorum AND f.active > f.quorum "
	"    JOIN zdu.placement q ON q.cluster_id = $1 AND q.resource = f.name AND q.state IN ('active', 'moving')), ",
	NOT_BETWEEN,
	"    AND n.node_id NOT IN (SELECT node_id FROM short) "
	"    AND ($6 OR NOT EXISTS (SELECT FROM zdu.placement p JOIN zdu.resource_facts f ON f.cluster_id = p.cluster_id AND f.name = p.resource "
	"      WHERE p.node_id = n.node_id AND p.state IN ('active', 'moving') AND f.present = f.quorum AND f.active = f.quorum)) "),
	.nargs = 6, .argtypes = {INT8OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, BOOLOID}
};

/* And under full (D3, D5): nodes whose copies would not find a place on those that are left. */
static ZduQuery nodes_next_full = {
	.text = NEXT_NODES("", NOT_BETWEEN,
	"    AND NOT EXISTS (SELECT FROM zdu.placement p JOIN zdu.resource r ON r.cluster_id = p.cluster_id AND r.name = p.resource "
	"      WHERE p.node_id = n.node_id AND (NOT $6 OR r.highest >= $7)) "),
	.nargs = 7, .argtypes = {INT8OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, BOOLOID, INT4OID}
};

/* Signatures of nodes that might wait; a cluster without budgets of its own, and freezes of nodes, has one. */
static ZduQuery signatures = {
	.text =
	"SELECT DISTINCT k.budgets, k.budgets::text FROM zdu.node_count k WHERE k.cluster_id = $1 AND k.n > 0 AND NOT k.taken "
	"ORDER BY k.budgets",
	.nargs = 1, .argtypes = {INT8OID}
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

static ZduQuery order_nodes = {
	.text =
	"UPDATE zdu.node n SET turn = t.ord, place = t.ord, heading = 'forward' "
	"FROM unnest($1) WITH ORDINALITY AS t(node_id, ord) WHERE n.node_id = t.node_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery queue_nodes = {
	.text =
	"UPDATE zdu.node n SET turn = CASE WHEN $2 THEN t.ord - 2147483648 ELSE coalesce(n.place, $3) END, place = coalesce(n.place, $3), "
	"heading = CASE WHEN $2 THEN 'back' ELSE 'forward' END FROM unnest($1) WITH ORDINALITY AS t(node_id, ord) WHERE n.node_id = t.node_id",
	.nargs = 3, .argtypes = {INT8ARRAYOID, BOOLOID, INT4OID}
};

static ZduQuery dequeue_node = {
	.text =
	"UPDATE zdu.node SET turn = NULL, heading = CASE WHEN $2 THEN heading END "
	"WHERE node_id = $1 AND (turn IS NOT NULL OR (heading IS NOT NULL AND NOT $2))",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

static ZduQuery dequeue_all = {
	.text =
	"UPDATE zdu.node SET turn = NULL, heading = CASE WHEN $2 THEN heading END, place = CASE WHEN $2 THEN place END "
	"WHERE cluster_id = $1 AND (turn IS NOT NULL OR ((heading IS NOT NULL OR place IS NOT NULL) AND NOT $2))",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

static ZduQuery any_back = {
	.text = "SELECT 1 FROM zdu.node WHERE cluster_id = $1 AND turn < 0 AND NOT taken LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery any_queued = {
	.text = "SELECT 1 FROM zdu.node WHERE cluster_id = $1 AND turn IS NOT NULL AND NOT taken LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* How many nodes of one signature are asked for. */
typedef struct Ask
{
	int			n;
	char	  **signature;
	int64	   *free;			/* of those that cost no place */
	int64	   *places;			/* of the others */
	int64	   *reach;			/* of both the last turn */
} Ask;

/* The last turn of those that nothing keeps back; what goes back has a turn below 0, and nothing does (L23). */
static int
reach_of(const ZduFacts *f, const int64 *ids, int nids)
{
	int			n;
	int		   *freezes = zdu_calendar_places(f, ids, nids, &n);

	return zdu_calendar_forbids(&f->calendar, freezes, n) ? -1 : zdu_decide_reach(f);
}

/* Asks for as many of a signature as its budgets have places for, at most `slots`. */
static void
ask_signature(Ask *ask, const ZduFacts *f, char *signature, const int64 *ids, int nids, int slots)
{
	int			free = slots;
	int			places = slots;

	for (int i = 0, k = 0; i < f->nbudgets; i++)
	{
		const ZduBudget *b = &f->budgets[i];

		if (!zdu_budget_counts(b, ids, nids, &k))
			continue;
		free = Min(free, zdu_budget_rate_room(b));
		places = Min(places, zdu_budget_room(b));
	}
	places = Min(places, free);
	if (free == 0)
		return;
	ask->signature[ask->n] = signature;
	ask->free[ask->n] = free;
	ask->places[ask->n] = places;
	ask->reach[ask->n] = reach_of(f, ids, nids);
	ask->n++;
}

/* One of each signature, whether or not it has a place: for those who want to know why not. */
static void
ask_head(Ask *ask, char *signature)
{
	ask->signature[ask->n] = signature;
	ask->free[ask->n] = ask->places[ask->n] = 1;
	ask->reach[ask->n] = ZDU_PLACE_LAST;
	ask->n++;
}

static void
make_room(Ask *ask, uint64 n)
{
	ask->n = 0;
	ask->signature = palloc(sizeof(char *) * (n + 1));
	ask->free = palloc(sizeof(int64) * (n + 1));
	ask->places = palloc(sizeof(int64) * (n + 1));
	ask->reach = palloc(sizeof(int64) * (n + 1));
}

static ZduNode *
ask_nodes(ZduQuery *q, const ZduFacts *f, const Ask *ask, int *n)
{
	return zdu_nodes_read(zdu_run(q, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text_array(ask->signature, ask->n), zdu_int8_array(ask->free, ask->n),
		zdu_int8_array(ask->places, ask->n), zdu_int8_array(ask->reach, ask->n), zdu_bool(f->reallocate), zdu_int4(f->present)
	}), n);
}

/* Fills in what is asked of each signature; slots 0: its first. */
static void
ask_all(Ask *ask, const ZduFacts *f, int slots)
{
	uint64		rows;
	ZduReader	r;

	if (!f->signatures)
	{
		make_room(ask, 1);
		if (slots == 0)
			ask_head(ask, "{}");
		else
			ask_signature(ask, f, "{}", NULL, 0, slots);
		return;
	}
	rows = zdu_run(&signatures, (ZduArg[]) {zdu_int8(f->cluster_id)});
	make_room(ask, rows);
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		int			nids;
		int64	   *ids = zdu_read_int8_array(&r, &nids);
		char	   *signature = zdu_read_text(&r);

		if (slots == 0)
			ask_head(ask, signature);
		else
			ask_signature(ask, f, signature, ids, nids, slots);
	}
}

ZduNode *
zdu_nodes_next(const ZduFacts *f, int slots, int *n)
{
	Ask			ask;
	ZduQuery   *q = f->min_availability == AVAILABILITY_PRIMARIES ? &nodes_next_primaries :
		f->min_availability == AVAILABILITY_FULL ? &nodes_next_full : &nodes_next;

	ask_all(&ask, f, slots);
	*n = 0;
	return ask.n == 0 ? NULL : ask_nodes(q, f, &ask, n);
}

ZduNode *
zdu_nodes_heads(const ZduFacts *f, int *n)
{
	Ask			ask;

	ask_all(&ask, f, 0);
	return ask_nodes(&nodes_heads, f, &ask, n);
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
zdu_nodes_order(const int64 *ids, int n)
{
	zdu_run(&order_nodes, (ZduArg[]) {zdu_int8_array(ids, n)});
}

void
zdu_nodes_queue(const int64 *ids, int n, bool back)
{
	zdu_run(&queue_nodes, (ZduArg[]) {zdu_int8_array(ids, n), zdu_bool(back), zdu_int4(ZDU_PLACE_LAST)});
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

bool
zdu_nodes_queued_back(const ZduFacts *f)
{
	return zdu_run(&any_back, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0;
}
