/*
 * pack.h
 *	  When each node is taken and done: list scheduling under budgets,
 *	  copies, rates and waves, without a barrier that nobody asked for.
 *
 * Pure: no server headers.  The same greedy rule by which the exchange takes
 * nodes: whenever something changes, the first in order that may go goes.
 * Times are in seconds from when the first may be taken.
 */
#ifndef ZDU_PACK_H
#define ZDU_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time in which nothing is begun: from..to, to itself not in it; INFINITY: for good. */
typedef struct ZduPackSpan
{
	double		from;
	double		to;
} ZduPackSpan;

typedef struct ZduPackBudget
{
	int			limit;			/* nodes unavailable at once; negative: any number */
	int			used;			/* unavailable already, nodes of the plan included */
	int			max_begun;		/* nodes begun per interval; 0: any number */
	double		interval;
	int			max_failures;	/* negative: any number */
	const ZduPackSpan *closed;	/* in their order */
	int			nclosed;
} ZduPackBudget;

typedef struct ZduPackResource
{
	int			active;			/* copies that serve now */
	int			minimum;		/* of these must stay */
} ZduPackResource;

typedef struct ZduPackWave
{
	double		soak;			/* seconds between its last node and the next wave */
} ZduPackWave;

/* What a node waited for last before it was taken, or waits for in vain. */
typedef enum ZduPackWait
{
	WAIT_NOTHING,
	WAIT_BUDGET,				/* which: the budget */
	WAIT_RATE,					/* the same, for its rate, or because it was closed */
	WAIT_COPIES,				/* which: the resource */
	WAIT_WAVE,					/* which: the wave before */
	WAIT_HELD					/* too many failures */
} ZduPackWait;

/* Which of several that are equal in rank goes first; the further down, the less a person could have told. */
typedef enum ZduPackChoice
{
	CHOOSE_FIRST,				/* as they come */
	CHOOSE_FULLEST,				/* under the budget with most left to do, as they come */
	CHOOSE_LONGEST,				/* under that budget, the longest */
	CHOOSE_BY_LUCK				/* mixed, another way by each number: odd ones of any duration */
} ZduPackChoice;

typedef struct ZduPackNode
{
	/* given */
	int			rank;			/* in the policy's order; among equals the planner chooses */
	int			wave;			/* from 0 */
	bool		down;			/* unavailable already: taking it costs nothing (D12) */
	bool		unheard;		/* but it may serve after all: it needs a free place besides */
	bool		gone;			/* its copies cannot be read or written already */
	bool		fails;			/* never comes back */
	double		duration;		/* from being taken until it counts as available again */
	const int  *budgets;		/* which count it */
	int			nbudgets;
	const int  *resources;		/* of which it has a copy */
	int			nresources;

	/* found */
	int			turn;			/* taken as the how manieth, from 1; 0: never */
	double		start;
	double		end;
	ZduPackWait wait;
	int			which;
	int			after;			/* node whose end let it go; negative: none did */
} ZduPackNode;

typedef struct ZduPack
{
	/* given */
	ZduPackNode *nodes;			/* where nothing else decides, in this order */
	int			nnodes;
	const ZduPackBudget *budgets;
	int			nbudgets;
	const ZduPackResource *resources;
	int			nresources;
	const ZduPackWave *waves;
	int			nwaves;			/* at least 1 */
	int			serving;		/* nodes that serve now */
	int			max_failures;	/* one more holds it; negative: none does */
	ZduPackChoice choice;		/* among equals */
	uint32_t	luck;			/* from 1, for CHOOSE_BY_LUCK */
	void	   *(*alloc) (size_t size); /* zeroed; NULL: there is no more */

	/* found */
	int			taken;			/* nodes; fewer than all: the rest waits in vain */
	double		makespan;		/* until the last of them is done, soaks between waves included */
	int			lowest;			/* nodes that served at the worst moment */
	int			equals;			/* nodes that share their rank with another: there was something to choose */
	int			failures;
	bool		held;			/* more than max_failures, or than a budget's */
	int64_t		work;			/* looks at candidates: what planning cost */
} ZduPack;

/* Returns the first moment from `at` on at which a budget is not closed; INFINITY: none. */
extern double zdu_pack_opens(const ZduPackBudget *b, double at);

/*
 * Plans.  Sets what is found; false: no memory.  alloc'd memory is the
 * caller's, and nothing of it is needed afterwards.
 */
extern bool zdu_pack(ZduPack *p);

/* What another choice has to save before it is worth being less easy to foresee. */
#define ZDU_PACK_WORTH 1.02

/*
 * The same, and finds the choice: equals go as they come where that costs
 * nothing to speak of, else up to so many ways (at least 3) are tried and the
 * shortest is kept.
 */
extern bool zdu_pack_best(ZduPack *p, int tries);

/*
 * Returns seconds that no schedule of the same nodes can beat, failures left
 * out: of each wave the largest of the longest node and, for each budget, rate
 * and resource, what its places or copies allow; plus the soaks between.
 * Negative: a budget or resource lets some node never go, or no memory.
 */
extern double zdu_pack_bound(const ZduPack *p);

#endif							/* ZDU_PACK_H */
