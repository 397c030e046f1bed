/*
 * stage_fuzz.c
 *	  Promise: whatever workers report, in whatever order, a step does not
 *	  act without having looked, does not succeed without having been seen to,
 *	  and ends.
 *
 *		stage_fuzz [sequences [seed]]
 *
 * A small model stores and grants a step as the exchange does, and feeds it
 * random reports, lost leases and pauses.  Prints TAP, one assertion a
 * promise, with the seed of the first sequence that broke it.
 */
#include <stdint.h>
#include <string.h>

#include "core/stage.h"
#include "tap.h"

/* Far more than the reports that come before the clock runs out. */
#define MOST_REPORTS 400

typedef enum Promise
{
	LOOKS_FIRST,
	ACTS_AFTER_NO,
	SUCCEEDS_SEEN,
	HOLDS_LONG,
	LEGAL,
	WAITS,
	ATTEMPTS,
	FORCE_LAST,
	ENDS,
	PROMISES
} Promise;

static const struct
{
	const char *rule;
	const char *claim;
}			promises[PROMISES] = {
	{"W4", "no action begins without a look before it in the same grant"},
	{"W4", "nor unless that look said that it is not done"},
	{"W6", "no step succeeds unless the last look said yes"},
	{"W1", "nor before it has held for as long as it must, without a break"},
	{"W4", "each outcome is a transition of the table"},
	{"W4", "an action that may still run is not begun again before its own timeout"},
	{"W1", "there are never more attempts than allowed, and one by force"},
	{"D2", "force comes after all graceful attempts, and once"},
	{"W1", "every step ends"}
};

static unsigned broken[PROMISES];	/* seed of the first breach; 0: kept */
static uint64_t random_state;
static unsigned seed;

static uint32_t
draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 33) % below;
}

static void
promise(Promise p, bool kept)
{
	if (!kept && broken[p] == 0)
		broken[p] = seed;
}

/* A step as the database has it, and what the promises need to remember. */
typedef struct Model
{
	ZduStepState state;
	ZduStageView view;
	double		timeout;
	double		not_before;
	double		now;
	bool		forced;
	int			allowed;		/* attempts at first */
	/* of this grant */
	bool		looked;
	ZduAnswer	last;			/* answer of the last look */
	double		yes_since;		/* negative: the last look did not say yes */
	double		runs_until;		/* an action of a grant before may run until then */
} Model;

static Model
make(void)
{
	Model		m = {STEP_PENDING};

	m.view.has_act = draw(4) > 0;
	m.view.attempts = m.allowed = 1 + (int) draw(3);
	m.view.may_force = m.view.has_act && draw(3) == 0;
	m.view.retry_delay = draw(5);
	m.view.hold_for = draw(2) * draw(20);
	m.timeout = 1 + draw(60);
	return m;
}

static void
grant(Model *m)
{
	promise(WAITS, m->now >= m->runs_until);
	m->view.attempt += m->state == STEP_PENDING ? 1 : 0;
	m->state = STEP_RUNNING;
	m->view.stage = STAGE_LOOK;
	m->view.act_ok = ANSWER_UNKNOWN;
	m->view.holds_since = -1;
	m->view.deadline = m->now + m->timeout;
	m->looked = false;
	m->last = ANSWER_UNKNOWN;
	m->yes_since = -1;
	promise(ATTEMPTS, m->view.attempt <= m->allowed + (m->forced ? 1 : 0));
}

static void
remember_look(Model *m, ZduAnswer until)
{
	m->looked = true;
	m->last = until;
	if (until != ANSWER_YES)
		m->yes_since = -1;
	else if (m->yes_since < 0)
		m->yes_since = m->now;
}

static ZduReport
draw_report(const Model *m)
{
	ZduReport	r = {(ZduReportKind) draw(REPORT_RELEASED + 1), (ZduAnswer) draw(3), draw(2) == 0, draw(2) == 0, draw(8) == 0};

	/* Mostly what an honest worker would say. */
	if (draw(3) > 0)
		r.kind = m->view.stage == STAGE_ACT ? REPORT_ACTED : REPORT_LOOKED;
	return r;
}

static void
apply(Model *m, const ZduReport *r)
{
	ZduStage	stage = m->view.stage;
	ZduStageOutcome o;

	if (r->kind == REPORT_LOOKED && stage != STAGE_ACT)
		remember_look(m, r->failed ? ANSWER_NO : r->until);
	o = zdu_stage_advance(&m->view, r, m->now);

	promise(LEGAL, o.state == STEP_RUNNING || zdu_transition_find(ZDU_STEP, STEP_RUNNING, o.state) != NULL);
	if (o.state == STEP_RUNNING && o.stage == STAGE_ACT && stage != STAGE_ACT)
	{
		promise(LOOKS_FIRST, m->looked && m->view.has_act);
		promise(ACTS_AFTER_NO, m->last == ANSWER_NO);
	}
	if (o.state == STEP_SUCCEEDED)
	{
		promise(SUCCEEDS_SEEN, r->kind == REPORT_LOOKED && r->until == ANSWER_YES && !r->failed);
		promise(HOLDS_LONG, m->yes_since >= 0 && m->now - m->yes_since >= m->view.hold_for);
	}
	if (o.state == STEP_UNKNOWN && stage == STAGE_ACT && !r->ended)
		m->runs_until = m->view.deadline;
	if (o.force)
	{
		promise(FORCE_LAST, m->view.may_force && !m->forced && m->view.attempt >= m->view.attempts);
		m->forced = true;
		m->view.may_force = false;
	}
	m->state = o.state;
	m->view.stage = o.stage;
	m->view.act_ok = o.act_ok;
	m->view.holds_since = o.holds_since;
	m->not_before = o.not_before;
}

/* An upgrade that is cancelled asks for the end of what runs. */
static void
unwind(Model *m)
{
	if (m->state == STEP_RUNNING)
		m->view.stage = STAGE_END;
	else
		m->state = STEP_CANCELLED;
}

static bool
is_over(ZduStepState state)
{
	return state == STEP_SUCCEEDED || state == STEP_FAILED || state == STEP_CANCELLED;
}

static void
run_one(void)
{
	Model		m = make();
	int			unwound_at = draw(4) == 0 ? (int) draw(20) : -1;
	int			i;

	for (i = 0; i < MOST_REPORTS && !is_over(m.state); i++)
	{
		m.now += draw(8);
		if (i == unwound_at)
			unwind(&m);
		else if (m.state != STEP_RUNNING)
		{
			m.now = m.now > m.not_before ? m.now : m.not_before;
			grant(&m);
		}
		else
		{
			ZduReport	r = draw_report(&m);

			/* In the end workers neither hand back nor say that they are still at it. */
			if (i > MOST_REPORTS / 2)
				r.kind = m.view.stage == STAGE_ACT || m.view.stage == STAGE_END ? REPORT_ACTED : REPORT_LOOKED;
			apply(&m, &r);
		}
	}
	promise(ENDS, is_over(m.state));
}

int
main(int argc, char **argv)
{
	int			sequences = argc > 1 ? atoi(argv[1]) : 100000;
	unsigned	first = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 1;

	for (int i = 0; i < sequences; i++)
	{
		seed = first + (unsigned) i;
		random_state = seed;
		(void) draw(2);
		run_one();
	}
	for (int p = 0; p < PROMISES; p++)
	{
		if (broken[p] == 0)
			ok(true, promises[p].rule, "%s: %d sequences", promises[p].claim, sequences);
		else
			ok(false, promises[p].rule, "%s: broken, see stage_fuzz 1 %u", promises[p].claim, broken[p]);
	}
	return tap_end();
}
