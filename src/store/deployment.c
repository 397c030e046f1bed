/*
 * deployment.c
 *	  Deployments to groups.
 */
#include "store/deployment.h"

#include "catalog/pg_type.h"
#include "core/plan.h"
#include "store/event.h"
#include "store/queue.h"
#include "zdu.h"

static ZduQuery insert_deployment = {
	.text = "INSERT INTO zdu.deployment (upgrade_id, node_group, through, began_at) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (upgrade_id, node_group) DO UPDATE SET through = excluded.through, session_role = excluded.session_role, began_at = excluded.began_at, done_at = NULL",
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery move_upgrade = {
	.text = "UPDATE zdu.upgrade SET node_group = $2 WHERE upgrade_id = $1 AND node_group IS DISTINCT FROM $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery end_deployment = {
	.text =
	"UPDATE zdu.deployment d SET done_at = $4 WHERE d.upgrade_id = $1 AND d.node_group = $3 AND d.done_at IS NULL AND NOT EXISTS "
	"(SELECT FROM zdu.node n JOIN zdu.upgrade u ON u.upgrade_id = $1 WHERE n.cluster_id = $2 AND n.node_group = $3 "
	"  AND n.version IS DISTINCT FROM u.target AND NOT n.confirmed)",
	.nargs = 4, .argtypes = {INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery is_done = {
	.text = "SELECT 1 FROM zdu.deployment WHERE upgrade_id = $1 AND node_group = $2 AND done_at IS NOT NULL",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* A rollout that was given up leaves nothing to deploy. */
static ZduQuery open_deployments = {
	.text =
	"SELECT 1 FROM (SELECT u.upgrade_id, u.run FROM zdu.upgrade u WHERE u.cluster_id = $1 ORDER BY u.upgrade_id DESC LIMIT 1) last "
	"WHERE last.run NOT IN ('cancelled', 'rolled_back') AND EXISTS (SELECT FROM zdu.deployment d WHERE d.upgrade_id = last.upgrade_id) "
	"AND NOT EXISTS (SELECT FROM zdu.deployment d WHERE d.upgrade_id = last.upgrade_id AND d.node_group = 'default' AND d.done_at IS NOT NULL)",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery group_is_covered = {
	.text = "SELECT 1 FROM zdu.node n JOIN zdu.deployment d ON d.upgrade_id = $1 AND d.node_group = n.node_group WHERE n.node_id = $2",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery next_group = {
	.text =
	"SELECT g.name FROM zdu.node_group g WHERE g.cluster_id = $1 AND NOT EXISTS (SELECT FROM zdu.deployment d WHERE d.upgrade_id = $2 AND d.node_group = g.name) "
	"AND (g.name = 'default' OR EXISTS (SELECT FROM zdu.node n WHERE n.cluster_id = $1 AND n.node_group = g.name)) "
	"ORDER BY g.name = 'default', g.name LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* How many nodes a deployment takes out at once, in all and of each budget, and how many nodes that has. */
static ZduQuery leave_together = {
	.text =
	"SELECT NULL AS name, NULL AS max_unavailable, count(*) FILTER (WHERE n.node_group = $2 AND n.version IS DISTINCT FROM $3::zdu_version)::integer, count(*)::integer "
	"FROM zdu.node n WHERE n.cluster_id = $1 "
	"UNION ALL "
	"SELECT b.name, b.max_unavailable, count(*) FILTER (WHERE n.node_group = $2 AND n.version IS DISTINCT FROM $3::zdu_version)::integer, count(*)::integer "
	"FROM zdu.budget b JOIN zdu.node n ON n.cluster_id = b.cluster_id AND (b.selector = '{}' OR b.budget_id = ANY (n.budgets)) "
	"WHERE b.cluster_id = $1 AND b.max_unavailable IS NOT NULL GROUP BY b.budget_id",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery bar_steps = {
	.text =
	"UPDATE zdu.flight s SET barred = array_position(p.phase, 'integrate') FROM zdu.step_plan p "
	"WHERE s.cluster_id = $1 AND s.barred IS NULL AND p.plan_id = s.plan_id AND p.upgrade_id = $2 AND p.direction = 'forward' "
	"AND (array_position(p.phase, 'integrate') > s.place OR (p.phase[s.place] = 'integrate' AND s.state = 'pending' AND s.not_before IS NULL))",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery unbar_steps = {
	.text =
	"UPDATE zdu.flight s SET barred = NULL WHERE s.cluster_id = $1 AND s.node_id IS NOT NULL AND s.barred IS NOT NULL AND NOT EXISTS "
	"(SELECT FROM zdu.flight o JOIN zdu.step_plan p ON p.plan_id = o.plan_id WHERE o.cluster_id = $1 "
	"  AND p.upgrade_id = $2 AND o.node_id IS NOT NULL AND p.direction = 'forward' AND p.phase[o.place] NOT IN ('integrate', 'soak'))",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

void
zdu_deployment_begin(ZduFacts *f, const char *node_group, const char *through)
{
	zdu_run(&insert_deployment, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(node_group), zdu_text(through), zdu_time(zdu_now())});
	zdu_run(&move_upgrade, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(node_group)});
	f->node_group = node_group;
	zdu_event_note(NULL, "deployment", NULL, node_group, "N15", through != NULL ? psprintf("through %s", through) : NULL);
}

bool
zdu_deployment_settle(const ZduFacts *f)
{
	ZduArg		args[] = {zdu_int8(f->upgrade_id), zdu_int8(f->cluster_id), zdu_text(f->node_group), zdu_time(zdu_now())};

	if (f->taken == 0 && !zdu_nodes_queued(f) && zdu_run(&end_deployment, args) > 0)
		zdu_event_note(NULL, "deployment", f->node_group, "done", "M9", "every node of the group is at the target");
	return zdu_run(&is_done, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(f->node_group)}) > 0;
}

bool
zdu_deployments_open(const ZduFacts *f)
{
	return zdu_run(&open_deployments, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0;
}

bool
zdu_deployment_covers(const ZduFacts *f, int64 node_id)
{
	return f->node_group == NULL || zdu_run(&group_is_covered, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_int8(node_id)}) > 0;
}

char *
zdu_deployment_next(const ZduFacts *f)
{
	zdu_run(&next_group, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id)});
	return zdu_first_text();
}

char *
zdu_deployment_overdraws(const ZduFacts *f, const char *node_group, const char *target)
{
	ZduReader	r;

	zdu_run(&leave_together, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(node_group), zdu_text(target)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);
		char	   *limit = zdu_read_text(&r);
		int			leave = zdu_read_int4(&r);
		int			total = zdu_read_int4(&r);
		int			may = zdu_limit_resolve(limit != NULL ? limit : f->max_unavailable, total);

		if (leave > may)
			return psprintf("%d nodes of \"%s\" leave together, %d may be unavailable%s%s", leave, node_group, may,
							name != NULL ? " under budget " : "", name != NULL ? name : "");
	}
	return NULL;
}

void
zdu_deployment_bar(const ZduFacts *f)
{
	zdu_run(&bar_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id)});
}

void
zdu_deployment_switch(const ZduFacts *f)
{
	if (!zdu_nodes_queued(f) && zdu_run(&unbar_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id)}) > 0)
	{
		zdu_event_note(NULL, "deployment", NULL, "traffic", "M9", psprintf("every node of \"%s\" is verified", f->node_group));
		zdu_notify();
	}
}
