/*
 * fleet.c
 *	  Clusters that are upgraded after others.
 */
#include "api/api.h"

#include "api/version.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_dependency);
PG_FUNCTION_INFO_V1(zdu_drop_dependency);

static ZduQuery upsert_dependency = {
	.text =
	"INSERT INTO zdu.dependency AS d (cluster_id, after_id, version) SELECT $1, o.cluster_id, $3 FROM zdu.cluster o WHERE o.name = $2 "
	"ON CONFLICT (cluster_id, after_id) DO UPDATE SET version = excluded.version WHERE d.version IS DISTINCT FROM excluded.version "
	"RETURNING xmax = 0",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery delete_dependency = {
	.text = "DELETE FROM zdu.dependency d USING zdu.cluster o WHERE d.cluster_id = $1 AND o.name = $2 AND d.after_id = o.cluster_id",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery known_cluster = {
	.text = "SELECT 1 FROM zdu.cluster WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

/* Does the other one come after this one already, by whatever way? */
static ZduQuery circle = {
	.text =
	"WITH RECURSIVE later(cluster_id) AS (SELECT $1 UNION SELECT d.cluster_id FROM later l JOIN zdu.dependency d ON d.after_id = l.cluster_id) "
	"SELECT 1 FROM later l JOIN zdu.cluster o ON o.cluster_id = l.cluster_id WHERE o.name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

Datum
zdu_set_dependency(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *after = zdu_arg_required(fcinfo, 1, "after_cluster");
	char	   *version = zdu_arg_text(fcinfo, 2);
	const char *result = "unchanged";
	ZduCall		call;
	ZduReader	r;

	if (version != NULL && strcmp(version, "target") != 0)
		zdu_version_check(version);
	zdu_call_begin(&call, "zdu_set_dependency", cluster);
	if (zdu_run(&known_cluster, (ZduArg[]) {zdu_text(after)}) == 0)
		zdu_no_such_cluster(after);
	/* Two at once, of which each sees no circle, must not make one: what is committed by now counts, whatever the caller's snapshot. */
	zdu_utility("LOCK TABLE zdu.dependency IN SHARE ROW EXCLUSIVE MODE");
	if (zdu_look_latest(&circle, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(after)}) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cluster \"%s\" cannot come after \"%s\"", cluster, after),
				 errdetail("M8: \"%s\" comes after \"%s\", and both would wait for ever.", after, cluster),
				 errhint("SELECT stage, cluster, after FROM zdu.fleet")));
	zdu_run(&upsert_dependency, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(after), zdu_text(version)});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		result = zdu_read_bool(&r) ? "created" : "changed";
		zdu_event_note(NULL, "dependency", NULL, psprintf("after %s%s%s", after, version != NULL ? " at " : "", version != NULL ? version : ""), "M8", result);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_dependency(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *after = zdu_arg_required(fcinfo, 1, "after_cluster");
	ZduCall		call;

	zdu_call_begin(&call, "zdu_drop_dependency", cluster);
	if (zdu_run(&delete_dependency, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(after)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cluster \"%s\" does not come after \"%s\"", cluster, after),
				 errdetail("M8: nothing was changed."),
				 errhint("SELECT stage, cluster, after FROM zdu.fleet")));
	zdu_event_note(NULL, "dependency", psprintf("after %s", after), "dropped", "M8", NULL);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}
