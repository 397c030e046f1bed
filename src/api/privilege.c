/*
 * privilege.c
 *	  Who may: the check in every function, zdu_grant and zdu_revoke.
 */
#include "api/api.h"

#include "api/drive.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "store/event.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(zdu_grant);
PG_FUNCTION_INFO_V1(zdu_revoke);

static ZduQuery granted_roles = {
	.text = "SELECT g.role FROM zdu.privilege p JOIN zdu.grant g ON g.grant_as = ANY (p.grants) WHERE p.name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery roles_of_grant = {
	.text = "SELECT role FROM zdu.grant WHERE grant_as = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery privilege = {
	.text = "SELECT array_to_string(grants, ' or '), owned FROM zdu.privilege WHERE name = $1",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery known_grant = {
	.text = "SELECT 1 FROM zdu.privilege WHERE $1 = ANY (grants)",
	.nargs = 1, .argtypes = {TEXTOID}
};

static ZduQuery insert_grant = {
	.text = "INSERT INTO zdu.grant (role, grant_as) VALUES ($1, $2) ON CONFLICT DO NOTHING",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

static ZduQuery delete_grant = {
	.text = "DELETE FROM zdu.grant WHERE role = $1 AND grant_as = $2",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}
};

/*
 * The statements by which a role gets (or loses) what its grants allow; names
 * are quoted by format().  What it still has through another grant it keeps.
 */
static ZduQuery privilege_statements = {
	.text =
	"WITH held AS (SELECT DISTINCT p.name FROM zdu.privilege p JOIN zdu.grant g ON g.grant_as = ANY (p.grants) WHERE g.role = $1), "
	"object AS (SELECT p.name, 'EXECUTE ON FUNCTION ' || f.oid::regprocedure AS what "
	"  FROM zdu.privilege p JOIN pg_proc f ON f.pronamespace = 'pg_catalog'::regnamespace "
	"    AND (f.proname = p.name OR (p.name = 'zdu_version' AND "
	"      (starts_with(f.proname::text, 'zdu_version_') OR f.proargtypes[0] = 'zdu_version'::regtype))) "
	"  UNION ALL SELECT p.name, 'SELECT ON TABLE ' || p.name FROM zdu.privilege p WHERE starts_with(p.name, 'zdu.') "
	"  UNION ALL SELECT 'zdu_version', 'USAGE ON TYPE zdu_version') "
	"SELECT CASE WHEN h.name IS NOT NULL THEN format('GRANT %s TO %I', o.what, $1) ELSE format('REVOKE %s FROM %I', o.what, $1) END "
	"FROM object o LEFT JOIN held h ON h.name = o.name "
	"UNION ALL "
	"SELECT CASE WHEN EXISTS (SELECT FROM held) THEN format('GRANT USAGE ON SCHEMA zdu TO %I', $1) "
	"  ELSE format('REVOKE USAGE ON SCHEMA zdu FROM %I', $1) END",
	.nargs = 1, .argtypes = {TEXTOID}
};

/* True if the caller has one of the roles that the last query returned. */
static bool
has_one_of(Oid caller)
{
	ZduReader	r = zdu_reader();

	while (zdu_next_row(&r))
	{
		Oid			role = get_role_oid(zdu_read_text(&r), true);

		if (OidIsValid(role) && has_privs_of_role(caller, role))
			return true;
	}
	return false;
}

static bool
has_function(Oid caller, const char *function)
{
	if (superuser_arg(caller))
		return true;
	zdu_look(&granted_roles, (ZduArg[]) {zdu_text(function)});
	return has_one_of(caller);
}

static bool
has_owner(Oid caller, const char *function, const ZduFacts *f)
{
	ZduReader	r;
	Oid			owner;

	if (superuser_arg(caller))
		return true;
	zdu_look(&privilege, (ZduArg[]) {zdu_text(function)});
	r = zdu_reader();
	if (!zdu_next_row(&r))
		return false;
	(void) zdu_read_text(&r);
	if (!zdu_read_bool(&r))
		return true;
	owner = get_role_oid(f->owner, true);
	return OidIsValid(owner) && has_privs_of_role(caller, owner);
}

bool
zdu_has_grant(Oid caller, const char *grant_as)
{
	if (superuser_arg(caller))
		return true;
	zdu_look(&roles_of_grant, (ZduArg[]) {zdu_text(grant_as)});
	return has_one_of(caller);
}

bool
zdu_may(Oid caller, const char *function, const ZduFacts *f)
{
	return has_function(caller, function) && (f == NULL || has_owner(caller, function, f));
}

void
zdu_require(Oid caller, const char *function)
{
	ZduReader	r;
	char	   *grants = NULL;

	if (has_function(caller, function))
		return;
	zdu_look(&privilege, (ZduArg[]) {zdu_text(function)});
	r = zdu_reader();
	if (zdu_next_row(&r))
		grants = zdu_read_text(&r);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for function %s", function),
			 errdetail("L22: role \"%s\" has not the grant %s.", GetUserNameFromId(caller, true), grants),
			 errhint("Whoever has the grant admin may: SELECT zdu_grant('%s', '...')", GetUserNameFromId(caller, true))));
}

void
zdu_require_owner(Oid caller, const char *function, const ZduFacts *f)
{
	if (has_owner(caller, function, f))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for cluster \"%s\"", f->name),
			 errdetail("L22: role \"%s\" is not a member of \"%s\", which owns it.", GetUserNameFromId(caller, true), f->owner),
			 errhint("A member may grant it: GRANT %s TO %s", quote_identifier(f->owner), quote_identifier(GetUserNameFromId(caller, true)))));
}

void
zdu_check_role(const char *role, const char *what)
{
	if (!OidIsValid(get_role_oid(role, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", role),
				 errdetail("L22: it was given as %s.", what),
				 errhint("SELECT rolname FROM pg_roles")));
}

void
zdu_call_begin(ZduCall *call, const char *function, const char *cluster)
{
	memset(call, 0, sizeof(*call));
	call->function = function;
	call->cluster = cluster;
	zdu_enter(&call->session);
	zdu_event_reset();
	zdu_require(call->session.caller, function);
	if (cluster != NULL)
	{
		call->f = zdu_facts_locked(cluster);
		zdu_require_owner(call->session.caller, function, call->f);
	}
}

void
zdu_call_look(ZduCall *call, const char *function, const char *cluster)
{
	memset(call, 0, sizeof(*call));
	call->function = function;
	call->cluster = cluster;
	zdu_enter(&call->session);
	zdu_only_look();
	zdu_require(call->session.caller, function);
	if (cluster != NULL)
		call->f = zdu_facts_load(cluster);
}

void
zdu_call_end(ZduCall *call)
{
	int64		upgrade_id = 0;

	if (call->f != NULL)
	{
		/* Also the events that end an upgrade belong to it. */
		upgrade_id = call->f->upgrade_id;
		zdu_drive(call);
	}
	zdu_event_flush(call->cluster, upgrade_id, call->session.caller);
	zdu_leave(&call->session);
}

char *
zdu_arg_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
zdu_arg_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name),
				 errdetail("L22: nothing was changed."),
				 errhint("SELECT usage FROM zdu.help")));
	return zdu_arg_text(fcinfo, n);
}

Jsonb *
zdu_arg_jsonb(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

void
zdu_put_row(ReturnSetInfo *rsinfo, const char *const *values)
{
	AttInMetadata *meta = TupleDescGetAttInMetadata(rsinfo->setDesc);
	HeapTuple	tuple = BuildTupleFromCStrings(meta, (char **) values);

	tuplestore_puttuple(rsinfo->setResult, tuple);
}

/* Makes the role's privileges on functions and views follow its grants. */
static void
sync_privileges(const char *role)
{
	uint64		rows = zdu_run(&privilege_statements, (ZduArg[]) {zdu_text(role)});
	char	  **statements = palloc(sizeof(char *) * (rows + 1));
	ZduReader	r = zdu_reader();
	int			n;

	for (n = 0; zdu_next_row(&r); n++)
		statements[n] = zdu_read_text(&r);
	for (int i = 0; i < n; i++)
		zdu_utility(statements[i]);
}

static Datum
change_grant(FunctionCallInfo fcinfo, const char *function, ZduQuery *query, const char *changed)
{
	char	   *role = zdu_arg_required(fcinfo, 0, "role");
	char	   *grant_as = zdu_arg_required(fcinfo, 1, "grant_as");
	const char *result = "unchanged";
	ZduCall		call;

	zdu_call_begin(&call, function, NULL);
	zdu_check_role(role, "the one to be granted");
	if (zdu_run(&known_grant, (ZduArg[]) {zdu_text(grant_as)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no grant", grant_as),
				 errdetail("L22: viewer, operator, approver, worker, node, admin, force and waive are."),
				 errhint("SELECT name, grants FROM zdu.help")));
	/* Two at once would meet in the catalog rows of the functions, and one would fail. */
	zdu_utility("LOCK TABLE zdu.grant IN SHARE ROW EXCLUSIVE MODE");
	if (zdu_run(query, (ZduArg[]) {zdu_text(role), zdu_text(grant_as)}) > 0)
	{
		result = changed;
		zdu_event_note(NULL, "grant", NULL, psprintf("%s %s", result, grant_as), "L22", role);
		sync_privileges(role);
	}
	zdu_call_end(&call);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum
zdu_grant(PG_FUNCTION_ARGS)
{
	return change_grant(fcinfo, "zdu_grant", &insert_grant, "granted");
}

Datum
zdu_revoke(PG_FUNCTION_ARGS)
{
	return change_grant(fcinfo, "zdu_revoke", &delete_grant, "revoked");
}
