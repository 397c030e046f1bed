/*
 * standing.c
 *	  Standing watches.
 */
#include "store/standing.h"

#include "catalog/pg_type.h"
#include "core/version.h"
#include "store/args.h"
#include "store/document.h"
#include "store/event.h"
#include "store/report.h"
#include "store/vars.h"
#include "utils/builtins.h"

#define LOOK_TIMEOUT 10.0
#define LOOK_EVERY 10.0

/* The keys of a runbook that are standing watches, and what of them is a path into the evidence. */
static const struct
{
	const char *kind;
	const char *path;
	int			size;			/* how much it may show; 0: as much as any look */
}			standing[] = {
	{"schema", "version", 0},
	{"placements", "copies", ZDU_COPIES_MAX}
};

static ZduQuery keep_watches = {
	.text =
	"WITH wanted AS (SELECT * FROM unnest($2, $3, $4, $5) AS t(kind, look, vars, every)), "
	"gone AS (DELETE FROM zdu.watch w WHERE w.cluster_id = $1 AND w.upgrade_id IS NULL "
	"  AND NOT EXISTS (SELECT FROM wanted t WHERE t.kind = w.kind)), "
	"changed AS (UPDATE zdu.watch w SET look = t.look, vars = t.vars, every = t.every, asked = NULL, asked_of = NULL FROM wanted t "
	"  WHERE w.cluster_id = $1 AND w.upgrade_id IS NULL AND w.kind = t.kind AND (w.look, w.vars, w.every) <> (t.look, t.vars, t.every)) "
	"INSERT INTO zdu.watch (cluster_id, kind, name, look, vars, every) SELECT $1, t.kind, t.kind, t.look, t.vars, t.every FROM wanted t "
	"WHERE NOT EXISTS (SELECT FROM zdu.watch w WHERE w.cluster_id = $1 AND w.upgrade_id IS NULL AND w.kind = t.kind)",
	.nargs = 5, .argtypes = {INT8OID, TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, FLOAT8ARRAYOID}
};

static ZduQuery seen_versions = {
	.text =
	"SELECT v.value #>> '{}' FROM zdu.watch w "
	"CROSS JOIN LATERAL jsonb_path_query(w.evidence, (w.vars->>'version')::jsonpath, '{}', true) AS v(value) WHERE w.watch_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery store_schema_version = {
	.text = "UPDATE zdu.cluster SET schema_version = $2::zdu_version WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* Returns {"version": "$.path"}. */
static Jsonb *
path_vars(const char *name, const char *path)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	zdu_push_text(&state, name, path);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
zdu_standing_keep(const ZduFacts *f, const ZduRunbook *rb)
{
	char	   *kinds[lengthof(standing)];
	Jsonb	   *looks[lengthof(standing)];
	Jsonb	   *vars[lengthof(standing)];
	double		every[lengthof(standing)];
	int			n = 0;

	for (int i = 0; rb != NULL && i < lengthof(standing); i++)
	{
		JsonbContainer *spec = zdu_get_object(&rb->document->root, standing[i].kind);
		ZduFrame	frame = {.every = LOOK_EVERY, .size = standing[i].size, .phase = standing[i].kind, .direction = "forward"};
		char	   *error = NULL;

		if (spec == NULL)
			continue;
		frame.vars = zdu_vars_load(f, 0);
		frame.timeout = zdu_get_duration(spec, "timeout", LOOK_TIMEOUT);
		looks[n] = zdu_args_make(zdu_args_spec(spec), &frame, &error);
		if (looks[n] == NULL)
		{
			zdu_event_note(NULL, standing[i].kind, NULL, "not possible", "N18", error);
			continue;
		}
		kinds[n] = unconstify(char *, standing[i].kind);
		vars[n] = path_vars(standing[i].path, zdu_get_text(spec, standing[i].path));
		every[n++] = zdu_get_duration(spec, "every", LOOK_EVERY);
	}
	/* Nothing is wanted and nothing is there: so it is with most runbooks, at every sweep. */
	if (n == 0 && !f->schema_watched && !f->copies_watched)
		return;
	zdu_run(&keep_watches, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text_array(kinds, n), zdu_jsonb_array(looks, n), zdu_jsonb_array(vars, n), zdu_float8_array(every, n)
	});
}

void
zdu_schema_saw(ZduFacts *f, int64 watch_id)
{
	ZduReader	r;
	const char *highest = NULL;

	zdu_run(&seen_versions, (ZduArg[]) {zdu_int8(watch_id)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *version = zdu_read_text(&r);
		ZduVersion	parsed;
		ZduVersionError error;

		if (version != NULL && zdu_version_parse(version, strlen(version), &parsed, &error) &&
			(highest == NULL || zdu_version_compare(version, highest) > 0))
			highest = version;
	}
	if (highest == NULL || (f->schema_version != NULL && strcmp(highest, f->schema_version) == 0))
		return;
	zdu_event_note(NULL, "schema", f->schema_version, highest, "S2", "the highest version that is there");
	zdu_run(&store_schema_version, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(highest)});
	f->schema_version = highest;
}
