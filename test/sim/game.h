/*
 * game.h
 *	  One roll: a scene, its truth, workers, faults, and what is checked all the while.
 */
#ifndef SIM_GAME_H
#define SIM_GAME_H

#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "base.h"
#include "check.h"
#include "dice.h"
#include "fault.h"
#include "scene.h"
#include "worker.h"
#include "world.h"

#define NEVER 1e18

/* What may still act though its worker is gone. */
#define MAX_STRAYS 64

typedef struct Game
{
	uint64_t	seed;
	Scene		scene;
	World		world;
	Worker		worker[MAX_WORKERS];
	Agent		agent[MAX_NODES];
	Action		stray[MAX_STRAYS];
	int			nstrays;
	Faults		faults;
	Check		check;
	Dice		operator_dice;
	Dice		overlap_dice;
	Dice		agent_dice;
	double		now;
	double		mended_at;		/* from then on nothing goes wrong any more, and somebody looks after it */
	double		next_look;		/* of that person */
	int			looks;
	int			quiet;			/* looks since there was anything left to do */
	bool		began;			/* zdu_begin was accepted */
	char		asking[32];		/* whose transaction it is: "w1 w1-2", "person" */
	bool		mended;
	bool		copied;			/* the database is another's, and nobody has adopted it */
	long		steps;			/* transactions so far */
	long		overlaps;		/* pairs of them that overlapped */
	long		waits;			/* where one waited for the other */
	long		last_step;		/* after which it stops; 0: none */
	bool		loud;			/* every step is printed */
	int			agreement;		/* every so many steps zdu_why is compared with the exchange; 0: never */
	long		next_agreement;
	long		compared;
	bool		over;
	char		failure[1024];	/* "" none */
	char		ended[16];		/* how the upgrade ended */
	uint64_t	hash;			/* over all that happened */
} Game;

/* Notes the first thing that is not as it has to be. */
extern void game_fail(Game *g, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/*
 * Carries out a statement as a transaction of its own, now; what it changed is
 * checked.  who: for the print.  The outcome is to be freed.
 */
extern Outcome game_run(Game *g, const char *who, const char *statement, Fate fate);

/*
 * The same with two that overlap, see base_run_both(); what the one that ended
 * first has changed is checked first.
 */
extern void game_run_both(Game *g, const char *first, const char *statement, Fate fate, const char *second, const char *other, Outcome *outcomes);

/* Plays a roll to its end, or to the first thing that is wrong. */
extern void game_play(Game *g);

#endif							/* SIM_GAME_H */
