/*
 * simulate.c
 *	  An upgrade played many times, with chance for durations and failures.
 */
#include "api/plan.h"

#include <math.h>

#include "access/htup_details.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "core/dice.h"
#include "errcodes.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "store/pace.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(zdu_simulate);

/* More would keep a session busy for minutes. */
#define MAX_RUNS 10000
#define MAX_NODE_RUNS 5000000

/* How far assumed durations spread: one in twenty takes 1.6 times as long as is assumed, or longer. */
#define SPREAD 0.3

static ZduQuery durations_seen = {
	.text = "SELECT took FROM zdu.node WHERE cluster_id = $1 AND took IS NOT NULL ORDER BY node_id",
	.nargs = 1, .argtypes = {INT8OID}
};

typedef struct Simulation
{
	ZduCall		call;
	ZduPlan    *plan;
	int			runs;
	int64		seed;
	double		failure_rate;
	double	   *seen;			/* durations to draw from; NULL: around `assumed` */
	int			nseen;
	double		assumed;
	/* found */
	double	   *makespans;		/* of the runs that were not held */
	int			nmakespans;
	int			lowest;
} Simulation;

static void
refuse_argument(const char *what, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 errdetail("N14: %s.", detail),
			 errhint("%s", hint)));
}

static void
check_arguments(const Simulation *s, const char *cluster)
{
	if (s->runs < 1 || s->runs > MAX_RUNS)
		refuse_argument(psprintf("runs is %d", s->runs), psprintf("from 1 to %d runs are played", MAX_RUNS),
						psprintf("SELECT * FROM zdu_simulate('%s', runs => 200)", cluster));
	if (!(s->failure_rate >= 0 && s->failure_rate <= 1))
		refuse_argument(psprintf("failure_rate is %g", s->failure_rate), "it is a share of the nodes, from 0 to 1",
						psprintf("SELECT * FROM zdu_simulate('%s', failure_rate => 0.01)", cluster));
}

/* Sets where durations come from. */
static void
set_durations(Simulation *s, const char *durations, const Interval *assume)
{
	const ZduFacts *f = s->call.f;
	bool		historical = durations != NULL && strcmp(durations, "historical") == 0;
	const char *hint = psprintf("SELECT * FROM zdu_simulate('%s', durations => 'assumed', assume => '5 min')", f->name);
	ZduReader	r;
	uint64		rows = 0;

	if (durations != NULL && !historical && strcmp(durations, "assumed") != 0)
		refuse_argument(psprintf("durations are \"%s\"", durations), "they are historical or assumed", hint);
	if (historical && assume != NULL)
		refuse_argument("durations are historical and assumed", "it can only be one of them", hint);
	if (assume != NULL)
		s->assumed = (double) assume->time / USECS_PER_SEC + (double) assume->day * SECS_PER_DAY + (double) assume->month * 30 * SECS_PER_DAY;
	else
		s->assumed = zdu_pace(f);
	if (assume == NULL && (durations == NULL || historical))
		rows = zdu_run(&durations_seen, (ZduArg[]) {zdu_int8(f->cluster_id)});
	if (rows > 0)
	{
		s->seen = palloc(sizeof(double) * rows);
		for (r = zdu_reader(); zdu_next_row(&r);)
			s->seen[s->nseen++] = zdu_read_float8(&r, 0);
	}
	else if (historical)
		refuse_argument("there is no history to draw durations from", "no node of the cluster was upgraded yet", hint);
	else if (s->assumed < 0)
		refuse_argument("nobody knows how long a node takes", assume != NULL ? "it takes no time below none" :
						"there is neither history nor an expectation in the runbook", hint);
}

/* The plan's order stands; what happens on the way does not. */
static void
fix_order(ZduPlan *plan)
{
	for (int i = 0; i < plan->pack.nnodes; i++)
	{
		ZduPackNode *node = &plan->pack.nodes[plan->turns[i]];

		if (!node->down)
			node->rank = 3 + i;
	}
	plan->pack.choice = CHOOSE_FIRST;
	plan->pack.luck = 0;
}

static void
play(Simulation *s, int run)
{
	ZduPack    *p = &s->plan->pack;
	ZduDice		dice = zdu_dice(s->seed, run);

	for (int i = 0; i < p->nnodes; i++)
	{
		p->nodes[i].duration = s->seen != NULL ? s->seen[zdu_dice_below(&dice, s->nseen)] : zdu_dice_lognormal(&dice, s->assumed, SPREAD);
		p->nodes[i].fails = zdu_dice_share(&dice) < s->failure_rate;
	}
	if (!zdu_pack(p))
		elog(ERROR, "out of memory");
	s->lowest = Min(s->lowest, p->lowest);
	/* A failed node that nobody mends keeps its place, and may keep others waiting for ever. */
	if (!p->held && p->taken == p->nnodes)
		s->makespans[s->nmakespans++] = p->makespan;
}

static int
compare_seconds(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
play_all(Simulation *s)
{
	MemoryContext playing = AllocSetContextCreate(CurrentMemoryContext, "zdu simulation", ALLOCSET_DEFAULT_SIZES);

	s->makespans = palloc(sizeof(double) * s->runs);
	s->lowest = s->plan->pack.serving;
	fix_order(s->plan);
	for (int i = 0; i < s->runs; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(playing);

		CHECK_FOR_INTERRUPTS();
		play(s, i);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(playing);
	}
	MemoryContextDelete(playing);
	qsort(s->makespans, s->nmakespans, sizeof(double), compare_seconds);
}

/* The makespan that this share of the runs that came to their end did not exceed. */
static Datum
quantile(const Simulation *s, double share)
{
	return s->nmakespans == 0 ? (Datum) 0 : zdu_seconds(s->makespans[(int) (share * (s->nmakespans - 1) + 0.5)]);
}

Datum
zdu_simulate(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduPlanWish wish = {
		.target = zdu_arg_text(fcinfo, 1),
		.node_group = zdu_arg_text(fcinfo, 7),
		.canary = PG_ARGISNULL(8) ? 0 : PG_GETARG_INT32(8)
	};
	Simulation	s = {
		.runs = PG_ARGISNULL(2) ? 200 : PG_GETARG_INT32(2),
		.seed = PG_ARGISNULL(3) ? 1 : PG_GETARG_INT64(3),
		.failure_rate = PG_ARGISNULL(4) ? 0 : PG_GETARG_FLOAT8(4)
	};
	TupleDesc	desc;
	Datum		values[8];
	bool		nulls[8] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "zdu_simulate returns a row");
	check_arguments(&s, cluster);
	s.plan = zdu_plan_begin(&s.call, "zdu_simulate", cluster, &wish);
	if ((double) s.runs * s.plan->pack.nnodes > MAX_NODE_RUNS)
		refuse_argument(psprintf("%d runs of %d nodes are too many", s.runs, s.plan->pack.nnodes), psprintf("at most %d nodes in all are played", MAX_NODE_RUNS),
						psprintf("SELECT * FROM zdu_simulate('%s', runs => %d)", cluster, MAX_NODE_RUNS / Max(s.plan->pack.nnodes, 1)));
	set_durations(&s, zdu_arg_text(fcinfo, 5), PG_ARGISNULL(6) ? NULL : PG_GETARG_INTERVAL_P(6));
	play_all(&s);
	values[0] = Int32GetDatum(s.runs);
	values[1] = Int32GetDatum(s.plan->pack.nnodes);
	values[2] = quantile(&s, 0.5);
	values[3] = quantile(&s, 0.9);
	nulls[2] = nulls[3] = s.nmakespans == 0;
	values[4] = Int32GetDatum(s.lowest);
	values[5] = CStringGetTextDatum(psprintf("%d/%d", s.lowest, s.call.f->total));
	values[6] = Float8GetDatum((double) (s.runs - s.nmakespans) / s.runs);
	values[7] = CStringGetTextDatum(s.seen != NULL ? psprintf("historical: %d nodes", s.nseen) : psprintf("assumed: about %g s", rint(s.assumed * 10) / 10));
	zdu_leave(&s.call.session);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
