/*
 * report.c
 *	  What workers report.
 */
#include "store/report.h"

#include "catalog/pg_type.h"
#include "core/version.h"
#include "errcodes.h"
#include "store/document.h"
#include "store/soft.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonpath.h"
#include "utils/numeric.h"

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

/* What a path finds in what was seen of a node, as text; NULL: nothing. */
#define FOUND(path) \
	"CASE WHEN n.node_id IS NOT NULL AND " path "::text IS NOT NULL AND jsonb_typeof(r.seen) = 'object' THEN " \
	"  jsonb_path_query_first(r.seen, " path "::jsonpath, v.vars, true) #>> '{}' END"

/* Those that are not about a step. */
static ZduQuery match_looks = {
	.text =
	"WITH r AS (SELECT x.ord::integer AS ord, coalesce(x.e->'evidence', x.e->'seen') AS seen, x.e->>'node' AS node, "
	"    CASE WHEN jsonb_typeof(x.e->'watch') = 'number' THEN (x.e->>'watch')::numeric END AS watch, "
	"    CASE WHEN x.e->>'asked' ~ '^[1-9][0-9]{0,17}$' THEN (x.e->>'asked')::bigint END AS asked "
	"  FROM jsonb_array_elements($2) WITH ORDINALITY AS x(e, ord) WHERE jsonb_typeof(x.e) = 'object' AND x.e->>'token' IS NULL) "
	"SELECT r.ord, coalesce(jsonb_typeof(r.seen) IN ('object', 'array'), false), "
	"  n.node_id, "
	"  CASE WHEN n.node_id IS NOT NULL AND $4::text IS NOT NULL AND jsonb_typeof(r.seen) = 'object' AND NOT r.seen ? 'error' THEN "
	"    jsonb_path_match(r.seen, $4::jsonpath, v.vars, true) END, "
	"  coalesce(r.seen->>'refused' = 'true' OR r.seen->>'offline' = 'true', false), "
	FOUND("$3") ", " FOUND("$6") ", " FOUND("$7") ", " FOUND("$8") ", "
	"  g.watch_id, CASE WHEN g.until IS NOT NULL THEN " ALL_HOLD("r.seen", "g.until", "g.vars") " END, "
	"  r.node IS NOT NULL, r.watch IS NOT NULL, r.asked "
	"FROM r "
	"LEFT JOIN zdu.node n ON r.watch IS NULL AND n.cluster_id = $1 AND n.name = r.node "
	"LEFT JOIN zdu.node_vars v ON v.node_id = n.node_id "
	"LEFT JOIN zdu.watch g ON g.watch_id = r.watch AND g.cluster_id = $1 AND (g.upgrade_id IS NULL OR g.upgrade_id = $5) "
	"ORDER BY r.ord",
	.nargs = 8, .argtypes = {INT8OID, JSONBOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID}
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

/* The usual case: small, good, and all of them objects.  NULL: look at each. */
static Jsonb *
parse_at_once(Datum reports_json, int *n)
{
	Datum		value;
	ZduSoftError error;
	Jsonb	   *reports;

	if (VARSIZE_ANY_EXHDR(DatumGetTextPP(reports_json)) > ZDU_REPORT_MAX ||
		!zdu_soft_input(jsonb_in, TextDatumGetCString(reports_json), &value, &error))
		return NULL;
	reports = DatumGetJsonbP(value);
	*n = JB_ROOT_COUNT(reports);
	if (*n > ZDU_REPORTS_MAX)
		return NULL;
	for (int i = 0; i < *n; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(&reports->root, i);

		if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
			return NULL;
	}
	return reports;
}

static ZduMatch *
make_matches(int n)
{
	ZduMatch   *matches = palloc0(sizeof(ZduMatch) * (n + 1));

	for (int i = 0; i < n; i++)
		matches[i].ord = i + 1;
	return matches;
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
	Jsonb	   *reports;

	*n = 0;
	if (!is_array(reports_json, &empty))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reports are not a JSON array"),
				 errdetail("W5: nothing was changed."),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_work'")));
	if (empty)
		return NULL;
	reports = parse_at_once(reports_json, n);
	if (reports != NULL)
	{
		*errors = make_matches(*n);
		return reports;
	}
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

	*errors = make_matches(*n);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < *n; i++)
	{
		ZduMatch   *m = &(*errors)[i];
		Jsonb	   *element = NULL;

		if (texts[i] == NULL || strlen(texts[i]) > ZDU_COPIES_MAX)
			refuse(m, "54000", texts[i] == NULL ? "a report is null" : "a report has more than 4 MB");
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
		if (element != NULL && strlen(texts[i]) > ZDU_REPORT_MAX && zdu_get(&element->root, "watch") == NULL)
		{
			refuse(m, "54000", "a report has more than 64 kB");
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

/* The token's halves; false: it is none that zdu ever gave. */
static bool
read_token(const char *token, int *epoch, int64 *number)
{
	size_t		first = strspn(token, "0123456789");
	size_t		second = token[first] == '.' ? strspn(token + first + 1, "0123456789") : 0;

	if (first < 1 || first > 9 || second < 1 || second > 18 || token[first + 1 + second] != '\0')
		return false;
	*epoch = (int) strtol(token, NULL, 10);
	*number = strtoll(token + first + 1, NULL, 10);
	return true;
}

/* A value as text, as ->> gives it; NULL: null, or none. */
static char *
value_text(JsonbValue *v)
{
	if (v == NULL || v->type == jbvNull)
		return NULL;
	if (v->type == jbvString)
		return pnstrdup(v->val.string.val, v->val.string.len);
	if (v->type == jbvBool)
		return pstrdup(v->val.boolean ? "true" : "false");
	if (v->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	return JsonbToCString(NULL, v->val.binary.data, v->val.binary.len);
}

/* Has an object this key, an array this string? */
static bool
names(Jsonb *e, const char *key)
{
	return DatumGetBool(DirectFunctionCall2(jsonb_exists, JsonbPGetDatum(e), CStringGetTextDatum(key)));
}

/* The same as ALL_HOLD, for one piece of evidence. */
static ZduAnswer
holds(Jsonb *e, Datum path, Jsonb *vars)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(e);
	fcinfo->args[1].value = path;
	fcinfo->args[2].value = JsonbPGetDatum(vars);
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	result = jsonb_path_match(fcinfo);
	if (!fcinfo->isnull && DatumGetBool(result))
		return ANSWER_YES;
	if (fcinfo->isnull || (names(e, "error") && !names(e, "refused")))
		return ANSWER_UNKNOWN;
	return ANSWER_NO;
}

static ZduAnswer
all_hold(Jsonb *seen, Datum path, Jsonb *vars)
{
	ZduAnswer	answer = ANSWER_UNKNOWN;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		first = true;

	if (!JB_ROOT_IS_ARRAY(seen))
		return holds(seen, path, vars);
	it = JsonbIteratorInit(&seen->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		ZduAnswer	one;

		if (token != WJB_ELEM)
			continue;
		one = holds(JsonbValueToJsonb(&v), path, vars);
		if (one == ANSWER_NO)
			return one;
		answer = first || one == ANSWER_UNKNOWN ? one : answer;
		first = false;
	}
	return answer;
}

/* Does it hold for any of the evidence? */
static bool
any_holds(Jsonb *seen, Datum path, Jsonb *vars)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	if (!JB_ROOT_IS_ARRAY(seen))
		return holds(seen, path, vars) == ANSWER_YES;
	it = JsonbIteratorInit(&seen->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_ELEM && holds(JsonbValueToJsonb(&v), path, vars) == ANSWER_YES)
			return true;
	return false;
}

/* The predicate parsed last: steps that are reported together are often in the same phase. */
typedef struct Predicate
{
	const char *text;			/* NULL: none yet */
	Datum		path;
} Predicate;

static Datum
path_of(Predicate *last, const char *text)
{
	if (last->text == NULL || strcmp(last->text, text) != 0)
	{
		last->path = DirectFunctionCall1(jsonpath_in, CStringGetDatum(text));
		last->text = text;
	}
	return last->path;
}

/* Reads what a report says about a step; false: it is about something else, or bad. */
static bool
read_report(JsonbContainer *report, ZduMatch *m)
{
	JsonbValue *evidence = zdu_get(report, "evidence");
	JsonbValue *saw = evidence != NULL ? evidence : zdu_get(report, "seen");
	bool		seen;

	m->token = value_text(zdu_get(report, "token"));
	if (m->token == NULL)
		return false;
	seen = saw != NULL && saw->type == jbvBinary;
	m->evidence = evidence == NULL ? NULL : JsonbValueToJsonb(evidence);
	m->saw = saw == evidence ? m->evidence : JsonbValueToJsonb(saw);
	m->log = value_text(zdu_get(report, "log"));
	if (seen && JB_ROOT_IS_OBJECT(m->saw))
	{
		char	   *ended = value_text(zdu_get(&m->saw->root, "ended"));

		m->report.ended = ended != NULL && strcmp(ended, "true") == 0;
	}
	if (!read_kind(value_text(zdu_get(report, "verb")), value_text(zdu_get(report, "state")), &m->report))
		refuse(m, "22023", "a report about a step wants a verb (probe, act) and a state (running, done, failed, released)");
	else if (m->report.kind == REPORT_LOOKED && m->report.ok && !seen)
		refuse(m, "22023", "evidence is not an object or an array of objects");
	else if (!read_token(m->token, &m->epoch, &m->number))
		zdu_report_stale(m);
	return m->sqlstate == NULL;
}

static bool
is_settled(const ZduMatch *m, const int64 *numbers, const int64 *epochs, int n)
{
	int			low = 0;
	int			high = n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (numbers[mid] == m->number)
			return epochs[mid] == m->epoch;
		if (numbers[mid] < m->number)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return false;
}

/* Of the reports that name no open step: who said it before gets the same answer again, whoever else is told. */
static void
match_settled(int64 cluster_id, ZduMatch *matches, int n)
{
	int64	   *numbers = palloc(sizeof(int64) * (n + 1));
	ZduMatch  **lost = palloc(sizeof(ZduMatch *) * (n + 1));
	int			nlost = 0;
	int64	   *settled;
	int64	   *epochs;
	int			nsettled;

	for (int i = 0; i < n; i++)
	{
		ZduMatch   *m = &matches[i];

		if (m->sqlstate != NULL || m->token == NULL || m->step != NULL || m->over)
			continue;
		numbers[nlost] = m->number;
		lost[nlost++] = m;
	}
	if (nlost == 0)
		return;
	settled = zdu_steps_settled(cluster_id, numbers, nlost, &epochs, &nsettled);
	for (int i = 0; i < nlost; i++)
	{
		lost[i]->over = is_settled(lost[i], settled, epochs, nsettled);
		if (!lost[i]->over)
			zdu_report_stale(lost[i]);
	}
}

bool
zdu_reports_match_steps(int64 cluster_id, Jsonb *reports, const char *worker, const char *incarnation,
						ZduMatch *matches, int n, ZduStep **steps, int *nsteps)
{
	int64	   *numbers = palloc(sizeof(int64) * (n + 1));
	int			nnumbers = 0;
	bool		rest = false;
	Predicate	last = {NULL, 0};
	Predicate	last_fail = {NULL, 0};

	for (int i = 0; i < n; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(&reports->root, i);

		if (matches[i].sqlstate != NULL)
			continue;
		if (read_report(v->val.binary.data, &matches[i]))
			numbers[nnumbers++] = matches[i].number;
		rest |= matches[i].token == NULL;
	}
	*nsteps = 0;
	if (nnumbers == 0)
		return rest;
	*steps = zdu_steps_named(cluster_id, numbers, nnumbers, worker, incarnation, nsteps);
	for (int i = 0; i < n; i++)
	{
		ZduMatch   *m = &matches[i];
		ZduStep    *s;

		if (m->sqlstate != NULL || m->token == NULL)
			continue;
		s = zdu_step_seek(*steps, *nsteps, m->number);
		if (s == NULL || s->epoch != m->epoch)
			continue;
		m->over = s->state != STEP_RUNNING && s->state != STEP_UNKNOWN;
		if (m->over)
			continue;
		m->step = s;
		m->report.until = ANSWER_UNKNOWN;
		if (!s->mine)
			zdu_report_stale(m);
		else if (m->report.kind == REPORT_LOOKED && m->report.ok && s->until != NULL)
		{
			m->report.until = all_hold(m->saw, path_of(&last, s->until), s->vars);
			m->report.failed = s->fail != NULL && any_holds(m->saw, path_of(&last_fail, s->fail), s->vars);
		}
	}
	match_settled(cluster_id, matches, n);
	return rest;
}

char *
zdu_report_excerpt(Jsonb *saw)
{
	return TextDatumGetCString(DirectFunctionCall2(text_left, CStringGetTextDatum(JsonbToCString(NULL, &saw->root, VARSIZE(saw))), Int32GetDatum(200)));
}

/* A node may say what it likes: what is no count is none. */
static int
read_count(const char *text)
{
	size_t		n = text == NULL ? 0 : strlen(text);

	return n == 0 || n > 9 || strspn(text, "0123456789") != n ? -1 : atoi(text);
}

void
zdu_reports_match_looks(int64 cluster_id, int64 upgrade_id, Jsonb *reports, const ZduObservePaths *observe, ZduMatch *matches)
{
	ZduReader	r;

	zdu_run(&match_looks, (ZduArg[]) {
		zdu_int8(cluster_id), zdu_jsonb(reports), zdu_text(observe->version), zdu_text(observe->active), zdu_int8(upgrade_id),
		zdu_text(observe->node_state), zdu_text(observe->tasks), zdu_text(observe->users)
	});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduMatch   *m = &matches[zdu_read_int4(&r) - 1];
		bool		seen = zdu_read_bool(&r);
		bool		names_node;
		bool		names_watch;
		ZduVersion	version;
		ZduVersionError error;

		m->node_id = zdu_read_int8(&r);
		m->active = (ZduAnswer) zdu_read_tristate(&r);
		m->offline = zdu_read_bool(&r);
		m->version = zdu_read_text(&r);
		m->node_state = zdu_read_text(&r);
		m->tasks = read_count(zdu_read_text(&r));
		m->users = read_count(zdu_read_text(&r));
		m->watch_id = zdu_read_int8(&r);
		m->holds = (ZduAnswer) zdu_read_tristate(&r);
		names_node = zdu_read_bool(&r);
		names_watch = zdu_read_bool(&r);
		m->asked = zdu_read_int8(&r);

		if (m->version != NULL && !zdu_version_parse(m->version, strlen(m->version), &version, &error))
			m->version = NULL;
		if (names_watch)
			continue;			/* of one that is gone meanwhile nothing is stored */
		if (!names_node)
			refuse(m, "22023", "a report wants a token, a node or a watch");
		else if (m->node_id == 0)
			refuse(m, "42704", "there is no such node");
		else if (!seen)
			refuse(m, "22023", "seen is not an object");
	}
}
