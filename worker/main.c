/*
 * headscaled-worker: the outer loop.  Sockets, files and links from master's
 * descriptors; everything that matters is in the cores.
 */

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "common/memfd.h"
#include "worker/control/control.h"
#include "worker/net/sock.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns.h"

#define FILE_DERPMAP	3	/* CFG_FILE's kinds for a worker */
#define FILE_RECORDS	4
#define FILE_MAX	(4 << 20)
#define STAT_US		US_PER_S

/* A configuration that is on its way in. */
struct staged {
	uint32_t	 epoch;
	struct buf	 conf;		/* encoded CFG_CONF_WORKER */
	bool		 has_derpmap;	/* the epoch says something of it */
	struct derpmap	*derpmap;	/* NULL: none any more */
	bool		 has_records;
	struct records	*records;
	char		 why[200];	/* a file that is bad; "" if none */
};

struct worker {
	struct child	*child;
	struct env	*env;
	struct control	*control;
	struct sock_set	*socks;
	struct link	*key;
	struct link	*db;
	struct staged	 next;
	uint32_t	 epoch;		/* in force */
	uint16_t	 slot;
	bool		 paused;
	uint64_t	 pauses;
	bool		 stopping;
	struct timer	 stat_timer;
	struct m_cfg_stat last;
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
	const struct net_counters *n = net_counters(control_net(w->control));
	const struct control_counters *c = control_counters(w->control);

	to->handshakes = n->upgrades;
	to->confirmed = n->sessions;
	to->failed = n->noise_no + n->key_lost + n->late;
	to->refused = c->refused;
	to->held = c->held;
	to->registers = c->registers;
	to->opens = c->opens;
	to->lites = c->lites;
	to->bytes_out = n->octets_out;
	to->pauses = w->pauses;
}

static bool
stat_same(const struct m_cfg_stat *a, const struct m_cfg_stat *b)
{
	struct buf x = { 0 }, y = { 0 };
	struct msg m;
	bool same;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat = *a;
	msg_encode(&x, &m);
	m.u.cfg_stat = *b;
	msg_encode(&y, &m);
	same = slice_eq(buf_slice_of(&x), buf_slice_of(&y));
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* Once a second, and only what changed: status and master's CFG_SLOT. */
static void
on_stat(void *arg)
{
	struct worker *w = arg;
	struct m_cfg_stat s = { 0 };
	struct msg m;
	uint32_t open;

	timer_in(&w->stat_timer, STAT_US);
	net_count(control_net(w->control), &s.sessions, &open, &s.conns);
	s.streams = control_streams(w->control);
	s.paused = w->paused;
	stat_counts(w, &s.counts);
	if (stat_same(&s, &w->last))
		return;
	if (s.streams != w->last.streams)
		child_title(w->child, "worker %u: %u streams", w->slot,
		    s.streams);
	w->last = s;
	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat = s;
	link_send(child_cfg(w->child), &m);
}

static void
on_boot(struct child *child, const struct m_cfg_boot *boot, void *arg)
{
	struct worker *w = arg;
	struct control_ops ops = { on_kick, w };

	w->child = child;
	w->env = ev_env(child_ev(child));
	w->slot = boot->slot;
	w->control = control_new(w->env, &ops);
	w->socks = sock_new(child_ev(child), control_net(w->control), on_pause,
	    w);
	timer_init(&w->stat_timer, w->env, on_stat, w);
	child_title(child, "worker %u", w->slot);
}

/* A file whose content is not ours to judge yet; NULL if it can't be read. */
static char *
slurp(int fd, size_t *n)
{
	struct stat st;
	char *p;
	ssize_t got;

	if (fstat(fd, &st) == -1 || st.st_size < 0 || st.st_size > FILE_MAX)
		return NULL;
	p = xmalloc((size_t)st.st_size + 1);
	for (*n = 0; *n <= (size_t)st.st_size; *n += (size_t)got) {
		got = pread(fd, p + *n, (size_t)st.st_size + 1 - *n,
		    (off_t)*n);
		if (got == -1) {
			free(p);
			return NULL;
		}
		if (got == 0)
			break;
	}
	if (*n <= (size_t)st.st_size)
		return p;
	free(p);		/* it grows while we read */
	return NULL;
}

static void
stage_file(struct staged *s, unsigned int kind, const char *p, size_t n,
    const char *name)
{
	char why[sizeof(s->why)] = "";

	if (kind == FILE_DERPMAP) {
		derpmap_free(s->derpmap);
		s->derpmap = derpmap_parse(p, n, name, why, sizeof(why));
		s->has_derpmap = s->derpmap != NULL;
	} else {
		records_free(s->records);
		s->records = records_parse(p, n, name, why, sizeof(why));
		s->has_records = s->records != NULL;
	}
	if (why[0] != '\0' && s->why[0] == '\0')
		strlcpy(s->why, why, sizeof(s->why));
}

static void
apply_files(struct worker *w, struct staged *s)
{
	if (s->has_derpmap)
		tailnets_derpmap(control_tailnets(w->control), s->derpmap);
	if (s->has_records)
		tailnets_records(control_tailnets(w->control), s->records);
	s->has_derpmap = s->has_records = false;
	s->derpmap = NULL;
	s->records = NULL;
}

static void
staged_clear(struct staged *s)
{
	derpmap_free(s->derpmap);
	records_free(s->records);
	buf_free(&s->conf);
	memset(s, 0, sizeof(*s));
}

/*
 * Part of a configuration to come, or, with the epoch in force, a file that
 * changed on disk: a bad one then keeps the old one.
 */
static void
cfg_file(struct worker *w, const struct m_cfg_file *f, int fd)
{
	struct staged now = { 0 };
	struct staged *s = f->epoch == w->epoch ? &now : &w->next;
	char name[256], *p;
	size_t n;

	slice_copy(name, sizeof(name), f->name);
	if ((p = slurp(fd, &n)) == NULL)
		snprintf(s->why, sizeof(s->why), "%.150s: can't be read, or "
		    "has more than %d bytes", name, FILE_MAX);
	else
		stage_file(s, f->kind, p, n, name);
	free(p);
	close(fd);
	if (s != &now)
		return;
	if (now.why[0] != '\0')
		log_warnx("%s; the old one stays", now.why);
	else
		log_info("%s: read again", name);
	apply_files(w, &now);
	staged_clear(&now);
}

static void
cfg_nofile(struct worker *w, const struct m_cfg_nofile *f)
{
	if (f->kind == FILE_DERPMAP)
		w->next.has_derpmap = true;
	else
		w->next.has_records = true;
}

static void
key_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct worker *w = arg;

	(void)l;
	net_key_msg(control_net(w->control), m, tag);
}

static void
key_down(struct link *l, enum link_why why, void *arg)
{
	struct worker *w = arg;

	if (l == w->key) {
		net_key_link(control_net(w->control), NULL);
		w->key = NULL;
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
		log_info("dbd is away: streams go on, requests wait");
	}
	link_free(l);
	/* dbd lives: nobody would bring us another link */
	if (why != LINK_EOF)
		env_end(w->env, 1, "the link to dbd is lost");
}

static void
cfg_link(struct worker *w, const struct msg *m)
{
	struct link_conf conf = { .arg = w };
	struct link *old;

	if (m->u.cfg_link.link == LINK_KEY) {
		conf.on_msg = key_msg;
		conf.on_down = key_down;
		old = w->key;
		w->key = child_link(w->child, m, &conf);
		if (old != NULL) {
			net_key_link(control_net(w->control), NULL);
			link_free(old);
		}
		net_key_link(control_net(w->control), w->key);
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
		staged_clear(&w->next);
		w->next.epoch = m->u.cfg_conf_worker.epoch;
		msg_encode(&w->next.conf, m);
		break;
	case M_CFG_FILE:
		cfg_file(w, &m->u.cfg_file, m->fd);
		break;
	case M_CFG_NOFILE:
		cfg_nofile(w, &m->u.cfg_nofile);
		break;
	case M_CFG_LISTEN:
		sock_listen(w->socks, m->u.cfg_listen.listener,
		    m->u.cfg_listen.slot, m->fd);
		if (m->u.cfg_listen.slot == w->slot)
			sock_accept(w->socks, w->slot, w->epoch != 0);
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
	struct msg m;

	(void)child;
	if (w->next.epoch != epoch || w->next.conf.n == 0) {
		snprintf(why, len, "no configuration of this epoch");
		return false;
	}
	if (w->next.why[0] != '\0') {
		strlcpy(why, w->next.why, len);
		return false;
	}
	if (msg_decode(&m, M_CFG_CONF_WORKER, w->next.conf.p,
	    w->next.conf.n) == -1)
		fatalx("own copy does not decode");
	return control_conf_check(&m.u.cfg_conf_worker, why, len) == 0;
}

static void
on_commit(struct child *child, uint32_t epoch, void *arg)
{
	struct worker *w = arg;
	struct msg m;

	(void)child;
	if (w->next.epoch != epoch ||
	    msg_decode(&m, M_CFG_CONF_WORKER, w->next.conf.p,
	    w->next.conf.n) == -1)
		fatalx("commit of what was not staged");
	w->epoch = epoch;
	control_conf(w->control, &m.u.cfg_conf_worker);
	apply_files(w, &w->next);
	staged_clear(&w->next);
}

static void
on_discard(struct child *child, uint32_t epoch, void *arg)
{
	struct worker *w = arg;

	(void)child;
	(void)epoch;
	staged_clear(&w->next);
}

static void
on_start(struct child *child, void *arg)
{
	struct worker *w = arg;

	on_commit(child, w->next.epoch, w);
	sock_accept(w->socks, w->slot, true);
	timer_in(&w->stat_timer, STAT_US);
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
		.on_turn = on_turn
	};
	struct worker *w;

	w = xcalloc(1, sizeof(*w));
	child_main(&ops, argc, argv, w);
}
