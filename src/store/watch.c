/*
 * watch.c
 *	  What workers look at again and again.
 */
#include "store/watch.h"

#include "catalog/pg_type.h"
#include "core/protocol.h"
#include "zdu.h"

static ZduQuery insert_watch = {
	.text =
	"INSERT INTO zdu.watch (cluster_id, kind, name, upgrade_id, node_id, look, until, vars, every, failures, baseline) "
	"VALUES ($1, $2, $3, nullif($4, 0), nullif($5, 0), $6, $7, coalesce($8, '{}'), $9, $10, $11) RETURNING watch_id",
	.nargs = 11,
	.argtypes = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, JSONBOID, TEXTOID, JSONBOID, FLOAT8OID, INT4OID, BOOLOID}
};

/* Somebody waits for the schema: it is looked at every second then. */
static ZduQuery watches_due = {
	.text =
	"WITH due AS (UPDATE zdu.watch w SET asked = $3, asked_of = $6 WHERE w.cluster_id = $1 AND (w.upgrade_id IS NULL OR w.upgrade_id = $2) "
	"  AND (w.asked IS NULL OR w.asked <= $3 - make_interval(secs => CASE WHEN $5 AND w.kind = 'schema' THEN least(w.every, 1) ELSE w.every END) OR w.asked > $3) "
	"  AND coalesce((SELECT bool_and(e.value #>> '{}' = ANY ($4)) FROM jsonb_path_query(w.look, '$.targets[*].exec') AS e(value)), true) "
	"  RETURNING w.watch_id, w.kind, w.node_id, w.look) "
	"SELECT d.kind, n.name, d.look || jsonb_build_object('watch', d.watch_id) "
	"FROM due d LEFT JOIN zdu.node n ON n.node_id = d.node_id ORDER BY d.watch_id",
	.nargs = 6, .argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID, TEXTARRAYOID, BOOLOID, TEXTOID}
};

/*
 * What was not well before the upgrade is no fault of it: a guard counts once it has been well.
 * A worker that had lost its connection reports late: what it saw is as old as when it was asked to look, and
 * worth nothing if somebody else was asked since, or it is not what is looked at any more.
 */
static ZduQuery store_look = {
	.text =
	"WITH saw AS (UPDATE zdu.watch SET failed = CASE WHEN $2 OR (kind = 'guard' AND NOT armed) THEN 0 ELSE failed + 1 END, "
	"  armed = armed OR coalesce($2, false), baseline = false, holds = $2, "
	"  seen_at = least($5, asked + make_interval(secs => coalesce((look->>'timeout')::float8, 0))), "
	/* What is long and has not changed is not written again. */
	"  evidence = CASE WHEN evidence = $3 -> ($4 - 1) -> 'seen' THEN evidence ELSE $3 -> ($4 - 1) -> 'seen' END WHERE watch_id = $1 AND asked_of = $6 RETURNING kind, name, node_id, failed >= failures AS has_failed) "
	"SELECT s.kind, s.name, s.node_id, n.name, s.has_failed FROM saw s LEFT JOIN zdu.node n ON n.node_id = s.node_id",
	.nargs = 6, .argtypes = {INT8OID, BOOLOID, JSONBOID, INT4OID, TIMESTAMPTZOID, TEXTOID}
};

int64
zdu_watch_insert(const ZduFacts *f, const ZduNewWatch *w)
{
	ZduReader	r;

	zdu_run(&insert_watch, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(w->kind), zdu_text(w->name), zdu_int8(w->upgrade_id), zdu_int8(w->node_id),
		zdu_jsonb(w->look), zdu_text(w->until), zdu_jsonb(w->vars), zdu_float8(w->every), zdu_int4(w->failures), zdu_bool(w->baseline)
	});
	r = zdu_reader();
	(void) zdu_next_row(&r);
	return zdu_read_int8(&r);
}

/* No blank is in a worker's name that anybody could confuse with another's. */
static ZduArg
asked_of(const ZduWorker *w)
{
	return zdu_text(psprintf("%s %s", w->name, w->incarnation));
}

ZduWatchLook *
zdu_watches_due(const ZduFacts *f, const ZduWorker *w, int *n)
{
	uint64		rows;
	ZduReader	r;
	ZduWatchLook *looks;

	*n = 0;
	if (w->protocol < ZDU_PROTOCOL_WATCHES)
		return NULL;
	rows = zdu_run(&watches_due, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_int8(f->upgrade_id), zdu_time(zdu_now()), w->programs,
		zdu_bool(f->upgrade_id != 0 && !zdu_decide_schema_ready(f)), asked_of(w)
	});
	r = zdu_reader();
	looks = palloc(sizeof(ZduWatchLook) * (rows + 1));
	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		looks[*n].kind = zdu_read_text(&r);
		looks[*n].node = zdu_read_text(&r);
		looks[*n].args = zdu_read_jsonb(&r);
	}
	return looks;
}

ZduWatchState
zdu_watch_saw(const ZduWorker *w, int64 watch_id, ZduAnswer holds, Jsonb *reports, int report)
{
	ZduWatchState state = {.id = watch_id, .holds = holds};
	ZduReader	r;

	zdu_run(&store_look, (ZduArg[]) {
		zdu_int8(watch_id), holds == ANSWER_UNKNOWN ? zdu_null() : zdu_bool(holds == ANSWER_YES),
		zdu_jsonb(reports), zdu_int4(report), zdu_time(zdu_now()), asked_of(w)
	});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		state.kind = zdu_read_text(&r);
		state.name = zdu_read_text(&r);
		state.node_id = zdu_read_int8(&r);
		state.node = zdu_read_text(&r);
		state.failed = zdu_read_bool(&r);
	}
	return state;
}
