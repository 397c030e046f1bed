/*
 * placement.c
 *	  What there are copies of, and where: set, drop, load.
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/event.h"
#include "store/health.h"
#include "store/node.h"
#include "store/placement.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_set_resource);
PG_FUNCTION_INFO_V1(zdu_drop_resource);
PG_FUNCTION_INFO_V1(zdu_set_placement);
PG_FUNCTION_INFO_V1(zdu_drop_placement);
PG_FUNCTION_INFO_V1(zdu_load_placements);

static ZduQuery upsert_resource = {
	.text =
	"INSERT INTO zdu.resource AS r (cluster_id, name, replicas, since, since_listened) VALUES ($1, $2, coalesce($3, '0'), $4, $5) "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET replicas = $3 WHERE $3 IS NOT NULL AND r.replicas <> $3 RETURNING xmax = 0",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery is_replicas = {
	.text = "SELECT 1 WHERE $1 ~ '^[0-9]{1,3}(-([0-9]{1,3}|all))?$'",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery resource_exists = {
	.text = "SELECT 1 FROM zdu.resource WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery delete_resource = {
	.text = "DELETE FROM zdu.resource WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery upsert_placement = {
	.text =
	"INSERT INTO zdu.placement AS p (cluster_id, resource, node_id, kind, state) "
	"VALUES ($1, $2, $3, coalesce($4, 'replica'), coalesce($5, 'active')) "
	"ON CONFLICT (cluster_id, resource, node_id) DO UPDATE SET kind = coalesce($4, p.kind), state = coalesce($5, p.state) "
	"WHERE p.kind <> coalesce($4, p.kind) OR p.state <> coalesce($5, p.state) RETURNING xmax = 0",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery delete_placement = {
	.text = "DELETE FROM zdu.placement WHERE cluster_id = $1 AND resource = $2 AND node_id = $3",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, INT8OID}
};

static void
refuse(const char *cluster, const char *what, const char *wrong)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of cluster \"%s\" makes no sense", what, cluster),
			 errdetail("D3: %s.", wrong),
			 errhint("SELECT name, usage FROM zdu.help WHERE name LIKE 'zdu\\_%%placement%%' OR name LIKE 'zdu\\_%%resource'")));
}

static void
no_such_resource(const ZduFacts *f, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("resource \"%s\" of cluster \"%s\" does not exist", name, f->name),
			 errdetail("D3: nothing was changed."),
			 errhint("SELECT zdu_set_resource('%s', '%s', '1')", f->name, name)));
}

/* A word out of a few, or NULL. */
static void
check_word(const char *cluster, const char *what, const char *word, const char *const *words)
{
	if (word == NULL)
		return;
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return;
	refuse(cluster, psprintf("the %s \"%s\" of a copy", what, word), psprintf("there is no such %s", what));
}

/* Returns what an upsert has done, in a word. */
static const char *
told(uint64 rows)
{
	ZduReader	r = zdu_reader();

	if (rows == 0)
		return "unchanged";
	(void) zdu_next_row(&r);
	return zdu_read_bool(&r) ? "created" : "changed";
}

/* What changed may let a node be taken that had to wait, or go on that drains. */
static void
take_effect(ZduFacts *f, const char *node, const char *resource, const char *result)
{
	if (resource != NULL)
		zdu_health_settle_one(f, resource);
	zdu_event_note(node, "copies", NULL, result, "D4", NULL);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

Datum
zdu_set_resource(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *replicas = zdu_arg_text(fcinfo, 2);
	const char *result;
	ZduCall		call;

	zdu_call_begin(&call, "zdu_set_resource", cluster);
	if (name[0] == '\0' || strlen(name) > 500)
		refuse(cluster, "a resource", "its name has 1 to 500 characters");
	if (replicas != NULL && zdu_run(&is_replicas, (ZduArg[]) {zdu_text(replicas)}) == 0)
		refuse(cluster, psprintf("resource \"%s\"", name),
			   psprintf("replicas is \"%s\", neither a number nor a range such as 0-1 or 0-all", replicas));
	result = told(zdu_run(&upsert_resource, (ZduArg[]) {
		zdu_int8(call.f->cluster_id), zdu_text(name), zdu_text(replicas), zdu_time(zdu_now()), zdu_float8(call.f->listened)
	}));
	if (strcmp(result, "unchanged") != 0)
		take_effect(call.f, NULL, name, psprintf("%s %s", name, result));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_resource(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_resource", cluster);
	if (zdu_run(&delete_resource, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		no_such_resource(call.f, name);
	take_effect(call.f, NULL, name, psprintf("%s dropped", name));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}

Datum
zdu_set_placement(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"primary", "replica", NULL};
	static const char *const states[] = {"active", "moving", "building", "failed", NULL};
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *resource = zdu_arg_required(fcinfo, 1, "resource");
	char	   *node = zdu_arg_required(fcinfo, 2, "node");
	char	   *kind = zdu_arg_text(fcinfo, 3);
	char	   *state = zdu_arg_text(fcinfo, 4);
	const char *result;
	ZduCall		call;

	zdu_call_begin(&call, "zdu_set_placement", cluster);
	check_word(cluster, "kind", kind, kinds);
	check_word(cluster, "state", state, states);
	if (zdu_run(&resource_exists, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(resource)}) == 0)
		no_such_resource(call.f, resource);
	result = told(zdu_run(&upsert_placement, (ZduArg[]) {
		zdu_int8(call.f->cluster_id), zdu_text(resource), zdu_int8(zdu_node_known(call.f, node)->id), zdu_text(kind), zdu_text(state)
	}));
	if (strcmp(result, "unchanged") != 0)
		take_effect(call.f, node, resource, psprintf("%s %s", resource, result));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_placement(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *resource = zdu_arg_required(fcinfo, 1, "resource");
	char	   *node = zdu_arg_required(fcinfo, 2, "node");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_placement", cluster);
	if (zdu_run(&delete_placement, (ZduArg[]) {
			zdu_int8(call.f->cluster_id), zdu_text(resource), zdu_int8(zdu_node_known(call.f, node)->id)
		}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" of cluster \"%s\" has no copy of \"%s\"", node, cluster, resource),
				 errdetail("D3: nothing was changed."),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_set_placement'")));
	take_effect(call.f, node, resource, psprintf("%s dropped", resource));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}

Datum
zdu_load_placements(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	Jsonb	   *copies = zdu_arg_jsonb(fcinfo, 1);
	char	   *wrong;
	int			written;
	ZduCall		call;

	if (copies == NULL)
		(void) zdu_arg_required(fcinfo, 1, "copies");
	zdu_call_begin(&call, "zdu_load_placements", cluster);
	wrong = zdu_placements_wrong(copies);
	if (wrong != NULL)
		refuse(cluster, "the list of copies", wrong);
	written = zdu_placements_load(call.f, copies);
	if (written > 0)
		take_effect(call.f, NULL, NULL, psprintf("%d rows written", written));
	zdu_call_end(&call);
	PG_RETURN_INT32(written);
}
