/*
 * heap.h
 *	  A pairing heap whose links live in its items: nothing is allocated.
 *
 * Pure: no server headers.  An item is in one heap at a time.
 */
#ifndef ZDU_HEAP_H
#define ZDU_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* First by rank (low), then by weight (high), then by place (low). */
typedef struct ZduHeapItem
{
	int			rank;
	double		weight;
	int			place;
	struct ZduHeapItem *child;
	struct ZduHeapItem *next;	/* sibling */
	struct ZduHeapItem *prev;	/* sibling before it, or parent; NULL: the root, or in no heap */
} ZduHeapItem;

typedef struct ZduHeap
{
	ZduHeapItem *root;			/* NULL: empty */
} ZduHeap;

/* Returns whether a comes before b. */
extern bool zdu_heap_before(const ZduHeapItem *a, const ZduHeapItem *b);

/* Adds an item that is in no heap. */
extern void zdu_heap_push(ZduHeap *h, ZduHeapItem *item);

/* Takes out the first, NULL: the heap is empty; or any item that is in this heap. */
extern ZduHeapItem *zdu_heap_pop(ZduHeap *h);
extern void zdu_heap_remove(ZduHeap *h, ZduHeapItem *item);

#endif							/* ZDU_HEAP_H */
