/*
 * driver_sql.c
 *	  Looks and acts by a statement in some database.
 *
 * An action that others must not wait for long begins when it is watched, and
 * ends when nobody watches it any more.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connect.h"
#include "worker/conninfo.h"
#include "worker/driver.h"
#include "worker/lookout.h"

#define MAX_PARAMS		64

/* Types whose text is a JSON number or something like it, by pg_type.dat. */
#define TYPE_BOOL		16
#define TYPE_INT8		20
#define TYPE_INT2		21
#define TYPE_INT4		23
#define TYPE_OID		26
#define TYPE_JSON		114
#define TYPE_FLOAT4		700
#define TYPE_FLOAT8		701
#define TYPE_NUMERIC	1700
#define TYPE_JSONB		3802

typedef struct Script
{
	ZduCall    *call;
	ZduLink    *link;
	ZduLookout *lookout;		/* NULL: nobody minds what it blocks */
	char	   *blocked;		/* why it was cancelled: others waited; or NULL */
	int			stage;			/* index into stages */
	bool		alone;			/* the statement only: the server knows no transactions */
	json_t	   *evidence;		/* what the statement gave, until it is committed */
} Script;

static void finish(Script *script, json_t *evidence, bool failed);

/*
 * What the transaction is given: timeouts, and what a target needs to refuse
 * a late action.
 */
static const char *const settings =
"SELECT CASE WHEN $1::text IS NOT NULL THEN set_config('lock_timeout', $1, true) END,"
" set_config('statement_timeout', $2, true), set_config('zdu.token', $3, true),"
" set_config('zdu.cluster', $4, true), set_config('zdu.node', $5, true),"
" CASE WHEN $6::text IS NOT NULL THEN set_config('application_name', $6, true) END";

static void
send_begin(Script *script)
{
	zdu_link_query(script->link, script->call->act ? "BEGIN" : "BEGIN READ ONLY", 0, NULL);
}

static const char *
variable(const Script *script, const char *name)
{
	const char *value = json_string_value(json_object_get(script->call->env, name));

	return value != NULL ? value : "";
}

static void
send_settings(Script *script)
{
	const char *params[6];
	char		timeout[32];
	char		name[ZDU_LOOKOUT_NAME_SIZE];

	zdu_lookout_name(script->call, name, sizeof(name));
	snprintf(timeout, sizeof(timeout), "%.0fms", fmax(1, fmin(script->call->timeout * 1000, 2e9)));
	params[0] = zdu_call_text(script->call, "lock_timeout");
	if (params[0] == NULL)
		params[0] = zdu_lookout_limit(script->call);
	params[1] = zdu_call_text(script->call, "statement_timeout");
	if (params[1] == NULL)
		params[1] = timeout;
	params[2] = variable(script, "ZDU_TOKEN");
	params[3] = variable(script, "ZDU_CLUSTER");
	params[4] = variable(script, "ZDU_NODE");
	params[5] = script->lookout != NULL ? name : NULL;
	zdu_link_query(script->link, settings, 6, params);
}

/*
 * A look is one statement: only so the transaction stays read-only.  So is
 * what has parameters; a script without any may be several.
 */
static void
send_statement(Script *script)
{
	json_t	   *given = json_object_get(script->call->spec, "params");
	const char *sql = zdu_call_text(script->call, "sql");
	const char *params[MAX_PARAMS];
	char	   *dumped[MAX_PARAMS] = {NULL};
	int			count = json_array_size(given);
	int			i;

	if (script->call->act && count == 0)
	{
		zdu_link_query(script->link, sql, -1, NULL);
		return;
	}
	for (i = 0; i < count; i++)
	{
		json_t	   *param = json_array_get(given, i);

		if (json_is_string(param))
			params[i] = json_string_value(param);
		else if (json_is_null(param))
			params[i] = NULL;
		else
			params[i] = dumped[i] = json_dumps(param, JSON_COMPACT | JSON_ENCODE_ANY);
	}
	zdu_link_query(script->link, sql, count, params);
	while (--i >= 0)
		free(dumped[i]);
}

static void
send_commit(Script *script)
{
	zdu_link_query(script->link, "COMMIT", 0, NULL);
}

static json_t *
column_value(const PGresult *result, int column)
{
	const char *text = PQgetvalue(result, 0, column);
	json_t	   *value = NULL;

	if (PQgetisnull(result, 0, column))
		return json_null();
	switch (PQftype(result, column))
	{
		case TYPE_BOOL:
			return json_boolean(*text == 't');
		case TYPE_INT2:
		case TYPE_INT4:
		case TYPE_INT8:
		case TYPE_OID:
		case TYPE_FLOAT4:
		case TYPE_FLOAT8:
		case TYPE_NUMERIC:
		case TYPE_JSON:
		case TYPE_JSONB:
			/* NaN and the like are no JSON and stay text. */
			value = json_loads(text, JSON_DECODE_ANY, NULL);
			break;
		default:
			break;
	}
	return value != NULL ? value : zdu_text_clean(text, strlen(text), ZDU_LOG_SIZE);
}

/* Returns the first row as an object, with row_count. */
static json_t *
read_row(const PGresult *result)
{
	json_t	   *row = json_object();
	int			count = PQntuples(result);
	int			i;

	for (i = 0; count > 0 && i < PQnfields(result); i++)
		json_object_set_new(row, PQfname(result, i), column_value(result, i));
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		count = atoi(PQcmdTuples((PGresult *) result));
	json_object_set_new(row, "row_count", json_integer(count));
	return row;
}

static const struct
{
	void		(*send) (Script *script);
	bool		gives_evidence;
}			stages[] = {
	{send_begin, false},
	{send_settings, false},
	{send_statement, true},
	{send_commit, false},
};

/* Of several stages, the one that a statement which stands alone has. */
#define STATEMENT_STAGE 2
#define STAGES ((int) (sizeof(stages) / sizeof(stages[0])))

static void
on_up(void *arg)
{
	Script	   *script = arg;

	script->stage = script->alone ? STATEMENT_STAGE : 0;
	stages[script->stage].send(script);
}

static void
on_down(void *arg, const char *why)
{
	finish(arg, zdu_text_error(why), true);
}

static void
on_result(void *arg, PGresult *result)
{
	Script	   *script = arg;
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
	{
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		json_t	   *evidence;

		if (script->blocked != NULL)
			message = script->blocked;
		evidence = zdu_text_error(message ? message : "the statement failed");
		if (sqlstate != NULL)
			json_object_set_new(evidence, "sqlstate", json_string(sqlstate));
		finish(script, evidence, true);
		return;
	}
	if (stages[script->stage].gives_evidence)
		script->evidence = read_row(result);
	script->stage = script->alone ? STAGES : script->stage + 1;
	if (script->stage < STAGES)
		stages[script->stage].send(script);
	else
		finish(script, json_incref(script->evidence), false);
}

static const ZduLinkHandler handler = {on_up, on_down, on_result, NULL};

static void
on_lookout_up(void *arg)
{
	zdu_link_open(((Script *) arg)->link);
}

static void
on_lookout_down(void *arg, const char *why)
{
	finish(arg, zdu_text_error(why), true);
}

static void
on_cancels(void *arg, const char *why)
{
	Script	   *script = arg;

	free(script->blocked);
	script->blocked = zdu_text_copy(why);
}

static const ZduLookoutHandler lookout_handler = {on_lookout_up, on_lookout_down, on_cancels};

static void
finish(Script *script, json_t *evidence, bool failed)
{
	ZduCall    *call = script->call;

	zdu_lookout_stop(script->lookout);
	zdu_link_free(script->link);
	json_decref(script->evidence);
	free(script->blocked);
	free(script);
	zdu_call_done(call, evidence, failed);
}

static void
start_sql(ZduCall *call)
{
	static const ZduLinkDefault defaults[] = {
		{"application_name", NULL, "zdu_worker"},
		{"client_encoding", NULL, "UTF8"},
		{NULL, NULL, NULL}
	};
	const char *conninfo = zdu_call_text(call, "conninfo");
	const char *wrong = zdu_conninfo_refuse(conninfo);
	Script	   *script;

	if (wrong == NULL && json_array_size(json_object_get(call->spec, "params")) > MAX_PARAMS)
		wrong = "too many parameters";
	if (wrong == NULL && zdu_call_text(call, "sql") == NULL)
		wrong = "no statement";
	if (wrong != NULL)
	{
		zdu_call_fail(call, wrong);
		return;
	}
	script = calloc(1, sizeof(Script));
	if (script == NULL)
		abort();
	script->call = call;
	script->alone = json_is_false(json_object_get(call->spec, "transaction"));
	script->link = zdu_link_new(call->around->loop, conninfo, defaults, false, &handler, script, NULL);
	if (script->link == NULL)
	{
		free(script);
		zdu_call_fail(call, "the connection string cannot be read");
		return;
	}
	if (zdu_lookout_limit(call) != NULL && !script->alone)
		script->lookout = zdu_lookout_start(call, conninfo, &lookout_handler, script, &wrong);
	if (wrong != NULL)
	{
		zdu_link_free(script->link);
		free(script);
		zdu_call_fail(call, wrong);
		return;
	}
	call->state = script;
	if (script->lookout == NULL)
		zdu_link_open(script->link);
}

static void
end_sql(ZduCall *call)
{
	finish(call->state, json_object(), true);
}

const ZduDriver zdu_driver_sql = {"sql", start_sql, end_sql};
