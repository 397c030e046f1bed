/*
 * why.h
 *	  The answer of zdu_why, line by line.
 */
#ifndef ZDU_WHY_H
#define ZDU_WHY_H

#include "api/api.h"

typedef struct ZduWhy
{
	ReturnSetInfo *rsinfo;		/* NULL: only the first line is wanted */
	bool		every;
	char	   *first;			/* the first refusal, for zdu.status */
} ZduWhy;

/* Adds a line; all but verdict, subject and observed may be NULL. */
extern void zdu_why_put(ZduWhy *a, const char *verdict, const char *rule, const char *subject, const char *observed, const char *allowed,
						const char *since, const char *hint);

/* Adds what helps, as far as the caller may do it.  only: about this node; NULL: about the upgrade. */
extern void zdu_advise(ZduWhy *a, const ZduCall *call, const char *only);

#endif							/* ZDU_WHY_H */
