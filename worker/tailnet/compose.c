#include <string.h>

#include "worker/tailnet/compose_int.h"

void
compose_init(struct compose *c, struct pack *pack, struct parts *parts,
    bool compress)
{
	memset(c, 0, sizeof(*c));
	c->pack = pack;
	c->parts = parts;
	c->compress = compress;
}

/* What is written so far becomes a frame. */
static void
flush(struct compose *c)
{
	if (c->text.n == 0)
		return;
	parts_add(c->parts, pack_own(c->pack, &c->text));
	buf_clear(&c->text);
}

void
compose_shared(struct compose *c, struct frame *f, struct slice text)
{
	if (!c->compress || f == NULL || text.n < COMPOSE_LEAST) {
		buf_slice(&c->text, text);
		return;
	}
	flush(c);
	parts_add(c->parts, frame_ref(f));
}

void
compose_end(struct compose *c)
{
	if (c->compress) {
		flush(c);
		parts_close(c->parts);
	} else
		parts_add(c->parts, pack_message(c->pack, &c->text, false));
	buf_free(&c->text);
}
