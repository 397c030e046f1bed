/*
 * observed.c
 *	  Triggers: what zdu observes changes through its functions only, and what
 *	  belongs together goes together.
 *
 * The first keeps accidents away, not enemies: whoever owns the tables can disable
 * a trigger.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "store/spi.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(zdu_refuse_update);
PG_FUNCTION_INFO_V1(zdu_forget_steps);

static ZduQuery forget_steps = {
	.text = "WITH gone AS (DELETE FROM zdu.flight WHERE plan_id = $1) DELETE FROM zdu.step_past WHERE step_id BETWEEN $1 * 1000 AND $1 * 1000 + 999",
	.nargs = 1, .argtypes = {INT8OID}
};

Datum
zdu_refuse_update(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		deletes;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "zdu_refuse_update is not called as a trigger");
	deletes = TRIGGER_FIRED_BY_DELETE(trigger->tg_event);
	/* Of what is shown by a view zdu writes the tables. */
	if (!zdu_is_writing() || TRIGGER_FIRED_INSTEAD(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of zdu.%s cannot be %s by hand", RelationGetRelationName(trigger->tg_relation), deletes ? "deleted" : "changed"),
				 errdetail("N1: what zdu observed is changed by its functions, which lock the cluster first."),
				 errhint("SELECT name, usage FROM zdu.help; the audited way out is zdu_force_state()")));
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		return PointerGetDatum(NULL);
	return PointerGetDatum(deletes ? trigger->tg_trigtuple : trigger->tg_newtuple);
}

/*
 * What a foreign key would do, had it not to be checked for every step.  The
 * plan goes with its node or its upgrade, whoever deletes those.
 */
Datum
zdu_forget_steps(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ZduSession	session;
	bool		isnull;
	Datum		plan_id;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "zdu_forget_steps is not called as a trigger");
	plan_id = heap_getattr(trigger->tg_trigtuple, 1, RelationGetDescr(trigger->tg_relation), &isnull);
	zdu_enter(&session);
	zdu_run(&forget_steps, (ZduArg[]) {zdu_datum(plan_id, isnull)});
	zdu_leave(&session);
	return PointerGetDatum(NULL);
}
