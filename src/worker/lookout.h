/*
 * lookout.h
 *	  What an action does in a database keeps nobody waiting for long.
 *
 * The action's sessions there are those whose application_name is the one that
 * zdu_lookout_name() gives.  When others have waited for one of them longer than
 * $ZDU_MAX_BLOCK, its statement is cancelled; for a statement that itself
 * waits, in front of others, likewise.
 */
#ifndef ZDU_WORKER_LOOKOUT_H
#define ZDU_WORKER_LOOKOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/driver.h"

#define ZDU_LOOKOUT_NAME_SIZE 64

typedef struct ZduLookout ZduLookout;

/* Callbacks run from the loop; the first two may call zdu_lookout_stop(). */
typedef struct ZduLookoutHandler
{
	/* It watches: the action may begin. */
	void		(*up) (void *arg);

	/* Nobody watches any more. */
	void		(*down) (void *arg, const char *why);

	/* A statement is going to be cancelled for `why`; NULL: it was not, after all. */
	void		(*cancels) (void *arg, const char *why);
} ZduLookoutHandler;

/* Returns the longest that others may wait for what the call does, as text; NULL: nobody minds. */
extern const char *zdu_lookout_limit(const ZduCall *call);

/* Writes the name of the call's sessions, "zdu " and its token. */
extern void zdu_lookout_name(const ZduCall *call, char *name, size_t size);

/* Connects in order to watch; returns NULL where the connection string is no good, *wrong says why. */
extern ZduLookout *zdu_lookout_start(const ZduCall *call, const char *conninfo, const ZduLookoutHandler *handler,
								 void *arg, const char **wrong);

/* No callback follows.  NULL is nothing to stop. */
extern void zdu_lookout_stop(ZduLookout *lookout);

#endif							/* ZDU_WORKER_LOOKOUT_H */
