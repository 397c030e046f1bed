/*
 * node.h
 *	  Nodes as they are stored, and the writing of what was observed of them.
 */
#ifndef ZDU_STORE_NODE_H
#define ZDU_STORE_NODE_H

#include "postgres.h"

#include "core/decide.h"
#include "store/count.h"
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
	int			turn;			/* whose turn is lower comes first; 0: it has none */
	int			place;			/* in the order of the upgrade as it began, from 1; 0: not in it */
	int64	   *budgets;		/* the zdu.budget rows that it falls under */
	int			nbudgets;
	int		   *copies;			/* places in ZduFacts.resources, see zdu_copies_load() */
	int			ncopies;
	bool		headed;			/* heading anywhere; without a turn: given up, or interrupted */
	bool		begun;			/* taken, or to be taken out of rotation, by this decision */
	bool		changed;		/* differs from what is stored */
	bool		moved;			/* its state does: `since` starts anew */
	bool		finished;		/* its turn is over */
	bool		arrived;		/* and it heads nowhere any more */
	ZduCounted	was;			/* as it is counted: as it was read, or stored last */
	const char *was_incarnation;	/* the same of its process */
	Jsonb	   *vars;			/* see zdu_vars_of_nodes(); NULL: not loaded */
} ZduNode;

/* What a query names of zdu.node, or of a row like it, for zdu_nodes_read(). */
#define ZDU_NODE_COLUMNS(n) \
	n "node_id, " n "name, " n "login, " n "version, " n "incarnation, " n "state, " n "confirmed, " n "in_rotation, " n "attached, " \
	n "taken, " n "reports, " n "fenced, " n "stuck, " n "turn, coalesce(" n "heading = 'back', false), " n "heading IS NOT NULL, coalesce(" n "place, 0), " n "budgets"

/* The same columns under their names, for a query that goes through several steps. */
#define ZDU_NODE_ROW(n) \
	n "node_id, " n "name, " n "login, " n "version, " n "incarnation, " n "state, " n "confirmed, " n "in_rotation, " n "attached, " \
	n "taken, " n "reports, " n "fenced, " n "stuck, " n "turn, " n "heading, " n "place, " n "budgets"

/* Returns the rows of the last query as an array of nodes, and their number. */
extern ZduNode *zdu_nodes_read(uint64 rows, int *n);

/* Returns the node, or NULL when it is gone. */
extern ZduNode *zdu_node_load(int64 cluster_id, const char *name);

/* The same; ERROR 42704 with a hint when there is none. */
extern ZduNode *zdu_node_known(const ZduFacts *f, const char *name);

/* Return arrays of nodes, by id, and their number: with these ids; all of the cluster. */
extern ZduNode *zdu_nodes_by_id(const int64 *ids, int nids, int *n);
extern ZduNode *zdu_nodes_all(int64 cluster_id, int *n);

/* Returns the one of n nodes, sorted by id, that has this id, or NULL: it was removed since. */
extern ZduNode *zdu_node_seek(ZduNode *nodes, int n, int64 id);

/* The same for one that must be there. */
extern ZduNode *zdu_node_find(ZduNode *nodes, int n, int64 id);

/* Describes the node that most stands in the way of finalizing, "app5 is ACTIVE at 2.3.1"; NULL: none. */
extern char *zdu_node_worst(const ZduFacts *f);

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

extern ZduCandidate zdu_node_candidate(const ZduFacts *f, const ZduNode *node);

/* Writes the changed ones of n nodes, and the counts with them. */
extern void zdu_nodes_store(const ZduFacts *f, ZduNode *nodes, int n);

/* Registers a node; returns it. */
extern ZduNode *zdu_node_insert(const ZduFacts *f, const char *name, ZduNodeState state);

/* Removes nodes; the counts follow. */
extern void zdu_nodes_remove(const ZduFacts *f, const int64 *ids, int n);

/* Notes that nodes were heard now: tasks and users negative if not said. */
extern void zdu_node_heard(const ZduFacts *f, int64 id, int tasks, int users);

/* Returns the ids of nodes that have been unheard for longer than the ttl. */
extern int64 *zdu_nodes_unheard(const ZduFacts *f, int *n);

/* Returns the ids of nodes that are too long STARTING or TERMINATING, not yet noted as stuck. */
extern int64 *zdu_nodes_stuck(const ZduFacts *f, int *n);

#endif							/* ZDU_STORE_NODE_H */
