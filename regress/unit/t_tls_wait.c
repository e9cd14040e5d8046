/*
 * Signatures that come late where handshakes can't stand still: the library
 * has no stacks for that on some systems, as here it says.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/async.h>

#include "regress/lib/tlsworld.h"

int
ASYNC_is_capable(void)
{
	return 0;
}

/* The answer is waited for on the spot. */
static void
test_wait(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p;

	certkit_late(x->kit, true);
	p = tw_dial(x, NULL);
	tw_talk(x, &p);
	assert_int_equal(certkit_asked(x->kit), 1);
	assert_int_equal(certkit_waiting(x->kit), 0);
	tw_end(&p);
}

static void
test_refused(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p;

	certkit_late(x->kit, true);
	certkit_fail(x->kit, true);
	p = tw_dial(x, NULL);
	assert_int_not_equal(tlsclient_alert(p.c), -1);
	assert_int_equal(net_edge_counters(x->w->net)->tls_failed, 1);
	tw_end(&p);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, tw_setup, tw_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_wait), T(test_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
