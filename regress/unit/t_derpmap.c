/* The DERP map (protocol.md 5.11; derp.md 10, 14 S16; traps 26 to 33). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/streamkit.h"
#include "worker/tailnet/derpmap.h"

#define NODE1	"{\"Name\":\"1a\",\"RegionID\":1,\"HostName\":\"a.example\"}"
#define R1(x)	"{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[" NODE1 "]" x \
    "}}}"

#define NO_SCORES "{\"HomeParams\":{\"RegionScore\":{}},"

static void
good(const char *text, const char *want)
{
	struct derpmap *d;
	struct slice got;
	char why[200] = "";

	d = derpmap_parse(text, strlen(text), "derp.json", why, sizeof(why));
	if (d == NULL)
		fail_msg("%s", why);
	got = derpmap_json(d);
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
	derpmap_free(d);
}

static void
bad(const char *text, const char *want)
{
	struct derpmap *d;
	char why[200] = "";

	d = derpmap_parse(text, strlen(text), "derp.json", why, sizeof(why));
	assert_null(d);
	assert_string_equal(why, want);
}

static void
t_least(void **state)
{
	struct derpmap *d;
	char why[10];

	(void)state;
	/* No scores take back what was said before. */
	good(R1(""), NO_SCORES "\"Regions\":{\"1\":{\"RegionID\":1,"
	    "\"Nodes\":[" NODE1 "]}}}");
	d = derpmap_parse(R1(""), strlen(R1("")), "x", why, sizeof(why));
	assert_int_equal(derpmap_regions(d), 1);
	derpmap_free(d);
	derpmap_free(NULL);
}

static void
t_all(void **state)
{
	(void)state;
	/* By number, whatever the order; what is unknown is left out. */
	good("{\"omitDefaultRegions\": true,\n"
	    "\"Regions\": {\"900\": {\"RegionID\": 900, \"regioncode\": \"me\","
	    "\"RegionName\": \"Mine\", \"Latitude\": 50.5, \"Longitude\": -8,"
	    "\"Avoid\": false, \"NoMeasureNoHome\": true, \"Junk\": [1],"
	    "\"Nodes\": [{\"Name\": \"900a\", \"RegionID\": 900, \"HostName\":"
	    "\"192.0.2.9\", \"CertName\": \"sha256-raw:"
	    "0000000000000000000000000000000000000000000000000000000000000001"
	    "\", \"IPv4\": \"192.0.2.9\", \"IPv6\": \"none\", \"STUNPort\": -1,"
	    "\"DERPPort\": 8443, \"InsecureForTests\": true, \"CanPort80\":"
	    "true, \"STUNTestIP\": \"192.0.2.1\"}, {\"Name\": \"900b\","
	    "\"RegionID\": 900, \"HostName\": \"b.example\", \"STUNOnly\":"
	    "true, \"STUNPort\": 0, \"IPv6\": \"2001:db8::1\"}]},"
	    "\"7\": {\"RegionID\": 7, \"Avoid\": true, \"Nodes\": [{\"Name\":"
	    "\"7a\", \"RegionID\": 7, \"HostName\": \"c.example\"}]}},"
	    "\"HomeParams\": {\"RegionScore\": {\"7\": 0.5, \"900\": 2}}}",
	    "{\"HomeParams\":{\"RegionScore\":{\"7\":0.5,\"900\":2}},"
	    "\"omitDefaultRegions\":true,"
	    "\"Regions\":{\"7\":{\"RegionID\":7,\"Avoid\":true,\"Nodes\":["
	    "{\"Name\":\"7a\",\"RegionID\":7,\"HostName\":\"c.example\"}]},"
	    "\"900\":{\"RegionID\":900,\"RegionCode\":\"me\","
	    "\"RegionName\":\"Mine\",\"Latitude\":50.5,\"Longitude\":-8,"
	    "\"NoMeasureNoHome\":true,\"Nodes\":[{\"Name\":\"900a\","
	    "\"RegionID\":900,\"HostName\":\"192.0.2.9\",\"CertName\":"
	    "\"sha256-raw:"
	    "0000000000000000000000000000000000000000000000000000000000000001"
	    "\",\"IPv4\":\"192.0.2.9\",\"IPv6\":\"none\",\"STUNPort\":-1,"
	    "\"DERPPort\":8443,\"InsecureForTests\":true,"
	    "\"STUNTestIP\":\"192.0.2.1\",\"CanPort80\":true},"
	    "{\"Name\":\"900b\",\"RegionID\":900,\"HostName\":\"b.example\","
	    "\"IPv6\":\"2001:db8::1\",\"STUNOnly\":true}]}}}");
}

/* What was logged: the last line, and how many. */
static char line[300];
static unsigned int nlines;

static void
on_line(int level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	(void)snprintf(line, sizeof(line), "%s", text);
	nlines++;
}

/* Parses it; what is then in the log is this line, or nothing. */
static void
logs(const char *text, const char *want)
{
	struct derpmap *d;
	char why[200] = "";

	nlines = 0;
	line[0] = '\0';
	log_capture(on_line, NULL);
	d = derpmap_parse(text, strlen(text), "derp.json", why, sizeof(why));
	log_capture(NULL, NULL);
	assert_string_equal(why, "");
	derpmap_free(d);
	assert_int_equal(nlines, want[0] != '\0');
	assert_string_equal(line, want);
}

/* Trap 30: one line for all that has no effect. */
static void
t_unknown(void **state)
{
	(void)state;
	logs(R1(""), "");
	logs(R1(",\"REGIONNAME\":\"x\",\"avoid\":false"), "");
	logs(R1(",\n\"region_name\":\"x\""), "derp.json:2: unknown key "
	    "\"region_name\" has no effect");
	logs("{\"omitDefaultRegions\":true,\"HomeParams\":{\"RegionScore\":"
	    "{\"1\":2}},\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[\n{"
	    "\"Name\":\"1a\",\"RegionID\":1,\"HostName\":\"a\",\"Stun\": 1,"
	    "\"Junk\":[]}]}}}", "derp.json:2: unknown key \"Stun\", like 1 "
	    "more, has no effect");
	logs("{\"HomeParams\":{\n\"score\":{}},\"Regions\":{\"1\":null}}",
	    "derp.json:2: unknown key \"score\" has no effect");
	logs("{\"reg\\u0001ions\":{},\"Regions\":{\"1\":null}}",
	    "derp.json:1: unknown key \"reg\\001ions\" has no effect");
}

/* Trap 32: a client makes a URL of the literal address. */
static void
t_port80(void **state)
{
	static const char *const ip[] = { "", ",\"IPv4\":\"none\"",
	    ",\"IPv4\":\"\"", ",\"IPv4\":\"192.0.2.1\"" };
	char text[300], want[300];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "{\"Regions\":{\"1\":{"
		    "\"RegionID\":1,\"Nodes\":[{\"Name\":\"1a\","
		    "\"RegionID\":1,\"HostName\":\"a.example\"%s,"
		    "\"CanPort80\":true}]}}}", ip[i]);
		snprintf(want, sizeof(want), NO_SCORES "\"Regions\":{\"1\":{"
		    "\"RegionID\":1,\"Nodes\":[{\"Name\":\"1a\","
		    "\"RegionID\":1,\"HostName\":\"a.example\"%s%s}]}}}",
		    i == 2 ? "" : ip[i], i == 3 ? ",\"CanPort80\":true" : "");
		good(text, want);
	}
}

/* The canonical form is its own canonical form. */
static void
t_twice(void **state)
{
	struct derpmap *d;
	struct slice s;
	char why[100], *text;

	(void)state;
	d = derpmap_parse(R1(",\"Latitude\":1e-7"), strlen(
	    R1(",\"Latitude\":1e-7")), "x", why, sizeof(why));
	assert_non_null(d);
	s = derpmap_json(d);
	text = slice_dup(s);
	good(text, text);
	free(text);
	derpmap_free(d);
}

static void
t_bad(void **state)
{
	(void)state;
	bad("", "derp.json:1: unfinished");
	bad("[]", "derp.json:1: not a DERP map: no object");
	bad("null", "derp.json:1: not a DERP map: no object");
	bad("{}", "derp.json:1: Regions must be an object of 1 to 1000 "
	    "regions");
	bad("\n{\"Regions\":\n{}}", "derp.json:3: Regions must be an object of "
	    "1 to 1000 regions");
	bad("{\"Regions\":\n{\"x\":{}}}", "derp.json:2: key of a region is not "
	    "a number from 1 to 65535");
	bad("{\"Regions\":{\"01\":{}}}", "derp.json:1: key of a region is not "
	    "a number from 1 to 65535");
	bad("{\"Regions\":{\"65536\":{}}}", "derp.json:1: key of a region is "
	    "not a number from 1 to 65535");
	/* Trap 31. */
	bad("{\"Regions\":{\"1\":\n[]}}",
	    "derp.json:2: region is no object");
	bad("{\"Regions\":{\"1\":{\n\"RegionID\":\n2}}}",
	    "derp.json:3: RegionID is not the region's key");
	bad("{\"Regions\":{\"1\":{}}}",
	    "derp.json:1: RegionID is not the region's key");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1}}}",
	    "derp.json:1: Nodes must be an array of 1 to 64 nodes");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\n\"Nodes\":[]}}}",
	    "derp.json:2: Nodes must be an array of 1 to 64 nodes");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[\n\nnull]}}}",
	    "derp.json:3: node is no object");
	bad(R1(",\"Latitude\":\"x\""), "derp.json:1: Latitude is not a number");
	bad(R1(",\"Latitude\":1e999"),
	    "derp.json:1: Latitude is not a number");
	bad(R1(",\"Avoid\":0"), "derp.json:1: Avoid is not true or false");
	bad(R1(",\"RegionName\":7"),
	    "derp.json:1: RegionName is not a string");
}

#define N(x)	"{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[\n" NODE1 \
    ",\n{\"Name\":\"1b\",\"RegionID\":1,\n\"HostName\":\"b.example\"" x \
    "}]}}}"

#define STUN(name, id)	"{\"Name\":\"" name "\",\"RegionID\":" id \
    ",\"HostName\":\"a.example\",\"STUNOnly\":true}"
#define HEX63	"abcdef0123456789abcdef0123456789" \
    "abcdef0123456789abcdef012345678"

static void
t_bad_nodes(void **state)
{
	(void)state;
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[{}]}}}",
	    "derp.json:1: node without Name");
	bad(N(",\n\"RegionID\":2"),
	    "derp.json:5: RegionID of the node is not its region's");
	bad(N(",\"HostName\":\"\""),
	    "derp.json:4: HostName is missing or not a name");
	bad(N(",\"HostName\":\"a b\""),
	    "derp.json:4: HostName is missing or not a name");
	bad(N(",\"CertName\":\"sha256-raw:12\""),
	    "derp.json:4: CertName is neither a name nor sha256-raw:");
	/* Trap 33: 64 digits, in small letters. */
	bad(N(",\"CertName\":\"sha256-raw:" HEX63 "A\""),
	    "derp.json:4: CertName is neither a name nor sha256-raw:");
	bad(N(",\"CertName\":\"sha256-raw:" HEX63 "g\""),
	    "derp.json:4: CertName is neither a name nor sha256-raw:");
	bad(N(",\"CertName\":\"sha256-raw:" HEX63 "00\""),
	    "derp.json:4: CertName is neither a name nor sha256-raw:");
	bad(N(",\"CanPort80\":1"),
	    "derp.json:4: CanPort80 is not true or false");
	bad(N(",\"IPv4\":\"::1\""), "derp.json:4: IPv4 is not an address");
	bad(N(",\"IPv6\":\"192.0.2.1\""),
	    "derp.json:4: IPv6 is not an address");
	bad(N(",\"STUNTestIP\":\"none\""),
	    "derp.json:4: STUNTestIP is not an address");
	bad(N(",\"STUNPort\":-2"), "derp.json:4: STUNPort is out of range");
	bad(N(",\"DERPPort\":65536"), "derp.json:4: DERPPort is out of range");
	bad(N(",\"DERPPort\":1.0"), "derp.json:4: DERPPort is not an integer");
	bad(N(",\"STUNOnly\":1"),
	    "derp.json:4: STUNOnly is not true or false");
	/* A name twice, in whichever region. */
	bad(N(",\"Name\":\"1a\""), "derp.json:4: Name is another node's");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[" NODE1 "]},\n"
	    "\"2\":{\"RegionID\":2,\"Nodes\":[{\"Name\":\"1a\",\"RegionID\":2,"
	    "\"HostName\":\"c\"}]}}}", "derp.json:2: Name is another node's");
}

/* Trap 26: what is measured must relay, in each region; and something must. */
static void
t_stun_only(void **state)
{
	(void)state;
	bad("{\"Regions\":{\"2\":{\"RegionID\":2,\"Nodes\":[" STUN("2a", "2")
	    "]}}}", "derp.json:1: Nodes are all STUNOnly, without "
	    "NoMeasureNoHome");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[" NODE1 "]},\n"
	    "\"2\":{\"RegionID\":2,\n\"Nodes\":[" STUN("2a", "2") ","
	    STUN("2b", "2") "]}}}", "derp.json:3: Nodes are all STUNOnly, "
	    "without NoMeasureNoHome");
	good("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[" NODE1 "]},"
	    "\"2\":{\"RegionID\":2,\"NoMeasureNoHome\":true,\"Nodes\":["
	    STUN("2a", "2") "]}}}", NO_SCORES "\"Regions\":{\"1\":{"
	    "\"RegionID\":1,\"Nodes\":[" NODE1 "]},\"2\":{\"RegionID\":2,"
	    "\"NoMeasureNoHome\":true,\"Nodes\":[" STUN("2a", "2")
	    "]}}}");
	good("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[" STUN("1s", "1")
	    "," NODE1 "]}}}", NO_SCORES "\"Regions\":{\"1\":{\"RegionID\":1,"
	    "\"Nodes\":[" STUN("1s", "1") "," NODE1 "]}}}");
	bad("{\"Regions\":{\"1\":{\"RegionID\":1,\"NoMeasureNoHome\":true,"
	    "\"Nodes\":[" STUN("1a", "1") "]}}}",
	    "derp.json:1: no node is a relay: all are STUNOnly");
}

/* The same as it comes from a URL. */
static void
remote(const char *text, const char *json, const char *want)
{
	struct derpmap *d;
	char why[200] = "";

	d = derpmap_parse_remote(text, strlen(text), "https://a", why,
	    sizeof(why));
	assert_string_equal(why, want);
	assert_int_equal(d == NULL, json == NULL);
	if (d != NULL && !slice_eqs(derpmap_json(d), json))
		fail_msg("%.*s", SLICE_FMT(derpmap_json(d)));
	derpmap_free(d);
}

/* derp.md 14, S16: what is root's to say, and nobody's who has a URL. */
static void
t_remote(void **state)
{
	static const struct {
		const char	*field;
		const char	*why;
	} t[] = {
		{ ",\"InsecureForTests\":true", "https://a:4: "
		    "InsecureForTests is not taken from a URL" },
		{ ",\"STUNTestIP\":\"192.0.2.1\"", "https://a:4: STUNTestIP "
		    "is not taken from a URL" },
		{ ",\"CertName\":\"c.example\"", "https://a:4: CertName is "
		    "not taken from a URL" },
		{ ",\"CertName\":\"sha256-raw:" HEX63 "0\"", "https://a:4: "
		    "CertName is not taken from a URL" },
		{ ",\"insecureFORtests\":true", "https://a:4: "
		    "InsecureForTests is not taken from a URL" }
	};
	static const char plain[] = NO_SCORES "\"Regions\":{\"1\":{"
	    "\"RegionID\":1,\"Nodes\":[" NODE1 "]}}}";
	static const char scored[] = "{\"HomeParams\":{\"RegionScore\":{"
	    "\"1\":0.01}},\"omitDefaultRegions\":true,\"Regions\":{\"1\":{"
	    "\"RegionID\":1,\"Nodes\":[" NODE1 "]}}}";
	struct derpmap *d;
	char text[400], why[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), N("%s"), t[i].field);
		remote(text, NULL, t[i].why);
		d = derpmap_parse(text, strlen(text), "f", why, sizeof(why));
		assert_non_null(d);
		derpmap_free(d);
	}
	/* What says nothing is nothing. */
	remote("{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[{\"Name\":"
	    "\"1a\",\"RegionID\":1,\"HostName\":\"a.example\","
	    "\"InsecureForTests\":false,\"STUNTestIP\":\"\",\"CertName\":"
	    "\"\"}]}}}", plain, "");
	good(scored, scored);
	remote(scored, plain, "");
	remote("{\"HomeParams\":7,\"omitDefaultRegions\":8,\"Regions\":{\"1\":"
	    "{\"RegionID\":1,\"Nodes\":[" NODE1 "]}}}", plain, "");
	remote(N(",\"STUNTestIP\":7"), NULL,
	    "https://a:4: STUNTestIP is not a string");
}

static void
t_bad_scores(void **state)
{
	(void)state;
	bad("{\"HomeParams\":[]}", "derp.json:1: HomeParams is no object");
	bad("{\"HomeParams\":{\n\"RegionScore\":1}}",
	    "derp.json:2: RegionScore is no object");
	bad("{\"HomeParams\":{\"RegionScore\":{\n\"1\":-1}}}",
	    "derp.json:2: score is not a positive number of a region");
	bad("{\"HomeParams\":{\"RegionScore\":{\"x\":1}}}",
	    "derp.json:1: score is not a positive number of a region");
}

static void
t_long(void **state)
{
	char *text, why[100];
	size_t n = (1u << 20) + 1;

	(void)state;
	text = malloc(n);
	assert_non_null(text);
	memset(text, ' ', n);
	assert_null(derpmap_parse(text, n, "x", why, sizeof(why)));
	assert_string_equal(why, "x:1: too long");
	free(text);
}

static struct r_relay
own_region(void)
{
	struct r_relay own = { 0 };

	own.enabled = own.in_map = true;
	own.region = 999;
	own.code = slice_str("home");
	own.name = slice_str("Our relay");
	own.host = slice_str("hs.example.org");
	own.port = 443;
	own.stun_port = 3478;
	return own;
}

#define OWN	"\"999\":{\"RegionID\":999,\"RegionCode\":\"home\"," \
    "\"RegionName\":\"Our relay\",\"Nodes\":[{\"Name\":\"999a\"," \
    "\"RegionID\":999,\"HostName\":\"hs.example.org\"}]}"

static void
join_is(const char *file, const struct r_relay *own, const char *want)
{
	const struct derpmap *src = NULL;
	struct derpmap *d = NULL, *j;
	struct slice got;
	char why[200];

	if (file != NULL && (d = derpmap_parse(file, strlen(file), "f", why,
	    sizeof(why))) == NULL)
		fail_msg("%s", why);
	src = d;
	j = derpmap_join(&src, 1, own, NULL);
	derpmap_free(d);
	if (want == NULL) {
		assert_null(j);
		return;
	}
	assert_non_null(j);
	got = derpmap_json(j);
	if (!slice_eqs(got, want))
		fail_msg("%.*s", (int)got.n, got.p);
	derpmap_free(j);
}

static void
t_own(void **state)
{
	struct r_relay own = own_region();

	(void)state;
	join_is(NULL, &own, NO_SCORES "\"Regions\":{" OWN "}}");
	join_is(R1(""), &own, NO_SCORES "\"Regions\":{\"1\":{\"RegionID\":1,"
	    "\"Nodes\":[" NODE1 "]}," OWN "}}");
	own.in_map = false;
	join_is(R1(""), &own, NO_SCORES "\"Regions\":{\"1\":{\"RegionID\":1,"
	    "\"Nodes\":[" NODE1 "]}}}");
	join_is(NULL, &own, NULL);
}

/* Nothing takes the place of our region; regions stay in order around it. */
static void
t_own_wins(void **state)
{
	struct r_relay own = own_region();

	(void)state;
	join_is("{\"Regions\":{\"999\":{\"RegionID\":999,\"Nodes\":[{\"Name\":"
	    "\"x\",\"RegionID\":999,\"HostName\":\"evil.example\"}]}}}", &own,
	    NO_SCORES "\"Regions\":{" OWN "}}");
	join_is("{\"Regions\":{\"999\":null}}", &own,
	    NO_SCORES "\"Regions\":{" OWN "}}");
	own.region = 1;
	own.port = 8443;
	own.stun_port = 0;
	own.insecure = own.port80 = true;
	own.ip4 = slice_str("192.0.2.1");
	own.ip6 = slice_str("none");
	join_is("{\"Regions\":{\"2\":{\"RegionID\":2,\"Nodes\":[{\"Name\":"
	    "\"1a\",\"RegionID\":2,\"HostName\":\"b.example\"}]},\"3\":null}}",
	    &own, NO_SCORES "\"Regions\":{\"1\":{\"RegionID\":1,"
	    "\"RegionCode\":\"home\",\"RegionName\":\"Our relay\",\"Nodes\":[{"
	    "\"Name\":\"1b\",\"RegionID\":1,\"HostName\":\"hs.example.org\","
	    "\"IPv4\":\"192.0.2.1\",\"IPv6\":\"none\",\"STUNPort\":-1,"
	    "\"DERPPort\":8443,\"InsecureForTests\":true,\"CanPort80\":true}]},"
	    "\"2\":{\"RegionID\":2,\"Nodes\":[{\"Name\":\"1a\",\"RegionID\":2,"
	    "\"HostName\":\"b.example\"}]}}}");
}

static void
t_nulls(void **state)
{
	struct r_relay own = { 0 };

	(void)state;
	join_is("{\"Regions\":{\"1\":null}}", &own, NULL);
	good("{\"Regions\":{\"1\":null},\"omitDefaultRegions\":true}",
	    "{\"HomeParams\":{\"RegionScore\":{}},"
	    "\"omitDefaultRegions\":true,\"Regions\":{}}");
	bad("{\"Regions\":{\"x\":null}}",
	    "derp.json:1: key of a region is not a number from 1 to 65535");
}

/* Sources in their order: NULL ends them; "" is one that has none. */
static void
merge_is(const char *const *text, const struct r_relay *own,
    const struct msg_list *avoid, const char *want)
{
	const struct derpmap *src[8] = { NULL };
	struct derpmap *map[8], *j;
	char why[200];
	size_t n;

	for (n = 0; text[n] != NULL; n++) {
		map[n] = NULL;
		if (text[n][0] != '\0' && (map[n] = derpmap_parse(text[n],
		    strlen(text[n]), "m", why, sizeof(why))) == NULL)
			fail_msg("%s", why);
		src[n] = map[n];
	}
	j = derpmap_join(src, n, own, avoid);
	while (n > 0)
		derpmap_free(map[--n]);
	assert_non_null(j);
	if (!slice_eqs(derpmap_json(j), want))
		fail_msg("%.*s", SLICE_FMT(derpmap_json(j)));
	derpmap_free(j);
}

#define REG(id, name, host, more)	"\"" id "\":{\"RegionID\":" id more \
    ",\"Nodes\":[{\"Name\":\"" name "\",\"RegionID\":" id \
    ",\"HostName\":\"" host "\"}]}"

static void
t_merge(void **state)
{
	const char *const order[] = {
	    "{\"Regions\":{" REG("1", "1a", "u1.example", "") ","
	    REG("2", "2a", "u1.example", "") "," REG("3", "3a", "u1.example",
	    "") "}}", "",
	    "{\"Regions\":{" REG("2", "2a", "u2.example", "") ","
	    REG("4", "4a", "u2.example", "") "},\"omitDefaultRegions\":true,"
	    "\"HomeParams\":{\"RegionScore\":{\"2\":0.5}}}",
	    "{\"Regions\":{\"3\":null," REG("4", "4x", "file.example", "")
	    ",\"77\":null," REG("999", "x", "evil.example", "") "}}", NULL };
	const char *const back[] = {
	    "{\"Regions\":{\"1\":null," REG("2", "2a", "a.example", "") "}}",
	    "{\"Regions\":{" REG("1", "1a", "b.example", "") "}}", NULL };
	struct r_relay own = own_region();

	(void)state;
	merge_is(order, &own, NULL, "{\"HomeParams\":{\"RegionScore\":{"
	    "\"2\":0.5}},\"omitDefaultRegions\":true,\"Regions\":{"
	    REG("1", "1a", "u1.example", "") "," REG("2", "2a", "u2.example",
	    "") "," REG("4", "4x", "file.example", "") "," OWN "}}");
	/* What was taken away may come again later. */
	own.in_map = false;
	merge_is(back, &own, NULL, NO_SCORES "\"Regions\":{"
	    REG("1", "1a", "b.example", "") "," REG("2", "2a", "a.example",
	    "") "}}");
}

/* A node's name belongs to the later source (derp.md 10.1). */
static void
t_names_twice(void **state)
{
	const char *const text[] = {
	    "{\"Regions\":{" REG("1", "n", "a.example", "") ","
	    REG("2", "m", "a.example", "") "}}",
	    "{\"Regions\":{" REG("3", "n", "b.example", "") "}}", NULL };
	const char *const gone[] = {
	    "{\"Regions\":{" REG("1", "n", "a.example", "") "}}",
	    "{\"Regions\":{" REG("3", "n", "b.example", "") "}}",
	    "{\"Regions\":{\"3\":null}}", NULL };
	struct r_relay own = { 0 };

	(void)state;
	merge_is(text, &own, NULL, NO_SCORES "\"Regions\":{"
	    REG("2", "m", "a.example", "") "," REG("3", "n", "b.example", "")
	    "}}");
	merge_is(gone, &own, NULL, NO_SCORES "\"Regions\":{"
	    REG("1", "n", "a.example", "") "}}");
}

static void
t_avoid(void **state)
{
	const char *const text[] = { "{\"Regions\":{"
	    REG("1", "1a", "a.example", ",\"Avoid\":true") ","
	    REG("2", "2a", "a.example", ",\"Latitude\":1,"
	    "\"NoMeasureNoHome\":true") "," REG("3", "3a", "a.example", "")
	    "}}", NULL };
	struct r_relay own = own_region();
	struct buf b = { NULL, 0, 0 };
	struct msg_list l = { NULL, 0, 0 };
	const uint16_t ids[] = { 1, 2, 999, 5 };
	struct r_derp_region r;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		r.id = ids[i];
		msg_list_add(&l, &b, MR_DERP_REGION, &r);
	}
	msg_list_close(&l, &b);
	merge_is(text, &own, &l, NO_SCORES "\"Regions\":{"
	    REG("1", "1a", "a.example", ",\"Avoid\":true") ","
	    REG("2", "2a", "a.example", ",\"Latitude\":1,\"Avoid\":true,"
	    "\"NoMeasureNoHome\":true") "," REG("3", "3a", "a.example", "")
	    "," OWN "}}");
	buf_free(&b);
}

/* What is to be probed. */
static void
t_nodes(void **state)
{
	static const char text[] = "{\"Regions\":{\"2\":{\"RegionID\":2,"
	    "\"RegionCode\":\"fra\",\"Nodes\":[{\"Name\":\"2a\","
	    "\"RegionID\":2,\"HostName\":\"a.example\",\"DERPPort\":8443,"
	    "\"IPv4\":\"192.0.2.1\",\"IPv6\":\"none\",\"CertName\":"
	    "\"c.example\"},{\"Name\":\"2s\",\"RegionID\":2,\"HostName\":"
	    "\"s.example\",\"STUNOnly\":true}]}}}";
	const char *const want[] = { "2 fra 2a a.example 8443 192.0.2.1 none "
	    "1 0", "2 fra 2s s.example 443   0 1", "999 home 999a "
	    "hs.example.org 443   0 0" };
	struct r_relay own = own_region();
	const struct derpmap *src;
	struct derpmap *d, *j;
	struct r_derp_node n;
	struct msg_list it;
	char why[200], got[300];
	size_t i = 0;

	(void)state;
	src = d = derpmap_parse(text, strlen(text), "m", why, sizeof(why));
	assert_non_null(d);
	j = derpmap_join(&src, 1, &own, NULL);
	it = derpmap_nodes(j);
	assert_int_equal(it.count, 3);
	while (msg_list_next(&it, MR_DERP_NODE, &n)) {
		(void)snprintf(got, sizeof(got), "%u %.*s %.*s %.*s %u %.*s "
		    "%.*s %d %d", n.region, SLICE_FMT(n.code),
		    SLICE_FMT(n.node), SLICE_FMT(n.host), n.port,
		    SLICE_FMT(n.ip4), SLICE_FMT(n.ip6), n.insecure,
		    n.stun_only);
		assert_string_equal(got, want[i++]);
	}
	derpmap_free(j);
	derpmap_free(d);
}

#define REG2(id, more)	"\"" id "\":{" more "\"RegionID\":" id \
    ",\"Nodes\":[{\"Name\":\"" id "z\",\"RegionID\":" id \
    ",\"HostName\":\"z.example\"},{\"Name\":\"" id "a\",\"RegionID\":" id \
    ",\"HostName\":\"a.example\"}]}"

/* A map of these regions, in this order. */
static struct derpmap *
shuffled(const char *const *region, size_t n, unsigned int *draw)
{
	const char *order[8], *swap;
	struct buf b = { NULL, 0, 0 };
	struct derpmap *d;
	char why[200] = "";
	size_t i, k;

	for (i = 0; i < n; i++)
		order[i] = region[i];
	for (i = n; i > 1; i--) {
		*draw = *draw * 1103515245 + 12345;
		k = (*draw >> 16) % i;
		swap = order[k];
		order[k] = order[i - 1];
		order[i - 1] = swap;
	}
	buf_str(&b, "{\"Regions\":{");
	for (i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i == 0 ? "" : ",", order[i]);
	buf_str(&b, "}}");
	d = derpmap_parse(b.p, b.n, "m", why, sizeof(why));
	assert_string_equal(why, "");
	buf_free(&b);
	return d;
}

static struct derpmap *
joined(unsigned int *draw)
{
	static const char *const first[] = { REG2("1", ""), REG2("22", ""),
	    REG2("3", "\"Avoid\":true,"), REG2("10", "") };
	static const char *const second[] = { REG2("3", ""),
	    "\"22\":null", REG2("7", "\"Latitude\":1.5,"), REG2("5", "") };
	struct r_relay own = own_region();
	const struct derpmap *src[2];
	struct derpmap *a, *b, *all;

	src[0] = a = shuffled(first, 4, draw);
	src[1] = b = shuffled(second, 4, draw);
	all = derpmap_join(src, 2, &own, NULL);
	derpmap_free(a);
	derpmap_free(b);
	return all;
}

static bool
has(struct slice s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/*
 * Traps 27 and 28: read again and again, with the regions in any order, it is
 * the same map, nodes in the order that was given; and no client hears of it.
 */
static void
t_stable(void **state)
{
	struct sw_world *w = sw_new(3);
	struct sw_got *g = sw_join(w, 1);
	unsigned int draw = 1;
	struct derpmap *one = joined(&draw), *d;
	void *world = w;
	int i;

	(void)state;
	assert_int_equal(derpmap_regions(one), 6);
	/* The later source's regions: 3 is not to be avoided, 22 is none. */
	assert_false(has(derpmap_json(one), "\"Avoid\""));
	assert_false(has(derpmap_json(one), "\"22\""));
	assert_true(has(derpmap_json(one), REG2("1", "")));
	stream_drained(g->stream);
	tailnets_derpmap(w->tn, joined(&draw));
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(g->outs, 2);
	assert_int_equal(mapview_count(g->view)->derp, 1);
	stream_drained(g->stream);
	for (i = 0; i < 1000; i++) {
		d = joined(&draw);
		assert_true(slice_eq(derpmap_json(one), derpmap_json(d)));
		tailnets_derpmap(w->tn, d);
		sw_pass(w, US_PER_MS);
	}
	assert_int_equal(g->outs, 2);
	/* The nodes of a region the other way round are another map. */
	d = shuffled(&(const char *){ REG2("1", "") }, 1, &draw);
	tailnets_derpmap(w->tn, d);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(g->outs, 3);
	stream_drained(g->stream);
	d = shuffled(&(const char *){ "\"1\":{\"RegionID\":1,\"Nodes\":[{"
	    "\"Name\":\"1a\",\"RegionID\":1,\"HostName\":\"a.example\"},{"
	    "\"Name\":\"1z\",\"RegionID\":1,\"HostName\":\"z.example\"}]}" },
	    1, &draw);
	tailnets_derpmap(w->tn, d);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(g->outs, 4);
	derpmap_free(one);
	(void)sw_teardown(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_least), cmocka_unit_test(t_all),
		cmocka_unit_test(t_twice), cmocka_unit_test(t_bad),
		cmocka_unit_test(t_bad_nodes), cmocka_unit_test(t_bad_scores),
		cmocka_unit_test(t_long), cmocka_unit_test(t_own),
		cmocka_unit_test(t_own_wins), cmocka_unit_test(t_nulls),
		cmocka_unit_test(t_stable), cmocka_unit_test(t_merge),
		cmocka_unit_test(t_names_twice), cmocka_unit_test(t_avoid),
		cmocka_unit_test(t_nodes), cmocka_unit_test(t_unknown),
		cmocka_unit_test(t_port80), cmocka_unit_test(t_stun_only),
		cmocka_unit_test(t_remote)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
