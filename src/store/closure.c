/*
 * closure.c
 *	  When the calendar lets nodes not be begun.
 */
#include "store/closure.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "store/budget.h"
#include "zdu.h"

/*
 * A row for each span.  Each freeze closes what it selects; the windows
 * together close what lies between them, for each set of nodes that the same
 * windows mean, unless one of them is waived.  A difference of timestamps cannot
 * be infinite, that of their seconds can.
 */
static ZduQuery closures = {
	.text =
	"WITH z AS MATERIALIZED (SELECT f.freeze_id, f.kind, f.name, f.during, f.selector, f.of_nodes, k.place, k.waived "
	"  FROM zdu.calendar k JOIN zdu.freeze f ON f.freeze_id = k.freeze_id WHERE k.cluster_id = $1), "
	"frozen AS (SELECT 'freeze \"' || z.name || '\"' || z.place AS what, tstzmultirange(z.during * tstzrange($2, NULL)) AS closed, "
	"    CASE WHEN z.of_nodes THEN ARRAY(SELECT n.node_id FROM zdu.node n WHERE n.cluster_id = $1 AND " ZDU_SELECTS("z.selector", "n") "ORDER BY n.node_id) END AS nodes "
	"  FROM z WHERE z.kind = 'freeze' AND NOT z.waived), "
	"sets AS (SELECT s.ids, array_agg(s.node_id ORDER BY s.node_id) AS nodes FROM ("
	"    SELECT n.node_id, ARRAY(SELECT z.freeze_id FROM z WHERE z.kind = 'window' AND (NOT z.of_nodes OR (" ZDU_SELECTS("z.selector", "n") ")) ORDER BY 1) AS ids "
	"    FROM zdu.node n WHERE n.cluster_id = $1 AND EXISTS (SELECT FROM z WHERE z.kind = 'window' AND z.of_nodes)) s "
	"  WHERE s.ids <> '{}' GROUP BY s.ids "
	"  UNION ALL SELECT array_agg(z.freeze_id), NULL FROM z WHERE z.kind = 'window' "
	"  HAVING count(*) > 0 AND NOT bool_or(z.of_nodes)), "
	"shut AS (SELECT 'outside of every window' AS what, "
	"    (SELECT tstzmultirange(tstzrange($2, NULL)) - range_agg(z.during) FROM z WHERE z.freeze_id = ANY (s.ids)) AS closed, s.nodes "
	"  FROM sets s WHERE NOT EXISTS (SELECT FROM z WHERE z.freeze_id = ANY (s.ids) AND z.waived)), "
	"numbered AS (SELECT row_number() OVER () AS ord, c.* FROM (SELECT * FROM frozen UNION ALL SELECT * FROM shut) c) "
	"SELECT b.ord::integer, b.what, b.nodes IS NULL, b.nodes, "
	"  extract(epoch FROM lower(r.span))::float8 - extract(epoch FROM $2)::float8, "
	"  extract(epoch FROM upper(r.span))::float8 - extract(epoch FROM $2)::float8, upper(r.span) "
	"FROM numbered b CROSS JOIN LATERAL unnest(b.closed) AS r(span) WHERE b.nodes IS DISTINCT FROM '{}' ORDER BY b.ord, lower(r.span)",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
};

ZduClosure *
zdu_closures_load(const ZduFacts *f, int *n)
{
	uint64		rows = zdu_run(&closures, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now())});
	ZduReader	r = zdu_reader();
	ZduClosure *all = palloc0(sizeof(ZduClosure) * (rows + 1));
	ZduPackSpan *spans = palloc(sizeof(ZduPackSpan) * (rows + 1));
	const char **ends = palloc(sizeof(char *) * (rows + 1));
	int			last = 0;

	*n = 0;
	for (int i = 0; zdu_next_row(&r); i++)
	{
		int			ord = zdu_read_int4(&r);
		ZduClosure *c;

		if (ord != last)
			all[(*n)++] = (ZduClosure) {.spans = &spans[i], .ends = &ends[i]};
		last = ord;
		c = &all[*n - 1];
		c->what = zdu_read_text(&r);
		c->every = zdu_read_bool(&r);
		c->nodes = zdu_read_int8_array(&r, &c->nnodes);
		spans[i].from = zdu_read_float8(&r, 0);
		spans[i].to = zdu_read_float8(&r, INFINITY);
		ends[i] = zdu_read_text(&r);
		c->nspans++;
	}
	return all;
}

bool
zdu_closure_covers(const ZduClosure *c, int64 node_id)
{
	int			low = 0;
	int			high = c->nnodes - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (c->nodes[mid] == node_id)
			return true;
		if (c->nodes[mid] < node_id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return c->every;
}
