/*
 * log.c
 *	  What actions printed, and what was seen.
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "store/node.h"

PG_FUNCTION_INFO_V1(zdu_log);

static ZduQuery log_lines = {
	.text =
	"SELECT * FROM (SELECT coalesce(s.ended_at, s.started_at), n.name, s.title, s.attempt, l.line "
	"  FROM zdu.step s LEFT JOIN zdu.node n ON n.node_id = s.node_id JOIN zdu.cluster c ON c.cluster_id = s.cluster_id "
	"  CROSS JOIN LATERAL (SELECT t.line, t.ord FROM string_to_table(rtrim(s.log, E'\\n'), E'\\n') WITH ORDINALITY AS t(line, ord) "
	"    UNION ALL SELECT 'saw ' || s.evidence::text, 1000000 WHERE s.state IN ('failed', 'cancelled') OR s.log IS NOT NULL) l "
	"  WHERE c.name = $1 AND s.started_at IS NOT NULL AND ($2::text IS NULL OR n.name = $2) "
	"  ORDER BY s.started_at DESC, s.step_id DESC, l.ord DESC LIMIT $3) x(at, node, step, attempt, line) ",
	.nargs = 3, .argtypes = {TEXTOID, TEXTOID, INT8OID}
};

Datum
zdu_log(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *node = zdu_arg_text(fcinfo, 1);
	ZduCall		call;
	ZduReader	r;
	uint64		rows;
	const char **cells;
	uint64		n = 0;

	InitMaterializedSRF(fcinfo, 0);
	zdu_call_look(&call, "zdu_log", cluster);
	if (call.f == NULL)
		zdu_no_such_cluster(cluster);
	if (node != NULL)
		(void) zdu_node_known(call.f, node);
	rows = zdu_run(&log_lines, (ZduArg[]) {
		zdu_text(cluster), zdu_text(node), PG_ARGISNULL(2) ? zdu_null() : zdu_int8(PG_GETARG_INT32(2))
	});
	cells = palloc(sizeof(char *) * 5 * (rows + 1));
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		for (int c = 0; c < 5; c++)
			cells[5 * n + c] = zdu_read_text(&r);
		n++;
	}
	/* The newest were chosen; the oldest of them comes first. */
	while (n-- > 0)
		zdu_put_row(rsinfo, cells + 5 * n);
	zdu_leave(&call.session);
	return (Datum) 0;
}
