/*
 * sim.c
 *	  Plays rolls against zdu, with faults, by a clock of its own.
 *
 *	  sim [-s SEED] [-n ROLLS] [-m NODES] [-k FAULTS] [-e STEPS] [-a STEPS] [-b BAD] [-r] [-v] [-q]
 *
 *	  -s  the first seed, 1; each roll has its own, one higher than the one before
 *	  -n  how many rolls, 1
 *	  -m  the most nodes that a cluster may have, 1000
 *	  -k  only these faults, by number, with commas between; 0 for none
 *	  -e  stops after so many steps
 *	  -a  compares zdu_why with the exchange every so many steps
 *	  -b  stops after so many rolls that went wrong
 *	  -r  leaves a roll that fails as it is, without looking for the shortest one
 *	  -v  prints every step
 *	  -q  prints no roll that went well
 *
 * Ends with 0 if nothing was wrong, 1 if something was, 2 if it could not play.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "game.h"

static int	most_nodes = MAX_NODES;

static void
play(Game *g, uint64_t seed)
{
	bool		loud = g->loud;
	int			agreement = g->agreement;
	long		last_step = g->last_step;
	bool		left_out[MAX_FAULTS];

	for (int i = 0; i < MAX_FAULTS; i++)
		left_out[i] = g->faults.fault[i].left_out;
	for (int i = 0; i < MAX_WORKERS; i++)
		worker_free(&g->worker[i]);
	memset(g, 0, sizeof(*g));
	g->loud = loud;
	g->agreement = agreement;
	g->last_step = last_step;
	g->seed = seed;
	scene_make(&g->scene, &g->world, seed, most_nodes);
	faults_make(&g->faults, &g->scene, seed);
	for (int i = 0; i < MAX_FAULTS; i++)
		g->faults.fault[i].left_out = left_out[i];
	game_play(g);
}

/* Leaves out what a roll fails without, one after the other; the shortest roll that fails is played last. */
static void
shrink(Game *g, uint64_t seed)
{
	char		failure[sizeof(g->failure)];
	Faults		planned;

	snprintf(failure, sizeof(failure), "%s", g->failure);
	for (int i = 0; i < g->faults.n; i++)
	{
		if (g->faults.fault[i].left_out)
			continue;
		g->faults.fault[i].left_out = true;
		play(g, seed);
		/* By the same rule, or it is another failure. */
		if (strncmp(g->failure, failure, strcspn(failure, ":")) != 0)
			g->faults.fault[i].left_out = false;
	}
	play(g, seed);
	printf("  shortest: %ld steps, %.3f s; %s\n  again: sim -s %llu -v -e %ld -k 0", g->steps, g->now, g->failure,
		   (unsigned long long) seed, g->steps);
	for (int i = 0; i < g->faults.n; i++)
		if (!g->faults.fault[i].left_out)
			printf(",%d", i + 1);
	printf("\n");
	/* As they were planned: playing moves their times on. */
	faults_make(&planned, &g->scene, seed);
	for (int i = 0; i < g->faults.n; i++)
	{
		char	   *said;

		if (g->faults.fault[i].left_out)
			continue;
		said = fault_text(&planned.fault[i]);
		printf("    %d %s\n", i + 1, said);
		free(said);
	}
}

/* Reads "3,7" into what is left out. */
static void
keep_only(Game *g, const char *list)
{
	for (int i = 0; i < MAX_FAULTS; i++)
		g->faults.fault[i].left_out = true;
	for (const char *p = list; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (atoi(p) > 0 && atoi(p) <= MAX_FAULTS)
			g->faults.fault[atoi(p) - 1].left_out = false;
}

int
main(int argc, char **argv)
{
	static Game g;
	uint64_t	seed = 1;
	int			rolls = 1;
	const char *keep = NULL;
	bool		quiet = false;
	bool		raw = false;
	int			option;
	int			failed = 0;
	int			most_bad = 0;
	long		steps = 0;
	long		compared = 0;
	long		overlaps = 0;
	long		waits = 0;
	double		played = 0;
	uint64_t	hash = 0;
	struct timespec began;
	struct timespec ended;
	double		took;

	while ((option = getopt(argc, argv, "s:n:m:k:e:a:b:rvq")) != -1)
	{
		switch (option)
		{
			case 's':
				seed = strtoull(optarg, NULL, 10);
				break;
			case 'n':
				rolls = atoi(optarg);
				break;
			case 'm':
				most_nodes = atoi(optarg);
				break;
			case 'k':
				keep = optarg;
				break;
			case 'e':
				g.last_step = atol(optarg);
				break;
			case 'a':
				g.agreement = atoi(optarg);
				break;
			case 'b':
				most_bad = atoi(optarg);
				break;
			case 'r':
				raw = true;
				break;
			case 'v':
				g.loud = true;
				break;
			case 'q':
				quiet = true;
				break;
			default:
				return 2;
		}
	}
	base_connect();
	check_init();
	scene_init();
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (int i = 0; i < rolls && (most_bad == 0 || failed < most_bad); i++)
	{
		memset(&g.faults, 0, sizeof(g.faults));
		if (keep != NULL)
			keep_only(&g, keep);
		play(&g, seed + i);
		steps += g.steps;
		compared += g.compared;
		overlaps += g.overlaps;
		waits += g.waits;
		played += g.now;
		hash = hash_text(hash, g.failure) ^ g.hash;
		if (!quiet || g.failure[0] != '\0')
			printf("%s seed %llu: %d nodes, %d faults, %ld steps, %.0f s, %s, hash %016llx%s%s\n", g.failure[0] == '\0' ? "good" : "BAD",
				   (unsigned long long) g.seed, g.scene.nodes, g.faults.n, g.steps, g.now, g.ended[0] != '\0' ? g.ended : "-",
				   (unsigned long long) g.hash, g.failure[0] != '\0' ? "\n  " : "", g.failure);
		fflush(stdout);
		if (g.failure[0] == '\0')
			continue;
		failed++;
		if (keep == NULL && g.last_step == 0 && !raw)
			shrink(&g, seed + i);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	took = (double) (ended.tv_sec - began.tv_sec) + (double) (ended.tv_nsec - began.tv_nsec) / 1e9;
	printf("%d rolls, %d bad; %ld steps, %.1f days played in %.1f s: %.0f rolls a minute; %ld verdicts compared; %ld overlapped, %ld waited; hash %016llx\n", rolls, failed,
		   steps, played / 86400, took, rolls / took * 60, compared, overlaps, waits, (unsigned long long) hash);
	return failed > 0;
}
