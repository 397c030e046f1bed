/*
 * leader.h
 *	  The one node that runs what only one may run, in upgrade mode (M7).
 */
#ifndef ZDU_LEADER_H
#define ZDU_LEADER_H

#include "store/facts.h"

/*
 * Hands the leadership over if this node has it: before the node is taken.
 * Needs the lock.
 */
extern void zdu_leader_leave(ZduFacts *f, const char *node);

/* Chooses a leader where there is none that is fit, and none outside upgrade mode.  Needs the lock. */
extern void zdu_leader_settle(ZduFacts *f);

#endif							/* ZDU_LEADER_H */
