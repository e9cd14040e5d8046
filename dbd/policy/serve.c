#include <stdlib.h>
#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/policy.h"
#include "dbd/policy/serve.h"

#define INPUT_MAX	((size_t)192 * 1024 * 1024)
#define PART		60000	/* octets of a blob or of text in a message */
#define TEXT_MAX	2048
#define DETAIL_MAX	64

enum what {
	ASK_NOTHING, ASK_COMPILE, ASK_TEST, ASK_WHY, ASK_DIFF
};

struct serve {
	struct arena	*arena;		/* what the question points into */
	enum what	 what;
	bool		 done;
	struct buf	 text, was;
	struct slice	*domain;
	size_t		 ndomains;
	struct prefix	 range[2];
	struct slice	 src, dst;
	uint16_t	 port;
	uint32_t	 lines;
	bool		 stored;
	bool		 later;		/* nodes, if we ask for them */
	struct pol_user	*user;
	size_t		 nusers, capusers;
	struct test_node *node;
	size_t		 nnodes, capnodes;
};

struct serve *
serve_new(void)
{
	struct serve *s;

	s = xcalloc(1, sizeof(*s));
	s->arena = arena_new(INPUT_MAX);
	return s;
}

void
serve_free(struct serve *s)
{
	if (s == NULL)
		return;
	arena_free(s->arena);
	buf_free(&s->text);
	buf_free(&s->was);
	free(s->user);
	free(s->node);
	free(s);
}

static void
take_conf(struct serve *s, const struct m_pol_conf *m)
{
	struct msg_list it = m->domains;
	struct r_text d;

	s->what = (enum what)m->what;
	s->domain = arena_array(s->arena, 64, sizeof(*s->domain));
	while (s->ndomains < 64 && msg_list_next(&it, MR_TEXT, &d))
		s->domain[s->ndomains++] = arena_copy(s->arena, d.v);
	s->range[0] = m->range4;
	s->range[1] = m->range6;
	s->src = arena_copy(s->arena, m->src);
	s->dst = arena_copy(s->arena, m->dst);
	s->port = m->port;
	s->lines = m->lines;
	s->stored = m->stored;
	s->later = m->later;
}

/* One octet too many is enough to be refused. */
static void
take_text(struct buf *b, struct slice part)
{
	size_t room = POLICY_TEXT_MAX + 1 - b->n;

	if (part.n > room)
		part.n = room;
	buf_slice(b, part);
}

static void
take_user(struct serve *s, const struct m_pol_user *m)
{
	struct pol_user *u;

	if (s->nusers == s->capusers) {
		s->capusers = s->capusers == 0 ? 64 : s->capusers * 2;
		s->user = xrealloc(s->user, s->capusers, sizeof(*s->user));
	}
	u = &s->user[s->nusers++];
	u->id = m->id;
	u->name = arena_copy(s->arena, m->name);
	u->email = arena_copy(s->arena, m->email);
	u->provider_id = arena_copy(s->arena, m->provider_id);
	u->role = m->role;
}

static void
take_node(struct serve *s, const struct m_pol_node *m)
{
	struct msg_list it;
	struct test_node *n;
	struct slice *tag;
	struct prefix *route;
	struct r_route r;
	struct r_text t;

	if (s->nnodes == s->capnodes) {
		s->capnodes = s->capnodes == 0 ? 64 : s->capnodes * 2;
		s->node = xrealloc(s->node, s->capnodes, sizeof(*s->node));
	}
	n = &s->node[s->nnodes++];
	memset(n, 0, sizeof(*n));
	n->id = m->id;
	n->name = arena_copy(s->arena, m->name);
	n->facts.ip4 = m->ip4;
	n->facts.ip6 = m->ip6;
	it = m->tags;
	tag = arena_array(s->arena, it.count, sizeof(*tag));
	n->facts.tag = tag;
	while (msg_list_next(&it, MR_TEXT, &t))
		tag[n->facts.ntags++] = arena_copy(s->arena, t.v);
	n->facts.user = n->facts.ntags == 0 ? m->user : 0;
	it = m->approved;
	route = arena_array(s->arena, it.count, sizeof(*route));
	n->facts.route = route;
	while (msg_list_next(&it, MR_ROUTE, &r))
		route[n->facts.nroutes++] = r.v;
}

static void
send_parts(struct link *l, enum msg_type type, uint32_t id,
    const struct buf *b)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < b->n; at += n) {
		n = b->n - at < PART ? b->n - at : PART;
		msg_init(&m, type);
		m.id = id;
		if (type == M_POL_BLOB)
			m.u.pol_blob.octets = slice_mem(b->p + at, n);
		else
			m.u.pol_line.octets = slice_mem(b->p + at, n);
		link_send(l, &m);
	}
}

/* At most n octets, and no half character at the end. */
static struct slice
clip(struct slice s, size_t n)
{
	if (s.n <= n)
		return s;
	while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return slice_mem(s.p, n);
}

static void
send_no(struct link *l, uint32_t id, const struct pol_error *e, bool tests,
    size_t size)
{
	struct slice rest = buf_slice_of(e->detail);
	struct buf b = { NULL, 0, 0 };
	struct r_pol_text line;
	struct msg m;
	size_t n, k;

	msg_init(&m, M_POL_NO);
	m.id = id;
	m.u.pol_no.tests_failed = tests;
	m.u.pol_no.size = size;
	m.u.pol_no.line = e->pos.line;
	m.u.pol_no.column = e->pos.column;
	m.u.pol_no.text = clip(buf_slice_of(e->text), TEXT_MAX);
	if (!utf8_ok(m.u.pol_no.text.p, m.u.pol_no.text.n) ||
	    m.u.pol_no.text.n == 0)
		m.u.pol_no.text = slice_str("the policy cannot be read");
	for (k = 0; k < DETAIL_MAX && rest.n > 0; k++) {
		for (n = 0; n < rest.n && rest.p[n] != '\n'; n++)
			continue;
		line.v = clip(slice_mem(rest.p, n), TEXT_MAX);
		if (utf8_ok(line.v.p, line.v.n))
			msg_list_add(&m.u.pol_no.detail, &b, MR_POL_TEXT,
			    &line);
		n = n < rest.n ? n + 1 : n;
		rest = slice_mem(rest.p + n, rest.n - n);
	}
	msg_list_close(&m.u.pol_no.detail, &b);
	link_reply(l, &m);
	buf_free(&b);
}

static void
answer(struct serve *s, struct link *l, uint32_t id)
{
	const struct tailnet_info info = { s->user, s->nusers, s->domain,
	    s->ndomains, s->stored };
	const struct topology topo = { s->node, s->nnodes,
	    { s->range[0], s->range[1] }, s->later };
	struct buf text = { NULL, 0, 0 }, detail = text, out = text;
	struct pol_error e = { &text, &detail, { 0, 0 } };
	struct slice now = buf_slice_of(&s->text);
	bool tests = false;
	struct msg m;
	int rc;

	switch (s->what) {
	case ASK_COMPILE:
		/* What was taken once may not fail for want of time. */
		rc = policy_compile(now, &info, s->stored ? NULL : &topo,
		    &out, &e, &tests);
		break;
	case ASK_TEST:
		rc = policy_compile(now, &info, &topo, NULL, &e, &tests);
		break;
	case ASK_WHY:
		rc = policy_why(now, &info, &topo, s->src, s->dst, s->port,
		    &out, &e);
		break;
	default:
		rc = policy_diff(buf_slice_of(&s->was), now, &info, &topo,
		    s->lines, &out, &e);
	}
	if (rc != 0 && !tests)
		buf_clear(&out);
	send_parts(l, s->what == ASK_COMPILE ? M_POL_BLOB : M_POL_LINE, id,
	    &out);
	if (rc == POLICY_WANTS_NODES) {
		s->later = s->done = false;
		msg_init(&m, M_POL_NODES);
		m.id = id;
		link_reply(l, &m);
	} else if (rc == 0) {
		msg_init(&m, M_POL_OK);
		m.id = id;
		m.u.pol_ok.size = s->what == ASK_COMPILE ? out.n : 0;
		link_reply(l, &m);
	} else
		send_no(l, id, &e, tests, s->what == ASK_COMPILE ? out.n : 0);
	buf_free(&text);
	buf_free(&detail);
	buf_free(&out);
}

void
serve_msg(struct serve *s, struct link *l, const struct msg *m)
{
	if ((m->type == M_POL_CONF) != (s->what == ASK_NOTHING) || s->done) {
		link_violation(l, LINK_BAD_TYPE);
		return;
	}
	switch (m->type) {
	case M_POL_CONF:
		if (m->u.pol_conf.what < ASK_COMPILE ||
		    m->u.pol_conf.what > ASK_DIFF)
			link_violation(l, LINK_BAD_BODY);
		else
			take_conf(s, &m->u.pol_conf);
		break;
	case M_POL_TEXT:
		take_text(m->u.pol_text.was ? &s->was : &s->text,
		    m->u.pol_text.octets);
		break;
	case M_POL_USER:
		take_user(s, &m->u.pol_user);
		break;
	case M_POL_NODE:
		take_node(s, &m->u.pol_node);
		break;
	case M_POL_GO:
		s->done = true;
		answer(s, l, m->id);
		break;
	default:
		link_violation(l, LINK_BAD_TYPE);
	}
}
