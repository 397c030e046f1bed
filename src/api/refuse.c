/*
 * refuse.c
 *	  May an upgrade begin?
 */
#include "api/refuse.h"

#include "api/approve.h"
#include "api/fact.h"
#include "api/operation.h"
#include "api/version.h"
#include "catalog/pg_type.h"
#include "core/version.h"
#include "errcodes.h"
#include "store/basis.h"
#include "store/catalogue.h"
#include "store/deployment.h"
#include "utils/builtins.h"

static ZduQuery outdated_node = {
	.text = "SELECT name || ' is ' || state || coalesce(' at ' || version::text, '') FROM zdu.node "
	"WHERE cluster_id = $1 AND version IS DISTINCT FROM $2::zdu_version ORDER BY name LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery node_in_error = {
	.text = "SELECT name FROM zdu.node WHERE cluster_id = $1 AND state = 'ERROR' ORDER BY name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery most_copies = {
	.text = "SELECT name, highest FROM zdu.resource WHERE cluster_id = $1 ORDER BY highest DESC, name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* A copy without which its resource would lose the write quorum that it has, though all others are there. */
static ZduQuery must_move = {
	.text =
	"SELECT p.resource, n.name FROM zdu.placement p JOIN zdu.resource_facts f ON f.cluster_id = p.cluster_id AND f.name = p.resource "
	"JOIN zdu.node n ON n.node_id = p.node_id "
	"WHERE p.cluster_id = $1 AND ($2 OR (p.state IN ('active', 'moving') AND f.active = f.quorum)) ORDER BY n.name, p.resource LIMIT 1",
	.nargs = 2, .argtypes = {INT8OID, BOOLOID}
};

static ZduQuery busy_dependent = {
	.text =
	"SELECT c.name FROM zdu.upgrade_gate g JOIN zdu.upgrade u ON u.upgrade_id = g.upgrade_id JOIN zdu.cluster c ON c.cluster_id = u.cluster_id "
	"WHERE g.needs = $1 AND g.opened_at IS NOT NULL AND u.ended_at IS NULL "
	"  AND NOT EXISTS (SELECT FROM zdu.waiver w WHERE w.cluster_id = u.cluster_id AND w.rule = 'gate:' || g.name) ORDER BY c.name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

/* Whether a variable has a value, and not which one, is asked: so of nodes with the same of their own one is enough. */
static ZduQuery all_vars = {
	.text =
	"SELECT v.name, v.vars FROM (SELECT min(node_id) AS node_id FROM zdu.node WHERE cluster_id = $1 "
	"  GROUP BY vars, address IS NULL, zone IS NULL, role IS NULL) k JOIN zdu.node_vars v ON v.node_id = k.node_id ORDER BY v.name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery known_group = {
	.text = "SELECT 1 FROM zdu.node_group WHERE cluster_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery active_target = {
	.text = "SELECT upgrade_id FROM zdu.upgrade WHERE upgrade_id = $1 AND (target = $2::zdu_version OR $2 IS NULL)",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

/* One check; fills the refusal if it says no. */
typedef void (*BeginCheck) (ZduCall *call, ZduBegin *b);

static void
no(ZduBegin *b, int code, const char *rule, const char *observed, const char *hint)
{
	b->refusal.code = code;
	b->refusal.rule = rule;
	b->refusal.observed = observed;
	b->refusal.hint = hint;
}

static void
check_adopted(ZduCall *call, ZduBegin *b)
{
	if (!call->f->adopted)
		no(b, ERRCODE_ZDU_NOT_ADOPTED, "N4", "this database was restored, cloned or promoted; nothing is granted",
		   "SELECT zdu_adopt('the other one is gone')");
}

static void
check_stable(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;

	if (f->state == CLUSTER_STABLE && f->upgrade_id == 0)
		return;
	if (f->upgrade_id != 0 && zdu_upgrade_mode(f) && strcmp(f->repeat_begin, "noop") == 0 &&
		zdu_run(&active_target, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(b->target)}) > 0)
	{
		b->same_upgrade = f->upgrade_id;
		return;
	}
	no(b, ERRCODE_ZDU_WRONG_STATE, "L3",
	   psprintf("it is %s, an upgrade from %s to %s is %s", zdu_state_name(ZDU_CLUSTER, f->state),
				f->original != NULL ? f->original : f->version, f->target != NULL ? f->target : "a new version",
				zdu_state_name(ZDU_UPGRADE, f->run)),
	   psprintf("SELECT * FROM zdu_why('%s')", f->name));
}

static void
check_nodes(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;

	if (f->total == 0)
		no(b, ERRCODE_ZDU_REFUSED, "D14", "it has no nodes", psprintf("SELECT zdu_set_node('%s', 'app1', '10.0.0.11')", f->name));
	else if (f->total == 1 && !f->one_waived)
	{
		no(b, ERRCODE_ZDU_REFUSED, "D10", "it has one node: while that is upgraded nobody serves",
		   psprintf("SELECT zdu_waive('%s', 'D10', 'an outage is agreed')", f->name));
		b->refusal.allowed = "at least 1 must stay";
	}
	else if (f->counts.in_error > 0)
	{
		char	   *name;

		zdu_run(&node_in_error, (ZduArg[]) {zdu_int8(f->cluster_id)});
		name = zdu_first_text();
		no(b, ERRCODE_ZDU_WRONG_STATE, "L2", psprintf("%s is in ERROR", name),
		   psprintf("SELECT zdu_remove_node('%s', '%s')", f->name, name));
	}
	else if (f->serving == 0)
		no(b, ERRCODE_ZDU_REFUSED, "D14", psprintf("none of %d nodes serves", f->total),
		   psprintf("SELECT * FROM zdu.node_status WHERE cluster = '%s'", f->name));
}

static void
check_original(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;

	/* Nothing recorded yet: what every node runs is the cluster's version. */
	if (f->version == NULL && f->versions_known == 1)
		f->version = f->lowest_known;
	if (f->version == NULL)
		no(b, ERRCODE_ZDU_REFUSED, "L17", f->versions_known == 0 ? "its version is not known: no node was seen yet" :
		   psprintf("its version is not known: the nodes run %d different versions", f->versions_known),
		   psprintf("SELECT node, state, version FROM zdu.node_status WHERE cluster = '%s'", f->name));
}

static void
check_target(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;

	if (b->target == NULL)
		b->target = zdu_catalogue_newest(f->product, f->version);
	if (b->target == NULL && b->runbook != NULL)
	{
		no(b, ERRCODE_ZDU_REFUSED, "V2", psprintf("no target is given, and no release of %s above %s is known", f->product, f->version),
		   psprintf("SELECT zdu_set_release('%s', '...')", f->product));
		return;
	}
	if (b->target == NULL)
		return;
	if (zdu_version_compare(f->version, b->target) == 0)
	{
		char	   *node;

		zdu_run(&outdated_node, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(b->target)});
		node = zdu_first_text();
		if (node != NULL)
			no(b, ERRCODE_ZDU_REFUSED, "L19", psprintf("the cluster is at %s; only %s: it is upgraded and joins without upgrade mode", f->version, node),
			   psprintf("SELECT * FROM zdu.node_status WHERE cluster = '%s'", f->name));
		else
			no(b, ERRCODE_ZDU_REFUSED, "L19", psprintf("every node is at %s already", f->version),
			   psprintf("SELECT version FROM zdu.release WHERE product = '%s'", f->product));
		return;
	}
}

static void
check_step(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;
	ZduVerdict *v = palloc(sizeof(ZduVerdict));
	ZduCatalogue *c;
	const char *latest;
	const char *behind = NULL;

	if (b->target == NULL)
		return;
	c = zdu_catalogue_load(f->product);
	zdu_path_judge(f, c, f->version, b->target, v);
	if (v->answer != ANSWER_YES)
	{
		no(b, ERRCODE_ZDU_REFUSED, v->rule, v->observed, v->hint);
		b->refusal.allowed = v->allowed[0] != '\0' ? v->allowed : NULL;
		return;
	}
	/* V3: the cluster's version says nothing of a node that was left behind. */
	latest = f->require_latest_patch && zdu_version_step(f->version, b->target) > ZDU_STEP_PATCH ? zdu_path_latest_patch(c, f->lowest_known) : NULL;
	if (latest != NULL && zdu_version_compare(f->lowest_known, f->version) < 0)
		behind = f->lowest_known;
	if (behind != NULL)
		no(b, ERRCODE_ZDU_REFUSED, "V3", psprintf("a node is at %s, the latest patch of its minor is %s", behind, latest),
		   psprintf("SELECT node, version FROM zdu.node_status WHERE cluster = '%s'", f->name));
	else if (f->require_latest_patch && f->schema_version != NULL && zdu_version_step(f->schema_version, f->version) == ZDU_STEP_PATCH &&
			 zdu_version_step(f->version, b->target) > ZDU_STEP_PATCH)
		no(b, ERRCODE_ZDU_REFUSED, "V3", psprintf("the schema is at %s, the nodes are at %s", f->schema_version, f->version),
		   psprintf("SELECT schema_version FROM zdu.cluster WHERE name = '%s'", f->name));
}

/* M9: nodes that leave together must all fit the budgets, or none would ever come back. */
static void
check_together(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;
	char	   *overdrawn = b->wish->together && b->target != NULL ? zdu_deployment_overdraws(f, b->wish->node_group, b->target) : NULL;

	if (overdrawn != NULL)
		no(b, ERRCODE_ZDU_REFUSED, "D10", overdrawn, zdu_hint_more_unavailable(f));
}

/* V9: what the release needs of other products. */
static void
check_requires(ZduCall *call, ZduBegin *b)
{
	char	   *unmet = b->target != NULL ? zdu_catalogue_unmet(call->f, b->target) : NULL;

	if (unmet != NULL)
		no(b, ERRCODE_ZDU_REFUSED, "V9", unmet,
		   psprintf("SELECT version, requires FROM zdu.release WHERE product = '%s'", call->f->product));
}

static void
check_force(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;

	if (strcmp(f->drain_on_timeout, "force") == 0 && !zdu_has_grant(call->session.caller, "force"))
		no(b, ERRCODE_INSUFFICIENT_PRIVILEGE, "D2", "drain_on_timeout = force may lose data or requests, and takes the grant force",
		   psprintf("SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"drain_on_timeout\": \"abort\"}')", f->policy, f->policy));
}

/* S5: what has to be recorded before. */
static void
check_facts(ZduCall *call, ZduBegin *b)
{
	char	   *name;
	char	   *missing = b->runbook != NULL ? zdu_fact_missing(call->f, b->runbook, b->target, &name) : NULL;

	if (missing == NULL)
		return;
	no(b, ERRCODE_ZDU_REFUSED, "S5", missing,
	   zdu_may(call->session.caller, "zdu_record", call->f) ?
	   psprintf("SELECT zdu_record('%s', '%s', '{\"where\": \"...\"}')", call->f->name, name) :
	   psprintf("SELECT zdu_waive('%s', 'fact:%s', 'reason')", call->f->name, name));
}

/* M8: a cluster on which one that is being upgraded has relied. */
static void
check_dependents(ZduCall *call, ZduBegin *b)
{
	char	   *dependent;

	zdu_run(&busy_dependent, (ZduArg[]) {zdu_int8(call->f->cluster_id)});
	dependent = zdu_first_text();
	if (dependent != NULL)
		no(b, ERRCODE_ZDU_WRONG_STATE, "M8", psprintf("cluster \"%s\", which comes after it, is being upgraded", dependent),
		   psprintf("SELECT * FROM zdu_why('%s')", dependent));
}

/* Who began through a pooled login could be anybody: nobody could be the second person. */
static void
check_person(ZduCall *call, ZduBegin *b)
{
	if (call->f->second_person && zdu_login_is_pooled(call->session.caller))
		no(b, ERRCODE_ZDU_REFUSED, "L22", psprintf("policy \"%s\" wants a second person, and through a pooled login nobody knows who the first one is", call->f->policy),
		   "Log in as yourself, without SET ROLE.");
}

/* Everything that the runbook will ask for must be there before the first node is touched. */
static void
check_variables(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;
	ZduReader	r;
	char	   *error = NULL;

	if (b->runbook == NULL)
		return;
	zdu_run(&all_vars, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *node = zdu_read_text(&r);
		const char *missing = zdu_runbook_missing(b->runbook, zdu_read_jsonb(&r));

		if (missing == NULL)
			continue;
		no(b, ERRCODE_ZDU_REFUSED, "W1", psprintf("node %s has no value for the variable \"%s\" of runbook \"%s\"", node, missing, b->runbook->name),
		   psprintf("SELECT zdu_set_node('%s', '%s', vars => '{\"%s\": \"...\"}')", f->name, node, missing));
		return;
	}
	(void) zdu_runbook_cluster_steps(b->runbook, f, PHASE_BEFORE, &error);
	if (error != NULL)
		no(b, ERRCODE_ZDU_REFUSED, "W1", psprintf("the preparation: %s", error),
		   psprintf("SELECT zdu_set_cluster('%s', vars => '{...}')", f->name));
}

/* D3: what `full` needs, and D5: what could never leave, before the first node is touched. */
static void
check_copies(ZduCall *call, ZduBegin *b)
{
	ZduFacts   *f = call->f;
	int			k = zdu_budget_limit(&f->budgets[0]);
	bool		watched = b->runbook != NULL && zdu_runbook_has(b->runbook, "placements", NULL);
	ZduReader	r;
	char	   *name;
	char	   *node;
	int			highest;

	if (f->min_availability == AVAILABILITY_NONE)
		return;
	if (watched && (!f->copies_watched || !f->copies_known))
	{
		no(b, ERRCODE_ZDU_REFUSED, "D3", "where the copies are was not seen lately", psprintf("SELECT * FROM zdu.health WHERE cluster = '%s'", f->name));
		return;
	}
	zdu_run(&most_copies, (ZduArg[]) {zdu_int8(f->cluster_id)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return;
	name = zdu_read_text(&r);
	highest = zdu_read_int4(&r);
	if (f->min_availability == AVAILABILITY_FULL && f->total < zdu_copies_nodes_needed(highest, k))
	{
		no(b, ERRCODE_ZDU_REFUSED, "D3", psprintf("%d nodes, and %s may have %d replicas", f->total, name, highest - 1),
		   psprintf("SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"min_availability\": \"primaries\"}')", f->policy, f->policy));
		b->refusal.allowed = psprintf("full with %d at once needs %d nodes", k, zdu_copies_nodes_needed(highest, k));
		return;
	}
	if (f->reallocate)
	{
		if (b->runbook != NULL && !zdu_runbook_has(b->runbook, "node", "drain"))
			no(b, ERRCODE_ZDU_REFUSED, "D4", psprintf("runbook \"%s\" has no drain: nothing would wait until copies have moved", b->runbook->name),
			   psprintf("SELECT zdu_set_runbook('%s', '{... \"drain\": ...}')", b->runbook->name));
		return;
	}
	zdu_run(&must_move, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_bool(f->min_availability == AVAILABILITY_FULL)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return;
	name = zdu_read_text(&r);
	node = zdu_read_text(&r);
	no(b, ERRCODE_ZDU_REFUSED, "D5", psprintf("%s would have to move its copy of %s; reallocate is false", node, name),
	   psprintf("SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"reallocate\": true}')", f->policy, f->policy));
}

static void
check_arguments(ZduCall *call, ZduBegin *b)
{
	const ZduWish *w = b->wish;

	if (w->node_group != NULL && zdu_run(&known_group, (ZduArg[]) {zdu_int8(call->f->cluster_id), zdu_text(w->node_group)}) == 0)
		no(b, ERRCODE_UNDEFINED_OBJECT, "N11", psprintf("there is no node group \"%s\"", w->node_group),
		   psprintf("SELECT zdu_set_group('%s', '%s', '{...}')", call->f->name, w->node_group));
	else if (w->canary < 0 || w->canary >= Max(call->f->total, 1))
		no(b, ERRCODE_INVALID_PARAMETER_VALUE, "D10", psprintf("canary is %d, of %d nodes", w->canary, call->f->total),
		   psprintf("SELECT zdu_begin('%s', canary => 1)", call->f->name));
}

/* M2: what must not meet an upgrade has begun before it. */
static void
check_operations(ZduCall *call, ZduBegin *b)
{
	int64		token;
	const char *running = zdu_operation_running(call->f, &token);

	if (running != NULL)
		no(b, ERRCODE_ZDU_REFUSED, "M2", running, psprintf("SELECT zdu_operation_end('%s', " INT64_FORMAT ") -- if it is over", call->f->name, token));
}

char *
zdu_wish_args(const ZduFacts *f, const ZduWish *w, const char *target)
{
	return psprintf("'%s', %s%s%s", f->name, target != NULL ? quote_literal_cstr(target) : "NULL",
					w->node_group != NULL ? psprintf(", node_group => %s", quote_literal_cstr(w->node_group)) : "",
					w->canary > 0 ? psprintf(", canary => %d", w->canary) : "");
}

/* A plan that was agreed on must still be what would be done. */
static void
check_plan(ZduCall *call, ZduBegin *b)
{
	const ZduWish *w = b->wish;
	ZduFacts   *f = call->f;
	char	   *changed = w->plan == NULL ? NULL :
		zdu_basis_changed(f, &(ZduPlanWish) {.target = b->target, .node_group = w->node_group, .canary = w->canary}, w->plan);

	if (changed == NULL)
		return;
	no(b, ERRCODE_ZDU_REFUSED, "N14", psprintf("the plan no longer holds; changed since: %s", changed),
	   psprintf("SELECT * FROM zdu_plan_summary(%s)", zdu_wish_args(f, w, b->target)));
}

typedef struct CheckRow
{
	BeginCheck	check;
	bool		by_version;		/* it means nothing as long as the cluster's version is not known */
} CheckRow;

static const CheckRow checks[] = {
	{check_adopted, false},
	{check_stable, false},
	{check_operations, false},
	{check_nodes, false},
	{check_arguments, false},
	{check_original, false},
	{check_target, true},
	{check_step, true},
	{check_together, true},
	{check_requires, true},
	{check_force, false},
	{check_person, false},
	{check_facts, false},
	{check_dependents, false},
	{check_copies, false},
	{check_variables, false},
	{check_plan, true}
};

/* Runs the checks; whatever refuses is kept in b->refusals. */
static void
run_checks(ZduCall *call, ZduBegin *b)
{
	for (int i = 0; i < lengthof(checks) && b->same_upgrade == 0; i++)
	{
		ZduRefusal *refusal;

		if (checks[i].by_version && call->f->version == NULL)
			continue;
		checks[i].check(call, b);
		if (b->refusal.rule == NULL)
			continue;
		refusal = palloc(sizeof(ZduRefusal));
		*refusal = b->refusal;
		b->refusals = lappend(b->refusals, refusal);
		if (!b->wish->every)
			return;
		memset(&b->refusal, 0, sizeof(b->refusal));
	}
	if (b->refusals != NIL)
		b->refusal = *(ZduRefusal *) linitial(b->refusals);
}

ZduBegin
zdu_check_begin(ZduCall *call, const ZduWish *wish)
{
	ZduFacts   *f = call->f;
	const char *kind = wish->kind;
	ZduBegin	b = {.wish = wish, .target = wish->target};

	if (wish->target != NULL)
		zdu_version_check(wish->target);
	if (kind != NULL && strcmp(kind, "driven") != 0 && strcmp(kind, "manual") != 0)
	{
		no(&b, ERRCODE_INVALID_PARAMETER_VALUE, "L22", psprintf("kind is \"%s\", neither driven nor manual", kind),
		   "SELECT usage FROM zdu.help WHERE name = 'zdu_begin'");
		return b;
	}
	if (f->runbook != NULL && (kind == NULL || strcmp(kind, "driven") == 0))
		b.runbook = zdu_runbook_newest(f->runbook);
	if (b.runbook == NULL && kind != NULL && strcmp(kind, "driven") == 0)
	{
		no(&b, ERRCODE_ZDU_REFUSED, "W1", "it has no runbook", psprintf("SELECT zdu_set_cluster('%s', runbook => 'haproxy-systemd-ssh')", f->name));
		return b;
	}
	run_checks(call, &b);
	if (b.refusal.rule == NULL && b.same_upgrade == 0 && strcmp(f->cancel, "never") == 0 && !wish->acknowledge)
		no(&b, ERRCODE_ZDU_REFUSED, "L24", psprintf("policy \"%s\": begun is begun, it cannot be cancelled; see doc/rules.md", f->policy),
		   psprintf("SELECT zdu_begin(%s, acknowledge => true)", zdu_wish_args(f, wish, b.target)));
	return b;
}

const char *
zdu_hint_more_unavailable(const ZduFacts *f)
{
	return psprintf("SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"max_unavailable\": \"50%%\"}')", f->policy, f->policy);
}

void
zdu_refuse(const ZduRefusal *r, const char *primary)
{
	ereport(ERROR,
			(errcode(r->code),
			 errmsg("%s", primary),
			 r->allowed != NULL ? errdetail("%s: %s; %s.", r->rule, r->observed, r->allowed) :
			 errdetail("%s: %s.", r->rule, r->observed),
			 errhint("%s", r->hint)));
}

char *
zdu_refuse_unnamed(const char *function)
{
	ZduCall		call;
	char	   *name;

	zdu_call_look(&call, function, NULL);
	name = zdu_cluster_only();
	zdu_leave(&call.session);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("which cluster?"),
				 errdetail("L1: only where there is exactly one need it not be named."),
				 errhint("SELECT cluster FROM zdu.status")));
	return name;
}
