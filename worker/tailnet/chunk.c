#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "worker/tailnet/chunk_int.h"

struct chunk {
	struct frame	*frame;		/* NULL: to be made when needed */
	uint64_t	 ver;		/* of the members when it was made */
	uint32_t	 lag;		/* members changed since */
	uint32_t	 moves;		/* members came or went, ever */
};

void
chunkset_init(struct chunkset *cs, struct pack *pack,
    const struct chunk_ops *ops, const void *arg, uint32_t per)
{
	memset(cs, 0, sizeof(*cs));
	cs->pack = pack;
	cs->ops = ops;
	cs->arg = arg;
	cs->per = per;
}

static void
spoil(struct chunkset *cs, struct chunk *c)
{
	if (c->lag != 0)
		cs->lagging--;
	frame_unref(c->frame);
	c->frame = NULL;
	c->ver = c->lag = 0;
}

static void
move(struct chunkset *cs, uint32_t slot)
{
	chunkset_spoil(cs, slot);
	cs->chunk[slot / cs->per].moves++;
}

void
chunkset_spoil_all(struct chunkset *cs)
{
	uint32_t k;

	for (k = 0; k < cs->cap; k++)
		spoil(cs, &cs->chunk[k]);
}

void
chunkset_free(struct chunkset *cs)
{
	chunkset_spoil_all(cs);
	free(cs->member);
	free(cs->chunk);
	memset(cs, 0, sizeof(*cs));
}

void
chunkset_spoil(struct chunkset *cs, uint32_t slot)
{
	spoil(cs, &cs->chunk[slot / cs->per]);
}

static void
grow(struct chunkset *cs)
{
	uint32_t cap = cs->cap + cs->cap / 2 + 1;

	cs->member = xrealloc(cs->member, (size_t)cap * cs->per,
	    sizeof(cs->member[0]));
	cs->chunk = xrealloc(cs->chunk, cap, sizeof(cs->chunk[0]));
	memset(cs->chunk + cs->cap, 0,
	    (cap - cs->cap) * sizeof(cs->chunk[0]));
	cs->cap = cap;
}

uint32_t
chunkset_add(struct chunkset *cs, void *member)
{
	if (cs->n == cs->cap * cs->per)
		grow(cs);
	cs->member[cs->n] = member;
	move(cs, cs->n);
	return cs->n++;
}

void
chunkset_del(struct chunkset *cs, uint32_t slot)
{
	uint32_t last = cs->n - 1;

	move(cs, slot);
	if (slot != last) {
		move(cs, last);
		cs->member[slot] = cs->member[last];
		cs->ops->moved(cs->member[slot], slot);
	}
	cs->n--;
}

static uint32_t
members(const struct chunkset *cs, uint32_t k)
{
	uint32_t left = cs->n - k * cs->per;

	return left < cs->per ? left : cs->per;
}

void
chunkset_lag(struct chunkset *cs, uint32_t slot, uint64_t before)
{
	uint32_t k = slot / cs->per;
	struct chunk *c = &cs->chunk[k];

	if (c->frame == NULL || (c->lag != 0 && before > c->ver))
		return;		/* it is counted already */
	if (4 * (c->lag + 1) > members(cs, k)) {
		spoil(cs, c);
		return;
	}
	if (c->lag++ == 0)
		cs->lagging++;
}

uint32_t
chunkset_chunks(const struct chunkset *cs)
{
	return (cs->n + cs->per - 1) / cs->per;
}

uint32_t
chunkset_moves(const struct chunkset *cs, uint32_t k)
{
	return cs->chunk[k].moves;
}

uint32_t
chunkset_text(const struct chunkset *cs, uint32_t k, const void *skip,
    bool first, struct buf *b)
{
	uint32_t i, end, wrote = 0;

	i = k * cs->per;
	end = i + members(cs, k);
	for (; i < end; i++) {
		if (cs->member[i] == skip)
			continue;
		if (!first || wrote != 0)
			buf_u8(b, ',');
		cs->ops->render(cs->member[i], b, cs->arg);
		wrote++;
	}
	return wrote;
}

static void
make(struct chunkset *cs, uint32_t k, uint64_t now)
{
	struct chunk *c = &cs->chunk[k];
	struct buf b = { 0 };

	spoil(cs, c);
	(void)chunkset_text(cs, k, NULL, false, &b);
	c->frame = pack_frame(cs->pack, &b);
	c->ver = now;
	buf_free(&b);
}

struct frame *
chunkset_frame(struct chunkset *cs, uint32_t k, uint64_t now,
    uint64_t least, uint64_t *ver)
{
	struct chunk *c = &cs->chunk[k];

	if (c->frame == NULL || (c->lag != 0 && c->ver < least))
		make(cs, k, now);
	if (c->lag != 0 && c->ver < *ver)
		*ver = c->ver;
	return c->frame;
}

bool
chunkset_freshen(struct chunkset *cs, uint64_t now)
{
	uint32_t k, i, chunks = chunkset_chunks(cs);

	if (cs->lagging == 0)
		return false;
	for (i = 0; i < chunks; i++) {
		k = (cs->next + i) % chunks;
		if (cs->chunk[k].lag == 0)
			continue;
		make(cs, k, now);
		cs->next = k + 1;
		break;
	}
	return cs->lagging != 0;
}
