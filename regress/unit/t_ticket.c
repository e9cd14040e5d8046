#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/ticket.h"

static uint8_t secret[32];
static struct r_ticket good;

static int
setup(void **state)
{
	unsigned int i;

	(void)state;
	memset(&good, 0, sizeof(good));
	good.kind = TICKET_MACHINE;
	good.slot = 0x0203;
	good.generation = 0x0405060708090a0b;
	good.serial_gen = 0x0c0d0e0f10111213;
	good.serial = 0x1415161718191a1b;
	good.capver = 0x1c1d;
	for (i = 0; i < 32; i++) {
		secret[i] = (uint8_t)(i + 1);
		good.key[i] = (uint8_t)(i + 0x40);
	}
	ticket_sign(&good, secret);
	return 0;
}

static bool
check(const struct r_ticket *t)
{
	return ticket_check(t, secret, TICKET_MACHINE, good.slot,
	    good.generation);
}

/* Computed with Python's hashlib.blake2b over the 80 octets. */
static void
test_known(void **state)
{
	uint8_t want[32];

	(void)state;
	assert_true(hex_dec(want, sizeof(want), slice_str(
	    "2917982c7dcf593c5f2e392b45480abcdd4fab64729f3d0b5916f5cc3a41fcfb"
	    )));
	assert_memory_equal(good.mac, want, sizeof(want));
	assert_true(check(&good));
}

/* Each bit of what is signed, and of the mac, counts. */
static void
test_every_bit(void **state)
{
	struct r_ticket t;
	unsigned int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		t = good;
		t.kind ^= (uint8_t)(1 << i);
		assert_false(ticket_check(&t, secret, t.kind, t.slot,
		    t.generation));
	}
	for (i = 0; i < 16; i++) {
		t = good;
		t.slot ^= (uint16_t)(1 << i);
		assert_false(ticket_check(&t, secret, t.kind, t.slot,
		    t.generation));
		t = good;
		t.capver ^= (uint16_t)(1 << i);
		assert_false(check(&t));
	}
	for (i = 0; i < 64; i++) {
		t = good;
		t.generation ^= 1ULL << i;
		assert_false(ticket_check(&t, secret, t.kind, t.slot,
		    t.generation));
		t = good;
		t.serial_gen ^= 1ULL << i;
		assert_false(check(&t));
		t = good;
		t.serial ^= 1ULL << i;
		assert_false(check(&t));
	}
	for (i = 0; i < 256; i++) {
		t = good;
		t.key[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(check(&t));
		t = good;
		t.mac[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(check(&t));
	}
}

/* A right mac does not help on another link, or as another kind. */
static void
test_bound_to_link(void **state)
{
	struct r_ticket t;

	(void)state;
	assert_false(ticket_check(&good, secret, TICKET_DERP, good.slot,
	    good.generation));
	assert_false(ticket_check(&good, secret, TICKET_MACHINE,
	    (uint16_t)(good.slot + 1), good.generation));
	assert_false(ticket_check(&good, secret, TICKET_MACHINE, good.slot,
	    good.generation + 1));
	t = good;
	t.kind = TICKET_DERP;
	ticket_sign(&t, secret);
	assert_false(check(&t));
	assert_true(ticket_check(&t, secret, TICKET_DERP, t.slot,
	    t.generation));
}

static void
test_secret(void **state)
{
	uint8_t other[32];

	(void)state;
	memcpy(other, secret, sizeof(other));
	other[31] ^= 0x80;
	assert_false(ticket_check(&good, other, TICKET_MACHINE, good.slot,
	    good.generation));
}

static void
test_newer(void **state)
{
	struct r_ticket a = good, b = good;

	(void)state;
	assert_false(ticket_newer(&a, 1, &b, 1));
	assert_true(ticket_newer(&a, 2, &b, 1));
	assert_false(ticket_newer(&a, 1, &b, 2));
	a.serial++;
	assert_true(ticket_newer(&a, 1, &b, 9));
	assert_false(ticket_newer(&b, 9, &a, 1));
	/* A later keyd outweighs any count of an earlier one. */
	b.serial_gen++;
	b.serial = 0;
	assert_true(ticket_newer(&b, 0, &a, 9));
	assert_false(ticket_newer(&a, 9, &b, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_bound_to_link),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_newer)
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
