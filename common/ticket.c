#include <sodium.h>
#include <string.h>

#include "common/secret.h"
#include "common/ticket.h"

#define LABEL		"headscaled ticket 1"
#define LABEL_LEN	(sizeof(LABEL) - 1)
#define TICKET_OCTETS	(LABEL_LEN + 1 + 2 + 8 + 8 + 8 + 2 + 32)

static uint8_t *
put(uint8_t *to, uint64_t v, unsigned int octets)
{
	while (octets-- > 0)
		*to++ = (uint8_t)(v >> octets * 8);
	return to;
}

/* Every field has its fixed place: no two tickets share an encoding. */
static void
ticket_mac(uint8_t mac[32], const struct r_ticket *t, const uint8_t secret[32])
{
	uint8_t b[TICKET_OCTETS], *p = b;

	memcpy(p, LABEL, LABEL_LEN);
	p = put(p + LABEL_LEN, t->kind, 1);
	p = put(p, t->slot, 2);
	p = put(p, t->generation, 8);
	p = put(p, t->serial_gen, 8);
	p = put(p, t->serial, 8);
	p = put(p, t->capver, 2);
	memcpy(p, t->key, sizeof(t->key));
	(void)crypto_generichash(mac, 32, b, sizeof(b), secret, 32);
}

void
ticket_sign(struct r_ticket *t, const uint8_t secret[32])
{
	ticket_mac(t->mac, t, secret);
}

bool
ticket_check(const struct r_ticket *t, const uint8_t secret[32], uint8_t kind,
    uint16_t slot, uint64_t generation)
{
	uint8_t mac[32];
	bool ok;

	ticket_mac(mac, t, secret);
	ok = sodium_memcmp(mac, t->mac, sizeof(mac)) == 0;
	/* What the mac ought to be is itself a ticket. */
	wipe(mac, sizeof(mac));
	return ok && t->kind == kind && t->slot == slot &&
	    t->generation == generation;
}

bool
ticket_newer(const struct r_ticket *a, uint32_t h2a, const struct r_ticket *b,
    uint32_t h2b)
{
	if (a->serial_gen != b->serial_gen)
		return a->serial_gen > b->serial_gen;
	if (a->serial != b->serial)
		return a->serial > b->serial;
	return h2a > h2b;
}
