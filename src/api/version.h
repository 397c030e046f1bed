/*
 * version.h
 *	  The type zdu_version, for the other functions.
 */
#ifndef ZDU_API_VERSION_H
#define ZDU_API_VERSION_H

#include "postgres.h"

/* ERROR 22P02 with the position when a text is no version. */
extern void zdu_version_check(const char *text);

#endif							/* ZDU_API_VERSION_H */
