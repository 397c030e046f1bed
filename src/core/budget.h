/*
 * budget.h
 *	  Budgets: how many nodes may be away, begun, or have failed (D10-D12).
 *
 * Pure: no server headers.  The exchange, zdu_why, the planner and the
 * simulation ask the same functions for a place.
 */
#ifndef ZDU_BUDGET_H
#define ZDU_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ZduBudget
{
	int64_t		id;				/* 0: the policy's own, over every node */
	const char *name;			/* NULL: the policy's own */
	bool		everywhere;		/* every node falls under it: no signature names it */
	const char *where;			/* which nodes, in words that begin with a blank: " in zone a"; "" for every node */
	const char *max_unavailable;	/* at once: "3" or "33%"; NULL: no limit */
	int			max_begun;		/* within per_interval; 0: no limit */
	double		per_interval;	/* seconds */
	int			max_failures;	/* negative: no limit */

	/* how things stand */
	int			total;			/* nodes that fall under it */
	int			unavailable;	/* of them: not serving, or taken; each once */
	int			unheard;		/* of them: OFFLINE, not confirmed */
	const char *unheard_node;	/* one of those; NULL: none */
	int			begun;			/* within the last per_interval */
	double		next_place;		/* seconds until the rate has a place again; 0: it has one */
	int			failures;		/* failed nodes, in the direction that the upgrade goes */
} ZduBudget;

/* No limit: as many as there are. */
#define ZDU_NO_LIMIT INT32_MAX

/*
 * True if a budget counts the nodes of a signature.  Both budgets and
 * signatures are by id: *k, from 0, moves on through the signature.
 */
extern bool zdu_budget_counts(const ZduBudget *b, const int64_t *signature, int n, int *k);

/* Returns how many may be unavailable at once, resolved. */
extern int	zdu_budget_limit(const ZduBudget *b);

/* Returns how many more may become unavailable, or be begun; at least 0. */
extern int	zdu_budget_room(const ZduBudget *b);
extern int	zdu_budget_rate_room(const ZduBudget *b);

/* True if not more have failed than it allows. */
extern bool zdu_budget_bears(const ZduBudget *b);

/* Debits a node that is begun; costs: it was available until then (D12). */
extern void zdu_budget_debit(ZduBudget *b, bool costs);

#endif							/* ZDU_BUDGET_H */
