#include <stdlib.h>
#include <string.h>

#include "common/noise.h"
#include "regress/sim/derper.h"
#include "regress/sim/relays.h"
#include "regress/sim/run_int.h"

#define MEMBERS_MAX	24
#define GUESTS		2
#define TWINS		2
#define SENT_MAX	4096
#define TAG		"simulate"
#define TAG_LEN		8
#define BODY_MIN	(TAG_LEN + 8)
#define BODY_MAX	1400
#define MOVE_EVERY	8		/* turns of the talk */
#define MOVE_US		(5 * US_PER_S)	/* it is there again */
#define TRIP_US		(2 * US_PER_S)	/* any packet has arrived */

/*
 * A client; c is its node's, or NULL of a guest.  A twin has the key of one
 * that is before it: the machine was copied.
 */
struct member {
	struct relays	*all;
	struct derper	*d;
	struct sclient	*c;
	bool		 twin;
};

/* A packet on its way, at its number modulo SENT_MAX. */
struct sent {
	uint64_t	 number;
	struct member	*from;
	struct member	*to;
	bool		 arrived;
};

struct relays {
	struct run	*r;
	bool		 guests;
	bool		 rogue;		/* a worker forges packets */
	bool		 calm;		/* nobody goes any more */
	struct member	 member[MEMBERS_MAX];
	unsigned int	 n;
	unsigned int	 ntwins;
	struct sent	 sent[SENT_MAX];
	uint64_t	 number;	/* of the last */
};

/* The node has another key by now, or none: dbd may see a stranger. */
static bool
is_former(const struct member *m)
{
	return m->c != NULL && (sclient_state(m->c) != SC_IN ||
	    strcmp(sclient_key(m->c), derper_name(m->d)) != 0);
}

/* An ephemeral node that is deleted comes again as a guest. */
static bool
is_known(const struct member *m)
{
	return !is_former(m) && (m->all->calm || m->c == NULL ||
	    !sclient_is_ephemeral(m->c));
}

/* dbd publishes the two in different tailnets, or would. */
static bool
are_apart(const struct member *a, const struct member *b)
{
	return is_known(a) && is_known(b) && (a->c == NULL) != (b->c == NULL);
}

static void
on_packet(struct derper *d, const uint8_t src[32], struct slice s, void *arg)
{
	struct member *m = arg;
	struct world *w = m->all->r->w;
	struct sent *p;
	uint64_t number;

	if (s.n < BODY_MIN || memcmp(s.p, TAG, TAG_LEN) != 0) {
		world_fail(w, "%s got a packet that nobody sent",
		    derper_name(d));
		return;
	}
	memcpy(&number, s.p + TAG_LEN, sizeof(number));
	p = &m->all->sent[number % SENT_MAX];
	if (p->number != number ||
	    memcmp(derper_key(p->to->d), derper_key(d), 32) != 0 ||
	    memcmp(derper_key(p->from->d), src, 32) != 0)
		world_fail(w, "%s got a packet that is not its own, or of "
		    "another", derper_name(d));
	else if (p->arrived)
		world_fail(w, "%s got a packet twice", derper_name(d));
	else if (are_apart(p->from, m))
		world_fail(w, "%s got a packet of another tailnet",
		    derper_name(d));
	p->arrived = true;
}

static struct member *
join(struct relays *all, struct sclient *c, const uint8_t key[32])
{
	struct world *w = all->r->w;
	struct member *m = &all->member[all->n++];
	struct derper_conf conf = { .packet = on_packet, .arg = m };

	memcpy(conf.node_key, key, sizeof(conf.node_key));
	conf.from = (struct ip){ 4, { 198, 51, 100, (uint8_t)all->n } };
	conf.min_us = 50;
	conf.max_us = world_chance(w, 3) ? 50000 : 500;
	m->all = all;
	m->c = c;
	m->d = derper_new(w, all->r->ways, &conf);
	return m;
}

struct relays *
relays_new(struct run *r, bool guests)
{
	struct relays *all;
	uint8_t key[32];
	unsigned int i;

	all = xcalloc(1, sizeof(*all));
	all->r = r;
	all->guests = guests;
	all->rogue = world_chance(r->w, 2);
	for (i = 0; guests && i < GUESTS; i++) {
		world_draw(r->w, key, sizeof(key));
		noise_clamp(key);
		(void)join(all, NULL, key);
	}
	return all;
}

void
relays_free(struct relays *all)
{
	unsigned int i;

	if (all == NULL)
		return;
	for (i = 0; i < all->n; i++)
		derper_free(all->member[i].d);
	free(all);
}

static struct member *
find(struct relays *all, const char *key)
{
	unsigned int i;

	for (i = 0; i < all->n; i++)
		if (strcmp(derper_name(all->member[i].d), key) == 0)
			return &all->member[i];
	return NULL;
}

void
relays_follow(struct relays *all)
{
	struct sclient *c;
	unsigned int i;

	for (i = 0; i < all->r->n && all->n < MEMBERS_MAX; i++) {
		c = all->r->clients[i];
		if (sclient_state(c) == SC_IN &&
		    find(all, sclient_key(c)) == NULL)
			(void)join(all, c, sclient_node_key(c));
	}
}

static void
copy(struct relays *all, const struct member *m)
{
	if (all->n == MEMBERS_MAX || all->ntwins == TWINS || is_former(m) ||
	    m->c == NULL)
		return;
	all->ntwins++;
	join(all, m->c, sclient_node_key(m->c))->twin = true;
}

/* NULL: it is not there. */
static struct sent *
send_to(struct relays *all, struct member *from, struct member *to)
{
	struct world *w = all->r->w;
	struct sent *p = &all->sent[++all->number % SENT_MAX];
	uint8_t body[BODY_MAX];
	size_t n;

	n = BODY_MIN + world_rand(w, world_chance(w, 2) ? 64 :
	    BODY_MAX - BODY_MIN);
	memset(body, 0, n);
	memcpy(body, TAG, TAG_LEN);
	memcpy(body + TAG_LEN, &all->number, sizeof(all->number));
	*p = (struct sent){ all->number, from, to, false };
	return derper_send(from->d, derper_key(to->d), body, n) ? p : NULL;
}

/*
 * In the name of a key that nobody has, or of one in another tailnet that is
 * at the rogue's worker; nobody may get it.
 */
static void
forge(struct relays *all, const struct member *from, const struct member *to)
{
	static const char text[] = "forged, forged, forged";
	struct world *w = all->r->w;
	uint8_t src[32];
	unsigned int slot = 1 + (unsigned int)world_rand(w, HOST_WORKERS);

	world_draw(w, src, sizeof(src));
	if (derper_slot(from->d) != 0 && are_apart(from, to)) {
		memcpy(src, derper_key(from->d), sizeof(src));
		slot = derper_slot(from->d);
	}
	(void)host_forge(all->r->h, slot, src, derper_key(to->d), text,
	    sizeof(text));
}

void
relays_life(struct relays *all)
{
	struct world *w = all->r->w;
	struct member *a, *b;
	unsigned int i;

	if (all->n == 0)
		return;
	a = &all->member[world_rand(w, all->n)];
	b = &all->member[world_rand(w, all->n)];
	switch (world_rand(w, 9)) {
	case 3:
		copy(all, a);
		break;
	case 0:
		derper_move(a->d, 0);
		break;
	case 1:
		derper_stall(a->d, (1 + world_rand(w, 5000)) * US_PER_MS);
		break;
	case 2:
		if (all->rogue)
			forge(all, a, b);
		break;
	default:
		for (i = 0; i < 4; i++)
			(void)send_to(all, a, b);
		break;
	}
}

void
relays_talk(struct relays *all, unsigned int turn)
{
	unsigned int i;

	for (i = 0; i < all->n; i++)
		(void)send_to(all, &all->member[turn % all->n],
		    &all->member[i]);
	if (turn % MOVE_EVERY == 0 && all->n != 0)
		derper_move(all->member[turn / MOVE_EVERY % all->n].d, 0);
}

void
relays_calm(struct relays *all)
{
	unsigned int i;

	all->calm = true;
	relays_follow(all);
	for (i = 0; i < all->n; i++) {
		derper_stall(all->member[i].d, 0);
		if (all->member[i].twin)
			derper_off(all->member[i].d);
	}
}

void
relays_weed(struct relays *all)
{
	unsigned int i;

	for (i = 0; i < all->n; i++)
		if (is_former(&all->member[i]))
			derper_off(all->member[i].d);
}

/*
 * A node that was logged out is logged in again when the clock goes back; if
 * it gets another key then, the old one is good for a while.
 */
static bool
is_doubtful(const struct member *m)
{
	return is_former(m) && world_went_back(m->all->r->w);
}

/* By the rules of trust.md 4; t is its node, or NULL. */
static bool
may_be_here(const struct relays *all, const struct truth *t)
{
	if (t == NULL)
		return all->guests;
	return t->expiry == 0 || t->expiry > world_wall(all->r->w);
}

void
relays_check(struct relays *all, const struct truth *t, size_t n)
{
	struct world *w = all->r->w;
	struct derper *d;
	unsigned int i, live = 0;
	size_t k;
	bool may;

	for (i = 0; i < all->n; i++) {
		d = all->member[i].d;
		for (k = 0; k < n; k++)
			if (strcmp(t[k].key, derper_name(d)) == 0)
				break;
		may = may_be_here(all, k == n ? NULL : &t[k]);
		live += derper_is_live(d);
		if (derper_is_off(d) || is_doubtful(&all->member[i]))
			continue;
		if (may && !derper_is_live(d))
			world_fail(w, "%s (%s) is not let in by the relay",
			    derper_name(d), k == n ? "guest" : t[k].name);
		else if (!may && derper_is_live(d))
			world_fail(w, "%s (%s) is at the relay still",
			    derper_name(d), k == n ? "gone" : t[k].name);
	}
	if (host_relay_clients(all->r->h) != live)
		world_fail(w, "workers count %u relay clients, there are %u",
		    host_relay_clients(all->r->h), live);
}

/* All to all. */
static void
round_of(struct relays *all)
{
	struct world *w = all->r->w;
	struct sent *sent[MEMBERS_MAX][MEMBERS_MAX], *p;
	unsigned int i, k;

	for (i = 0; i < all->n; i++)
		for (k = 0; k < all->n; k++)
			sent[i][k] = i == k || all->member[k].twin ? NULL :
			    send_to(all, &all->member[i], &all->member[k]);
	world_run(w, world_now(w) + TRIP_US);
	for (i = 0; i < all->n; i++)
		for (k = 0; k < all->n; k++) {
			if ((p = sent[i][k]) == NULL || p->arrived ||
			    !derper_is_live(p->to->d) ||
			    is_former(p->from) || is_former(p->to) ||
			    are_apart(p->from, p->to))
				continue;
			world_fail(w, "%s at worker %u cannot reach %s at %u",
			    derper_name(p->from->d), derper_slot(p->from->d),
			    derper_name(p->to->d), derper_slot(p->to->d));
		}
}

/* One of a node's that is there; NULL: none is. */
static struct member *
any_live(struct relays *all)
{
	unsigned int i, k = 0;

	if (all->n != 0)
		k = (unsigned int)world_rand(all->r->w, all->n);
	for (i = 0; i < all->n; i++, k = (k + 1) % all->n)
		if (derper_is_live(all->member[k].d) &&
		    all->member[k].c != NULL && !is_former(&all->member[k]))
			return &all->member[k];
	return NULL;
}

void
relays_reach(struct relays *all)
{
	struct world *w = all->r->w;
	struct member *m;
	unsigned int slot;

	if ((m = any_live(all)) == NULL)
		return;
	for (slot = 1; slot <= HOST_WORKERS; slot++) {
		derper_move(m->d, slot);
		world_run(w, world_now(w) + MOVE_US);
		if (!derper_is_live(m->d) || derper_slot(m->d) != slot)
			world_fail(w, "%s does not come to worker %u",
			    derper_name(m->d), slot);
		round_of(all);
	}
}

static bool
end_node(struct relays *all, const struct member *m)
{
	const struct truth *t;
	const struct msg *a;
	struct truth *rows;
	struct msg ask;
	size_t n;

	rows = admin_nodes(all->r->admin, &n);
	for (t = rows; t != NULL && t < rows + n; t++)
		if (strcmp(t->key, derper_name(m->d)) == 0)
			break;
	if (t == NULL || t == rows + n) {
		free(rows);
		return false;
	}
	if (!all->guests && world_chance(all->r->w, 2)) {
		msg_init(&ask, M_CTL_NODE_DELETE);
		ask.u.ctl_node_delete.id = t->id;
	} else {
		msg_init(&ask, M_CTL_NODE_EXPIRE);
		ask.u.ctl_node_expire.id = t->id;
		ask.u.ctl_node_expire.at = world_wall(all->r->w);
	}
	free(rows);
	a = admin_ask(all->r->admin, &ask);
	return a != NULL && a->type == M_CTL_OK;
}

void
relays_evict(struct relays *all)
{
	struct world *w = all->r->w;
	struct member *m;
	struct sent *p;
	unsigned int i;

	if ((m = any_live(all)) == NULL)
		return;
	sclient_off(m->c);
	if (!end_node(all, m)) {
		world_fail(w, "%s could not be ended", derper_name(m->d));
		return;
	}
	world_run(w, world_now(w) + TRIP_US);
	for (i = 0; i < all->n; i++) {
		p = send_to(all, &all->member[i], m);
		world_run(w, world_now(w) + US_PER_S);
		if (derper_is_live(m->d) || (p != NULL && p->arrived))
			world_fail(w, "%s is gone and at the relay",
			    derper_name(m->d));
	}
}
