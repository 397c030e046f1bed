/*
 * count.h
 *	  How zdu.node_count follows zdu.node.
 *
 * A query that adds, removes or groups nodes ends with ZDU_COUNT_DELTA: `old`
 * are the rows as they were, `written` as they are now, both with the columns
 * of ZDU_COUNTED; $1 is the cluster.  Where nodes go from one state to another,
 * which is at every step, both are known already: zdu_counts_move().
 */
#ifndef ZDU_COUNT_H
#define ZDU_COUNT_H

#include "postgres.h"

#include "core/fsm.h"

/* What of a node is counted. */
typedef struct ZduCounted
{
	const char *version;		/* NULL: not known */
	ZduNodeState state;
	bool		confirmed;
	bool		in_rotation;
	bool		attached;
	bool		taken;
	const int64 *budgets;
	int			nbudgets;
} ZduCounted;

/* Takes n nodes from what was counted of them to what they are now. */
extern void zdu_counts_move(int64 cluster_id, const ZduCounted *was, const ZduCounted *now, int n);

#define ZDU_COUNTED(n) \
	n "version, " n "state, " n "confirmed, " n "in_rotation, " n "attached, " n "taken, " n "budgets"

#define ZDU_COUNT_DELTA \
	"delta AS (SELECT " ZDU_COUNTED("x.") ", sum(x.d) AS d " \
	"  FROM (SELECT " ZDU_COUNTED("o.") ", -1 AS d FROM old o UNION ALL SELECT " ZDU_COUNTED("w.") ", 1 FROM written w) x " \
	"  GROUP BY " ZDU_COUNTED("x.") " HAVING sum(x.d) <> 0) " \
	ZDU_COUNT_STORE

/* The same where `delta` has been made already. */
#define ZDU_COUNT_STORE \
	"INSERT INTO zdu.node_count AS k (cluster_id, " ZDU_COUNTED("") ", n) " \
	"SELECT $1, " ZDU_COUNTED("d.") ", d.d FROM delta d " \
	"ON CONFLICT ON CONSTRAINT node_count_key DO UPDATE SET n = k.n + excluded.n"

#endif							/* ZDU_COUNT_H */
