/*
 * why.c
 *	  What it waits for and what to type next.
 *
 * The answers come from the predicates that decide, asked of the same facts.
 */
#include "api/api.h"

#include "access/xlog.h"
#include "api/expect.h"
#include "api/plan.h"
#include "api/preflight.h"
#include "api/refuse.h"
#include "api/take.h"
#include "api/why.h"
#include "catalog/pg_type.h"
#include "core/protocol.h"
#include "funcapi.h"
#include "store/gate.h"
#include "store/document.h"
#include "store/node.h"
#include "store/placement.h"
#include "store/queue.h"
#include "store/step.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_why);
PG_FUNCTION_INFO_V1(zdu_waits_for);

/* Service in words: "2 at 2.4.0, 2 at 2.3.1". */
static ZduQuery serving_versions = {
	.text =
	"SELECT string_agg(v.n || ' at ' || coalesce(v.version::text, 'a version not seen'), ', ' ORDER BY v.version DESC NULLS LAST) "
	"FROM (SELECT version, sum(n) AS n FROM zdu.node_count WHERE cluster_id = $1 AND state = 'ACTIVE' AND in_rotation AND n > 0 GROUP BY version) v",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery steps_in_flight = {
	.text =
	"SELECT coalesce(n.name || ' ', '') || s.title, s.state, "
	"  CASE WHEN s.phase = 'drain' AND s.evidence ? 'scur' THEN (s.evidence->>'scur') || ' requests left' || coalesce(', ' || nullif(s.evidence->>'qcur', '0') || ' in its queue', '') "
	"       WHEN s.stage = 'end' THEN 'is being ended' "
	"       WHEN s.state = 'unknown' THEN 'its worker is unheard' || CASE WHEN s.not_before > $3 THEN "
	"         ', somebody looks in ' || ceil(s.not_before - $3) || ' s, when what it began is over' ELSE '' END "
	"       WHEN s.phase = 'soak' THEN 'must stay healthy for ' || s.hold_for || ' s' "
	"       ELSE CASE s.stage WHEN 'act' THEN 'at work' WHEN 'verify' THEN 'not yet seen to be done' ELSE 'looking' END END || CASE WHEN s.attempt > 1 THEN ', attempt ' || s.attempt ELSE '' END, s.started_at, n.name "
	"FROM zdu.step s LEFT JOIN zdu.node n ON n.node_id = s.node_id "
	"WHERE s.cluster_id = $1 AND NOT s.settled AND (s.state IN ('running', 'unknown') OR (s.state = 'pending' AND s.attempt > 0)) "
	"AND ($2::text IS NULL OR n.name = $2) AND (s.upgrade_id IS NOT NULL OR n.attached OR n.in_rotation) ORDER BY s.started_at, s.step_id LIMIT 20",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, FLOAT8OID}
};

/* Copies that must leave nodes whose drain runs: what it waits for. */
static ZduQuery copies_remaining = {
	.text =
	"SELECT m.node, count(*)::integer, min(m.resource) FROM zdu.remaining m WHERE m.cluster = $1 AND ($2::text IS NULL OR m.node = $2) "
	"GROUP BY m.node ORDER BY m.node LIMIT 20",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

static ZduQuery steps_failed = {
	.text =
	"SELECT coalesce(n.name || ' ', '') || s.title, left(coalesce(s.evidence::text, 'nothing was seen') || coalesce('; ' || right(rtrim(s.log, E'\\n'), 160), ''), 400), "
	"  left(s.until, 120), s.ended_at, n.name, s.attempt "
	"FROM zdu.step s LEFT JOIN zdu.node n ON n.node_id = s.node_id "
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.state = 'failed' AND ($2::text IS NULL OR n.name = $2) ORDER BY s.ended_at, s.step_id",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery last_worker = {
	.text =
	"SELECT count(*) FILTER (WHERE asked > $2 - make_interval(secs => $3))::integer, "
	"  extract(epoch FROM $2 - max(asked))::integer, max(asked) FROM zdu.worker WHERE cluster_id = $1",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

/* Programs that no worker which is listening has, for the runbook or for gates; a protocol counts as one. */
static ZduQuery missing_programs = {
	.text =
	"WITH look AS (SELECT probe AS args FROM zdu.gate WHERE cluster_id = $1 AND $8 = 0 AND probe IS NOT NULL "
	"  UNION ALL SELECT look FROM zdu.upgrade_gate WHERE upgrade_id = $8 AND opened_at IS NULL AND look IS NOT NULL), "
	"wanted AS (SELECT e #>> '{}' AS program FROM zdu.runbook r, jsonb_path_query(r.document, '$.**.exec') AS e "
	"  WHERE r.name = $2 AND r.revision = $3 AND r.shipped = $4 UNION SELECT e #>> '{}' FROM look, jsonb_path_query(look.args, '$.**.exec') AS e "
	"  UNION SELECT 'protocol/' || $5 WHERE $5 > 1 UNION SELECT 'protocol/' || $9 FROM look) "
	"SELECT string_agg(w.program, ', ' ORDER BY w.program) FROM wanted w WHERE NOT EXISTS "
	"(SELECT FROM zdu.worker k WHERE k.cluster_id = $1 AND k.asked > $6 - make_interval(secs => $7) AND w.program = ANY (k.programs))",
	.nargs = 9, .argtypes = {INT8OID, TEXTOID, INT4OID, BOOLOID, INT4OID, TIMESTAMPTZOID, FLOAT8OID, INT8OID, INT4OID}
};

static ZduQuery side_by_side = {
	.text = "SELECT verdict, rule, subject, observed, since, hint FROM zdu.beside WHERE cluster_id = $1 ORDER BY ord, subject",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Guards that are not well, whether or not they count. */
static ZduQuery guards_unwell = {
	.text =
	"SELECT coalesce(n.name || ' ', '') || w.name, CASE WHEN w.armed THEN w.failed || ' looks in a row: ' "
	"    ELSE 'not well before, it counts once it has been: ' END || left(coalesce(w.evidence::text, 'nothing was seen'), 120), "
	"  left(w.until, 120), w.seen_at "
	"FROM zdu.watch w LEFT JOIN zdu.node n ON n.node_id = w.node_id "
	"WHERE w.cluster_id = $1 AND w.upgrade_id = $2 AND w.kind = 'guard' AND w.holds IS NOT TRUE AND w.seen_at IS NOT NULL "
	"AND ($3::text IS NULL OR n.name = $3) ORDER BY w.name, n.name LIMIT 20",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, TEXTOID}
};

static ZduQuery held_since = {
	.text = "SELECT run_since FROM zdu.upgrade WHERE upgrade_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery undo_since = {
	.text =
	"SELECT 1 FROM zdu.step b WHERE b.upgrade_id = $1 AND b.node_id IS NULL AND b.phase = 'before' AND b.started_at IS NOT NULL AND EXISTS "
	"(SELECT FROM zdu.runbook r JOIN zdu.upgrade u ON u.runbook = r.name AND u.revision = r.revision AND u.runbook_shipped = r.shipped "
	" WHERE u.upgrade_id = $1 AND r.document @? '$.before[*].undo') LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

void
zdu_why_put(ZduWhy *a, const char *verdict, const char *rule, const char *subject, const char *observed, const char *allowed,
	const char *since, const char *hint)
{
	const char *row[] = {verdict, rule, subject, observed, allowed, since, hint != NULL && hint[0] != '\0' ? hint : NULL};

	if (a->first == NULL && strcmp(verdict, "no") == 0)
		a->first = psprintf("%s%s%s", rule != NULL ? rule : "", rule != NULL ? ": " : "", observed);
	if (a->rsinfo != NULL && (a->every || strcmp(verdict, "yes") != 0))
		zdu_put_row(a->rsinfo, row);
}

/* Nothing can happen without somebody to do it: that comes first. */
static void
why_workers(ZduWhy *a, ZduFacts *f, const ZduRunbook *rb)
{
	ZduReader	r;
	int			listening;
	char	   *ago;
	char	   *since;
	char	   *missing;
	int			protocol;

	if (rb == NULL)
		return;
	zdu_run(&last_worker, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_float8(f->lease)});
	r = zdu_reader();
	(void) zdu_next_row(&r);
	listening = zdu_read_int4(&r);
	ago = zdu_read_text(&r);
	since = zdu_read_text(&r);
	zdu_why_put(a, listening > 0 ? "yes" : "no", "W4", "worker",
		listening > 0 ? psprintf("%d listening", listening) :
		ago != NULL ? psprintf("no worker has asked for %s s", ago) : "no worker has ever asked",
		"at least 1", listening > 0 ? NULL : since, listening > 0 ? NULL : "$ systemctl start zdu-worker");
	if (listening == 0)
		return;
	protocol = zdu_protocol_needed(&rb->document->root);
	if (zdu_runbook_has(rb, "guard", NULL) || zdu_runbook_has(rb, "schema", NULL) || zdu_runbook_has(rb, "placements", NULL))
		protocol = Max(protocol, ZDU_PROTOCOL_WATCHES);
	zdu_run(&missing_programs, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(rb->name), zdu_int4(rb->revision), zdu_bool(rb->shipped), zdu_int4(protocol),
		zdu_time(zdu_now()), zdu_float8(f->lease), zdu_int8(f->upgrade_id), zdu_int4(ZDU_PROTOCOL_WATCHES)
	});
	missing = zdu_first_text();
	if (missing != NULL && strncmp(missing, "protocol/", 9) == 0)
		zdu_why_put(a, "no", "M6", "programs", psprintf("no worker speaks %s, which %s needs", missing, protocol > 1 ? psprintf("runbook \"%s\"", rb->name) : "a gate"), NULL, NULL,
			"SELECT extversion FROM pg_extension WHERE extname = 'zdu' -- and zdu_worker of that version");
	else
		zdu_why_put(a, missing == NULL ? "yes" : "no", "W4", "programs",
			missing == NULL ? "installed" : psprintf("no worker has the program %s", missing), NULL, NULL,
			missing == NULL ? NULL : "$ zdu_worker CONNINFO --runbooks DIR");
}

static void
why_service(ZduWhy *a, ZduFacts *f)
{
	char	   *versions;
	const char *safe = NULL;

	zdu_run(&serving_versions, (ZduArg[]) {zdu_int8(f->cluster_id)});
	versions = zdu_first_text();
	if (f->run == RUN_HELD || f->run == RUN_PAUSED)
	{
		bool		undo = f->undo_open > 0 || zdu_run(&undo_since, (ZduArg[]) {zdu_int8(f->upgrade_id)}) > 0;

		safe = f->serving == 0 ? "nobody serves: act now" :
			undo ? "the preparation is still in force, its undo comes at the end" : "held is safe; zdu does nothing by itself";
	}
	zdu_why_put(a, "info", NULL, "service", psprintf("%d/%d serve%s%s", f->serving, f->total, versions != NULL ? ": " : "", versions != NULL ? versions : ""),
		NULL, NULL, safe);
}

/* What was told already: of several nodes that wait most wait for the same. */
typedef struct Refusals
{
	int			n;
	char	   *text[20];
} Refusals;

/* Notes a verdict; returns false if the same was told before, or too many were. */
static bool
first_time(Refusals *told, const ZduVerdict *v)
{
	char	   *text = psprintf("%s %s %s", v->subject, v->observed, v->allowed);

	for (int i = 0; i < told->n; i++)
		if (strcmp(told->text[i], text) == 0)
			return false;
	if (told->n == lengthof(told->text))
		return false;
	told->text[told->n++] = text;
	return true;
}

static void
put_verdicts(ZduWhy *a, const ZduFacts *f, const ZduVerdict *v, int n, Refusals *told)
{
	for (int i = 0; i < n; i++)
	{
		const char *since = v[i].since;

		if (v[i].answer != ANSWER_YES && strcmp(v[i].subject, "not_held") == 0)
		{
			zdu_run(&held_since, (ZduArg[]) {zdu_int8(f->upgrade_id)});
			since = zdu_first_text();
		}
		/* A held upgrade is told by its reason; the count behind it says nothing more. */
		if (f->run == RUN_HELD && strcmp(v[i].subject, "failures_left") == 0 && !a->every)
			continue;
		if (!first_time(told, &v[i]))
			continue;
		zdu_why_put(a, v[i].answer == ANSWER_YES ? "yes" : "no", v[i].rule, v[i].subject, v[i].observed,
			v[i].allowed[0] != '\0' ? v[i].allowed : NULL, since, v[i].hint);
	}
}

/* Tells what is decided about a node, if it is allowed or also if not; returns whether it is. */
static bool
why_node(ZduWhy *a, ZduFacts *f, const ZduNode *node, Refusals *told, bool also_not)
{
	ZduCandidate c = zdu_node_candidate(f, node);
	ZduVerdict	v[ZDU_PREDICATES];
	bool		allowed;
	int			n = zdu_decide_take(f, &c, v, &allowed);

	if (allowed || also_not)
		put_verdicts(a, f, v, n, told);
	return allowed;
}

/* What is refused to every node alike. */
static void
why_everybody(ZduWhy *a, ZduFacts *f, Refusals *told)
{
	ZduVerdict	v[ZDU_PREDICATES];
	bool		allowed;
	int			n = zdu_decide_take(f, NULL, v, &allowed);

	put_verdicts(a, f, v, n, told);
}

static void
why_take(ZduWhy *a, ZduFacts *f, const char *only)
{
	int			n;
	ZduNode    *nodes;
	Refusals	told = {0};

	if (!f->driven)
	{
		/* People take the nodes: only what stops them all is told. */
		if (f->run == RUN_HELD || f->run == RUN_PAUSED || !f->adopted)
			why_everybody(a, f, &told);
		return;
	}
	if (only != NULL)
		nodes = zdu_take_only(f, only, &n);
	else
	{
		/* What the exchange would decide about next; if that is nothing, why it is not. */
		nodes = zdu_nodes_next(f, 1, &n);
		zdu_copies_load(f, nodes, n);
		for (int i = 0; i < n; i++)
			if (why_node(a, f, &nodes[i], &told, false))
				return;
		nodes = zdu_nodes_heads(f, &n);
		zdu_copies_load(f, nodes, n);
	}
	for (int i = 0; i < n && told.n < lengthof(told.text); i++)
		(void) why_node(a, f, &nodes[i], &told, true);
	/* With nothing left to take a full budget is no reason for anything. */
	if (n == 0 && (f->run == RUN_HELD || f->run == RUN_PAUSED || !f->adopted))
		why_everybody(a, f, &told);
}

static void
why_guards(ZduWhy *a, const ZduFacts *f, const char *only)
{
	ZduReader	r;

	zdu_run(&guards_unwell, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id), zdu_text(only)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *title = zdu_read_text(&r);
		char	   *observed = zdu_read_text(&r);
		char	   *until = zdu_read_text(&r);

		zdu_why_put(a, "info", "S6", title, observed, until, zdu_read_text(&r), NULL);
	}
}

static void
why_steps(ZduWhy *a, ZduFacts *f, const char *only)
{
	ZduReader	r;

	zdu_run(&steps_failed, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(only)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *title = zdu_read_text(&r);
		char	   *evidence = zdu_read_text(&r);
		char	   *until = zdu_read_text(&r);
		char	   *since = zdu_read_text(&r);
		char	   *node = zdu_read_text(&r);

		zdu_why_put(a, "info", "W6", title, psprintf("attempt %d: %s", zdu_read_int4(&r), evidence), until, since,
			node != NULL ? psprintf("SELECT * FROM zdu_log('%s', node => '%s')", f->name, node) : psprintf("SELECT * FROM zdu_log('%s')", f->name));
	}
	zdu_run(&steps_in_flight, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(only), zdu_float8(f->listened)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *title = zdu_read_text(&r);
		char	   *state = zdu_read_text(&r);
		char	   *observed = zdu_read_text(&r);
		char	   *since = zdu_read_text(&r);

		zdu_why_put(a, "info", "W1", title, psprintf("%s: %s", state, observed), NULL, since, NULL);
		if (a->first == NULL)
			a->first = psprintf("%s: %s", title, observed);
	}
}

static void
why_copies(ZduWhy *a, ZduFacts *f, const char *only)
{
	ZduReader	r;

	if (!f->has_copies || f->min_availability == AVAILABILITY_NONE)
		return;
	zdu_run(&copies_remaining, (ZduArg[]) {zdu_text(f->name), zdu_text(only)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *node = zdu_read_text(&r);
		int			n = zdu_read_int4(&r);
		char	   *resource = zdu_read_text(&r);

		zdu_why_put(a, "info", "D9", psprintf("%s drain", node), n == 1 ? psprintf("its copy of %s must leave first", resource) :
			psprintf("%d copies must leave first, that of %s among them", n, resource), "0", NULL,
			psprintf("SELECT * FROM zdu.remaining WHERE cluster = '%s' AND node = '%s'", f->name, node));
	}
}

/* What nodes and applications meet while two versions run, or have left behind. */
static void
why_beside(ZduWhy *a, const ZduFacts *f)
{
	ZduReader	r;

	zdu_run(&side_by_side, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *cells[6];

		for (int i = 0; i < lengthof(cells); i++)
			cells[i] = zdu_read_text(&r);
		zdu_why_put(a, cells[0], cells[1], cells[2], cells[3], NULL, cells[4], cells[5]);
	}
}

/* May an upgrade begin?  All that would be refused, and what would be in its way, without doing it. */
static void
why_begin(ZduWhy *a, ZduCall *call, const ZduWish *wish)
{
	ZduFacts   *f = call->f;
	ZduBegin	b = zdu_check_begin(call, wish);
	ZduPlan    *plan;
	ListCell   *cell;

	if (b.refusal.rule != NULL && b.refusals == NIL)
		b.refusals = list_make1(&b.refusal);
	foreach(cell, b.refusals)
	{
		const ZduRefusal *r = lfirst(cell);

		zdu_why_put(a, "no", r->rule, "may begin", r->observed, r->allowed, NULL, r->hint);
	}
	if (f->total == 0)
		return;
	plan = zdu_plan_make(f, &(ZduPlanWish) {.target = b.target, .node_group = wish->node_group, .canary = Max(wish->canary, 0)});
	foreach(cell, zdu_preflight(f, &b, plan))
	{
		const ZduRefusal *r = lfirst(cell);

		zdu_why_put(a, "no", r->rule, "in its way", r->observed, r->allowed, NULL, r->hint);
	}
	if (b.refusals == NIL && a->rsinfo != NULL)
	{
		const char *row[] = {
			"yes", NULL, "may begin", psprintf("%s -> %s: %s", f->version, b.target != NULL ? b.target : "?", zdu_expect_text(f, plan)), NULL, NULL,
			psprintf("SELECT zdu_begin(%s%s%s%s)", zdu_wish_args(f, wish, b.target),
					 wish->plan != NULL ? psprintf(", plan => %s", quote_literal_cstr(wish->plan)) : "",
					 strcmp(f->cancel, "never") == 0 ? ", acknowledge => true" : "",
					 wish->kind != NULL ? psprintf(", kind => %s", quote_literal_cstr(wish->kind)) : "")
		};

		zdu_put_row(a->rsinfo, row);
	}
}

/* What a standby says is as old as what it has replayed. */
static void
why_standby(ZduWhy *a, const ZduFacts *f)
{
	TimestampTz as_of = zdu_as_of();

	if (as_of != 0)
		zdu_why_put(a, "info", NULL, "standby", "this server only follows", NULL, timestamptz_to_str(as_of), "connect to the primary to change anything");
	else if (RecoveryInProgress())
		zdu_why_put(a, "info", NULL, "standby", "this server only follows, and has replayed nothing yet", NULL, NULL, "connect to the primary to change anything");
}

static void
explain(ZduWhy *a, ZduCall *call, const char *node, const ZduWish *wish)
{
	ZduFacts   *f = call->f;
	ZduRunbook *rb = zdu_runbook_load(f);

	if (node != NULL)
		(void) zdu_node_known(f, node);
	/* What the next exchange finds open is open. */
	zdu_gate_look_on(f);
	why_standby(a, f);
	if (f->upgrade_id != 0 || wish != NULL)
		why_workers(a, f, rb);
	if (wish != NULL)
	{
		why_begin(a, call, wish);
		return;
	}
	why_service(a, f);
	/* Of a run that goes on the line in zdu.status tells what is in flight, not that the budget is used by it. */
	if (a->rsinfo == NULL && f->run == RUN_RUNNING && f->adopted)
		why_steps(a, f, node);
	if (f->upgrade_id != 0)
		why_take(a, f, node);
	why_steps(a, f, node);
	if (a->rsinfo != NULL && f->watched)
		why_guards(a, f, node);
	if (a->rsinfo != NULL && node == NULL)
		why_beside(a, f);
	if (a->rsinfo != NULL)
		why_copies(a, f, node);
	/* In zdu.status one line is enough; what can be done takes a look at every node. */
	if (f->upgrade_id != 0 && (a->rsinfo != NULL || a->first == NULL))
		zdu_advise(a, call, node);
}

Datum
zdu_why(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduWhy		a = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo, .every = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3)};
	ZduWish		wish = {
		.target = zdu_arg_text(fcinfo, 2), .node_group = zdu_arg_text(fcinfo, 4), .canary = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT32(5),
		.plan = zdu_arg_text(fcinfo, 6), .kind = zdu_arg_text(fcinfo, 7), .acknowledge = true, .every = true
	};
	bool		preflight = wish.target != NULL || wish.node_group != NULL || !PG_ARGISNULL(5) || wish.plan != NULL || wish.kind != NULL;
	ZduCall		call;

	InitMaterializedSRF(fcinfo, 0);
	zdu_call_look(&call, "zdu_why", cluster);
	if (call.f == NULL)
		zdu_no_such_cluster(cluster);
	explain(&a, &call, zdu_arg_text(fcinfo, 1), preflight ? &wish : NULL);
	zdu_leave(&call.session);
	return (Datum) 0;
}

Datum
zdu_waits_for(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduWhy		a = {0};
	ZduCall		call;
	const char *result;

	zdu_call_look(&call, "zdu_waits_for", cluster);
	if (call.f != NULL && call.f->upgrade_id != 0)
		explain(&a, &call, NULL, NULL);
	result = a.first;
	if (result != NULL && call.f->run == RUN_HELD)
		result = psprintf("%s: %s; SELECT * FROM zdu_why('%s')", call.f->held_rule, call.f->held_reason, cluster);
	zdu_leave(&call.session);
	if (RecoveryInProgress())
		result = psprintf("as of %s%s%s", zdu_as_of() != 0 ? timestamptz_to_str(zdu_as_of()) : "the backup",
						  result != NULL ? ": " : "", result != NULL ? result : "");
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
