/*
 * write.c
 *	  The trigger of protected tables: what becomes of a write (M1, M3, M5).
 *
 * Whoever writes holds ROW EXCLUSIVE on the table before its triggers are
 * fired, and zdu_begin takes SHARE ROW EXCLUSIVE: so a statement's triggers
 * need to look only once, under the latest snapshot, and what they saw holds
 * until the statement is over.
 */
#include "api/protect.h"

#include "api/delta.h"
#include "api/spool.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/row.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(zdu_protect_write);

/* Whose login writes matters for the spool only; fenced nodes may outlive the upgrade (L18). */
static ZduQuery mode_of_cluster = {
	.text =
	"SELECT c.cluster_id, u.upgrade_id, coalesce(nullif($2, ''), p.config_lock), c.original::text, c.target::text, o.name "
	"FROM zdu.cluster c "
	"LEFT JOIN zdu.upgrade u ON u.cluster_id = c.cluster_id AND u.ended_at IS NULL "
	"LEFT JOIN zdu.current_policy p ON p.name = c.policy "
	"LEFT JOIN LATERAL (SELECT n.name FROM zdu.node n WHERE $2 = 'spool' AND n.cluster_id = c.cluster_id AND n.login = $3 "
	"  AND (n.fenced OR (c.original IS NOT NULL AND (n.version IS NULL OR n.version <= c.original))) ORDER BY n.name LIMIT 1) o ON true "
	"WHERE c.name = $1",
	.nargs = 3, .argtypes = {TEXTOID, TEXTOID, TEXTOID}
};

/* Looks how things are, once a statement. */
static const ZduWrite *
look(FunctionCallInfo fcinfo, const Trigger *trigger, Relation relation)
{
	ZduWrite   *w = fcinfo->flinfo->fn_extra;
	MemoryContext memory;
	ZduSession	session;
	ZduReader	r;
	char	   *login;

	if (w != NULL)
		return w;
	memory = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	w = palloc0(sizeof(ZduWrite));
	w->cluster = pstrdup(trigger->tgargs[0]);
	login = GetUserNameFromId(GetSessionUserId(), true);
	zdu_enter(&session);
	zdu_look_latest(&mode_of_cluster, (ZduArg[]) {zdu_text(w->cluster), zdu_text(trigger->tgargs[1]), zdu_text(login)});
	MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		char	   *values[4];

		w->cluster_id = zdu_read_int8(&r);
		w->upgrade_id = zdu_read_int8(&r);
		for (int i = 0; i < lengthof(values); i++)
		{
			char	   *value = zdu_read_text(&r);

			values[i] = value == NULL ? NULL : MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, value);
		}
		w->how = values[0];
		w->original = values[1];
		w->target = values[2];
		w->old_node = values[3];
	}
	zdu_leave(&session);
	if (w->old_node != NULL)
	{
		ZduTable   *top = zdu_table_load(zdu_table_top(relation));

		w->shape = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, top->shape);
	}
	MemoryContextSwitchTo(memory);
	fcinfo->flinfo->fn_extra = w;
	return w;
}

static void
refuse_write(const ZduWrite *w, Relation relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_REFUSED),
			 errmsg("cluster is in upgrade mode"),
			 errdetail("M1: table %s is protected while cluster \"%s\" goes from %s to %s.",
					   zdu_table_name(relation), w->cluster, w->original, w->target != NULL ? w->target : "a new version"),
			 errhint("It can be read; write to it again when the upgrade has ended."),
			 errtable(relation)));
}

static void
refuse_truncate(const ZduWrite *w, Relation relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_REFUSED),
			 errmsg("cluster is in upgrade mode"),
			 errdetail("M5: what is written to table %s is recorded row by row while cluster \"%s\" goes from %s to %s.",
					   zdu_table_name(relation), w->cluster, w->original, w->target != NULL ? w->target : "a new version"),
			 errhint("DELETE FROM %s", zdu_table_name(relation)),
			 errtable(relation)));
}

Datum
zdu_protect_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerEvent event;
	HeapTuple	row;
	const ZduWrite *w;
	bool		locked;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_trigger->tgnargs != 2)
		elog(ERROR, "zdu_protect_write is not called as a trigger of zdu_protect");
	event = trigger->tg_event;
	row = TRIGGER_FIRED_BY_UPDATE(event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	w = look(fcinfo, trigger->tg_trigger, trigger->tg_relation);
	if (w->how == NULL)
		return PointerGetDatum(row);
	locked = w->original != NULL;
	if (strcmp(w->how, "refuse") == 0 && locked && TRIGGER_FIRED_BEFORE(event))
		refuse_write(w, trigger->tg_relation);
	if (strcmp(w->how, "delta") == 0 && locked)
	{
		if (TRIGGER_FIRED_BY_TRUNCATE(event))
			refuse_truncate(w, trigger->tg_relation);
		if (TRIGGER_FIRED_AFTER(event))
			zdu_delta_record(w, trigger);
	}
	if (strcmp(w->how, "spool") == 0 && w->old_node != NULL && !zdu_spool_is_replaying())
	{
		zdu_spool_write(w, trigger);
		return PointerGetDatum(NULL);
	}
	return PointerGetDatum(row);
}
