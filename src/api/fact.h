/*
 * fact.h
 *	  What was recorded, and what an upgrade wants of it (S5).
 */
#ifndef ZDU_FACT_H
#define ZDU_FACT_H

#include "api/api.h"
#include "store/runbook.h"

/*
 * Says which fact that the runbook requires for an upgrade to this target is
 * missing, too old or not what it must be, and not waived: sets *name.  NULL:
 * none.
 */
extern char *zdu_fact_missing(const ZduFacts *f, const ZduRunbook *rb, const char *target, char **name);

#endif							/* ZDU_FACT_H */
