#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/compat/tcp.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/sock.h"
#include "worker/net/tlsrec.h"

#define ACCEPTS		64	/* a turn and listener */
#define READ_MAX	16384
#define PIPE_READ_MAX	65536	/* from clients of a pipe */
#define SLICE		(16384 + TLSREC_COST)	/* of a write: a record */
#define TURN_MAX	65536	/* written to a connection in a turn */
#define PAUSE_US	US_PER_S
#define REAP_US		(5 * US_PER_S)
#define SNDBUF		(128 * 1024)
#define BATCH		512	/* connections */
#define BATCH_OCTETS	(128 * 1024)
#define SPARE		128	/* descriptors: links, files; see limit() */
#define PIPE_USER_MS	15000	/* who is gone holds up others (derp.md S11) */

struct listener {
	TAILQ_ENTRY(listener)	 entry;
	struct sock_set		*set;
	unsigned int		 number;
	unsigned int		 slot;
	enum conn_kind		 kind;
	bool			 proxy;
	int			 fd;
	struct ev_fd		*ev;
};

struct sock {
	TAILQ_ENTRY(sock)	 entry;
	TAILQ_ENTRY(sock)	 due;
	struct sock_set		*set;
	struct conn		*conn;
	struct ev_fd		*ev;
	int			 fd;
	unsigned int		 want;		/* as ev was told */
	bool			 listed;	/* in set->due */
	bool			 pipe;		/* PIPE_USER_MS is set */
	bool			 closing;	/* done but for the rest */
	bool			 reap;		/* ... for a while already */
	uint8_t			*rest;		/* what the socket refused */
	size_t			 rest_at;
	size_t			 rest_n;
};
TAILQ_HEAD(sock_list, sock);
TAILQ_HEAD(listener_list, listener);

/* What a connection has to say in this turn. */
struct part {
	struct sock		*s;
	size_t			 at;		/* in set->out */
	size_t			 n;
	int			 rc;		/* put()'s */
};

struct sock_set {
	struct ev		*ev;
	struct net		*net;
	void			(*on_pause)(bool, void *);
	void			*arg;
	struct listener_list	 listeners;
	uint32_t		 nlisteners;
	struct sock_list	 socks;
	uint32_t		 nsocks;
	uint32_t		 nfiles;	/* that we may have open */
	uint32_t		 said;		/* max_conns that is too much */
	struct sock_list	 due;
	bool			*slots;		/* accepting, by number */
	unsigned int		 nslots;
	bool			 started;	/* it was told to accept */
	bool			 paused;	/* as on_pause was told */
	bool			 tls;		/* as the listeners were told */
	struct timer		 pause;
	struct timer		 reap;
	uint8_t			 in[PIPE_READ_MAX];
	struct part		 batch[BATCH];
	uint8_t			 out[BATCH_OCTETS + SLICE];
};

/* Accepting. */

/*
 * Connections that the limit of files has room for.  Links and snapshots are
 * handed down at any time, and a process that cannot take one has to end.
 */
static uint32_t
limit(const struct sock_set *set)
{
	uint32_t spare = SPARE + set->nlisteners;

	return set->nfiles - (spare < set->nfiles / 2 ? spare :
	    set->nfiles / 2);
}

static bool
is_full(const struct sock_set *set)
{
	return net_is_full(set->net) || set->nsocks >= limit(set);
}

static bool
is_to_pause(const struct sock_set *set)
{
	return timer_pending(&set->pause) || is_full(set);
}

static void
say_limit(struct sock_set *set)
{
	uint32_t wanted = net_max_conns(set->net);

	if (wanted == set->said || wanted <= limit(set))
		return;
	set->said = wanted;
	log_warnx("no more than %u connections: the limit of open files is "
	    "%u, too low for %u; raise it, or lower limits.connections",
	    limit(set), set->nfiles, wanted);
}

static bool
accepts(const struct listener *l)
{
	const struct sock_set *set = l->set;

	return !set->paused && l->slot < set->nslots && set->slots[l->slot] &&
	    (l->kind != CONN_K_TLS || set->tls);
}

static void
arm(struct sock_set *set)
{
	struct listener *l;
	bool paused = is_to_pause(set);

	if (paused != set->paused) {
		set->paused = paused;
		set->on_pause(paused, set->arg);
	}
	set->tls = net_tls_is_ready(set->net);
	TAILQ_FOREACH(l, &set->listeners, entry) {
		ev_fd_want(l->ev, accepts(l) ? EV_F_READ : 0);
	}
}

static void
on_pause_over(void *arg)
{
	arm(arg);
}

static void	on_ready(int, unsigned int, void *);

/* False: no more for now. */
static bool
accept_one(struct listener *l)
{
	struct sock_set *set = l->set;
	struct sockaddr_storage ss;
	struct ipport peer;
	struct sock *s;
	socklen_t len = sizeof(ss);
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&ss, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1) {
		switch (errno) {
		case EINTR:
		case ECONNABORTED:
		case EPROTO:
			return true;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			log_warn("accept: pause");
			timer_in(&set->pause, PAUSE_US);
			arm(set);
			return false;
		default:
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				log_warn("accept");
			return false;
		}
	}
	ipport_from(&peer, (struct sockaddr *)&ss);
	ip_unmap(&peer.addr);
	s = xcalloc(1, sizeof(*s));
	s->set = set;
	s->fd = fd;
	s->conn = conn_new(set->net, &peer, l->kind, l->proxy, s);
	if (s->conn == NULL) {
		close(fd);
		free(s);
		return true;
	}
	s->want = EV_F_READ;
	s->ev = ev_fd_add(set->ev, fd, s->want, on_ready, s);
	TAILQ_INSERT_TAIL(&set->socks, s, entry);
	set->nsocks++;
	return true;
}

static void
on_connection(int fd, unsigned int got, void *arg)
{
	struct listener *l = arg;
	int i;

	(void)fd;
	(void)got;
	for (i = 0; i < ACCEPTS && !is_full(l->set); i++)
		if (!accept_one(l))
			break;
	if (is_full(l->set))
		arm(l->set);
}

/* Options that accepted sockets inherit: none are set for each. */
static void
tune(int fd)
{
	const struct compat_tcp tcp = { 60, 15, 4, 30000, TURN_MAX };
	const int on = 1, size = SNDBUF;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    compat_tcp_tune(fd, &tcp) == -1)
		log_warn("listener: socket options");
}

static void
listener_free(struct listener *l)
{
	TAILQ_REMOVE(&l->set->listeners, l, entry);
	l->set->nlisteners--;
	ev_fd_del(l->ev);
	close(l->fd);
	free(l);
}

static void
unlisten(struct sock_set *set, unsigned int number, bool one_slot,
    unsigned int slot)
{
	struct listener *l, *next;

	for (l = TAILQ_FIRST(&set->listeners); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->number == number && (!one_slot || l->slot == slot))
			listener_free(l);
	}
}

void
sock_listen(struct sock_set *set, unsigned int number, unsigned int slot,
    enum conn_kind kind, bool proxy, int fd)
{
	struct listener *l;

	unlisten(set, number, true, slot);
	tune(fd);
	l = xcalloc(1, sizeof(*l));
	l->set = set;
	l->number = number;
	l->slot = slot;
	l->kind = kind;
	l->proxy = proxy;
	l->fd = fd;
	l->ev = ev_fd_add(set->ev, fd, 0, on_connection, l);
	TAILQ_INSERT_TAIL(&set->listeners, l, entry);
	set->nlisteners++;
	arm(set);
}

void
sock_unlisten(struct sock_set *set, unsigned int number)
{
	unlisten(set, number, false, 0);
}

void
sock_accept(struct sock_set *set, unsigned int slot, bool on)
{
	if (slot >= set->nslots) {
		set->slots = xrealloc(set->slots, slot + 1,
		    sizeof(set->slots[0]));
		memset(set->slots + set->nslots, 0,
		    (slot + 1 - set->nslots) * sizeof(set->slots[0]));
		set->nslots = slot + 1;
	}
	set->slots[slot] = on;
	set->started = set->started || on;
	arm(set);
}

/* Connections. */

static void
list(struct sock *s)
{
	if (s->listed)
		return;
	s->listed = true;
	TAILQ_INSERT_TAIL(&s->set->due, s, due);
}

static void
unlist(struct sock *s)
{
	if (!s->listed)
		return;
	s->listed = false;
	TAILQ_REMOVE(&s->set->due, s, due);
}

static void
sock_close(struct sock *s)
{
	struct sock_set *set = s->set;

	ev_fd_del(s->ev);
	close(s->fd);
	conn_free(s->conn);
	unlist(s);
	TAILQ_REMOVE(&set->socks, s, entry);
	set->nsocks--;
	free(s->rest);
	free(s);
}

/*
 * Writes n octets and keeps what the socket does not take.  1 all went, 0
 * some are left, -1 the connection is broken.
 */
static int
put(struct sock *s, const uint8_t *p, size_t n)
{
	ssize_t w;

	w = write(s->fd, p, n);
	if (w == -1) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		w = 0;
	}
	if ((size_t)w == n)
		return 1;
	if (w != 0)
		conn_pipe_progress(s->conn);
	s->rest = xmalloc(n - (size_t)w);
	memcpy(s->rest, p + w, n - (size_t)w);
	s->rest_at = 0;
	s->rest_n = n - (size_t)w;
	return 0;
}

static int
put_rest(struct sock *s)
{
	ssize_t w;

	if (s->rest == NULL)
		return 1;
	w = write(s->fd, s->rest + s->rest_at, s->rest_n - s->rest_at);
	if (w == -1) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		return 0;
	}
	s->rest_at += (size_t)w;
	conn_pipe_progress(s->conn);
	if (s->rest_at < s->rest_n)
		return 0;
	free(s->rest);
	s->rest = NULL;
	return 1;
}

/* As put() after total octets; returns 1 also when the turn is used up. */
static int
push(struct sock *s, size_t total)
{
	size_t n;
	int rc;

	if (s->rest != NULL)
		total += s->rest_n - s->rest_at;
	if ((rc = put_rest(s)) != 1)
		return rc;
	while (total < TURN_MAX && conn_wants_output(s->conn)) {
		n = conn_output(s->conn, s->set->out, SLICE);
		if (n == 0)
			break;
		if ((rc = put(s, s->set->out, n)) != 1)
			return rc;
		total += n;
	}
	if (total >= TURN_MAX && conn_wants_output(s->conn)) {
		list(s);
		ev_again(s->set->ev);
	}
	return 1;
}

/* It became one: a relay's clients are known to be gone sooner. */
static void
tune_pipe(struct sock *s)
{
	s->pipe = true;
	if (compat_tcp_user(s->fd, PIPE_USER_MS) == -1)
		log_warn("a relay's client: socket option");
}

/* What it waits for now; it may be its end. */
static void
settle(struct sock *s)
{
	unsigned int want = 0;

	if (!s->pipe && conn_is_pipe(s->conn))
		tune_pipe(s);
	if (s->rest != NULL && conn_is_cut(s->conn)) {
		sock_close(s);
		return;
	}
	if (conn_is_done(s->conn)) {
		if (s->rest == NULL) {
			sock_close(s);
			return;
		}
		if (!s->closing) {
			s->closing = true;
			if (!timer_pending(&s->set->reap))
				timer_in(&s->set->reap, REAP_US);
		}
	}
	if (conn_wants_input(s->conn))
		want |= EV_F_READ;
	if (s->rest != NULL)
		want |= EV_F_WRITE;
	if (want != s->want) {
		s->want = want;
		ev_fd_want(s->ev, want);
	}
}

/*
 * Whoever does not take the last octets of a connection that is over is not
 * waited for.
 */
static void
on_reap(void *arg)
{
	struct sock_set *set = arg;
	struct sock *s, *next;
	bool more = false;

	for (s = TAILQ_FIRST(&set->socks); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->reap)
			sock_close(s);
		else if (s->closing)
			more = s->reap = true;
	}
	if (more)
		timer_in(&set->reap, REAP_US);
}

/* Plain HTTP, behind a proxy, may have a secret in it. */
static void
take(struct sock *s, size_t n)
{
	bool pipe = conn_is_pipe(s->conn);

	conn_input(s->conn, s->set->in, n);
	if (!pipe)
		wipe(s->set->in, n);
}

static void
on_ready(int fd, unsigned int got, void *arg)
{
	struct sock *s = arg;
	ssize_t n;

	list(s);
	if ((got & EV_F_READ) == 0)
		return;
	n = read(fd, s->set->in, conn_is_pipe(s->conn) ? PIPE_READ_MAX :
	    READ_MAX);
	if (n > 0)
		take(s, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK &&
	    errno != EINTR))
		conn_eof(s->conn);
}

void
sock_kick(struct sock_set *set, struct conn *c)
{
	(void)set;
	list(conn_tag(c));
}

/*
 * The first octets of as many connections of the list as there is room for.
 * *last is its end: NULL once it was met.
 */
static size_t
gather(struct sock_set *set, struct sock **last)
{
	struct part *p;
	struct sock *s;
	size_t n, at = 0;

	for (n = 0; n < BATCH && at < BATCH_OCTETS && *last != NULL; n++) {
		s = TAILQ_FIRST(&set->due);
		unlist(s);
		if (s == *last)
			*last = NULL;
		p = &set->batch[n];
		p->s = s;
		p->at = at;
		p->n = 0;
		if (s->rest == NULL && conn_wants_output(s->conn))
			p->n = conn_output(s->conn, set->out + at, SLICE);
		at += p->n;
	}
	return n;
}

static void
work(const struct part *p)
{
	struct sock *s = p->s;
	int rc = p->rc;

	if (rc == 1 && (s->rest != NULL || conn_wants_output(s->conn)))
		rc = push(s, p->n);
	if (rc == -1) {
		conn_eof(s->conn);
		sock_close(s);
	} else
		settle(s);
}

/*
 * One update has a little to say to each of many connections.  All of it is
 * made first and written then: the processor's caches hold either what makes
 * it or the kernel's way through TCP, but not both (regress/bench/README).
 */
void
sock_turn(struct sock_set *set)
{
	struct sock *last;
	struct part *p;
	size_t i, n;

	/* What is listed meanwhile has its turn next time. */
	last = TAILQ_LAST(&set->due, sock_list);
	while (last != NULL) {
		n = gather(set, &last);
		for (i = 0; i < n; i++) {
			p = &set->batch[i];
			p->rc = p->n == 0 ? 1 :
			    put(p->s, set->out + p->at, p->n);
		}
		for (i = 0; i < n; i++)
			work(&set->batch[i]);
	}
	if (!TAILQ_EMPTY(&set->due))
		ev_again(set->ev);
	/* Connections have ended, or a reload has changed what is too many. */
	if (set->tls != net_tls_is_ready(set->net) ||
	    set->paused != is_to_pause(set))
		arm(set);
	/* Before the start it is not known. */
	if (set->started)
		say_limit(set);
}

struct sock_set *
sock_new(struct ev *ev, struct net *net, void (*on_pause)(bool, void *),
    void *arg)
{
	struct sock_set *set;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("RLIMIT_NOFILE");
	set = xcalloc(1, sizeof(*set));
	set->nfiles = rl.rlim_cur < UINT32_MAX ? (uint32_t)rl.rlim_cur :
	    UINT32_MAX;
	set->ev = ev;
	set->net = net;
	set->on_pause = on_pause;
	set->arg = arg;
	TAILQ_INIT(&set->listeners);
	TAILQ_INIT(&set->socks);
	TAILQ_INIT(&set->due);
	timer_init(&set->pause, ev_env(ev), on_pause_over, set);
	timer_init(&set->reap, ev_env(ev), on_reap, set);
	return set;
}

void
sock_free(struct sock_set *set)
{
	struct listener *l;
	struct sock *s;

	if (set == NULL)
		return;
	while ((l = TAILQ_FIRST(&set->listeners)) != NULL)
		listener_free(l);
	while ((s = TAILQ_FIRST(&set->socks)) != NULL)
		sock_close(s);
	timer_stop(&set->pause);
	timer_stop(&set->reap);
	free(set->slots);
	free(set);
}
