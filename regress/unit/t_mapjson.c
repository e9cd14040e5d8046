/* Nodes, patches and first maps as JSON (protocol.md 5.5 to 5.9). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/tnworld.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/user_int.h"

#define KEY(c)	c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c

static struct user alice = { .id = 42 };

static struct node *
make(const struct r_node *r)
{
	struct node *n = node_new(r->id);

	assert_null(node_bad(r));
	(void)node_update(n, r, &alice, 1790000000);
	return n;
}

static void
record(struct r_node *r)
{
	memset(r, 0, sizeof(*r));
	r->id = 7;
	r->stable_id = slice_str("nSTABLE");
	r->user = 42;
	r->name = slice_str("box");
	memset(r->node_key, 0xab, 32);
	memset(r->machine_key, 0xcd, 32);
	memset(r->disco_key, 0xef, 32);
	(void)ip_parse(&r->ip4, slice_str("100.64.0.7"));
	(void)ip_parse(&r->ip6, slice_str("fd7a:115c:a1e0::7"));
	r->created = 1770000000;
	r->online = true;
	r->published = true;
}

static void
expect(struct buf *b, const char *want)
{
	buf_u8(b, 0);
	assert_string_equal((const char *)b->p, want);
	buf_clear(b);
}

static void
t_least(void **state)
{
	struct buf b = { 0 };
	struct r_node r;
	struct node *n;

	(void)state;
	record(&r);
	n = make(&r);
	mapjson_peer(&b, n, slice_str("ts.example"), NULL);
	expect(&b, "{\"ID\":7,\"StableID\":\"nSTABLE\","
	    "\"Name\":\"box.ts.example.\",\"User\":42,"
	    "\"Key\":\"nodekey:" KEY("ab") "\","
	    "\"Machine\":\"mkey:" KEY("cd") "\","
	    "\"DiscoKey\":\"discokey:" KEY("ef") "\","
	    "\"Addresses\":[\"100.64.0.7/32\",\"fd7a:115c:a1e0::7/128\"],"
	    "\"AllowedIPs\":[\"100.64.0.7/32\",\"fd7a:115c:a1e0::7/128\"],"
	    "\"Endpoints\":[],\"Created\":\"2026-02-02T02:40:00Z\","
	    "\"MachineAuthorized\":true,\"Online\":true,\"Hostinfo\":{}}");
	replica_node_free(n);
	buf_free(&b);
}

static void
add(struct msg_list *l, struct buf *b, enum msg_rec rec, const void *r)
{
	msg_list_add(l, b, rec, r);
	msg_list_close(l, b);
}

/* Every member there is. */
static void
full(struct r_node *r, struct buf b[FEED_LISTS])
{
	struct r_text t = { slice_str("tag:web") };
	struct r_text k = { slice_str("ssh-ed25519 AAAA \"x\"") };
	struct r_service s = { slice_str("peerapi4"), 40000 };
	struct r_addr a;
	struct r_route p;
	struct r_hostinfo *h = &r->hostinfo;

	memset(b, 0, FEED_LISTS * sizeof(b[0]));
	record(r);
	r->expiry = 1890000000;
	r->online = false;
	r->last_seen = 1780000000;
	r->capver = 145;
	r->home_derp = 900;
	add(&r->tags, &b[0], MR_TEXT, &t);
	assert_true(ipport_parse(&a.v, slice_str("[2001:db8::1]:41641")));
	add(&r->endpoints, &b[1], MR_ADDR, &a);
	assert_true(ipport_parse(&a.v, slice_str("192.0.2.1:1")));
	add(&r->endpoints, &b[1], MR_ADDR, &a);
	assert_true(prefix_parse(&p.v, slice_str("0.0.0.0/0")));
	add(&r->approved, &b[2], MR_ROUTE, &p);
	add(&h->routes, &b[3], MR_ROUTE, &p);
	assert_true(prefix_parse(&p.v, slice_str("10.0.0.0/8")));
	add(&r->approved, &b[2], MR_ROUTE, &p);
	add(&h->routes, &b[3], MR_ROUTE, &p);
	add(&h->services, &b[4], MR_SERVICE, &s);
	add(&h->ssh_host_keys, &b[5], MR_TEXT, &k);
	h->ipn_version = slice_str("1.104.5");
	h->os = slice_str("linux");
	h->os_version = slice_str("6.1");
	h->distro = slice_str("debian");
	h->distro_version = slice_str("12");
	h->distro_codename = slice_str("bookworm");
	h->device_model = slice_str("toaster");
	h->hostname = slice_str("B\xc3\xb6x");
	h->app = slice_str("tsnet");
	h->package = slice_str("deb");
	h->machine = slice_str("x86_64");
	h->go_arch = slice_str("amd64");
	h->go_arch_var = slice_str("v1");
	h->go_version = slice_str("go1.27");
	h->cloud = slice_str("aws");
	h->exit_node_id = slice_str("nSECRET");
	h->services_hash = slice_str("hash");
	h->container = 1;
	h->desktop = 2;
	h->userspace = 1;
	h->userspace_router = 2;
	h->app_connector = 1;
	h->state_encrypted = 2;
	h->shields_up = h->allows_update = h->peer_relay = true;
	h->wire_ingress = h->ingress_enabled = true;
	h->request_tags = r->tags;
}

#define HOST	"\"IPNVersion\":\"1.104.5\",\"OS\":\"linux\"," \
    "\"OSVersion\":\"6.1\",\"Container\":false,\"Distro\":\"debian\"," \
    "\"DistroVersion\":\"12\",\"DistroCodeName\":\"bookworm\"," \
    "\"App\":\"tsnet\",\"Desktop\":true,\"Package\":\"deb\"," \
    "\"DeviceModel\":\"toaster\",\"Hostname\":\"B\xc3\xb6x\"," \
    "\"ShieldsUp\":true,\"AllowsUpdate\":true,\"WireIngress\":true," \
    "\"IngressEnabled\":true,\"Machine\":\"x86_64\",\"GoArch\":\"amd64\"," \
    "\"GoArchVar\":\"v1\",\"GoVersion\":\"go1.27\"," \
    "\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":40000}]," \
    "\"sshHostKeys\":[\"ssh-ed25519 AAAA \\\"x\\\"\"],\"Cloud\":\"aws\"," \
    "\"Userspace\":false,\"UserspaceRouter\":true,\"AppConnector\":false," \
    "\"PeerRelay\":true,\"StateEncrypted\":true"
#define NODE(key) "{\"ID\":7,\"StableID\":\"nSTABLE\"," \
    "\"Name\":\"box.ts.example.\",\"User\":42," \
    "\"Key\":\"nodekey:" KEY(key) "\"," \
    "\"KeyExpiry\":\"2029-11-22T00:00:00Z\"," \
    "\"Machine\":\"mkey:" KEY("cd") "\"," \
    "\"DiscoKey\":\"discokey:" KEY("ef") "\"," \
    "\"Addresses\":[\"100.64.0.7/32\",\"fd7a:115c:a1e0::7/128\"]," \
    "\"AllowedIPs\":[\"100.64.0.7/32\",\"fd7a:115c:a1e0::7/128\"," \
    "\"0.0.0.0/0\",\"10.0.0.0/8\"],\"PrimaryRoutes\":[\"10.0.0.0/8\"]," \
    "\"Endpoints\":[\"[2001:db8::1]:41641\",\"192.0.2.1:1\"]," \
    "\"HomeDERP\":900,\"Cap\":145,\"Created\":\"2026-02-02T02:40:00Z\"," \
    "\"Tags\":[\"tag:web\"],\"MachineAuthorized\":true,"

static void
t_full(void **state)
{
	struct self_conf sc = { (const uint8_t *)KEY("\x11"), 148,
	    slice_str("{\"https\":null}"), slice_str(",\"funnel\":null"),
	    slice_str("T1") };
	uint64_t all = 3;
	struct look look = { &all, false };
	struct buf lists[FEED_LISTS], b = { 0 };
	struct r_node r;
	struct node *n;
	unsigned int i;

	(void)state;
	full(&r, lists);
	n = make(&r);
	n->routes[1].primary = true;
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	expect(&b, NODE("ab") "\"Online\":false,"
	    "\"LastSeen\":\"2026-05-28T20:26:40Z\",\"Hostinfo\":{" HOST "},"
	    "\"CapMap\":{\"suggest-exit-node\":null}}");
	/* Its own: the request's key, routes, caps, the tailnet's id. */
	mapjson_self(&b, n, slice_str("ts.example"), &sc);
	expect(&b, NODE("11") "\"Online\":true,\"Hostinfo\":{" HOST
	    ",\"RoutableIPs\":[\"0.0.0.0/0\",\"10.0.0.0/8\"]},"
	    "\"CapMap\":{\"https\":null,\"funnel\":null},"
	    "\"StableTailnetID\":\"T1\"}");
	sc.capver = 147;
	mapjson_self(&b, n, slice_str("ts.example"), &sc);
	buf_u8(&b, 0);
	assert_null(strstr((const char *)b.p, "StableTailnetID"));
	replica_node_free(n);
	for (i = 0; i < FEED_LISTS; i++)
		buf_free(&lists[i]);
	buf_free(&b);
}

static void
has(struct buf *b, const char *text)
{
	buf_u8(b, 0);
	if (strstr((const char *)b->p, text) == NULL)
		fail_msg("no %s in %s", text, (const char *)b->p);
	buf_clear(b);
}

/* What a viewer is shown of the routes, and of the addresses. */
static void
t_look(void **state)
{
	struct buf lists[FEED_LISTS], b = { 0 };
	uint64_t shown = 0;
	struct look look = { &shown, false };
	struct r_node r;
	struct node *n;

	(void)state;
	full(&r, lists);
	n = make(&r);
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	has(&b, "\"AllowedIPs\":[\"100.64.0.7/32\","
	    "\"fd7a:115c:a1e0::7/128\"],\"Endpoints\"");
	shown = 1;
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	has(&b, "/128\",\"0.0.0.0/0\"],\"Endpoints\"");
	/* It carries what it is shown to carry, elected or not. */
	shown = 2;
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	has(&b, "/128\",\"10.0.0.0/8\"],\"PrimaryRoutes\":[\"10.0.0.0/8\"],"
	    "\"Endpoints\"");
	look.no_ip4 = true;
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	has(&b, "\"Addresses\":[\"fd7a:115c:a1e0::7/128\"],\"AllowedIPs\":["
	    "\"fd7a:115c:a1e0::7/128\",\"10.0.0.0/8\"],");
	/* Its own IPv4 address is nobody's. */
	n->no_ip4 = true;
	look.no_ip4 = false;
	mapjson_peer(&b, n, slice_str("ts.example"), &look);
	has(&b, "\"Addresses\":[\"fd7a:115c:a1e0::7/128\"],");
	replica_node_free(n);
	fnode_record_free(lists);
	buf_free(&b);
}

/* What a node may do as its owner's or a tagged one. */
static void
t_roles(void **state)
{
	struct self_conf sc = { (const uint8_t *)KEY("\x11"), 148,
	    slice_str("{\"x\":null}"), slice_str(""), slice_str("T1") };
	struct buf b = { 0 };
	struct user owner = { .id = 5, .role = USER_MEMBER };
	struct r_node r;
	struct node *n;

	(void)state;
	record(&r);
	n = make(&r);
	n->user = &owner;
	mapjson_self(&b, n, slice_str(""), &sc);
	has(&b, "\"CapMap\":{\"x\":null},");
	owner.role = USER_ADMIN;
	mapjson_self(&b, n, slice_str(""), &sc);
	has(&b, "\"CapMap\":{\"x\":null,"
	    "\"https://tailscale.com/cap/is-admin\":null},");
	owner.role = USER_OWNER;
	mapjson_self(&b, n, slice_str(""), &sc);
	has(&b, "\"CapMap\":{\"x\":null,"
	    "\"https://tailscale.com/cap/is-admin\":null,"
	    "\"https://tailscale.com/cap/is-owner\":null},");
	/* Not twice if the policy says it, too. */
	sc.caps = slice_str(",\"https://tailscale.com/cap/is-admin\":null");
	mapjson_self(&b, n, slice_str(""), &sc);
	has(&b, "\"CapMap\":{\"x\":null,"
	    "\"https://tailscale.com/cap/is-owner\":null,"
	    "\"https://tailscale.com/cap/is-admin\":null},");
	sc.caps = slice_str("");
	owner.id = USER_TAGGED;
	owner.role = USER_MEMBER;
	mapjson_self(&b, n, slice_str(""), &sc);
	has(&b, "\"CapMap\":{\"x\":null,"
	    "\"https://tailscale.com/cap/is-owner\":null},");
	replica_node_free(n);
	buf_free(&b);
}

static void
t_expired(void **state)
{
	struct buf b = { 0 };
	struct r_node r;
	struct node *n;

	(void)state;
	record(&r);
	r.expiry = 1790000000;
	n = make(&r);
	mapjson_peer(&b, n, slice_str(""), NULL);
	buf_u8(&b, 0);
	assert_non_null(strstr((const char *)b.p, "\"Expired\":true"));
	assert_non_null(strstr((const char *)b.p, "\"Name\":\"box.\""));
	replica_node_free(n);
	buf_free(&b);
}

static void
t_patch(void **state)
{
	struct buf lists[FEED_LISTS], b = { 0 };
	struct r_node r;
	struct node *n;

	(void)state;
	full(&r, lists);
	n = make(&r);
	mapjson_patch(&b, n, NF_BIT(NF_DERP) | NF_BIT(NF_CAP));
	expect(&b, "{\"NodeID\":7,\"DERPRegion\":900,\"Cap\":145}");
	mapjson_patch(&b, n, NF_BIT(NF_ENDPOINTS));
	expect(&b, "{\"NodeID\":7,\"Endpoints\":[\"[2001:db8::1]:41641\","
	    "\"192.0.2.1:1\"]}");
	mapjson_patch(&b, n, NF_BIT(NF_EXPIRY));
	expect(&b, "{\"NodeID\":7,\"KeyExpiry\":\"2029-11-22T00:00:00Z\"}");
	n->expiry = 0;
	mapjson_patch(&b, n, NF_BIT(NF_EXPIRY));
	expect(&b, "{\"NodeID\":7,\"KeyExpiry\":\"0001-01-01T00:00:00Z\"}");
	mapjson_patch(&b, n, NF_BIT(NF_DISCO) | NF_BIT(NF_SEEN));
	expect(&b, "{\"NodeID\":7,\"DiscoKey\":\"discokey:" KEY("ef") "\"},"
	    "{\"NodeID\":7,\"Online\":false,"
	    "\"LastSeen\":\"2026-05-28T20:26:40Z\"}");
	(void)node_seen(n, true, 0);
	mapjson_patch(&b, n, NF_BIT(NF_DISCO) | NF_BIT(NF_ONLINE));
	expect(&b, "{\"NodeID\":7,\"DiscoKey\":\"discokey:" KEY("ef") "\","
	    "\"Online\":true}");
	replica_node_free(n);
	fnode_record_free(lists);
	buf_free(&b);
}

static void
t_small(void **state)
{
	struct buf b = { 0 };

	(void)state;
	mapjson_profile(&b, 5, slice_str("a@b"), slice_str(""),
	    slice_str(""));
	expect(&b, "{\"ID\":5,\"LoginName\":\"a@b\",\"DisplayName\":\"a@b\"}");
	mapjson_profile(&b, 5, slice_str("a@b"), slice_str("A \"B\""),
	    slice_str("https://x/y"));
	expect(&b, "{\"ID\":5,\"LoginName\":\"a@b\","
	    "\"DisplayName\":\"A \\\"B\\\"\","
	    "\"ProfilePicURL\":\"https://x/y\"}");
	mapjson_caps(&b, true, true);
	expect(&b, "{\"https://tailscale.com/cap/ssh\":null,"
	    "\"https://tailscale.com/cap/file-sharing\":null,"
	    "\"randomize-client-port\":null}");
	mapjson_caps(&b, false, false);
	expect(&b, "{\"https://tailscale.com/cap/ssh\":null}");
	buf_free(&b);
}

/* Each kind of change is seen, and what peers do not see is none. */
static void
t_changes(void **state)
{
	struct buf lists[FEED_LISTS];
	struct r_node r;
	struct node *n;
	struct user bob = { .id = 43 };

	(void)state;
	full(&r, lists);
	n = make(&r);
#define UP()	node_update(n, &r, &alice, 1790000000)
	assert_int_equal(UP(), 0);
	r.ephemeral = true;
	r.hostinfo.exit_node_id = slice_str("other");
	r.hostinfo.services_hash = slice_str("other");
	memset(&r.hostinfo.request_tags, 0, sizeof(r.hostinfo.request_tags));
	assert_int_equal(UP(), 0);
	r.hostinfo.os = slice_str("plan9");
	assert_int_equal(UP(), NC_WHOLE);
	r.created++;
	assert_int_equal(UP(), NC_WHOLE | NC_SELF);
	r.name = slice_str("xob");
	assert_int_equal(UP(), NC_WHOLE | NC_SELF);
	r.stable_id = slice_str("nOTHER");
	assert_int_equal(UP(), NC_WHOLE | NC_SELF);
	memset(&r.tags, 0, sizeof(r.tags));
	assert_int_equal(UP(), NC_WHOLE | NC_SELF | NC_FACTS);
	r.node_key[31]++;
	assert_int_equal(UP(), NC_WHOLE | NC_SELF);
	r.machine_key[0]++;
	assert_int_equal(UP(), NC_WHOLE | NC_SELF);
	r.disco_key[7]++;
	assert_int_equal(UP(), NF_BIT(NF_DISCO));
	r.ip4.b[3]++;
	assert_int_equal(UP(), NC_WHOLE | NC_SELF | NC_FACTS | NC_ADDR);
	r.ip6.b[15]++;
	assert_int_equal(UP(), NC_WHOLE | NC_SELF | NC_FACTS | NC_ADDR);
	r.expiry++;
	assert_int_equal(UP(), NF_BIT(NF_EXPIRY) | NC_SELF);
	r.expiry = 1700000000;
	assert_int_equal(UP(), NF_BIT(NF_EXPIRY) | NC_SELF | NC_WHOLE);
	r.last_seen++;
	assert_int_equal(UP(), NF_BIT(NF_SEEN));
	r.online = true;
	assert_int_equal(UP(), NF_BIT(NF_ONLINE));
	r.last_seen++;
	assert_int_equal(UP(), 0);
	r.online = false;
	assert_int_equal(UP(), NF_BIT(NF_ONLINE) | NF_BIT(NF_SEEN));
	r.published = false;
	assert_int_equal(UP(), NC_SHOWN);
	r.capver++;
	assert_int_equal(UP(), NF_BIT(NF_CAP));
	r.capver = 0;
	assert_int_equal(UP(), NF_BIT(NF_CAP) | NC_RESET);
	r.home_derp++;
	assert_int_equal(UP(), NF_BIT(NF_DERP));
	r.home_derp = 0;
	assert_int_equal(UP(), NF_BIT(NF_DERP) | NC_RESET);
	memset(&r.endpoints, 0, sizeof(r.endpoints));
	assert_int_equal(UP(), NF_BIT(NF_ENDPOINTS));
	memset(&r.approved, 0, sizeof(r.approved));
	assert_int_equal(UP(), NC_SELF | NC_ROUTES | NC_FACTS);
	memset(&r.hostinfo.routes, 0, sizeof(r.hostinfo.routes));
	assert_int_equal(UP(), NC_SELF);
	assert_int_equal(node_update(n, &r, &bob, 1790000000),
	    NC_WHOLE | NC_SELF | NC_FACTS);
	replica_node_free(n);
	fnode_record_free(lists);
}

/* The first message has all that protocol.md 5.6 asks for. */
static void
t_first(void **state)
{
	static const char *const must[] = { "DNSConfig", "Domain",
	    "CollectServices", "PacketFilters", "ControlTime" };
	struct tnworld *w = tnw_new(1);
	struct fuser u = { 1, "alice@example.com", 0 };
	struct buf b = { 0 };
	struct client *c;
	struct fnode f;
	unsigned int i;

	(void)state;
	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	for (i = 1; i <= 2; i++) {
		fnode_init(&f, i, 1);
		snap_node(&b, &f);
	}
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	c = tnw_open(w, 1, 77, true, false);
	assert_null(tnw_settle(w));
	for (i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		assert_non_null(mapview_get(c->view, must[i]));
	assert_null(mapview_get(c->view, "DERPMap"));
	assert_null(mapview_get(c->view, "Debug"));
	assert_string_equal(json_object_get_string(mapview_get(c->view,
	    "ControlTime")), "2026-09-21T14:13:20Z");
	assert_string_equal(json_object_get_string(mapview_get(c->view,
	    "Domain")), "ts.example");
	assert_false(json_object_get_boolean(mapview_get(c->view,
	    "CollectServices")));
	/* The key of the request, which may not be the stored one. */
	assert_string_not_equal(json_object_get_string(json_object_object_get(
	    mapview_self(c->view), "Key")), json_object_get_string(
	    json_object_object_get(mapview_peer(c->view, 2), "Key")));
	assert_non_null(json_object_object_get(mapview_self(c->view),
	    "StableTailnetID"));
	assert_non_null(mapview_profile(c->view, 1));
	tnw_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_least), cmocka_unit_test(t_full),
		cmocka_unit_test(t_look),
		cmocka_unit_test(t_roles),
		cmocka_unit_test(t_expired), cmocka_unit_test(t_patch),
		cmocka_unit_test(t_small), cmocka_unit_test(t_changes),
		cmocka_unit_test(t_first)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
