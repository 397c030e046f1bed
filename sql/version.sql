-- Promise: zdu_version takes and gives text, orders as V1 says, and tells
-- where a text stops being a version.
SET search_path = nowhere;

-- Text in is text out.
SELECT zdu_version '8.01', zdu_version '1.0.0-rc.01+b.007', zdu_version '7.2.2.1';

-- The order, lowest first.
SELECT v
FROM (VALUES ('1.0.0'), ('1.0.0-rc.1'), ('1.0.0-beta.11'), ('1.0.0-beta.2'),
             ('1.0.0-beta'), ('1.0.0-alpha.beta'), ('1.0.0-alpha.1'),
             ('1.0.0-alpha'), ('7.10'), ('7.9'), ('7.2.2.10'), ('7.2.2.9')) AS t (text)
CROSS JOIN LATERAL (SELECT text::zdu_version) AS u (v)
ORDER BY v;

SELECT min(v), max(v)
FROM (VALUES (zdu_version '7.9'), ('7.10'), (NULL), ('7.10-rc.1')) AS t (v);

-- Each operator, with less, equal and greater.
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge,
       a > b AS gt, zdu_version_cmp(a, b) < 0 AS cmp_lt
FROM (VALUES (zdu_version '7.9', zdu_version '7.10'), ('1.0', '1.0.0+b'),
             ('8.0', '8.0-rc')) AS t (a, b);

-- The parts.
SELECT v, zdu_version_major(v) AS major, zdu_version_minor(v) AS minor,
       zdu_version_patch(v) AS patch, zdu_version_part(v, 4) AS part_4,
       zdu_version_prerelease(v) AS prerelease, zdu_version_build(v) AS build
FROM (VALUES (zdu_version '7.2.2.1'), ('8'), ('1.02.3-rc.1+b-7'),
             ('1+a-b')) AS t (v);
SELECT zdu_version_part('7.2', 0);
SELECT zdu_version_major('99999999999999999999.1');

-- Bad input.
SELECT zdu_version '';
SELECT zdu_version '1..2';
SELECT zdu_version 'v1';
SELECT zdu_version '1.2.3 ';
SELECT zdu_version '1.0-rc..1';
SELECT zdu_version '1.0+b+c';
SELECT zdu_version E'1.2\t3';
SELECT repeat('1', 10240)::zdu_version;

-- Text becomes a version on assignment, and a version text.
CREATE TEMP TABLE cast_test (v zdu_version, t text);
INSERT INTO cast_test SELECT text '1.0' || '.1', zdu_version '1.0+b';
SELECT * FROM cast_test;
INSERT INTO cast_test (v) SELECT text 'v' || '1';

-- The binary form is the text, and is checked as the text is.
CREATE TEMP TABLE binary_test (v zdu_version);
COPY (SELECT zdu_version '1.0-rc.1+b' UNION ALL SELECT NULL)
    TO PROGRAM 'cat > zdu_version.bin' (FORMAT binary);
COPY binary_test FROM PROGRAM 'cat zdu_version.bin' (FORMAT binary);
COPY (SELECT text '1..2') TO PROGRAM 'cat > zdu_version.bin' (FORMAT binary);
\set SHOW_CONTEXT never
COPY binary_test FROM PROGRAM 'cat zdu_version.bin; rm zdu_version.bin' (FORMAT binary);
\pset null NULL
SELECT v FROM binary_test ORDER BY v;
