/*
 * expect.c
 *	  How long it will take.
 */
#include "api/expect.h"

#include <math.h>

#include "api/plan.h"
#include "catalog/pg_type.h"
#include "store/pace.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_expected);
PG_FUNCTION_INFO_V1(zdu_eta);

/* Nodes that wait under each limit, the policy's own first; forward they lack the version, back they must return to it. */
#define WAITING(counted) \
	"WITH waiting AS (" counted "), " \
	"own AS (SELECT e.budget_id, sum(w.n) AS total, coalesce(sum(w.n) FILTER (WHERE w.waits), 0) AS n FROM waiting w CROSS JOIN LATERAL " \
	"  (SELECT unnest(w.budgets) UNION ALL SELECT a.budget_id FROM zdu.budget a WHERE a.cluster_id = $1 AND a.selector = '{}') AS e(budget_id) GROUP BY e.budget_id) " \
	"SELECT $4::text, coalesce(sum(w.n), 0)::integer, coalesce(sum(w.n) FILTER (WHERE w.waits), 0)::integer, 0, 0::double precision FROM waiting w " \
	"UNION ALL SELECT b.max_unavailable, o.total::integer, o.n::integer, coalesce(b.max_begun, 0), " \
	"  coalesce(extract(epoch FROM b.per_interval), 0)::double precision " \
	"FROM own o JOIN zdu.budget b ON b.budget_id = o.budget_id"

static ZduQuery waiting_nodes = {
	.text = WAITING(
	"SELECT k.budgets, k.n, NOT k.taken AND CASE WHEN $3 THEN k.version <> $2::zdu_version "
	"    ELSE k.version IS DISTINCT FROM $2::zdu_version END AS waits "
	"FROM zdu.node_count k WHERE k.cluster_id = $1 AND k.n > 0"),
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, BOOLOID, TEXTOID}
};

/* Of one group only: the counts know no groups. */
static ZduQuery waiting_nodes_of_group = {
	.text = WAITING(
	"SELECT n.budgets, count(*) AS n, NOT n.taken AND n.turn IS NOT NULL AND $2::text IS NOT NULL AND $3 IS NOT NULL AS waits "
	"FROM zdu.node n WHERE n.cluster_id = $1 GROUP BY n.budgets, 3"),
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, BOOLOID, TEXTOID}
};

static ZduQuery limited_to_group = {
	.text = "SELECT 1 FROM zdu.upgrade WHERE upgrade_id = $1 AND node_group IS NOT NULL",
	.nargs = 1, .argtypes = {INT8OID}
};

/* How long ago the last of those in flight was taken. */
static ZduQuery youngest_taken = {
	.text = "SELECT extract(epoch FROM $2 - max(begun_at))::double precision FROM zdu.node WHERE cluster_id = $1 AND away AND taken",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
};

/*
 * Behind which places gates are still shut, and what they want as a soak; how
 * long they want for anything else nobody knows.  Last the place of the last node.
 */
static ZduQuery gates_left = {
	.text =
	"SELECT place, max(CASE WHEN reached IS NULL THEN soak ELSE greatest(reached + soak - $3, 0) END)::double precision "
	"FROM zdu.upgrade_gate WHERE upgrade_id = $1 AND opened_at IS NULL AND place < 2147483647 GROUP BY place "
	"UNION ALL (SELECT place, 0 FROM zdu.node WHERE cluster_id = $2 AND heading IS NOT NULL AND place < 2147483647 ORDER BY place DESC LIMIT 1) ORDER BY 1",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, FLOAT8OID}
};

/* Nodes that wait under one limit. */
typedef struct Waiting
{
	int			at_once;		/* 0: any number */
	int			nodes;
	int			max_begun;		/* 0: any number */
	double		interval;
} Waiting;

/* What shut gates make of the nodes that wait: no wave begins before the last one is over. */
typedef struct Waves
{
	int			n;
	double	   *share;			/* of all that wait */
	double		soaks;			/* seconds */
} Waves;

static int
rounds(int nodes, int at_once)
{
	return (nodes + at_once - 1) / at_once;
}

/* ", about 15 min" */
static const char *
about(double seconds)
{
	if (seconds < 10)
		return psprintf(", about %.0f s", seconds);
	if (seconds < 90)
		return psprintf(", about %.0f s", rint(seconds / 10) * 10);
	if (seconds < 90 * 60)
		return psprintf(", about %.0f min", seconds / 60);
	return psprintf(", about %.0f h", seconds / 3600);
}

const char *
zdu_expect_text(const ZduFacts *f, const ZduPlan *plan)
{
	bool		known = f->runbook != NULL && plan->unknown == 0 && plan->pack.taken == plan->pack.nnodes;

	return psprintf("%d nodes, %d at a time%s", plan->pack.nnodes, plan->at_once, known ? about(plan->pack.makespan) : "");
}

const char *
zdu_expect_nodes(const ZduFacts *f, int nodes)
{
	double		pace = f->runbook != NULL ? zdu_pace(f) : -1;

	return pace < 0 ? "" : about(rounds(nodes, zdu_limit_resolve(f->max_unavailable, f->total)) * pace);
}

/* Where `waiting` nodes wait; a budget's are taken to be in each wave by the same share. */
static Waves
waves_left(const ZduFacts *f, int waiting)
{
	uint64		rows = zdu_run(&gates_left, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_int8(f->cluster_id), zdu_float8(f->listened)});
	ZduReader	r = zdu_reader();
	Waves		w = {.n = 1, .share = palloc0(sizeof(double) * (rows + 1))};
	int			before = 0;

	w.share[0] = 1;
	for (uint64 i = 0; i < rows && zdu_next_row(&r); i++)
	{
		int			place = zdu_read_int4(&r);

		/* Behind the gate before, which is the first of all when i is 0. */
		if (i > 0 && waiting > 0)
		{
			w.share[w.n] = Min((double) (place - before) / waiting, w.share[0]);
			w.share[0] -= w.share[w.n++];
		}
		before = place;
		w.soaks += zdu_read_float8(&r, 0);
	}
	return w;
}

static double
rounds_left(const Waves *w, const Waiting *k)
{
	double		n = 0;

	for (int i = 0; i < w->n; i++)
		n += ceil(k->nodes * w->share[i] / k->at_once - 1e-9);
	return n;
}

/*
 * Seconds that are left, negative: nobody knows.  Not a plan, which reads
 * every node: the rounds, or the rate, that the fullest budget still needs,
 * after what is in flight, wave by wave.
 */
static double
seconds_left(const ZduFacts *f)
{
	bool		back = f->run == RUN_ROLLING_BACK;
	bool		grouped = zdu_run(&limited_to_group, (ZduArg[]) {zdu_int8(f->upgrade_id)}) > 0;
	double		pace = zdu_pace(f);
	double		longest = 0;
	double		in_flight;
	uint64		n;
	Waiting    *waiting;
	Waves		waves = {.n = 1, .share = (double[]) {1}};
	ZduReader	r;

	if (pace < 0)
		return -1;
	n = zdu_run(grouped ? &waiting_nodes_of_group : &waiting_nodes, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(back ? f->original : f->target), zdu_bool(back), zdu_text(f->max_unavailable)
	});
	waiting = palloc(sizeof(Waiting) * (n + 1));
	r = zdu_reader();
	for (uint64 i = 0; i < n && zdu_next_row(&r); i++)
	{
		char	   *limit = zdu_read_text(&r);
		int			total = zdu_read_int4(&r);

		waiting[i].at_once = limit != NULL ? zdu_limit_resolve(limit, total) : 0;
		waiting[i].nodes = zdu_read_int4(&r);
		waiting[i].max_begun = zdu_read_int4(&r);
		waiting[i].interval = zdu_read_float8(&r, 0);
	}
	if (!back)
		waves = waves_left(f, waiting[0].nodes);
	for (uint64 i = 0; i < n; i++)
	{
		const Waiting *k = &waiting[i];

		if (k->at_once > 0)
			longest = Max(longest, rounds_left(&waves, k) * pace);
		if (k->max_begun > 0 && k->nodes > 0)
			longest = Max(longest, (rounds(k->nodes, k->max_begun) - 1) * k->interval + pace);
	}
	zdu_run(&youngest_taken, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now())});
	r = zdu_reader();
	in_flight = zdu_next_row(&r) ? zdu_read_float8(&r, pace) : pace;
	return longest + Max(pace - in_flight, 0) + waves.soaks;
}

Datum
zdu_expected(PG_FUNCTION_ARGS)
{
	ZduCall		call;
	double		seconds = -1;

	zdu_call_look(&call, "zdu_expected", text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (call.f != NULL)
		seconds = zdu_pace(call.f);
	zdu_leave(&call.session);
	if (seconds < 0)
		PG_RETURN_NULL();
	return zdu_seconds(seconds);
}

Datum
zdu_eta(PG_FUNCTION_ARGS)
{
	ZduCall		call;
	double		seconds = -1;

	zdu_call_look(&call, "zdu_eta", text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (call.f != NULL && call.f->driven && (call.f->run == RUN_RUNNING || call.f->run == RUN_ROLLING_BACK) && call.f->upgrade_id != 0)
		seconds = seconds_left(call.f);
	zdu_leave(&call.session);
	/* With nothing left to take it waits for people, and they have no pace. */
	if (seconds <= 0)
		PG_RETURN_NULL();
	return zdu_seconds((double) (int64) seconds);
}
