#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/policy_int.h"
#include "dbd/worker_int.h"

#define PART_OCTETS	60000

static void
part_add(const struct msg *m, void *arg)
{
	change_add(arg, m);
}

void
snapshot_make(struct tailnet *tn, struct buf *b)
{
	const struct user *u;
	const struct node *n;
	struct msg m;

	tailnet_say(tn, &m);
	change_add(b, &m);
	if (policy_in_force(tn) == POLICY_COMPILED)
		policy_parts(tn, buf_slice_of(&tn->blob), part_add, b);
	TAILQ_FOREACH(u, &tn->users, all) {
		msg_init(&m, M_DB_USER_PUT);
		m.u.db_user_put.tailnet = tn->id;
		m.u.db_user_put.user = u->r;
		change_add(b, &m);
	}
	TAILQ_FOREACH(n, &tn->nodes, all) {
		msg_init(&m, M_DB_NODE_PUT);
		m.u.db_node_put.tailnet = tn->id;
		m.u.db_node_put.seq = tn->seq;
		m.u.db_node_put.node = n->r;
		change_add(b, &m);
	}
	msg_init(&m, M_DB_BATCH);
	m.u.db_batch.tailnet = tn->id;
	memcpy(m.u.db_batch.batch, tn->batch, BATCH_LEN);
	m.u.db_batch.seq = tn->seq;
	change_add(b, &m);
}

/*
 * Only where nothing can be sealed.  All parts wait in the queue: a tailnet
 * larger than that (limits.worker_queue) cannot be served there, and the bound
 * has to be raised.
 */
static void
parts_send(struct link *l, const struct tailnet *tn, const struct buf *b)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < b->n && !link_is_down(l); at += n) {
		n = b->n - at < PART_OCTETS ? b->n - at : PART_OCTETS;
		msg_init(&m, M_DB_SNAPSHOT_PART);
		m.u.db_snapshot_part.tailnet = tn->id;
		m.u.db_snapshot_part.size = b->n;
		m.u.db_snapshot_part.at = at;
		m.u.db_snapshot_part.octets = slice_mem(b->p + at, n);
		link_send(l, &m);
	}
}

static bool
sealed_send(struct dbd *d, struct link *l, const struct tailnet *tn,
    const struct buf *b)
{
	struct msg m;
	int fd;

	if ((fd = d->ops.seal(b->p, b->n, d->ops.arg)) == -1)
		return false;
	msg_init(&m, M_DB_SNAPSHOT);
	m.u.db_snapshot.tailnet = tn->id;
	m.u.db_snapshot.size = b->n;
	m.fd = fd;
	link_send(l, &m);
	return true;
}

void
snapshot_send(struct dbd *d, struct link *l, struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };

	snapshot_make(tn, &b);
	if (!sealed_send(d, l, tn, &b))
		parts_send(l, tn, &b);
	buf_free(&b);
}

bool
snapshot_sealed(struct dbd *d, struct link *l, struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };
	bool sent;

	snapshot_make(tn, &b);
	sent = sealed_send(d, l, tn, &b);
	buf_free(&b);
	return sent;
}

/* What the log says of the time after a place. */

struct replay {
	struct tailnet	*tn;
	struct link	*link;		/* NULL: only look whether it decodes */
	uint64_t	 seq;		/* of the last row seen */
	bool		 policy;	/* it changed meanwhile */
	size_t		 octets;
};

static int
on_row(const struct log_row *row, void *arg)
{
	struct replay *p = arg;
	struct msg m;
	struct rd r;

	rd_init(&r, row->changes.p, row->changes.n);
	while (change_next(&r, &m)) {
		if (m.type == M_DB_POLICY_PART)
			p->policy = true;
		if (p->link != NULL)
			link_send(p->link, &m);
	}
	if (!rd_done(&r)) {
		log_warnx("change log tailnet=%s seq=%llu: malformed",
		    p->tn->name, (unsigned long long)row->seq);
		return -1;
	}
	p->seq = row->seq;
	p->octets += row->changes.n;
	if (p->link == NULL)
		return 0;
	msg_init(&m, M_DB_BATCH);
	m.u.db_batch.tailnet = p->tn->id;
	memcpy(m.u.db_batch.batch, row->batch, BATCH_LEN);
	m.u.db_batch.seq = row->seq;
	link_send(p->link, &m);
	return 0;
}

bool
replay_send(struct dbd *d, struct link *l, struct tailnet *tn, uint64_t seq,
    const uint8_t batch[BATCH_LEN])
{
	struct replay p = { tn, NULL, seq, false, 0 };

	if (seq == tn->seq && memcmp(batch, tn->batch, BATCH_LEN) == 0)
		return true;
	if (seq >= tn->seq || !store_log_has(d->store, tn->id, seq, batch))
		return false;
	/* Rows of the log are input: none is sent before all are good. */
	if (store_load_log(d->store, tn->id, seq, on_row, &p) == -1 ||
	    p.seq != tn->seq || p.policy ||
	    p.octets > d->conf.queue_max / 2)
		return false;
	p.link = l;
	return store_load_log(d->store, tn->id, seq, on_row, &p) == 0;
}
