/*
 * sweep.h
 *	  What time brings about: nodes unheard, leases lost, timers over.
 */
#ifndef ZDU_SWEEP_H
#define ZDU_SWEEP_H

#include "api/api.h"
#include "store/node.h"

/*
 * Counts what was listened since the last time, and takes nodes that were
 * unheard for longer than the ttl for OFFLINE (N4), says which are stuck.
 * Whoever hears nodes calls it under the lock; too early it does nothing.
 * Returns whether it was due.
 */
extern bool zdu_sweep_nodes(ZduFacts *f);

#endif							/* ZDU_SWEEP_H */
