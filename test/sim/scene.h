/*
 * scene.h
 *	  A cluster as chance has it: its size, its policy, its runbook, its limits.
 */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include <stdint.h>

#include "dice.h"
#include "world.h"

#define CLUSTER "shop"

/* When a roll begins, in seconds since 1970: the first of January 2030. */
#define GAME_EPOCH 1893456000.0

#define MAX_BUDGETS 8
#define MAX_RESOURCES 12
#define MAX_COPIES 5

typedef struct SceneBudget
{
	char		name[16];
	char		limit[8];		/* max_unavailable */
	int			begun;			/* nodes that may be begun within per_interval; 0: any number */
	double		per_interval;
	bool		member[MAX_NODES];
} SceneBudget;

typedef struct SceneResource
{
	int			replicas;
	int			copies;
	int			node[MAX_COPIES];
} SceneResource;

typedef struct Scene
{
	int			nodes;
	int			workers;
	int			slots;
	int			speaking;		/* of a hundred nodes so many report themselves */
	int			overlap;		/* of a hundred exchanges so many meet another */
	double		poll;			/* seconds between asks of a worker that waits */
	double		quick;			/* durations of actions: from */
	double		slow;			/* to */
	bool		phase[DEEDS];
	bool		primaries;		/* min_availability */
	bool		rollback;		/* it is allowed */
	bool		canary;
	bool		grouped;		/* it goes by groups, blue first */
	bool		blue[MAX_NODES];
	bool		forced;			/* a drain that takes too long is passed over */
	int			nbudgets;		/* [0] is the policy's */
	SceneBudget budget[MAX_BUDGETS];
	int			nresources;
	SceneResource resource[MAX_RESOURCES];
} Scene;

/* How many of total a limit allows, by the rule's own words (D10). */
extern int	scene_limit(const char *limit, int total);

/* To be called once. */
extern void scene_init(void);

/* Makes the scene, in the database too, after everything of the last one was removed. */
extern void scene_make(Scene *s, World *w, uint64_t seed, int most_nodes);

#endif							/* SIM_SCENE_H */
