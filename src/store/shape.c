/*
 * shape.c
 *	  Phases of a runbook as they are for every node.
 *
 * Most of a step is the same for all the nodes that are taken together: what
 * the runbook says of times and programs, and, where it uses no variable, even
 * what a worker is told.
 */
#include "store/shape.h"

#include "lib/stringinfo.h"
#include "store/args.h"
#include "store/document.h"
#include "store/vars.h"

#define DEFAULT_TIMEOUT 300.0
#define CHECK_TIMEOUT 60.0

/* What a worker may be told in a step. */
typedef enum ShapePart
{
	PART_ACT,
	PART_LOOK,
	PART_FORCE,
	PARTS
} ShapePart;

typedef struct Shape
{
	JsonbContainer *phase;
	ZduPhase	which;
	ZduNewStep	step;			/* without what a node brings */
	ZduFrame	frame;			/* the same */
	Jsonb	   *spec[PARTS];	/* NULL: no such part */
	Jsonb	   *args[PARTS];	/* if they are the same for every node; NULL: not so */
} Shape;

static double
phase_timeout(const ZduFacts *f, ZduPhase phase)
{
	switch (phase)
	{
		case PHASE_CHECK:
			return CHECK_TIMEOUT;
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

/*
 * And, as if it were one, the protocol that the phase asks for: who does not
 * speak it is not granted the step (M6).
 */
static void
add_protocol(StringInfo programs, JsonbContainer *phase)
{
	int			needed = zdu_protocol_needed(phase);

	if (needed > 1)
		appendStringInfo(programs, "%sprotocol/%d", programs->len > 0 ? " " : "", needed);
}

static Shape *
make_shape(const ZduFacts *f, JsonbContainer *phase, ZduPhase which)
{
	Shape	   *shape = palloc0(sizeof(Shape));
	ZduNewStep *s = &shape->step;
	JsonbContainer *probe = zdu_get_object(phase, "probe");
	JsonbContainer *force = zdu_get_object(phase, "force");
	StringInfoData programs;

	shape->phase = phase;
	shape->which = which;
	s->phase = which;
	s->retries = zdu_get_number(phase, "retries", 0);
	s->retry_delay = zdu_get_duration(phase, "retry_delay", 1);
	s->hold_for = zdu_get_duration(phase, "for", 0);
	s->timeout = zdu_get_duration(phase, "timeout", phase_timeout(f, which));
	s->expect = zdu_get_duration(phase, "expect", -1);
	s->until = zdu_get_text(phase, "until");
	if (s->until == NULL)
		s->until = zdu_until_default(probe != NULL ? probe : phase);
	s->fail = zdu_get_text(phase, "fail");
	shape->frame = (ZduFrame) {
		.timeout = s->timeout,
		.every = zdu_get_duration(phase, "every", 1),
		.may_outlive = zdu_get_flag(phase, "may_outlive"),
		.granted = true,
		.max_block = which == PHASE_BEFORE || which == PHASE_AFTER ? f->max_block : 0
	};
	if (zdu_phase_acts(phase))
		shape->spec[PART_ACT] = zdu_args_spec(phase);
	shape->spec[PART_LOOK] = zdu_args_spec(probe != NULL ? probe : phase);
	if (force != NULL && strcmp(f->drain_on_timeout, "force") == 0)
		shape->spec[PART_FORCE] = zdu_args_spec(force);

	initStringInfo(&programs);
	add_program(&programs, phase);
	add_program(&programs, probe);
	add_program(&programs, force);
	add_protocol(&programs, phase);
	s->programs = programs.len > 0 ? programs.data : NULL;
	return shape;
}

static Shape *
shape_of(ZduShapes *shapes, const ZduFacts *f, JsonbContainer *phase, ZduPhase which)
{
	ListCell   *cell;
	Shape	   *shape;

	foreach(cell, shapes != NULL ? shapes->shapes : NIL)
	{
		shape = lfirst(cell);
		if (shape->phase == phase && shape->which == which)
			return shape;
	}
	shape = make_shape(f, phase, which);
	if (shapes != NULL)
		shapes->shapes = lappend(shapes->shapes, shape);
	return shape;
}

/* What a worker is told in one part of a step; NULL: nothing, or *error. */
static Jsonb *
part_args(Shape *shape, ShapePart part, const ZduFrame *frame, char **error)
{
	Jsonb	   *args;

	if (shape->spec[part] == NULL || shape->args[part] != NULL)
		return shape->args[part];
	args = zdu_args_make(shape->spec[part], frame, error);
	if (frame->keep == NULL && !zdu_vars_used(shape->spec[part]))
		shape->args[part] = args;
	return args;
}

ZduNewStep *
zdu_shape_step(ZduShapes *shapes, const ZduFacts *f, JsonbContainer *phase, ZduPhase which, int64 node_id,
			   bool back, Jsonb *vars, Jsonb *keep, char **error)
{
	Shape	   *shape = shape_of(shapes, f, phase, which);
	ZduNewStep *s = palloc(sizeof(ZduNewStep));
	ZduFrame	frame = shape->frame;

	*s = shape->step;
	s->node_id = node_id;
	s->back = back;
	s->vars = frame.vars = vars;
	frame.keep = keep;
	s->act = part_args(shape, PART_ACT, &frame, error);
	if (*error == NULL)
		s->look = part_args(shape, PART_LOOK, &frame, error);
	if (*error == NULL)
		s->force = part_args(shape, PART_FORCE, &frame, error);
	return *error == NULL ? s : NULL;
}
