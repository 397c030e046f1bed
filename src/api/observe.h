/*
 * observe.h
 *	  Nodes seen through workers (N18), and what they watch, such as guards (S6).
 */
#ifndef ZDU_OBSERVE_H
#define ZDU_OBSERVE_H

#include "api/api.h"
#include "nodes/execnodes.h"
#include "store/report.h"
#include "store/runbook.h"
#include "store/worker.h"

/* Sets by which jsonpaths a cluster's observations are read; NULL where it has none. */
extern void zdu_observe_paths(const char *cluster, ZduObservePaths *paths);

/* Carries observations to their nodes. */
extern void zdu_observations_apply(ZduFacts *f, const ZduMatch *matches, int n);

/* Stores what a worker saw of watches and draws the conclusions: a guard that failed too often holds the upgrade. */
extern void zdu_watches_apply(ZduFacts *f, const ZduWorker *w, const ZduMatch *matches, int n, Jsonb *reports);

/* Adds rows that ask for what is due to be looked at. */
extern void zdu_observations_put(ZduFacts *f, ZduRunbook *rb, const ZduWorker *w, ReturnSetInfo *rsinfo);
extern void zdu_watches_put(ZduFacts *f, const ZduWorker *w, ReturnSetInfo *rsinfo);

#endif							/* ZDU_OBSERVE_H */
