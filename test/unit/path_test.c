/*
 * path_test.c
 *	  Promise: a rolling step is taken only where the policy or the catalogue
 *	  says that it is safe, and the chain of releases that is found is the
 *	  shortest of all.  Prints TAP.
 */
#include <string.h>

#include "core/path.h"
#include "core/version.h"
#include "tap.h"

static ZduFacts
policy(const char *version_step, const char *min_version, bool latest_patch)
{
	ZduFacts	f = {0};

	f.name = f.product = "shop";
	f.policy = "own";
	f.version_step = version_step;
	f.min_version = min_version;
	f.require_latest_patch = latest_patch;
	return f;
}

/* ---- by what the policy says ---- */

static const ZduEdge to_the_next_major = {"7.9", "7.9", "8.0", "8.0", false, NULL};

static const struct
{
	const char *rule;
	const char *policy;
	const char *from;
	const char *to;
	const char *min_version;
	bool		known;
	bool		allowed;
}			steps[] = {
	{"V2", "next_minor", "7.5.3", "7.6.2", NULL, false, true},
	{"V2", "next_minor", "7.5.3", "7.7.2", NULL, false, false},
	{"V2", "next_minor", "7.9", "7.10", NULL, false, true},
	{"V2", "next_minor", "7.9", "8.0", NULL, false, false},
	{"V2", "any", "7.9", "8.0", NULL, false, true},
	{"V2", "any", "7.9", "9.0", NULL, false, false},
	{"V4", "next_minor", "7.9", "8.0", NULL, true, true},
	{"V2", "next_minor", "7.4", "7.5", "7.5", false, false},
	{"V2", "next_minor", "7.5", "7.6", "7.5", false, true},
	{"V2", "patch", "7.5", "7.6", NULL, false, false},
	{"V2", "same_major", "7.5", "7.9", NULL, false, true},
	{"V2", "same_major", "7.5", "8.0", NULL, false, false},
	{"V4", "listed", "7.5", "7.6", NULL, false, false},
	{"V4", "listed", "7.9.1", "8.0.2", NULL, true, true},
	{"V5", "patch", "0.48.1", "0.48.3", NULL, false, true},
	{"V5", "listed", "0.48.1", "0.48.3", NULL, false, true},
	{"V5", "next_minor", "7.4.1", "7.4.2", "7.5", false, true},
	{"V7", "any", "7.6", "7.5", NULL, false, false},
	{"V7", "any", "7.6.1", "7.6.0", NULL, false, false},
	{"V7", "any", "8.0", "7.9", NULL, true, false},
	{"V7", "any", "7.6", "7.6-rc.1", NULL, false, false}
};

static void
test_steps(void)
{
	for (int i = 0; i < lengthof(steps); i++)
	{
		ZduFacts	f = policy(steps[i].policy, steps[i].min_version, false);
		ZduCatalogue c = {NULL, 0, &to_the_next_major, steps[i].known ? 1 : 0};
		ZduVerdict	v;

		zdu_path_judge(&f, &c, steps[i].from, steps[i].to, &v);
		ok((v.answer == ANSWER_YES) == steps[i].allowed && strcmp(v.rule, steps[i].rule) == 0 &&
		   (v.answer == ANSWER_YES || v.hint[0] != '\0'),
		   steps[i].rule, "%s to %s under %s%s%s%s: %s", steps[i].from, steps[i].to, steps[i].policy,
		   steps[i].known ? ", listed" : "", steps[i].min_version != NULL ? ", from " : "",
		   steps[i].min_version != NULL ? steps[i].min_version : "", v.answer == ANSWER_YES ? "yes" : "no");
	}
}

/* ---- by what is known of the releases ---- */

static const ZduRelease releases[] = {
	{"0.47.0", NULL, true}, {"0.47.4", NULL, true}, {"0.47.5", "loses shards", true},
	{"0.48.0", NULL, true}, {"0.48.1", NULL, true}, {"0.49.0", NULL, true}, {"0.50.0", NULL, false}, {"0.51.0", NULL, true}
};

static const ZduEdge edges[] = {
	{"0.47.0", "0.47.3", "0.48.0", "0.48.0", false, NULL},
	{"0.47.4", "0.47", "0.48.0", "0.48", false, NULL},
	{"0.48", "0.48", "0.49", "0.49", true, "the index format changes"},
	{"0.48.1", "0.48", "0.49.0", "0.49.0", false, NULL},
	{"0.49", "0.50", "0.50", "0.51", false, NULL}
};

static const ZduCatalogue known = {releases, lengthof(releases), edges, lengthof(edges)};

static const struct
{
	const char *rule;
	const char *claim;
	const char *policy;
	bool		latest_patch;
	const char *from;
	const char *to;
	bool		allowed;
}			judged[] = {
	{"V4", "an edge from the minimum patch on is safe", "listed", false, "0.47.4", "0.48.1", true},
	{"V4", "below the minimum patch there is no edge", "listed", false, "0.47.3", "0.48.1", false},
	{"V4", "what begins with the high bound is in the range", "listed", false, "0.47.9", "0.48.7", true},
	{"V4", "no edge is unsafe", "listed", false, "0.47.4", "0.49.0", false},
	{"V4", "one that takes a restart is no rolling step, though another edge calls it rolling", "listed", false, "0.48.1", "0.49.0", false},
	{"V4", "nor under a policy that asks for no edges", "any", false, "0.48.1", "0.49.0", false},
	{"V5", "a patch needs no edge", "listed", false, "0.47.0", "0.47.4", true},
	{"V6", "not even a patch to a blocked release", "listed", false, "0.47.4", "0.47.5", false},
	{"V3", "not from below the latest patch", "any", true, "0.47.0", "0.48.0", false},
	{"V3", "a blocked patch is not asked for", "any", true, "0.47.4", "0.48.0", true},
	{"V5", "to the latest patch itself one may always go", "any", true, "0.47.0", "0.47.4", true},
	{"V3", "an edge does not excuse from it", "listed", true, "0.47.0", "0.48.0", false},
	{"V9", "not to a release that is not backward compatible", "listed", false, "0.49.0", "0.50.0", false},
	{"V9", "nor over one", "any", false, "0.49.0", "0.51.0", false},
	{"V4", "from one on it goes on", "listed", false, "0.50.0", "0.51.0", true}
};

static void
test_judged(void)
{
	for (int i = 0; i < lengthof(judged); i++)
	{
		ZduFacts	f = policy(judged[i].policy, NULL, judged[i].latest_patch);
		ZduVerdict	v;

		zdu_path_judge(&f, &known, judged[i].from, judged[i].to, &v);
		ok((v.answer == ANSWER_YES) == judged[i].allowed &&
		   (v.answer == ANSWER_YES || (v.hint[0] != '\0' && (strcmp(v.rule, judged[i].rule) == 0))),
		   judged[i].rule, "%s (%s to %s: %s)", judged[i].claim, judged[i].from, judged[i].to, v.observed);
	}
}

/* ---- the shortest chain ---- */

/* The fewest steps by trying every chain: slow, and without any of the finder's shortcuts. */
static int
try_all(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *to, int depth)
{
	ZduVerdict	v;
	int			best = 0;

	zdu_path_judge(f, c, from, to, &v);
	if (v.answer == ANSWER_YES)
		return 1;
	for (int i = 0; i < c->nreleases && depth > 1; i++)
	{
		const char *next = c->releases[i].version;
		int			rest;

		if (zdu_version_compare(next, from) <= 0 || zdu_version_compare(next, to) >= 0)
			continue;
		zdu_path_judge(f, c, from, next, &v);
		if (v.answer != ANSWER_YES)
			continue;
		rest = try_all(f, c, next, to, (best > 0 ? best : depth) - 1);
		if (rest > 0 && (best == 0 || rest + 1 < best))
			best = rest + 1;
	}
	return best;
}

static bool
is_legal(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *const *chain, int n, const char *to)
{
	for (int i = 0; i < n; i++)
	{
		ZduVerdict	v;

		zdu_path_judge(f, c, from, chain[i], &v);
		if (v.answer != ANSWER_YES)
			return false;
		from = chain[i];
	}
	return n == 0 || strcmp(from, to) == 0;
}

static uint32_t seed = 20260101;

static int
below(int n)
{
	seed = seed * 1664525u + 1013904223u;
	return (int) ((seed >> 8) % (uint32_t) n);
}

#define MINORS 4
#define PATCHES 2
#define MAX_EDGES 3

static void
test_chains(void)
{
	static const char *const version_steps[] = {"patch", "next_minor", "same_major", "listed", "any"};
	int			tried = 0;
	int			found = 0;
	bool		shortest = true;
	bool		legal = true;

	for (; tried < 3000; tried++)
	{
		char		names[MINORS * PATCHES][40];
		ZduRelease	some[MINORS * PATCHES];
		ZduEdge		paths[MAX_EDGES];
		ZduCatalogue c = {some, 0, paths, below(MAX_EDGES + 1)};
		ZduFacts	f = policy(version_steps[below(lengthof(version_steps))], NULL, below(3) == 0);
		const char *chain[MINORS * PATCHES + 1];
		int			n;

		for (int i = 0; i < MINORS * PATCHES; i++)
		{
			/* Two minors of each of two majors. */
			snprintf(names[i], sizeof(names[i]), "%d.%d.%d", 1 + i / PATCHES / 2, i / PATCHES % 2, i % PATCHES);
			if (i == 0 || i == MINORS * PATCHES - 1 || below(4) > 0)
				some[c.nreleases++] = (ZduRelease) {names[i], i > 0 && below(8) == 0 ? "bad" : NULL, below(16) > 0};
		}
		for (int i = 0; i < c.nedges; i++)
		{
			int			a = below(c.nreleases);
			int			b = below(c.nreleases);

			paths[i] = (ZduEdge) {some[a].version, some[a].version, some[b].version, some[b].version, below(3) == 0, NULL};
		}
		n = zdu_path_find(&f, &c, some[0].version, some[c.nreleases - 1].version, chain);
		found += n > 1;
		shortest = shortest && n == try_all(&f, &c, some[0].version, some[c.nreleases - 1].version, MINORS * PATCHES + 1);
		legal = legal && is_legal(&f, &c, some[0].version, chain, n, some[c.nreleases - 1].version);
	}
	ok(shortest && found > 100, "V8", "of %d catalogues, in %d of which one step is not legal and a chain is, each chain is as short as the best of all", tried, found);
	ok(legal, "V8", "and each of its steps is legal");
}

static void
test_way(void)
{
	ZduFacts	f = policy("next_minor", NULL, true);
	static const ZduRelease camunda[] = {
		{"7.5.3", NULL, true}, {"7.5.9", NULL, true}, {"7.6.0", NULL, true}, {"7.6.2", NULL, true}, {"7.7.0", NULL, true}, {"7.7.1", NULL, true}
	};
	ZduCatalogue c = {camunda, lengthof(camunda), NULL, 0};
	const char *chain[lengthof(camunda) + 1];
	int			n = zdu_path_find(&f, &c, "7.5.3", "7.7.1", chain);

	ok(n == 3 && strcmp(chain[0], "7.5.9") == 0 && strcmp(chain[1], "7.6.2") == 0 && strcmp(chain[2], "7.7.1") == 0,
	   "V8", "it goes by the latest patches where the policy wants them: 7.5.9, 7.6.2, 7.7.1");
	ok(zdu_path_find(&f, &c, "7.5.3", "9.0.0", chain) == 0, "V8", "where no chain leads there is none");
}

int
main(void)
{
	test_steps();
	test_judged();
	test_chains();
	test_way();
	return tap_end();
}
