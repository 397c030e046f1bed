/*
 * outbox.h
 *	  What a job has to report, until an exchange has carried it.
 *
 * The report of an action waits for that of the look after it, so that one
 * exchange carries both; should something be asked meanwhile, it goes alone.
 */
#ifndef ZDU_WORKER_OUTBOX_H
#define ZDU_WORKER_OUTBOX_H

#include <jansson.h>
#include <stdbool.h>

typedef struct ZduOutbox
{
	json_t	   *acted;			/* of the action; NULL: none */
	bool		acted_sent;		/* it is under way */
	json_t	   *report;			/* of what was done last; NULL: none */
	bool		sent;
} ZduOutbox;

/* Takes over the report of an action that is looked after. */
extern void zdu_outbox_put_acted(ZduOutbox *outbox, json_t *report);

/* Takes over a report; an older one that was not carried is out of date. */
extern void zdu_outbox_put(ZduOutbox *outbox, json_t *report);

/* Returns whether there is nothing in it. */
extern bool zdu_outbox_empty(const ZduOutbox *outbox);

/* Adds what is in it to the array, and takes it for sent. */
extern void zdu_outbox_collect(ZduOutbox *outbox, json_t *reports);

/* What was sent was carried, or is to be sent again; returns whether a report other than an action's was carried. */
extern bool zdu_outbox_sent(ZduOutbox *outbox, bool carried);

extern void zdu_outbox_clear(ZduOutbox *outbox);

#endif							/* ZDU_WORKER_OUTBOX_H */
