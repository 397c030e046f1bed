/*
 * document.c
 *	  Reading a JSON document.
 */
#include "store/document.h"

#include "core/protocol.h"
#include <ctype.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

JsonbValue *
zdu_get(JsonbContainer *object, const char *key)
{
	return object == NULL ? NULL : getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
}

char *
zdu_get_text(JsonbContainer *object, const char *key)
{
	JsonbValue *v = zdu_get(object, key);

	return v == NULL || v->type != jbvString ? NULL : pnstrdup(v->val.string.val, v->val.string.len);
}

double
zdu_get_duration(JsonbContainer *object, const char *key, double otherwise)
{
	char	   *text = zdu_get_text(object, key);
	double		seconds;

	return text != NULL && zdu_duration_parse(text, strlen(text), &seconds) ? seconds : otherwise;
}

int
zdu_get_number(JsonbContainer *object, const char *key, int otherwise)
{
	JsonbValue *v = zdu_get(object, key);

	return v == NULL || v->type != jbvNumeric ? otherwise :
		DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(v->val.numeric)));
}

bool
zdu_get_flag(JsonbContainer *object, const char *key)
{
	JsonbValue *v = zdu_get(object, key);

	return v != NULL && v->type == jbvBool && v->val.boolean;
}

JsonbContainer *
zdu_get_object(JsonbContainer *object, const char *key)
{
	JsonbValue *v = zdu_get(object, key);

	return v != NULL && v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data) ? v->val.binary.data : NULL;
}

bool
zdu_duration_parse(const char *text, int len, double *seconds)
{
	static const struct
	{
		const char *unit;
		double		seconds;
	}			units[] = {{"ms", 0.001}, {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
	char	   *copy = pnstrdup(text, len);
	char	   *end;
	double		number;

	if (!isdigit((unsigned char) copy[0]) || strspn(copy, "0123456789.") > 9)
		return false;
	number = strtod(copy, &end);
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(end, units[i].unit) == 0)
		{
			*seconds = number * units[i].seconds;
			return true;
		}
	return false;
}

int
zdu_protocol_needed(JsonbContainer *document)
{
	JsonbIterator *it = document != NULL ? JsonbIteratorInit(document) : NULL;
	JsonbIteratorToken token;
	JsonbValue	v;
	int			needed = 1;

	while (it != NULL && (token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
		if (token == WJB_KEY)
			needed = Max(needed, zdu_protocol_of_key(v.val.string.val, v.val.string.len));
	return needed;
}
