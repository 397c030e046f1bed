/*
 * check.c
 *	  What has to be so after every step.
 *
 * Limits are reckoned here anew, from what the rules say.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "game.h"

#define MAX_TRANSITIONS 200
#define HOPS 4					/* one transaction may take a machine further than to the next state */

static struct
{
	char		machine[12];
	char		from[32];
	char		to[32];
}			transition[MAX_TRANSITIONS];
static int	ntransitions;

/*
 * What zdu_why says of a node's predicates, and whether an exchange then takes
 * it.  Both are undone.  Workers that never asked before look at everything.
 */
static const char *const agree =
"CREATE OR REPLACE FUNCTION sim_agree(name text) RETURNS text LANGUAGE plpgsql AS $$ "
"DECLARE said boolean; refusal text; was boolean; is_taken boolean; "
"BEGIN "
"  PERFORM zdu_work('agent', 'one', '" CLUSTER "', node => name, programs => '{svc}'); "
"  SELECT bool_and(w.verdict = 'yes'), string_agg(w.subject || ': ' || w.observed, '; ') FILTER (WHERE w.verdict <> 'yes') INTO said, refusal "
"  FROM zdu_why('" CLUSTER "', node => name, every => true) w "
"  WHERE w.subject IN ('adopted', 'not_paused', 'not_held', 'failures_left', 'prepared', 'schema_ready', 'not_frozen', 'in_window', "
"    'wave_open', 'gate_passed', 'not_between_states', 'budget', 'rate', 'keeps_last_node', 'keeps_copies'); "
"  SELECT n.taken INTO was FROM zdu.node n WHERE n.name = sim_agree.name; "
"  PERFORM zdu_work('agent', 'two', '" CLUSTER "', node => name, programs => '{svc}', slots => 20); "
"  SELECT n.taken INTO is_taken FROM zdu.node n WHERE n.name = sim_agree.name; "
"  RAISE EXCEPTION USING ERRCODE = 'SIM01', MESSAGE = CASE "
"    WHEN said IS NULL AND is_taken IS NOT DISTINCT FROM was THEN 'no candidate' "
"    WHEN coalesce(said, false) = (is_taken AND NOT was) THEN 'agreed' "
"    ELSE format('it says %s (%s), it was %s and is %s', said, refusal, was, is_taken) END; "
"EXCEPTION WHEN SQLSTATE 'SIM01' THEN RETURN SQLERRM; "
"END $$";

void
check_init(void)
{
	PGresult   *made = base_must(agree);
	PGresult   *r = base_must("SELECT machine, from_state, to_state FROM zdu_transitions() WHERE from_state IS NOT NULL");

	PQclear(made);
	ntransitions = PQntuples(r) < MAX_TRANSITIONS ? PQntuples(r) : MAX_TRANSITIONS;
	for (int i = 0; i < ntransitions; i++)
	{
		snprintf(transition[i].machine, sizeof(transition[i].machine), "%s", field(r, i, 0));
		snprintf(transition[i].from, sizeof(transition[i].from), "%s", field(r, i, 1));
		snprintf(transition[i].to, sizeof(transition[i].to), "%s", field(r, i, 2));
	}
	PQclear(r);
}

static bool
reaches(const char *machine, const char *from, const char *to, int hops)
{
	if (strcmp(from, to) == 0)
		return true;
	for (int i = 0; i < ntransitions && hops > 0; i++)
		if (strcmp(transition[i].machine, machine) == 0 && strcmp(transition[i].from, from) == 0 &&
			reaches(machine, transition[i].to, to, hops - 1))
			return true;
	return false;
}

static void
must_reach(Game *g, const char *machine, const char *what, const char *from, const char *to, int hops)
{
	if (from != NULL && to != NULL && !reaches(machine, from, to, hops))
		game_fail(g, "N1: %s %s went from %s to %s", machine, what, from, to);
}

const StepRow *
check_current(const Check *c, Token token)
{
	for (int i = 0; i < c->nsteps; i++)
		if (c->step[i].token.epoch == token.epoch && c->step[i].token.number == token.number && strcmp(c->step[i].state, "running") == 0)
			return &c->step[i];
	return NULL;
}

static bool
is_away(const NodeRow *n)
{
	return strcmp(n->state, "ACTIVE") != 0 || !n->in_rotation || !n->attached || n->taken;
}

static bool
is_present(const NodeRow *n)
{
	return n->there && !n->taken && (strcmp(n->state, "ACTIVE") == 0 || strcmp(n->state, "DRAINING") == 0);
}

/*
 * Nodes as they were in the moment in which they were taken: in the same
 * transaction they may have been seen to be down, and were free (D12).
 */
static NodeRow taken_as[MAX_NODES];
static bool was_taken[MAX_NODES];

/* How the upgrade stood before the transaction. */
static char run_before[16];

/* Whether taking it has a price: it serves, or is merely unheard and may serve. */
static bool
has_price(const NodeRow *before, const NodeRow *now)
{
	return !is_away(before) || (strcmp(before->state, "OFFLINE") == 0 && !now->confirmed);
}

/*
 * D10, D11: what was taken had a place in each budget that it falls under.
 * D12: what was merely unheard is in the count, and had a place besides, before
 * any that served was taken.
 */
static void
check_budgets(Game *g, int taken)
{
	Check	   *c = &g->check;
	bool		besides = is_away(&taken_as[taken]);

	for (int b = 0; b < g->scene.nbudgets; b++)
	{
		const SceneBudget *budget = &g->scene.budget[b];
		int			away = 0;
		int			total = 0;

		if (!budget->member[taken])
			continue;
		for (int i = 0; i < g->world.n; i++)
		{
			if (!budget->member[i] || !c->node[i].there)
				continue;
			total++;
			away += is_away(&c->node[i]) && !(besides && was_taken[i] && !is_away(&taken_as[i]));
		}
		if (besides && away + 1 > scene_limit(budget->limit, total))
			game_fail(g, "D12: %s, merely unheard, was taken without a place besides: of %d nodes %d are away where %s may be%s%s",
					  g->world.node[taken].name, total, away, budget->limit, b > 0 ? ", budget " : "", budget->name);
		else if (away > scene_limit(budget->limit, total))
			game_fail(g, "D11: %s was taken, and of %d nodes %d are away where %s may be%s%s", g->world.node[taken].name, total, away,
					  budget->limit, b > 0 ? ", budget " : "", budget->name);
	}
}

/* D11: nor were too many begun of late.  Listened seconds pass no faster than others. */
static void
check_rates(Game *g, int taken)
{
	for (int b = 0; b < g->scene.nbudgets; b++)
	{
		const SceneBudget *budget = &g->scene.budget[b];
		int			begun = 0;

		if (!budget->member[taken] || budget->begun == 0)
			continue;
		for (int i = 0; i < g->world.n; i++)
			begun += budget->member[i] && g->check.node[i].begun_at > g->now - budget->per_interval;
		if (begun > budget->begun)
			game_fail(g, "D11: %s was taken, and %d were begun within %g s where %d may be, budget %s", g->world.node[taken].name, begun,
					  budget->per_interval, budget->begun, budget->name);
	}
}

/* L22: a person's pause, and what holds an upgrade, keep nodes from being taken but those that somebody brings back. */
static void
check_going(Game *g, int taken)
{
	bool		stands = strcmp(run_before, "paused") == 0 || strcmp(run_before, "held") == 0;

	if (stands && strcmp(run_before, g->check.run) == 0 && !g->check.node[taken].back)
		game_fail(g, "L22: %s was taken while the upgrade is %s", g->world.node[taken].name, run_before);
}

/* N15: it goes no further than to the groups that it was sent to. */
static void
check_group(Game *g, int taken)
{
	const char *group = g->scene.blue[taken] ? "blue" : "default";

	if (g->scene.grouped && g->check.groups[0] != '\0' && !g->check.node[taken].back && strstr(g->check.groups, group) == NULL)
		game_fail(g, "N15: %s of group %s was taken, and the deployment is to %s", g->world.node[taken].name, group, g->check.groups);
}

/* D14: somebody stays. */
static void
check_last_node(Game *g, int taken)
{
	int			stay = 0;

	for (int i = 0; i < g->world.n; i++)
		stay += g->check.node[i].there && !is_away(&g->check.node[i]);
	if (stay == 0 && g->check.total > 1)
		game_fail(g, "D14: %s was taken, and nobody serves", g->world.node[taken].name);
}

/*
 * D4: what had its write quorum has it still.  Where even with every node up
 * it would not, the copy has to move before its node is stopped: here none does.
 */
static void
check_copies(Game *g, int taken, bool stopped)
{
	for (int k = 0; k < g->scene.nresources; k++)
	{
		const SceneResource *r = &g->scene.resource[k];
		int			lost = 0;
		int			is = 0;
		int			placed = 0;
		int			quorum;
		bool		member = false;

		for (int i = 0; i < r->copies; i++)
		{
			int			n = r->node[i];

			placed += g->check.node[n].there;
			is += is_present(&g->check.node[n]);
			lost += was_taken[n] && is_present(&taken_as[n]);
			member |= n == taken;
		}
		quorum = r->replicas + 1 <= 2 ? 1 : (r->replicas + 1) / 2 + 1;
		if (!member || is >= quorum || (!stopped && placed - 1 < quorum) || (stopped && placed - 1 >= quorum))
			continue;
		if (is + (stopped ? 1 : lost) >= quorum)
			game_fail(g, "D4: %s was %s, and r%d has %d copies of the %d that it needs", g->world.node[taken].name,
					  stopped ? "stopped" : "taken", k, is, quorum);
	}
}

static void
check_nodes(Game *g, const PGresult *r)
{
	Check	   *c = &g->check;

	for (int row = 0; row < PQntuples(r); row++)
	{
		int			i = world_find(&g->world, field(r, row, 0));
		NodeRow    *node;

		if (i == NO_NODE)
			continue;
		node = &c->node[i];
		node->there = true;
		if (strcmp(node->state, field(r, row, 1)) != 0)
			game_fail(g, "N1: %s is %s, and the timeline says %s", g->world.node[i].name, field(r, row, 1), node->state);
		node->in_rotation = field(r, row, 3)[0] == 't';
		node->attached = field(r, row, 4)[0] == 't';
		node->taken = field(r, row, 5)[0] == 't';
		node->confirmed = field(r, row, 6)[0] == 't';
		node->back = field(r, row, 7) != NULL && strcmp(field(r, row, 7), "back") == 0;
	}
	for (int i = 0; i < g->world.n; i++)
	{
		if (!was_taken[i])
			continue;
		check_going(g, i);
		check_group(g, i);
		check_rates(g, i);
		if (has_price(&taken_as[i], &c->node[i]))
			check_budgets(g, i);
		if (!is_away(&taken_as[i]))
			check_last_node(g, i);
		if (is_present(&taken_as[i]))
			check_copies(g, i, false);
	}
	memset(was_taken, false, sizeof(was_taken));
}

/* W5: a new token is higher than all before; nobody but its holder moves a step on. */
static void
check_token(Game *g, const StepRow *was, const StepRow *now)
{
	Check	   *c = &g->check;

	if (was != NULL && memcmp(&was->token, &now->token, sizeof(Token)) == 0 && was->holder[0] != '\0' && strcmp(was->holder, now->holder) != 0)
		game_fail(g, "W5: %s %s goes from %s to %s with the token that it had", now->node, now->phase, was->holder, now->holder);
	if (now->token.number == 0 || (was != NULL && memcmp(&was->token, &now->token, sizeof(Token)) == 0))
		return;
	if (!token_is_lower(c->highest, now->token))
		game_fail(g, "W5: token %ld.%ld of %s %s is not higher than %ld.%ld", now->token.epoch, now->token.number, now->node, now->phase,
				  c->highest.epoch, c->highest.number);
	c->highest = now->token;
	if (g->copied)
		game_fail(g, "W5: %s %s is granted by a copy of the database that nobody adopted", now->node, now->phase);
	if (was != NULL && strcmp(was->state, "unknown") == 0 && strcmp(now->stage, "look") != 0)
		game_fail(g, "W4: %s %s is granted again and begins with %s", now->node, now->phase, now->stage);
}

static void
check_mover(Game *g, const StepRow *was, const StepRow *now)
{
	bool		moved = strcmp(was->stage, now->stage) != 0 && strcmp(now->stage, "end") != 0;
	bool		told = strcmp(was->state, now->state) != 0 &&
		(strcmp(now->state, "succeeded") == 0 || strcmp(now->state, "failed") == 0);

	if (strcmp(was->stage, "end") == 0 && strcmp(now->stage, "end") != 0 && strcmp(now->state, "running") == 0)
		game_fail(g, "L5: %s %s was to end, and goes on", now->node, now->phase);
	if (memcmp(&was->token, &now->token, sizeof(Token)) != 0 || was->holder[0] == '\0' || strcmp(now->state, "unknown") == 0)
		return;
	if ((moved || told) && strcmp(g->asking, "person") != 0 && strcmp(g->asking, was->holder) != 0)
		game_fail(g, "W5: %s %s of %s was moved on by %s", now->node, now->phase, was->holder, g->asking);
}

static int
by_number(const void *a, const void *b)
{
	const StepRow *x = a;
	const StepRow *y = b;

	return token_is_lower(x->token, y->token) ? -1 : token_is_lower(y->token, x->token);
}

static void
check_steps(Game *g, const PGresult *r)
{
	static StepRow changed[MAX_OPEN];
	Check	   *c = &g->check;
	int			n = 0;

	for (int row = 0; row < PQntuples(r) && n < MAX_OPEN; row++)
	{
		StepRow    *s = &changed[n++];

		memset(s, 0, sizeof(*s));
		s->id = atol(field(r, row, 0));
		snprintf(s->node, sizeof(s->node), "%s", field(r, row, 1) != NULL ? field(r, row, 1) : "");
		snprintf(s->phase, sizeof(s->phase), "%s", field(r, row, 2));
		snprintf(s->state, sizeof(s->state), "%s", field(r, row, 3));
		snprintf(s->stage, sizeof(s->stage), "%s", field(r, row, 4));
		s->token.epoch = atol(field(r, row, 5));
		s->token.number = atol(field(r, row, 6));
		/* A timer has no holder. */
		if (field(r, row, 7) != NULL && field(r, row, 8)[0] != 't')
			snprintf(s->holder, sizeof(s->holder), "%s", field(r, row, 7));
		s->wish = field(r, row, 9)[0] == 't';
	}
	qsort(changed, n, sizeof(StepRow), by_number);
	for (int k = 0; k < n; k++)
	{
		StepRow    *now = &changed[k];
		StepRow    *was = NULL;
		bool		settled = strcmp(now->state, "succeeded") == 0 || strcmp(now->state, "skipped") == 0 || strcmp(now->state, "cancelled") == 0;

		for (int i = 0; i < c->nsteps && was == NULL; i++)
			if (c->step[i].id == now->id)
				was = &c->step[i];
		if (was != NULL)
			must_reach(g, "step", now->phase, was->state, now->state, HOPS);
		check_token(g, was, now);
		if (was != NULL)
			check_mover(g, was, now);
		if (settled && was != NULL)
			*was = c->step[--c->nsteps];
		else if (!settled && was != NULL)
			*was = *now;
		else if (!settled && c->nsteps < MAX_OPEN)
			c->step[c->nsteps++] = *now;
	}
}

static void
check_node_event(Game *g, const char *node, const char *old, const char *new)
{
	NodeRow    *row = &g->check.node[world_find(&g->world, node)];

	must_reach(g, "node", node, old, new, 1);
	if (strcmp(row->state, old) != 0)
		game_fail(g, "N1: %s was %s, and the timeline says %s", node, row->state, old);
	snprintf(row->state, sizeof(row->state), "%s", new);
}

static void
check_events(Game *g, const PGresult *r)
{
	for (int row = 0; row < PQntuples(r); row++)
	{
		const char *what = field(r, row, 0);
		const char *node = field(r, row, 1);
		const char *new = field(r, row, 3);

		for (int column = 0; column < 7; column++)
			g->hash = hash_text(g->hash, field(r, row, column));
		if (g->loud)
			printf("%10.3f %-6s %s %s %s -> %s  %s %s\n", g->now, "", what, node != NULL ? node : "", field(r, row, 2) != NULL ? field(r, row, 2) : "",
				   new != NULL ? new : "", field(r, row, 4) != NULL ? field(r, row, 4) : "", field(r, row, 5) != NULL ? field(r, row, 5) : "");
		if (strcmp(what, "node") == 0 && node != NULL && new != NULL && (strcmp(new, "dropped") == 0 || strcmp(new, "removed") == 0))
			g->check.node[world_find(&g->world, node)].there = false;
		else if (strcmp(what, "node") == 0 && field(r, row, 2) != NULL && new != NULL)
			check_node_event(g, node, field(r, row, 2), new);
		else if (strcmp(what, "rotation") == 0 && node != NULL)
			g->check.node[world_find(&g->world, node)].in_rotation = strcmp(new, "in") == 0;
		else if (strcmp(what, "taken") == 0 && node != NULL && strcmp(new, "yes") == 0)
		{
			int			i = world_find(&g->world, node);

			taken_as[i] = g->check.node[i];
			was_taken[i] = true;
			g->check.node[i].begun_at = g->now;
		}
		else if (strcmp(what, "cluster") == 0 && node == NULL)
			must_reach(g, "cluster", "", field(r, row, 2), new, 1);
		else if (strcmp(what, "upgrade") == 0 && node == NULL && field(r, row, 2) != NULL)
		{
			must_reach(g, "upgrade", "", field(r, row, 2), new, 1);
			snprintf(g->ended, sizeof(g->ended), "%s", new);
		}
	}
}

static void
check_cluster(Game *g, const PGresult *r)
{
	Check	   *c = &g->check;

	if (PQntuples(r) != 1)
		return;
	snprintf(run_before, sizeof(run_before), "%s", c->run);
	snprintf(c->state, sizeof(c->state), "%s", field(r, 0, 0));
	snprintf(c->run, sizeof(c->run), "%s", field(r, 0, 1) != NULL ? field(r, 0, 1) : "");
	snprintf(c->held, sizeof(c->held), "%s: %s", field(r, 0, 2) != NULL ? field(r, 0, 2) : "", field(r, 0, 3) != NULL ? field(r, 0, 3) : "");
	snprintf(c->version, sizeof(c->version), "%s", field(r, 0, 4) != NULL ? field(r, 0, 4) : "");
	c->total = atoi(field(r, 0, 6));
	c->open = atoi(field(r, 0, 7));
	snprintf(c->groups, sizeof(c->groups), "%s", field(r, 0, 8) != NULL ? field(r, 0, 8) : "");
	if (strcmp(c->run, "held") == 0 && (field(r, 0, 2) == NULL || field(r, 0, 3) == NULL))
		game_fail(g, "D11: the upgrade is held without a rule and a reason");
}

void
check_outcome(Game *g, const Outcome *o)
{
	if (!o->done || o->xid == NULL)
		return;
	check_cluster(g, o->cluster);
	check_events(g, o->events);
	check_nodes(g, o->nodes);
	check_steps(g, o->steps);
}

/* True if another action that nobody may have given up runs on the node. */
static bool
has_company(const Game *g, const Action *a)
{
	for (int k = 0; k < g->scene.workers; k++)
		for (int i = 0; i < g->worker[k].njobs; i++)
		{
			const Action *other = &g->worker[k].job[i].action;

			if (other != a && other->runs && other->node == a->node && other->is_current && other->deadline > g->now)
				return true;
		}
	for (int i = 0; i < g->nstrays; i++)
		if (g->stray[i].node == a->node && g->stray[i].is_current && g->stray[i].deadline > g->now)
			return true;
	return false;
}

/* D1: who is stopped has been sent away, and has nothing to do any more. */
static void
check_drained(Game *g, const Node *n)
{
	if (!n->running || n->tainted || g->scene.forced || !g->scene.phase[DEED_ISOLATE] || !g->scene.phase[DEED_DRAIN])
		return;
	if (n->in || g->now < n->drained_at)
		game_fail(g, "D1: %s is stopped %s", n->name, n->in ? "in rotation" : "with open requests");
}

void
check_begin(Game *g, const Action *a, bool has_looked)
{
	const char *name = a->node == NO_NODE ? "the cluster" : g->world.node[a->node].name;

	if (g->loud)
		printf("%10.3f action %s %s by %ld.%ld%s\n", g->now, deed_names[a->deed], name, a->token.epoch, a->token.number, a->is_current ? "" : ", too late");
	if (!has_looked)
		game_fail(g, "W4: %s of %s begins without a look, token %ld.%ld", deed_names[a->deed], name, a->token.epoch, a->token.number);
	if (a->deed == DEED_STOP && a->is_current && g->check.node[a->node].attached && !g->scene.forced)
		check_copies(g, a->node, true);
	if (a->deed == DEED_STOP && a->is_current)
		check_drained(g, &g->world.node[a->node]);
	if (a->is_current && has_company(g, a))
		game_fail(g, "W4: %s of %s begins while another action may still run", deed_names[a->deed], name);
}

void
check_effect(Game *g, const Action *a, Effect e)
{
	bool		is_current = check_current(&g->check, a->token) != NULL;
	bool		any_tainted = false;
	int			serve = 0;

	if (g->loud)
		printf("%10.3f action %s %s by %ld.%ld is over: %s%s%s\n", g->now, deed_names[a->deed],
			   a->node == NO_NODE ? "the cluster" : g->world.node[a->node].name, a->token.epoch, a->token.number,
			   e.refused ? "refused" : e.good ? "good" : "failed", e.changed ? "" : ", nothing changed", is_current ? "" : ", too late");
	if (a->node == NO_NODE || !e.changed)
		return;
	if (!is_current)
		g->world.node[a->node].tainted = true;
	for (int b = 0; b < g->scene.nbudgets; b++)
	{
		const SceneBudget *budget = &g->scene.budget[b];
		int			out = 0;
		int			total = 0;

		for (int i = 0; i < g->world.n; i++)
		{
			const Node *n = &g->world.node[i];

			total += budget->member[i] && n->there;
			out += budget->member[i] && n->taken_out && !n->tainted;
		}
		if (budget->member[a->node] && out > scene_limit(budget->limit, total) && g->world.node[a->node].taken_out)
			game_fail(g, "D11: %s of %s takes %d nodes away in truth where %s may be%s%s", deed_names[a->deed], g->world.node[a->node].name, out,
					  budget->limit, b > 0 ? ", budget " : "", budget->name);
	}
	for (int i = 0; i < g->world.n; i++)
	{
		any_tainted |= g->world.node[i].tainted;
		serve += world_serves(&g->world.node[i]);
	}
	if (serve == 0 && !any_tainted && g->world.n > 1)
		game_fail(g, "D14: after %s of %s nobody serves in truth", deed_names[a->deed], g->world.node[a->node].name);
}

void
check_end(Game *g)
{
	bool		to_new = strcmp(g->check.version, "1.1.0") == 0;

	for (int i = 0; i < g->world.n; i++)
	{
		const Node *n = &g->world.node[i];
		const NodeRow *row = &g->check.node[i];

		if (!row->there)
			continue;
		if (!n->running && n->refused && n->runs_new != to_new)
			continue;
		if (!n->running)
			game_fail(g, "L5: %s is left stopped", n->name);
		else if (!n->in && row->attached && g->scene.phase[DEED_ISOLATE])
			game_fail(g, "L5: %s is left out of rotation", n->name);
		else if (n->runs_new != to_new && !n->tainted)
			game_fail(g, "L9: %s runs %s, the cluster is at %s", n->name, n->runs_new ? "1.1.0" : "1.0.0", g->check.version);
		else if (row->taken)
			game_fail(g, "L5: %s is still in flight", n->name);
	}
	if (g->scene.phase[DEED_UNPREPARE] && g->world.prepared)
		game_fail(g, "D8: what was prepared is not undone");
	if (strcmp(g->ended, "completed") == 0 && g->scene.phase[DEED_TASK] && g->world.tasks == 0)
		game_fail(g, "L14: the task was never done");
}

void
check_agreement(Game *g, int node)
{
	char	   *statement = text("SELECT sim_agree('%s')", g->world.node[node].name);
	Outcome		o = game_run(g, "person", statement, FATE_COMMIT);
	const char *said = o.done ? field(o.rows, 0, 0) : o.message;

	if (said == NULL || strcmp(said, "agreed") == 0)
		g->compared++;
	else if (strcmp(said, "no candidate") != 0)
		game_fail(g, "L22: zdu_why and the exchange do not agree about %s: %s", g->world.node[node].name, said);
	base_free(&o);
	free(statement);
}
