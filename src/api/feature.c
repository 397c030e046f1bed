/*
 * feature.c
 *	  Features of a new version, off until no old node is left (S4).
 *
 * Which are on stands in the cluster's row: nodes ask often, and all of them
 * see the change in the same moment.
 */
#include "api/feature.h"

#include "api/api.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "fmgr.h"
#include "store/event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_feature);
PG_FUNCTION_INFO_V1(zdu_drop_feature);
PG_FUNCTION_INFO_V1(zdu_feature);

static ZduQuery upsert_feature = {
	.text =
	"INSERT INTO zdu.feature AS f (cluster_id, name, since) VALUES ($1, $2, $3::zdu_version) "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET since = excluded.since WHERE f.since <> excluded.since RETURNING xmax = 0",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery delete_feature = {
	.text = "DELETE FROM zdu.feature WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/*
 * Those whose state is not what it should be.  A node that is only unheard
 * may run; where nobody knows what a running node runs, it may be the old one.
 * What is on stays on: data may be written by it already.
 */
static ZduQuery features_to_change = {
	.text =
	"SELECT x.name, x.wanted, x.since FROM "
	"(SELECT f.name, f.since::text AS since, f.name = ANY (c.features) AS is_on, "
	"   coalesce(f.since <= c.version, false) AND (f.name = ANY (c.features) OR NOT EXISTS "
	"     (SELECT FROM zdu.node_count k WHERE k.cluster_id = f.cluster_id AND k.n > 0 AND NOT k.confirmed "
	"      AND (k.version < f.since OR (k.version IS NULL AND k.state <> 'OFFLINE')))) AS wanted "
	" FROM zdu.feature f JOIN zdu.cluster c ON c.cluster_id = f.cluster_id WHERE f.cluster_id = $1) x "
	"WHERE x.wanted <> x.is_on ORDER BY x.name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery store_features = {
	.text =
	"UPDATE zdu.cluster c SET features = ARRAY(SELECT n FROM unnest(c.features || $2) AS n WHERE n <> ALL ($3) ORDER BY n) WHERE cluster_id = $1",
	.nargs = 3, .argtypes = {INT8OID, TEXTARRAYOID, TEXTARRAYOID}
};

static ZduQuery feature_is_on = {
	.text = "SELECT $2 = ANY (features) FROM zdu.cluster WHERE name = $1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

/* Notes one feature's change. */
static void
note(const char *name, bool on, const char *reason)
{
	zdu_event_note(NULL, "feature", psprintf("%s %s", name, on ? "off" : "on"), psprintf("%s %s", name, on ? "on" : "off"), "S4", reason);
}

void
zdu_features_settle(const ZduFacts *f)
{
	uint64		rows = zdu_run(&features_to_change, (ZduArg[]) {zdu_int8(f->cluster_id)});
	ZduReader	r = zdu_reader();
	char	  **on;
	char	  **off;
	int			non = 0;
	int			noff = 0;

	if (rows == 0)
		return;
	on = palloc(sizeof(char *) * rows);
	off = palloc(sizeof(char *) * rows);
	while (zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);
		bool		wanted = zdu_read_bool(&r);
		char	   *since = zdu_read_text(&r);

		if (wanted)
			on[non++] = name;
		else
			off[noff++] = name;
		note(name, wanted, wanted ? psprintf("no node below %s is left", since) : psprintf("the cluster is below %s", since));
	}
	zdu_run(&store_features, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text_array(on, non), zdu_text_array(off, noff)});
}

Datum
zdu_set_feature(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *since = zdu_arg_required(fcinfo, 2, "since");
	const char *result = "unchanged";
	ZduCall		call;
	ZduReader	r;

	zdu_version_check(since);
	zdu_call_begin(&call, "zdu_set_feature", cluster);
	zdu_check_name("feature", name);
	zdu_run(&upsert_feature, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name), zdu_text(since)});
	r = zdu_reader();
	if (zdu_next_row(&r))
		result = zdu_read_bool(&r) ? "created" : "changed";
	if (strcmp(result, "unchanged") != 0)
	{
		zdu_event_note(NULL, "set", NULL, psprintf("feature %s since %s %s", name, since, result), "S4", NULL);
		zdu_features_settle(call.f);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_feature(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_feature", cluster);
	if (zdu_run(&delete_feature, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature \"%s\" of cluster \"%s\" does not exist", name, cluster),
				 errdetail("S4: nothing was changed."),
				 errhint("SELECT feature FROM zdu.feature_status WHERE cluster = '%s'", cluster)));
	zdu_run(&store_features, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text_array(NULL, 0), zdu_text_array(&name, 1)});
	note(name, false, "dropped");
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}

Datum
zdu_feature(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	ZduCall		call;
	ZduReader	r;
	bool		on;

	zdu_call_look(&call, "zdu_feature", NULL);
	zdu_run(&feature_is_on, (ZduArg[]) {zdu_text(cluster), zdu_text(name)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		zdu_no_such_cluster(cluster);
	on = zdu_read_bool(&r);
	zdu_leave(&call.session);
	PG_RETURN_BOOL(on);
}
