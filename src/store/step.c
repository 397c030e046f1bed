/*
 * step.c
 *	  Steps as they are stored.
 */
#include "store/step.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "zdu.h"

static const char *const phase_names[ZDU_PHASES] = {
	"before", "isolate", "drain", "stop", "upgrade", "start", "verify", "integrate", "soak", "after", "undo"
};

#define STEP_COLUMNS \
	"s.step_id, s.number, s.upgrade_id, s.node_id, n.name, s.phase, s.direction = 'back', s.state, s.stage, s.attempt, s.attempts, " \
	"s.retry_delay, s.act IS NOT NULL, s.force IS NOT NULL AND s.attempt <= s.attempts, s.hold_for, s.holds_since, s.deadline, s.not_before, s.act_ok, " \
	"s.vars->>'version', left(s.evidence::text, 200), s.look IS NULL "

#define FROM_STEP "FROM zdu.step s LEFT JOIN zdu.node n ON n.node_id = s.node_id "

static ZduQuery steps_by_id = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP "WHERE s.step_id = ANY ($1) ORDER BY s.step_id",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static ZduQuery timers_over = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND s.look IS NULL AND s.stage <> 'end' AND s.holds_since + s.hold_for <= $2",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_lost = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND s.look IS NOT NULL AND ((s.deadline + $2 < $3 AND s.holds_since IS NULL) OR NOT EXISTS "
	"(SELECT FROM zdu.worker w WHERE w.cluster_id = s.cluster_id AND w.name = s.worker AND w.incarnation = s.incarnation "
	" AND w.listened + $2 >= $3))",
	.nargs = 3, .argtypes = {INT8OID, FLOAT8OID, FLOAT8OID}
};

static ZduQuery steps_unwound = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.stage = 'end' AND ((s.state = 'unknown' AND coalesce(s.not_before, 0) <= $2) "
	"OR (s.state = 'running' AND s.look IS NULL))",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery steps_of_node = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP
	"WHERE s.cluster_id = $1 AND s.node_id IS NOT DISTINCT FROM nullif($2, 0) "
	"AND s.state IN ('pending', 'running', 'unknown', 'failed') ORDER BY s.ord",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery steps_failed = {
	.text = "SELECT " STEP_COLUMNS FROM_STEP "WHERE s.cluster_id = $1 AND s.state = 'failed' ORDER BY s.ended_at, s.step_id",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery steps_reached = {
	.text = "SELECT s.phase FROM zdu.step s WHERE s.node_id = $1 AND s.upgrade_id = $2 AND s.started_at IS NOT NULL "
	"AND s.round = (SELECT max(o.round) FROM zdu.step o WHERE o.node_id = $1 AND o.upgrade_id = $2) "
	"AND s.phase IN ('isolate', 'drain', 'stop', 'upgrade', 'start', 'verify', 'integrate', 'soak') "
	"ORDER BY array_position('{isolate,drain,stop,upgrade,start,verify,integrate,soak}', s.phase) DESC LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery insert_steps = {
	.text =
	"INSERT INTO zdu.step (cluster_id, upgrade_id, node_id, round, ord, phase, direction, state, attempts, retries, retry_delay, act, look, force, "
	"  until, vars, programs, hold_for, timeout, expect) "
	"SELECT $1, nullif($2, 0), nullif(t.node_id, 0), "
	"  greatest(1, $18 + (SELECT coalesce(max(o.round), 0) FROM zdu.step o WHERE o.node_id = t.node_id AND o.upgrade_id = $2)), "
	"  t.ord + CASE WHEN t.node_id = 0 THEN (SELECT coalesce(max(o.ord), 0) FROM zdu.step o WHERE o.cluster_id = $1 AND o.node_id IS NULL) "
	"    ELSE (SELECT coalesce(max(o.ord), 0) FROM zdu.step o WHERE o.node_id = t.node_id) END, "
	"  t.phase, t.direction, CASE WHEN t.skip THEN 'skipped' ELSE 'pending' END, t.retries + 1, t.retries, t.retry_delay, t.act, t.look, t.force, "
	"  t.until, t.vars, string_to_array(t.programs, ' '), t.hold_for, t.timeout, nullif(t.expect, -1) "
	"FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) WITH ORDINALITY "
	"  AS t(node_id, phase, direction, skip, retries, retry_delay, act, look, force, until, vars, programs, hold_for, timeout, expect, ord)",
	.nargs = 18,
	.argtypes = {INT8OID, INT8OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID, INT8ARRAYOID, FLOAT8ARRAYOID,
		JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID,
	FLOAT8ARRAYOID, INT4OID}
};

/* A report that tells nothing new is not written. */
static ZduQuery store_steps = {
	.text =
	"UPDATE zdu.step s SET state = t.state, stage = t.stage, act_ok = CASE t.act_ok WHEN 2 THEN NULL ELSE t.act_ok = 1 END, "
	"  holds_since = nullif(t.holds_since, -1), not_before = nullif(t.not_before, -1), "
	"  evidence = coalesce(r.e->'evidence', s.evidence), log = coalesce(r.e->>'log', s.log), "
	"  act = CASE WHEN t.force THEN s.force ELSE s.act END, force = CASE WHEN t.force THEN s.act ELSE s.force END, "
	"  ended_at = CASE WHEN t.state IN ('succeeded', 'failed', 'skipped', 'cancelled') THEN $8 END "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $9) AS t(step_id, state, stage, act_ok, holds_since, not_before, report, force) "
	"LEFT JOIN jsonb_array_elements($10) WITH ORDINALITY AS r(e, ord) ON r.ord = t.report "
	"WHERE s.step_id = t.step_id AND (s.state <> t.state OR s.stage <> t.stage OR (s.act_ok IS DISTINCT FROM CASE t.act_ok WHEN 2 THEN NULL ELSE t.act_ok = 1 END) "
	"  OR s.holds_since IS DISTINCT FROM nullif(t.holds_since, -1) OR s.evidence IS DISTINCT FROM coalesce(r.e->'evidence', s.evidence))",
	.nargs = 10,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID,
	TIMESTAMPTZOID, BOOLARRAYOID, JSONBOID}
};

/* The first open step of a node; one that failed stands in the way of those behind it. */
#define NEXT_STEPS \
	"(SELECT DISTINCT ON (o.node_id) o.* FROM zdu.step o " \
	" WHERE o.cluster_id = $1 AND o.state IN ('pending', 'running', 'unknown', 'failed') ORDER BY o.node_id, o.ord)"

#define GRANTABLE "x.state IN ('pending', 'unknown') AND x.stage <> 'end' AND (x.not_before IS NULL OR x.not_before <= $2) "

static ZduQuery grant_steps = {
	.text =
	"WITH next AS (SELECT x.step_id, x.ord, x.look IS NULL AS timer FROM " NEXT_STEPS " x LEFT JOIN zdu.node g ON g.node_id = x.node_id "
	"  WHERE " GRANTABLE
	"    AND ($6::text IS NULL OR g.name = $6) AND (x.programs IS NULL OR x.programs <@ $7)), "
	/* Nobody holds a timer: it takes no slot. */
	"chosen AS (SELECT step_id FROM next WHERE timer UNION ALL "
	"  (SELECT step_id FROM next WHERE NOT timer ORDER BY ord DESC, step_id LIMIT $8)), "
	"granted AS (UPDATE zdu.step u SET state = 'running', stage = CASE WHEN u.look IS NULL THEN 'verify' ELSE 'look' END, "
	"  attempt = u.attempt + CASE WHEN u.state = 'pending' THEN 1 ELSE 0 END, epoch = coalesce((SELECT max(i.epoch) FROM zdu.instance i), 0), number = nextval('zdu.token_seq'), "
	"  worker = CASE WHEN u.look IS NOT NULL THEN $3 END, incarnation = CASE WHEN u.look IS NOT NULL THEN $4 END, "
	"  deadline = $2 + u.timeout, not_before = NULL, act_ok = NULL, holds_since = CASE WHEN u.look IS NULL THEN $2 END, "
	"  started_at = coalesce(u.started_at, $5), ended_at = NULL "
	"  FROM chosen c WHERE u.step_id = c.step_id RETURNING u.*) "
	"SELECT " STEP_COLUMNS "FROM granted s LEFT JOIN zdu.node n ON n.node_id = s.node_id ORDER BY s.number",
	.nargs = 8,
	.argtypes = {INT8OID, FLOAT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTARRAYOID, INT4OID}
};

static ZduQuery steps_waiting = {
	.text = "SELECT 1 FROM " NEXT_STEPS " x WHERE " GRANTABLE "LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, FLOAT8OID}
};

static ZduQuery unwind_steps = {
	.text =
	"UPDATE zdu.step SET stage = CASE WHEN state IN ('running', 'unknown') THEN 'end' ELSE stage END, "
	"  state = CASE WHEN state IN ('pending', 'failed') THEN 'cancelled' ELSE state END, "
	"  ended_at = CASE WHEN state IN ('pending', 'failed') THEN $3 END "
	"WHERE cluster_id = $1 AND node_id IS NOT DISTINCT FROM nullif($2, 0) AND state IN ('pending', 'running', 'unknown', 'failed') "
	"AND upgrade_id IS NOT NULL AND phase NOT IN ('after', 'undo') RETURNING state",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static ZduQuery retry_steps = {
	.text =
	"UPDATE zdu.step SET state = 'pending', stage = 'look', attempts = attempt + 1 + retries, not_before = NULL, ended_at = NULL, "
	/* The forced attempt had changed them over. */
	"  act = CASE WHEN attempt > attempts THEN coalesce(force, act) ELSE act END, "
	"  force = CASE WHEN attempt > attempts AND force IS NOT NULL THEN act ELSE force END "
	"WHERE cluster_id = $1 AND node_id IS NOT DISTINCT FROM nullif($2, 0) AND state = 'failed'",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery steps_to_reassert = {
	.text =
	"WITH due AS (SELECT n.node_id FROM zdu.node n WHERE n.cluster_id = $1 AND NOT n.attached AND NOT n.taken "
	"  AND NOT EXISTS (SELECT FROM zdu.step s WHERE s.node_id = n.node_id AND (s.state IN ('pending', 'running', 'unknown', 'failed') "
	"    OR (s.upgrade_id IS NULL AND s.ended_at > $2 - make_interval(secs => $3))))), "
	"gone AS (DELETE FROM zdu.step s USING due d WHERE s.node_id = d.node_id AND s.upgrade_id IS NULL) "
	"SELECT node_id FROM due ORDER BY node_id",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID}
};

static ZduQuery steps_open = {
	.text =
	"SELECT 1 FROM zdu.step WHERE cluster_id = $1 AND node_id IS NOT DISTINCT FROM nullif($2, 0) "
	"AND state IN ('pending', 'running', 'unknown')",
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

static ZduStep *
read_steps(uint64 rows, int *n)
{
	ZduReader	r = zdu_reader();
	ZduStep    *steps = palloc0(sizeof(ZduStep) * (rows + 1));

	for (*n = 0; zdu_next_row(&r); (*n)++)
	{
		ZduStep    *s = &steps[*n];

		s->id = zdu_read_int8(&r);
		s->number = zdu_read_int8(&r);
		s->upgrade_id = zdu_read_int8(&r);
		s->node_id = zdu_read_int8(&r);
		s->node = zdu_read_text(&r);
		s->phase = zdu_phase_of(zdu_read_text(&r));
		s->back = zdu_read_bool(&r);
		s->state = (ZduStepState) zdu_state_of(ZDU_STEP, zdu_read_text(&r));
		s->view.stage = zdu_stage_of(zdu_read_text(&r));
		s->view.attempt = zdu_read_int4(&r);
		s->view.attempts = zdu_read_int4(&r);
		s->view.retry_delay = zdu_read_float8(&r, 1);
		s->view.has_act = zdu_read_bool(&r);
		s->view.may_force = zdu_read_bool(&r);
		s->view.hold_for = zdu_read_float8(&r, 0);
		s->view.holds_since = zdu_read_float8(&r, -1);
		s->view.deadline = zdu_read_float8(&r, 0);
		s->not_before = zdu_read_float8(&r, -1);
		s->view.act_ok = (ZduAnswer) zdu_read_tristate(&r);
		s->version = zdu_read_text(&r);
		s->evidence = zdu_read_text(&r);
		s->timer = zdu_read_bool(&r);
	}
	return steps;
}

ZduStep *
zdu_steps_by_id(const int64 *ids, int nids, int *n)
{
	return read_steps(zdu_run(&steps_by_id, (ZduArg[]) {zdu_int8_array(ids, nids)}), n);
}

ZduStep *
zdu_step_seek(ZduStep *steps, int n, int64 id)
{
	int			low = 0;
	int			high = n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (steps[mid].id == id)
			return &steps[mid];
		if (steps[mid].id < id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
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
zdu_steps_insert(const ZduFacts *f, int64 upgrade_id, const List *steps, bool new_round)
{
	int			n = list_length(steps);
	int64	   *ids = palloc(sizeof(int64) * 2 * (n + 1));
	char	  **texts = palloc(sizeof(char *) * 4 * (n + 1));
	double	   *numbers = palloc(sizeof(double) * 4 * (n + 1));
	Jsonb	  **documents = palloc(sizeof(Jsonb *) * 4 * (n + 1));
	bool	   *skip = palloc(sizeof(bool) * (n + 1));

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		const ZduNewStep *s = list_nth(steps, i);

		ids[i] = s->node_id;
		ids[n + i] = s->retries;
		texts[i] = unconstify(char *, zdu_phase_name(s->phase));
		texts[n + i] = s->back ? "back" : "forward";
		texts[2 * n + i] = unconstify(char *, s->until);
		texts[3 * n + i] = unconstify(char *, s->programs);
		numbers[i] = s->retry_delay;
		numbers[n + i] = s->hold_for;
		numbers[2 * n + i] = s->timeout;
		numbers[3 * n + i] = s->expect < 0 ? -1 : s->expect;
		documents[i] = s->act;
		documents[n + i] = s->look;
		documents[2 * n + i] = s->force;
		documents[3 * n + i] = s->vars;
		skip[i] = s->skip;
	}
	zdu_run(&insert_steps, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_int8(upgrade_id), zdu_int8_array(ids, n), zdu_text_array(texts, n),
		zdu_text_array(texts + n, n), zdu_bool_array(skip, n), zdu_int8_array(ids + n, n), zdu_float8_array(numbers, n),
		zdu_jsonb_array(documents, n), zdu_jsonb_array(documents + n, n), zdu_jsonb_array(documents + 2 * n, n),
		zdu_text_array(texts + 2 * n, n), zdu_jsonb_array(documents + 3 * n, n), zdu_text_array(texts + 3 * n, n),
		zdu_float8_array(numbers + n, n), zdu_float8_array(numbers + 2 * n, n), zdu_float8_array(numbers + 3 * n, n),
		zdu_int4(new_round ? 1 : 0)
	});
}

void
zdu_steps_store(const ZduFacts *f, const ZduStep *steps, const ZduStageOutcome *outcomes, const int *ords, int n, Jsonb *reports)
{
	int64	   *ids = palloc(sizeof(int64) * 3 * (n + 1));
	char	  **texts = palloc(sizeof(char *) * 2 * (n + 1));
	double	   *numbers = palloc(sizeof(double) * 2 * (n + 1));
	bool	   *force = palloc(sizeof(bool) * (n + 1));

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ids[i] = steps[i].id;
		ids[n + i] = outcomes[i].act_ok;
		ids[2 * n + i] = ords[i];
		texts[i] = unconstify(char *, zdu_state_name(ZDU_STEP, outcomes[i].state));
		texts[n + i] = unconstify(char *, zdu_stage_name(outcomes[i].stage));
		numbers[i] = outcomes[i].holds_since < 0 ? -1 : outcomes[i].holds_since;
		numbers[n + i] = outcomes[i].not_before < 0 ? -1 : outcomes[i].not_before;
		force[i] = outcomes[i].force;
	}
	zdu_run(&store_steps, (ZduArg[]) {
		zdu_int8_array(ids, n), zdu_text_array(texts, n), zdu_text_array(texts + n, n), zdu_int8_array(ids + n, n),
		zdu_float8_array(numbers, n), zdu_float8_array(numbers + n, n), zdu_int8_array(ids + 2 * n, n),
		zdu_time(zdu_now()), zdu_bool_array(force, n), zdu_jsonb(reports)
	});
}

ZduStep *
zdu_steps_grant(const ZduFacts *f, const char *worker, const char *incarnation,
				const char *node, ZduArg programs, int slots, int *n)
{
	return read_steps(zdu_run(&grant_steps, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_float8(f->listened), zdu_text(worker), zdu_text(incarnation),
		zdu_time(zdu_now()), zdu_text(node), programs, zdu_int4(slots)
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
