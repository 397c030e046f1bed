/*
 * node.c
 *	  Nodes as they are stored.
 */
#include "store/node.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/budget.h"
#include "store/calendar.h"
#include "store/count.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "zdu.h"

static ZduQuery node_by_name = {
	.text = "SELECT " ZDU_NODE_COLUMNS("n.") " FROM zdu.node n WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery nodes_by_id = {
	.text = "SELECT " ZDU_NODE_COLUMNS("n.") " FROM zdu.node n WHERE node_id = ANY ($1) ORDER BY node_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery nodes_all = {
	.text = "SELECT " ZDU_NODE_COLUMNS("n.") " FROM zdu.node n WHERE cluster_id = $1 ORDER BY node_id",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery worst_node = {
	.text =
	"SELECT n.name || ' is ' || CASE WHEN n.state = 'OFFLINE' AND NOT n.confirmed THEN 'unheard' ELSE n.state END "
	"  || coalesce(' at ' || n.version::text, '') || CASE WHEN n.taken THEN ', in flight' ELSE '' END "
	"FROM zdu.node n JOIN zdu.cluster c ON c.cluster_id = n.cluster_id "
	"WHERE n.cluster_id = $1 AND (n.taken OR n.state = 'ERROR' OR "
	"  ((n.version IS NULL OR n.version = c.original OR n.version <> c.target) AND NOT (n.state = 'OFFLINE' AND n.confirmed))) "
	"ORDER BY n.state <> 'ERROR', n.version IS DISTINCT FROM c.original, n.state = 'ACTIVE', n.name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Of nodes that are reported together most go the same way: they are written together, and what is the same is said once. */
static ZduQuery store_nodes = {
	.text =
	"UPDATE zdu.node n SET state = $2, confirmed = $3, in_rotation = $4, attached = $5, taken = $6, reports = $7, fenced = $8, stuck = $9, "
	"  version = CASE WHEN $10 THEN $11::zdu_version ELSE n.version END, incarnation = CASE WHEN $12 THEN $13 ELSE n.incarnation END, "
	"  since = CASE WHEN $14 THEN $15 ELSE n.since END, since_listened = CASE WHEN $14 THEN $16 ELSE n.since_listened END, "
	"  begun_at = CASE WHEN $6 AND NOT n.taken THEN $15 ELSE n.begun_at END, "
	"  took = CASE WHEN $18 AND n.taken AND n.node_id <> ALL ($19) THEN coalesce(extract(epoch FROM $15 - n.begun_at), n.took) ELSE n.took END, "
	"  turn = CASE WHEN NOT $17 THEN n.turn END, heading = CASE WHEN NOT $18 THEN n.heading END "
	"WHERE n.node_id = ANY ($1)",
	.nargs = 19,
	.argtypes = {INT8ARRAYOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID,
	BOOLOID, TEXTOID, BOOLOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, FLOAT8OID, BOOLOID, BOOLOID, INT8ARRAYOID}
};

/* LIMIT, lest it becomes a join of all steps there are. */
static ZduQuery tried_again = {
	.text =
	"SELECT n.node_id FROM unnest($1) AS g(node_id) JOIN zdu.node n ON n.node_id = g.node_id CROSS JOIN LATERAL "
	"(SELECT FROM zdu.step_plan p JOIN zdu.step_past s ON s.step_id BETWEEN p.plan_id * 1000 AND p.plan_id * 1000 + 999 "
	" WHERE p.node_id = n.node_id AND s.attempt > 1 AND s.started_at >= n.begun_at LIMIT 1) a",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

/* The mean moves with about the last twenty. */
static ZduQuery store_pace = {
	.text =
	"UPDATE zdu.cluster c SET pace = (coalesce(c.pace, 0) * (t.n - t.k) + t.took) / t.n, paced = least(c.paced + t.k, 20) "
	"FROM (SELECT a.k, a.took, greatest(a.k, least(o.paced + a.k, 20)) AS n FROM zdu.cluster o CROSS JOIN "
	"  (SELECT count(took)::integer AS k, sum(took) AS took FROM zdu.node WHERE node_id = ANY ($2)) a WHERE o.cluster_id = $1) t "
	"WHERE c.cluster_id = $1 AND t.k > 0",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery insert_node = {
	.text =
	"WITH old AS (SELECT " ZDU_COUNTED("") " FROM zdu.node WHERE false), "
	"written AS (INSERT INTO zdu.node (cluster_id, name, state, since, since_listened) VALUES ($1, $2, $3, $4, $5) "
	"  RETURNING " ZDU_COUNTED("") "), "
	ZDU_COUNT_DELTA,
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery insert_heard = {
	.text = "INSERT INTO zdu.node_heard (node_id, cluster_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery remove_nodes = {
	.text =
	"WITH old AS (DELETE FROM zdu.node WHERE node_id = ANY ($2) RETURNING " ZDU_COUNTED("") "), "
	"written AS (SELECT " ZDU_COUNTED("") " FROM zdu.node WHERE false), "
	ZDU_COUNT_DELTA,
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery store_heard = {
	.text =
	"INSERT INTO zdu.node_heard AS h (node_id, heard, listened, tasks, users, cluster_id) VALUES ($1, $2, $3, $4, $5, $6) "
	"ON CONFLICT (node_id) DO UPDATE SET heard = excluded.heard, listened = excluded.listened, "
	"tasks = coalesce(excluded.tasks, h.tasks), users = coalesce(excluded.users, h.users)",
	.nargs = 6, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID, INT4OID, INT4OID, INT8OID}
};

/*
 * What zdu itself has stopped is not missed; and what was never heard cannot
 * fall silent.  Every sweep asks, and nobody falls silent before a ttl is over
 * since that one was heard who has not been heard for longest: until then
 * nothing is read.  Then it is one narrow row of each, and of nodes only those
 * that are silent (OFFSET, lest it becomes a join with all of them).
 */
static ZduQuery unheard_nodes = {
	.text =
	"WITH seen AS MATERIALIZED (SELECT a.first, a.silent FROM zdu.cluster c CROSS JOIN LATERAL "
	"    (SELECT min(h.listened) AS first, array_agg(h.node_id) FILTER (WHERE h.listened < $3 - $2) AS silent "
	"     FROM zdu.node_heard h WHERE h.cluster_id = c.cluster_id AND h.heard IS NOT NULL) a "
	"  WHERE c.cluster_id = $1 AND c.heard_from < $3 - $2), "
	"noted AS (UPDATE zdu.cluster c SET heard_from = coalesce(s.first, $3) FROM seen s WHERE c.cluster_id = $1 AND c.heard_from <> coalesce(s.first, $3)) "
	"SELECT n.node_id FROM seen s CROSS JOIN LATERAL unnest(s.silent) AS g(node_id) "
	"CROSS JOIN LATERAL (SELECT o.node_id FROM zdu.node o WHERE o.node_id = g.node_id AND o.state <> 'OFFLINE' AND NOT o.taken OFFSET 0) n",
	.nargs = 3, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID}
};

static ZduQuery stuck_nodes = {
	.text =
	"SELECT node_id FROM zdu.node WHERE cluster_id = $1 AND away AND NOT taken AND NOT stuck "
	"AND since_listened + CASE state WHEN 'STARTING' THEN $2 WHEN 'TERMINATING' THEN $3 END < $4",
	.nargs = 4, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID}
};

static ZduCounted
counted(const ZduNode *node)
{
	return (ZduCounted) {node->version, node->state, node->confirmed, node->in_rotation, node->attached, node->taken, node->budgets, node->nbudgets};
}

ZduNode *
zdu_nodes_read(uint64 rows, int *n)
{
	ZduReader	r = zdu_reader();
	ZduNode    *nodes = palloc0(sizeof(ZduNode) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		ZduNode    *node = &nodes[*n];

		node->id = zdu_read_int8(&r);
		node->name = zdu_read_text(&r);
		node->login = zdu_read_text(&r);
		node->version = zdu_read_text(&r);
		node->incarnation = zdu_read_text(&r);
		node->state = (ZduNodeState) zdu_state_of(ZDU_NODE, zdu_read_text(&r));
		node->confirmed = zdu_read_bool(&r);
		node->in_rotation = zdu_read_bool(&r);
		node->attached = zdu_read_bool(&r);
		node->taken = zdu_read_bool(&r);
		node->reports = zdu_read_bool(&r);
		node->fenced = zdu_read_bool(&r);
		node->stuck = zdu_read_bool(&r);
		node->turn = zdu_read_int4(&r);
		node->queued = node->turn != 0;
		node->back = zdu_read_bool(&r);
		node->headed = zdu_read_bool(&r);
		node->place = zdu_read_int4(&r);
		node->budgets = zdu_read_int8_array(&r, &node->nbudgets);
		node->was = counted(node);
		node->was_incarnation = node->incarnation;
	}
	return nodes;
}

ZduNode *
zdu_node_load(int64 cluster_id, const char *name)
{
	int			n;
	ZduNode    *nodes = zdu_nodes_read(zdu_run(&node_by_name, (ZduArg[]) {zdu_int8(cluster_id), zdu_text(name)}), &n);

	return n == 0 ? NULL : nodes;
}

ZduNode *
zdu_node_known(const ZduFacts *f, const char *name)
{
	ZduNode    *node = zdu_node_load(f->cluster_id, name);

	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" of cluster \"%s\" does not exist", name, f->name),
				 errdetail("N5: the cluster has %d nodes, none of this name.", f->total),
				 errhint("SELECT node FROM zdu.node_status WHERE cluster = '%s'", f->name)));
	return node;
}

ZduNode *
zdu_nodes_by_id(const int64 *ids, int nids, int *n)
{
	return zdu_nodes_read(zdu_run(&nodes_by_id, (ZduArg[]) {zdu_int8_array(ids, nids)}), n);
}

ZduNode *
zdu_nodes_all(int64 cluster_id, int *n)
{
	return zdu_nodes_read(zdu_run(&nodes_all, (ZduArg[]) {zdu_int8(cluster_id)}), n);
}

ZduNode *
zdu_node_seek(ZduNode *nodes, int n, int64 id)
{
	int			low = 0;
	int			high = n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (nodes[mid].id == id)
			return &nodes[mid];
		if (nodes[mid].id < id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

ZduNode *
zdu_node_find(ZduNode *nodes, int n, int64 id)
{
	ZduNode    *node = zdu_node_seek(nodes, n, id);

	if (node == NULL)
		elog(ERROR, "node " INT64_FORMAT " is not among those loaded", id);
	return node;
}

char *
zdu_node_worst(const ZduFacts *f)
{
	zdu_run(&worst_node, (ZduArg[]) {zdu_int8(f->cluster_id)});
	return zdu_first_text();
}

void
zdu_node_force(ZduNode *node, ZduNodeState to, bool confirmed, const char *rule, const char *reason)
{
	confirmed = confirmed && to == NODE_OFFLINE;
	if (node->state == to && node->confirmed == confirmed)
		return;
	zdu_event_note(node->name, "node", zdu_state_name(ZDU_NODE, node->state), zdu_state_name(ZDU_NODE, to), rule, reason);
	if (node->state != to)
	{
		node->moved = true;
		node->stuck = false;
	}
	node->state = to;
	node->confirmed = confirmed;
	node->changed = true;
}

bool
zdu_node_move(ZduNode *node, ZduNodeState to, bool confirmed, const char *reason, bool strict)
{
	const ZduTransition *t = NULL;

	if (node->state != to)
	{
		t = zdu_transition_find(ZDU_NODE, node->state, to);
		if (t == NULL && strict)
			ereport(ERROR,
					(errcode(ERRCODE_ZDU_WRONG_STATE),
					 errmsg("node \"%s\" cannot go from %s to %s", node->name,
							zdu_state_name(ZDU_NODE, node->state), zdu_state_name(ZDU_NODE, to)),
					 errdetail("N1: there is no such transition."),
					 errhint("SELECT * FROM zdu_transitions() WHERE machine = 'node'")));
		if (t == NULL)
			return false;
	}
	zdu_node_force(node, to, confirmed, t != NULL ? t->rule : "L10", reason != NULL ? reason : t != NULL ? t->meaning : NULL);
	return true;
}

void
zdu_node_rotate(ZduNode *node, bool in_rotation, const char *reason)
{
	if (node->in_rotation == in_rotation)
		return;
	zdu_event_note(node->name, "rotation", node->in_rotation ? "in" : "out", in_rotation ? "in" : "out", "N6", reason);
	node->in_rotation = in_rotation;
	node->changed = true;
}

void
zdu_node_seen(ZduNode *node, const char *version)
{
	if (version == NULL || (node->version != NULL && strcmp(node->version, version) == 0))
		return;
	zdu_event_note(node->name, "version", node->version, version, "L7", NULL);
	node->version = version;
	node->changed = true;
}

void
zdu_node_take(ZduNode *node, bool taken, const char *reason)
{
	if (node->taken == taken)
		return;
	zdu_event_note(node->name, "taken", node->taken ? "yes" : "no", taken ? "yes" : "no", "D12", reason);
	node->taken = taken;
	node->changed = true;
}

void
zdu_node_finish(ZduNode *node, bool arrived)
{
	zdu_node_take(node, false, arrived ? "done" : "not at the target");
	node->finished = true;
	node->arrived = arrived;
	node->changed = true;
}

ZduCandidate
zdu_node_candidate(const ZduFacts *f, const ZduNode *node)
{
	int		   *places = palloc(sizeof(int) * f->nbudgets);
	ZduCandidate c = {
		.name = node->name, .state = node->state, .confirmed = node->confirmed,
		/* D13: a wish to be out costs its place at once, and only once. */
		.in_rotation = node->in_rotation && node->attached,
		.taken = node->taken, .back = node->back, .stuck = node->stuck, .turn = node->turn, .place = node->place, .budgets = places, .copies = node->copies, .ncopies = node->ncopies
	};

	for (int i = 1, k = 0; i < f->nbudgets; i++)
		if (zdu_budget_counts(&f->budgets[i], node->budgets, node->nbudgets, &k))
			places[c.nbudgets++] = i;
	c.freezes = zdu_calendar_places(f, node->budgets, node->nbudgets, &c.nfreezes);
	return c;
}

/* How long a node took counts only if every step of it went well at the first attempt.  Returns those of which it does not. */
static int64 *
find_tried_again(const int64 *arrived, int n, int *nagain)
{
	int64	   *again = palloc(sizeof(int64) * (n + 1));
	ZduReader	r;

	*nagain = 0;
	if (n == 0)
		return again;
	zdu_run(&tried_again, (ZduArg[]) {zdu_int8_array(arrived, n)});
	r = zdu_reader();
	while (zdu_next_row(&r))
		again[(*nagain)++] = zdu_read_int8(&r);
	return again;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
new_version(const ZduNode *node)
{
	return !same_text(node->version, node->was.version);
}

static bool
new_incarnation(const ZduNode *node)
{
	return !same_text(node->incarnation, node->was_incarnation);
}

/* Is the same to be written of both? */
static bool
go_together(const ZduNode *a, const ZduNode *b)
{
	if (a->state != b->state || a->confirmed != b->confirmed || a->in_rotation != b->in_rotation || a->attached != b->attached ||
		a->taken != b->taken || a->reports != b->reports || a->fenced != b->fenced || a->stuck != b->stuck ||
		a->moved != b->moved || a->finished != b->finished || a->arrived != b->arrived)
		return false;
	if (new_version(a) != new_version(b) || new_incarnation(a) != new_incarnation(b))
		return false;
	return (!new_version(a) || same_text(a->version, b->version)) && (!new_incarnation(a) || same_text(a->incarnation, b->incarnation));
}

static void
store_together(const ZduFacts *f, const ZduNode *node, const int64 *ids, int n, const int64 *again, int nagain)
{
	zdu_run(&store_nodes, (ZduArg[]) {
		zdu_int8_array(ids, n), zdu_text(zdu_state_name(ZDU_NODE, node->state)), zdu_bool(node->confirmed), zdu_bool(node->in_rotation),
		zdu_bool(node->attached), zdu_bool(node->taken), zdu_bool(node->reports), zdu_bool(node->fenced), zdu_bool(node->stuck),
		zdu_bool(new_version(node)), zdu_text(node->version), zdu_bool(new_incarnation(node)), zdu_text(node->incarnation),
		zdu_bool(node->moved), zdu_time(zdu_now()), zdu_float8(f->listened), zdu_bool(node->finished), zdu_bool(node->arrived),
		zdu_int8_array(again, nagain)
	});
}

void
zdu_nodes_store(const ZduFacts *f, ZduNode *nodes, int n)
{
	int64	   *ids = palloc(sizeof(int64) * 2 * (n + 1));
	int64	   *arrived = ids + n;
	int			narrived = 0;
	int64	   *again;
	int			nagain;
	ZduNode   **changed = palloc(sizeof(ZduNode *) * 2 * (n + 1));
	ZduNode   **rest = changed + n;
	int			nrest = 0;
	ZduCounted *was = palloc(sizeof(ZduCounted) * 2 * (n + 1));
	ZduCounted *now = was + n;
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		if (!nodes[i].changed)
			continue;
		if (nodes[i].arrived)
			arrived[narrived++] = nodes[i].id;
		rest[nrest++] = changed[k++] = &nodes[i];
	}
	if (k == 0)
		return;
	again = find_tried_again(arrived, narrived, &nagain);
	while (nrest > 0)
	{
		ZduNode    *first = rest[0];
		int			left = 0;
		int			together = 0;

		for (int i = 0; i < nrest; i++)
		{
			if (go_together(first, rest[i]))
				ids[together++] = rest[i]->id;
			else
				rest[left++] = rest[i];
		}
		store_together(f, first, ids, together, again, nagain);
		nrest = left;
	}
	for (int i = 0; i < k; i++)
	{
		was[i] = changed[i]->was;
		now[i] = changed[i]->was = counted(changed[i]);
		changed[i]->was_incarnation = changed[i]->incarnation;
		changed[i]->changed = changed[i]->moved = changed[i]->finished = changed[i]->arrived = false;
	}
	zdu_counts_move(f->cluster_id, was, now, k);
	if (narrived > 0)
		zdu_run(&store_pace, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8_array(arrived, narrived)});
}

ZduNode *
zdu_node_insert(const ZduFacts *f, const char *name, ZduNodeState state)
{
	ZduNode    *node;

	zdu_run(&insert_node, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(name), zdu_text(zdu_state_name(ZDU_NODE, state)), zdu_time(zdu_now()), zdu_float8(f->listened)
	});
	node = zdu_node_known(f, name);
	zdu_run(&insert_heard, (ZduArg[]) {zdu_int8(node->id), zdu_int8(f->cluster_id)});
	zdu_budgets_settle(f, node->id);
	/* With the budgets that it falls under by now. */
	return zdu_node_known(f, name);
}

void
zdu_nodes_remove(const ZduFacts *f, const int64 *ids, int n)
{
	zdu_run(&remove_nodes, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8_array(ids, n)});
}

void
zdu_node_heard(const ZduFacts *f, int64 id, int tasks, int users)
{
	zdu_run(&store_heard, (ZduArg[]) {
		zdu_int8(id), zdu_time(zdu_now()), zdu_float8(f->listened),
		tasks < 0 ? zdu_null() : zdu_int4(tasks), users < 0 ? zdu_null() : zdu_int4(users), zdu_int8(f->cluster_id)
	});
}

static int64 *
read_ids(uint64 rows, int *n)
{
	ZduReader	r = zdu_reader();
	int64	   *ids = palloc(sizeof(int64) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
		ids[*n] = zdu_read_int8(&r);
	return ids;
}

int64 *
zdu_nodes_unheard(const ZduFacts *f, int *n)
{
	return read_ids(zdu_run(&unheard_nodes, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_float8(f->heartbeat_ttl), zdu_float8(f->listened)
	}), n);
}

int64 *
zdu_nodes_stuck(const ZduFacts *f, int *n)
{
	return read_ids(zdu_run(&stuck_nodes, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_float8(f->start_timeout), zdu_float8(f->stop_timeout), zdu_float8(f->listened)
	}), n);
}
