/*
 * driver_http.c
 *	  Looks and acts by an HTTP request, over libcurl's multi interface.
 *
 * Every request has a connection of its own: a kept one would be an open
 * connection to a node that is being drained, and would hide that the node
 * takes no new ones.  Redirects are not followed and no proxy is used, or the
 * list of allowed hosts would mean nothing.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "worker/driver.h"

typedef struct Request
{
	ZduCall    *call;
	CURL	   *easy;
	struct curl_slist *headers;
	char	   *body;			/* what is sent */
	curl_mime  *form;			/* or this, in parts */
	ZduTail		answer;
	char		error[CURL_ERROR_SIZE];
} Request;

typedef struct Watch
{
	uv_poll_t	poll;
	curl_socket_t socket;
} Watch;

static CURLM *multi;
static uv_loop_t *multi_loop;
static uv_timer_t multi_timer;

static void
free_request(Request *request)
{
	curl_multi_remove_handle(multi, request->easy);
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	curl_mime_free(request->form);
	zdu_tail_free(&request->answer);
	free(request->body);
	free(request);
}

/* Returns what came back: the body's object, or the body, with http_code. */
static json_t *
read_answer(const Request *request)
{
	json_t	   *evidence = zdu_text_object(request->answer.bytes, request->answer.length);
	long		code = 0;

	if (evidence == NULL)
	{
		evidence = json_object();
		json_object_set_new(evidence, "body",
							zdu_text_clean(request->answer.bytes, request->answer.length, ZDU_LOG_SIZE));
	}
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &code);
	json_object_set_new(evidence, "http_code", json_integer(code));
	return evidence;
}

static void
finish_request(Request *request, CURLcode result)
{
	ZduCall    *call = request->call;
	json_t	   *evidence;
	bool		failed = false;

	if (result == CURLE_OK)
	{
		evidence = read_answer(request);
		failed = call->act && json_integer_value(json_object_get(evidence, "http_code")) >= 400;
	}
	else
	{
		long		reason = 0;

		curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &reason);
		evidence = zdu_text_error(request->answer.cut ? "output too large" :
								  request->error[0] ? request->error : curl_easy_strerror(result));
		json_object_set_new(evidence, "http_code", json_integer(0));

		/* Refused is something seen: nobody listens there.  Other errors say nothing. */
		if (result == CURLE_COULDNT_CONNECT && reason == ECONNREFUSED)
			json_object_set_new(evidence, "refused", json_true());
		failed = call->act || json_object_get(evidence, "refused") == NULL;
	}
	free_request(request);
	zdu_call_done(call, evidence, failed);
}

static void
finish_requests(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		Request    *request;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &request);
		finish_request(request, message->data.result);
	}
}

static void
on_multi_timer(uv_timer_t *timer)
{
	int			running;

	(void) timer;
	curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_requests();
}

static int
set_timer(CURLM *handle, long ms, void *arg)
{
	(void) handle;
	(void) arg;
	if (ms < 0)
		uv_timer_stop(&multi_timer);
	else
		uv_timer_start(&multi_timer, on_multi_timer, ms, 0);
	return 0;
}

static void
on_socket(uv_poll_t *poll, int status, int events)
{
	Watch	   *watch = (Watch *) poll;
	int			flags = 0;
	int			running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(multi, watch->socket, flags, &running);
	finish_requests();
}

static void
free_watch(uv_handle_t *handle)
{
	free(handle);
}

static int
set_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *known)
{
	Watch	   *watch = known;

	(void) easy;
	(void) arg;
	if (what == CURL_POLL_REMOVE)
	{
		if (watch != NULL)
		{
			uv_poll_stop(&watch->poll);
			uv_close((uv_handle_t *) &watch->poll, free_watch);
			curl_multi_assign(multi, socket, NULL);
		}
		return 0;
	}
	if (watch == NULL)
	{
		watch = calloc(1, sizeof(Watch));
		if (watch == NULL)
			abort();
		watch->socket = socket;
		if (uv_poll_init_socket(multi_loop, &watch->poll, socket) != 0)
		{
			free(watch);
			return -1;
		}
		curl_multi_assign(multi, socket, watch);
	}
	uv_poll_start(&watch->poll,
				  (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0),
				  on_socket);
	return 0;
}

static size_t
take_answer(char *bytes, size_t size, size_t count, void *arg)
{
	Request    *request = arg;

	zdu_tail_add(&request->answer, bytes, size * count);

	/* A short count makes libcurl end the transfer. */
	return request->answer.cut ? 0 : size * count;
}

/* The first request sets up what all of them share. */
static void
open_multi(uv_loop_t *loop)
{
	if (multi != NULL)
		return;
	multi_loop = loop;
	uv_timer_init(loop, &multi_timer);
	uv_unref((uv_handle_t *) &multi_timer);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	if (multi == NULL)
		abort();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
}

/* Returns whether the worker's list allows the host that the URL names. */
static bool
host_allowed(const ZduCall *call, const char *url)
{
	const ZduOptionList *allowed = call->around->allow_hosts;
	CURLU	   *parts = curl_url();
	char	   *host = NULL;
	bool		found = allowed->count == 0;
	int			i;

	if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		found = false;
	for (i = 0; host != NULL && i < allowed->count; i++)
		found = found || fnmatch(allowed->items[i], host, FNM_CASEFOLD) == 0;
	curl_free(host);
	curl_url_cleanup(parts);
	return found;
}

/* Adds "name: value", unless it would be two headers. */
static void
add_header(Request *request, const char *name, const char *value)
{
	char		line[4096];

	if (strpbrk(name, "\r\n:") != NULL || strpbrk(value, "\r\n") != NULL ||
		snprintf(line, sizeof(line), "%s: %s", name, value) >= (int) sizeof(line))
		return;
	request->headers = curl_slist_append(request->headers, line);
}

/*
 * Gives the request the form's parts; false if one is no text or no file.  A
 * value "@NAME" is a file of the runbook directory, and of no other: what the
 * database says must not make the worker send away what else it can read.
 */
static bool
set_form(Request *request, json_t *form)
{
	const char *name;
	json_t	   *value;

	request->form = curl_mime_init(request->easy);
	json_object_foreach(form, name, value)
	{
		const char *text = json_string_value(value);
		curl_mimepart *part = curl_mime_addpart(request->form);
		char		path[4096];

		if (text == NULL || curl_mime_name(part, name) != CURLE_OK)
			return false;
		if (text[0] != '@')
			curl_mime_data(part, text, CURL_ZERO_TERMINATED);
		else if (!zdu_call_file(request->call, text + 1, path, sizeof(path)) || curl_mime_filedata(part, path) != CURLE_OK)
			return false;
	}
	curl_easy_setopt(request->easy, CURLOPT_MIMEPOST, request->form);

	/* Many a server never says that one may continue. */
	request->headers = curl_slist_append(request->headers, "Expect:");
	return true;
}

/* Gives the request its method, headers and body: an action's, for a look is a GET. */
static bool
set_action(Request *request)
{
	const char *method = zdu_call_text(request->call, "method");
	json_t	   *body = json_object_get(request->call->spec, "body");
	json_t	   *form = json_object_get(request->call->spec, "form");

	if (form != NULL && !set_form(request, form))
		return false;
	if (json_is_string(body))
		request->body = strdup(json_string_value(body));
	else if (body != NULL && !json_is_null(body))
	{
		request->body = json_dumps(body, JSON_COMPACT);
		add_header(request, "Content-Type", "application/json");
	}
	if (request->body != NULL)
		curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->body);
	if (method != NULL && strcmp(method, "HEAD") == 0)
		curl_easy_setopt(request->easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, method != NULL ? method : "GET");
	return true;
}

static void
start_http(ZduCall *call)
{
	const char *url = zdu_call_text(call, "http");
	Request    *request;
	const char *name;
	json_t	   *value;

	if (url == NULL || !host_allowed(call, url))
	{
		zdu_call_fail(call, "host not allowed");
		return;
	}
	open_multi(call->around->loop);
	request = calloc(1, sizeof(Request));
	if (request == NULL)
		abort();
	request->call = call;
	request->answer.limit = zdu_call_size(call);
	request->easy = curl_easy_init();
	if (request->easy == NULL)
		abort();
	curl_easy_setopt(request->easy, CURLOPT_URL, url);
	curl_easy_setopt(request->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "zdu_worker/" ZDU_VERSION);
	curl_easy_setopt(request->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(request->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(request->easy, CURLOPT_FORBID_REUSE, 1L);
	/* Who we are there stands in ~/.netrc: no table holds a password. */
	curl_easy_setopt(request->easy, CURLOPT_NETRC, (long) CURL_NETRC_OPTIONAL);
	if (call->act && !set_action(request))
	{
		free_request(request);
		zdu_call_fail(call, "the form has a part that is no text and no file of the runbook directory");
		return;
	}
	json_object_foreach(json_object_get(call->spec, "headers"), name, value)
	{
		if (json_is_string(value))
			add_header(request, name, json_string_value(value));
	}
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	call->state = request;
	curl_multi_add_handle(multi, request->easy);
}

static void
end_http(ZduCall *call)
{
	free_request(call->state);
	zdu_call_done(call, json_pack("{s:i}", "http_code", 0), true);
}

const ZduDriver zdu_driver_http = {"http", start_http, end_http};
