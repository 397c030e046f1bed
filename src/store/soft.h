/*
 * soft.h
 *	  A type's input function, with its error as a value.
 */
#ifndef ZDU_SOFT_H
#define ZDU_SOFT_H

#include "postgres.h"

#include "fmgr.h"

typedef struct ZduSoftError
{
	const char *sqlstate;
	const char *message;
} ZduSoftError;

/*
 * Calls an input function that takes a C string.  Returns true and sets
 * *result, or false and sets *error.
 */
extern bool zdu_soft_input(PGFunction input, const char *text, Datum *result, ZduSoftError *error);

#endif							/* ZDU_SOFT_H */
