/*
 * plan.h
 *	  The plan of an upgrade: which nodes, in which order, waiting for what.
 *
 * zdu_begin gives the nodes their turns by it; zdu_plan shows it.
 */
#ifndef ZDU_STORE_PLAN_H
#define ZDU_STORE_PLAN_H

#include "postgres.h"

#include "core/pack.h"
#include "core/plan.h"
#include "store/closure.h"
#include "store/facts.h"

/* What is to be planned. */
typedef struct ZduPlanWish
{
	const char *target;
	const char *node_group;		/* only its nodes; NULL: all */
	int			canary;			/* so many nodes first, and alone; 0: none */
	bool		anew;			/* while an upgrade is active: what comes besides, not what is left */
	const ZduPlanNode *back;	/* these go back, ranked already, and no gate stands in their way; NULL: forward */
	int			nback;
} ZduPlanWish;

/* A limit that a node may wait for; one row of zdu.budget may be two. */
typedef struct ZduPlanBudget
{
	const char *name;			/* NULL: the policy's own */
	int			limit;			/* at once, resolved; negative: it is a rate */
	int			max_begun;
	double		per_interval;
	const ZduClosure *closure;	/* it is none, but a freeze, or the windows; NULL: it is one */
} ZduPlanBudget;

typedef struct ZduPlan
{
	ZduPack		pack;			/* its nodes in the order of the policy's list */
	ZduPlanNode *nodes;			/* the same ones */
	int		   *sequence;		/* places of nodes as they are taken; those that never are come last */
	int		   *turns;			/* the same as they are to have their turns: by the list, equals as the choice among them says */
	bool	   *taken;			/* in flight already */
	bool		active;			/* it is what is left of an upgrade that is active */
	ZduOrder	order;
	ZduPlanBudget *budgets;
	const char **resources;		/* names */
	const char **waves;			/* "gate qa", what stands before each; NULL: nothing */
	int			at_once;		/* the policy's limit, resolved */
	int			unknown;		/* nodes whose duration nobody knows: times mean nothing unless it is 0 */
	double		bound;			/* negative: some node can never go */
} ZduPlan;

/* Plans the upgrade of a cluster as it is now; while one is active, what is left of that. */
extern ZduPlan *zdu_plan_make(const ZduFacts *f, const ZduPlanWish *wish);

/*
 * Returns those of n ranked nodes that are not in flight, by id, in the order in
 * which they are best brought back under the budgets that they were taken under.
 */
extern int64 *zdu_plan_way_back(const ZduFacts *f, const ZduPlanNode *nodes, int n, int *nids);

#endif							/* ZDU_STORE_PLAN_H */
