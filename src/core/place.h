/*
 * place.h
 *	  What may go, in the smallest terms: a place in a budget, copies of data.
 *
 * Pure: no server headers.  Decisions and plans both ask these.
 */
#ifndef ZDU_PLACE_H
#define ZDU_PLACE_H

#include <stdbool.h>

/*
 * Returns whether a budget has `wanted` more places (D10, D11); a negative
 * limit has any number.  Who wants none gets that, even of an overdrawn budget (D12).
 */
static inline bool
zdu_has_place(int limit, int unavailable, int wanted)
{
	return wanted == 0 || limit < 0 || unavailable + wanted <= limit;
}

/* Returns how many of so many copies a write needs (D4): 1 of 1, 1 of 2, 2 of 3, 3 of 4, 3 of 5. */
static inline int
zdu_quorum(int copies)
{
	return copies <= 2 ? 1 : copies / 2 + 1;
}

/* Returns whether one active copy may leave: what is lost already cannot be lost by that (D4). */
static inline bool
zdu_keeps_copies(int active, int minimum)
{
	return active != minimum;
}

#endif							/* ZDU_PLACE_H */
