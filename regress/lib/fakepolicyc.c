#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/pol.h"
#include "regress/lib/fakepolicyc.h"

#define MANY		32

struct name {
	char		 text[64];
	uint64_t	 id;
};

struct fakepolicyc {
	uint8_t		 what;
	bool		 stored;
	struct buf	 text;
	struct buf	 was;
	struct name	 user[MANY];
	unsigned int	 nusers;
	unsigned int	 nnodes;
	unsigned int	 ndomains;
	char		 why[600];
	/* What the text says. */
	bool		 allow, failing, slow, bad;
	uint32_t	 line, column;
	struct name	 own[MANY];
	unsigned int	 nown;
	struct { struct prefix p; bool exit; char tag[64]; } approve[MANY];
	unsigned int	 napprove;
};

struct fakepolicyc *
fakepolicyc_new(void)
{
	return xcalloc(1, sizeof(struct fakepolicyc));
}

void
fakepolicyc_free(struct fakepolicyc *f)
{
	if (f == NULL)
		return;
	buf_free(&f->text);
	buf_free(&f->was);
	free(f);
}

unsigned int
fakepolicyc_users(const struct fakepolicyc *f)
{
	return f->nusers;
}

unsigned int
fakepolicyc_nodes(const struct fakepolicyc *f)
{
	return f->nnodes;
}

unsigned int
fakepolicyc_domains(const struct fakepolicyc *f)
{
	return f->ndomains;
}

/* Reading. */

static void
own(struct fakepolicyc *f, const char *tag, const char *user)
{
	unsigned int i;

	if (tag == NULL || user == NULL || f->nown == MANY)
		return;
	(void)strlcpy(f->own[f->nown].text, tag, sizeof(f->own[0].text));
	for (i = 0; i < f->nusers; i++)
		if (strcmp(f->user[i].text, user) == 0)
			f->own[f->nown].id = f->user[i].id;
	f->nown++;
}

static void
approve(struct fakepolicyc *f, const char *what, const char *tag)
{
	if (what == NULL || tag == NULL || f->napprove == MANY)
		return;
	f->approve[f->napprove].exit = strcmp(what, "exit") == 0;
	if (!f->approve[f->napprove].exit &&
	    !prefix_parse(&f->approve[f->napprove].p, slice_str(what)))
		abort();
	(void)strlcpy(f->approve[f->napprove++].tag, tag,
	    sizeof(f->approve[0].tag));
}

/* The word of a bad habit, or NULL. */
static const char *
command(struct fakepolicyc *f, char *line)
{
	static const char *const habits[] = { "die", "hang", "garbage",
	    "short", "flood", "ask", "greedy" };
	char *word = strsep(&line, " "), *a = strsep(&line, " ");
	char *b = strsep(&line, " ");
	size_t i;

	if (strcmp(word, "allow") == 0)
		f->allow = true;
	else if (strcmp(word, "failing") == 0)
		f->failing = true;
	else if (strcmp(word, "slow") == 0)
		f->slow = true;
	else if (strcmp(word, "own") == 0)
		own(f, a, b);
	else if (strcmp(word, "approve") == 0)
		approve(f, a, b);
	else if (strcmp(word, "bad") == 0 && a != NULL && b != NULL) {
		f->bad = true;
		f->line = (uint32_t)strtoul(a, NULL, 10);
		f->column = (uint32_t)strtoul(b, NULL, 10);
	}
	for (i = 0; i < sizeof(habits) / sizeof(habits[0]); i++)
		if (strcmp(word, habits[i]) == 0)
			return habits[i];
	return NULL;
}

static const char *
read_text(struct fakepolicyc *f)
{
	const char *habit = NULL, *h;
	char *copy, *p, *line;

	copy = p = slice_dup(buf_slice_of(&f->text));
	while ((line = strsep(&p, "\n")) != NULL)
		if ((h = command(f, line)) != NULL)
			habit = h;
	free(copy);
	return habit;
}

/* Writing. */

static void
put_blob(const struct fakepolicyc *f, struct buf *b)
{
	struct pol *base = pol_builtin(f->allow);
	struct pol_approver ap[MANY];
	struct pol_owner ow[MANY];
	struct pol_sel sel[MANY + 2];
	struct pol_src src[MANY + 1];
	uint32_t one[MANY], i;
	struct pol p = *base;

	memset(ap, 0, sizeof(ap));
	memset(ow, 0, sizeof(ow));
	memset(sel, 0, sizeof(sel));
	if (base->nsels != 0)
		memcpy(sel, base->sel, base->nsels * sizeof(sel[0]));
	if (base->nsrcs != 0)
		memcpy(src, base->src, base->nsrcs * sizeof(src[0]));
	for (i = 0; i < f->napprove; i++) {
		one[i] = p.nsels;
		sel[p.nsels].kind = POL_TAG;
		sel[p.nsels++].text = slice_str(f->approve[i].tag);
		src[p.nsrcs].sel = &one[i];
		src[p.nsrcs].n = 1;
		ap[i].exit = f->approve[i].exit;
		ap[i].route = f->approve[i].p;
		ap[i].src = p.nsrcs++;
		ap[i].prov.section = POL_APPROVERS;
	}
	for (i = 0; i < f->nown; i++) {
		ow[i].tag = slice_str(f->own[i].text);
		ow[i].user = &f->own[i].id;
		ow[i].nusers = f->own[i].id != 0;
	}
	p.sel = sel;
	p.src = src;
	p.approver = ap;
	p.napprovers = f->napprove;
	p.owner = ow;
	p.nowners = f->nown;
	pol_save(b, &p);
	pol_free(base);
}

static void
rows_send(struct link *l, enum msg_type type, uint32_t id, struct slice s)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < s.n; at += n) {
		n = s.n - at < 1000 ? s.n - at : 1000;
		msg_init(&m, type);
		m.id = id;
		if (type == M_POL_BLOB)
			m.u.pol_blob.octets = slice_mem(s.p + at, n);
		else
			m.u.pol_line.octets = slice_mem(s.p + at, n);
		link_send(l, &m);
	}
}

static void
no_send(struct fakepolicyc *f, struct link *l, uint32_t id, uint64_t size)
{
	struct buf b = { NULL, 0, 0 };
	struct r_pol_text line;
	struct msg m;

	msg_init(&m, M_POL_NO);
	m.id = id;
	m.u.pol_no.tests_failed = !f->bad;
	m.u.pol_no.size = size;
	m.u.pol_no.line = f->line;
	m.u.pol_no.column = f->column;
	m.u.pol_no.text = slice_str(f->bad ? "no such thing" :
	    "test(s) failed");
	if (!f->bad) {
		line.v = slice_str("a -> b: expected ALLOWED, got DENIED");
		msg_list_add(&m.u.pol_no.detail, &b, MR_POL_TEXT, &line);
		msg_list_close(&m.u.pol_no.detail, &b);
	}
	link_reply(l, &m);
	buf_free(&b);
}

static void
say(struct fakepolicyc *f, struct link *l, uint32_t id)
{
	struct buf b = { NULL, 0, 0 };

	if (f->what == 3)
		buf_str(&b, f->why);
	else if (f->what == 4) {
		buf_str(&b, "was ");
		buf_put(&b, f->was.p, f->was.n);
		buf_str(&b, " now ");
		buf_put(&b, f->text.p, f->text.n);
	}
	rows_send(l, M_POL_LINE, id, buf_slice_of(&b));
	buf_free(&b);
}

static bool
go(struct fakepolicyc *f, struct link *l, uint32_t id)
{
	struct buf b = { NULL, 0, 0 };
	const char *habit = read_text(f);
	struct msg m;
	unsigned int i;

	if (habit != NULL && strcmp(habit, "die") == 0)
		return false;
	if (f->what == 1 && f->stored)
		f->failing = f->slow = false;
	if (f->slow || (habit != NULL && strcmp(habit, "hang") == 0))
		return true;
	if (habit != NULL && ((strcmp(habit, "ask") == 0 && f->nnodes == 0) ||
	    strcmp(habit, "greedy") == 0)) {
		msg_init(&m, M_POL_NODES);
		m.id = id;
		link_reply(l, &m);
		return true;
	}
	if (f->what == 1 && !f->bad)
		put_blob(f, &b);
	if (habit != NULL && strcmp(habit, "garbage") == 0)
		b.n -= 3;
	for (i = 0; habit != NULL && strcmp(habit, "flood") == 0 && i < 5000;
	    i++)
		rows_send(l, M_POL_LINE, id, slice_mem(f, 1000));
	rows_send(l, M_POL_BLOB, id, buf_slice_of(&b));
	say(f, l, id);
	if (habit != NULL && strcmp(habit, "short") == 0)
		b.n++;
	if (f->bad || f->failing)
		no_send(f, l, id, b.n);
	else {
		msg_init(&m, M_POL_OK);
		m.id = id;
		m.u.pol_ok.size = b.n;
		link_reply(l, &m);
	}
	buf_free(&b);
	return true;
}

bool
fakepolicyc_msg(struct fakepolicyc *f, struct link *l, const struct msg *m)
{
	const struct m_pol_conf *c = &m->u.pol_conf;

	switch (m->type) {
	case M_POL_CONF:
		f->what = c->what;
		f->stored = c->stored;
		f->ndomains = c->domains.count;
		(void)snprintf(f->why, sizeof(f->why), "%.*s %.*s %u",
		    SLICE_FMT(c->src), SLICE_FMT(c->dst), c->port);
		break;
	case M_POL_TEXT:
		buf_slice(m->u.pol_text.was ? &f->was : &f->text,
		    m->u.pol_text.octets);
		break;
	case M_POL_USER:
		if (f->nusers == MANY)
			abort();
		f->user[f->nusers].id = m->u.pol_user.id;
		(void)slice_copy(f->user[f->nusers++].text,
		    sizeof(f->user[0].text), m->u.pol_user.name);
		break;
	case M_POL_NODE:
		f->nnodes++;
		break;
	case M_POL_GO:
		return go(f, l, m->id);
	default:
		break;
	}
	return true;
}
