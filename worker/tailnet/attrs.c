/* What nodeAttrs give to the nodes of a class (policy.md 12.1). */

#include <string.h>

#include "worker/tailnet/plan_int.h"
#include "worker/tailnet/tailnets_int.h"

#define VALUE	":null"

/* Octets of the first `"key":null` of a list. */
static size_t
one_key(struct slice keys)
{
	size_t i;

	for (i = 1; i < keys.n && keys.p[i] != '"'; i++)
		if (keys.p[i] == '\\')
			i++;
	i += 1 + strlen(VALUE);
	return i < keys.n ? i : keys.n;
}

/* The member stands in a list, between commas or braces. */
static bool
is_there(struct slice list, struct slice key)
{
	const char *p = list.p, *end;

	if (list.n < key.n)
		return false;
	for (end = list.p + list.n - key.n; p <= end; p++) {
		if ((p = memchr(p, '"', (size_t)(end - p) + 1)) == NULL)
			return false;
		if (memcmp(p, key.p, key.n) == 0 && (p == list.p ||
		    p[-1] == ',' || p[-1] == '{'))
			return true;
	}
	return false;
}

static void
put_keys(struct maker *m, struct slice keys)
{
	struct plan *p = m->plan;
	struct slice key, mine;
	size_t n;

	while (keys.n != 0) {
		n = one_key(keys);
		key = slice_mem(keys.p, n);
		mine = buf_slice_of(&p->text);
		if (mine.n != 0) {
			mine.p += p->caps_at;
			mine.n -= p->caps_at;
		}
		/* No member of an object twice. */
		if (!is_there(mine, key)) {
			buf_u8(&p->text, ',');
			buf_slice(&p->text, key);
		}
		n += n < keys.n;
		keys.p += n;
		keys.n -= n;
	}
}

void
plan_attrs(struct maker *m)
{
	const struct pol_attr *a;
	uint32_t i;

	m->plan->caps_at = (uint32_t)m->plan->text.n;
	for (i = 0; i < m->pol->nattrs; i++) {
		a = &m->pol->attr[i];
		if (hits_src_at(m->pol, a->src, &m->class->hits))
			put_keys(m, a->keys);
	}
	m->plan->caps_n = (uint32_t)m->plan->text.n - m->plan->caps_at;
}

bool
class_no_ip4(const struct class *c)
{
	const struct pol *p = c->rules->pol;
	uint32_t i;

	for (i = 0; i < p->nattrs; i++)
		if (p->attr[i].no_ip4 && hits_src_at(p, p->attr[i].src,
		    &c->hits))
			return true;
	return false;
}
