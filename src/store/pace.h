/*
 * pace.h
 *	  How long a node takes.
 */
#ifndef ZDU_PACE_H
#define ZDU_PACE_H

#include "postgres.h"

#include "store/facts.h"

/*
 * Returns the seconds that a node of the cluster takes, from being taken until
 * it counts as available again: the mean of those done last, else what the
 * runbook expects of its phases; negative: neither is known.
 */
extern double zdu_pace(const ZduFacts *f);

#endif							/* ZDU_PACE_H */
