/*
 * gate.c
 *	  Gates as they are stored.
 */
#include "store/gate.h"

#include "catalog/pg_type.h"
#include "store/args.h"
#include "store/vars.h"
#include "store/watch.h"
#include "utils/builtins.h"
#include "zdu.h"

#define GATE_COLUMNS \
	"SELECT name, place, waived, reached_at, waits_for, soak, soak_left, look IS NOT NULL, until, holds, seen, age, max_age, approval, approved, " \
	"needs_cluster, needs_is, needs_wanted, needs_met, watch_id FROM zdu.closed_gate "

static ZduQuery first_gate = {
	.text = GATE_COLUMNS "WHERE upgrade_id = $1 ORDER BY place, name LIMIT 1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery next_gate = {
	.text = GATE_COLUMNS "WHERE upgrade_id = $1 AND (place, name) > ($2, $3) ORDER BY place, name LIMIT 1",
	.nargs = 3, .argtypes = {INT8OID, INT4OID, TEXTOID}
};

static ZduQuery gates_to_pin = {
	.text =
	"SELECT name, probe, extract(epoch FROM timeout)::double precision, extract(epoch FROM every)::double precision "
	"FROM zdu.gate WHERE cluster_id = $1 ORDER BY name",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery pin_gate = {
	.text =
	"INSERT INTO zdu.upgrade_gate (upgrade_id, name, after, place, soak, look, until, vars, every, max_age, approval, on_fail) "
	"SELECT $1, g.name, g.after, "
	"  CASE g.after WHEN 'begin' THEN 0 WHEN 'end' THEN 2147483647 WHEN 'canary' THEN greatest($5, 1) ELSE zdu_limit(g.after, $4) END, "
	"  extract(epoch FROM g.soak), $6, g.until, $7, extract(epoch FROM g.every), extract(epoch FROM g.max_age), g.approval, g.on_fail "
	"FROM zdu.gate g WHERE g.cluster_id = $2 AND g.name = $3",
	.nargs = 7, .argtypes = {INT8OID, INT8OID, TEXTOID, INT4OID, INT4OID, JSONBOID, JSONBOID}
};

static ZduQuery pin_canary = {
	.text =
	"INSERT INTO zdu.upgrade_gate (upgrade_id, name, after, place) "
	"SELECT $1, 'canary', 'canary', $2 WHERE NOT EXISTS (SELECT FROM zdu.upgrade_gate WHERE upgrade_id = $1 AND after = 'canary')",
	.nargs = 2, .argtypes = {INT8OID, INT4OID}
};

/* A cluster that comes after others waits for them before its first node. */
static ZduQuery pin_dependencies = {
	.text =
	"INSERT INTO zdu.upgrade_gate (upgrade_id, name, after, place, needs, needs_version) "
	"SELECT u.upgrade_id, 'after:' || o.name, 'begin', 0, d.after_id, CASE d.version WHEN 'target' THEN u.target ELSE d.version::zdu_version END "
	"FROM zdu.upgrade u JOIN zdu.dependency d ON d.cluster_id = u.cluster_id JOIN zdu.cluster o ON o.cluster_id = d.after_id "
	"WHERE u.upgrade_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

/*
 * From here to the end of the transaction it begins no upgrade; and if it is
 * just about to, nobody waits for it: whoever holds one cluster's lock must
 * not wait for another's.
 */
static ZduQuery lock_needed = {
	.text = "SELECT 1 FROM zdu.cluster WHERE name = $1 FOR SHARE SKIP LOCKED",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery reach_gate = {
	.text =
	"UPDATE zdu.upgrade_gate g SET reached = CASE WHEN $3 THEN $4 END, reached_at = CASE WHEN $3 THEN $5 END "
	"WHERE g.upgrade_id = $1 AND g.name = $2",
	.nargs = 5, .argtypes = {INT8OID, TEXTOID, BOOLOID, FLOAT8OID, TIMESTAMPTZOID}
};

static ZduQuery open_gate = {
	.text = "UPDATE zdu.upgrade_gate SET opened_at = $3 WHERE upgrade_id = $1 AND name = $2",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

static ZduQuery gate_look = {
	.text = "SELECT look, until, vars, every FROM zdu.closed_gate WHERE upgrade_id = $1 AND name = $2",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery delete_watch = {
	.text = "DELETE FROM zdu.watch WHERE watch_id = $1",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery on_fail = {
	.text = "SELECT on_fail FROM zdu.closed_gate WHERE upgrade_id = $1 AND name = $2 AND NOT holds",
	.nargs = 2, .argtypes = {INT8OID, TEXTOID}
};

static ZduQuery keep_back = {
	.text = "UPDATE zdu.flight s SET barred = s.place FROM zdu.step_plan p "
	"WHERE p.upgrade_id = $1 AND p.node_id IS NULL AND s.plan_id = p.plan_id AND p.phase[s.place] = 'before' AND s.state = 'pending'",
	.nargs = 1, .argtypes = {INT8OID}
};

static ZduQuery let_go = {
	.text =
	"UPDATE zdu.flight s SET barred = NULL FROM zdu.step_plan p "
	"WHERE p.upgrade_id = $1 AND p.node_id IS NULL AND s.plan_id = p.plan_id AND s.barred IS NOT NULL",
	.nargs = 1, .argtypes = {INT8OID}
};

static void
read_gate(ZduFacts *f)
{
	ZduReader	r = zdu_reader();
	ZduGate    *g = &f->gate;

	memset(g, 0, sizeof(*g));
	if (!zdu_next_row(&r))
		return;
	g->name = zdu_read_text(&r);
	g->place = zdu_read_int4(&r);
	g->waived = zdu_read_bool(&r);
	g->since = zdu_read_text(&r);
	g->waits_for = zdu_read_text(&r);
	g->soak = zdu_read_float8(&r, 0);
	g->soak_left = zdu_read_float8(&r, 0);
	g->asks = zdu_read_bool(&r);
	g->until = zdu_read_text(&r);
	g->verdict = (ZduAnswer) zdu_read_tristate(&r);
	g->seen = zdu_read_text(&r);
	g->age = zdu_read_float8(&r, 0);
	g->max_age = zdu_read_float8(&r, 0);
	g->wants_approval = zdu_read_bool(&r);
	g->approved = zdu_read_bool(&r);
	g->needs = zdu_read_text(&r);
	g->needs_is = zdu_read_text(&r);
	g->needs_wanted = zdu_read_text(&r);
	g->needs_met = zdu_read_bool(&r);
	g->watch_id = zdu_read_int8(&r);
}

void
zdu_gate_first(ZduFacts *f)
{
	zdu_run(&first_gate, (ZduArg[]) {zdu_int8(f->upgrade_id)});
	read_gate(f);
}

void
zdu_gate_next(ZduFacts *f)
{
	zdu_run(&next_gate, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_int4(f->gate.place), zdu_text(f->gate.name)});
	read_gate(f);
}

void
zdu_gate_look_on(ZduFacts *f)
{
	ZduVerdict	v;

	while (f->gate.name != NULL && zdu_decide_gate(f, &v))
		zdu_gate_next(f);
}

/* Pins one gate, its probe with the variables as they are now. */
static void
pin(ZduFacts *f, int64 upgrade_id, int nodes, int canary, const char *name, Jsonb *probe, double timeout, double every, Jsonb *vars)
{
	ZduFrame	frame = {.vars = vars, .timeout = timeout, .every = every, .phase = "gate", .direction = "forward"};
	char	   *error = NULL;
	Jsonb	   *look = probe == NULL ? NULL : zdu_args_make(zdu_args_spec(&probe->root), &frame, &error);

	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("gate \"%s\" of cluster \"%s\" cannot be used", name, f->name),
				 errdetail("W1: %s.", error),
				 errhint("SELECT zdu_set_cluster('%s', vars => '{...}')", f->name)));
	zdu_run(&pin_gate, (ZduArg[]) {
		zdu_int8(upgrade_id), zdu_int8(f->cluster_id), zdu_text(name), zdu_int4(nodes), zdu_int4(canary), zdu_jsonb(look), zdu_jsonb(vars)
	});
}

void
zdu_gates_pin(ZduFacts *f, int64 upgrade_id, int nodes, int canary)
{
	ZduReader	r;

	if (zdu_run(&gates_to_pin, (ZduArg[]) {zdu_int8(f->cluster_id)}) > 0)
	{
		Jsonb	   *vars;

		r = zdu_reader();
		vars = zdu_vars_load(f, 0);
		while (zdu_next_row(&r))
		{
			char	   *name = zdu_read_text(&r);
			Jsonb	   *probe = zdu_read_jsonb(&r);
			double		timeout;

			timeout = zdu_read_float8(&r, 0);
			pin(f, upgrade_id, nodes, canary, name, probe, timeout, zdu_read_float8(&r, 0), vars);
		}
	}
	zdu_run(&pin_dependencies, (ZduArg[]) {zdu_int8(upgrade_id)});
	if (canary > 0)
		zdu_run(&pin_canary, (ZduArg[]) {zdu_int8(upgrade_id), zdu_int4(canary)});
}

bool
zdu_gate_secure(ZduFacts *f)
{
	ZduVerdict	v;

	if (f->gate.needs == NULL || f->gate.waived)
		return true;
	if (zdu_run(&lock_needed, (ZduArg[]) {zdu_text(f->gate.needs)}) == 0)
		return false;
	/* What was read before the lock may have changed. */
	zdu_gate_first(f);
	return zdu_decide_gate(f, &v);
}

void
zdu_gate_reach(ZduFacts *f, bool reached)
{
	zdu_run(&reach_gate, (ZduArg[]) {
		zdu_int8(f->upgrade_id), zdu_text(f->gate.name), zdu_bool(reached), zdu_float8(f->listened), zdu_time(zdu_now())
	});
}

void
zdu_gate_open(ZduFacts *f)
{
	zdu_run(&open_gate, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(f->gate.name), zdu_time(zdu_now())});
}

void
zdu_gate_watch(ZduFacts *f)
{
	ZduReader	r;
	ZduNewWatch w = {.kind = "gate", .name = f->gate.name, .upgrade_id = f->upgrade_id, .failures = 1};

	zdu_run(&gate_look, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(f->gate.name)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		elog(ERROR, "gate \"%s\" is gone", f->gate.name);
	w.look = zdu_read_jsonb(&r);
	w.until = zdu_read_text(&r);
	w.vars = zdu_read_jsonb(&r);
	w.every = zdu_read_float8(&r, 10);
	f->gate.watch_id = zdu_watch_insert(f, &w);
}

void
zdu_gate_unwatch(ZduFacts *f)
{
	zdu_run(&delete_watch, (ZduArg[]) {zdu_int8(f->gate.watch_id)});
	f->gate.watch_id = 0;
}

char *
zdu_gate_on_fail(const ZduFacts *f, const char *name)
{
	zdu_run(&on_fail, (ZduArg[]) {zdu_int8(f->upgrade_id), zdu_text(name)});
	return zdu_first_text();
}

void
zdu_preparation_keep_back(const ZduFacts *f)
{
	zdu_run(&keep_back, (ZduArg[]) {zdu_int8(f->upgrade_id)});
}

bool
zdu_preparation_begin(const ZduFacts *f)
{
	return zdu_run(&let_go, (ZduArg[]) {zdu_int8(f->upgrade_id)}) > 0;
}
