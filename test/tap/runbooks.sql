-- Promise: every runbook that ships is one that zdu would take from you.
BEGIN;
SELECT plan(9);
SET client_min_messages = warning;

SELECT is((SELECT array_agg(name::text ORDER BY name) FROM zdu.runbook WHERE shipped),
	'{camunda,confluence,crate,eft,haproxy-systemd-ssh,jahia,jahia-two-groups,local}'::text[], 'W1: the runbooks that ship');
SELECT lives_ok(format('SELECT zdu_set_runbook(%L, %L)', 'copy-of-' || name, document), format('W1: a copy of %s is taken', name))
FROM zdu.runbook WHERE shipped ORDER BY name;

SELECT * FROM finish();
ROLLBACK;
