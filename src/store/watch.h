/*
 * watch.h
 *	  What workers look at again and again: guards, and whatever else a
 *	  decision wants to know that is not a node's state.
 *
 * A watch is a row with the args of a probe.  The exchange hands it to a
 * worker when it is due, as a row without a token whose phase is the watch's
 * kind; the report says {"watch": id, "seen": {...}}.
 */
#ifndef ZDU_STORE_WATCH_H
#define ZDU_STORE_WATCH_H

#include "postgres.h"

#include "core/stage.h"
#include "store/facts.h"
#include "store/worker.h"
#include "utils/jsonb.h"

/* A watch to be made. */
typedef struct ZduNewWatch
{
	const char *kind;			/* guard, ... see zdu.watch */
	const char *name;			/* for people: "guard 0" */
	int64		upgrade_id;		/* it ends with it; 0: it stays with the cluster */
	int64		node_id;		/* 0: about the cluster */
	Jsonb	   *look;
	const char *until;			/* NULL: only evidence is wanted */
	Jsonb	   *vars;			/* of until; NULL: none */
	double		every;			/* seconds */
	int			failures;		/* looks in a row until it has failed */
	bool		baseline;		/* nothing is begun before the first look */
} ZduNewWatch;

/* A look that is due. */
typedef struct ZduWatchLook
{
	const char *kind;
	const char *node;			/* NULL: none */
	Jsonb	   *args;
} ZduWatchLook;

/* What a look at a watch has come to. */
typedef struct ZduWatchState
{
	int64		id;
	const char *kind;			/* NULL: the watch is gone, or somebody else was asked since */
	const char *name;
	int64		node_id;		/* 0: about the cluster */
	const char *node;			/* NULL: about the cluster */
	ZduAnswer	holds;
	bool		failed;			/* as many looks in a row as it takes */
} ZduWatchState;

/* Makes a watch; returns its id. */
extern int64 zdu_watch_insert(const ZduFacts *f, const ZduNewWatch *w);

/* Returns the looks that are due and for which the worker has the programs, noting that they are asked for. */
extern ZduWatchLook *zdu_watches_due(const ZduFacts *f, const ZduWorker *w, int *n);

/*
 * Stores what a worker saw: its evidence is `seen` of the report at that place
 * in reports.  What cannot tell counts as failed, but holds stays unknown.
 */
extern ZduWatchState zdu_watch_saw(const ZduWorker *w, int64 watch_id, ZduAnswer holds, Jsonb *reports, int report);

#endif							/* ZDU_STORE_WATCH_H */
