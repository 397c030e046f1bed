/*
 * dice.h
 *	  Chance that a seed repeats.
 *
 * Pure: no server headers.
 */
#ifndef ZDU_DICE_H
#define ZDU_DICE_H

#include <stdint.h>

typedef struct ZduDice
{
	uint64_t	state;
} ZduDice;

/* Returns dice for the n-th of several independent sequences of a seed. */
extern ZduDice zdu_dice(int64_t seed, int64_t n);

/* Returns a number above 0 and below 1, each as likely as any other. */
extern double zdu_dice_share(ZduDice *d);

/* Returns an integer from 0 to below n. */
extern int	zdu_dice_below(ZduDice *d, int n);

/* Returns a positive number whose logarithm is normal: half of them are below median; sigma of its logarithm. */
extern double zdu_dice_lognormal(ZduDice *d, double median, double sigma);

#endif							/* ZDU_DICE_H */
