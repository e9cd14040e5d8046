#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "worker/tailnet/derpmap_int.h"

/* Who has a node of this name. */
struct owner {
	struct slice	 name;
	size_t		 source;
	uint64_t	 region;
};

static bool
has_region(const struct msg_list *avoid, uint64_t id)
{
	struct msg_list it;
	struct r_derp_region r;

	if (avoid == NULL)
		return false;
	it = *avoid;
	while (msg_list_next(&it, MR_DERP_REGION, &r))
		if (r.id == id)
			return true;
	return false;
}

static void
put_piece(const struct derpmap *d, const struct piece *p, struct json *j,
    const struct msg_list *avoid)
{
	const uint8_t *text = d->pieces.p + p->at;
	struct buf b = { NULL, 0, 0 };

	if (p->avoid || !has_region(avoid, p->id)) {
		json_raw(j, slice_mem(text, p->n));
		return;
	}
	buf_put(&b, text, p->avoid_at);
	buf_str(&b, ",\"Avoid\":true");
	buf_put(&b, text + p->avoid_at, p->n - p->avoid_at);
	json_raw(j, buf_slice_of(&b));
	buf_free(&b);
}

static void
put_id(struct json *j, uint64_t id)
{
	char text[8];

	(void)snprintf(text, sizeof(text), "%u", (unsigned int)id);
	json_keys(j, slice_str(text));
}

static void
assemble(const struct derpmap *d, struct buf *b, uint64_t own,
    struct slice region, const struct msg_list *avoid)
{
	const struct piece *p;
	struct json j;
	size_t i;

	json_init(&j, b);
	json_obj(&j);
	for (i = 0; i <= d->npieces; i++) {
		p = i < d->npieces ? &d->piece[i] : NULL;
		if (region.n != 0 && (p == NULL || p->id >= own)) {
			put_id(&j, own);
			json_raw(&j, region);
			region.n = 0;
		}
		if (p == NULL || p->n == 0 || p->id == own)
			continue;
		put_id(&j, p->id);
		put_piece(d, p, &j, avoid);
	}
	json_end(&j);
}

void
derpmap_finish(struct derpmap *d, uint64_t own, struct slice region,
    const struct msg_list *avoid)
{
	struct buf regions = { NULL, 0, 0 };

	assemble(d, &regions, own, region, avoid);
	buf_slice(&d->json, buf_slice_of(&d->head));
	if (d->omits)
		buf_str(&d->json, ",\"omitDefaultRegions\":true");
	buf_str(&d->json, ",\"Regions\":");
	buf_slice(&d->json, buf_slice_of(&regions));
	buf_str(&d->json, "}");
	buf_free(&regions);
}

/* A name that no node of the map has. */
static void
own_name(const struct derpmap *d, uint64_t id, char name[16])
{
	char member[32];
	char c;

	for (c = 'a'; c <= 'z'; c++) {
		(void)snprintf(name, 16, "%u%c", (unsigned int)id, c);
		(void)snprintf(member, sizeof(member), "\"Name\":\"%s\"",
		    name);
		if (d->pieces.n == 0 || memmem(d->pieces.p, d->pieces.n,
		    member, strlen(member)) == NULL)
			return;
	}
}

static void
put_str(struct json *j, const char *field, struct slice s)
{
	if (s.n == 0)
		return;
	json_key(j, field);
	json_str(j, s);
}

static void
put_port(struct json *j, const char *field, int port, int usual)
{
	if (port == usual)
		return;
	json_key(j, field);
	json_i64(j, port);
}

static void
put_flag(struct json *j, const char *field, bool v)
{
	if (!v)
		return;
	json_key(j, field);
	json_bool(j, true);
}

static void
put_own(struct buf *b, const struct r_relay *own, const char *name)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	json_key(&j, "RegionID");
	json_u64(&j, own->region);
	put_str(&j, "RegionCode", own->code);
	put_str(&j, "RegionName", own->name);
	json_key(&j, "Nodes");
	json_arr(&j);
	json_obj(&j);
	put_str(&j, "Name", slice_str(name));
	json_key(&j, "RegionID");
	json_u64(&j, own->region);
	put_str(&j, "HostName", own->host);
	put_str(&j, "IPv4", own->ip4);
	put_str(&j, "IPv6", own->ip6);
	put_port(&j, "STUNPort", own->stun_port == 0 ? -1 : own->stun_port,
	    STUN_PORT);
	put_port(&j, "DERPPort", own->port, HTTPS_PORT);
	put_flag(&j, "InsecureForTests", own->insecure);
	put_flag(&j, "CanPort80", own->port80);
	json_end(&j);
	json_end(&j);
	json_end(&j);
}

/* Names that stand twice, and what is taken of each source. */

static int
owner_cmp(const void *va, const void *vb)
{
	const struct owner *a = va, *b = vb;
	int c;

	if ((c = slice_cmp(a->name, b->name)) != 0)
		return c;
	/* The one that keeps the name is the first. */
	if (a->source != b->source)
		return a->source > b->source ? -1 : 1;
	return a->region < b->region ? -1 : a->region > b->region;
}

/* The source's piece of this number; NULL if it says nothing of it. */
static const struct piece *
piece_of(const struct derpmap *src, uint64_t id)
{
	size_t lo = 0, hi = src->npieces, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (src->piece[mid].id == id)
			return &src->piece[mid];
		if (src->piece[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* A later source says something else of this region. */
static bool
is_overruled(const struct derpmap *const *src, size_t n, size_t k,
    uint64_t id)
{
	for (k++; k < n; k++)
		if (src[k] != NULL && piece_of(src[k], id) != NULL)
			return true;
	return false;
}

static void
add_piece(struct derpmap *d, const struct derpmap *from,
    const struct piece *p)
{
	struct piece *to;

	d->piece = xrealloc(d->piece, d->npieces + 1, sizeof(d->piece[0]));
	to = &d->piece[d->npieces++];
	*to = *p;
	to->at = d->pieces.n;
	buf_put(&d->pieces, from->pieces.p + p->at, p->n);
}

static int
piece_cmp(const void *va, const void *vb)
{
	const struct piece *a = va, *b = vb;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* Regions whose nodes' names belong to a later source's become null. */
static void
drop_doubles(struct derpmap *d, struct owner *o, size_t n)
{
	struct piece *p, key = { 0 };
	size_t i, first = 0;

	qsort(o, n, sizeof(o[0]), owner_cmp);
	for (i = 1; i < n; i++) {
		if (!slice_eq(o[i].name, o[first].name)) {
			first = i;
			continue;
		}
		if (o[i].region == o[first].region)
			continue;
		key.id = o[i].region;
		p = bsearch(&key, d->piece, d->npieces, sizeof(d->piece[0]),
		    piece_cmp);
		if (p != NULL)
			p->n = 0;
	}
}

/* The nodes of the regions that are left. */
static void
take_nodes(struct derpmap *d, const struct derpmap *const *src, size_t n,
    const struct r_relay *own)
{
	const struct piece *p;
	struct r_derp_node r;
	struct msg_list it;
	size_t k;

	for (k = 0; k < n; k++) {
		if (src[k] == NULL)
			continue;
		it = derpmap_nodes(src[k]);
		while (msg_list_next(&it, MR_DERP_NODE, &r)) {
			p = piece_of(d, r.region);
			if (p == NULL || p->n == 0 || (own->in_map &&
			    r.region == own->region) ||
			    is_overruled(src, n, k, r.region))
				continue;
			msg_rec_encode(&d->nodes, MR_DERP_NODE, &r);
			d->nnodes++;
		}
	}
}

static void
take_pieces(struct derpmap *d, const struct derpmap *const *src, size_t n,
    const struct r_relay *own)
{
	struct owner *o = NULL;
	const struct piece *p;
	struct r_derp_node r;
	struct msg_list it;
	size_t i, k, no = 0;

	for (k = 0; k < n; k++) {
		if (src[k] == NULL)
			continue;
		for (i = 0; i < src[k]->npieces; i++) {
			p = &src[k]->piece[i];
			if (p->n != 0 && !is_overruled(src, n, k, p->id) &&
			    !(own->in_map && p->id == own->region))
				add_piece(d, src[k], p);
		}
		o = xrealloc(o, no + src[k]->nnodes + 1, sizeof(o[0]));
		it = derpmap_nodes(src[k]);
		while (msg_list_next(&it, MR_DERP_NODE, &r)) {
			if (is_overruled(src, n, k, r.region))
				continue;
			o[no].name = r.node;
			o[no].source = k;
			o[no++].region = r.region;
		}
	}
	if (d->npieces != 0)
		qsort(d->piece, d->npieces, sizeof(d->piece[0]), piece_cmp);
	if (no != 0)
		drop_doubles(d, o, no);
	free(o);
}

static void
take_head(struct derpmap *d, const struct derpmap *const *src, size_t n)
{
	const struct derpmap *best = NULL;
	size_t k;

	for (k = 0; k < n; k++) {
		if (src[k] == NULL)
			continue;
		d->omits = d->omits || src[k]->omits;
		if (src[k]->scores)
			best = src[k];
	}
	if (best != NULL)
		buf_slice(&d->head, buf_slice_of(&best->head));
	else
		buf_str(&d->head, "{\"HomeParams\":{\"RegionScore\":{}}");
}

static void
keep_own(struct derpmap *d, const struct r_relay *own, const char *name)
{
	struct r_derp_node r;

	memset(&r, 0, sizeof(r));
	r.region = own->region;
	r.code = own->code;
	r.node = slice_str(name);
	r.host = own->host;
	r.port = own->port;
	r.ip4 = own->ip4;
	r.ip6 = own->ip6;
	r.insecure = own->insecure;
	if (!msg_rec_ok(MR_DERP_NODE, &r))
		return;
	msg_rec_encode(&d->nodes, MR_DERP_NODE, &r);
	d->nnodes++;
}

struct derpmap *
derpmap_join(const struct derpmap *const *src, size_t n,
    const struct r_relay *own, const struct msg_list *avoid)
{
	struct buf region = { NULL, 0, 0 };
	struct derpmap *d;
	char name[16];
	size_t i;

	d = xcalloc(1, sizeof(*d));
	take_head(d, src, n);
	take_pieces(d, src, n, own);
	take_nodes(d, src, n, own);
	for (i = 0; i < d->npieces; i++)
		d->nregions += d->piece[i].n != 0;
	if (own->in_map) {
		own_name(d, own->region, name);
		put_own(&region, own, name);
		keep_own(d, own, name);
		d->nregions++;
	}
	if (d->nregions == 0) {
		derpmap_free(d);
		return NULL;
	}
	derpmap_finish(d, own->region, buf_slice_of(&region), avoid);
	buf_free(&region);
	return d;
}
