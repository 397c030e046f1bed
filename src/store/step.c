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

#define MOVING_COLUMNS \
	"s.step_id, s.epoch, s.number, s.state, s.stage, s.attempt, s.attempts, s.forced, s.holds_since, s.deadline, s.not_before, s.act_ok, " \
	"left(s.evidence::text, 200) "

#define STEP_COLUMNS \
	"p.upgrade_id, s.node_id, p.node, p.phase[s.place], p.direction = 'back', s.place = cardinality(p.phase), " \
	"p.act[s.place] IS NOT NULL, p.force[s.place] IS NOT NULL, p.retry_delay[s.place], p.hold_for[s.place], p.vars->>'version', p.task[s.place], " MOVING_COLUMNS

#define FROM_STEP \
	"FROM zdu.step_state s JOIN zdu.step_plan p ON p.plan_id = s.plan_id "

static ZduQuery steps_named = {
	.text = "SELECT " STEP_COLUMNS ", s.worker = $3 AND s.incarnation = $4, p.until[s.place], p.fail[s.place], p.vars " FROM_STEP
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.number > 0 AND s.number = ANY ($2) ORDER BY s.number",
	.nargs = 4, .argtypes = {INT8OID, INT8ARRAYOID, TEXTOID, TEXTOID}
};

static ZduQuery steps_settled = {
	.text = "SELECT settled_number, epoch FROM zdu.step_state WHERE settled_number = ANY ($2) AND cluster_id = $1 ORDER BY settled_number",
	.nargs = 2, .argtypes = {INT8OID, INT8ARRAYOID}
};

static ZduQuery refresh_steps = {
	.text = "SELECT t.ord::integer, " MOVING_COLUMNS " FROM unnest($1) WITH ORDINALITY AS t(step_id, ord) "
	"JOIN zdu.step_state s ON s.step_id = t.step_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery timers_over = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.state = 'running' AND p.look[s.place] IS NULL AND s.stage <> 'end' "
	"AND s.holds_since + p.hold_for[s.place] <= $2",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_lost = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.state = 'running' AND p.look[s.place] IS NOT NULL AND ((s.deadline + $2 < $3 AND s.holds_since IS NULL) OR NOT EXISTS "
	"(SELECT FROM zdu.worker w WHERE w.cluster_id = s.cluster_id AND w.name = s.worker AND w.incarnation = s.incarnation "
	" AND w.listened + $2 >= $3))",
	.nargs = 3, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID}
};

static ZduQuery steps_unwound = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.stage = 'end' AND ((s.state = 'unknown' AND coalesce(s.not_before, 0) <= $2) "
	"OR (s.state = 'running' AND p.look[s.place] IS NULL))",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_of_node = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.node_id IS NOT DISTINCT FROM nullif($2, 0) "
	"AND NOT s.settled ORDER BY s.step_id",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery steps_failed = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP "WHERE s.cluster_id = $1 AND NOT s.settled AND s.state = 'failed' ORDER BY s.ended_at, s.step_id",
	.nargs = 1, .argtypes = {INT8OID}
};

#define STATES_OF_PLAN "s.step_id BETWEEN p.plan_id * 1000 AND p.plan_id * 1000 + 999 "

static ZduQuery steps_reached = {
	.text = "SELECT p.phase[s.place] FROM zdu.step_plan p JOIN zdu.step_state s ON " STATES_OF_PLAN
	"WHERE p.node_id = $1 AND p.upgrade_id = $2 AND s.started_at IS NOT NULL "
	"AND p.round = (SELECT max(o.round) FROM zdu.step_plan o WHERE o.node_id = $1 AND o.upgrade_id = $2) "
	"AND p.phase[s.place] IN ('isolate', 'drain', 'stop', 'upgrade', 'start', 'verify', 'integrate', 'soak') "
	"ORDER BY array_position('{isolate,drain,stop,upgrade,start,verify,integrate,soak}', p.phase[s.place]) DESC LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* A report that tells nothing new is not written. */
static ZduQuery store_steps = {
	.text =
	"UPDATE zdu.step_state s SET state = t.state, stage = t.stage, act_ok = CASE t.act_ok WHEN 2 THEN NULL ELSE t.act_ok = 1 END, "
	"  holds_since = nullif(t.holds_since, -1), not_before = nullif(t.not_before, -1), "
	"  evidence = coalesce(t.evidence, s.evidence), log = coalesce(t.log, s.log), forced = s.forced <> t.force, "
	"  ended_at = CASE WHEN t.state IN ('succeeded', 'failed', 'skipped', 'cancelled') THEN $10 END "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS t(step_id, state, stage, act_ok, holds_since, not_before, force, evidence, log) "
	"WHERE s.step_id = t.step_id AND (s.state <> t.state OR s.stage <> t.stage OR (s.act_ok IS DISTINCT FROM CASE t.act_ok WHEN 2 THEN NULL ELSE t.act_ok = 1 END) "
	"  OR s.holds_since IS DISTINCT FROM nullif(t.holds_since, -1) OR s.evidence IS DISTINCT FROM coalesce(t.evidence, s.evidence))",
	.nargs = 10,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, BOOLARRAYOID,
	JSONBARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

/* The first open step of a node; one that failed stands in the way of those behind it. */
#define NEXT_STEPS \
	"(SELECT DISTINCT ON (o.node_id) o.* FROM zdu.step_state o " \
	" WHERE o.cluster_id = $1 AND NOT o.settled ORDER BY o.node_id, o.step_id)"

#define GRANTABLE "x.state IN ('pending', 'unknown') AND x.stage <> 'end' AND (x.not_before IS NULL OR x.not_before <= $2) "

/* Nobody holds a timer: it takes no slot. */
static ZduQuery grant_steps = {
	.text =
	"WITH next AS (SELECT x.step_id, x.place, p.upgrade_id, p.node, p.phase[x.place] AS phase, p.look[x.place] AS look, p.timeout[x.place] AS timeout "
	"  FROM " NEXT_STEPS " x JOIN zdu.step_plan p ON p.plan_id = x.plan_id "
	"  WHERE " GRANTABLE
	"    AND ($6::text IS NULL OR p.node = $6) AND (p.programs[x.place] IS NULL OR string_to_array(p.programs[x.place], ' ') <@ $7)), "
	"chosen AS (SELECT * FROM next WHERE look IS NULL UNION ALL "
	"  (SELECT * FROM next WHERE look IS NOT NULL ORDER BY place DESC, step_id LIMIT $8)), "
	"granted AS (UPDATE zdu.step_state u SET state = 'running', stage = CASE WHEN c.look IS NULL THEN 'verify' ELSE 'look' END, "
	"  attempt = u.attempt + CASE WHEN u.state = 'pending' THEN 1 ELSE 0 END, "
	"  epoch = coalesce((SELECT max(i.epoch) FROM zdu.instance i), 0), number = nextval('zdu.token_seq'), "
	"  worker = CASE WHEN c.look IS NOT NULL THEN $3 END, incarnation = CASE WHEN c.look IS NOT NULL THEN $4 END, "
	"  deadline = $2 + c.timeout, not_before = NULL, act_ok = NULL, holds_since = CASE WHEN c.look IS NULL THEN $2 END, "
	"  started_at = coalesce(u.started_at, $5), ended_at = NULL "
	"  FROM chosen c WHERE u.step_id = c.step_id "
	"  RETURNING u.epoch, u.number, c.upgrade_id, c.node, c.phase, u.attempt, u.stage, c.look, c.timeout) "
	"SELECT epoch, number, upgrade_id, node, phase, attempt, stage, look, timeout FROM granted ORDER BY number",
	.nargs = 8,
	.argtypes = {INT8OID, FLOAT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTARRAYOID, INT4OID}
};

/* Verbs follow from stages. */
static ZduQuery steps_held = {
	.text =
	"SELECT s.epoch, s.number, p.upgrade_id, p.node, p.phase[s.place], s.attempt, s.stage, "
	"  CASE WHEN s.stage <> 'act' THEN p.look[s.place] WHEN s.forced THEN p.force[s.place] ELSE p.act[s.place] END, "
	"  s.deadline - (SELECT c.listened FROM zdu.cluster c WHERE c.cluster_id = $1) " FROM_STEP
	"WHERE s.cluster_id = $1 AND NOT s.settled AND s.state = 'running' AND s.worker = $2 AND s.incarnation = $3 AND s.number < $4 "
	"ORDER BY s.number",
	.nargs = 4, .argtypes = {INT8OID, TEXTOID, TEXTOID, INT8OID}
};

static ZduQuery steps_waiting = {
	.text = "SELECT 1 FROM " NEXT_STEPS " x WHERE " GRANTABLE "LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery unwind_steps = {
	.text =
	"UPDATE zdu.step_state s SET stage = CASE WHEN s.state IN ('running', 'unknown') THEN 'end' ELSE s.stage END, "
	"  state = CASE WHEN s.state IN ('pending', 'failed') THEN 'cancelled' ELSE s.state END, "
	"  ended_at = CASE WHEN s.state IN ('pending', 'failed') THEN $3 END "
	"FROM zdu.step_plan p WHERE s.cluster_id = $1 AND s.node_id IS NOT DISTINCT FROM nullif($2, 0) AND NOT s.settled "
	"AND p.plan_id = s.plan_id AND p.upgrade_id IS NOT NULL AND p.phase[s.place] NOT IN ('after', 'undo') RETURNING s.state",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static ZduQuery retry_steps = {
	.text =
	"UPDATE zdu.step_state s SET state = 'pending', stage = 'look', attempts = s.attempt + 1 + p.retries[s.place], not_before = NULL, "
	/* The forced attempt comes last again. */
	"  ended_at = NULL, forced = false "
	"FROM zdu.step_plan p WHERE s.cluster_id = $1 AND s.node_id IS NOT DISTINCT FROM nullif($2, 0) AND NOT s.settled AND s.state = 'failed' "
	"AND p.plan_id = s.plan_id",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery steps_to_reassert = {
	.text =
	"WITH due AS (SELECT n.node_id FROM zdu.node n WHERE n.cluster_id = $1 AND NOT n.attached AND NOT n.taken "
	"  AND NOT EXISTS (SELECT FROM zdu.step_state s WHERE s.cluster_id = $1 AND s.node_id = n.node_id AND NOT s.settled) "
	"  AND NOT EXISTS (SELECT FROM zdu.step_plan p JOIN zdu.step_state s ON " STATES_OF_PLAN
	"    WHERE p.node_id = n.node_id AND p.upgrade_id IS NULL AND s.ended_at > $2 - make_interval(secs => $3))), "
	"gone AS (DELETE FROM zdu.step_plan p USING due d WHERE p.node_id = d.node_id AND p.upgrade_id IS NULL) "
	"SELECT node_id FROM due ORDER BY node_id",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery steps_open = {
	.text =
	"SELECT 1 FROM zdu.step_state WHERE cluster_id = $1 AND node_id IS NOT DISTINCT FROM nullif($2, 0) "
	"AND NOT settled AND state <> 'failed'",
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
	s->last = zdu_read_bool(r);
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

void
zdu_steps_store(const ZduStepChange *changes, int n)
{
	int64	   *ids = palloc(sizeof(int64) * 2 * (n + 1));
	char	  **texts = palloc(sizeof(char *) * 3 * (n + 1));
	double	   *numbers = palloc(sizeof(double) * 2 * (n + 1));
	bool	   *force = palloc(sizeof(bool) * (n + 1));
	Jsonb	  **evidence = palloc(sizeof(Jsonb *) * (n + 1));

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		const ZduStageOutcome *o = &changes[i].outcome;

		ids[i] = changes[i].id;
		ids[n + i] = o->act_ok;
		texts[i] = unconstify(char *, zdu_state_name(ZDU_STEP, o->state));
		texts[n + i] = unconstify(char *, zdu_stage_name(o->stage));
		texts[2 * n + i] = unconstify(char *, changes[i].log);
		numbers[i] = o->holds_since < 0 ? -1 : o->holds_since;
		numbers[n + i] = o->not_before < 0 ? -1 : o->not_before;
		force[i] = o->force;
		evidence[i] = changes[i].evidence;
	}
	zdu_run(&store_steps, (ZduArg[]) {
		zdu_int8_array(ids, n), zdu_text_array(texts, n), zdu_text_array(texts + n, n), zdu_int8_array(ids + n, n),
		zdu_float8_array(numbers, n), zdu_float8_array(numbers + n, n), zdu_bool_array(force, n),
		zdu_jsonb_array(evidence, n), zdu_text_array(texts + 2 * n, n), zdu_time(zdu_now())
	});
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

bool
zdu_steps_unwind(const ZduFacts *f, int64 node_id)
{
	bool		runs = false;
	ZduReader	r;

	zdu_run(&unwind_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id), zdu_time(zdu_now())});
	r = zdu_reader();
	while (zdu_next_row(&r))
		if (strcmp(zdu_read_text(&r), "cancelled") != 0)
			runs = true;
	return runs;
}

int
zdu_steps_retry(const ZduFacts *f, int64 node_id)
{
	return (int) zdu_run(&retry_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)});
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
