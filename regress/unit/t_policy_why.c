#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polkit.h"

static const char *
text(struct buf *b)
{
	buf_u8(b, 0);
	b->n--;
	return (const char *)b->p;
}

#define ROUTES	"10.33.0.0/16 0.0.0.0/0"
#define TAGS	"\"tagOwners\":{\"tag:srv\":[],\"tag:router\":[]},"

static const char rules[] = "{" TAGS "\"hosts\":{\"h\":\"10.33.0.1\"},\n"
    "\"acls\":[\n"
    "{\"action\":\"accept\",\"src\":[\"a@example.com\"],\"dst\":"
    "[\"tag:srv:22,80-90\",\"autogroup:self:*\"]},\n"
    "{\"action\":\"accept\",\"proto\":\"udp\",\"src\":[\"*\"],\"dst\":"
    "[\"tag:srv:53\"]}],\n"
    "\"grants\":[\n"
    "{\"src\":[\"b@example.com\"],\"dst\":[\"10.33.0.0/24\"],\"ip\":"
    "[\"tcp:443\"],\"via\":[\"tag:router\"]},\n"
    "{\"src\":[\"b@example.com\"],\"dst\":[\"tag:srv\"],\"app\":"
    "{\"a.b/c\":[1]}}]}";

static void
why(struct polkit *k, const char *src, const char *dst, uint16_t port,
    const char *want)
{
	buf_clear(&k->out);
	buf_clear(&k->text);
	if (policy_why(slice_str(rules), &k->info, &k->topo, slice_str(src),
	    slice_str(dst), port, &k->out, &k->err) != 0)
		fail_msg("%s", polkit_why(k));
	assert_string_equal(text(&k->out), want);
}

static void
whys(void **state)
{
	struct polkit *k = polkit_five(ROUTES);

	(void)state;
	why(k, "a1", "srv", 22,
	    "acls[0], line 3, column 1: any protocol:22,80-90\n");
	why(k, "a1", "srv", 0,
	    "acls[0], line 3, column 1: any protocol:22,80-90\n"
	    "acls[1], line 4, column 1: udp:53\n");
	why(k, "a@example.com", "100.64.0.4", 53,
	    "acls[1], line 4, column 1: udp:53\n");
	why(k, "a1", "a2", 1234,
	    "acls[0], line 3, column 1: any protocol:* (autogroup:self)\n");
	why(k, "a1", "b1", 0, "no rule lets a1 reach b1\n");
	why(k, "b1", "h", 443,
	    "grants[0], line 6, column 1: tcp:443 via tag:router\n");
	why(k, "b1", "10.33.0.77", 80, "no rule lets b1 reach 10.33.0.77\n");
	why(k, "b1", "tag:srv", 0,
	    "grants[1], line 7, column 1: capabilities {\"a.b/c\":[1]}\n"
	    "acls[1], line 4, column 1: udp:53\n");
	polkit_free(k);
}

static void
unknown(void **state)
{
	struct polkit *k = polkit_five(ROUTES);

	(void)state;
	assert_int_equal(policy_why(slice_str(rules), &k->info, &k->topo,
	    slice_str("nobody"), slice_str("srv"), 0, &k->out, &k->err), -1);
	assert_string_equal(polkit_why(k), "no node or host has the name "
	    "\"nobody\": a user is written with @ at the end, \"nobody@\"");
	buf_clear(&k->text);
	assert_int_equal(policy_why(slice_str(rules), &k->info, &k->topo,
	    slice_str("nobody@"), slice_str("srv"), 0, &k->out, &k->err), -1);
	assert_string_equal(polkit_why(k),
	    "user not found: token: \"nobody@\"");
	buf_clear(&k->text);
	assert_int_equal(policy_why(slice_str("{"), &k->info, &k->topo,
	    slice_str("a1"), slice_str("srv"), 0, &k->out, &k->err), -1);
	assert_int_equal(k->err.pos.line, 1);
	polkit_free(k);
}

static void
diff(struct polkit *k, const char *was, const char *now, size_t max,
    const char *want)
{
	buf_clear(&k->out);
	buf_clear(&k->text);
	if (policy_diff(slice_str(was), slice_str(now), &k->info, &k->topo,
	    max, &k->out, &k->err) != 0)
		fail_msg("%s", polkit_why(k));
	assert_string_equal(k->out.n == 0 ? "" : text(&k->out), want);
}

#define ACL(src, dst)	"{\"action\":\"accept\",\"src\":[" src \
			"],\"dst\":[" dst "]}"
#define POL(acls)	"{" TAGS "\"acls\":[" acls "]}"

static void
diffs(void **state)
{
	struct polkit *k = polkit_five(ROUTES);
	const char *base = POL(ACL("\"a@example.com\"", "\"tag:srv:20-30\""));

	(void)state;
	diff(k, base, base, 0, "no difference\n");
	/* Said in another way, and in another order. */
	diff(k, base, POL(ACL("\"a@example.com\"", "\"tag:srv:26-30\"") ","
	    ACL("\"a@example.com\"", "\"tag:srv:20-25\"")), 0,
	    "no difference\n");
	diff(k, base, POL(ACL("\"a@example.com\"", "\"tag:srv:20-22,24-31\"")),
	    0, "- a1 -> srv any:23\n+ a1 -> srv any:31\n"
	    "- a2 -> srv any:23\n+ a2 -> srv any:31\n");
	diff(k, base, POL(""), 0, "- a1 -> srv any:20-30\n"
	    "- a2 -> srv any:20-30\n");
	diff(k, base, POL(ACL("\"a@example.com\"", "\"tag:srv:20-30\"") ","
	    ACL("\"b@example.com\"", "\"10.33.0.0/24:80\"")), 0,
	    "+ b1 -> router any:80 (its routes)\n");
	diff(k, base, POL(ACL("\"a@example.com\"", "\"tag:srv:20-30\"") ","
	    ACL("\"b@example.com\"", "\"autogroup:internet:443\"")), 0,
	    "+ b1 -> router any:443 (the Internet through it)\n");
	/* Of one protocol. */
	diff(k, base, "{" TAGS "\"grants\":[{\"src\":[\"a@example.com\"],"
	    "\"dst\":[\"tag:srv\"],\"ip\":[\"tcp:20-30\"]}]}", 2,
	    "- a1 -> srv icmp:20-30\n... and more\n");
	polkit_free(k);
}

static void
diff_self(void **state)
{
	struct polkit *k = polkit_five(ROUTES);
	const char *own = POL(ACL("\"autogroup:member\"",
	    "\"autogroup:self:*\""));

	(void)state;
	diff(k, POL(""), own, 0, "+ a1 -> a2 any:*\n+ a2 -> a1 any:*\n");
	/* What members may do to all, an owner's devices may already. */
	diff(k, own, POL(ACL("\"autogroup:member\"",
	    "\"autogroup:member:*\"")), 0, "+ a1 -> b1 any:*\n"
	    "+ a2 -> b1 any:*\n+ b1 -> a1 any:*\n+ b1 -> a2 any:*\n");
	polkit_free(k);
}

/* Nodes of one user, each with its own address in rules. */
static struct polkit *
crowd(unsigned int n)
{
	static char name[64][8];
	struct polkit *k = polkit_new();
	unsigned int i;

	(void)polkit_user(k, "a@example.com", 0);
	for (i = 0; i < n; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "n%u", i);
		(void)polkit_node(k, name[i], 1, "", "");
	}
	return k;
}

static void
ends_with(struct buf *b, const char *end)
{
	size_t n = strlen(end);

	assert_true(b->n > n);
	assert_memory_equal(b->p + b->n - n, end, n);
}

static void
long_grant(struct buf *b)
{
	unsigned int i;

	buf_str(b, "{\"src\":[\"*\"],\"dst\":[\"10.0.0.0/8\"],"
	    "\"ip\":[\"1:*\"");
	for (i = 2; i < 256; i++)
		buf_printf(b, ",\"%u:*\"", i);
	buf_str(b, "],\"via\":[\"tag:t\"");
	for (i = 0; i < 100; i++)
		buf_printf(b, ",\"tag:long%u\"", i);
	buf_str(b, "]},");
}

/* dbd takes no more octets, however many lines were asked for. */
static void
no_longer(void **state)
{
	struct polkit *k = crowd(60);
	struct buf b = { NULL, 0, 0 };
	struct slice s;
	unsigned int i;

	(void)state;
	buf_str(&b, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],"
	    "\"dst\":[\"100.64.0.0/10:1");
	for (i = 2; i < 900; i++)
		buf_printf(&b, ",%u", 2 * i);
	buf_str(&b, "\"]}]}");
	s = buf_slice_of(&b);
	assert_int_equal(policy_diff(slice_str("{\"acls\":[]}"), s, &k->info,
	    &k->topo, 100000, &k->out, &k->err), 0);
	assert_true(k->out.n <= POLICY_OUT_MAX);
	assert_true(k->out.n > POLICY_OUT_MAX - 10000);
	ends_with(&k->out, "\n... and more\n");
	buf_clear(&b);
	/* Rows with long lines: a grant has one for each protocol. */
	buf_str(&b, "{\"tagOwners\":{\"tag:t\":[]");
	for (i = 0; i < 100; i++)
		buf_printf(&b, ",\"tag:long%u\":[]", i);
	buf_str(&b, "},\"grants\":[");
	for (i = 0; i < 20; i++)
		long_grant(&b);
	buf_str(&b, "{\"src\":[],\"dst\":[],\"ip\":[\"*\"]}]}");
	buf_clear(&k->out);
	s = buf_slice_of(&b);
	if (policy_why(s, &k->info, &k->topo, slice_str("n1"),
	    slice_str("10.0.0.1"), 0, &k->out, &k->err) != 0)
		fail_msg("%s", polkit_why(k));
	assert_true(k->out.n <= POLICY_OUT_MAX);
	assert_true(k->out.n > POLICY_OUT_MAX - 10000);
	ends_with(&k->out, "\n... and more\n");
	buf_free(&b);
	polkit_free(k);
}

#define HOSTS	2000

/* A rule for each host and port 22, or one for all; then what else there is. */
static void
host_rules(struct buf *b, bool merged, bool each_dst)
{
	unsigned int i;

	buf_str(b, "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*:22\"],"
	    "\"src\":[\"100.64.0.0\"");
	for (i = 1; i < HOSTS; i++)
		buf_printf(b, "%s\"100.64.%u.%u\"", merged ? "," :
		    "]},{\"action\":\"accept\",\"dst\":[\"*:22\"],\"src\":[",
		    i >> 8, i & 255);
	buf_str(b, "]}");
	for (i = 0; each_dst && i < HOSTS; i++)
		buf_printf(b, ",{\"action\":\"accept\",\"src\":[\"*\"],"
		    "\"dst\":[\"100.64.%u.%u:1\"]}", i >> 8, i & 255);
	buf_str(b, "]}");
}

/*
 * Many rules against one that says the same, for nodes that all differ: pairs
 * that are alike are compared once, and if there are too many, it ends.
 */
static void
same_at_length(void **state)
{
	struct polkit *k = polkit_new();
	struct test_node *v = xcalloc(HOSTS, sizeof(*v));
	struct buf b[2] = { { NULL, 0, 0 }, { NULL, 0, 0 } };
	unsigned int i, many;

	(void)state;
	for (i = 0; i < HOSTS; i++) {
		v[i].name = slice_str("n");
		v[i].facts.user = 1;
		v[i].facts.ip4.family = 4;
		v[i].facts.ip4.b[0] = 100;
		v[i].facts.ip4.b[1] = 64;
		v[i].facts.ip4.b[2] = (uint8_t)(i >> 8);
		v[i].facts.ip4.b[3] = (uint8_t)i;
	}
	k->topo.node = v;
	k->topo.nnodes = HOSTS;
	for (many = 0; many < 2; many++) {
		for (i = 0; i < 2; i++) {
			buf_clear(&b[i]);
			host_rules(&b[i], i == 1, many == 1);
		}
		diff(k, text(&b[0]), text(&b[1]), 0, many == 0 ?
		    "no difference\n" : "... and perhaps more: the policies "
		    "are too far apart\n");
	}
	buf_free(&b[0]);
	buf_free(&b[1]);
	free(v);
	polkit_free(k);
}

static void
diff_bad(void **state)
{
	struct polkit *k = polkit_five(ROUTES);

	(void)state;
	assert_int_equal(policy_diff(slice_str("{}"), slice_str("{]"),
	    &k->info, &k->topo, 0, &k->out, &k->err), -1);
	assert_true(k->text.n != 0);
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whys),
		cmocka_unit_test(unknown),
		cmocka_unit_test(diffs),
		cmocka_unit_test(diff_self),
		cmocka_unit_test(no_longer),
		cmocka_unit_test(same_at_length),
		cmocka_unit_test(diff_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
