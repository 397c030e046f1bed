/*
 * signature.c
 *	  Nodes that wait under the same budgets in the same wave.
 */
#include <stdlib.h>
#include <string.h>

#include "core/planner.h"

static bool
same_signature(const Signature *s, const ZduPackNode *node)
{
	return s->wave == node->wave && s->needs == (!node->down || node->unheard) && s->nbudgets == node->nbudgets &&
		(s->nbudgets == 0 || memcmp(s->budgets, node->budgets, sizeof(int) * (size_t) s->nbudgets) == 0);
}

static uint32_t
hash_node(const ZduPackNode *node)
{
	uint32_t	h = 2166136261u ^ (uint32_t) node->wave ^ (uint32_t) (!node->down || node->unheard) << 20;

	for (int i = 0; i < node->nbudgets; i++)
		h = (h ^ (uint32_t) node->budgets[i]) * 16777619u;
	return h ^ h >> 15;
}

/* Finds the signature of every node. */
static void
find_signatures(Planner *pl)
{
	ZduPack    *p = pl->p;
	uint32_t	buckets = 1;
	Signature **table;

	while (buckets < (uint32_t) p->nnodes)
		buckets *= 2;
	table = zdu_plan_alloc(pl, buckets, sizeof(Signature *));
	pl->signatures = zdu_plan_alloc(pl, (size_t) p->nnodes, sizeof(Signature));
	for (int i = 0; i < p->nnodes && !pl->exhausted; i++)
	{
		ZduPackNode *node = &p->nodes[i];
		uint32_t	h = hash_node(node);
		Signature  *s = table[h & (buckets - 1)];
		Waiting    *w = &pl->waiting[i];

		while (s != NULL && (s->hash != h || !same_signature(s, node)))
			s = s->same;
		if (s == NULL)
		{
			s = &pl->signatures[pl->nsignatures++];
			s->hash = h;
			s->wave = node->wave;
			s->needs = !node->down || node->unheard;
			s->budgets = node->budgets;
			s->nbudgets = node->nbudgets;
			s->same = table[h & (buckets - 1)];
			table[h & (buckets - 1)] = s;
		}
		w->signature = s;
		node->turn = 0;
		node->start = node->end = -1;
		node->wait = WAIT_NOTHING;
		node->which = node->after = -1;
		pl->left[node->wave]++;
	}
}

typedef struct Place
{
	int			rank;
	double		duration;
	uint32_t	luck;
	int			index;
} Place;

static int
compare_places(const void *pa, const void *pb)
{
	const Place *a = pa;
	const Place *b = pb;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->duration != b->duration)
		return a->duration > b->duration ? -1 : 1;
	if (a->luck != b->luck)
		return a->luck < b->luck ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

/* The same luck mixes the same nodes in the same way. */
static uint32_t
mix(uint32_t luck, uint32_t index)
{
	uint32_t	h = (index + 1) * 2654435761u ^ luck * 2246822519u;

	h = (h ^ h >> 16) * 2246822519u;
	h = (h ^ h >> 13) * 3266489917u;
	return luck == 0 ? 0 : h ^ h >> 16;
}

/*
 * Puts the nodes into their order.  Longest first, because what takes long
 * and is begun last is what everybody waits for.  Equals that differ in
 * budgets leave something to choose besides.
 */
static void
set_places(Planner *pl)
{
	ZduPack    *p = pl->p;
	Place	   *places = zdu_plan_alloc(pl, (size_t) p->nnodes, sizeof(Place));
	bool		weigh = p->choice != CHOOSE_FIRST && p->luck % 2 == 0;
	bool		by_length = weigh && p->choice != CHOOSE_FULLEST;

	for (int i = 0; i < p->nnodes && !pl->exhausted; i++)
		places[i] = (Place) {p->nodes[i].rank, by_length ? p->nodes[i].duration : 0, mix(p->luck, (uint32_t) i), i};
	if (pl->exhausted)
		return;
	qsort(places, (size_t) p->nnodes, sizeof(Place), compare_places);
	for (int i = 0; i < p->nnodes; i++)
	{
		Waiting    *w = &pl->waiting[places[i].index];

		w->item.rank = places[i].rank;
		w->item.place = i;
		if (i > 0 && places[i].rank == places[i - 1].rank)
		{
			p->equals++;
			pl->weigh |= weigh && w->signature != pl->waiting[places[i - 1].index].signature;
		}
		zdu_heap_push(&w->signature->nodes, &w->item);
	}
}

void
zdu_plan_signatures(Planner *pl)
{
	find_signatures(pl);
	if (!pl->exhausted)
		set_places(pl);
}

void
zdu_plan_budgets(Planner *pl)
{
	ZduPack    *p = pl->p;

	pl->budgets = zdu_plan_alloc(pl, (size_t) p->nbudgets, sizeof(Budget));
	for (int i = 0; i < p->nbudgets && !pl->exhausted; i++)
	{
		Budget	   *b = &pl->budgets[i];

		b->given = p->budgets[i];
		b->used = b->limit = b->given.used;
		b->freed_ring = b->given.limit < 0 ? 1 : b->given.limit < p->nnodes ? b->given.limit + 1 : p->nnodes + 1;
		b->freed = zdu_plan_alloc(pl, (size_t) b->freed_ring, sizeof(int));
		b->places.budget = b->begins.budget = i;
		b->begins.rate = true;
		if (b->given.max_begun <= 0)
			continue;
		b->ring = b->given.max_begun < p->nnodes + 1 ? b->given.max_begun : p->nnodes + 1;
		b->begun = zdu_plan_alloc(pl, (size_t) b->ring, sizeof(double));
	}
	for (int i = 0; i < p->nnodes && !pl->exhausted; i++)
		for (int k = 0; k < p->nodes[i].nbudgets; k++)
		{
			Budget	   *b = &pl->budgets[p->nodes[i].budgets[k]];

			b->load += p->nodes[i].duration;
			b->left++;
			b->limit -= p->nodes[i].down;
		}
	/* So far limit says what stays unavailable whatever is done. */
	for (int i = 0; i < p->nbudgets && !pl->exhausted; i++)
	{
		Budget	   *b = &pl->budgets[i];

		b->limit = b->given.limit - b->limit;
		b->limit = b->limit < 1 ? 1 : b->limit;
	}
}
