/*
 * spool.c
 *	  What old nodes insert into registered tables, kept until the upgrade is
 *	  over (M3).
 *
 * A row is taken out of the spool by the transaction that inserts it, so it is
 * inserted once.  It is inserted with the rights of the role that wrote it:
 * row-level security and privileges decide as they did, and code of the
 * table's owner gets no more than it had.  Rows go in as sets, in the order
 * of their writing for each node; a set that fails is halved until the rows
 * that are bad are alone.
 */
#include "api/spool.h"

#include "api/api.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "store/event.h"
#include "store/row.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_replay);
PG_FUNCTION_INFO_V1(zdu_discard);

/* How long an insert may wait for a lock: then the rest waits for the next time. */
#define LOCK_TIMEOUT	"1s"

static ZduQuery insert_spool = {
	.text = "INSERT INTO zdu.spool_row (cluster_id, node, relation, role, shape, content, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
	.nargs = 7, .argtypes = {INT8OID, TEXTOID, REGCLASSOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID}
};

static ZduQuery lock_spool = {
	.text = "SELECT pg_try_advisory_xact_lock('zdu.spool_row'::regclass::integer, hashint8($1))",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery waiting_rows = {
	.text =
	"SELECT spool_id, relation::oid::bigint, role, shape, content FROM zdu.spool_row WHERE cluster_id = $1 AND state = 'waiting' ORDER BY node, spool_id LIMIT $2",
	.nargs = 2, .argtypes = {INT8OID, INT4OID}
};

static ZduQuery any_waiting = {
	.text = "SELECT 1 FROM zdu.spool_row WHERE cluster_id = $1 AND state = 'waiting' LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery delete_rows = {
	.text = "DELETE FROM zdu.spool_row WHERE spool_id = ANY ($1)",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery keep_rows = {
	.text = "UPDATE zdu.spool_row s SET state = 'kept', reason = k.reason, tried_at = $3 FROM unnest($1, $2) AS k(spool_id, reason) WHERE s.spool_id = k.spool_id",
	.nargs = 3, .argtypes = {INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

static ZduQuery wait_again = {
	.text = "UPDATE zdu.spool_row SET state = 'waiting', reason = NULL WHERE cluster_id = $1 AND state = 'kept'",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery discard_rows = {
	.text = "DELETE FROM zdu.spool_row WHERE cluster_id = $1 AND spool_id = ANY ($2) AND state = 'kept' RETURNING spool_id",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

/* In what a row differs from the table of today. */
static ZduQuery what_changed = {
	.text =
	"SELECT concat_ws(', ', 'column ' || string_agg(quote_ident(x.name), ', ' ORDER BY x.name) FILTER (WHERE x.gone) || ' is gone', "
	"  'column ' || string_agg(quote_ident(x.name), ', ' ORDER BY x.name) FILTER (WHERE NOT x.gone) || ' is new') "
	"FROM (SELECT coalesce(k.name, a.attname::text) AS name, a.attname IS NULL AS gone FROM jsonb_object_keys($2) AS k(name) "
	"  FULL JOIN (SELECT attname FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped) a ON a.attname = k.name "
	"  WHERE k.name IS NULL OR a.attname IS NULL) x",
	.nargs = 2, .argtypes = {OIDOID, JSONBOID}
};

/* While rows are replayed nothing is spooled again. */
static bool replaying = false;

void
zdu_spool_write(const ZduWrite *w, TriggerData *trigger)
{
	/* With the writer's rights, before those of zdu's owner are assumed. */
	Jsonb	   *content = zdu_row_jsonb(trigger->tg_trigtuple, trigger->tg_relation);
	ZduSession	session;

	zdu_enter(&session);
	zdu_run(&insert_spool, (ZduArg[]) {
		zdu_int8(w->cluster_id), zdu_text(w->old_node), zdu_datum(ObjectIdGetDatum(zdu_table_top(trigger->tg_relation)), false),
		zdu_text(GetUserNameFromId(session.caller, true)), zdu_text(w->shape), zdu_jsonb(content), zdu_time(zdu_now())
	});
	zdu_leave(&session);
}

bool
zdu_spool_is_replaying(void)
{
	return replaying;
}

typedef struct SpoolRow
{
	int64		id;
	Oid			relid;
	const char *role;
	const char *shape;
	Jsonb	   *content;
	const char *reason;			/* why it is kept; NULL: it is not */
	bool		inserted;
} SpoolRow;

/* Rows that follow on each other and can be inserted by one statement. */
typedef struct Run
{
	SpoolRow   *rows;
	int			n;
	const ZduTable *table;
	Oid			role;
} Run;

static void
load_table(void *arg)
{
	Run		   *run = arg;
	int			guc_level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	run->table = zdu_table_load(run->rows[0].relid);
	AtEOXact_GUC(false, guc_level);
}

static void
insert_run(void *arg)
{
	const Run  *run = arg;
	const ZduTable *t = run->table;
	const Oid	types[] = {JSONBARRAYOID};
	Jsonb	  **contents = palloc(sizeof(Jsonb *) * run->n);
	int			guc_level = NewGUCNestLevel();

	for (int i = 0; i < run->n; i++)
		contents[i] = run->rows[i].content;
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		replaying = true;
		zdu_run_as(run->role,
				   psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pg_catalog.unnest($1) WITH ORDINALITY AS u(content, ord) "
							"CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::%s, u.content) AS r ORDER BY u.ord",
							t->name, t->columns, t->values, t->name),
				   1, types, (ZduArg[]) {zdu_jsonb_array(contents, run->n)});
	}
	PG_FINALLY();
	{
		replaying = false;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, guc_level);
}

/* What may be different the next time is no fault of the rows. */
static bool
is_passing(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES;
}

/* Inserts a run, or what of it can be; false: not now. */
static bool
replay_run(const Run *run)
{
	ErrorData  *error = zdu_attempt(insert_run, unconstify(Run *, run));
	Run			half = *run;

	if (error == NULL)
	{
		for (int i = 0; i < run->n; i++)
			run->rows[i].inserted = true;
		return true;
	}
	if (is_passing(error->sqlerrcode))
		return false;
	if (run->n == 1)
	{
		run->rows[0].reason = psprintf("%s (SQLSTATE %s)", error->message, unpack_sql_state(error->sqlerrcode));
		return true;
	}
	half.n = run->n / 2;
	if (!replay_run(&half))
		return false;
	half.rows = run->rows + half.n;
	half.n = run->n - half.n;
	return replay_run(&half);
}

static void
keep_run(const Run *run, const char *reason)
{
	for (int i = 0; i < run->n; i++)
		run->rows[i].reason = reason;
}

/* The same, after a look whether table and role are still what they were. */
static bool
try_run(Run *run)
{
	const SpoolRow *first = &run->rows[0];
	ErrorData  *error = zdu_attempt(load_table, run);
	char	   *differs;

	if (error != NULL && is_passing(error->sqlerrcode))
		return false;
	if (error != NULL)
		ReThrowError(error);
	run->role = get_role_oid(first->role, true);
	if (run->table == NULL)
		keep_run(run, "the table was dropped");
	else if (!OidIsValid(run->role))
		keep_run(run, psprintf("role \"%s\" does not exist any more", first->role));
	else if (strcmp(run->table->shape, first->shape) != 0)
	{
		zdu_run(&what_changed, (ZduArg[]) {zdu_datum(ObjectIdGetDatum(first->relid), false), zdu_jsonb(first->content)});
		differs = zdu_first_text();
		keep_run(run, psprintf("the table has another shape by now: %s", differs != NULL && differs[0] != '\0' ? differs : "types have changed"));
	}
	else
		return replay_run(run);
	return true;
}

static SpoolRow *
read_rows(int64 cluster_id, int limit, int *n)
{
	SpoolRow   *rows = palloc0(sizeof(SpoolRow) * (zdu_run(&waiting_rows, (ZduArg[]) {zdu_int8(cluster_id), zdu_int4(limit)}) + 1));
	ZduReader	r = zdu_reader();

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		rows[*n].id = zdu_read_int8(&r);
		rows[*n].relid = (Oid) zdu_read_int8(&r);
		rows[*n].role = zdu_read_text(&r);
		rows[*n].shape = zdu_read_text(&r);
		rows[*n].content = zdu_read_jsonb(&r);
	}
	return rows;
}

/* Stores what became of the rows, and says so. */
static ZduReplay
store_outcome(SpoolRow *rows, int n)
{
	ZduReplay	result = {0};
	int64	   *inserted = palloc(sizeof(int64) * (n + 1));
	int64	   *kept = palloc(sizeof(int64) * (n + 1));
	char	  **reasons = palloc(sizeof(char *) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		if (rows[i].inserted)
			inserted[result.replayed++] = rows[i].id;
		else if (rows[i].reason != NULL)
		{
			kept[result.kept] = rows[i].id;
			reasons[result.kept++] = unconstify(char *, rows[i].reason);
		}
	}
	zdu_run(&delete_rows, (ZduArg[]) {zdu_int8_array(inserted, result.replayed)});
	zdu_run(&keep_rows, (ZduArg[]) {zdu_int8_array(kept, result.kept), zdu_text_array(reasons, result.kept), zdu_time(zdu_now())});
	if (result.replayed > 0)
		zdu_event_note(NULL, "spool", "waiting", psprintf("%d rows replayed", result.replayed), "M3", NULL);
	if (result.kept > 0)
		zdu_event_note(NULL, "spool", "waiting", psprintf("%d rows kept", result.kept), "M3", reasons[0]);
	return result;
}

/* Returns how many of n rows that can go together do: what follows takes about as long a row as what went before. */
static int
next_piece(int n, int done, double spent, double seconds)
{
	double		fits = done > 0 && spent > 0 ? (seconds - spent) * done / spent : n;

	/* Twice as many as so far at most, lest a few quick ones tell how slow the rest is. */
	return (int) Max(Min(Min((double) n, done + 1.0), fits), 1);
}

ZduReplay
zdu_spool_replay(int64 cluster_id, int limit, double seconds)
{
	ZduReplay	result = {.more = true};
	ZduReader	r;
	int			n;
	SpoolRow   *rows;
	bool		stopped = false;
	TimestampTz began = zdu_now();
	double		spent = 0;

	/* One at a time, or the order of a node's rows would be lost. */
	zdu_run(&lock_spool, (ZduArg[]) {zdu_int8(cluster_id)});
	r = zdu_reader();
	if (!zdu_next_row(&r) || !zdu_read_bool(&r))
		return result;
	rows = read_rows(cluster_id, limit, &n);
	for (int i = 0; i < n && !stopped && spent < seconds;)
	{
		Run			run = {.rows = &rows[i], .n = 1};
		int			piece = next_piece(n - i, i, spent, seconds);

		while (run.n < piece && rows[i + run.n].relid == rows[i].relid && strcmp(rows[i + run.n].role, rows[i].role) == 0 &&
			   strcmp(rows[i + run.n].shape, rows[i].shape) == 0)
			run.n++;
		stopped = !try_run(&run);
		i += run.n;
		spent = (zdu_now() - began) / (double) USECS_PER_SEC;
	}
	/* After what others' triggers may have called. */
	zdu_event_reset();
	result = store_outcome(rows, n);
	result.more = zdu_run(&any_waiting, (ZduArg[]) {zdu_int8(cluster_id)}) > 0;
	return result;
}

Datum
zdu_replay(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	bool		again = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	int			limit = PG_ARGISNULL(2) ? 1000 : Max(PG_GETARG_INT32(2), 1);
	ZduCall		call;
	ZduFacts   *f;
	ZduReplay	result;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "zdu_replay must return a row");
	zdu_call_begin(&call, "zdu_replay", NULL);
	call.cluster = cluster;
	f = zdu_facts_load(cluster);
	if (f == NULL)
		zdu_no_such_cluster(cluster);
	zdu_require_owner(call.session.caller, "zdu_replay", f);
	if (f->state != CLUSTER_STABLE || f->upgrade_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("cannot replay the spool of cluster \"%s\"", cluster),
				 errdetail("M3: it is %s; rows are replayed when it is STABLE.", zdu_state_name(ZDU_CLUSTER, f->state)),
				 errhint("SELECT * FROM zdu_why('%s')", cluster)));
	if (again)
		zdu_run(&wait_again, (ZduArg[]) {zdu_int8(f->cluster_id)});
	result = zdu_spool_replay(f->cluster_id, limit, get_float8_infinity());
	zdu_call_end(&call);
	values[0] = Int32GetDatum(result.replayed);
	values[1] = Int32GetDatum(result.kept);
	values[2] = BoolGetDatum(result.more);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
zdu_discard(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_required(fcinfo, 2, "reason");
	ZduCall		call;
	uint64		rows;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("spooled must not be NULL"),
				 errdetail("M3: nothing was discarded."),
				 errhint("SELECT * FROM zdu.spool WHERE cluster = '%s' AND state = 'kept'", cluster)));
	zdu_call_begin(&call, "zdu_discard", cluster);
	rows = zdu_run(&discard_rows, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_datum(PG_GETARG_DATUM(1), false)});
	if (rows > 0)
		zdu_event_note(NULL, "spool", "kept", psprintf(UINT64_FORMAT " rows discarded", rows), "M3", reason);
	zdu_call_end(&call);
	PG_RETURN_INT32((int32) rows);
}
