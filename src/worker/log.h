/*
 * log.h
 *	  The worker's log: one line an event on stderr, key=value.
 */
#ifndef ZDU_WORKER_LOG_H
#define ZDU_WORKER_LOG_H

/*
 * Prints one line: the time, the event, and pairs of keys and values up to a
 * NULL key.  A pair whose value is NULL is left out.
 */
extern void zdu_log(const char *event, ...) __attribute__((sentinel));

#endif							/* ZDU_WORKER_LOG_H */
