/*
 * gate.h
 *	  Gates on the way of an upgrade: they are reached, looked at, opened.
 */
#ifndef ZDU_API_GATE_H
#define ZDU_API_GATE_H

#include "api/api.h"
#include "store/watch.h"

/*
 * Goes as far as the gates allow now: opens those that may, notes that one is
 * reached or not any more, lets workers look at its condition, and lets the
 * preparation begin.  f->gate is then the first that is not open.
 */
extern void zdu_gates_advance(ZduFacts *f);

/* What a look at a gate's condition does besides being kept. */
extern void zdu_gate_saw(ZduFacts *f, const ZduWatchState *w);

#endif							/* ZDU_API_GATE_H */
