/*
 * programs.c
 *	  Which programs the runbook directory holds.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/programs.h"

/* Names of other characters are nothing that a runbook would call. */
#define PLAIN	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+"

static int
plain_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && entry->d_name[strspn(entry->d_name, PLAIN)] == '\0';
}

char *
zdu_programs_list(const char *directory)
{
	struct dirent **entries;
	int			count = scandir(directory, &entries, plain_name, alphasort);
	char	   *list = NULL;
	size_t		size;
	FILE	   *out;
	int			fd;
	int			i;
	const char *separator = "{";

	if (count < 0)
		return NULL;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out = open_memstream(&list, &size);
	if (out == NULL)
		abort();
	for (i = 0; i < count; i++)
	{
		struct stat found;

		if (fstatat(fd, entries[i]->d_name, &found, 0) == 0 && S_ISREG(found.st_mode) &&
			faccessat(fd, entries[i]->d_name, X_OK, 0) == 0)
		{
			fprintf(out, "%s\"%s\"", separator, entries[i]->d_name);
			separator = ",";
		}
		free(entries[i]);
	}
	fputs(*separator == '{' ? "{}" : "}", out);
	fclose(out);
	free(entries);
	if (fd >= 0)
		close(fd);
	return list;
}
