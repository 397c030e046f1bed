/*
 * runbook.c
 *	  Runbooks, and the steps that are made out of them.
 */
#include "store/runbook.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "store/args.h"
#include "store/document.h"
#include "store/vars.h"
#include "utils/builtins.h"

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
	rb->shapes = palloc0(sizeof(ZduShapes));
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

bool
zdu_runbook_has(const ZduRunbook *rb, const char *key, const char *inner)
{
	JsonbContainer *object = zdu_get_object(&rb->document->root, key);

	return object != NULL && (inner == NULL || zdu_get(object, inner) != NULL);
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

/* A node's version and health as `observe` sees them, for a runbook without a verify of its own. */
static ZduNewStep *
make_verify_by_observe(const ZduRunbook *rb, const ZduFacts *f, int64 node_id, bool back, Jsonb *vars, char **error)
{
	JsonbContainer *observe = zdu_get_object(&rb->document->root, "observe");
	ZduNewStep *s = zdu_shape_step(rb->shapes, f, observe, PHASE_VERIFY, node_id, back, vars, NULL, error);

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
targets_to_keep(const ZduRunbook *rb, const ZduFacts *f, JsonbContainer *phases, Jsonb *vars, bool back, char **error)
{
	JsonbContainer *isolate = zdu_get_object(phases, "isolate");
	ZduNewStep *s;
	JsonbValue *targets;

	/* What somebody else sees to is not for the worker to assert. */
	if (zdu_get(isolate, "haproxy") == NULL || zdu_get(isolate, "state") == NULL || !zdu_phase_acts(isolate))
		return NULL;
	s = zdu_shape_step(rb->shapes, f, isolate, PHASE_ISOLATE, 0, back, vars, NULL, error);
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
	Jsonb	   *vars = zdu_vars_set(node->vars != NULL ? node->vars : zdu_vars_load(f, node->id), "version", version);
	ZduNewStep *verify = NULL;
	List	   *steps = NIL;
	Jsonb	   *keep;

	*error = NULL;
	keep = targets_to_keep(rb, f, phases, vars, back, error);
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
			s = zdu_shape_step(rb->shapes, f, phase, p, node->id, back, vars, is_out(p) ? keep : NULL, error);
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
	zdu_push_text(&state, "sql", sql);
	if (conninfo != NULL)
	{
		zdu_push_key(&state, "conninfo");
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
	ZduNewStep *s = undo == NULL ? NULL : zdu_shape_step(NULL, f, undo, PHASE_UNDO, 0, false, vars, NULL, error);
	ZduNewStep *done;

	if (s == NULL || zdu_get(undo, "until") != NULL || zdu_get(undo, "probe") != NULL)
		return s;
	if ((done = zdu_shape_step(NULL, f, task, PHASE_UNDO, 0, false, vars, NULL, error)) == NULL)
		return NULL;
	s->look = done->look;
	s->until = psprintf("!(%s)", done->until);
	if (done->programs != NULL)
		s->programs = s->programs == NULL ? done->programs : psprintf("%s %s", s->programs, done->programs);
	return s;
}

/*
 * Does a task of a list run in this phase?  One that changes the schema goes
 * where the policy says, whichever list it stands in (S1).
 */
static bool
runs_in(const ZduFacts *f, JsonbContainer *task, bool in_before, ZduPhase phase)
{
	bool		first = in_before;

	if (zdu_get_flag(task, "schema") && strcmp(f->schema_phase, "none") != 0)
		first = strcmp(f->schema_phase, "pre") == 0;
	/* What runs at the end prepared nothing. */
	if (phase == PHASE_UNDO)
		return first && in_before;
	return first == (phase == PHASE_BEFORE);
}

/* What people call a task: by its name, or if it has none and is not the only one of its list, by its place there. */
static const char *
name_of_task(JsonbContainer *task, int place, int ntasks)
{
	char	   *name = zdu_get_text(task, "name");

	if (name != NULL)
		return name;
	return ntasks > 1 ? psprintf("task %d", place) : NULL;
}

/* Adds the steps that one list of tasks has for a phase. */
static List *
add_tasks(List *steps, const ZduRunbook *rb, const ZduFacts *f, const char *list, ZduPhase phase, Jsonb *vars, char **error)
{
	JsonbValue *tasks = zdu_get(&rb->document->root, list);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;
	int			place = 0;

	if (tasks == NULL)
		return steps;
	it = JsonbIteratorInit(tasks->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		JsonbContainer *task;
		ZduNewStep *s;

		if (token != WJB_ELEM)
			continue;
		task = e.val.binary.data;
		place++;
		if (!runs_in(f, task, strcmp(list, "before") == 0, phase))
			continue;
		s = phase == PHASE_UNDO ? make_undo(f, task, vars, error) : zdu_shape_step(NULL, f, task, phase, 0, false, vars, NULL, error);
		if (*error != NULL)
			return NIL;
		if (s == NULL)
			continue;
		s->task = name_of_task(task, place, JsonContainerSize(tasks->val.binary.data));
		/* What was prepared is undone in reverse. */
		steps = phase == PHASE_UNDO ? lcons(s, steps) : lappend(steps, s);
	}
	return steps;
}

List *
zdu_runbook_cluster_steps(const ZduRunbook *rb, const ZduFacts *f, ZduPhase phase, char **error)
{
	Jsonb	   *vars = zdu_vars_load(f, 0);
	List	   *steps = NIL;

	*error = NULL;
	steps = add_tasks(steps, rb, f, "before", phase, vars, error);
	if (*error == NULL)
		steps = add_tasks(steps, rb, f, "after", phase, vars, error);
	return *error == NULL ? steps : NIL;
}

Jsonb *
zdu_runbook_observe(const ZduRunbook *rb, Jsonb *vars, int64 asked, char **error)
{
	JsonbContainer *observe = zdu_get_object(&rb->document->root, "observe");
	ZduFrame	frame = {.vars = vars, .every = rb->observe_every, .phase = "observe", .direction = "forward", .asked = asked};

	frame.timeout = zdu_get_duration(observe, "timeout", OBSERVE_TIMEOUT);
	return zdu_args_make(zdu_args_spec(observe), &frame, error);
}
