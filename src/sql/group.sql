-- Groups of nodes, and deployments to them.

CREATE TABLE zdu.deployment
(
	upgrade_id bigint NOT NULL,
	node_group text NOT NULL,
	through text,
	session_role text NOT NULL DEFAULT session_user,
	began_at timestamptz NOT NULL,
	done_at timestamptz,
	CONSTRAINT deployment_pkey PRIMARY KEY (upgrade_id, node_group),
	CONSTRAINT deployment_upgrade_fkey FOREIGN KEY (upgrade_id) REFERENCES zdu.upgrade ON DELETE CASCADE
);
COMMENT ON TABLE zdu.deployment IS 'Deployments to groups: an upgrade that goes group by group has one for each';
COMMENT ON COLUMN zdu.deployment.upgrade_id IS 'the upgrade';
COMMENT ON COLUMN zdu.deployment.node_group IS 'the group';
COMMENT ON COLUMN zdu.deployment.through IS 'the node it was sent through (N15); NULL: not said';
COMMENT ON COLUMN zdu.deployment.session_role IS 'session_user who sent it';
COMMENT ON COLUMN zdu.deployment.began_at IS 'when';
COMMENT ON COLUMN zdu.deployment.done_at IS 'when every node of the group was at the target; NULL: not yet';

CREATE FUNCTION zdu_set_group(
	cluster text,
	name text,
	nodes text[] DEFAULT NULL
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_set_group';
COMMENT ON FUNCTION zdu_set_group(text,text,text[]) IS 'Make a group or change its members: they leave their old group in one transaction; members not named go back to default; nodes NULL keeps them (N11, N12). Returns created, changed or unchanged. Refused in upgrade mode, and for default.';

CREATE FUNCTION zdu_drop_group(
	cluster text,
	name text
)
RETURNS text
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_group';
COMMENT ON FUNCTION zdu_drop_group(text,text) IS 'Drop a group; its members go back to default (N12). Returns dropped. Refused in upgrade mode, and for default (N11).';

CREATE FUNCTION zdu_group_per_node(
	cluster text
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_group_per_node';
COMMENT ON FUNCTION zdu_group_per_node(text) IS 'Make a group for every node, named by its address: group-192-168-0-10-7860 (N13). Returns the number of nodes moved. Refused in upgrade mode; 22023 if two nodes have one address.';

CREATE FUNCTION zdu_drop_groups(
	cluster text
)
RETURNS integer
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_drop_groups';
COMMENT ON FUNCTION zdu_drop_groups(text) IS 'Drop all groups but default, to which all nodes go back (N13). Returns the number of groups. Refused while a rollout by groups has not been deployed to default, ZD002, and in upgrade mode.';

CREATE FUNCTION zdu_deploy(
	cluster text,
	target text DEFAULT NULL,
	node_group text DEFAULT NULL,
	through text DEFAULT NULL,
	reason text DEFAULT NULL
)
RETURNS bigint
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'zdu_deploy';
COMMENT ON FUNCTION zdu_deploy(text,text,text,text,text) IS 'Deploy a version to one group; node_group NULL: to default (N15). Its nodes leave together and go back into rotation together, when every one of them is verified (M9). The first deployment begins an upgrade, the next ones, each when the one before is done, go on with it. target NULL: that of the upgrade, or the newest known release; through: the node it is sent through, NULL: that of your login. Returns the upgrade''s id. Errors: ZD002 the node is not in the group (N15), another rollout or deployment is running (M8), more nodes than may leave at once (D10), and all that zdu_begin refuses.';
