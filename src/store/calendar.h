/*
 * calendar.h
 *	  Freezes and windows as they are stored, and which nodes they mean.
 *
 * One that selects nodes stands in their signatures, beside the budgets: so
 * it keeps nobody waiting whom it does not mean, and costs no look at each node.
 */
#ifndef ZDU_STORE_CALENDAR_H
#define ZDU_STORE_CALENDAR_H

#include "postgres.h"

#include "store/facts.h"

/* Reads what freezes and windows say now into f->calendar. */
extern void zdu_calendar_load(ZduFacts *f);

/* Writes the signatures of all nodes anew if other freezes concern them than those that stand there.  Needs the cluster's lock. */
extern void zdu_calendar_settle(ZduFacts *f);

/* Returns the places in f->calendar.of_nodes of those that stand in a signature, and their number. */
extern int *zdu_calendar_places(const ZduFacts *f, const int64 *signature, int nsignature, int *n);

#endif							/* ZDU_STORE_CALENDAR_H */
