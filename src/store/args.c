/*
 * args.c
 *	  What a worker is told to look with or to do.
 */
#include "store/args.h"

#include <math.h>

#include "store/document.h"
#include "store/vars.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* What a driver's evidence must say where the runbook does not. */
typedef struct UntilRow
{
	const char *driver;
	const char *state;			/* of haproxy; NULL: any */
	const char *until;
} UntilRow;

static const UntilRow default_untils[] = {
	{"haproxy", "drain", "$.admin == \"drain\" || $.admin == \"maint\""},
	{"haproxy", "maint", "$.admin == \"maint\""},
	{"haproxy", "ready", "$.admin == \"ready\" && ($.status starts with \"UP\" || $.status == \"no check\")"},
	{"haproxy", NULL, "$.scur == 0 && $.qcur == 0"},
	{"http", NULL, "$.http_code == 200"},
	{"sql", NULL, "$.row_count > 0"},
	{"exec", NULL, "$.exit == 0"}
};

/* The keys that say what to look with or what to do. */
static const char *const spec_keys[] = {
	"exec", "args", "sessions", "http", "method", "headers", "body", "form", "haproxy", "server", "state",
	"sql", "conninfo", "params", "lock_timeout", "statement_timeout", "transaction"
};

void
zdu_push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	k = {.type = jbvString, .val.string = {.val = unconstify(char *, key), .len = strlen(key)}};

	pushJsonbValue(state, WJB_KEY, &k);
}

static void
push_number(JsonbParseState **state, const char *key, double value)
{
	JsonbValue	v = {.type = jbvNumeric};

	/* Whole numbers need not go through text. */
	v.val.numeric = fabs(value) < 9e15 && value == (double) (int64) value ? int64_to_numeric((int64) value) :
		DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
	zdu_push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static void
push_flag(JsonbParseState **state, const char *key, bool value)
{
	JsonbValue	v = {.type = jbvBool, .val.boolean = value};

	zdu_push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

void
zdu_push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	v = {.type = jbvString, .val.string = {.val = unconstify(char *, value), .len = strlen(value)}};

	zdu_push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static void
push_document(JsonbParseState **state, JsonbIteratorToken token, Jsonb *document)
{
	JsonbValue	v;

	JsonbToJsonbValue(document, &v);
	pushJsonbValue(state, token, &v);
}

Jsonb *
zdu_args_spec(JsonbContainer *object)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(spec_keys); i++)
	{
		JsonbValue *v = zdu_get(object, spec_keys[i]);

		if (v == NULL)
			continue;
		zdu_push_key(&state, spec_keys[i]);
		pushJsonbValue(&state, WJB_VALUE, v);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static const char *
driver_of(JsonbContainer *spec)
{
	for (int i = 0; i < lengthof(default_untils); i++)
		if (zdu_get(spec, default_untils[i].driver) != NULL)
			return default_untils[i].driver;
	return NULL;
}

const char *
zdu_until_default(JsonbContainer *spec)
{
	const char *driver = driver_of(spec);
	char	   *wanted = zdu_get_text(spec, "state");

	for (int i = 0; i < lengthof(default_untils); i++)
		if (driver != NULL && strcmp(default_untils[i].driver, driver) == 0 &&
			(default_untils[i].state == NULL || (wanted != NULL && strcmp(default_untils[i].state, wanted) == 0)))
			return default_untils[i].until;
	return "$.exit == 0";
}

bool
zdu_phase_acts(JsonbContainer *phase)
{
	char	   *method = zdu_get_text(phase, "method");

	if (zdu_get(phase, "only") != NULL)
		return false;
	return zdu_get(phase, "exec") != NULL || zdu_get(phase, "sql") != NULL || zdu_get(phase, "state") != NULL ||
		(method != NULL && strcmp(method, "GET") != 0);
}

/* What programs are told of variables; by the length of their names, as jsonb sorts them. */
static const struct
{
	const char *env;
	const char *var;
}			env_vars[] = {
	{"ZDU_NODE", "node"}, {"ZDU_TARGET", "target"}, {"ZDU_ADDRESS", "address"}, {"ZDU_CLUSTER", "cluster"},
	{"ZDU_VERSION", "version"}, {"ZDU_ORIGINAL", "original"}
};

static void
push_env_vars(JsonbParseState **state, Jsonb *vars, const char *phase, const char *direction)
{
	for (int i = 0; i < lengthof(env_vars); i++)
	{
		char	   *value = zdu_var_value(vars, env_vars[i].var, strlen(env_vars[i].var), 0);

		if (value != NULL)
			zdu_push_text(state, env_vars[i].env, value);
	}
	zdu_push_text(state, "ZDU_PHASE", phase);
	zdu_push_text(state, "ZDU_DIRECTION", direction);
}

/* Of a step it stands here only what the grant does not bring. */
static void
push_env(JsonbParseState **state, const ZduFrame *frame)
{
	if (frame->granted && frame->max_block <= 0)
		return;
	zdu_push_key(state, "env");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	if (!frame->granted)
		push_env_vars(state, frame->vars, frame->phase, frame->direction);
	if (frame->max_block > 0)
		zdu_push_text(state, "ZDU_MAX_BLOCK", psprintf("%.0fms", Max(frame->max_block * 1000, 1)));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
zdu_args_make(Jsonb *spec, const ZduFrame *frame, char **error)
{
	int			list = zdu_vars_list_length(spec, frame->vars);
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	zdu_push_key(&state, "targets");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < Max(list, 1); i++)
	{
		Jsonb	   *target = zdu_vars_resolve(spec, frame->vars, i, error);

		if (target == NULL)
			return NULL;
		push_document(&state, WJB_ELEM, target);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	push_flag(&state, "list", list > 0);
	push_number(&state, "every", frame->every);
	push_number(&state, "timeout", frame->timeout);
	push_flag(&state, "may_outlive", frame->may_outlive);
	if (frame->asked != 0)
		push_number(&state, "asked", (double) frame->asked);
	if (frame->size > 0)
		push_number(&state, "size", frame->size);
	if (frame->keep != NULL)
	{
		zdu_push_key(&state, "keep");
		push_document(&state, WJB_VALUE, frame->keep);
	}
	push_env(&state, frame);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Copies the members of an object. */
static void
push_members(JsonbParseState **state, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken what;
	JsonbValue	v;

	while ((what = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (what == WJB_KEY || what == WJB_VALUE)
			(void) pushJsonbValue(state, what, &v);
}

Jsonb *
zdu_args_grant(Jsonb *args, const ZduGrantee *to)
{
	JsonbParseState *state = NULL;
	JsonbContainer *env = zdu_get_object(&args->root, "env");

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_members(&state, &args->root);
	/* The last value of a key wins. */
	zdu_push_key(&state, "env");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_env_vars(&state, to->vars, to->phase, to->direction);
	zdu_push_text(&state, "ZDU_TOKEN", to->token);
	zdu_push_text(&state, "ZDU_ATTEMPT", psprintf("%d", to->attempt));
	if (env != NULL)
		push_members(&state, env);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
