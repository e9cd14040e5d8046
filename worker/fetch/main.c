/*
 * headscaled-fetch: the one process that connects out for dbd.  What it has
 * are its CFG and OUT links, sockets, and three files of its own folder.
 */

#include <sys/types.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/child.h"
#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/fetch/http.h"
#include "worker/fetch/out.h"

#define FILE_MAX	(4 * 1024 * 1024)

/* A configuration: what master says and the files as they were then. */
struct conf {
	uint32_t	 epoch;
	struct prefix	 allow[ALLOW_MAX];
	size_t		 nallow;
	struct buf	 hosts;
	struct buf	 resolv;
	struct buf	 ca;
};

struct fetch {
	struct child	*child;
	struct http	*http;
	struct fetch_out	*out;
	struct link	*link;
	char		 dir[256];
	struct conf	 staged;
	bool		 ready;		/* one is in force */
	bool		 waits;		/* a link, until then: */
	struct msg	 link_msg;
};

/* Reads a file of our folder; false with errno if it cannot be read. */
static bool
slurp(struct fetch *f, const char *name, struct buf *b)
{
	char path[512];
	ssize_t n = 1;
	int fd, e;

	buf_clear(b);
	(void)snprintf(path, sizeof(path), "%s%s", f->dir, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	while (n > 0 && b->n <= FILE_MAX) {
		n = read(fd, buf_room(b, 65536), 65536);
		if (n > 0)
			b->n += (size_t)n;
	}
	e = b->n > FILE_MAX ? EFBIG : errno;
	(void)close(fd);
	errno = e;
	return n == 0 && b->n <= FILE_MAX;
}

static void
put_conf(struct fetch *f)
{
	struct conf *c = &f->staged;

	http_load(f->http, buf_slice_of(&c->hosts), buf_slice_of(&c->resolv),
	    buf_slice_of(&c->ca), c->allow, c->nallow);
}

static void
take_conf(struct fetch *f, const struct m_cfg_conf_out *m)
{
	struct msg_list allow = m->allow;
	struct r_route r;

	f->staged.epoch = m->epoch;
	f->staged.nallow = 0;
	while (f->staged.nallow < ALLOW_MAX &&
	    msg_list_next(&allow, MR_ROUTE, &r))
		f->staged.allow[f->staged.nallow++] = r.v;
}

/* dbd. */

static void
out_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct fetch *f = arg;

	(void)l;
	fetch_out_msg(f->out, m, tag);
}

/* Its next life brings a link of its own. */
static void
out_on_down(struct link *l, enum link_why why, void *arg)
{
	struct fetch *f = arg;

	fetch_out_link(f->out, NULL);
	f->link = NULL;
	link_free(l);
	if (why != LINK_EOF)
		env_end(ev_env(child_ev(f->child)), 1,
		    "the link to dbd is lost");
}

static void
open_link(struct fetch *f, const struct msg *m)
{
	struct link_conf conf = { .on_msg = out_on_msg,
	    .on_down = out_on_down, .arg = f };
	struct link *old = f->link;

	f->link = child_link(f->child, m, &conf);
	link_set_state(f->link, MSG_RUN);
	fetch_out_link(f->out, f->link);
	link_free(old);
}

/* dbd may ask at once, and without a configuration nobody can be asked. */
static void
take_link(struct fetch *f, const struct msg *m)
{
	if (m->u.cfg_link.link != LINK_OUT || m->u.cfg_link.role != ROLE_DBD)
		fatalx("a link that is not ours link=%u role=%u",
		    m->u.cfg_link.link, m->u.cfg_link.role);
	if (f->ready) {
		open_link(f, m);
		return;
	}
	if (f->waits)
		(void)close(f->link_msg.fd);
	f->link_msg = *m;
	f->waits = true;
}

/* The first one: there is none that it would take the place of. */
static void
first_conf(struct fetch *f)
{
	put_conf(f);
	f->ready = true;
	if (f->waits)
		open_link(f, &f->link_msg);
	f->waits = false;
}

/* Master. */

static void
on_boot(struct child *c, const struct m_cfg_boot *boot, void *arg)
{
	struct fetch *f = arg;

	f->child = c;
	if (!boot->drop && !slice_copy(f->dir, sizeof(f->dir), boot->dir))
		fatalx("folder name cannot be used");
	http_open(f->http, child_ev(c));
	f->out = fetch_out_new(ev_env(child_ev(c)), http_ops(), f->http);
}

static void
on_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	struct fetch *f = arg;

	(void)c;
	(void)tag;
	switch (m->type) {
	case M_CFG_CONF_OUT:
		take_conf(f, &m->u.cfg_conf_out);
		break;
	case M_CFG_LINK:
		take_link(f, m);
		break;
	default:
		child_drop(m);
		break;
	}
}

/*
 * The files are read now, so that a commit cannot fail.  Without hosts and
 * resolv.conf it can do something, without certificates nothing.
 */
static bool
on_stage(struct child *c, uint32_t epoch, char *why, size_t whylen, void *arg)
{
	struct fetch *f = arg;
	struct conf *s = &f->staged;

	(void)c;
	if (!child_conf_came(s->epoch, epoch, why, whylen))
		return false;
	if (!slurp(f, "/etc/hosts", &s->hosts))
		log_warn("/etc/hosts");
	if (!slurp(f, "/etc/resolv.conf", &s->resolv))
		log_warn("/etc/resolv.conf");
	if (!slurp(f, "/etc/ssl/cert.pem", &s->ca)) {
		(void)snprintf(why, whylen, "CA certificates: %s",
		    strerror(errno));
		return false;
	}
	if (http_check_ca(buf_slice_of(&s->ca)) == 0) {
		(void)snprintf(why, whylen, "CA certificates: there are none");
		return false;
	}
	if (!f->ready)
		first_conf(f);
	return true;
}

static void
on_commit(struct child *c, uint32_t epoch, void *arg)
{
	struct fetch *f = arg;

	(void)c;
	if (f->staged.epoch == epoch)
		put_conf(f);
}

static void
on_start(struct child *c, void *arg)
{
	(void)arg;
	child_title(c, "out");
}

static void
on_stop(struct child *c, void *arg)
{
	struct fetch *f = arg;

	fetch_out_link(f->out, NULL);
	child_exit(c);
}

int
main(int argc, char **argv)
{
	static struct fetch f;
	static const struct child_ops ops = {
		.role = ROLE_OUT,
		.name = "headscaled-fetch",
		.on_boot = on_boot,
		.on_cfg = on_cfg,
		.on_stage = on_stage,
		.on_commit = on_commit,
		.on_start = on_start,
		.on_stop = on_stop
	};

	f.http = http_new();
	child_main(&ops, argc, argv, &f);
}
