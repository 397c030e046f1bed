/*
 * placement.c
 *	  Where the copies of data are, as it is stored.
 */
#include "store/placement.h"

#include "catalog/pg_type.h"
#include "store/event.h"
#include "store/health.h"
#include "zdu.h"

static ZduQuery wrong_copy = {
	.text =
	"SELECT format('element %s: %s', x.ord, x.wrong) FROM ("
	"  SELECT e.ord, CASE WHEN jsonb_typeof(e.v) <> 'object' THEN 'it is not an object' "
	"    WHEN coalesce(jsonb_typeof(e.v->'resource') <> 'string' OR length(e.v->>'resource') NOT BETWEEN 1 AND 500, true) "
	"      THEN 'resource is not a text of 1 to 500 characters' "
	"    WHEN coalesce(jsonb_typeof(e.v->'node'), 'null') NOT IN ('string', 'null') THEN 'node is not a text' "
	"    WHEN e.v->>'replicas' !~ '^[0-9]{1,3}(-([0-9]{1,3}|all))?$' THEN format('replicas is \"%s\", neither a number nor a range such as 0-1', e.v->>'replicas') "
	"    WHEN e.v->>'kind' NOT IN ('primary', 'replica') THEN format('kind is \"%s\", neither primary nor replica', e.v->>'kind') "
	"    WHEN e.v->>'state' NOT IN ('active', 'moving', 'building', 'failed') "
	"      THEN format('state is \"%s\", none of active, moving, building, failed', e.v->>'state') END AS wrong "
	"  FROM jsonb_array_elements($1) WITH ORDINALITY AS e(v, ord)) x WHERE x.wrong IS NOT NULL ORDER BY x.ord LIMIT 1",
	.nargs = 1, .argtypes = {JSONBOID}
};

/* Of a copy that is named twice the better word counts. */
#define COPIES \
	"WITH c AS MATERIALIZED (SELECT e.v->>'resource' AS resource, e.v->>'replicas' AS replicas, e.v->>'node' AS node, " \
	"    coalesce(e.v->>'kind', 'replica') AS kind, coalesce(e.v->>'state', 'active') AS state " \
	"  FROM jsonb_array_elements($2) AS e(v)), " \
	"p AS MATERIALIZED (SELECT DISTINCT ON (c.resource, n.node_id) c.resource, n.node_id, c.kind, c.state " \
	"  FROM c JOIN zdu.node n ON n.cluster_id = $1 AND n.name = c.node ORDER BY c.resource, n.node_id, c.kind, c.state) "

static ZduQuery forget_resources = {
	.text = COPIES
	"DELETE FROM zdu.resource r WHERE r.cluster_id = $1 AND NOT EXISTS (SELECT FROM c WHERE c.resource = r.name)",
	.by_hash = true, .nargs = 2, .argtypes = {INT8OID, JSONBOID}
};

/* Where nobody says how many there are to be, those that were there at first are. */
static ZduQuery load_resources = {
	.text = COPIES
	"INSERT INTO zdu.resource AS r (cluster_id, name, replicas, since, since_listened) "
	"SELECT $1, c.resource, coalesce(max(c.replicas), min(k.replicas), greatest(count(DISTINCT c.node) - 1, 0)::text), $3, $4 "
	"FROM c LEFT JOIN zdu.resource k ON k.cluster_id = $1 AND k.name = c.resource GROUP BY c.resource "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET replicas = excluded.replicas WHERE r.replicas <> excluded.replicas",
	.by_hash = true, .nargs = 4, .argtypes = {INT8OID, JSONBOID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery forget_copies = {
	.text = COPIES
	"DELETE FROM zdu.placement q WHERE q.cluster_id = $1 AND NOT EXISTS "
	"(SELECT FROM p WHERE p.resource = q.resource AND p.node_id = q.node_id)",
	.by_hash = true, .nargs = 2, .argtypes = {INT8OID, JSONBOID}
};

static ZduQuery load_copies = {
	.text = COPIES
	"INSERT INTO zdu.placement AS q (cluster_id, resource, node_id, kind, state) "
	"SELECT $1, p.resource, p.node_id, p.kind, p.state FROM p "
	"ON CONFLICT (cluster_id, resource, node_id) DO UPDATE SET kind = excluded.kind, state = excluded.state "
	"WHERE q.kind <> excluded.kind OR q.state <> excluded.state",
	.by_hash = true, .nargs = 2, .argtypes = {INT8OID, JSONBOID}
};

/* Under `full` a copy counts whatever state it is in: it has to move. */
static ZduQuery copies_of_nodes = {
	.text =
	"SELECT f.name, f.lowest, f.highest, f.placed, f.active, f.present, h.node_ids "
	"FROM (SELECT DISTINCT p.resource FROM zdu.placement p WHERE p.node_id = ANY ($2) AND (p.state IN ('active', 'moving') OR $3)) d "
	"JOIN zdu.resource_facts f ON f.cluster_id = $1 AND f.name = d.resource "
	"CROSS JOIN LATERAL (SELECT array_agg(q.node_id) AS node_ids FROM zdu.placement q WHERE q.cluster_id = $1 AND q.resource = d.resource "
	"  AND q.node_id = ANY ($2) AND (q.state IN ('active', 'moving') OR $3)) h "
	"ORDER BY f.name",
	.nargs = 3, .argtypes = {INT8OID, INT8ARRAYOID, BOOLOID}
};

char *
zdu_placements_wrong(Jsonb *copies)
{
	if (!JB_ROOT_IS_ARRAY(copies) || JB_ROOT_IS_SCALAR(copies))
		return "it is not an array";
	zdu_run(&wrong_copy, (ZduArg[]) {zdu_jsonb(copies)});
	return zdu_first_text();
}

/* What a look gave: the copies, or what is wrong with the look itself. */
static ZduQuery seen_copies = {
	.text =
	"SELECT CASE WHEN w.evidence IS NULL OR jsonb_typeof(w.evidence) <> 'object' THEN 'it showed nothing' "
	"    WHEN w.evidence->>'error' = 'output too large' THEN 'it showed more than 4 MiB: a program of yours may load them by zdu_load_placements()' "
	"    WHEN w.evidence ? 'error' THEN w.evidence->>'error' "
	"    WHEN coalesce(w.evidence->>'exit', '0') <> '0' THEN 'exit ' || (w.evidence->>'exit') "
	"    WHEN coalesce(w.evidence->>'http_code', '200') !~ '^2' THEN 'http_code ' || (w.evidence->>'http_code') END, "
	"  CASE WHEN w.evidence IS NOT NULL THEN jsonb_path_query_array(w.evidence, (w.vars->>'copies')::jsonpath, '{}', true) END, w.seen_at "
	"FROM zdu.watch w WHERE w.watch_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery note_load = {
	.text =
	"WITH was AS (SELECT wrong FROM zdu.placement_load WHERE cluster_id = $1) "
	"INSERT INTO zdu.placement_load AS l (cluster_id, loaded, wrong, since) VALUES ($1, CASE WHEN $2 IS NULL THEN $3 END, $2, $3) "
	"ON CONFLICT (cluster_id) DO UPDATE SET loaded = coalesce(excluded.loaded, l.loaded), wrong = excluded.wrong "
	"RETURNING (SELECT wrong FROM was)",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

void
zdu_placements_saw(ZduFacts *f, int64 watch_id)
{
	ZduReader	r;
	const char *wrong;
	char	   *before;
	Jsonb	   *copies;
	TimestampTz seen_at;

	zdu_run(&seen_copies, (ZduArg[]) {zdu_int8(watch_id)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return;
	wrong = zdu_read_text(&r);
	copies = zdu_read_jsonb(&r);
	seen_at = zdu_read_int8(&r);
	if (wrong == NULL)
		wrong = zdu_placements_wrong(copies);
	/* Nothing at all is rather a look at the wrong place than a cluster without data. */
	if (wrong == NULL && JB_ROOT_COUNT(copies) == 0)
		wrong = "it showed no copies at all";
	if (wrong == NULL && zdu_placements_load(f, copies) > 0)
	{
		zdu_set_work_waits(f, true);
		zdu_notify();
	}
	zdu_run(&note_load, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(wrong), zdu_time(seen_at)});
	before = zdu_first_text();
	if (wrong != NULL && (before == NULL || strcmp(before, wrong) != 0))
		zdu_event_note(NULL, "placements", NULL, "not read", "D3", wrong);
}

int
zdu_placements_load(ZduFacts *f, Jsonb *copies)
{
	int			written;
	ZduArg		args[] = {zdu_int8(f->cluster_id), zdu_jsonb(copies), zdu_time(zdu_now()), zdu_float8(f->listened)};

	written = (int) (zdu_run(&forget_resources, args) + zdu_run(&load_resources, args) +
					 zdu_run(&forget_copies, args) + zdu_run(&load_copies, args));
	if (written > 0)
		zdu_health_settle_all(f);
	return written;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = (*(ZduNode *const *) a)->id;
	int64		y = (*(ZduNode *const *) b)->id;

	return (x > y) - (x < y);
}

/* Returns the one of n nodes, sorted by id, that has this id. */
static ZduNode *
seek(ZduNode **sorted, int n, int64 id)
{
	ZduNode		key = {.id = id};
	ZduNode    *wanted = &key;

	return *(ZduNode **) bsearch(&wanted, sorted, n, sizeof(ZduNode *), compare_ids);
}

void
zdu_copies_load(ZduFacts *f, ZduNode *nodes, int n)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	ZduNode   **sorted = palloc(sizeof(ZduNode *) * (n + 1));
	uint64		rows;
	ZduReader	r;

	f->nresources = 0;
	if (f->min_availability == AVAILABILITY_NONE || n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ids[i] = nodes[i].id;
		sorted[i] = &nodes[i];
	}
	qsort(sorted, n, sizeof(ZduNode *), compare_ids);
	rows = zdu_run(&copies_of_nodes, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_int8_array(ids, n), zdu_bool(f->min_availability == AVAILABILITY_FULL)
	});
	f->resources = palloc(sizeof(ZduResource) * (rows + 1));
	for (int i = 0; i < n; i++)
	{
		nodes[i].copies = palloc(sizeof(int) * (rows + 1));
		nodes[i].ncopies = 0;
	}
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduResource *res = &f->resources[f->nresources];
		int64	   *holders;
		int			nholders;

		res->name = zdu_read_text(&r);
		res->lowest = zdu_read_int4(&r);
		res->highest = zdu_read_int4(&r);
		res->placed = zdu_read_int4(&r);
		res->active = zdu_read_int4(&r);
		res->present = zdu_read_int4(&r);
		holders = zdu_read_int8_array(&r, &nholders);
		for (int i = 0; i < nholders; i++)
		{
			ZduNode    *node = seek(sorted, n, holders[i]);

			node->copies[node->ncopies++] = f->nresources;
		}
		f->nresources++;
	}
}
