/*
 * exchange.pml
 *	  The exchange between workers and zdu, for spin: two workers, two nodes, faults.
 *
 * Each node goes through two phases, stop and start; node 0 refuses a token that is
 * lower than one it has seen, node 1 cannot.  What models what:
 *
 *   worker()        src/worker/control.c and job.c: asks, then carries out the answer
 *     match         zdu_reports_match(): before any lock
 *     apply         apply_reports() and zdu_stage_advance(), under the cluster's lock
 *     sweep         sweep_steps(): leases lost, what was to be ended and is
 *     grant         grant() and zdu_steps_grant()
 *     answer        put_held(), and what the worker makes of it
 *   machine()       actions: they take their time, fail, or change nothing
 *   world()         leases run out, an action is stopped and woken much later
 *   promotion()     a standby, maybe lagging, becomes the primary; zdu_adopt()
 *   person()        zdu_retry() of what failed, at most one zdu_cancel()
 *
 * A decision is one transaction under one lock: atomic.  Between match and apply, between
 * an answer and what is done about it, anything may happen: a worker that is stopped and
 * woken is one that takes long there.  Time is not modelled: a lease may be lost at any
 * moment, and an action's timeout is over once nothing of it runs, or it was stopped.
 *
 * Assertions are labelled by CLAIM: with -DCLAIM=n only that one is checked, so that each
 * has a verdict of its own.  Parts are left out by -D, to see that the checker finds it:
 *   NO_LOOK     what is granted begins with the action
 *   NO_COMPARE  the token is not compared again under the lock
 *   NO_NUMBER   a grant keeps the number of the one before
 *   NO_EPOCH    tokens are compared by their number only
 *   NO_WAIT     a lost action is not waited out
 *   NO_REFUSE   no target refuses a lower token
 *   NO_VOID     zdu_adopt() leaves holders what they have
 *   NO_RECLAIM  a lost lease is not taken back
 */
#define WORKERS 2
#define NODES 2
#define START 2					/* the last phase; 1 is stop */
#define NOBODY WORKERS

#ifndef CLAIM
#define CLAIM 0
#endif
#define claim(n, holds) assert((CLAIM != 0 && CLAIM != n) || (holds))

#ifdef NO_EPOCH
#define TOKEN(epoch, number) (number)
#else
#define TOKEN(epoch, number) ((epoch) * 16 + (number))
#endif

mtype = { pending, running, unknown, succeeded, failed, cancelled };
mtype = { look, act, verify, end };
mtype = { nothing, found, missing, well, badly, released };

/* The database: a step a node, the phase that it is in.  The same once more as a standby has it. */
typedef Step { mtype state = pending; mtype stage = look; byte phase = 1; byte token; byte holder = NOBODY; byte process; bit wait };
Step step[NODES], copy[NODES];
byte number, copied;
byte epoch = 1;
bit adopted = 1;
bit lease[WORKERS] = 1;			/* not lost */
byte process[WORKERS];			/* the incarnation that asked last */

/* The truth: in which phase's state a node is, and the highest token that it has seen. */
byte at[NODES];
byte seen[NODES];

/* Actions: one of each worker on each node, and one more whose worker was killed. */
#define STRAY WORKERS
#define SLOTS ((WORKERS + 1) * NODES)
#define slot(w, n) ((w) * NODES + (n))
typedef Action { bit runs; byte token; byte phase; bit late; bit stopped };
Action action[SLOTS];

/* What workers know. */
typedef Held { byte token; mtype verb = look; byte phase; byte started; byte looked; mtype report = nothing; byte about };
Held held[WORKERS * NODES];
bit dead[WORKERS];
byte me_process[WORKERS];

/* Faults that are left, whatever they are. */
#ifndef FAULTS
#define FAULTS 2
#endif
byte faults = FAULTS;
#ifndef PROMOTIONS
#define PROMOTIONS 1
#endif
bit second;						/* the standby is the primary now */
bit promoted, behind;

#define ended(n) (step[n].state == succeeded || step[n].state == cancelled)
#define over (promoted && ended(0) && ended(1))

/* May an action of this node still run?  One that was stopped is beyond its timeout. */
#define runs(i) (action[i].runs && !action[i].stopped && !action[i].late)
#define at_work(n) (runs(slot(0, n)) || runs(slot(1, n)) || runs(slot(STRAY, n)))

#define is_mine(me, n) (step[n].token == held[slot(me, n)].about && step[n].holder == me && step[n].process == me_process[me])
#define is_current(i, n) (step[n].state == running && step[n].token == held[i].token && held[i].token > 0)

inline forget(i)
{
	held[i].token = 0; held[i].verb = look; held[i].phase = 0; held[i].started = 0; held[i].looked = 0;
	held[i].report = nothing; held[i].about = 0;
	action[i].runs = 0; action[i].token = 0; action[i].phase = 0; action[i].late = 0; action[i].stopped = 0
}

inline succeed(n)
{
	if
	:: step[n].phase == START -> step[n].state = succeeded
	:: else -> step[n].phase++; step[n].state = pending
	fi;
	step[n].stage = look
}

inline advance(n, told)
{
	if
	:: step[n].stage == end ->
		if
		:: told == released || told == well || told == badly -> step[n].state = cancelled
		:: else
		fi
	:: step[n].stage == act ->
		if
		/* The worker's word decides nothing. */
		:: told == well || told == badly -> step[n].stage = verify
		:: else
		fi
	:: else ->
		if
		:: told == found -> succeed(n)
		:: told == missing && step[n].stage == look -> step[n].stage = act
		/* Its timeout comes at last. */
		:: told == missing && step[n].stage == verify -> step[n].state = failed; step[n].stage = look
		:: else
		fi
	fi
}

#ifdef NO_COMPARE
#define same_token(me, n) true
#else
#define same_token(me, n) (step[n].token == held[slot(me, n)].about)
#endif

inline apply(me)
{
	n = 0;
	do
	:: n < NODES ->
		if
		:: held[slot(me, n)].report != nothing && (step[n].state == running || step[n].state == unknown) && same_token(me, n) ->
			claim(6, step[n].holder == me && step[n].process == me_process[me]);
			step[n].state = running;
			step[n].wait = 0;
			advance(n, held[slot(me, n)].report)
		:: else
		fi;
		n++
	:: else -> break
	od
}

inline sweep()
{
	n = 0;
	do
	:: n < NODES ->
#ifndef NO_RECLAIM
		if
		:: step[n].state == running && (!lease[step[n].holder] || step[n].process != process[step[n].holder]) ->
			step[n].state = unknown;
			step[n].wait = (step[n].stage == act || step[n].stage == end)
		:: else
		fi;
#endif
		if
		:: step[n].state == unknown && step[n].stage == end && (!step[n].wait || !at_work(n)) -> step[n].state = cancelled
		:: else
		fi;
		n++
	:: else -> break
	od
}

#ifdef NO_WAIT
#define waited(n) true
#else
#define waited(n) (!step[n].wait || !at_work(n))
#endif

/* One at a time, as a budget of one has it. */
#define may_take(n) (n == 0 || ended(0))

inline grant(me)
{
	n = 0;
	do
	:: n < NODES ->
		if
		:: (step[n].state == pending || (step[n].state == unknown && step[n].stage != end)) && waited(n) && may_take(n) ->
#ifndef NO_NUMBER
			number++;
#endif
			step[n].token = TOKEN(epoch, number);
			step[n].state = running;
#ifdef NO_LOOK
			step[n].stage = act;
#else
			step[n].stage = look;
#endif
			step[n].holder = me;
			step[n].process = me_process[me];
			step[n].wait = 0
		:: else
		fi;
		n++
	:: else -> break
	od
}

/* All that it holds; what is not in it is not its own any more. */
inline answer(me)
{
	n = 0;
	do
	:: n < NODES ->
		if
		:: may && step[n].state == running && step[n].holder == me && step[n].process == me_process[me] ->
			if
			:: held[slot(me, n)].token != step[n].token -> forget(slot(me, n))
			:: else
			fi;
			held[slot(me, n)].token = step[n].token;
			held[slot(me, n)].verb = step[n].stage;
			held[slot(me, n)].phase = step[n].phase;
			held[slot(me, n)].report = nothing;
			held[slot(me, n)].about = 0
		:: else -> forget(slot(me, n))
		fi;
		claim(2, !(is_current(slot(0, n), n) && is_current(slot(1, n), n)));
		n++
	:: else -> break
	od;
	n = 0
}

inline begin_action(me, n)
{
	held[slot(me, n)].started = held[slot(me, n)].token;
	claim(1, held[slot(me, n)].looked == held[slot(me, n)].token);
	/* Whoever acts by a current token is alone, but for what was lost with the old primary. */
	claim(3, !is_current(slot(me, n), n) || behind || !at_work(n));
	action[slot(me, n)].runs = 1;
	action[slot(me, n)].token = held[slot(me, n)].token;
	action[slot(me, n)].phase = held[slot(me, n)].phase;
	action[slot(me, n)].late = !is_current(slot(me, n), n)
}

/* It is killed: its action dies with it, or lives on; it comes back under its name, or not at all. */
inline kill(me)
{
	faults--;
	n = 0;
	do
	:: n < NODES ->
		if
		:: action[slot(me, n)].runs ->
			action[slot(STRAY, n)].runs = 1;
			action[slot(STRAY, n)].token = action[slot(me, n)].token;
			action[slot(STRAY, n)].phase = action[slot(me, n)].phase;
			action[slot(STRAY, n)].late = action[slot(me, n)].late;
			action[slot(STRAY, n)].stopped = action[slot(me, n)].stopped
		:: true
		fi;
		forget(slot(me, n));
		n++
	:: else -> break
	od;
	n = 0;
	if
	:: dead[1 - me] == 0 -> dead[me] = 1
	:: me_process[me]++
	fi
}

inline copy_step(to, from)
{
	to.state = from.state; to.stage = from.stage; to.phase = from.phase; to.token = from.token;
	to.holder = from.holder; to.process = from.process; to.wait = from.wait
}

inline forget_copy()
{
	copy[0].state = pending; copy[0].stage = look; copy[0].phase = 1; copy[0].token = 0;
	copy[0].holder = NOBODY; copy[0].process = 0; copy[0].wait = 0;
	copy_step(copy[1], copy[0]);
	copied = 0
}

/* What a standby has that is one transaction behind. */
inline keep_copy()
{
	if
	:: PROMOTIONS && !promoted && !second ->
		copy_step(copy[0], step[0]);
		copy_step(copy[1], step[1]);
		copied = number
	:: else
	fi
}

inline match(me)
{
	on = second;
	may = adopted;
	n = 0;
	do
	:: n < NODES ->
		if
		:: may && held[slot(me, n)].report != nothing && !is_mine(me, n) -> forget(slot(me, n))
		:: else
		fi;
		n++
	:: else -> break
	od;
	n = 0
}

/* One transaction; if the primary is lost meanwhile, so is it.  The reply may be lost after the commit. */
inline exchange(me)
{
	if
	:: may && on == second ->
		d_step {
			lease[me] = 1;
			process[me] = me_process[me];
			keep_copy();
			apply(me);
			sweep();
			grant(me);
			n = 0
		}
	:: else
	fi;
	if
	:: on != second
	:: faults > 0 -> faults--
	:: on == second -> d_step { answer(me) }
	fi;
	on = 0;
	may = 0
}

inline carry_out(me)
{
	do
	:: n < NODES ->
		if
		:: held[slot(me, n)].token > 0 && (held[slot(me, n)].verb == look || held[slot(me, n)].verb == verify) ->
			held[slot(me, n)].looked = held[slot(me, n)].token;
			held[slot(me, n)].about = held[slot(me, n)].token;
			held[slot(me, n)].report = (at[n] == held[slot(me, n)].phase -> found : missing)
		:: held[slot(me, n)].token > 0 && held[slot(me, n)].verb == act && held[slot(me, n)].started != held[slot(me, n)].token ->
			begin_action(me, n)
		:: held[slot(me, n)].token > 0 && held[slot(me, n)].verb == end ->
			action[slot(me, n)].runs = 0;
			held[slot(me, n)].about = held[slot(me, n)].token;
			held[slot(me, n)].report = released
		:: else
		fi;
		n++
	:: else -> break
	od;
	n = 0
}

#define reports(me) (held[slot(me, 0)].report != nothing || held[slot(me, 1)].report != nothing)
#define holds(me) (held[slot(me, 0)].token > 0 || held[slot(me, 1)].token > 0)

proctype worker(byte me)
{
	byte n;
	bit on, may;

	do
	:: over || dead[me] -> break
	:: atomic { faults > 0 && !dead[me] && holds(me) -> kill(me) }
	:: atomic {
		!over && !dead[me] ->
		d_step { match(me) }
		/* Without a report there is nothing that may become stale before the lock. */
		if
		:: !reports(me) -> exchange(me); goto told
		:: else
		fi
	   }
	   atomic {
		exchange(me);
told:	if
		:: !holds(me) -> goto done
		:: else
		fi
	   }
	   d_step { carry_out(me) }
done:	skip
	od
}

#ifdef NO_REFUSE
#define refuses(n) false
#else
#define refuses(n) (n == 0)
#endif

/* An action is over: it had its effect, or failed, or says that it went well and did nothing. */
inline finish(i, n)
{
	if
	:: faults > 0 -> faults--; result = badly
	:: faults > 0 -> faults--; result = well
	:: refuses(n) && action[i].token < seen[n] -> result = badly;
		claim(4, action[i].token != step[n].token || step[n].state != running || !adopted)
	:: !(refuses(n) && action[i].token < seen[n]) ->
		claim(4, n != 0 || action[i].token >= seen[n]);
		at[n] = action[i].phase;
		if
		:: action[i].token > seen[n] -> seen[n] = action[i].token
		:: else
		fi;
		result = well
	fi;
	/* Its worker tells, if it is still the one that began it. */
	if
	:: i < slot(STRAY, 0) ->
		held[i].report = result;
		held[i].about = action[i].token
	:: else
	fi;
	action[i].runs = 0; action[i].token = 0; action[i].phase = 0; action[i].late = 0; action[i].stopped = 0;
	result = nothing
}

active proctype machine()
{
	mtype result = nothing;

	do
	:: atomic { action[0].runs -> finish(0, 0) }
	:: atomic { action[1].runs -> finish(1, 1) }
	:: atomic { action[2].runs -> finish(2, 0) }
	:: atomic { action[3].runs -> finish(3, 1) }
	:: atomic { action[4].runs -> finish(4, 0) }
	:: atomic { action[5].runs -> finish(5, 1) }
	:: atomic { over && !action[0].runs && !action[1].runs && !action[2].runs && !action[3].runs && !action[4].runs && !action[5].runs -> break }
	od;
	/* A node that refuses old tokens is left where the roll has left it. */
	claim(5, step[0].state != succeeded || at[0] == START)
}

active proctype world()
{
	do
	:: atomic { faults > 0 -> faults--; if :: lease[0] = 0 :: lease[1] = 0 fi }
	:: atomic { dead[0] && lease[0] -> lease[0] = 0 }
	:: atomic { dead[1] && lease[1] -> lease[1] = 0 }
	:: atomic { faults > 0 && action[0].runs -> faults--; action[0].stopped = 1 }
	:: atomic { faults > 0 && action[1].runs -> faults--; action[1].stopped = 1 }
	:: over -> break
	od
}

active proctype promotion()
{
#if PROMOTIONS
	if
	/* zdu_adopt() without need */
	:: true
	/* The old primary is gone, and maybe with it what it did last. */
	:: d_step { forget_copy(); second = 1; adopted = 0 }
	:: d_step {
		behind = 1;
		copy_step(step[0], copy[0]);
		copy_step(step[1], copy[1]);
		number = copied;
		forget_copy();
		second = 1;
		adopted = 0
	   }
	fi;
	/* adopt */
	d_step {
		epoch++;
#ifndef NO_VOID
		if
		:: step[0].state == running || step[0].state == unknown ->
			step[0].wait = step[0].wait || (step[0].state == running && (step[0].stage == act || step[0].stage == end));
			step[0].state = unknown; step[0].holder = NOBODY; step[0].token = 0
		:: else
		fi;
		if
		:: step[1].state == running || step[1].state == unknown ->
			step[1].wait = step[1].wait || (step[1].state == running && (step[1].stage == act || step[1].stage == end));
			step[1].state = unknown; step[1].holder = NOBODY; step[1].token = 0
		:: else
		fi;
#endif
		forget_copy();
		adopted = 1;
		promoted = 1
	}
#else
	promoted = 1
#endif
}

inline unwind(n)
{
	if
	:: step[n].state == pending || step[n].state == failed -> step[n].state = cancelled
	:: step[n].state == running || step[n].state == unknown -> step[n].stage = end
	:: else
	fi
}

active proctype person()
{
	do
	:: atomic { adopted && step[0].state == failed -> step[0].state = pending }
	:: atomic { adopted && step[1].state == failed -> step[1].state = pending }
	:: atomic { adopted && faults > 0 && !over -> faults--; unwind(0); unwind(1) }
	:: over -> break
	od
}

init
{
	atomic {
		run worker(0); run worker(1)
	}
}

ltl ends { <> over }
