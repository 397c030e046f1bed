/*
 * heap.c
 *	  A pairing heap whose links live in its items.
 */
#include "core/heap.h"

bool
zdu_heap_before(const ZduHeapItem *a, const ZduHeapItem *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->weight != b->weight)
		return a->weight > b->weight;
	return a->place < b->place;
}

/* Makes the later of two roots a child of the earlier one; returns that. */
static ZduHeapItem *
merge(ZduHeapItem *a, ZduHeapItem *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (zdu_heap_before(b, a))
	{
		ZduHeapItem *swap = a;

		a = b;
		b = swap;
	}
	b->next = a->child;
	b->prev = a;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Merges siblings pair by pair, then the pairs from the last to the first. */
static ZduHeapItem *
merge_siblings(ZduHeapItem *first)
{
	ZduHeapItem *pairs = NULL;
	ZduHeapItem *root = NULL;

	while (first != NULL)
	{
		ZduHeapItem *a = first;
		ZduHeapItem *b = a->next;
		ZduHeapItem *pair;

		first = b != NULL ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		pair = merge(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs != NULL)
	{
		ZduHeapItem *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		root = merge(root, pair);
	}
	return root;
}

void
zdu_heap_push(ZduHeap *h, ZduHeapItem *item)
{
	item->child = item->next = item->prev = NULL;
	h->root = merge(h->root, item);
}

ZduHeapItem *
zdu_heap_pop(ZduHeap *h)
{
	ZduHeapItem *first = h->root;

	if (first != NULL)
		zdu_heap_remove(h, first);
	return first;
}

void
zdu_heap_remove(ZduHeap *h, ZduHeapItem *item)
{
	ZduHeapItem *rest = merge_siblings(item->child);

	if (item == h->root)
		h->root = rest;
	else
	{
		if (item->prev->child == item)
			item->prev->child = item->next;
		else
			item->prev->next = item->next;
		if (item->next != NULL)
			item->next->prev = item->prev;
		h->root = merge(h->root, rest);
	}
	item->child = item->next = item->prev = NULL;
}
