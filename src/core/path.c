/*
 * path.c
 *	  Safe steps between versions, and chains of them.
 */
#include "core/path.h"

#include <stdlib.h>
#include <string.h>

#include "core/version.h"

#define lengthof_table(t) ((int) (sizeof(t) / sizeof((t)[0])))

/* What a step is judged by that does not depend on where it leads. */
typedef struct Origin
{
	const char *version;
	const char *latest_patch;	/* NULL: it is the latest of its minor, or nobody asks */
} Origin;

/* Which steps are safe without a word about them, by what the policy says. */
typedef struct StepRow
{
	const char *version_step;
	ZduVersionStep largest;
} StepRow;

static const StepRow step_rows[] = {
	{"patch", ZDU_STEP_PATCH},
	{"next_minor", ZDU_STEP_NEXT_MINOR},
	{"same_major", ZDU_STEP_SKIPS_MINOR},
	{"listed", ZDU_STEP_PATCH},
	{"any", ZDU_STEP_NEXT_MAJOR}
};

bool
zdu_path_within(const char *version, const char *low, const char *high)
{
	int			parts = 1;

	if (low != NULL && zdu_version_compare(version, low) < 0)
		return false;
	if (high == NULL)
		return true;
	for (const char *p = high; *p >= '.' && *p <= '9'; p++)
		parts += *p == '.';
	for (int n = 1; n <= parts; n++)
	{
		int64_t		a = zdu_version_part(version, n);
		int64_t		b = zdu_version_part(high, n);

		if (a != b)
			return a < b;
	}
	return true;
}

/* Returns the edge for a step; one that wants a restart comes first, for it is the careful word. */
static const ZduEdge *
find_edge(const ZduCatalogue *c, const char *from, const char *to)
{
	const ZduEdge *found = NULL;

	for (int i = 0; i < c->nedges; i++)
	{
		const ZduEdge *e = &c->edges[i];

		if (zdu_path_within(from, e->from_low, e->from_high) && zdu_path_within(to, e->to_low, e->to_high) &&
			(found == NULL || e->restart))
			found = e;
	}
	return found;
}

/* Returns the first release above from, up to to, that is not compatible with those before it. */
static const char *
find_break(const ZduCatalogue *c, const char *from, const char *to)
{
	for (int i = 0; i < c->nreleases; i++)
		if (!c->releases[i].compatible && zdu_version_compare(c->releases[i].version, from) > 0 &&
			zdu_version_compare(c->releases[i].version, to) <= 0)
			return c->releases[i].version;
	return NULL;
}

static const ZduRelease *
find_blocked(const ZduCatalogue *c, const char *version)
{
	for (int i = 0; i < c->nreleases; i++)
		if (c->releases[i].blocked != NULL && zdu_version_compare(c->releases[i].version, version) == 0)
			return &c->releases[i];
	return NULL;
}

const char *
zdu_path_latest_patch(const ZduCatalogue *c, const char *version)
{
	const char *latest = NULL;

	for (int i = 0; i < c->nreleases; i++)
		if (c->releases[i].blocked == NULL && zdu_version_step(version, c->releases[i].version) == ZDU_STEP_PATCH)
			latest = c->releases[i].version;
	return latest;
}

/* "2.3.1 to 2.6.0 skips 2.4 and 2.5" */
static void
say_skipped(ZduVerdict *v, const char *from, const char *to)
{
	long long	major = zdu_version_part(from, 1);
	long long	first = zdu_version_part(from, 2) + 1;
	long long	last = zdu_version_part(to, 2) - 1;

	if (first == last)
		zdu_say(v->observed, "%s to %s skips %lld.%lld", from, to, major, first);
	else
		zdu_say(v->observed, "%s to %s skips %lld.%lld %s %lld.%lld", from, to, major, first, first + 1 == last ? "and" : "to", major, last);
}

static void
refuse(ZduVerdict *v, const char *rule)
{
	v->rule = rule;
	zdu_answer(v, false);
}

static void
hint_path(ZduVerdict *v, const ZduFacts *f, const char *to)
{
	zdu_say(v->hint, "SELECT * FROM zdu_path('%s', target => '%s')", f->name, to);
}

/* What an edge, or the lack of one, says to a step that leaves its minor. */
static void
judge_edge(const ZduFacts *f, const ZduEdge *edge, ZduVersionStep step, const char *from, const char *to, ZduVerdict *v)
{
	ZduVersionStep largest = ZDU_STEP_PATCH;

	for (int i = 0; i < lengthof_table(step_rows); i++)
		if (strcmp(step_rows[i].version_step, f->version_step) == 0)
			largest = step_rows[i].largest;

	zdu_answer(v, true);
	hint_path(v, f, to);
	if (edge != NULL && edge->restart)
	{
		refuse(v, "V4");
		zdu_say(v->observed, "%s to %s takes a restart of the whole cluster%s%s", from, to,
				edge->reason != NULL ? ": " : "", edge->reason != NULL ? edge->reason : "");
		zdu_say(v->allowed, "not as a rolling step");
	}
	else if (edge != NULL)
		v->rule = "V4";
	else if (strcmp(f->version_step, "listed") == 0)
	{
		refuse(v, "V4");
		zdu_say(v->observed, "no edge leads from %s to %s: not known to be safe", from, to);
	}
	else if (step > largest)
	{
		refuse(v, "V2");
		if (step == ZDU_STEP_SKIPS_MINOR)
			say_skipped(v, from, to);
		else
			zdu_say(v->observed, step == ZDU_STEP_NEXT_MINOR ? "%s to %s is another minor version" : "%s to %s is another major version", from, to);
	}
}

static void
judge(const ZduFacts *f, const ZduCatalogue *c, const Origin *origin, const char *to, ZduVerdict *v)
{
	const char *from = origin->version;
	ZduVersionStep step = zdu_version_step(from, to);
	const ZduRelease *blocked;
	const char *broken;

	memset(v, 0, sizeof(*v));
	v->subject = "version_path";
	v->rule = "V2";
	zdu_say(v->observed, "%s to %s", from, to);
	zdu_say(v->allowed, "version_step is %s", f->version_step);

	if (step == ZDU_STEP_DOWNGRADE)
	{
		refuse(v, "V7");
		zdu_say(v->observed, "%s to %s is a downgrade", from, to);
		zdu_say(v->allowed, "only as a rollback");
		zdu_say(v->hint, "SELECT * FROM zdu.release WHERE product = '%s'", f->product);
		return;
	}
	blocked = find_blocked(c, to);
	if (blocked != NULL)
	{
		refuse(v, "V6");
		zdu_say(v->observed, "%s is blocked: %s", to, blocked->blocked);
		v->allowed[0] = '\0';
		zdu_say(v->hint, "SELECT version, blocked FROM zdu.release WHERE product = '%s'", f->product);
		return;
	}
	broken = find_break(c, from, to);
	if (broken != NULL)
	{
		refuse(v, "V9");
		zdu_say(v->observed, "the definitions of %s are not backward compatible", broken);
		zdu_say(v->allowed, "not as a rolling step");
		hint_path(v, f, to);
		return;
	}
	/* V5: a patch inside one minor is always safe. */
	if (step == ZDU_STEP_PATCH || step == ZDU_STEP_SAME)
	{
		v->rule = "V5";
		zdu_answer(v, true);
		return;
	}
	if (f->min_version != NULL && zdu_version_compare(from, f->min_version) < 0)
	{
		refuse(v, "V2");
		zdu_say(v->observed, "%s is below %s", from, f->min_version);
		zdu_say(v->allowed, "rolling upgrades from %s on", f->min_version);
		zdu_say(v->hint, "SELECT zdu_set_policy('%s-own', based_on => '%s', settings => '{\"min_version\": null}')", f->policy, f->policy);
		return;
	}
	judge_edge(f, find_edge(c, from, to), step, from, to, v);
	if (v->answer == ANSWER_YES && origin->latest_patch != NULL)
	{
		refuse(v, "V3");
		zdu_say(v->observed, "%s is below %s, the latest patch of its minor", from, origin->latest_patch);
		zdu_say(v->allowed, "a minor step from the latest patch");
	}
}

static Origin
origin_of(const ZduFacts *f, const ZduCatalogue *c, const char *version)
{
	Origin		origin = {version, f->require_latest_patch ? zdu_path_latest_patch(c, version) : NULL};

	return origin;
}

void
zdu_path_judge(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *to, ZduVerdict *v)
{
	Origin		origin = origin_of(f, c, from);

	judge(f, c, &origin, to, v);
}

/* A place that was reached, and from where. */
typedef struct Place
{
	const char *version;
	int			before;
	int			steps;
} Place;

/* Writes the way to a place. */
static void
write_way(const Place *places, int last, const char **steps)
{
	for (int i = last; places[i].steps > 0; i = places[i].before)
		steps[places[i].steps - 1] = places[i].version;
}

int
zdu_path_find(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *to, const char **steps)
{
	Place	   *places = malloc(sizeof(Place) * (size_t) (c->nreleases + 2));
	bool	   *reached = calloc((size_t) c->nreleases + 1, sizeof(bool));
	int			nplaces = 0;
	int			n = 0;

	if (places == NULL || reached == NULL)
	{
		free(places);
		free(reached);
		return 0;
	}
	places[nplaces++] = (Place) {from, 0, 0};
	/* Level by level, far releases first: the first way that arrives is the shortest. */
	for (int i = 0; i < nplaces && n == 0; i++)
	{
		Origin		origin = origin_of(f, c, places[i].version);
		ZduVerdict	v;

		judge(f, c, &origin, to, &v);
		if (v.answer == ANSWER_YES)
		{
			n = places[i].steps + 1;
			write_way(places, i, steps);
			steps[n - 1] = to;
			break;
		}
		for (int k = c->nreleases - 1; k >= 0; k--)
		{
			const char *next = c->releases[k].version;

			if (reached[k] || zdu_version_compare(next, places[i].version) <= 0 || zdu_version_compare(next, to) >= 0)
				continue;
			judge(f, c, &origin, next, &v);
			if (v.answer != ANSWER_YES)
				continue;
			reached[k] = true;
			places[nplaces++] = (Place) {next, i, places[i].steps + 1};
		}
	}
	free(places);
	free(reached);
	return n;
}
