/*
 * row.h
 *	  Tables that are not zdu's, and their rows as jsonb, by column name.
 */
#ifndef ZDU_STORE_ROW_H
#define ZDU_STORE_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

typedef struct ZduTable
{
	Oid			relid;
	Oid			owner;
	char		kind;			/* pg_class.relkind */
	bool		row_security;
	bool		foreign;		/* it is zdu's own, or the system's */
	const char *name;			/* qualified and quoted */
	const char *shape;			/* a fingerprint of its columns' names and types */
	const char *columns;		/* those that an INSERT can give, "a, b"; none: "" */
	const char *values;			/* the same, of r: "r.a, r.b" */
	const char *settable;		/* those that an UPDATE can give */
	const char *key_match;		/* its primary key in t equals that in r, as SQL; NULL: it has none */
} ZduTable;

/* Returns what there is to know of a table, or NULL when it is gone. */
extern ZduTable *zdu_table_load(Oid relid);

/* Returns the partitioned table at the top, or the table itself. */
extern Oid	zdu_table_top(Relation relation);

/* Returns a table's name, qualified and quoted. */
extern const char *zdu_table_name(Relation relation);

/*
 * Returns a row as jsonb that reads back as the same row.  Casts of others
 * may run in it: call it with the rights of whoever writes the row.
 */
extern Jsonb *zdu_row_jsonb(HeapTuple row, Relation relation);

/* Returns the primary key's part of such a row; NULL: the table has none. */
extern Jsonb *zdu_row_key(Jsonb *row, Relation relation);

/* Returns the fingerprint that zdu_table_load() gives. */
extern const char *zdu_table_shape(Relation relation);

#endif							/* ZDU_STORE_ROW_H */
