/*
 * copies.h
 *	  Copies of data, and what a node's leaving does to them (D3-D5).
 *
 * Pure: no server headers.
 */
#ifndef ZDU_COPIES_H
#define ZDU_COPIES_H

#include <stdbool.h>

/* What an upgrade must keep: zdu.policy.min_availability. */
typedef enum ZduAvailability
{
	AVAILABILITY_NONE,
	AVAILABILITY_PRIMARIES,
	AVAILABILITY_FULL
} ZduAvailability;

/* A resource and its copies, such as a shard. */
typedef struct ZduResource
{
	const char *name;
	int			lowest;			/* copies, the primary included, that it is to have at least */
	int			highest;		/* and at most: the upper bound of a range */
	int			placed;			/* nodes that have one, in whatever state */
	int			active;			/* of them: that serve, or would if their node did */
	int			present;		/* of those: on nodes that are up and not taken */
} ZduResource;

/* What a node's leaving does to a resource of which it has an active copy. */
typedef enum ZduLeaving
{
	LEAVING_HARMLESS,			/* it keeps its write quorum, or had none */
	LEAVING_MUST_WAIT,			/* it would lose it, because of copies that are away for now */
	LEAVING_MUST_MOVE			/* it would lose it with all others there: the copy has to move first */
} ZduLeaving;

/* Returns the level of that name; NONE for anything else. */
extern ZduAvailability zdu_availability_of(const char *name);

/* Returns how many copies are to be there: as many as are placed, within the bounds. */
extern int	zdu_copies_wanted(const ZduResource *r);

/* Returns how many of `copies` must be there for a write (D4): 1 of 1, 1 of 2, then the majority. */
extern int	zdu_copies_quorum(int copies);

/* Returns what it does to a resource when a node that has an active copy leaves. */
extern ZduLeaving zdu_copies_leaving(ZduAvailability level, const ZduResource *r);

/* The same node has left: debits its copy. */
extern void zdu_copies_debit(ZduResource *r);

/* Returns how many nodes `full` needs for a resource with k nodes away at once (D3). */
extern int	zdu_copies_nodes_needed(int highest, int k);

#endif							/* ZDU_COPIES_H */
