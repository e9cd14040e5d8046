#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/child.h"
#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/log.h"
#include "common/sandbox.h"

#define CFG_FD		3
#define BOOT_WAIT_US	(10 * US_PER_S)
/* Octets for master that wait; a CFG_STAT has some 700. */
#define STAT_QUEUE	4096
#define WHY_LEN		sizeof(((struct m_cfg_staged *)NULL)->text)

struct child {
	const struct child_ops	*ops;
	void			*arg;
	struct ev		*ev;
	struct link		*cfg;
	struct timer		 boot_due;
	struct timer		 stat_due;
	struct m_cfg_boot	 boot;
	struct m_cfg_stat	 said;		/* to master */
	char			 dir[256];
	bool			 booted;
	bool			 ready;		/* CFG_READY is sent */
	bool			 started;
	bool			 stat_now;	/* at the end of this turn */
	bool			 stopping;
};

/* True if fd is a connected UNIX stream socket, as master leaves it. */
static bool
is_link(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int type;

	if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1 ||
	    ss.ss_family != AF_UNIX)
		return false;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_STREAM;
}

/* Before CFG_BOOT tells: the log is a datagram socket, stderr is not. */
static bool
is_syslog(int fd)
{
	struct stat st;
	socklen_t len;
	int type;

	if (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_DGRAM;
}

/*
 * Ends, reloads and stops are master's to decide, who says so on CFG: a
 * signal to one child alone means nothing.  SIGXFSZ would turn a refused
 * write into a death.
 */
static void
ignore_signals(void)
{
	static const int none[] = {
		SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
		SIGXFSZ
	};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (signal(none[i], SIG_IGN) == SIG_ERR)
			fatal("signal %d", none[i]);
}

static void
on_boot_due(void *arg)
{
	(void)arg;
	fatalx("master sent no CFG_BOOT in time");
}

static void
take_boot(struct child *c, const struct m_cfg_boot *m)
{
	struct sandbox_conf conf;

	if (m->role != c->ops->role)
		fatalx("started as %s, this is %s", role_name(m->role),
		    role_name(c->ops->role));
	if (!slice_copy(c->dir, sizeof(c->dir), m->dir))
		fatalx("folder name cannot be used");
	timer_stop(&c->boot_due);
	c->booted = true;
	c->boot = *m;
	c->boot.dir = slice_str(c->dir);
	log_init(c->ops->name, STDERR_FILENO, !m->to_stderr, m->verbose);
	if (m->slot != 0)
		child_title(c, "slot %u", m->slot);
	else
		child_title(c, "generation %llu",
		    (unsigned long long)m->generation);
	memset(&conf, 0, sizeof(conf));
	conf.role = c->ops->role;
	conf.drop = m->drop;
	conf.uid = m->uid;
	conf.gid = m->gid;
	conf.dir = c->dir;
	sandbox_enter(&conf);
	c->ops->on_boot(c, &c->boot, c->arg);
}

/* The configuration is complete: what does the role say to it? */
static void
take_stage(struct child *c, const struct msg *m)
{
	char why[WHY_LEN];
	struct msg r;

	memset(why, 0, sizeof(why));
	msg_init(&r, M_CFG_STAGED);
	r.id = m->id;
	r.u.cfg_staged.epoch = m->u.cfg_stage.epoch;
	r.u.cfg_staged.ok = c->ops->on_stage(c, m->u.cfg_stage.epoch, why,
	    sizeof(why), c->arg);
	if (!r.u.cfg_staged.ok)
		memcpy(r.u.cfg_staged.text, why, strnlen(why, WHY_LEN - 1));
	link_reply(c->cfg, &r);
	if (!r.u.cfg_staged.ok || c->ready || link_state(c->cfg) != MSG_SETUP)
		return;
	c->ready = true;
	msg_init(&r, M_CFG_READY);
	link_send(c->cfg, &r);
}

static void
on_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct child *c = arg;

	if (c->booted == (m->type == M_CFG_BOOT)) {
		link_violation(l, LINK_BAD_TYPE);	/* ends us */
		return;
	}
	switch (m->type) {
	case M_CFG_BOOT:
		take_boot(c, &m->u.cfg_boot);
		break;
	case M_CFG_STAGE:
		take_stage(c, m);
		break;
	case M_CFG_START:
		link_set_state(l, MSG_RUN);
		c->started = true;
		c->ops->on_start(c, c->arg);
		break;
	case M_CFG_COMMIT:
		c->ops->on_commit(c, m->u.cfg_commit.epoch, c->arg);
		break;
	case M_CFG_DISCARD:
		if (c->ops->on_discard != NULL)
			c->ops->on_discard(c, m->u.cfg_discard.epoch, c->arg);
		break;
	case M_CFG_STOP:
		if (c->ops->on_stop == NULL)
			child_exit(c);
		if (!c->stopping) {
			c->stopping = true;
			c->ops->on_stop(c, c->arg);
		}
		break;
	case M_CFG_LOG:
		log_move(m->fd);
		break;
	case M_CFG_VERBOSE:
		log_verbose(m->u.cfg_verbose.verbose);
		break;
	default:
		c->ops->on_cfg(c, m, tag, c->arg);
		break;
	}
}

/* Without master there is nothing to do and nobody to tell. */
static void
on_cfg_down(struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)arg;
	if (why == LINK_EOF)
		exit(0);
	fatalx("link to master is down: %s", link_why_text(why));
}

static void
on_stat_due(void *arg)
{
	struct child *c = arg;

	c->stat_now = true;
}

/* A master that does not listen is not told ever more. */
static void
say_stat(struct child *c)
{
	struct msg m;

	if (link_queued(c->cfg) > STAT_QUEUE) {
		timer_in_s(&c->stat_due, 1);
		return;
	}
	msg_init(&m, M_CFG_STAT);
	c->ops->on_stat(&m.u.cfg_stat, c->arg);
	if (memcmp(&m.u.cfg_stat, &c->said, sizeof(c->said)) == 0)
		return;
	memcpy(&c->said, &m.u.cfg_stat, sizeof(c->said));
	link_send(c->cfg, &m);
}

/*
 * A turn is over, so counters may have moved.  Being asked for them is not
 * what moves them: else a process would wake up each second for itself.
 */
static void
stat_turn(struct child *c)
{
	if (c->stat_now) {
		c->stat_now = false;
		say_stat(c);
	} else if (!timer_pending(&c->stat_due))
		timer_in_s(&c->stat_due, 1);
}

static void
on_turn(void *arg)
{
	struct child *c = arg;

	if (c->booted && c->ops->on_turn != NULL)
		c->ops->on_turn(c->arg);
	if (c->started && c->ops->on_stat != NULL)
		stat_turn(c);
}

void
child_main(const struct child_ops *ops, int argc, char **argv, void *arg)
{
	struct link_conf conf;
	struct child c;

	if (!is_link(CFG_FD)) {
		(void)fprintf(stderr, "%s is started by headscaled(8) alone\n",
		    ops->name);
		exit(2);
	}
	sandbox_fds();
	log_init(ops->name, STDERR_FILENO, is_syslog(STDERR_FILENO), 0);
	log_keep_pid();
	ignore_signals();
	(void)umask(077);
	compat_title_init(argc, argv);
	memset(&c, 0, sizeof(c));
	c.ops = ops;
	c.arg = arg;
	/* Before the filter: it makes descriptors. */
	c.ev = ops->role == ROLE_STUN ? ev_new_poll() : ev_new();
	child_title(&c, "waits for master");
	timer_init(&c.boot_due, ev_env(c.ev), on_boot_due, &c);
	timer_in(&c.boot_due, BOOT_WAIT_US);
	timer_init(&c.stat_due, ev_env(c.ev), on_stat_due, &c);
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CFG;
	conf.self = ops->role;
	conf.peer = ROLE_MASTER;
	conf.on_msg = on_cfg_msg;
	conf.on_down = on_cfg_down;
	conf.arg = &c;
	c.cfg = ev_link(c.ev, &conf, CFG_FD);
	ev_run(c.ev, on_turn, &c);
	exit(0);
}

struct ev *
child_ev(struct child *c)
{
	return c->ev;
}

struct link *
child_cfg(struct child *c)
{
	return c->cfg;
}

void
child_blame(struct child *c, const struct link *l, enum link_why why)
{
	struct msg m;

	/*
	 * Dying is no offence, and master hears accusations downwards only:
	 * of an equal (MESH) what it hears is that the link is down.
	 */
	if (link_peer(l) != c->ops->role && (why == LINK_EOF ||
	    why == LINK_CLOSED || link_peer(l) == ROLE_CTL ||
	    role_rank(link_peer(l)) <= role_rank(c->ops->role)))
		return;
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)link_peer(l);
	m.u.cfg_blame.slot = link_slot(l);
	m.u.cfg_blame.generation = link_generation(l);
	m.u.cfg_blame.why = (uint16_t)why;
	link_send(c->cfg, &m);
}

struct link *
child_link(struct child *c, const struct msg *m, struct link_conf *conf)
{
	const struct m_cfg_link *p = &m->u.cfg_link;

	if (m->type != M_CFG_LINK || p->link == LINK_NONE ||
	    p->link >= LINK_MAX || p->role == ROLE_NONE || p->role >= ROLE_MAX)
		fatalx("bad CFG_LINK from master link=%u role=%u", p->link,
		    p->role);
	conf->kind = (enum msg_link)p->link;
	conf->self = c->ops->role;
	conf->peer = (enum role)p->role;
	conf->slot = p->slot;
	conf->generation = p->generation;
	return ev_link(c->ev, conf, m->fd);
}

bool
child_conf_came(uint32_t came, uint32_t epoch, char *why, size_t whylen)
{
	if (came == epoch)
		return true;
	(void)snprintf(why, whylen, "no configuration came");
	return false;
}

void
child_drop(const struct msg *m)
{
	if (m->fd != -1)
		(void)close(m->fd);
}

void
child_title(struct child *c, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	(void)c;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	setproctitle("%s", text);
}

void
child_exit(struct child *c)
{
	env_end(ev_env(c->ev), 0, "stopped");
	exit(0);
}
