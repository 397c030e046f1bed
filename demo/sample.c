/*
 * sample.c
 *		Watches how many nodes serve, seen from outside.
 *
 *		sample SOCKET BACKEND NODE=ADDRESS:PORT...
 *		sample --wait SOCKET BACKEND NODE=ADDRESS:PORT...
 *
 * A node serves if HAProxy, asked through its runtime SOCKET, sends requests
 * to it (its server in BACKEND is UP, neither draining nor in maintenance) and
 * its own health page answers 200.  Looks every 50 ms until SIGTERM, then prints
 *
 *		samples=N min_serving=N
 *
 * With --wait it looks until all of them serve, at most 30 s, and its status
 * says whether they did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS		50
#define WAIT_LOOKS		(30 * 1000 / INTERVAL_MS)
#define MAX_NODES		64

typedef struct Node
{
	const char *name;
	struct sockaddr_in address;
} Node;

static volatile sig_atomic_t leaving = 0;
static struct sockaddr_un runtime;
static const char *backend;
static Node nodes[MAX_NODES];
static int	node_count;

static void
leave(int signo)
{
	(void) signo;
	leaving = 1;
}

static void
die(const char *what, const char *which)
{
	fprintf(stderr, "sample: %s %s\n", what, which);
	exit(1);
}

/*
 * Sends the request and reads the answer, up to its end or to what fits.
 * Returns false if there was none.
 */
static bool
ask(const struct sockaddr *address, socklen_t addrlen, const char *request, char *answer, size_t size)
{
	struct timeval timeout = {1, 0};
	size_t		len = 0;
	ssize_t		n = -1;
	int			fd = socket(address->sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		die("cannot make a socket:", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, address, addrlen) == 0 &&
		send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t) strlen(request))
	{
		while (len < size - 1 && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0)
			len += n;
	}
	close(fd);
	answer[len] = '\0';
	return len > 0;
}

/* The n-th field of a line of CSV without quotes, as HAProxy's first ones are. */
static void
copy_field(const char *line, int n, char *field, size_t size)
{
	while (n-- > 0 && (line = strchr(line, ',')) != NULL)
		line++;
	if (line == NULL)
		line = "";
	snprintf(field, size, "%.*s", (int) strcspn(line, ",\n"), line);
}

/* Does HAProxy, by its `show stat`, send requests to that node? */
static bool
in_rotation(const char *stat, const Node *node)
{
	enum {PROXY = 0, SERVER = 1, STATUS = 17};
	const char *line;
	char		field[256];

	for (line = stat; line != NULL; line = strchr(line, '\n'))
	{
		line += (*line == '\n');
		copy_field(line, PROXY, field, sizeof(field));
		if (strcmp(field, backend) != 0)
			continue;
		copy_field(line, SERVER, field, sizeof(field));
		if (strcmp(field, node->name) != 0)
			continue;
		copy_field(line, STATUS, field, sizeof(field));
		/* "UP 1/2" has failed a check and still gets requests. */
		return strncmp(field, "UP", 2) == 0;
	}
	return false;
}

static bool
is_healthy(const Node *node)
{
	char		answer[4096];

	return ask((const struct sockaddr *) &node->address, sizeof(node->address),
			   "GET /health HTTP/1.0\r\n\r\n", answer, sizeof(answer)) &&
		strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200 ", 5) == 0;
}

static int
count_serving(void)
{
	static char stat[256 * 1024];
	int			serving = 0;
	int			i;

	if (!ask((const struct sockaddr *) &runtime, sizeof(runtime), "show stat\n", stat, sizeof(stat)))
		return 0;
	for (i = 0; i < node_count; i++)
		serving += in_rotation(stat, &nodes[i]) && is_healthy(&nodes[i]);
	return serving;
}

/* Takes NODE=ADDRESS:PORT apart, in place. */
static void
add_node(char *text)
{
	Node	   *node = &nodes[node_count];
	char	   *equals = strchr(text, '=');
	char	   *colon = strrchr(text, ':');

	if (node_count == MAX_NODES || equals == NULL || colon == NULL || colon < equals)
		die("not a node, or one too many:", text);
	*equals = '\0';
	*colon = '\0';
	node->name = text;
	node->address.sin_family = AF_INET;
	node->address.sin_port = htons((unsigned short) atoi(colon + 1));
	if (inet_pton(AF_INET, equals + 1, &node->address.sin_addr) != 1)
		die("not an address:", equals + 1);
	node_count++;
}

int
main(int argc, char **argv)
{
	struct timespec pause = {0, INTERVAL_MS * 1000000L};
	bool		wait = argc > 1 && strcmp(argv[1], "--wait") == 0;
	int			first = wait ? 2 : 1;
	int			min_serving;
	long		samples = 0;
	int			i;

	if (argc < first + 3 || strlen(argv[first]) >= sizeof(runtime.sun_path))
		die("usage:", "sample [--wait] SOCKET BACKEND NODE=ADDRESS:PORT...");
	runtime.sun_family = AF_UNIX;
	strcpy(runtime.sun_path, argv[first]);
	backend = argv[first + 1];
	for (i = first + 2; i < argc; i++)
		add_node(argv[i]);
	min_serving = node_count;

	signal(SIGTERM, leave);
	signal(SIGINT, leave);
	while (!leaving)
	{
		int			serving = count_serving();

		samples++;
		if (serving < min_serving)
			min_serving = serving;
		if (wait && serving == node_count)
			return 0;
		if (wait && samples == WAIT_LOOKS)
			return 1;
		nanosleep(&pause, NULL);
	}
	printf("samples=%ld min_serving=%d\n", samples, min_serving);
	return 0;
}
