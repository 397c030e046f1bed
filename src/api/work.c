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
#include "api/spool.h"
#include "api/sweep.h"
#include "api/take.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "core/protocol.h"
#include "errcodes.h"
#include "funcapi.h"
#include "store/args.h"
#include "store/event.h"
#include "store/health.h"
#include "store/instance.h"
#include "store/queue.h"
#include "store/quiet.h"
#include "store/report.h"
#include "store/standing.h"
#include "store/worker.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(zdu_work);

/* More than that no worker holds at once: what it says is only its word. */
#define MAX_SLOTS 1000

/* So many rows of the spool are replayed by a poll that has nothing else to do. */
#define REPLAY_BATCH 500
#define REPLAY_SHARE 0.25		/* of the lease, for whoever asks holds nothing while triggers are slow */

typedef struct Exchange
{
	ZduCall		call;
	ReturnSetInfo *rsinfo;
	ZduWorker	worker;
	ZduDue		due;
	Jsonb	   *reports;
	ZduMatch   *matches;
	int			nmatches;
	ZduStep    *steps;			/* that they are about, sorted by the numbers of their tokens */
	int			nsteps;
	bool		looks;			/* reports are about something else too */
	ZduGrant   *grants[3];		/* of this exchange: what follows on reports, what was free, what nodes taken for it begin with */
	int			ngrants[3];
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

/* Whoever runs an action is told its number and token, and soak that it is not verify. */
static void
put_grants(Exchange *x, const ZduGrant *grants, int n)
{
	for (int i = 0; i < n; i++)
	{
		const ZduGrant *g = &grants[i];
		ZduGrantee	to = {g->vars, g->phase, g->direction, g->attempt, psprintf("%d." INT64_FORMAT, g->epoch, g->number)};

		if (g->args != NULL)
			put_row(x, to.token, g->node, g->phase, g->attempt, g->stage == STAGE_ACT ? "act" : g->stage == STAGE_END ? "end" : "probe",
					zdu_args_grant(g->args, &to), Max(g->deadline, 0), x->due.lease, NULL, NULL);
	}
}

/* All that the worker holds; the same however often it asks.  What was granted just now need not be read again. */
static void
put_held(Exchange *x)
{
	int64		first = PG_INT64_MAX;
	int			n;
	ZduGrant   *held;

	for (int i = 0; i < lengthof(x->grants); i++)
		if (x->ngrants[i] > 0)
			first = Min(first, x->grants[i][0].number);
	held = zdu_steps_held(x->due.cluster_id, x->worker.name, x->worker.incarnation, first, &n);
	put_grants(x, held, n);
	for (int i = 0; i < lengthof(x->grants); i++)
		put_grants(x, x->grants[i], x->ngrants[i]);
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

/* The worker's programs, and as if they were such the protocols beyond the first that it speaks (M6). */
static void
read_programs(Exchange *x, FunctionCallInfo fcinfo)
{
	Datum	   *values = NULL;
	bool	   *nulls = NULL;
	int			given = 0;

	if (!PG_ARGISNULL(6))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(6), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &given);
	x->worker.program = palloc(sizeof(char *) * (given + ZDU_PROTOCOL));
	for (int i = 0; i < given; i++)
		if (!nulls[i])
			x->worker.program[x->worker.nprograms++] = TextDatumGetCString(values[i]);
	for (int p = 2; p <= x->worker.protocol; p++)
		x->worker.program[x->worker.nprograms++] = psprintf("protocol/%d", p);
	x->worker.programs = zdu_text_array(x->worker.program, x->worker.nprograms);
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
	x->slots = PG_ARGISNULL(4) ? 0 : Min(Max(PG_GETARG_INT32(4), 0), MAX_SLOTS);
	x->leaving = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	if (!zdu_protocol_is_served(protocol))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("protocol %d is not served", protocol),
				 errdetail("M6: this release of zdu speaks the protocols %d to %d.", ZDU_PROTOCOL_OLDEST, ZDU_PROTOCOL),
				 errhint("Install a zdu_worker of the extension's version: SELECT extversion FROM pg_extension WHERE extname = 'zdu'")));
	read_programs(x, fcinfo);
}

/* D5: whatever a drain's probe says, it is not over while copies must still leave the node.  Returns for which steps. */
static bool *
find_undrained(const ZduFacts *f, const ZduStep *steps, int nsteps)
{
	bool	   *undrained = palloc0(sizeof(bool) * (nsteps + 1));
	int64	   *ids = palloc(sizeof(int64) * (nsteps + 1));
	int			nids = 0;
	int			nwith;
	int64	   *with;

	for (int k = 0; k < nsteps; k++)
		if (steps[k].phase == PHASE_DRAIN && steps[k].upgrade_id != 0)
			ids[nids++] = steps[k].node_id;
	with = zdu_nodes_with_copies(f, ids, nids, &nwith);
	for (int k = 0; k < nsteps; k++)
		for (int i = 0; i < nwith && steps[k].phase == PHASE_DRAIN; i++)
			undrained[k] |= steps[k].upgrade_id != 0 && steps[k].node_id == with[i];
	return undrained;
}

/* What fails, is cancelled or handed back concerns the upgrade, and that is decided by all there is to know. */
static bool
wants_counts(ZduStepState state)
{
	return state != STEP_RUNNING && state != STEP_SUCCEEDED;
}

/*
 * The reports of steps, in their order; two about one step follow on each
 * other.  goes_on: what follows on a step may be granted along with its end,
 * for nothing else is decided, and nobody else's step has waited for longer.
 */
static void
apply_reports(Exchange *x, bool goes_on)
{
	ZduFacts   *f = x->call.f;
	ZduProgress *progress = palloc0(sizeof(ZduProgress) * (x->nsteps + 1));
	Jsonb	  **saw = palloc0(sizeof(Jsonb *) * (x->nsteps + 1));
	int			n = 0;
	bool	   *keeps_copies;
	ZduOnward	onward;

	if (x->nsteps == 0)
		return;
	/* Nobody has decided anything since they were read: they are as they were. */
	if (f->serial != x->due.serial)
		zdu_steps_refresh(x->steps, x->nsteps);
	keeps_copies = find_undrained(f, x->steps, x->nsteps);
	for (int i = 0; i < x->nmatches; i++)
	{
		ZduMatch   *m = &x->matches[i];
		ZduStep    *s = m->step;
		int			k;

		if (m->sqlstate != NULL || s == NULL)
			continue;
		k = s - x->steps;
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
		if (m->evidence != NULL)
			progress[k].evidence = m->evidence;
		if (m->log != NULL)
			progress[k].log = m->log;
		if (m->saw != NULL)
			saw[k] = m->saw;
		if (keeps_copies[k] && m->report.until == ANSWER_YES)
			m->report.until = ANSWER_NO;
		progress[k].outcome = zdu_stage_advance(&s->view, &m->report, f->listened);
		s->view.stage = progress[k].outcome.stage;
		s->view.act_ok = progress[k].outcome.act_ok;
		s->view.holds_since = progress[k].outcome.holds_since;
	}
	for (int k = 0; k < x->nsteps; k++)
	{
		if (progress[k].step == NULL)
			continue;
		if (progress[k].outcome.state == STEP_FAILED && saw[k] != NULL)
			progress[k].step->evidence = zdu_report_excerpt(saw[k]);
		if (f->uncounted && wants_counts(progress[k].outcome.state))
			f = x->call.f = zdu_facts_load(x->call.cluster);
		progress[n++] = progress[k];
	}
	onward = (ZduOnward) {.worker = &x->worker, .slots = x->slots};
	zdu_outcomes_apply(f, progress, n, goes_on && !f->work_waits ? &onward : NULL);
	x->grants[0] = onward.grants;
	x->ngrants[0] = onward.n;
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

/* Notes what was granted; returns how many slots that takes. */
static int
note_grants(const Exchange *x, const ZduGrant *grants, int n)
{
	int			held = 0;

	for (int i = 0; i < n; i++)
	{
		bool		timer = grants[i].args == NULL;

		/* Looking now and then whether a detached node is still out is no event. */
		if (grants[i].upgrade_id != 0)
			zdu_event_note(grants[i].node, "step", NULL, psprintf("%s running", grants[i].phase), "W4",
						   timer ? "a timer" : psprintf("granted to %s, attempt %d", x->worker.name, grants[i].attempt));
		if (!timer)
			held++;
	}
	return held;
}

/* Grants what is next in nodes in flight; returns how many slots that takes. */
static int
grant(Exchange *x, int slots, int which)
{
	x->grants[which] = zdu_steps_grant(x->call.f, x->worker.name, x->worker.incarnation, x->worker.node, x->worker.programs, slots, &x->ngrants[which]);
	return note_grants(x, x->grants[which], x->ngrants[which]);
}

/* Returns how many slots are left over. */
static int
fill(Exchange *x)
{
	ZduFacts   *f = x->call.f;
	int			slots = x->leaving ? 0 : x->slots;
	bool		takes = f->driven && (f->run == RUN_RUNNING || f->run == RUN_ROLLING_BACK);

	/* L23: what is held goes no further, but a single node is brought back. */
	if (!takes && f->driven && f->resume_to == RUN_RUNNING && (f->run == RUN_HELD || f->run == RUN_PAUSED))
		takes = zdu_nodes_queued_back(f);
	slots -= note_grants(x, x->grants[0], x->ngrants[0]);
	if (!x->leaving && (slots > 0 || x->ngrants[0] == 0))
		slots -= grant(x, slots, 1);
	if (slots > 0 && takes && zdu_take_nodes(f, &x->worker, slots) > 0)
		slots -= grant(x, slots, 2);
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

/* The usual case: steps were reported, and what is counted is asked for when that is stored. */
static ZduFacts *
lock_for_steps(const char *cluster)
{
	ZduFacts   *f = zdu_settings_locked(cluster);

	/* Whether a drain is over depends on what is known of copies. */
	return f->min_availability == AVAILABILITY_NONE ? f : zdu_facts_load(cluster);
}

/* The part that decides; the cluster is locked. */
static void
decide(Exchange *x)
{
	bool		only_steps = x->nmatches > 0 && !x->looks && x->due.known && !x->due.sweep;
	ZduFacts   *f = x->call.f = only_steps ? lock_for_steps(x->call.cluster) : zdu_facts_locked(x->call.cluster);
	bool		swept;
	int			left_over;
	int64		upgrade_id = f->upgrade_id;

	/* Asking is being heard: the lease is good again before anybody looks whether it was lost. */
	if (!x->due.fresh)
		zdu_worker_store(f, &x->worker);
	swept = !only_steps && zdu_sweep_nodes(f);
	apply_reports(x, only_steps && !x->leaving);
	f = x->call.f;
	if (x->looks)
	{
		zdu_observations_apply(f, x->matches, x->nmatches);
		zdu_watches_apply(f, &x->worker, x->matches, x->nmatches, x->reports);
	}
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
	if (!PG_ARGISNULL(3))
		x.reports = zdu_reports_parse(PG_GETARG_DATUM(3), &x.matches, &x.nmatches);
	if (x.nmatches == 0 && !x.leaving && zdu_quiet(cluster, &x.worker, &x.due))
	{
		zdu_leave(&x.call.session);
		return (Datum) 0;
	}
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
	x.looks = x.nmatches > 0 && zdu_reports_match_steps(x.due.cluster_id, x.reports, x.worker.name, x.worker.incarnation,
														x.matches, x.nmatches, &x.steps, &x.nsteps);
	if (x.looks)
	{
		zdu_observe_paths(cluster, &paths);
		zdu_reports_match_looks(x.due.cluster_id, x.due.upgrade_id, x.reports, &paths, x.matches);
	}
	/* M3: as long as nothing is locked, for it may wait for somebody; nor is a report kept waiting. */
	if (x.due.spool && x.nmatches == 0)
	{
		(void) zdu_spool_replay(x.due.cluster_id, REPLAY_BATCH, x.due.lease * REPLAY_SHARE);
		zdu_event_flush(cluster, 0, x.call.session.caller);
	}
	if (x.nmatches > 0 || x.due.sweep || !x.due.fresh || (x.due.work_waits && x.slots > 0) || x.leaving)
	{
		decide(&x);
		x.due.holds = true;
	}
	else if (!x.due.work_waits && !x.due.holds && !x.due.spool)
		zdu_quiet_note(cluster, &x.worker, &x.due);
	if (x.due.holds)
		put_held(&x);
	put_errors(&x);
	zdu_leave(&x.call.session);
	ensure_durable();
	return (Datum) 0;
}
