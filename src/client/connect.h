/*
 * connect.h
 *	  A connection to PostgreSQL that never blocks the event loop.
 *
 * A link is opened, carries one query at a time, and is freed.  A link that
 * is kept reconnects by itself for ever: 0.1 s after the first failure, each
 * time twice as long, up to 5 s, with jitter.  (Looking up a host's name may
 * block inside libpq: give hostaddr where that matters.)
 *
 * Callbacks run from the loop, never from inside a call of these functions,
 * and may call any of them; zdu_link_free() too.
 */
#ifndef ZDU_CLIENT_CONNECT_H
#define ZDU_CLIENT_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

typedef struct ZduLink ZduLink;

typedef struct ZduLinkHandler
{
	/* Connected: a query may be sent. */
	void		(*up) (void *arg);

	/* The attempt failed, or the connection (and the query under way) is lost. */
	void		(*down) (void *arg, const char *why);

	/* The query is over: its first error, or its last result.  Do not PQclear it. */
	void		(*result) (void *arg, PGresult *result);

	/* Something was notified by another session; may be NULL. */
	void		(*notified) (void *arg);
} ZduLinkHandler;

/* One keyword of a connection string that is set unless something else sets it. */
typedef struct ZduLinkDefault
{
	const char *keyword;
	const char *environment;	/* the variable that sets it too, or NULL */
	const char *value;			/* NULL for none */
} ZduLinkDefault;

/*
 * Returns a link that is not open yet, or NULL with *error (to be freed with
 * free()) where the connection string cannot be read.  `defaults` ends with a
 * NULL keyword and may be NULL.
 */
extern ZduLink *zdu_link_new(uv_loop_t *loop, const char *conninfo, const ZduLinkDefault *defaults,
							 bool keep, const ZduLinkHandler *handler, void *arg, char **error);

/* Starts to connect.  Only once for a link that is kept. */
extern void zdu_link_open(ZduLink *link);

/* Returns whether a query can be sent now. */
extern bool zdu_link_idle(const ZduLink *link);

/*
 * Sends a query.  With params (text, NULL for NULL) it is one statement; with
 * a negative count it goes by the simple protocol and may be several.
 */
extern void zdu_link_query(ZduLink *link, const char *query, int nparams, const char *const *params);

/*
 * Closes the connection and frees the link; no callback follows.  The server
 * is asked to stop a query under way.
 */
extern void zdu_link_free(ZduLink *link);

/* Seconds of a clock that only goes forward. */
extern double zdu_now(void);

/* Returns `seconds`, give or take a fifth, so that many do not act as one. */
extern double zdu_jitter(double seconds);

#endif							/* ZDU_CLIENT_CONNECT_H */
