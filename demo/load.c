/*
 * load.c
 *		The users of the demo: asks a site for its pages, at a steady rate.
 *
 *		load URL RATE LEAST RELEASE...
 *
 * Begins RATE requests a second, however long the answers take, until it gets
 * SIGTERM and at least LEAST requests were begun.  Waits for the last answers,
 * then prints
 *
 *		requests=N failed=N transport=N status=N body=N
 *
 * where failed is the sum of the three after it: no answer, another status
 * than 200, and a body that is not, to the last byte, that page of one of the
 * RELEASEs (directories).  The first failures are told on stderr.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define MAX_RELEASES	8
#define MAX_TOLD		20
#define TIMEOUT_MS		15000L

/* One in so many users hangs up after each answer; the others stay connected. */
#define HANGS_UP		10

typedef struct Content
{
	char	   *bytes;
	size_t		len;
} Content;

/* What users ask for, and how many of a hundred of them. */
typedef struct Page
{
	const char *name;
	int			share;
	Content		content[MAX_RELEASES];
} Page;

static Page pages[] = {
	{.name = "index.html", .share = 45},
	{.name = "catalog.html", .share = 30},
	{.name = "style.css", .share = 20},
	{.name = "download", .share = 5},	/* takes about a second */
};

#define PAGES	((int) (sizeof(pages) / sizeof(pages[0])))

typedef struct Request
{
	CURL	   *curl;
	const Page *page;
	size_t		received;
	unsigned	candidates;		/* bit n: so far it is the page of release n */
	struct Request *next;		/* of those that are idle */
} Request;

typedef enum Failure
{
	FAILURE_TRANSPORT,
	FAILURE_STATUS,
	FAILURE_BODY,
	FAILURES
} Failure;

static const char *const failure_names[] = {"transport", "status", "body"};

static volatile sig_atomic_t leaving = 0;
static const char *url;
static int	releases;
static CURLM *multi;
static Request *idle = NULL;
static long begun = 0;
static long ended = 0;
static long failed[FAILURES];

static void
leave(int signo)
{
	(void) signo;
	leaving = 1;
}

static void
die(const char *what, const char *which)
{
	fprintf(stderr, "load: %s %s\n", what, which);
	exit(1);
}

/* Seconds of a clock that only goes forward. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static Content
read_content(const char *release, const char *name)
{
	char		path[4096];
	Content		content;
	FILE	   *file;
	long		len;

	snprintf(path, sizeof(path), "%s/%s", release, name);
	file = fopen(path, "rb");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) <= 0)
		die("cannot read", path);
	rewind(file);
	content.len = len;
	content.bytes = malloc(len);
	if (content.bytes == NULL || fread(content.bytes, 1, len, file) != (size_t) len)
		die("cannot read", path);
	fclose(file);
	return content;
}

/* Drops the releases whose page does not go on like that.  Called by curl. */
static size_t
compare_body(char *bytes, size_t size, size_t count, void *arg)
{
	Request    *request = arg;
	size_t		len = size * count;
	int			n;

	for (n = 0; n < releases; n++)
	{
		const Content *content = &request->page->content[n];

		if (request->received + len > content->len ||
			memcmp(content->bytes + request->received, bytes, len) != 0)
			request->candidates &= ~(1u << n);
	}
	request->received += len;
	return len;
}

static bool
body_is_whole(const Request *request)
{
	int			n;

	for (n = 0; n < releases; n++)
		if ((request->candidates & (1u << n)) && request->received == request->page->content[n].len)
			return true;
	return false;
}

/*
 * The page of the n-th request.  The multiplier has no factor in common with
 * 100, so that a hundred requests have each page as often as its share says,
 * well mixed.
 */
static const Page *
choose_page(long n)
{
	int			place = (int) (n * 37 % 100);
	int			i;

	for (i = 0; i < PAGES - 1 && place >= pages[i].share; i++)
		place -= pages[i].share;
	return &pages[i];
}

static void
begin_request(void)
{
	Request    *request = idle;
	char		text[1024];

	if (request != NULL)
		idle = request->next;
	else
	{
		request = calloc(1, sizeof(Request));
		if (request == NULL || (request->curl = curl_easy_init()) == NULL)
			die("out of", "memory");
		curl_easy_setopt(request->curl, CURLOPT_WRITEFUNCTION, compare_body);
		curl_easy_setopt(request->curl, CURLOPT_WRITEDATA, request);
		curl_easy_setopt(request->curl, CURLOPT_PRIVATE, request);
		curl_easy_setopt(request->curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
		curl_easy_setopt(request->curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(request->curl, CURLOPT_PROXY, "");
	}

	request->page = choose_page(begun);
	request->received = 0;
	request->candidates = (1u << releases) - 1;
	snprintf(text, sizeof(text), "%s/%s", url, request->page->name);
	curl_easy_setopt(request->curl, CURLOPT_URL, text);
	curl_easy_setopt(request->curl, CURLOPT_FORBID_REUSE, begun % HANGS_UP == 0 ? 1L : 0L);
	curl_multi_add_handle(multi, request->curl);
	begun++;
}

static void
end_request(CURL *curl, CURLcode result)
{
	Request    *request;
	long		status = 0;
	Failure		failure = FAILURES;

	curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **) &request);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);

	if (result != CURLE_OK)
		failure = FAILURE_TRANSPORT;
	else if (status != 200)
		failure = FAILURE_STATUS;
	else if (!body_is_whole(request))
		failure = FAILURE_BODY;

	if (failure != FAILURES)
	{
		failed[failure]++;
		if (failed[failure] <= MAX_TOLD)
			fprintf(stderr, "load: /%s: %s: status %ld, %zu bytes, %s\n", request->page->name,
					failure_names[failure], status, request->received, curl_easy_strerror(result));
	}

	ended++;
	curl_multi_remove_handle(multi, curl);
	request->next = idle;
	idle = request;
}

/* Begins what is due, and returns the milliseconds until more is. */
static int
begin_requests(double start, double rate, long least)
{
	double		elapsed = now() - start;

	while (begun < elapsed * rate && (!leaving || begun < least))
		begin_request();
	return (int) ((begun / rate - elapsed) * 1000) + 1;
}

int
main(int argc, char **argv)
{
	double		start;
	double		rate;
	long		least;
	int			i;
	int			n;

	if (argc < 5 || argc - 4 > MAX_RELEASES)
		die("usage:", "load URL RATE LEAST RELEASE...");
	url = argv[1];
	rate = atof(argv[2]);
	least = atol(argv[3]);
	releases = argc - 4;
	if (rate <= 0)
		die("not a rate:", argv[2]);
	for (i = 0; i < PAGES; i++)
		for (n = 0; n < releases; n++)
			pages[i].content[n] = read_content(argv[4 + n], pages[i].name);

	signal(SIGTERM, leave);
	signal(SIGINT, leave);
	curl_global_init(CURL_GLOBAL_ALL);
	multi = curl_multi_init();
	if (multi == NULL)
		die("out of", "memory");

	start = now();
	for (;;)
	{
		int			pause = begin_requests(start, rate, least);
		int			running;
		int			left;
		CURLMsg    *message;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
			if (message->msg == CURLMSG_DONE)
				end_request(message->easy_handle, message->data.result);
		if (leaving && begun >= least)
		{
			if (ended == begun)
				break;
			pause = 100;
		}
		curl_multi_poll(multi, NULL, 0, pause, NULL);
	}

	printf("requests=%ld failed=%ld", ended, failed[FAILURE_TRANSPORT] + failed[FAILURE_STATUS] + failed[FAILURE_BODY]);
	for (i = 0; i < FAILURES; i++)
		printf(" %s=%ld", failure_names[i], failed[i]);
	printf("\n");
	return 0;
}
