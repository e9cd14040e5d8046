#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/ev.h"
#include "common/log.h"
#include "regress/lib/keydkit.h"
#include "regress/lib/vectors.h"

/* CFG_FILE's kinds. */
#define NOISE_KEY_FILE	1
#define KEY_FILE	8
#define CERT_FILE	9

#define WAIT_US		(20 * US_PER_S)
#define SLOT		1
#define PENDING_MAX	16
#define PENDING_MS	10000

struct keydkit {
	struct ev	*ev;
	struct timer	 due;
	struct link	*cfg;
	pid_t		 pid;
	int		 sig;
	bool		 ready;
	bool		 down;
};

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keydkit *k = arg;

	(void)l;
	(void)tag;
	if (m->type == M_CFG_STAGED && !m->u.cfg_staged.ok)
		fatalx("keyd: %.*s", (int)sizeof(m->u.cfg_staged.text),
		    (const char *)m->u.cfg_staged.text);
	if (m->type == M_CFG_READY)
		k->ready = true;
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct keydkit *k = arg;

	(void)why;
	link_free(l);
	k->cfg = NULL;
	k->down = true;
}

static void
on_due(void *arg)
{
	(void)arg;
	fatalx("keyd says nothing");
}

static void
on_turn(void *arg)
{
	struct keydkit *k = arg;

	if (k->ready || k->down)
		ev_stop(k->ev);
}

static void
pair_new(int sv[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    sv) == -1)
		fatal("socketpair");
}

/* argv[1] is room for the title. */
static void
run_program(const char *program, int cfg)
{
	char blanks[201];

	memset(blanks, ' ', sizeof(blanks) - 1);
	blanks[sizeof(blanks) - 1] = '\0';
	if (dup2(cfg, 3) == -1)
		fatal("dup2");
	(void)execl(program, program, blanks, (char *)NULL);
	fatal("%s", program);
}

static void
say_boot(struct keydkit *k, const char *folder)
{
	struct msg m;

	msg_init(&m, M_CFG_BOOT);
	m.u.cfg_boot.role = ROLE_KEYD;
	m.u.cfg_boot.generation = 1;
	m.u.cfg_boot.workers = 1;
	m.u.cfg_boot.to_stderr = true;
	m.u.cfg_boot.drop = geteuid() == 0;
	m.u.cfg_boot.uid = m.u.cfg_boot.gid = KEYDKIT_NOBODY;
	m.u.cfg_boot.dir = slice_str(geteuid() == 0 ? folder : "");
	link_send(k->cfg, &m);
	msg_init(&m, M_CFG_SECRET);
	memset(m.u.cfg_secret.secret, 0x77, sizeof(m.u.cfg_secret.secret));
	link_send(k->cfg, &m);
	msg_init(&m, M_CFG_CONF_KEYD);
	m.u.cfg_conf_keyd.epoch = KEYDKIT_EPOCH;
	m.u.cfg_conf_keyd.pending_max = PENDING_MAX;
	m.u.cfg_conf_keyd.pending_ms = PENDING_MS;
	link_send(k->cfg, &m);
}

static void
say_file(struct keydkit *k, unsigned int kind, size_t number, const char *text)
{
	size_t n = strlen(text);
	struct msg m;

	msg_init(&m, M_CFG_FILE);
	m.u.cfg_file.kind = (uint8_t)kind;
	m.u.cfg_file.number = (uint16_t)number;
	m.u.cfg_file.epoch = KEYDKIT_EPOCH;
	m.u.cfg_file.name = slice_str("a file");
	m.fd = memfd_create("keydkit", MFD_CLOEXEC);
	if (m.fd == -1 || write(m.fd, text, n) != (ssize_t)n ||
	    lseek(m.fd, 0, SEEK_SET) == -1)
		fatal("a file for keyd");
	link_send(k->cfg, &m);
}

static void
say_link(struct keydkit *k)
{
	struct msg m;
	int sv[2];

	pair_new(sv);
	msg_init(&m, M_CFG_LINK);
	m.u.cfg_link.link = LINK_SIG;
	m.u.cfg_link.role = ROLE_WORKER;
	m.u.cfg_link.slot = SLOT;
	m.u.cfg_link.generation = 1;
	m.fd = sv[1];
	link_send(k->cfg, &m);
	k->sig = sv[0];
}

/* As master does it: the configuration, READY, START. */
static void
bring_up(struct keydkit *k, const char *folder,
    const struct keydkit_pair *pairs, size_t n)
{
	struct msg m;
	size_t i;

	say_boot(k, folder);
	say_file(k, NOISE_KEY_FILE, 0, "privkey:" VEC_SERVER_PRIV "\n");
	for (i = 0; i < n; i++) {
		say_file(k, KEY_FILE, i + 1, pairs[i].key);
		say_file(k, CERT_FILE, i + 1, pairs[i].cert);
	}
	say_link(k);
	msg_init(&m, M_CFG_STAGE);
	m.u.cfg_stage.epoch = KEYDKIT_EPOCH;
	(void)link_request(k->cfg, &m, NULL, 0);
	timer_in(&k->due, WAIT_US);
	ev_run(k->ev, on_turn, k);
	timer_stop(&k->due);
	if (!k->ready)
		fatalx("keyd ended at its start");
	msg_init(&m, M_CFG_START);
	link_send(k->cfg, &m);
	link_set_state(k->cfg, MSG_RUN);
}

struct keydkit *
keydkit_start(const char *program, const char *folder,
    const struct keydkit_pair *pairs, size_t n)
{
	struct link_conf conf;
	struct keydkit *k;
	int sv[2];

	if (access(program, X_OK) == -1)
		return NULL;
	k = xcalloc(1, sizeof(*k));
	k->ev = ev_new();
	timer_init(&k->due, ev_env(k->ev), on_due, k);
	pair_new(sv);
	if ((k->pid = fork()) == -1)
		fatal("fork");
	if (k->pid == 0)
		run_program(program, sv[1]);
	(void)close(sv[1]);
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CFG;
	conf.self = ROLE_MASTER;
	conf.peer = ROLE_KEYD;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = k;
	k->cfg = ev_link(k->ev, &conf, sv[0]);
	bring_up(k, folder, pairs, n);
	return k;
}

int
keydkit_sig(const struct keydkit *k)
{
	return k->sig;
}

pid_t
keydkit_pid(const struct keydkit *k)
{
	return k->pid;
}

void
keydkit_stop(struct keydkit *k)
{
	struct msg m;
	int status;

	msg_init(&m, M_CFG_STOP);
	link_send(k->cfg, &m);
	k->ready = false;
	timer_in(&k->due, WAIT_US);
	ev_run(k->ev, on_turn, k);
	timer_stop(&k->due);
	if (waitpid(k->pid, &status, 0) == -1 || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		fatalx("keyd did not end well");
	ev_free(k->ev);
	free(k);
}
