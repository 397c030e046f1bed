/*
 * delta.c
 *	  What was written to protected tables in upgrade mode (M5): recorded as
 *	  it is written, listed in zdu.delta, taken back by zdu_revert().
 */
#include "api/delta.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/event.h"
#include "store/row.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_revert);

static ZduQuery insert_delta = {
	.text =
	"INSERT INTO zdu.delta_row (cluster_id, upgrade_id, relation, at, caller, action, key, old, new) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nargs = 9, .argtypes = {INT8OID, INT8OID, REGCLASSOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, JSONBOID}
};

/* Lock in one statement, read in the next: two that take back the same must not both do it. */
static ZduQuery lock_deltas = {
	.text = "SELECT 1 FROM zdu.delta_row WHERE cluster_id = $1 AND delta_id = ANY ($2) ORDER BY delta_id FOR NO KEY UPDATE",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery deltas_to_revert = {
	.text =
	"SELECT g.id, d.delta_id IS NOT NULL, d.relation::oid::bigint, d.action, d.key::text, d.old, d.new, d.reverted_at::text "
	"FROM (SELECT DISTINCT unnest($2) AS id) g LEFT JOIN zdu.delta_row d ON d.delta_id = g.id AND d.cluster_id = $1 ORDER BY g.id DESC",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery mark_reverted = {
	.text = "UPDATE zdu.delta_row SET reverted_at = $2, reverted_by = $3 WHERE delta_id = ANY ($1)",
	.nargs = 3, .argtypes = {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID}
};

void
zdu_delta_record(const ZduWrite *w, TriggerData *trigger)
{
	Relation	relation = trigger->tg_relation;
	bool		inserts = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	bool		updates = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	/* With the writer's rights, before those of zdu's owner are assumed. */
	Jsonb	   *before = inserts ? NULL : zdu_row_jsonb(trigger->tg_trigtuple, relation);
	Jsonb	   *after = inserts ? zdu_row_jsonb(trigger->tg_trigtuple, relation) : updates ? zdu_row_jsonb(trigger->tg_newtuple, relation) : NULL;
	Jsonb	   *key = zdu_row_key(after != NULL ? after : before, relation);
	ZduSession	session;

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("cluster is in upgrade mode"),
				 errdetail("M5: table %s has no primary key, so that a change could not be taken back.", zdu_table_name(relation)),
				 errhint("ALTER TABLE %s ADD PRIMARY KEY (...)", zdu_table_name(relation)),
				 errtable(relation)));
	if (updates && compareJsonbContainers(&before->root, &after->root) == 0)
		return;
	zdu_enter(&session);
	zdu_run(&insert_delta, (ZduArg[]) {
		zdu_int8(w->cluster_id), w->upgrade_id != 0 ? zdu_int8(w->upgrade_id) : zdu_null(),
		zdu_datum(ObjectIdGetDatum(zdu_table_top(relation)), false), zdu_time(zdu_now()), zdu_text(GetUserNameFromId(session.caller, true)),
		zdu_text(inserts ? "INSERT" : updates ? "UPDATE" : "DELETE"), zdu_jsonb(key), zdu_jsonb(before), zdu_jsonb(after)
	});
	zdu_leave(&session);
}

/* A recorded write that is to be taken back. */
typedef struct Delta
{
	int64		id;
	Oid			relid;
	const char *action;
	const char *key;
	Jsonb	   *before;			/* NULL: inserted */
	Jsonb	   *after;			/* NULL: deleted */
	Oid			caller;
	const ZduTable *table;
	uint64		rows;			/* that were changed */
} Delta;

static void
refuse_revert(const Delta *d, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_REFUSED),
			 errmsg("cannot take back delta " INT64_FORMAT, d->id),
			 errdetail("M5: %s; nothing was taken back.", detail),
			 errhint("SELECT * FROM zdu.delta WHERE relation = (SELECT relation FROM zdu.delta WHERE delta = " INT64_FORMAT ") AND key = %s", d->id, quote_literal_cstr(d->key))));
}

/*
 * Writes the opposite, with the caller's rights on the table.  The row is
 * found by its key and must be as the delta left it.
 */
static void
write_back(void *arg)
{
	Delta	   *d = arg;
	const ZduTable *t = d->table;
	const Oid	types[] = {JSONBOID, JSONBOID};
	ZduArg		args[] = {zdu_jsonb(d->after != NULL ? d->after : d->before), zdu_jsonb(d->before)};
	const char *found = t->key_match == NULL ? NULL :
		psprintf("%s AND pg_catalog.to_jsonb(t.*) OPERATOR(pg_catalog.=) $1", t->key_match);

	if (d->after == NULL)
		d->rows = zdu_run_as(d->caller,
							 psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pg_catalog.jsonb_populate_record(NULL::%s, $1) AS r",
									  t->name, t->columns, t->columns, t->name),
							 1, types, args);
	else if (found == NULL)
		d->rows = 0;
	else if (d->before == NULL)
		d->rows = zdu_run_as(d->caller,
							 psprintf("DELETE FROM %s AS t USING pg_catalog.jsonb_populate_record(NULL::%s, $1) AS r WHERE %s", t->name, t->name, found),
							 1, types, args);
	else
		d->rows = zdu_run_as(d->caller,
							 psprintf("UPDATE %s AS t SET (%s) = (SELECT %s FROM pg_catalog.jsonb_populate_record(NULL::%s, $2) AS o) "
									  "FROM pg_catalog.jsonb_populate_record(NULL::%s, $1) AS r WHERE %s",
									  t->name, t->settable, t->settable, t->name, t->name, found),
							 2, types, args);
}

static void
revert(Delta *d)
{
	ErrorData  *error;

	d->table = zdu_table_load(d->relid);
	if (d->table == NULL)
		refuse_revert(d, "its table was dropped");
	error = zdu_attempt(write_back, d);
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		refuse_revert(d, psprintf("table %s: %s", d->table->name, error->message));
	if (error != NULL)
		ReThrowError(error);
	if (d->rows == 0)
		refuse_revert(d, psprintf("the row %s of table %s is no longer as it was left: it was changed or deleted since, or the table was altered", d->key, d->table->name));
}

/* Reads what is to be taken back, newest first; ERROR for what cannot be at all. */
static Delta *
read_deltas(const ZduCall *call, const ZduFacts *f, ZduArg ids, int *n)
{
	Delta	   *deltas;
	ZduReader	r;

	zdu_run(&lock_deltas, (ZduArg[]) {zdu_int8(f->cluster_id), ids});
	deltas = palloc0(sizeof(Delta) * (zdu_run(&deltas_to_revert, (ZduArg[]) {zdu_int8(f->cluster_id), ids}) + 1));
	r = zdu_reader();
	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		Delta	   *d = &deltas[*n];
		bool		known;
		char	   *reverted_at;

		d->id = zdu_read_int8(&r);
		known = zdu_read_bool(&r);
		d->relid = (Oid) zdu_read_int8(&r);
		d->action = zdu_read_text(&r);
		d->key = zdu_read_text(&r);
		d->before = zdu_read_jsonb(&r);
		d->after = zdu_read_jsonb(&r);
		reverted_at = zdu_read_text(&r);
		d->caller = call->session.caller;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("delta " INT64_FORMAT " of cluster \"%s\" does not exist", d->id, f->name),
					 errdetail("M5: nothing was taken back."),
					 errhint("SELECT * FROM zdu.delta WHERE cluster = '%s'", f->name)));
		if (reverted_at != NULL)
			refuse_revert(d, psprintf("it was taken back at %s", reverted_at));
	}
	return deltas;
}

Datum
zdu_revert(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 2);
	ZduArg		ids;
	ZduCall		call;
	ZduFacts   *f;
	int			n;
	Delta	   *deltas;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("deltas must not be NULL"),
				 errdetail("M5: nothing was taken back."),
				 errhint("SELECT * FROM zdu.delta WHERE cluster = '%s'", cluster)));
	ids = zdu_datum(PG_GETARG_DATUM(1), false);
	zdu_call_begin(&call, "zdu_revert", NULL);
	call.cluster = cluster;
	f = zdu_facts_load(cluster);
	if (f == NULL)
		zdu_no_such_cluster(cluster);
	zdu_require_owner(call.session.caller, "zdu_revert", f);
	deltas = read_deltas(&call, f, ids, &n);
	for (int i = 0; i < n; i++)
		revert(&deltas[i]);
	zdu_run(&mark_reverted, (ZduArg[]) {ids, zdu_time(zdu_now()), zdu_text(GetUserNameFromId(call.session.caller, true))});
	/* After what others' triggers may have called. */
	for (int i = n - 1; i >= 0; i--)
		zdu_event_note(NULL, "delta", psprintf(INT64_FORMAT, deltas[i].id), "taken back", "M5",
					   psprintf("%s of %s in %s%s%s", deltas[i].action, deltas[i].key, deltas[i].table->name, reason != NULL ? ": " : "", reason != NULL ? reason : ""));
	zdu_call_end(&call);
	PG_RETURN_INT32(n);
}
