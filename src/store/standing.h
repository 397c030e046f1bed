/*
 * standing.h
 *	  Standing watches: what a runbook says is looked at in STABLE too, such as
 *	  the schema's version.
 */
#ifndef ZDU_STORE_STANDING_H
#define ZDU_STORE_STANDING_H

#include "postgres.h"

#include "store/runbook.h"

/*
 * Makes the cluster's standing watches those of the runbook (NULL: none) with
 * the variables as they are now; what has not changed is left alone.
 */
extern void zdu_standing_keep(const ZduFacts *f, const ZduRunbook *rb);

/*
 * Takes the schema's version from what a watch saw: the highest of all that
 * are there, by the order of versions (S2).  Stores it with the cluster.
 */
extern void zdu_schema_saw(ZduFacts *f, int64 watch_id);

#endif							/* ZDU_STORE_STANDING_H */
