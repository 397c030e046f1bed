/*
 * gate.h
 *	  Gates as they are stored.
 */
#ifndef ZDU_STORE_GATE_H
#define ZDU_STORE_GATE_H

#include "postgres.h"

#include "store/facts.h"
#include "utils/jsonb.h"

/* Read the first gate that is not open, or the next one behind it, into f->gate; its name is NULL when there is none. */
extern void zdu_gate_first(ZduFacts *f);
extern void zdu_gate_next(ZduFacts *f);

/* Goes on to the first gate that may not open now, without opening any. */
extern void zdu_gate_look_on(ZduFacts *f);

/*
 * Stores the gates that an upgrade begins with: those of the cluster, one
 * behind the canary nodes, and one for each cluster that must be final first.
 * nodes: how many have a turn; canary: so many of them, 0: none.
 */
extern void zdu_gates_pin(ZduFacts *f, int64 upgrade_id, int nodes, int canary);

/*
 * Sees to it that what f->gate waits for in another cluster stays as it is until
 * the end of the transaction; false: it does not, or cannot be told now.
 */
extern bool zdu_gate_secure(ZduFacts *f);

/* Store of f->gate: the nodes before it are done and well from now on, or not any more; it is open. */
extern void zdu_gate_reach(ZduFacts *f, bool reached);
extern void zdu_gate_open(ZduFacts *f);

/* Let workers look whether its condition holds, or not any more. */
extern void zdu_gate_watch(ZduFacts *f);
extern void zdu_gate_unwatch(ZduFacts *f);

/* Returns what a look that fails does: wait, hold or rollback; NULL: the last look did not fail, or the gate is open. */
extern char *zdu_gate_on_fail(const ZduFacts *f, const char *name);

/* Keeps the preparation back; lets workers begin it, and returns whether there is something to begin. */
extern void zdu_preparation_keep_back(const ZduFacts *f);
extern bool zdu_preparation_begin(const ZduFacts *f);

#endif							/* ZDU_STORE_GATE_H */
