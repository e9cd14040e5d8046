#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/pol.h"
#include "dbd/policy/serve.h"
#include "regress/lib/linkkit.h"

/* policyc behind a link of which the test is the other end. */
struct end {
	struct lk_world	*w;
	struct link	*l;
	struct serve	*serve;
	struct buf	 blob, lines, text, detail;
	unsigned int	 ok, no, wants, closed;
	bool		 tests_failed;
	uint64_t	 size;
	uint32_t	 line, column;
};

static void
on_no(struct end *e, const struct m_pol_no *m)
{
	struct msg_list it = m->detail;
	struct r_pol_text d;

	e->no++;
	e->tests_failed = m->tests_failed;
	e->size = m->size;
	e->line = m->line;
	e->column = m->column;
	buf_slice(&e->text, m->text);
	buf_u8(&e->text, 0);
	while (msg_list_next(&it, MR_POL_TEXT, &d)) {
		buf_slice(&e->detail, d.v);
		buf_u8(&e->detail, '\n');
	}
	buf_u8(&e->detail, 0);
}

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct end *e = arg;
	struct msg m;

	assert_int_equal(fd, -1);
	assert_int_equal(id, 9);
	assert_int_equal(msg_decode(&m, (enum msg_type)type, p, n), 0);
	switch (type) {
	case M_POL_BLOB:
		buf_slice(&e->blob, m.u.pol_blob.octets);
		break;
	case M_POL_LINE:
		buf_slice(&e->lines, m.u.pol_line.octets);
		break;
	case M_POL_NODES:
		e->wants++;
		break;
	case M_POL_OK:
		e->ok++;
		e->size = m.u.pol_ok.size;
		break;
	case M_POL_NO:
		on_no(e, &m.u.pol_no);
		break;
	default:
		fail_msg("%s", msg_name(type));
	}
}

static size_t
io_queued(void *arg)
{
	(void)arg;
	return 0;
}

static void
io_close(void *arg)
{
	((struct end *)arg)->closed++;
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)tag;
	serve_msg(((struct end *)arg)->serve, l, m);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)why;
	(void)arg;
}

static struct end *
start(void)
{
	static const struct link_io io = { io_send, io_queued, io_close };
	struct link_conf conf;
	struct end *e;

	e = xcalloc(1, sizeof(*e));
	e->w = lk_world_new();
	e->serve = serve_new();
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_POL;
	conf.self = ROLE_POLICYC;
	conf.peer = ROLE_DBD;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = e;
	e->l = link_new(e->w->env, &conf, &io, e);
	return e;
}

static void
stop(struct end *e)
{
	void *w = e->w;

	link_free(e->l);
	serve_free(e->serve);
	buf_free(&e->blob);
	buf_free(&e->lines);
	buf_free(&e->text);
	buf_free(&e->detail);
	(void)lk_teardown(&w);
	free(e);
}

static void
feed(struct end *e, const struct msg *m, uint32_t id)
{
	struct buf b = { NULL, 0, 0 };

	msg_encode(&b, m);
	link_input(e->l, m->type, id, b.p, b.n, -1);
	buf_free(&b);
}

static void
conf_as(struct end *e, uint8_t what, const char *src, const char *dst,
    bool later)
{
	struct msg m;

	msg_init(&m, M_POL_CONF);
	m.u.pol_conf.later = later;
	m.u.pol_conf.what = what;
	(void)prefix_parse(&m.u.pol_conf.range4, slice_str("100.64.0.0/10"));
	(void)prefix_parse(&m.u.pol_conf.range6,
	    slice_str("fd7a:115c:a1e0::/48"));
	m.u.pol_conf.src = slice_str(src);
	m.u.pol_conf.dst = slice_str(dst);
	m.u.pol_conf.lines = 10;
	feed(e, &m, 0);
}

static void
conf(struct end *e, uint8_t what, const char *src, const char *dst)
{
	conf_as(e, what, src, dst, false);
}

static void
give(struct end *e, const char *text, bool was)
{
	struct msg m;
	size_t at, n, all = strlen(text);

	/* In small parts, as long texts come. */
	for (at = 0; at < all; at += n) {
		n = all - at < 7 ? all - at : 7;
		msg_init(&m, M_POL_TEXT);
		m.u.pol_text.was = was;
		m.u.pol_text.octets = slice_mem(text + at, n);
		feed(e, &m, 0);
	}
}

static void
node(struct end *e, uint64_t id, const char *name, uint64_t user,
    const char *tag, const char *ip)
{
	struct buf b = { NULL, 0, 0 };
	struct r_text t;
	struct msg m;

	msg_init(&m, M_POL_NODE);
	m.u.pol_node.id = id;
	m.u.pol_node.user = user;
	m.u.pol_node.name = slice_str(name);
	(void)ip_parse(&m.u.pol_node.ip4, slice_str(ip));
	if (tag != NULL) {
		t.v = slice_str(tag);
		msg_list_add(&m.u.pol_node.tags, &b, MR_TEXT, &t);
	}
	msg_list_close(&m.u.pol_node.tags, &b);
	feed(e, &m, 0);
	buf_free(&b);
}

static void
people_named(struct end *e)
{
	struct msg m;

	msg_init(&m, M_POL_USER);
	m.u.pol_user.id = 4;
	m.u.pol_user.name = m.u.pol_user.email = slice_str("a@example.com");
	feed(e, &m, 0);
}

static void
nodes(struct end *e)
{
	node(e, 1, "mine", 4, NULL, "100.64.0.1");
	/* The owner of a tagged node does not count. */
	node(e, 2, "srv", 4, "tag:srv", "100.64.0.2");
}

static void
people(struct end *e)
{
	people_named(e);
	nodes(e);
}

static void
go(struct end *e)
{
	struct msg m;

	msg_init(&m, M_POL_GO);
	feed(e, &m, 9);
}

#define RULES	"{\"tagOwners\":{\"tag:srv\":[]},\"acls\":[{\"action\":" \
		"\"accept\",\"src\":[\"a@example.com\"],\"dst\":" \
		"[\"tag:srv:22\"]}]"

static void
compiles(void **state)
{
	struct end *e = start();
	struct pol *p;
	const char *err;

	(void)state;
	conf(e, 1, "", "");
	give(e, RULES ",\"tests\":[{\"src\":\"a@example.com\",\"accept\":"
	    "[\"srv:22\",\"tag:srv:22\"],\"deny\":[\"tag:srv:23\"]}],"
	    "\"hosts\":{\"srv\":\"100.64.0.2\"}}", false);
	people(e);
	go(e);
	assert_int_equal(e->ok, 1);
	assert_int_equal(e->size, e->blob.n);
	p = pol_load(e->blob.p, e->blob.n, &err);
	assert_non_null(p);
	assert_int_equal(p->nrows, 1);
	pol_free(p);
	/* One question a process. */
	give(e, "{}", false);
	assert_int_equal(e->w->ends, 1);
	stop(e);
}

/* Nodes are asked for where there are tests, once, and before a blob. */
static void
asks(void **state)
{
	static const char *const with[] = { "", ",\"tests\":[{\"src\":"
	    "\"a@example.com\",\"accept\":[\"tag:srv:22\"]}]",
	    ",\"tests\":[{\"src\":\"a@example.com\",\"accept\":"
	    "[\"tag:srv:23\"]}]", ",\"sshTests\":[{\"src\":"
	    "\"a@example.com\",\"dst\":[\"tag:srv\"],\"deny\":"
	    "[\"root\"]}]" };
	struct end *e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		e = start();
		conf_as(e, 1, "", "", true);
		give(e, RULES, false);
		give(e, with[i], false);
		give(e, "}", false);
		people_named(e);
		go(e);
		assert_int_equal(e->wants, i == 0 ? 0 : 1);
		assert_int_equal(e->ok + e->no, i == 0 ? 1 : 0);
		assert_int_equal(e->blob.n != 0, i == 0);
		if (i != 0) {
			nodes(e);
			go(e);
		}
		assert_int_equal(e->wants, i == 0 ? 0 : 1);
		assert_int_equal(e->ok, i == 2 ? 0 : 1);
		assert_int_equal(e->tests_failed, i == 2);
		assert_int_equal(e->size, e->blob.n);
		assert_true(e->blob.n != 0);
		assert_int_equal(e->w->ends, 0);
		stop(e);
	}
}

static void
refuses(void **state)
{
	struct end *e = start();

	(void)state;
	conf(e, 1, "", "");
	give(e, "{\"acls\":\n [{\"action\":\"deny\",\"src\":[\"*\"],\"dst\":"
	    "[\"*:*\"]}]}", false);
	go(e);
	assert_int_equal(e->no, 1);
	assert_false(e->tests_failed);
	assert_int_equal(e->size, 0);
	assert_int_equal(e->blob.n, 0);
	assert_int_equal(e->line, 2);
	assert_string_equal((const char *)e->text.p,
	    "action=\"deny\" is not supported");
	stop(e);
}

/* What was taken once is compiled without its tests. */
static void
stored(void **state)
{
	struct end *e = start();
	struct msg m;

	(void)state;
	msg_init(&m, M_POL_CONF);
	m.u.pol_conf.what = 1;
	m.u.pol_conf.stored = true;
	(void)prefix_parse(&m.u.pol_conf.range4, slice_str("100.64.0.0/10"));
	(void)prefix_parse(&m.u.pol_conf.range6,
	    slice_str("fd7a:115c:a1e0::/48"));
	feed(e, &m, 0);
	give(e, RULES ",\"tests\":[{\"src\":\"a@example.com\",\"deny\":"
	    "[\"tag:srv:22\"]}]}", false);
	people(e);
	go(e);
	assert_int_equal(e->ok, 1);
	assert_true(e->size != 0 && e->size == e->blob.n);
	stop(e);
}

static void
tests_fail(void **state)
{
	struct end *e = start();

	(void)state;
	conf(e, 1, "", "");
	give(e, RULES ",\"tests\":[{\"src\":\"a@example.com\",\"deny\":"
	    "[\"tag:srv:22\"]}]}", false);
	people(e);
	go(e);
	assert_int_equal(e->no, 1);
	assert_true(e->tests_failed);
	assert_true(e->size != 0 && e->size == e->blob.n);
	assert_string_equal((const char *)e->text.p, "test(s) failed");
	assert_string_equal((const char *)e->detail.p, "a@example.com -> "
	    "tag:srv:22: expected DENIED, got ALLOWED\n");
	stop(e);
	/* Tests alone: no blob. */
	e = start();
	conf(e, 2, "", "");
	give(e, RULES "}", false);
	people(e);
	go(e);
	assert_int_equal(e->ok, 1);
	assert_int_equal(e->size, 0);
	assert_int_equal(e->blob.n, 0);
	stop(e);
}

static void
explains(void **state)
{
	struct end *e = start();

	(void)state;
	conf(e, 3, "mine", "srv");
	give(e, RULES "}", false);
	people(e);
	go(e);
	assert_int_equal(e->ok, 1);
	buf_u8(&e->lines, 0);
	assert_string_equal((const char *)e->lines.p,
	    "acls[0], line 1, column 37: any protocol:22\n");
	stop(e);
	e = start();
	conf(e, 4, "", "");
	give(e, "{\"acls\":[]}", true);
	give(e, RULES "}", false);
	people(e);
	go(e);
	assert_int_equal(e->ok, 1);
	buf_u8(&e->lines, 0);
	assert_string_equal((const char *)e->lines.p,
	    "+ mine -> srv any:22\n+ tagOwners tag:srv: nobody\n");
	stop(e);
}

/* A text that is too long is refused, and not kept whole. */
static void
long_text(void **state)
{
	struct end *e = start();
	struct msg m;
	char *part = xmalloc(60000);
	unsigned int i;

	(void)state;
	memset(part, ' ', 60000);
	conf(e, 1, "", "");
	for (i = 0; i < 100; i++) {
		msg_init(&m, M_POL_TEXT);
		m.u.pol_text.octets = slice_mem(part, 60000);
		feed(e, &m, 0);
	}
	go(e);
	assert_int_equal(e->no, 1);
	assert_non_null(strstr((const char *)e->text.p, "longer than 1 MB"));
	free(part);
	stop(e);
}

static void
out_of_order(void **state)
{
	struct end *e = start();

	(void)state;
	give(e, "{}", false);
	assert_int_equal(e->w->ends, 1);
	stop(e);
	e = start();
	conf(e, 5, "", "");
	assert_int_equal(e->w->ends, 1);
	stop(e);
	e = start();
	conf(e, 1, "", "");
	conf(e, 1, "", "");
	assert_int_equal(e->w->ends, 1);
	stop(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiles),
		cmocka_unit_test(asks),
		cmocka_unit_test(refuses),
		cmocka_unit_test(stored),
		cmocka_unit_test(tests_fail),
		cmocka_unit_test(explains),
		cmocka_unit_test(long_text),
		cmocka_unit_test(out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
