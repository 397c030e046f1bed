/*
 * event.c
 *	  What happened.
 */
#include "store/event.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "nodes/pg_list.h"
#include "store/spi.h"
#include "utils/acl.h"
#include "miscadmin.h"
#include "zdu.h"

#define EVENT_COLUMNS 6

/* Lists of texts, a list a column, in the memory of the running call. */
static List *noted[EVENT_COLUMNS];
static bool tells = false;		/* somebody may listen for one of them */

/* So many fit into a row of a page without being compressed. */
#define EVENTS_A_ROW 64

static ZduQuery insert_events = {
	.text = "INSERT INTO zdu.event_log (at, cluster, upgrade_id, caller, node, what, old, new, rule, reason) "
	"SELECT $1, $2, $3, $4, $5[r.first:r.last], $6[r.first:r.last], $7[r.first:r.last], $8[r.first:r.last], $9[r.first:r.last], $10[r.first:r.last] "
	"FROM (SELECT i AS first, i + $11 - 1 AS last FROM generate_series(1, cardinality($6), $11) AS i) r",
	.nargs = 11,
	.argtypes = {TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID,
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4OID}
};

static char *
copy(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

void
zdu_event_note(const char *node, const char *what, const char *old_value, const char *new_value,
			   const char *rule, const char *reason)
{
	const char *columns[EVENT_COLUMNS] = {node, what, old_value, new_value, rule, reason};

	for (int i = 0; i < EVENT_COLUMNS; i++)
		noted[i] = lappend(noted[i], copy(columns[i]));
	tells |= strcmp(what, "cluster") == 0 || strcmp(what, "upgrade") == 0;
}

static ZduArg
column_array(List *column)
{
	int			n = list_length(column);
	char	  **values = palloc(sizeof(char *) * (n + 1));
	ListCell   *cell;
	int			i = 0;

	foreach(cell, column)
		values[i++] = lfirst(cell);
	return zdu_text_array(values, n);
}

void
zdu_event_flush(const char *cluster, int64 upgrade_id, Oid caller)
{
	if (noted[0] != NIL)
	{
		ZduArg		args[] = {
			zdu_time(zdu_now()), zdu_text(cluster != NULL ? cluster : ""),
			upgrade_id == 0 ? zdu_null() : zdu_int8(upgrade_id),
			zdu_text(GetUserNameFromId(caller, true)),
			column_array(noted[0]), column_array(noted[1]), column_array(noted[2]),
			column_array(noted[3]), column_array(noted[4]), column_array(noted[5]), zdu_int4(EVENTS_A_ROW)
		};

		zdu_run(&insert_events, args);
		/* Notifying serializes commits: steps and nodes are too many for it. */
		if (tells)
			Async_Notify("zdu_event", cluster != NULL ? cluster : "");
	}
	zdu_event_reset();
}

void
zdu_event_reset(void)
{
	for (int i = 0; i < EVENT_COLUMNS; i++)
		noted[i] = NIL;
	tells = false;
}

void
zdu_notify(void)
{
	Async_Notify("zdu", "");
}
