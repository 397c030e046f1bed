/*
 * admin.c
 *	  The ways out and the chores: force_state, adopt, prune.
 */
#include "api/api.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/event.h"
#include "store/instance.h"
#include "store/queue.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_force_state);
PG_FUNCTION_INFO_V1(zdu_adopt);
PG_FUNCTION_INFO_V1(zdu_prune);

static ZduQuery end_upgrade = {
	.text = "UPDATE zdu.upgrade SET run = 'cancelled', run_since = $2, ended_at = $2 WHERE upgrade_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
};

static ZduQuery leave_mode = {
	.text = "UPDATE zdu.cluster SET version = coalesce($2::zdu_version, version), original = NULL, target = NULL WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/*
 * Nobody holds them from now on; what may still run is waited out.  The
 * number goes too: a report may have been matched by it before we got the lock.
 */
static ZduQuery void_tokens = {
	.text = "UPDATE zdu.flight s SET state = 'unknown', worker = NULL, incarnation = NULL, number = 0, "
	"not_before = CASE WHEN s.state = 'unknown' THEN s.not_before WHEN s.stage IN ('act', 'end') THEN s.deadline END "
	"FROM zdu.step_plan p WHERE s.state IN ('running', 'unknown') AND p.plan_id = s.plan_id AND p.look[s.place] IS NOT NULL"
};

static ZduQuery lock_clusters = {
	.text = "SELECT cluster_id FROM zdu.cluster ORDER BY cluster_id FOR NO KEY UPDATE"
};

static ZduQuery wake_clusters = {
	.text = "UPDATE zdu.cluster SET work_waits = true, serial = serial + 1"
};

static ZduQuery prune_events = {
	.text = "WITH gone AS (DELETE FROM zdu.event_log WHERE at < $1 RETURNING what) SELECT 1 FROM gone g, unnest(g.what)",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}
};

/* A window that is past still keeps everything else out, so it stays. */
static ZduQuery prune_freezes = {
	.text = "DELETE FROM zdu.freeze WHERE kind = 'freeze' AND upper(during) < $1",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}
};

/* Told so long ago, it is news again. */
static ZduQuery prune_answers = {
	.text = "DELETE FROM zdu.join_answer WHERE at < $1",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}
};

static ZduQuery prune_upgrades = {
	.text = "DELETE FROM zdu.upgrade WHERE ended_at < $1",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}
};

static ZduQuery prune_operations = {
	.text = "DELETE FROM zdu.operation WHERE ended_at < $1",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}
};

/* Only STABLE can be forced: the other states are derived from what is there. */
static void
force_stable(ZduCall *call, const char *reason)
{
	ZduFacts   *f = call->f;
	int			n;
	ZduNode    *nodes = zdu_nodes_all(f->cluster_id, &n);

	zdu_steps_end_all(f);
	for (int i = 0; i < n; i++)
		zdu_node_take(&nodes[i], false, reason);
	zdu_nodes_store(f, nodes, n);
	zdu_nodes_dequeue(f, 0, false);
	if (f->upgrade_id != 0)
		zdu_run(&end_upgrade, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_time(zdu_now())});
	zdu_run(&leave_mode, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(f->versions_known == 1 ? f->lowest_known : f->original)});
	zdu_event_note(NULL, "force", zdu_state_name(ZDU_CLUSTER, f->state), "STABLE", "L22", reason);
}

Datum
zdu_force_state(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_text(fcinfo, 1);
	char	   *state = zdu_arg_required(fcinfo, 2, "state");
	char	   *reason = zdu_arg_required(fcinfo, 3, "reason");
	ZduMachine	machine = name != NULL ? ZDU_NODE : ZDU_CLUSTER;
	int			wanted = zdu_state_of(machine, state);
	ZduCall		call;

	zdu_call_begin(&call, "zdu_force_state", cluster);
	if (wanted == ZDU_STATE_NONE || (name == NULL && wanted != CLUSTER_STABLE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot force %s into \"%s\"", name != NULL ? "a node" : "a cluster", state),
				 errdetail("N1: %s", name != NULL ? "it is no state of a node." : "only STABLE can be forced, the others follow from the nodes."),
				 errhint("SELECT DISTINCT to_state FROM zdu_transitions() WHERE machine = '%s'", zdu_machine_name(machine))));
	if (name == NULL)
		force_stable(&call, reason);
	else
	{
		ZduNode    *node = zdu_node_known(call.f, name);

		zdu_node_force(node, (ZduNodeState) wanted, true, "L22", reason);
		zdu_nodes_store(call.f, node, 1);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

Datum
zdu_adopt(PG_FUNCTION_ARGS)
{
	char	   *reason = zdu_arg_required(fcinfo, 0, "reason");
	ZduCall		call;
	int			epoch;

	zdu_call_begin(&call, "zdu_adopt", NULL);
	/* Every cluster is locked: no grant of the old epoch may come in between. */
	zdu_run(&lock_clusters, NULL);
	epoch = zdu_instance_adopt(reason);
	zdu_run(&void_tokens, NULL);
	zdu_run(&wake_clusters, NULL);
	zdu_event_note(NULL, "adopt", NULL, psprintf("epoch %d", epoch), "W5", reason);
	zdu_notify();
	zdu_call_end(&call);
	PG_RETURN_INT32(epoch);
}

Datum
zdu_prune(PG_FUNCTION_ARGS)
{
	ZduCall		call;
	TimestampTz before;
	uint64		rows;

	if (PG_ARGISNULL(0))
		(void) zdu_arg_required(fcinfo, 0, "older_than");
	before = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(zdu_now()), PG_GETARG_DATUM(0)));
	zdu_call_begin(&call, "zdu_prune", NULL);
	rows = zdu_run(&prune_events, (ZduArg[]) {zdu_time(before)});
	rows += zdu_run(&prune_operations, (ZduArg[]) {zdu_time(before)});
	rows += zdu_run(&prune_upgrades, (ZduArg[]) {zdu_time(before)});
	rows += zdu_run(&prune_freezes, (ZduArg[]) {zdu_time(before)});
	rows += zdu_run(&prune_answers, (ZduArg[]) {zdu_time(before)});
	zdu_event_note(NULL, "prune", NULL, psprintf(UINT64_FORMAT " rows", rows), "L22", NULL);
	zdu_call_end(&call);
	PG_RETURN_INT64((int64) rows);
}
