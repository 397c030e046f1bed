/*
 * stage.c
 *	  The life of a running step.
 */
#include "core/stage.h"

#include <stddef.h>
#include <string.h>

static const char *const stage_names[] = {"look", "act", "verify", "end"};

const char *
zdu_stage_name(ZduStage stage)
{
	return stage_names[stage];
}

ZduStage
zdu_stage_of(const char *name)
{
	for (int i = STAGE_LOOK; i <= STAGE_END; i++)
		if (strcmp(stage_names[i], name) == 0)
			return (ZduStage) i;
	return STAGE_LOOK;
}

static ZduStageOutcome
unchanged(const ZduStageView *s)
{
	ZduStageOutcome o = {STEP_RUNNING, s->stage, s->act_ok, s->holds_since, -1, false, NULL};

	return o;
}

static ZduStageOutcome
attempt_failed(const ZduStageView *s, double now, const char *reason)
{
	ZduStageOutcome o = {STEP_FAILED, STAGE_LOOK, ANSWER_UNKNOWN, -1, -1, false, reason};

	if (s->attempt < s->attempts || s->may_force)
	{
		o.state = STEP_PENDING;
		o.not_before = now + s->retry_delay;
		o.force = s->attempt >= s->attempts;
	}
	return o;
}

/* It holds: done at once, or when it has held for long enough. */
static ZduStageOutcome
holds(const ZduStageView *s, double now)
{
	ZduStageOutcome o = unchanged(s);

	o.stage = STAGE_VERIFY;
	if (s->holds_since < 0)
		o.holds_since = now;
	if (now - o.holds_since >= s->hold_for)
	{
		o.state = STEP_SUCCEEDED;
		o.reason = s->stage == STAGE_LOOK ? "seen before anything was done" : NULL;
	}
	return o;
}

static ZduStageOutcome
looked(const ZduStageView *s, const ZduReport *r, double now)
{
	ZduStageOutcome o = unchanged(s);
	bool		late = now >= s->deadline;

	/* Before the action it may be what an earlier attempt has left behind. */
	if (r->failed && (!s->has_act || s->act_ok != ANSWER_UNKNOWN))
		return attempt_failed(s, now, "seen to have failed");
	if (r->until == ANSWER_YES && !r->failed)
		return holds(s, now);

	o.holds_since = -1;
	if (r->until == ANSWER_UNKNOWN && !r->failed)
		return late ? attempt_failed(s, now, "cannot tell whether it is done") : o;

	/* What held at the first look, but not for long enough, was not done by us: it is still to be acted on. */
	if (!late && (s->stage == STAGE_LOOK || (s->has_act && s->act_ok == ANSWER_UNKNOWN)))
	{
		o.stage = s->has_act ? STAGE_ACT : STAGE_VERIFY;
		return o;
	}
	/* The action said that it failed, and the look agrees. */
	if (s->act_ok == ANSWER_NO)
		return attempt_failed(s, now, "the action failed");
	return late ? attempt_failed(s, now, "not observed in time") : o;
}

ZduStageOutcome
zdu_stage_advance(const ZduStageView *s, const ZduReport *r, double now)
{
	ZduStageOutcome o = unchanged(s);
	bool		over = r->kind == REPORT_ACTED || r->kind == REPORT_RELEASED;

	/* What is to be ended is over when nothing of it runs any more. */
	if (s->stage == STAGE_END)
	{
		if (over)
			o.state = STEP_CANCELLED;
		return o;
	}

	switch (r->kind)
	{
		case REPORT_ACTING:
			break;
		case REPORT_RELEASED:
			/* Without the agent's word an action may still run: its own timeout ends it. */
			o.state = STEP_UNKNOWN;
			o.not_before = s->stage == STAGE_ACT && !r->ended ? s->deadline : now;
			o.stage = STAGE_LOOK;
			o.act_ok = ANSWER_UNKNOWN;
			o.holds_since = -1;
			o.reason = "handed back";
			break;
		case REPORT_ACTED:
			if (s->stage == STAGE_ACT)
			{
				o.stage = STAGE_VERIFY;
				o.act_ok = r->ok ? ANSWER_YES : ANSWER_NO;
			}
			break;
		case REPORT_LOOKED:
			if (s->stage != STAGE_ACT)
				return looked(s, r, now);
			break;
	}
	return o;
}
