#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/routeset.h"
#include "worker/tailnet/holding_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/view_int.h"

const char *
node_bad(const struct r_node *r)
{
	if (r->id == 0 || r->id > ID_MAX)
		return "node id out of range";
	if (r->user > ID_MAX || r->user == USER_TAGGED)
		return "owner out of range";
	/* A bad name crashes clients up to 1.103 (protocol.md 5.10). */
	if (!dns_name_ok(r->name) || memchr(r->name.p, '.', r->name.n) != NULL)
		return "name is no DNS label";
	if ((r->ip4.family != 0 && r->ip4.family != 4) ||
	    (r->ip6.family != 0 && r->ip6.family != 6))
		return "address of another family";
	return NULL;
}

struct node *
node_new(uint64_t id)
{
	struct node *n;

	n = xcalloc(1, sizeof(*n));
	n->id = id;
	n->mark.node = n;
	LIST_INIT(&n->streams);
	LIST_INIT(&n->trail);
	return n;
}

void
replica_node_free(struct node *n)
{
	if (n == NULL)
		return;
	free(n->text);
	free(n->endpoints);
	free(n->routes);
	free(n->advertised);
	free(n->tags);
	route_rows_free(n);
	holding_unref(n->holding);
	free(n);
}

struct slice
node_stable_id(const struct node *n)
{
	return slice_mem(n->text, n->stable_n);
}

struct slice
node_name(const struct node *n)
{
	return slice_mem(n->text + n->stable_n, n->name_n);
}

struct slice
node_host(const struct node *n)
{
	return slice_mem(n->text + n->stable_n + n->name_n, n->host_n);
}

struct slice
node_rest(const struct node *n)
{
	return slice_mem(n->text + n->stable_n + n->name_n + n->host_n,
	    n->rest_n);
}

/* Texts and pre-rendered JSON: equal text is no change. */
static unsigned int
update_text(struct node *n, const struct r_node *r)
{
	struct buf b = { 0 };
	size_t host, rest;
	unsigned int got = 0;

	buf_slice(&b, r->stable_id);
	buf_slice(&b, r->name);
	host = b.n;
	mapjson_host(&b, &r->hostinfo);
	rest = b.n;
	mapjson_rest(&b, r);
	if (n->text == NULL || !slice_eq(node_stable_id(n), r->stable_id) ||
	    !slice_eq(node_name(n), r->name) || !slice_eq(node_rest(n),
	    slice_mem(b.p + rest, b.n - rest)))
		got = NC_WHOLE | NC_SELF;
	else if (!slice_eq(node_host(n), slice_mem(b.p + host, rest - host)))
		got = NC_WHOLE;
	if (got != 0) {
		free(n->text);
		n->text = xmalloc(b.n);
		memcpy(n->text, b.p, b.n);
		n->stable_n = (uint16_t)r->stable_id.n;
		n->name_n = (uint16_t)r->name.n;
		n->host_n = (uint32_t)(rest - host);
		n->rest_n = (uint32_t)(b.n - rest);
	}
	buf_free(&b);
	return got;
}

static unsigned int
update_keys(struct node *n, const struct r_node *r)
{
	unsigned int got = 0;

	if (memcmp(n->key, r->node_key, sizeof(n->key)) != 0)
		got |= NC_WHOLE | NC_SELF;
	if (memcmp(n->machine, r->machine_key, sizeof(n->machine)) != 0)
		got |= NC_WHOLE | NC_SELF;
	if (memcmp(n->disco, r->disco_key, sizeof(n->disco)) != 0)
		got |= NF_BIT(NF_DISCO);
	memcpy(n->key, r->node_key, sizeof(n->key));
	memcpy(n->machine, r->machine_key, sizeof(n->machine));
	memcpy(n->disco, r->disco_key, sizeof(n->disco));
	return got;
}

static unsigned int
update_endpoints(struct node *n, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_addr a;
	unsigned int i;
	bool same = n->nendpoints == list->count;

	for (i = 0; same && msg_list_next(&it, MR_ADDR, &a); i++)
		same = ipport_eq(&n->endpoints[i], &a.v);
	if (same)
		return 0;
	free(n->endpoints);
	n->endpoints = NULL;
	n->nendpoints = (uint16_t)list->count;
	if (n->nendpoints != 0)
		n->endpoints = xcalloc(n->nendpoints, sizeof(struct ipport));
	it = *list;
	for (i = 0; msg_list_next(&it, MR_ADDR, &a); i++)
		n->endpoints[i] = a.v;
	return NF_BIT(NF_ENDPOINTS);
}

static unsigned int
update_advertised(struct node *n, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_route r;
	unsigned int i;
	bool same = n->nadvertised == list->count;

	for (i = 0; same && msg_list_next(&it, MR_ROUTE, &r); i++)
		same = prefix_eq(&n->advertised[i], &r.v);
	if (same)
		return 0;
	free(n->advertised);
	n->advertised = NULL;
	n->nadvertised = (uint16_t)list->count;
	if (n->nadvertised != 0)
		n->advertised = xcalloc(n->nadvertised, sizeof(struct prefix));
	it = *list;
	for (i = 0; msg_list_next(&it, MR_ROUTE, &r); i++)
		n->advertised[i] = r.v;
	return NC_SELF;
}

static unsigned int
update_tags(struct node *n, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_text t;
	unsigned int i;
	size_t octets = 0;
	bool same = n->ntags == list->count;
	char *p;

	for (i = 0; msg_list_next(&it, MR_TEXT, &t); i++) {
		octets += t.v.n;
		same = same && slice_eq(n->tags[i], t.v);
	}
	if (same)
		return 0;
	free(n->tags);
	n->tags = NULL;
	n->ntags = (uint16_t)list->count;
	if (n->ntags != 0)
		n->tags = xmalloc(n->ntags * sizeof(n->tags[0]) + octets);
	p = (char *)(n->tags + n->ntags);
	it = *list;
	for (i = 0; msg_list_next(&it, MR_TEXT, &t); i++) {
		memcpy(p, t.v.p, t.v.n);
		n->tags[i] = slice_mem(p, t.v.n);
		p += t.v.n;
	}
	return NC_FACTS;
}

/* Which subnet routes it is elected to carry. */
static unsigned int
update_primary(struct node *n, const struct msg_list *list)
{
	struct node_route *r;
	struct routeset s;
	unsigned int i, got = 0;
	bool is;

	routeset_of(&s, list);
	for (i = 0; i < n->nroutes; i++) {
		r = &n->routes[i];
		is = !r->exit && routeset_has(&s, &r->p);
		if (r->primary != is)
			got = NC_SELF | NC_PRIMARY;
		r->primary = is;
	}
	routeset_free(&s);
	return got;
}

/* Those of the list that are advertised, each once; how many. */
static unsigned int
effective(const struct node *n, const struct msg_list *list,
    struct node_route *v)
{
	struct msg_list it = *list;
	struct routeset s;
	struct r_route r;
	unsigned int k = 0;
	uint32_t at;
	bool *seen;

	routeset_from(&s, n->advertised, n->nadvertised);
	seen = xcalloc((size_t)s.n + 1, sizeof(*seen));
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		at = routeset_find(&s, &r.v);
		if (at == ROUTESET_NONE || r.v.addr.family == 0 || seen[at])
			continue;
		seen[at] = true;
		v[k].p = r.v;
		v[k].exit = r.v.bits == 0;
		k++;
	}
	free(seen);
	routeset_free(&s);
	return k;
}

/* What is approved and advertised; its order is the record's. */
static unsigned int
update_routes(struct node *n, const struct msg_list *list)
{
	struct node_route *fresh;
	unsigned int i, k;
	bool same;

	if (list->count == 0 && n->nroutes == 0)
		return 0;
	fresh = xcalloc((size_t)list->count + 1, sizeof(*fresh));
	k = effective(n, list, fresh);
	same = k == n->nroutes;
	for (i = 0; same && i < k; i++)
		same = prefix_eq(&fresh[i].p, &n->routes[i].p);
	if (same) {
		free(fresh);
		return 0;
	}
	if (k == 0) {
		free(fresh);
		fresh = NULL;
	}
	free(n->routes);
	n->routes = fresh;
	n->nroutes = (uint16_t)k;
	return NC_SELF | NC_ROUTES | NC_FACTS;
}

/*
 * Numbers that a client keeps when they go back to zero (protocol.md 11.3)
 * make a reset.
 */
static unsigned int
update_numbers(struct node *n, const struct r_node *r)
{
	unsigned int got = 0;

	if (n->derp != r->home_derp)
		got |= NF_BIT(NF_DERP);
	if (n->capver != r->capver)
		got |= NF_BIT(NF_CAP);
	if ((n->derp != 0 && r->home_derp == 0) ||
	    (n->capver != 0 && r->capver == 0))
		got |= NC_RESET;
	n->derp = r->home_derp;
	n->capver = r->capver;
	return got;
}

unsigned int
node_expire(struct node *n, int64_t now)
{
	bool expired = n->expiry != 0 && n->expiry <= now;

	if (expired == n->expired)
		return 0;
	n->expired = expired;
	return NC_WHOLE | NC_SELF;
}

unsigned int
node_seen(struct node *n, bool online, int64_t last_seen)
{
	unsigned int got = 0;

	if (online)
		last_seen = 0;
	if (n->online != online)
		got |= NF_BIT(NF_ONLINE);
	/* Coming online says nothing of it: clients keep the old time. */
	if (n->last_seen != last_seen && !online)
		got |= NF_BIT(NF_SEEN);
	n->online = online;
	n->last_seen = last_seen;
	return got;
}

/* As clients can bear it. */
static int64_t
expiry_of(const struct r_node *r)
{
	return r->expiry < EXPIRY_END ? r->expiry : 0;
}

unsigned int
node_update(struct node *n, const struct r_node *r, struct user *user,
    int64_t now)
{
	unsigned int got;

	got = update_text(n, r);
	got |= update_keys(n, r);
	got |= update_endpoints(n, &r->endpoints);
	got |= update_advertised(n, &r->hostinfo.routes);
	got |= update_tags(n, &r->tags);
	got |= update_routes(n, &r->approved);
	got |= update_primary(n, &r->primary);
	got |= update_numbers(n, r);
	got |= node_seen(n, r->online, r->last_seen);
	if (n->user != user)
		got |= NC_WHOLE | NC_SELF | NC_FACTS;
	if (!ip_eq(&n->ip4, &r->ip4) || !ip_eq(&n->ip6, &r->ip6))
		got |= NC_WHOLE | NC_SELF | NC_FACTS | NC_ADDR;
	n->user = user;
	n->created = r->created;
	n->ip4 = r->ip4;
	n->ip6 = r->ip6;
	if (n->expiry != expiry_of(r)) {
		n->expiry = expiry_of(r);
		got |= NF_BIT(NF_EXPIRY) | NC_SELF;
	}
	got |= node_expire(n, now);
	if (n->published != r->published)
		got |= NC_SHOWN;
	n->published = r->published;
	return got;
}
