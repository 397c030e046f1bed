/*
 * check.h
 *	  What has to be so after every step: in the tables, and in truth.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include <stdbool.h>

#include "base.h"
#include "world.h"

#define MAX_OPEN 8192

struct Game;
struct Action;

/* A node as the tables have it. */
typedef struct NodeRow
{
	bool		there;
	char		state[16];
	bool		in_rotation;
	bool		attached;
	bool		taken;
	bool		confirmed;
	bool		back;			/* it goes to the original version */
	double		begun_at;
} NodeRow;

/* A step that has not ended. */
typedef struct StepRow
{
	long		id;
	char		node[16];
	char		phase[12];
	char		state[12];
	char		stage[8];
	Token		token;
	char		holder[32];
	bool		wish;			/* of zdu_attach or zdu_detach */
} StepRow;

typedef struct Check
{
	NodeRow		node[MAX_NODES];
	StepRow		step[MAX_OPEN];
	int			nsteps;
	Token		highest;		/* of all that were granted */
	char		state[32];		/* of the cluster */
	char		run[16];		/* of the upgrade; "" none is active */
	char		held[256];
	char		version[16];
	int			total;
	int			open;
	char		groups[32];		/* to which it was deployed yet */
} Check;

/* Reads the tables of transitions. */
extern void check_init(void);

/* Compares what a transaction has changed with what it may change. */
extern void check_outcome(struct Game *g, const Outcome *o);

/* An action begins: by whom, and may it? */
extern void check_begin(struct Game *g, const struct Action *a, bool has_looked);

/* An action has had its effect. */
extern void check_effect(struct Game *g, const struct Action *a, Effect e);

/* Nothing happens any more: is everything as it should be? */
extern void check_end(struct Game *g);

/* Does zdu_why say of a node what the exchange then does? */
extern void check_agreement(struct Game *g, int node);

/* Returns the open step of that token, NULL if it is not current. */
extern const StepRow *check_current(const Check *c, Token token);

#endif							/* SIM_CHECK_H */
