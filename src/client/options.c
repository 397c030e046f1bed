/*
 * options.c
 *	  Parses a command line by a table of options and prints --help from it.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/options.h"

#define MAX_OPTIONS		32
#define OPTION_HELP		1000
#define OPTION_VERSION	1001

static void
print_help(const ZduProgram *program)
{
	const ZduOption *option;

	printf("%s: %s\n\nUsage:\n%s\nOptions:\n", program->name, program->summary, program->usage);
	for (option = program->options; option->name != NULL; option++)
	{
		char		label[64];

		snprintf(label, sizeof(label), "--%s%s%s", option->name,
				 option->argument ? " " : "", option->argument ? option->argument : "");
		printf("  %-24s %s\n", label, option->help);
	}
	printf("  %-24s %s\n", "--help", "show this and leave");
	printf("  %-24s %s\n", "--version", "show the version and leave");
	printf("\nExit status:\n%s", program->exit_codes);
}

void
zdu_options_refuse(const ZduProgram *program, const char *complaint, const char *subject)
{
	fprintf(stderr, "%s: %s \"%s\"\n%s: try \"%s --help\"\n",
			program->name, complaint, subject, program->name, program->name);
	exit(ZDU_EXIT_USAGE);
}

/* Returns whether `text` is nothing but a number greater than 0. */
static bool
parse_number(const char *text, double *number)
{
	char	   *end;

	*number = strtod(text, &end);
	return end != text && *end == '\0' && *number > 0 && *number < 1e9;
}

static void
store_option(const ZduProgram *program, const ZduOption *option, const char *text, void *target)
{
	void	   *field = (char *) target + option->offset;
	double		number;

	switch (option->kind)
	{
		case ZDU_OPTION_FLAG:
			*(bool *) field = true;
			break;
		case ZDU_OPTION_TEXT:
			if (*text == '\0')
				zdu_options_refuse(program, "an argument is needed for option", option->name);
			*(const char **) field = text;
			break;
		case ZDU_OPTION_COUNT:
			if (!parse_number(text, &number) || number != (int) number)
				zdu_options_refuse(program, "not a whole number above 0:", text);
			*(int *) field = (int) number;
			break;
		case ZDU_OPTION_SECONDS:
			if (!parse_number(text, &number))
				zdu_options_refuse(program, "not a number of seconds above 0:", text);
			*(double *) field = number;
			break;
		case ZDU_OPTION_LIST:
			{
				ZduOptionList *list = field;

				list->items = realloc(list->items, (list->count + 1) * sizeof(char *));
				if (list->items == NULL)
					abort();
				list->items[list->count++] = text;
			}
			break;
	}
}

int
zdu_options_parse(const ZduProgram *program, int argc, char **argv, void *target, char ***operands)
{
	struct option table[MAX_OPTIONS + 3];
	int			count = 0;
	int			found;

	memset(table, 0, sizeof(table));
	for (; program->options[count].name != NULL && count < MAX_OPTIONS; count++)
	{
		table[count].name = program->options[count].name;
		table[count].has_arg = program->options[count].argument ? required_argument : no_argument;
		table[count].val = count;
	}
	table[count].name = "help";
	table[count].val = OPTION_HELP;
	table[count + 1].name = "version";
	table[count + 1].val = OPTION_VERSION;

	opterr = 0;
	while ((found = getopt_long(argc, argv, ":", table, NULL)) != -1)
	{
		if (found == OPTION_HELP)
		{
			print_help(program);
			exit(ZDU_EXIT_OK);
		}
		if (found == OPTION_VERSION)
		{
			printf("%s (zdu) %s\n", program->name, ZDU_VERSION);
			exit(ZDU_EXIT_OK);
		}
		if (found == ':')
			zdu_options_refuse(program, "an argument is needed for option", argv[optind - 1]);
		if (found == '?')
			zdu_options_refuse(program, "unrecognized option", argv[optind - 1]);
		store_option(program, &program->options[found], optarg, target);
	}
	*operands = argv + optind;
	return argc - optind;
}
