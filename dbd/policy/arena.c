#include <setjmp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/policy/arena.h"

#define BLOCK	((size_t)64 * 1024)

struct block {
	struct block	*next;
	size_t		 used;
	size_t		 cap;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block	*top;
	size_t		 used;
	size_t		 max;
	jmp_buf		*full;		/* where to go when there is no room */
};

struct arena *
arena_new(size_t max)
{
	struct arena *a;

	a = xcalloc(1, sizeof(*a));
	a->max = max;
	return a;
}

static struct block *
block_new(struct arena *a, size_t n)
{
	struct block *b;
	size_t cap = n > BLOCK ? n : BLOCK;

	b = xmalloc(sizeof(*b) + cap);
	memset(b, 0, sizeof(*b));
	b->cap = cap;
	if (n > BLOCK && a->top != NULL) {	/* the top has room left */
		b->next = a->top->next;
		a->top->next = b;
	} else {
		b->next = a->top;
		a->top = b;
	}
	return b;
}

static void __attribute__((__noreturn__))
no_room(struct arena *a)
{
	if (a->full != NULL)
		longjmp(*a->full, 1);
	fatalx("a policy needs more than %zu octets", a->max);
}

bool
arena_run(struct arena *a, void (*fn)(void *), void *arg)
{
	jmp_buf here;

	a->full = &here;
	if (setjmp(here) != 0) {
		a->full = NULL;
		return false;
	}
	fn(arg);
	a->full = NULL;
	return true;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct block *b = a->top;
	void *p;

	if (n > a->max)
		no_room(a);
	n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (n > a->max - a->used)
		no_room(a);
	a->used += n;
	if (b == NULL || b->cap - b->used < n)
		b = block_new(a, n);
	p = b->data + b->used;
	b->used += n;
	/* Now, not with the block: pages that nobody uses are never touched. */
	return memset(p, 0, n);
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		no_room(a);
	return arena_alloc(a, n * size);
}

struct slice
arena_copy(struct arena *a, struct slice s)
{
	char *p;

	p = arena_alloc(a, s.n + 1);
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	return slice_mem(p, s.n);
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

void
arena_free(struct arena *a)
{
	struct block *b, *next;

	if (a == NULL)
		return;
	for (b = a->top; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}
