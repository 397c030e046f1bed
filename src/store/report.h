/*
 * report.h
 *	  What workers report, matched with what it is about.
 */
#ifndef ZDU_STORE_REPORT_H
#define ZDU_STORE_REPORT_H

#include "postgres.h"

#include "core/stage.h"
#include "store/spi.h"

#define ZDU_REPORT_MAX (64 * 1024)
#define ZDU_REPORTS_MAX 10000

typedef struct ZduMatch
{
	int			ord;			/* place in the array of reports, from 1 */
	const char *token;			/* as given; NULL: an observation or a watch */
	const char *sqlstate;		/* NULL: good */
	const char *message;
	int64		number;			/* of the token: which grant of the step it is about */
	int64		step_id;		/* 0: none */
	ZduReport	report;			/* of a step */
	const char *evidence;		/* what it saw, shortened; NULL: nothing */
	int64		node_id;		/* 0: not an observation */
	ZduAnswer	active;
	bool		offline;
	const char *version;		/* NULL: cannot tell */
	int64		watch_id;		/* 0: not a watch's look */
	ZduAnswer	holds;
} ZduMatch;

/* The paths by which observations are read; NULL: there is no observe. */
typedef struct ZduObservePaths
{
	const char *version;
	const char *active;
} ZduObservePaths;

/*
 * Turns the reports (a JSON array) into jsonb, element by element: one that
 * cannot be (too large, a NUL character, ...) becomes null and gets an error
 * in errors[], an array of as many elements as there are reports (*n).
 * NULL if there are none.  ERROR 22023 if the whole is no JSON array.
 */
extern Jsonb *zdu_reports_parse(Datum reports_json, ZduMatch **errors, int *n);

/* Refuses a report: its step was granted anew since. */
extern void zdu_report_stale(ZduMatch *m);

/*
 * Finds what the reports are about and evaluates their evidence, before any
 * lock is taken.  Fills matches[], which comes from zdu_reports_parse().
 */
extern void zdu_reports_match(int64 cluster_id, int64 upgrade_id, Jsonb *reports, const char *worker, const char *incarnation,
							  const ZduObservePaths *observe, ZduMatch *matches, int n);

#endif							/* ZDU_STORE_REPORT_H */
