/*
 * base.c
 *	  The database.
 *
 * Statement, clock and the look at what changed go to the server as one text:
 * one round trip and one transaction.
 */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *connection;

/* Rows of this transaction have its number. */
#define MINE "pg_current_xact_id_if_assigned()::xid"

static const char *const preparations =
"SET client_min_messages = error;"
"SET enable_seqscan = on;"
"PREPARE work(text, text, text, json, int, boolean) AS "
"SELECT w.token, w.node, w.phase, w.attempt, w.verb, w.args->'targets'->0->'args'->>0, w.args->'env'->>'ZDU_VERSION', "
"  w.args->>'watch', w.deadline, w.lease, w.sqlstate, w.message, w.args->>'every' "
"FROM zdu_work($1, $2, $3, $4, $5, programs => '{svc}', leaving => $6) w;"
"PREPARE events AS "
"SELECT e.what, e.node, e.old, e.new, e.rule, e.reason, extract(epoch FROM l.at) FROM zdu.event_log l "
"CROSS JOIN LATERAL unnest(l.node, l.what, l.old, l.new, l.rule, l.reason) WITH ORDINALITY AS e(node, what, old, new, rule, reason, ord) "
"WHERE l.xmin = " MINE " ORDER BY l.log_id, e.ord;"
"PREPARE nodes AS "
"SELECT n.name, n.state, n.version::text, n.in_rotation, n.attached, n.taken, n.confirmed, n.heading FROM zdu.node n WHERE n.xmin = " MINE ";"
"PREPARE steps AS "
"SELECT s.step_id, n.name, p.phase[s.place], s.state, s.stage, s.epoch, s.number, s.worker || ' ' || s.incarnation, p.look[s.place] IS NULL, p.upgrade_id IS NULL "
"FROM zdu.step_state s JOIN zdu.step_plan p ON p.plan_id = s.plan_id LEFT JOIN zdu.node n ON n.node_id = s.node_id WHERE s.xmin = " MINE ";"
"PREPARE cluster AS "
"SELECT c.state, u.run, u.held_rule, u.held_reason, c.version::text, u.upgrade_id, (SELECT count(*) FROM zdu.node n WHERE n.cluster_id = c.cluster_id), "
"  (SELECT count(*) FROM zdu.step_state s WHERE s.cluster_id = c.cluster_id AND NOT s.settled) "
"FROM zdu.cluster c LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL;";

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
die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(connection));
	exit(2);
}

/* zdu says what it did; nobody reads it here. */
static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

void
base_connect(void)
{
	connection = PQconnectdb("");
	if (PQstatus(connection) != CONNECTION_OK)
		die("cannot connect");
	PQsetNoticeReceiver(connection, ignore_notice, NULL);
	PQclear(base_must(preparations));
}

void
base_reconnect(void)
{
	PQfinish(connection);
	base_connect();
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

Outcome
base_run(double at, const char *statement, Fate fate)
{
	Outcome		o = {0};
	char	   *whole = text("SET zdu.clock = %.6f;%s%s;EXECUTE events;EXECUTE nodes;EXECUTE steps;EXECUTE cluster%s",
							 at, fate == FATE_COMMIT ? "" : "BEGIN;", statement, fate == FATE_COMMIT ? "" : ";ROLLBACK");
	PGresult   *r;
	PGresult  **places[] = {&o.rows, &o.events, &o.nodes, &o.steps, &o.cluster};
	int			n = 0;

	if (!PQsendQuery(connection, whole))
		die(statement);
	while ((r = PQgetResult(connection)) != NULL)
	{
		if (PQresultStatus(r) == PGRES_TUPLES_OK && n < 5)
			*places[n++] = r;
		else
		{
			if (PQresultStatus(r) == PGRES_FATAL_ERROR)
				take_error(&o, r);
			PQclear(r);
		}
	}
	free(whole);
	o.done = n == 5 && o.sqlstate[0] == '\0';
	if (PQstatus(connection) != CONNECTION_OK)
		die(statement);
	/* A failed one leaves its BEGIN open. */
	if (PQtransactionStatus(connection) != PQTRANS_IDLE)
		PQclear(PQexec(connection, "ROLLBACK"));
	return o;
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
	memset(o, 0, sizeof(*o));
}

PGresult *
base_must(const char *statement)
{
	PGresult   *r = PQexec(connection, statement);

	if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
		die(statement);
	return r;
}

const char *
field(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}
