/*
 * fault.h
 *	  What goes wrong in a roll, and what people do at random moments.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base.h"
#include "world.h"

#define MAX_FAULTS 24

struct Game;
struct Scene;

typedef enum FaultKind
{
	FAULT_KILL,
	FAULT_STOP,
	FAULT_LOSE_REPLY,
	FAULT_LOSE_CALL,
	FAULT_SAY_TWICE,
	FAULT_SAY_LATE,
	FAULT_CONDUCT,
	FAULT_DIE,
	FAULT_VANISH,
	FAULT_SICK,
	FAULT_COME_BACK,
	FAULT_RESTART,
	FAULT_PROMOTE,
	FAULT_GATE,
	FAULT_FREEZE,
	FAULT_CALL,
	FAULT_KINDS
} FaultKind;

typedef struct Fault
{
	FaultKind	kind;
	double		at;
	double		lasts;
	int			who;			/* worker or node */
	int			what;			/* deed or call */
	int			how;			/* conduct, or whether actions die, ... */
	bool		begun;
	bool		left_out;		/* by who looks for the shortest roll that fails */
	bool		over;
} Fault;

typedef struct Faults
{
	int			n;
	Fault		fault[MAX_FAULTS];
} Faults;

extern void faults_make(Faults *f, const struct Scene *s, uint64_t seed);
extern double faults_due(const Faults *f);
extern void faults_go(struct Game *g);

/* Ends all that still goes wrong. */
extern void faults_mend(struct Game *g);

/* Returns a fault in words, to be freed. */
extern char *fault_text(const Fault *f);

/* True if a refusal names its rule, and what helps. */
extern bool says_why(const Outcome *o);

/* Calls a function as a person does; a refusal has to say why, and what helps. */
extern void person_calls(struct Game *g, const char *statement);

#endif							/* SIM_FAULT_H */
