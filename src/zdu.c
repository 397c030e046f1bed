/*
 * zdu.c
 *	  Module magic, settings and the clock.
 */
#include "zdu.h"

#include "compat.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(zdu_clock);

/* Settings for tests: seconds since 1970, 0 is the real time; and seconds to add. */
static double clock_at = 0;
static double clock_offset = 0;

void		_PG_init(void);

void
_PG_init(void)
{
	DefineCustomRealVariable("zdu.clock_offset",
							 "Moves the time that zdu goes by, for tests.",
							 NULL,
							 &clock_offset,
							 0, 0, 1e9,
							 PGC_SUSET, GUC_UNIT_S | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	DefineCustomRealVariable("zdu.clock",
							 "Sets the time that zdu goes by, in seconds since 1970, for tests; 0 is the real time.",
							 NULL,
							 &clock_at,
							 0, 0, 1e10,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("zdu");
}

TimestampTz
zdu_now(void)
{
	TimestampTz now;

	if (clock_at == 0)
		now = GetCurrentTimestamp();
	else
		now = (TimestampTz) ((clock_at - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY) * USECS_PER_SEC);
	return now + (TimestampTz) (clock_offset * USECS_PER_SEC);
}

Datum
zdu_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(zdu_now());
}
