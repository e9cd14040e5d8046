#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/noise.h"
#include "regress/sim/host_int.h"
#include "regress/sim/vfs.h"

#define LIMIT_US	(30 * US_PER_S)	/* a worker may hang for so long */
#define SLACK_US	(100 * US_PER_MS)	/* delays of links */
#define NOTICE_US	(3 * US_PER_S)	/* the next question, and its period */
#define COVER_US	(5500 * US_PER_MS)	/* then siblings stand in */

static void	master_cfg_msg(struct link *, const struct msg *, void *,
		    void *);
static void	master_cfg_down(struct link *, enum link_why, void *);

struct host *
host_new(struct world *w, const struct host_conf *conf,
    const struct host_ops *ops)
{
	struct host *h;

	h = xcalloc(1, sizeof(*h));
	h->w = w;
	h->conf = *conf;
	h->ops = *ops;
	LIST_INIT(&h->roles);
	world_draw(w, h->static_key, sizeof(h->static_key));
	noise_clamp(h->static_key);
	noise_public(h->public_key, h->static_key);
	world_draw(w, h->relay_key, sizeof(h->relay_key));
	noise_clamp(h->relay_key);
	return h;
}

static struct role_proc *
role_of(struct host *h, enum role role, unsigned int slot)
{
	struct role_proc *r;

	LIST_FOREACH(r, &h->roles, entry)
		if (r->role == role && r->slot == slot &&
		    !sproc_is_dead(r->sp) && r->seat != NULL &&
		    !proc_is_check(r->seat))
			return r;
	return NULL;
}

/* A child died: memory goes, master hears it a little later. */

struct obituary {
	struct host	*host;
	struct super	*super;
	struct proc	*seat;
	uint64_t	 generation;
};

static void
tell_master(void *arg)
{
	struct obituary *o = arg;

	if (o->host->super == o->super && o->super != NULL &&
	    proc_generation(o->seat) == o->generation) {
		sproc_touch(o->host->master);
		super_died(o->super, o->seat, "signal 9");
	}
	free(o);
}

static void
on_child_death(struct sproc *sp, const char *how, void *arg)
{
	struct role_proc *r = arg;
	struct host *h = r->host;
	struct obituary *o;

	(void)sp;
	(void)how;
	if (r->role == ROLE_WORKER && r->control != NULL)
		h->ops.worker_gone(r->slot, h->ops.arg);
	if (h->super != NULL && r->seat != NULL) {
		o = xcalloc(1, sizeof(*o));
		*o = (struct obituary){ h, h->super, r->seat, r->generation };
		world_at(h->w, world_now(h->w) + 50, tell_master, o);
	}
	/* Nothing can be sent to it, though master has not heard of it yet. */
	if (h->super != NULL && r->seat != NULL && proc_tag(r->seat) == r)
		proc_set_tag(r->seat, NULL, proc_pid(r->seat));
	LIST_REMOVE(r, entry);
	role_free(r);
}

/* What super asks for. */

static void
send_boot(struct role_proc *r)
{
	struct host *h = r->host;
	struct msg m;

	msg_init(&m, M_CFG_BOOT);
	m.u.cfg_boot.role = (uint8_t)r->role;
	m.u.cfg_boot.slot = (uint16_t)r->slot;
	m.u.cfg_boot.generation = r->generation;
	memcpy(m.u.cfg_boot.boot, h->boot, sizeof(h->boot));
	m.u.cfg_boot.workers = HOST_WORKERS;
	link_send(r->cfg_master, &m);
	if (r->role == ROLE_WORKER)
		return;
	msg_init(&m, M_CFG_SECRET);
	memcpy(m.u.cfg_secret.secret, h->boot_secret, 32);
	link_send(r->cfg_master, &m);
}

static bool
op_spawn(struct proc *p, void *arg)
{
	struct host *h = arg;
	struct role_proc *r;
	struct link_conf up = { .kind = LINK_CFG, .self = ROLE_MASTER };
	struct link_conf down = { .kind = LINK_CFG, .peer = ROLE_MASTER };
	struct wire *wire;

	r = xcalloc(1, sizeof(*r));
	r->host = h;
	r->seat = p;
	r->role = proc_role(p);
	r->slot = proc_slot(p);
	r->generation = proc_generation(p);
	LIST_INIT(&r->links);
	r->sp = sproc_new(h->w, proc_name(p), role_turn, r);
	sproc_on_death(r->sp, on_child_death, r);
	LIST_INSERT_HEAD(&h->roles, r, entry);
	proc_set_tag(p, r, 1 + (uint32_t)world_rand(h->w, 30000));
	wire = wire_new(h->w, h->conf.link_min_us, h->conf.link_max_us);
	up.peer = r->role;
	up.slot = (uint16_t)r->slot;
	up.generation = r->generation;
	up.on_msg = master_cfg_msg;
	up.on_down = master_cfg_down;
	up.arg = r;
	down.self = r->role;
	down.on_msg = role_cfg_msg;
	down.on_down = master_cfg_down;
	down.arg = NULL;
	down.arg = r;
	r->cfg_master = wire_link(wire, WIRE_A, h->master, &up);
	r->cfg = wire_link(wire, WIRE_B, r->sp, &down);
	send_boot(r);
	return true;
}

/* A number for an end that nobody holds yet. */
static int
end_fd(struct host *h, struct wire *w, enum wire_end end)
{
	unsigned int i;

	for (i = 0; i < h->nends; i++)
		if (h->ends[i].w == NULL)
			break;
	if (i == h->nends)
		h->ends = xrealloc(h->ends, ++h->nends, sizeof(*h->ends));
	h->ends[i].w = w;
	h->ends[i].end = end;
	return END_FD_BASE + (int)i;
}

/* It may die at any point: with its first words, or half-way. */
static bool
op_spawn_policyc(struct proc *p, int *fd, void *arg)
{
	struct host *h = arg;
	struct link_conf conf = { .kind = LINK_POL, .self = ROLE_POLICYC,
	    .peer = ROLE_DBD };
	struct role_proc *r;
	struct wire *wire;

	if (!h->calm && world_chance(h->w, 20))
		return false;
	r = xcalloc(1, sizeof(*r));
	r->host = h;
	r->seat = p;
	r->role = ROLE_POLICYC;
	r->generation = proc_generation(p);
	LIST_INIT(&r->links);
	r->policyc = serve_new();
	r->sp = sproc_new(h->w, proc_name(p), NULL, r);
	sproc_on_death(r->sp, on_child_death, r);
	LIST_INSERT_HEAD(&h->roles, r, entry);
	proc_set_tag(p, r, 1 + (uint32_t)world_rand(h->w, 30000));
	if (!h->calm && world_chance(h->w, 3))
		sproc_kill_after(r->sp, (unsigned int)world_rand(h->w, 3));
	wire = wire_new(h->w, h->conf.link_min_us, h->conf.link_max_us);
	*fd = end_fd(h, wire, WIRE_A);
	conf.on_msg = policyc_on_msg;
	conf.on_down = policyc_on_down;
	conf.arg = r;
	r->cfg = wire_link(wire, WIRE_B, r->sp, &conf);
	return true;
}

static void
op_kill(struct proc *p, void *arg)
{
	struct host *h = arg;
	struct role_proc *r = proc_tag(p);

	if (r == NULL)
		return;
	if (sproc_hangs(r->sp) && h->serving && !h->stopping &&
	    !host_hangs_long(h, r->slot))
		world_fail(h->w, "%s is killed and hangs only since %.3f s",
		    sproc_name(r->sp),
		    (double)(world_now(h->w) - r->hung_at) / 1e6);
	sproc_kill(r->sp, "killed by master");
}

static void
op_send(struct proc *p, const struct msg *m, void *arg)
{
	struct role_proc *r = proc_tag(p);

	(void)arg;
	if (r == NULL || r->cfg_master == NULL)
		return;
	switch (msg_class(m->type)) {
	case MSG_REQUEST:
		link_request(r->cfg_master, m, NULL, 0);
		break;
	case MSG_REPLY:
		link_reply(r->cfg_master, m);
		break;
	default:
		link_send(r->cfg_master, m);
		break;
	}
	if (m->type == M_CFG_START)
		link_set_state(r->cfg_master, MSG_RUN);
}

static bool
op_pair(int fd[2], void *arg)
{
	struct host *h = arg;
	struct wire *w = wire_new(h->w, h->conf.link_min_us,
	    h->conf.link_max_us);

	fd[0] = end_fd(h, w, WIRE_A);
	fd[1] = end_fd(h, w, WIRE_B);
	return true;
}

static void
conf_worker(const struct host *h, struct m_cfg_conf_worker *c)
{
	c->server_url = slice_str("http://192.0.2.1:8080");
	c->base_domain = slice_str("tailnet.internal");
	c->magic_dns = true;
	c->max_conns = 1000;
	c->handshake_s = 10;
	c->idle_s = 300;
	c->header_max = 16384;
	c->body_max = 1 << 20;
	c->keepalive_s = 50;
	c->stall_s = 60;
	c->overload_ms = h->conf.overload_ms;
	c->relay.enabled = c->relay.plain = h->conf.relay;
}

static void
conf_dbd(const struct host *h, struct m_cfg_conf_dbd *c)
{
	c->base_domain = slice_str("tailnet.internal");
	prefix_parse(&c->prefix4, slice_str("100.64.0.0/10"));
	prefix_parse(&c->prefix6, slice_str("fd7a:115c:a1e0::/48"));
	c->random = world_chance(h->w, 2);
	c->grace_ms = h->conf.grace_ms;
	c->ephemeral_s = h->conf.ephemeral_s;
	c->resume_ms = h->conf.resume_ms;
	c->presume_s = h->conf.presume_s;
	c->max_nodes = 1000;
	c->budget_burst = 8;
	c->budget_refill_ms = 1000;
	c->queue_max = 64 << 20;
	c->verify_clients = !h->conf.guests;
	c->log_keep = 1 + (uint32_t)world_rand(h->w, 200);
}

static void
op_configure(struct proc *p, uint32_t epoch, void *arg)
{
	struct host *h = arg;
	struct msg m;

	switch (proc_role(p)) {
	case ROLE_WORKER:
		msg_init(&m, M_CFG_CONF_WORKER);
		conf_worker(h, &m.u.cfg_conf_worker);
		m.u.cfg_conf_worker.epoch = epoch;
		break;
	case ROLE_DBD:
		msg_init(&m, M_CFG_CONF_DBD);
		conf_dbd(h, &m.u.cfg_conf_dbd);
		m.u.cfg_conf_dbd.epoch = epoch;
		break;
	default:
		msg_init(&m, M_CFG_CONF_KEYD);
		m.u.cfg_conf_keyd.epoch = epoch;
		m.u.cfg_conf_keyd.pending_max = 64;
		m.u.cfg_conf_keyd.pending_ms = 10000;
		break;
	}
	op_send(p, &m, h);
}

static unsigned int
op_wants(uint32_t epoch, void *arg)
{
	struct host *h = arg;

	(void)epoch;
	return h->conf.relay ? SUPER_MESH : 0;
}

static void
op_serving(void *arg)
{
	struct host *h = arg;

	h->serving = true;
	world_trace(h->w, "serving");
}

static void
op_outcome(uint32_t epoch, bool ok, const char *why, void *arg)
{
	struct host *h = arg;

	world_trace(h->w, "epoch %u %s %s", epoch, ok ? "in force" : "refused",
	    why);
}

static void
op_stopped(int code, const char *why, void *arg)
{
	struct host *h = arg;

	h->stopped = true;
	if (code != 0)
		world_fail(h->w, "master gave up: %s", why);
}

/* Master's ends of the CFG links. */

static void
master_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)l;
	(void)tag;
	if (r->host->super != NULL && r->seat != NULL)
		super_msg(r->host->super, r->seat, m);
}

static void
master_cfg_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;

	if (why != LINK_EOF)
		world_fail(r->host->w, "CFG of %s: %s", sproc_name(r->sp),
		    link_why_text(why));
	if (l == r->cfg_master) {
		r->cfg_master = NULL;
		if (r->host->super != NULL && r->seat != NULL)
			super_link_down(r->host->super, r->seat, why);
	} else
		r->cfg = NULL;
	link_free(l);
}

void
host_start(struct host *h)
{
	struct super_ops ops = { op_spawn, op_kill, op_send, op_pair,
	    op_configure, op_serving, op_outcome, op_stopped,
	    op_spawn_policyc, op_wants, h };

	world_draw(h->w, h->boot, sizeof(h->boot));
	world_draw(h->w, h->boot_secret, sizeof(h->boot_secret));
	h->serving = h->stopping = h->stopped = false;
	h->master = sproc_new(h->w, "master", NULL, NULL);
	h->super = super_new(sproc_env(h->master), HOST_WORKERS, 1, &ops);
	super_start(h->super, 1);
	sproc_touch(h->master);
}

static void
on_master_death(struct sproc *sp, const char *how, void *arg)
{
	(void)how;
	(void)arg;
	sproc_free(sp);
}

/* All children go with their master (PR_SET_PDEATHSIG, EOF on CFG). */
static void
take_down(struct host *h)
{
	struct role_proc *r;

	super_free(h->super);
	h->super = NULL;
	h->serving = false;
	LIST_FOREACH(r, &h->roles, entry) {
		r->seat = NULL;
		link_free(r->cfg_master);
		r->cfg_master = NULL;
		sproc_kill(r->sp, "master is gone");
	}
	sproc_on_death(h->master, on_master_death, h);
	sproc_kill(h->master, "SIGKILL");
	h->master = NULL;
	world_run(h->w, world_now(h->w) + 1000);
	free(h->ends);
	h->ends = NULL;
	h->nends = 0;
}

void
host_kill(struct host *h, bool power)
{
	world_trace(h->w, power ? "the power goes" : "master is killed");
	take_down(h);
	if (power)
		vfs_power_cut();
}

void
host_free(struct host *h)
{
	if (h->super != NULL) {
		h->stopping = true;
		super_stop(h->super);
		world_run(h->w, world_now(h->w) + 3 * US_PER_S);
		if (!h->stopped)
			world_fail(h->w, "not stopped within 3 s");
		take_down(h);
	}
	free(h->ends);
	h->ends = NULL;
	h->freed = true;
	if (h->vigils == 0)
		free(h);
}

bool
host_serving(const struct host *h)
{
	return h->serving;
}

bool
host_kill_role(struct host *h, enum role role, unsigned int slot,
    unsigned int after)
{
	struct role_proc *r = role_of(h, role, slot);

	if (r == NULL)
		return false;
	if (after == 0)
		sproc_kill(r->sp, "SIGKILL");
	else
		sproc_kill_after(r->sp, after);
	return true;
}

void
host_no_limits(struct host *h)
{
	struct role_proc *r;

	h->calm = true;
	LIST_FOREACH(r, &h->roles, entry)
		sproc_kill_after(r->sp, UINT_MAX);
}

/* Workers that hang. */

bool
host_hangs_long(struct host *h, unsigned int slot)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);

	return r != NULL && sproc_hangs(r->sp) &&
	    world_now(h->w) - r->hung_at > LIMIT_US - SLACK_US;
}

struct vigil {
	struct host	*host;
	struct super	*super;
	unsigned int	 slot;
	uint64_t	 generation;
	uint64_t	 hung_at;	/* it may have done so again */
};

static void
is_replaced(void *arg)
{
	struct vigil *v = arg;
	struct host *h = v->host;
	struct role_proc *r;

	/* its master may be another one by now, or gone with the host */
	if (!h->stopping && h->super == v->super) {
		r = role_of(h, ROLE_WORKER, v->slot);
		if (r != NULL && r->generation == v->generation &&
		    r->hung_at == v->hung_at && sproc_hangs(r->sp))
			world_fail(h->w, "worker %u hangs and is not replaced",
			    v->slot);
	}
	h->vigils--;
	if (h->freed && h->vigils == 0)
		free(h);
	free(v);
}

bool
host_hang(struct host *h, unsigned int slot, uint64_t us)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);
	struct vigil *v;

	if (r == NULL || !r->started || (sproc_wakes(r->sp) != 0 &&
	    world_now(h->w) < sproc_wakes(r->sp) + US_PER_S))
		return false;
	r->hung_at = world_now(h->w);
	sproc_hang(r->sp, us);
	v = xcalloc(1, sizeof(*v));
	*v = (struct vigil){ h, h->super, slot, r->generation, r->hung_at };
	h->vigils++;
	world_at(h->w, r->hung_at + LIMIT_US + NOTICE_US, is_replaced, v);
	return true;
}

uint64_t
host_wakes(struct host *h, unsigned int slot)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);

	return r != NULL && sproc_hangs(r->sp) ? sproc_wakes(r->sp) : 0;
}

/* It runs and has done so for a second: it has read what it was told. */
static bool
is_settled(const struct role_proc *r)
{
	uint64_t now = world_now(r->host->w);

	return r->started && !sproc_hangs(r->sp) &&
	    now > r->started_at + US_PER_S &&
	    now > sproc_wakes(r->sp) + US_PER_S;
}

/* What the workers do is what they should have been told. */
static void
check_cover(struct host *h, const struct role_proc *own,
    const struct role_proc *r, unsigned int s)
{
	if (own == NULL || !h->serving || !is_settled(r))
		return;
	if (r->stands_in[s] && is_settled(own))
		world_fail(h->w, "worker %u accepts for %u, which runs",
		    r->slot, s);
	if (!r->stands_in[s] && own->started && sproc_hangs(own->sp) &&
	    world_now(h->w) > own->hung_at + COVER_US)
		world_fail(h->w, "worker %u hangs and %u does not stand in",
		    s, r->slot);
}

struct net *
host_accept(struct host *h, uint64_t n, unsigned int *slot)
{
	struct role_proc *own, *r;
	struct net *net = NULL;
	unsigned int i, s = 1 + (unsigned int)(n % HOST_WORKERS);

	own = role_of(h, ROLE_WORKER, s);
	if (own != NULL && own->started && !sproc_hangs(own->sp)) {
		*slot = s;
		net = control_net(own->control);
	}
	for (i = 1; i <= HOST_WORKERS; i++) {
		if (i == s || (r = role_of(h, ROLE_WORKER, i)) == NULL)
			continue;
		check_cover(h, own, r, s);
		if (net != NULL || !r->started || !r->stands_in[s] ||
		    sproc_hangs(r->sp))
			continue;
		*slot = i;
		net = control_net(r->control);
	}
	return net;
}

struct control *
host_control(struct host *h, unsigned int slot)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);

	return r == NULL ? NULL : r->control;
}

struct sproc *
host_worker(struct host *h, unsigned int slot)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);

	return r == NULL ? NULL : r->sp;
}

const uint8_t *
host_public_key(const struct host *h)
{
	return h->public_key;
}

struct dbd *
host_dbd(struct host *h)
{
	struct role_proc *r = role_of(h, ROLE_DBD, 0);

	return r == NULL ? NULL : r->dbd;
}

/* The relay. */

unsigned int
host_relay_clients(struct host *h)
{
	const struct relay *relay;
	struct role_proc *r;
	unsigned int n = 0, i;

	for (i = 1; i <= HOST_WORKERS; i++) {
		r = role_of(h, ROLE_WORKER, i);
		if (r != NULL && r->control != NULL &&
		    (relay = control_relay(r->control)) != NULL)
			n += relay_counters(relay)->clients;
	}
	return n;
}

bool
host_forge(struct host *h, unsigned int slot, const uint8_t src[32],
    const uint8_t dst[32], const void *p, size_t n)
{
	struct role_proc *r = role_of(h, ROLE_WORKER, slot);
	struct link *l;
	struct msg m;

	l = r == NULL ? NULL : r->mesh[slot == 1 ? 2 : 1];
	if (l == NULL || link_is_down(l) || sproc_hangs(r->sp))
		return false;
	msg_init(&m, M_MESH_PACKET);
	memcpy(m.u.mesh_packet.src, src, 32);
	memcpy(m.u.mesh_packet.dst, dst, 32);
	m.u.mesh_packet.packet = slice_mem(p, n);
	link_send(l, &m);
	h->rogue = true;
	return true;
}

/* Control connections: an administrator at the UNIX socket. */

static void
ctl_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct role_proc *r = arg;

	(void)tag;
	dbd_ctl_msg(r->dbd, l, m);
}

static void
ctl_on_down(struct link *l, enum link_why why, void *arg)
{
	struct role_proc *r = arg;
	struct held_link *h;

	if (why != LINK_EOF && why != LINK_CLOSED)
		world_fail(r->host->w, "control link: %s", link_why_text(why));
	dbd_ctl_down(r->dbd, l);
	LIST_FOREACH(h, &r->links, entry)
		if (h->link == l) {
			LIST_REMOVE(h, entry);
			free(h);
			break;
		}
	link_free(l);
}

struct link *
host_ctl(struct host *h, struct sproc *who, const struct link_conf *theirs)
{
	struct role_proc *r = role_of(h, ROLE_DBD, 0);
	struct link_conf conf = { .kind = LINK_CTL, .self = ROLE_DBD,
	    .peer = ROLE_CTL };
	struct held_link *held;
	struct wire *x;

	if (r == NULL || r->dbd == NULL || !r->started)
		return NULL;
	x = wire_new(h->w, h->conf.link_min_us, h->conf.link_max_us);
	conf.on_msg = ctl_on_msg;
	conf.on_down = ctl_on_down;
	conf.arg = r;
	held = xcalloc(1, sizeof(*held));
	held->owner = r;
	held->kind = LINK_CTL;
	held->link = wire_link(x, WIRE_A, r->sp, &conf);
	LIST_INSERT_HEAD(&r->links, held, entry);
	dbd_ctl_up(r->dbd, held->link, 0);
	return wire_link(x, WIRE_B, who, theirs);
}
