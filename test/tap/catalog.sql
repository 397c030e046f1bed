-- Promise: everything of zdu that a user can see is commented, listed in zdu.help, named without quotes, and dumped.
BEGIN;
SELECT plan(13);

CREATE TEMP VIEW member AS
SELECT classid, objid FROM pg_depend
WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'zdu') AND deptype = 'e';
CREATE TEMP VIEW function AS
SELECT p.* FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid;
CREATE TEMP VIEW relation AS
SELECT c.* FROM member JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid;
CREATE TEMP VIEW attribute AS
SELECT c.relname, a.attname, a.attrelid, a.attnum FROM relation c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relkind <> 'S';

-- Comments
SELECT cmp_ok((SELECT count(*) FROM member), '>', 90::bigint, 'L22: all objects of the extension are looked at');
SELECT is_empty($$SELECT pg_describe_object(classid, objid, 0) FROM member
	WHERE coalesce(obj_description(objid, classid::regclass::text), '') = ''$$,
	'L22: every function, table, view, type, operator, sequence and schema has a comment');
SELECT is_empty($$SELECT relname, attname FROM attribute WHERE coalesce(col_description(attrelid, attnum), '') = ''$$,
                'L22: every column of every table and view has one');

-- Help
SELECT set_eq('SELECT name FROM zdu.help',
	$$SELECT proname::text FROM function WHERE prorettype <> 'trigger'::regtype AND prokind = 'f'
	  AND NOT starts_with(proname::text, 'zdu_version_')$$,
	'L22: zdu.help lists every function that a person, a node or a worker calls, and no other');
SELECT is_empty($$SELECT name FROM zdu.help WHERE usage IS NULL OR "when" IS NULL OR grants IS NULL OR usage NOT LIKE '%' || name || '(%'$$,
                'L22: with how to call it, when, and who may');
SELECT is_empty($$SELECT name FROM zdu.privilege p WHERE name <> 'zdu_version' AND NOT EXISTS (SELECT FROM function f WHERE f.proname = p.name)
                  AND NOT EXISTS (SELECT FROM relation r WHERE 'zdu.' || r.relname = p.name)$$,
                'L22: zdu.privilege names nothing that is not there');
SELECT is_empty($$SELECT proname FROM function WHERE prokind = 'f' AND provolatile = 'i' AND proparallel <> 's' AND starts_with(proname::text, 'zdu_version')$$,
                'V1: what works on versions is safe for parallel plans');

-- Names
SELECT is_empty($$SELECT relname, attname FROM attribute JOIN pg_get_keywords() ON word = attname WHERE catcode IN ('R', 'T')
                  AND (relname, attname) <> ('help', 'when')$$, 'L22: no column is named by a reserved word');
SELECT is_empty($$SELECT proname, a FROM function CROSS JOIN unnest(proargnames) a JOIN pg_get_keywords() ON word = a WHERE catcode IN ('R', 'T')$$,
                'L22: nor is an argument');
SELECT is_empty($$SELECT n FROM (SELECT relname::text FROM relation UNION SELECT attname FROM attribute UNION SELECT proname FROM function) x (n)
                  WHERE n !~ '^[a-z][a-z0-9_]*$'$$, 'L22: nothing has a name that needs quotes');

-- Dump
SELECT set_eq($$SELECT relname::text FROM relation WHERE relkind = 'r' AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'zdu')$$,
              '{node_heard,join_answer,worker,privilege}'::text[],
              'L22: a dump has all that people gave and zdu recorded, but not who was heard, nor what the extension brings');
SELECT is_empty($$SELECT relname FROM relation WHERE relkind = 'S' AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'zdu')$$,
                'L22: and where its sequences stand');
SELECT is_empty($$SELECT c.relname FROM relation c WHERE relkind = 'r' AND NOT EXISTS (
	SELECT FROM pg_constraint p WHERE p.conrelid = c.oid AND p.contype IN ('p', 'u'))$$, 'L22: every table has a key');

SELECT * FROM finish();
ROLLBACK;
