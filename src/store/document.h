/*
 * document.h
 *	  Reading a JSON document: values by key, and durations.
 *
 * The object may be NULL everywhere: it has no keys then.
 */
#ifndef ZDU_DOCUMENT_H
#define ZDU_DOCUMENT_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Returns the value under a key, NULL: there is none. */
extern JsonbValue *zdu_get(JsonbContainer *object, const char *key);

/* The same for values of one kind; anything else is as good as none. */
extern char *zdu_get_text(JsonbContainer *object, const char *key);
extern JsonbContainer *zdu_get_object(JsonbContainer *object, const char *key);
extern double zdu_get_duration(JsonbContainer *object, const char *key, double otherwise);
extern int	zdu_get_number(JsonbContainer *object, const char *key, int otherwise);
extern bool zdu_get_flag(JsonbContainer *object, const char *key);

/* Returns the lowest protocol of a worker that knows every key in it (M6). */
extern int	zdu_protocol_needed(JsonbContainer *document);

/* Parses "500ms", "30s", "10min", "2h", "1d" into seconds; false: it is none. */
extern bool zdu_duration_parse(const char *text, int len, double *seconds);

#endif							/* ZDU_DOCUMENT_H */
