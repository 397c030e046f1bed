/*
 * keep.h
 *	  What must stay as it is while a step is held: a server out of rotation,
 *	  which a load balancer forgets when it is restarted (W2).
 */
#ifndef ZDU_WORKER_KEEP_H
#define ZDU_WORKER_KEEP_H

#include "worker/driver.h"

typedef struct ZduKeep ZduKeep;

/*
 * Begins to keep what `args.keep` lists, targets of driver haproxy with a
 * state: each is looked at every other second, and set again if it is not in
 * that state.  Returns NULL if there is nothing to keep.
 */
extern ZduKeep *zdu_keep_start(const ZduSurroundings *around, json_t *args, const char *node);

/* Ends it; NULL does nothing. */
extern void zdu_keep_stop(ZduKeep *keep);

#endif							/* ZDU_WORKER_KEEP_H */
