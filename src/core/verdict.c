/*
 * verdict.c
 *	  What a predicate says.
 */
#include "core/verdict.h"

#include <stdarg.h>
#include <stdio.h>

void
zdu_answer(ZduVerdict *v, bool yes)
{
	v->answer = yes ? ANSWER_YES : ANSWER_NO;
}

void
zdu_say(char *where, const char *format,...)
{
	va_list		ap;
	int			wanted;
	int			kept = ZDU_TEXT_SIZE - 1;

	va_start(ap, format);
	wanted = vsnprintf(where, ZDU_TEXT_SIZE, format, ap);
	va_end(ap);
	if (wanted < ZDU_TEXT_SIZE)
		return;
	/* Evidence may hold any character: half of one would be no text. */
	while (kept > 0 && ((unsigned char) where[kept - 1] & 0xC0) == 0x80)
		kept--;
	if (kept > 0 && (unsigned char) where[kept - 1] >= 0xC0)
		kept--;
	where[kept] = '\0';
}
