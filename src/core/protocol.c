/*
 * protocol.c
 *	  What workers of which protocol understand (M6).
 */
#include "core/protocol.h"

#include <string.h>

/* Keys of a SPEC that older workers would overlook: they would do something else than was meant. */
static const struct
{
	const char *key;
	int			since;
}			keys[] = {
	{"form", 2},				/* http: parts instead of a body */
	{"transaction", 2},			/* sql: a statement by itself */
	{"sessions", 2},			/* exec: where it blocks others */
};

int
zdu_protocol_of_key(const char *key, size_t len)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strlen(keys[i].key) == len && memcmp(keys[i].key, key, len) == 0)
			return keys[i].since;
	return 1;
}

bool
zdu_protocol_is_served(int protocol)
{
	return protocol >= ZDU_PROTOCOL_OLDEST && protocol <= ZDU_PROTOCOL;
}
