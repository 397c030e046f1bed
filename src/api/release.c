/*
 * release.c
 *	  What is known of releases and of the steps between them, and the way from one to another.
 */
#include "api/api.h"

#include "api/version.h"
#include "catalog/pg_type.h"
#include "core/path.h"
#include "errcodes.h"
#include "funcapi.h"
#include "store/catalogue.h"
#include "store/event.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_set_release);
PG_FUNCTION_INFO_V1(zdu_set_path);
PG_FUNCTION_INFO_V1(zdu_drop_path);
PG_FUNCTION_INFO_V1(zdu_path);

static ZduQuery upsert_release = {
	.text =
	"INSERT INTO zdu.release AS r (product, version, blocked, requires, compatible) "
	"VALUES ($1, $2::zdu_version, nullif($3, ''), coalesce($4, '{}'), coalesce($5, true)) "
	"ON CONFLICT (product, version) DO UPDATE SET blocked = CASE WHEN $3 IS NULL THEN r.blocked ELSE nullif($3, '') END, "
	"  requires = coalesce($4, r.requires), compatible = coalesce($5, r.compatible) "
	"WHERE ($3 IS NOT NULL AND r.blocked IS DISTINCT FROM nullif($3, '')) OR r.requires <> coalesce($4, r.requires) "
	"  OR r.compatible <> coalesce($5, r.compatible) RETURNING xmax = 0",
	.nargs = 5, .argtypes = {TEXTOID, TEXTOID, TEXTOID, JSONBOID, BOOLOID}
};

static ZduQuery required_products = {
	.text = "SELECT q.key, q.value->>'min', q.value->>'max', jsonb_typeof(q.value) = 'object' AND q.value - 'min' - 'max' = '{}' AND q.value <> '{}' "
	"FROM jsonb_each($1) AS q(key, value)",
	.nargs = 1, .argtypes = {JSONBOID}
};

static ZduQuery upsert_path = {
	.text =
	"INSERT INTO zdu.release_path AS p (product, from_low, from_high, to_low, to_high, how, reason) "
	"VALUES ($1, $2::zdu_version, $3::zdu_version, $4::zdu_version, $5::zdu_version, coalesce($6, 'rolling'), $7) "
	"ON CONFLICT (product, from_low, from_high, to_low, to_high) DO UPDATE SET how = coalesce($6, p.how), reason = coalesce($7, p.reason) "
	"WHERE (p.how, p.reason) IS DISTINCT FROM (coalesce($6, p.how), coalesce($7, p.reason)) RETURNING xmax = 0",
	.nargs = 7, .argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

static ZduQuery delete_path = {
	.text =
	"DELETE FROM zdu.release_path WHERE product = $1 AND from_low = $2::zdu_version AND from_high = $3::zdu_version "
	"AND to_low = $4::zdu_version AND to_high = $5::zdu_version",
	.nargs = 5, .argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

/* Returns what an upsert with RETURNING xmax = 0 has done. */
static const char *
what_was_done(void)
{
	ZduReader	r = zdu_reader();

	if (!zdu_next_row(&r))
		return "unchanged";
	return zdu_read_bool(&r) ? "created" : "changed";
}

/* ERROR unless it says a range of versions for each product. */
static void
check_requires(Jsonb *requires)
{
	ZduReader	r;

	if (!JB_ROOT_IS_OBJECT(requires))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("requires is not an object"),
				 errdetail("V9: it has a key for each product."),
				 errhint("{\"elasticsearch\": {\"min\": \"7.10\", \"max\": \"8\"}}")));
	zdu_run(&required_products, (ZduArg[]) {zdu_jsonb(requires)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *product = zdu_read_text(&r);
		char	   *low = zdu_read_text(&r);
		char	   *high = zdu_read_text(&r);

		if (!zdu_read_bool(&r))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("requires says no range of versions of \"%s\"", product),
					 errdetail("V9: a range is an object of \"min\", \"max\" or both, nothing else."),
					 errhint("{\"%s\": {\"min\": \"7.10\", \"max\": \"8\"}}", product)));
		if (low != NULL)
			zdu_version_check(low);
		if (high != NULL)
			zdu_version_check(high);
	}
}

Datum
zdu_set_release(PG_FUNCTION_ARGS)
{
	char	   *product = zdu_arg_required(fcinfo, 0, "product");
	char	   *version = zdu_arg_required(fcinfo, 1, "version");
	char	   *blocked = zdu_arg_text(fcinfo, 2);
	Jsonb	   *requires = zdu_arg_jsonb(fcinfo, 3);
	const char *result;
	ZduCall		call;

	zdu_version_check(version);
	zdu_call_begin(&call, "zdu_set_release", NULL);
	if (requires != NULL)
		check_requires(requires);
	zdu_run(&upsert_release, (ZduArg[]) {
		zdu_text(product), zdu_text(version), zdu_text(blocked), zdu_jsonb(requires),
		zdu_datum(PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4), PG_ARGISNULL(4))
	});
	result = what_was_done();
	if (strcmp(result, "unchanged") != 0)
		zdu_event_note(NULL, "release", NULL, psprintf("%s %s %s", product, version, result), "V6", blocked);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

#define BOUNDS 4

static const char *const bound_names[BOUNDS] = {"from_low", "from_high", "to_low", "to_high"};

/* Reads product and bounds, the arguments that both functions about paths begin with. */
static void
read_bounds(FunctionCallInfo fcinfo, char **product, char *bounds[BOUNDS])
{
	*product = zdu_arg_required(fcinfo, 0, "product");
	for (int i = 0; i < BOUNDS; i++)
	{
		bounds[i] = zdu_arg_required(fcinfo, 1 + i, bound_names[i]);
		zdu_version_check(bounds[i]);
	}
}

Datum
zdu_set_path(PG_FUNCTION_ARGS)
{
	char	   *product;
	char	   *bounds[BOUNDS];
	char	   *how = zdu_arg_text(fcinfo, 5);
	char	   *reason = zdu_arg_text(fcinfo, 6);
	const char *result;
	ZduCall		call;

	read_bounds(fcinfo, &product, bounds);
	zdu_call_begin(&call, "zdu_set_path", NULL);
	zdu_run(&upsert_path, (ZduArg[]) {
		zdu_text(product), zdu_text(bounds[0]), zdu_text(bounds[1]), zdu_text(bounds[2]), zdu_text(bounds[3]), zdu_text(how), zdu_text(reason)
	});
	result = what_was_done();
	if (strcmp(result, "unchanged") != 0)
		zdu_event_note(NULL, "path", NULL, psprintf("%s %s - %s to %s - %s %s: %s", product, bounds[0], bounds[1], bounds[2], bounds[3], how != NULL ? how : "", result),
					   "V4", reason);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_drop_path(PG_FUNCTION_ARGS)
{
	char	   *product;
	char	   *bounds[BOUNDS];
	ZduCall		call;

	read_bounds(fcinfo, &product, bounds);
	zdu_call_begin(&call, "zdu_drop_path", NULL);
	if (zdu_run(&delete_path, (ZduArg[]) {
		zdu_text(product), zdu_text(bounds[0]), zdu_text(bounds[1]), zdu_text(bounds[2]), zdu_text(bounds[3])
	}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no such path of product \"%s\"", product),
				 errdetail("V4: nothing is said of %s - %s to %s - %s.", bounds[0], bounds[1], bounds[2], bounds[3]),
				 errhint("SELECT * FROM zdu.release_path WHERE product = '%s'", product)));
	zdu_event_note(NULL, "path", psprintf("%s %s - %s to %s - %s", product, bounds[0], bounds[1], bounds[2], bounds[3]), "dropped", "V4", NULL);
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text("dropped"));
}

Datum
zdu_path(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	char	   *target = zdu_arg_required(fcinfo, 1, "target");
	ZduCall		call;
	ZduFacts   *f;
	ZduCatalogue *c;
	const char **steps;
	const char *from;
	int			n;

	zdu_version_check(target);
	InitMaterializedSRF(fcinfo, 0);
	zdu_call_look(&call, "zdu_path", cluster);
	f = call.f;
	if (f == NULL)
		zdu_no_such_cluster(cluster);
	from = f->version != NULL ? f->version : f->lowest_known;
	c = zdu_catalogue_load(f->product);
	steps = palloc(sizeof(char *) * (c->nreleases + 1));
	n = from != NULL ? zdu_path_find(f, c, from, target, steps) : 0;
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ZDU_REFUSED),
				 errmsg("no way is known from %s to %s for cluster \"%s\"", from != NULL ? from : "a version not seen", target, cluster),
				 errdetail("V8: %d releases of %s are known, and no chain of them is legal under policy \"%s\".", c->nreleases, f->product, f->policy),
				 errhint("SELECT zdu_set_release('%s', '...')", f->product)));
	for (int i = 0; i < n; i++)
	{
		const char *row[] = {
			psprintf("%d", i + 1), from, steps[i], i == 0 ? psprintf("SELECT zdu_begin('%s', '%s')", cluster, steps[i]) : NULL
		};

		zdu_put_row(rsinfo, row);
		from = steps[i];
	}
	zdu_leave(&call.session);
	return (Datum) 0;
}
