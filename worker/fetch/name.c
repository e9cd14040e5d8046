#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/fetch/hosts.h"
#include "worker/fetch/name.h"

#define TRY_MS		3000	/* for one server, then the next */
#define TRIES		2

/* A socket of c-ares. */
struct sock {
	LIST_ENTRY(sock)	 entry;
	struct ev_fd		*ev_fd;
	int			 fd;
};

struct look {
	name_done		 done;		/* NULL: stopped */
	void			*tag;
	struct timer		 soon;		/* the answer is known */
	bool			 asked;		/* c-ares has it */
	struct ip		 ip[NAME_ADDRS];
	size_t			 n;
	const char		*why;
};

struct name {
	ares_channel		 channel;
	struct ev		*ev;
	struct timer		 timer;
	LIST_HEAD(socks, sock)	 socks;
	char			*hosts;
	char			*servers;	/* wanted, not yet in force */
};

static void	set_timer(struct name *);

static void
on_fd(int fd, unsigned int got, void *arg)
{
	struct name *nm = arg;

	ares_process_fd(nm->channel,
	    (got & EV_F_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (got & EV_F_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	set_timer(nm);
}

static void
on_time(void *arg)
{
	struct name *nm = arg;

	ares_process_fd(nm->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(nm);
}

/* c-ares takes them only while it looks nothing up. */
static void
set_servers(struct name *nm)
{
	int rc;

	if (nm->servers == NULL)
		return;
	rc = ares_set_servers_ports_csv(nm->channel, nm->servers);
	if (rc == ARES_ENOTIMP)
		return;
	if (rc != ARES_SUCCESS)
		log_warnx("nameservers: %s", ares_strerror(rc));
	free(nm->servers);
	nm->servers = NULL;
}

static void
set_timer(struct name *nm)
{
	struct timeval tv;

	if (ares_timeout(nm->channel, NULL, &tv) == NULL) {
		timer_stop(&nm->timer);
		set_servers(nm);
		return;
	}
	timer_in(&nm->timer, (uint64_t)tv.tv_sec * US_PER_S +
	    (uint64_t)tv.tv_usec + US_PER_MS);
}

/* c-ares tells which socket it waits for. */
static void
on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	unsigned int want = (readable != 0 ? EV_F_READ : 0) |
	    (writable != 0 ? EV_F_WRITE : 0);
	struct name *nm = arg;
	struct sock *s;

	LIST_FOREACH(s, &nm->socks, entry)
		if (s->fd == fd)
			break;
	if (s == NULL && want != 0) {
		s = xcalloc(1, sizeof(*s));
		s->fd = fd;
		s->ev_fd = ev_fd_add(nm->ev, fd, want, on_fd, nm);
		LIST_INSERT_HEAD(&nm->socks, s, entry);
	} else if (s != NULL && want != 0)
		ev_fd_want(s->ev_fd, want);
	else if (s != NULL) {
		LIST_REMOVE(s, entry);
		ev_fd_del(s->ev_fd);
		free(s);
	}
}

struct name *
name_new(void)
{
	/* It would look for others in files, and wants one at any rate. */
	struct in_addr self = { .s_addr = htonl(INADDR_LOOPBACK) };
	struct ares_options o;
	struct name *nm;
	char dns[] = "b";
	int rc;

	nm = xcalloc(1, sizeof(*nm));
	LIST_INIT(&nm->socks);
	memset(&o, 0, sizeof(o));
	o.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
	o.timeout = TRY_MS;
	o.tries = TRIES;
	o.servers = &self;
	o.nservers = 1;
	o.lookups = dns;
	o.sock_state_cb = on_state;
	o.sock_state_cb_data = nm;
	if ((rc = ares_library_init(ARES_LIB_INIT_ALL)) != ARES_SUCCESS ||
	    (rc = ares_init_options(&nm->channel, &o, ARES_OPT_FLAGS |
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SERVERS |
	    ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
	    ARES_OPT_SOCK_STATE_CB)) != ARES_SUCCESS)
		fatalx("c-ares: %s", ares_strerror(rc));
	return nm;
}

void
name_open(struct name *nm, struct ev *ev)
{
	nm->ev = ev;
	timer_init(&nm->timer, ev_env(ev), on_time, nm);
}

void
name_load(struct name *nm, struct slice hosts, struct slice resolv)
{
	struct ip ip[HOSTS_SERVERS];
	char text[IP_TEXT];
	struct buf csv = { 0 };
	size_t i, n;

	free(nm->hosts);
	nm->hosts = slice_dup(hosts);
	if ((n = hosts_servers(resolv, ip)) == 0)
		buf_str(&csv, "127.0.0.1");
	for (i = 0; i < n; i++) {
		(void)ip_print(text, &ip[i]);
		buf_str(&csv, i == 0 ? "" : ",");
		buf_printf(&csv, ip[i].family == 6 ? "[%s]:53" : "%s:53", text);
	}
	free(nm->servers);
	nm->servers = slice_dup(buf_slice_of(&csv));
	set_servers(nm);
	buf_free(&csv);
}

static void
look_end(struct look *l)
{
	if (l->done != NULL)
		l->done(l->tag, l->ip, l->n, l->n > 0 ? NULL : l->why);
	timer_stop(&l->soon);
	free(l);
}

static void
on_soon(void *arg)
{
	look_end(arg);
}

static void
take(struct look *l, const struct ares_addrinfo_node *a)
{
	struct ipport at;

	for (; a != NULL && l->n < NAME_ADDRS; a = a->ai_next) {
		ipport_from(&at, a->ai_addr);
		if (at.addr.family != 0)
			l->ip[l->n++] = at.addr;
	}
}

/* From within ares_getaddrinfo(), too, so that the end comes later. */
static void
on_found(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	struct look *l = arg;

	(void)timeouts;
	if (found != NULL) {
		take(l, found->nodes);
		ares_freeaddrinfo(found);
	}
	l->why = status != ARES_SUCCESS ? ares_strerror(status) :
	    "the name has no address";
	l->asked = false;
	timer_in(&l->soon, 0);
}

void *
name_find(struct name *nm, const char *host, name_done done, void *tag)
{
	struct ares_addrinfo_hints hints;
	struct look *l;

	l = xcalloc(1, sizeof(*l));
	l->done = done;
	l->tag = tag;
	timer_init(&l->soon, ev_env(nm->ev), on_soon, l);
	l->n = hosts_find(slice_str(nm->hosts), host, l->ip, NAME_ADDRS);
	if (l->n > 0) {
		timer_in(&l->soon, 0);
		return l;
	}
	memset(&hints, 0, sizeof(hints));
	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	/* Sorting would connect a socket to each. */
	hints.ai_flags = ARES_AI_NOSORT;
	l->asked = true;
	ares_getaddrinfo(nm->channel, host, NULL, &hints, on_found, l);
	set_timer(nm);
	return l;
}

void
name_stop(struct name *nm, void *job)
{
	struct look *l = job;

	(void)nm;
	l->done = NULL;
	if (!l->asked)
		look_end(l);
}
