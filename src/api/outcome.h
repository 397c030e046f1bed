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
	int			report;			/* place of the report that tells it; 0: none */
} ZduProgress;

/*
 * Stores what became of n steps, and carries it to their nodes and the
 * upgrade.  nodes are loaded, changed and stored inside.
 */
extern void zdu_outcomes_apply(ZduFacts *f, ZduProgress *progress, int n, Jsonb *reports);

#endif							/* ZDU_OUTCOME_H */
