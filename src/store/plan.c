/*
 * plan.c
 *	  The plan of an upgrade.
 */
#include "store/plan.h"

#include "catalog/pg_type.h"
#include "core/budget.h"
#include "core/copies.h"
#include "core/version.h"
#include "store/pace.h"
#include "store/queue.h"
#include "utils/memutils.h"
#include "zdu.h"

static ZduQuery nodes_to_plan = {
	.text =
	"SELECT n.node_id, n.name, n.role, n.node_group, n.zone, "
	"  CASE WHEN h.users IS NULL AND h.tasks IS NULL THEN -1 ELSE least(coalesce(h.users, 0)::bigint + coalesce(h.tasks, 0), 2147483647) END::integer, "
	"  n.version, n.state, n.confirmed, n.away, n.taken, n.turn IS NOT NULL, coalesce(n.turn, 0), coalesce(n.place, 0), n.took, extract(epoch FROM $2 - n.begun_at)::double precision, "
	"  n.budgets "
	"FROM zdu.node n LEFT JOIN zdu.node_heard h ON h.node_id = n.node_id WHERE n.cluster_id = $1 ORDER BY n.node_id",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
};

/* Where gates would stand, as zdu_begin pins them. */
static ZduQuery gates_to_plan = {
	.text =
	"SELECT g.name, g.place, g.soak FROM ("
	"  SELECT name, CASE after WHEN 'begin' THEN 0 WHEN 'end' THEN 2147483647 WHEN 'canary' THEN greatest($3, 1) ELSE zdu_limit(after, $2) END AS place, "
	"    extract(epoch FROM soak)::double precision AS soak FROM zdu.gate WHERE cluster_id = $1 "
	"  UNION ALL SELECT 'canary', $3, 0 WHERE $3 > 0 AND NOT EXISTS (SELECT FROM zdu.gate WHERE cluster_id = $1 AND after = 'canary')) g "
	"WHERE g.place < $2 ORDER BY g.place, g.name",
	.nargs = 3, .argtypes = {INT8OID, INT4OID, INT4OID}
};

static ZduQuery gates_of_upgrade = {
	.text = "SELECT name, place, greatest(soak_left, 0) FROM zdu.closed_gate WHERE upgrade_id = $1 AND NOT waived AND place < 2147483647 ORDER BY place, name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery resources_to_plan = {
	.text = "SELECT name, lowest, highest FROM zdu.resource WHERE cluster_id = $1 ORDER BY name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery copies_to_plan = {
	.text = "SELECT resource, node_id, state IN ('active', 'moving') FROM zdu.placement WHERE cluster_id = $1 ORDER BY resource, node_id",
	.nargs = 1, .argtypes = {INT8OID}
};

/* A node of the cluster, of the plan or not. */
typedef struct Known
{
	ZduPlanNode node;
	const char *version;
	ZduNodeState state;
	bool		confirmed;
	bool		away;
	bool		taken;
	bool		queued;			/* it has a turn */
	int			turn;
	int			standing;		/* place in the order that the active upgrade began with */
	double		took;			/* negative: never */
	double		elapsed;		/* since it was taken last */
	int64	   *budgets;
	int			nbudgets;
	int			place;			/* in the plan; negative: it is not in it */
} Known;

/* Where a budget's places and its rate are among the limits of the plan. */
typedef struct Limits
{
	int			places;
	int			rate;			/* negative: it has none */
} Limits;

typedef struct Maker
{
	const ZduFacts *f;
	const ZduPlanWish *wish;
	ZduPlan    *plan;
	Known	   *known;			/* by id */
	int			nknown;
	Limits	   *limits;			/* of f->budgets */
	ZduClosure *closures;
	int			nclosures;
	int			first_closure;	/* among the limits of the plan */
	ZduPackBudget *budgets;
	ZduPackResource *resources;
} Maker;

/* For core/, which knows no memory contexts. */
static void *
allocate(size_t size)
{
	return palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static void *
make_array(int n, size_t size)
{
	return allocate(size * ((size_t) n + 1));
}

static void
load_nodes(Maker *m)
{
	uint64		rows = zdu_run(&nodes_to_plan, (ZduArg[]) {zdu_int8(m->f->cluster_id), zdu_time(zdu_now())});
	ZduReader	r = zdu_reader();

	m->known = make_array((int) rows, sizeof(Known));
	while (zdu_next_row(&r))
	{
		Known	   *k = &m->known[m->nknown++];

		k->node.id = zdu_read_int8(&r);
		k->node.name = zdu_read_text(&r);
		k->node.role = zdu_read_text(&r);
		k->node.group = zdu_read_text(&r);
		k->node.zone = zdu_read_text(&r);
		k->node.busy = zdu_read_int4(&r);
		k->version = zdu_read_text(&r);
		k->state = (ZduNodeState) zdu_state_of(ZDU_NODE, zdu_read_text(&r));
		k->confirmed = zdu_read_bool(&r);
		k->away = zdu_read_bool(&r);
		k->taken = zdu_read_bool(&r);
		k->queued = zdu_read_bool(&r);
		k->turn = zdu_read_int4(&r);
		k->standing = zdu_read_int4(&r);
		k->took = zdu_read_float8(&r, -1);
		k->elapsed = zdu_read_float8(&r, 0);
		k->budgets = zdu_read_int8_array(&r, &k->nbudgets);
		k->place = -1;
	}
}

static int
add_limit(Maker *m, const ZduPlanBudget *shown, const ZduPackBudget *counted)
{
	int			i = m->plan->pack.nbudgets++;

	m->plan->budgets[i] = *shown;
	m->budgets[i] = *counted;
	return i;
}

/* Each budget has its places, the policy's first, and those with a rate that besides; then come the closures. */
static void
set_limits(Maker *m)
{
	int			n = m->f->nbudgets;
	ZduPlan    *plan = m->plan;

	m->closures = zdu_closures_load(m->f, &m->nclosures);
	m->limits = make_array(n, sizeof(Limits));
	plan->budgets = make_array(n * 2 + m->nclosures, sizeof(ZduPlanBudget));
	plan->pack.budgets = m->budgets = make_array(n * 2 + m->nclosures, sizeof(ZduPackBudget));
	plan->pack.max_failures = -1;
	for (int i = 0; i < n; i++)
	{
		const ZduBudget *b = &m->f->budgets[i];
		int			limit = b->max_unavailable == NULL ? -1 : zdu_budget_limit(b);

		m->limits[i].places = add_limit(m, &(ZduPlanBudget) {b->name, limit, 0, 0},
										&(ZduPackBudget) {limit, b->unavailable, 0, 0, b->max_failures});
		m->limits[i].rate = b->max_begun == 0 ? -1 :
			add_limit(m, &(ZduPlanBudget) {b->name, -1, b->max_begun, b->per_interval},
					  &(ZduPackBudget) {-1, 0, b->max_begun, b->per_interval, -1});
	}
	m->first_closure = plan->pack.nbudgets;
	for (int i = 0; i < m->nclosures; i++)
		(void) add_limit(m, &(ZduPlanBudget) {.limit = -1, .closure = &m->closures[i]},
						 &(ZduPackBudget) {.limit = -1, .max_failures = -1, .closed = m->closures[i].spans, .nclosed = m->closures[i].nspans});
	plan->at_once = plan->budgets[0].limit;
	plan->pack.serving = m->f->staying;
}

/* An upgrade that is active says itself which nodes have still to go, and in which order. */
static bool
is_planned(const Maker *m, const Known *k)
{
	if (m->plan->active)
		return k->taken || k->queued;
	if (m->wish->node_group != NULL && strcmp(k->node.group, m->wish->node_group) != 0)
		return false;
	return k->version == NULL || m->wish->target == NULL || zdu_version_compare(k->version, m->wish->target) != 0;
}

static int
compare_turns(const void *pa, const void *pb)
{
	const ZduPlanNode *a = pa;
	const ZduPlanNode *b = pb;

	return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Chooses the nodes of the plan and puts them into the order of the list. */
static void
choose_nodes(Maker *m)
{
	ZduPlan    *plan = m->plan;
	ZduPack    *p = &plan->pack;

	plan->nodes = make_array(m->nknown, sizeof(ZduPlanNode));
	if (m->wish->back != NULL)
	{
		p->nnodes = m->wish->nback;
		memcpy(plan->nodes, m->wish->back, sizeof(ZduPlanNode) * p->nnodes);
		return;
	}
	for (int i = 0; i < m->nknown; i++)
		if (is_planned(m, &m->known[i]))
		{
			plan->nodes[p->nnodes] = m->known[i].node;
			plan->nodes[p->nnodes++].rank = m->known[i].taken ? INT32_MIN : m->known[i].turn;
		}
	plan->order = zdu_order_load(m->f->policy);
	if (m->plan->active)
		qsort(plan->nodes, p->nnodes, sizeof(ZduPlanNode), compare_turns);
	else
		zdu_plan_order(plan->nodes, p->nnodes, &plan->order);
}

static Known *
known_node(const Maker *m, int64 id)
{
	int			low = 0;
	int			high = m->nknown - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (m->known[mid].node.id == id)
			return &m->known[mid];
		if (m->known[mid].node.id < id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

/* Under which limits a node falls; what is in flight has been begun, whatever the rate, and no calendar keeps what goes back (L23). */
static void
set_budgets(const Maker *m, const Known *k, ZduPackNode *node)
{
	int		   *budgets = palloc(sizeof(int) * (m->f->nbudgets * 2 + m->nclosures));

	for (int i = 0, own = 0; i < m->f->nbudgets; i++)
	{
		if (!zdu_budget_counts(&m->f->budgets[i], k->budgets, k->nbudgets, &own))
			continue;
		budgets[node->nbudgets++] = m->limits[i].places;
		if (m->limits[i].rate >= 0 && !k->taken)
			budgets[node->nbudgets++] = m->limits[i].rate;
	}
	for (int i = 0; i < m->nclosures && !k->taken && !(m->plan->active && k->turn < 0); i++)
		if (zdu_closure_covers(&m->closures[i], k->node.id))
			budgets[node->nbudgets++] = m->first_closure + i;
	node->budgets = budgets;
}

/*
 * Those that are down go before all others of their wave, as the exchange
 * takes them: they cost no place.
 */
static void
set_nodes(Maker *m)
{
	ZduPlan    *plan = m->plan;
	ZduPack    *p = &plan->pack;
	double		pace = zdu_pace(m->f);

	p->nodes = make_array(p->nnodes, sizeof(ZduPackNode));
	plan->taken = make_array(p->nnodes, sizeof(bool));
	for (int i = 0; i < p->nnodes; i++)
	{
		Known	   *k = known_node(m, plan->nodes[i].id);
		ZduPackNode *node = &p->nodes[i];

		k->place = i;
		plan->taken[i] = k->taken;
		node->down = k->away;
		node->unheard = k->state == NODE_OFFLINE && !k->confirmed && !k->taken;
		node->gone = k->taken || (k->state != NODE_ACTIVE && k->state != NODE_DRAINING);
		node->rank = k->taken ? 0 : k->away ? (node->unheard ? 2 : 1) : 3 + (plan->active ? i : plan->nodes[i].rank);
		node->duration = k->took >= 0 ? k->took : pace;
		if (node->duration < 0)
			plan->unknown++;
		else if (k->taken)
			node->duration = Max(node->duration - k->elapsed, 0);
		set_budgets(m, k, node);
	}
	for (int i = 0; i < p->nnodes && plan->unknown > 0; i++)
		p->nodes[i].duration = 1;
}

/*
 * A wave begins behind each place where gates stand.  When they open nobody
 * knows: only their soaks are counted.
 */
static void
set_waves(Maker *m)
{
	ZduPlan    *plan = m->plan;
	ZduPack    *p = &plan->pack;
	uint64		rows = plan->active ? zdu_run(&gates_of_upgrade, (ZduArg[]) {zdu_int8(m->f->upgrade_id)}) :
		zdu_run(&gates_to_plan, (ZduArg[]) {zdu_int8(m->f->cluster_id), zdu_int4(p->nnodes), zdu_int4(m->wish->canary)});
	ZduReader	r = zdu_reader();
	ZduPackWave *waves = make_array((int) rows + 1, sizeof(ZduPackWave));
	int			from = 0;		/* the first node of the wave */
	int			last = 0;		/* place of the gate before */

	p->waves = waves;
	p->nwaves = 1;
	plan->waves = make_array((int) rows + 1, sizeof(char *));
	while (zdu_next_row(&r))
	{
		char	   *name = zdu_read_text(&r);
		int			place = zdu_read_int4(&r);
		double		soak = zdu_read_float8(&r, 0);

		if (place > last)
		{
			while (from < p->nnodes && (plan->active ? plan->taken[from] || known_node(m, plan->nodes[from].id)->standing <= place : from < place))
				from++;
			for (int i = from; i < p->nnodes; i++)
				p->nodes[i].wave = p->nwaves;
			p->nwaves++;
			last = place;
		}
		plan->waves[p->nwaves - 1] = plan->waves[p->nwaves - 1] == NULL ? psprintf("gate %s", name) :
			psprintf("%s and %s", plan->waves[p->nwaves - 1], name);
		if (p->nwaves > 1)
			waves[p->nwaves - 2].soak = Max(waves[p->nwaves - 2].soak, soak);
	}
}

static void
set_one_wave(Maker *m)
{
	m->plan->pack.nwaves = 1;
	m->plan->pack.waves = make_array(1, sizeof(ZduPackWave));
	m->plan->waves = make_array(1, sizeof(char *));
}

/*
 * A copy that has to move before its node leaves keeps nobody waiting here:
 * how long that takes is part of the node's drain.
 */
static void
set_minimum(ZduPackResource *p, const ZduResource *r, bool reallocate)
{
	int			quorum = zdu_copies_quorum(zdu_copies_wanted(r));

	p->active = r->present;
	p->minimum = r->active - 1 < quorum && reallocate ? -1 : quorum;
}

static void
add_copy(const Maker *m, const Known *k, int resource)
{
	ZduPackNode *node = &m->plan->pack.nodes[k->place];
	int		   *list = unconstify(int *, node->resources);

	/* Room for 4, 8, 16, ... */
	if (list == NULL)
		list = palloc(sizeof(int) * 4);
	else if (node->nresources >= 4 && (node->nresources & (node->nresources - 1)) == 0)
		list = repalloc(list, sizeof(int) * node->nresources * 2);
	list[node->nresources++] = resource;
	node->resources = list;
}

/* Reads where the copies are, under min_availability = primaries; full moves each before its node leaves. */
static void
load_copies(Maker *m)
{
	ZduPlan    *plan = m->plan;
	ZduPack    *p = &plan->pack;
	ZduReader	r;
	ZduResource *copies;
	uint64		rows;

	if (m->f->min_availability != AVAILABILITY_PRIMARIES)
		return;
	rows = zdu_run(&resources_to_plan, (ZduArg[]) {zdu_int8(m->f->cluster_id)});
	copies = make_array((int) rows, sizeof(ZduResource));
	p->resources = m->resources = make_array((int) rows, sizeof(ZduPackResource));
	plan->resources = make_array((int) rows, sizeof(char *));
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduResource *c = &copies[p->nresources];

		plan->resources[p->nresources++] = zdu_read_text(&r);
		c->lowest = zdu_read_int4(&r);
		c->highest = zdu_read_int4(&r);
	}
	zdu_run(&copies_to_plan, (ZduArg[]) {zdu_int8(m->f->cluster_id)});
	r = zdu_reader();
	for (int i = 0; zdu_next_row(&r);)
	{
		char	   *resource = zdu_read_text(&r);
		Known	   *k = known_node(m, zdu_read_int8(&r));
		bool		active = zdu_read_bool(&r);

		while (i < p->nresources && strcmp(plan->resources[i], resource) != 0)
			i++;
		if (i == p->nresources)
			break;
		copies[i].placed++;
		copies[i].active += active;
		if (k == NULL || !active)
			continue;
		copies[i].present += !k->taken && (k->state == NODE_ACTIVE || k->state == NODE_DRAINING);
		if (k->place >= 0)
			add_copy(m, k, i);
	}
	for (int i = 0; i < p->nresources; i++)
		set_minimum(&m->resources[i], &copies[i], m->f->reallocate);
}

static const ZduPlan *sorted_plan;

static int
compare_sequence(const void *pa, const void *pb)
{
	const ZduPackNode *a = &sorted_plan->pack.nodes[*(const int *) pa];
	const ZduPackNode *b = &sorted_plan->pack.nodes[*(const int *) pb];

	if ((a->turn == 0) != (b->turn == 0))
		return a->turn == 0 ? 1 : -1;
	if (a->turn != b->turn)
		return a->turn < b->turn ? -1 : 1;
	return *(const int *) pa - *(const int *) pb;
}

static int
compare_final(const void *pa, const void *pb)
{
	int			a = *(const int *) pa;
	int			b = *(const int *) pb;
	const ZduPackNode *na = &sorted_plan->pack.nodes[a];
	const ZduPackNode *nb = &sorted_plan->pack.nodes[b];

	if (na->wave != nb->wave)
		return na->wave < nb->wave ? -1 : 1;
	if (sorted_plan->nodes[a].rank != sorted_plan->nodes[b].rank)
		return sorted_plan->nodes[a].rank < sorted_plan->nodes[b].rank ? -1 : 1;
	/* As they come: then who may go first does so, however long the others take in the end. */
	return sorted_plan->pack.choice == CHOOSE_FIRST ? a - b : compare_sequence(pa, pb);
}

static int *
sort_places(const ZduPlan *plan, int (*compare) (const void *, const void *))
{
	int		   *places = make_array(plan->pack.nnodes, sizeof(int));

	for (int i = 0; i < plan->pack.nnodes; i++)
		places[i] = i;
	sorted_plan = plan;
	qsort(places, plan->pack.nnodes, sizeof(int), compare);
	return places;
}

/* Mixing equals in several ways is cheap where there are few. */
#define MAX_TRIES 16
#define MAX_NODES_TRIED 16000

static void
pack(ZduPlan *plan)
{
	ZduPack    *p = &plan->pack;
	MemoryContext planning = AllocSetContextCreate(CurrentMemoryContext, "zdu plan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(planning);

	p->alloc = allocate;
	/* Once it runs, everybody has a turn. */
	(void) (plan->active ? zdu_pack(p) : zdu_pack_best(p, Min(MAX_NODES_TRIED / Max(p->nnodes, 1), MAX_TRIES)));
	plan->bound = zdu_pack_bound(p);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(planning);
}

ZduPlan *
zdu_plan_make(const ZduFacts *f, const ZduPlanWish *wish)
{
	Maker		m = {.f = f, .wish = wish, .plan = palloc0(sizeof(ZduPlan))};

	load_nodes(&m);
	m.plan->active = f->upgrade_id != 0 && !wish->anew;
	set_limits(&m);
	choose_nodes(&m);
	set_nodes(&m);
	if (wish->back == NULL)
		set_waves(&m);
	else
		set_one_wave(&m);
	load_copies(&m);
	pack(m.plan);
	m.plan->sequence = sort_places(m.plan, compare_sequence);
	m.plan->turns = sort_places(m.plan, compare_final);
	return m.plan;
}

int64 *
zdu_plan_way_back(const ZduFacts *f, const ZduPlanNode *nodes, int n, int *nids)
{
	ZduPlan    *plan = zdu_plan_make(f, &(ZduPlanWish) {.anew = true, .back = nodes, .nback = n});
	int64	   *ids = palloc(sizeof(int64) * (n + 1));

	*nids = 0;
	for (int i = 0; i < n; i++)
		if (!plan->taken[plan->turns[i]])
			ids[(*nids)++] = plan->nodes[plan->turns[i]].id;
	return ids;
}
