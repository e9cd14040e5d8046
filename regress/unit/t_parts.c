/* Snapshots in parts: in order, within bounds, one at a time a tailnet. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/quiet.h"
#include "worker/control/control_int.h"

#define LIMIT	(256ULL * 1024 * 1024)

static struct control c;
static struct {
	unsigned int	 n;
	uint64_t	 tailnet;
	char		 text[64];
	size_t		 octets;
	int		 rc;
} whole;

/* The double: notes what it was given. */
int
tailnets_snapshot(struct tailnets *tn, uint64_t id, const void *p, size_t n)
{
	(void)tn;
	whole.n++;
	whole.tailnet = id;
	whole.octets = n;
	(void)snprintf(whole.text, sizeof(whole.text), "%.*s",
	    (int)(n < 60 ? n : 60), (const char *)p);
	return whole.rc;
}

static int
setup(void **state)
{
	(void)state;
	quiet_log();
	memset(&c, 0, sizeof(c));
	memset(&whole, 0, sizeof(whole));
	TAILQ_INIT(&c.snaps);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	snaps_clear(&c);
	assert_true(TAILQ_EMPTY(&c.snaps));
	assert_int_equal(c.snap_octets, 0);
	return 0;
}

static int
part(uint64_t tailnet, uint64_t size, uint64_t at, const char *text)
{
	struct m_db_snapshot_part p;

	p.tailnet = tailnet;
	p.size = size;
	p.at = at;
	p.octets = slice_str(text);
	return snap_part(&c, &p);
}

static void
t_whole(void **state)
{
	(void)state;
	assert_int_equal(part(7, 5, 0, "hello"), 0);
	assert_int_equal(whole.n, 1);
	assert_int_equal(whole.tailnet, 7);
	assert_string_equal(whole.text, "hello");
	assert_true(TAILQ_EMPTY(&c.snaps));
}

static void
t_in_order(void **state)
{
	(void)state;
	assert_int_equal(part(1, 11, 0, "one "), 0);
	/* Another tailnet's may come meanwhile. */
	assert_int_equal(part(2, 6, 0, "abc"), 0);
	assert_int_equal(part(1, 11, 4, "two "), 0);
	assert_int_equal(whole.n, 0);
	assert_int_equal(c.snap_octets, 11);
	assert_int_equal(part(2, 6, 3, "def"), 0);
	assert_int_equal(whole.n, 1);
	assert_int_equal(whole.tailnet, 2);
	assert_string_equal(whole.text, "abcdef");
	assert_int_equal(part(1, 11, 8, "six"), 0);
	assert_int_equal(whole.n, 2);
	assert_string_equal(whole.text, "one two six");
	assert_int_equal(c.snap_octets, 0);
	/* And the next one begins anew. */
	assert_int_equal(part(1, 2, 0, "ok"), 0);
	assert_string_equal(whole.text, "ok");
}

static void
t_out_of_order(void **state)
{
	(void)state;
	assert_int_equal(part(1, 9, 3, "abc"), -1);
	assert_int_equal(part(1, 9, 0, "abc"), 0);
	assert_int_equal(part(1, 9, 6, "ghi"), -1);	/* one is missing */
	assert_int_equal(part(1, 9, 0, "abc"), -1);	/* begins again */
	assert_int_equal(part(1, 9, 2, "cde"), -1);	/* overlaps */
	assert_int_equal(part(1, 8, 3, "def"), -1);	/* another size */
	assert_int_equal(part(1, 9, 3, "defghij"), -1);	/* too long */
	assert_int_equal(part(1, 9, 3, ""), -1);	/* goes nowhere */
	assert_int_equal(part(1, 9, UINT64_MAX, "x"), -1);
	assert_int_equal(whole.n, 0);
	assert_int_equal(part(1, 9, 3, "defghi"), 0);
	assert_string_equal(whole.text, "abcdefghi");
}

static void
t_bounds(void **state)
{
	(void)state;
	assert_int_equal(part(1, 0, 0, ""), -1);
	assert_int_equal(part(1, 0, 0, "x"), -1);
	assert_int_equal(part(1, 1, 0, "xx"), -1);
	assert_int_equal(part(1, LIMIT + 1, 0, "x"), -1);
	assert_int_equal(part(1, UINT64_MAX, 0, "x"), -1);
	assert_true(TAILQ_EMPTY(&c.snaps));
	assert_int_equal(part(1, LIMIT, 0, "x"), 0);
	/* All together are no more than that either. */
	assert_int_equal(part(2, LIMIT, 0, "y"), 0);
	c.snap_octets += LIMIT - 3;
	assert_int_equal(part(2, LIMIT, 1, "yy"), -1);
	assert_int_equal(part(2, LIMIT, 1, "y"), 0);
	assert_int_equal(part(1, LIMIT, 1, "x"), -1);
	c.snap_octets -= LIMIT - 3;
}

/* What does not make sense as a whole is dbd's fault, and is forgotten. */
static void
t_refused(void **state)
{
	(void)state;
	whole.rc = -1;
	assert_int_equal(part(1, 4, 0, "ab"), 0);
	assert_int_equal(part(1, 4, 2, "cd"), -1);
	assert_int_equal(whole.n, 1);
	assert_true(TAILQ_EMPTY(&c.snaps));
	whole.rc = 0;
	/* The link went down in between: from the beginning. */
	assert_int_equal(part(1, 4, 0, "ab"), 0);
	snaps_clear(&c);
	assert_int_equal(part(1, 4, 0, "wx"), 0);
	assert_int_equal(part(1, 4, 2, "yz"), 0);
	assert_string_equal(whole.text, "wxyz");
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t_whole),
		T(t_in_order),
		T(t_out_of_order),
		T(t_bounds),
		T(t_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
