/*
 * drive.h
 *	  What follows from a decision: nodes unwound, upgrades ended.
 */
#ifndef ZDU_DRIVE_H
#define ZDU_DRIVE_H

#include "api/api.h"
#include "store/node.h"
#include "store/runbook.h"

/*
 * Draws the conclusions at the end of every decision: derives the cluster's
 * state, finalizes by itself where the policy says so, ends what has nothing
 * left to do.  call->f is fresh afterwards.
 */
extern void zdu_drive(ZduCall *call);

/*
 * Brings a taken node back to the original version: what runs is asked to
 * end, and once nothing runs the steps back are made.  Call again when
 * what ran has ended.  The caller stores the node.
 */
extern void zdu_unwind(ZduFacts *f, ZduNode *node);

/*
 * Notes that a taken node has no open step left: it is done, given up or
 * back.  The caller stores the node.
 */
extern void zdu_release(ZduFacts *f, ZduNode *node);

/*
 * Notes that a node has come into another state: one that is ACTIVE, but out of
 * rotation since it was let go in the middle of something, goes back into it.
 * The caller stores the node.
 */
extern void zdu_come_up(ZduFacts *f, ZduNode *node);

/*
 * Gives a turn to a node that turned up at the original version when the
 * upgrade had begun already.
 */
extern void zdu_enlist(ZduFacts *f, const ZduNode *node);

/* Makes the steps by which workers see to it that detached nodes stay out (W2). */
extern void zdu_reassert_detached(ZduFacts *f, ZduRunbook *rb);

/* True if the upgrade has begun to change the node, and has not brought it back since. */
extern bool zdu_node_is_touched(const ZduFacts *f, const ZduNode *node);

/* Makes every touched node go back; the number of them. */
extern int	zdu_roll_back(ZduFacts *f, const char *reason);

/* Ends upgrade mode at a version and lets tasks and undo run (L13, L16). */
extern void zdu_end_mode(ZduFacts *f, const char *version, ZduRun ending, const char *reason);

#endif							/* ZDU_DRIVE_H */
