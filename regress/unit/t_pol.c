#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/pol_hit.h"
#include "regress/lib/polkit.h"

/* Something of everything that a blob can hold. */
static const char all[] =
    "{\"groups\":{\"group:g\":[\"a@example.com\",\"b@example.com\"]},"
    "\"hosts\":{\"h\":\"10.0.0.0/8\"},"
    "\"tagOwners\":{\"tag:t\":[\"group:g\"],\"tag:u\":[\"tag:t\"]},"
    "\"acls\":[{\"action\":\"accept\",\"proto\":\"tcp\",\"src\":[\"group:g\","
    "\"tag:t\"],\"dst\":[\"h:22,80-90\",\"autogroup:internet:443\","
    "\"autogroup:tagged:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"autogroup:self:*\"]}],"
    "\"grants\":[{\"src\":[\"autogroup:member\"],\"dst\":[\"tag:t\"],"
    "\"ip\":[\"*\"],\"app\":{\"tailscale.com/cap/drive\":[{\"a\":[1,\"x\"]}]}},"
    "{\"src\":[\"*\"],\"dst\":[\"fd00::/8\"],\"ip\":[\"udp:53\"],"
    "\"via\":[\"tag:u\"]}],"
    "\"ssh\":[{\"action\":\"check\",\"checkPeriod\":\"1h\",\"src\":"
    "[\"group:g\"],\"dst\":[\"autogroup:self\",\"tag:t\"],\"users\":[\"root\","
    "\"autogroup:nonroot\",\"ubuntu\",\"localpart:*@example.com\"],"
    "\"acceptEnv\":[\"GIT_*\",\"q\\\"\"]}],"
    "\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":[\"funnel\","
    "\"disable-ipv4\"]}],\"randomizeClientPort\":true,"
    "\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"tag:t\"]},"
    "\"exitNode\":[\"group:g\"]}}";

static struct polkit *
compiled(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 2);
	(void)polkit_user(k, "b@example.com", 0);
	(void)polkit_node(k, "one", 1, "", "");
	(void)polkit_node(k, "two", 0, "tag:t tag:u", "10.1.0.0/16 0.0.0.0/0");
	if (polkit_compile(k, all, true) != 0)
		fail_msg("%s", polkit_why(k));
	return k;
}

static void
round_trip(void **state)
{
	struct polkit *k = compiled();
	struct buf again = { NULL, 0, 0 };
	const struct pol *p = k->pol;

	(void)state;
	pol_save(&again, p);
	assert_int_equal(again.n, k->blob.n);
	assert_memory_equal(again.p, k->blob.p, again.n);
	assert_int_equal(p->nsshs, 1);
	assert_int_equal(p->ssh[0].period, 3600);
	assert_true(slice_eqs(p->ssh[0].users,
	    "{\"*\":\"=\",\"root\":\"root\",\"ubuntu\":\"ubuntu\"}"));
	assert_int_equal(p->ssh[0].nlocals, 2);
	assert_true(slice_eqs(p->ssh[0].local[1].name, "\"b\""));
	assert_true(slice_eqs(p->ssh[0].env, "[\"GIT_*\",\"q\\\"\"]"));
	assert_int_equal(p->nowners, 2);
	assert_int_equal(p->owner[1].nusers, 2);
	assert_int_equal(p->nattrs, 2);
	assert_true(p->attr[0].no_ip4);
	buf_free(&again);
	polkit_free(k);
}

/* Looks at all that a loaded policy points at. */
static uint64_t
touch(const struct pol *p)
{
	uint64_t sum = 0;
	uint32_t i, n;

	for (i = 0; i < p->nsels; i++) {
		for (n = 0; n < p->sel[i].text.n; n++)
			sum += (unsigned char)p->sel[i].text.p[n];
		for (n = 0; n < p->sel[i].nusers; n++)
			sum += p->sel[i].user[n];
	}
	for (i = 0; i < p->nsrcs; i++)
		for (n = 0; n < p->src[i].n; n++)
			sum += p->sel[p->src[i].sel[n]].kind;
	for (i = 0; i < p->nrows; i++) {
		for (n = 0; n < p->row[i].ndst; n++)
			sum += p->sel[p->row[i].dst[n].sel].kind +
			    (p->row[i].dst[n].nports == 0 ? 0 :
			    p->row[i].dst[n].port[p->row[i].dst[n].nports - 1]
			    .last);
		for (n = 0; n < p->row[i].nvia; n++)
			sum += p->sel[p->row[i].via[n]].text.n;
		for (n = 0; n < p->row[i].caps.n; n++)
			sum += (unsigned char)p->row[i].caps.p[n];
		sum += p->src[p->row[i].src].n;
	}
	for (i = 0; i < p->nsshs; i++) {
		for (n = 0; n < p->ssh[i].ndst; n++)
			sum += p->sel[p->ssh[i].dst[n]].kind;
		for (n = 0; n < p->ssh[i].nlocals; n++)
			sum += p->ssh[i].local[n].name.n;
		sum += p->src[p->ssh[i].src].n;
	}
	return sum;
}

/* What loads is within bounds: everything may be asked of it. */
static void
exercise(struct polkit *k, const struct pol *p)
{
	struct pol_hits h;
	struct buf b = { NULL, 0, 0 };
	uint32_t i;
	size_t n;

	assert_true(touch(p) != 1);
	hits_init(&h, p);
	for (n = 0; n < k->topo.nnodes; n++) {
		hits_of(&h, p, &k->node[n].facts, k->topo.range);
		for (i = 0; i < p->nsrcs; i++)
			(void)hits_src(p, i, &h);
		(void)pol_visible(p, &k->node[0].facts, &h, &k->node[n].facts,
		    &h);
		(void)pol_check_period(p, &h, &h, true);
		(void)pol_approves(p, &h, &k->route[1][0]);
	}
	(void)pol_tag_owner(p, slice_str("tag:t"), 1);
	hits_free(&h);
	pol_save(&b, p);
	buf_free(&b);
}

static void
cut_short(void **state)
{
	struct polkit *k = compiled();
	struct pol *p;
	const char *err;
	size_t n;

	(void)state;
	for (n = 0; n < k->blob.n; n++) {
		p = pol_load(k->blob.p, n, &err);
		assert_null(p);
		assert_non_null(err);
	}
	buf_u8(&k->blob, 0);
	assert_null(pol_load(k->blob.p, k->blob.n, &err));
	assert_string_equal(err, "it is too long");
	polkit_free(k);
}

static void
flipped(void **state)
{
	static const uint8_t with[] = { 0x01, 0x02, 0x04, 0x20, 0x80, 0xff };
	struct polkit *k = compiled();
	struct pol *p;
	const char *err;
	size_t n, i, loaded = 0, refused = 0;

	(void)state;
	for (n = 0; n < k->blob.n; n++)
		for (i = 0; i < sizeof(with); i++) {
			k->blob.p[n] ^= with[i];
			if ((p = pol_load(k->blob.p, k->blob.n, &err)) == NULL)
				refused++;
			else {
				loaded++;
				exercise(k, p);
			}
			pol_free(p);
			k->blob.p[n] ^= with[i];
		}
	assert_true(refused > loaded / 2);
	assert_true(loaded > 0);
	polkit_free(k);
}

/* A count of many in few octets is no reason to ask for memory. */
static void
big_counts(void **state)
{
	uint8_t blob[64];
	const char *err;
	size_t at;

	(void)state;
	for (at = 8; at + 4 <= sizeof(blob); at += 4) {
		memset(blob, 0, sizeof(blob));
		memcpy(blob, "HSPL\0\0\0\1", 8);
		memset(blob + at, 0xff, 4);
		assert_null(pol_load(blob, sizeof(blob), &err));
	}
	memset(blob, 0, sizeof(blob));
	memcpy(blob, "HSPL\0\0\0\1", 8);
	assert_null(pol_load(blob, sizeof(blob), &err));
	assert_null(pol_load(blob, 0, &err));
	/* Three lists and seven sections, all empty. */
	{
		struct pol *p = pol_load(blob, 48, &err);

		assert_non_null(p);
		assert_int_equal(p->nrows, 0);
		pol_free(p);
	}
}

static void
refuses(struct pol *p, const char *why)
{
	struct buf b = { NULL, 0, 0 };
	struct pol *made;
	const char *err;

	pol_save(&b, p);
	made = pol_load(b.p, b.n, &err);
	if (made != NULL)
		fail_msg("loaded, but %s", why);
	assert_string_equal(err, why);
	buf_free(&b);
}

static void
bad_orders(void **state)
{
	static const uint64_t users[] = { 5, 3 };
	static const uint32_t back[] = { 1, 0 }, far[] = { 7 }, zero[] = { 0 };
	struct pol_sel sel[2];
	struct pol_src src = { back, 2 };
	struct pol_row row;
	struct pol_dst dst = { 0, NULL, 0, 0 };
	struct pol p;

	(void)state;
	memset(&p, 0, sizeof(p));
	memset(sel, 0, sizeof(sel));
	memset(&row, 0, sizeof(row));
	p.sel = sel;
	p.nsels = 2;
	refuses(&p, "a selector is there twice");
	sel[0].kind = sel[1].kind = POL_TAG;
	sel[0].text = sel[1].text = slice_str("tag:a");
	refuses(&p, "a tag is selected twice");
	sel[1].text = slice_str("a");
	refuses(&p, "a tag is none");
	sel[1].kind = POL_USERS;
	sel[1].user = users;
	sel[1].nusers = 2;
	refuses(&p, "users are not in order");
	sel[1].kind = POL_MEMBER;
	p.src = &src;
	p.nsrcs = 1;
	refuses(&p, "selectors are not in order");
	src.sel = far;
	src.n = 1;
	refuses(&p, "a selector is missing");
	src.sel = zero;
	p.row = &row;
	p.nrows = 1;
	refuses(&p, "a row has no destination");
	row.dst = &dst;
	row.ndst = 1;
	refuses(&p, "a destination has ports and caps or neither");
	row.flags = POL_ROW_APP;
	row.caps = slice_str("{\"a\":null,}");
	refuses(&p, "caps are no object");
	row.caps = slice_str("{\"a\":null}]");
	refuses(&p, "caps are no object");
	row.caps = slice_str("{\"a\":null}");
	row.prov.section = POL_SSH;
	refuses(&p, "a row is of another section");
	row.prov.section = POL_GRANTS;
	row.flags |= POL_ROW_VIA;
	refuses(&p, "a row is via nothing");
	row.flags = POL_ROW_APP | POL_ROW_SELF;
	dst.sel = 1;
	refuses(&p, "a row has more than itself");
	dst.sel = 0;
	dst.alias = 1;
	row.flags = POL_ROW_APP;
	refuses(&p, "destinations are not in order");
}

/* Two rows of one name that the wire would not have as one. */
static void
one_name(void **state)
{
	static const struct pol_port port = { 1, 2 };
	static const uint32_t zero[] = { 0 };
	struct pol_sel sel = { .kind = POL_MEMBER };
	struct pol_src src = { zero, 1 };
	struct pol_dst dst = { 0, &port, 1, 0 };
	struct pol_row row[2];
	struct pol p;
	struct buf b = { NULL, 0, 0 };
	struct pol *made;
	const char *err;

	(void)state;
	memset(&p, 0, sizeof(p));
	memset(row, 0, sizeof(row));
	p.sel = &sel;
	p.nsels = 1;
	p.src = &src;
	p.nsrcs = 1;
	p.row = row;
	p.nrows = 2;
	row[0].dst = row[1].dst = &dst;
	row[0].ndst = row[1].ndst = 1;
	pol_save(&b, &p);
	made = pol_load(b.p, b.n, &err);
	assert_non_null(made);
	pol_free(made);
	buf_free(&b);
	row[1].proto = 6;
	refuses(&p, "two rows have one name");
}

/*
 * A source that many point at costs little in a blob and much in each
 * question about a node: so the sum is bounded, over all kinds of records.
 */
static void
many_sources(void **state)
{
	enum { SELS = 10000, RULES = 400, REST = POL_MAX_SOURCES -
	    RULES * SELS };
	struct pol_sel *sel = xcalloc(SELS, sizeof(*sel));
	uint32_t *number = xcalloc(SELS, sizeof(*number)), i;
	struct pol_approver *a = xcalloc(RULES + 20, sizeof(*a));
	struct pol_attr attr = { .src = 1 };
	struct pol_src src[2] = { { number, SELS },
	    { number, REST % SELS } };
	struct buf b = { NULL, 0, 0 };
	struct pol p, *made;
	const char *err;

	(void)state;
	memset(&p, 0, sizeof(p));
	for (i = 0; i < SELS; i++) {
		number[i] = i;
		sel[i].kind = POL_RANGE;
		sel[i].text = slice_str("0.0.0.0");	/* not read again */
		sel[i].lo.family = 4;
		sel[i].lo.b[2] = (uint8_t)(i >> 8);
		sel[i].lo.b[3] = (uint8_t)i;
		sel[i].hi = sel[i].lo;
	}
	for (i = 0; i < RULES + 20; i++) {
		a[i].exit = true;
		a[i].prov.section = POL_APPROVERS;
	}
	p.sel = sel;
	p.nsels = SELS;
	p.src = src;
	p.nsrcs = 2;
	p.approver = a;
	p.napprovers = RULES + REST / SELS;
	attr.keys = slice_str("\"a\":null");
	attr.prov.section = POL_ATTRS;
	p.attr = &attr;
	p.nattrs = 1;
	pol_save(&b, &p);
	if ((made = pol_load(b.p, b.n, &err)) == NULL)
		fail_msg("%s", err);
	pol_free(made);
	buf_free(&b);
	src[1].n++;
	refuses(&p, "there are too many sources");
	src[1].n = 1;
	p.napprovers++;
	refuses(&p, "there are too many sources");
	free(a);
	free(number);
	free(sel);
}

static void
builtin(void **state)
{
	struct polkit *k = polkit_new();
	struct pol *yes = pol_builtin(true), *no = pol_builtin(false);

	(void)state;
	assert_non_null(yes);
	assert_non_null(no);
	assert_int_equal(no->nrows, 0);
	/* As the policy {}. */
	assert_int_equal(polkit_compile(k, "{}", false), 0);
	assert_int_equal(yes->nrows, 1);
	assert_int_equal(k->pol->nrows, 1);
	assert_true(yes->row[0].name == k->pol->row[0].name);
	assert_int_equal(yes->row[0].flags, k->pol->row[0].flags);
	assert_int_equal(yes->sel[yes->row[0].dst[0].sel].kind, POL_ANY);
	assert_int_equal(yes->sel[yes->src[0].sel[0]].kind, POL_TAILNET);
	assert_int_equal(k->pol->row[0].prov.section, POL_DEFAULT);
	pol_free(yes);
	pol_free(no);
	pol_free(NULL);
	polkit_free(k);
}

static void
range_text(const char *lo, const char *hi, bool span, const char *want)
{
	char text[POL_RANGE_TEXT];
	struct ip a, b;

	assert_true(ip_parse(&a, slice_str(lo)));
	assert_true(ip_parse(&b, slice_str(hi)));
	assert_int_equal(pol_range_print(text, &a, &b, span), strlen(want));
	assert_string_equal(text, want);
}

static void
ranges(void **state)
{
	(void)state;
	range_text("10.0.0.1", "10.0.0.1", false, "10.0.0.1");
	range_text("10.0.0.0", "10.255.255.255", false, "10.0.0.0/8");
	range_text("10.0.0.0", "10.255.255.255", true,
	    "10.0.0.0-10.255.255.255");
	range_text("0.0.0.0", "255.255.255.255", false, "0.0.0.0/0");
	range_text("fd7a::1", "fd7a::1", false, "fd7a::1");
	range_text("2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false,
	    "2000::/3");
	range_text("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false,
	    "::/0");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(flipped),
		cmocka_unit_test(big_counts),
		cmocka_unit_test(bad_orders),
		cmocka_unit_test(one_name),
		cmocka_unit_test(many_sources),
		cmocka_unit_test(builtin),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
