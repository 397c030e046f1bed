/*
 * operation.c
 *	  Named operations that must not meet an upgrade: backup, restore,
 *	  module-deploy (M2).
 *
 * They are leased: one whose lease is over does not stand in the way, and goes
 * on having run all the time if nothing took its place before it was renewed.
 */
#include "api/operation.h"

#include "api/api.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_operation_begin);
PG_FUNCTION_INFO_V1(zdu_operation_renew);
PG_FUNCTION_INFO_V1(zdu_operation_end);

static ZduQuery running = {
	.text =
	"SELECT operation_id, format('operation \"%s\" of role %s runs since %s, its lease lasts until %s', name, caller, "
	"  date_trunc('second', began_at), date_trunc('second', lease_ends)) "
	"FROM zdu.operation WHERE cluster_id = $1 AND ended_at IS NULL AND lease_ends > $2 AND ($3::text IS NULL OR name = $3) "
	"ORDER BY lease_ends DESC LIMIT 1",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, TEXTOID}
};

static ZduQuery expire = {
	.text =
	"UPDATE zdu.operation SET ended_at = $2, outcome = 'expired' WHERE cluster_id = $1 AND ended_at IS NULL AND lease_ends <= $2 "
	"AND ($3::text IS NULL OR name = $3) RETURNING name, operation_id::text",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, TEXTOID}
};

static ZduQuery insert_operation = {
	.text =
	"INSERT INTO zdu.operation (cluster_id, name, lease, began_at, lease_ends, reason, caller) VALUES ($1, $2, $3, $4, $4 + $3, $5, $6) RETURNING operation_id",
	.nargs = 6, .argtypes = {INT8OID, TEXTOID, INTERVALOID, TIMESTAMPTZOID, TEXTOID, TEXTOID}
};

static ZduQuery renew = {
	.text =
	"UPDATE zdu.operation SET lease = coalesce($3, lease), lease_ends = $4 + coalesce($3, lease) "
	"WHERE cluster_id = $1 AND operation_id = $2 AND ended_at IS NULL RETURNING lease_ends",
	.nargs = 4, .argtypes = {INT8OID, INT8OID, INTERVALOID, TIMESTAMPTZOID}
};

static ZduQuery end_operation = {
	.text =
	"UPDATE zdu.operation SET ended_at = $3, outcome = 'ended' WHERE cluster_id = $1 AND operation_id = $2 AND ended_at IS NULL RETURNING name",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static ZduQuery how_it_ended = {
	.text =
	"SELECT outcome, format('operation \"%s\" %s at %s', name, "
	"  CASE outcome WHEN 'expired' THEN 'was not renewed in time, and lost its lease' ELSE 'was ended' END, date_trunc('second', ended_at)) "
	"FROM zdu.operation WHERE cluster_id = $1 AND operation_id = $2",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* The same for those of one name only. */
static const char *
running_named(const ZduFacts *f, const char *name, int64 *token)
{
	ZduReader	r;

	zdu_run(&running, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_text(name)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return NULL;
	*token = zdu_read_int8(&r);
	return zdu_read_text(&r);
}

const char *
zdu_operation_running(const ZduFacts *f, int64 *token)
{
	return running_named(f, NULL, token);
}

static void
expire_named(const ZduFacts *f, const char *name)
{
	ZduReader	r;

	zdu_run(&expire, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_text(name)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *of = zdu_read_text(&r);

		zdu_event_note(NULL, "operation", psprintf("%s %s", of, zdu_read_text(&r)), "expired", "M2", "its lease was over");
	}
}

void
zdu_operations_expire(const ZduFacts *f)
{
	expire_named(f, NULL);
}

static void
refuse(const char *name, const char *cluster, const char *observed, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_REFUSED),
			 errmsg("cannot begin operation \"%s\" on cluster \"%s\"", name, cluster),
			 errdetail("M2: %s.", observed),
			 errhint("%s", hint)));
}

/* ERROR unless it is a time that passes. */
static void
check_lease(FunctionCallInfo fcinfo, int n)
{
	Interval   *lease = PG_GETARG_INTERVAL_P(n);

	if (lease->time > 0 || lease->day > 0 || lease->month > 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a lease must be longer than nothing"),
			 errdetail("M2: nothing was changed."),
			 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_operation_begin'")));
}

Datum
zdu_operation_begin(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *name = zdu_arg_required(fcinfo, 1, "name");
	char	   *reason = zdu_arg_text(fcinfo, 3);
	ZduCall		call;
	ZduFacts   *f;
	ZduReader	r;
	const char *other;
	int64		token;

	if (PG_ARGISNULL(2))
		(void) zdu_arg_required(fcinfo, 2, "lease");
	check_lease(fcinfo, 2);
	zdu_call_begin(&call, "zdu_operation_begin", cluster);
	f = call.f;
	if (name[0] == '\0' || strlen(name) > NAMEDATALEN - 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be the name of an operation", name),
				 errdetail("M2: a name has 1 to %d characters.", NAMEDATALEN - 1),
				 errhint("SELECT zdu_operation_begin('%s', 'backup')", cluster)));
	if (f->upgrade_id != 0 || f->state != CLUSTER_STABLE)
		refuse(name, cluster, psprintf("cluster is in upgrade mode: it is %s", zdu_state_name(ZDU_CLUSTER, f->state)),
			   psprintf("SELECT * FROM zdu_why('%s')", cluster));
	other = running_named(f, name, &token);
	if (other != NULL)
		refuse(name, cluster, other, psprintf("SELECT zdu_operation_end('%s', " INT64_FORMAT ") -- if it is over", cluster, token));
	expire_named(f, name);
	zdu_run(&insert_operation, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(name), zdu_datum(PG_GETARG_DATUM(2), false), zdu_time(zdu_now()), zdu_text(reason),
		zdu_text(GetUserNameFromId(call.session.caller, true))
	});
	r = zdu_reader();
	(void) zdu_next_row(&r);
	token = zdu_read_int8(&r);
	zdu_event_note(NULL, "operation", NULL, psprintf("%s " INT64_FORMAT, name, token), "M2", reason);
	zdu_call_end(&call);
	PG_RETURN_INT64(token);
}

/* ERROR for a token whose operation is over, or never was. */
static void
stale(const ZduFacts *f, int64 token)
{
	ZduReader	r;
	char	   *how;

	zdu_run(&how_it_ended, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(token)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("operation " INT64_FORMAT " of cluster \"%s\" does not exist", token, f->name),
				 errdetail("M2: nothing was changed."),
				 errhint("SELECT * FROM zdu.operation_status WHERE cluster = '%s'", f->name)));
	(void) zdu_read_text(&r);
	how = zdu_read_text(&r);
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_STALE_TOKEN),
			 errmsg("operation " INT64_FORMAT " of cluster \"%s\" is over", token, f->name),
			 errdetail("M2: %s.", how),
			 errhint("Do not trust what it made: an upgrade may have begun. SELECT * FROM zdu.timeline WHERE cluster = '%s'", f->name)));
}

Datum
zdu_operation_renew(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ZduCall		call;
	ZduReader	r;
	TimestampTz ends;

	if (PG_ARGISNULL(1))
		(void) zdu_arg_required(fcinfo, 1, "token");
	if (!PG_ARGISNULL(2))
		check_lease(fcinfo, 2);
	zdu_call_begin(&call, "zdu_operation_renew", cluster);
	zdu_run(&renew, (ZduArg[]) {
		zdu_int8(call.f->cluster_id), zdu_int8(PG_GETARG_INT64(1)), PG_ARGISNULL(2) ? zdu_null() : zdu_datum(PG_GETARG_DATUM(2), false), zdu_time(zdu_now())
	});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		stale(call.f, PG_GETARG_INT64(1));
	ends = zdu_read_int8(&r);
	zdu_call_end(&call);
	PG_RETURN_TIMESTAMPTZ(ends);
}

Datum
zdu_operation_end(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduCall		call;
	ZduReader	r;

	if (PG_ARGISNULL(1))
		(void) zdu_arg_required(fcinfo, 1, "token");
	zdu_call_begin(&call, "zdu_operation_end", cluster);
	zdu_run(&end_operation, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_int8(PG_GETARG_INT64(1)), zdu_time(zdu_now())});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		stale(call.f, PG_GETARG_INT64(1));
	zdu_event_note(NULL, "operation", psprintf("%s " INT64_FORMAT, zdu_read_text(&r), PG_GETARG_INT64(1)), "ended", "M2", reason);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("ended"));
}
