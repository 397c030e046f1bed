/*
 * haproxy_answer.c
 *	  What HAProxy's runtime API answers, as JSON.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/haproxy_answer.h"
#include "worker/text.h"

#define MAX_FIELDS		160

/* Bits of srv_admin_state: forced or inherited, by a person, the file or a missing address. */
#define ADMIN_MAINT		(0x01 | 0x02 | 0x04 | 0x20 | 0x40)
#define ADMIN_DRAIN		(0x08 | 0x10)

/*
 * Splits a line in place at `separator`, where a field may stand in quotes and
 * a quote inside is doubled.  Returns the number of fields.
 */
static int
split_line(char *line, char separator, char **fields)
{
	int			count = 0;
	char	   *from = line;

	while (count < MAX_FIELDS)
	{
		char	   *to = from;
		bool		quoted = *from == '"';

		fields[count++] = to;
		from += quoted;
		while (*from != '\0' && (quoted || *from != separator))
		{
			if (quoted && *from == '"' && *++from != '"')
			{
				quoted = false;
				continue;
			}
			*to++ = *from++;
		}
		if (*from == '\0')
		{
			*to = '\0';
			break;
		}
		*to = '\0';
		from++;
	}
	return count;
}

/*
 * Returns the next line without its end and moves *rest behind it; NULL when
 * there is none.
 */
static char *
next_line(char **rest)
{
	return *rest == NULL || **rest == '\0' ? NULL : strsep(rest, "\n");
}

static int
find_field(char *const *names, int count, const char *name)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static json_t *
field_value(const char *text)
{
	char	   *end;
	long long	number = strtoll(text, &end, 10);

	if (*end == '\0' && strlen(text) < 19)
		return json_integer(number);
	return zdu_text_clean(text, strlen(text), 1024);
}

/*
 * Looks for the server's row in a table whose header begins with "# " and
 * which ends with an empty line.  Returns the row as an object, or NULL.
 */
static json_t *
find_row(char **rest, char separator, const char *backend_name, const char *backend,
		 const char *server_name, const char *server)
{
	char	   *names[MAX_FIELDS];
	char	   *fields[MAX_FIELDS];
	int			nnames = 0;
	int			backend_at = -1;
	int			server_at = -1;
	json_t	   *row = NULL;
	char	   *line;

	while ((line = next_line(rest)) != NULL && *line != '\0')
	{
		int			count;
		int			i;

		if (strncmp(line, "# ", 2) == 0)
		{
			nnames = split_line(line + 2, separator, names);
			backend_at = find_field(names, nnames, backend_name);
			server_at = find_field(names, nnames, server_name);
			continue;
		}
		if (row != NULL || backend_at < 0 || server_at < 0)
			continue;
		count = split_line(line, separator, fields);
		if (count <= backend_at || count <= server_at ||
			strcmp(fields[backend_at], backend) != 0 || strcmp(fields[server_at], server) != 0)
			continue;
		row = json_object();
		for (i = 0; i < count && i < nnames; i++)
			if (*names[i] != '\0' && *fields[i] != '\0')
				json_object_set_new(row, names[i], field_value(fields[i]));
	}
	return row;
}

json_t *
zdu_haproxy_set_state(const char *answer, size_t length)
{
	while (length > 0 && (answer[length - 1] == '\n' || answer[length - 1] == ' '))
		length--;
	if (length == 0)
		return json_object();
	return json_pack("{s:o}", "error", zdu_text_clean(answer, length, 1024));
}

json_t *
zdu_haproxy_server(const char *answer, size_t length, const char *backend, const char *server)
{
	char	   *copy = strndup(answer != NULL ? answer : "", length);
	char	   *rest = copy;
	json_t	   *row;
	json_t	   *state;

	if (copy == NULL)
		abort();
	row = find_row(&rest, ',', "pxname", backend, "svname", server);
	if (row == NULL)
	{
		free(copy);
		return zdu_text_error("no such server");
	}
	state = find_row(&rest, ' ', "be_name", backend, "srv_name", server);
	if (state != NULL)
	{
		json_int_t	bits = json_integer_value(json_object_get(state, "srv_admin_state"));

		json_object_set_new(row, "admin", json_string(bits & ADMIN_MAINT ? "maint" :
													  bits & ADMIN_DRAIN ? "drain" : "ready"));
		json_decref(state);
	}
	free(copy);
	return row;
}
