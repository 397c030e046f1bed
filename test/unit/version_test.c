/*
 * version_test.c
 *		Promise: core/version.h orders, refuses and classifies versions as it
 *		says.  Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

static int	tests_run = 0;
static int	tests_failed = 0;

static void
ok(bool passed, const char *rule, const char *claim, const char *a,
   const char *b)
{
	tests_run++;
	if (!passed)
		tests_failed++;
	printf("%sok %d - %s: %.100s%s%.100s\n", passed ? "" : "not ", tests_run,
		   rule, a, claim, b);
}

/* Each line ascends; the first four are the examples of SemVer 2.0.0. */
static const char *const ascending[][10] = {
	{"1.0.0", "2.0.0", "2.1.0", "2.1.1"},
	{"1.0.0-alpha", "1.0.0"},
	{"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
	"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"},
	{"1.9.0", "1.10.0", "1.11.0"},
	{"7.2", "7.2.0.1", "7.2.2", "7.2.2.1", "7.2.2.2", "7.2.2.10", "7.2.3"},
	{"0", "0.48.1", "0.48.2", "0.48.3", "0.49", "1"},
	{"7.5.3", "7.6.2", "7.7.2", "7.9", "7.10", "8"},
	{"1-0", "1-1", "1-199", "1-200", "1-1000", "1--", "1-A", "1-a", "1-a-",
	"1-aa"},
	{"1-9", "1--", "1-A", "1-Z", "1-a", "1-z"},
	{"1.0.0-a", "1", "1.0.1-a", "1.0.1", "1.1-a"},
	{"0.199", "0.200", "0.201", "0.999", "0.1000", "0.20240131", "0.20240201",
	"0.18446744073709551616", "0.18446744073709551617"},
	{"8.1", "8.02", "8.10"},
	{"1-rc", "1-rc.0", "1-rc.0.0", "1-rc.1", "1-rc.a", "1-rc-1", "1-rc1"},
};

static const char *const equal[][2] = {
	{"1.0", "1.0.0"},
	{"0", "0.0.0.0"},
	{"1", "1.0.0+build.7"},
	{"1.0.0+20130313144700", "1.0.0+exp.sha.5114f85"},
	{"1.0.0-beta+exp", "1-beta"},
	{"8.01", "8.1"},
	{"000", "0"},
	{"1-rc.01", "1-rc.1"},
	{"1-0", "1-000"},
	{"0.00018446744073709551616", "0.18446744073709551616"},
};

static const struct
{
	const char *text;
	size_t		len;			/* 0: up to the terminator */
	int			position;
	const char *reason;			/* its beginning */
}			refused[] = {
	{"", 0, 1, "the text is empty"},
	{"v1", 0, 1, "a digit"},
	{"1..2", 0, 3, "a digit"},
	{".1", 0, 1, "a digit"},
	{"1.", 0, 3, "a digit"},
	{"-1", 0, 1, "a digit"},
	{"+1", 0, 1, "a digit"},
	{"1.x", 0, 3, "a digit"},
	{"1.2x", 0, 4, "only a digit, a dot"},
	{"1.2 ", 0, 4, "only a digit, a dot"},
	{" 1.2", 0, 1, "a digit"},
	{"1_2", 0, 2, "only a digit, a dot"},
	{"1-", 0, 3, "a letter"},
	{"1-+b", 0, 3, "a letter"},
	{"1-rc..1", 0, 6, "a letter"},
	{"1-rc_1", 0, 5, "only a letter, a digit, a hyphen, a dot or a plus"},
	{"1+", 0, 3, "a letter"},
	{"1+b.", 0, 5, "a letter"},
	{"1+b+c", 0, 4, "only a letter, a digit, a hyphen or a dot"},
	{"1.2\n", 0, 4, "control characters"},
	{"1.\x7F", 0, 3, "control characters"},
	{"1-a\tb", 0, 4, "control characters"},
	{"1.2\0.3", 6, 4, "control characters"},
	{"\xC3\xA9", 0, 1, "a digit"},
	{"1-\xC3\xA9", 0, 3, "a letter"},
};

static const struct
{
	const char *rule;
	const char *from;
	const char *to;
	ZduVersionStep step;
	const char *claim;
}			steps[] = {
	{"V2", "7.5.3", "7.6.2", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "7.5.3", "7.7.2", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "7.9", "7.10", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "7.9", "8.0", ZDU_STEP_NEXT_MAJOR, " is one major below "},
	{"V2", "7.9", "8.3.1", ZDU_STEP_NEXT_MAJOR, " is one major below "},
	{"V2", "7.9", "9.0", ZDU_STEP_SKIPS_MAJOR, " skips a major to "},
	{"V2", "9", "10", ZDU_STEP_NEXT_MAJOR, " is one major below "},
	{"V2", "0.9", "1.0", ZDU_STEP_NEXT_MAJOR, " is one major below "},
	{"V2", "1", "1.1", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "1.09", "1.010", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "1.1299", "1.1300", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "1.1299", "1.1301", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.1298", "1.1300", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.1199", "1.1300", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.99", "1.200", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.98", "1.100", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.99", "1.101", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.9", "1.100", ZDU_STEP_SKIPS_MINOR, " skips a minor to "},
	{"V2", "1.99999999999999999999", "1.100000000000000000000",
	ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "7.9", "7.10-rc.1", ZDU_STEP_NEXT_MINOR, " is one minor below "},
	{"V2", "7", "7.0.0+b2", ZDU_STEP_SAME, " is the same as "},
	{"V2", "v7", "7.1", ZDU_STEP_UNKNOWN, " is no version to step from to "},
	{"V2", "7.1", "", ZDU_STEP_UNKNOWN, " cannot step to no version"},
	{"V5", "0.48.1", "0.48.3", ZDU_STEP_PATCH, " is a patch below "},
	{"V5", "0.48", "0.48.1", ZDU_STEP_PATCH, " is a patch below "},
	{"V5", "7.2.2.1", "7.2.2.2", ZDU_STEP_PATCH, " is a patch below "},
	{"V5", "7.10-rc.1", "7.10", ZDU_STEP_PATCH, " is a patch below "},
	{"V5", "7.10-rc.1", "7.10-rc.2", ZDU_STEP_PATCH, " is a patch below "},
	{"V7", "7.6.2", "7.5.3", ZDU_STEP_DOWNGRADE, " is above "},
	{"V7", "8.0", "7.9", ZDU_STEP_DOWNGRADE, " is above "},
	{"V7", "0.48.3", "0.48.1", ZDU_STEP_DOWNGRADE, " is above "},
	{"V7", "7.2.2.10", "7.2.2.9", ZDU_STEP_DOWNGRADE, " is above "},
	{"V7", "7.10", "7.10-rc.1", ZDU_STEP_DOWNGRADE, " is above "},
};

static const struct
{
	const char *text;
	int			n;
	int64_t		part;
	const char *claim;
}			parts[] = {
	{"7.2.2.1-rc.9+b", 1, 7, " has the first part 7"},
	{"7.2.2.1-rc.9+b", 4, 1, " has the fourth part 1"},
	{"7.2.2.1-rc.9+b", 5, 0, " has no fifth part, which is zero"},
	{"7", 2, 0, " has no minor, which is zero"},
	{"8.01", 2, 1, " has the minor 1"},
	{"7.1", 0, ZDU_PART_INVALID, " has no part 0"},
	{"7.1", -1, ZDU_PART_INVALID, " has no part -1"},
	{"v7", 1, ZDU_PART_INVALID, " has no parts"},
	{"0.9223372036854775807", 2, INT64_MAX, " has the largest minor"},
	{"0.9223372036854775808", 2, ZDU_PART_TOO_LARGE, " has a minor too large"},
};

static void
test_order(void)
{
	size_t		line;
	size_t		i;
	size_t		j;

	for (line = 0; line < lengthof(ascending); line++)
		for (i = 0; i < 10 && ascending[line][i]; i++)
			for (j = i + 1; j < 10 && ascending[line][j]; j++)
			{
				const char *a = ascending[line][i];
				const char *b = ascending[line][j];

				ok(zdu_version_compare(a, b) < 0 &&
				   zdu_version_compare(b, a) > 0,
				   "V1", " comes before ", a, b);
			}

	for (i = 0; i < lengthof(equal); i++)
		ok(zdu_version_compare(equal[i][0], equal[i][1]) == 0,
		   "V1", " equals ", equal[i][0], equal[i][1]);

	ok(zdu_version_compare("v1", "0-0") < 0 &&
	   zdu_version_compare("0-0", "v1") > 0 &&
	   zdu_version_compare("v1", "") == 0,
	   "V1", "what is no version comes before all that are", "", "");
}

static void
test_refusals(void)
{
	size_t		i;

	for (i = 0; i < lengthof(refused); i++)
	{
		const char *text = refused[i].text;
		size_t		len = refused[i].len ? refused[i].len : strlen(text);
		ZduVersion	version;
		ZduVersionError error;
		char		what[100];

		snprintf(what, sizeof(what), "no. %d is refused at position %d: %s",
				 (int) i + 1, refused[i].position, refused[i].reason);
		ok(!zdu_version_parse(text, len, &version, &error) &&
		   error.position == refused[i].position &&
		   strncmp(error.reason, refused[i].reason,
				   strlen(refused[i].reason)) == 0,
		   "V1", "", "bad text ", what);
	}
}

/* Repeats a pattern after a head up to len bytes, and does not end in a dot. */
static const char *
long_text(const char *head, const char *pattern, size_t len)
{
	static char text[10240];
	size_t		head_len = strlen(head);
	size_t		pattern_len = strlen(pattern);
	size_t		i;

	memcpy(text, head, head_len);
	for (i = head_len; i < len; i++)
		text[i] = pattern[(i - head_len) % pattern_len];
	if (text[len - 1] == '.')
		text[len - 1] = pattern[0];
	return text;
}

static void
test_limits(void)
{
	static const char *const shapes[][2] = {
		{"", "9"}, {"", "0"}, {"", "1."}, {"", "200."}, {"1-", "200."},
		{"1-", "a."}, {"1-", "aa."}, {"1-", "a.9."}
	};
	ZduVersion	version;
	ZduVersionError error;
	unsigned char key[ZDU_VERSION_KEY_MAX];
	const char *text;
	size_t		i;

	for (i = 0; i < lengthof(shapes); i++)
	{
		text = long_text(shapes[i][0], shapes[i][1], ZDU_VERSION_TEXT_MAX);
		ok(zdu_version_parse(text, ZDU_VERSION_TEXT_MAX, &version, &error) &&
		   zdu_version_key(&version, key) <= ZDU_VERSION_KEY_MAX,
		   "V1", shapes[i][1], shapes[i][0],
		   " repeated up to 255 bytes is a version whose key has room");
	}

	text = long_text("", "1", 10240);
	ok(zdu_version_parse(text, ZDU_VERSION_TEXT_MAX, &version, &error),
	   "V1", "255 digits are a version", "", "");
	ok(!zdu_version_parse(text, ZDU_VERSION_TEXT_MAX + 1, &version, &error) &&
	   error.position == ZDU_VERSION_TEXT_MAX + 1,
	   "V1", "256 are refused at position 256", "", "");
	ok(!zdu_version_parse(text, 10240, &version, &error) &&
	   error.position == ZDU_VERSION_TEXT_MAX + 1,
	   "V1", "10 kB are refused at position 256", "", "");
}

static bool
span_is(ZduVersionSpan span, const char *text)
{
	if (text == NULL)
		return span.text == NULL && span.len == 0;
	return span.text != NULL && span.len == strlen(text) &&
		memcmp(span.text, text, span.len) == 0;
}

static void
test_parts(void)
{
	ZduVersion	version;
	ZduVersionError error;
	size_t		i;

	for (i = 0; i < lengthof(parts); i++)
		ok(zdu_version_part(parts[i].text, parts[i].n) == parts[i].part,
		   "V1", parts[i].claim, parts[i].text, "");

	ok(zdu_version_parse("1.2-rc-1.x+b-7", 14, &version, &error) &&
	   span_is(version.core, "1.2") &&
	   span_is(version.prerelease, "rc-1.x") &&
	   span_is(version.build, "b-7"),
	   "V1", "a version is taken apart", "", "");
	ok(zdu_version_parse("1+a-b", 5, &version, &error) &&
	   span_is(version.prerelease, NULL) && span_is(version.build, "a-b"),
	   "V1", "a hyphen in the build begins no pre-release", "", "");
	ok(zdu_version_parse("1.2", 3, &version, &error) &&
	   span_is(version.prerelease, NULL) && span_is(version.build, NULL),
	   "V1", "what is absent is NULL", "", "");
}

static void
test_steps(void)
{
	size_t		i;

	for (i = 0; i < lengthof(steps); i++)
		ok(zdu_version_step(steps[i].from, steps[i].to) == steps[i].step,
		   steps[i].rule, steps[i].claim, steps[i].from, steps[i].to);

	ok(ZDU_STEP_SKIPS_MAJOR < ZDU_STEP_DOWNGRADE &&
	   ZDU_STEP_SKIPS_MAJOR < ZDU_STEP_UNKNOWN,
	   "V7", "no largest step allows a downgrade or what is not known", "", "");
}

int
main(void)
{
	test_order();
	test_refusals();
	test_limits();
	test_parts();
	test_steps();
	printf("1..%d\n", tests_run);
	return tests_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
