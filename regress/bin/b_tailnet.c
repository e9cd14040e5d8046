/*
 * What maps cost, without sockets: b_tailnet [NODES [STREAMS]].
 * One line a figure; times are CPU time of this thread.
 *
 *	b_tailnet -p [NODES ...]
 *
 * Policies alone, as rows of a table; 1 if a figure misses its limit, which for
 * times holds where CAL (in the environment) is 120.
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "regress/lib/rulekit.h"
#include "worker/tailnet/tailnets_int.h"

#define USERS	50
#define LEAST	1600	/* nodes that updates() changes */
#define FRESH	1000	/* new nodes of policy_rows() */

static struct {
	struct env	*env;
	struct tailnets	*tn;
	uint64_t	 outs;
	uint64_t	 octets;
	uint64_t	 seq;
	struct stream	**busy;
	size_t		 nbusy;
	uint64_t	 skew;		/* added to the clock */
	bool		 varied;	/* nodes are unlike */
	bool		 quiet;		/* rows of a table alone */
} b;

static uint64_t
cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t
b_now(void *arg)
{
	(void)arg;
	return US_PER_S + b.skew + cpu_us();
}

static int64_t
b_wall(void *arg)
{
	(void)arg;
	return 1790000000LL * (int64_t)US_PER_S;
}

static void
b_random(void *arg, void *p, size_t n)
{
	static uint8_t v;
	uint8_t *to = p;

	(void)arg;
	while (n-- > 0)
		*to++ = v += 37;
}

static void
b_end(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	fprintf(stderr, "%s\n", why);
	exit(1);
}

static const struct env_ops b_ops = { b_now, b_wall, b_random, b_end };

static void
on_out(struct stream *s, struct frame *const *f, size_t n, bool first,
    void *arg)
{
	size_t i;

	(void)first;
	(void)arg;
	for (i = 0; i < n; i++)
		b.octets += f[i]->len;
	b.outs++;
	b.busy[b.nbusy++] = s;
}

static void
on_over(struct stream *s, void *arg)
{
	(void)s;
	(void)arg;
	abort();
}

/* All that is to be done now and after the longest tick. */
static void
run(void)
{
	unsigned int idle = 0;
	size_t i;

	while (idle < 3) {
		env_run(b.env);
		for (i = 0; i < b.nbusy; i++)
			stream_drained(b.busy[i]);
		idle = b.nbusy != 0 ? 0 : idle + 1;
		b.nbusy = 0;
		if (env_next(b.env) > b_now(NULL))
			b.skew += 510 * US_PER_MS;
	}
}

static size_t
heap(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* Under a policy one of three nodes is tagged, and some have routes. */
static void
vary(struct fnode *f, unsigned int i)
{
	if (i % 3 == 0) {
		f->user = 0;
		f->tags = 1;
		f->tag_from = i / 3 % 6;
	}
	if (i % 1000 == 500) {
		f->advertised = f->approved = 7;
		f->primary = i == 500 ? 6 : 0;
	}
}

static void
put(uint64_t id, uint32_t seed)
{
	struct fnode f;

	fnode_init(&f, id, 1 + id % USERS);
	f.online = true;
	f.endpoint = seed;
	if (b.varied)
		vary(&f, (unsigned int)id);
	if (feed_node(b.tn, &f) == -1 || feed_batch(b.tn, ++b.seq) == -1)
		abort();
}

/* pol NULL: everything is allowed. */
static void
load(unsigned int n, const struct pol *pol)
{
	struct buf s = { 0 };
	struct fuser u = { 0 };
	struct fnode f;
	unsigned int i;
	uint64_t t0;
	size_t m0;

	snap_tailnet(&s, "default", pol == NULL ? 1 : 2);
	if (pol != NULL)
		snap_policy(&s, pol, 60000);
	for (i = 1; i <= USERS; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "user%u@example.com",
		    i);
		snap_user(&s, &u);
	}
	for (i = 1; i <= n; i++) {
		fnode_init(&f, i, 1 + i % USERS);
		f.online = true;
		if (pol != NULL)
			vary(&f, i);
		snap_node(&s, &f);
	}
	snap_batch(&s, ++b.seq);
	m0 = heap();
	t0 = cpu_us();
	if (tailnets_snapshot(b.tn, FEED_TAILNET, s.p, s.n) == -1)
		abort();
	if (!b.quiet)
		printf("snapshot of %u nodes: %.2f us each, %.0f octets of "
		    "memory each\n", n, (double)(cpu_us() - t0) / n,
		    (double)(heap() - m0) / n);
	buf_free(&s);
}

static struct stream *
open_one(uint64_t id)
{
	struct stream_conf sc = { .tailnet = FEED_TAILNET, .node = id,
	    .capver = 148, .compress = true };
	struct stream *s;

	if ((s = stream_open(b.tn, &sc, NULL)) == NULL)
		abort();
	return s;
}

static void
join(unsigned int nodes, unsigned int streams)
{
	uint64_t t0, o0;
	unsigned int i;
	size_t m0 = heap();

	t0 = cpu_us();
	(void)open_one(1);
	run();
	if (!b.quiet)
		printf("first map, all chunks cold: %.3f ms\n",
		    (double)(cpu_us() - t0) / 1000);
	o0 = b.octets;
	t0 = cpu_us();
	for (i = 2; i <= streams; i++)
		(void)open_one(1 + i * 7919ULL % nodes);
	run();
	if (b.quiet)
		return;
	printf("first maps of %u streams: %.4f ms and %.0f octets each\n",
	    streams - 1, (double)(cpu_us() - t0) / 1000 / (streams - 1),
	    (double)(b.octets - o0) / (streams - 1));
	printf("memory of streams and chunks: %.0f octets a stream\n",
	    (double)(heap() - m0) / streams);
}

/* Everybody registers, opens and is told of everybody else. */
static void
storm(unsigned int n)
{
	uint64_t t0, o0 = b.outs, c0 = b.octets;
	struct fnode f;
	unsigned int i;

	t0 = cpu_us();
	for (i = 1; i <= n; i++) {
		fnode_init(&f, 1000000 + i, 1 + i % USERS);
		f.published = false;
		if (feed_node(b.tn, &f) == -1 ||
		    feed_batch(b.tn, ++b.seq) == -1)
			abort();
		(void)open_one(f.id);
		env_run(b.env);
		f.published = true;
		if (feed_node(b.tn, &f) == -1 ||
		    feed_batch(b.tn, ++b.seq) == -1 ||
		    feed_online(b.tn, f.id, true, 0) == -1)
			abort();
		/* 1,000 a second, all drained at once. */
		b.skew += 1000;
		env_run(b.env);
		for (; b.nbusy > 0; b.nbusy--)
			stream_drained(b.busy[b.nbusy - 1]);
	}
	run();
	printf("storm of %u joins: %.2f s, %.0f messages and %.1f KB each\n",
	    n, (double)(cpu_us() - t0) / 1e6, (double)(b.outs - o0) / n,
	    (double)(b.octets - c0) / n / 1000);
}

static void
updates(unsigned int streams)
{
	uint64_t t0, o0 = b.outs, c0 = b.octets;
	unsigned int i, times = 50;

	t0 = cpu_us();
	for (i = 0; i < times; i++) {
		put(1 + i * 31, 100000 + i);
		run();
	}
	printf("one endpoint change: %.3f ms, %.0f messages of %.0f octets "
	    "(%u streams)\n", (double)(cpu_us() - t0) / 1000 / times,
	    (double)(b.outs - o0) / times, (double)(b.octets - c0) /
	    (double)(b.outs - o0), streams);
	o0 = b.outs;
	t0 = cpu_us();
	for (i = 0; i < times; i++) {
		put(1 + i * 31, 100000 + i);
		run();
	}
	printf("the same again: %.3f ms, %.0f messages\n",
	    (double)(cpu_us() - t0) / 1000 / times,
	    (double)(b.outs - o0) / times);
}

/* Ten rules: groups of users, tags, a subnet, the Internet, one's own. */
static void
rules(struct rulekit *k, bool more)
{
	uint32_t u1, u2, all;

	pk_init(k);
	u1 = pk_src(k, PK_U1, PK_U12, -1);
	u2 = pk_src(k, PK_U2, -1);
	all = pk_src(k, PK_MEMBER, -1);
	pk_row(k, all, PK_ANY, POL_ROW_SELF);
	pk_row(k, all, PK_T0, 0);
	pk_row(k, u1, PK_T1, 0);
	pk_row(k, u2, PK_T2, 0);
	pk_row(k, pk_src(k, PK_T0, -1), PK_T3, 0);
	pk_row(k, pk_src(k, PK_T3, -1), PK_T4, 0);
	pk_row(k, u1, PK_SUBNET, 0);
	pk_row(k, all, PK_INET, 0);
	pk_row(k, pk_src(k, PK_U3, -1), PK_ANY, 0);
	pk_row(k, pk_src(k, PK_T5, -1), PK_T4, POL_ROW_APP);
	if (more)
		pk_row(k, pk_src(k, PK_T1, -1), PK_T2, 0);
}

/* A policy with one rule more, and back. */
static void
policies(unsigned int nodes, unsigned int streams)
{
	uint64_t t0, t1, o0 = b.outs, c0;
	struct rulekit k;
	unsigned int i, times = 10;
	size_t m0;

	b.varied = true;
	rules(&k, false);
	load(nodes, &k.pol);
	join(nodes, streams);
	m0 = heap();
	o0 = b.outs;
	c0 = b.octets;
	t0 = cpu_us();
	t1 = 0;
	for (i = 0; i < times; i++) {
		rules(&k, i % 2 == 0);
		t1 -= cpu_us();
		if (feed_policy(b.tn, &k.pol, 0) == -1 ||
		    feed_batch(b.tn, ++b.seq) == -1)
			abort();
		t1 += cpu_us();
		run();
	}
	printf("one rule more or less: %.3f ms to apply, %.3f ms in all, %.0f "
	    "messages of %.0f octets (%u streams)\n",
	    (double)t1 / 1000 / times, (double)(cpu_us() - t0) / 1000 / times,
	    (double)(b.outs - o0) / times, (double)(b.octets - c0) /
	    (double)(b.outs - o0), streams);
	printf("memory after it: %.0f octets more\n",
	    (double)heap() - (double)m0);
	updates(streams);
}

/* Members may reach each other, and what lies in 10.0.0.0/8. */
static void
router_rules(struct rulekit *k)
{
	uint32_t all;

	pk_init(k);
	all = pk_src(k, PK_MEMBER, -1);
	pk_row(k, all, PK_MEMBER, 0);
	pk_row(k, all, PK_AROUND, 0);
}

static void
router(struct fnode *f, unsigned int i, unsigned int subnet)
{
	fnode_init(f, i, 1 + i % USERS);
	f->online = true;
	f->subnet = subnet;
}

/*
 * So many routers, each of a subnet of its own, that all see each other: first
 * maps, and what it costs when one carries another subnet.
 */
static void
routers(unsigned int n, const struct pol *pol)
{
	uint64_t t0, o0, c0, first;
	unsigned int i, times = 20;
	struct buf s = { 0 };
	struct fuser u = { 0 };
	struct fnode f;

	snap_tailnet(&s, "default", 2);
	snap_policy(&s, pol, 60000);
	for (i = 1; i <= USERS; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "u%u@example.com", i);
		snap_user(&s, &u);
	}
	for (i = 1; i <= n; i++) {
		router(&f, i, i);
		snap_node(&s, &f);
	}
	snap_batch(&s, ++b.seq);
	if (tailnets_snapshot(b.tn, FEED_TAILNET, s.p, s.n) == -1)
		abort();
	buf_free(&s);
	c0 = b.octets;
	t0 = cpu_us();
	for (i = 1; i <= n; i++)
		(void)open_one(i);
	run();
	first = cpu_us() - t0;
	c0 = b.octets - c0;
	o0 = b.outs;
	t0 = cpu_us();
	for (i = 1; i <= times; i++) {
		router(&f, i, n + i);
		if (feed_node(b.tn, &f) == -1 ||
		    feed_batch(b.tn, ++b.seq) == -1)
			abort();
		run();
	}
	t0 = cpu_us() - t0;
	printf("%u routers: first maps %.2f ms in all, %.1f us and %.0f "
	    "octets each, %.2f us for 1,000 octets; one route change %.3f ms, "
	    "%.2f us each, %.0f messages\n", n, (double)first / 1000,
	    (double)first / n, (double)c0 / n,
	    (double)first * 1000 / (double)c0, (double)t0 / 1000 / times,
	    (double)t0 / times / n, (double)(b.outs - o0) / times);
}

/* Everything anew. */
static void
restart(const struct tn_ops *ops, const struct tn_conf *c)
{
	tailnets_free(b.tn);
	b.tn = tailnets_new(b.env, ops);
	tailnets_conf(b.tn, c);
	b.seq = 0;
	b.nbusy = 0;
}

/* Policies, as a table. */

static bool
row(const char *what, unsigned int n, double measured, double limit,
    double scale)
{
	bool ok = measured <= limit * scale;

	printf("| %s, %u nodes | %.2f | %.0f | %s |\n", what, n, measured,
	    limit, ok ? "ok" : "MISSED");
	return ok;
}

/* The same nodes with the same streams: what the rules alone hold. */
static double
memory_of_rules(const struct tn_ops *ops, const struct tn_conf *c,
    unsigned int n, const struct pol *open, const struct pol *pol)
{
	const struct pol *p[] = { open, pol };
	double used[2];
	unsigned int i;
	size_t m0;

	for (i = 0; i < 2; i++) {
		restart(ops, c);
		m0 = heap();
		load(n, p[i]);
		join(n, n < 1000 ? n : 1000);
		used[i] = (double)heap() - (double)m0;
	}
	return used[1] > used[0] ? used[1] - used[0] : 0;
}

/* Nodes of kinds that are there already; the time of each. */
static double
new_nodes(unsigned int n)
{
	unsigned int i, id = n;
	uint64_t t0 = cpu_us();

	for (i = 0; i < FRESH; i++) {
		if (++id % 1000 == 500)
			id++;
		put(id, 0);
	}
	run();
	return (double)(cpu_us() - t0) / FRESH;
}

static double
one_rule(unsigned int n)
{
	unsigned int i, times = 10;
	struct rulekit k;
	uint64_t t0;

	join(n, n);
	t0 = cpu_us();
	for (i = 0; i < times; i++) {
		rules(&k, i % 2 == 0);
		if (feed_policy(b.tn, &k.pol, 0) == -1 ||
		    feed_batch(b.tn, ++b.seq) == -1)
			abort();
		run();
	}
	return (double)(cpu_us() - t0) / times;
}

static bool
policy_rows(const struct tn_ops *ops, const struct tn_conf *c, unsigned int n,
    double scale)
{
	struct pol *open = pol_builtin(true);
	struct rulekit k;
	double us;
	bool ok;

	b.varied = b.quiet = true;
	rules(&k, false);
	ok = row("memory of classes and rows, MB", n,
	    memory_of_rules(ops, c, n, open, &k.pol) / 1e6, 16, 1);
	restart(ops, c);
	load(n, &k.pol);
	ok = row("a new node of an old class, us", n, new_nodes(n), 50,
	    scale) && ok;
	restart(ops, c);
	load(n, &k.pol);
	us = one_rule(n);
	printf("| one rule more or less in a worker, ms, %u nodes and streams "
	    "| %.2f | | %.2f us a stream |\n", n, us / 1000, us / n);
	pol_free(open);
	return ok;
}

/* The arguments after -p; 0, or 1 if a limit is missed. */
static int
policy_table(const struct tn_ops *ops, const struct tn_conf *c,
    char *const *arg)
{
	static const unsigned int sizes[] = { 100, 300, 1000, 3000, 10000 };
	const char *cal = getenv("CAL");
	double scale = cal != NULL ? strtod(cal, NULL) / 120 : 1;
	unsigned int i;
	bool ok = true;

	for (i = 0; arg[0] == NULL && i < 5; i++)
		ok = policy_rows(ops, c, sizes[i], scale) && ok;
	for (; *arg != NULL; arg++)
		ok = policy_rows(ops, c, (unsigned int)strtoul(*arg, NULL, 10),
		    scale) && ok;
	return ok ? 0 : 1;
}

static int
policies_alone(const struct tn_ops *ops, const struct tn_conf *c,
    char *const *arg)
{
	unsigned int most = 10000, i;
	int rc;

	for (i = 0; arg[i] != NULL; i++) {
		if (strtoul(arg[i], NULL, 10) < 100) {
			fprintf(stderr, "usage: b_tailnet -p [NODES ...], at "
			    "least 100 each\n");
			return 2;
		}
		if (strtoul(arg[i], NULL, 10) > most)
			most = (unsigned int)strtoul(arg[i], NULL, 10);
	}
	b.busy = calloc(8 * most, sizeof(b.busy[0]));
	b.env = env_new(&b_ops, NULL);
	b.tn = tailnets_new(b.env, ops);
	rc = policy_table(ops, c, arg);
	tailnets_free(b.tn);
	env_free(b.env);
	free(b.busy);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct tn_ops ops = { on_out, on_over, NULL };
	static const unsigned int many[] = { 100, 300, 1000 };
	unsigned int nodes = 10000, streams = 10000, i;
	struct tn_conf c = { 0 };
	struct rulekit k;

	c.base_domain = slice_str("tailnet.example");
	c.magic_dns = true;
	c.keepalive_s = 100000;
	if (argc > 1 && strcmp(argv[1], "-p") == 0)
		return policies_alone(&ops, &c, argv + 2);
	if (argc > 1)
		nodes = streams = (unsigned int)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		streams = (unsigned int)strtoul(argv[2], NULL, 10);
	if (nodes < LEAST || streams < 2 || streams > nodes) {
		fprintf(stderr, "usage: b_tailnet [NODES [STREAMS]], at least "
		    "%u nodes and 2 streams\n", LEAST);
		return 2;
	}
	b.busy = calloc(4 * (nodes + streams), sizeof(b.busy[0]));
	b.env = env_new(&b_ops, NULL);
	b.tn = tailnets_new(b.env, &ops);
	tailnets_conf(b.tn, &c);
	load(nodes, NULL);
	join(nodes, streams);
	updates(streams);
	restart(&ops, &c);
	load(2, NULL);
	storm(streams > 3000 ? 3000 : streams);
	restart(&ops, &c);
	policies(nodes, streams);
	router_rules(&k);
	for (i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		restart(&ops, &c);
		routers(many[i], &k.pol);
	}
	tailnets_free(b.tn);
	env_free(b.env);
	free(b.busy);
	return 0;
}
