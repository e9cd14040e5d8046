#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/compat/compat.h"
#include "common/ev.h"
#include "common/log.h"

struct ev_fd {
	struct ev		*ev;
	struct event		 event;
	int			 fd;
	unsigned int		 want;
	void			(*fn)(int, unsigned int, void *);
	void			*arg;
};

struct sig {
	TAILQ_ENTRY(sig)	 next;
	struct event		 event;
	void			(*fn)(int, void *);
	void			*arg;
};

/*
 * A link's socket.  Reading and writing have an imsgbuf each, because a
 * descriptor may often go one way only: the side that must not receive any
 * then reads with read(2), and the one that sends none never calls sendmsg(2),
 * which its seccomp filter lacks.
 */
struct pipe {
	TAILQ_ENTRY(pipe)	 all;
	TAILQ_ENTRY(pipe)	 dirty_next;
	struct ev		*ev;
	struct link		*link;
	struct imsgbuf		 rx;
	struct imsgbuf		 tx;
	struct event		 rd;
	struct event		 wr;
	int			 fd;
	bool			 dirty;		/* in ev->dirty */
	bool			 full;		/* waits for wr */
	bool			 broken;	/* nobody reads what we write */
	bool			 busy;		/* on_readable is running */
	bool			 closed;
};
TAILQ_HEAD(pipes, pipe);

struct ev {
	struct event_base	*base;
	struct env		*env;
	struct event		 wake;
	struct pipes		 pipes;
	struct pipes		 dirty;		/* to be written this turn */
	TAILQ_HEAD(sigs, sig)	 sigs;
	bool			 again;
	bool			 stop;
};

/* The world. */

static void
real_random(void *arg, void *p, size_t n)
{
	(void)arg;
	arc4random_buf(p, n);
}

static void	flush(struct ev *);

static void
real_end(void *arg, int code, const char *why)
{
	struct ev *ev = arg;

	if (code != 0)
		log_warnx("%s", why);
	flush(ev);		/* the last words, as far as they fit */
	exit(code);
}

static const struct env_ops real_ops = {
	env_real_now, env_real_wall, real_random, real_end
};

/* libevent's own complaints. */

static void
on_log(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warnx("libevent: %s", text);
}

static void
on_fatal(int code)
{
	fatalx("libevent gave up code=%d", code);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/*
 * All that libevent needs from the kernel (epoll, a timer, the pipe for
 * signals) is made here: a child calls this before its filter forbids it.
 */
static struct ev *
loop_new(bool poll_only)
{
	static const char *const others[] = {
		"epoll", "kqueue", "devpoll", "evport", "select"
	};
	struct event_config *conf;
	struct ev *ev;
	size_t i;

	/* A link's end is an error of write(2), not ours. */
	(void)signal(SIGPIPE, SIG_IGN);
	event_set_log_callback(on_log);
	event_set_fatal_callback(on_fatal);
	ev = xcalloc(1, sizeof(*ev));
	TAILQ_INIT(&ev->pipes);
	TAILQ_INIT(&ev->dirty);
	TAILQ_INIT(&ev->sigs);
	/* By its cheaper clock timers are late by 3 ms on average. */
	if ((conf = event_config_new()) == NULL)
		fatalx("event loop cannot be made");
	for (i = 0; poll_only && i < sizeof(others) / sizeof(others[0]); i++)
		(void)event_config_avoid_method(conf, others[i]);
	if (event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK |
	    EVENT_BASE_FLAG_IGNORE_ENV |
	    EVENT_BASE_FLAG_PRECISE_TIMER) == -1 ||
	    (ev->base = event_base_new_with_config(conf)) == NULL)
		fatalx("event loop cannot be made");
	event_config_free(conf);
	if (evtimer_assign(&ev->wake, ev->base, on_wake, ev) == -1)
		fatalx("event cannot be made");
	ev->env = env_new(&real_ops, ev);
	return ev;
}

struct ev *
ev_new(void)
{
	return loop_new(false);
}

struct ev *
ev_new_poll(void)
{
	return loop_new(true);
}

void
ev_free(struct ev *ev)
{
	struct sig *s;

	if (ev == NULL)
		return;
	if (!TAILQ_EMPTY(&ev->pipes))
		fatalx("ev_free: links are open");
	while ((s = TAILQ_FIRST(&ev->sigs)) != NULL) {
		TAILQ_REMOVE(&ev->sigs, s, next);
		(void)event_del(&s->event);
		free(s);
	}
	(void)event_del(&ev->wake);
	env_free(ev->env);
	event_base_free(ev->base);
	free(ev);
}

struct env *
ev_env(struct ev *ev)
{
	return ev->env;
}

/* Descriptors and signals. */

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct ev_fd *f = arg;
	unsigned int got = 0;

	if (what & EV_READ)
		got |= EV_F_READ;
	if (what & EV_WRITE)
		got |= EV_F_WRITE;
	f->fn(fd, got, f->arg);
}

/* f->event is not pending. */
static void
fd_arm(struct ev_fd *f)
{
	short what = EV_PERSIST;

	if (f->want == 0)
		return;
	if (f->want & EV_F_READ)
		what |= EV_READ;
	if (f->want & EV_F_WRITE)
		what |= EV_WRITE;
	if (event_assign(&f->event, f->ev->base, f->fd, what, on_fd, f) == -1 ||
	    event_add(&f->event, NULL) == -1)
		fatalx("event cannot be added");
}

struct ev_fd *
ev_fd_add(struct ev *ev, int fd, unsigned int want,
    void (*fn)(int, unsigned int, void *), void *arg)
{
	struct ev_fd *f;

	f = xcalloc(1, sizeof(*f));
	f->ev = ev;
	f->fd = fd;
	f->want = want;
	f->fn = fn;
	f->arg = arg;
	fd_arm(f);
	return f;
}

void
ev_fd_want(struct ev_fd *f, unsigned int want)
{
	if (f->want == want)
		return;
	if (f->want != 0)
		(void)event_del(&f->event);
	f->want = want;
	fd_arm(f);
}

void
ev_fd_del(struct ev_fd *f)
{
	if (f == NULL)
		return;
	if (f->want != 0)
		(void)event_del(&f->event);
	free(f);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct sig *s = arg;

	(void)what;
	s->fn(signo, s->arg);
}

void
ev_signal(struct ev *ev, int signo, void (*fn)(int, void *), void *arg)
{
	struct sig *s;

	s = xcalloc(1, sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	TAILQ_INSERT_TAIL(&ev->sigs, s, next);
	if (evsignal_assign(&s->event, ev->base, signo, on_signal, s) == -1 ||
	    evsignal_add(&s->event, NULL) == -1)
		fatalx("signal handler cannot be set");
}

/* Links. */

static void
pipe_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd)
{
	struct pipe *pp = arg;

	if (pp->broken) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	if (imsg_compose(&pp->tx, type, id, 0, fd, p, n) == -1)
		fatal("message cannot be queued length=%zu", n);
	if (!pp->dirty && !pp->full) {
		pp->dirty = true;
		TAILQ_INSERT_TAIL(&pp->ev->dirty, pp, dirty_next);
	}
}

static size_t
pipe_queued(void *arg)
{
	struct pipe *pp = arg;

	return imsgbuf_queued(&pp->tx);
}

/* Writes what the socket takes now and sees to the rest. */
static void
pipe_write(struct pipe *pp)
{
	bool left;

	if (pp->dirty) {
		pp->dirty = false;
		TAILQ_REMOVE(&pp->ev->dirty, pp, dirty_next);
	}
	if (imsgbuf_write(&pp->tx) == -1) {
		/*
		 * The peer is gone, but what it said before may still wait
		 * to be read: the end comes when that is done.
		 */
		pp->broken = true;
		imsgbuf_clear(&pp->tx);
		event_active(&pp->rd, EV_READ, 0);
	}
	left = imsgbuf_queuelen(&pp->tx) > 0;
	if (left == pp->full)
		return;
	pp->full = left;
	if ((left ? event_add(&pp->wr, NULL) : event_del(&pp->wr)) == -1)
		fatalx("event cannot be changed");
}

static void
pipe_close(void *arg)
{
	struct pipe *pp = arg;

	if (!pp->broken)	/* a refusal should still arrive */
		(void)imsgbuf_write(&pp->tx);
	if (pp->dirty)
		TAILQ_REMOVE(&pp->ev->dirty, pp, dirty_next);
	TAILQ_REMOVE(&pp->ev->pipes, pp, all);
	(void)event_del(&pp->rd);
	(void)event_del(&pp->wr);
	imsgbuf_clear(&pp->rx);
	imsgbuf_clear(&pp->tx);
	(void)close(pp->fd);
	pp->closed = true;
	if (!pp->busy)
		free(pp);
}

static const struct link_io pipe_io = {
	pipe_send, pipe_queued, pipe_close
};

/* Hands over what was read, as long as the link lives. */
static void
pipe_deliver(struct pipe *pp)
{
	struct imsg imsg;
	int rc;

	while (!pp->closed && (rc = imsgbuf_get(&pp->rx, &imsg)) != 0) {
		if (rc == -1) {
			link_violation(pp->link, errno == EPROTO ?
			    LINK_BAD_FD : LINK_BAD_BODY);
			return;
		}
		link_input_imsg(pp->link, &imsg);
	}
}

static bool
readable(int fd)
{
	struct pollfd pfd;

	pfd.fd = fd;
	pfd.events = POLLIN;
	return poll(&pfd, 1, 0) == 1;
}

/* One read, of at most 64 KB: the others have their turn. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct pipe *pp = arg;
	int rc;

	(void)what;
	rc = imsgbuf_read(&pp->rx);
	if (rc == -1 && (errno == EBADMSG || errno == ERANGE)) {
		link_violation(pp->link, LINK_BAD_BODY);
		return;
	}
	/* Our own lack, for which nobody else is to blame. */
	if (rc == -1 && errno == EMFILE) {
		env_end(pp->ev->env, 1, "out of file descriptors: the limit "
		    "of open files is too low");
		return;
	}
	if (rc != 1) {
		link_eof(pp->link);
		return;
	}
	pp->busy = true;
	pipe_deliver(pp);
	pp->busy = false;
	if (pp->closed)
		free(pp);
	else if (pp->broken && !readable(fd))
		link_eof(pp->link);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pipe_write(arg);
}

/* True if the table lets a descriptor go from one role to the other. */
static bool
fds_go(enum msg_link kind, enum role from, enum role to)
{
	unsigned int t;

	for (t = M_NONE + 1; t < M_MAX; t++)
		if (msg_wants_fd((enum msg_type)t) &&
		    (msg_permitted(t, from, to, kind, MSG_SETUP) ||
		    msg_permitted(t, from, to, kind, MSG_RUN)))
			return true;
	return false;
}

static void
set_nonblock(int fd)
{
	int flags;

	if ((flags = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		fatal("link cannot be made non-blocking");
}

static void
buf_open(struct imsgbuf *b, int fd, bool fds)
{
	if (imsgbuf_init(b, fd) == -1 ||
	    imsgbuf_set_maxsize(b, MSG_MAX + IMSG_HEADER_SIZE) == -1)
		fatal("imsgbuf_init");
	if (fds)
		imsgbuf_allow_fdpass(b);
}

struct link *
ev_link(struct ev *ev, const struct link_conf *conf, int fd)
{
	struct pipe *pp;

	set_nonblock(fd);
	pp = xcalloc(1, sizeof(*pp));
	pp->ev = ev;
	pp->fd = fd;
	buf_open(&pp->rx, fd, fds_go(conf->kind, conf->peer, conf->self));
	buf_open(&pp->tx, fd, fds_go(conf->kind, conf->self, conf->peer));
	if (event_assign(&pp->rd, ev->base, fd, EV_READ | EV_PERSIST,
	    on_readable, pp) == -1 ||
	    event_assign(&pp->wr, ev->base, fd, EV_WRITE | EV_PERSIST,
	    on_writable, pp) == -1 || event_add(&pp->rd, NULL) == -1)
		fatalx("event cannot be added");
	TAILQ_INSERT_TAIL(&ev->pipes, pp, all);
	pp->link = link_new(ev->env, conf, &pipe_io, pp);
	return pp->link;
}

static struct pipe *
pipe_of(struct ev *ev, const struct link *l)
{
	struct pipe *pp;

	TAILQ_FOREACH(pp, &ev->pipes, all)
		if (pp->link == l)
			return pp;
	return NULL;		/* it is down */
}

/* False: not for so long. */
static bool
wait_readable(struct ev *ev, int fd, uint64_t wait)
{
	uint64_t now, left, until = env_now(ev->env) + wait;
	struct pollfd pfd;
	struct timespec ts;
	int rc;

	pfd.fd = fd;
	pfd.events = POLLIN;
	do {
		now = env_now(ev->env);
		left = now < until ? until - now : 0;
		ts.tv_sec = (time_t)(left / US_PER_S);
		ts.tv_nsec = (long)(left % US_PER_S) * 1000;
		rc = ppoll(&pfd, 1, &ts, NULL);
	} while (rc == -1 && errno == EINTR);
	return rc == 1;
}

bool
ev_link_now(struct ev *ev, struct link *l, uint64_t wait)
{
	struct pipe *pp;

	if ((pp = pipe_of(ev, l)) == NULL)
		return true;
	if (pp->dirty)
		pipe_write(pp);
	if (wait == 0)
		return true;
	if (pp->busy)
		fatalx("ev_link_now: from the link's own handler");
	if (!wait_readable(ev, pp->fd, wait))
		return false;
	on_readable(pp->fd, EV_READ, pp);
	return true;
}

/* The loop. */

/* One writev for all that a link was given since the last time. */
static void
flush(struct ev *ev)
{
	struct pipe *pp;

	while ((pp = TAILQ_FIRST(&ev->dirty)) != NULL)
		pipe_write(pp);
}

/* Sleeps until a descriptor is ready or a timer is due. */
static void
wait_round(struct ev *ev)
{
	struct timeval tv;
	uint64_t due, now, left;
	int flags = EVLOOP_ONCE;

	due = env_next(ev->env);
	if (ev->again)
		flags |= EVLOOP_NONBLOCK;
	else if (due == ENV_NEVER)
		(void)evtimer_del(&ev->wake);
	else if (due <= (now = env_now(ev->env)))
		flags |= EVLOOP_NONBLOCK;
	else {
		left = due - now;
		tv.tv_sec = (time_t)(left / US_PER_S);
		tv.tv_usec = (suseconds_t)(left % US_PER_S);
		if (evtimer_add(&ev->wake, &tv) == -1)
			fatalx("timer cannot be set");
	}
	ev->again = false;
	if (event_base_loop(ev->base, flags) == -1)
		fatalx("event loop failed");
}

void
ev_run(struct ev *ev, void (*turn)(void *), void *arg)
{
	while (!ev->stop) {
		flush(ev);
		wait_round(ev);
		env_run(ev->env);
		if (turn != NULL)
			turn(arg);
	}
	flush(ev);
	ev->stop = false;
}

void
ev_stop(struct ev *ev)
{
	ev->stop = true;
}

void
ev_again(struct ev *ev)
{
	ev->again = true;
}
