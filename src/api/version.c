/*
 * version.c
 *		The type zdu_version: input and output, operators, sorting, accessors.
 *
 * A value is a varlena that holds
 *
 *		one byte	the length of the text
 *		key			see core/version.h
 *		text		as it was given
 *
 * so that a comparison is one memcmp() on values as they lie in a page, short
 * header and all, and output is a copy.  Equality is that of keys: 1.0 and
 * 1.0.0 are equal values with different images, which is why the btree
 * operator class does not support equalimage.
 *
 * The rules are in core/version.c; this file knows none of them.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/hyperloglog.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/sortsupport.h"

#include "api/version.h"
#include "compat.h"
#include "core/version.h"

StaticAssertDecl(ZDU_VERSION_TEXT_MAX <= PG_UINT8_MAX,
				 "the length of a version's text is stored in one byte");

/* As many bytes of a refused text as its error message quotes. */
#define QUOTED_MAX	40

/*
 * Sorting gives up on abbreviated keys that leave more than this many rows on
 * average alike, once it has seen enough rows to tell.
 */
#define ABBREV_ROWS_SEEN	10000
#define ABBREV_ROWS_ALIKE	2000

/* A value, looked into. */
typedef struct StoredVersion
{
	struct varlena *datum;		/* what the rest points into */
	const unsigned char *key;
	size_t		key_len;
	const char *text;
	size_t		text_len;
} StoredVersion;

/* What a sort remembers of its abbreviated keys. */
typedef struct Abbreviation
{
	int64		rows;
	hyperLogLogState distinct;
} Abbreviation;

/* Looks into a value; only one that was toasted is copied. */
static inline StoredVersion
version_open(Datum datum)
{
	StoredVersion v;
	size_t		len;

	v.datum = PG_DETOAST_DATUM_PACKED(datum);
	len = VARSIZE_ANY_EXHDR(v.datum);
	v.text_len = *(unsigned char *) VARDATA_ANY(v.datum);
	v.key_len = len - 1 - v.text_len;
	v.key = (unsigned char *) VARDATA_ANY(v.datum) + 1;
	v.text = (const char *) v.key + v.key_len;
	return v;
}

/* Sorts and index scans compare in contexts that live long: leave no copies. */
static inline void
version_close(StoredVersion *v, Datum datum)
{
	if ((Pointer) v->datum != DatumGetPointer(datum))
		pfree(v->datum);
}

/* Returns what of a refused text goes into a message: one short line. */
static char *
quotable(const char *text, size_t len)
{
	int			shown = pg_mbcliplen(text, (int) len, QUOTED_MAX);
	char	   *line = pnstrdup(text, shown);
	int			i;

	for (i = 0; i < shown; i++)
		if ((unsigned char) line[i] < 0x20 || line[i] == 0x7F)
			line[i] = '?';
	return (size_t) shown < len ? psprintf("%s...", line) : line;
}

/* Makes a value, or refuses the text as ZDU_ERETURN() does. */
static Datum
version_make(const char *text, size_t len, fmNodePtr escontext)
{
	ZduVersion	version;
	ZduVersionError error;
	unsigned char key[ZDU_VERSION_KEY_MAX];
	size_t		key_len;
	size_t		size;
	struct varlena *result;
	unsigned char *next;

	if (!zdu_version_parse(text, len, &version, &error))
		ZDU_ERETURN(escontext, (Datum) 0,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type %s: \"%s\"",
							"zdu_version", quotable(text, len)),
					 errdetail("V1: position %d: %s.",
							   error.position, error.reason),
					 errhint("Write it like 1.2.3, 1.2.3-rc.1 or 1.2.3+build.5.")));

	key_len = zdu_version_key(&version, key);
	size = VARHDRSZ + 1 + key_len + len;
	result = palloc(size);
	SET_VARSIZE(result, size);
	next = (unsigned char *) VARDATA(result);
	*next++ = (unsigned char) len;
	memcpy(next, key, key_len);
	memcpy(next + key_len, text, len);
	return PointerGetDatum(result);
}

PG_FUNCTION_INFO_V1(zdu_version_in);
Datum
zdu_version_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);

	return version_make(text, strlen(text), fcinfo->context);
}

void
zdu_version_check(const char *text)
{
	(void) version_make(text, strlen(text), NULL);
}

PG_FUNCTION_INFO_V1(zdu_version_out);
Datum
zdu_version_out(PG_FUNCTION_ARGS)
{
	StoredVersion v = version_open(PG_GETARG_DATUM(0));

	PG_RETURN_CSTRING(pnstrdup(v.text, v.text_len));
}

/* The binary form is the text: keys stay at home. */
PG_FUNCTION_INFO_V1(zdu_version_recv);
Datum
zdu_version_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	char	   *text;
	int			len;

	text = pq_getmsgtext(buf, buf->len - buf->cursor, &len);
	return version_make(text, len, NULL);
}

PG_FUNCTION_INFO_V1(zdu_version_send);
Datum
zdu_version_send(PG_FUNCTION_ARGS)
{
	StoredVersion v = version_open(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, v.text, (int) v.text_len);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static inline int
compare_datums(Datum a_datum, Datum b_datum)
{
	StoredVersion a = version_open(a_datum);
	StoredVersion b = version_open(b_datum);
	int			order;

	order = zdu_version_key_compare(a.key, a.key_len, b.key, b.key_len);
	version_close(&a, a_datum);
	version_close(&b, b_datum);
	return order;
}

/* The six operators and what a btree calls them by. */
#define VERSION_COMPARISON(name, returns) \
PG_FUNCTION_INFO_V1(name); \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	int			order = compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)); \
	\
	returns; \
}

VERSION_COMPARISON(zdu_version_lt, PG_RETURN_BOOL(order < 0))
VERSION_COMPARISON(zdu_version_le, PG_RETURN_BOOL(order <= 0))
VERSION_COMPARISON(zdu_version_eq, PG_RETURN_BOOL(order == 0))
VERSION_COMPARISON(zdu_version_ne, PG_RETURN_BOOL(order != 0))
VERSION_COMPARISON(zdu_version_ge, PG_RETURN_BOOL(order >= 0))
VERSION_COMPARISON(zdu_version_gt, PG_RETURN_BOOL(order > 0))
VERSION_COMPARISON(zdu_version_cmp, PG_RETURN_INT32(order))

/* For max() and min(); of equal ones the first stays. */
VERSION_COMPARISON(zdu_version_larger,
				   PG_RETURN_DATUM(PG_GETARG_DATUM(order >= 0 ? 0 : 1)))
VERSION_COMPARISON(zdu_version_smaller,
				   PG_RETURN_DATUM(PG_GETARG_DATUM(order <= 0 ? 0 : 1)))

static int
sort_compare(Datum a, Datum b, SortSupport ssup)
{
	return compare_datums(a, b);
}

/* The first bytes of the key, as a number that orders like them. */
static Datum
abbrev_convert(Datum original, SortSupport ssup)
{
	Abbreviation *abbrev = ssup->ssup_extra;
	StoredVersion v = version_open(original);
	Datum		prefix = 0;

	memcpy(&prefix, v.key, Min(v.key_len, sizeof(prefix)));
	version_close(&v, original);

	abbrev->rows++;
	addHyperLogLog(&abbrev->distinct,
				   hash_bytes((unsigned char *) &prefix, sizeof(prefix)));
	return DatumBigEndianToNative(prefix);
}

static bool
abbrev_abort(int memtupcount, SortSupport ssup)
{
	Abbreviation *abbrev = ssup->ssup_extra;

	return memtupcount >= ABBREV_ROWS_SEEN &&
		estimateHyperLogLog(&abbrev->distinct) * ABBREV_ROWS_ALIKE < abbrev->rows;
}

PG_FUNCTION_INFO_V1(zdu_version_sortsupport);
Datum
zdu_version_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);

	ssup->comparator = sort_compare;
	if (ssup->abbreviate)
	{
		MemoryContext caller = MemoryContextSwitchTo(ssup->ssup_cxt);
		Abbreviation *abbrev = palloc0(sizeof(Abbreviation));

		initHyperLogLog(&abbrev->distinct, 10);
		ssup->ssup_extra = abbrev;
		ssup->comparator = ssup_datum_unsigned_cmp;
		ssup->abbrev_converter = abbrev_convert;
		ssup->abbrev_abort = abbrev_abort;
		ssup->abbrev_full_comparator = sort_compare;
		MemoryContextSwitchTo(caller);
	}
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(zdu_version_hash);
Datum
zdu_version_hash(PG_FUNCTION_ARGS)
{
	StoredVersion v = version_open(PG_GETARG_DATUM(0));
	Datum		hash = hash_any(v.key, (int) v.key_len);

	version_close(&v, PG_GETARG_DATUM(0));
	return hash;
}

PG_FUNCTION_INFO_V1(zdu_version_hash_extended);
Datum
zdu_version_hash_extended(PG_FUNCTION_ARGS)
{
	StoredVersion v = version_open(PG_GETARG_DATUM(0));
	Datum		hash = hash_any_extended(v.key, (int) v.key_len,
										 PG_GETARG_INT64(1));

	version_close(&v, PG_GETARG_DATUM(0));
	return hash;
}

/* Takes a value's text apart. */
static ZduVersion
version_parts(Datum datum)
{
	StoredVersion v = version_open(datum);
	ZduVersion	version;
	ZduVersionError error;

	if (!zdu_version_parse(v.text, v.text_len, &version, &error))
		elog(ERROR, "corrupt zdu_version: position %d: %s",
			 error.position, error.reason);
	return version;
}

static Datum
version_number(Datum datum, int n)
{
	ZduVersion	version;
	int64		number;

	if (n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no part %d of a version", n),
				 errdetail("V1: parts are counted from 1."),
				 errhint("Use zdu_version_part(version, 1) for the first part.")));

	version = version_parts(datum);
	number = zdu_version_number(&version, n);
	if (number == ZDU_PART_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("part %d of the version is out of range for type bigint", n),
				 errdetail("V1: the parts of a version may have any number of digits."),
				 errhint("Compare versions as such, or cast the version to text.")));
	PG_RETURN_INT64(number);
}

PG_FUNCTION_INFO_V1(zdu_version_major);
Datum
zdu_version_major(PG_FUNCTION_ARGS)
{
	return version_number(PG_GETARG_DATUM(0), 1);
}

PG_FUNCTION_INFO_V1(zdu_version_minor);
Datum
zdu_version_minor(PG_FUNCTION_ARGS)
{
	return version_number(PG_GETARG_DATUM(0), 2);
}

PG_FUNCTION_INFO_V1(zdu_version_patch);
Datum
zdu_version_patch(PG_FUNCTION_ARGS)
{
	return version_number(PG_GETARG_DATUM(0), 3);
}

/* zdu_version_part in SQL; in C that is core's, on texts. */
PG_FUNCTION_INFO_V1(zdu_version_nth_part);
Datum
zdu_version_nth_part(PG_FUNCTION_ARGS)
{
	return version_number(PG_GETARG_DATUM(0), PG_GETARG_INT32(1));
}

PG_FUNCTION_INFO_V1(zdu_version_prerelease);
Datum
zdu_version_prerelease(PG_FUNCTION_ARGS)
{
	ZduVersionSpan span = version_parts(PG_GETARG_DATUM(0)).prerelease;

	if (span.text == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(span.text, (int) span.len));
}

PG_FUNCTION_INFO_V1(zdu_version_build);
Datum
zdu_version_build(PG_FUNCTION_ARGS)
{
	ZduVersionSpan span = version_parts(PG_GETARG_DATUM(0)).build;

	if (span.text == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(span.text, (int) span.len));
}
