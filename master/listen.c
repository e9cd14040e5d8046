#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/compat/root.h"
#include "common/log.h"
#include "common/str.h"
#include "master/listen.h"

#define BACKLOG		4096
#define WAIT_STEP_MS	50
#define WAIT_STEPS	40		/* 2 s */

enum state {
	L_NOW,
	L_STAGED,		/* open, not in force yet */
	L_GOING,		/* in force, not in what is staged */
	L_ADDED,		/* in force since the last commit */
	L_REMOVED		/* closed by the last commit */
};

struct listener {
	enum state	 state;
	uint16_t	 number;
	struct ipport	 at;
	char		 text[IPPORT_TEXT];
	int		*fds;
};

/* What is in force and what is staged, or what has just been removed. */
#define LISTENERS_MAX	(2 * CONF_ADDRS_MAX)

struct listeners {
	struct listener	 all[LISTENERS_MAX];
	unsigned int	 n;
	unsigned int	 slots;
	uint16_t	 last;		/* number given */
};

struct listeners *
listen_new(unsigned int slots)
{
	struct listeners *l;

	l = xcalloc(1, sizeof(*l));
	l->slots = slots;
	return l;
}

static void
shut(const struct listeners *l, struct listener *e)
{
	unsigned int i;

	for (i = 0; e->fds != NULL && i < l->slots; i++)
		if (e->fds[i] != -1)
			(void)close(e->fds[i]);
	free(e->fds);
	e->fds = NULL;
}

void
listen_free(struct listeners *l)
{
	unsigned int i;

	if (l == NULL)
		return;
	for (i = 0; i < l->n; i++)
		shut(l, &l->all[i]);
	free(l);
}

/* Shuts and forgets those in either state. */
static void
forget(struct listeners *l, enum state a, enum state b)
{
	unsigned int i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (l->all[i].state == a || l->all[i].state == b)
			shut(l, &l->all[i]);
		else
			l->all[kept++] = l->all[i];
	}
	l->n = kept;
}

static socklen_t
sockaddr_of(struct sockaddr_storage *ss, const struct ipport *at)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (at->addr.family == 4) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(at->port);
		memcpy(&sin->sin_addr, at->addr.b, 4);
		return sizeof(*sin);
	}
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(at->port);
	memcpy(&sin6->sin6_addr, at->addr.b, 16);
	return sizeof(*sin6);
}

/* A bound socket, or -1 with errno. */
static int
bound(const struct ipport *at, bool share)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, on = 1, saved;

	len = sockaddr_of(&ss, at);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
	    sizeof(on)) == 0) &&
	    (ss.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/*
 * SO_REUSEPORT would let us share an address with a server that knows nothing
 * of us: a bind without it shows whether anybody listens there.
 */
static bool
is_free(const struct ipport *at, bool wait)
{
	struct timespec step = { 0, WAIT_STEP_MS * 1000000L };
	unsigned int i;
	int fd;

	for (i = 0; (fd = bound(at, false)) == -1; i++) {
		if (errno != EADDRINUSE)
			return true;	/* the real one will tell */
		if (!wait || i == WAIT_STEPS)
			return false;
		(void)nanosleep(&step, NULL);
	}
	(void)close(fd);
	return true;
}

static int
listening(const struct ipport *at, bool share)
{
	int fd, saved;

	if ((fd = bound(at, share)) == -1)
		return -1;
	if (listen(fd, BACKLOG) == 0 && compat_lock_filter(fd) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* One for each slot; false with errno. */
static bool
open_all(const struct listeners *l, struct listener *e)
{
	bool spreads = compat_reuseport_spreads();
	unsigned int i;
	int saved;

	e->fds = xcalloc(l->slots, sizeof(*e->fds));
	for (i = 0; i < l->slots; i++)
		e->fds[i] = -1;
	for (i = 0; i < l->slots; i++) {
		e->fds[i] = i == 0 || spreads ? listening(&e->at, spreads) :
		    fcntl(e->fds[0], F_DUPFD_CLOEXEC, 0);
		if (e->fds[i] == -1) {
			saved = errno;
			shut(l, e);
			errno = saved;
			return false;
		}
	}
	return true;
}

static struct listener *
find(struct listeners *l, const struct ipport *at)
{
	unsigned int i;

	for (i = 0; i < l->n; i++)
		if (ipport_eq(&l->all[i].at, at))
			return &l->all[i];
	return NULL;
}

/* One of ours has the port: a probe of another address would find that. */
static bool
own_port(const struct listeners *l, uint16_t port)
{
	unsigned int i;

	for (i = 0; i < l->n; i++)
		if (l->all[i].at.port == port)
			return true;
	return false;
}

static bool
probe(const struct listeners *l, const struct conf *conf, bool first,
    char *why, size_t whylen)
{
	const struct conf_addr *a;
	char text[IPPORT_TEXT];
	unsigned int i;

	for (i = 0; i < conf->naddrs; i++) {
		a = &conf->addrs[i];
		if (own_port(l, a->at.port) || is_free(&a->at, first))
			continue;
		ipport_print(text, &a->at);
		(void)snprintf(why, whylen, "%s: another program listens on "
		    "%s", a->where, text);
		return false;
	}
	return true;
}

/* False with the reason; an address of "*" that the host lacks is left out. */
static bool
stage_one(struct listeners *l, const struct conf_addr *a, char *why,
    size_t whylen)
{
	struct listener *e = &l->all[l->n];

	memset(e, 0, sizeof(*e));
	e->at = a->at;
	e->state = L_STAGED;
	ipport_print(e->text, &e->at);
	if (open_all(l, e)) {
		e->number = ++l->last;
		l->n++;
		return true;
	}
	if (a->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		log_info("%s: %s is left out: %s", a->where, e->text,
		    strerror(errno));
		return true;
	}
	(void)snprintf(why, whylen, "%s: cannot listen on %s: %s", a->where,
	    e->text, strerror(errno));
	return false;
}

bool
listen_stage(struct listeners *l, const struct conf *conf, bool first,
    char *why, size_t whylen)
{
	struct listener *e;
	unsigned int i, n = 0;

	listen_discard(l);
	if (!probe(l, conf, first, why, whylen))
		return false;
	for (i = 0; i < l->n; i++)
		l->all[i].state = L_GOING;
	for (i = 0; i < conf->naddrs; i++) {
		e = find(l, &conf->addrs[i].at);
		if (e != NULL)
			e->state = L_NOW;
		else if (!stage_one(l, &conf->addrs[i], why, whylen)) {
			listen_discard(l);
			return false;
		}
	}
	for (i = 0; i < l->n; i++)
		if (l->all[i].state != L_GOING)
			n++;
	if (n > 0)
		return true;
	(void)snprintf(why, whylen, "%s: nothing is left to listen on",
	    conf->addrs[0].where);
	listen_discard(l);
	return false;
}

void
listen_commit(struct listeners *l)
{
	struct listener *e;
	unsigned int i;

	forget(l, L_REMOVED, L_REMOVED);
	for (i = 0; i < l->n; i++) {
		e = &l->all[i];
		if (e->state == L_GOING) {
			shut(l, e);
			e->state = L_REMOVED;
		} else
			e->state = e->state == L_STAGED ? L_ADDED : L_NOW;
	}
}

void
listen_discard(struct listeners *l)
{
	unsigned int i;

	forget(l, L_STAGED, L_REMOVED);
	for (i = 0; i < l->n; i++)
		l->all[i].state = L_NOW;
}

static bool
in_set(const struct listener *e, enum listen_set set)
{
	switch (set) {
	case LISTEN_NOW:
		return e->state == L_NOW || e->state == L_ADDED ||
		    e->state == L_GOING;
	case LISTEN_ADDED:
		return e->state == L_ADDED;
	case LISTEN_REMOVED:
		return e->state == L_REMOVED;
	}
	return false;
}

void
listen_each(const struct listeners *l, enum listen_set set,
    void (*fn)(uint16_t, const char *, const int *, unsigned int, void *),
    void *arg)
{
	const struct listener *e;
	unsigned int i;

	for (i = 0; i < l->n; i++) {
		e = &l->all[i];
		if (in_set(e, set))
			fn(e->number, e->text, e->fds, l->slots, arg);
	}
}

void
listen_print(const struct listeners *l, char *dst, size_t n)
{
	unsigned int i;

	dst[0] = '\0';
	for (i = 0; i < l->n; i++) {
		if (!in_set(&l->all[i], LISTEN_NOW))
			continue;
		if (dst[0] != '\0')
			(void)strlcat(dst, ", ", n);
		(void)strlcat(dst, l->all[i].text, n);
	}
}
