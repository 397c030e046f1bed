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
	MarkGUCPrefixReserved("zdu");
}

TimestampTz
zdu_now(void)
{
	return GetCurrentTimestamp() + (TimestampTz) (clock_offset * USECS_PER_SEC);
}

Datum
zdu_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(zdu_now());
}
