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

/* Phases in the order in which a node goes through them. */
typedef enum ZduPhase
{
	PHASE_BEFORE,
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
	int64		number;			/* of the token of the last grant; 0: none yet */
	int64		upgrade_id;		/* 0: attach or detach */
	int64		node_id;		/* 0: a step of the cluster */
	const char *node;
	ZduPhase	phase;
	bool		back;
	ZduStepState state;
	ZduStageView view;
	const char *version;		/* the one it works towards */
	const char *evidence;		/* as text, shortened; NULL: none */
	bool		timer;			/* nobody holds it */
	double		not_before;		/* negative: at once */
} ZduStep;

/* A step to be made. */
typedef struct ZduNewStep
{
	int64		node_id;		/* 0: of the cluster */
	ZduPhase	phase;
	bool		back;
	bool		skip;
	int			retries;
	double		retry_delay;
	Jsonb	   *act;			/* NULL: only waits */
	Jsonb	   *look;			/* NULL: a timer */
	Jsonb	   *force;			/* NULL: none */
	const char *until;
	Jsonb	   *vars;
	const char *programs;		/* separated by spaces; NULL: none */
	double		hold_for;
	double		timeout;
	double		expect;			/* negative: not said */
} ZduNewStep;

/* Returns steps by id, under the lock; *n is set. */
extern ZduStep *zdu_steps_by_id(const int64 *ids, int nids, int *n);

/* Returns the one of n steps, sorted by id, that has this id, or NULL. */
extern ZduStep *zdu_step_seek(ZduStep *steps, int n, int64 id);

/* Returns the running timers that are over, running steps whose lease is lost or which are long past their deadline, and unknown ones to be cancelled. */
extern ZduStep *zdu_steps_timers_over(const ZduFacts *f, int *n);
extern ZduStep *zdu_steps_lost(const ZduFacts *f, int *n);
extern ZduStep *zdu_steps_unwound(const ZduFacts *f, int *n);

/* Returns a node's (0: the cluster's) open and failed steps of the active upgrade, in order. */
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

/*
 * Writes what became of n steps; ords are the places of the reports that tell
 * it (0: none), whose evidence and log are kept.
 */
extern void zdu_steps_store(const ZduFacts *f, const ZduStep *steps, const ZduStageOutcome *outcomes, const int *ords, int n, Jsonb *reports);

/*
 * Grants up to `slots` steps that are next for their node to a worker and
 * returns them.  node: only this one's; NULL: any.
 */
extern ZduStep *zdu_steps_grant(const ZduFacts *f, const char *worker, const char *incarnation,
								const char *node, ZduArg programs, int slots, int *n);

/* Returns whether a step could be granted now. */
extern bool zdu_steps_waiting(const ZduFacts *f);

/* Cancels what is not running of a node's (0: the cluster's) steps, asks for the end of what is; returns true if something still runs. */
extern bool zdu_steps_unwind(const ZduFacts *f, int64 node_id);

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
