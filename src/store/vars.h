/*
 * vars.h
 *	  Variables of runbooks: what they may hold, and putting them in place.
 */
#ifndef ZDU_VARS_H
#define ZDU_VARS_H

#include "postgres.h"

#include "store/node.h"
#include "utils/jsonb.h"

/*
 * Calls back for every {name} in a string.  Returns false at a brace that is
 * part of none.
 */
extern bool zdu_vars_each(const char *text, int len, bool (*visit) (const char *name, int len, void *arg), void *arg);

/* True for the names that zdu gives itself: cluster, node, address, version, ... */
extern bool zdu_var_is_builtin(const char *name, int len);

/*
 * Checks values that people give: text, number, boolean or a list of such, of
 * harmless characters, no password.  ERROR 22023; what: "cluster \"shop\"".
 */
extern void zdu_vars_check(const char *what, Jsonb *vars);

/* True for a conninfo that names a password, or a service along with a host. */
extern bool zdu_conninfo_is_unsafe(const char *conninfo, int len);

/* Returns a variable's value as text, NULL if it is missing or null; element `index` of a list. */
extern char *zdu_var_value(Jsonb *vars, const char *name, int len, int index);

/*
 * Returns a copy of a document with every {name} in its strings replaced, or
 * NULL and *error.  A variable that is a list gives its element `index`.
 */
extern Jsonb *zdu_vars_resolve(Jsonb *document, Jsonb *vars, int index, char **error);

/* Does a document use a variable, or have a brace that stands for none? */
extern bool zdu_vars_used(Jsonb *document);

/* Returns the length of the longest list among the variables that the document uses, 0: none is a list. */
extern int	zdu_vars_list_length(Jsonb *document, Jsonb *vars);

/* Returns vars with one text value set. */
extern Jsonb *zdu_vars_set(Jsonb *vars, const char *name, const char *value);

/* The same for n nodes at once, as node->vars. */
extern void zdu_vars_of_nodes(ZduNode *nodes, int n);

/* Returns the merged variables of a node, or (id 0) of the cluster. */
extern Jsonb *zdu_vars_load(const ZduFacts *f, int64 node_id);

#endif							/* ZDU_VARS_H */
