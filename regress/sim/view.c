#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/json_read.h"
#include "common/str.h"
#include "regress/sim/view.h"

#define PLAIN_MAX	(8u << 20)

void
view_reset(struct view *v)
{
	char fault[sizeof(v->fault)];

	memcpy(fault, v->fault, sizeof(fault));
	view_free(v);
	memcpy(v->fault, fault, sizeof(fault));
}

void
view_free(struct view *v)
{
	free(v->peers);
	buf_free(&v->in);
	memset(v, 0, sizeof(*v));
}

static void
fault(struct view *v, const char *text, uint64_t id)
{
	if (v->fault[0] == '\0')
		snprintf(v->fault, sizeof(v->fault), "%s (%llu)", text,
		    (unsigned long long)id);
}

static struct view_peer *
peer(struct view *v, uint64_t id)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->peers[i].id == id)
			return &v->peers[i];
	return NULL;
}

const struct view_peer *
view_find(const struct view *v, uint64_t id)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->peers[i].id == id)
			return &v->peers[i];
	return NULL;
}

static void
text(char *dst, size_t n, const struct jval *o, const char *name)
{
	struct slice s;

	if (jval_str(jval_get(o, name), &s))
		slice_copy(dst, n, s);
}

/* [] clears, absent leaves (protocol.md 2.3). */
static void
list(char *dst, size_t n, const struct jval *o, const char *name)
{
	const struct jval *a = jval_get(o, name);
	struct slice s;
	size_t i, at = 0;

	if (a == NULL)
		return;
	dst[0] = '\0';
	for (i = 0; i < jval_count(a); i++)
		if (jval_str(jval_at(a, i), &s) && at + s.n + 2 < n)
			at += (size_t)snprintf(dst + at, n - at, "%s%.*s",
			    at == 0 ? "" : ",", SLICE_FMT(s));
}

/* A whole node says all: what is left out is nothing. */
static void
whole(char *dst, size_t n, const struct jval *o, const char *name)
{
	dst[0] = '\0';
	list(dst, n, o, name);
}

static void
put(struct view *v, const struct jval *o, bool old_known)
{
	struct view_peer fresh = { .online = -1 }, *p;
	uint64_t id = 0;
	bool b;

	jval_u64(jval_get(o, "ID"), &id);
	if (id == 0 || id == v->self)
		fault(v, "a peer that is the node itself, or without id", id);
	p = peer(v, id);
	if (p == NULL) {
		v->peers = xrealloc(v->peers, v->n + 1, sizeof(*v->peers));
		p = &v->peers[v->n++];
		*p = fresh;
		p->id = id;
		old_known = false;
	}
	p->name[0] = p->key[0] = p->disco[0] = '\0';
	text(p->name, sizeof(p->name), o, "Name");
	text(p->key, sizeof(p->key), o, "Key");
	text(p->disco, sizeof(p->disco), o, "DiscoKey");
	whole(p->addr, sizeof(p->addr), o, "Addresses");
	whole(p->allowed, sizeof(p->allowed), o, "AllowedIPs");
	whole(p->primary, sizeof(p->primary), o, "PrimaryRoutes");
	if (jval_get(o, "Endpoints") == NULL)
		fault(v, "Endpoints are not said", id);
	list(p->endpoints, sizeof(p->endpoints), o, "Endpoints");
	if (!jval_bool(jval_get(o, "Online"), &b))
		fault(v, "Online is not said", id);
	else if (!old_known || p->online != -1)
		p->online = b;		/* trap 27: unknown can't be set so */
}

static void
drop(struct view *v, uint64_t id)
{
	struct view_peer *p = peer(v, id);

	if (p == NULL)
		return;
	*p = v->peers[--v->n];
}

static void
patch(struct view *v, const struct jval *o)
{
	struct view_peer *p;
	uint64_t id = 0;
	bool b;

	jval_u64(jval_get(o, "NodeID"), &id);
	if ((p = peer(v, id)) == NULL)
		return;
	text(p->key, sizeof(p->key), o, "Key");
	text(p->disco, sizeof(p->disco), o, "DiscoKey");
	list(p->endpoints, sizeof(p->endpoints), o, "Endpoints");
	if (jval_bool(jval_get(o, "Online"), &b))
		p->online = b;
}

static bool
listed(const struct jval *a, uint64_t id)
{
	uint64_t k;
	size_t i;

	for (i = 0; i < jval_count(a); i++)
		if (jval_u64(jval_get(jval_at(a, i), "ID"), &k) && k == id)
			return true;
	return false;
}

/* OnlineChange: {"5": true}. */
static void
online(struct view *v, const struct jval *o)
{
	const struct jval *val;
	struct view_peer *p;
	struct slice name;
	void *it = NULL;
	char id[24];
	bool b;

	while (o != NULL && jval_each(o, &it, &name, &val)) {
		slice_copy(id, sizeof(id), name);
		p = peer(v, strtoull(id, NULL, 10));
		if (p != NULL && jval_bool(val, &b))
			p->online = b;
	}
}

static void
deltas(struct view *v, const struct jval *r)
{
	const struct jval *changed = jval_get(r, "PeersChanged");
	const struct jval *removed = jval_get(r, "PeersRemoved");
	const struct jval *patches = jval_get(r, "PeersChangedPatch");
	uint64_t id;
	size_t i;

	for (i = 0; i < jval_count(removed); i++)
		if (jval_u64(jval_at(removed, i), &id)) {
			if (listed(changed, id))
				fault(v, "removed and changed in one", id);
			drop(v, id);
		}
	for (i = 0; i < jval_count(changed); i++)
		put(v, jval_at(changed, i), true);
	online(v, jval_get(r, "OnlineChange"));
	for (i = 0; i < jval_count(patches); i++)
		patch(v, jval_at(patches, i));
}

static void
filter_del(struct view *v, struct slice name)
{
	size_t i;

	for (i = 0; i < v->nfilters; i++)
		if (slice_eqs(name, v->filter[i].name)) {
			v->filter[i] = v->filter[--v->nfilters];
			return;
		}
}

static void
filter_put(struct view *v, struct slice name, const struct jval *rules)
{
	struct view_filter *f = &v->filter[v->nfilters];
	const struct jval *dst;
	size_t i, k;
	uint64_t n;

	if (v->nfilters == sizeof(v->filter) / sizeof(v->filter[0]) ||
	    !slice_copy(f->name, sizeof(f->name), name)) {
		fault(v, "too many parts of a filter, or a long name", name.n);
		return;
	}
	f->low = UINT64_MAX;
	f->high = 0;
	for (i = 0; i < jval_count(rules); i++) {
		dst = jval_get(jval_at(rules, i), "DstPorts");
		for (k = 0; k < jval_count(dst); k++) {
			n = 0;		/* which is left out */
			(void)jval_u64(jval_get(jval_get(jval_at(dst, k),
			    "Ports"), "First"), &n);
			f->low = n < f->low ? n : f->low;
			f->high = n > f->high ? n : f->high;
		}
	}
	if (f->low != UINT64_MAX)
		v->nfilters++;
}

/* Part by part; "*": all that there are go first. */
static void
filters(struct view *v, const struct jval *o)
{
	const struct jval *val;
	struct slice name;
	void *it = NULL;

	while (o != NULL && jval_each(o, &it, &name, &val))
		if (slice_eqs(name, "*"))
			v->nfilters = 0;
	it = NULL;
	while (o != NULL && jval_each(o, &it, &name, &val)) {
		if (slice_eqs(name, "*"))
			continue;
		filter_del(v, name);
		filter_put(v, name, val);
	}
}

uint64_t
view_port(const struct view *v)
{
	size_t i;

	for (i = 0; i < v->nfilters; i++)
		if (v->filter[i].low != v->filter[0].low ||
		    v->filter[i].high != v->filter[0].low)
			return UINT64_MAX;
	return v->nfilters == 0 ? UINT64_MAX : v->filter[0].low;
}

static void
apply(struct view *v, const struct jval *r)
{
	const struct jval *node, *peers;
	size_t i;
	bool b;

	if (jval_bool(jval_get(r, "KeepAlive"), &b) && b) {
		v->keepalives++;
		return;
	}
	v->messages++;
	node = jval_get(r, "Node");
	if (!v->first && node == NULL)
		fault(v, "the first message has no Node", 0);
	if (node != NULL) {
		v->self_name[0] = v->self_key[0] = '\0';
		jval_u64(jval_get(node, "ID"), &v->self);
		text(v->self_name, sizeof(v->self_name), node, "Name");
		text(v->self_key, sizeof(v->self_key), node, "Key");
		whole(v->self_addr, sizeof(v->self_addr), node, "Addresses");
		whole(v->self_allowed, sizeof(v->self_allowed), node,
		    "AllowedIPs");
		whole(v->self_primary, sizeof(v->self_primary), node,
		    "PrimaryRoutes");
	}
	filters(v, jval_get(r, "PacketFilters"));
	peers = jval_get(r, "Peers");
	if (jval_count(peers) > 0) {
		v->n = 0;
		for (i = 0; i < jval_count(peers); i++)
			put(v, jval_at(peers, i), false);
	} else
		deltas(v, r);
	v->first = true;
}

static void
message(struct view *v, const uint8_t *p, size_t n)
{
	static ZSTD_DCtx *ctx;
	ZSTD_inBuffer in = { p, n, 0 };
	ZSTD_outBuffer out = { NULL, PLAIN_MAX, 0 };
	struct jdoc *doc;
	const char *why;
	size_t rc = 0, at;

	if (ctx == NULL)
		ctx = ZSTD_createDCtx();
	out.dst = xmalloc(PLAIN_MAX);
	ZSTD_DCtx_reset(ctx, ZSTD_reset_session_only);
	while (in.pos < in.size) {
		rc = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(rc) || out.pos == out.size)
			break;
	}
	if (ZSTD_isError(rc) || rc != 0)
		fault(v, "a message that is not whole zstd", n);
	else if ((doc = json_read(out.dst, out.pos, PLAIN_MAX, &why, &at)) ==
	    NULL)
		fault(v, "a message that is no JSON", at);
	else {
		apply(v, jdoc_root(doc));
		jdoc_free(doc, false);
	}
	free(out.dst);
}

void
view_input(struct view *v, const void *p, size_t n)
{
	uint32_t len;

	buf_put(&v->in, p, n);
	while (v->in.n >= 4) {
		len = (uint32_t)v->in.p[0] | (uint32_t)v->in.p[1] << 8 |
		    (uint32_t)v->in.p[2] << 16 | (uint32_t)v->in.p[3] << 24;
		if (len == 0 || len > PLAIN_MAX) {
			fault(v, "a message of no size, or of too much", len);
			buf_clear(&v->in);
			return;
		}
		if (v->in.n < 4 + (size_t)len)
			return;
		message(v, v->in.p + 4, len);
		buf_drain(&v->in, 4 + (size_t)len);
	}
}
