/*
 * scene.c
 *	  A cluster as chance has it.
 *
 * Sequences begin anew with each, so that a seed gives the same ids and tokens
 * whatever was played before.
 */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

static const char *const zones[] = {"a", "b", "c"};
static const char *const roles[] = {"web", "batch"};

int
scene_limit(const char *limit, int total)
{
	int			n = atoi(limit);

	if (strchr(limit, '%') != NULL)
		n = total * n / 100;
	if (n > total - 1)
		n = total - 1;
	return n < 1 ? 1 : n;
}

static void
must(char *statement)
{
	PQclear(base_must(statement));
	free(statement);
}

/* No roll is to depend on when a server finds time to tidy up. */
void
scene_init(void)
{
	PGresult   *r = base_must("SELECT string_agg(format('ALTER TABLE %s SET (autovacuum_enabled = off)', c.oid::regclass), ';') FROM pg_class c "
							  "WHERE c.relnamespace = 'zdu'::regnamespace AND c.relkind = 'r'");

	PQclear(base_must(field(r, 0, 0)));
	PQclear(r);
}

/*
 * Every row that no roll began with: tables are what they were before the
 * first one, also in the order of their rows.
 */
static void
remove_last_scene(void)
{
	PGresult   *r = base_must("SELECT string_agg(format('TRUNCATE %s CASCADE;', c.oid::regclass), '') FROM pg_class c "
							  "WHERE c.relnamespace = 'zdu'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('policy', 'runbook', 'privilege') "
							  "AND pg_relation_size(c.oid) > 0");

	must(text("SET session_replication_role = replica; %s DELETE FROM zdu.policy WHERE NOT shipped; DELETE FROM zdu.runbook WHERE NOT shipped; "
			  "ALTER SEQUENCE zdu.id_seq RESTART; ALTER SEQUENCE zdu.token_seq RESTART", field(r, 0, 0) != NULL ? field(r, 0, 0) : ""));
	PQclear(r);
}

static void
set_limit(Dice *d, char *limit, int total)
{
	if (dice_percent(d, 30))
		snprintf(limit, 8, "%d%%", dice_between(d, 10, 60));
	else
		snprintf(limit, 8, "%d", dice_between(d, 1, total > 20 ? 10 : 3));
}

static void
make_policy(Scene *s, Dice *d)
{
	static const char *const on_failure[] = {"hold", "hold", "rollback"};
	int			failure = dice_below(d, 3);

	s->nbudgets = 1;
	set_limit(d, s->budget[0].limit, s->nodes);
	memset(s->budget[0].member, true, sizeof(s->budget[0].member));
	s->primaries = dice_percent(d, 25);
	s->forced = dice_percent(d, 30);
	s->rollback = failure == 2 || dice_percent(d, 90);
	must(text("SELECT zdu_set_policy('" CLUSTER "', settings => '{\"max_unavailable\": \"%s\", \"min_healthy_time\": \"%d s\", \"lease\": \"%d s\","
			  "\"heartbeat_ttl\": \"%d s\", \"max_failures\": %d, \"on_failure\": \"%s\", \"rollback\": \"%s\", \"drain_on_timeout\": \"%s\","
			  "\"finalize\": \"%s\", \"offline_at_end\": \"%s\", \"min_availability\": \"%s\", \"drain_timeout\": \"%d s\","
			  "\"start_timeout\": \"%d s\", \"stop_timeout\": \"%d s\", \"auto_adopt\": false}')",
			  s->budget[0].limit, dice_below(d, 4) * 5, dice_between(d, 5, 40), dice_between(d, 10, 60), dice_below(d, 3),
			  on_failure[failure], s->rollback ? "allow" : "never", s->forced ? "force" : "abort",
			  dice_percent(d, 50) ? "auto" : "approve", dice_percent(d, 80) ? "drop" : "fence", s->primaries ? "primaries" : "none",
			  dice_between(d, 20, 90), dice_between(d, 30, 120), dice_between(d, 20, 60)));
}

/* Appends a phase, as it may be. */
static char *
add_phase(char *before, Dice *d, const char *name, const char *rest)
{
	char	   *whole = text("%s%s\"%s\": {\"exec\": \"svc\", \"args\": [\"%s\"], \"every\": \"%ds\", \"retries\": %d, \"retry_delay\": \"%ds\", "
							 "\"may_outlive\": %s, %s}",
							 before, *before ? ", " : "", name, name, dice_between(d, 1, 5), dice_percent(d, 30) ? dice_between(d, 1, 2) : 0,
							 dice_between(d, 0, 3), dice_percent(d, 20) ? "true" : "false", rest);

	free(before);
	return whole;
}

static void
make_runbook(Scene *s, Dice *d)
{
	static const struct
	{
		Deed		deed;
		int			percent;	/* how often there is such a phase */
		const char *rest;
	}			phases[] = {
		{DEED_ISOLATE, 95, "\"until\": \"$.rotation == \\\"out\\\"\""},
		{DEED_DRAIN, 60, "\"only\": \"probe\", \"until\": \"$.requests == 0\""},
		{DEED_STOP, 100, "\"timeout\": \"30s\", \"until\": \"$.running == false\""},
		{DEED_UPGRADE, 100, "\"timeout\": \"40s\", \"until\": \"$.installed == $version\""},
		{DEED_START, 100, "\"until\": \"$.running == true\""},
		{DEED_VERIFY, 100, "\"only\": \"probe\", \"timeout\": \"40s\", \"until\": \"$.well == true && $.version == $version\""},
		{DEED_INTEGRATE, 100, "\"until\": \"$.rotation == \\\"in\\\"\""}
	};
	char	   *node = text("%s", "");

	for (int i = 0; i < (int) (sizeof(phases) / sizeof(phases[0])); i++)
	{
		s->phase[phases[i].deed] = dice_percent(d, phases[i].percent) || (phases[i].deed <= DEED_DRAIN && s->primaries);
		/* What is not taken out need not be put back. */
		if (phases[i].deed == DEED_INTEGRATE)
			s->phase[DEED_INTEGRATE] = s->phase[DEED_ISOLATE];
		if (s->phase[phases[i].deed])
			node = add_phase(node, d, deed_names[phases[i].deed], phases[i].rest);
	}
	s->phase[DEED_PREPARE] = dice_percent(d, 30);
	s->phase[DEED_UNPREPARE] = s->phase[DEED_PREPARE] && dice_percent(d, 70);
	s->phase[DEED_TASK] = dice_percent(d, 30);
	must(text("SELECT zdu_set_runbook('" CLUSTER "', '{\"zdu_runbook\": 1, "
			  "\"observe\": {\"exec\": \"svc\", \"args\": [\"health\"], \"version\": \"$.version\", \"active\": \"$.well == true\", \"every\": \"%ds\"},"
			  "\"node\": {%s}%s%s%s}')",
			  dice_between(d, 2, 8), node,
			  s->phase[DEED_PREPARE] ? ", \"before\": [{\"exec\": \"svc\", \"args\": [\"prepare\"], \"until\": \"$.prepared == true\"" : "",
			  s->phase[DEED_UNPREPARE] ? ", \"undo\": {\"exec\": \"svc\", \"args\": [\"unprepare\"], \"until\": \"$.prepared == false\"}}]" :
			  s->phase[DEED_PREPARE] ? "}]" : "",
			  s->phase[DEED_TASK] ? ", \"after\": [{\"exec\": \"svc\", \"args\": [\"task\"], \"until\": \"$.tasks > 0\"}]" : ""));
	free(node);
}

static void
make_nodes(Scene *s, World *w, Dice *d, int *zone, int *role)
{
	must(text("SELECT zdu_set_cluster('" CLUSTER "', policy => '" CLUSTER "', runbook => '" CLUSTER "')"));
	for (int i = 0; i < s->nodes; i++)
	{
		Node	   *n = &w->node[i];

		zone[i] = dice_below(d, 3);
		role[i] = dice_below(d, 2);
		snprintf(n->name, sizeof(n->name), "app%d", i + 1);
		n->there = n->running = n->in = true;
		must(text("SELECT zdu_set_node('" CLUSTER "', '%s', zone => '%s', role => '%s', labels => '{\"odd\": \"%s\"}')",
				  n->name, zones[zone[i]], roles[role[i]], i % 2 ? "yes" : "no"));
	}
}

/* Two groups, blue and default. */
static void
make_groups(Scene *s, Dice *d)
{
	char	   *names = text("app1");

	s->grouped = s->blue[0] = true;
	for (int i = 1; i < s->nodes - 1; i++)
		if ((s->blue[i] = dice_percent(d, 40)))
		{
			char	   *more = text("%s,app%d", names, i + 1);

			free(names);
			names = more;
		}
	must(text("SELECT zdu_set_group('" CLUSTER "', 'blue', '{%s}')", names));
	free(names);
}

/* Some of the nodes by where they are, with a limit of their own. */
static void
make_budgets(Scene *s, Dice *d, const int *zone, const int *role)
{
	int			more = dice_percent(d, 50) ? dice_between(d, 1, 6) : 0;

	for (int k = 0; k < more; k++)
	{
		SceneBudget *b = &s->budget[s->nbudgets];
		int			kind = dice_below(d, 3);
		int			which = dice_below(d, kind == 0 ? 3 : 2);
		char	   *selector;
		bool		rate = dice_percent(d, 25);
		int			members = 0;

		for (int i = 0; i < s->nodes; i++)
		{
			b->member[i] = kind == 0 ? zone[i] == which : kind == 1 ? role[i] == which : i % 2 == which;
			members += b->member[i];
		}
		if (members < 2)
			continue;
		snprintf(b->name, sizeof(b->name), "b%d", k);
		set_limit(d, b->limit, members);
		selector = kind == 0 ? text("{\"zone\": \"%s\"}", zones[which]) :
			kind == 1 ? text("{\"role\": \"%s\"}", roles[which]) : text("{\"label\": {\"odd\": \"%s\"}}", which ? "yes" : "no");
		must(text("SELECT zdu_set_budget('" CLUSTER "', '%s', selector => '%s', max_unavailable => '%s'%s)", b->name, selector, b->limit,
				  rate ? ", max_begun => 2, per_interval => '20 s'" : ""));
		b->begun = rate ? 2 : 0;
		b->per_interval = 20;
		free(selector);
		s->nbudgets++;
	}
}

/* Data with copies, of which a majority stays there. */
static void
make_copies(Scene *s, Dice *d)
{
	if (!s->primaries || s->nodes < 3)
		return;
	s->nresources = dice_between(d, 1, s->nodes < MAX_RESOURCES ? s->nodes : MAX_RESOURCES);
	for (int k = 0; k < s->nresources; k++)
	{
		SceneResource *r = &s->resource[k];
		int			first = dice_below(d, s->nodes);

		r->replicas = dice_between(d, 1, s->nodes - 1 < 3 ? s->nodes - 1 : 3);
		r->copies = r->replicas + 1;
		must(text("SELECT zdu_set_resource('" CLUSTER "', 'r%d', '%d')", k, r->replicas));
		for (int c = 0; c < r->copies; c++)
		{
			r->node[c] = (first + c) % s->nodes;
			must(text("SELECT zdu_set_placement('" CLUSTER "', 'r%d', 'app%d', '%s')", k, r->node[c] + 1, c == 0 ? "primary" : "replica"));
		}
	}
}

void
scene_make(Scene *s, World *w, uint64_t seed, int most_nodes)
{
	static int	zone[MAX_NODES];
	static int	role[MAX_NODES];
	Dice		d = dice_make(seed, 1);
	int			size = dice_below(&d, 1000);

	memset(s, 0, sizeof(*s));
	memset(w, 0, sizeof(*w));
	s->nodes = size < 3 ? dice_between(&d, 200, 1000) : size < 30 ? dice_between(&d, 30, 100) :
		size < 200 ? dice_between(&d, 9, 29) : size < 980 ? dice_between(&d, 2, 8) : 1;
	if (s->nodes > most_nodes)
		s->nodes = dice_between(&d, 2, most_nodes);
	s->workers = dice_between(&d, 1, 3);
	s->slots = s->nodes > 20 ? 10 : dice_between(&d, 1, 5);
	s->poll = dice_spread(&d, 1, 5);
	s->overlap = dice_percent(&d, 50) ? 25 : 0;
	s->speaking = dice_percent(&d, 30) ? dice_percent(&d, 50) ? 100 : 50 : 0;
	s->quick = 0.05;
	s->slow = dice_spread(&d, 0.5, 20);
	s->canary = dice_percent(&d, 15);
	w->n = s->nodes;
	w->refuses = dice_percent(&d, 60);
	w->gate_ok = w->gate_known = true;

	remove_last_scene();
	/* What a session remembers is of the last one. */
	base_reconnect();
	must(text("SET zdu.clock = %.0f", GAME_EPOCH));
	make_policy(s, &d);
	make_runbook(s, &d);
	make_nodes(s, w, &d, zone, role);
	if (s->nodes >= 4 && dice_percent(&d, 12))
		make_groups(s, &d);
	make_budgets(s, &d, zone, role);
	make_copies(s, &d);
	if (s->nodes == 1)
		must(text("SELECT zdu_waive('" CLUSTER "', 'D10', 'one is all there is')"));
	if (dice_percent(&d, 25))
		must(text("SELECT zdu_set_gate('" CLUSTER "', 'g', after => '%d%%', soak => '%d s'%s)", dice_between(&d, 1, 9) * 10, dice_between(&d, 1, 20),
				  dice_percent(&d, 40) ? ", approval => true" : ""));
	if (dice_percent(&d, 15))
		must(text("SELECT zdu_set_gate('" CLUSTER "', 'h', after => 'begin', "
				  "probe => '{\"exec\": \"svc\", \"args\": [\"gate\"]}', until => '$.ok == true', every => '2 s')"));
}
