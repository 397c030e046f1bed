/*
 * pace.c
 *	  How long a node takes.
 */
#include "store/pace.h"

#include "catalog/pg_type.h"
#include "store/document.h"
#include "store/runbook.h"

static ZduQuery pace_of_cluster = {
	.text = "SELECT pace FROM zdu.cluster WHERE cluster_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* What the runbook expects of its phases; those that say nothing count nothing. */
static ZduQuery from_runbook = {
	.text =
	"SELECT e.value #>> '{}' FROM zdu.runbook r, jsonb_path_query(r.document, '$.node.*.expect') AS e(value) "
	"WHERE r.name = $1 AND r.revision = $2 AND r.shipped = $3",
	.nargs = 3, .argtypes = {TEXTOID, INT4OID, BOOLOID}
};

double
zdu_pace(const ZduFacts *f)
{
	ZduRunbook *rb;
	ZduReader	r;
	double		seconds;

	zdu_run(&pace_of_cluster, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	seconds = zdu_next_row(&r) ? zdu_read_float8(&r, -1) : -1;
	if (seconds >= 0)
		return seconds;
	rb = zdu_runbook_load(f);
	if (rb == NULL || zdu_run(&from_runbook, (ZduArg[]) {zdu_text(rb->name), zdu_int4(rb->revision), zdu_bool(rb->shipped)}) == 0)
		return -1;
	r = zdu_reader();
	for (seconds = f->min_healthy_time; zdu_next_row(&r);)
	{
		char	   *text = zdu_read_text(&r);
		double		phase;

		if (zdu_duration_parse(text, strlen(text), &phase))
			seconds += phase;
	}
	return seconds;
}
