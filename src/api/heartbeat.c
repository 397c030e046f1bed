/*
 * heartbeat.c
 *	  Nodes say that they live.
 *
 * The most frequent call of all.  A beat that changes nothing but the time
 * writes one narrow row and locks nothing else; the others lock the cluster.
 */
#include "api/api.h"

#include "api/drive.h"
#include "api/join.h"
#include "api/sweep.h"
#include "catalog/pg_type.h"
#include "errcodes.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "zdu.h"

PG_FUNCTION_INFO_V1(zdu_heartbeat);
PG_FUNCTION_INFO_V1(zdu_heartbeat_many);

static ZduQuery match_beats = {
	.text =
	"SELECT b.node, b.incarnation, b.state, n.node_id, n.login, n.incarnation, n.state, n.confirmed, n.reports, c.listened, "
	"  CASE WHEN c.original IS NULL THEN 0 WHEN n.version IS NULL OR n.version = c.original THEN 1 ELSE 2 END, "
	"  CASE WHEN n.fenced OR s.phase = 'stop' THEN 'stop' "
	"       WHEN n.state IN ('DRAINING', 'TERMINATING') OR NOT n.attached THEN 'drain' ELSE 'serve' END, "
	"  $5 > c.beats_sweep_at, c.features "
	"FROM zdu.cluster c "
	"CROSS JOIN unnest($2, $3, $4) WITH ORDINALITY AS b(node, incarnation, state, ord) "
	"LEFT JOIN zdu.node n ON n.cluster_id = c.cluster_id AND n.name = b.node "
	"LEFT JOIN LATERAL (SELECT p.phase[o.place] AS phase FROM zdu.flight o JOIN zdu.step_plan p ON p.plan_id = o.plan_id "
	"  WHERE n.taken AND o.cluster_id = n.cluster_id AND o.node_id = n.node_id AND o.state = 'running' LIMIT 1) s ON true "
	"WHERE c.name = $1 ORDER BY b.ord",
	.nargs = 5, .argtypes = {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

/* What nearly every beat is: a known process, as before.  Rows are found by key; for any other beat there is none. */
static ZduQuery store_usual_beat = {
	.text =
	"UPDATE zdu.node_heard h SET heard = $4, listened = c.listened, tasks = coalesce($5, h.tasks), users = coalesce($6, h.users) "
	"FROM zdu.cluster c, zdu.node n "
	"WHERE c.name = $1 AND n.cluster_id = c.cluster_id AND n.name = $2 AND h.node_id = n.node_id "
	"AND n.reports AND NOT n.taken AND NOT n.fenced AND n.state <> 'OFFLINE' AND ($7::text IS NULL OR n.state = $7) "
	"AND ($3::text IS NULL OR n.incarnation = $3) AND (n.login IS NULL OR n.login = $8) "
	"AND c.beats_sweep_at >= $4 "
	"RETURNING CASE WHEN n.state IN ('DRAINING', 'TERMINATING') OR NOT n.attached THEN 'drain' ELSE 'serve' END, "
	"  CASE WHEN c.original IS NULL THEN 0 WHEN n.version IS NULL OR n.version = c.original THEN 1 ELSE 2 END, c.features",
	.nargs = 8, .argtypes = {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID, TEXTOID}
};

static ZduQuery store_beats = {
	.text =
	"UPDATE zdu.node_heard h SET heard = $4, listened = $5, tasks = coalesce(nullif(b.tasks, -1), h.tasks), "
	"users = coalesce(nullif(b.users, -1), h.users) "
	"FROM unnest($1, $2, $3) AS b(node_id, tasks, users) WHERE h.node_id = b.node_id",
	.nargs = 5, .argtypes = {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, FLOAT8OID}
};

/* Sets are locked in one order, or two of them could wait for each other. */
static ZduQuery lock_heard = {
	.text = "SELECT 1 FROM zdu.node_heard WHERE node_id = ANY ($1) ORDER BY node_id FOR NO KEY UPDATE",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

/* After a restore nobody has been heard yet. */
static ZduQuery make_heard = {
	.text = "INSERT INTO zdu.node_heard (node_id, cluster_id) SELECT node_id, cluster_id FROM zdu.node WHERE node_id = ANY ($1) ON CONFLICT DO NOTHING",
	.nargs = 1, .argtypes = {INT8ARRAYOID}
};

typedef struct Beat
{
	/* as said */
	const char *node;
	const char *incarnation;	/* NULL: not said */
	const char *state;			/* NULL: as before */
	/* as stored */
	int64		id;				/* 0: unknown */
	/* the answer */
	const char *command;		/* NULL: a late beat, nothing was changed */
	int			mode;
	Datum		features;
	int			code;			/* packed SQLSTATE; 0: good */
	const char *message;
	const char *detail;
	bool		locked;			/* changes more than the time */
} Beat;

static void
refuse(Beat *b, int code, const char *message, const char *detail)
{
	b->code = code;
	b->message = message;
	b->detail = detail;
	b->command = NULL;
}

static void
refuse_unknown(Beat *b, const char *cluster)
{
	refuse(b, ERRCODE_UNDEFINED_OBJECT, psprintf("node \"%s\" of cluster \"%s\" does not exist", b->node != NULL ? b->node : "", cluster),
		   "N5: a node is registered by zdu_set_node or zdu_join");
}

/* Reads the features that are on; good beyond the query's end. */
static Datum
read_features(ZduReader *r)
{
	bool		isnull;
	Datum		features = zdu_read_datum(r, &isnull);

	return datumCopy(features, false, -1);
}

/* Reads what is known of each node and decides what its beat comes to.  Returns the number to store quickly. */
static int
match(const ZduCall *call, Beat *beats, int n, int *quick, bool *any_locked, double *listened)
{
	ZduReader	r = zdu_reader();
	int			nquick = 0;

	for (int i = 0; i < n && zdu_next_row(&r); i++)
	{
		Beat	   *b = &beats[i];
		char	   *login;
		char	   *incarnation;
		char	   *state;
		bool		confirmed;
		bool		reports;
		bool		late;

		b->node = zdu_read_text(&r);
		b->incarnation = zdu_read_text(&r);
		b->state = zdu_read_text(&r);
		b->id = zdu_read_int8(&r);
		login = zdu_read_text(&r);
		incarnation = zdu_read_text(&r);
		state = zdu_read_text(&r);
		confirmed = zdu_read_bool(&r);
		reports = zdu_read_bool(&r);
		*listened = zdu_read_float8(&r, 0);
		b->mode = zdu_read_int4(&r);
		b->command = zdu_read_text(&r);
		late = zdu_read_bool(&r);
		b->features = read_features(&r);

		if (b->id == 0)
			refuse_unknown(b, call->cluster);
		else if (b->state != NULL && zdu_state_of(ZDU_NODE, b->state) == ZDU_STATE_NONE)
			refuse(b, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("\"%s\" is no state of a node", b->state),
				   "N1: STARTING, ACTIVE, DRAINING, TERMINATING, OFFLINE and ERROR are");
		else if (login != NULL && !zdu_may_report(call->session.caller, login))
			refuse(b, ERRCODE_INSUFFICIENT_PRIVILEGE, psprintf("permission denied for node \"%s\"", b->node),
				   psprintf("L22: its login is \"%s\"", login));
		else if (incarnation != NULL && b->incarnation != NULL && strcmp(incarnation, b->incarnation) != 0)
			b->command = NULL;
		else if (late || !reports || (incarnation == NULL && b->incarnation != NULL) ||
				 (b->state == NULL ? strcmp(state, "OFFLINE") == 0 :
				  strcmp(b->state, state) != 0 || (strcmp(state, "OFFLINE") == 0 && !confirmed)))
			b->locked = *any_locked = true;
		else
			quick[nquick++] = i;
	}
	return nquick;
}

/* Stores the time of some beats; all that most of them come to. */
static void
store(const Beat *beats, const int *which, int n, const Datum *tasks, const bool *no_tasks, const Datum *users, const bool *no_users,
	  double listened)
{
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int64	   *t = palloc(sizeof(int64) * (n + 1));
	int64	   *u = palloc(sizeof(int64) * (n + 1));
	ZduArg		args[5];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ids[i] = beats[which[i]].id;
		t[i] = no_tasks[which[i]] ? -1 : DatumGetInt32(tasks[which[i]]);
		u[i] = no_users[which[i]] ? -1 : DatumGetInt32(users[which[i]]);
	}
	args[0] = zdu_int8_array(ids, n);
	args[1] = zdu_int8_array(t, n);
	args[2] = zdu_int8_array(u, n);
	args[3] = zdu_time(zdu_now());
	args[4] = zdu_float8(listened);
	if (n > 1)
		zdu_run(&lock_heard, args);
	if (zdu_run(&store_beats, args) < (uint64) n)
	{
		zdu_run(&make_heard, args);
		zdu_run(&store_beats, args);
	}
}

/* The beats that change more than the time, with the cluster locked. */
static void
beat_locked(ZduCall *call, Beat *beats, int n)
{
	ZduFacts   *f = call->f = zdu_facts_locked(call->cluster);
	int64	   *ids = palloc(sizeof(int64) * (n + 1));
	int			nids = 0;
	int			nnodes;
	ZduNode    *nodes;

	/* First what these say, then who has not said anything. */
	for (int i = 0; i < n; i++)
		if (beats[i].locked)
			ids[nids++] = beats[i].id;
	nodes = zdu_nodes_by_id(ids, nids, &nnodes);
	for (int i = 0; i < n; i++)
	{
		Beat	   *b = &beats[i];
		ZduNode    *node;
		int			state;

		if (!b->locked)
			continue;
		node = zdu_node_seek(nodes, nnodes, b->id);
		if (node == NULL)
		{
			refuse_unknown(b, call->cluster);
			b->locked = false;
			continue;
		}
		state = b->state != NULL ? zdu_state_of(ZDU_NODE, b->state) : (int) node->state;
		if (node->incarnation != NULL && b->incarnation != NULL && strcmp(node->incarnation, b->incarnation) != 0)
		{
			b->command = NULL;
			b->locked = false;
			continue;
		}
		/* Heard again without a word about its state: it runs. */
		if (b->state == NULL && node->state == NODE_OFFLINE)
			state = NODE_ACTIVE;
		if (!zdu_node_move(node, (ZduNodeState) state, state == NODE_OFFLINE, NULL, false))
		{
			refuse(b, ERRCODE_ZDU_WRONG_STATE, psprintf("node \"%s\" cannot go from %s to %s", node->name,
														zdu_state_name(ZDU_NODE, node->state), b->state),
				   "N1: there is no such transition");
			b->locked = false;
			continue;
		}
		if (b->incarnation != NULL)
			node->incarnation = b->incarnation;
		node->reports = node->changed = true;
		zdu_come_up(f, node);
		if (strcmp(b->command, "stop") != 0)
			b->command = node->state == NODE_DRAINING || node->state == NODE_TERMINATING || !node->attached ? "drain" : "serve";
		b->mode = zdu_upgrade_state(f, node->version);
	}
	zdu_nodes_store(f, nodes, nnodes);
}

/* Takes one beat in one statement if it is a usual one, and ends the call; otherwise nothing was done. */
static bool
take_usual_beat(ZduCall *call, FunctionCallInfo fcinfo, Beat *b)
{
	ZduArg		args[8];
	ZduReader	r;

	for (int i = 0; i < 3; i++)
		args[i] = zdu_datum(PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i), PG_ARGISNULL(i));
	args[3] = zdu_time(zdu_now());
	for (int i = 4; i < 6; i++)
		args[i] = zdu_datum(PG_GETARG_DATUM(i), PG_ARGISNULL(i));
	args[6] = zdu_datum(PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3), PG_ARGISNULL(3));
	args[7] = zdu_text(GetUserNameFromId(call->session.caller, true));
	zdu_run(&store_usual_beat, args);
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return false;
	b->command = zdu_read_text(&r);
	b->mode = zdu_read_int4(&r);
	b->features = read_features(&r);
	zdu_leave(&call->session);
	return true;
}

/*
 * Takes n beats of a call that was begun; the arrays are spread out.  Returns
 * the answers, and the call is ended.
 */
static Beat *
take_beats(ZduCall *call, const char *cluster, ZduArg names, ZduArg incarnations, ZduArg states, int n,
		   const Datum *tasks, const bool *no_tasks, const Datum *users, const bool *no_users)
{
	Beat	   *beats = palloc0(sizeof(Beat) * (n + 1));
	int		   *which = palloc(sizeof(int) * (n + 1));
	bool		any_locked = false;
	double		listened = 0;
	int			nquick;

	call->cluster = cluster;
	if (zdu_run(&match_beats, (ZduArg[]) {zdu_text(cluster), names, incarnations, states, zdu_time(zdu_now())}) == 0 &&
		n > 0)
		zdu_no_such_cluster(cluster);
	nquick = match(call, beats, n, which, &any_locked, &listened);
	if (any_locked)
	{
		beat_locked(call, beats, n);
		for (int i = 0; i < n; i++)
			if (beats[i].locked)
				which[nquick++] = i;
		listened = call->f->listened;
	}
	store(beats, which, nquick, tasks, no_tasks, users, no_users, listened);
	if (any_locked)
	{
		zdu_sweep_nodes(call->f);
		zdu_call_end(call);
	}
	else
		zdu_leave(&call->session);
	return beats;
}

static ZduArg
one_text(FunctionCallInfo fcinfo, int n)
{
	char	   *text = zdu_arg_text(fcinfo, n);

	return zdu_text_array(&text, 1);
}

Datum
zdu_heartbeat(PG_FUNCTION_ARGS)
{
	ZduCall		call;
	Beat		usual = {0};
	Beat	   *b = &usual;
	Datum		numbers[2] = {PG_GETARG_DATUM(4), PG_GETARG_DATUM(5)};
	bool		none[2] = {PG_ARGISNULL(4), PG_ARGISNULL(5)};
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3];
	char	   *cluster;

	(void) zdu_arg_required(fcinfo, 1, "node");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "zdu_heartbeat must return a row");
	cluster = zdu_arg_required(fcinfo, 0, "cluster");
	zdu_call_begin(&call, "zdu_heartbeat", NULL);
	if (!take_usual_beat(&call, fcinfo, &usual))
		b = take_beats(&call, cluster, one_text(fcinfo, 1), one_text(fcinfo, 2), one_text(fcinfo, 3), 1,
					   &numbers[0], &none[0], &numbers[1], &none[1]);
	if (b->code != 0)
		ereport(ERROR,
				(errcode(b->code),
				 errmsg("%s", b->message),
				 errdetail("%s.", b->detail),
				 errhint("SELECT * FROM zdu.node_status WHERE cluster = '%s'", call.cluster)));
	nulls[0] = nulls[1] = nulls[2] = b->command == NULL;
	values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(b->command);
	values[1] = Int32GetDatum(b->mode);
	values[2] = b->features;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Returns an array argument as one of n elements: NULL gives n NULLs. ERROR 2202E for another length. */
static ArrayType *
array_of(FunctionCallInfo fcinfo, int argument, Oid type, int n)
{
	ArrayType  *array;
	int			got;

	if (PG_ARGISNULL(argument))
	{
		Datum	   *values = palloc0(sizeof(Datum) * (n + 1));
		bool	   *nulls = palloc(sizeof(bool) * (n + 1));
		int			dims[1] = {n};
		int			lower[1] = {1};

		memset(nulls, true, sizeof(bool) * (n + 1));
		if (n == 0)
			return construct_empty_array(type);
		return construct_md_array(values, nulls, 1, dims, lower, type, type == TEXTOID ? -1 : 4, type != TEXTOID, TYPALIGN_INT);
	}
	array = PG_GETARG_ARRAYTYPE_P(argument);
	got = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (got != n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arrays of zdu_heartbeat are not of one length"),
				 errdetail("N5: %d nodes, but argument %d has %d elements; nothing was changed.", n, argument + 1, got),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_heartbeat'")));
	return array;
}

Datum
zdu_heartbeat_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *cluster = zdu_arg_required(fcinfo, 0, "cluster");
	ArrayType  *names;
	ZduArg		texts[3];
	Datum	   *numbers[2];
	bool	   *none[2];
	int			n;
	ZduCall		call;
	Beat	   *beats;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("nodes must not be NULL"),
				 errdetail("N5: nothing was changed."),
				 errhint("SELECT usage FROM zdu.help WHERE name = 'zdu_heartbeat'")));
	names = PG_GETARG_ARRAYTYPE_P(1);
	n = ArrayGetNItems(ARR_NDIM(names), ARR_DIMS(names));
	for (int i = 0; i < 3; i++)
		texts[i] = zdu_datum(PointerGetDatum(array_of(fcinfo, 1 + i, TEXTOID, n)), false);
	for (int i = 0; i < 2; i++)
	{
		int			got;

		deconstruct_array(array_of(fcinfo, 4 + i, INT4OID, n), INT4OID, 4, true, TYPALIGN_INT, &numbers[i], &none[i], &got);
	}
	InitMaterializedSRF(fcinfo, 0);
	zdu_call_begin(&call, "zdu_heartbeat", NULL);
	beats = take_beats(&call, cluster, texts[0], texts[1], texts[2], n, numbers[0], none[0], numbers[1], none[1]);
	for (int i = 0; i < n; i++)
	{
		const Beat *b = &beats[i];
		const char *row[] = {
			b->node, b->command, b->command != NULL ? psprintf("%d", b->mode) : NULL,
			b->command != NULL ? OidOutputFunctionCall(F_ARRAY_OUT, b->features) : NULL,
			b->code != 0 ? unpack_sql_state(b->code) : NULL, b->message
		};

		if (row[4] != NULL)
			row[4] = pstrdup(row[4]);
		zdu_put_row(rsinfo, row);
	}
	return (Datum) 0;
}
