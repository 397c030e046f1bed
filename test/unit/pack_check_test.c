/*
 * pack_check_test.c
 *	  Promise: whatever the planner grants, a scheduler without any of its
 *	  cleverness grants too; nothing is overdrawn; and up to eight nodes its
 *	  makespan is near the true optimum.  Prints TAP.
 */
#include "pack_naive.h"
#include "tap.h"

#define WORLDS 4000
#define MAX_NODES 24
#define OPTIMA 400
#define OPTIMUM_NODES 8

/* A cluster with a bit of everything. */
static World
any_world(int nnodes)
{
	int			nbudgets = pick(0, 5);
	int			nresources = pick(0, 2) == 0 ? pick(1, nnodes) : 0;
	int			nwaves = pick(0, 3) == 0 ? pick(2, 3) : 1;
	World		w = new_world(nnodes, nbudgets, nresources, nwaves);
	int			styles = pick(0, 3);
	double		uniform = pick(1, 5);

	for (int b = 0; b < nbudgets; b++)
	{
		w.budgets[b].limit = pick(0, 9) == 0 ? -1 : pick(1, 1 + nnodes / 2);
		if (pick(0, 3) == 0)
		{
			w.budgets[b].max_begun = pick(1, 3);
			w.budgets[b].interval = pick(1, 9);
		}
	}
	for (int i = 0; i < nnodes; i++)
	{
		ZduPackNode *n = &w.nodes[i];

		n->rank = styles == 0 ? i : styles == 1 ? 0 : pick(0, nnodes);
		n->wave = nwaves == 1 ? 0 : i * nwaves / nnodes;
		n->down = pick(0, 7) == 0;
		n->unheard = n->down && pick(0, 1) == 0;
		n->gone = n->down && pick(0, 1) == 0;
		n->duration = styles == 3 ? uniform : pick(0, 2) == 0 ? pick(1, 9) : lognormal(5, 0.7);
		for (int b = 0; b < nbudgets; b++)
			if (pick(0, 2) > 0)
				put_under(&w, i, b);
		w.p.serving -= n->down;
		for (int k = 0; k < n->nbudgets && n->down; k++)
			w.budgets[n->budgets[k]].used++;
	}
	for (int r = 0; r < nresources; r++)
	{
		int			copies = pick(1, nnodes < 5 ? nnodes : 5);

		for (int c = 0, i = pick(0, nnodes - 1); c < copies; c++, i = (i + 1) % nnodes)
		{
			put_copy(&w, i, r);
			w.resources[r].active -= w.nodes[i].gone;
		}
		w.resources[r].minimum = pick(0, 3) == 0 ? copies - 1 : zdu_copies_quorum(copies);
	}
	for (int i = 0; i < nwaves; i++)
		w.waves[i].soak = pick(0, 1) * pick(1, 20);
	return w;
}

static const ZduPack *sorted_pack;

/* By rank, and in the order in which the plan took them. */
static int
compare_plan(const void *pa, const void *pb)
{
	const ZduPackNode *a = &sorted_pack->nodes[*(const int *) pa];
	const ZduPackNode *b = &sorted_pack->nodes[*(const int *) pb];

	if (a->rank != b->rank)
		return a->rank - b->rank;
	if (a->turn != b->turn)
		return a->turn == 0 ? 1 : b->turn == 0 ? -1 : a->turn - b->turn;
	return *(const int *) pa - *(const int *) pb;
}

static void
list_of(const ZduPack *p, int *list)
{
	for (int i = 0; i < p->nnodes; i++)
		list[i] = i;
	sorted_pack = p;
	qsort(list, (size_t) p->nnodes, sizeof(int), compare_plan);
}

/* Freezes and windows of some nodes, now and later; few are for good. */
static void
close_some(World *w)
{
	for (int b = 0; b < w->p.nbudgets; b++)
	{
		int			n = pick(0, 2) == 0 ? pick(1, 3) : 0;
		ZduPackSpan *spans = allocate(sizeof(ZduPackSpan) * (size_t) (n + 1));
		double		at = pick(0, 1) == 0 ? 0 : pick(1, 9);

		for (int i = 0; i < n; i++, at += pick(0, 2) == 0 ? 0 : pick(1, 9))
		{
			spans[i].from = at;
			at = spans[i].to = i == n - 1 && pick(0, 9) == 0 ? INFINITY : at + pick(1, 9);
		}
		w->budgets[b].closed = spans;
		w->budgets[b].nclosed = n;
	}
}

typedef struct Counts
{
	int			differ;			/* from the naive schedule in the same order */
	int			overdrawn;
	int			hurt;
	int			rates;
	int			closed;
	int			waves;
	int			dark;			/* moments at which fewer served than said */
	int			below;			/* makespans below the bound */
	int			never;			/* bound says some never go, the plan took all */
	int			waits;			/* taken late without a reason */
	int			taken;
} Counts;

/* Looks at every moment at which a node was taken, from the schedule alone. */
static void
check_moments(const ZduPack *p, const double *start, Counts *c)
{
	int			lowest = p->serving;

	for (int j = 0; j < p->nnodes; j++)
	{
		const ZduPackNode *node = &p->nodes[j];
		Moment		m = {p, start, start[j]};
		int			serving = p->serving;

		if (start[j] == NEVER)
			continue;
		c->taken++;
		for (int b = 0; b < p->nbudgets; b++)
		{
			const ZduPackBudget *budget = &p->budgets[b];
			int			away = budget->used;
			int			begun = 0;

			if (!has(node->budgets, node->nbudgets, b))
				continue;
			for (int i = 0; i < p->nnodes; i++)
				if (has(p->nodes[i].budgets, p->nodes[i].nbudgets, b))
				{
					away += p->nodes[i].down ? -is_over(&m, i) : is_away(&m, i);
					begun += start[i] <= m.at && start[i] + budget->interval > m.at;
				}
			c->overdrawn += !node->down && budget->limit >= 0 && away > budget->limit;
			c->rates += budget->max_begun > 0 && begun > budget->max_begun;
			for (int i = 0; i < budget->nclosed; i++)
				c->closed += budget->closed[i].from <= m.at && m.at < budget->closed[i].to;
		}
		for (int k = 0; k < node->nresources && !node->gone; k++)
		{
			const ZduPackResource *r = &p->resources[node->resources[k]];
			int			active = r->active;

			for (int i = 0; i < p->nnodes; i++)
				if (has(p->nodes[i].resources, p->nodes[i].nresources, node->resources[k]))
					active += p->nodes[i].gone ? is_over(&m, i) : -is_away(&m, i);
			/* Below its minimum only if it was so before anybody left. */
			c->hurt += active < r->minimum && r->active >= r->minimum;
		}
		c->waves += wave_opens(&m, node->wave) > start[j];
		for (int i = 0; i < p->nnodes; i++)
			serving += p->nodes[i].down ? is_over(&m, i) : -is_away(&m, i);
		lowest = serving < lowest ? serving : lowest;
		c->waits += (start[j] > 0) != (node->wait != WAIT_NOTHING);
		/* Whose place it takes, whose copies are back: that one ended at this moment, and nobody else gave way. */
		if (node->after >= 0 && node->wait != WAIT_WAVE)
			c->waits += p->nodes[node->after].end != start[j] ||
				!(node->wait == WAIT_BUDGET ? has(p->nodes[node->after].budgets, p->nodes[node->after].nbudgets, node->which) :
				  has(p->nodes[node->after].resources, p->nodes[node->after].nresources, node->which));
	}
	c->dark += lowest != p->lowest;
}

static void
check_world(World *w, ZduPackChoice choice, Counts *c)
{
	ZduPack    *p = &w->p;
	int			list[MAX_NODES];
	double		naive[MAX_NODES];
	double		found[MAX_NODES];
	double		makespan;
	double		bound = zdu_pack_bound(p);
	bool		same = true;

	p->choice = choice;
	p->luck = choice == CHOOSE_BY_LUCK ? (uint32_t) pick(1, 9) : 0;
	same &= zdu_pack(p);
	list_of(p, list);
	makespan = naive_schedule(p, list, naive);
	for (int i = 0; i < p->nnodes; i++)
	{
		found[i] = p->nodes[i].turn > 0 ? p->nodes[i].start : NEVER;
		same &= found[i] == naive[i];
	}
	c->differ += !same || makespan != p->makespan;
	check_moments(p, found, c);
	c->never += bound < 0 && p->taken == p->nnodes;
	c->below += p->taken == p->nnodes && p->makespan < bound * (1 - 1e-9);
}

static void
test_checked(ZduPackChoice choice, bool closed, const char *what)
{
	Counts		c = {0};

	for (int i = 0; i < WORLDS; i++)
	{
		World		w = any_world(pick(1, MAX_NODES));

		if (closed)
			close_some(&w);
		check_world(&w, choice, &c);
	}
	ok(c.differ == 0, "N14", "%s: %d of %d schedules differ from naive list scheduling in the plan's order", what, c.differ, WORLDS);
	ok(c.overdrawn == 0 && c.taken > WORLDS, "D11", "%s: %d overdrafts in %d takings", what, c.overdrawn, c.taken);
	ok(c.rates == 0, "D11", "%s: %d rates exceeded", what, c.rates);
	ok(c.closed == 0, "L22", "%s: %d nodes begun in a freeze", what, c.closed);
	ok(c.hurt == 0, "D4", "%s: %d times too few copies", what, c.hurt);
	ok(c.waves == 0, "D11", "%s: %d nodes taken before their wave", what, c.waves);
	ok(c.dark == 0, "D14", "%s: the fewest that serve are as said, %d times not", what, c.dark);
	ok(c.waits == 0, "L22", "%s: who is taken late says why and whose end let it go, %d do not", what, c.waits);
	ok(c.below == 0 && c.never == 0, "D10", "%s: %d makespans below the lower bound, %d taken that never can be", what, c.below, c.never);
}

/* A search for the true optimum: nodes put one after another at their earliest moment, in every order. */
typedef struct Search
{
	const ZduPack *p;
	double		bound;
	double		best;
	double		start[OPTIMUM_NODES];
} Search;

/* Could node i go at this moment without taking away from who was put down already, even later on? */
static bool
fits(Search *s, int i, double at)
{
	Moment		m = {s->p, s->start, at};
	bool		fits;

	s->start[i] = NEVER;
	fits = may_go(&m, i);
	s->start[i] = at;
	for (int j = 0; j < s->p->nnodes && fits; j++)
	{
		double		was = s->start[j];

		if (j == i || was == NEVER || was < at)
			continue;
		s->start[j] = NEVER;
		m.at = was;
		fits = may_go(&m, j);
		s->start[j] = was;
	}
	s->start[i] = NEVER;
	return fits;
}

static void
search(Search *s, int placed, double makespan)
{
	const ZduPack *p = s->p;

	if (s->best <= s->bound * (1 + 1e-12) || makespan >= s->best)
		return;
	if (placed == p->nnodes)
	{
		s->best = makespan;
		return;
	}
	for (int i = 0; i < p->nnodes; i++)
	{
		double		moments[1 + OPTIMUM_NODES * 7];
		int			n = 0;

		if (s->start[i] != NEVER)
			continue;
		moments[n++] = 0;
		for (int j = 0; j < p->nnodes; j++)
			if (s->start[j] != NEVER)
			{
				moments[n++] = s->start[j] + p->nodes[j].duration;
				for (int b = 0; b < p->nbudgets; b++)
					if (p->budgets[b].max_begun > 0)
						moments[n++] = s->start[j] + p->budgets[b].interval;
			}
		qsort(moments, (size_t) n, sizeof(double), compare_doubles);
		for (int k = 0; k < n; k++)
			if (fits(s, i, moments[k]))
			{
				s->start[i] = moments[k];
				search(s, placed + 1, fmax(makespan, moments[k] + p->nodes[i].duration));
				s->start[i] = NEVER;
				break;
			}
	}
}

static void
test_optimum(void)
{
	static const double steps[] = {1.0000001, 1.05, 1.1, 1.2, 1.35, 1.5, 2};
	int			within[lengthof(steps)] = {0};
	double		ratios[OPTIMA];
	double		by_name[OPTIMA];
	int			n = 0;
	int			below = 0;

	while (n < OPTIMA)
	{
		World		w = any_world(pick(2, OPTIMUM_NODES));
		Search		s = {.p = &w.p, .bound = zdu_pack_bound(&w.p), .best = NEVER};

		/* Waves are barriers whoever plans; down nodes change what later ones may do. */
		for (int i = 0; i < w.p.nnodes; i++)
		{
			w.nodes[i].rank = w.nodes[i].wave = 0;
			for (int k = 0; k < w.nodes[i].nbudgets && w.nodes[i].down; k++)
				w.budgets[w.nodes[i].budgets[k]].used--;
			for (int k = 0; k < w.nodes[i].nresources && w.nodes[i].gone; k++)
				w.resources[w.nodes[i].resources[k]].active++;
			w.nodes[i].down = w.nodes[i].unheard = w.nodes[i].gone = false;
			s.start[i] = NEVER;
		}
		w.p.nwaves = 1;
		s.bound = zdu_pack_bound(&w.p);
		if (s.bound < 0 || !zdu_pack_best(&w.p, 16) || w.p.taken < w.p.nnodes)
			continue;
		search(&s, 0, 0);
		ratios[n] = w.p.makespan / s.best;
		w.p.choice = CHOOSE_FIRST;
		w.p.luck = 0;
		(void) zdu_pack(&w.p);
		by_name[n] = w.p.makespan / s.best;
		w.p.makespan = ratios[n] * s.best;
		below += w.p.makespan < s.best * (1 - 1e-9) || s.best < s.bound * (1 - 1e-9);
		for (int k = 0; k < lengthof(steps); k++)
			within[k] += ratios[n] <= steps[k];
		n++;
	}
	printf("# makespan / true optimum, %d clusters of 2 to %d nodes, where the planner may choose:", OPTIMA, OPTIMUM_NODES);
	for (int k = 0; k < lengthof(steps); k++)
		printf(" <=%.2f: %.1f %%", steps[k], 100.0 * within[k] / OPTIMA);
	printf("\n# strictly by name: median %.2f, nine of ten within %.2f, worst %.2f\n", quantile(by_name, n, 0.5), quantile(by_name, n, 0.9), quantile(by_name, n, 1));
	ok(below == 0, "D10", "no makespan is below the true optimum, and no optimum below the bound (%d are)", below);
	ok(quantile(ratios, n, 0.5) <= 1.0000001 && quantile(ratios, n, 0.9) <= 1.05 && quantile(ratios, n, 1) <= 1.35, "N14",
	   "makespan / true optimum: median %.2f, nine of ten within %.2f, worst %.2f", quantile(ratios, n, 0.5), quantile(ratios, n, 0.9), quantile(ratios, n, 1));
}

int
main(void)
{
	test_checked(CHOOSE_FIRST, false, "as they come");
	test_checked(CHOOSE_FIRST, true, "as they come, with freezes");
	test_checked(CHOOSE_FULLEST, false, "fullest budget first");
	test_checked(CHOOSE_LONGEST, false, "longest first");
	test_checked(CHOOSE_BY_LUCK, false, "mixed");
	test_checked(CHOOSE_BY_LUCK, true, "mixed, with freezes");
	test_optimum();
	forget_world();
	return tap_end();
}
