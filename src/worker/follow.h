/*
 * follow.h
 *	  Follows the upgrade of one cluster to its end.
 */
#ifndef ZDU_WORKER_FOLLOW_H
#define ZDU_WORKER_FOLLOW_H

#include <stdbool.h>
#include <uv.h>

#define ZDU_EXIT_HELD			2
#define ZDU_EXIT_ROLLED_BACK	3
#define ZDU_EXIT_TIMEOUT		4
#define ZDU_EXIT_REFUSED		5

typedef struct ZduFollowOptions
{
	const char *conninfo;
	const char *password;		/* for it, or NULL */
	const char *cluster;
	double		timeout;		/* seconds, 0 for none */
	bool		ready;			/* end when only zdu_finalize() is left */
} ZduFollowOptions;

/*
 * Shows the upgrade on stdout, as a progress bar on a terminal, else one line
 * a change.  `ended` is called with the exit code.  Returns what is wrong with
 * the connection string, or NULL.
 */
extern const char *zdu_follow_start(uv_loop_t *loop, const ZduFollowOptions *options,
									void (*ended) (int code));

/* Ends at once, as a person asked for. */
extern void zdu_follow_stop(void);

#endif							/* ZDU_WORKER_FOLLOW_H */
