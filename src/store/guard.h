/*
 * guard.h
 *	  Guards: what is looked at all through an upgrade (S6).
 */
#ifndef ZDU_STORE_GUARD_H
#define ZDU_STORE_GUARD_H

#include "postgres.h"

#include "store/facts.h"
#include "store/runbook.h"

/* Makes the guards of an upgrade that begins. */
extern void zdu_guards_make(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id);

#endif							/* ZDU_STORE_GUARD_H */
