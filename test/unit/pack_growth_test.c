/*
 * pack_growth_test.c
 *	  Promise: planning 100,000 nodes with 300,000 placements takes seconds,
 *	  for its cost grows as the nodes do.  Prints TAP.
 *
 * Seconds are printed, looks at candidates are judged: these are the same everywhere.
 */
#include <time.h>

#include "pack_world.h"
#include "tap.h"

typedef struct Cluster
{
	const char *what;
	int			zones;
	int			groups;			/* 0: one to each hundred nodes */
	bool		ranked;			/* by name; else the planner chooses */
	int			share;			/* percent at once, of all, a zone, a group */
	bool		full;			/* no copy of a resource too few, one away at a time */
	bool		everywhere;		/* one resource has a copy on every node */
	int			growth;			/* looks a node at 100,000 nodes, beside 1,000 */
} Cluster;

static const Cluster clusters[] = {
	{"by name, 3 zones, 20 groups", 3, 20, true, 10, false, false, 2},
	{"by choice, 3 zones, 20 groups", 3, 20, false, 10, false, false, 2},
	{"by choice, 10 zones, ever more groups of 100 nodes", 10, 0, false, 1, false, false, 20},
	{"by name, 3 zones, one of three copies away at a time", 3, 20, true, 30, true, false, 2},
	{"by name, one resource with a copy on every node", 3, 20, true, 30, false, true, 2}
};

static World
grown_world(const Cluster *c, int nnodes)
{
	int			groups = c->groups > 0 ? c->groups : nnodes / 100;
	int			nresources = c->everywhere ? 1 : nnodes;
	World		w = new_world(nnodes, 1 + c->zones + groups, nresources, 1);

	for (int i = 0; i < nnodes; i++)
	{
		w.nodes[i].rank = c->ranked ? i : 0;
		w.nodes[i].duration = lognormal(60, 0.5);
		put_under(&w, i, 0);
		put_under(&w, i, 1 + i % c->zones);
		put_under(&w, i, 1 + c->zones + pick(0, groups - 1));
		/* Three copies of each resource: three placements to a node. */
		for (int k = 0; k < (c->everywhere ? 1 : 3); k++)
			put_copy(&w, i, c->everywhere ? 0 : (i + k * 37) % nnodes);
	}
	for (int i = 0; i < nnodes; i++)
		for (int k = 0; k < w.nodes[i].nbudgets; k++)
			w.budgets[w.nodes[i].budgets[k]].limit++;
	for (int b = 0; b < w.p.nbudgets; b++)
		w.budgets[b].limit = (w.budgets[b].limit + 1) * c->share / 100 + 1;
	for (int r = 0; r < nresources; r++)
		w.resources[r].minimum = c->full || c->everywhere ? w.resources[r].active - 1 : zdu_copies_quorum(w.resources[r].active);
	return w;
}

static double
seconds(void)
{
	return (double) clock() / CLOCKS_PER_SEC;
}

static void
test_growth(const Cluster *c)
{
	static const int sizes[] = {1000, 3000, 10000, 30000, 100000};
	double		looks[lengthof(sizes)];
	bool		all = true;

	for (int i = 0; i < lengthof(sizes); i++)
	{
		World		w = grown_world(c, sizes[i]);
		double		began = seconds();
		double		packed;
		double		bound;

		w.p.choice = CHOOSE_LONGEST;
		all &= zdu_pack(&w.p) && w.p.taken == sizes[i];
		packed = seconds() - began;
		bound = zdu_pack_bound(&w.p);
		looks[i] = (double) w.p.work / sizes[i];
		printf("# %s: %6d nodes, %6d placements: %7.3f s, bound %.3f s, %.1f looks a node, makespan / bound %.3f\n", c->what, sizes[i],
			   c->everywhere ? sizes[i] : 3 * sizes[i], packed, seconds() - began - packed, looks[i], w.p.makespan / bound);
	}
	ok(all && looks[lengthof(sizes) - 1] <= c->growth * looks[0], "N14", "%s: %.1f looks a node at %d, %.1f at %d (at most %d times as many)", c->what,
	   looks[0], sizes[0], looks[lengthof(sizes) - 1], sizes[lengthof(sizes) - 1], c->growth);
}

int
main(void)
{
	for (int i = 0; i < lengthof(clusters); i++)
		test_growth(&clusters[i]);
	forget_world();
	return tap_end();
}
