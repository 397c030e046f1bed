/*
 * version_fuzz.c
 *		Promise: whatever the input, core/version.h keeps its contract.
 *
 *		version_fuzz [iterations [seed]]
 *
 * makes three texts an iteration, checks them alone and against each other,
 * and prints TAP.  A broken promise prints the texts and aborts, which is what
 * libFuzzer wants to see too: built with -DZDU_LIBFUZZER -fsanitize=fuzzer, the
 * same checks run on its input, three texts divided by newlines.
 *
 * The order is checked against a second implementation, which follows the
 * words of SemVer item by item and knows no keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

/* Somewhat more than a version may have, to meet the limit. */
#define TEXT_ROOM	300

typedef struct Sample
{
	char		text[TEXT_ROOM + 1];	/* may hold zero bytes */
	size_t		len;
	bool		valid;
	ZduVersion	version;
	unsigned char key[ZDU_VERSION_KEY_MAX];
	size_t		key_len;
} Sample;

static void
broken(const char *promise, const Sample *samples, size_t count)
{
	size_t		i;

	fprintf(stderr, "broken: %s\n", promise);
	for (i = 0; i < count; i++)
	{
		fprintf(stderr, "\ttext %d, %d bytes: ", (int) i + 1,
				(int) samples[i].len);
		fwrite(samples[i].text, 1, samples[i].len, stderr);
		fputc('\n', stderr);
	}
	abort();
}

/* ---- the second implementation ---- */

/* Cuts the item before the next dot; "" once there are no more. */
static ZduVersionSpan
cut(ZduVersionSpan *list)
{
	ZduVersionSpan item = {list->text, 0};

	while (item.len < list->len && item.text[item.len] != '.')
		item.len++;
	list->text += item.len;
	list->len -= item.len;
	if (list->len > 0)
	{
		list->text++;
		list->len--;
	}
	return item;
}

static int
sign(int difference)
{
	return (difference > 0) - (difference < 0);
}

static bool
is_number(ZduVersionSpan item)
{
	return item.len > 0 && strspn(item.text, "0123456789") >= item.len;
}

static int
compare_numbers(ZduVersionSpan a, ZduVersionSpan b)
{
	while (a.len > b.len)
	{
		if (*a.text != '0')
			return 1;
		a.text++, a.len--;
	}
	while (b.len > a.len)
	{
		if (*b.text != '0')
			return -1;
		b.text++, b.len--;
	}
	return a.len == 0 ? 0 : sign(strncmp(a.text, b.text, a.len));
}

static int
compare_identifiers(ZduVersionSpan a, ZduVersionSpan b)
{
	size_t		shorter = a.len < b.len ? a.len : b.len;
	int			order;

	/* An identifier is never empty: this one is none, the list was shorter. */
	if (a.len == 0 || b.len == 0)
		return (a.len > 0) - (b.len > 0);
	if (is_number(a) && is_number(b))
		return compare_numbers(a, b);
	if (is_number(a) != is_number(b))
		return is_number(a) ? -1 : 1;
	order = sign(strncmp(a.text, b.text, shorter));
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
compare_lists(ZduVersionSpan a, ZduVersionSpan b,
			  int (*compare) (ZduVersionSpan, ZduVersionSpan))
{
	int			order = 0;

	while (order == 0 && (a.len > 0 || b.len > 0))
		order = compare(cut(&a), cut(&b));
	return order;
}

static int
compare_by_the_book(const ZduVersion *a, const ZduVersion *b)
{
	int			order = compare_lists(a->core, b->core, compare_numbers);

	if (order != 0)
		return order;
	if (a->prerelease.len == 0 || b->prerelease.len == 0)
		return (a->prerelease.len == 0) - (b->prerelease.len == 0);
	return compare_lists(a->prerelease, b->prerelease, compare_identifiers);
}

/* ---- the promises ---- */

/* A refusal is at the first byte at which no version can go on. */
static void
check_refusal(const Sample *sample, const ZduVersionError *error)
{
	char		mended[TEXT_ROOM + 1];
	size_t		good = error->position - 1;
	ZduVersion	version;
	ZduVersionError ignored;

	if (error->position < 1 || good > sample->len || error->reason == NULL)
		broken("an error has a position and a reason", sample, 1);
	if (good == ZDU_VERSION_TEXT_MAX)
		return;
	memcpy(mended, sample->text, good);
	mended[good] = '0';
	if (!zdu_version_parse(mended, good + 1, &version, &ignored))
		broken("what is before an error's position can be completed", sample, 1);
}

/* Text in is text out: the spans and what divides them are the text. */
static void
check_spans(const Sample *sample)
{
	const ZduVersion *v = &sample->version;
	const char *next = sample->text;

	if (v->core.text != next || v->core.len == 0)
		broken("a version begins with its core", sample, 1);
	next += v->core.len;
	if (v->prerelease.text != NULL)
	{
		if (*next != '-' || v->prerelease.text != next + 1)
			broken("a pre-release follows the core", sample, 1);
		next = v->prerelease.text + v->prerelease.len;
	}
	if (v->build.text != NULL)
	{
		if (*next != '+' || v->build.text != next + 1)
			broken("the build comes last", sample, 1);
		next = v->build.text + v->build.len;
	}
	if (next != sample->text + sample->len)
		broken("the spans cover the text", sample, 1);
}

static void
check_one(Sample *sample)
{
	ZduVersionError error;

	sample->valid = zdu_version_parse(sample->text, sample->len,
									  &sample->version, &error);
	if (!sample->valid)
	{
		check_refusal(sample, &error);
		return;
	}
	check_spans(sample);
	sample->key_len = zdu_version_key(&sample->version, sample->key);
	if (sample->key_len < 1 || sample->key_len > ZDU_VERSION_KEY_MAX)
		broken("a key has a length within its limits", sample, 1);
}

static int
compare(const Sample *a, const Sample *b)
{
	return sign(zdu_version_key_compare(a->key, a->key_len, b->key, b->key_len));
}

/* What the step is by arithmetic; unknown if that cannot hold the parts. */
static ZduVersionStep
expected_step(const char *from, const char *to, int order)
{
	int64_t		from_major = zdu_version_part(from, 1);
	int64_t		from_minor = zdu_version_part(from, 2);
	int64_t		to_major = zdu_version_part(to, 1);
	int64_t		to_minor = zdu_version_part(to, 2);

	if (order == 0)
		return ZDU_STEP_SAME;
	if (order > 0)
		return ZDU_STEP_DOWNGRADE;
	if (from_major < 0 || from_minor < 0 || to_major < 0 || to_minor < 0)
		return ZDU_STEP_UNKNOWN;
	if (to_major != from_major)
		return to_major - from_major == 1 ?
			ZDU_STEP_NEXT_MAJOR : ZDU_STEP_SKIPS_MAJOR;
	if (to_minor != from_minor)
		return to_minor - from_minor == 1 ?
			ZDU_STEP_NEXT_MINOR : ZDU_STEP_SKIPS_MINOR;
	return ZDU_STEP_PATCH;
}

static void
check_step(const Sample pair[2], int order)
{
	ZduVersionStep step = zdu_version_step(pair[0].text, pair[1].text);
	ZduVersionStep expected = expected_step(pair[0].text, pair[1].text, order);

	if (step == ZDU_STEP_UNKNOWN ||
		(step != expected && expected != ZDU_STEP_UNKNOWN))
		broken("a step is what the order and the parts say", pair, 2);
}

static void
check_two(const Sample pair[2])
{
	const Sample *a = &pair[0];
	const Sample *b = &pair[1];
	int			order = compare(a, b);

	if (order != -compare(b, a))
		broken("turned around, the order is the opposite", pair, 2);
	if (order != compare_by_the_book(&a->version, &b->version))
		broken("keys order as SemVer says", pair, 2);
	if ((order == 0) != (a->key_len == b->key_len &&
						 memcmp(a->key, b->key, a->key_len) == 0))
		broken("equal versions have equal keys, which are what is hashed",
			   pair, 2);
	if (order != sign(zdu_version_compare(a->text, b->text)))
		broken("texts compare as keys do", pair, 2);
	check_step(pair, order);
}

static void
check_three(Sample samples[3])
{
	Sample		pair[2];
	size_t		i;
	size_t		j;

	for (i = 0; i < 3; i++)
		check_one(&samples[i]);
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			if (samples[i].valid && samples[j].valid)
			{
				/* Parsed anew, so that the spans are of these texts. */
				pair[0] = samples[i];
				pair[1] = samples[j];
				check_one(&pair[0]);
				check_one(&pair[1]);
				check_two(pair);
			}
	if (samples[0].valid && samples[1].valid && samples[2].valid &&
		compare(&samples[0], &samples[1]) <= 0 &&
		compare(&samples[1], &samples[2]) <= 0 &&
		compare(&samples[0], &samples[2]) > 0)
		broken("the order is transitive", samples, 3);
}

#ifdef ZDU_LIBFUZZER

extern int	LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static Sample samples[3];
	const char *next = (const char *) data;
	const char *end = next + size;
	size_t		i;

	memset(samples, 0, sizeof(samples));
	for (i = 0; i < 3 && next < end; i++)
	{
		const char *newline = memchr(next, '\n', end - next);
		size_t		len = (newline ? newline : end) - next;

		samples[i].len = len < TEXT_ROOM ? len : TEXT_ROOM;
		memcpy(samples[i].text, next, samples[i].len);
		next += len + (newline ? 1 : 0);
	}
	check_three(samples);
	return 0;
}

#else

/* The same numbers on every machine, unlike rand(). */
static uint64_t random_state;

static unsigned
random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned) ((random_state >> 16) % limit);
}

static void
append(Sample *sample, const char *piece)
{
	while (*piece && sample->len < TEXT_ROOM)
		sample->text[sample->len++] = *piece++;
}

/* Few different items, so that samples often agree up to some place. */
static void
append_list(Sample *sample, const char *const *items, unsigned count)
{
	unsigned	n = random_below(100) == 0 ? 90 : 1 + random_below(4);

	append(sample, items[random_below(count)]);
	while (--n > 0)
	{
		append(sample, ".");
		append(sample, items[random_below(count)]);
	}
}

/* Makes a version, and breaks one in four somewhere. */
static void
make_sample(Sample *sample)
{
	static const char *const numbers[] = {
		"0", "1", "2", "9", "10", "01", "00", "199", "200", "201", "999", "1000",
		"99999", "100000", "9223372036854775807", "9223372036854775808",
		"18446744073709551616", "99999999999999999999", "100000000000000000000"
	};
	static const char *const identifiers[] = {
		"0", "1", "2", "10", "01", "200", "201", "18446744073709551616", "a", "A",
		"b", "aa", "a0", "0a", "-", "--", "rc", "rc1", "rc-1", "alpha", "beta"
	};
	static const char noise[] = {
		'.', '-', '+', 'a', '0', ' ', '\n', '\0', '\x7F', '\x80', '\xFF', '_', '~'
	};

	memset(sample, 0, sizeof(*sample));
	/* The pre-releases of one core are worth half the time. */
	if (random_below(2))
		append(sample, "1");
	else
		append_list(sample, numbers, lengthof(numbers));
	if (random_below(2))
	{
		append(sample, "-");
		append_list(sample, identifiers, lengthof(identifiers));
	}
	if (random_below(4) == 0)
	{
		append(sample, "+");
		append_list(sample, identifiers, lengthof(identifiers));
	}
	if (random_below(4) == 0)
		sample->text[random_below((unsigned) sample->len)] =
			noise[random_below(lengthof(noise))];
	if (random_below(16) == 0)
		sample->len = random_below((unsigned) sample->len + 1);
	sample->text[sample->len] = '\0';
}

int
main(int argc, char **argv)
{
	unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	unsigned long versions = 0;
	unsigned long i;

	/* Any seed will do but one that would make a state of zero. */
	random_state = (uint64_t) seed * UINT64_C(2685821657736338717) + 1;
	for (i = 0; i < iterations; i++)
	{
		static Sample samples[3];
		size_t		j;

		for (j = 0; j < 3; j++)
			make_sample(&samples[j]);
		check_three(samples);
		for (j = 0; j < 3; j++)
			versions += samples[j].valid;
	}

	printf("ok 1 - V1: order is total, follows SemVer and agrees with equality"
		   " and hash in %lu rounds of three texts, seed %lu\n",
		   iterations, seed);
	printf("%s 2 - V1: %lu of these texts were versions, and %lu were refused"
		   " where no version could go on\n",
		   versions > iterations ? "ok" : "not ok", versions,
		   iterations * 3 - versions);
	printf("1..2\n");
	return versions > iterations ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif							/* ZDU_LIBFUZZER */
