/*
 * catalogue.c
 *	  What is known of a product's releases.
 */
#include "store/catalogue.h"

#include "catalog/pg_type.h"

static ZduQuery releases_of_product = {
	.text = "SELECT version::text, blocked, compatible FROM zdu.release WHERE product = $1 ORDER BY version",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery paths_of_product = {
	.text = "SELECT from_low::text, from_high::text, to_low::text, to_high::text, how = 'restart', reason FROM zdu.release_path "
	"WHERE product = $1 ORDER BY from_low, from_high, to_low, to_high",
	.nargs = 1, .argtypes = {TEXTOID}
};

/* The version of another product is what the cluster's variable says, or else what clusters of that product run. */
static ZduQuery required_versions = {
	.text =
	"SELECT q.key, q.value->>'min', q.value->>'max', k.version "
	"FROM zdu.release r CROSS JOIN jsonb_each(r.requires) AS q(key, value) JOIN zdu.cluster c ON c.cluster_id = $1 "
	"LEFT JOIN LATERAL (SELECT c.vars->>(q.key || '_version') AS version WHERE c.vars ? (q.key || '_version') "
	"  UNION ALL SELECT o.version::text FROM zdu.cluster o WHERE o.product = q.key AND NOT c.vars ? (q.key || '_version')) k ON true "
	"WHERE r.product = $2 AND r.version = $3::zdu_version ORDER BY q.key, k.version",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

static ZduQuery newest_release = {
	.text = "SELECT version::text FROM zdu.release WHERE product = $1 AND blocked IS NULL AND version > $2::zdu_version "
	"ORDER BY version DESC LIMIT 1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

char *
zdu_catalogue_newest(const char *product, const char *above)
{
	zdu_run(&newest_release, (ZduArg[]) {zdu_text(product), zdu_text(above)});
	return zdu_first_text();
}

ZduCatalogue *
zdu_catalogue_load(const char *product)
{
	ZduCatalogue *c = palloc0(sizeof(ZduCatalogue));
	uint64		rows = zdu_run(&releases_of_product, (ZduArg[]) {zdu_text(product)});
	ZduReader	r = zdu_reader();
	ZduRelease *releases = palloc(sizeof(ZduRelease) * (rows + 1));
	ZduEdge    *edges;

	for (; zdu_next_row(&r); c->nreleases++)
	{
		releases[c->nreleases].version = zdu_read_text(&r);
		releases[c->nreleases].blocked = zdu_read_text(&r);
		releases[c->nreleases].compatible = zdu_read_bool(&r);
	}
	c->releases = releases;

	rows = zdu_run(&paths_of_product, (ZduArg[]) {zdu_text(product)});
	r = zdu_reader();
	edges = palloc(sizeof(ZduEdge) * (rows + 1));
	for (; zdu_next_row(&r); c->nedges++)
	{
		ZduEdge    *e = &edges[c->nedges];

		e->from_low = zdu_read_text(&r);
		e->from_high = zdu_read_text(&r);
		e->to_low = zdu_read_text(&r);
		e->to_high = zdu_read_text(&r);
		e->restart = zdu_read_bool(&r);
		e->reason = zdu_read_text(&r);
	}
	c->edges = edges;
	return c;
}

char *
zdu_catalogue_unmet(const ZduFacts *f, const char *release)
{
	ZduReader	r;

	zdu_run(&required_versions, (ZduArg[]) {zdu_int8(f->cluster_id), zdu_text(f->product), zdu_text(release)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *product = zdu_read_text(&r);
		char	   *low = zdu_read_text(&r);
		char	   *high = zdu_read_text(&r);
		char	   *version = zdu_read_text(&r);

		if (version == NULL)
			return psprintf("%s needs %s, whose version is not known", release, product);
		if (!zdu_path_within(version, low, high))
			return psprintf("%s needs %s %s%s%s, it is %s", release, product, low != NULL ? psprintf("from %s", low) : "",
							low != NULL && high != NULL ? " " : "", high != NULL ? psprintf("up to %s", high) : "", version);
	}
	return NULL;
}
