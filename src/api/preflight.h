/*
 * preflight.h
 *	  What would be in the way of an upgrade, beside what zdu_begin refuses.
 */
#ifndef ZDU_PREFLIGHT_H
#define ZDU_PREFLIGHT_H

#include "api/refuse.h"
#include "nodes/pg_list.h"
#include "store/plan.h"

/* Returns a List of ZduRefusal *: nodes that the plan, made for what b asks, can never take, nodes of it that nobody sees. */
extern List *zdu_preflight(const ZduFacts *f, const ZduBegin *b, const ZduPlan *plan);

#endif							/* ZDU_PREFLIGHT_H */
