/*
 * plan_test.c
 *	  Promise: nodes are taken in the policy's order, and shares resolve to
 *	  whole nodes.  Prints TAP.
 */
#include <string.h>

#include "core/plan.h"
#include "tap.h"

#define MAX_NODES 6

static const struct
{
	const char *max_unavailable;
	int			total;
	int			limit;
	const char *claim;
}			limits[] = {
	{"1", 5, 1, "one by one"},
	{"3", 5, 3, "a number is that number"},
	{"5", 5, 4, "at least one stays"},
	{"999999", 5, 4, "however large the number"},
	{"33%", 3, 1, "33 % of 3 is 1"},
	{"33%", 2, 1, "33 % of 2 is 1: at least one moves"},
	{"33%", 9, 2, "shares round down"},
	{"33%", 100, 33, "33 % of 100 is 33"},
	{"50%", 5, 2, "half of 5 is 2"},
	{"1%", 50, 1, "1 % of 50 is 1"},
	{"99%", 100, 99, "99 % of 100 is 99"},
	{"100%", 5, 4, "of all, one stays"},
	{"100%", 2147483647, 2147483646, "nothing overflows"},
	{"1", 1, 1, "a cluster of one gives 1; whether it may be taken is decided elsewhere"},
	{"100%", 1, 1, "also as a share"},
	{"1", 0, 1, "no nodes at all give 1"},
	{"33%", 0, 1, "also as a share"}
};

typedef struct OrderCase
{
	const char *rule;
	const char *claim;
	ZduOrder	order;
	ZduPlanNode nodes[MAX_NODES];	/* id, name, role, group, zone, busy, last */
	const char *expected;
	const char *ranks;			/* NULL: no two are equal */
} OrderCase;

static const OrderCase orders[] = {
	{"N14", "by name, runs of digits as numbers", {1, {ORDER_NAME}},
		{{1, "app10", NULL, NULL, NULL, 0, false, 0}, {2, "app9", NULL, NULL, NULL, 0, false, 0}, {3, "app1", NULL, NULL, NULL, 0, false, 0},
			{4, "app1-b", NULL, NULL, NULL, 0, false, 0}, {5, "App2", NULL, NULL, NULL, 0, false, 0}},
	"App2 app1 app1-b app9 app10", NULL},
	{"N14", "leading zeros do not count, but keep the order total", {1, {ORDER_NAME}},
		{{1, "n010", NULL, NULL, NULL, 0, false, 0}, {2, "n10", NULL, NULL, NULL, 0, false, 0}, {3, "n9", NULL, NULL, NULL, 0, false, 0}},
	"n9 n010 n10", NULL},
	{"N14", "numbers larger than any integer compare as numbers", {1, {ORDER_NAME}},
		{{1, "n18446744073709551617", NULL, NULL, NULL, 0, false, 0}, {2, "n18446744073709551616", NULL, NULL, NULL, 0, false, 0},
			{3, "n2", NULL, NULL, NULL, 0, false, 0}},
	"n2 n18446744073709551616 n18446744073709551617", NULL},
	{"N14", "with no key at all by name", {0, {0}},
		{{1, "b", NULL, NULL, NULL, 0, false, 0}, {2, "a", NULL, NULL, NULL, 9, false, 0}},
	"a b", NULL},
	{"N14", "the processing role goes first, without a role comes last", {2, {ORDER_ROLE, ORDER_NAME}},
		{{1, "a", NULL, NULL, NULL, 0, false, 0}, {2, "b", "browsing", NULL, NULL, 0, false, 0}, {3, "d", "processing", NULL, NULL, 0, false, 0},
			{4, "c", "processing", NULL, NULL, 0, false, 0}},
	"c d b a", NULL},
	{"N14", "the least busy goes first, equals by name", {1, {ORDER_LEAST_BUSY}},
		{{1, "a", NULL, NULL, NULL, 7, false, 0}, {2, "c", NULL, NULL, NULL, 2, false, 0}, {3, "b", NULL, NULL, NULL, 2, false, 0}},
	"b c a", NULL},
	{"N14", "group by group", {2, {ORDER_GROUP, ORDER_LEAST_BUSY}},
		{{1, "a", NULL, "two", NULL, 0, false, 0}, {2, "b", NULL, "one", NULL, 9, false, 0}, {3, "c", NULL, "one", NULL, 1, false, 0}},
	"c b a", NULL},
	{"N14", "where the keys say nothing nodes share a rank", {2, {ORDER_ROLE, ORDER_ZONE}},
		{{1, "a", "processing", NULL, "z1", 0, false, 0}, {2, "b", NULL, NULL, "z1", 0, false, 0}, {3, "c", "processing", NULL, "z1", 7, false, 0},
			{4, "d", "processing", NULL, "z2", 0, false, 0}},
	"a c d b", "0 0 1 2"},
	{"N14", "zone by zone, without a zone last", {1, {ORDER_ZONE}},
		{{1, "a", NULL, NULL, "z10", 0, false, 0}, {2, "b", NULL, NULL, NULL, 0, false, 0}, {3, "c", NULL, NULL, "z2", 0, false, 0}},
	"c a b", NULL},
	{"N14", "the first key decides, the others among its equals", {3, {ORDER_ZONE, ORDER_ROLE, ORDER_LEAST_BUSY}},
		{{1, "a", "browsing", NULL, "z1", 0, false, 0}, {2, "b", "processing", NULL, "z1", 9, false, 0}, {3, "c", "processing", NULL, "z1", 1, false, 0},
			{4, "d", "processing", NULL, "z0", 5, false, 0}},
	"d c b a", NULL},
	{"L23", "healthy new nodes go last, whatever the keys say", {1, {ORDER_ROLE}},
		{{1, "a", "processing", NULL, NULL, 0, true, 0}, {2, "b", NULL, NULL, NULL, 0, false, 0}, {3, "c", NULL, NULL, NULL, 0, true, 0}},
	"b a c", NULL}
};

static void
test_order(const OrderCase *o)
{
	ZduPlanNode nodes[MAX_NODES];
	char		got[256] = "";
	char		ranks[64] = "";
	int			n = 0;

	while (n < MAX_NODES && o->nodes[n].name != NULL)
		n++;
	memcpy(nodes, o->nodes, sizeof(nodes));
	zdu_plan_order(nodes, n, &o->order);
	for (int i = 0; i < n; i++)
	{
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i > 0 ? " " : "", nodes[i].name);
		snprintf(ranks + strlen(ranks), sizeof(ranks) - strlen(ranks), "%s%d", i > 0 ? " " : "", nodes[i].rank);
	}
	ok(strcmp(got, o->expected) == 0 && (o->ranks == NULL || strcmp(ranks, o->ranks) == 0), o->rule, "%s: %s, ranks %s", o->claim, got, ranks);
}

int
main(void)
{
	static const char *const keys[] = {"role", "group", "zone", "least_busy", "name"};
	bool		known = true;

	for (int i = 0; i < lengthof(limits); i++)
	{
		int			limit = zdu_limit_resolve(limits[i].max_unavailable, limits[i].total);

		ok(limit == limits[i].limit, "D10", "%s: %s of %d gives %d", limits[i].claim, limits[i].max_unavailable, limits[i].total, limit);
	}
	for (int i = 0; i < lengthof(orders); i++)
		test_order(&orders[i]);
	for (int i = 0; i < lengthof(keys); i++)
		known &= (int) zdu_order_key_of(keys[i]) == i;
	ok(known && zdu_order_key_of("colour") == ORDER_KEYS, "N14", "the keys have their names, and there is no other");
	return tap_end();
}
