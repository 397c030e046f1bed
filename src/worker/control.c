/*
 * control.c
 *	  The worker's connection to zdu: the exchange.
 *
 * All of it is one question at a time on one connection: LISTEN, the clusters
 * to serve, and zdu_work() for the one of them that is due first.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"
#include "worker/control.h"
#include "worker/job.h"
#include "worker/log.h"
#include "worker/notify.h"
#include "worker/programs.h"

#define PROTOCOL		"2"
#define POLL_EVERY		1.0
#define LIST_EVERY		5.0
#define NOTIFIED_PAUSE	0.005	/* many workers hear the same: they need not ask at the same time */
#define ERROR_PAUSE		1.0
#define LEASE_SHARE		0.9		/* how much of a lease is used */
#define POLLS_A_LEASE	4		/* how often it is asked for before it is over */
#define LEAVE_WITHIN	4.5

typedef enum Question
{
	ASK_LISTEN,
	ASK_LIST,
	ASK_WORK
} Question;

typedef struct Cluster
{
	struct Cluster *next;
	char	   *name;
	ZduJobs		jobs;
	bool		listed;			/* still to be served */
	double		due;			/* when to ask */
	double		asked;			/* when it was asked last */
	double		lease_until;	/* 0 when there is none */
	bool		idle;			/* the last answer had nothing to do */
	bool		told;			/* an answer came since the worker leaves */
} Cluster;

static const ZduSurroundings *around;
static const ZduControlOptions *options;
static void (*tell_left) (int code);
static ZduLink *control_link;
static uv_timer_t control_timer;	/* the next question */
static uv_timer_t leave_timer;
static Question question;
static Cluster *clusters;
static Cluster *asking;			/* whom the call under way is about */
static bool listening;
static bool listed_once;
static double list_due;
static char *programs;
static bool leaving;
static bool gone;

static void plan(void);

/* Column numbers of the answer. */
enum
{
	ROW_TOKEN, ROW_NODE, ROW_PHASE, ROW_ATTEMPT, ROW_VERB, ROW_ARGS, ROW_DEADLINE, ROW_LEASE,
	ROW_SQLSTATE, ROW_MESSAGE
};

static const char *const work_query =
"SELECT token, node, phase, attempt, verb, args, deadline, lease, sqlstate, message"
" FROM zdu_work($1::text, $2::text, $3::text, $4::json, $5::int, $6::text, $7::text[], " PROTOCOL ", $8::boolean)";

static const char *const list_query =
"SELECT name FROM zdu.cluster WHERE runbook IS NOT NULL AND ($1::text IS NULL OR name = $1) ORDER BY name";

static void
report_ready(void *arg)
{
	((Cluster *) arg)->due = 0;
	plan();
}

static bool
may_begin(void *arg)
{
	const Cluster *cluster = arg;

	return !leaving && cluster->listed && control_link != NULL && listening &&
		zdu_now() < cluster->lease_until;
}

static Cluster *
add_cluster(const char *name)
{
	Cluster    *cluster = calloc(1, sizeof(Cluster));

	if (cluster == NULL || (cluster->name = strdup(name)) == NULL)
		abort();
	cluster->jobs.around = around;
	cluster->jobs.cluster = cluster->name;
	cluster->jobs.ready = report_ready;
	cluster->jobs.may_begin = may_begin;
	cluster->jobs.arg = cluster;
	cluster->next = clusters;
	clusters = cluster;
	zdu_log("serving", "cluster", name, NULL);
	return cluster;
}

/* Drops the clusters that are served no more and of which nothing runs. */
static void
drop_clusters(void)
{
	Cluster   **at = &clusters;

	while (*at != NULL)
	{
		Cluster    *cluster = *at;

		if (cluster->listed || cluster == asking || zdu_jobs_any(&cluster->jobs))
		{
			at = &cluster->next;
			continue;
		}
		*at = cluster->next;
		zdu_log("served", "cluster", cluster->name, NULL);
		free(cluster->name);
		free(cluster);
	}
}

static void
take_list(const PGresult *result)
{
	Cluster    *cluster;
	int			i;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		cluster->listed = false;
	for (i = 0; i < PQntuples(result); i++)
	{
		const char *name = PQgetvalue(result, i, 0);

		for (cluster = clusters; cluster != NULL; cluster = cluster->next)
			if (strcmp(cluster->name, name) == 0)
				break;
		if (cluster == NULL)
			cluster = add_cluster(name);
		cluster->listed = true;
	}
	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		if (!cluster->listed)
			zdu_jobs_forget(&cluster->jobs, NULL);
	drop_clusters();
	listed_once = true;
}

static const char *
field(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static double
field_number(const PGresult *result, int row, int column, double otherwise)
{
	const char *text = field(result, row, column);

	return text != NULL ? strtod(text, NULL) : otherwise;
}

/* Returns how many steps more there is room for. */
static int
free_slots(void)
{
	const Cluster *cluster;
	int			slots = leaving ? 0 : options->slots;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		slots -= zdu_jobs_held(&cluster->jobs);
	return slots > 0 ? slots : 0;
}

static void
take_error(Cluster *cluster, const PGresult *result, int row)
{
	const char *sqlstate = field(result, row, ROW_SQLSTATE);
	const char *token = field(result, row, ROW_TOKEN);

	zdu_log("refused", "cluster", cluster->name, "token", token, "node", field(result, row, ROW_NODE),
			"sqlstate", sqlstate, "message", field(result, row, ROW_MESSAGE), NULL);
	if (token != NULL && sqlstate != NULL && strcmp(sqlstate, "ZD003") == 0)
		zdu_jobs_forget(&cluster->jobs, token);
}

static void
take_row(Cluster *cluster, const PGresult *result, int row)
{
	ZduOrder	order = {
		.token = field(result, row, ROW_TOKEN),
		.node = field(result, row, ROW_NODE),
		.phase = field(result, row, ROW_PHASE),
		.attempt = field(result, row, ROW_ATTEMPT),
		.verb = field(result, row, ROW_VERB),
		.deadline = cluster->asked + field_number(result, row, ROW_DEADLINE, INFINITY)
	};
	const char *args = field(result, row, ROW_ARGS);

	order.args = args != NULL ? json_loads(args, 0, NULL) : NULL;
	if (order.args == NULL)
		order.args = json_object();
	if (order.verb != NULL && order.phase != NULL)
		zdu_jobs_order(&cluster->jobs, &order);
	json_decref(order.args);
}

/*
 * The answer is all that the worker holds.  Errors come first, so that a token
 * refused as stale and granted anew is not dropped after it was taken up.
 */
static void
take_answer(Cluster *cluster, const PGresult *result)
{
	int			rows = PQntuples(result);
	int			row;

	zdu_jobs_sent(&cluster->jobs, true);
	cluster->lease_until = INFINITY;
	for (row = 0; row < rows; row++)
	{
		double		lease = field_number(result, row, ROW_LEASE, INFINITY);

		cluster->lease_until = fmin(cluster->lease_until, cluster->asked + lease * LEASE_SHARE);
		cluster->due = fmin(cluster->due, cluster->asked + zdu_jitter(lease / POLLS_A_LEASE));
		if (strcmp(PQgetvalue(result, row, ROW_VERB), "error") == 0)
			take_error(cluster, result, row);
	}
	zdu_jobs_begin_answer(&cluster->jobs);
	for (row = 0; row < rows; row++)
		if (strcmp(PQgetvalue(result, row, ROW_VERB), "error") != 0)
			take_row(cluster, result, row);
	zdu_jobs_end_answer(&cluster->jobs);
	cluster->idle = rows == 0 && !zdu_jobs_any(&cluster->jobs);
	if (leaving)
	{
		cluster->told = true;
		zdu_jobs_leave(&cluster->jobs);
	}
}

static void
ask_work(Cluster *cluster)
{
	json_t	   *reports = zdu_jobs_collect(&cluster->jobs);
	char	   *dumped = json_dumps(reports, JSON_COMPACT | JSON_REAL_PRECISION(15));
	char		slots[16];
	const char *params[8];

	snprintf(slots, sizeof(slots), "%d", free_slots());
	params[0] = options->name;
	params[1] = options->incarnation;
	params[2] = cluster->name;
	params[3] = dumped;
	params[4] = slots;
	params[5] = options->node;
	params[6] = programs;
	params[7] = leaving ? "true" : "false";
	asking = cluster;
	cluster->asked = zdu_now();
	cluster->due = cluster->asked + zdu_jitter(POLL_EVERY);
	question = ASK_WORK;
	zdu_link_query(control_link, work_query, 8, params);
	free(dumped);
	json_decref(reports);
}

static void
ask_list(void)
{
	free(programs);
	programs = zdu_programs_list(around->runbooks);
	list_due = zdu_now() + zdu_jitter(LIST_EVERY);
	question = ASK_LIST;
	zdu_link_query(control_link, list_query, 1, &options->cluster);
}

static void
leave_now(int code)
{
	if (gone)
		return;
	gone = true;
	zdu_link_free(control_link);
	tell_left(code);
}

/* Returns whether the worker has nothing more to say about a cluster, or nobody to say it to. */
static bool
has_left_cluster(const Cluster *cluster)
{
	if (!zdu_jobs_any(&cluster->jobs))
		return cluster->told || !cluster->listed || !listening;
	return cluster->told && zdu_jobs_left(&cluster->jobs);
}

static bool
has_left(void)
{
	const Cluster *cluster;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		if (!has_left_cluster(cluster))
			return false;
	return leaving;
}

/* Returns whether every cluster has nothing to do, now that all were asked. */
static bool
nothing_to_do(void)
{
	const Cluster *cluster;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		if (!cluster->idle)
			return false;
	return listed_once;
}

/* Returns the cluster that is to be asked about first. */
static Cluster *
first_due(void)
{
	Cluster    *first = NULL;
	Cluster    *cluster;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		if (cluster->listed && (first == NULL || cluster->due < first->due))
			first = cluster;
	return first;
}

/* Ends what must not go on without a lease, and returns when to look again. */
static double
watch_leases(void)
{
	double		next = INFINITY;
	Cluster    *cluster;

	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
	{
		if (cluster->lease_until == 0)
			continue;
		if (zdu_now() < cluster->lease_until)
		{
			next = fmin(next, cluster->lease_until);
			continue;
		}
		cluster->lease_until = 0;
		zdu_log("lease_over", "cluster", cluster->name, NULL);
		zdu_jobs_lose_lease(&cluster->jobs);
	}
	return next;
}

/* Asks what is due, if nothing is being asked; else sets the timer to when it is. */
static void
on_control_timer(uv_timer_t *timer)
{
	double		next = watch_leases();
	Cluster    *cluster = first_due();

	(void) timer;
	if (options->once && !leaving && nothing_to_do())
		zdu_control_leave();
	if (gone)
		return;
	if (has_left())
	{
		leave_now(ZDU_EXIT_OK);
		return;
	}
	if (zdu_link_idle(control_link) && listening)
	{
		double		now = zdu_now();

		if (list_due <= now)
			ask_list();
		else if (cluster != NULL && cluster->due <= now)
			ask_work(cluster);
		else
			next = fmin(next, fmin(list_due, cluster != NULL ? cluster->due : INFINITY));
	}
	if (isfinite(next))
		uv_timer_start(&control_timer, on_control_timer, fmax(1, ceil((next - zdu_now()) * 1000)), 0);
}

/*
 * Asks when the loop has served all that is ready: so what ends at the same
 * time is reported by the same call.
 */
static void
plan(void)
{
	if (!gone)
		uv_timer_start(&control_timer, on_control_timer, 0, 0);
}

static void
on_up(void *arg)
{
	(void) arg;
	zdu_log("connected", NULL);
	zdu_notify("READY=1\nSTATUS=connected");
	list_due = 0;
	question = ASK_LISTEN;
	zdu_link_query(control_link, "LISTEN zdu", 0, NULL);
}

/* The call under way may have been carried out or not: its reports are sent again. */
static void
forget_question(void)
{
	if (asking != NULL)
		zdu_jobs_sent(&asking->jobs, false);
	asking = NULL;
}

static void
on_down(void *arg, const char *why)
{
	Cluster    *cluster;

	(void) arg;
	zdu_log("disconnected", "why", why, NULL);
	zdu_notify("STATUS=not connected");
	forget_question();
	listening = false;
	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		cluster->due = 0;
	if (options->once)
		leave_now(ZDU_EXIT_UNREACHABLE);
	plan();
}

/* A question was answered by an error: says so, and waits before it is asked again. */
static void
take_failure(PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	zdu_log("error", "cluster", asking != NULL ? asking->name : NULL,
			"sqlstate", PQresultErrorField(result, PG_DIAG_SQLSTATE),
			"message", message != NULL ? message : PQresultErrorMessage(result),
			"detail", PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), NULL);
	if (asking != NULL)
		asking->due = zdu_now() + zdu_jitter(ERROR_PAUSE);
	forget_question();
	if (options->once)
		leave_now(ZDU_EXIT_UNREACHABLE);
}

static void
on_result(void *arg, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	Cluster    *cluster = asking;

	(void) arg;

	/* Without LISTEN nothing is lost but a second: it is only a shortcut. */
	listening = true;
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		take_failure(result);
	else if (question == ASK_LIST)
		take_list(result);
	else if (question == ASK_WORK)
	{
		take_answer(cluster, result);
		asking = NULL;
	}
	plan();
}

static void
on_notified(void *arg)
{
	Cluster    *cluster;
	double		soon = zdu_now() + zdu_jitter(NOTIFIED_PAUSE);

	(void) arg;
	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
		cluster->due = fmin(cluster->due, soon);
	plan();
}

static const ZduLinkHandler handler = {on_up, on_down, on_result, on_notified};

const char *
zdu_control_start(const ZduSurroundings *surroundings, const ZduControlOptions *given, void (*left) (int code))
{
	const ZduLinkDefault defaults[] = {
		{"password", NULL, given->password},
		{"application_name", NULL, "zdu_worker"},
		{"target_session_attrs", "PGTARGETSESSIONATTRS", "read-write"},
		{"client_encoding", NULL, "UTF8"},
		{"keepalives_idle", NULL, "10"},
		{"keepalives_interval", NULL, "5"},
		{"keepalives_count", NULL, "3"},
		{"tcp_user_timeout", NULL, "20000"},
		{NULL, NULL, NULL}
	};
	char	   *error = NULL;

	around = surroundings;
	options = given;
	tell_left = left;
	control_link = zdu_link_new(around->loop, options->conninfo, defaults, true, &handler, NULL, &error);
	if (control_link == NULL)
		return error;
	uv_timer_init(around->loop, &control_timer);
	uv_timer_init(around->loop, &leave_timer);
	zdu_link_open(control_link);
	return NULL;
}

static void
on_leave_timer(uv_timer_t *timer)
{
	(void) timer;
	zdu_log("left_in_haste", NULL);
	leave_now(ZDU_EXIT_OK);
}

void
zdu_control_leave(void)
{
	Cluster    *cluster;

	if (leaving)
		return;
	leaving = true;
	zdu_log("leaving", NULL);
	zdu_notify("STOPPING=1");
	uv_timer_start(&leave_timer, on_leave_timer, LEAVE_WITHIN * 1000, 0);
	for (cluster = clusters; cluster != NULL; cluster = cluster->next)
	{
		cluster->due = 0;
		zdu_jobs_leave(&cluster->jobs);
	}
	plan();
}
