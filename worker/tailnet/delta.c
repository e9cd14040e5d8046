/* Which nodes a cursor has not seen. */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/tailnets_int.h"

#define DEAR_NODES	(4 * CHUNK_NODES)
#define DELTAS_MAX	1024			/* kept a replica */
#define DELTA_OCTETS	(64UL * 1024 * 1024)	/* of all that are kept */

static void
note_free(struct note *m)
{
	unsigned int i;

	for (i = 0; i < SEC_MAX; i++)
		free(m->item[i]);
	for (i = 0; i < m->nsegs; i++)
		frame_unref(m->seg[i].frame);
	free(m->seg);
	free(m->user);
	frame_unref(m->whole);
	frame_unref(m->more_frame);
	buf_free(&m->more);
}

static void
delta_free(struct replica *r, struct delta *d)
{
	TAILQ_REMOVE(&r->deltas, d, link);
	TAILQ_REMOVE(&d->view->deltas, d, same);
	r->ndeltas--;
	note_free(&d->gone);
	note_free(&d->news);
	view_unref(d->was);
	view_unref(d->view);
	free(d);
}

void
deltas_clear(struct replica *r)
{
	struct delta *d;

	while ((d = TAILQ_FIRST(&r->deltas)) != NULL)
		delta_free(r, d);
	r->delta_octets = 0;
}

static void
add_item(struct note *m, enum section sec, uint64_t id, const struct node *n,
    unsigned int fields)
{
	struct item *i;

	if (m->n[sec] == m->cap[sec]) {
		m->cap[sec] = m->cap[sec] == 0 ? 8 : 2 * m->cap[sec];
		m->item[sec] = xrealloc(m->item[sec], m->cap[sec],
		    sizeof(*i));
	}
	i = &m->item[sec][m->n[sec]++];
	i->id = id;
	i->node = n;
	i->fields = fields;
}

static void
add_user(struct note *m, const struct user *u)
{
	if (m->nusers == m->user_cap) {
		m->user_cap = m->user_cap == 0 ? 8 : 2 * m->user_cap;
		m->user = xrealloc(m->user, m->user_cap, sizeof(m->user[0]));
	}
	m->user[m->nusers++] = u;
}

static int
item_cmp(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static int
user_cmp(const void *va, const void *vb)
{
	const struct user *const *a = va, *const *b = vb;

	return (*a)->id < (*b)->id ? -1 : (*a)->id > (*b)->id;
}

/* By id, each once: clients expect it (protocol.md 5.8). */
static void
note_sort(struct note *m)
{
	uint32_t i, k = 0;

	for (i = 0; i < SEC_MAX; i++)
		if (m->n[i] > 1)
			qsort(m->item[i], m->n[i], sizeof(struct item),
			    item_cmp);
	/* An id may be deleted, made anew and deleted again. */
	for (i = 0; i < m->n[SEC_REMOVED]; i++)
		if (i == 0 || m->item[SEC_REMOVED][i].id !=
		    m->item[SEC_REMOVED][k - 1].id)
			m->item[SEC_REMOVED][k++] = m->item[SEC_REMOVED][i];
	m->n[SEC_REMOVED] = k;
	if (m->nusers > 1)
		qsort(m->user, m->nusers, sizeof(m->user[0]), user_cmp);
	for (i = k = 0; i < m->nusers; i++)
		if (i == 0 || m->user[i] != m->user[k - 1])
			m->user[k++] = m->user[i];
	m->nusers = k;
}

/*
 * What a patch must say.  Of a node that is sent whole: what a client would
 * not notice if nothing else is different to it (protocol.md 5.8).
 */
static unsigned int
patch_fields(const struct node *n, uint64_t from, bool whole)
{
	unsigned int f, got = 0;

	for (f = 0; f < NF_MAX; f++)
		if (n->field_ver[f] > from)
			got |= NF_BIT(f);
	if (!whole)
		return got;
	got &= NF_BIT(NF_ONLINE) | NF_BIT(NF_SEEN);
	return n->online ? 0 : got;
}

/* What a client at d->from knows of a node. */
struct known {
	bool		 sure;		/* it has it */
	bool		 maybe;		/* it may have it */
};

/*
 * From where the node was since then.  A stream that has just had a full map
 * begins at an earlier version than that map's: it may also know what was
 * there only in between, and lack what was there before.
 */
static void
look_back(struct delta *d, const struct trail *trail, const struct spot *now,
    struct known *k)
{
	const struct move *m;
	bool same = d->was->rules == d->view->rules;

	k->sure = k->maybe = view_sees(d->was, now);
	if (d->was != d->view)
		k->maybe |= same && view_sees(d->view, now);
	LIST_FOREACH(m, trail, older) {
		if (m->ver <= d->from)
			break;
		if (m->from.group->class->rules == d->was->rules) {
			k->sure = view_sees(d->was, &m->from);
			k->maybe |= k->sure;
		}
		if (d->was != d->view)
			k->maybe |= view_sees(d->view, &m->from);
	}
}

static void
know(struct delta *d, const struct node *n, struct known *k)
{
	struct spot now = { n->group, n->user->id };

	look_back(d, &n->trail, &now, k);
	if (n->shown_ver > d->from)
		k->sure = false;
}

static void
look_at_node(struct delta *d, const struct node *n)
{
	uint64_t from = d->from;
	struct known k;
	unsigned int fields;
	bool whole;

	know(d, n, &k);
	if (!view_sees_node(d->view, n)) {
		/* Its name or address may be another's by now. */
		if (k.maybe)
			add_item(n->whole_ver > from ? &d->gone : &d->news,
			    SEC_REMOVED, n->id, n, 0);
		return;
	}
	if (n->reset_ver > from && k.maybe)
		add_item(&d->gone, SEC_REMOVED, n->id, n, 0);
	whole = !k.sure || n->whole_ver > from || n->reset_ver > from ||
	    (n->group->varied && view_differs(d->was, d->view, n, from));
	if (whole) {
		add_item(&d->news, SEC_CHANGED, n->id, n, 0);
		add_user(&d->news, n->user);
	}
	if ((fields = patch_fields(n, from, whole)) != 0)
		add_item(&d->news, SEC_PATCH, n->id, n, fields);
}

static void
look_at_tomb(struct delta *d, const struct tomb *t)
{
	static const struct spot nowhere;
	struct known k;

	look_back(d, &t->trail, &nowhere, &k);
	if (k.maybe)
		add_item(&d->gone, SEC_REMOVED, t->id, NULL, 0);
}

/* Nodes and removals after d->from. */
static void
look_at_changes(struct replica *r, struct delta *d)
{
	const struct mark *m;

	TAILQ_FOREACH_REVERSE(m, &r->changes, mark_list, link) {
		if (m->ver <= d->from)
			break;
		if (m->node != NULL)
			look_at_node(d, m->node);
		else
			look_at_tomb(d, (const struct tomb *)m);
	}
}

/* Owners of whom either view may see some nodes. */
struct owners {
	uint64_t	*was;
	uint64_t	*now;
	size_t		 nwas;
	size_t		 nnow;
};

static int
id_cmp(const void *va, const void *vb)
{
	uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

	return a < b ? -1 : a > b;
}

static bool
has_id(const uint64_t *list, size_t n, uint64_t id)
{
	return bsearch(&id, list, n, sizeof(*list), id_cmp) != NULL;
}

/* Nodes that have not changed, but their view may have. */
static void
look_if_still(struct delta *d, const struct node *n)
{
	if (n->mark.ver <= d->from && n->group != NULL)
		look_at_node(d, n);
}

/* The same but for those that look_at_owned() is for. */
static void
look_at_other(struct delta *d, const struct owners *o, const struct node *n)
{
	if (!has_id(o->was, o->nwas, n->user->id) &&
	    !has_id(o->now, o->nnow, n->user->id))
		look_if_still(d, n);
}

/* The view is another of the same policy. */
static void
look_at_groups(struct replica *r, struct delta *d, const struct owners *o)
{
	const struct group *g;
	bool now;
	uint32_t i, k;

	for (i = 0; i < r->rules->ngroups; i++) {
		g = r->rules->group[i];
		now = view_all(d->view, g);
		if (view_all(d->was, g) == now && !(now && g->varied))
			continue;
		for (k = 0; k < g->nodes.n; k++)
			look_at_other(d, o, g->nodes.member[k]);
	}
}

/* The view is one of the policy that came after the view's. */
static void
look_at_transits(struct replica *r, struct delta *d, const struct owners *o)
{
	const struct transit *t;
	const struct node *n;
	bool now;
	uint32_t i;

	for (i = 0; i < r->ntransits; i++) {
		t = r->transit[i];
		now = view_all(d->view, t->to);
		if (view_all(d->was, t->from) == now && !(now && t->to->varied))
			continue;
		TAILQ_FOREACH(n, &t->nodes, travel)
			look_at_other(d, o, n);
	}
}

static void
look_at_owned(struct replica *r, struct delta *d, uint64_t owner)
{
	const struct user *u;
	const struct node *n;

	if ((u = idmap_get(&r->users, owner)) == NULL)
		return;
	TAILQ_FOREACH(n, &u->owned, owned)
		look_if_still(d, n);
}

/* What the view shows and the last one did not, and what no more. */
static void
look_at_views(struct replica *r, struct delta *d)
{
	struct owners o;
	struct node *n;
	size_t i;

	o.was = view_owners(d->was, &o.nwas);
	o.now = view_owners(d->view, &o.nnow);
	for (i = 0; i < o.nwas; i++)
		look_at_owned(r, d, o.was[i]);
	for (i = 0; i < o.nnow; i++)
		if (!has_id(o.was, o.nwas, o.now[i]))
			look_at_owned(r, d, o.now[i]);
	if (d->was->rules == r->rules)
		look_at_groups(r, d, &o);
	else if (d->was->rules == r->old_rules)
		look_at_transits(r, d, &o);
	else {
		/* It missed a policy. */
		for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++)
			if ((n = r->nodes.val[i]) != NULL)
				look_at_other(d, &o, n);
	}
	free(o.was);
	free(o.now);
}

/* Nodes that have not changed, and whose routes are others to the viewer. */
static void
look_at_routers(struct replica *r, struct delta *d)
{
	bool all = r->vary_ver > d->from;
	const struct node *n;

	if (view_base(d->view)->sight.newest <= d->from &&
	    d->view->more.newest <= d->from)
		return;
	TAILQ_FOREACH_REVERSE(n, &r->routers, router_list, router) {
		if (n->vary_ver <= d->from && !all)
			break;
		if (n->mark.ver <= d->from && n->group != NULL)
			look_at_node(d, n);
	}
}

static void
look_at_users(struct replica *r, struct delta *d)
{
	const struct user *u;

	TAILQ_FOREACH_REVERSE(u, &r->by_change, user_list, link) {
		if (u->ver <= d->from)
			break;
		if (!view_has_user(d->view, u))
			continue;
		add_user(&d->news, u);
		d->news.rest |= REST_USERS;
	}
}

static void
look_at_rest(struct replica *r, struct delta *d)
{
	unsigned int *rest = &d->news.rest;

	if (r->dns_ver > d->from)
		*rest |= REST_DNS;
	if (r->derp_ver > d->from && r->tn->derpmap != NULL)
		*rest |= REST_DERP;
	if (r->debug_ver > d->from)
		*rest |= REST_DEBUG;
	if (*rest != 0 || d->news.n[SEC_CHANGED] != 0 ||
	    d->news.n[SEC_PATCH] != 0)
		*rest |= REST_TIME;
}

/* All peers that the client may know. */
static void
drop_all(struct replica *r, struct delta *d)
{
	const struct mark *m;
	struct known k;

	TAILQ_FOREACH(m, &r->changes, link) {
		if (m->node == NULL) {
			if (m->ver > d->from)
				look_at_tomb(d, (const struct tomb *)m);
			continue;
		}
		know(d, m->node, &k);
		if (k.maybe)
			add_item(&d->gone, SEC_REMOVED, m->node->id, m->node,
			    0);
	}
	d->gone.rest = REST_DNS | REST_DOMAIN;
	if (r->tn->conf.disable_logtail)
		d->gone.rest |= REST_DEBUG;
	if (r->tn->derpmap != NULL)
		d->gone.rest |= REST_DERP;
}

/* Nothing of what the owner's nodes see of each other has changed. */
static bool
is_still(struct replica *r, const struct view *was, const struct view *v,
    uint64_t from)
{
	const struct user *u;

	if (was != v)
		return was->owner == 0 && v->owner == 0;
	if (v->owner == 0)
		return true;
	return (u = idmap_get(&r->users, v->owner)) != NULL &&
	    u->ver <= from && u->node_ver <= from && r->vary_ver <= from;
}

/* It is told by its base, or is one. */
static bool
has_base(struct view *v)
{
	return v->base == v || view_base(v) != v;
}

/*
 * Messages of the views without owner and load are those of many; if they are
 * these views', too, as far as can be told before they are made.
 */
static bool
may_share(struct replica *r, struct view *was, struct view *v, uint64_t from)
{
	if ((was->base == was && v->base == v) || was->alone || v->alone)
		return false;
	return has_base(was) && has_base(v) && is_still(r, was, v, from) &&
	    !view_adds_other(was, v, from);
}

/* It has a node of which the view is shown more than its base. */
static bool
lacks(struct replica *r, const struct delta *d, struct view *v)
{
	const struct node *n;
	uint32_t i;

	for (i = 0; i < view_nadded(v); i++) {
		n = idmap_get(&r->nodes, view_added(v, i));
		if (n != NULL && view_adds(v, n) &&
		    note_says(&d->news, n))
			return true;
	}
	return false;
}

static struct delta *
delta_new(struct replica *r, struct view *was, struct view *v)
{
	struct delta *d;

	while (r->ndeltas == DELTAS_MAX || (r->ndeltas > 1 &&
	    r->delta_octets > DELTA_OCTETS)) {
		if (r->delta_octets > DELTA_OCTETS)
			deltas_clear(r);
		else
			delta_free(r, TAILQ_LAST(&r->deltas, delta_list));
	}
	d = xcalloc(1, sizeof(*d));
	d->was = view_ref(was);
	d->view = view_ref(v);
	TAILQ_INSERT_HEAD(&r->deltas, d, link);
	TAILQ_INSERT_HEAD(&v->deltas, d, same);
	r->ndeltas++;
	return d;
}

bool
delta_is_dear(const struct replica *r, struct view *was, struct view *v)
{
	const struct transit *t;
	uint32_t i, n = 0;

	if (was->rules != r->old_rules || view_base(v) == v)
		return false;
	for (i = 0; i < r->ntransits && n <= DEAR_NODES; i++) {
		t = r->transit[i];
		if (view_all(v, t->to) && !view_all(was, t->from))
			n += t->n;
	}
	return n > DEAR_NODES;
}

static void
fill(struct replica *r, struct delta *d)
{
	if (d->drop) {
		drop_all(r, d);
		return;
	}
	if (!d->was->alone || !d->view->alone)
		look_at_changes(r, d);
	if (d->was != d->view)
		look_at_views(r, d);
	else
		look_at_routers(r, d);
	look_at_users(r, d);
	look_at_rest(r, d);
}

static struct delta *
get(struct replica *r, struct view *was, struct view *v, uint64_t from,
    bool compress, bool drop)
{
	struct delta *d;

	TAILQ_FOREACH(d, &v->deltas, same)
		if (d->was == was && d->from == from &&
		    d->compress == compress && d->drop == drop)
			return d;
	d = delta_new(r, was, v);
	d->from = from;
	d->compress = compress;
	d->drop = drop;
	fill(r, d);
	note_sort(&d->gone);
	note_sort(&d->news);
	return d;
}

struct delta *
delta_get(struct replica *r, struct view *was, struct view *v, uint64_t from,
    bool compress, bool drop)
{
	struct delta *d;

	view_look(r, v);
	if (!drop && may_share(r, was, v, from)) {
		d = get(r, was->base, v->base, from, compress, false);
		if (!lacks(r, d, v))
			return d;
	}
	return get(r, was, v, from, compress, drop);
}
