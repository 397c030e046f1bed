/*
 * report.c
 *	  What workers report.
 */
#include "store/report.h"

#include "catalog/pg_type.h"
#include "core/version.h"
#include "errcodes.h"
#include "store/soft.h"
#include "utils/builtins.h"
#include "utils/json.h"

static ZduQuery report_elements = {
	.text = "SELECT e.value::text FROM json_array_elements($1) WITH ORDINALITY AS e(value, ord) ORDER BY e.ord",
	.nargs = 1, .argtypes = {JSONOID}
};

/*
 * Does `until` hold for all of the evidence?  One no decides; one that cannot
 * tell leaves it open.  A look that went wrong tells nothing, but a refused
 * connection tells that nobody is there.
 */
#define ALL_HOLD(seen, path, vars) \
	"(SELECT CASE WHEN bool_or(NOT q.holds) THEN false WHEN bool_or(q.holds IS NULL) OR count(*) = 0 THEN NULL ELSE true END " \
	" FROM (SELECT CASE WHEN m.holds THEN true WHEN t.e ? 'error' AND NOT t.e ? 'refused' THEN NULL ELSE m.holds END AS holds " \
	"       FROM jsonb_array_elements(CASE jsonb_typeof(" seen ") WHEN 'array' THEN " seen " ELSE jsonb_build_array(" seen ") END) AS t(e) " \
	"       CROSS JOIN LATERAL (SELECT jsonb_path_match(t.e, (" path ")::jsonpath, " vars ", true) AS holds) m) q)"

static ZduQuery match_reports = {
	.text =
	"WITH r AS (SELECT x.ord::integer AS ord, x.e->>'token' AS token, x.e->>'verb' AS verb, x.e->>'state' AS state, "
	"    coalesce(x.e->'evidence', x.e->'seen') AS seen, x.e->>'node' AS node, "
	"    CASE WHEN jsonb_typeof(x.e->'watch') = 'number' THEN (x.e->>'watch')::numeric END AS watch, "
	"    CASE WHEN x.e->>'token' ~ '^[0-9]{1,9}[.][0-9]{1,18}$' THEN split_part(x.e->>'token', '.', 1)::bigint END AS epoch, "
	"    CASE WHEN x.e->>'token' ~ '^[0-9]{1,9}[.][0-9]{1,18}$' THEN split_part(x.e->>'token', '.', 2)::bigint END AS number "
	"  FROM jsonb_array_elements($2) WITH ORDINALITY AS x(e, ord) WHERE jsonb_typeof(x.e) = 'object') "
	"SELECT r.ord, r.token, r.number, r.verb, r.state, coalesce(jsonb_typeof(r.seen) IN ('object', 'array'), false), "
	"  coalesce(r.seen->>'ended' = 'true', false), "
	"  s.step_id, coalesce(s.worker = $3 AND s.incarnation = $4, false), s.state, "
	"  CASE WHEN r.verb = 'probe' AND r.state = 'done' AND s.until IS NOT NULL AND jsonb_typeof(r.seen) IN ('object', 'array') THEN "
	ALL_HOLD("r.seen", "s.until", "s.vars") " END, "
	"  n.node_id, "
	"  CASE WHEN n.node_id IS NOT NULL AND $6::text IS NOT NULL AND jsonb_typeof(r.seen) = 'object' AND NOT r.seen ? 'error' THEN "
	"    jsonb_path_match(r.seen, $6::jsonpath, v.vars, true) END, "
	"  coalesce(r.seen->>'refused' = 'true' OR r.seen->>'offline' = 'true', false), "
	"  CASE WHEN n.node_id IS NOT NULL AND $5::text IS NOT NULL AND jsonb_typeof(r.seen) = 'object' THEN "
	"    jsonb_path_query_first(r.seen, $5::jsonpath, v.vars, true) #>> '{}' END, "
	"  g.watch_id, CASE WHEN g.until IS NOT NULL THEN " ALL_HOLD("r.seen", "g.until", "g.vars") " END, "
	"  r.node IS NOT NULL, r.watch IS NOT NULL, left(r.seen::text, 200) "
	"FROM r "
	"LEFT JOIN zdu.step s ON s.number = r.number AND s.number > 0 AND s.epoch = r.epoch AND s.cluster_id = $1 "
	"LEFT JOIN zdu.node n ON r.token IS NULL AND r.watch IS NULL AND n.cluster_id = $1 AND n.name = r.node "
	"LEFT JOIN zdu.node_vars v ON v.node_id = n.node_id "
	"LEFT JOIN zdu.watch g ON r.token IS NULL AND g.watch_id = r.watch AND g.cluster_id = $1 AND (g.upgrade_id IS NULL OR g.upgrade_id = $7) "
	"ORDER BY r.ord",
	.nargs = 7, .argtypes = {INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}
};

static void
refuse(ZduMatch *m, const char *sqlstate, const char *message)
{
	m->sqlstate = sqlstate;
	m->message = message;
}

void
zdu_report_stale(ZduMatch *m)
{
	refuse(m, ZDU_SQLSTATE_STALE_TOKEN, "W5: the token is stale, the step is somebody else's by now");
}

/* Of a valid JSON text the first character tells what it is; an empty array, the usual case, needs no query. */
static bool
is_array(Datum json, bool *empty)
{
	static const char blanks[] = " \t\r\n";
	char	   *value = TextDatumGetCString(json);

	value += strspn(value, blanks);
	if (*value != '[')
		return false;
	value++;
	*empty = value[strspn(value, blanks)] == ']';
	return true;
}

Jsonb *
zdu_reports_parse(Datum reports_json, ZduMatch **errors, int *n)
{
	ZduReader	r;
	uint64		rows;
	char	  **texts;
	JsonbParseState *state = NULL;
	JsonbValue	none = {.type = jbvNull};
	bool		empty;

	*n = 0;
	if (!is_array(reports_json, &empty))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reports are not a JSON array"),
				 errdetail("W5: nothing was changed."),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_work'")));
	if (empty)
		return NULL;
	rows = zdu_look(&report_elements, (ZduArg[]) {zdu_datum(reports_json, false)});
	if (rows > ZDU_REPORTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many reports in one call"),
				 errdetail("W5: " UINT64_FORMAT ", and %d are allowed; none was taken.", rows, ZDU_REPORTS_MAX),
				 errhint("Report them in several calls of zdu_work().")));
	texts = palloc(sizeof(char *) * (rows + 1));
	r = zdu_reader();
	for (*n = 0; zdu_next_row(&r); (*n)++)
		texts[*n] = zdu_read_text(&r);

	*errors = palloc0(sizeof(ZduMatch) * (*n + 1));
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < *n; i++)
	{
		ZduMatch   *m = &(*errors)[i];
		Jsonb	   *element = NULL;

		m->ord = i + 1;
		if (texts[i] == NULL || strlen(texts[i]) > ZDU_REPORT_MAX)
			refuse(m, "54000", texts[i] == NULL ? "a report is null" : "a report has more than 64 kB");
		else
		{
			Datum		value;
			ZduSoftError error;

			if (zdu_soft_input(jsonb_in, texts[i], &value, &error))
				element = DatumGetJsonbP(value);
			else
				refuse(m, error.sqlstate, error.message);
		}
		if (element != NULL && !JB_ROOT_IS_OBJECT(element))
		{
			refuse(m, "22023", "a report is not an object");
			element = NULL;
		}
		if (element == NULL)
			pushJsonbValue(&state, WJB_ELEM, &none);
		else
		{
			JsonbValue	value;

			JsonbToJsonbValue(element, &value);
			pushJsonbValue(&state, WJB_ELEM, &value);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* What the words of a report about a step mean; false: nothing. */
static bool
read_kind(const char *verb, const char *state, ZduReport *report)
{
	static const struct
	{
		const char *verb;		/* NULL: any or none */
		const char *state;
		ZduReportKind kind;
		bool		ok;
	}			words[] = {
		{NULL, "released", REPORT_RELEASED, false},
		{"probe", "done", REPORT_LOOKED, true},
		{"probe", "failed", REPORT_LOOKED, false},
		{"probe", "running", REPORT_ACTING, true},
		{"act", "done", REPORT_ACTED, true},
		{"act", "failed", REPORT_ACTED, false},
		{"act", "running", REPORT_ACTING, true}
	};

	for (int i = 0; i < lengthof(words); i++)
	{
		if (state == NULL || strcmp(state, words[i].state) != 0)
			continue;
		if (words[i].verb != NULL && (verb == NULL || strcmp(verb, words[i].verb) != 0))
			continue;
		report->kind = words[i].kind;
		report->ok = words[i].ok;
		return true;
	}
	return false;
}

void
zdu_reports_match(int64 cluster_id, int64 upgrade_id, Jsonb *reports, const char *worker, const char *incarnation,
				  const ZduObservePaths *observe, ZduMatch *matches, int n)
{
	ZduReader	r;

	zdu_run(&match_reports, (ZduArg[]) {
		zdu_int8(cluster_id), zdu_jsonb(reports), zdu_text(worker), zdu_text(incarnation),
		zdu_text(observe->version), zdu_text(observe->active), zdu_int8(upgrade_id)
	});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduMatch   *m = &matches[zdu_read_int4(&r) - 1];
		char	   *verb;
		char	   *state;
		char	   *step_state;
		bool		seen;
		bool		mine;
		bool		names_node;
		bool		names_watch;
		ZduVersion	version;
		ZduVersionError error;

		m->token = zdu_read_text(&r);
		m->number = zdu_read_int8(&r);
		verb = zdu_read_text(&r);
		state = zdu_read_text(&r);
		seen = zdu_read_bool(&r);
		m->report.ended = zdu_read_bool(&r);
		m->step_id = zdu_read_int8(&r);
		mine = zdu_read_bool(&r);
		step_state = zdu_read_text(&r);
		m->report.until = (ZduAnswer) zdu_read_tristate(&r);
		m->node_id = zdu_read_int8(&r);
		m->active = (ZduAnswer) zdu_read_tristate(&r);
		m->offline = zdu_read_bool(&r);
		m->version = zdu_read_text(&r);
		m->watch_id = zdu_read_int8(&r);
		m->holds = (ZduAnswer) zdu_read_tristate(&r);
		names_node = zdu_read_bool(&r);
		names_watch = zdu_read_bool(&r);
		m->evidence = zdu_read_text(&r);

		if (m->version != NULL && !zdu_version_parse(m->version, strlen(m->version), &version, &error))
			m->version = NULL;

		if (m->token != NULL)
		{
			bool		open = step_state != NULL && (strcmp(step_state, "running") == 0 || strcmp(step_state, "unknown") == 0);

			if (!read_kind(verb, state, &m->report))
				refuse(m, "22023", "a report about a step wants a verb (probe, act) and a state (running, done, failed, released)");
			else if (m->report.kind == REPORT_LOOKED && m->report.ok && !seen)
				refuse(m, "22023", "evidence is not an object or an array of objects");
			else if (m->step_id == 0 || (open && !mine))
				zdu_report_stale(m);
			else if (!open)
				m->step_id = 0;	/* said before, or ended meanwhile: the same answer again */
		}
		else if (names_watch)
			continue;			/* of one that is gone meanwhile nothing is stored */
		else if (!names_node)
			refuse(m, "22023", "a report wants a token, a node or a watch");
		else if (m->node_id == 0)
			refuse(m, "42704", "there is no such node");
		else if (!seen)
			refuse(m, "22023", "seen is not an object");
	}
}
