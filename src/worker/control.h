/*
 * control.h
 *	  The worker's connection to zdu: the exchange.
 *
 * One call at a time, about one cluster.  A cluster is asked about at once
 * when something is to be reported, when the database says that something is
 * due, and else about every second.
 */
#ifndef ZDU_WORKER_CONTROL_H
#define ZDU_WORKER_CONTROL_H

#include <stdbool.h>

#include "worker/driver.h"

#define ZDU_EXIT_UNREACHABLE	3

typedef struct ZduControlOptions
{
	const char *conninfo;
	const char *password;		/* for it, or NULL */
	const char *name;			/* the worker's seat */
	const char *incarnation;
	const char *cluster;		/* only this one, or NULL */
	const char *node;			/* only this node's steps, or NULL */
	int			slots;
	bool		once;			/* leave when nothing is held and nothing is granted */
} ZduControlOptions;

/*
 * Connects and begins to ask.  `left` is called, with an exit code, when it
 * has left.  Returns what is wrong with the connection string, or NULL.
 */
extern const char *zdu_control_start(const ZduSurroundings *around, const ZduControlOptions *options,
									 void (*left) (int code));

/* Hands back all that is held; `left` follows, within 5 s in any case. */
extern void zdu_control_leave(void);

#endif							/* ZDU_WORKER_CONTROL_H */
