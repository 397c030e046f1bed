/*
 * group.c
 *	  Groups of nodes: every node is in exactly one.
 */
#include "api/api.h"

#include "api/drive.h"
#include "api/group.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/budget.h"
#include "store/deployment.h"
#include "store/event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_group);
PG_FUNCTION_INFO_V1(zdu_drop_group);
PG_FUNCTION_INFO_V1(zdu_group_per_node);
PG_FUNCTION_INFO_V1(zdu_drop_groups);

static ZduQuery group_exists = {
	.text = "SELECT 1 FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* Those named come in from wherever they are; those not named go home. */
static ZduQuery change_members = {
	.text =
	"UPDATE zdu.node SET node_group = CASE WHEN name = ANY ($3) THEN $2 ELSE 'default' END WHERE cluster_id = $1 "
	"AND node_group <> CASE WHEN name = ANY ($3) THEN $2 WHEN node_group = $2 THEN 'default' ELSE node_group END",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTARRAYOID}
};

static ZduQuery unknown_member = {
	.text = "SELECT g.name FROM unnest($2) AS g(name) WHERE NOT EXISTS (SELECT FROM zdu.node n WHERE n.cluster_id = $1 AND n.name = g.name) LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, TEXTARRAYOID}
};

static ZduQuery delete_group = {
	.text = "DELETE FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery insert_group = {
	.text = "INSERT INTO zdu.node_group (cluster_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* group-192-168-0-10-7860: by the address, of a node without one by its name. */
#define OWN_GROUP "'group-' || regexp_replace(coalesce(n.address, n.name), '[^A-Za-z0-9_-]', '-', 'g')"

static ZduQuery shared_own_group = {
	.text =
	"SELECT string_agg(n.name, ', ' ORDER BY n.name) FROM zdu.node n WHERE n.cluster_id = $1 "
	"GROUP BY " OWN_GROUP " HAVING count(*) > 1 OR length(" OWN_GROUP ") > 63 LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery insert_own_groups = {
	.text =
	"INSERT INTO zdu.node_group (cluster_id, name) SELECT n.cluster_id, " OWN_GROUP " FROM zdu.node n WHERE n.cluster_id = $1 "
	"ON CONFLICT DO NOTHING",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery enter_own_groups = {
	.text = "UPDATE zdu.node n SET node_group = " OWN_GROUP " WHERE n.cluster_id = $1 AND n.node_group <> " OWN_GROUP,
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery all_go_home = {
	.text = "UPDATE zdu.node SET node_group = 'default' WHERE cluster_id = $1 AND node_group <> 'default'",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery delete_all_groups = {
	.text = "DELETE FROM zdu.node_group WHERE cluster_id = $1 AND name <> 'default'",
	.nargs = 1, .argtypes = {INT8OID}
};

void
zdu_check_group_change(const ZduFacts *f)
{
	if (f->upgrade_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot change the groups of cluster \"%s\"", f->name),
				 errdetail("N12: it is %s.", zdu_state_name(ZDU_CLUSTER, f->state)),
				 errhint("SELECT * FROM zdu_why('%s') -- and again when it is STABLE", f->name)));
}

static void
check_group_name(const char *name)
{
	if (strcmp(name, "default") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("group \"default\" cannot be made or dropped"),
				 errdetail("N11: every node that is in no other group is in it."),
				 errhint("SELECT zdu_set_group(cluster, name, nodes)")));
}

Datum
zdu_set_group(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	const char *result = "unchanged";
	ZduCall		call;

	zdu_call_begin(&call, "zdu_set_group", cluster);
	zdu_check_name("group", name);
	check_group_name(name);
	zdu_check_group_change(call.f);
	if (zdu_run(&insert_group, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) > 0)
		result = "created";
	if (!PG_ARGISNULL(2))
	{
		ZduArg		nodes = zdu_datum(PG_GETARG_DATUM(2), false);
		ZduReader	r;

		zdu_run(&unknown_member, (ZduArg[]) {zdu_int8(call.f->cluster_id), nodes});
		r = zdu_reader();
		if (zdu_next_row(&r))
			(void) zdu_node_known(call.f, zdu_read_text(&r));
		if (zdu_run(&change_members, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name), nodes}) > 0 &&
			strcmp(result, "created") != 0)
			result = "changed";
	}
	if (strcmp(result, "unchanged") != 0)
	{
		zdu_budgets_settle(call.f, 0);
		zdu_event_note(NULL, "group", NULL, psprintf("%s %s", name, result), "N12", NULL);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_group(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_group", cluster);
	check_group_name(name);
	zdu_check_group_change(call.f);
	if (zdu_run(&group_exists, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("group \"%s\" does not exist", name),
				 errdetail("N11: nothing was changed."),
				 errhint("SELECT name FROM zdu.node_group")));
	zdu_run(&change_members, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name), zdu_text_array(NULL, 0)});
	zdu_run(&delete_group, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)});
	zdu_budgets_settle(call.f, 0);
	zdu_event_note(NULL, "group", name, "dropped", "N12", NULL);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}

Datum
zdu_group_per_node(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduCall		call;
	char	   *shared;
	uint64		moved;

	zdu_call_begin(&call, "zdu_group_per_node", cluster);
	zdu_check_group_change(call.f);
	zdu_run(&shared_own_group, (ZduArg[]) {zdu_int8(call.f->cluster_id)});
	shared = zdu_first_text();
	if (shared != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot make a group for every node of cluster \"%s\"", cluster),
				 errdetail("N13: %s: the address gives no name of its own of at most 63 characters.", shared),
				 errhint("SELECT zdu_set_node('%s', name, address => '...')", cluster)));
	zdu_run(&insert_own_groups, (ZduArg[]) {zdu_int8(call.f->cluster_id)});
	moved = zdu_run(&enter_own_groups, (ZduArg[]) {zdu_int8(call.f->cluster_id)});
	if (moved > 0)
	{
		zdu_budgets_settle(call.f, 0);
		zdu_event_note(NULL, "group", NULL, "one for every node", "N13", NULL);
	}
	zdu_call_end(&call);
	PG_RETURN_INT32((int32) moved);
}

Datum
zdu_drop_groups(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduCall		call;
	uint64		dropped;

	zdu_call_begin(&call, "zdu_drop_groups", cluster);
	/* The groups of a rollout go when it is through with all of them, and not before. */
	if (zdu_deployments_open(call.f))
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cannot drop the groups of cluster \"%s\"", cluster),
				 errdetail("N13: the deployment to \"default\" is not done."),
				 errhint("SELECT zdu_deploy('%s')", cluster)));
	if (call.f->node_group == NULL)
		zdu_check_group_change(call.f);
	zdu_run(&all_go_home, (ZduArg[]) {zdu_int8(call.f->cluster_id)});
	dropped = zdu_run(&delete_all_groups, (ZduArg[]) {zdu_int8(call.f->cluster_id)});
	if (dropped > 0)
	{
		zdu_budgets_settle(call.f, 0);
		zdu_event_note(NULL, "group", "all", "dropped", "N13", NULL);
	}
	zdu_call_end(&call);
	PG_RETURN_INT32((int32) dropped);
}
