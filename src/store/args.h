/*
 * args.h
 *	  What a worker is told to look with or to do: the args of a verb, see
 *	  doc/protocol.md.
 */
#ifndef ZDU_STORE_ARGS_H
#define ZDU_STORE_ARGS_H

#include "postgres.h"

#include "utils/jsonb.h"

/* What is common to all that one step, observation or guard asks of a worker. */
typedef struct ZduFrame
{
	Jsonb	   *vars;
	double		timeout;
	double		every;
	bool		may_outlive;
	const char *phase;
	const char *direction;
	int			size;			/* how much a look may show, in bytes; 0: as much as any */
	double		max_block;		/* seconds that it may block others in a database; 0: it does not matter */
	Jsonb	   *keep;			/* targets that must stay as isolate left them; NULL: none */
	int64		asked;			/* when an observation is asked for, a timestamp of the server's; 0: it is none */
} ZduFrame;

/*
 * Returns the args of a verb out of a phase, observation or guard: its spec,
 * once for each element of a list.  NULL: *error.
 */
extern Jsonb *zdu_args_make(JsonbContainer *object, const ZduFrame *frame, char **error);

/* Returns args with the number of the attempt, the token and the phase in their env. */
extern Jsonb *zdu_args_grant(Jsonb *args, int attempt, const char *token, const char *phase);

/* Returns what a driver's evidence must say where the runbook does not. */
extern const char *zdu_until_default(JsonbContainer *spec);

/* Does the phase change anything, or only wait? */
extern bool zdu_phase_acts(JsonbContainer *phase);

/* For building documents. */
extern void zdu_push_key(JsonbParseState **state, const char *key);
extern void zdu_push_text(JsonbParseState **state, const char *key, const char *value);

#endif							/* ZDU_STORE_ARGS_H */
