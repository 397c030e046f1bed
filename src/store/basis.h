/*
 * basis.h
 *	  What a plan rests on, as a hash that somebody can agree to.
 *
 * Versions, nodes and what budgets and order ask of them, policy, budgets,
 * gates, runbook, releases.  Not load, heartbeats, durations or where copies
 * are: under order_by = least_busy the rule is agreed to, not the order.
 */
#ifndef ZDU_BASIS_H
#define ZDU_BASIS_H

#include "postgres.h"

#include "store/plan.h"

/* Returns the hash: one part for each thing, so that it tells what has changed. */
extern char *zdu_basis_hash(const ZduFacts *f, const ZduPlanWish *wish);

/*
 * Compares a hash with the present one: returns what has changed since, "nodes,
 * budgets", or NULL.  ERROR 22023 if it is no such hash.
 */
extern char *zdu_basis_changed(const ZduFacts *f, const ZduPlanWish *wish, const char *hash);

#endif							/* ZDU_BASIS_H */
