/*
 * step.c
 *	  Steps as they are stored.
 */
#include "store/step.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "zdu.h"

static const char *const phase_names[ZDU_PHASES] = {
	"before", "check", "isolate", "drain", "stop", "upgrade", "start", "verify", "integrate", "soak", "after", "undo"
};

/* The step that a plan is at. */
#define STEP_ID "s.plan_id * 1000 + s.place"

#define MOVING_COLUMNS \
	STEP_ID ", s.epoch, s.number, s.state, s.stage, s.attempt, s.attempts, s.forced, s.cut, s.holds_since, s.deadline, s.not_before, s.act_ok, " \
	"left(s.evidence::text, 200) "

#define STEP_COLUMNS \
	"p.upgrade_id, s.node_id, p.node, p.phase[s.place], p.direction = 'back', p.next[s.place], p.retries[p.next[s.place]] + 1, " \
	"p.act[s.place] IS NOT NULL, p.force[s.place] IS NOT NULL, p.retry_delay[s.place], p.hold_for[s.place], p.vars->>'version', p.task[s.place], " MOVING_COLUMNS

#define FROM_STEP \
	"FROM zdu.flight s JOIN zdu.step_plan p ON p.plan_id = s.plan_id "

static ZduQuery steps_named = {
	.text = "SELECT " STEP_COLUMNS ", s.worker = $3 AND s.incarnation = $4, p.until[s.place], p.fail[s.place], p.vars, "
	"p.phase[p.next[s.place]], p.look[p.next[s.place]], p.timeout[p.next[s.place]], p.programs[p.next[s.place]] " FROM_STEP
	"WHERE s.cluster_id = $1 AND s.number > 0 AND s.number = ANY ($2) ORDER BY s.number",
	.nargs = 4, .argtypes = {INT8OID, INT8ARRAYOID, TEXTOID, TEXTOID}
};

static ZduQuery steps_settled = {
	.text = "SELECT s.number, s.epoch FROM zdu.step_past s JOIN zdu.step_plan p ON p.plan_id = s.step_id / 1000 "
	"WHERE s.number = ANY ($2) AND p.cluster_id = $1 ORDER BY s.number",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery refresh_steps = {
	.text = "SELECT t.ord::integer, " MOVING_COLUMNS " FROM unnest($1) WITH ORDINALITY AS t(step_id, ord) "
	"JOIN zdu.flight s ON s.plan_id = t.step_id / 1000 AND s.place = t.step_id % 1000",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery timers_over = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND p.look[s.place] IS NULL AND s.stage <> 'end' "
	"AND s.holds_since + p.hold_for[s.place] <= $2",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_lost = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND p.look[s.place] IS NOT NULL AND ((s.deadline + $2 < $3 AND s.holds_since IS NULL) OR NOT EXISTS "
	"(SELECT FROM zdu.worker w WHERE w.cluster_id = s.cluster_id AND w.name = s.worker AND w.incarnation = s.incarnation "
	" AND w.listened + $2 >= $3))",
	.nargs = 3, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID}
};

static ZduQuery steps_unwound = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.stage = 'end' AND ((s.state = 'unknown' AND coalesce(s.not_before, 0) <= $2) "
	"OR (s.state = 'running' AND p.look[s.place] IS NULL))",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_of_node = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.node_id IS NOT DISTINCT FROM nullif($2, 0) ORDER BY s.plan_id",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery steps_failed = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP "WHERE s.cluster_id = $1 AND s.state = 'failed' ORDER BY s.ended_at, s.plan_id",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery steps_reached = {
	.text = "SELECT s.phase FROM zdu.step s WHERE s.node_id = $1 AND s.upgrade_id = $2 AND s.started_at IS NOT NULL "
	"AND s.round = (SELECT max(o.round) FROM zdu.step_plan o WHERE o.node_id = $1 AND o.upgrade_id = $2) "
	"AND s.phase IN ('isolate', 'drain', 'stop', 'upgrade', 'start', 'verify', 'integrate', 'soak') "
	"ORDER BY array_position('{isolate,drain,stop,upgrade,start,verify,integrate,soak}', s.phase) DESC LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* Of the plans of a node, the first. */
#define NEXT_STEPS \
	"(SELECT DISTINCT ON (o.node_id) o.ctid AS at, o.plan_id, o.place, o.state, o.stage, o.not_before, o.barred " \
	" FROM zdu.flight o WHERE o.cluster_id = $1 ORDER BY o.node_id, o.plan_id)"

#define GRANTABLE \
	"x.state IN ('pending', 'unknown') AND x.stage <> 'end' AND (x.not_before IS NULL OR x.not_before <= $2) AND x.place IS DISTINCT FROM x.barred "

/* Nobody holds a timer: it takes no slot. */
static ZduQuery grant_steps = {
	.text =
	"WITH next AS (SELECT x.at, x.plan_id, x.place, p.upgrade_id, p.node, p.phase[x.place] AS phase, p.look[x.place] AS look, p.timeout[x.place] AS timeout, p.vars, p.direction "
	"  FROM " NEXT_STEPS " x JOIN zdu.step_plan p ON p.plan_id = x.plan_id "
	"  WHERE " GRANTABLE
	"    AND ($6::text IS NULL OR p.node = $6) AND (p.programs[x.place] IS NULL OR string_to_array(p.programs[x.place], ' ') <@ $7)), "
	"chosen AS (SELECT * FROM next WHERE look IS NULL UNION ALL "
	"  (SELECT * FROM next WHERE look IS NOT NULL ORDER BY place DESC, plan_id LIMIT $8)), "
	"granted AS (UPDATE zdu.flight u SET state = 'running', stage = CASE WHEN c.look IS NULL THEN 'verify' ELSE 'look' END, "
	"  attempt = u.attempt + CASE WHEN u.state = 'pending' THEN 1 ELSE 0 END, "
	"  epoch = coalesce((SELECT max(i.epoch) FROM zdu.instance i), 0), number = nextval('zdu.token_seq'), "
	"  worker = CASE WHEN c.look IS NOT NULL THEN $3 END, incarnation = CASE WHEN c.look IS NOT NULL THEN $4 END, "
	"  deadline = $2 + c.timeout, not_before = NULL, act_ok = NULL, holds_since = CASE WHEN c.look IS NULL THEN $2 END, "
	"  started_at = coalesce(u.started_at, $5), ended_at = NULL "
	"  FROM chosen c WHERE u.ctid = c.at "
	"  RETURNING u.epoch, u.number, c.upgrade_id, c.node, c.phase, u.attempt, u.stage, c.look, c.timeout, c.vars, c.direction) "
	"SELECT epoch, number, upgrade_id, node, phase, attempt, stage, look, timeout, vars, direction FROM granted ORDER BY number",
	.nargs = 8,
	.argtypes = {INT8OID, FLOAT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTARRAYOID, INT4OID}
};

/* Verbs follow from stages. */
static ZduQuery steps_held = {
	.text =
	"SELECT s.epoch, s.number, p.upgrade_id, p.node, p.phase[s.place], s.attempt, s.stage, "
	"  CASE WHEN s.stage <> 'act' THEN p.look[s.place] WHEN s.forced THEN p.force[s.place] ELSE p.act[s.place] END, "
	"  s.deadline - (SELECT c.listened FROM zdu.cluster c WHERE c.cluster_id = $1), p.vars, p.direction " FROM_STEP
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND s.worker = $2 AND s.incarnation = $3 AND s.number < $4 "
	"ORDER BY s.number",
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, TEXTOID, INT8OID}
};

static ZduQuery steps_waiting = {
	.text =
	"SELECT 1 FROM zdu.flight x WHERE x.cluster_id = $1 AND " GRANTABLE "AND NOT EXISTS (SELECT FROM zdu.flight o "
	"WHERE o.cluster_id = $1 AND o.node_id IS NOT DISTINCT FROM x.node_id AND o.plan_id < x.plan_id) LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_to_reassert = {
	.text =
	"WITH due AS (SELECT n.node_id FROM zdu.node n WHERE n.cluster_id = $1 AND NOT n.attached AND NOT n.taken "
	"  AND NOT EXISTS (SELECT FROM zdu.flight f WHERE f.cluster_id = $1 AND f.node_id = n.node_id) "
	"  AND NOT EXISTS (SELECT FROM zdu.step_plan p JOIN zdu.step_past s ON s.step_id BETWEEN p.plan_id * 1000 AND p.plan_id * 1000 + 999 "
	"    WHERE p.node_id = n.node_id AND p.upgrade_id IS NULL AND s.ended_at > $2 - make_interval(secs => $3))), "
	"gone AS (DELETE FROM zdu.step_plan p USING due d WHERE p.node_id = d.node_id AND p.upgrade_id IS NULL) "
	"SELECT node_id FROM due ORDER BY node_id",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

/* Behind one that failed others may still be to be done. */
static ZduQuery steps_open = {
	.text =
	"SELECT 1 FROM zdu.step s WHERE s.cluster_id = $1 AND s.node_id = $2 AND NOT s.settled AND s.state <> 'failed'",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

const char *
zdu_phase_name(ZduPhase phase)
{
	return phase_names[phase];
}

ZduPhase
zdu_phase_of(const char *name)
{
	int			i;

	for (i = 0; i < ZDU_PHASES; i++)
		if (strcmp(phase_names[i], name) == 0)
			break;
	return (ZduPhase) i;
}

static void
read_moving(ZduReader *r, ZduStep *s)
{
	bool		forced;

	s->id = zdu_read_int8(r);
	s->epoch = zdu_read_int4(r);
	s->number = zdu_read_int8(r);
	s->state = (ZduStepState) zdu_state_of(ZDU_STEP, zdu_read_text(r));
	s->view.stage = zdu_stage_of(zdu_read_text(r));
	s->view.attempt = zdu_read_int4(r);
	s->view.attempts = zdu_read_int4(r);
	forced = zdu_read_bool(r);
	if (zdu_read_bool(r))
		s->next = 0;
	s->view.has_act = forced ? s->has_force : s->has_act;
	s->view.may_force = (forced ? s->has_act : s->has_force) && s->view.attempt <= s->view.attempts;
	s->view.holds_since = zdu_read_float8(r, -1);
	s->view.deadline = zdu_read_float8(r, 0);
	s->not_before = zdu_read_float8(r, -1);
	s->view.act_ok = (ZduAnswer) zdu_read_tristate(r);
	s->evidence = zdu_read_text(r);
}

static void
read_step(ZduReader *r, ZduStep *s)
{
	s->upgrade_id = zdu_read_int8(r);
	s->node_id = zdu_read_int8(r);
	s->node = zdu_read_text(r);
	s->phase = zdu_phase_of(zdu_read_text(r));
	s->back = zdu_read_bool(r);
	s->next = zdu_read_int4(r);
	s->next_attempts = zdu_read_int4(r);
	s->has_act = zdu_read_bool(r);
	s->has_force = zdu_read_bool(r);
	s->view.retry_delay = zdu_read_float8(r, 1);
	s->view.hold_for = zdu_read_float8(r, 0);
	s->version = zdu_read_text(r);
	s->task = zdu_read_text(r);
	read_moving(r, s);
}

static ZduStep *
read_steps(uint64 rows, int *n)
{
	ZduReader	r = zdu_reader();
	ZduStep    *steps = palloc0(sizeof(ZduStep) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
		read_step(&r, &steps[*n]);
	return steps;
}

ZduStep *
zdu_steps_named(int64 cluster_id, const int64 *numbers, int nnumbers, const char *worker, const char *incarnation, int *n)
{
	uint64		rows = zdu_run(&steps_named, (ZduArg[]) {
		zdu_int8(cluster_id), zdu_int8_array(numbers, nnumbers), zdu_text(worker), zdu_text(incarnation)
	});
	ZduReader	r = zdu_reader();
	ZduStep    *steps = palloc0(sizeof(ZduStep) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		ZduStep    *s = &steps[*n];

		read_step(&r, s);
		s->mine = zdu_read_bool(&r);
		s->until = zdu_read_text(&r);
		s->fail = zdu_read_text(&r);
		s->vars = zdu_read_jsonb(&r);
		s->next_phase = zdu_read_text(&r);
		s->next_look = zdu_read_jsonb(&r);
		s->next_timeout = zdu_read_float8(&r, 0);
		s->next_programs = zdu_read_text(&r);
	}
	return steps;
}

ZduStep *
zdu_step_seek(ZduStep *steps, int n, int64 number)
{
	int			low = 0;
	int			high = n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (steps[mid].number == number)
			return &steps[mid];
		if (steps[mid].number < number)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

int64 *
zdu_steps_settled(int64 cluster_id, const int64 *numbers, int nnumbers, int64 **epochs, int *n)
{
	uint64		rows = zdu_run(&steps_settled, (ZduArg[]) {zdu_int8(cluster_id), zdu_int8_array(numbers, nnumbers)});
	ZduReader	r = zdu_reader();
	int64	   *settled = palloc(sizeof(int64) * (rows + 1));

	*epochs = palloc(sizeof(int64) * (rows + 1));
	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		settled[*n] = zdu_read_int8(&r);
		(*epochs)[*n] = zdu_read_int8(&r);
	}
	return settled;
}

void
zdu_steps_refresh(ZduStep *steps, int n)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	ZduReader	r;

	for (int i = 0; i < n; i++)
	{
		ids[i] = steps[i].id;
		steps[i].state = STEP_CANCELLED;
	}
	zdu_run(&refresh_steps, (ZduArg[]) {zdu_int8_array(ids, n)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		ZduStep    *s = &steps[zdu_read_int4(&r) - 1];

		read_moving(&r, s);
	}
}

ZduStep *
zdu_steps_timers_over(const ZduFacts *f, int *n)
{
	return read_steps(zdu_run(&timers_over, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_float8(f->listened)}), n);
}

ZduStep *
zdu_steps_lost(const ZduFacts *f, int *n)
{
	return read_steps(zdu_run(&steps_lost, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_float8(f->lease), zdu_float8(f->listened)}), n);
}

ZduStep *
zdu_steps_unwound(const ZduFacts *f, int *n)
{
	return read_steps(zdu_run(&steps_unwound, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_float8(f->listened)}), n);
}

ZduStep *
zdu_steps_of_node(const ZduFacts *f, int64 node_id, int *n)
{
	return read_steps(zdu_run(&steps_of_node, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)}), n);
}

ZduStep *
zdu_steps_failed(const ZduFacts *f, int *n)
{
	return read_steps(zdu_run(&steps_failed, (ZduArg[]) {zdu_int8(f->cluster_id)}), n);
}

ZduPhase
zdu_steps_reached(const ZduFacts *f, int64 node_id)
{
	ZduReader	r;

	zdu_run(&steps_reached, (ZduArg[]) {zdu_int8(node_id), zdu_int8(f->upgrade_id)});
	r = zdu_reader();
	return zdu_next_row(&r) ? zdu_phase_of(zdu_read_text(&r)) : ZDU_PHASES;
}

static ZduGrant *
read_grants(uint64 rows, int *n)
{
	ZduReader	r = zdu_reader();
	ZduGrant   *grants = palloc0(sizeof(ZduGrant) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		ZduGrant   *g = &grants[*n];

		g->epoch = zdu_read_int4(&r);
		g->number = zdu_read_int8(&r);
		g->upgrade_id = zdu_read_int8(&r);
		g->node = zdu_read_text(&r);
		g->phase = zdu_read_text(&r);
		g->attempt = zdu_read_int4(&r);
		g->stage = zdu_stage_of(zdu_read_text(&r));
		g->args = zdu_read_jsonb(&r);
		g->deadline = zdu_read_float8(&r, 0);
		g->vars = zdu_read_jsonb(&r);
		g->direction = zdu_read_text(&r);
	}
	return grants;
}

ZduGrant *
zdu_steps_grant(const ZduFacts *f, const char *worker, const char *incarnation,
				const char *node, ZduArg programs, int slots, int *n)
{
	return read_grants(zdu_run(&grant_steps, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_float8(f->listened), zdu_text(worker), zdu_text(incarnation),
		zdu_time(zdu_now()), zdu_text(node), programs, zdu_int4(slots)
	}), n);
}

ZduGrant *
zdu_steps_held(int64 cluster_id, const char *worker, const char *incarnation, int64 below, int *n)
{
	return read_grants(zdu_run(&steps_held, (ZduArg[]) {
		zdu_int8(cluster_id), zdu_text(worker), zdu_text(incarnation), zdu_int8(below)
	}), n);
}

bool
zdu_steps_waiting(const ZduFacts *f)
{
	return zdu_run(&steps_waiting, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_float8(f->listened)}) > 0;
}

int64 *
zdu_steps_to_reassert(const ZduFacts *f, double age, int *n)
{
	uint64		rows = zdu_run(&steps_to_reassert, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_time(zdu_now()), zdu_float8(age)});
	int64	   *ids = palloc(sizeof(int64) * (rows + 1));
	ZduReader	r = zdu_reader();

	for (*n = 0; zdu_next_row(&r); (*n)++)
		ids[*n] = zdu_read_int8(&r);
	return ids;
}

int
zdu_steps_open(const ZduFacts *f, int64 node_id)
{
	return (int) zdu_run(&steps_open, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)});
}
