/*
 * row.c
 *	  Tables that are not zdu's, and their rows as jsonb.
 */
#include "store/row.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"

const char *
zdu_table_name(Relation relation)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)), RelationGetRelationName(relation));
}

Oid
zdu_table_top(Relation relation)
{
	return relation->rd_rel->relispartition ? llast_oid(get_partition_ancestors(RelationGetRelid(relation))) : RelationGetRelid(relation);
}

const char *
zdu_table_shape(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	StringInfoData shape;
	bytea	   *plain;
	Datum		hash;

	initStringInfo(&shape);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);

		if (a->attisdropped)
			continue;
		appendStringInfo(&shape, "%s %s %c;", quote_identifier(NameStr(a->attname)),
						 format_type_extended(a->atttypid, a->atttypmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY),
						 a->attgenerated != '\0' ? a->attgenerated : '-');
	}
	plain = palloc(VARHDRSZ + shape.len);
	SET_VARSIZE(plain, VARHDRSZ + shape.len);
	memcpy(VARDATA(plain), shape.data, shape.len);
	hash = DirectFunctionCall1(sha256_bytea, PointerGetDatum(plain));
	return TextDatumGetCString(DirectFunctionCall2(binary_encode, hash, CStringGetTextDatum("hex")));
}

/* Adds a column's name to a list of them. */
static void
add_column(StringInfo list, const char *of, const char *column)
{
	appendStringInfo(list, "%s%s%s", list->len > 0 ? ", " : "", of, quote_identifier(column));
}

/* Returns an operator as it can stand in SQL whatever the search_path. */
static char *
operator_name(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* "t.id OPERATOR(pg_catalog.=) r.id", by the operators of the key's own index. */
static const char *
key_match(Relation relation)
{
	Oid			index_oid = ZDU_PRIMARY_KEY_INDEX(relation);
	Relation	index;
	StringInfoData text;

	if (!OidIsValid(index_oid))
		return NULL;
	index = relation_open(index_oid, AccessShareLock);
	initStringInfo(&text);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];
		const char *column = quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attname));
		Oid			equals = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i], index->rd_opcintype[i], BTEqualStrategyNumber);

		appendStringInfo(&text, "%st.%s %s r.%s", i > 0 ? " AND " : "", column, operator_name(equals), column);
	}
	relation_close(index, AccessShareLock);
	return text.data;
}

ZduTable *
zdu_table_load(Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	ZduTable   *t;
	StringInfoData columns;
	StringInfoData values;
	StringInfoData settable;

	if (relation == NULL)
		return NULL;
	t = palloc0(sizeof(ZduTable));
	t->relid = relid;
	t->owner = relation->rd_rel->relowner;
	t->kind = relation->rd_rel->relkind;
	t->row_security = relation->rd_rel->relrowsecurity;
	t->foreign = IsSystemRelation(relation) || RelationGetNamespace(relation) == get_namespace_oid("zdu", false);
	t->name = zdu_table_name(relation);
	t->shape = zdu_table_shape(relation);
	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&settable);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(RelationGetDescr(relation), i);

		if (a->attisdropped || a->attgenerated != '\0')
			continue;
		add_column(&columns, "", NameStr(a->attname));
		add_column(&values, "r.", NameStr(a->attname));
		if (a->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			add_column(&settable, "", NameStr(a->attname));
	}
	t->columns = columns.data;
	t->values = values.data;
	t->settable = settable.data;
	t->key_match = key_match(relation);
	relation_close(relation, AccessShareLock);
	return t;
}

Jsonb *
zdu_row_jsonb(HeapTuple row, Relation relation)
{
	Datum		composite = heap_copy_tuple_as_datum(row, RelationGetDescr(relation));
	Const	   *argument = makeNullConst(HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(composite)), -1, InvalidOid);
	int			guc_level = NewGUCNestLevel();
	FmgrInfo	to_jsonb;
	Jsonb	   *result;

	/* As in zdu_run_as(), by which it is read back. */
	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	fmgr_info(F_TO_JSONB, &to_jsonb);
	/* It asks for its argument's type. */
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL), &to_jsonb);
	result = DatumGetJsonbP(FunctionCall1(&to_jsonb, composite));
	AtEOXact_GUC(false, guc_level);
	return result;
}

Jsonb *
zdu_row_key(Jsonb *row, Relation relation)
{
	Bitmapset  *columns = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	JsonbParseState *state = NULL;
	int			x = -1;

	if (bms_is_empty(columns))
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((x = bms_next_member(columns, x)) >= 0)
	{
		char	   *column = NameStr(TupleDescAttr(RelationGetDescr(relation), x + FirstLowInvalidHeapAttributeNumber - 1)->attname);
		JsonbValue	key = {.type = jbvString, .val.string = {strlen(column), column}};
		JsonbValue	value;

		(void) getKeyJsonValueFromContainer(&row->root, column, strlen(column), &value);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
