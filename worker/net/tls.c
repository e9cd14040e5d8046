#include <stdlib.h>
#include <string.h>

#include <openssl/async.h>
#include <openssl/bio.h>
#include <openssl/err.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/tls_int.h"

#define SUITES	"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:" \
		"TLS_AES_256_GCM_SHA384"
#define GROUPS	"X25519:P-256:P-384"
#define SIGALGS	"ECDSA+SHA256:ECDSA+SHA384:ed25519:rsa_pss_rsae_sha256:" \
		"rsa_pss_rsae_sha384:rsa_pss_rsae_sha512"
#define CLIENT	"CLIENT_TRAFFIC_SECRET_0 "
#define SERVER	"SERVER_TRAFFIC_SECRET_0 "
#define RANDOM_HEX 64
#define ACME	"acme-tls/1"
#define H2	"h2"
#define ASK_MAX	65536		/* octets of a client's handshake */

struct tls_hs {
	struct tls	*tls;
	SSL		*ssl;
	BIO		*in;		/* both are ssl's */
	BIO		*out;
	size_t		 got;
	bool		 acme;		/* for the sake of a challenge */
	bool		 waits;		/* TLS_E_WAIT was said last */
	bool		 is_signed;	/* the signer's answer is there: */
	uint8_t		*sig;		/* NULL: it has none */
	size_t		 nsig;
	void		(*resume)(void *);
	void		*arg;
	struct tls_secrets secrets;
	const char	*why;
};

/* The application traffic secrets, as the library logs them. */
static void
on_secret(const SSL *ssl, const char *line)
{
	struct tls_hs *h = SSL_get_app_data(ssl);
	uint8_t *to;
	size_t n;

	if (strncmp(line, CLIENT, strlen(CLIENT)) == 0)
		to = h->secrets.client;
	else if (strncmp(line, SERVER, strlen(SERVER)) == 0)
		to = h->secrets.server;
	else
		return;
	line += strlen(SERVER);
	if (strlen(line) <= RANDOM_HEX + 1)
		return;
	line += RANDOM_HEX + 1;
	n = strlen(line) / 2;
	if ((n == 32 || n == 48) && hex_dec(to, n, slice_str(line)))
		h->secrets.n = (uint8_t)n;
}

/* The host that a ClientHello names (RFC 6066 3), n 0 if none. */
static struct slice
host_of(SSL *ssl)
{
	const unsigned char *p, *name;
	struct rd r;
	uint16_t len;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p,
	    &n) != 1)
		return slice_mem(NULL, 0);
	rd_init(&r, p, n);
	(void)rd_u16(&r);
	if (rd_u8(&r) != TLSEXT_NAMETYPE_host_name)
		return slice_mem(NULL, 0);
	len = rd_u16(&r);
	if ((name = rd_take(&r, len)) == NULL)
		return slice_mem(NULL, 0);
	return slice_mem(name, len);
}

/* It offers the protocol of RFC 8737 and no other. */
static bool
is_acme(SSL *ssl)
{
	static const uint8_t want[] = "\0\013\012" ACME;
	const unsigned char *p;
	size_t n;

	return SSL_client_hello_get0_ext(ssl,
	    TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n) == 1 &&
	    n == sizeof(want) - 1 && memcmp(p, want, n) == 0;
}

static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_hs *h = SSL_get_app_data(ssl);
	struct slice host = host_of(ssl);
	const struct cert *c;
	X509 *meta;

	(void)arg;
	h->acme = is_acme(ssl);
	c = h->acme ? tls_alpn_for(h->tls, host) : tls_cert_for(h->tls, host);
	meta = h->acme ? NULL : tls_meta_for(h->tls, host);
	*alert = SSL_AD_INTERNAL_ERROR;
	if (c == NULL || SSL_set_SSL_CTX(ssl, c->ctx) == NULL ||
	    (meta != NULL && SSL_add1_chain_cert(ssl, meta) != 1))
		return SSL_CLIENT_HELLO_ERROR;
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* One of the protocols that a client offers; NULL: it is none of them. */
static const uint8_t *
offered(const unsigned char *in, unsigned int n, const char *protocol)
{
	size_t want = strlen(protocol);
	const uint8_t *p;
	struct rd r;
	uint8_t len;

	rd_init(&r, in, n);
	while (rd_left(&r) != 0) {
		len = rd_u8(&r);
		if ((p = rd_take(&r, len)) == NULL)
			break;
		if (len == want && memcmp(p, protocol, want) == 0)
			return p;
	}
	return NULL;
}

/*
 * Who offers protocols must offer one of ours.  Stock clients offer none where
 * they are going to upgrade, which HTTP/2 can't.
 */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *nout,
    const unsigned char *in, unsigned int n, void *arg)
{
	static const char *const ours[] = { H2, "http/1.1" };
	size_t i;

	(void)ssl;
	(void)arg;
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if ((*out = offered(in, n, ours[i])) != NULL) {
			*nout = (unsigned char)strlen(ours[i]);
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Its context is chosen only for who offers nothing else. */
static int
on_acme(SSL *ssl, const unsigned char **out, unsigned char *nout,
    const unsigned char *in, unsigned int n, void *arg)
{
	(void)ssl;
	(void)arg;
	if (n != strlen(ACME) + 1)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = in + 1;
	*nout = (unsigned char)(n - 1);
	return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *
tls_ctx_new(const struct tls *t, bool acme)
{
	SSL_CTX *ctx;

	ctx = SSL_CTX_new_ex(sigprov_lib(t->sigprov), NULL,
	    TLS_server_method());
	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_NO_AUTO_CHAIN |
	    (ASYNC_is_capable() ? SSL_MODE_ASYNC : 0));
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, acme ? on_acme : on_alpn, NULL);
	SSL_CTX_set_keylog_callback(ctx, on_secret);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
	    SSL_CTX_set_ciphersuites(ctx, SUITES) == 1 &&
	    SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
	    SSL_CTX_set1_sigalgs_list(ctx, SIGALGS) == 1)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* Stands still until the signer has answered; false: that can't be. */
static bool
await(struct tls *t, struct tls_hs *h)
{
	while (!h->is_signed) {
		if (ASYNC_get_current_job() == NULL)
			t->signer.wait(h, t->signer.arg);
		else if (ASYNC_pause_job() != 1)
			return false;
	}
	return true;
}

/* The provider asks; many handshakes may be in here at a time. */
static int
on_sign(struct tls_hs *none, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct tls *t = arg;
	struct tls_hs *h = t->running;
	int got;

	(void)none;
	h->is_signed = false;
	got = t->signer.sign(h, key, scheme, octets, n, sig, max,
	    t->signer.arg);
	if (got != 0)
		return got;
	if (!await(t, h)) {
		t->signer.forget(h, t->signer.arg);
		return -1;
	}
	if (h->sig == NULL || h->nsig > max)
		return -1;
	memcpy(sig, h->sig, h->nsig);
	return (int)h->nsig;
}

void
tls_hs_signed(struct tls_hs *h, const void *sig, size_t n)
{
	free(h->sig);
	h->sig = NULL;
	if (n != 0) {
		h->sig = xmalloc(n);
		memcpy(h->sig, sig, n);
	}
	h->nsig = n;
	h->is_signed = true;
	if (h->waits)
		h->resume(h->arg);
}

struct tls *
tls_new(const struct tls_signer *signer)
{
	struct tls *t;

	t = xcalloc(1, sizeof(*t));
	t->refs = 1;
	t->signer = *signer;
	t->asks.sign = on_sign;
	t->asks.arg = t;
	t->sigprov = sigprov_new();
	return t;
}

struct tls *
tls_ref(struct tls *t)
{
	t->refs++;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL || --t->refs != 0)
		return;
	tls_certs_free(t);
	sigprov_free(t->sigprov);
	free(t);
}

bool
tls_is_empty(const struct tls *t)
{
	return t->ncerts == 0 && t->nalpns == 0;
}

/* Handshakes. */

struct tls_hs *
tls_hs_new(struct tls *t, void (*resume)(void *), void *arg)
{
	struct tls_hs *h;

	if (t == NULL || tls_is_empty(t))
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->tls = tls_ref(t);
	h->resume = resume;
	h->arg = arg;
	h->ssl = SSL_new(t->ncerts != 0 ? t->certs[0].ctx :
	    t->alpns[0].cert.ctx);
	h->in = BIO_new(BIO_s_mem());
	h->out = BIO_new(BIO_s_mem());
	if (h->ssl == NULL || h->in == NULL || h->out == NULL ||
	    SSL_set_app_data(h->ssl, h) != 1)
		fatalx("out of memory");
	(void)BIO_set_mem_eof_return(h->in, -1);
	SSL_set_bio(h->ssl, h->in, h->out);
	SSL_set_accept_state(h->ssl);
	return h;
}

static int
run(struct tls_hs *h)
{
	int rc;

	ERR_clear_error();
	h->tls->running = h;
	rc = SSL_do_handshake(h->ssl);
	h->tls->running = NULL;
	return rc;
}

void
tls_hs_free(struct tls_hs *h)
{
	if (h == NULL)
		return;
	if (h->waits) {
		/* Its stack is given back only by its end. */
		h->tls->signer.forget(h, h->tls->signer.arg);
		h->waits = false;
		tls_hs_signed(h, NULL, 0);
		(void)run(h);
	}
	free(h->sig);
	SSL_free(h->ssl);
	tls_free(h->tls);
	wipe(h, sizeof(*h));
	free(h);
}

bool
tls_hs_answered(const struct tls_hs *h)
{
	return h->secrets.n != 0;
}

bool
tls_hs_is_h2(const struct tls_hs *h)
{
	const unsigned char *p;
	unsigned int n;

	SSL_get0_alpn_selected(h->ssl, &p, &n);
	return n == strlen(H2) && memcmp(p, H2, n) == 0;
}

const char *
tls_hs_why(const struct tls_hs *h)
{
	return h->why == NULL ? "" : h->why;
}

static enum tls_event
fail(struct tls_hs *h, const char *why)
{
	h->why = why;
	ERR_clear_error();
	return TLS_E_FAIL;
}

static void
drain(struct tls_hs *h, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(h->out, &p);

	if (n > 0)
		buf_put(out, p, (size_t)n);
	(void)BIO_reset(h->out);
}

static enum tls_event
done(struct tls_hs *h, struct tls_secrets *s)
{
	const SSL_CIPHER *c = SSL_get_current_cipher(h->ssl);

	/* RFC 8737 3: nothing is said on it. */
	if (h->acme)
		return fail(h, "a challenge was answered");
	if (c == NULL || BIO_pending(h->in) != 0 || SSL_pending(h->ssl) != 0 ||
	    h->secrets.n == 0)
		return fail(h, "the handshake left something over");
	*s = h->secrets;
	s->suite = SSL_CIPHER_get_protocol_id(c);
	wipe(&h->secrets, sizeof(h->secrets));
	return TLS_E_DONE;
}

enum tls_event
tls_hs_resume(struct tls_hs *h, struct buf *out, struct tls_secrets *s)
{
	const char *why;
	int rc, error;

	h->waits = false;
	rc = run(h);
	error = SSL_get_error(h->ssl, rc);
	if (SSL_waiting_for_async(h->ssl) == 1) {
		/* What there is of the flight goes with the rest of it. */
		h->waits = true;
		return TLS_E_WAIT;
	}
	drain(h, out);
	if (rc == 1)
		return done(h, s);
	if (error == SSL_ERROR_WANT_READ)
		return TLS_E_MORE;
	why = ERR_reason_error_string(ERR_peek_error());
	return fail(h, why == NULL ? "unknown" : why);
}

enum tls_event
tls_hs_record(struct tls_hs *h, const uint8_t *p, size_t n, struct buf *out,
    struct tls_secrets *s)
{
	if ((h->got += n) > ASK_MAX)
		return fail(h, "the handshake is too long");
	if (BIO_write(h->in, p, (int)n) != (int)n)
		fatalx("out of memory");
	return tls_hs_resume(h, out, s);
}
