/*
 * node.c
 *	  A node that speaks to zdu itself, with libpq.
 *
 *	  node CONNINFO CLUSTER NODE VERSION
 *
 * What an application has to do is in the four functions join(), beat(),
 * may_run() and leave(); the rest stands for the application: it prints what it
 * is told, and on SIGTERM finishes and leaves.
 *
 *	  cc -I$(pg_config --includedir) -o node node.c -L$(pg_config --libdir) -lpq
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define EXIT_REFUSED	78
#define MAX_TEXT		256

static PGconn *conn;
static const char *cluster;
static const char *node;
static const char *version;
static char incarnation[33];	/* new for every process: a late beat of the last one changes nothing */
static double beat_every = 5;
static volatile sig_atomic_t asked_to_stop;

/* What zdu said last. */
static char command[MAX_TEXT] = "serve";
static char features[MAX_TEXT] = "{}";

static void
on_term(int signum)
{
	(void) signum;
	asked_to_stop = 1;
}

static void
make_incarnation(void)
{
	unsigned char bytes[16];

	if (getentropy(bytes, sizeof(bytes)) != 0)
		abort();
	for (int i = 0; i < 16; i++)
		snprintf(incarnation + 2 * i, 3, "%02x", bytes[i]);
}

/*
 * Runs a statement that gives one row; NULL when there is none: the database
 * is away, or refuses.  That is no reason to stop serving.
 */
static PGresult *
ask(const char *statement, int nparams, const char *const *params)
{
	PGresult   *result;

	if (PQstatus(conn) != CONNECTION_OK)
		PQreset(conn);
	result = PQexecParams(conn, statement, nparams, NULL, params, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		return result;
	fprintf(stderr, "%s", PQresultErrorMessage(result)[0] != '\0' ? PQresultErrorMessage(result) : PQerrorMessage(conn));
	PQclear(result);
	return NULL;
}

/* Waits, or less when a signal comes. */
static void
pause_for(double seconds)
{
	struct timespec time = {(time_t) seconds, (long) ((seconds - (time_t) seconds) * 1e9)};

	nanosleep(&time, NULL);
}

/* At start: may this version of this node run?  Waits as long as the answer is "retry". */
static bool
join(void)
{
	const char *params[] = {cluster, node, version, incarnation};

	while (!asked_to_stop)
	{
		PGresult   *result = ask("SELECT verdict, extract(epoch FROM retry_after), extract(epoch FROM beat_every), rule, reason "
								 "FROM zdu_join($1, $2, $3, $4)", 4, params);
		double		wait = 5;

		if (result != NULL && strcmp(PQgetvalue(result, 0, 0), "admitted") == 0)
		{
			beat_every = atof(PQgetvalue(result, 0, 2));
			PQclear(result);
			return true;
		}
		if (result != NULL && strcmp(PQgetvalue(result, 0, 0), "refused") == 0)
		{
			fprintf(stderr, "%s is refused: %s: %s\n", node, PQgetvalue(result, 0, 3), PQgetvalue(result, 0, 4));
			PQclear(result);
			return false;
		}
		if (result != NULL)
			wait = atof(PQgetvalue(result, 0, 1));
		PQclear(result);
		pause_for(wait > 0 ? wait : 1);
	}
	return false;
}

/*
 * Every few seconds: says how we are, takes what we are told.  state is said
 * when it has changed; NULL is "as before", also where zdu knows more than we
 * do.  Returns whether it was heard.
 */
static bool
beat(const char *state, int tasks, int users)
{
	char		number[2][16];
	const char *params[] = {cluster, node, incarnation, state, number[0], number[1]};
	PGresult   *result;

	snprintf(number[0], sizeof(number[0]), "%d", tasks);
	snprintf(number[1], sizeof(number[1]), "%d", users);
	result = ask("SELECT command, features FROM zdu_heartbeat($1, $2::text, $3::text, $4::text, $5::int, $6::int)", 6, params);
	if (result == NULL)
		return false;
	/* NULL: a newer process has our name by now.  It is not for us to serve any more. */
	snprintf(command, sizeof(command), "%s", PQgetisnull(result, 0, 0) ? "stop" : PQgetvalue(result, 0, 0));
	if (!PQgetisnull(result, 0, 1))
		snprintf(features, sizeof(features), "%s", PQgetvalue(result, 0, 1));
	PQclear(result);
	return true;
}

/* Before each run of what only one node may do while two versions run side by side. */
static bool
may_run(const char *task)
{
	const char *params[] = {cluster, node, task};
	PGresult   *result = ask("SELECT zdu_may_run($1, $2, $3)", 3, params);
	bool		may = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';

	PQclear(result);
	return may;
}

/* At shutdown: TERMINATING while work is finished, OFFLINE when it is.  Without it the node would be missed. */
static void
leave(void)
{
	(void) beat("TERMINATING", 0, 0);
	(void) beat("OFFLINE", 0, 0);
}

int
main(int argc, char **argv)
{
	char		was[MAX_TEXT * 2 + 2] = "";
	const char *state = "ACTIVE";
	struct sigaction action = {.sa_handler = on_term};

	if (argc != 5)
	{
		fprintf(stderr, "usage: %s CONNINFO CLUSTER NODE VERSION\n", argv[0]);
		return 64;
	}
	cluster = argv[2];
	node = argv[3];
	version = argv[4];
	make_incarnation();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);

	conn = PQconnectdb(argv[1]);
	if (!join())
	{
		PQfinish(conn);
		return asked_to_stop ? 0 : EXIT_REFUSED;
	}
	while (!asked_to_stop && strcmp(command, "stop") != 0)
	{
		char		now[MAX_TEXT * 2 + 2];

		if (beat(state, 0, 0))
			state = NULL;
		/* Told to drain, an application takes no new work, and finishes what it has. */
		snprintf(now, sizeof(now), "%s %s", command, features);
		if (strcmp(now, was) != 0)
			printf("%s, features %s, mail %s\n", command, features, may_run("mail") ? "yes" : "no");
		memcpy(was, now, sizeof(was));
		pause_for(beat_every);
	}
	leave();
	PQfinish(conn);
	return 0;
}
