/*
 * step_plan.c
 *	  Steps as they are made: one row says what all that are made together for
 *	  a node are to do.
 */
#include "store/step.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* As many as a plan has places; the steps of a node are never so many. */
#define PLACES 999

/* A plan is a part of each of the arrays, from `first` to `last`; it begins with the step `place`, 0: all are skipped. */
static ZduQuery insert_plans = {
	.text =
	"WITH given AS MATERIALIZED (SELECT nextval('zdu.id_seq') AS plan_id, g.* "
	"  FROM unnest($3, $4, $5, $6, $7, $21, $22) AS g(node_id, first, last, back, vars, place, attempts)), "
	"made AS (INSERT INTO zdu.step_plan (plan_id, cluster_id, upgrade_id, node_id, node, round, direction, vars, phase, next, act, look, force, until, fail, programs, "
	"    retries, retry_delay, hold_for, timeout, expect, task) "
	"  SELECT g.plan_id, $1, nullif($2, 0), nullif(g.node_id, 0), (SELECT n.name FROM zdu.node n WHERE n.node_id = g.node_id), "
	"    greatest(1, $20 + (SELECT coalesce(max(o.round), 0) FROM zdu.step_plan o WHERE o.node_id = g.node_id AND o.upgrade_id = $2)), "
	"    CASE WHEN g.back THEN 'back' ELSE 'forward' END, g.vars, $8[g.first:g.last], $19[g.first:g.last], $9[g.first:g.last], $10[g.first:g.last], $11[g.first:g.last], "
	"    $12[g.first:g.last], $24[g.first:g.last], $13[g.first:g.last], $14[g.first:g.last], $15[g.first:g.last], $16[g.first:g.last], $17[g.first:g.last], $18[g.first:g.last], $23[g.first:g.last] "
	"  FROM given g) "
	"INSERT INTO zdu.flight (plan_id, cluster_id, node_id, place, attempts) "
	"SELECT g.plan_id, $1, nullif(g.node_id, 0), g.place, g.attempts FROM given g WHERE g.place > 0",
	.nargs = 24,
	.argtypes = {INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, BOOLARRAYOID, JSONBARRAYOID,
		TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
	FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, INT4OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
};

/* Seldom any, and only of nodes: each in the newest plan of its node. */
static ZduQuery insert_skipped = {
	.text =
	"INSERT INTO zdu.step_past (step_id, place, state, attempts) "
	"SELECT p.plan_id * 1000 + g.place, g.place, 'skipped', p.retries[g.place] + 1 FROM unnest($1, $2) AS g(node_id, place) "
	"JOIN zdu.step_plan p ON p.plan_id = (SELECT max(o.plan_id) FROM zdu.step_plan o WHERE o.node_id = g.node_id)",
	.nargs = 2, .argtypes = {INT8ARRAYOID, INT8ARRAYOID}
};

static void
store_skipped(const List *steps, const int64 *places)
{
	int			n = list_length(steps);
	int64	   *nodes = palloc(sizeof(int64) * n);
	int64	   *skipped = palloc(sizeof(int64) * n);
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		const ZduNewStep *s = list_nth(steps, i);

		if (!s->skip)
			continue;
		nodes[k] = s->node_id;
		skipped[k++] = places[i];
	}
	if (k > 0)
		zdu_run(&insert_skipped, (ZduArg[]) {zdu_int8_array(nodes, k), zdu_int8_array(skipped, k)});
}

void
zdu_steps_insert(const ZduFacts *f, int64 upgrade_id, const List *steps, bool new_round)
{
	int			n = list_length(steps);
	int64	   *plan = palloc0(sizeof(int64) * 5 * (n + 1));
	int64	   *place = palloc(sizeof(int64) * (n + 1));
	int64	   *next = palloc0(sizeof(int64) * (n + 1));
	int64	   *retries = palloc(sizeof(int64) * (n + 1));
	bool	   *back = palloc(sizeof(bool) * (n + 1));
	char	  **texts = palloc(sizeof(char *) * 5 * (n + 1));
	bool		has_tasks = false;
	bool		has_fails = false;
	double	   *numbers = palloc(sizeof(double) * 4 * (n + 1));
	Jsonb	  **documents = palloc(sizeof(Jsonb *) * 4 * (n + 1));
	int			k = -1;
	int			last = 0;		/* of the plan that is not skipped, as index */

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		const ZduNewStep *s = list_nth(steps, i);
		const ZduNewStep *before = i > 0 ? list_nth(steps, i - 1) : NULL;

		if (before == NULL || before->node_id != s->node_id || before->back != s->back || before->vars != s->vars ||
			i - plan[n + k] + 1 == PLACES)
		{
			k++;
			plan[k] = s->node_id;
			plan[n + k] = i + 1;
			back[k] = s->back;
			documents[3 * n + k] = s->vars;
		}
		plan[2 * n + k] = i + 1;
		place[i] = i + 2 - plan[n + k];
		if (!s->skip)
		{
			if (plan[3 * n + k] == 0)
			{
				plan[3 * n + k] = place[i];
				plan[4 * n + k] = s->retries + 1;
			}
			else
				next[last] = place[i];
			last = i;
		}
		texts[i] = unconstify(char *, zdu_phase_name(s->phase));
		texts[n + i] = unconstify(char *, s->until);
		texts[2 * n + i] = unconstify(char *, s->programs);
		texts[3 * n + i] = unconstify(char *, s->task);
		has_tasks |= s->task != NULL;
		texts[4 * n + i] = unconstify(char *, s->fail);
		has_fails |= s->fail != NULL;
		retries[i] = s->retries;
		numbers[i] = s->retry_delay;
		numbers[n + i] = s->hold_for;
		numbers[2 * n + i] = s->timeout;
		numbers[3 * n + i] = s->expect < 0 ? NAN : s->expect;
		documents[i] = s->act;
		documents[n + i] = s->look;
		documents[2 * n + i] = s->force;
	}
	k++;
	zdu_run(&insert_plans, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_int8(upgrade_id), zdu_int8_array(plan, k), zdu_int8_array(plan + n, k), zdu_int8_array(plan + 2 * n, k),
		zdu_bool_array(back, k), zdu_jsonb_array(documents + 3 * n, k),
		zdu_text_array(texts, n), zdu_jsonb_array(documents, n), zdu_jsonb_array(documents + n, n), zdu_jsonb_array(documents + 2 * n, n),
		zdu_text_array(texts + n, n), zdu_text_array(texts + 2 * n, n), zdu_int8_array(retries, n),
		zdu_float8_array(numbers, n), zdu_float8_array(numbers + n, n), zdu_float8_array(numbers + 2 * n, n), zdu_float8_array(numbers + 3 * n, n),
		zdu_int8_array(next, n), zdu_int4(new_round ? 1 : 0), zdu_int8_array(plan + 3 * n, k), zdu_int8_array(plan + 4 * n, k),
		has_tasks ? zdu_text_array(texts + 3 * n, n) : zdu_null(), has_fails ? zdu_text_array(texts + 4 * n, n) : zdu_null()
	});
	store_skipped(steps, place);
}
