/*
 * count.c
 *	  How zdu.node_count follows zdu.node.
 */
#include "store/count.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "store/spi.h"

/* Grouped once more: two texts may be one version. */
static ZduQuery move_counts = {
	.text =
	"INSERT INTO zdu.node_count AS k (cluster_id, " ZDU_COUNTED("") ", n) "
	"SELECT $1, " ZDU_COUNTED("x.") ", sum(x.d) "
	"FROM (SELECT t.version::zdu_version, t.state, t.confirmed, t.in_rotation, t.attached, t.taken, t.budgets::bigint[], t.d "
	"  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS t(version, state, confirmed, in_rotation, attached, taken, budgets, d)) x "
	"GROUP BY " ZDU_COUNTED("x.") " HAVING sum(x.d) <> 0 "
	"ON CONFLICT ON CONSTRAINT node_count_key DO UPDATE SET n = k.n + excluded.n",
	.nargs = 9,
	.argtypes = {INT8OID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID, BOOLARRAYOID, BOOLARRAYOID, BOOLARRAYOID, TEXTARRAYOID, INT8ARRAYOID}
};

/* How many nodes more, or less, are counted so. */
typedef struct Delta
{
	const ZduCounted *counted;
	int			d;
} Delta;

static bool
same(const ZduCounted *a, const ZduCounted *b)
{
	if (a->state != b->state || a->confirmed != b->confirmed || a->in_rotation != b->in_rotation ||
		a->attached != b->attached || a->taken != b->taken || a->nbudgets != b->nbudgets)
		return false;
	if ((a->version == NULL) != (b->version == NULL) || (a->version != NULL && strcmp(a->version, b->version) != 0))
		return false;
	return a->nbudgets == 0 || memcmp(a->budgets, b->budgets, sizeof(int64) * a->nbudgets) == 0;
}

/* Of many nodes that are reported together most go the same way: a few kinds are sought one after another. */
static int
add(Delta *deltas, int n, const ZduCounted *counted, int d)
{
	int			i = 0;

	while (i < n && !same(deltas[i].counted, counted))
		i++;
	if (i == n)
		deltas[n++] = (Delta) {counted, 0};
	deltas[i].d += d;
	return n;
}

static char *
budgets_text(const ZduCounted *counted)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < counted->nbudgets; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? "," : "", counted->budgets[i]);
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
store(int64 cluster_id, const Delta *deltas, int n)
{
	char	  **texts = palloc(sizeof(char *) * 3 * (n + 1));
	bool	   *flags = palloc(sizeof(bool) * 4 * (n + 1));
	int64	   *d = palloc(sizeof(int64) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		const ZduCounted *c = deltas[i].counted;

		texts[i] = unconstify(char *, c->version);
		texts[n + i] = unconstify(char *, zdu_state_name(ZDU_NODE, c->state));
		texts[2 * n + i] = budgets_text(c);
		flags[i] = c->confirmed;
		flags[n + i] = c->in_rotation;
		flags[2 * n + i] = c->attached;
		flags[3 * n + i] = c->taken;
		d[i] = deltas[i].d;
	}
	zdu_run(&move_counts, (ZduArg[]) {
		zdu_int8(cluster_id), zdu_text_array(texts, n), zdu_text_array(texts + n, n), zdu_bool_array(flags, n), zdu_bool_array(flags + n, n),
		zdu_bool_array(flags + 2 * n, n), zdu_bool_array(flags + 3 * n, n), zdu_text_array(texts + 2 * n, n), zdu_int8_array(d, n)
	});
}

void
zdu_counts_move(int64 cluster_id, const ZduCounted *was, const ZduCounted *now, int n)
{
	Delta	   *deltas = palloc(sizeof(Delta) * 2 * (n + 1));
	int			ndeltas = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		if (same(&was[i], &now[i]))
			continue;
		ndeltas = add(deltas, ndeltas, &was[i], -1);
		ndeltas = add(deltas, ndeltas, &now[i], 1);
	}
	for (int i = 0; i < ndeltas; i++)
		if (deltas[i].d != 0)
			deltas[kept++] = deltas[i];
	if (kept > 0)
		store(cluster_id, deltas, kept);
}
