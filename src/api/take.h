/*
 * take.h
 *	  Taking nodes whose turn has come.
 */
#ifndef ZDU_TAKE_H
#define ZDU_TAKE_H

#include "store/facts.h"
#include "store/runbook.h"
#include "store/worker.h"

/*
 * Takes nodes, at most `slots`, as long as every predicate says yes: makes
 * their steps and debits all budgets.  Returns how many.
 */
extern int	zdu_take_nodes(ZduFacts *f, const ZduWorker *w, int slots);

/*
 * Returns a node by name as an array of one if it waits for its turn and is
 * not taken, with what a decision asks for; else *n is 0.
 */
extern ZduNode *zdu_take_only(ZduFacts *f, const char *name, int *n);

#endif							/* ZDU_TAKE_H */
