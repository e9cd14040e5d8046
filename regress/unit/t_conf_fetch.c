/* headscaled.conf: ACME, DERP maps from URLs, and who may be asked. */

#include "regress/lib/confkit.h"

#define URL	"server_url = \"https://hs.example.org\"\n"
#define LISTEN	"listen \"a\" { address = \"*\" port = 443 tls = true }\n"
#define PLAIN	"listen \"b\" { address = \"*\" port = 80 }\n"
#define GOOD	URL LISTEN PLAIN	/* three lines */
#define ACME	GOOD "acme {\n"
#define NAMES	"names = { \"hs.example.org\" }\n"
#define LOCAL	"server_url = \"http://127.0.0.1\"\n"
#define DERP	"server_url = \"http://127.0.0.1:8080\"\n" PLAIN "derp {\n"

static const struct confkit_row bad[] = {
	/* ACME */
	{ ACME NAMES "directory = \"http://ca.example/dir\" }\n", "c:6: "
	    "'http://ca.example/dir' is not an https URL of at most 1024 "
	    "octets" },
	{ ACME NAMES "directory = \"https://u:p@ca.example/dir\" }\n",
	    "c:6: a user or a secret does not belong into an URL" },
	{ ACME NAMES "directory = \"https:///dir\" }\n",
	    "c:6: '' is neither a host name nor an address" },
	{ ACME NAMES "directory = \"https://ca..example/dir\" }\n",
	    "c:6: 'ca..example' is neither a host name nor an address" },
	{ ACME NAMES "directory = \"https://[1.2.3.4]/dir\" }\n",
	    "c:6: '[1.2.3.4]' is neither a host name nor an address" },
	{ ACME NAMES "directory = \"https://::1/dir\" }\n",
	    "c:6: ':' is neither a host name nor an address" },
	{ ACME NAMES "directory = \"https://ca.example:0/\" }\n",
	    "c:6: 'https://ca.example:0/': the port must be between 1 and "
	    "65535" },
	{ ACME NAMES "directory = \"https://ca.example:65536\" }\n",
	    "c:6: 'https://ca.example:65536': the port must be between 1 and "
	    "65535" },
	{ ACME NAMES "directory = \"https://ca.example:/\" }\n",
	    "c:6: 'https://ca.example:/': the port must be between 1 and "
	    "65535" },
	{ ACME NAMES "directory = \"https://ca.example/a b\" }\n",
	    "c:6: ' b': an URL has no such character" },
	{ ACME NAMES "directory = \"https://ca.example/a#b\" }\n",
	    "c:6: '#b': an URL has no such character" },
	{ ACME "names = { \"*.example.org\" } }\n", "c:5: '*.example.org' is "
	    "neither a DNS name nor an address (for a wildcard there is no "
	    "challenge that we could answer)" },
	{ ACME "names = { \"a b\" } }\n",
	    "c:5: 'a b' is neither a DNS name nor an address" },
	{ ACME "names = { \"\" } }\n", "c:5: names: empty value" },
	{ ACME "names = { \".\" } }\n",
	    "c:5: '.' is neither a DNS name nor an address" },
	{ ACME "names = { \"A.example.org\", \"a.example.org.\" } }\n",
	    "c:5: a.example.org is given twice" },
	{ ACME "names = { a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, "
	    "b3, b4, b5, b6, b7, b8, b9, c0, c1, c2, c3, c4, c5, c6, c7, c8, "
	    "c9, d0, d1, d2 } }\n", "c:5: more than 32 names" },
	{ ACME NAMES "contact = { \"nobody\" } }\n",
	    "c:6: 'nobody' is not an e-mail address" },
	{ ACME NAMES "contact = { \"a@b,c@d\" } }\n",
	    "c:6: 'a@b,c@d' is not an e-mail address" },
	{ ACME NAMES "contact = { \"mailto:a@b?subject=x\" } }\n",
	    "c:6: 'mailto:a@b?subject=x' is not an e-mail address" },
	{ ACME NAMES "contact = { \"tel:+1\" } }\n",
	    "c:6: 'tel:+1' is not an e-mail address" },
	{ ACME NAMES "contact = { \"@b\" } }\n",
	    "c:6: '@b' is not an e-mail address" },
	{ ACME NAMES "challenge = \"dns-01\" }\n",
	    "c:6: challenge must be \"http-01\" or \"tls-alpn-01\"" },
	{ ACME NAMES "key_file = \"k\"\naccount_key_file = \"k\" }\n",
	    "c:6: key_file must not be the account_key_file" },
	{ ACME NAMES "key_file = \"/var/lib/headscaled/noise.key\" }\n",
	    "c:6: key_file must not be the noise_key_file" },
	{ ACME NAMES "account_key_file = \"/var/lib/headscaled/derp.key\" }\n"
	    "derp { server { enabled = true } }\n", "c:6: account_key_file "
	    "must not be the private_key_file of the relay" },
	{ ACME NAMES "key_file = \"p.key\" }\ntls { keypair \"p\" { "
	    "certificate = \"p.pem\" key = \"p.key\" } }\n",
	    "c:6: key_file must not be that of a keypair" },
	{ ACME NAMES "profile = \"x\" }\n",
	    "c:6: unknown key profile in section acme" },
	/* A listener with tls wants names, not just the section. */
	{ ACME "challenge = \"http-01\" }\n",
	    "c:2: tls wants a keypair in section tls, or acme" },
	/* DERP maps. */
	{ DERP "urls = { \"http://a.example/\" } }\n", "c:4: "
	    "'http://a.example/' is not an https URL of at most 255 octets" },
	{ DERP "urls = { \"file:///etc/passwd\" } }\n", "c:4: "
	    "'file:///etc/passwd' is not an https URL of at most 255 octets" },
	{ DERP "urls = { \"https://me@a.example/\" } }\n",
	    "c:4: a user or a secret does not belong into an URL" },
	{ DERP "urls = { \"https://a.b/1\", \"https://a.b/1\" } }\n",
	    "c:4: https://a.b/1 is given twice" },
	{ DERP "urls = { \"https://a/1\", \"https://a/2\", \"https://a/3\", "
	    "\"https://a/4\", \"https://a/5\", \"https://a/6\", "
	    "\"https://a/7\", \"https://a/8\", \"https://a/9\" } }\n",
	    "c:4: more than 8 urls" },
	{ DERP "update = 59s }\n",
	    "c:4: update must be between 60 and 2592000 seconds" },
	{ DERP "update = 31d }\n",
	    "c:4: update must be between 60 and 2592000 seconds" },
	{ DERP "avoid_after = 2y }\n",
	    "c:4: avoid_after must be between 0 and 31536000 seconds" },
	/* Who may be asked. */
	{ GOOD "tls { self_signed = on }\nfetch {\nallow = { host } }\n",
	    "c:6: 'host' is neither an address nor a prefix, with no bits set "
	    "behind its length" },
	{ GOOD "tls { self_signed = on }\nfetch {\nallow = { \"10.0.0.1/8\" } "
	    "}\n", "c:6: '10.0.0.1/8' is neither an address nor a prefix, "
	    "with no bits set behind its length" },
	{ GOOD "tls { self_signed = on }\nfetch {\nallow = { \"::/0\" } }\n",
	    "c:6: ::/0: name the networks that are meant" },
	{ GOOD "users { out = \"_hsstun\" }\n",
	    "c:1: each role wants a user of its own" }
};

static void
test_bad(void **state)
{
	(void)state;
	confkit_refused(bad, sizeof(bad) / sizeof(bad[0]));
}

/* Who wants nothing of others has nobody connect to them. */
static void
test_defaults(void **state)
{
	struct conf *c = confkit_good(LOCAL PLAIN);

	(void)state;
	assert_int_equal(conf_out(c), CONF_OUT_NONE);
	assert_int_equal(c->acme.nnames, 0);
	assert_false(c->acme.alpn);
	assert_string_equal(c->acme.directory,
	    "https://acme-v02.api.letsencrypt.org/directory");
	assert_null(c->files.acme_account);
	assert_null(c->files.acme_key);
	assert_int_equal(c->fetch.nurls, 0);
	assert_int_equal(c->fetch.update_s, 3 * 3600);
	assert_int_equal(c->fetch.avoid_s, 0);
	assert_int_equal(c->fetch.nallow, 0);
	assert_null(c->fetch.ca);
	assert_string_equal(c->users.out, "_hsout");
	conf_free(c);
	/* A map's relays may be asked how they are; ours alone is not. */
	c = confkit_good(DERP "map_file = \"m\" }\n");
	assert_int_equal(conf_out(c), CONF_OUT_MAY);
	conf_free(c);
	c = confkit_good(DERP "server { enabled = true plain = true } }\n");
	assert_int_equal(conf_out(c), CONF_OUT_NONE);
	conf_free(c);
	c = confkit_good(DERP "map_file = \"m\" "
	    "urls = { \"https://[::1]:1/m?a=b\" } }\n");
	assert_int_equal(conf_out(c), CONF_OUT_MUST);
	conf_free(c);
}

static void
test_everything(void **state)
{
	struct conf *c = confkit_good(ACME "names = { \"HS.example.org.\", "
	    "\"192.0.2.7\", \"2001:DB8:0::1\" }\n"
	    "directory = \"https://ca.example:14000/dir?x=1\"\n"
	    "contact = { \"admin@example.org\", \"mailto:b@c\" }\n"
	    "challenge = \"tls-alpn-01\"\n"
	    "account_key_file = \"a.key\" key_file = \"/k/b.key\" }\n"
	    "derp { urls = { \"https://a.example/1\", \"https://192.0.2.1/\" } "
	    "update = 1h avoid_after = 10m }\n"
	    "fetch { allow = { \"10.0.0.0/8\", \"192.0.2.7\", \"fd00::1\" } "
	    "ca_file = \"ca.pem\" }\nusers { out = \"_x\" }\n");
	struct ip ip;

	(void)state;
	assert_int_equal(conf_out(c), CONF_OUT_MUST);
	assert_int_equal(c->acme.nnames, 3);
	assert_string_equal(c->acme.names[0], "hs.example.org");
	assert_string_equal(c->acme.names[1], "192.0.2.7");
	assert_string_equal(c->acme.names[2], "2001:db8::1");
	assert_string_equal(c->acme.directory,
	    "https://ca.example:14000/dir?x=1");
	assert_int_equal(c->acme.ncontacts, 2);
	assert_string_equal(c->acme.contact[0], "mailto:admin@example.org");
	assert_string_equal(c->acme.contact[1], "mailto:b@c");
	assert_true(c->acme.alpn);
	assert_string_equal(c->files.acme_account, "/etc/x/a.key");
	assert_string_equal(c->files.acme_key, "/k/b.key");
	assert_true(c->hsts);
	assert_int_equal(c->fetch.nurls, 2);
	assert_string_equal(c->fetch.urls[1], "https://192.0.2.1/");
	assert_int_equal(c->fetch.update_s, 3600);
	assert_int_equal(c->fetch.avoid_s, 600);
	assert_int_equal(c->fetch.nallow, 3);
	assert_int_equal(c->fetch.allow[0].bits, 8);
	assert_int_equal(c->fetch.allow[1].bits, 32);
	assert_int_equal(c->fetch.allow[2].bits, 128);
	assert_true(ip_parse(&ip, slice_str("fd00::1")));
	assert_true(ip_eq(&c->fetch.allow[2].addr, &ip));
	assert_string_equal(c->fetch.ca, "/etc/x/ca.pem");
	assert_string_equal(c->users.out, "_x");
	assert_int_equal(c->nwarnings, 0);
	conf_free(c);
	c = confkit_good(ACME NAMES "}\n");
	assert_string_equal(c->files.acme_account,
	    "/var/lib/headscaled/acme-account.key");
	assert_string_equal(c->files.acme_key, "/var/lib/headscaled/acme.key");
	assert_int_equal(c->nwarnings, 0);
	conf_free(c);
}

/* Where the CA asks there should be somebody who answers. */
static void
test_warnings(void **state)
{
	static const struct {
		const char	*text;
		const char	*warning;
	} t[] = {
		{ URL LISTEN "acme {\n" NAMES "}\n", "c:3: the CA asks on port "
		    "80, where nothing listens without tls: somebody has to "
		    "pass it on" },
		{ URL LISTEN "listen \"b\" { address = \"*\" port = 80 tls = "
		    "on }\nacme {\n" NAMES "challenge = \"http-01\" }\n",
		    "c:6: the CA asks on port 80, where nothing listens "
		    "without tls: somebody has to pass it on" },
		{ URL "listen \"a\" { address = \"*\" port = 444 tls = on }\n"
		    "acme {\n" NAMES "challenge = \"tls-alpn-01\" }\n",
		    "c:5: the CA asks on port 443, where nothing listens with "
		    "tls: somebody has to pass it on" },
		{ URL LISTEN "listen \"b\" { address = \"*\" port = 80 tls = "
		    "either }\nacme {\n" NAMES "}\n", NULL },
		{ URL "listen \"a\" { address = \"*\" port = 443 tls = either "
		    "}\nacme {\n" NAMES "challenge = \"tls-alpn-01\" }\n",
		    NULL }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		confkit_warns(t[i].text, t[i].warning);
	confkit_warns(LOCAL PLAIN "acme {\n" NAMES "}\n", "c:3: no listener "
	    "speaks TLS: the certificate is of no use");
}

static void
test_reloadable(void **state)
{
	static const struct {
		const char	*text;
		const char	*why;
	} t[] = {
		{ ACME "names = { \"b.example.org\" } challenge = "
		    "\"tls-alpn-01\" }\nderp { urls = { \"https://a/\" } }\n"
		    "fetch { allow = { \"::1\" } ca_file = \"x\" }\n", NULL },
		{ GOOD "tls { self_signed = on }\n", "c:1: acme|names changes "
		    "only with a restart" },
		{ ACME NAMES "key_file = \"x\" }\n",
		    "c:6: acme|key_file changes only with a restart" },
		{ ACME NAMES "account_key_file = \"x\" }\n",
		    "c:6: acme|account_key_file changes only with a restart" },
		{ ACME NAMES "}\nusers {\nout = \"_x\" }\n",
		    "c:8: users|out changes only with a restart" }
	};
	struct conf *a = confkit_good(ACME NAMES "}\n");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		confkit_reload(a, t[i].text, t[i].why);
	conf_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_reloadable)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
