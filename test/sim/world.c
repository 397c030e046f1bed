/*
 * world.c
 *	  The truth.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"

const char *const deed_names[DEEDS] = {
	"isolate", "drain", "stop", "upgrade", "start", "verify", "integrate", "prepare", "unprepare", "task"
};

Deed
deed_of(const char *name)
{
	int			d = 0;

	while (d < DEEDS && strcmp(deed_names[d], name) != 0)
		d++;
	return (Deed) d;
}

int
world_find(const World *w, const char *name)
{
	int			i = atoi(name + strcspn(name, "0123456789")) - 1;

	return i >= 0 && i < w->n ? i : NO_NODE;
}

bool
token_is_lower(Token a, Token b)
{
	return a.epoch != b.epoch ? a.epoch < b.epoch : a.number < b.number;
}

bool
world_serves(const Node *n)
{
	return n->running && n->in && !n->vanished && !n->sick;
}

/* Does it badly as often as it was told to. */
static Conduct
conduct_now(Node *n, Deed deed)
{
	Conduct		c = n->conduct[deed];

	if (c == CONDUCT_GOOD)
		return c;
	if (--n->times[deed] <= 0)
		n->conduct[deed] = CONDUCT_GOOD;
	return c;
}

/* What serves no more since zdu did something is counted as taken out by it. */
static void
note_service(Node *n, const Node *before)
{
	n->taken_out = !world_serves(n) && (n->taken_out || world_serves(before));
}

void
world_end(World *w, int node)
{
	Node	   *n = &w->node[node];
	Node		before = *n;

	n->running = false;
	note_service(n, &before);
}

static bool
change(World *w, Node *n, Deed deed, bool to_new)
{
	Node		before = *n;
	bool		was_prepared = w->prepared;

	switch (deed)
	{
		case DEED_ISOLATE:
			n->in = false;
			break;
		case DEED_STOP:
			n->running = false;
			break;
		case DEED_UPGRADE:
			n->installed_new = to_new;
			break;
		case DEED_START:
			if (!n->running)
				n->runs_new = n->installed_new;
			n->running = true;
			n->dead = n->sick = false;
			break;
		case DEED_INTEGRATE:
			n->in = true;
			break;
		case DEED_PREPARE:
			w->prepared = true;
			break;
		case DEED_UNPREPARE:
			w->prepared = false;
			break;
		case DEED_TASK:
			w->tasks++;
			break;
		case DEED_DRAIN:
		case DEED_VERIFY:
		case DEEDS:
			break;
	}
	note_service(n, &before);
	return memcmp(&before, n, sizeof(before)) != 0 || was_prepared != w->prepared;
}

Effect
world_do(World *w, int node, Deed deed, bool to_new, Token token)
{
	Node	   *n = node == NO_NODE ? &w->whole : &w->node[node];
	Effect		e = {0};
	Conduct		c;

	if (w->refuses && node != NO_NODE && token_is_lower(token, n->seen))
	{
		e.refused = true;
		return e;
	}
	/* Who cannot be reached does nothing. */
	if (n->vanished)
		return e;
	c = conduct_now(n, deed);
	e.good = c != CONDUCT_FAILS;
	if (!token_is_lower(token, n->seen))
		n->seen = token;
	if (c == CONDUCT_GOOD)
		e.changed = change(w, n, deed, to_new);
	return e;
}

char *
world_look(World *w, int node)
{
	const Node *n = &w->node[node];

	if (node == NO_NODE)
		return text("{\"prepared\": %s, \"tasks\": %d}", w->prepared ? "true" : "false", w->tasks);
	if (n->vanished)
		return text("{\"error\": \"timeout\"}");
	return text("{\"running\": %s, \"well\": %s, \"version\": \"%s\", \"installed\": \"%s\", \"rotation\": \"%s\", \"requests\": %d}",
				n->running ? "true" : "false", n->running && !n->sick ? "true" : "false",
				n->runs_new ? "1.1.0" : "1.0.0", n->installed_new ? "1.1.0" : "1.0.0", n->in ? "in" : "out",
				n->running && w->now < n->drained_at ? 3 : 0);
}
