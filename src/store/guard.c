/*
 * guard.c
 *	  Guards: what is looked at all through an upgrade.
 */
#include "store/guard.h"

#include "catalog/pg_type.h"
#include "store/args.h"
#include "store/document.h"
#include "store/vars.h"
#include "store/watch.h"
#include "utils/builtins.h"

#define GUARD_TIMEOUT 5.0

/*
 * Who stays untouched longest is looked at; as an upgrade begins, some of
 * every kind of node.  Only nodes that serve: of others it is known already
 * that they do not.
 */
static ZduQuery nodes_at_first = {
	.text =
	"SELECT node_id FROM (SELECT n.node_id, n.turn, row_number() OVER (PARTITION BY n.node_group, n.zone, n.role ORDER BY n.turn DESC) AS nth "
	"  FROM zdu.node n WHERE n.cluster_id = $1 AND n.turn IS NOT NULL AND NOT n.taken AND NOT n.away) k ORDER BY nth, turn DESC LIMIT $2",
	.nargs = 2, .argtypes = {INT8OID, INT4OID}
};

static ZduQuery nodes_later = {
	.text =
	"SELECT n.node_id FROM zdu.node n WHERE n.cluster_id = $1 AND n.turn IS NOT NULL AND NOT n.taken AND NOT n.away AND n.heading = 'forward' "
	"AND NOT EXISTS (SELECT FROM zdu.watch w WHERE w.node_id = n.node_id AND w.upgrade_id = $3 AND w.kind = 'guard' AND w.name = $4) "
	"ORDER BY n.turn DESC "
	"LIMIT $2 - (SELECT count(*) FROM zdu.watch w WHERE w.cluster_id = $1 AND w.upgrade_id = $3 AND w.kind = 'guard' AND w.name = $4)",
	.nargs = 4, .argtypes = {INT8OID, INT4OID, INT8OID, TEXTOID}
};

static ZduQuery let_go = {
	.text =
	"DELETE FROM zdu.watch w USING zdu.node n WHERE w.cluster_id = $1 AND w.upgrade_id = $2 AND w.kind = 'guard' "
	"AND n.node_id = w.node_id AND n.taken",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery disarm = {
	.text = "UPDATE zdu.watch SET armed = false, failed = 0 WHERE cluster_id = $1 AND upgrade_id = $2 AND kind = 'guard'",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* True for a variable that the cluster as a whole does not have. */
static bool
is_of_nodes(const char *name, int len, void *vars)
{
	return zdu_var_value(vars, name, len, 0) != NULL;
}

/* Is the guard asked of nodes, rather than of the service? */
static bool
asks_nodes(JsonbContainer *guard, Jsonb *vars)
{
	JsonbIterator *it = JsonbIteratorInit(guard);
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		query = zdu_get(guard, "sql") != NULL;
	bool		is_sql = false;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		/* SQL takes no variables: braces there are the statement's own. */
		if (token == WJB_KEY)
			is_sql = query && v.val.string.len == 3 && strncmp(v.val.string.val, "sql", 3) == 0;
		else if ((token == WJB_VALUE || token == WJB_ELEM) && v.type == jbvString && !is_sql &&
				 !zdu_vars_each(v.val.string.val, v.val.string.len, is_of_nodes, vars))
			return true;
	}
	return false;
}

/* Makes one guard: of a node, or (id 0) of the service. */
static void
make_guard(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id, JsonbContainer *guard, const char *name, int64 node_id, bool at_first)
{
	char	   *error = NULL;
	ZduFrame	frame = {
		.vars = zdu_vars_load(f, node_id), .every = 1, .phase = "guard", .direction = "forward",
		.timeout = zdu_get_duration(guard, "timeout", GUARD_TIMEOUT)
	};
	Jsonb	   *look = zdu_args_make(zdu_args_spec(guard), &frame, &error);

	if (look == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of runbook \"%s\" cannot be used for cluster \"%s\"", name, rb->name, f->name),
				 errdetail("W1: %s.", error),
				 errhint("SELECT zdu_set_cluster('%s', vars => '{...}')", f->name)));
	(void) zdu_watch_insert(f, &(ZduNewWatch) {
		.kind = "guard", .name = name, .upgrade_id = upgrade_id, .node_id = node_id, .look = look,
		.until = zdu_get_text(guard, "until"), .vars = frame.vars, .every = zdu_get_duration(guard, "every", 1),
		.failures = Max(zdu_get_number(guard, "failures", 3), 1), .baseline = at_first
	});
}

/* Makes the guards of the runbook, or those of further nodes; the first is "guard 0". */
static void
make_guards(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id, bool at_first)
{
	JsonbValue *guards = zdu_get(&rb->document->root, "guard");
	Jsonb	   *vars = guards == NULL ? NULL : zdu_vars_load(f, 0);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;
	int			ord = 0;

	if (guards == NULL)
		return;
	it = JsonbIteratorInit(guards->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		char	   *name;
		ZduReader	r;

		if (token != WJB_ELEM)
			continue;
		name = psprintf("guard %d", ord++);
		if (!asks_nodes(e.val.binary.data, vars))
		{
			if (at_first)
				make_guard(rb, f, upgrade_id, e.val.binary.data, name, 0, true);
			continue;
		}
		zdu_run(at_first ? &nodes_at_first : &nodes_later, (ZduArg[]) {
			zdu_int8(f->cluster_id), zdu_int4(ZDU_GUARD_SAMPLE), zdu_int8(upgrade_id), zdu_text(name)
		});
		r = zdu_reader();
		while (zdu_next_row(&r))
			make_guard(rb, f, upgrade_id, e.val.binary.data, name, zdu_read_int8(&r), at_first);
	}
}

void
zdu_guards_make(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id)
{
	make_guards(rb, f, upgrade_id, true);
}

void
zdu_guards_follow(const ZduRunbook *rb, const ZduFacts *f)
{
	if (zdu_run(&let_go, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id)}) > 0)
		make_guards(rb, f, f->upgrade_id, false);
}

void
zdu_guards_disarm(const ZduFacts *f)
{
	zdu_run(&disarm, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id)});
}
