/*
 * outcome.c
 *	  What a step's outcome does to its node and to the upgrade.
 */
#include "api/outcome.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "store/budget.h"
#include "store/event.h"

static ZduQuery nodes_without_steps = {
	.text =
	"SELECT n.node_id FROM unnest($2) AS n(node_id) WHERE NOT EXISTS "
	"(SELECT FROM zdu.flight s WHERE s.cluster_id = $1 AND s.node_id = n.node_id)",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

#define NO_STATE (-1)
#define NO_ROTATION (-1)

/* What a phase does to its node when its action begins, when it is observed, when it has failed. */
typedef struct EffectRow
{
	ZduPhase	phase;
	int			acting;			/* node state or NO_STATE */
	int			done;
	int			failed;
	int			rotation;		/* when done: 1 in, 0 out */
	bool		tells_version;	/* done: the node runs the version it worked towards */
} EffectRow;

static const EffectRow effects[] = {
	{PHASE_ISOLATE, NODE_DRAINING, NODE_DRAINING, NO_STATE, 0, false},
	{PHASE_DRAIN, NO_STATE, NO_STATE, NO_STATE, NO_ROTATION, false},
	{PHASE_STOP, NODE_TERMINATING, NODE_OFFLINE, NODE_ERROR, NO_ROTATION, false},
	{PHASE_UPGRADE, NO_STATE, NO_STATE, NODE_ERROR, NO_ROTATION, false},
	{PHASE_START, NODE_STARTING, NODE_STARTING, NODE_ERROR, NO_ROTATION, false},
	{PHASE_VERIFY, NO_STATE, NODE_ACTIVE, NODE_ERROR, NO_ROTATION, true},
	{PHASE_INTEGRATE, NO_STATE, NODE_ACTIVE, NO_STATE, 1, false},
	{PHASE_SOAK, NO_STATE, NO_STATE, NODE_ERROR, NO_ROTATION, false}
};

static const EffectRow *
effect_of(ZduPhase phase)
{
	for (int i = 0; i < lengthof(effects); i++)
		if (effects[i].phase == phase)
			return &effects[i];
	return NULL;
}

/* The step's name for people: "app3 start", or the cluster's "before", "before allocation". */
static char *
step_title(const ZduStep *s)
{
	const char *phase = zdu_phase_name(s->phase);

	if (s->node != NULL)
		return psprintf("%s %s", s->node, phase);
	return s->task != NULL ? psprintf("%s %s", phase, s->task) : pstrdup(phase);
}

/* Short: it stands in zdu.status; what was seen is in the event, in zdu_why and in zdu_log. */
static char *
failure_text(const ZduProgress *p)
{
	return psprintf("%s failed, attempt %d", step_title(p->step), p->step->view.attempt);
}

static void
note(const ZduProgress *p)
{
	const ZduStep *s = p->step;
	const char *phase = zdu_phase_name(s->phase);
	const char *reason = p->outcome.reason;

	/* A wish that is found fulfilled is no event. */
	if (s->upgrade_id == 0 && p->outcome.state == STEP_SUCCEEDED && p->was_stage == STAGE_LOOK)
		return;
	if (p->outcome.state == STEP_FAILED && s->evidence != NULL)
		reason = psprintf("%s; saw %s", reason, s->evidence);
	if (p->outcome.state == STEP_RUNNING)
	{
		if (p->outcome.stage == STAGE_ACT && p->was_stage != STAGE_ACT)
			zdu_event_note(s->node, "step", psprintf("%s look", phase), psprintf("%s act", phase), "W4",
						   psprintf("attempt %d", s->view.attempt));
		return;
	}
	zdu_event_note(s->node, "step", psprintf("%s %s", phase, zdu_state_name(ZDU_STEP, s->state)),
				   psprintf("%s %s", phase, zdu_state_name(ZDU_STEP, p->outcome.state)),
				   p->outcome.state == STEP_SUCCEEDED ? "W6" : p->outcome.state == STEP_UNKNOWN ? "W4" : "W1", reason);
}

static void
node_effects(ZduProgress *p, ZduNode *node)
{
	const EffectRow *e = effect_of(p->step->phase);
	bool		begins = p->outcome.state == STEP_RUNNING && p->outcome.stage == STAGE_ACT && p->was_stage != STAGE_ACT;
	int			to = NO_STATE;

	if (e == NULL)
		return;
	if (begins)
		to = e->acting;
	else if (p->outcome.state == STEP_SUCCEEDED)
		to = e->done;
	else if (p->outcome.state == STEP_FAILED)
		to = e->failed;

	/* A wish about rotation changes rotation, not the node. */
	if (p->step->upgrade_id != 0 && to != NO_STATE)
	{
		/* One that was stopping and is seen to run did not stop. */
		if (to == NODE_ACTIVE && node->state == NODE_TERMINATING)
			zdu_node_move(node, NODE_ERROR, false, NULL, true);
		zdu_node_move(node, (ZduNodeState) to, to == NODE_OFFLINE, NULL, false);
	}
	if (p->outcome.state != STEP_SUCCEEDED)
		return;
	if (e->rotation != NO_ROTATION)
		zdu_node_rotate(node, e->rotation == 1, p->outcome.reason);
	if (e->tells_version && p->step->version != NULL)
		zdu_node_seen(node, p->step->version);
}

/* D2: the node goes back into service, the upgrade is held; one that was only checked was not touched (D6). */
static void
abort_drain(ZduFacts *f, ZduProgress *p, ZduNode *node)
{
	ZduPhase	phase = p->step->phase;

	zdu_upgrade_hold(f, phase == PHASE_CHECK ? "D6" : phase == PHASE_DRAIN ? "D2" : "W1", failure_text(p));
	zdu_unwind(f, node);
}

/* Returns whether the whole upgrade was rolled back for it: then nodes in memory are out of date. */
static bool
failed_step(ZduFacts *f, ZduProgress *p, ZduNode *node)
{
	const ZduStep *s = p->step;
	const ZduBudget *spent;
	const char *reason;

	if (s->upgrade_id == 0 || s->upgrade_id != f->upgrade_id)
		return false;
	if (node == NULL)
	{
		if (s->phase == PHASE_BEFORE && f->run == RUN_RUNNING && strcmp(f->on_failure, "rollback") == 0)
		{
			(void) zdu_roll_back(f, failure_text(p));
			return true;
		}
		zdu_upgrade_hold(f, s->phase == PHASE_AFTER ? "L15" : "D8", failure_text(p));
		return false;
	}
	if (!s->back && (s->phase == PHASE_CHECK || s->phase == PHASE_ISOLATE || s->phase == PHASE_DRAIN))
	{
		abort_drain(f, p, node);
		return false;
	}
	zdu_upgrade_set_failures(f, f->failures + 1);
	spent = zdu_budgets_spent(f);
	if (spent == NULL)
		return false;
	reason = failure_text(p);
	if (spent->id != 0)
		reason = psprintf("%s; %d%s failed, budget %s allows %d", reason, spent->failures, spent->where, spent->name, spent->max_failures);
	if (!s->back && f->run == RUN_RUNNING && strcmp(f->on_failure, "rollback") == 0)
	{
		zdu_roll_back(f, reason);
		return true;
	}
	zdu_upgrade_hold(f, s->back ? "L23" : "D11", reason);
	return false;
}

/*
 * A drain that ran out of time is passed over where the policy forces it;
 * a wish that cannot be carried out does not stand in anybody's way.
 */
static void
bend(ZduFacts *f, ZduProgress *p)
{
	if (p->outcome.state != STEP_FAILED)
		return;
	if (p->step->upgrade_id == 0)
		p->outcome.state = STEP_CANCELLED;
	else if (p->step->phase == PHASE_DRAIN && !p->step->back && strcmp(f->drain_on_timeout, "force") == 0)
	{
		p->outcome.state = STEP_SKIPPED;
		p->outcome.reason = "D2: forced after the timeout, data or requests may be lost";
	}
}

/* Leaves of n nodes that had nothing left to do those for which nothing was made since. */
static void
keep_without_steps(const ZduFacts *f, int64 *ids, int *n)
{
	ZduReader	r;

	zdu_run(&nodes_without_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8_array(ids, *n)});
	r = zdu_reader();
	for (*n = 0; zdu_next_row(&r);)
		ids[(*n)++] = zdu_read_int8(&r);
}

/* Nodes that have nothing left to do are released; those to be brought back are. */
static void
finish_nodes(ZduFacts *f, ZduNode *nodes, int nnodes, const int64 *ids, int n)
{
	for (int i = 0; i < n; i++)
	{
		ZduNode    *node = zdu_node_find(nodes, nnodes, ids[i]);

		if (node->taken)
			zdu_release(f, node);
	}
}

void
zdu_outcomes_apply(ZduFacts *f, ZduProgress *progress, int n, ZduOnward *onward)
{
	ZduStepChange *changes = palloc(sizeof(ZduStepChange) * (n + 1));
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int			nids = 0;
	int64	   *finished;
	int			nfinished;
	bool		unwinds = false;
	int			nnodes;
	ZduNode    *nodes;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ZduProgress *p = &progress[i];

		bend(f, p);
		changes[i] = (ZduStepChange) {p->step, p->outcome, p->evidence, p->log};
		if (p->step->node_id != 0)
			ids[nids++] = p->step->node_id;
	}
	finished = zdu_steps_store(f, changes, n, onward, &nfinished);

	nodes = zdu_nodes_by_id(ids, nids, &nnodes);
	for (int i = 0; i < n; i++)
	{
		note(&progress[i]);
		if (progress[i].step->node_id != 0)
			node_effects(&progress[i], zdu_node_find(nodes, nnodes, progress[i].step->node_id));
	}
	for (int i = 0; i < n; i++)
	{
		ZduProgress *p = &progress[i];
		ZduNode    *node = p->step->node_id != 0 ? zdu_node_find(nodes, nnodes, p->step->node_id) : NULL;

		unwinds |= p->outcome.state == STEP_FAILED || p->outcome.state == STEP_CANCELLED;
		if (p->outcome.state == STEP_FAILED)
		{
			/* Rolling back reads them, and brings back what else failed or was cancelled. */
			zdu_nodes_store(f, nodes, nnodes);
			if (failed_step(f, p, node))
			{
				nodes = zdu_nodes_by_id(ids, nids, &nnodes);
				break;
			}
		}
		else if (p->outcome.state == STEP_CANCELLED && p->step->upgrade_id != 0 && node != NULL && node->taken)
			zdu_unwind(f, node);
	}
	if (unwinds && nfinished > 0)
		keep_without_steps(f, finished, &nfinished);
	finish_nodes(f, nodes, nnodes, finished, nfinished);
	zdu_nodes_store(f, nodes, nnodes);
}
