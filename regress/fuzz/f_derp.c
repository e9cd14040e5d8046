/*
 * DERP frames.  First octet, its low two bits: 0 the octets of a connection
 * from its start, 1 of a client that is logged in, 2 a ClientInfo's JSON,
 * 3 as 1, but the one it talks to is at another worker; then pieces (4: one
 * octet, 8: fifty), 16 a slow reader, 32 a rate.  In pieces and in one the
 * other side must get the same packets, in the same order, but that those of
 * disco may overtake the others.
 */

#include <stdlib.h>
#include <string.h>

#include "regress/lib/relaykit.h"
#include "worker/relay/relay_int.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct result {
	struct buf	 got[2];	/* those of disco are the second */
	bool		 lost;		/* by a full queue */
};

static void
put(struct rkclient *x, const uint8_t *p, size_t n, size_t piece)
{
	size_t at, part;

	for (at = 0; at < n && !rk_is_done(x); at += part) {
		part = n - at < piece ? n - at : piece;
		rk_octets(x, p + at, part);
		if (piece != n)
			rk_run(x->rk);
	}
	rk_run(x->rk);
}

static void
info(struct rkclient *x, const uint8_t *p, size_t n)
{
	struct buf b = { 0 };
	char *text;

	if (n > 8192 - 16)
		n = 8192 - 16;
	text = slice_dup(slice_mem(p, n));
	rk_hello(x, text, &b);
	rk_octets(x, b.p, b.n);
	rk_run(x->rk);
	free(text);
	buf_free(&b);
}

/*
 * All that was said to us is whole frames; packets are appended to got, but not
 * the notices, which do not wait their turn.
 */
static void
frames(struct rkclient *x, struct buf *got)
{
	struct buf *b;
	struct slice s;
	uint8_t type;

	while (rk_next(x, &type, &s)) {
		if (type == 0 || type > 0x13 || (type == 5 && s.n < 32))
			abort();
		if (type == 5 && got != NULL) {
			b = got + derp_is_disco(s.p + 32, s.n - 32);
			buf_u32(b, (uint32_t)s.n);
			buf_slice(b, s);
		}
	}
	if (!rk_is_done(x) && !rk_silent(x))
		abort();
}

/* Nothing of a client stays. */
static void
empty(struct relay *r)
{
	if (r->pool.used != 0 || r->half_open != 0 || r->nseen != 0 ||
	    r->count.clients != 0 || r->count.home != 0 ||
	    r->count.dup_keys != 0 || r->count.dup_conns != 0 ||
	    r->serials.n != 0 || r->seens.n != 0)
		abort();
}

static void
run(uint8_t how, const uint8_t *p, size_t n, size_t piece, struct result *to)
{
	struct relay_conf conf = { (how & 32) != 0 ? 100000 : 0, 0, 2000, 100,
	    0 };
	struct rk *rk = rk_new((how & 3) == 3 ? 2 : 1, &conf);
	struct rkclient *x, *y, *z;

	y = rk_login(&rk->worker[(how & 3) == 3 ? 1 : 0], 2);
	z = rk_login(&rk->worker[0], 3);
	if ((how & 1) != 0)
		x = rk_login(&rk->worker[0], 1);
	else
		x = rk_connect(&rk->worker[0], 1);
	x->stuck = (how & 16) != 0;
	if ((how & 3) == 2)
		info(x, p, n);
	else
		put(x, p, n, piece);
	x->stuck = false;
	rk_pass(rk, (how & 32) != 0 ? 2 * US_PER_S : 0);
	to->lost = rk_count(&rk->worker[0])->dropped_head != 0 ||
	    rk_count(x->worker)->dropped_mesh != 0 ||
	    rk_count(y->worker)->dropped_head != 0;
	frames(x, NULL);
	frames(y, to->got);
	frames(z, NULL);
	rk_close(x);
	rk_close(y);
	rk_close(z);
	rk_run(rk);
	empty(rk->worker[0].relay);
	if (fakeenv_code(rk->fake) != -1 || rk->worker[0].bad != 0)
		abort();
	rk_free(rk);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct result a, b;
	size_t piece, i;

	if (n < 1)
		return 0;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	run(p[0], p + 1, n - 1, n - 1, &a);
	if ((p[0] & 12) != 0 && n < 3000) {
		piece = (p[0] & 4) != 0 ? 1 : 50;
		run(p[0], p + 1, n - 1, piece, &b);
		for (i = 0; i < 2; i++)
			if (!a.lost && !b.lost && (p[0] & 32) == 0 &&
			    !slice_eq(buf_slice_of(&a.got[i]),
			    buf_slice_of(&b.got[i])))
				abort();
	}
	for (i = 0; i < 2; i++) {
		buf_free(&a.got[i]);
		buf_free(&b.got[i]);
	}
	return 0;
}
