/*
 * observed.c
 *	  Triggers: what zdu observes changes through its functions only.
 *
 * That keeps accidents away, not enemies: whoever owns the tables can disable
 * a trigger.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "store/spi.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(zdu_refuse_update);

Datum
zdu_refuse_update(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		deletes;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "zdu_refuse_update is not called as a trigger");
	deletes = TRIGGER_FIRED_BY_DELETE(trigger->tg_event);
	if (!zdu_is_writing())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of zdu.%s cannot be %s by hand", RelationGetRelationName(trigger->tg_relation), deletes ? "deleted" : "changed"),
				 errdetail("N1: what zdu observed is changed by its functions, which lock the cluster first."),
				 errhint("SELECT name, usage FROM zdu.help; the audited way out is zdu_force_state()")));
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		return PointerGetDatum(NULL);
	return PointerGetDatum(deletes ? trigger->tg_trigtuple : trigger->tg_newtuple);
}
