/*
 * planner.h
 *	  What pack.c and signature.c share: a plan in the making.
 */
#ifndef ZDU_PLANNER_H
#define ZDU_PLANNER_H

#include "core/heap.h"
#include "core/pack.h"

typedef struct Signature Signature;
typedef struct Gate Gate;
typedef struct Queue Queue;

/* Where signatures wait until a budget has a place, or its rate allows another. */
struct Gate
{
	ZduHeap		parked;
	bool		rate;
	int			budget;
};

typedef struct Budget
{
	ZduPackBudget given;
	int			used;
	int			failures;
	int			limit;			/* places that it can ever have, for weighing */
	double		load;			/* seconds of nodes not yet taken */
	int			left;			/* how many these are */
	int		   *freed;			/* nodes whose places were not taken anew yet, in a ring */
	int			freed_ring;
	int			nfreed;
	int			nretaken;
	Gate		places;
	Gate		begins;
	double	   *begun;			/* when the last max_begun were, in a ring */
	int			ring;
	int			nbegun;
	ZduHeapItem opening;		/* when its rate allows the next */
	bool		opens;
} Budget;

/* Nodes of one signature that wait for one resource. */
struct Queue
{
	ZduHeap		nodes;
	Signature  *signature;
	bool		woken;			/* one of them is on its way */
	Queue	   *next;
};

typedef struct Resource
{
	int			active;
	int			minimum;
	int			freed_by;		/* node that came back last; negative: none did */
	Queue	   *queues;
} Resource;

struct Signature
{
	ZduHeapItem item;			/* among the candidates, or parked at a gate */
	ZduHeap		nodes;
	ZduHeap    *in;				/* where its item is; NULL: it is empty, or being looked at */
	Gate	   *woken_by;		/* whose next one is to be woken in turn */
	ZduPackWait wait;
	int			which;
	int			wave;
	bool		needs;			/* a place must be free */
	const int  *budgets;
	int			nbudgets;
	Signature  *same;			/* hash chain */
	uint32_t	hash;
};

typedef struct Waiting
{
	ZduHeapItem item;			/* in a signature, in a queue, or in flight */
	Signature  *signature;
	Queue	   *woken_by;
	int			resource;		/* whose queue that is */
} Waiting;

typedef struct Planner
{
	ZduPack    *p;
	Waiting    *waiting;
	Signature  *looked_at;
	Budget	   *budgets;
	Resource   *resources;
	Signature  *signatures;
	int			nsignatures;
	ZduHeap		candidates;
	ZduHeap		flight;
	ZduHeap		openings;
	int		   *left;			/* nodes of each wave that are not done */
	int			wave;
	double		wave_opens;		/* negative: nothing to open */
	int			last;			/* node that ended last */
	bool		weigh;			/* some are equal in rank, and differ in budgets */
	bool		exhausted;		/* no memory */
	int			serving;
	double		now;
} Planner;

/* Returns zeroed memory; NULL, and notes it, if there is no more. */
static inline void *
zdu_plan_alloc(Planner *pl, size_t n, size_t size)
{
	void	   *memory = pl->p->alloc((n + 1) * size);

	if (memory == NULL)
		pl->exhausted = true;
	return memory;
}

/* Sets the budgets as they are before the first node is taken. */
extern void zdu_plan_budgets(Planner *pl);

/* Finds every node's signature, and puts the nodes into their order there. */
extern void zdu_plan_signatures(Planner *pl);

#endif							/* ZDU_PLANNER_H */
