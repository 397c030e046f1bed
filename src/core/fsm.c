/*
 * fsm.c
 *	  The transition tables, and the derivation of a cluster's state.
 */
#include "core/fsm.h"

#include <stddef.h>
#include <string.h>

#define lengthof_table(t) ((int) (sizeof(t) / sizeof((t)[0])))

static const char *const cluster_names[] = {
	"STABLE", "READY_TO_UPGRADE", "MIXED", "READY_TO_RUN_UPGRADE_TASKS",
	"RUNNING_UPGRADE_TASKS", "UPGRADE_TASKS_FAILED"
};

static const char *const node_names[] = {
	"STARTING", "ACTIVE", "DRAINING", "TERMINATING", "OFFLINE", "ERROR"
};

static const char *const run_names[] = {
	"running", "paused", "held", "cancelling", "rolling_back", "finalizing",
	"completed", "cancelled", "rolled_back"
};

static const char *const step_names[] = {
	"pending", "running", "unknown", "succeeded", "failed", "skipped", "cancelled"
};

static const ZduTransition cluster_table[] = {
	{ZDU_STATE_NONE, "set", CLUSTER_STABLE, "L1", "a cluster is made"},
	{CLUSTER_STABLE, "begin", CLUSTER_READY_TO_UPGRADE, "L1", "upgrade mode, no node upgraded yet"},
	{CLUSTER_READY_TO_UPGRADE, "cancel", CLUSTER_STABLE, "L5", "given up before the first node"},
	{CLUSTER_READY_TO_UPGRADE, "node upgraded", CLUSTER_MIXED, "L7", "first node online at another version"},
	{CLUSTER_READY_TO_UPGRADE, "all upgraded", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "L7", "the only online node is at another version"},
	{CLUSTER_MIXED, "all back", CLUSTER_READY_TO_UPGRADE, "L8", "every upgraded node was removed or went back"},
	{CLUSTER_MIXED, "all upgraded", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "L9", "all online nodes at one new version"},
	{CLUSTER_MIXED, "end", CLUSTER_STABLE, "L18", "ended with outdated nodes, or rolled back"},
	{CLUSTER_MIXED, "end with tasks", CLUSTER_RUNNING_UPGRADE_TASKS, "L18", "ended with outdated nodes, tasks to run"},
	{CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "old node online", CLUSTER_MIXED, "L10", "an old node came back, or a node failed"},
	{CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "all back", CLUSTER_READY_TO_UPGRADE, "L8", "every upgraded node was removed or went back"},
	{CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "finalize", CLUSTER_STABLE, "L13", "no finalization task"},
	{CLUSTER_READY_TO_RUN_UPGRADE_TASKS, "finalize with tasks", CLUSTER_RUNNING_UPGRADE_TASKS, "L13", "upgrade mode is over, tasks run"},
	{CLUSTER_RUNNING_UPGRADE_TASKS, "tasks done", CLUSTER_STABLE, "L13", "every task is done"},
	{CLUSTER_RUNNING_UPGRADE_TASKS, "task failed", CLUSTER_UPGRADE_TASKS_FAILED, "L15", "a task failed"},
	{CLUSTER_UPGRADE_TASKS_FAILED, "retry", CLUSTER_RUNNING_UPGRADE_TASKS, "L15", "unfinished tasks run again"}
};

static const ZduTransition node_table[] = {
	{ZDU_STATE_NONE, "set", NODE_OFFLINE, "N1", "registered, not yet seen"},
	{ZDU_STATE_NONE, "join", NODE_STARTING, "N7", "registered itself"},
	{NODE_STARTING, "active", NODE_ACTIVE, "N1", "up and serving"},
	{NODE_STARTING, "error", NODE_ERROR, "N1", "did not come up"},
	{NODE_STARTING, "offline", NODE_OFFLINE, "N1", "gone while starting"},
	{NODE_ACTIVE, "drain", NODE_DRAINING, "N1", "isolated, finishing what it has"},
	{NODE_ACTIVE, "terminate", NODE_TERMINATING, "N1", "stopping"},
	{NODE_ACTIVE, "restart", NODE_STARTING, "N16", "a new incarnation"},
	{NODE_ACTIVE, "error", NODE_ERROR, "N1", "runs, but not well"},
	{NODE_ACTIVE, "offline", NODE_OFFLINE, "N3", "gone without a word, or unheard"},
	{NODE_DRAINING, "active", NODE_ACTIVE, "N1", "put back"},
	{NODE_DRAINING, "terminate", NODE_TERMINATING, "N1", "stopping"},
	{NODE_DRAINING, "error", NODE_ERROR, "N1", "failed while draining"},
	{NODE_DRAINING, "offline", NODE_OFFLINE, "N1", "gone while draining"},
	{NODE_TERMINATING, "offline", NODE_OFFLINE, "N3", "left gracefully"},
	{NODE_TERMINATING, "error", NODE_ERROR, "N1", "could not stop"},
	{NODE_OFFLINE, "start", NODE_STARTING, "N1", "starting"},
	{NODE_OFFLINE, "active", NODE_ACTIVE, "N1", "seen again"},
	{NODE_ERROR, "start", NODE_STARTING, "N1", "started again"},
	{NODE_ERROR, "active", NODE_ACTIVE, "N1", "mended"},
	{NODE_ERROR, "terminate", NODE_TERMINATING, "N1", "stopping"},
	{NODE_ERROR, "offline", NODE_OFFLINE, "L11", "stopped, or declared down"}
};

static const ZduTransition run_table[] = {
	{ZDU_STATE_NONE, "begin", RUN_RUNNING, "L1", "nodes are taken one after the other"},
	{RUN_RUNNING, "pause", RUN_PAUSED, "L22", "by a person; what is in flight is finished"},
	{RUN_RUNNING, "failure", RUN_HELD, "D11", "by a rule; left by retry or rollback"},
	{RUN_RUNNING, "cancel", RUN_CANCELLING, "L5", "what is in flight is brought back"},
	{RUN_RUNNING, "rollback", RUN_ROLLING_BACK, "L23", "every touched node goes back"},
	{RUN_RUNNING, "finalize", RUN_FINALIZING, "L13", "upgrade mode is over; tasks and undo run"},
	{RUN_RUNNING, "finalize at once", RUN_COMPLETED, "L13", "nothing left to run"},
	{RUN_PAUSED, "resume", RUN_RUNNING, "L22", "goes on"},
	{RUN_PAUSED, "resume", RUN_ROLLING_BACK, "L22", "goes on rolling back"},
	{RUN_PAUSED, "resume", RUN_CANCELLING, "L22", "goes on cancelling"},
	{RUN_PAUSED, "failure", RUN_HELD, "D11", "what was in flight failed"},
	{RUN_PAUSED, "cancel", RUN_CANCELLING, "L5", "what is in flight is brought back"},
	{RUN_PAUSED, "rollback", RUN_ROLLING_BACK, "L23", "every touched node goes back"},
	{RUN_PAUSED, "finalize", RUN_FINALIZING, "L13", "upgrade mode is over; tasks and undo run"},
	{RUN_PAUSED, "finalize at once", RUN_COMPLETED, "L13", "nothing left to run"},
	{RUN_HELD, "retry", RUN_RUNNING, "D11", "what failed is tried again"},
	{RUN_HELD, "retry", RUN_ROLLING_BACK, "L23", "going back is tried again"},
	{RUN_HELD, "retry", RUN_CANCELLING, "L5", "unwinding is tried again"},
	{RUN_HELD, "retry", RUN_FINALIZING, "L15", "tasks are tried again"},
	{RUN_HELD, "cancel", RUN_CANCELLING, "L5", "what is in flight is brought back"},
	{RUN_HELD, "rollback", RUN_ROLLING_BACK, "L23", "every touched node goes back"},
	{RUN_HELD, "finalize", RUN_FINALIZING, "L13", "upgrade mode is over; tasks and undo run"},
	{RUN_HELD, "finalize at once", RUN_COMPLETED, "L13", "nothing left to run"},
	{RUN_CANCELLING, "pause", RUN_PAUSED, "L22", "by a person"},
	{RUN_CANCELLING, "failure", RUN_HELD, "L5", "a node could not be brought back"},
	{RUN_CANCELLING, "unwound", RUN_CANCELLED, "L5", "nothing is left stopped"},
	{RUN_CANCELLING, "rollback", RUN_ROLLING_BACK, "L23", "every touched node goes back"},
	{RUN_ROLLING_BACK, "pause", RUN_PAUSED, "L22", "by a person"},
	{RUN_ROLLING_BACK, "failure", RUN_HELD, "L23", "a node could not be brought back"},
	{RUN_ROLLING_BACK, "all back", RUN_ROLLED_BACK, "L23", "every node is at the original version"},
	{RUN_FINALIZING, "failure", RUN_HELD, "L15", "a task failed"},
	{RUN_FINALIZING, "tasks done", RUN_COMPLETED, "L13", "the upgrade is over"}
};

static const ZduTransition step_table[] = {
	{ZDU_STATE_NONE, "take", STEP_PENDING, "W1", "made when its node is taken"},
	{STEP_PENDING, "grant", STEP_RUNNING, "W4", "a worker looks, acts, looks"},
	{STEP_PENDING, "skip", STEP_SKIPPED, "W1", "not wanted, such as integrating a detached node"},
	{STEP_PENDING, "unwind", STEP_CANCELLED, "L5", "not begun, no longer wanted"},
	{STEP_RUNNING, "observed", STEP_SUCCEEDED, "W6", "the probe saw the effect"},
	{STEP_RUNNING, "attempt failed", STEP_PENDING, "W1", "another attempt is left"},
	{STEP_RUNNING, "failed", STEP_FAILED, "W1", "no attempt is left"},
	{STEP_RUNNING, "forced", STEP_SKIPPED, "D2", "its time is over, and the policy goes on without it"},
	{STEP_RUNNING, "lease lost", STEP_UNKNOWN, "W4", "its worker is unheard or handed it back"},
	{STEP_RUNNING, "ended", STEP_CANCELLED, "L5", "its action was ended, it is no longer wanted"},
	{STEP_UNKNOWN, "grant", STEP_RUNNING, "W4", "a worker looks before anybody acts"},
	{STEP_UNKNOWN, "heard again", STEP_RUNNING, "W4", "its worker reports before anybody took it over"},
	{STEP_UNKNOWN, "unwind", STEP_CANCELLED, "L5", "no longer wanted, and nothing of it runs any more"},
	{STEP_FAILED, "retry", STEP_PENDING, "L22", "zdu_retry"},
	{STEP_FAILED, "unwind", STEP_CANCELLED, "L23", "zdu_rollback"}
};

typedef struct MachineRow
{
	const char *name;
	const char *const *states;
	int			nstates;
	const ZduTransition *table;
	int			ntable;
} MachineRow;

static const MachineRow machines[] = {
	{"cluster", cluster_names, lengthof_table(cluster_names), cluster_table, lengthof_table(cluster_table)},
	{"node", node_names, lengthof_table(node_names), node_table, lengthof_table(node_table)},
	{"upgrade", run_names, lengthof_table(run_names), run_table, lengthof_table(run_table)},
	{"step", step_names, lengthof_table(step_names), step_table, lengthof_table(step_table)}
};

const char *
zdu_machine_name(int machine)
{
	return machine >= 0 && machine < lengthof_table(machines) ? machines[machine].name : NULL;
}

const char *
zdu_state_name(ZduMachine machine, int state)
{
	const MachineRow *m = &machines[machine];

	return state >= 0 && state < m->nstates ? m->states[state] : NULL;
}

int
zdu_state_of(ZduMachine machine, const char *name)
{
	const MachineRow *m = &machines[machine];

	for (int i = 0; i < m->nstates; i++)
		if (strcmp(m->states[i], name) == 0)
			return i;
	return ZDU_STATE_NONE;
}

const ZduTransition *
zdu_machine_transitions(ZduMachine machine, int *n)
{
	*n = machines[machine].ntable;
	return machines[machine].table;
}

const ZduTransition *
zdu_transition_find(ZduMachine machine, int from, int to)
{
	const MachineRow *m = &machines[machine];

	for (int i = 0; i < m->ntable; i++)
		if (m->table[i].from == from && m->table[i].to == to)
			return &m->table[i];
	return NULL;
}

ZduClusterState
zdu_cluster_derive(ZduClusterState before, const ZduCounts *c)
{
	if (!c->upgrade_mode)
	{
		if (c->tasks_failed > 0)
			return CLUSTER_UPGRADE_TASKS_FAILED;
		return c->tasks_open > 0 ? CLUSTER_RUNNING_UPGRADE_TASKS : CLUSTER_STABLE;
	}

	/* L12: with nobody online there is nothing to conclude from. */
	if (c->online == 0)
		return before == CLUSTER_STABLE ? CLUSTER_READY_TO_UPGRADE : before;
	if (c->upgraded == 0)
		return CLUSTER_READY_TO_UPGRADE;
	if (c->upgraded_online == c->online && c->versions_online == 1 &&
		c->active > 0 && c->in_error == 0)
		return CLUSTER_READY_TO_RUN_UPGRADE_TASKS;
	return CLUSTER_MIXED;
}
