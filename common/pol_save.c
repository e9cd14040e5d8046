#include <stdlib.h>
#include <string.h>

#include "common/pol_int.h"

/*
 * Lists that many records share, each written once, as octets; by number from
 * 1, 0 being the empty one.
 */
struct sets {
	struct buf	 octets;
	size_t		*end;		/* of each list in octets */
	uint32_t	 n;
	uint32_t	*slot;		/* hash table of numbers */
	size_t		 nslots;	/* a power of two */
	const void	*last;		/* what was asked last */
	size_t		 last_n;
	uint32_t	 last_set;
};

struct saver {
	struct buf	*b;
	struct sets	 users, ports, locals;
	struct buf	 body;
};

static uint64_t
fnv(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (; n > 0; n--)
		h = (h ^ *b++) * UINT64_C(0x100000001b3);
	return h;
}

#define FNV_START	UINT64_C(0xcbf29ce484222325)

static size_t
set_start(const struct sets *s, uint32_t k)
{
	return k == 1 ? 0 : s->end[k - 2];
}

static void
sets_grow(struct sets *s)
{
	size_t i, from, n;
	uint32_t k;
	uint64_t h;

	n = s->nslots == 0 ? 64 : s->nslots * 2;
	free(s->slot);
	s->slot = xcalloc(n, sizeof(*s->slot));
	s->nslots = n;
	s->end = xrealloc(s->end, n, sizeof(*s->end));
	for (k = 1; k <= s->n; k++) {
		from = set_start(s, k);
		h = fnv(FNV_START, s->octets.p + from, s->end[k - 1] - from);
		for (i = h & (n - 1); s->slot[i] != 0; i = (i + 1) & (n - 1))
			;
		s->slot[i] = k;
	}
}

/* The list from octet from on was just appended: its number. */
static uint32_t
sets_put(struct sets *s, size_t from)
{
	size_t i, n = s->octets.n - from;
	uint32_t k;
	uint64_t h;

	if ((size_t)s->n * 2 >= s->nslots)
		sets_grow(s);
	h = fnv(FNV_START, s->octets.p + from, n);
	for (i = h & (s->nslots - 1); (k = s->slot[i]) != 0;
	    i = (i + 1) & (s->nslots - 1))
		if (s->end[k - 1] - set_start(s, k) == n &&
		    memcmp(s->octets.p + set_start(s, k), s->octets.p + from,
		    n) == 0) {
			s->octets.n = from;
			return k;
		}
	s->end[s->n++] = s->octets.n;
	s->slot[i] = s->n;
	return s->n;
}

/* The number of a list whose octets were found by its address, or 0. */
static bool
sets_again(struct sets *s, const void *p, size_t n, uint32_t *k)
{
	if (n != 0 && (p != s->last || n != s->last_n))
		return false;
	*k = n == 0 ? 0 : s->last_set;
	return true;
}

static uint32_t
sets_keep(struct sets *s, const void *p, size_t n, size_t from)
{
	s->last = p;
	s->last_n = n;
	return s->last_set = sets_put(s, from);
}

static uint32_t
users_set(struct sets *s, const uint64_t *v, uint32_t n)
{
	size_t from = s->octets.n;
	uint32_t i, k;

	if (sets_again(s, v, n, &k))
		return k;
	buf_u32(&s->octets, n);
	for (i = 0; i < n; i++)
		buf_u64(&s->octets, v[i]);
	return sets_keep(s, v, n, from);
}

static uint32_t
ports_set(struct sets *s, const struct pol_port *v, uint32_t n)
{
	size_t from = s->octets.n;
	uint32_t i, k;

	if (sets_again(s, v, n, &k))
		return k;
	buf_u32(&s->octets, n);
	for (i = 0; i < n; i++) {
		buf_u16(&s->octets, v[i].first);
		buf_u16(&s->octets, v[i].last);
	}
	return sets_keep(s, v, n, from);
}

static void
put_text(struct buf *b, struct slice s)
{
	buf_u32(b, (uint32_t)s.n);
	buf_slice(b, s);
}

static uint32_t
locals_set(struct sets *s, const struct pol_local *v, uint32_t n)
{
	size_t from = s->octets.n;
	uint32_t i, k;

	if (sets_again(s, v, n, &k))
		return k;
	buf_u32(&s->octets, n);
	for (i = 0; i < n; i++) {
		buf_u64(&s->octets, v[i].user);
		put_text(&s->octets, v[i].name);
	}
	return sets_keep(s, v, n, from);
}

static void
sets_write(struct buf *b, struct sets *s)
{
	buf_u32(b, s->n);
	if (s->n != 0)
		buf_put(b, s->octets.p, s->octets.n);
	buf_free(&s->octets);
	free(s->end);
	free(s->slot);
}

static void
put_ip(struct buf *b, const struct ip *ip)
{
	buf_put(b, ip->b, ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0);
}

static void
put_u32s(struct buf *b, const uint32_t *v, uint32_t n)
{
	uint32_t i;

	buf_u32(b, n);
	for (i = 0; i < n; i++)
		buf_u32(b, v[i]);
}

static void
put_prov(struct buf *b, const struct pol_prov *v)
{
	buf_u8(b, v->section);
	buf_u32(b, v->index);
	buf_u32(b, v->line);
	buf_u32(b, v->column);
}

static void
put_sel(struct saver *sv, const struct pol_sel *s)
{
	struct buf *b = &sv->body;
	uint8_t flags = 0;

	if (s->kind == POL_RANGE) {
		if (s->inet)
			flags |= POL_F_INET;
		if (memchr(s->text.p, '-', s->text.n) != NULL)
			flags |= POL_F_SPAN;
	}
	buf_u8(b, s->kind);
	buf_u8(b, flags);
	buf_u8(b, s->kind == POL_RANGE ? s->lo.family : 0);
	switch (s->kind) {
	case POL_USERS:
		buf_u32(b, users_set(&sv->users, s->user, s->nusers));
		break;
	case POL_TAG:
		put_text(b, s->text);
		break;
	case POL_RANGE:
		put_ip(b, &s->lo);
		put_ip(b, &s->hi);
		break;
	default:
		buf_u32(b, 0);
	}
}

static void
put_row(struct saver *sv, const struct pol_row *r)
{
	struct buf *b = &sv->body;
	uint32_t i;

	buf_u64(b, r->name);
	buf_u8(b, r->flags);
	buf_u8(b, r->proto);
	buf_u32(b, r->src);
	buf_u32(b, r->ndst);
	for (i = 0; i < r->ndst; i++) {
		buf_u32(b, r->dst[i].sel);
		buf_u32(b, ports_set(&sv->ports, r->dst[i].port,
		    r->dst[i].nports));
		buf_u32(b, r->dst[i].alias);
	}
	put_u32s(b, r->via, r->nvia);
	put_text(b, r->caps);
	put_prov(b, &r->prov);
}

static void
put_ssh(struct saver *sv, const struct pol_ssh *s)
{
	struct buf *b = &sv->body;

	buf_u8(b, (uint8_t)((s->check ? POL_F_CHECK : 0) |
	    (s->self ? POL_F_SELF : 0) | (s->locals ? POL_F_LOCALS : 0)));
	buf_u64(b, (uint64_t)s->period);
	buf_u32(b, s->src);
	put_u32s(b, s->dst, s->ndst);
	put_text(b, s->users);
	buf_u32(b, locals_set(&sv->locals, s->local, s->nlocals));
	put_text(b, s->env);
	put_prov(b, &s->prov);
}

static void
put_approver(struct saver *sv, const struct pol_approver *a)
{
	struct buf *b = &sv->body;

	buf_u8(b, a->exit);
	buf_u8(b, a->route.addr.family);
	put_ip(b, &a->route.addr);
	buf_u8(b, a->route.bits);
	buf_u32(b, a->src);
	put_prov(b, &a->prov);
}

static void
put_body(struct saver *sv, const struct pol *p)
{
	struct buf *b = &sv->body;
	uint32_t i;

	buf_u32(b, p->nsels);
	for (i = 0; i < p->nsels; i++)
		put_sel(sv, &p->sel[i]);
	buf_u32(b, p->nsrcs);
	for (i = 0; i < p->nsrcs; i++)
		put_u32s(b, p->src[i].sel, p->src[i].n);
	buf_u32(b, p->nrows);
	for (i = 0; i < p->nrows; i++)
		put_row(sv, &p->row[i]);
	buf_u32(b, p->nsshs);
	for (i = 0; i < p->nsshs; i++)
		put_ssh(sv, &p->ssh[i]);
	buf_u32(b, p->nattrs);
	for (i = 0; i < p->nattrs; i++) {
		buf_u32(b, p->attr[i].src);
		put_text(b, p->attr[i].keys);
		buf_u8(b, p->attr[i].no_ip4);
		put_prov(b, &p->attr[i].prov);
	}
	buf_u32(b, p->napprovers);
	for (i = 0; i < p->napprovers; i++)
		put_approver(sv, &p->approver[i]);
	buf_u32(b, p->nowners);
	for (i = 0; i < p->nowners; i++) {
		put_text(b, p->owner[i].tag);
		buf_u8(b, p->owner[i].anyone);
		buf_u32(b, users_set(&sv->users, p->owner[i].user,
		    p->owner[i].nusers));
	}
}

void
pol_save(struct buf *b, const struct pol *p)
{
	struct saver sv;

	memset(&sv, 0, sizeof(sv));
	put_body(&sv, p);
	buf_u32(b, POL_MAGIC);
	buf_u32(b, POL_VERSION);
	sets_write(b, &sv.users);
	sets_write(b, &sv.ports);
	sets_write(b, &sv.locals);
	buf_put(b, sv.body.p, sv.body.n);
	buf_free(&sv.body);
}

static uint64_t
hash_sel(uint64_t h, const struct pol_sel *s)
{
	uint8_t b[17];
	uint32_t i, k;

	h = fnv(h, &s->kind, 1);
	switch (s->kind) {
	case POL_USERS:
		for (i = 0; i < s->nusers; i++) {
			for (k = 0; k < 8; k++)
				b[k] = (uint8_t)(s->user[i] >> 8 * k);
			h = fnv(h, b, 8);
		}
		break;
	case POL_TAG:
	case POL_RANGE:
		h = fnv(h, s->text.p, s->text.n);
		break;
	default:
		break;
	}
	return fnv(h, "", 1);
}

uint64_t
pol_src_hash(const struct pol *p, uint32_t src)
{
	const struct pol_src *s = &p->src[src];
	uint64_t each, sum = 0;
	uint32_t i;

	/* Their numbers, and so their order, depend on other rules. */
	for (i = 0; i < s->n; i++) {
		each = hash_sel(FNV_START, &p->sel[s->sel[i]]);
		sum += each ^ each >> 29;
	}
	return sum;
}

uint64_t
pol_row_name(const struct pol *p, const struct pol_row *r, uint64_t src_hash,
    uint32_t nth)
{
	uint8_t b[6];
	uint64_t h, each, sum = src_hash;
	uint32_t i;

	b[0] = r->flags & (POL_ROW_SELF | POL_ROW_VIA | POL_ROW_APP);
	b[1] = r->proto;
	for (i = 0; i < 4; i++)
		b[2 + i] = (uint8_t)(nth >> 8 * i);
	h = fnv(FNV_START, b, sizeof(b));
	h = fnv(h, r->caps.p, r->caps.n);
	for (i = 0; i < r->nvia; i++) {
		each = hash_sel(FNV_START ^ 1, &p->sel[r->via[i]]);
		sum += each ^ each >> 31;
	}
	for (i = 0; i < 8; i++) {
		b[0] = (uint8_t)(sum >> 8 * i);
		h = fnv(h, b, 1);
	}
	return h;
}
