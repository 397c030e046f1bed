/*
 * runbook.h
 *	  Runbooks: loading a revision, and making steps out of it.
 */
#ifndef ZDU_RUNBOOK_H
#define ZDU_RUNBOOK_H

#include "postgres.h"

#include "store/facts.h"
#include "store/node.h"
#include "store/shape.h"
#include "store/step.h"
#include "utils/jsonb.h"

typedef struct ZduRunbook
{
	const char *name;
	int			revision;
	bool		shipped;
	Jsonb	   *document;
	/* of observe; NULL: it has none */
	Jsonb	   *observe;
	const char *version_path;
	const char *active_path;
	const char *observe_program;	/* NULL: it looks with no program */
	double		observe_every;	/* seconds */
	ZduShapes  *shapes;			/* of its phases, as far as they were asked for */
} ZduRunbook;

/* Checks a whole document; ERROR 22023 naming the place. */
extern void zdu_runbook_check(const char *name, Jsonb *document);

/*
 * Checks a probe that stands outside of a runbook, and the predicate over what
 * it sees (each may be NULL), with the variables that there are.  what: "gate
 * \"x\""; hint: where to look.  ERROR 22023 naming the place.
 */
extern void zdu_probe_check(const char *what, const char *hint, Jsonb *probe, const char *until, Jsonb *vars);

/*
 * Returns the runbook that the active upgrade pinned, or else the cluster's
 * newest revision; NULL: it has none.
 */
extern ZduRunbook *zdu_runbook_load(const ZduFacts *f);

/* Returns the newest revision of that name, NULL: there is none. */
extern ZduRunbook *zdu_runbook_newest(const char *name);

/* True if the document has this key, and in it the other (NULL: whatever). */
extern bool zdu_runbook_has(const ZduRunbook *rb, const char *key, const char *inner);

/* Returns the first variable that the runbook requires and vars lack, NULL: none. */
extern const char *zdu_runbook_missing(const ZduRunbook *rb, Jsonb *vars);

/*
 * Makes the steps by which a node goes to a version, from one phase on; what
 * the runbook does not have is left out.  Appends to a List of ZduNewStep *.
 * Returns it, or NIL and *error.
 */
extern List *zdu_runbook_steps(const ZduRunbook *rb, const ZduFacts *f, const ZduNode *node, ZduPhase from, ZduPhase to,
							   bool back, const char *version, char **error);

/* The same for the cluster's own steps: before, after or undo. */
extern List *zdu_runbook_cluster_steps(const ZduRunbook *rb, const ZduFacts *f, ZduPhase phase, char **error);

/* Returns the args of an observation of a node that is asked for at that time, or NULL and *error. */
extern Jsonb *zdu_runbook_observe(const ZduRunbook *rb, Jsonb *vars, int64 asked, char **error);

#endif							/* ZDU_RUNBOOK_H */
