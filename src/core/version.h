/*
 * version.h
 *		What a version is, which of two comes first, and how far apart they are.
 *
 * A version is a list of numbers, optionally a pre-release, optionally build
 * metadata:
 *
 *		core [ "-" pre-release ] [ "+" build ]
 *
 * The core is one or more runs of digits joined by dots.  Pre-release and
 * build are one or more runs of letters, digits and hyphens joined by dots.
 * The whole is ASCII, without white space, and at most ZDU_VERSION_TEXT_MAX
 * bytes long.
 *
 * The order is that of SemVer 2.0.0, for any number of parts:
 *	- parts compare as numbers of any size, and one that is missing is zero:
 *	  7.9 < 7.10, 1.0 = 1.0.0
 *	- a pre-release comes before its release, and among each other they
 *	  compare identifier by identifier: numbers as numbers and before words,
 *	  words by their ASCII codes, a shorter list before a longer one
 *	- build metadata does not order: 1.0+a = 1.0+b
 *
 * Leading zeros, which SemVer forbids and products write all the same, mean
 * nothing, in a part as in a pre-release: 8.01 = 8.1, 1.0-rc.01 = 1.0-rc.1.
 *
 * Nothing here needs a server or allocates memory.
 */
#ifndef ZDU_CORE_VERSION_H
#define ZDU_CORE_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZDU_VERSION_TEXT_MAX	255

/*
 * Enough for the key of any version: the worst are one-letter identifiers,
 * which grow from two bytes (with their dot) to three.
 */
#define ZDU_VERSION_KEY_MAX		(ZDU_VERSION_TEXT_MAX / 2 * 3 + 8)

/* A piece of somebody else's text.  Not terminated; text is NULL if absent. */
typedef struct ZduVersionSpan
{
	const char *text;
	size_t		len;
} ZduVersionSpan;

/* A parsed version: pieces of the text it was parsed from. */
typedef struct ZduVersion
{
	ZduVersionSpan core;
	ZduVersionSpan prerelease;
	ZduVersionSpan build;
} ZduVersion;

/* Why a text is no version. */
typedef struct ZduVersionError
{
	int			position;		/* of the first byte that is wrong, from 1 */
	const char *reason;			/* a clause in English, a constant */
} ZduVersionError;

/*
 * How far it is from one version to another; see zdu_version_step().  From
 * SAME to SKIPS_MAJOR they grow, and the others are last, so that step <=
 * largest allows neither a downgrade nor what is not known.
 */
typedef enum ZduVersionStep
{
	ZDU_STEP_SAME,				/* equal, though maybe spelled differently */
	ZDU_STEP_PATCH,				/* up, within one minor */
	ZDU_STEP_NEXT_MINOR,		/* up, within one major, to the next minor */
	ZDU_STEP_SKIPS_MINOR,		/* up, within one major, further than that */
	ZDU_STEP_NEXT_MAJOR,		/* up, to any minor of the next major */
	ZDU_STEP_SKIPS_MAJOR,		/* up, further than that */
	ZDU_STEP_DOWNGRADE,			/* down, however little */
	ZDU_STEP_UNKNOWN			/* one of them is no version */
} ZduVersionStep;

/* What zdu_version_part() and zdu_version_number() give instead of a number. */
#define ZDU_PART_INVALID	(-1)	/* the text is no version, or n < 1 */
#define ZDU_PART_TOO_LARGE	(-2)	/* the part exceeds INT64_MAX */

/*
 * Parses len bytes of text, which need no terminator and may hold anything.
 * Returns false and fills *error if they are no version.  All bytes before
 * the position of an error are ASCII, so it counts characters too.
 */
extern bool zdu_version_parse(const char *text, size_t len,
							  ZduVersion *version, ZduVersionError *error);

/*
 * Writes the version's key and returns its length.  Keys order as versions
 * do, by memcmp() over the shorter length: equal versions have equal keys, and
 * no key is the beginning of another one.  Keys are stored on disk, so their
 * format, described in version.c, is for good.
 */
extern size_t zdu_version_key(const ZduVersion *version,
							  unsigned char key[ZDU_VERSION_KEY_MAX]);

/* Compares two keys: < 0, 0 or > 0. */
extern int	zdu_version_key_compare(const unsigned char *a, size_t a_len,
									const unsigned char *b, size_t b_len);

/* Returns the core's part n, counted from 1; zero if it has fewer. */
extern int64_t zdu_version_number(const ZduVersion *version, int n);

/*
 * On terminated texts, which may not be NULL.
 *
 * The comparison is total: what is no version comes before all that are, and
 * counts as equal to anything else that is none.  The part of what is no
 * version is ZDU_PART_INVALID.
 */
extern int	zdu_version_compare(const char *a, const char *b);
extern int64_t zdu_version_part(const char *text, int n);

/*
 * Says what kind of step it is from one version to another; neither may be
 * NULL.  Pre-releases count as their release: 7.9 to 7.10-rc.1 is
 * ZDU_STEP_NEXT_MINOR, and 7.10-rc.1 to 7.10 is ZDU_STEP_PATCH.
 */
extern ZduVersionStep zdu_version_step(const char *from, const char *to);

#endif							/* ZDU_CORE_VERSION_H */
