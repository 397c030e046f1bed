/*
 * waive.c
 *	  What somebody sets aside by name, and answers for.
 */
#include "api/api.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_waive);

static ZduQuery known_gate = {
	.text =
	"SELECT 1 FROM zdu.gate WHERE cluster_id = $1 AND name = $2 "
	"UNION ALL SELECT 1 FROM zdu.upgrade_gate g JOIN zdu.upgrade u ON u.upgrade_id = g.upgrade_id "
	"WHERE u.cluster_id = $1 AND u.ended_at IS NULL AND g.name = $2 AND g.opened_at IS NULL",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery known_freeze = {
	.text = "SELECT 1 FROM zdu.calendar WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery known_fact = {
	.text =
	"SELECT 1 FROM zdu.cluster c JOIN zdu.runbook r ON r.name = c.runbook CROSS JOIN LATERAL jsonb_path_query(r.document, '$.requires_facts[*].fact') AS t(fact) "
	"WHERE c.cluster_id = $1 AND t.fact #>> '{}' = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery insert_waiver = {
	.text = "INSERT INTO zdu.waiver (cluster_id, rule, reason, at) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (cluster_id, rule) DO UPDATE SET reason = excluded.reason, at = excluded.at, session_role = excluded.session_role",
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* What can be waived. */
typedef struct WaiverRow
{
	const char *what;			/* ending in a colon: a name follows */
	const char *rule;			/* that it comes under */
	const char *meaning;
	ZduQuery   *known;			/* whether there is something of that name; NULL: not asked */
	const char *names;			/* where to find the names */
} WaiverRow;

static const WaiverRow waivers[] = {
	{"D10", "D10", "a cluster of one", NULL, NULL},
	{"gate:", "L22", "a gate of the upgrade", &known_gate, "SELECT gate FROM zdu.gate_status WHERE cluster = '%s'"},
	{"fact:", "S5", "a fact that the runbook requires", &known_fact, "SELECT document->'requires_facts' FROM zdu.runbook JOIN zdu.cluster c ON c.runbook = runbook.name WHERE c.name = '%s'"},
	{"freeze:", "L22", "a freeze, or being outside of a window", &known_freeze, "SELECT name, kind, during FROM zdu.freeze -- for cluster %s"}
};

static const WaiverRow *
waiver_of(const char *what, const char **name)
{
	for (int i = 0; i < lengthof(waivers); i++)
	{
		size_t		len = strlen(waivers[i].what);
		bool		named = waivers[i].what[len - 1] == ':';

		if (named ? strncmp(what, waivers[i].what, len) != 0 : strcmp(what, waivers[i].what) != 0)
			continue;
		*name = named ? what + len : NULL;
		return &waivers[i];
	}
	return NULL;
}

static char *
all_waivers(void)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(waivers); i++)
		appendStringInfo(&list, "%s%s%s (%s)", i > 0 ? ", " : "", waivers[i].what, waivers[i].known != NULL ? "NAME" : "", waivers[i].meaning);
	return list.data;
}

Datum
zdu_waive(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *what = zdu_arg_required(fcinfo, 1, "rule");
	char	   *reason = zdu_arg_required(fcinfo, 2, "reason");
	const char *name = NULL;
	const WaiverRow *w;
	ZduCall		call;

	zdu_call_begin(&call, "zdu_waive", cluster);
	w = waiver_of(what, &name);
	if (w == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be waived", what),
				 errdetail("L22: these can: %s.", all_waivers()),
				 errhint("SELECT * FROM zdu_why('%s')", cluster)));
	if (w->known != NULL && zdu_run(w->known, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(name)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("\"%s\" cannot be waived", what),
				 errdetail("%s: cluster \"%s\" has nothing of that name.", w->rule, cluster),
				 errhint(w->names, cluster)));
	zdu_run(&insert_waiver, (ZduArg[]) {zdu_int8(call.f->cluster_id), zdu_text(what), zdu_text(reason), zdu_time(zdu_now())});
	zdu_event_note(NULL, "waive", NULL, what, w->rule, reason);
	if (call.f->upgrade_id != 0)
	{
		zdu_set_work_waits(call.f, true);
		zdu_notify();
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("waived"));
}
