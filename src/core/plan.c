/*
 * plan.c
 *	  In which order nodes are taken, and how many at once.
 */
#include "core/plan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const key_names[ORDER_KEYS] = {"role", "group", "zone", "least_busy", "name"};

/* The role that works on what the others serve: it goes first (N14). */
static const char *const first_role = "processing";

/* qsort() takes no argument; sorting happens in one backend at a time. */
static const ZduOrder *sort_order;

ZduOrderKey
zdu_order_key_of(const char *name)
{
	int			i;

	for (i = 0; i < ORDER_KEYS; i++)
		if (strcmp(key_names[i], name) == 0)
			break;
	return (ZduOrderKey) i;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Compares runs of digits as numbers, all else as bytes. */
static int
compare_natural(const char *a, const char *b)
{
	const char *whole_a = a;
	const char *whole_b = b;

	while (*a && *b)
	{
		if (is_digit(*a) && is_digit(*b))
		{
			size_t		la;
			size_t		lb;
			int			c;

			a += strspn(a, "0");
			b += strspn(b, "0");
			la = strspn(a, "0123456789");
			lb = strspn(b, "0123456789");
			if (la != lb)
				return la < lb ? -1 : 1;
			c = strncmp(a, b, la);
			if (c != 0)
				return c;
			a += la;
			b += lb;
			continue;
		}
		if (*a != *b)
			return (unsigned char) *a < (unsigned char) *b ? -1 : 1;
		a++;
		b++;
	}
	if (*a || *b)
		return *a ? 1 : -1;
	return strcmp(whole_a, whole_b);
}

/* Compares names that may be missing: those come last. */
static int
compare_optional(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a == NULL) - (b == NULL);
	return compare_natural(a, b);
}

static int
compare_role(const char *a, const char *b)
{
	int			fa = a != NULL && strcmp(a, first_role) == 0;
	int			fb = b != NULL && strcmp(b, first_role) == 0;

	return fa != fb ? fb - fa : compare_optional(a, b);
}

/* Of whom nothing is known comes last: it may be the busiest. */
static int
compare_busy(int a, int b)
{
	if (a < 0 || b < 0)
		return (a < 0) - (b < 0);
	return (a > b) - (a < b);
}

static int
compare_key(ZduOrderKey key, const ZduPlanNode *a, const ZduPlanNode *b)
{
	switch (key)
	{
		case ORDER_ROLE:
			return compare_role(a->role, b->role);
		case ORDER_GROUP:
			return compare_optional(a->group, b->group);
		case ORDER_ZONE:
			return compare_optional(a->zone, b->zone);
		case ORDER_LEAST_BUSY:
			return compare_busy(a->busy, b->busy);
		case ORDER_NAME:
		case ORDER_KEYS:
			break;
	}
	return compare_natural(a->name, b->name);
}

/* Compares by what the policy's list says, and by nothing else. */
static int
compare_keys(const ZduPlanNode *a, const ZduPlanNode *b)
{
	if (a->last != b->last)
		return a->last - b->last;
	for (int i = 0; i < sort_order->nkeys; i++)
	{
		int			c = compare_key(sort_order->keys[i], a, b);

		if (c != 0)
			return c;
	}
	return 0;
}

static int
compare_nodes(const void *pa, const void *pb)
{
	const ZduPlanNode *a = pa;
	const ZduPlanNode *b = pb;
	int			c = compare_keys(a, b);

	return c != 0 ? c : compare_natural(a->name, b->name);
}

void
zdu_plan_order(ZduPlanNode *nodes, int n, const ZduOrder *order)
{
	sort_order = order;
	qsort(nodes, (size_t) n, sizeof(ZduPlanNode), compare_nodes);
	for (int i = 0; i < n; i++)
		nodes[i].rank = i == 0 ? 0 : nodes[i - 1].rank + (compare_keys(&nodes[i - 1], &nodes[i]) != 0);
	sort_order = NULL;
}

bool
zdu_plan_differs(const ZduPlanNode *a, const ZduPlanNode *b, const ZduOrder *order)
{
	bool		differs;

	sort_order = order;
	differs = compare_keys(a, b) != 0;
	sort_order = NULL;
	return differs;
}

int
zdu_limit_resolve(const char *max_unavailable, int total)
{
	long		n = strtol(max_unavailable, NULL, 10);

	if (strchr(max_unavailable, '%') != NULL)
		n = (long) total * n / 100;
	if (n > total - 1)
		n = total - 1;
	return n < 1 ? 1 : (int) n;
}
