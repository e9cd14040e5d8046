/* JSON of clients into typed messages. */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/secret.h"
#include "worker/control/parse.h"

#define BODY_MAX	(4 << 20)	/* net has the configured bound */
#define AUTH_MAX	255
#define ENDPOINTS_MAX	32
#define SERVICES_MAX	64
#define TEXTS_MAX	64
#define HOSTKEYS_MAX	16
#define ROUTES_MAX	1024
/* What is walked of a list at most, whatever of it is taken. */
#define WALK_MAX	4096

static struct buf *
own_list(struct parsed *p)
{
	return &p->lists[p->nlists++];
}

static void
own_free(struct parsed *p, bool secret)
{
	unsigned int i;

	for (i = 0; i < p->nlists; i++)
		buf_free(&p->lists[i]);
	jdoc_free(p->doc, secret);
	p->doc = NULL;
	p->nlists = 0;
}

/* A string cut to max octets, at a character's boundary. */
static struct slice
text(const struct jval *o, const char *name, size_t max)
{
	struct slice s = { NULL, 0 };
	const char *nul;

	if (!jval_str(jval_get(o, name), &s))
		return s;
	if (s.n != 0 && (nul = memchr(s.p, '\0', s.n)) != NULL)
		s.n = (size_t)(nul - s.p);
	if (s.n > max) {
		s.n = max;
		while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
			s.n--;
	}
	return s;
}

static bool
flag(const struct jval *o, const char *name)
{
	bool b = false;

	(void)jval_bool(jval_get(o, name), &b);
	return b;
}

/*
 * What decides what a request means must be of its type, or absent: a stream
 * that is taken for something else helps nobody.
 */
static bool
flag_strict(bool *dst, const struct jval *o, const char *name)
{
	const struct jval *v = jval_get(o, name);

	*dst = false;
	return v == NULL || jval_bool(v, dst);
}

static bool
is_str(const struct jval *o, const char *name)
{
	const struct jval *v = jval_get(o, name);
	struct slice s;

	return v == NULL || jval_str(v, &s);
}

static bool
is_obj(const struct jval *o, const char *name)
{
	const struct jval *v = jval_get(o, name);

	return v == NULL || jval_is_obj(v);
}

static bool
is_list(const struct jval *o, const char *name)
{
	const struct jval *v = jval_get(o, name);

	return v == NULL || jval_is_arr(v);
}

/* opt.Bool: 0 unknown, 1 false, 2 true. */
static uint8_t
optional(const struct jval *o, const char *name)
{
	bool b;

	if (!jval_bool(jval_get(o, name), &b))
		return 0;
	return b ? 2 : 1;
}

static size_t
walk(const struct jval *a)
{
	size_t n = jval_count(a);

	if (!jval_is_arr(a))
		return 0;
	return n > WALK_MAX ? WALK_MAX : n;
}

static struct msg_list
texts(struct parsed *p, const struct jval *a, uint32_t max)
{
	struct buf *b = own_list(p);
	struct msg_list list = { 0 };
	struct r_text t;
	size_t i, n = a == NULL ? 0 : walk(a);

	for (i = 0; i < n && list.count < max; i++) {
		if (!jval_str(jval_at(a, i), &t.v) || t.v.n > 255 ||
		    !utf8_ok(t.v.p, t.v.n))
			continue;
		msg_list_add(&list, b, MR_TEXT, &t);
	}
	msg_list_close(&list, b);
	return list;
}

static struct msg_list
services(struct parsed *p, const struct jval *a)
{
	struct buf *b = own_list(p);
	struct msg_list list = { 0 };
	struct r_service s;
	uint64_t port;
	size_t i, n = a == NULL ? 0 : walk(a);

	for (i = 0; i < n && list.count < SERVICES_MAX; i++) {
		s.proto = text(jval_at(a, i), "Proto", 32);
		if (s.proto.n == 0 ||
		    !jval_u64(jval_get(jval_at(a, i), "Port"), &port) ||
		    port > 65535)
			continue;
		s.port = (uint16_t)port;
		msg_list_add(&list, b, MR_SERVICE, &s);
	}
	msg_list_close(&list, b);
	return list;
}

static struct msg_list
routes(struct parsed *p, const struct jval *a)
{
	struct buf *b = own_list(p);
	struct msg_list list = { 0 };
	struct r_route r;
	struct slice s;
	size_t i, n = a == NULL ? 0 : walk(a);

	for (i = 0; i < n && list.count < ROUTES_MAX; i++) {
		if (!jval_str(jval_at(a, i), &s) ||
		    !prefix_parse_loose(&r.v, s))
			continue;
		msg_list_add(&list, b, MR_ROUTE, &r);
	}
	msg_list_close(&list, b);
	return list;
}

/*
 * Without its zone nobody can reach a link-local IPv6 address (of IPv4 a
 * client says one only when it has no other); an endpoint that does not parse
 * is the client's loss, not the request's.
 */
static struct msg_list
endpoints(struct parsed *p, const struct jval *a, bool *cut)
{
	struct buf *b = own_list(p);
	struct msg_list list = { 0 };
	struct r_addr e;
	struct slice s;
	size_t i, n = a == NULL ? 0 : walk(a);

	for (i = 0; i < n && list.count < ENDPOINTS_MAX; i++) {
		if (!jval_str(jval_at(a, i), &s) || !ipport_parse(&e.v, s) ||
		    (e.v.addr.family == 6 && ip_is_linklocal(&e.v.addr)))
			continue;
		msg_list_add(&list, b, MR_ADDR, &e);
	}
	*cut = a != NULL && i < jval_count(a);
	msg_list_close(&list, b);
	return list;
}

static void
hostinfo(struct parsed *p, struct r_hostinfo *h, const struct jval *o)
{
	h->ipn_version = text(o, "IPNVersion", 64);
	h->os = text(o, "OS", 32);
	h->os_version = text(o, "OSVersion", 128);
	h->distro = text(o, "Distro", 32);
	h->distro_version = text(o, "DistroVersion", 32);
	h->distro_codename = text(o, "DistroCodeName", 32);
	h->device_model = text(o, "DeviceModel", 128);
	h->hostname = text(o, "Hostname", 255);
	h->app = text(o, "App", 64);
	h->package = text(o, "Package", 64);
	h->machine = text(o, "Machine", 32);
	h->go_arch = text(o, "GoArch", 32);
	h->go_arch_var = text(o, "GoArchVar", 32);
	h->go_version = text(o, "GoVersion", 32);
	h->cloud = text(o, "Cloud", 32);
	h->exit_node_id = text(o, "ExitNodeID", 64);
	h->services_hash = text(o, "ServicesHash", 128);
	h->container = optional(o, "Container");
	h->desktop = optional(o, "Desktop");
	h->userspace = optional(o, "Userspace");
	h->userspace_router = optional(o, "UserspaceRouter");
	h->app_connector = optional(o, "AppConnector");
	h->state_encrypted = optional(o, "StateEncrypted");
	h->shields_up = flag(o, "ShieldsUp");
	h->allows_update = flag(o, "AllowsUpdate");
	h->peer_relay = flag(o, "PeerRelay");
	h->wire_ingress = flag(o, "WireIngress");
	h->ingress_enabled = flag(o, "IngressEnabled");
	h->services = services(p, jval_get(o, "Services"));
	h->ssh_host_keys = texts(p, jval_get(o, "sshHostKeys"), HOSTKEYS_MAX);
	h->routes = routes(p, jval_get(o, "RoutableIPs"));
	h->request_tags = texts(p, jval_get(o, "RequestTags"), TEXTS_MAX);
}

/* Where an absent Hostinfo leaves empty but valid lists. */
static uint16_t
home_derp(const struct jval *hi)
{
	uint64_t n;

	if (!jval_u64(jval_get(jval_get(hi, "NetInfo"), "PreferredDERP"), &n) ||
	    n > 65535)
		return 0;
	return (uint16_t)n;
}

/* A key that may be absent or null: zero then.  false if malformed. */
static bool
key(uint8_t dst[KEY_LEN], const struct jval *o, const char *name,
    enum key_kind kind)
{
	const struct jval *v = jval_get(o, name);
	struct slice s;

	memset(dst, 0, KEY_LEN);
	if (v == NULL)
		return true;
	return jval_str(v, &s) && key_parse(dst, kind, s);
}

static bool
version(uint16_t *dst, const struct jval *o)
{
	uint64_t n;

	if (!jval_u64(jval_get(o, "Version"), &n) || n > 65535)
		return false;
	*dst = (uint16_t)n;
	return true;
}

/*
 * The Unix time of Expiry; the zero time of Go is none, and that of Unix as
 * past as the second after it.
 */
static bool
expiry(struct m_db_reg *r, const struct jval *root)
{
	struct slice s;
	const struct jval *v = jval_get(root, "Expiry");

	r->has_expiry = false;
	r->expiry = 0;
	if (v == NULL)
		return true;
	if (!jval_str(v, &s) || !time_parse(&r->expiry, s))
		return false;
	if (slice_prefix(s, "0001-01-01T")) {
		r->expiry = 0;
		return true;
	}
	r->has_expiry = true;
	if (r->expiry == 0)
		r->expiry = 1;
	return true;
}

/*
 * A key longer than any that we make is cut: dbd does not know it then, and
 * refuses it in words that the user sees (trap 47).
 */
static bool
auth(struct m_db_reg *r, const struct jval *root)
{
	const struct jval *v = jval_get(root, "Auth");

	r->has_auth = false;
	if (!is_obj(root, "Auth") || !is_str(v, "AuthKey"))
		return false;
	r->auth_key = text(v, "AuthKey", AUTH_MAX);
	r->has_auth = r->auth_key.n != 0;
	return true;
}

static bool
root_of(struct parsed *p, struct slice body, const struct jval **root,
    const char **why)
{
	size_t at;

	p->doc = json_read(body.p, body.n, BODY_MAX, why, &at);
	if (p->doc == NULL)
		return false;
	*root = jdoc_root(p->doc);
	if (!jval_is_obj(*root)) {
		*why = "the request is no JSON object";
		return false;
	}
	return true;
}

int
regreq_parse(struct regreq *q, struct slice body, const char **why)
{
	const struct jval *root, *hi;
	struct m_db_reg *r = &q->reg;

	memset(q, 0, sizeof(*q));
	if (!root_of(&q->own, body, &root, why))
		return -1;
	*why = "Version is missing or no number";
	if (!version(&q->version, root))
		return -1;
	*why = "a key is malformed";
	if (!key(r->node_key, root, "NodeKey", KEY_NODE) ||
	    !key(r->old_node_key, root, "OldNodeKey", KEY_NODE) ||
	    !key(r->nl_key, root, "NLKey", KEY_NL))
		return -1;
	*why = "NodeKey is missing";
	if (key_is_zero(r->node_key))
		return -1;
	*why = "Expiry is no time";
	if (!expiry(r, root))
		return -1;
	*why = "Auth is malformed";
	if (!auth(r, root))
		return -1;
	*why = "Followup, Ephemeral or Hostinfo is of a wrong type";
	if (!is_str(root, "Followup") || !is_obj(root, "Hostinfo") ||
	    !flag_strict(&r->ephemeral, root, "Ephemeral"))
		return -1;
	r->followup = text(root, "Followup", 1024);
	hi = jval_get(root, "Hostinfo");
	hostinfo(&q->own, &r->hostinfo, hi);
	r->home_derp = home_derp(hi);
	return 0;
}

void
regreq_free(struct regreq *q)
{
	own_free(&q->own, true);
	wipe(q, sizeof(*q));
}

int
mapreq_parse(struct mapreq *q, struct slice body, const char **why)
{
	const struct jval *root, *hi;
	struct slice s;

	memset(q, 0, sizeof(*q));
	if (!root_of(&q->own, body, &root, why))
		return -1;
	*why = "Version is missing or no number";
	if (!version(&q->version, root))
		return -1;
	*why = "a key is malformed";
	if (!key(q->node_key, root, "NodeKey", KEY_NODE) ||
	    !key(q->disco_key, root, "DiscoKey", KEY_DISCO))
		return -1;
	*why = "NodeKey is missing";
	if (key_is_zero(q->node_key))
		return -1;
	*why = "Stream, OmitPeers or ReadOnly is no boolean";
	if (!flag_strict(&q->stream, root, "Stream") ||
	    !flag_strict(&q->omit_peers, root, "OmitPeers") ||
	    !flag_strict(&q->read_only, root, "ReadOnly"))
		return -1;
	/* no client reads anything else, whatever it asks for (trap 17) */
	*why = "Compress must be zstd";
	if (!jval_str(jval_get(root, "Compress"), &s) ||
	    !slice_eqs(s, "zstd"))
		return -1;
	*why = "Endpoints or Hostinfo is of a wrong type";
	if (!is_list(root, "Endpoints") || !is_obj(root, "Hostinfo"))
		return -1;
	q->endpoints = endpoints(&q->own, jval_get(root, "Endpoints"),
	    &q->endpoints_cut);
	hi = jval_get(root, "Hostinfo");
	q->has_hostinfo = hi != NULL;
	hostinfo(&q->own, &q->hostinfo, hi);
	q->home_derp = home_derp(hi);
	return 0;
}

void
mapreq_free(struct mapreq *q)
{
	own_free(&q->own, false);
	memset(q, 0, sizeof(*q));
}
