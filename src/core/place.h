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

/* Returns whether one of the copies that are there may leave: a quorum that is lost already cannot be lost by that (D4). */
static inline bool
zdu_keeps_copies(int present, int quorum)
{
	return present != quorum;
}

#endif							/* ZDU_PLACE_H */
