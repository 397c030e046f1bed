/*
 * feature.h
 *	  Features of a new version, off until no old node is left (S4).
 */
#ifndef ZDU_FEATURE_H
#define ZDU_FEATURE_H

#include "store/facts.h"

/*
 * Switches on what nothing stands in the way of any more, in one row for all
 * nodes.  Needs the lock; in upgrade mode there is nothing to do.
 */
extern void zdu_features_settle(const ZduFacts *f);

#endif							/* ZDU_FEATURE_H */
