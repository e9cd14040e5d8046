#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/secret.h"
#include "dbd/core.h"

#define ACCEPT_PAUSE_US	US_PER_S	/* descriptors ran out */
#define POLICY_MAX	(1024 * 1024)	/* octets of the policy's file */

struct dbd_main {
	struct child		*child;
	struct store		*store;
	struct dbd		*core;		/* from the first stage on */
	struct secret		*boot_secret;
	uint8_t			 boot[16];
	char			 path[320];
	struct dbd_conf		 staged;
	char			 base_domain[256];
	struct buf		 domains;
	struct buf		 edge;		/* what staged points to */
	struct buf		 policy_name;
	struct buf		 policy_text;
	char			 policy_why[200]; /* it cannot be read */
	uint32_t		 epoch;		/* of staged; 0: none */
	uint32_t		 queue_max;
	struct msg		*early;		/* links before the core */
	size_t			 nearly;
	int			 ctl_fd;
	struct ev_fd		*ctl_ev;
	struct timer		 ctl_pause;
};

/* What the core asks of the world. */

static int
on_seal(const void *p, size_t n, void *arg)
{
	int fd;

	(void)arg;
	if ((fd = memfd_make("snapshot", p, n)) == -1 && errno != ENOSYS)
		log_warn("snapshot of %zu octets: goes in parts", n);
	return fd;
}

static void
on_blame(const struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	child_blame(dm->child, l, why);
}

static void
on_ask_master(const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	(void)link_request(child_cfg(dm->child), m, tag, 0);
}

static void
on_start_policyc(void *arg)
{
	struct dbd_main *dm = arg;
	struct msg m;

	msg_init(&m, M_CFG_POLICYC_START);
	(void)link_request(child_cfg(dm->child), &m, dm, 0);
}

/* The link to the policy compiler. */

static void
on_pol_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	(void)tag;
	dbd_pol_msg(dm->core, l, m);
}

static void
on_pol_down(struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	dbd_pol_down(dm->core, l);
	child_blame(dm->child, l, why);
	link_free(l);
}

static void
pol_open(struct dbd_main *dm, const struct msg *m)
{
	struct link_conf conf;

	memset(&conf, 0, sizeof(conf));
	conf.on_msg = on_pol_msg;
	conf.on_down = on_pol_down;
	conf.arg = dm;
	dbd_pol_up(dm->core, child_link(dm->child, m, &conf));
}

/* The links to fetch and, about certificates, to keyd. */

static void
on_out_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	dbd_out_msg(dm->core, l, m, tag);
}

static void
on_out_down(struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	dbd_out_down(dm->core, l);
	child_blame(dm->child, l, why);
	link_free(l);
}

static void
on_acme_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	dbd_acme_msg(dm->core, l, m, tag);
}

static void
on_acme_down(struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	(void)why;
	dbd_acme_down(dm->core, l);
	link_free(l);
}

static void
edge_open(struct dbd_main *dm, const struct msg *m)
{
	bool out = m->u.cfg_link.link == LINK_OUT;
	struct link_conf conf;
	struct link *l;

	memset(&conf, 0, sizeof(conf));
	conf.on_msg = out ? on_out_msg : on_acme_msg;
	conf.on_down = out ? on_out_down : on_acme_down;
	conf.arg = dm;
	l = child_link(dm->child, m, &conf);
	if (out)
		dbd_out_up(dm->core, l);
	else
		dbd_acme_up(dm->core, l);
}

/* Links of workers. */

static void
on_db_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	(void)tag;
	dbd_db_msg(dm->core, l, m);
}

static void
on_db_down(struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	dbd_db_down(dm->core, l);
	child_blame(dm->child, l, why);
	link_free(l);
}

static void
link_open(struct dbd_main *dm, const struct msg *m)
{
	struct link_conf conf;

	if (m->u.cfg_link.link != LINK_DB) {
		edge_open(dm, m);
		return;
	}
	memset(&conf, 0, sizeof(conf));
	conf.queue_max = dm->queue_max;
	conf.on_msg = on_db_msg;
	conf.on_down = on_db_down;
	conf.arg = dm;
	dbd_db_up(dm->core, child_link(dm->child, m, &conf));
}

static bool
is_ours(const struct m_cfg_link *l)
{
	return (l->link == LINK_DB && l->role == ROLE_WORKER) ||
	    (l->link == LINK_OUT && l->role == ROLE_OUT) ||
	    (l->link == LINK_ACME && l->role == ROLE_KEYD);
}

/* What is said before the core is there waits in the socket. */
static void
take_link(struct dbd_main *dm, const struct msg *m)
{
	if (m->u.cfg_link.link == LINK_POL && dm->core != NULL &&
	    m->u.cfg_link.role == ROLE_POLICYC) {
		pol_open(dm, m);
		return;
	}
	if (!is_ours(&m->u.cfg_link))
		fatalx("link of kind %u to role %u", m->u.cfg_link.link,
		    m->u.cfg_link.role);
	if (dm->core != NULL) {
		link_open(dm, m);
		return;
	}
	dm->early = xrealloc(dm->early, dm->nearly + 1, sizeof(*dm->early));
	dm->early[dm->nearly++] = *m;
}

/* Control connections. */

static void
on_ctl_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;

	(void)tag;
	dbd_ctl_msg(dm->core, l, m);
}

static void
on_ctl_down(struct link *l, enum link_why why, void *arg)
{
	struct dbd_main *dm = arg;

	(void)why;
	dbd_ctl_down(dm->core, l);
	link_free(l);
}

static void
ctl_open(struct dbd_main *dm, int fd)
{
	struct link_conf conf;
	uid_t uid;
	gid_t gid;

	if (getpeereid(fd, &uid, &gid) == -1) {
		log_warn("control connection: who is it?");
		(void)close(fd);
		return;
	}
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CTL;
	conf.self = ROLE_DBD;
	conf.peer = ROLE_CTL;
	conf.on_msg = on_ctl_msg;
	conf.on_down = on_ctl_down;
	conf.arg = dm;
	dbd_ctl_up(dm->core, ev_link(child_ev(dm->child), &conf, fd), uid);
}

static void
on_accept(int lfd, unsigned int got, void *arg)
{
	struct dbd_main *dm = arg;
	int fd;

	(void)got;
	fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1) {
		ctl_open(dm, fd);
		return;
	}
	if (errno == EMFILE || errno == ENFILE) {
		/* Else the loop would spin on us. */
		log_warn("control socket pauses");
		ev_fd_want(dm->ctl_ev, 0);
		timer_in(&dm->ctl_pause, ACCEPT_PAUSE_US);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		log_warn("control socket");
}

static void
on_pause_over(void *arg)
{
	struct dbd_main *dm = arg;

	ev_fd_want(dm->ctl_ev, EV_F_READ);
}

static void
on_stat(struct m_cfg_stat *to, void *arg)
{
	struct dbd_main *dm = arg;

	to->counts = *dbd_counters(dm->core);
}

/* What master says. */

static void
on_boot(struct child *c, const struct m_cfg_boot *boot, void *arg)
{
	struct dbd_main *dm = arg;
	int n;

	dm->child = c;
	memcpy(dm->boot, boot->boot, sizeof(dm->boot));
	timer_init(&dm->ctl_pause, ev_env(child_ev(c)), on_pause_over, dm);
	if (boot->drop)		/* the chroot is the folder */
		n = snprintf(dm->path, sizeof(dm->path), "/%s", DB_FILE);
	else
		n = snprintf(dm->path, sizeof(dm->path), "%.*s/%s",
		    SLICE_FMT(boot->dir), DB_FILE);
	if (n < 0 || (size_t)n >= sizeof(dm->path))
		fatalx("name of the store too long");
	child_title(c, "database");
}

/* The descriptor's place is shared with others: read by offset. */
static void
take_policy(struct dbd_main *dm, const struct msg *m)
{
	const struct m_cfg_file *f = &m->u.cfg_file;
	ssize_t n = 1;

	if (f->kind != FILE_POLICY || f->epoch != dm->epoch)
		fatalx("file of kind %u, epoch %u", f->kind, f->epoch);
	buf_clear(&dm->policy_name);
	buf_slice(&dm->policy_name, f->name);
	buf_clear(&dm->policy_text);
	while (n > 0 && dm->policy_text.n <= POLICY_MAX) {
		n = pread(m->fd, buf_room(&dm->policy_text, 65536), 65536,
		    (off_t)dm->policy_text.n);
		if (n > 0)
			dm->policy_text.n += (size_t)n;
	}
	if (n == -1)
		(void)snprintf(dm->policy_why, sizeof(dm->policy_why),
		    "%.120s: %s", log_vis(f->name), strerror(errno));
	else if (dm->policy_text.n > POLICY_MAX)
		(void)snprintf(dm->policy_why, sizeof(dm->policy_why),
		    "%.120s: has more than %d octets", log_vis(f->name),
		    POLICY_MAX);
	else
		dm->policy_why[0] = '\0';
	(void)close(m->fd);
	dm->staged.policy_name = buf_slice_of(&dm->policy_name);
	dm->staged.policy_text = buf_slice_of(&dm->policy_text);
}

/* A copy of the whole message keeps what it points to. */
static void
take_edge(struct dbd_main *dm, const struct m_cfg_conf_dbd *m)
{
	struct dbd_conf *c = &dm->staged;
	struct msg copy;

	msg_init(&copy, M_CFG_CONF_DBD);
	copy.u.cfg_conf_dbd = *m;
	buf_clear(&dm->edge);
	msg_encode(&dm->edge, &copy);
	if (msg_decode(&copy, M_CFG_CONF_DBD, dm->edge.p, dm->edge.n) == -1)
		fatalx("own copy does not decode");
	m = &copy.u.cfg_conf_dbd;
	c->derp_urls = m->derp_urls;
	c->derp_update_s = m->derp_update_s;
	c->derp_avoid_s = m->derp_avoid_s;
	c->relay_host = m->relay_host;
	c->acme = m->acme;
}

static void
take_conf(struct dbd_main *dm, const struct m_cfg_conf_dbd *m)
{
	struct dbd_conf *c = &dm->staged;

	if (!slice_copy(dm->base_domain, sizeof(dm->base_domain),
	    m->base_domain))
		fatalx("base domain cannot be used");
	memset(c, 0, sizeof(*c));
	c->base_domain = slice_str(dm->base_domain);
	c->prefix4 = m->prefix4;
	c->prefix6 = m->prefix6;
	c->random = m->random;
	c->grace_ms = m->grace_ms;
	c->ephemeral_s = m->ephemeral_s;
	c->resume_ms = m->resume_ms;
	c->presume_s = m->presume_s;
	c->node_expiry_s = m->node_expiry_s;
	c->max_nodes = m->max_nodes;
	c->budget_burst = m->budget_burst;
	c->budget_refill_ms = m->budget_refill_ms;
	c->queue_max = m->queue_max;
	c->log_keep = m->log_keep;
	c->verify_clients = m->verify_clients;
	c->domains = m->domains;
	buf_clear(&dm->domains);
	buf_put(&dm->domains, m->domains.p, m->domains.n);
	msg_list_close(&c->domains, &dm->domains);
	take_edge(dm, m);
	c->policy_file = m->policy_file;
	if (m->policy_file)
		(void)strlcpy(dm->policy_why, "the policy's file did not come",
		    sizeof(dm->policy_why));
	else
		dm->policy_why[0] = '\0';
	dm->epoch = m->epoch;
}

static void
on_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	struct dbd_main *dm = arg;
	uint8_t secret[32];

	(void)c;
	switch (m->type) {
	case M_CFG_SECRET:
		memcpy(secret, m->u.cfg_secret.secret, sizeof(secret));
		secret_free(dm->boot_secret);
		dm->boot_secret = secret_take(secret, sizeof(secret));
		break;
	case M_CFG_CONF_DBD:
		take_conf(dm, &m->u.cfg_conf_dbd);
		break;
	case M_CFG_CTL_LISTEN:
		if (dm->ctl_fd != -1)
			(void)close(dm->ctl_fd);
		dm->ctl_fd = m->fd;
		break;
	case M_CFG_LINK:
		take_link(dm, m);
		break;
	case M_CFG_CTL_ROW:
		dbd_master_row(dm->core, tag, m);
		break;
	case M_CFG_FILE:
		take_policy(dm, m);
		break;
	case M_CFG_CTL_DONE:
		if (tag != dm)
			dbd_master_done(dm->core, tag, m);
		else if (!m->u.cfg_ctl_done.ok)
			dbd_pol_failed(dm->core, m->u.cfg_ctl_done.text);
		break;
	default:
		child_drop(m);
		break;
	}
}

static bool
make_core(struct dbd_main *dm, char *why, size_t whylen)
{
	struct dbd_ops ops = { on_seal, on_blame, on_ask_master,
	    on_start_policyc, dm };
	size_t i;
	bool full;

	dm->store = store_open_sqlite(dm->path, NULL, dm->boot, why, whylen);
	if (dm->store == NULL)
		return false;
	full = !store_same_boot(dm->store);
	log_info("store open path=%s start=%s", dm->path,
	    full ? "full" : "alone");
	dm->core = dbd_new(ev_env(child_ev(dm->child)), dm->store,
	    &dm->staged, secret_data(dm->boot_secret), full, &ops);
	if (dm->core == NULL) {
		(void)snprintf(why, whylen, "%s: cannot be read", dm->path);
		store_abandon(dm->store);
		dm->store = NULL;
		return false;
	}
	dm->queue_max = dm->staged.queue_max;
	for (i = 0; i < dm->nearly; i++)
		link_open(dm, &dm->early[i]);
	free(dm->early);
	dm->early = NULL;
	dm->nearly = 0;
	return true;
}

static bool
on_stage(struct child *c, uint32_t epoch, char *why, size_t whylen, void *arg)
{
	struct dbd_main *dm = arg;

	(void)c;
	if (dm->epoch != epoch || dm->boot_secret == NULL) {
		(void)strlcpy(why, "no configuration or no boot secret came",
		    whylen);
		return false;
	}
	if (dm->policy_why[0] != '\0') {
		(void)strlcpy(why, dm->policy_why, whylen);
		return false;
	}
	if (!dbd_conf_ok(&dm->staged, why, whylen))
		return false;
	return dm->core != NULL || make_core(dm, why, whylen);
}

static void
on_commit(struct child *c, uint32_t epoch, void *arg)
{
	struct dbd_main *dm = arg;

	(void)c;
	if (dm->epoch != epoch)
		return;
	dm->queue_max = dm->staged.queue_max;
	dbd_reconf(dm->core, &dm->staged);
}

static void
on_discard(struct child *c, uint32_t epoch, void *arg)
{
	struct dbd_main *dm = arg;

	(void)c;
	if (dm->epoch == epoch)
		dm->epoch = 0;
}

static void
on_start(struct child *c, void *arg)
{
	struct dbd_main *dm = arg;

	if (dm->ctl_fd != -1)
		dm->ctl_ev = ev_fd_add(child_ev(c), dm->ctl_fd, EV_F_READ,
		    on_accept, dm);
	else
		log_warnx("no control socket came");
	dbd_start(dm->core);
	log_info("ready");
}

static void
on_stop(struct child *c, void *arg)
{
	struct dbd_main *dm = arg;

	ev_fd_del(dm->ctl_ev);
	dm->ctl_ev = NULL;
	timer_stop(&dm->ctl_pause);
	if (dm->core != NULL) {
		dbd_finish(dm->core);
		dbd_free(dm->core);
	}
	store_close(dm->store);
	secret_free(dm->boot_secret);
	child_exit(c);
}

static void
on_turn(void *arg)
{
	struct dbd_main *dm = arg;

	if (dm->core != NULL)
		dbd_turn(dm->core);
}

static const struct child_ops ops_dbd = {
	.role = ROLE_DBD,
	.name = "headscaled-dbd",
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

int
main(int argc, char **argv)
{
	static struct dbd_main dm;

	dm.ctl_fd = -1;
	if (sodium_init() == -1)
		fatalx("libsodium cannot be used");
	child_main(&ops_dbd, argc, argv, &dm);
}
