/*
 * work.c
 *	  The exchange: what a worker observed goes in, all that it holds comes out.
 *
 * Evidence is evaluated before any lock is taken.  Then, under the cluster's
 * lock and as sets: reports are stored, nodes go on, what time brought about
 * is noted, and what is free is granted.  A call for which nothing is due
 * takes no lock and writes nothing.
 */
#include "api/api.h"

#include "api/drive.h"
#include "api/gate.h"
#include "api/observe.h"
#include "api/outcome.h"
#include "api/sweep.h"
#include "api/take.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "funcapi.h"
#include "store/event.h"
#include "store/instance.h"
#include "store/queue.h"
#include "store/report.h"
#include "store/standing.h"
#include "store/worker.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(zdu_work);

#define PROTOCOL 1

/* More than that no worker holds at once: what it says is only its word. */
#define MAX_SLOTS 1000

/* Verbs follow from stages; whoever runs an action is told its number and token, and soak that it is not verify. */
static ZduQuery all_held = {
	.text =
	"SELECT s.epoch || '.' || s.number, n.name, s.phase, s.attempt, "
	"  CASE s.stage WHEN 'end' THEN 'end' WHEN 'act' THEN 'act' ELSE 'probe' END, "
	"  a.args || jsonb_build_object('env', (a.args->'env') || jsonb_build_object('ZDU_ATTEMPT', s.attempt::text, "
	"    'ZDU_TOKEN', s.epoch || '.' || s.number, 'ZDU_PHASE', s.phase)), "
	"  s.deadline - c.listened "
	"FROM zdu.step s JOIN zdu.cluster c ON c.cluster_id = s.cluster_id LEFT JOIN zdu.node n ON n.node_id = s.node_id "
	"CROSS JOIN LATERAL (SELECT CASE WHEN s.stage = 'act' THEN s.act ELSE s.look END AS args) a "
	"WHERE s.cluster_id = $1 AND s.state = 'running' AND s.worker = $2 AND s.incarnation = $3 AND s.look IS NOT NULL ORDER BY s.number",
	.nargs = 3, .argtypes = {INT8OID, TEXTOID, TEXTOID}
};

typedef struct Exchange
{
	ZduCall		call;
	ReturnSetInfo *rsinfo;
	ZduWorker	worker;
	ZduDue		due;
	Jsonb	   *reports;
	ZduMatch   *matches;
	int			nmatches;
	int			slots;
	bool		leaving;
	bool		knows_runbook;
	ZduRunbook *runbook;		/* NULL: none; see runbook_of() */
} Exchange;

/* Most exchanges have no need of it. */
static ZduRunbook *
runbook_of(Exchange *x)
{
	if (!x->knows_runbook)
		x->runbook = zdu_runbook_load(x->call.f);
	x->knows_runbook = true;
	return x->runbook;
}

static void
put_row(Exchange *x, const char *token, const char *node, const char *phase, int attempt, const char *verb,
		Jsonb *args, double deadline, double lease, const char *sqlstate, const char *message)
{
	Datum		values[10];
	bool		nulls[10] = {0};
	const char *texts[] = {token, node, phase, NULL, verb, NULL, NULL, NULL, sqlstate, message};

	for (int i = 0; i < lengthof(texts); i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	values[3] = Int32GetDatum(attempt);
	nulls[3] = attempt < 0;
	values[5] = JsonbPGetDatum(args);
	nulls[5] = args == NULL;
	values[6] = Float8GetDatum(deadline);
	nulls[6] = deadline < 0;
	values[7] = Float8GetDatum(lease);
	nulls[7] = lease < 0;
	tuplestore_putvalues(x->rsinfo->setResult, x->rsinfo->setDesc, values, nulls);
}

/* All that the worker holds; the same however often it asks. */
static void
put_held(Exchange *x)
{
	ZduReader	r;

	zdu_run(&all_held, (ZduArg[]) {zdu_int8(x->due.cluster_id), zdu_text(x->worker.name), zdu_text(x->worker.incarnation)});
	r = zdu_reader();
	while (zdu_next_row(&r))
	{
		char	   *token = zdu_read_text(&r);
		char	   *node = zdu_read_text(&r);
		char	   *phase = zdu_read_text(&r);
		int			attempt = zdu_read_int4(&r);
		char	   *verb = zdu_read_text(&r);
		Jsonb	   *args = zdu_read_jsonb(&r);
		double		deadline = zdu_read_float8(&r, 0);

		put_row(x, token, node, phase, attempt, verb, args, Max(deadline, 0), x->due.lease, NULL, NULL);
	}
}

/* What was wrong with single reports; their neighbours were carried out. */
static void
put_errors(Exchange *x)
{
	for (int i = 0; i < x->nmatches; i++)
		if (x->matches[i].sqlstate != NULL)
			put_row(x, x->matches[i].token, NULL, NULL, -1, "error", NULL, -1, -1, x->matches[i].sqlstate,
					psprintf("report %d: %s", x->matches[i].ord, x->matches[i].message));
}

static void
read_arguments(Exchange *x, FunctionCallInfo fcinfo)
{
	int			protocol = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT32(7);

	x->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	x->worker.name = zdu_arg_required(fcinfo, 0, "worker");
	x->worker.incarnation = zdu_arg_required(fcinfo, 1, "incarnation");
	x->worker.node = zdu_arg_text(fcinfo, 5);
	x->worker.protocol = protocol;
	x->worker.programs = zdu_datum(PG_ARGISNULL(6) ? (Datum) 0 : PG_GETARG_DATUM(6), PG_ARGISNULL(6));
	x->slots = PG_ARGISNULL(4) ? 0 : Min(Max(PG_GETARG_INT32(4), 0), MAX_SLOTS);
	x->leaving = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	if (!PG_ARGISNULL(6))
	{
		Datum	   *values;
		bool	   *nulls;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(6), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &x->worker.nprograms);
		x->worker.program = palloc(sizeof(char *) * (x->worker.nprograms + 1));
		for (int i = 0; i < x->worker.nprograms; i++)
			x->worker.program[i] = nulls[i] ? pstrdup("") : TextDatumGetCString(values[i]);
	}
	/* This release and the previous one are served; there is one so far. */
	if (protocol != PROTOCOL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("protocol %d is not served", protocol),
				 errdetail("M6: this release of zdu speaks protocol %d.", PROTOCOL),
				 errhint("Install a zdu_worker of the extension's version: SELECT extversion FROM pg_extension WHERE extname = 'zdu'")));
}

/* The reports of steps, in their order; two about one step follow on each other. */
static void
apply_reports(Exchange *x)
{
	ZduFacts   *f = x->call.f;
	int64	   *ids = palloc(sizeof(int64) * (x->nmatches + 1));
	int			nids = 0;
	int			nsteps;
	ZduStep    *steps;
	ZduProgress *progress;

	for (int i = 0; i < x->nmatches; i++)
		if (x->matches[i].sqlstate == NULL && x->matches[i].step_id != 0)
			ids[nids++] = x->matches[i].step_id;
	if (nids == 0)
		return;
	steps = zdu_steps_by_id(ids, nids, &nsteps);
	progress = palloc0(sizeof(ZduProgress) * (nsteps + 1));
	for (int i = 0; i < x->nmatches; i++)
	{
		ZduMatch   *m = &x->matches[i];
		ZduStep    *s;
		int			k;

		if (m->sqlstate != NULL || m->step_id == 0 || (s = zdu_step_seek(steps, nsteps, m->step_id)) == NULL)
			continue;
		k = s - steps;
		/* Since the look without the lock it may have ended, or been granted to somebody else. */
		if (s->state != STEP_RUNNING && s->state != STEP_UNKNOWN)
			continue;
		if (s->number != m->number)
		{
			zdu_report_stale(m);
			continue;
		}
		if (progress[k].step != NULL && progress[k].outcome.state != STEP_RUNNING)
			continue;
		if (s->state == STEP_UNKNOWN)
		{
			zdu_event_note(s->node, "lease", "lost", "held", "W4", psprintf("%s: its worker is heard again, before anybody took it over", zdu_phase_name(s->phase)));
			s->state = STEP_RUNNING;
		}
		if (progress[k].step == NULL)
			progress[k].was_stage = s->view.stage;
		progress[k].step = s;
		progress[k].report = m->ord;
		if (m->evidence != NULL)
			s->evidence = m->evidence;
		progress[k].outcome = zdu_stage_advance(&s->view, &m->report, f->listened);
		s->view.stage = progress[k].outcome.stage;
		s->view.act_ok = progress[k].outcome.act_ok;
		s->view.holds_since = progress[k].outcome.holds_since;
	}
	nids = 0;
	for (int k = 0; k < nsteps; k++)
		if (progress[k].step != NULL)
			progress[nids++] = progress[k];
	zdu_outcomes_apply(f, progress, nids, x->reports);
}

/* Gives each of n steps the same outcome. */
static void
apply_same(ZduFacts *f, ZduStep *steps, int n, ZduStepState state, const char *reason)
{
	ZduProgress *progress = palloc0(sizeof(ZduProgress) * (n + 1));

	for (int i = 0; i < n; i++)
	{
		const ZduStageView *v = &steps[i].view;
		ZduStageOutcome o = {state, v->stage, v->act_ok, v->holds_since, -1, false, reason};

		/* Of a lost action nobody knows whether it still runs: its own timeout ends it. */
		if (state == STEP_UNKNOWN)
			o.not_before = v->stage == STAGE_ACT || v->stage == STAGE_END ? v->deadline : f->listened;
		progress[i].step = &steps[i];
		progress[i].was_stage = v->stage;
		progress[i].outcome = o;
	}
	zdu_outcomes_apply(f, progress, n, NULL);
}

/* What time brought about in what is in flight. */
static void
sweep_steps(ZduFacts *f)
{
	int			n;
	ZduStep    *steps;

	steps = zdu_steps_lost(f, &n);
	for (int i = 0; i < n; i++)
		zdu_event_note(steps[i].node, "lease", "held", "lost", "W4", psprintf("%s: its worker is unheard", zdu_phase_name(steps[i].phase)));
	apply_same(f, steps, n, STEP_UNKNOWN, "lease lost");
	steps = zdu_steps_unwound(f, &n);
	apply_same(f, steps, n, STEP_CANCELLED, "nothing of it runs any more");
	steps = zdu_steps_timers_over(f, &n);
	apply_same(f, steps, n, STEP_SUCCEEDED, NULL);
}

/* Grants what is next in nodes in flight; returns how many slots that takes. */
static int
grant(Exchange *x, int slots)
{
	int			n;
	int			held = 0;
	ZduStep    *steps = zdu_steps_grant(x->call.f, x->worker.name, x->worker.incarnation,
										x->worker.node, x->worker.programs, slots, &n);

	for (int i = 0; i < n; i++)
	{
		/* Looking now and then whether a detached node is still out is no event. */
		if (steps[i].upgrade_id != 0)
			zdu_event_note(steps[i].node, "step", NULL, psprintf("%s running", zdu_phase_name(steps[i].phase)), "W4",
						   steps[i].timer ? "a timer" : psprintf("granted to %s, attempt %d", x->worker.name, steps[i].view.attempt));
		if (!steps[i].timer)
			held++;
	}
	return held;
}

/* Returns how many slots are left over. */
static int
fill(Exchange *x)
{
	ZduFacts   *f = x->call.f;
	int			slots = x->leaving ? 0 : x->slots;
	bool		takes = f->driven && (f->run == RUN_RUNNING || f->run == RUN_ROLLING_BACK);

	if (!x->leaving)
		slots -= grant(x, slots);
	if (slots > 0 && takes && zdu_take_nodes(f, runbook_of(x), &x->worker, slots) > 0)
		slots -= grant(x, slots);
	return Max(slots, 0);
}

/* Is there work for a worker with free slots?  With slots left over not for this one; another may have other programs. */
static bool
work_waits(Exchange *x, int left_over, bool upgrading)
{
	ZduFacts   *f = x->call.f;

	if (left_over > 0 && !upgrading)
		return false;
	if (zdu_steps_waiting(f))
		return true;
	return left_over == 0 && f->upgrade_id != 0 && zdu_decide_room(f) > 0 && zdu_nodes_queued(f);
}

/*
 * What a copy of the database knows of being held may be held elsewhere: it
 * hands out nothing, and whoever holds something by its word ends it.
 */
static void
put_not_adopted(Exchange *x)
{
	put_row(x, NULL, NULL, NULL, -1, "error", NULL, -1, -1, ZDU_SQLSTATE_NOT_ADOPTED,
			"this database was restored, cloned or promoted: SELECT zdu_adopt('the other one is gone')");
}

/* The part that decides; the cluster is locked. */
static void
decide(Exchange *x)
{
	ZduFacts   *f = x->call.f = zdu_facts_locked(x->call.cluster);
	bool		swept;
	int			left_over;
	int64		upgrade_id = f->upgrade_id;

	/* Asking is being heard: the lease is good again before anybody looks whether it was lost. */
	if (!x->due.fresh)
		zdu_worker_store(f, &x->worker);
	swept = zdu_sweep_nodes(f);
	apply_reports(x);
	zdu_observations_apply(f, x->matches, x->nmatches);
	zdu_watches_apply(f, x->matches, x->nmatches, x->reports);
	if (swept || !x->due.known)
	{
		sweep_steps(f);
		zdu_reassert_detached(f, runbook_of(x));
		zdu_standing_keep(f, runbook_of(x));
	}
	/* D12: what was seen just now counts before anything more is taken. */
	if (swept || x->nmatches > 0)
	{
		f = x->call.f = zdu_facts_load(x->call.cluster);
		/* To grant a step changes none of them, to take a node does. */
		f->current = true;
	}
	zdu_gates_advance(f);
	left_over = fill(x);
	zdu_drive(&x->call);
	/* Afterwards: what was decided just now may have made work. */
	zdu_set_work_waits(x->call.f, work_waits(x, left_over, upgrade_id != 0));
	if (x->leaving)
		zdu_worker_leave(f, &x->worker);
	else if (swept || !x->due.known || x->due.work_waits)
	{
		zdu_observations_put(x->call.f, runbook_of(x), &x->worker, x->rsinfo);
		zdu_watches_put(x->call.f, &x->worker, x->rsinfo);
	}
	zdu_event_flush(x->call.cluster, upgrade_id, x->call.session.caller);
}

/* A grant that a crash could take back would be given twice. */
static void
ensure_durable(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

Datum
zdu_work(PG_FUNCTION_ARGS)
{
	Exchange	x = {0};
	char	   *cluster = zdu_arg_required(fcinfo, 2, "cluster");
	ZduObservePaths paths = {0};

	read_arguments(&x, fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	zdu_call_begin(&x.call, "zdu_work", NULL);
	x.call.cluster = cluster;
	if (!zdu_worker_due(cluster, &x.worker, &x.due))
		zdu_no_such_cluster(cluster);
	if (!x.due.adopted || x.due.ousted)
	{
		if (x.due.ousted)
			put_row(&x, NULL, NULL, NULL, -1, "error", NULL, -1, -1, ZDU_SQLSTATE_STALE_TOKEN,
					psprintf("another process has taken the name \"%s\" since; give each worker a --name of its own", x.worker.name));
		else
			put_not_adopted(&x);
		zdu_leave(&x.call.session);
		return (Datum) 0;
	}
	if (!PG_ARGISNULL(3))
		x.reports = zdu_reports_parse(PG_GETARG_DATUM(3), &x.matches, &x.nmatches);
	if (x.nmatches > 0)
	{
		zdu_observe_paths(cluster, &paths);
		zdu_reports_match(x.due.cluster_id, x.due.upgrade_id, x.reports, x.worker.name, x.worker.incarnation,
						  &paths, x.matches, x.nmatches);
	}
	if (x.nmatches > 0 || x.due.sweep || !x.due.fresh || (x.due.work_waits && x.slots > 0) || x.leaving)
	{
		decide(&x);
		x.due.holds = true;
	}
	if (x.due.holds)
		put_held(&x);
	put_errors(&x);
	zdu_leave(&x.call.session);
	ensure_durable();
	return (Datum) 0;
}
