-- The type zdu_version: numbers in numeric order, pre-releases as in SemVer
-- 2.0.0, build metadata that does not order, and the text as it was given.

CREATE TYPE zdu_version;

CREATE FUNCTION zdu_version_in(
    cstring
) RETURNS zdu_version
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_in';

CREATE FUNCTION zdu_version_out(
    zdu_version
) RETURNS cstring
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_out';

CREATE FUNCTION zdu_version_recv(
    internal
) RETURNS zdu_version
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_recv';

CREATE FUNCTION zdu_version_send(
    zdu_version
) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_send';

COMMENT ON FUNCTION zdu_version_in(cstring) IS
    'I/O';
COMMENT ON FUNCTION zdu_version_out(zdu_version) IS
    'I/O';
COMMENT ON FUNCTION zdu_version_recv(internal) IS
    'I/O: the binary form is the text';
COMMENT ON FUNCTION zdu_version_send(zdu_version) IS
    'I/O: the binary form is the text';

CREATE TYPE zdu_version (
    INPUT = zdu_version_in,
    OUTPUT = zdu_version_out,
    RECEIVE = zdu_version_recv,
    SEND = zdu_version_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended
);
COMMENT ON TYPE zdu_version IS
    'version of a product, such as 7.10, 7.2.2.1 or 1.0.0-rc.1+b5: parts order as numbers, 1.0 = 1.0.0, a pre-release comes before its release, build metadata does not order; 255 characters at most, else 22P02';

-- Both go through input and output, so that both refuse what input refuses.
CREATE CAST (text AS zdu_version) WITH INOUT AS ASSIGNMENT;
CREATE CAST (zdu_version AS text) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (text AS zdu_version) IS 'the text, which must be a version, else 22P02';
COMMENT ON CAST (zdu_version AS text) IS 'the version as it was given';

CREATE FUNCTION zdu_version_lt(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_lt';

CREATE FUNCTION zdu_version_le(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_le';

CREATE FUNCTION zdu_version_eq(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_eq';

CREATE FUNCTION zdu_version_ne(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_ne';

CREATE FUNCTION zdu_version_ge(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_ge';

CREATE FUNCTION zdu_version_gt(
    zdu_version,
    zdu_version
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_gt';

CREATE FUNCTION zdu_version_cmp(
    zdu_version,
    zdu_version
) RETURNS integer
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_cmp';

CREATE FUNCTION zdu_version_sortsupport(
    internal
) RETURNS void
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_sortsupport';

CREATE FUNCTION zdu_version_hash(
    zdu_version
) RETURNS integer
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_hash';

CREATE FUNCTION zdu_version_hash_extended(
    zdu_version,
    bigint
) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_hash_extended';

COMMENT ON FUNCTION zdu_version_lt(zdu_version, zdu_version) IS
    'implementation of < operator';
COMMENT ON FUNCTION zdu_version_le(zdu_version, zdu_version) IS
    'implementation of <= operator';
COMMENT ON FUNCTION zdu_version_eq(zdu_version, zdu_version) IS
    'implementation of = operator';
COMMENT ON FUNCTION zdu_version_ne(zdu_version, zdu_version) IS
    'implementation of <> operator';
COMMENT ON FUNCTION zdu_version_ge(zdu_version, zdu_version) IS
    'implementation of >= operator';
COMMENT ON FUNCTION zdu_version_gt(zdu_version, zdu_version) IS
    'implementation of > operator';
COMMENT ON FUNCTION zdu_version_cmp(zdu_version, zdu_version) IS
    'which comes first: less than, equal to or greater than zero';
COMMENT ON FUNCTION zdu_version_sortsupport(internal) IS
    'sort support';
COMMENT ON FUNCTION zdu_version_hash(zdu_version) IS
    'hash, the same for equal versions';
COMMENT ON FUNCTION zdu_version_hash_extended(zdu_version, bigint) IS
    'hash with a seed, the same for equal versions';

CREATE OPERATOR < (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_lt,
    COMMUTATOR = >,
    NEGATOR = >=,
    RESTRICT = scalarltsel,
    JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_le,
    COMMUTATOR = >=,
    NEGATOR = >,
    RESTRICT = scalarlesel,
    JOIN = scalarlejoinsel
);
CREATE OPERATOR = (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_eq,
    COMMUTATOR = =,
    NEGATOR = <>,
    RESTRICT = eqsel,
    JOIN = eqjoinsel,
    HASHES,
    MERGES
);
CREATE OPERATOR <> (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_ne,
    COMMUTATOR = <>,
    NEGATOR = =,
    RESTRICT = neqsel,
    JOIN = neqjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_ge,
    COMMUTATOR = <=,
    NEGATOR = <,
    RESTRICT = scalargesel,
    JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = zdu_version,
    RIGHTARG = zdu_version,
    FUNCTION = zdu_version_gt,
    COMMUTATOR = <,
    NEGATOR = <=,
    RESTRICT = scalargtsel,
    JOIN = scalargtjoinsel
);

COMMENT ON OPERATOR < (zdu_version, zdu_version) IS
    'less than';
COMMENT ON OPERATOR <= (zdu_version, zdu_version) IS
    'less than or equal';
COMMENT ON OPERATOR = (zdu_version, zdu_version) IS
    'equal; build metadata and trailing zero parts do not count';
COMMENT ON OPERATOR <> (zdu_version, zdu_version) IS
    'not equal';
COMMENT ON OPERATOR >= (zdu_version, zdu_version) IS
    'greater than or equal';
COMMENT ON OPERATOR > (zdu_version, zdu_version) IS
    'greater than';

-- No equalimage: 1.0 = 1.0.0, so a btree must not merge equal values.
CREATE OPERATOR CLASS zdu_version_ops
    DEFAULT FOR TYPE zdu_version USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 zdu_version_cmp(zdu_version, zdu_version),
    FUNCTION 2 zdu_version_sortsupport(internal);

CREATE OPERATOR CLASS zdu_version_hash_ops
    DEFAULT FOR TYPE zdu_version USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 zdu_version_hash(zdu_version),
    FUNCTION 2 zdu_version_hash_extended(zdu_version, bigint);

COMMENT ON OPERATOR FAMILY zdu_version_ops USING btree IS 'version order';
COMMENT ON OPERATOR FAMILY zdu_version_hash_ops USING hash IS 'version equality';
COMMENT ON OPERATOR CLASS zdu_version_ops USING btree IS 'version order';
COMMENT ON OPERATOR CLASS zdu_version_hash_ops USING hash IS 'version equality';

CREATE FUNCTION zdu_version_larger(
    zdu_version,
    zdu_version
) RETURNS zdu_version
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_larger';

CREATE FUNCTION zdu_version_smaller(
    zdu_version,
    zdu_version
) RETURNS zdu_version
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_smaller';

COMMENT ON FUNCTION zdu_version_larger(zdu_version, zdu_version) IS
    'larger of two';
COMMENT ON FUNCTION zdu_version_smaller(zdu_version, zdu_version) IS
    'smaller of two';

CREATE AGGREGATE max(zdu_version) (
    SFUNC = zdu_version_larger,
    STYPE = zdu_version,
    COMBINEFUNC = zdu_version_larger,
    SORTOP = >,
    PARALLEL = SAFE
);
CREATE AGGREGATE min(zdu_version) (
    SFUNC = zdu_version_smaller,
    STYPE = zdu_version,
    COMBINEFUNC = zdu_version_smaller,
    SORTOP = <,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE max(zdu_version) IS
    'highest version of all that are not NULL; of equal ones any';
COMMENT ON AGGREGATE min(zdu_version) IS
    'lowest version of all that are not NULL; of equal ones any';

CREATE FUNCTION zdu_version_part(
    version zdu_version,
    n integer
) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_nth_part';

CREATE FUNCTION zdu_version_major(
    version zdu_version
) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_major';

CREATE FUNCTION zdu_version_minor(
    version zdu_version
) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_minor';

CREATE FUNCTION zdu_version_patch(
    version zdu_version
) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_patch';

CREATE FUNCTION zdu_version_prerelease(
    version zdu_version
) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_prerelease';

CREATE FUNCTION zdu_version_build(
    version zdu_version
) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_version_build';

COMMENT ON FUNCTION zdu_version_part(zdu_version, integer) IS
    'part n of a version, counted from 1; 0 if it has fewer, since 1.0 = 1.0.0; n below 1: 22023; out of range for bigint: 22003';
COMMENT ON FUNCTION zdu_version_major(zdu_version) IS
    'first part of a version; out of range for bigint: 22003';
COMMENT ON FUNCTION zdu_version_minor(zdu_version) IS
    'second part of a version, 0 if there is none; out of range for bigint: 22003';
COMMENT ON FUNCTION zdu_version_patch(zdu_version) IS
    'third part of a version, 0 if there is none; out of range for bigint: 22003';
COMMENT ON FUNCTION zdu_version_prerelease(zdu_version) IS
    'what stands between hyphen and plus sign, as it was given; NULL if there is none';
COMMENT ON FUNCTION zdu_version_build(zdu_version) IS
    'what stands after the plus sign, as it was given; NULL if there is none';
