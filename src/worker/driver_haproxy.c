/*
 * driver_haproxy.c
 *	  Looks and acts through HAProxy's runtime API.
 *
 * One connection carries one line of commands, and HAProxy closes it after
 * the answers, each of which ends with an empty line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/driver.h"
#include "worker/haproxy_answer.h"

#define ANSWER_SIZE		(4 * 1024 * 1024)

typedef struct Talk
{
	ZduCall    *call;
	char		backend[256];
	char		server[256];
	char		command[1024];
	uv_getaddrinfo_t look_up;
	struct addrinfo *addresses;
	struct addrinfo *next;		/* the address to try after this one */
	union
	{
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t	tcp;
		uv_pipe_t	pipe;
	}			u;
	uv_connect_t connect;
	uv_write_t	write;
	ZduTail		answer;
	char		bytes[16 * 1024];
	bool		opened;			/* the handle is there */
	bool		looking_up;
	bool		told;			/* the call is done */
} Talk;

static void try_address(Talk *talk);

static void
free_talk(Talk *talk)
{
	uv_freeaddrinfo(talk->addresses);
	zdu_tail_free(&talk->answer);
	free(talk);
}

static void
on_closed(uv_handle_t *handle)
{
	free_talk(handle->data);
}

/* Tells the call's end and frees the talk when libuv lets go of it. */
static void
finish(Talk *talk, json_t *evidence, bool failed)
{
	ZduCall    *call = talk->call;

	talk->told = true;
	if (talk->opened)
		uv_close(&talk->u.handle, on_closed);
	else if (!talk->looking_up)
		free_talk(talk);
	zdu_call_done(call, evidence, failed);
}

static void
fail(Talk *talk, const char *error)
{
	finish(talk, zdu_text_error(error), true);
}

static void
finish_answer(Talk *talk)
{
	json_t	   *evidence;

	if (talk->answer.cut)
		evidence = zdu_text_error("output too large");
	else if (talk->call->act)
		evidence = zdu_haproxy_set_state(talk->answer.bytes, talk->answer.length);
	else
		evidence = zdu_haproxy_server(talk->answer.bytes, talk->answer.length,
									  talk->backend, talk->server);
	finish(talk, evidence, json_object_get(evidence, "error") != NULL);
}

static void
give_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	Talk	   *talk = handle->data;

	(void) size;
	*buffer = uv_buf_init(talk->bytes, sizeof(talk->bytes));
}

static void
on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	Talk	   *talk = stream->data;

	if (got > 0)
		zdu_tail_add(&talk->answer, buffer->base, got);
	else if (got == UV_EOF)
		finish_answer(talk);
	else if (got < 0)
		fail(talk, uv_strerror(got));
}

static void
on_written(uv_write_t *write, int status)
{
	Talk	   *talk = write->data;

	if (status < 0 && !talk->told)
		fail(talk, uv_strerror(status));
}

static void
on_old_closed(uv_handle_t *handle)
{
	Talk	   *talk = handle->data;

	talk->opened = false;
	if (talk->told)
		free_talk(talk);
	else
		try_address(talk);
}

static void
on_connected(uv_connect_t *connect, int status)
{
	Talk	   *talk = connect->data;
	uv_buf_t	buffer;

	if (talk->told)
		return;
	if (status < 0 && talk->next != NULL)
	{
		uv_close(&talk->u.handle, on_old_closed);
		return;
	}
	if (status < 0)
	{
		fail(talk, uv_strerror(status));
		return;
	}
	buffer = uv_buf_init(talk->command, strlen(talk->command));
	talk->write.data = talk;
	uv_write(&talk->write, &talk->u.stream, &buffer, 1, on_written);
	uv_read_start(&talk->u.stream, give_buffer, on_read);
}

/* Connects to the next of the host's addresses. */
static void
try_address(Talk *talk)
{
	struct addrinfo *address = talk->next;
	int			failure;

	talk->next = address->ai_next;
	uv_tcp_init(talk->call->around->loop, &talk->u.tcp);
	talk->u.handle.data = talk;
	talk->opened = true;
	failure = uv_tcp_connect(&talk->connect, &talk->u.tcp, address->ai_addr, on_connected);
	if (failure != 0)
		fail(talk, uv_strerror(failure));
}

static void
on_looked_up(uv_getaddrinfo_t *look_up, int status, struct addrinfo *addresses)
{
	Talk	   *talk = look_up->data;

	talk->looking_up = false;
	talk->addresses = talk->next = addresses;
	if (talk->told)
		free_talk(talk);
	else if (status < 0)
		fail(talk, uv_strerror(status));
	else
		try_address(talk);
}

/* Connects to "host:port", or to a socket's path. */
static void
connect_talk(Talk *talk, const char *where)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *port = strrchr(where, ':');
	char		host[256];
	int			failure;

	talk->connect.data = talk;
	if (*where == '/')
	{
		uv_pipe_init(talk->call->around->loop, &talk->u.pipe, 0);
		talk->u.handle.data = talk;
		talk->opened = true;
		uv_pipe_connect(&talk->connect, &talk->u.pipe, where, on_connected);
		return;
	}
	if (port == NULL || port == where || port - where >= (int) sizeof(host))
	{
		fail(talk, "not an address of the form host:port or /socket");
		return;
	}

	/* An IPv6 address stands in brackets. */
	if (*where == '[' && port[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int) (port - where - 2), where + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int) (port - where), where);
	talk->look_up.data = talk;
	talk->looking_up = true;
	failure = uv_getaddrinfo(talk->call->around->loop, &talk->look_up, on_looked_up, host, port + 1, &hints);
	if (failure != 0)
	{
		talk->looking_up = false;
		fail(talk, uv_strerror(failure));
	}
}

/* Returns whether the name may stand in a command: nothing in it ends one. */
static bool
plain_name(const char *name)
{
	return *name != '\0' && strpbrk(name, " ;\\\"'\r\n\t/") == NULL;
}

/* Writes the command.  Returns what is wrong with the SPEC, or NULL. */
static const char *
make_command(Talk *talk)
{
	static const char *const states[] = {"ready", "drain", "maint", NULL};
	const char *server = zdu_call_text(talk->call, "server");
	const char *state = zdu_call_text(talk->call, "state");
	int			i;

	if (server == NULL || sscanf(server, "%255[^/]/%255s", talk->backend, talk->server) != 2 ||
		!plain_name(talk->backend) || !plain_name(talk->server))
		return "not a server of the form backend/server";
	if (!talk->call->act)
	{
		snprintf(talk->command, sizeof(talk->command), "show stat %s 4 -1;show servers state %s\n",
				 talk->backend, talk->backend);
		return NULL;
	}
	for (i = 0; states[i] != NULL; i++)
		if (state != NULL && strcmp(state, states[i]) == 0)
		{
			snprintf(talk->command, sizeof(talk->command), "set server %s/%s state %s\n",
					 talk->backend, talk->server, state);
			return NULL;
		}
	return "the state is none of ready, drain and maint";
}

static void
start_haproxy(ZduCall *call)
{
	Talk	   *talk = calloc(1, sizeof(Talk));
	const char *where = zdu_call_text(call, "haproxy");
	const char *wrong;

	if (talk == NULL)
		abort();
	talk->call = call;
	talk->answer.limit = ANSWER_SIZE;
	call->state = talk;
	wrong = where == NULL ? "no address" : make_command(talk);
	if (wrong != NULL)
		fail(talk, wrong);
	else
		connect_talk(talk, where);
}

static void
end_haproxy(ZduCall *call)
{
	Talk	   *talk = call->state;

	if (talk->looking_up)
		uv_cancel((uv_req_t *) &talk->look_up);
	if (talk->opened && uv_is_closing(&talk->u.handle))
	{
		/* Between two addresses: on_old_closed() frees it. */
		talk->told = true;
		zdu_call_done(call, json_object(), true);
		return;
	}
	finish(talk, json_object(), true);
}

const ZduDriver zdu_driver_haproxy = {"haproxy", start_haproxy, end_haproxy};
