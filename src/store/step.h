/*
 * step.h
 *	  Steps as they are stored: made, granted, reported, ended.
 */
#ifndef ZDU_STORE_STEP_H
#define ZDU_STORE_STEP_H

#include "postgres.h"

#include "core/stage.h"
#include "nodes/pg_list.h"
#include "store/facts.h"
#include "store/worker.h"

/* Phases in the order in which a node goes through them. */
typedef enum ZduPhase
{
	PHASE_BEFORE,
	PHASE_CHECK,
	PHASE_ISOLATE,
	PHASE_DRAIN,
	PHASE_STOP,
	PHASE_UPGRADE,
	PHASE_START,
	PHASE_VERIFY,
	PHASE_INTEGRATE,
	PHASE_SOAK,
	PHASE_AFTER,
	PHASE_UNDO,
	ZDU_PHASES
} ZduPhase;

extern const char *zdu_phase_name(ZduPhase phase);
extern ZduPhase zdu_phase_of(const char *name); /* ZDU_PHASES: none */

typedef struct ZduStep
{
	int64		id;
	int64		upgrade_id;		/* 0: attach or detach */
	int64		node_id;		/* 0: a step of the cluster */
	const char *node;
	ZduPhase	phase;
	const char *task;			/* which of the cluster's, see ZduNewStep */
	bool		back;
	int			next;			/* place of the one that follows on it; 0: none */
	int			next_attempts;	/* that are allowed that one */
	bool		has_act;
	bool		has_force;
	const char *version;		/* the one it works towards */
	const char *until;			/* of what zdu_steps_named() returns, as are the next two */
	const char *fail;			/* NULL: nothing that is seen says that it has failed */
	Jsonb	   *vars;
	const char *next_phase;		/* of what follows on it, the same */
	Jsonb	   *next_look;
	double		next_timeout;
	const char *next_programs;
	/* what moves */
	int			epoch;			/* of the token of the last grant */
	int64		number;			/* 0: none yet */
	bool		mine;			/* of what zdu_steps_named() returns: the asking process holds it */
	ZduStepState state;
	ZduStageView view;
	const char *evidence;		/* as text, shortened; NULL: none */
	double		not_before;		/* negative: at once */
} ZduStep;

/* A step as a worker holds it. */
typedef struct ZduGrant
{
	int			epoch;
	int64		number;
	int64		upgrade_id;		/* 0: attach or detach */
	const char *node;			/* NULL: a step of the cluster */
	const char *phase;
	int			attempt;
	ZduStage	stage;
	Jsonb	   *args;			/* NULL: a timer, which nobody holds */
	double		deadline;		/* in seconds from now; negative: it was */
	Jsonb	   *vars;
	const char *direction;
} ZduGrant;

/* What is written of a step: its outcome, and what the report brought. */
typedef struct ZduStepChange
{
	const ZduStep *step;
	ZduStageOutcome outcome;
	Jsonb	   *evidence;		/* NULL: as it was */
	const char *log;			/* NULL: as it was */
} ZduStepChange;

/* A step to be made. */
typedef struct ZduNewStep
{
	int64		node_id;		/* 0: of the cluster */
	ZduPhase	phase;
	const char *task;			/* of the cluster: its name, or which of several it is; NULL: the only one */
	bool		back;
	bool		skip;
	int			retries;
	double		retry_delay;
	Jsonb	   *act;			/* NULL: only waits */
	Jsonb	   *look;			/* NULL: a timer */
	Jsonb	   *force;			/* NULL: none */
	const char *until;
	const char *fail;			/* NULL: none */
	Jsonb	   *vars;
	const char *programs;		/* separated by spaces; NULL: none */
	double		hold_for;
	double		timeout;
	double		expect;			/* negative: not said */
} ZduNewStep;

/*
 * Returns the open steps whose last grant has one of these numbers, sorted by
 * number; *n is set.  Needs no lock: what moves is read anew under it, by
 * zdu_steps_refresh().  worker and incarnation: who asks.
 */
extern ZduStep *zdu_steps_named(int64 cluster_id, const int64 *numbers, int nnumbers, const char *worker, const char *incarnation, int *n);

/* Returns the one of n steps, sorted by number, that has this number, or NULL. */
extern ZduStep *zdu_step_seek(ZduStep *steps, int n, int64 number);

/* Returns which of the numbers are those of the last grants of settled steps of the cluster, in order; *epochs are theirs. */
extern int64 *zdu_steps_settled(int64 cluster_id, const int64 *numbers, int nnumbers, int64 **epochs, int *n);

/* Reads what moves of n steps anew, under the lock; one that was removed since is cancelled. */
extern void zdu_steps_refresh(ZduStep *steps, int n);

/* Returns the running timers that are over, running steps whose lease is lost or which are long past their deadline, and unknown ones to be cancelled. */
extern ZduStep *zdu_steps_timers_over(const ZduFacts *f, int *n);
extern ZduStep *zdu_steps_lost(const ZduFacts *f, int *n);
extern ZduStep *zdu_steps_unwound(const ZduFacts *f, int *n);

/* Returns the steps that a node's (0: the cluster's) plans are at, in order: the first may be granted, or runs, or failed. */
extern ZduStep *zdu_steps_of_node(const ZduFacts *f, int64 node_id, int *n);

/* Returns all failed steps of the active upgrade. */
extern ZduStep *zdu_steps_failed(const ZduFacts *f, int *n);

/*
 * Returns how far the node went in the upgrade: the last phase begun since it
 * was taken, or ZDU_PHASES if none was.
 */
extern ZduPhase zdu_steps_reached(const ZduFacts *f, int64 node_id);

/* Makes steps (a List of ZduNewStep *), after those that their nodes have; new_round: the nodes are taken by it. */
extern void zdu_steps_insert(const ZduFacts *f, int64 upgrade_id, const List *steps, bool new_round);

/* To whom what follows on its steps is granted at once, and the grants. */
typedef struct ZduOnward
{
	const ZduWorker *worker;
	int			slots;			/* how many it may be granted */
	ZduGrant   *grants;			/* in order of their numbers */
	int			n;
} ZduOnward;

/*
 * Writes what became of n steps: of one that is over its plan goes on to the
 * next, which is granted by the same if `onward` is not NULL, all of them
 * ended well (they are of zdu_steps_named()) and the slots are enough.
 * Returns the nodes that have nothing left to be done by that.
 */
extern int64 *zdu_steps_store(const ZduFacts *f, const ZduStepChange *changes, int n, ZduOnward *onward, int *nfinished);

/*
 * Grants up to `slots` steps that are next for their node to a worker and
 * returns them.  node: only this one's; NULL: any.
 */
extern ZduGrant *zdu_steps_grant(const ZduFacts *f, const char *worker, const char *incarnation,
								 const char *node, ZduArg programs, int slots, int *n);

/* Returns what the worker holds by grants with a number below that one, in order of the numbers. */
extern ZduGrant *zdu_steps_held(int64 cluster_id, const char *worker, const char *incarnation, int64 below, int *n);

/* Returns whether a step could be granted now. */
extern bool zdu_steps_waiting(const ZduFacts *f);

/* Cancels what is not running of a node's (0: the cluster's) steps of the upgrade, asks for the end of what is; returns true if something still runs. */
extern bool zdu_steps_unwind(const ZduFacts *f, int64 node_id);

/* Cancels what has not begun of wishes about a node's rotation; what has goes on. */
extern void zdu_steps_forgo(int64 node_id);

/* Cancels all steps of the cluster, whatever runs of them. */
extern void zdu_steps_end_all(const ZduFacts *f);

/* Gives a node's (0: the cluster's) failed steps another round of attempts; returns how many. */
extern int	zdu_steps_retry(const ZduFacts *f, int64 node_id);

/*
 * Returns detached nodes whose wish was carried out more than `age` seconds
 * ago; the steps of that are forgotten.
 */
extern int64 *zdu_steps_to_reassert(const ZduFacts *f, double age, int *n);

/* Returns how many steps of the node are open (not ended, not failed). */
extern int	zdu_steps_open(const ZduFacts *f, int64 node_id);

#endif							/* ZDU_STORE_STEP_H */
