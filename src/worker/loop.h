/*
 * loop.h
 *	  The worker's one event loop, and how a signal ends it.
 */
#ifndef ZDU_WORKER_LOOP_H
#define ZDU_WORKER_LOOP_H

#include <uv.h>

/* Returns the loop, made ready for children and signals. */
extern uv_loop_t *zdu_loop_init(void);

/*
 * Runs the loop until zdu_loop_end(); returns the code given there.  The first
 * SIGTERM or SIGINT calls `leave`; the second one ends the process.
 */
extern int	zdu_loop_run(void (*leave) (void));

/* Ends the loop. */
extern void zdu_loop_end(int code);

#endif							/* ZDU_WORKER_LOOP_H */
