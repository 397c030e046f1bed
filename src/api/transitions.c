/*
 * transitions.c
 *	  The tables of states, as the code has them.
 */
#include "api/api.h"

#include "core/fsm.h"
#include "funcapi.h"

PG_FUNCTION_INFO_V1(zdu_transitions);

Datum
zdu_transitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int m = 0; zdu_machine_name(m) != NULL; m++)
	{
		int			n;
		const ZduTransition *t = zdu_machine_transitions((ZduMachine) m, &n);

		for (int i = 0; i < n; i++)
		{
			const char *row[] = {
				zdu_machine_name(m), zdu_state_name((ZduMachine) m, t[i].from), t[i].event,
				zdu_state_name((ZduMachine) m, t[i].to), t[i].rule, t[i].meaning
			};

			zdu_put_row(rsinfo, row);
		}
	}
	return (Datum) 0;
}
