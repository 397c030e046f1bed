/*
 * deploy.c
 *	  Deployments to groups: an upgrade that goes group by group.
 */
#include "api/api.h"

#include "api/begin.h"
#include "api/drive.h"
#include "api/protect.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/deployment.h"
#include "store/event.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_deploy);

static ZduQuery group_members = {
	.text = "SELECT name, login, node_group = $2 FROM zdu.node WHERE cluster_id = $1 AND (login IS NOT NULL OR name = $3)",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery group_exists = {
	.text = "SELECT 1 FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static void
refuse(const ZduFacts *f, int code, const char *detail, const char *hint) pg_attribute_noreturn();

static void
refuse(const ZduFacts *f, int code, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("cannot deploy to cluster \"%s\"", f->name),
			 errdetail("%s.", detail),
			 errhint("%s", hint)));
}

/*
 * N15: the node that a deployment is sent through, named or that of the
 * caller's login, is in the group.  Returns its name, NULL: none.
 */
static const char *
check_through(const ZduCall *call, const char *node_group, const char *through)
{
	ZduFacts   *f = call->f;
	ZduReader	r;
	bool		found = false;
	bool		in_group = true;

	if (through != NULL)
		(void) zdu_node_known(f, through);
	zdu_run(&group_members, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(node_group), zdu_text(through)});
	r = zdu_reader();
	while (!found && zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);
		char	   *login = zdu_read_text(&r);

		found = through != NULL ? strcmp(name, through) == 0 : get_role_oid(login, true) == call->session.caller;
		if (!found)
			continue;
		through = name;
		in_group = zdu_read_bool(&r);
	}
	if (!in_group)
		refuse(f, ERRCODE_ZDU_REFUSED, psprintf("N15: node %s is not in group \"%s\"", through, node_group),
			   psprintf("SELECT name FROM zdu.node_group -- and send it through a node of \"%s\"", node_group));
	return through;
}

/* M8: the upgrade that runs goes on with another group when it is through with the one before. */
static void
check_next(ZduFacts *f, const char *node_group, const char *target)
{
	const char *why = psprintf("SELECT * FROM zdu_why('%s')", f->name);
	char	   *overdrawn;

	if (f->node_group == NULL || !zdu_upgrade_mode(f))
		refuse(f, ERRCODE_ZDU_WRONG_STATE, psprintf("M8: an upgrade to %s is %s, and it does not go by groups",
													f->target != NULL ? f->target : "a new version", zdu_state_name(ZDU_UPGRADE, f->run)), why);
	if (target != NULL && zdu_version_compare(target, f->target) != 0)
		refuse(f, ERRCODE_ZDU_WRONG_STATE, psprintf("M8: a rollout of %s is running", f->target), why);
	if (f->run != RUN_RUNNING || !zdu_deployment_settle(f))
		refuse(f, ERRCODE_ZDU_WRONG_STATE, psprintf("M8: the deployment to \"%s\" is %s", f->node_group,
													f->run != RUN_RUNNING ? zdu_state_name(ZDU_UPGRADE, f->run) : "not done"), why);
	if (zdu_run(&group_exists, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(node_group)}) == 0)
		refuse(f, ERRCODE_UNDEFINED_OBJECT, psprintf("N11: there is no node group \"%s\"", node_group), "SELECT cluster_id, name FROM zdu.node_group");
	/* What was begun one by one goes on so. */
	overdrawn = f->together ? zdu_deployment_overdraws(f, node_group, f->target) : NULL;
	if (overdrawn != NULL)
		refuse(f, ERRCODE_ZDU_REFUSED, psprintf("D10: %s", overdrawn), zdu_hint_more_unavailable(f));
}

Datum
zdu_deploy(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *node_group = PG_ARGISNULL(2) ? "default" : zdu_arg_text(fcinfo, 2);
	const char *through = zdu_arg_text(fcinfo, 3);
	ZduWish		wish = {.target = zdu_arg_text(fcinfo, 1), .node_group = node_group, .together = true};
	ZduCall		call;
	ZduFacts   *f;
	int64		upgrade_id;

	zdu_call_begin(&call, "zdu_deploy", NULL);
	zdu_protect_lock(&call, cluster);
	f = call.f;
	through = check_through(&call, node_group, through);
	if (f->upgrade_id == 0)
	{
		wish.through = through;
		upgrade_id = zdu_begin_upgrade(&call, &wish, zdu_arg_text(fcinfo, 4));
	}
	else
	{
		check_next(f, node_group, wish.target);
		upgrade_id = f->upgrade_id;
		zdu_deployment_begin(f, node_group, through);
		(void) zdu_begin_queue(f, f->target, node_group);
		zdu_set_work_waits(f, true);
		zdu_notify();
	}
	zdu_call_end(&call);
	PG_RETURN_INT64(upgrade_id);
}
