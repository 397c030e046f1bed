/*
 * stage_test.c
 *	  Promise: a running step looks, acts and verifies as doc/protocol.md says
 *	  under "Life of a step".  Prints TAP.
 */
#include <string.h>

#include "core/stage.h"
#include "tap.h"

/* In all cases it is 100 now; a deadline at 200 is still to come, one at 90 is over. */
#define NOW 100.0
#define LATER 200.0
#define OVER 90.0

#define NO ANSWER_NO
#define YES ANSWER_YES
#define UNKNOWN ANSWER_UNKNOWN

#define LOOKED(until) {REPORT_LOOKED, until, true, false, false}
#define FAILED(until) {REPORT_LOOKED, until, true, false, true}
#define ACTED(ok) {REPORT_ACTED, UNKNOWN, ok, false, false}
#define ACTING {REPORT_ACTING, UNKNOWN, true, false, false}
#define RELEASED(ended) {REPORT_RELEASED, UNKNOWN, false, ended, false}

/* stage, has an action, its word; attempt, attempts, may force; retry delay, hold for, holds since, deadline */
typedef struct Case
{
	const char *rule;
	const char *claim;
	ZduStageView step;
	ZduReport	report;
	ZduStepState state;			/* what becomes of it */
	ZduStage	stage;
	double		holds_since;
	double		not_before;
	bool		force;
} Case;

#define ONLY 1, 1, false, 5
#define FIRST_OF_TWO 1, 2, false, 5
#define STAYS -1, -1, false

static const Case cases[] = {
	{"W4", "done already: nothing is done",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(YES), STEP_SUCCEEDED, STAGE_VERIFY, NOW, -1, false},
	{"W4", "not done: act",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(NO), STEP_RUNNING, STAGE_ACT, STAYS},
	{"W4", "cannot tell: neither acts nor ends",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(UNKNOWN), STEP_RUNNING, STAGE_LOOK, STAYS},
	{"W1", "a step without an action only waits",
	{STAGE_LOOK, false, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(NO), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W4", "cannot tell until the timeout: failed, nothing was done",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, OVER}, LOOKED(UNKNOWN), STEP_FAILED, STAGE_LOOK, STAYS},
	{"W1", "no action is begun when its time is over",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, OVER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"W4", "an action reported before it was asked for is not believed",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, ACTED(true), STEP_RUNNING, STAGE_LOOK, STAYS},

	{"W6", "reported done: only a look can tell",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, ACTED(true), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W6", "reported failed: only a look can tell",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, ACTED(false), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W1", "still at it",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, ACTING, STEP_RUNNING, STAGE_ACT, STAYS},
	{"W6", "a look while the action runs decides nothing",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(YES), STEP_RUNNING, STAGE_ACT, STAYS},

	{"W6", "observed: succeeded",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, LOOKED(YES), STEP_SUCCEEDED, STAGE_VERIFY, NOW, -1, false},
	{"W6", "observed although the action failed: succeeded",
	{STAGE_VERIFY, true, NO, ONLY, 0, -1, LATER}, LOOKED(YES), STEP_SUCCEEDED, STAGE_VERIFY, NOW, -1, false},
	{"W6", "not observed yet: looks again",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, LOOKED(NO), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W6", "not observed in time: failed, whatever the action said",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, OVER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"W1", "the action failed and the look agrees: failed at once",
	{STAGE_VERIFY, true, NO, ONLY, 0, -1, LATER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"W4", "the action failed and nobody can tell: looks again",
	{STAGE_VERIFY, true, NO, ONLY, 0, -1, LATER}, LOOKED(UNKNOWN), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"D1", "what only waits is not done because its time is over",
	{STAGE_VERIFY, false, UNKNOWN, ONLY, 0, -1, OVER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},

	{"M9", "seen to have failed after the action: failed at once",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, FAILED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"M9", "also where nobody can tell whether it is done",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, FAILED(UNKNOWN), STEP_FAILED, STAGE_LOOK, STAYS},
	{"M9", "also where until holds",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, FAILED(YES), STEP_FAILED, STAGE_LOOK, STAYS},
	{"M9", "also where it has held for a while",
	{STAGE_VERIFY, true, YES, ONLY, 10, 95, LATER}, FAILED(YES), STEP_FAILED, STAGE_LOOK, STAYS},
	{"M9", "another attempt is left",
	{STAGE_VERIFY, true, YES, FIRST_OF_TWO, 0, -1, LATER}, FAILED(NO), STEP_PENDING, STAGE_LOOK, -1, NOW + 5, false},
	{"W4", "before the action it is what somebody left behind: acts",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, FAILED(NO), STEP_RUNNING, STAGE_ACT, STAYS},
	{"W4", "acts also where until holds",
	{STAGE_LOOK, true, UNKNOWN, ONLY, 0, -1, LATER}, FAILED(YES), STEP_RUNNING, STAGE_ACT, STAYS},
	{"W4", "acts also where it held at the first look",
	{STAGE_VERIFY, true, UNKNOWN, ONLY, 10, 95, LATER}, FAILED(YES), STEP_RUNNING, STAGE_ACT, STAYS},
	{"M9", "what only waits has failed when the first look says so",
	{STAGE_LOOK, false, UNKNOWN, ONLY, 0, -1, LATER}, FAILED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"L5", "to be ended: that it has failed does not matter",
	{STAGE_END, true, UNKNOWN, ONLY, 0, -1, LATER}, FAILED(NO), STEP_RUNNING, STAGE_END, STAYS},

	{"W1", "it must hold: counted from the first look that says so",
	{STAGE_VERIFY, true, YES, ONLY, 10, -1, LATER}, LOOKED(YES), STEP_RUNNING, STAGE_VERIFY, NOW, -1, false},
	{"W1", "it has not held for long enough",
	{STAGE_VERIFY, true, YES, ONLY, 10, 91, LATER}, LOOKED(YES), STEP_RUNNING, STAGE_VERIFY, 91, -1, false},
	{"W1", "it has",
	{STAGE_VERIFY, true, YES, ONLY, 10, 90, LATER}, LOOKED(YES), STEP_SUCCEEDED, STAGE_VERIFY, 90, -1, false},
	{"W1", "a break starts it anew",
	{STAGE_VERIFY, true, YES, ONLY, 10, 95, LATER}, LOOKED(NO), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W1", "one that cannot tell is a break too",
	{STAGE_VERIFY, true, YES, ONLY, 10, 95, LATER}, LOOKED(UNKNOWN), STEP_RUNNING, STAGE_VERIFY, STAYS},
	{"W4", "held at the first look, then no more: now it acts",
	{STAGE_VERIFY, true, UNKNOWN, ONLY, 10, 95, LATER}, LOOKED(NO), STEP_RUNNING, STAGE_ACT, STAYS},

	{"W1", "another attempt is left: after a pause",
	{STAGE_VERIFY, true, NO, FIRST_OF_TWO, 0, -1, LATER}, LOOKED(NO), STEP_PENDING, STAGE_LOOK, -1, NOW + 5, false},
	{"W1", "none is left: failed",
	{STAGE_VERIFY, true, NO, 2, 2, false, 5, 0, -1, LATER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},
	{"D2", "force comes after the last graceful attempt",
	{STAGE_VERIFY, true, NO, 2, 2, true, 5, 0, -1, LATER}, LOOKED(NO), STEP_PENDING, STAGE_LOOK, -1, NOW + 5, true},
	{"D2", "and not before it",
	{STAGE_VERIFY, true, NO, 1, 2, true, 5, 0, -1, LATER}, LOOKED(NO), STEP_PENDING, STAGE_LOOK, -1, NOW + 5, false},
	{"D2", "the forced attempt is the last one",
	{STAGE_VERIFY, true, NO, 3, 2, false, 5, 0, -1, LATER}, LOOKED(NO), STEP_FAILED, STAGE_LOOK, STAYS},

	{"W4", "handed back while it may still run: not before its own timeout",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, RELEASED(false), STEP_UNKNOWN, STAGE_LOOK, -1, LATER, false},
	{"W4", "handed back and ended: at once, beginning with a look",
	{STAGE_ACT, true, UNKNOWN, ONLY, 0, -1, LATER}, RELEASED(true), STEP_UNKNOWN, STAGE_LOOK, -1, NOW, false},
	{"W4", "handed back after the action: at once",
	{STAGE_VERIFY, true, YES, ONLY, 0, -1, LATER}, RELEASED(false), STEP_UNKNOWN, STAGE_LOOK, -1, NOW, false},

	{"L5", "to be ended: a look does not make it succeed",
	{STAGE_END, true, UNKNOWN, ONLY, 0, -1, LATER}, LOOKED(YES), STEP_RUNNING, STAGE_END, STAYS},
	{"L5", "to be ended, and the action is over: cancelled",
	{STAGE_END, true, UNKNOWN, ONLY, 0, -1, LATER}, ACTED(true), STEP_CANCELLED, STAGE_END, STAYS},
	{"L5", "to be ended, and handed back: cancelled",
	{STAGE_END, true, UNKNOWN, ONLY, 0, -1, LATER}, RELEASED(true), STEP_CANCELLED, STAGE_END, STAYS}
};

int
main(void)
{
	bool		named = true;

	for (int i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		ZduStageOutcome o = zdu_stage_advance(&c->step, &c->report, NOW);

		ok(o.state == c->state && o.stage == c->stage && o.holds_since == c->holds_since &&
		   o.not_before == c->not_before && o.force == c->force,
		   c->rule, "%s: %s, %s", c->claim, zdu_state_name(ZDU_STEP, o.state), zdu_stage_name(o.stage));
		if (o.state == STEP_FAILED || o.state == STEP_PENDING)
			ok(o.reason != NULL, "L22", "%s: it says why: %s", c->claim, o.reason != NULL ? o.reason : "");
	}
	for (int i = STAGE_LOOK; i <= STAGE_END; i++)
		named &= (int) zdu_stage_of(zdu_stage_name((ZduStage) i)) == i;
	ok(named, "W4", "names and stages belong together");
	ok(zdu_stage_of("nonsense") == STAGE_LOOK, "W4", "what is not known begins with a look");
	return tap_end();
}
