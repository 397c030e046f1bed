/*
 * shape.h
 *	  Phases of a runbook as they are for every node, and steps made out of
 *	  them.
 */
#ifndef ZDU_STORE_SHAPE_H
#define ZDU_STORE_SHAPE_H

#include "postgres.h"

#include "store/facts.h"
#include "store/step.h"
#include "utils/jsonb.h"

/* What was found out about phases so far; lives as long as the document that they stand in. */
typedef struct ZduShapes
{
	List	   *shapes;
} ZduShapes;

/*
 * Makes a step out of a phase of a runbook, or out of one of its tasks.
 * node_id: 0 for the cluster; vars: its variables; keep: targets that must
 * stay as isolate left them, NULL: none; shapes: where to remember what is the
 * same for the next node, NULL: nowhere.  Returns NULL and *error if it uses a variable
 * that has no value.
 */
extern ZduNewStep *zdu_shape_step(ZduShapes *shapes, const ZduFacts *f, JsonbContainer *phase, ZduPhase which, int64 node_id,
								  bool back, Jsonb *vars, Jsonb *keep, char **error);

#endif							/* ZDU_STORE_SHAPE_H */
