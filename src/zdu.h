/*
 * zdu.h
 *	  The extension's clock and settings.
 */
#ifndef ZDU_H
#define ZDU_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Returns the time that zdu goes by; every decision takes it from here. */
extern TimestampTz zdu_now(void);

#endif							/* ZDU_H */
