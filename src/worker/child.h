/*
 * child.h
 *	  A program in a process group of its own.
 *
 * It has PATH, HOME and what it is given as its whole environment, /dev/null
 * to read from, and no other open file than its output.  It gets SIGTERM when
 * the worker dies, unless it may outlive it.
 */
#ifndef ZDU_WORKER_CHILD_H
#define ZDU_WORKER_CHILD_H

#include <stdbool.h>
#include <uv.h>

#include "worker/text.h"

typedef struct ZduChild
{
	int			status;			/* of waitpid, once it is over */
	size_t		size;			/* how much of its standard output is kept; 0: ZDU_LOOK_SIZE */
	ZduTail		out;			/* its standard output, up to that */
	ZduTail		both;			/* the last of output and errors together */
	void		(*over) (struct ZduChild *child);	/* it has ended; frees it */
	void		(*flooded) (struct ZduChild *child);	/* it printed more than `size`; may be NULL */
	void	   *arg;
	struct ZduChildInner *inner;
} ZduChild;

/* Begins to listen for the ends of children. */
extern void zdu_child_init(uv_loop_t *loop);

/*
 * Starts a program and fills in the rest of `child`.  Returns 0, or an errno
 * and `over` is never called.
 */
extern int	zdu_child_start(ZduChild *child, const char *path, char *const *argv, char *const *env,
							bool may_outlive);

/* Ends its process group: SIGTERM, and SIGKILL two seconds later. */
extern void zdu_child_end(ZduChild *child);

/* Frees what a child that is over holds, but not the struct. */
extern void zdu_child_clear(ZduChild *child);

/* Kills every process group at once; for a worker that is leaving in haste. */
extern void zdu_child_kill_all(void);

#endif							/* ZDU_WORKER_CHILD_H */
