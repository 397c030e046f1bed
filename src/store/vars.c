/*
 * vars.c
 *	  Variables of runbooks.
 */
#include "store/vars.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_"
#define VALUE_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/@+=,%~?&{}"

static ZduQuery node_vars = {
	.text = "SELECT vars FROM zdu.node_vars WHERE node_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery vars_of_nodes = {
	.text = "SELECT g.ord::integer, v.vars FROM unnest($1) WITH ORDINALITY AS g(node_id, ord) JOIN zdu.node_vars v ON v.node_id = g.node_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery cluster_vars = {
	.text = "SELECT vars || jsonb_build_object('cluster', name, 'original', coalesce(original, version)::text, "
	"'target', coalesce(target, version)::text, 'version', coalesce(target, version)::text) FROM zdu.cluster WHERE cluster_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static const char *const builtins[] = {
	"cluster", "node", "address", "node_group", "zone", "role", "version", "original", "target"
};

bool
zdu_vars_each(const char *text, int len, bool (*visit) (const char *name, int len, void *arg), void *arg)
{
	for (int i = 0; i < len; i++)
	{
		int			n = 0;

		if (text[i] == '}')
			return false;
		if (text[i] != '{')
			continue;
		while (i + 1 + n < len && strchr(NAME_CHARS, text[i + 1 + n]) != NULL && text[i + 1 + n] != '\0')
			n++;
		if (n == 0 || i + 1 + n >= len || text[i + 1 + n] != '}')
			return false;
		if (!visit(text + i + 1, n, arg))
			return false;
		i += n + 1;
	}
	return true;
}

bool
zdu_var_is_builtin(const char *name, int len)
{
	for (int i = 0; i < lengthof(builtins); i++)
		if ((int) strlen(builtins[i]) == len && strncmp(builtins[i], name, len) == 0)
			return true;
	return false;
}

/* Finds a word at its beginning in a conninfo, in any case, followed by `=`. */
static bool
has_setting(const char *conninfo, const char *word)
{
	size_t		n = strlen(word);

	for (const char *p = conninfo; *p != '\0'; p++)
		if (pg_strncasecmp(p, word, n) == 0 && (p == conninfo || !isalnum((unsigned char) p[-1])) &&
			p[n + strspn(p + n, " \t\r\n\v\f")] == '=')
			return true;
	return false;
}

bool
zdu_conninfo_is_unsafe(const char *text, int len)
{
	char	   *conninfo = pnstrdup(text, len);
	char	   *userinfo = strstr(conninfo, "://");
	char	   *at = userinfo != NULL ? strchr(userinfo + 3, '@') : NULL;

	if (has_setting(conninfo, "password") || has_setting(conninfo, "passfile") || has_setting(conninfo, "sslpassword"))
		return true;
	if (at != NULL && memchr(userinfo + 3, ':', at - userinfo - 3) != NULL)
		return true;
	/* What a URI hides behind percent signs is not for us to find out. */
	if (userinfo != NULL && strchr(userinfo, '?') != NULL && strchr(strchr(userinfo, '?'), '%') != NULL)
		return true;
	return has_setting(conninfo, "service") &&
		(has_setting(conninfo, "host") || has_setting(conninfo, "hostaddr") || has_setting(conninfo, "port"));
}

static bool
any_name(const char *name, int len, void *arg)
{
	return true;
}

static void
check_value(const char *what, const char *name, const char *value, int len)
{
	if (!zdu_vars_each(value, len, any_name, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("variable \"%s\" of %s has a brace that is no variable", name, what),
				 errdetail("W1: a value may use other variables, such as {address}."),
				 errhint("SELECT cluster, vars FROM zdu.cluster")));
	for (int i = 0; i < len; i++)
		if (value[i] == '\0' || strchr(VALUE_CHARS, value[i]) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("variable \"%s\" of %s has a character that is not allowed", name, what),
					 errdetail("W1: position %d; letters, digits, space and . _ - : / @ + = , %% ~ ? & are.", i + 1),
					 errhint("Quote it in a program of the runbook directory instead of here.")));
	if (zdu_conninfo_is_unsafe(value, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("variable \"%s\" of %s holds a password, or a service with a host", name, what),
				 errdetail("W1: no password stands in a table, and a service says by itself where it is."),
				 errhint("Put it into pg_service.conf and .pgpass on the workers, and say \"service=NAME\".")));
}

static void
check_scalar(const char *what, const char *name, JsonbValue *v)
{
	if (v->type == jbvString)
		check_value(what, name, v->val.string.val, v->val.string.len);
	else if (v->type != jbvNumeric && v->type != jbvBool)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("variable \"%s\" of %s is neither text nor a number nor a list of them", name, what),
				 errdetail("W1: a variable stands for an argument."),
				 errhint("SELECT cluster, vars FROM zdu.cluster")));
}

void
zdu_vars_check(const char *what, Jsonb *vars)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(vars))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the variables of %s are not a JSON object", what),
				 errdetail("W1: each has a name."),
				 errhint("Give them as '{\"name\": \"value\"}'.")));
	it = JsonbIteratorInit(&vars->root);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			name = pnstrdup(v.val.string.val, v.val.string.len);
			if (name[0] == '\0' || strspn(name, NAME_CHARS) != strlen(name) || zdu_var_is_builtin(name, v.val.string.len))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("\"%s\" cannot be the name of a variable of %s", name, what),
						 errdetail("W1: a name has lower-case letters, digits and _, and is none of those that zdu gives itself."),
						 errhint("SELECT cluster, vars FROM zdu.cluster")));
		}
		else if (token == WJB_VALUE || token == WJB_ELEM)
			check_scalar(what, name, &v);
		else if (token == WJB_BEGIN_OBJECT && name != NULL)
		{
			v.type = jbvNull;
			check_scalar(what, name, &v);
		}
	}
}

static char *
scalar_text(JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return pstrdup(v->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

char *
zdu_var_value(Jsonb *vars, const char *name, int len, int index)
{
	JsonbValue *v = getKeyJsonValueFromContainer(&vars->root, name, len, NULL);

	if (v != NULL && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data))
		v = getIthJsonbValueFromContainer(v->val.binary.data, index);
	return v == NULL ? NULL : scalar_text(v);
}

typedef struct Substitution
{
	Jsonb	   *vars;
	int			index;
	const char *from;			/* not yet copied */
	StringInfoData result;
	char	   *error;
	int			longest;		/* list among the variables seen */
	int			depth;			/* of variables within variables */
} Substitution;

#define MAX_DEPTH 4

static bool
put_value(const char *name, int len, void *arg)
{
	Substitution *s = arg;
	char	   *value = zdu_var_value(s->vars, name, len, s->index);

	if (value == NULL)
	{
		s->error = psprintf("variable \"%.*s\" has no value", len, name);
		return false;
	}
	appendBinaryStringInfo(&s->result, s->from, (int) (name - 1 - s->from));
	s->from = name + len + 1;
	if (strchr(value, '{') != NULL)
	{
		/* A value may use other variables, but not itself. */
		Substitution inner = {.vars = s->vars, .index = s->index, .from = value, .depth = s->depth + 1};

		if (inner.depth > MAX_DEPTH)
		{
			s->error = psprintf("variable \"%.*s\" uses itself", len, name);
			return false;
		}
		initStringInfo(&inner.result);
		if (!zdu_vars_each(value, strlen(value), put_value, &inner))
		{
			s->error = inner.error;
			return false;
		}
		appendStringInfoString(&inner.result, inner.from);
		value = inner.result.data;
	}
	appendStringInfoString(&s->result, value);
	return true;
}

static bool
measure_list(const char *name, int len, void *arg)
{
	Substitution *s = arg;
	JsonbValue *v = getKeyJsonValueFromContainer(&s->vars->root, name, len, NULL);

	if (v != NULL && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data))
		s->longest = Max(s->longest, (int) JsonContainerSize(v->val.binary.data));
	else if (v != NULL && v->type == jbvString && s->depth < MAX_DEPTH)
	{
		s->depth++;
		(void) zdu_vars_each(v->val.string.val, v->val.string.len, measure_list, s);
		s->depth--;
	}
	return true;
}

/* Replaces the variables of one string in place; false: s->error says why. */
static bool
substitute(JsonbValue *v, Substitution *s)
{
	const char *end = v->val.string.val + v->val.string.len;

	s->from = v->val.string.val;
	initStringInfo(&s->result);
	if (!zdu_vars_each(v->val.string.val, v->val.string.len, put_value, s))
		return false;
	appendBinaryStringInfo(&s->result, s->from, (int) (end - s->from));
	v->val.string.val = s->result.data;
	v->val.string.len = s->result.len;
	return true;
}

Jsonb *
zdu_vars_resolve(Jsonb *document, Jsonb *vars, int index, char **error)
{
	Substitution s = {.vars = vars, .index = index};
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		is_sql = false;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		/* The text of a statement is left as it is: it takes no variables. */
		if (token == WJB_KEY)
			is_sql = v.val.string.len == 3 && strncmp(v.val.string.val, "sql", 3) == 0;
		if ((token == WJB_VALUE || token == WJB_ELEM) && v.type == jbvString && !is_sql && !substitute(&v, &s))
		{
			*error = s.error != NULL ? s.error : "a brace stands for itself";
			return NULL;
		}
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &v : NULL);
	}
	return JsonbValueToJsonb(result);
}

bool
zdu_vars_used(Jsonb *document)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
		if ((token == WJB_VALUE || token == WJB_ELEM) && v.type == jbvString &&
			(memchr(v.val.string.val, '{', v.val.string.len) != NULL || memchr(v.val.string.val, '}', v.val.string.len) != NULL))
			return true;
	return false;
}

int
zdu_vars_list_length(Jsonb *document, Jsonb *vars)
{
	Substitution s = {.vars = vars};
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
		if ((token == WJB_VALUE || token == WJB_ELEM) && v.type == jbvString)
			(void) zdu_vars_each(v.val.string.val, v.val.string.len, measure_list, &s);
	return s.longest;
}

Jsonb *
zdu_vars_set(Jsonb *vars, const char *name, const char *value)
{
	JsonbIterator *it = JsonbIteratorInit(&vars->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbIteratorToken token;
	JsonbValue	v;
	JsonbValue	key = {.type = jbvString, .val.string = {.val = unconstify(char *, name), .len = strlen(name)}};

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_END_OBJECT)
		{
			/* The last value of a key wins. */
			JsonbValue	text = {.type = jbvNull};

			if (value != NULL)
			{
				text.type = jbvString;
				text.val.string.val = unconstify(char *, value);
				text.val.string.len = strlen(value);
			}
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, &text);
		}
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &v : NULL);
	}
	return JsonbValueToJsonb(result);
}

void
zdu_vars_of_nodes(ZduNode *nodes, int n)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	ZduReader	r;

	for (int i = 0; i < n; i++)
		ids[i] = nodes[i].id;
	zdu_run(&vars_of_nodes, (ZduArg[]) {zdu_int8_array(ids, n)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduNode    *node = &nodes[zdu_read_int4(&r) - 1];

		node->vars = zdu_read_jsonb(&r);
	}
}

Jsonb *
zdu_vars_load(const ZduFacts *f, int64 node_id)
{
	ZduReader	r;

	if (node_id != 0)
		zdu_run(&node_vars, (ZduArg[]) {zdu_int8(node_id)});
	else
		zdu_run(&cluster_vars, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	return zdu_next_row(&r) ? zdu_read_jsonb(&r) : NULL;
}
