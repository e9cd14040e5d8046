#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/srcset_int.h"

#define FEW		48	/* sorted by comparing */
#define KEY_OCTETS	12	/* of text, five bits each */
#define DIGIT		11	/* bits that are sorted at a time */
#define DIGITS		(1u << DIGIT)
#define IP4_MOST	15	/* octets of text */

struct src_hash
src_hash(const uint8_t key[SIPHASH_KEY], const void *p, size_t n)
{
	struct src_hash h;

	h.v = siphash(key, p, n);
	return h;
}

bool
src_hash_eq(struct src_hash a, struct src_hash b)
{
	return a.v == b.v;
}

struct srctext *
srctext_new(const uint8_t key[SIPHASH_KEY], struct buf *b, uint32_t members)
{
	struct srctext *t;

	t = xcalloc(1, sizeof(*t));
	t->refs = 1;
	t->members = members;
	t->hash = src_hash(key, b->p, b->n);
	/* Kept for long: without the room to grow. */
	t->text.p = xmalloc(b->n + 1);
	if (b->n != 0)
		memcpy(t->text.p, b->p, b->n);
	t->text.n = b->n;
	t->text.cap = b->n + 1;
	buf_clear(b);
	return t;
}

struct srctext *
srctext_ref(struct srctext *t)
{
	t->refs++;
	return t;
}

void
srctext_unref(struct srctext *t)
{
	if (t == NULL || --t->refs != 0)
		return;
	frame_unref(t->frame);
	buf_free(&t->text);
	free(t);
}

struct frame *
srctext_frame(struct srctext *t, struct pack *pack)
{
	if (t->frame == NULL)
		t->frame = pack_frame(pack, &t->text);
	return t->frame;
}

bool
srctext_eq(const struct srctext *a, const struct srctext *b)
{
	return a == b || (src_hash_eq(a->hash, b->hash) &&
	    slice_eq(buf_slice_of(&a->text), buf_slice_of(&b->text)));
}

void
srcset_free(struct srcset *s)
{
	free(s->ip4.v);
	free(s->text.v);
	buf_free(&s->octets);
	memset(s, 0, sizeof(*s));
}

void
srcset_clear(struct srcset *s)
{
	s->ip4.n = s->text.n = 0;
	buf_clear(&s->octets);
}

static struct src_item *
add(struct src_items *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->v = xrealloc(l->v, l->cap, sizeof(l->v[0]));
	}
	return &l->v[l->n++];
}

/* "1" < "10" < "100" < ... < "109" < "11" < ...: no text but its prefixes. */
static void
make_rank(struct srcset *s)
{
	unsigned int a, b, c, next = 0;

	s->rank[0] = (uint8_t)next++;
	for (a = 1; a < 10; a++) {
		s->rank[a] = (uint8_t)next++;
		for (b = 10 * a; b < 10 * a + 10; b++) {
			s->rank[b] = (uint8_t)next++;
			for (c = 10 * b; c < 10 * b + 10 && c < 256; c++)
				s->rank[c] = (uint8_t)next++;
		}
	}
	s->ready = true;
}

void
srcset_ip(struct srcset *s, const struct ip *ip)
{
	struct src_item *e;
	char t[IP_TEXT];
	unsigned int i;

	if (ip->family == 6)
		srcset_text(s, slice_mem(t, ip_print(t, ip)));
	if (ip->family != 4)
		return;
	if (!s->ready)
		make_rank(s);
	/* A dot and the end sort before digits: octets sort by their rank. */
	e = add(&s->ip4);
	e->key = 0;
	e->at = 0;
	for (i = 0; i < 4; i++) {
		e->key = e->key << 8 | s->rank[ip->b[i]];
		e->at = e->at << 8 | ip->b[i];
	}
}

void
srcset_text(struct srcset *s, struct slice t)
{
	struct src_item *e;

	e = add(&s->text);
	e->at = (uint32_t)s->octets.n;
	buf_u8(&s->octets, (uint8_t)t.n);
	buf_slice(&s->octets, t);
}

static struct slice
text_of(const struct srcset *s, const struct src_item *e)
{
	const uint8_t *p = s->octets.p + e->at;

	return slice_mem(p + 1, p[0]);
}

static void
few_sort(const struct srcset *s, struct src_item *v, size_t n)
{
	struct src_item e;
	size_t i, k;

	for (i = 1; i < n; i++) {
		e = v[i];
		for (k = i; k > 0 && slice_cmp(text_of(s, &e),
		    text_of(s, &v[k - 1])) < 0; k--)
			v[k] = v[k - 1];
		v[k] = e;
	}
}

static void
few_keys(struct src_item *v, size_t n)
{
	struct src_item e;
	size_t i, k;

	for (i = 1; i < n; i++) {
		e = v[i];
		for (k = i; k > 0 && e.key < v[k - 1].key; k--)
			v[k] = v[k - 1];
		v[k] = e;
	}
}

/* By key, digit by digit from the last; those that are all alike are left. */
static void
radix_sort(struct src_item *v, size_t n)
{
	struct src_item *spare, *from = v, *to, *swap;
	uint32_t count[DIGITS], at, k;
	uint64_t differ = 0;
	unsigned int shift;
	size_t i;

	if (n <= FEW) {
		few_keys(v, n);
		return;
	}
	for (i = 1; i < n; i++)
		differ |= v[i].key ^ v[0].key;
	if (differ == 0)
		return;
	to = spare = xrealloc(NULL, n, sizeof(*spare));
	for (shift = 0; shift < 64; shift += DIGIT) {
		if ((differ >> shift & (DIGITS - 1)) == 0)
			continue;
		memset(count, 0, sizeof(count));
		for (i = 0; i < n; i++)
			count[from[i].key >> shift & (DIGITS - 1)]++;
		for (i = 0, at = 0; i < DIGITS; i++) {
			k = count[i];
			count[i] = at;
			at += k;
		}
		for (i = 0; i < n; i++)
			to[count[from[i].key >> shift & (DIGITS - 1)]++] =
			    from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
	free(spare);
}

/* What stands in texts, in the order of octets; 0 is behind the end. */
static const uint8_t rank_of[256] = {
	['*'] = 1, ['-'] = 2, ['.'] = 3, ['/'] = 4, ['0'] = 5, ['1'] = 6,
	['2'] = 7, ['3'] = 8, ['4'] = 9, ['5'] = 10, ['6'] = 11, ['7'] = 12,
	['8'] = 13, ['9'] = 14, [':'] = 15, ['a'] = 16, ['b'] = 17,
	['c'] = 18, ['d'] = 19, ['e'] = 20, ['f'] = 21
};

/* Octets from depth on, zeros behind the end. */
static uint64_t
key_at(struct slice t, size_t depth)
{
	uint64_t key = 0;
	size_t i, n;

	n = t.n < depth ? 0 : t.n - depth;
	if (n > KEY_OCTETS)
		n = KEY_OCTETS;
	for (i = 0; i < n; i++)
		key = key << 5 | rank_of[(uint8_t)t.p[depth + i]];
	return key << 5 * (KEY_OCTETS - n);
}

/* How many octets all texts begin with. */
static size_t
common_octets(const struct srcset *s, const struct src_item *v, size_t n)
{
	struct slice a = text_of(s, &v[0]), b;
	size_t i, k, least = a.n;

	for (i = 1; i < n; i++) {
		b = text_of(s, &v[i]);
		if (least <= b.n && memcmp(a.p, b.p, least) == 0)
			continue;
		for (k = 0; k < least && k < b.n && a.p[k] == b.p[k]; k++)
			;
		least = k;
	}
	return least;
}

/* What is equal up to depth.  Deeper for those whose keys are equal, too. */
static void
text_sort(const struct srcset *s, struct src_item *v, size_t n, size_t depth)
{
	size_t i, k;

	if (n <= FEW) {
		few_sort(s, v, n);
		return;
	}
	for (i = 0; i < n; i++)
		v[i].key = key_at(text_of(s, &v[i]), depth);
	radix_sort(v, n);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && v[k].key == v[i].key; k++)
			;
		/* A key that ends in zero is of texts that end. */
		if (k - i > 1 && (v[i].key & 31) != 0)
			text_sort(s, v + i, k - i, depth + KEY_OCTETS);
	}
}

static size_t
put_octet(char *t, unsigned int v)
{
	size_t n = 0;

	if (v >= 100)
		t[n++] = (char)('0' + v / 100);
	if (v >= 10)
		t[n++] = (char)('0' + v / 10 % 10);
	t[n++] = (char)('0' + v % 10);
	return n;
}

static struct slice
ip4_text(char t[IP4_MOST + 1], uint32_t ip)
{
	size_t n;

	n = put_octet(t, ip >> 24);
	t[n++] = '.';
	n += put_octet(t + n, ip >> 16 & 255);
	t[n++] = '.';
	n += put_octet(t + n, ip >> 8 & 255);
	t[n++] = '.';
	n += put_octet(t + n, ip & 255);
	return slice_mem(t, n);
}

static void
sort(struct srcset *s)
{
	radix_sort(s->ip4.v, s->ip4.n);
	if (s->text.n != 0)
		text_sort(s, s->text.v, s->text.n,
		    common_octets(s, s->text.v, s->text.n));
}

static uint8_t *
put_slice(uint8_t *p, struct slice s)
{
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

uint32_t
srcset_put(struct srcset *s, bool distinct, struct slice before,
    struct slice after, struct buf *b)
{
	struct slice t4 = { NULL, 0 }, tt = { NULL, 0 }, t, last;
	/* Of the next, the one that is put, and the last. */
	char num[3][IP4_MOST + 1];
	size_t i = 0, k = 0;
	uint32_t put = 0;
	uint8_t *p;

	sort(s);
	p = buf_room(b, s->octets.n + s->ip4.n * IP4_MOST +
	    (s->ip4.n + s->text.n) * (1 + before.n + after.n) + 1);
	if (s->ip4.n != 0)
		t4 = ip4_text(num[0], s->ip4.v[0].at);
	if (s->text.n != 0)
		tt = text_of(s, &s->text.v[0]);
	last = slice_mem(NULL, 0);
	while (t4.n != 0 || tt.n != 0) {
		if (t4.n != 0 && (tt.n == 0 || t4.p[0] < tt.p[0] ||
		    slice_cmp(t4, tt) <= 0)) {
			t = t4;
			i++;
			t4 = i < s->ip4.n ? ip4_text(num[i % 3],
			    s->ip4.v[i].at) : slice_mem(NULL, 0);
		} else {
			t = tt;
			k++;
			tt = k < s->text.n ? text_of(s, &s->text.v[k]) :
			    slice_mem(NULL, 0);
		}
		if (!distinct || t.n != last.n || !slice_eq(t, last)) {
			if (put++ != 0)
				*p++ = ',';
			p = put_slice(put_slice(put_slice(p, before), t),
			    after);
		}
		last = t;
	}
	b->n = (size_t)(p - b->p);
	return put;
}
