/* headscaled.conf: what is refused, with which words and where; defaults. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "master/conf_schema.h"
#include "regress/lib/confkit.h"

#define URL	"server_url = \"http://127.0.0.1:8080\"\n"
#define LISTEN	"listen \"a\" { address = \"127.0.0.1\" port = 8080 }\n"
#define GOOD	URL LISTEN		/* two lines */

static const struct scan_macro macros[] = {
	{ (char *)(uintptr_t)"url", (char *)(uintptr_t)"http://localhost" },
	{ (char *)(uintptr_t)"port", (char *)(uintptr_t)"81" },
	{ (char *)(uintptr_t)"ctl", (char *)(uintptr_t)"a\nb" },
	{ (char *)(uintptr_t)"bad", (char *)(uintptr_t)"a\xff" }
};

/* Files that can be included. */
static char *
on_read(const char *name, const char *from, char **full, size_t *n, char *why,
    size_t whylen, void *arg)
{
	const char *text;

	(void)from;
	(void)arg;
	if (strcmp(name, "two.conf") == 0)
		text = "\n\nworkers = 2\n";
	else if (strcmp(name, "bad.conf") == 0)
		text = "\nworkers = \"2\n";
	else if (strcmp(name, "loop.conf") == 0)
		text = "include(\"loop.conf\")\n";
	else if (strcmp(name, "open.conf") == 0)
		text = "log {\n";
	else if (strcmp(name, "close.conf") == 0)
		text = "}\n";
	else {
		snprintf(why, whylen, "%s: No such file or directory", name);
		return NULL;
	}
	*full = xstrdup(name);
	*n = strlen(text);
	return xstrdup(text);
}

static const struct scan_env texts = { macros, 4, on_read, NULL };

static const struct confkit_row bad[] = {
	/* What libconfuse lets pass. */
	{ URL "listen \"a\" {\n\taddress = \"*\"\n\tport = 80\n",
	    "c:2: section listen is not closed" },
	{ GOOD "dns {\n split \"a.b\" {\n nameservers = {\"1.1.1.1\"}\n }\n",
	    "c:3: section dns is not closed" },
	{ URL "listen \"a\" {\naddress = \"*\"\nport = 80\nlog { }\n}\n",
	    "c:5: unknown section log in section listen (is that section "
	    "closed?)" },
	{ GOOD "}\n", "c:3: '}' closes nothing" },
	{ GOOD "workers = 2\n\nworkers = 2\n",
	    "c:5: workers is given twice, first in line 3" },
	{ GOOD "prefixes = { \"10.0.0.0/8\" }\nprefixes = { }\n",
	    "c:4: prefixes is given twice, first in line 3" },
	{ GOOD "log { }\nlog { }\n",
	    "c:4: section log is given twice, first in line 3" },
	{ GOOD LISTEN,
	    "c:3: section listen \"a\" is given twice, first in line 2" },
	{ GOOD "log { level = info\n level = info }\n",
	    "c:4: level is given twice, first in line 3" },
	{ LISTEN, "c:1: missing server_url" },
	{ URL, "c:1: missing listen \"name\" { address = ... port = ... }" },
	{ URL "\nlisten \"a\" { address = \"*\" }\n",
	    "c:3: missing port in section listen \"a\"" },
	{ URL "\nlisten \"a\" { port = 80 }\n",
	    "c:3: missing address in section listen \"a\"" },
	{ GOOD "workers = \"\"\n", "c:3: workers: empty value" },
	{ GOOD "dns { search = { \"\" } }\n", "c:3: search: empty value" },
	{ GOOD "workers = 010\n", "c:3: workers: '010' is not a number" },
	{ GOOD "workers = 0x8\n", "c:3: workers: '0x8' is not a number" },
	{ GOOD "workers = \" 8\"\n", "c:3: workers: ' 8' is not a number" },
	{ GOOD "workers = -1\n", "c:3: workers: '-1' is not a number" },
	{ GOOD "workers = 99999999999999999999\n",
	    "c:3: workers: '99999999999999999999' is not a number" },
	{ GOOD "state_dir = \"${HOME}/x\"\n", "c:3: environment variables are "
	    "not expanded: use -D name=value and $name" },
	{ GOOD "state_dir = ${HOME}\n", "c:3: environment variables are "
	    "not expanded: use -D name=value and $name" },
	{ GOOD "dns { search += { \"a.b\" } }\n",
	    "c:3: += is not supported: write the list once" },
	/* Words, strings, comments. */
	{ GOOD "state_dir = \"/a\n\"\n", "c:3: string is not closed" },
	{ GOOD "\nstate_dir = '/a", "c:4: string is not closed" },
	{ GOOD "/* a\n\nb", "c:3: comment is not closed" },
	{ GOOD "state_dir = \"\\n\"\n", "c:3: only \\\\, \\\" and \\' may be "
	    "escaped in a string" },
	{ "server_url = http://127.0.0.1\n",
	    "c:1: put this value in quotes" },
	{ GOOD "state_dir = a%b\n", "c:3: put this value in quotes" },
	{ GOOD "workers 2\n", "c:3: workers: '=' or '{' is missing" },
	{ GOOD "workers\n= 2\nx", "c:5: x: '=' or '{' is missing" },
	{ GOOD "workers =\n", "c:3: workers: a value is expected, not end of "
	    "file" },
	{ GOOD "workers = }\n", "c:3: workers: a value is expected, not '}'" },
	{ GOOD "\"workers\" = 2\n", "c:3: the name of a key or section is "
	    "expected here" },
	{ GOOD "= 2\n", "c:3: the name of a key or section is expected here" },
	{ GOOD "!\n", "c:3: unexpected character '!'" },
	{ GOOD "a\001b\n", "c:3: control character" },
	{ GOOD "state_dir = \"\xff\"\n", "c:1: the file is not UTF-8" },
	{ GOOD "prefixes = { \"10.0.0.0/8\"\n\n", "c:3: list prefixes is not "
	    "closed" },
	{ GOOD "prefixes = { \"10.0.0.0/8\" \"fd00::/8\" }\n",
	    "c:3: list prefixes: a comma is missing" },
	{ GOOD "prefixes = { , }\n",
	    "c:3: list prefixes: a value is expected here" },
	{ GOOD "a { a { a { a { a { a { a { a { a { } } } } } } } } }\n",
	    "c:3: sections are nested too deeply" },
	/* Macros and includes. */
	{ "server_url = $nothing\n", "c:1: macro $nothing is not defined" },
	{ "server_url = $ctl\n", "c:1: control character in a value" },
	{ "server_url = $bad\n", "c:1: macro is not UTF-8" },
	{ GOOD "include(\"none.conf\")\n",
	    "c:3: include: none.conf: No such file or directory" },
	{ GOOD "include(\"bad.conf\")\n", "bad.conf:2: string is not closed" },
	{ GOOD "include(\"open.conf\")\n}\n",
	    "open.conf:1: section log is not closed" },
	{ GOOD "log {\ninclude(\"close.conf\")\n", "c:4: include stands "
	    "outside of sections only" },
	{ GOOD "include(\"close.conf\")\n",
	    "close.conf:1: '}' closes nothing" },
	{ GOOD "include(\"loop.conf\")\n",
	    "loop.conf:1: too many files include one another" },
	{ GOOD "workers = 3\ninclude(\"two.conf\")\n",
	    "two.conf:3: workers is given twice, first in c:3" },
	{ GOOD "include(\"two.conf\")\nworkers = 3\n",
	    "c:4: workers is given twice, first in two.conf:3" },
	{ GOOD "include \"two.conf\"\n", "c:3: include: '=' or '{' is "
	    "missing" },
	/* Keys and sections. */
	{ GOOD "wokers = 2\n", "c:3: unknown key wokers" },
	{ GOOD "wokers { }\n", "c:3: unknown section wokers" },
	{ GOOD "log { levle = 2 }\n", "c:3: unknown key levle in section log" },
	{ GOOD "\nmetrics { }\n", "c:4: section metrics is not built yet" },
	{ GOOD "oidc \"x\" { }\n", "c:3: section oidc is not built yet" },
	{ URL "listen \"a\" { role = api }\n",
	    "c:2: key listen|role is not built yet" },
	{ GOOD "derp { region = { \"a\" } }\n",
	    "c:3: key derp|region is not built yet" },
	{ GOOD "workers { }\n", "c:3: workers is not a section: write workers "
	    "= ..." },
	{ GOOD "log = 2\n", "c:3: log is a section: write log { ... }" },
	{ GOOD "log \"x\" { }\n", "c:3: log has no name: write log { ... }" },
	{ URL "listen { }\n", "c:2: listen wants a name: write listen "
	    "\"name\" { ... }" },
	{ GOOD "prefixes = \"10.0.0.0/8\"\n", "c:3: prefixes is a list: write "
	    "prefixes = { ... }" },
	{ GOOD "workers = { 2 }\n", "c:3: workers is one value, not a list: "
	    "write workers = ..." },
	{ GOOD "dns {\nmagic_dns = maybe\n}\n",
	    "c:4: invalid boolean value for option 'magic_dns'" },
	/* Secrets. */
	{ GOOD "noise_private_key = \"x\"\n", "c:3: noise_private_key: a "
	    "secret does not belong here: put it into a file of its own and "
	    "name that" },
	{ GOOD "database { conninfo = \"password=x\" }\n",
	    "c:3: section database is not built yet" },
	{ GOOD "client_secret = \"x\"\n", "c:3: client_secret: a secret does "
	    "not belong here: put it into a file of its own and name that" },
	{ GOOD "noise_key_file = \"privkey:0123\"\n", "c:3: noise_key_file: a "
	    "secret does not belong here: put it into a file of its own and "
	    "name that" },
	{ GOOD "dns {\nsearch = { \"a.b\", \"tskey-auth-1\" } }\n",
	    "c:4: search: a secret does not belong here: put it into a file "
	    "of its own and name that" },
	{ "server_url = \"http://me:pw@host\"\n" LISTEN,
	    "c:1: server_url: a user or a secret does not belong here" },
	/* Ranges. */
	{ GOOD "workers = 65\n", "c:3: workers must be between 0 and 64" },
	{ URL "listen \"a\" {\naddress = \"*\"\nport = 0 }\n",
	    "c:4: port must be between 1 and 65535" },
	{ URL "listen \"a\" {\naddress = \"*\"\nport = 65536 }\n",
	    "c:4: port must be between 1 and 65535" },
	{ GOOD "limits {\n\n request_header = 100 }\n", "c:5: request_header "
	    "must be between 8192 and 65536 octets" },
	{ GOOD "timeouts { keepalive = 2m }\n",
	    "c:3: keepalive must be between 5 and 100 seconds" },
	{ GOOD "timeouts { keepalive = 101 }\n",
	    "c:3: keepalive must be between 5 and 100 seconds" },
	{ GOOD "limits { per_source = 1000001 }\n",
	    "c:3: per_source must be between 0 and 1000000" },
	{ GOOD "limits { max_nodes = 100001 }\n",
	    "c:3: max_nodes must be between 1 and 100000" },
	{ GOOD "limits { node_refill = 60001ms }\n",
	    "c:3: node_refill must be between 1 and 60000 ms" },
	{ GOOD "limits { worker_queue = 16777215 }\n", "c:3: worker_queue "
	    "must be between 16777216 and 1073741824 octets" },
	{ GOOD "timeouts { keepalive = soon }\n", "c:3: keepalive: 'soon' is "
	    "not a time like 90s, 30m, 24h or 180d" },
	{ GOOD "timeouts { grace = 1msx }\n", "c:3: grace: '1msx' is not a "
	    "time like 500ms, 90s, 30m or 24h" },
	{ GOOD "timeouts { grace = ms }\n", "c:3: grace: 'ms' is not a "
	    "time like 500ms, 90s, 30m or 24h" },
	{ GOOD "timeouts { node_expiry = 5s }\n",
	    "c:3: node_expiry must be 0 or at least 60 seconds" },
	/* Addresses. */
	{ URL "listen \"a\" {\naddress = \"host\"\nport = 80 }\n",
	    "c:3: 'host' is neither an IP address nor \"*\"" },
	{ GOOD "listen \"b\" {\naddress = \"127.0.0.1\" port = 8080 }\n",
	    "c:4: 127.0.0.1:8080 is given twice, first in c:2" },
	{ GOOD "prefixes = { }\n", "c:3: at least one prefix is needed" },
	{ GOOD "prefixes = { \"100.64.0.1/10\" }\n", "c:3: '100.64.0.1/10' is "
	    "not a prefix like 100.64.0.0/10, with no bits set behind its "
	    "length" },
	{ GOOD "prefixes = { \"10.0.0.0/8\", \"100.64.0.0/10\" }\n",
	    "c:3: at most one IPv4 and one IPv6 prefix" },
	{ GOOD "prefixes = { \"100.64.0.0/31\" }\n",
	    "c:3: 100.64.0.0/31 is too small" },
	{ GOOD "prefixes = { \"0.0.0.0/0\" }\n", "c:3: 0.0.0.0/0 is too "
	    "large" },
	{ GOOD "allocation = \"some\"\n", "c:3: allocation must be "
	    "\"sequential\" or \"random\"" },
	/* Names. */
	{ "server_url = \"ftp://x\"\n" LISTEN,
	    "c:1: server_url must begin with http:// or https://" },
	{ "server_url = \"http://x/path\"\n" LISTEN, "c:1: server_url must be "
	    "a scheme, a host and a port, with no path" },
	{ "server_url = \"http://x?q\"\n" LISTEN, "c:1: server_url must be "
	    "a scheme, a host and a port, with no path" },
	{ "server_url = \"http://x:0\"\n" LISTEN,
	    "c:1: server_url: the port must be between 1 and 65535" },
	{ "server_url = \"http://x:\"\n" LISTEN,
	    "c:1: server_url: the port must be between 1 and 65535" },
	{ "server_url = \"http://x:99999\"\n" LISTEN,
	    "c:1: server_url: the port must be between 1 and 65535" },
	{ "server_url = \"http://\"\n" LISTEN,
	    "c:1: server_url: '' is neither a host name nor an address" },
	{ "server_url = \"http://a..b\"\n" LISTEN,
	    "c:1: server_url: 'a..b' is neither a host name nor an address" },
	{ "server_url = \"http://::1\"\n" LISTEN,
	    "c:1: server_url: ':' is neither a host name nor an address" },
	{ "server_url = \"http://[1.2.3.4]\"\n" LISTEN, "c:1: server_url: "
	    "'[1.2.3.4]' is neither a host name nor an address" },
	{ GOOD "base_domain = \"a b\"\n",
	    "c:3: 'a b' is not a DNS name of at most 189 octets" },
	{ "server_url = \"http://a.example.com\"\n" LISTEN
	    "base_domain = \"A.example.com.\"\n",
	    "c:3: base_domain must differ from the host of server_url" },
	{ "server_url = \"http://a.Example.com\"\n" LISTEN
	    "base_domain = \"example.com\"\n", "c:3: base_domain must not "
	    "contain the host of server_url (a.example.com)" },
	{ "server_url = \"http://tailnet.internal\"\n" LISTEN,
	    "c:1: base_domain must differ from the host of server_url" },
	{ GOOD "dns {\nsearch = { \"-a\" } }\n", "c:4: '-a' is not a DNS "
	    "name" },
	{ GOOD "dns {\nsearch = { \"a\", \"A.\" } }\n",
	    "c:4: a is given twice" },
	{ GOOD "dns {\nsplit \"a b\" { nameservers = { \"1.1.1.1\" } } }\n",
	    "c:4: split: 'a b' is not a DNS name" },
	{ GOOD "dns {\nsplit \"a\" { } }\n",
	    "c:4: missing nameservers in section split \"a\"" },
	{ GOOD "dns {\nsplit \"a\" { nameservers = { \"1.1.1.1\" } }\n"
	    "split \"A\" { nameservers = { \"1.1.1.1\" } } }\n",
	    "c:5: section split \"a\" is given twice" },
	{ GOOD "dns {\nsplit \"a\" {\nnameservers = { \"x\" } } }\n",
	    "c:5: 'x' is neither an address, nor address:port, nor an https "
	    "URL" },
	{ GOOD "dns {\nnameservers = { \"https://a b/\" } }\n",
	    "c:4: 'https://a b/' is neither an address, nor address:port, nor "
	    "an https URL" },
	{ GOOD "dns {\noverride_local = true }\n",
	    "c:4: override_local wants at least one nameserver" },
	{ GOOD "users { worker = \"Root User\" }\n",
	    "c:3: 'Root User' is not the name of a user or group" },
	{ GOOD "users { worker = \"_hskeyd\" }\n",
	    "c:1: each role wants a user of its own" },
	{ GOOD "users { policyc = \"_hsdbd\" }\n",
	    "c:1: each role wants a user of its own" },
	{ GOOD "policy {\nmode = \"file\" }\n",
	    "c:4: mode \"file\" wants a path" },
	{ GOOD "policy {\nmode = \"both\" }\n",
	    "c:4: mode must be \"database\" or \"file\"" },
	{ GOOD "policy {\nfile = \"x\" }\n",
	    "c:4: unknown key file in section policy" },
	{ GOOD "domains = { \"a b\" }\n",
	    "c:3: 'a b' is not a DNS name" },
	{ GOOD "domains = { \"a.com\", \"A.com\" }\n",
	    "c:3: a.com is given twice" },
	{ GOOD "chroot = \"/run/headscaled\"\n", "c:3: chroot must be an empty "
	    "folder, not state_dir or run_dir" },
	{ GOOD "log { level = \"loud\" }\n",
	    "c:3: level must be \"info\" or \"debug\"" },
	{ GOOD "log { target = \"file\" }\n",
	    "c:3: target must be \"syslog\" or \"stderr\"" }
};

static void
test_bad(void **state)
{
	(void)state;
	confkit_refused(bad, sizeof(bad) / sizeof(bad[0]));
}

static void
test_defaults(void **state)
{
	struct conf *c = confkit_good(GOOD);
	char text[PREFIX_TEXT];

	(void)state;
	assert_string_equal(c->server_url, "http://127.0.0.1:8080");
	assert_string_equal(c->server_host, "127.0.0.1");
	assert_string_equal(c->base_domain, "tailnet.internal");
	prefix_print(text, &c->prefix4);
	assert_string_equal(text, "100.64.0.0/10");
	prefix_print(text, &c->prefix6);
	assert_string_equal(text, "fd7a:115c:a1e0::/48");
	assert_false(c->random);
	assert_int_equal(c->workers, 4);
	assert_int_equal(c->naddrs, 1);
	assert_int_equal(c->addrs[0].at.port, 8080);
	assert_string_equal(c->addrs[0].where, "c:2");
	assert_true(c->magic_dns);
	assert_false(c->override_local);	/* no nameserver */
	assert_true(c->taildrop);
	assert_false(c->logtail);
	assert_false(c->randomize_port);
	assert_string_equal(c->files.state_dir, "/var/lib/headscaled");
	assert_string_equal(c->files.noise_key,
	    "/var/lib/headscaled/noise.key");
	assert_string_equal(c->files.control_socket,
	    "/run/headscaled/headscaled.sock");
	assert_string_equal(c->files.pid_file,
	    "/run/headscaled/headscaled.pid");
	assert_string_equal(c->files.chroot, "/run/headscaled/empty");
	assert_null(c->files.libexec_dir);
	assert_null(c->files.derp_map);
	assert_null(c->files.records);
	assert_null(c->files.policy);
	assert_int_equal(c->ndomains, 0);
	assert_string_equal(c->users.policyc, "_hspolicy");
	assert_string_equal(c->users.keyd, "_hskeyd");
	assert_string_equal(c->users.group, "_headscaled");
	assert_int_equal(c->limits.per_source, 256);
	assert_int_equal(c->limits.header_max, 16384);
	assert_int_equal(c->limits.body_max, 1 << 20);
	assert_int_equal(c->limits.worker_queue, 64 << 20);
	assert_int_equal(c->limits.node_burst, 8);
	assert_int_equal(c->limits.node_refill_ms, 10000);
	assert_int_equal(c->times.handshake_s, 10);
	assert_int_equal(c->times.idle_s, 300);
	assert_int_equal(c->times.keepalive_s, 50);
	assert_int_equal(c->times.stall_s, 60);
	assert_int_equal(c->times.overload_ms, 5000);
	assert_int_equal(c->times.grace_ms, 10000);
	assert_int_equal(c->times.ephemeral_s, 120);
	assert_int_equal(c->times.resume_ms, 5000);
	assert_int_equal(c->times.presume_s, 60);
	assert_int_equal(c->times.node_expiry_s, 0);
	assert_int_equal(c->nwarnings, 0);
	conf_free(c);
}

static void
test_everything(void **state)
{
	struct conf *c;

	(void)state;
	c = confkit_good("# all of it\n"
	    "server_url = $url // a macro\n"
	    "base_domain = 'Tail.Example.COM.' /* a\n comment */\n"
	    "prefixes = { \"fd7a:115c:a1e0:1::/64\", }\n"
	    "allocation = random workers = 3 group = \"wheel\"\n"
	    "state_dir = \"state\" run_dir = '.' chroot = \"/e\\\\m\\'pty\"\n"
	    "users { worker = a keyd = b dbd = c }\n"
	    "listen \"x\" { address = \"*\" port = $port }\n"
	    "listen y { address = \"::1\" port = 81 }\n"
	    "dns { magic_dns = off nameservers = { 1.1.1.1, "
	    "\"[2606:4700::1]:53\", \"https://dns.example/q\" }\n"
	    "search = { \"B.example\" } extra_records_file = \"rec.json\"\n"
	    "split \"corp.example\" { nameservers = { \"10.0.0.53\" } } }\n"
	    "derp { map_file = \"/d/map\" }\n"
	    "policy { mode = file path = \"p.hujson\" }\n"
	    "domains = { \"Example.com\", \"x.org\" }\n"
	    "client { taildrop = no logtail = yes randomize_port = on }\n"
	    "log { level = debug target = stderr }\n"
	    "limits { connections = 100 per_source = 0 change_log = 500 }\n"
	    "timeouts { grace = 250ms node_expiry = 180d overload = 2s }\n");
	assert_string_equal(c->server_url, "http://localhost");
	assert_string_equal(c->base_domain, "tail.example.com");
	assert_int_equal(c->prefix4.addr.family, 0);
	assert_int_equal(c->prefix6.bits, 64);
	assert_true(c->random);
	assert_int_equal(c->workers, 3);
	assert_string_equal(c->files.state_dir, "/etc/x/state");
	assert_string_equal(c->files.chroot, "/e\\m'pty");
	assert_string_equal(c->files.pid_file, "/etc/x/./headscaled.pid");
	assert_string_equal(c->files.records, "/etc/x/rec.json");
	assert_string_equal(c->files.derp_map, "/d/map");
	assert_string_equal(c->files.policy, "/etc/x/p.hujson");
	assert_int_equal(c->ndomains, 2);
	assert_string_equal(c->domains[0], "example.com");
	assert_int_equal(c->naddrs, 3);
	assert_true(c->addrs[0].any);
	assert_int_equal(c->addrs[1].at.addr.family, 6);
	assert_false(c->addrs[2].any);
	assert_false(c->magic_dns);
	assert_true(c->override_local);
	assert_int_equal(c->nresolvers, 3);
	assert_string_equal(c->search[0], "b.example");
	assert_int_equal(c->nsplits, 1);
	assert_string_equal(c->splits[0].suffix, "corp.example");
	assert_string_equal(c->splits[0].resolvers[0], "10.0.0.53");
	assert_false(c->taildrop);
	assert_true(c->logtail);
	assert_true(c->randomize_port);
	assert_true(c->log_debug);
	assert_true(c->log_stderr);
	assert_int_equal(c->times.grace_ms, 250);
	assert_int_equal(c->times.node_expiry_s, 180 * 86400);
	assert_int_equal(c->times.overload_ms, 2000);
	assert_string_equal(c->users.dbd, "c");
	assert_string_equal(c->users.group, "wheel");
	conf_free(c);
}

/* protocol.md 1.3: which servers plain http does for. */
static void
test_warnings(void **state)
{
	static const struct {
		const char	*url;
		const char	*warning;
	} t[] = {
		{ "http://127.0.0.1", NULL },
		{ "http://10.1.2.3:80", NULL },
		{ "http://[fd00::1]:8080", NULL },
		{ "http://[::1]", NULL },
		{ "http://localhost:8080", NULL },
		{ "http://server.lan", "c:1: plain http on a public host: "
		    "clients that reconnect within 2 minutes try only https" },
		{ "http://169.254.1.1", "c:1: plain http on a public host: "
		    "clients that reconnect within 2 minutes try only https" },
		{ "http://8.8.8.8", "c:1: plain http on a public host: "
		    "clients that reconnect within 2 minutes try only https" },
		{ "https://server.lan", "c:1: https: no listener speaks TLS, "
		    "a proxy in front must speak it" }
	};
	struct conf *c;
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), "server_url = \"%s\"\n" LISTEN,
		    t[i].url);
		confkit_warns(text, t[i].warning);
	}
	confkit_warns(GOOD "prefixes = { \"10.0.0.0/8\" }\n", "c:3: clients "
	    "treat only 100.64.0.0/10 as theirs: 10.0.0.0/8 may not work");
	c = confkit_good(GOOD "policy { path = \"/x\" }\n");
	assert_int_equal(c->nwarnings, 1);
	assert_string_equal(c->warnings[0], "c:3: path is not read unless "
	    "mode is \"file\"");
	assert_null(c->files.policy);
	conf_free(c);
}

static void
test_include(void **state)
{
	struct conf *c;
	char at[64];

	(void)state;
	c = confkit_good(GOOD "\ninclude(\"two.conf\")\nlog { }\n");
	assert_int_equal(c->workers, 2);
	conf_where(c, "workers", at, sizeof(at));
	assert_string_equal(at, "two.conf:3");
	conf_where(c, "log[0]|level", at, sizeof(at));
	assert_string_equal(at, "c:5");		/* not given: its section */
	conf_where(c, "chroot", at, sizeof(at));
	assert_string_equal(at, "c:1");
	conf_free(c);
}

static void
test_reloadable(void **state)
{
	static const struct {
		const char	*more;
		const char	*why;
	} t[] = {
		{ "", NULL },
		{ "dns { magic_dns = off }\n", NULL },
		{ "derp { map_file = \"x\" }\n", NULL },
		{ "policy { mode = file path = \"x\" }\n", NULL },
		{ "domains = { \"x.org\" }\n", NULL },
		{ "users {\npolicyc = \"x\" }\n",
		    "c:4: users|policyc changes only with a restart" },
		{ "listen \"b\" { address = \"::1\" port = 8080 }\n", NULL },
		{ "workers = 5\n", "c:3: workers changes only with a restart" },
		{ "\nstate_dir = \"/x\"\n",
		    "c:4: state_dir changes only with a restart" },
		{ "users {\nkeyd = \"x\" }\n",
		    "c:4: users|keyd changes only with a restart" },
		{ "users {\nstun = \"x\" }\n",
		    "c:4: users|stun changes only with a restart" },
		{ "tls { self_signed = yes }\n", NULL },
		{ "libexec_dir = \"/x\"\n",
		    "c:3: libexec_dir changes only with a restart" },
		{ "log { target = stderr }\n",
		    "c:3: log|target changes only with a restart" }
	};
	struct conf *a = confkit_good(GOOD);
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), GOOD "%s", t[i].more);
		confkit_reload(a, text, t[i].why);
	}
	conf_free(a);
}

/* The limits of the first pass itself. */
static void
test_bounds(void **state)
{
	struct scan_env env = { NULL, 0, NULL, NULL };
	char *text, why[256], value[SCAN_VALUE_MAX + 2];
	size_t i, n = 0, cap = SCAN_ITEMS_MAX * 32;
	struct scan *s;

	(void)state;
	text = malloc(cap);
	assert_non_null(text);
	for (i = 0; i <= SCAN_ITEMS_MAX; i++)
		n += (size_t)snprintf(text + n, cap - n, "k%zu = 1\n", i);
	assert_null(scan_new("c", text, n, &env, why, sizeof(why)));
	assert_string_equal(why, "c:4097: more than 4096 items");
	memset(value, 'a', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	n = (size_t)snprintf(text, cap, "k = \"%s\"\n", value);
	assert_null(scan_new("c", text, n, &env, why, sizeof(why)));
	assert_string_equal(why, "c:1: value is longer than 1024 octets");
	n = (size_t)snprintf(text, cap, "k = \"%s\"\n", value + 1);
	s = scan_new("c", text, n, &env, why, sizeof(why));
	assert_non_null(s);
	assert_int_equal(scan_count(s), 1);
	scan_free(s);
	assert_null(scan_new("c", "a = 1\0", 6, &env, why, sizeof(why)));
	assert_string_equal(why, "c:1: control character");
	assert_null(scan_new("c", "include(\"x\")", 12, &env, why,
	    sizeof(why)));
	assert_string_equal(why, "c:1: nothing can be included here");
	s = scan_new("c", "", 0, &env, why, sizeof(why));
	assert_non_null(s);
	assert_int_equal(scan_count(s), 0);
	scan_free(s);
	free(text);
}

/* The plain form says the same in one way only. */
static void
test_plain(void **state)
{
	struct scan_env env = { macros, 4, NULL, NULL };
	struct scan *s;
	const char *text = "a = b # c\nl = { 'x', \"y'\\\\z\", }\n"
	    "s 't' { k = $port } s \"u\" {}\n";
	char why[256];

	(void)state;
	s = scan_new("c", text, strlen(text), &env, why, sizeof(why));
	assert_non_null(s);
	assert_string_equal(scan_text(s), "a = 'b'\nl = {'x', 'y\\'\\\\z'}\n"
	    "s 't' {\nk = '81'\n}\ns 'u' {\n}\n");
	assert_string_equal(scan_at(s, 3)->path, "s[0]|k");
	assert_string_equal(scan_at(s, 5)->path, "s[1]");
	assert_string_equal(scan_at(s, 5)->value, "u");
	assert_int_equal(scan_at(s, 5)->line, 3);
	scan_free(s);
}

/* A file of the tree; tests run at its top. */
static char *
slurp(const char *path)
{
	char *text;
	size_t n;
	FILE *f;

	if ((f = fopen(path, "r")) == NULL)
		fail_msg("%s: not found, run this at the top of the tree",
		    path);
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	assert_true(n > 0);
	fclose(f);
	return text;
}

static void
documented(const cfg_opt_t *opts, const char *manual, const char *sample)
{
	char item[80];

	for (; opts->name != NULL; opts++) {
		/* libconfuse adds one of its own. */
		if (opts->name[0] == '_')
			continue;
		snprintf(item, sizeof(item), opts->type == CFGT_SEC &&
		    strcmp(opts->name, "split") != 0 &&
		    strcmp(opts->name, "keypair") != 0 ? ".Ss %s" :
		    ".It Ic %s", opts->name);
		if (strstr(manual, item) == NULL)
			fail_msg("%s: not in headscaled.conf(5)", opts->name);
		if (strstr(sample, opts->name) == NULL)
			fail_msg("%s: not in the sample", opts->name);
		if (opts->type == CFGT_SEC)
			documented(opts->subopts, manual, sample);
	}
}

/* Every key is in the manual and in the sample, which is good as it is. */
static void
test_manual(void **state)
{
	char *manual = slurp("man/headscaled.conf.5");
	char *sample = slurp("etc/headscaled.conf");
	struct conf *c, *d;
	cfg_t *cfg = schema_new();

	(void)state;
	assert_non_null(cfg);
	documented(cfg->opts, manual, sample);
	cfg_free(cfg);
	c = confkit_good(sample);
	assert_int_equal(c->nwarnings, 0);
	/* It shows the defaults. */
	d = confkit_good(GOOD);
	assert_memory_equal(&c->limits, &d->limits, sizeof(c->limits));
	assert_int_equal(c->times.handshake_s, d->times.handshake_s);
	assert_int_equal(c->times.confirm_ms, d->times.confirm_ms);
	assert_int_equal(c->times.idle_s, d->times.idle_s);
	assert_int_equal(c->times.keepalive_s, d->times.keepalive_s);
	assert_int_equal(c->times.stall_s, d->times.stall_s);
	assert_int_equal(c->times.overload_ms, d->times.overload_ms);
	assert_int_equal(c->times.grace_ms, d->times.grace_ms);
	assert_int_equal(c->times.ephemeral_s, d->times.ephemeral_s);
	assert_int_equal(c->times.resume_ms, d->times.resume_ms);
	assert_int_equal(c->times.presume_s, d->times.presume_s);
	assert_string_equal(c->files.state_dir, d->files.state_dir);
	assert_string_equal(c->users.keyd, d->users.keyd);
	conf_free(c);
	conf_free(d);
	free(manual);
	free(sample);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_reloadable),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_manual)
	};

	confkit_env(&texts);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
