/*
 * report.h
 *	  What the worker saw, in the words of the exchange.
 */
#ifndef ZDU_WORKER_REPORT_H
#define ZDU_WORKER_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "worker/driver.h"

typedef struct ZduReportSubject
{
	const char *token;			/* NULL for an observation or a watch */
	const char *node;			/* may be NULL */
	json_t	   *watch;			/* a watch's number, or NULL */
	json_t	   *asked;			/* when an observation was asked for, or NULL */
} ZduReportSubject;

/*
 * Returns the report of a look or an action whose calls are all done: their
 * evidence as an array if `list`, else that of the first.  It is small enough
 * to be accepted.
 */
extern json_t *zdu_report_make(const ZduReportSubject *subject, bool acted,
							   const ZduCall *calls, int ncalls, bool list);

/* Returns the report that hands a step back; `ended`: nothing of it runs any more. */
extern json_t *zdu_report_release(const char *token, bool ended, const ZduCall *calls, int ncalls);

#endif							/* ZDU_WORKER_REPORT_H */
