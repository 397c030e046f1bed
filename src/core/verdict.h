/*
 * verdict.h
 *	  What a predicate says: yes or no, by which rule, and what helps.
 *
 * Pure: no server headers.
 */
#ifndef ZDU_VERDICT_H
#define ZDU_VERDICT_H

#include <stdbool.h>

#include "core/stage.h"

#define ZDU_TEXT_SIZE 256

typedef struct ZduVerdict
{
	ZduAnswer	answer;			/* UNKNOWN counts as no */
	const char *rule;
	const char *subject;		/* the predicate's name */
	const char *since;			/* a timestamp as text; NULL: not said */
	char		observed[ZDU_TEXT_SIZE];
	char		allowed[ZDU_TEXT_SIZE];
	char		hint[ZDU_TEXT_SIZE];	/* a command, or "" */
} ZduVerdict;

/* Sets the answer. */
extern void zdu_answer(ZduVerdict *v, bool yes);

/* Writes one of a verdict's texts; what does not fit is cut between characters. */
extern void zdu_say(char *where, const char *format,...)
			__attribute__((format(printf, 2, 3)));

#endif							/* ZDU_VERDICT_H */
