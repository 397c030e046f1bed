/*
 * worker.c
 *	  Workers: ask, do as told, report.
 */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "game.h"

#define FIRST_PAUSE 0.05
#define LEASE_SHARE 0.9

void
worker_start(Game *g, Worker *w)
{
	w->alive = true;
	w->incarnation++;
	w->ask_at = g->now;
	w->lease_until = NEVER;
	w->back_at = w->stopped_until = 0;
}

static void
drop_job(Worker *w, int i)
{
	free(w->job[i].report);
	w->job[i] = w->job[--w->njobs];
}

static void
drop_all(Worker *w)
{
	while (w->njobs > 0)
		drop_job(w, 0);
	w->nlooks = 0;
	free(w->seen);
	free(w->old);
	w->seen = w->old = NULL;
}

void
worker_free(Worker *w)
{
	drop_all(w);
}

bool
worker_is_idle(const Worker *w)
{
	return w->njobs == 0;
}

void
worker_kill(Game *g, Worker *w, bool actions_die, double back_at)
{
	for (int i = 0; i < w->njobs && !actions_die; i++)
		if (w->job[i].action.runs && g->nstrays < MAX_STRAYS)
			g->stray[g->nstrays++] = w->job[i].action;
	drop_all(w);
	w->alive = false;
	w->back_at = back_at;
	w->loses_reply = w->loses_call = w->says_twice = w->begins_late = false;
}

void
worker_stop(Game *g, Worker *w, double until, bool with_actions, bool begins_late)
{
	w->stopped_until = until;
	w->begins_late = begins_late;
	for (int i = 0; i < w->njobs && with_actions; i++)
		if (w->job[i].action.runs)
			w->job[i].action.ends_at += until - g->now;
}

/* How long an action takes depends on what it is, not on what happened before. */
static double
duration(Game *g, const Job *job)
{
	Dice		d = dice_make(g->seed, 1000 + (uint64_t) (job->node + 1) * 32 + job->deed);

	return dice_spread(&d, g->scene.quick, g->scene.slow);
}

static void
begin(Game *g, Job *job)
{
	Action	   *a = &job->action;
	Node	   *n = job->node == NO_NODE ? &g->world.whole : &g->world.node[job->node];

	job->begun = true;
	job->begin_at = NEVER;
	a->runs = true;
	a->node = job->node;
	a->deed = job->deed;
	a->to_new = job->to_new;
	a->token = job->number;
	a->deadline = job->deadline;
	a->ends_at = g->now + duration(g, job);
	a->is_current = check_current(&g->check, a->token) != NULL;
	if (n->conduct[a->deed] == CONDUCT_STICKS)
	{
		a->ends_at = NEVER;
		if (--n->times[a->deed] <= 0)
			n->conduct[a->deed] = CONDUCT_GOOD;
	}
	check_begin(g, a, job->has_looked);
}

static Effect
finish(Game *g, Action *a)
{
	Effect		e = {0};

	a->runs = false;
	/* Ended at its timeout it has done nothing. */
	if (a->ends_at > a->deadline)
		return e;
	e = world_do(&g->world, a->node, a->deed, a->to_new, a->token);
	/* Whoever is sent away still has open requests. */
	if (a->deed == DEED_ISOLATE && e.changed)
		g->world.node[a->node].drained_at = g->now + g->scene.slow / 2;
	check_effect(g, a, e);
	return e;
}

static void
set_report(Worker *w, Job *job, char *report)
{
	free(job->report);
	job->report = report;
	(void) w;
}

static char *
look_report(Game *g, const Job *job)
{
	char	   *seen = world_look(&g->world, job->node);
	char	   *report = text("{\"token\": \"%s\", \"verb\": \"probe\", \"state\": \"done\", \"evidence\": %s}", job->token, seen);

	free(seen);
	return report;
}

/* All reports as an array, to be freed. */
static char *
collect(Worker *w)
{
	char	   *all = text("[%s", w->seen != NULL ? w->seen : "");
	char	   *next;

	for (int i = 0; i < w->njobs; i++)
	{
		if (w->job[i].report == NULL)
			continue;
		next = text("%s%s,%s%s", all, w->job[i].report, w->says_twice ? w->job[i].report : "", w->says_twice ? "," : "");
		free(all);
		all = next;
	}
	if (w->old != NULL && w->old_at == 0)
	{
		next = text("%s%s", all, w->old);
		free(all);
		all = next;
		free(w->old);
		w->old = NULL;
	}
	if (all[strlen(all) - 1] == ',')
		all[strlen(all) - 1] = '\0';
	next = text("%s]", all);
	free(all);
	return next;
}

static void
reports_carried(Worker *w)
{
	for (int i = 0; i < w->njobs; i++)
	{
		free(w->job[i].report);
		w->job[i].report = NULL;
	}
	free(w->seen);
	w->seen = NULL;
}

static double
number_of(const PGresult *r, int row, int column, double otherwise)
{
	const char *value = field(r, row, column);

	return value != NULL ? atof(value) : otherwise;
}

static Job *
find_job(Worker *w, const char *token)
{
	for (int i = 0; i < w->njobs; i++)
		if (strcmp(w->job[i].token, token) == 0)
			return &w->job[i];
	return NULL;
}

/* One row about a step. */
static void
take_order(Game *g, Worker *w, const PGresult *r, int row)
{
	const char *token = field(r, row, 0);
	const char *node = field(r, row, 1);
	const char *what = field(r, row, 5);
	const char *version = field(r, row, 6);
	char		verb = field(r, row, 4)[0];
	Job		   *job = find_job(w, token);

	if (job == NULL)
	{
		if (w->njobs == MAX_JOBS)
		{
			game_fail(g, "W1: worker %s holds more than it has room for", w->name);
			return;
		}
		job = &w->job[w->njobs++];
		memset(job, 0, sizeof(*job));
		snprintf(job->token, sizeof(job->token), "%s", token);
		(void) sscanf(token, "%ld.%ld", &job->number.epoch, &job->number.number);
		job->node = node != NULL ? world_find(&g->world, node) : NO_NODE;
		job->look_at = job->begin_at = NEVER;
		job->pause = FIRST_PAUSE;
	}
	job->mentioned = true;
	job->deed = deed_of(what != NULL ? what : "");
	job->to_new = version != NULL && strcmp(version, "1.1.0") == 0;
	job->every = number_of(r, row, 12, 1);
	job->deadline = g->now + number_of(r, row, 8, 0);
	job->verb = verb;
	if (verb == 'p' && job->report == NULL && job->look_at == NEVER)
	{
		job->look_at = g->now + job->pause;
		job->pause = job->pause * 1.5 < job->every ? job->pause * 1.5 : job->every;
	}
	if (verb == 'a' && !job->begun)
		job->begin_at = g->now + 0.01;
	if (verb == 'e' && job->report == NULL)
	{
		job->action.runs = false;
		job->begin_at = job->look_at = NEVER;
		set_report(w, job, text("{\"token\": \"%s\", \"state\": \"released\", \"evidence\": {\"ended\": true}}", job->token));
	}
}

static void
take_look(Game *g, Worker *w, const PGresult *r, int row)
{
	const char *node = field(r, row, 1);
	const char *watch = field(r, row, 7);
	Look	   *look;

	if (w->nlooks == MAX_LOOKS)
		return;
	look = &w->look[w->nlooks++];
	look->node = node != NULL ? world_find(&g->world, node) : NO_NODE;
	look->at = g->now + 0.03;
	snprintf(look->watch, sizeof(look->watch), "%s", watch != NULL ? watch : "");
}

static void
take_answer(Game *g, Worker *w, const PGresult *r)
{
	for (int i = 0; i < w->njobs; i++)
		w->job[i].mentioned = false;
	for (int row = 0; row < PQntuples(r); row++)
	{
		const char *verb = field(r, row, 4);
		const char *token = field(r, row, 0);
		const char *sqlstate = field(r, row, 10);
		Job		   *job;

		if (strcmp(verb, "error") == 0)
		{
			/* A stale token is forgotten; by a copied database, or a namesake, all. */
			if (strcmp(sqlstate, "ZD003") == 0 && token != NULL && (job = find_job(w, token)) != NULL)
				job->mentioned = false;
			/* A node that was removed may still be looked at. */
			else if (strcmp(sqlstate, "ZD003") != 0 && strcmp(sqlstate, "ZD004") != 0 && strcmp(sqlstate, "42704") != 0)
				game_fail(g, "L22: an exchange answered %s: %s", sqlstate, field(r, row, 11));
		}
		else if (token != NULL)
			take_order(g, w, r, row);
		else
			take_look(g, w, r, row);
	}
	for (int i = w->njobs - 1; i >= 0; i--)
		if (!w->job[i].mentioned)
			drop_job(w, i);
}

/* What it asks now, to be freed. */
static char *
question(const Game *g, Worker *w)
{
	char	   *reports = collect(w);
	int			room = g->scene.slots - w->njobs;
	char	   *statement = text("EXECUTE work('%s', '%s-%d', '" CLUSTER "', '%s', %d, false)", w->name, w->name, w->incarnation, reports,
								 room > 0 ? room : 0);

	free(reports);
	return statement;
}

static Fate
fate_of(const Worker *w)
{
	return w->loses_call ? FATE_ROLLBACK : FATE_COMMIT;
}

static void
hear(Game *g, Worker *w, const Outcome *o)
{
	bool		lost = w->loses_reply || w->loses_call;

	w->loses_reply = w->loses_call = false;
	w->ask_at = g->now + g->scene.poll;
	if (!o->done)
	{
		game_fail(g, "W1: an exchange fails: %s %s", o->sqlstate, o->message);
		return;
	}
	if (lost)
		return;
	if (w->says_twice)
		w->says_twice = false;
	else
		reports_carried(w);
	/* What it asked before it had the answer is said; the rest was not asked for. */
	w->lease_until = NEVER;
	for (int row = 0; row < PQntuples(o->rows); row++)
		if (field(o->rows, row, 9) != NULL)
			w->lease_until = g->now + atof(field(o->rows, row, 9)) * LEASE_SHARE;
	take_answer(g, w, o->rows);
}

/* Who asks at the same moment, if anybody does (by chance): one that can, and another than that. */
static Worker *
company(Game *g, const Worker *but)
{
	Worker	   *w = &g->worker[dice_below(&g->overlap_dice, g->scene.workers)];

	return w != but && w->alive && w->stopped_until <= g->now && dice_percent(&g->overlap_dice, g->scene.overlap) ? w : NULL;
}

/* With its transaction open until it is waited for, another asks too. */
static void
ask(Game *g, Worker *w)
{
	Worker	   *other = company(g, w);
	char	   *statement = question(g, w);
	Outcome		o[2] = {0};

	if (other != NULL && fate_of(other) == FATE_COMMIT)
	{
		char	   *another = question(g, other);

		game_run_both(g, w->name, statement, fate_of(w), other->name, another, o);
		hear(g, other, &o[1]);
		free(another);
	}
	else
		o[0] = game_run(g, w->name, statement, fate_of(w));
	hear(g, w, &o[0]);
	base_free(&o[0]);
	base_free(&o[1]);
	free(statement);
}

Outcome
worker_meet(Game *g, const char *who, const char *statement)
{
	Worker	   *w = company(g, NULL);
	Outcome		o[2] = {0};
	bool		second = false;
	char	   *asked;

	if (w == NULL)
		return game_run(g, who, statement, FATE_COMMIT);
	asked = question(g, w);
	second = fate_of(w) != FATE_COMMIT || dice_percent(&g->overlap_dice, 50);
	if (second)
		game_run_both(g, w->name, asked, fate_of(w), who, statement, o);
	else
		game_run_both(g, who, statement, FATE_COMMIT, w->name, asked, o);
	hear(g, w, &o[!second]);
	base_free(&o[!second]);
	free(asked);
	return o[second];
}

/* The lease is over: what must not go on without it is ended, nothing is begun. */
static void
lose_lease(Worker *w)
{
	for (int i = 0; i < w->njobs; i++)
	{
		Job		   *job = &w->job[i];

		if (job->begin_at != NEVER && w->begins_late)
			continue;
		job->action.runs = false;
		job->begin_at = job->look_at = NEVER;
		if (job->report == NULL)
			job->report = text("{\"token\": \"%s\", \"state\": \"released\", \"evidence\": {\"ended\": true}}", job->token);
	}
	w->lease_until = NEVER;
	w->ask_at = 0;
}

static double
job_due(const Job *job)
{
	double		due = job->look_at < job->begin_at ? job->look_at : job->begin_at;

	if (job->action.runs)
	{
		double		end = job->action.ends_at < job->deadline ? job->action.ends_at : job->deadline;

		due = end < due ? end : due;
	}
	return due;
}

static bool
has_reports(const Worker *w)
{
	for (int i = 0; i < w->njobs; i++)
		if (w->job[i].report != NULL)
			return true;
	return false;
}

double
worker_due(const Game *g, const Worker *w)
{
	double		due = w->ask_at;

	if (!w->alive)
		return w->back_at;
	for (int i = 0; i < w->njobs; i++)
	{
		double		d = job_due(&w->job[i]);

		due = d < due ? d : due;
	}
	for (int i = 0; i < w->nlooks; i++)
		due = w->look[i].at < due ? w->look[i].at : due;
	due = w->lease_until < due ? w->lease_until : due;
	if (w->old != NULL && w->old_at > 0 && w->old_at < due)
		due = w->old_at;
	due = w->stopped_until > due ? w->stopped_until : due;
	return due > g->now ? due : g->now;
}

static void
go_job(Game *g, Worker *w, Job *job)
{
	Action	   *a = &job->action;

	if (a->runs && (a->ends_at <= g->now || job->deadline <= g->now))
	{
		Effect		e = finish(g, a);

		set_report(w, job, text("{\"token\": \"%s\", \"verb\": \"act\", \"state\": \"%s\", \"evidence\": {%s}, \"log\": \"%s\"}",
								job->token, e.good ? "done" : "failed", e.refused ? "\"refused\": true" : "", deed_names[a->deed]));
	}
	else if (job->begin_at <= g->now)
		begin(g, job);
	else if (job->look_at <= g->now)
	{
		job->look_at = NEVER;
		job->has_looked = true;
		set_report(w, job, look_report(g, job));
	}
}

static void
go_looks(Game *g, Worker *w)
{
	for (int i = w->nlooks - 1; i >= 0; i--)
	{
		Look	   *look = &w->look[i];
		char	   *seen;
		char	   *next;

		if (look->at > g->now)
			continue;
		if (look->watch[0] != '\0')
			next = text("%s{\"watch\": %s, \"seen\": {%s}},", w->seen != NULL ? w->seen : "", look->watch,
						!g->world.gate_known ? "\"error\": \"timeout\"" : g->world.gate_ok ? "\"ok\": true" : "\"ok\": false");
		else
		{
			const Node *n = &g->world.node[look->node];

			seen = n->vanished || n->running ? world_look(&g->world, look->node) : text("{\"refused\": true}");
			next = text("%s{\"node\": \"%s\", \"seen\": %s},", w->seen != NULL ? w->seen : "", n->name, seen);
			free(seen);
		}
		free(w->seen);
		w->seen = next;
		w->look[i] = w->look[--w->nlooks];
	}
}

void
worker_go(Game *g, Worker *w)
{
	if (!w->alive)
	{
		worker_start(g, w);
		return;
	}
	if (g->now >= w->lease_until)
		lose_lease(w);
	for (int i = 0; i < w->njobs; i++)
		go_job(g, w, &w->job[i]);
	w->begins_late = false;
	go_looks(g, w);
	if (w->old != NULL && w->old_at > 0 && w->old_at <= g->now)
	{
		w->old_at = 0;
		w->ask_at = 0;
	}
	if (has_reports(w) || w->seen != NULL || w->ask_at <= g->now)
		ask(g, w);
}

double
strays_due(const Game *g)
{
	double		due = NEVER;

	for (int i = 0; i < g->nstrays; i++)
	{
		const Action *a = &g->stray[i];
		double		end = a->ends_at < a->deadline ? a->ends_at : a->deadline;

		due = end < due ? end : due;
	}
	return due > g->now ? due : g->now;
}

void
strays_go(Game *g)
{
	for (int i = g->nstrays - 1; i >= 0; i--)
	{
		Action	   *a = &g->stray[i];

		if (a->ends_at > g->now && a->deadline > g->now)
			continue;
		(void) finish(g, a);
		g->stray[i] = g->stray[--g->nstrays];
	}
}
