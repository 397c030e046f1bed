/*
 * fault.c
 *	  What goes wrong, and what people do.
 */
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "game.h"

static const char *const kind_names[FAULT_KINDS] = {
	"kill", "stop", "lose reply", "lose call", "say twice", "say late", "conduct", "die", "vanish", "sick", "come back",
	"restart", "promote", "gate", "freeze", "call"
};

static const char *const conduct_names[] = {"good", "fails", "lies", "sticks"};

/* %1$s is the node. */
static const char *const calls[] = {
	"SELECT zdu_pause('" CLUSTER "')",
	"SELECT zdu_resume('" CLUSTER "')",
	"SELECT zdu_retry('" CLUSTER "')",
	"SELECT zdu_retry('" CLUSTER "', node => '%1$s')",
	"SELECT zdu_rollback('" CLUSTER "')",
	"SELECT zdu_rollback('" CLUSTER "', node => '%1$s')",
	"SELECT zdu_rollback('" CLUSTER "', node => '%1$s')",
	"SELECT zdu_cancel('" CLUSTER "')",
	"SELECT zdu_detach('" CLUSTER "', '%1$s')",
	"SELECT zdu_detach('" CLUSTER "', '%1$s')",
	"SELECT zdu_attach('" CLUSTER "', '%1$s')",
	"SELECT zdu_declare_down('" CLUSTER "', '%1$s', 'a person said so')",
	"SELECT zdu_finalize('" CLUSTER "')",
	"SELECT zdu_begin('" CLUSTER "', '1.1.0')",
	"SELECT zdu_remove_node('" CLUSTER "', '%1$s')",
	"SELECT zdu_set_node('" CLUSTER "', '%1$s', address => '10.0.0.1')",
	"SELECT zdu_adopt('without need')",
	"SELECT * FROM zdu.status",
	"SELECT * FROM zdu_why('" CLUSTER "', every => true)"
};

#define CALLS ((int) (sizeof(calls) / sizeof(calls[0])))
#define CALL_DECLARE_DOWN 11

/* How often each kind is chosen, in hundredths. */
static const int shares[FAULT_KINDS] = {10, 8, 6, 3, 4, 4, 20, 4, 5, 5, 2, 2, 3, 3, 2, 19};

static FaultKind
choose_kind(Dice *d)
{
	int			share = dice_below(d, 100);
	int			k = 0;

	while (share >= shares[k])
		share -= shares[k++];
	return (FaultKind) k;
}

void
faults_make(Faults *f, const Scene *s, uint64_t seed)
{
	static const Deed deeds[] = {DEED_ISOLATE, DEED_STOP, DEED_UPGRADE, DEED_START, DEED_INTEGRATE, DEED_PREPARE, DEED_UNPREPARE, DEED_TASK};
	Dice		d = dice_make(seed, 2);
	int			at_once = scene_limit(s->budget[0].limit, s->nodes);
	double		length = (double) s->nodes * (s->slow + 8) / at_once + 10;

	memset(f, 0, sizeof(*f));
	f->n = dice_percent(&d, 20) ? 0 : dice_between(&d, 1, dice_percent(&d, 20) ? MAX_FAULTS : 6);
	length = length > 2000 ? 2000 : length;
	for (int i = 0; i < f->n; i++)
	{
		Fault	   *t = &f->fault[i];

		t->kind = choose_kind(&d);
		t->at = dice_spread(&d, 1, 1000) / 1000 * length;
		t->lasts = dice_spread(&d, 0.5, 120);
		t->who = dice_below(&d, s->nodes);
		t->what = t->kind == FAULT_CALL ? dice_below(&d, CALLS) : (int) deeds[dice_below(&d, 8)];
		t->how = dice_between(&d, 1, 6);
		if (t->kind == FAULT_KILL || t->kind == FAULT_STOP || (t->kind >= FAULT_LOSE_REPLY && t->kind <= FAULT_SAY_LATE))
			t->who = dice_below(&d, s->workers);
	}
}

char *
fault_text(const Fault *f)
{
	switch (f->kind)
	{
		case FAULT_KILL:
		case FAULT_STOP:
			return text("at %.3f %s w%d for %.3f s, actions %s", f->at, kind_names[f->kind], f->who + 1, f->lasts,
						f->how % 2 ? "with it" : "go on");
		case FAULT_LOSE_REPLY:
		case FAULT_LOSE_CALL:
		case FAULT_SAY_TWICE:
		case FAULT_SAY_LATE:
			return text("at %.3f w%d %s", f->at, f->who + 1, kind_names[f->kind]);
		case FAULT_CONDUCT:
			return text("at %.3f app%d %s at %s, %d times", f->at, f->who + 1, conduct_names[1 + f->how % 3], deed_names[f->what], f->how);
		case FAULT_CALL:
			{
				char		name[16];
				char	   *call;
				char	   *whole;

				snprintf(name, sizeof(name), "app%d", f->who + 1);
				call = text(calls[f->what], name);
				whole = text("at %.3f %s", f->at, call);
				free(call);
				return whole;
			}
		default:
			return text("at %.3f %s app%d for %.3f s (%d)", f->at, kind_names[f->kind], f->who + 1, f->lasts, f->how);
	}
}

double
faults_due(const Faults *f)
{
	double		due = NEVER;

	for (int i = 0; i < f->n; i++)
		if (!f->fault[i].over && !f->fault[i].left_out && f->fault[i].at < due)
			due = f->fault[i].at;
	return due;
}

/* The rule that stands before a detail. */
static bool
names_rule(const char *detail)
{
	int			letters = 0;

	if (detail == NULL || detail[0] < 'A' || detail[0] > 'Z')
		return false;
	while (detail[1 + letters] >= '0' && detail[1 + letters] <= '9')
		letters++;
	return letters > 0 && detail[1 + letters] == ':';
}

bool
says_why(const Outcome *o)
{
	return names_rule(o->detail) && o->hint != NULL && o->hint[0] != '\0';
}

void
person_calls(Game *g, const char *statement)
{
	Outcome		o = worker_meet(g, "person", statement);

	if (!o.done && !says_why(&o))
		game_fail(g, "L22: %s is refused without a rule and what helps: %s %s; %s; %s", statement, o.sqlstate, o.message,
				  o.detail != NULL ? o.detail : "", o.hint != NULL ? o.hint : "");
	base_free(&o);
}

/* Its token is remembered, and what it says now it says once more much later. */
static void
say_late(Game *g, Worker *w, double after)
{
	if (w->njobs == 0 || w->old != NULL)
		return;
	w->old = text("{\"token\": \"%s\", \"verb\": \"probe\", \"state\": \"done\", \"evidence\": {\"running\": false, \"rotation\": \"out\", \"requests\": 0}},",
				  w->job[0].token);
	w->old_at = g->now + after;
}

static void
die(Node *n)
{
	n->running = false;
	n->dead = true;
}

static void
come_back(Node *n)
{
	if (!n->dead)
		return;
	n->dead = false;
	n->running = true;
	n->runs_new = n->installed_new;
}

/* Something begins to go wrong.  Returns whether it comes to an end, too. */
static bool
begin_fault(Game *g, Fault *f)
{
	Worker	   *w = &g->worker[f->who % g->scene.workers];
	Node	   *n = &g->world.node[f->who];
	char	   *statement;

	switch (f->kind)
	{
		case FAULT_KILL:
			if (w->alive)
				worker_kill(g, w, f->how % 2, g->now + f->lasts);
			return false;
		case FAULT_STOP:
			if (w->alive)
				worker_stop(g, w, g->now + f->lasts, f->how % 2, f->how > 3);
			return false;
		case FAULT_LOSE_REPLY:
			w->loses_reply = true;
			return false;
		case FAULT_LOSE_CALL:
			w->loses_call = true;
			return false;
		case FAULT_SAY_TWICE:
			w->says_twice = true;
			return false;
		case FAULT_SAY_LATE:
			say_late(g, w, f->lasts);
			return false;
		case FAULT_CONDUCT:
			n = f->what >= DEED_PREPARE ? &g->world.whole : n;
			n->conduct[f->what] = (Conduct) (1 + f->how % 3);
			n->times[f->what] = f->how;
			return false;
		case FAULT_DIE:
			n->tainted = true;
			if (n->running)
				die(n);
			return true;
		case FAULT_VANISH:
			n->tainted = n->vanished = true;
			return true;
		case FAULT_SICK:
			n->tainted = n->sick = true;
			return true;
		case FAULT_COME_BACK:
			come_back(n);
			return false;
		case FAULT_RESTART:
			base_reconnect();
			return false;
		case FAULT_PROMOTE:
			PQclear(base_must("UPDATE zdu.instance SET mark = 'elsewhere'"));
			g->copied = true;
			return true;
		case FAULT_GATE:
			g->world.gate_ok = false;
			g->world.gate_known = f->how % 2;
			return true;
		case FAULT_FREEZE:
			statement = text("SELECT zdu_set_freeze('" CLUSTER "', 'f', 'freeze', tstzrange(zdu_clock(), zdu_clock() + '%.3f s'), reason => 'holiday')", f->lasts);
			person_calls(g, statement);
			free(statement);
			return false;
		case FAULT_CALL:
			if (f->what == CALL_DECLARE_DOWN)
				n->tainted = true;
			statement = text(calls[f->what], n->name);
			person_calls(g, statement);
			free(statement);
			return false;
		case FAULT_KINDS:
			break;
	}
	return false;
}

static void
end_fault(Game *g, const Fault *f)
{
	Node	   *n = &g->world.node[f->who];

	switch (f->kind)
	{
		case FAULT_DIE:
			come_back(n);
			break;
		case FAULT_VANISH:
			n->vanished = false;
			break;
		case FAULT_SICK:
			n->sick = false;
			break;
		case FAULT_PROMOTE:
			person_calls(g, "SELECT zdu_adopt('the other one is gone')");
			break;
		case FAULT_GATE:
			g->world.gate_ok = g->world.gate_known = true;
			break;
		default:
			break;
	}
}

void
faults_go(Game *g)
{
	for (int i = 0; i < g->faults.n; i++)
	{
		Fault	   *f = &g->faults.fault[i];

		if (f->over || f->left_out || f->at > g->now)
			continue;
		if (f->begun)
		{
			f->over = true;
			end_fault(g, f);
			continue;
		}
		f->begun = true;
		if (g->loud)
		{
			char	   *said = fault_text(f);

			printf("%10.3f fault  %s\n", g->now, said);
			free(said);
		}
		f->over = !begin_fault(g, f);
		f->at = g->now + f->lasts;
	}
}

void
faults_mend(Game *g)
{
	g->mended = true;
	for (int i = 0; i < g->faults.n; i++)
		g->faults.fault[i].over = true;
	for (int i = -1; i < g->world.n; i++)
	{
		Node	   *n = i < 0 ? &g->world.whole : &g->world.node[i];

		memset(n->conduct, 0, sizeof(n->conduct));
		n->vanished = n->sick = false;
		come_back(n);
	}
	g->world.gate_ok = g->world.gate_known = true;
	for (int i = 0; i < g->scene.workers; i++)
	{
		Worker	   *w = &g->worker[i];

		w->loses_reply = w->loses_call = w->says_twice = false;
		w->stopped_until = 0;
		w->back_at = g->now;
	}
}
