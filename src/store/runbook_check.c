/*
 * runbook_check.c
 *	  What a runbook may say: every key, its place and its kind.
 */
#include "store/runbook.h"

#include <ctype.h>

#include "store/args.h"
#include "store/document.h"
#include "store/runbook_keys.h"
#include "store/soft.h"
#include "store/vars.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

static const char *const drivers[] = {"exec", "http", "haproxy", "sql"};

typedef struct Check
{
	const char *what;			/* such as runbook "local" */
	const char *hint;
	Jsonb	   *document;
	const char *place;			/* such as node.drain.until */
} Check;

static void check_object(Check *c, JsonbContainer *object, int places);

static void
bad(Check *c, const char *format,...)
			pg_attribute_printf(2, 3);

static void
bad(Check *c, const char *format,...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		ap;
		int			needed;

		va_start(ap, format);
		needed = appendStringInfoVA(&text, format, ap);
		va_end(ap);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is not valid", c->what),
			 errdetail("W1: %s %s.", c->place[0] != '\0' ? c->place : "the document", text.data),
			 errhint("%s", c->hint)));
}

static char *
text_of(JsonbValue *v)
{
	return pnstrdup(v->val.string.val, v->val.string.len);
}

static bool
is_object(JsonbValue *v)
{
	return v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data);
}

static bool
is_array(JsonbValue *v)
{
	return v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data);
}

/* True if the document's `requires` names it, or zdu gives it. */
static bool
is_declared(Check *c, const char *name, int len)
{
	JsonbValue *requires = getKeyJsonValueFromContainer(&c->document->root, "requires", 8, NULL);
	JsonbValue	key = {.type = jbvString, .val.string = {.val = unconstify(char *, name), .len = len}};

	if (zdu_var_is_builtin(name, len))
		return true;
	return requires != NULL && is_array(requires) &&
		findJsonbValueFromContainer(requires->val.binary.data, JB_FARRAY, &key) != NULL;
}

static bool
visit_variable(const char *name, int len, void *arg)
{
	Check	   *c = arg;

	if (!is_declared(c, name, len))
		bad(c, "uses the variable \"%.*s\", which \"requires\" does not name", len, name);
	return true;
}

static void
check_variables(Check *c, JsonbValue *v)
{
	if (!zdu_vars_each(v->val.string.val, v->val.string.len, visit_variable, c))
		bad(c, "has a brace that is no variable");
}

/* A $name of a jsonpath must have a value, or evaluating it would be an error. */
static void
check_path(Check *c, JsonbValue *v)
{
	char	   *path = text_of(v);
	bool		quoted = false;
	Datum		unused;
	ZduSoftError error;

	if (!zdu_soft_input(jsonpath_in, path, &unused, &error))
		bad(c, "is not a jsonpath: %s", error.message);
	for (char *p = path; *p != '\0'; p++)
	{
		int			n;

		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '$' && !quoted)
		{
			for (n = 0; isalnum((unsigned char) p[1 + n]) || p[1 + n] == '_'; n++)
				;
			if (n > 0 && !is_declared(c, p + 1, n))
				bad(c, "uses the variable \"$%.*s\", which \"requires\" does not name", n, p + 1);
		}
	}
}

static void
check_words(Check *c, JsonbValue *v, bool names)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	if (!is_array(v))
		bad(c, "is not a list");
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (e.type != jbvString)
			bad(c, "is not a list of texts");
		if (!names)
			check_variables(c, &e);
		else if (zdu_var_is_builtin(e.val.string.val, e.val.string.len))
			bad(c, "names \"%s\", which zdu gives by itself", text_of(&e));
	}
}

/* Every string inside, whatever it is part of. */
static void
check_any(Check *c, JsonbValue *v)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	if (v->type == jbvString)
		check_variables(c, v);
	if (v->type != jbvBinary)
		return;
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, false)) != WJB_DONE)
		if ((token == WJB_ELEM || token == WJB_VALUE) && e.type == jbvString)
			check_variables(c, &e);
}

static void
check_form(Check *c, JsonbValue *v)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	if (!is_object(v))
		bad(c, "is not an object");
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
		if (token == WJB_VALUE && e.type != jbvString)
			bad(c, "has a part that is not a text");
	check_any(c, v);
}

static void
check_number(Check *c, JsonbValue *v, int lowest, int highest)
{
	double		number;

	if (v->type != jbvNumeric)
		bad(c, "is not a number");
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));
	if (number < lowest || number > highest || number != (int) number)
		bad(c, "is not a whole number from %d to %d", lowest, highest);
}

static void
check_word(Check *c, JsonbValue *v, const char *const *words, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
	{
		if (v->type == jbvString && strcmp(text_of(v), words[i]) == 0)
			return;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	bad(c, "is none of %s", list.data);
}

static void
check_list_of(Check *c, JsonbValue *v, int places)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;
	const char *place = c->place;
	int			i = 0;

	if (!is_array(v))
		bad(c, "is not a list");
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		c->place = psprintf("%s[%d]", place, i++);
		if (!is_object(&e))
			bad(c, "is not an object");
		check_object(c, e.val.binary.data, places);
	}
	c->place = place;
}

static void
check_value(Check *c, JsonbValue *v, KeyKind kind)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	static const char *const states[] = {"drain", "maint", "ready"};
	static const char *const only[] = {"probe"};
	bool		textual = kind == KEY_TEXT || kind == KEY_PROGRAM || kind == KEY_DURATION || kind == KEY_PATH || kind == KEY_CONNINFO;
	double		unused;

	if (textual && v->type != jbvString)
		bad(c, "is not a text");
	switch (kind)
	{
		case KEY_TEXT:
			/* SQL takes no variables: braces there are the statement's own. */
			if (strstr(c->place, ".sql") == NULL && strstr(c->place, "comment") == NULL)
				check_variables(c, v);
			break;
		case KEY_PROGRAM:
			{
				char	   *program = text_of(v);

				if (program[0] == '\0' || program[0] == '.' || strspn(program, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(program))
					bad(c, "is not the name of a program in the worker's runbook directory");
			}
			break;
		case KEY_WORDS:
		case KEY_NAMES:
			check_words(c, v, kind == KEY_NAMES);
			break;
		case KEY_NUMBER:
			check_number(c, v, 0, 1000);
			break;
		case KEY_FORMAT:
			check_number(c, v, 1, 1);
			break;
		case KEY_FLAG:
			if (v->type != jbvBool)
				bad(c, "is neither true nor false");
			break;
		case KEY_DURATION:
			if (!zdu_duration_parse(v->val.string.val, v->val.string.len, &unused))
				bad(c, "is not a duration such as 500ms, 30s, 10min, 2h or 1d");
			break;
		case KEY_PATH:
			check_path(c, v);
			break;
		case KEY_METHOD:
			check_word(c, v, methods, lengthof(methods));
			break;
		case KEY_STATE:
			check_word(c, v, states, lengthof(states));
			break;
		case KEY_ONLY:
			check_word(c, v, only, lengthof(only));
			break;
		case KEY_CONNINFO:
			check_variables(c, v);
			if (zdu_conninfo_is_unsafe(v->val.string.val, v->val.string.len))
				bad(c, "holds a password, or a service with a host");
			break;
		case KEY_ANY:
			check_any(c, v);
			break;
		case KEY_FORM:
			check_form(c, v);
			break;
		case KEY_UNDO:
			if (v->type == jbvString)
				break;
			/* FALLTHROUGH */
		case KEY_SPEC:
		case KEY_OBSERVE:
		case KEY_SCHEMA:
		case KEY_PLACEMENTS:
		case KEY_PHASES:
		case KEY_PHASE:
			if (!is_object(v))
				bad(c, "is not an object");
			check_object(c, v->val.binary.data,
						 kind == KEY_PHASES ? AT_NODE :
						 kind == KEY_PHASE || kind == KEY_UNDO ? AT_PHASE | AT_SPEC :
						 kind == KEY_OBSERVE ? AT_OBSERVE | AT_SPEC :
						 kind == KEY_SCHEMA ? AT_SCHEMA | AT_SPEC :
						 kind == KEY_PLACEMENTS ? AT_PLACEMENTS | AT_SPEC : AT_SPEC);
			break;
		case KEY_TASKS:
			check_list_of(c, v, AT_TASK | AT_PHASE | AT_SPEC);
			break;
		case KEY_FACTS:
			check_list_of(c, v, AT_FACT);
			break;
		case KEY_GUARDS:
			check_list_of(c, v, AT_GUARD | AT_SPEC);
			break;
	}
}

/* What one key asks of the others in the same object. */
static void
check_together(Check *c, JsonbContainer *object, int places)
{
	const char *driver = NULL;
	bool		acts;

	if ((places & AT_FACT) != 0 && zdu_get_text(object, "fact") == NULL)
		bad(c, "has no \"fact\"");
	if ((places & AT_SPEC) == 0)
		return;
	for (int i = 0; i < lengthof(drivers); i++)
	{
		if (zdu_get(object, drivers[i]) == NULL)
			continue;
		if (driver != NULL)
			bad(c, "has both \"%s\" and \"%s\"", driver, drivers[i]);
		driver = drivers[i];
	}
	if (driver == NULL)
		bad(c, "has none of exec, http, haproxy, sql");
	for (int i = 0; i < zdu_runbook_nkeys; i++)
		if (zdu_runbook_keys[i].driver != NULL && strcmp(zdu_runbook_keys[i].driver, driver) != 0 && zdu_get(object, zdu_runbook_keys[i].name) != NULL)
			bad(c, "has \"%s\", which belongs to \"%s\"", zdu_runbook_keys[i].name, zdu_runbook_keys[i].driver);
	if (zdu_get(object, "form") != NULL && zdu_get(object, "body") != NULL)
		bad(c, "has both \"form\" and \"body\"");
	if (strcmp(driver, "haproxy") == 0 && zdu_get(object, "server") == NULL)
		bad(c, "has no \"server\"");
	if (strcmp(driver, "sql") == 0 && zdu_get(object, "conninfo") == NULL)
		bad(c, "has no \"conninfo\"");

	if ((places & AT_PHASE) != 0)
	{
		/* What undo undoes can be seen by the look of the task itself. */
		acts = zdu_get(object, "only") == NULL && strstr(c->place, ".undo") == NULL &&
			(strcmp(driver, "exec") == 0 || strcmp(driver, "sql") == 0 || zdu_get(object, "method") != NULL);
		/* W6: success is what was observed. */
		if (acts && zdu_get(object, "until") == NULL && zdu_get(object, "probe") == NULL)
			bad(c, "acts, but neither \"until\" nor \"probe\" says how its effect is seen");
		if (acts && strcmp(c->place, "node.check") == 0)
			bad(c, "acts; a check only looks: say \"only\": \"probe\"");
		if (zdu_get(object, "force") != NULL && strstr(c->place, ".stop") == NULL)
			bad(c, "has \"force\", which is for stop only");
	}
	if ((places & AT_OBSERVE) != 0 && (zdu_get(object, "version") == NULL || zdu_get(object, "active") == NULL))
		bad(c, "needs both \"version\" and \"active\"");
	if ((places & AT_PLACEMENTS) != 0 && zdu_get(object, "copies") == NULL)
		bad(c, "has no \"copies\"");
	if ((places & AT_SCHEMA) != 0 && zdu_get(object, "version") == NULL)
		bad(c, "has no \"version\"");
	if ((places & AT_GUARD) != 0 && zdu_get(object, "until") == NULL)
		bad(c, "has no \"until\"");
}

static void
check_object(Check *c, JsonbContainer *object, int places)
{
	const char *place = c->place;
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	v;
	const ZduKeyRow *row = NULL;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char	   *name = text_of(&v);

			row = NULL;
			for (int i = 0; i < zdu_runbook_nkeys; i++)
				if ((zdu_runbook_keys[i].places & places) != 0 && strcmp(zdu_runbook_keys[i].name, name) == 0)
					row = &zdu_runbook_keys[i];
			if (row == NULL)
				bad(c, "has the unknown key \"%s\"", name);
			c->place = psprintf("%s%s%s", place, place[0] != '\0' ? "." : "", name);
		}
		else if (token == WJB_VALUE)
		{
			check_value(c, &v, row->kind);
			c->place = place;
		}
	}
	c->place = place;
	check_together(c, object, places);
}

void
zdu_runbook_check(const char *name, Jsonb *document)
{
	Check		c = {psprintf("runbook \"%s\"", name), "SELECT document FROM zdu.runbook WHERE name = 'haproxy-systemd-ssh' -- one that is", document, ""};
	JsonbValue *node;
	JsonbValue *verify;

	if (!JB_ROOT_IS_OBJECT(document))
		bad(&c, "is not an object");
	check_object(&c, &document->root, AT_DOCUMENT);
	if (zdu_get(&document->root, "zdu_runbook") == NULL)
		bad(&c, "has no \"zdu_runbook\": 1");

	/* W6: that a node runs the new version is seen, not believed. */
	node = zdu_get(&document->root, "node");
	if (node == NULL)
		bad(&c, "has no \"node\"");
	verify = zdu_get(node->val.binary.data, "verify");
	if (verify == NULL && zdu_get(&document->root, "observe") == NULL)
		bad(&c, "has neither \"node.verify\" nor \"observe\": nobody would see which version runs");
	if (verify != NULL && zdu_get(node->val.binary.data, "upgrade") != NULL)
	{
		JsonbValue *until = zdu_get(verify->val.binary.data, "until");

		c.place = "node.verify.until";
		/* One that asks for {version} sees another one as well as one that compares. */
		if (strstr(JsonbToCString(NULL, verify->val.binary.data, verify->val.binary.len), "{version}") == NULL &&
			(until == NULL || strstr(text_of(until), "$version") == NULL))
			bad(&c, "does not compare with $version: nobody would see which version runs");
	}
}

/* Returns a document that requires every one of these variables. */
static Jsonb *
requiring(Jsonb *vars)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(&vars->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	zdu_push_key(&state, "requires");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_KEY)
			pushJsonbValue(&state, WJB_ELEM, &v);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
zdu_probe_check(const char *what, const char *hint, Jsonb *probe, const char *until, Jsonb *vars)
{
	Check		c = {what, hint, requiring(vars), "probe"};

	if (probe != NULL)
		check_object(&c, &probe->root, AT_SPEC);
	if (until != NULL)
	{
		JsonbValue	v = {.type = jbvString, .val.string = {.val = unconstify(char *, until), .len = strlen(until)}};

		c.place = "until";
		check_path(&c, &v);
	}
}
