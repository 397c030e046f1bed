/*
 * notify.h
 *	  Tells systemd, if it started us, how the worker is.
 */
#ifndef ZDU_WORKER_NOTIFY_H
#define ZDU_WORKER_NOTIFY_H

/* Sends `state` (sd_notify(3), such as "READY=1"); does nothing without systemd. */
extern void zdu_notify(const char *state);

#endif							/* ZDU_WORKER_NOTIFY_H */
