/*
 * runbook_keys.h
 *	  The keys of a runbook: where each may stand, and what its value is.
 */
#ifndef ZDU_RUNBOOK_KEYS_H
#define ZDU_RUNBOOK_KEYS_H

#include "postgres.h"

/* Where a key may stand. */
#define AT_DOCUMENT 0x01
#define AT_SPEC 0x02			/* in every place that looks or acts */
#define AT_PHASE 0x04
#define AT_NODE 0x08
#define AT_OBSERVE 0x10
#define AT_GUARD 0x20
#define AT_TASK 0x40			/* before and after, besides AT_PHASE */
#define AT_SCHEMA 0x80
#define AT_PLACEMENTS 0x100
#define AT_FACT 0x200

typedef enum KeyKind
{
	KEY_TEXT,
	KEY_PROGRAM,
	KEY_WORDS,					/* a list of texts */
	KEY_NAMES,					/* a list of variables' names */
	KEY_NUMBER,
	KEY_FLAG,
	KEY_DURATION,
	KEY_PATH,					/* a jsonpath */
	KEY_METHOD,
	KEY_STATE,					/* of a server in HAProxy */
	KEY_ONLY,
	KEY_FORMAT,					/* the number 1 */
	KEY_CONNINFO,
	KEY_ANY,
	KEY_FORM,					/* name and text */
	KEY_SPEC,
	KEY_UNDO,
	KEY_OBSERVE,
	KEY_SCHEMA,
	KEY_PLACEMENTS,
	KEY_PHASES,
	KEY_PHASE,
	KEY_TASKS,
	KEY_GUARDS,
	KEY_FACTS
} KeyKind;

typedef struct ZduKeyRow
{
	const char *name;
	int			places;
	KeyKind		kind;
	const char *driver;			/* only together with this key; NULL: always */
} ZduKeyRow;

extern const ZduKeyRow zdu_runbook_keys[];
extern const int zdu_runbook_nkeys;

#endif							/* ZDU_RUNBOOK_KEYS_H */
