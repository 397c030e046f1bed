/*
 * basis.c
 *	  What a plan rests on, as a hash.
 *
 * Nobody is to be kept from making another plan of the same hash: it guards
 * against what changed by itself, so that a few digits of each part are enough.
 */
#include "store/basis.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"

#define PART_LENGTH 8

static ZduQuery parts = {
	.text =
	"WITH c AS (SELECT * FROM zdu.cluster WHERE cluster_id = $1) "
	"SELECT b.part, left(encode(sha256(convert_to(coalesce(b.basis, ''), 'UTF8')), 'hex'), $5) FROM ("
	"  SELECT 1 AS ord, 'arguments' AS part, jsonb_build_array($2::text, $3::text, $4::integer)::text AS basis "
	"  UNION ALL SELECT 2, 'versions', (SELECT c.version::text FROM c) "
	"  UNION ALL SELECT 3, 'nodes', (SELECT string_agg(md5(jsonb_build_array(n.name, n.address, n.node_group, n.zone, n.role, n.labels, n.vars, "
	"      n.attached, n.version)::text), '' ORDER BY n.name) FROM zdu.node n WHERE n.cluster_id = $1) "
	"  UNION ALL SELECT 4, 'policy', (SELECT (to_jsonb(p) - 'shipped')::text FROM c JOIN zdu.current_policy p ON p.name = c.policy) "
	"  UNION ALL SELECT 5, 'budgets', (SELECT string_agg((to_jsonb(b) - '{budget_id,cluster_id}'::text[])::text, '' ORDER BY b.name) "
	"      FROM zdu.budget b WHERE b.cluster_id = $1) "
	"  UNION ALL SELECT 6, 'gates', (SELECT string_agg((to_jsonb(g) - 'cluster_id')::text, '' ORDER BY g.name) FROM zdu.gate g WHERE g.cluster_id = $1) "
	"  UNION ALL SELECT 7, 'runbook', (SELECT jsonb_build_array(r.name, r.hash, c.vars)::text FROM c JOIN zdu.runbook r ON r.name = c.runbook "
	"      ORDER BY r.shipped, r.revision DESC LIMIT 1) "
	"  UNION ALL SELECT 8, 'releases', (SELECT coalesce(string_agg(to_jsonb(r)::text, '' ORDER BY r.version), '') FROM zdu.release r WHERE r.product = (SELECT product FROM c)) "
	"      || (SELECT coalesce(string_agg(to_jsonb(e)::text, '' ORDER BY e.from_low, e.from_high, e.to_low, e.to_high), '') "
	"          FROM zdu.release_path e WHERE e.product = (SELECT product FROM c)) "
	"  UNION ALL SELECT 9, 'freezes', (SELECT string_agg(jsonb_build_array(z.name, z.kind, z.during, z.selector)::text, '' ORDER BY z.name) "
	"      FROM zdu.calendar k JOIN zdu.freeze z ON z.freeze_id = k.freeze_id WHERE k.cluster_id = $1)) b "
	"ORDER BY b.ord",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, TEXTOID, INT4OID, INT4OID}
};

static ZduReader
read_parts(const ZduFacts *f, const ZduPlanWish *wish)
{
	zdu_run(&parts, (ZduArg[]) {
		zdu_int8(f->cluster_id), zdu_text(wish->target), zdu_text(wish->node_group), zdu_int4(wish->canary), zdu_int4(PART_LENGTH)
	});
	return zdu_reader();
}

char *
zdu_basis_hash(const ZduFacts *f, const ZduPlanWish *wish)
{
	ZduReader	r = read_parts(f, wish);
	StringInfoData hash;

	initStringInfo(&hash);
	while (zdu_next_row(&r))
	{
		(void) zdu_read_text(&r);
		appendStringInfo(&hash, "%s%s", hash.len > 0 ? "-" : "", zdu_read_text(&r));
	}
	return hash.data;
}

char *
zdu_basis_changed(const ZduFacts *f, const ZduPlanWish *wish, const char *hash)
{
	ZduReader	r = read_parts(f, wish);
	StringInfoData changed;
	const char *rest = hash;
	bool		good = true;

	initStringInfo(&changed);
	while (good && zdu_next_row(&r))
	{
		char	   *part = zdu_read_text(&r);
		char	   *now = zdu_read_text(&r);

		if (rest > hash)
			good = *rest++ == '-';
		good = good && strspn(rest, "0123456789abcdef") == PART_LENGTH;
		if (good && strncmp(rest, now, PART_LENGTH) != 0)
			appendStringInfo(&changed, "%s%s", changed.len > 0 ? ", " : "", part);
		rest += good ? PART_LENGTH : 0;
	}
	if (!good || *rest != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no hash of a plan", hash),
				 errdetail("N14: it is what zdu_plan_summary() gives as hash."),
				 errhint("SELECT hash FROM zdu_plan_summary('%s')", f->name)));
	return changed.len > 0 ? changed.data : NULL;
}
