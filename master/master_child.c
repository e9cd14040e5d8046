#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/str.h"
#include "master/master_int.h"
#include "master/rundir.h"
#include "master/spawn.h"

/* One running child: the tag of its seat. */
struct child {
	struct master	*master;
	struct proc	*proc;
	pid_t		 pid;
	struct link	*cfg;
};

/*
 * The path of a key that keyd makes if it is missing, and how it is called;
 * NULL if the configuration has none of this kind (FILE_KEY and the like).
 */
static const char *
own_key(const struct conf *c, unsigned int kind, const char **what)
{
	switch (kind) {
	case FILE_KEY:
		*what = "noise";
		return c->files.noise_key;
	case FILE_DERP_KEY:
		*what = "relay";
		return c->files.derp_key;
	case FILE_ACME_ACCOUNT:
		*what = "ACME account";
		return c->files.acme_account;
	case FILE_ACME_KEY:
		*what = "ACME certificate";
		return c->files.acme_key;
	default:
		*what = "unknown";
		return NULL;
	}
}

/* keyd has written a new key; one that is not kept must not be used. */
static void
take_key(struct child *c, unsigned int kind)
{
	struct master *ms = c->master;
	const char *path, *what;
	char why[WHY_LEN], text[WHY_LEN + 16];
	bool asked;

	if (proc_is_check(c->proc))	/* which nobody keeps */
		return;
	path = own_key(ms->conf, kind - 1, &what);
	asked = path != NULL && (ms->known & 1U << (kind - 1)) == 0;
	if (asked && key_made(path, why, sizeof(why))) {
		ms->known |= 1U << (kind - 1);
		log_info("%s key made path=%s", what, path);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s key: %s", what, asked ? why :
	    "keyd made one that nobody asked for");
	super_fail(ms->super, c->proc, text);
}

static void
on_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct child *c = arg;
	struct master *ms = c->master;

	(void)l;
	(void)tag;
	switch (m->type) {
	case M_CFG_CTL_RELOAD:
	case M_CFG_CTL_VERBOSE:
		master_request(ms, c->proc, m);
		break;
	case M_CFG_KEY_MADE:
		take_key(c, m->u.cfg_key_made.kind);
		break;
	default:
		super_msg(ms->super, c->proc, m);
		break;
	}
}

/* The link is freed when the process is reaped. */
static void
on_cfg_down(struct link *l, enum link_why why, void *arg)
{
	struct child *c = arg;

	(void)l;
	super_link_down(c->master->super, c->proc, why);
}

static void
send_boot(struct master *ms, struct proc *p, const char *dir)
{
	const struct user *u = users_of(&ms->users, proc_role(p));
	struct msg m;

	msg_init(&m, M_CFG_BOOT);
	m.u.cfg_boot.role = (uint8_t)proc_role(p);
	m.u.cfg_boot.slot = proc_slot(p);
	m.u.cfg_boot.generation = proc_generation(p);
	memcpy(m.u.cfg_boot.boot, ms->boot, sizeof(ms->boot));
	m.u.cfg_boot.workers = (uint16_t)ms->conf->workers;
	m.u.cfg_boot.verbose = ms->verbose;
	m.u.cfg_boot.to_stderr = ms->to_stderr;
	m.u.cfg_boot.drop = ms->users.drop;
	m.u.cfg_boot.uid = u->uid;
	m.u.cfg_boot.gid = u->gid;
	m.u.cfg_boot.dir = slice_str(dir);
	link_send(((struct child *)proc_tag(p))->cfg, &m);
}

static void
send_secret(struct master *ms, struct link *l)
{
	struct msg m;

	msg_init(&m, M_CFG_SECRET);
	memcpy(m.u.cfg_secret.secret, secret_data(ms->secret),
	    sizeof(m.u.cfg_secret.secret));
	link_send(l, &m);
	wipe(&m, sizeof(m));
}

/*
 * For a keyd that only looks, where there is no key yet: one that is nobody's,
 * or, where only keyd knows how, a file to make one in.
 */
static int
any_key(enum file_kind kind, bool *made, char *why, size_t whylen)
{
	int fd;

	*made = kind == FILE_ACME_ACCOUNT || kind == FILE_ACME_KEY;
	if ((fd = *made ? key_blank() : key_nowhere()) == -1)
		(void)snprintf(why, whylen, "/tmp: %s", strerror(errno));
	return fd;
}

/* False if the key is not to be had: keyd cannot start then. */
static bool
send_key(struct master *ms, const struct proc *p, struct link *l,
    enum file_kind kind)
{
	const char *what, *path = own_key(ms->conf, kind, &what);
	char why[WHY_LEN], other[WHY_LEN];
	struct msg m;
	bool made, check = proc_is_check(p);
	int fd;

	if (path == NULL)
		return true;
	/* Clients would not know a key that takes the place of a lost one. */
	fd = key_open(path, !check && (ms->known & 1U << kind) == 0, &made,
	    why, sizeof(why));
	if (fd == -1 && check && key_check(path, other, sizeof(other)))
		fd = any_key(kind, &made, why, sizeof(why));
	if (fd == -1) {
		log_warnx("%s key: %s", what, why);
		return false;
	}
	if (!made && !check)
		ms->known |= 1U << kind;
	msg_init(&m, M_CFG_FILE);
	m.fd = fd;
	m.u.cfg_file.kind = (uint8_t)(kind + made);
	m.u.cfg_file.epoch = ms->epoch;
	m.u.cfg_file.name = slice_str(path);
	link_send(l, &m);
	return true;
}

static bool
send_control(struct master *ms, struct link *l)
{
	struct msg m;

	msg_init(&m, M_CFG_CTL_LISTEN);
	m.fd = fcntl(ms->control, F_DUPFD_CLOEXEC, 0);
	if (m.fd == -1) {
		log_warn("control socket");
		return false;
	}
	link_send(l, &m);
	return true;
}

/* What each role gets before its configuration. */
static bool
greet(struct master *ms, struct proc *p, struct link *l)
{
	char *dir;
	bool ok = true;

	if (proc_role(p) == ROLE_DBD)
		dir = db_dir(ms->conf);
	else
		dir = xstrdup(proc_role(p) == ROLE_OUT ?
		    fetchdir_path(ms->fetch) : ms->cage);
	send_boot(ms, p, dir);
	free(dir);
	if (proc_role(p) == ROLE_KEYD || proc_role(p) == ROLE_DBD)
		send_secret(ms, l);
	if (proc_role(p) == ROLE_KEYD)
		ok = send_key(ms, p, l, FILE_KEY) &&
		    send_key(ms, p, l, FILE_DERP_KEY) &&
		    send_key(ms, p, l, FILE_ACME_ACCOUNT) &&
		    send_key(ms, p, l, FILE_ACME_KEY);
	else if (proc_role(p) == ROLE_DBD)
		ok = send_control(ms, l);
	return ok;
}

static void
on_kill(struct proc *p, void *arg)
{
	struct child *c = proc_tag(p);

	(void)arg;
	if (c != NULL && kill(c->pid, SIGKILL) == -1)
		log_warn("kill %s pid=%ld", proc_name(p), (long)c->pid);
}

static bool
on_spawn(struct proc *p, void *arg)
{
	struct master *ms = arg;
	struct link_conf conf;
	struct child *c;
	pid_t pid;
	int fd;

	proc_set_tag(p, NULL, 0);
	pid = spawn_child(ms->libexec, proc_role(p), ms->to_stderr, &fd);
	if (pid == -1)
		return false;
	c = xcalloc(1, sizeof(*c));
	c->master = ms;
	c->proc = p;
	c->pid = pid;
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CFG;
	conf.self = ROLE_MASTER;
	conf.peer = proc_role(p);
	conf.slot = proc_slot(p);
	conf.generation = proc_generation(p);
	conf.on_msg = on_cfg_msg;
	conf.on_down = on_cfg_down;
	conf.arg = c;
	c->cfg = ev_link(ms->ev, &conf, fd);
	proc_set_tag(p, c, (uint32_t)pid);
	if (!greet(ms, p, c->cfg)) {
		/* It exists: its end is awaited like any other. */
		on_kill(p, ms);
	}
	return true;
}

static bool
on_spawn_policyc(struct proc *p, int *fd, void *arg)
{
	struct master *ms = arg;
	const struct user *u = users_of(&ms->users, ROLE_POLICYC);
	struct spawn_as as = { u->uid, u->gid, ms->cage };
	struct child *c;
	pid_t pid;

	proc_set_tag(p, NULL, 0);
	pid = spawn_policyc(ms->libexec, ms->to_stderr,
	    ms->users.drop ? &as : NULL, fd);
	if (pid == -1)
		return false;
	c = xcalloc(1, sizeof(*c));
	c->master = ms;
	c->proc = p;
	c->pid = pid;
	proc_set_tag(p, c, (uint32_t)pid);
	return true;
}

static void
on_send(struct proc *p, const struct msg *m, void *arg)
{
	struct child *c = proc_tag(p);

	(void)arg;
	if (c == NULL) {
		if (m->fd != -1)
			(void)close(m->fd);
		return;
	}
	switch (msg_class(m->type)) {
	case MSG_REQUEST:
		(void)link_request(c->cfg, m, NULL, 0);
		break;
	case MSG_REPLY:
		link_reply(c->cfg, m);
		break;
	case MSG_ROW:
	case MSG_NOTIFY:
		link_send(c->cfg, m);
		break;
	}
	if (m->type == M_CFG_START)
		link_set_state(c->cfg, MSG_RUN);
}

static bool
on_pair(int fd[2], void *arg)
{
	(void)arg;
	if (spawn_pair(fd) == 0)
		return true;
	log_warn("socketpair");
	return false;
}

struct search {
	pid_t		 pid;
	struct proc	*found;
};

static void
match(struct proc *p, void *arg)
{
	struct search *s = arg;
	struct child *c = proc_tag(p);

	if (c != NULL && c->pid == s->pid)
		s->found = p;
}

void
master_reap(struct master *ms)
{
	struct search s;
	struct child *c;
	int status;

	for (;;) {
		s.pid = waitpid(-1, &status, WNOHANG);
		if (s.pid <= 0)
			return;
		s.found = NULL;
		super_each(ms->super, match, &s);
		if (s.found == NULL)
			continue;
		c = proc_tag(s.found);
		link_free(c->cfg);
		free(c);
		proc_set_tag(s.found, NULL, (uint32_t)s.pid);
		super_died(ms->super, s.found, spawn_how(status));
	}
}

void
master_send_file(struct master *ms, struct proc *p, enum file_kind kind,
    uint32_t epoch, int fd)
{
	const struct conf *conf = epoch == ms->next_epoch ? ms->next : ms->conf;
	struct msg m;

	if (fd == -1) {
		msg_init(&m, M_CFG_NOFILE);
		m.u.cfg_nofile.kind = (uint8_t)kind;
		m.u.cfg_nofile.epoch = epoch;
	} else {
		msg_init(&m, M_CFG_FILE);
		m.fd = fd;
		m.u.cfg_file.kind = (uint8_t)kind;
		m.u.cfg_file.epoch = epoch;
		m.u.cfg_file.name = slice_str(kind == FILE_DERP_MAP ?
		    conf->files.derp_map : conf->files.records);
	}
	on_send(p, &m, ms);
}

void
master_send_log(struct master *ms, struct proc *p, int fd)
{
	struct msg m;

	msg_init(&m, M_CFG_LOG);
	m.fd = fd;
	on_send(p, &m, ms);
}

void
master_ops(struct master *ms, struct super_ops *ops)
{
	memset(ops, 0, sizeof(*ops));
	ops->spawn = on_spawn;
	ops->kill = on_kill;
	ops->send = on_send;
	ops->pair = on_pair;
	ops->configure = master_configure;
	ops->serving = master_serving;
	ops->outcome = master_outcome;
	ops->stopped = master_stopped;
	ops->spawn_policyc = on_spawn_policyc;
	ops->wants = master_wants;
	ops->arg = ms;
}
