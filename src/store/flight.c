/*
 * flight.c
 *	  Where plans are: each at one step, and that is a row that moves.
 *
 * What is behind a step is written when its plan gets there, what is over
 * stands in zdu.step_past from then on.
 */
#include "store/step.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "zdu.h"

#define PAST_COLUMNS \
	"step_id, place, number, epoch, attempt, attempts, forced, worker, incarnation, started_at, state, stage, act_ok, evidence, log, ended_at"

/* The same of a row that has them. */
#define PAST(r) \
	r ".step_id, " r ".place, " r ".number, " r ".epoch, " r ".attempt, " r ".attempts, " r ".forced, " r ".worker, " r ".incarnation, " \
	r ".started_at, " r ".state, " r ".stage, " r ".act_ok, " r ".evidence, " r ".log, " r ".ended_at"

#define ACT_OK "CASE t.act_ok WHEN 2 THEN NULL ELSE t.act_ok = 1 END"

/* The same of where a plan is (f), and of what ended that (t). */
#define ENDED(f) \
	"t.step_id, " f ".place, nullif(" f ".number, 0) AS number, " f ".epoch, " f ".attempt, " f ".attempts, " f ".forced, " f ".worker, " f ".incarnation, " \
	f ".started_at, t.state, t.stage, " ACT_OK " AS act_ok, coalesce(t.evidence, " f ".evidence) AS evidence, coalesce(t.log, " f ".log) AS log, $7 AS ended_at"

/* One that was read before its plan moved on must not end the next. */
#define IS_AT(f) f ".plan_id = t.step_id / 1000 AND " f ".place = t.step_id % 1000 "

/*
 * A step of a plan is over, and the next one's turn comes: what was is read
 * beside what becomes of it.  With a timeout it is granted at once, unless it
 * is barred; returns what was.
 */
static ZduQuery move_on = {
	.text =
	"WITH moved AS (UPDATE zdu.flight f SET place = w.next, attempts = w.next_attempts, attempt = w.granted::integer, "
	"    state = CASE WHEN w.granted THEN 'running' ELSE 'pending' END, stage = 'look', forced = false, "
	"    epoch = CASE WHEN w.granted THEN coalesce((SELECT max(i.epoch) FROM zdu.instance i), 0) ELSE 0 END, "
	"    number = CASE WHEN w.granted THEN nextval('zdu.token_seq') ELSE 0 END, "
	"    worker = CASE WHEN w.granted THEN $11 END, incarnation = CASE WHEN w.granted THEN $12 END, "
	"    deadline = CASE WHEN w.granted THEN $13 + w.timeout END, started_at = CASE WHEN w.granted THEN $7 END, "
	"    not_before = NULL, holds_since = NULL, act_ok = NULL, ended_at = NULL, evidence = NULL, log = NULL "
	"  FROM (SELECT o.ctid AS at, t.ord, t.next, t.attempts AS next_attempts, t.timeout, "
	"      t.timeout IS NOT NULL AND o.barred IS DISTINCT FROM t.next AS granted, " ENDED("o") " "
	"    FROM unnest($1, $2, $3, $4, $5, $6, $8, $9, $10) WITH ORDINALITY "
	"      AS t(step_id, state, stage, act_ok, evidence, log, next, attempts, timeout, ord) "
	"    JOIN zdu.flight o ON " IS_AT("o") ") w "
	"  WHERE f.ctid = w.at RETURNING w.ord, w.granted, f.epoch AS now_epoch, f.number AS now_number, " PAST("w") "), "
	"past AS (INSERT INTO zdu.step_past (" PAST_COLUMNS ") SELECT " PAST("m") " FROM moved m) "
	"SELECT ord::integer, now_epoch, now_number FROM moved WHERE granted ORDER BY now_number",
	.nargs = 13,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID,
	INT8ARRAYOID, INT8ARRAYOID, FLOAT8ARRAYOID, TEXTOID, TEXTOID, FLOAT8OID}
};

/* So is the plan.  Returns the nodes for which there is no other. */
static ZduQuery be_over = {
	.text =
	"WITH over AS (DELETE FROM zdu.flight f USING unnest($1, $2, $3, $4, $5, $6) AS t(step_id, state, stage, act_ok, evidence, log) "
	"  WHERE " IS_AT("f") " RETURNING f.plan_id, f.cluster_id, f.node_id, " ENDED("f") "), "
	"past AS (INSERT INTO zdu.step_past (" PAST_COLUMNS ") SELECT " PAST("o") " FROM over o) "
	"SELECT o.node_id FROM over o WHERE o.node_id IS NOT NULL AND NOT EXISTS "
	"(SELECT FROM zdu.flight f WHERE f.cluster_id = o.cluster_id AND f.node_id = o.node_id AND f.plan_id <> o.plan_id)",
	.nargs = 7,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

/* A report that tells nothing new is not written. */
static ZduQuery keep_steps = {
	.text =
	"UPDATE zdu.flight f SET state = t.state, stage = t.stage, act_ok = " ACT_OK ", "
	"  holds_since = nullif(t.holds_since, -1), not_before = nullif(t.not_before, -1), "
	"  evidence = coalesce(t.evidence, f.evidence), log = coalesce(t.log, f.log), forced = f.forced <> t.force, "
	"  ended_at = CASE WHEN t.state = 'failed' THEN $10 END "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS t(step_id, state, stage, act_ok, force, holds_since, not_before, evidence, log) "
	"WHERE " IS_AT("f") "AND (f.state <> t.state OR f.stage <> t.stage OR f.act_ok IS DISTINCT FROM " ACT_OK " "
	"  OR f.holds_since IS DISTINCT FROM nullif(t.holds_since, -1) OR f.evidence IS DISTINCT FROM coalesce(t.evidence, f.evidence))",
	.nargs = 10,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, BOOLARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID,
	JSONBARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

static ZduQuery plans_to_unwind = {
	.text =
	"SELECT f.plan_id, f.state IN ('running', 'unknown') FROM zdu.flight f JOIN zdu.step_plan p ON p.plan_id = f.plan_id "
	"WHERE f.cluster_id = $1 AND f.node_id IS NOT DISTINCT FROM nullif($2, 0) AND p.upgrade_id IS NOT NULL AND p.phase[f.place] NOT IN ('after', 'undo')",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

static ZduQuery plans_of_wishes = {
	.text =
	"SELECT f.plan_id, f.state <> 'pending' FROM zdu.step_plan p JOIN zdu.flight f ON f.plan_id = p.plan_id "
	"WHERE p.node_id = $1 AND p.upgrade_id IS NULL",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery plans_of_cluster = {
	.text = "SELECT plan_id, false FROM zdu.flight WHERE cluster_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Cancels what is behind the steps that plans are at, and these too where the plan is over. */
static ZduQuery cut_plans = {
	.text =
	"WITH given AS MATERIALIZED (SELECT f.*, t.over FROM unnest($1, $2) AS t(plan_id, over) JOIN zdu.flight f ON f.plan_id = t.plan_id), "
	"past AS (INSERT INTO zdu.step_past (" PAST_COLUMNS ") "
	"  SELECT g.plan_id * 1000 + g.place, g.place, nullif(g.number, 0), g.epoch, g.attempt, g.attempts, g.forced, g.worker, g.incarnation, g.started_at, "
	"    'cancelled', g.stage, g.act_ok, g.evidence, g.log, $4 FROM given g WHERE g.over "
	"  UNION ALL "
	"  SELECT g.plan_id * 1000 + b.place, b.place, NULL, 0, 0, p.retries[b.place] + 1, false, NULL, NULL, NULL, 'cancelled', 'look', NULL, NULL, NULL, $4 "
	"  FROM given g JOIN zdu.step_plan p ON p.plan_id = g.plan_id CROSS JOIN LATERAL unnest(p.next[g.place:]) AS b(place) "
	"  WHERE NOT g.cut AND b.place > 0), "
	"gone AS (DELETE FROM zdu.flight f USING given g WHERE f.plan_id = g.plan_id AND g.over) "
	"UPDATE zdu.flight f SET cut = true, stage = CASE WHEN $3 THEN 'end' ELSE f.stage END FROM given g WHERE f.plan_id = g.plan_id AND NOT g.over",
	.nargs = 4, .argtypes = {INT8ARRAYOID, BOOLARRAYOID, BOOLOID, TIMESTAMPTZOID}
};

static ZduQuery retry_steps = {
	.text =
	"UPDATE zdu.flight f SET state = 'pending', stage = 'look', attempts = f.attempt + 1 + p.retries[f.place], not_before = NULL, "
	/* The forced attempt comes last again. */
	"  ended_at = NULL, forced = false "
	"FROM zdu.step_plan p WHERE f.cluster_id = $1 AND f.node_id IS NOT DISTINCT FROM nullif($2, 0) AND f.state = 'failed' "
	"AND p.plan_id = f.plan_id",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}
};

/* What becomes of a step's plan. */
typedef enum Way
{
	STAYS,						/* it is at that step */
	MOVES_ON,
	IS_OVER
} Way;

/* What is written of steps whose plans go the same way, column by column. */
typedef struct Columns
{
	int			n;
	int64	   *id;
	char	  **state;
	char	  **stage;
	int64	   *act_ok;
	bool	   *force;
	int64	   *next;
	int64	   *next_attempts;
	double	   *next_timeout;	/* NAN: it is not granted at once */
	const ZduStep **step;
	double	   *holds_since;
	double	   *not_before;
	Jsonb	  **evidence;
	char	  **log;
} Columns;

static Way
way_of(const ZduStepChange *change)
{
	ZduStepState state = change->outcome.state;

	if (state != STEP_SUCCEEDED && state != STEP_SKIPPED && state != STEP_CANCELLED)
		return STAYS;
	return change->step->next > 0 ? MOVES_ON : IS_OVER;
}

static Columns
columns_of(const ZduStepChange *changes, int n, Way way, bool onward)
{
	Columns		c = {
		.id = palloc(sizeof(int64) * n), .state = palloc(sizeof(char *) * n), .stage = palloc(sizeof(char *) * n),
		.act_ok = palloc(sizeof(int64) * n), .force = palloc(sizeof(bool) * n),
		.next = palloc(sizeof(int64) * n), .next_attempts = palloc(sizeof(int64) * n),
		.next_timeout = palloc(sizeof(double) * n), .step = palloc(sizeof(ZduStep *) * n),
		.holds_since = palloc(sizeof(double) * n), .not_before = palloc(sizeof(double) * n),
		.evidence = palloc(sizeof(Jsonb *) * n), .log = palloc(sizeof(char *) * n)
	};

	for (int i = 0; i < n; i++)
	{
		const ZduStepChange *change = &changes[i];
		const ZduStageOutcome *o = &change->outcome;

		if (way_of(change) != way)
			continue;
		c.id[c.n] = change->step->id;
		c.state[c.n] = unconstify(char *, zdu_state_name(ZDU_STEP, o->state));
		c.stage[c.n] = unconstify(char *, zdu_stage_name(o->stage));
		c.act_ok[c.n] = o->act_ok;
		c.force[c.n] = o->force;
		c.next[c.n] = change->step->next;
		c.next_attempts[c.n] = change->step->next_attempts;
		c.next_timeout[c.n] = onward ? change->step->next_timeout : NAN;
		c.step[c.n] = change->step;
		c.holds_since[c.n] = o->holds_since < 0 ? -1 : o->holds_since;
		c.not_before[c.n] = o->not_before < 0 ? -1 : o->not_before;
		c.evidence[c.n] = change->evidence;
		c.log[c.n] = unconstify(char *, change->log);
		c.n++;
	}
	return c;
}

static void
store_staying(Columns c)
{
	if (c.n > 0)
		zdu_run(&keep_steps, (ZduArg[]) {
			zdu_int8_array(c.id, c.n), zdu_text_array(c.state, c.n), zdu_text_array(c.stage, c.n),
			zdu_int8_array(c.act_ok, c.n), zdu_bool_array(c.force, c.n),
			zdu_float8_array(c.holds_since, c.n), zdu_float8_array(c.not_before, c.n),
			zdu_jsonb_array(c.evidence, c.n), zdu_text_array(c.log, c.n), zdu_time(zdu_now())
		});
}

/* The first arguments of both queries are the same. */
static uint64
store_ended(ZduQuery *query, Columns c, const ZduFacts *f, const ZduOnward *onward)
{
	return zdu_run(query, (ZduArg[]) {
		zdu_int8_array(c.id, c.n), zdu_text_array(c.state, c.n), zdu_text_array(c.stage, c.n),
		zdu_int8_array(c.act_ok, c.n), zdu_jsonb_array(c.evidence, c.n), zdu_text_array(c.log, c.n), zdu_time(zdu_now()),
		zdu_int8_array(c.next, c.n), zdu_int8_array(c.next_attempts, c.n), zdu_float8_array(c.next_timeout, c.n),
		zdu_text(onward != NULL ? onward->worker->name : NULL), zdu_text(onward != NULL ? onward->worker->incarnation : NULL),
		zdu_float8(f->listened)
	});
}

static void
read_onward(Columns c, ZduOnward *onward)
{
	ZduReader	r = zdu_reader();

	onward->grants = palloc0(sizeof(ZduGrant) * (c.n + 1));
	for (onward->n = 0; zdu_next_row(&r); onward->n++)
	{
		ZduGrant   *g = &onward->grants[onward->n];
		const ZduStep *s = c.step[zdu_read_int4(&r) - 1];

		*g = (ZduGrant) {
			.upgrade_id = s->upgrade_id, .node = s->node, .phase = s->next_phase, .attempt = 1, .stage = STAGE_LOOK,
			.args = s->next_look, .deadline = s->next_timeout, .vars = s->vars, .direction = s->back ? "back" : "forward"
		};
		g->epoch = zdu_read_int4(&r);
		g->number = zdu_read_int8(&r);
	}
}

/* May what follows on the step be granted to that worker?  Nobody holds a timer. */
static bool
may_go_on(const ZduStep *s, const ZduWorker *w)
{
	return s->next_look != NULL && (w->node == NULL || (s->node != NULL && strcmp(w->node, s->node) == 0)) &&
		zdu_worker_has_all(w, s->next_programs);
}

/*
 * One that fails changes what the others are to do, and where there is more to
 * be done than slots are free somebody has to choose: then it is zdu_steps_grant() that grants.
 */
static bool
goes_on(const ZduStepChange *changes, int n, const ZduOnward *onward)
{
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		if (changes[i].outcome.state == STEP_RUNNING)
			continue;
		if (changes[i].outcome.state != STEP_SUCCEEDED)
			return false;
		if (changes[i].step->next == 0)
			continue;
		if (!may_go_on(changes[i].step, onward->worker))
			return false;
		k++;
	}
	return k <= onward->slots;
}

int64 *
zdu_steps_store(const ZduFacts *f, const ZduStepChange *changes, int n, ZduOnward *onward, int *nfinished)
{
	bool		goes = onward != NULL && goes_on(changes, n, onward);
	Columns		moving = columns_of(changes, n, MOVES_ON, goes);
	Columns		over = columns_of(changes, n, IS_OVER, false);
	int64	   *finished = palloc(sizeof(int64) * (over.n + 1));
	ZduReader	r;

	*nfinished = 0;
	store_staying(columns_of(changes, n, STAYS, false));
	if (moving.n > 0)
		(void) store_ended(&move_on, moving, f, onward);
	if (moving.n > 0 && goes)
		read_onward(moving, onward);
	if (over.n == 0)
		return finished;
	(void) store_ended(&be_over, over, f, NULL);
	r = zdu_reader();
	while (zdu_next_row(&r))
		finished[(*nfinished)++] = zdu_read_int8(&r);
	return finished;
}

/* Cuts the plans that were found by the last query; where `end`, what has begun is to be ended.  Returns whether anything has. */
static bool
cut(uint64 rows, bool end)
{
	ZduReader	r = zdu_reader();
	int64	   *ids = palloc(sizeof(int64) * (rows + 1));
	bool	   *over = palloc(sizeof(bool) * (rows + 1));
	bool		any_begun = false;
	int			n = 0;

	while (zdu_next_row(&r))
	{
		bool		begun;

		ids[n] = zdu_read_int8(&r);
		begun = zdu_read_bool(&r);
		any_begun |= begun;
		over[n++] = !begun;
	}
	if (n > 0)
		zdu_run(&cut_plans, (ZduArg[]) {zdu_int8_array(ids, n), zdu_bool_array(over, n), zdu_bool(end), zdu_time(zdu_now())});
	return any_begun;
}

bool
zdu_steps_unwind(const ZduFacts *f, int64 node_id)
{
	return cut(zdu_run(&plans_to_unwind, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)}), true);
}

void
zdu_steps_forgo(int64 node_id)
{
	(void) cut(zdu_run(&plans_of_wishes, (ZduArg[]) {zdu_int8(node_id)}), false);
}

void
zdu_steps_end_all(const ZduFacts *f)
{
	(void) cut(zdu_run(&plans_of_cluster, (ZduArg[]) {zdu_int8(f->cluster_id)}), false);
}

int
zdu_steps_retry(const ZduFacts *f, int64 node_id)
{
	return (int) zdu_run(&retry_steps, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_int8(node_id)});
}
