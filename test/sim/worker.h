/*
 * worker.h
 *	  Workers as they should be, and the faults they suffer.
 */
#ifndef SIM_WORKER_H
#define SIM_WORKER_H

#include <stdbool.h>

#include "base.h"
#include "world.h"

#define MAX_WORKERS 3
#define MAX_JOBS 64
#define MAX_LOOKS (2 * MAX_NODES)

struct Game;

/* Something that is being done to a node, or to the cluster. */
typedef struct Action
{
	bool		runs;
	int			node;
	Deed		deed;
	bool		to_new;
	Token		token;
	double		ends_at;
	double		deadline;
	bool		is_current;		/* its token was when it began */
} Action;

/* A step that it holds. */
typedef struct Job
{
	char		token[32];
	Token		number;
	int			node;
	Deed		deed;
	bool		to_new;
	char		verb;			/* p probe, a act, e end */
	double		deadline;
	double		every;
	double		pause;
	double		look_at;		/* NEVER: it does not look */
	double		begin_at;
	bool		begun;
	bool		has_looked;
	bool		mentioned;
	Action		action;
	char	   *report;			/* NULL: none */
} Job;

/* An observation or a gate that it was asked to look at. */
typedef struct Look
{
	int			node;
	char		watch[24];		/* "" an observation */
	double		at;
} Look;

typedef struct Worker
{
	char		name[16];
	int			incarnation;
	bool		alive;
	double		back_at;		/* when it comes back, if it is not alive */
	double		stopped_until;
	double		ask_at;
	double		lease_until;
	Job			job[MAX_JOBS];
	int			njobs;
	Look		look[MAX_LOOKS];
	int			nlooks;
	char	   *seen;			/* reports of looks, each with a comma behind it */
	/* faults */
	bool		loses_reply;	/* of the next exchange */
	bool		loses_call;
	bool		says_twice;
	bool		begins_late;	/* when it wakes it begins what it was told before */
	char	   *old;			/* what it says once more, when it is too late */
	double		old_at;
} Worker;

extern void worker_start(struct Game *g, Worker *w);

/* It dies; what it does lives on, or not. */
extern void worker_kill(struct Game *g, Worker *w, bool actions_die, double back_at);

/* It is stopped, with its actions or without them. */
extern void worker_stop(struct Game *g, Worker *w, double until, bool with_actions, bool begins_late);

/* Returns when something is next to do, NEVER if nothing. */
extern double worker_due(const struct Game *g, const Worker *w);

/* Does what is due. */
extern void worker_go(struct Game *g, Worker *w);

/* Carries out a statement of somebody else; by chance a worker asks at the same moment, before or after it. */
extern Outcome worker_meet(struct Game *g, const char *who, const char *statement);

/* Actions without a worker: when the next one ends, and its end. */
extern double strays_due(const struct Game *g);
extern void strays_go(struct Game *g);

/* True if nothing is in its hands, and nothing is to be told. */
extern bool worker_is_idle(const Worker *w);

extern void worker_free(Worker *w);

#endif							/* SIM_WORKER_H */
