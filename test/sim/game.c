/*
 * game.c
 *	  One roll, from zdu_begin to its end.
 */
#include "game.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer no roll should take once nothing goes wrong any more. */
#define MOST_LOOKS 400
#define MOST_STEPS 200000

/* zdu has seen the nodes by then, and the upgrade begins. */
#define FIRST_FAULT 3.0

void
game_fail(Game *g, const char *format,...)
{
	va_list		ap;

	if (g->failure[0] != '\0')
		return;
	va_start(ap, format);
	vsnprintf(g->failure, sizeof(g->failure), format, ap);
	va_end(ap);
	g->over = true;
}

/* Whose transaction it is, before what it changed is looked at. */
static void
begin_step(Game *g, const char *who, const char *statement)
{
	g->steps++;
	snprintf(g->asking, sizeof(g->asking), "%s", who);
	if (who[0] == 'w')
		snprintf(g->asking, sizeof(g->asking), "%s %s-%d", who, who, g->worker[atoi(who + 1) - 1].incarnation);
	if (g->loud)
		printf("%10.3f %-6s %s\n", g->now, who, statement);
}

static void
end_step(Game *g, const char *statement, const Outcome *o, bool committed)
{
	if (g->loud && o->message != NULL)
		printf("%10.3f %-6s %s %s; %s\n", g->now, "", o->sqlstate, o->message, o->detail != NULL ? o->detail : "");
	g->hash = hash_text(g->hash, o->sqlstate);
	for (int row = 0; row < PQntuples(o->rows); row++)
		for (int column = 0; column < PQnfields(o->rows); column++)
		{
			const char *value = field(o->rows, row, column);

			g->hash = hash_text(g->hash, value);
			if (g->loud)
				printf("%s%s%s", column == 0 ? "                     " : "|", value != NULL ? value : "", column == PQnfields(o->rows) - 1 ? "\n" : "");
		}
	if (strncmp(o->sqlstate, "XX", 2) == 0)
		game_fail(g, "L22: %s fails inside: %s %s", statement, o->sqlstate, o->message);
	if (committed)
		check_outcome(g, o);
	if (o->done && strncmp(statement, "SELECT zdu_adopt", 16) == 0)
		g->copied = false;
	if (g->steps >= MOST_STEPS || (g->last_step > 0 && g->steps >= g->last_step))
		g->over = true;
}

Outcome
game_run(Game *g, const char *who, const char *statement, Fate fate)
{
	Outcome		o;

	begin_step(g, who, statement);
	o = base_run(GAME_EPOCH + g->now, statement, fate);
	end_step(g, statement, &o, fate == FATE_COMMIT);
	return o;
}

void
game_run_both(Game *g, const char *first, const char *statement, Fate fate, const char *second, const char *other, Outcome *outcomes)
{
	bool		waited = base_run_both(GAME_EPOCH + g->now, statement, fate, other, outcomes);

	g->overlaps++;
	g->waits += waited;
	if (!waited)
	{
		begin_step(g, second, other);
		end_step(g, other, &outcomes[1], true);
	}
	begin_step(g, first, statement);
	end_step(g, statement, &outcomes[0], fate == FATE_COMMIT);
	if (waited)
	{
		begin_step(g, second, other);
		end_step(g, other, &outcomes[1], true);
	}
}

/* A statement of the person who looks after the roll. */
static bool
is_call(const char *hint)
{
	return hint != NULL && strncmp(hint, "SELECT zdu_", 11) == 0 && strstr(hint, "...") == NULL &&
		strstr(hint, "zdu_set_") == NULL && strstr(hint, "zdu_begin") == NULL && strstr(hint, "zdu_declare_down") == NULL;
}

/*
 * Does what zdu_why says, as somebody does who knows nothing else.  Returns
 * whether it said anything that stands in the way, or helps.
 */
static bool
follow_why(Game *g)
{
	Outcome		o = game_run(g, "person", "SELECT verdict, rule, subject, observed, hint FROM zdu_why('" CLUSTER "')", FATE_COMMIT);
	const char *hints[64];
	int			n = 0;
	bool		said = false;
	char	   *call = NULL;

	if (!o.done)
		game_fail(g, "L22: zdu_why fails: %s %s", o.sqlstate, o.message);
	for (int row = 0; o.done && row < PQntuples(o.rows); row++)
	{
		const char *verdict = field(o.rows, row, 0);
		const char *hint = field(o.rows, row, 4);

		said |= strcmp(verdict, "no") == 0 || strcmp(verdict, "act") == 0;
		if (g->loud)
			printf("%10.3f %-6s %s %s %s: %s | %s\n", g->now, "why", verdict, field(o.rows, row, 1) != NULL ? field(o.rows, row, 1) : "",
				   field(o.rows, row, 2), field(o.rows, row, 3), hint != NULL ? hint : "");
		if ((strcmp(verdict, "act") == 0 || strcmp(verdict, "no") == 0) && is_call(hint) && n < 64)
			hints[n++] = hint;
	}
	if (n > 0)
		call = text("%s", hints[dice_below(&g->operator_dice, n)]);
	base_free(&o);
	if (call != NULL)
		person_calls(g, call);
	free(call);
	return said;
}

/* The first node that serves and has no copy of the resource yet, or NO_NODE. */
static int
place_for_copy(const Game *g, const SceneResource *r)
{
	for (int i = 0; i < g->world.n; i++)
	{
		const NodeRow *n = &g->check.node[i];
		bool		has = !n->there || n->taken || strcmp(n->state, "ACTIVE") != 0;

		for (int c = 0; c < r->copies; c++)
			has |= r->node[c] == i;
		if (!has)
			return i;
	}
	return NO_NODE;
}

/* The database makes copies anew that went with a node: without them a drain may wait for ever (D5). */
static void
restore_copies(Game *g)
{
	for (int k = 0; k < g->scene.nresources; k++)
	{
		SceneResource *r = &g->scene.resource[k];

		for (int c = 0; c < r->copies; c++)
		{
			int			place = g->check.node[r->node[c]].there ? NO_NODE : place_for_copy(g, r);
			char	   *statement;
			Outcome		o;

			if (place == NO_NODE)
				continue;
			statement = text("SELECT zdu_set_placement('" CLUSTER "', 'r%d', '%s', '%s')", k, g->world.node[place].name, c == 0 ? "primary" : "replica");
			o = game_run(g, "data", statement, FATE_COMMIT);
			if (o.done)
				r->node[c] = place;
			base_free(&o);
			free(statement);
		}
	}
}

/* Somebody looks after it, once nothing goes wrong any more. */
static void
look_after(Game *g)
{
	Check	   *c = &g->check;

	/* In short steps at first, or short rolls would be waited for. */
	g->next_look = g->now + (g->looks < 20 ? 5 : 20);
	if (++g->looks > MOST_LOOKS)
	{
		game_fail(g, "W1: the roll does not end; %s %s %s", c->state, c->run, c->held);
		return;
	}
	restore_copies(g);
	for (int i = 0; i < g->world.n; i++)
		if (c->node[i].there && !c->node[i].attached)
		{
			char	   *call = text("SELECT zdu_attach('" CLUSTER "', '%s')", g->world.node[i].name);

			person_calls(g, call);
			free(call);
		}
	if (c->run[0] == '\0')
	{
		bool		idle = c->open == 0;

		/* Its last wishes are carried out, and all nodes were seen since. */
		for (int i = 0; i < g->scene.workers; i++)
			idle &= worker_is_idle(&g->worker[i]);
		if (idle && g->nstrays == 0 && ++g->quiet > 2)
		{
			check_end(g);
			g->over = true;
		}
		return;
	}
	g->quiet = 0;
	if (!follow_why(g) && strcmp(c->run, "held") == 0)
		game_fail(g, "L22: the upgrade is held (%s), and zdu_why says nothing that helps", c->held);
}

typedef enum Actor
{
	ACTOR_FAULT,
	ACTOR_STRAY,
	ACTOR_AGENT,
	ACTOR_PERSON,
	ACTOR_WORKER				/* the first one */
} Actor;

/* Returns when something is next to do, and whose turn it is then. */
static double
next_due(const Game *g, int *actor)
{
	double		due[ACTOR_WORKER + MAX_WORKERS] = {
		faults_due(&g->faults), strays_due(g), agents_due(g), g->mended ? g->next_look : g->mended_at
	};

	for (int i = 0; i < g->scene.workers; i++)
		due[ACTOR_WORKER + i] = worker_due(g, &g->worker[i]);
	*actor = 0;
	for (int i = 1; i < ACTOR_WORKER + g->scene.workers; i++)
		if (due[i] < due[*actor])
			*actor = i;
	return due[*actor];
}

static void
go_on(Game *g, double due, int actor)
{
	g->now = due > g->now ? due : g->now;
	g->world.now = g->now;
	switch (actor)
	{
		case ACTOR_FAULT:
			faults_go(g);
			break;
		case ACTOR_STRAY:
			strays_go(g);
			break;
		case ACTOR_AGENT:
			agents_go(g);
			break;
		case ACTOR_PERSON:
			if (g->mended)
				look_after(g);
			else
				faults_mend(g);
			break;
		default:
			worker_go(g, &g->worker[actor - ACTOR_WORKER]);
	}
}

void
game_play(Game *g)
{
	double		last = 0;
	double		due;
	int			actor;
	char	   *begin;
	Outcome		o;

	g->operator_dice = dice_make(g->seed, 3);
	g->overlap_dice = dice_make(g->seed, 4);
	g->agent_dice = dice_make(g->seed, 5);
	g->hash = 0;
	/* zdu sees the nodes for the first time. */
	o = game_run(g, "person", "SELECT 1 FROM zdu.cluster", FATE_COMMIT);
	base_free(&o);
	for (int i = 0; i < g->world.n; i++)
	{
		g->check.node[i].there = g->check.node[i].attached = g->check.node[i].in_rotation = true;
		g->check.node[i].begun_at = -NEVER;
		snprintf(g->check.node[i].state, sizeof(g->check.node[i].state), "OFFLINE");
	}
	for (int i = 0; i < g->scene.workers; i++)
	{
		snprintf(g->worker[i].name, sizeof(g->worker[i].name), "w%d", i + 1);
		worker_start(g, &g->worker[i]);
	}
	agents_init(g);
	for (int i = 0; i < g->faults.n; i++)
		if (!g->faults.fault[i].left_out)
		{
			g->faults.fault[i].at += FIRST_FAULT;
			last = g->faults.fault[i].at > last ? g->faults.fault[i].at : last;
		}
	g->mended_at = NEVER;
	while ((due = next_due(g, &actor)) < FIRST_FAULT && !g->over)
		go_on(g, due, actor);
	begin = text("SELECT zdu_begin('" CLUSTER "', '1.1.0'%s%s)", g->scene.grouped ? ", node_group => 'blue'" : "", g->scene.canary ? ", canary => 1" : "");
	person_calls(g, begin);
	free(begin);
	g->mended_at = last + 20;
	g->began = g->check.run[0] != '\0';
	if (!g->began)
		return;
	while (!g->over)
	{
		due = next_due(g, &actor);
		go_on(g, due, actor);
		if (g->agreement > 0 && g->steps >= g->next_agreement && g->check.run[0] != '\0')
		{
			int			who;

			g->next_agreement = g->steps + g->agreement;
			who = dice_below(&g->operator_dice, g->world.n);
			if (g->check.node[who].there)
				check_agreement(g, who);
		}
	}
}
