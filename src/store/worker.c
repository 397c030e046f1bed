/*
 * worker.c
 *	  Workers as they are stored.
 */
#include "store/worker.h"

#include "catalog/pg_type.h"
#include "store/instance.h"
#include "zdu.h"

/* Everything that tells an idle poll from one that has something to do, in one row. */
static ZduQuery what_is_due = {
	.text =
	"SELECT c.cluster_id, u.upgrade_id, i.mark, p.auto_adopt, c.work_waits, c.swept_at, "
	"  c.swept_at + make_interval(secs => least(extract(epoch FROM least(p.heartbeat_ttl, p.lease)) / 4, "
	"    CASE WHEN EXISTS (SELECT FROM zdu.flight s WHERE s.cluster_id = c.cluster_id AND s.state <> 'failed') "
	"      OR EXISTS (SELECT FROM zdu.watch a WHERE a.cluster_id = c.cluster_id AND a.upgrade_id = u.upgrade_id) THEN 1 ELSE 3600 END)), "
	"  coalesce(w.incarnation = $3 AND w.asked BETWEEN $4 - p.lease / 4 AND $4 AND c.listened - w.listened < extract(epoch FROM p.lease) / 4 "
	"    AND w.programs IS NOT DISTINCT FROM $5, false), "
	"  coalesce(w.incarnation = $3, false), coalesce(w.replaced = $3, false), extract(epoch FROM p.lease)::double precision, "
	"  EXISTS (SELECT FROM zdu.flight s WHERE s.cluster_id = c.cluster_id AND s.state = 'running' AND s.worker = $2 AND s.incarnation = $3), "
	"  c.state = 'STABLE' AND u.upgrade_id IS NULL AND EXISTS (SELECT FROM zdu.spool_row r WHERE r.cluster_id = c.cluster_id AND r.state = 'waiting'), "
	"  c.serial, w.asked + p.lease / 4 "
	"FROM zdu.cluster c JOIN zdu.current_policy p ON p.name = c.policy "
	"LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL "
	"LEFT JOIN zdu.worker w ON w.cluster_id = c.cluster_id AND w.name = $2 "
	"LEFT JOIN LATERAL (SELECT mark FROM zdu.instance ORDER BY epoch DESC LIMIT 1) i ON true "
	"WHERE c.name = $1",
	.nargs = 5, .argtypes = {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID}
};

static ZduQuery store_worker = {
	.text =
	"INSERT INTO zdu.worker AS w (cluster_id, name, incarnation, protocol, programs, node, asked, listened) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (cluster_id, name) DO UPDATE SET incarnation = excluded.incarnation, "
	"replaced = CASE WHEN w.incarnation = excluded.incarnation THEN w.replaced ELSE w.incarnation END, "
	"protocol = excluded.protocol, programs = excluded.programs, node = excluded.node, asked = excluded.asked, listened = excluded.listened",
	.nargs = 8, .argtypes = {INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery leave_worker = {
	.text =
	"DELETE FROM zdu.worker w WHERE w.cluster_id = $1 AND w.name = $2 AND w.incarnation = $3 AND NOT EXISTS "
	"(SELECT FROM zdu.flight s WHERE s.cluster_id = $1 AND s.state = 'running' AND s.worker = $2 AND s.incarnation = $3)",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

/*
 * Nodes that report themselves are observed only while they are not heard, so
 * that a wedged one is seen.
 */
static ZduQuery observations_due = {
	.text =
	"WITH due AS (SELECT n.node_id, n.name FROM zdu.node n LEFT JOIN zdu.node_heard h ON h.node_id = n.node_id "
	"  WHERE n.cluster_id = $1 AND ($2::text IS NULL OR n.name = $2) AND NOT n.reports "
	"  AND (h.asked IS NULL OR h.asked <= $3 - make_interval(secs => $4) OR h.asked > $3)), "
	"asked AS (INSERT INTO zdu.node_heard AS h (node_id, cluster_id, asked) SELECT node_id, $1, $3 FROM due ORDER BY node_id "
	"  ON CONFLICT (node_id) DO UPDATE SET asked = excluded.asked) "
	"SELECT node_id, name FROM due ORDER BY node_id",
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID}
};

/* A time to come is that of a clock which was set back since, and says nothing. */
static ZduQuery observations_late = {
	.text =
	"SELECT n.node_id FROM unnest($1, $2) AS t(node_id, asked) JOIN zdu.node n ON n.node_id = t.node_id "
	"WHERE n.since > '2000-01-01 00:00:00+00'::timestamptz + make_interval(secs => t.asked / 1e6) AND n.since <= $3",
	.nargs = 3, .argtypes = {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID}
};

bool
zdu_worker_due(const char *cluster, const ZduWorker *w, ZduDue *due)
{
	TimestampTz now = zdu_now();
	TimestampTz swept_at;
	TimestampTz sweep_at;
	TimestampTz lease_at;
	ZduReader	r;

	zdu_run(&what_is_due, (ZduArg[]) {
		zdu_text(cluster), zdu_text(w->name), zdu_text(w->incarnation), zdu_time(now), w->programs
	});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return false;
	due->cluster_id = zdu_read_int8(&r);
	due->upgrade_id = zdu_read_int8(&r);
	due->mark = zdu_read_text(&r);
	due->auto_adopt = zdu_read_bool(&r);
	due->adopted = zdu_instance_matches(due->mark, due->auto_adopt);
	due->work_waits = zdu_read_bool(&r);
	swept_at = zdu_read_int8(&r);
	sweep_at = zdu_read_int8(&r);
	/* A clock that steps back starts anew. */
	due->sweep = swept_at > now || now >= sweep_at;
	due->fresh = zdu_read_bool(&r);
	due->known = zdu_read_bool(&r);
	due->ousted = zdu_read_bool(&r);
	due->lease = zdu_read_float8(&r, 0);
	due->holds = zdu_read_bool(&r);
	due->spool = zdu_read_bool(&r);
	due->serial = zdu_read_int8(&r);
	lease_at = zdu_read_int8(&r);
	due->until = Min(sweep_at, lease_at);
	return true;
}

void
zdu_worker_store(const ZduFacts *f, const ZduWorker *w)
{
	zdu_run(&store_worker, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(w->name), zdu_text(w->incarnation), zdu_int4(w->protocol), w->programs,
		zdu_text(w->node), zdu_time(zdu_now()), zdu_float8(f->listened)
	});
}

void
zdu_worker_leave(const ZduFacts *f, const ZduWorker *w)
{
	zdu_run(&leave_worker, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(w->name), zdu_text(w->incarnation)});
}

int64 *
zdu_observations_due(const ZduFacts *f, const char *only, double every, TimestampTz now, int *n, char ***names)
{
	uint64		rows = zdu_run(&observations_due, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(only), zdu_time(now), zdu_float8(every)
	});
	ZduReader	r = zdu_reader();
	int64	   *ids = palloc(sizeof(int64) * (rows + 1));

	*names = palloc(sizeof(char *) * (rows + 1));
	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		ids[*n] = zdu_read_int8(&r);
		(*names)[*n] = zdu_read_text(&r);
	}
	return ids;
}

int64 *
zdu_observations_late(const int64 *ids, const int64 *asked, int n, int *nlate)
{
	uint64		rows = n == 0 ? 0 : zdu_run(&observations_late, (ZduArg[]) {
		zdu_int8_array(ids, n), zdu_int8_array(asked, n), zdu_time(zdu_now())
	});
	ZduReader	r;
	int64	   *late = palloc(sizeof(int64) * (rows + 1));

	*nlate = 0;
	if (rows == 0)
		return late;
	r = zdu_reader();
	while (zdu_next_row(&r))
		late[(*nlate)++] = zdu_read_int8(&r);
	return late;
}

bool
zdu_worker_has(const ZduWorker *w, const char *program)
{
	for (int i = 0; i < w->nprograms; i++)
		if (strcmp(w->program[i], program) == 0)
			return true;
	return false;
}

bool
zdu_worker_has_all(const ZduWorker *w, const char *programs)
{
	char	   *rest = programs != NULL ? pstrdup(programs) : NULL;

	for (char *p = rest != NULL ? strtok(rest, " ") : NULL; p != NULL; p = strtok(NULL, " "))
		if (!zdu_worker_has(w, p))
			return false;
	return true;
}
