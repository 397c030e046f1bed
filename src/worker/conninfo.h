/*
 * conninfo.h
 *	  Connection strings that came out of a database.
 *
 * One may point the worker to a service of its own machine, or to a host, but
 * brings no password and never pairs a service, which may hold one, with
 * another host.
 */
#ifndef ZDU_WORKER_CONNINFO_H
#define ZDU_WORKER_CONNINFO_H

/* Returns why the connection string must not be used, or NULL. */
extern const char *zdu_conninfo_refuse(const char *conninfo);

#endif							/* ZDU_WORKER_CONNINFO_H */
