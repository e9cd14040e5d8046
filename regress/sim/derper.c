#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/noise.h"
#include "regress/sim/derper.h"
#include "worker/relay/frame.h"

#define SOON_US		(200 * US_PER_MS)
#define REFUSED_US	(3 * US_PER_S)	/* 16 in 30 s are too many */
#define INFO		"{\"version\":2,\"CanAckPings\":true}"
#define REQUEST		"GET /derp HTTP/1.1\r\nHost: relay\r\n" \
			"Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n"

enum state { AWAY, ASKED, UPGRADED, SAID, LIVE };

struct derper {
	struct world	*w;
	struct ways	*ways;
	struct derper_conf conf;
	uint8_t		 key[32];
	char		 name[KEY_TEXT];
	enum state	 state;
	struct way	*way;
	struct buf	 in;
	unsigned int	 slot;		/* that it wants; 0: any */
	bool		 coming;	/* there is an event for it */
	bool		 off;
	bool		 freed;
};

static void	come_in(struct derper *, uint64_t us);

static void
leave(struct derper *d)
{
	way_close(d->way);
	d->way = NULL;
	d->state = AWAY;
	buf_clear(&d->in);
}

static void
lost(struct derper *d)
{
	bool refused = d->state == SAID;

	leave(d);
	if (!d->off)
		come_in(d, refused ? REFUSED_US : SOON_US);
}

static void
put(struct derper *d, uint8_t type, struct slice a, struct slice b)
{
	struct buf out = { 0 };

	derp_head(buf_room(&out, DERP_HEAD), (enum derp_type)type,
	    (uint32_t)(a.n + b.n));
	out.n += DERP_HEAD;
	buf_slice(&out, a);
	buf_slice(&out, b);
	way_put(d->way, out.p, out.n);
	buf_free(&out);
}

static void
say_who(struct derper *d, const uint8_t server[32])
{
	uint8_t nonce[DERP_NONCE], box[sizeof(INFO) - 1 + 16];
	struct buf head = { 0 };

	world_draw(d->w, nonce, sizeof(nonce));
	if (crypto_box_easy(box, (const uint8_t *)INFO, sizeof(INFO) - 1,
	    nonce, server, d->conf.node_key) != 0)
		world_fail(d->w, "the relay's key is weak");
	buf_put(&head, d->key, sizeof(d->key));
	buf_put(&head, nonce, sizeof(nonce));
	put(d, DERP_CLIENT_INFO, buf_slice_of(&head),
	    slice_mem(box, sizeof(box)));
	buf_free(&head);
	d->state = SAID;
}

/* True: it was one that may come now. */
static bool
frame(struct derper *d, uint8_t type, const uint8_t *p, size_t n)
{
	switch (type) {
	case DERP_SERVER_KEY:
		if (d->state != UPGRADED || n < DERP_MAGIC_LEN + DERP_KEY ||
		    memcmp(p, DERP_MAGIC, DERP_MAGIC_LEN) != 0)
			return false;
		say_who(d, p + DERP_MAGIC_LEN);
		return true;
	case DERP_SERVER_INFO:
		if (d->state != SAID)
			return false;
		d->state = LIVE;
		world_trace(d->w, "%s is live at worker %u", d->name,
		    way_slot(d->way));
		return true;
	case DERP_RECV:
		if (d->state != LIVE || n < DERP_KEY)
			return false;
		d->conf.packet(d, p, slice_mem(p + DERP_KEY, n - DERP_KEY),
		    d->conf.arg);
		return true;
	case DERP_KEEPALIVE:
	case DERP_GONE:
	case DERP_HEALTH:	/* several have its key */
		return d->state == LIVE;
	default:
		return false;
	}
}

/* False: wait for more, or it is over. */
static bool
upgraded(struct derper *d)
{
	static const char ok[] = "HTTP/1.1 101 ";
	const uint8_t *end = memmem(d->in.p, d->in.n, "\r\n\r\n", 4);

	if (end == NULL)
		return false;
	if (memcmp(d->in.p, ok, sizeof(ok) - 1) != 0) {
		world_trace(d->w, "%s: %.*s", d->name, 12,
		    (const char *)d->in.p);
		lost(d);
		return false;
	}
	buf_drain(&d->in, (size_t)(end + 4 - d->in.p));
	d->state = UPGRADED;
	return true;
}

static void
on_octets(void *arg, const uint8_t *p, size_t n)
{
	struct derper *d = arg;
	uint32_t len;

	buf_put(&d->in, p, n);
	if (d->state == ASKED && !upgraded(d))
		return;
	while (d->in.n >= DERP_HEAD) {
		len = derp_len(d->in.p);
		if (len > DERP_FRAME_MAX || (d->in.n >= DERP_HEAD + len &&
		    !frame(d, d->in.p[0], d->in.p + DERP_HEAD, len))) {
			world_fail(d->w, "%s is sent frame %u of %u octets",
			    d->name, d->in.p[0], len);
			lost(d);
			return;
		}
		if (d->in.n < DERP_HEAD + len)
			return;
		buf_drain(&d->in, DERP_HEAD + len);
	}
}

static void
on_ended(void *arg)
{
	lost(arg);
}

static void
come(void *arg)
{
	struct derper *d = arg;
	struct way_conf wc = { d->conf.min_us, d->conf.max_us,
	    { d->conf.from, 41641 }, on_octets, on_ended, d };

	d->coming = false;
	if (d->freed) {
		free(d);
		return;
	}
	if (d->off || d->way != NULL)
		return;
	/* host_accept(): the slots in turn, from 1 */
	d->way = way_open(d->ways, d->slot == 0 ? world_rand(d->w, 1000) :
	    d->slot - 1, &wc);
	if (d->way == NULL) {
		come_in(d, SOON_US);
		return;
	}
	d->state = ASKED;
	way_put(d->way, REQUEST, sizeof(REQUEST) - 1);
}

static void
come_in(struct derper *d, uint64_t us)
{
	if (d->coming)
		return;
	d->coming = true;
	world_at(d->w, world_now(d->w) + us / 2 + world_rand(d->w, us), come,
	    d);
}

struct derper *
derper_new(struct world *w, struct ways *ways, const struct derper_conf *conf)
{
	struct derper *d;

	d = xcalloc(1, sizeof(*d));
	d->w = w;
	d->ways = ways;
	d->conf = *conf;
	noise_public(d->key, d->conf.node_key);
	key_print(d->name, KEY_NODE, d->key);
	come_in(d, SOON_US);
	return d;
}

void
derper_free(struct derper *d)
{
	derper_off(d);
	buf_free(&d->in);
	d->freed = true;
	if (!d->coming)
		free(d);
}

const uint8_t *
derper_key(const struct derper *d)
{
	return d->key;
}

const char *
derper_name(const struct derper *d)
{
	return d->name;
}

bool
derper_is_live(const struct derper *d)
{
	return d->state == LIVE;
}

unsigned int
derper_slot(const struct derper *d)
{
	return d->way == NULL ? 0 : way_slot(d->way);
}

bool
derper_send(struct derper *d, const uint8_t dst[32], const void *p, size_t n)
{
	if (d->state != LIVE)
		return false;
	put(d, DERP_SEND, slice_mem(dst, 32), slice_mem(p, n));
	return true;
}

void
derper_move(struct derper *d, unsigned int slot)
{
	if (d->off)
		return;
	d->slot = slot;
	leave(d);
	come_in(d, SOON_US);
}

void
derper_stall(struct derper *d, uint64_t us)
{
	if (d->way != NULL)
		way_stall(d->way, world_now(d->w) + us);
}

void
derper_off(struct derper *d)
{
	d->off = true;
	leave(d);
}

bool
derper_is_off(const struct derper *d)
{
	return d->off;
}
