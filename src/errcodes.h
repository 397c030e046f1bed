/*
 * errcodes.h
 *	  SQLSTATEs of class ZD, each with its one home.
 *
 * The server's own codes are used where they fit; these are for callers that
 * branch.  Also read by the programs, which see them as text.
 */
#ifndef ZDU_ERRCODES_H
#define ZDU_ERRCODES_H

#define ZDU_SQLSTATE_WRONG_STATE	"ZD001"	/* not legal in the present state */
#define ZDU_SQLSTATE_REFUSED		"ZD002"	/* a rule says no */
#define ZDU_SQLSTATE_STALE_TOKEN	"ZD003"	/* the step is somebody else's by now */
#define ZDU_SQLSTATE_NOT_ADOPTED	"ZD004"	/* this database does not know that it is the one */

#define ERRCODE_ZDU_WRONG_STATE MAKE_SQLSTATE('Z', 'D', '0', '0', '1')
#define ERRCODE_ZDU_REFUSED MAKE_SQLSTATE('Z', 'D', '0', '0', '2')
#define ERRCODE_ZDU_STALE_TOKEN MAKE_SQLSTATE('Z', 'D', '0', '0', '3')
#define ERRCODE_ZDU_NOT_ADOPTED MAKE_SQLSTATE('Z', 'D', '0', '0', '4')

#endif							/* ZDU_ERRCODES_H */
