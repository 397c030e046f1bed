/*
 * join.h
 *	  Asks for a node whether it may start, before its program does.
 */
#ifndef ZDU_WORKER_JOIN_H
#define ZDU_WORKER_JOIN_H

#include <uv.h>

/* As sysexits.h has them; systemd can be told not to try again after the second one. */
#define ZDU_EXIT_TRY_LATER		75
#define ZDU_EXIT_NOT_ADMITTED	78

typedef struct ZduJoinOptions
{
	const char *conninfo;
	const char *password;		/* for it, or NULL */
	const char *cluster;
	const char *node;
	const char *version;
	const char *incarnation;	/* or NULL */
	double		timeout;		/* seconds to go on asking, 0: ask once */
} ZduJoinOptions;

/*
 * Asks, and logs the answer with rule and reason.  `ended` is called with the
 * exit code.  Returns what is wrong with the connection string, or NULL.
 */
extern const char *zdu_join_start(uv_loop_t *loop, const ZduJoinOptions *options,
								  void (*ended) (int code));

/* Ends at once, as a person asked for. */
extern void zdu_join_stop(void);

#endif							/* ZDU_WORKER_JOIN_H */
