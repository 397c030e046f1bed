/*
 * outbox.c
 *	  What a job has to report.
 */
#include "worker/outbox.h"

static void
drop(json_t **report, bool *sent)
{
	json_decref(*report);
	*report = NULL;
	*sent = false;
}

void
zdu_outbox_put_acted(ZduOutbox *outbox, json_t *report)
{
	drop(&outbox->acted, &outbox->acted_sent);
	outbox->acted = report;
}

void
zdu_outbox_put(ZduOutbox *outbox, json_t *report)
{
	drop(&outbox->report, &outbox->sent);
	outbox->report = report;
}

bool
zdu_outbox_empty(const ZduOutbox *outbox)
{
	return outbox->acted == NULL && outbox->report == NULL;
}

void
zdu_outbox_collect(ZduOutbox *outbox, json_t *reports)
{
	outbox->acted_sent = outbox->acted != NULL;
	outbox->sent = outbox->report != NULL;
	if (outbox->acted_sent)
		json_array_append(reports, outbox->acted);
	if (outbox->sent)
		json_array_append(reports, outbox->report);
}

bool
zdu_outbox_sent(ZduOutbox *outbox, bool carried)
{
	bool		told = carried && outbox->sent;

	if (carried && outbox->acted_sent)
		drop(&outbox->acted, &outbox->acted_sent);
	if (told)
		drop(&outbox->report, &outbox->sent);
	outbox->acted_sent = outbox->sent = false;
	return told;
}

void
zdu_outbox_clear(ZduOutbox *outbox)
{
	drop(&outbox->acted, &outbox->acted_sent);
	drop(&outbox->report, &outbox->sent);
}
