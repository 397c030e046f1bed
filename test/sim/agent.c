/*
 * agent.c
 *	  Nodes that report themselves.
 *
 * As doc/nodes.md says: it asks before it starts, beats, and says when it goes.
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "game.h"

#define START_TIME 0.2

void
agents_init(Game *g)
{
	for (int i = 0; i < g->world.n; i++)
	{
		Agent	   *a = &g->agent[i];

		a->speaks = dice_percent(&g->agent_dice, g->scene.speaking);
		a->due = a->late_at = NEVER;
	}
}

/* It is another process than it was, or none any more. */
static bool
has_changed(const Agent *a, const Node *n)
{
	return a->speaks && a->runs != n->running;
}

double
agents_due(const Game *g)
{
	double		due = NEVER;

	for (int i = 0; i < g->world.n && g->scene.speaking > 0; i++)
	{
		const Agent *a = &g->agent[i];

		if (has_changed(a, &g->world.node[i]))
			return g->now;
		due = a->due < due ? a->due : due;
		due = a->late_at < due ? a->late_at : due;
	}
	return due > g->now ? due : g->now;
}

/* Returns a field of the only row that a call brought, NULL if it was refused. */
static const char *
answer(const Outcome *o, int column)
{
	return o->done && PQntuples(o->rows) == 1 ? field(o->rows, 0, column) : NULL;
}

static Outcome
call_for(Game *g, int node, char *statement)
{
	Outcome		o = worker_meet(g, g->world.node[node].name, statement);

	if (!o.done && !says_why(&o))
		game_fail(g, "L22: %s is refused without a rule and what helps: %s %s", statement, o.sqlstate, o.message);
	free(statement);
	return o;
}

/* Beats; says a state if there is a new one. */
static void
beat(Game *g, int node, const char *state)
{
	Agent	   *a = &g->agent[node];
	const char *name = g->world.node[node].name;
	Outcome		o = call_for(g, node, text("EXECUTE beat('%s', '%s-%d', %s)", name, name, a->incarnation, state));
	const char *command = answer(&o, 0);

	a->due = g->now + a->every;
	/* Removed, or another process has its name. */
	if (command == NULL)
		a->due = NEVER;
	else if (strcmp(command, "stop") == 0)
		world_end(&g->world, node);
	base_free(&o);
}

static void
ask_to_start(Game *g, int node)
{
	Agent	   *a = &g->agent[node];
	Node	   *n = &g->world.node[node];
	Outcome		o = call_for(g, node, text("EXECUTE ask('%s', '%s', '%s-%d')", n->name, n->runs_new ? "1.1.0" : "1.0.0", n->name, a->incarnation));
	const char *verdict = answer(&o, 0);

	a->due = NEVER;
	if (verdict == NULL)
		game_fail(g, "N9: %s asks to join and is answered by an error: %s %s", n->name, o.sqlstate, o.message);
	else if (strcmp(verdict, "admitted") == 0)
	{
		a->admitted = true;
		a->every = atof(answer(&o, 2));
		a->due = g->now + START_TIME;
	}
	else if (strcmp(verdict, "retry") == 0)
		a->due = g->now + atof(answer(&o, 1));
	else
	{
		/* It has no business here, and ends. */
		n->refused = true;
		a->runs = n->running = false;
	}
	base_free(&o);
}

/* N16: what the process before still had to say changes nothing any more. */
static void
say_too_late(Game *g, int node)
{
	Agent	   *a = &g->agent[node];
	const char *name = g->world.node[node].name;
	Outcome		o = call_for(g, node, text("EXECUTE beat('%s', '%s-%d', 'OFFLINE')", name, name, a->incarnation - 1));

	a->late_at = NEVER;
	if (answer(&o, 0) != NULL || PQntuples(o.events) > 0)
		game_fail(g, "N16: a beat of a process of %s that is gone is taken for one of its successor", name);
	base_free(&o);
}

/* It was started, or has ended. */
static void
note_change(Game *g, int node)
{
	Agent	   *a = &g->agent[node];
	Node	   *n = &g->world.node[node];
	bool		may_speak = a->admitted && !n->dead && !n->vanished;

	a->runs = n->running;
	a->due = NEVER;
	if (a->runs)
	{
		a->incarnation++;
		a->admitted = n->refused = false;
		a->said = 0;
		a->due = g->now + 0.01;
		return;
	}
	if (may_speak)
		beat(g, node, "'OFFLINE'");
	a->due = NEVER;
}

static void
go(Game *g, int node)
{
	Agent	   *a = &g->agent[node];
	Node	   *n = &g->world.node[node];

	/* Nobody hears it; it tries again. */
	if (n->vanished)
		a->due = g->now + 1;
	else if (!a->admitted)
	{
		ask_to_start(g, node);
		if (a->admitted && a->incarnation > 1 && dice_percent(&g->agent_dice, 20))
			a->late_at = g->now + dice_spread(&g->agent_dice, 0.01, 5);
	}
	else
	{
		int			health = n->sick ? -1 : 1;
		bool		is_news = a->said != health;

		a->said = health;
		beat(g, node, !is_news ? "NULL" : n->sick ? "'ERROR'" : "'ACTIVE'");
	}
}

void
agents_go(Game *g)
{
	for (int i = 0; i < g->world.n; i++)
	{
		Agent	   *a = &g->agent[i];

		if (has_changed(a, &g->world.node[i]))
			note_change(g, i);
		if (a->due <= g->now)
			go(g, i);
		if (a->late_at <= g->now)
			say_too_late(g, i);
	}
}
