/*
 * driver_exec.c
 *	  Looks and acts by a program of the runbook directory.
 *
 * Its name has no slash, its arguments are passed as they are, and no shell
 * reads them.  Where its SPEC says in which database its sessions are,
 * it begins when they are watched, and ends when nobody watches them any more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/child.h"
#include "worker/driver.h"
#include "worker/lookout.h"

#define ACT_OUTPUT_SIZE		4096	/* of an action, whose log is kept besides */
#define LOOK_OUTPUT_SIZE	(16 * 1024)

typedef struct Run
{
	ZduChild	child;
	ZduCall    *call;
	bool		started;		/* there is a child */
	ZduLookout *lookout;		/* NULL: nobody minds what it blocks */
	char	   *blocked;		/* why a statement of its was cancelled: others waited; or NULL */
	char	   *unwatched;		/* why nobody watches it any more, or NULL */
} Run;

/*
 * Returns what it printed, an object or text, with its exit code.  An action
 * failed by its exit code; a look is made whatever the code is.
 */
static json_t *
read_exit(ZduCall *call, const ZduChild *child, bool *failed)
{
	json_t	   *evidence = NULL;
	size_t		length = child->out.length;

	*failed = !WIFEXITED(child->status) || (call->act && WEXITSTATUS(child->status) != 0);
	if (!WIFEXITED(child->status))
		return json_pack("{s:i}", "signal", WTERMSIG(child->status));
	if (!child->out.cut)
		evidence = zdu_text_object(child->out.bytes, length);
	if (evidence == NULL)
	{
		while (length > 0 && child->out.bytes[length - 1] == '\n')
			length--;
		evidence = json_object();
		json_object_set_new(evidence, "output",
							zdu_text_clean(child->out.bytes, length,
										   call->act ? ACT_OUTPUT_SIZE : LOOK_OUTPUT_SIZE));
	}
	json_object_set_new(evidence, "exit", json_integer(WEXITSTATUS(child->status)));
	return evidence;
}

/* It is over; what its end is put down to outlives it. */
static void
finish(Run *run, json_t *evidence, bool failed)
{
	ZduCall    *call = run->call;
	char	   *unwatched = run->unwatched;

	if (failed && run->blocked != NULL)
		json_object_set_new(evidence, "error", json_string(run->blocked));
	zdu_lookout_stop(run->lookout);
	free(run->blocked);
	free(run);
	zdu_call_done(call, evidence, failed);
	free(unwatched);
}

static void
on_over(ZduChild *child)
{
	Run		   *run = child->arg;
	bool		failed;
	json_t	   *evidence = read_exit(run->call, child, &failed);

	run->call->log = child->both;
	memset(&child->both, 0, sizeof(child->both));
	zdu_child_clear(child);
	finish(run, evidence, failed);
}

static void
on_flooded(ZduChild *child)
{
	zdu_call_end(((Run *) child->arg)->call, "output too large");
}

/* Returns the program's arguments, to be freed, or NULL if one is not a text. */
static char **
make_argv(const ZduCall *call, const char *path)
{
	json_t	   *args = json_object_get(call->spec, "args");
	char	  **argv = calloc(json_array_size(args) + 2, sizeof(char *));
	size_t		i;

	if (argv == NULL)
		abort();
	argv[0] = (char *) path;
	for (i = 0; i < json_array_size(args); i++)
	{
		argv[i + 1] = (char *) json_string_value(json_array_get(args, i));
		if (argv[i + 1] == NULL)
		{
			free(argv);
			return NULL;
		}
	}
	return argv;
}

static char *
make_variable(const char *name, const char *value)
{
	char	   *variable = malloc(strlen(name) + strlen(value) + 2);

	if (variable == NULL)
		abort();
	sprintf(variable, "%s=%s", name, value);
	return variable;
}

/* Returns the program's whole environment, to be freed by free_env(). */
static char **
make_env(const ZduCall *call)
{
	static const char *const inherited[] = {"PATH", "HOME", NULL};
	char	  **env = calloc(json_object_size(call->env) + 4, sizeof(char *));
	const char *name;
	json_t	   *value;
	int			count = 0;
	int			i;

	if (env == NULL)
		abort();
	for (i = 0; inherited[i] != NULL; i++)
		if (getenv(inherited[i]) != NULL)
			env[count++] = make_variable(inherited[i], getenv(inherited[i]));
	env[count++] = make_variable("ZDU_VERB", call->act ? "act" : "probe");
	json_object_foreach(call->env, name, value)
	{
		if (json_is_string(value) && strncmp(name, "ZDU_", 4) == 0)
			env[count++] = make_variable(name, json_string_value(value));
	}
	return env;
}

static void
free_env(char **env)
{
	int			i;

	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* Starts the child, or fails. */
static void
start_child(Run *run)
{
	ZduCall    *call = run->call;
	char		path[4096];
	char	  **argv;
	char	  **env;
	int			failure;

	if (!zdu_call_file(call, zdu_call_text(call, "exec"), path, sizeof(path)) || access(path, X_OK) != 0)
	{
		finish(run, zdu_text_error("program not found"), true);
		return;
	}
	argv = make_argv(call, path);
	if (argv == NULL)
	{
		finish(run, zdu_text_error("an argument is not a text"), true);
		return;
	}
	env = make_env(call);
	failure = zdu_child_start(&run->child, path, argv, env, call->may_outlive);
	free_env(env);
	free(argv);
	if (failure != 0)
		finish(run, zdu_text_error(strerror(failure)), true);
	else
		run->started = true;
}

static void
on_lookout_up(void *arg)
{
	start_child(arg);
}

static void
on_lookout_down(void *arg, const char *why)
{
	Run		   *run = arg;

	if (!run->started)
	{
		finish(run, zdu_text_error(why), true);
		return;
	}
	if (run->unwatched == NULL)
		run->unwatched = zdu_text_copy(why);
	zdu_call_end(run->call, run->unwatched);
}

static void
on_cancels(void *arg, const char *why)
{
	Run		   *run = arg;

	free(run->blocked);
	run->blocked = zdu_text_copy(why);
}

static const ZduLookoutHandler lookout_handler = {on_lookout_up, on_lookout_down, on_cancels};

static void
start_exec(ZduCall *call)
{
	const char *database = zdu_call_text(call, "sessions");
	const char *wrong = NULL;
	Run		   *run = calloc(1, sizeof(Run));

	if (run == NULL)
		abort();
	run->call = call;
	run->child.size = zdu_call_size(call);
	run->child.over = on_over;
	run->child.flooded = call->act ? NULL : on_flooded;
	run->child.arg = run;
	call->state = run;
	if (database == NULL || zdu_lookout_limit(call) == NULL)
	{
		start_child(run);
		return;
	}
	run->lookout = zdu_lookout_start(call, database, &lookout_handler, run, &wrong);
	if (run->lookout == NULL)
		finish(run, zdu_text_error(wrong), true);
}

static void
end_exec(ZduCall *call)
{
	Run		   *run = call->state;

	if (run->started)
		zdu_child_end(&run->child);
	else
		finish(run, json_object(), true);
}

const ZduDriver zdu_driver_exec = {"exec", start_exec, end_exec};
