/*
 * fsm.h
 *	  The states of clusters, nodes, upgrades and steps, and how one comes from another.
 *
 * Pure: no server headers.  zdu_transitions() publishes the tables.
 */
#ifndef ZDU_FSM_H
#define ZDU_FSM_H

#include <stdbool.h>

typedef enum ZduMachine
{
	ZDU_CLUSTER,
	ZDU_NODE,
	ZDU_UPGRADE,
	ZDU_STEP
} ZduMachine;

typedef enum ZduClusterState
{
	CLUSTER_STABLE,
	CLUSTER_READY_TO_UPGRADE,
	CLUSTER_MIXED,
	CLUSTER_READY_TO_RUN_UPGRADE_TASKS,
	CLUSTER_RUNNING_UPGRADE_TASKS,
	CLUSTER_UPGRADE_TASKS_FAILED
} ZduClusterState;

typedef enum ZduNodeState
{
	NODE_STARTING,
	NODE_ACTIVE,
	NODE_DRAINING,
	NODE_TERMINATING,
	NODE_OFFLINE,
	NODE_ERROR
} ZduNodeState;

typedef enum ZduRun
{
	RUN_RUNNING,
	RUN_PAUSED,
	RUN_HELD,
	RUN_CANCELLING,
	RUN_ROLLING_BACK,
	RUN_FINALIZING,
	RUN_COMPLETED,
	RUN_CANCELLED,
	RUN_ROLLED_BACK
} ZduRun;

typedef enum ZduStepState
{
	STEP_PENDING,
	STEP_RUNNING,
	STEP_UNKNOWN,
	STEP_SUCCEEDED,
	STEP_FAILED,
	STEP_SKIPPED,
	STEP_CANCELLED
} ZduStepState;

/* The state before there is one: where a machine begins. */
#define ZDU_STATE_NONE (-1)

typedef struct ZduTransition
{
	int			from;			/* ZDU_STATE_NONE: at first */
	const char *event;
	int			to;
	const char *rule;
	const char *meaning;
} ZduTransition;

/* What a cluster's state is derived from. */
typedef struct ZduCounts
{
	bool		upgrade_mode;	/* an upgrade is active and not yet finalized */
	int			tasks_open;		/* finalization tasks not yet done */
	int			tasks_failed;
	int			online;			/* nodes but those confirmed OFFLINE */
	int			active;
	int			in_error;
	int			versions_online;	/* different versions among them */
	int			upgraded;		/* last seen at another version than the original, online or not */
	int			upgraded_online;	/* one whose version was not seen is none of them */
} ZduCounts;

/* Returns the name of a state, or NULL for a number that is none. */
extern const char *zdu_state_name(ZduMachine machine, int state);

/* Returns the state of that name, or ZDU_STATE_NONE. */
extern int	zdu_state_of(ZduMachine machine, const char *name);

/* Returns the machine's name, or NULL when there is no such machine. */
extern const char *zdu_machine_name(int machine);

/* Returns a machine's transitions and sets *n to their number. */
extern const ZduTransition *zdu_machine_transitions(ZduMachine machine, int *n);

/* Returns the transition between two states, or NULL when it is not legal. */
extern const ZduTransition *zdu_transition_find(ZduMachine machine, int from, int to);

/* Returns the cluster's state that follows from the one before and the counts (L1-L13). */
extern ZduClusterState zdu_cluster_derive(ZduClusterState before, const ZduCounts *c);

#endif							/* ZDU_FSM_H */
