/*
 * dice.c
 *	  Chance that a seed repeats.
 */
#include "core/dice.h"

#include <math.h>

#define TURN 6.283185307179586

/* Neighbouring seeds must not give neighbouring numbers. */
static uint64_t
mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

ZduDice
zdu_dice(int64_t seed, int64_t n)
{
	ZduDice		d = {mix(mix((uint64_t) seed) ^ (uint64_t) n)};

	return d;
}

double
zdu_dice_share(ZduDice *d)
{
	d->state++;
	return ((double) (mix(d->state) >> 11) + 0.5) / 9007199254740992.0;
}

int
zdu_dice_below(ZduDice *d, int n)
{
	int			i = (int) (zdu_dice_share(d) * n);

	return i < n ? i : n - 1;
}

double
zdu_dice_lognormal(ZduDice *d, double median, double sigma)
{
	double		length = sqrt(-2 * log(zdu_dice_share(d)));

	return median * exp(sigma * length * cos(TURN * zdu_dice_share(d)));
}
