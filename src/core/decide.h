/*
 * decide.h
 *	  Named predicates over the facts of a cluster.
 *
 * Pure: no server headers.  The exchange asks them before it takes a node,
 * zdu_why prints them: one set of predicates, so that both say the same.
 */
#ifndef ZDU_DECIDE_H
#define ZDU_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/barrier.h"
#include "core/budget.h"
#include "core/copies.h"
#include "core/fsm.h"
#include "core/stage.h"
#include "core/verdict.h"

/* What is known of a cluster; texts are NULL where the database has NULL. */
typedef struct ZduFacts
{
	int64_t		cluster_id;
	const char *name;
	const char *product;
	const char *owner;
	const char *policy;
	const char *runbook;
	const char *version;
	ZduClusterState state;
	const char *original;
	const char *target;
	const char *schema_version; /* NULL: not seen */
	bool		schema_watched; /* the runbook says how it is seen */
	int64_t		serial;			/* of the decision before this one */
	double		listened;
	int64_t		swept_at;		/* a timestamp of the server's */
	bool		work_waits;
	bool		current;		/* nothing was stored since that would change these facts */
	bool		uncounted;		/* counts, budgets, the gate, the calendar were not read: nothing can be decided */

	/* the policy; durations in seconds */
	const char *early_end;
	bool		second_person;
	const char *cancel;
	const char *rollback;
	const char *repeat_begin;
	const char *offline_at_end;
	const char *schema_phase;
	const char *version_step;
	const char *min_version;	/* NULL: any */
	bool		require_latest_patch;
	int			max_versions;	/* 0: any between original and target */
	const char *max_unavailable;
	ZduAvailability min_availability;
	bool		reallocate;
	const char *drain_on_timeout;
	const char *finalize;
	const char *on_failure;
	double		heartbeat_ttl;
	double		start_timeout;
	double		stop_timeout;
	double		drain_timeout;
	double		min_healthy_time;
	double		lease;
	int			max_failures;
	bool		auto_adopt;
	double		max_block;

	/* the active upgrade; upgrade_id 0: none */
	int64_t		upgrade_id;
	bool		driven;
	const char *node_group;		/* the one it is deployed to; NULL: all nodes */
	bool		together;		/* its nodes go back into rotation together */
	ZduRun		run;
	ZduRun		resume_to;
	int			failures;
	const char *held_rule;
	const char *held_reason;
	const char *began_by;

	/* nodes, see zdu.cluster_facts */
	int			total;
	int			serving;
	int			staying;		/* serving, and not taken */
	int			present;		/* up and not taken: what copies they have can be read and written */
	int			taken;
	int			at_target;
	int			done;
	const char *highest_online;
	int			versions_known;
	const char *lowest_known;
	ZduCounts	counts;

	/* places: the policy's budget first, over every node; then those of zdu.budget by id */
	ZduBudget  *budgets;
	int			nbudgets;
	bool		signatures;		/* nodes may have others than the empty one */

	/* resources of which the candidates at hand have copies */
	ZduResource *resources;
	int			nresources;
	bool		has_copies;		/* something is known of copies */
	bool		copies_watched; /* the runbook says how to see where they are */
	bool		copies_known;	/* nobody says where the copies are, or it was seen lately */

	/* what decisions ask for besides */
	bool		adopted;		/* this database is the one that directs */
	bool		prepared;		/* every `before` step is done */
	bool		steps_open;		/* something is in flight, or waits to be */
	int			undo_open;		/* undo steps not yet done */
	bool		one_waived;		/* D10 is waived */
	const char *leader;			/* NULL: none */
	bool		leader_fit;		/* it can stay the leader */
	bool		watched;		/* something is looked at again and again while it runs */
	bool		unlooked;		/* how a guard was before the upgrade is not known yet */
	ZduGate		gate;
	ZduCalendar calendar;
} ZduFacts;

/* A node that might be taken, or detached. */
typedef struct ZduCandidate
{
	const char *name;
	ZduNodeState state;
	bool		confirmed;
	bool		in_rotation;
	bool		taken;
	bool		back;			/* it goes back to the original */
	bool		stuck;			/* too long between two states */
	int			turn;			/* place in the order of the upgrade */
	int			place;			/* the same as the upgrade began, from 1; gates count by it */
	const int  *budgets;		/* places in ZduFacts.budgets, besides the first, that it falls under */
	int			nbudgets;
	const int  *freezes;		/* places in ZduFacts.calendar.of_nodes of those that mean it */
	int			nfreezes;
	const int  *copies;			/* places in ZduFacts.resources of which it has an active copy */
	int			ncopies;
} ZduCandidate;

/*
 * May a node be taken?  Fills verdicts (room for ZDU_PREDICATES) with every
 * predicate's answer, in order of importance, and returns how many; *allowed
 * says whether all are yes.  candidate NULL: only what does not depend on the node.
 */
#define ZDU_PREDICATES 16
extern int	zdu_decide_take(const ZduFacts *f, const ZduCandidate *candidate, ZduVerdict *verdicts, bool *allowed);

/*
 * The same for taking a node out of rotation by hand (D13): only the budgets.
 */
extern int	zdu_decide_detach(const ZduFacts *f, const ZduCandidate *candidate, ZduVerdict *verdicts, bool *allowed);

/*
 * May the upgrade be finalized (L9-L12, L18)?  Sets the verdict; `worst`
 * describes a node that stands in the way, or is NULL.
 */
extern void zdu_decide_finalize(const ZduFacts *f, const char *worst, ZduVerdict *verdict);

/* Is the schema new enough for the target's library (S1)? */
extern bool zdu_decide_schema_ready(const ZduFacts *f);

/* Returns whether a library of that version may run on the schema, as far as it was seen (S1). */
extern bool zdu_decide_schema_covers(const ZduFacts *f, const char *version);

/* Returns how many more nodes could be taken if they fell under the first budget only, at least 0. */
extern int	zdu_decide_room(const ZduFacts *f);

/* Debits a node that was taken: the next one is decided by what is true from now on. */
extern void zdu_decide_debit(ZduFacts *f, const ZduCandidate *c);

/* Returns whether taking this node makes one more unavailable (D12). */
extern bool zdu_decide_costs(const ZduCandidate *c);

#endif							/* ZDU_DECIDE_H */
