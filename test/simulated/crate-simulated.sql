-- A simulated CrateDB: its system tables in a real PostgreSQL, so that the statements of its
-- documentation run as they stand.  hstore columns answer node['name'] with a text, as there.
--
-- crate-simulated, a process a node, calls sim.*; zdu and people see sys.* and
-- information_schema.tables.
CREATE EXTENSION hstore;
CREATE SCHEMA sim;
CREATE SCHEMA sys;

-- What CrateDB calls an object is JSON on the wire.
CREATE DOMAIN object AS json;

CREATE TABLE sim.node (name text PRIMARY KEY, pid int, version text, disk bigint NOT NULL DEFAULT 1000);
CREATE TABLE sim.setting (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE sim.asked (id serial, setting text, value text);
CREATE TABLE sim.relation (table_schema text, table_name text, number_of_replicas text NOT NULL, PRIMARY KEY (table_schema, table_name));
-- home: where the copy's data is; node: where it serves, NULL while that node is away
CREATE TABLE sim.shard (schema_name text, table_name text, id int, "primary" boolean NOT NULL, node text, home text NOT NULL,
	size bigint NOT NULL DEFAULT 10, moved int NOT NULL DEFAULT 0);

INSERT INTO sim.setting VALUES ('cluster.routing.allocation.enable', 'all'), ('cluster.graceful_stop.min_availability', 'primaries'),
	('cluster.graceful_stop.reallocate', 'true'), ('cluster.graceful_stop.timeout', '2h'), ('cluster.graceful_stop.force', 'false');

CREATE VIEW sys.nodes AS
SELECT n.name AS id, n.name, hstore('number', n.version) AS version,
	jsonb_build_object('total', jsonb_build_object('available', n.disk - coalesce((SELECT sum(s.size) FROM sim.shard s WHERE s.node = n.name), 0))) AS fs
FROM sim.node n WHERE n.pid IS NOT NULL;

CREATE VIEW sys.shards AS
SELECT schema_name, table_name, id, "primary", CASE WHEN node IS NULL THEN 'UNASSIGNED' ELSE 'STARTED' END AS state, size,
	hstore('name', node) AS node, hstore('name', node) AS _node
FROM sim.shard;

CREATE VIEW sys.cluster AS
SELECT (SELECT jsonb_object_agg(key, value) FROM (
	SELECT 'cluster' AS key, jsonb_build_object(
		'routing', jsonb_build_object('allocation', jsonb_build_object('enable', max(value) FILTER (WHERE name LIKE '%allocation.enable'))),
		'graceful_stop', jsonb_object_agg(split_part(name, '.', 3), value) FILTER (WHERE name LIKE 'cluster.graceful_stop.%')) AS value
	FROM sim.setting) c) AS settings;

CREATE VIEW sys.health AS
SELECT schema_name AS table_schema, table_name,
	CASE WHEN bool_or("primary" AND node IS NULL) THEN 'RED' WHEN bool_or(node IS NULL) THEN 'YELLOW' ELSE 'GREEN' END AS health,
	CASE WHEN bool_or("primary" AND node IS NULL) THEN 3 WHEN bool_or(node IS NULL) THEN 2 ELSE 1 END AS severity
FROM sim.shard GROUP BY 1, 2;

-- The tables of CrateDB, with the column that they have besides; there a text compares with a
-- number.
CREATE SCHEMA doc;
CREATE SCHEMA blob;
DO $$
BEGIN
	EXECUTE format('CREATE OR REPLACE VIEW information_schema.tables AS SELECT t.*, r.number_of_replicas FROM (%s) t '
		'LEFT JOIN sim.relation r USING (table_schema, table_name)', rtrim(pg_get_viewdef('information_schema.tables'), '; '));
END
$$;
CREATE FUNCTION sim.create_table(schema_name text, table_name text, replicas text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE %I.%I ()', schema_name, table_name);
	INSERT INTO sim.relation VALUES (schema_name, table_name, replicas);
END $$;
CREATE FUNCTION same_number(text, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = $2::text $$;
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = int, FUNCTION = same_number);

CREATE FUNCTION sim.value(which text) RETURNS text LANGUAGE sql AS $$ SELECT value FROM sim.setting WHERE name = which $$;

-- SET GLOBAL
CREATE FUNCTION sim.set_global(which text, new_value text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE sim.setting SET value = new_value WHERE name = which;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Cannot find setting %', which;
	END IF;
	INSERT INTO sim.asked (setting, value) VALUES (which, new_value);
	-- Where allocation is on, copies that miss are made anew elsewhere, and spread.
	IF which = 'cluster.routing.allocation.enable' AND new_value = 'all' THEN
		PERFORM sim.reallocate();
	END IF;
END $$;

-- ALTER CLUSTER DECOMMISSION: asks the node's process
CREATE FUNCTION sim.decommission(which text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	p int := (SELECT pid FROM sim.node WHERE name = which);
BEGIN
	IF p IS NULL THEN
		RAISE EXCEPTION 'Node "%" is not known', which;
	END IF;
	EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; kill -USR2 ' || p);
END $$;

-- Another node that is up and holds no copy of that shard, the emptiest first.
CREATE FUNCTION sim.room_for(s sim.shard) RETURNS text LANGUAGE sql AS $$
	SELECT n.name FROM sim.node n
	WHERE n.pid IS NOT NULL AND n.name <> s.home
	AND NOT EXISTS (SELECT FROM sim.shard o WHERE (o.schema_name, o.table_name, o.id) = (s.schema_name, s.table_name, s.id) AND o.home = n.name)
	ORDER BY (SELECT count(*) FROM sim.shard o WHERE o.node = n.name), n.name LIMIT 1
$$;

CREATE FUNCTION sim.reallocate() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s sim.shard;
BEGIN
	FOR s IN SELECT * FROM sim.shard WHERE node IS NULL LOOP
		UPDATE sim.shard c SET node = sim.room_for(s), home = coalesce(sim.room_for(s), s.home), moved = moved + 1
		WHERE (c.schema_name, c.table_name, c.id, c.home) = (s.schema_name, s.table_name, s.id, s.home);
	END LOOP;
END $$;

-- What has to leave a node before it stops, by the availability asked for.
CREATE FUNCTION sim.to_move(which text) RETURNS SETOF sim.shard LANGUAGE sql AS $$
	SELECT s.* FROM sim.shard s JOIN sim.relation r ON (r.table_schema, r.table_name) = (s.schema_name, s.table_name)
	WHERE s.node = which AND CASE sim.value('cluster.graceful_stop.min_availability')
		WHEN 'full' THEN true WHEN 'primaries' THEN s."primary" AND r.number_of_replicas = '0' ELSE false END
	ORDER BY s.table_name, s.id
$$;

-- Why a node will not even begin to stop gracefully; NULL: it may.
CREATE FUNCTION sim.refused(which text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN sim.value('cluster.graceful_stop.min_availability') = 'full' AND n.nodes <= r.replicas + 1
			THEN format('not enough nodes: %s, and %s replicas', n.nodes, r.replicas)
		WHEN m.shards > 0 AND sim.value('cluster.graceful_stop.reallocate') = 'false' THEN format('%s shards would have to move', m.shards)
		WHEN m.size > n.free THEN format('not enough disk space on other nodes: %s needed, %s free', m.size, n.free)
	END
	FROM (SELECT count(*) AS shards, coalesce(sum(size), 0) AS size FROM sim.to_move(which)) m,
		(SELECT count(*) AS nodes, coalesce(sum((fs['total']['available'])::bigint) FILTER (WHERE name <> which), 0) AS free FROM sys.nodes) n,
		(SELECT max(split_part(number_of_replicas, '-', greatest(1, array_length(string_to_array(number_of_replicas, '-'), 1)))::int) AS replicas FROM sim.relation) r
$$;

-- Moves one shard away; returns how many are left.
CREATE FUNCTION sim.move_one(which text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	s sim.shard := (SELECT m FROM sim.to_move(which) m LIMIT 1);
	other text := sim.room_for(s);
BEGIN
	IF other IS NOT NULL THEN
		UPDATE sim.shard c SET node = other, home = other, moved = moved + 1
		WHERE (c.schema_name, c.table_name, c.id, c.home) = (s.schema_name, s.table_name, s.id, s.home);
	END IF;
	RETURN (SELECT count(*) FROM sim.to_move(which));
END $$;

-- The node is gone: a replica elsewhere takes a primary's place.
CREATE FUNCTION sim.leave(which text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s sim.shard;
BEGIN
	UPDATE sim.node SET pid = NULL WHERE name = which;
	UPDATE sim.shard SET node = NULL WHERE node = which;
	FOR s IN SELECT * FROM sim.shard WHERE "primary" AND node IS NULL LOOP
		UPDATE sim.shard c SET "primary" = true
		WHERE ctid = (SELECT o.ctid FROM sim.shard o WHERE (o.schema_name, o.table_name, o.id) = (s.schema_name, s.table_name, s.id) AND o.node IS NOT NULL LIMIT 1);
		IF FOUND THEN
			UPDATE sim.shard c SET "primary" = false WHERE (c.schema_name, c.table_name, c.id, c.home) = (s.schema_name, s.table_name, s.id, s.home);
		END IF;
	END LOOP;
	IF sim.value('cluster.routing.allocation.enable') = 'all' THEN
		PERFORM sim.reallocate();
	END IF;
END $$;

-- It is back, with the copies that it has on disk.
CREATE FUNCTION sim.enter(which text, process int, number text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO sim.node (name, pid, version) VALUES (which, process, number)
	ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, version = excluded.version;
	UPDATE sim.shard SET node = which WHERE home = which
$$;
