/*
 * expect.c
 *	  How long it will take.
 */
#include "api/expect.h"

#include "catalog/pg_type.h"
#include "core/plan.h"
#include "store/document.h"
#include "store/runbook.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_expected);

/* The mean of the nodes that are done in this upgrade, or were in the last one. */
static ZduQuery from_history = {
	.text =
	"SELECT avg(d.took)::double precision FROM ("
	"  SELECT s.upgrade_id, extract(epoch FROM max(s.ended_at) - min(s.started_at)) AS took "
	"  FROM (SELECT u.upgrade_id FROM zdu.upgrade u WHERE u.cluster_id = $1 ORDER BY u.upgrade_id DESC LIMIT 2) u "
	"  JOIN zdu.step s ON s.upgrade_id = u.upgrade_id "
	"  WHERE s.node_id IS NOT NULL AND s.direction = 'forward' "
	"  GROUP BY s.upgrade_id, s.node_id HAVING bool_and(s.state IN ('succeeded', 'skipped'))) d "
	"GROUP BY d.upgrade_id ORDER BY d.upgrade_id DESC LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* What the runbook expects of its phases; those that say nothing count nothing. */
static ZduQuery from_runbook = {
	.text =
	"SELECT e.value #>> '{}' FROM zdu.runbook r, jsonb_path_query(r.document, '$.node.*.expect') AS e(value) "
	"WHERE r.name = $1 AND r.revision = $2 AND r.shipped = $3",
	.nargs = 3, .argtypes = {TEXTOID, INT4OID, BOOLOID}
};

/* Returns seconds for one node, negative: not known. */
static double
expected_seconds(const ZduFacts *f)
{
	ZduRunbook *rb;
	ZduReader	r;
	double		seconds;

	zdu_run(&from_history, (ZduArg[]) {zdu_int8(f->cluster_id)});
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

const char *
zdu_expect_text(const ZduFacts *f)
{
	int			limit = zdu_limit_resolve(f->max_unavailable, f->total);
	double		seconds = expected_seconds(f) * ((f->total + limit - 1) / limit);
	char	   *text = psprintf("%d nodes, %d at a time", f->total, limit);

	if (f->runbook == NULL || seconds < 0)
		return text;
	if (seconds < 90)
		return psprintf("%s, about %.0f s", text, seconds);
	if (seconds < 90 * 60)
		return psprintf("%s, about %.0f min", text, seconds / 60);
	return psprintf("%s, about %.0f h", text, seconds / 3600);
}

Datum
zdu_expected(PG_FUNCTION_ARGS)
{
	ZduCall		call;
	Interval   *result = palloc0(sizeof(Interval));
	double		seconds = -1;

	zdu_call_look(&call, "zdu_expected", text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (call.f != NULL)
		seconds = expected_seconds(call.f);
	zdu_leave(&call.session);
	if (seconds < 0)
		PG_RETURN_NULL();
	result->time = (TimeOffset) (seconds * USECS_PER_SEC);
	PG_RETURN_INTERVAL_P(result);
}
