/*
 * decide_fuzz.c
 *	  Promise: in random clusters with several budgets, rates, failures and
 *	  copies of data a node is taken exactly when a count of every node says
 *	  that it may be: no budget is ever overdrawn, no resource loses its write
 *	  quorum, and somebody serves.
 *
 *		decide_fuzz [clusters [seed]]
 *
 * A world of nodes lives: they are taken and return, die, fall silent and are
 * detached.  The facts are counted from it as the database does, or carried on
 * by zdu_decide_debit() from decision to decision.  What is right is told by
 * an oracle that counts sets of nodes and shares no code with the core.
 * Prints TAP, one assertion a promise, with the seed of the first cluster that
 * broke it.
 */
#include <stdint.h>
#include <string.h>

#include "core/decide.h"
#include "tap.h"

#define MOST_NODES 14
#define MOST_BUDGETS 7			/* the policy's among them */
#define MOST_RESOURCES 8
#define STEPS 120

typedef enum Promise
{
	AS_COUNTED,
	DETACH_AS_COUNTED,
	AT_ONCE,
	UNHEARD,
	RATE,
	FAILURES,
	SERVES,
	QUORUM,
	MOVES,
	FULL,
	DEBITED,
	NAMED,
	PROMISES
} Promise;

static const struct
{
	const char *rule;
	const char *claim;
}			promises[PROMISES] = {
	{"D11", "a node is taken exactly when every budget that means it has a place and nothing else forbids it"},
	{"D13", "and detached by hand exactly when every budget has"},
	{"D12", "no budget is overdrawn by a node that was available: each node counts once in each"},
	{"D12", "one that is merely unheard has a place of its own besides"},
	{"D11", "no rate is overdrawn, whatever state the node was in"},
	{"D11", "nothing is begun when a failure budget is spent"},
	{"D14", "somebody serves after every node that was taken"},
	{"D4", "no resource loses by a node's leaving the write quorum that it had"},
	{"D5", "without reallocation no node is taken whose copies would have to move"},
	{"D3", "under full as many nodes are left as a resource may have copies"},
	{"D11", "facts that were carried on from decision to decision are those that are counted anew"},
	{"L22", "every refusal says what was observed, what is allowed and what helps"}
};

/* A node as it is. */
typedef struct Node
{
	ZduNodeState state;
	bool		confirmed;
	bool		in_rotation;
	bool		taken;
	bool		failed;
	bool		under[MOST_BUDGETS];
	bool		has[MOST_RESOURCES];	/* an active copy */
} Node;

typedef struct World
{
	int			n;
	Node		node[MOST_NODES];
	int			nbudgets;
	ZduBudget	budget[MOST_BUDGETS];	/* limits only */
	int			begun[MOST_BUDGETS];
	int			nresources;
	int			lowest[MOST_RESOURCES];
	int			highest[MOST_RESOURCES];
	ZduAvailability level;
	bool		reallocate;
} World;

static World w;
static unsigned broken[PROMISES];	/* seed of the first breach; 0: kept */
static unsigned long taken_in_all;
static unsigned long refused_in_all;
static uint64_t random_state;
static unsigned seed;

static int
draw(int below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (int) ((uint32_t) (random_state >> 33) % (uint32_t) below);
}

static void
promise(Promise p, bool kept)
{
	if (!kept && broken[p] == 0)
		broken[p] = seed;
}

/* ---- the oracle: counts sets of nodes, one by one ---- */

static bool
available(const Node *d)
{
	return d->state == NODE_ACTIVE && d->in_rotation && !d->taken;
}

static bool
up(const Node *d)
{
	return (d->state == NODE_ACTIVE || d->state == NODE_DRAINING) && !d->taken;
}

static bool
unheard(const Node *d)
{
	return d->state == NODE_OFFLINE && !d->confirmed;
}

static int
away_under(int b)
{
	int			count = 0;

	for (int i = 0; i < w.n; i++)
		count += w.node[i].under[b] && !available(&w.node[i]);
	return count;
}

/* "50%" of 5 is 2; at least one may be away, at least one must stay. */
static int
limit_of(int b)
{
	int			total = 0;
	int			limit = atoi(w.budget[b].max_unavailable);

	for (int i = 0; i < w.n; i++)
		total += w.node[i].under[b];
	if (strchr(w.budget[b].max_unavailable, '%') != NULL)
		limit = total * limit / 100;
	if (limit >= total)
		limit = total - 1;
	return limit >= 1 ? limit : 1;
}

static int
failed_under(int b)
{
	int			count = 0;

	for (int i = 0; i < w.n; i++)
		count += w.node[i].under[b] && w.node[i].failed;
	return count;
}

static bool
places_for(const Node *d)
{
	bool		needs = available(d) || unheard(d);

	for (int b = 0; b < w.nbudgets; b++)
	{
		if (!d->under[b])
			continue;
		if (needs && w.budget[b].max_unavailable != NULL && away_under(b) + 1 > limit_of(b))
			return false;
		if (w.budget[b].max_begun > 0 && w.begun[b] + 1 > w.budget[b].max_begun)
			return false;
	}
	return true;
}

static bool
failures_borne(const Node *d)
{
	for (int b = 0; b < w.nbudgets; b++)
		if (d->under[b] && w.budget[b].max_failures >= 0 && failed_under(b) > w.budget[b].max_failures)
			return false;
	return true;
}

/* Copies of a resource: on every node; on nodes that are up. */
static int
copies(int r, bool only_up)
{
	int			count = 0;

	for (int i = 0; i < w.n; i++)
		count += w.node[i].has[r] && (!only_up || up(&w.node[i]));
	return count;
}

static int
quorum_of(int r)
{
	static const int table[] = {1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8};
	int			wanted = copies(r, false);

	if (wanted < w.lowest[r])
		wanted = w.lowest[r];
	if (wanted > w.highest[r])
		wanted = w.highest[r];
	return table[wanted];
}

/* What its leaving would do: 0 nothing, 1 it must wait for others, 2 its copy must move. */
static int
harm(const Node *d, int r)
{
	int			quorum = quorum_of(r);

	if (!up(d) || !d->has[r] || copies(r, true) < quorum || copies(r, true) - 1 >= quorum)
		return 0;
	return copies(r, false) - 1 >= quorum ? 1 : 2;
}

static bool
copies_kept(const Node *d)
{
	int			left = -1;

	if (w.level == AVAILABILITY_NONE || !up(d))
		return true;
	for (int i = 0; i < w.n; i++)
		left += up(&w.node[i]);
	for (int r = 0; r < w.nresources; r++)
	{
		if (!d->has[r])
			continue;
		if (w.level == AVAILABILITY_FULL && (!w.reallocate || left < w.highest[r]))
			return false;
		if (w.level == AVAILABILITY_PRIMARIES && (harm(d, r) == 1 || (harm(d, r) == 2 && !w.reallocate)))
			return false;
	}
	return true;
}

static int
serving_without(const Node *d)
{
	int			count = 0;

	for (int i = 0; i < w.n; i++)
		count += &w.node[i] != d && available(&w.node[i]);
	return count;
}

static bool
may_detach(const Node *d)
{
	return places_for(d) && (!available(d) || serving_without(d) >= 1);
}

static bool
may_take(const Node *d)
{
	return d->state != NODE_STARTING && d->state != NODE_TERMINATING && failures_borne(d) && may_detach(d) && copies_kept(d);
}

/* ---- the facts, as the database counts them ---- */

static ZduFacts facts;
static ZduBudget budgets[MOST_BUDGETS];
static ZduResource resources[MOST_RESOURCES];

static void
count_facts(void)
{
	memset(&facts, 0, sizeof(facts));
	facts.name = facts.policy = "c";
	facts.original = "1.0";
	facts.target = "1.1";
	facts.version_step = "any";
	facts.schema_phase = "none";
	facts.upgrade_id = 1;
	facts.run = RUN_RUNNING;
	facts.adopted = facts.prepared = facts.copies_known = true;
	facts.min_availability = w.level;
	facts.reallocate = w.reallocate;
	facts.budgets = budgets;
	facts.nbudgets = w.nbudgets;
	facts.resources = resources;
	facts.nresources = w.nresources;
	facts.total = w.n;
	for (int i = 0; i < w.n; i++)
	{
		const Node *d = &w.node[i];

		facts.serving += d->state == NODE_ACTIVE && d->in_rotation;
		facts.staying += available(d);
		facts.present += up(d);
		facts.taken += d->taken;
	}
	for (int b = 0; b < w.nbudgets; b++)
	{
		budgets[b] = w.budget[b];
		budgets[b].begun = w.begun[b];
		budgets[b].unavailable = away_under(b);
		budgets[b].failures = failed_under(b);
		for (int i = 0; i < w.n; i++)
		{
			budgets[b].total += w.node[i].under[b];
			budgets[b].unheard += w.node[i].under[b] && unheard(&w.node[i]);
		}
		budgets[b].unheard_node = budgets[b].unheard > 0 ? "app1" : NULL;
	}
	for (int r = 0; r < w.nresources; r++)
		resources[r] = (ZduResource) {"s", w.lowest[r], w.highest[r], copies(r, false), copies(r, false), copies(r, true)};
}

static ZduCandidate
candidate_of(const Node *d, int *under, int *has)
{
	ZduCandidate c = {.name = "app1", .state = d->state, .confirmed = d->confirmed, .in_rotation = d->in_rotation, .taken = d->taken};

	c.budgets = under;
	c.copies = has;
	for (int b = 1; b < w.nbudgets; b++)
		if (d->under[b])
			under[c.nbudgets++] = b;
	for (int r = 0; r < w.nresources; r++)
		if (d->has[r])
			has[c.ncopies++] = r;
	return c;
}

/* ---- what happens ---- */

/* D5: copies that must move do so before their node leaves; false: there is nowhere to move to. */
static bool
move_copies(Node *d)
{
	for (int r = 0; r < w.nresources; r++)
	{
		Node	   *to = NULL;

		if (!d->has[r] || !up(d) || (w.level == AVAILABILITY_PRIMARIES && harm(d, r) != 2))
			continue;
		for (int i = 0; i < w.n; i++)
			if (&w.node[i] != d && up(&w.node[i]) && !w.node[i].has[r])
				to = &w.node[i];
		if (to == NULL)
			return false;
		to->has[r] = true;
		d->has[r] = false;
	}
	return true;
}

static void
check_taken(const Node *d, const World *before)
{
	int			i = (int) (d - w.node);
	const Node *was = &before->node[i];
	World		now = w;

	promise(SERVES, !available(was) || serving_without(d) >= 1);
	for (int b = 0; b < w.nbudgets; b++)
	{
		if (!d->under[b])
			continue;
		promise(RATE, w.budget[b].max_begun == 0 || w.begun[b] <= w.budget[b].max_begun);
		if (w.budget[b].max_unavailable == NULL)
			continue;
		promise(AT_ONCE, !available(was) || away_under(b) <= limit_of(b));
		promise(UNHEARD, !unheard(was) || away_under(b) + 1 <= limit_of(b));
	}
	if (w.level == AVAILABILITY_NONE || !up(was))
		return;
	for (int r = 0; r < w.nresources; r++)
	{
		int			had;
		int			have;
		int			quorum;

		if (!was->has[r])
			continue;
		w = *before;
		had = copies(r, true);
		quorum = quorum_of(r);
		w = now;
		have = copies(r, true);
		promise(QUORUM, had < quorum || have >= quorum);
		promise(MOVES, w.reallocate || d->has[r]);
		promise(FULL, w.level != AVAILABILITY_FULL || have >= had);
	}
}

/* Facts that were carried on must be those that are counted. */
static void
check_debited(void)
{
	ZduFacts	carried = facts;
	ZduBudget	carried_budgets[MOST_BUDGETS];
	ZduResource carried_resources[MOST_RESOURCES];

	memcpy(carried_budgets, budgets, sizeof(budgets));
	memcpy(carried_resources, resources, sizeof(resources));
	count_facts();
	promise(DEBITED, carried.staying == facts.staying && carried.present == facts.present && carried.taken == facts.taken);
	for (int b = 0; b < w.nbudgets; b++)
		promise(DEBITED, carried_budgets[b].unavailable == budgets[b].unavailable && carried_budgets[b].begun == budgets[b].begun);
	for (int r = 0; r < w.nresources; r++)
		promise(DEBITED, carried_resources[r].present == resources[r].present);
}

static void
try_take(void)
{
	Node	   *d = &w.node[draw(w.n)];
	int			under[MOST_BUDGETS];
	int			has[MOST_RESOURCES];
	ZduCandidate c = candidate_of(d, under, has);
	ZduVerdict	v[ZDU_PREDICATES];
	World		before;
	bool		allowed;
	int			n;

	if (d->taken)
		return;
	n = zdu_decide_take(&facts, &c, v, &allowed);
	promise(AS_COUNTED, allowed == may_take(d));
	promise(FAILURES, !allowed || failures_borne(d));
	for (int i = 0; i < n; i++)
		promise(NAMED, v[i].answer == ANSWER_YES || (v[i].observed[0] != '\0' && strncmp(v[i].hint, "SELECT ", 7) == 0));
	refused_in_all += !allowed;
	if (!allowed)
		return;
	before = w;
	/* Copies that cannot move let the drain run out of time: the node stays. */
	if (w.level != AVAILABILITY_NONE && !move_copies(d))
	{
		w = before;
		return;
	}
	for (int b = 0; b < w.nbudgets; b++)
		w.begun[b] += d->under[b];
	d->taken = true;
	taken_in_all++;
	check_taken(d, &before);
	if (memcmp(before.node, w.node, sizeof(Node) * (size_t) (d - w.node)) != 0 ||
		memcmp(&before.node[d - w.node + 1], d + 1, sizeof(Node) * (size_t) (w.node + w.n - d - 1)) != 0)
		count_facts();			/* copies have moved: that is seen, not reckoned */
	else if (memcmp(before.node[d - w.node].has, d->has, sizeof(d->has)) != 0)
		count_facts();
	else
	{
		zdu_decide_debit(&facts, &c);
		check_debited();
	}
}

static void
try_detach(void)
{
	Node	   *d = &w.node[draw(w.n)];
	int			under[MOST_BUDGETS];
	int			has[MOST_RESOURCES];
	ZduCandidate c = candidate_of(d, under, has);
	ZduVerdict	v[ZDU_PREDICATES];
	bool		allowed;

	if (d->taken)
		return;
	zdu_decide_detach(&facts, &c, v, &allowed);
	promise(DETACH_AS_COUNTED, allowed == may_detach(d));
	if (!allowed)
		return;
	for (int b = 0; b < w.nbudgets; b++)
		w.begun[b] += d->under[b];
	d->in_rotation = false;
}

/* Something that nobody decides about. */
static void
live(void)
{
	static const ZduNodeState states[] = {NODE_ACTIVE, NODE_ACTIVE, NODE_ACTIVE, NODE_DRAINING, NODE_STARTING, NODE_TERMINATING, NODE_ERROR, NODE_OFFLINE, NODE_OFFLINE};
	Node	   *d = &w.node[draw(w.n)];

	switch (draw(6))
	{
		case 0:
			d->state = states[draw(lengthof(states))];
			d->confirmed = d->state == NODE_OFFLINE && draw(2);
			break;
		case 1:
			d->failed = draw(4) == 0;
			break;
		case 2:
			for (int b = 0; b < w.nbudgets; b++)
				w.begun[b] -= w.begun[b] > 0;
			break;
		default:
			/* Done: it serves again. */
			d->taken = d->failed = d->confirmed = false;
			d->state = NODE_ACTIVE;
			d->in_rotation = true;
	}
	count_facts();
}

static void
make_world(void)
{
	static const char *const limits[] = {"1", "1", "2", "3", "5", "25%", "33%", "50%", "100%"};

	memset(&w, 0, sizeof(w));
	w.n = 1 + draw(MOST_NODES);
	w.nbudgets = 1 + draw(MOST_BUDGETS);
	w.nresources = draw(MOST_RESOURCES + 1);
	w.level = (ZduAvailability) draw(3);
	w.reallocate = draw(3) > 0;
	for (int b = 0; b < w.nbudgets; b++)
	{
		ZduBudget  *budget = &w.budget[b];

		*budget = (ZduBudget) {.id = b, .name = "b", .where = b == 0 ? "" : " in zone a", .max_failures = -1};
		if (b == 0 || draw(4) > 0)
			budget->max_unavailable = limits[draw(lengthof(limits))];
		if (b > 0 && draw(3) == 0)
		{
			budget->max_begun = 1 + draw(4);
			budget->per_interval = budget->next_place = 60;
		}
		if (b == 0 || draw(3) == 0)
			budget->max_failures = draw(3);
	}
	for (int i = 0; i < w.n; i++)
	{
		w.node[i] = (Node) {.state = NODE_ACTIVE, .in_rotation = true};
		for (int b = 0; b < w.nbudgets; b++)
			w.node[i].under[b] = b == 0 || draw(2);
	}
	for (int r = 0; r < w.nresources; r++)
	{
		w.lowest[r] = 1 + draw(4);
		w.highest[r] = w.lowest[r] + draw(3);
		for (int k = 0; k < w.highest[r]; k++)
			w.node[draw(w.n)].has[r] = true;
	}
	count_facts();
}

int
main(int argc, char **argv)
{
	unsigned	clusters = argc > 1 ? (unsigned) atoi(argv[1]) : 8000;
	unsigned	first = argc > 2 ? (unsigned) atoi(argv[2]) : 1;

	for (seed = first; seed < first + clusters; seed++)
	{
		random_state = seed;
		make_world();
		for (int i = 0; i < STEPS; i++)
			switch (draw(8))
			{
				case 0:
					try_detach();
					count_facts();
					break;
				case 1:
				case 2:
				case 3:
					live();
					break;
				default:
					try_take();
			}
	}
	printf("# %u clusters: %lu nodes were taken, %lu refused\n", clusters, taken_in_all, refused_in_all);
	for (int p = 0; p < PROMISES; p++)
		if (broken[p] == 0)
			ok(true, promises[p].rule, "%s (%u clusters)", promises[p].claim, clusters);
		else
			ok(false, promises[p].rule, "%s (broken by seed %u)", promises[p].claim, broken[p]);
	return tap_end();
}
