/*
 * sweep.c
 *	  What time brings about.
 */
#include "api/sweep.h"

#include "store/event.h"
#include "store/health.h"

/* A node that vanished without a graceful stop holds the upgrade (N3). */
static void
sweep_unheard(ZduFacts *f)
{
	int			nids;
	int64	   *ids = zdu_nodes_unheard(f, &nids);
	int			n;
	ZduNode    *nodes;

	if (nids == 0)
		return;
	nodes = zdu_nodes_by_id(ids, nids, &n);
	for (int i = 0; i < n; i++)
	{
		zdu_node_force(&nodes[i], NODE_OFFLINE, false, "N4", psprintf("unheard for %g s", f->heartbeat_ttl));
		if (zdu_upgrade_mode(f))
			zdu_upgrade_hold(f, "N3", psprintf("%s is unheard: it vanished without a graceful stop", nodes[i].name));
	}
	zdu_nodes_store(f, nodes, n);
}

static void
sweep_stuck(ZduFacts *f)
{
	int			nids;
	int64	   *ids = zdu_nodes_stuck(f, &nids);
	int			n;
	ZduNode    *nodes;

	if (nids == 0)
		return;
	nodes = zdu_nodes_by_id(ids, nids, &n);
	for (int i = 0; i < n; i++)
	{
		const char *state = zdu_state_name(ZDU_NODE, nodes[i].state);

		nodes[i].stuck = nodes[i].changed = true;
		zdu_event_note(nodes[i].name, "stuck", NULL, state, "N4", "too long in this state");
		if (zdu_upgrade_mode(f))
			zdu_upgrade_hold(f, "N4", psprintf("%s is too long %s", nodes[i].name, state));
	}
	zdu_nodes_store(f, nodes, n);
}

/* D7: a short red while a node exits is no harm; one that lasts holds the upgrade. */
static void
sweep_health(ZduFacts *f)
{
	char	   *red;

	if (!f->has_copies)
		return;
	zdu_health_settle(f);
	if (f->min_availability == AVAILABILITY_NONE || (f->run != RUN_RUNNING && f->run != RUN_ROLLING_BACK) || !zdu_upgrade_mode(f))
		return;
	red = zdu_health_lasting_red(f);
	if (red != NULL)
		zdu_upgrade_hold(f, "D7", red);
}

bool
zdu_sweep_nodes(ZduFacts *f)
{
	if (!zdu_listen(f))
		return false;
	sweep_unheard(f);
	sweep_stuck(f);
	sweep_health(f);
	return true;
}
