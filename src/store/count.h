/*
 * count.h
 *	  How zdu.node_count follows zdu.node.
 *
 * A query that writes nodes ends with these: `old` are the rows as they were,
 * `written` as they are now, both with the columns of ZDU_COUNTED; $1 is the
 * cluster.
 */
#ifndef ZDU_COUNT_H
#define ZDU_COUNT_H

#define ZDU_COUNTED(n) \
	n "version, " n "state, " n "confirmed, " n "in_rotation, " n "attached, " n "taken, " n "budgets"

#define ZDU_COUNT_DELTA \
	"delta AS (SELECT " ZDU_COUNTED("x.") ", sum(x.d) AS d " \
	"  FROM (SELECT " ZDU_COUNTED("o.") ", -1 AS d FROM old o UNION ALL SELECT " ZDU_COUNTED("w.") ", 1 FROM written w) x " \
	"  GROUP BY " ZDU_COUNTED("x.") " HAVING sum(x.d) <> 0) " \
	"INSERT INTO zdu.node_count AS k (cluster_id, " ZDU_COUNTED("") ", n) " \
	"SELECT $1, " ZDU_COUNTED("d.") ", d.d FROM delta d " \
	"ON CONFLICT ON CONSTRAINT node_count_key DO UPDATE SET n = k.n + excluded.n"

#endif							/* ZDU_COUNT_H */
