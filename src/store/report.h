/*
 * report.h
 *	  What workers report, matched with what it is about.
 */
#ifndef ZDU_STORE_REPORT_H
#define ZDU_STORE_REPORT_H

#include "postgres.h"

#include "core/stage.h"
#include "store/step.h"

#define ZDU_REPORT_MAX (64 * 1024)

/* The same of a look at copies of data, of which there may be tens of thousands. */
#define ZDU_COPIES_MAX (4 * 1024 * 1024)
#define ZDU_REPORTS_MAX 10000

typedef struct ZduMatch
{
	int			ord;			/* place in the array of reports, from 1 */
	const char *token;			/* as given; NULL: an observation or a watch */
	const char *sqlstate;		/* NULL: good */
	const char *message;
	int			epoch;			/* of the token */
	int64		number;			/* which grant of the step it is about */
	ZduStep    *step;			/* NULL: none that is open */
	bool		over;			/* said before, or ended meanwhile: the same answer again */
	ZduReport	report;			/* of a step */
	Jsonb	   *evidence;		/* to be kept; NULL: none */
	Jsonb	   *saw;			/* the same, under whichever name it came */
	const char *log;			/* NULL: none */
	int64		node_id;		/* 0: not an observation */
	ZduAnswer	active;
	bool		offline;
	const char *version;		/* NULL: cannot tell */
	const char *node_state;		/* as it says itself; NULL: does not */
	TimestampTz asked;			/* when the worker was asked to look; 0: it does not say */
	int			tasks;			/* -1: does not say */
	int			users;
	int64		watch_id;		/* 0: not a watch's look */
	ZduAnswer	holds;
} ZduMatch;

/* The paths by which observations are read; NULL: there is no observe. */
typedef struct ZduObservePaths
{
	const char *version;
	const char *active;
	const char *node_state;
	const char *tasks;
	const char *users;
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
 * Finds the steps that reports are about and evaluates their evidence, before
 * any lock is taken.  Fills matches[], which comes from zdu_reports_parse(),
 * and returns whether any is about something else.
 */
extern bool zdu_reports_match_steps(int64 cluster_id, Jsonb *reports, const char *worker, const char *incarnation,
									ZduMatch *matches, int n, ZduStep **steps, int *nsteps);

/* The same for those: nodes and watches that were looked at. */
extern void zdu_reports_match_looks(int64 cluster_id, int64 upgrade_id, Jsonb *reports, const ZduObservePaths *observe, ZduMatch *matches);

/* Returns the beginning of what was seen. */
extern char *zdu_report_excerpt(Jsonb *saw);

#endif							/* ZDU_STORE_REPORT_H */
