/*
 * decide.c
 *	  Named predicates over the facts of a cluster.
 */
#include "core/decide.h"

#include <string.h>

#include "core/plan.h"
#include "core/version.h"

#define lengthof_table(t) ((int) (sizeof(t) / sizeof((t)[0])))

typedef void (*Predicate) (const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);

static void adopted(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void not_paused(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void not_held(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void failures_left(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void prepared(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void schema_ready(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void not_between(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void budget(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void keeps_last_node(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);

typedef struct PredicateRow
{
	const char *name;
	const char *rule;
	bool		budget;			/* asked of a manual detach too */
	bool		of_node;		/* says something about a node only */
	Predicate	ask;
} PredicateRow;

static const PredicateRow predicates[ZDU_PREDICATES] = {
	{"adopted", "N4", true, false, adopted},
	{"not_paused", "L22", false, false, not_paused},
	{"not_held", "D11", false, false, not_held},
	{"failures_left", "D11", false, false, failures_left},
	{"prepared", "D8", false, false, prepared},
	{"schema_ready", "S1", false, false, schema_ready},
	{"not_between_states", "N2", false, true, not_between},
	{"budget", "D10", true, false, budget},
	{"keeps_last_node", "D14", true, true, keeps_last_node}
};

static int
ask_all(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *verdicts, bool *allowed, bool budgets_only)
{
	int			n = 0;

	*allowed = true;
	for (int i = 0; i < lengthof_table(predicates); i++)
	{
		const PredicateRow *p = &predicates[i];
		ZduVerdict *v = &verdicts[n];

		if ((budgets_only && !p->budget) || (p->of_node && c == NULL))
			continue;
		memset(v, 0, sizeof(*v));
		v->rule = p->rule;
		v->subject = p->name;
		p->ask(f, c, v);
		if (v->answer != ANSWER_YES)
			*allowed = false;
		n++;
	}
	return n;
}

int
zdu_decide_take(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *verdicts, bool *allowed)
{
	return ask_all(f, c, verdicts, allowed, false);
}

int
zdu_decide_detach(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *verdicts, bool *allowed)
{
	return ask_all(f, c, verdicts, allowed, true);
}

int
zdu_decide_room(const ZduFacts *f)
{
	int			room = zdu_limit_resolve(f->max_unavailable, f->total) - f->unavailable;

	return room > 0 ? room : 0;
}

/*
 * D12: a node confirmed unavailable is in the count already, and taking it
 * changes nothing.  One that is merely unheard may serve after all.
 */
bool
zdu_decide_costs(const ZduCandidate *c)
{
	if (c->taken)
		return false;
	if (c->state == NODE_OFFLINE)
		return !c->confirmed;
	return c->state == NODE_ACTIVE && c->in_rotation;
}

static void
adopted(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, f->adopted);
	zdu_say(v->observed, "%s", f->adopted ? "this database directs" : "restored, cloned or promoted; nothing is granted");
	if (!f->adopted)
		zdu_say(v->hint, "SELECT zdu_adopt('the other one is gone')");
}

static void
not_paused(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, f->run != RUN_PAUSED);
	zdu_say(v->observed, "%s", zdu_state_name(ZDU_UPGRADE, f->run));
	if (f->run == RUN_PAUSED)
		zdu_say(v->hint, "SELECT zdu_resume('%s')", f->name);
}

static void
not_held(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, f->run != RUN_HELD);
	if (f->run == RUN_HELD)
	{
		v->rule = f->held_rule != NULL ? f->held_rule : v->rule;
		zdu_say(v->observed, "%s", f->held_reason != NULL ? f->held_reason : "held");
		zdu_say(v->hint, "SELECT zdu_retry('%s')", f->name);
	}
	else
		zdu_say(v->observed, "%s", zdu_state_name(ZDU_UPGRADE, f->run));
}

static void
failures_left(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, f->failures <= f->max_failures);
	zdu_say(v->observed, "%d", f->failures);
	zdu_say(v->allowed, "%d", f->max_failures);
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT zdu_retry('%s')", f->name);
}

static void
prepared(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, f->prepared);
	zdu_say(v->observed, "%s", f->prepared ? "done" : "the preparation is not done");
	if (!f->prepared)
		zdu_say(v->hint, "SELECT * FROM zdu_log('%s')", f->name);
}

/*
 * A library may run on a newer schema, not on an older one.  Patches leave the
 * schema as it is: minor versions are compared.  Where the schema comes after
 * the nodes, or nobody says how it is seen, there is nothing to compare.
 */
bool
zdu_decide_schema_ready(const ZduFacts *f)
{
	ZduVersionStep step;

	if (!f->schema_watched || f->run == RUN_ROLLING_BACK || f->target == NULL || strcmp(f->schema_phase, "post") == 0)
		return true;
	if (f->schema_version == NULL)
		return false;
	step = zdu_version_step(f->schema_version, f->target);
	return step == ZDU_STEP_SAME || step == ZDU_STEP_PATCH || step == ZDU_STEP_DOWNGRADE;
}

static void
schema_ready(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	(void) c;
	zdu_answer(v, zdu_decide_schema_ready(f));
	if (!f->schema_watched)
		zdu_say(v->observed, "no schema is watched");
	else if (f->schema_version == NULL)
		zdu_say(v->observed, "the version of the schema is not yet seen");
	else
		zdu_say(v->observed, "the schema is at %s", f->schema_version);
	if (v->answer == ANSWER_YES)
		return;
	zdu_say(v->allowed, "at least that of %s", f->target);
	zdu_say(v->hint, "SELECT * FROM zdu_log('%s')", f->name);
}

/* N2: STARTING does not count as there, TERMINATING not as gone. */
static void
not_between(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, c->state != NODE_STARTING && c->state != NODE_TERMINATING);
	zdu_say(v->observed, "%s is %s", c->name, zdu_state_name(ZDU_NODE, c->state));
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT * FROM zdu_log('%s', node => '%s')", f->name, c->name);
}

static void
budget(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	int			limit = zdu_limit_resolve(f->max_unavailable, f->total);
	int			costs = c == NULL || zdu_decide_costs(c) ? 1 : 0;

	/* A node that is down already adds nothing, even to an overdrawn budget. */
	zdu_answer(v, costs == 0 || f->unavailable + costs <= limit);
	zdu_say(v->observed, "%d of %d unavailable", f->unavailable, f->total);
	zdu_say(v->allowed, "%d", limit);
	if (v->answer == ANSWER_YES)
		return;
	if (f->unheard > 0)
	{
		v->rule = "D12";
		zdu_say(v->hint, "SELECT zdu_declare_down('%s', '%s', 'reason')", f->name, f->unheard_node != NULL ? f->unheard_node : "...");
	}
	else
		zdu_say(v->hint, "SELECT * FROM zdu.node_status WHERE cluster = '%s' AND state <> 'ACTIVE'", f->name);
}

static void
keeps_last_node(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	bool		serves = c->state == NODE_ACTIVE && c->in_rotation && !c->taken;
	int			left = f->serving - (serves ? 1 : 0);

	/* A node that does not serve takes no service away. */
	zdu_answer(v, !serves || left >= 1 || (f->total == 1 && f->one_waived));
	zdu_say(v->observed, "%d would serve without %s", left, c->name);
	zdu_say(v->allowed, "at least 1");
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT * FROM zdu.node_status WHERE cluster = '%s'", f->name);
}

void
zdu_decide_finalize(const ZduFacts *f, const char *worst, ZduVerdict *v)
{
	memset(v, 0, sizeof(*v));
	v->subject = "finalize";
	v->rule = "L9";
	zdu_say(v->allowed, "all nodes at one new version, at least one ACTIVE, none in ERROR, none in flight");

	if (f->upgrade_id == 0)
	{
		v->rule = "L4";
		zdu_answer(v, false);
		zdu_say(v->observed, "it is %s, no upgrade is active", zdu_state_name(ZDU_CLUSTER, f->state));
		zdu_say(v->hint, "SELECT zdu_begin('%s')", f->name);
		return;
	}
	/* On the way back all nodes may still be at the new version. */
	if (f->run == RUN_CANCELLING || f->run == RUN_ROLLING_BACK || f->run == RUN_FINALIZING)
	{
		v->rule = "L13";
		zdu_answer(v, false);
		zdu_say(v->hint, "SELECT * FROM zdu_why('%s')", f->name);
		zdu_say(v->observed, "it is %s", zdu_state_name(ZDU_UPGRADE, f->run));
		return;
	}
	/* L12: a state that was left standing because nobody is online allows nothing. */
	zdu_answer(v, f->state == CLUSTER_READY_TO_RUN_UPGRADE_TASKS && f->taken == 0 && f->counts.online > 0);
	if (v->answer == ANSWER_YES)
		return;
	zdu_say(v->hint, "SELECT * FROM zdu_why('%s')", f->name);
	if (f->counts.online == 0)
	{
		v->rule = "L12";
		zdu_say(v->observed, "all %d nodes are OFFLINE", f->total);
	}
	else if (f->counts.in_error > 0)
	{
		v->rule = "L11";
		zdu_say(v->observed, "%s; %d of %d nodes run %s", worst != NULL ? worst : "a node is in ERROR", f->at_target, f->total,
			f->target != NULL ? f->target : "a new version");
	}
	else
		zdu_say(v->observed, "%s; %d of %d nodes run %s", worst != NULL ? worst : zdu_state_name(ZDU_CLUSTER, f->state),
			f->target != NULL ? f->at_target : f->counts.upgraded, f->total, f->target != NULL ? f->target : "a new version");
}
