/*
 * join.h
 *	  What nodes may say about themselves, and what they are told.
 */
#ifndef ZDU_JOIN_H
#define ZDU_JOIN_H

#include "api/api.h"

/*
 * True if the caller may report for a node with this login (NULL: any node);
 * a node's login may for that node only, workers may for all.
 */
extern bool zdu_may_report(Oid caller, const char *login);

/* Returns 0 not in upgrade, 1 old node, 2 new node (N10). */
extern int	zdu_upgrade_state(const ZduFacts *f, const char *version);

#endif							/* ZDU_JOIN_H */
