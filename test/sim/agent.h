/*
 * agent.h
 *	  Nodes that report themselves: the part of their program that speaks to zdu.
 */
#ifndef SIM_AGENT_H
#define SIM_AGENT_H

#include <stdbool.h>

struct Game;

typedef struct Agent
{
	bool		speaks;			/* the node's program does at all */
	bool		runs;			/* as it was when it last looked at itself */
	bool		admitted;
	int			said;			/* of its health: 1 well, -1 not, 0 nothing yet */
	int			incarnation;
	double		due;			/* when it asks again whether it may start, or beats */
	double		every;			/* seconds between beats */
	double		late_at;		/* when a beat of the process before arrives; NEVER: none is under way */
} Agent;

extern void agents_init(struct Game *g);

/* Returns when one of them has something to say. */
extern double agents_due(const struct Game *g);

/* They say it. */
extern void agents_go(struct Game *g);

#endif							/* SIM_AGENT_H */
