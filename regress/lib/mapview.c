#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json.h>
#include <zstd.h>

#include "common/buf.h"
#include "regress/lib/mapview.h"

struct mapview {
	uint64_t	 self_id;
	bool		 compress;
	bool		 started;
	struct buf	 in;
	struct buf	 text;
	struct json_object *self;
	struct json_object *peers;	/* by id as text */
	struct json_object *profiles;
	struct json_object *other;	/* latest of other members */
	struct json_object *by_ip;	/* what 1.101 to 1.103 index */
	struct json_object *by_name;
	struct mapview_count count;
	char		 why[400];
};

static const char *
no(struct mapview *v, const char *what, uint64_t id)
{
	(void)snprintf(v->why, sizeof(v->why), "viewer %" PRIu64
	    ": %s (id %" PRIu64 ")", v->self_id, what, id);
	return v->why;
}

static const char *
key_of(uint64_t id)
{
	static char t[4][24];
	static unsigned int k;

	k = (k + 1) % 4;
	(void)snprintf(t[k], sizeof(t[k]), "%" PRIu64, id);
	return t[k];
}

static uint64_t
id_of(struct json_object *o, const char *name)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v) ||
	    !json_object_is_type(v, json_type_int))
		return 0;
	return json_object_get_uint64(v);
}

static struct json_object *
get(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	(void)json_object_object_get_ex(o, name, &v);
	return v;
}

/* A member's value becomes o's too; NULL takes it away. */
static void
set(struct json_object *o, const char *name, struct json_object *v)
{
	json_object_object_del(o, name);
	if (v != NULL)
		json_object_object_add(o, name, json_object_get(v));
}

static bool
same(struct json_object *a, struct json_object *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return json_object_equal(a, b) != 0;
}

struct mapview *
mapview_new(uint64_t self, bool compress)
{
	struct mapview *v;

	v = xcalloc(1, sizeof(*v));
	v->self_id = self;
	v->compress = compress;
	v->peers = json_object_new_object();
	v->profiles = json_object_new_object();
	v->other = json_object_new_object();
	v->by_ip = json_object_new_object();
	v->by_name = json_object_new_object();
	return v;
}

void
mapview_free(struct mapview *v)
{
	if (v == NULL)
		return;
	json_object_put(v->self);
	json_object_put(v->peers);
	json_object_put(v->profiles);
	json_object_put(v->other);
	json_object_put(v->by_ip);
	json_object_put(v->by_name);
	buf_free(&v->in);
	buf_free(&v->text);
	free(v);
}

/* Index entries that 1.101 to 1.103 make and drop by value alone. */
static void
index_node(struct mapview *v, struct json_object *n, bool add)
{
	struct json_object *addrs = get(n, "Addresses");
	const char *name, *ip;
	size_t i;

	name = json_object_get_string(get(n, "Name"));
	json_object_object_del(v->by_name, name);
	if (add)
		json_object_object_add(v->by_name, name,
		    json_object_get(get(n, "ID")));
	for (i = 0; i < json_object_array_length(addrs); i++) {
		ip = json_object_get_string(json_object_array_get_idx(addrs,
		    i));
		json_object_object_del(v->by_ip, ip);
		if (add)
			json_object_object_add(v->by_ip, ip,
			    json_object_get(get(n, "ID")));
	}
}

static const char *
check_node(struct mapview *v, struct json_object *n)
{
	static const char *const must[] = { "StableID", "Name", "Key",
	    "Machine", "DiscoKey", "Addresses", "AllowedIPs", "Endpoints",
	    "Online", "User", "Hostinfo", "MachineAuthorized" };
	const char *name;
	size_t i;

	if (!json_object_is_type(n, json_type_object) || id_of(n, "ID") == 0)
		return no(v, "node without ID", 0);
	for (i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		if (get(n, must[i]) == NULL)
			return no(v, must[i], id_of(n, "ID"));
	if (!json_object_is_type(get(n, "Online"), json_type_boolean) ||
	    !json_object_is_type(get(n, "Endpoints"), json_type_array))
		return no(v, "type of Online or Endpoints", id_of(n, "ID"));
	name = json_object_get_string(get(n, "Name"));
	if (name[0] == '\0' || name[strlen(name) - 1] != '.')
		return no(v, "Name without dot", id_of(n, "ID"));
	return NULL;
}

static bool
has_text(struct json_object *list, const char *t)
{
	size_t i;

	for (i = 0; list != NULL && i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(
		    list, i)), t) == 0)
			return true;
	return false;
}

/*
 * Of a peer: subnet routes are primary, exit nodes suggested, and nothing
 * else is in its CapMap (policy.md 10.3, 12.4).
 */
static const char *
check_routes(struct mapview *v, struct json_object *n)
{
	struct json_object *ips = get(n, "AllowedIPs"), *caps, *none;
	const char *t;
	size_t i;
	bool exit, own;

	for (i = 0; i < json_object_array_length(ips); i++) {
		t = json_object_get_string(json_object_array_get_idx(ips, i));
		own = has_text(get(n, "Addresses"), t);
		exit = strcmp(t, "0.0.0.0/0") == 0 || strcmp(t, "::/0") == 0;
		if (has_text(get(n, "PrimaryRoutes"), t) != (!own && !exit))
			return no(v, "PrimaryRoutes", id_of(n, "ID"));
	}
	caps = get(n, "CapMap");
	if ((caps != NULL) != has_text(ips, "0.0.0.0/0"))
		return no(v, "CapMap of a peer", id_of(n, "ID"));
	if (caps != NULL && (json_object_object_length(caps) != 1 ||
	    !json_object_object_get_ex(caps, "suggest-exit-node", &none)))
		return no(v, "what is in a peer's CapMap", id_of(n, "ID"));
	return NULL;
}

static const char *
check_peer(struct mapview *v, struct json_object *n)
{
	const char *why;

	if ((why = check_node(v, n)) != NULL)
		return why;
	if (id_of(n, "ID") == v->self_id)
		return no(v, "own node among peers", v->self_id);
	if (get(n, "StableTailnetID") != NULL)
		return no(v, "member of the own node", id_of(n, "ID"));
	return check_routes(v, n);
}

static const char *const patchable[] = { "Endpoints", "HomeDERP", "DiscoKey",
    "Key", "KeyExpiry", "Online", "LastSeen", "Cap" };

static bool
is_patchable(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(patchable) / sizeof(patchable[0]); i++)
		if (strcmp(name, patchable[i]) == 0)
			return true;
	return false;
}

/* All that no patch can say is equal. */
static bool
patch_will_do(struct json_object *a, struct json_object *b)
{
	struct json_object *v;

	json_object_object_foreach(a, name_a, va)
		if (!is_patchable(name_a) && !same(va, get(b, name_a)))
			return false;
	json_object_object_foreach(b, name_b, vb)
		if (!is_patchable(name_b) &&
		    (v = get(a, name_b)) == NULL && vb != v)
			return false;
	return true;
}

/* A whole node that is a patch to the client loses what is absent. */
static void
patchify(struct json_object *old, struct json_object *n)
{
	struct json_object *v;
	size_t i;

	for (i = 0; i < sizeof(patchable) / sizeof(patchable[0]); i++) {
		v = get(n, patchable[i]);
		if (strcmp(patchable[i], "KeyExpiry") == 0) {
			set(old, patchable[i], v);
			continue;
		}
		if (v == NULL)
			continue;
		if ((strcmp(patchable[i], "Online") == 0 ||
		    strcmp(patchable[i], "LastSeen") == 0) &&
		    get(old, patchable[i]) == NULL)
			continue;
		set(old, patchable[i], v);
	}
}

static struct json_object *
copy(struct json_object *o)
{
	struct json_object *c = NULL;

	if (json_object_deep_copy(o, &c, NULL) != 0)
		abort();
	return c;
}

static void
put_peer(struct mapview *v, struct json_object *n)
{
	json_object_object_add(v->peers, key_of(id_of(n, "ID")), copy(n));
	index_node(v, n, true);
}

static const char *
take_peers(struct mapview *v, struct json_object *list)
{
	struct json_object *n;
	const char *why;
	size_t i;

	v->count.full++;
	if (json_object_array_length(list) == 0)
		return NULL;
	json_object_put(v->peers);
	json_object_put(v->by_ip);
	json_object_put(v->by_name);
	v->peers = json_object_new_object();
	v->by_ip = json_object_new_object();
	v->by_name = json_object_new_object();
	for (i = 0; i < json_object_array_length(list); i++) {
		n = json_object_array_get_idx(list, i);
		if ((why = check_peer(v, n)) != NULL)
			return why;
		put_peer(v, n);
	}
	return NULL;
}

static const char *
take_changed(struct mapview *v, struct json_object *list)
{
	struct json_object *n, *old;
	const char *why;
	uint64_t id, last = 0;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		n = json_object_array_get_idx(list, i);
		if ((why = check_peer(v, n)) != NULL)
			return why;
		if ((id = id_of(n, "ID")) <= last)
			return no(v, "PeersChanged not sorted", id);
		last = id;
		v->count.changed++;
		old = get(v->peers, key_of(id));
		if (old != NULL && patch_will_do(old, n)) {
			patchify(old, n);
			continue;
		}
		if (old != NULL)
			index_node(v, old, false);
		put_peer(v, n);
	}
	return NULL;
}

static const char *
take_removed(struct mapview *v, struct json_object *list,
    struct json_object *changed)
{
	struct json_object *old;
	uint64_t id;
	size_t i, k;

	for (i = 0; i < json_object_array_length(list); i++) {
		if (!json_object_is_type(json_object_array_get_idx(list, i),
		    json_type_int))
			return no(v, "PeersRemoved is no id", 0);
		id = json_object_get_uint64(json_object_array_get_idx(list,
		    i));
		if (id == v->self_id)
			return no(v, "own node removed", id);
		for (k = 0; changed != NULL &&
		    k < json_object_array_length(changed); k++)
			if (id_of(json_object_array_get_idx(changed, k),
			    "ID") == id)
				return no(v, "removed and changed", id);
		v->count.removed++;
		if ((old = get(v->peers, key_of(id))) == NULL)
			continue;
		index_node(v, old, false);
		json_object_object_del(v->peers, key_of(id));
	}
	return NULL;
}

/* 1.98 to 1.103 refuse a new disco key of a node that is offline. */
static const char *
check_patch(struct mapview *v, struct json_object *p, uint64_t id)
{
	struct json_object *online = get(p, "Online");

	if (id == 0)
		return no(v, "patch without NodeID", 0);
	if (id == v->self_id)
		return no(v, "patch of the own node", id);
	if (get(p, "DiscoKey") != NULL && online != NULL &&
	    !json_object_get_boolean(online))
		return no(v, "disco key with Online false", id);
	if (get(p, "Key") != NULL)
		return no(v, "a new key in a patch", id);
	if (json_object_object_length(p) < 2)
		return no(v, "empty patch", id);
	return NULL;
}

static const char *
take_patches(struct mapview *v, struct json_object *list)
{
	static const char *const from[] = { "Endpoints", "DERPRegion",
	    "DiscoKey", "KeyExpiry", "Online", "LastSeen", "Cap" };
	struct json_object *p, *n, *val;
	const char *why, *to;
	uint64_t id;
	size_t i, k;

	for (i = 0; i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		id = id_of(p, "NodeID");
		if ((why = check_patch(v, p, id)) != NULL)
			return why;
		v->count.patched++;
		if ((n = get(v->peers, key_of(id))) == NULL)
			return no(v, "patch of a node it doesn't know", id);
		for (k = 0; k < sizeof(from) / sizeof(from[0]); k++) {
			if ((val = get(p, from[k])) == NULL)
				continue;
			to = k == 1 ? "HomeDERP" : from[k];
			if (k == 3 && strcmp(json_object_get_string(val),
			    "0001-01-01T00:00:00Z") == 0)
				val = NULL;
			set(n, to, val);
		}
	}
	return NULL;
}

static void
take_profiles(struct mapview *v, struct json_object *list)
{
	struct json_object *p;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		json_object_object_add(v->profiles, key_of(id_of(p, "ID")),
		    copy(p));
	}
}

/* Chunk by chunk; "*" forgets all that there are. */
static void
take_filters(struct mapview *v, struct json_object *f)
{
	struct json_object *all, *none;

	if ((all = get(v->other, "PacketFilters")) == NULL ||
	    (json_object_object_get_ex(f, "*", &none) && none == NULL)) {
		all = json_object_new_object();
		json_object_object_del(v->other, "PacketFilters");
		json_object_object_add(v->other, "PacketFilters", all);
	}
	json_object_object_foreach(f, name, rules) {
		if (strcmp(name, "*") == 0)
			continue;
		json_object_object_del(all, name);
		if (rules != NULL)
			json_object_object_add(all, name, copy(rules));
	}
}

static const char *
take_rest(struct mapview *v, struct json_object *m)
{
	static const char *const keep[] = { "DERPMap", "DNSConfig", "Domain",
	    "CollectServices", "SSHPolicy", "ControlTime", "Debug" };
	struct json_object *o;
	const char *why;
	size_t i;

	if ((o = get(m, "Node")) != NULL) {
		if ((why = check_node(v, o)) != NULL)
			return why;
		if (id_of(o, "ID") != v->self_id)
			return no(v, "Node is another", id_of(o, "ID"));
		json_object_put(v->self);
		v->self = copy(o);
		v->count.self++;
	}
	if ((o = get(m, "UserProfiles")) != NULL)
		take_profiles(v, o);
	v->count.dns += get(m, "DNSConfig") != NULL;
	v->count.derp += get(m, "DERPMap") != NULL;
	if ((o = get(m, "PacketFilters")) != NULL) {
		take_filters(v, o);
		v->count.filters++;
	}
	for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		if ((o = get(m, keep[i])) != NULL)
			set(v->other, keep[i], o);
	return NULL;
}

/* A peer whose owner it doesn't know is missing-profile to it. */
static const char *
check_owners(struct mapview *v)
{
	json_object_object_foreach(v->peers, id, n) {
		(void)id;
		if (get(v->profiles, key_of(id_of(n, "User"))) == NULL)
			return no(v, "peer without profile", id_of(n, "ID"));
	}
	return NULL;
}

static const char *
take_lists(struct mapview *v, struct json_object *m)
{
	static const char *const lists[] = { "PeersRemoved", "PeersChanged",
	    "PeersChangedPatch", "UserProfiles" };
	struct json_object *o, *changed = get(m, "PeersChanged");
	const char *why = NULL;
	size_t i;

	/* An empty one makes clients up to 1.98 rebuild all they have. */
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if ((o = get(m, lists[i])) != NULL &&
		    json_object_array_length(o) == 0)
			return no(v, "empty list", i);
	if ((o = get(m, "Peers")) != NULL) {
		if (changed != NULL || get(m, "PeersRemoved") != NULL ||
		    get(m, "PeersChangedPatch") != NULL)
			return no(v, "Peers with deltas", 0);
		return take_peers(v, o);
	}
	if ((o = get(m, "PeersRemoved")) != NULL)
		why = take_removed(v, o, changed);
	if (why == NULL && changed != NULL)
		why = take_changed(v, changed);
	if (why == NULL && (o = get(m, "PeersChangedPatch")) != NULL)
		why = take_patches(v, o);
	return why;
}

static const char *
take_message(struct mapview *v)
{
	struct json_object *m;
	struct json_tokener *tok;
	const char *why;

	buf_u8(&v->text, 0);
	v->text.n--;
	if (strcmp((const char *)v->text.p, "{\"KeepAlive\": true}") == 0) {
		v->count.keepalives++;
		return NULL;
	}
	if ((tok = json_tokener_new_ex(64)) == NULL)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
	    JSON_TOKENER_VALIDATE_UTF8);
	m = json_tokener_parse_ex(tok, (const char *)v->text.p,
	    (int)v->text.n + 1);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    json_tokener_get_parse_end(tok) != v->text.n) {
		json_tokener_free(tok);
		json_object_put(m);
		return no(v, "not JSON", 0);
	}
	json_tokener_free(tok);
	v->count.messages++;
	why = take_lists(v, m);
	if (why == NULL)
		why = take_rest(v, m);
	if (why == NULL && v->self == NULL)
		why = no(v, "first message without Node", 0);
	if (why == NULL)
		why = check_owners(v);
	if (why == NULL && json_object_object_length(m) == 0)
		why = no(v, "empty message", 0);
	json_object_put(m);
	return why;
}

/* All frames of a message, each without content size and checksum. */
static const char *
inflate(struct mapview *v, const uint8_t *p, size_t n)
{
	static uint8_t out[1 << 17];
	ZSTD_DStream *z;
	ZSTD_inBuffer in = { p, n, 0 };
	ZSTD_outBuffer to;
	size_t rc = 0, at = 0;

	buf_clear(&v->text);
	while (at < n) {
		if (ZSTD_getFrameContentSize(p + at, n - at) !=
		    ZSTD_CONTENTSIZE_UNKNOWN || (p[at + 4] & 4) != 0)
			return no(v, "frame with size or checksum", 0);
		rc = ZSTD_findFrameCompressedSize(p + at, n - at);
		if (ZSTD_isError(rc))
			return no(v, "not a zstd frame", 0);
		at += rc;
	}
	z = ZSTD_createDStream();
	while (in.pos < n) {
		to.dst = out;
		to.size = sizeof(out);
		to.pos = 0;
		rc = ZSTD_decompressStream(z, &to, &in);
		if (ZSTD_isError(rc))
			break;
		buf_put(&v->text, out, to.pos);
	}
	while (rc != 0 && !ZSTD_isError(rc)) {
		to.dst = out;
		to.size = sizeof(out);
		to.pos = 0;
		rc = ZSTD_decompressStream(z, &to, &in);
		buf_put(&v->text, out, to.pos);
		if (to.pos == 0)
			break;
	}
	ZSTD_freeDStream(z);
	return rc != 0 ? no(v, "zstd data is damaged", 0) : NULL;
}

const char *
mapview_input(struct mapview *v, const void *p, size_t n)
{
	const char *why = NULL;
	const uint8_t *b;
	size_t len;

	buf_put(&v->in, p, n);
	while (why == NULL && v->in.n >= 4) {
		b = v->in.p;
		len = (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 |
		    (size_t)b[3] << 24;
		if (len == 0)
			return no(v, "message of no octets", 0);
		if (v->in.n < 4 + len)
			break;
		if (v->compress)
			why = inflate(v, b + 4, len);
		else {
			buf_clear(&v->text);
			buf_put(&v->text, b + 4, len);
		}
		if (why == NULL)
			why = take_message(v);
		buf_drain(&v->in, 4 + len);
	}
	return why;
}

bool
mapview_whole(const struct mapview *v)
{
	return v->in.n == 0;
}

const struct mapview_count *
mapview_count(const struct mapview *v)
{
	return &v->count;
}

const char *
mapview_text(const struct mapview *v)
{
	return v->text.p == NULL ? "" : (const char *)v->text.p;
}

struct json_object *
mapview_self(const struct mapview *v)
{
	return v->self;
}

struct json_object *
mapview_peer(const struct mapview *v, uint64_t id)
{
	return get(v->peers, key_of(id));
}

struct json_object *
mapview_profile(const struct mapview *v, uint64_t id)
{
	return get(v->profiles, key_of(id));
}

struct json_object *
mapview_get(const struct mapview *v, const char *name)
{
	return get(v->other, name);
}

bool
mapview_lists(struct json_object *o, const char *name, const char *text)
{
	struct json_object *l = json_object_object_get(o, name);
	size_t i;

	for (i = 0; l != NULL && i < json_object_array_length(l); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(
		    l, i)), text) == 0)
			return true;
	return false;
}

size_t
mapview_peers(const struct mapview *v)
{
	return (size_t)json_object_object_length(v->peers);
}

static const char *
differ(const char *what, struct json_object *a, struct json_object *b)
{
	static char t[4000];

	(void)snprintf(t, sizeof(t), "%s: has %s, truth %s", what,
	    a == NULL ? "none" : json_object_to_json_string(a),
	    b == NULL ? "none" : json_object_to_json_string(b));
	return t;
}

static bool
same_peer(struct json_object *a, struct json_object *b)
{
	struct json_object *ca = copy(a), *cb = copy(b);
	bool eq;

	/* Coming online says nothing of LastSeen. */
	if (json_object_get_boolean(get(cb, "Online"))) {
		json_object_object_del(ca, "LastSeen");
		json_object_object_del(cb, "LastSeen");
	}
	eq = same(ca, cb);
	json_object_put(ca);
	json_object_put(cb);
	return eq;
}

static const char *
differ_index(const struct mapview *v, struct json_object *n)
{
	struct json_object *addrs = get(n, "Addresses"), *ip;
	size_t i;

	if (!same(get(v->by_name, json_object_get_string(get(n, "Name"))),
	    get(n, "ID")))
		return differ("name is lost to 1.101", n, NULL);
	for (i = 0; i < json_object_array_length(addrs); i++) {
		ip = json_object_array_get_idx(addrs, i);
		if (!same(get(v->by_ip, json_object_get_string(ip)),
		    get(n, "ID")))
			return differ("address is lost to 1.101", n, NULL);
	}
	return NULL;
}

/* The own Node but for what the client itself says of it. */
static bool
same_self(struct json_object *a, struct json_object *b)
{
	static const char *const own[] = { "Endpoints", "HomeDERP",
	    "DiscoKey", "Cap", "Hostinfo" };
	struct json_object *ca, *cb;
	size_t i;
	bool eq;

	if (!same(get(get(a, "Hostinfo"), "RoutableIPs"),
	    get(get(b, "Hostinfo"), "RoutableIPs")))
		return false;
	ca = copy(a);
	cb = copy(b);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		json_object_object_del(ca, own[i]);
		json_object_object_del(cb, own[i]);
	}
	eq = same(ca, cb);
	json_object_put(ca);
	json_object_put(cb);
	return eq;
}

const char *
mapview_differ(const struct mapview *v, const struct mapview *t)
{
	static const char *const rest[] = { "DNSConfig", "DERPMap", "Domain",
	    "PacketFilters", "SSHPolicy" };
	struct json_object *mine;
	const char *why, *user;
	size_t i;

	if (!same_self(v->self, t->self))
		return differ("self", v->self, t->self);
	json_object_object_foreach(t->peers, id, n) {
		mine = get(v->peers, id);
		if (mine == NULL || !same_peer(mine, n))
			return differ("peer", mine, n);
		if ((why = differ_index(v, mine)) != NULL)
			return why;
		user = key_of(id_of(n, "User"));
		if (!same(get(v->profiles, user), get(t->profiles, user)))
			return differ("profile", get(v->profiles, user),
			    get(t->profiles, user));
	}
	json_object_object_foreach(v->peers, own, m)
		if (get(t->peers, own) == NULL)
			return differ("peer too many", m, NULL);
	user = key_of(id_of(t->self, "User"));
	if (!same(get(v->profiles, user), get(t->profiles, user)))
		return differ("own profile", get(v->profiles, user),
		    get(t->profiles, user));
	for (i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		if (!same(get(v->other, rest[i]), get(t->other, rest[i])))
			return differ(rest[i], get(v->other, rest[i]),
			    get(t->other, rest[i]));
	return NULL;
}
