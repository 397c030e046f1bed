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
	bool		granted;		/* of a step: what programs find in their environment comes with the grant */
	const char *phase;			/* of anything else */
	const char *direction;
	int			size;			/* how much a look may show, in bytes; 0: as much as any */
	double		max_block;		/* seconds that it may block others in a database; 0: it does not matter */
	Jsonb	   *keep;			/* targets that must stay as isolate left them; NULL: none */
	int64		asked;			/* when an observation is asked for, a timestamp of the server's; 0: it is none */
} ZduFrame;

/* What programs find in their environment of the step that they are run for. */
typedef struct ZduGrantee
{
	Jsonb	   *vars;
	const char *phase;
	const char *direction;
	int			attempt;
	const char *token;
} ZduGrantee;

/* Returns the part of a phase, observation or guard that a driver understands: what to look with, or what to do. */
extern Jsonb *zdu_args_spec(JsonbContainer *object);

/*
 * Returns the args of a verb out of a spec, which stands in them once for each
 * element of a list.  NULL: *error.
 */
extern Jsonb *zdu_args_make(Jsonb *spec, const ZduFrame *frame, char **error);

/* Returns the args of a step with their env. */
extern Jsonb *zdu_args_grant(Jsonb *args, const ZduGrantee *to);

/* Returns what a driver's evidence must say where the runbook does not. */
extern const char *zdu_until_default(JsonbContainer *spec);

/* Does the phase change anything, or only wait? */
extern bool zdu_phase_acts(JsonbContainer *phase);

/* For building documents. */
extern void zdu_push_key(JsonbParseState **state, const char *key);
extern void zdu_push_text(JsonbParseState **state, const char *key, const char *value);

#endif							/* ZDU_STORE_ARGS_H */
