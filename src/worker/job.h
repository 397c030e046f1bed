/*
 * job.h
 *	  What the worker holds: steps, by their token, and looks that have none.
 *
 * A job is told what to do by each answer of the database, does it, and keeps
 * its report until an exchange has carried it.  Nothing is decided here.
 */
#ifndef ZDU_WORKER_JOB_H
#define ZDU_WORKER_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "worker/driver.h"

typedef struct ZduJob ZduJob;

/* One row of an answer.  Texts belong to whoever made it; `args` is borrowed. */
typedef struct ZduOrder
{
	const char *token;			/* NULL for an observation or a guard */
	const char *node;			/* may be NULL */
	const char *phase;
	const char *attempt;
	const char *verb;
	json_t	   *args;
	double		deadline;		/* by zdu_now() */
} ZduOrder;

/* The jobs of one cluster. */
typedef struct ZduJobs
{
	const ZduSurroundings *around;
	const char *cluster;
	ZduJob	   *first;
	void		(*ready) (void *arg);	/* a report is ready, or a job is gone */
	bool		(*may_begin) (void *arg);	/* the database is there and the lease holds */
	void	   *arg;
} ZduJobs;

/* Begins an answer: no job has been mentioned in it yet. */
extern void zdu_jobs_begin_answer(ZduJobs *jobs);

/* One row of the answer: takes up the job if it is new, and does as told. */
extern void zdu_jobs_order(ZduJobs *jobs, const ZduOrder *order);

/* Ends the answer: the steps it did not mention are ended and forgotten. */
extern void zdu_jobs_end_answer(ZduJobs *jobs);

/* Ends and forgets the step of a token; every job if token is NULL. */
extern void zdu_jobs_forget(ZduJobs *jobs, const char *token);

/* The lease is over: ends what must not go on without it. */
extern void zdu_jobs_lose_lease(ZduJobs *jobs);

/* The worker leaves: hands back what it holds, and ends it unless it may outlive. */
extern void zdu_jobs_leave(ZduJobs *jobs);

/* Returns the reports that are ready, as an array, and takes them for sent. */
extern json_t *zdu_jobs_collect(ZduJobs *jobs);

/* Tells what became of the reports taken last: carried, or to be sent again. */
extern void zdu_jobs_sent(ZduJobs *jobs, bool carried);

/* Returns how many steps are held, forgotten ones that still run included. */
extern int	zdu_jobs_held(const ZduJobs *jobs);

/* Returns whether there is any job at all. */
extern bool zdu_jobs_any(const ZduJobs *jobs);

/* Returns whether all is handed back, and that was told. */
extern bool zdu_jobs_left(const ZduJobs *jobs);

#endif							/* ZDU_WORKER_JOB_H */
