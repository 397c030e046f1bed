/*
 * api.h
 *	  How every SQL function begins and ends.
 */
#ifndef ZDU_API_H
#define ZDU_API_H

#include "postgres.h"

#include "fmgr.h"
#include "store/facts.h"
#include "store/spi.h"

typedef struct ZduCall
{
	const char *function;		/* its SQL name */
	ZduSession	session;
	ZduFacts   *f;				/* NULL: not about one cluster */
	const char *cluster;		/* whose events they are; NULL: nobody's */
} ZduCall;

/*
 * Begins a function that changes something: checks the caller's grant,
 * assumes the owner, and, if cluster is not NULL, locks and loads it and
 * checks that the caller has its owner's role.
 */
extern void zdu_call_begin(ZduCall *call, const char *function, const char *cluster);

/* The same for one that only reads: no lock; f is NULL if there is no such cluster. */
extern void zdu_call_look(ZduCall *call, const char *function, const char *cluster);

/* Ends it: what follows from the new facts, the cluster's state, events. */
extern void zdu_call_end(ZduCall *call);

/* ERROR 42501 unless the caller has one of the grants that the function takes. */
extern void zdu_require(Oid caller, const char *function);

/* ERROR 42501 unless the caller has the role that owns the cluster, where the function asks for it. */
extern void zdu_require_owner(Oid caller, const char *function, const ZduFacts *f);

/* True if the caller has this very grant (or is a superuser). */
extern bool zdu_has_grant(Oid caller, const char *grant_as);

/* True if the caller may call the function about this cluster; for hints. */
extern bool zdu_may(Oid caller, const char *function, const ZduFacts *f);

/* Returns an argument as C string, NULL for NULL. */
extern char *zdu_arg_text(FunctionCallInfo fcinfo, int n);

/* The same; ERROR 22004 naming it when it is NULL. */
extern char *zdu_arg_required(FunctionCallInfo fcinfo, int n, const char *name);

extern Jsonb *zdu_arg_jsonb(FunctionCallInfo fcinfo, int n);

/* Adds a row of texts (NULL is NULL) to a set-returning function's result, parsed by the columns' types. */
extern void zdu_put_row(ReturnSetInfo *rsinfo, const char *const *values);

/* ERROR 22023 unless it is a name that needs no quoting anywhere; what: "cluster", "node", ... */
extern void zdu_check_name(const char *what, const char *name);

/* ERROR 42704 when there is no such role; what: "owner". */
extern void zdu_check_role(const char *role, const char *what);

#endif							/* ZDU_API_H */
