/*
 * protocol.h
 *	  What workers of which protocol understand (M6).
 *
 * Pure: no server headers.  A worker says its protocol's number; what that
 * does not know it never gets.  This release and the previous one are served.
 */
#ifndef ZDU_PROTOCOL_H
#define ZDU_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#define ZDU_PROTOCOL		2
#define ZDU_PROTOCOL_OLDEST	1

/* Watches: rows without a token that say which watch they are for. */
#define ZDU_PROTOCOL_WATCHES	2

/* Returns the first protocol that knows a key of a SPEC; 1 for those known from the beginning. */
extern int	zdu_protocol_of_key(const char *key, size_t len);

/* Returns whether a number is one that is served. */
extern bool zdu_protocol_is_served(int protocol);

#endif							/* ZDU_PROTOCOL_H */
