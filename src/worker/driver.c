/*
 * driver.c
 *	  One look or one action at one target, and those who can do it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "worker/driver.h"

static const ZduDriver *const drivers[] = {
	&zdu_driver_exec,
	&zdu_driver_http,
	&zdu_driver_haproxy,
	&zdu_driver_sql,
	NULL
};

size_t
zdu_call_size(const ZduCall *call)
{
	return call->size > 0 ? call->size : ZDU_LOOK_SIZE;
}

void
zdu_call_start(ZduCall *call)
{
	int			i;

	for (i = 0; drivers[i] != NULL; i++)
	{
		if (json_object_get(call->spec, drivers[i]->name) == NULL)
			continue;
		call->driver = drivers[i];
		call->driver->start(call);
		return;
	}
	zdu_call_fail(call, "no driver for this target");
}

void
zdu_call_end(ZduCall *call, const char *why)
{
	if (call->evidence != NULL || call->ending != NULL)
		return;
	call->ending = why;
	call->driver->end(call);
}

void
zdu_call_done(ZduCall *call, json_t *evidence, bool failed)
{
	call->evidence = evidence;
	call->failed = failed;
	if (call->ending != NULL)
	{
		json_object_set_new(evidence, "error", json_string(call->ending));
		call->failed = true;
	}
	call->state = NULL;
	call->done(call);
}

void
zdu_call_fail(ZduCall *call, const char *error)
{
	zdu_call_done(call, zdu_text_error(error), true);
}

void
zdu_call_clear(ZduCall *call)
{
	json_decref(call->evidence);
	call->evidence = NULL;
	zdu_tail_free(&call->log);
}

bool
zdu_call_file(const ZduCall *call, const char *name, char *path, size_t size)
{
	struct stat found;

	if (name == NULL || *name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return false;
	if (snprintf(path, size, "%s/%s", call->around->runbooks, name) >= (int) size)
		return false;
	return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

const char *
zdu_call_text(const ZduCall *call, const char *key)
{
	return json_string_value(json_object_get(call->spec, key));
}
