/*
 * closure.h
 *	  When the calendar lets nodes not be begun: what a plan asks of it.
 *
 * A decision asks what is so now, of signatures; a plan asks what will be so,
 * also before an upgrade, when nobody has written signatures yet.
 */
#ifndef ZDU_STORE_CLOSURE_H
#define ZDU_STORE_CLOSURE_H

#include "postgres.h"

#include "core/pack.h"
#include "store/facts.h"

/* A freeze, or what the windows leave closed for some nodes. */
typedef struct ZduClosure
{
	const char *what;			/* freeze "sale" in zone a */
	bool		every;			/* of every node */
	int64	   *nodes;			/* else of these, by id */
	int			nnodes;
	ZduPackSpan *spans;			/* in seconds from now, in their order */
	const char **ends;			/* of each, as timestamp; NULL: without end */
	int			nspans;
} ZduClosure;

/* Returns what is closed now or later on, and their number. */
extern ZduClosure *zdu_closures_load(const ZduFacts *f, int *n);

/* True if it concerns that node. */
extern bool zdu_closure_covers(const ZduClosure *c, int64 node_id);

#endif							/* ZDU_STORE_CLOSURE_H */
