/*
 * fact.c
 *	  What was recorded, and what an upgrade wants of it.
 */
#include "api/fact.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "store/document.h"
#include "store/event.h"
#include "utils/builtins.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_record);

static ZduQuery upsert_fact = {
	.text =
	"INSERT INTO zdu.fact (cluster_id, name, evidence, caller, at) VALUES ($1, $2, $3, $4, $5) "
	"ON CONFLICT (cluster_id, name) DO UPDATE SET evidence = excluded.evidence, caller = excluded.caller, "
	"session_role = excluded.session_role, at = excluded.at",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, JSONBOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery known_fact = {
	.text =
	"SELECT extract(epoch FROM $5 - t.at)::double precision, "
	"  $3::text IS NULL OR coalesce(jsonb_path_match(t.evidence, $3::jsonpath, jsonb_build_object('target', $4::text), true), false), "
	"  EXISTS (SELECT FROM zdu.waiver w WHERE w.cluster_id = $1 AND w.rule = 'fact:' || $2), left(t.evidence::text, 100) "
	"FROM (SELECT) AS asked LEFT JOIN zdu.fact t ON t.cluster_id = $1 AND t.name = $2",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* Says what is wrong with one fact that is required; NULL: nothing. */
static char *
missing(const ZduFacts *f, JsonbContainer *required, const char *name, const char *target)
{
	char	   *until = zdu_get_text(required, "until");
	double		max_age = zdu_get_duration(required, "max_age", -1);
	ZduReader	r;
	double		age;
	bool		holds;

	zdu_run(&known_fact, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(name), zdu_text(until), zdu_text(target), zdu_time(zdu_now())});
	r = zdu_reader();
	(void) zdu_next_row(&r);
	age = zdu_read_float8(&r, -1);
	holds = zdu_read_bool(&r);
	if (zdu_read_bool(&r))
		return NULL;
	if (age < 0)
		return psprintf("\"%s\" was not recorded", name);
	if (max_age >= 0 && age > max_age)
		return psprintf("\"%s\" was recorded %.0f min ago, %.0f min are allowed", name, age / 60, max_age / 60);
	if (!holds)
		return psprintf("\"%s\" says %s, and must be: %s", name, zdu_read_text(&r), until);
	return NULL;
}

char *
zdu_fact_missing(const ZduFacts *f, const ZduRunbook *rb, const char *target, char **name)
{
	JsonbValue *required = zdu_get(&rb->document->root, "requires_facts");
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	if (required == NULL)
		return NULL;
	it = JsonbIteratorInit(required->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		char	   *wrong;

		if (token != WJB_ELEM)
			continue;
		*name = zdu_get_text(e.val.binary.data, "fact");
		wrong = missing(f, e.val.binary.data, *name, target);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

Datum
zdu_record(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *fact = zdu_arg_required(fcinfo, 1, "fact");
	Jsonb	   *evidence;
	ZduCall		call;

	(void) zdu_arg_required(fcinfo, 2, "evidence");
	evidence = zdu_arg_jsonb(fcinfo, 2);
	zdu_call_begin(&call, "zdu_record", cluster);
	zdu_check_name("fact", fact);
	if (!JB_ROOT_IS_OBJECT(evidence))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the evidence of fact \"%s\" is not a JSON object", fact),
				 errdetail("S5: nothing was recorded."),
				 errhint("SELECT zdu_record('%s', '%s', '{\"where\": \"...\"}')", cluster, fact)));
	zdu_run(&upsert_fact, (ZduArg[]) {
		zdu_int8(call.f->cluster_id), zdu_text(fact), zdu_jsonb(evidence),
		zdu_text(GetUserNameFromId(call.session.caller, false)), zdu_time(zdu_now())
	});
	zdu_event_note(NULL, "fact", NULL, fact, "S5", JsonbToCString(NULL, &evidence->root, VARSIZE(evidence)));
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("recorded"));
}
