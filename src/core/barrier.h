/*
 * barrier.h
 *	  What stands between an upgrade and its next node that is no budget:
 *	  the barrier of a gate, a freeze, a window that is shut.
 *
 * Pure: no server headers.  Nodes have places in the order of an upgrade, from
 * 1; a gate stands behind a place, 0 being before the first node.  Only the
 * first gate that is not open matters: what lies behind it waits.
 */
#ifndef ZDU_BARRIER_H
#define ZDU_BARRIER_H

#include <stdint.h>

#include "core/verdict.h"

/* The place of nodes that turned up after begin: behind every gate but those of the end. */
#define ZDU_PLACE_LAST 2147483647

/* The first gate that is not open, as it is now. */
typedef struct ZduGate
{
	const char *name;			/* NULL: none */
	int			place;			/* nodes behind it wait */
	bool		waived;
	const char *since;			/* when the nodes before it were done; NULL: they are not */
	const char *waits_for;		/* "app1 is STARTING at 1.0"; NULL: all nodes before it are done and well */
	double		soak;			/* seconds listened that they must have been so */
	double		soak_left;
	bool		asks;			/* workers look whether its condition holds */
	const char *until;			/* the condition */
	ZduAnswer	verdict;		/* of the last look */
	const char *seen;			/* by it; NULL: there was no look yet */
	double		age;			/* of the look, seconds */
	double		max_age;		/* an older one is worth nothing */
	bool		wants_approval;
	bool		approved;
	const char *needs;			/* another cluster that has to be final; NULL: none */
	const char *needs_is;		/* what it is */
	const char *needs_wanted;
	bool		needs_met;
	int64_t		watch_id;		/* what workers look at; 0: nothing just now */
} ZduGate;

/* A freeze or a window, as it is now. */
typedef struct ZduFreeze
{
	int64_t		id;				/* it stands in the signature of the nodes that it means */
	bool		window;
	bool		in_force;		/* and, if it is a freeze, not waived; a window that is waived is open */
	const char *name;
	const char *where;			/* which nodes, in words that begin with a blank: " in zone a"; "" for every node */
	const char *since;
	const char *until;			/* NULL: for good */
	const char *reason;
	double		opens_in;		/* seconds until a window opens; negative: it does not */
} ZduFreeze;

/* What the calendar says. */
typedef struct ZduCalendar
{
	/* of every node */
	const ZduFreeze *freeze;	/* the one in force that lasts longest; NULL: none */
	bool		windows;		/* there are windows */
	bool		open;			/* and now is in one of them */
	const char *next_window;	/* when one opens; NULL: none is known */
	double		next_in;		/* the same in seconds */

	/* of some nodes, what lasts longest first */
	const ZduFreeze *of_nodes;
	int			nof_nodes;
	bool		unsettled;		/* not all of them stand in signatures yet */
} ZduCalendar;

struct ZduFacts;
struct ZduCandidate;

/* May the first gate open now?  True too if there is none. */
extern bool zdu_decide_gate(const struct ZduFacts *f, ZduVerdict *v);

/* Returns the last place that no closed gate keeps back. */
extern int	zdu_decide_reach(const struct ZduFacts *f);

/* May the preparation begin: nothing forbids to take nodes, whatever their place? */
extern bool zdu_decide_prepare(const struct ZduFacts *f);

/* True if nodes may not go forward now; of_nodes: places of what means them among the calendar's of_nodes. */
extern bool zdu_calendar_forbids(const ZduCalendar *cal, const int *of_nodes, int n);

/* The predicates; see decide.c. */
extern void zdu_ask_guards_known(const struct ZduFacts *f, const struct ZduCandidate *c, ZduVerdict *v);
extern void zdu_ask_not_frozen(const struct ZduFacts *f, const struct ZduCandidate *c, ZduVerdict *v);
extern void zdu_ask_in_window(const struct ZduFacts *f, const struct ZduCandidate *c, ZduVerdict *v);
extern void zdu_ask_wave_open(const struct ZduFacts *f, const struct ZduCandidate *c, ZduVerdict *v);
extern void zdu_ask_gate_passed(const struct ZduFacts *f, const struct ZduCandidate *c, ZduVerdict *v);

#endif							/* ZDU_BARRIER_H */
