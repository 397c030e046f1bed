/*
 * guard.h
 *	  What follows from what guards see (S6).
 */
#ifndef ZDU_API_GUARD_H
#define ZDU_API_GUARD_H

#include "api/api.h"
#include "store/watch.h"

/* One that has failed too often holds the upgrade, or rolls it back where the policy says so. */
extern void zdu_guard_saw(ZduFacts *f, const ZduWatchState *w);

#endif							/* ZDU_API_GUARD_H */
