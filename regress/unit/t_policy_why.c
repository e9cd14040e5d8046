#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polkit.h"

static struct polkit *
world(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 0);
	(void)polkit_user(k, "b@example.com", 0);
	(void)polkit_node(k, "a1", 1, "", "");
	(void)polkit_node(k, "a2", 1, "", "");
	(void)polkit_node(k, "b1", 2, "", "");
	(void)polkit_node(k, "srv", 0, "tag:srv", "");
	(void)polkit_node(k, "router", 0, "tag:router",
	    "10.33.0.0/16 0.0.0.0/0");
	return k;
}

static const char *
text(struct buf *b)
{
	buf_u8(b, 0);
	b->n--;
	return (const char *)b->p;
}

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
	struct polkit *k = world();

	(void)state;
	why(k, "a1", "srv", 22, "acls[0], line 3: any protocol:22,80-90\n");
	why(k, "a1", "srv", 0, "acls[0], line 3: any protocol:22,80-90\n"
	    "acls[1], line 4: udp:53\n");
	why(k, "a@example.com", "100.64.0.4", 53,
	    "acls[1], line 4: udp:53\n");
	why(k, "a1", "a2", 1234,
	    "acls[0], line 3: any protocol:* (autogroup:self)\n");
	why(k, "a1", "b1", 0, "no rule lets a1 reach b1\n");
	why(k, "b1", "h", 443,
	    "grants[0], line 6: tcp:443 via tag:router\n");
	why(k, "b1", "10.33.0.77", 80, "no rule lets b1 reach 10.33.0.77\n");
	why(k, "b1", "tag:srv", 0,
	    "grants[1], line 7: capabilities {\"a.b/c\":[1]}\n"
	    "acls[1], line 4: udp:53\n");
	polkit_free(k);
}

static void
unknown(void **state)
{
	struct polkit *k = world();

	(void)state;
	assert_int_equal(policy_why(slice_str(rules), &k->info, &k->topo,
	    slice_str("nobody"), slice_str("srv"), 0, &k->out, &k->err), -1);
	assert_non_null(strstr(polkit_why(k), "\"nobody\""));
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
	struct polkit *k = world();
	const char *base = POL(ACL("\"a@example.com\"", "\"tag:srv:20-30\""));

	(void)state;
	diff(k, base, base, 0, "");
	/* Said in another way, and in another order. */
	diff(k, base, POL(ACL("\"a@example.com\"", "\"tag:srv:26-30\"") ","
	    ACL("\"a@example.com\"", "\"tag:srv:20-25\"")), 0, "");
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
	struct polkit *k = world();
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

static void
diff_bad(void **state)
{
	struct polkit *k = world();

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
		cmocka_unit_test(diff_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
