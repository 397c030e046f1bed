/*
 * dice.h
 *	  Chance that can be repeated.
 */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Dice
{
	uint64_t	state;
} Dice;

/* Different streams of one seed have nothing to do with each other. */
extern Dice dice_make(uint64_t seed, uint64_t stream);

/* Returns 0 to n - 1. */
extern int	dice_below(Dice *d, int n);

/* Returns low to high. */
extern int	dice_between(Dice *d, int low, int high);

/* True in so many of a hundred cases. */
extern bool dice_percent(Dice *d, int percent);

/* Returns a number from low to high, small ones as likely as large ones: each doubling has the same share. */
extern double dice_spread(Dice *d, double low, double high);

/* Goes on with a hash over a text (NULL is none). */
extern uint64_t hash_text(uint64_t hash, const char *text);

#endif							/* SIM_DICE_H */
