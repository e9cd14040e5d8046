/*
 * headscaled-stun: answers on UDP sockets that master has bound.  All that it
 * has is these and its CFG link.
 */

#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/compat/compat.h"
#include "common/compat/pktinfo.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/str.h"
#include "worker/stun/stun.h"

/* Datagrams in a row from one socket. */
#define BATCH		64

struct sock {
	LIST_ENTRY(sock)	 entry;
	struct stun_main	*main;
	struct ev_fd		*ev_fd;		/* NULL: not started yet */
	int			 fd;
	uint16_t		 listener;
};

struct stun_main {
	struct child		*child;
	struct stun		*core;
	LIST_HEAD(socks, sock)	 socks;
	struct m_cfg_conf_stun	 staged;
	bool			 started;
};

/* A datagram and whence it came. */
struct datagram {
	struct msghdr		 msg;
	struct iovec		 iov;
	struct sockaddr_storage	 from;
	uint8_t			 octets[STUN_REQUEST_MAX];
	/* As long as any, and as a cmsghdr wants to lie. */
	union {
		struct cmsghdr	 align;
		uint8_t		 room[COMPAT_PKTINFO_ROOM];
	} control;
};

static ssize_t
receive(int fd, struct datagram *d)
{
	memset(&d->msg, 0, sizeof(d->msg));
	memset(&d->from, 0, sizeof(d->from));
	d->iov.iov_base = d->octets;
	d->iov.iov_len = sizeof(d->octets);
	d->msg.msg_name = &d->from;
	d->msg.msg_namelen = sizeof(d->from);
	d->msg.msg_iov = &d->iov;
	d->msg.msg_iovlen = 1;
	d->msg.msg_control = &d->control;
	d->msg.msg_controllen = sizeof(d->control);
	return recvmsg(fd, &d->msg, 0);
}

/* From the address that was asked to the one that asks. */
static void
answer(struct stun_main *sm, int fd, struct datagram *d, size_t n)
{
	uint8_t reply[STUN_REPLY_MAX];
	struct ipport from;
	size_t len;

	if ((d->msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    !compat_pktinfo_turn(&d->msg)) {
		stun_drop(sm->core);
		return;
	}
	ipport_from(&from, (const struct sockaddr *)&d->from);
	len = stun_answer(sm->core, env_now(ev_env(child_ev(sm->child))),
	    &from, d->octets, n, reply);
	if (len == 0)
		return;
	d->iov.iov_base = reply;
	d->iov.iov_len = len;
	if (d->msg.msg_controllen == 0)
		d->msg.msg_control = NULL;
	/* A lost answer is asked for again. */
	(void)sendmsg(fd, &d->msg, 0);
}

static void
on_readable(int fd, unsigned int got, void *arg)
{
	struct sock *s = arg;
	struct datagram d;
	unsigned int i;
	ssize_t n;

	(void)got;
	for (i = 0; i < BATCH; i++) {
		if ((n = receive(fd, &d)) == -1) {
			if (errno == EINTR)
				continue;
			return;
		}
		answer(s->main, fd, &d, (size_t)n);
	}
}

static void
sock_start(struct sock *s)
{
	if (s->ev_fd == NULL)
		s->ev_fd = ev_fd_add(child_ev(s->main->child), s->fd,
		    EV_F_READ, on_readable, s);
}

static void
sock_close(struct sock *s)
{
	LIST_REMOVE(s, entry);
	ev_fd_del(s->ev_fd);
	(void)close(s->fd);
	free(s);
}

static void
take_listen(struct stun_main *sm, const struct msg *m)
{
	struct sock *s;

	s = xcalloc(1, sizeof(*s));
	s->main = sm;
	s->fd = m->fd;
	s->listener = m->u.cfg_listen.listener;
	LIST_INSERT_HEAD(&sm->socks, s, entry);
	if (sm->started)
		sock_start(s);
	log_debug("socket address=%s", log_vis(m->u.cfg_listen.address));
}

static void
take_unlisten(struct stun_main *sm, uint16_t listener)
{
	struct sock *s;

	LIST_FOREACH(s, &sm->socks, entry)
		if (s->listener == listener) {
			sock_close(s);
			return;
		}
}

static void
put_limits(struct stun_main *sm)
{
	stun_limit(sm->core, sm->staged.source_rate, sm->staged.source_burst);
}

static void
on_stat(struct m_cfg_stat *to, void *arg)
{
	struct stun_main *sm = arg;
	const struct stun_counts *now = stun_counts(sm->core);

	to->counts.stun_answered = now->answered;
	to->counts.stun_malformed = now->malformed;
	to->counts.stun_sources = now->sources;
	to->counts.stun_limited = now->limited;
}

static void
on_boot(struct child *c, const struct m_cfg_boot *boot, void *arg)
{
	struct stun_main *sm = arg;
	uint8_t key[STUN_KEY];

	(void)boot;
	sm->child = c;
	env_random(ev_env(child_ev(c)), key, sizeof(key));
	sm->core = stun_new(key);
}

static void
on_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	struct stun_main *sm = arg;

	(void)c;
	(void)tag;
	switch (m->type) {
	case M_CFG_CONF_STUN:
		sm->staged = m->u.cfg_conf_stun;
		break;
	case M_CFG_LISTEN:
		take_listen(sm, m);
		break;
	case M_CFG_UNLISTEN:
		take_unlisten(sm, m->u.cfg_unlisten.listener);
		break;
	default:
		child_drop(m);
		break;
	}
}

static bool
on_stage(struct child *c, uint32_t epoch, char *why, size_t whylen, void *arg)
{
	struct stun_main *sm = arg;

	(void)c;
	return child_conf_came(sm->staged.epoch, epoch, why, whylen);
}

static void
on_commit(struct child *c, uint32_t epoch, void *arg)
{
	struct stun_main *sm = arg;

	(void)c;
	if (sm->staged.epoch == epoch)
		put_limits(sm);
}

static void
on_start(struct child *c, void *arg)
{
	struct stun_main *sm = arg;
	struct sock *s;

	sm->started = true;
	put_limits(sm);
	LIST_FOREACH(s, &sm->socks, entry)
		sock_start(s);
	child_title(c, "answers");
	sandbox_started(ROLE_STUN);
}

int
main(int argc, char **argv)
{
	static struct stun_main sm;
	static const struct child_ops ops = {
		.role = ROLE_STUN,
		.name = "headscaled-stun",
		.on_boot = on_boot,
		.on_cfg = on_cfg,
		.on_stage = on_stage,
		.on_commit = on_commit,
		.on_start = on_start,
		.on_stat = on_stat
	};

	LIST_INIT(&sm.socks);
	child_main(&ops, argc, argv, &sm);
}
