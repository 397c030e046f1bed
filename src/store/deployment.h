/*
 * deployment.h
 *	  Deployments to groups, of which a rollout by groups has one after another.
 */
#ifndef ZDU_STORE_DEPLOYMENT_H
#define ZDU_STORE_DEPLOYMENT_H

#include "postgres.h"

#include "store/facts.h"

/* Notes that the active upgrade is deployed to a group from now on; through: NULL is not said. */
extern void zdu_deployment_begin(ZduFacts *f, const char *node_group, const char *through);

/*
 * Notes that the deployment that runs is done, if every node of its group
 * that is not confirmed down is at the target.  Returns whether it is.
 */
extern bool zdu_deployment_settle(const ZduFacts *f);

/* True if the last upgrade, or the one that runs, went by groups and has not been deployed to `default`. */
extern bool zdu_deployments_open(const ZduFacts *f);

/* True if the node's group is one that the active upgrade was deployed to, or all are. */
extern bool zdu_deployment_covers(const ZduFacts *f, int64 node_id);

/* Returns a group with nodes that the active upgrade was not deployed to, default last; NULL: none. */
extern char *zdu_deployment_next(const ZduFacts *f);

/*
 * Of the budgets that the nodes of a group which are not at the target would
 * overdraw together, describes the first: "3 nodes of zone-a leave together,
 * 1 may"; NULL: none.
 */
extern char *zdu_deployment_overdraws(const ZduFacts *f, const char *node_group, const char *target);

/* Keeps these nodes out of rotation until zdu_deployment_switch() (M9). */
extern void zdu_deployment_bar(const ZduFacts *f);

/* Lets the nodes go back into rotation if every one of the group is verified. */
extern void zdu_deployment_switch(const ZduFacts *f);

#endif							/* ZDU_STORE_DEPLOYMENT_H */
