/*
 * freeze.c
 *	  Freezes and windows: made, forgotten.
 */
#include "api/api.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/calendar.h"
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
	"ON CONFLICT (name) DO UPDATE SET freeze_id = CASE WHEN z.selector = excluded.selector THEN z.freeze_id ELSE excluded.freeze_id END, "
	"  kind = excluded.kind, during = excluded.during, selector = excluded.selector, owner = excluded.owner, "
	"  reason = excluded.reason, set_at = excluded.set_at "
	"WHERE z.cluster_id IS NOT DISTINCT FROM excluded.cluster_id AND (z.kind, z.during, z.selector, z.owner, z.reason) IS DISTINCT FROM "
	"  (excluded.kind, excluded.during, excluded.selector, excluded.owner, excluded.reason) RETURNING xmax = 0",
	.nargs = 8, .argtypes = {TEXTOID, INT8OID, TEXTOID, TSTZRANGEOID, JSONBOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery known_freeze = {
	.text =
	"SELECT c.name, z.during, z.selector FROM zdu.freeze z LEFT JOIN zdu.cluster c ON c.cluster_id = z.cluster_id WHERE z.name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery delete_freeze = {
	.text = "DELETE FROM zdu.freeze WHERE name = $1 AND cluster_id IS NOT DISTINCT FROM $2",
	.nargs = 2, .argtypes = {TEXTOID, INT8OID}
};

/* Upgrades that one of all clusters may keep waiting: by its selector as it was, and as it is. */
static ZduQuery clusters_meant = {
	.text =
	"SELECT c.name FROM zdu.cluster c JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL "
	"WHERE EXISTS (SELECT FROM unnest(ARRAY[$1, $2]) AS s(selector) WHERE s.selector IS NOT NULL "
	"  AND coalesce(s.selector->>'product' = c.product, true) AND coalesce(s.selector->>'owner' = c.owner, true)) "
	"ORDER BY c.cluster_id",
	.nargs = 2, .argtypes = {JSONBOID, JSONBOID}
};

/* A freeze that is there; known is false for one that is not. */
typedef struct Freeze
{
	bool		known;
	char	   *cluster;		/* NULL: of all */
	char	   *during;
	Jsonb	   *selector;
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
	z.selector = zdu_read_jsonb(&r);
	return z;
}

/* What the columns' CHECKs refuse gets a rule and a remedy. */
static void
explain_freeze(void *arg)
{
	errdetail("L22: kind is freeze or window, during is not empty, selector names group, zone, role, label and, where no cluster is named, product and owner; nothing was changed.");
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

/* In one cluster somebody waits for nothing any more, or from now on. */
static void
take_effect(ZduFacts *f)
{
	zdu_calendar_settle(f);
	zdu_set_work_waits(f, true);
}

/*
 * The same in every cluster that is meant.  Whoever locks several locks them
 * by id, and nobody who holds one waits for another.
 */
static void
take_effect_everywhere(ZduCall *call, Jsonb *was, Jsonb *is)
{
	uint64		n = zdu_run(&clusters_meant, (ZduArg[]) {zdu_jsonb(was), zdu_jsonb(is)});
	ZduReader	r = zdu_reader();
	char	  **names = palloc(sizeof(char *) * (n + 1));

	for (uint64 i = 0; i < n && zdu_next_row(&r); i++)
		names[i] = zdu_read_text(&r);
	for (uint64 i = 0; i < n; i++)
	{
		ZduCall		one = *call;
		int64		upgrade_id;

		one.cluster = names[i];
		one.f = zdu_facts_locked(names[i]);
		upgrade_id = one.f->upgrade_id;
		take_effect(one.f);
		zdu_drive(&one);
		zdu_event_flush(one.cluster, upgrade_id, call->session.caller);
	}
}

/* Ends a call after a freeze was changed; was, is: its selector before and after, NULL: there is none. */
static void
end(ZduCall *call, Jsonb *was, Jsonb *is)
{
	if (call->f != NULL)
		take_effect(call->f);
	else
	{
		zdu_event_flush(NULL, 0, call->session.caller);
		take_effect_everywhere(call, was, is);
	}
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
	Jsonb	   *was;
	ZduCall		call;
	ZduReader	r;
	ErrorContextCallback explain = {error_context_stack, explain_freeze, NULL};

	zdu_call_begin(&call, "zdu_set_freeze", cluster);
	require_admin(&call, cluster);
	zdu_check_name("freeze", name);
	z = load(name);
	was = z.selector;
	if (!z.known && (kind == NULL || PG_ARGISNULL(3) || reason == NULL))
		bad_freeze(name, "a new one wants kind, during and reason");
	need_same_cluster(name, &z, cluster);

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
	z = load(name);
	need_same_cluster(name, &z, cluster);
	end(&call, was, z.selector);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* Returns the freeze, read without a lock; ERROR if there is none. */
static Freeze
look(const char *name)
{
	ZduCall		call;
	Freeze		z;

	zdu_call_look(&call, "zdu_drop_freeze", NULL);
	z = load(name);
	zdu_leave(&call.session);
	if (!z.known)
		no_such_freeze(name);
	return z;
}

Datum
zdu_drop_freeze(PG_FUNCTION_ARGS)
{
	char	   *name = zdu_arg_required(fcinfo, 0, "name");
	char	   *reason = zdu_arg_text(fcinfo, 1);
	Freeze		z = look(name);
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_freeze", z.cluster);
	require_admin(&call, z.cluster);
	/* Since the look it may have become that of another cluster, over which the caller has no say. */
	if (zdu_run(&delete_freeze, (ZduArg[]) {zdu_text(name), call.f != NULL ? zdu_int8(call.f->cluster_id) : zdu_null()}) == 0)
		no_such_freeze(name);
	zdu_event_note(NULL, "freeze", name, "dropped", "L22", reason);
	end(&call, z.selector, NULL);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}
