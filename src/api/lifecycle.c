/*
 * lifecycle.c
 *	  pause, resume, cancel, retry, rollback, finalize.
 */
#include "api/api.h"

#include "api/approve.h"
#include "api/drive.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/budget.h"
#include "store/event.h"
#include "store/guard.h"
#include "store/queue.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_pause);
PG_FUNCTION_INFO_V1(zdu_resume);
PG_FUNCTION_INFO_V1(zdu_cancel);
PG_FUNCTION_INFO_V1(zdu_retry);
PG_FUNCTION_INFO_V1(zdu_rollback);
PG_FUNCTION_INFO_V1(zdu_finalize);

static ZduQuery unfinished_nodes = {
	.text = "SELECT node_id FROM zdu.node WHERE cluster_id = $1 AND turn IS NULL AND NOT taken AND (heading = 'forward' OR name = $2) "
	"AND (version IS NULL OR version <> $3::zdu_version) "
	"AND ($4::text IS NULL OR node_group IN (SELECT d.node_group FROM zdu.deployment d WHERE d.upgrade_id = $5)) ORDER BY name",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID}
};

static ZduQuery login_nodes = {
	.text = "SELECT n.login, n.version IS NOT NULL AND n.version <> c.original AND n.version <= c.target FROM zdu.node n "
	"JOIN zdu.cluster c ON c.cluster_id = n.cluster_id WHERE n.cluster_id = $1 AND n.login IS NOT NULL",
	.nargs = 1, .argtypes = {INT8OID}
};

/* ERROR unless an upgrade is active. */
static void
need_upgrade(ZduFacts *f, const char *what)
{
	if (f->upgrade_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot %s the upgrade of cluster \"%s\"", what, f->name),
				 errdetail("L4: it is %s, no upgrade is active.", zdu_state_name(ZDU_CLUSTER, f->state)),
				 errhint("SELECT zdu_begin('%s', ...)", f->name)));
}

/* ERROR for a transition that the table does not have. */
static void
need_transition(ZduFacts *f, ZduRun to, const char *what, const char *hint)
{
	if (zdu_transition_find(ZDU_UPGRADE, f->run, to) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot %s the upgrade of cluster \"%s\"", what, f->name),
				 errdetail("L22: it is %s.", zdu_state_name(ZDU_UPGRADE, f->run)),
				 errhint("%s", hint)));
}

Datum
zdu_pause(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 1);
	ZduCall		call;

	zdu_call_begin(&call, "zdu_pause", cluster);
	need_upgrade(call.f, "pause");
	need_transition(call.f, RUN_PAUSED, "pause", psprintf("SELECT * FROM zdu_why('%s')", cluster));
	zdu_upgrade_move(call.f, RUN_PAUSED, "L22", reason);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("paused"));
}

Datum
zdu_resume(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 1);
	ZduCall		call;
	const char *run;

	zdu_call_begin(&call, "zdu_resume", cluster);
	need_upgrade(call.f, "resume");
	if (call.f->run != RUN_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot resume the upgrade of cluster \"%s\"", cluster),
				 errdetail("L22: it is %s, not paused.", zdu_state_name(ZDU_UPGRADE, call.f->run)),
				 call.f->run == RUN_HELD ? errhint("SELECT zdu_retry('%s')", cluster) : errhint("SELECT * FROM zdu_why('%s')", cluster)));
	zdu_upgrade_move(call.f, call.f->resume_to, "L22", reason);
	zdu_set_work_waits(call.f, true);
	zdu_notify();
	zdu_call_end(&call);
	run = call.f->upgrade_id != 0 ? zdu_state_name(ZDU_UPGRADE, call.f->run) : "completed";
	PG_RETURN_TEXT_P(cstring_to_text(run));
}

Datum
zdu_cancel(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 1);
	ZduCall		call;
	ZduFacts   *f;
	int			n;
	ZduNode    *nodes;

	zdu_call_begin(&call, "zdu_cancel", cluster);
	f = call.f;
	need_upgrade(f, "cancel");
	if (strcmp(f->cancel, "never") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cannot cancel the upgrade of cluster \"%s\"", cluster),
				 errdetail("L5: policy \"%s\" says cancel = never; it was acknowledged at begin.", f->policy),
				 errhint("SELECT * FROM zdu_why('%s')", cluster)));
	if (f->state != CLUSTER_READY_TO_UPGRADE)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot cancel the upgrade of cluster \"%s\"", cluster),
				 errdetail("L5: it is %s, %d of %d nodes run %s.", zdu_state_name(ZDU_CLUSTER, f->state), f->counts.upgraded, f->total,
						   f->target != NULL ? f->target : "a new version"),
				 errhint("SELECT zdu_rollback('%s')", cluster)));
	if (f->total > 0 && f->counts.online == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot cancel the upgrade of cluster \"%s\"", cluster),
				 errdetail("L12: all %d nodes are OFFLINE; they would be dropped.", f->total),
				 errhint("SELECT * FROM zdu.node_status WHERE cluster = '%s'", cluster)));
	need_transition(f, RUN_CANCELLING, "cancel", psprintf("SELECT * FROM zdu_why('%s')", cluster));

	zdu_nodes_dequeue(f, 0, false);
	zdu_upgrade_move(f, RUN_CANCELLING, "L5", reason);
	(void) zdu_steps_unwind(f, 0);
	nodes = zdu_nodes_all(f->cluster_id, &n);
	for (int i = 0; i < n; i++)
		if (nodes[i].taken)
			zdu_unwind(f, &nodes[i]);
	zdu_nodes_store(f, nodes, n);
	zdu_notify();
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(zdu_state_name(ZDU_CLUSTER, call.f->state)));
}

/* Lets a held upgrade go on with what it was doing. */
static void
go_on(ZduFacts *f, const char *reason)
{
	if (f->run == RUN_HELD)
		zdu_upgrade_move(f, f->resume_to, "D11", reason);
	/* L23: who goes on rolling back knows what is not well. */
	if (f->run == RUN_ROLLING_BACK)
		zdu_guards_disarm(f);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

Datum
zdu_retry(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_text(fcinfo, 1);
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduFacts   *f;
	int			nfailed;
	ZduStep    *failed;
	int			affected = 0;
	int64		only = 0;

	zdu_call_begin(&call, "zdu_retry", cluster);
	f = call.f;
	need_upgrade(f, "retry");
	if (name != NULL)
		only = zdu_node_known(f, name)->id;

	failed = zdu_steps_failed(f, &nfailed);
	for (int i = 0; i < nfailed; i++)
	{
		if (only != 0 && failed[i].node_id != only)
			continue;
		if (zdu_steps_retry(f, failed[i].node_id) == 0)
			continue;
		zdu_event_note(failed[i].node, "step", "failed", "pending", "L22",
					   psprintf("%s: retry%s%s", zdu_phase_name(failed[i].phase), reason != NULL ? ": " : "", reason != NULL ? reason : ""));
		affected++;
	}
	zdu_upgrade_set_failures(f, only == 0 ? 0 : f->failures - affected);

	if (f->driven && f->target != NULL && zdu_upgrade_mode(f) && f->resume_to == RUN_RUNNING)
	{
		uint64		rows = zdu_run(&unfinished_nodes, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(name), zdu_text(f->target), zdu_text(f->node_group), zdu_int8(f->upgrade_id)});
		int64	   *ids = palloc(sizeof(int64) * (rows + 1));
		ZduReader	r = zdu_reader();
		int			n = 0;

		while (zdu_next_row(&r))
		{
			ids[n] = zdu_read_int8(&r);
			if (only == 0 || ids[n] == only)
				n++;
		}
		zdu_nodes_queue(ids, n, false);
		affected += n;
	}
	if (zdu_budgets_spent(f) == NULL)
		go_on(f, reason != NULL ? reason : "zdu_retry");
	zdu_call_end(&call);
	PG_RETURN_INT32(affected);
}

/* Brings one node back and lets the others go on without it. */
static int
roll_back_node(ZduFacts *f, const char *name, const char *reason)
{
	ZduNode    *node = zdu_node_known(f, name);
	bool		touched = zdu_node_is_touched(f, node);
	int			nsteps;
	ZduStep    *steps = zdu_steps_of_node(f, node->id, &nsteps);
	bool		failed = nsteps > 0 && steps[0].state == STEP_FAILED;

	if (!node->taken && !touched && !node->queued)
		return 0;
	zdu_event_note(name, "rollback", node->version, f->original, "L23", reason);
	if (!node->taken && !touched)
	{
		/* Only waiting: it is given up before it was touched. */
		zdu_nodes_queue(&node->id, 1, true);
		zdu_nodes_dequeue(f, node->id, true);
		return 1;
	}
	zdu_nodes_queue(&node->id, 1, true);
	if (node->taken)
	{
		zdu_unwind(f, node);
		zdu_nodes_store(f, node, 1);
	}
	if (failed)
	{
		zdu_upgrade_set_failures(f, f->failures - 1);
		if (zdu_budgets_spent(f) == NULL)
			go_on(f, psprintf("%s is given up", name));
	}
	zdu_set_work_waits(f, true);
	zdu_notify();
	return 1;
}

Datum
zdu_rollback(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_text(fcinfo, 1);
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduFacts   *f;
	int			affected;

	zdu_call_begin(&call, "zdu_rollback", cluster);
	f = call.f;
	need_upgrade(f, "roll back");
	if (strcmp(f->rollback, "never") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cannot roll back the upgrade of cluster \"%s\"", cluster),
				 errdetail("L23: policy \"%s\" says rollback = never.", f->policy),
				 errhint("SELECT zdu_retry('%s')", cluster)));
	if (!zdu_upgrade_mode(f))
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot roll back the upgrade of cluster \"%s\"", cluster),
				 errdetail("L23: it was finalized at %s, tasks are running.", f->version),
				 errhint("SELECT * FROM zdu_why('%s')", cluster)));
	if (name == NULL && f->run != RUN_ROLLING_BACK)
	{
		/* From a pause or a hold it is one leap: what was interrupted is over. */
		need_transition(f, RUN_ROLLING_BACK, "roll back", psprintf("SELECT * FROM zdu_why('%s')", cluster));
		affected = zdu_roll_back(f, reason);
	}
	else
		affected = name != NULL ? roll_back_node(f, name, reason) : 0;
	zdu_call_end(&call);
	PG_RETURN_INT32(affected);
}

/*
 * L20: a person may end the upgrade; a node's login may if its node is updated.
 */
static void
check_who_finalizes(ZduCall *call)
{
	ZduReader	r;
	Oid			caller = call->session.caller;
	bool		updated = true;
	bool		is_node = false;

	if (superuser_arg(caller))
		return;
	zdu_run(&login_nodes, (ZduArg[]) {zdu_int8(call->f->cluster_id)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *login = zdu_read_text(&r);

		if (get_role_oid(login, true) != caller)
			continue;
		is_node = true;
		updated = zdu_read_bool(&r);
	}
	if (is_node && !updated)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cannot finalize the upgrade of cluster \"%s\"", call->cluster),
				 errdetail("L20: role \"%s\" is the login of an outdated node.", GetUserNameFromId(caller, true)),
				 errhint("Log in to an updated node, or as a person, and: SELECT zdu_finalize('%s')", call->cluster)));
	if (!is_node && !zdu_may(caller, "zdu_cancel", call->f))
		zdu_require(caller, "zdu_cancel");
	if (!is_node)
		zdu_require_owner(caller, "zdu_cancel", call->f);
}

Datum
zdu_finalize(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	bool		force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduFacts   *f;
	ZduVerdict	v;

	zdu_call_begin(&call, "zdu_finalize", cluster);
	f = call.f;
	check_who_finalizes(&call);
	if (f->upgrade_id != 0)
		zdu_require_second_person(&call, psprintf("cannot finalize the upgrade of cluster \"%s\"", cluster));
	zdu_decide_finalize(f, zdu_node_worst(f), &v);
	if (v.answer != ANSWER_YES)
	{
		bool		may_force = force && f->state == CLUSTER_MIXED && f->taken == 0 &&
			zdu_transition_find(ZDU_UPGRADE, f->run, RUN_FINALIZING) != NULL && f->counts.in_error == 0 &&
			f->counts.upgraded_online > 0 && strcmp(f->early_end, "force") == 0 && zdu_has_grant(call.session.caller, "force");

		if (f->state == CLUSTER_MIXED && force && !may_force)
			v.rule = "L18";
		if (!may_force)
			ereport(ERROR,
					(errcode(ERRCODE_ZDU_WRONG_STATE),
					 errmsg("cannot finalize the upgrade of cluster \"%s\"", cluster),
					 errdetail("%s: %s.", v.rule, v.observed),
					 errhint("%s", v.hint)));
	}
	zdu_end_mode(f, f->highest_online, RUN_COMPLETED, reason != NULL ? reason : "finalized");
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(zdu_state_name(ZDU_CLUSTER, call.f->state)));
}
