/*
 * fsm_test.c
 *	  Promise: the transition tables are whole, and a cluster's state follows
 *	  from its nodes as the rules L1 to L13 say.  Prints TAP.
 */
#include <string.h>

#include "core/fsm.h"
#include "tap.h"

#define MAX_STATES 16

typedef struct MachineCase
{
	ZduMachine	machine;
	const char *rule;
	int			nends;
	int			ends[3];		/* states that nothing leaves */
} MachineCase;

static const MachineCase machines[] = {
	{ZDU_CLUSTER, "L1", 0, {0}},
	{ZDU_NODE, "N1", 0, {0}},
	{ZDU_UPGRADE, "L1", 3, {RUN_COMPLETED, RUN_CANCELLED, RUN_ROLLED_BACK}},
	{ZDU_STEP, "W1", 3, {STEP_SUCCEEDED, STEP_SKIPPED, STEP_CANCELLED}}
};

/* What a node's state may change to, word for word from N1. */
static const struct
{
	ZduNodeState from;
	unsigned	to;				/* a bit a state */
}			node_ways[] = {
	{NODE_STARTING, 1 << NODE_ACTIVE | 1 << NODE_ERROR | 1 << NODE_OFFLINE},
	{NODE_ACTIVE, 1 << NODE_DRAINING | 1 << NODE_TERMINATING | 1 << NODE_STARTING | 1 << NODE_ERROR | 1 << NODE_OFFLINE},
	{NODE_DRAINING, 1 << NODE_ACTIVE | 1 << NODE_TERMINATING | 1 << NODE_ERROR | 1 << NODE_OFFLINE},
	{NODE_TERMINATING, 1 << NODE_OFFLINE | 1 << NODE_ERROR},
	{NODE_OFFLINE, 1 << NODE_STARTING | 1 << NODE_ACTIVE},
	{NODE_ERROR, 1 << NODE_STARTING | 1 << NODE_ACTIVE | 1 << NODE_TERMINATING | 1 << NODE_OFFLINE}
};

/* Single ways, and ways that there must not be. */
static const struct
{
	const char *rule;
	const char *claim;
	ZduMachine	machine;
	int			from;
	int			to;
	bool		legal;
}			ways[] = {
	{"L5", "READY_TO_UPGRADE can be cancelled", ZDU_CLUSTER, CLUSTER_READY_TO_UPGRADE, CLUSTER_STABLE, true},
	{"L8", "MIXED goes back to READY_TO_UPGRADE", ZDU_CLUSTER, CLUSTER_MIXED, CLUSTER_READY_TO_UPGRADE, true},
	{"L10", "READY_TO_RUN_UPGRADE_TASKS goes back to MIXED", ZDU_CLUSTER, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, CLUSTER_MIXED, true},
	{"L13", "finalize without tasks gives STABLE", ZDU_CLUSTER, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, CLUSTER_STABLE, true},
	{"L13", "what is being finalized does not become MIXED again", ZDU_CLUSTER, CLUSTER_RUNNING_UPGRADE_TASKS, CLUSTER_MIXED, false},
	{"L15", "from UPGRADE_TASKS_FAILED tasks run again", ZDU_CLUSTER, CLUSTER_UPGRADE_TASKS_FAILED, CLUSTER_RUNNING_UPGRADE_TASKS, true},
	{"L15", "and nothing else leads out", ZDU_CLUSTER, CLUSTER_UPGRADE_TASKS_FAILED, CLUSTER_STABLE, false},
	{"N3", "a graceful stop ends OFFLINE", ZDU_NODE, NODE_TERMINATING, NODE_OFFLINE, true},
	{"L23", "a running upgrade can be rolled back", ZDU_UPGRADE, RUN_RUNNING, RUN_ROLLING_BACK, true},
	{"L23", "a paused one too", ZDU_UPGRADE, RUN_PAUSED, RUN_ROLLING_BACK, true},
	{"L23", "a held one too", ZDU_UPGRADE, RUN_HELD, RUN_ROLLING_BACK, true},
	{"L23", "and one that is cancelling", ZDU_UPGRADE, RUN_CANCELLING, RUN_ROLLING_BACK, true},
	{"L23", "but not one that is finalized", ZDU_UPGRADE, RUN_FINALIZING, RUN_ROLLING_BACK, false},
	{"L22", "pausing what is held would hide the failure", ZDU_UPGRADE, RUN_HELD, RUN_PAUSED, false},
	{"W4", "an unknown step is granted again", ZDU_STEP, STEP_UNKNOWN, STEP_RUNNING, true},
	{"W4", "lost is not failed", ZDU_STEP, STEP_UNKNOWN, STEP_FAILED, false},
	{"W6", "a step that nobody was granted does not succeed", ZDU_STEP, STEP_PENDING, STEP_SUCCEEDED, false},
	{"W6", "one that failed does not succeed without another attempt", ZDU_STEP, STEP_FAILED, STEP_SUCCEEDED, false}
};

#define UPGRADE true, 0, 0

/* upgrade mode, tasks open, failed; online, active, error, versions online; upgraded, of them online */
static const struct
{
	const char *rule;
	const char *claim;
	ZduClusterState before;
	ZduCounts	counts;
	ZduClusterState after;
}			derived[] = {
	{"L1", "begun, no node upgraded", CLUSTER_STABLE, {UPGRADE, 3, 3, 0, 1, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L6", "a node in ERROR does not change that", CLUSTER_READY_TO_UPGRADE, {UPGRADE, 3, 2, 1, 1, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L7", "the first node at another version", CLUSTER_READY_TO_UPGRADE, {UPGRADE, 3, 3, 0, 2, 1, 1}, CLUSTER_MIXED},
	{"L7", "a cluster of one is not MIXED", CLUSTER_READY_TO_UPGRADE, {UPGRADE, 1, 1, 0, 1, 1, 1}, CLUSTER_READY_TO_RUN_UPGRADE_TASKS},
	{"L8", "every upgraded node has gone back", CLUSTER_MIXED, {UPGRADE, 3, 3, 0, 1, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L8", "one that is down has not gone back", CLUSTER_MIXED, {UPGRADE, 2, 2, 0, 1, 1, 0}, CLUSTER_MIXED},
	{"L8", "also from the end of the way", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {UPGRADE, 3, 3, 0, 1, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L9", "all online nodes at one new version", CLUSTER_MIXED, {UPGRADE, 3, 3, 0, 1, 3, 3}, CLUSTER_READY_TO_RUN_UPGRADE_TASKS},
	{"L9", "one ACTIVE is enough", CLUSTER_MIXED, {UPGRADE, 3, 1, 0, 1, 3, 3}, CLUSTER_READY_TO_RUN_UPGRADE_TASKS},
	{"L9", "none ACTIVE is not", CLUSTER_MIXED, {UPGRADE, 3, 0, 0, 1, 3, 3}, CLUSTER_MIXED},
	{"L9", "two different new versions stay MIXED", CLUSTER_MIXED, {UPGRADE, 3, 3, 0, 2, 3, 3}, CLUSTER_MIXED},
	{"L9", "a node in ERROR stays MIXED", CLUSTER_MIXED, {UPGRADE, 3, 2, 1, 1, 3, 3}, CLUSTER_MIXED},
	{"L9", "a node whose version nobody has seen stays MIXED", CLUSTER_MIXED, {UPGRADE, 3, 2, 0, 1, 2, 2}, CLUSTER_MIXED},
	{"L10", "an old node that is confirmed OFFLINE does not hold it back", CLUSTER_MIXED, {UPGRADE, 2, 2, 0, 1, 2, 2}, CLUSTER_READY_TO_RUN_UPGRADE_TASKS},
	{"L10", "it counts again when it comes back", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {UPGRADE, 3, 2, 0, 2, 2, 2}, CLUSTER_MIXED},
	{"L11", "a node that fails afterwards takes it back to MIXED", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {UPGRADE, 3, 2, 1, 1, 3, 3}, CLUSTER_MIXED},
	{"L12", "nobody online: READY_TO_UPGRADE stays", CLUSTER_READY_TO_UPGRADE, {UPGRADE, 0, 0, 0, 0, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L12", "nobody online: MIXED stays", CLUSTER_MIXED, {UPGRADE, 0, 0, 0, 0, 2, 0}, CLUSTER_MIXED},
	{"L12", "nobody online: the end of the way stays", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {UPGRADE, 0, 0, 0, 0, 3, 0}, CLUSTER_READY_TO_RUN_UPGRADE_TASKS},
	{"L1", "begun with nobody online", CLUSTER_STABLE, {UPGRADE, 0, 0, 0, 0, 0, 0}, CLUSTER_READY_TO_UPGRADE},
	{"L13", "finalized without a task", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {false, 0, 0, 3, 3, 0, 1, 3, 3}, CLUSTER_STABLE},
	{"L13", "finalized with tasks", CLUSTER_READY_TO_RUN_UPGRADE_TASKS, {false, 2, 0, 3, 3, 0, 1, 3, 3}, CLUSTER_RUNNING_UPGRADE_TASKS},
	{"L13", "the last task is done", CLUSTER_RUNNING_UPGRADE_TASKS, {false, 0, 0, 3, 3, 0, 1, 3, 3}, CLUSTER_STABLE},
	{"L15", "a task failed, though others are open", CLUSTER_RUNNING_UPGRADE_TASKS, {false, 1, 1, 3, 3, 0, 1, 3, 3}, CLUSTER_UPGRADE_TASKS_FAILED},
	{"L15", "it is tried again", CLUSTER_UPGRADE_TASKS_FAILED, {false, 2, 0, 3, 3, 0, 1, 3, 3}, CLUSTER_RUNNING_UPGRADE_TASKS}
};

static bool
is_end(const MachineCase *m, int state)
{
	for (int i = 0; i < m->nends; i++)
		if (m->ends[i] == state)
			return true;
	return false;
}

static void
test_machine(const MachineCase *m)
{
	const char *name = zdu_machine_name(m->machine);
	int			n;
	const ZduTransition *t = zdu_machine_transitions(m->machine, &n);
	int			nstates = 0;
	bool		reached[MAX_STATES] = {false};
	bool		left[MAX_STATES] = {false};
	bool		all = true;
	bool		grows = true;

	while (zdu_state_name(m->machine, nstates) != NULL)
		nstates++;
	for (int i = 0; i < nstates; i++)
		all &= zdu_state_of(m->machine, zdu_state_name(m->machine, i)) == i;
	ok(all && zdu_state_of(m->machine, "no such state") == ZDU_STATE_NONE, m->rule, "%s: names and states belong together", name);

	while (grows)
	{
		grows = false;
		for (int i = 0; i < n; i++)
			if ((t[i].from == ZDU_STATE_NONE || reached[t[i].from]) && !reached[t[i].to])
				grows = reached[t[i].to] = true;
	}
	for (int i = 0; i < n; i++)
		if (t[i].from != ZDU_STATE_NONE)
			left[t[i].from] = true;
	for (int i = 0; i < nstates; i++)
		ok(reached[i] && left[i] == !is_end(m, i), m->rule, "%s: %s is reached%s", name, zdu_state_name(m->machine, i),
		   is_end(m, i) ? ", and ends it" : " and left");

	all = true;
	for (int i = 0; i < n; i++)
	{
		all &= t[i].from != t[i].to && t[i].event != NULL && t[i].rule != NULL && t[i].meaning != NULL &&
			zdu_transition_find(m->machine, t[i].from, t[i].to) != NULL;
		for (int j = 0; j < i; j++)
			all &= t[i].from != t[j].from || t[i].to != t[j].to || strcmp(t[i].event, t[j].event) != 0;
	}
	ok(all, "L22", "%s: each transition is there once and names its event, rule and meaning", name);
}

static void
test_ways(void)
{
	for (int i = 0; i < lengthof(node_ways); i++)
	{
		unsigned	found = 0;

		for (int to = 0; to <= NODE_ERROR; to++)
			if (zdu_transition_find(ZDU_NODE, node_ways[i].from, to) != NULL)
				found |= 1u << to;
		ok(found == node_ways[i].to, "N1", "%s goes where N1 says, and nowhere else", zdu_state_name(ZDU_NODE, node_ways[i].from));
	}
	for (int i = 0; i < lengthof(ways); i++)
		ok((zdu_transition_find(ways[i].machine, ways[i].from, ways[i].to) != NULL) == ways[i].legal, ways[i].rule, "%s", ways[i].claim);
}

/* In upgrade mode whatever the nodes do leads along the table. */
static void
test_derived_is_legal(void)
{
	static const ZduClusterState befores[] = {CLUSTER_READY_TO_UPGRADE, CLUSTER_MIXED, CLUSTER_READY_TO_RUN_UPGRADE_TASKS};
	bool		legal = true;

	for (int b = 0; b < lengthof(befores); b++)
		for (int bits = 0; bits < 1 << 12; bits++)
		{
			ZduCounts	c = {true, 0, 0, bits & 3, bits >> 2 & 3, bits >> 4 & 3, bits >> 6 & 3, bits >> 8 & 3, bits >> 10 & 3};
			ZduClusterState after = zdu_cluster_derive(befores[b], &c);

			legal &= after == befores[b] || zdu_transition_find(ZDU_CLUSTER, befores[b], after) != NULL;
		}
	ok(legal, "L1", "whatever the counts, the state that follows is in the table");
}

int
main(void)
{
	for (int i = 0; i < lengthof(machines); i++)
		test_machine(&machines[i]);
	ok(zdu_machine_name(lengthof(machines)) == NULL && zdu_machine_name(-1) == NULL, "L22", "there are no other machines");
	test_ways();
	for (int i = 0; i < lengthof(derived); i++)
	{
		ZduClusterState after = zdu_cluster_derive(derived[i].before, &derived[i].counts);

		ok(after == derived[i].after, derived[i].rule, "%s: %s", derived[i].claim, zdu_state_name(ZDU_CLUSTER, after));
	}
	test_derived_is_legal();
	return tap_end();
}
