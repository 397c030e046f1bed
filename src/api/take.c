/*
 * take.c
 *	  Taking nodes whose turn has come.
 */
#include "api/take.h"

#include "api/leader.h"
#include "store/budget.h"
#include "store/guard.h"
#include "store/deployment.h"
#include "store/placement.h"
#include "store/queue.h"
#include "store/vars.h"

/* True if the worker has every program that the steps ask for. */
static bool
has_programs(const ZduWorker *w, List *steps)
{
	ListCell   *cell;

	foreach(cell, steps)
	{
		if (!zdu_worker_has_all(w, ((ZduNewStep *) lfirst(cell))->programs))
			return false;
	}
	return true;
}

/* Makes the steps of a node whose turn has come; false: not now, and not for this worker. */
static bool
take_node(ZduFacts *f, const ZduRunbook *rb, const ZduWorker *w, ZduNode *node, List **all)
{
	char	   *error = NULL;
	List	   *steps = zdu_runbook_steps(rb, f, node, PHASE_CHECK, PHASE_SOAK, node->back,
										  node->back ? f->original : f->target, &error);

	if (error != NULL)
	{
		zdu_upgrade_hold(f, "W1", psprintf("%s: %s", node->name, error));
		return false;
	}
	if (!has_programs(w, steps))
		return false;
	*all = list_concat(*all, steps);
	zdu_leader_leave(f, node->name);
	zdu_node_take(node, true, node->back ? "back" : "forward");
	node->begun = true;
	return true;
}

ZduNode *
zdu_take_only(ZduFacts *f, const char *name, int *n)
{
	ZduNode    *node = zdu_node_load(f->cluster_id, name);

	*n = node != NULL && node->queued && !node->taken ? 1 : 0;
	zdu_copies_load(f, node, *n);
	return node;
}

/* What is decided about next. */
static ZduNode *
candidates(ZduFacts *f, const ZduWorker *w, int slots, int *n)
{
	ZduNode    *nodes;

	if (w->node != NULL)
		return zdu_take_only(f, w->node, n);
	nodes = zdu_nodes_next(f, slots, n);
	zdu_copies_load(f, nodes, *n);
	return nodes;
}

int
zdu_take_nodes(ZduFacts *f, const ZduWorker *w, int slots)
{
	ZduRunbook *rb = NULL;		/* most exchanges take none */
	int			taken = 0;
	bool		again = true;

	while (again && taken < slots)
	{
		int			n;
		ZduNode    *nodes = candidates(f, w, slots - taken, &n);
		List	   *steps = NIL;
		bool		refused = false;
		bool		able = true;
		int			before = taken;

		for (int i = 0; i < n && taken < slots && able; i++)
		{
			ZduCandidate c = zdu_node_candidate(f, &nodes[i]);
			ZduVerdict	verdicts[ZDU_PREDICATES];
			bool		allowed;

			(void) zdu_decide_take(f, &c, verdicts, &allowed);
			if (!allowed)
			{
				refused = true;
				continue;
			}
			if (rb == NULL && (rb = zdu_runbook_load(f)) == NULL)
				return taken;
			f->current = false;
			/* Of all of them at once; where none may be taken, of none. */
			if (nodes[i].vars == NULL)
				zdu_vars_of_nodes(&nodes[i], n - i);
			able = take_node(f, rb, w, &nodes[i], &steps);
			if (!able)
				break;
			zdu_decide_debit(f, &c);
			taken++;
		}
		zdu_steps_insert(f, f->upgrade_id, steps, true);
		if (f->together)
			zdu_deployment_bar(f);
		zdu_nodes_store(f, nodes, n);
		zdu_budgets_begun(f, nodes, n);
		if (taken > before && f->watched)
			zdu_guards_follow(rb, f);
		/* Behind those that were refused because of what was taken there may be others. */
		again = able && refused && taken > before;
	}
	return taken;
}
