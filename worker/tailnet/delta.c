/* Which nodes a cursor has not seen. */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/tailnets_int.h"

#define DELTAS_MAX	16	/* kept a replica */

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
}

static void
delta_free(struct replica *r, struct delta *d)
{
	TAILQ_REMOVE(&r->deltas, d, link);
	r->ndeltas--;
	note_free(&d->gone);
	note_free(&d->news);
	free(d);
}

void
deltas_clear(struct replica *r)
{
	struct delta *d;

	while ((d = TAILQ_FIRST(&r->deltas)) != NULL)
		delta_free(r, d);
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

static void
look_at_node(struct delta *d, const struct node *n)
{
	uint64_t from = d->from;
	unsigned int fields;
	bool whole;

	if (!view_sees(d->view, n->group)) {
		if (n->shown_ver > from && view_sees(d->view, n->was))
			add_item(&d->gone, SEC_REMOVED, n->id, n, 0);
		return;
	}
	if (n->reset_ver > from)
		add_item(&d->gone, SEC_REMOVED, n->id, n, 0);
	whole = n->shown_ver > from || n->whole_ver > from ||
	    n->reset_ver > from;
	if (whole) {
		add_item(&d->news, SEC_CHANGED, n->id, n, 0);
		add_user(&d->news, n->user);
	}
	if ((fields = patch_fields(n, from, whole)) != 0)
		add_item(&d->news, SEC_PATCH, n->id, n, fields);
}

/* Nodes and removals after d->from. */
static void
look_at_changes(struct replica *r, struct delta *d)
{
	const struct tomb *t;
	const struct mark *m;

	TAILQ_FOREACH_REVERSE(m, &r->changes, mark_list, link) {
		if (m->ver <= d->from)
			break;
		if (m->node != NULL) {
			look_at_node(d, m->node);
			continue;
		}
		t = (const struct tomb *)m;
		if (view_sees(d->view, t->group))
			add_item(&d->gone, SEC_REMOVED, t->id, NULL, 0);
	}
}

static bool
sees_user(const struct replica *r, const struct view *v, const struct user *u)
{
	const struct group *g;

	TAILQ_FOREACH(g, &r->groups, link)
		if (view_sees(v, g) && group_has_user(g, u))
			return true;
	return false;
}

static void
look_at_users(struct replica *r, struct delta *d)
{
	const struct user *u;

	TAILQ_FOREACH_REVERSE(u, &r->by_change, user_list, link) {
		if (u->ver <= d->from)
			break;
		if (!sees_user(r, d->view, u))
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

/* All peers that somebody at d->from may know, whatever the view. */
static void
drop_all(struct replica *r, struct delta *d)
{
	const struct tomb *t;
	const struct mark *m;

	TAILQ_FOREACH(m, &r->changes, link) {
		if (m->node != NULL)
			add_item(&d->gone, SEC_REMOVED, m->node->id, m->node,
			    0);
		else if (m->ver > d->from) {
			t = (const struct tomb *)m;
			add_item(&d->gone, SEC_REMOVED, t->id, NULL, 0);
		}
	}
	d->gone.rest = REST_DNS | REST_DOMAIN | REST_FILTER;
	if (r->tn->conf.disable_logtail)
		d->gone.rest |= REST_DEBUG;
	if (r->tn->derpmap != NULL)
		d->gone.rest |= REST_DERP;
}

struct delta *
delta_get(struct replica *r, const struct view *v, uint64_t from,
    bool compress, bool drop)
{
	struct delta *d;

	TAILQ_FOREACH(d, &r->deltas, link)
		if (d->view == v && d->from == from &&
		    d->compress == compress && d->drop == drop)
			return d;
	if (r->ndeltas == DELTAS_MAX)
		delta_free(r, TAILQ_LAST(&r->deltas, delta_list));
	d = xcalloc(1, sizeof(*d));
	d->view = v;
	d->from = from;
	d->compress = compress;
	d->drop = drop;
	TAILQ_INSERT_HEAD(&r->deltas, d, link);
	r->ndeltas++;
	if (drop)
		drop_all(r, d);
	else {
		if (v->sees)
			look_at_changes(r, d);
		look_at_users(r, d);
		look_at_rest(r, d);
	}
	note_sort(&d->gone);
	note_sort(&d->news);
	return d;
}
