/*
 * budget.c
 *	  Budgets: how many nodes may be away, begun, or have failed.
 */
#include "core/budget.h"

#include <stddef.h>

#include "core/plan.h"

bool
zdu_budget_counts(const ZduBudget *b, const int64_t *signature, int n, int *k)
{
	if (b->everywhere)
		return true;
	/* What is no budget is a freeze. */
	while (*k < n && signature[*k] < b->id)
		(*k)++;
	return *k < n && signature[*k] == b->id;
}

int
zdu_budget_limit(const ZduBudget *b)
{
	return b->max_unavailable == NULL ? ZDU_NO_LIMIT : zdu_limit_resolve(b->max_unavailable, b->total);
}

/* Others may have overdrawn it: by nodes that went down by themselves, or by a limit that was lowered. */
static int
at_least_none(int room)
{
	return room > 0 ? room : 0;
}

int
zdu_budget_room(const ZduBudget *b)
{
	return b->max_unavailable == NULL ? ZDU_NO_LIMIT : at_least_none(zdu_budget_limit(b) - b->unavailable);
}

int
zdu_budget_rate_room(const ZduBudget *b)
{
	return b->max_begun == 0 ? ZDU_NO_LIMIT : at_least_none(b->max_begun - b->begun);
}

bool
zdu_budget_bears(const ZduBudget *b)
{
	return b->max_failures < 0 || b->failures <= b->max_failures;
}

void
zdu_budget_debit(ZduBudget *b, bool costs)
{
	b->begun++;
	if (costs)
		b->unavailable++;
}
