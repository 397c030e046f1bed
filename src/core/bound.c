/*
 * bound.c
 *	  What no schedule can beat.
 */
#include <math.h>
#include <stdlib.h>

#include "core/pack.h"
#include "core/place.h"

/* A budget or a resource: so many of its nodes may be away at once. */
typedef struct Places
{
	int			limit;
	bool		all;			/* who is away already holds a place until it is done */
	int			nodes;			/* of the wave, that take a place */
	int			begins;			/* of the wave, all of them */
	int			rounds_left;	/* whose shortest are not yet added */
	double		area;			/* seconds of all */
	double		rounds;			/* seconds of the shortest, one a round */
	double		shortest;		/* of those begun */
} Places;

typedef struct Bound
{
	const ZduPack *p;
	Places	   *budgets;
	Places	   *resources;
	int		   *sorted;			/* nodes, wave by wave, the shortest first */
	bool		never;			/* some node can never go */
} Bound;

typedef struct Sorted
{
	int			wave;
	double		duration;
	int			index;
} Sorted;

static int
compare_sorted(const void *pa, const void *pb)
{
	const Sorted *a = pa;
	const Sorted *b = pb;

	if (a->wave != b->wave)
		return a->wave < b->wave ? -1 : 1;
	if (a->duration != b->duration)
		return a->duration < b->duration ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

/* Sets how many nodes may be away at once: what stays away whatever is done takes its place for good. */
static void
set_limits(Bound *b)
{
	const ZduPack *p = b->p;

	for (int i = 0; i < p->nbudgets; i++)
	{
		b->budgets[i].limit = p->budgets[i].limit < 0 ? p->nnodes : p->budgets[i].limit - p->budgets[i].used;
		b->budgets[i].all = p->budgets[i].limit >= 0 && p->budgets[i].used <= p->budgets[i].limit;
	}
	for (int i = 0; i < p->nresources; i++)
	{
		b->resources[i].limit = p->resources[i].active - p->resources[i].minimum;
		b->resources[i].all = p->resources[i].active >= p->resources[i].minimum;
	}
	for (int i = 0; i < p->nnodes; i++)
	{
		const ZduPackNode *node = &p->nodes[i];

		for (int k = 0; k < node->nbudgets && node->down; k++)
			b->budgets[node->budgets[k]].limit++;
		for (int k = 0; k < node->nresources && node->gone; k++)
			b->resources[node->resources[k]].limit++;
	}
	/* A resource that has lost its quorum loses nothing more. */
	for (int i = 0; i < p->nresources; i++)
		if (p->resources[i].active < p->resources[i].minimum)
			b->resources[i].limit = p->nnodes;
}

static void
forget(Places *places, int n)
{
	for (int i = 0; i < n; i++)
		places[i] = (Places) {.limit = places[i].limit, .all = places[i].all};
}

static void
count(Places *places, const ZduPackNode *node, bool costs)
{
	if (places->begins++ == 0)
		places->shortest = node->duration;
	if (!costs && !places->all)
		return;
	places->nodes++;
	places->area += node->duration;
}

static void
add_round(Places *places, const ZduPackNode *node, bool costs)
{
	if ((!costs && !places->all) || places->rounds_left <= 0)
		return;
	places->rounds_left--;
	places->rounds += node->duration;
}

/* As many nodes as places go in one round; whoever waits longest sees so many rounds, each of a different node. */
static void
set_rounds(Bound *b, Places *places)
{
	if (places->nodes == 0)
		return;
	if (places->limit <= 0)
		b->never = true;
	else
		places->rounds_left = (places->nodes + places->limit - 1) / places->limit;
}

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static double
bound_of(const Places *places)
{
	return places->nodes == 0 || places->limit <= 0 ? 0 : larger(places->rounds, places->area / places->limit);
}

/* Returns the bound of one wave, whose nodes are sorted[from..to). */
static double
bound_wave(Bound *b, int from, int to)
{
	const ZduPack *p = b->p;
	double		bound = 0;

	forget(b->budgets, p->nbudgets);
	forget(b->resources, p->nresources);
	for (int i = from; i < to; i++)
	{
		const ZduPackNode *node = &p->nodes[b->sorted[i]];

		bound = larger(bound, node->duration);
		for (int k = 0; k < node->nbudgets; k++)
			count(&b->budgets[node->budgets[k]], node, !node->down);
		for (int k = 0; k < node->nresources; k++)
			count(&b->resources[node->resources[k]], node, !node->gone);
	}
	for (int i = 0; i < p->nbudgets; i++)
		set_rounds(b, &b->budgets[i]);
	for (int i = 0; i < p->nresources; i++)
		set_rounds(b, &b->resources[i]);
	for (int i = from; i < to; i++)
	{
		const ZduPackNode *node = &p->nodes[b->sorted[i]];

		for (int k = 0; k < node->nbudgets; k++)
			add_round(&b->budgets[node->budgets[k]], node, !node->down);
		for (int k = 0; k < node->nresources; k++)
			add_round(&b->resources[node->resources[k]], node, !node->gone);
	}
	for (int i = 0; i < p->nresources; i++)
		bound = larger(bound, bound_of(&b->resources[i]));
	for (int i = 0; i < p->nbudgets; i++)
	{
		const Places *places = &b->budgets[i];
		int			max_begun = p->budgets[i].max_begun;

		bound = larger(bound, bound_of(places));
		if (max_begun > 0 && places->begins > 0)
			bound = larger(bound, (places->begins - 1) / max_begun * p->budgets[i].interval + places->shortest);
	}
	return bound;
}

/* Returns when a node is done at the earliest, whatever else there is: none of its budgets is closed when it is begun. */
static double
bound_node(Bound *b, const ZduPackNode *node)
{
	double		opens = 0;
	double		before;

	do
	{
		before = opens;
		for (int k = 0; k < node->nbudgets; k++)
			opens = zdu_pack_opens(&b->p->budgets[node->budgets[k]], opens);
	} while (opens > before && !isinf(opens));
	b->never |= isinf(opens);
	return opens + node->duration;
}

double
zdu_pack_bound(const ZduPack *p)
{
	Bound		b = {.p = p};
	Sorted	   *order = p->alloc(sizeof(Sorted) * ((size_t) p->nnodes + 1));
	double		bound = 0;

	b.budgets = p->alloc(sizeof(Places) * ((size_t) p->nbudgets + 1));
	b.resources = p->alloc(sizeof(Places) * ((size_t) p->nresources + 1));
	b.sorted = p->alloc(sizeof(int) * ((size_t) p->nnodes + 1));
	if (order == NULL || b.budgets == NULL || b.resources == NULL || b.sorted == NULL)
		return -1;
	set_limits(&b);
	for (int i = 0; i < p->nnodes; i++)
		order[i] = (Sorted) {p->nodes[i].wave, p->nodes[i].duration, i};
	qsort(order, (size_t) p->nnodes, sizeof(Sorted), compare_sorted);
	for (int i = 0; i < p->nnodes; i++)
		b.sorted[i] = order[i].index;
	for (int from = 0, to = 0, w = 0; from < p->nnodes; from = to)
	{
		for (; w < order[from].wave; w++)
			bound += p->waves[w].soak;
		while (to < p->nnodes && order[to].wave == w)
			to++;
		bound += bound_wave(&b, from, to);
	}
	for (int i = 0; i < p->nnodes; i++)
		bound = larger(bound, bound_node(&b, &p->nodes[i]));
	return b.never ? -1 : bound;
}
