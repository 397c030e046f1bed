/*
 * spool.h
 *	  What old nodes insert into registered tables is kept, and inserted when
 *	  the upgrade is over (M3).
 */
#ifndef ZDU_SPOOL_H
#define ZDU_SPOOL_H

#include "api/protect.h"

typedef struct ZduReplay
{
	int			replayed;		/* rows inserted */
	int			kept;			/* rows that could not be, and never will by themselves */
	bool		more;			/* others wait: for the next batch, or for a lock */
} ZduReplay;

/* Stores the row for which a BEFORE INSERT trigger was fired, in its table's place. */
extern void zdu_spool_write(const ZduWrite *w, TriggerData *trigger);

/* True while rows are replayed: they go where they belong. */
extern bool zdu_spool_is_replaying(void);

/*
 * Inserts up to `limit` rows that wait, each once, for about so many seconds:
 * one row at least.  The cluster is STABLE and not locked: what is inserted
 * may wait for somebody.  Does nothing while another session is at it.
 */
extern ZduReplay zdu_spool_replay(int64 cluster_id, int limit, double seconds);

#endif							/* ZDU_SPOOL_H */
