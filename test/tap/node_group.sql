-- Promise: every node is in exactly one group, groups change in one transaction, and not while an upgrade runs.
BEGIN;
SELECT plan(25);
SET client_min_messages = warning;

-- The groups and their members, in one line.
CREATE FUNCTION pg_temp.groups() RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(g || '=' || m, ' ' ORDER BY g) FROM (
	SELECT node_group, string_agg(name, ',' ORDER BY name) FROM zdu.node GROUP BY 1) x (g, m) $$;

SELECT zdu_set_cluster('shop');
SELECT zdu_set_node('shop', 'app' || n) FROM generate_series(1, 4) n;
SELECT results_eq('SELECT name FROM zdu.node_group', $$VALUES ('default')$$, 'N11: a cluster is made with the group default');
SELECT is(pg_temp.groups(), 'default=app1,app2,app3,app4', 'N11: a node that names no group is in default');
SELECT throws_ok($$SELECT zdu_set_group('shop', 'default')$$, '42939', 'group "default" cannot be made or dropped', 'N11: default cannot be made');
SELECT throws_ok($$SELECT zdu_drop_group('shop', 'default')$$, '42939', 'group "default" cannot be made or dropped', 'N11: nor dropped');
SELECT throws_ok($$SELECT zdu_set_node('shop', 'app5', node_group => 'green')$$, '42704', 'group "green" does not exist',
                 'N11: a node cannot be in a group that is not there');
SELECT is_empty($$SELECT FROM zdu.node WHERE name = 'app5'$$, 'N11: nothing of it is registered then');

SELECT is(zdu_set_group('shop', 'blue', '{app1,app2}'), 'created', 'N12: a group is made with its members');
SELECT is(pg_temp.groups(), 'blue=app1,app2 default=app3,app4', 'N12: they have left their old group');
SELECT is(zdu_set_group('shop', 'green', '{app2,app3}'), 'created', 'N12: another group takes one of them');
SELECT is(pg_temp.groups(), 'blue=app1 default=app4 green=app2,app3', 'N12: it is in the new group only');
SELECT is(zdu_set_group('shop', 'green', '{app3,app4}'), 'changed', 'N12: the members of a group can be changed');
SELECT is(pg_temp.groups(), 'blue=app1 default=app2 green=app3,app4', 'N12: who is not named any more goes back to default');
SELECT is(zdu_set_group('shop', 'green', '{app4,app3}'), 'unchanged', 'N12: the same members again change nothing');
SELECT is(zdu_set_group('shop', 'green'), 'unchanged', 'N12: NULL keeps the members');
SELECT throws_ok($$SELECT zdu_set_group('shop', 'blue', '{app4,app9}')$$, '42704', 'node "app9" of cluster "shop" does not exist',
                 'N12: an unknown member is refused');
SELECT is(pg_temp.groups(), 'blue=app1 default=app2 green=app3,app4', 'N12: with all the others of that call');
SELECT is(zdu_set_node('shop', 'app2', node_group => 'blue'), 'changed', 'N12: a single node can be moved as well');
SELECT is(zdu_drop_group('shop', 'green'), 'dropped', 'N12: a group can be dropped');
SELECT is(pg_temp.groups(), 'blue=app1,app2 default=app3,app4', 'N12: its members are in default again');
SELECT throws_ok($$SELECT zdu_drop_group('shop', 'green')$$, '42704', 'group "green" does not exist', 'N12: it is gone');

SELECT zdu_join('shop', 'app' || n, '1.0'), zdu_heartbeat('shop', 'app' || n, state => 'ACTIVE') FROM generate_series(1, 4) n;
SELECT zdu_begin('shop', '1.1');
SELECT throws_ok(statement, '55000', 'cannot change the groups of cluster "shop"', 'N12: in upgrade mode it is refused: ' || statement)
FROM (VALUES ($$SELECT zdu_set_group('shop', 'red', '{app1}')$$), ($$SELECT zdu_drop_group('shop', 'blue')$$),
             ($$SELECT zdu_set_node('shop', 'app1', node_group => 'default')$$)) AS s (statement);
SELECT is(zdu_set_node('shop', 'app1', zone => 'a', node_group => 'blue'), 'changed', 'N12: what leaves the groups as they are is not');
SELECT is(pg_temp.groups(), 'blue=app1,app2 default=app3,app4', 'N12: after all that the groups are as they were');

SELECT * FROM finish();
ROLLBACK;
