/*
 * conninfo.c
 *	  Connection strings that came out of a database.
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/conninfo.h"

const char *
zdu_conninfo_refuse(const char *conninfo)
{
	static const char *const secrets[] = {"password", "passfile", "sslpassword", "sslkey", NULL};
	static const char *const places[] = {"host", "hostaddr", "port", NULL};
	PQconninfoOption *given;
	PQconninfoOption *option;
	bool		secret = false;
	bool		place = false;
	bool		service = getenv("PGSERVICE") != NULL;
	int			i;

	if (conninfo == NULL)
		return "no connection string";
	given = PQconninfoParse(conninfo, NULL);
	if (given == NULL)
		return "the connection string cannot be read";
	for (option = given; option->keyword != NULL; option++)
	{
		if (option->val == NULL)
			continue;
		for (i = 0; secrets[i] != NULL; i++)
			secret = secret || strcmp(option->keyword, secrets[i]) == 0;
		for (i = 0; places[i] != NULL; i++)
			place = place || strcmp(option->keyword, places[i]) == 0;
		service = service || strcmp(option->keyword, "service") == 0;
	}
	PQconninfoFree(given);
	if (secret)
		return "a connection string must not bring a password or a key";
	if (service && place)
		return "a connection string must not pair a service with a host";
	return NULL;
}
