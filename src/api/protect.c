/*
 * protect.c
 *	  Tables of applications that are protected in upgrade mode (M1, M3, M5).
 *
 * A table is protected by its triggers, and they are all there is to know of
 * it: they go with the table, into a dump too.  A row trigger on a partitioned
 * table is on all of its partitions, also on those to come; TRUNCATE needs one
 * on each.
 */
#include "api/protect.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "store/event.h"
#include "store/row.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(zdu_protect);
PG_FUNCTION_INFO_V1(zdu_unprotect);

/* In the order of their oids, so that two that lock them never wait for each other. */
static ZduQuery tables_to_lock = {
	.text =
	"SELECT t.relation::oid::bigint, coalesce(t.how, '') FROM zdu.protected_table t JOIN zdu.cluster c ON c.name = t.cluster "
	"LEFT JOIN zdu.current_policy p ON p.name = c.policy "
	"WHERE c.name = $1 AND t.in_force AND coalesce(t.how, p.config_lock) IN ('refuse', 'delta') ORDER BY 1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery policy_says = {
	.text = "SELECT p.config_lock, extract(epoch FROM p.max_block)::double precision FROM zdu.cluster c JOIN zdu.current_policy p ON p.name = c.policy WHERE c.name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

/* Who writes, or with $2 whoever uses it.  A prepared transaction has no process. */
static ZduQuery who_is_there = {
	.text =
	"SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction' "
	"  ELSE format('%s (pid %s%s, in a transaction since %s)', coalesce('role ' || a.usename, a.backend_type), l.pid, "
	"    CASE WHEN a.application_name <> '' THEN ', ' || a.application_name ELSE '' END, date_trunc('second', a.xact_start)) END, l.pid "
	"FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
	"WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = $1 AND l.granted "
	"AND ($2 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AND l.pid IS DISTINCT FROM pg_backend_pid() ORDER BY a.xact_start LIMIT 1",
	.nargs = 2, .argtypes = {OIDOID, BOOLOID}
};

static ZduQuery protection = {
	.text = "SELECT cluster, how FROM zdu.protected_table WHERE relation = $1::regclass",
	.nargs = 1, .argtypes = {OIDOID}
};

/* Part of a table is protected, or a table of which it is part. */
static ZduQuery kin_protected = {
	.text =
	"SELECT t.relation FROM zdu.protected_table t WHERE t.relation <> $1::regclass AND (t.relation IN (SELECT relid FROM pg_partition_ancestors($1)) "
	"OR t.relation IN (SELECT relid FROM pg_partition_tree($1))) LIMIT 1",
	.nargs = 1, .argtypes = {REGCLASSOID}
};

/* Does the policy say something else from now on? */
static ZduQuery policy_differs = {
	.text = "SELECT 1 FROM zdu.policy WHERE name = $1 AND NOT shipped AND config_lock <> $2->>'config_lock'",
	.nargs = 2, .argtypes = {TEXTOID, JSONBOID}
};

static ZduQuery policies_differ = {
	.text = "SELECT 1 FROM zdu.current_policy a, zdu.current_policy b WHERE a.name = $1 AND b.name = $2 AND a.config_lock <> b.config_lock",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

static ZduQuery lock_clusters = {
	.text = "SELECT 1 FROM zdu.cluster WHERE policy = $1 ORDER BY cluster_id FOR NO KEY UPDATE",
	.nargs = 1, .argtypes = {TEXTOID}
};

/* Tables that an upgrade protects as the policy says. */
static ZduQuery protected_by_policy = {
	.text =
	"SELECT c.name, t.relation::text FROM zdu.cluster c JOIN zdu.protected_table t ON t.cluster = c.name AND t.how IS NULL "
	"WHERE c.original IS NOT NULL AND c.policy = $1 AND ($2::text IS NULL OR c.name = $2) ORDER BY 1, 2 LIMIT 1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

/*
 * What a spooled row's writer had fired before would have been done, and is done
 * again when the row is replayed.  Triggers fire in the order of their names.
 */
static ZduQuery fired_before = {
	.text =
	"SELECT tgname::text FROM pg_trigger WHERE tgrelid = ANY ($1) AND NOT tgisinternal AND tgtype & 7 = 7 AND tgenabled <> 'D' "
	"AND tgname < '_zdu_protect' ORDER BY tgname LIMIT 1",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

static const char *const ways[] = {"refuse", "delta", "spool"};

/* The triggers of a protected table, and what each is for; "" is the policy's way. */
typedef struct TriggerRow
{
	const char *name;
	const char *when;
	const char *how;			/* of which ways */
	bool		cloned;			/* partitions have it by their parent */
} TriggerRow;

/* An underscore sorts before small letters: it is fired before the usual names, and sees what the writer wrote. */
static const TriggerRow triggers[] = {
	{"_zdu_protect", "BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW", " refuse", true},
	{"_zdu_protect", "BEFORE INSERT ON %s FOR EACH ROW", "spool", true},
	{"_zdu_protect_delta", "AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW", " delta", true},
	{"_zdu_protect_truncate", "BEFORE TRUNCATE ON %s FOR EACH STATEMENT", " refuse delta", false}
};

static bool
trigger_is_for(const TriggerRow *t, const char *how)
{
	return how[0] == '\0' ? t->how[0] == ' ' : strstr(t->how, how) != NULL;
}

/* Returns the table with everything that inherits from it, in the order of oids. */
static List *
whole_table(Oid relid)
{
	List	   *relations = find_all_inheritors(relid, NoLock, NULL);

	list_sort(relations, list_oid_cmp);
	return relations;
}

/* Returns the policy's config_lock, and its max_block in seconds. */
static const char *
read_policy(const char *cluster, double *seconds)
{
	ZduReader	r;
	char	   *config_lock;

	zdu_look(&policy_says, (ZduArg[]) {zdu_text(cluster)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		elog(ERROR, "cluster \"%s\" has no policy", cluster);
	config_lock = zdu_read_text(&r);
	*seconds = zdu_read_float8(&r, 0);
	return config_lock;
}

typedef struct LockAttempt
{
	List	   *relations;		/* in the order of oids */
	LOCKMODE	mode;
	double		seconds;
	Oid			waits_for;		/* the one that is being locked */
} LockAttempt;

/* All of them within that time; whoever comes later waits behind us. */
static void
lock_relations(void *arg)
{
	LockAttempt *a = arg;
	TimestampTz until = GetCurrentTimestamp() + (TimestampTz) (a->seconds * USECS_PER_SEC);
	int			guc_level = NewGUCNestLevel();
	ListCell   *cell;

	foreach(cell, a->relations)
	{
		char		left[32];

		a->waits_for = lfirst_oid(cell);
		snprintf(left, sizeof(left), INT64_FORMAT, Max((until - GetCurrentTimestamp()) / 1000, 1));
		(void) set_config_option("lock_timeout", left, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		LockRelationOid(a->waits_for, a->mode);
	}
	AtEOXact_GUC(false, guc_level);
}

/* A lock request keeps others from writing while it waits: no longer than the policy lets anything block. */
static void
lock_or_refuse(const char *cluster, List *relations, LOCKMODE mode, const char *primary)
{
	LockAttempt a = {.relations = relations, .mode = mode, .seconds = LockTimeout / 1000.0};
	ZduReader	r;
	ErrorData  *error;
	char	   *who = NULL;
	char	   *pid = NULL;
	char	   *name;

	if (relations == NIL)
		return;
	if (LockTimeout == 0)
		(void) read_policy(cluster, &a.seconds);
	error = zdu_attempt(lock_relations, &a);
	if (error == NULL)
		return;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		ReThrowError(error);
	zdu_look(&who_is_there, (ZduArg[]) {zdu_datum(ObjectIdGetDatum(a.waits_for), false), zdu_bool(mode == AccessExclusiveLock)});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		who = zdu_read_text(&r);
		pid = zdu_read_text(&r);
	}
	name = get_rel_name(a.waits_for);
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_REFUSED),
			 errmsg("%s", primary),
			 errdetail("M1: protected table \"%s\" was being %s by %s; waited %g s.", name != NULL ? name : "",
					   mode == AccessExclusiveLock ? "used" : "written to", who != NULL ? who : "somebody who has left since", a.seconds),
			 pid != NULL ? errhint("SELECT * FROM pg_stat_activity WHERE pid = %s", pid) :
			 who != NULL ? errhint("SELECT * FROM pg_prepared_xacts") : errhint("Try it again.")));
}

static bool
is_wanted(const TriggerRow *t, const char *how, bool partition)
{
	return trigger_is_for(t, how) && !(t->cloned && partition);
}

static void
make_trigger(const TriggerRow *row, const char *table, const char *cluster, const char *how)
{
	zdu_utility(psprintf("CREATE TRIGGER %s %s EXECUTE FUNCTION pg_catalog.zdu_protect_write('%s', '%s')",
						 row->name, psprintf(row->when, table), cluster, how));
}

/* Makes the triggers that a table or a partition lacks. */
static void
cover(Oid relid, bool partition, const char *cluster, const char *how)
{
	ZduTable   *t = zdu_table_load(relid);

	for (int i = 0; t != NULL && i < lengthof(triggers); i++)
		if (is_wanted(&triggers[i], how, partition) && !OidIsValid(get_trigger_oid(relid, triggers[i].name, true)))
			make_trigger(&triggers[i], t->name, cluster, how);
}

/* The same for a table with all of its partitions. */
static void
cover_all(Oid relid, const char *cluster, const char *how)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		cover(lfirst_oid(cell), lfirst_oid(cell) != relid, cluster, how);
}

static void
uncover_all(Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		ZduTable   *t = zdu_table_load(lfirst_oid(cell));

		for (int i = 0; t != NULL && i < lengthof(triggers); i++)
			if (!(triggers[i].cloned && t->relid != relid) && OidIsValid(get_trigger_oid(t->relid, triggers[i].name, true)))
				zdu_utility(psprintf("DROP TRIGGER %s ON %s", triggers[i].name, t->name));
	}
}

/* Reads which tables an upgrade of the cluster would protect, and how each of them is. */
static List *
read_tables(const char *cluster, List **hows)
{
	List	   *tables = NIL;
	ZduReader	r;

	*hows = NIL;
	zdu_look_latest(&tables_to_lock, (ZduArg[]) {zdu_text(cluster)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		tables = lappend_oid(tables, (Oid) zdu_read_int8(&r));
		*hows = lappend(*hows, zdu_read_text(&r));
	}
	return tables;
}

/* An upgrade that cannot begin now keeps nobody from writing. */
static bool
may_begin(const ZduFacts *f)
{
	return f->upgrade_id == 0 && f->state == CLUSTER_STABLE;
}

static List *
lock_tables(const char *cluster)
{
	List	   *hows;
	List	   *tables = read_tables(cluster, &hows);
	List	   *relations = NIL;
	ListCell   *cell;
	ListCell   *how;

	foreach(cell, tables)
		relations = list_concat_unique_oid(relations, whole_table(lfirst_oid(cell)));
	list_sort(relations, list_oid_cmp);
	lock_or_refuse(cluster, relations, ShareRowExclusiveLock, psprintf("cannot begin the upgrade of cluster \"%s\"", cluster));
	/* Partitions that came since zdu_protect are not yet guarded against TRUNCATE. */
	forboth(cell, tables, how, hows)
		cover_all(lfirst_oid(cell), cluster, lfirst(how));
	return tables;
}

void
zdu_protect_lock(ZduCall *call, const char *cluster)
{
	ZduFacts   *f = zdu_facts_load(cluster);
	List	   *locked = NIL;
	List	   *missed = NIL;
	List	   *hows;

	if (f == NULL)
		zdu_no_such_cluster(cluster);
	zdu_require_owner(call->session.caller, call->function, f);
	if (may_begin(f))
		locked = lock_tables(cluster);
	call->f = zdu_facts_locked(cluster);
	call->cluster = cluster;
	/* While we waited an upgrade may have ended, or another table been protected: its writers were not waited for. */
	if (may_begin(call->f))
		missed = list_difference_oid(read_tables(cluster, &hows), locked);
	if (missed != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("cannot begin the upgrade of cluster \"%s\"", cluster),
				 errdetail("M1: at the same time an upgrade ended, or table \"%s\" was protected.", get_rel_name(linitial_oid(missed))),
				 errhint("Try it again.")));
}

/* M1: who writes now was not waited for, so that another way than the upgrade began with would miss him. */
static void
refuse_other_way(const char *policy, const char *cluster)
{
	ZduReader	r;
	char	   *of;
	char	   *table;

	zdu_look_latest(&protected_by_policy, (ZduArg[]) {zdu_text(policy), zdu_text(cluster)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return;
	of = zdu_read_text(&r);
	table = zdu_read_text(&r);
	ereport(ERROR,
			(errcode(ERRCODE_ZDU_WRONG_STATE),
			 errmsg("cannot change config_lock during the upgrade of cluster \"%s\"", of),
			 errdetail("M1: table %s is protected as policy \"%s\" says, and whoever writes to it now was not waited for.", table, policy),
			 errhint("SELECT zdu_protect('%s', %s, 'refuse')", of, quote_literal_cstr(table))));
}

void
zdu_protect_keep_policy(const char *policy, Jsonb *wanted)
{
	if (zdu_run(&policy_differs, (ZduArg[]) {zdu_text(policy), zdu_jsonb(wanted)}) == 0)
		return;
	/* An upgrade that is just beginning has locked what the policy says now. */
	zdu_run(&lock_clusters, (ZduArg[]) {zdu_text(policy)});
	refuse_other_way(policy, NULL);
}

void
zdu_protect_keep_cluster(const ZduFacts *f, const char *policy)
{
	if (zdu_run(&policies_differ, (ZduArg[]) {zdu_text(f->policy), zdu_text(policy)}) > 0)
		refuse_other_way(f->policy, f->name);
}

static void
refuse_table(const ZduTable *t, int code, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("cannot protect table %s", t->name),
			 errdetail("%s.", detail),
			 errhint("%s", hint)));
}

static void
check_triggers(const ZduTable *t)
{
	List	   *relations = whole_table(t->relid);
	int64	   *oids = palloc(sizeof(int64) * list_length(relations));
	ListCell   *cell;
	char	   *first;

	foreach(cell, relations)
		oids[foreach_current_index(cell)] = lfirst_oid(cell);
	zdu_run(&fired_before, (ZduArg[]) {zdu_int8_array(oids, list_length(relations))});
	first = zdu_first_text();
	if (first != NULL)
		refuse_table(t, ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("M3: its trigger %s would be fired before a row is spooled, and once more when it is replayed", quote_identifier(first)),
					 psprintf("ALTER TRIGGER %s ON %s RENAME TO %s", quote_identifier(first), t->name, quote_identifier(psprintf("b_%s", first))));
}

/* What a table must be like. */
static void
check_table(const ZduTable *t, const char *how, Oid caller)
{
	if (t->foreign || (t->kind != RELKIND_RELATION && t->kind != RELKIND_PARTITIONED_TABLE))
		refuse_table(t, ERRCODE_WRONG_OBJECT_TYPE, "M1: it is no table of an application", "SELECT relation FROM zdu.protected_table");
	if (!has_privs_of_role(caller, t->owner))
		refuse_table(t, ERRCODE_INSUFFICIENT_PRIVILEGE, psprintf("L22: role \"%s\" does not own it", GetUserNameFromId(caller, true)),
					 psprintf("SET ROLE %s", quote_identifier(GetUserNameFromId(t->owner, true))));
	if (t->kind == RELKIND_RELATION && has_subclass(t->relid))
		refuse_table(t, ERRCODE_FEATURE_NOT_SUPPORTED, "M1: others inherit from it, and are not partitions of it", "SELECT usage FROM zdu.help WHERE name = 'zdu_protect'");
	if (strcmp(how, "spool") == 0)
		check_triggers(t);
	if (strcmp(how, "delta") == 0 && t->key_match == NULL)
		refuse_table(t, ERRCODE_INVALID_PARAMETER_VALUE, "M5: it has no primary key, so that a change could not be taken back",
					 psprintf("ALTER TABLE %s ADD PRIMARY KEY (...)", t->name));
}

/*
 * Begins a call about a table.  The lock on the table comes before that on a
 * cluster, so the cluster is only looked at.
 */
static ZduTable *
begin_call(ZduCall *call, const char *function, const char *cluster, FunctionCallInfo fcinfo)
{
	Oid			relid = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);
	ZduFacts   *f;
	ZduTable   *t;

	if (PG_ARGISNULL(1))
		(void) zdu_arg_required(fcinfo, 1, "relation");
	zdu_call_begin(call, function, NULL);
	call->cluster = cluster;
	f = zdu_facts_load(cluster);
	if (f == NULL)
		zdu_no_such_cluster(cluster);
	zdu_require_owner(call->session.caller, function, f);
	t = zdu_table_load(relid);
	if (t == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errdetail("M1: nothing was changed."),
				 errhint("SELECT relation FROM zdu.protected_table")));
	return t;
}

/* Returns how a table is protected ("" by the policy's way), or NULL; ERROR if it is for another cluster. */
static const char *
protected_how(const ZduTable *t, const char *cluster)
{
	ZduReader	r;
	char	   *of;
	char	   *how;

	zdu_look_latest(&protection, (ZduArg[]) {zdu_datum(ObjectIdGetDatum(t->relid), false)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return NULL;
	of = zdu_read_text(&r);
	how = zdu_read_text(&r);
	if (strcmp(of, cluster) != 0)
		refuse_table(t, ERRCODE_DUPLICATE_OBJECT, psprintf("M1: it is protected for cluster \"%s\"", of),
					 psprintf("SELECT zdu_unprotect('%s', %s)", of, quote_literal_cstr(t->name)));
	return how != NULL ? how : "";
}

static void
check_kin(const ZduTable *t, const char *cluster)
{
	ZduReader	r;

	zdu_look_latest(&kin_protected, (ZduArg[]) {zdu_datum(ObjectIdGetDatum(t->relid), false)});
	r = zdu_reader();
	if (zdu_next_row(&r))
	{
		char	   *kin = zdu_read_text(&r);

		refuse_table(t, ERRCODE_DUPLICATE_OBJECT, psprintf("M1: it is part of a partitioned table with %s, which is protected", kin),
					 psprintf("SELECT zdu_unprotect('%s', %s)", cluster, quote_literal_cstr(kin)));
	}
}

/* Refuses a way that there is not. */
static void
check_way(const char *how)
{
	for (int i = 0; i < lengthof(ways); i++)
		if (strcmp(how, ways[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no way to protect a table", how),
			 errdetail("M1: refuse, delta, spool and NULL (as the policy says) are."),
			 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_protect'")));
}

Datum
zdu_protect(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	const char *how = zdu_arg_text(fcinfo, 2);
	const char *result = "protected";
	const char *was;
	double		seconds;
	ZduCall		call;
	ZduTable   *t;

	if (how != NULL)
		check_way(how);
	t = begin_call(&call, "zdu_protect", cluster, fcinfo);
	check_table(t, how != NULL ? how : read_policy(cluster, &seconds), call.session.caller);
	check_kin(t, cluster);
	how = how != NULL ? how : "";
	was = protected_how(t, cluster);
	if (was != NULL)
		result = strcmp(was, how) == 0 ? "unchanged" : "changed";
	/* A trigger is made beside readers, but not dropped. */
	lock_or_refuse(cluster, whole_table(t->relid), strcmp(result, "changed") == 0 ? AccessExclusiveLock : ShareRowExclusiveLock,
				   psprintf("cannot protect table %s", t->name));
	/* One that begins has not seen this table: nobody is to write to it before that is decided. */
	(void) zdu_facts_locked(cluster);
	if (strcmp(result, "changed") == 0)
		uncover_all(t->relid);
	cover_all(t->relid, cluster, how);
	if (strcmp(result, "unchanged") != 0)
		zdu_event_note(NULL, "protect", was, how[0] != '\0' ? how : "as the policy says", strcmp(how, "spool") == 0 ? "M3" : "M1", t->name);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_unprotect(PG_FUNCTION_ARGS)
{
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *reason = zdu_arg_text(fcinfo, 2);
	const char *was;
	ZduCall		call;
	ZduTable   *t;

	t = begin_call(&call, "zdu_unprotect", cluster, fcinfo);
	check_table(t, "", call.session.caller);
	was = protected_how(t, cluster);
	if (was == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s is not protected", t->name),
				 errdetail("M1: nothing was changed."),
				 errhint("SELECT relation FROM zdu.protected_table WHERE cluster = '%s'", cluster)));
	lock_or_refuse(cluster, whole_table(t->relid), AccessExclusiveLock, psprintf("cannot take the protection of table %s away", t->name));
	uncover_all(t->relid);
	zdu_event_note(NULL, "protect", was[0] != '\0' ? was : "as the policy says", NULL, "M1", reason != NULL ? psprintf("%s: %s", t->name, reason) : t->name);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("unprotected"));
}
