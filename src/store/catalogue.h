/*
 * catalogue.h
 *	  What is known of a product's releases.
 */
#ifndef ZDU_STORE_CATALOGUE_H
#define ZDU_STORE_CATALOGUE_H

#include "postgres.h"

#include "core/path.h"
#include "store/facts.h"

/* Returns all releases of a product and all edges between them. */
extern ZduCatalogue *zdu_catalogue_load(const char *product);

/* Returns the newest release above a version that is not blocked, or NULL. */
extern char *zdu_catalogue_newest(const char *product, const char *above);

/*
 * Describes the first other product of which a release needs another version
 * than there is, or of which no version is known (V9); NULL: all is well.
 */
extern char *zdu_catalogue_unmet(const ZduFacts *f, const char *release);

#endif							/* ZDU_STORE_CATALOGUE_H */
