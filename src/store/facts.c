/*
 * facts.c
 *	  The facts of a cluster.
 */
#include "store/facts.h"

#include "catalog/pg_type.h"
#include "errcodes.h"
#include "store/budget.h"
#include "store/calendar.h"
#include "store/event.h"
#include "store/gate.h"
#include "store/instance.h"
#include "utils/builtins.h"
#include "zdu.h"

#define SETTINGS_COLUMNS \
	"SELECT cluster_id, name, product, owner, policy, runbook, version, state, original, target, schema_version, serial, listened, swept_at, work_waits, " \
	"early_end, second_person, cancel, rollback, repeat_begin, offline_at_end, schema_phase, version_step, min_version, require_latest_patch, max_versions, " \
	"max_unavailable, min_availability, reallocate, " \
	"drain_on_timeout, finalize, on_failure, heartbeat_ttl, start_timeout, stop_timeout, drain_timeout, min_healthy_time, lease, " \
	"max_failures, auto_adopt, max_block, upgrade_id, kind, node_group, together, run, resume_to, failures, held_rule, held_reason, began_by "

#define COUNTED_COLUMNS \
	"schema_watched, own_budgets, copies_every, has_copies, copies_loaded, one_waived, mark, steps_open, watched, unlooked, gated, has_calendar, freezes_nodes, before_open, tasks_open, tasks_failed, undo_open, " \
	"total, online, active, serving, staying, unavailable, present, in_error, unheard, unheard_node, taken, at_target, done, " \
	"upgraded, upgraded_online, versions_online, highest_online, versions_known, lowest_known, leader, leader_fit "

static ZduQuery lock_cluster = {
	.text = "SELECT cluster_id FROM zdu.cluster WHERE name = $1 FOR NO KEY UPDATE",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery facts_by_name = {
	.text = SETTINGS_COLUMNS ", " COUNTED_COLUMNS "FROM zdu.cluster_facts WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery settings_by_name = {
	.text = SETTINGS_COLUMNS "FROM zdu.cluster_settings WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery only_cluster = {
	.text = "SELECT min(name) FROM zdu.cluster HAVING count(*) = 1",
};

static ZduQuery store_state = {
	.text = "UPDATE zdu.cluster SET serial = serial + 1, state = $2, "
	"state_since = CASE WHEN state = $2 THEN state_since ELSE $3 END WHERE cluster_id = $1",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery store_run = {
	.text = "UPDATE zdu.upgrade SET run = $2, resume_to = $3, held_rule = $4, held_reason = $5, run_since = $6, "
	"ended_at = CASE WHEN $2 IN ('completed', 'cancelled', 'rolled_back') THEN $6 END WHERE upgrade_id = $1",
	.nargs = 6, .argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery store_failures = {
	.text = "UPDATE zdu.upgrade SET failures = $2 WHERE upgrade_id = $1",
	.nargs = 2, .argtypes = {INT8OID, INT4OID}
};

static ZduQuery store_listened = {
	.text = "UPDATE zdu.cluster SET listened = listened + least(greatest(extract(epoch FROM $2 - swept_at), 0), $3), swept_at = $2, "
	"beats_sweep_at = $2 + make_interval(secs => $4) WHERE cluster_id = $1 RETURNING listened",
	.nargs = 4, .argtypes = {INT8OID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID}
};

static ZduQuery store_work_waits = {
	.text = "UPDATE zdu.cluster SET work_waits = $2 WHERE cluster_id = $1 AND work_waits <> $2",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

/* Reads a column that is a state's name, or NULL. */
static int
read_state(ZduReader *r, ZduMachine machine)
{
	char	   *name = zdu_read_text(r);

	return name == NULL ? ZDU_STATE_NONE : zdu_state_of(machine, name);
}

static void
read_policy(ZduFacts *f, ZduReader *r)
{
	char	   *level;

	f->early_end = zdu_read_text(r);
	f->second_person = zdu_read_bool(r);
	f->cancel = zdu_read_text(r);
	f->rollback = zdu_read_text(r);
	f->repeat_begin = zdu_read_text(r);
	f->offline_at_end = zdu_read_text(r);
	f->schema_phase = zdu_read_text(r);
	f->version_step = zdu_read_text(r);
	f->min_version = zdu_read_text(r);
	f->require_latest_patch = zdu_read_bool(r);
	f->max_versions = zdu_read_int4(r);
	f->max_unavailable = zdu_read_text(r);
	level = zdu_read_text(r);
	f->min_availability = level != NULL ? zdu_availability_of(level) : AVAILABILITY_NONE;
	f->reallocate = zdu_read_bool(r);
	f->drain_on_timeout = zdu_read_text(r);
	f->finalize = zdu_read_text(r);
	f->on_failure = zdu_read_text(r);
	f->heartbeat_ttl = zdu_read_float8(r, 0);
	f->start_timeout = zdu_read_float8(r, 0);
	f->stop_timeout = zdu_read_float8(r, 0);
	f->drain_timeout = zdu_read_float8(r, 0);
	f->min_healthy_time = zdu_read_float8(r, 0);
	f->lease = zdu_read_float8(r, 0);
	f->max_failures = zdu_read_int4(r);
	f->auto_adopt = zdu_read_bool(r);
	f->max_block = zdu_read_float8(r, 0);
}

static void
read_upgrade(ZduFacts *f, ZduReader *r)
{
	char	   *kind;

	f->upgrade_id = zdu_read_int8(r);
	kind = zdu_read_text(r);
	f->driven = kind != NULL && strcmp(kind, "driven") == 0;
	f->node_group = zdu_read_text(r);
	f->together = zdu_read_bool(r);
	f->run = (ZduRun) read_state(r, ZDU_UPGRADE);
	f->resume_to = (ZduRun) read_state(r, ZDU_UPGRADE);
	f->failures = zdu_read_int4(r);
	f->held_rule = zdu_read_text(r);
	f->held_reason = zdu_read_text(r);
	f->began_by = zdu_read_text(r);
}

/* What was not seen for three looks, nor within a lease, is not known any more. */
static bool
is_stale(const ZduFacts *f, TimestampTz seen, double every)
{
	return seen + (TimestampTz) (Max(every * 3, f->lease) * USECS_PER_SEC) < zdu_now();
}

/* Returns how many budgets it has besides the policy's. */
static int
read_counts(ZduFacts *f, ZduReader *r, bool *gated, bool *has_calendar)
{
	ZduBudget	all = {.everywhere = true, .where = "", .max_unavailable = f->max_unavailable, .max_failures = f->max_failures, .failures = f->failures};
	int			own_budgets;
	double		copies_every;
	TimestampTz copies_loaded;

	f->schema_watched = zdu_read_bool(r);
	own_budgets = zdu_read_int4(r);
	copies_every = zdu_read_float8(r, -1);
	f->has_copies = zdu_read_bool(r);
	copies_loaded = zdu_read_int8(r);
	f->copies_watched = copies_every >= 0;
	f->copies_known = !f->copies_watched || !is_stale(f, copies_loaded, copies_every);
	f->one_waived = zdu_read_bool(r);
	f->adopted = zdu_instance_matches(zdu_read_text(r), f->auto_adopt);
	f->steps_open = zdu_read_bool(r);
	f->watched = zdu_read_bool(r);
	f->unlooked = zdu_read_bool(r);
	*gated = zdu_read_bool(r);
	*has_calendar = zdu_read_bool(r);
	f->signatures = zdu_read_bool(r) || own_budgets > 0;
	f->prepared = zdu_read_int4(r) == 0;
	f->counts.tasks_open = zdu_read_int4(r);
	f->counts.tasks_failed = zdu_read_int4(r);
	f->undo_open = zdu_read_int4(r);
	f->total = zdu_read_int4(r);
	f->counts.online = zdu_read_int4(r);
	f->counts.active = zdu_read_int4(r);
	f->serving = zdu_read_int4(r);
	f->staying = zdu_read_int4(r);
	all.unavailable = zdu_read_int4(r);
	f->present = zdu_read_int4(r);
	f->counts.in_error = zdu_read_int4(r);
	all.unheard = zdu_read_int4(r);
	all.unheard_node = zdu_read_text(r);
	f->taken = zdu_read_int4(r);
	f->at_target = zdu_read_int4(r);
	f->done = zdu_read_int4(r);
	f->counts.upgraded = zdu_read_int4(r);
	f->counts.upgraded_online = zdu_read_int4(r);
	f->counts.versions_online = zdu_read_int4(r);
	f->highest_online = zdu_read_text(r);
	f->versions_known = zdu_read_int4(r);
	f->lowest_known = zdu_read_text(r);
	f->leader = zdu_read_text(r);
	f->leader_fit = zdu_read_bool(r);
	f->counts.upgrade_mode = zdu_upgrade_mode(f);
	all.total = f->total;
	f->budgets = palloc(sizeof(ZduBudget) * (own_budgets + 1));
	f->budgets[f->nbudgets++] = all;
	return own_budgets;
}

/* Without what is counted; NULL: there is no such cluster. */
static ZduFacts *
read_settings(ZduReader *r)
{
	ZduFacts   *f;

	if (!zdu_next_row(r))
		return NULL;
	f = palloc0(sizeof(ZduFacts));
	f->cluster_id = zdu_read_int8(r);
	f->name = zdu_read_text(r);
	f->product = zdu_read_text(r);
	f->owner = zdu_read_text(r);
	f->policy = zdu_read_text(r);
	f->runbook = zdu_read_text(r);
	f->version = zdu_read_text(r);
	f->state = (ZduClusterState) read_state(r, ZDU_CLUSTER);
	f->original = zdu_read_text(r);
	f->target = zdu_read_text(r);
	f->schema_version = zdu_read_text(r);
	f->serial = zdu_read_int8(r);
	f->listened = zdu_read_float8(r, 0);
	f->swept_at = zdu_read_int8(r);
	f->work_waits = zdu_read_bool(r);
	read_policy(f, r);
	read_upgrade(f, r);
	if (f->max_unavailable == NULL)
		elog(ERROR, "cluster \"%s\" has no policy \"%s\"", f->name, f->policy);
	return f;
}

static ZduFacts *
read_facts(void)
{
	ZduReader	r = zdu_reader();
	ZduFacts   *f = read_settings(&r);
	int			own_budgets;
	bool		gated;
	bool		has_calendar;

	if (f == NULL)
		return NULL;
	own_budgets = read_counts(f, &r, &gated, &has_calendar);
	if (own_budgets > 0)
		zdu_budgets_load(f, own_budgets);
	if (gated)
		zdu_gate_first(f);
	if (has_calendar)
		zdu_calendar_load(f);
	return f;
}

ZduFacts *
zdu_facts_load(const char *name)
{
	zdu_run(&facts_by_name, (ZduArg[]) {zdu_text(name)});
	return read_facts();
}

/* Lock in one statement, read in the next: the state may change while we wait. */
static void
lock(const char *name)
{
	if (zdu_run(&lock_cluster, (ZduArg[]) {zdu_text(name)}) == 0)
		zdu_no_such_cluster(name);
}

ZduFacts *
zdu_facts_locked(const char *name)
{
	ZduFacts   *f;

	lock(name);
	f = zdu_facts_load(name);
	/* One of all clusters was set while this one was not to be seen, or became that of another product. */
	if (f->calendar.unsettled)
		zdu_calendar_settle(f);
	return f;
}

ZduFacts *
zdu_settings_locked(const char *name)
{
	ZduReader	r;
	ZduFacts   *f;

	lock(name);
	zdu_run(&settings_by_name, (ZduArg[]) {zdu_text(name)});
	r = zdu_reader();
	f = read_settings(&r);
	f->uncounted = true;
	return f;
}

void
zdu_no_such_cluster(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("cluster \"%s\" does not exist", name),
			 errdetail("N11: nothing is known under this name."),
			 errhint("SELECT cluster FROM zdu.status")));
}

char *
zdu_cluster_only(void)
{
	zdu_run(&only_cluster, NULL);
	return zdu_first_text();
}

ZduFacts *
zdu_facts_settle(ZduFacts *f)
{
	ZduFacts   *now = f->current ? f : zdu_facts_load(f->name);
	ZduClusterState state = zdu_cluster_derive(now->state, &now->counts);

	if (state != now->state)
	{
		const ZduTransition *t = zdu_transition_find(ZDU_CLUSTER, now->state, state);

		zdu_event_note(NULL, "cluster", zdu_state_name(ZDU_CLUSTER, now->state), zdu_state_name(ZDU_CLUSTER, state),
					   t != NULL ? t->rule : NULL, t != NULL ? t->meaning : NULL);
	}
	zdu_run(&store_state, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(zdu_state_name(ZDU_CLUSTER, state)), zdu_time(zdu_now())});
	now->state = state;
	now->current = false;
	return now;
}

bool
zdu_upgrade_mode(const ZduFacts *f)
{
	if (f->upgrade_id == 0 || f->run == RUN_FINALIZING)
		return false;
	return !((f->run == RUN_HELD || f->run == RUN_PAUSED) && f->resume_to == RUN_FINALIZING);
}

void
zdu_upgrade_move(ZduFacts *f, ZduRun run, const char *rule, const char *reason)
{
	bool		interrupted = run == RUN_HELD || run == RUN_PAUSED;

	if (run == f->run)
		return;
	if (zdu_transition_find(ZDU_UPGRADE, f->run, run) == NULL)
		elog(ERROR, "illegal transition of an upgrade from %s to %s",
			 zdu_state_name(ZDU_UPGRADE, f->run), zdu_state_name(ZDU_UPGRADE, run));

	/* What is interrupted is what it was doing, not another interruption. */
	if (interrupted && f->run != RUN_HELD && f->run != RUN_PAUSED)
		f->resume_to = f->run;
	zdu_event_note(NULL, "upgrade", zdu_state_name(ZDU_UPGRADE, f->run), zdu_state_name(ZDU_UPGRADE, run), rule, reason);
	f->run = run;
	f->held_rule = run == RUN_HELD ? rule : NULL;
	f->held_reason = run == RUN_HELD ? reason : NULL;
	if (!interrupted && (run == RUN_RUNNING || run == RUN_CANCELLING || run == RUN_ROLLING_BACK || run == RUN_FINALIZING))
		f->resume_to = run;
	zdu_run(&store_run, (ZduArg[]) {
		zdu_int8(f->upgrade_id), zdu_text(zdu_state_name(ZDU_UPGRADE, run)),
		zdu_text(zdu_state_name(ZDU_UPGRADE, f->resume_to)),
		zdu_text(f->held_rule), zdu_text(f->held_reason), zdu_time(zdu_now())
	});
}

void
zdu_upgrade_hold(ZduFacts *f, const char *rule, const char *reason)
{
	if (f->upgrade_id != 0 && zdu_transition_find(ZDU_UPGRADE, f->run, RUN_HELD) != NULL)
		zdu_upgrade_move(f, RUN_HELD, rule, reason);
}

void
zdu_upgrade_set_failures(ZduFacts *f, int failures)
{
	f->failures = f->budgets[0].failures = Max(failures, 0);
	zdu_run(&store_failures, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_int4(f->failures)});
}

/*
 * While work is in flight somebody asks every second or so; in quiet times a
 * quarter of the shortest time that anything waits for is enough.
 */
double
zdu_sweep_interval(const ZduFacts *f)
{
	double		quiet = Min(f->heartbeat_ttl, f->lease) / 4;

	return f->steps_open || f->watched ? Min(quiet, 1.0) : quiet;
}

bool
zdu_listen(ZduFacts *f)
{
	double		interval = zdu_sweep_interval(f);
	TimestampTz now = zdu_now();
	ZduReader	r;

	/* The facts were read under the lock; a clock that steps back starts anew. */
	if (now >= f->swept_at && now - f->swept_at < (TimestampTz) (interval * USECS_PER_SEC))
		return false;
	zdu_run(&store_listened, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_time(now), zdu_float8(interval * 2), zdu_float8(f->heartbeat_ttl / 4)
	});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return false;
	f->listened = zdu_read_float8(&r, f->listened);
	f->swept_at = now;
	return true;
}

void
zdu_set_work_waits(ZduFacts *f, bool waits)
{
	if (f->work_waits != waits)
		zdu_run(&store_work_waits, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_bool(waits)});
	f->work_waits = waits;
}
