/*
 * pack_naive.h
 *	  A scheduler without any of the planner's cleverness, to judge it by.
 */
#ifndef PACK_NAIVE_H
#define PACK_NAIVE_H

#include "pack_world.h"

#define NEVER 1e300

/* What is true of a schedule at one moment; start is NEVER for who was not yet taken. */
typedef struct Moment
{
	const ZduPack *p;
	const double *start;
	double		at;
} Moment;

static bool
is_away(const Moment *m, int i)
{
	return m->start[i] <= m->at && m->at < m->start[i] + m->p->nodes[i].duration;
}

static bool
is_over(const Moment *m, int i)
{
	return m->start[i] + m->p->nodes[i].duration <= m->at;
}

static bool
has(const int *list, int n, int what)
{
	for (int i = 0; i < n; i++)
		if (list[i] == what)
			return true;
	return false;
}

static bool
budget_allows(const Moment *m, const ZduPackNode *node, int b)
{
	const ZduPackBudget *budget = &m->p->budgets[b];
	int			away = budget->used;
	int			begun = 0;

	for (int i = 0; i < m->p->nnodes; i++)
	{
		const ZduPackNode *other = &m->p->nodes[i];

		if (!has(other->budgets, other->nbudgets, b))
			continue;
		if (!other->down && is_away(m, i))
			away++;
		if (other->down && is_over(m, i))
			away--;
		if (m->start[i] <= m->at && m->start[i] + budget->interval > m->at)
			begun++;
	}
	if (budget->max_begun > 0 && begun >= budget->max_begun)
		return false;
	for (int i = 0; i < budget->nclosed; i++)
		if (budget->closed[i].from <= m->at && m->at < budget->closed[i].to)
			return false;
	return budget->limit < 0 || (node->down && !node->unheard) || away + 1 <= budget->limit;
}

static bool
copies_allow(const Moment *m, const ZduPackNode *node, int r)
{
	int			active = m->p->resources[r].active;

	for (int i = 0; i < m->p->nnodes; i++)
	{
		const ZduPackNode *other = &m->p->nodes[i];

		if (!has(other->resources, other->nresources, r))
			continue;
		if (!other->gone && is_away(m, i))
			active--;
		if (other->gone && is_over(m, i))
			active++;
	}
	return node->gone || active < m->p->resources[r].minimum || active - 1 >= m->p->resources[r].minimum;
}

/* When the wave opens, NEVER: not yet known. */
static double
wave_opens(const Moment *m, int wave)
{
	double		opens = 0;

	for (int w = 0; w < wave; w++)
	{
		for (int i = 0; i < m->p->nnodes; i++)
			if (m->p->nodes[i].wave == w)
			{
				if (m->start[i] == NEVER)
					return NEVER;
				opens = fmax(opens, m->start[i] + m->p->nodes[i].duration);
			}
		opens += m->p->waves[w].soak;
	}
	return opens;
}

/* May node i, not yet taken, go at this moment?  All that counts is counted anew. */
static bool
may_go(const Moment *m, int i)
{
	const ZduPackNode *node = &m->p->nodes[i];

	if (wave_opens(m, node->wave) > m->at)
		return false;
	for (int k = 0; k < node->nbudgets; k++)
		if (!budget_allows(m, node, node->budgets[k]))
			return false;
	for (int k = 0; k < node->nresources; k++)
		if (!copies_allow(m, node, node->resources[k]))
			return false;
	return true;
}

/* The next moment at which anything may change, NEVER: nothing does. */
static double
next_moment(const Moment *m)
{
	double		next = NEVER;

	for (int i = 0; i < m->p->nnodes; i++)
	{
		const ZduPackNode *node = &m->p->nodes[i];

		if (m->start[i] == NEVER)
			continue;
		if (m->start[i] + node->duration > m->at)
			next = fmin(next, m->start[i] + node->duration);
		for (int k = 0; k < node->nbudgets; k++)
		{
			const ZduPackBudget *b = &m->p->budgets[node->budgets[k]];

			if (b->max_begun > 0 && m->start[i] + b->interval > m->at)
				next = fmin(next, m->start[i] + b->interval);
		}
	}
	for (int b = 0; b < m->p->nbudgets; b++)
		for (int i = 0; i < m->p->budgets[b].nclosed; i++)
			if (m->p->budgets[b].closed[i].to > m->at && !isinf(m->p->budgets[b].closed[i].to))
				next = fmin(next, m->p->budgets[b].closed[i].to);
	for (int w = 1; w < m->p->nwaves; w++)
	{
		double		opens = wave_opens(m, w);

		if (opens > m->at)
			next = fmin(next, opens);
	}
	return next;
}

/*
 * List scheduling as one would write it on a napkin: at every moment take the
 * first of the list that may go, until none may.  Sets start[]; returns the
 * makespan.
 */
static double
naive_schedule(const ZduPack *p, const int *list, double *start)
{
	Moment		m = {p, start, 0};
	double		makespan = 0;

	for (int i = 0; i < p->nnodes; i++)
		start[i] = NEVER;
	while (m.at < NEVER)
	{
		for (int i = 0; i < p->nnodes; i++)
			if (start[list[i]] == NEVER && may_go(&m, list[i]))
			{
				start[list[i]] = m.at;
				makespan = fmax(makespan, m.at + p->nodes[list[i]].duration);
				i = -1;			/* whoever was refused before may go after all */
			}
		m.at = next_moment(&m);
	}
	return makespan;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Sorts values and returns the one below which that share of them is. */
static double
quantile(double *values, int n, double share)
{
	qsort(values, (size_t) n, sizeof(double), compare_doubles);
	return values[(int) (share * (n - 1) + 0.5)];
}

#endif							/* PACK_NAIVE_H */
