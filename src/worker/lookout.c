/*
 * lookout.c
 *	  What an action does in a database keeps nobody waiting for long.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/connect.h"
#include "worker/conninfo.h"
#include "worker/lookout.h"

#define LOOKS_A_LIMIT	10		/* how often it looks in the time that others may wait */
#define SHORTEST_PAUSE	0.05
#define LONGEST_PAUSE	0.5
#define PATIENCE		10.0	/* with a server that does not answer */

struct ZduLookout
{
	ZduLink    *link;
	uv_timer_t	timer;			/* the next look, or the end of patience */
	const ZduLookoutHandler *handler;
	void	   *arg;
	char		name[ZDU_LOOKOUT_NAME_SIZE];
	char	   *limit;
	double		pause;
	bool		up;
	bool		cancels;		/* the question under way cancels, too */
};

/*
 * Who waits had no need to before the session's transaction began.  What the
 * server does for itself, such as autovacuum, has no user, and may wait.  With
 * $3 the session is cancelled, if it still is as it was.
 */
static const char *const look =
"SELECT format('%s (pid %s) waited %s s for %s', coalesce(nullif(b.application_name, ''), 'a session'), b.waiter, "
"  round(extract(epoch FROM b.waited)::numeric, 1), b.what), CASE WHEN $3 THEN pg_cancel_backend(b.pid) END "
"FROM (SELECT s.pid, w.pid AS waiter, a.application_name, clock_timestamp() - greatest(w.waitstart, s.xact_start) AS waited, "
"    CASE WHEN w.relation IS NOT NULL AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
"      THEN w.relation::regclass::text ELSE w.locktype END AS what "
"  FROM pg_stat_activity s "
"  JOIN pg_locks w ON NOT w.granted AND w.waitstart IS NOT NULL AND s.pid = ANY (pg_blocking_pids(w.pid)) "
"  JOIN pg_stat_activity a ON a.pid = w.pid AND a.usesysid IS NOT NULL AND a.application_name <> $1 "
"  WHERE s.application_name = $1 "
"  ORDER BY waited DESC LIMIT 1) b "
"WHERE b.waited > $2::interval";

/* Whoever is told may stop it. */
static void
give_up(ZduLookout *lookout, const char *why)
{
	char		text[512];

	uv_timer_stop(&lookout->timer);
	snprintf(text, sizeof(text), "nobody watches whom it blocks: %s", why);
	lookout->handler->down(lookout->arg, text);
}

static void
on_patience_over(uv_timer_t *timer)
{
	give_up(timer->data, "the server does not answer");
}

static void
ask(ZduLookout *lookout, bool cancel)
{
	const char *params[] = {lookout->name, lookout->limit, cancel ? "true" : "false"};

	lookout->cancels = cancel;
	uv_timer_start(&lookout->timer, on_patience_over, PATIENCE * 1000, 0);
	zdu_link_query(lookout->link, look, 3, params);
}

static void
on_pause_over(uv_timer_t *timer)
{
	ask(timer->data, false);
}

static void
on_up(void *arg)
{
	ask(arg, false);
}

static void
on_down(void *arg, const char *why)
{
	give_up(arg, why);
}

static void
on_result(void *arg, PGresult *result)
{
	ZduLookout *lookout = arg;
	bool		blocks;
	char		text[512];

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

		give_up(lookout, message != NULL ? message : "the look failed");
		return;
	}
	blocks = PQntuples(result) > 0;
	if (blocks && !lookout->cancels)
	{
		snprintf(text, sizeof(text), "it blocked others longer than %s: %s", lookout->limit, PQgetvalue(result, 0, 0));
		lookout->handler->cancels(lookout->arg, text);
		ask(lookout, true);
		return;
	}
	uv_timer_start(&lookout->timer, on_pause_over, lookout->pause * 1000, 0);
	if (lookout->cancels && !blocks)
		lookout->handler->cancels(lookout->arg, NULL);

	/* The first look says that it can look. */
	if (!lookout->up)
	{
		lookout->up = true;
		lookout->handler->up(lookout->arg);
	}
}

static const ZduLinkHandler handler_of_link = {on_up, on_down, on_result, NULL};

static const char *
variable(const ZduCall *call, const char *name)
{
	return json_string_value(json_object_get(call->env, name));
}

const char *
zdu_lookout_limit(const ZduCall *call)
{
	return call->act ? variable(call, "ZDU_MAX_BLOCK") : NULL;
}

void
zdu_lookout_name(const ZduCall *call, char *name, size_t size)
{
	const char *token = variable(call, "ZDU_TOKEN");

	snprintf(name, size, "zdu %s", token != NULL ? token : "");
}

ZduLookout *
zdu_lookout_start(const ZduCall *call, const char *conninfo, const ZduLookoutHandler *handler, void *arg, const char **wrong)
{
	static const ZduLinkDefault defaults[] = {
		{"application_name", NULL, "zdu_worker lookout"},
		{"client_encoding", NULL, "UTF8"},
		{NULL, NULL, NULL}
	};
	ZduLookout *lookout;

	*wrong = zdu_conninfo_refuse(conninfo);
	if (*wrong != NULL)
		return NULL;
	lookout = calloc(1, sizeof(ZduLookout));
	if (lookout == NULL)
		abort();
	lookout->link = zdu_link_new(call->around->loop, conninfo, defaults, false, &handler_of_link, lookout, NULL);
	if (lookout->link == NULL)
	{
		free(lookout);
		*wrong = "the connection string cannot be read";
		return NULL;
	}
	lookout->handler = handler;
	lookout->arg = arg;
	lookout->limit = zdu_text_copy(zdu_lookout_limit(call));
	lookout->pause = fmin(fmax(strtod(lookout->limit, NULL) / 1000 / LOOKS_A_LIMIT, SHORTEST_PAUSE), LONGEST_PAUSE);
	zdu_lookout_name(call, lookout->name, sizeof(lookout->name));
	lookout->timer.data = lookout;
	uv_timer_init(call->around->loop, &lookout->timer);
	zdu_link_open(lookout->link);
	return lookout;
}

static void
free_lookout(uv_handle_t *timer)
{
	ZduLookout *lookout = timer->data;

	free(lookout->limit);
	free(lookout);
}

void
zdu_lookout_stop(ZduLookout *lookout)
{
	if (lookout == NULL)
		return;
	zdu_link_free(lookout->link);
	uv_close((uv_handle_t *) &lookout->timer, free_lookout);
}
