/*
 * health.h
 *	  How copies of data are (D7), and what of them is left on nodes that
 *	  drain (D9).
 */
#ifndef ZDU_STORE_HEALTH_H
#define ZDU_STORE_HEALTH_H

#include "postgres.h"

#include "store/facts.h"

/*
 * Writes the health of resources, and of the cluster as a whole: of those that
 * are not green or have copies on nodes that are away; of all; of one.
 */
extern void zdu_health_settle(ZduFacts *f);
extern void zdu_health_settle_all(ZduFacts *f);
extern void zdu_health_settle_one(ZduFacts *f, const char *resource);

/* Returns a resource that has been red since the upgrade began for longer than a node may take to stop; NULL: none. */
extern char *zdu_health_lasting_red(const ZduFacts *f);

/* Returns which of n nodes still have copies that must leave them first, by the policy's min_availability. */
extern int64 *zdu_nodes_with_copies(const ZduFacts *f, const int64 *ids, int nids, int *n);

#endif							/* ZDU_STORE_HEALTH_H */
