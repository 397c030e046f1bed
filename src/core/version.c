/*
 * version.c
 *		Parses versions, and turns them into keys that memcmp() can order.
 *
 * A key is the core's numbers up to the last that is not zero, then either
 * KEY_END or, for a pre-release, KEY_PRERELEASE, its identifiers and KEY_END.
 * The codes are chosen so that whatever may follow at one place is in the
 * order of its first byte:
 *
 *		after a part			pre-release < release < another part
 *		after an identifier		end < number < word
 *
 * A number below KEY_SMALL_NUMBERS is one byte.  Others are KEY_LONG_NUMBER,
 * the count of their digits in a byte, and the digits, two to a byte, so that
 * usual versions fit into the eight bytes of an abbreviated sort key.  A word
 * is KEY_WORD, its characters, and a zero byte, which is below all of them.
 */
#include <string.h>

#include "core/version.h"

#define KEY_PRERELEASE		0x00
#define KEY_END				0x01
#define KEY_NUMBER			0x02	/* plus the number, if it is a small one */
#define KEY_SMALL_NUMBERS	200
#define KEY_LONG_NUMBER		(KEY_NUMBER + KEY_SMALL_NUMBERS)
#define KEY_WORD			0xFF

typedef enum ListKind
{
	LIST_CORE,
	LIST_PRERELEASE,
	LIST_BUILD
} ListKind;

/* The three lists are one grammar with different characters. */
static const struct
{
	bool		words;			/* letters and hyphens besides digits? */
	const char *ends;			/* what may end it, besides the text's end */
	const char *missing;		/* the reason if an item is empty */
	const char *stray;			/* the reason if an item goes on wrongly */
}			lists[] = {
	[LIST_CORE] = {
		false, "-+",
		"a digit must stand here",
		"only a digit, a dot, a hyphen or a plus sign may stand here"
	},
	[LIST_PRERELEASE] = {
		true, "+",
		"a letter, a digit or a hyphen must stand here",
		"only a letter, a digit, a hyphen, a dot or a plus sign may stand here"
	},
	[LIST_BUILD] = {
		true, "",
		"a letter, a digit or a hyphen must stand here",
		"only a letter, a digit, a hyphen or a dot may stand here"
	},
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The ctype functions would ask the locale. */
static bool
is_word(char c)
{
	return is_digit(c) || c == '-' ||
		(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_control(char c)
{
	return (unsigned char) c < 0x20 || c == 0x7F;
}

static bool
refuse(ZduVersionError *error, size_t at, const char *reason)
{
	error->position = (int) at + 1;
	error->reason = reason;
	return false;
}

/* Advances *at over one item of a list, or says why there is none. */
static bool
parse_item(ListKind kind, const char *text, size_t len, size_t *at,
		   ZduVersionError *error)
{
	size_t		start = *at;

	while (*at < len &&
		   (lists[kind].words ? is_word(text[*at]) : is_digit(text[*at])))
		(*at)++;

	if (*at < len && is_control(text[*at]))
		return refuse(error, *at, "control characters are not allowed");
	if (*at == start)
		return refuse(error, *at, lists[kind].missing);
	return true;
}

/* Advances *at over a list; what stops it is the text's end or one of ends. */
static bool
parse_list(ListKind kind, const char *text, size_t len, size_t *at,
		   ZduVersionSpan *span, ZduVersionError *error)
{
	const char *ends = lists[kind].ends;

	span->text = text + *at;
	for (;;)
	{
		if (!parse_item(kind, text, len, at, error))
			return false;
		if (*at == len || text[*at] != '.')
			break;
		(*at)++;
	}
	span->len = text + *at - span->text;

	if (*at < len && memchr(ends, text[*at], strlen(ends)) == NULL)
		return refuse(error, *at, lists[kind].stray);
	return true;
}

bool
zdu_version_parse(const char *text, size_t len, ZduVersion *version,
				  ZduVersionError *error)
{
	size_t		at = 0;

	memset(version, 0, sizeof(*version));
	if (len == 0)
		return refuse(error, 0, "the text is empty");
	if (len > ZDU_VERSION_TEXT_MAX)
		return refuse(error, ZDU_VERSION_TEXT_MAX,
					  "a version has at most 255 characters");

	if (!parse_list(LIST_CORE, text, len, &at, &version->core, error))
		return false;
	if (at < len && text[at] == '-')
	{
		at++;
		if (!parse_list(LIST_PRERELEASE, text, len, &at, &version->prerelease,
						error))
			return false;
	}
	if (at < len)
	{
		at++;
		if (!parse_list(LIST_BUILD, text, len, &at, &version->build, error))
			return false;
	}
	return true;
}

/*
 * Cuts the next item off a list.  Returns false at its end.  An absent list has
 * no items.
 */
static bool
next_item(ZduVersionSpan *list, ZduVersionSpan *item)
{
	const char *dot;

	if (list->len == 0)
		return false;

	item->text = list->text;
	dot = memchr(list->text, '.', list->len);
	if (dot == NULL)
	{
		item->len = list->len;
		list->len = 0;
	}
	else
	{
		item->len = dot - list->text;
		list->text += item->len + 1;
		list->len -= item->len + 1;
	}
	return true;
}

static bool
all_are(ZduVersionSpan span, char low, char high)
{
	size_t		i;

	for (i = 0; i < span.len; i++)
		if (span.text[i] < low || span.text[i] > high)
			return false;
	return true;
}

/* Makes numbers comparable by their length; nothing is left of zero. */
static ZduVersionSpan
without_leading_zeros(ZduVersionSpan digits)
{
	while (digits.len > 0 && digits.text[0] == '0')
	{
		digits.text++;
		digits.len--;
	}
	return digits;
}

/* Returns the number, or ZDU_PART_TOO_LARGE. */
static int64_t
number_value(ZduVersionSpan digits)
{
	int64_t		value = 0;
	size_t		i;

	for (i = 0; i < digits.len; i++)
	{
		int			digit = digits.text[i] - '0';

		if (value > (INT64_MAX - digit) / 10)
			return ZDU_PART_TOO_LARGE;
		value = value * 10 + digit;
	}
	return value;
}

static unsigned char *
put_number(unsigned char *key, ZduVersionSpan digits)
{
	int64_t		value;
	size_t		i;

	digits = without_leading_zeros(digits);
	value = number_value(digits);
	if (value >= 0 && value < KEY_SMALL_NUMBERS)
	{
		*key++ = (unsigned char) (KEY_NUMBER + value);
		return key;
	}

	*key++ = KEY_LONG_NUMBER;
	*key++ = (unsigned char) digits.len;

	/* An odd count of digits leaves the first byte's upper half zero. */
	if (digits.len % 2 != 0)
		*key++ = (unsigned char) (digits.text[0] - '0');
	for (i = digits.len % 2; i < digits.len; i += 2)
		*key++ = (unsigned char) ((digits.text[i] - '0') << 4 |
								  (digits.text[i + 1] - '0'));
	return key;
}

static unsigned char *
put_word(unsigned char *key, ZduVersionSpan word)
{
	*key++ = KEY_WORD;
	memcpy(key, word.text, word.len);
	key += word.len;
	*key++ = 0;
	return key;
}

size_t
zdu_version_key(const ZduVersion *version,
				unsigned char key[ZDU_VERSION_KEY_MAX])
{
	ZduVersionSpan list = version->core;
	ZduVersionSpan item;
	unsigned char *next = key;
	unsigned char *end = key;

	while (next_item(&list, &item))
	{
		next = put_number(next, item);
		/* Take back trailing zeros: 1.0.0 must get the key of 1. */
		if (!all_are(item, '0', '0'))
			end = next;
	}

	list = version->prerelease;
	if (list.len > 0)
	{
		*end++ = KEY_PRERELEASE;
		while (next_item(&list, &item))
			end = all_are(item, '0', '9') ?
				put_number(end, item) : put_word(end, item);
	}
	*end++ = KEY_END;
	return end - key;
}

int
zdu_version_key_compare(const unsigned char *a, size_t a_len,
						const unsigned char *b, size_t b_len)
{
	return memcmp(a, b, a_len < b_len ? a_len : b_len);
}

/* Returns the core's part n; empty, which is zero, if it has fewer. */
static ZduVersionSpan
core_part(const ZduVersion *version, int n)
{
	ZduVersionSpan list = version->core;
	ZduVersionSpan none = {NULL, 0};
	ZduVersionSpan item;

	while (next_item(&list, &item))
		if (--n == 0)
			return without_leading_zeros(item);
	return none;
}

int64_t
zdu_version_number(const ZduVersion *version, int n)
{
	if (n < 1)
		return ZDU_PART_INVALID;
	return number_value(core_part(version, n));
}

/* Parses a terminated text, for callers that need no reason. */
static bool
parse_text(const char *text, ZduVersion *version)
{
	ZduVersionError error;

	return zdu_version_parse(text, strlen(text), version, &error);
}

static int
compare_versions(const ZduVersion *a, const ZduVersion *b)
{
	unsigned char a_key[ZDU_VERSION_KEY_MAX];
	unsigned char b_key[ZDU_VERSION_KEY_MAX];
	size_t		a_len = zdu_version_key(a, a_key);
	size_t		b_len = zdu_version_key(b, b_key);

	return zdu_version_key_compare(a_key, a_len, b_key, b_len);
}

int
zdu_version_compare(const char *a, const char *b)
{
	ZduVersion	a_version;
	ZduVersion	b_version;
	bool		a_valid = parse_text(a, &a_version);
	bool		b_valid = parse_text(b, &b_version);

	if (!a_valid || !b_valid)
		return (int) a_valid - (int) b_valid;
	return compare_versions(&a_version, &b_version);
}

int64_t
zdu_version_part(const char *text, int n)
{
	ZduVersion	version;

	if (!parse_text(text, &version))
		return ZDU_PART_INVALID;
	return zdu_version_number(&version, n);
}

static bool
numbers_equal(ZduVersionSpan a, ZduVersionSpan b)
{
	return a.len == b.len &&
		(a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

/* Is b = a + 1?  On digits, since a number has no largest one here. */
static bool
number_follows(ZduVersionSpan a, ZduVersionSpan b)
{
	/* 99 is followed by 100, and zero, which is empty, by 1. */
	if (b.len == a.len + 1)
	{
		ZduVersionSpan tail = {b.text + 1, a.len};

		return all_are(a, '9', '9') && b.text[0] == '1' &&
			all_are(tail, '0', '0');
	}
	if (b.len != a.len)
		return false;

	/* 1299 is followed by 1300: skip what is equal, then one up, then carry. */
	while (a.len > 0 && a.text[0] == b.text[0])
	{
		a.text++, a.len--;
		b.text++, b.len--;
	}
	if (a.len == 0 || b.text[0] != a.text[0] + 1)
		return false;
	a.text++, a.len--;
	b.text++, b.len--;
	return all_are(a, '9', '9') && all_are(b, '0', '0');
}

ZduVersionStep
zdu_version_step(const char *from, const char *to)
{
	ZduVersion	a;
	ZduVersion	b;
	int			order;

	if (!parse_text(from, &a) || !parse_text(to, &b))
		return ZDU_STEP_UNKNOWN;

	order = compare_versions(&a, &b);
	if (order == 0)
		return ZDU_STEP_SAME;
	if (order > 0)
		return ZDU_STEP_DOWNGRADE;

	if (!numbers_equal(core_part(&a, 1), core_part(&b, 1)))
		return number_follows(core_part(&a, 1), core_part(&b, 1)) ?
			ZDU_STEP_NEXT_MAJOR : ZDU_STEP_SKIPS_MAJOR;
	if (!numbers_equal(core_part(&a, 2), core_part(&b, 2)))
		return number_follows(core_part(&a, 2), core_part(&b, 2)) ?
			ZDU_STEP_NEXT_MINOR : ZDU_STEP_SKIPS_MINOR;
	return ZDU_STEP_PATCH;
}
