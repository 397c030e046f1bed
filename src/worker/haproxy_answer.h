/*
 * haproxy_answer.h
 *	  What HAProxy's runtime API answers, as JSON.
 */
#ifndef ZDU_WORKER_HAPROXY_ANSWER_H
#define ZDU_WORKER_HAPROXY_ANSWER_H

#include <jansson.h>

/* Returns {} after a `set server` that was accepted, else {"error": what it said}. */
extern json_t *zdu_haproxy_set_state(const char *answer, size_t length);

/*
 * Returns the server's row of `show stat`, numbers as numbers and empty fields
 * left out, with "admin" (ready, drain or maint) from `show servers state`,
 * whose answer follows it; else {"error": why}.
 */
extern json_t *zdu_haproxy_server(const char *answer, size_t length,
								  const char *backend, const char *server);

#endif							/* ZDU_WORKER_HAPROXY_ANSWER_H */
