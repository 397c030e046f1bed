/*
 * programs.h
 *	  Which programs the runbook directory holds.
 */
#ifndef ZDU_WORKER_PROGRAMS_H
#define ZDU_WORKER_PROGRAMS_H

/*
 * Returns the names of the executables in a directory as a text[] literal, to
 * be freed; NULL if there is no such directory.
 */
extern char *zdu_programs_list(const char *directory);

#endif							/* ZDU_WORKER_PROGRAMS_H */
