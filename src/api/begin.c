/*
 * begin.c
 *	  An upgrade begins.
 */
#include "api/api.h"

#include "api/begin.h"
#include "api/drive.h"
#include "api/expect.h"
#include "api/operation.h"
#include "api/protect.h"
#include "api/refuse.h"
#include "catalog/pg_type.h"
#include "core/plan.h"
#include "store/deployment.h"
#include "store/event.h"
#include "store/gate.h"
#include "store/guard.h"
#include "store/instance.h"
#include "store/queue.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_begin);
PG_FUNCTION_INFO_V1(zdu_limit);

static ZduQuery insert_upgrade = {
	.text =
	"INSERT INTO zdu.upgrade (cluster_id, kind, original, target, runbook, revision, runbook_shipped, reason, began_at, run_since, "
	"  node_group, canary, plan, together) "
	"VALUES ($1, $2, $3::zdu_version, $4::zdu_version, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13) RETURNING upgrade_id",
	.nargs = 13, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, BOOLOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TEXTOID, BOOLOID}
};

static ZduQuery enter_mode = {
	.text = "UPDATE zdu.cluster SET version = $2::zdu_version, original = $2::zdu_version, target = $3::zdu_version WHERE cluster_id = $1",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery workers_listening = {
	.text = "SELECT count(*)::integer FROM zdu.worker WHERE cluster_id = $1 AND asked > $2 - make_interval(secs => $3)",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

Datum
zdu_limit(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(zdu_limit_resolve(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT32(1)));
}

/* Gives the nodes of a plan their turns; returns how many. */
static int
queue_plan(const ZduPlan *plan)
{
	int			n = plan->pack.nnodes;
	int64	   *ids = palloc(sizeof(int64) * (n + 1));

	for (int i = 0; i < n; i++)
		ids[i] = plan->nodes[plan->turns[i]].id;
	zdu_nodes_order(ids, n);
	return n;
}

int
zdu_begin_queue(ZduFacts *f, const char *target, const char *node_group)
{
	return queue_plan(zdu_plan_make(f, &(ZduPlanWish) {.target = target, .node_group = node_group, .anew = true}));
}

/* Says what was begun, as a person would. */
static void
tell_begin(ZduFacts *f, const char *target, const ZduPlan *plan)
{
	ZduReader	r;
	int			workers = 0;

	zdu_run(&workers_listening, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_float8(f->lease)});
	r = zdu_reader();
	if (zdu_next_row(&r))
		workers = zdu_read_int4(&r);
	ereport(NOTICE,
			(errmsg("%s %s -> %s: %s; %d worker%s listening", f->name, f->version,
					target != NULL ? target : "?", zdu_expect_text(f, plan), workers, workers == 1 ? "" : "s"),
			 workers == 0 && f->driven ? errhint("$ zdu_worker CONNINFO") : 0));
}

/* Stores the upgrade; returns its id. */
static int64
insert(const ZduFacts *f, const ZduBegin *b, const char *reason)
{
	const ZduWish *w = b->wish;
	const ZduRunbook *rb = b->runbook;
	ZduReader	r;

	zdu_run(&insert_upgrade, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(rb != NULL ? "driven" : "manual"), zdu_text(f->version), zdu_text(b->target),
		rb != NULL ? zdu_text(rb->name) : zdu_null(), rb != NULL ? zdu_int4(rb->revision) : zdu_null(),
		rb != NULL ? zdu_bool(rb->shipped) : zdu_null(), zdu_text(reason), zdu_time(zdu_now()),
		zdu_text(w->node_group), w->canary > 0 ? zdu_int4(w->canary) : zdu_null(), zdu_text(w->plan),
		zdu_bool(w->together)
	});
	r = zdu_reader();
	(void) zdu_next_row(&r);
	return zdu_read_int8(&r);
}

/* Makes what workers will find to do. */
static void
prepare_drive(ZduFacts *f, const ZduBegin *b, const ZduPlan *plan)
{
	char	   *error = NULL;

	zdu_gates_pin(f, f->upgrade_id, queue_plan(plan), b->wish->canary);
	/* Only now is {version} the target. */
	zdu_steps_insert(f, f->upgrade_id, zdu_runbook_cluster_steps(b->runbook, f, PHASE_BEFORE, &error), false);
	if (error != NULL)
		elog(ERROR, "the preparation of cluster \"%s\" passed its check: %s", f->name, error);
	/* Until the end of this decision finds that nothing forbids it. */
	zdu_preparation_keep_back(f);
	zdu_guards_make(b->runbook, f, f->upgrade_id);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

int64
zdu_begin_upgrade(ZduCall *call, const ZduWish *wish, const char *reason)
{
	ZduFacts   *f = call->f;
	ZduBegin	b;
	ZduPlan    *plan;

	zdu_instance_init();
	b = zdu_check_begin(call, wish);
	if (b.refusal.rule != NULL)
		zdu_refuse(&b.refusal, psprintf("cannot begin the upgrade of cluster \"%s\"%s%s", f->name, b.target != NULL ? " to " : "", b.target != NULL ? b.target : ""));
	if (b.same_upgrade != 0)
		return b.same_upgrade;

	zdu_operations_expire(f);
	/* Of the cluster as it is: from here on an upgrade is active. */
	plan = zdu_plan_make(f, &(ZduPlanWish) {.target = b.target, .node_group = wish->node_group, .canary = wish->canary});
	f->upgrade_id = insert(f, &b, reason);
	f->driven = b.runbook != NULL;
	zdu_run(&enter_mode, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(f->version), zdu_text(b.target)});
	zdu_event_note(NULL, "upgrade", NULL, "running", "L1", psprintf("%s -> %s%s%s", f->version, b.target != NULL ? b.target : "?",
																	  reason != NULL ? ": " : "", reason != NULL ? reason : ""));
	if (wish->node_group != NULL)
		zdu_deployment_begin(f, wish->node_group, wish->through);
	if (f->driven)
		prepare_drive(f, &b, plan);
	tell_begin(f, b.target, plan);
	return f->upgrade_id;
}

Datum
zdu_begin(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_text(fcinfo, 0);
	ZduWish		wish = {
		.target = zdu_arg_text(fcinfo, 1),
		.node_group = zdu_arg_text(fcinfo, 2),
		.canary = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3),
		.plan = zdu_arg_text(fcinfo, 4),
		.acknowledge = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5),
		.kind = zdu_arg_text(fcinfo, 6)
	};
	ZduCall		call;
	int64		upgrade_id;

	if (cluster == NULL)
		cluster = zdu_refuse_unnamed("zdu_begin");
	zdu_call_begin(&call, "zdu_begin", NULL);
	zdu_protect_lock(&call, cluster);
	upgrade_id = zdu_begin_upgrade(&call, &wish, zdu_arg_text(fcinfo, 7));
	zdu_call_end(&call);
	PG_RETURN_INT64(upgrade_id);
}
