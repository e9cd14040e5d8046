/*
 * polrun: the engine behind the runner's protocol (regress/policy/README).
 * One question a line in, one answer a line out, JSON both.  The policy goes
 * through policyc's core, routes through dbd's election, the nodes and the blob
 * through a worker's core, and the answer is what streams are told.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "common/ids.h"
#include "common/log.h"
#include "dbd/elect.h"
#include "dbd/policy/policy.h"
#include "regress/lib/fakeenv.h"
#include "worker/tailnet/tailnet.h"

#define TAILNET		7
#define CAPVER		148
#define PART		60000
#define CREATED		1770000000	/* of node 0 */
#define NOW		(CREATED + 86400)
#define PREFIX		4	/* octets before a message */

struct client {
	struct stream	*stream;
	struct buf	 wire;
};

/* A node of the question; all texts are the question's. */
struct pnode {
	struct test_node t;
	struct slice	 tag[64];
	struct prefix	*advertised;
	size_t		 nadvertised;
	struct prefix	*approved;	/* and advertised */
	size_t		 napproved;
	uint64_t	 owner;		/* also of tagged ones */
	bool		 online;
	struct r_node	 r;		/* as it is in dbd and workers */
	struct msg_list	 primary;
	struct buf	 enc[5];	/* of its lists */
	struct client	 client;
};

struct question {
	struct json_object *in;
	struct slice	 policy;
	struct slice	*domain;
	size_t		 ndomains;
	struct pol_user	*user;
	size_t		 nusers;
	struct pnode	*node;
	size_t		 nnodes;
	struct prefix	 range[2];
};

static struct slice
text_of(struct json_object *o)
{
	if (o == NULL)
		return slice_mem(NULL, 0);
	return slice_mem(json_object_get_string(o),
	    (size_t)json_object_get_string_len(o));
}

static struct json_object *
member(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static size_t
count(struct json_object *o)
{
	return o == NULL ? 0 : json_object_array_length(o);
}

static uint64_t
number(struct json_object *o, const char *name)
{
	return json_object_get_uint64(member(o, name));
}

static struct prefix *
prefixes(struct json_object *list, size_t *n)
{
	struct prefix *v;
	size_t i;

	*n = count(list);
	v = xcalloc(*n + 1, sizeof(*v));
	for (i = 0; i < *n; i++)
		if (!prefix_parse(&v[i], text_of(
		    json_object_array_get_idx(list, i))))
			errx(1, "bad route");
	return v;
}

static bool
has_prefix(const struct prefix *v, size_t n, const struct prefix *p)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (prefix_eq(&v[i], p))
			return true;
	return false;
}

static void
read_user(struct pol_user *u, struct json_object *o)
{
	struct slice role = text_of(member(o, "role"));

	u->id = number(o, "id");
	u->name = text_of(member(o, "name"));
	u->email = text_of(member(o, "email"));
	u->provider_id = text_of(member(o, "provider_id"));
	u->role = slice_eqs(role, "owner") ? USER_OWNER :
	    slice_eqs(role, "admin") ? USER_ADMIN : USER_MEMBER;
}

static void
read_address(struct ip *ip, struct json_object *o)
{
	if (o != NULL && text_of(o).n != 0 && !ip_parse(ip, text_of(o)))
		errx(1, "bad address");
}

static void
read_node(struct pnode *n, struct json_object *o)
{
	struct pol_node *f = &n->t.facts;
	struct json_object *tags = member(o, "tags");
	size_t i, k = 0;

	n->t.id = number(o, "id");
	n->t.name = text_of(member(o, "name"));
	f->tag = n->tag;
	for (i = 0; i < count(tags) && i < 64; i++)
		n->tag[i] = text_of(json_object_array_get_idx(tags, i));
	f->ntags = i;
	n->owner = number(o, "user");
	f->user = f->ntags != 0 ? 0 : n->owner;
	read_address(&f->ip4, member(o, "ipv4"));
	read_address(&f->ip6, member(o, "ipv6"));
	n->advertised = prefixes(member(o, "routes"), &n->nadvertised);
	n->approved = prefixes(member(o, "approved"), &n->napproved);
	for (i = 0; i < n->napproved; i++)
		if (has_prefix(n->advertised, n->nadvertised,
		    &n->approved[i]))
			n->approved[k++] = n->approved[i];
	n->napproved = k;
	f->route = n->approved;
	f->nroutes = n->napproved;
	n->online = member(o, "online") == NULL ||
	    json_object_get_boolean(member(o, "online"));
}

static void
read_question(struct question *q, struct json_object *in)
{
	struct json_object *v;
	size_t i;

	memset(q, 0, sizeof(*q));
	q->in = in;
	q->policy = text_of(member(in, "policy"));
	v = member(in, "domains");
	q->ndomains = count(v);
	q->domain = xcalloc(q->ndomains + 1, sizeof(q->domain[0]));
	for (i = 0; i < q->ndomains; i++)
		q->domain[i] = text_of(json_object_array_get_idx(v, i));
	v = member(in, "users");
	q->nusers = count(v);
	q->user = xcalloc(q->nusers + 1, sizeof(q->user[0]));
	for (i = 0; i < q->nusers; i++)
		read_user(&q->user[i], json_object_array_get_idx(v, i));
	v = member(in, "nodes");
	q->nnodes = count(v);
	q->node = xcalloc(q->nnodes + 1, sizeof(q->node[0]));
	for (i = 0; i < q->nnodes; i++)
		read_node(&q->node[i], json_object_array_get_idx(v, i));
	(void)prefix_parse(&q->range[0], slice_str("100.64.0.0/10"));
	(void)prefix_parse(&q->range[1], slice_str("fd7a:115c:a1e0::/48"));
}

static void
free_question(struct question *q)
{
	struct pnode *n;
	size_t i, k;

	for (i = 0; i < q->nnodes; i++) {
		n = &q->node[i];
		free(n->advertised);
		free(n->approved);
		for (k = 0; k < sizeof(n->enc) / sizeof(n->enc[0]); k++)
			buf_free(&n->enc[k]);
		buf_free(&n->client.wire);
	}
	free(q->node);
	free(q->user);
	free(q->domain);
	(void)json_object_put(q->in);
}

/* Compiles the policy; false and the message if it is refused. */
static bool
compile(const struct question *q, struct buf *blob, struct buf *message)
{
	struct tailnet_info info = { q->user, q->nusers, q->domain,
	    q->ndomains, false };
	struct topology top = { 0 };
	struct buf detail = { 0 };
	struct pol_error e = { message, &detail, { 0, 0 } };
	struct test_node *v;
	bool failed = false;
	size_t i;
	int rc;

	v = xcalloc(q->nnodes + 1, sizeof(*v));
	for (i = 0; i < q->nnodes; i++)
		v[i] = q->node[i].t;
	top.node = v;
	top.nnodes = q->nnodes;
	memcpy(top.range, q->range, sizeof(top.range));
	rc = policy_compile(q->policy, &info, &top, blob, &e, &failed);
	free(v);
	buf_free(&detail);
	return rc == 0;
}

static void
add(struct buf *snap, const struct msg *m)
{
	struct buf body = { 0 };

	msg_encode(&body, m);
	buf_u16(snap, (uint16_t)m->type);
	buf_u32(snap, (uint32_t)body.n);
	buf_put(snap, body.p, body.n);
	buf_free(&body);
}

static void
add_routes(struct msg_list *l, struct buf *b, const struct prefix *v, size_t n)
{
	struct r_route r;
	size_t i;

	for (i = 0; i < n; i++) {
		r.v = v[i];
		msg_list_add(l, b, MR_ROUTE, &r);
	}
	msg_list_close(l, b);
}

/* The node as dbd knows it, but for what it is elected for. */
static void
make_node(struct pnode *n)
{
	struct r_node *r = &n->r;
	struct r_text text;
	size_t i;

	r->id = n->t.id;
	buf_printf(&n->enc[4], "n%llu", (unsigned long long)n->t.id);
	r->stable_id = buf_slice_of(&n->enc[4]);
	r->user = n->t.facts.user;
	r->name = n->t.name;
	memset(r->node_key, (int)n->t.id, sizeof(r->node_key));
	memset(r->machine_key, (int)n->t.id, sizeof(r->machine_key));
	memset(r->disco_key, (int)n->t.id, sizeof(r->disco_key));
	r->ip4 = n->t.facts.ip4;
	r->ip6 = n->t.facts.ip6;
	r->created = CREATED + (int64_t)n->t.id;
	r->online = n->online;
	r->published = true;
	r->capver = CAPVER;
	for (i = 0; i < n->t.facts.ntags; i++) {
		text.v = n->tag[i];
		msg_list_add(&r->tags, &n->enc[0], MR_TEXT, &text);
	}
	msg_list_close(&r->tags, &n->enc[0]);
	add_routes(&r->approved, &n->enc[1], n->approved, n->napproved);
	add_routes(&r->hostinfo.routes, &n->enc[3], n->advertised,
	    n->nadvertised);
}

/* As dbd elects after a start: nobody has carried anything before. */
static bool
is_elected(const struct question *q, const struct pnode *n,
    const struct prefix *p)
{
	const struct r_node *best = NULL;
	size_t i;

	if (!elect_may(&n->r, p))
		return false;
	for (i = 0; i < q->nnodes; i++)
		if (elect_may(&q->node[i].r, p))
			best = elect_better(best, &q->node[i].r, NOW);
	return best == &n->r;
}

static void
elect_all(struct question *q)
{
	struct prefix *primary;
	struct pnode *n;
	size_t i, k, have;

	for (i = 0; i < q->nnodes; i++) {
		n = &q->node[i];
		have = 0;
		primary = xcalloc(n->napproved + 1, sizeof(*primary));
		for (k = 0; k < n->napproved; k++)
			if (is_elected(q, n, &n->approved[k]))
				primary[have++] = n->approved[k];
		add_routes(&n->primary, &n->enc[2], primary, have);
		free(primary);
	}
	for (i = 0; i < q->nnodes; i++)
		q->node[i].r.primary = q->node[i].primary;
}

static void
add_node(const struct pnode *n, struct buf *snap)
{
	struct msg m;

	msg_init(&m, M_DB_NODE_PUT);
	m.u.db_node_put.tailnet = TAILNET;
	m.u.db_node_put.node = n->r;
	add(snap, &m);
}

static void
add_head(const struct question *q, const struct buf *blob, struct buf *snap)
{
	struct msg m;
	size_t i, at, n;

	msg_init(&m, M_DB_TAILNET);
	m.u.db_tailnet.tailnet = TAILNET;
	m.u.db_tailnet.name = slice_str("default");
	m.u.db_tailnet.stable_id = slice_str("T-stable");
	m.u.db_tailnet.policy = 2;
	m.u.db_tailnet.range4 = q->range[0];
	m.u.db_tailnet.range6 = q->range[1];
	add(snap, &m);
	for (i = 0; i < q->nusers; i++) {
		msg_init(&m, M_DB_USER_PUT);
		m.u.db_user_put.tailnet = TAILNET;
		m.u.db_user_put.user.id = q->user[i].id;
		m.u.db_user_put.user.name = q->user[i].name;
		m.u.db_user_put.user.role = q->user[i].role;
		add(snap, &m);
	}
	for (at = 0; at < blob->n; at += n) {
		n = blob->n - at < PART ? blob->n - at : PART;
		msg_init(&m, M_DB_POLICY_PART);
		m.u.db_policy_part.tailnet = TAILNET;
		m.u.db_policy_part.seq = 1;
		m.u.db_policy_part.size = blob->n;
		m.u.db_policy_part.at = at;
		m.u.db_policy_part.octets = slice_mem(blob->p + at, n);
		add(snap, &m);
	}
}

static void
put_in(struct tailnets *tn, struct question *q, const struct buf *blob)
{
	struct buf snap = { 0 };
	struct msg m;
	size_t i;

	add_head(q, blob, &snap);
	for (i = 0; i < q->nnodes; i++)
		make_node(&q->node[i]);
	elect_all(q);
	for (i = 0; i < q->nnodes; i++)
		add_node(&q->node[i], &snap);
	msg_init(&m, M_DB_BATCH);
	m.u.db_batch.tailnet = TAILNET;
	m.u.db_batch.seq = 1;
	add(&snap, &m);
	if (tailnets_snapshot(tn, TAILNET, snap.p, snap.n) == -1)
		errx(1, "the snapshot is refused");
	buf_free(&snap);
}

static void
on_out(struct stream *s, struct frame *const *f, size_t n, bool first,
    void *arg)
{
	struct client *c = stream_tag(s);
	size_t i;

	(void)arg;
	if (!first)
		errx(1, "a second message");
	for (i = 0; i < n; i++)
		buf_put(&c->wire, f[i]->data, f[i]->len);
}

static void
on_over(struct stream *s, void *arg)
{
	(void)s;
	(void)arg;
	errx(1, "a stream is over");
}

/* A list of a map, or an empty one; another reference. */
static struct json_object *
list_of(struct json_object *o, const char *name)
{
	struct json_object *v = member(o, name);

	return v == NULL ? json_object_new_array() : json_object_get(v);
}

static struct json_object *
object_of(struct json_object *o, const char *name)
{
	struct json_object *v = member(o, name);

	return v == NULL ? json_object_new_object() : json_object_get(v);
}

static void
put(struct json_object *o, const char *name, struct json_object *v)
{
	(void)json_object_object_add(o, name, v);
}

/* What a Node object says of routes, addresses and tags. */
static void
put_routes(struct json_object *to, struct json_object *node)
{
	struct json_object *allowed = member(node, "AllowedIPs");

	put(to, "addrs", list_of(node, "Addresses"));
	put(to, "allowed", allowed == NULL ? list_of(node, "Addresses") :
	    json_object_get(allowed));
	put(to, "primary", list_of(node, "PrimaryRoutes"));
	put(to, "caps", object_of(node, "CapMap"));
	put(to, "tags", list_of(node, "Tags"));
}

/* Rules of all chunks, in the order in which they are written. */
static struct json_object *
filter_of(struct json_object *map)
{
	struct json_object *all = json_object_new_array(), *m;
	size_t i;

	if ((m = member(map, "PacketFilters")) == NULL)
		errx(1, "no PacketFilters");
	json_object_object_foreach(m, name, rules) {
		(void)name;
		for (i = 0; rules != NULL && i < count(rules); i++)
			(void)json_object_array_add(all, json_object_get(
			    json_object_array_get_idx(rules, i)));
	}
	return all;
}

static struct json_object *
peers_of(const struct question *q, struct json_object *map)
{
	struct json_object *peers = json_object_new_object(), *v, *p, *o;
	size_t i, k;
	char *name;

	v = member(map, "Peers");
	for (i = 0; i < count(v); i++) {
		p = json_object_array_get_idx(v, i);
		for (k = 0; k < q->nnodes &&
		    q->node[k].t.id != number(p, "ID"); k++)
			;
		if (k == q->nnodes)
			errx(1, "an unknown peer");
		o = json_object_new_object();
		put_routes(o, p);
		put(o, "online", json_object_get(member(p, "Online")));
		name = slice_dup(q->node[k].t.name);
		if (member(peers, name) != NULL)
			errx(1, "a peer twice");
		put(peers, name, o);
		free(name);
	}
	return peers;
}

static struct json_object *
approves(const struct question *q, const struct pnode *n,
    const struct pol *p)
{
	struct json_object *list = json_object_new_array();
	char t[PREFIX_TEXT];
	struct pol_hits h;
	size_t i;

	hits_init(&h, p);
	hits_of(&h, p, &n->t.facts, q->range);
	for (i = 0; i < n->nadvertised; i++) {
		if (!pol_approves(p, &h, &n->advertised[i]))
			continue;
		(void)prefix_print(t, &n->advertised[i]);
		(void)json_object_array_add(list, json_object_new_string(t));
	}
	hits_free(&h);
	return list;
}

static struct json_object *
answer_node(const struct question *q, const struct pnode *n,
    const struct pol *p)
{
	struct json_object *o = json_object_new_object(), *map;
	struct json_tokener *t = json_tokener_new();

	if (n->client.wire.n <= PREFIX)
		errx(1, "no map for a node");
	map = json_tokener_parse_ex(t, (const char *)n->client.wire.p +
	    PREFIX, (int)(n->client.wire.n - PREFIX));
	if (map == NULL)
		errx(1, "bad map: %s", json_tokener_error_desc(
		    json_tokener_get_error(t)));
	put(o, "filter", filter_of(map));
	put(o, "ssh", list_of(member(map, "SSHPolicy"), "rules"));
	put_routes(o, member(map, "Node"));
	put(o, "peers", peers_of(q, map));
	put(o, "approves", approves(q, n, p));
	(void)json_object_put(map);
	json_tokener_free(t);
	return o;
}

/* Opens a stream for each node and takes the first maps. */
static void
stream_all(struct tailnets *tn, struct fakeenv *fake, struct question *q)
{
	struct stream_conf sc = { .tailnet = TAILNET, .capver = CAPVER };
	struct pnode *n;
	size_t i, k;

	for (i = 0; i < q->nnodes; i++) {
		n = &q->node[i];
		sc.node = n->t.id;
		memset(sc.node_key, (int)n->t.id, sizeof(sc.node_key));
		if ((n->client.stream = stream_open(tn, &sc,
		    &n->client)) == NULL)
			errx(1, "a stream is refused");
	}
	for (k = 0, i = 0; i < q->nnodes && k < 1000; k++) {
		fakeenv_advance(fake, US_PER_MS);
		while (i < q->nnodes && q->node[i].client.wire.n != 0)
			i++;
	}
}

static struct json_object *
answer_nodes(struct question *q, const struct buf *blob)
{
	const struct tn_ops ops = { on_out, on_over, NULL };
	struct json_object *all = json_object_new_object();
	struct fakeenv *fake = fakeenv_new(1);
	struct tn_conf c = { 0 };
	struct tailnets *tn;
	const char *why = NULL;
	struct pol *p;
	char *name;
	size_t i;

	if ((p = pol_load(blob->p, blob->n, &why)) == NULL)
		errx(1, "the blob is refused: %s", why);
	tn = tailnets_new(fakeenv_env(fake), &ops);
	c.server_url = slice_str("https://unused");
	c.base_domain = slice_str("ts.example");
	c.taildrop = true;
	tailnets_conf(tn, &c);
	put_in(tn, q, blob);
	stream_all(tn, fake, q);
	for (i = 0; i < q->nnodes; i++) {
		name = slice_dup(q->node[i].t.name);
		put(all, name, answer_node(q, &q->node[i], p));
		free(name);
		stream_close(q->node[i].client.stream);
	}
	tailnets_free(tn);
	fakeenv_free(fake);
	pol_free(p);
	return all;
}

static void
answer(struct json_object *in)
{
	struct json_object *out = json_object_new_object();
	struct buf blob = { 0 }, message = { 0 };
	struct question q;
	bool ok;

	read_question(&q, in);
	ok = compile(&q, &blob, &message);
	put(out, "ok", json_object_new_boolean(ok));
	put(out, "message", json_object_new_string_len(
	    message.n == 0 ? "" : (const char *)message.p, (int)message.n));
	if (ok)
		put(out, "nodes", answer_nodes(&q, &blob));
	(void)puts(json_object_to_json_string_ext(out,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	(void)fflush(stdout);
	(void)json_object_put(out);
	free_question(&q);
	buf_free(&blob);
	buf_free(&message);
}

int
main(void)
{
	struct json_object *in;
	char *line = NULL;
	size_t cap = 0;

	log_init("polrun", 2, false, 0);
	while (getline(&line, &cap, stdin) > 0) {
		if ((in = json_tokener_parse(line)) == NULL)
			errx(1, "a question is no JSON");
		answer(in);
	}
	free(line);
	return 0;
}
