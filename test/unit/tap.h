/*
 * tap.h
 *	  The little of TAP that the unit tests print.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))

static int	tap_run = 0;
static int	tap_failed = 0;

/* Prints one assertion: the rule it proves, and what it claims. */
static void
__attribute__((format(printf, 3, 4)))
ok(bool passed, const char *rule, const char *claim,...)
{
	va_list		ap;

	tap_run++;
	if (!passed)
		tap_failed++;
	printf("%sok %d - %s: ", passed ? "" : "not ", tap_run, rule);
	va_start(ap, claim);
	vprintf(claim, ap);
	va_end(ap);
	putchar('\n');
}

/* Prints the plan and returns the exit status. */
static int
tap_end(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif							/* TAP_H */
