/*
 * group.h
 *	  Groups of nodes.
 */
#ifndef ZDU_GROUP_H
#define ZDU_GROUP_H

#include "store/facts.h"

/* ERROR 55000 in upgrade mode: groups are the rollout's then (N12). */
extern void zdu_check_group_change(const ZduFacts *f);

#endif							/* ZDU_GROUP_H */
