/*
 * join.c
 *	  The gate that a node passes before it starts.
 */
#include "api/join.h"

#include <math.h>

#include "api/drive.h"
#include "api/sweep.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "store/catalogue.h"
#include "store/event.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_join);

#define SCHEMA_PAUSE 4.0		/* seconds before asking again whether the schema is there */

static ZduQuery login_elsewhere = {
	.text = "SELECT login FROM zdu.node WHERE cluster_id = $1 AND login IS NOT NULL AND name <> $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery show_target = {
	.text = "UPDATE zdu.cluster SET target = $2::zdu_version WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery show_upgrade_target = {
	.text = "UPDATE zdu.upgrade SET target = $2::zdu_version WHERE upgrade_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery show_version = {
	.text = "UPDATE zdu.cluster SET version = $2::zdu_version WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/*
 * Of beats that are overdue, but not past the ttl, how long the last one has
 * still to go.
 */
static ZduQuery last_stale_beat = {
	.text =
	"SELECT max(h.listened) + $2 - $3 FROM zdu.node n JOIN zdu.node_heard h ON h.node_id = n.node_id "
	"WHERE n.cluster_id = $1 AND n.reports AND n.state <> 'OFFLINE' AND h.listened < $3 - $2 / 2 AND h.listened + $2 >= $3",
	.nargs = 3, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID}
};

/* A node that is started again and again asks as often: the log is told what is new.  No row: nothing is. */
static ZduQuery note_answer = {
	.text =
	"INSERT INTO zdu.join_answer AS j (cluster_id, node, verdict, rule, reason, at) VALUES ($1, $2, $3, $4, $5, $6) "
	"ON CONFLICT (cluster_id, node) DO UPDATE SET verdict = excluded.verdict, rule = excluded.rule, reason = excluded.reason, at = excluded.at "
	"WHERE (j.verdict, j.rule, j.reason) <> (excluded.verdict, excluded.rule, excluded.reason) RETURNING 1",
	.nargs = 6, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery forget_answer = {
	.text = "DELETE FROM zdu.join_answer WHERE cluster_id = $1 AND node = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

typedef struct Gate
{
	const char *rule;			/* NULL: admitted */
	const char *reason;
} Gate;

bool
zdu_may_report(Oid caller, const char *login)
{
	Oid			role;

	if (login == NULL || superuser_arg(caller))
		return true;
	role = get_role_oid(login, true);
	return (OidIsValid(role) && has_privs_of_role(caller, role)) || zdu_has_grant(caller, "worker");
}

int
zdu_upgrade_state(const ZduFacts *f, const char *version)
{
	if (!zdu_upgrade_mode(f) || f->original == NULL)
		return 0;
	return version != NULL && zdu_version_compare(version, f->original) != 0 ? 2 : 1;
}

static Gate
refuse(const char *rule, const char *reason)
{
	Gate		gate = {rule, reason};

	return gate;
}

/* S1: somebody may start the new library by hand before the schema is there; it will be. */
static Gate
gate_by_schema(ZduFacts *f, const char *version)
{
	if (zdu_decide_schema_covers(f, version))
		return refuse(NULL, NULL);
	return refuse("S1", psprintf("%s is newer than the schema, which is at %s", version,
								 f->schema_version != NULL ? f->schema_version : "a version not yet seen"));
}

static Gate
gate_by_version(ZduFacts *f, const char *version)
{
	ZduVerdict	v;

	if (zdu_version_compare(version, f->original) < 0)
		return refuse("N8", psprintf("%s is below %s, the original version", version, f->original));
	if (zdu_version_compare(version, f->original) == 0)
		return refuse(NULL, NULL);
	if (f->target == NULL)
	{
		/* The first new node of a manual upgrade shows where it goes. */
		zdu_path_judge(f, zdu_catalogue_load(f->product), f->version, version, &v);
		return v.answer == ANSWER_YES ? refuse(NULL, NULL) : refuse(v.rule, pstrdup(v.observed));
	}
	if (f->max_versions == 0 && zdu_version_compare(version, f->target) <= 0)
		return refuse(NULL, NULL);
	if (zdu_version_compare(version, f->target) != 0)
		return refuse("N7", psprintf("%s is neither the original %s nor the target %s", version, f->original, f->target));
	return refuse(NULL, NULL);
}

static Gate
gate_in_upgrade(ZduFacts *f, const char *version)
{
	Gate		gate = gate_by_version(f, version);

	return gate.rule == NULL && zdu_version_compare(version, f->original) != 0 ? gate_by_schema(f, version) : gate;
}

static Gate
gate_outside(ZduFacts *f, const ZduNode *node, const char *version)
{
	int			c;

	if (f->version == NULL)
		return refuse(NULL, NULL);
	c = zdu_version_compare(version, f->version);
	if (c == 0)
		return refuse(NULL, NULL);
	if (node != NULL && node->fenced)
		return refuse("L16", psprintf("it was left behind at %s; upgrade it to %s first", version, f->version));
	if (f->state != CLUSTER_STABLE)
		return refuse("L13", psprintf("the upgrade is final: only %s joins, not %s", f->version, version));
	return refuse(c < 0 ? "N8" : "N7", psprintf("the cluster is at %s, not at %s, and not in upgrade mode", f->version, version));
}

static void
check_login(ZduCall *call, const ZduNode *node, const char *name)
{
	ZduReader	r;
	bool		elsewhere = false;
	Oid			caller = call->session.caller;

	if (node != NULL && zdu_may_report(caller, node->login))
		return;
	if (node == NULL)
	{
		/* Who is some other node's login does not register new ones. */
		zdu_run(&login_elsewhere, (ZduArg[]) {zdu_int8(call->f->cluster_id), zdu_text(name)});
		r = zdu_reader();
		while (zdu_next_row(&r))
			elsewhere |= get_role_oid(zdu_read_text(&r), true) == caller;
		if (!elsewhere)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for node \"%s\"", name),
			 errdetail("L22: role \"%s\" is not its login.", GetUserNameFromId(caller, true)),
			 errhint("Whoever has the grant admin may: SELECT zdu_set_node('%s', '%s', login => '%s')",
					 call->f->name, name, GetUserNameFromId(caller, true))));
}

static ZduNode *
admit(ZduCall *call, ZduNode *node, const char *name, const char *version, const char *incarnation)
{
	ZduFacts   *f = call->f;
	bool		same = node != NULL && incarnation != NULL && node->incarnation != NULL && strcmp(node->incarnation, incarnation) == 0;

	if (node == NULL)
	{
		zdu_check_name("node", name);
		node = zdu_node_insert(f, name, NODE_STARTING);
	}
	else if (!(same && node->state == NODE_ACTIVE))
	{
		/* Whatever it was, the process that was it is gone. */
		if (node->state == NODE_DRAINING || node->state == NODE_TERMINATING)
			zdu_node_move(node, NODE_OFFLINE, true, "a new process joined", true);
		zdu_node_move(node, NODE_STARTING, false, "joined", true);
	}
	node->incarnation = incarnation;
	node->reports = node->changed = true;
	node->fenced = false;
	zdu_node_seen(node, version);
	zdu_nodes_store(f, node, 1);
	zdu_node_heard(f, node->id, -1, -1);
	zdu_run(&forget_answer, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(name)});
	zdu_enlist(f, node);

	if (f->version == NULL)
		zdu_run(&show_version, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(version)});
	else if (zdu_upgrade_mode(f) && f->target == NULL && zdu_version_compare(version, f->original) != 0)
	{
		zdu_run(&show_target, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(version)});
		zdu_run(&show_upgrade_target, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(version)});
		zdu_event_note(name, "target", NULL, version, "N7", "shown by the first new node");
	}
	return node;
}

/*
 * N9: a foreign joiner may only be early.  While a beat is overdue nobody
 * knows whether that node is still there, so it is told to come again.
 * Returns after how many seconds, negative: refused for good.  The asking
 * itself lets time pass: there may be nobody else to do it.
 */
static double
retry_after(ZduFacts *f, const Gate *gate)
{
	ZduReader	r;

	if (gate->rule != NULL && strcmp(gate->rule, "S1") == 0)
		return SCHEMA_PAUSE;
	if (gate->rule == NULL || strcmp(gate->rule, "N7") != 0)
		return -1;
	(void) zdu_sweep_nodes(f);
	zdu_run(&last_stale_beat, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_float8(f->heartbeat_ttl), zdu_float8(f->listened)});
	r = zdu_reader();
	return zdu_next_row(&r) ? zdu_read_float8(&r, -1) : -1;
}

/* Tells the log, unless that is what it was told of this node last. */
static void
note_sent_away(const ZduFacts *f, const char *name, const char *verdict, const Gate *gate)
{
	if (zdu_run(&note_answer, (ZduArg[]) {
			zdu_int8(f->cluster_id), zdu_text(name), zdu_text(verdict), zdu_text(gate->rule), zdu_text(gate->reason), zdu_time(zdu_now())
		}) > 0)
		zdu_event_note(name, "join", NULL, verdict, gate->rule, gate->reason);
}

Datum
zdu_join(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "node");
	char	   *version = zdu_arg_required(fcinfo, 2, "version");
	char	   *incarnation = zdu_arg_text(fcinfo, 3);
	ZduCall		call;
	ZduNode    *node;
	Gate		gate;
	double		retry;
	TupleDesc	desc;
	char	   *values[6];
	int			mode;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "zdu_join must return a row");
	zdu_version_check(version);
	zdu_call_begin(&call, "zdu_join", cluster);
	node = zdu_node_load(call.f->cluster_id, name);
	check_login(&call, node, name);
	gate = zdu_upgrade_mode(call.f) ? gate_in_upgrade(call.f, version) : gate_outside(call.f, node, version);
	if (gate.rule == NULL)
		admit(&call, node, name, version, incarnation);
	retry = retry_after(call.f, &gate);
	if (retry >= 0 && strcmp(gate.rule, "N7") == 0)
		gate = refuse("N9", psprintf("%s; a heartbeat is overdue and not yet past its ttl", gate.reason));
	if (gate.rule != NULL)
		note_sent_away(call.f, name, retry >= 0 ? "retry" : "refused", &gate);
	mode = zdu_upgrade_state(call.f, version);
	values[0] = gate.rule == NULL ? "admitted" : retry >= 0 ? "retry" : "refused";
	/* Not before it is past: one more look in between would be of no use. */
	values[1] = retry >= 0 ? psprintf("%g s", ceil(retry) + 1) : NULL;
	values[2] = gate.rule == NULL ? psprintf("%d", mode) : NULL;
	values[3] = gate.rule == NULL ? psprintf("%g s", call.f->heartbeat_ttl / 3) : NULL;
	values[4] = unconstify(char *, gate.rule);
	values[5] = unconstify(char *, gate.reason);
	zdu_call_end(&call);
	PG_RETURN_DATUM(HeapTupleGetDatum(BuildTupleFromCStrings(TupleDescGetAttInMetadata(BlessTupleDesc(desc)), values)));
}
