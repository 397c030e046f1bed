/*
 * barrier.c
 *	  Gates, freezes and windows.
 */
#include "core/barrier.h"

#include <string.h>

#include "core/decide.h"

/*
 * L23: neither calendar nor gates stand in the way back.  Of no node in
 * particular it is asked by where the upgrade goes.
 */
static bool
goes_back(const ZduFacts *f, const ZduCandidate *c)
{
	if (c != NULL)
		return c->back;
	return f->run == RUN_ROLLING_BACK || f->resume_to == RUN_ROLLING_BACK;
}

/* What is changed before its guard was looked at cannot be told from what was broken all along. */
void
zdu_ask_guards_known(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	zdu_answer(v, !f->unlooked || goes_back(f, c));
	zdu_say(v->observed, f->unlooked ? "a guard has not been looked at yet" : "every guard was looked at");
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT name, look FROM zdu.watch WHERE baseline");
}

/* The freeze that keeps these nodes: one of every node, or the first in force of those that mean them; NULL: none. */
static const ZduFreeze *
frozen_by(const ZduCalendar *cal, const int *of_nodes, int n)
{
	for (int i = 0; i < n && cal->freeze == NULL; i++)
	{
		const ZduFreeze *z = &cal->of_nodes[of_nodes[i]];

		if (!z->window && z->in_force)
			return z;
	}
	return cal->freeze;
}

/* Now is in none of the windows that there are for these nodes.  Sets when the next one opens, or NULL. */
static bool
is_shut(const ZduCalendar *cal, const int *of_nodes, int n, const char **next)
{
	bool		windows = cal->windows;
	bool		open = cal->open;
	double		next_in = cal->next_in;

	*next = cal->next_window;
	for (int i = 0; i < n; i++)
	{
		const ZduFreeze *z = &cal->of_nodes[of_nodes[i]];

		if (!z->window)
			continue;
		windows = true;
		open |= z->in_force;
		if (z->opens_in < 0 || (*next != NULL && z->opens_in >= next_in))
			continue;
		*next = z->since;
		next_in = z->opens_in;
	}
	return windows && !open;
}

bool
zdu_calendar_forbids(const ZduCalendar *cal, const int *of_nodes, int n)
{
	const char *next;

	return frozen_by(cal, of_nodes, n) != NULL || is_shut(cal, of_nodes, n, &next);
}

void
zdu_ask_not_frozen(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	const ZduFreeze *z = frozen_by(&f->calendar, c != NULL ? c->freezes : NULL, c != NULL ? c->nfreezes : 0);

	zdu_answer(v, z == NULL || goes_back(f, c));
	if (z == NULL)
	{
		zdu_say(v->observed, "no freeze is in force");
		return;
	}
	v->since = z->since;
	zdu_say(v->observed, "freeze \"%s\"%s %s%s: %s", z->name, z->where, z->until != NULL ? "until " : "without end",
			z->until != NULL ? z->until : "", z->reason);
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT zdu_waive('%s', 'freeze:%s', 'reason')", f->name, z->name);
}

void
zdu_ask_in_window(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	const char *next;
	bool		shut = is_shut(&f->calendar, c != NULL ? c->freezes : NULL, c != NULL ? c->nfreezes : 0, &next);

	zdu_answer(v, !shut || goes_back(f, c));
	zdu_say(v->observed, shut ? "outside of every window" : "no window is shut");
	if (!shut)
		return;
	if (next != NULL)
		zdu_say(v->allowed, "from %s on", next);
	else
		zdu_say(v->allowed, "in a window, and none is to come");
	if (v->answer != ANSWER_YES)
		zdu_say(v->hint, "SELECT * FROM zdu.freeze WHERE kind = 'window'");
}

/* The nodes before the gate: done, well, and that for long enough. */
static bool
wave_over(const ZduFacts *f, ZduVerdict *v)
{
	const ZduGate *g = &f->gate;

	zdu_answer(v, false);
	v->since = g->since;
	if (g->waits_for != NULL)
	{
		zdu_say(v->observed, "gate \"%s\": %s", g->name, g->waits_for);
		zdu_say(v->allowed, "once every node before it is done and well");
		zdu_say(v->hint, "SELECT * FROM zdu.node_status WHERE cluster = '%s'", f->name);
	}
	else if (g->soak_left > 0)
	{
		zdu_say(v->observed, "gate \"%s\": soaks, %.0f s left", g->name, g->soak_left);
		zdu_say(v->allowed, "after %.0f s", g->soak);
		zdu_say(v->hint, "SELECT * FROM zdu.gate_status WHERE cluster = '%s'", f->name);
	}
	else
	{
		zdu_answer(v, true);
		zdu_say(v->observed, "gate \"%s\": every node before it is done", g->name);
	}
	return v->answer == ANSWER_YES;
}

/* What the look of a worker says; v says no already. */
static bool
look_passed(const ZduFacts *f, ZduVerdict *v)
{
	const ZduGate *g = &f->gate;

	zdu_say(v->allowed, "%s", g->until);
	zdu_say(v->hint, "SELECT * FROM zdu.gate_status WHERE cluster = '%s'", f->name);
	if (g->seen == NULL)
		zdu_say(v->observed, "gate \"%s\": no worker has looked yet", g->name);
	else if (g->age > g->max_age)
		zdu_say(v->observed, "gate \"%s\": last seen %.0f s ago, nothing older than %.0f s counts", g->name, g->age, g->max_age);
	else if (g->verdict == ANSWER_NO)
		zdu_say(v->observed, "gate \"%s\": fail, %s", g->name, g->seen);
	else if (g->verdict == ANSWER_UNKNOWN)
		zdu_say(v->observed, "gate \"%s\": inconclusive, %s", g->name, g->seen);
	else
		return true;
	return false;
}

static bool
condition_holds(const ZduFacts *f, ZduVerdict *v)
{
	const ZduGate *g = &f->gate;

	zdu_answer(v, false);
	v->since = g->since;
	if (g->needs != NULL && !g->needs_met)
	{
		v->rule = "M8";
		v->subject = "dependency";
		zdu_say(v->observed, "%s", g->needs_is);
		zdu_say(v->allowed, "%s", g->needs_wanted);
		zdu_say(v->hint, "SELECT * FROM zdu_why('%s')", g->needs);
		return false;
	}
	if (g->asks && !look_passed(f, v))
		return false;
	if (g->wants_approval && !g->approved)
	{
		zdu_say(v->observed, "gate \"%s\": nobody has approved it", g->name);
		zdu_say(v->allowed, "an approval");
		zdu_say(v->hint, "SELECT zdu_approve('%s', '%s', 'reason')", f->name, g->name);
		return false;
	}
	zdu_answer(v, true);
	zdu_say(v->observed, "gate \"%s\" is passed", g->name);
	return true;
}

bool
zdu_decide_gate(const ZduFacts *f, ZduVerdict *v)
{
	memset(v, 0, sizeof(*v));
	v->rule = "L22";
	v->subject = "gate_passed";
	if (f->gate.name == NULL || f->gate.waived)
	{
		zdu_answer(v, true);
		zdu_say(v->observed, f->gate.name == NULL ? "every gate is open" : "waived");
		return true;
	}
	return wave_over(f, v) && condition_holds(f, v);
}

/* Does the node lie behind the first gate that is not open? */
static bool
is_behind(const ZduFacts *f, const ZduCandidate *c)
{
	return f->gate.name != NULL && !f->gate.waived && !goes_back(f, c) && c->place > f->gate.place;
}

void
zdu_ask_wave_open(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	if (is_behind(f, c))
	{
		(void) wave_over(f, v);
		return;
	}
	zdu_answer(v, true);
	zdu_say(v->observed, f->gate.name == NULL ? "every gate is open" : "no closed gate before it");
}

void
zdu_ask_gate_passed(const ZduFacts *f, const ZduCandidate *c, ZduVerdict *v)
{
	ZduVerdict	wave;

	/* A gate that is not reached has nothing to say yet. */
	if (is_behind(f, c) && wave_over(f, &wave))
	{
		(void) condition_holds(f, v);
		return;
	}
	zdu_answer(v, true);
	zdu_say(v->observed, f->gate.name == NULL ? "every gate is open" : "no closed gate before it");
}

int
zdu_decide_reach(const ZduFacts *f)
{
	return f->gate.name == NULL || f->gate.waived ? ZDU_PLACE_LAST : f->gate.place;
}

bool
zdu_decide_prepare(const ZduFacts *f)
{
	ZduVerdict	v = {0};

	if (f->gate.name != NULL && !f->gate.waived && f->gate.place == 0)
		return false;
	zdu_ask_not_frozen(f, NULL, &v);
	if (v.answer != ANSWER_YES)
		return false;
	zdu_ask_in_window(f, NULL, &v);
	return v.answer == ANSWER_YES && !f->unlooked;
}
