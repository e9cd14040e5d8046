/*
 * Every view equals the truth: random changes, streams that come, go and are
 * slow, and what a stock client would know after each step.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/rulesay.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns.h"

#define NODES		160
#define USERS		24
#define SEEDS		60
#define STEPS		160

struct truth {
	struct tnworld	*w;
	struct fnode	 node[NODES];
	bool		 there[NODES];
	struct fuser	 user[USERS];
	unsigned int	 nusers;
	unsigned int	 nodes;		/* wanted */
	uint64_t	 next_id;
	uint64_t	 next_user;
	uint32_t	 seed;		/* of keys and the like */
	unsigned int	 policy;
	struct rulekit	 kit;		/* policy 2 */
	struct fnode	 gone;		/* the last that was removed */
	bool		 open;		/* a batch has begun */
	bool		 routers;	/* most nodes are */
	const struct fnode *said[NODES];	/* those that are there */
	unsigned int	 nsaid;
	struct rulesay	*say;
};

static unsigned int
pick(struct truth *t, unsigned int n)
{
	return env_uniform(t->w->env, n);
}

static void
change(struct truth *t)
{
	t->open = true;
}

static void
put(struct truth *t, struct fnode *f)
{
	change(t);
	assert_int_equal(feed_node(t->w->tn, f), 0);
}

static void
close_batch(struct truth *t)
{
	if (t->open)
		tnw_batch(t->w);
	t->open = false;
}

static void
add_user(struct truth *t)
{
	struct fuser *u = &t->user[t->nusers];

	if (t->nusers == USERS)
		return;
	t->nusers++;
	u->id = ++t->next_user;
	(void)snprintf(u->name, sizeof(u->name), "user%u@example.com",
	    (unsigned int)u->id);
	change(t);
	assert_int_equal(feed_user(t->w->tn, u), 0);
}

static void
rename_user(struct truth *t)
{
	struct fuser *u = &t->user[pick(t, t->nusers)];

	(void)snprintf(u->name, sizeof(u->name), "user%u.%u@example.com",
	    (unsigned int)u->id, ++t->seed);
	change(t);
	assert_int_equal(feed_user(t->w->tn, u), 0);
}

/* A free place, or -1. */
static int
free_place(struct truth *t)
{
	unsigned int i;

	for (i = 0; i < t->nodes; i++)
		if (!t->there[i])
			return (int)i;
	return -1;
}

/* An owner, or 0 for a tagged node. */
static uint64_t
owner(struct truth *t)
{
	unsigned int k = pick(t, t->nusers + 1);

	return k == 0 ? 0 : t->user[k - 1].id;
}

/* A subnet of its own, or one that others carry, too. */
static void
carry(struct truth *t, struct fnode *f)
{
	f->subnet = pick(t, 5) == 0 ? 0 :
	    1 + pick(t, t->routers ? t->nodes / 4 : 6);
	f->standby = pick(t, 3) == 0;
}

static void
add_node(struct truth *t)
{
	struct fnode *f;
	int k = free_place(t);

	if (k == -1)
		return;
	f = &t->node[k];
	fnode_init(f, ++t->next_id, owner(t));
	if (f->user == 0)
		f->tags = 1 + pick(t, 3);
	f->tag_from = pick(t, 4);
	f->published = pick(t, 3) != 0;
	f->online = f->published && pick(t, 2) != 0;
	/* A router of some of the tailnet itself. */
	if (pick(t, 20) == 0)
		f->advertised = f->approved = 8;
	if (pick(t, t->routers ? 2 : 15) == 0)
		carry(t, f);
	/* Freed name, address and key go to somebody else at once. */
	if (t->gone.id != 0 && pick(t, 2) == 0) {
		memcpy(f->name, t->gone.name, sizeof(f->name));
		f->addr = t->gone.addr;
		f->key = t->gone.key;
		t->gone.id = 0;
	}
	t->there[k] = true;
	put(t, f);
}

/* Any node that is there, or NULL. */
static struct fnode *
any(struct truth *t)
{
	unsigned int i, k;

	k = pick(t, t->nodes);
	for (i = 0; i < t->nodes; i++, k = (k + 1) % t->nodes)
		if (t->there[k])
			return &t->node[k];
	return NULL;
}

static void
remove_node(struct truth *t)
{
	struct fnode *f;

	if ((f = any(t)) == NULL)
		return;
	t->there[f - t->node] = false;
	t->gone = *f;
	change(t);
	assert_int_equal(feed_node_del(t->w->tn, f->id), 0);
}

static void
patch_node(struct truth *t, struct fnode *f)
{
	switch (pick(t, 8)) {
	case 0:
		f->nendpoints = pick(t, 5);
		f->endpoint = ++t->seed;
		break;
	case 1:
		f->disco = ++t->seed;
		break;
	case 2:
		f->derp = pick(t, 4) == 0 ? 0 : (uint16_t)(900 + pick(t, 9));
		break;
	case 3:
		f->capver = pick(t, 9) == 0 ? 0 :
		    (uint16_t)(113 + pick(t, 36));
		break;
	case 4:
		f->expiry = pick(t, 3) == 0 ? 0 :
		    FAKEENV_WALL - 50 + (int64_t)pick(t, 300);
		break;
	case 5:
		f->key = ++t->seed;
		break;
	case 6:
		f->online = !f->online;
		f->last_seen = env_wall(t->w->env) - (int64_t)pick(t, 10);
		break;
	default:
		break;		/* sent again as it is */
	}
}

static void
alter_node(struct truth *t, struct fnode *f)
{
	switch (pick(t, 8)) {
	case 0:
		(void)snprintf(f->name, sizeof(f->name), "named-%u",
		    ++t->seed);
		break;
	case 1:
		f->user = owner(t);
		f->tags = f->user == 0;
		break;
	case 2:
		f->tags = f->user == 0 ? 1 + pick(t, 4) : 0;
		f->tag_from = pick(t, 3);
		break;
	case 3:
		f->approved = pick(t, 16) & (pick(t, 3) == 0 ? 15 : 7);
		f->advertised = pick(t, 16);
		f->primary = pick(t, 8);
		if (pick(t, 2) == 0)
			carry(t, f);
		break;
	case 4:
		(void)snprintf(f->os, sizeof(f->os), "os%u", pick(t, 5));
		break;
	case 5:
		f->peerapi = (uint16_t)pick(t, 3);
		break;
	case 6:
		f->published = pick(t, 5) != 0;
		break;
	default:
		/* Away and back again within a batch. */
		(void)snprintf(f->os, sizeof(f->os), "plan9");
		put(t, f);
		(void)snprintf(f->os, sizeof(f->os), "linux");
		break;
	}
}

static void
change_node(struct truth *t)
{
	struct fnode *f;

	if ((f = any(t)) == NULL)
		return;
	if (pick(t, 3) != 0)
		patch_node(t, f);
	else
		alter_node(t, f);
	put(t, f);
}

/* Much at once: messages of several frames. */
static void
change_all(struct truth *t)
{
	unsigned int i, how = pick(t, 4);

	for (i = 0; i < t->nodes; i++) {
		if (!t->there[i] || pick(t, 20) == 0)
			continue;
		if (how == 0)
			(void)snprintf(t->node[i].os, sizeof(t->node[i].os),
			    "os%u", pick(t, 5));
		else if (how == 1)
			t->node[i].endpoint = ++t->seed;
		else
			patch_node(t, &t->node[i]);
		put(t, &t->node[i]);
	}
}

static void
flip_online(struct truth *t)
{
	struct fnode *f;

	if ((f = any(t)) == NULL)
		return;
	f->online = !f->online;
	f->last_seen = env_wall(t->w->env);
	assert_int_equal(feed_online(t->w->tn, f->id, f->online,
	    f->last_seen), 0);
	/* With the batch, if one is open. */
}

/* Everybody's presence at once, as after dbd's resume window. */
static void
online_map(struct truth *t)
{
	uint8_t bits[64] = { 0 };
	uint64_t k, base = 1 + pick(t, 20);
	int64_t now = env_wall(t->w->env);
	unsigned int i;

	for (i = 0; i < t->nodes; i++) {
		if (!t->there[i] || t->node[i].id < base)
			continue;
		k = t->node[i].id - base;
		if (k >= 8 * sizeof(bits))
			continue;
		if (pick(t, 4) == 0) {
			t->node[i].online = !t->node[i].online;
			t->node[i].last_seen = now;
		}
		bits[k / 8] |= (uint8_t)(t->node[i].online << k % 8);
	}
	assert_int_equal(feed_online_map(t->w->tn, base, bits, sizeof(bits),
	    now), 0);
}

static void
del_user(struct truth *t)
{
	unsigned int i;

	if (t->nusers < 2)
		return;
	for (i = 0; i < t->nodes; i++)
		if (t->there[i] &&
		    t->node[i].user == t->user[t->nusers - 1].id)
			return;
	change(t);
	assert_int_equal(feed_user_del(t->w->tn, t->user[--t->nusers].id), 0);
}

/* A snapshot with changes that nobody told of. */
static void
snapshot(struct truth *t)
{
	struct buf b = { 0 };
	struct fnode *f;
	unsigned int i;

	for (i = pick(t, 6); i > 0; i--) {
		if ((f = any(t)) == NULL)
			break;
		if (pick(t, 3) == 0)
			t->there[f - t->node] = false;
		else
			patch_node(t, f);
	}
	snap_tailnet(&b, "default", t->policy);
	if (t->policy == 2)
		snap_policy(&b, &t->kit.pol, 1 + pick(t, 60000));
	for (i = 0; i < t->nodes; i++)
		if (t->there[i])
			snap_node(&b, &t->node[i]);
	for (i = 0; i < t->nusers; i++)
		snap_user(&b, &t->user[i]);
	snap_batch(&b, ++t->w->seq);
	assert_int_equal(tailnets_snapshot(t->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	t->gone.id = 0;
	t->open = false;
}

static void
open_stream(struct truth *t)
{
	struct client *c;
	struct fnode *f;

	close_batch(t);
	if ((f = any(t)) == NULL)
		return;
	c = tnw_open(t->w, f->id, f->key, pick(t, 6) != 0, pick(t, 12) == 0);
	if (c != NULL)
		c->slow = pick(t, 4) == 0;
}

static void
set_policy(struct truth *t)
{
	/* Never two in a batch: dbd compiles one at a time. */
	close_batch(t);
	t->policy = pick(t, 8);
	change(t);
	if (t->policy >= 2) {
		t->policy = 2;
		pk_free(&t->kit);
		pk_random(&t->kit, t->w->env);
		assert_int_equal(feed_policy(t->w->tn, &t->kit.pol,
		    pick(t, 2) == 0 ? 0 : 1000), 0);
	}
	assert_int_equal(feed_tailnet(t->w->tn, "default", t->policy), 0);
}

/* What the policy says of the nodes as they are now (rulesay.h). */
static void
say(struct truth *t)
{
	unsigned int i;

	t->nsaid = 0;
	for (i = 0; i < t->nodes; i++)
		if (t->there[i])
			t->said[t->nsaid++] = &t->node[i];
	if (t->policy != 2) {
		pk_free(&t->kit);
		pk_init(&t->kit);
	}
	t->say = rulesay_new(&t->kit, t->said, t->nsaid);
}

static unsigned int
place_of(struct truth *t, uint64_t id)
{
	unsigned int i;

	for (i = 0; i < t->nsaid; i++)
		if (t->said[i]->id == id)
			return i;
	fail_msg("node %u is not there", (unsigned int)id);
	return 0;
}

static bool
visible(struct truth *t, unsigned int a, unsigned int b)
{
	return t->policy == 2 ? rulesay_peers(t->say, a, b) : t->policy == 1;
}

static bool
shows(struct truth *t, unsigned int a, unsigned int b, unsigned int k)
{
	const struct say_route *r = rulesay_route(t->say, b, k);

	return t->policy == 2 ? rulesay_shows(t->say, a, b, k) :
	    r->primary || r->exit;
}

static void
configure(struct truth *t)
{
	static const char one[] = "{\"Regions\":{\"900\":{\"RegionID\":900,"
	    "\"Nodes\":[{\"Name\":\"a\",\"RegionID\":900,\"HostName\":"
	    "\"derp.example\"}]}}}";
	static const char two[] = "{\"Regions\":{\"901\":{\"RegionID\":901,"
	    "\"Nodes\":[{\"Name\":\"b\",\"RegionID\":901,\"HostName\":"
	    "\"derp2.example\"}]}}}";
	static const char rec[] = "[{\"name\":\"x.example\",\"type\":\"A\","
	    "\"value\":\"192.0.2.1\"}]";
	const char *map = pick(t, 2) == 0 ? one : two;
	char why[200], search[32];

	switch (pick(t, 5)) {
	case 0:
		(void)snprintf(search, sizeof(search), "s%u.example",
		    pick(t, 4));
		tnw_conf(t->w, "ts.example", search, pick(t, 2) == 0);
		break;
	case 1:
		tnw_conf(t->w, pick(t, 2) == 0 ? "ts.example" : "tt.example",
		    "corp.example", true);
		break;
	case 2:
		tailnets_derpmap(t->w->tn, derpmap_parse(map, strlen(map),
		    "map", why, sizeof(why)));
		break;
	case 3:
		tailnets_records(t->w->tn, pick(t, 2) == 0 ? NULL :
		    records_parse(rec, strlen(rec), "rec", why, sizeof(why)));
		break;
	default:
		set_policy(t);
		break;
	}
}

static size_t
length(struct json_object *o, const char *name)
{
	struct json_object *l = json_object_object_get(o, name);

	return l == NULL ? 0 : json_object_array_length(l);
}

/* Routes of the peer: those that the viewer is shown, and no others. */
static void
check_routes(struct truth *t, unsigned int me, unsigned int at,
    struct json_object *p)
{
	size_t allowed = length(p, "Addresses"), primary = 0;
	const struct say_route *r;
	unsigned int k;
	bool want;

	for (k = 0; (r = rulesay_route(t->say, at, k)) != NULL; k++) {
		want = shows(t, me, at, k);
		allowed += want;
		primary += want && !r->exit;
		if (mapview_lists(p, "AllowedIPs", r->text) != want ||
		    mapview_lists(p, "PrimaryRoutes", r->text) !=
		    (want && !r->exit))
			fail_msg("%s of node %u to node %u: %s", r->text,
			    (unsigned int)t->said[at]->id,
			    (unsigned int)t->said[me]->id,
			    want ? "missing" : "too many");
	}
	assert_int_equal(length(p, "AllowedIPs"), allowed);
	assert_int_equal(length(p, "PrimaryRoutes"), primary);
}

static void
check_ids(struct truth *t, struct client *c)
{
	unsigned int i, want = 0, me = place_of(t, c->conf.node);
	const struct fnode *f;
	struct json_object *p;

	for (i = 0; i < t->nsaid; i++) {
		f = t->said[i];
		if (!f->published || i == me || c->conf.omit_peers ||
		    !visible(t, me, i))
			continue;
		want++;
		p = mapview_peer(c->view, f->id);
		assert_non_null(p);
		assert_int_equal(json_object_get_boolean(
		    json_object_object_get(p, "Online")), f->online);
		assert_int_equal(json_object_get_int(
		    json_object_object_get(p, "HomeDERP")), f->derp);
		assert_int_equal(length(p, "Endpoints"), f->nendpoints);
		check_routes(t, me, i, p);
	}
	assert_int_equal(mapview_peers(c->view), want);
}

static void
must(struct truth *t, const char *why, uint64_t seed, unsigned int step)
{
	(void)t;
	if (why != NULL)
		fail_msg("seed %u step %u: %s", (unsigned int)seed, step, why);
}

/* A node key expired after a time: that is told. */
static bool
expired_since(struct truth *t, int64_t then)
{
	unsigned int i;

	for (i = 0; i < t->nodes; i++)
		if (t->there[i] && t->node[i].expiry >= then &&
		    t->node[i].expiry <= env_wall(t->w->env))
			return true;
	return false;
}

/* All clients, slow ones too if all is true, know the truth. */
static void
verify(struct truth *t, uint64_t seed, unsigned int step, bool all)
{
	struct client *c;
	unsigned int i, outs[TNW_STREAMS], alive[TNW_STREAMS];
	int64_t then;

	close_batch(t);
	for (i = 0; all && i < TNW_STREAMS; i++)
		t->w->client[i].slow = false;
	must(t, tnw_settle(t->w), seed, step);
	then = env_wall(t->w->env);
	say(t);
	for (i = 0; i < TNW_STREAMS; i++) {
		c = &t->w->client[i];
		outs[i] = c->outs;
		alive[i] = c->stream != NULL;
		if (c->stream == NULL || c->slow)
			continue;
		must(t, tnw_check(c), seed, step);
		check_ids(t, c);
	}
	rulesay_free(t->say);
	/* One-shot maps of others change nothing for streams. */
	must(t, tnw_settle(t->w), seed, step);
	for (i = 0; i < TNW_STREAMS; i++) {
		c = &t->w->client[i];
		if (alive[i] && c->stream != NULL && !c->slow &&
		    !expired_since(t, then) &&
		    mapview_count(c->view)->keepalives == 0)
			assert_int_equal(c->outs, outs[i]);
	}
}

static void
step(struct truth *t)
{
	struct client *c = &t->w->client[pick(t, TNW_STREAMS)];
	unsigned int n;

	switch (n = pick(t, 40)) {
	case 0: case 1: case 2: case 3: case 4: case 5:
		add_node(t);
		break;
	case 6: case 7: case 8:
		remove_node(t);
		break;
	case 9: case 10: case 11: case 12: case 13: case 14: case 15:
	case 16: case 17: case 18: case 19: case 20:
		change_node(t);
		break;
	case 21: case 22: case 23:
		flip_online(t);
		break;
	case 24:
		add_user(t);
		break;
	case 25:
		rename_user(t);
		break;
	case 26: case 27: case 28:
		open_stream(t);
		break;
	case 29:
		tnw_close(c);
		break;
	case 30: case 31: case 32: case 33:
		tnw_take(c);
		break;
	case 34:
		if (pick(t, 3) == 0)
			snapshot(t);
		break;
	case 35:
		configure(t);
		break;
	case 38:
		if (pick(t, 2) == 0)
			set_policy(t);
		break;
	case 37:
		if (pick(t, 4) == 0)
			change_all(t);
		else if (pick(t, 3) == 0)
			online_map(t);
		else if (pick(t, 2) == 0)
			del_user(t);
		break;
	case 36:
		fakeenv_advance(t->w->fake, pick(t, 90) * US_PER_S);
		break;
	default:
		fakeenv_advance(t->w->fake, pick(t, 200) * US_PER_MS);
		break;
	}
	if (pick(t, 3) == 0)
		close_batch(t);
}

static void
run(uint64_t seed)
{
	struct truth *t;
	unsigned int i, k;

	t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->w = tnw_new(seed);
	t->w->sync = seed % 7 == 3;
	t->policy = 1;
	t->routers = seed % 5 == 1;
	/* A few, some chunks, many. */
	t->nodes = seed % 3 == 0 ? 12 : seed % 3 == 1 ? 60 : NODES;
	t->nusers = 0;
	snapshot(t);
	for (i = 0; i < 4 + seed % 3 * 8; i++)
		add_user(t);
	for (i = 0; i < t->nodes / 2; i++)
		add_node(t);
	close_batch(t);
	for (k = 0; k < STEPS; k++) {
		step(t);
		must(t, t->w->why, seed, k);
		if (pick(t, 8) == 0)
			verify(t, seed, k, pick(t, 4) == 0);
	}
	verify(t, seed, k, true);
	tnw_free(t->w);
	pk_free(&t->kit);
	free(t);
	assert_int_equal(frame_bytes(), 0);
}

static void
t_random(void **state)
{
	const char *one = getenv("SEED");
	uint64_t seed;

	(void)state;
	if (one != NULL) {
		run((uint64_t)strtoul(one, NULL, 10));
		return;
	}
	for (seed = 1; seed <= SEEDS; seed++)
		run(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_random)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
