/*
 * operation.h
 *	  Named operations that must not meet an upgrade (M2).
 */
#ifndef ZDU_OPERATION_H
#define ZDU_OPERATION_H

#include "store/facts.h"

/*
 * Returns an operation that runs, as a person would say it, with its token;
 * NULL: none.
 */
extern const char *zdu_operation_running(const ZduFacts *f, int64 *token);

/* Ends those whose lease is over: what comes now need not wait for them. */
extern void zdu_operations_expire(const ZduFacts *f);

#endif							/* ZDU_OPERATION_H */
