/*
 * guard.c
 *	  What follows from what guards see.
 */
#include "api/guard.h"

#include "api/drive.h"
#include "store/node.h"

/* Whether the node still is what the guard is about: an old one that should serve. */
static bool
still_counts(const ZduWatchState *w)
{
	int			n;
	ZduNode    *node = zdu_nodes_by_id(&w->node_id, 1, &n);

	/* One that is down, or was taken out, is told by its state. */
	return n > 0 && !node->taken && node->attached && node->in_rotation &&
		node->state != NODE_OFFLINE && node->state != NODE_STARTING && node->state != NODE_TERMINATING;
}

void
zdu_guard_saw(ZduFacts *f, const ZduWatchState *w)
{
	const char *reason;

	if (!w->failed || (f->run != RUN_RUNNING && f->run != RUN_ROLLING_BACK))
		return;
	if (w->node_id != 0 && !still_counts(w))
		return;
	reason = w->node != NULL ? psprintf("%s failed at %s", w->name, w->node) : psprintf("%s failed", w->name);
	/* L23: health is watched on the way back too, but there is no other way to go. */
	if (f->run == RUN_RUNNING && strcmp(f->on_failure, "rollback") == 0)
		(void) zdu_roll_back(f, reason);
	else
		zdu_upgrade_hold(f, "S6", reason);
}
