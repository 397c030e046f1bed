/*
 * copies.c
 *	  Copies of data, and what a node's leaving does to them.
 */
#include "core/copies.h"

#include <string.h>

#include "core/place.h"

ZduAvailability
zdu_availability_of(const char *name)
{
	if (strcmp(name, "primaries") == 0)
		return AVAILABILITY_PRIMARIES;
	return strcmp(name, "full") == 0 ? AVAILABILITY_FULL : AVAILABILITY_NONE;
}

int
zdu_copies_wanted(const ZduResource *r)
{
	if (r->placed < r->lowest)
		return r->lowest;
	return r->placed < r->highest ? r->placed : r->highest;
}

int
zdu_copies_quorum(int copies)
{
	return copies <= 2 ? 1 : copies / 2 + 1;
}

ZduLeaving
zdu_copies_leaving(ZduAvailability level, const ZduResource *r)
{
	int			quorum = zdu_copies_quorum(zdu_copies_wanted(r));

	/* Under `full` no copy may be missing for a moment: each moves before its node leaves. */
	if (level == AVAILABILITY_FULL)
		return LEAVING_MUST_MOVE;
	if (level == AVAILABILITY_NONE || zdu_keeps_copies(r->present, quorum))
		return LEAVING_HARMLESS;
	return r->active - 1 >= quorum ? LEAVING_MUST_WAIT : LEAVING_MUST_MOVE;
}

void
zdu_copies_debit(ZduResource *r)
{
	r->present--;
}

int
zdu_copies_nodes_needed(int highest, int k)
{
	return highest + k;
}
