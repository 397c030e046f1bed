/*
 * compat.h
 *		What differs between the PostgreSQL majors that zdu supports.
 *
 * Every test of PG_VERSION_NUM is here.  Include it after postgres.h and
 * fmgr.h.
 */
#ifndef ZDU_COMPAT_H
#define ZDU_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "zdu supports PostgreSQL 15 to 18"
#endif

/* The VARDATA macros left postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * ZDU_ERETURN(context, value, (errcode(...), errmsg(...), ...))
 *
 * Refuses the input of an input function whose fcinfo->context is given.  From
 * 16 on the caller may want to be told instead of being thrown out, by what
 * pg_input_is_valid() uses; then value is returned.  15 always throws.
 */
#if PG_VERSION_NUM >= 160000
#define ZDU_ERETURN(context, value, rest) \
	ereturn(context, value, rest)
#else
#define ZDU_ERETURN(context, value, rest) \
	do { \
		(void) (context); \
		ereport(ERROR, rest); \
		return value; \
	} while (0)
#endif

/* From 18 on a deferrable key can be asked for too. */
#if PG_VERSION_NUM >= 180000
#define ZDU_PRIMARY_KEY_INDEX(relation) RelationGetPrimaryKeyIndex(relation, false)
#else
#define ZDU_PRIMARY_KEY_INDEX(relation) RelationGetPrimaryKeyIndex(relation)
#endif

#endif							/* ZDU_COMPAT_H */
