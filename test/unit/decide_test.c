/*
 * decide_test.c
 *	  Promise: the predicates answer as the rules say, name their rule, and
 *	  give a command that helps.  Prints TAP.
 */
#include <string.h>

#include "core/decide.h"
#include "core/plan.h"
#include "tap.h"

/* Five nodes that serve, one by one; an upgrade from 1.0 to 1.1 is running. */
static ZduBudget own;			/* the policy's */

static ZduFacts
base(void)
{
	ZduFacts	f = {0};

	f.name = "shop";
	f.product = "shop";
	f.policy = "default";
	f.version = f.original = "1.0";
	f.target = "1.1";
	f.state = CLUSTER_MIXED;
	f.version_step = "next_minor";
	f.upgrade_id = 1;
	f.run = RUN_RUNNING;
	f.total = f.serving = f.staying = f.present = f.counts.online = 5;
	own = (ZduBudget) {.where = "", .max_unavailable = "1", .total = 5};
	f.budgets = &own;
	f.nbudgets = 1;
	f.copies_known = true;
	f.adopted = f.prepared = true;
	return f;
}

/* ---- may it be taken? ---- */

#define NODE(s, c, r) {.name = "app1", .state = s, .confirmed = c, .in_rotation = r}
#define SERVES NODE(NODE_ACTIVE, false, true)

typedef struct TakeCase
{
	const char *rule;			/* that the refusal names, or that allows it */
	const char *claim;
	const char *max_unavailable;
	int			total;
	int			serving;
	int			unavailable;
	int			unheard;
	ZduCandidate node;
	bool		allowed;
} TakeCase;

static const TakeCase takes[] = {
	{"D10", "one of five may be away", "1", 5, 5, 0, 0, SERVES, true},
	{"D10", "and not a second one", "1", 5, 4, 1, 0, SERVES, false},
	{"D10", "33% of 3 is one", "33%", 3, 3, 0, 0, SERVES, true},
	{"D10", "and not two", "33%", 3, 2, 1, 0, SERVES, false},
	{"D10", "33% of 2 is one", "33%", 2, 2, 0, 0, SERVES, true},
	{"D10", "of two, one stays even with 100%", "100%", 2, 1, 1, 0, SERVES, false},
	{"D11", "a budget that others overdrew is not drawn further", "2", 5, 2, 3, 0, SERVES, false},
	{"D12", "one in ERROR is away already and adds nothing", "1", 5, 4, 1, 0, NODE(NODE_ERROR, false, true), true},
	{"D12", "nor does one that is confirmed OFFLINE", "1", 5, 4, 1, 0, NODE(NODE_OFFLINE, true, true), true},
	{"D12", "nor one out of rotation", "1", 5, 4, 1, 0, NODE(NODE_ACTIVE, false, false), true},
	{"D12", "nor one that drains of itself", "1", 5, 4, 1, 0, NODE(NODE_DRAINING, false, true), true},
	{"D12", "not even to an overdrawn budget", "1", 5, 2, 3, 0, NODE(NODE_ERROR, false, true), true},
	{"D12", "one that is merely unheard needs a free place besides", "1", 5, 4, 1, 1, NODE(NODE_OFFLINE, false, true), false},
	{"D12", "with one it may be taken", "2", 5, 4, 1, 1, NODE(NODE_OFFLINE, false, true), true},
	{"D12", "somebody unheard keeps the others from being taken", "1", 5, 4, 1, 1, SERVES, false},
	{"N2", "one that is STARTING is not there yet", "3", 5, 4, 1, 0, NODE(NODE_STARTING, false, true), false},
	{"N2", "one that is TERMINATING is not gone yet", "3", 5, 4, 1, 0, NODE(NODE_TERMINATING, false, true), false},
	{"D14", "the last one that serves stays", "2", 5, 1, 0, 0, SERVES, false},
	{"D14", "the last but one may go", "2", 5, 2, 0, 0, SERVES, true},
	{"D14", "one that does not serve may go even when nobody serves", "1", 5, 0, 5, 0, NODE(NODE_ERROR, false, true), true},
	{"D14", "a cluster of one is not taken", "1", 1, 1, 0, 0, SERVES, false}
};

/* The one that says no, or NULL. */
static const ZduVerdict *
refusal(const ZduVerdict *v, int n)
{
	for (int i = 0; i < n; i++)
		if (v[i].answer != ANSWER_YES)
			return &v[i];
	return NULL;
}

static void
test_takes(void)
{
	for (int i = 0; i < lengthof(takes); i++)
	{
		const TakeCase *t = &takes[i];
		ZduFacts	f = base();
		ZduVerdict	v[ZDU_PREDICATES];
		const ZduVerdict *no;
		bool		allowed;
		int			n;

		own.max_unavailable = t->max_unavailable;
		f.total = own.total = t->total;
		f.serving = f.staying = t->serving;
		own.unavailable = t->unavailable;
		own.unheard = t->unheard;
		n = zdu_decide_take(&f, &t->node, v, &allowed);
		no = refusal(v, n);
		ok(allowed == t->allowed && allowed == (no == NULL), t->rule, "%s: %s%s%s", t->claim, allowed ? "yes" : "no, ",
		   no != NULL ? no->observed : "", n == ZDU_PREDICATES ? "" : " (a predicate is missing)");
		if (no != NULL)
			ok(strstr(no->hint, "SELECT ") == no->hint && no->observed[0] != '\0', "L22", "%s: the refusal says what was observed and what helps: %s",
			   t->claim, no->hint);
	}
}

/* ---- what does not depend on the node ---- */

typedef struct GateCase
{
	const char *rule;
	const char *claim;
	const char *subject;		/* the predicate that says no */
	bool		budget;			/* it stands in the way of a detach by hand too */
	bool		adopted;
	ZduRun		run;
	int			failures;
	bool		prepared;
} GateCase;

static const GateCase gates[] = {
	{"N4", "a database that was restored or cloned grants nothing", "adopted", true, false, RUN_RUNNING, 0, true},
	{"L22", "a paused upgrade takes nothing", "not_paused", false, true, RUN_PAUSED, 0, true},
	{"D11", "a held one neither", "not_held", false, true, RUN_HELD, 0, true},
	{"D11", "nor one whose failures are spent", "failures_left", false, true, RUN_RUNNING, 1, true},
	{"D8", "nor one that is not prepared", "prepared", false, true, RUN_RUNNING, 0, false}
};

static void
test_gates(void)
{
	for (int i = 0; i < lengthof(gates); i++)
	{
		const GateCase *g = &gates[i];
		ZduCandidate node = SERVES;
		ZduFacts	f = base();
		ZduVerdict	v[ZDU_PREDICATES];
		const ZduVerdict *no;
		bool		allowed;
		int			n;

		f.adopted = g->adopted;
		f.run = g->run;
		own.failures = g->failures;
		f.prepared = g->prepared;
		n = zdu_decide_take(&f, NULL, v, &allowed);
		no = refusal(v, n);
		ok(!allowed && no != NULL && strcmp(no->subject, g->subject) == 0 && strcmp(no->rule, g->rule) == 0 && no->hint[0] != '\0',
		   g->rule, "%s: %s", g->claim, no != NULL ? no->observed : "");
		zdu_decide_detach(&f, &node, v, &allowed);
		ok(allowed == !g->budget, "D13", "%s; a detach by hand: %s", g->claim, allowed ? "yes" : "no");
	}
}

static void
test_detach(void)
{
	ZduCandidate node = SERVES;
	ZduFacts	f = base();
	ZduVerdict	v[ZDU_PREDICATES];
	bool		allowed;

	zdu_decide_detach(&f, &node, v, &allowed);
	ok(allowed, "D13", "a detach by hand has the place that an upgrade would have");
	own.unavailable = 1;
	f.staying = 4;
	zdu_decide_detach(&f, &node, v, &allowed);
	ok(!allowed, "D13", "and not a second one");
	ok(zdu_decide_room(&f) == 0, "D10", "there is no room then");
	own.unavailable = 3;
	ok(zdu_decide_room(&f) == 0, "D11", "an overdrawn budget has no room, and not less");
	own.max_unavailable = "4";
	ok(zdu_decide_room(&f) == 1, "D10", "four of five leave room for one beside three");

	f = base();
	f.total = f.staying = own.total = 1;
	f.one_waived = true;
	zdu_decide_take(&f, &node, v, &allowed);
	ok(allowed, "D10", "a cluster of one may be taken where that is waived");
}

/* ---- several budgets ---- */

static const struct
{
	const char *rule;
	const char *claim;
	ZduBudget	budget;
	ZduCandidate node;
	const char *observed;		/* of the refusal; NULL: allowed */
	const char *allowed;
}			zones[] = {
	{"D11", "a zone with a place lets a node go", {.max_unavailable = "2", .total = 4, .unavailable = 1}, SERVES, NULL, NULL},
	{"D11", "a full one does not", {.max_unavailable = "2", .total = 4, .unavailable = 2}, SERVES, "2 of 4 in zone a unavailable", "2"},
	{"D10", "a share of a zone is resolved in it", {.max_unavailable = "50%", .total = 3, .unavailable = 1}, SERVES, "1 of 3 in zone a unavailable", "1"},
	{"D12", "down already, a node passes a full one", {.max_unavailable = "1", .total = 4, .unavailable = 1}, NODE(NODE_ERROR, false, true), NULL, NULL},
	{"D12", "merely unheard it does not", {.max_unavailable = "1", .total = 4, .unavailable = 1}, NODE(NODE_OFFLINE, false, true), "1 of 4 in zone a unavailable", "1"},
	{"D11", "a rate with a place lets it go", {.max_begun = 3, .per_interval = 3600, .total = 4, .begun = 2}, SERVES, NULL, NULL},
	{"D11", "a spent one does not", {.max_begun = 3, .per_interval = 5400, .total = 4, .begun = 3, .next_place = 60}, SERVES, "3 in zone a begun in 90 min", "3; the next in 60 s"},
	{"D12", "nor a node that is down", {.max_begun = 1, .per_interval = 86400, .total = 4, .begun = 1, .next_place = 7200}, NODE(NODE_ERROR, false, true),
	"1 in zone a begun in 24 h", "1; the next in 2 h"},
	{"D11", "failures are borne up to their number", {.max_failures = 1, .total = 4, .failures = 1}, SERVES, NULL, NULL},
	{"D11", "and not beyond", {.max_failures = 1, .total = 4, .failures = 2}, SERVES, "2 in zone a failed", "1"}
};

static void
test_zones(void)
{
	for (int i = 0; i < lengthof(zones); i++)
	{
		static const int under[] = {1};
		ZduFacts	f = base();
		ZduBudget	both[2] = {own, zones[i].budget};
		ZduCandidate node = zones[i].node;
		ZduVerdict	v[ZDU_PREDICATES];
		const ZduVerdict *no;
		bool		allowed;

		both[0].max_unavailable = "4";
		both[1].id = 7;
		both[1].where = " in zone a";
		if (both[1].max_failures == 0)
			both[1].max_failures = -1;
		f.budgets = both;
		f.nbudgets = 2;
		node.budgets = under;
		node.nbudgets = 1;
		no = refusal(v, zdu_decide_take(&f, &node, v, &allowed));
		ok(zones[i].observed == NULL ? allowed : no != NULL && strcmp(no->observed, zones[i].observed) == 0 && strcmp(no->allowed, zones[i].allowed) == 0,
		   zones[i].rule, "%s: %s", zones[i].claim, no != NULL ? no->observed : "yes");
		node.nbudgets = 0;
		zdu_decide_take(&f, &node, v, &allowed);
		ok(allowed, zones[i].rule, "%s; a node of another zone is not asked for it", zones[i].claim);
	}
}

/* ---- copies ---- */

static void
test_copies(void)
{
	static const int quorums[] = {0, 1, 1, 2, 3, 3, 4, 4, 5};
	static const struct
	{
		int			nodes;
		int			highest;
		int			k;
		bool		enough;
	}			full[] = {{4, 4, 1, false}, {2, 2, 1, false}, {5, 4, 1, true}, {5, 4, 2, false}, {6, 4, 2, true}, {2, 1, 1, true}};

	for (int n = 1; n < lengthof(quorums); n++)
		ok(zdu_copies_quorum(n) == quorums[n], "D4", "a write needs %d of %d copies", quorums[n], n);
	for (int i = 0; i < lengthof(full); i++)
		ok((full[i].nodes >= zdu_copies_nodes_needed(full[i].highest, full[i].k)) == full[i].enough, "D3",
		   "full: %d nodes are %s for %d replicas with %d at once", full[i].nodes, full[i].enough ? "enough" : "too few", full[i].highest - 1, full[i].k);
}

/* ---- may it be finalized? ---- */

static const struct
{
	const char *rule;
	const char *claim;
	int			upgrade;
	ZduRun		run;
	ZduClusterState state;
	int			online;
	int			in_error;
	int			taken;
	bool		allowed;
}			ends[] = {
	{"L9", "all nodes at the new version", 1, RUN_RUNNING, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, 5, 0, 0, true},
	{"L9", "also when it is paused", 1, RUN_PAUSED, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, 5, 0, 0, true},
	{"L9", "not while MIXED", 1, RUN_RUNNING, CLUSTER_MIXED, 5, 0, 0, false},
	{"L9", "not while a node is in flight", 1, RUN_RUNNING, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, 5, 0, 1, false},
	{"L4", "not without an upgrade", 0, RUN_RUNNING, CLUSTER_STABLE, 5, 0, 0, false},
	{"L11", "not with a node in ERROR", 1, RUN_RUNNING, CLUSTER_MIXED, 5, 1, 0, false},
	{"L12", "not when all nodes are OFFLINE, though the state has stayed", 1, RUN_RUNNING, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, 0, 0, 0, false},
	{"L13", "not while it rolls back, though no node has gone back yet", 1, RUN_ROLLING_BACK, CLUSTER_READY_TO_RUN_UPGRADE_TASKS, 5, 0, 0, false},
	{"L13", "not twice", 1, RUN_FINALIZING, CLUSTER_RUNNING_UPGRADE_TASKS, 5, 0, 0, false}
};

static void
test_ends(void)
{
	for (int i = 0; i < lengthof(ends); i++)
	{
		ZduFacts	f = base();
		ZduVerdict	v;

		f.upgrade_id = ends[i].upgrade;
		f.run = ends[i].run;
		f.state = ends[i].state;
		f.counts.online = ends[i].online;
		f.counts.in_error = ends[i].in_error;
		f.taken = ends[i].taken;
		zdu_decide_finalize(&f, NULL, &v);
		ok((v.answer == ANSWER_YES) == ends[i].allowed && strcmp(v.rule, ends[i].rule) == 0 && (ends[i].allowed || v.hint[0] != '\0'),
		   ends[i].rule, "%s: %s%s", ends[i].claim, ends[i].allowed ? "yes" : "no, ", v.observed);
	}
}

/* ---- texts have an end ---- */

static void
test_texts(void)
{
	char		reason[ZDU_TEXT_SIZE * 2];
	ZduFacts	f = base();
	ZduVerdict	v[ZDU_PREDICATES];
	const ZduVerdict *no;
	bool		allowed;
	bool		whole = true;

	for (int shift = 0; shift < 3; shift++)
	{
		int			n = 0;

		memset(reason, 'x', (size_t) shift);
		for (n = shift; n < ZDU_TEXT_SIZE + 9; n += 3)
			memcpy(reason + n, "\xe2\x82\xac", 4);
		f.run = RUN_HELD;
		f.held_reason = reason;
		no = refusal(v, zdu_decide_take(&f, NULL, v, &allowed));
		whole &= no != NULL && strlen(no->observed) < ZDU_TEXT_SIZE && strncmp(no->observed, reason, strlen(no->observed)) == 0 &&
			(strlen(no->observed) - (size_t) shift) % 3 == 0 && strlen(no->observed) > ZDU_TEXT_SIZE - 5;
	}
	ok(whole, "L22", "a reason that is too long is cut between characters, never inside one");
}

int
main(void)
{
	test_takes();
	test_gates();
	test_detach();
	test_zones();
	test_copies();
	test_ends();
	test_texts();
	return tap_end();
}
