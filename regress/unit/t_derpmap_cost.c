/*
 * A DERP map is not searched again and again for places that only a complaint
 * names.  The functions that look for them are the test's own, and count.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/jsonpos.h"

#define REGIONS	1000	/* the most */
#define NODES	1	/* of each */
#define LOOKS	4	/* for a complaint: root, member, region, field */

static unsigned int looks;

size_t
jsonpos_root(struct slice text)
{
	(void)text;
	return 0;
}

size_t
jsonpos_elem(struct slice text, size_t at, size_t k)
{
	(void)text;
	(void)k;
	looks++;
	return at;
}

size_t
jsonpos_member(struct slice text, size_t at, struct slice name)
{
	(void)text;
	(void)name;
	looks++;
	return at;
}

unsigned int
jsonpos_line(struct slice text, size_t at)
{
	(void)text;
	(void)at;
	return 1;
}

/* How often a place was looked for; bad: the last region's code is one. */
static unsigned int
cost(unsigned int regions, bool junk, bool bad, bool remote)
{
	struct buf b = { 0 };
	struct derpmap *d;
	unsigned int i, k;
	char why[200] = "";

	buf_str(&b, "{\"HomeParams\":{\"RegionScore\":{\"1\":2}},"
	    "\"Regions\":{");
	for (i = 1; i <= regions; i++) {
		buf_printf(&b, "%s\"%u\":{\"RegionID\":%u,\"RegionCode\":%s,",
		    i > 1 ? "," : "", i, i, bad && i == regions ? "1" :
		    "\"r\"");
		if (junk)
			buf_str(&b, "\"Junk\":1,");
		buf_str(&b, "\"Nodes\":[");
		for (k = 0; k < NODES; k++)
			buf_printf(&b, "%s{\"Name\":\"%u-%u\",\"RegionID\":%u,"
			    "\"HostName\":\"h\"}", k > 0 ? "," : "", i, k, i);
		buf_str(&b, "]}");
	}
	buf_str(&b, "}}");
	looks = 0;
	d = remote ? derpmap_parse_remote(b.p, b.n, "x", why, sizeof(why)) :
	    derpmap_parse(b.p, b.n, "x", why, sizeof(why));
	buf_free(&b);
	assert_string_equal(why, bad ? "x:1: RegionCode is not a string" :
	    "");
	assert_int_equal(d == NULL, bad);
	if (d != NULL)
		assert_int_equal(derpmap_regions(d), regions);
	derpmap_free(d);
	return looks;
}

static void
t_cost(void **state)
{
	unsigned int remote;

	(void)state;
	for (remote = 0; remote < 2; remote++) {
		assert_int_equal(cost(REGIONS, false, false, remote != 0), 0);
		/* One line for all that has no effect: one place. */
		assert_in_range(cost(REGIONS, true, false, remote != 0), 1,
		    LOOKS);
		assert_in_range(cost(REGIONS, false, true, remote != 0), 1,
		    LOOKS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
