/*
 * placement.h
 *	  Where the copies of data are, as it is stored.
 */
#ifndef ZDU_STORE_PLACEMENT_H
#define ZDU_STORE_PLACEMENT_H

#include "postgres.h"

#include "store/facts.h"
#include "store/node.h"
#include "utils/jsonb.h"

/*
 * Returns what is wrong with an array of copies, as zdu_load_placements()
 * takes it, in words; NULL: nothing.
 */
extern char *zdu_placements_wrong(Jsonb *copies);

/*
 * Makes the stored copies of a cluster those of a checked array: what is not
 * in it is forgotten, and only what differs is written.  Returns the number of
 * rows written.  Needs the cluster's lock.
 */
extern int	zdu_placements_load(ZduFacts *f, Jsonb *copies);

/*
 * Takes the copies from what a watch of the kind `placements` saw.  What
 * cannot be read changes nothing but that it is told.
 */
extern void zdu_placements_saw(ZduFacts *f, int64 watch_id);

/*
 * Sets the resources of which n nodes have copies, and for each node which
 * they are, as far as the policy's min_availability asks for that.
 */
extern void zdu_copies_load(ZduFacts *f, ZduNode *nodes, int n);

#endif							/* ZDU_STORE_PLACEMENT_H */
