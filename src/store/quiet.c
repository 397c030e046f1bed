/*
 * quiet.c
 *	  That nothing is due for a worker.
 */
#include "store/quiet.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "store/instance.h"
#include "utils/memutils.h"
#include "zdu.h"

/* A backend polls for one worker, about a few clusters; one that falls on another's place only asks anew. */
#define PLACES 64

typedef struct Quiet
{
	MemoryContext memory;		/* of what is pointed to; NULL: nothing is known */
	Oid			schema;			/* of which installation of the extension */
	char	   *cluster;
	char	   *worker;
	char	   *incarnation;
	bytea	   *programs;		/* whatever it is; NULL: none */
	TimestampTz since;
	ZduDue		due;
} Quiet;

static Quiet places[PLACES];

static ZduQuery serial_of_cluster = {
	.text = "SELECT cluster_id, serial FROM zdu.cluster WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static Quiet *
place_of(const char *cluster)
{
	return &places[hash_bytes((const unsigned char *) cluster, strlen(cluster)) % PLACES];
}

static bytea *
programs_of(const ZduWorker *w)
{
	return w->programs.isnull ? NULL : DatumGetByteaP(w->programs.value);
}

static bool
same_programs(const bytea *a, const bytea *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static void
forget(Quiet *q)
{
	MemoryContext memory = q->memory;

	q->memory = NULL;
	if (memory != NULL)
		MemoryContextDelete(memory);
}

void
zdu_quiet_note(const char *cluster, const ZduWorker *w, const ZduDue *due)
{
	Quiet	   *q = place_of(cluster);
	MemoryContext memory;
	bytea	   *programs = programs_of(w);

	forget(q);
	/* What this transaction itself has changed may be undone. */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	memory = AllocSetContextCreate(TopMemoryContext, "zdu quiet", ALLOCSET_SMALL_SIZES);
	q->cluster = MemoryContextStrdup(memory, cluster);
	q->worker = MemoryContextStrdup(memory, w->name);
	q->incarnation = MemoryContextStrdup(memory, w->incarnation);
	q->programs = programs == NULL ? NULL : memcpy(MemoryContextAlloc(memory, VARSIZE(programs)), programs, VARSIZE(programs));
	q->schema = get_namespace_oid("zdu", false);
	q->since = zdu_now();
	q->due = *due;
	q->due.mark = due->mark == NULL ? NULL : MemoryContextStrdup(memory, due->mark);
	q->memory = memory;
}

bool
zdu_quiet(const char *cluster, const ZduWorker *w, ZduDue *due)
{
	Quiet	   *q = place_of(cluster);
	TimestampTz now = zdu_now();
	ZduReader	r;

	if (q->memory == NULL || strcmp(q->cluster, cluster) != 0 || strcmp(q->worker, w->name) != 0 ||
		strcmp(q->incarnation, w->incarnation) != 0 || !same_programs(q->programs, programs_of(w)))
		return false;
	/* A clock that steps back starts anew. */
	if (now < q->since || now >= q->due.until || q->schema != get_namespace_oid("zdu", false) ||
		!zdu_instance_matches(q->due.mark, q->due.auto_adopt))
		return false;
	zdu_run(&serial_of_cluster, (ZduArg[]) {zdu_text(cluster)});
	r = zdu_reader();
	if (!zdu_next_row(&r) || zdu_read_int8(&r) != q->due.cluster_id || zdu_read_int8(&r) != q->due.serial)
		return false;
	*due = q->due;
	return true;
}
