/*
 * budget.h
 *	  Budgets as they are stored, and which nodes fall under which.
 */
#ifndef ZDU_STORE_BUDGET_H
#define ZDU_STORE_BUDGET_H

#include "postgres.h"

#include "store/facts.h"
#include "store/node.h"

/* What a selector says of a node; a key that it has not says nothing.  Of one selector and many nodes. */
#define ZDU_SELECTS(selector, n) \
	"(" selector "->>'group' IS NULL OR " n ".node_group = " selector "->>'group') " \
	"AND (" selector "->>'zone' IS NULL OR " n ".zone = " selector "->>'zone') " \
	"AND (" selector "->>'role' IS NULL OR " n ".role = " selector "->>'role') " \
	"AND (" selector "->'label' IS NULL OR " n ".labels @> (" selector "->'label')) "

/*
 * Writes anew under which budgets, and freezes, a node (0: every node of the
 * cluster) falls, and the counts with it.  Call after a change of those, or of
 * what they select by: group, zone, role, labels.  Needs the cluster's lock.
 */
extern void zdu_budgets_settle(const ZduFacts *f, int64 node_id);

/* Adds the cluster's own budgets, of which there are n, to its facts, which have room for them. */
extern void zdu_budgets_load(ZduFacts *f, int n);

/* Records which of n nodes were begun just now (those with `begun` set), for budgets with a rate. */
extern void zdu_budgets_begun(const ZduFacts *f, const ZduNode *nodes, int n);

/*
 * Reads the failed nodes under each budget anew, the policy's own aside.
 * Returns the first budget that does not bear them, or NULL.
 */
extern const ZduBudget *zdu_budgets_spent(ZduFacts *f);

#endif							/* ZDU_STORE_BUDGET_H */
