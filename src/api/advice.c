/*
 * advice.c
 *	  What helps: the commands that zdu_why names, as far as the caller may use them.
 */
#include "api/why.h"

#include "api/expect.h"
#include "catalog/pg_type.h"
#include "store/deployment.h"
#include "store/queue.h"
#include "store/step.h"

static ZduQuery given_up_nodes = {
	.text =
	"SELECT n.name, n.state || coalesce(' at ' || n.version::text, '') FROM zdu.node n JOIN zdu.cluster c ON c.cluster_id = n.cluster_id "
	"WHERE n.cluster_id = $1 AND n.turn IS NULL AND NOT n.taken AND n.heading IS NOT NULL "
	"AND n.version IS DISTINCT FROM c.target AND ($2::text IS NULL OR n.name = $2) ORDER BY n.name",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery node_in_error = {
	.text = "SELECT name FROM zdu.node WHERE cluster_id = $1 AND away AND state = 'ERROR' ORDER BY name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* More than these would not be read. */
#define MAX_GIVEN_UP 20

/* "one node back to 1.0, about 4 min", "3 nodes ..." */
static const char *
way_back(const ZduFacts *f, int n)
{
	return n == 1 ? psprintf("one node back to %s%s", f->original, zdu_expect_nodes(f, n)) :
		psprintf("%d nodes back to %s%s", n, f->original, zdu_expect_nodes(f, n));
}

static void
advise_mend(ZduWhy *a, const ZduCall *call, const ZduStep *failed, int nfailed, const char *only)
{
	ZduFacts   *f = call->f;
	Oid			caller = call->session.caller;
	int			nodes = 0;

	if ((f->run == RUN_HELD || nfailed > 0) && zdu_may(caller, "zdu_retry", f))
		zdu_why_put(a, "act", NULL, only != NULL ? psprintf("mend %s", only) : "mend", "then try again what failed", NULL, NULL,
					psprintf("SELECT zdu_retry('%s'%s)", f->name, only != NULL ? psprintf(", node => '%s'", only) : ""));
	if (f->run == RUN_PAUSED && zdu_may(caller, "zdu_resume", f))
		zdu_why_put(a, "act", NULL, "resume", "paused by a person", NULL, NULL, psprintf("SELECT zdu_resume('%s')", f->name));
	if (!zdu_upgrade_mode(f) || (f->run != RUN_HELD && nfailed == 0))
		return;
	for (int i = 0; i < nfailed; i++)
		nodes += failed[i].node != NULL;
	/* While nothing was upgraded, giving up is to cancel: it is over at once. */
	if (only == NULL && f->state == CLUSTER_READY_TO_UPGRADE && strcmp(f->cancel, "never") != 0 && zdu_may(caller, "zdu_cancel", f))
		zdu_why_put(a, "act", NULL, "cancel", "no node was upgraded yet", NULL, NULL, psprintf("SELECT zdu_cancel('%s')", f->name));
	if (strcmp(f->rollback, "allow") != 0 || !zdu_may(caller, "zdu_rollback", f))
		return;
	for (int i = 0; i < nfailed; i++)
		if (failed[i].node != NULL && (only == NULL || strcmp(only, failed[i].node) == 0))
			zdu_why_put(a, "act", NULL, psprintf("give up %s", failed[i].node),
						psprintf("back to %s, the others go on%s", f->original, zdu_expect_nodes(f, 1)), NULL, NULL,
						psprintf("SELECT zdu_rollback('%s', node => '%s')", f->name, failed[i].node));
	if (only == NULL && f->counts.upgraded + nodes > 0)
		zdu_why_put(a, "act", NULL, "give up all", way_back(f, f->counts.upgraded + nodes), NULL, NULL, psprintf("SELECT zdu_rollback('%s')", f->name));
}

/* Returns how many nodes were given up. */
static int
advise_given_up(ZduWhy *a, const ZduFacts *f, const char *only)
{
	ZduReader	r;
	int			n = 0;

	/* On the way back nobody is to go forward. */
	if (f->resume_to != RUN_RUNNING)
		return 0;
	zdu_run(&given_up_nodes, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(only)});
	r = zdu_reader();
	while (n < MAX_GIVEN_UP && zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);

		zdu_why_put(a, "no", "L9", name, psprintf("%s was given up, it is %s", name, zdu_read_text(&r)), f->target, NULL,
					psprintf("SELECT zdu_retry('%s', node => '%s')", f->name, name));
		n++;
	}
	return n;
}

/*
 * A rollout by groups waits for the next deployment (N15), or its nodes for
 * each other (M9).  Returns whether there is a next one.
 */
static bool
advise_next_group(ZduWhy *a, const ZduFacts *f, Oid caller)
{
	char	   *next = f->taken == 0 && !zdu_nodes_queued(f) ? zdu_deployment_next(f) : NULL;
	char	   *hint;

	if (f->together && f->taken > 0)
		zdu_why_put(a, "info", "M9", "traffic", psprintf("the nodes of \"%s\" go back into rotation together, when every one is verified", f->node_group),
					NULL, NULL, NULL);
	if (next == NULL || !zdu_may(caller, "zdu_deploy", f))
		return false;
	hint = strcmp(next, "default") == 0 ? psprintf("SELECT zdu_deploy('%s')", f->name) :
		psprintf("SELECT zdu_deploy('%s', node_group => '%s')", f->name, next);
	zdu_why_put(a, "act", NULL, "next group", psprintf("\"%s\" is at %s, the rest is not", f->node_group, f->target), NULL, NULL, hint);
	if (a->first == NULL)
		a->first = hint;
	return true;
}

/* What stands in the way of the end, when nothing is left to do; or that nothing does. */
static void
advise_end(ZduWhy *a, const ZduCall *call, bool nothing_left)
{
	ZduFacts   *f = call->f;
	ZduVerdict	v;
	char	   *in_error;

	zdu_decide_finalize(f, zdu_node_worst(f), &v);
	if (v.answer == ANSWER_YES && zdu_may(call->session.caller, "zdu_finalize", f))
	{
		char	   *hint = psprintf("SELECT zdu_finalize('%s')", f->name);

		zdu_why_put(a, "act", NULL, "finalize", psprintf("%d of %d nodes run %s", f->at_target, f->total, f->highest_online), NULL, NULL, hint);
		if (a->first == NULL)
			a->first = hint;
	}
	else if (v.answer != ANSWER_YES && nothing_left)
	{
		/* Workers do what is left to do, but for a gate at the end; a hint to look here helps nobody. */
		bool		in_circles = f->driven && strstr(v.hint, "zdu_why(") != NULL;

		zdu_run(&node_in_error, (ZduArg[]) {zdu_int8(f->cluster_id)});
		in_error = zdu_first_text();
		/* L11: what cannot be mended can be stopped, and said to be down. */
		zdu_why_put(a, "no", v.rule, "finalize", pstrdup(v.observed), pstrdup(v.allowed), NULL,
					in_error != NULL ? psprintf("SELECT zdu_declare_down('%s', '%s', 'reason')", f->name, in_error) :
					in_circles ? NULL : pstrdup(v.hint));
	}
}

void
zdu_advise(ZduWhy *a, const ZduCall *call, const char *only)
{
	ZduFacts   *f = call->f;
	int			nfailed;
	ZduStep    *failed = zdu_steps_failed(f, &nfailed);
	bool		goes_on;

	advise_mend(a, call, failed, nfailed, only);
	goes_on = advise_given_up(a, f, only) > 0;
	if (only != NULL || !zdu_upgrade_mode(f))
		return;
	if (f->node_group != NULL && advise_next_group(a, f, call->session.caller))
		goes_on = true;
	advise_end(a, call, !goes_on && f->taken == 0 && f->run == RUN_RUNNING && !zdu_nodes_queued(f));
}
