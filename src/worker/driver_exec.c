/*
 * driver_exec.c
 *	  Looks and acts by a program of the runbook directory.
 *
 * Its name has no slash, its arguments are passed as they are, and no shell
 * reads them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/child.h"
#include "worker/driver.h"

#define ACT_OUTPUT_SIZE		4096	/* of an action, whose log is kept besides */
#define LOOK_OUTPUT_SIZE	(16 * 1024)

typedef struct Run
{
	ZduChild	child;
	ZduCall    *call;
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

static void
on_over(ZduChild *child)
{
	Run		   *run = child->arg;
	ZduCall    *call = run->call;
	bool		failed;
	json_t	   *evidence = read_exit(call, child, &failed);

	call->log = child->both;
	memset(&child->both, 0, sizeof(child->both));
	zdu_child_clear(child);
	free(run);
	zdu_call_done(call, evidence, failed);
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

static void
start_exec(ZduCall *call)
{
	const char *name = zdu_call_text(call, "exec");
	char		path[4096];
	char	  **argv;
	char	  **env;
	Run		   *run;
	int			failure;

	if (!zdu_call_file(call, name, path, sizeof(path)) || access(path, X_OK) != 0)
	{
		zdu_call_fail(call, "program not found");
		return;
	}
	argv = make_argv(call, path);
	if (argv == NULL)
	{
		zdu_call_fail(call, "an argument is not a text");
		return;
	}
	run = calloc(1, sizeof(Run));
	if (run == NULL)
		abort();
	run->call = call;
	run->child.over = on_over;
	run->child.flooded = call->act ? NULL : on_flooded;
	run->child.arg = run;
	call->state = run;
	env = make_env(call);
	failure = zdu_child_start(&run->child, path, argv, env, call->may_outlive);
	free_env(env);
	free(argv);
	if (failure != 0)
	{
		free(run);
		zdu_call_fail(call, strerror(failure));
	}
}

static void
end_exec(ZduCall *call)
{
	zdu_child_end(&((Run *) call->state)->child);
}

const ZduDriver zdu_driver_exec = {"exec", start_exec, end_exec};
