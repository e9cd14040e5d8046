#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/holding_int.h"
#include "worker/tailnet/replica_int.h"

struct holding {
	uint32_t	 refs;
	size_t		 n;
	uint64_t	*owner;		/* ascending */
};

static bool
carries(const struct node *router, const struct node *n)
{
	const struct node_route *r;
	unsigned int i;

	for (i = 0; i < router->nroutes; i++) {
		r = &router->routes[i];
		if (!r->exit && (prefix_has(&r->p, &n->ip4) ||
		    prefix_has(&r->p, &n->ip6)))
			return true;
	}
	return false;
}

static bool
holds(const struct node *router, const struct user *u)
{
	const struct node *n;

	TAILQ_FOREACH(n, &u->owned, owned)
		if (n->class != NULL && n->class->covered &&
		    carries(router, n))
			return true;
	return false;
}

static int
by_number(const void *va, const void *vb)
{
	uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

	return a < b ? -1 : a > b;
}

struct holding *
holding_new(const struct replica *r, const struct node *router)
{
	const struct user *u;
	struct holding *h;

	h = xcalloc(1, sizeof(*h));
	h->refs = 1;
	h->owner = xcalloc(r->users.n + 1, sizeof(h->owner[0]));
	TAILQ_FOREACH(u, &r->by_change, link)
		if (u != r->tagged && holds(router, u))
			h->owner[h->n++] = u->id;
	if (h->n != 0)
		qsort(h->owner, h->n, sizeof(h->owner[0]), by_number);
	h->owner = xrealloc(h->owner, h->n + 1, sizeof(h->owner[0]));
	return h;
}

struct holding *
holding_ref(struct holding *h)
{
	if (h != NULL)
		h->refs++;
	return h;
}

void
holding_unref(struct holding *h)
{
	if (h == NULL || --h->refs != 0)
		return;
	free(h->owner);
	free(h);
}

bool
holding_has(const struct holding *h, uint64_t owner)
{
	return h != NULL && bsearch(&owner, h->owner, h->n, sizeof(owner),
	    by_number) != NULL;
}

size_t
holding_owners(const struct holding *h, const uint64_t **owner)
{
	*owner = h == NULL ? NULL : h->owner;
	return h == NULL ? 0 : h->n;
}

bool
holding_eq(const struct holding *a, const struct holding *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->n == b->n &&
	    memcmp(a->owner, b->owner, a->n * sizeof(a->owner[0])) == 0;
}
