/*
 * join.c
 *	  Asks for a node whether it may start.
 *
 * Only a refusal is final.  Whatever keeps the database from answering now,
 * and the answer "retry", may be different in a while.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"
#include "client/options.h"
#include "worker/join.h"
#include "worker/log.h"

/* Column numbers of the question. */
enum
{
	COL_VERDICT, COL_RETRY_AFTER, COL_UPGRADE_STATE, COL_BEAT_EVERY, COL_RULE, COL_REASON
};

static const char *const question =
"SELECT verdict, extract(epoch FROM retry_after), upgrade_state, beat_every, rule, reason"
" FROM zdu_join($1, $2, $3, $4)";

/* Classes of SQLSTATE that say nothing about the node: connection, rollback, resources, intervention, not adopted. */
static const char *const passing[] = {"08", "40", "53", "57", "25006", "55P03", "ZD004", NULL};

static const ZduJoinOptions *options;
static void (*tell_ended) (int code);
static ZduLink *join_link;
static uv_timer_t ask_timer;
static uv_timer_t end_timer;
static bool gone;

static void
end_with(int code)
{
	if (gone)
		return;
	gone = true;
	uv_timer_stop(&ask_timer);
	uv_timer_stop(&end_timer);
	zdu_link_free(join_link);
	tell_ended(code);
}

static const char *
field(const PGresult *result, int column)
{
	return PQgetisnull(result, 0, column) ? NULL : PQgetvalue(result, 0, column);
}

static void
ask(uv_timer_t *timer)
{
	const char *params[4] = {options->cluster, options->node, options->version, options->incarnation};

	(void) timer;
	if (zdu_link_idle(join_link))
		zdu_link_query(join_link, question, 4, params);
}

/* Asks again after some seconds, or gives up for now. */
static void
later(double seconds)
{
	if (options->timeout <= 0)
		end_with(ZDU_EXIT_TRY_LATER);
	else
		uv_timer_start(&ask_timer, ask, zdu_jitter(seconds) * 1000, 0);
}

static void
on_up(void *arg)
{
	(void) arg;
	ask(NULL);
}

static void
on_down(void *arg, const char *why)
{
	(void) arg;
	zdu_log("unreachable", "cluster", options->cluster, "node", options->node, "why", why, NULL);
	/* One that goes on asking makes the connection again by itself. */
	if (options->timeout <= 0)
		end_with(ZDU_EXIT_TRY_LATER);
}

static bool
is_passing(const char *sqlstate)
{
	int			i;

	for (i = 0; sqlstate != NULL && passing[i] != NULL; i++)
		if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
			return true;
	return sqlstate == NULL;
}

static void
take_error(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	zdu_log("error", "cluster", options->cluster, "node", options->node, "sqlstate", sqlstate,
			"message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
			"detail", PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL),
			"hint", PQresultErrorField(result, PG_DIAG_MESSAGE_HINT), NULL);
	if (is_passing(sqlstate))
		later(1);
	else
		end_with(ZDU_EXIT_NOT_ADMITTED);
}

static void
on_result(void *arg, PGresult *result)
{
	const char *verdict;
	const char *after;

	(void) arg;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		take_error(result);
		return;
	}
	verdict = field(result, COL_VERDICT);
	after = field(result, COL_RETRY_AFTER);
	zdu_log(verdict, "cluster", options->cluster, "node", options->node, "version", options->version,
			"upgrade_state", field(result, COL_UPGRADE_STATE), "beat_every", field(result, COL_BEAT_EVERY),
			"retry_after", after, "rule", field(result, COL_RULE), "reason", field(result, COL_REASON), NULL);
	if (strcmp(verdict, "admitted") == 0)
		end_with(ZDU_EXIT_OK);
	else if (strcmp(verdict, "retry") == 0)
		later(after != NULL && atof(after) > 0 ? atof(after) : 1);
	else
		end_with(ZDU_EXIT_NOT_ADMITTED);
}

static const ZduLinkHandler handler = {on_up, on_down, on_result, NULL};

static void
on_end_timer(uv_timer_t *timer)
{
	(void) timer;
	zdu_log("timeout", "cluster", options->cluster, "node", options->node, NULL);
	end_with(ZDU_EXIT_TRY_LATER);
}

const char *
zdu_join_start(uv_loop_t *loop, const ZduJoinOptions *given, void (*ended) (int code))
{
	const ZduLinkDefault defaults[] = {
		{"password", NULL, given->password},
		{"application_name", NULL, "zdu_worker"},
		{"target_session_attrs", "PGTARGETSESSIONATTRS", "read-write"},
		{"client_encoding", NULL, "UTF8"},
		{"connect_timeout", "PGCONNECT_TIMEOUT", "10"},
		{NULL, NULL, NULL}
	};
	char	   *error = NULL;

	options = given;
	tell_ended = ended;
	join_link = zdu_link_new(loop, options->conninfo, defaults, options->timeout > 0, &handler, NULL, &error);
	if (join_link == NULL)
		return error;
	uv_timer_init(loop, &ask_timer);
	uv_timer_init(loop, &end_timer);
	if (options->timeout > 0)
		uv_timer_start(&end_timer, on_end_timer, options->timeout * 1000, 0);
	zdu_link_open(join_link);
	return NULL;
}

void
zdu_join_stop(void)
{
	end_with(ZDU_EXIT_TRY_LATER);
}
