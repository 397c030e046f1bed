/*
 * refuse.h
 *	  May an upgrade begin?  Asked by zdu_begin and by the preflight of zdu_why.
 */
#ifndef ZDU_REFUSE_H
#define ZDU_REFUSE_H

#include "api/api.h"
#include "nodes/pg_list.h"
#include "store/runbook.h"

typedef struct ZduRefusal
{
	int			code;			/* packed SQLSTATE */
	const char *rule;			/* NULL: not refused */
	const char *observed;
	const char *allowed;		/* NULL: nothing to say */
	const char *hint;			/* a command */
} ZduRefusal;

/* What zdu_begin was asked for, or zdu_why(target => ...) would be. */
typedef struct ZduWish
{
	const char *target;			/* NULL: the newest release, or not yet known (manual) */
	const char *node_group;		/* only its nodes; NULL: all */
	bool		together;		/* they leave and come back together (M9) */
	const char *through;		/* the node it is sent through (N15); NULL: not said */
	int			canary;			/* so many nodes first, and alone; 0: none */
	const char *plan;			/* hash of the plan that was agreed on; NULL: any */
	bool		acknowledge;
	const char *kind;			/* driven, manual; NULL: by the runbook */
	bool		every;			/* every refusal is wanted, not the first only */
} ZduWish;

typedef struct ZduBegin
{
	ZduRefusal	refusal;		/* the first */
	List	   *refusals;		/* ZduRefusal *, that one included */
	const ZduWish *wish;
	const char *target;			/* resolved; NULL: manual, not yet known */
	ZduRunbook *runbook;		/* NULL: manual */
	int64		same_upgrade;	/* repeat_begin = noop: it has begun already; 0: not */
} ZduBegin;

/*
 * Checks everything that zdu_begin asks for, up to the first thing that is
 * wrong unless every one is wanted.  Sets call->f->version where only the nodes
 * told it.
 */
extern ZduBegin zdu_check_begin(ZduCall *call, const ZduWish *wish);

/* Returns what zdu_begin would be called with: "'shop', '2.4.0', canary => 1"; target: resolved, NULL: none. */
extern char *zdu_wish_args(const ZduFacts *f, const ZduWish *wish, const char *target);

/* Returns the command that lets more nodes be unavailable at once. */
extern const char *zdu_hint_more_unavailable(const ZduFacts *f);

/* ERROR with a refusal's rule, observation and hint. */
extern void zdu_refuse(const ZduRefusal *r, const char *primary) pg_attribute_noreturn();

/* Returns the only cluster there is; ERROR 22004 when it has to be named. */
extern char *zdu_refuse_unnamed(const char *function);

#endif							/* ZDU_REFUSE_H */
