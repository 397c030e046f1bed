/*
 * protect.h
 *	  Tables of applications that are protected in upgrade mode (M1, M3, M5).
 */
#ifndef ZDU_PROTECT_H
#define ZDU_PROTECT_H

#include "api/api.h"
#include "commands/trigger.h"

/* What a statement's triggers know of the cluster, looked up once a statement. */
typedef struct ZduWrite
{
	int64		cluster_id;		/* 0: there is no such cluster */
	int64		upgrade_id;		/* 0: none is active */
	const char *cluster;
	const char *how;			/* refuse, delta, spool, off */
	const char *original;		/* NULL: not in upgrade mode */
	const char *target;
	const char *old_node;		/* the old node whose login writes; NULL: anybody else */
	const char *shape;			/* of the table, if it is spooled */
} ZduWrite;

/*
 * Waits until nobody who writes to a protected table of the cluster is left,
 * and keeps new ones out until the end of the transaction (M1); then locks and
 * loads the cluster, as the call's.  ERROR ZD002 naming who writes when that
 * takes too long, 40001 when there were others in the end.
 */
extern void zdu_protect_lock(ZduCall *call, const char *cluster);

/*
 * ERROR ZD001 if an upgrade protects tables as the policy says, and that would
 * be another way: by other settings of the policy (locks its clusters, by id),
 * or by another policy of the cluster.
 */
extern void zdu_protect_keep_policy(const char *policy, Jsonb *wanted);
extern void zdu_protect_keep_cluster(const ZduFacts *f, const char *policy);

#endif							/* ZDU_PROTECT_H */
