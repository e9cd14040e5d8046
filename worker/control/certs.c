/* Certificates and the DERP map: what is made of several sources. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/control/derp_int.h"
#include "worker/tailnet/derpmap.h"

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

/* Those that are not in files come after them: files are what is shown first. */
static void
add_self(struct control *c)
{
	char why[128];

	if (c->self_cert.n != 0 && tls_add_der(c->tls, c->self_key,
	    c->self_cert.p, c->self_cert.n, why, sizeof(why)) == -1)
		log_warnx("the self-signed certificate: %s", why);
}

void
control_tls(struct control *c, struct tls *t)
{
	if (t == NULL && c->self_cert.n != 0)
		t = control_tls_new(c);
	tls_free(c->tls);
	c->tls = t;
	if (t != NULL)
		add_self(c);
	net_tls(c->net, t);
}

void
certs_self(struct control *c, const struct m_key_cert *m)
{
	buf_clear(&c->self_cert);
	buf_slice(&c->self_cert, m->der);
	c->self_key = m->key;
	if (c->tls != NULL)
		add_self(c);
	else
		control_tls(c, NULL);
}

void
certs_free(struct control *c)
{
	tls_free(c->tls);
	buf_free(&c->self_cert);
	derpmap_free(c->file_map);
	buf_free(&c->own_region);
}

static void
join(struct control *c)
{
	struct r_relay own = { 0 };

	if (c->own_region.n != 0 && msg_rec_decode(&own, MR_RELAY,
	    c->own_region.p, c->own_region.n) == -1)
		fatalx("own copy does not decode");
	tailnets_derpmap(c->tailnets, derpmap_join(c->file_map, &own));
}

void
control_derpmap(struct control *c, struct derpmap *d)
{
	derpmap_free(c->file_map);
	c->file_map = d;
	join(c);
}

void
certs_region(struct control *c, const struct r_relay *own)
{
	buf_clear(&c->own_region);
	msg_rec_encode(&c->own_region, MR_RELAY, own);
	join(c);
}
