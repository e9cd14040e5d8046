/* Lists of routes to be looked up, beside the list itself. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/routeset.h"

#define N	300

static uint32_t seed = 1;

static uint32_t
draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Few enough that many are drawn twice. */
static void
any(struct prefix *p)
{
	memset(p, 0, sizeof(*p));
	p->addr.family = draw(2) == 0 ? 4 : 6;
	p->bits = (uint8_t)(draw(3) * 8);
	if (p->bits != 0)
		p->addr.b[0] = (uint8_t)(1 + draw(9));
	if (p->bits == 16)
		p->addr.b[1] = (uint8_t)draw(4);
}

static void
t_as_the_list(void **state)
{
	struct msg_list list;
	struct routeset s, same;
	struct prefix p, v[N];
	struct r_route r;
	struct buf b;
	unsigned int i, n, round, found = 0;

	(void)state;
	for (round = 0; round < 50; round++) {
		memset(&list, 0, sizeof(list));
		memset(&b, 0, sizeof(b));
		n = draw(N);
		for (i = 0; i < n; i++) {
			any(&r.v);
			v[i] = r.v;
			msg_list_add(&list, &b, MR_ROUTE, &r);
		}
		msg_list_close(&list, &b);
		routeset_of(&s, &list);
		routeset_from(&same, v, n);
		assert_int_equal(s.n, same.n);
		for (i = 0; i < N; i++) {
			any(&p);
			found += routeset_has(&s, &p);
			assert_int_equal(routeset_has(&s, &p),
			    msg_routes_have(&list, &p));
			assert_int_equal(routeset_find(&s, &p),
			    routeset_find(&same, &p));
		}
		for (i = 0; i < n; i++)
			assert_true(prefix_eq(&v[i],
			    &s.v[routeset_find(&s, &v[i])]));
		for (i = 1; i < s.n; i++)
			assert_false(prefix_eq(&s.v[i - 1], &s.v[i]));
		routeset_free(&s);
		routeset_free(&same);
		buf_free(&b);
	}
	assert_in_range(found, 1000, 50 * N - 1);
}

static void
t_none(void **state)
{
	struct msg_list none = { 0 };
	struct routeset s;
	struct prefix p = { { 4, { 10 } }, 8 };

	(void)state;
	routeset_of(&s, &none);
	assert_false(routeset_has(&s, &p));
	assert_int_equal(routeset_find(&s, &p), ROUTESET_NONE);
	routeset_free(&s);
	routeset_from(&s, &p, 1);
	assert_int_equal(routeset_find(&s, &p), 0);
	routeset_free(&s);
	routeset_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_as_the_list), cmocka_unit_test(t_none)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
