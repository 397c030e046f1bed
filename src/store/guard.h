/*
 * guard.h
 *	  Guards: what is looked at all through an upgrade (S6).
 *
 * A guard that names a variable of nodes, such as {address}, is asked of nodes
 * not yet touched: of so many of them that what breaks old nodes shows, and of
 * no more, whatever the size of the cluster.  All others are about the service.
 */
#ifndef ZDU_STORE_GUARD_H
#define ZDU_STORE_GUARD_H

#include "postgres.h"

#include "store/facts.h"
#include "store/runbook.h"

/* How many nodes one guard looks at at a time. */
#define ZDU_GUARD_SAMPLE 10

/* Makes the guards of an upgrade that begins. */
extern void zdu_guards_make(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id);

/* Lets go of nodes that were taken, and looks at others that are not yet touched. */
extern void zdu_guards_follow(const ZduRunbook *rb, const ZduFacts *f);

/* From now on a guard counts only once it has been well again. */
extern void zdu_guards_disarm(const ZduFacts *f);

#endif							/* ZDU_STORE_GUARD_H */
