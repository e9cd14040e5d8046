#include <stdio.h>
#include <string.h>

#include "common/pol.h"
#include "regress/lib/tnfeed.h"

void
fnode_init(struct fnode *f, uint64_t id, uint64_t user)
{
	memset(f, 0, sizeof(*f));
	f->id = id;
	f->user = user;
	(void)snprintf(f->name, sizeof(f->name), "host-%llu",
	    (unsigned long long)id);
	f->addr = (uint32_t)id;
	f->key = (uint32_t)id;
	f->disco = (uint32_t)id;
	f->derp = 900;
	f->capver = 145;
	f->nendpoints = 3;
	f->endpoint = (uint32_t)id;
	f->published = true;
	f->last_seen = 1780000000;
	(void)snprintf(f->os, sizeof(f->os), "linux");
	(void)snprintf(f->hostname, sizeof(f->hostname), "%s", f->name);
	f->peerapi = 40000;
}

/* 32 octets that look random. */
static void
fill_key(uint8_t key[32], uint32_t seed, uint8_t kind)
{
	uint64_t v = (uint64_t)seed << 8 | kind;
	unsigned int i;

	memset(key, 0, 32);
	if (seed == 0)
		return;
	for (i = 0; i < 32; i++) {
		v = v * 6364136223846793005ULL + 1442695040888963407ULL;
		key[i] = (uint8_t)(v >> 56);
	}
}

static void
add_prefix(struct msg_list *l, struct buf *b, const char *text)
{
	struct r_route r;

	(void)prefix_parse(&r.v, slice_str(text));
	msg_list_add(l, b, MR_ROUTE, &r);
}

static void
routes(struct msg_list *l, struct buf *b, unsigned int bits,
    unsigned int subnet)
{
	char text[32];

	if (bits & 1) {
		add_prefix(l, b, "0.0.0.0/0");
		add_prefix(l, b, "::/0");
	}
	if (bits & 2)
		add_prefix(l, b, "10.1.0.0/16");
	if (bits & 4)
		add_prefix(l, b, "fd00:1::/64");
	if (bits & 8)
		add_prefix(l, b, "100.64.0.0/24");
	if (subnet != 0) {
		(void)snprintf(text, sizeof(text), "10.%u.%u.0/24",
		    128 + subnet / 256 % 128, subnet % 256);
		add_prefix(l, b, text);
	}
	msg_list_close(l, b);
}

static void
endpoints(const struct fnode *f, struct msg_list *l, struct buf *b)
{
	struct r_addr a;
	unsigned int i;

	for (i = 0; i < f->nendpoints; i++) {
		memset(&a, 0, sizeof(a));
		a.v.addr.family = 4;
		a.v.addr.b[0] = 198;
		a.v.addr.b[1] = 51;
		a.v.addr.b[2] = (uint8_t)(f->endpoint >> 8);
		a.v.addr.b[3] = (uint8_t)f->endpoint;
		a.v.port = (uint16_t)(41641 + i);
		msg_list_add(l, b, MR_ADDR, &a);
	}
	msg_list_close(l, b);
}

static void
tags(const struct fnode *f, struct msg_list *l, struct buf *b)
{
	char t[16];
	struct r_text text;
	unsigned int i;

	for (i = 0; i < f->tags; i++) {
		(void)snprintf(t, sizeof(t), "tag:t%u", f->tag_from + i);
		text.v = slice_str(t);
		msg_list_add(l, b, MR_TEXT, &text);
	}
	msg_list_close(l, b);
}

static void
hostinfo(const struct fnode *f, struct r_hostinfo *h, struct buf b[FEED_LISTS])
{
	struct r_service s;

	h->ipn_version = slice_str("1.104.5-t0123456789");
	h->os = slice_str(f->os);
	h->os_version = slice_str("6.1.0-18-amd64");
	h->distro = slice_str("debian");
	h->distro_version = slice_str("12.5");
	h->distro_codename = slice_str("bookworm");
	h->hostname = slice_str(f->hostname);
	h->machine = slice_str("x86_64");
	h->go_arch = slice_str("amd64");
	h->go_version = slice_str("go1.27.0");
	h->userspace = 1;
	h->userspace_router = 1;
	if (f->peerapi != 0) {
		s.proto = slice_str("peerapi4");
		s.port = f->peerapi;
		msg_list_add(&h->services, &b[3], MR_SERVICE, &s);
		s.proto = slice_str("peerapi-dns-proxy");
		s.port = 1;
		msg_list_add(&h->services, &b[3], MR_SERVICE, &s);
	}
	msg_list_close(&h->services, &b[3]);
	routes(&h->routes, &b[4], f->advertised, f->subnet);
}

void
fnode_record(const struct fnode *f, struct r_node *r, struct buf b[FEED_LISTS])
{
	memset(r, 0, sizeof(*r));
	memset(b, 0, FEED_LISTS * sizeof(b[0]));
	buf_printf(&b[5], "n%llu", (unsigned long long)f->id);
	r->id = f->id;
	r->stable_id = buf_slice_of(&b[5]);
	r->user = f->user;
	r->name = slice_str(f->name);
	fill_key(r->node_key, f->key, 1);
	fill_key(r->machine_key, (uint32_t)f->id, 2);
	fill_key(r->disco_key, f->disco, 3);
	r->ip4.family = 4;
	r->ip4.b[0] = 100;
	r->ip4.b[1] = 64 + (f->addr >> 16 & 63);
	r->ip4.b[2] = (uint8_t)(f->addr >> 8);
	r->ip4.b[3] = (uint8_t)f->addr;
	(void)ip_parse(&r->ip6, slice_str("fd7a:115c:a1e0::"));
	memcpy(r->ip6.b + 13, r->ip4.b + 1, 3);
	r->created = 1770000000;
	r->expiry = f->expiry;
	r->last_seen = f->last_seen;
	r->online = f->online;
	r->published = f->published;
	r->capver = f->capver;
	r->home_derp = f->derp;
	tags(f, &r->tags, &b[0]);
	endpoints(f, &r->endpoints, &b[1]);
	routes(&r->approved, &b[2], f->approved, f->subnet);
	routes(&r->primary, &b[6], f->primary, f->standby ? 0 : f->subnet);
	hostinfo(f, &r->hostinfo, b);
}

void
fnode_record_free(struct buf b[FEED_LISTS])
{
	unsigned int i;

	for (i = 0; i < FEED_LISTS; i++)
		buf_free(&b[i]);
}

static void
tailnet_msg(struct msg *m, const char *name, unsigned int policy)
{
	msg_init(m, M_DB_TAILNET);
	m->u.db_tailnet.tailnet = FEED_TAILNET;
	m->u.db_tailnet.name = slice_str(name);
	m->u.db_tailnet.stable_id = slice_str("T-stable");
	m->u.db_tailnet.policy = (uint8_t)policy;
	(void)prefix_parse(&m->u.db_tailnet.range4,
	    slice_str("100.64.0.0/10"));
	(void)prefix_parse(&m->u.db_tailnet.range6,
	    slice_str("fd7a:115c:a1e0::/48"));
}

static void
user_msg(struct msg *m, const struct fuser *u)
{
	msg_init(m, M_DB_USER_PUT);
	m->u.db_user_put.tailnet = FEED_TAILNET;
	m->u.db_user_put.user.id = u->id;
	m->u.db_user_put.user.name = slice_str(u->name);
	m->u.db_user_put.user.role = u->role;
}

static void
batch_msg(struct msg *m, uint64_t seq)
{
	msg_init(m, M_DB_BATCH);
	m->u.db_batch.tailnet = FEED_TAILNET;
	m->u.db_batch.seq = seq;
	memset(m->u.db_batch.batch, (int)(seq & 255),
	    sizeof(m->u.db_batch.batch));
}

static void
on_out(struct stream *s, struct frame *const *f, size_t n, bool first,
    void *arg)
{
	(void)s;
	(void)f;
	(void)n;
	(void)first;
	(void)arg;
}

static void
on_over(struct stream *s, void *arg)
{
	(void)arg;
	stream_close(s);
}

const struct tn_ops *
feed_deaf(void)
{
	static const struct tn_ops ops = { on_out, on_over, NULL };

	return &ops;
}

int
feed_tailnet(struct tailnets *tn, const char *name, unsigned int policy)
{
	struct msg m;

	tailnet_msg(&m, name, policy);
	return tailnets_apply(tn, &m);
}

int
feed_user(struct tailnets *tn, const struct fuser *u)
{
	struct msg m;

	user_msg(&m, u);
	return tailnets_apply(tn, &m);
}

int
feed_user_del(struct tailnets *tn, uint64_t id)
{
	struct msg m;

	msg_init(&m, M_DB_USER_DEL);
	m.u.db_user_del.tailnet = FEED_TAILNET;
	m.u.db_user_del.id = id;
	return tailnets_apply(tn, &m);
}

int
feed_node(struct tailnets *tn, const struct fnode *f)
{
	struct buf b[FEED_LISTS];
	struct msg m;
	int rc;

	msg_init(&m, M_DB_NODE_PUT);
	m.u.db_node_put.tailnet = FEED_TAILNET;
	fnode_record(f, &m.u.db_node_put.node, b);
	rc = tailnets_apply(tn, &m);
	fnode_record_free(b);
	return rc;
}

int
feed_node_del(struct tailnets *tn, uint64_t id)
{
	struct msg m;

	msg_init(&m, M_DB_NODE_DEL);
	m.u.db_node_del.tailnet = FEED_TAILNET;
	m.u.db_node_del.id = id;
	return tailnets_apply(tn, &m);
}

int
feed_online(struct tailnets *tn, uint64_t id, bool online, int64_t last_seen)
{
	struct msg m;

	msg_init(&m, M_DB_ONLINE);
	m.u.db_online.tailnet = FEED_TAILNET;
	m.u.db_online.node = id;
	m.u.db_online.online = online;
	m.u.db_online.last_seen = last_seen;
	return tailnets_apply(tn, &m);
}

int
feed_online_map(struct tailnets *tn, uint64_t base, const void *bits, size_t n,
    int64_t last_seen)
{
	struct msg m;

	msg_init(&m, M_DB_ONLINE_MAP);
	m.u.db_online_map.tailnet = FEED_TAILNET;
	m.u.db_online_map.base = base;
	m.u.db_online_map.bits = slice_mem(bits, n);
	m.u.db_online_map.last_seen = last_seen;
	return tailnets_apply(tn, &m);
}

/* The part of the blob that begins at an octet. */
static void
policy_msg(struct msg *m, const struct buf *blob, size_t at, size_t part)
{
	size_t n = blob->n - at;

	msg_init(m, M_DB_POLICY_PART);
	m->u.db_policy_part.tailnet = FEED_TAILNET;
	m->u.db_policy_part.size = blob->n;
	m->u.db_policy_part.at = at;
	m->u.db_policy_part.octets = slice_mem(blob->p + at,
	    n < part ? n : part);
}

int
feed_policy(struct tailnets *tn, const struct pol *p, size_t part)
{
	struct buf blob = { 0 };
	struct msg m;
	size_t at;
	int rc = 0;

	pol_save(&blob, p);
	if (part == 0)
		rc = tailnets_policy(tn, FEED_TAILNET, blob.p, blob.n);
	for (at = 0; part != 0 && at < blob.n && rc == 0; at += part) {
		policy_msg(&m, &blob, at, part);
		rc = tailnets_apply(tn, &m);
	}
	buf_free(&blob);
	return rc;
}

int
feed_batch(struct tailnets *tn, uint64_t seq)
{
	struct msg m;

	batch_msg(&m, seq);
	return tailnets_apply(tn, &m);
}

static void
snap_msg(struct buf *b, const struct msg *m)
{
	struct buf body = { 0 };

	msg_encode(&body, m);
	buf_u16(b, (uint16_t)m->type);
	buf_u32(b, (uint32_t)body.n);
	buf_put(b, body.p, body.n);
	buf_free(&body);
}

void
snap_tailnet(struct buf *b, const char *name, unsigned int policy)
{
	struct msg m;

	tailnet_msg(&m, name, policy);
	snap_msg(b, &m);
}

void
snap_policy(struct buf *b, const struct pol *p, size_t part)
{
	struct buf blob = { 0 };
	struct msg m;
	size_t at;

	pol_save(&blob, p);
	for (at = 0; at < blob.n; at += part) {
		policy_msg(&m, &blob, at, part);
		snap_msg(b, &m);
	}
	buf_free(&blob);
}

void
snap_user(struct buf *b, const struct fuser *u)
{
	struct msg m;

	user_msg(&m, u);
	snap_msg(b, &m);
}

void
snap_node(struct buf *b, const struct fnode *f)
{
	struct buf lists[FEED_LISTS];
	struct msg m;

	msg_init(&m, M_DB_NODE_PUT);
	m.u.db_node_put.tailnet = FEED_TAILNET;
	fnode_record(f, &m.u.db_node_put.node, lists);
	snap_msg(b, &m);
	fnode_record_free(lists);
}

void
snap_batch(struct buf *b, uint64_t seq)
{
	struct msg m;

	batch_msg(&m, seq);
	snap_msg(b, &m);
}
