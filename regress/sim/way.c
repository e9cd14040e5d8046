#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "regress/sim/way.h"

#define CHUNK		8192

LIST_HEAD(way_list, way);

struct ways {
	struct world	*w;
	struct host	*host;
	struct way_list	 all;
};

/* Octets on their way; none: the end. */
struct parcel {
	STAILQ_ENTRY(parcel) entry;	/* to the server */
	struct way	*way;		/* to the client */
	size_t		 n;
	uint8_t		 p[];
};

/*
 * When the client gives one up whose worker hangs, its octets and its end
 * wait for the worker.
 */
struct way {
	LIST_ENTRY(way)	 entry;
	struct ways	*all;
	struct way_conf	 conf;
	struct conn	*conn;		/* NULL: over, on the worker's side */
	unsigned int	 slot;
	STAILQ_HEAD(, parcel) in;	/* to the server */
	unsigned int	 refs;		/* events, and the client */
	bool		 open;		/* on the client's side */
	bool		 draining;	/* there is an event for it */
	uint64_t	 stalled_until;
	uint64_t	 c2s_at;	/* when the last will arrive */
	uint64_t	 s2c_at;
};

static void	send_parcel(struct way *, const void *, size_t);

struct ways *
ways_new(struct world *w, struct host *h)
{
	struct ways *all;

	all = xcalloc(1, sizeof(*all));
	all->w = w;
	all->host = h;
	LIST_INIT(&all->all);
	return all;
}

void
ways_free(struct ways *all)
{
	if (!LIST_EMPTY(&all->all))
		world_fail(all->w, "a connection is left over");
	free(all);
}

static void
release(struct way *y)
{
	if (--y->refs != 0)
		return;
	LIST_REMOVE(y, entry);
	free(y);
}

static uint64_t
delay(const struct way *y, uint64_t *last)
{
	struct world *w = y->all->w;
	uint64_t at = world_now(w) + y->conf.min_us +
	    world_rand(w, y->conf.max_us - y->conf.min_us + 1);

	if (at <= *last)
		at = *last + 1;
	*last = at;
	return at;
}

/* To the server. */

static void
close_conn(struct way *y)
{
	struct conn *conn = y->conn;

	y->conn = NULL;
	sproc_touch(host_worker(y->all->host, y->slot));
	conn_eof(conn);
	conn_free(conn);
}

static void
arrive_server(void *arg)
{
	struct way *y = arg;
	struct world *w = y->all->w;
	struct parcel *p;
	uint64_t wakes;

	if (y->conn != NULL &&
	    (wakes = host_wakes(y->all->host, y->slot)) != 0) {
		world_at(w, wakes, arrive_server, y);
		return;
	}
	p = STAILQ_FIRST(&y->in);
	STAILQ_REMOVE_HEAD(&y->in, entry);
	if (y->conn != NULL && p->n == 0)
		close_conn(y);
	else if (y->conn != NULL) {
		world_trace(w, "worker %u reads %zu %016llx", y->slot, p->n,
		    world_sum(w, p->p, p->n));
		conn_input(y->conn, p->p, p->n);
		sproc_touch(host_worker(y->all->host, y->slot));
		ways_kick(y->conn);
	}
	free(p);
	release(y);
}

static void
send_parcel(struct way *y, const void *octets, size_t n)
{
	struct parcel *p;

	p = xcalloc(1, sizeof(*p) + n);
	p->n = n;
	if (n != 0)
		memcpy(p->p, octets, n);
	STAILQ_INSERT_TAIL(&y->in, p, entry);
	y->refs++;
	world_at(y->all->w, delay(y, &y->c2s_at), arrive_server, y);
}

void
way_put(struct way *y, const void *octets, size_t n)
{
	if (y->conn != NULL)
		send_parcel(y, octets, n);
}

/* To the client. */

static void
arrive_client(void *arg)
{
	struct parcel *p = arg;
	struct way *y = p->way;

	if (y->open && p->n == 0)
		y->conf.ended(y->conf.arg);
	else if (y->open)
		y->conf.octets(y->conf.arg, p->p, p->n);
	free(p);
	release(y);
}

static void
post(struct way *y, const uint8_t *p, size_t n)
{
	struct parcel *q;

	q = xcalloc(1, sizeof(*q) + n);
	q->way = y;
	q->n = n;
	if (n != 0)
		memcpy(q->p, p, n);
	y->refs++;
	world_at(y->all->w, delay(y, &y->s2c_at), arrive_client, q);
}

/* The server's socket takes output now. */
static void
drain(void *arg)
{
	struct way *y = arg;
	struct world *w = y->all->w;
	uint8_t tmp[CHUNK];
	uint64_t at;
	size_t n;

	if (y->open && y->conn != NULL) {
		at = host_wakes(y->all->host, y->slot);
		if (at < y->stalled_until)
			at = y->stalled_until;
		if (world_now(w) < at) {
			world_at(w, at, drain, y);
			return;
		}
	}
	y->draining = false;
	if (y->open && y->conn != NULL) {
		n = conn_output(y->conn, tmp, sizeof(tmp));
		sproc_touch(host_worker(y->all->host, y->slot));
		if (n != 0) {
			world_trace(w, "worker %u writes %zu %016llx",
			    y->slot, n, world_sum(w, tmp, n));
			post(y, tmp, n);
		}
		if (conn_wants_output(y->conn))
			ways_kick(y->conn);
		else if (conn_is_done(y->conn)) {
			post(y, NULL, 0);
			conn_free(y->conn);
			y->conn = NULL;
		}
	}
	release(y);
}

void
ways_kick(struct conn *conn)
{
	struct way *y = conn_tag(conn);
	struct world *w = y->all->w;

	if (y->draining || !y->open || y->conn != conn)
		return;
	y->draining = true;
	y->refs++;
	world_at(w, world_now(w) + 20 + world_rand(w, 200), drain, y);
}

/* From the start to the end. */

struct way *
way_open(struct ways *all, uint64_t n, const struct way_conf *conf)
{
	struct net *net;
	struct way *y;
	unsigned int slot;

	if ((net = host_accept(all->host, n, &slot)) == NULL)
		return NULL;
	y = xcalloc(1, sizeof(*y));
	y->all = all;
	y->conf = *conf;
	y->slot = slot;
	y->refs = 1;
	y->open = true;
	STAILQ_INIT(&y->in);
	LIST_INSERT_HEAD(&all->all, y, entry);
	y->conn = conn_new(net, &y->conf.from, CONN_K_PLAIN, false, y);
	sproc_touch(host_worker(all->host, slot));
	if (y->conn != NULL)
		return y;
	release(y);
	return NULL;
}

void
way_stall(struct way *y, uint64_t until)
{
	y->stalled_until = until;
}

unsigned int
way_slot(const struct way *y)
{
	return y->slot;
}

void
way_close(struct way *y)
{
	if (y == NULL)
		return;
	y->open = false;
	if (y->conn != NULL && host_wakes(y->all->host, y->slot) != 0)
		send_parcel(y, NULL, 0);
	else if (y->conn != NULL)
		close_conn(y);
	release(y);
}

void
ways_worker_gone(struct ways *all, unsigned int slot)
{
	struct way *y;

	LIST_FOREACH(y, &all->all, entry) {
		if (y->conn == NULL || y->slot != slot)
			continue;
		y->conn = NULL;		/* freed with its worker */
		if (y->open)
			post(y, NULL, 0);
	}
}
