#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/memfd.h"
#include "common/ticket.h"
#include "dbd/worker_int.h"
#include "regress/lib/dbdworld_int.h"

static const uint8_t secret[32] = "a boot secret for tests, 32 oct";

void
dw_die(const char *what)
{
	fprintf(stderr, "dbdworld: %s\n", what);
	abort();
}

static int
w_seal(const void *p, size_t n, void *arg)
{
	struct dbdworld *w = arg;

	return w->no_memfd ? -1 : memfd_make("snapshot", p, n);
}

static void
w_blame(const struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)why;
	(void)arg;
}

static void
w_ask(const struct msg *m, void *tag, void *arg)
{
	(void)m;
	(void)tag;
	(void)arg;
}

static void
w_policyc(void *arg)
{
	struct dbdworld *w = arg;

	if (w->wants_policyc)
		dw_die("master is asked twice");
	w->wants_policyc = true;	/* master takes its time */
}

static void
start(struct dbdworld *w, bool full)
{
	struct dbd_ops ops = { w_seal, w_blame, w_ask, w_policyc, NULL };
	char why[256];

	ops.arg = w;
	if (full)
		w->boot[0]++;
	w->store = store_open_sqlite(w->path, NULL, w->boot, why, sizeof(why));
	if (w->store == NULL)
		dw_die(why);
	w->d = dbd_new(fakeenv_env(w->fe), w->store, &w->conf, secret, full,
	    &ops);
	if (w->d == NULL)
		dw_die("dbd_new");
	w->wants_policyc = false;
	dbd_start(w->d);
}

static void
conf_default(struct dbd_conf *c)
{
	memset(c, 0, sizeof(*c));
	c->base_domain = slice_str("tailnet.internal");
	if (!prefix_parse(&c->prefix4, slice_str("100.64.0.0/10")) ||
	    !prefix_parse(&c->prefix6, slice_str("fd7a:115c:a1e0::/48")))
		dw_die("prefix");
	c->grace_ms = 10000;
	c->ephemeral_s = 120;
	c->resume_ms = 5000;
	c->presume_s = 60;
	c->max_nodes = 10000;
	c->budget_burst = 8;
	c->budget_refill_ms = 10000;
	c->queue_max = 64 * 1024 * 1024;
	c->log_keep = 1000;
}

struct dbdworld *
dw_new(void)
{
	struct dbdworld *w;

	if (sodium_init() == -1)
		dw_die("sodium");
	w = xcalloc(1, sizeof(*w));
	TAILQ_INIT(&w->workers);
	w->fe = fakeenv_new(7);
	conf_default(&w->conf);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/t_dbd.XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		dw_die("mkdtemp");
	(void)snprintf(w->path, sizeof(w->path), "%s/db", w->dir);
	start(w, true);
	return w;
}

static void
remove_files(struct dbdworld *w)
{
	static const char *const tail[] = { "", "-wal", "-shm", "-journal" };
	char name[128];
	size_t i;

	for (i = 0; i < sizeof(tail) / sizeof(tail[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", w->path, tail[i]);
		(void)unlink(name);
	}
	(void)rmdir(w->dir);
}

void
dw_free(struct dbdworld *w)
{
	struct dbdworker *k;

	if (w == NULL)
		return;
	while ((k = TAILQ_FIRST(&w->workers)) != NULL) {
		TAILQ_REMOVE(&w->workers, k, all);
		dw_cut(k);
		dw_forget(k);
		dw_replica_clear(k);
		free(k->got);
		buf_free(&k->parts);
		free(k->node);
		free(k);
	}
	dw_policyc_kill(w);
	dbd_free(w->d);
	store_close(w->store);
	remove_files(w);
	fakeenv_free(w->fe);
	free(w);
}

struct dbd *
dw_dbd(struct dbdworld *w)
{
	return w->d;
}

struct fakeenv *
dw_env(struct dbdworld *w)
{
	return w->fe;
}

struct store *
dw_store(struct dbdworld *w)
{
	return w->store;
}

struct tailnet *
dw_tailnet(struct dbdworld *w)
{
	return tailnet_default(w->d);
}

struct node *
dw_find(struct dbdworld *w, uint64_t id)
{
	return node_find(w->d, id);
}

const struct r_counters *
dw_counts(struct dbdworld *w)
{
	return dbd_counters(w->d);
}

int64_t
dw_now(struct dbdworld *w)
{
	return env_wall(fakeenv_env(w->fe));
}

struct dbd_conf *
dw_conf(struct dbdworld *w)
{
	return &w->conf;
}

void
dw_reconf(struct dbdworld *w)
{
	dbd_reconf(w->d, &w->conf);
}

void
dw_no_memfd(struct dbdworld *w)
{
	w->no_memfd = true;
}

void
dw_restart(struct dbdworld *w, bool full)
{
	struct dbdworker *k;

	TAILQ_FOREACH(k, &w->workers, all) {
		if (k->mine != NULL)
			k->next_id = link_next_id(k->mine);
		pair_free(k->pair);	/* no down: dbd is gone */
		k->pair = NULL;
		k->mine = k->theirs = NULL;
	}
	dw_policyc_drop(w);	/* likewise */
	dbd_free(w->d);
	w->d = NULL;
	store_abandon(w->store);
	start(w, full);
}

static unsigned int
deliver(struct dbdworld *w, enum pair_end to)
{
	struct dbdworker *k;
	unsigned int steps = 0;

	if (w->wants_policyc && !w->policyc_waits && to == PAIR_A) {
		dw_policyc_start(w);
		steps++;
	}
	while (w->pol != NULL && pair_step(w->pol, to))
		steps++;
	TAILQ_FOREACH(k, &w->workers, all)
		if (k->pair != NULL && (to == PAIR_B || !k->deaf))
			while (pair_step(k->pair, to))
				steps++;
	return steps;
}

void
dw_deliver(struct dbdworld *w)
{
	while (deliver(w, PAIR_A) + deliver(w, PAIR_B) != 0)
		;
}

void
dw_run(struct dbdworld *w)
{
	unsigned int steps, calm = 0;

	/* Once more after it is quiet: what a turn sent may be answered. */
	while (calm < 2) {
		steps = deliver(w, PAIR_B);
		fakeenv_advance(w->fe, 0);
		dbd_turn(w->d);
		steps += deliver(w, PAIR_A);
		calm = steps == 0 ? calm + 1 : 0;
	}
}

void
dw_pass(struct dbdworld *w, uint64_t us)
{
	uint64_t step;

	while (us > 0) {
		step = us < 100 * US_PER_MS ? us : 100 * US_PER_MS;
		fakeenv_advance(w->fe, step);
		dw_run(w);
		us -= step;
	}
}

void
dw_key(uint8_t key[KEY_LEN], char kind, uint32_t n)
{
	memset(key, 0, KEY_LEN);
	key[0] = (uint8_t)kind;
	key[1] = (uint8_t)(n >> 24);
	key[2] = (uint8_t)(n >> 16);
	key[3] = (uint8_t)(n >> 8);
	key[4] = (uint8_t)n;
}

void
dw_ticket(struct dbdworker *k, uint32_t machine, uint64_t serial,
    struct r_ticket *t)
{
	memset(t, 0, sizeof(*t));
	t->kind = TICKET_MACHINE;
	t->slot = k->slot;
	t->generation = k->gen;
	t->serial_gen = 1;
	t->serial = serial;
	t->capver = 131;
	dw_key(t->key, 'm', machine);
	ticket_sign(t, secret);
}

void
dw_relay_ticket(struct dbdworker *k, uint32_t key, uint64_t serial,
    struct r_ticket *t)
{
	dw_ticket(k, key, serial, t);
	t->kind = TICKET_DERP;
	t->capver = 0;
	dw_key(t->key, 'n', key);
	ticket_sign(t, secret);
}
