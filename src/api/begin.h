/*
 * begin.h
 *	  An upgrade begins.
 */
#ifndef ZDU_BEGIN_H
#define ZDU_BEGIN_H

#include "api/refuse.h"

/*
 * Begins the upgrade that is wished for, or ERROR with what refuses it.  The
 * cluster and what is protected are locked.  Returns its id; the caller ends
 * the call.
 */
extern int64 zdu_begin_upgrade(ZduCall *call, const ZduWish *wish, const char *reason);

/* Puts all nodes (of the group, if one is named) that are not at the target into the order of a plan of their own; returns how many. */
extern int	zdu_begin_queue(ZduFacts *f, const char *target, const char *node_group);

#endif							/* ZDU_BEGIN_H */
