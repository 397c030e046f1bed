/*
 * log.c
 *	  The worker's log: one line an event on stderr, key=value.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "worker/log.h"

#define LINE_SIZE	2048

typedef struct Line
{
	char		text[LINE_SIZE];
	size_t		length;
} Line;

/* Adds a character; what does not fit is left out. */
static void
add_char(Line *line, char c)
{
	if (line->length < LINE_SIZE - 3)
		line->text[line->length++] = c;
}

static void
add_text(Line *line, const char *text)
{
	while (*text != '\0')
		add_char(line, *text++);
}

/* Adds a value, quoted where a reader could not tell its end. */
static void
add_value(Line *line, const char *value)
{
	const char *c;

	if (*value != '\0' && strpbrk(value, " \"=\\\n\r\t") == NULL)
	{
		add_text(line, value);
		return;
	}
	add_char(line, '"');
	for (c = value; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			add_char(line, '\\');
		add_char(line, (unsigned char) *c < ' ' ? ' ' : *c);
	}

	/* Room is kept for the quote that ends even a value cut short. */
	line->text[line->length++] = '"';
}

void
zdu_log(const char *event, ...)
{
	Line		line = {.length = 0};
	struct pollfd reader = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct timeval now;
	struct tm	utc;
	char		at[64];
	va_list		pairs;
	const char *key;

	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &utc);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(at + strlen(at), sizeof(at) - strlen(at), ".%03dZ", (int) (now.tv_usec / 1000));
	add_text(&line, "at=");
	add_text(&line, at);
	add_text(&line, " event=");
	add_value(&line, event);

	va_start(pairs, event);
	while ((key = va_arg(pairs, const char *)) != NULL)
	{
		const char *value = va_arg(pairs, const char *);

		if (value == NULL || line.length > LINE_SIZE - 64)
			continue;
		add_char(&line, ' ');
		add_text(&line, key);
		add_char(&line, '=');
		add_value(&line, value);
	}
	va_end(pairs);

	/*
	 * One write a line: lines of several processes do not mix.  A reader that
	 * has stopped reading costs lines, and does not stop the worker.
	 */
	line.text[line.length++] = '\n';
	if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLOUT))
		(void) !write(STDERR_FILENO, line.text, line.length);
}
