/*
 * base.h
 *	  The database: statements at a point of the virtual time, and what they changed.
 */
#ifndef SIM_BASE_H
#define SIM_BASE_H

#include <libpq-fe.h>
#include <stdbool.h>

/* What a statement brought. */
typedef struct Outcome
{
	bool		done;			/* it was committed */
	PGresult   *rows;			/* of the statement itself; NULL if it failed */
	char	   *xid;			/* NULL: it has changed nothing, and what follows is NULL */
	PGresult   *events;			/* what zdu wrote into its timeline */
	PGresult   *nodes;			/* rows that it changed */
	PGresult   *steps;
	PGresult   *cluster;		/* as it is now */
	char		sqlstate[6];	/* of the error, or "" */
	char	   *message;		/* primary, detail and hint; NULL: none */
	char	   *detail;
	char	   *hint;
} Outcome;

typedef enum Fate
{
	FATE_COMMIT,
	FATE_ROLLBACK				/* the session ends before the commit */
} Fate;

/* Connects; the settings of libpq's environment say where. */
extern void base_connect(void);

/* The same anew: the session ends, as it does when the server is restarted. */
extern void base_reconnect(void);

/* Carries out one statement at a time (seconds since 1970) in a transaction of its own. */
extern Outcome base_run(double at, const char *statement, Fate fate);

/*
 * Carries out two at once: the second is sent while the transaction of the
 * first is open, which ends by its fate as soon as the second waits for it, or is
 * over.  Returns whether the second waited: if not, it was over before.  The same
 * every time, however fast the server is.
 */
extern bool base_run_both(double at, const char *first, Fate fate, const char *second, Outcome *outcomes);

extern void base_free(Outcome *o);

/* Carries out what sets a scene; the program ends if that fails. */
extern PGresult *base_must(const char *statement);

/* Returns a result's field, NULL for NULL. */
extern const char *field(const PGresult *r, int row, int column);

/* Returns a printf-like text, to be freed. */
extern char *text(const char *format,...)
			__attribute__((format(printf, 1, 2)));

#endif							/* SIM_BASE_H */
