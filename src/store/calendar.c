/*
 * calendar.c
 *	  Freezes and windows as they are stored.
 */
#include "store/calendar.h"

#include "catalog/pg_type.h"
#include "store/budget.h"

/* What lasts longest is told first.  A difference of timestamps cannot be infinite, that of their seconds can. */
static ZduQuery read_calendar = {
	.text =
	"SELECT freeze_id, kind = 'window', CASE kind WHEN 'window' THEN in_force OR waived ELSE in_force AND NOT waived END, "
	"  name, place, since, expires, reason, CASE WHEN to_come THEN extract(epoch FROM since)::double precision - extract(epoch FROM zdu_clock())::double precision END, of_nodes, settled "
	"FROM zdu.calendar WHERE cluster_id = $1 ORDER BY expires DESC NULLS FIRST, name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery settled_otherwise = {
	.text =
	"SELECT 1 FROM zdu.cluster c WHERE c.cluster_id = $1 AND c.freezes <> "
	"ARRAY(SELECT z.freeze_id FROM zdu.calendar z WHERE z.cluster_id = c.cluster_id AND z.of_nodes ORDER BY z.freeze_id)",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Of every node: only the freeze that lasts longest, and the windows together, make a difference. */
static void
add_of_all(ZduCalendar *cal, const ZduFreeze *z)
{
	if (!z->window)
	{
		if (z->in_force && cal->freeze == NULL)
			cal->freeze = z;
		return;
	}
	cal->windows = true;
	cal->open |= z->in_force;
	if (z->opens_in < 0 || (cal->next_window != NULL && z->opens_in >= cal->next_in))
		return;
	cal->next_window = z->since;
	cal->next_in = z->opens_in;
}

void
zdu_calendar_load(ZduFacts *f)
{
	uint64		rows = zdu_run(&read_calendar, (ZduArg[]) {zdu_int8(f->cluster_id)});
	ZduReader	r = zdu_reader();
	ZduFreeze  *all = palloc0(sizeof(ZduFreeze) * (rows + 1));
	ZduFreeze  *of_nodes = palloc(sizeof(ZduFreeze) * (rows + 1));
	ZduCalendar *cal = &f->calendar;

	for (ZduFreeze *z = all; zdu_next_row(&r); z++)
	{
		z->id = zdu_read_int8(&r);
		z->window = zdu_read_bool(&r);
		z->in_force = zdu_read_bool(&r);
		z->name = zdu_read_text(&r);
		z->where = zdu_read_text(&r);
		z->since = zdu_read_text(&r);
		z->until = zdu_read_text(&r);
		z->reason = zdu_read_text(&r);
		z->opens_in = zdu_read_float8(&r, -1);
		if (!zdu_read_bool(&r))
		{
			add_of_all(cal, z);
			continue;
		}
		f->signatures = true;
		cal->unsettled |= !zdu_read_bool(&r);
		of_nodes[cal->nof_nodes++] = *z;
	}
	cal->of_nodes = of_nodes;
}

void
zdu_calendar_settle(ZduFacts *f)
{
	if (zdu_run(&settled_otherwise, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0)
		zdu_budgets_settle(f, 0);
	f->calendar.unsettled = false;
}

int *
zdu_calendar_places(const ZduFacts *f, const int64 *signature, int nsignature, int *n)
{
	const ZduCalendar *cal = &f->calendar;
	int		   *places = palloc(sizeof(int) * (cal->nof_nodes + 1));

	*n = 0;
	for (int i = 0; i < cal->nof_nodes; i++)
		for (int k = 0; k < nsignature; k++)
			if (cal->of_nodes[i].id == signature[k])
				places[(*n)++] = i;
	return places;
}
