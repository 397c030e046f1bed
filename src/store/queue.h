/*
 * queue.h
 *	  Whose turn it is: the order of an upgrade, and what is next in it.
 */
#ifndef ZDU_QUEUE_H
#define ZDU_QUEUE_H

#include "postgres.h"

#include "core/plan.h"
#include "store/node.h"

/* Returns all nodes with what the order asks for, and the policy's order. */
extern ZduPlanNode *zdu_nodes_to_order(int64 cluster_id, int *n);
extern ZduOrder zdu_order_load(const char *policy);

/* Gives nodes their places and turns in this order as an upgrade begins. */
extern void zdu_nodes_order(const int64 *ids, int n);

/*
 * Gives nodes a turn: on the way back in this order and before all others,
 * forward again at their places; one without a place turned up later and comes
 * last.
 */
extern void zdu_nodes_queue(const int64 *ids, int n, bool back);

/* Takes the turns away: from one node, or from all (id 0). */
extern void zdu_nodes_dequeue(const ZduFacts *f, int64 id, bool keep_heading);

/* True if some node still has a turn. */
extern bool zdu_nodes_queued(const ZduFacts *f);

/* True if one of them goes back. */
extern bool zdu_nodes_queued_back(const ZduFacts *f);

/*
 * Returns nodes to be decided about, best first: those that are down already
 * and cost no place, then those unheard, then by turn.  Of each signature
 * (the budgets a node falls under) as many as have a place, and at most
 * `slots`; nodes that copies of data stand in the way of are passed over.
 * Whoever takes some of them and finds others refused asks again.
 */
extern ZduNode *zdu_nodes_next(const ZduFacts *f, int slots, int *n);

/* Returns the first of each class and signature, whether or not it has a place. */
extern ZduNode *zdu_nodes_heads(const ZduFacts *f, int *n);

#endif							/* ZDU_QUEUE_H */
