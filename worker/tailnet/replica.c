#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns_int.h"
#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/tailnets_int.h"

#define DEFAULT_TAILNET	"default"	/* has the base domain for itself */
#define EXPIRY_LOOK_S	3600		/* the wall clock may be set */

static void on_expiry(void *);

static void
user_put_profile(struct replica *r, struct user *u, const struct buf *profile)
{
	u->profile = xrealloc(u->profile, profile->n, 1);
	memcpy(u->profile, profile->p, profile->n);
	u->profile_n = (uint32_t)profile->n;
	if (u->ver != 0)
		TAILQ_REMOVE(&r->by_change, u, link);
	u->ver = r->ver + 1;
	TAILQ_INSERT_TAIL(&r->by_change, u, link);
	r->changed = true;
}

static struct user *
user_new(struct replica *r, uint64_t id)
{
	struct user *u;

	u = xcalloc(1, sizeof(*u));
	u->id = id;
	TAILQ_INIT(&u->owned);
	idmap_put(&r->users, id, u);
	return u;
}

static void
user_free(struct replica *r, struct user *u)
{
	TAILQ_REMOVE(&r->by_change, u, link);
	idmap_del(&r->users, u->id);
	free(u->profile);
	free(u);
}

/* Tagged nodes have one owner for all (protocol.md 2.4). */
static void
make_tagged(struct replica *r)
{
	struct buf b = { 0 };

	r->tagged = user_new(r, USER_TAGGED);
	mapjson_profile(&b, USER_TAGGED, slice_str(USER_TAGGED_LOGIN),
	    slice_str(USER_TAGGED_NAME), slice_str(""));
	user_put_profile(r, r->tagged, &b);
	buf_free(&b);
}

struct replica *
replica_new(struct tailnets *tn, uint64_t id)
{
	struct replica *r;

	r = xcalloc(1, sizeof(*r));
	r->tn = tn;
	r->id = id;
	r->name = xstrdup("");
	r->stable_id = xstrdup("");
	STAILQ_INIT(&r->ops);
	TAILQ_INIT(&r->by_change);
	TAILQ_INIT(&r->changes);
	TAILQ_INIT(&r->tombs);
	TAILQ_INIT(&r->routers);
	TAILQ_INIT(&r->moves);
	TAILQ_INIT(&r->idle);
	TAILQ_INIT(&r->deltas);
	timer_init(&r->expiry, tn->env, on_expiry, r);
	make_tagged(r);
	r->in_force = POLICY_NONE;
	r->rules = ruleset_new(pol_builtin(false));
	return r;
}

static void
tomb_free(struct replica *r, struct tomb *t)
{
	TAILQ_REMOVE(&r->changes, &t->mark, link);
	TAILQ_REMOVE(&r->tombs, t, link);
	r->ntombs--;
	trail_free(r, &t->trail);
	free(t);
}

/* Next node of the table that is not in the list of changes, too. */
static void
free_nodes(struct replica *r)
{
	struct node *n;
	size_t i;

	TAILQ_FOREACH(n, &r->routers, router) {
		router_del(r->tn, n);
		carried_clear(r, n);
	}
	for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++)
		if ((n = r->nodes.val[i]) != NULL) {
			if (n->group != NULL)
				group_leave(n);
			trail_free(r, &n->trail);
			replica_node_free(n);
		}
	idmap_free(&r->nodes);
}

void
replica_free(struct replica *r)
{
	struct user *u;
	struct tomb *t;

	timer_stop(&r->expiry);
	deltas_clear(r);
	ops_clear(r);
	replica_spoil_head(r);
	while ((t = TAILQ_FIRST(&r->tombs)) != NULL)
		tomb_free(r, t);
	transits_clear(r);
	free_nodes(r);
	policy_free(r);
	while ((u = TAILQ_FIRST(&r->by_change)) != NULL)
		user_free(r, u);
	idmap_free(&r->users);
	carried_end(r);
	buf_free(&r->domain);
	buf_free(&r->dns);
	free(r->name);
	free(r->stable_id);
	free(r);
}

void
replica_begin(struct replica *r)
{
	deltas_clear(r);
	r->changed = false;
}

void
replica_spoil_head(struct replica *r)
{
	frame_unref(r->head);
	r->head = NULL;
}

/* Of a wide router, whose class was made again. */
static void
widened(struct replica *r, struct node *n)
{
	replica_place(r, n, n->user, false);
	r->vary_ver = r->ver + 1;
	r->changed = true;
}

void
replica_finish(struct replica *r)
{
	class_widen(r, widened);
	if (!r->changed)
		return;
	r->ver++;
	r->changed = false;
	streams_behind(r);
}

void
replica_end(struct replica *r)
{
	replica_finish(r);
	policy_renew(r);
}

/* The node is the last in the list of changes. */
static void
touch(struct replica *r, struct mark *m)
{
	if (m->ver != 0)
		TAILQ_REMOVE(&r->changes, m, link);
	m->ver = r->ver + 1;
	TAILQ_INSERT_TAIL(&r->changes, m, link);
	r->changed = true;
}

static void
touch_node(struct replica *r, struct node *n)
{
	touch(r, &n->mark);
	n->user->node_ver = r->ver + 1;
}

void
replica_note(struct replica *r, struct node *n, unsigned int what)
{
	uint64_t next = r->ver + 1, before = n->mark.ver;
	unsigned int f;

	if (what & NC_ADDR)
		n->addr_ver = next;
	if (what & NC_SELF) {
		n->self_ver = next;
		r->changed = true;
	}
	for (f = 0; f < NF_MAX; f++)
		if (what & NF_BIT(f))
			n->field_ver[f] = next;
	if (what & NC_WHOLE)
		n->whole_ver = next;
	if (what & NC_RESET)
		n->reset_ver = next;
	if (n->group == NULL || (what & (NF_ALL | NC_WHOLE | NC_RESET)) == 0)
		return;
	touch_node(r, n);
	group_changed(n, (what & ~(NF_LAZY | NC_ROUTES | NC_SELF)) == 0,
	    before);
}

/* Puts it into the group where it belongs now. */
static void
regroup(struct replica *r, struct node *n, struct user *old)
{
	struct group *want = n->published ? group_of(r, n) : NULL;

	if (n->group == want && (want == NULL || n->user == old))
		return;
	if (n->group != NULL) {
		trail_leave(r, n, old->id);
		old->node_ver = r->ver + 1;
		if (n->user != old)
			group_reown(n, old);
		if (n->group != want)
			group_leave(n);
	}
	if (n->group != want)
		group_join(want, n);
	if (n->born == 0)
		n->born = r->ver + 1;
	n->shown_ver = r->ver + 1;
	touch_node(r, n);
}

void
replica_place(struct replica *r, struct node *n, struct user *old,
    bool reclass)
{
	bool no_ip4;

	if (reclass) {
		(void)class_place(r, n);
		no_ip4 = class_no_ip4(n->class);
		if (n->no_ip4 != no_ip4) {
			n->no_ip4 = no_ip4;
			replica_note(r, n, NC_WHOLE | NC_SELF);
		}
		r->changed = true;
	}
	regroup(r, n, old);
}

static void
set_domain(struct replica *r)
{
	struct slice base = r->tn->conf.base_domain;

	buf_clear(&r->domain);
	if (strcmp(r->name, DEFAULT_TAILNET) != 0 && r->name[0] != '\0') {
		buf_str(&r->domain, r->name);
		if (base.n != 0)
			buf_u8(&r->domain, '.');
	}
	buf_slice(&r->domain, base);
}

/* Sets an owned text; true if it was another. */
static bool
set_text(char **t, struct slice s)
{
	if (slice_eqs(s, *t))
		return false;
	free(*t);
	*t = slice_dup(s);
	return true;
}

void
replica_reconf(struct replica *r)
{
	struct buf old = r->domain, dns = r->dns;
	uint64_t next = r->ver + 1;

	memset(&r->domain, 0, sizeof(r->domain));
	memset(&r->dns, 0, sizeof(r->dns));
	set_domain(r);
	dns_json(&r->dns, &r->tn->conf, buf_slice_of(&r->domain),
	    r->tn->records);
	if (!slice_eq(buf_slice_of(&old), buf_slice_of(&r->domain))) {
		/* All names are others: nobody's view can be patched. */
		groups_spoil(r);
		r->all_ver = next;
		r->changed = true;
	}
	if (!slice_eq(buf_slice_of(&dns), buf_slice_of(&r->dns))) {
		r->dns_ver = next;
		r->changed = true;
	}
	replica_spoil_head(r);
	buf_free(&old);
	buf_free(&dns);
}

int
replica_put_tailnet(struct replica *r, const struct m_db_tailnet *m)
{
	struct slice name = m->name;

	if (!dns_name_ok(name) || memchr(name.p, '.', name.n) != NULL) {
		log_warnx("tailnet=%llu name=%s: not a DNS label",
		    (unsigned long long)r->id, log_vis(name));
		return -1;
	}
	if (set_text(&r->stable_id, m->stable_id)) {
		r->self_ver = r->ver + 1;
		r->changed = true;
	}
	if (m->policy > POLICY_COMPILED) {
		log_warnx("tailnet=%llu: policy of kind %u",
		    (unsigned long long)r->id, m->policy);
		return -1;
	}
	r->policy = m->policy;
	if (!prefix_eq(&r->range[0], &m->range4) ||
	    !prefix_eq(&r->range[1], &m->range6)) {
		r->range[0] = m->range4;
		r->range[1] = m->range6;
		r->ranged = true;
		r->vary_ver = r->ver + 1;
		filters_routes(r);
	}
	if (set_text(&r->name, name))
		replica_reconf(r);
	return 0;
}

int
replica_put_user(struct replica *r, const struct r_user *m)
{
	struct buf b = { 0 };
	struct node *n;
	struct user *u;

	if (m->id == 0 || m->id >= USER_TAGGED) {
		log_warnx("tailnet=%llu user=%llu: id out of range",
		    (unsigned long long)r->id, (unsigned long long)m->id);
		return -1;
	}
	mapjson_profile(&b, m->id, m->name, m->display, m->picture);
	if ((u = idmap_get(&r->users, m->id)) == NULL)
		u = user_new(r, m->id);
	u->gen = r->gen;
	if (u->role != m->role) {
		u->role = m->role;
		TAILQ_FOREACH(n, &u->owned, owned)
			replica_note(r, n, NC_SELF);
	}
	if (!slice_eq(slice_mem(u->profile, u->profile_n), buf_slice_of(&b))) {
		user_put_profile(r, u, &b);
		groups_user_changed(r, u);
	}
	buf_free(&b);
	return 0;
}

int
replica_del_user(struct replica *r, uint64_t id)
{
	struct user *u;

	if (id == USER_TAGGED || (u = idmap_get(&r->users, id)) == NULL)
		return 0;
	if (u->nodes != 0) {
		log_warnx("tailnet=%llu user=%llu: removed while it has nodes",
		    (unsigned long long)r->id, (unsigned long long)id);
		return -1;
	}
	user_free(r, u);
	return 0;
}

/* Sets the timer for a node key that expires. */
static void
watch_expiry(struct replica *r, int64_t now, int64_t at)
{
	uint64_t wait_s, when;

	wait_s = at - now > EXPIRY_LOOK_S ? EXPIRY_LOOK_S :
	    (uint64_t)(at - now);
	when = env_now(r->tn->env) + wait_s * US_PER_S;
	if (!timer_pending(&r->expiry) || r->expiry.at > when)
		timer_at(&r->expiry, when);
}

static void
on_expiry(void *arg)
{
	struct replica *r = arg;
	struct node *n;
	int64_t now, next = INT64_MAX;
	size_t i;

	now = env_wall(r->tn->env);
	replica_begin(r);
	for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++) {
		if ((n = r->nodes.val[i]) == NULL)
			continue;
		replica_note(r, n, node_expire(n, now));
		if (n->expiry > now && n->expiry < next)
			next = n->expiry;
	}
	replica_end(r);
	if (next != INT64_MAX)
		watch_expiry(r, now, next);
}

/* The owner as peers see it; NULL if dbd never told of it. */
static struct user *
owner_of(struct replica *r, const struct r_node *m)
{
	if (m->user == 0 || m->tags.count != 0)
		return r->tagged;
	return idmap_get(&r->users, m->user);
}

static struct node *
add_node(struct replica *r, uint64_t id)
{
	struct node *n;

	n = node_new(id);
	idmap_put(&r->nodes, id, n);
	r->nnodes++;
	return n;
}

/* Who is shown which routes of the router is to be worked out anew. */
static void
vary(struct replica *r, struct node *n)
{
	n->vary_ver = r->route_ver = r->ver + 1;
	n->user->node_ver = r->ver + 1;
	r->changed = true;
	TAILQ_REMOVE(&r->routers, n, router);
	TAILQ_INSERT_TAIL(&r->routers, n, router);
}

/* The same of all that it shares a route with: one wins by a row's way. */
static void
vary_rivals(struct replica *r, const struct node *n)
{
	const struct carriers *list;
	const struct carrier *c;
	const struct prefix *p;
	unsigned int i;

	for (i = 0; r->rules->has_via && i < n->ncarriers; i++) {
		p = carrier_route(&n->carrier[i]);
		list = carried_by(r, p);
		LIST_FOREACH(c, list, of_route)
			if (c->node != n && c->node->vary_ver <= r->ver)
				vary(r, c->node);
	}
}

static void
enlist(struct replica *r, struct node *n)
{
	TAILQ_INSERT_TAIL(&r->routers, n, router);
	r->nrouters++;
}

static void
delist(struct replica *r, struct node *n)
{
	TAILQ_REMOVE(&r->routers, n, router);
	r->nrouters--;
}

/* Takes over the record, and keeps the lists of routers. */
static unsigned int
update(struct replica *r, struct node *n, const struct r_node *m,
    struct user *user)
{
	bool router = n->nroutes != 0;
	unsigned int what;

	if (router)
		router_del(r->tn, n);
	what = node_update(n, m, user, env_wall(r->tn->env));
	if (n->nroutes != 0)
		router_add(r->tn, n);
	if (router && n->nroutes == 0)
		delist(r, n);
	else if (!router && n->nroutes != 0)
		enlist(r, n);
	if ((!router && n->nroutes == 0) || (what & (NC_ROUTES | NC_PRIMARY |
	    NC_FACTS | NC_SHOWN)) == 0)
		return what;
	vary_rivals(r, n);
	if (what & (NC_ROUTES | NC_PRIMARY)) {
		if (n->nroutes != 0)
			carried_set(r, n);
		else
			carried_clear(r, n);
		vary_rivals(r, n);
	}
	if (n->nroutes != 0)
		vary(r, n);
	r->changed = true;
	return what;
}

static void
give_to(struct node *n, struct user *old, struct user *user)
{
	if (old != NULL) {
		TAILQ_REMOVE(&old->owned, n, owned);
		old->nodes--;
	}
	TAILQ_INSERT_TAIL(&user->owned, n, owned);
	user->nodes++;
}

int
replica_put_node(struct replica *r, const struct r_node *m)
{
	unsigned long long id = m->id;
	struct user *user, *old;
	struct node *n;
	const char *why;
	unsigned int what;
	int64_t now;
	bool fresh;

	why = node_bad(m);
	if (why == NULL && (user = owner_of(r, m)) == NULL)
		why = "unknown owner";
	if (why != NULL) {
		log_warnx("tailnet=%llu node=%llu: %s",
		    (unsigned long long)r->id, id, why);
		return -1;
	}
	now = env_wall(r->tn->env);
	if ((fresh = (n = idmap_get(&r->nodes, m->id)) == NULL))
		n = add_node(r, m->id);
	n->gen = r->gen;
	old = n->user;
	what = update(r, n, m, user);
	if (old != user)
		give_to(n, old, user);
	/* Of a new node nothing is a change but that it is there. */
	if (!fresh)
		replica_note(r, n, what);
	if (what & NC_ROUTES)
		filters_routes(r);
	replica_place(r, n, old != NULL ? old : user, (what & NC_FACTS) != 0 ||
	    n->class == NULL);
	if (n->expiry > now)
		watch_expiry(r, now, n->expiry);
	return 0;
}

static void
add_tomb(struct replica *r, struct node *n)
{
	struct move *m;
	struct tomb *t;
	uint32_t max;

	t = xcalloc(1, sizeof(*t));
	t->id = n->id;
	if ((m = t->trail.lh_first = n->trail.lh_first) != NULL)
		m->older.le_prev = &t->trail.lh_first;
	LIST_INIT(&n->trail);
	touch(r, &t->mark);
	TAILQ_INSERT_TAIL(&r->tombs, t, link);
	r->ntombs++;
	max = r->nnodes > TOMBS_MIN ? r->nnodes : TOMBS_MIN;
	while (r->ntombs > max) {
		t = TAILQ_FIRST(&r->tombs);
		/* Moves may have been forgotten up to a later one. */
		if (r->floor < t->mark.ver)
			r->floor = t->mark.ver;
		tomb_free(r, t);
	}
}

static void
del_node(struct replica *r, struct node *n)
{
	streams_orphan(n);
	r->nnodes--;
	if (n->group != NULL) {
		trail_leave(r, n, n->user->id);
		group_leave(n);
		n->user->node_ver = r->ver + 1;
	}
	class_leave(r, n);
	/* One that came and went in a batch was never told of. */
	if (n->born != 0 && n->born <= r->ver)
		add_tomb(r, n);
	if (n->nroutes != 0) {
		router_del(r->tn, n);
		delist(r, n);
		vary_rivals(r, n);
		carried_clear(r, n);
		n->nroutes = 0;
		filters_routes(r);
	}
	r->changed = true;
	if (n->mark.ver != 0)
		TAILQ_REMOVE(&r->changes, &n->mark, link);
	n->user->nodes--;
	TAILQ_REMOVE(&n->user->owned, n, owned);
	trail_free(r, &n->trail);
	idmap_del(&r->nodes, n->id);
	replica_node_free(n);
}

void
replica_del_node(struct replica *r, uint64_t id)
{
	struct node *n;

	if ((n = idmap_get(&r->nodes, id)) != NULL)
		del_node(r, n);
}

void
replica_online(struct replica *r, uint64_t id, bool online, int64_t last_seen)
{
	struct node *n;

	if ((n = idmap_get(&r->nodes, id)) != NULL)
		replica_note(r, n, node_seen(n, online, last_seen));
}

void
replica_online_map(struct replica *r, const struct m_db_online_map *m)
{
	struct node *n;
	uint64_t k;
	size_t i;
	bool online;

	for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++) {
		if ((n = r->nodes.val[i]) == NULL || n->id < m->base)
			continue;
		k = n->id - m->base;
		if (k / 8 >= m->bits.n)
			continue;
		online = ((uint8_t)m->bits.p[k / 8] >> k % 8 & 1) != 0;
		/* Those known to be offline keep the time that they have. */
		if (online != n->online)
			replica_note(r, n, node_seen(n, online, m->last_seen));
	}
}

int
replica_sweep(struct replica *r)
{
	struct mark_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct user *u, *next;
	struct node *n;
	size_t i;

	/* Deleting moves what is in the table: collect first. */
	for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++) {
		n = r->nodes.val[i];
		if (n == NULL || n->gen == r->gen)
			continue;
		if (n->mark.ver != 0)
			TAILQ_REMOVE(&r->changes, &n->mark, link);
		TAILQ_INSERT_TAIL(&gone, &n->mark, link);
		n->mark.ver = 0;
	}
	while (!TAILQ_EMPTY(&gone)) {
		n = TAILQ_FIRST(&gone)->node;
		TAILQ_REMOVE(&gone, &n->mark, link);
		del_node(r, n);
	}
	for (u = TAILQ_FIRST(&r->by_change); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		if (u != r->tagged && u->gen != r->gen &&
		    replica_del_user(r, u->id) == -1)
			return -1;
	}
	return 0;
}
