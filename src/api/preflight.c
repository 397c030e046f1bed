/*
 * preflight.c
 *	  What would be in the way of an upgrade.
 *
 * zdu_begin does not refuse for these: they may be mended while it waits.
 */
#include "api/preflight.h"

#include "api/plan.h"
#include "catalog/pg_type.h"
#include "zdu.h"

/* More than that nobody reads. */
#define MAX_LINES 5

/* Nodes that workers are asked to look at and do not see, or that have fallen silent. */
static ZduQuery unseen_nodes = {
	.text =
	"SELECT n.name, CASE WHEN h.heard IS NULL THEN NULL ELSE extract(epoch FROM $2 - h.heard)::integer END, n.state "
	"FROM zdu.node n JOIN zdu.node_heard h ON h.node_id = n.node_id "
	"WHERE n.cluster_id = $1 AND NOT (n.state = 'OFFLINE' AND n.confirmed) AND (h.heard IS NOT NULL OR h.asked IS NOT NULL) "
	"  AND (h.heard IS NULL OR h.heard < $2 - make_interval(secs => $3)) AND ($5::text IS NULL OR n.node_group = $5) ORDER BY n.name LIMIT $4",
	.nargs = 5, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID, INT4OID, TEXTOID}
};

static List *
add(List *rows, const char *rule, char *observed, char *hint)
{
	ZduRefusal *r = palloc0(sizeof(ZduRefusal));

	r->rule = rule;
	r->observed = observed;
	r->hint = hint;
	return lappend(rows, r);
}

/* A freeze, or windows, keep it for good. */
static bool
is_closed(const ZduPlan *plan, const ZduPackNode *node)
{
	return node->wait == WAIT_RATE && plan->budgets[node->which].closure != NULL;
}

/* Nodes that no place ever lets go as things stand, a line for each reason. */
static List *
add_never(List *rows, const ZduFacts *f, const ZduBegin *b, const ZduPlan *plan)
{
	for (int i = plan->pack.taken, n; i < plan->pack.nnodes && list_length(rows) < MAX_LINES; i += n)
	{
		int			place = plan->sequence[i];
		const ZduPackNode *node = &plan->pack.nodes[place];
		const char *name = plan->nodes[place].name;

		for (n = 1; i + n < plan->pack.nnodes; n++)
		{
			const ZduPackNode *other = &plan->pack.nodes[plan->sequence[i + n]];

			if (other->wait != node->wait || other->which != node->which)
				break;
		}
		/* For copies zdu_begin refuses; what only waits for the wave before says nothing new. */
		if (node->wait == WAIT_COPIES || (node->wait == WAIT_WAVE && rows != NIL))
			continue;
		rows = add(rows, is_closed(plan, node) ? "L22" : "D11", psprintf("%s can never be taken: %s", n > 1 ? psprintf("%d nodes, such as %s,", n, name) : name,
													 zdu_plan_waits_for(plan, place) + strlen("never: ")),
				   psprintf("SELECT * FROM zdu_plan(%s) WHERE waits_for LIKE 'never%%'", zdu_wish_args(f, b->wish, b->target)));
	}
	return rows;
}

List *
zdu_preflight(const ZduFacts *f, const ZduBegin *b, const ZduPlan *plan)
{
	/* Where nobody serves at all that is the reason. */
	List	   *rows = f->serving > 0 ? add_never(NIL, f, b, plan) : NIL;
	ZduReader	r;

	zdu_run(&unseen_nodes, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_float8(f->heartbeat_ttl), zdu_int4(MAX_LINES), zdu_text(b->wish->node_group)
	});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);
		char	   *ago = zdu_read_text(&r);
		char	   *state = zdu_read_text(&r);

		rows = add(rows, "N18", ago == NULL ? psprintf("%s is %s and was never seen, though workers looked", name, state) :
				   psprintf("%s is %s and was not seen for %s s", name, state, ago),
				   psprintf("SELECT * FROM zdu.node_status WHERE cluster = '%s' AND node = '%s'", f->name, name));
	}
	return rows;
}
