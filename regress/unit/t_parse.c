/* JSON of clients into typed messages: fields, bounds and refusals. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "worker/control/parse.h"

#define K(kind)	kind "5f0e7c6b8a9d1234567890abcdef0011" \
		"2233445566778899aabbccddeeff0011"
#define BAD64	"nodekey:zz0e7c6b8a9d1234567890abcdef0011" \
		"2233445566778899aabbccddeeff0011"
#define Z(kind)	kind "00000000000000000000000000000000" \
		"00000000000000000000000000000000"

/* As a client of 1.104 sends it (protocol.md 3.3). */
static const char reg_real[] = "{\"Version\":148,\"NodeKey\":\""
    K("nodekey:") "\",\"OldNodeKey\":\"" Z("nodekey:") "\",\"NLKey\":\""
    K("nlpub:") "\",\"Auth\":{\"AuthKey\":\"tskey-abc\"},\"Expiry\":"
    "\"0001-01-01T00:00:00Z\",\"Followup\":\"\",\"Hostinfo\":{"
    "\"BackendLogID\":\"abc\",\"OS\":\"linux\",\"Hostname\":\"h\"},"
    "\"NodeKeySignature\":null}";
static const char map_real[] = "{\"Version\":148,\"Compress\":\"zstd\","
    "\"KeepAlive\":true,\"NodeKey\":\"" K("nodekey:") "\",\"DiscoKey\":\""
    K("discokey:") "\",\"Stream\":true,\"Hostinfo\":{\"OS\":\"linux\","
    "\"NetInfo\":{\"PreferredDERP\":900}},\"Endpoints\":["
    "\"1.2.3.4:5\",\"[2001:db8::1]:6\"],\"EndpointTypes\":[1,2]}";

static const char *why;

static int
parse_reg(struct regreq *q, const char *text)
{
	why = NULL;
	return regreq_parse(q, slice_str(text), &why);
}

static int
parse_map(struct mapreq *q, const char *text)
{
	why = NULL;
	return mapreq_parse(q, slice_str(text), &why);
}

/* A copy of the real text with one piece replaced; the caller frees. */
static char *
with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	struct buf b = { 0 };

	assert_non_null(at);
	buf_put(&b, text, (size_t)(at - text));
	buf_str(&b, to);
	buf_str(&b, at + strlen(from));
	buf_u8(&b, '\0');
	return (char *)b.p;
}

static void
reg_is(const char *from, const char *to, int rc)
{
	struct regreq q;
	char *t = with(reg_real, from, to);

	assert_int_equal(parse_reg(&q, t), rc);
	if (rc == -1)
		assert_true(why != NULL && why[0] != '\0');
	regreq_free(&q);
	free(t);
}

static void
map_is(const char *from, const char *to, int rc)
{
	struct mapreq q;
	char *t = with(map_real, from, to);

	assert_int_equal(parse_map(&q, t), rc);
	if (rc == -1)
		assert_true(why != NULL && why[0] != '\0');
	mapreq_free(&q);
	free(t);
}

static void
t_reg(void **state)
{
	static const uint8_t zero[KEY_LEN];
	struct regreq q;
	uint8_t key[KEY_LEN];

	(void)state;
	assert_int_equal(parse_reg(&q, reg_real), 0);
	assert_int_equal(q.version, 148);
	assert_true(key_parse(key, KEY_NODE, slice_str(K("nodekey:"))));
	assert_memory_equal(q.reg.node_key, key, KEY_LEN);
	assert_memory_equal(q.reg.old_node_key, zero, KEY_LEN);
	assert_memory_equal(q.reg.nl_key, key, KEY_LEN);
	assert_true(q.reg.has_auth);
	assert_true(slice_eqs(q.reg.auth_key, "tskey-abc"));
	assert_false(q.reg.has_expiry);
	assert_int_equal(q.reg.expiry, 0);
	assert_int_equal(q.reg.followup.n, 0);
	assert_false(q.reg.ephemeral);
	assert_true(slice_eqs(q.reg.hostinfo.os, "linux"));
	assert_true(slice_eqs(q.reg.hostinfo.hostname, "h"));
	assert_int_equal(q.reg.home_derp, 0);
	regreq_free(&q);
}

static void
t_map(void **state)
{
	struct mapreq q;
	struct msg_list it;
	struct r_addr a;
	char t[IPPORT_TEXT];

	(void)state;
	assert_int_equal(parse_map(&q, map_real), 0);
	assert_int_equal(q.version, 148);
	assert_true(q.stream);
	assert_false(q.omit_peers);
	assert_false(q.read_only);
	assert_false(key_is_zero(q.node_key));
	assert_false(key_is_zero(q.disco_key));
	assert_true(q.has_hostinfo);
	assert_int_equal(q.home_derp, 900);
	assert_int_equal(q.endpoints.count, 2);
	it = q.endpoints;
	assert_true(msg_list_next(&it, MR_ADDR, &a));
	ipport_print(t, &a.v);
	assert_string_equal(t, "1.2.3.4:5");
	assert_true(msg_list_next(&it, MR_ADDR, &a));
	ipport_print(t, &a.v);
	assert_string_equal(t, "[2001:db8::1]:6");
	mapreq_free(&q);
	/* the other flags; what is absent or null is zero */
	assert_int_equal(parse_map(&q, "{\"Version\":113,\"NodeKey\":\""
	    K("nodekey:") "\",\"OmitPeers\":true,\"ReadOnly\":true,"
	    "\"Stream\":null,\"Hostinfo\":null,\"Endpoints\":null,"
	    "\"Compress\":\"zstd\",\"DiscoKey\":null}"), 0);
	assert_false(q.stream);
	assert_true(q.omit_peers);
	assert_true(q.read_only);
	assert_false(q.has_hostinfo);
	assert_int_equal(q.endpoints.count, 0);
	assert_true(key_is_zero(q.disco_key));
	mapreq_free(&q);
}

/* Every text of Hostinfo: taken, and cut at its bound. */
static const struct {
	const char	*name;
	size_t		 max;
	size_t		 at;
} texts[] = {
#define T(name, max, member) \
	{ name, max, offsetof(struct r_hostinfo, member) }
	T("IPNVersion", 64, ipn_version), T("OS", 32, os),
	T("OSVersion", 128, os_version), T("Distro", 32, distro),
	T("DistroVersion", 32, distro_version),
	T("DistroCodeName", 32, distro_codename),
	T("DeviceModel", 128, device_model), T("Hostname", 255, hostname),
	T("App", 64, app), T("Package", 64, package),
	T("Machine", 32, machine), T("GoArch", 32, go_arch),
	T("GoArchVar", 32, go_arch_var), T("GoVersion", 32, go_version),
	T("Cloud", 32, cloud), T("ExitNodeID", 64, exit_node_id),
	T("ServicesHash", 128, services_hash)
#undef T
};

static struct slice
text_of(const struct r_hostinfo *h, size_t i)
{
	struct slice s;

	memcpy(&s, (const char *)h + texts[i].at, sizeof(s));
	return s;
}

static void
parse_host(struct mapreq *q, const char *hostinfo)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"Version\":148,\"NodeKey\":\"" K("nodekey:")
	    "\",\"Compress\":\"zstd\",\"Hostinfo\":%s}", hostinfo);
	assert_int_equal(mapreq_parse(q, buf_slice_of(&b), &why), 0);
	buf_free(&b);
}

static void
t_texts(void **state)
{
	struct buf b = { 0 };
	struct mapreq q;
	struct slice s;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_clear(&b);
		buf_printf(&b, "{\"%s\":\"", texts[i].name);
		for (k = 0; k < texts[i].max; k++)
			buf_u8(&b, 'a' + k % 26);
		buf_str(&b, "\"}");
		buf_u8(&b, 0);
		parse_host(&q, (char *)b.p);
		s = text_of(&q.hostinfo, i);
		assert_int_equal(s.n, texts[i].max);
		assert_memory_equal(s.p, "abc", 3);
		for (k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
			assert_true(k == i || text_of(&q.hostinfo, k).n == 0);
		mapreq_free(&q);
		/* one octet short of it, then two-octet characters */
		buf_clear(&b);
		buf_printf(&b, "{\"%s\":\"a", texts[i].name);
		for (k = 0; k < texts[i].max; k++)
			buf_str(&b, "\xc3\xa4");
		buf_str(&b, "\"}");
		buf_u8(&b, 0);
		parse_host(&q, (char *)b.p);
		s = text_of(&q.hostinfo, i);
		assert_true(s.n == texts[i].max || s.n == texts[i].max - 1);
		assert_true(utf8_ok(s.p, s.n));
		assert_int_equal(s.n % 2, 1);
		mapreq_free(&q);
		/* another type is as none */
		buf_clear(&b);
		buf_printf(&b, "{\"%s\":[7]}", texts[i].name);
		buf_u8(&b, 0);
		parse_host(&q, (char *)b.p);
		assert_int_equal(text_of(&q.hostinfo, i).n, 0);
		mapreq_free(&q);
	}
	buf_free(&b);
}

static void
opt_is(const char *name, size_t at)
{
	static const struct { const char *value; uint8_t want; } v[] = {
		{ "null", 0 }, { "false", 1 }, { "true", 2 }, { "1", 0 },
		{ "\"true\"", 0 }
	};
	char json[100];
	struct mapreq q;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(json, sizeof(json), "{\"%s\":%s}", name, v[i].value);
		parse_host(&q, json);
		assert_int_equal(((uint8_t *)&q.hostinfo)[at], v[i].want);
		mapreq_free(&q);
	}
	parse_host(&q, "{}");
	assert_int_equal(((uint8_t *)&q.hostinfo)[at], 0);
	mapreq_free(&q);
}

static void
flag_is(const char *name, size_t at)
{
	char json[100];
	struct mapreq q;

	snprintf(json, sizeof(json), "{\"%s\":true}", name);
	parse_host(&q, json);
	assert_int_equal(((uint8_t *)&q.hostinfo)[at], 1);
	mapreq_free(&q);
	snprintf(json, sizeof(json), "{\"%s\":false}", name);
	parse_host(&q, json);
	assert_int_equal(((uint8_t *)&q.hostinfo)[at], 0);
	mapreq_free(&q);
	snprintf(json, sizeof(json), "{\"%s\":\"true\"}", name);
	parse_host(&q, json);
	assert_int_equal(((uint8_t *)&q.hostinfo)[at], 0);
	mapreq_free(&q);
}

static void
t_booleans(void **state)
{
	(void)state;
	opt_is("Container", offsetof(struct r_hostinfo, container));
	opt_is("Desktop", offsetof(struct r_hostinfo, desktop));
	opt_is("Userspace", offsetof(struct r_hostinfo, userspace));
	opt_is("UserspaceRouter",
	    offsetof(struct r_hostinfo, userspace_router));
	opt_is("AppConnector", offsetof(struct r_hostinfo, app_connector));
	opt_is("StateEncrypted",
	    offsetof(struct r_hostinfo, state_encrypted));
	flag_is("ShieldsUp", offsetof(struct r_hostinfo, shields_up));
	flag_is("AllowsUpdate", offsetof(struct r_hostinfo, allows_update));
	flag_is("PeerRelay", offsetof(struct r_hostinfo, peer_relay));
	flag_is("WireIngress", offsetof(struct r_hostinfo, wire_ingress));
	flag_is("IngressEnabled",
	    offsetof(struct r_hostinfo, ingress_enabled));
}

/* name: [element, ...], n of them; %zu in element is the index. */
static void
parse_list(struct mapreq *q, const char *name, const char *element, size_t n)
{
	struct buf b = { 0 };
	char head[40];
	size_t i;
	const char *at = strstr(element, "%zu");

	snprintf(head, sizeof(head), "{\"%s\":[", name);
	buf_str(&b, head);
	for (i = 0; i < n; i++) {
		buf_str(&b, i == 0 ? "" : ",");
		buf_put(&b, element, at == NULL ? strlen(element) :
		    (size_t)(at - element));
		if (at != NULL)
			buf_printf(&b, "%zu%s", i, at + 3);
	}
	buf_str(&b, "]}");
	buf_u8(&b, 0);
	parse_host(q, (char *)b.p);
	buf_free(&b);
}

static void
t_services(void **state)
{
	struct r_service s;
	struct msg_list it;
	struct mapreq q;

	(void)state;
	parse_host(&q, "{\"Services\":[{\"Proto\":\"tcp\",\"Port\":80,"
	    "\"Description\":\"x\"},null,7,{\"Proto\":\"udp\"},"
	    "{\"Port\":1},{\"Proto\":\"\",\"Port\":1},"
	    "{\"Proto\":\"tcp\",\"Port\":65536},"
	    "{\"Proto\":\"tcp\",\"Port\":-1},{\"Proto\":\"tcp\","
	    "\"Port\":80.5},{\"Proto\":\"peerapi4\",\"Port\":65535}]}");
	assert_int_equal(q.hostinfo.services.count, 2);
	it = q.hostinfo.services;
	assert_true(msg_list_next(&it, MR_SERVICE, &s));
	assert_true(slice_eqs(s.proto, "tcp") && s.port == 80);
	assert_true(msg_list_next(&it, MR_SERVICE, &s));
	assert_true(slice_eqs(s.proto, "peerapi4") && s.port == 65535);
	mapreq_free(&q);
	parse_list(&q, "Services", "{\"Proto\":\"tcp\",\"Port\":%zu}", 65);
	assert_int_equal(q.hostinfo.services.count, 64);
	mapreq_free(&q);
	parse_host(&q, "{\"Services\":{\"Proto\":\"tcp\",\"Port\":80}}");
	assert_int_equal(q.hostinfo.services.count, 0);
	mapreq_free(&q);
}

static void
t_lists(void **state)
{
	char json[600], longest[260];
	struct r_route r;
	struct r_text t;
	struct msg_list it;
	struct mapreq q;

	(void)state;
	parse_list(&q, "sshHostKeys", "\"ssh-ed25519 %zu\"", 17);
	assert_int_equal(q.hostinfo.ssh_host_keys.count, 16);
	mapreq_free(&q);
	parse_list(&q, "RequestTags", "\"tag:t%zu\"", 100);
	assert_int_equal(q.hostinfo.request_tags.count, 64);
	it = q.hostinfo.request_tags;
	assert_true(msg_list_next(&it, MR_TEXT, &t));
	assert_true(slice_eqs(t.v, "tag:t0"));
	mapreq_free(&q);
	/* what is no text, or too long for one, is left out */
	memset(longest, 'k', sizeof(longest));
	longest[256] = '\0';
	snprintf(json, sizeof(json), "{\"RequestTags\":[\"%s\",7,null,"
	    "\"%s\",\"tag:a\"]}", longest, longest + 1);
	parse_host(&q, json);
	assert_int_equal(q.hostinfo.request_tags.count, 2);
	it = q.hostinfo.request_tags;
	assert_true(msg_list_next(&it, MR_TEXT, &t) && t.v.n == 255);
	assert_true(msg_list_next(&it, MR_TEXT, &t));
	assert_true(slice_eqs(t.v, "tag:a"));
	mapreq_free(&q);
	parse_host(&q, "{\"RoutableIPs\":[\"10.1.2.3/24\",\"10.1.2.3\","
	    "\"::/0\",\"0.0.0.0/0\",\"10.0.0.0/33\",8,null,\"x/8\"]}");
	assert_int_equal(q.hostinfo.routes.count, 3);
	it = q.hostinfo.routes;
	assert_true(msg_list_next(&it, MR_ROUTE, &r));
	prefix_print(json, &r.v);
	assert_string_equal(json, "10.1.2.0/24");	/* trap 35 */
	mapreq_free(&q);
	parse_list(&q, "RoutableIPs", "\"10.0.0.0/8\"", 1025);
	assert_int_equal(q.hostinfo.routes.count, 1024);
	mapreq_free(&q);
}

static void
parse_endpoints(struct mapreq *q, const char *element, size_t n,
    const char *last)
{
	struct buf b = { 0 };
	size_t i;

	buf_str(&b, "{\"Version\":148,\"NodeKey\":\"" K("nodekey:")
	    "\",\"Compress\":\"zstd\",\"Endpoints\":[");
	for (i = 0; i < n; i++)
		buf_printf(&b, "%s,", element);
	buf_printf(&b, "%s]}", last);
	assert_int_equal(mapreq_parse(q, buf_slice_of(&b), &why), 0);
	buf_free(&b);
}

static void
t_endpoints(void **state)
{
	static const char *const out[] = { "\"[fe80::1]:5\"",
	    "\"[fe80::1%eth0]:5\"", "\"fe80::1:5\"",
	    "\"1.2.3.4\"", "\"1.2.3.4:65536\"", "\"1.2.3:5\"", "\"\"", "7",
	    "null", "{}", "\"1.2.3.4:5 \"", "\"[1.2.3.4]:5\"" };
	struct mapreq q;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		parse_endpoints(&q, out[i], 1, "\"10.0.0.1:5\"");
		assert_int_equal(q.endpoints.count, 1);
		mapreq_free(&q);
	}
	parse_endpoints(&q, "\"10.0.0.2:5\"", 9999, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 32);
	assert_true(q.endpoints_cut);
	mapreq_free(&q);
	parse_endpoints(&q, "\"10.0.0.2:5\"", 32, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 32);
	assert_true(q.endpoints_cut);
	mapreq_free(&q);
	parse_endpoints(&q, "\"10.0.0.2:5\"", 31, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 32);
	assert_false(q.endpoints_cut);
	mapreq_free(&q);
	parse_endpoints(&q, "\"169.254.1.1:5\"", 1, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 2);
	mapreq_free(&q);
	/* no more than 4,096 are looked at */
	parse_endpoints(&q, "\"\"", 4095, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 1);
	mapreq_free(&q);
	parse_endpoints(&q, "\"\"", 4096, "\"10.0.0.1:5\"");
	assert_int_equal(q.endpoints.count, 0);
	mapreq_free(&q);
}

static void
t_home_derp(void **state)
{
	static const struct { const char *json; uint16_t want; } v[] = {
		{ "{\"NetInfo\":{\"PreferredDERP\":1}}", 1 },
		{ "{\"NetInfo\":{\"PreferredDERP\":65535}}", 65535 },
		{ "{\"NetInfo\":{\"PreferredDERP\":65536}}", 0 },
		{ "{\"NetInfo\":{\"PreferredDERP\":-1}}", 0 },
		{ "{\"NetInfo\":{\"PreferredDERP\":\"1\"}}", 0 },
		{ "{\"NetInfo\":{}}", 0 }, { "{\"NetInfo\":null}", 0 },
		{ "{\"NetInfo\":[]}", 0 }, { "{}", 0 }
	};
	struct mapreq q;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		parse_host(&q, v[i].json);
		assert_int_equal(q.home_derp, v[i].want);
		mapreq_free(&q);
	}
}

static void
t_keys(void **state)
{
	static const char *const bad[] = { "\"\"", "7", "[]", "\"nodekey:\"",
	    "\"nodekey:5f\"", "\"" K("mkey:") "\"", "\"" K("") "\"",
	    "\"" K("nodekey:") "0\"", "\"NODEKEY:" K("") "\"",
	    "\"" BAD64 "\"" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_is("\"" K("nodekey:") "\"", bad[i], -1);
		assert_string_equal(why, "a key is malformed");
		reg_is("\"" Z("nodekey:") "\"", bad[i], -1);
		reg_is("\"" K("nlpub:") "\"", bad[i], -1);
		map_is("\"" K("nodekey:") "\"", bad[i], -1);
		map_is("\"" K("discokey:") "\"", bad[i], -1);
	}
	reg_is("\"" Z("nodekey:") "\"", "null", 0);
	reg_is("\"" K("nlpub:") "\"", "null", 0);
	map_is("\"" K("discokey:") "\"", "null", 0);
	map_is("\"" K("discokey:") "\"", "\"" Z("discokey:") "\"", 0);
	/* upper-case digits pass, as in Go; a node without a key does not */
	reg_is("aabbccddeeff0011\",\"Old", "AABBCCDDEEFF0011\",\"Old", 0);
	reg_is("\"" K("nodekey:") "\"", "null", -1);
	assert_string_equal(why, "NodeKey is missing");
	reg_is("\"" K("nodekey:") "\"", "\"" Z("nodekey:") "\"", -1);
	reg_is("\"NodeKey\":", "\"Other\":", -1);
	map_is("\"" K("nodekey:") "\"", "null", -1);
	map_is("\"" K("nodekey:") "\"", "\"" Z("nodekey:") "\"", -1);
}

static void
t_version(void **state)
{
	static const char *const bad[] = { "\"148\"", "148.0", "-1", "65536",
	    "null", "1e2", "[]", "true", "99999999999999999999" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_is("148", bad[i], -1);
		assert_string_equal(why, "Version is missing or no number");
		map_is("148", bad[i], -1);
	}
	reg_is("\"Version\":148,", "", -1);
	map_is("\"Version\":148,", "", -1);
	reg_is("148", "0", 0);		/* too old: not malformed */
	reg_is("148", "65535", 0);
}

static void
expiry_is(const char *json, bool has, int64_t want)
{
	char *t = with(reg_real, "\"0001-01-01T00:00:00Z\"", json);
	struct regreq q;

	assert_int_equal(parse_reg(&q, t), 0);
	assert_int_equal(q.reg.has_expiry, has);
	assert_int_equal(q.reg.expiry, want);
	regreq_free(&q);
	free(t);
}

static void
t_expiry(void **state)
{
	static const char *const bad[] = { "7", "\"\"", "\"soon\"", "true",
	    "\"2026-01-01 00:00:00Z\"", "\"2026-01-01T00:00:00\"",
	    "\"2026-13-01T00:00:00Z\"", "\"0001-01-01Tx\"", "{}" };
	size_t i;

	(void)state;
	expiry_is("null", false, 0);
	expiry_is("\"0001-01-01T00:00:00Z\"", false, 0);
	expiry_is("\"1970-01-01T00:02:03Z\"", true, 123);
	expiry_is("\"1970-01-01T02:02:03+02:00\"", true, 123);
	expiry_is("\"2026-08-05T10:00:00.123456789Z\"", true, 1785924000);
	/* the beginning of Unix time is past, not none */
	expiry_is("\"1970-01-01T00:00:00Z\"", true, 1);
	expiry_is("\"1969-12-31T23:59:59Z\"", true, -1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_is("\"0001-01-01T00:00:00Z\"", bad[i], -1);
		assert_string_equal(why, "Expiry is no time");
	}
}

static void
auth_is(const char *json, const char *want, size_t n)
{
	char *t = with(reg_real, "{\"AuthKey\":\"tskey-abc\"}", json);
	struct regreq q;

	assert_int_equal(parse_reg(&q, t), 0);
	assert_int_equal(q.reg.has_auth, want != NULL);
	if (want != NULL) {
		assert_int_equal(q.reg.auth_key.n, n);
		assert_memory_equal(q.reg.auth_key.p, want, n);
	}
	regreq_free(&q);
	free(t);
}

static void
t_auth(void **state)
{
	static const char *const bad[] = { "7", "[]", "\"tskey-abc\"",
	    "{\"AuthKey\":7}", "{\"AuthKey\":[\"a\"]}" };
	char json[400], key[301];
	size_t i;

	(void)state;
	auth_is("null", NULL, 0);
	auth_is("{}", NULL, 0);
	auth_is("{\"AuthKey\":null}", NULL, 0);
	auth_is("{\"AuthKey\":\"\"}", NULL, 0);
	auth_is("{\"Oauth2Token\":{}}", NULL, 0);
	auth_is("{\"AuthKey\":\"a\"}", "a", 1);
	/* too long a key goes on, to be refused in words (trap 47) */
	memset(key, 'k', sizeof(key) - 1);
	key[300] = '\0';
	snprintf(json, sizeof(json), "{\"AuthKey\":\"%s\"}", key);
	auth_is(json, key, 255);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_is("{\"AuthKey\":\"tskey-abc\"}", bad[i], -1);
		assert_string_equal(why, "Auth is malformed");
	}
}

/* What decides the meaning of a request must be of its type. */
static void
t_wrong_types(void **state)
{
	static const char *const flags[] = { "1", "\"true\"", "[]", "{}" };
	char t[40];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		snprintf(t, sizeof(t), "\"Stream\":%s", flags[i]);
		map_is("\"Stream\":true", t, -1);
		snprintf(t, sizeof(t), "\"OmitPeers\":%s", flags[i]);
		map_is("\"KeepAlive\":true", t, -1);
		snprintf(t, sizeof(t), "\"ReadOnly\":%s", flags[i]);
		map_is("\"KeepAlive\":true", t, -1);
		assert_string_equal(why,
		    "Stream, OmitPeers or ReadOnly is no boolean");
		snprintf(t, sizeof(t), "\"Ephemeral\":%s", flags[i]);
		reg_is("\"Followup\":\"\"", t, -1);
	}
	reg_is("\"Followup\":\"\"", "\"Followup\":7", -1);
	reg_is("{\"BackendLogID\":\"abc\",\"OS\":\"linux\","
	    "\"Hostname\":\"h\"}", "[]", -1);
	reg_is("{\"BackendLogID\":\"abc\",\"OS\":\"linux\","
	    "\"Hostname\":\"h\"}", "null", 0);
	map_is("{\"OS\":\"linux\",\"NetInfo\":{\"PreferredDERP\":900}}",
	    "\"x\"", -1);
	map_is("[\"1.2.3.4:5\",\"[2001:db8::1]:6\"]", "{}", -1);
	map_is("[\"1.2.3.4:5\",\"[2001:db8::1]:6\"]", "\"1.2.3.4:5\"", -1);
	map_is("\"zstd\"", "7", -1);
	map_is("\"zstd\"", "\"gzip\"", -1);
	assert_string_equal(why, "Compress must be zstd");
	/* whatever it asks for, a client reads zstd alone (trap 17) */
	map_is("\"zstd\"", "\"\"", -1);
	map_is("\"zstd\"", "null", -1);
	map_is("\"Compress\":\"zstd\",", "", -1);
	assert_string_equal(why, "Compress must be zstd");
}

static void
t_names(void **state)
{
	struct regreq q;

	(void)state;
	/* names match without regard to case, the last of two counts */
	assert_int_equal(parse_reg(&q, "{\"VERSION\":148,\"nodekey\":\""
	    K("nodekey:") "\",\"hostinfo\":{\"os\":\"plan9\","
	    "\"HOSTNAME\":\"a\",\"Hostname\":\"b\"},\"EPHEMERAL\":true,"
	    "\"FollowUp\":\"https://x\",\"unknown\":{\"a\":[1,2,{}]}}"), 0);
	assert_true(q.reg.ephemeral);
	assert_true(slice_eqs(q.reg.followup, "https://x"));
	assert_true(slice_eqs(q.reg.hostinfo.os, "plan9"));
	assert_true(slice_eqs(q.reg.hostinfo.hostname, "b"));
	regreq_free(&q);
}

static void
t_followup(void **state)
{
	struct buf b = { 0 };
	struct regreq q;
	char *t;
	size_t i;

	(void)state;
	buf_str(&b, "\"Followup\":\"");
	for (i = 0; i < 2000; i++)
		buf_u8(&b, 'f');
	buf_str(&b, "\"");
	buf_u8(&b, 0);
	t = with(reg_real, "\"Followup\":\"\"", (char *)b.p);
	assert_int_equal(parse_reg(&q, t), 0);
	assert_int_equal(q.reg.followup.n, 1024);
	regreq_free(&q);
	free(t);
	buf_free(&b);
}

static void
bad_json(const char *p, size_t n)
{
	struct regreq q;
	struct mapreq m;

	why = NULL;
	assert_int_equal(regreq_parse(&q, slice_mem(p, n), &why), -1);
	assert_true(why != NULL && why[0] != '\0');
	regreq_free(&q);
	why = NULL;
	assert_int_equal(mapreq_parse(&m, slice_mem(p, n), &why), -1);
	assert_true(why != NULL && why[0] != '\0');
	mapreq_free(&m);
}

static void
t_json(void **state)
{
	static const char *const bad[] = { "", " ", "{", "[]", "null", "7",
	    "\"x\"", "{}", "{\"Version\":148}", "{\"a\":1,}", "{a:1}",
	    "{\"Version\":148,\"Version\":01}", "{\"a\":\"\x01\"}",
	    "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}",
	    "{\"a\":\"\xed\xa0\x80\"}", "{} x", "/**/{}" };
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad_json(bad[i], strlen(bad[i]));
	bad_json("{\"a\":\"\0\"}", 9);
	for (i = 0; i < 1000; i++)
		buf_str(&b, "{\"a\":");
	buf_str(&b, "1");
	for (i = 0; i < 1000; i++)
		buf_str(&b, "}");
	bad_json((char *)b.p, b.n);
	buf_clear(&b);
	/* real, but for one megabyte of values */
	buf_str(&b, "{\"a\":[");
	for (i = 0; i < 500000; i++)
		buf_str(&b, "1,");
	buf_put(&b, "1],", 3);
	buf_put(&b, map_real + 1, sizeof(map_real) - 2);
	bad_json((char *)b.p, b.n);
	buf_free(&b);
}

/* Every cut of a real request is refused, and nothing leaks. */
static void
t_cut(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(reg_real) - 1; i++)
		bad_json(reg_real, i);
	for (i = 0; i < sizeof(map_real) - 1; i++)
		bad_json(map_real, i);
}

/* Whatever is taken is within the table's bounds: it can be sent to dbd. */
static void
t_sendable(void **state)
{
	struct buf b = { 0 }, out = { 0 };
	struct regreq q;
	struct msg m, back;
	size_t i, k;

	(void)state;
	buf_str(&b, "{\"Version\":148,\"NodeKey\":\"" K("nodekey:")
	    "\",\"Auth\":{\"AuthKey\":\"");
	for (i = 0; i < 300; i++)
		buf_str(&b, "\xe2\x82\xac");
	buf_str(&b, "\"},\"Followup\":\"");
	for (i = 0; i < 800; i++)
		buf_str(&b, "\xf0\x9f\x98\x80");
	buf_str(&b, "\",\"Hostinfo\":{");
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_printf(&b, "\"%s\":\"", texts[i].name);
		for (k = 0; k < 100; k++)
			buf_str(&b, "\xe2\x82\xac");
		buf_str(&b, "\",");
	}
	buf_str(&b, "\"Services\":[");
	for (i = 0; i < 100; i++)
		buf_str(&b, "{\"Proto\":\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\","
		    "\"Port\":1},");
	buf_str(&b, "{}],\"RoutableIPs\":[\"::/0\"]}}");
	assert_int_equal(regreq_parse(&q, buf_slice_of(&b), &why), 0);
	msg_init(&m, M_DB_REG);
	m.u.db_reg = q.reg;
	msg_encode(&out, &m);
	assert_int_equal(msg_decode(&back, M_DB_REG, out.p, out.n), 0);
	assert_true(back.u.db_reg.has_auth);
	assert_int_equal(back.u.db_reg.auth_key.n, 255);
	assert_int_equal(back.u.db_reg.hostinfo.services.count, 64);
	regreq_free(&q);
	buf_free(&b);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_reg),
		cmocka_unit_test(t_map),
		cmocka_unit_test(t_texts),
		cmocka_unit_test(t_booleans),
		cmocka_unit_test(t_services),
		cmocka_unit_test(t_lists),
		cmocka_unit_test(t_endpoints),
		cmocka_unit_test(t_home_derp),
		cmocka_unit_test(t_keys),
		cmocka_unit_test(t_version),
		cmocka_unit_test(t_expiry),
		cmocka_unit_test(t_auth),
		cmocka_unit_test(t_wrong_types),
		cmocka_unit_test(t_names),
		cmocka_unit_test(t_followup),
		cmocka_unit_test(t_json),
		cmocka_unit_test(t_cut),
		cmocka_unit_test(t_sendable)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
