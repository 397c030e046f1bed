/*
 * options.h
 *	  A program's command line, described by a table.
 *
 * The same table parses the arguments and prints --help, so that neither can
 * say what the other does not know.
 */
#ifndef ZDU_CLIENT_OPTIONS_H
#define ZDU_CLIENT_OPTIONS_H

#include <stddef.h>

#define ZDU_EXIT_OK		0
#define ZDU_EXIT_USAGE	1

typedef enum ZduOptionKind
{
	ZDU_OPTION_FLAG,			/* bool */
	ZDU_OPTION_TEXT,			/* const char * */
	ZDU_OPTION_COUNT,			/* int, 1 or more */
	ZDU_OPTION_SECONDS,			/* double, above 0 */
	ZDU_OPTION_LIST				/* ZduOptionList, repeatable */
} ZduOptionKind;

typedef struct ZduOptionList
{
	const char **items;
	int			count;
} ZduOptionList;

typedef struct ZduOption
{
	const char *name;			/* without the dashes; NULL ends the table */
	ZduOptionKind kind;
	size_t		offset;			/* of the field in the options' struct */
	const char *argument;		/* how --help calls it, NULL for a flag */
	const char *help;
} ZduOption;

typedef struct ZduProgram
{
	const char *name;
	const char *summary;
	const char *usage;
	const char *exit_codes;
	const ZduOption *options;
} ZduProgram;

/*
 * Fills `target` from the arguments.  Returns the number of operands left,
 * whose first is *operands, or exits: 0 after --help and --version, 1 after a
 * complaint on stderr.  Texts point into argv.
 */
extern int	zdu_options_parse(const ZduProgram *program, int argc, char **argv,
							  void *target, char ***operands);

/* Complains about the command line on stderr and exits with 1. */
extern void zdu_options_refuse(const ZduProgram *program, const char *complaint, const char *subject)
	__attribute__((noreturn));

#endif							/* ZDU_CLIENT_OPTIONS_H */
