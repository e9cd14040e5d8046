#include <string.h>

#include "common/secret.h"
#include "regress/lib/noise_client.h"

bool
noise_client_start(struct noise_client *c, struct noise *ns, uint16_t version,
    const uint8_t server_pub[NOISE_KEY], const uint8_t priv[NOISE_KEY],
    const uint8_t eph[NOISE_KEY], uint8_t init[NOISE_INIT])
{
	uint8_t pub[NOISE_KEY], dh[NOISE_KEY];

	memset(c, 0, sizeof(*c));
	memcpy(c->priv, priv, NOISE_KEY);
	memcpy(c->eph, eph, NOISE_KEY);
	noise_sym_init(&c->sym, ns, version, server_pub);
	init[0] = (uint8_t)(version >> 8);
	init[1] = (uint8_t)version;
	init[2] = NOISE_T_INIT;
	init[3] = 0;
	init[4] = NOISE_INIT - 5;

	noise_public(init + 5, eph);
	noise_mix_hash(&c->sym, init + 5, NOISE_KEY);
	if (!noise_dh(dh, eph, server_pub))
		return false;
	noise_mix_key(&c->sym, dh);
	noise_public(pub, priv);
	noise_encrypt_hash(&c->sym, init + 37, pub, sizeof(pub));
	if (!noise_dh(dh, priv, server_pub))
		return false;
	noise_mix_key(&c->sym, dh);
	noise_encrypt_hash(&c->sym, init + 85, NULL, 0);
	wipe(dh, sizeof(dh));
	return true;
}

bool
noise_client_finish(struct noise_client *c, const uint8_t resp[NOISE_RESP])
{
	uint8_t dh[NOISE_KEY], c2s[NOISE_KEY], s2c[NOISE_KEY], none[1];

	if (resp[0] != NOISE_T_RESP || resp[1] != 0 ||
	    resp[2] != NOISE_RESP - NOISE_HEAD)
		return false;
	noise_mix_hash(&c->sym, resp + 3, NOISE_KEY);
	if (!noise_dh(dh, c->eph, resp + 3))
		return false;
	noise_mix_key(&c->sym, dh);
	if (!noise_dh(dh, c->priv, resp + 3))
		return false;
	noise_mix_key(&c->sym, dh);
	if (!noise_decrypt_hash(&c->sym, none, resp + 35, NOISE_TAG))
		return false;
	memcpy(c->hash, c->sym.h, sizeof(c->hash));
	noise_split(&c->sym, c2s, s2c);
	noise_key_set(&c->tx, c2s, 0);
	noise_key_set(&c->rx, s2c, 0);
	wipe(dh, sizeof(dh));
	wipe(c2s, sizeof(c2s));
	wipe(s2c, sizeof(s2c));
	return true;
}

void
noise_client_wipe(struct noise_client *c)
{
	wipe(c, sizeof(*c));
}
