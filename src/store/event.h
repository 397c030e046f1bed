/*
 * event.h
 *	  What happened: collected while a decision is made, written at its end.
 */
#ifndef ZDU_EVENT_H
#define ZDU_EVENT_H

#include "postgres.h"

/* Notes an event of the running decision.  NULL is allowed for all but `what`; texts must live until the flush. */
extern void zdu_event_note(const char *node, const char *what, const char *old_value, const char *new_value,
						   const char *rule, const char *reason);

/*
 * Writes what was noted, in order, in one statement, and notifies channel
 * zdu_event of changes of a cluster or an upgrade.  upgrade_id 0: none.
 */
extern void zdu_event_flush(const char *cluster, int64 upgrade_id, Oid caller);

/* Forgets what an aborted decision noted; call when one begins. */
extern void zdu_event_reset(void);

/* Wakes workers and whoever listens; at commit. */
extern void zdu_notify(void);

#endif							/* ZDU_EVENT_H */
