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

/* A plan is a part of each of the arrays, from `first` to `last`. */
static ZduQuery insert_plans = {
	.text =
	"WITH given AS MATERIALIZED (SELECT nextval('zdu.id_seq') AS plan_id, g.* "
	"  FROM unnest($3, $4, $5, $6, $7) WITH ORDINALITY AS g(node_id, first, last, back, vars, ord)), "
	"made AS (INSERT INTO zdu.step_plan (plan_id, cluster_id, upgrade_id, node_id, node, round, direction, vars, phase, act, look, force, until, fail, programs, "
	"    retries, retry_delay, hold_for, timeout, expect, task) "
	"  SELECT g.plan_id, $1, nullif($2, 0), nullif(g.node_id, 0), (SELECT n.name FROM zdu.node n WHERE n.node_id = g.node_id), "
	"    greatest(1, $20 + (SELECT coalesce(max(o.round), 0) FROM zdu.step_plan o WHERE o.node_id = g.node_id AND o.upgrade_id = $2)), "
	"    CASE WHEN g.back THEN 'back' ELSE 'forward' END, g.vars, $8[g.first:g.last], $9[g.first:g.last], $10[g.first:g.last], $11[g.first:g.last], "
	"    $12[g.first:g.last], $22[g.first:g.last], $13[g.first:g.last], $14[g.first:g.last], $15[g.first:g.last], $16[g.first:g.last], $17[g.first:g.last], $18[g.first:g.last], $21[g.first:g.last] "
	"  FROM given g) "
	"INSERT INTO zdu.step_state (step_id, plan_id, place, cluster_id, node_id, state, attempts) "
	"SELECT g.plan_id * 1000 + t.place, g.plan_id, t.place, $1, nullif(g.node_id, 0), CASE WHEN t.skip THEN 'skipped' ELSE 'pending' END, t.retries + 1 "
	"FROM given g CROSS JOIN LATERAL unnest($14[g.first:g.last], $19[g.first:g.last]) WITH ORDINALITY AS t(retries, skip, place) "
	"ORDER BY g.ord, t.place",
	.nargs = 22,
	.argtypes = {INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, BOOLARRAYOID, JSONBARRAYOID,
		TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
	FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, BOOLARRAYOID, INT4OID, TEXTARRAYOID, TEXTARRAYOID}
};

void
zdu_steps_insert(const ZduFacts *f, int64 upgrade_id, const List *steps, bool new_round)
{
	int			n = list_length(steps);
	int64	   *plan = palloc(sizeof(int64) * 3 * (n + 1));
	bool	   *flags = palloc(sizeof(bool) * 2 * (n + 1));
	int64	   *retries = palloc(sizeof(int64) * (n + 1));
	char	  **texts = palloc(sizeof(char *) * 5 * (n + 1));
	bool		has_tasks = false;
	bool		has_fails = false;
	double	   *numbers = palloc(sizeof(double) * 4 * (n + 1));
	Jsonb	  **documents = palloc(sizeof(Jsonb *) * 4 * (n + 1));
	int			k = -1;

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
			flags[k] = s->back;
			documents[3 * n + k] = s->vars;
		}
		plan[2 * n + k] = i + 1;
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
		flags[n + i] = s->skip;
	}
	k++;
	zdu_run(&insert_plans, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_int8(upgrade_id), zdu_int8_array(plan, k), zdu_int8_array(plan + n, k), zdu_int8_array(plan + 2 * n, k),
		zdu_bool_array(flags, k), zdu_jsonb_array(documents + 3 * n, k),
		zdu_text_array(texts, n), zdu_jsonb_array(documents, n), zdu_jsonb_array(documents + n, n), zdu_jsonb_array(documents + 2 * n, n),
		zdu_text_array(texts + n, n), zdu_text_array(texts + 2 * n, n), zdu_int8_array(retries, n),
		zdu_float8_array(numbers, n), zdu_float8_array(numbers + n, n), zdu_float8_array(numbers + 2 * n, n), zdu_float8_array(numbers + 3 * n, n),
		zdu_bool_array(flags + n, n), zdu_int4(new_round ? 1 : 0),
		has_tasks ? zdu_text_array(texts + 3 * n, n) : zdu_null(), has_fails ? zdu_text_array(texts + 4 * n, n) : zdu_null()
	});
}
