/*
 * follow.c
 *	  Follows the upgrade of one cluster to its end.
 *
 * It only reads, so it works on a hot standby too.  The upgrade it saw first is
 * the one it follows: a later one does not make it go on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/connect.h"
#include "client/options.h"
#include "worker/follow.h"
#include "worker/log.h"

#define LOOK_EVERY_MS	500
#define BAR_WIDTH		20
#define LINE_SIZE		1024

/* Column numbers of the look. */
enum
{
	COL_STATE, COL_RUN, COL_ORIGINAL, COL_TARGET, COL_DONE, COL_SERVING, COL_ETA, COL_WAITS_FOR,
	COL_UPGRADE, COL_UPGRADE_RUN
};

static const char *const look_query =
"SELECT s.state, s.run, s.original, s.target, s.done, s.serving, date_trunc('second', s.eta), s.waits_for,"
" u.upgrade_id, u.run"
" FROM zdu.status s LEFT JOIN LATERAL"
" (SELECT upgrade_id, run FROM zdu.upgrade JOIN zdu.cluster USING (cluster_id)"
"   WHERE cluster.name = s.cluster AND ($2::bigint IS NULL OR upgrade_id = $2)"
"   ORDER BY upgrade_id DESC LIMIT 1) u ON true"
" WHERE s.cluster = $1";

/* What ends the following, and how. */
static const struct
{
	const char *run;
	int			code;
}			ends[] = {
	{"completed", ZDU_EXIT_OK},
	{"held", ZDU_EXIT_HELD},
	{"rolled_back", ZDU_EXIT_ROLLED_BACK},
	{"cancelled", ZDU_EXIT_ROLLED_BACK},
};

static const ZduFollowOptions *options;
static void (*tell_ended) (int code);
static ZduLink *follow_link;
static uv_timer_t look_timer;
static uv_timer_t end_timer;
static char upgrade[32];		/* its id, once it is known */
static char shown[LINE_SIZE];	/* what was shown last */
static bool on_terminal;
static bool gone;

static void
end_with(int code)
{
	if (gone)
		return;
	gone = true;
	if (on_terminal && shown[0] != '\0')
		putchar('\n');
	fflush(stdout);
	zdu_link_free(follow_link);
	tell_ended(code);
}

static void
refuse(const char *why)
{
	zdu_log("refused", "cluster", options->cluster, "message", why, NULL);
	end_with(ZDU_EXIT_REFUSED);
}

static const char *
field(const PGresult *result, int column)
{
	return PQgetisnull(result, 0, column) ? "-" : PQgetvalue(result, 0, column);
}

static int
terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		return size.ws_col - 1;
	return 79;
}

static void
show_bar(const PGresult *result)
{
	char		line[LINE_SIZE];
	char		bar[BAR_WIDTH + 1];
	int			done = 0;
	int			all = 0;
	int			filled;

	if (sscanf(field(result, COL_DONE), "%d/%d", &done, &all) != 2 || all <= 0 || done > all)
		all = 1;
	filled = done * BAR_WIDTH / all;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', filled);
	bar[BAR_WIDTH] = '\0';
	snprintf(line, sizeof(line), "%s %s -> %s [%s] %s done, %s serving, eta %s, %s: %s",
			 options->cluster, field(result, COL_ORIGINAL), field(result, COL_TARGET), bar,
			 field(result, COL_DONE), field(result, COL_SERVING), field(result, COL_ETA),
			 field(result, COL_UPGRADE_RUN), field(result, COL_WAITS_FOR));
	printf("\r\033[K%.*s", terminal_width(), line);
	memcpy(shown, line, sizeof(shown));
}

/* Prints a line if something has changed; the time left always does, and does not count. */
static void
show_change(const PGresult *result)
{
	char		line[LINE_SIZE];

	snprintf(line, sizeof(line), "cluster=%s state=%s run=%s original=%s target=%s done=%s serving=%s waits_for=\"%s\"",
			 options->cluster, field(result, COL_STATE), field(result, COL_UPGRADE_RUN),
			 field(result, COL_ORIGINAL), field(result, COL_TARGET), field(result, COL_DONE),
			 field(result, COL_SERVING), field(result, COL_WAITS_FOR));
	if (strcmp(line, shown) == 0)
		return;
	memcpy(shown, line, sizeof(shown));
	printf("%s eta=%s\n", line, field(result, COL_ETA));
}

static void
take_look(const PGresult *result)
{
	size_t		i;

	if (PQntuples(result) == 0)
	{
		refuse("there is no such cluster");
		return;
	}
	if (PQgetisnull(result, 0, COL_UPGRADE))
	{
		refuse("there is no upgrade to follow");
		return;
	}
	snprintf(upgrade, sizeof(upgrade), "%s", field(result, COL_UPGRADE));
	if (on_terminal)
		show_bar(result);
	else
		show_change(result);
	fflush(stdout);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(field(result, COL_UPGRADE_RUN), ends[i].run) == 0)
		{
			end_with(ends[i].code);
			return;
		}
	if (options->ready && strcmp(field(result, COL_STATE), "READY_TO_RUN_UPGRADE_TASKS") == 0)
		end_with(ZDU_EXIT_OK);
}

static void
look(uv_timer_t *timer)
{
	const char *params[2];

	(void) timer;
	params[0] = options->cluster;
	params[1] = upgrade[0] != '\0' ? upgrade : NULL;
	if (zdu_link_idle(follow_link))
		zdu_link_query(follow_link, look_query, 2, params);
}

static void
on_up(void *arg)
{
	(void) arg;
	look(NULL);
}

static void
on_down(void *arg, const char *why)
{
	(void) arg;
	zdu_log("disconnected", "why", why, NULL);
}

static void
on_result(void *arg, PGresult *result)
{
	(void) arg;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		refuse(PQresultErrorMessage(result));
		return;
	}
	take_look(result);
	if (!gone)
		uv_timer_start(&look_timer, look, LOOK_EVERY_MS, 0);
}

static const ZduLinkHandler handler = {on_up, on_down, on_result, NULL};

static void
on_end_timer(uv_timer_t *timer)
{
	(void) timer;
	zdu_log("timeout", "cluster", options->cluster, NULL);
	end_with(ZDU_EXIT_TIMEOUT);
}

const char *
zdu_follow_start(uv_loop_t *loop, const ZduFollowOptions *given, void (*ended) (int code))
{
	const ZduLinkDefault defaults[] = {
		{"password", NULL, given->password},
		{"application_name", NULL, "zdu_worker"},
		{"client_encoding", NULL, "UTF8"},
		{NULL, NULL, NULL}
	};
	char	   *error = NULL;

	options = given;
	tell_ended = ended;
	on_terminal = isatty(STDOUT_FILENO);
	follow_link = zdu_link_new(loop, options->conninfo, defaults, true, &handler, NULL, &error);
	if (follow_link == NULL)
		return error;
	uv_timer_init(loop, &look_timer);
	uv_timer_init(loop, &end_timer);
	if (options->timeout > 0)
		uv_timer_start(&end_timer, on_end_timer, options->timeout * 1000, 0);
	zdu_link_open(follow_link);
	return NULL;
}

void
zdu_follow_stop(void)
{
	end_with(ZDU_EXIT_TIMEOUT);
}
