/*
 * main.c
 *	  zdu_worker: looks and acts as the database tells it, and reports.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/options.h"
#include "worker/control.h"
#include "worker/follow.h"
#include "worker/join.h"
#include "worker/log.h"
#include "worker/loop.h"

#define DEFAULT_SLOTS	64

typedef struct WorkerOptions
{
	const char *runbooks;
	int			slots;
	const char *cluster;
	const char *node;
	const char *name;
	ZduOptionList allow_hosts;
	bool		once;
	const char *follow;
	bool		ready;
	double		timeout;
	const char *join;
	const char *incarnation;
} WorkerOptions;

#define FIELD(name)		offsetof(WorkerOptions, name)

static const ZduOption option_table[] = {
	{"runbooks", ZDU_OPTION_TEXT, FIELD(runbooks), "DIR",
	"directory of the programs that runbooks call (default " ZDU_RUNBOOKS_DIR ")"},
	{"slots", ZDU_OPTION_COUNT, FIELD(slots), "N", "how many steps at once (default 64)"},
	{"cluster", ZDU_OPTION_TEXT, FIELD(cluster), "NAME", "serve this cluster only"},
	{"node", ZDU_OPTION_TEXT, FIELD(node), "NAME", "serve this node only, as its own agent"},
	{"name", ZDU_OPTION_TEXT, FIELD(name), "NAME",
	"a fixed name, under which a restarted worker goes on (default host:pid)"},
	{"allow-host", ZDU_OPTION_LIST, FIELD(allow_hosts), "PATTERN",
	"send HTTP requests to matching hosts only; repeatable (default any)"},
	{"once", ZDU_OPTION_FLAG, FIELD(once), NULL, "leave when nothing is held and nothing is granted"},
	{"follow", ZDU_OPTION_TEXT, FIELD(follow), "CLUSTER",
	"do no work, but show the cluster's upgrade until it ends"},
	{"ready", ZDU_OPTION_FLAG, FIELD(ready), NULL,
	"with --follow: end when only zdu_finalize() is left"},
	{"join", ZDU_OPTION_TEXT, FIELD(join), "CLUSTER",
	"do no work, but ask whether a node may start"},
	{"incarnation", ZDU_OPTION_TEXT, FIELD(incarnation), "ID",
	"with --join: which process of that name, as in its heartbeats"},
	{"timeout", ZDU_OPTION_SECONDS, FIELD(timeout), "SECONDS",
	"with --follow: end after that long; with --join: go on asking for so long"},
	{NULL, ZDU_OPTION_FLAG, 0, NULL, NULL}
};

static const ZduProgram program = {
	"zdu_worker",
	"carries out the upgrades that zdu directs",
	"  zdu_worker CONNINFO [OPTION]...\n"
	"  zdu_worker CONNINFO --follow CLUSTER [--ready] [--timeout SECONDS]\n"
	"  zdu_worker CONNINFO --join CLUSTER NODE VERSION [--incarnation ID] [--timeout SECONDS]\n",
	"  0  left as it was asked to; --once: nothing is left to do; --follow: completed\n"
	"  1  the command line cannot be understood\n"
	"  2  --follow: the upgrade is held\n"
	"  3  --once: the database cannot be reached or refuses; --follow: rolled back or cancelled\n"
	"  4  --follow: it took longer than --timeout, or was interrupted\n"
	"  5  --follow: there is no such cluster or no upgrade, or the database refuses\n"
	"  75  --join: try later, the database cannot be reached or cannot tell yet\n"
	"  78  --join: the node is refused; --join ends with 0 when it is admitted\n",
	option_table
};

/* A program's output must never land in a file that happens to be number 0, 1 or 2. */
static void
open_standard_files(void)
{
	int			fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

/* Hundreds of children have thousands of open files. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * A password in the environment is meant for our own connection: libpq would
 * send it to any host that the database names.  So it is taken out of there.
 */
static char *
take_password(void)
{
	const char *password = getenv("PGPASSWORD");
	char	   *own = password != NULL ? strdup(password) : NULL;

	unsetenv("PGPASSWORD");
	return own;
}

static char *
default_name(void)
{
	static char name[128];
	char		host[64] = "worker";

	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "%s:%d", host, (int) getpid());
	return name;
}

/* Returns a name that no other process had or will have. */
static char *
make_incarnation(void)
{
	static char name[33];
	unsigned char bytes[16];
	unsigned int seed;
	int			i;

	if (getentropy(bytes, sizeof(bytes)) != 0)
		abort();
	for (i = 0; i < 16; i++)
		sprintf(name + 2 * i, "%02x", bytes[i]);
	memcpy(&seed, bytes, sizeof(seed));
	srandom(seed);
	return name;
}

static int
run_follow(uv_loop_t *loop, const char *conninfo, const char *password, const WorkerOptions *given)
{
	ZduFollowOptions options = {conninfo, password, given->follow, given->timeout, given->ready};
	const char *wrong = zdu_follow_start(loop, &options, zdu_loop_end);

	if (wrong != NULL)
		zdu_options_refuse(&program, "the connection string cannot be read:", wrong);
	return zdu_loop_run(zdu_follow_stop);
}

static int
run_join(uv_loop_t *loop, char **operands, const char *password, const WorkerOptions *given)
{
	ZduJoinOptions options = {
		operands[0], password, given->join, operands[1], operands[2], given->incarnation, given->timeout
	};
	const char *wrong = zdu_join_start(loop, &options, zdu_loop_end);

	if (wrong != NULL)
		zdu_options_refuse(&program, "the connection string cannot be read:", wrong);
	return zdu_loop_run(zdu_join_stop);
}

/* What does not go together, or is missing. */
static void
check_options(const WorkerOptions *options, int count, char **operands)
{
	if (options->join != NULL && options->follow != NULL)
		zdu_options_refuse(&program, "not both --follow and", "--join");
	if (options->join != NULL && count != 3)
		zdu_options_refuse(&program, "--join needs a connection string, a node and a version after", options->join);
	if (options->join == NULL && count != 1)
		zdu_options_refuse(&program, "one connection string is needed, not", count == 0 ? "none" : operands[1]);
	if (options->follow == NULL && options->ready)
		zdu_options_refuse(&program, "only with --follow:", "--ready");
	if (options->follow == NULL && options->join == NULL && options->timeout > 0)
		zdu_options_refuse(&program, "only with --follow or --join:", "--timeout");
	if (options->join == NULL && options->incarnation != NULL)
		zdu_options_refuse(&program, "only with --join:", "--incarnation");
}

static int
run_worker(uv_loop_t *loop, const char *conninfo, const char *password, const WorkerOptions *given)
{
	ZduSurroundings around = {loop, given->runbooks, &given->allow_hosts};
	ZduControlOptions options = {
		conninfo, password, given->name, make_incarnation(), given->cluster, given->node,
		given->slots, given->once
	};
	const char *wrong = zdu_control_start(&around, &options, zdu_loop_end);

	if (wrong != NULL)
		zdu_options_refuse(&program, "the connection string cannot be read:", wrong);
	zdu_log("started", "name", options.name, "incarnation", options.incarnation,
			"runbooks", around.runbooks, NULL);
	return zdu_loop_run(zdu_control_leave);
}

int
main(int argc, char **argv)
{
	WorkerOptions options = {.runbooks = ZDU_RUNBOOKS_DIR, .slots = DEFAULT_SLOTS};
	char	  **operands;
	char	   *password;
	int			count = zdu_options_parse(&program, argc, argv, &options, &operands);
	uv_loop_t  *loop;
	int			code;

	check_options(&options, count, operands);
	if (options.name == NULL)
		options.name = default_name();
	open_standard_files();
	raise_file_limit();
	password = take_password();
	loop = zdu_loop_init();
	if (options.follow != NULL)
		code = run_follow(loop, operands[0], password, &options);
	else if (options.join != NULL)
		code = run_join(loop, operands, password, &options);
	else
		code = run_worker(loop, operands[0], password, &options);
	free(password);
	free(options.allow_hosts.items);
	return code;
}
