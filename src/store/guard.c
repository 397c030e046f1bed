/*
 * guard.c
 *	  Guards: what is looked at all through an upgrade.
 */
#include "store/guard.h"

#include "store/args.h"
#include "store/document.h"
#include "store/vars.h"
#include "store/watch.h"

#define GUARD_TIMEOUT 5.0

void
zdu_guards_make(const ZduRunbook *rb, const ZduFacts *f, int64 upgrade_id)
{
	JsonbValue *guards = zdu_get(&rb->document->root, "guard");
	Jsonb	   *vars = zdu_vars_load(f, 0);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	e;
	int			ord = 0;

	if (guards == NULL)
		return;
	it = JsonbIteratorInit(guards->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &e, true)) != WJB_DONE)
	{
		JsonbContainer *guard;
		char	   *error = NULL;
		ZduFrame	frame = {.vars = vars, .every = 1, .phase = "guard", .direction = "forward"};
		Jsonb	   *look;

		if (token != WJB_ELEM)
			continue;
		guard = e.val.binary.data;
		frame.timeout = zdu_get_duration(guard, "timeout", GUARD_TIMEOUT);
		look = zdu_args_make(guard, &frame, &error);
		if (look == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("guard %d of runbook \"%s\" cannot be used for cluster \"%s\"", ord, rb->name, f->name),
					 errdetail("W1: %s.", error),
					 errhint("SELECT zdu_set_cluster('%s', vars => '{...}')", f->name)));
		(void) zdu_watch_insert(f, &(ZduNewWatch) {
			.kind = "guard", .name = psprintf("guard %d", ord++), .upgrade_id = upgrade_id, .look = look,
			.until = zdu_get_text(guard, "until"), .vars = vars, .every = zdu_get_duration(guard, "every", 1),
			.failures = Max(zdu_get_number(guard, "failures", 3), 1)
		});
	}
}
