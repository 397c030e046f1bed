/*
 * stage.h
 *	  The life of a running step: look, act, verify.
 *
 * Pure.  One function takes what a worker saw and says what becomes of the
 * step; whoever calls it stores that.  Times are seconds listened.
 */
#ifndef ZDU_STAGE_H
#define ZDU_STAGE_H

#include <stdbool.h>

#include "core/fsm.h"

typedef enum ZduStage
{
	STAGE_LOOK,
	STAGE_ACT,
	STAGE_VERIFY,
	STAGE_END					/* what runs is to be ended */
} ZduStage;

/* A predicate's answer: also "cannot tell". */
typedef enum ZduAnswer
{
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_UNKNOWN
} ZduAnswer;

typedef enum ZduReportKind
{
	REPORT_LOOKED,				/* one look is over, `until` and `fail` were evaluated */
	REPORT_ACTED,				/* the action ended; `ok` is the worker's word */
	REPORT_ACTING,				/* still at it */
	REPORT_RELEASED				/* handed back; `ended` if nothing of it runs */
} ZduReportKind;

typedef struct ZduReport
{
	ZduReportKind kind;
	ZduAnswer	until;
	bool		ok;
	bool		ended;
	bool		failed;			/* what was seen says that it has failed for good */
} ZduReport;

typedef struct ZduStageView
{
	ZduStage	stage;
	bool		has_act;
	ZduAnswer	act_ok;			/* UNKNOWN: not acted in this attempt */
	int			attempt;		/* from 1 */
	int			attempts;
	bool		may_force;		/* a forced action is there, allowed and not yet used */
	double		retry_delay;
	double		hold_for;
	double		holds_since;	/* negative: it does not hold */
	double		deadline;
} ZduStageView;

typedef struct ZduStageOutcome
{
	ZduStepState state;
	ZduStage	stage;
	ZduAnswer	act_ok;
	double		holds_since;	/* negative: it does not hold */
	double		not_before;		/* negative: at once */
	bool		force;			/* the next attempt is the forced action */
	const char *reason;			/* why, for the event; NULL: nothing to say */
} ZduStageOutcome;

extern const char *zdu_stage_name(ZduStage stage);

/* Returns the stage of that name; STAGE_LOOK for anything else. */
extern ZduStage zdu_stage_of(const char *name);

/* Returns what a report makes of a running step. */
extern ZduStageOutcome zdu_stage_advance(const ZduStageView *step, const ZduReport *report, double now);

#endif							/* ZDU_STAGE_H */
