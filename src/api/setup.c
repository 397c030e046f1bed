/*
 * setup.c
 *	  What is given: clusters, nodes, runbooks, policies.
 *
 * All of these are convergent: the same call twice changes nothing.
 */
#include "api/api.h"

#include "api/drive.h"
#include "api/group.h"
#include "api/protect.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/budget.h"
#include "store/event.h"
#include "store/instance.h"
#include "store/runbook.h"
#include "store/vars.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_is_name);
PG_FUNCTION_INFO_V1(zdu_set_cluster);
PG_FUNCTION_INFO_V1(zdu_set_node);
PG_FUNCTION_INFO_V1(zdu_remove_node);
PG_FUNCTION_INFO_V1(zdu_set_runbook);
PG_FUNCTION_INFO_V1(zdu_set_policy);

static ZduQuery insert_cluster = {
	.text =
	"WITH c AS (INSERT INTO zdu.cluster (name, product, owner) VALUES ($1, coalesce($2, $1), $3) ON CONFLICT DO NOTHING RETURNING cluster_id) "
	"INSERT INTO zdu.node_group (cluster_id, name) SELECT cluster_id, 'default' FROM c",
	.nargs = 3, .argtypes = {TEXTOID, TEXTOID, TEXTOID}
};

static ZduQuery change_cluster = {
	.text =
	"UPDATE zdu.cluster SET policy = coalesce($2, policy), runbook = coalesce($3, runbook), vars = coalesce($4, vars), "
	"product = coalesce($5, product), owner = coalesce($6, owner) WHERE cluster_id = $1 AND "
	"(policy, runbook, vars, product, owner) IS DISTINCT FROM "
	"(coalesce($2, policy), coalesce($3, runbook), coalesce($4, vars), coalesce($5, product), coalesce($6, owner))",
	.nargs = 6, .argtypes = {INT8OID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID}
};

static ZduQuery policy_exists = {
	.text = "SELECT 1 FROM zdu.policy WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery change_node = {
	.text =
	"UPDATE zdu.node SET address = coalesce($2, address), node_group = coalesce($3, node_group), zone = coalesce($4, zone), "
	"role = coalesce($5, role), labels = coalesce($6, labels), vars = coalesce($7, vars), login = coalesce($8, login) "
	"WHERE node_id = $1 AND (address, node_group, zone, role, labels, vars, login) IS DISTINCT FROM "
	"(coalesce($2, address), coalesce($3, node_group), coalesce($4, zone), coalesce($5, role), coalesce($6, labels), "
	"coalesce($7, vars), coalesce($8, login))",
	.nargs = 8, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, TEXTOID}
};

static ZduQuery group_of_node = {
	.text = "SELECT node_group FROM zdu.node WHERE node_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery group_exists = {
	.text = "SELECT 1 FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery insert_runbook = {
	.text =
	"WITH newest AS (SELECT revision, document FROM zdu.runbook WHERE name = $1 AND NOT shipped ORDER BY revision DESC LIMIT 1), "
	"made AS (INSERT INTO zdu.runbook (name, revision, document, hash) "
	"  SELECT $1, coalesce((SELECT revision FROM newest), 0) + 1, $2, encode(sha256(convert_to($2::text, 'UTF8')), 'hex') "
	"  WHERE $2 IS DISTINCT FROM (SELECT document FROM newest) RETURNING revision) "
	"SELECT revision FROM made UNION ALL SELECT revision FROM newest ORDER BY revision DESC LIMIT 1",
	.nargs = 2, .argtypes = {TEXTOID, JSONBOID}
};

/* Serializes revisions of one name. */
static ZduQuery lock_policy = {
	.text = "SELECT pg_advisory_xact_lock('zdu.policy'::regclass::integer, hashtext($1))",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery lock_runbook = {
	.text = "SELECT pg_advisory_xact_lock('zdu.runbook'::regclass::integer, hashtext($1))",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery is_shipped = {
	.text = "SELECT 1 FROM zdu.runbook WHERE name = $1 AND shipped AND NOT EXISTS (SELECT FROM zdu.runbook WHERE name = $1 AND NOT shipped)",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery is_shipped_policy = {
	.text = "SELECT 1 FROM zdu.policy WHERE name = $1 AND shipped AND NOT EXISTS (SELECT FROM zdu.policy WHERE name = $1 AND NOT shipped)",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery unknown_setting = {
	.text =
	"SELECT k FROM jsonb_object_keys($1) AS k WHERE k IN ('name', 'shipped') OR NOT EXISTS "
	"(SELECT FROM pg_attribute a WHERE a.attrelid = 'zdu.policy'::regclass AND a.attname = k AND a.attnum > 0) LIMIT 1",
	.nargs = 1, .argtypes = {JSONBOID}
};

/* The row that is wanted: what is there (or its base), the settings over it. */
static ZduQuery wanted_policy = {
	.text =
	"WITH own AS (SELECT to_jsonb(p) AS row FROM zdu.policy p WHERE p.name = $1 AND NOT p.shipped) "
	"SELECT to_jsonb(jsonb_populate_record(b, coalesce($3, '{}') || jsonb_build_object('name', $1, 'shipped', false))), o.row "
	"FROM zdu.policy b LEFT JOIN own o ON true "
	"WHERE b.name = coalesce($2, o.row->>'name', 'default') ORDER BY b.shipped LIMIT 1",
	.nargs = 3, .argtypes = {TEXTOID, TEXTOID, JSONBOID}
};

static ZduQuery delete_policy = {
	.text = "DELETE FROM zdu.policy WHERE name = $1 AND NOT shipped",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery insert_policy = {
	.text = "INSERT INTO zdu.policy SELECT * FROM jsonb_populate_record(NULL::zdu.policy, $1)",
	.nargs = 1, .argtypes = {JSONBOID}
};

/* Names stand in commands, paths and host names: nothing in them needs quoting. */
static bool
is_name(const char *name, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";

	if (len < 1 || len > NAMEDATALEN - 1 || strchr("_.:-", name[0]) != NULL)
		return false;
	for (size_t i = 0; i < len; i++)
		if (memchr(allowed, name[i], sizeof(allowed) - 1) == NULL)
			return false;
	return true;
}

Datum
zdu_is_name(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)));
}

void
zdu_check_name(const char *what, const char *name)
{
	if (is_name(name, strlen(name)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" cannot be the name of a %s", name, what),
			 errdetail("N11: a name has 1 to %d letters, digits and . _ - :, and begins with a letter or digit.", NAMEDATALEN - 1),
			 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_set_%s'", what)));
}

static void
no_such(const char *what, const char *name, const char *rule, const char *look)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" does not exist", what, name),
			 errdetail("%s: nothing was changed.", rule),
			 errhint("%s", look)));
}

/* Variables that the runbook requires must come from the cluster, or later from every node. */
static void
check_cluster_vars(ZduFacts *f)
{
	ZduRunbook *rb = f->runbook != NULL ? zdu_runbook_newest(f->runbook) : NULL;
	const char *missing = rb != NULL ? zdu_runbook_missing(rb, zdu_vars_load(f, 0)) : NULL;

	if (missing != NULL)
		ereport(NOTICE,
				(errmsg("runbook \"%s\" requires the variable \"%s\": every node has to give it", f->runbook, missing)));
}

Datum
zdu_set_cluster(PG_FUNCTION_ARGS)
{
	char	   *name = zdu_arg_required(fcinfo, 0, "name");
	char	   *policy = zdu_arg_text(fcinfo, 1);
	char	   *runbook = zdu_arg_text(fcinfo, 2);
	Jsonb	   *vars = zdu_arg_jsonb(fcinfo, 3);
	char	   *product = zdu_arg_text(fcinfo, 4);
	char	   *owner = zdu_arg_text(fcinfo, 5);
	const char *result = "unchanged";
	ZduCall		call;

	zdu_call_begin(&call, "zdu_set_cluster", NULL);
	zdu_check_name("cluster", name);
	call.cluster = name;
	zdu_instance_init();
	if (policy != NULL && zdu_run(&policy_exists, (ZduArg[]) {zdu_text(policy)}) == 0)
		no_such("policy", policy, "W1", "SELECT name FROM zdu.current_policy");
	if (runbook != NULL && zdu_runbook_newest(runbook) == NULL)
		no_such("runbook", runbook, "W1", "SELECT DISTINCT name FROM zdu.runbook");
	if (owner != NULL)
		zdu_check_role(owner, "owner");
	if (vars != NULL)
		zdu_vars_check(psprintf("cluster \"%s\"", name), vars);

	if (zdu_run(&insert_cluster, (ZduArg[]) {
			zdu_text(name), zdu_text(product), zdu_text(owner != NULL ? owner : GetUserNameFromId(call.session.caller, false))
		}) > 0)
		result = "created";
	call.f = zdu_facts_locked(name);
	if (policy != NULL)
		zdu_protect_keep_cluster(call.f, policy);
	if (zdu_run(&change_cluster, (ZduArg[]) {
			zdu_int8(call.f->cluster_id), zdu_text(policy), zdu_text(runbook), zdu_jsonb(vars), zdu_text(product), zdu_text(owner)
		}) > 0 && strcmp(result, "created") != 0)
		result = "changed";
	if (strcmp(result, "unchanged") != 0)
	{
		zdu_event_note(NULL, "set", NULL, result, NULL, NULL);
		call.f = zdu_facts_load(name);
		check_cluster_vars(call.f);
		zdu_call_end(&call);
	}
	else
		zdu_leave(&call.session);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

static char *
node_group(int64 node_id)
{
	zdu_run(&group_of_node, (ZduArg[]) {zdu_int8(node_id)});
	return zdu_first_text();
}

Datum
zdu_set_node(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *group = zdu_arg_text(fcinfo, 3);
	Jsonb	   *vars = zdu_arg_jsonb(fcinfo, 7);
	char	   *login = zdu_arg_text(fcinfo, 8);
	const char *result = "unchanged";
	ZduCall		call;
	ZduNode    *node;

	zdu_call_begin(&call, "zdu_set_node", cluster);
	zdu_check_name("node", name);
	if (login != NULL)
		zdu_check_role(login, "login");
	if (vars != NULL)
		zdu_vars_check(psprintf("node \"%s\"", name), vars);
	if (group != NULL && zdu_run(&group_exists, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(group)}) == 0)
		no_such("group", group, "N11", psprintf("SELECT zdu_set_group('%s', '%s')", cluster, group));
	node = zdu_node_load(call.f->cluster_id, name);
	if (node == NULL)
	{
		node = zdu_node_insert(call.f, name, NODE_OFFLINE);
		result = "created";
	}
	else if (group != NULL && strcmp(group, node_group(node->id)) != 0)
		zdu_check_group_change(call.f);
	if (zdu_run(&change_node, (ZduArg[]) {
			zdu_int8(node->id), zdu_text(zdu_arg_text(fcinfo, 2)), zdu_text(group), zdu_text(zdu_arg_text(fcinfo, 4)),
			zdu_text(zdu_arg_text(fcinfo, 5)), zdu_jsonb(zdu_arg_jsonb(fcinfo, 6)), zdu_jsonb(vars), zdu_text(login)
		}) > 0 && strcmp(result, "created") != 0)
		result = "changed";
	if (strcmp(result, "unchanged") != 0)
	{
		zdu_budgets_settle(call.f, node->id);
		zdu_event_note(name, "set", NULL, result, NULL, NULL);
		/* A worker that observes should look at it soon. */
		zdu_set_work_waits(call.f, true);
		zdu_notify();
		zdu_call_end(&call);
	}
	else
		zdu_leave(&call.session);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_remove_node(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "node");
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduNode    *node;

	zdu_call_begin(&call, "zdu_remove_node", cluster);
	node = zdu_node_known(call.f, name);
	if (zdu_steps_open(call.f, node->id) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot remove node \"%s\" of cluster \"%s\"", name, cluster),
				 errdetail("L16: a step is in flight on it."),
				 errhint("SELECT zdu_rollback('%s', node => '%s')", cluster, name)));
	if (call.f->upgrade_id != 0 && node->state == NODE_ACTIVE && node->in_rotation && call.f->serving <= 1)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cannot remove node \"%s\" of cluster \"%s\"", name, cluster),
				 errdetail("D14: it is the last node that serves."),
				 errhint("SELECT * FROM zdu.node_status WHERE cluster = '%s'", cluster)));
	if (node->taken && call.f->failures > 0)
		zdu_upgrade_set_failures(call.f, call.f->failures - 1);
	zdu_event_note(name, "node", zdu_state_name(ZDU_NODE, node->state), "removed", "L8", reason);
	zdu_nodes_remove(call.f, &node->id, 1);
	zdu_set_work_waits(call.f, true);
	zdu_notify();
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("removed"));
}

static void
refuse_shipped(const char *what, const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s \"%s\" is a shipped one and cannot be changed", what, name),
			 errdetail("W1: it comes with zdu and changes with its versions."),
			 errhint("%s", hint)));
}

Datum
zdu_set_runbook(PG_FUNCTION_ARGS)
{
	char	   *name = zdu_arg_required(fcinfo, 0, "name");
	Jsonb	   *document = zdu_arg_jsonb(fcinfo, 1);
	ZduCall		call;
	ZduReader	r;
	int			revision;

	(void) zdu_arg_required(fcinfo, 1, "document");
	zdu_call_begin(&call, "zdu_set_runbook", NULL);
	zdu_check_name("runbook", name);
	if (zdu_run(&is_shipped, (ZduArg[]) {zdu_text(name)}) > 0)
		refuse_shipped("runbook", name, psprintf("SELECT zdu_set_runbook('%s-own', document) FROM zdu.runbook WHERE name = '%s'", name, name));
	zdu_runbook_check(name, document);
	zdu_run(&lock_runbook, (ZduArg[]) {zdu_text(name)});
	zdu_run(&insert_runbook, (ZduArg[]) {zdu_text(name), zdu_jsonb(document)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		elog(ERROR, "runbook \"%s\" was not stored", name);
	revision = zdu_read_int4(&r);
	zdu_event_note(NULL, "runbook", NULL, psprintf("%s revision %d", name, revision), "W1", NULL);
	zdu_call_end(&call);
	PG_RETURN_INT32(revision);
}

/* What the columns' types and CHECKs refuse gets a rule and a remedy. */
static void
explain_policy(void *arg)
{
	errdetail("W1: a setting is out of its range, or two of them make no sense together; nothing was changed.");
	errhint("SELECT * FROM zdu.current_policy WHERE name = 'default'");
}

/* Stores a policy of one's own; its CHECKs decide whether it makes sense. */
static const char *
store_policy(const char *name, const char *based_on, Jsonb *settings)
{
	ZduReader	r;
	Jsonb	   *wanted;
	Jsonb	   *old;
	ErrorContextCallback explain = {error_context_stack, explain_policy, NULL};

	zdu_run(&lock_policy, (ZduArg[]) {zdu_text(name)});
	error_context_stack = &explain;
	zdu_run(&wanted_policy, (ZduArg[]) {zdu_text(name), zdu_text(based_on), zdu_jsonb(settings)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		elog(ERROR, "policy \"%s\" has nothing to be based on", name);
	wanted = zdu_read_jsonb(&r);
	old = zdu_read_jsonb(&r);
	if (old == NULL || compareJsonbContainers(&wanted->root, &old->root) != 0)
	{
		error_context_stack = explain.previous;
		zdu_protect_keep_policy(name, wanted);
		error_context_stack = &explain;
		zdu_run(&delete_policy, (ZduArg[]) {zdu_text(name)});
		zdu_run(&insert_policy, (ZduArg[]) {zdu_jsonb(wanted)});
	}
	error_context_stack = explain.previous;
	if (old != NULL && compareJsonbContainers(&wanted->root, &old->root) == 0)
		return "unchanged";
	return old == NULL ? "created" : "changed";
}

Datum
zdu_set_policy(PG_FUNCTION_ARGS)
{
	char	   *name = zdu_arg_required(fcinfo, 0, "name");
	char	   *based_on = zdu_arg_text(fcinfo, 1);
	Jsonb	   *settings = zdu_arg_jsonb(fcinfo, 2);
	ZduCall		call;
	const char *result;

	zdu_call_begin(&call, "zdu_set_policy", NULL);
	zdu_check_name("policy", name);
	if (zdu_run(&is_shipped_policy, (ZduArg[]) {zdu_text(name)}) > 0)
		refuse_shipped("policy", name, psprintf("SELECT zdu_set_policy('%s-own', based_on => '%s')", name, name));
	if (based_on != NULL && zdu_run(&policy_exists, (ZduArg[]) {zdu_text(based_on)}) == 0)
		no_such("policy", based_on, "W1", "SELECT name FROM zdu.current_policy");
	if (settings != NULL && JB_ROOT_IS_OBJECT(settings) && zdu_run(&unknown_setting, (ZduArg[]) {zdu_jsonb(settings)}) > 0)
	{
		ZduReader	r = zdu_reader();

		(void) zdu_next_row(&r);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("policy \"%s\" has no setting \"%s\"", name, zdu_read_text(&r)),
				 errdetail("W1: nothing was changed."),
				 errhint("SELECT * FROM zdu.current_policy WHERE name = 'default'")));
	}
	if (settings != NULL && !JB_ROOT_IS_OBJECT(settings))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the settings of policy \"%s\" are not a JSON object", name),
				 errdetail("W1: nothing was changed."),
				 errhint("SELECT zdu_set_policy('%s', settings => '{\"max_unavailable\": \"33%%\"}')", name)));
	result = store_policy(name, based_on, settings);
	if (strcmp(result, "unchanged") != 0)
		zdu_event_note(NULL, "policy", NULL, psprintf("%s %s", name, result), "W1", NULL);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
