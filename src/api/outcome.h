/*
 * outcome.h
 *	  What a step's outcome does to its node and to the upgrade.
 */
#ifndef ZDU_OUTCOME_H
#define ZDU_OUTCOME_H

#include "api/api.h"
#include "core/stage.h"
#include "store/node.h"
#include "store/step.h"

/* A step in the course of one decision: as it was, and what became of it. */
typedef struct ZduProgress
{
	ZduStep    *step;
	ZduStage	was_stage;
	ZduStageOutcome outcome;
	Jsonb	   *evidence;		/* what a report brought; NULL: nothing */
	const char *log;			/* the same */
} ZduProgress;

/*
 * Stores what became of n steps, and carries it to their nodes and the
 * upgrade.  nodes are loaded, changed and stored inside.  onward: as in
 * zdu_steps_store(), or NULL.
 */
extern void zdu_outcomes_apply(ZduFacts *f, ZduProgress *progress, int n, ZduOnward *onward);

#endif							/* ZDU_OUTCOME_H */
