-- How careful an upgrade is: a row a policy.  Shipped rows are immutable and stay out of a dump.

CREATE SCHEMA zdu;
COMMENT ON SCHEMA zdu IS 'zdu: clusters, nodes and upgrades; change it through the zdu_* functions';

-- A CHECK is asked again whatever changes in a row: a regular expression would be most of what it costs to write one.
CREATE FUNCTION zdu_is_name(
	name text
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'zdu_is_name';
COMMENT ON FUNCTION zdu_is_name(text) IS 'May a cluster, a node and the like be called that: 1 to 63 letters, digits and . _ - :, a letter or digit first?';

CREATE TABLE zdu.policy
(
	name text NOT NULL,
	shipped boolean NOT NULL DEFAULT false,
	early_end text NOT NULL DEFAULT 'deny',
	second_person boolean NOT NULL DEFAULT false,
	cancel text NOT NULL DEFAULT 'until_first_upgrade',
	rollback text NOT NULL DEFAULT 'allow',
	repeat_begin text NOT NULL DEFAULT 'error',
	offline_at_end text NOT NULL DEFAULT 'drop',
	version_step text NOT NULL DEFAULT 'next_minor',
	min_version zdu_version,
	require_latest_patch boolean NOT NULL DEFAULT false,
	max_versions integer DEFAULT 2,
	config_lock text NOT NULL DEFAULT 'off',
	max_unavailable text NOT NULL DEFAULT '1',
	min_availability text NOT NULL DEFAULT 'none',
	drain_on_timeout text NOT NULL DEFAULT 'abort',
	reallocate boolean NOT NULL DEFAULT true,
	order_by text[] NOT NULL DEFAULT '{role}',
	finalize text NOT NULL DEFAULT 'approve',
	on_failure text NOT NULL DEFAULT 'hold',
	schema_phase text NOT NULL DEFAULT 'none',
	heartbeat_ttl interval NOT NULL DEFAULT '30 s',
	start_timeout interval NOT NULL DEFAULT '10 min',
	stop_timeout interval NOT NULL DEFAULT '5 min',
	drain_timeout interval NOT NULL DEFAULT '10 min',
	min_healthy_time interval NOT NULL DEFAULT '10 s',
	max_failures integer NOT NULL DEFAULT 0,
	lease interval NOT NULL DEFAULT '30 s',
	max_block interval NOT NULL DEFAULT '5 s',
	auto_adopt boolean NOT NULL DEFAULT false,
	CONSTRAINT policy_pkey PRIMARY KEY (name, shipped),
	CONSTRAINT policy_early_end_check CHECK (early_end IN ('deny', 'force')),
	CONSTRAINT policy_cancel_check CHECK (cancel IN ('until_first_upgrade', 'never')),
	CONSTRAINT policy_rollback_check CHECK (rollback IN ('allow', 'never')),
	CONSTRAINT policy_repeat_begin_check CHECK (repeat_begin IN ('error', 'noop')),
	CONSTRAINT policy_offline_at_end_check CHECK (offline_at_end IN ('drop', 'fence')),
	CONSTRAINT policy_version_step_check CHECK (version_step IN ('next_minor', 'patch', 'same_major', 'listed', 'any')),
	CONSTRAINT policy_max_versions_check CHECK (max_versions = 2),
	CONSTRAINT policy_config_lock_check CHECK (config_lock IN ('off', 'refuse', 'delta')),
	CONSTRAINT policy_max_unavailable_check CHECK (max_unavailable ~ '^([1-9][0-9]{0,5}|[1-9][0-9]?%|100%)$'),
	CONSTRAINT policy_min_availability_check CHECK (min_availability IN ('none', 'primaries', 'full')),
	CONSTRAINT policy_drain_on_timeout_check CHECK (drain_on_timeout IN ('abort', 'force')),
	CONSTRAINT policy_order_by_check CHECK (order_by <@ '{role,group,zone,least_busy,name}'::text[] AND array_position(order_by, NULL) IS NULL),
	CONSTRAINT policy_finalize_check CHECK (finalize IN ('approve', 'auto')),
	CONSTRAINT policy_on_failure_check CHECK (on_failure IN ('hold', 'rollback')),
	CONSTRAINT policy_schema_phase_check CHECK (schema_phase IN ('none', 'pre', 'post')),
	CONSTRAINT policy_durations_check CHECK (heartbeat_ttl > '0' AND start_timeout > '0' AND stop_timeout > '0' AND drain_timeout > '0'
											 AND min_healthy_time >= '0' AND lease >= '1 s' AND max_block > '0'),
	CONSTRAINT policy_max_failures_check CHECK (max_failures >= 0),
	-- An upgrade that rolls itself back must be allowed to.
	CONSTRAINT policy_on_failure_needs_rollback CHECK (on_failure = 'hold' OR rollback = 'allow'),
	-- Ending by itself leaves nobody who could agree.
	CONSTRAINT policy_second_person_needs_approve CHECK (NOT second_person OR finalize = 'approve'),
	-- Forcing a node out after a time-out gives up the availability that was asked for.
	CONSTRAINT policy_force_gives_up_availability CHECK (drain_on_timeout = 'abort' OR min_availability <> 'full'),
	-- The latest patch of a minor matters only where steps go from minor to minor.
	CONSTRAINT policy_latest_patch_needs_minor CHECK (NOT require_latest_patch OR version_step IN ('next_minor', 'same_major', 'listed')),
	-- Not moving copies is a word about copies.
	CONSTRAINT policy_reallocate_needs_availability CHECK (reallocate OR min_availability <> 'none'),
	CONSTRAINT policy_name_check CHECK (zdu_is_name(name))
);
COMMENT ON TABLE zdu.policy IS 'How careful an upgrade is, a row a policy; zdu_set_policy makes one out of another';
COMMENT ON COLUMN zdu.policy.name IS 'its name; a policy of your own wins over one shipped later under the same name';
COMMENT ON COLUMN zdu.policy.shipped IS 'comes with zdu: immutable, copy it to change it';
COMMENT ON COLUMN zdu.policy.early_end IS 'deny: finalizing with outdated nodes is refused; force: a role with the grant may, they are fenced (L18)';
COMMENT ON COLUMN zdu.policy.second_person IS 'approval must come from another session_user than the one who began';
COMMENT ON COLUMN zdu.policy.cancel IS 'until_first_upgrade, or never: then zdu_begin wants acknowledge => true (L5, L24)';
COMMENT ON COLUMN zdu.policy.rollback IS 'allow, or never (L23)';
COMMENT ON COLUMN zdu.policy.repeat_begin IS 'error, or noop: beginning the same upgrade again gives the same id (L3)';
COMMENT ON COLUMN zdu.policy.offline_at_end IS 'what becomes of nodes confirmed OFFLINE at the end: drop, or fence (L16)';
COMMENT ON COLUMN zdu.policy.version_step IS 'largest step that is safe: next_minor, patch, same_major, listed (in zdu.release_path) or any (V2, V4)';
COMMENT ON COLUMN zdu.policy.min_version IS 'lowest original version that may be upgraded by rolling (V2); NULL: any';
COMMENT ON COLUMN zdu.policy.require_latest_patch IS 'a minor step wants the latest patch of the current minor first (V3)';
COMMENT ON COLUMN zdu.policy.max_versions IS '2: only the original and the target join in upgrade mode; NULL: everything between them (N7)';
COMMENT ON COLUMN zdu.policy.config_lock IS 'what registered tables do with writes in upgrade mode: off, refuse or delta (M1, M5)';
COMMENT ON COLUMN zdu.policy.max_unavailable IS 'how many nodes may be unavailable at once: a number, or a share such as 33% (D10)';
COMMENT ON COLUMN zdu.policy.min_availability IS 'none, primaries or full, for clusters with copies of data (D3)';
COMMENT ON COLUMN zdu.policy.drain_on_timeout IS 'abort: the node goes back into service, the upgrade is held; force: it is stopped all the same, which takes the grant force (D2)';
COMMENT ON COLUMN zdu.policy.reallocate IS 'false: a node that would have to move copies is refused at once (D5)';
COMMENT ON COLUMN zdu.policy.order_by IS 'what decides the order, most important first: role, group, zone, least_busy, name (N14); nodes that it leaves equal go by name where that costs no time, else as they pack best; with name in it strictly by name';
COMMENT ON COLUMN zdu.policy.finalize IS 'approve: somebody calls zdu_finalize; auto: it is called when the last node is done';
COMMENT ON COLUMN zdu.policy.on_failure IS 'hold, or rollback';
COMMENT ON COLUMN zdu.policy.schema_phase IS 'when the schema changes: none, pre (before the nodes) or post (S1)';
COMMENT ON COLUMN zdu.policy.heartbeat_ttl IS 'a node that reports itself is OFFLINE, unconfirmed, when unheard for so long (N4)';
COMMENT ON COLUMN zdu.policy.start_timeout IS 'how long starting and verifying may take (N4)';
COMMENT ON COLUMN zdu.policy.stop_timeout IS 'how long stopping may take (N4)';
COMMENT ON COLUMN zdu.policy.drain_timeout IS 'how long draining may take (D2)';
COMMENT ON COLUMN zdu.policy.min_healthy_time IS 'soak: how long a node must be healthy before it counts as available again';
COMMENT ON COLUMN zdu.policy.max_failures IS 'failed nodes that an upgrade goes on with; one more holds it (D11)';
COMMENT ON COLUMN zdu.policy.lease IS 'a worker unheard for so long loses what it holds';
COMMENT ON COLUMN zdu.policy.max_block IS 'a schema step is cancelled when it blocks others longer than that (S3)';
COMMENT ON COLUMN zdu.policy.auto_adopt IS 'take over without zdu_adopt after a promotion of a synchronous standby';

INSERT INTO zdu.policy (name, shipped, version_step) VALUES ('default', true, 'next_minor');
INSERT INTO zdu.policy (name, shipped, offline_at_end, version_step) VALUES ('confluence', true, 'drop', 'any');
INSERT INTO zdu.policy (name, shipped, early_end, cancel, rollback, offline_at_end, version_step, config_lock)
VALUES ('eft', true, 'force', 'never', 'never', 'fence', 'any', 'delta');
INSERT INTO zdu.policy (name, shipped, version_step, min_version, require_latest_patch, max_unavailable, schema_phase)
VALUES ('camunda', true, 'next_minor', '7.5', true, '33%', 'pre');
INSERT INTO zdu.policy (name, shipped, version_step, order_by, max_unavailable)
VALUES ('jahia', true, 'any', '{role,group}', '1'), ('jahia-two-groups', true, 'any', '{role,group}', '50%');
INSERT INTO zdu.policy (name, shipped, version_step, min_availability) VALUES ('crate', true, 'listed', 'primaries');

CREATE VIEW zdu.current_policy AS
SELECT * FROM zdu.policy p
WHERE NOT p.shipped OR NOT EXISTS (SELECT FROM zdu.policy o WHERE o.name = p.name AND NOT o.shipped);
COMMENT ON VIEW zdu.current_policy IS 'the policy that a name means: your own before a shipped one';
