/*
 * keep.c
 *	  What must stay as it is while a step is held.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/keep.h"
#include "worker/log.h"

#define KEEP_EVERY 2000			/* milliseconds */

struct ZduKeep
{
	uv_timer_t	timer;
	json_t	   *args;			/* holds targets and env */
	json_t	   *targets;
	char	   *node;
	size_t		next;			/* target to look at */
	ZduCall		call;
	bool		running;
	bool		stopped;
};

static void look_at_next(ZduKeep *keep);

static void
free_keep(uv_handle_t *timer)
{
	ZduKeep    *keep = timer->data;

	json_decref(keep->args);
	free(keep->node);
	free(keep);
}

/* A server in maintenance is as far out of rotation as one that drains. */
static bool
is_kept(const char *wanted, const char *seen)
{
	return strcmp(wanted, seen) == 0 || (strcmp(wanted, "drain") == 0 && strcmp(seen, "maint") == 0);
}

/* Starts a call, or comes back from one: one at a time, look after look. */
static void
on_done(ZduCall *call)
{
	ZduKeep    *keep = call->owner;
	bool		looked = !call->act;
	const char *wanted = json_string_value(json_object_get(call->spec, "state"));
	const char *seen = json_string_value(json_object_get(call->evidence, "admin"));
	bool		lost = looked && !call->failed && wanted != NULL && seen != NULL && !is_kept(wanted, seen);

	keep->running = false;
	zdu_call_clear(call);
	if (keep->stopped)
	{
		uv_close((uv_handle_t *) &keep->timer, free_keep);
		return;
	}
	if (lost)
	{
		zdu_log("reasserted", "node", keep->node, "server", json_string_value(json_object_get(call->spec, "server")),
				"state", wanted, NULL);
		keep->running = true;
		call->act = true;
		call->ending = NULL;
		zdu_call_start(call);
		return;
	}
	keep->next++;
	look_at_next(keep);
}

static void
on_due(uv_timer_t *timer)
{
	ZduKeep    *keep = timer->data;

	keep->next = 0;
	look_at_next(keep);
}

static void
look_at_next(ZduKeep *keep)
{
	const ZduSurroundings *around = keep->call.around;

	if (keep->next >= json_array_size(keep->targets))
	{
		uv_timer_start(&keep->timer, on_due, KEEP_EVERY, 0);
		return;
	}
	memset(&keep->call, 0, sizeof(keep->call));
	keep->call.around = around;
	keep->call.spec = json_array_get(keep->targets, keep->next);
	keep->call.env = json_object_get(keep->args, "env");
	keep->call.timeout = KEEP_EVERY / 1000.0;
	keep->call.done = on_done;
	keep->call.owner = keep;
	keep->running = true;
	zdu_call_start(&keep->call);
}

ZduKeep *
zdu_keep_start(const ZduSurroundings *around, json_t *args, const char *node)
{
	json_t	   *targets = json_object_get(args, "keep");
	ZduKeep    *keep;

	if (json_array_size(targets) == 0)
		return NULL;
	keep = calloc(1, sizeof(ZduKeep));
	if (keep == NULL)
		abort();
	keep->args = json_incref(args);
	keep->targets = targets;
	keep->node = zdu_text_copy(node);
	keep->call.around = around;
	keep->timer.data = keep;
	uv_timer_init(around->loop, &keep->timer);

	/* It was seen to be so just now. */
	uv_timer_start(&keep->timer, on_due, KEEP_EVERY, 0);
	return keep;
}

void
zdu_keep_stop(ZduKeep *keep)
{
	if (keep == NULL || keep->stopped)
		return;
	keep->stopped = true;
	uv_timer_stop(&keep->timer);
	if (keep->running)
		zdu_call_end(&keep->call, "no longer to be kept");
	else
		uv_close((uv_handle_t *) &keep->timer, free_keep);
}
