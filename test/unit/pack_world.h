/*
 * pack_world.h
 *	  Random clusters for the tests of the planner.
 */
#ifndef PACK_WORLD_H
#define PACK_WORLD_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/copies.h"
#include "core/pack.h"

/* What a world is allocated from: gone as a whole when the next one is made. */
typedef struct Chunk
{
	struct Chunk *next;
	long double memory[];
} Chunk;

static Chunk *chunks = NULL;
static uint64_t dice = 1;

static void *
allocate(size_t size)
{
	Chunk	   *c = calloc(1, sizeof(Chunk) + size);

	if (c == NULL)
		return NULL;
	c->next = chunks;
	chunks = c;
	return c->memory;
}

static void
forget_world(void)
{
	while (chunks != NULL)
	{
		Chunk	   *c = chunks;

		chunks = c->next;
		free(c);
	}
}

/* xorshift64*: a seed gives the same worlds everywhere. */
static uint64_t
roll(void)
{
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	return dice * 2685821657736338717ull;
}

static int
pick(int from, int to)
{
	return from + (int) ((roll() >> 33) % (uint64_t) (to - from + 1));
}

static double
chance(void)
{
	return ((double) (roll() >> 11) + 0.5) / 9007199254740992.0;
}

static double
lognormal(double median, double sigma)
{
	return median * exp(sigma * sqrt(-2 * log(chance())) * cos(6.283185307179586 * chance()));
}

typedef struct World
{
	ZduPack		p;
	ZduPackNode *nodes;
	ZduPackBudget *budgets;
	ZduPackResource *resources;
	ZduPackWave *waves;
} World;

static World
new_world(int nnodes, int nbudgets, int nresources, int nwaves)
{
	World		w = {0};

	forget_world();
	w.nodes = allocate(sizeof(ZduPackNode) * (size_t) nnodes);
	w.budgets = allocate(sizeof(ZduPackBudget) * (size_t) (nbudgets + 1));
	w.resources = allocate(sizeof(ZduPackResource) * (size_t) (nresources + 1));
	w.waves = allocate(sizeof(ZduPackWave) * (size_t) nwaves);
	for (int i = 0; i < nbudgets; i++)
		w.budgets[i] = (ZduPackBudget) {.limit = -1, .max_failures = -1};
	w.p = (ZduPack) {
		.nodes = w.nodes, .nnodes = nnodes, .budgets = w.budgets, .nbudgets = nbudgets, .resources = w.resources,
		.nresources = nresources, .waves = w.waves, .nwaves = nwaves, .serving = nnodes, .max_failures = -1, .alloc = allocate
	};
	return w;
}

/* Lets budget b count a node; budgets are given in rising order. */
static void
put_under(World *w, int node, int b)
{
	ZduPackNode *n = &w->nodes[node];
	int		   *budgets = allocate(sizeof(int) * (size_t) (n->nbudgets + 1));

	if (n->nbudgets > 0)
		memcpy(budgets, n->budgets, sizeof(int) * (size_t) n->nbudgets);
	budgets[n->nbudgets++] = b;
	n->budgets = budgets;
}

static void
put_copy(World *w, int node, int resource)
{
	ZduPackNode *n = &w->nodes[node];
	int		   *resources = allocate(sizeof(int) * (size_t) (n->nresources + 1));

	if (n->nresources > 0)
		memcpy(resources, n->resources, sizeof(int) * (size_t) n->nresources);
	resources[n->nresources++] = resource;
	n->resources = resources;
	w->resources[resource].active++;
}

#endif							/* PACK_WORLD_H */
