/*
 * leader.c
 *	  The one node that runs what only one may run, in upgrade mode (M7).
 *
 * The leader stays as long as it is fit, so that two never take each other's
 * place while tasks run.
 */
#include "api/leader.h"

#include "api/api.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "fmgr.h"
#include "store/event.h"

PG_FUNCTION_INFO_V1(zdu_may_run);

/*
 * Whoever will be taken latest, or not at all, can stay longest: first those
 * that have no turn, the updated ones among them, then by turn from the end.
 */
static ZduQuery next_leader = {
	.text =
	"SELECT name FROM zdu.node WHERE cluster_id = $1 AND state = 'ACTIVE' AND attached AND NOT taken AND NOT fenced AND name IS DISTINCT FROM $2 "
	"ORDER BY turn IS NOT NULL, version IS NOT DISTINCT FROM $3::zdu_version, turn DESC, name LIMIT 1",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery store_leader = {
	.text = "UPDATE zdu.cluster SET leader = $2 WHERE cluster_id = $1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery may_run = {
	.text =
	"SELECT n.name IS NOT NULL, NOT n.fenced AND (c.original IS NULL OR c.leader = n.name) FROM zdu.cluster c "
	"LEFT JOIN zdu.node n ON n.cluster_id = c.cluster_id AND n.name = $2 WHERE c.name = $1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

static void
change(ZduFacts *f, const char *leader, const char *reason)
{
	if (leader == NULL && f->leader == NULL)
		return;
	zdu_event_note(NULL, "leader", f->leader, leader, "M7", reason);
	zdu_run(&store_leader, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(leader)});
	f->leader = leader;
	f->leader_fit = leader != NULL;
}

/* Makes another one than `leaving` the leader; none if nobody is fit. */
static void
elect(ZduFacts *f, const char *leaving, const char *reason)
{
	zdu_run(&next_leader, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(leaving), zdu_text(f->original)});
	change(f, zdu_first_text(), reason);
}

void
zdu_leader_leave(ZduFacts *f, const char *node)
{
	if (f->leader != NULL && strcmp(f->leader, node) == 0)
		elect(f, node, psprintf("%s is about to be taken", node));
}

void
zdu_leader_settle(ZduFacts *f)
{
	if (!zdu_upgrade_mode(f))
		change(f, NULL, "the upgrade is over: every node may");
	else if (!f->leader_fit)
		elect(f, NULL, f->leader == NULL ? "only one may while the upgrade lasts" : psprintf("%s is no longer ACTIVE", f->leader));
}

Datum
zdu_may_run(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *node = zdu_arg_required(fcinfo, 1, "node");
	ZduCall		call;
	ZduReader	r;
	bool		known;
	bool		may;

	(void) zdu_arg_required(fcinfo, 2, "task");
	zdu_call_look(&call, "zdu_may_run", NULL);
	zdu_run(&may_run, (ZduArg[]) {zdu_text(cluster), zdu_text(node)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		zdu_no_such_cluster(cluster);
	known = zdu_read_bool(&r);
	may = zdu_read_bool(&r);
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" of cluster \"%s\" does not exist", node, cluster),
				 errdetail("M7: a node is registered by zdu_set_node or zdu_join."),
				 errhint("SELECT verdict FROM zdu_join('%s', '%s', '...')", cluster, node)));
	zdu_leave(&call.session);
	PG_RETURN_BOOL(may);
}
