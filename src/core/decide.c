/*
 * decide.c
 *	  Named predicates over the facts of a cluster.
 */
#include "core/decide.h"

#include <string.h>

#include "core/place.h"
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
static void rate(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void keeps_last_node(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);
static void keeps_copies(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v);

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
	{"guards_known", "S6", false, false, zdu_ask_guards_known},
	{"not_frozen", "L22", false, false, zdu_ask_not_frozen},
	{"in_window", "L22", false, false, zdu_ask_in_window},
	{"wave_open", "L22", false, true, zdu_ask_wave_open},
	{"gate_passed", "L22", false, true, zdu_ask_gate_passed},
	{"prepared", "D8", false, false, prepared},
	{"schema_ready", "S1", false, false, schema_ready},
	{"not_between_states", "N2", false, true, not_between},
	{"budget", "D10", true, false, budget},
	{"rate", "D11", true, false, rate},
	{"keeps_last_node", "D14", true, true, keeps_last_node},
	{"keeps_copies", "D4", false, true, keeps_copies}
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
	return zdu_budget_room(&f->budgets[0]);
}

/* Serves, and is not reckoned away already. */
static bool
serves(const ZduCandidate *c)
{
	return c->state == NODE_ACTIVE && c->in_rotation && !c->taken;
}

/* Its copies can be read and written, whether or not requests are sent to it. */
static bool
is_present(const ZduCandidate *c)
{
	return (c->state == NODE_ACTIVE || c->state == NODE_DRAINING) && !c->taken;
}

void
zdu_decide_debit(ZduFacts *f, const ZduCandidate *c)
{
	/* One that is unheard is in the count already: it had to find a place besides, it does not keep it. */
	bool		costs = serves(c);

	zdu_budget_debit(&f->budgets[0], costs);
	for (int i = 0; i < c->nbudgets; i++)
		zdu_budget_debit(&f->budgets[c->budgets[i]], costs);
	if (serves(c))
		f->staying--;
	if (is_present(c))
	{
		f->present--;
		for (int i = 0; i < c->ncopies; i++)
			zdu_copies_debit(&f->resources[c->copies[i]]);
	}
	f->taken++;
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

/*
 * L23: one node that somebody brings back, while the others go forward: what
 * holds the upgrade, or pauses it, is no reason to leave that node as it is.
 */
static bool
is_brought_back(const ZduFacts *f, const ZduCandidate *c)
{
	return c != NULL && c->back && f->resume_to == RUN_RUNNING;
}

static void
not_paused(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, f->run != RUN_PAUSED || is_brought_back(f, c));
	zdu_say(v->observed, "%s", zdu_state_name(ZDU_UPGRADE, f->run));
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT zdu_resume('%s')", f->name);
}

static void
not_held(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, f->run != RUN_HELD || is_brought_back(f, c));
	if (v->answer != ANSWER_YES)
	{
		v->rule = f->held_rule != NULL ? f->held_rule : v->rule;
		zdu_say(v->observed, "%s", f->held_reason != NULL ? f->held_reason : "held");
		zdu_say(v->hint, "SELECT zdu_retry('%s')", f->name);
	}
	else
		zdu_say(v->observed, "%s", zdu_state_name(ZDU_UPGRADE, f->run));
}

/* Returns the i-th budget that a candidate falls under, the policy's first; NULL: no more. */
static const ZduBudget *
nth_budget(const ZduFacts *f, const ZduCandidate *c, int i)
{
	if (i == 0)
		return &f->budgets[0];
	return c != NULL && i <= c->nbudgets ? &f->budgets[c->budgets[i - 1]] : NULL;
}

static void
failures_left(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	const ZduBudget *b;

	for (int i = 0; (b = nth_budget(f, c, i)) != NULL; i++)
	{
		if (i > 0 && (zdu_budget_bears(b) || is_brought_back(f, c)))
			continue;
		zdu_answer(v, zdu_budget_bears(b) || is_brought_back(f, c));
		zdu_say(v->observed, i == 0 ? "%d" : "%d%s failed", b->failures, b->where);
		zdu_say(v->allowed, "%d", b->max_failures);
		if (v->answer == ANSWER_YES)
			continue;
		zdu_say(v->hint, "SELECT zdu_retry('%s')", f->name);
		return;
	}
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
zdu_decide_schema_covers(const ZduFacts *f, const char *version)
{
	ZduVersionStep step;

	if (!f->schema_watched || strcmp(f->schema_phase, "post") == 0)
		return true;
	if (f->schema_version == NULL)
		return false;
	step = zdu_version_step(f->schema_version, version);
	return step == ZDU_STEP_SAME || step == ZDU_STEP_PATCH || step == ZDU_STEP_DOWNGRADE;
}

bool
zdu_decide_schema_ready(const ZduFacts *f)
{
	return f->run == RUN_ROLLING_BACK || f->target == NULL || zdu_decide_schema_covers(f, f->target);
}

static void
schema_ready(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, zdu_decide_schema_ready(f) || (c != NULL && c->back));
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
	/* L23: one that hangs between them can be brought back all the same. */
	zdu_answer(v, (c->state != NODE_STARTING && c->state != NODE_TERMINATING) || (c->back && c->stuck));
	zdu_say(v->observed, "%s is %s", c->name, zdu_state_name(ZDU_NODE, c->state));
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT * FROM zdu_log('%s', node => '%s')", f->name, c->name);
}

/* Which rule says no to a place, and what helps. */
static void
refuse_place(const ZduFacts *f, const ZduBudget *b, ZduVerdict *v)
{
	if (b->unheard > 0)
	{
		v->rule = "D12";
		zdu_say(v->hint, "SELECT zdu_declare_down('%s', '%s', 'reason')", f->name, b->unheard_node != NULL ? b->unheard_node : "...");
	}
	else if (b->id != 0)
	{
		v->rule = "D11";
		zdu_say(v->hint, "SELECT * FROM zdu.budget_status WHERE cluster = '%s'", f->name);
	}
	else
		zdu_say(v->hint, "SELECT * FROM zdu.node_status WHERE cluster = '%s' AND state <> 'ACTIVE'", f->name);
}

static void
budget(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	/* A node that is down already adds nothing, even to an overdrawn budget. */
	bool		costs = c == NULL || zdu_decide_costs(c);
	const ZduBudget *b;

	for (int i = 0; (b = nth_budget(f, c, i)) != NULL; i++)
	{
		bool		yes = zdu_has_place(zdu_budget_limit(b), b->unavailable, costs);

		/* Of those that have a place the first one is told. */
		if (i > 0 && yes)
			continue;
		zdu_answer(v, yes);
		zdu_say(v->observed, "%d of %d%s unavailable", b->unavailable, b->total, b->where);
		zdu_say(v->allowed, "%d", zdu_budget_limit(b));
		if (!yes)
		{
			refuse_place(f, b, v);
			return;
		}
	}
}

/* "90 s", "12 min", "1.5 h", "2 d" */
static void
say_duration(char *where, const char *before, double seconds)
{
	if (seconds < 120)
		zdu_say(where, "%s%.3g s", before, seconds);
	else if (seconds < 7200)
		zdu_say(where, "%s%.3g min", before, seconds / 60);
	else if (seconds < 172800)
		zdu_say(where, "%s%.3g h", before, seconds / 3600);
	else
		zdu_say(where, "%s%.4g d", before, seconds / 86400);
}

/* Always debited, whatever state the node is in (D12). */
static void
rate(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	const ZduBudget *b;

	zdu_answer(v, true);
	zdu_say(v->observed, "no rate is spent");
	for (int i = 0; (b = nth_budget(f, c, i)) != NULL; i++)
	{
		char		interval[ZDU_TEXT_SIZE];
		char		next[ZDU_TEXT_SIZE];

		if (zdu_budget_rate_room(b) >= 1)
			continue;
		say_duration(interval, "", b->per_interval);
		say_duration(next, "", b->next_place);
		zdu_answer(v, false);
		zdu_say(v->observed, "%d%s begun in %s", b->begun, b->where, interval);
		zdu_say(v->allowed, "%d; the next in %s", b->max_begun, next);
		zdu_say(v->hint, "SELECT * FROM zdu.budget_status WHERE cluster = '%s'", f->name);
		return;
	}
}

static void
keeps_last_node(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	int			left = f->staying - (serves(c) ? 1 : 0);

	/* A node that does not serve takes no service away. */
	zdu_answer(v, !serves(c) || left >= 1 || (f->total == 1 && f->one_waived));
	zdu_say(v->observed, "%d would serve without %s", left, c->name);
	zdu_say(v->allowed, "at least 1");
	if (v->answer == ANSWER_YES)
		return;
	/* Its others may have been removed meanwhile. */
	if (f->total == 1)
		zdu_say(v->hint, "SELECT zdu_waive('%s', 'D10', 'reason')", f->name);
	else
		zdu_say(v->hint, "SELECT * FROM zdu.node_status WHERE cluster = '%s'", f->name);
}

/* Says no: a copy would have to move, and the policy does not want that. */
static void
refuse_move(const ZduFacts *f, const ZduCandidate *c, const ZduResource *r, ZduVerdict *v)
{
	v->rule = "D5";
	zdu_answer(v, false);
	zdu_say(v->observed, "%s would have to move its copy of %s, of which there are %d", c->name, r->name, r->active);
	zdu_say(v->allowed, "none: reallocate is false");
	zdu_say(v->hint, "SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"reallocate\": true}')", f->policy, f->policy);
}

/* D3: under `full` all copies that it has must find a place on the others. */
static void
full_copies(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	for (int i = 0; i < c->ncopies; i++)
	{
		const ZduResource *r = &f->resources[c->copies[i]];

		if (!f->reallocate)
		{
			refuse_move(f, c, r, v);
			return;
		}
		if (f->present >= zdu_copies_nodes_needed(r->highest, 1))
			continue;
		v->rule = "D3";
		zdu_answer(v, false);
		zdu_say(v->observed, "without %s %d nodes would be there for %d copies of %s", c->name, f->present - 1, r->highest, r->name);
		zdu_say(v->allowed, "at least %d", r->highest);
		zdu_say(v->hint, "SELECT * FROM zdu.health WHERE cluster = '%s'", f->name);
		return;
	}
}

static void
keeps_copies(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, true);
	zdu_say(v->observed, f->min_availability == AVAILABILITY_NONE ? "min_availability is none" : "%d resources keep what they need", c->ncopies);
	if (f->min_availability == AVAILABILITY_NONE)
		return;
	if (!f->copies_known)
	{
		v->answer = ANSWER_UNKNOWN;
		zdu_say(v->observed, "where the copies are was not seen lately");
		zdu_say(v->allowed, "known");
		zdu_say(v->hint, "SELECT * FROM zdu.health WHERE cluster = '%s'", f->name);
		return;
	}
	/* What is down has no copies to lose. */
	if (!is_present(c))
		return;
	if (f->min_availability == AVAILABILITY_FULL)
	{
		full_copies(f, c, v);
		return;
	}
	for (int i = 0; i < c->ncopies; i++)
	{
		const ZduResource *r = &f->resources[c->copies[i]];
		ZduLeaving	leaving = zdu_copies_leaving(f->min_availability, r);
		int			wanted = zdu_copies_wanted(r);

		/* Where copies may move, its drain waits until they have. */
		if (leaving == LEAVING_MUST_MOVE && !f->reallocate)
		{
			refuse_move(f, c, r, v);
			return;
		}
		if (leaving != LEAVING_MUST_WAIT)
			continue;
		zdu_answer(v, false);
		zdu_say(v->observed, "without %s %d of %d copies of %s would be there", c->name, r->present - 1, wanted, r->name);
		zdu_say(v->allowed, "at least %d", zdu_copies_quorum(wanted));
		zdu_say(v->hint, "SELECT * FROM zdu.health WHERE cluster = '%s'", f->name);
		return;
	}
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
	{
		ZduVerdict	gate;

		/* A gate behind the last node is before the end. */
		if (!zdu_decide_gate(f, &gate))
		{
			*v = gate;
			v->subject = "finalize";
		}
		return;
	}
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
