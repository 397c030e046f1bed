/*
 * budget.c
 *	  set_budget, drop_budget.
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/budget.h"
#include "store/event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_budget);
PG_FUNCTION_INFO_V1(zdu_drop_budget);

/* What is wrong with it, in words; NULL: nothing.  Whether signatures change: what every node falls under stands in none.  What NULL keeps is filled in first. */
static ZduQuery wanted_budget = {
	.text =
	"WITH w AS (SELECT coalesce($3, b.selector, '{}') <> coalesce(b.selector, '{}') AS settles, coalesce($3, b.selector, '{}') AS selector, coalesce($4, b.max_unavailable) AS max_unavailable, "
	"    coalesce($5, b.max_begun) AS max_begun, coalesce($6, b.per_interval) AS per_interval, coalesce($7, b.max_failures) AS max_failures "
	"  FROM (VALUES (1)) AS one LEFT JOIN zdu.budget b ON b.cluster_id = $1 AND b.name = $2) "
	"SELECT CASE WHEN jsonb_typeof(selector) <> 'object' THEN 'the selector is not an object' "
	"  WHEN selector - '{group,zone,role,label}'::text[] <> '{}' THEN "
	"    format('the selector has the key \"%s\", it may have group, zone, role and label', "
	"           (SELECT min(k) FROM jsonb_object_keys(selector - '{group,zone,role,label}'::text[]) AS k)) "
	"  WHEN EXISTS (SELECT FROM jsonb_each(selector) AS e WHERE jsonb_typeof(e.value) <> CASE e.key WHEN 'label' THEN 'object' ELSE 'string' END) "
	"    THEN 'in a selector group, zone and role are texts, label is an object' "
	"  WHEN max_unavailable !~ '^([1-9][0-9]{0,5}|[1-9][0-9]?%|100%)$' THEN "
	"    format('max_unavailable is \"%s\", neither a number from 1 on nor a share from 1%% to 100%%', max_unavailable) "
	"  WHEN (max_begun IS NULL) <> (per_interval IS NULL) THEN 'max_begun and per_interval are given together' "
	"  WHEN max_begun < 1 OR per_interval <= '0' THEN 'max_begun and per_interval are above 0' "
	"  WHEN max_failures < 0 THEN 'max_failures is not below 0' "
	"  WHEN num_nonnulls(max_unavailable, max_begun, max_failures) = 0 THEN 'it has no limit' END, settles "
	"FROM w",
	.nargs = 7, .argtypes = {INT8OID, TEXTOID, JSONBOID, TEXTOID, INT4OID, INTERVALOID, INT4OID}
};

static ZduQuery upsert_budget = {
	.text =
	"INSERT INTO zdu.budget AS b (cluster_id, name, selector, max_unavailable, max_begun, per_interval, max_failures) "
	"SELECT $1, $2, coalesce($3, k.selector, '{}'), coalesce($4, k.max_unavailable), coalesce($5, k.max_begun), coalesce($6, k.per_interval), "
	"  coalesce($7, k.max_failures) FROM (VALUES (1)) AS one LEFT JOIN zdu.budget k ON k.cluster_id = $1 AND k.name = $2 "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET selector = excluded.selector, max_unavailable = excluded.max_unavailable, "
	"  max_begun = excluded.max_begun, per_interval = excluded.per_interval, max_failures = excluded.max_failures "
	"WHERE (b.selector, b.max_unavailable, b.max_begun, b.per_interval, b.max_failures) IS DISTINCT FROM "
	"  (excluded.selector, excluded.max_unavailable, excluded.max_begun, excluded.per_interval, excluded.max_failures) "
	"RETURNING xmax = 0",
	.nargs = 7, .argtypes = {INT8OID, TEXTOID, JSONBOID, TEXTOID, INT4OID, INTERVALOID, INT4OID}
};

static ZduQuery delete_budget = {
	.text = "DELETE FROM zdu.budget WHERE cluster_id = $1 AND name = $2 RETURNING selector <> '{}'",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* How many nodes fall under it. */
static ZduQuery meant_nodes = {
	.text =
	"SELECT coalesce(sum(k.n), 0) FROM zdu.budget b JOIN zdu.node_count k ON k.cluster_id = b.cluster_id AND (b.selector = '{}' OR b.budget_id = ANY (k.budgets)) "
	"WHERE b.cluster_id = $1 AND b.name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* What changed may let a node be taken that had to wait. */
static void
take_effect(ZduFacts *f, const char *name, const char *result, bool settles)
{
	if (settles)
		zdu_budgets_settle(f, 0);
	zdu_event_note(NULL, "budget", NULL, psprintf("%s %s", name, result), "D11", NULL);
	zdu_set_work_waits(f, true);
	zdu_notify();
}

Datum
zdu_set_budget(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	const char *result = "unchanged";
	ZduCall		call;
	ZduArg		row[7];
	ZduReader	r;
	char	   *wrong;
	bool		settles;

	zdu_call_begin(&call, "zdu_set_budget", cluster);
	zdu_check_name("budget", name);
	row[0] = zdu_int8(call.f->cluster_id);
	row[1] = zdu_text(name);
	for (int i = 2; i < lengthof(row); i++)
		row[i] = zdu_datum(PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i), PG_ARGISNULL(i));
	zdu_run(&wanted_budget, row);
	r = zdu_reader();
	(void) zdu_next_row(&r);
	wrong = zdu_read_text(&r);
	settles = zdu_read_bool(&r);
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("budget \"%s\" of cluster \"%s\" makes no sense", name, cluster),
				 errdetail("D11: %s.", wrong),
				 errhint("SELECT zdu_set_budget('%s', '%s', '{\"zone\": \"a\"}', max_unavailable => '1')", cluster, name)));
	if (zdu_run(&upsert_budget, row) > 0)
	{
		r = zdu_reader();
		(void) zdu_next_row(&r);
		result = zdu_read_bool(&r) ? "created" : "changed";
		take_effect(call.f, name, result, settles);
		zdu_run(&meant_nodes, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)});
		if (strcmp(zdu_first_text(), "0") == 0)
			ereport(NOTICE, (errmsg("no node of cluster \"%s\" falls under budget \"%s\" yet", cluster, name)));
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_budget(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;
	ZduReader	r;

	zdu_call_begin(&call, "zdu_drop_budget", cluster);
	if (zdu_run(&delete_budget, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("budget \"%s\" of cluster \"%s\" does not exist", name, cluster),
				 errdetail("D11: nothing was changed."),
				 errhint("SELECT b.name FROM zdu.budget b JOIN zdu.cluster c USING (cluster_id) WHERE c.name = '%s'", cluster)));
	r = zdu_reader();
	(void) zdu_next_row(&r);
	take_effect(call.f, name, "dropped", zdu_read_bool(&r));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}
