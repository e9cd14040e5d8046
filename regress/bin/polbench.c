/*
 * polbench: what the policy compiler and a compiled policy cost.
 *
 *	polbench [-r rules] [nodes ...]
 *
 * For each number of nodes: text to blob (read, emit, save, load, tests),
 * loading alone, the hits of one node, and what two policies differ in.
 * Prints rows of a table; exits 1 if a figure misses its limit, which holds
 * where CAL (in the environment) is 120.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/compat/compat.h"
#include "dbd/policy/policy.h"

#define TAGS	40
#define GROUPS	20

struct world {
	struct pol_user	*user;
	struct test_node *node;
	struct slice	*tag;		/* of all nodes, one each */
	struct prefix	*route;
	struct tailnet_info info;
	struct topology	 topo;
};

static double	scale = 1;
static bool	missed;

static void
row(const char *what, size_t n, double measured, double limit)
{
	bool ok = measured <= limit * scale;

	(void)printf("| %s, %zu nodes | %.2f | %.0f | %s |\n", what, n,
	    measured, limit, ok ? "ok" : "MISSED");
	if (!ok)
		missed = true;
}

static double
now_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		err(1, "clock_gettime");
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static struct slice
text(const char *fmt, size_t k)
{
	char s[64];

	/* The formats are ours. */
	if (strcmp(fmt, "user") == 0)
		(void)snprintf(s, sizeof(s), "u%zu@example.com", k);
	else
		(void)snprintf(s, sizeof(s), "%s%zu", fmt, k);
	return slice_str(xstrdup(s));
}

/* A third of the nodes is tagged; every fiftieth carries a route. */
static void
world_make(struct world *w, size_t n)
{
	struct test_node *t;
	size_t i, users = n / 3 + 1;
	char s[64];

	memset(w, 0, sizeof(*w));
	w->user = xcalloc(users, sizeof(*w->user));
	w->node = xcalloc(n, sizeof(*w->node));
	w->tag = xcalloc(n, sizeof(*w->tag));
	w->route = xcalloc(n, sizeof(*w->route));
	for (i = 0; i < users; i++) {
		w->user[i].id = i + 1;
		w->user[i].name = w->user[i].email = text("user", i);
	}
	for (i = 0; i < n; i++) {
		t = &w->node[i];
		t->id = i + 1;
		t->name = text("node", i);
		(void)snprintf(s, sizeof(s), "100.%zu.%zu.%zu",
		    64 + (i >> 16), i >> 8 & 255, i & 255);
		(void)ip_parse(&t->facts.ip4, slice_str(s));
		(void)snprintf(s, sizeof(s), "fd7a:115c:a1e0::%zx", i + 1);
		(void)ip_parse(&t->facts.ip6, slice_str(s));
		if (i % 3 == 0) {
			w->tag[i] = text("tag:t", i / 3 % TAGS);
			t->facts.tag = &w->tag[i];
			t->facts.ntags = 1;
		} else
			t->facts.user = i / 3 + 1;
		if (i % 50 != 0)
			continue;
		(void)snprintf(s, sizeof(s), "10.%zu.%zu.0/24",
		    i / 50 >> 8 & 255, i / 50 & 255);
		(void)prefix_parse(&w->route[i], slice_str(s));
		t->facts.route = &w->route[i];
		t->facts.nroutes = 1;
	}
	w->info.user = w->user;
	w->info.nusers = users;
	w->topo.node = w->node;
	w->topo.nnodes = n;
	(void)prefix_parse(&w->topo.range[0], slice_str("100.64.0.0/10"));
	(void)prefix_parse(&w->topo.range[1], slice_str("fd7a:115c:a1e0::/48"));
}

static void
world_end(struct world *w)
{
	size_t i;

	for (i = 0; i < w->info.nusers; i++)
		free((void *)(uintptr_t)w->user[i].name.p);
	for (i = 0; i < w->topo.nnodes; i++) {
		free((void *)(uintptr_t)w->node[i].name.p);
		free((void *)(uintptr_t)w->tag[i].p);
	}
	free(w->user);
	free(w->node);
	free(w->tag);
	free(w->route);
}

static void
policy_text(struct buf *b, const struct world *w, size_t rules, size_t port)
{
	size_t i, k;

	buf_str(b, "{\"groups\":{");
	for (i = 0; i < GROUPS; i++) {
		buf_printf(b, "%s\"group:g%zu\":[", i == 0 ? "" : ",", i);
		for (k = i; k < w->info.nusers; k += GROUPS)
			buf_printf(b, "%s\"u%zu@example.com\"", k == i ? "" :
			    ",", k);
		buf_str(b, "]");
	}
	buf_str(b, "},\"tagOwners\":{");
	for (i = 0; i < TAGS; i++)
		buf_printf(b, "%s\"tag:t%zu\":[\"group:g0\"]", i == 0 ? "" :
		    ",", i);
	buf_str(b, "},\"acls\":[");
	for (i = 0; i < rules; i++)
		buf_printf(b, "%s\n{\"action\":\"accept\",\"src\":"
		    "[\"group:g%zu\",\"tag:t%zu\",\"10.%zu.0.0/16\"],\"dst\":"
		    "[\"tag:t%zu:22,443,%zu\",\"10.%zu.%zu.0/24:*\"]}",
		    i == 0 ? "" : ",", i % GROUPS, i * 7 % TAGS, i % 256,
		    (i * 3 + 1) % TAGS, i == 0 ? port : 8000 + i, i / 256,
		    i % 256);
	buf_str(b, "],\"tests\":[{\"src\":\"u1@example.com\",\"accept\":"
	    "[\"tag:t4:22\"]}]}");
}

static bool
hits_any(const struct pol_hits *h, size_t words)
{
	size_t i;

	for (i = 0; i < words; i++)
		if (h->at[i] != 0)
			return true;
	return false;
}

static void
bench(size_t n, size_t rules)
{
	struct buf was = { NULL, 0, 0 }, now = was, blob = was, msg = was;
	struct buf detail = was, out = was;
	struct pol_error e = { &msg, &detail, { 0, 0 } };
	double t0, compile, load, hits, diff;
	struct pol_hits h;
	struct world w;
	const char *why;
	struct pol *p;
	size_t i, found = 0;
	bool tests;

	world_make(&w, n);
	policy_text(&was, &w, rules, 80);
	policy_text(&now, &w, rules, 81);
	t0 = now_us();
	if (policy_compile(buf_slice_of(&was), &w.info, &w.topo, &blob, &e,
	    &tests) != 0)
		errx(1, "%.*s%.*s", SLICE_FMT(buf_slice_of(&msg)),
		    SLICE_FMT(buf_slice_of(&detail)));
	compile = now_us() - t0;
	t0 = now_us();
	if ((p = pol_load(blob.p, blob.n, &why)) == NULL)
		errx(1, "%s", why);
	load = now_us() - t0;
	hits_init(&h, p);
	t0 = now_us();
	for (i = 0; i < n; i++) {
		hits_of(&h, p, &w.node[i].facts, w.topo.range);
		found += hits_any(&h, POL_WORDS(p));
	}
	hits = (now_us() - t0) / (double)n;
	hits_free(&h);
	t0 = now_us();
	if (policy_diff(buf_slice_of(&was), buf_slice_of(&now), &w.info,
	    &w.topo, 100, &out, &e) != 0)
		errx(1, "%.*s", SLICE_FMT(buf_slice_of(&msg)));
	diff = now_us() - t0;
	row("compile, ms", n, compile / 1e3, 300);
	row("load of its blob, ms", n, load / 1e3, 50);
	row("hits of one node, us", n, hits, 50);
	row("diff of one port, ms", n, diff / 1e3, 300);
	if (found == 0)
		errx(1, "no node hits anything");
	pol_free(p);
	buf_free(&was);
	buf_free(&now);
	buf_free(&blob);
	buf_free(&msg);
	buf_free(&detail);
	buf_free(&out);
	world_end(&w);
}

static size_t
number(const char *s)
{
	const char *why;
	long long n;

	n = strtonum(s, 1, 1000000, &why);
	if (why != NULL)
		errx(2, "%s is %s", s, why);
	return (size_t)n;
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = { 100, 1000, 10000 };
	const char *cal = getenv("CAL");
	size_t rules = 400, i;
	int ch;

	if (cal != NULL)
		scale = strtod(cal, NULL) / 120;
	while ((ch = getopt(argc, argv, "r:")) != -1) {
		if (ch != 'r') {
			(void)fprintf(stderr,
			    "usage: polbench [-r rules] [nodes ...]\n");
			return 2;
		}
		rules = number(optarg);
	}
	for (i = 0; optind == argc && i < 3; i++)
		bench(sizes[i], rules);
	for (; optind < argc; optind++)
		bench(number(argv[optind]), rules);
	return missed ? 1 : 0;
}
