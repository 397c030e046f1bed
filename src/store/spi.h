/*
 * spi.h
 *	  Talking to the database: the only user of SPI.
 *
 * A query is one literal with $n and named columns, planned once a backend,
 * for whatever arguments, and kept: planning takes longer than running.  It
 * is planned to go by key: neither does it know its arguments, nor may it
 * matter how large a table was when it was planned.
 *
 * Between zdu_enter() and zdu_leave() everything runs as the owner of schema
 * zdu, in a security-restricted context, with search_path = pg_catalog,
 * pg_temp; an ERROR in between undoes all of that by itself.
 */
#ifndef ZDU_SPI_H
#define ZDU_SPI_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#define ZDU_MAX_ARGS 24

typedef struct ZduQuery
{
	const char *text;
	int			nargs;
	Oid			argtypes[ZDU_MAX_ARGS];
	bool		by_hash;		/* it compares all that is given with all that is there: by key that would be each with each */
	SPIPlanPtr	plan;			/* kept; NULL: not yet planned */
} ZduQuery;

typedef struct ZduArg
{
	Datum		value;
	bool		isnull;
} ZduArg;

/* Who called, and what to go back to. */
typedef struct ZduSession
{
	Oid			caller;
	Oid			saved_user;
	int			saved_context;
	int			guc_level;
	bool		only_looks;		/* all queries see what the calling statement sees */
	struct ZduSession *outer;	/* a trigger of somebody's own may call zdu's functions in between */
} ZduSession;

/* Connects and assumes the owner.  Memory stays the caller's. */
extern void zdu_enter(ZduSession *session);
extern void zdu_leave(ZduSession *session);

/* From here to zdu_leave() all queries see what the calling statement sees; for functions that change nothing. */
extern void zdu_only_look(void);

/* True while one of zdu's own statements runs: what the triggers let pass. */
extern bool zdu_is_writing(void);

/*
 * Runs a query under a fresh snapshot and returns the number of rows.  A
 * reader made after it stays good until zdu_leave().  `args` has q->nargs
 * elements.
 */
extern uint64 zdu_run(ZduQuery *q, const ZduArg *args);

/* The same, but sees and changes nothing newer than the calling statement. */
extern uint64 zdu_look(ZduQuery *q, const ZduArg *args);

/*
 * The same, but sees all that is committed by now, also in a transaction whose
 * snapshot is older (M1).
 */
extern uint64 zdu_look_latest(ZduQuery *q, const ZduArg *args);

/*
 * Runs a statement about a table that is not zdu's with the rights of `role`,
 * in a restricted context: code of others may run in it.  Names in it must be
 * qualified and quoted.  Returns the number of rows.
 */
extern uint64 zdu_run_as(Oid role, const char *statement, int nargs, const Oid *argtypes, const ZduArg *args);

/*
 * Calls in a subtransaction.  Returns NULL, or the error when there was one;
 * then nothing of the call is left.  Being cancelled or shut down is passed on.
 */
extern ErrorData *zdu_attempt(void (*call) (void *arg), void *arg);

/* Runs a utility statement, which takes no parameters; names in it must be quoted. */
extern void zdu_utility(const char *statement);

extern ZduArg zdu_text(const char *value);	/* NULL gives NULL */
extern ZduArg zdu_int4(int32 value);
extern ZduArg zdu_int8(int64 value);
extern ZduArg zdu_float8(double value);
extern ZduArg zdu_bool(bool value);
extern ZduArg zdu_jsonb(Jsonb *value);	/* NULL gives NULL */
extern ZduArg zdu_time(TimestampTz value);
extern ZduArg zdu_null(void);
extern ZduArg zdu_datum(Datum value, bool isnull);
extern ZduArg zdu_text_array(char **values, int n);	/* NULL elements give NULL */
extern ZduArg zdu_int8_array(const int64 *values, int n);
extern ZduArg zdu_float8_array(const double *values, int n);	/* NaN gives NULL */
extern ZduArg zdu_bool_array(const bool *values, int n);
extern ZduArg zdu_jsonb_array(Jsonb **values, int n);	/* NULL elements give NULL */

/*
 * Reads the rows of the last query, column after column in the order in which
 * the query names them.  Copies into the caller's memory.
 */
typedef struct ZduReader
{
	SPITupleTable *table;
	uint64		row;
	int			column;
	Datum	   *values;			/* of the row */
	bool	   *nulls;
} ZduReader;

/* Returns the first column of the last query's first row as text, NULL if there is none. */
extern char *zdu_first_text(void);

extern ZduReader zdu_reader(void);
extern bool zdu_next_row(ZduReader *r);	/* call before the first row too */
extern char *zdu_read_text(ZduReader *r);	/* any type, by its output function; NULL is NULL */
extern int64 zdu_read_int8(ZduReader *r);	/* bigint or integer; NULL is 0 */
extern int	zdu_read_int4(ZduReader *r);
extern double zdu_read_float8(ZduReader *r, double if_null);
extern int64 *zdu_read_int8_array(ZduReader *r, int *n);	/* NULL is empty */
extern bool zdu_read_bool(ZduReader *r);	/* NULL is false */
extern int	zdu_read_tristate(ZduReader *r);	/* 0, 1; NULL is 2, as in ZduAnswer */
extern Jsonb *zdu_read_jsonb(ZduReader *r);	/* NULL is NULL */
extern Datum zdu_read_datum(ZduReader *r, bool *isnull);	/* valid until zdu_leave() if by reference */

#endif							/* ZDU_SPI_H */
