/*
 * Control connections, with doubles for the core: its operations only note
 * how they were called, and what batch_reply() queues leaves when a test says
 * so.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/policy_int.h"
#include "regress/lib/ctlpeer.h"
#include "regress/lib/fakeenv.h"

#define SECRET	"hskey-0123456789ab-5ec2e75ec2e7"

struct sent {
	struct link	*link;
	enum msg_type	 type;
	uint32_t	 id;
	size_t		 at;
	size_t		 n;
};

struct fix {
	struct fakeenv	*fe;
	struct dbd	 d;
	struct tailnet	 tn[2];
	struct user	 user[3];
	struct authkey	 key;
	struct node	 node[200];
	struct sent	 sent[400];
	size_t		 nsent;
	void		*tag;		/* of the last question to master */
	unsigned int	 asked;
};

/* Doubles. */

static struct {
	char	called[256];
	int	rc;
	char	why[64];
} op;

static char logged[4096];

static int called(char *, size_t, const char *, ...)
    __attribute__((__format__(printf, 3, 4)));

static int
called(char *why, size_t n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(op.called, sizeof(op.called), fmt, ap);
	va_end(ap);
	(void)strlcpy(why, op.why, n);
	return op.rc;
}

#define LLU(v)	(unsigned long long)(v)

int
op_user_add(struct dbd *d, struct slice name, struct slice display,
    uint64_t *id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	*id = 31;
	return called(why, n, "user_add %.*s/%.*s by %u", SLICE_FMT(name),
	    SLICE_FMT(display), uid);
}

int
op_user_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	(void)d;
	return called(why, n, "user_rename %llu %.*s by %u", LLU(id),
	    SLICE_FMT(name), uid);
}

int
op_user_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "user_delete %llu by %u", LLU(id), uid);
}

int
op_key_create(struct dbd *d, const struct key_spec *k, struct key_made *made,
    uint32_t uid, char *why, size_t n)
{
	(void)d;
	made->id = 41;
	made->expiry = 99;
	(void)strlcpy(made->secret, SECRET, sizeof(made->secret));
	return called(why, n, "key_create user=%llu %d%d %llu tags=%u by %u",
	    LLU(k->user), k->reusable, k->ephemeral, LLU(k->expires_s),
	    k->tags.count, uid);
}

int
op_key_expire(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "key_expire %llu by %u", LLU(id), uid);
}

int
op_key_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "key_delete %llu by %u", LLU(id), uid);
}

int
op_node_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_rename %llu %.*s by %u", LLU(id),
	    SLICE_FMT(name), uid);
}

int
op_node_tag(struct dbd *d, uint64_t id, const struct msg_list *tags,
    uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_tag %llu %u by %u", LLU(id), tags->count,
	    uid);
}

int
op_node_move(struct dbd *d, uint64_t id, uint64_t user, uint32_t uid,
    char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_move %llu %llu by %u", LLU(id), LLU(user),
	    uid);
}

int
op_node_expire(struct dbd *d, uint64_t id, int64_t at, uint32_t uid,
    char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_expire %llu %lld by %u", LLU(id),
	    (long long)at, uid);
}

int
op_node_logout(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_logout %llu by %u", LLU(id), uid);
}

int
op_node_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_delete %llu by %u", LLU(id), uid);
}

int
op_exposure_list(struct dbd *d, uint16_t slot, uint64_t generation,
    void (*fn)(const struct exposure_row *, void *), void *arg)
{
	struct exposure_row r;
	uint64_t i;

	(void)d;
	if (slot == 9)
		return -1;
	for (i = 1; i <= 2; i++) {
		memset(&r, 0, sizeof(r));
		r.slot = slot;
		r.generation = generation;
		r.node = i;
		r.first = 5;
		r.last = 6;
		r.revoked = i == 1;
		fn(&r, arg);
	}
	return 0;
}

int
op_exposure_revoke(struct dbd *d, uint16_t slot, uint64_t generation,
    uint32_t *n, uint32_t uid, char *why, size_t whylen)
{
	(void)d;
	*n = 7;
	return called(why, whylen, "revoke %u %llu by %u", slot,
	    LLU(generation), uid);
}

int
op_user_role(struct dbd *d, uint64_t id, uint8_t role, uint32_t uid, char *why,
    size_t n)
{
	(void)d;
	return called(why, n, "user_role %llu %u by %u", LLU(id), role, uid);
}

int
op_node_routes(struct dbd *d, uint64_t id, const struct msg_list *routes,
    bool approve, uint32_t uid, char *why, size_t n)
{
	(void)d;
	return called(why, n, "node_routes %llu %u %d by %u", LLU(id),
	    routes->count, approve, uid);
}

/* Policies: a job is kept, and ends when a test says so. */

static struct {
	void	(*done)(const struct job_result *, void *);
	void	*arg;
	size_t	 octets;
} job;

static int
job_taken(int rc, size_t octets, void (*done)(const struct job_result *,
    void *), void *arg)
{
	job.octets = octets;
	job.done = rc == 0 ? done : NULL;
	job.arg = arg;
	return rc;
}

int
op_policy_set(struct tailnet *tn, struct slice text, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	return job_taken(called(why, n, "policy_set %llu \"%.*s\" %.*s by %u",
	    LLU(tn->id), text.n > 40 ? 0 : (int)text.n, text.n == 0 ? "" :
	    text.p, SLICE_FMT(reason), uid), text.n, done, arg);
}

int
op_policy_rollback(struct tailnet *tn, uint32_t version, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	return job_taken(called(why, n, "policy_rollback %llu %u %.*s by %u",
	    LLU(tn->id), version, SLICE_FMT(reason), uid), 0, done, arg);
}

int
op_policy_try(struct tailnet *tn, enum job_kind kind, struct slice text,
    uint32_t lines, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	return job_taken(called(why, n, "policy_try %llu %d \"%.*s\" %u by %u",
	    LLU(tn->id), kind, SLICE_FMT(text), lines, uid), text.n, done,
	    arg);
}

int
op_policy_why(struct tailnet *tn, struct slice src, struct slice dst,
    uint16_t port, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	return job_taken(called(why, n, "policy_why %llu %.*s %.*s %u by %u",
	    LLU(tn->id), SLICE_FMT(src), SLICE_FMT(dst), port, uid), 0, done,
	    arg);
}

void
job_forget(struct dbd *d, const void *arg)
{
	(void)d;
	assert_ptr_equal(arg, job.arg);
	job.done = NULL;
}

void
policy_name(const struct tailnet *tn, char *dst, size_t n)
{
	(void)strlcpy(dst, tn->policy == POLICY_ALLOW_ALL ? "allow-all" :
	    "deny-all", n);
}

struct tailnet *
tailnet_default(struct dbd *d)
{
	return TAILQ_FIRST(&d->tailnets);
}

void
op_check(struct dbd *d, int rc)
{
	(void)d;
	assert_int_not_equal(rc, -1);
}

static void
a_version(struct policy_row *row, uint32_t version)
{
	memset(row, 0, sizeof(*row));
	row->version = version;
	row->kind = POLICY_COMPILED;
	row->uid = 1000;
	row->at = 5;
	row->reason = slice_str("r");
	row->size = 3;
}

int
store_find_policy(struct store *s, uint64_t tailnet, uint32_t version,
    int (*fn)(const struct policy_row *, void *), void *arg)
{
	struct policy_row row;

	(void)s;
	assert_int_equal(tailnet, 1);
	if (version > 7)
		return 0;
	a_version(&row, version == 0 ? 7 : version);
	row.text = slice_str("abc");
	return fn(&row, arg) == -1 ? -1 : 1;
}

int
store_list_policies(struct store *s, uint64_t tailnet, uint32_t max,
    int (*fn)(const struct policy_row *, void *), void *arg)
{
	struct policy_row row;
	uint32_t i;

	(void)s;
	assert_int_equal(tailnet, 1);
	assert_true(max > 2);
	for (i = 7; i > 5; i--) {
		a_version(&row, i);
		if (fn(&row, arg) == -1)
			return -1;
	}
	return 0;
}

static struct fix *
fix_of(struct dbd *d)
{
	return (struct fix *)(void *)((char *)d - offsetof(struct fix, d));
}

void
batch_reply(struct dbd *d, struct link *l, const struct msg *m)
{
	struct fix *f = fix_of(d);
	struct sent *s;

	assert_true(f->nsent < sizeof(f->sent) / sizeof(f->sent[0]));
	s = &f->sent[f->nsent++];
	s->link = l;
	s->type = m->type;
	s->id = m->id;
	s->at = d->outs_body.n;
	msg_encode(&d->outs_body, m);
	s->n = d->outs_body.n - s->at;
}

void
batch_forget(struct dbd *d, const struct link *l)
{
	struct fix *f = fix_of(d);
	size_t i;

	for (i = 0; i < f->nsent; i++)
		if (f->sent[i].link == l)
			f->sent[i].link = NULL;
}

struct user *
user_find(struct dbd *d, uint64_t id)
{
	struct tailnet *tn;
	struct user *u;

	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(u, &tn->users, all)
			if (u->r.id == id)
				return u;
	return NULL;
}

struct authkey *
authkey_find(struct dbd *d, uint64_t id)
{
	struct fix *f = fix_of(d);

	return f->key.row.id == id ? &f->key : NULL;
}

struct node *
node_find(struct dbd *d, uint64_t id)
{
	struct tailnet *tn;
	struct node *n;

	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(n, &tn->nodes, all)
			if (n->r.id == id)
				return n;
	return NULL;
}

uint16_t
node_slot(const struct node *n)
{
	return n->r.id == 1 ? 3 : 0;
}

struct slice
node_owner_name(const struct node *n)
{
	return n->owner == NULL ? slice_str("tagged-devices") :
	    n->owner->r.name;
}

/* The world around. */

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	(void)strlcat(logged, line, sizeof(logged));
	(void)strlcat(logged, "\n", sizeof(logged));
}

static void
ask_master(const struct msg *m, void *tag, void *arg)
{
	struct fix *f = arg;
	struct buf b = { 0 };

	msg_print(&b, m);
	buf_u8(&b, 0);
	(void)strlcpy(op.called, (const char *)b.p, sizeof(op.called));
	buf_free(&b);
	f->tag = tag;
	f->asked++;
}

/* The end of dbd's turn. */
static void
turn(struct fix *f)
{
	struct msg m;
	size_t i;

	for (i = 0; i < f->nsent; i++) {
		if (f->sent[i].link == NULL)
			continue;
		assert_int_equal(msg_decode(&m, f->sent[i].type,
		    f->d.outs_body.p + f->sent[i].at, f->sent[i].n), 0);
		m.id = f->sent[i].id;
		if (msg_class(m.type) == MSG_REPLY)
			link_reply(f->sent[i].link, &m);
		else
			link_send(f->sent[i].link, &m);
	}
	f->nsent = 0;
	buf_clear(&f->d.outs_body);
}

static void
hello(struct fix *f, struct cp_peer *p)
{
	struct msg m;

	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM;
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_OK id=1 id=0 text=\"\"\n");
}

static void
make_truth(struct fix *f)
{
	struct tailnet *tn;
	size_t i;

	TAILQ_INIT(&f->d.tailnets);
	for (i = 0; i < 2; i++) {
		tn = &f->tn[i];
		tn->id = i + 1;
		(void)snprintf(tn->name, sizeof(tn->name), "net%zu", i);
		tn->seq = 50 + i;
		tn->policy = i == 0 ? POLICY_ALLOW_ALL : POLICY_DENY_ALL;
		tn->nnodes = 4;
		tn->nonline = 2;
		tn->nusers = 1;
		TAILQ_INIT(&tn->nodes);
		TAILQ_INIT(&tn->users);
		TAILQ_INIT(&tn->authkeys);
		TAILQ_INSERT_TAIL(&f->d.tailnets, tn, all);
	}
	for (i = 0; i < 3; i++) {
		f->user[i].r.id = i + 1;
		f->user[i].r.name = slice_str(i == 0 ? "alice" : "bob");
		TAILQ_INSERT_TAIL(&f->tn[i / 2].users, &f->user[i], all);
	}
	f->key.row.id = 8;
	f->key.row.prefix = slice_str("hskey-8");
	f->key.row.user = 1;
	TAILQ_INSERT_TAIL(&f->tn[1].authkeys, &f->key, all);
	for (i = 0; i < 200; i++) {
		f->node[i].r.id = i + 1;
		f->node[i].r.stable_id = slice_str("n");
		f->node[i].r.name = slice_str("laptop");
		f->node[i].owner = i == 0 ? &f->user[0] : NULL;
		TAILQ_INSERT_TAIL(&f->tn[i / 150].nodes, &f->node[i], all);
	}
}

static int
setup(void **state)
{
	struct fix *f;

	f = xcalloc(1, sizeof(*f));
	f->fe = fakeenv_new(1);
	f->d.env = fakeenv_env(f->fe);
	f->d.ops.ask_master = ask_master;
	f->d.ops.arg = f;
	make_truth(f);
	memset(&op, 0, sizeof(op));
	logged[0] = '\0';
	log_capture(on_log, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	ctlsock_free(&f->d);
	assert_null(f->d.control);
	assert_int_equal(env_timers(f->d.env), 0);
	buf_free(&f->d.outs_body);
	fakeenv_free(f->fe);
	free(f);
	log_capture(NULL, NULL);
	return 0;
}

/* Tests. */

static void
test_hello(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM + 1;
	cp_say(p, &m);
	turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=1 text=\"the server is "
	    "headscaled"));
	assert_int_equal(link_state(p->link), MSG_SETUP);
	/* And nothing else is heard from it. */
	cp_say_type(p, M_CTL_USER_LIST);
	assert_true(p->closed);
	cp_hang_up(p);
	p = cp_connect(&f->d, 1000);
	hello(f, p);
	assert_int_equal(link_state(p->link), MSG_RUN);
	cp_hang_up(p);
}

static void
test_changes(void **state)
{
	static const struct {
		enum msg_type	 type;
		const char	*called;
		uint64_t	 id;
	} want[] = {
		{ M_CTL_USER_ADD, "user_add new/N by 1000", 31 },
		{ M_CTL_USER_RENAME, "user_rename 5 new by 1000", 5 },
		{ M_CTL_USER_DELETE, "user_delete 5 by 1000", 5 },
		{ M_CTL_KEY_EXPIRE, "key_expire 5 by 1000", 5 },
		{ M_CTL_KEY_DELETE, "key_delete 5 by 1000", 5 },
		{ M_CTL_NODE_RENAME, "node_rename 5 new by 1000", 5 },
		{ M_CTL_NODE_TAG, "node_tag 5 0 by 1000", 5 },
		{ M_CTL_NODE_MOVE, "node_move 5 6 by 1000", 5 },
		{ M_CTL_NODE_EXPIRE, "node_expire 5 77 by 1000", 5 },
		{ M_CTL_NODE_LOGOUT, "node_logout 5 by 1000", 5 },
		{ M_CTL_NODE_DELETE, "node_delete 5 by 1000", 5 },
		{ M_CTL_USER_ROLE, "user_role 5 1 by 1000", 5 },
		{ M_CTL_NODE_ROUTES, "node_routes 5 1 1 by 1000", 5 },
	};
	struct buf routes = { 0 };
	struct r_route route;
	struct fix *f = *state;
	struct cp_peer *p;
	struct msg m;
	char text[200];
	size_t i;
	int rc;

	p = cp_connect(&f->d, 1000);
	hello(f, p);
	for (i = 0; i < 2 * sizeof(want) / sizeof(want[0]); i++) {
		rc = i % 2 == 0 ? 0 : -1;
		op.rc = rc;
		(void)strlcpy(op.why, rc == 0 ? "" : "no such thing",
		    sizeof(op.why));
		op.called[0] = logged[0] = '\0';
		msg_init(&m, want[i / 2].type);
		/* The id is first in all but one of them. */
		m.u.ctl_user_delete.id = 5;
		if (m.type == M_CTL_USER_ADD) {
			m.u.ctl_user_add.name = slice_str("new");
			m.u.ctl_user_add.display = slice_str("N");
		} else if (m.type == M_CTL_USER_RENAME)
			m.u.ctl_user_rename.name = slice_str("new");
		else if (m.type == M_CTL_NODE_RENAME)
			m.u.ctl_node_rename.name = slice_str("new");
		else if (m.type == M_CTL_NODE_MOVE)
			m.u.ctl_node_move.user = 6;
		else if (m.type == M_CTL_NODE_EXPIRE)
			m.u.ctl_node_expire.at = 77;
		else if (m.type == M_CTL_USER_ROLE)
			m.u.ctl_user_role.role = 1;
		else if (m.type == M_CTL_NODE_ROUTES) {
			buf_clear(&routes);
			memset(&route, 0, sizeof(route));
			route.v.addr.family = 6;
			m.u.ctl_node_routes.approve = true;
			msg_list_add(&m.u.ctl_node_routes.routes, &routes,
			    MR_ROUTE, &route);
			msg_list_close(&m.u.ctl_node_routes.routes, &routes);
		}
		cp_say(p, &m);
		assert_string_equal(op.called, want[i / 2].called);
		assert_string_equal(cp_said(p), "");	/* not before */
		turn(f);
		(void)snprintf(text, sizeof(text), rc == 0 ?
		    "CTL_OK id=%u id=%llu text=\"\"\n" :
		    "CTL_NO id=%u text=\"no such thing\"\n", p->next - 1,
		    LLU(want[i / 2].id));
		assert_string_equal(cp_said(p), text);
		(void)snprintf(text, sizeof(text), "uid=1000 request=%s id=",
		    msg_name(m.type));
		assert_non_null(strstr(logged, text));
		assert_int_equal(strstr(logged, "no such thing") != NULL,
		    rc == -1);
	}
	buf_free(&routes);
	/* A text that is no UTF-8 must not end dbd. */
	(void)strlcpy(op.why, "bad \xff", sizeof(op.why));
	msg_init(&m, M_CTL_NODE_DELETE);
	cp_say(p, &m);
	turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO"));
	cp_hang_up(p);
}

static void
test_key_create(void **state)
{
	struct fix *f = *state;
	struct buf tags = { 0 };
	struct r_text tag;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 0);
	hello(f, p);
	msg_init(&m, M_CTL_KEY_CREATE);
	m.u.ctl_key_create.user = 4;
	m.u.ctl_key_create.reusable = true;
	m.u.ctl_key_create.expires_s = 60;
	tag.v = slice_str("tag:a");
	msg_list_add(&m.u.ctl_key_create.tags, &tags, MR_TEXT, &tag);
	msg_list_close(&m.u.ctl_key_create.tags, &tags);
	cp_say(p, &m);
	assert_string_equal(op.called, "key_create user=4 10 60 tags=1 by 0");
	turn(f);
	assert_string_equal(cp_said(p), SECRET
	    "CTL_KEY_MADE id=2 id=41 secret=... expiry=99\n");
	assert_non_null(strstr(logged, "request=CTL_KEY_CREATE id=41"));
	assert_null(strstr(logged, SECRET));
	op.rc = -1;
	(void)strlcpy(op.why, "no such user", sizeof(op.why));
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"no such user\"\n");
	buf_free(&tags);
	cp_hang_up(p);
}

static void
test_short_lists(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	const char *text;

	p = cp_connect(&f->d, 0);
	hello(f, p);
	f->user[0].nodes = 12;
	cp_say_type(p, M_CTL_USER_LIST);
	turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "CTL_USER id=2 user={ id=1 "
	    "name=\"alice\" display=\"\" picture=\"\" created=0 role=0 } "
	    "nodes=12\n"
	    "CTL_USER id=2 user={ id=2"));
	assert_non_null(strstr(text, "\nCTL_USER id=2 user={ id=3"));
	assert_non_null(strstr(text, "\nCTL_END id=2 count=3\n"));
	cp_say_type(p, M_CTL_KEY_LIST);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_KEY id=3 id=8 prefix=\"hskey-8\" "
	    "user=1 user_name=\"alice\" reusable=false ephemeral=false "
	    "used=0 created=0 expiry=0 revoked=false tags=[0]\n"
	    "CTL_END id=3 count=1\n");
	cp_hang_up(p);
}

/* 200 nodes of 1 KB each: rows come as the peer takes them. */
static void
test_paced_list(void **state)
{
	static char os[128];
	struct fix *f = *state;
	struct cp_peer *p;
	unsigned int rows, i;
	bool ended = false;

	memset(os, 'x', sizeof(os));
	for (i = 0; i < 200; i++) {
		f->node[i].r.hostinfo.os_version = slice_mem(os, 128);
		f->node[i].r.hostinfo.device_model = slice_mem(os, 128);
		f->node[i].r.hostinfo.services_hash = slice_mem(os, 128);
		f->node[i].r.hostinfo.hostname = slice_mem(os, 128);
	}
	p = cp_connect(&f->d, 0);
	hello(f, p);
	cp_say_type(p, M_CTL_NODE_LIST);
	turn(f);
	rows = p->rows;
	assert_true(rows > 50 && rows < 150);	/* about 64 KB */
	assert_non_null(strstr(cp_said(p), "user_name=\"alice\" slot=3"));
	/* Another list must wait for its end. */
	cp_say_type(p, M_CTL_USER_LIST);
	turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=3 text=\"another list"));
	/* A stalled peer gets nothing, */
	p->queued = 1024 * 1024;
	fakeenv_advance(f->fe, 10 * US_PER_S);
	turn(f);
	assert_int_equal(p->rows, rows);
	/* nodes come and go meanwhile, the last one that was sent too, */
	TAILQ_REMOVE(&f->tn[0].nodes, &f->node[rows - 1], all);
	TAILQ_REMOVE(&f->tn[0].nodes, &f->node[rows], all);
	/* and it goes on where it stood. */
	p->queued = 0;
	for (i = 0; i < 20; i++) {
		fakeenv_advance(f->fe, 10 * US_PER_MS);
		turn(f);
		ended |= strstr(cp_said(p), "\nCTL_END id=2 count=199\n") !=
		    NULL;
	}
	assert_int_equal(p->rows, 199);
	assert_true(ended);
	cp_hang_up(p);
}

static void
test_stalled_list(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;

	p = cp_connect(&f->d, 0);
	hello(f, p);
	p->slow = true;
	p->queued = 300 * 1024;
	cp_say_type(p, M_CTL_NODE_LIST);
	fakeenv_advance(f->fe, 59 * US_PER_S);
	assert_false(p->closed);
	fakeenv_advance(f->fe, 2 * US_PER_S);
	assert_true(p->closed && p->down);
	cp_hang_up(p);
	/* Gone in the middle: nothing is left behind. */
	p = cp_connect(&f->d, 0);
	hello(f, p);
	cp_say_type(p, M_CTL_EXPOSURE);
	cp_say_type(p, M_CTL_NODE_LIST);
	cp_hang_up(p);
	turn(f);
}

static void
test_exposure(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 5);
	hello(f, p);
	msg_init(&m, M_CTL_EXPOSURE);
	m.u.ctl_exposure.slot = 2;
	m.u.ctl_exposure.generation = 3;
	cp_say(p, &m);
	turn(f);
	assert_string_equal(op.called, "");
	assert_string_equal(cp_said(p), "CTL_EXPOSED id=2 slot=2 generation=3 "
	    "node=1 name=\"laptop\" first=5 last=6 revoked=true\n"
	    "CTL_EXPOSED id=2 slot=2 generation=3 "
	    "node=2 name=\"laptop\" first=5 last=6 revoked=false\n"
	    "CTL_END id=2 count=2\n");
	m.u.ctl_exposure.revoke = true;
	cp_say(p, &m);
	turn(f);
	assert_string_equal(op.called, "revoke 2 3 by 5");
	assert_non_null(strstr(logged, "uid=5 request=CTL_EXPOSURE slot=2 "
	    "generation=3 revoked=7"));
	assert_non_null(strstr(cp_said(p), "CTL_END id=3 count=2"));
	op.rc = -1;
	(void)strlcpy(op.why, "not now", sizeof(op.why));
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=4 text=\"not now\"\n");
	m.u.ctl_exposure.revoke = false;
	m.u.ctl_exposure.slot = 9;
	cp_say(p, &m);
	turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=5 text=\"the store"));
	cp_hang_up(p);
}

static void
master_row(struct fix *f)
{
	struct msg m;

	msg_init(&m, M_CFG_CTL_ROW);
	m.u.cfg_ctl_row.role = ROLE_WORKER;
	m.u.cfg_ctl_row.slot = 2;
	m.u.cfg_ctl_row.generation = 3;
	m.u.cfg_ctl_row.pid = 4;
	m.u.cfg_ctl_row.state = 2;
	m.u.cfg_ctl_row.uptime_s = 5;
	m.u.cfg_ctl_row.starts = 6;
	m.u.cfg_ctl_row.streams = 7;
	m.u.cfg_ctl_row.sessions = 8;
	m.u.cfg_ctl_row.counts.handshakes = 9;
	m.u.cfg_ctl_row.counts.behind = 10;
	dbd_master_row(&f->d, f->tag, &m);
}

static void
master_done(struct fix *f, bool ok, const char *text)
{
	struct msg m;

	msg_init(&m, M_CFG_CTL_DONE);
	m.u.cfg_ctl_done.ok = ok;
	m.u.cfg_ctl_done.text = slice_str(text);
	dbd_master_done(&f->d, f->tag, &m);
}

static void
test_status(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;

	p = cp_connect(&f->d, 0);
	hello(f, p);
	(void)strlcpy(f->d.file_no, "p:1:2: no", sizeof(f->d.file_no));
	cp_say_type(p, M_CTL_STATUS);
	assert_int_equal(f->asked, 1);
	master_row(f);
	master_done(f, true, "");
	turn(f);
	assert_string_equal(cp_said(p), "CTL_PROC id=2 role=6 slot=2 "
	    "generation=3 pid=4 state=2 uptime_s=5 starts=6 streams=7 "
	    "sessions=8 counts={ handshakes=9 confirmed=0 failed=0 refused=0 "
	    "held=0 registers=0 opens=0 lites=0 bytes_out=0 pauses=0 "
	    "expired=0 waiting=0 delayed=0 replaced=0 no_room=0 batches=0 "
	    "operations=0 behind=10 }\n"
	    "CTL_SUMMARY id=2 tailnet=1 name=\"net0\" nodes=4 online=2 "
	    "users=1 seq=50 policy=\"allow-all\" refused=\"p:1:2: no\"\n"
	    "CTL_SUMMARY id=2 tailnet=2 name=\"net1\" nodes=4 online=2 "
	    "users=1 seq=51 policy=\"deny-all\" refused=\"\"\n"
	    "CTL_END id=2 count=3\n");
	/* The tag is worth nothing any more, nor is an invented one. */
	master_row(f);
	master_done(f, true, "");
	turn(f);
	assert_string_equal(cp_said(p), "");
	cp_say_type(p, M_CTL_STATUS);
	master_done(f, false, "busy");
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"busy\"\n");
	/* Who asked hangs up; master answers all the same. */
	cp_say_type(p, M_CTL_STATUS);
	cp_hang_up(p);
	master_row(f);
	master_done(f, true, "");
	assert_int_equal(f->nsent, 0);
	/* A question that is open when dbd ends. */
	p = cp_connect(&f->d, 0);
	hello(f, p);
	cp_say_type(p, M_CTL_STATUS);
	cp_hang_up(p);
}

static void
test_reload_and_verbose(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 12);
	hello(f, p);
	cp_say_type(p, M_CTL_RELOAD);
	assert_string_equal(op.called, "CFG_CTL_RELOAD id=0 uid=12");
	assert_non_null(strstr(logged, "uid=12 request=CTL_RELOAD"));
	master_row(f);		/* not asked for */
	/* Slow as master may be, the connection waits. */
	fakeenv_advance(f->fe, 100 * US_PER_S);
	assert_false(p->closed);
	master_done(f, false, "");
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=2 text=\"refused by "
	    "master\"\n");
	cp_say_type(p, M_CTL_RELOAD);
	master_done(f, true, "2 warnings");
	turn(f);
	assert_string_equal(cp_said(p),
	    "CTL_OK id=3 id=0 text=\"2 warnings\"\n");
	msg_init(&m, M_CTL_VERBOSE);
	m.u.ctl_verbose.verbose = 1;
	cp_say(p, &m);
	assert_string_equal(op.called, "CFG_CTL_VERBOSE id=0 verbose=1");
	master_done(f, true, "");
	turn(f);
	assert_string_equal(cp_said(p), "CTL_OK id=4 id=0 text=\"\"\n");
	cp_hang_up(p);
}

static void
test_limits(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p[64];
	struct msg m;
	unsigned int i, n = 0;

	for (i = 0; i < 8; i++)
		hello(f, p[n++] = cp_connect(&f->d, 1000));
	/* The next ones of this uid are told why, */
	for (i = 0; i < 8; i++) {
		p[n] = cp_connect(&f->d, 1000);
		msg_init(&m, M_CTL_HELLO);
		m.u.ctl_hello.table = MSG_TABLE_SUM;
		cp_say(p[n], &m);
		turn(f);
		assert_non_null(strstr(cp_said(p[n++]),
		    "uid 1000 has 8 control connections open"));
	}
	/* then it is shut out, */
	p[n] = cp_connect(&f->d, 1000);
	assert_true(p[n++]->closed);
	assert_non_null(strstr(logged, "uid=1000 refused: 16 connections"));
	/* but no other uid, */
	for (i = 0; i < 16; i++)
		hello(f, p[n++] = cp_connect(&f->d, 2000 + i / 8));
	/* until there are 32 in all. */
	p[n] = cp_connect(&f->d, 0);
	assert_true(p[n++]->closed);
	/* Those that were refused go soon, whatever they do. */
	fakeenv_advance(f->fe, 11 * US_PER_S);
	for (i = 0; i < n; i++)
		assert_int_equal(p[i]->closed, (i >= 8 && i < 17) ||
		    i == n - 1);
	hello(f, p[n++] = cp_connect(&f->d, 0));
	cp_hang_up(p[0]);
	p[0] = cp_connect(&f->d, 1000);
	hello(f, p[0]);
	for (i = 0; i < n; i++)
		cp_hang_up(p[i]);
}

static void
say_part(struct cp_peer *p, const void *octets, size_t n)
{
	struct msg m;

	msg_init(&m, M_CTL_POLICY_PART);
	m.u.ctl_policy_part.octets = slice_mem(octets, n);
	cp_say(p, &m);
}

static void
say_set(struct cp_peer *p)
{
	struct msg m;

	msg_init(&m, M_CTL_POLICY_SET);
	m.u.ctl_policy_set.reason = slice_str("why");
	cp_say(p, &m);
}

/* A job ends so. */
static void
end(struct fix *f, bool ok, const char *text)
{
	struct job_result r;

	memset(&r, 0, sizeof(r));
	r.ok = ok;
	r.version = ok ? 9 : 0;
	r.line = ok ? 0 : 3;
	r.column = 4;
	r.text = slice_str(text);
	r.out = slice_str("lines");
	job.done(&r, job.arg);
	turn(f);
}

static void
test_policy(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	hello(f, p);
	say_part(p, "{ /*", 4);
	say_part(p, "*/ }", 4);
	say_set(p);
	assert_string_equal(op.called,
	    "policy_set 1 \"{ /**/ }\" why by 1000");
	turn(f);
	assert_string_equal(cp_said(p), "");
	/* Compiling takes its time: the connection is not idle. */
	fakeenv_advance(f->fe, 119 * US_PER_S);
	assert_false(p->down);
	/* One at a time. */
	msg_init(&m, M_CTL_POLICY_WHY);
	m.u.ctl_policy_why.src = slice_str("a");
	m.u.ctl_policy_why.dst = slice_str("b");
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"another policy of "
	    "this connection is being worked on\"\n");
	end(f, true, "");
	assert_string_equal(cp_said(p), "CTL_OK id=2 id=9 text=\"\"\n");
	/* The text was for that request alone. */
	say_set(p);
	assert_string_equal(op.called, "policy_set 1 \"\" why by 1000");
	end(f, false, "bad\033");
	assert_string_equal(cp_said(p), "CTL_POLICY_BAD id=4 "
	    "tests_failed=false line=3 column=4 text=\"bad\\033\" "
	    "detail=[0]\n");
	cp_say(p, &m);
	assert_string_equal(op.called, "policy_why 1 a b 0 by 1000");
	end(f, true, "");
	assert_non_null(strstr(cp_said(p), "CTL_POLICY_LINE id=5"));
	msg_init(&m, M_CTL_POLICY_CHECK);
	m.u.ctl_policy_check.tests = true;
	say_part(p, "x", 1);
	cp_say(p, &m);
	assert_string_equal(op.called, "policy_try 1 2 \"x\" 0 by 1000");
	end(f, true, "");
	(void)cp_said(p);
	msg_init(&m, M_CTL_POLICY_DIFF);
	m.u.ctl_policy_diff.lines = UINT32_MAX;
	cp_say(p, &m);
	assert_string_equal(op.called, "policy_try 1 4 \"\" 100000 by 1000");
	end(f, true, "");
	(void)cp_said(p);
	msg_init(&m, M_CTL_POLICY_ROLLBACK);
	m.u.ctl_policy_rollback.version = 3;
	op.rc = -1;
	(void)strlcpy(op.why, "no such version", sizeof(op.why));
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=8 text=\"no such version\""
	    "\n");
	/* Who hangs up is not waited for. */
	op.rc = 0;
	cp_say(p, &m);
	cp_hang_up(p);
	assert_null(job.done);
}

static void
test_policy_too_long(void **state)
{
	static char part[60000];
	struct fix *f = *state;
	struct cp_peer *p;
	size_t i;

	memset(part, ' ', sizeof(part));
	p = cp_connect(&f->d, 1000);
	hello(f, p);
	for (i = 0; i < 1000; i++)
		say_part(p, part, sizeof(part));
	say_set(p);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=2 text=\"the policy has "
	    "more than 1048576 octets\"\n");
	for (i = 0; i < 17; i++)
		say_part(p, part, sizeof(part));
	say_part(p, part, 1048576 - 17 * sizeof(part));
	say_set(p);
	assert_int_equal(job.octets, 1048576);
	end(f, true, "");
	cp_hang_up(p);
}

static void
test_policy_versions(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p;
	const char *text;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	hello(f, p);
	f->tn[0].version = 7;
	cp_say_type(p, M_CTL_POLICY_HISTORY);
	turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "CTL_POLICY_VERSION id=2 version=7 kind=2 "
	    "uid=1000 at=5 reason=\"r\" size=3 in_force=true "
	    "alarm=false\n"));
	assert_non_null(strstr(text, "version=6 "));
	assert_non_null(strstr(text, "in_force=false alarm=false\n"
	    "CTL_END id=2 count=2\n"));
	f->tn[0].alarm = true;
	cp_say_type(p, M_CTL_POLICY_GET);
	turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "version=7 "));
	assert_non_null(strstr(text, "in_force=false alarm=true\n"
	    "CTL_POLICY_LINE id=3"));
	msg_init(&m, M_CTL_POLICY_GET);
	m.u.ctl_policy_get.version = 8;
	cp_say(p, &m);
	turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=4 text=\"no such version\""
	    "\n");
	cp_hang_up(p);
}

static void
test_silence(void **state)
{
	struct fix *f = *state;
	struct cp_peer *p, *q;

	p = cp_connect(&f->d, 0);
	q = cp_connect(&f->d, 0);
	hello(f, q);
	fakeenv_advance(f->fe, 11 * US_PER_S);
	assert_true(p->down);
	assert_false(q->down);
	fakeenv_advance(f->fe, 50 * US_PER_S);
	assert_true(q->down);
	cp_hang_up(p);
	cp_hang_up(q);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_hello), T(test_changes), T(test_key_create),
		T(test_short_lists), T(test_paced_list),
		T(test_stalled_list), T(test_exposure), T(test_status),
		T(test_reload_and_verbose), T(test_limits), T(test_silence),
		T(test_policy), T(test_policy_too_long),
		T(test_policy_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
