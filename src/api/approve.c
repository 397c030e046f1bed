/*
 * approve.c
 *	  People who say yes.
 */
#include "api/approve.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/event.h"
#include "store/gate.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_approve);

static ZduQuery gate_to_approve = {
	.text =
	"SELECT g.approval, g.opened_at IS NOT NULL, k.waits_for, EXISTS (SELECT FROM zdu.approval a WHERE a.upgrade_id = g.upgrade_id AND a.gate = g.name) "
	"FROM zdu.upgrade_gate g LEFT JOIN zdu.closed_gate k ON k.upgrade_id = g.upgrade_id AND k.name = g.name "
	"WHERE g.upgrade_id = $1 AND g.name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery insert_approval = {
	.text = "INSERT INTO zdu.approval (upgrade_id, gate, caller, reason, at) VALUES ($1, $2, $3, $4, $5)",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

bool
zdu_login_is_pooled(Oid caller)
{
	return caller != GetSessionUserId();
}

void
zdu_require_second_person(const ZduCall *call, const char *primary)
{
	const ZduFacts *f = call->f;
	Oid			caller = call->session.caller;
	const char *session = GetUserNameFromId(GetSessionUserId(), false);

	if (!f->second_person)
		return;
	if (zdu_login_is_pooled(caller))
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("%s", primary),
				 errdetail("L22: policy \"%s\" wants a second person, and through the login \"%s\" as \"%s\" nobody knows who that is.",
						   f->policy, session, GetUserNameFromId(caller, true)),
				 errhint("Log in as yourself, without SET ROLE, and call it again.")));
	if (f->began_by != NULL && strcmp(f->began_by, session) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("%s", primary),
				 errdetail("L22: policy \"%s\" wants a second person, and \"%s\" began the upgrade.", f->policy, session),
				 errhint("Somebody else has to call it, logged in under a name of his own.")));
}

/* ERROR unless the gate waits for somebody's yes, now. */
static void
need_waiting_gate(const ZduFacts *f, const char *gate, const char *primary, bool *approved)
{
	ZduReader	r;
	bool		wants;
	bool		open;
	char	   *waits_for;
	const char *why;

	zdu_run(&gate_to_approve, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(gate)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("%s", primary),
				 f->upgrade_id == 0 ? errdetail("L22: no upgrade is active.") : errdetail("L22: the upgrade has no such gate."),
				 errhint("SELECT * FROM zdu.gate_status WHERE cluster = '%s'", f->name)));
	wants = zdu_read_bool(&r);
	open = zdu_read_bool(&r);
	waits_for = zdu_read_text(&r);
	*approved = zdu_read_bool(&r);
	if (*approved)
		return;
	why = !wants ? "it wants no approval" : open ? "it is open" : waits_for != NULL ? psprintf("it is not reached: %s", waits_for) : NULL;
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_WRONG_STATE),
				 errmsg("%s", primary),
				 errdetail("L22: %s.", why),
				 errhint("SELECT * FROM zdu.gate_status WHERE cluster = '%s'", f->name)));
}

Datum
zdu_approve(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *gate = zdu_arg_required(fcinfo, 1, "gate");
	char	   *reason = zdu_arg_required(fcinfo, 2, "reason");
	char	   *primary = psprintf("cannot approve gate \"%s\" of cluster \"%s\"", gate, cluster);
	bool		approved;
	ZduCall		call;
	Oid			caller;

	zdu_call_begin(&call, "zdu_approve", cluster);
	caller = call.session.caller;
	need_waiting_gate(call.f, gate, primary, &approved);
	if (!approved)
	{
		zdu_require_second_person(&call, primary);
		zdu_run(&insert_approval, (ZduArg[]) {
			zdu_int8(call.f->upgrade_id), zdu_text(gate), zdu_text(GetUserNameFromId(caller, false)), zdu_text(reason), zdu_time(zdu_now())
		});
		zdu_event_note(NULL, "approve", NULL, gate, "L22", reason);
	}
	/* The end of the call opens it, if nothing else is wanted. */
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(approved ? "unchanged" : "approved"));
}
