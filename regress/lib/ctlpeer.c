#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/ctlpeer.h"

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct cp_peer *peer = arg;
	struct msg m;

	assert_int_equal(fd, -1);
	assert_int_equal(msg_decode(&m, (enum msg_type)type, p, n), 0);
	m.id = id;
	if (msg_class((enum msg_type)type) == MSG_ROW)
		peer->rows++;
	if (peer->slow)
		peer->queued += n;
	if (type == M_CTL_KEY_MADE)
		buf_slice(&peer->said, m.u.ctl_key_made.secret);
	/* Of long lists the beginning is enough, and the end. */
	if (peer->said.n < 8192 || msg_class(m.type) == MSG_REPLY) {
		msg_print(&peer->said, &m);
		buf_u8(&peer->said, '\n');
	}
}

static size_t
io_queued(void *arg)
{
	return ((struct cp_peer *)arg)->queued;
}

static void
io_close(void *arg)
{
	((struct cp_peer *)arg)->closed = true;
}

static const struct link_io io = { io_send, io_queued, io_close };

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct cp_peer *p = arg;

	(void)tag;
	dbd_ctl_msg(p->d, l, m);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct cp_peer *p = arg;

	(void)why;
	p->down = true;
	dbd_ctl_down(p->d, l);
}

struct cp_peer *
cp_connect(struct dbd *d, uint32_t uid)
{
	struct link_conf conf;
	struct cp_peer *p;

	p = xcalloc(1, sizeof(*p));
	p->d = d;
	p->next = 1;
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CTL;
	conf.self = ROLE_DBD;
	conf.peer = ROLE_CTL;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = p;
	p->link = link_new(d->env, &conf, &io, p);
	dbd_ctl_up(d, p->link, uid);
	return p;
}

void
cp_hang_up(struct cp_peer *p)
{
	if (!p->down)
		dbd_ctl_down(p->d, p->link);
	link_free(p->link);
	buf_free(&p->said);
	free(p);
}

void
cp_say(struct cp_peer *p, const struct msg *m)
{
	struct buf b = { 0 };

	msg_encode(&b, m);
	link_input(p->link, m->type, msg_class(m->type) == MSG_REQUEST ?
	    p->next++ : 0, b.p, b.n, -1);
	buf_free(&b);
}

void
cp_say_type(struct cp_peer *p, enum msg_type type)
{
	struct msg m;

	msg_init(&m, type);
	cp_say(p, &m);
}

const char *
cp_said(struct cp_peer *p)
{
	static char text[16384];

	(void)strlcpy(text, "", sizeof(text));
	if (p->said.n > 0) {
		assert_true(p->said.n < sizeof(text));
		memcpy(text, p->said.p, p->said.n);
		text[p->said.n] = '\0';
	}
	buf_clear(&p->said);
	return text;
}
