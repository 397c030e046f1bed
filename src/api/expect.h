/*
 * expect.h
 *	  How long it will take, from history or from what the runbook expects.
 */
#ifndef ZDU_EXPECT_H
#define ZDU_EXPECT_H

#include "api/api.h"
#include "store/plan.h"

/* Returns "5 nodes, 2 at a time, about 15 min"; without the last where nothing is known. */
extern const char *zdu_expect_text(const ZduFacts *f, const ZduPlan *plan);

/* Returns ", about 15 min" for so many nodes, as many at once as the policy allows; "" where nothing is known. */
extern const char *zdu_expect_nodes(const ZduFacts *f, int nodes);

#endif							/* ZDU_EXPECT_H */
