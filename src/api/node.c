/*
 * node.c
 *	  What people say of nodes: attach, detach, declare_down.
 */
#include "api/api.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/budget.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_attach);
PG_FUNCTION_INFO_V1(zdu_detach);
PG_FUNCTION_INFO_V1(zdu_declare_down);

static ZduQuery steps_under_way = {
	.text = "SELECT 1 FROM zdu.flight WHERE cluster_id = $1 AND node_id = $2 AND state IN ('running', 'unknown') LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static bool
is_under_way(const ZduFacts *f, const ZduNode *node)
{
	return zdu_run(&steps_under_way, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node->id)}) > 0;
}

/* Makes the steps by which workers carry out a wish about rotation. */
static void
make_wish_steps(ZduCall *call, ZduNode *node, bool attach)
{
	ZduFacts   *f = call->f;
	ZduRunbook *rb = zdu_runbook_load(f);
	List	   *steps = NIL;
	char	   *error = NULL;

	zdu_steps_forgo(node->id);
	if (rb != NULL)
		steps = zdu_runbook_steps(rb, f, node, attach ? PHASE_INTEGRATE : PHASE_ISOLATE, attach ? PHASE_INTEGRATE : PHASE_DRAIN,
								  false, node->version != NULL ? node->version : f->version, &error);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("runbook \"%s\" cannot be used for node \"%s\"", rb->name, node->name),
				 errdetail("W1: %s.", error),
				 errhint("SELECT zdu_set_node('%s', '%s', vars => '{...}')", f->name, node->name)));
	zdu_steps_insert(f, 0, steps, false);
	/* D13: what takes it out cannot be called back.  It has its place again when somebody has seen it in. */
	if (attach && steps != NIL && node->in_rotation && is_under_way(f, node))
		zdu_node_rotate(node, false, "what takes it out is still under way");
	/* Where nobody can be asked to do it, saying so is doing it. */
	if (steps == NIL)
		zdu_node_rotate(node, attach, "by hand");
	zdu_set_work_waits(f, true);
	zdu_notify();
}

static Datum
change_rotation(FunctionCallInfo fcinfo, const char *function, bool attach)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "node");
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduNode    *node;
	const char *result = "unchanged";

	zdu_call_begin(&call, function, cluster);
	node = zdu_node_known(call.f, name);
	if (node->attached != attach)
	{
		ZduVerdict	verdicts[ZDU_PREDICATES];
		ZduCandidate candidate = zdu_node_candidate(call.f, node);
		bool		allowed = true;
		int			n = attach ? 0 : zdu_decide_detach(call.f, &candidate, verdicts, &allowed);

		for (int i = 0; i < n; i++)
			if (verdicts[i].answer != ANSWER_YES)
				ereport(ERROR,
						(errcode(ERRCODE_ZDU_REFUSED),
						 errmsg("cannot detach node \"%s\" of cluster \"%s\"", name, cluster),
						 errdetail("%s: %s; allowed: %s.", verdicts[i].rule, verdicts[i].observed, verdicts[i].allowed),
						 errhint("%s", verdicts[i].hint)));
		result = attach ? "attached" : "detached";
		zdu_event_note(name, "wish", attach ? "detached" : "attached", result, "N6", reason);
		node->attached = attach;
		/* A node in flight is integrated, or left out, at the end of its way. */
		if (!node->taken)
			make_wish_steps(&call, node, attach);
		node->changed = true;
		node->begun = !attach;
		zdu_nodes_store(call.f, node, 1);
		zdu_budgets_begun(call.f, node, 1);
	}
	else if (attach && !node->taken)
	{
		/* N6: said again, somebody looks whether the load balancer knows: a node that was forgotten and made anew may be out there. */
		make_wish_steps(&call, node, attach);
		zdu_nodes_store(call.f, node, 1);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_attach(PG_FUNCTION_ARGS)
{
	return change_rotation(fcinfo, "zdu_attach", true);
}

Datum
zdu_detach(PG_FUNCTION_ARGS)
{
	return change_rotation(fcinfo, "zdu_detach", false);
}

Datum
zdu_declare_down(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "node");
	char	   *reason = zdu_arg_required(fcinfo, 2, "reason");
	ZduCall		call;
	ZduNode    *node;

	zdu_call_begin(&call, "zdu_declare_down", cluster);
	node = zdu_node_known(call.f, name);
	zdu_node_force(node, NODE_OFFLINE, true, "L11", reason);
	/* L11: one that an upgrade has failed on, and that is gone, is no longer waited for. */
	if (node->taken && !is_under_way(call.f, node))
	{
		(void) zdu_steps_unwind(call.f, node->id);
		zdu_release(call.f, node);
	}
	zdu_nodes_store(call.f, node, 1);
	zdu_set_work_waits(call.f, true);
	zdu_notify();
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("OFFLINE"));
}
