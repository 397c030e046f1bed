/*
 * child.c
 *	  A program in a process group of its own.
 *
 * uv_spawn() cannot ask for a signal at the parent's death, so the fork is our
 * own.  A child that may outlive the worker prints into an unnamed file: a
 * pipe would kill it when its reader is gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/child.h"

#define GRACE_MS		2000	/* from SIGTERM to SIGKILL */
#define LOOK_MS			20		/* how often to look whether the group is gone */

typedef struct Stream
{
	uv_poll_t	watch;
	ZduChild   *child;
	int			fd;				/* -1 when it is closed */
} Stream;

typedef struct ZduChildInner
{
	ZduChild   *child;
	struct ZduChildInner *next;
	pid_t		pid;
	bool		reaped;
	uint64_t	kill_at;		/* 0 while nobody ends it */
	int			file;			/* what it prints into if it may outlive, or -1 */
	Stream		streams[2];		/* output, errors */
	uv_timer_t	timer;
	int			handles;		/* not closed yet */
} ZduChildInner;

static uv_loop_t *child_loop;
static uv_signal_t child_signal;
static ZduChildInner *children;

/* In the child: becomes the program.  Only what is safe after fork(). */
static void
become_program(const char *path, char *const *argv, char *const *env, const int *output,
			   bool may_outlive, pid_t parent)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t	none;
	int			in = open("/dev/null", O_RDONLY);
	int			i;

	setsid();
	for (i = 1; i < NSIG; i++)
		sigaction(i, &plain, NULL);
	if (!may_outlive)
	{
		prctl(PR_SET_PDEATHSIG, SIGTERM);

		/* The worker may have died before that took effect. */
		if (getppid() != parent)
			_exit(126);
	}
	dup2(in, STDIN_FILENO);
	dup2(output[0], STDOUT_FILENO);
	dup2(output[1], STDERR_FILENO);
	close_range(3, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, env);
	(void) !write(STDERR_FILENO, "the program cannot be run\n", 26);
	_exit(126);
}

static pid_t
fork_program(const char *path, char *const *argv, char *const *env, const int *output, bool may_outlive)
{
	sigset_t	all;
	sigset_t	before;
	pid_t		parent = getpid();
	pid_t		pid;

	/* The child must not run a handler of ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become_program(path, argv, env, output, may_outlive, parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void
take_output(Stream *stream, const char *bytes, size_t length)
{
	ZduChild   *child = stream->child;

	zdu_tail_add(&child->both, bytes, length);
	if (stream != &child->inner->streams[0])
		return;
	if (!child->out.cut && child->out.length + length > child->out.limit && child->flooded != NULL)
		child->flooded(child);
	zdu_tail_add(&child->out, bytes, length);
}

static void
handle_closed(uv_handle_t *handle)
{
	ZduChildInner *inner = handle->data;

	if (--inner->handles == 0)
		free(inner);
}

static void
close_stream(Stream *stream)
{
	if (stream->fd < 0)
		return;
	uv_poll_stop(&stream->watch);
	uv_close((uv_handle_t *) &stream->watch, handle_closed);
	close(stream->fd);
	stream->fd = -1;
}

/* Reads what is there.  Closes the stream at its end. */
static void
read_stream(Stream *stream)
{
	char		bytes[16 * 1024];

	while (stream->fd >= 0)
	{
		ssize_t		got = read(stream->fd, bytes, sizeof(bytes));

		if (got > 0)
			take_output(stream, bytes, got);
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && errno == EAGAIN)
			return;
		else
			close_stream(stream);
	}
}

static void
on_output(uv_poll_t *watch, int status, int events)
{
	(void) status;
	(void) events;
	read_stream((Stream *) ((char *) watch - offsetof(Stream, watch)));
}

/* Takes the end of the file that an outliving child has printed into. */
static void
read_file(ZduChildInner *inner)
{
	char		bytes[ZDU_LOOK_SIZE];
	off_t		size = lseek(inner->file, 0, SEEK_END);
	off_t		from = size > (off_t) sizeof(bytes) ? size - (off_t) sizeof(bytes) : 0;
	ssize_t		got = pread(inner->file, bytes, sizeof(bytes), from);

	if (got > 0)
	{
		zdu_tail_add(&inner->child->both, bytes, got);
		zdu_tail_add(&inner->child->out, bytes, got);
		inner->child->out.cut = from > 0;
	}
	close(inner->file);
	inner->file = -1;
}

/* It is over: collects the rest of its output and tells. */
static void
finish(ZduChildInner *inner)
{
	ZduChild   *child = inner->child;
	ZduChildInner **link = &children;

	while (*link != inner)
		link = &(*link)->next;
	*link = inner->next;

	/*
	 * Something it left behind, such as a server it started, may hold the
	 * pipe open for ever: what is there now is all there is.
	 */
	read_stream(&inner->streams[0]);
	read_stream(&inner->streams[1]);
	close_stream(&inner->streams[0]);
	close_stream(&inner->streams[1]);
	if (inner->file >= 0)
		read_file(inner);
	uv_close((uv_handle_t *) &inner->timer, handle_closed);
	child->inner = NULL;
	child->over(child);
}

/*
 * Looks whether the group is gone, and kills it when its time is over.  The
 * leader's end is told by SIGCHLD; for the others there is no such event.
 */
static void
on_look(uv_timer_t *timer)
{
	ZduChildInner *inner = timer->data;
	bool		gone = kill(-inner->pid, 0) != 0 && errno == ESRCH;

	if (inner->reaped && gone)
		finish(inner);
	else if (uv_now(child_loop) >= inner->kill_at)
	{
		kill(-inner->pid, SIGKILL);
		if (inner->reaped)
			finish(inner);
	}
}

static void
on_child(uv_signal_t *handle, int signum)
{
	ZduChildInner *inner = children;

	(void) handle;
	(void) signum;
	while (inner != NULL)
	{
		ZduChildInner *next = inner->next;

		if (!inner->reaped && waitpid(inner->pid, &inner->child->status, WNOHANG) == inner->pid)
		{
			inner->reaped = true;
			if (inner->kill_at == 0)
				finish(inner);
			else
				on_look(&inner->timer);
		}
		inner = next;
	}
}

void
zdu_child_init(uv_loop_t *loop)
{
	child_loop = loop;
	uv_signal_init(loop, &child_signal);
	uv_signal_start(&child_signal, on_child, SIGCHLD);
	uv_unref((uv_handle_t *) &child_signal);
}

/* Makes the two ends of its output.  Returns 0 or an errno. */
static int
open_output(int *ours, int *theirs, bool may_outlive)
{
	int			ends[2];
	int			i;

	for (i = 0; i < 2 && may_outlive; i++)
	{
		FILE	   *file = i == 0 ? tmpfile() : NULL;

		ours[i] = -1;
		theirs[i] = i == 0 ? (file ? fcntl(fileno(file), F_DUPFD_CLOEXEC, 0) : -1) : dup(theirs[0]);
		if (file != NULL)
			fclose(file);
		if (theirs[i] < 0)
			return errno;
		fcntl(theirs[i], F_SETFL, O_APPEND);
	}
	for (i = 0; i < 2 && !may_outlive; i++)
	{
		if (pipe2(ends, O_CLOEXEC) != 0)
			return errno;
		ours[i] = ends[0];
		theirs[i] = ends[1];
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static void
close_all(const int *fds)
{
	int			i;

	for (i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int
zdu_child_start(ZduChild *child, const char *path, char *const *argv, char *const *env, bool may_outlive)
{
	int			ours[2] = {-1, -1};
	int			theirs[2] = {-1, -1};
	int			failure = open_output(ours, theirs, may_outlive);
	pid_t		pid = failure == 0 ? fork_program(path, argv, env, theirs, may_outlive) : -1;
	ZduChildInner *inner;
	int			i;

	if (pid < 0)
	{
		failure = failure != 0 ? failure : errno;
		close_all(ours);
		close_all(theirs);
		return failure;
	}
	inner = calloc(1, sizeof(ZduChildInner));
	if (inner == NULL)
		abort();
	child->out.limit = child->size > 0 ? child->size : ZDU_LOOK_SIZE;
	child->both.limit = ZDU_LOG_SIZE;
	child->inner = inner;
	inner->child = child;
	inner->pid = pid;
	inner->file = may_outlive ? dup(theirs[0]) : -1;
	close_all(theirs);
	uv_timer_init(child_loop, &inner->timer);
	inner->timer.data = inner;
	inner->handles = 1;
	for (i = 0; i < 2; i++)
	{
		Stream	   *stream = &inner->streams[i];

		stream->child = child;
		stream->fd = ours[i];
		if (ours[i] < 0)
			continue;
		uv_poll_init(child_loop, &stream->watch, ours[i]);
		stream->watch.data = inner;
		inner->handles++;
		uv_poll_start(&stream->watch, UV_READABLE, on_output);
	}
	inner->next = children;
	children = inner;
	return 0;
}

void
zdu_child_end(ZduChild *child)
{
	ZduChildInner *inner = child->inner;

	if (inner->kill_at != 0 || inner->reaped)
		return;
	inner->kill_at = uv_now(child_loop) + GRACE_MS;

	/* Just born, it may not lead a group yet. */
	if (kill(-inner->pid, SIGTERM) != 0)
		kill(inner->pid, SIGTERM);
	uv_timer_start(&inner->timer, on_look, LOOK_MS, LOOK_MS);
}

void
zdu_child_clear(ZduChild *child)
{
	zdu_tail_free(&child->out);
	zdu_tail_free(&child->both);
}

void
zdu_child_kill_all(void)
{
	ZduChildInner *inner;

	for (inner = children; inner != NULL; inner = inner->next)
		kill(-inner->pid, SIGKILL);
}
