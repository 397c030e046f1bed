/*
 * facts.h
 *	  The facts of a cluster, read under its lock, and the writing of its
 *	  state and its upgrade's.
 */
#ifndef ZDU_FACTS_H
#define ZDU_FACTS_H

#include "postgres.h"

#include "core/decide.h"
#include "store/spi.h"

/* Returns the facts as they are now, or NULL when there is no such cluster. */
extern ZduFacts *zdu_facts_load(const char *name);

/* Locks the cluster, then loads; ERROR 42704 with a hint when there is none. */
extern ZduFacts *zdu_facts_locked(const char *name);

/*
 * The same without what is counted: only the cluster's row, its policy and its
 * upgrade.  Enough to store what is reported of steps while none of them fails.
 */
extern ZduFacts *zdu_settings_locked(const char *name);

/* ERROR 42704: no such cluster. */
extern void zdu_no_such_cluster(const char *name) pg_attribute_noreturn();

/* Returns the name of the only cluster, or NULL when there is none or several. */
extern char *zdu_cluster_only(void);

/*
 * Ends a decision: derives the cluster's state anew from what is stored by
 * now, writes it with the bumped serial, and returns the facts as they are then
 * (the same ones if f->current).
 */
extern ZduFacts *zdu_facts_settle(ZduFacts *f);

/* Stores run of the active upgrade and notes the event; a run that ends it sets ended_at. */
extern void zdu_upgrade_move(ZduFacts *f, ZduRun run, const char *rule, const char *reason);

/* Holds the upgrade; one that is held, or ending, keeps what it has. */
extern void zdu_upgrade_hold(ZduFacts *f, const char *rule, const char *reason);

/* Sets how many failures count against it. */
extern void zdu_upgrade_set_failures(ZduFacts *f, int failures);

/* True in upgrade mode: from begin to the accepted finalize. */
extern bool zdu_upgrade_mode(const ZduFacts *f);

/* Seconds between sweeps: short while work is in flight. */
extern double zdu_sweep_interval(const ZduFacts *f);

/* Adds what was listened since the last sweep; false when none is due. Needs the lock. */
extern bool zdu_listen(ZduFacts *f);

/* Stores that work waits, or does not, for a worker with free slots. */
extern void zdu_set_work_waits(ZduFacts *f, bool waits);

#endif							/* ZDU_FACTS_H */
