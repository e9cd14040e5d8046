/* Certificates: what is made of several sources. */

#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "worker/control/derp_int.h"

void
control_signer(struct control *c, const struct tls_signer *s)
{
	c->signer = *s;
}

struct tls *
control_tls_new(struct control *c)
{
	return tls_new(&c->signer);
}

/*
 * Files are what is shown first, then what was had by ACME; a self-signed one
 * is better than nothing, and no more.
 */
static void
add_self(struct control *c)
{
	char why[128];

	if (c->self_cert.n == 0)
		return;
	tls_del(c->tls, c->self_key);
	if (tls_add_der(c->tls, c->self_key, c->self_cert.p, c->self_cert.n,
	    why, sizeof(why)) == -1)
		log_warnx("the self-signed certificate: %s", why);
}

void
certs_more(struct control *c)
{
	if (c->tls == NULL) {
		control_tls(c, NULL);
		return;
	}
	acme_more(c);
	add_self(c);
	/* The set may have been empty: who waits for a certificate goes on. */
	net_tls(c->net, c->tls);
}

void
control_tls(struct control *c, struct tls *t)
{
	if (t == NULL && (c->self_cert.n != 0 || acme_has(c)))
		t = control_tls_new(c);
	tls_free(c->tls);
	c->tls = t;
	if (t != NULL)
		certs_more(c);
	else
		net_tls(c->net, NULL);
}

void
certs_self(struct control *c, const struct m_key_cert *m)
{
	if (m->key != TLSKEY_SELF) {
		log_warnx("keyd's certificate has key %u, not %d: ignored",
		    (unsigned int)m->key, TLSKEY_SELF);
		return;
	}
	if (c->tls != NULL && c->self_cert.n != 0)
		tls_del(c->tls, c->self_key);
	buf_clear(&c->self_cert);
	buf_slice(&c->self_cert, m->der);
	c->self_key = m->key;
	certs_more(c);
}

void
certs_free(struct control *c)
{
	tls_free(c->tls);
	buf_free(&c->self_cert);
}
