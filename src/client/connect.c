/*
 * connect.c
 *	  A connection to PostgreSQL that never blocks the event loop.
 *
 * libpq may close one socket and open another, with the same number, inside
 * PQconnectPoll() and PQreset(); libuv must not watch a descriptor across
 * that.  So the watch is dropped before each such call and made anew after it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"

#define CONNECT_TIMEOUT		10.0	/* of one attempt, unless connect_timeout says otherwise */
#define QUERY_PATIENCE		60.0	/* of a kept link with a server that does not answer */
#define FIRST_PAUSE			0.1
#define LONGEST_PAUSE		5.0

typedef enum LinkState
{
	LINK_CLOSED,
	LINK_CONNECTING,
	LINK_IDLE,
	LINK_BUSY
} LinkState;

struct ZduLink
{
	uv_loop_t  *loop;
	uv_poll_t  *watch;			/* of the socket, NULL if there is none */
	uv_timer_t	timer;			/* the attempt's end, the pause before the next, the query's end */
	const ZduLinkHandler *handler;
	void	   *arg;
	char	  **keywords;		/* for PQconnectStartParams */
	char	  **values;
	bool		keep;
	LinkState	state;
	PGconn	   *conn;
	PGresult   *result;			/* of the query under way: first error or last */
	double		timeout;
	double		pause;
	int			attempts;
};

double
zdu_now(void)
{
	return uv_hrtime() / 1e9;
}

double
zdu_jitter(double seconds)
{
	return seconds * (0.8 + 0.4 * (random() / (RAND_MAX + 1.0)));
}

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void
unwatch(ZduLink *link)
{
	if (link->watch == NULL)
		return;
	uv_poll_stop(link->watch);
	uv_close((uv_handle_t *) link->watch, free_handle);
	link->watch = NULL;
}

static void on_socket(uv_poll_t *watch, int status, int events);

/* Watches the socket for `events`.  Returns whether that can be done. */
static bool
watch_for(ZduLink *link, int events)
{
	if (link->watch == NULL)
	{
		link->watch = malloc(sizeof(uv_poll_t));
		if (link->watch == NULL)
			abort();
		if (uv_poll_init(link->loop, link->watch, PQsocket(link->conn)) != 0)
		{
			free(link->watch);
			link->watch = NULL;
			return false;
		}
		link->watch->data = link;
	}
	return uv_poll_start(link->watch, events, on_socket) == 0;
}

/* Closes what there is of a connection. */
static void
drop_connection(ZduLink *link)
{
	unwatch(link);
	uv_timer_stop(&link->timer);
	PQclear(link->result);
	link->result = NULL;
	PQfinish(link->conn);
	link->conn = NULL;
	link->state = LINK_CLOSED;
}

static void
on_pause_over(uv_timer_t *timer)
{
	zdu_link_open(timer->data);
}

/* The attempt or the connection is lost: says so and, if kept, tries again. */
static void
lose(ZduLink *link, const char *why)
{
	char		text[512];
	char	   *end;

	/* The words may belong to the connection that is now closed. */
	snprintf(text, sizeof(text), "%s", why);
	for (end = text + strlen(text); end > text && end[-1] == '\n';)
		*--end = '\0';
	drop_connection(link);
	if (link->keep)
	{
		uv_timer_start(&link->timer, on_pause_over, zdu_jitter(link->pause) * 1000, 0);
		link->pause = link->pause * 2 < LONGEST_PAUSE ? link->pause * 2 : LONGEST_PAUSE;
	}
	link->handler->down(link->arg, text);
}

static void
on_timeout(uv_timer_t *timer)
{
	ZduLink    *link = timer->data;

	lose(link, link->state == LINK_CONNECTING ? "connecting took too long" : "the server does not answer");
}

static void
on_refused(uv_timer_t *timer)
{
	ZduLink    *link = timer->data;

	lose(link, PQerrorMessage(link->conn));
}

/* Carries the attempt one step further. */
static void
poll_connection(ZduLink *link)
{
	PostgresPollingStatusType status;

	unwatch(link);
	status = PQconnectPoll(link->conn);
	if (status == PGRES_POLLING_FAILED)
		lose(link, PQerrorMessage(link->conn));
	else if (status != PGRES_POLLING_OK)
	{
		if (!watch_for(link, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
			lose(link, "the socket cannot be watched");
	}
	else if (PQsetnonblocking(link->conn, 1) != 0 || !watch_for(link, UV_READABLE))
		lose(link, "the socket cannot be watched");
	else
	{
		uv_timer_stop(&link->timer);
		link->state = LINK_IDLE;
		link->pause = FIRST_PAUSE;
		link->attempts = 0;
		link->handler->up(link->arg);
	}
}

/* Keeps a result of the query: its first error, or the last of them. */
static bool
keep_result(ZduLink *link, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	/* COPY would go on for ever, and there is nobody here to talk it to. */
	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
	{
		PQclear(result);
		return false;
	}
	if (link->result != NULL && PQresultStatus(link->result) == PGRES_FATAL_ERROR)
		PQclear(result);
	else
	{
		PQclear(link->result);
		link->result = result;
	}
	return true;
}

/* Takes in what the server sent while a query is under way. */
static void
take_results(ZduLink *link)
{
	while (link->state == LINK_BUSY && !PQisBusy(link->conn))
	{
		PGresult   *result = PQgetResult(link->conn);

		if (result == NULL)
		{
			result = link->result;
			link->result = NULL;
			link->state = LINK_IDLE;
			uv_timer_stop(&link->timer);
			if (PQstatus(link->conn) == CONNECTION_BAD)
				lose(link, PQerrorMessage(link->conn));
			else
				link->handler->result(link->arg, result);
			PQclear(result);
			return;
		}
		if (!keep_result(link, result))
		{
			lose(link, "COPY is not possible here");
			return;
		}
	}
}

/* Tells of notifications, but not of those this very session made. */
static void
take_notifications(ZduLink *link)
{
	PGnotify   *notify;
	bool		others = false;

	while ((notify = PQnotifies(link->conn)) != NULL)
	{
		others = others || notify->be_pid != PQbackendPID(link->conn);
		PQfreemem(notify);
	}
	if (others && link->handler->notified != NULL)
		link->handler->notified(link->arg);
}

static void
on_socket(uv_poll_t *watch, int status, int events)
{
	ZduLink    *link = watch->data;

	if (link->state == LINK_CONNECTING)
	{
		poll_connection(link);
		return;
	}
	if (status < 0 || !PQconsumeInput(link->conn))
	{
		lose(link, PQerrorMessage(link->conn));
		return;
	}
	if (events & UV_WRITABLE)
	{
		int			left = PQflush(link->conn);

		if (left < 0)
		{
			lose(link, PQerrorMessage(link->conn));
			return;
		}
		if (left == 0)
			watch_for(link, UV_READABLE);
	}
	take_notifications(link);
	take_results(link);
}

/* Returns a copy of `list`, separated by commas, that begins with element `first`. */
static char *
rotate_list(const char *list, int first)
{
	size_t		length = strlen(list);
	char	   *rotated = malloc(length + 2);
	const char *from = list;
	int			count = 1;
	const char *c;

	if (rotated == NULL)
		abort();
	for (c = list; *c != '\0'; c++)
		count += *c == ',';
	for (first %= count; first > 0; first--)
		from = strchr(from, ',') + 1;
	if (from == list)
		memcpy(rotated, list, length + 1);
	else
		snprintf(rotated, length + 2, "%s,%.*s", from, (int) (from - list - 1), list);
	return rotated;
}

/*
 * Each attempt begins with the next of several hosts: libpq goes on to the next
 * one by itself when a host refuses, but not when it keeps silent.
 */
static PGconn *
start_attempt(const ZduLink *link)
{
	static const char *const lists[] = {"host", "hostaddr", "port", NULL};
	const char *values[64];
	char	   *rotated[3];
	int			nrotated = 0;
	PGconn	   *conn;
	int			i;
	int			j;

	for (i = 0; link->keywords[i] != NULL; i++)
	{
		values[i] = link->values[i];
		for (j = 0; lists[j] != NULL; j++)
			if (strcmp(link->keywords[i], lists[j]) == 0)
				values[i] = rotated[nrotated++] = rotate_list(link->values[i], link->attempts);
	}
	values[i] = NULL;
	conn = PQconnectStartParams((const char *const *) link->keywords, values, 0);
	while (nrotated > 0)
		free(rotated[--nrotated]);
	return conn;
}

void
zdu_link_open(ZduLink *link)
{
	link->conn = start_attempt(link);
	link->attempts++;
	link->state = LINK_CONNECTING;
	uv_timer_start(&link->timer, on_timeout, link->timeout * 1000, 0);

	/* A failure at once is told from the loop too: nobody expects a callback here. */
	if (link->conn == NULL || PQstatus(link->conn) == CONNECTION_BAD || !watch_for(link, UV_WRITABLE))
		uv_timer_start(&link->timer, on_refused, 0, 0);
}

bool
zdu_link_idle(const ZduLink *link)
{
	return link->state == LINK_IDLE;
}

void
zdu_link_query(ZduLink *link, const char *query, int nparams, const char *const *params)
{
	int			sent;

	if (nparams < 0)
		sent = PQsendQuery(link->conn, query);
	else
		sent = PQsendQueryParams(link->conn, query, nparams, NULL, params, NULL, NULL, 0);
	link->state = LINK_BUSY;
	if (link->keep)
		uv_timer_start(&link->timer, on_timeout, QUERY_PATIENCE * 1000, 0);

	/* What went wrong is found again when the socket is served. */
	if (sent == 0 || PQflush(link->conn) != 0)
		watch_for(link, UV_READABLE | UV_WRITABLE);
}

static void
work_cancel(uv_work_t *work)
{
	char		error[256];

	/* Connects anew and waits for an answer: not a thing to do in the loop. */
	PQcancel(work->data, error, sizeof(error));
}

static void
after_cancel(uv_work_t *work, int status)
{
	(void) status;
	PQfreeCancel(work->data);
	free(work);
}

static void
cancel_query(ZduLink *link)
{
	uv_work_t  *work = malloc(sizeof(uv_work_t));

	if (work == NULL)
		abort();
	work->data = PQgetCancel(link->conn);
	if (work->data == NULL || uv_queue_work(link->loop, work, work_cancel, after_cancel) != 0)
		after_cancel(work, 0);
}

static void
free_link(uv_handle_t *timer)
{
	ZduLink    *link = timer->data;
	int			i;

	for (i = 0; link->keywords[i] != NULL; i++)
	{
		free(link->keywords[i]);
		free(link->values[i]);
	}
	free(link->keywords);
	free(link->values);
	free(link);
}

void
zdu_link_free(ZduLink *link)
{
	if (link->state == LINK_BUSY)
		cancel_query(link);
	drop_connection(link);
	uv_close((uv_handle_t *) &link->timer, free_link);
}

static void
add_keyword(ZduLink *link, int *count, const char *keyword, const char *value)
{
	link->keywords[*count] = strdup(keyword);
	link->values[*count] = strdup(value);
	if (link->keywords[*count] == NULL || link->values[*count] == NULL)
		abort();
	(*count)++;
}

static bool
has_keyword(const ZduLink *link, const char *keyword)
{
	int			i;

	for (i = 0; link->keywords[i] != NULL; i++)
		if (strcmp(link->keywords[i], keyword) == 0)
			return true;
	return false;
}

ZduLink *
zdu_link_new(uv_loop_t *loop, const char *conninfo, const ZduLinkDefault *defaults, bool keep,
			 const ZduLinkHandler *handler, void *arg, char **error)
{
	PQconninfoOption *given = PQconninfoParse(conninfo, error);
	PQconninfoOption *option;
	ZduLink    *link;
	int			count = 0;

	if (given == NULL)
		return NULL;
	link = calloc(1, sizeof(ZduLink));
	if (link == NULL)
		abort();
	link->keywords = calloc(64, sizeof(char *));
	link->values = calloc(64, sizeof(char *));
	if (link->keywords == NULL || link->values == NULL)
		abort();
	link->timeout = CONNECT_TIMEOUT;
	for (option = given; option->keyword != NULL; option++)
	{
		if (option->val == NULL)
			continue;
		add_keyword(link, &count, option->keyword, option->val);
		if (strcmp(option->keyword, "connect_timeout") == 0 && atoi(option->val) > 0)
			link->timeout = atoi(option->val);
	}
	PQconninfoFree(given);
	for (; defaults != NULL && defaults->keyword != NULL; defaults++)
		if (defaults->value != NULL && !has_keyword(link, defaults->keyword) &&
			(defaults->environment == NULL || getenv(defaults->environment) == NULL))
			add_keyword(link, &count, defaults->keyword, defaults->value);

	link->loop = loop;
	link->keep = keep;
	link->handler = handler;
	link->arg = arg;
	link->pause = FIRST_PAUSE;
	link->timer.data = link;
	uv_timer_init(loop, &link->timer);
	return link;
}
