/*
 * keyd's side of a handshake.  The first octet says what the rest is: an
 * initiation and a record as they are, the same laid over a client's genuine
 * ones, or what a worker sends over its KEY link.
 */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "regress/lib/keyworld.h"
#include "regress/lib/quiet.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct responder *responder;
static struct noise *noise;

static void
start(void)
{
	struct secret *key;

	if (noise_init() == -1)
		abort();
	quiet_log();
	noise = noise_new();
	key = secret_new(NOISE_KEY);
	(void)hex_dec(secret_data(key), NOISE_KEY, slice_str(KEYWORLD_PRIV));
	if ((responder = responder_new(key)) == NULL)
		abort();
}

/* At most n octets of what is left; how many. */
static size_t
cut(const uint8_t **p, size_t *left, uint8_t *to, size_t n)
{
	if (n > *left)
		n = *left;
	if (n != 0)
		memcpy(to, *p, n);
	*p += n;
	*left -= n;
	return n;
}

static void
raw(const uint8_t *p, size_t n)
{
	uint8_t init[NOISE_INIT] = { 0 }, eph[NOISE_KEY];
	uint8_t plain[NOISE_PLAIN];
	struct noise_key k;
	struct accepted a;
	int len;

	(void)cut(&p, &n, init, sizeof(init));
	memset(eph, 0x77, sizeof(eph));
	(void)responder_accept(responder, init, eph, &a);
	len = responder_confirm(responder, a.c2s, p, n, plain);
	if (len > NOISE_PLAIN || (len >= 0 && (size_t)len + NOISE_HEAD +
	    NOISE_TAG != n))
		abort();
	noise_key_set(&k, a.c2s, 0);
	if (noise_open(noise, &k, plain, p, n) != len)
		abort();
}

/* Whatever is laid over it, only the genuine handshake comes through. */
static void
over(const uint8_t *p, size_t n)
{
	uint8_t priv[NOISE_KEY], ceph[NOISE_KEY], eph[NOISE_KEY];
	uint8_t init[NOISE_INIT], mask[NOISE_RECORD] = { 0 };
	uint8_t rec[NOISE_RECORD], plain[NOISE_PLAIN];
	struct noise_client c;
	struct accepted a;
	bool same = true;
	size_t i, len;

	memset(priv, 0x31, sizeof(priv));
	memset(ceph, 0x32, sizeof(ceph));
	memset(eph, 0x33, sizeof(eph));
	if (!noise_client_start(&c, noise, KEYWORLD_CAPVER,
	    responder_public(responder), priv, ceph, init))
		abort();
	(void)cut(&p, &n, mask, sizeof(init));
	for (i = 0; i < sizeof(init); i++) {
		init[i] ^= mask[i];
		same = same && mask[i] == 0;
	}
	if ((responder_accept(responder, init, eph, &a) == REFUSED_NOT) !=
	    same)
		abort();
	if (!same)
		return;
	if (!noise_client_finish(&c, a.response))
		abort();
	len = noise_seal(noise, &c.tx, rec, priv, sizeof(priv));
	memset(mask, 0, sizeof(mask));
	(void)cut(&p, &n, mask, len);
	for (i = 0; i < len; i++) {
		rec[i] ^= mask[i];
		same = same && mask[i] == 0;
	}
	if ((responder_confirm(responder, a.c2s, rec, len, plain) ==
	    (int)sizeof(priv)) != same)
		abort();
}

static void
count_ok(uint32_t type, uint32_t id, const void *p, size_t n, int fd,
    void *arg)
{
	unsigned int *ok = arg;

	(void)id;
	(void)p;
	(void)n;
	(void)fd;
	if (type == M_KEY_NOISE_OK)
		++*ok;
}

/* Messages: type, id, length of the body (two octets), body. */
static void
over_link(const uint8_t *p, size_t n)
{
	static const uint32_t types[] = {
		M_KEY_NOISE_ACCEPT, M_KEY_NOISE_CONFIRM, M_KEY_NOISE_DROP,
		M_KEY_NOISE_READY, M_DB_REG, 0xffff
	};
	uint8_t head[4], body[NOISE_RECORD + 64], init[4 + NOISE_INIT];
	struct noise_client c;
	struct fakeenv *fake;
	struct keyworld *w;
	struct keyside *s;
	unsigned int ok = 0;
	uint32_t type;
	size_t len;

	fake = fakeenv_new(5);
	w = keyworld_new(fake);
	s = &w->side[0];
	keyside_up_raw(w, 0, 102, count_ok, &ok);
	keyclient_start(w, &c, 0x35, init + 4);
	while (n >= sizeof(head)) {
		(void)cut(&p, &n, head, sizeof(head));
		type = types[head[0] % (sizeof(types) / sizeof(types[0]))];
		len = (size_t)(head[2] << 8 | head[3]) % sizeof(body);
		len = cut(&p, &n, body, len);
		if (type == M_KEY_NOISE_ACCEPT && len == 0) {
			memset(init, 0, 4);	/* a genuine one */
			init[3] = head[1];
			pair_inject(s->pair, PAIR_B, type, head[1], init,
			    sizeof(init), -1);
		} else
			pair_inject(s->pair, PAIR_B, type, type ==
			    M_KEY_NOISE_DROP ? 0 : head[1], body, len, -1);
		if ((head[0] & 0x40) != 0)
			keyworld_settle(w);
		if ((head[0] & 0x80) != 0)
			fakeenv_advance(fake, KEYWORLD_MS * US_PER_MS / 2);
	}
	keyworld_settle(w);
	/* Nobody was there to prove anything; and the sibling lives. */
	if (ok != 0 || w->side[1].keyd_down || !keyworld_free(w) ||
	    env_timers(fakeenv_env(fake)) != 0)
		abort();
	fakeenv_free(fake);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (responder == NULL)
		start();
	if (n == 0)
		return 0;
	switch (p[0] % 3) {
	case 0:
		raw(p + 1, n - 1);
		break;
	case 1:
		over(p + 1, n - 1);
		break;
	default:
		over_link(p + 1, n - 1);
		break;
	}
	return 0;
}
