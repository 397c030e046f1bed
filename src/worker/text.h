/*
 * text.h
 *	  What programs and servers print, made fit for a report.
 *
 * A report must be valid jsonb whatever came out of a program: no NUL, no
 * bytes that are not UTF-8, no control characters.
 */
#ifndef ZDU_WORKER_TEXT_H
#define ZDU_WORKER_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ZDU_LOG_SIZE	(16 * 1024)		/* how much of an action's output is kept */
#define ZDU_LOOK_SIZE	(64 * 1024)		/* how much a look may print, and a report hold, unless its args say more */
#define ZDU_LOOK_MOST	(16 * 1024 * 1024)	/* more than that no args may say */

/* The last bytes of a stream; growing up to `limit`, then forgetting the oldest. */
typedef struct ZduTail
{
	char	   *bytes;
	size_t		length;
	size_t		limit;
	bool		cut;			/* something was forgotten */
} ZduTail;

extern void zdu_tail_add(ZduTail *tail, const char *bytes, size_t length);
extern void zdu_tail_free(ZduTail *tail);

/*
 * Returns a JSON string of at most `limit` bytes, the last ones where there
 * are more; what is not UTF-8 or not printable is replaced by U+FFFD.
 */
extern json_t *zdu_text_clean(const char *bytes, size_t length, size_t limit);

/* Returns the JSON object that `bytes` hold, or NULL if they hold no such thing. */
extern json_t *zdu_text_object(const char *bytes, size_t length);

/* Returns {"error": message}. */
extern json_t *zdu_text_error(const char *message);

/* Returns a copy, NULL of NULL; whoever has no memory for a name cannot go on. */
extern char *zdu_text_copy(const char *text);

/* Returns whether two texts are the same; NULL is the same as NULL only. */
extern bool zdu_text_same(const char *a, const char *b);

#endif							/* ZDU_WORKER_TEXT_H */
