/*
 * asset.c
 *	  The folder of what a node's version ships (M4).
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_asset);

/* The folder of an old version is beside that of the new one. */
static ZduQuery asset_of_node = {
	.text =
	"SELECT n.name IS NOT NULL, CASE WHEN o.version IS NULL THEN b.folder ELSE regexp_replace(b.folder, '[^/]*$', '') || 'UpgradeFrom' || o.version END "
	"FROM zdu.cluster c LEFT JOIN zdu.node n ON n.cluster_id = c.cluster_id AND n.name = $2 "
	"CROSS JOIN LATERAL (SELECT coalesce(nullif(rtrim(coalesce(n.vars->>'assets', c.vars->>'assets'), '/'), ''), 'Web') AS folder) b "
	"CROSS JOIN LATERAL (SELECT CASE WHEN n.fenced THEN n.version WHEN n.version IS NULL OR n.version = c.original THEN c.original END::text AS version) o "
	"WHERE c.name = $1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

Datum
zdu_asset(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *node = zdu_arg_required(fcinfo, 1, "node");
	ZduCall		call;
	ZduReader	r;
	bool		known;
	char	   *folder;

	zdu_call_look(&call, "zdu_asset", NULL);
	zdu_run(&asset_of_node, (ZduArg[]) {zdu_text(cluster), zdu_text(node)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		zdu_no_such_cluster(cluster);
	known = zdu_read_bool(&r);
	folder = pstrdup(zdu_read_text(&r));
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" of cluster \"%s\" does not exist", node, cluster),
				 errdetail("M4: a node is registered by zdu_set_node or zdu_join."),
				 errhint("SELECT verdict FROM zdu_join('%s', '%s', '...')", cluster, node)));
	zdu_leave(&call.session);
	PG_RETURN_TEXT_P(cstring_to_text(folder));
}
