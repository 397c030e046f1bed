/*
 * world.h
 *	  The truth: nodes, what actions do to them, what looks see.
 *
 * zdu knows of it only what workers report.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>

#define MAX_NODES 1000
#define NO_NODE (-1)			/* the cluster itself */

/* How a node, or the cluster, carries out an action. */
typedef enum Conduct
{
	CONDUCT_GOOD,
	CONDUCT_FAILS,				/* says so, and does nothing */
	CONDUCT_LIES,				/* says that it went well, and does nothing */
	CONDUCT_STICKS				/* never comes to an end */
} Conduct;

typedef enum Deed
{
	DEED_ISOLATE,
	DEED_DRAIN,
	DEED_STOP,
	DEED_UPGRADE,
	DEED_START,
	DEED_VERIFY,
	DEED_INTEGRATE,
	DEED_PREPARE,
	DEED_UNPREPARE,
	DEED_TASK,
	DEEDS
} Deed;

typedef struct Token
{
	long		epoch;
	long		number;
} Token;

typedef struct Node
{
	char		name[16];
	bool		there;			/* zdu knows of it */
	bool		running;
	bool		in;				/* the load balancer sends it requests */
	bool		installed_new;
	bool		runs_new;
	double		drained_at;		/* when the last request is over */
	/* faults */
	bool		dead;			/* died by itself */
	bool		vanished;		/* nobody reaches it */
	bool		sick;			/* answers, but is not well */
	bool		refused;		/* zdu_join refused its program, and it ended */
	bool		tainted;		/* something has happened to it that zdu may not have known: not reckoned with */
	Conduct		conduct[DEEDS];
	int			times[DEEDS];	/* how often yet */
	/* what zdu has done to it */
	bool		taken_out;		/* served, and does not any more since an action */
	Token		seen;			/* the highest token of an action */
} Node;

typedef struct World
{
	int			n;
	Node		node[MAX_NODES];
	Node		whole;			/* conduct of the cluster's tasks */
	bool		refuses;		/* nodes refuse a lower token than they have seen */
	bool		prepared;
	int			tasks;			/* how often the task was done */
	bool		gate_ok;
	bool		gate_known;
	double		now;
} World;

extern const char *const deed_names[DEEDS];

/* Returns the deed of that name, or DEEDS. */
extern Deed deed_of(const char *name);

/* Returns the node's place, NO_NODE if there is none of that name. */
extern int	world_find(const World *w, const char *name);

/* True if a is lower than b. */
extern bool token_is_lower(Token a, Token b);

/* What became of an action. */
typedef struct Effect
{
	bool		good;			/* what the action says */
	bool		refused;		/* the node refused its token */
	bool		changed;
} Effect;

/* The action has its effect now. */
extern Effect world_do(World *w, int node, Deed deed, bool to_new, Token token);

/* Its program ends by itself, as it was told. */
extern void world_end(World *w, int node);

/* Returns what a look at a node (NO_NODE: the cluster) sees, as a JSON object, to be freed. */
extern char *world_look(World *w, int node);

/* True if the node serves, in truth. */
extern bool world_serves(const Node *n);

#endif							/* SIM_WORLD_H */
