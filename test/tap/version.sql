-- Promise: V1 holds in SQL: order, equality, hash, indexes, joins, text in is
-- text out, and refusals with a position.
BEGIN;
SELECT plan(71);

-- Each line ascends.
CREATE TEMP TABLE ascending AS
SELECT line, place, text::zdu_version AS v
FROM (VALUES
    (1, '1.0.0 2.0.0 2.1.0 2.1.1'),
    (2, '1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0'),
    (3, '1.9.0 1.10.0 1.11.0'),
    (4, '7.2 7.2.0.1 7.2.2 7.2.2.1 7.2.2.2 7.2.2.10 7.2.3'),
    (5, '0.48.1 0.48.2 0.48.3'),
    (6, '7.5.3 7.6.2 7.7.2 7.9 7.10 8.0'),
    (7, '1-0 1-2 1-10 1-18446744073709551616 1-- 1-A 1-Z 1-a 1-a.0 1-a- 1-aa 1'),
    (8, '0 0.199 0.200 0.1000 0.20240131 0.18446744073709551616')
) AS t (line, versions),
LATERAL string_to_table(versions, ' ') WITH ORDINALITY AS s (text, place);

SELECT is_empty(format($$
    SELECT a.v, b.v
    FROM ascending AS a
    JOIN ascending AS b USING (line)
    WHERE line = %s
    AND (a.v < b.v, a.v <= b.v, a.v = b.v, a.v <> b.v, a.v >= b.v, a.v > b.v,
         sign(zdu_version_cmp(a.v, b.v)))
        IS DISTINCT FROM
        (a.place < b.place, a.place <= b.place, a.place = b.place,
         a.place <> b.place, a.place >= b.place, a.place > b.place,
         sign(a.place - b.place))
    $$, line), format('V1: all operators agree on: %s', string_agg(v::text, ' < ' ORDER BY place)))
FROM ascending
GROUP BY line
ORDER BY line;

CREATE TEMP TABLE equal AS
SELECT a::zdu_version AS a, b::zdu_version AS b
FROM (VALUES ('1.0', '1.0.0'), ('0', '0.0.0.0'), ('1', '1.0.0+build.7'),
             ('1.0.0+001', '1.0.0+exp.sha.5114f85'), ('1.0.0-beta+exp', '1-beta'),
             ('8.01', '8.1'), ('1-rc.01', '1-rc.1')) AS t (a, b);

SELECT ok(a = b AND NOT a <> b AND a <= b AND a >= b AND NOT a < b AND NOT a > b
          AND zdu_version_cmp(a, b) = 0,
          format('V1: %s equals %s', a, b))
FROM equal
ORDER BY a::text;
SELECT ok(zdu_version_hash(a) = zdu_version_hash(b)
          AND zdu_version_hash_extended(a, 0) = zdu_version_hash_extended(b, 0)
          AND zdu_version_hash_extended(a, 7) = zdu_version_hash_extended(b, 7),
          format('V1: %s and %s have the same hashes', a, b))
FROM equal
ORDER BY a::text;
SELECT is((SELECT count(DISTINCT zdu_version_hash(v)) FROM ascending),
          (SELECT count(DISTINCT v) FROM ascending),
          'V1: different versions have different hashes, here');
SELECT is(zdu_version_hash_extended('7.9', 0) & 4294967295,
          zdu_version_hash('7.9')::bigint & 4294967295,
          'V1: the extended hash without a seed begins with the hash');

SELECT is_empty(
    $$SELECT text FROM (VALUES ('8.01'), ('1.0'), ('1.0.0'), ('000'), ('1-rc.01+b.007'),
                               ('1+a-b'), (repeat('1.', 127) || '0'),
                               ('1-' || repeat('a.', 126) || 'b')) AS t (text)
      WHERE text::zdu_version::text <> text$$,
    'V1: text in is text out');

-- Refusals.
CREATE FUNCTION pg_temp.refusal(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    RETURN 'accepted: ' || $1::zdu_version;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s %s', SQLSTATE, substring(detail FROM 'V1: position \d+'));
END
$$;
SELECT is(pg_temp.refusal(text), format('22P02 V1: position %s', place),
          format('V1: %s is refused at position %s', what, place))
FROM (VALUES
    (1, '', 1, 'the empty text'),
    (2, 'v1', 1, 'v1'),
    (3, '1..2', 3, '1..2'),
    (4, '.1', 1, '.1'),
    (5, '1.', 3, '1.'),
    (6, '-1', 1, '-1'),
    (7, '1.x', 3, '1.x'),
    (8, '1.2x', 4, '1.2x'),
    (9, ' 1', 1, 'a leading space'),
    (10, '1 ', 2, 'a trailing space'),
    (11, '1-', 3, '1-'),
    (12, '1-rc..1', 6, '1-rc..1'),
    (13, '1-rc_1', 5, '1-rc_1'),
    (14, '1+', 3, '1+'),
    (15, '1+b+c', 4, '1+b+c'),
    (16, E'1.2\n', 4, 'a line feed'),
    (17, E'1.\x01', 3, 'a control character'),
    (18, E'1-a\x7F', 4, 'a delete character'),
    (19, '1.é', 3, 'a letter beyond ASCII'),
    (20, repeat('1', 256), 256, '256 bytes'),
    (21, repeat('1', 10240), 256, '10 kB')
) AS t (n, text, place, what)
ORDER BY n;

CREATE FUNCTION pg_temp.message(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'accepted: ' || $1::zdu_version;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$$;
SELECT is(pg_temp.message(E'1.\n2'),
          'invalid input syntax for type zdu_version: "1.?2"',
          'V1: a message shows no control characters');
SELECT is(pg_temp.message(repeat('é', 100)),
          'invalid input syntax for type zdu_version: "' || repeat('é', 20) || '..."',
          'V1: a message shows the beginning of a long text, in whole characters');

-- pg_input_error_info() came with 16, and with it the soft errors.
CREATE FUNCTION pg_temp.soft(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
        RETURN pg_temp.refusal($1);
    END IF;
    EXECUTE 'SELECT format(''%s %s'', sql_error_code, substring(detail FROM ''V1: position \d+''))
             FROM pg_input_error_info($1, ''zdu_version'')' INTO found USING $1;
    RETURN found;
END
$$;
SELECT is(pg_temp.soft('1..2'), '22P02 V1: position 3',
          'V1: a refusal is soft where the server knows soft errors');

-- Casts.
CREATE TEMP TABLE assigned (v zdu_version, t text);
INSERT INTO assigned SELECT text '1.0' || '.1', zdu_version '1.0+b';
SELECT results_eq('SELECT v::text, t FROM assigned', $$VALUES ('1.0.1', '1.0+b')$$,
                  'V1: text and versions are assigned to each other');
SELECT throws_ok('SELECT v = t FROM assigned', '42883', NULL,
                 'V1: a text is not compared as a version unasked');

-- Parts.
SELECT results_eq(
    $$SELECT zdu_version_major(v), zdu_version_minor(v), zdu_version_patch(v),
             zdu_version_part(v, 4), zdu_version_part(v, 2000000000),
             zdu_version_prerelease(v), zdu_version_build(v)
      FROM (VALUES (zdu_version '7.02.3.4-rc.1+b-7'), ('8'), ('1+a-b')) AS t (v)$$,
    $$VALUES (7::bigint, 2::bigint, 3::bigint, 4::bigint, 0::bigint, 'rc.1', 'b-7'),
             (8, 0, 0, 0, 0, NULL, NULL),
             (1, 0, 0, 0, 0, NULL, 'a-b')$$,
    'V1: the parts of a version, where one that is missing is zero');
SELECT throws_ok($$SELECT zdu_version_part('7.2', 0)$$, '22023', NULL,
                 'V1: parts are counted from 1');
SELECT is(zdu_version_major('9223372036854775807'), 9223372036854775807,
          'V1: the largest part a bigint holds');
SELECT throws_ok($$SELECT zdu_version_major('9223372036854775808')$$, '22003', NULL,
                 'V1: a larger part is no bigint');

-- Sorting, with enough rows to get past abbreviated keys, and many alike.
CREATE TEMP TABLE many AS
SELECT n, format('%s.%s.%s%s', n % 7, n % 11, n % 300,
                 CASE WHEN n % 5 = 0 THEN '-rc.' || n % 1000 ELSE '' END)::zdu_version AS v
FROM generate_series(1, 30000) AS s (n);
CREATE TEMP TABLE alike AS
SELECT format('2024.20240131.20240131.%s', n % 3)::zdu_version AS v
FROM generate_series(1, 30000) AS s (n);
SELECT is_empty(
    $$SELECT FROM (SELECT v, lag(v) OVER (ORDER BY v) AS before FROM many) AS t WHERE before > v$$,
    'V1: 30,000 versions sort into order');
SELECT is_empty(
    $$SELECT FROM (SELECT v, lag(v) OVER (ORDER BY v) AS before FROM alike) AS t WHERE before > v$$,
    'V1: so do 30,000 that differ in their last part only');
SELECT results_eq(
    'SELECT v FROM alike GROUP BY v ORDER BY v DESC',
    $$VALUES (zdu_version '2024.20240131.20240131.2'), ('2024.20240131.20240131.1'),
             ('2024.20240131.20240131')$$,
    'V1: and group by what is equal');
SELECT results_eq('SELECT max(v), min(v) FROM many',
                  $$VALUES (zdu_version '6.10.299', zdu_version '0.0.0-rc.100')$$,
                  'V1: max and min go by version order');

-- Every way to find equals finds the same, whatever their spelling.
CREATE TEMP TABLE spelled AS
SELECT n, (n % 100 || repeat('.0', n % 4) || CASE WHEN n % 2 = 0 THEN '+b' ELSE '' END)::zdu_version AS v
FROM generate_series(1, 1000) AS s (n);
CREATE TEMP TABLE hashed (v zdu_version) PARTITION BY HASH (v);
CREATE TEMP TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT v FROM spelled;
ANALYZE spelled;

CREATE FUNCTION pg_temp.joined(enabled text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    found bigint;
BEGIN
    PERFORM set_config('enable_hashjoin', (enabled = 'Hash Join')::text, true),
            set_config('enable_mergejoin', (enabled = 'Merge Join')::text, true),
            set_config('enable_nestloop', (enabled = 'Nested Loop')::text, true);
    EXECUTE 'EXPLAIN (FORMAT json) SELECT FROM spelled AS a JOIN spelled AS b USING (v)' INTO plan;
    SELECT count(*) INTO found FROM spelled AS a JOIN spelled AS b USING (v);
    PERFORM set_config('enable_hashjoin', 'on', true),
            set_config('enable_mergejoin', 'on', true),
            set_config('enable_nestloop', 'on', true);
    RETURN format('%s: %s', plan -> 0 -> 'Plan' ->> 'Node Type', found);
END
$$;
SELECT is(pg_temp.joined(kind), kind || ': 10000', format('V1: a %s finds all equals', kind))
FROM unnest(ARRAY['Hash Join', 'Merge Join', 'Nested Loop']) AS k (kind);
SELECT is((SELECT count(*) FROM hashed WHERE v = '42.0+x'), 10::bigint,
          'V1: equals are in one hash partition');

CREATE FUNCTION pg_temp.indexed(method text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    found bigint;
BEGIN
    EXECUTE format('CREATE INDEX spelled_v ON spelled USING %s (v)', method);
    SET LOCAL enable_seqscan = off;
    EXECUTE $q$EXPLAIN (FORMAT json) SELECT FROM spelled WHERE v = '42.0.0+x'$q$ INTO plan;
    EXECUTE $q$SELECT count(*) FROM spelled WHERE v = '42.0.0+x'$q$ INTO found;
    RESET enable_seqscan;
    DROP INDEX spelled_v;
    RETURN format('%s: %s', plan::text LIKE '%spelled_v%', found);
END
$$;
SELECT is(pg_temp.indexed(method), 't: 10', format('V1: a %s index finds all equals', method))
FROM unnest(ARRAY['btree', 'hash']) AS m (method);
CREATE UNIQUE INDEX ON assigned (v);
SELECT throws_ok($$INSERT INTO assigned VALUES ('1.0.1.0')$$, '23505', NULL,
                 'V1: another spelling of a version breaks a unique index');

-- Values stored out of line.
CREATE TEMP TABLE wide (a zdu_version, b zdu_version, filler text);
ALTER TABLE wide ALTER COLUMN a SET STORAGE external, ALTER COLUMN filler SET STORAGE plain;
INSERT INTO wide
SELECT ('1-' || repeat('a.', 126) || 'b')::zdu_version, ('1-' || repeat('a.', 126) || 'c')::zdu_version,
       repeat('x', 1900);
SELECT ok((SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE oid = 'wide'::regclass),
          'V1: a version is stored out of line where the row is wide');
SELECT ok(a < b AND b > a AND a = a::text::zdu_version
          AND zdu_version_hash(a) = zdu_version_hash(a::text::zdu_version)
          AND length(zdu_version_prerelease(a)) = 253
          AND zdu_version_larger(a, b) = b,
          'V1: and compares, hashes and comes apart all the same')
FROM wide;

-- The definitions.
SELECT ok(bool_and(amvalidate(oid)) AND count(*) = 2, 'V1: both operator classes are complete')
FROM pg_opclass
WHERE opcintype = 'zdu_version'::regtype;
SELECT is_empty(
    $$SELECT oid::regprocedure
      FROM pg_proc
      WHERE proname LIKE 'zdu\_version\_%'
      AND NOT (provolatile = 'i' AND proisstrict AND proparallel = 's')$$,
    'V1: all its functions are immutable, strict and safe in parallel');
SELECT is_empty(
    $$SELECT pg_describe_object(classid, objid, objsubid)
      FROM pg_depend
      WHERE refclassid = 'pg_extension'::regclass
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'zdu')
      AND deptype = 'e'
      AND pg_describe_object(classid, objid, objsubid) LIKE '%zdu\_version%'
      AND obj_description(objid, classid::regclass::name) IS NULL$$,
    'V1: every object of the type has a comment');

SELECT * FROM finish();
ROLLBACK;
