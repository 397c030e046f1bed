/*
 * spi.c
 *	  Talking to the database: the only user of SPI.
 */
#include "store/spi.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * A plan is kept for as long as the backend lives, and may have been made
 * while its tables were empty: then it would read them as a whole even when
 * they have grown.  So it goes by key from the beginning.  Only the planner
 * looks at these settings.
 */
static bool *const by_key_without[] = {&enable_seqscan, &enable_hashjoin, &enable_mergejoin, &jit_enabled};
static bool *const by_hash_without[] = {&enable_seqscan, &enable_nestloop, &enable_mergejoin, &jit_enabled};

StaticAssertDecl(lengthof(by_hash_without) == lengthof(by_key_without), "one is put back as the other");

static bool writing = false;
static ZduSession *current = NULL;	/* of the innermost call; good between enter and leave */

static Oid	owner_of_zdu(void);
static uint64 run(ZduQuery *q, const ZduArg *args, bool read_only, Snapshot snapshot);
static uint64 execute_as(Oid role, const char *statement, int nargs, const Oid *argtypes, const ZduArg *args);

void
zdu_enter(ZduSession *session)
{
	MemoryContext caller_memory = CurrentMemoryContext;

	session->caller = GetUserId();
	session->only_looks = false;
	session->outer = current;
	current = session;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(caller_memory);

	GetUserIdAndSecContext(&session->saved_user, &session->saved_context);
	SetUserIdAndSecContext(owner_of_zdu(),
						   session->saved_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	session->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* Times go through text: other styles name time zones by words that mean several. */
	if (DateStyle != USE_ISO_DATES)
		(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/* So do intervals, and what they are is hashed. */
	if (IntervalStyle != INTSTYLE_POSTGRES)
		(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
zdu_leave(ZduSession *session)
{
	current = session->outer;
	AtEOXact_GUC(false, session->guc_level);
	SetUserIdAndSecContext(session->saved_user, session->saved_context);
	SPI_finish();
}

void
zdu_only_look(void)
{
	current->only_looks = true;
}

bool
zdu_is_writing(void)
{
	return writing;
}

static Oid
owner_of_zdu(void)
{
	Oid			schema = get_namespace_oid("zdu", false);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

uint64
zdu_run(ZduQuery *q, const ZduArg *args)
{
	return run(q, args, current->only_looks, InvalidSnapshot);
}

uint64
zdu_look(ZduQuery *q, const ZduArg *args)
{
	return run(q, args, true, InvalidSnapshot);
}

uint64
zdu_look_latest(ZduQuery *q, const ZduArg *args)
{
	return run(q, args, true, GetLatestSnapshot());
}

/* snapshot: InvalidSnapshot leaves it to SPI. */
static uint64
run(ZduQuery *q, const ZduArg *args, bool read_only, Snapshot snapshot)
{
	Datum		values[ZDU_MAX_ARGS];
	char		nulls[ZDU_MAX_ARGS];
	bool		was_writing = writing;
	ZduSession *was_current = current;
	bool *const *without = q->by_hash ? by_hash_without : by_key_without;
	bool		was_on[lengthof(by_key_without)];
	MemoryContext caller_memory = CurrentMemoryContext;
	volatile int rc = 0;

	if (q->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(q->text, q->nargs, q->argtypes, CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", q->text, SPI_result_code_string(SPI_result));
		q->plan = plan;
	}
	for (int i = 0; i < q->nargs; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}

	for (int i = 0; i < lengthof(by_key_without); i++)
		was_on[i] = *without[i];
	/* Also after an ERROR the triggers must refuse again. */
	PG_TRY();
	{
		writing = true;
		for (int i = 0; i < lengthof(by_key_without); i++)
			*without[i] = false;
		if (snapshot == InvalidSnapshot)
			rc = SPI_execute_plan(q->plan, values, nulls, read_only, 0);
		else
			rc = SPI_execute_snapshot(q->plan, values, nulls, snapshot, InvalidSnapshot, read_only, false, 0);
	}
	PG_FINALLY();
	{
		writing = was_writing;
		/* Somebody's trigger may have called zdu and caught its error. */
		current = was_current;
		for (int i = 0; i < lengthof(by_key_without); i++)
			*without[i] = was_on[i];
	}
	PG_END_TRY();
	/* SPI leaves its own memory behind, which zdu_leave() frees: answers must outlive it. */
	MemoryContextSwitchTo(caller_memory);
	if (rc < 0)
		elog(ERROR, "could not run \"%s\": %s", q->text, SPI_result_code_string(rc));
	return SPI_processed;
}

uint64
zdu_run_as(Oid role, const char *statement, int nargs, const Oid *argtypes, const ZduArg *args)
{
	Oid			user;
	int			context;
	int			guc_level = NewGUCNestLevel();
	ZduSession *was_current = current;
	uint64		rows;

	/* What is read back must be what was written, whatever the caller likes to see. */
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&user, &context);
	/* An ERROR undoes this by itself, also one that zdu_attempt() catches. */
	SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	rows = execute_as(role, statement, nargs, argtypes, args);
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, guc_level);
	current = was_current;
	return rows;
}

static uint64
execute_as(Oid role, const char *statement, int nargs, const Oid *argtypes, const ZduArg *args)
{
	Datum		values[ZDU_MAX_ARGS];
	char		nulls[ZDU_MAX_ARGS];
	MemoryContext caller_memory = CurrentMemoryContext;
	int			rc;

	for (int i = 0; i < nargs; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}
	rc = SPI_execute_with_args(statement, nargs, unconstify(Oid *, argtypes), values, nulls, false, 0);
	MemoryContextSwitchTo(caller_memory);
	if (rc < 0)
		elog(ERROR, "could not run \"%s\" as role %u: %s", statement, role, SPI_result_code_string(rc));
	return SPI_processed;
}

ErrorData *
zdu_attempt(void (*call) (void *arg), void *arg)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ZduSession *was_current = current;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		call(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	current = was_current;
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

void
zdu_utility(const char *statement)
{
	MemoryContext caller_memory = CurrentMemoryContext;
	int			rc = SPI_execute(statement, false, 0);

	MemoryContextSwitchTo(caller_memory);
	if (rc < 0)
		elog(ERROR, "could not run \"%s\": %s", statement, SPI_result_code_string(rc));
}

ZduArg
zdu_datum(Datum value, bool isnull)
{
	ZduArg		arg = {value, isnull};

	return arg;
}

ZduArg
zdu_null(void)
{
	return zdu_datum((Datum) 0, true);
}

ZduArg
zdu_text(const char *value)
{
	return value == NULL ? zdu_null() : zdu_datum(CStringGetTextDatum(value), false);
}

ZduArg
zdu_int4(int32 value)
{
	return zdu_datum(Int32GetDatum(value), false);
}

ZduArg
zdu_int8(int64 value)
{
	return zdu_datum(Int64GetDatum(value), false);
}

ZduArg
zdu_float8(double value)
{
	return zdu_datum(Float8GetDatum(value), false);
}

ZduArg
zdu_bool(bool value)
{
	return zdu_datum(BoolGetDatum(value), false);
}

ZduArg
zdu_jsonb(Jsonb *value)
{
	return value == NULL ? zdu_null() : zdu_datum(JsonbPGetDatum(value), false);
}

ZduArg
zdu_time(TimestampTz value)
{
	return zdu_datum(TimestampTzGetDatum(value), false);
}

static ZduArg
make_array(Datum *values, bool *nulls, int n, Oid type)
{
	int			dims[1] = {n};
	int			lower[1] = {1};
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (n == 0)
		return zdu_datum(PointerGetDatum(construct_empty_array(type)), false);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return zdu_datum(PointerGetDatum(construct_md_array(values, nulls, 1, dims, lower, type,
														typlen, typbyval, typalign)), false);
}

ZduArg
zdu_text_array(char **values, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = values[i] == NULL;
		d[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(values[i]);
	}
	return make_array(d, nulls, n, TEXTOID);
}

ZduArg
zdu_int8_array(const int64 *values, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));

	for (int i = 0; i < n; i++)
		d[i] = Int64GetDatum(values[i]);
	return make_array(d, nulls, n, INT8OID);
}

ZduArg
zdu_float8_array(const double *values, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = isnan(values[i]);
		d[i] = Float8GetDatum(values[i]);
	}
	return make_array(d, nulls, n, FLOAT8OID);
}

ZduArg
zdu_bool_array(const bool *values, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));

	for (int i = 0; i < n; i++)
		d[i] = BoolGetDatum(values[i]);
	return make_array(d, nulls, n, BOOLOID);
}

ZduArg
zdu_jsonb_array(Jsonb **values, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = values[i] == NULL;
		d[i] = nulls[i] ? (Datum) 0 : JsonbPGetDatum(values[i]);
	}
	return make_array(d, nulls, n, JSONBOID);
}

char *
zdu_first_text(void)
{
	ZduReader	r = zdu_reader();

	return zdu_next_row(&r) ? zdu_read_text(&r) : NULL;
}

ZduReader
zdu_reader(void)
{
	ZduReader	r = {SPI_tuptable, PG_UINT64_MAX, 0, NULL, NULL};

	if (r.table != NULL)
	{
		r.values = palloc(sizeof(Datum) * r.table->tupdesc->natts);
		r.nulls = palloc(sizeof(bool) * r.table->tupdesc->natts);
	}
	return r;
}

bool
zdu_next_row(ZduReader *r)
{
	r->row++;					/* from the value before 0 at first */
	r->column = 0;
	if (r->table == NULL || r->row >= r->table->numvals)
		return false;
	heap_deform_tuple(r->table->vals[r->row], r->table->tupdesc, r->values, r->nulls);
	return true;
}

Datum
zdu_read_datum(ZduReader *r, bool *isnull)
{
	Assert(r->column < r->table->tupdesc->natts);
	*isnull = r->nulls[r->column];
	return r->values[r->column++];
}

char *
zdu_read_text(ZduReader *r)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);
	Oid			type = SPI_gettypeid(r->table->tupdesc, r->column);
	Oid			output;
	bool		varlena;

	if (isnull)
		return NULL;
	/* Without looking its output function up: most are texts. */
	if (type == TEXTOID)
		return TextDatumGetCString(d);
	getTypeOutputInfo(type, &output, &varlena);
	return OidOutputFunctionCall(output, d);
}

int64
zdu_read_int8(ZduReader *r)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);

	if (isnull)
		return 0;
	return SPI_gettypeid(r->table->tupdesc, r->column) == INT4OID ? DatumGetInt32(d) : DatumGetInt64(d);
}

int
zdu_read_int4(ZduReader *r)
{
	return (int) zdu_read_int8(r);
}

double
zdu_read_float8(ZduReader *r, double if_null)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);

	return isnull ? if_null : DatumGetFloat8(d);
}

int64 *
zdu_read_int8_array(ZduReader *r, int *n)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);
	Datum	   *elements;
	int64	   *values;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(d), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, n);
	values = palloc(sizeof(int64) * (*n + 1));
	for (int i = 0; i < *n; i++)
		values[i] = DatumGetInt64(elements[i]);
	return values;
}

bool
zdu_read_bool(ZduReader *r)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);

	return !isnull && DatumGetBool(d);
}

int
zdu_read_tristate(ZduReader *r)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);

	return isnull ? 2 : DatumGetBool(d) ? 1 : 0;
}

Jsonb *
zdu_read_jsonb(ZduReader *r)
{
	bool		isnull;
	Datum		d = zdu_read_datum(r, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(d);
}
