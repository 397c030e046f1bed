/*
 * quiet.h
 *	  That nothing is due for a worker, remembered for as long as it is true.
 *
 * Every decision about a cluster bumps its serial.  So what a poll has found
 * stays true until the serial is another one, or until time makes something
 * due; a poll in between reads one row.  A policy that is changed counts from
 * the next sweep on, a quarter of a heartbeat_ttl later at most.
 */
#ifndef ZDU_STORE_QUIET_H
#define ZDU_STORE_QUIET_H

#include "store/worker.h"

/* Remembers that nothing is due until then, unless the serial moves. */
extern void zdu_quiet_note(const char *cluster, const ZduWorker *w, const ZduDue *due);

/* Returns true if still nothing is due, and fills `due` as it was then. */
extern bool zdu_quiet(const char *cluster, const ZduWorker *w, ZduDue *due);

#endif							/* ZDU_STORE_QUIET_H */
