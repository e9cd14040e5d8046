/*
 * What dbd tells of a tailnet.  A batch is kept until it is complete, so that
 * nobody ever sees half of one; a snapshot is applied at once.
 */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/tailnet/tailnets_int.h"

void
ops_clear(struct replica *r)
{
	struct op *op;

	while ((op = STAILQ_FIRST(&r->ops)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->ops, link);
		buf_free(&op->body);
		free(op);
	}
}

static void
stage(struct replica *r, const struct msg *m)
{
	struct op *op;

	op = xcalloc(1, sizeof(*op));
	op->type = m->type;
	msg_encode(&op->body, m);
	STAILQ_INSERT_TAIL(&r->ops, op, link);
}

/*
 * The order in which things must be known: owners before their nodes, and
 * gone only after them.
 */
enum pass { PASS_FIRST, PASS_NODES, PASS_LAST, PASSES };

static enum pass
pass_of(enum msg_type type)
{
	switch (type) {
	case M_DB_TAILNET:
	case M_DB_POLICY:
	case M_DB_POLICY_PART:
	case M_DB_USER_PUT:
		return PASS_FIRST;
	case M_DB_USER_DEL:
		return PASS_LAST;
	default:
		return PASS_NODES;
	}
}

static int
apply_one(struct replica *r, const struct msg *m)
{
	switch (m->type) {
	case M_DB_TAILNET:
		return replica_put_tailnet(r, &m->u.db_tailnet);
	case M_DB_POLICY_PART:
		return replica_put_part(r, &m->u.db_policy_part);
	case M_DB_USER_PUT:
		return replica_put_user(r, &m->u.db_user_put.user);
	case M_DB_USER_DEL:
		return replica_del_user(r, m->u.db_user_del.id);
	case M_DB_NODE_PUT:
		return replica_put_node(r, &m->u.db_node_put.node);
	case M_DB_NODE_DEL:
		replica_del_node(r, m->u.db_node_del.id);
		return 0;
	case M_DB_ONLINE:
		replica_online(r, m->u.db_online.node, m->u.db_online.online,
		    m->u.db_online.last_seen);
		return 0;
	case M_DB_ONLINE_MAP:
		replica_online_map(r, &m->u.db_online_map);
		return 0;
	default:
		return -1;
	}
}

static int
commit_pass(struct replica *r, enum pass pass)
{
	struct msg m;
	struct op *op;
	int rc;

	STAILQ_FOREACH(op, &r->ops, link) {
		if (pass_of(op->type) != pass)
			continue;
		/* It came in a memory of its own, not as a message. */
		if (op->type == M_DB_POLICY)
			rc = replica_put_policy(r, buf_slice_of(&op->body));
		else if ((rc = msg_decode(&m, op->type, op->body.p,
		    op->body.n)) == 0)
			rc = apply_one(r, &m);
		if (rc == -1)
			return -1;
	}
	return 0;
}

static int
commit(struct replica *r, const struct m_db_batch *b)
{
	unsigned int pass;
	int rc = 0;

	if (b->seq < r->seq) {
		log_warnx("tailnet=%llu: batch goes back from seq=%llu to %llu",
		    (unsigned long long)r->id, (unsigned long long)r->seq,
		    (unsigned long long)b->seq);
		return -1;
	}
	replica_begin(r);
	for (pass = 0; pass < PASSES && rc == 0; pass++) {
		rc = commit_pass(r, pass);
		if (pass == PASS_FIRST && rc == 0)
			rc = replica_policy(r);
	}
	policy_clear(r);
	replica_end(r);
	ops_clear(r);
	memcpy(r->batch, b->batch, sizeof(r->batch));
	r->seq = b->seq;
	return rc;
}

static uint64_t
tailnet_of(const struct msg *m)
{
	switch (m->type) {
	case M_DB_TAILNET:
		return m->u.db_tailnet.tailnet;
	case M_DB_POLICY_PART:
		return m->u.db_policy_part.tailnet;
	case M_DB_USER_PUT:
		return m->u.db_user_put.tailnet;
	case M_DB_USER_DEL:
		return m->u.db_user_del.tailnet;
	case M_DB_NODE_PUT:
		return m->u.db_node_put.tailnet;
	case M_DB_NODE_DEL:
		return m->u.db_node_del.tailnet;
	case M_DB_BATCH:
		return m->u.db_batch.tailnet;
	case M_DB_ONLINE:
		return m->u.db_online.tailnet;
	case M_DB_ONLINE_MAP:
		return m->u.db_online_map.tailnet;
	default:
		return 0;
	}
}

int
tailnets_apply(struct tailnets *tn, const struct msg *m)
{
	struct replica *r;
	uint64_t id;
	int rc;

	if ((id = tailnet_of(m)) == 0) {
		log_warnx("%s is no change of a tailnet", msg_name(m->type));
		return -1;
	}
	/* Meant for a replica that was dropped in the meantime. */
	if ((r = idmap_get(&tn->by_id, id)) == NULL)
		return 0;
	if (m->type == M_DB_BATCH)
		return commit(r, &m->u.db_batch);
	if ((m->type != M_DB_ONLINE && m->type != M_DB_ONLINE_MAP) ||
	    !STAILQ_EMPTY(&r->ops)) {
		stage(r, m);
		return 0;
	}
	/* A session fact between batches. */
	replica_begin(r);
	rc = apply_one(r, m);
	replica_end(r);
	return rc;
}

int
tailnets_policy(struct tailnets *tn, uint64_t id, const void *p, size_t n)
{
	struct replica *r;
	struct op *op;

	if (id == 0 || n == 0 || n > POL_MAX)
		return -1;
	if ((r = idmap_get(&tn->by_id, id)) == NULL)
		return 0;
	op = xcalloc(1, sizeof(*op));
	op->type = M_DB_POLICY;
	buf_put(&op->body, p, n);
	STAILQ_INSERT_TAIL(&r->ops, op, link);
	return 0;
}

/* The next message of a snapshot; 1, 0 at its end, -1 if it is malformed. */
static int
next_message(struct rd *rd, struct msg *m)
{
	const uint8_t *body;
	uint32_t n;
	uint16_t type;

	if (rd_done(rd))
		return 0;
	type = rd_u16(rd);
	n = rd_u32(rd);
	if (n > MSG_MAX || (body = rd_take(rd, n)) == NULL)
		return -1;
	if (type != M_DB_TAILNET && type != M_DB_POLICY_PART &&
	    type != M_DB_USER_PUT && type != M_DB_NODE_PUT &&
	    type != M_DB_BATCH)
		return -1;
	return msg_decode(m, type, body, n) == -1 ? -1 : 1;
}

/* One walk over the snapshot; -1 if it is malformed. */
static int
walk(struct replica *r, const void *p, size_t n, enum pass pass,
    struct m_db_batch *last)
{
	struct msg m;
	struct rd rd;
	int got, rc = -1;

	rd_init(&rd, p, n);
	while ((got = next_message(&rd, &m)) == 1) {
		if (tailnet_of(&m) != r->id)
			return -1;
		if (m.type == M_DB_BATCH) {
			*last = m.u.db_batch;
			rc = rd_done(&rd) ? 0 : -1;
			break;
		}
		if (pass_of(m.type) == pass && apply_one(r, &m) == -1)
			return -1;
	}
	return rc;
}

int
tailnets_snapshot(struct tailnets *tn, uint64_t id, const void *p, size_t n)
{
	struct m_db_batch last;
	struct replica *r;
	int rc;

	if (id == 0)
		return -1;
	if ((r = idmap_get(&tn->by_id, id)) == NULL) {
		r = replica_new(tn, id);
		idmap_put(&tn->by_id, id, r);
		TAILQ_INSERT_TAIL(&tn->replicas, r, link);
		replica_begin(r);
		replica_reconf(r);
		replica_end(r);
	}
	ops_clear(r);
	replica_begin(r);
	r->gen++;
	rc = walk(r, p, n, PASS_FIRST, &last);
	if (rc == 0)
		rc = replica_policy(r);
	policy_clear(r);
	if (rc == 0)
		rc = walk(r, p, n, PASS_NODES, &last);
	if (rc == 0)
		rc = replica_sweep(r);
	replica_end(r);
	if (rc == -1) {
		log_warnx("tailnet=%llu: malformed snapshot of %zu octets",
		    (unsigned long long)id, n);
		return -1;
	}
	memcpy(r->batch, last.batch, sizeof(r->batch));
	r->seq = last.seq;
	return 0;
}
