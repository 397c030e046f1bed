/*
 * instance.h
 *	  Which database this is: after a restore, clone or promotion it is not
 *	  the one that directs until somebody says so.
 */
#ifndef ZDU_INSTANCE_H
#define ZDU_INSTANCE_H

#include "postgres.h"

/*
 * True if a mark, the newest that was adopted, is this database's.  NULL: none
 * ever was, and the database adopts itself when it is first written to.  With
 * auto_adopt a promoted standby of the same database counts too.
 */
extern bool zdu_instance_matches(const char *mark, bool auto_adopt);

/* Adopts this database if none ever was. */
extern void zdu_instance_init(void);

/* Adopts this database; returns the new epoch. */
extern int	zdu_instance_adopt(const char *reason);

#endif							/* ZDU_INSTANCE_H */
