/*
 * The program itself: headscaled-keyd beside the folder of this test, with
 * this test as its master and as its workers.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/ev.h"
#include "common/log.h"
#include "common/noise.h"
#include "common/ticket.h"
#include "regress/lib/noise_client.h"
#include "regress/lib/vectors.h"

#define GENERATION	31
#define WORKERS		2
#define NOBODY		65534
#define WAIT_US		(20 * US_PER_S)
#define KEY_TEXT_LEN	73

#define KEY		"privkey:" VEC_SERVER_PRIV "\n"

struct peer {			/* what a worker holds */
	struct link	*link;
	struct msg	 last;
	uint8_t		 plain[NOISE_PLAIN];
	unsigned int	 got;
	bool		 down;
};

static struct proc {
	struct ev	*ev;
	struct timer	 due;
	pid_t		 pid;
	int		 err;		/* its stderr */
	struct link	*cfg;
	struct msg	 last;		/* on CFG */
	unsigned int	 got;
	bool		 ready;
	bool		 made;
	bool		 down;
	uint8_t		 pub[32];
	struct msg	 blame;
	struct peer	 peer[WORKERS];
	unsigned int	*counter;	/* what run_until() looks at */
	bool		*flag;
	unsigned int	 want;
} p;

static char	 program[1024];
static char	 folder[64];	/* for chroot, as root; else "" */
static char	 said[4096];
static uint8_t	 secret[32];

static void
on_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)l;
	(void)tag;
	(void)arg;
	p.last = *m;
	p.got++;
	if (m->type == M_CFG_READY)
		p.ready = true;
	if (m->type == M_CFG_KEY_MADE) {
		p.made = true;
		memcpy(p.pub, m->u.cfg_key_made.public, sizeof(p.pub));
	}
	if (m->type == M_CFG_BLAME)
		p.blame = *m;
}

static void
on_cfg_down(struct link *l, enum link_why why, void *arg)
{
	(void)why;
	(void)arg;
	link_free(l);
	p.cfg = NULL;
	p.down = true;
}

static void
on_key_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct peer *peer = arg;

	(void)l;
	(void)tag;
	peer->last = *m;
	peer->got++;
	if (m->type == M_KEY_NOISE_OK) {
		memcpy(peer->plain, m->u.key_noise_ok.plain.p,
		    m->u.key_noise_ok.plain.n);
		peer->last.u.key_noise_ok.plain.p = (char *)peer->plain;
	}
}

static void
on_key_down(struct link *l, enum link_why why, void *arg)
{
	struct peer *peer = arg;

	(void)why;
	link_free(l);
	peer->link = NULL;
	peer->down = true;
}

static void
on_due(void *arg)
{
	(void)arg;
	ev_stop(p.ev);
}

static void
on_turn(void *arg)
{
	(void)arg;
	if ((p.flag != NULL && *p.flag) || p.down ||
	    (p.counter != NULL && *p.counter >= p.want))
		ev_stop(p.ev);
}

static void
run(void)
{
	timer_in(&p.due, WAIT_US);
	ev_run(p.ev, on_turn, NULL);
	timer_stop(&p.due);
}

static void
run_until(bool *flag)
{
	p.flag = flag;
	p.counter = NULL;
	if (!*flag)
		run();
	assert_true(*flag);
}

static void
run_until_count(unsigned int *counter, unsigned int n)
{
	p.flag = NULL;
	p.counter = counter;
	p.want = n;
	if (*counter < n)
		run();
	assert_true(*counter >= n);
}

static void
link_make(struct link **l, enum msg_link kind, int fd, struct peer *peer)
{
	struct link_conf conf;

	memset(&conf, 0, sizeof(conf));
	conf.kind = kind;
	conf.self = kind == LINK_CFG ? ROLE_MASTER : ROLE_WORKER;
	conf.peer = ROLE_KEYD;
	conf.on_msg = kind == LINK_CFG ? on_cfg_msg : on_key_msg;
	conf.on_down = kind == LINK_CFG ? on_cfg_down : on_key_down;
	conf.arg = peer;
	*l = ev_link(p.ev, &conf, fd);
}

static void
spawn(int cfg, int err)
{
	char blanks[201];

	memset(blanks, ' ', 200);
	blanks[200] = '\0';
	if (dup2(cfg, 3) == -1 || dup2(err, 2) == -1)
		_exit(126);
	(void)execl(program, program, blanks, (char *)NULL);
	_exit(127);
}

static void
boot(void)
{
	struct msg m;

	msg_init(&m, M_CFG_BOOT);
	m.u.cfg_boot.role = ROLE_KEYD;
	m.u.cfg_boot.generation = GENERATION;
	m.u.cfg_boot.workers = WORKERS;
	m.u.cfg_boot.to_stderr = true;
	m.u.cfg_boot.drop = folder[0] != '\0';
	m.u.cfg_boot.uid = NOBODY;
	m.u.cfg_boot.gid = NOBODY;
	m.u.cfg_boot.dir = slice_str(folder);
	link_send(p.cfg, &m);
	msg_init(&m, M_CFG_SECRET);
	memcpy(m.u.cfg_secret.secret, secret, sizeof(secret));
	link_send(p.cfg, &m);
}

static int
setup(void **state)
{
	int cfg[2], err[2];

	(void)state;
	memset(&p, 0, sizeof(p));
	memset(secret, 0x77, sizeof(secret));
	p.ev = ev_new();
	timer_init(&p.due, ev_env(p.ev), on_due, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, cfg), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	if ((p.pid = fork()) == 0)
		spawn(cfg[1], err[1]);
	assert_int_not_equal(p.pid, -1);
	(void)close(cfg[1]);
	(void)close(err[1]);
	p.err = err[0];
	link_make(&p.cfg, LINK_CFG, cfg[0], NULL);
	boot();
	return 0;
}

/* Waits for its end; the exit status.  What it wrote is in said. */
static int
ended(void)
{
	size_t n = 0;
	ssize_t got;
	int status;

	while (n < sizeof(said) - 1 && (got = read(p.err, said + n,
	    sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	p.pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	if (p.pid != 0) {	/* a test failed, or forgot it */
		(void)kill(p.pid, SIGKILL);
		(void)waitpid(p.pid, NULL, 0);
	}
	(void)close(p.err);
	for (i = 0; i < WORKERS; i++)
		link_free(p.peer[i].link);
	link_free(p.cfg);
	ev_free(p.ev);
	return 0;
}

static int
file_new(const char *text)
{
	char path[] = "/tmp/t_keydproc.XXXXXXXXXX";
	int fd;

	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
send_file(uint8_t kind, int fd)
{
	struct msg m;

	msg_init(&m, M_CFG_FILE);
	m.u.cfg_file.kind = kind;
	m.u.cfg_file.epoch = 1;
	m.u.cfg_file.name = slice_str("etc/noise_private.key");
	m.fd = dup(fd);
	assert_int_not_equal(m.fd, -1);
	link_send(p.cfg, &m);
}

/* Configuration and stage; what keyd says to it. */
static bool
stage(uint32_t epoch, uint32_t pending_max)
{
	struct msg m;
	unsigned int before = p.got;

	msg_init(&m, M_CFG_CONF_KEYD);
	m.u.cfg_conf_keyd.epoch = epoch;
	m.u.cfg_conf_keyd.pending_max = pending_max;
	m.u.cfg_conf_keyd.pending_ms = 10000;
	link_send(p.cfg, &m);
	msg_init(&m, M_CFG_STAGE);
	m.u.cfg_stage.epoch = epoch;
	(void)link_request(p.cfg, &m, NULL, 0);
	do {
		run_until_count(&p.got, ++before);
	} while (p.last.type != M_CFG_STAGED && p.last.type != M_CFG_READY);
	return p.last.type == M_CFG_READY || p.last.u.cfg_staged.ok;
}

static void
start(void)
{
	struct msg m;

	run_until(&p.ready);
	msg_init(&m, M_CFG_START);
	link_send(p.cfg, &m);
	link_set_state(p.cfg, MSG_RUN);
}

static void
give_link(unsigned int i, uint64_t generation)
{
	struct peer *peer = &p.peer[i];
	struct msg m;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, sv), 0);
	msg_init(&m, M_CFG_LINK);
	m.u.cfg_link.link = LINK_KEY;
	m.u.cfg_link.role = ROLE_WORKER;
	m.u.cfg_link.slot = (uint16_t)(i + 1);
	m.u.cfg_link.generation = generation;
	m.fd = sv[1];
	link_send(p.cfg, &m);
	link_make(&peer->link, LINK_KEY, sv[0], peer);
}

static void
accept_init(struct peer *peer, uint32_t conn, const uint8_t init[NOISE_INIT])
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, init, NOISE_INIT);
	(void)link_request(peer->link, &m, NULL, 0);
}

/* A whole handshake, to the ticket. */
static void
shake(unsigned int i, uint32_t conn, uint64_t generation)
{
	struct peer *peer = &p.peer[i];
	uint8_t priv[32], eph[32], init[NOISE_INIT], rec[NOISE_RECORD];
	struct noise_client c;
	struct noise *ns;
	struct msg m;
	unsigned int before = peer->got;
	size_t n;

	arc4random_buf(priv, sizeof(priv));
	arc4random_buf(eph, sizeof(eph));
	ns = noise_new();
	assert_true(noise_client_start(&c, ns, 148, p.pub, priv, eph, init));
	accept_init(peer, conn, init);
	run_until_count(&peer->got, before + 1);
	assert_int_equal(peer->last.type, M_KEY_NOISE_READY);
	assert_true(noise_client_finish(&c,
	    peer->last.u.key_noise_ready.response));
	n = noise_seal(ns, &c.tx, rec, "PRI", 3);
	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = conn;
	m.u.key_noise_confirm.record = slice_mem(rec, n);
	(void)link_request(peer->link, &m, NULL, 0);
	run_until_count(&peer->got, before + 2);
	assert_int_equal(peer->last.type, M_KEY_NOISE_OK);
	assert_true(slice_eqs(peer->last.u.key_noise_ok.plain, "PRI"));
	assert_true(ticket_check(&peer->last.u.key_noise_ok.ticket, secret,
	    TICKET_MACHINE, (uint16_t)(i + 1), generation));
	assert_int_equal(peer->last.u.key_noise_ok.ticket.serial_gen,
	    GENERATION);
	noise_free(ns);
}

static void
assert_server(struct peer *peer)
{
	run_until_count(&peer->got, 2);
	assert_int_equal(peer->last.type, M_KEY_SERVER);
	assert_memory_equal(peer->last.u.key_server.public, p.pub, 32);
}

static void
stop(void)
{
	struct msg m;

	msg_init(&m, M_CFG_STOP);
	link_send(p.cfg, &m);
	run_until(&p.down);
	assert_int_equal(ended(), 0);
}

static void
test_make(void **state)
{
	char text[256];
	uint8_t priv[32], pub[32];
	int fd;

	(void)state;
	fd = file_new("");
	send_file(2, fd);
	give_link(0, 7);	/* before there is a core */
	assert_true(stage(1, 16));
	start();
	assert_true(p.made);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read(fd, text, sizeof(text)), KEY_TEXT_LEN);
	assert_true(hex_dec(priv, 32, slice_mem(text + 8, 64)));
	noise_public(pub, priv);
	assert_memory_equal(pub, p.pub, 32);
	assert_server(&p.peer[0]);
	shake(0, 1, 7);
	give_link(1, 8);	/* and while it runs */
	assert_server(&p.peer[1]);
	shake(1, 1, 8);
	stop();
	(void)close(fd);
}

static void
test_read(void **state)
{
	int fd;

	(void)state;
	assert_true(hex_dec(p.pub, 32, slice_str(VEC_SERVER_PUB)));
	fd = file_new(KEY);
	send_file(1, fd);
	assert_true(stage(1, 16));
	start();
	assert_false(p.made);
	give_link(0, 7);
	assert_server(&p.peer[0]);
	shake(0, 1, 7);
	/* A reload that is refused, then one that is not. */
	assert_false(stage(2, 0));
	assert_non_null(strstr((char *)p.last.u.cfg_staged.text, "bound"));
	assert_true(stage(3, 1));
	shake(0, 2, 7);
	stop();
	(void)close(fd);
}

static void
bad_file(uint8_t kind, const char *text, const char *reason)
{
	char after[256];
	struct stat st;
	int fd;

	fd = file_new(text);
	send_file(kind, fd);
	run_until(&p.down);
	assert_int_equal(ended(), 1);
	assert_non_null(strstr(said, "etc/noise_private.key: "));
	assert_non_null(strstr(said, reason));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, strlen(text));
	assert_int_equal(pread(fd, after, sizeof(after), 0), strlen(text));
	assert_memory_equal(after, text, strlen(text));
	(void)close(fd);
}

static void
test_malformed(void **state)
{
	(void)state;
	bad_file(1, "privkey:40\n", "not a key file");
}

static void
test_empty(void **state)
{
	(void)state;
	bad_file(1, "", "not a key file");
}

static void
test_not_overwritten(void **state)
{
	(void)state;
	bad_file(2, KEY, "not empty");
}

static void
test_no_key(void **state)
{
	(void)state;
	assert_false(stage(1, 16));
	assert_false(p.ready);
	assert_non_null(strstr((char *)p.last.u.cfg_staged.text,
	    "no Noise key"));
}

/* One worker breaks the rules: reported and cut off, the other goes on. */
static void
test_blame(void **state)
{
	uint8_t init[NOISE_INIT] = { 0 };
	int fd;

	(void)state;
	assert_true(hex_dec(p.pub, 32, slice_str(VEC_SERVER_PUB)));
	fd = file_new(KEY);
	send_file(1, fd);
	give_link(0, 7);
	give_link(1, 8);
	assert_true(stage(1, 16));
	start();
	assert_server(&p.peer[0]);
	assert_server(&p.peer[1]);
	accept_init(&p.peer[0], 5, init);
	accept_init(&p.peer[0], 5, init);
	run_until(&p.peer[0].down);
	while (p.blame.type != M_CFG_BLAME)
		run_until_count(&p.got, p.got + 1);
	assert_int_equal(p.blame.u.cfg_blame.role, ROLE_WORKER);
	assert_int_equal(p.blame.u.cfg_blame.slot, 1);
	assert_int_equal(p.blame.u.cfg_blame.generation, 7);
	assert_int_equal(p.blame.u.cfg_blame.why, LINK_BAD_ID);
	shake(1, 1, 8);
	stop();
	(void)close(fd);
}

static void
test_master_dies(void **state)
{
	(void)state;
	link_free(p.cfg);
	p.cfg = NULL;
	assert_int_equal(ended(), 0);
}

#define PROC_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_make),
		PROC_TEST(test_read),
		PROC_TEST(test_malformed),
		PROC_TEST(test_empty),
		PROC_TEST(test_not_overwritten),
		PROC_TEST(test_no_key),
		PROC_TEST(test_blame),
		PROC_TEST(test_master_dies)
	};
	const char *slash;
	int failed;

	/* out/t/t_keydproc, and out/headscaled-keyd */
	slash = strrchr(argv[0], '/');
	(void)snprintf(program, sizeof(program), "%.*s/../headscaled-keyd",
	    slash == NULL ? 1 : (int)(slash - argv[0]),
	    slash == NULL ? "." : argv[0]);
	if (argc > 1)
		(void)snprintf(program, sizeof(program), "%s", argv[1]);
	if (access(program, X_OK) == -1) {
		print_message("skipped: %s is not built\n", program);
		return 0;
	}
	if (noise_init() == -1)
		return 1;
	if (geteuid() == 0) {
		(void)snprintf(folder, sizeof(folder),
		    "/tmp/t_keydproc.XXXXXXXXXX");
		if (mkdtemp(folder) == NULL || chmod(folder, 0755) == -1)
			return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (folder[0] != '\0')
		(void)rmdir(folder);
	return failed;
}
