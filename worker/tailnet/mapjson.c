#include <string.h>

#include "common/enc.h"
#include "common/json.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/user_int.h"

#define CAPVER_TAILNET_ID	148

/* n octets of text that need no escaping, with room for quotes around. */
static void
put_quoted(struct json *j, char *t, size_t n)
{
	t[0] = '"';
	t[n + 1] = '"';
	json_raw(j, slice_mem(t, n + 2));
}

static void
put_key(struct json *j, const char *name, enum key_kind kind,
    const uint8_t key[KEY_LEN])
{
	char t[KEY_TEXT + 2];

	json_key(j, name);
	put_quoted(j, t, key_print(t + 1, kind, key));
}

static void
put_time(struct json *j, const char *name, int64_t at)
{
	char t[34];

	json_key(j, name);
	put_quoted(j, t, time_rfc3339(t + 1, at));
}

static void
put_prefix(struct json *j, const struct prefix *p)
{
	char t[PREFIX_TEXT + 2];

	put_quoted(j, t, prefix_print(t + 1, p));
}

static void
put_text(struct json *j, const char *name, struct slice s)
{
	if (s.n == 0)
		return;
	json_key(j, name);
	json_str(j, s);
}

static void
put_true(struct json *j, const char *name, bool v)
{
	if (!v)
		return;
	json_key(j, name);
	json_bool(j, true);
}

/* An optional boolean: 0 unknown, 1 false, 2 true. */
static void
put_opt(struct json *j, const char *name, uint8_t v)
{
	if (v == 0)
		return;
	json_key(j, name);
	json_bool(j, v == 2);
}

static void
put_services(struct json *j, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_service s;

	if (list->count == 0)
		return;
	json_key(j, "Services");
	json_arr(j);
	while (msg_list_next(&it, MR_SERVICE, &s)) {
		json_obj(j);
		json_key(j, "Proto");
		json_str(j, s.proto);
		json_key(j, "Port");
		json_u64(j, s.port);
		json_end(j);
	}
	json_end(j);
}

static void
put_texts(struct json *j, const char *name, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_text t;

	if (list->count == 0)
		return;
	json_key(j, name);
	json_arr(j);
	while (msg_list_next(&it, MR_TEXT, &t))
		json_str(j, t.v);
	json_end(j);
}

/*
 * Left out: what only the server needs (RequestTags, RoutableIPs, which the
 * node itself is given, ServicesHash) and where somebody goes out
 * (ExitNodeID).
 */
void
mapjson_host(struct buf *b, const struct r_hostinfo *h)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	put_text(&j, "IPNVersion", h->ipn_version);
	put_text(&j, "OS", h->os);
	put_text(&j, "OSVersion", h->os_version);
	put_opt(&j, "Container", h->container);
	put_text(&j, "Distro", h->distro);
	put_text(&j, "DistroVersion", h->distro_version);
	put_text(&j, "DistroCodeName", h->distro_codename);
	put_text(&j, "App", h->app);
	put_opt(&j, "Desktop", h->desktop);
	put_text(&j, "Package", h->package);
	put_text(&j, "DeviceModel", h->device_model);
	put_text(&j, "Hostname", h->hostname);
	put_true(&j, "ShieldsUp", h->shields_up);
	put_true(&j, "AllowsUpdate", h->allows_update);
	put_true(&j, "WireIngress", h->wire_ingress);
	put_true(&j, "IngressEnabled", h->ingress_enabled);
	put_text(&j, "Machine", h->machine);
	put_text(&j, "GoArch", h->go_arch);
	put_text(&j, "GoArchVar", h->go_arch_var);
	put_text(&j, "GoVersion", h->go_version);
	put_services(&j, &h->services);
	put_texts(&j, "sshHostKeys", &h->ssh_host_keys);
	put_text(&j, "Cloud", h->cloud);
	put_opt(&j, "Userspace", h->userspace);
	put_opt(&j, "UserspaceRouter", h->userspace_router);
	put_opt(&j, "AppConnector", h->app_connector);
	put_true(&j, "PeerRelay", h->peer_relay);
	put_opt(&j, "StateEncrypted", h->state_encrypted);
	json_end(&j);
}

void
mapjson_rest(struct buf *b, const struct r_node *r)
{
	struct json j;

	json_init(&j, b);
	put_time(&j, "Created", r->created);
	put_texts(&j, "Tags", &r->tags);
	json_key(&j, "MachineAuthorized");
	json_bool(&j, true);
}

void
mapjson_profile(struct buf *b, uint64_t id, struct slice login,
    struct slice display, struct slice picture)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	json_key(&j, "ID");
	json_u64(&j, id);
	json_key(&j, "LoginName");
	json_str(&j, login);
	json_key(&j, "DisplayName");
	json_str(&j, display.n != 0 ? display : login);
	put_text(&j, "ProfilePicURL", picture);
	json_end(&j);
}

static void
put_addresses(struct json *j, const struct node *n, bool no_ip4)
{
	struct prefix p;

	if (n->ip4.family != 0 && !no_ip4 && !n->no_ip4) {
		p.addr = n->ip4;
		p.bits = 32;
		put_prefix(j, &p);
	}
	if (n->ip6.family != 0) {
		p.addr = n->ip6;
		p.bits = 128;
		put_prefix(j, &p);
	}
}

static bool
has_bit(const uint64_t *words, unsigned int i)
{
	return words != NULL && (words[i / 64] >> i % 64 & 1) != 0;
}

/*
 * A peer's routes stand with it as far as the viewer is shown them, and what
 * is shown of subnet routes it carries (policy.md 10.3).  The node itself is
 * told of all that are approved and carries those that it was elected for
 * (10.4).
 */
static void
put_routes(struct json *j, const struct node *n, const struct look *look)
{
	bool no_ip4 = look != NULL && look->no_ip4;
	unsigned int i, primary = 0;
	bool carries;

	json_key(j, "Addresses");
	json_arr(j);
	put_addresses(j, n, no_ip4);
	json_end(j);
	json_key(j, "AllowedIPs");
	json_arr(j);
	put_addresses(j, n, no_ip4);
	for (i = 0; i < n->nroutes; i++)
		if (look == NULL || has_bit(look->shown, i))
			put_prefix(j, &n->routes[i].p);
	json_end(j);
	for (i = 0; i < n->nroutes; i++) {
		carries = look == NULL ? n->routes[i].primary :
		    !n->routes[i].exit && has_bit(look->shown, i);
		if (!carries)
			continue;
		if (primary++ == 0) {
			json_key(j, "PrimaryRoutes");
			json_arr(j);
		}
		put_prefix(j, &n->routes[i].p);
	}
	if (primary != 0)
		json_end(j);
}

static void
put_endpoints(struct json *j, const struct node *n)
{
	char t[IPPORT_TEXT + 2];
	unsigned int i;

	json_key(j, "Endpoints");
	json_arr(j);
	for (i = 0; i < n->nendpoints; i++)
		put_quoted(j, t, ipport_print(t + 1, &n->endpoints[i]));
	json_end(j);
}

/* "name.domain." */
static void
put_name(struct json *j, const struct node *n, struct slice domain)
{
	struct slice name = node_name(n);
	struct buf *b = j->b;

	json_key(j, "Name");
	buf_u8(b, '"');
	buf_slice(b, name);
	buf_u8(b, '.');
	if (domain.n != 0) {
		buf_slice(b, domain);
		buf_u8(b, '.');
	}
	buf_u8(b, '"');
	json_comma(j, true);
}

/* What peers and the node itself, which has no look, are told alike. */
static void
put_node(struct json *j, const struct node *n, struct slice domain,
    const uint8_t key[KEY_LEN], const struct look *look)
{
	json_key(j, "ID");
	json_u64(j, n->id);
	json_key(j, "StableID");
	json_str(j, node_stable_id(n));
	put_name(j, n, domain);
	json_key(j, "User");
	json_u64(j, n->user->id);
	put_key(j, "Key", KEY_NODE, key);
	if (n->expiry != 0)
		put_time(j, "KeyExpiry", n->expiry);
	put_key(j, "Machine", KEY_MACHINE, n->machine);
	put_key(j, "DiscoKey", KEY_DISCO, n->disco);
	put_routes(j, n, look);
	put_endpoints(j, n);
	if (n->derp != 0) {
		json_key(j, "HomeDERP");
		json_u64(j, n->derp);
	}
	if (n->capver != 0) {
		json_key(j, "Cap");
		json_u64(j, n->capver);
	}
	put_true(j, "Expired", n->expired);
	buf_u8(j->b, ',');
	buf_slice(j->b, node_rest(n));
}

static void
put_presence(struct json *j, const struct node *n)
{
	json_key(j, "Online");
	json_bool(j, n->online);
	if (!n->online && n->last_seen != 0)
		put_time(j, "LastSeen", n->last_seen);
}

/* The viewer can use it as an exit node (policy.md 12.4). */
static bool
is_exit(const struct node *n, const struct look *look)
{
	unsigned int i;

	for (i = 0; i < n->nroutes; i++)
		if (n->routes[i].exit && n->routes[i].p.addr.family == 4 &&
		    has_bit(look->shown, i))
			return true;
	return false;
}

void
mapjson_peer(struct buf *b, const struct node *n, struct slice domain,
    const struct look *look)
{
	static const struct look plain;
	struct json j;

	if (look == NULL)
		look = &plain;
	json_init(&j, b);
	json_obj(&j);
	put_node(&j, n, domain, n->key, look);
	/* Never absent: protocol.md 5.8. */
	put_presence(&j, n);
	json_key(&j, "Hostinfo");
	json_raw(&j, node_host(n));
	if (is_exit(n, look)) {
		json_key(&j, "CapMap");
		json_raw(&j, slice_str("{\"suggest-exit-node\":null}"));
	}
	json_end(&j);
}

/* Hostinfo with the routes that the node advertises. */
static void
put_self_host(struct json *j, const struct node *n)
{
	struct slice host = node_host(n);
	unsigned int i;

	json_key(j, "Hostinfo");
	if (n->nadvertised == 0) {
		json_raw(j, host);
		return;
	}
	host.n--;
	buf_slice(j->b, host);
	if (host.n > 1)
		buf_u8(j->b, ',');
	buf_str(j->b, "\"RoutableIPs\":[");
	json_comma(j, false);
	for (i = 0; i < n->nadvertised; i++)
		put_prefix(j, &n->advertised[i]);
	buf_str(j->b, "]}");
	json_comma(j, true);
}

/* The policy gives the key too: each of its keys stands after a comma. */
static bool
given(struct slice caps, const char *key)
{
	size_t i, k = strlen(key);

	for (i = 0; i + k + 3 <= caps.n; i++)
		if (caps.p[i] == ',' && caps.p[i + 1] == '"' &&
		    memcmp(caps.p + i + 2, key, k) == 0 &&
		    caps.p[i + k + 2] == '"')
			return true;
	return false;
}

static void
put_cap(struct buf *b, const struct self_conf *sc, const char *key)
{
	if (!given(sc->caps, key))
		buf_printf(b, ",\"%s\":null", key);
}

/* The CapMap of the node itself (protocol.md 8.5, policy.md 12.3). */
static void
put_caps(struct json *j, const struct node *n, const struct self_conf *sc)
{
	bool tagged = n->user->id == USER_TAGGED;

	json_key(j, "CapMap");
	buf_put(j->b, sc->base.p, sc->base.n - 1);
	if (!tagged && n->user->role >= USER_ADMIN)
		put_cap(j->b, sc, "https://tailscale.com/cap/is-admin");
	if (tagged || n->user->role == USER_OWNER)
		put_cap(j->b, sc, "https://tailscale.com/cap/is-owner");
	buf_slice(j->b, sc->caps);
	buf_u8(j->b, '}');
	json_comma(j, true);
}

void
mapjson_self(struct buf *b, const struct node *n, struct slice domain,
    const struct self_conf *sc)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	put_node(&j, n, domain, sc->key, NULL);
	/* It asks, so it is. */
	json_key(&j, "Online");
	json_bool(&j, true);
	put_self_host(&j, n);
	put_caps(&j, n, sc);
	if (sc->capver >= CAPVER_TAILNET_ID)
		put_text(&j, "StableTailnetID", sc->tailnet);
	json_end(&j);
}

/* The patch's members but for presence. */
static void
put_change(struct json *j, const struct node *n, unsigned int fields)
{
	if (fields & NF_BIT(NF_ENDPOINTS))
		put_endpoints(j, n);
	if ((fields & NF_BIT(NF_DERP)) && n->derp != 0) {
		json_key(j, "DERPRegion");
		json_u64(j, n->derp);
	}
	if (fields & NF_BIT(NF_DISCO))
		put_key(j, "DiscoKey", KEY_DISCO, n->disco);
	if (fields & NF_BIT(NF_EXPIRY))
		put_time(j, "KeyExpiry", n->expiry);
	if ((fields & NF_BIT(NF_CAP)) && n->capver != 0) {
		json_key(j, "Cap");
		json_u64(j, n->capver);
	}
}

void
mapjson_patch(struct buf *b, const struct node *n, unsigned int fields)
{
	const unsigned int presence = NF_BIT(NF_ONLINE) | NF_BIT(NF_SEEN);
	struct json j;

	json_init(&j, b);
	if ((fields & NF_BIT(NF_DISCO)) && (fields & presence) && !n->online) {
		json_obj(&j);
		json_key(&j, "NodeID");
		json_u64(&j, n->id);
		put_change(&j, n, fields);
		json_end(&j);
		fields &= presence;
	}
	json_obj(&j);
	json_key(&j, "NodeID");
	json_u64(&j, n->id);
	put_change(&j, n, fields);
	if (fields & presence)
		put_presence(&j, n);
	json_end(&j);
}

void
mapjson_caps(struct buf *b, bool taildrop, bool randomize_port)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	json_key(&j, "https://tailscale.com/cap/ssh");
	json_null(&j);
	if (taildrop) {
		json_key(&j, "https://tailscale.com/cap/file-sharing");
		json_null(&j);
	}
	if (randomize_port) {
		json_key(&j, "randomize-client-port");
		json_null(&j);
	}
	json_end(&j);
}
