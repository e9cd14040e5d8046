/*
 * /machine/register: rows R1 to R12 of protocol.md 4.2, without interactive
 * login.  A ticket alone changes nothing here (trust.md 2): what adds or
 * renews a node key needs an auth key.
 */

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "dbd/alloc_int.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/name_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"

#define NO_LOGIN	"interactive login is not built yet: use an auth key"
#define KEY_IN_USE	"node key is already in use by another machine"
#define SAID_MAX	20U	/* refusals that are logged in 10 s */

struct reg {
	struct dbd		*d;
	struct worker		*w;
	uint32_t		 id;		/* the request's */
	const struct m_db_reg	*q;
	int64_t			 now;
	struct node		*known;		/* has the request's key */
	struct node		*old;		/* has its OldNodeKey */
	struct authkey		*key;
	struct msg_list		 tags;		/* that the node gets */
	struct buf		 approved;
	struct buf		 asked;		/* tags, once each */
	char			 why[256];
};

/* Anybody can have himself refused: that must not fill a disk with lines. */
static void
say_refused(struct reg *g, const char *text)
{
	struct dbd *d = g->d;
	uint64_t now = env_now(d->env);

	if (now - d->said_at >= 10 * US_PER_S) {
		if (d->said > SAID_MAX)
			log_info("registrations refused more=%u",
			    d->said - SAID_MAX);
		d->said_at = now;
		d->said = 0;
	}
	if (++d->said <= SAID_MAX)
		log_info("registration refused machine=%s why=\"%s\"",
		    log_key(g->q->ticket.key), text);
}

static void
reg_no(struct reg *g, const char *text)
{
	struct msg m;

	msg_init(&m, M_DB_REG_NO);
	m.id = g->id;
	m.u.db_reg_no.text = slice_str(text);
	batch_reply(g->d, g->w->link, &m);
	g->d->counts.refused++;
	say_refused(g, text);
}

/* n NULL: nothing is known of it any more. */
static void
reg_ok(struct reg *g, const struct node *n, bool expired, bool stored)
{
	struct m_db_reg_ok *ok;
	struct msg m;

	msg_init(&m, M_DB_REG_OK);
	m.id = g->id;
	ok = &m.u.db_reg_ok;
	if (n != NULL) {
		ok->tailnet = n->tn->id;
		ok->node = n->r.id;
		if (n->owner != NULL)
			ok->user = n->owner->r;
		else {
			ok->user.id = USER_TAGGED;
			ok->user.name = node_owner_name(n);
			ok->user.display = slice_str(USER_TAGGED_NAME);
		}
	} else
		ok->user.name = slice_str("unknown");
	g->d->counts.registers += !expired;
	ok->machine_ok = !expired;
	ok->key_expired = expired;
	answer(g->w, &m, stored);
}

/* R1.  The reply is ignored by clients unless it is an error. */
static void
logout(struct reg *g)
{
	struct node *n = g->known;
	struct authkey *k;
	struct r_node r;

	if (n == NULL) {
		reg_ok(g, NULL, true, false);
		return;
	}
	if (!n->r.ephemeral && node_expired(n, g->now)) {
		reg_ok(g, n, true, false);
		return;
	}
	batch_log(g->d, "logout tailnet=%s node=%llu name=%s", n->tn->name,
	    (unsigned long long)n->r.id, log_vis(n->r.name));
	op_begin(g->d);
	audit(n->tn, UID_NONE, "node.logout", n->r.id, "by the client");
	if (n->r.ephemeral) {
		reg_ok(g, n, true, true);
		if ((k = authkey_find(g->d, n->key_id)) != NULL &&
		    k->tn == n->tn)
			k->deleted++;
		del_node(n);
	} else {
		r = n->r;
		r.expiry = g->now;
		node_set(n, &r);
		put_node(n);
		expiry_arm(n);
		reg_ok(g, n, true, true);
	}
	op_end(g->d);
}

/* R2, R3: a client may bring its expiry forward, never put it off. */
static void
set_expiry(struct reg *g)
{
	struct node *n = g->known;
	struct r_node r = n->r;
	int64_t at = g->q->expiry < EXPIRY_END ? g->q->expiry : 0;

	if (n->owner == NULL) {		/* a tagged node does not expire */
		reg_ok(g, n, false, false);
		return;
	}
	if (r.expiry != 0 && g->q->expiry > r.expiry) {
		reg_no(g, "a key's expiry cannot be extended by its node");
		return;
	}
	if (r.expiry == at) {
		reg_ok(g, n, false, false);
		return;
	}
	/* A second less each time would go on for ever. */
	if (!budget_take(n, &n->regs)) {
		reg_defer(g->w, g->id, g->q, REG_NODE, n->r.id, &n->regs,
		    budget_us(g->d));
		return;
	}
	r.expiry = at;
	op_begin(g->d);
	node_set(n, &r);
	put_node(n);
	expiry_arm(n);
	audit(n->tn, UID_NONE, "node.expire", n->r.id, "by the client");
	reg_ok(g, n, false, true);
	op_end(g->d);
}

/* The node that a single-use key made, if its reply may have been lost. */
static struct node *
burned_for(const struct reg *g)
{
	const struct authkey *k = g->key;
	struct node *n;

	if (k->row.reusable || k->row.used == 0 ||
	    memcmp(k->row.used_machine, g->q->ticket.key, KEY_LEN) != 0)
		return NULL;
	n = node_find(g->d, k->row.used_node);
	if (n == NULL || n->mapped || n->tn != k->tn ||
	    (g->known != NULL && g->known != n) ||
	    memcmp(n->r.machine_key, g->q->ticket.key, KEY_LEN) != 0)
		return NULL;
	return n;
}

static bool
has_tag(struct msg_list list, struct slice tag)
{
	struct r_text t;

	while (msg_list_next(&list, MR_TEXT, &t))
		if (slice_eq(t.v, tag))
			return true;
	return false;
}

/*
 * The client may ask for tags that the key gives, or, with a key of its
 * user's, for those which the policy lets the user put on nodes.
 */
static bool
tag_allowed(const struct reg *g, struct slice tag)
{
	const struct authkey_row *k = &g->key->row;

	if (k->tags.count != 0)
		return has_tag(k->tags, tag);
	return k->user != 0 && pol_tag_owner(g->key->tn->pol, tag, k->user);
}

/* What the node is to be tagged with. */
static void
take_tags(struct reg *g)
{
	struct msg_list want = g->q->hostinfo.request_tags, seen;
	struct r_text tag;

	g->tags = g->key->row.tags;
	if (g->tags.count != 0)
		return;
	while (msg_list_next(&want, MR_TEXT, &tag)) {
		seen = g->tags;
		msg_list_close(&seen, &g->asked);
		if (!has_tag(seen, tag.v))
			msg_list_add(&g->tags, &g->asked, MR_TEXT, &tag);
	}
	msg_list_close(&g->tags, &g->asked);
}

/* All that are asked for, or none (policy.md 15). */
static bool
tags_allowed(struct reg *g)
{
	struct msg_list want = g->q->hostinfo.request_tags;
	struct r_text tag;
	size_t n = 0;

	take_tags(g);
	while (msg_list_next(&want, MR_TEXT, &tag)) {
		if (tag_allowed(g, tag.v) || n >= 160)
			continue;
		n += (size_t)snprintf(g->why + n, sizeof(g->why) - n,
		    "%s%.60s", n == 0 ? "requested tags [" : " ",
		    log_vis(tag.v));
	}
	if (n == 0)
		return true;
	(void)strlcat(g->why, "] are invalid or not permitted",
	    sizeof(g->why));
	return false;
}

static bool
check_key(struct reg *g)
{
	uint8_t hash[HASH_LEN];
	const struct slice text = g->q->auth_key;
	const char *why = NULL;

	(void)crypto_hash_sha256(hash, (const uint8_t *)text.p, text.n);
	g->key = authkey_find_hash(g->d, hash);
	if (g->key == NULL)
		why = "invalid auth key";
	else if (g->key->row.revoked)
		why = "auth key revoked";
	else if (g->key->row.expiry != 0 && g->key->row.expiry <= g->now)
		why = "auth key expired";
	else if (!g->key->row.reusable && g->key->row.used != 0 &&
	    burned_for(g) == NULL)
		why = "auth key already used";
	else if (!tags_allowed(g))
		why = g->why;
	if (why != NULL)
		reg_no(g, why);
	return why == NULL;
}

/* The node that this registration renews; NULL: it makes a new one. */
static struct node *
target(struct reg *g, uint64_t owner)
{
	struct node *n;

	if ((n = burned_for(g)) != NULL)
		return n;
	if (g->known != NULL)
		return g->known;
	if (g->old != NULL && g->old->tn == g->key->tn &&
	    g->old->r.user == owner)
		return g->old;
	for (n = node_next_machine(g->d, g->q->ticket.key, NULL); n != NULL;
	    n = node_next_machine(g->d, g->q->ticket.key, n))
		if (n->tn == g->key->tn && n->r.user == owner)
			return n;
	return NULL;
}

static int64_t
new_expiry(const struct reg *g, uint64_t owner)
{
	int64_t at = 0;

	if (owner == 0)		/* tagged nodes do not expire */
		return 0;
	if (g->d->conf.node_expiry_s != 0)
		at = g->now + (int64_t)g->d->conf.node_expiry_s;
	if (g->q->has_expiry && g->q->expiry != 0 &&
	    (at == 0 || g->q->expiry < at))
		at = g->q->expiry;
	return at < EXPIRY_END ? at : 0;
}

/* What a registration gives a node; n NULL: a new one. */
static void
fill(struct reg *g, const struct node *n, struct r_node *r, uint64_t owner)
{
	const struct m_db_reg *q = g->q;

	r->user = owner;
	memcpy(r->node_key, q->node_key, KEY_LEN);
	memcpy(r->machine_key, q->ticket.key, KEY_LEN);
	r->expiry = new_expiry(g, owner);
	r->ephemeral = q->ephemeral || g->key->row.ephemeral;
	r->capver = q->ticket.capver;
	r->tags = g->tags;
	if (q->home_derp != 0)
		r->home_derp = q->home_derp;
	r->hostinfo = q->hostinfo;
	node_fit_log(r, node_fit(g->d, r));
	(void)routes_auto(g->key->tn, n, r, &g->approved);
}

static void
burn(struct reg *g, const struct node *n)
{
	struct authkey *k = g->key;

	if (burned_for(g) == NULL)
		k->row.used++;
	k->row.used_node = n->r.id;
	memcpy(k->row.used_machine, g->q->ticket.key, KEY_LEN);
	use_authkey(k);
}

/*
 * The client took up another identity with this registration: the node that
 * it left can be used by nobody.
 */
static void
leave_old(struct reg *g, const struct node *n)
{
	struct node *old = g->old;
	struct r_node r;

	if (old == NULL || old == n || node_expired(old, g->now))
		return;
	session_kick(old, END_REKEYED);
	r = old->r;
	r.expiry = g->now;
	node_set(old, &r);
	put_node(old);
	expiry_arm(old);
	audit(old->tn, UID_NONE, "node.logout", old->r.id,
	    "its machine registered as another node");
}

static void
renew(struct reg *g, struct node *n, uint64_t owner)
{
	struct r_node r = n->r;
	char name[LABEL_LEN], was[LABEL_LEN], now[LABEL_LEN];
	bool rekeyed;

	rekeyed = memcmp(r.node_key, g->q->node_key, KEY_LEN) != 0;
	fill(g, n, &r, owner);
	dns_label(was, n->r.hostinfo.hostname);
	dns_label(now, g->q->hostinfo.hostname);
	if (!n->renamed && strcmp(was, now) != 0) {
		name_make(n->tn, g->q->hostinfo.hostname, n, name);
		r.name = slice_str(name);
	}
	op_begin(g->d);
	if (rekeyed)
		session_kick(n, END_REKEYED);
	burn(g, n);
	n->key_id = g->key->row.id;
	memcpy(n->nl_key, g->q->nl_key, KEY_LEN);
	node_set(n, &r);
	put_node(n);
	expiry_arm(n);
	clock_start(n);
	leave_old(g, n);
	audit(n->tn, UID_NONE, rekeyed ? "node.rekey" : "node.renew",
	    n->r.id, "auth key %llu", (unsigned long long)g->key->row.id);
	reg_ok(g, n, false, true);
	op_end(g->d);
	batch_log(g->d, "node registered again tailnet=%s node=%llu name=%s",
	    n->tn->name, (unsigned long long)n->r.id, log_vis(n->r.name));
}

static void
stable_id(struct dbd *d, char dst[33])
{
	uint8_t b[8];

	env_random(d->env, b, sizeof(b));
	dst[0] = 'n';
	hex_enc(dst + 1, b, sizeof(b));
}

/*
 * What one machine makes, and what is made again with one key, ever so often
 * is for no purpose but to have us write: it waits.
 */
static bool
may_create(struct reg *g)
{
	const struct budget *b;
	uint64_t us;

	if ((b = maker_spent(g->d, g->q->ticket.key)) != NULL) {
		reg_defer(g->w, g->id, g->q, REG_MACHINE, 0, b,
		    budget_us(g->d));
		return false;
	}
	if ((b = anew_spent(g->key, &us)) != NULL) {
		reg_defer(g->w, g->id, g->q, REG_KEY, g->key->row.id, b, us);
		return false;
	}
	return true;
}

static void
create(struct reg *g, uint64_t owner)
{
	struct tailnet *tn = g->key->tn;
	struct node_row row;
	struct node *n;
	char name[LABEL_LEN], stable[33];

	if (tn->nnodes >= g->d->conf.max_nodes) {
		(void)snprintf(g->why, sizeof(g->why),
		    "the tailnet is full: it has %u nodes", tn->nnodes);
		g->d->counts.no_room++;
		reg_no(g, g->why);
		return;
	}
	if (!may_create(g))
		return;
	memset(&row, 0, sizeof(row));
	op_begin(g->d);
	row.node.id = op_id(g->d, STORE_ID_NODE);
	if (!alloc_pick(tn, &row.node.ip4, &row.node.ip6, g->why,
	    sizeof(g->why))) {
		op_undo(g->d);
		reg_no(g, g->why);
		return;
	}
	row.tailnet = tn->id;
	stable_id(g->d, stable);
	row.node.stable_id = slice_str(stable);
	name_make(tn, g->q->hostinfo.hostname, NULL, name);
	row.node.name = slice_str(name);
	row.node.created = g->now;
	fill(g, NULL, &row.node, owner);
	memcpy(row.nl_key, g->q->nl_key, KEY_LEN);
	row.key_id = g->key->row.id;
	n = node_add(tn, &row);
	maker_take(g->d, g->q->ticket.key);
	anew_take(g->key);
	burn(g, n);
	put_node(n);
	expiry_arm(n);
	clock_start(n);
	leave_old(g, n);
	audit(tn, UID_NONE, "node.register", n->r.id, "auth key %llu",
	    (unsigned long long)g->key->row.id);
	reg_ok(g, n, false, true);
	op_end(g->d);
	batch_log(g->d, "node registered tailnet=%s node=%llu name=%s",
	    tn->name, (unsigned long long)n->r.id, log_vis(n->r.name));
}

/* R7, R9: the auth key decides tailnet, owner and tags. */
static void
with_key(struct reg *g)
{
	struct node *n;
	uint64_t owner;

	if (!check_key(g))
		return;
	owner = g->tags.count != 0 ? 0 : g->key->row.user;
	n = g->known;
	if (n != NULL && (n->tn != g->key->tn || n->r.user != owner)) {
		/* The key stays with its node: another needs a fresh one. */
		reg_ok(g, n, true, false);
		return;
	}
	if ((n = target(g, owner)) == NULL)
		create(g, owner);
	else if (budget_take(n, &n->regs))
		renew(g, n, owner);
	else
		reg_defer(g->w, g->id, g->q, REG_NODE, n->r.id, &n->regs,
		    budget_us(g->d));
}

static void
without_key(struct reg *g)
{
	if (g->known == NULL)
		reg_no(g, NO_LOGIN);		/* R11 */
	else
		reg_ok(g, g->known, true, false);	/* R10 */
}

void
on_reg(struct worker *w, const struct msg *m)
{
	const struct m_db_reg *q = &m->u.db_reg;
	struct reg g;

	if (!ticket_ok(w, &q->ticket))
		return;
	if (q->again && answered_before(w, m))
		return;
	memset(&g, 0, sizeof(g));
	g.d = w->d;
	g.w = w;
	g.id = m->id;
	g.q = q;
	g.now = env_wall(w->d->env);
	if (key_is_zero(q->node_key)) {
		reg_no(&g, "the node key is missing");
		return;
	}
	g.known = node_find_key(g.d, q->node_key);
	if (g.known != NULL &&
	    memcmp(g.known->r.machine_key, q->ticket.key, KEY_LEN) != 0) {
		reg_no(&g, KEY_IN_USE);		/* R12 */
		return;
	}
	/* Only now and only so does OldNodeKey say anything (trap 42). */
	if (g.known == NULL && !key_is_zero(q->old_node_key))
		g.old = node_find_key(g.d, q->old_node_key);
	if (g.old != NULL &&
	    memcmp(g.old->r.machine_key, q->ticket.key, KEY_LEN) != 0)
		g.old = NULL;

	if (q->has_expiry && q->expiry != 0 && q->expiry <= g.now)
		logout(&g);		/* before auth: trap 41 */
	else if (g.known != NULL && !node_expired(g.known, g.now)) {
		/* It is about to open its map: not reaped before that. */
		if (g.known->clock == CLOCK_REAP)
			clock_start(g.known);
		if (q->has_expiry && q->expiry != 0)
			set_expiry(&g);
		else
			reg_ok(&g, g.known, false, false);	/* R6, R8 */
	} else if (q->has_auth)
		with_key(&g);
	else if (q->followup.n != 0)
		reg_no(&g, NO_LOGIN);
	else
		without_key(&g);
	buf_free(&g.approved);
	buf_free(&g.asked);
}
