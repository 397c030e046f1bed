/*
 * instance.h
 *	  Which database this is: after a restore, clone or promotion it is not
 *	  the one that directs until somebody says so.
 */
#ifndef ZDU_INSTANCE_H
#define ZDU_INSTANCE_H

#include "postgres.h"

/*
 * True if the newest adopted mark is this database's.  A database that has
 * none yet adopts itself when it is first written to (zdu_instance_init).
 * With auto_adopt a promotion (another timeline, all else the same) counts.
 */
extern bool zdu_instance_is_adopted(bool auto_adopt);

/* The same for a mark that was read already; NULL: none was ever adopted. */
extern bool zdu_instance_matches(const char *mark, bool auto_adopt);

/* Adopts this database if none ever was. */
extern void zdu_instance_init(void);

/* Adopts this database; returns the new epoch. */
extern int	zdu_instance_adopt(const char *reason);

/* Returns the epoch in force, 0 if none. */
extern int	zdu_instance_epoch(void);

#endif							/* ZDU_INSTANCE_H */
