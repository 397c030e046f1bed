/*
 * budget.h
 *	  Budgets as they are stored, and which nodes fall under which.
 */
#ifndef ZDU_STORE_BUDGET_H
#define ZDU_STORE_BUDGET_H

#include "postgres.h"

#include "store/facts.h"

/*
 * Writes anew under which budgets a node (0: every node of the cluster)
 * falls, and the counts with it.  Call after a change of budgets, or of what
 * they select by: group, zone, role, labels.  Needs the cluster's lock.
 */
extern void zdu_budgets_settle(const ZduFacts *f, int64 node_id);

#endif							/* ZDU_STORE_BUDGET_H */
