/*
 * worker.h
 *	  Workers as they are stored: who asked last, and what is due for it.
 */
#ifndef ZDU_STORE_WORKER_H
#define ZDU_STORE_WORKER_H

#include "postgres.h"

#include "store/facts.h"

/* What one look, without a lock, says about a call. */
typedef struct ZduDue
{
	int64		cluster_id;
	int64		upgrade_id;		/* 0: none is active */
	bool		adopted;		/* this database is the one that directs */
	bool		work_waits;
	bool		sweep;
	bool		fresh;			/* the worker's row needs no writing */
	bool		known;			/* this very process has asked before */
	bool		ousted;			/* another process has taken its name since */
	bool		holds;			/* it holds steps */
	double		lease;			/* seconds */
	bool		spool;			/* rows wait to be replayed, and may be */
	int64		serial;			/* of the cluster */
	TimestampTz until;			/* from then on time makes something due */
	const char *mark;			/* of the instance adopted last; NULL: none */
	bool		auto_adopt;
} ZduDue;

typedef struct ZduWorker
{
	const char *name;
	const char *incarnation;
	const char *node;			/* the one it is the agent of; NULL: all */
	int			protocol;
	ZduArg		programs;
	char	  **program;		/* the same, spread out */
	int			nprograms;
} ZduWorker;

/* True if a program is in the worker's runbook directory. */
extern bool zdu_worker_has(const ZduWorker *w, const char *program);

/* The same of all of them, whose names are separated by spaces; NULL: none is asked for. */
extern bool zdu_worker_has_all(const ZduWorker *w, const char *programs);

/* Looks what is due; false: there is no such cluster. */
extern bool zdu_worker_due(const char *cluster, const ZduWorker *w, ZduDue *due);

/* Writes that it asked. */
extern void zdu_worker_store(const ZduFacts *f, const ZduWorker *w);

/* Forgets a worker that leaves and holds nothing. */
extern void zdu_worker_leave(const ZduFacts *f, const ZduWorker *w);

/* Returns nodes that are due to be observed, noting that they are asked for now; *n is set. */
extern int64 *zdu_observations_due(const ZduFacts *f, const char *only, double every, TimestampTz now, int *n, char ***names);

/*
 * Of n nodes that were looked at because somebody asked at these times: returns
 * those, *nlate of them, whose state has changed since.  What was seen of them
 * may be of before that.
 */
extern int64 *zdu_observations_late(const int64 *ids, const int64 *asked, int n, int *nlate);

#endif							/* ZDU_STORE_WORKER_H */
