#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "common/child.h"
#include "common/compat/compat.h"
#include "common/log.h"

#define NOBODY		65534
#define ROOM		200
#define CFG_FD		3

/* Written by the child, which has no file left to write to. */
struct seen {
	unsigned int	 boots;
	struct m_cfg_boot boot;
	char		 dir[256];
	bool		 boxed;		/* socket(2) was refused */
	unsigned int	 stages;
	unsigned int	 commits;
	unsigned int	 discards;
	uint32_t	 epoch;
	unsigned int	 starts;
	unsigned int	 stops;
	unsigned int	 others;
	unsigned int	 stats;		/* times that it was asked for them */
	enum msg_type	 other;
	enum role	 peer;
	unsigned int	 downs;
	int		 verbose;
	char		 title[ROOM + 16];
	bool		 stage_bad;	/* what on_stage() is to say */
};

/* Master's side: a bare socket. */
struct master {
	pid_t		 pid;
	int		 fd;
	struct imsgbuf	 raw;
	uint32_t	 id;
};

static struct seen *seen;
static char empty[] = "/tmp/t_child.XXXXXXXXXX";

#define NS_PER_S	UINT64_C(1000000000)

/* A double: a child that is told so lives so many times as fast. */
static unsigned int hurry = 1;

int	clock_gettime(clockid_t, struct timespec *);

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t ns;

	if (syscall(SYS_clock_gettime, id, ts) == -1)
		return -1;
	if (hurry == 1 || id == CLOCK_REALTIME)
		return 0;
	ns = ((uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec) * hurry;
	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}

#ifdef __linux__
/* What the event loop waits with. */
int
timerfd_settime(int fd, int flags, const struct itimerspec *new,
    struct itimerspec *old)
{
	struct itimerspec its = *new;
	uint64_t ns;

	ns = ((uint64_t)its.it_value.tv_sec * NS_PER_S +
	    (uint64_t)its.it_value.tv_nsec) / hurry;
	its.it_value.tv_sec = (time_t)(ns / NS_PER_S);
	its.it_value.tv_nsec = (long)(ns % NS_PER_S);
	return (int)syscall(SYS_timerfd_settime, fd, flags, &its, old);
}
#endif

/* The role under test. */

static char title_room[ROOM + 16];

static void
on_boot(struct child *c, const struct m_cfg_boot *boot, void *arg)
{
	assert_non_null(child_cfg(c));
	assert_ptr_equal(arg, seen);
	seen->boots++;
	seen->boot = *boot;
	(void)slice_copy(seen->dir, sizeof(seen->dir), boot->dir);
	seen->boxed = socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM;
	memcpy(seen->title, title_room, sizeof(title_room));
}

static void
on_peer_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)m;
	(void)tag;
	(void)arg;
	link_violation(l, LINK_FORGED);
}

static void
on_peer_down(struct link *l, enum link_why why, void *arg)
{
	seen->downs++;
	child_blame(arg, l, why);
	link_free(l);
}

static void
on_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	struct link_conf conf;
	struct link *l;

	(void)tag;
	(void)arg;
	seen->others++;
	seen->other = m->type;
	if (m->type != M_CFG_LINK) {
		child_drop(m);
		return;
	}
	memset(&conf, 0, sizeof(conf));
	conf.on_msg = on_peer_msg;
	conf.on_down = on_peer_down;
	conf.arg = c;
	l = child_link(c, m, &conf);
	seen->peer = link_peer(l);
}

static bool
on_stage(struct child *c, uint32_t epoch, char *why, size_t n, void *arg)
{
	(void)c;
	(void)arg;
	seen->stages++;
	seen->epoch = epoch;
	if (seen->stage_bad)
		(void)snprintf(why, n, "line 7: no such prefix");
	return !seen->stage_bad;
}

static void
on_commit(struct child *c, uint32_t epoch, void *arg)
{
	(void)c;
	(void)arg;
	seen->commits++;
	seen->epoch = epoch;
}

static void
on_discard(struct child *c, uint32_t epoch, void *arg)
{
	(void)c;
	(void)arg;
	seen->discards++;
	seen->epoch = epoch;
}

static void
on_start(struct child *c, void *arg)
{
	(void)c;
	(void)arg;
	seen->starts++;
}

static void
on_stop(struct child *c, void *arg)
{
	struct msg m;

	(void)arg;
	seen->stops++;
	seen->verbose = log_is_verbose();
	/* Queued right before the end: must still arrive. */
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.why = 99;
	link_send(child_cfg(c), &m);
	child_exit(c);
}

static const struct child_ops worker_ops = {
	.role = ROLE_WORKER, .name = "headscaled-worker", .on_boot = on_boot,
	.on_cfg = on_cfg, .on_stage = on_stage, .on_commit = on_commit,
	.on_discard = on_discard, .on_start = on_start, .on_stop = on_stop
};

/* Counts what comes without a descriptor, and keeps nothing. */
static void
plain_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	(void)c;
	(void)tag;
	(void)arg;
	child_drop(m);
	if (m->type == M_CFG_SLOT)
		seen->others++;
}

static void
plain_stat(struct m_cfg_stat *to, void *arg)
{
	(void)arg;
	seen->stats++;
	to->counts.stun_answered = seen->others;
}

static bool
plain_stage(struct child *c, uint32_t epoch, char *why, size_t n, void *arg)
{
	(void)c;
	(void)arg;
	return child_conf_came(2, epoch, why, n);
}

static const struct child_ops plain_ops = {
	.role = ROLE_WORKER, .name = "headscaled-worker", .on_boot = on_boot,
	.on_cfg = plain_cfg, .on_stage = plain_stage, .on_commit = on_commit,
	.on_start = on_start, .on_stat = plain_stat
};

static const struct child_ops dbd_ops = {
	.role = ROLE_DBD, .name = "headscaled-dbd", .on_boot = on_boot,
	.on_cfg = on_cfg, .on_stage = on_stage, .on_commit = on_commit,
	.on_discard = on_discard, .on_start = on_start, .on_stop = on_stop
};

/* Starting it. */

static void
become_child(const struct child_ops *ops, int fd)
{
	char *argv[3];
	int null;

	if (fd != -1 && dup2(fd, CFG_FD) == -1)
		_exit(90);
	if (fd == -1)
		(void)close(CFG_FD);
	if ((null = open("/dev/null", O_WRONLY)) == -1 ||
	    dup2(null, STDERR_FILENO) == -1)
		_exit(91);
	/* As the kernel lays it out: two arguments, one after the other. */
	memset(title_room, ' ', sizeof(title_room) - 1);
	memcpy(title_room, "t_child", 8);
	argv[0] = title_room;
	argv[1] = title_room + 8;
	argv[2] = NULL;
	child_main(ops, 2, argv, seen);
}

static void
start(struct master *m, const struct child_ops *ops)
{
	int sv[2];

	memset(m, 0, sizeof(*m));
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_not_equal(m->pid = fork(), -1);
	if (m->pid == 0) {
		(void)close(sv[0]);
		become_child(ops, sv[1]);
	}
	(void)close(sv[1]);
	m->fd = sv[0];
	assert_int_equal(imsgbuf_init(&m->raw, m->fd), 0);
	imsgbuf_allow_fdpass(&m->raw);
}

static void
say(struct master *m, const struct msg *msg)
{
	struct buf b;

	memset(&b, 0, sizeof(b));
	msg_encode(&b, msg);
	assert_int_equal(imsg_compose(&m->raw, msg->type, msg->id, 0, msg->fd,
	    b.p, b.n), 1);
	buf_free(&b);
	assert_int_equal(imsgbuf_flush(&m->raw), 0);
}

static void
say_type(struct master *m, enum msg_type type)
{
	struct msg msg;

	msg_init(&msg, type);
	say(m, &msg);
}

/* The next message, which must be of this type, within 5 s. */
static void
hear(struct master *m, enum msg_type type, struct msg *msg)
{
	static uint8_t octets[4096];
	struct pollfd pfd;
	struct imsg imsg;
	int rc;

	while ((rc = imsgbuf_get(&m->raw, &imsg)) == 0) {
		pfd.fd = m->fd;
		pfd.events = POLLIN;
		assert_int_equal(poll(&pfd, 1, 5000), 1);
		assert_int_equal(imsgbuf_read(&m->raw), 1);
	}
	assert_int_equal(rc, 1);
	assert_string_equal(msg_name(imsg_get_type(&imsg)), msg_name(type));
	assert_int_equal(imsg_get_fd(&imsg), -1);
	assert_true(imsg_get_len(&imsg) <= sizeof(octets));
	if (imsg_get_len(&imsg) > 0)
		assert_int_equal(imsg_get_data(&imsg, octets,
		    imsg_get_len(&imsg)), 0);
	assert_int_equal(msg_decode(msg, type, octets, imsg_get_len(&imsg)), 0);
	msg->id = imsg_get_id(&imsg);
	imsg_free(&imsg);
}

/* The child's exit code; nothing more was said. */
static int
over(struct master *m)
{
	struct imsg imsg;
	int status;

	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
	if (m->fd != -1) {
		while (imsgbuf_read(&m->raw) == 1)
			continue;
		assert_int_equal(imsgbuf_get(&m->raw, &imsg), 0);
		(void)close(m->fd);
	}
	imsgbuf_clear(&m->raw);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
hang_up(struct master *m)
{
	(void)close(m->fd);
	m->fd = -1;
}

static void
boot_msg(struct msg *msg, enum role role)
{
	msg_init(msg, M_CFG_BOOT);
	msg->u.cfg_boot.role = (uint8_t)role;
	msg->u.cfg_boot.slot = 3;
	msg->u.cfg_boot.generation = 77;
	msg->u.cfg_boot.to_stderr = true;
	msg->u.cfg_boot.drop = geteuid() == 0;
	msg->u.cfg_boot.uid = msg->u.cfg_boot.drop ? NOBODY : getuid();
	msg->u.cfg_boot.gid = msg->u.cfg_boot.drop ? NOBODY : getgid();
	msg->u.cfg_boot.dir = slice_str(empty);
}

static void
boot(struct master *m)
{
	struct msg msg;

	boot_msg(&msg, ROLE_WORKER);
	say(m, &msg);
}

/* What is said to CFG_STAGE; nothing if the configuration is taken. */
static void
staged(struct master *m, uint32_t epoch, const char *why)
{
	struct msg msg;

	msg_init(&msg, M_CFG_STAGE);
	msg.id = ++m->id;
	msg.u.cfg_stage.epoch = epoch;
	say(m, &msg);
	hear(m, M_CFG_STAGED, &msg);
	assert_int_equal(msg.id, m->id);
	assert_int_equal(msg.u.cfg_staged.epoch, epoch);
	assert_int_equal(msg.u.cfg_staged.ok, why[0] == '\0');
	assert_string_equal(msg.u.cfg_staged.text, why);
	assert_int_equal(msg.u.cfg_staged.text[199], 0);
}

static void
stage(struct master *m, uint32_t epoch, bool good)
{
	seen->stage_bad = !good;
	staged(m, epoch, good ? "" : "line 7: no such prefix");
}

static void
start_ready(struct master *m)
{
	struct msg msg;

	start(m, &worker_ops);
	boot(m);
	stage(m, 1, true);
	hear(m, M_CFG_READY, &msg);
	say_type(m, M_CFG_START);
}

static int
stop(struct master *m)
{
	struct msg msg;

	say_type(m, M_CFG_STOP);
	hear(m, M_CFG_BLAME, &msg);
	assert_int_equal(msg.u.cfg_blame.why, 99);
	return over(m);
}

/* From start to stop, with a refused and two taken configurations. */
static void
test_life(void **state)
{
	struct master m;
	struct msg msg;

	(void)state;
	start(&m, &worker_ops);
	boot(&m);
	stage(&m, 1, false);		/* no READY after it */
	stage(&m, 2, true);
	hear(&m, M_CFG_READY, &msg);
	assert_int_equal(seen->boots, 1);
	assert_int_equal(seen->boot.slot, 3);
	assert_int_equal(seen->boot.generation, 77);
	assert_string_equal(seen->dir, empty);
	assert_true(seen->boxed);
	assert_non_null(strstr(seen->title, "slot 3"));
	assert_int_equal(seen->starts, 0);
	say_type(&m, M_CFG_START);
	stage(&m, 3, true);		/* no READY either */
	msg_init(&msg, M_CFG_DISCARD);
	msg.u.cfg_discard.epoch = 3;
	say(&m, &msg);
	stage(&m, 4, true);
	assert_int_equal(seen->starts, 1);
	assert_int_equal(seen->discards, 1);
	msg_init(&msg, M_CFG_COMMIT);
	msg.u.cfg_commit.epoch = 4;
	say(&m, &msg);
	msg_init(&msg, M_CFG_VERBOSE);
	msg.u.cfg_verbose.verbose = 1;
	say(&m, &msg);
	msg_init(&msg, M_CFG_SLOT);
	msg.u.cfg_slot.slot = 2;
	say(&m, &msg);
	assert_int_equal(stop(&m), 0);
	assert_int_equal(seen->commits, 1);
	assert_int_equal(seen->epoch, 4);
	assert_int_equal(seen->verbose, 1);
	assert_int_equal(seen->others, 1);
	assert_int_equal(seen->other, M_CFG_SLOT);
	assert_int_equal(seen->stops, 1);
	assert_int_equal(seen->stages, 4);
}

static void
test_master_dies(void **state)
{
	struct master m;

	(void)state;
	start(&m, &worker_ops);
	hang_up(&m);
	assert_int_equal(over(&m), 0);
	assert_int_equal(seen->boots, 0);
	start_ready(&m);
	hang_up(&m);
	assert_int_equal(over(&m), 0);
	assert_int_equal(seen->stops, 0);
}

/* Signals are master's to act on, not a child's. */
static void
test_signals(void **state)
{
	static const int none[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE
	};
	struct master m;
	size_t i;

	(void)state;
	start_ready(&m);
	stage(&m, 2, true);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(kill(m.pid, none[i]), 0);
	stage(&m, 3, true);
	assert_int_equal(stop(&m), 0);
}

static int
bad_start(enum role role, const char *dir)
{
	struct master m;
	struct msg msg;

	start(&m, &worker_ops);
	boot_msg(&msg, role);
	msg.u.cfg_boot.dir = slice_str(dir);
	say(&m, &msg);
	return over(&m);
}

static void
test_bad_boot(void **state)
{
	(void)state;
	assert_int_equal(bad_start(ROLE_KEYD, empty), 1);
	assert_int_equal(seen->boots, 0);
	if (geteuid() != 0)
		return;
	/* the chroot must be root's, and nobody else's to write to */
	assert_int_equal(bad_start(ROLE_WORKER, "/nonexistent"), 1);
	assert_int_equal(bad_start(ROLE_WORKER, "/tmp"), 1);
	assert_int_equal(bad_start(ROLE_WORKER, "/dev/null"), 1);
	assert_int_equal(bad_start(ROLE_WORKER, ""), 1);
	assert_int_equal(seen->boots, 0);
}

/* It never stays root, whatever it is told. */
static void
test_stays_root(void **state)
{
	struct master m;
	struct msg msg;
	int i;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (i = 0; i < 3; i++) {
		start(&m, &worker_ops);
		boot_msg(&msg, ROLE_WORKER);
		if (i == 0)
			msg.u.cfg_boot.drop = false;
		else if (i == 1)
			msg.u.cfg_boot.uid = 0;
		else
			msg.u.cfg_boot.gid = 0;
		say(&m, &msg);
		assert_int_equal(over(&m), 1);
		assert_int_equal(seen->boots, 0);
	}
}

/* Master is above us: its mistake ends us. */
static void
test_bad_order(void **state)
{
	struct master m;
	struct msg msg;

	(void)state;
	start(&m, &worker_ops);
	say_type(&m, M_CFG_START);		/* before CFG_BOOT */
	assert_int_equal(over(&m), 1);
	start_ready(&m);
	boot(&m);				/* again */
	assert_int_equal(over(&m), 1);
	start_ready(&m);
	msg_init(&msg, M_CFG_BLAME);		/* upwards only */
	say(&m, &msg);
	assert_int_equal(over(&m), 1);
	assert_int_equal(seen->stops, 0);
}

static void
test_no_boot(void **state)
{
	struct master m;

	(void)state;
	hurry = 100;			/* 10 s in 0.1 */
	start(&m, &worker_ops);
	hurry = 1;
	assert_int_equal(over(&m), 1);
	assert_int_equal(seen->boots, 0);
}

/* Gives the child the end of a link to a peer; returns the peer's. */
static int
give_link(struct master *m, enum msg_link kind, enum role role)
{
	struct msg msg;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	msg_init(&msg, M_CFG_LINK);
	msg.u.cfg_link.link = (uint8_t)kind;
	msg.u.cfg_link.role = (uint8_t)role;
	msg.u.cfg_link.slot = 2;
	msg.u.cfg_link.generation = 5;
	msg.fd = sv[1];
	say(m, &msg);
	return sv[0];
}

static void
garbage(int fd)
{
	assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
}

/* dbd accuses a worker: lower, so it is said. */
static void
test_blame(void **state)
{
	char own[] = "/tmp/t_child.XXXXXXXXXX";
	struct master m;
	struct msg msg;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(own));
	if (geteuid() == 0)
		assert_int_equal(chown(own, NOBODY, NOBODY), 0);
	start(&m, &dbd_ops);
	boot_msg(&msg, ROLE_DBD);
	msg.u.cfg_boot.dir = slice_str(own);
	say(&m, &msg);
	fd = give_link(&m, LINK_DB, ROLE_WORKER);
	garbage(fd);
	hear(&m, M_CFG_BLAME, &msg);
	assert_int_equal(msg.u.cfg_blame.role, ROLE_WORKER);
	assert_int_equal(msg.u.cfg_blame.slot, 2);
	assert_int_equal(msg.u.cfg_blame.generation, 5);
	assert_int_equal(msg.u.cfg_blame.why, LINK_BAD_BODY);
	(void)close(fd);
	/* One that only dies is not accused. */
	(void)close(give_link(&m, LINK_DB, ROLE_WORKER));
	stage(&m, 1, true);
	hear(&m, M_CFG_READY, &msg);
	assert_int_equal(seen->downs, 2);
	assert_int_equal(seen->peer, ROLE_WORKER);
	hang_up(&m);
	assert_int_equal(over(&m), 0);
	assert_int_equal(rmdir(own), 0);
}

/* A worker whom dbd sends nonsense ends itself and accuses nobody. */
static void
test_superior(void **state)
{
	struct master m;
	int fd;

	(void)state;
	start_ready(&m);
	fd = give_link(&m, LINK_DB, ROLE_DBD);
	garbage(fd);
	assert_int_equal(over(&m), 1);
	(void)close(fd);
}

/* The master's end of what the child got is over within 5 s. */
static void
ends(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t octet;

	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(read(fd, &octet, 1), 0);
	(void)close(fd);
}

/*
 * What roles want alike: nothing to discard or to finish, and counters when
 * they change.  Where nothing happens nobody asks for them.
 */
static void
test_plain(void **state)
{
	struct master m;
	struct msg msg;
	unsigned int stats;

	(void)state;
	hurry = 10;
	start(&m, &plain_ops);
	hurry = 1;
	boot(&m);
	staged(&m, 1, "no configuration came");
	staged(&m, 2, "");
	hear(&m, M_CFG_READY, &msg);
	say_type(&m, M_CFG_START);
	msg_init(&msg, M_CFG_DISCARD);
	msg.u.cfg_discard.epoch = 2;
	say(&m, &msg);
	ends(give_link(&m, LINK_DB, ROLE_DBD));
	say_type(&m, M_CFG_SLOT);
	hear(&m, M_CFG_STAT, &msg);
	assert_int_equal(msg.u.cfg_stat.counts.stun_answered, 1);
	ends(give_link(&m, LINK_DB, ROLE_DBD));
	say_type(&m, M_CFG_SLOT);
	hear(&m, M_CFG_STAT, &msg);
	assert_int_equal(msg.u.cfg_stat.counts.stun_answered, 2);
	stats = seen->stats;
	assert_in_range(stats, 2, 7);		/* turns since the start */
	(void)usleep(500 * 1000);		/* its 5 s */
	assert_int_equal(seen->stats, stats);
	say_type(&m, M_CFG_STOP);
	assert_int_equal(over(&m), 0);
	assert_int_equal(seen->discards, 0);
}

/* Started by hand. */
static void
test_usage(void **state)
{
	pid_t pid;
	int fd, status, i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = -1;
		if (i == 1)
			fd = open("/dev/null", O_RDWR);
		else if (i == 2)
			fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_not_equal(pid = fork(), -1);
		if (pid == 0)
			become_child(&worker_ops, fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 2);
		if (fd != -1)
			(void)close(fd);
	}
}

static int
group_setup(void **state)
{
	(void)state;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANON, -1, 0);
	if (seen == MAP_FAILED || mkdtemp(empty) == NULL)
		return -1;
	return chmod(empty, 0755);
}

static int
group_teardown(void **state)
{
	(void)state;
	return rmdir(empty);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_master_dies),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_bad_boot),
		cmocka_unit_test(test_stays_root),
		cmocka_unit_test(test_bad_order),
		cmocka_unit_test(test_no_boot),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_superior),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_usage)
	};

	return cmocka_run_group_tests_name("child", tests, group_setup,
	    group_teardown);
}
