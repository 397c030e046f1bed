/*
 * observe.c
 *	  Nodes seen through workers, and what they watch.
 */
#include "api/observe.h"

#include "api/drive.h"
#include "api/gate.h"
#include "api/guard.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "store/document.h"
#include "store/event.h"
#include "store/node.h"
#include "store/placement.h"
#include "store/standing.h"
#include "store/vars.h"
#include "store/watch.h"
#include "utils/builtins.h"
#include "zdu.h"

static ZduQuery show_version = {
	.text = "UPDATE zdu.cluster SET version = $2::zdu_version WHERE cluster_id = $1 AND version IS NULL",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery observe_paths = {
	.text =
	"SELECT r.document->'observe'->>'version', r.document->'observe'->>'active', r.document->'observe'->>'node_state', "
	"  r.document->'observe'->>'tasks', r.document->'observe'->>'users' FROM zdu.cluster c "
	"LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL "
	"JOIN zdu.runbook r ON r.name = coalesce(u.runbook, c.runbook) AND (u.runbook IS NULL OR (r.revision = u.revision AND r.shipped = u.runbook_shipped)) "
	"WHERE c.name = $1 ORDER BY r.shipped, r.revision DESC LIMIT 1",
	.nargs = 1, .argtypes = {TEXTOID}
};

void
zdu_observe_paths(const char *cluster, ZduObservePaths *paths)
{
	ZduReader	r;

	zdu_run(&observe_paths, (ZduArg[]) {zdu_text(cluster)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return;
	paths->version = zdu_read_text(&r);
	paths->active = zdu_read_text(&r);
	paths->node_state = zdu_read_text(&r);
	paths->tasks = zdu_read_text(&r);
	paths->users = zdu_read_text(&r);
}

/*
 * What was seen of a node that nobody works on.  One that is worked on is
 * told by its steps: that it is down just now is no news.
 */
static void
see_node(ZduFacts *f, ZduNode *node, const ZduMatch *m)
{
	int			said = m->node_state != NULL ? zdu_state_of(ZDU_NODE, m->node_state) : ZDU_STATE_NONE;

	if (m->offline || said == NODE_OFFLINE)
	{
		zdu_node_move(node, NODE_OFFLINE, true, "seen: nobody listens there", false);
		return;
	}
	if (m->active == ANSWER_UNKNOWN)
		return;
	zdu_node_seen(node, m->version);
	/* L16: what was left behind is welcome once it is upgraded. */
	if (node->fenced && m->version != NULL && f->version != NULL && zdu_version_compare(m->version, f->version) == 0)
	{
		zdu_event_note(node->name, "fence", "fenced", NULL, "L16", psprintf("seen at %s", m->version));
		node->fenced = false;
		node->changed = true;
	}
	if (said != ZDU_STATE_NONE)
	{
		/* N3: one that says that it is leaving, or not there yet, is not ill. */
		zdu_node_move(node, (ZduNodeState) said, false, "seen: it says so", false);
		return;
	}
	if (m->active == ANSWER_YES)
	{
		/* N18: what detach took out of rotation stays out; otherwise it is ACTIVE. */
		zdu_node_move(node, NODE_ACTIVE, false, "seen", false);
		return;
	}
	zdu_node_move(node, node->state == NODE_OFFLINE ? NODE_STARTING : NODE_ERROR, false, "seen: answers, but is not well", false);
}

/*
 * A worker that stood still, or had lost its connection, reports late: what it
 * saw may be of before the node was worked on, and would take it for what it
 * was then.  Somebody will be asked to look again.
 */
static bool
is_late(const ZduMatch *m, const int64 *late, int nlate)
{
	for (int i = 0; i < nlate && m->asked != 0; i++)
		if (late[i] == m->node_id)
			return true;
	return false;
}

/* Returns the nodes whose state has changed since a worker was asked to look, as far as it says when that was. */
static int64 *
find_late(const ZduMatch *matches, int n, int *nlate)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int64	   *asked = palloc(sizeof(int64) * (n + 1));
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		if (matches[i].sqlstate != NULL || matches[i].node_id == 0 || matches[i].asked == 0)
			continue;
		ids[k] = matches[i].node_id;
		asked[k++] = matches[i].asked;
	}
	return zdu_observations_late(ids, asked, k, nlate);
}

void
zdu_observations_apply(ZduFacts *f, const ZduMatch *matches, int n)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int			nids = 0;
	int			nlate;
	int64	   *late = find_late(matches, n, &nlate);
	int			nnodes;
	ZduNode    *nodes;
	const ZduMatch **heard;
	const char *first_version = NULL;

	for (int i = 0; i < n; i++)
		if (matches[i].sqlstate == NULL && matches[i].node_id != 0)
			ids[nids++] = matches[i].node_id;
	if (nids == 0)
		return;
	nodes = zdu_nodes_by_id(ids, nids, &nnodes);
	heard = palloc0(sizeof(ZduMatch *) * (nnodes + 1));
	for (int i = 0; i < n; i++)
	{
		ZduNode    *node;

		if (matches[i].sqlstate != NULL || matches[i].node_id == 0)
			continue;
		/* Since the look without the lock it may have been removed. */
		node = zdu_node_seek(nodes, nnodes, matches[i].node_id);
		if (node == NULL || (!node->taken && is_late(&matches[i], late, nlate)))
			continue;
		if (matches[i].offline || matches[i].active != ANSWER_UNKNOWN)
			heard[node - nodes] = &matches[i];
		if (!node->taken)
			see_node(f, node, &matches[i]);
		if (first_version == NULL && matches[i].active == ANSWER_YES)
			first_version = matches[i].version;
	}
	/* In the order of ids, as beats do, which do not wait for the cluster's lock. */
	for (int i = 0; i < nnodes; i++)
		if (heard[i] != NULL)
			zdu_node_heard(f, nodes[i].id, heard[i]->tasks, heard[i]->users);
	for (int i = 0; i < nnodes; i++)
		zdu_come_up(f, &nodes[i]);
	zdu_nodes_store(f, nodes, nnodes);
	for (int i = 0; i < nnodes; i++)
		zdu_enlist(f, &nodes[i]);
	if (f->version == NULL && first_version != NULL)
		zdu_run(&show_version, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(first_version)});
}

static void
schema_saw(ZduFacts *f, const ZduWatchState *w)
{
	zdu_schema_saw(f, w->id);
}

static void
placements_saw(ZduFacts *f, const ZduWatchState *w)
{
	zdu_placements_saw(f, w->id);
}

/* What follows from a look, by the kind of watch. */
static const struct
{
	const char *kind;
	void		(*saw) (ZduFacts *f, const ZduWatchState *w);
}			watch_kinds[] = {
	{"guard", zdu_guard_saw},
	{"schema", schema_saw},
	{"gate", zdu_gate_saw},
	{"placements", placements_saw}
};

void
zdu_watches_apply(ZduFacts *f, const ZduWorker *w, const ZduMatch *matches, int n, Jsonb *reports)
{
	for (int i = 0; i < n; i++)
	{
		ZduWatchState state;

		if (matches[i].sqlstate != NULL || matches[i].watch_id == 0)
			continue;
		state = zdu_watch_saw(w, matches[i].watch_id, matches[i].holds, reports, matches[i].ord);
		for (int k = 0; k < lengthof(watch_kinds); k++)
			if (state.kind != NULL && strcmp(watch_kinds[k].kind, state.kind) == 0)
				watch_kinds[k].saw(f, &state);
	}
}

static void
put_look(ReturnSetInfo *rsinfo, const char *node, const char *phase, Jsonb *args)
{
	Datum		values[10] = {0};
	bool		nulls[10] = {true, true, false, true, false, false, true, true, true, true};

	if (node != NULL)
	{
		values[1] = CStringGetTextDatum(node);
		nulls[1] = false;
	}
	values[2] = CStringGetTextDatum(phase);
	values[4] = CStringGetTextDatum("probe");
	values[5] = JsonbPGetDatum(args);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

void
zdu_observations_put(ZduFacts *f, ZduRunbook *rb, const ZduWorker *w, ReturnSetInfo *rsinfo)
{
	TimestampTz now = zdu_now();
	int64	   *ids;
	char	  **names;
	int			n;

	if (rb == NULL || rb->active_path == NULL)
		return;
	/* Who has not the program would see nothing, and nobody else would look meanwhile. */
	if (rb->observe_program != NULL && !zdu_worker_has(w, rb->observe_program))
		return;
	if (zdu_protocol_needed(zdu_get_object(&rb->document->root, "observe")) > w->protocol)
		return;
	/* Not so rarely that a node would count as unheard only because nobody looked (N4). */
	ids = zdu_observations_due(f, w->node, Min(rb->observe_every, f->heartbeat_ttl / 3), now, &n, &names);
	for (int i = 0; i < n; i++)
	{
		char	   *error = NULL;
		Jsonb	   *args = zdu_runbook_observe(rb, zdu_vars_load(f, ids[i]), now, &error);

		if (args == NULL)
			zdu_event_note(names[i], "observe", NULL, "not possible", "N18", error);
		else
			put_look(rsinfo, names[i], "observe", args);
	}
}

void
zdu_watches_put(ZduFacts *f, const ZduWorker *w, ReturnSetInfo *rsinfo)
{
	int			n;
	ZduWatchLook *looks = zdu_watches_due(f, w, &n);

	for (int i = 0; i < n; i++)
		put_look(rsinfo, looks[i].node, looks[i].kind, looks[i].args);
}
