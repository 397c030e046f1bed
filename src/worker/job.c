/*
 * job.c
 *	  What the worker holds: steps, by their token, and looks that have none.
 *
 * A job is idle, looking, acting, or ending what it did.  While its report is
 * ready or under way it begins nothing: the answer it has was given by a
 * database that does not know the report yet.  One thing needs no answer:
 * after an action it looks, and both are reported by the same call.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"
#include "worker/job.h"
#include "worker/keep.h"
#include "worker/log.h"
#include "worker/outbox.h"
#include "worker/report.h"
#include "worker/text.h"

#define FIRST_PAUSE		0.05
#define PAUSE_GROWTH	1.5
#define DEFAULT_EVERY	1.0
#define DEFAULT_TIMEOUT	300.0
#define LAST_LOOK		5.0		/* what a look has at least, the deadline being over */

typedef enum JobState
{
	JOB_IDLE,
	JOB_LOOKING,
	JOB_ACTING
} JobState;

/* What becomes of a job when what it runs is over. */
typedef enum JobEnd
{
	END_REPORT,					/* report what was seen */
	END_NOTHING,				/* it was interrupted: look again when told */
	END_RELEASE,				/* report it as handed back */
	END_FORGET					/* say nothing, be gone */
} JobEnd;

struct ZduJob
{
	ZduJob	   *next;
	ZduJobs    *jobs;
	char	   *token;
	char	   *node;
	char	   *phase;
	json_t	   *args;			/* as of the look or action begun last */
	json_t	   *look;			/* as of the last look, NULL for none */
	JobState	state;
	JobEnd		end;
	bool		acted;			/* the action was begun, once for this token */
	bool		released;		/* it was handed back */
	double		deadline;
	double		begun;
	double		pause;			/* before the next look, 0 for none */
	bool		waiting;		/* the timer runs for the next look */
	bool		mentioned;
	ZduCall    *calls;
	int			ncalls;
	int			running;
	bool		cut;			/* what runs was told to end */
	ZduOutbox	outbox;
	ZduKeep    *keep;			/* what must stay so meanwhile, or NULL */
	uv_timer_t	timer;			/* the next look, or the end of what runs */
};

static void begin_calls(ZduJob *job, JobState state);

static void
hold(json_t **at, json_t *args)
{
	json_incref(args);
	json_decref(*at);
	*at = args;
}

static double
args_number(const ZduJob *job, const char *key, double otherwise)
{
	json_t	   *number = json_object_get(job->args, key);

	return json_is_number(number) ? json_number_value(number) : otherwise;
}

static bool
args_true(const ZduJob *job, const char *key)
{
	return json_is_true(json_object_get(job->args, key));
}

static void
log_job(const ZduJob *job, const char *event, const char *key, const char *value)
{
	zdu_log(event, "cluster", job->jobs->cluster, "token", job->token, "node", job->node,
			"phase", job->phase, key, value, NULL);
}

static void
free_calls(ZduJob *job)
{
	while (job->ncalls > 0)
		zdu_call_clear(&job->calls[--job->ncalls]);
	free(job->calls);
	job->calls = NULL;
}

static void
on_timer_closed(uv_handle_t *timer)
{
	free(timer->data);
}

/* Takes the job, which runs nothing, off the list and frees it. */
static void
free_job(ZduJob *job)
{
	ZduJob	  **link = &job->jobs->first;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	zdu_keep_stop(job->keep);
	free_calls(job);
	json_decref(job->args);
	json_decref(job->look);
	zdu_outbox_clear(&job->outbox);
	free(job->token);
	free(job->node);
	free(job->phase);
	uv_close((uv_handle_t *) &job->timer, on_timer_closed);
}

static void
set_report(ZduJob *job, json_t *report)
{
	zdu_outbox_put(&job->outbox, report);
	job->jobs->ready(job->jobs->arg);
}

static json_t *
make_report(const ZduJob *job, bool acted)
{
	ZduReportSubject subject = {job->token, job->node, json_object_get(job->args, "watch"), json_object_get(job->args, "asked")};

	return zdu_report_make(&subject, acted, job->calls, job->ncalls, args_true(job, "list"));
}

static void
log_acted(const ZduJob *job)
{
	for (int i = 0; i < job->ncalls; i++)
	{
		char	   *evidence = json_dumps(job->calls[i].evidence, JSON_COMPACT);

		log_job(job, job->calls[i].failed ? "act_failed" : "acted", "evidence", evidence);
		free(evidence);
	}
}

/* An action is over: looks what it brought about, without being told, which would take an exchange. */
static void
look_after(ZduJob *job)
{
	zdu_outbox_put_acted(&job->outbox, make_report(job, true));
	free_calls(job);
	hold(&job->args, job->look);
	job->pause = FIRST_PAUSE;
	begin_calls(job, JOB_LOOKING);
}

/* All of a look or an action is over. */
static void
finish_calls(ZduJob *job)
{
	bool		acted = job->state == JOB_ACTING;
	ZduJobs    *jobs = job->jobs;

	uv_timer_stop(&job->timer);
	job->state = JOB_IDLE;
	if (acted)
		log_acted(job);
	switch (job->end)
	{
		case END_REPORT:
			if (acted && !job->cut && job->look != NULL && jobs->may_begin(jobs->arg))
			{
				look_after(job);
				return;
			}
			set_report(job, make_report(job, acted));
			break;
		case END_RELEASE:
			set_report(job, zdu_report_release(job->token, true, job->calls, job->ncalls));
			break;
		case END_NOTHING:
			break;
		case END_FORGET:
			free_job(job);
			jobs->ready(jobs->arg);
			return;
	}
	free_calls(job);
}

static void
on_call_done(ZduCall *call)
{
	ZduJob	   *job = call->owner;

	if (--job->running == 0)
		finish_calls(job);
}

/* Ends what runs, if anything does; `end` says what follows. */
static void
end_calls(ZduJob *job, JobEnd end, const char *why)
{
	int			i = job->ncalls;

	job->end = end;
	job->cut = true;

	/* The last of them to end frees the calls: none is touched after that. */
	while (--i >= 0 && job->state != JOB_IDLE)
		zdu_call_end(&job->calls[i], why);
}

static void
on_timeout(uv_timer_t *timer)
{
	ZduJob	   *job = timer->data;

	end_calls(job, job->end, "timeout");
}

static void
on_look_due(uv_timer_t *timer)
{
	ZduJob	   *job = timer->data;

	job->waiting = false;

	/* Without the database nothing is begun; its next answer says it again. */
	if (job->jobs->may_begin(job->jobs->arg))
		begin_calls(job, JOB_LOOKING);
}

/* Sets the timer to the end of what runs. */
static void
limit_calls(ZduJob *job)
{
	double		over = job->begun + args_number(job, "timeout", DEFAULT_TIMEOUT);
	double		until = fmin(over, job->deadline);

	/* What an action that was ended at its deadline brought about is still looked at. */
	if (job->state == JOB_LOOKING)
		until = fmin(over, fmax(until, job->begun + LAST_LOOK));

	uv_timer_start(&job->timer, on_timeout, fmin(fmax(0, until - zdu_now()), 1e6) * 1000, 0);
}

/* Begins a look or the action at every target. */
static void
begin_calls(ZduJob *job, JobState state)
{
	json_t	   *targets = json_object_get(job->args, "targets");
	int			count = json_array_size(targets);
	int			i;

	job->state = state;
	job->end = END_REPORT;
	job->cut = false;
	job->begun = zdu_now();
	job->calls = calloc(count + 1, sizeof(ZduCall));
	if (job->calls == NULL)
		abort();
	job->ncalls = count;
	limit_calls(job);

	/* One more than there are: not over before all of them are begun. */
	job->running = count + 1;
	for (i = 0; i < count; i++)
	{
		ZduCall    *call = &job->calls[i];

		call->around = job->jobs->around;
		call->spec = json_array_get(targets, i);
		call->env = json_object_get(job->args, "env");
		call->act = state == JOB_ACTING;
		call->may_outlive = call->act && args_true(job, "may_outlive");
		call->timeout = args_number(job, "timeout", DEFAULT_TIMEOUT);
		call->size = fmin(fmax(args_number(job, "size", ZDU_LOOK_SIZE), ZDU_LOOK_SIZE), ZDU_LOOK_MOST);
		call->done = on_call_done;
		call->owner = job;
		zdu_call_start(call);
	}
	if (--job->running == 0)
		finish_calls(job);
}

static ZduJob *
add_job(ZduJobs *jobs, const ZduOrder *order)
{
	ZduJob	   *job = calloc(1, sizeof(ZduJob));

	if (job == NULL)
		abort();
	job->jobs = jobs;
	job->token = zdu_text_copy(order->token);
	job->node = zdu_text_copy(order->node);
	job->phase = zdu_text_copy(order->phase);
	job->timer.data = job;
	uv_timer_init(jobs->around->loop, &job->timer);
	job->next = jobs->first;
	jobs->first = job;
	return job;
}

static ZduJob *
find_job(const ZduJobs *jobs, const ZduOrder *order)
{
	ZduJob	   *job;

	for (job = jobs->first; job != NULL; job = job->next)
	{
		if (job->end == END_FORGET || !zdu_text_same(job->token, order->token))
			continue;
		if (order->token != NULL ||
			(zdu_text_same(job->node, order->node) && zdu_text_same(job->phase, order->phase) &&
			 json_equal(json_object_get(job->args, "watch"), json_object_get(order->args, "watch"))))
			return job;
	}
	return NULL;
}

/* "probe": looks now the first time, then after longer and longer pauses. */
static void
order_probe(ZduJob *job, json_t *args)
{
	hold(&job->args, args);
	hold(&job->look, args);
	if (job->waiting)
		return;
	if (job->pause == 0)
	{
		job->pause = FIRST_PAUSE;
		begin_calls(job, JOB_LOOKING);
		return;
	}
	job->waiting = true;
	uv_timer_start(&job->timer, on_look_due, job->pause * 1000, 0);
	job->pause = fmin(job->pause * PAUSE_GROWTH, args_number(job, "every", DEFAULT_EVERY));
}

/* "act": once for this token. */
static void
order_act(ZduJob *job, json_t *args)
{
	if (job->acted)
		return;
	hold(&job->args, args);
	job->acted = true;
	job->waiting = false;

	/* What follows an action is a look at once. */
	job->pause = 0;
	log_job(job, "act", "attempt", json_string_value(json_object_get(json_object_get(args, "env"), "ZDU_ATTEMPT")));
	begin_calls(job, JOB_ACTING);
}

/* Hands the job back; what it runs is ended first. */
static void
release(ZduJob *job, const char *why)
{
	if (job->end == END_RELEASE)
		return;
	job->released = true;
	job->waiting = false;
	zdu_keep_stop(job->keep);
	job->keep = NULL;
	log_job(job, "release", "why", why);
	if (job->state != JOB_IDLE)
	{
		end_calls(job, END_RELEASE, why);
		return;
	}
	uv_timer_stop(&job->timer);
	job->end = END_RELEASE;
	set_report(job, zdu_report_release(job->token, true, NULL, 0));
}

static void
order_end(ZduJob *job, json_t *args)
{
	(void) args;
	release(job, "told to end");
}

static const struct
{
	const char *verb;
	bool		begins;			/* only when idle, and with the database there */
	void		(*carry_out) (ZduJob *job, json_t *args);
}			verbs[] = {
	{"probe", true, order_probe},
	{"act", true, order_act},
	{"end", false, order_end},
};

void
zdu_jobs_begin_answer(ZduJobs *jobs)
{
	for (ZduJob *job = jobs->first; job != NULL; job = job->next)
		job->mentioned = false;
}

void
zdu_jobs_order(ZduJobs *jobs, const ZduOrder *order)
{
	ZduJob	   *job = find_job(jobs, order);
	size_t		i;

	if (job == NULL)
	{
		job = add_job(jobs, order);
		if (job->token != NULL)
			log_job(job, "granted", "attempt", order->attempt);
	}
	if (job->keep == NULL && !job->released)
		job->keep = zdu_keep_start(jobs->around, order->args, job->node);
	job->mentioned = true;
	job->deadline = order->deadline;
	if (job->state != JOB_IDLE)
		limit_calls(job);

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
	{
		if (strcmp(verbs[i].verb, order->verb) != 0)
			continue;
		if (!verbs[i].begins ||
			(job->state == JOB_IDLE && zdu_outbox_empty(&job->outbox) && jobs->may_begin(jobs->arg)))
			verbs[i].carry_out(job, order->args);
		return;
	}
}

static void
forget(ZduJob *job, const char *why)
{
	if (job->end == END_FORGET)
		return;
	if (job->state == JOB_IDLE)
	{
		free_job(job);
		return;
	}
	log_job(job, "dropped", "why", why);
	end_calls(job, END_FORGET, why);
}

/* Returns whether its action was handed back running: it goes on without us. */
static bool
lives_on(const ZduJob *job)
{
	return job->released && job->state == JOB_ACTING && args_true(job, "may_outlive");
}

void
zdu_jobs_end_answer(ZduJobs *jobs)
{
	ZduJob	   *job;
	ZduJob	   *next;

	for (job = jobs->first; job != NULL; job = next)
	{
		next = job->next;
		if (job->token != NULL && !job->mentioned && !lives_on(job))
			forget(job, "not ours any more");
	}
}

void
zdu_jobs_forget(ZduJobs *jobs, const char *token)
{
	ZduJob	   *job;
	ZduJob	   *next;

	for (job = jobs->first; job != NULL; job = next)
	{
		next = job->next;
		if (token == NULL || zdu_text_same(job->token, token))
			forget(job, "not ours any more");
	}
}

void
zdu_jobs_lose_lease(ZduJobs *jobs)
{
	ZduJob	   *job;
	ZduJob	   *next;

	for (job = jobs->first; job != NULL; job = next)
	{
		next = job->next;
		if (job->waiting)
			uv_timer_stop(&job->timer);
		job->waiting = false;
		zdu_keep_stop(job->keep);
		job->keep = NULL;
		if (job->state == JOB_LOOKING && job->end == END_REPORT)
			end_calls(job, job->token != NULL ? END_NOTHING : END_FORGET, "the lease is over");
		else if (job->state == JOB_ACTING && job->end == END_REPORT && !args_true(job, "may_outlive"))
			release(job, "the lease is over");
	}
}

void
zdu_jobs_leave(ZduJobs *jobs)
{
	ZduJob	   *job;
	ZduJob	   *next;

	for (job = jobs->first; job != NULL; job = next)
	{
		next = job->next;

		/* A report that is ready goes first; the job is handed back after it. */
		if (!zdu_outbox_empty(&job->outbox) || job->released)
			continue;
		if (job->token == NULL)
			forget(job, "the worker leaves");
		else if (job->state == JOB_ACTING && args_true(job, "may_outlive"))
		{
			job->released = true;
			job->end = END_RELEASE;
			set_report(job, zdu_report_release(job->token, false, NULL, 0));
		}
		else
			release(job, "the worker leaves");
	}
}

json_t *
zdu_jobs_collect(ZduJobs *jobs)
{
	json_t	   *reports = json_array();

	for (ZduJob *job = jobs->first; job != NULL; job = job->next)
		zdu_outbox_collect(&job->outbox, reports);
	return reports;
}

void
zdu_jobs_sent(ZduJobs *jobs, bool carried)
{
	ZduJob	   *job;
	ZduJob	   *next;

	for (job = jobs->first; job != NULL; job = next)
	{
		next = job->next;
		if (!zdu_outbox_sent(&job->outbox, carried))
			continue;

		/* Should the database still not take it for handed back, it can be told again. */
		if (job->token == NULL)
			free_job(job);
		else if (job->state == JOB_IDLE)
			job->end = END_REPORT;
	}
}

int
zdu_jobs_held(const ZduJobs *jobs)
{
	int			held = 0;

	for (const ZduJob *job = jobs->first; job != NULL; job = job->next)
		held += job->token != NULL;
	return held;
}

bool
zdu_jobs_any(const ZduJobs *jobs)
{
	return jobs->first != NULL;
}

bool
zdu_jobs_left(const ZduJobs *jobs)
{
	for (const ZduJob *job = jobs->first; job != NULL; job = job->next)
		if (!zdu_outbox_empty(&job->outbox) || !job->released || (job->state != JOB_IDLE && !lives_on(job)))
			return false;
	return true;
}
