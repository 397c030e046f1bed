/*
 * pack_ratio_test.c
 *	  Promise: plans are short.  Makespan beside the lower bound for equal
 *	  durations, for known ones that vary, and beside what list scheduling
 *	  can do for those that nobody knew.  Prints TAP.
 */
#include "pack_naive.h"
#include "tap.h"

#define SEEDS 200
#define TRIES 16

typedef struct Shape
{
	const char *what;
	int			nodes;
	int			zones;
	int			groups;
	bool		striped;		/* app1 in zone a, app2 in zone b, ...; else at random */
	bool		copies;			/* three of each resource, one in each zone */
	double		worst;			/* makespan / lower bound for equal durations */
} Shape;

static const Shape shapes[] = {
	{"60 nodes, 3 zones, 4 groups", 60, 3, 4, true, false, 1.05},
	{"60 nodes, 3 zones, 4 groups, at random", 60, 3, 4, false, false, 1.05},
	{"200 nodes, 5 zones, 12 groups, at random", 200, 5, 12, false, false, 1.05},
	{"1000 nodes, 3 zones, 20 groups", 1000, 3, 20, true, false, 1.05},
	{"1000 nodes, 4 zones, 40 groups, at random", 1000, 4, 40, false, false, 1.05},
	{"300 nodes, 3 zones, copies of data", 300, 3, 1, true, true, 1.35}
};

/* Budgets over all nodes, each zone and each group, so many at once or a share. */
static World
zoned_world(const Shape *s)
{
	World		w = new_world(s->nodes, 1 + s->zones + s->groups, s->copies ? s->nodes / 3 : 0, 1);
	int			members[64] = {0};

	for (int i = 0; i < s->nodes; i++)
	{
		int			zone = s->striped ? i % s->zones : pick(0, s->zones - 1);
		int			group = s->striped ? i / s->zones % s->groups : pick(0, s->groups - 1);

		w.nodes[i].duration = 60;
		put_under(&w, i, 0);
		put_under(&w, i, 1 + zone);
		put_under(&w, i, 1 + s->zones + group);
		members[0]++;
		members[1 + zone]++;
		members[1 + s->zones + group]++;
		if (s->copies)
			put_copy(&w, i, i / 3);
	}
	for (int b = 0; b < w.p.nbudgets; b++)
	{
		w.budgets[b].limit = members[b] * pick(5, 40) / 100;
		w.budgets[b].limit = w.budgets[b].limit < 1 ? 1 : w.budgets[b].limit;
	}
	for (int r = 0; r < w.p.nresources; r++)
		w.resources[r].minimum = zdu_copies_quorum(w.resources[r].active);
	return w;
}

/* Most take about a minute, a few several times as long. */
static void
set_durations(World *w, double sigma)
{
	for (int i = 0; i < w->p.nnodes; i++)
		w->nodes[i].duration = lognormal(60, sigma);
}

static void
test_known(const Shape *s)
{
	double		equal[SEEDS];
	double		varied[SEEDS];
	double		by_name[SEEDS];
	int			stays = 0;		/* clusters that the plan takes by name */
	int			dear = 0;		/* though that costs something, or does not though it costs nothing */

	for (int k = 0; k < SEEDS; k++)
	{
		World		w = zoned_world(s);

		ZduPackChoice choice;

		(void) zdu_pack_best(&w.p, TRIES);
		choice = w.p.choice;
		equal[k] = w.p.makespan / zdu_pack_bound(&w.p);
		w.p.choice = CHOOSE_FIRST;
		w.p.luck = 0;
		(void) zdu_pack(&w.p);
		by_name[k] = w.p.makespan / zdu_pack_bound(&w.p);
		stays += choice == CHOOSE_FIRST;
		dear += (choice == CHOOSE_FIRST) != (by_name[k] <= equal[k] * ZDU_PACK_WORTH);
		set_durations(&w, 0.5);
		(void) zdu_pack_best(&w.p, TRIES);
		varied[k] = w.p.makespan / zdu_pack_bound(&w.p);
	}
	printf("# %s: strictly by name, equal durations: median %.3f, worst %.3f\n", s->what, quantile(by_name, SEEDS, 0.5), quantile(by_name, SEEDS, 1));
	ok(dear == 0, "N14", "%s: %d of %d clusters go by name, all those for which that costs nothing (%d are not so)", s->what, stays, SEEDS, dear);
	ok(quantile(equal, SEEDS, 1) <= s->worst && quantile(equal, SEEDS, 0.5) <= 1.05, "N14",
	   "%s, equal durations: makespan / lower bound is %.3f in the median, %.3f at worst, of %d seeds (at most %.2f)",
	   s->what, quantile(equal, SEEDS, 0.5), quantile(equal, SEEDS, 1), SEEDS, s->worst);
	ok(quantile(varied, SEEDS, 0.5) <= 1.15, "N14", "%s, lognormal durations known from history: %.3f in the median, %.3f at worst (median at most 1.15)",
	   s->what, quantile(varied, SEEDS, 0.5), quantile(varied, SEEDS, 1));
}

/*
 * Nobody knew the durations: the order was made without them, and the roll
 * goes by that order.  Beside it, by the napkin, the same order.
 */
static void
test_unknown(const Shape *s, int seeds)
{
	double		ratio[SEEDS];
	double	   *start = malloc(sizeof(double) * (size_t) s->nodes);
	int		   *list = malloc(sizeof(int) * (size_t) s->nodes);

	for (int k = 0; k < seeds; k++)
	{
		World		w = zoned_world(s);
		double		ideal;

		w.p.choice = CHOOSE_FULLEST;
		(void) zdu_pack(&w.p);
		for (int i = 0; i < s->nodes; i++)
		{
			w.nodes[i].rank = w.nodes[i].turn;
			list[w.nodes[i].turn - 1] = i;
		}
		set_durations(&w, 0.5);
		ideal = naive_schedule(&w.p, list, start);
		w.p.choice = CHOOSE_FIRST;
		(void) zdu_pack(&w.p);
		ratio[k] = w.p.makespan / ideal;
	}
	ok(quantile(ratio, seeds, 1) <= 1.05, "N14", "%s, lognormal durations that nobody knew: %.3f of ideal list scheduling in the same order, at worst of %d seeds (at most 1.05)",
	   s->what, quantile(ratio, seeds, 1), seeds);
	free(start);
	free(list);
}

int
main(void)
{
	for (int i = 0; i < lengthof(shapes); i++)
		test_known(&shapes[i]);
	for (int i = 0; i < 3; i++)
		test_unknown(&shapes[i], 20);
	forget_world();
	return tap_end();
}
