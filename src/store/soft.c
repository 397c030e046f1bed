/*
 * soft.c
 *	  A type's input function, with its error as a value.
 *
 * Not every type that we need has soft errors, and none has before 16.  A
 * subtransaction keeps the ERROR from whoever called.
 */
#include "store/soft.h"

#include "access/xact.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

bool
zdu_soft_input(PGFunction input, const char *text, Datum *result, ZduSoftError *error)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		*result = DirectFunctionCall1(input, CStringGetDatum(text));
		ReleaseCurrentSubTransaction();
		good = true;
	}
	PG_CATCH();
	{
		ErrorData  *data;

		MemoryContextSwitchTo(memory);
		data = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		/* Only what is wrong with the text is the text's: a cancel, or no memory, is not. */
		switch (ERRCODE_TO_CATEGORY(data->sqlerrcode))
		{
			case ERRCODE_DATA_EXCEPTION:
			case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			case ERRCODE_FEATURE_NOT_SUPPORTED:
				break;
			default:
				ReThrowError(data);
		}
		error->sqlstate = pstrdup(unpack_sql_state(data->sqlerrcode));
		error->message = data->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	return good;
}
