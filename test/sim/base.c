/*
 * base.c
 *	  The database.
 *
 * Clock and statement go to the server as one text.  What they changed is asked
 * for only where the transaction has a number, that is, has changed anything.
 */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The usual one; one for a transaction that stays open; one that looks who waits. */
static PGconn *connection;
static PGconn *other;
static PGconn *looker;

/* What was written into the timeline before is known. */
static long last_log;

static const char *const preparations =
"SET client_min_messages = error;"
"SET plan_cache_mode = force_generic_plan;"
"PREPARE work(text, text, text, json, int, boolean) AS "
"SELECT w.token, w.node, w.phase, w.attempt, w.verb, w.args->'targets'->0->'args'->>0, w.args->'env'->>'ZDU_VERSION', "
"  w.args->>'watch', w.deadline, w.lease, w.sqlstate, w.message, w.args->>'every' "
"FROM zdu_work($1, $2, $3, $4, $5, programs => '{svc}', leaving => $6) w;"
"PREPARE ask(text, text, text) AS "
"SELECT j.verdict, extract(epoch FROM j.retry_after), extract(epoch FROM j.beat_every), j.rule FROM zdu_join('shop', $1, $2, $3) j;"
"PREPARE beat(text, text, text) AS SELECT b.command, b.mode FROM zdu_heartbeat('shop', $1, $2, $3) b;"
"PREPARE events(xid, bigint) AS "
"SELECT e.what, e.node, e.old, e.new, e.rule, e.reason, extract(epoch FROM l.at), l.log_id FROM zdu.event_log l "
"CROSS JOIN LATERAL unnest(l.node, l.what, l.old, l.new, l.rule, l.reason) WITH ORDINALITY AS e(node, what, old, new, rule, reason, ord) "
"WHERE l.xmin = $1 AND l.cluster = 'shop' AND l.log_id > $2 ORDER BY l.log_id, e.ord;"
"PREPARE nodes(xid) AS "
"SELECT n.name, n.state, n.version::text, n.in_rotation, n.attached, n.taken, n.confirmed, n.heading FROM zdu.node n WHERE n.xmin = $1 ORDER BY n.node_id;"
"PREPARE steps(xid) AS "
"SELECT s.plan_id * 1000 + s.place, n.name, p.phase[s.place], s.state, s.stage, s.epoch, s.number, s.worker || ' ' || s.incarnation, p.look[s.place] IS NULL, p.upgrade_id IS NULL "
"FROM (SELECT plan_id, place, state, stage, epoch, number, worker, incarnation FROM zdu.flight WHERE xmin = $1 "
"  UNION ALL SELECT step_id / 1000, place, state, stage, epoch, coalesce(number, 0), worker, incarnation FROM zdu.step_past WHERE xmin = $1) s "
"JOIN zdu.step_plan p ON p.plan_id = s.plan_id LEFT JOIN zdu.node n ON n.node_id = p.node_id ORDER BY 1;"
"PREPARE cluster AS "
"SELECT c.state, u.run, u.held_rule, u.held_reason, c.version::text, u.upgrade_id, (SELECT count(*) FROM zdu.node n WHERE n.cluster_id = c.cluster_id), "
"  (SELECT count(*) FROM zdu.flight f WHERE f.cluster_id = c.cluster_id), "
"  (SELECT string_agg(d.node_group, ' ') FROM zdu.deployment d WHERE d.upgrade_id = u.upgrade_id) "
"FROM zdu.cluster c LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL;"
"PREPARE waits(int, int) AS SELECT $2 = ANY(pg_blocking_pids($1))";

char *
text(const char *format,...)
{
	va_list		ap;
	char	   *result = NULL;

	va_start(ap, format);
	if (vasprintf(&result, format, ap) < 0)
		abort();
	va_end(ap);
	return result;
}

static void
die_of(PGconn *c, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(c));
	exit(2);
}

static PGresult *
must(PGconn *c, const char *statement)
{
	PGresult   *r = PQexec(c, statement);

	if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
		die_of(c, statement);
	return r;
}

/* zdu says what it did; nobody reads it here. */
static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

static PGconn *
connect_anew(void)
{
	PGconn	   *c = PQconnectdb("");

	if (PQstatus(c) != CONNECTION_OK)
		die_of(c, "cannot connect");
	PQsetNoticeReceiver(c, ignore_notice, NULL);
	PQclear(must(c, preparations));
	return c;
}

void
base_connect(void)
{
	connection = connect_anew();
	other = connect_anew();
	looker = connect_anew();
}

void
base_reconnect(void)
{
	PQfinish(connection);
	PQfinish(other);
	connection = connect_anew();
	other = connect_anew();
	last_log = 0;
}

static void
take_error(Outcome *o, const PGresult *r)
{
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);

	snprintf(o->sqlstate, sizeof(o->sqlstate), "%s", sqlstate != NULL ? sqlstate : "?????");
	o->message = text("%s", message != NULL ? message : PQresultErrorMessage(r));
	o->detail = detail != NULL ? text("%s", detail) : NULL;
	o->hint = hint != NULL ? text("%s", hint) : NULL;
}

static void
send(PGconn *c, double at, bool in_block, const char *statement)
{
	char	   *whole = text("SET zdu.clock = %.6f;%s%s;SELECT pg_current_xact_id_if_assigned()::xid", at, in_block ? "BEGIN;" : "", statement);

	if (!PQsendQuery(c, whole))
		die_of(c, statement);
	free(whole);
}

/* The session waits for the one whose transaction is open. */
static bool
waits(PGconn *c, PGconn *holder)
{
	char	   *statement = text("EXECUTE waits(%d, %d)", PQbackendPID(c), PQbackendPID(holder));
	PGresult   *r = must(looker, statement);
	bool		result = field(r, 0, 0)[0] == 't';

	PQclear(r);
	free(statement);
	return result;
}

/* A failed one leaves its BEGIN open. */
static void
end_transaction(PGconn *c, Fate fate)
{
	if (PQtransactionStatus(c) != PQTRANS_IDLE)
		PQclear(must(c, fate == FATE_COMMIT ? "COMMIT" : "ROLLBACK"));
}

/*
 * Takes what a statement brings.  Should it wait for the holder, the holder's
 * transaction ends by its fate.  Returns whether it did.
 */
static bool
receive(PGconn *c, Outcome *o, PGconn *holder, Fate fate)
{
	bool		waited = false;
	PGresult   *r;

	do
	{
		while (holder != NULL && !waited && PQisBusy(c))
		{
			if ((waited = waits(c, holder)))
				end_transaction(holder, fate);
			else if (!PQconsumeInput(c))
				die_of(c, "cannot go on");
		}
		r = PQgetResult(c);
		if (PQresultStatus(r) == PGRES_TUPLES_OK && o->rows == NULL)
			o->rows = r;
		else
		{
			if (PQresultStatus(r) == PGRES_TUPLES_OK && field(r, 0, 0) != NULL)
				o->xid = text("%s", field(r, 0, 0));
			if (r != NULL && PQresultStatus(r) == PGRES_FATAL_ERROR)
				take_error(o, r);
			PQclear(r);
		}
	} while (r != NULL);
	if (PQstatus(c) != CONNECTION_OK)
		die_of(c, "the server went away");
	o->done = o->sqlstate[0] == '\0';
	return waited;
}

/* Reads what the transaction has changed, also while it is open. */
static void
read_changes(PGconn *c, Outcome *o)
{
	PGresult  **places[] = {&o->events, &o->nodes, &o->steps, &o->cluster};
	PGresult   *r;
	char	   *whole;
	int			n = 0;

	if (!o->done || o->xid == NULL)
		return;
	whole = text("EXECUTE events('%1$s', %2$ld);EXECUTE nodes('%1$s');EXECUTE steps('%1$s');EXECUTE cluster", o->xid, last_log);
	if (!PQsendQuery(c, whole))
		die_of(c, whole);
	while ((r = PQgetResult(c)) != NULL)
	{
		if (PQresultStatus(r) != PGRES_TUPLES_OK)
			die_of(c, whole);
		*places[n++] = r;
	}
	if (PQntuples(o->events) > 0)
		last_log = atol(field(o->events, PQntuples(o->events) - 1, 7));
	free(whole);
}

Outcome
base_run(double at, const char *statement, Fate fate)
{
	Outcome		o = {0};

	send(connection, at, fate != FATE_COMMIT, statement);
	(void) receive(connection, &o, NULL, FATE_COMMIT);
	end_transaction(connection, fate);
	if (fate == FATE_COMMIT)
		read_changes(connection, &o);
	return o;
}

bool
base_run_both(double at, const char *first, Fate fate, const char *second, Outcome *outcomes)
{
	bool		waited;

	memset(outcomes, 0, 2 * sizeof(Outcome));
	send(other, at, true, first);
	(void) receive(other, &outcomes[0], NULL, FATE_COMMIT);
	if (outcomes[0].done)
		read_changes(other, &outcomes[0]);
	send(connection, at, false, second);
	waited = receive(connection, &outcomes[1], other, fate);
	read_changes(connection, &outcomes[1]);
	end_transaction(other, fate);
	return waited;
}

void
base_free(Outcome *o)
{
	PQclear(o->rows);
	PQclear(o->events);
	PQclear(o->nodes);
	PQclear(o->steps);
	PQclear(o->cluster);
	free(o->message);
	free(o->detail);
	free(o->hint);
	free(o->xid);
	memset(o, 0, sizeof(*o));
}

PGresult *
base_must(const char *statement)
{
	return must(connection, statement);
}

const char *
field(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}
