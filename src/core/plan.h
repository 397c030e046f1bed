/*
 * plan.h
 *	  In which order nodes are taken, and how many at once.
 *
 * Pure: no server headers.
 */
#ifndef ZDU_PLAN_H
#define ZDU_PLAN_H

#include <stdbool.h>
#include <stdint.h>

typedef enum ZduOrderKey
{
	ORDER_ROLE,
	ORDER_GROUP,
	ORDER_ZONE,
	ORDER_LEAST_BUSY,
	ORDER_NAME,
	ORDER_KEYS
} ZduOrderKey;

typedef struct ZduPlanNode
{
	int64_t		id;
	const char *name;
	const char *role;			/* NULL: none */
	const char *group;
	const char *zone;			/* NULL: none */
	int			busy;			/* users and tasks; negative: not known */
	bool		last;			/* after all others, such as healthy new nodes in a rollback (L23) */
	int			rank;			/* found: equal where the keys leave the order open */
} ZduPlanNode;

typedef struct ZduOrder
{
	int			nkeys;
	ZduOrderKey keys[ORDER_KEYS];
} ZduOrder;

/* Returns the key of that name, or ORDER_KEYS when there is none. */
extern ZduOrderKey zdu_order_key_of(const char *name);

/* Sorts nodes and ranks them; where all keys are equal, by name (natural: app2 before app10). */
extern void zdu_plan_order(ZduPlanNode *nodes, int n, const ZduOrder *order);

/* Returns whether the keys put one before the other. */
extern bool zdu_plan_differs(const ZduPlanNode *a, const ZduPlanNode *b, const ZduOrder *order);

/*
 * Returns how many of total nodes may be unavailable at once (D10): "3" or
 * "33%"; a share rounds down, at least 1 moves and at least 1 stays.  A
 * cluster of one gives 1: that it is allowed at all is decided elsewhere.
 */
extern int	zdu_limit_resolve(const char *max_unavailable, int total);

#endif							/* ZDU_PLAN_H */
