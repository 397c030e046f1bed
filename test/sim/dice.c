/*
 * dice.c
 *	  Chance that can be repeated: splitmix64.
 */
#include "dice.h"

#include <math.h>
#include <stddef.h>

static uint64_t
next(Dice *d)
{
	uint64_t	z = (d->state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

Dice
dice_make(uint64_t seed, uint64_t stream)
{
	Dice		d = {seed};

	d.state = next(&d) ^ (stream * UINT64_C(0xD6E8FEB86659FD93));
	(void) next(&d);
	return d;
}

int
dice_below(Dice *d, int n)
{
	return n <= 1 ? 0 : (int) (next(d) % (uint64_t) n);
}

int
dice_between(Dice *d, int low, int high)
{
	return low + dice_below(d, high - low + 1);
}

bool
dice_percent(Dice *d, int percent)
{
	return dice_below(d, 100) < percent;
}

double
dice_spread(Dice *d, double low, double high)
{
	double		share = (double) (next(d) >> 11) / 9007199254740992.0;

	/* In milliseconds: what is printed is what it was. */
	return round(low * pow(high / low, share) * 1000) / 1000;
}

uint64_t
hash_text(uint64_t hash, const char *text)
{
	for (const char *p = text != NULL ? text : "\1"; *p; p++)
		hash = (hash ^ (unsigned char) *p) * UINT64_C(0x100000001B3);
	return (hash ^ 0xFF) * UINT64_C(0x100000001B3);
}
