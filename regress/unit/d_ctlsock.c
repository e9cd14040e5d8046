#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/control_int.h"
#include "dbd/health_int.h"
#include "regress/unit/d_ctlsock.h"

static int called(struct dbd *, char *, size_t, const char *, ...)
    __attribute__((__format__(printf, 4, 5)));

static struct cs_fix *
fix_of(struct dbd *d)
{
	return (struct cs_fix *)(void *)((char *)d -
	    offsetof(struct cs_fix, d));
}

static int
called(struct dbd *d, char *why, size_t n, const char *fmt, ...)
{
	struct cs_fix *f = fix_of(d);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->called, sizeof(f->called), fmt, ap);
	va_end(ap);
	(void)strlcpy(why, f->why, n);
	return f->rc;
}

#define LLU(v)	(unsigned long long)(v)

int
op_user_add(struct dbd *d, struct slice name, struct slice display,
    uint64_t *id, uint32_t uid, char *why, size_t n)
{
	*id = 31;
	return called(d, why, n, "user_add %.*s/%.*s by %u", SLICE_FMT(name),
	    SLICE_FMT(display), uid);
}

int
op_user_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	return called(d, why, n, "user_rename %llu %.*s by %u", LLU(id),
	    SLICE_FMT(name), uid);
}

int
op_user_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "user_delete %llu by %u", LLU(id), uid);
}

int
op_key_create(struct dbd *d, const struct key_spec *k, struct key_made *made,
    uint32_t uid, char *why, size_t n)
{
	made->id = 41;
	made->expiry = 99;
	(void)strlcpy(made->secret, CS_SECRET, sizeof(made->secret));
	return called(d, why, n, "key_create user=%llu %d%d %llu tags=%u by %u",
	    LLU(k->user), k->reusable, k->ephemeral, LLU(k->expires_s),
	    k->tags.count, uid);
}

int
op_key_expire(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "key_expire %llu by %u", LLU(id), uid);
}

int
op_key_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "key_delete %llu by %u", LLU(id), uid);
}

int
op_node_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	return called(d, why, n, "node_rename %llu %.*s by %u", LLU(id),
	    SLICE_FMT(name), uid);
}

int
op_node_tag(struct dbd *d, uint64_t id, const struct msg_list *tags,
    uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "node_tag %llu %u by %u", LLU(id), tags->count,
	    uid);
}

int
op_node_move(struct dbd *d, uint64_t id, uint64_t user, uint32_t uid,
    char *why, size_t n)
{
	return called(d, why, n, "node_move %llu %llu by %u", LLU(id),
	    LLU(user), uid);
}

int
op_node_expire(struct dbd *d, uint64_t id, int64_t at, uint32_t uid,
    char *why, size_t n)
{
	return called(d, why, n, "node_expire %llu %lld by %u", LLU(id),
	    (long long)at, uid);
}

int
op_node_logout(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "node_logout %llu by %u", LLU(id), uid);
}

int
op_node_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "node_delete %llu by %u", LLU(id), uid);
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
	*n = 7;
	return called(d, why, whylen, "revoke %u %llu by %u", slot,
	    LLU(generation), uid);
}

int
op_cert_renew(struct dbd *d, bool revoke, char *why, size_t n)
{
	return called(d, why, n, "cert_renew %d", revoke);
}

/* Each list has one row. */

void
health_rows(struct dbd *d, struct buf *rows)
{
	struct msg m;

	(void)d;
	msg_init(&m, M_CTL_DERP);
	rows_add(rows, &m);
}

void
dbacme_rows(struct dbd *d, struct buf *rows)
{
	struct msg m;

	(void)d;
	msg_init(&m, M_CTL_CERT);
	rows_add(rows, &m);
}

int
op_user_role(struct dbd *d, uint64_t id, uint8_t role, uint32_t uid, char *why,
    size_t n)
{
	return called(d, why, n, "user_role %llu %u by %u", LLU(id), role, uid);
}

int
op_node_routes(struct dbd *d, uint64_t id, const struct msg_list *routes,
    bool approve, uint32_t uid, char *why, size_t n)
{
	return called(d, why, n, "node_routes %llu %u %d by %u", LLU(id),
	    routes->count, approve, uid);
}

/* Policies. */

/* Keeps the job that is asked for, unless it is to be refused. */
static struct dbd *
job_keep(struct tailnet *tn, size_t octets,
    void (*done)(const struct job_result *, void *), void *arg)
{
	struct cs_fix *f = (struct cs_fix *)(void *)((char *)(tn -
	    (tn->id - 1)) - offsetof(struct cs_fix, tn));

	f->job.octets = octets;
	f->job.done = f->rc == 0 ? done : NULL;
	f->job.arg = arg;
	return &f->d;
}

int
op_policy_set(struct tailnet *tn, struct slice text, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	struct dbd *d = job_keep(tn, text.n, done, arg);

	return called(d, why, n, "policy_set %llu \"%.*s\" %.*s by %u",
	    LLU(tn->id), text.n > 40 ? 0 : (int)text.n, text.n == 0 ? "" :
	    text.p, SLICE_FMT(reason), uid);
}

int
op_policy_rollback(struct tailnet *tn, uint32_t version, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	struct dbd *d = job_keep(tn, 0, done, arg);

	return called(d, why, n, "policy_rollback %llu %u %.*s by %u",
	    LLU(tn->id), version, SLICE_FMT(reason), uid);
}

int
op_policy_try(struct tailnet *tn, enum job_kind kind, struct slice text,
    uint32_t lines, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	struct dbd *d = job_keep(tn, text.n, done, arg);

	return called(d, why, n, "policy_try %llu %d \"%.*s\" %u by %u",
	    LLU(tn->id), kind, SLICE_FMT(text), lines, uid);
}

int
op_policy_why(struct tailnet *tn, struct slice src, struct slice dst,
    uint16_t port, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	struct dbd *d = job_keep(tn, 0, done, arg);

	return called(d, why, n, "policy_why %llu %.*s %.*s %u by %u",
	    LLU(tn->id), SLICE_FMT(src), SLICE_FMT(dst), port, uid);
}

void
job_forget(struct dbd *d, const void *arg)
{
	struct cs_fix *f = fix_of(d);

	assert_ptr_equal(arg, f->job.arg);
	f->job.done = NULL;
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

void
batch_reply(struct dbd *d, struct link *l, const struct msg *m)
{
	struct cs_fix *f = fix_of(d);
	struct cs_sent *s;

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
	struct cs_fix *f = fix_of(d);
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
	struct cs_fix *f = fix_of(d);

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
	struct cs_fix *f = arg;

	(void)level;
	(void)strlcat(f->logged, line, sizeof(f->logged));
	(void)strlcat(f->logged, "\n", sizeof(f->logged));
}

static void
ask_master(const struct msg *m, void *tag, void *arg)
{
	struct cs_fix *f = arg;
	struct buf b = { 0 };

	msg_print(&b, m);
	buf_u8(&b, 0);
	(void)strlcpy(f->called, (const char *)b.p, sizeof(f->called));
	buf_free(&b);
	f->tag = tag;
	f->asked++;
}

void
cs_turn(struct cs_fix *f)
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

void
cs_hello(struct cs_fix *f, struct cp_peer *p)
{
	struct msg m;

	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM;
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_OK id=1 id=0 text=\"\"\n");
}

static void
make_truth(struct cs_fix *f)
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

int
cs_setup(void **state)
{
	struct cs_fix *f;

	f = xcalloc(1, sizeof(*f));
	f->fe = fakeenv_new(1);
	f->d.env = fakeenv_env(f->fe);
	f->d.ops.ask_master = ask_master;
	f->d.ops.arg = f;
	make_truth(f);
	log_capture(on_log, f);
	*state = f;
	return 0;
}

int
cs_teardown(void **state)
{
	struct cs_fix *f = *state;

	ctlsock_free(&f->d);
	assert_null(f->d.control);
	assert_int_equal(env_timers(f->d.env), 0);
	buf_free(&f->d.outs_body);
	fakeenv_free(f->fe);
	free(f);
	log_capture(NULL, NULL);
	return 0;
}
