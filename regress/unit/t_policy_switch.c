/* One policy after another: what streams are told of it, and no more. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "common/log.h"
#include "regress/lib/quiet.h"
#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

#define NODES	6

/* 1 to 3 are users', 4 and 5 have tags t0 and t1, 6 none of interest. */
struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct client	*c[NODES + 1];
	struct mapview_count was[NODES + 1];
};

static struct fnode
fnode(uint64_t id)
{
	struct fnode f;

	fnode_init(&f, id, id <= 3 ? id : 0);
	f.online = true;
	if (id > 3) {
		f.tags = 1;
		f.tag_from = (unsigned int)id - 4;
	}
	return f;
}

/* The policy of all these tests: users 1 to t0, 2 to t1. */
static void
first(struct rulekit *k)
{
	pk_free(k);
	pk_init(k);
	pk_row(k, pk_src(k, PK_U1, -1), PK_T0, 0);
	pk_row(k, pk_src(k, PK_U2, -1), PK_T1, 0);
}

static void
start(struct world *t)
{
	struct fuser u = { 0 };
	struct buf b = { 0 };
	struct fnode f;
	unsigned int i;

	memset(t, 0, sizeof(*t));
	t->w = tnw_new(1);
	first(&t->kit);
	snap_tailnet(&b, "default", 2);
	snap_policy(&b, &t->kit.pol, 100);
	for (i = 1; i <= 3; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "u%u", i);
		snap_user(&b, &u);
	}
	for (i = 1; i <= NODES; i++) {
		f = fnode(i);
		snap_node(&b, &f);
	}
	snap_batch(&b, ++t->w->seq);
	assert_int_equal(tailnets_snapshot(t->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	for (i = 1; i <= NODES; i++)
		t->c[i] = tnw_open(t->w, i, i, i % 2 == 0, false);
	assert_null(tnw_settle(t->w));
}

static void
stop(struct world *t)
{
	assert_null(t->w->why);
	tnw_free(t->w);
	pk_free(&t->kit);
	assert_int_equal(frame_bytes(), 0);
}

static void
remember(struct world *t)
{
	unsigned int i;

	for (i = 1; i <= NODES; i++)
		t->was[i] = *mapview_count(t->c[i]->view);
}

static void
send_policy(struct world *t)
{
	assert_int_equal(feed_policy(t->w->tn, &t->kit.pol, 0), 0);
	tnw_batch(t->w);
	pk_free(&t->kit);
}

/* The policy is in force and told. */
static void
settle(struct world *t)
{
	unsigned int i;

	assert_null(tnw_settle(t->w));
	for (i = 1; i <= NODES; i++)
		if (!t->c[i]->slow)
			assert_null(tnw_check(t->c[i]));
}

static void
switch_policy(struct world *t)
{
	remember(t);
	send_policy(t);
	settle(t);
}

/* What a stream was told since: messages, peers, filters. */
static void
told(struct world *t, unsigned int node, unsigned int messages,
    unsigned int changed, unsigned int removed, unsigned int filters)
{
	const struct mapview_count *m = mapview_count(t->c[node]->view);
	const struct mapview_count *w = &t->was[node];

	if (m->messages - w->messages != messages ||
	    m->changed - w->changed != changed ||
	    m->removed - w->removed != removed ||
	    m->filters - w->filters != filters || m->full != w->full)
		fail_msg("node %u: %u messages, %u changed, %u removed, "
		    "%u filters, %u full", node, m->messages - w->messages,
		    m->changed - w->changed, m->removed - w->removed,
		    m->filters - w->filters, m->full - w->full);
}

static void
quiet(struct world *t, unsigned int node)
{
	told(t, node, 0, 0, 0, 0);
}

static void
t_only_those(void **state)
{
	struct world t;

	(void)state;
	start(&t);
	/* User 3 may reach t0, too: nobody else hears of it. */
	first(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_U3, -1), PK_T0, 0);
	switch_policy(&t);
	told(&t, 3, 1, 1, 0, 0);
	told(&t, 4, 1, 1, 0, 1);
	quiet(&t, 1);
	quiet(&t, 2);
	quiet(&t, 5);
	quiet(&t, 6);
	/* And no more. */
	first(&t.kit);
	switch_policy(&t);
	told(&t, 3, 1, 0, 1, 0);
	told(&t, 4, 1, 0, 1, 1);
	quiet(&t, 1);
	quiet(&t, 2);
	quiet(&t, 5);
	/* The same again is nothing at all. */
	switch_policy(&t);
	quiet(&t, 4);
	quiet(&t, 1);
	stop(&t);
}

/* Some peers go, others come: one message. */
static void
t_swap(void **state)
{
	const char *text;
	struct world t;

	(void)state;
	start(&t);
	pk_init(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_U1, -1), PK_T1, 0);
	pk_row(&t.kit, pk_src(&t.kit, PK_U2, -1), PK_T0, 0);
	switch_policy(&t);
	told(&t, 1, 1, 1, 1, 0);
	told(&t, 2, 1, 1, 1, 0);
	told(&t, 4, 1, 1, 1, 1);
	told(&t, 5, 1, 1, 1, 1);
	text = mapview_text(t.c[4]->view);
	assert_non_null(strstr(text, "{\"PacketFilters\":{"));
	assert_non_null(strstr(text, ",\"PeersRemoved\":[1],"
	    "\"PeersChanged\":[{\"ID\":2,"));
	assert_non_null(strstr(text, "\"UserProfiles\":[{\"ID\":2,"));
	stop(&t);
}

/* From everybody to nobody and back: no full maps. */
static void
t_builtin(void **state)
{
	struct world t;
	unsigned int i;

	(void)state;
	start(&t);
	remember(&t);
	assert_int_equal(feed_tailnet(t.w->tn, "default", 1), 0);
	tnw_batch(t.w);
	settle(&t);
	for (i = 1; i <= NODES; i++)
		told(&t, i, 1, i == 3 || i == 6 ? 5 : 4, 0, 1);
	remember(&t);
	assert_int_equal(feed_tailnet(t.w->tn, "default", 0), 0);
	tnw_batch(t.w);
	settle(&t);
	for (i = 1; i <= NODES; i++)
		told(&t, i, 1, 0, 5, 1);
	stop(&t);
}

/* Two policies before anybody is served: still one message. */
static void
t_two_at_once(void **state)
{
	struct world t;

	(void)state;
	start(&t);
	remember(&t);
	pk_init(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_TAILNET, -1), PK_ANY, 0);
	send_policy(&t);
	first(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_U3, -1), PK_T0, 0);
	send_policy(&t);
	settle(&t);
	told(&t, 3, 1, 1, 0, 0);
	told(&t, 4, 1, 1, 0, 1);
	quiet(&t, 1);
	quiet(&t, 6);
	stop(&t);
}

/* A slow stream misses policies, and moves between and within them. */
static void
t_slow(void **state)
{
	struct fnode f = fnode(4);
	struct world t;
	unsigned int i;

	(void)state;
	start(&t);
	t.c[1]->slow = true;
	f.endpoint = 77;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	assert_null(tnw_settle(t.w));	/* it holds something now */
	for (i = 0; i < 6; i++) {
		/* t0, t1, t2 and so on: seen, not seen, seen. */
		f.tag_from = i % 3;
		assert_int_equal(feed_node(t.w->tn, &f), 0);
		tnw_batch(t.w);
		if (i % 2 == 0) {
			first(&t.kit);
			pk_row(&t.kit, pk_src(&t.kit, PK_U1, -1),
			    PK_T0 + i / 2, 0);
			send_policy(&t);
		}
		fakeenv_advance(t.w->fake, US_PER_S);
	}
	remember(&t);
	t.c[1]->slow = false;
	settle(&t);
	/* What it held, and one more for all of it. */
	assert_int_equal(mapview_count(t.c[1]->view)->messages,
	    t.was[1].messages + 2);
	assert_int_equal(mapview_count(t.c[1]->view)->full, t.was[1].full);
	stop(&t);
}

/* What is kept of old policies goes when all have been told of the new. */
static void
t_settles(void **state)
{
	struct replica *r;
	struct world t;

	(void)state;
	start(&t);
	r = idmap_get(&t.w->tn->by_id, FEED_TAILNET);
	t.c[1]->slow = true;
	pk_init(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_TAILNET, -1), PK_ANY, 0);
	switch_policy(&t);
	fakeenv_advance(t.w->fake, US_PER_S);
	assert_non_null(r->old_rules);
	assert_int_equal(r->nmoves, NODES);
	t.c[1]->slow = false;
	settle(&t);
	fakeenv_advance(t.w->fake, US_PER_S);
	assert_null(r->old_rules);
	assert_int_equal(r->nmoves, 0);
	assert_int_equal(r->ntransits, 0);
	settle(&t);
	stop(&t);
}

/* The order of a batch does not matter; halves of a policy do. */
static void
t_parts(void **state)
{
	struct buf blob = { 0 };
	struct world t;
	struct msg m;

	(void)state;
	start(&t);
	quiet_log();
	pol_save(&blob, &t.kit.pol);
	msg_init(&m, M_DB_POLICY_PART);
	m.u.db_policy_part.tailnet = FEED_TAILNET;
	m.u.db_policy_part.size = blob.n;
	m.u.db_policy_part.octets = slice_mem(blob.p, blob.n - 1);
	assert_int_equal(tailnets_apply(t.w->tn, &m), 0);
	assert_int_equal(feed_batch(t.w->tn, ++t.w->seq), -1);
	/* One that comes before its turn. */
	m.u.db_policy_part.at = 7;
	m.u.db_policy_part.octets = slice_mem(blob.p + 7, blob.n - 7);
	assert_int_equal(tailnets_apply(t.w->tn, &m), 0);
	assert_int_equal(feed_batch(t.w->tn, ++t.w->seq), -1);
	/* The one that was in force still is. */
	settle(&t);
	assert_int_equal(mapview_peers(t.c[1]->view), 1);
	log_capture(NULL, NULL);
	buf_free(&blob);
	stop(&t);
}

/* A blob that is none: nobody reaches anybody, and it is dbd's fault. */
static void
t_bad(void **state)
{
	struct world t;
	unsigned int i;

	(void)state;
	start(&t);
	quiet_log();
	assert_int_equal(tailnets_policy(t.w->tn, FEED_TAILNET, "rubbish",
	    7), 0);
	assert_int_equal(feed_batch(t.w->tn, ++t.w->seq), -1);
	settle(&t);
	for (i = 1; i <= NODES; i++)
		assert_int_equal(mapview_peers(t.c[i]->view), 0);
	assert_int_equal(tailnets_policy(t.w->tn, FEED_TAILNET, "", 0), -1);
	log_capture(NULL, NULL);
	stop(&t);
}

/* Told to wait for a compiled policy that never comes: deny all. */
static void
t_none(void **state)
{
	struct tnworld *w = tnw_new(1);
	struct buf b = { 0 };
	struct replica *r;

	(void)state;
	quiet_log();
	snap_tailnet(&b, "default", 2);
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	r = idmap_get(&w->tn->by_id, FEED_TAILNET);
	assert_int_equal(r->rules->pol->nrows, 0);
	buf_clear(&b);
	snap_tailnet(&b, "default", 3);
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n),
	    -1);
	log_capture(NULL, NULL);
	buf_free(&b);
	tnw_free(w);
}

/* autogroup:self: a new device is told to its owner's others alone. */
static void
t_self(void **state)
{
	struct fnode f;
	struct world t;

	(void)state;
	start(&t);
	first(&t.kit);
	pk_row(&t.kit, pk_src(&t.kit, PK_MEMBER, -1), PK_ANY, POL_ROW_SELF);
	send_policy(&t);
	settle(&t);
	remember(&t);
	fnode_init(&f, 7, 3);
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	settle(&t);
	told(&t, 3, 1, 1, 0, 1);
	quiet(&t, 1);
	quiet(&t, 2);
	/* It goes to user 2, whose filter for t1 that is, too. */
	remember(&t);
	f.user = 2;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	settle(&t);
	/* Its removal goes first: what it was called may be another's now. */
	told(&t, 3, 2, 0, 1, 1);
	told(&t, 2, 1, 1, 0, 1);
	told(&t, 5, 1, 1, 0, 1);
	quiet(&t, 1);
	quiet(&t, 4);
	stop(&t);
}

/* What a node may do, by its attributes and its owner's role. */
static void
t_caps(void **state)
{
	struct fuser u = { 1, "u1", USER_OWNER };
	struct json_object *caps;
	struct world t;

	(void)state;
	start(&t);
	first(&t.kit);
	pk_attr(&t.kit, pk_src(&t.kit, PK_U2, -1), false);
	switch_policy(&t);
	told(&t, 2, 1, 0, 0, 0);
	assert_int_equal(mapview_count(t.c[2]->view)->self,
	    t.was[2].self + 1);
	quiet(&t, 1);
	caps = json_object_object_get(mapview_self(t.c[2]->view), "CapMap");
	assert_true(json_object_object_get_ex(caps, "funnel", NULL));
	remember(&t);
	assert_int_equal(feed_user(t.w->tn, &u), 0);
	tnw_batch(t.w);
	settle(&t);
	caps = json_object_object_get(mapview_self(t.c[1]->view), "CapMap");
	assert_true(json_object_object_get_ex(caps,
	    "https://tailscale.com/cap/is-owner", NULL));
	assert_true(json_object_object_get_ex(caps,
	    "https://tailscale.com/cap/is-admin", NULL));
	told(&t, 1, 1, 0, 0, 0);
	quiet(&t, 2);
	stop(&t);
}

static void
add_ssh(struct rulekit *k, const uint32_t *dst, bool locals)
{
	static const struct pol_local local[] = { { 1, { "\"ann\"", 5 } } };
	struct pol_ssh *s = &k->ssh[k->pol.nsshs++];

	memset(s, 0, sizeof(*s));
	s->src = pk_src(k, PK_TAGGED, -1);
	s->dst = dst;
	s->ndst = 1;
	s->locals = locals;
	s->local = local;
	s->nlocals = locals ? 1 : 0;
	s->users = slice_str("{\"root\":\"root\"}");
	s->prov.section = POL_SSH;
	s->prov.line = 1;
}

static unsigned int
times(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* A tagged node that enters itself has another address (11.4.5). */
static void
t_ssh_address(void **state)
{
	static const uint32_t to[] = { PK_MEMBER };
	struct fnode f = fnode(4);
	struct world t;

	(void)state;
	start(&t);
	first(&t.kit);
	add_ssh(&t.kit, to, true);
	switch_policy(&t);
	assert_int_equal(times(mapview_text(t.c[4]->view),
	    "{\"nodeIP\":\"100.64.0.4\"}"), 1);
	f.addr = 77;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	/* Against a fresh map. */
	settle(&t);
	assert_int_equal(times(mapview_text(t.c[4]->view),
	    "{\"nodeIP\":\"100.64.0.77\"}"), 1);
	/* One that has no SSH rules of its own is not told of any. */
	f = fnode(1);
	f.addr = 78;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	settle(&t);
	assert_non_null(strstr(mapview_text(t.c[1]->view), "PacketFilters"));
	assert_null(strstr(mapview_text(t.c[1]->view), "SSHPolicy"));
	stop(&t);
}

/*
 * A tag that the policy does not name, and the node is of the same class; but
 * by autogroup:tagged it comes once for each of its tags (11.4.6).
 */
static void
t_ssh_tags(void **state)
{
	static const uint32_t to[] = { PK_T0 };
	struct fnode f = fnode(6);
	const struct class *c;
	struct replica *r;
	struct world t;
	unsigned int n;

	(void)state;
	start(&t);
	first(&t.kit);
	add_ssh(&t.kit, to, false);
	f.tag_from = 6;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	switch_policy(&t);
	r = idmap_get(&t.w->tn->by_id, FEED_TAILNET);
	c = ((struct node *)idmap_get(&r->nodes, 6))->class;
	for (n = 3; n > 0; n--) {
		remember(&t);
		f.tags = n;
		assert_int_equal(feed_node(t.w->tn, &f), 0);
		tnw_batch(t.w);
		settle(&t);
		assert_ptr_equal(((struct node *)idmap_get(&r->nodes,
		    6))->class, c);
		assert_int_equal(mapview_count(t.c[4]->view)->messages,
		    t.was[4].messages + 1);
		assert_non_null(strstr(mapview_text(t.c[4]->view),
		    "SSHPolicy"));
		assert_int_equal(times(mapview_text(t.c[4]->view),
		    "\"100.64.0.6\""), n);
	}
	stop(&t);
}

/* The same of the node itself, which enters itself. */
static void
t_ssh_own_tags(void **state)
{
	static const uint32_t to[] = { PK_MEMBER };
	struct fnode f = fnode(6);
	struct world t;

	(void)state;
	start(&t);
	first(&t.kit);
	add_ssh(&t.kit, to, true);
	f.tag_from = 6;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	switch_policy(&t);
	f.tags = 2;
	assert_int_equal(feed_node(t.w->tn, &f), 0);
	tnw_batch(t.w);
	settle(&t);
	assert_int_equal(times(mapview_text(t.c[6]->view),
	    "\"100.64.0.6\""), 2);
	stop(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_only_those),
		cmocka_unit_test(t_swap),
		cmocka_unit_test(t_builtin),
		cmocka_unit_test(t_two_at_once),
		cmocka_unit_test(t_slow),
		cmocka_unit_test(t_settles),
		cmocka_unit_test(t_parts),
		cmocka_unit_test(t_bad),
		cmocka_unit_test(t_none),
		cmocka_unit_test(t_self),
		cmocka_unit_test(t_caps),
		cmocka_unit_test(t_ssh_address),
		cmocka_unit_test(t_ssh_tags),
		cmocka_unit_test(t_ssh_own_tags)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
