#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memfd.h"
#include "dbd/batch_int.h"
#include "dbd/worker_int.h"
#include "regress/lib/dbdworld_int.h"

/* A worker's replica, and where it differs from the truth. */

void
dw_replica_clear(struct dbdworker *k)
{
	uint64_t id;

	buf_free(&k->policy);
	for (id = 0; id < DW_MAX_NODES; id++)
		buf_free(&k->node[id]);
	k->holds = false;
	k->seq = 0;
	memset(k->batch, 0, sizeof(k->batch));
}

/* When it was seen last says nothing while it is online. */
static void
node_encode(struct buf *b, const struct r_node *r)
{
	struct r_node n = *r;

	if (n.online)
		n.last_seen = 0;
	buf_clear(b);
	msg_rec_encode(b, MR_NODE, &n);
}

static void
node_keep(struct dbdworker *k, const struct r_node *r)
{
	if (r->id >= DW_MAX_NODES)
		dw_die("node id out of the test's range");
	node_encode(&k->node[r->id], r);
}

static void
online_keep(struct dbdworker *k, uint64_t id, bool online, int64_t seen)
{
	struct buf was = k->node[id];
	struct r_node r;

	if (msg_rec_decode(&r, MR_NODE, was.p, was.n) == -1)
		dw_die("replica");
	if (r.online == online && online)
		return;
	r.online = online;
	r.last_seen = seen;
	memset(&k->node[id], 0, sizeof(k->node[id]));
	node_keep(k, &r);
	buf_free(&was);
}

static void
map_keep(struct dbdworker *k, const struct m_db_online_map *om)
{
	struct r_node r;
	uint64_t id;
	size_t i;
	bool on;

	for (i = 0; i < om->bits.n * 8; i++) {
		id = om->base + i;
		if (id >= DW_MAX_NODES || k->node[id].n == 0)
			continue;
		on = ((uint8_t)om->bits.p[i / 8] >> i % 8 & 1) != 0;
		if (msg_rec_decode(&r, MR_NODE, k->node[id].p,
		    k->node[id].n) == -1)
			dw_die("replica");
		if (r.online != on)
			online_keep(k, id, on, on ? r.last_seen :
			    om->last_seen);
	}
}

static void
policy_part(struct dbdworker *k, const struct m_db_policy_part *p)
{
	if (p->at == 0)
		buf_clear(&k->policy);
	if (p->at != k->policy.n || p->octets.n > p->size - p->at)
		dw_die("a part of a policy is out of place");
	buf_slice(&k->policy, p->octets);
}

static void
policy_file(struct dbdworker *k, const struct msg *m)
{
	size_t n = (size_t)m->u.db_policy.size;
	const void *p;

	if ((p = memfd_map(m->fd, n)) == NULL)
		dw_die("the policy is not sealed");
	buf_clear(&k->policy);
	buf_put(&k->policy, p, n);
	memfd_unmap(p, n);
	(void)close(m->fd);
}

static void
apply(struct dbdworker *k, const struct msg *m)
{
	switch (m->type) {
	case M_DB_TAILNET:
		k->tailnet = m->u.db_tailnet.tailnet;
		k->policy_kind = m->u.db_tailnet.policy;
		buf_clear(&k->policy);
		break;
	case M_DB_POLICY_PART:
		policy_part(k, &m->u.db_policy_part);
		break;
	case M_DB_NODE_PUT:
		node_keep(k, &m->u.db_node_put.node);
		break;
	case M_DB_NODE_DEL:
		if (k->node[m->u.db_node_del.id].n == 0)
			dw_die("a node was deleted that was not there");
		buf_clear(&k->node[m->u.db_node_del.id]);
		break;
	case M_DB_ONLINE:
		if (k->node[m->u.db_online.node].n != 0)
			online_keep(k, m->u.db_online.node,
			    m->u.db_online.online, m->u.db_online.last_seen);
		break;
	case M_DB_ONLINE_MAP:
		map_keep(k, &m->u.db_online_map);
		break;
	case M_DB_BATCH:
		memcpy(k->batch, m->u.db_batch.batch, BATCH_LEN);
		k->seq = m->u.db_batch.seq;
		break;
	default:
		break;
	}
}

static void
whole(struct dbdworker *k, const void *p, size_t n)
{
	struct msg x;
	struct rd r;

	x.type = M_NONE;
	dw_replica_clear(k);
	k->holds = true;
	rd_init(&r, p, n);
	while (change_next(&r, &x))
		apply(k, &x);
	if (!rd_done(&r) || x.type != M_DB_BATCH)
		dw_die("the snapshot does not end with DB_BATCH");
}

static void
snapshot(struct dbdworker *k, const struct msg *m)
{
	size_t n = (size_t)m->u.db_snapshot.size;
	const void *p;

	if ((p = memfd_map(m->fd, n)) == NULL)
		dw_die("the snapshot is not sealed");
	whole(k, p, n);
	memfd_unmap(p, n);
	(void)close(m->fd);
}

static void
part(struct dbdworker *k, const struct m_db_snapshot_part *p)
{
	if (p->at != k->parts.n)
		dw_die("a part of a snapshot is out of place");
	buf_slice(&k->parts, p->octets);
	if (k->parts.n < p->size)
		return;
	whole(k, k->parts.p, k->parts.n);
	buf_free(&k->parts);
}

void
dw_replica_msg(struct dbdworker *k, const struct msg *m)
{
	switch (m->type) {
	case M_DB_SNAPSHOT:
		snapshot(k, m);
		break;
	case M_DB_SNAPSHOT_PART:
		part(k, &m->u.db_snapshot_part);
		break;
	case M_DB_POLICY:
		policy_file(k, m);
		break;
	default:
		apply(k, m);
		break;
	}
}

bool
dw_holds(const struct dbdworker *k)
{
	return k->holds;
}

uint64_t
dw_seq(const struct dbdworker *k)
{
	return k->seq;
}

struct slice
dw_policy(const struct dbdworker *k)
{
	return buf_slice_of(&k->policy);
}

uint8_t
dw_policy_kind(const struct dbdworker *k)
{
	return k->policy_kind;
}

const struct r_node *
dw_node(struct dbdworker *k, uint64_t id)
{
	if (id >= DW_MAX_NODES || k->node[id].n == 0 ||
	    msg_rec_decode(&k->tmp, MR_NODE, k->node[id].p,
	    k->node[id].n) == -1)
		return NULL;
	return &k->tmp;
}

static const char *
difference(struct dbdworker *k, const struct msg *m, bool *seen)
{
	const struct r_node *want = &m->u.db_node_put.node;
	struct dbdworld *w = k->w;
	struct buf b = { NULL, 0, 0 };
	bool same;

	seen[want->id] = true;
	node_encode(&b, want);
	same = b.n == k->node[want->id].n &&
	    memcmp(b.p, k->node[want->id].p, b.n) == 0;
	buf_free(&b);
	if (same)
		return NULL;
	(void)snprintf(w->text, sizeof(w->text), "node %llu (%.*s) %s",
	    (unsigned long long)want->id, SLICE_FMT(want->name),
	    k->node[want->id].n == 0 ? "is missing" : "differs");
	return w->text;
}

const char *
dw_differs(struct dbdworker *k)
{
	struct dbdworld *w = k->w;
	struct buf truth = { NULL, 0, 0 };
	const char *what = NULL;
	struct msg m;
	struct rd r;
	bool *seen;
	uint64_t id;

	if (!k->holds)
		return "there is no replica";
	seen = xcalloc(DW_MAX_NODES, sizeof(*seen));
	snapshot_make(tailnet_find(w->d, k->tailnet), &truth);
	rd_init(&r, truth.p, truth.n);
	while (what == NULL && change_next(&r, &m)) {
		if (m.type == M_DB_NODE_PUT)
			what = difference(k, &m, seen);
		if (m.type == M_DB_BATCH && (m.u.db_batch.seq != k->seq ||
		    memcmp(m.u.db_batch.batch, k->batch, BATCH_LEN) != 0))
			what = "it stands at another batch";
	}
	for (id = 0; what == NULL && id < DW_MAX_NODES; id++)
		if (k->node[id].n != 0 && !seen[id])
			what = "it holds a node that is gone";
	free(seen);
	buf_free(&truth);
	return what;
}
