/*
 * runbook.c
 *	  Runbooks, and the steps that are made out of them.
 */
#include "store/runbook.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "store/document.h"
#include "store/vars.h"
#include "store/watch.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define DEFAULT_TIMEOUT 300.0
#define OBSERVE_TIMEOUT 5.0

static ZduQuery pinned_runbook = {
	.text = "SELECT r.name, r.revision, r.shipped, r.document FROM zdu.upgrade u "
	"JOIN zdu.runbook r ON r.name = u.runbook AND r.revision = u.revision AND r.shipped = u.runbook_shipped "
	"WHERE u.upgrade_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery newest_runbook = {
	.text = "SELECT name, revision, shipped, document FROM zdu.runbook WHERE name = $1 ORDER BY shipped, revision DESC LIMIT 1",
	.nargs = 1, .argtypes = {TEXTOID}
};

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
	{"haproxy", NULL, "$.scur == 0"},
	{"http", NULL, "$.http_code == 200"},
	{"sql", NULL, "$.row_count > 0"},
	{"exec", NULL, "$.exit == 0"}
};

/* The keys that say what to look with or what to do. */
static const char *const spec_keys[] = {
	"exec", "args", "http", "method", "headers", "body", "form", "haproxy", "server", "state",
	"sql", "conninfo", "params", "lock_timeout", "statement_timeout", "transaction"
};

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	k = {.type = jbvString, .val.string = {.val = unconstify(char *, key), .len = strlen(key)}};

	pushJsonbValue(state, WJB_KEY, &k);
}

static void
push_number(JsonbParseState **state, const char *key, double value)
{
	JsonbValue	v = {.type = jbvNumeric};

	v.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
	push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static void
push_flag(JsonbParseState **state, const char *key, bool value)
{
	JsonbValue	v = {.type = jbvBool, .val.boolean = value};

	push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static void
push_text(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue	v = {.type = jbvString, .val.string = {.val = unconstify(char *, value), .len = strlen(value)}};

	push_key(state, key);
	pushJsonbValue(state, WJB_VALUE, &v);
}

static void
push_document(JsonbParseState **state, JsonbIteratorToken token, Jsonb *document)
{
	JsonbValue	v;

	JsonbToJsonbValue(document, &v);
	pushJsonbValue(state, token, &v);
}

/* Returns the part of an object that a driver understands. */
static Jsonb *
spec_of(JsonbContainer *object)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(spec_keys); i++)
	{
		JsonbValue *v = zdu_get(object, spec_keys[i]);

		if (v == NULL)
			continue;
		push_key(&state, spec_keys[i]);
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

static const char *
default_until(JsonbContainer *spec)
{
	const char *driver = driver_of(spec);
	char	   *wanted = zdu_get_text(spec, "state");

	for (int i = 0; i < lengthof(default_untils); i++)
		if (driver != NULL && strcmp(default_untils[i].driver, driver) == 0 &&
			(default_untils[i].state == NULL || (wanted != NULL && strcmp(default_untils[i].state, wanted) == 0)))
			return default_untils[i].until;
	return "$.exit == 0";
}

/* Does the phase change anything, or only wait? */
static bool
phase_acts(JsonbContainer *phase)
{
	char	   *method = zdu_get_text(phase, "method");

	if (zdu_get(phase, "only") != NULL)
		return false;
	return zdu_get(phase, "exec") != NULL || zdu_get(phase, "sql") != NULL || zdu_get(phase, "state") != NULL ||
		(method != NULL && strcmp(method, "GET") != 0);
}

/* What is common to all that one step, observation or guard asks of a worker. */
typedef struct Frame
{
	Jsonb	   *vars;
	double		timeout;
	double		every;
	bool		may_outlive;
	const char *phase;
	const char *direction;
	Jsonb	   *keep;			/* targets that must stay as isolate left them; NULL: none */
} Frame;

static void
push_env(JsonbParseState **state, const Frame *frame)
{
	static const struct
	{
		const char *env;
		const char *var;
	}			names[] = {
		{"ZDU_CLUSTER", "cluster"}, {"ZDU_NODE", "node"}, {"ZDU_ADDRESS", "address"}, {"ZDU_VERSION", "version"},
		{"ZDU_ORIGINAL", "original"}, {"ZDU_TARGET", "target"}
	};

	push_key(state, "env");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(names); i++)
	{
		char	   *value = zdu_var_value(frame->vars, names[i].var, strlen(names[i].var), 0);

		if (value != NULL)
			push_text(state, names[i].env, value);
	}
	push_text(state, "ZDU_PHASE", frame->phase);
	push_text(state, "ZDU_DIRECTION", frame->direction);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Returns the args of a verb: the spec once for each element of a list. NULL: *error. */
static Jsonb *
make_args(JsonbContainer *object, const Frame *frame, char **error)
{
	Jsonb	   *spec = spec_of(object);
	int			list = zdu_vars_list_length(spec, frame->vars);
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "targets");
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
	if (frame->keep != NULL)
	{
		push_key(&state, "keep");
		push_document(&state, WJB_VALUE, frame->keep);
	}
	push_env(&state, frame);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static ZduRunbook *
read_runbook(void)
{
	ZduReader	r = zdu_reader();
	ZduRunbook *rb;
	JsonbContainer *observe;

	if (!zdu_next_row(&r))
		return NULL;
	rb = palloc0(sizeof(ZduRunbook));
	rb->name = zdu_read_text(&r);
	rb->revision = zdu_read_int4(&r);
	rb->shipped = zdu_read_bool(&r);
	rb->document = zdu_read_jsonb(&r);
	observe = zdu_get_object(&rb->document->root, "observe");
	if (observe != NULL)
	{
		rb->version_path = zdu_get_text(observe, "version");
		rb->active_path = zdu_get_text(observe, "active");
		rb->observe_program = zdu_get_text(observe, "exec");
		rb->observe_every = zdu_get_duration(observe, "every", 10);
	}
	return rb;
}

ZduRunbook *
zdu_runbook_newest(const char *name)
{
	zdu_run(&newest_runbook, (ZduArg[]) {zdu_text(name)});
	return read_runbook();
}

ZduRunbook *
zdu_runbook_load(const ZduFacts *f)
{
	if (f->upgrade_id != 0 && f->driven)
	{
		zdu_run(&pinned_runbook, (ZduArg[]) {zdu_int8(f->upgrade_id)});
		return read_runbook();
	}
	return f->runbook == NULL ? NULL : zdu_runbook_newest(f->runbook);
}

const char *
zdu_runbook_missing(const ZduRunbook *rb, Jsonb *vars)
{
	JsonbValue *requires = zdu_get(&rb->document->root, "requires");
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	if (requires == NULL)
		return NULL;
	it = JsonbIteratorInit(requires->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
		if (token == WJB_ELEM && zdu_var_value(vars, e.val.string.val, e.val.string.len, 0) == NULL)
			return pnstrdup(e.val.string.val, e.val.string.len);
	return NULL;
}

static double
phase_timeout(const ZduFacts *f, ZduPhase phase)
{
	switch (phase)
	{
		case PHASE_DRAIN:
			return f->drain_timeout;
		case PHASE_STOP:
			return f->stop_timeout;
		case PHASE_START:
		case PHASE_VERIFY:
			return f->start_timeout;
		default:
			return DEFAULT_TIMEOUT;
	}
}

/* Names the programs of a spec, separated by spaces. */
static void
add_program(StringInfo programs, JsonbContainer *spec)
{
	char	   *program = zdu_get_text(spec, "exec");

	if (program != NULL)
		appendStringInfo(programs, "%s%s", programs->len > 0 ? " " : "", program);
}

/* Makes a step out of a phase of the runbook; NULL: *error. */
static ZduNewStep *
make_step(const ZduFacts *f, JsonbContainer *phase, ZduPhase which, int64 node_id, bool back, Jsonb *vars, Jsonb *keep, char **error)
{
	ZduNewStep *s = palloc0(sizeof(ZduNewStep));
	JsonbContainer *probe = zdu_get_object(phase, "probe");
	JsonbContainer *force = zdu_get_object(phase, "force");
	StringInfoData programs;
	Frame		frame = {
		.vars = vars,
		.timeout = zdu_get_duration(phase, "timeout", phase_timeout(f, which)),
		.every = zdu_get_duration(phase, "every", 1),
		.may_outlive = zdu_get_flag(phase, "may_outlive"),
		.phase = zdu_phase_name(which),
		.direction = back ? "back" : "forward",
		.keep = keep
	};

	s->node_id = node_id;
	s->phase = which;
	s->back = back;
	s->retries = zdu_get_number(phase, "retries", 0);
	s->retry_delay = zdu_get_duration(phase, "retry_delay", 1);
	s->hold_for = zdu_get_duration(phase, "for", 0);
	s->timeout = frame.timeout;
	s->expect = zdu_get_duration(phase, "expect", -1);
	s->until = zdu_get_text(phase, "until");
	if (s->until == NULL)
		s->until = default_until(probe != NULL ? probe : phase);
	s->vars = vars;
	if (phase_acts(phase) && (s->act = make_args(phase, &frame, error)) == NULL)
		return NULL;
	if ((s->look = make_args(probe != NULL ? probe : phase, &frame, error)) == NULL)
		return NULL;
	if (force != NULL && strcmp(f->drain_on_timeout, "force") == 0 && (s->force = make_args(force, &frame, error)) == NULL)
		return NULL;

	initStringInfo(&programs);
	add_program(&programs, phase);
	add_program(&programs, probe);
	add_program(&programs, force);
	s->programs = programs.len > 0 ? programs.data : NULL;
	return s;
}

/* A node's version and health as `observe` sees them, for a runbook without a verify of its own. */
static ZduNewStep *
make_verify_by_observe(const ZduRunbook *rb, const ZduFacts *f, int64 node_id, bool back, Jsonb *vars, char **error)
{
	JsonbContainer *observe = zdu_get_object(&rb->document->root, "observe");
	ZduNewStep *s = make_step(f, observe, PHASE_VERIFY, node_id, back, vars, NULL, error);

	if (s != NULL)
	{
		s->act = NULL;
		s->until = psprintf("(%s) && (%s) == $version", rb->active_path, rb->version_path);
	}
	return s;
}

/* Soak: what verify looks at must hold for min_healthy_time; a timer where there is nothing to look at. */
static ZduNewStep *
make_soak(const ZduFacts *f, const ZduNewStep *verify, int64 node_id, bool back, Jsonb *vars)
{
	ZduNewStep *s = palloc0(sizeof(ZduNewStep));

	if (verify != NULL)
		*s = *verify;
	s->node_id = node_id;
	s->phase = PHASE_SOAK;
	s->back = back;
	s->vars = vars;
	s->act = NULL;
	s->force = NULL;
	s->expect = f->min_healthy_time;
	s->hold_for = f->min_healthy_time;
	s->timeout = f->min_healthy_time + f->start_timeout;
	return s;
}

/*
 * W2: a load balancer that is restarted forgets who is out.  From isolated to
 * started the worker sees to it that it stays so; not while verifying, so that
 * nothing of it is under way when the node is integrated.
 */
static bool
is_out(ZduPhase phase)
{
	return phase == PHASE_DRAIN || phase == PHASE_STOP || phase == PHASE_UPGRADE || phase == PHASE_START;
}

/* Returns the targets of isolate where HAProxy's runtime state is all there is; NULL: none, or *error. */
static Jsonb *
targets_to_keep(const ZduFacts *f, JsonbContainer *phases, Jsonb *vars, bool back, char **error)
{
	JsonbContainer *isolate = zdu_get_object(phases, "isolate");
	ZduNewStep *s;
	JsonbValue *targets;

	if (zdu_get(isolate, "haproxy") == NULL || zdu_get(isolate, "state") == NULL)
		return NULL;
	s = make_step(f, isolate, PHASE_ISOLATE, 0, back, vars, NULL, error);
	if (s == NULL)
		return NULL;
	targets = zdu_get(&s->act->root, "targets");
	return JsonbValueToJsonb(targets);
}

List *
zdu_runbook_steps(const ZduRunbook *rb, const ZduFacts *f, const ZduNode *node, ZduPhase from, ZduPhase to,
				  bool back, const char *version, char **error)
{
	JsonbContainer *phases = zdu_get_object(&rb->document->root, "node");
	Jsonb	   *vars = zdu_vars_set(zdu_vars_load(f, node->id), "version", version);
	ZduNewStep *verify = NULL;
	List	   *steps = NIL;
	Jsonb	   *keep;

	*error = NULL;
	keep = targets_to_keep(f, phases, vars, back, error);
	if (*error != NULL)
		return NIL;
	for (ZduPhase p = from; p <= to; p++)
	{
		JsonbContainer *phase = zdu_get_object(phases, zdu_phase_name(p));
		ZduNewStep *s = NULL;

		*error = NULL;
		if (p == PHASE_SOAK)
			s = f->min_healthy_time > 0 ? make_soak(f, verify, node->id, back, vars) : NULL;
		else if (phase != NULL)
			s = make_step(f, phase, p, node->id, back, vars, is_out(p) ? keep : NULL, error);
		else if (p == PHASE_VERIFY && rb->active_path != NULL)
			s = make_verify_by_observe(rb, f, node->id, back, vars, error);
		if (*error != NULL)
			return NIL;
		if (s == NULL)
			continue;
		if (p == PHASE_VERIFY)
			verify = s;
		/* A detached node is upgraded, but not integrated until it is attached. */
		if (p == PHASE_INTEGRATE && !node->attached)
			s->skip = true;
		steps = lappend(steps, s);
	}
	return steps;
}

/* An undo given as SQL text runs where its action ran. */
static JsonbContainer *
undo_of(JsonbContainer *task)
{
	JsonbContainer *object = zdu_get_object(task, "undo");
	char	   *sql = zdu_get_text(task, "undo");
	JsonbParseState *state = NULL;
	JsonbValue *conninfo = zdu_get(task, "conninfo");

	if (object != NULL || sql == NULL)
		return object;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "sql", sql);
	if (conninfo != NULL)
	{
		push_key(&state, "conninfo");
		pushJsonbValue(&state, WJB_VALUE, conninfo);
	}
	return &JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL))->root;
}

/*
 * The step that undoes a task; NULL without *error: nothing to undo.  Where
 * `undo` does not say how its effect is seen, undone is what the task's own
 * look no longer finds.
 */
static ZduNewStep *
make_undo(const ZduFacts *f, JsonbContainer *task, Jsonb *vars, char **error)
{
	JsonbContainer *undo = undo_of(task);
	ZduNewStep *s = undo == NULL ? NULL : make_step(f, undo, PHASE_UNDO, 0, false, vars, NULL, error);
	ZduNewStep *done;

	if (s == NULL || zdu_get(undo, "until") != NULL || zdu_get(undo, "probe") != NULL)
		return s;
	if ((done = make_step(f, task, PHASE_UNDO, 0, false, vars, NULL, error)) == NULL)
		return NULL;
	s->look = done->look;
	s->until = psprintf("!(%s)", done->until);
	if (done->programs != NULL)
		s->programs = s->programs == NULL ? done->programs : psprintf("%s %s", s->programs, done->programs);
	return s;
}

List *
zdu_runbook_cluster_steps(const ZduRunbook *rb, const ZduFacts *f, ZduPhase phase, char **error)
{
	JsonbValue *tasks = zdu_get(&rb->document->root, phase == PHASE_AFTER ? "after" : "before");
	Jsonb	   *vars = zdu_vars_load(f, 0);
	List	   *steps = NIL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;

	*error = NULL;
	if (tasks == NULL)
		return NIL;
	it = JsonbIteratorInit(tasks->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		JsonbContainer *task;
		ZduNewStep *s;

		if (token != WJB_ELEM)
			continue;
		task = e.val.binary.data;
		s = phase == PHASE_UNDO ? make_undo(f, task, vars, error) : make_step(f, task, phase, 0, false, vars, NULL, error);
		if (*error != NULL)
			return NIL;
		if (s == NULL)
			continue;
		/* What was prepared is undone in reverse. */
		steps = phase == PHASE_UNDO ? lcons(s, steps) : lappend(steps, s);
	}
	return steps;
}

void
zdu_runbook_guards(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id)
{
	JsonbValue *guards = zdu_get(&rb->document->root, "guard");
	Jsonb	   *vars = zdu_vars_load(f, 0);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;
	int			ord = 0;

	if (guards == NULL)
		return;
	it = JsonbIteratorInit(guards->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		JsonbContainer *guard;
		char	   *error = NULL;
		Frame		frame = {.vars = vars, .every = 1, .phase = "guard", .direction = "forward"};
		Jsonb	   *look;

		if (token != WJB_ELEM)
			continue;
		guard = e.val.binary.data;
		frame.timeout = zdu_get_duration(guard, "timeout", OBSERVE_TIMEOUT);
		look = make_args(guard, &frame, &error);
		if (look == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("guard %d of runbook \"%s\" cannot be used for cluster \"%s\"", ord, rb->name, f->name),
					 errdetail("W1: %s.", error),
					 errhint("SELECT zdu_set_cluster('%s', vars => '{...}')", f->name)));
		(void) zdu_watch_insert(f, &(ZduNewWatch) {
			.kind = "guard", .name = psprintf("guard %d", ord++), .upgrade_id = upgrade_id, .look = look,
			.until = zdu_get_text(guard, "until"), .every = zdu_get_duration(guard, "every", 1),
			.failures = Max(zdu_get_number(guard, "failures", 3), 1)
		});
	}
}

Jsonb *
zdu_runbook_observe(const ZduRunbook *rb, Jsonb *vars, char **error)
{
	JsonbContainer *observe = zdu_get_object(&rb->document->root, "observe");
	Frame		frame = {.vars = vars, .every = rb->observe_every, .phase = "observe", .direction = "forward"};

	frame.timeout = zdu_get_duration(observe, "timeout", OBSERVE_TIMEOUT);
	return make_args(observe, &frame, error);
}
