/* Sockets and TLS of the load generator (regress/lib/derpload.h). */

#include <sys/epoll.h>
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/derpload_int.h"

static int
bio_write(BIO *b, const char *p, int n)
{
	struct dl_conn *c = BIO_get_data(b);

	buf_put(&c->out, p, (size_t)n);
	return n;
}

static int
bio_read(BIO *b, char *p, int max)
{
	struct dl_conn *c = BIO_get_data(b);
	struct slice *in = &c->dl->in;
	size_t n = in->n < (size_t)max ? in->n : (size_t)max;

	BIO_clear_retry_flags(b);
	if (n == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(p, in->p, n);
	in->p += n;
	in->n -= n;
	return (int)n;
}

static long
bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return cmd == BIO_CTRL_FLUSH;
}

/* "CLIENT_TRAFFIC_SECRET_0 random secret" and the like. */
static void
on_secret(const SSL *ssl, const char *line)
{
	struct dl_conn *c = SSL_get_app_data(ssl);
	const char *hex = strrchr(line, ' ');
	uint8_t *dst = NULL;

	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
		dst = c->tx;
	else if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0)
		dst = c->rx;
	if (dst != NULL && !hex_dec(dst, 32, slice_str(hex + 1)))
		fatalx("%s: not SHA-256", line);
}

struct dl *
dl_new(const struct dl_conf *conf)
{
	struct dl *dl = calloc(1, sizeof(*dl));

	if (dl == NULL)
		fatal("calloc");
	dl->conf = *conf;
	if ((dl->ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		fatal("epoll_create1");
	if ((dl->ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
	    (dl->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "load")) == NULL)
		fatalx("no TLS");
	if (SSL_CTX_set_min_proto_version(dl->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(dl->ctx, "X25519") != 1 ||
	    SSL_CTX_set_ciphersuites(dl->ctx, "TLS_AES_128_GCM_SHA256") != 1)
		fatalx("TLS lacks something");
	(void)SSL_CTX_set_session_cache_mode(dl->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_keylog_callback(dl->ctx, on_secret);
	SSL_CTX_set_verify(dl->ctx, SSL_VERIFY_NONE, NULL);
	(void)BIO_meth_set_write(dl->bio, bio_write);
	(void)BIO_meth_set_read(dl->bio, bio_read);
	(void)BIO_meth_set_ctrl(dl->bio, bio_ctrl);
	return dl;
}

static void
bury(struct dl *dl)
{
	struct dl_conn *c;

	while ((c = dl->dead) != NULL) {
		dl->dead = c->next;
		SSL_free(c->ssl);
		dl_rec_free(c->rec);
		buf_free(&c->sealed);
		buf_free(&c->out);
		buf_free(&c->part);
		free(c);
	}
}

void
dl_free(struct dl *dl)
{
	while (!LIST_EMPTY(&dl->all))
		dl_close(LIST_FIRST(&dl->all));
	bury(dl);
	(void)close(dl->ep);
	SSL_CTX_free(dl->ctx);
	BIO_meth_free(dl->bio);
	buf_free(&dl->pack);
	free(dl->keys);
	free(dl->pool.c);
	free(dl);
}

const struct dl_conf *
dl_conf(const struct dl *dl)
{
	return &dl->conf;
}

void
dl_set_ops(struct dl *dl, const struct dl_ops *ops)
{
	dl->ops = *ops;
}

static void
watch(struct dl_conn *c, int op, bool out)
{
	struct epoll_event e;

	memset(&e, 0, sizeof(e));
	e.events = EPOLLIN | (out ? EPOLLOUT : 0);
	e.data.ptr = c;
	if (epoll_ctl(c->dl->ep, op, c->fd, &e) == -1)
		fatal("epoll_ctl");
	c->polled_out = out;
}

static struct dl_conn *
begin(struct dl *dl)
{
	struct dl_conn *c = calloc(1, sizeof(*c));
	int one = 1, family = dl->conf.addr.ss_family;

	if (c == NULL)
		fatal("calloc");
	c->dl = dl;
	c->begun = dl_now();
	LIST_INSERT_HEAD(&dl->all, c, all);
	if ((c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0)) == -1)
		fatal("socket");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&dl->conf.addr,
	    dl->conf.addr_len) == -1 && errno != EINPROGRESS)
		fatal("connect");
	watch(c, EPOLL_CTL_ADD, true);
	return c;
}

struct dl_conn *
dl_login(struct dl *dl, unsigned int key)
{
	struct dl_conn *c;

	(void)dl_key(dl, key);
	c = begin(dl);
	c->key = key;
	return c;
}

struct dl_conn *
dl_get(struct dl *dl)
{
	struct dl_conn *c = begin(dl);

	c->get = true;
	return c;
}

static void
undirty(struct dl_conn *c)
{
	struct dl_conn **p;

	if (!c->dirty)
		return;
	for (p = &c->dl->dirty; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	c->dirty = false;
}

void
dl_close(struct dl_conn *c)
{
	/* A reset leaves no TIME_WAIT behind: a storm needs the ports. */
	struct linger no = { 1, 0 };

	if (c->state == DL_DEAD)
		return;
	undirty(c);
	if (c->dl->packing == c) {
		buf_clear(&c->dl->pack);
		c->dl->packing = NULL;
	}
	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &no, sizeof(no));
	(void)close(c->fd);
	LIST_REMOVE(c, all);
	c->state = DL_DEAD;
	c->next = c->dl->dead;
	c->dl->dead = c;
}

void
dl_close_begun(struct dl *dl)
{
	struct dl_conn *c, *next;

	for (c = LIST_FIRST(&dl->all); c != NULL; c = next) {
		next = LIST_NEXT(c, all);
		if (c->state != DL_UP)
			dl_close(c);
	}
}

void
dl_fail(struct dl_conn *c, const char *why)
{
	if (c->state == DL_DEAD)
		return;
	dl_close(c);
	c->dl->ops.gone(c, why, c->dl->ops.arg);
}

static void
tls_begin(struct dl_conn *c)
{
	BIO *b;

	if ((c->ssl = SSL_new(c->dl->ctx)) == NULL ||
	    (b = BIO_new(c->dl->bio)) == NULL)
		fatalx("no memory for TLS");
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	SSL_set_bio(c->ssl, b, b);
	SSL_set_app_data(c->ssl, c);
	SSL_set_connect_state(c->ssl);
	if (c->dl->conf.sni != NULL &&
	    SSL_set_tlsext_host_name(c->ssl, c->dl->conf.sni) != 1)
		fatalx("no memory for TLS");
	c->state = DL_TLS;
}

static void
dirty(struct dl_conn *c)
{
	if (c->dirty || c->state == DL_DEAD)
		return;
	c->dirty = true;
	c->next = c->dl->dirty;
	c->dl->dirty = c;
}

static void
seal(struct dl_conn *c, const void *p, size_t n)
{
	if (c->rec == NULL)
		buf_put(&c->out, p, n);
	else if (n > 0)
		dl_rec_seal(c->rec, p, n, &c->out);
}

static void
unpack(struct dl *dl)
{
	size_t at, n;

	for (at = 0; dl->packing != NULL && at < dl->pack.n; at += n) {
		n = dl->pack.n - at < DL_RECORD ? dl->pack.n - at : DL_RECORD;
		seal(dl->packing, dl->pack.p + at, n);
	}
	buf_clear(&dl->pack);
	dl->packing = NULL;
}

void
dl_put(struct dl_conn *c, const void *p, size_t n)
{
	seal(c, p, n);
	dirty(c);
}

static void
put_be(uint8_t *p, uint64_t v, unsigned int n)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

void
dl_send(struct dl_conn *c, const uint8_t dst[32], size_t n, uint64_t seq,
    uint64_t now)
{
	struct dl *dl = c->dl;
	uint8_t *p;

	if (c->state != DL_UP)
		return;
	if (dl->packing != c)
		unpack(dl);
	dl->packing = c;
	p = buf_room(&dl->pack, 5 + 32 + n);
	p[0] = 4;
	put_be(p + 1, 32 + n, 4);
	memcpy(p + 5, dst, 32);
	memset(p + 37, 0x5a, n);
	put_be(p + 37, seq, 8);
	put_be(p + 45, now, 8);
	dl->pack.n += 37 + n;
	/* A packet that has not its like in what is left goes as it is. */
	if (dl->pack.n >= dl->conf.pack * (37 + n) ||
	    dl->pack.n + 37 + n > DL_RECORD)
		unpack(dl);
	dirty(c);
}

void
dl_flush(struct dl_conn *c)
{
	ssize_t n;

	undirty(c);
	if (c->dl->packing == c)
		unpack(c->dl);
	if (c->state == DL_DEAD || c->state == DL_TCP || c->out.n == 0)
		return;
	n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN) {
		dl_fail(c, "write");
		return;
	}
	if (n > 0)
		buf_drain(&c->out, (size_t)n);
	if (c->polled_out != (c->out.n > 0))
		watch(c, EPOLL_CTL_MOD, c->out.n > 0);
}

static void
handshake(struct dl_conn *c)
{
	int n;

	n = SSL_do_handshake(c->ssl);
	dirty(c);
	if (n != 1) {
		if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
			dl_fail(c, "TLS");
		return;
	}
	c->rec = dl_rec_new(c->rx, c->tx);
	dl_start(c);
	SSL_free(c->ssl);
	c->ssl = NULL;
}

/* What recv(2) brought, through TLS. */
static void
input(struct dl_conn *c)
{
	struct dl *dl = c->dl;
	uint8_t *p;
	size_t used;

	if (c->state == DL_TLS)
		handshake(c);
	if (c->state == DL_TLS || c->state == DL_DEAD)
		return;
	p = dl->raw + (dl->in.p - (const char *)dl->raw);
	if (c->rec == NULL) {
		dl_clear(c, p, dl->in.n);
	} else if (c->sealed.n > 0) {
		buf_put(&c->sealed, p, dl->in.n);
		used = dl_rec_open(c, c->sealed.p, c->sealed.n);
		buf_drain(&c->sealed, used);
	} else {
		used = dl_rec_open(c, p, dl->in.n);
		buf_put(&c->sealed, p + used, dl->in.n - used);
	}
}

static void
readable(struct dl_conn *c)
{
	struct dl *dl = c->dl;
	ssize_t n;

	n = recv(c->fd, dl->raw, sizeof(dl->raw), 0);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		dl_fail(c, n == 0 ? "closed by the relay" : "reset");
		return;
	}
	dl->in = slice_mem(dl->raw, (size_t)n);
	input(c);
}

static void
writable(struct dl_conn *c)
{
	socklen_t len = sizeof(int);
	int e = 0;

	if (c->state != DL_TCP) {
		dirty(c);
		return;
	}
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1 || e != 0) {
		dl_fail(c, "connect");
		return;
	}
	if (c->dl->conf.plain) {
		dl_start(c);
		return;
	}
	tls_begin(c);
	c->dl->in = slice_mem(c->dl->raw, 0);
	input(c);
}

void
dl_poll(struct dl *dl, uint64_t us)
{
	struct epoll_event e[DL_EVENTS];
	struct timespec ts;
	struct dl_conn *c;
	int i, n;

	while (dl->dirty != NULL)
		dl_flush(dl->dirty);
	bury(dl);
	ts.tv_sec = (time_t)(us / 1000000);
	ts.tv_nsec = (long)(us % 1000000) * 1000;
	if ((n = epoll_pwait2(dl->ep, e, DL_EVENTS, &ts, NULL)) == -1) {
		if (errno != EINTR)
			fatal("epoll_pwait2");
		return;
	}
	for (i = 0; i < n; i++) {
		c = e[i].data.ptr;
		if (c->state != DL_DEAD && (e[i].events & EPOLLOUT) != 0)
			writable(c);
		if (c->state != DL_DEAD && c->state != DL_TCP &&
		    (e[i].events & ~(unsigned int)EPOLLOUT) != 0)
			readable(c);
		/* At once: what one client sends is one write(2). */
		while (dl->dirty != NULL)
			dl_flush(dl->dirty);
	}
}

struct dl_of *
dl_of(struct dl_conn *c)
{
	return &c->of;
}

uint64_t
dl_begun(const struct dl_conn *c)
{
	return c->begun;
}

const uint8_t *
dl_pub(const struct dl_conn *c)
{
	return c->dl->keys[c->key].pub;
}

size_t
dl_waits(const struct dl_conn *c)
{
	return c->out.n;
}

uint64_t
dl_fast(const struct dl *dl)
{
	return dl->fast;
}
