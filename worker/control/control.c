/* The core of a worker: where connections, replicas and dbd meet. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "worker/control/derp_int.h"

#define LINGER_US	(60 * US_PER_S)
#define DROP_MAX	16	/* replicas dropped at a time */
#define RELAY_SPREAD_MS	1000	/* in which the relay's clients go */

static void
on_gone(struct req *r, void *arg)
{
	enum tag_kind *tag = req_tag(r);

	(void)arg;
	if (tag == NULL)
		return;
	switch (*tag) {
	case TAG_TASK:
		task_orphan(req_tag(r));
		break;
	case TAG_STREAM:
		map_gone(req_tag(r));
		break;
	case TAG_HELD:
		overload_gone(((struct held *)req_tag(r))->control,
		    req_tag(r));
		break;
	case TAG_VERIFY:
		verify_gone(req_tag(r));
		break;
	}
}

static void
on_drained(struct req *r, void *arg)
{
	enum tag_kind *tag = req_tag(r);

	(void)arg;
	if (tag != NULL && *tag == TAG_STREAM)
		map_drained(req_tag(r));
}

static void
on_kick(struct conn *conn, void *arg)
{
	struct control *c = arg;

	c->ops.kick(conn, c->ops.arg);
}

struct drop {
	struct control	*control;
	uint64_t	 tailnet[DROP_MAX];
	unsigned int	 n;
};

static void
drop_idle(uint64_t tailnet, const uint8_t batch[16], uint64_t seq, void *arg)
{
	struct drop *d = arg;

	(void)batch;
	(void)seq;
	if (d->n < DROP_MAX &&
	    tailnets_streams(d->control->tailnets, tailnet) == 0)
		d->tailnet[d->n++] = tailnet;
}

/*
 * A replica without streams goes.  Not while a request is open: its answer
 * may count on the replica.
 */
static void
linger(void *arg)
{
	struct control *c = arg;
	struct drop d = { .control = c };
	struct msg m;
	unsigned int i;

	timer_in(&c->linger, LINGER_US);
	if (c->db == NULL || !TAILQ_EMPTY(&c->open))
		return;
	tailnets_each(c->tailnets, drop_idle, &d);
	for (i = 0; i < d.n; i++) {
		tailnets_drop(c->tailnets, d.tailnet[i]);
		msg_init(&m, M_DB_LEAVE);
		m.u.db_leave.tailnet = d.tailnet[i];
		link_send(c->db, &m);
	}
}

struct control *
control_new(struct env *env, const struct control_ops *ops)
{
	struct net_ops nops = { on_plain, on_noise, on_gone, on_drained,
	    on_kick, NULL };
	struct tn_ops tops = { map_out, map_over, NULL };
	struct net_conf nc = { 10, 300, 60, 16384, 1 << 20, 10000 };
	struct control *c;
	size_t i;

	c = xcalloc(1, sizeof(*c));
	c->env = env;
	c->ops = *ops;
	c->next_id = 1;
	c->overload_ms = 5000;
	TAILQ_INIT(&c->open);
	TAILQ_INIT(&c->later);
	TAILQ_INIT(&c->snaps);
	TAILQ_INIT(&c->verifies);
	c->slot = 1;
	for (i = 0; i < HELD_KINDS; i++)
		TAILQ_INIT(&c->held[i]);
	for (i = 0; i < HASH_SIZE; i++) {
		LIST_INIT(&c->lanes[i]);
		LIST_INIT(&c->streams[i]);
	}
	nops.arg = c;
	tops.arg = c;
	c->net = net_new(env, &nc, &nops);
	c->tailnets = tailnets_new(env, &tops);
	derpsrc_init(c);
	acme_init(c);
	timer_init(&c->held_timer, env, overload_tick, c);
	timer_init(&c->linger, env, linger, c);
	timer_in(&c->linger, LINGER_US);
	return c;
}

void
control_free(struct control *c)
{
	struct task *t;

	if (c == NULL)
		return;
	net_free(c->net);		/* gone() for every request */
	derphttp_free(c);
	acme_end(c);
	derpsrc_free(c);
	certs_free(c);
	while ((t = TAILQ_FIRST(&c->open)) != NULL)
		task_end(t);
	snaps_clear(c);
	tailnets_free(c->tailnets);
	timer_stop(&c->held_timer);
	timer_stop(&c->linger);
	free(c);
}

struct net *
control_net(struct control *c)
{
	return c->net;
}

struct tailnets *
control_tailnets(struct control *c)
{
	return c->tailnets;
}

uint32_t
control_streams(const struct control *c)
{
	return c->nstreams;
}

const struct control_counters *
control_counters(const struct control *c)
{
	return &c->count;
}

static bool
names_ok(const struct msg_list *search, const struct msg_list *split,
    char *why, size_t whylen)
{
	struct msg_list it = *search;
	struct r_split sp;
	struct r_text t;

	while (msg_list_next(&it, MR_TEXT, &t))
		if (!dns_name_ok(t.v)) {
			snprintf(why, whylen, "search domain \"%s\" is no DNS "
			    "name", log_vis(t.v));
			return false;
		}
	it = *split;
	while (msg_list_next(&it, MR_SPLIT, &sp))
		if (!dns_name_ok(sp.suffix)) {
			snprintf(why, whylen, "split \"%s\" is no DNS name",
			    log_vis(sp.suffix));
			return false;
		}
	return true;
}

int
control_conf_check(const struct m_cfg_conf_worker *w, char *why, size_t whylen)
{
	/* one bad name crashes clients up to 1.103 (protocol.md 5.10) */
	if (!dns_name_ok(w->base_domain)) {
		snprintf(why, whylen, "base_domain is no DNS name");
		return -1;
	}
	if (!names_ok(&w->search, &w->split, why, whylen))
		return -1;
	if (w->max_conns == 0 || w->header_max < 1024 || w->body_max < 4096) {
		snprintf(why, whylen, "a limit is too small");
		return -1;
	}
	return 0;
}

static void
set_proxies(struct control *c, struct msg_list it)
{
	struct prefix p[EDGE_PROXIES];
	struct r_route r;
	size_t n = 0;

	while (n < EDGE_PROXIES && msg_list_next(&it, MR_ROUTE, &r))
		p[n++] = r.v;
	net_proxies(c->net, p, n);
}

void
control_conf(struct control *c, const struct m_cfg_conf_worker *w)
{
	struct net_conf nc;
	struct tn_conf tc;

	nc.handshake_s = w->handshake_s;
	nc.idle_s = w->idle_s;
	nc.stall_s = w->stall_s;
	nc.header_max = w->header_max;
	nc.body_max = w->body_max;
	nc.max_conns = w->max_conns;
	net_reconf(c->net, &nc);
	net_per_source(c->net, w->per_source);
	set_proxies(c, w->proxies);
	net_tls_meta_host(c->net, w->relay.enabled ? w->relay.host :
	    slice_str(""));
	net_hsts(c->net, w->hsts);
	verify_conf(c, w->verify_from);
	tc.server_url = w->server_url;
	tc.base_domain = w->base_domain;
	tc.magic_dns = w->magic_dns;
	tc.override_local = w->override_local;
	tc.resolvers = w->resolvers;
	tc.search = w->search;
	tc.split = w->split;
	tc.keepalive_s = w->keepalive_s;
	tc.randomize_port = w->randomize_port;
	tc.taildrop = w->taildrop;
	tc.disable_logtail = w->disable_logtail;
	tailnets_conf(c->tailnets, &tc);
	c->overload_ms = w->overload_ms;
	derphttp_conf(c, &w->relay);
	derpsrc_region(c, &w->relay);
}

void
control_set_slot(struct control *c, uint16_t slot)
{
	c->slot = slot;
	/* Before any link: dbd says but once who is where. */
	derphttp_make(c);
}

struct relay *
control_relay(struct control *c)
{
	return c->relay;
}

void
control_key_link(struct control *c, struct link *l)
{
	c->key = l;
	net_key_link(c->net, l);
	if (c->relay != NULL)
		relay_key_link(c->relay, l);
}

/* It has the relay's key, too; all zero where there is none. */
static void
key_server(struct control *c, const struct msg *m)
{
	c->key_said = *m;
	net_tls_meta(c->net, key_is_zero(m->u.key_server.derp) ? NULL :
	    m->u.key_server.derp);
}

void
control_key_msg(struct control *c, const struct msg *m, void *tag)
{
	if (m->type == M_KEY_SERVER)
		key_server(c, m);
	else if (m->type == M_KEY_CERT)
		certs_self(c, &m->u.key_cert);
	if (m->type != M_KEY_DERP_OK && m->type != M_KEY_DERP_NO &&
	    m->type != M_KEY_CERT)
		net_key_msg(c->net, m, tag);
	if (c->relay != NULL)
		relay_key_msg(c->relay, m, tag);
}

static void
say_have(uint64_t tailnet, const uint8_t batch[16], uint64_t seq, void *arg)
{
	struct control *c = arg;
	struct msg m;

	msg_init(&m, M_DB_HAVE);
	m.u.db_have.tailnet = tailnet;
	memcpy(m.u.db_have.batch, batch, sizeof(m.u.db_have.batch));
	m.u.db_have.seq = seq;
	link_send(c->db, &m);
}

void
control_db_link(struct control *c, struct link *l)
{
	struct msg m;

	if (c->db != NULL)
		c->next_id = link_next_id(c->db);
	c->db = NULL;
	tasks_forget(c);
	c->db = l;
	snaps_clear(c);
	derphttp_db_link(c, l);
	if (l == NULL)
		return;
	link_set_next_id(l, c->next_id);
	tailnets_each(c->tailnets, say_have, c);
	map_resume(c);
	msg_init(&m, M_DB_HELLO_DONE);
	link_send(l, &m);
	link_set_state(l, MSG_RUN);
	tasks_resend(c);
	derpsrc_db_link(c);
	acme_db_link(c);
}

static int
db_answer(struct task *t, const struct msg *m)
{
	if (t == NULL)
		return 0;
	t->done(t, m);
	task_end(t);
	return 0;
}

int
control_db_msg(struct control *c, const struct msg *m, void *tag)
{
	bool bad = false;

	if (c->relay != NULL && relay_db_msg(c->relay, m, tag, &bad))
		return bad ? -1 : 0;
	switch (m->type) {
	case M_DB_REG_OK:
	case M_DB_REG_NO:
	case M_DB_MAP_OK:
	case M_DB_MAP_NO:
	case M_DB_LITE_OK:
	case M_DB_LITE_NO:
		return db_answer(tag, m);
	case M_DB_NODE_KEY_OK:
		if (tag != NULL)
			verify_answer(tag, m->u.db_node_key_ok.allow);
		return 0;
	case M_DB_STREAM_END:
		map_stream_end(c, &m->u.db_stream_end);
		return 0;
	case M_DB_DERPMAP_PART:
		return derpsrc_part(c, &m->u.db_derpmap_part);
	case M_DB_DERP_AVOID:
		derpsrc_avoid(c, &m->u.db_derp_avoid);
		return 0;
	case M_DB_CHALLENGE:
		return acme_challenge(c, m);
	case M_DB_CERT:
		acme_cert(c, &m->u.db_cert);
		return 0;
	case M_DB_SNAPSHOT_PART:
		return snap_part(c, &m->u.db_snapshot_part);
	case M_DB_RELAY_AT:
	case M_DB_RELAY_GONE:
	case M_DB_RELAY_TOLD:
		return 0;	/* there is no relay here */
	default:
		return tailnets_apply(c->tailnets, m);
	}
}

void
control_shutdown(struct control *c)
{
	timer_stop(&c->linger);	/* dbd is not told that streams end */
	map_shutdown(c);
	if (c->relay != NULL)
		relay_shutdown(c->relay, RELAY_SPREAD_MS);
	net_shutdown(c->net);
}
