/*
 * plan.c
 *	  Plans shown to people: rows, and one row.
 */
#include "api/plan.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "api/refuse.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "store/basis.h"
#include "store/catalogue.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_plan);
PG_FUNCTION_INFO_V1(zdu_plan_summary);

static ZduQuery known_group = {
	.text = "SELECT 1 FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

Datum
zdu_seconds(double seconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	/* Tenths are more than anybody knows. */
	interval->time = (TimeOffset) (rint(seconds * 10) * (USECS_PER_SEC / 10));
	return IntervalPGetDatum(interval);
}

TimestampTz
zdu_as_of(void)
{
	return RecoveryInProgress() ? GetLatestXTime() : 0;
}

/* "freeze "sale" until 2041-07-09 00:00:00+00": what kept a node that was begun then, negative: never. */
static char *
closed_until(const ZduClosure *c, double start)
{
	int			i = c->nspans - 1;

	while (i > 0 && start >= 0 && c->spans[i].to > start)
		i--;
	return c->ends[i] == NULL ? psprintf("%s, without end", c->what) : psprintf("%s until %s", c->what, c->ends[i]);
}

/* "app3, budget zone-a: 2 at once" */
char *
zdu_plan_waits_for(const ZduPlan *plan, int place)
{
	const ZduPackNode *node = &plan->pack.nodes[place];
	const ZduPlanBudget *b = node->wait == WAIT_BUDGET || node->wait == WAIT_RATE ? &plan->budgets[node->which] : NULL;
	StringInfoData text;

	if (node->wait == WAIT_NOTHING)
		return node->wave == 0 && !plan->taken[place] && plan->waves[0] != NULL ? pstrdup(plan->waves[0]) : NULL;
	initStringInfo(&text);
	if (node->turn == 0)
		appendStringInfoString(&text, "never: ");
	else if (node->after >= 0)
		appendStringInfo(&text, "%s, ", plan->nodes[node->after].name);
	if (b != NULL && b->closure != NULL)
	{
		appendStringInfoString(&text, closed_until(b->closure, node->turn > 0 ? node->start : -1));
		return text.data;
	}
	if (b != NULL)
		appendStringInfo(&text, "%s%s%s", b->name == NULL ? "" : "budget ", b->name == NULL ? "" : b->name, b->name == NULL ? "" : ": ");
	switch (node->wait)
	{
		case WAIT_BUDGET:
			appendStringInfo(&text, "%d at once", b->limit);
			break;
		case WAIT_RATE:
			appendStringInfo(&text, "%d in %g s", b->max_begun, b->per_interval);
			break;
		case WAIT_COPIES:
			appendStringInfo(&text, "copies of %s", plan->resources[node->which]);
			break;
		case WAIT_WAVE:
			appendStringInfoString(&text, plan->waves[node->which + 1]);
			break;
		case WAIT_NOTHING:
		case WAIT_HELD:
			break;
	}
	return text.data;
}

/* One key of the policy's list, in words. */
static void
append_key(StringInfo text, ZduOrderKey key, const ZduPlanNode *node)
{
	const char *value = key == ORDER_ROLE ? node->role : key == ORDER_GROUP ? node->group : node->zone;
	const char *name = key == ORDER_ROLE ? "role" : key == ORDER_GROUP ? "group" : "zone";

	if (text->len > 0)
		appendStringInfoString(text, ", ");
	if (key == ORDER_NAME)
		appendStringInfoString(text, "by name");
	else if (key == ORDER_LEAST_BUSY && node->busy < 0)
		appendStringInfoString(text, "load not known");
	else if (key == ORDER_LEAST_BUSY)
		appendStringInfo(text, "%d users and tasks", node->busy);
	else if (value == NULL)
		appendStringInfo(text, "no %s", name);
	else
		appendStringInfo(text, "%s %s", name, value);
}

/* Does a key tell any two nodes of the plan apart? */
static bool
tells_apart(const ZduPlan *plan, ZduOrderKey key)
{
	ZduOrder	order = {1, {key}};

	for (int i = 1; i < plan->pack.nnodes; i++)
		if (zdu_plan_differs(&plan->nodes[0], &plan->nodes[i], &order))
			return true;
	return false;
}

/* Does it share its rank with the one before or behind it? */
static bool
has_equal(const ZduPlan *plan, int place)
{
	return (place > 0 && plan->nodes[place - 1].rank == plan->nodes[place].rank) ||
		(place + 1 < plan->pack.nnodes && plan->nodes[place + 1].rank == plan->nodes[place].rank);
}

/* Which of several goes first where the list leaves them equal. */
static const char *const chosen[] = {
	[CHOOSE_FIRST] = "by name",
	[CHOOSE_FULLEST] = "fullest budget first",
	[CHOOSE_LONGEST] = "longest first",
	[CHOOSE_BY_LUCK] = "as it packs best"
};

/* "down already", "role processing, by name": what put it there; keys: those that tell nodes apart. */
static char *
reason(const ZduPlan *plan, const ZduOrder *keys, int place)
{
	const ZduPackNode *node = &plan->pack.nodes[place];
	StringInfoData text;

	initStringInfo(&text);
	if (node->down)
		appendStringInfoString(&text, plan->taken[place] ? "in flight" : node->unheard ? "unheard" : "down already");
	for (int i = 0; i < keys->nkeys && !plan->taken[place]; i++)
		append_key(&text, keys->keys[i], &plan->nodes[place]);
	if (!plan->active && has_equal(plan, place))
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", chosen[plan->pack.choice]);
	return text.data;
}

/* Puts in the target that is meant where none is given. */
static void
resolve_target(const ZduFacts *f, ZduPlanWish *wish)
{
	const char *from = f->version == NULL && f->versions_known == 1 ? f->lowest_known : f->version;

	if (f->upgrade_id != 0)
		wish->target = f->target;
	else if (wish->target == NULL && from != NULL)
		wish->target = zdu_catalogue_newest(f->product, from);
}

ZduPlan *
zdu_plan_begin(ZduCall *call, const char *function, const char *cluster, ZduPlanWish *wish)
{
	ZduFacts   *f;

	zdu_call_look(call, function, cluster);
	f = call->f;
	if (f == NULL)
		zdu_no_such_cluster(cluster);
	if (wish->target != NULL)
		zdu_version_check(wish->target);
	if (wish->canary < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("canary is %d", wish->canary),
				 errdetail("D10: so many nodes go first."),
				 errhint("SELECT * FROM %s('%s', canary => 1)", function, f->name)));
	if (wish->node_group != NULL && zdu_run(&known_group, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(wish->node_group)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node group \"%s\" of cluster \"%s\" does not exist", wish->node_group, f->name),
				 errdetail("N11: the cluster has no such group."),
				 errhint("SELECT name FROM zdu.node_group")));
	resolve_target(f, wish);
	return zdu_plan_make(f, wish);
}

/* The same for functions whose arguments are cluster, target, node_group and canary. */
static ZduPlan *
begin_plan(ZduCall *call, FunctionCallInfo fcinfo, const char *function, ZduPlanWish *wish)
{
	*wish = (ZduPlanWish) {
		.target = zdu_arg_text(fcinfo, 1), .node_group = zdu_arg_text(fcinfo, 2), .canary = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3)
	};
	return zdu_plan_begin(call, function, zdu_arg_required(fcinfo, 0, "cluster"), wish);
}

Datum
zdu_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ZduCall		call;
	ZduPlanWish wish;
	ZduPlan    *plan;
	ZduOrder	keys = {0};

	InitMaterializedSRF(fcinfo, 0);
	plan = begin_plan(&call, fcinfo, "zdu_plan", &wish);
	for (int i = 0; i < plan->order.nkeys; i++)
		if (tells_apart(plan, plan->order.keys[i]))
			keys.keys[keys.nkeys++] = plan->order.keys[i];
	for (int i = 0; i < plan->pack.nnodes; i++)
	{
		int			place = plan->sequence[i];
		const ZduPackNode *node = &plan->pack.nodes[place];
		bool		timed = plan->unknown == 0 && node->turn > 0;
		char	   *waits_for = zdu_plan_waits_for(plan, place);
		Datum		values[7] = {
			Int32GetDatum(node->wave), Int32GetDatum(i + 1), CStringGetTextDatum(plan->nodes[place].name),
			CStringGetTextDatum(reason(plan, &keys, place)), waits_for != NULL ? CStringGetTextDatum(waits_for) : (Datum) 0,
			timed ? zdu_seconds(node->start) : (Datum) 0, timed ? zdu_seconds(node->end) : (Datum) 0
		};
		bool		nulls[7] = {false, false, false, false, waits_for == NULL, !timed, !timed};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	zdu_leave(&call.session);
	return (Datum) 0;
}

Datum
zdu_plan_summary(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	ZduCall		call;
	ZduPlanWish wish;
	ZduPlan    *plan;
	TimestampTz as_of = zdu_as_of();
	bool		timed;
	Datum		values[9];
	bool		nulls[9] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "zdu_plan_summary returns a row");
	plan = begin_plan(&call, fcinfo, "zdu_plan_summary", &wish);
	timed = plan->unknown == 0;
	values[0] = Int32GetDatum(plan->pack.nnodes);
	values[1] = Int32GetDatum(plan->at_once);
	values[2] = Int32GetDatum(plan->pack.nwaves);
	values[3] = zdu_seconds(plan->pack.makespan);
	values[4] = zdu_seconds(plan->bound);
	values[5] = Int32GetDatum(plan->unknown);
	values[6] = Int32GetDatum(plan->pack.nnodes - plan->pack.taken);
	values[7] = CStringGetTextDatum(zdu_basis_hash(call.f, &wish));
	values[8] = TimestampTzGetDatum(as_of);
	nulls[3] = !timed || plan->pack.taken < plan->pack.nnodes;
	nulls[4] = nulls[3] || plan->bound < 0;
	nulls[8] = as_of == 0;
	zdu_leave(&call.session);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
