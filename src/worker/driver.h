/*
 * driver.h
 *	  One look or one action at one target, and those who can do it.
 *
 * A call is begun once and is done once: zdu_call_start() begins it, and
 * `done` tells its end, at once or later, also after zdu_call_end().
 */
#ifndef ZDU_WORKER_DRIVER_H
#define ZDU_WORKER_DRIVER_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "client/options.h"
#include "worker/text.h"

typedef struct ZduDriver ZduDriver;

/* What drivers need to know of the worker. */
typedef struct ZduSurroundings
{
	uv_loop_t  *loop;
	const char *runbooks;		/* directory of the programs */
	const ZduOptionList *allow_hosts;	/* patterns; none allows every host */
} ZduSurroundings;

typedef struct ZduCall
{
	const ZduSurroundings *around;
	json_t	   *spec;			/* owned by the args that the caller holds */
	json_t	   *env;			/* likewise; ZDU_* for programs and SQL, may be NULL */
	bool		act;			/* an action, else a look */
	bool		may_outlive;
	double		timeout;		/* seconds; the caller ends it then */
	size_t		size;			/* how much a look may show, in bytes; 0: ZDU_LOOK_SIZE */
	void		(*done) (struct ZduCall *call);
	void	   *owner;

	/* for the driver */
	const ZduDriver *driver;
	void	   *state;
	const char *ending;			/* why it is being ended, or NULL */

	/* when it is done */
	json_t	   *evidence;		/* an object */
	bool		failed;			/* the look could not be made, the action went wrong */
	ZduTail		log;
} ZduCall;

struct ZduDriver
{
	const char *name;			/* the key of SPEC that chooses it */
	void		(*start) (ZduCall *call);
	void		(*end) (ZduCall *call);
};

extern const ZduDriver zdu_driver_exec;
extern const ZduDriver zdu_driver_http;
extern const ZduDriver zdu_driver_haproxy;
extern const ZduDriver zdu_driver_sql;

/* Returns how much it may show, in bytes. */
extern size_t zdu_call_size(const ZduCall *call);

/* Begins it with the driver that its SPEC names. */
extern void zdu_call_start(ZduCall *call);

/*
 * Ends it as soon as can be; `why` is its evidence's error then.  Nothing
 * happens if it is done already.
 */
extern void zdu_call_end(ZduCall *call, const char *why);

/* For drivers: it is over.  Takes `evidence`; whoever has ended it has the last word. */
extern void zdu_call_done(ZduCall *call, json_t *evidence, bool failed);

/* For drivers: it is over, because of an error. */
extern void zdu_call_fail(ZduCall *call, const char *error);

/* Frees what a call that is done holds. */
extern void zdu_call_clear(ZduCall *call);

/*
 * For drivers: returns whether the name is that of a file in the runbook
 * directory; fills in its path.
 */
extern bool zdu_call_file(const ZduCall *call, const char *name, char *path, size_t size);

/* Returns the text under `key` of the call's SPEC, or NULL. */
extern const char *zdu_call_text(const ZduCall *call, const char *key);

#endif							/* ZDU_WORKER_DRIVER_H */
