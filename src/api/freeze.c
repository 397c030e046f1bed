/*
 * freeze.c
 *	  Freezes and windows: made, forgotten.
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_set_freeze);
PG_FUNCTION_INFO_V1(zdu_drop_freeze);

static ZduQuery upsert_freeze = {
	.text =
	"INSERT INTO zdu.freeze AS z (name, cluster_id, kind, during, selector, owner, reason, set_at) "
	"SELECT $1, $2, coalesce($3, o.kind), coalesce($4, o.during), coalesce($5, o.selector, '{}'), coalesce($6, o.owner, session_user), "
	"  coalesce($7, o.reason), $8 "
	"FROM (SELECT) AS given LEFT JOIN zdu.freeze o ON o.name = $1 "
	"ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, during = excluded.during, selector = excluded.selector, owner = excluded.owner, "
	"  reason = excluded.reason, set_at = excluded.set_at "
	"WHERE z.cluster_id IS NOT DISTINCT FROM excluded.cluster_id AND (z.kind, z.during, z.selector, z.owner, z.reason) IS DISTINCT FROM "
	"  (excluded.kind, excluded.during, excluded.selector, excluded.owner, excluded.reason) RETURNING xmax = 0",
	.nargs = 8, .argtypes = {TEXTOID, INT8OID, TEXTOID, TSTZRANGEOID, JSONBOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery known_freeze = {
	.text =
	"SELECT c.name, z.during FROM zdu.freeze z LEFT JOIN zdu.cluster c ON c.cluster_id = z.cluster_id WHERE z.name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery delete_freeze = {
	.text = "DELETE FROM zdu.freeze WHERE name = $1 AND cluster_id IS NOT DISTINCT FROM $2",
	.nargs = 2, .argtypes = {TEXTOID, INT8OID}
};

/* A freeze that is there; known is false for one that is not. */
typedef struct Freeze
{
	bool		known;
	char	   *cluster;		/* NULL: of all */
	char	   *during;
} Freeze;

static Freeze
load(const char *name)
{
	Freeze		z = {0};
	ZduReader	r;

	zdu_run(&known_freeze, (ZduArg[]) {zdu_text(name)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return z;
	z.known = true;
	z.cluster = zdu_read_text(&r);
	z.during = zdu_read_text(&r);
	return z;
}

/* What the columns' CHECKs refuse gets a rule and a remedy. */
static void
explain_freeze(void *arg)
{
	errdetail("L22: kind is freeze or window, during is not empty, selector names product and owner; nothing was changed.");
	errhint("SELECT usage, \"when\" FROM zdu.help WHERE name = 'zdu_set_freeze'");
}

static void
bad_freeze(const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("freeze \"%s\" is not valid", name),
			 errdetail("L22: %s.", detail),
			 errhint("SELECT usage, \"when\" FROM zdu.help WHERE name = 'zdu_set_freeze'")));
}

/* The name may be another's, also since a moment ago: of that nobody's lock keeps anyone. */
static void
need_same_cluster(const char *name, const Freeze *z, const char *cluster)
{
	if (!z->known || (z->cluster == NULL && cluster == NULL) || (z->cluster != NULL && cluster != NULL && strcmp(z->cluster, cluster) == 0))
		return;
	bad_freeze(name, z->cluster == NULL ? "the name is taken by one of all clusters" : psprintf("the name is taken by one of cluster \"%s\"", z->cluster));
}

static void
no_such_freeze(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("freeze \"%s\" does not exist", name),
			 errdetail("L22: nothing was changed."),
			 errhint("SELECT name, kind, during FROM zdu.freeze")));
}

/* What concerns many clusters is for whoever may change all of them. */
static void
require_admin(const ZduCall *call, const char *cluster)
{
	if (cluster == NULL && !zdu_has_grant(call->session.caller, "admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for a freeze of more than one cluster"),
				 errdetail("L22: it takes the grant admin."),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_set_freeze'")));
}

/* Somebody waits for nothing any more, or from now on. */
static void
wake(ZduCall *call)
{
	if (call->f != NULL)
		zdu_set_work_waits(call->f, true);
	zdu_notify();
	zdu_call_end(call);
}

Datum
zdu_set_freeze(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_text(fcinfo, 0);
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *kind = zdu_arg_text(fcinfo, 2);
	char	   *reason = zdu_arg_text(fcinfo, 6);
	const char *result = "unchanged";
	Freeze		z;
	ZduCall		call;
	ZduReader	r;
	ErrorContextCallback explain = {error_context_stack, explain_freeze, NULL};

	zdu_call_begin(&call, "zdu_set_freeze", cluster);
	require_admin(&call, cluster);
	zdu_check_name("freeze", name);
	z = load(name);
	if (!z.known && (kind == NULL || PG_ARGISNULL(3) || reason == NULL))
		bad_freeze(name, "a new one wants kind, during and reason");
	need_same_cluster(name, &z, cluster);
	if (cluster != NULL && !PG_ARGISNULL(4))
		bad_freeze(name, "a selector chooses among all clusters, and one is named");

	error_context_stack = &explain;
	zdu_run(&upsert_freeze, (ZduArg[]) {
		zdu_text(name), call.f != NULL ? zdu_int8(call.f->cluster_id) : zdu_null(), zdu_text(kind),
		PG_ARGISNULL(3) ? zdu_null() : zdu_datum(PG_GETARG_DATUM(3), false),
		PG_ARGISNULL(4) ? zdu_null() : zdu_jsonb(PG_GETARG_JSONB_P(4)), zdu_text(zdu_arg_text(fcinfo, 5)),
		zdu_text(reason), zdu_time(zdu_now())
	});
	error_context_stack = explain.previous;
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		result = zdu_read_bool(&r) ? "created" : "changed";
		zdu_event_note(NULL, "freeze", z.during, psprintf("%s %s", name, result), "L22", reason);
	}
	else
	{
		z = load(name);
		need_same_cluster(name, &z, cluster);
	}
	wake(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* Returns whose freeze it is, NULL: of all; ERROR if there is none. */
static char *
cluster_of(const char *name)
{
	ZduCall		call;
	Freeze		z;

	zdu_call_look(&call, "zdu_drop_freeze", NULL);
	z = load(name);
	zdu_leave(&call.session);
	if (!z.known)
		no_such_freeze(name);
	return z.cluster;
}

Datum
zdu_drop_freeze(PG_FUNCTION_ARGS)
{
	char	   *name = zdu_arg_required(fcinfo, 0, "name");
	char	   *reason = zdu_arg_text(fcinfo, 1);
	char	   *cluster = cluster_of(name);
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_freeze", cluster);
	require_admin(&call, cluster);
	/* Since the look it may have become that of another cluster, over which the caller has no say. */
	if (zdu_run(&delete_freeze, (ZduArg[]) {zdu_text(name), call.f != NULL ? zdu_int8(call.f->cluster_id) : zdu_null()}) == 0)
		no_such_freeze(name);
	zdu_event_note(NULL, "freeze", name, "dropped", "L22", reason);
	wake(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}
