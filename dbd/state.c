#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "dbd/handlers_int.h"
#include "dbd/objects_int.h"
#include "dbd/relay_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"

static void
add_id(struct index *ix, struct ixlink *l, uint64_t id, void *obj)
{
	ix_add(ix, l, &id, sizeof(id), obj);
}

/* Finders. */

struct tailnet *
tailnet_find(struct dbd *d, uint64_t id)
{
	struct tailnet *tn;

	TAILQ_FOREACH(tn, &d->tailnets, all)
		if (tn->id == id)
			return tn;
	return NULL;
}

struct tailnet *
tailnet_default(struct dbd *d)
{
	return TAILQ_FIRST(&d->tailnets);
}

struct tailnet_list *
tailnet_all(struct dbd *d)
{
	return &d->tailnets;
}

struct user *
user_find(struct dbd *d, uint64_t id)
{
	struct ixlink *l;
	struct user *u;

	for (l = ix_find(&d->users_by_id, &id, sizeof(id)); l != NULL;
	    l = ix_more(l)) {
		u = l->obj;
		if (u->r.id == id)
			return u;
	}
	return NULL;
}

struct user *
user_find_name(struct tailnet *tn, struct slice name)
{
	struct ixlink *l;
	struct user *u;

	for (l = ix_find(&tn->user_names, name.p, name.n); l != NULL;
	    l = ix_more(l)) {
		u = l->obj;
		if (slice_eq(u->r.name, name))
			return u;
	}
	return NULL;
}

struct node *
node_find(struct dbd *d, uint64_t id)
{
	struct ixlink *l;
	struct node *n;

	for (l = ix_find(&d->nodes_by_id, &id, sizeof(id)); l != NULL;
	    l = ix_more(l)) {
		n = l->obj;
		if (n->r.id == id)
			return n;
	}
	return NULL;
}

struct node *
node_find_name(struct tailnet *tn, struct slice name)
{
	struct ixlink *l;
	struct node *n;

	for (l = ix_find(&tn->node_names, name.p, name.n); l != NULL;
	    l = ix_more(l)) {
		n = l->obj;
		if (slice_eq(n->r.name, name))
			return n;
	}
	return NULL;
}

struct node *
node_find_key(struct dbd *d, const uint8_t key[KEY_LEN])
{
	struct ixlink *l;
	struct node *n;

	for (l = ix_find(&d->nodes_by_key, key, KEY_LEN); l != NULL;
	    l = ix_more(l)) {
		n = l->obj;
		if (memcmp(n->r.node_key, key, KEY_LEN) == 0)
			return n;
	}
	return NULL;
}

struct node *
node_next_machine(struct dbd *d, const uint8_t key[KEY_LEN], struct node *n)
{
	struct ixlink *l;

	l = n == NULL ? ix_find(&d->nodes_by_machine, key, KEY_LEN) :
	    ix_more(&n->by_machine);
	for (; l != NULL; l = ix_more(l)) {
		n = l->obj;
		if (memcmp(n->r.machine_key, key, KEY_LEN) == 0)
			return n;
	}
	return NULL;
}

struct authkey *
authkey_find(struct dbd *d, uint64_t id)
{
	struct ixlink *l;
	struct authkey *k;

	for (l = ix_find(&d->keys_by_id, &id, sizeof(id)); l != NULL;
	    l = ix_more(l)) {
		k = l->obj;
		if (k->row.id == id)
			return k;
	}
	return NULL;
}

struct authkey *
authkey_find_hash(struct dbd *d, const uint8_t h[HASH_LEN])
{
	struct ixlink *l;
	struct authkey *k;

	for (l = ix_find(&d->keys_by_hash, h, HASH_LEN); l != NULL;
	    l = ix_more(l)) {
		k = l->obj;
		if (memcmp(k->row.hash, h, HASH_LEN) == 0)
			return k;
	}
	return NULL;
}

uint16_t
node_slot(const struct node *n)
{
	return n->session == NULL ? 0 : n->session->worker->slot;
}

struct slice
node_owner_name(const struct node *n)
{
	return n->owner == NULL ? slice_str(USER_TAGGED_LOGIN) :
	    n->owner->r.name;
}

bool
node_expired(const struct node *n, int64_t now)
{
	return n->r.expiry != 0 && n->r.expiry <= now;
}

/* Tailnets. */

struct tailnet *
tailnet_add(struct dbd *d, const struct tailnet_row *row)
{
	struct tailnet *tn;

	tn = xcalloc(1, sizeof(*tn));
	tn->d = d;
	tn->id = row->id;
	if (!slice_copy(tn->name, sizeof(tn->name), row->name) ||
	    !slice_copy(tn->stable_id, sizeof(tn->stable_id),
	    row->stable_id))
		fatalx("tailnet id=%llu: name too long",
		    (unsigned long long)row->id);
	tn->seq = row->seq;
	memcpy(tn->batch, row->batch, sizeof(tn->batch));
	tn->policy = row->policy;
	tn->version = row->version;
	tn->auto_version = row->version;
	tn->pol = pol_builtin(row->policy == POLICY_ALLOW_ALL);
	tn->created = row->created;
	routes_init(tn);
	TAILQ_INIT(&tn->nodes);
	TAILQ_INIT(&tn->users);
	TAILQ_INIT(&tn->authkeys);
	TAILQ_INIT(&tn->rests);
	TAILQ_INIT(&tn->holders);
	ix_init(&tn->node_names, d->env);
	ix_init(&tn->user_names, d->env);
	ix_init(&tn->pool4.nodes, d->env);
	ix_init(&tn->pool4.rests, d->env);
	ix_init(&tn->pool6.nodes, d->env);
	ix_init(&tn->pool6.rests, d->env);
	TAILQ_INSERT_TAIL(&d->tailnets, tn, all);
	return tn;
}

void
tailnet_free(struct tailnet *tn)
{
	struct node *n;
	struct authkey *k;
	struct user *u;
	struct rest *r;

	while ((n = TAILQ_FIRST(&tn->nodes)) != NULL)
		node_free(n);
	while ((k = TAILQ_FIRST(&tn->authkeys)) != NULL)
		authkey_free(k);
	while ((u = TAILQ_FIRST(&tn->users)) != NULL)
		user_free(u);
	while ((r = TAILQ_FIRST(&tn->rests)) != NULL)
		rest_free(r);
	ix_free(&tn->node_names);
	ix_free(&tn->user_names);
	ix_free(&tn->pool4.nodes);
	ix_free(&tn->pool4.rests);
	ix_free(&tn->pool6.nodes);
	ix_free(&tn->pool6.rests);
	buf_free(&tn->changes);
	buf_free(&tn->untold);
	routes_free(tn);
	pol_free(tn->pol);
	buf_free(&tn->blob);
	TAILQ_REMOVE(&tn->d->tailnets, tn, all);
	free(tn);
}

/* Users. */

static void
user_take(struct user *u, const struct r_user *r)
{
	struct buf enc = { NULL, 0, 0 };

	msg_rec_encode(&enc, MR_USER, r);
	buf_free(&u->enc);
	u->enc = enc;
	if (msg_rec_decode(&u->r, MR_USER, enc.p, enc.n) == -1)
		fatalx("user id=%llu: own encoding", (unsigned long long)r->id);
	ix_add(&u->tn->user_names, &u->by_name, u->r.name.p, u->r.name.n, u);
}

struct user *
user_add(struct tailnet *tn, const struct r_user *r)
{
	struct user *u;

	u = xcalloc(1, sizeof(*u));
	u->tn = tn;
	user_take(u, r);
	add_id(&tn->d->users_by_id, &u->by_id, u->r.id, u);
	TAILQ_INSERT_TAIL(&tn->users, u, all);
	tn->nusers++;
	return u;
}

void
user_set(struct user *u, const struct r_user *r)
{
	ix_del(&u->tn->user_names, &u->by_name);
	user_take(u, r);
}

void
user_free(struct user *u)
{
	ix_del(&u->tn->user_names, &u->by_name);
	ix_del(&u->tn->d->users_by_id, &u->by_id);
	TAILQ_REMOVE(&u->tn->users, u, all);
	u->tn->nusers--;
	buf_free(&u->enc);
	free(u);
}

/* Auth keys. */

struct authkey *
authkey_add(struct tailnet *tn, const struct authkey_row *row)
{
	struct authkey *k;

	k = xcalloc(1, sizeof(*k));
	k->tn = tn;
	k->row = *row;
	buf_slice(&k->enc, row->prefix);
	buf_put(&k->enc, row->tags.p, row->tags.n);
	k->row.prefix = slice_mem(k->enc.p, row->prefix.n);
	k->row.tags.p = row->tags.n == 0 ? NULL : k->enc.p + row->prefix.n;
	add_id(&tn->d->keys_by_id, &k->by_id, k->row.id, k);
	ix_add(&tn->d->keys_by_hash, &k->by_hash, k->row.hash, HASH_LEN, k);
	TAILQ_INSERT_TAIL(&tn->authkeys, k, all);
	anew_init(k);
	return k;
}

void
authkey_free(struct authkey *k)
{
	struct dbd *d = k->tn->d;

	if (k->dirty)
		TAILQ_REMOVE(&d->used_keys, k, used);
	ix_del(&d->keys_by_id, &k->by_id);
	ix_del(&d->keys_by_hash, &k->by_hash);
	TAILQ_REMOVE(&k->tn->authkeys, k, all);
	buf_free(&k->enc);
	free(k);
}

/* Nodes. */

static void
node_encode(struct buf *b, const struct r_node *r)
{
	struct r_node bare = *r;

	bare.online = false;
	bare.last_seen = 0;
	/* Asked for with a key, and of no use once that has decided. */
	memset(&bare.hostinfo.request_tags, 0,
	    sizeof(bare.hostinfo.request_tags));
	msg_rec_encode(b, MR_NODE, &bare);
}

bool
node_same(struct node *n, const struct r_node *r)
{
	struct buf *b = &n->tn->d->scratch;

	buf_clear(b);
	node_encode(b, r);
	return b->n == n->enc.n && memcmp(b->p, n->enc.p, b->n) == 0;
}

static void
node_unindex(struct node *n)
{
	struct tailnet *tn = n->tn;

	ix_del(&tn->d->nodes_by_key, &n->by_key);
	ix_del(&tn->d->nodes_by_machine, &n->by_machine);
	ix_del(&tn->node_names, &n->by_name);
	ix_del(&tn->pool4.nodes, &n->by_ip4);
	ix_del(&tn->pool6.nodes, &n->by_ip6);
	if (n->owner != NULL)
		n->owner->nodes--;
	n->owner = NULL;
}

static void
node_index(struct node *n)
{
	struct tailnet *tn = n->tn;

	ix_add(&tn->d->nodes_by_key, &n->by_key, n->r.node_key, KEY_LEN, n);
	ix_add(&tn->d->nodes_by_machine, &n->by_machine, n->r.machine_key,
	    KEY_LEN, n);
	ix_add(&tn->node_names, &n->by_name, n->r.name.p, n->r.name.n, n);
	if (n->r.ip4.family != 0)
		ix_add(&tn->pool4.nodes, &n->by_ip4, n->r.ip4.b, 4, n);
	if (n->r.ip6.family != 0)
		ix_add(&tn->pool6.nodes, &n->by_ip6, n->r.ip6.b, 16, n);
	if (n->r.user != 0)
		n->owner = user_find(tn->d, n->r.user);
	if (n->owner != NULL)
		n->owner->nodes++;
}

static void
node_take(struct node *n, const struct r_node *r)
{
	struct buf enc = { NULL, 0, 0 };
	bool online = r->online;
	int64_t last_seen = r->last_seen;

	node_encode(&enc, r);
	buf_free(&n->enc);
	/* It lives as long as the node: no spare room. */
	n->enc.p = xrealloc(enc.p, enc.n, 1);
	n->enc.n = n->enc.cap = enc.n;
	if (msg_rec_decode(&n->r, MR_NODE, n->enc.p, n->enc.n) == -1)
		fatalx("node: own encoding");
	n->r.online = online;
	n->r.last_seen = last_seen;
	node_index(n);
}

struct node *
node_add(struct tailnet *tn, const struct node_row *row)
{
	struct node *n;

	n = xcalloc(1, sizeof(*n));
	n->tn = tn;
	node_take(n, &row->node);
	memcpy(n->nl_key, row->nl_key, KEY_LEN);
	n->key_id = row->key_id;
	n->mapped = row->mapped;
	n->renamed = row->renamed;
	routes_recall(n, &row->refused);
	n->own.tokens = tn->d->conf.budget_burst;
	n->own.refilled = env_now(tn->d->env);
	n->regs = n->own;
	add_id(&tn->d->nodes_by_id, &n->by_id, n->r.id, n);
	TAILQ_INSERT_TAIL(&tn->nodes, n, all);
	tn->nnodes++;
	if (n->r.online)
		tn->nonline++;
	node_timers_init(n);
	TAILQ_INIT(&n->carries);
	if (n->r.approved.count != 0)
		routes_update(n);
	/* A guest of the relay's until now. */
	relay_look(tn->d, n->r.node_key);
	return n;
}

void
node_set(struct node *n, const struct r_node *r)
{
	struct r_node next = *r;
	bool same = routes_same(&n->r, r), expired;
	uint8_t key[KEY_LEN];

	next.online = n->r.online;
	next.last_seen = n->r.last_seen;
	memcpy(key, n->r.node_key, KEY_LEN);
	expired = node_expired(n, env_wall(n->tn->d->env));
	node_unindex(n);
	node_take(n, &next);
	if (!same)
		routes_update(n);
	if (memcmp(key, n->r.node_key, KEY_LEN) != 0) {
		relay_rekeyed(n, key, expired);
		relay_look(n->tn->d, key);
		relay_look(n->tn->d, n->r.node_key);
	}
}

void
node_free(struct node *n)
{
	struct dbd *d = n->tn->d;

	routes_drop(n);
	node_timers_stop(n);
	if (n->told)
		TAILQ_REMOVE(&d->tell, n, tell);
	if (n->lazy)
		TAILQ_REMOVE(&d->seen, n, seen);
	if (n->presumed)
		d->npresumed--;
	if (n->r.online)
		n->tn->nonline--;
	node_unindex(n);
	ix_del(&d->nodes_by_id, &n->by_id);
	TAILQ_REMOVE(&n->tn->nodes, n, all);
	n->tn->nnodes--;
	relay_old_forget(n);
	relay_look(d, n->r.node_key);
	buf_free(&n->enc);
	free(n);
}

void
node_row(const struct node *n, struct node_row *row)
{
	memset(row, 0, sizeof(*row));
	row->tailnet = n->tn->id;
	row->node = n->r;
	memcpy(row->nl_key, n->nl_key, KEY_LEN);
	row->key_id = n->key_id;
	row->mapped = n->mapped;
	row->renamed = n->renamed;
	row->refused = n->refused;
}

/* Addresses at rest. */

struct rest *
rest_add(struct tailnet *tn, const struct rest_row *row)
{
	struct rest *r;
	int64_t left = row->until - env_wall(tn->d->env);

	r = xcalloc(1, sizeof(*r));
	r->tn = tn;
	r->row = *row;
	/* Whatever the wall clock does meanwhile, or did while we were away. */
	if (left > REST_S)
		left = REST_S;
	if (left > 0)
		r->until = env_now(tn->d->env) + (uint64_t)left * US_PER_S;
	tn->nrests++;
	if (row->ip4.family != 0)
		ix_add(&tn->pool4.rests, &r->by_ip4, r->row.ip4.b, 4, r);
	if (row->ip6.family != 0)
		ix_add(&tn->pool6.rests, &r->by_ip6, r->row.ip6.b, 16, r);
	TAILQ_INSERT_TAIL(&tn->rests, r, all);
	return r;
}

void
rest_free(struct rest *r)
{
	r->tn->nrests--;
	ix_del(&r->tn->pool4.rests, &r->by_ip4);
	ix_del(&r->tn->pool6.rests, &r->by_ip6);
	TAILQ_REMOVE(&r->tn->rests, r, all);
	free(r);
}
