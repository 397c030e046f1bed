/*
 * plan.h
 *	  What several functions say of plans.
 */
#ifndef ZDU_API_PLAN_H
#define ZDU_API_PLAN_H

#include "api/api.h"
#include "store/plan.h"
#include "utils/timestamp.h"

/*
 * Begins a call about a plan that reads only, puts in the target that is meant
 * where none is given, and makes the plan.  ERROR 42704, 22P02 or 22023 for what
 * does not exist or makes no sense.
 */
extern ZduPlan *zdu_plan_begin(ZduCall *call, const char *function, const char *cluster, ZduPlanWish *wish);

/* Returns what the node at this place waits for, "app3, 1 at once"; NULL: nothing. */
extern char *zdu_plan_waits_for(const ZduPlan *plan, int place);

/* Returns seconds as an interval. */
extern Datum zdu_seconds(double seconds);

/* Returns up to when a standby has replayed; 0: this is no standby. */
extern TimestampTz zdu_as_of(void);

#endif							/* ZDU_API_PLAN_H */
