/*
 * report.c
 *	  What the worker saw, in the words of the exchange.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/report.h"

/* What a report needs for its other fields than the evidence. */
#define OTHER_FIELDS	1024
#define DUMP_FLAGS		(JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

/* The evidence of the look that follows takes the place of that of the action; its error is to be read all the same. */
static void
add_error(ZduTail *log, const ZduCall *call)
{
	const char *error = json_string_value(json_object_get(call->evidence, "error"));

	if (!call->failed || error == NULL)
		return;
	if (log->length > 0 && log->bytes[log->length - 1] != '\n')
		zdu_tail_add(log, "\n", 1);
	zdu_tail_add(log, error, strlen(error));
	zdu_tail_add(log, "\n", 1);
}

/* Returns what the programs printed last, and what went wrong, together; NULL if that is nothing. */
static json_t *
make_log(const ZduCall *calls, int ncalls)
{
	ZduTail		all = {.limit = ZDU_LOG_SIZE};
	json_t	   *log = NULL;
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		/* Each has its share: the last one must not push out all the others. */
		size_t		share = ZDU_LOG_SIZE / ncalls;
		const ZduTail *one = &calls[i].log;
		size_t		skip = one->length > share ? one->length - share : 0;

		if (one->length > 0)
			zdu_tail_add(&all, one->bytes + skip, one->length - skip);
		add_error(&all, &calls[i]);
	}
	if (all.length > 0)
		log = zdu_text_clean(all.bytes, all.length, ZDU_LOG_SIZE);
	zdu_tail_free(&all);
	return log;
}

/* Returns how many bytes a value takes in the report. */
static size_t
dumped_size(const json_t *value)
{
	return json_dumpb(value, NULL, 0, DUMP_FLAGS);
}

/* Returns the evidence of all the calls; what would not fit is left out and said so. */
static json_t *
make_evidence(const ZduCall *calls, int ncalls, bool list, size_t size)
{
	json_t	   *array = json_array();
	json_t	   *first;
	int			i;

	for (i = 0; i < ncalls; i++)
	{
		if (dumped_size(calls[i].evidence) <= size / ncalls)
			json_array_append(array, calls[i].evidence);
		else
			json_array_append_new(array, zdu_text_error("output too large"));
	}
	if (list)
		return array;
	first = ncalls > 0 ? json_incref(json_array_get(array, 0)) : zdu_text_error("no target");
	json_decref(array);
	return first;
}

json_t *
zdu_report_make(const ZduReportSubject *subject, bool acted, const ZduCall *calls, int ncalls, bool list)
{
	json_t	   *report = json_object();
	json_t	   *log = acted ? make_log(calls, ncalls) : NULL;
	size_t		size = (ncalls > 0 ? zdu_call_size(&calls[0]) : ZDU_LOOK_SIZE) - OTHER_FIELDS - (log != NULL ? dumped_size(log) : 0);
	json_t	   *evidence = make_evidence(calls, ncalls, list, size);
	bool		failed = ncalls == 0;
	int			i;

	for (i = 0; i < ncalls; i++)
		failed = failed || calls[i].failed;
	if (subject->token == NULL)
	{
		json_object_set_new(report, "node", subject->node != NULL ? json_string(subject->node) : json_null());
		if (subject->watch != NULL)
			json_object_set(report, "watch", subject->watch);
		if (subject->asked != NULL)
			json_object_set(report, "asked", subject->asked);
		json_object_set_new(report, "seen", evidence);
		return report;
	}
	json_object_set_new(report, "token", json_string(subject->token));
	json_object_set_new(report, "verb", json_string(acted ? "act" : "probe"));
	json_object_set_new(report, "state", json_string(failed ? "failed" : "done"));
	json_object_set_new(report, "evidence", evidence);
	if (log != NULL)
		json_object_set_new(report, "log", log);
	return report;
}

json_t *
zdu_report_release(const char *token, bool ended, const ZduCall *calls, int ncalls)
{
	json_t	   *report = json_pack("{s:s, s:s, s:{s:b}}", "token", token, "state", "released",
								   "evidence", "ended", ended);
	json_t	   *log = make_log(calls, ncalls);

	if (log != NULL)
		json_object_set_new(report, "log", log);
	return report;
}
