/*
 * gate.c
 *	  Gates: made, reached, looked at, opened.
 */
#include "api/gate.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/args.h"
#include "store/event.h"
#include "store/gate.h"
#include "store/vars.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_gate);
PG_FUNCTION_INFO_V1(zdu_drop_gate);

static ZduQuery upsert_gate = {
	.text =
	"INSERT INTO zdu.gate AS g (cluster_id, name, after, soak, probe, until, every, timeout, max_age, approval, on_fail) "
	"SELECT $1, $2, $3, coalesce($4, o.soak, '0'), coalesce($5, o.probe), coalesce($6, o.until), coalesce($7, o.every, '10 s'), "
	"  coalesce($8, o.timeout, '30 s'), coalesce($9, o.max_age, greatest('1 min', 3 * $7)), coalesce($10, o.approval, false), coalesce($11, o.on_fail, 'wait') "
	"FROM (SELECT) AS given LEFT JOIN zdu.gate o ON o.cluster_id = $1 AND o.name = $2 "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET after = excluded.after, soak = excluded.soak, probe = excluded.probe, until = excluded.until, "
	"  every = excluded.every, timeout = excluded.timeout, max_age = excluded.max_age, approval = excluded.approval, on_fail = excluded.on_fail "
	"WHERE g IS DISTINCT FROM excluded RETURNING xmax = 0",
	.nargs = 11,
	.argtypes = {INT8OID, TEXTOID, TEXTOID, INTERVALOID, JSONBOID, TEXTOID, INTERVALOID, INTERVALOID, INTERVALOID, BOOLOID, TEXTOID}
};

static ZduQuery known_gate = {
	.text = "SELECT after, until FROM zdu.gate WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery delete_gate = {
	.text = "DELETE FROM zdu.gate WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* A query's boolean column says it; its NULL is inconclusive. */
#define QUERY_PASSES "$.pass"

/* Reached, or not any more: its soak begins anew when all before it are well again. */
static void
note_reached(ZduFacts *f)
{
	bool		reached = f->gate.waits_for == NULL;

	if (f->gate.waived || reached == (f->gate.since != NULL))
		return;
	zdu_gate_reach(f, reached);
	zdu_event_note(NULL, "gate", psprintf("%s %s", f->gate.name, reached ? "ahead" : "reached"),
				   psprintf("%s %s", f->gate.name, reached ? "reached" : "ahead"), "L22",
				   reached ? "every node before it is done" : f->gate.waits_for);
	zdu_gate_first(f);
}

/* Workers look only while the answer is of use. */
static void
watch(ZduFacts *f)
{
	const ZduGate *g = &f->gate;
	bool		wanted = g->asks && !g->waived && g->waits_for == NULL && g->soak_left <= 0;

	if (wanted && g->watch_id == 0)
	{
		zdu_gate_watch(f);
		zdu_set_work_waits(f, true);
		zdu_notify();
	}
	else if (!wanted && g->watch_id != 0)
		zdu_gate_unwatch(f);
}

static void
open_gate(ZduFacts *f)
{
	const ZduGate *g = &f->gate;
	const char *reason = g->waived ? "waived" : g->seen != NULL ? g->seen : g->needs != NULL ? g->needs_is :
		g->approved ? "approved" : g->soak > 0 ? psprintf("soaked for %g s", g->soak) : "every node before it is done";

	zdu_event_note(NULL, "gate", psprintf("%s closed", g->name), psprintf("%s open", g->name), g->needs != NULL ? "M8" : "L22", reason);
	if (g->watch_id != 0)
		zdu_gate_unwatch(f);
	zdu_gate_open(f);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

/* D8: what prepares changes things too, so it waits like the first node. */
static void
prepare(ZduFacts *f)
{
	if (f->prepared || !zdu_decide_prepare(f) || !zdu_preparation_begin(f))
		return;
	zdu_set_work_waits(f, true);
	zdu_notify();
}

void
zdu_gates_advance(ZduFacts *f)
{
	ZduVerdict	v;

	/* L23: on the way back no gate matters. */
	if (f->upgrade_id == 0 || !zdu_upgrade_mode(f) || f->resume_to != RUN_RUNNING)
		return;
	while (f->gate.name != NULL)
	{
		note_reached(f);
		/* What is held or paused does not go on by itself. */
		if (f->run != RUN_RUNNING || !zdu_decide_gate(f, &v) || !zdu_gate_secure(f))
		{
			watch(f);
			break;
		}
		open_gate(f);
		zdu_gate_first(f);
	}
	if (f->run == RUN_RUNNING)
		prepare(f);
}

void
zdu_gate_saw(ZduFacts *f, const ZduWatchState *w)
{
	/* A query without a row is inconclusive whatever until makes of it, so the stored verdict is asked too. */
	char	   *on_fail = w->holds == ANSWER_NO && f->run == RUN_RUNNING ? zdu_gate_on_fail(f, w->name) : NULL;
	char	   *reason = psprintf("gate \"%s\" says no", w->name);

	if (on_fail == NULL || strcmp(on_fail, "wait") == 0)
		return;
	if (strcmp(on_fail, "rollback") == 0 && strcmp(f->rollback, "allow") == 0)
		(void) zdu_roll_back(f, reason);
	else
		zdu_upgrade_hold(f, "L22", reason);
}

/* What the columns' CHECKs refuse gets a rule and a remedy. */
static void
explain_gate(void *arg)
{
	errdetail("L22: a setting is out of its range, or two of them make no sense together; nothing was changed.");
	errhint("SELECT usage, \"when\" FROM zdu.help WHERE name = 'zdu_set_gate'");
}

static void
bad_gate(const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("gate \"%s\" is not valid", name),
			 errdetail("L22: %s", detail),
			 errhint("SELECT usage, \"when\" FROM zdu.help WHERE name = 'zdu_set_gate'")));
}

/* Returns a query as a probe; values come as parameters, and the service is the worker's own. */
static Jsonb *
probe_of_query(const char *service, const char *query, ArrayType *params)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	zdu_push_text(&state, "sql", query);
	zdu_push_text(&state, "conninfo", psprintf("service=%s", service));
	if (params != NULL)
	{
		Datum	   *values;
		bool	   *nulls;
		int			n;

		zdu_push_key(&state, "params");
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		deconstruct_array(params, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
		for (int i = 0; i < n; i++)
		{
			char	   *value = nulls[i] ? NULL : TextDatumGetCString(values[i]);
			JsonbValue	v = {.type = value == NULL ? jbvNull : jbvString};

			if (value != NULL)
			{
				v.val.string.val = value;
				v.val.string.len = strlen(value);
			}
			pushJsonbValue(&state, WJB_ELEM, &v);
		}
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static ZduArg
optional(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? zdu_null() : zdu_datum(PG_GETARG_DATUM(n), false);
}

Datum
zdu_set_gate(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *after = zdu_arg_text(fcinfo, 2);
	char	   *service = zdu_arg_text(fcinfo, 4);
	char	   *query = zdu_arg_text(fcinfo, 5);
	Jsonb	   *probe = zdu_arg_jsonb(fcinfo, 7);
	char	   *until = zdu_arg_text(fcinfo, 8);
	const char *result = "unchanged";
	char	   *old_until = NULL;
	ZduCall		call;
	ZduReader	r;
	ErrorContextCallback explain = {error_context_stack, explain_gate, NULL};

	zdu_call_begin(&call, "zdu_set_gate", cluster);
	zdu_check_name("gate", name);
	zdu_run(&known_gate, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		char	   *old_after = zdu_read_text(&r);

		after = after != NULL ? after : old_after;
		old_until = zdu_read_text(&r);
	}
	if (after == NULL)
		bad_gate(name, "a new gate wants to know behind which nodes it stands: after => 'canary', '1', '25%', 'begin' or 'end'.");
	if ((service == NULL) != (query == NULL) || (query != NULL && probe != NULL) || (query == NULL && !PG_ARGISNULL(6)))
		bad_gate(name, "a query, with params if it has any, goes with the service by which a worker reaches its database, and not with a probe.");
	if (query != NULL)
	{
		zdu_check_name("service", service);
		probe = probe_of_query(service, query, PG_ARGISNULL(6) ? NULL : PG_GETARG_ARRAYTYPE_P(6));
		until = until != NULL ? until : QUERY_PASSES;
	}
	if (probe != NULL && !JB_ROOT_IS_OBJECT(probe))
		bad_gate(name, "the probe is not a JSON object.");
	if (probe != NULL && until == NULL)
		until = unconstify(char *, zdu_until_default(&probe->root));
	if (until != NULL && probe == NULL && old_until == NULL)
		bad_gate(name, "until says what a query or a probe must see, and there is none.");
	zdu_probe_check(psprintf("gate \"%s\" of cluster \"%s\"", name, cluster), "SELECT usage, \"when\" FROM zdu.help WHERE name = 'zdu_set_gate'",
					probe, until, zdu_vars_load(call.f, 0));

	error_context_stack = &explain;
	zdu_run(&upsert_gate, (ZduArg[]) {
		zdu_int8(call.f->cluster_id), zdu_text(name), zdu_text(after), optional(fcinfo, 3), zdu_jsonb(probe), zdu_text(until),
		optional(fcinfo, 9), optional(fcinfo, 10), optional(fcinfo, 11), optional(fcinfo, 12), optional(fcinfo, 13)
	});
	error_context_stack = explain.previous;
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		result = zdu_read_bool(&r) ? "created" : "changed";
		zdu_event_note(NULL, "set_gate", NULL, psprintf("%s %s", name, result), "L22", NULL);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_gate(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_gate", cluster);
	if (zdu_run(&delete_gate, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("gate \"%s\" of cluster \"%s\" does not exist", name, cluster),
				 errdetail("L22: nothing was changed."),
				 errhint("SELECT name FROM zdu.gate")));
	zdu_event_note(NULL, "set_gate", name, "dropped", "L22", NULL);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}
