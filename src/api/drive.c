/*
 * drive.c
 *	  What follows from a decision.
 */
#include "api/drive.h"

#include "api/feature.h"
#include "api/gate.h"
#include "api/leader.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "nodes/pg_list.h"
#include "store/deployment.h"
#include "store/event.h"
#include "store/guard.h"
#include "store/plan.h"
#include "store/queue.h"
#include "zdu.h"

static ZduQuery undo_made = {
	.text = "SELECT 1 FROM zdu.step_plan WHERE upgrade_id = $1 AND node_id IS NULL AND 'undo' = ANY (phase) LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery before_begun = {
	.text = "SELECT 1 FROM zdu.step WHERE upgrade_id = $1 AND node_id IS NULL AND phase = 'before' AND started_at IS NOT NULL LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/*
 * Nodes on which more was begun than taking them out, and that were not brought
 * back since: what they were last seen to run may no longer be what is there.
 */
static ZduQuery nodes_begun = {
	.text =
	"SELECT t.node_id FROM (SELECT DISTINCT ON (s.node_id) s.node_id, s.direction, s.phase, s.state FROM zdu.step s "
	"  WHERE s.upgrade_id = $1 AND s.node_id IS NOT NULL AND s.started_at IS NOT NULL AND ($2 = 0 OR s.node_id = $2) ORDER BY s.node_id, s.ord DESC) t "
	"WHERE CASE t.direction WHEN 'forward' THEN t.phase NOT IN ('check', 'isolate', 'drain') ELSE t.state NOT IN ('succeeded', 'skipped') END "
	"ORDER BY t.node_id",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery cluster_busy = {
	.text = "SELECT 1 FROM zdu.flight WHERE cluster_id = $1 AND node_id IS NULL LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery leave_mode = {
	.text = "UPDATE zdu.cluster SET version = $2::zdu_version, original = NULL, target = NULL WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery forget_waivers = {
	.text = "DELETE FROM zdu.waiver WHERE cluster_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery forget_counts = {
	.text = "DELETE FROM zdu.node_count WHERE cluster_id = $1 AND n = 0",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Makes the cluster's own steps of one phase; returns how many. */
static int
make_cluster_steps(ZduFacts *f, ZduPhase phase)
{
	ZduRunbook *rb = f->driven ? zdu_runbook_load(f) : NULL;
	char	   *error = NULL;
	List	   *steps = rb == NULL ? NIL : zdu_runbook_cluster_steps(rb, f, phase, &error);

	if (error != NULL)
		zdu_upgrade_hold(f, "W1", psprintf("%s: %s", zdu_phase_name(phase), error));
	zdu_steps_insert(f, f->upgrade_id, steps, false);
	return list_length(steps);
}

/* D8: what the preparation changed is undone once, in every ending. */
static int
make_undo(ZduFacts *f)
{
	if (zdu_run(&undo_made, (ZduArg[]) {zdu_int8(f->upgrade_id)}) > 0 ||
		zdu_run(&before_begun, (ZduArg[]) {zdu_int8(f->upgrade_id)}) == 0)
		return 0;
	return make_cluster_steps(f, PHASE_UNDO);
}

/* What becomes of nodes confirmed OFFLINE when upgrade mode ends (L16, L18). */
static void
settle_nodes(ZduFacts *f, const char *version)
{
	int			n;
	ZduNode    *nodes = zdu_nodes_all(f->cluster_id, &n);
	int64	   *dropped = palloc(sizeof(int64) * (n + 1));
	int			ndropped = 0;
	bool		drop = strcmp(f->offline_at_end, "drop") == 0;

	for (int i = 0; i < n; i++)
	{
		ZduNode    *node = &nodes[i];
		bool		outdated = node->version == NULL || zdu_version_compare(node->version, version) != 0;
		bool		down = node->state == NODE_OFFLINE && node->confirmed && !node->taken;

		if (down && drop)
		{
			zdu_event_note(node->name, "node", "OFFLINE", "dropped", "L16", "OFFLINE when upgrade mode ended");
			dropped[ndropped++] = node->id;
		}
		else if (outdated && node->version != NULL)
		{
			zdu_event_note(node->name, "fence", NULL, "fenced", node->state == NODE_OFFLINE ? "L16" : "L18",
						   psprintf("at %s, the cluster is at %s", node->version, version));
			node->fenced = node->changed = true;
		}
	}
	zdu_nodes_store(f, nodes, n);
	if (ndropped > 0)
		zdu_nodes_remove(f, dropped, ndropped);
}

/*
 * The loop over all nodes is paid once an upgrade, not once a decision.
 */
void
zdu_end_mode(ZduFacts *f, const char *version, ZduRun ending, const char *reason)
{
	int			rest;

	settle_nodes(f, version);
	zdu_nodes_dequeue(f, 0, false);
	zdu_run(&leave_mode, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(version)});
	zdu_run(&forget_waivers, (ZduArg[]) {zdu_int8(f->cluster_id)});
	zdu_run(&forget_counts, (ZduArg[]) {zdu_int8(f->cluster_id)});
	f->version = version;

	if (ending == RUN_COMPLETED)
	{
		rest = make_cluster_steps(f, PHASE_AFTER) + make_undo(f);
		zdu_upgrade_move(f, rest > 0 ? RUN_FINALIZING : RUN_COMPLETED, "L13", reason);
	}
	else
		zdu_upgrade_move(f, ending, ending == RUN_CANCELLED ? "L5" : "L23", reason);
	zdu_notify();
}

/*
 * Where to begin so that nothing that was done is left done: a node that was
 * only taken out goes back in, one that was stopped is started, one whose
 * version may have changed goes the whole way.
 */
static ZduPhase
way_back_from(ZduPhase reached)
{
	switch (reached)
	{
		case PHASE_ISOLATE:
		case PHASE_DRAIN:
			return PHASE_INTEGRATE;
		case PHASE_STOP:
			return PHASE_START;
		default:
			return PHASE_ISOLATE;
	}
}

/* A detached node is not integrated: that may have been all there was. */
static bool
nothing_to_do(const List *steps)
{
	ListCell   *cell;

	foreach(cell, steps)
	{
		if (!((const ZduNewStep *) lfirst(cell))->skip)
			return false;
	}
	return true;
}

void
zdu_unwind(ZduFacts *f, ZduNode *node)
{
	ZduRunbook *rb;
	bool		touched = node->version != NULL && zdu_version_compare(node->version, f->original) != 0;
	ZduPhase	reached;
	ZduPhase	from;
	List	   *steps;
	char	   *error = NULL;

	if (zdu_steps_unwind(f, node->id))
		return;					/* again when what runs has ended */
	reached = zdu_steps_reached(f, node->id);
	if (reached == ZDU_PHASES && !touched)
	{
		zdu_release(f, node);
		return;
	}
	rb = zdu_runbook_load(f);
	/* One that was on its way back already is not there yet, however little it was touched this time. */
	from = touched ? PHASE_ISOLATE : way_back_from(reached);
	steps = zdu_runbook_steps(rb, f, node, from, from == PHASE_INTEGRATE ? PHASE_INTEGRATE : PHASE_SOAK,
							  true, f->original, &error);
	if (error != NULL)
	{
		zdu_upgrade_hold(f, "W1", psprintf("%s: %s", node->name, error));
		return;
	}
	zdu_event_note(node->name, "unwind", reached != ZDU_PHASES ? zdu_phase_name(reached) : NULL, zdu_phase_name(from), "L23", "brought back");
	zdu_steps_insert(f, f->upgrade_id, steps, false);
	if (nothing_to_do(steps))
		zdu_release(f, node);
	zdu_notify();
}

/*
 * N6: it was taken while detached, and attached since; its way left it out of
 * rotation, as was wished then.
 */
static void
carry_out_late_wish(ZduFacts *f, ZduNode *node)
{
	ZduRunbook *rb = zdu_runbook_load(f);
	char	   *error = NULL;
	List	   *steps = NIL;

	if (rb != NULL)
		steps = zdu_runbook_steps(rb, f, node, PHASE_INTEGRATE, PHASE_INTEGRATE, false, node->version != NULL ? node->version : f->version, &error);
	if (steps == NIL && error == NULL)
		zdu_node_rotate(node, true, "attached");
	zdu_steps_insert(f, 0, steps, false);
	zdu_set_work_waits(f, true);
}

void
zdu_release(ZduFacts *f, ZduNode *node)
{
	bool		arrived = node->version != NULL && f->target != NULL && zdu_version_compare(node->version, f->target) == 0;

	/* An unfinished one keeps its heading: zdu_retry finds it by that. */
	zdu_node_finish(node, arrived);
	if (node->attached && !node->in_rotation && node->state == NODE_ACTIVE)
		carry_out_late_wish(f, node);
}

void
zdu_come_up(ZduFacts *f, ZduNode *node)
{
	if (node->moved && node->state == NODE_ACTIVE && node->attached && !node->in_rotation && !node->taken && !node->queued &&
		!zdu_steps_open(f, node->id))
		carry_out_late_wish(f, node);
}

/* How long a detached node is left alone before somebody looks whether it is still out. */
#define REASSERT_AFTER 10.0

void
zdu_reassert_detached(ZduFacts *f, ZduRunbook *rb)
{
	int			nids;
	int64	   *ids = rb == NULL ? NULL : zdu_steps_to_reassert(f, REASSERT_AFTER, &nids);
	int			n;
	ZduNode    *nodes;

	if (rb == NULL || nids == 0)
		return;
	nodes = zdu_nodes_by_id(ids, nids, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *error = NULL;
		List	   *steps = zdu_runbook_steps(rb, f, &nodes[i], PHASE_ISOLATE, PHASE_ISOLATE, false,
											  nodes[i].version != NULL ? nodes[i].version : f->version, &error);

		if (error == NULL)
			zdu_steps_insert(f, 0, steps, false);
	}
}

void
zdu_enlist(ZduFacts *f, const ZduNode *node)
{
	if (!zdu_upgrade_mode(f) || !f->driven || f->resume_to != RUN_RUNNING || node->version == NULL ||
		zdu_version_compare(node->version, f->original) != 0)
		return;
	if (node->queued || node->headed || node->taken || !zdu_deployment_covers(f, node->id))
		return;
	zdu_event_note(node->name, "queue", NULL, "forward", "L9", "turned up after the upgrade had begun");
	zdu_nodes_queue(&node->id, 1, false);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

/* Returns the ids of those nodes, in order. */
static int64 *
begun(const ZduFacts *f, int64 only, int *n)
{
	uint64		rows = zdu_run(&nodes_begun, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_int8(only)});
	int64	   *ids = palloc(sizeof(int64) * (rows + 1));
	ZduReader	r = zdu_reader();

	for (*n = 0; zdu_next_row(&r); (*n)++)
		ids[*n] = zdu_read_int8(&r);
	return ids;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static bool
is_touched(const ZduFacts *f, const ZduNode *node, const int64 *begun_ids, int n)
{
	if (node->version != NULL && zdu_version_compare(node->version, f->original) != 0)
		return true;
	return bsearch(&node->id, begun_ids, n, sizeof(int64), compare_ids) != NULL;
}

bool
zdu_node_is_touched(const ZduFacts *f, const ZduNode *node)
{
	int			n;
	int64	   *ids = begun(f, node->id, &n);

	return is_touched(f, node, ids, n);
}

int
zdu_roll_back(ZduFacts *f, const char *reason)
{
	int			n;
	ZduNode    *nodes = zdu_nodes_all(f->cluster_id, &n);
	int			nplan;
	ZduPlanNode *plan = zdu_nodes_to_order(f->cluster_id, &nplan);
	ZduOrder	order = zdu_order_load(f->policy);
	ZduPlanNode *back = palloc(sizeof(ZduPlanNode) * (nplan + 1));
	int			nback = 0;
	int			affected = 0;
	int			nbegun;
	int64	   *begun_ids = begun(f, 0, &nbegun);
	int			nqueued;
	int64	   *queued;

	(void) zdu_steps_unwind(f, 0);
	zdu_nodes_dequeue(f, 0, false);
	zdu_upgrade_set_failures(f, 0);
	zdu_upgrade_move(f, RUN_ROLLING_BACK, "L23", reason);
	zdu_guards_disarm(f);
	for (int i = 0; i < nplan; i++)
	{
		ZduNode    *node = zdu_node_find(nodes, n, plan[i].id);

		plan[i].last = node->state == NODE_ACTIVE && node->in_rotation;
	}
	zdu_plan_order(plan, nplan, &order);
	for (int i = 0; i < nplan; i++)
	{
		ZduNode    *node = zdu_node_find(nodes, n, plan[i].id);
		if (node->taken || is_touched(f, node, begun_ids, nbegun))
			back[nback++] = plan[i];
	}
	/* Who is in flight keeps its place until it is unwound. */
	queued = zdu_plan_way_back(f, back, nback, &nqueued);
	for (int i = 0; i < nback; i++)
	{
		ZduNode    *node = zdu_node_find(nodes, n, back[i].id);
		bool		touched = is_touched(f, node, begun_ids, nbegun);

		if (node->taken)
			zdu_unwind(f, node);
		if (node->taken || touched)
			affected++;
	}
	zdu_nodes_store(f, nodes, n);
	zdu_nodes_queue(queued, nqueued, true);
	zdu_notify();
	return affected;
}

/* Is there anything left on the way back? */
static bool
is_unwound(ZduFacts *f)
{
	if (f->taken > 0 || zdu_run(&cluster_busy, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0)
		return false;
	if (f->run == RUN_CANCELLING)
		return true;
	/* Where people bring nodes back, what the nodes run tells when all of them are. */
	return f->driven ? !zdu_nodes_queued(f) : f->counts.upgraded == 0;
}

void
zdu_drive(ZduCall *call)
{
	ZduFacts   *f = zdu_facts_settle(call->f);

	zdu_gates_advance(f);
	if (f->node_group != NULL && zdu_upgrade_mode(f))
	{
		if (f->together)
			zdu_deployment_switch(f);
		(void) zdu_deployment_settle(f);
	}

	if ((f->run == RUN_CANCELLING || f->run == RUN_ROLLING_BACK) && f->upgrade_id != 0 && is_unwound(f))
	{
		if (make_undo(f) > 0)
			zdu_notify();
		else
			zdu_end_mode(f, f->original, f->run == RUN_CANCELLING ? RUN_CANCELLED : RUN_ROLLED_BACK, "nothing is left to bring back");
		f = zdu_facts_settle(f);
	}
	else if (f->upgrade_id != 0 && f->run == RUN_FINALIZING &&
			 zdu_run(&cluster_busy, (ZduArg[]) {zdu_int8(f->cluster_id)}) == 0)
	{
		zdu_upgrade_move(f, RUN_COMPLETED, "L13", "every task is done");
		f = zdu_facts_settle(f);
	}
	else if (f->upgrade_id != 0 && f->run == RUN_RUNNING && strcmp(f->finalize, "auto") == 0 &&
			 f->state == CLUSTER_READY_TO_RUN_UPGRADE_TASKS && f->counts.online > 0 && f->taken == 0 && f->gate.name == NULL &&
			 (!f->driven || !zdu_nodes_queued(f)))
	{
		zdu_end_mode(f, f->highest_online, RUN_COMPLETED, "finalized by itself");
		f = zdu_facts_settle(f);
	}
	zdu_leader_settle(f);
	if (!zdu_upgrade_mode(f))
		zdu_features_settle(f);
	call->f = f;
}
