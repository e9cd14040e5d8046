#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/str.h"
#include "keyd/responder.h"

#define INIT_EPHEMERAL	5
#define INIT_STATIC	37
#define INIT_PAYLOAD	85

/* All that a handshake computes with, on a locked page of its own. */
struct work {
	struct noise_sym	 sym;
	struct noise_key	 record;
	uint8_t			 eph[NOISE_KEY];
	uint8_t			 dh[NOISE_KEY];
};

struct responder {
	struct secret	*priv;
	struct secret	*work;
	uint8_t		 pub[NOISE_KEY];
};

struct responder *
responder_new(struct secret *priv)
{
	struct responder *r;

	r = xcalloc(1, sizeof(*r));
	r->priv = priv;
	r->work = secret_new(sizeof(struct work));
	if (secret_len(priv) == NOISE_KEY && !key_is_zero(secret_data(priv)))
		noise_public(r->pub, secret_data(priv));
	if (key_is_zero(r->pub)) {
		responder_free(r);
		return NULL;
	}
	return r;
}

void
responder_free(struct responder *r)
{
	if (r == NULL)
		return;
	secret_free(r->work);
	secret_free(r->priv);
	free(r);
}

const uint8_t *
responder_public(const struct responder *r)
{
	return r->pub;
}

/* False for a point of low order, so also for a key of zeroes. */
static bool
mix_dh(struct work *w, const uint8_t *priv, const uint8_t *pub)
{
	if (!noise_dh(w->dh, priv, pub))
		return false;
	noise_mix_key(&w->sym, w->dh);
	return true;
}

/* -> e, es, s, ss */
static bool
read_init(struct responder *r, struct work *w, const uint8_t *init,
    struct accepted *a)
{
	const uint8_t *priv = secret_data(r->priv);

	noise_mix_hash(&w->sym, init + INIT_EPHEMERAL, NOISE_KEY);
	if (!mix_dh(w, priv, init + INIT_EPHEMERAL))
		return false;
	if (!noise_decrypt_hash(&w->sym, a->machine, init + INIT_STATIC,
	    NOISE_KEY + NOISE_TAG))
		return false;
	if (!mix_dh(w, priv, a->machine))
		return false;
	return noise_decrypt_hash(&w->sym, w->dh, init + INIT_PAYLOAD,
	    NOISE_TAG);
}

/* <- e, ee, se */
static bool
write_response(struct work *w, const uint8_t *init, struct accepted *a)
{
	uint8_t *out = a->response;

	out[0] = NOISE_T_RESP;
	out[1] = 0;
	out[2] = NOISE_RESP - NOISE_HEAD;
	noise_public(out + NOISE_HEAD, w->eph);
	noise_mix_hash(&w->sym, out + NOISE_HEAD, NOISE_KEY);
	if (!mix_dh(w, w->eph, init + INIT_EPHEMERAL) ||
	    !mix_dh(w, w->eph, a->machine))
		return false;
	noise_encrypt_hash(&w->sym, out + NOISE_HEAD + NOISE_KEY, NULL, 0);
	noise_split(&w->sym, a->c2s, a->s2c);
	return true;
}

enum refusal
responder_accept(struct responder *r, const uint8_t init[NOISE_INIT],
    uint8_t random[NOISE_KEY], struct accepted *a)
{
	struct work *w = (struct work *)(void *)secret_data(r->work);
	enum refusal why = REFUSED_CRYPTO;
	struct noise *noise;

	memset(a, 0, sizeof(*a));
	memcpy(w->eph, random, NOISE_KEY);
	wipe(random, NOISE_KEY);
	if (init[2] != NOISE_T_INIT || init[3] != 0 ||
	    init[4] != NOISE_INIT - INIT_EPHEMERAL) {
		why = REFUSED_MALFORMED;
		goto out;
	}
	a->capver = (uint16_t)(init[0] << 8 | init[1]);
	noise_clamp(w->eph);
	/* New each time: the library's contexts remember their last key. */
	noise = noise_new();
	noise_sym_init(&w->sym, noise, a->capver, r->pub);
	if (read_init(r, w, init, a) && write_response(w, init, a))
		why = REFUSED_NOT;
	noise_free(noise);
 out:
	wipe(w, sizeof(*w));
	if (why != REFUSED_NOT)
		wipe(a, sizeof(*a));
	return why;
}

int
responder_confirm(struct responder *r, const uint8_t c2s[NOISE_KEY],
    const uint8_t *record, size_t n, uint8_t plain[NOISE_PLAIN])
{
	struct work *w = (struct work *)(void *)secret_data(r->work);
	struct noise *noise;
	int len;

	noise = noise_new();
	noise_key_set(&w->record, c2s, 0);
	len = noise_open(noise, &w->record, plain, record, n);
	noise_free(noise);
	wipe(w, sizeof(*w));
	/* What did not open was written before that was known. */
	if (len == -1)
		wipe(plain, NOISE_PLAIN);
	return len;
}
