/*
 * loop.c
 *	  The worker's one event loop, and how a signal ends it.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/child.h"
#include "worker/log.h"
#include "worker/loop.h"

static uv_loop_t loop;
static uv_signal_t signals[2];
static void (*leave_cleanly) (void);
static bool asked_to_leave;
static int	exit_code;

static void
on_signal(uv_signal_t *handle, int signum)
{
	(void) handle;
	(void) signum;
	if (asked_to_leave)
	{
		zdu_child_kill_all();
		_exit(0);
	}
	asked_to_leave = true;
	leave_cleanly();
}

uv_loop_t *
zdu_loop_init(void)
{
	if (uv_loop_init(&loop) != 0)
		abort();
	signal(SIGPIPE, SIG_IGN);
	zdu_child_init(&loop);
	return &loop;
}

int
zdu_loop_run(void (*leave) (void))
{
	static const int leaving[] = {SIGTERM, SIGINT};
	int			i;

	leave_cleanly = leave;
	for (i = 0; i < 2; i++)
	{
		uv_signal_init(&loop, &signals[i]);
		uv_signal_start(&signals[i], on_signal, leaving[i]);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	return exit_code;
}

void
zdu_loop_end(int code)
{
	exit_code = code;
	uv_stop(&loop);
}
