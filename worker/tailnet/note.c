/* The messages of a delta, as frames. */

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/tailnets_int.h"

/* Items in one zstd frame of a long message. */
static const uint32_t seg_items[SEC_MAX] = { 1000, CHUNK_NODES,
    2 * CHUNK_NODES };
static const char *const sec_name[SEC_MAX] = { "PeersRemoved",
    "PeersChanged", "PeersChangedPatch" };

/* The item of a node, or NULL. */
static const struct item *
item_of(const struct note *m, enum section sec, const struct node *n)
{
	const struct item *it = m->item[sec];
	uint32_t lo = 0, hi = m->n[sec], mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (it[mid].id < n->id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n[sec] && it[lo].id == n->id ? &it[lo] : NULL;
}

bool
note_says(const struct note *m, const struct node *n)
{
	return item_of(m, SEC_CHANGED, n) != NULL;
}

static bool
note_has(const struct note *m, const struct node *n)
{
	unsigned int sec;

	for (sec = 0; sec < SEC_MAX; sec++)
		if (item_of(m, sec, n) != NULL)
			return true;
	return false;
}

static void
put_item(struct replica *r, struct view *v, struct buf *b, enum section sec,
    const struct item *it)
{
	struct json j;

	switch (sec) {
	case SEC_REMOVED:
		json_init(&j, b);
		json_u64(&j, it->id);
		break;
	case SEC_CHANGED:
		view_put(r, v, it->node, b);
		break;
	default:
		mapjson_patch(b, it->node, it->fields);
		break;
	}
}

/*
 * Items from..to of a list but skip's, with what goes before the first and
 * after the last.  lead: the list begins the message.
 */
static void
put_items(struct replica *r, const struct delta *d, const struct note *m,
    const struct seg *s, uint64_t skip, bool lead, struct buf *b)
{
	const struct item *it = m->item[s->sec];
	bool comma = s->from != 0;
	uint32_t i;

	if (s->from == 0) {
		buf_u8(b, lead ? '{' : ',');
		buf_u8(b, '"');
		buf_str(b, sec_name[s->sec]);
		buf_str(b, "\":[");
	}
	for (i = s->from; i < s->to; i++) {
		if (it[i].id == skip)
			continue;
		if (comma)
			buf_u8(b, ',');
		put_item(r, d->view, b, s->sec, &it[i]);
		comma = true;
	}
	if (s->to == m->n[s->sec])
		buf_u8(b, ']');
}

static void
put_users(const struct note *m, struct json *j)
{
	uint32_t i;

	if (m->nusers == 0)
		return;
	json_key(j, "UserProfiles");
	json_arr(j);
	for (i = 0; i < m->nusers; i++)
		json_raw(j, slice_mem(m->user[i]->profile,
		    m->user[i]->profile_n));
	json_end(j);
}

static void
put_raw(struct json *j, const char *name, struct slice s)
{
	json_key(j, name);
	json_raw(j, s);
}

/* All members that are no lists of nodes, and the message's end. */
static void
put_rest(const struct replica *r, const struct note *m, bool lead,
    struct buf *b)
{
	struct json j;
	char t[32];

	json_init(&j, b);
	if (lead)
		buf_u8(b, '{');
	json_comma(&j, !lead);
	put_users(m, &j);
	if (m->rest & REST_DNS)
		put_raw(&j, "DNSConfig", buf_slice_of(&r->dns));
	if (m->rest & REST_DERP)
		put_raw(&j, "DERPMap", derpmap_json(r->tn->derpmap));
	if (m->rest & REST_DOMAIN) {
		json_key(&j, "Domain");
		json_str(&j, buf_slice_of(&r->domain));
	}
	if (m->rest & REST_TIME) {
		(void)time_rfc3339(t, env_wall(r->tn->env));
		json_key(&j, "ControlTime");
		json_cstr(&j, t);
	}
	if (m->rest & REST_DEBUG)
		put_raw(&j, "Debug", slice_str("{\"DisableLogTail\":true}"));
	buf_u8(b, '}');
}

/* Items of a list that are not skip's. */
static uint32_t
left(const struct note *m, enum section sec, const struct node *skip)
{
	return m->n[sec] - (skip != NULL && item_of(m, sec, skip) != NULL);
}

/*
 * The whole message as text, or what goes after members of the recipient's
 * own; false if there is nothing to say.
 */
static bool
put_note(struct replica *r, const struct delta *d, const struct note *m,
    const struct node *skip, bool lead, struct buf *b)
{
	struct seg all = { 0 };
	unsigned int sec;
	bool some = false;

	for (sec = 0; sec < SEC_MAX; sec++) {
		if (left(m, sec, skip) == 0)
			continue;
		all.sec = sec;
		all.from = 0;
		all.to = m->n[sec];
		put_items(r, d, m, &all, skip == NULL ? 0 : skip->id,
		    lead && !some, b);
		some = true;
	}
	/* The time, or a profile of who is left out, is no news. */
	if (!some && (m->rest & ~REST_TIME) == 0)
		return false;
	put_rest(r, m, lead && !some, b);
	return true;
}

static bool
is_long(const struct note *m)
{
	unsigned int sec;

	for (sec = 0; sec < SEC_MAX; sec++)
		if (m->n[sec] > seg_items[sec])
			return true;
	return false;
}

static unsigned int
first_section(const struct note *m)
{
	unsigned int sec = 0;

	while (m->n[sec] == 0)
		sec++;
	return sec;
}

static struct frame *
seg_make(struct replica *r, const struct delta *d, const struct note *m,
    const struct seg *s, uint64_t skip, bool lead)
{
	struct buf b = { 0 };
	struct frame *f;

	if (s->sec == SEC_MAX)
		put_rest(r, m, false, &b);
	else
		put_items(r, d, m, s, skip, lead &&
		    s->sec == first_section(m), &b);
	f = pack_frame(r->tn->pack, &b);
	r->delta_octets += f->len;
	buf_free(&b);
	return f;
}

/* Cuts a long message into parts of even size and encodes them. */
static void
cut(struct replica *r, const struct delta *d, struct note *m)
{
	uint32_t sec, k, segs[SEC_MAX], all = 1;
	struct seg *s;

	for (sec = 0; sec < SEC_MAX; sec++) {
		segs[sec] = (m->n[sec] + seg_items[sec] - 1) / seg_items[sec];
		all += segs[sec];
	}
	s = m->seg = xcalloc(all, sizeof(*s));
	m->nsegs = all;
	for (sec = 0; sec < SEC_MAX; sec++) {
		for (k = 0; k < segs[sec]; k++, s++) {
			s->sec = sec;
			s->from = (uint32_t)((uint64_t)m->n[sec] * k /
			    segs[sec]);
			s->to = (uint32_t)((uint64_t)m->n[sec] * (k + 1) /
			    segs[sec]);
		}
	}
	s->sec = SEC_MAX;
	for (k = 0; k < all; k++)
		m->seg[k].frame = seg_make(r, d, m, &m->seg[k], 0, true);
}

/* A list that would be empty without the node changes what is around it. */
static bool
empties(const struct note *m, const struct node *n)
{
	unsigned int sec;

	for (sec = 0; sec < SEC_MAX; sec++)
		if (m->n[sec] == 1 && item_of(m, sec, n) != NULL)
			return true;
	return false;
}

/* The part is without the node, or it is not in it. */
static bool
in_seg(const struct note *m, const struct seg *s, const struct node *n)
{
	const struct item *it;
	uint32_t k;

	if (n == NULL || s->sec == SEC_MAX ||
	    (it = item_of(m, s->sec, n)) == NULL)
		return false;
	k = (uint32_t)(it - m->item[s->sec]);
	return k >= s->from && k < s->to;
}

/* lead: the message begins with it. */
static void
long_parts(struct replica *r, const struct delta *d, struct note *m,
    const struct node *skip, bool lead, struct parts *ps)
{
	struct seg *s;
	uint32_t i;

	if (m->seg == NULL)
		cut(r, d, m);
	for (i = 0; i < m->nsegs; i++) {
		s = &m->seg[i];
		if (in_seg(m, s, skip))
			parts_add(ps, seg_make(r, d, m, s, skip->id, lead));
		else if (i == 0 && !lead) {
			if (m->more_frame == NULL)
				m->more_frame = seg_make(r, d, m, s, 0, false);
			parts_add(ps, frame_ref(m->more_frame));
		} else
			parts_add(ps, frame_ref(s->frame));
	}
}

/* As a message of several frames, without the node. */
static bool
goes_long(const struct delta *d, const struct note *m,
    const struct node *self)
{
	return d->compress && is_long(m) &&
	    (self == NULL || !empties(m, self));
}

void
note_parts(struct replica *r, const struct delta *d, struct note *m,
    const struct node *self, struct parts *ps)
{
	struct buf b = { 0 };
	struct frame *f = NULL;

	if (self != NULL && !note_has(m, self))
		self = NULL;
	if (goes_long(d, m, self)) {
		long_parts(r, d, m, self, true, ps);
		parts_close(ps);
		return;
	}
	if (self == NULL && m->whole != NULL)
		f = frame_ref(m->whole);
	else if (put_note(r, d, m, self, true, &b)) {
		f = pack_message(r->tn->pack, &b, d->compress);
		if (self == NULL) {
			m->whole = frame_ref(f);
			r->delta_octets += f->len;
		}
	}
	if (f != NULL)
		parts_add(ps, f);
	buf_free(&b);
}

static void
make_more(struct replica *r, const struct delta *d, struct note *m)
{
	m->followed = true;
	if (!put_note(r, d, m, NULL, false, &m->more))
		buf_u8(&m->more, '}');
	r->delta_octets += m->more.n;
	if (d->compress && m->more.n >= COMPOSE_LEAST)
		m->more_frame = pack_frame(r->tn->pack, &m->more);
}

void
note_more(struct replica *r, const struct delta *d, struct note *m,
    const struct node *self, struct compose *c)
{
	if (self != NULL && !note_has(m, self))
		self = NULL;
	if (goes_long(d, m, self)) {
		parts_add(c->parts, pack_own(c->pack, &c->text));
		buf_clear(&c->text);
		long_parts(r, d, m, self, false, c->parts);
	} else if (self != NULL) {
		if (!put_note(r, d, m, self, false, &c->text))
			buf_u8(&c->text, '}');
	} else {
		if (!m->followed)
			make_more(r, d, m);
		compose_shared(c, m->more_frame, buf_slice_of(&m->more));
	}
}
