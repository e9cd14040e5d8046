/* The client of certkit.h. */

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/log.h"
#include "regress/lib/certkit.h"

#define TEXT	256

struct tlsclient {
	SSL_CTX		*ctx;
	SSL		*ssl;
	BIO		*in;
	BIO		*out;
	struct buf	 got;
	int		 alert;
};

static void
on_info(const SSL *ssl, int where, int ret)
{
	struct tlsclient *c = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    (ret & 0xff) != SSL_AD_CLOSE_NOTIFY)
		c->alert = ret & 0xff;
}

/* The library's macros take no const. */
static char *
own(char dst[TEXT], const char *text)
{
	(void)strlcpy(dst, text, TEXT);
	return dst;
}

static void
offer(SSL *ssl, const char *protocols)
{
	struct buf b = { 0 };
	size_t n;

	while (*protocols != '\0') {
		n = strcspn(protocols, ",");
		buf_u8(&b, (uint8_t)n);
		buf_put(&b, protocols, n);
		protocols += n + (protocols[n] == ',');
	}
	if (SSL_set_alpn_protos(ssl, b.p, (unsigned int)b.n) != 0)
		fatalx("bad protocols");
	buf_free(&b);
}

struct tlsclient *
tlsclient_new(const struct tlsclient_conf *conf)
{
	static const struct tlsclient_conf none;
	struct tlsclient *c;
	char text[TEXT];

	if (conf == NULL)
		conf = &none;
	c = xcalloc(1, sizeof(*c));
	c->alert = -1;
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_info_callback(c->ctx, on_info);
	SSL_CTX_set_security_level(c->ctx, 0);
	if (conf->max_version != 0)
		SSL_CTX_set_max_proto_version(c->ctx, conf->max_version);
	if ((conf->suite != NULL &&
	    SSL_CTX_set_ciphersuites(c->ctx, conf->suite) != 1) ||
	    (conf->sigalgs != NULL && SSL_CTX_set1_sigalgs_list(c->ctx,
	    own(text, conf->sigalgs)) != 1) ||
	    (conf->groups != NULL && SSL_CTX_set1_groups_list(c->ctx,
	    own(text, conf->groups)) != 1))
		fatalx("bad client");
	c->ssl = SSL_new(c->ctx);
	SSL_set_app_data(c->ssl, c);
	if (conf->host != NULL)
		SSL_set_tlsext_host_name(c->ssl, own(text, conf->host));
	if (conf->alpn != NULL)
		offer(c->ssl, conf->alpn);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	(void)SSL_do_handshake(c->ssl);
	return c;
}

void
tlsclient_free(struct tlsclient *c)
{
	if (c == NULL)
		return;
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	buf_free(&c->got);
	free(c);
}

static void
pump(struct tlsclient *c)
{
	uint8_t b[16384];
	int n;

	ERR_clear_error();
	if (!SSL_is_init_finished(c->ssl) && SSL_do_handshake(c->ssl) != 1) {
		ERR_clear_error();
		return;
	}
	while ((n = SSL_read(c->ssl, b, sizeof(b))) > 0)
		buf_put(&c->got, b, (size_t)n);
	ERR_clear_error();
}

void
tlsclient_input(struct tlsclient *c, const void *p, size_t n)
{
	if (n != 0)
		BIO_write(c->in, p, (int)n);
	pump(c);
}

size_t
tlsclient_output(struct tlsclient *c, void *p, size_t max)
{
	int n = BIO_read(c->out, p, (int)max);

	return n > 0 ? (size_t)n : 0;
}

bool
tlsclient_is_ready(const struct tlsclient *c)
{
	return SSL_is_init_finished(c->ssl) == 1;
}

bool
tlsclient_is_closed(const struct tlsclient *c)
{
	return (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0 &&
	    c->alert == -1;
}

int
tlsclient_alert(const struct tlsclient *c)
{
	return c->alert;
}

void
tlsclient_write(struct tlsclient *c, const void *p, size_t n)
{
	size_t done;

	if (n == 0) {
		(void)SSL_write_ex(c->ssl, p, 0, &done);
		return;
	}
	if (SSL_write_ex(c->ssl, p, n, &done) != 1 || done != n)
		fatalx("the client can't write");
}

struct buf *
tlsclient_got(struct tlsclient *c)
{
	return &c->got;
}

void
tlsclient_update(struct tlsclient *c, bool ask)
{
	if (SSL_key_update(c->ssl, ask ? SSL_KEY_UPDATE_REQUESTED :
	    SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
		fatalx("no key update");
	(void)SSL_do_handshake(c->ssl);
}

void
tlsclient_close(struct tlsclient *c)
{
	(void)SSL_shutdown(c->ssl);
}

void *
tlsclient_ssl(struct tlsclient *c)
{
	return c->ssl;
}
