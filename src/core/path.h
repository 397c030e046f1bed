/*
 * path.h
 *	  Which step from one version to another is safe as a rolling one, and by
 *	  which releases to go where one step is not.
 *
 * Pure: no server headers.
 */
#ifndef ZDU_PATH_H
#define ZDU_PATH_H

#include <stdbool.h>

#include "core/decide.h"

/* A known release of a product. */
typedef struct ZduRelease
{
	const char *version;
	const char *blocked;		/* why nobody may go there; NULL: they may */
	bool		compatible;		/* what older nodes wrote and read, it reads and writes */
} ZduRelease;

/*
 * What is known of steps between versions.  A low bound is the first version
 * that counts (so it is the minimum patch); a high one counts with all that
 * begins with it: 0.48 covers 0.48.3.
 */
typedef struct ZduEdge
{
	const char *from_low;
	const char *from_high;
	const char *to_low;
	const char *to_high;
	bool		restart;		/* all nodes must be stopped for it */
	const char *reason;			/* NULL: none */
} ZduEdge;

typedef struct ZduCatalogue
{
	const ZduRelease *releases; /* ascending */
	int			nreleases;
	const ZduEdge *edges;
	int			nedges;
} ZduCatalogue;

/* True if a version lies between two bounds as those of an edge; NULL: none. */
extern bool zdu_path_within(const char *version, const char *low, const char *high);

/*
 * May a cluster with f's policy go from one version to another by rolling
 * (V2-V7, V9)?  Sets the verdict, whose rule is the one that decided.
 */
extern void zdu_path_judge(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *to, ZduVerdict *v);

/*
 * Returns the number of steps of the shortest chain of known releases, each a
 * legal step, that leads from one version to another (V8), or 0 if there is
 * none.  steps[i] is where step i leads, and needs room for nreleases + 1.
 * Of chains of one length it is that which goes far first.
 */
extern int	zdu_path_find(const ZduFacts *f, const ZduCatalogue *c, const char *from, const char *to, const char **steps);

/* Returns the latest patch of this version's minor that may be gone to, or NULL: it is the latest (V3). */
extern const char *zdu_path_latest_patch(const ZduCatalogue *c, const char *version);

#endif							/* ZDU_PATH_H */
