/*
 * node.h
 *	  Nodes as they are stored, and the writing of what was observed of them.
 */
#ifndef ZDU_STORE_NODE_H
#define ZDU_STORE_NODE_H

#include "postgres.h"

#include "core/decide.h"
#include "core/plan.h"
#include "store/facts.h"

typedef struct ZduNode
{
	int64		id;
	const char *name;
	const char *login;
	const char *version;
	const char *incarnation;
	ZduNodeState state;
	bool		confirmed;
	bool		in_rotation;
	bool		attached;
	bool		taken;
	bool		reports;
	bool		fenced;
	bool		stuck;
	bool		queued;			/* it has a turn */
	bool		back;			/* heading back to the original */
	bool		headed;			/* heading anywhere; without a turn: given up, or interrupted */
	bool		changed;		/* differs from what is stored */
	bool		moved;			/* its state does: `since` starts anew */
	bool		finished;		/* its turn is over */
	bool		arrived;		/* and it heads nowhere any more */
} ZduNode;

/* Returns the node, or NULL when it is gone. */
extern ZduNode *zdu_node_load(int64 cluster_id, const char *name);

/* The same; ERROR 42704 with a hint when there is none. */
extern ZduNode *zdu_node_known(const ZduFacts *f, const char *name);

/* Return arrays of nodes, by id, and their number: with these ids; all of the cluster. */
extern ZduNode *zdu_nodes_by_id(const int64 *ids, int nids, int *n);
extern ZduNode *zdu_nodes_all(int64 cluster_id, int *n);

/*
 * Returns nodes that may be taken next, best first: those that are down
 * already and cost nothing, then by turn.  only: this node or NULL for all.
 */
extern ZduNode *zdu_nodes_next(int64 cluster_id, const char *only, int limit, int *n);

/* Returns the one of n nodes, sorted by id, that has this id, or NULL: it was removed since. */
extern ZduNode *zdu_node_seek(ZduNode *nodes, int n, int64 id);

/* The same for one that must be there. */
extern ZduNode *zdu_node_find(ZduNode *nodes, int n, int64 id);

/* Describes the node that most stands in the way of finalizing, "app5 is ACTIVE at 2.3.1"; NULL: none. */
extern char *zdu_node_worst(const ZduFacts *f);

/* Returns all nodes with what the order asks for, and the policy's order. */
extern ZduPlanNode *zdu_nodes_to_order(int64 cluster_id, int *n);
extern ZduOrder zdu_order_load(const char *policy);

/*
 * Changes a node in memory and notes the event.  A state that is not legal
 * after the one before is refused: an ERROR if strict, else false.
 */
extern bool zdu_node_move(ZduNode *node, ZduNodeState to, bool confirmed, const char *reason, bool strict);

/* The same for a state that somebody forces: whatever the tables say. */
extern void zdu_node_force(ZduNode *node, ZduNodeState to, bool confirmed, const char *rule, const char *reason);

extern void zdu_node_rotate(ZduNode *node, bool in_rotation, const char *reason);
extern void zdu_node_seen(ZduNode *node, const char *version);
extern void zdu_node_take(ZduNode *node, bool taken, const char *reason);

/* Nothing is in flight on it any more, its turn is over; one that did not arrive keeps its heading. */
extern void zdu_node_finish(ZduNode *node, bool arrived);

extern ZduCandidate zdu_node_candidate(const ZduNode *node);

/* Writes the changed ones of n nodes, and the counts with them. */
extern void zdu_nodes_store(const ZduFacts *f, ZduNode *nodes, int n);

/* Registers a node; returns it. */
extern ZduNode *zdu_node_insert(const ZduFacts *f, const char *name, ZduNodeState state);

/* Removes nodes; the counts follow. */
extern void zdu_nodes_remove(const ZduFacts *f, const int64 *ids, int n);

/*
 * Gives nodes their turns in this order, starting after those that have one;
 * back says where they go.  All others keep what they have.
 */
extern void zdu_nodes_queue(const ZduFacts *f, const int64 *ids, int n, bool back);

/* Takes the turns away: from one node, or from all (id 0). */
extern void zdu_nodes_dequeue(const ZduFacts *f, int64 id, bool keep_heading);

/* True if some node still has a turn. */
extern bool zdu_nodes_queued(const ZduFacts *f);

/* Notes that nodes were heard now: tasks and users negative if not said. */
extern void zdu_node_heard(const ZduFacts *f, int64 id, int tasks, int users);

/* Returns the ids of nodes that have been unheard for longer than the ttl. */
extern int64 *zdu_nodes_unheard(const ZduFacts *f, int *n);

/* Returns the ids of nodes that are too long STARTING or TERMINATING, not yet noted as stuck. */
extern int64 *zdu_nodes_stuck(const ZduFacts *f, int *n);

#endif							/* ZDU_STORE_NODE_H */
