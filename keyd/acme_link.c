/* What dbd asks for ACME. */

#include <string.h>

#include "common/log.h"
#include "keyd/acme.h"
#include "keyd/keyd_int.h"

static void
say_key(struct keyd *k)
{
	struct msg m;

	if (k->acme == NULL || k->acme_link == NULL)
		return;
	msg_init(&m, M_ACME_KEY);
	m.u.acme_key.thumbprint = slice_str(acme_thumbprint(k->acme));
	link_send(k->acme_link, &m);
}

void
keyd_acme(struct keyd *k, struct acme *a, EVP_PKEY *cert)
{
	acme_free(k->acme);
	k->acme = a;
	signer_set(k->signer, TLSKEY_ACME, cert);
	say_key(k);
}

void
keyd_acme_link(struct keyd *k, struct link *l)
{
	k->acme_link = l;
	if (l != NULL)
		say_key(k);
}

static void
answer_no(struct link *l, uint32_t id, const char *why)
{
	struct msg m;

	log_warnx("acme: %s", why);
	msg_init(&m, M_ACME_NO);
	m.id = id;
	m.u.acme_no.text = slice_str(why);
	link_reply(l, &m);
}

static void
on_sign(struct keyd *k, struct link *l, const struct msg *m)
{
	struct buf body = { NULL, 0, 0 };
	char why[128];
	struct msg r;

	if (acme_sign(k->acme, &m->u.acme_sign, &body, why,
	    sizeof(why)) == -1)
		answer_no(l, m->id, why);
	else {
		msg_init(&r, M_ACME_SIGNED);
		r.id = m->id;
		r.u.acme_signed.body = buf_slice_of(&body);
		link_reply(l, &r);
	}
	buf_free(&body);
}

static void
on_alpn(struct keyd *k, struct link *l, const struct msg *m)
{
	struct buf der = { NULL, 0, 0 };
	unsigned int number = TLSKEY_ALPN;
	EVP_PKEY *key;
	char why[128];
	struct msg r;

	while (signer_has(k->signer, number))
		if (++number == TLSKEY_ALPN + TLSKEY_ALPNS) {
			answer_no(l, m->id, "too many challenges at once");
			return;
		}
	key = acme_alpn(k->acme, m->u.acme_alpn.name, m->u.acme_alpn.token,
	    env_wall(k->env), &der, why, sizeof(why));
	if (key == NULL)
		answer_no(l, m->id, why);
	else {
		signer_set(k->signer, number, key);
		msg_init(&r, M_ACME_ALPN_OK);
		r.id = m->id;
		r.u.acme_alpn_ok.key = (uint16_t)number;
		r.u.acme_alpn_ok.der = buf_slice_of(&der);
		link_reply(l, &r);
	}
	buf_free(&der);
}

static void
on_chain(struct keyd *k, struct link *l, const struct msg *m)
{
	struct buf leaf = { NULL, 0, 0 };
	struct m_acme_chain_ok *ok;
	char why[128], serial[ACME_SERIAL];
	struct msg r;

	msg_init(&r, M_ACME_CHAIN_OK);
	ok = &r.u.acme_chain_ok;
	if (!acme_chain(k->acme, m->u.acme_chain.pem, m->u.acme_chain.fresh,
	    &ok->not_before, &ok->not_after, &leaf, why, sizeof(why)))
		answer_no(l, m->id, why);
	else {
		r.id = m->id;
		ok->key = TLSKEY_ACME;
		ok->leaf = buf_slice_of(&leaf);
		acme_serial(ok->leaf, serial);
		ok->serial = slice_str(serial);
		link_reply(l, &r);
	}
	buf_free(&leaf);
}

static int
on_over(struct keyd *k, const struct msg *m)
{
	unsigned int number = m->u.acme_alpn_over.key;

	if (number < TLSKEY_ALPN || number >= TLSKEY_ALPN + TLSKEY_ALPNS)
		return -1;
	signer_set(k->signer, number, NULL);
	return 0;
}

int
keyd_acme_msg(struct keyd *k, struct link *l, const struct msg *m)
{
	if (m->type == M_ACME_ALPN_OVER)
		return on_over(k, m);
	if (k->acme == NULL) {
		answer_no(l, m->id, "no names are configured for ACME");
		return 0;
	}
	switch (m->type) {
	case M_ACME_SIGN:
		on_sign(k, l, m);
		return 0;
	case M_ACME_ALPN:
		on_alpn(k, l, m);
		return 0;
	case M_ACME_CHAIN:
		on_chain(k, l, m);
		return 0;
	default:
		return -1;
	}
}
