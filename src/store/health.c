/*
 * health.c
 *	  How copies of data are, and what of them is left on nodes that drain.
 */
#include "store/health.h"

#include "catalog/pg_type.h"
#include "store/event.h"
#include "zdu.h"

#define SETTLE(names) \
	"UPDATE zdu.resource r SET health = h.health, since = $2, since_listened = $3 FROM (SELECT f.name, f.health FROM " names ") h " \
	"WHERE r.cluster_id = $1 AND r.name = h.name AND r.health <> h.health"

#define HEALTH_NOW "(SELECT f.health FROM zdu.resource_facts f WHERE f.cluster_id = r.cluster_id AND f.name = r.name) "

/* One by one: thousands joined with thousands by somebody who expects a few would be each with each. */
static ZduQuery settle_all = {
	.text = "UPDATE zdu.resource r SET health = " HEALTH_NOW ", since = $2, since_listened = $3 WHERE r.cluster_id = $1 AND r.health <> " HEALTH_NOW,
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery settle_some = {
	.text = SETTLE(
	"(SELECT p.resource AS name FROM zdu.node n JOIN zdu.placement p ON p.node_id = n.node_id WHERE n.cluster_id = $1 AND n.away "
	"   UNION SELECT q.name FROM zdu.resource q WHERE q.cluster_id = $1 AND q.health <> 'green') t "
	"  JOIN zdu.resource_facts f ON f.cluster_id = $1 AND f.name = t.name"),
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery settle_one = {
	.text = SETTLE("zdu.resource_facts f WHERE f.cluster_id = $1 AND f.name = $4"),
	.nargs = 4, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID, TEXTOID}
};

static ZduQuery settle_cluster = {
	.text =
	"WITH h AS (SELECT CASE WHEN EXISTS (SELECT FROM zdu.resource r WHERE r.cluster_id = $1 AND r.health = 'red') THEN 'red' "
	"    WHEN EXISTS (SELECT FROM zdu.resource r WHERE r.cluster_id = $1 AND r.health = 'yellow') THEN 'yellow' ELSE 'green' END AS health), "
	"was AS (SELECT l.health FROM zdu.placement_load l WHERE l.cluster_id = $1) "
	"INSERT INTO zdu.placement_load AS l (cluster_id, health, since) SELECT $1, h.health, $2 FROM h "
	"ON CONFLICT (cluster_id) DO UPDATE SET health = excluded.health, since = excluded.since WHERE l.health <> excluded.health "
	"RETURNING (SELECT health FROM was), health",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
};

static ZduQuery lasting_red = {
	.text =
	"SELECT format('%s is red for %s s', r.name, floor($2 - r.since_listened)) FROM zdu.resource r JOIN zdu.upgrade u ON u.upgrade_id = $4 "
	"WHERE r.cluster_id = $1 AND r.health = 'red' AND r.since_listened + $3 < $2 AND r.since > u.began_at ORDER BY r.since_listened, r.name LIMIT 1",
	.nargs = 4, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID, INT8OID}
};

static ZduQuery nodes_with_copies = {
	.text = "SELECT DISTINCT m.node_id FROM zdu.remaining_facts m WHERE m.node_id = ANY ($1) ORDER BY m.node_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static void
settle(ZduFacts *f, ZduQuery *q, const char *resource)
{
	ZduReader	r;

	zdu_run(q, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_float8(f->listened), zdu_text(resource)});
	zdu_run(&settle_cluster, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now())});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		char	   *before = zdu_read_text(&r);
		char	   *after = zdu_read_text(&r);

		zdu_event_note(NULL, "health", before, after, "D7", "the worst of its resources");
	}
	f->has_copies = true;
}

void
zdu_health_settle(ZduFacts *f)
{
	settle(f, &settle_some, NULL);
}

void
zdu_health_settle_all(ZduFacts *f)
{
	settle(f, &settle_all, NULL);
}

void
zdu_health_settle_one(ZduFacts *f, const char *resource)
{
	settle(f, &settle_one, resource);
}

char *
zdu_health_lasting_red(const ZduFacts *f)
{
	zdu_run(&lasting_red, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_float8(f->listened), zdu_float8(f->stop_timeout), zdu_int8(f->upgrade_id)
	});
	return zdu_first_text();
}

int64 *
zdu_nodes_with_copies(const ZduFacts *f, const int64 *ids, int nids, int *n)
{
	int64	   *with = palloc(sizeof(int64) * (nids + 1));
	ZduReader	r;

	*n = 0;
	if (f->min_availability == AVAILABILITY_NONE || nids == 0)
		return with;
	/* Not known counts as not gone. */
	if (!f->copies_known)
	{
		memcpy(with, ids, sizeof(int64) * nids);
		*n = nids;
		return with;
	}
	zdu_run(&nodes_with_copies, (ZduArg[]) {zdu_int8_array(ids, nids)});
	for (r = zdu_reader(); zdu_next_row(&r); (*n)++)
		with[*n] = zdu_read_int8(&r);
	return with;
}
