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
#include "common/compat/pktinfo.h"
#include "common/compat/root.h"
#include "common/log.h"
#include "common/str.h"
#include "master/listen.h"

#define BACKLOG		4096
#define UDP_ROOM	(1 << 20)	/* octets of datagrams that wait */
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
	enum conf_kind	 kind;
	bool		 proxy;
	char		 text[IPPORT_TEXT];
	int		*fds;
};

/* What is in force and what is staged, or what has just been removed. */
#define LISTENERS_MAX	(2 * (CONF_ADDRS_MAX + 2))

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

static unsigned int
count(const struct listeners *l, const struct listener *e)
{
	return e->kind == CONF_UDP ? 1 : l->slots;
}

static void
shut(const struct listeners *l, struct listener *e)
{
	unsigned int i;

	for (i = 0; e->fds != NULL && i < count(l, e); i++)
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

/* Closes it; -1 with the errno that was. */
static int
gave_up(int fd)
{
	int saved = errno;

	(void)close(fd);
	errno = saved;
	return -1;
}

/*
 * A bound socket, or -1 with errno.  Nobody may share a UDP port with us: he
 * would take the datagrams.
 */
static int
bound(const struct ipport *at, int type, bool share)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, on = 1;

	len = sockaddr_of(&ss, at);
	fd = socket(ss.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if ((type == SOCK_DGRAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR,
	    &on, sizeof(on)) == 0) &&
	    (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
	    sizeof(on)) == 0) &&
	    (ss.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	return gave_up(fd);
}

/* Shared with nobody; wait: for who just had it and ends. */
static int
bound_alone(const struct ipport *at, int type, bool wait)
{
	struct timespec step = { 0, WAIT_STEP_MS * 1000000L };
	unsigned int i;
	int fd;

	for (i = 0; (fd = bound(at, type, false)) == -1; i++) {
		if (errno != EADDRINUSE || !wait || i == WAIT_STEPS)
			break;
		(void)nanosleep(&step, NULL);
	}
	return fd;
}

/*
 * SO_REUSEPORT would let us share an address with a server that knows nothing
 * of us: a bind without it shows whether anybody listens there.
 */
static bool
is_free(const struct ipport *at, bool wait)
{
	int fd;

	if ((fd = bound_alone(at, SOCK_STREAM, wait)) == -1)
		return errno != EADDRINUSE;	/* the real one will tell */
	(void)close(fd);
	return true;
}

static int
listening(const struct ipport *at, bool share)
{
	int fd;

	if ((fd = bound(at, SOCK_STREAM, share)) == -1)
		return -1;
	if (listen(fd, BACKLOG) == 0 && compat_lock_filter(fd) == 0)
		return fd;
	return gave_up(fd);
}

/* That of STUN; wait: for one that a master just left behind. */
static int
answering(const struct ipport *at, bool wait)
{
	int fd, room = UDP_ROOM;

	if ((fd = bound_alone(at, SOCK_DGRAM, wait)) == -1)
		return -1;
	/* As much as the system grants of it; without, it works too. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (compat_pktinfo_ask(fd, at->addr.family == 4 ? AF_INET :
	    AF_INET6) == 0 && compat_lock_filter(fd) == 0)
		return fd;
	return gave_up(fd);
}

/* One for each slot, or those of old; false with errno. */
static bool
open_all(const struct listeners *l, struct listener *e,
    const struct listener *old, bool wait)
{
	bool spreads = compat_reuseport_spreads();
	unsigned int i, n = count(l, e);
	int saved;

	e->fds = xcalloc(n, sizeof(*e->fds));
	for (i = 0; i < n; i++)
		e->fds[i] = -1;
	for (i = 0; i < n; i++) {
		if (old != NULL)
			e->fds[i] = fcntl(old->fds[i], F_DUPFD_CLOEXEC, 0);
		else if (e->kind == CONF_UDP)
			e->fds[i] = answering(&e->at, wait);
		else
			e->fds[i] = i == 0 || spreads ?
			    listening(&e->at, spreads) :
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

/* What has the address now, whatever is spoken there. */
static struct listener *
find(struct listeners *l, const struct conf_addr *a)
{
	unsigned int i;

	for (i = 0; i < l->n; i++)
		if (l->all[i].state == L_GOING &&
		    (l->all[i].kind == CONF_UDP) == (a->kind == CONF_UDP) &&
		    ipport_eq(&l->all[i].at, &a->at))
			return &l->all[i];
	return NULL;
}

/* Of both lists of a configuration. */
static const struct conf_addr *
address(const struct conf *conf, unsigned int i)
{
	if (i < conf->naddrs)
		return &conf->addrs[i];
	return i < conf->naddrs + conf->derp.nstun ?
	    &conf->derp.stun[i - conf->naddrs] : NULL;
}

/* One of ours has the port: a probe of another address would find that. */
static bool
own_port(const struct listeners *l, uint16_t port)
{
	unsigned int i;

	for (i = 0; i < l->n; i++)
		if (l->all[i].kind != CONF_UDP && l->all[i].at.port == port)
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
stage_one(struct listeners *l, const struct conf_addr *a,
    const struct listener *old, bool first, char *why, size_t whylen)
{
	struct listener *e = &l->all[l->n];

	memset(e, 0, sizeof(*e));
	e->at = a->at;
	e->kind = a->kind;
	e->proxy = a->proxy;
	e->state = L_STAGED;
	ipport_print(e->text, &e->at);
	if (open_all(l, e, old, first)) {
		e->number = ++l->last;
		l->n++;
		return true;
	}
	if (a->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		log_info("%s: %s is left out: %s", a->where, e->text,
		    strerror(errno));
		return true;
	}
	(void)snprintf(why, whylen, "%s: cannot listen on %s%s: %s", a->where,
	    a->kind == CONF_UDP ? "UDP " : "", e->text, strerror(errno));
	return false;
}

bool
listen_stage(struct listeners *l, const struct conf *conf, bool first,
    char *why, size_t whylen)
{
	const struct conf_addr *a;
	struct listener *e;
	unsigned int i, n = 0;

	listen_discard(l);
	if (!probe(l, conf, first, why, whylen))
		return false;
	for (i = 0; i < l->n; i++)
		l->all[i].state = L_GOING;
	for (i = 0; (a = address(conf, i)) != NULL; i++) {
		e = find(l, a);
		if (e != NULL && e->kind == a->kind && e->proxy == a->proxy)
			e->state = L_NOW;
		else if (!stage_one(l, a, e, first, why, whylen)) {
			listen_discard(l);
			return false;
		}
	}
	for (i = 0; i < l->n; i++)
		if (l->all[i].state != L_GOING && l->all[i].kind != CONF_UDP)
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
    void (*fn)(const struct listening *, void *), void *arg)
{
	const struct listener *e;
	struct listening shown;
	unsigned int i;

	for (i = 0; i < l->n; i++) {
		e = &l->all[i];
		if (!in_set(e, set))
			continue;
		shown.number = e->number;
		shown.kind = e->kind;
		shown.proxy = e->proxy;
		shown.text = e->text;
		shown.fds = e->fds;
		shown.nfds = count(l, e);
		fn(&shown, arg);
	}
}

void
listen_print(const struct listeners *l, bool udp, char *dst, size_t n)
{
	unsigned int i;

	dst[0] = '\0';
	for (i = 0; i < l->n; i++) {
		if (!in_set(&l->all[i], LISTEN_NOW) ||
		    (l->all[i].kind == CONF_UDP) != udp)
			continue;
		if (dst[0] != '\0')
			(void)strlcat(dst, ", ", n);
		(void)strlcat(dst, l->all[i].text, n);
	}
}
