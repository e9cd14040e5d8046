/* headscaled.conf: TLS, proxies in front, the relay and STUN. */

#include <stdio.h>

#include "regress/lib/confkit.h"

#define URL	"server_url = \"http://127.0.0.1:8080\"\n"
#define LISTEN	"listen \"a\" { address = \"127.0.0.1\" port = 8080 }\n"
#define GOOD	URL LISTEN		/* two lines */
#define HTTPS	"server_url = \"https://hs.example.org\"\n" \
		"listen \"a\" { address = \"*\" port = 443 tls = true }\n"
#define PORT(n)	"server_url = \"https://hs.example.org:" n "\"\n" \
		"listen \"a\" { address = \"*\" port = " n " tls = true }\n"
#define PAIR	"tls { keypair \"p\" { certificate = \"c.pem\" key = " \
		"\"/k/k.pem\" } }\n"
#define RELAY	"derp { server { enabled = true\n"
#define TEN	"1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, " \
		"1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, "
/* ... and not the only one */
#define RELAYS	"derp { map_file = m server { enabled = true\n"

static const struct confkit_row bad[] = {
	/* TLS */
	{ URL "listen \"a\" { address = \"::1\" port = 1 }\nlisten \"b\" {\n"
	    "address = \"*\" port = 443\ntls = true }\n",
	    "c:5: tls wants a keypair in section tls, or acme" },
	{ URL "listen \"b\" {\naddress = \"*\" port = 443\ntls = either }\n",
	    "c:4: tls wants a keypair in section tls, or acme" },
	{ URL "listen \"b\" {\naddress = \"*\" port = 443\ntls = perhaps }\n",
	    "c:4: tls: 'perhaps' is neither true, nor false, nor either" },
	{ GOOD "tls {\nkeypair { } }\n",
	    "c:4: keypair wants a name: write keypair \"name\" { ... }" },
	{ GOOD "tls {\nkeypair \"a\" { key = \"k\" } }\n",
	    "c:4: missing certificate in section keypair \"a\"" },
	{ GOOD "tls {\nkeypair \"a\" { certificate = \"k\" } }\n",
	    "c:4: missing key in section keypair \"a\"" },
	{ GOOD "tls {\nkeypair \"a\" { certificate = c key = k }\n"
	    "keypair \"a\" { certificate = c key = k } }\n",
	    "c:5: section keypair \"a\" is given twice, first in line 4" },
	{ GOOD "tls {\nkeypair \"a\" { certificate = c key = "
	    "\"/var/lib/headscaled/noise.key\" } }\n",
	    "c:4: key must not be the noise_key_file" },
	{ GOOD "tls {\nkeypair \"a\" { certificate = c\nkey = "
	    "\"-----BEGIN PRIVATE KEY-----\" } }\n", "c:5: key: a secret does "
	    "not belong here: put it into a file of its own and name that" },
	{ GOOD "tls { acme { } }\n", "c:3: unknown section acme in section tls "
	    "(is that section closed?)" },
	/* Proxies. */
	{ GOOD "proxies = { \"10.0.0.1/8\" }\n", "c:3: '10.0.0.1/8' is neither "
	    "an address nor a prefix, with no bits set behind its length" },
	{ GOOD "proxies = { host }\n", "c:3: 'host' is neither an address nor "
	    "a prefix, with no bits set behind its length" },
	{ GOOD "proxies = { \"0.0.0.0/0\" }\n",
	    "c:3: 0.0.0.0/0: not everybody is a proxy" },
	{ GOOD "proxies = { 1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, "
	    "1.1.1.6, 1.1.1.7, 1.1.1.8, 1.1.1.9, 1.1.2.1, 1.1.2.2, 1.1.2.3, "
	    "1.1.2.4, 1.1.2.5, 1.1.2.6, 1.1.2.7, 1.1.2.8 }\n",
	    "c:3: more than 16 proxies" },
	{ GOOD "derp { verify_from = { \"10.0.0.1/8\" } }\n",
	    "c:3: '10.0.0.1/8' is neither an address nor a prefix, with no "
	    "bits set behind its length" },
	{ GOOD "derp {\nverify_from = { \"10.0.0.1\", \"::/0\" } }\n",
	    "c:4: ::/0: everybody may ask if verify_from is left out" },
	{ GOOD "derp { verify_from = { " TEN TEN TEN TEN TEN TEN
	    "1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1 } }\n",
	    "c:3: more than 64 in verify_from" },
	{ URL "listen \"b\" {\naddress = \"*\" port = 80\nproxy_protocol = on "
	    "}\n", "c:4: proxy_protocol wants proxies: who may say for whom it "
	    "speaks" },
	/* The relay. */
	{ GOOD "derp { server {\nregion_id = 0 } }\n",
	    "c:4: region_id must be between 1 and 65535" },
	{ GOOD "derp { server {\nregion_id = 65536 } }\n",
	    "c:4: region_id must be between 1 and 65535" },
	{ GOOD "derp { server {\nregion_code = \"a b\" } }\n",
	    "c:4: region_code must be printable, without spaces" },
	{ GOOD "derp { server {\nregion_code = "
	    "\"a23456789012345678901234567890123\" } }\n",
	    "c:4: region_code is longer than 32 octets" },
	{ GOOD "derp { server {\nipv4 = \"::1\" } }\n",
	    "c:4: '::1' is neither an IPv4 address nor \"none\"" },
	{ GOOD "derp { server {\nipv6 = \"192.0.2.1\" } }\n",
	    "c:4: '192.0.2.1' is neither an IPv6 address nor \"none\"" },
	{ GOOD "derp { server {\nipv4 = \"0.0.0.0\" } }\n",
	    "c:4: '0.0.0.0' is neither an IPv4 address nor \"none\"" },
	{ GOOD RELAY "} }\n",
	    "c:3: the relay wants a listener that speaks TLS" },
	{ "server_url = \"http://hs.example.org\"\n" LISTEN RELAY
	    "plain = true } }\n", "c:4: plain is for private networks: the "
	    "host of server_url is not a private address" },
	{ "server_url = \"http://8.8.8.8\"\n" LISTEN RELAY
	    "plain = true } }\n", "c:4: plain is for private networks: the "
	    "host of server_url is not a private address" },
	{ HTTPS PAIR RELAY "verify_clients = false } }\n", "c:5: without "
	    "verify_clients anybody may use the relay: say open_relay = true "
	    "if that is meant" },
	/* Loopback is no bound where the rest of the world has a way to it. */
	{ "server_url = \"https://hs.example.org\"\nlisten \"a\" { address = "
	    "\"127.0.0.1\" port = 8443 tls = true }\n" PAIR RELAY
	    "verify_clients = false } }\n", "c:5: without verify_clients "
	    "anybody may use the relay: say open_relay = true if that is "
	    "meant" },
	{ GOOD "proxies = { 127.0.0.1 }\n" RELAY
	    "plain = true verify_clients = false } }\n", "c:5: without "
	    "verify_clients anybody may use the relay: say open_relay = true "
	    "if that is meant" },
	{ HTTPS PAIR RELAY "rate_burst = 65567 } }\n", "c:5: rate_burst must "
	    "be at least 65568 octets, the longest packet" },
	{ HTTPS PAIR RELAY "private_key_file = "
	    "\"/var/lib/headscaled/noise.key\" } }\n",
	    "c:5: private_key_file must not be the noise_key_file" },
	{ HTTPS PAIR RELAY "stun_listen = \"3478\" } }\n",
	    "c:5: '3478' is neither an address and a port like 0.0.0.0:3478 "
	    "nor \"none\"" },
	{ HTTPS PAIR RELAY "stun_listen = \"1.2.3.4:0\" } }\n",
	    "c:5: '1.2.3.4:0' is neither an address and a port like "
	    "0.0.0.0:3478 nor \"none\"" },
	{ HTTPS PAIR RELAY "stun_listen = \"host:3478\" } }\n",
	    "c:5: 'host:3478' is neither an address and a port like "
	    "0.0.0.0:3478 nor \"none\"" },
	{ HTTPS PAIR RELAY "stun_port = 70000 } }\n",
	    "c:5: stun_port must be between 0 and 65535" },
	{ HTTPS PAIR RELAY "stun_burst = 0 } }\n",
	    "c:5: stun_burst must be between 1 and 1000000" },
	{ HTTPS PAIR RELAY "mesh_key_file = \"x\" } }\n",
	    "c:5: key derp|server|mesh_key_file is not built yet" },
	{ GOOD "users { stun = \"_hsdbd\" }\n",
	    "c:1: each role wants a user of its own" }
};

static void
test_bad(void **state)
{
	(void)state;
	confkit_refused(bad, sizeof(bad) / sizeof(bad[0]));
}

/* Nobody is asked for anything who does not want it. */
static void
test_defaults(void **state)
{
	struct conf *c = confkit_good(GOOD);

	(void)state;
	assert_int_equal(c->addrs[0].kind, CONF_PLAIN);
	assert_false(c->addrs[0].proxy);
	assert_int_equal(c->npairs, 0);
	assert_int_equal(c->nproxies, 0);
	assert_false(c->hsts);
	assert_false(c->self_signed);
	assert_false(c->derp.enabled);
	assert_true(c->derp.verify);
	assert_false(c->derp.in_map);
	assert_int_equal(c->derp.nstun, 0);
	assert_null(c->files.derp_key);
	assert_string_equal(c->users.stun, "_hsstun");
	conf_free(c);
	/* As little as is needed: Headscale's defaults. */
	c = confkit_good(HTTPS PAIR RELAYS "} }\n");
	assert_int_equal(c->nwarnings, 0);
	assert_true(c->hsts);
	assert_int_equal(c->naddrs, 2);
	assert_int_equal(c->addrs[1].kind, CONF_TLS);
	assert_string_equal(c->pairs[0].name, "p");
	assert_string_equal(c->pairs[0].certificate, "/etc/x/c.pem");
	assert_string_equal(c->pairs[0].key, "/k/k.pem");
	assert_true(c->derp.enabled);
	assert_true(c->derp.in_map);
	assert_true(c->derp.verify);
	assert_false(c->derp.plain);
	assert_false(c->derp.insecure);
	assert_int_equal(c->derp.region, 999);
	assert_string_equal(c->derp.code, "headscaled");
	assert_int_equal(c->derp.port, 443);
	assert_false(c->derp.port80);
	assert_string_equal(c->derp.ip4, "");
	assert_int_equal(c->derp.rate, 0);
	assert_int_equal(c->derp.burst, 65568);
	assert_int_equal(c->derp.stun_port, 3478);
	assert_int_equal(c->derp.stun_rate, 1000);
	assert_int_equal(c->derp.nstun, 2);
	assert_int_equal(c->derp.stun[0].at.addr.family, 4);
	assert_int_equal(c->derp.stun[1].at.addr.family, 6);
	assert_int_equal(c->derp.stun[1].at.port, 3478);
	assert_int_equal(c->derp.stun[1].kind, CONF_UDP);
	assert_true(c->derp.stun[1].any);
	assert_string_equal(c->files.derp_key, "/var/lib/headscaled/derp.key");
	conf_free(c);
}

static void
test_everything(void **state)
{
	struct conf *c;

	(void)state;
	c = confkit_good("server_url = \"https://hs.example.org:8443\"\n"
	    "proxies = { \"10.0.0.0/8\", \"2001:db8::5\" }\n"
	    "listen \"a\" { address = \"192.0.2.10\" port = 443 tls = yes "
	    "proxy_protocol = true }\n"
	    "listen \"b\" { address = \"*\" port = 80 }\n"
	    "listen \"c\" { address = \"::1\" port = 9 tls = either }\n"
	    "tls { hsts = off keypair \"a\" { certificate = a key = b }\n"
	    "keypair \"b\" { certificate = c key = d } }\n"
	    "derp { map_file = \"m\" verify_from = { 192.0.2.5, "
	    "\"2001:db8::/32\" } server { enabled = yes region_id = 17\n"
	    "region_code = x region_name = \"X Y\" in_map = no\n"
	    "verify_clients = no open_relay = yes ipv4 = \"192.0.2.10\"\n"
	    "ipv6 = \"none\" stun_listen = \"[2001:db8::1]:99\"\n"
	    "stun_port = 3479 stun_rate = 0 stun_burst = 1\n"
	    "rate_limit = 100000 private_key_file = \"r.key\" } }\n");
	assert_int_equal(c->nproxies, 2);
	assert_int_equal(c->proxies[0].bits, 8);
	assert_int_equal(c->proxies[1].bits, 128);
	assert_int_equal(c->addrs[0].kind, CONF_TLS);
	assert_true(c->addrs[0].proxy);
	assert_int_equal(c->addrs[1].kind, CONF_PLAIN);
	assert_int_equal(c->addrs[3].kind, CONF_EITHER);
	assert_false(c->hsts);
	assert_int_equal(c->npairs, 2);
	assert_string_equal(c->pairs[1].certificate, "/etc/x/c");
	assert_int_equal(c->derp.nverify_from, 2);
	assert_int_equal(c->derp.verify_from[0].bits, 32);
	assert_int_equal(c->derp.verify_from[1].bits, 32);
	assert_int_equal(c->derp.verify_from[1].addr.family, 6);
	assert_int_equal(c->derp.region, 17);
	assert_string_equal(c->derp.name, "X Y");
	assert_false(c->derp.in_map);
	assert_false(c->derp.verify);
	assert_int_equal(c->derp.port, 8443);
	assert_true(c->derp.port80);
	assert_string_equal(c->derp.ip4, "192.0.2.10");
	assert_string_equal(c->derp.ip6, "none");
	assert_int_equal(c->derp.nstun, 1);
	assert_int_equal(c->derp.stun[0].at.addr.family, 6);
	assert_int_equal(c->derp.stun[0].at.port, 99);
	assert_int_equal(c->derp.stun_port, 3479);
	assert_int_equal(c->derp.rate, 100000);
	assert_int_equal(c->derp.burst, 100000);
	assert_string_equal(c->files.derp_key, "/etc/x/r.key");
	/* Said aloud, and nothing else. */
	assert_int_equal(c->nwarnings, 1);
	assert_string_equal(c->warnings[0], "c:10: anybody who can reach the "
	    "relay may use it");
	conf_free(c);
}

/* Where clients dial: they speak TLS whatever server_url says. */
static void
test_port(void **state)
{
	static const struct {
		const char	*url;
		const char	*listen;
		unsigned int	 port;
	} t[] = {
		{ "http://10.0.0.1", "listen a { address = \"*\" port = 80 } "
		    "listen b { address = \"*\" port = 8443 tls = on }", 8443 },
		{ "http://10.0.0.1:81", "listen a { address = \"*\" port = 443 "
		    "tls = on } listen b { address = \"*\" port = 81 tls = "
		    "either }", 81 },
		{ "https://10.0.0.1:444", "listen a { address = \"*\" port = "
		    "443 tls = on }", 444 }
	};
	struct conf *c;
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), "server_url = \"%s\" %s "
		    "tls { self_signed = on } derp { server { enabled = on } "
		    "}\n", t[i].url, t[i].listen);
		c = confkit_good(text);
		assert_int_equal(c->derp.port, t[i].port);
		assert_true(c->self_signed);
		assert_false(c->hsts);
		conf_free(c);
	}
}

static void
test_stun_listen(void **state)
{
	static const struct {
		const char	*text;
		unsigned int	 n;
		unsigned int	 family;
		unsigned int	 port;
	} t[] = {
		{ "0.0.0.0:1", 2, 4, 1 }, { ":2", 2, 4, 2 }, { "*:3", 2, 4, 3 },
		{ "[::]:4", 2, 4, 4 }, { "192.0.2.1:5", 1, 4, 5 },
		{ "[::1]:6", 1, 6, 6 }, { "none", 0, 0, 0 }
	};
	struct conf *c;
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), HTTPS PAIR RELAY
		    "stun_listen = \"%s\" } }\n", t[i].text);
		c = confkit_good(text);
		assert_int_equal(c->derp.nstun, t[i].n);
		assert_int_equal(c->derp.stun_port, t[i].port);
		if (t[i].n != 0) {
			assert_int_equal(c->derp.stun[0].at.addr.family,
			    t[i].family);
			assert_int_equal(c->derp.stun[0].at.port, t[i].port);
		}
		conf_free(c);
	}
}

/* What is allowed, but not in silence; and what private networks may. */
static void
test_warnings(void **state)
{
	static const struct {
		const char	*text;
		const char	*warning;
	} t[] = {
		{ GOOD RELAY "plain = true } }\n", NULL },
		{ GOOD RELAY "insecure_for_tests = true } }\n", NULL },
		{ "server_url = \"http://localhost:8080\"\n" LISTEN RELAY
		    "plain = true } }\n", NULL },
		{ "server_url = \"http://192.168.1.1\"\n" LISTEN RELAY
		    "plain = true verify_clients = false } }\n",
		    "c:4: anybody who can reach the relay may use it" },
		{ HTTPS PAIR RELAYS "insecure_for_tests = true } }\n",
		    "c:5: clients do not look at the relay's certificate: for "
		    "tests only" },
		{ HTTPS PAIR RELAYS "plain = true insecure_for_tests = true } "
		    "}\n", "c:5: clients do not look at the relay's "
		    "certificate: for tests only" },
		/* derp.md 15: traps 20, 24 and 25. */
		{ PORT("8443") PAIR RELAYS "} }\n", "c:1: clients dial the "
		    "relay on port 8443: browsers measure it, and clients "
		    "without DNS ask it, on port 443 alone" },
		{ PORT("8443") PAIR RELAYS "in_map = false } }\n", NULL },
		{ HTTPS PAIR RELAYS "stun_listen = \"none\" } }\n", "c:5: "
		    "without STUN clients find no direct way to each other, or "
		    "make another region their home" },
		{ HTTPS PAIR RELAYS "stun_listen = \"none\" in_map = no } }\n",
		    NULL },
		{ HTTPS PAIR RELAY "} }\n", "c:4: the only region: clients do "
		    "not learn what NAT they are behind, which takes a second "
		    "one (map_file, urls)" },
		{ HTTPS PAIR RELAY "in_map = no } }\n", NULL },
		{ HTTPS PAIR "derp { urls = { \"https://a.example/m\" } server "
		    "{ enabled = true } }\n", NULL },
		{ GOOD RELAY "plain = true stun_listen = \"none\" } }\n",
		    NULL },
		{ HTTPS "tls {\nself_signed = true }\n", "c:4: clients do not "
		    "believe a self-signed certificate" },
		{ GOOD PAIR, "c:3: no listener speaks TLS: the certificates "
		    "are of no use" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		confkit_warns(t[i].text, t[i].warning);
}

static void
test_reloadable(void **state)
{
	static const struct {
		const char	*more;
		const char	*why;
	} t[] = {
		{ "} }\n", NULL },
		{ "region_id = 5 rate_limit = 1 } }\n", NULL },
		{ "stun_listen = \"127.0.0.1:7\" } }\n", NULL },
		{ "stun_listen = \"none\" } }\n", "c:5: derp|server|"
		    "stun_listen changes only with a restart" },
		{ "private_key_file = \"x\" } }\n", "c:5: derp|server|"
		    "private_key_file changes only with a restart" }
	};
	struct conf *a = confkit_good(HTTPS PAIR RELAY "} }\n");
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), HTTPS PAIR RELAY "%s", t[i].more);
		confkit_reload(a, text, t[i].why);
	}
	confkit_reload(a, HTTPS PAIR,
	    "c:1: derp|server|enabled changes only with a restart");
	/* Certificates, ports and what is spoken there may all change. */
	confkit_reload(a, "server_url = \"https://hs.example.org\" listen "
	    "\"a\" { address = \"*\" port = 443 tls = either } tls { "
	    "self_signed = on } derp { server { enabled = on } }\n", NULL);
	conf_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_stun_listen),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_reloadable)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
