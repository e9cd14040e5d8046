#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "regress/lib/tlsh2.h"

static struct th_answer *
answer_of(struct tlsh2 *h, int32_t stream)
{
	size_t i = (size_t)stream / 2;

	assert_true(i < TH_ANSWERS);
	return &h->a[i];
}

static void
on_head(struct h2_client *c, int32_t stream, unsigned int status, void *arg)
{
	(void)c;
	answer_of(arg, stream)->status = status;
}

static void
on_field(struct h2_client *c, int32_t stream, struct slice k, struct slice v,
    void *arg)
{
	struct buf *b = &answer_of(arg, stream)->fields;

	(void)c;
	buf_slice(b, k);
	buf_str(b, ": ");
	buf_slice(b, v);
	buf_str(b, "\n");
}

static void
on_data(struct h2_client *c, int32_t stream, const void *p, size_t n,
    void *arg)
{
	(void)c;
	buf_put(&answer_of(arg, stream)->body, p, n);
}

static void
on_end(struct h2_client *c, int32_t stream, uint32_t error, void *arg)
{
	struct th_answer *a = answer_of(arg, stream);

	(void)c;
	a->ended = true;
	a->error = error;
}

struct tlsh2 *
th_dial(struct tlsworld *x, uint32_t window)
{
	struct tlsclient_conf tc = { .alpn = "h2,http/1.1" };
	struct h2_client_conf hc = { .bare = true, .window = window,
	    .on_head = on_head, .on_header = on_field, .on_data = on_data,
	    .on_end = on_end };
	struct tlsh2 *h = calloc(1, sizeof(*h));
	const unsigned char *p;
	unsigned int n;

	assert_non_null(h);
	h->x = x;
	h->p = tw_dial(x, &tc);
	assert_true(tlsclient_is_ready(h->p.c));
	SSL_get0_alpn_selected(tlsclient_ssl(h->p.c), &p, &n);
	assert_int_equal(n, 2);
	assert_memory_equal(p, "h2", 2);
	hc.arg = h;
	h->c = h2_client_new(x->w->env, &hc);
	th_run(h);
	return h;
}

struct conn *
th_leave(struct tlsh2 *h)
{
	struct conn *conn = h->p.conn;
	size_t i;

	h->p.conn = NULL;
	tw_end(&h->p);
	h2_client_free(h->c);
	for (i = 0; i < TH_ANSWERS; i++) {
		buf_free(&h->a[i].fields);
		buf_free(&h->a[i].body);
	}
	free(h);
	return conn;
}

void
th_free(struct tlsh2 *h)
{
	struct conn *conn = th_leave(h);

	if (conn != NULL)
		conn_free(conn);
}

/* As tw_move() for who takes nothing. */
static void
to_server(struct tlsh2 *h)
{
	uint8_t b[20000];
	size_t n;

	while (h->p.conn != NULL && conn_wants_input(h->p.conn) &&
	    (n = tlsclient_output(h->p.c, b, sizeof(b))) != 0)
		conn_input(h->p.conn, b, n);
}

void
th_run(struct tlsh2 *h)
{
	struct buf *got = tlsclient_got(h->p.c);
	uint8_t b[16384];
	size_t n;
	bool any;

	do {
		any = false;
		while ((n = h2_client_output(h->c, b, sizeof(b))) != 0) {
			tlsclient_write(h->p.c, b, n);
			any = true;
		}
		if (h->stuck) {
			fakeenv_advance(h->x->w->fake, 0);
			to_server(h);
			return;
		}
		tw_move(h->x, &h->p);
		if (got->n != 0) {
			h2_client_input(h->c, got->p, got->n);
			buf_clear(got);
			any = true;
		}
	} while (any);
}

void
th_pass(struct tlsh2 *h, uint64_t us)
{
	uint64_t step;

	for (th_run(h); us != 0; us -= step) {
		step = us < 100 * US_PER_MS ? us : 100 * US_PER_MS;
		fakeenv_advance(h->x->w->fake, step);
		th_run(h);
	}
}

struct th_answer *
th_ask(struct tlsh2 *h, const char *method, const char *path,
    const char *const *fields, const void *body, size_t n)
{
	struct th_answer *a;

	a = answer_of(h, h2_client_request(h->c, method, path, fields, body,
	    n));
	th_run(h);
	return a;
}

void
th_frame(struct tlsh2 *h, unsigned int type, unsigned int flags,
    uint32_t stream, const void *p, size_t n)
{
	struct buf b = { 0 };

	h2_client_flush(h->c);
	buf_u32(&b, (uint32_t)n << 8 | (type & 0xff));
	buf_u8(&b, (uint8_t)flags);
	buf_u32(&b, stream);
	buf_put(&b, p, n);
	h2_client_raw(h->c, b.p, b.n);
	buf_free(&b);
	th_run(h);
}

bool
th_has(const struct th_answer *a, const char *field)
{
	return a->fields.n != 0 && memmem(a->fields.p, a->fields.n, field,
	    strlen(field)) != NULL;
}
