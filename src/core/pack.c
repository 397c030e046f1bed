/*
 * pack.c
 *	  When each node is taken and done.
 *
 * Nodes that wait under the same budgets in the same wave are one signature:
 * only its first is ever looked at.  A signature without a place waits at the
 * gate that refused it, a node that a resource needs waits there; each opening
 * wakes the first in order only, and that one the next, so that what a step
 * costs follows what it changes and not how many wait.
 */
#include "core/pack.h"

#include <math.h>

#include "core/place.h"
#include "core/planner.h"

#define node_of(pl, w) ((int) ((w) - (pl)->waiting))
#define container(type, member, pointer) ((type *) ((char *) (pointer) - offsetof(type, member)))

double
zdu_pack_opens(const ZduPackBudget *b, double at)
{
	for (int i = 0; i < b->nclosed; i++)
		if (b->closed[i].from <= at && at < b->closed[i].to)
			at = b->closed[i].to;
	return at;
}

/*
 * The signature whose budgets have most to do comes first among equals: what
 * is left to do there, in rounds of its places, is what the end waits for.
 */
static double
weight(const Planner *pl, const Signature *s)
{
	double		heaviest = 0;
	double		sum = 0;

	if (!pl->weigh)
		return 0;
	for (int i = 0; i < s->nbudgets; i++)
	{
		const Budget *b = &pl->budgets[s->budgets[i]];
		double		load = b->given.limit < 0 ? 0 : b->load / b->limit;

		if (b->given.max_begun > 0)
		{
			double		rounds = (double) b->left / b->given.max_begun * b->given.interval;

			load = rounds > load ? rounds : load;
		}
		heaviest = load > heaviest ? load : heaviest;
		sum += load;
	}
	return heaviest + sum * 1e-6;
}

static void
put_in(ZduHeap *h, Signature *s)
{
	s->item.rank = s->nodes.root->rank;
	s->item.place = s->nodes.root->place;
	zdu_heap_push(h, &s->item);
	s->in = h;
}

static void
make_candidate(Planner *pl, Signature *s)
{
	if (s->nodes.root == NULL)
		return;
	s->item.weight = weight(pl, s);
	put_in(&pl->candidates, s);
}

static bool
gate_open(const Planner *pl, const Gate *g)
{
	const Budget *b = &pl->budgets[g->budget];

	if (!g->rate)
		return zdu_has_place(b->given.limit, b->used, 1);
	if (zdu_pack_opens(&b->given, pl->now) > pl->now)
		return false;
	return b->given.max_begun == 0 || b->nbegun < b->given.max_begun || b->begun[b->nbegun % b->ring] + b->given.interval <= pl->now;
}

/* A rate opens by itself, when its oldest beginning is long enough ago; what is closed, at the end of that. */
static void
set_opening(Planner *pl, Budget *b)
{
	double		opens = pl->now;

	if (b->opens)
		return;
	if (b->given.max_begun > 0 && b->nbegun >= b->given.max_begun)
		opens = fmax(opens, b->begun[b->nbegun % b->ring] + b->given.interval);
	opens = zdu_pack_opens(&b->given, opens);
	if (isinf(opens))
		return;
	b->opening.rank = b->opening.place = 0;
	b->opening.weight = -opens;
	zdu_heap_push(&pl->openings, &b->opening);
	b->opens = true;
}

/* Wakes the first that waits there, if there is room for it. */
static void
wake(Planner *pl, Gate *g)
{
	Signature  *s;

	if (g->parked.root == NULL)
		return;
	if (!gate_open(pl, g))
	{
		if (g->rate)
			set_opening(pl, &pl->budgets[g->budget]);
		return;
	}
	s = container(Signature, item, zdu_heap_pop(&g->parked));
	s->woken_by = g;
	make_candidate(pl, s);
}

/* Whoever was woken and is no longer on its way has the next one woken. */
static void
pass_on(Planner *pl, Signature *s)
{
	Gate	   *g = s->woken_by;

	s->woken_by = NULL;
	if (g != NULL)
		wake(pl, g);
}

static void
park(Planner *pl, Signature *s, Gate *g)
{
	ZduPackNode *first = &pl->p->nodes[node_of(pl, container(Waiting, item, s->nodes.root))];

	s->wait = first->wait = g->rate ? WAIT_RATE : WAIT_BUDGET;
	s->which = first->which = g->budget;
	put_in(&g->parked, s);
	if (g->rate)
		set_opening(pl, &pl->budgets[g->budget]);
}

/* A node that is to be looked at again: its signature's first may be another now. */
static void
offer(Planner *pl, Waiting *w)
{
	Signature  *s = w->signature;
	ZduHeap    *in = s->in;

	if (in != NULL)
		zdu_heap_remove(in, &s->item);
	zdu_heap_push(&s->nodes, &w->item);
	if (s == pl->looked_at)
		return;
	/* A closed gate lets this one pass no more than the others; an open one may be on its way to someone later in order. */
	if (in == NULL || in == &pl->candidates || gate_open(pl, container(Gate, parked, in)))
		make_candidate(pl, s);
	else
		put_in(in, s);
}

static void
wake_queue(Planner *pl, int resource, Queue *q)
{
	const Resource *r = &pl->resources[resource];
	Waiting    *w;

	if (q->woken || q->nodes.root == NULL || !zdu_keeps_copies(r->active, r->minimum))
		return;
	w = container(Waiting, item, zdu_heap_pop(&q->nodes));
	q->woken = true;
	w->woken_by = q;
	w->resource = resource;
	offer(pl, w);
}

static void
pass_on_node(Planner *pl, Waiting *w)
{
	Queue	   *q = w->woken_by;

	w->woken_by = NULL;
	if (q == NULL)
		return;
	q->woken = false;
	wake_queue(pl, w->resource, q);
}

/* Puts the first node of a signature where a resource's copies will wake it. */
static void
park_node(Planner *pl, Waiting *w, int resource)
{
	Resource   *r = &pl->resources[resource];
	Signature  *s = w->signature;
	ZduPackNode *node = &pl->p->nodes[node_of(pl, w)];
	Queue	   *q = r->queues;

	zdu_heap_remove(&s->nodes, &w->item);
	node->wait = WAIT_COPIES;
	node->which = resource;
	while (q != NULL && q->signature != s)
		q = q->next;
	if (q == NULL)
	{
		q = zdu_plan_alloc(pl, 1, sizeof(Queue));
		if (q == NULL)
			return;
		q->signature = s;
		q->next = r->queues;
		r->queues = q;
	}
	zdu_heap_push(&q->nodes, &w->item);
	/* It may come before the one that is on its way. */
	q->woken = false;
	pass_on_node(pl, w);
}

/* Returns the resource that a node's leaving would hurt, negative: none. */
static int
hurt(const Planner *pl, const ZduPackNode *node)
{
	if (!node->gone)
		for (int i = 0; i < node->nresources; i++)
		{
			const Resource *r = &pl->resources[node->resources[i]];

			if (!zdu_keeps_copies(r->active, r->minimum))
				return node->resources[i];
		}
	return -1;
}

static Gate *
closed_gate(Planner *pl, const Signature *s)
{
	for (int i = 0; i < s->nbudgets; i++)
	{
		Budget	   *b = &pl->budgets[s->budgets[i]];

		if (s->needs && !gate_open(pl, &b->places))
			return &b->places;
		if (!gate_open(pl, &b->begins))
			return &b->begins;
	}
	return NULL;
}

/* Returns the node whose place is taken next, negative: nobody's who was there before. */
static int
freed_by(const Budget *b)
{
	return b->nretaken < b->nfreed ? b->freed[b->nretaken % b->freed_ring] : -1;
}

/* Notes what the node had waited for, and who let it go. */
static void
note_wait(Planner *pl, ZduPackNode *node, const Signature *s)
{
	const Resource *r = node->wait == WAIT_COPIES ? &pl->resources[node->which] : NULL;

	if (pl->now <= 0)
		node->wait = WAIT_NOTHING;
	else if (r == NULL || r->freed_by < 0 || pl->p->nodes[r->freed_by].end < pl->now)
	{
		/* Whatever it waited for itself, its signature had to wait longer. */
		node->wait = s->wait;
		node->which = s->which;
	}
	if (node->wait == WAIT_BUDGET)
		node->after = freed_by(&pl->budgets[node->which]);
	else if (node->wait == WAIT_COPIES)
		node->after = pl->resources[node->which].freed_by;
	else if (node->wait == WAIT_WAVE)
		node->after = pl->last;
}

static void
take(Planner *pl, Waiting *w)
{
	ZduPackNode *node = &pl->p->nodes[node_of(pl, w)];
	Signature  *s = w->signature;

	zdu_heap_remove(&s->nodes, &w->item);
	note_wait(pl, node, s);
	node->turn = ++pl->p->taken;
	node->start = pl->now;
	node->end = pl->now + node->duration;
	for (int i = 0; i < s->nbudgets; i++)
	{
		Budget	   *b = &pl->budgets[s->budgets[i]];

		if (!node->down)
		{
			b->used++;
			b->nretaken += freed_by(b) >= 0;
		}
		b->load -= node->duration;
		b->left--;
		if (b->given.max_begun > 0)
			b->begun[b->nbegun++ % b->ring] = pl->now;
	}
	for (int i = 0; i < node->nresources && !node->gone; i++)
		pl->resources[node->resources[i]].active--;
	if (!node->down)
	{
		pl->serving--;
		if (pl->serving < pl->p->lowest)
			pl->p->lowest = pl->serving;
	}
	pass_on_node(pl, w);
	w->item.rank = 0;
	w->item.weight = -node->end;
	zdu_heap_push(&pl->flight, &w->item);
}

/* Looks at the first node of a signature: it goes, or waits where it is refused. */
static void
look_at(Planner *pl, Signature *s)
{
	Waiting    *first = container(Waiting, item, s->nodes.root);
	Gate	   *gate = closed_gate(pl, s);
	int			resource;

	if (gate != NULL)
	{
		park(pl, s, gate);
		return;
	}
	pl->looked_at = s;
	resource = hurt(pl, &pl->p->nodes[node_of(pl, first)]);
	if (resource >= 0)
		park_node(pl, first, resource);
	else
		take(pl, first);
	pl->looked_at = NULL;
	make_candidate(pl, s);
}

/* Takes whatever may go now. */
static void
fill(Planner *pl)
{
	while (pl->candidates.root != NULL && !pl->p->held && !pl->exhausted)
	{
		Signature  *s = container(Signature, item, zdu_heap_pop(&pl->candidates));

		pl->p->work++;
		s->in = NULL;
		/* Weights only fall: what was first may be so no more. */
		if (weight(pl, s) < s->item.weight)
			make_candidate(pl, s);
		else
			look_at(pl, s);
		pass_on(pl, s);
	}
}

static void
open_wave(Planner *pl)
{
	pl->wave_opens = -1;
	for (int i = 0; i < pl->nsignatures; i++)
		if (pl->signatures[i].wave == pl->wave)
		{
			pl->signatures[i].wait = pl->wave > 0 ? WAIT_WAVE : WAIT_NOTHING;
			pl->signatures[i].which = pl->wave - 1;
			make_candidate(pl, &pl->signatures[i]);
		}
}

/* Goes on to the next wave that has nodes, or sets when. */
static void
next_wave(Planner *pl)
{
	while (pl->wave_opens < 0 && pl->wave + 1 < pl->p->nwaves && pl->left[pl->wave] == 0)
	{
		pl->wave_opens = pl->now + pl->p->waves[pl->wave].soak;
		pl->wave++;
		if (pl->wave_opens > pl->now)
			return;
		open_wave(pl);
	}
}

static void
finish(Planner *pl, Waiting *w)
{
	int			index = node_of(pl, w);
	ZduPackNode *node = &pl->p->nodes[index];
	const Signature *s = w->signature;

	pl->last = index;
	if (node->end > pl->p->makespan)
		pl->p->makespan = node->end;
	pl->p->failures += node->fails;
	if (node->fails && pl->p->max_failures >= 0 && pl->p->failures > pl->p->max_failures)
		pl->p->held = true;
	for (int i = 0; i < s->nbudgets; i++)
	{
		Budget	   *b = &pl->budgets[s->budgets[i]];

		b->failures += node->fails;
		if (b->given.max_failures >= 0 && b->failures > b->given.max_failures)
			pl->p->held = true;
		if (node->fails)
			continue;
		b->used--;
		/* Of an overdrawn budget nobody gets the place. */
		if (b->given.limit >= 0 && b->used < b->given.limit)
			b->freed[b->nfreed++ % b->freed_ring] = index;
		wake(pl, &b->places);
	}
	if (node->fails)
		return;
	for (int i = 0; i < node->nresources; i++)
	{
		Resource   *r = &pl->resources[node->resources[i]];

		r->active++;
		r->freed_by = index;
		for (Queue *q = r->queues; q != NULL; q = q->next)
			wake_queue(pl, node->resources[i], q);
	}
	pl->serving++;
	pl->left[node->wave]--;
}

/* Returns the time of what comes next, negative: nothing does. */
static double
next_time(const Planner *pl)
{
	double		next = pl->wave_opens;

	if (pl->flight.root != NULL && (next < 0 || -pl->flight.root->weight < next))
		next = -pl->flight.root->weight;
	if (pl->openings.root != NULL && (next < 0 || -pl->openings.root->weight < next))
		next = -pl->openings.root->weight;
	return next;
}

static void
run(Planner *pl)
{
	double		next;

	next_wave(pl);
	fill(pl);
	while (!pl->exhausted && (next = next_time(pl)) >= 0)
	{
		pl->now = next;
		while (pl->flight.root != NULL && -pl->flight.root->weight <= next)
			finish(pl, container(Waiting, item, zdu_heap_pop(&pl->flight)));
		while (pl->openings.root != NULL && -pl->openings.root->weight <= next)
		{
			Budget	   *b = container(Budget, opening, zdu_heap_pop(&pl->openings));

			b->opens = false;
			wake(pl, &b->begins);
		}
		if (pl->wave_opens >= 0 && pl->wave_opens <= next)
			open_wave(pl);
		next_wave(pl);
		fill(pl);
	}
}

bool
zdu_pack(ZduPack *p)
{
	Planner		pl = {.p = p, .wave_opens = -1, .last = -1, .serving = p->serving};

	p->taken = p->failures = p->equals = 0;
	p->makespan = 0;
	p->lowest = p->serving;
	p->held = false;
	p->work = 0;
	pl.waiting = zdu_plan_alloc(&pl, (size_t) p->nnodes, sizeof(Waiting));
	pl.left = zdu_plan_alloc(&pl, (size_t) p->nwaves, sizeof(int));
	pl.resources = zdu_plan_alloc(&pl, (size_t) p->nresources, sizeof(Resource));
	if (!pl.exhausted)
		zdu_plan_budgets(&pl);
	if (!pl.exhausted)
		zdu_plan_signatures(&pl);
	if (pl.exhausted)
		return false;
	for (int i = 0; i < p->nresources; i++)
		pl.resources[i] = (Resource) {p->resources[i].active, p->resources[i].minimum, -1, NULL};
	open_wave(&pl);
	run(&pl);
	/* Who was never taken waits for what refused it last. */
	for (int i = 0; i < p->nnodes; i++)
	{
		const Signature *s = pl.waiting[i].signature;

		if (p->nodes[i].turn > 0 || p->nodes[i].wait == WAIT_COPIES)
			continue;
		p->nodes[i].wait = p->held ? WAIT_HELD : s->wave > pl.wave ? WAIT_WAVE : s->wait;
		p->nodes[i].which = p->held ? -1 : s->wave > pl.wave ? s->wave - 1 : s->which;
	}
	return !pl.exhausted;
}

static void
choose(ZduPack *p, int way)
{
	p->choice = way < CHOOSE_BY_LUCK ? (ZduPackChoice) way : CHOOSE_BY_LUCK;
	p->luck = way < CHOOSE_BY_LUCK ? 0 : (uint32_t) (way - CHOOSE_BY_LUCK + 1);
}

/* Is what was planned last better than the plan before it, made by an easier choice or the same? */
static bool
is_better(const ZduPack *p, ZduPackChoice choice, int taken, double makespan)
{
	if (p->taken != taken)
		return p->taken > taken;
	return p->makespan * (p->choice > choice ? ZDU_PACK_WORTH : 1) < makespan;
}

bool
zdu_pack_best(ZduPack *p, int tries)
{
	double		bound = zdu_pack_bound(p);
	ZduPackChoice choice = CHOOSE_FIRST;
	int			best = 0;
	int			taken = -1;
	double		makespan = 0;
	int			way;

	for (way = 0; way < tries || way < CHOOSE_BY_LUCK; way++)
	{
		choose(p, way);
		if (!zdu_pack(p))
			return false;
		if (is_better(p, choice, taken, makespan))
		{
			best = way;
			choice = p->choice;
			taken = p->taken;
			makespan = p->makespan;
		}
		/* Nothing to choose, or nothing to gain. */
		if (p->equals == 0 || (taken == p->nnodes && makespan <= bound * ZDU_PACK_WORTH))
			break;
	}
	if (way == best)
		return true;
	choose(p, best);
	return zdu_pack(p);
}
