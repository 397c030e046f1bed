-- What a dump keeps: everything that people gave or zdu recorded, but who was heard and who asked.

SELECT pg_catalog.pg_extension_config_dump('zdu.id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.token_seq', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.policy', 'WHERE NOT shipped');
SELECT pg_catalog.pg_extension_config_dump('zdu.runbook', 'WHERE NOT shipped');
SELECT pg_catalog.pg_extension_config_dump('zdu.release', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.release_path', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.cluster', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.node_group', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.node', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.node_count', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.budget', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.budget_begun', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.resource', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.placement', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.upgrade', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.step', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.watch', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.feature', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.delta_row', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.operation', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.event', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.grant', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.waiver', '');
SELECT pg_catalog.pg_extension_config_dump('zdu.instance', '');
