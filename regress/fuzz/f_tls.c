/*
 * TLS before and after the handshake.  First octet: even, what follows is what
 * a client sends on a connection (second octet: size of the pieces); odd, a
 * list of records (type, length, data) that are sealed and opened, with every
 * other octet changed behind it if its type has the top bit.
 */

#include <stdlib.h>
#include <string.h>

#include "regress/lib/certkit.h"
#include "regress/lib/networld.h"
#include "worker/net/tlsrec.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool	never;		/* a signature is late until its client ends */

/* Nobody here verifies it. */
static int
on_sign(struct tls_hs *h, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	(void)h;
	(void)key;
	(void)scheme;
	(void)arg;
	if ((n != 130 && n != 146) || max < 64)
		abort();
	if (never)
		return 0;
	memset(sig, octets[0], 64);
	return 64;
}

static void
on_forget(struct tls_hs *h, void *arg)
{
	(void)h;
	(void)arg;
}

static void
on_req(struct req *r, struct networld *w)
{
	(void)w;
	reply_status(r, 200, "text");
}

static struct networld *
world(void)
{
	static struct networld *w;
	const struct tls_signer signer = { .sign = on_sign,
	    .forget = on_forget };
	struct certkit *kit;
	struct tls *t;

	if (w != NULL)
		return w;
	if (noise_init() == -1)
		abort();
	w = networld_new(NULL);
	w->on_req = on_req;
	kit = certkit_new();
	t = tls_new(&signer);
	certkit_add(kit, t, CK_ED25519, "DNS:a.example,DNS:*.b.example");
	net_tls(w->net, t);
	tls_free(t);
	certkit_free(kit);
	return w;
}

static void
connection(const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	never = p[0] % 4 == 3;
	networld_pieces(world(), CONN_K_EITHER, p, n);
}

static void
records(const uint8_t *p, size_t n)
{
	struct tls_secrets a = { .suite = 0x1301, .n = 32 };
	static struct tlsrec_env *e;
	struct tlsrec *from, *to;
	enum tlsrec_event ev = TLSREC_E_NOTHING;
	enum tlsrec_alert alert;
	struct buf out = { 0 };
	uint8_t rec[TLSREC_MAX + TLSREC_COST];
	const uint8_t *plain;
	size_t len, got;
	uint8_t type;

	if (e == NULL)
		e = tlsrec_env_new();
	from = tlsrec_new(e, &a);
	to = tlsrec_new(e, &a);
	while (n >= 3 && (ev == TLSREC_E_NOTHING || ev == TLSREC_E_DATA)) {
		type = p[0];
		len = (size_t)p[1] << 8 | p[2];
		p += 3;
		n -= 3;
		if (len > n)
			len = n;
		if (len > TLSREC_PLAIN)
			len = TLSREC_PLAIN;
		memcpy(rec + TLSREC_HEAD, p, len);
		p += len;
		n -= len;
		len = tlsrec_seal(e, from, (enum tlsrec_type)(type & 0x7f),
		    rec, len);
		if ((type & 0x80) != 0 && len > 8)
			rec[7] ^= type;
		if (tlsrec_len(rec, &alert) != len)
			abort();
		ev = tlsrec_open(e, to, rec, len, &plain, &got, &out);
		if (ev == TLSREC_E_DATA && ((type & 0x80) != 0 || got == 0 ||
		    got > TLSREC_PLAIN))
			abort();
		if (tlsrec_updates(to) != tlsrec_updates(from))
			break;		/* its keys are other ones now */
		buf_clear(&out);
	}
	buf_free(&out);
	tlsrec_free(e, from);
	tlsrec_free(e, to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1)
		return 0;
	if (p[0] % 2 == 0)
		connection(p + 1, n - 1);
	else
		records(p + 1, n - 1);
	return 0;
}
