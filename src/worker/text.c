/*
 * text.c
 *	  What programs and servers print, made fit for a report.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/text.h"

#define REPLACEMENT		"\xEF\xBF\xBD"

void
zdu_tail_add(ZduTail *tail, const char *bytes, size_t length)
{
	size_t		keep;

	if (length > tail->limit)
	{
		bytes += length - tail->limit;
		length = tail->limit;
		tail->cut = true;
	}
	keep = tail->length;
	if (keep + length > tail->limit)
	{
		keep = tail->limit - length;
		tail->cut = true;
	}
	if (keep < tail->length)
		memmove(tail->bytes, tail->bytes + (tail->length - keep), keep);
	tail->length = keep;
	tail->bytes = realloc(tail->bytes, keep + length + 1);
	if (tail->bytes == NULL)
		abort();
	memcpy(tail->bytes + tail->length, bytes, length);
	tail->length += length;
}

void
zdu_tail_free(ZduTail *tail)
{
	free(tail->bytes);
	tail->bytes = NULL;
	tail->length = 0;
	tail->cut = false;
}

/*
 * Returns how many of `left` bytes make one character that may be printed, or
 * 0.  Overlong forms, surrogates and what lies above U+10FFFF are no
 * characters.
 */
static size_t
character_length(const unsigned char *c, size_t left)
{
	static const struct
	{
		unsigned char first,
					last,
					second_low,
					second_high;
		size_t		length;
	}			forms[] = {
		{0xC2, 0xDF, 0x80, 0xBF, 2},
		{0xE0, 0xE0, 0xA0, 0xBF, 3},
		{0xE1, 0xEC, 0x80, 0xBF, 3},
		{0xED, 0xED, 0x80, 0x9F, 3},
		{0xEE, 0xEF, 0x80, 0xBF, 3},
		{0xF0, 0xF0, 0x90, 0xBF, 4},
		{0xF1, 0xF3, 0x80, 0xBF, 4},
		{0xF4, 0xF4, 0x80, 0x8F, 4},
	};
	size_t		i;
	size_t		j;

	if (*c < 0x80)
		return *c >= ' ' || *c == '\n' || *c == '\t' || *c == '\r' ? 1 : 0;
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		if (*c < forms[i].first || *c > forms[i].last)
			continue;
		if (left < forms[i].length || c[1] < forms[i].second_low || c[1] > forms[i].second_high)
			return 0;
		for (j = 2; j < forms[i].length; j++)
			if ((c[j] & 0xC0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* Returns the last `limit` bytes of clean text as a string, from a character's first byte. */
static json_t *
last_of(const char *clean, size_t length, size_t limit)
{
	const char *from = clean;

	if (length > limit)
	{
		from = clean + (length - limit);
		while (((unsigned char) *from & 0xC0) == 0x80)
			from++;
	}
	return json_stringn(from, length - (from - clean));
}

json_t *
zdu_text_clean(const char *bytes, size_t length, size_t limit)
{
	char	   *clean = malloc(length * 3 + 1);
	size_t		filled = 0;
	size_t		i = 0;
	json_t	   *text;

	if (clean == NULL)
		abort();

	/* A stream that was cut may begin in the middle of a character. */
	while (i < length && i < 3 && ((unsigned char) bytes[i] & 0xC0) == 0x80)
		i++;
	while (i < length)
	{
		size_t		n = character_length((const unsigned char *) bytes + i, length - i);

		if (n > 0)
			memcpy(clean + filled, bytes + i, n);
		else
			memcpy(clean + filled, REPLACEMENT, 3);
		filled += n > 0 ? n : 3;
		i += n > 0 ? n : 1;
	}
	text = last_of(clean, filled, limit);
	free(clean);
	return text;
}

json_t *
zdu_text_object(const char *bytes, size_t length)
{
	json_t	   *clean = zdu_text_clean(bytes, length, length * 3);
	json_t	   *object;

	/* Without JSON_ALLOW_NUL \u0000 is refused, which jsonb cannot hold. */
	object = json_loadb(json_string_value(clean), json_string_length(clean), 0, NULL);
	json_decref(clean);
	if (object != NULL && !json_is_object(object))
	{
		json_decref(object);
		object = NULL;
	}
	return object;
}

json_t *
zdu_text_error(const char *message)
{
	json_t	   *text = zdu_text_clean(message, strlen(message), 1024);
	json_t	   *error = json_object();

	json_object_set_new(error, "error", text);
	return error;
}

char *
zdu_text_copy(const char *text)
{
	char	   *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		abort();
	return copy;
}

bool
zdu_text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}
