/*
 * headscaled-worker: the outer loop.  Sockets, files and links from master's
 * descriptors; everything that matters is in the cores.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "common/memfd.h"
#include "worker/control/control.h"
#include "worker/net/sock.h"
#include "worker/sig.h"
#include "worker/staged.h"
#include "worker/stat.h"

#define SLOTS		65	/* of workers, from 1 */

struct worker {
	struct child	*child;
	struct env	*env;
	struct control	*control;
	struct sock_set	*socks;
	struct link	*key;
	struct link	*db;
	struct link	*mesh[SLOTS];	/* NULL: none */
	struct sig	*sig;
	uint64_t	 sig_keyd;	/* generation of keyd at its end */
	uint64_t	 key_keyd;	/* ... of the last that said hello */
	bool		 key_said;	/* one did */
	struct staged	*staged;
	uint16_t	 slot;
	bool		 paused;
	uint64_t	 pauses;
	bool		 stopping;
	uint32_t	 shown;		/* streams in the title */
};

static void
on_kick(struct conn *c, void *arg)
{
	struct worker *w = arg;

	sock_kick(w->socks, c);
}

static void
on_pause(bool paused, void *arg)
{
	struct worker *w = arg;

	w->paused = paused;
	w->pauses += paused;
}

static void
stat_counts(const struct worker *w, struct r_counters *to)
{
	const struct net *net = control_net(w->control);
	const struct net_counters *n = net_counters(net);
	const struct control_counters *c = control_counters(w->control);
	const struct relay *r = control_relay(w->control);

	to->handshakes = n->upgrades;
	to->confirmed = n->sessions;
	to->failed = n->noise_no + n->key_lost;
	to->refused = c->refused;
	to->held = c->held;
	to->registers = c->registers;
	to->opens = c->opens;
	to->lites = c->lites;
	to->bytes_out = n->octets_out;
	to->pauses = w->pauses;
	stat_edge(n, net_edge_counters(net), to);
	if (r != NULL)
		stat_relay(relay_counters(r), to);
}

/* For status, and for master's CFG_SLOT. */
static void
on_stat(struct m_cfg_stat *to, void *arg)
{
	struct worker *w = arg;
	uint32_t open;

	net_count(control_net(w->control), &to->sessions, &open, &to->conns);
	to->streams = control_streams(w->control);
	to->paused = w->paused;
	stat_counts(w, &to->counts);
	if (to->streams == w->shown)
		return;
	w->shown = to->streams;
	child_title(w->child, "worker %u: %u streams", w->slot, w->shown);
}

/*
 * A new keyd may have made a new key for its certificate: until it has said
 * which, the one we have is not what it signs for.
 */
static void
hold(struct worker *w)
{
	net_tls_hold(control_net(w->control), !sig_is_up(w->sig) ||
	    sig_is_late(w->sig) ||
	    !w->key_said || w->key_keyd != w->sig_keyd);
}

/* Without signatures there is no TLS handshake; all else goes on. */
static void
sig_changed(void *arg)
{
	struct worker *w = arg;
	struct msg m;

	hold(w);
	if (sig_is_up(w->sig))
		return;
	/* If keyd lives master makes the link again. */
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = ROLE_KEYD;
	m.u.cfg_blame.generation = w->sig_keyd;
	m.u.cfg_blame.why = LINK_DEADLINE;
	link_send(child_cfg(w->child), &m);
}

static void
on_boot(struct child *child, const struct m_cfg_boot *boot, void *arg)
{
	struct worker *w = arg;
	struct control_ops ops = { on_kick, w };
	struct tls_signer signer;

	w->child = child;
	w->env = ev_env(child_ev(child));
	w->slot = boot->slot;
	w->control = control_new(w->env, &ops);
	w->socks = sock_new(child_ev(child), control_net(w->control), on_pause,
	    w);
	control_set_slot(w->control, w->slot);
	w->sig = sig_new(child_ev(child), sig_changed, w);
	signer = sig_signer(w->sig);
	control_signer(w->control, &signer);
	/* Until there is a link to keyd for it. */
	net_tls_hold(control_net(w->control), true);
	w->staged = staged_new(w->env, w->control, w->slot <= 1);
	child_title(child, "worker %u", w->slot);
}

static void
key_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct worker *w = arg;

	control_key_msg(w->control, m, tag);
	if (m->type != M_KEY_SERVER || l != w->key)
		return;
	w->key_said = true;
	w->key_keyd = link_generation(l);
	hold(w);
}

static void
key_down(struct link *l, enum link_why why, void *arg)
{
	struct worker *w = arg;

	if (l == w->key) {
		control_key_link(w->control, NULL);
		w->key = NULL;
		if (!w->stopping)
			log_info("keyd is away: handshakes wait");
	}
	link_free(l);
	if (why != LINK_EOF)
		env_end(w->env, 1, "the link to keyd is lost");
}

static void
db_snapshot(struct worker *w, const struct m_db_snapshot *s, int fd)
{
	const void *p;
	int rc = -1;

	if ((p = memfd_map(fd, s->size)) != NULL) {
		rc = tailnets_snapshot(control_tailnets(w->control),
		    s->tailnet, p, s->size);
		memfd_unmap(p, s->size);
	}
	close(fd);
	if (rc == -1)
		env_end(w->env, 1, "dbd sent a bad snapshot");
}

static void
db_policy(struct worker *w, const struct m_db_policy *m, int fd)
{
	const void *p;
	int rc = -1;

	if ((p = memfd_map(fd, m->size)) != NULL) {
		rc = tailnets_policy(control_tailnets(w->control), m->tailnet,
		    p, m->size);
		memfd_unmap(p, m->size);
	}
	close(fd);
	if (rc == -1)
		env_end(w->env, 1, "dbd sent a bad policy");
}

static void
db_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct worker *w = arg;

	if (l != w->db) {
		/* what a dead dbd still had to say */
		if (m->fd != -1)
			close(m->fd);
		return;
	}
	if (m->type == M_DB_SNAPSHOT)
		db_snapshot(w, &m->u.db_snapshot, m->fd);
	else if (m->type == M_DB_POLICY)
		db_policy(w, &m->u.db_policy, m->fd);
	else if (control_db_msg(w->control, m, tag) == -1)
		env_end(w->env, 1, "dbd sent what makes no sense");
}

static void
db_down(struct link *l, enum link_why why, void *arg)
{
	struct worker *w = arg;

	if (l == w->db) {
		control_db_link(w->control, NULL);
		w->db = NULL;
		if (!w->stopping)
			log_info("dbd is away: streams go on, requests wait");
	}
	link_free(l);
	/* dbd lives: nobody would bring us another link */
	if (why != LINK_EOF)
		env_end(w->env, 1, "the link to dbd is lost");
}

/* Siblings: a bad one loses the link, and master makes another. */

static void
mesh_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct worker *w = arg;
	struct relay *r = control_relay(w->control);

	(void)tag;
	if (r != NULL && !relay_mesh_msg(r, link_slot(l), m))
		link_violation(l, LINK_FORGED);
}

static void
mesh_down(struct link *l, enum link_why why, void *arg)
{
	struct worker *w = arg;
	struct relay *r = control_relay(w->control);
	uint16_t slot = link_slot(l);

	if (w->mesh[slot] == l) {
		w->mesh[slot] = NULL;
		if (r != NULL)
			relay_mesh_link(r, slot, NULL);
	}
	child_blame(w->child, l, why);
	link_free(l);
}

static void
mesh_link(struct worker *w, const struct msg *m)
{
	struct link_conf conf = { .arg = w, .on_msg = mesh_msg,
	    .on_down = mesh_down };
	struct relay *r = control_relay(w->control);
	uint16_t slot = m->u.cfg_link.slot;
	struct link *old;

	if (slot == 0 || slot >= SLOTS || slot == w->slot)
		fatalx("a link to the worker in slot %u", slot);
	old = w->mesh[slot];
	w->mesh[slot] = child_link(w->child, m, &conf);
	link_set_state(w->mesh[slot], MSG_RUN);
	if (r != NULL)
		relay_mesh_link(r, slot, w->mesh[slot]);
	link_free(old);
}

/* The relay was made after they came. */
static void
mesh_attach(struct worker *w)
{
	struct relay *r = control_relay(w->control);
	uint16_t i;

	for (i = 1; r != NULL && i < SLOTS; i++)
		if (w->mesh[i] != NULL)
			relay_mesh_link(r, i, w->mesh[i]);
}

static void
sig_link(struct worker *w, const struct msg *m)
{
	struct link_conf conf = { .slot = m->u.cfg_link.slot,
	    .generation = m->u.cfg_link.generation };

	w->sig_keyd = m->u.cfg_link.generation;
	/* Whoever waits for the old one is put off. */
	net_tls_hold(control_net(w->control), true);
	sig_set_fd(w->sig, &conf, m->fd);
	hold(w);
}

static void
cfg_link(struct worker *w, const struct msg *m)
{
	struct link_conf conf = { .arg = w };
	struct link *old;

	if (m->u.cfg_link.link == LINK_SIG)
		sig_link(w, m);
	else if (m->u.cfg_link.link == LINK_MESH)
		mesh_link(w, m);
	else if (m->u.cfg_link.link == LINK_KEY) {
		conf.on_msg = key_msg;
		conf.on_down = key_down;
		old = w->key;
		w->key = child_link(w->child, m, &conf);
		if (old != NULL) {
			control_key_link(w->control, NULL);
			link_free(old);
		}
		control_key_link(w->control, w->key);
	} else if (m->u.cfg_link.link == LINK_DB) {
		conf.on_msg = db_msg;
		conf.on_down = db_down;
		old = w->db;
		if (old != NULL) {
			control_db_link(w->control, NULL);
			w->db = NULL;
			link_free(old);
		}
		w->db = child_link(w->child, m, &conf);
		control_db_link(w->control, w->db);
	} else
		env_end(w->env, 1, "master sent a link that is not ours");
}

/* From the loop, like all else: who is stuck elsewhere does not come here. */
static void
answer_alive(struct child *child, const struct msg *m)
{
	struct msg r;

	msg_init(&r, M_CFG_ALIVE_OK);
	r.id = m->id;
	r.u.cfg_alive_ok.number = m->u.cfg_alive_ask.number;
	link_reply(child_cfg(child), &r);
}

static void
on_cfg(struct child *child, const struct msg *m, void *tag, void *arg)
{
	struct worker *w = arg;

	(void)tag;
	switch (m->type) {
	case M_CFG_CONF_WORKER:
		staged_conf(w->staged, m);
		break;
	case M_CFG_FILE:
		staged_file(w->staged, &m->u.cfg_file, m->fd);
		break;
	case M_CFG_NOFILE:
		staged_nofile(w->staged, &m->u.cfg_nofile);
		break;
	case M_CFG_LISTEN:
		sock_listen(w->socks, m->u.cfg_listen.listener,
		    m->u.cfg_listen.slot,
		    (enum conn_kind)m->u.cfg_listen.kind,
		    m->u.cfg_listen.proxy, m->fd);
		if (m->u.cfg_listen.slot == w->slot)
			sock_accept(w->socks, w->slot,
			    staged_in_force(w->staged) != 0);
		break;
	case M_CFG_UNLISTEN:
		sock_unlisten(w->socks, m->u.cfg_unlisten.listener);
		break;
	case M_CFG_SLOT:
		sock_accept(w->socks, m->u.cfg_slot.slot,
		    m->u.cfg_slot.down);
		break;
	case M_CFG_LINK:
		cfg_link(w, m);
		break;
	case M_CFG_ALIVE_ASK:
		answer_alive(child, m);
		break;
	default:
		env_end(w->env, 1, "master sent what is not for a worker");
	}
}

static bool
on_stage(struct child *child, uint32_t epoch, char *why, size_t len, void *arg)
{
	struct worker *w = arg;

	(void)child;
	return staged_check(w->staged, epoch, why, len);
}

static void
on_commit(struct child *child, uint32_t epoch, void *arg)
{
	struct worker *w = arg;

	(void)child;
	staged_commit(w->staged, epoch);
	mesh_attach(w);
}

static void
on_discard(struct child *child, uint32_t epoch, void *arg)
{
	struct worker *w = arg;

	(void)child;
	(void)epoch;
	staged_discard(w->staged);
}

static void
on_start(struct child *child, void *arg)
{
	struct worker *w = arg;

	on_commit(child, staged_epoch(w->staged), w);
	sock_accept(w->socks, w->slot, true);
}

static void
on_stop(struct child *child, void *arg)
{
	struct worker *w = arg;

	(void)child;
	w->stopping = true;
	control_shutdown(w->control);
	ev_again(child_ev(w->child));
}

static void
on_turn(void *arg)
{
	struct worker *w = arg;
	uint32_t sessions, streams, conns;

	sock_turn(w->socks);
	if (!w->stopping)
		return;
	net_count(control_net(w->control), &sessions, &streams, &conns);
	if (conns == 0)
		child_exit(w->child);
}

int
main(int argc, char **argv)
{
	static const struct child_ops ops = {
		.role = ROLE_WORKER,
		.name = "headscaled-worker",
		.on_boot = on_boot,
		.on_cfg = on_cfg,
		.on_stage = on_stage,
		.on_commit = on_commit,
		.on_discard = on_discard,
		.on_start = on_start,
		.on_stop = on_stop,
		.on_turn = on_turn,
		.on_stat = on_stat
	};
	struct worker *w;

	w = xcalloc(1, sizeof(*w));
	child_main(&ops, argc, argv, w);
}
