#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/routeset.h"

static int
by_prefix(const void *va, const void *vb)
{
	const struct prefix *a = va, *b = vb;

	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	return ip_cmp(&a->addr, &b->addr);
}

static void
order(struct routeset *s)
{
	uint32_t i, k = 0;

	if (s->n < 2)
		return;
	qsort(s->v, s->n, sizeof(*s->v), by_prefix);
	for (i = 1; i < s->n; i++)
		if (by_prefix(&s->v[i], &s->v[k]) != 0)
			s->v[++k] = s->v[i];
	s->n = k + 1;
}

void
routeset_of(struct routeset *s, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_route r;

	s->n = 0;
	s->v = list->count == 0 ? NULL :
	    xcalloc(list->count, sizeof(*s->v));
	while (msg_list_next(&it, MR_ROUTE, &r))
		s->v[s->n++] = r.v;
	order(s);
}

void
routeset_from(struct routeset *s, const struct prefix *v, uint32_t n)
{
	s->n = n;
	s->v = NULL;
	if (n == 0)
		return;
	s->v = xcalloc(n, sizeof(*s->v));
	memcpy(s->v, v, n * sizeof(*s->v));
	order(s);
}

uint32_t
routeset_find(const struct routeset *s, const struct prefix *p)
{
	const struct prefix *at;

	if (s->n == 0)
		return ROUTESET_NONE;
	at = bsearch(p, s->v, s->n, sizeof(*s->v), by_prefix);
	return at == NULL ? ROUTESET_NONE : (uint32_t)(at - s->v);
}

bool
routeset_has(const struct routeset *s, const struct prefix *p)
{
	return routeset_find(s, p) != ROUTESET_NONE;
}

void
routeset_free(struct routeset *s)
{
	free(s->v);
	s->v = NULL;
	s->n = 0;
}
