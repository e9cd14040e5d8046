#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dbd/alloc_int.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/objects_int.h"
#include "dbd/policy_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define TRIM_LOG	64	/* batches */
#define TRIM_RESULTS	4096	/* results */
#define KEEP_RESULTS	16384	/* requests: far more than can be open */
#define TRIM_AUDIT	1000	/* audit rows */
#define LOG_OCTETS	(64ULL * 1024 * 1024)	/* of changes that are kept */
#define LAZY_RIDERS	64	/* facts that go with a batch */
#define RELIEF_LEAST	(TURN_CHANGES / 2) /* octets, however long a queue is */

void
op_check(struct dbd *d, int rc)
{
	if (rc == -1)
		env_end(d->env, 1, "the store failed");
}

/*
 * What the caller is about to write may point into nodes: none of them changes
 * here, so routes wait for the end of the turn.  So does all that is sent:
 * nobody can read any of it before, so that one handler's many batches are too
 * much for a queue as one large batch may be (relieve()).
 */
void
op_begin(struct dbd *d)
{
	if (d->nops >= BATCH_MAX || d->octets >= TURN_CHANGES)
		batch_commit(d);
	if (!d->open) {
		d->open = true;
		op_check(d, store_begin(d->store));
	}
	d->numbered = NULL;
	op_check(d, store_savepoint(d->store));
}

void
op_end(struct dbd *d)
{
	d->nops++;
	op_check(d, store_release(d->store));
}

void
op_undo(struct dbd *d)
{
	op_check(d, store_undo(d->store));
}

uint64_t
op_id(struct dbd *d, enum store_id kind)
{
	uint64_t id;

	if ((id = store_next_id(d->store, kind)) == 0)
		op_check(d, -1);
	return id;
}

/* Changes. */

void
change_add(struct buf *b, const struct msg *m)
{
	size_t at, n;

	buf_u16(b, (uint16_t)m->type);
	at = b->n;
	buf_u32(b, 0);
	msg_encode(b, m);
	n = b->n - at - 4;
	b->p[at] = (uint8_t)(n >> 24);
	b->p[at + 1] = (uint8_t)(n >> 16);
	b->p[at + 2] = (uint8_t)(n >> 8);
	b->p[at + 3] = (uint8_t)n;
}

bool
change_next(struct rd *r, struct msg *m)
{
	const uint8_t *p;
	uint32_t n;
	uint16_t type;

	if (rd_left(r) == 0)
		return false;
	type = rd_u16(r);
	n = rd_u32(r);
	if ((p = rd_take(r, n)) == NULL ||
	    !msg_permitted(type, ROLE_DBD, ROLE_WORKER, LINK_DB, MSG_RUN) ||
	    msg_class(type) != MSG_NOTIFY || msg_decode(m, type, p, n) == -1) {
		r->bad = true;
		return false;
	}
	return true;
}

/* The operation's number; the first change of it takes one. */
static uint64_t
number(struct tailnet *tn)
{
	struct dbd *d = tn->d;

	if (d->numbered != tn) {
		d->numbered = tn;
		tn->seq++;
	}
	if (tn->changes.n == 0)
		TAILQ_INSERT_TAIL(&d->changed, tn, changed);
	return tn->seq;
}

static void
tell(struct tailnet *tn, const struct msg *m)
{
	size_t before = tn->changes.n;

	change_add(&tn->changes, m);
	tn->d->octets += tn->changes.n - before;
}

void
put_user(struct user *u)
{
	struct user_row row;
	struct msg m;

	row.tailnet = u->tn->id;
	row.user = u->r;
	op_check(u->tn->d, store_put_user(u->tn->d->store, &row));
	msg_init(&m, M_DB_USER_PUT);
	(void)number(u->tn);
	m.u.db_user_put.tailnet = u->tn->id;
	m.u.db_user_put.user = u->r;
	tell(u->tn, &m);
}

void
del_user(struct user *u)
{
	struct tailnet *tn = u->tn;
	struct authkey *k, *next;
	struct msg m;

	msg_init(&m, M_DB_USER_DEL);
	(void)number(tn);
	m.u.db_user_del.tailnet = tn->id;
	m.u.db_user_del.id = u->r.id;
	tell(tn, &m);
	op_check(tn->d, store_del_user(tn->d->store, tn->id, u->r.id));
	TAILQ_FOREACH_SAFE(k, &tn->authkeys, all, next)
		if (k->row.user == u->r.id)
			authkey_free(k);
	user_free(u);
}

void
store_node(struct node *n)
{
	struct node_row row;

	node_row(n, &row);
	op_check(n->tn->d, store_put_node(n->tn->d->store, &row));
	if (n->lazy) {		/* went with it */
		TAILQ_REMOVE(&n->tn->d->seen, n, seen);
		n->lazy = false;
	}
}

void
put_node(struct node *n)
{
	struct msg m;

	store_node(n);
	msg_init(&m, M_DB_NODE_PUT);
	m.u.db_node_put.tailnet = n->tn->id;
	m.u.db_node_put.seq = number(n->tn);
	m.u.db_node_put.node = n->r;
	tell(n->tn, &m);
}

/*
 * The change log says only that there was a new policy: who was away then
 * gets a snapshot.
 */
void
put_policy(struct tailnet *tn)
{
	struct msg m;

	msg_init(&m, M_DB_POLICY_PART);
	m.u.db_policy_part.tailnet = tn->id;
	m.u.db_policy_part.seq = tn->pol_seq = number(tn);
	tell(tn, &m);
}

void
del_node(struct node *n)
{
	struct tailnet *tn = n->tn;
	struct rest_row rest;
	struct msg m;

	session_kick(n, END_DELETED);
	lite_forget(n, true);
	exposed_forget(tn->d, n->r.id);
	memset(&rest, 0, sizeof(rest));
	rest.tailnet = tn->id;
	rest.ip4 = n->r.ip4;
	rest.ip6 = n->r.ip6;
	rest.until = env_wall(tn->d->env) + REST_S;
	op_check(tn->d, store_del_node(tn->d->store, tn->id, n->r.id));
	op_check(tn->d, store_put_rest(tn->d->store, &rest));
	msg_init(&m, M_DB_NODE_DEL);
	m.u.db_node_del.tailnet = tn->id;
	m.u.db_node_del.seq = number(tn);
	m.u.db_node_del.id = n->r.id;
	tell(tn, &m);
	node_free(n);
	alloc_rest(tn, &rest);
}

void
use_authkey(struct authkey *k)
{
	if (k->dirty)
		return;
	k->dirty = true;
	TAILQ_INSERT_TAIL(&k->tn->d->used_keys, k, used);
}

/* Results and audit rows. */

void
put_result(struct worker *w, const struct msg *m)
{
	struct dbd *d = w->d;
	struct result_row row;

	memset(&row, 0, sizeof(row));
	row.slot = w->slot;
	row.generation = w->generation;
	row.request = m->id;
	row.type = m->type;
	row.secret = msg_is_secret(m->type);
	buf_clear(&d->scratch);
	if (!row.secret)
		msg_encode(&d->scratch, m);
	row.body = buf_slice_of(&d->scratch);
	op_check(d, store_put_result(d->store, &row));
	/* The highest one: a rogue may count downwards. */
	if (m->id > w->last_id)
		w->last_id = m->id;
	if (++w->results < TRIM_RESULTS || w->last_id <= KEEP_RESULTS)
		return;
	w->results = 0;
	op_check(d, store_trim_results(d->store, w->slot, w->generation,
	    w->last_id - KEEP_RESULTS));
}

void
answer(struct worker *w, struct msg *m, bool stored)
{
	if (stored)
		put_result(w, m);
	batch_reply(w->d, w->link, m);
}

void
audit(struct tailnet *tn, uint32_t uid, const char *what, uint64_t target,
    const char *detail, ...)
{
	struct audit_row row;
	char text[256];
	va_list ap;

	va_start(ap, detail);
	(void)vsnprintf(text, sizeof(text), detail, ap);
	va_end(ap);
	memset(&row, 0, sizeof(row));
	row.tailnet = tn->id;
	row.at = env_wall(tn->d->env);
	row.uid = uid;
	row.what = what;
	row.target = target;
	row.detail = slice_str(text);
	op_check(tn->d, store_add_audit(tn->d->store, &row));
	if (++tn->audits < TRIM_AUDIT)
		return;
	tn->audits = 0;
	op_check(tn->d, store_trim_audit(tn->d->store, tn->id, AUDIT_KEEP,
	    INT64_MAX));
}

/* The end of a batch. */

/*
 * More than a row may hold: it says that there was a new policy, which nobody
 * who was away can read past.
 */
static struct slice
log_cut(struct tailnet *tn, struct buf *b)
{
	struct msg m;

	log_warnx("change log tailnet=%s seq=%llu: %zu octets are too many: "
	    "it is cut there", tn->name, (unsigned long long)tn->seq,
	    tn->changes.n);
	msg_init(&m, M_DB_POLICY_PART);
	m.u.db_policy_part.tailnet = tn->id;
	m.u.db_policy_part.seq = tn->seq;
	change_add(b, &m);
	return buf_slice_of(b);
}

static void
log_changes(struct dbd *d, struct tailnet *tn, const uint8_t batch[BATCH_LEN])
{
	struct buf cut = { NULL, 0, 0 };
	struct tailnet_row row;
	struct log_row log;

	memset(&log, 0, sizeof(log));
	memcpy(tn->batch, batch, BATCH_LEN);
	log.tailnet = tn->id;
	log.seq = tn->seq;
	memcpy(log.batch, batch, BATCH_LEN);
	log.at = env_wall(d->env);
	log.changes = tn->changes.n <= STORE_LOG_MAX ?
	    buf_slice_of(&tn->changes) : log_cut(tn, &cut);
	op_check(d, store_add_log(d->store, &log));
	tn->log_octets += log.changes.n;
	buf_free(&cut);

	memset(&row, 0, sizeof(row));
	row.id = tn->id;
	row.name = slice_str(tn->name);
	row.stable_id = slice_str(tn->stable_id);
	row.seq = tn->seq;
	memcpy(row.batch, batch, BATCH_LEN);
	row.created = tn->created;
	op_check(d, store_put_tailnet(d->store, &row));
	if (++tn->batches < TRIM_LOG && tn->log_octets < LOG_OCTETS / 4)
		return;
	tn->batches = 0;
	tn->log_octets = 0;
	op_check(d, store_trim_log(d->store, tn->id, d->conf.log_keep,
	    LOG_OCTETS));
}

/*
 * Rows of rests that are over.  One that memory still keeps stays, also if
 * the wall clock has jumped past its end.
 */
static void
forget_rests(struct dbd *d)
{
	const struct rest *r;
	struct tailnet *tn;
	int64_t until = env_wall(d->env);

	d->rested = false;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		if ((r = TAILQ_FIRST(&tn->rests)) != NULL &&
		    r->row.until <= until)
			until = r->row.until - 1;
	op_check(d, store_del_rests(d->store, until));
}

/* Committed: workers are told at the end of the turn. */
static void
changes_keep(struct tailnet *tn)
{
	struct buf spare = tn->untold;
	struct msg m;

	msg_init(&m, M_DB_BATCH);
	m.u.db_batch.tailnet = tn->id;
	memcpy(m.u.db_batch.batch, tn->batch, BATCH_LEN);
	m.u.db_batch.seq = tn->seq;
	change_add(&tn->changes, &m);
	if (tn->untold.n != 0) {
		buf_put(&tn->untold, tn->changes.p, tn->changes.n);
		buf_clear(&tn->changes);
		return;
	}
	TAILQ_INSERT_TAIL(&tn->d->tellable, tn, tellable);
	tn->untold = tn->changes;
	tn->changes = spare;
}

void
batch_commit(struct dbd *d)
{
	uint8_t batch[BATCH_LEN] = { 0 };
	struct tailnet *tn;
	struct authkey *k;

	if (!d->open || env_ended(d->env))
		return;
	while ((k = TAILQ_FIRST(&d->used_keys)) != NULL) {
		TAILQ_REMOVE(&d->used_keys, k, used);
		k->dirty = false;
		op_check(d, store_put_authkey(d->store, &k->row));
	}
	(void)lazy_write(d, LAZY_RIDERS);
	if (d->rested)
		forget_rests(d);
	if (!TAILQ_EMPTY(&d->changed))
		env_random(d->env, batch, sizeof(batch));
	TAILQ_FOREACH(tn, &d->changed, changed)
		log_changes(d, tn, batch);
	if (env_ended(d->env))
		return;
	if (store_commit(d->store) == -1) {
		env_end(d->env, 1, "commit failed");
		return;
	}
	d->counts.batches++;
	d->counts.operations += d->nops;
	while ((tn = TAILQ_FIRST(&d->changed)) != NULL) {
		TAILQ_REMOVE(&d->changed, tn, changed);
		changes_keep(tn);
	}
	d->open = false;
	d->nops = 0;
	d->octets = 0;
	d->numbered = NULL;
}

/* One change to every worker that holds the tailnet as it was before. */
static void
to_holders(struct tailnet *tn, const struct msg *m)
{
	struct held *h;

	TAILQ_FOREACH(h, &tn->holders, of_tailnet)
		if (!h->due && !h->left)
			link_send(h->worker->link, m);
}

static void
changes_send(struct tailnet *tn)
{
	struct msg m;
	struct rd r;

	rd_init(&r, tn->untold.p, tn->untold.n);
	while (change_next(&r, &m)) {
		if (m.type != M_DB_POLICY_PART)
			to_holders(tn, &m);
		/* The last one is in force. */
		else if (m.u.db_policy_part.seq == tn->pol_seq)
			policy_publish(tn);
	}
	if (!rd_done(&r))
		fatalx("tailnet=%s: own changes", tn->name);
	buf_clear(&tn->untold);
	if (tn->untold.cap > 2 * TURN_CHANGES)
		buf_free(&tn->untold);
}

static void
snapshots_send(struct dbd *d)
{
	struct worker *w;
	struct held *h;

	TAILQ_FOREACH(w, &d->workers, all)
		TAILQ_FOREACH(h, &w->held, of_worker)
			if (h->due)
				snapshot_send(d, w->link, h->tn);
}

/* Where its link will be once all that was given to it is taken. */
static uint64_t
link_end(struct link *l)
{
	return link_taken(l) + link_queued(l);
}

/*
 * A turn's changes wait in the queue before anything of them can be written,
 * so a worker that reads may have more there than it may have.  Where that is
 * half of it, the worker gets the tailnet sealed, which costs the queue a few
 * octets, instead of these changes: one at a time, so that one that takes
 * nothing goes over its bound as ever.  One that is behind already is not
 * helped by a snapshot for each small change.
 */
static void
relieve(struct dbd *d, struct held *h)
{
	struct link *l = h->worker->link;
	size_t n = h->tn->untold.n, max = d->conf.queue_max;
	size_t least = max / 32 < RELIEF_LEAST ? max / 32 : RELIEF_LEAST;

	if (n < least || link_is_down(l) || link_taken(l) < h->relief ||
	    link_queued(l) + h->worker->coming + n <= max / 2) {
		h->worker->coming += n;
		return;
	}
	if (!snapshot_sealed(d, l, h->tn)) {
		h->worker->coming += n;
		return;
	}
	h->due = true;		/* for what is left of this turn */
	h->relief = link_end(l);
}

static void
relief_send(struct dbd *d)
{
	struct tailnet *tn;
	struct worker *w;
	struct held *h;

	TAILQ_FOREACH(w, &d->workers, all)
		w->coming = 0;
	TAILQ_FOREACH(tn, &d->tellable, tellable)
		TAILQ_FOREACH(h, &tn->holders, of_tailnet)
			if (!h->due && !h->left)
				relieve(d, h);
}

static void
online_send(struct dbd *d)
{
	struct tailnet *tn;
	struct node *n;
	struct held *h;
	struct msg m;

	while ((n = TAILQ_FIRST(&d->tell)) != NULL) {
		TAILQ_REMOVE(&d->tell, n, tell);
		n->told = false;
		if (d->map_due)
			continue;
		msg_init(&m, M_DB_ONLINE);
		m.u.db_online.tailnet = n->tn->id;
		m.u.db_online.node = n->r.id;
		m.u.db_online.online = n->r.online;
		m.u.db_online.last_seen = n->r.last_seen;
		TAILQ_FOREACH(h, &n->tn->holders, of_tailnet)
			if (!h->due && !h->left) /* the snapshot says it */
				link_send(h->worker->link, &m);
	}
	if (!d->map_due)
		return;
	d->map_due = false;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(h, &tn->holders, of_tailnet)
			if (!h->left)
				online_map_send(d, h->worker->link, tn);
}

void
dbd_turn(struct dbd *d)
{
	struct tailnet *tn;
	struct worker *w;
	struct held *h;

	routes_settle(d);
	control_settle(d);
	batch_commit(d);
	if (env_ended(d->env))
		return;
	snapshots_send(d);
	relief_send(d);
	while ((tn = TAILQ_FIRST(&d->tellable)) != NULL) {
		TAILQ_REMOVE(&d->tellable, tn, tellable);
		changes_send(tn);
	}
	online_send(d);
	TAILQ_FOREACH(w, &d->workers, all)
		TAILQ_FOREACH(h, &w->held, of_worker)
			h->due = false;
	outs_send(d);
}

bool
dbd_dirty(const struct dbd *d)
{
	return d->open;
}
