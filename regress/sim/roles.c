#include <stdlib.h>
#include <string.h>

#include "regress/sim/host_int.h"
#include "regress/sim/memory.h"

/* Octets that a role may hold; three times what any held in 2,000 seeds. */
#define KEYD_BOUND	(72u * 1024)
#define DBD_BOUND	(300u * 1024)
#define WORKER_BOUND	(1800u * 1024)
#define POLICYC_BOUND	(240u * 1024)
#define SQLITE_BOUND	(3u << 20)	/* its cache, and statements */

static void
blame(struct role_proc *r, const struct link *l, enum link_why why)
{
	struct msg m;

	if (r->cfg == NULL)
		return;
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)link_peer(l);
	m.u.cfg_blame.slot = link_slot(l);
	m.u.cfg_blame.generation = link_generation(l);
	m.u.cfg_blame.why = (uint16_t)why;
	link_send(r->cfg, &m);
}

/* No role breaks the rules here: each violation is a fault of ours. */
static void
down_check(struct role_proc *r, const struct link *l, enum link_why why)
{
	if (why == LINK_EOF || why == LINK_CLOSED)
		return;
	if (r->role != ROLE_DBD || why != LINK_OVERFLOW ||
	    !host_hangs_long(r->host, link_slot(l)))
		world_fail(r->host->w, "%s blames %s %u: %s",
		    sproc_name(r->sp), role_name(link_peer(l)), link_slot(l),
		    link_why_text(why));
	blame(r, l, why);
}

static void
forget_link(struct role_proc *r, struct link *l)
{
	struct held_link *h;

	LIST_FOREACH(h, &r->links, entry)
		if (h->link == l) {
			LIST_REMOVE(h, entry);
			free(h);
			break;
		}
	link_free(l);
}

struct link *
role_take_link(struct role_proc *r, const struct msg *m,
    struct link_conf *conf)
{
	struct host *host = r->host;
	unsigned int i = (unsigned int)(m->fd - END_FD_BASE);
	struct held_link *h;

	conf->kind = (enum msg_link)m->u.cfg_link.link;
	conf->self = r->role;
	conf->peer = (enum role)m->u.cfg_link.role;
	conf->slot = m->u.cfg_link.slot;
	conf->generation = m->u.cfg_link.generation;
	conf->arg = r;
	h = xcalloc(1, sizeof(*h));
	h->owner = r;
	h->kind = conf->kind;
	h->link = wire_link(host->ends[i].w, host->ends[i].end, r->sp, conf);
	host->ends[i].w = NULL;
	LIST_INSERT_HEAD(&r->links, h, entry);
	return h->link;
}

/* keyd */

static void
keyd_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)tag;
	if (keyd_msg(r->keyd, l, m) == -1)
		link_violation(l, LINK_FORGED);
}

static void
keyd_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	keyd_down(r->keyd, l);
	forget_link(r, l);
}

static void
keyd_boot(struct role_proc *r)
{
	struct secret *st, *boot;
	struct keyd_conf kc = { 64, 10000 };
	const char *why;

	st = secret_new(32);
	memcpy(secret_data(st), r->host->static_key, 32);
	boot = secret_new(32);
	memcpy(secret_data(boot), r->secret, 32);
	r->keyd = keyd_new(sproc_env(r->sp), &kc, st, boot, r->generation);
	if (!r->host->conf.relay)
		return;
	st = secret_new(32);
	memcpy(secret_data(st), r->host->relay_key, 32);
	if (!keyd_relay(r->keyd, st, &why))
		world_fail(r->host->w, "the relay's key: %s", why);
}

/* dbd */

static void
dbd_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)tag;
	dbd_db_msg(r->dbd, l, m);
}

static void
dbd_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	dbd_db_down(r->dbd, l);
	forget_link(r, l);
}

static int
dbd_seal(const void *p, size_t n, void *arg)
{
	struct role_proc *r = arg;

	/* as where there is no memfd: it goes in parts */
	if (world_chance(r->host->w, r->host->conf.no_seal))
		return -1;
	return sim_seal(r->host->w, p, n);
}

static void
dbd_blame(const struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	world_fail(r->host->w, "dbd blames worker %u: %s", link_slot(l),
	    link_why_text(why));
	blame(r, l, why);
}

static void
dbd_ask(const struct msg *m, void *tag, void *arg)
{
	(void)m;
	(void)tag;
	(void)arg;		/* the simulation asks nothing of master */
}

static void
dbd_start_policyc(void *arg)
{
	struct role_proc *r = arg;
	struct msg m;

	if (r->cfg == NULL)
		return;
	msg_init(&m, M_CFG_POLICYC_START);
	(void)link_request(r->cfg, &m, r, 0);
}

static void
pol_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)tag;
	dbd_pol_msg(r->dbd, l, m);
}

static void
pol_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	dbd_pol_down(r->dbd, l);
	forget_link(r, l);
}

/* policyc, as its main.c */

void
policyc_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)tag;
	serve_msg(r->policyc, l, m);
}

void
policyc_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	r->cfg = NULL;
	link_free(l);
	sproc_kill(r->sp, "its job is over");
}

static void
dbd_boot(struct role_proc *r)
{
	struct dbd_ops ops = { dbd_seal, dbd_blame, dbd_ask,
	    dbd_start_policyc, r };
	struct host *h = r->host;
	struct m_cfg_conf_dbd *c;
	struct dbd_conf dc;
	struct msg m;
	char why[256];
	bool full;

	r->store = store_open_sqlite("/sim.db", "sim", h->boot, why,
	    sizeof(why));
	if (r->store == NULL) {
		world_trace(h->w, "store: %s", why);
		sproc_kill(r->sp, "the store does not open");
		return;
	}
	full = !store_same_boot(r->store);
	if (msg_decode(&m, M_CFG_CONF_DBD, r->conf.p, r->conf.n) == -1)
		abort();
	c = &m.u.cfg_conf_dbd;
	dc = (struct dbd_conf){ .base_domain = c->base_domain,
	    .prefix4 = c->prefix4, .prefix6 = c->prefix6, .random = c->random,
	    .grace_ms = c->grace_ms, .ephemeral_s = c->ephemeral_s,
	    .resume_ms = c->resume_ms, .presume_s = c->presume_s,
	    .node_expiry_s = c->node_expiry_s, .max_nodes = c->max_nodes,
	    .budget_burst = c->budget_burst,
	    .budget_refill_ms = c->budget_refill_ms,
	    .queue_max = c->queue_max, .log_keep = c->log_keep,
	    .domains = c->domains, .verify_clients = c->verify_clients,
	    .derp_urls = c->derp_urls, .derp_update_s = c->derp_update_s,
	    .derp_avoid_s = c->derp_avoid_s, .relay_host = c->relay_host,
	    .acme = c->acme };
	r->dbd = dbd_new(sproc_env(r->sp), r->store, &dc, r->secret, full,
	    &ops);
	if (r->dbd == NULL) {
		sproc_kill(r->sp, "the store is unreadable");
		return;
	}
}

/* worker */

static void
worker_kick(struct conn *c, void *arg)
{
	struct role_proc *r = arg;

	r->host->ops.kick(c, r->host->ops.arg);
}

static void
worker_boot(struct role_proc *r)
{
	struct control_ops ops = { worker_kick, r };

	r->control = control_new(sproc_env(r->sp), &ops);
	control_set_slot(r->control, (uint16_t)r->slot);
}

static void
key_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)l;
	control_key_msg(r->control, m, tag);
}

static void
key_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	if (l == r->key) {
		control_key_link(r->control, NULL);
		r->key = NULL;
	}
	forget_link(r, l);
}

static void
db_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;
	void *p;
	size_t n;
	int rc;

	if (l != r->db)
		return;
	if (m->type == M_DB_SNAPSHOT) {
		p = sim_open(r->host->w, m->fd, &n);
		rc = p == NULL || n != m->u.db_snapshot.size ? -1 :
		    tailnets_snapshot(control_tailnets(r->control),
		    m->u.db_snapshot.tailnet, p, n);
		free(p);
	} else if (m->type == M_DB_POLICY) {
		p = sim_open(r->host->w, m->fd, &n);
		rc = p == NULL || n != m->u.db_policy.size ? -1 :
		    tailnets_policy(control_tailnets(r->control),
		    m->u.db_policy.tailnet, p, n);
		free(p);
	} else
		rc = control_db_msg(r->control, m, tag);
	if (rc == -1)
		world_fail(r->host->w, "%s: %s makes no sense",
		    sproc_name(r->sp), msg_name(m->type));
}

static void
db_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	down_check(r, l, why);
	if (l == r->db) {
		control_db_link(r->control, NULL);
		r->db = NULL;
	}
	forget_link(r, l);
}

/* Siblings: of one that is gone, or bad, master makes another link. */

static void
mesh_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;
	struct relay *relay = control_relay(r->control);

	(void)tag;
	if (relay != NULL && !relay_mesh_msg(relay, link_slot(l), m))
		link_violation(l, LINK_FORGED);
}

static void
mesh_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;
	struct relay *relay = control_relay(r->control);
	uint16_t slot = link_slot(l);

	/* a rogue's packets are acknowledged, too: more than were sent */
	if (why != LINK_EOF && why != LINK_CLOSED &&
	    (why != LINK_FORGED || !r->host->rogue))
		world_fail(r->host->w, "%s says of worker %u's MESH: %s",
		    sproc_name(r->sp), slot, link_why_text(why));
	if (r->mesh[slot] == l) {
		r->mesh[slot] = NULL;
		if (relay != NULL)
			relay_mesh_link(relay, slot, NULL);
	}
	blame(r, l, why);
	forget_link(r, l);
}

static void
mesh_link(struct role_proc *r, const struct msg *m)
{
	struct link_conf conf = { .on_msg = mesh_on_msg,
	    .on_down = mesh_on_down };
	struct relay *relay = control_relay(r->control);
	uint16_t slot = m->u.cfg_link.slot;
	struct link *old = r->mesh[slot];

	r->mesh[slot] = role_take_link(r, m, &conf);
	link_set_state(r->mesh[slot], MSG_RUN);
	if (relay != NULL)
		relay_mesh_link(relay, slot, r->mesh[slot]);
	if (old != NULL)
		forget_link(r, old);
}

/* The relay was made after they came. */
static void
mesh_attach(struct role_proc *r)
{
	struct relay *relay = control_relay(r->control);
	uint16_t i;

	for (i = 1; relay != NULL && i <= HOST_WORKERS; i++)
		if (r->mesh[i] != NULL)
			relay_mesh_link(relay, i, r->mesh[i]);
}

static void
worker_link(struct role_proc *r, const struct msg *m)
{
	struct link_conf conf = { 0 };
	struct link *old;

	if (m->u.cfg_link.link == LINK_MESH) {
		mesh_link(r, m);
		return;
	}
	if (m->u.cfg_link.link == LINK_KEY) {
		conf.on_msg = key_on_msg;
		conf.on_down = key_on_down;
		if ((old = r->key) != NULL) {
			control_key_link(r->control, NULL);
			r->key = NULL;
			forget_link(r, old);
		}
		r->key = role_take_link(r, m, &conf);
		control_key_link(r->control, r->key);
		return;
	}
	conf.on_msg = db_on_msg;
	conf.on_down = db_on_down;
	if ((old = r->db) != NULL) {
		control_db_link(r->control, NULL);
		r->db = NULL;
		forget_link(r, old);
	}
	r->db = role_take_link(r, m, &conf);
	control_db_link(r->control, r->db);
}

/* What child.c and the main.c of each role do with CFG. */

static void
on_link(struct role_proc *r, const struct msg *m)
{
	struct link_conf conf = { 0 };

	switch (r->role) {
	case ROLE_KEYD:
		conf.on_msg = keyd_on_msg;
		conf.on_down = keyd_on_down;
		keyd_up(r->keyd, role_take_link(r, m, &conf));
		break;
	case ROLE_DBD:
		if (m->u.cfg_link.link == LINK_POL) {
			conf.on_msg = pol_on_msg;
			conf.on_down = pol_on_down;
			dbd_pol_up(r->dbd, role_take_link(r, m, &conf));
			break;
		}
		conf.on_msg = dbd_on_msg;
		conf.on_down = dbd_on_down;
		dbd_db_up(r->dbd, role_take_link(r, m, &conf));
		break;
	default:
		worker_link(r, m);
		break;
	}
}

static void
on_stage(struct role_proc *r, const struct msg *m)
{
	struct msg a;

	msg_init(&a, M_CFG_STAGED);
	a.id = m->id;
	a.u.cfg_staged.epoch = m->u.cfg_stage.epoch;
	a.u.cfg_staged.ok = true;
	link_reply(r->cfg, &a);
	if (r->started)
		return;
	msg_init(&a, M_CFG_READY);
	link_send(r->cfg, &a);
}

static void
on_alive(struct role_proc *r, const struct msg *m)
{
	struct msg a;

	msg_init(&a, M_CFG_ALIVE_OK);
	a.id = m->id;
	a.u.cfg_alive_ok.number = m->u.cfg_alive_ask.number;
	link_reply(r->cfg, &a);
}

static void
on_conf(struct role_proc *r, const struct msg *m)
{
	buf_clear(&r->conf);
	msg_encode(&r->conf, m);
	r->conf_type = m->type;
	if (r->role == ROLE_KEYD && r->keyd == NULL)
		keyd_boot(r);
	else if (r->role == ROLE_DBD && r->dbd == NULL)
		dbd_boot(r);
}

static void
on_start(struct role_proc *r)
{
	struct msg m;

	link_set_state(r->cfg, MSG_RUN);
	r->started = true;
	r->started_at = world_now(r->host->w);
	if (r->dbd != NULL)
		dbd_start(r->dbd);
	if (r->role != ROLE_WORKER)
		return;
	if (msg_decode(&m, r->conf_type, r->conf.p, r->conf.n) == -1)
		abort();
	control_conf(r->control, &m.u.cfg_conf_worker);
	mesh_attach(r);
}

void
role_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)l;
	(void)tag;
	if (sproc_is_dead(r->sp))
		return;
	switch (m->type) {
	case M_CFG_BOOT:
		if (r->role == ROLE_WORKER)
			worker_boot(r);
		break;
	case M_CFG_SECRET:
		memcpy(r->secret, m->u.cfg_secret.secret, 32);
		break;
	case M_CFG_CONF_WORKER:
	case M_CFG_CONF_DBD:
	case M_CFG_CONF_KEYD:
		on_conf(r, m);
		break;
	case M_CFG_LINK:
		on_link(r, m);
		break;
	case M_CFG_CTL_DONE:
		if (r->dbd != NULL && !m->u.cfg_ctl_done.ok)
			dbd_pol_failed(r->dbd, m->u.cfg_ctl_done.text);
		break;
	case M_CFG_STAGE:
		on_stage(r, m);
		break;
	case M_CFG_START:
		on_start(r);
		break;
	case M_CFG_SLOT:
		r->stands_in[m->u.cfg_slot.slot] = m->u.cfg_slot.down;
		break;
	case M_CFG_ALIVE_ASK:
		on_alive(r, m);
		break;
	case M_CFG_STOP:
		if (r->dbd != NULL)
			dbd_finish(r->dbd);
		if (r->control != NULL)
			control_shutdown(r->control);
		sproc_kill(r->sp, "stopped");
		break;
	default:
		break;
	}
}

void
role_turn(void *arg)
{
	struct role_proc *r = arg;

	if (r->dbd != NULL)
		dbd_turn(r->dbd);
	if (r->keyd != NULL)
		while (!sproc_is_dead(r->sp) && keyd_turn(r->keyd))
			;
}

/* What a role holds is what is free without it. */
static void
free_cores(struct role_proc *r)
{
	static const size_t bound[] = {
		[ROLE_KEYD] = KEYD_BOUND,
		[ROLE_DBD] = DBD_BOUND,
		[ROLE_WORKER] = WORKER_BOUND,
		[ROLE_POLICYC] = POLICYC_BOUND
	};
	size_t before, after, held, disk = memory_sqlite();

	before = memory_heap();
	if (r->control != NULL)
		control_free(r->control);
	serve_free(r->policyc);
	dbd_free(r->dbd);
	store_abandon(r->store);
	keyd_free(r->keyd);
	after = memory_heap();
	held = after > before ? 0 : before - after;
	if (!r->host->conf.bounded)
		return;
	if (disk > SQLITE_BOUND)
		world_fail(r->host->w, "SQLite held %zu octets", disk);
	if (held > bound[r->role])
		world_fail(r->host->w, "%s held %zu octets",
		    sproc_name(r->sp), held);
}

void
role_free(struct role_proc *r)
{
	struct held_link *h;

	free_cores(r);
	while ((h = LIST_FIRST(&r->links)) != NULL) {
		LIST_REMOVE(h, entry);
		link_free(h->link);
		free(h);
	}
	link_free(r->cfg);
	if (r->cfg_master != NULL)
		link_free(r->cfg_master);
	buf_free(&r->conf);
	sproc_free(r->sp);
	free(r);
}
