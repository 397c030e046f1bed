/*
 * delta.h
 *	  What was written to protected tables in upgrade mode (M5).
 */
#ifndef ZDU_DELTA_H
#define ZDU_DELTA_H

#include "api/protect.h"

/* Records the row for which an AFTER trigger was fired. */
extern void zdu_delta_record(const ZduWrite *w, TriggerData *trigger);

#endif							/* ZDU_DELTA_H */
